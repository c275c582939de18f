#include "coordinator/store.h"

#include <bsd/sys/queue.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "coordinator/record.h"

/* Rows that flush() prunes, besides two for each outcome it adds: more than it leaves behind. */
#define PRUNE_ROWS 8

/* One statement puts so many outcomes into their table, for a third less work than one each. */
#define OUTCOMES_MANY  16
#define OUTCOME_VALUES "(?, ?, ?, ?)"
#define FOUR_OUTCOMES  OUTCOME_VALUES ", " OUTCOME_VALUES ", " OUTCOME_VALUES ", " OUTCOME_VALUES
#define MANY_OUTCOMES  FOUR_OUTCOMES ", " FOUR_OUTCOMES ", " FOUR_OUTCOMES ", " FOUR_OUTCOMES

/* A record that is durable in the log and not applied to the tables yet; or, without a body, one
 * whose row is in `transactions`. */
struct behind {
    UT_hash_handle hh; /* by txid, unless there is a newer one */
    uint64_t nth;      /* the how-manieth record of this role it is */
    struct record record;
    struct behind *newer;     /* of the same transaction */
    bool in_table;            /* `transactions` has, or before a rollback had, a row of it */
    TAILQ_ENTRY(behind) link; /* until it is applied */
};

struct coordinator_store {
    sqlite3_stmt *put, *drop, *finish, *finish_many, *find, *prune;
    uint64_t durable_n, applied_n;
    uint64_t confirmed_n; /* applied_n as of the last apply that was committed */
    struct behind *behind;
    TAILQ_HEAD(, behind) behind_list; /* in log order */
    struct behind *flushed;           /* the last of the open apply, NULL: none */
    hlc_ts watermark;
    bool prune_due; /* pruning has not reached the watermark yet */
};

struct coordinator_store *coordinator_store_new(void)
{
    struct coordinator_store *s = xcalloc(1, sizeof *s);
    TAILQ_INIT(&s->behind_list);
    return s;
}

static void behind_free(struct coordinator_store *s, struct behind *b)
{
    if (b->newer == NULL)
        HASH_DELETE(hh, s->behind, b);
    blob_unref(b->record.body);
    free(b);
}

static void statements_free(struct coordinator_store *s)
{
    sqlite3_stmt **stmt[] = {&s->put, &s->drop, &s->finish, &s->finish_many, &s->find, &s->prune};
    for (size_t i = 0; i < sizeof stmt / sizeof stmt[0]; i++) {
        sqlite3_finalize(*stmt[i]);
        *stmt[i] = NULL;
    }
}

void coordinator_store_free(struct coordinator_store *s)
{
    struct behind *b, *next;
    if (s == NULL)
        return;
    TAILQ_FOREACH_SAFE (b, &s->behind_list, link, next)
        behind_free(s, b);
    HASH_ITER (hh, s->behind, b, next)
        behind_free(s, b);
    statements_free(s);
    free(s);
}

static int create(void *arg, struct sqlite3 *db)
{
    (void)arg;
    return sqlite3_exec(
        db,
        "CREATE TABLE transactions(txid BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE outcomes(txid BLOB PRIMARY KEY, outcome INTEGER NOT NULL, ts INTEGER NOT "
        "NULL,"
        " reason INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE VIEW undecided AS SELECT lower(hex(txid)) AS txid FROM transactions"
        " UNION SELECT lower(hex(txid)) FROM log l WHERE kind IN (10, 11) AND NOT EXISTS"
        " (SELECT 1 FROM log f WHERE f.kind = 12 AND f.txid = l.txid);"
        "CREATE VIEW outcomes_all AS SELECT lower(hex(txid)) AS txid,"
        " CASE outcome WHEN 1 THEN 'committed' WHEN 2 THEN 'aborted' ELSE 'forgotten' END AS "
        "outcome,"
        " ts FROM outcomes UNION SELECT lower(hex(txid)),"
        " CASE hex(substr(body, 1, 1)) WHEN '01' THEN 'committed' WHEN '02' THEN 'aborted'"
        " ELSE 'forgotten' END, ts FROM log WHERE kind = 12;",
        NULL, NULL, NULL);
}

/* The txid of column 0; false if there is none. */
static bool column_txid(sqlite3_stmt *stmt, struct txid *out)
{
    if (sqlite3_column_bytes(stmt, 0) != TXID_BYTES)
        return false;
    memcpy(out->b, sqlite3_column_blob(stmt, 0), TXID_BYTES);
    return true;
}

static int prepare(struct sqlite3 *db, sqlite3_stmt **stmt, const char *sql)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
}

/* A rolled back apply starts again from where the last one ended. */
static void on_rollback(void *arg)
{
    struct coordinator_store *s = arg;
    s->applied_n = s->confirmed_n;
    s->flushed = NULL;
    s->prune_due = true;
}

static int load_unsettled(struct coordinator_store *s, struct sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    int rc = prepare(db, &stmt, "SELECT txid FROM transactions");
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct behind *b = xcalloc(1, sizeof *b);
        b->in_table = true;
        rc = column_txid(stmt, &b->record.txid) ? SQLITE_OK : SQLITE_CORRUPT;
        HASH_ADD(hh, s->behind, record.txid, sizeof b->record.txid, b);
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int load(void *arg, struct sqlite3 *db)
{
    struct coordinator_store *s = arg;
    int rc = prepare(db, &s->put, "INSERT OR REPLACE INTO transactions VALUES(?1, ?2)");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->drop, "DELETE FROM transactions WHERE txid = ?1");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->finish, "REPLACE INTO outcomes VALUES " OUTCOME_VALUES);
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->finish_many, "REPLACE INTO outcomes VALUES " MANY_OUTCOMES);
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->find, "SELECT outcome, ts, reason FROM outcomes WHERE txid = ?1");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->prune,
                     "DELETE FROM outcomes WHERE txid IN"
                     " (SELECT txid FROM outcomes WHERE txid < ?1 LIMIT ?2)");
    sqlite3_rollback_hook(db, on_rollback, s);
    return rc == SQLITE_OK ? load_unsettled(s, db) : rc;
}

void coordinator_store_durable(struct coordinator_store *s, const struct record *record)
{
    struct behind *b, *older;
    if (record->kind == RECORD_WATERMARK) {
        s->watermark = record->ts;
        s->prune_due = true;
    }
    if (record->kind < RECORD_ACCEPT)
        return;
    b = xcalloc(1, sizeof *b);
    b->nth = ++s->durable_n;
    b->record = *record;
    blob_ref(b->record.body);
    HASH_REPLACE(hh, s->behind, record.txid, sizeof b->record.txid, b, older);
    TAILQ_INSERT_TAIL(&s->behind_list, b, link);
    if (older == NULL)
        return;
    b->in_table = older->in_table;
    older->newer = b;
    if (older->nth <= s->confirmed_n)
        behind_free(s, older);
}

static int replay(void *arg, const struct record *record)
{
    coordinator_store_durable(arg, record);
    return SQLITE_OK;
}

static int step(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* A bounded step towards the watermark, so that nobody waits for a long delete. */
static int prune(struct coordinator_store *s, int rows)
{
    struct txid first = txid_make(hlc_to_ms(s->watermark), 0, 0);
    if (!s->prune_due)
        return SQLITE_OK;
    sqlite3_bind_blob(s->prune, 1, first.b, TXID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int(s->prune, 2, rows);
    int rc = step(s->prune);
    s->prune_due = rc != SQLITE_OK || sqlite3_changes(sqlite3_db_handle(s->prune)) == rows;
    return rc;
}

/* Only counts: flush() knows which records have been overtaken. */
static int apply(void *arg, const struct record *record)
{
    struct coordinator_store *s = arg;
    (void)record;
    s->applied_n++;
    return SQLITE_OK;
}

static int flush_unsettled(struct coordinator_store *s, struct behind *b)
{
    struct bytes body = blob_bytes(b->record.body);
    b->in_table = true;
    sqlite3_bind_blob(s->put, 1, b->record.txid.b, TXID_BYTES, SQLITE_STATIC);
    sqlite3_bind_blob(s->put, 2, body.data, (int)body.len, SQLITE_STATIC);
    return step(s->put);
}

/* A FINISHED record, decoded. */
struct ended {
    const struct txid *txid;
    struct outcome outcome;
};

static int flush_finished(struct coordinator_store *s, const struct behind *b, struct ended *out)
{
    out->txid = &b->record.txid;
    if (!finished_record_decode(&b->record, &out->outcome))
        return SQLITE_CORRUPT;
    if (!b->in_table)
        return SQLITE_OK;
    sqlite3_bind_blob(s->drop, 1, b->record.txid.b, TXID_BYTES, SQLITE_STATIC);
    return step(s->drop);
}

static int outcomes_put(sqlite3_stmt *stmt, const struct ended *ended, int n)
{
    for (int i = 0, at = 1; i < n; i++) {
        sqlite3_bind_blob(stmt, at++, ended[i].txid->b, TXID_BYTES, SQLITE_STATIC);
        sqlite3_bind_int(stmt, at++, ended[i].outcome.kind);
        sqlite3_bind_int64(stmt, at++, (sqlite3_int64)ended[i].outcome.commit_ts);
        sqlite3_bind_int(stmt, at++, ended[i].outcome.reason);
    }
    return step(stmt);
}

static struct behind *next_to_flush(struct coordinator_store *s)
{
    struct behind *b =
        s->flushed == NULL ? TAILQ_FIRST(&s->behind_list) : TAILQ_NEXT(s->flushed, link);
    return b != NULL && b->nth <= s->applied_n ? b : NULL;
}

/* What a newer record says, which a start would replay, need not get into the tables before it.
 * FINISHED is the last that there is of a transaction. */
static int flush_records(struct coordinator_store *s, uint64_t rows, int *finished, bool *more)
{
    struct ended ended[OUTCOMES_MANY];
    struct behind *b = next_to_flush(s);
    int rc = SQLITE_OK, n = 0;
    for (; rc == SQLITE_OK && b != NULL && rows > 0; b = next_to_flush(s), rows--) {
        s->flushed = b;
        if (b->newer != NULL)
            continue;
        bool done = b->record.kind == RECORD_FINISHED;
        rc = done ? flush_finished(s, b, &ended[n++]) : flush_unsettled(s, b);
        if (rc == SQLITE_OK && n == OUTCOMES_MANY) {
            rc = outcomes_put(s->finish_many, ended, n);
            *finished += n;
            n = 0;
        }
    }
    *finished += n;
    *more = b != NULL;
    for (int i = 0; rc == SQLITE_OK && i < n; i++)
        rc = outcomes_put(s->finish, &ended[i], 1);
    return rc;
}

static int flush(void *arg, const struct store_step *step, bool *more)
{
    struct coordinator_store *s = arg;
    uint64_t rows = step->rows > step->work ? step->rows : step->work;
    int finished = 0;
    int rc = flush_records(s, rows, &finished, more);
    return rc == SQLITE_OK ? prune(s, PRUNE_ROWS + 2 * finished) : rc;
}

static void applied(void *arg, uint64_t seq)
{
    struct coordinator_store *s = arg;
    struct behind *b;
    (void)seq;
    s->confirmed_n = s->applied_n;
    s->flushed = NULL;
    while ((b = TAILQ_FIRST(&s->behind_list)) != NULL && b->nth <= s->applied_n) {
        TAILQ_REMOVE(&s->behind_list, b, link);
        blob_unref(b->record.body);
        b->record.body = NULL;
        if (b->newer != NULL || b->record.kind == RECORD_FINISHED)
            behind_free(s, b);
    }
}

struct store_role coordinator_store_role(struct coordinator_store *s)
{
    return (struct store_role){s, create, load, replay, apply, flush, applied, NULL};
}

assent_status coordinator_store_lookup(struct coordinator_store *s, struct sqlite3 *db,
                                       const struct txid *txid, bool *found, struct record *out)
{
    struct behind *b;
    (void)db;
    *out = (struct record){.kind = RECORD_FINISHED, .txid = *txid};
    HASH_FIND(hh, s->behind, txid, sizeof *txid, b);
    *found = b != NULL && b->record.kind == RECORD_FINISHED;
    if (*found) {
        *out = b->record;
        blob_ref(out->body);
        return ASSENT_OK;
    }
    sqlite3_bind_blob(s->find, 1, txid->b, TXID_BYTES, SQLITE_STATIC);
    int rc = sqlite3_step(s->find);
    *found = rc == SQLITE_ROW;
    if (*found) {
        struct outcome outcome = {(enum outcome_kind)sqlite3_column_int(s->find, 0),
                                  (hlc_ts)sqlite3_column_int64(s->find, 1),
                                  (assent_status)sqlite3_column_int(s->find, 2)};
        out->ts = outcome.commit_ts;
        out->body = finished_record_encode(&outcome);
    }
    sqlite3_reset(s->find);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ASSENT_OK : ASSENT_STORAGE;
}

/* After a read that failed: by the system's fault, so that the next start may be able to? */
static assent_status read_failed(struct sqlite3 *db)
{
    int rc = sqlite3_extended_errcode(db);
    return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_DATA ? ASSENT_STORAGE : ASSENT_CORRUPT;
}

static bool row_each(sqlite3_stmt *stmt, bool (*each)(void *arg, const struct record *record),
                     void *arg)
{
    struct record record = {.kind = RECORD_ACCEPT};
    if (!column_txid(stmt, &record.txid))
        return false;
    record.body =
        blob_new(bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)));
    bool good = each(arg, &record);
    blob_unref(record.body);
    return good;
}

assent_status coordinator_store_each(struct coordinator_store *s, struct sqlite3 *db,
                                     bool (*each)(void *arg, const struct record *record),
                                     void *arg)
{
    sqlite3_stmt *stmt = NULL;
    struct behind *b;
    assent_status status = ASSENT_OK;
    int rc = prepare(db, &stmt, "SELECT txid, body FROM transactions");
    while (status == ASSENT_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        status = row_each(stmt, each, arg) ? ASSENT_OK : ASSENT_CORRUPT;
    if (status == ASSENT_OK && rc != SQLITE_DONE)
        status = read_failed(db);
    sqlite3_finalize(stmt);
    TAILQ_FOREACH (b, &s->behind_list, link)
        if (status == ASSENT_OK && !each(arg, &b->record))
            status = ASSENT_CORRUPT;
    return status;
}

/* `sql` gives one row: the greatest txid, or NULL where there is none. */
static assent_status newest_of(struct sqlite3 *db, const char *sql, uint64_t *ms)
{
    sqlite3_stmt *stmt = NULL;
    struct txid txid;
    assent_status status = ASSENT_OK;
    if (prepare(db, &stmt, sql) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
        status = read_failed(db);
    else if (column_txid(stmt, &txid))
        *ms = txid_ms(&txid) > *ms ? txid_ms(&txid) : *ms;
    sqlite3_finalize(stmt);
    return status;
}

assent_status coordinator_store_newest_ms(struct coordinator_store *s, struct sqlite3 *db,
                                          uint64_t *ms)
{
    struct behind *b;
    *ms = 0;
    TAILQ_FOREACH (b, &s->behind_list, link)
        *ms = txid_ms(&b->record.txid) > *ms ? txid_ms(&b->record.txid) : *ms;
    assent_status status = newest_of(db, "SELECT max(txid) FROM outcomes", ms);
    if (status == ASSENT_OK)
        status = newest_of(db, "SELECT max(txid) FROM transactions", ms);
    return status;
}
