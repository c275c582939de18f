/* The key-value tables in SQLite: schema, prepared statements, and nothing of what they mean.
 * Functions that return int return a SQLite result code: SQLITE_OK, or where rows come back
 * SQLITE_ROW and SQLITE_DONE, or an error. Bytes given back live until the next call of the same
 * function. */
#ifndef PARTICIPANT_KV_TABLES_H
#define PARTICIPANT_KV_TABLES_H

#include "participant/kv_overlay.h"

struct sqlite3;
struct kv_tables;

int kv_tables_create(struct sqlite3 *db);

/* Prepares the statements. On an error *out is NULL. */
int kv_tables_open(struct kv_tables **out, struct sqlite3 *db);
/* NULL is fine. */
void kv_tables_close(struct kv_tables *t);
const char *kv_tables_error(const struct kv_tables *t);

/* Where earlier versions of a key are (participant/kv_history.h): the ids of its last one, of the
 * last one of which the number can be divided by 16, by 256, ...; n of them. 0: none. */
#define KV_LINKS_MAX 9

struct kv_links {
    uint32_t n;
    int64_t id[KV_LINKS_MAX];
};

/* A key's newest version, deleted or not. */
struct kv_row {
    struct kv_cell cell;
    uint64_t versions; /* how many it has had before */
    struct kv_links links;
};

/* SQLITE_DONE: no row. The key is the caller's. */
int kv_tables_get(struct kv_tables *t, struct bytes key, struct kv_row *out);
/* In place of the one that has the key, if there is one. */
int kv_tables_put(struct kv_tables *t, const struct kv_row *row);
/* The rows of [key, end) in order, deleted ones too, one at a time: first, then next until not
 * SQLITE_ROW, and in any case stop. Empty end: no end. Other statements may run in between. */
int kv_tables_scan_first(struct kv_tables *t, struct bytes key, struct bytes end, bool descending,
                         struct kv_row *out);
int kv_tables_scan_next(struct kv_tables *t, struct kv_row *out);
void kv_tables_scan_stop(struct kv_tables *t);
/* A row of [key, end) that was written after `since`; a deleted one, too. Only key and version. */
int kv_tables_changed(struct kv_tables *t, struct bytes key, struct bytes end, hlc_ts since,
                      struct kv_cell *out);

/* ---- versions that are not the newest ---- */

/* In the order in which they were applied, so that writing them and pruning them is at the ends of
 * the table. Ids grow and are not used again. */
struct kv_old {
    struct kv_cell cell;
    int64_t id;
    hlc_ts until; /* the timestamp of the version after */
    struct kv_links links;
};

int64_t kv_tables_old_new_id(struct kv_tables *t);
/* SQLITE_DONE: it was pruned. Another key's is SQLITE_CORRUPT. The key is the caller's. */
int kv_tables_old_get(struct kv_tables *t, struct bytes key, int64_t id, struct kv_old *out);
/* With a new id, or in place of the one that has it. */
int kv_tables_old_put(struct kv_tables *t, const struct kv_old *old);

int kv_tables_prepared_put(struct kv_tables *t, const struct record *prepared);
int kv_tables_prepared_delete(struct kv_tables *t, const struct txid *txid);
/* each() may end the walk with a code other than SQLITE_OK, which is returned. */
int kv_tables_prepared_each(struct kv_tables *t,
                            int (*each)(void *arg, const struct txid *txid, hlc_ts prepare_ts,
                                        struct bytes body),
                            void *arg);

struct kv_outcome {
    struct txid txid;
    struct outcome outcome;
    hlc_ts ts; /* of the record */
};

/* Many at once cost half as much each. */
int kv_tables_outcomes_put(struct kv_tables *t, const struct kv_outcome *outcome, uint32_t n);
int kv_tables_outcome_get(struct kv_tables *t, const struct txid *txid, struct kv_outcome *out);
int kv_tables_outcome_each(struct kv_tables *t, uint64_t since_ms,
                           void (*each)(void *arg, const struct kv_outcome *outcome), void *arg);
/* The time of the newest txid; 0: there is none. */
int kv_tables_outcome_newest(struct kv_tables *t, uint64_t *ms);

/* Each deletes at most `rows` and says in *n how many. Outcomes of txids before before_ms;
 * tombstones written before `before`; versions that were replaced at or before it, up to the first
 * that was not. *newest, if a row was deleted, is the greatest timestamp from which on it is not
 * missed. */
int kv_tables_prune_outcomes(struct kv_tables *t, uint64_t before_ms, int rows, int *n);
int kv_tables_prune_deleted(struct kv_tables *t, hlc_ts before, int rows, int *n, hlc_ts *newest);
int kv_tables_prune_old(struct kv_tables *t, hlc_ts before, int rows, int *n, hlc_ts *newest);
/* The greatest `newest` of all that is gone: from there on nothing is missed; 0: nothing is gone.
 */
int kv_tables_prune_point_get(struct kv_tables *t, hlc_ts *out);
int kv_tables_prune_point_put(struct kv_tables *t, hlc_ts point);

#endif
