/* assent-sim: runs seeds of the simulator and judges them.
 *
 *     sim --seeds N [--from SEED] [--scale S] [--jobs J] [--quiet]
 *     sim --seed SEED [--scale S]          the same run again, with its whole trace
 *     sim --worlds [--jobs J]              all crashes of small worlds
 *     sim --calm                           a fixed load without faults, for counting instructions
 *     sim --list-mutants, sim --mutant NAME ...    with a planted bug, in a build that has them */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/mutant_choice.h"
#include "tests/sim/run.h"
#include "tests/sim/worlds.h"

struct options {
    uint64_t seeds, from, seed;
    bool one;
    bool worlds;
    bool calm;
    int scale;
    int jobs;
    int seconds; /* 0: as long as it takes */
    bool until_failed;
    bool quiet;
};

static const struct argp_option argp_options[] = {
    {"seeds", 'n', "N", 0, "Run so many seeds", 0},
    {"from", 'f', "SEED", 0, "The first of them (default 1)", 0},
    {"seed", 's', "SEED", 0, "Run this one, with its whole trace", 0},
    {"worlds", 'w', NULL, 0, "Every crash of small worlds, singly and in pairs", 0},
    {"calm", 'c', NULL, 0, "A fixed load without faults", 0},
    {"scale", 'S', "S", 0, "Runs last S times as long", 0},
    {"jobs", 'j', "J", 0, "Processes (default: one a processor)", 0},
    {"seconds", 't', "T", 0, "Begin no more seeds after so long", 0},
    {"until-failed", 'u', NULL, 0, "A job ends with the first seed that fails", 0},
    {"mutant", 'm', "NAME", 0, "With this planted bug", 0},
    {"list-mutants", 'l', NULL, 0, "The planted bugs", 0},
    {"quiet", 'q', NULL, 0, "No progress line", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'n':
        o->seeds = strtoull(arg, NULL, 10);
        return 0;
    case 'f':
        o->from = strtoull(arg, NULL, 10);
        return 0;
    case 's':
        o->seed = strtoull(arg, NULL, 10);
        o->one = true;
        return 0;
    case 'w':
        o->worlds = true;
        return 0;
    case 'c':
        o->calm = true;
        return 0;
    case 'S':
        o->scale = atoi(arg);
        return 0;
    case 'j':
        o->jobs = atoi(arg);
        return 0;
    case 't':
        o->seconds = atoi(arg);
        return 0;
    case 'u':
        o->until_failed = true;
        return 0;
    case 'm':
        if (!mutant_choose(arg))
            argp_error(state, "%s: no such mutant in this build", arg);
        return 0;
    case 'l':
        mutant_list();
        exit(0);
    case 'q':
        o->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct totals {
    uint64_t seeds, failed;
    uint64_t simulated_us, messages, starts;
    uint64_t faults[SIM_FAULTS];
    struct oracle_stats oracle;
    struct workload_stats workload;
    uint64_t first_failed;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add(struct totals *t, uint64_t seed, const struct run_result *r)
{
    t->seeds++;
    if (r->failed && t->failed++ == 0)
        t->first_failed = seed;
    t->simulated_us += r->simulated_us;
    t->messages += r->messages;
    t->starts += r->starts;
    for (int i = 0; i < SIM_FAULTS; i++)
        t->faults[i] += r->faults[i];
    t->oracle.transactions += r->oracle.transactions;
    t->oracle.committed += r->oracle.committed;
    t->oracle.aborted += r->oracle.aborted;
    t->oracle.recovered += r->oracle.recovered;
    t->oracle.one_phase += r->oracle.one_phase;
    t->workload.ok += r->workload.ok;
    t->workload.failed += r->workload.failed;
    t->workload.unknown += r->workload.unknown;
    t->workload.told += r->workload.told;
    t->workload.behind += r->workload.behind;
}

static void seeds_merge(void *all, const void *own)
{
    struct totals *t = all;
    const struct totals *other = own;
    uint64_t *to = (uint64_t *)t;
    const uint64_t *from = (const uint64_t *)other;
    uint64_t first = t->failed > 0 ? t->first_failed : other->first_failed;
    for (size_t i = 0; i < sizeof *t / sizeof *to; i++)
        to[i] += from[i];
    t->first_failed = first;
}

static void progress(const struct totals *t, double began, FILE *out)
{
    double seconds = now_s() - began;
    uint64_t faults = 0;
    for (int i = 0; i < SIM_FAULTS; i++)
        faults += t->faults[i];
    fprintf(out,
            "%llu seeds, %.1f a second, %.0f s simulated (%.0f times real time), %llu faults, "
            "%llu failed",
            (unsigned long long)t->seeds, (double)t->seeds / seconds, (double)t->simulated_us / 1e6,
            (double)t->simulated_us / 1e6 / seconds, (unsigned long long)faults,
            (unsigned long long)t->failed);
}

static void failed(uint64_t seed, int scale, const struct run_result *r)
{
    fprintf(stderr, "seed %llu fails: %s: %s\n    again: make sim SEED=%llu%s\n",
            (unsigned long long)seed, r->check, r->failure, (unsigned long long)seed,
            scale == 1 ? "" : " with the same SCALE");
}

/* The seed that runs in this process, for the last words of one that aborts. */
static uint64_t seed_now;

static void on_death(int signal_number)
{
    fprintf(stderr, "seed %llu fails: process: it died of signal %d, for the reason above\n",
            (unsigned long long)seed_now, signal_number);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* Every jobs-th seed, from the job's own number on. */
static void seeds_share(const struct options *o, int job, void *own)
{
    struct totals *t = own;
    double began = now_s(), shown = began;
    signal(SIGABRT, on_death);
    for (uint64_t i = (uint64_t)job; i < o->seeds; i += (uint64_t)o->jobs) {
        struct run_result r;
        if ((o->until_failed && t->failed > 0) || (o->seconds > 0 && now_s() - began > o->seconds))
            break;
        seed_now = o->from + i;
        mutant_begin_seed(seed_now);
        run_seed(o->from + i, o->scale, NULL, o->seeds > 100 ? 30 : 60, &r);
        add(t, o->from + i, &r);
        if (r.failed)
            failed(o->from + i, o->scale, &r);
        if (job == 0 && !o->quiet && now_s() - shown > 1) {
            shown = now_s();
            fputc('\r', stderr);
            progress(t, began, stderr);
            if (o->jobs > 1)
                fprintf(stderr, " (one of %d jobs)", o->jobs);
        }
    }
    if (job == 0 && !o->quiet)
        fputc('\n', stderr);
}

/* Each job is a process that writes what it found, `size` bytes, into a pipe. Returns how many jobs
 * did; each one's is given to merge(). */
static int run_jobs(const struct options *o, size_t size,
                    void (*share)(const struct options *o, int job, void *own),
                    void (*merge)(void *all, const void *own), void *all)
{
    int ends[2], reported = 0, status;
    void *own = xcalloc(1, size);
    fflush(NULL);
    if (pipe(ends) != 0) {
        perror("sim: pipe");
        exit(70);
    }
    for (int job = 0; job < o->jobs; job++)
        if (fork() == 0) {
            share(o, job, own);
            fflush(NULL);
            exit(write(ends[1], own, size) == (ssize_t)size ? 0 : 70); /* not _exit: coverage */
        }
    close(ends[1]);
    for (; read(ends[0], own, size) == (ssize_t)size; reported++)
        merge(all, own);
    while (wait(&status) > 0)
        continue;
    close(ends[0]);
    free(own);
    if (reported < o->jobs)
        fprintf(stderr, "sim: %d of %d jobs died\n", o->jobs - reported, o->jobs);
    return reported;
}

/* ---- small worlds ---- */

static void worlds_share(const struct options *o, int job, void *own)
{
    struct worlds_result *r = own;
    worlds_run(1, o->jobs, job, NULL, &r[0]);
    worlds_run(3, o->jobs, job, NULL, &r[1]);
}

static void worlds_merge(void *all, const void *own)
{
    uint64_t *to = all;
    const uint64_t *from = own;
    for (size_t i = 0; i < 2 * sizeof(struct worlds_result) / sizeof *to; i++)
        to[i] += from[i];
}

static int run_worlds(const struct options *o)
{
    struct worlds_result r[2] = {0};
    double began = now_s();
    int died = o->jobs - run_jobs(o, sizeof r, worlds_share, worlds_merge, r);
    for (int i = 0; i < 2; i++)
        printf("%d coordinators: %llu worlds: %llu with one crash, %llu with two; the client heard "
               "committed in %llu, aborted in %llu\n",
               i == 0 ? 1 : 3, (unsigned long long)r[i].runs, (unsigned long long)r[i].singles,
               (unsigned long long)r[i].pairs, (unsigned long long)r[i].committed,
               (unsigned long long)r[i].aborted);
    uint64_t bad = r[0].failed + r[1].failed + (uint64_t)died;
    printf("%.0f s\n%llu passed, %llu failed\n", now_s() - began,
           (unsigned long long)(r[0].runs + r[1].runs - r[0].failed - r[1].failed),
           (unsigned long long)bad);
    return bad > 0;
}

static int run_one(const struct options *o)
{
    struct run_result r;
    mutant_begin_seed(o->seed);
    run_seed(o->seed, o->scale, stdout, 0, &r);
    printf("trace hash %016llx, %llu events, %llu messages, %.3f s simulated\n",
           (unsigned long long)r.hash, (unsigned long long)r.events, (unsigned long long)r.messages,
           (double)r.simulated_us / 1e6);
    if (r.failed)
        failed(o->seed, o->scale, &r);
    return r.failed;
}

static int run_the_calm(void)
{
    struct run_result r;
    run_calm(&r);
    if (r.failed)
        fprintf(stderr, "%s: %s\n", r.check, r.failure);
    printf("%llu committed of %llu transactions, %llu messages, %.3f s simulated\n",
           (unsigned long long)r.oracle.committed, (unsigned long long)r.oracle.transactions,
           (unsigned long long)r.messages, (double)r.simulated_us / 1e6);
    return r.failed;
}

static void summary(const struct totals *t, double began)
{
    int kinds = 0;
    progress(t, began, stdout);
    printf("\ntransactions: %llu (%llu committed, %llu aborted, %llu in one phase), %llu proposals "
           "of recovery\n",
           (unsigned long long)t->oracle.transactions, (unsigned long long)t->oracle.committed,
           (unsigned long long)t->oracle.aborted, (unsigned long long)t->oracle.one_phase,
           (unsigned long long)t->oracle.recovered);
    printf("client operations: %llu ok, %llu failed, %llu without an answer\n",
           (unsigned long long)t->workload.ok, (unsigned long long)t->workload.failed,
           (unsigned long long)t->workload.unknown);
    printf("watches: told of changes %llu times, behind %llu times\n",
           (unsigned long long)t->workload.told, (unsigned long long)t->workload.behind);
    for (int i = 0; i < SIM_FAULTS; i++) {
        printf("%-24s %llu\n", sim_fault_name((enum sim_fault)i), (unsigned long long)t->faults[i]);
        kinds += t->faults[i] > 0;
    }
    printf("%d of %d kinds of faults\n", kinds, (int)SIM_FAULTS);
    if (t->failed > 0)
        printf("first failed seed: %llu\n", (unsigned long long)t->first_failed);
    printf("%llu passed, %llu failed\n", (unsigned long long)(t->seeds - t->failed),
           (unsigned long long)t->failed);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        argp_options, parse, NULL, "Simulates whole clusters, with faults, by seed.",
        NULL,         NULL,  NULL};
    struct options o = {
        .seeds = 100, .from = 1, .scale = 1, .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (o.scale < 1 || o.jobs < 1)
        return 64;
    if (o.one)
        return run_one(&o);
    if (o.calm)
        return run_the_calm();
    if (o.worlds)
        return run_worlds(&o);
    struct totals t = {0};
    double began = now_s();
    t.failed += (uint64_t)(o.jobs - run_jobs(&o, sizeof t, seeds_share, seeds_merge, &t));
    summary(&t, began);
    return t.failed > 0;
}
