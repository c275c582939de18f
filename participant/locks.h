/* The lock table of the key-value resource: in memory, pure, rebuilt from prepared records after a
 * restart (docs/protocol.md, "Locks").
 *
 *              shared  exclusive  escrow
 *   shared       yes      no        no      checks and reads; keys or ranges
 *   exclusive    no       no        no      put, delete, read-modify-write, an add that returns
 *   escrow       no       no        yes     plain adds
 *
 * A request is granted all its locks at once, or waits holding none but keeping its place. Wait-die
 * over (priority, txid), and strictly in order of arrival:
 *
 *   1. A transaction is refused if it conflicts with an older one that holds or waits, or with an
 *      older reader that waits.
 *   2. Else it waits while it conflicts with a holder, or with a transaction that waited before it.
 *   3. A reader (a strong read, which holds nothing anywhere) is never refused; it waits likewise.
 *   4. A waiting reader holds up nobody older than itself. A reader that holds its locks waits for
 *      nothing, so anybody may wait for it, the younger too.
 *
 * So a transaction waits only for younger ones, here and at every other participant, and for
 * readers that are reading: no deadlock. That is why an older one does not overtake a younger that
 * waits already: the younger would wait for it then, and it perhaps for the younger elsewhere.
 * Nobody who comes later gets in front, but before a reader those older than it: no starvation. */
#ifndef PARTICIPANT_LOCKS_H
#define PARTICIPANT_LOCKS_H

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

/* One transaction's or read's locks; part of the caller's object, zeroed before its first use. */
struct lock_request {
    enum lock_state state;
    bool reader;
    uint64_t priority_ms;
    struct txid txid;
    uint32_t n;
    struct lock_want *want; /* owned by the caller */
    struct blob *conflict;  /* after a refusal: a key in conflict; the caller drops it */
    void *table;            /* the lock table's */
    void *owner;            /* the caller's */
};

struct locks *locks_new(void);
/* After all requests were released. */
void locks_free(struct locks *l);

/* Tries to take all. LOCKS_HELD: granted. LOCKS_WAITING: it will come out of locks_granted later.
 * LOCKS_NONE: refused, ASSENT_CONFLICT. */
enum lock_state locks_request(struct locks *l, struct lock_request *r);
/* Takes all without asking, for a prepared record after a restart. Two prepared records in conflict
 * are a broken invariant (I6): stops the process. */
void locks_restore(struct locks *l, struct lock_request *r);
/* Calls each() for every request that holds a lock which a reader of these wants would wait for;
 * more than once for one that holds several. */
void locks_writers(struct locks *l, const struct lock_want *want, uint32_t n,
                   void (*each)(void *arg, const struct lock_request *writer), void *arg);
/* Its holder is decided and only waits for the disk: like a reader that reads it waits for nothing,
 * so that from now on anybody may wait for it, the younger too. */
void locks_decided(struct lock_request *r);
/* Gives up what it holds or waits for, if anything; the request may be freed then. */
void locks_release(struct locks *l, struct lock_request *r);
/* The next request that releases have made grantable, already holding its locks; NULL when no more.
 * Call until NULL after each release. */
struct lock_request *locks_granted(struct locks *l);
/* Counts, for status and invariants. */
uint32_t locks_held(const struct locks *l);
uint32_t locks_waiting(const struct locks *l);

/* What operations need, merged: one want per key (the strongest wins; escrow + shared = exclusive),
 * and ranges that overlap or touch are one. The wants' bytes point into the operations' source.
 * `want` has room for as many as there are operations. */
uint32_t locks_of_ops(const struct ops *ops, struct lock_want *want);

#endif
