/* Building a mini-transaction: operations, and which participants they go to.
 *
 * A write goes to every replica of its key. A check or a read goes to one replica: one that takes
 * part anyway if there is one, else the one in the client's datacenter, else the first that the
 * placement names. Sealing fixes the id: no operation can be added after it.
 *
 * An interactive transaction (client/look.h) is the same list of operations: what it saw is in it
 * as checks. */
#ifndef CLIENT_TXN_H
#define CLIENT_TXN_H

#include <assent/assent.h>

#include "common/ops.h"
#include "runtime/cluster.h"

struct txn_op {
    struct op op; /* its bytes are in data */
    uint8_t *data;
    size_t size; /* at most so many bytes when encoded */
    const struct placement *placement;
    bool seen; /* the check that what was read did not change: no savepoint takes it back */
};

/* One participant's share: indices into the transaction's operations, ascending. */
struct txn_part {
    node_id node;
    bool writes;
    bool reads; /* since the seal: results must come from it */
    uint32_t n, cap;
    uint32_t *op;
    size_t size;
};

/* The operations before it stay when the transaction is rolled back to it. */
struct savepoint {
    char name[SAVEPOINT_NAME_BYTES_MAX + 1];
    uint32_t n;
};

struct assent_txn {
    struct assent *db;
    const struct cluster *cluster;
    int datacenter;       /* the client's */
    uint64_t priority_ms; /* 0: this is the first attempt, and its age counts from the seal */
    bool sealed;
    bool sent;
    struct txid txid;

    uint32_t n, cap;
    struct txn_op *op;
    size_t size;
    int parts;
    struct txn_part part[PARTICIPANTS_MAX];

    /* interactive */
    hlc_ts snapshot;  /* 0: not fixed yet */
    bool chosen;      /* the snapshot was, by the program, not by the first read */
    bool strict;      /* what was seen is checked although nothing is written */
    uint32_t looking; /* reads of it that are under way */
    uint32_t savepoints;
    struct savepoint *savepoint; /* in the order in which they were set */

    /* since the seal */
    struct participants participants;
    struct blob *encoded[PARTICIPANTS_MAX];

    /* since the commit */
    assent_status results_status;
    node_id culprit; /* the participant that refused it; 0: none */
    assent_list *results[PARTICIPANTS_MAX];
};

/* cluster is borrowed until the seal. */
assent_txn *txn_new(struct assent *db, const struct cluster *cluster, int datacenter);
/* Adds the check that nothing of [key, end) was written after the snapshot. */
assent_status txn_see(assent_txn *t, struct bytes key, struct bytes end);
/* ASSENT_SEALED, or ASSENT_INVALID for NULL: whether operations may be added at all. */
assent_status txn_check_open(const assent_txn *t);
/* Chooses the id and encodes the operations, once; ASSENT_INVALID for an empty transaction.
 * `random` gives the id's random bits. */
assent_status txn_seal(assent_txn *t, uint64_t wall_ms, uint64_t random);
/* Keeps what the reads gave, by participant; NULL: nothing came from it. Takes over the references.
 */
void txn_take_results(assent_txn *t, struct blob *results[PARTICIPANTS_MAX]);

/* The checks of a key or range that an operation names, with the sentence for assent_error(). `end`
 * may be NULL; *placement is where the keys are. */
assent_status txn_check_range(const struct cluster *cluster, struct bytes key,
                              const struct bytes *end, const struct placement **placement);

#endif
