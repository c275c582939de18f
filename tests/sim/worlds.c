/* A crash right after a point that happened to another process is the same as one right after the
 * own last point, but for time; so only own points count, and the moment before the first. Both a
 * kill and a loss of power, both with a quick restart and one after everybody's timeouts. */
#include "tests/sim/worlds.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/config.h"
#include "tests/sim/machine.h"

#define MACHINES_MAX 6
#define CRASHES_MAX  2
#define CONNECT_US   2000000u
#define SETTLE_US    UINT64_C(60000000)
#define TIMEOUT_US   4000000u

struct crash {
    uint64_t after; /* points since the start of the transaction */
    int machine;
};

struct variant {
    enum disks_loss loss;
    uint64_t down_us;
};

static const struct variant variants[] = {
    {DISKS_LOSE_POWER, 20000}, {DISKS_LOSE_POWER, 6000000}, {DISKS_LOSE_PROCESS, 20000}};
#define VARIANTS (sizeof variants / sizeof variants[0])

struct world {
    struct sim sim;
    struct net net;
    struct disks *disks;
    struct cluster *cluster;
    struct oracle *oracle;
    int machines;
    struct machine machine[MACHINES_MAX];
    struct sim_timer restart[MACHINES_MAX];
    struct client client;
    assent_txn *txn;
    assent_status status; /* what the client heard; UNKNOWN: nothing yet */
    bool answered;
    uint64_t base; /* points before the transaction */
};

/* What happened in a run: after which points which machine could have crashed. */
struct history_of_points {
    uint64_t n;
    int machine[512]; /* by point; -1: not a machine's */
};

static void on_restart(void *arg)
{
    machine_start(arg);
}

static void world_config(struct sim_config *c, int coordinators)
{
    memset(c, 0, sizeof *c);
    c->coordinators = coordinators;
    c->participants = 2;
    c->datacenters = coordinators;
    c->in_doubt_ms = 500;
    c->txid_skew_ms = 60000;
    c->retention_ms = 3600000;
    c->workload.clients = 1;
    c->workload.prefixes = 2;
    strcpy(c->workload.prefix[0], "p1/");
    strcpy(c->workload.prefix[1], "p2/");
}

static void world_begin(struct world *w, int coordinators, FILE *out)
{
    struct sim_config config;
    memset(w, 0, sizeof *w);
    sim_init(&w->sim, 1, out);
    world_config(&config, coordinators);
    w->cluster = sim_config_cluster(&config);
    w->disks = disks_new(1);
    net_init(&w->net, &w->sim);
    for (int a = 0; a < coordinators; a++)
        for (int b = 0; b < coordinators; b++)
            w->net.latency_us[a][b] = a == b ? 0 : 10000;
    w->oracle = oracle_new(&w->sim, coordinators);
    for (int i = 0; i < w->cluster->nodes; i++) {
        struct machine *m = &w->machine[w->machines++];
        machine_init(m, &w->sim, w->disks, &w->net, w->cluster, &w->cluster->node[i]);
        m->watch = oracle_machine_watch(w->oracle);
        w->restart[i] = (struct sim_timer){.fire = on_restart, .arg = m};
    }
    for (int i = 0; i < w->machines; i++)
        machine_start(&w->machine[i]);
    client_init(&w->client, &w->sim, &w->net, w->cluster, &w->cluster->client[0], 0);
    w->client.watch = oracle_client_watch(w->oracle);
    client_start(&w->client);
    while (sim_step(&w->sim, CONNECT_US))
        continue;
}

static void world_end(struct world *w)
{
    client_free(&w->client);
    assent_txn_free(w->txn);
    for (int i = 0; i < w->machines; i++) {
        sim_clear(&w->sim, &w->restart[i]);
        machine_free(&w->machine[i]);
    }
    net_free(&w->net);
    disks_free(w->disks);
    oracle_free(w->oracle);
    cluster_free(w->cluster);
    sim_free(&w->sim);
}

static void on_committed(struct call *call)
{
    struct world *w = call->arg;
    w->status = call->session.status;
    w->answered = true;
}

static void world_commit(struct world *w)
{
    w->base = w->sim.points;
    w->txn = txn_new(NULL, w->cluster, 0);
    assent_put(w->txn, "p1/a", 4, "1", 1);
    assent_add(w->txn, "p2/b", 4, 1, NULL);
    client_commit(&w->client, w->txn, TIMEOUT_US, on_committed, w);
}

static bool open_at(const struct machine *m)
{
    static const char *const names[] = {"in_doubt", "locking",    "preparing", "deciding",
                                        "leading",  "recovering", "undecided", "unsettled"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t value = machine_status(m, names[i]);
        if (value != 0 && value != UINT64_MAX)
            return true;
    }
    return m->state != MACHINE_RUNNING || !machine_storage_idle(m);
}

static bool world_settled(const struct world *w)
{
    for (int i = 0; i < w->machines; i++)
        if (open_at(&w->machine[i]))
            return false;
    return w->answered;
}

static void crash_now(struct world *w, const struct crash *c, const struct variant *v)
{
    struct machine *m = &w->machine[c->machine];
    sim_say(&w->sim, "%s crashes", m->self->name);
    machine_crash(m, v->loss);
    sim_at(&w->sim, &w->restart[c->machine], w->sim.now_us + v->down_us);
}

/* With everything at rest, both keys have the transaction's effect, or neither. */
static void check_effects(struct world *w)
{
    struct outcome outcome = oracle_outcome(w->oracle, &w->txn->txid);
    if (w->status == ASSENT_OK && outcome.kind != OUTCOME_COMMITTED)
        sim_fail(&w->sim, "I1", "the client heard of a commit that nobody knows");
    if (w->status != ASSENT_OK && !assent_maybe_committed(w->status) &&
        outcome.kind == OUTCOME_COMMITTED)
        sim_fail(&w->sim, "I1", "the client heard %s, and the transaction is committed",
                 assent_status_name(w->status));
    oracle_check_settled(w->oracle);
}

static void note_points(const struct world *w, struct history_of_points *h)
{
    while (h->n < w->sim.points - w->base) {
        int process = w->sim.last_point;
        if (h->n == sizeof h->machine / sizeof h->machine[0])
            return;
        h->machine[h->n++] = process < w->machines ? process : -1;
    }
}

/* One world: crashes in the order of their points. */
static void world_run(int coordinators, const struct crash *crash, int crashes,
                      const struct variant *v, FILE *out, struct history_of_points *points,
                      struct worlds_result *r)
{
    struct world *w = xcalloc(1, sizeof *w);
    int next = 0;
    points->n = 0;
    world_begin(w, coordinators, out);
    world_commit(w);
    uint64_t until_us = w->sim.now_us + SETTLE_US;
    while (!w->sim.failed && w->sim.now_us < until_us) {
        note_points(w, points);
        while (next < crashes && w->sim.points - w->base >= crash[next].after)
            crash_now(w, &crash[next++], v);
        if (next == crashes && world_settled(w))
            break;
        sim_step(&w->sim, until_us);
    }
    if (!world_settled(w))
        sim_fail(&w->sim, "I9", "the world does not come to rest");
    check_effects(w);
    r->runs++;
    r->committed += w->status == ASSENT_OK;
    r->aborted += !assent_maybe_committed(w->status) && w->status != ASSENT_OK;
    if (w->sim.failed) {
        r->failed++;
        fprintf(stderr, "world fails: %d coordinators, variant %d:", coordinators,
                (int)(v - variants));
        for (int i = 0; i < crashes; i++)
            fprintf(stderr, " %s after %llu;", w->cluster->node[crash[i].machine].name,
                    (unsigned long long)crash[i].after);
        fprintf(stderr, " %s: %s\n", w->sim.check, w->sim.failure);
        if (r->failed == 1)
            sim_show_recent(&w->sim, stderr, 80);
    }
    world_end(w);
    free(w);
}

/* Every place where one more crash may come: each machine before its first point from `from` on,
 * and after each of its own. */
static int places(const struct history_of_points *h, uint64_t from, int machines, struct crash *out)
{
    int n = 0;
    for (int m = 0; m < machines; m++)
        out[n++] = (struct crash){from, m};
    for (uint64_t p = from; p < h->n; p++)
        if (h->machine[p] >= 0)
            out[n++] = (struct crash){p + 1, h->machine[p]};
    return n;
}

static void worlds_of(int coordinators, const struct variant *v, int jobs, int job, FILE *out,
                      struct worlds_result *r)
{
    static struct crash first[600], second[600];
    struct history_of_points calm, after;
    struct crash crash[CRASHES_MAX];
    int machines = coordinators + 2;
    world_run(coordinators, NULL, 0, v, out, &calm, r);
    int firsts = places(&calm, 0, machines, first);
    for (int i = 0; i < firsts; i++) {
        if (i % jobs != job)
            continue;
        crash[0] = first[i];
        world_run(coordinators, crash, 1, v, out, &after, r);
        r->singles++;
        int seconds = places(&after, first[i].after, machines, second);
        for (int k = 0; k < seconds; k++) {
            struct history_of_points ignored;
            crash[1] = second[k];
            world_run(coordinators, crash, 2, v, out, &ignored, r);
            r->pairs++;
        }
    }
}

void worlds_run(int coordinators, int jobs, int job, FILE *out, struct worlds_result *result)
{
    memset(result, 0, sizeof *result);
    for (size_t v = 0; v < VARIANTS; v++)
        worlds_of(coordinators, &variants[v], jobs, job, out, result);
}
