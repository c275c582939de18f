/* The store half of the key-value resource: keys and values in SQLite, behind the log, with what is not
 * applied yet in memory (DESIGN 5 and 7). Called only where the storage runs.
 *
 *   kv        key, value (NULL = deleted), ts, txid, applies
 *   prepared  txid, prepare_ts, body       prepared records that were applied before their decision
 *   outcomes  txid, outcome, ts            applied and remembered outcomes, until forgotten
 *   views for people: in_doubt, outcomes_all
 *
 * Integers are values that are canonical decimal text of 64 bits. */
#ifndef PARTICIPANT_KV_STORE_H
#define PARTICIPANT_KV_STORE_H

#include "common/ops.h"
#include "common/record.h"
#include "runtime/log_store.h"

struct kv_store;

/* ASSENT_OK, or why a transaction cannot be prepared. detail: a sentence that names the key and what was
 * found. results: encoded reads, or NULL when it reads nothing. Both owned by the caller. */
struct kv_verdict {
    assent_status status;
    struct blob *detail;
    struct blob *results;
};

struct kv_store *kv_store_new(void);
void kv_store_free(struct kv_store *kv);
/* The role for log_store_create and log_store_open. Borrows kv. */
struct store_role kv_store_role(struct kv_store *kv);

/* Checks and reads of a transaction, against the newest values and every pending add. Writes nothing. */
void kv_store_check(struct kv_store *kv, struct sqlite3 *db, struct blob *ops,
                    struct kv_verdict *out);
/* A record of this participant is durable (bodies: participant/record.h): PREPARED (its operations are pending: adds are escrowed),
 * COMMITTED (the pending writes are visible at record->ts), ABORTED, APPLIED (as PREPARED and COMMITTED
 * at once), WATERMARK (what is older may be pruned). Exactly once per record, in log order; replay() at
 * open does it for the records that it replays. */
void kv_store_durable(struct kv_store *kv, const struct record *record);
/* A strong read: the newest visible values. */
void kv_store_read(struct kv_store *kv, struct sqlite3 *db, struct blob *ops,
                   struct kv_verdict *out);

/* Calls back for every prepared transaction without a decision, and for every outcome with a txid time of
 * at least since_ms. */
void kv_store_each_prepared(struct kv_store *kv, void (*each)(void *arg, const struct record *prepared),
                            void *arg);
assent_status kv_store_each_outcome(struct kv_store *kv, struct sqlite3 *db, uint64_t since_ms,
                                    void (*each)(void *arg, const struct record *outcome), void *arg);
/* The remembered outcome of one transaction (COMMITTED or ABORTED record, no body); false if none. */
bool kv_store_outcome(struct kv_store *kv, struct sqlite3 *db, const struct txid *txid,
                      struct record *out);

#endif
