#include "tests/sim/config.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/cluster_write.h"

static uint64_t between(struct prng *p, uint64_t low, uint64_t high)
{
    return low + prng_below(p, high - low + 1);
}

static bool one_in(struct prng *p, uint64_t n)
{
    return prng_below(p, n) == 0;
}

/* Each participant has keys of its own, or some replicate others, or some replicate all. */
static void draw_placements(struct workload_config *w, struct prng *p, int participants)
{
    bool replicated = one_in(p, 2), alone = one_in(p, 3);
    w->prefixes = 0;
    for (int i = 0; i < participants && !(replicated && alone); i++)
        snprintf(w->prefix[w->prefixes++], sizeof w->prefix[0], "p%d/", i + 1);
    if (replicated)
        snprintf(w->prefix[w->prefixes++], sizeof w->prefix[0], "r%d/",
                 (int)between(p, 2, (uint64_t)participants));
}

/* Clients of their own, and much to see. */
static void draw_watchers(struct workload_config *w, struct prng *p)
{
    w->watchers = (int)between(p, 0, 3);
    if (w->watchers == 0)
        return;
    w->clients += w->watchers;
    w->lists += (int)between(p, 0, WORKLOAD_KEYS_MAX - 8);
    w->weight[WORK_APPEND] += 5;
}

static void draw_workload(struct workload_config *w, struct prng *p, int participants)
{
    w->clients = (int)between(p, 2, 6);
    w->accounts = (int)between(p, 2, 6);
    w->lists = (int)between(p, 1, 8);
    w->registers = (int)between(p, 1, 3);
    w->counters = (int)between(p, 1, 2);
    for (int i = 0; i < WORKS; i++)
        w->weight[i] = one_in(p, 3) ? 0 : (uint32_t)between(p, 1, 10);
    if (one_in(p, 2)) /* transactions only: reads beside them take the time that faults are about */
        w->weight[WORK_READ_AT_LEVEL] = w->weight[WORK_SNAPSHOT_ACCOUNTS] = w->weight[WORK_WATCH] =
            0;
    else
        draw_watchers(w, p);
    w->weight[WORK_TRANSFER] += 2;
    w->weight[WORK_APPEND] += 2;
    w->think_us = between(p, 0, 3) * between(p, 1, 200000);
    w->timeout_us = one_in(p, 3) ? between(p, 100000, 1000000) : between(p, 1000000, 10000000);
    w->repeat_one_in = one_in(p, 2) ? (uint32_t)between(p, 2, 20) : 0;
    draw_placements(w, p, participants);
}

void sim_config_draw(struct sim_config *c, uint64_t seed, int scale)
{
    static const int coordinators[] = {1, 1, 3, 3, 3, 5};
    struct prng prng, *p = &prng;
    prng_seed(p, seed ^ UINT64_C(0x5eed5eed5eed5eed));
    memset(c, 0, sizeof *c);
    c->coordinators = coordinators[prng_below(p, 6)];
    c->participants = (int)between(p, 2, 5);
    c->datacenters = c->coordinators > 1 ? c->coordinators : (int)between(p, 1, 3);
    c->coded = one_in(p, 8);
    for (int i = 0; i < c->datacenters; i++)
        c->one_way_us[i] = one_in(p, 3) ? 0 : (uint32_t)between(p, 100, 60000);
    c->jitter_us = (uint32_t)(one_in(p, 2) ? between(p, 0, 200) : between(p, 0, 30000));
    c->sync_us = (uint32_t)(one_in(p, 4) ? between(p, 1000, 20000) : between(p, 50, 500));
    c->in_doubt_ms = (uint32_t)between(p, 200, 2000);
    c->txid_skew_ms = (uint32_t)between(p, 2000, 12000);
    c->retention_ms = 4 * c->txid_skew_ms + (uint32_t)between(p, 0, 20000);
    c->duration_us = between(p, 2000000, 8000000) * (uint64_t)scale;
    c->fault_every_us = one_in(p, 10) ? 0 : between(p, 50000, 1500000);
    for (int i = 0; i < NEMESIS_KINDS; i++)
        c->does[i] = one_in(p, i >= NEMESIS_KILL_AT_STEP ? 3 : 4);
    c->does[prng_below(p, NEMESIS_KINDS)] = true;
    draw_workload(&c->workload, p, c->participants);
    if (one_in(p, 4)) { /* the watermark is close behind */
        c->workload.timeout_us = between(p, 100000, 800000);
        c->txid_skew_ms = (uint32_t)(300 + c->workload.timeout_us / 1000);
        c->retention_ms = 4 * c->txid_skew_ms;
        c->duration_us = (3 * c->retention_ms + between(p, 0, 4000)) * 1000 * (uint64_t)scale;
    }
    if (one_in(p, 5)) /* who is in doubt is impatient */
        c->in_doubt_ms = (uint32_t)between(p, 5, 200);
    if (!one_in(p, 4)) /* otherwise no batch comes between */
        c->apply_step = one_in(p, 3) ? 5 : 1;
}

void sim_config_calm(struct sim_config *c)
{
    *c = (struct sim_config){.coordinators = 1,
                             .participants = 2,
                             .datacenters = 1,
                             .coded = true,
                             .sync_us = 100,
                             .in_doubt_ms = IN_DOUBT_TIMEOUT_MS,
                             .txid_skew_ms = 1000,
                             .retention_ms = 4000,
                             .duration_us = 400000};
    c->workload = (struct workload_config){.clients = WORKLOAD_CLIENTS_MAX,
                                           .accounts = WORKLOAD_KEYS_MAX,
                                           .lists = 1,
                                           .registers = 1,
                                           .counters = 1,
                                           .timeout_us = 10000000,
                                           .prefixes = 2,
                                           .prefix = {"p1/", "p2/"}};
    c->workload.weight[WORK_TRANSFER] = 1;
}

/* ---- the cluster file ---- */

static void add_nodes(struct cluster *cluster, const struct sim_config *c)
{
    for (int i = 0; i < c->coordinators + c->participants; i++) {
        struct cluster_node *n = &cluster->node[cluster->nodes++];
        bool coordinator = i < c->coordinators;
        int number = coordinator ? i : i - c->coordinators;
        n->id = (node_id)(i + 1);
        n->role = coordinator ? ROLE_COORDINATOR : ROLE_PARTICIPANT;
        n->datacenter = number % c->datacenters;
        snprintf(n->name, sizeof n->name, "%c%d", coordinator ? 'c' : 'p', number + 1);
        strcpy(n->host, "127.0.0.1");
        n->port = (uint16_t)(7000 + i);
        n->keys = 1;
        memset(n->key[0], i + 1, sizeof n->key[0]);
    }
}

/* "p3/" is held by participant 3, "r4/" by the first four. */
static void add_placements(struct cluster *cluster, const struct sim_config *c)
{
    for (int i = 0; i < c->workload.prefixes; i++) {
        struct placement *at = &cluster->placement[cluster->placements++];
        const char *prefix = c->workload.prefix[i];
        int number = atoi(prefix + 1), first = prefix[0] == 'p' ? number : 1;
        at->prefix = bytes_of_text(prefix);
        for (int p = first; p <= number; p++)
            at->replica[at->replicas++] = (node_id)(c->coordinators + p);
    }
}

struct cluster *sim_config_cluster(const struct sim_config *c)
{
    struct cluster cluster = {.epoch = 1,
                              .in_doubt_timeout_ms = c->in_doubt_ms,
                              .retention_ms = c->retention_ms,
                              .clock_ahead_ms = CLOCK_AHEAD_MS_DEFAULT,
                              .txid_skew_ms = c->txid_skew_ms};
    char datacenter[NET_DATACENTERS_MAX][NAME_BYTES_MAX + 1], why[512] = "";
    struct cluster_node node[2 * COORDINATORS_MAX + WORKLOAD_KEYS_MAX] = {0};
    struct cluster_client client[WORKLOAD_CLIENTS_MAX] = {0};
    struct placement placement[WORKLOAD_KEYS_MAX] = {0};
    cluster.datacenter = datacenter;
    cluster.node = node;
    cluster.client = client;
    cluster.placement = placement;
    memset(cluster.id, 0x51, sizeof cluster.id);
    strcpy(cluster.name, "sim");
    for (; cluster.datacenters < c->datacenters; cluster.datacenters++)
        snprintf(datacenter[cluster.datacenters], sizeof datacenter[0], "d%d",
                 cluster.datacenters + 1);
    add_nodes(&cluster, c);
    add_placements(&cluster, c);
    for (; cluster.clients < c->workload.clients; cluster.clients++) {
        struct cluster_client *k = &client[cluster.clients];
        snprintf(k->name, sizeof k->name, "k%d", cluster.clients + 1);
        k->keys = 1;
        k->admin = true;
        memset(k->key[0], 0x80 + cluster.clients, sizeof k->key[0]);
    }
    struct writer text = {0};
    cluster_text(&cluster, &text);
    struct cluster *parsed = cluster_parse((char *)text.data, text.len, "sim", why, sizeof why);
    writer_free(&text);
    if (parsed == NULL) {
        fprintf(stderr, "sim: the cluster file is refused: %s\n", why);
        abort();
    }
    return parsed;
}

void sim_config_say(const struct sim_config *c, struct sim *sim)
{
    static const char *const names[] = {
#define NEMESIS_NAME(name) #name,
        NEMESIS_MAP(NEMESIS_NAME)
#undef NEMESIS_NAME
    };
    char faults[SIM_LINE_BYTES] = "";
    size_t at = 0;
    for (int i = 0; i < NEMESIS_KINDS; i++)
        if (c->does[i] && c->fault_every_us > 0 && at < sizeof faults - 24)
            at += (size_t)snprintf(faults + at, sizeof faults - at, " %s", names[i]);
    sim_say(sim, "%d coordinators, %d participants, %d datacenters, %d clients, %d prefixes",
            c->coordinators, c->participants, c->datacenters, c->workload.clients,
            c->workload.prefixes);
    sim_say(sim, "faults every %llu ms:%s", (unsigned long long)(c->fault_every_us / 1000), faults);
}
