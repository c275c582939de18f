#include "coordinator/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core.h"
#include "coordinator/store.h"

struct coordinator_node {
    struct coordinator *core;
    struct coordinator_store *store;
};

struct coordinator_node *coordinator_node_new(void)
{
    struct coordinator_node *n = xcalloc(1, sizeof *n);
    n->store = coordinator_store_new();
    return n;
}

void coordinator_node_free(struct coordinator_node *n)
{
    if (n == NULL)
        return;
    coordinator_free(n->core);
    coordinator_store_free(n->store);
    free(n);
}

static struct store_role store_role(void *arg)
{
    struct coordinator_node *n = arg;
    return coordinator_store_role(n->store);
}

static struct coordinator *core_new(const struct node_start *start)
{
    const struct cluster *cluster = start->cluster;
    struct coordinator_config config = {.self = start->self->id,
                                        .incarnation = start->incarnation,
                                        .epoch = cluster->epoch,
                                        .set_hash = cluster->set_hash,
                                        .coordinators = cluster->coordinators,
                                        .retention_ms = cluster->retention_ms,
                                        .txid_skew_ms = cluster->txid_skew_ms,
                                        .clock_ahead_ms = cluster->clock_ahead_ms,
                                        .seed = start->seed};
    node_id participant[NODES_MAX];
    memcpy(config.coordinator, cluster->coordinator, sizeof config.coordinator);
    for (int i = 0; i < cluster->nodes; i++)
        if (cluster->node[i].role == ROLE_PARTICIPANT)
            participant[config.participants++] = cluster->node[i].id;
    config.participant = participant;
    return coordinator_new(&config);
}

static bool restore(void *arg, const struct record *record)
{
    struct coordinator_node *n = arg;
    return coordinator_restore(n->core, record);
}

struct epoch_check {
    const struct cluster *cluster;
    uint32_t undecided;
    uint32_t foreign; /* epoch of an undecided record of another coordinator set, 0: none */
};

static void check_epoch(void *arg, const struct coordinator_view *view)
{
    struct epoch_check *check = arg;
    if (view->outcome.kind != OUTCOME_NONE)
        return;
    check->undecided++;
    if (view->head.epoch != check->cluster->epoch ||
        view->head.set_hash != check->cluster->set_hash)
        check->foreign = view->head.epoch;
}

static assent_status load(struct coordinator_node *n, const struct node_start *start)
{
    struct sqlite3 *db = log_store_db(start->store);
    const struct record watermark = {.kind = RECORD_WATERMARK, .ts = start->recovered.watermark};
    uint64_t newest_ms;
    assent_status status = coordinator_store_newest_ms(n->store, db, &newest_ms);
    if (status != ASSENT_OK)
        return status;
    coordinator_restore(n->core, &watermark);
    coordinator_restored_until(n->core, newest_ms);
    return coordinator_store_each(n->store, db, restore, n);
}

static assent_status node_open(void *arg, const struct node_start *start, uint32_t *in_doubt,
                               char *why, size_t why_size)
{
    struct coordinator_node *n = arg;
    struct epoch_check check = {.cluster = start->cluster};
    n->core = core_new(start);
    assent_status status = load(n, start);
    if (status == ASSENT_STORAGE)
        snprintf(why, why_size, "the database cannot be read: mend its disk and start again");
    else if (status != ASSENT_OK)
        snprintf(why, why_size,
                 "a record in the log is damaged; replace this node "
                 "(docs/operations.md), do not edit its database");
    if (status != ASSENT_OK)
        return status;
    coordinator_each(n->core, check_epoch, &check);
    if (check.foreign != 0) {
        snprintf(
            why, why_size,
            "%u transactions are not decided, some of epoch %u or another coordinator set, but "
            "the cluster file is of epoch %u: start all nodes with the old cluster file until "
            "they are decided",
            check.undecided, check.foreign, start->cluster->epoch);
        return ASSENT_CONFIG;
    }
    *in_doubt = check.undecided;
    return ASSENT_OK;
}

static void node_close(void *arg)
{
    struct coordinator_node *n = arg;
    coordinator_free(n->core);
    n->core = NULL;
}

static void start(void *arg, uint64_t now_us, uint64_t wall_ms, struct effects *effects)
{
    coordinator_start(((struct coordinator_node *)arg)->core, now_us, wall_ms, effects);
}

static void step(void *arg, const struct event *event, struct effects *effects)
{
    coordinator_step(((struct coordinator_node *)arg)->core, event, effects);
}

static uint64_t deadline(void *arg)
{
    return coordinator_deadline(((struct coordinator_node *)arg)->core);
}

static void stop(void *arg)
{
    coordinator_stop(((struct coordinator_node *)arg)->core);
}

static bool idle(void *arg)
{
    struct coordinator_stats stats;
    coordinator_stats(((struct coordinator_node *)arg)->core, &stats);
    return stats.leading == 0 && stats.forgetting == 0;
}

static void status(void *arg, uint64_t now_us, struct writer *text)
{
    struct coordinator_stats s;
    char line[512];
    (void)now_us;
    coordinator_stats(((struct coordinator_node *)arg)->core, &s);
    int n = snprintf(line, sizeof line,
                     "in_memory %u\nleading %u\nrecovering %u\nundecided %u\nunsettled %u\n"
                     "committed %llu\naborted %llu\nrecoveries %llu\nanswered %llu\n"
                     "watermark_ms %llu\n",
                     s.in_memory, s.leading, s.recovering, s.undecided, s.unsettled,
                     (unsigned long long)s.committed, (unsigned long long)s.aborted,
                     (unsigned long long)s.recoveries, (unsigned long long)s.answered,
                     (unsigned long long)hlc_to_ms(s.watermark));
    writer_raw(text, line, (size_t)n);
}

static void durable(void *arg, const struct record *record)
{
    coordinator_store_durable(((struct coordinator_node *)arg)->store, record);
}

static assent_status lookup(void *arg, struct sqlite3 *db, const struct txid *txid, bool *found,
                            struct record *out)
{
    return coordinator_store_lookup(((struct coordinator_node *)arg)->store, db, txid, found, out);
}

struct node_role coordinator_node_role(struct coordinator_node *n)
{
    return (struct node_role){.role = ROLE_COORDINATOR,
                              .program = "assent-coordinator",
                              .summary =
                                  "A coordinator of an Assent cluster: leads the transactions "
                                  "of nearby clients and accepts votes for all others.",
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
                              .durable = durable,
                              .lookup = lookup};
}
