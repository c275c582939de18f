/* The coordinator's core: leader, acceptor and recovering coordinator of every transaction
 * (docs/protocol.md). A pure state machine: events in, effects out; no clock, socket, thread, disk
 * or random source inside. The daemon and the simulator drive the same code. */
#ifndef COORDINATOR_CORE_H
#define COORDINATOR_CORE_H

#include "common/effects.h"

struct coordinator;

struct coordinator_config {
    node_id self;
    uint32_t incarnation; /* of this start; already durable */
    uint32_t epoch;
    uint64_t set_hash;
    int coordinators;                      /* 2F+1 */
    node_id coordinator[COORDINATORS_MAX]; /* ascending, self among them */
    int participants;
    const node_id *participant; /* every participant of the cluster; copied */
    uint32_t retention_ms;
    uint32_t txid_skew_ms;
    uint32_t clock_ahead_ms;
    uint64_t seed; /* for back-off, and for what no client may foresee */
};

struct coordinator_stats {
    uint32_t in_memory, leading, recovering, undecided, unsettled;
    uint32_t forgetting; /* finished, and the others not told yet */
    uint64_t committed, aborted, recoveries, answered;
    hlc_ts watermark;
};

struct coordinator *coordinator_new(const struct coordinator_config *config);
void coordinator_free(struct coordinator *c);

/* After a restart, before coordinator_start: every record that is not settled, in log order, and
 * the WATERMARK. False: the body is damaged. */
bool coordinator_restore(struct coordinator *c, const struct record *record);
/* Txids with a time below this may have outcomes on the disk that are not in memory. */
void coordinator_restored_until(struct coordinator *c, uint64_t newest_txid_ms);
/* Begins: with one coordinator, decisions that were durable are sent again. */
void coordinator_start(struct coordinator *c, uint64_t now_us, uint64_t wall_ms,
                       struct effects *effects);

/* From now on refuses new transactions (STOPPING) and goes on deciding. */
void coordinator_stop(struct coordinator *c);

void coordinator_step(struct coordinator *c, const struct event *event, struct effects *effects);
/* When it wants EVENT_TICK, in microseconds; TIMERS_NEVER if not at all. */
uint64_t coordinator_deadline(const struct coordinator *c);
void coordinator_stats(const struct coordinator *c, struct coordinator_stats *out);

/* Calls back for every transaction in memory, for status and invariant checks. */
struct coordinator_view {
    struct tx_head head;
    const char *state;
    struct outcome outcome;
    struct ballot promised;
    const struct participants *participants;
    const struct accepted *accepted; /* one per participant, NULL: none */
};
void coordinator_each(const struct coordinator *c,
                      void (*each)(void *arg, const struct coordinator_view *view), void *arg);

#endif
