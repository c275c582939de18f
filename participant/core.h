/* The participant's commit core: votes, applies decisions, asks when in doubt (docs/protocol.md). A
 * pure state machine over a `struct resource`, without any idea of what the operations are. */
#ifndef PARTICIPANT_CORE_H
#define PARTICIPANT_CORE_H

#include "common/effects.h"
#include "participant/resource.h"

struct participant;

struct participant_config {
    node_id self;
    uint32_t incarnation;                  /* of this start; already durable */
    int coordinators;                      /* 2F+1 */
    node_id coordinator[COORDINATORS_MAX]; /* ascending */
    node_id near_coordinator;              /* in this datacenter, or 0 */
    uint32_t in_doubt_timeout_ms;
    uint32_t retention_ms;
    uint32_t clock_ahead_ms;
    uint32_t changes_max; /* kept for watches; 0: CHANGES_MAX */
    uint64_t seed;        /* spreads repetitions; for what no client may foresee */
};

struct participant_stats {
    uint32_t locking, preparing, in_doubt, deciding, in_memory, reads_waiting, watches;
    uint32_t changes; /* kept for watches */
    uint64_t prepared, refused, committed, aborted, one_phase, inquiries, reads;
    uint64_t in_doubt_oldest_us; /* age */
    hlc_ts floor;
};

struct participant *participant_new(const struct participant_config *config,
                                    const struct resource *resource);
void participant_free(struct participant *p);

/* After a restart, before anything else: a PREPARED record without decision. False: damaged. */
bool participant_restore(struct participant *p, const struct record *prepared);
/* The rest of what the database knew: no timestamp up to `ceiling` is issued again; the floor;
 * txids with a time up to newest_txid_ms may have outcomes on the disk that are not in memory. */
void participant_restored(struct participant *p, hlc_ts ceiling, hlc_ts floor,
                          uint64_t newest_txid_ms);
void participant_start(struct participant *p, uint64_t now_us, uint64_t wall_ms,
                       struct effects *effects);
/* From now on refuses new transactions (STOPPING) and goes on deciding. */
void participant_stop(struct participant *p);

void participant_step(struct participant *p, const struct event *event, struct effects *effects);
/* When it wants EVENT_TICK, in microseconds; TIMERS_NEVER if not at all. */
uint64_t participant_deadline(const struct participant *p);
void participant_stats(const struct participant *p, uint64_t now_us, struct participant_stats *out);

struct participant_view {
    struct tx_head head;
    const char *state;
    hlc_ts prepare_ts;
    struct outcome outcome;
};
void participant_each(const struct participant *p,
                      void (*each)(void *arg, const struct participant_view *view), void *arg);

#endif
