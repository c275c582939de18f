#include "participant/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "participant/core.h"
#include "participant/kv_resource.h"
#include "participant/kv_store.h"
#include "participant/record.h"

struct participant_node {
    const struct cluster *cluster;
    struct kv_resource *resource;
    struct kv_store *kv;
    struct participant *core;
};

struct participant_node *participant_node_new(void)
{
    struct participant_node *n = xcalloc(1, sizeof *n);
    n->kv = kv_store_new();
    return n;
}

void participant_node_free(struct participant_node *n)
{
    if (n == NULL)
        return;
    participant_free(n->core);
    kv_resource_free(n->resource);
    kv_store_free(n->kv);
    free(n);
}

static struct store_role store_role(void *arg)
{
    return kv_store_role(((struct participant_node *)arg)->kv);
}

/* ---- the resource's questions to the cluster file ---- */

static bool granted(void *arg, const char *client, struct bytes key, bool write)
{
    const struct participant_node *n = arg;
    return cluster_granted(n->cluster, client, key, write ? GRANT_WRITE : GRANT_READ);
}

static bool granted_range(void *arg, const char *client, struct bytes key, struct bytes end)
{
    const struct participant_node *n = arg;
    return cluster_granted_range(n->cluster, client, key, end);
}

static int copy_replicas(const struct placement *placement, node_id *out)
{
    if (placement == NULL)
        return 0;
    memcpy(out, placement->replica, (size_t)placement->replicas * sizeof *out);
    return placement->replicas;
}

static int replicas(void *arg, struct bytes key, node_id *out)
{
    const struct participant_node *n = arg;
    return copy_replicas(cluster_place(n->cluster, key), out);
}

static int replicas_range(void *arg, struct bytes key, struct bytes end, node_id *out)
{
    const struct participant_node *n = arg;
    return copy_replicas(cluster_place_range(n->cluster, key, end), out);
}

/* ---- opening ---- */

static struct participant *core_new(struct participant_node *n, const struct node_start *start)
{
    const struct cluster *cluster = start->cluster;
    struct participant_config config = {.self = start->self->id,
                                        .incarnation = start->incarnation,
                                        .coordinators = cluster->coordinators,
                                        .in_doubt_timeout_ms = cluster->in_doubt_timeout_ms,
                                        .retention_ms = cluster->retention_ms,
                                        .clock_ahead_ms = cluster->clock_ahead_ms,
                                        .seed = start->seed};
    struct kv_policy policy = {.arg = n,
                               .self = start->self->id,
                               .placement_hash = cluster->placement_hash,
                               .granted = granted,
                               .granted_range = granted_range,
                               .replicas = replicas,
                               .replicas_range = replicas_range};
    memcpy(config.coordinator, cluster->coordinator, sizeof config.coordinator);
    for (int i = 0; i < cluster->coordinators; i++) {
        const struct cluster_node *c = cluster_node(cluster, cluster->coordinator[i]);
        if (c->datacenter == start->self->datacenter)
            config.near_coordinator = c->id;
    }
    n->cluster = cluster;
    n->resource = kv_resource_new(&policy);
    struct resource resource = kv_resource_ops(n->resource);
    return participant_new(&config, &resource);
}

struct restoring {
    struct participant_node *node;
    const struct cluster *cluster;
    uint32_t in_doubt;
    uint32_t foreign; /* epoch of a record of another coordinator set, 0: none */
    bool damaged;
};

static void restore(void *arg, const struct record *prepared)
{
    struct restoring *r = arg;
    struct prepared_record p;
    r->in_doubt++;
    if (!prepared_record_decode(blob_bytes(prepared->body), &p) ||
        !participant_restore(r->node->core, prepared)) {
        r->damaged = true;
        return;
    }
    if (p.head.epoch != r->cluster->epoch || p.head.set_hash != r->cluster->set_hash)
        r->foreign = p.head.epoch;
}

static assent_status node_open(void *arg, const struct node_start *start, uint32_t *in_doubt,
                               char *why, size_t why_size)
{
    struct participant_node *n = arg;
    struct restoring r = {.node = n, .cluster = start->cluster};
    const struct store_node *found = &start->recovered;
    hlc_ts from = found->ceiling > found->newest ? found->ceiling : found->newest;
    uint64_t newest_ms = kv_store_newest_ms(n->kv, log_store_db(start->store));
    n->core = core_new(n, start);
    if (newest_ms == UINT64_MAX) {
        snprintf(why, why_size, "the database cannot be read: mend its disk and start again");
        return ASSENT_STORAGE;
    }
    participant_restored(n->core, from, found->watermark, newest_ms);
    kv_store_each_prepared(n->kv, restore, &r);
    *in_doubt = r.in_doubt;
    if (r.damaged) {
        snprintf(why, why_size,
                 "a prepared record is damaged; replace this node "
                 "(docs/operations.md), do not edit its database");
        return ASSENT_CORRUPT;
    }
    if (r.foreign != 0) {
        snprintf(
            why, why_size,
            "%u transactions are in doubt, some of epoch %u or another coordinator set, but the "
            "cluster file is of epoch %u: start all nodes with the old cluster file until they "
            "are decided",
            r.in_doubt, r.foreign, start->cluster->epoch);
        return ASSENT_CONFIG;
    }
    return ASSENT_OK;
}

static void node_close(void *arg)
{
    struct participant_node *n = arg;
    participant_free(n->core);
    n->core = NULL;
    kv_resource_free(n->resource);
    n->resource = NULL;
}

/* ---- the core ---- */

static void start(void *arg, uint64_t now_us, uint64_t wall_ms, struct effects *effects)
{
    participant_start(((struct participant_node *)arg)->core, now_us, wall_ms, effects);
}

static void step(void *arg, const struct event *event, struct effects *effects)
{
    participant_step(((struct participant_node *)arg)->core, event, effects);
}

static uint64_t deadline(void *arg)
{
    return participant_deadline(((struct participant_node *)arg)->core);
}

static void stop(void *arg)
{
    participant_stop(((struct participant_node *)arg)->core);
}

static bool idle(void *arg)
{
    struct participant_stats s;
    participant_stats(((struct participant_node *)arg)->core, 0, &s);
    return s.locking == 0 && s.preparing == 0 && s.deciding == 0;
}

static void status(void *arg, uint64_t now_us, struct writer *text)
{
    struct participant_node *n = arg;
    struct participant_stats s;
    char line[1024];
    participant_stats(n->core, now_us, &s);
    int len = snprintf(
        line, sizeof line,
        "in_doubt %u\nin_doubt_oldest_ms %llu\nlocking %u\npreparing %u\ndeciding %u\n"
        "in_memory %u\nreads_waiting %u\nwatches %u\nchanges_kept %u\nlocks_held %u\nlocks_waiting "
        "%u\nprepared %llu\n"
        "refused %llu\ncommitted %llu\naborted %llu\none_phase %llu\ninquiries %llu\nreads %llu\n"
        "floor_ms %llu\n",
        s.in_doubt, (unsigned long long)(s.in_doubt_oldest_us / 1000), s.locking, s.preparing,
        s.deciding, s.in_memory, s.reads_waiting, s.watches, s.changes,
        kv_resource_locks_held(n->resource), kv_resource_locks_waiting(n->resource),
        (unsigned long long)s.prepared, (unsigned long long)s.refused,
        (unsigned long long)s.committed, (unsigned long long)s.aborted,
        (unsigned long long)s.one_phase, (unsigned long long)s.inquiries,
        (unsigned long long)s.reads, (unsigned long long)hlc_to_ms(s.floor));
    writer_raw(text, line, (size_t)len);
}

/* ---- the storage thread ---- */

/* Puts what the transaction read into its prepared record, so that its vote is the same after a
 * restart. */
static void add_results(struct record *record, struct blob *results)
{
    struct prepared_record p;
    if (results == NULL || record->kind != RECORD_PREPARED ||
        !prepared_record_decode(blob_bytes(record->body), &p))
        return;
    p.results = blob_bytes(results);
    struct blob *body = prepared_record_encode(&p);
    blob_unref(record->body);
    record->body = body;
}

static void check(void *arg, struct sqlite3 *db, struct record *record, struct blob *ops,
                  struct node_verdict *out)
{
    struct participant_node *n = arg;
    struct kv_verdict verdict = {0};
    kv_store_check(n->kv, db, &record->txid, ops, &verdict);
    *out = (struct node_verdict){verdict.status, verdict.detail, verdict.results};
    if (verdict.status == ASSENT_OK)
        add_results(record, verdict.results);
}

static void durable(void *arg, const struct record *record)
{
    kv_store_durable(((struct participant_node *)arg)->kv, record);
}

static void read_keys(void *arg, struct sqlite3 *db, const struct read_point *point,
                      struct blob *ops, struct node_verdict *out)
{
    struct kv_verdict verdict = {0};
    kv_store_read(((struct participant_node *)arg)->kv, db, point, ops, &verdict);
    *out = (struct node_verdict){verdict.status, verdict.detail, verdict.results};
}

static assent_status lookup(void *arg, struct sqlite3 *db, const struct txid *txid, bool *found,
                            struct record *out)
{
    return kv_store_outcome(((struct participant_node *)arg)->kv, db, txid, found, out);
}

struct node_role participant_node_role(struct participant_node *n)
{
    return (struct node_role){.role = ROLE_PARTICIPANT,
                              .program = "assent-participant",
                              .summary = "A participant of an Assent cluster: holds keys, votes on "
                                         "transactions, applies what was decided.",
                              .arg = n,
                              .store_role = store_role,
                              .open = node_open,
                              .close = node_close,
                              .start = start,
                              .step = step,
                              .deadline = deadline,
                              .stop = stop,
                              .idle = idle,
                              .status = status,
                              .check = check,

                              .durable = durable,
                              .read = read_keys,
                              .lookup = lookup};
}
