/* The lock table of the key-value resource: in memory, pure, rebuilt from prepared records after a
 * restart (docs/protocol.md, "Locks").
 *
 *              shared  exclusive  escrow
 *   shared       yes      no        no      checks and reads; keys or ranges
 *   exclusive    no       no        no      put, delete, read-modify-write, an add that returns
 *   escrow       no       no        yes     plain adds
 *
 * Wait-die over (priority, txid): who meets a conflict waits if it is older than all that it conflicts
 * with, holders and earlier waiters alike, and is refused at once otherwise. A reader (a strong read,
 * which holds nothing anywhere) always waits. A request is granted all its locks at once or holds none. */
#ifndef PARTICIPANT_LOCKS_H
#define PARTICIPANT_LOCKS_H

#include <bsd/sys/queue.h>

#include "common/ops.h"
#include "common/protocol.h"

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE, LOCK_ESCROW };

struct lock_want {
    enum lock_mode mode;
    bool range;       /* [key, end); shared only */
    struct bytes key; /* must stay valid as long as the request */
    struct bytes end; /* empty: no end */
};

enum lock_state { LOCKS_NONE, LOCKS_WAITING, LOCKS_HELD };

struct locks;

/* One transaction's or read's locks; embedded in the caller's object, zeroed before its first use. */
struct lock_request {
    enum lock_state state;
    bool reader;
    uint64_t priority_ms;
    struct txid txid;
    uint32_t n;
    struct lock_want *want; /* owned by the caller */
    struct blob *conflict;  /* after a refusal: the key in conflict, for the message; owned */
    TAILQ_ENTRY(lock_request) link; /* the lock table's */
    void *table;                    /* the lock table's */
    void *owner;                    /* the caller's */
};

struct locks *locks_new(void);
void locks_free(struct locks *l);

/* Tries to take all. LOCKS_HELD: granted. LOCKS_WAITING: it will come out of locks_granted later.
 * LOCKS_NONE: refused, ASSENT_CONFLICT. */
enum lock_state locks_request(struct locks *l, struct lock_request *r);
/* Takes all without asking, for a prepared record after a restart. */
void locks_restore(struct locks *l, struct lock_request *r);
/* Gives up what it holds or waits for; the request may be freed then. */
void locks_release(struct locks *l, struct lock_request *r);
/* The next request that releases have made grantable, already holding its locks; NULL when no more.
 * Call until NULL after each release. */
struct lock_request *locks_granted(struct locks *l);
/* Counts, for status and invariants. */
uint32_t locks_held(const struct locks *l);
uint32_t locks_waiting(const struct locks *l);

/* What operations need: merged per key (the strongest wins; escrow + shared = exclusive). The wants'
 * bytes point into ops. Caller frees *want. */
uint32_t locks_of_ops(const struct ops *ops, struct lock_want **want);

#endif
