/* What a coordinator remembers of one transaction, shared by the parts of the core:
 *
 *   core.c      the table of transactions, dispatch, timers, memory, the watermark
 *   leader.c    home of a transaction: PREPARE, votes, the decision at ballot 0
 *   acceptor.c  votes and proposals accepted, promises
 *   recovery.c  asking the home; a ballot of one's own
 *   settle.c    decided: answers, DECIDE until DECIDED, FINISHED, FORGET
 *
 * States (one function moves: txn_move):
 *
 *   KNOWN ------ COMMIT at home ------> COLLECTING -- quorum or an abort vote --> DECIDED
 *     |  \                                  |  \---- a higher ballot ---> WAITING    ^
 *     |   INQUIRE, OUTCOME, overdue         |deadline                       |        |
 *     |    \--> ASKING --home is silent--> PROMISING <------its turn--------/        |
 *     |           \--home leads--> KNOWN    |  ^ \--> BACKOFF (REJECTED, silence)    |
 *     |<--F+1 have forgotten it, below W----|--|                                     |
 *     |                                     v  |                                     |
 *     |                                  PROPOSING ------ F+1 ACCEPTED --------------|
 *     +---- DECIDE or FORGET from elsewhere (any state) -----------------------------+
 *   DECIDED -- all participants DECIDED, or FORGET --> FINISHED <-- old record -- KNOWN
 *   ONE_PHASE, ONE_ASKING: a transaction with one participant, which alone decides. */
#ifndef COORDINATOR_TXN_H
#define COORDINATOR_TXN_H

#include <uthash.h>

#include "common/clocks.h"
#include "common/mutant.h"
#include "common/prng.h"
#include "common/sm.h"
#include "common/stash.h"
#include "common/timers.h"
#include "coordinator/core.h"
#include "coordinator/record.h"

enum txn_state {
    TXN_KNOWN,
    TXN_COLLECTING,
    TXN_WAITING,
    TXN_ASKING,
    TXN_PROMISING,
    TXN_PROPOSING,
    TXN_BACKOFF,
    TXN_ONE_PHASE,
    TXN_ONE_ASKING,
    TXN_DECIDED,
    TXN_FINISHED,
};

/* One participant, as its leader sees it. */
struct lead_part {
    struct blob *ops;
    uint32_t pin;
    struct vote vote;   /* as it came from the participant itself */
    uint64_t acceptors; /* who accepted this vote at ballot 0, a bit per coordinator */
    struct blob *results;
    struct breakdown breakdown;
};

struct lead {
    uint64_t conn; /* the client */
    uint64_t received_us;
    uint64_t deadline_us;
    uint64_t last_vote_us;
    uint64_t priority_ms;
    uint64_t placement_hash;
    struct client_name client;
    hlc_ts ts;
    struct blob *detail; /* of the abort vote */
    node_id culprit;
    struct lead_part part[]; /* one per participant */
};

struct recovery {
    struct ballot ballot;
    uint64_t promised, forgotten, accepted; /* masks of coordinators */
    uint64_t asked, not_leading;            /* masks, while ASKING */
    bool in_doubt;                          /* a participant asked; since this ballot, if any */
    bool unasked;                           /* nobody did: recovery_wonder */
    uint32_t tries;
    bool whole_abort;
    struct ballot whole_ballot;
    bool any_vote;
    struct accepted best[PARTICIPANTS_MAX];
};

/* Someone who waits for the outcome. */
struct waiter {
    TAILQ_ENTRY(waiter) link;
    struct addr to;
    struct txn *txn;
    struct timer timer;
};

struct txn {
    UT_hash_handle hh;
    int state;
    struct tx_head head;
    struct participants participants; /* n = 0: not known */
    /* acceptor: mirrors the records emitted */
    struct ballot promised;
    bool whole_abort;
    struct ballot whole_ballot;
    struct accepted *accepted; /* one per participant, or NULL */
    bool has_record;
    uint32_t storing; /* records emitted and not durable yet */
    /* decided */
    struct outcome outcome;
    bool decider;       /* repeats DECIDE until DECIDED */
    uint64_t settled;   /* mask of participants */
    uint64_t took_part; /* mask of coordinators that may hold a record */
    uint32_t repeats;
    uint64_t overdue_us; /* not finished by then: settle_overdue */
    uint32_t overdue_n;
    bool closed; /* FINISHED, as every participant has settled: the others may forget it too */
    uint64_t finished_us;
    TAILQ_ENTRY(txn) link; /* coordinator.open, or finished */
    /* roles */
    struct lead *lead;
    struct recovery *recovery;
    uint32_t round_seen; /* greatest round of any ballot seen */
    struct timer timer;
    uint32_t waiters_n;
    TAILQ_HEAD(, waiter) waiters;
};

enum core_timer { TIMER_TXN = 1, TIMER_WAITER, TIMER_SECOND, TIMER_FORGET };

struct coordinator {
    struct coordinator_config config;
    int f;
    int self_index;
    uint64_t now_us;         /* of the event in progress */
    uint64_t wall_ms;        /* likewise, as far as the other coordinators bear it out */
    struct effects *effects; /* of the event in progress */
    struct prng prng;
    struct txn *txns;
    struct txid_hash_key txns_key;
    struct stash *stash; /* what came for transactions that storage is looking up */
    struct timers timers;
    struct timer second, forget_timer;
    TAILQ_HEAD(, txn) open;                  /* not finished */
    TAILQ_HEAD(finished_list, txn) finished; /* oldest first */
    uint64_t memory_floor_ms;                /* txids from here on are in memory, or new */
    uint64_t
        evicted_floor_ms; /* below: this start may have led them and dropped them from memory */
    hlc_ts watermark;     /* durable */
    hlc_ts watermark_emitted;
    uint32_t up[NODES_MAX + 1];         /* incarnation of connected nodes, 0: not connected */
    uint64_t down_us[COORDINATORS_MAX]; /* when it was lost; 0: it never was connected */
    bool is_participant[NODES_MAX + 1];
    struct clocks clocks;
    struct forget_entry forget[FORGET_MAX];
    uint16_t forget_n;
    uint32_t leading;
    uint32_t
        round_removed; /* greatest round of what left memory and may come back: no ballot twice */
    bool stopping;
    struct coordinator_stats stats;
};

/* core.c */
void txn_move(struct txn *t, enum txn_state to);
struct txn *txn_find(struct coordinator *c, const struct txid *txid);
/* The transaction of a question or another message that may make it known here, if it is not (t is
 * NULL); NULL after answering that it is forgotten or unknown. */
struct txn *txn_asked(struct coordinator *c, const struct event *e, struct txn *t);
struct txn *txn_add(struct coordinator *c, const struct tx_head *head);
void txn_remove(struct coordinator *c, struct txn *t);
/* Forgets a transaction that was only asked about, and that nobody asks about any more. */
void txn_drop_if_empty(struct coordinator *c, struct txn *t);
/* Moves to FINISHED: nothing is under way any more. */
void txn_finish(struct coordinator *c, struct txn *t);
/* Learns the participants, if they were not known; false if they differ from those known. */
bool txn_participants(struct txn *t, const struct participants *p);
void txn_timer(struct coordinator *c, struct txn *t, uint64_t in_us);
/* Index of a coordinator, or -1. */
int coordinator_index(const struct coordinator *c, node_id node);
bool below_watermark(const struct coordinator *c, const struct txid *txid);
/* Whether another coordinator may have forgotten it: its watermark may be ahead of this one's. */
bool below_others_watermark(const struct coordinator *c, const struct txid *txid);
void coordinator_send(struct coordinator *c, node_id to, struct msg *m);
/* To every coordinator but this one. */
void coordinator_broadcast(struct coordinator *c, struct msg *m);
/* A random time in [us, 2 us). */
uint64_t coordinator_jitter(struct coordinator *c, uint64_t us);

/* leader.c */
/* t: NULL if it is not known here. */
void leader_commit(struct coordinator *c, const struct event *e, struct txn *t);
void leader_vote(struct coordinator *c, struct txn *t, int i, const struct msg *m);
void leader_accepted(struct coordinator *c, struct txn *t, const struct msg *m, int acceptor);
void leader_own_accept_stored(struct coordinator *c, struct txn *t);
void leader_higher_ballot(struct coordinator *c, struct txn *t, struct ballot promised);
void leader_peer_up(struct coordinator *c, struct txn *t, node_id node);
void leader_deadline(struct coordinator *c, struct txn *t);
/* Gives up leading: the client was answered, or another coordinator decides. NULL lead is fine. */
void lead_free(struct coordinator *c, struct txn *t);

/* acceptor.c */
void acceptor_vote(struct coordinator *c, const struct event *e, struct txn *t);
/* Emits the acceptance of these ballot-0 votes (VOTE_NONE: none) in one record. */
struct effect *acceptor_accept0(struct coordinator *c, struct txn *t, const struct vote *votes);
void acceptor_promise_ask(struct coordinator *c, struct txn *t, struct ballot b, node_id from);
void acceptor_propose(struct coordinator *c, struct txn *t, const struct msg *m, node_id from);
/* Below W, and without a record: this acceptor has no part in the transaction any more. */
bool acceptor_forgotten(const struct coordinator *c, const struct txn *t);
void acceptor_fill_promise(const struct txn *t, struct msg *promise);

/* recovery.c */
/* A participant in doubt, or a client, asks for an outcome that is not known here. */
void recovery_asked(struct coordinator *c, struct txn *t, bool in_doubt);
/* A question of this acceptor's own: what has become of a transaction whose record it has kept for
 * long? False if there is nobody to ask. */
bool recovery_wonder(struct coordinator *c, struct txn *t);
void recovery_home_answer(struct coordinator *c, struct txn *t, const struct msg *m, node_id from);
void recovery_start(struct coordinator *c, struct txn *t);
void recovery_promise(struct coordinator *c, struct txn *t, const struct msg *m, node_id from);
void recovery_own_promise_stored(struct coordinator *c, struct txn *t, struct ballot b);
void recovery_accepted(struct coordinator *c, struct txn *t, struct ballot b, int acceptor);
void recovery_rejected(struct coordinator *c, struct txn *t, const struct msg *m);
void recovery_timer(struct coordinator *c, struct txn *t);

/* settle.c */
/* The outcome is known. decider: this node decided, and makes sure that everyone settles. */
void txn_decided(struct coordinator *c, struct txn *t, struct outcome outcome, bool decider);
void settle_decided(struct coordinator *c, struct txn *t, node_id participant);
void settle_repeat(struct coordinator *c, struct txn *t, node_id only);
void settle_forget(struct coordinator *c, const struct msg *m);
void settle_forget_flush(struct coordinator *c);
void settle_finish(struct coordinator *c, struct txn *t);
/* Below W: forgets a record, although its outcome may never have been learnt here. */
void settle_finish_old(struct coordinator *c, struct txn *t);
void settle_ask_old(struct coordinator *c);
/* When to look whether it is finished, if nobody says so before. */
void settle_later(struct coordinator *c, struct txn *t);
/* A coordinator came back: it may know, or be the last one that had to be asked. */
void settle_again(struct coordinator *c, struct txn *t);
void settle_overdue(struct coordinator *c);
/* Tells one coordinator that it may forget this transaction; false if that is not known here. */
bool settle_tell(struct coordinator *c, const struct txn *t, node_id to);
void settle_peer_up(struct coordinator *c, node_id node);
void settle_settled(struct coordinator *c, const struct msg *m, node_id from);
void send_decide(struct coordinator *c, struct txn *t, node_id to);
/* Answers a question for the outcome at once if it can, else remembers who asked. */
void answer_outcome(struct coordinator *c, struct txn *t, struct addr to, uint32_t wait_ms);
void answer_result(struct coordinator *c, const struct txn *t, struct addr to,
                   assent_status status);
/* Answers EXPIRED to all who wait. */
void answer_expired(struct coordinator *c, struct txn *t);
void waiter_expired(struct coordinator *c, struct waiter *w);
void waiters_free(struct coordinator *c, struct txn *t);

#endif
