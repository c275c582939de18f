#include "chaos/run.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos/load.h"
#include "chaos/nemesis.h"
#include "chaos/report.h"
#include "chaos/run_judge.h"

#define SECOND_US     UINT64_C(1000000)
#define READY_US      (60 * SECOND_US)
#define LOOK_EVERY_US 250000
#define LOOK_MS       1000
#define RECOVERY_US   (5 * SECOND_US) /* of load after the last fault has ended */

struct run {
    const struct scenario *scenario;
    const struct run_options *options;
    struct result *result;
    struct site *site;
    struct loads *loads;
    struct nemesis *nemesis;
    assent *observer;
    uint64_t commits, aborts, unknown; /* so far, for the line of progress */
    pthread_t looker;
    bool looks;
    atomic_bool stop_looking;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
    (void)signum;
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- looking ---- */

static void *look(void *arg)
{
    struct run *r = arg;
    while (!r->stop_looking) {
        struct site_look seen;
        struct doubt doubt = {.at_us = chaos_now_us()};
        site_look(r->site, r->observer, LOOK_MS, &seen);
        doubt.in_doubt = seen.in_doubt;
        doubt.answering = seen.answering;
        doubt.down = seen.down;
        memcpy(doubt.oldest_ms, seen.oldest_ms, sizeof doubt.oldest_ms);
        samples_add_doubt(r->result->samples, &doubt);
        chaos_sleep_us(LOOK_EVERY_US);
    }
    return NULL;
}

static void stop_looking(struct run *r)
{
    if (!r->looks)
        return;
    r->stop_looking = true;
    pthread_join(r->looker, NULL);
    r->looks = false;
}

/* ---- progress ---- */

static void say(const struct run *r, const char *what)
{
    if (!r->options->quiet)
        fprintf(stderr, "%6.1f s  %s\n",
                (double)(chaos_now_us() - r->result->begin_us) / (double)SECOND_US, what);
}

static void show_progress(struct run *r)
{
    uint64_t commits, aborts, unknown;
    int in_doubt;
    char faults[512] = "";
    samples_progress(r->result->samples, &commits, &aborts, &unknown, &in_doubt);
    r->commits += commits;
    r->aborts += aborts;
    r->unknown += unknown;
    if (r->options->quiet)
        return;
    int active = r->nemesis == NULL ? 0 : nemesis_active(r->nemesis, faults, sizeof faults);
    for (char *c = faults; *c != '\0'; c++)
        *c = *c == '\n' ? ';' : *c;
    bool terminal = isatty(STDERR_FILENO);
    uint64_t second = (chaos_now_us() - r->result->begin_us) / SECOND_US;
    if (!terminal && second % 10 != 0)
        return;
    fprintf(stderr,
            "%s%4" PRIu64 " s  commits %-6" PRIu64 " aborts %-5" PRIu64 " unknown %-3" PRIu64
            " in doubt %-4d %d fault%s%s%.60s%s",
            terminal ? "\r\033[K" : "", second, r->commits, r->aborts, r->unknown, in_doubt, active,
            active == 1 ? "" : "s", active == 0 ? "" : ": ", faults, terminal ? "" : "\n");
}

/* Shows progress until then, or a signal. */
static void wait_until(struct run *r, uint64_t until_us)
{
    uint64_t next_us = chaos_now_us() + SECOND_US;
    while (!interrupted && chaos_now_us() < until_us) {
        uint64_t to_us = next_us < until_us ? next_us : until_us, now_us = chaos_now_us();
        if (to_us > now_us)
            chaos_sleep_us(to_us - now_us);
        if (chaos_now_us() >= next_us) {
            show_progress(r);
            next_us += SECOND_US;
        }
    }
    if (!r->options->quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

/* ---- the parts of a run ---- */

static void measure_links(struct run *r)
{
    const struct scenario *s = r->scenario;
    for (int a = 0; a < s->datacenters; a++)
        for (int b = 0; b < s->datacenters; b++)
            r->result->bare_rtt_us[a][b] = a == b ? 0 : site_bare_rtt_us(r->site, a, b);
}

static bool begin(struct run *r)
{
    char dir[4300];
    snprintf(dir, sizeof dir, "%s/cluster", r->options->dir);
    r->site = site_open(r->scenario, dir);
    if (r->site == NULL)
        return false;
    if (!site_wait_ready(r->site, READY_US)) {
        fprintf(stderr, "chaos: the cluster in %s did not become ready: see the logs there\n", dir);
        return false;
    }
    measure_links(r);
    r->observer = site_observer(r->site);
    if (r->observer == NULL)
        return false;
    r->loads = loads_open(r->site, r->result->samples, r->scenario->seed);
    if (r->loads == NULL)
        return false;
    r->result->begin_us = chaos_now_us();
    r->looks = pthread_create(&r->looker, NULL, look, r) == 0;
    return r->looks;
}

static void keep_faults(struct run *r)
{
    int n;
    const struct fault *fault = nemesis_faults(r->nemesis, &n);
    r->result->fault = n == 0 ? NULL : xmalloc((size_t)n * sizeof *fault);
    if (n > 0)
        memcpy(r->result->fault, fault, (size_t)n * sizeof *fault);
    r->result->faults = n;
    nemesis_free(r->nemesis);
    r->nemesis = NULL;
}

static void run_load(struct run *r)
{
    const struct scenario *s = r->scenario;
    struct result *out = r->result;
    uint64_t end_us = out->begin_us + (uint64_t)s->duration_ms * 1000;
    say(r, "load");
    loads_start(r->loads);
    wait_until(r, out->begin_us + (uint64_t)s->calm_ms * 1000);
    out->faults_us = chaos_now_us();
    say(r, "faults");
    r->nemesis = nemesis_start(r->site, s->seed);
    wait_until(r, end_us > RECOVERY_US ? end_us - RECOVERY_US : end_us);
    say(r, "the faults end");
    nemesis_stop(r->nemesis);
    keep_faults(r);
    out->heal_us = chaos_now_us();
    wait_until(r, out->heal_us + RECOVERY_US);
    out->interrupted = interrupted != 0;
    loads_stop(r->loads);
}

/* Until all nodes that are not lost answer and nothing is in doubt. */
static void settle(struct run *r)
{
    uint64_t end_us = chaos_now_us() + (uint64_t)r->scenario->settle_ms * 1000;
    say(r, "the cluster settles");
    r->result->settled_us = FAULT_NEVER;
    site_wait_ready(r->site, (uint64_t)r->scenario->settle_ms * 1000);
    do {
        struct site_look seen;
        site_look(r->site, r->observer, LOOK_MS, &seen);
        if (seen.in_doubt == 0)
            r->result->settled_us = chaos_now_us();
        else
            chaos_sleep_us(LOOK_EVERY_US);
    } while (r->result->settled_us == FAULT_NEVER && chaos_now_us() < end_us);
}

static void wait_for_signal(const struct run *r)
{
    fprintf(stderr, "The cluster in %s stays up until Ctrl-C.\n", r->site->dir);
    while (!interrupted)
        chaos_sleep_us(LOOK_EVERY_US);
}

bool run_scenario(const struct scenario *scenario, const struct run_options *options,
                  struct result *out)
{
    struct run r = {.scenario = scenario, .options = options, .result = out};
    bool good = false, all_read;
    interrupted = 0;
    catch_signals();
    *out = (struct result){.scenario = scenario, .samples = samples_new()};
    snprintf(out->dir, sizeof out->dir, "%s", options->dir);
    if (mkdir(options->dir, 0777) != 0) {
        fprintf(stderr, "chaos: %s: %s: choose another directory with --dir\n", options->dir,
                strerror(errno));
        return false;
    }
    out->begin_us = chaos_now_us();
    say(&r, "the cluster starts");
    if (begin(&r)) {
        run_load(&r);
        settle(&r);
        all_read = loads_read_all(r.loads);
        stop_looking(&r);
        if (options->keep && !interrupted)
            wait_for_signal(&r);
        assent_close(r.observer);
        r.observer = NULL;
        good = true;
        bool stopped = site_stop(r.site);
        out->end_us = chaos_now_us();
        say(&r, "judging");
        const struct run_end end = {r.site, r.loads, stopped, all_read};
        run_judge(out, &end, options->plant);
        loads_save(r.loads, options->dir);
        result_measure(out);
    }
    stop_looking(&r);
    assent_close(r.observer);
    loads_free(r.loads);
    if (!good) {
        site_stop(r.site);
        rmdir(options->dir); /* stays if there is something in it */
    }
    site_free(r.site);
    return good;
}

void result_free(struct result *r)
{
    samples_free(r->samples);
    free(r->fault);
    *r = (struct result){0};
}
