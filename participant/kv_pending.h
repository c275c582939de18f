/* Transactions that are prepared, or whose check has passed and whose record is on its way to the
 * disk
 * ("reserved"), and the keys that they write. In memory, pure.
 *
 * Escrow (O'Neil, 1986). Of every transaction that only adds to a key three numbers are known from
 * its operations alone: the net delta, and the least and greatest value that the key may have just
 * before its first add so that no add passes its bounds or 64 bits. Any subset of the others may be
 * committed before it, so with v the committed value, P and N the sums of the positive and of the
 * negative nets:
 *
 *   for every pending transaction i:  v + P - max(net i, 0) <= greatest i
 *                                     v + N - min(net i, 0) >= least i
 *
 * A decision of any of them keeps both, so only an admission has to look. `high` is the least of
 * greatest i + max(net i, 0), `low` the greatest of least i + min(net i, 0): both tests are one
 * comparison.
 *
 * Invariants
 *   1. A key that a pending transaction does more to than plain adds has no other pending writer
 * (DESIGN, I6).
 *   2. Reserved transactions do not outlive their batch: they become prepared or are dropped. */
#ifndef PARTICIPANT_KV_PENDING_H
#define PARTICIPANT_KV_PENDING_H

#include <bsd/sys/queue.h>

#include "common/ops.h"
#include "common/tree.h"
#include "common/number.h"

struct kv_key;
struct kv_txn;

/* A key's worst case before one of the adds of a transaction, and which bound it comes from. */
struct kv_limit {
    wide before; /* least or greatest value before the transaction's first add */
    wide shift;  /* the adds from there to the result that is bounded */
};

/* What one pending transaction does to one key. */
struct kv_hold {
    TAILQ_ENTRY(kv_hold) link;
    struct kv_key *key;
    struct kv_txn *owner;
    bool exclusive; /* not only plain adds */
    wide net;
    struct kv_limit least;
    struct kv_limit greatest;
};

struct kv_key {
    RB_ENTRY(kv_key) link;
    TAILQ_HEAD(kv_holds, kv_hold) holds;
    wide positive; /* P */
    wide negative; /* N */
    wide high;
    wide low;
    uint32_t high_holds; /* holds that make up `high` */
    uint32_t low_holds;
    size_t len;
    uint8_t data[];
};

struct kv_txn {
    RB_ENTRY(kv_txn) link;
    TAILQ_ENTRY(kv_txn) reserved_link;
    struct txid txid;
    bool prepared; /* false: reserved */
    hlc_ts prepare_ts;
    struct blob *body; /* of the PREPARED record; NULL while reserved */
    struct ops ops;
    uint32_t n;
    struct kv_hold hold[];
};

RB_HEAD(kv_key_tree, kv_key);
RB_HEAD(kv_txn_tree, kv_txn);

struct kv_pending {
    struct kv_key_tree keys;
    struct kv_txn_tree txns;
    TAILQ_HEAD(, kv_txn) reserved;
};

void kv_pending_init(struct kv_pending *p);
void kv_pending_free(struct kv_pending *p);

/* Reserves what the operations write, without any test. Takes over *ops. */
struct kv_txn *kv_pending_reserve(struct kv_pending *p, const struct txid *txid, struct ops *ops);
/* The record is durable. */
void kv_pending_prepared(struct kv_pending *p, struct kv_txn *txn, hlc_ts prepare_ts,
                         struct blob *body);
void kv_pending_drop(struct kv_pending *p, struct kv_txn *txn);
/* The batch was rolled back. */
void kv_pending_drop_reserved(struct kv_pending *p);

struct kv_txn *kv_pending_find(const struct kv_pending *p, const struct txid *txid);
struct kv_txn *kv_pending_first(const struct kv_pending *p);
struct kv_txn *kv_pending_next(struct kv_txn *txn);
/* NULL: no pending transaction writes the key. */
const struct kv_key *kv_pending_key(const struct kv_pending *p, struct bytes key);
/* Stops the process if a pending transaction writes what this operation may not share with it. */
void kv_pending_assert_free(const struct kv_pending *p, const struct op *op);
/* The same for a read of what was committed up to `at`, where it may share what prepares later. */
void kv_pending_assert_settled(const struct kv_pending *p, const struct op *op, hlc_ts at);

#endif
