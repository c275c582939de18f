/* assent-chaos: Assent under real faults. */
#include <argp.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

#include "chaos/demo.h"
#include "chaos/links.h"
#include "chaos/run.h"

struct chaos_args {
    const char *dir;
    bool keep;
    int coordinators;
    int (*run)(const struct chaos_args *args);
};

static int run_demo(const struct chaos_args *args)
{
    return demo_main(args->dir, args->keep);
}

static int run_latency(const struct chaos_args *args)
{
    return latency_main(args->dir, args->coordinators);
}

/* Those with options of their own. */
static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} subcommands[] = {
    {"run", run_main},
    {"compare", compare_main},
    {"links", links_main},
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0, "Where the cluster is made; must not exist (default demo-cluster)", 0},
    {"keep", 'k', NULL, 0, "Leave the cluster up afterwards, until Ctrl-C", 0},
    {"coordinators", 'n', "N", 0, "latency: one or three (default 3)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct chaos_args *args = state->input;
    switch (key) {
    case 'd':
        args->dir = arg;
        return 0;
    case 'k':
        args->keep = true;
        return 0;
    case 'n':
        if (strcmp(arg, "1") != 0 && strcmp(arg, "3") != 0)
            argp_error(state, "--coordinators %s: must be 1 or 3", arg);
        args->coordinators = arg[0] - '0';
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0 && strcmp(arg, "demo") == 0)
            args->run = run_demo;
        else if (state->arg_num == 0 && strcmp(arg, "latency") == 0)
            args->run = run_latency;
        else
            argp_error(state,
                       "unknown command '%s': there are run, compare, links, demo and latency",
                       arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "demo|latency\nrun --help\ncompare --help\nlinks --help",
        "Assent on emulated wide-area links, with real processes killed.",
        NULL,
        NULL,
        NULL};
    struct chaos_args args = {.dir = "demo-cluster", .coordinators = 3};
    signal(SIGPIPE, SIG_IGN); /* links write to processes that are being killed */
    argp_err_exit_status = EX_USAGE;
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (argc > 1 && strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].main(argc - 1, argv + 1);
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    return args.run(&args);
}
