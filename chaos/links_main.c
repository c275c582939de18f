/* `assent-chaos links`: the main thread reads options and commands, the links run on their own.
 * Every command is answered by "ok" behind what it prints, or "error: ...", so that a program may
 * drive it. Ends with its input, `quit`, SIGINT or SIGTERM. */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "chaos/link_command.h"

#define LINKS_MAX  256
#define HOST_BYTES 256

struct request {
    char listen_host[HOST_BYTES], host[HOST_BYTES];
    struct link_options options;
};

struct args {
    int n;
    struct request request[LINKS_MAX];
    uint64_t seed;
};

/* ---- options ---- */

enum {
    OPTION_LISTEN = 'l',
    OPTION_TO = 't',
    OPTION_DELAY = 'd',
    OPTION_JITTER = 'j',
    OPTION_BANDWIDTH = 'b',
    OPTION_SLOW_CLOSE = 'c',
    OPTION_SEED = 's'
};

static const struct argp_option options[] = {
    {"listen", OPTION_LISTEN, "[HOST:]PORT", 0,
     "Begins a link: dial it here (HOST: 127.0.0.1; PORT 0: a free one). The next options are "
     "about it",
     0},
    {"to", OPTION_TO, "HOST:PORT", 0, "Where the link leads", 0},
    {"delay", OPTION_DELAY, "TIME", 0, "One-way delay, such as 40ms, of both ways", 0},
    {"jitter", OPTION_JITTER, "TIME", 0, "Up to so much later, never out of order", 0},
    {"bandwidth", OPTION_BANDWIDTH, "BYTES", 0, "A second, such as 10M, in each way", 0},
    {"slow-close", OPTION_SLOW_CLOSE, "TIME", 0, "Ends of stream arrive so much later", 0},
    {"seed", OPTION_SEED, "NUMBER", 0, "Of jitter and of corrupted bytes (default 1)", 0},
    {0},
};

/* "port", "host:port" or "[address]:port"; without a host, `host` stays as it is. */
static bool address_parse(const char *text, bool host_needed, char host[HOST_BYTES], uint16_t *port)
{
    const char *colon = strrchr(text, ':'), *digits = colon == NULL ? text : colon + 1;
    size_t host_bytes = colon == NULL ? 0 : (size_t)(colon - text);
    char *end;
    if (*digits < '0' || *digits > '9' || strlen(digits) > 5 || (colon != NULL && host_bytes == 0))
        return false;
    unsigned long number = strtoul(digits, &end, 10);
    if (*end != '\0' || number > 65535 || (host_needed && (number == 0 || colon == NULL)))
        return false;
    *port = (uint16_t)number;
    if (colon == NULL)
        return true;
    bool brackets = host_bytes > 2 && text[0] == '[' && text[host_bytes - 1] == ']';
    text += brackets ? 1 : 0;
    host_bytes -= brackets ? 2 : 0;
    if (host_bytes >= HOST_BYTES || (!brackets && memchr(text, ':', host_bytes) != NULL))
        return false;
    memcpy(host, text, host_bytes);
    host[host_bytes] = '\0';
    return true;
}

static void parse_listen(struct args *a, const char *text, struct argp_state *state)
{
    if (a->n == LINKS_MAX)
        argp_error(state, "more than %d links", LINKS_MAX);
    if (a->n > 0 && a->request[a->n - 1].host[0] == '\0')
        argp_error(state, "--listen %s: the link before it has no --to HOST:PORT", text);
    struct request *r = &a->request[a->n++];
    snprintf(r->listen_host, sizeof r->listen_host, "127.0.0.1");
    if (!address_parse(text, false, r->listen_host, &r->options.listen_port))
        argp_error(state, "--listen %s: must be PORT or HOST:PORT (HOST an IPv6 address: [::1]:1)",
                   text);
}

static void parse_time(uint64_t *us, const char *name, const char *text, struct argp_state *state)
{
    if (!link_time_parse(text, us))
        argp_error(state, "--%s %s: must be a time such as 40ms (us, ms, s, m or h; at most 24h)",
                   name, text);
}

static void parse_of_link(struct request *r, int key, const char *text, struct argp_state *state)
{
    switch (key) {
    case OPTION_TO:
        if (!address_parse(text, true, r->host, &r->options.port))
            argp_error(state, "--to %s: must be HOST:PORT (HOST an IPv6 address: [::1]:1)", text);
        break;
    case OPTION_DELAY:
        parse_time(&r->options.delay_us, "delay", text, state);
        break;
    case OPTION_JITTER:
        parse_time(&r->options.jitter_us, "jitter", text, state);
        break;
    case OPTION_SLOW_CLOSE:
        parse_time(&r->options.slow_close_us, "slow-close", text, state);
        break;
    default:
        if (!link_bytes_parse(text, &r->options.bandwidth) || r->options.bandwidth == 0)
            argp_error(state, "--bandwidth %s: must be bytes a second, such as 10M (k, M or G)",
                       text);
    }
}

static void parse_seed(struct args *a, const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    a->seed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
        argp_error(state, "--seed %s: must be a number", text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct args *a = state->input;
    switch (key) {
    case OPTION_LISTEN:
        parse_listen(a, text, state);
        return 0;
    case OPTION_SEED:
        parse_seed(a, text, state);
        return 0;
    case OPTION_TO:
    case OPTION_DELAY:
    case OPTION_JITTER:
    case OPTION_BANDWIDTH:
    case OPTION_SLOW_CLOSE:
        if (a->n == 0)
            argp_error(state, "begin every link with --listen PORT; its other options follow");
        else
            parse_of_link(&a->request[a->n - 1], key, text, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is too much: commands are read from standard input", text);
        return 0;
    case ARGP_KEY_END:
        if (a->n == 0)
            argp_error(state, "no link: give at least --listen PORT --to HOST:PORT");
        else if (a->request[a->n - 1].host[0] == '\0')
            argp_error(state, "the last link has no --to HOST:PORT");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool open_all(struct links *s, struct args *a)
{
    for (int i = 0; i < a->n; i++) {
        struct request *r = &a->request[i];
        char why[512];
        r->options.listen_host = r->listen_host;
        r->options.host = r->host;
        r->options.seed = a->seed + (uint64_t)i;
        if (links_add(s, &r->options, why, sizeof why) < 0) {
            fprintf(stderr, "assent-chaos links: link %d: %s\n", i + 1, why);
            return false;
        }
    }
    for (int i = 0; i < a->n; i++) {
        struct request *r = &a->request[i];
        printf("%d  %s:%u -> %s:%u\n", i + 1, r->listen_host, link_port(links_at(s, i)), r->host,
               r->options.port);
    }
    return true;
}

/* ---- commands ---- */

struct console {
    struct links *links;
    int signals; /* a descriptor that is readable when it is time to end */
    bool over;
    int lines, refused;
    char line[LINK_COMMAND_BYTES_MAX + 2]; /* a longer one is cut, and refused for its length */
    size_t bytes;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void console_wait(struct console *c, uint64_t us)
{
    uint64_t end = now_ms() + (us + 999) / 1000, now;
    while (!c->over && (now = now_ms()) < end) {
        struct pollfd poll_for = {.fd = c->signals, .events = POLLIN};
        uint64_t left = end - now;
        if (poll(&poll_for, 1, left > 60000 ? 60000 : (int)left) > 0)
            c->over = true;
    }
}

static void console_line(struct console *c)
{
    struct link_command command;
    struct writer answer = {0};
    char why[512];
    c->line[c->bytes] = '\0';
    bool whole = strlen(c->line) == c->bytes; /* no zero byte in it */
    c->bytes = 0;
    c->lines++;
    if (!whole)
        snprintf(why, sizeof why, "a zero byte: commands are text");
    bool good =
        whole && link_command_parse(c->line, links_count(c->links), &command, why, sizeof why);
    if (good && command.verb == LINK_VERB_NOTHING)
        return;
    if (good && command.verb == LINK_VERB_QUIT)
        c->over = true;
    else if (good && command.verb == LINK_VERB_WAIT)
        console_wait(c, command.wait_us);
    else if (good)
        good = link_command_run(c->links, &command, &answer, why, sizeof why);
    if (answer.len > 0)
        fwrite(answer.data, 1, answer.len, stdout);
    if (good)
        printf("ok\n");
    else
        printf("error: line %d: %s\n", c->lines, why);
    c->refused += !good;
    writer_free(&answer);
    if (fflush(stdout) != 0)
        c->over = true;
}

static void console_take(struct console *c, const char *data, size_t n)
{
    for (size_t i = 0; i < n && !c->over; i++) {
        if (data[i] == '\n')
            console_line(c);
        else if (c->bytes < sizeof c->line - 1)
            c->line[c->bytes++] = data[i];
    }
}

static void console_run(struct console *c)
{
    char data[4096];
    while (!c->over) {
        struct pollfd poll_for[] = {{.fd = c->signals, .events = POLLIN},
                                    {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(poll_for, 2, -1) < 0 && errno != EINTR)
            return;
        if (poll_for[0].revents != 0)
            return;
        if (poll_for[1].revents == 0)
            continue;
        ssize_t n = read(STDIN_FILENO, data, sizeof data);
        if (n > 0) {
            console_take(c, data, (size_t)n);
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            if (c->bytes > 0)
                console_line(c);
            return;
        }
    }
}

int links_main(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "Serves TCP links with delays and faults, for any program: dial a link's port instead of "
        "its target.\v"
        "Commands are read from standard input, a line each, until it ends: help lists them.",
        NULL,
        NULL,
        NULL};
    static struct args args = {.seed = 1};
    sigset_t end;
    argv[0] = (char[]){"assent-chaos links"}; /* the name in usage and errors */
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&end);
    sigaddset(&end, SIGINT);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL);
    struct console console = {.links = links_new(), .signals = signalfd(-1, &end, SFD_CLOEXEC)};
    int status = EX_UNAVAILABLE;
    if (open_all(console.links, &args)) {
        links_start(console.links);
        if (isatty(STDIN_FILENO))
            printf("help lists the commands\n");
        fflush(stdout);
        console_run(&console);
        status = console.refused > 0 ? EX_DATAERR : EX_OK;
    }
    links_free(console.links);
    close(console.signals);
    return status;
}
