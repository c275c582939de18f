/* The command line of `assent-chaos run`, and what it shares with `compare`. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "chaos/process.h"
#include "chaos/report.h"
#include "chaos/run.h"
#include "chaos/run_args.h"
#include "chaos/run_judge.h"
#include "common/prng.h"
#include "runtime/cluster.h"

#define WHY_BYTES 512
#define SHIPPED   "calm, mix, long, lost-leader, outage"

enum { OPTION_PLANT = 0x100, OPTION_RTT };

static const struct argp_option options[] = {
    {"seed", 's', "NUMBER", 0,
     "Of faults and operations (default: the scenario's, or by chance; it is shown)", 0},
    {"duration", 't', "TIME", 0, "Of the load, such as 60s (default: the scenario's)", 0},
    {"clients", 'n', "NUMBER", 0,
     "Of all workloads together, at least one each (default: the scenario's)", 0},
    {"rtt-matrix", OPTION_RTT, "FILE", 0, "CSV of round trips between datacenters, in ms", 0},
    {"dir", 'd', "DIR", 0,
     "For cluster, histories and reports; must not exist (default: named after "
     "scenario and seed)",
     0},
    {"keep", 'k', NULL, 0, "Leave the cluster up afterwards, until Ctrl-C", 0},
    {"quiet", 'q', NULL, 0, "No progress, only the end", 0},
    {"plant", OPTION_PLANT, "CHECK", 0,
     "Falsify what this check is about to judge: it must find it; all: every check in turn", 0},
    {0},
};

static uint64_t parse_number(const char *text, uint64_t max, const char *what,
                             struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n > max)
        argp_error(state, "--%s %s: must be a number up to %llu", what, text,
                   (unsigned long long)max);
    return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct run_args *a = state->input;
    switch (key) {
    case 's':
        a->has_seed = true;
        a->seed = parse_number(arg, UINT64_MAX, "seed", state);
        return 0;
    case 't':
        if (!duration_parse(arg, &a->duration_ms) || a->duration_ms == 0)
            argp_error(state, "--duration %s: must be a time such as 60s or 5m", arg);
        return 0;
    case 'n':
        a->clients = (int)parse_number(arg, SCENARIO_CLIENTS_MAX, "clients", state);
        if (a->clients == 0)
            argp_error(state, "--clients 0: somebody must do something");
        return 0;
    case OPTION_RTT:
        a->rtt_file = arg;
        return 0;
    case 'd':
        a->options.dir = arg;
        return 0;
    case 'k':
        a->options.keep = true;
        return 0;
    case 'q':
        a->options.quiet = true;
        return 0;
    case OPTION_PLANT:
        a->options.plant = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "'%s': one scenario is enough", arg);
        a->file = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        if (a->file == NULL)
            argp_error(state, "which scenario? A file, or one of: " SHIPPED);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void run_args_parse(struct run_args *out, const char *doc, int argc, char **argv)
{
    const char *scenario = out->file == NULL ? "SCENARIO" : "[SCENARIO]";
    const struct argp argp = {options, parse, scenario, doc, NULL, NULL, NULL};
    char *name = argv[0];
    static char full[64];
    snprintf(full, sizeof full, "assent-chaos %s", name);
    argv[0] = full;
    argp_parse(&argp, argc, argv, 0, NULL, out);
    argv[0] = name;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* A path, or the name of a scenario that came with the program. */
static bool find_scenario(const char *text, char *out, size_t out_size)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (strchr(text, '/') != NULL || is_file(text) || n < 0) {
        snprintf(out, out_size, "%s", text);
        return true;
    }
    program[n] = '\0';
    for (int up = 0; up < 3; up++) {
        char *slash = strrchr(program, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
        static const char *const places[] = {"share/assent/scenarios", "chaos/scenarios"};
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            snprintf(out, out_size, "%s/%s/%s.yaml", program, places[i], text);
            if (is_file(out))
                return true;
        }
    }
    return false;
}

/* Shares them out as the scenario does, at least one to each workload. */
static void share_clients(struct scenario *s, int clients)
{
    int before = 0, given = 0;
    for (int i = 0; i < s->loads; i++)
        before += s->load[i].clients;
    for (int i = 0; i < s->loads; i++) {
        int n = s->load[i].clients * clients / before;
        s->load[i].clients = n > 0 ? n : 1;
        given += s->load[i].clients;
    }
    for (int i = 0; given < clients; i = (i + 1) % s->loads, given++)
        s->load[i].clients++;
}

static uint64_t seed_by_chance(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000) % 1000000007;
}

/* A name that nobody knows would look, after the run, as if nothing had been found. */
static bool check_plant(const struct run_args *a, const struct scenario *s)
{
    char names[4096];
    const char *plant = a->options.plant;
    if (plant == NULL || strcmp(plant, RUN_PLANT_ALL) == 0 ||
        loads_can_plant(s, plant, names, sizeof names))
        return true;
    fprintf(stderr,
            "assent-chaos: --plant %s: there is no such check of this scenario that could judge a "
            "falsified run: name %s, or one of %s\n",
            plant, RUN_PLANT_ALL, names);
    return false;
}

int run_args_scenario(struct run_args *a, struct scenario *out)
{
    char path[PATH_MAX * 2], why[WHY_BYTES];
    if (!find_scenario(a->file, path, sizeof path)) {
        fprintf(stderr,
                "assent-chaos: %s: there is no such file, and no scenario of that name: those that "
                "came with it are " SHIPPED "\n",
                a->file);
        return EX_USAGE;
    }
    if (!scenario_load(out, path, a->rtt_file, why, sizeof why)) {
        fprintf(stderr, "assent-chaos: %s\n", why);
        return EX_USAGE;
    }
    if (a->has_seed)
        out->seed = a->seed;
    else if (out->seed == 0)
        out->seed = seed_by_chance();
    if (a->duration_ms > 0)
        out->duration_ms = a->duration_ms;
    if (a->clients > 0)
        share_clients(out, a->clients);
    if (!scenario_check(out, why, sizeof why)) {
        fprintf(stderr, "assent-chaos: %s: %s\n", a->file, why);
        return EX_USAGE;
    }
    return check_plant(a, out) ? 0 : EX_USAGE;
}

void run_args_command(const struct run_args *a, const char *command, const struct scenario *s,
                      char *out, size_t out_size)
{
    char clients[32] = "", rtt[PATH_MAX + 16] = "", plant[64] = "";
    if (a->clients > 0)
        snprintf(clients, sizeof clients, " --clients %d", a->clients);
    if (a->rtt_file != NULL)
        snprintf(rtt, sizeof rtt, " --rtt-matrix %s", a->rtt_file);
    if (a->options.plant != NULL)
        snprintf(plant, sizeof plant, " --plant %.40s", a->options.plant);
    snprintf(out, out_size, "assent-chaos %s %s --seed %llu --duration %ums%s%s%s", command,
             a->file, (unsigned long long)s->seed, s->duration_ms, clients, rtt, plant);
}

static void write_reports(const struct result *r)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/report.json", r->dir);
    report_write_json(r, path);
    snprintf(path, sizeof path, "%s/report.html", r->dir);
    if (report_write_html(r, path))
        printf("The report: %s\n", path);
}

int run_main(int argc, char **argv)
{
    static struct scenario scenario;
    static struct result result;
    struct run_args args = {0};
    char dir[256];
    run_args_parse(&args,
                   "Runs a cluster of real processes on emulated wide-area links through a "
                   "scenario of faults, and judges what its clients saw.\v"
                   "Exit status: 0 everything held, 1 a check failed, 2 it could not be judged, 64 "
                   "wrong usage.",
                   argc, argv);
    int rc = run_args_scenario(&args, &scenario);
    if (rc != 0)
        return rc;
    if (args.options.dir == NULL) {
        snprintf(dir, sizeof dir, "chaos-%.100s-%llu", scenario.name,
                 (unsigned long long)scenario.seed);
        args.options.dir = dir;
    }
    if (!run_scenario(&scenario, &args.options, &result)) {
        result_free(&result);
        return 2;
    }
    run_args_command(&args, "run", &scenario, result.command, sizeof result.command);
    report_print(&result, stdout);
    write_reports(&result);
    rc = result_exit_status(&result);
    result_free(&result);
    return rc;
}
