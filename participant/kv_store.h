/* The store half of the key-value resource: keys and values in SQLite, behind the log, with what is
 * not applied yet in memory (DESIGN 5 and 7). Called only where the storage runs, never
 * concurrently; blobs that come in are copied, blobs that go out belong to the receiver alone.
 *
 *   kv         key, value (NULL = deleted), ts, txid, applies, links to kv_old
 *   kv_old     earlier versions of the same, and until when each was the key's
 *   kv_prune   from when on no version and no deletion is forgotten
 *   prepared   txid, prepare_ts, body       prepared records that were applied before their
 * decision outcomes   txid, outcome, ts, reason    applied and remembered outcomes, until forgotten
 *   views for people: in_doubt, outcomes_all
 *
 * Integers are values that are canonical decimal text of 64 bits.
 *
 * Files: kv_store (the life of a record), kv_check (may it be prepared), kv_writes (what it gives),
 * kv_pending (what is in flight, escrow), kv_overlay (what is durable and not in the tables),
 * kv_tables (SQLite), kv_history (earlier versions), kv_view (overlay over tables), kv_reads,
 * kv_say. */
#ifndef PARTICIPANT_KV_STORE_H
#define PARTICIPANT_KV_STORE_H

#include "common/ops.h"
#include "common/record.h"
#include "runtime/log_store.h"

struct kv_store;

/* ASSENT_OK, or why a transaction cannot be prepared. detail: a sentence that names the key and
 * what was found. results: encoded reads, or NULL when it reads nothing. Both owned by the caller.
 */
struct kv_verdict {
    assent_status status;
    struct blob *detail;
    struct blob *results;
};

struct kv_store *kv_store_new(void);
/* After the database was closed, with sqlite3_close_v2: the role keeps statements until here. */
void kv_store_free(struct kv_store *kv);
/* The role for log_store_create and log_store_open. Borrows kv. load() sets the connection's
 * rollback hook: a rolled back batch gives up its reservations, a rolled back apply starts again.
 * `db` below is that connection. */
struct store_role kv_store_role(struct kv_store *kv);

/* Checks and reads of a transaction, against the newest values and every pending add. Writes
 * nothing to the disk. ASSENT_OK reserves what the adds may do, for the checks that follow in the
 * same batch, until the transaction's PREPARED or APPLIED record is durable or cancelled, or the
 * batch is rolled back. A second check of the same transaction replaces the first. The result of an
 * add that returns its value has version.ts 0: it will be the commit's. */
void kv_store_check(struct kv_store *kv, struct sqlite3 *db, const struct txid *txid,
                    struct blob *ops, struct kv_verdict *out);
/* Gives up the reservation: the record was not appended after all. Fine without one. */
void kv_store_cancel(struct kv_store *kv, const struct txid *txid);
/* A record of this participant is durable (bodies: participant/record.h): PREPARED (its operations
 * are pending: adds are escrowed), COMMITTED (the pending writes are visible at record->ts),
 * ABORTED, APPLIED (as PREPARED and COMMITTED at once), WATERMARK (what is older may be pruned);
 * others are ignored. Exactly once per record, in log order; replay() at open does it for the
 * records that it replays. When reading the database fails here, everything after it gives
 * ASSENT_STORAGE and apply() stops the node. */
void kv_store_durable(struct kv_store *kv, const struct record *record);
/* Reads, and only reads. At a timestamp: what was committed up to there; ASSENT_PRUNED if that is
 * not kept any more. At READ_NEWEST: what is committed. Unless the level is eventual, nothing that
 * is pending may belong to it: that stops the process. */
void kv_store_read(struct kv_store *kv, struct sqlite3 *db, const struct read_point *point,
                   struct blob *ops, struct kv_verdict *out);

/* Calls back for every prepared transaction without a decision, and for every outcome with a txid
 * time of at least since_ms (COMMITTED, or ABORTED with its body). The record lives until each()
 * returns. */
void kv_store_each_prepared(struct kv_store *kv,
                            void (*each)(void *arg, const struct record *prepared), void *arg);
assent_status kv_store_each_outcome(struct kv_store *kv, struct sqlite3 *db, uint64_t since_ms,
                                    void (*each)(void *arg, const struct record *outcome),
                                    void *arg);
/* The remembered outcome of one transaction: *found, and a COMMITTED record (one-phase ones too),
 * or an ABORTED one with its body, which the caller unrefs. ASSENT_STORAGE is not "none": say
 * nothing then. */
assent_status kv_store_outcome(struct kv_store *kv, struct sqlite3 *db, const struct txid *txid,
                               bool *found, struct record *out);
/* The greatest time of a txid whose outcome is known here, 0 if none is; UINT64_MAX when the
 * database cannot be read: any may be. */
uint64_t kv_store_newest_ms(struct kv_store *kv, struct sqlite3 *db);

#endif
