#include "runtime/daemon_args.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { OPTION_CHECK_CONFIG = 256, OPTION_LISTEN, OPTION_LOG_LEVEL };

static const struct argp_option options[] = {
    {"cluster", 'c', "FILE", 0, "The cluster file (required)", 0},
    {"node", 'n', "NAME", 0, "This node's name in the cluster file (required)", 0},
    {"data", 'd', "DIR", 0, "The node's data directory, made by `assent init` (required)", 0},
    {"listen", OPTION_LISTEN, "HOST:PORT", 0, "Listen here instead of the cluster file's address",
     0},
    {"check-config", OPTION_CHECK_CONFIG, NULL, 0,
     "Check cluster file, key and data directory, say what was found, and exit", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "debug, info (default), warn or error", 0},
    {0},
};

/* "host:port" or "[v6 address]:port"; port 0 is any free one. */
static bool listen_parse(struct daemon_args *args, const char *text)
{
    const char *colon = strrchr(text, ':'), *from = text, *to = colon;
    if (colon == NULL || colon == text)
        return false;
    if (*from == '[' && to[-1] == ']') {
        from++;
        to--;
    } else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
        return false;
    }
    size_t host = (size_t)(to - from), digits = strspn(colon + 1, "0123456789");
    if (host == 0 || host >= sizeof args->listen_host || digits == 0 || digits > 5 ||
        colon[1 + digits] != '\0')
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    memcpy(args->listen_host, from, host);
    args->listen_host[host] = '\0';
    args->listen_port = (uint16_t)port;
    return port <= UINT16_MAX;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct daemon_args *args = state->input;
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    switch (key) {
    case 'c':
        args->cluster_file = arg;
        return 0;
    case 'n':
        args->node = arg;
        return 0;
    case 'd':
        args->data_dir = arg;
        return 0;
    case OPTION_LISTEN:
        if (listen_parse(args, arg))
            return 0;
        argp_error(state, "--listen %s: must be HOST:PORT or [ADDRESS]:PORT", arg);
        return EINVAL;
    case OPTION_CHECK_CONFIG:
        args->check_config = true;
        return 0;
    case OPTION_LOG_LEVEL:
        for (int i = 0; i < 4; i++) {
            if (strcmp(arg, levels[i]) == 0) {
                args->level = (enum logger_level)i;
                return 0;
            }
        }
        argp_error(state, "--log-level %s: must be debug, info, warn or error", arg);
        return EINVAL;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        return EINVAL;
    case ARGP_KEY_END:
        if (args->cluster_file == NULL || args->node == NULL || args->data_dir == NULL)
            argp_error(state, "--cluster, --node and --data are all required");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *version_program;

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "%s %s\n", version_program, ASSENT_VERSION);
}

void daemon_args_parse(struct daemon_args *args, const char *program, const char *summary, int argc,
                       char **argv)
{
    const struct argp argp = {options, parse, NULL, summary, NULL, NULL, NULL};
    *args = (struct daemon_args){.level = LOGGER_INFO};
    version_program = program;
    argp_program_version_hook = print_version;
    argp_err_exit_status = EX_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, args);
}
