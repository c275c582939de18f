#include "tests/sim/run.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/nemesis.h"

#define MACHINES_MAX 24
#define SETTLE_US    UINT64_C(180000000)
#define LOOK_US      100000u
#define START_ALL_US 20000u /* the first starts are spread over so much */
#define FINAL_US     UINT64_C(120000000)
#define DECIDED_US   5000000u /* without faults F+1 coordinators need less to decide everything */
#define RESTARTED_US 3000000u
#define QUESTIONS    12 /* about old transactions, at the end */

struct run {
    struct sim sim;
    struct sim_config config;
    struct cluster *cluster;
    struct net net;
    struct disks *disks;
    struct oracle *oracle;
    int machines;
    struct machine machine[MACHINES_MAX];
    struct workload *workload;
    struct nemesis *nemesis;
    uint64_t down; /* machines that stay away while the others settle */
};

static void set_latencies(struct run *r)
{
    for (int a = 0; a < r->config.datacenters; a++)
        for (int b = 0; b < r->config.datacenters; b++)
            r->net.latency_us[a][b] =
                a == b ? 0 : r->config.one_way_us[a] + r->config.one_way_us[b];
    r->net.jitter_us = r->config.jitter_us;
    r->net.coded = r->config.coded;
}

static void begin(struct run *r)
{
    r->cluster = sim_config_cluster(&r->config);
    r->disks = disks_new(r->sim.seed);
    net_init(&r->net, &r->sim);
    set_latencies(r);
    r->oracle = oracle_new(&r->sim, r->config.coordinators);
    for (int i = 0; i < r->cluster->nodes; i++) {
        struct machine *m = &r->machine[r->machines++];
        machine_init(m, &r->sim, r->disks, &r->net, r->cluster, &r->cluster->node[i]);
        m->watch = oracle_machine_watch(r->oracle);
        m->sync_us = r->config.sync_us;
        m->apply_step = r->config.apply_step;
    }
    r->workload = workload_new(&r->sim, &r->net, r->cluster, &r->config.workload, r->oracle);
    r->nemesis =
        nemesis_new(&r->sim, &r->net, r->disks, &r->config, r->machine, r->machines, r->workload);
}

static void end(struct run *r)
{
    nemesis_free(r->nemesis);
    workload_free(r->workload);
    for (int i = 0; i < r->machines; i++)
        machine_free(&r->machine[i]);
    net_free(&r->net);
    disks_free(r->disks);
    oracle_free(r->oracle);
    cluster_free(r->cluster);
    sim_free(&r->sim);
}

/* Runs on until the time, or until `done` says so. */
static bool run_until(struct run *r, uint64_t until_us, bool (*done)(const struct run *r))
{
    uint64_t look_us = r->sim.now_us;
    while (!r->sim.failed) {
        if (done != NULL && r->sim.now_us >= look_us) {
            if (done(r))
                return true;
            look_us = r->sim.now_us + LOOK_US;
        }
        uint64_t stop_us = done != NULL && look_us < until_us ? look_us : until_us;
        if (!sim_step(&r->sim, stop_us) && stop_us == until_us)
            break;
    }
    return false;
}

/* ---- the end of faults ---- */

static uint64_t status_of(const struct machine *m, const char *name)
{
    uint64_t value = machine_status(m, name);
    return value == UINT64_MAX ? 1 : value;
}

/* What a node still has to do for transactions. Undecided records of others may stay while somebody
 * is away who must be told to forget. */
static uint64_t open_work(const struct machine *m, bool all_are_here)
{
    if (!machine_is_coordinator(m))
        return status_of(m, "in_doubt") + status_of(m, "locking") + status_of(m, "preparing") +
               status_of(m, "deciding") + status_of(m, "locks_held") +
               status_of(m, "reads_waiting");
    return status_of(m, "leading") + status_of(m, "recovering") +
           (all_are_here ? status_of(m, "undecided") + status_of(m, "unsettled") : 0);
}

static bool settled(const struct run *r)
{
    if (!workload_idle(r->workload))
        return false;
    for (int i = 0; i < r->machines; i++) {
        const struct machine *m = &r->machine[i];
        if ((r->down >> i & 1) == 0 &&
            (open_work(m, r->down == 0) != 0 || !machine_storage_idle(m)))
            return false;
    }
    return true;
}

/* A random minority of the coordinators, at most F. */
static uint64_t some_stay_away(struct run *r)
{
    uint64_t down = 0, f = ((uint64_t)r->config.coordinators - 1) / 2;
    uint64_t count = sim_below(&r->sim, f + 1);
    /* Who was away for longer than the retention may be needed: others may have forgotten. */
    if (r->config.retention_ms * UINT64_C(1000) < r->config.duration_us + DECIDED_US)
        return 0;
    while (count-- > 0)
        down |= UINT64_C(1) << sim_below(&r->sim, (uint64_t)r->config.coordinators);
    return down;
}

static void say_what_is_open(struct run *r)
{
    static const char *const names[] = {"in_doubt",   "locking",      "preparing",  "deciding",
                                        "locks_held", "leading",      "recovering", "undecided",
                                        "unsettled",  "reads_waiting"};
    char text[700] = "";
    size_t at = 0;
    for (int i = 0; i < r->machines; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            uint64_t value = machine_status(&r->machine[i], names[k]);
            if (value != 0 && value != UINT64_MAX && at < sizeof text - 64)
                at +=
                    (size_t)snprintf(text + at, sizeof text - at, " %s %s %llu;",
                                     r->machine[i].self->name, names[k], (unsigned long long)value);
        }
    sim_fail(&r->sim, "I9", "no end in sight %s:%s%s", r->down == 0 ? "" : "(some stay away)",
             workload_idle(r->workload) ? "" : " clients wait;", text);
}

static void settle(struct run *r)
{
    r->down = some_stay_away(r);
    nemesis_stop(r->nemesis, r->down);
    workload_stop(r->workload);
    sim_say(&r->sim, "faults stop; away: %llx", (unsigned long long)r->down);
    if (!run_until(r, r->sim.now_us + SETTLE_US, settled))
        say_what_is_open(r);
    if (r->down != 0) {
        r->down = 0;
        nemesis_release(r->nemesis);
        if (!run_until(r, r->sim.now_us + SETTLE_US, settled))
            say_what_is_open(r);
    }
    oracle_check_settled(r->oracle);
}

static bool idle(const struct run *r)
{
    return workload_idle(r->workload);
}

/* What one coordinator's clock shows for longer than the retention is believed: its watermark, and
 * the participants' floors, may be ahead. Then every new id is refused until time has caught up. */
static void await_watermarks(struct run *r)
{
    if (r->config.coordinators > 1)
        return;
    for (int i = 0; i < r->machines; i++) {
        const struct machine *m = &r->machine[i];
        uint64_t until_ms =
            machine_status(m, machine_is_coordinator(m) ? "watermark_ms" : "floor_ms");
        uint64_t now_ms = machine_wall_ms(m); /* right again */
        if (until_ms != UINT64_MAX && until_ms > now_ms)
            run_until(r, r->sim.now_us + (until_ms - now_ms) * 1000, NULL);
    }
}

/* Later, when some or all is forgotten: whatever is answered must still be what was decided. */
static void ask_again(struct run *r)
{
    uint64_t later_us = sim_below(&r->sim, 2 * r->config.retention_ms * UINT64_C(1000));
    run_until(r, r->sim.now_us + later_us, NULL);
    if (sim_one_in(&r->sim, 2)) {
        nemesis_restart_all(r->nemesis);
        run_until(r, r->sim.now_us + RESTARTED_US, NULL);
    }
    workload_ask_again(r->workload, QUESTIONS);
    if (!run_until(r, r->sim.now_us + FINAL_US, idle))
        sim_fail(&r->sim, "I9", "the questions at the end do not end");
}

/* Of a simulation and a configuration that are there; frees the run. */
static void run_all(struct run *r, unsigned recent, struct run_result *result)
{
    sim_config_say(&r->config, &r->sim);
    begin(r);
    nemesis_start(r->nemesis);
    run_until(r, START_ALL_US, NULL);
    workload_start(r->workload);
    run_until(r, r->config.duration_us, NULL);
    settle(r);
    await_watermarks(r);
    workload_read_all(r->workload);
    if (!run_until(r, r->sim.now_us + FINAL_US, idle))
        sim_fail(&r->sim, "I9", "the final reads do not end");
    ask_again(r);
    if (!r->sim.failed)
        workload_check(r->workload);
    memset(result, 0, sizeof *result);
    result->failed = r->sim.failed;
    memcpy(result->check, r->sim.check, sizeof result->check);
    memcpy(result->failure, r->sim.failure, sizeof result->failure);
    result->hash = r->sim.hash;
    result->simulated_us = r->sim.now_us;
    result->events = r->sim.events;
    result->messages = r->net.messages;
    memcpy(result->faults, r->sim.faults, sizeof result->faults);
    oracle_stats(r->oracle, &result->oracle);
    workload_stats(r->workload, &result->workload);
    for (int i = 0; i < r->machines; i++)
        result->starts += r->machine[i].starts;
    if (r->sim.failed && recent > 0)
        sim_show_recent(&r->sim, stderr, recent);
    end(r);
    free(r);
}

void run_seed(uint64_t seed, int scale, FILE *out, unsigned recent, struct run_result *result)
{
    struct run *r = xcalloc(1, sizeof *r);
    sim_init(&r->sim, seed, out);
    sim_config_draw(&r->config, seed, scale);
    run_all(r, recent, result);
}

void run_calm(struct run_result *result)
{
    struct run *r = xcalloc(1, sizeof *r);
    sim_init(&r->sim, 1, NULL);
    sim_config_calm(&r->config);
    run_all(r, 0, result);
}
