/* What the commit core needs of a resource (what is committed), and nothing more. Two halves:
 *
 *   the lock half runs in the core's step, in memory, and is called through `struct resource`;
 *   the store half runs where the storage runs: it answers the effects EFFECT_PREPARE (check, read,
 * keep the operations with the prepared record) and EFFECT_READ, and learns COMMITTED, ABORTED and
 * APPLIED from the records themselves.
 *
 * Operations are opaque here. The embedded resource is key-value (kv_resource, kv_store). */
#ifndef PARTICIPANT_RESOURCE_H
#define PARTICIPANT_RESOURCE_H

#include "common/msg.h"

/* What the resource keeps per transaction or read that has asked for locks. */
struct claim;

enum claim_state { CLAIM_REFUSED, CLAIM_WAITING, CLAIM_HELD };

/* Why a claim was refused; detail may be NULL. */
struct refusal {
    assent_status status;
    struct blob *detail; /* owned by the caller of claim() */
};

struct resource {
    void *arg;
    /* Decodes and validates a transaction's operations (bounds, grants of m->client, placement,
     * every replica of a written key among the participants) and asks for its locks. */
    enum claim_state (*claim)(void *arg, const struct tx_head *head, const struct msg_prepare *m,
                              void *owner, struct claim **out, struct refusal *refusal);
    /* The same for a read by this client: always waits, never refused for a conflict. Only a
     * strong read asks for locks; the claim of another is CLAIM_HELD and holds nothing. */
    enum claim_state (*claim_read)(void *arg, const struct client_name *client,
                                   const struct msg_read *m, void *owner, struct claim **out,
                                   struct refusal *refusal);
    /* The owner of every claim that holds, for writing, what this read reads. */
    void (*writers)(void *arg, const struct claim *read, void (*each)(void *each_arg, void *owner),
                    void *each_arg);
    /* Every key that a claim which holds its locks writes. */
    void (*written)(void *arg, const struct claim *claim,
                    void (*each)(void *each_arg, struct bytes key), void *each_arg);
    /* Whether the key is one of those that the read asks for. */
    bool (*covers)(void *arg, const struct claim *read, struct bytes key);
    /* Operations that read these keys, as many and in this order; the caller's reference. */
    struct blob *(*reads_of)(void *arg, const struct bytes *key, uint32_t n);
    /* After a restart: takes a prepared transaction's locks again, unasked. NULL: operations
     * damaged. */
    struct claim *(*restore)(void *arg, const struct txid *txid, uint64_t priority_ms,
                             struct blob *ops, void *owner);
    /* The claim's transaction is decided and waits only for its record to be durable. */
    void (*decided)(void *arg, struct claim *claim);
    /* Gives up the locks or the wait, and frees the claim. */
    void (*release)(void *arg, struct claim *claim);
    /* The owner of the next claim that releases have made CLAIM_HELD, or NULL. */
    void *(*granted)(void *arg);
};

#endif
