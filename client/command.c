/* The `assent` command: finds the subcommand, parses its arguments, runs it.
 *
 * Arguments are parsed in order and words are collected for the subcommand, so that a negative
 * number may stand where a word does: argp sees "-5" as the option '5', which is a word here. */
#include "client/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cluster.h"

static const struct command *const commands[] = {
    &command_init, &command_up,    &command_status, &command_get,   &command_put,
    &command_del,  &command_add,   &command_scan,   &command_txn,   &command_outcome,
    &command_load, &command_bench, &command_watch,  &command_shell,
};

#define COMMANDS (sizeof commands / sizeof commands[0])

enum { OPTION_CLIENT = 0x1000, OPTION_KEY, OPTION_DC, OPTION_TIMEOUT };

static const struct argp_option cluster_options[] = {
    {NULL, 0, NULL, 0, "Which cluster, and as whom:", 10},
    {"cluster", 'c', "FILE", 0, "The cluster file (default: $ASSENT_CLUSTER, else ./cluster.yaml)",
     0},
    {"client", OPTION_CLIENT, "NAME", 0,
     "Who this is, in the cluster file (default: the only client listed there)", 0},
    {"key-file", OPTION_KEY, "FILE", 0,
     "The client's key (default: NAME.key beside the cluster file)", 0},
    {"key", 0, NULL, OPTION_ALIAS, NULL, 0},
    {"dc", OPTION_DC, "NAME", 0, "Where this runs: nodes of this datacenter come first", 0},
    {"timeout", OPTION_TIMEOUT, "DURATION", 0, "How long to try: 500ms, 10s (default), 1m", 0},
    {0},
};

#define DIGIT(key)                                                                                 \
    {                                                                                              \
        NULL, key, "N", OPTION_HIDDEN | OPTION_ARG_OPTIONAL, NULL, 20                              \
    }

#define CLUSTER_OPTIONS (sizeof cluster_options / sizeof cluster_options[0])

static const struct argp_option general_options[] = {
    {NULL, 0, NULL, 0, "In general:", 20},
    {"output", 'o', "FORM", 0, "table (default) or json", 0},
    {"help", 'h', NULL, 0, "Say this, and exit", 0},
    DIGIT('0'),
    DIGIT('1'),
    DIGIT('2'),
    DIGIT('3'),
    DIGIT('4'),
    DIGIT('5'),
    DIGIT('6'),
    DIGIT('7'),
    DIGIT('8'),
    DIGIT('9'),
    {0},
};

static error_t parse_cluster(int key, char *arg, struct argp_state *state)
{
    struct command_call *call = state->input;
    switch (key) {
    case 'c':
        call->cluster_file = arg;
        return 0;
    case OPTION_CLIENT:
        call->client = arg;
        return 0;
    case OPTION_KEY:
        call->key_file = arg;
        return 0;
    case OPTION_DC:
        call->datacenter = arg;
        return 0;
    case OPTION_TIMEOUT:
        if (duration_parse(arg, &call->timeout_ms) && call->timeout_ms > 0)
            return 0;
        call->rc = command_fail(
            EX_USAGE, "--timeout: '%.80s' is not a duration: write it as 500ms, 10s or 1m", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_general(int key, char *arg, struct argp_state *state)
{
    struct command_call *call = state->input;
    switch (key) {
    case 'o':
        if (strcmp(arg, "table") == 0 || strcmp(arg, "json") == 0) {
            call->output = *arg == 't' ? OUTPUT_TABLE : OUTPUT_JSON;
            return 0;
        }
        call->rc = command_fail(EX_USAGE, "--output: '%.80s' is not a form: table or json", arg);
        return EINVAL;
    case 'h':
        argp_help(state->root_argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, state->name);
        exit(EXIT_SUCCESS);
    case ARGP_KEY_ARG:
        call->word[call->words++] = arg;
        return 0;
    case ARGP_KEY_ERROR:
        if (call->rc == 0)
            call->rc = command_fail(
                EX_USAGE,
                "%s: '%.80s' is no option of it, or lacks its argument: see 'assent help %s'",
                call->command->name, state->argv[state->next > 1 ? state->next - 1 : 1],
                call->command->name);
        return 0;
    default:
        if (key < '0' || key > '9')
            return ARGP_ERR_UNKNOWN;
        call->word[call->words++] = state->argv[state->next - 1];
        return 0;
    }
}

static bool is_own(const struct command *command, int key)
{
    const struct argp_option *o = command->options;
    for (; o != NULL && (o->name != NULL || o->key != 0); o++)
        if (o->key == key)
            return true;
    return false;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct command_call *call = state->input;
    const struct command *command = call->command;
    if (key == ARGP_KEY_INIT) {
        for (int i = 0; state->root_argp->children[i].argp != NULL; i++)
            state->child_inputs[i] = call;
        return 0;
    }
    if (!is_own(command, key))
        return ARGP_ERR_UNKNOWN;
    call->rc = command->option(call, key, arg);
    return call->rc == 0 ? 0 : EINVAL;
}

/* Those of cluster_options of whose names the subcommand has no option of its own. */
static void cluster_options_of(const struct command *command, struct argp_option *out)
{
    for (size_t i = 0; i < CLUSTER_OPTIONS; i++) {
        const struct argp_option *own = command->options;
        const char *name = cluster_options[i].name;
        while (name != NULL && own != NULL && own->name != NULL && strcmp(own->name, name) != 0)
            own++;
        if (name == NULL || own == NULL || own->name == NULL)
            *out++ = cluster_options[i];
    }
}

static int check_words(const struct command_call *call)
{
    const struct command *c = call->command;
    if (call->words >= c->words_min && (c->words_max < 0 || call->words <= c->words_max))
        return 0;
    return command_fail(EX_USAGE, "%s: %s: usage: assent %s %s", c->name,
                        call->words < c->words_min ? "something is missing" : "too many arguments",
                        c->name, c->words);
}

static int run(const struct command *command, int argc, char **argv)
{
    const struct argp general = {.options = general_options, .parser = parse_general};
    struct argp_option shared[CLUSTER_OPTIONS];
    cluster_options_of(command, shared);
    const struct argp cluster = {.options = shared, .parser = parse_cluster};
    const struct argp_child children[] = {
        {&general, 0, NULL, 20}, {command->connects ? &cluster : NULL, 0, NULL, 10}, {0}};
    char doc[4096], name[64];
    snprintf(doc, sizeof doc, "%s.\v%s", command->summary,
             command->detail == NULL ? "" : command->detail);
    snprintf(name, sizeof name, "assent %s", command->name);
    const struct argp argp = {command->options, parse, command->words, doc, children, NULL, NULL};
    struct command_call call = {.command = command};
    call.word = xcalloc((size_t)argc, sizeof *call.word);
    call.own = xcalloc(1, command->own_size + 1);
    argv[0] = name;
    error_t error =
        argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &call);
    int rc = call.rc;
    if (error != 0 && rc == 0)
        rc = command_fail(EX_USAGE, "%s: %s: see 'assent help %s'", command->name, strerror(error),
                          command->name);
    if (rc == 0)
        rc = check_words(&call);
    if (rc == 0)
        rc = command->run(&call);
    if (fflush(stdout) != 0 && rc == 0)
        rc = command_fail(EX_IOERR, "%s: standard output: %s: the result is not complete",
                          command->name, strerror(errno));
    free(call.own);
    free(call.word);
    return rc;
}

static void print_help(void)
{
    puts("Usage: assent SUBCOMMAND [OPTION...] [ARGUMENT...]\n"
         "Atomic transactions across datacenters, from the command line.\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    puts("  help      Says more about a subcommand: assent help SUBCOMMAND\n"
         "\n"
         "Exit status: 0 committed or found, 1 aborted, refused, not found or nothing changed,\n"
         "2 outcome unknown, 3 a watch has missed changes, 64 usage, 65 bad rows or lines,\n"
         "66 a file that cannot be read, 69 unreachable, 71 operating system, 73 a directory\n"
         "that cannot be made, 74 output that cannot be written, 78 bad configuration.");
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static char help[] = "--help";
    const char *first = argc > 1 ? argv[1] : "";
    /* a pipe that nobody reads is an error of the write, not the end of the process */
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        printf("assent %s\n", assent_library_version());
        return EXIT_SUCCESS;
    }
    bool asks_help = strcmp(first, "help") == 0;
    if ((asks_help && argc == 2) || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    const char *name = asks_help ? argv[2] : first;
    const struct command *command = find(name);
    if (command == NULL && *name == '\0')
        return command_fail(EX_USAGE, "no subcommand: see 'assent help'");
    if (command == NULL)
        return command_fail(EX_USAGE, "'%.40s' is no subcommand: see 'assent help'", name);
    if (asks_help)
        return run(command, 2, (char *[]){argv[0], help, NULL});
    return run(command, argc - 1, argv + 1);
}
