#include "coordinator/store.h"

#include <bsd/sys/queue.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "coordinator/record.h"

#define PRUNE_EVERY 256u
#define PRUNE_ROWS  512

/* A FINISHED record that is durable in the log and not applied to the tables yet. */
struct behind {
    UT_hash_handle hh;
    struct txid txid;
    uint64_t nth; /* the how-manieth record of this role it is */
    hlc_ts ts;
    struct blob *body;
    TAILQ_ENTRY(behind) link;
};

struct replayed {
    TAILQ_ENTRY(replayed) link;
    struct record record;
};

struct coordinator_store {
    sqlite3_stmt *put, *drop, *finish, *find, *prune;
    uint64_t durable_n, applied_n;
    uint64_t confirmed_n; /* applied_n as of the last apply that was committed */
    struct behind *behind;
    TAILQ_HEAD(, behind) behind_list;
    TAILQ_HEAD(, replayed) replayed; /* until coordinator_store_each */
    uint64_t newest_ms;              /* of the replayed */
    hlc_ts watermark;
    uint32_t since_prune;
};

struct coordinator_store *coordinator_store_new(void)
{
    struct coordinator_store *s = xcalloc(1, sizeof *s);
    TAILQ_INIT(&s->behind_list);
    TAILQ_INIT(&s->replayed);
    return s;
}

static void behind_free(struct coordinator_store *s, struct behind *b)
{
    TAILQ_REMOVE(&s->behind_list, b, link);
    HASH_DELETE(hh, s->behind, b);
    blob_unref(b->body);
    free(b);
}

static void replayed_free(struct coordinator_store *s)
{
    struct replayed *r;
    while ((r = TAILQ_FIRST(&s->replayed)) != NULL) {
        TAILQ_REMOVE(&s->replayed, r, link);
        blob_unref(r->record.body);
        free(r);
    }
}

static void statements_free(struct coordinator_store *s)
{
    sqlite3_stmt **stmt[] = {&s->put, &s->drop, &s->finish, &s->find, &s->prune};
    for (size_t i = 0; i < sizeof stmt / sizeof stmt[0]; i++) {
        sqlite3_finalize(*stmt[i]);
        *stmt[i] = NULL;
    }
}

void coordinator_store_free(struct coordinator_store *s)
{
    struct behind *b;
    if (s == NULL)
        return;
    while ((b = TAILQ_FIRST(&s->behind_list)) != NULL)
        behind_free(s, b);
    replayed_free(s);
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

static int prepare(struct sqlite3 *db, sqlite3_stmt **stmt, const char *sql)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
}

/* A rolled back apply starts again from where the last one ended. */
static void on_rollback(void *arg)
{
    struct coordinator_store *s = arg;
    s->applied_n = s->confirmed_n;
}

static int load(void *arg, struct sqlite3 *db)
{
    struct coordinator_store *s = arg;
    int rc = prepare(db, &s->put, "INSERT OR REPLACE INTO transactions VALUES(?1, ?2)");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->drop, "DELETE FROM transactions WHERE txid = ?1");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->finish, "INSERT OR REPLACE INTO outcomes VALUES(?1, ?2, ?3, ?4)");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->find, "SELECT outcome, ts, reason FROM outcomes WHERE txid = ?1");
    if (rc == SQLITE_OK)
        rc = prepare(db, &s->prune,
                     "DELETE FROM outcomes WHERE txid IN"
                     " (SELECT txid FROM outcomes WHERE txid < ?1 LIMIT ?2)");
    sqlite3_rollback_hook(db, on_rollback, s);
    return rc;
}

static struct record record_copy(const struct record *record)
{
    struct record copy = *record;
    copy.body = record->body == NULL ? NULL : blob_new(blob_bytes(record->body));
    return copy;
}

void coordinator_store_durable(struct coordinator_store *s, const struct record *record)
{
    struct behind *b;
    if (record->kind == RECORD_WATERMARK)
        s->watermark = record->ts;
    if (record->kind < RECORD_ACCEPT)
        return;
    s->durable_n++;
    if (record->kind != RECORD_FINISHED)
        return;
    HASH_FIND(hh, s->behind, &record->txid, sizeof record->txid, b);
    if (b != NULL)
        behind_free(s, b);
    b = xcalloc(1, sizeof *b);
    b->txid = record->txid;
    b->nth = s->durable_n;
    b->ts = record->ts;
    b->body = blob_new(blob_bytes(record->body));
    HASH_ADD(hh, s->behind, txid, sizeof b->txid, b);
    TAILQ_INSERT_TAIL(&s->behind_list, b, link);
}

static int replay(void *arg, const struct record *record)
{
    struct coordinator_store *s = arg;
    struct replayed *r = xcalloc(1, sizeof *r);
    r->record = record_copy(record);
    TAILQ_INSERT_TAIL(&s->replayed, r, link);
    if (txid_ms(&record->txid) > s->newest_ms)
        s->newest_ms = txid_ms(&record->txid);
    coordinator_store_durable(s, record);
    return SQLITE_OK;
}

static int step(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int prune(struct coordinator_store *s)
{
    struct txid first = txid_make(hlc_to_ms(s->watermark), 0, 0);
    if (s->watermark == 0 || ++s->since_prune < PRUNE_EVERY)
        return SQLITE_OK;
    s->since_prune = 0;
    sqlite3_bind_blob(s->prune, 1, first.b, TXID_BYTES, SQLITE_TRANSIENT);
    sqlite3_bind_int(s->prune, 2, PRUNE_ROWS);
    return step(s->prune);
}

static int apply(void *arg, const struct record *record)
{
    struct coordinator_store *s = arg;
    struct outcome outcome;
    int rc;
    s->applied_n++;
    if (record->kind != RECORD_FINISHED) {
        struct bytes body = blob_bytes(record->body);
        sqlite3_bind_blob(s->put, 1, record->txid.b, TXID_BYTES, SQLITE_STATIC);
        sqlite3_bind_blob(s->put, 2, body.data, (int)body.len, SQLITE_STATIC);
        return step(s->put);
    }
    if (!finished_record_decode(record, &outcome))
        return SQLITE_CORRUPT;
    sqlite3_bind_blob(s->drop, 1, record->txid.b, TXID_BYTES, SQLITE_STATIC);
    rc = step(s->drop);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_blob(s->finish, 1, record->txid.b, TXID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int(s->finish, 2, outcome.kind);
    sqlite3_bind_int64(s->finish, 3, (sqlite3_int64)outcome.commit_ts);
    sqlite3_bind_int(s->finish, 4, outcome.reason);
    rc = step(s->finish);
    return rc == SQLITE_OK ? prune(s) : rc;
}

static void applied(void *arg, uint64_t seq)
{
    struct coordinator_store *s = arg;
    struct behind *b;
    (void)seq;
    s->confirmed_n = s->applied_n;
    while ((b = TAILQ_FIRST(&s->behind_list)) != NULL && b->nth <= s->applied_n)
        behind_free(s, b);
}

struct store_role coordinator_store_role(struct coordinator_store *s)
{
    return (struct store_role){s, create, load, replay, apply, NULL, applied, NULL};
}

assent_status coordinator_store_lookup(struct coordinator_store *s, struct sqlite3 *db,
                                       const struct txid *txid, bool *found, struct record *out)
{
    struct behind *b;
    (void)db;
    *out = (struct record){.kind = RECORD_FINISHED, .txid = *txid};
    HASH_FIND(hh, s->behind, txid, sizeof *txid, b);
    *found = b != NULL;
    if (b != NULL) {
        out->ts = b->ts;
        out->body = blob_ref(b->body);
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
    if (sqlite3_column_bytes(stmt, 0) != TXID_BYTES)
        return false;
    memcpy(record.txid.b, sqlite3_column_blob(stmt, 0), TXID_BYTES);
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
    struct replayed *r;
    assent_status status = ASSENT_OK;
    int rc = prepare(db, &stmt, "SELECT txid, body FROM transactions");
    while (status == ASSENT_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        status = row_each(stmt, each, arg) ? ASSENT_OK : ASSENT_CORRUPT;
    if (status == ASSENT_OK && rc != SQLITE_DONE)
        status = read_failed(db);
    sqlite3_finalize(stmt);
    TAILQ_FOREACH (r, &s->replayed, link)
        if (status == ASSENT_OK && !each(arg, &r->record))
            status = ASSENT_CORRUPT;
    replayed_free(s);
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
    else if (sqlite3_column_bytes(stmt, 0) == TXID_BYTES) {
        memcpy(txid.b, sqlite3_column_blob(stmt, 0), TXID_BYTES);
        *ms = txid_ms(&txid) > *ms ? txid_ms(&txid) : *ms;
    }
    sqlite3_finalize(stmt);
    return status;
}

assent_status coordinator_store_newest_ms(struct coordinator_store *s, struct sqlite3 *db,
                                          uint64_t *ms)
{
    *ms = s->newest_ms;
    assent_status status = newest_of(db, "SELECT max(txid) FROM outcomes", ms);
    if (status == ASSENT_OK)
        status = newest_of(db, "SELECT max(txid) FROM transactions", ms);
    return status;
}
