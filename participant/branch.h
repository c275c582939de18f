/* What a participant remembers of one transaction, shared by the parts of its core:
 *
 *   core.c     the table, dispatch, timers, memory, clock and floor
 *   prepare.c  PREPARE to VOTE; repeating the vote and asking while in doubt
 *   decide.c   DECIDE to DECIDED; questions for the outcome of a one-participant transaction
 *   read.c     reads outside transactions
 *   watch.c    reads that wait for a change
 *
 * States (one function moves: branch_move):
 *
 *   NEW ---> LOCKING ---> PREPARING ---> PREPARED ---> COMMITTING ---> COMMITTED
 *     |         |             |  \           \-------> ABORTING --\       ^
 *     |         |             |   \---- one phase -----------------|------/
 *     \---------+-------------+--> ABORTED <----------------------/ */
#ifndef PARTICIPANT_BRANCH_H
#define PARTICIPANT_BRANCH_H

#include <uthash.h>

#include "common/clocks.h"
#include "common/mutant.h"
#include "common/prng.h"
#include "common/sm.h"
#include "common/stash.h"
#include "common/timers.h"
#include "participant/changes.h"
#include "participant/core.h"
#include "participant/record.h"

enum branch_state {
    BRANCH_NEW,
    BRANCH_LOCKING,
    BRANCH_PREPARING,
    BRANCH_PREPARED,
    BRANCH_COMMITTING,
    BRANCH_ABORTING,
    BRANCH_COMMITTED,
    BRANCH_ABORTED,
};

/* Who owns a claim on the resource. */
enum owner_kind { OWNER_BRANCH, OWNER_READ, OWNER_WATCH };

struct branch {
    enum owner_kind owner; /* first: the resource hands owners back */
    UT_hash_handle hh;
    int state;
    struct tx_head head;
    struct participants participants;
    struct claim *claim;
    struct msg *prepare; /* while LOCKING and PREPARING */
    hlc_ts prepare_ts;
    struct outcome outcome;
    struct blob *detail;  /* of the own refusal */
    struct blob *results; /* of the reads, for the vote again */
    bool one_phase;
    bool outcome_durable; /* ABORTED: the record is emitted; else only memory knows */
    bool abort_asked;     /* DECIDE aborted came while PREPARING */
    bool asked_outcome;   /* an OUTCOME question waits for the record */
    node_id abort_from;
    uint64_t arrived_us, locked_us, prepared_us;
    /* When it was locked, or the first of those that were locked and not settled then; 0: not known
     * after a restart. See read.c. */
    uint64_t fresh_us;
    bool unsettled; /* locked: in the list of these */
    TAILQ_ENTRY(branch) unsettled_link;
    TAILQ_HEAD(, read) readers; /* who waits for its claim to be given up */
    uint32_t lock_wait_us, sync_us;
    uint32_t inquiries;
    uint64_t finished_us;
    TAILQ_ENTRY(branch) finished_link;
    struct timer timer; /* LOCKING: the deadline; PREPARED: in doubt */
};

struct read {
    enum owner_kind owner; /* first */
    TAILQ_ENTRY(read) link;
    uint64_t token;
    struct addr from;
    uint64_t request;
    struct blob *ops;
    struct claim *claim;
    struct read_point point;
    uint32_t stale_us;
    bool reading;          /* EFFECT_READ is under way */
    struct branch *writer; /* for which it waits, in its list of readers; NULL: none */
    TAILQ_ENTRY(read) writer_link;
    struct timer timer;
};

/* A client's request that waits for a change, or is being answered. */
struct watch {
    enum owner_kind owner; /* first */
    TAILQ_ENTRY(watch) link;
    uint64_t token;
    struct addr from;
    uint64_t request;
    struct claim *claim; /* holds nothing */
    struct blob *asked;  /* the operations of the request */
    uint64_t until_us;   /* the time for an answer, changes or not */
    hlc_ts since;        /* what was committed up to there is not told */
    uint64_t after;      /* nor what was applied up to there */
    uint32_t keys_max;   /* of this answer */
    uint32_t keys;       /* in it */
    enum watch_state { WATCH_PARKED, WATCH_CEILING, WATCH_READING } state;
    struct timer timer; /* while it is parked */

    /* the answer, once it is not parked */
    hlc_ts resolved; /* nobody will commit at or below here any more */
    hlc_ts position;
    uint64_t sequence;
    struct blob *ops; /* NULL: nothing changed */
    bool catches_up;  /* these are what it asks for, of which the tables say what changed */
};

enum core_timer { TIMER_BRANCH = 1, TIMER_READ, TIMER_WATCH, TIMER_SECOND };

struct participant {
    struct participant_config config;
    int f;
    const struct resource *resource;
    struct resource resource_copy;
    uint64_t now_us;
    uint64_t wall_ms;  /* as far as the coordinators' clocks bear it out */
    uint64_t stamp_ms; /* what of it goes into timestamps: 0 unless they do */
    struct effects *effects;
    struct hlc clock;
    hlc_ts ceiling_emitted;
    hlc_ts ceiling_durable;
    uint32_t ceilings; /* emitted and not durable yet */
    struct prng prng;
    struct branch *branches;
    struct txid_hash_key branches_key;
    struct stash *stash; /* what came for transactions that storage is looking up */
    TAILQ_HEAD(, read) reads;
    uint32_t reads_n;
    uint64_t read_token;
    struct changes *changes;
    TAILQ_HEAD(, watch) watches;
    uint32_t watches_n;
    struct timers timers;
    struct timer second;
    TAILQ_HEAD(, branch) finished;
    TAILQ_HEAD(, branch) unsettled; /* in the order in which they were locked */
    uint64_t memory_floor_ms;
    hlc_ts floor; /* durable */
    hlc_ts floor_emitted;
    uint32_t up[NODES_MAX + 1];
    uint32_t rtt_us[NODES_MAX + 1];
    struct clocks clocks;
    uint32_t active; /* LOCKING to ABORTING */
    bool stopping;
    struct participant_stats stats;
};

/* core.c */
void branch_move(struct participant *p, struct branch *b, enum branch_state to);
struct branch *branch_find(struct participant *p, const struct txid *txid);
struct branch *branch_add(struct participant *p, const struct tx_head *head);
bool below_floor(const struct participant *p, const struct txid *txid);
/* A timestamp greater than all before; emits a new clock ceiling first where it is needed. */
hlc_ts issue_ts(struct participant *p);
/* Emits a new clock ceiling if this one is not below the last. */
void cover_ts(struct participant *p, hlc_ts ts);
void participant_send(struct participant *p, node_id to, struct msg *m);
/* Gives up the claim and lets those go on that were waiting for it. */
void release_claim(struct participant *p, struct claim **claim);
/* It has its locks: from now on others wait for it. */
void branch_locked(struct participant *p, struct branch *b);
/* Gives up its claim; reads that waited for it go on. */
void branch_settled(struct participant *p, struct branch *b);
uint64_t participant_jitter(struct participant *p, uint64_t us);

/* prepare.c */
void prepare_message(struct participant *p, const struct event *e, struct branch *b);
void prepare_locked(struct participant *p, struct branch *b);
void prepare_stored(struct participant *p, struct branch *b, const struct event_stored *s);
void prepare_timer(struct participant *p, struct branch *b);
void prepare_coordinator_up(struct participant *p, struct branch *b, node_id node,
                            uint32_t incarnation);
/* Votes *aborted*, to the leader, and remembers it. Takes over `detail`. */
void vote_aborted(struct participant *p, struct branch *b, assent_status reason,
                  struct blob *detail);

/* decide.c */
void decide_message(struct participant *p, const struct event *e, struct branch *b);
void decide_abort_prepared(struct participant *p, struct branch *b, assent_status reason,
                           node_id decider);
void decide_stored(struct participant *p, struct branch *b, const struct event_stored *s);
void outcome_message(struct participant *p, const struct event *e, struct branch *b);
void settle_ask(struct participant *p, const struct event *e);

/* read.c */
void read_message(struct participant *p, const struct event *e);
void read_locked(struct participant *p, struct read *r);
void read_writer_gone(struct participant *p, struct branch *b);
void read_ceiling_durable(struct participant *p);
void read_done(struct participant *p, const struct event_read_done *d);
void read_timer(struct participant *p, struct read *r);
void read_drop(struct participant *p, struct read *r);

/* watch.c */
void watch_message(struct participant *p, const struct event *e);
/* Its writes can be read now. Before it is settled, as its claim says what they are; then, when the
 * position may pass it, watch_wake(). */
void watch_applied(struct participant *p, const struct branch *b);
void watch_wake(struct participant *p);
void watch_ceiling_durable(struct participant *p);
void watch_read_done(struct participant *p, const struct event_read_done *d);
void watch_timer(struct participant *p, struct watch *w);
void watch_client_down(struct participant *p, uint64_t conn);
void watch_drop(struct participant *p, struct watch *w);

#endif
