#include "participant/kv_tables.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

/* Pages kept in memory, in KiB: what bounds a participant of any number of keys. */
#define CACHE_KIB "131072"

#define REASON_CASE(name, number, retry, maybe, text) " WHEN " #number " THEN '" #name "'"
#define REASON_CASES                                  ASSENT_STATUS_MAP(REASON_CASE)
#define TXID_SHOWN                                                                                 \
    "lower(substr(hex(txid), 1, 8) || '-' || substr(hex(txid), 9, 4) || '-' ||"                    \
    " substr(hex(txid), 13, 4) || '-' || substr(hex(txid), 17, 4) || '-' ||"                       \
    " substr(hex(txid), 21))"
#define TS_SHOWN                                                                                   \
    "CASE ts WHEN 0 THEN NULL ELSE"                                                                \
    " strftime('%Y-%m-%d %H:%M:%fZ', (ts >> 16) / 1000.0, 'unixepoch') END"
/* The low byte of the u16 that is the body of ABORTED; every reason is below 256. */
#define REASON_OF_BODY                                                                             \
    "16 * (instr('0123456789ABCDEF', substr(hex(body), 1, 1)) - 1)"                                \
    " + instr('0123456789ABCDEF', substr(hex(body), 2, 1)) - 1"

static const char tables[] =
    "CREATE TABLE kv (key BLOB PRIMARY KEY NOT NULL, value BLOB, ts INTEGER NOT NULL,"
    " txid BLOB NOT NULL, applies INTEGER NOT NULL, versions INTEGER NOT NULL,"
    " old INTEGER NOT NULL, skips BLOB) WITHOUT ROWID;"
    "CREATE INDEX kv_deleted ON kv (ts) WHERE value IS NULL;"
    "CREATE TABLE kv_old (id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB,"
    " ts INTEGER NOT NULL, txid BLOB NOT NULL, applies INTEGER NOT NULL, old INTEGER NOT NULL,"
    " skips BLOB, until INTEGER NOT NULL);"
    "CREATE TABLE kv_prune (one INTEGER PRIMARY KEY CHECK (one = 1), point INTEGER NOT NULL,"
    " id INTEGER NOT NULL);"
    "INSERT INTO kv_prune VALUES (1, 0, 0);"
    "CREATE TABLE prepared (txid BLOB PRIMARY KEY NOT NULL, prepare_ts INTEGER NOT NULL,"
    " body BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE outcomes (txid BLOB PRIMARY KEY NOT NULL, outcome INTEGER NOT NULL,"
    " ts INTEGER NOT NULL, reason INTEGER NOT NULL) WITHOUT ROWID;";

/* For people. They also see what the log has and the tables do not have yet: kinds 20..23 are
 * PREPARED, COMMITTED, ABORTED and APPLIED (common/record.h). */
static const char views[] =
    "CREATE VIEW in_doubt AS"
    " WITH known (txid, ts) AS ("
    "  SELECT txid, prepare_ts FROM prepared"
    "  UNION SELECT txid, ts FROM log WHERE kind = 20)"
    " SELECT " TXID_SHOWN " AS txid, ts AS prepare_ts, " TS_SHOWN " AS prepared_at FROM known"
    " WHERE txid NOT IN (SELECT txid FROM log WHERE kind IN (21, 22)) ORDER BY 1;"
    "CREATE VIEW outcomes_all AS"
    " WITH known (txid, outcome, ts, reason) AS ("
    "  SELECT txid, outcome, ts, reason FROM outcomes"
    "  UNION SELECT txid, 1, ts, 0 FROM log WHERE kind IN (21, 23)"
    "  UNION SELECT txid, 2, ts, " REASON_OF_BODY " FROM log WHERE kind = 22)"
    " SELECT " TXID_SHOWN " AS txid,"
    " CASE outcome WHEN 1 THEN 'committed' ELSE 'aborted' END AS outcome,"
    " ts, " TS_SHOWN " AS decided_at,"
    " CASE outcome WHEN 2 THEN CASE reason" REASON_CASES " ELSE reason END END AS reason"
    " FROM known ORDER BY 1;";

#define ROW_COLUMNS "key, value, ts, txid, applies, old, skips, versions"
#define OLD_COLUMNS "key, value, ts, txid, applies, old, skips, until, id"

#define OUTCOME_COLUMNS 4
#define OUTCOME_VALUES  "(?, ?, ?, ?)"
#define FOUR_OUTCOMES   OUTCOME_VALUES ", " OUTCOME_VALUES ", " OUTCOME_VALUES ", " OUTCOME_VALUES
#define OUTCOMES_MANY   16
#define MANY_OUTCOMES   FOUR_OUTCOMES ", " FOUR_OUTCOMES ", " FOUR_OUTCOMES ", " FOUR_OUTCOMES

/* X(name, SQL) */
#define STATEMENT_MAP(X)                                                                           \
    X(GET, "SELECT " ROW_COLUMNS " FROM kv WHERE key = ?1")                                        \
    X(PUT, "REPLACE INTO kv (" ROW_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")            \
    X(SCAN, "SELECT " ROW_COLUMNS " FROM kv WHERE key >= ?1 ORDER BY key")                         \
    X(SCAN_END, "SELECT " ROW_COLUMNS " FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key")        \
    X(SCAN_DOWN, "SELECT " ROW_COLUMNS " FROM kv WHERE key >= ?1 ORDER BY key DESC")               \
    X(SCAN_DOWN_END, "SELECT " ROW_COLUMNS " FROM kv"                                              \
                     " WHERE key >= ?1 AND key < ?2 ORDER BY key DESC")                            \
    X(OLD_GET, "SELECT " OLD_COLUMNS " FROM kv_old WHERE id = ?1")                                 \
    X(OLD_PUT, "REPLACE INTO kv_old (" OLD_COLUMNS ")"                                             \
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                     \
    X(OLD_LAST, "SELECT max((SELECT id FROM kv_prune), ifnull((SELECT max(id) FROM kv_old), 0))")  \
    X(CHANGED, "SELECT key, NULL, ts, txid, applies FROM kv"                                       \
               " WHERE key >= ?1 AND ts > ?3 ORDER BY key LIMIT 1")                                \
    X(CHANGED_END, "SELECT key, NULL, ts, txid, applies FROM kv"                                   \
                   " WHERE key >= ?1 AND key < ?2 AND ts > ?3 ORDER BY key LIMIT 1")               \
    X(PREPARED_PUT, "REPLACE INTO prepared VALUES (?1, ?2, ?3)")                                   \
    X(PREPARED_DELETE, "DELETE FROM prepared WHERE txid = ?1")                                     \
    X(PREPARED_EACH, "SELECT txid, prepare_ts, body FROM prepared ORDER BY txid")                  \
    X(OUTCOME_PUT, "REPLACE INTO outcomes VALUES " OUTCOME_VALUES)                                 \
    X(OUTCOMES_PUT, "REPLACE INTO outcomes VALUES " MANY_OUTCOMES)                                 \
    X(OUTCOME_GET, "SELECT txid, outcome, ts, reason FROM outcomes WHERE txid = ?1")               \
    X(OUTCOME_EACH, "SELECT txid, outcome, ts, reason FROM outcomes"                               \
                    " WHERE txid >= ?1 ORDER BY txid")                                             \
    X(OUTCOME_NEWEST, "SELECT max(txid) FROM outcomes")                                            \
    X(PRUNE_OUTCOMES, "DELETE FROM outcomes WHERE txid IN (SELECT txid FROM outcomes"              \
                      " WHERE txid < ?1 ORDER BY txid LIMIT ?2)")                                  \
    X(PRUNE_DELETED, "DELETE FROM kv WHERE key IN (SELECT key FROM kv INDEXED BY kv_deleted"       \
                     " WHERE value IS NULL AND ts < ?1 ORDER BY ts LIMIT ?2) RETURNING ts")        \
    X(PRUNE_OLD_FIND, "SELECT id, until FROM kv_old ORDER BY id LIMIT ?1")                         \
    X(PRUNE_OLD, "DELETE FROM kv_old WHERE id <= ?1")                                              \
    X(PRUNE_OLD_ID, "UPDATE kv_prune SET id = ?1")                                                 \
    X(PRUNE_POINT_GET, "SELECT point FROM kv_prune")                                               \
    X(PRUNE_POINT_PUT, "UPDATE kv_prune SET point = ?1")

enum statement {
#define STATEMENT_ENUM(name, sql) STATEMENT_##name,
    STATEMENT_MAP(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        STATEMENTS
};

static const char *const statement_sql[STATEMENTS] = {
#define STATEMENT_SQL(name, sql) [STATEMENT_##name] = (sql),
    STATEMENT_MAP(STATEMENT_SQL)
#undef STATEMENT_SQL
};

struct kv_tables {
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
    sqlite3_stmt *scan;        /* the one that is open, or NULL */
    struct writer fetched;     /* the bytes of the last GET or CHANGED */
    struct writer fetched_old; /* and of the last OLD_GET */
    int64_t old_id;            /* the last that was given out */
};

int kv_tables_create(sqlite3 *db)
{
    int rc = sqlite3_exec(db, tables, NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, views, NULL, NULL, NULL) : rc;
}

/* What was pruned last counts, too, so that no id is used twice. */
static int old_last(struct kv_tables *t)
{
    sqlite3_stmt *s = t->statement[STATEMENT_OLD_LAST];
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        t->old_id = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int kv_tables_open(struct kv_tables **out, sqlite3 *db)
{
    struct kv_tables *t = xcalloc(1, sizeof *t);
    t->db = db;
    int rc = sqlite3_exec(db, "PRAGMA cache_size = -" CACHE_KIB, NULL, NULL, NULL);
    for (int i = 0; i < STATEMENTS && rc == SQLITE_OK; i++)
        rc = sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &t->statement[i], NULL);
    if (rc == SQLITE_OK)
        rc = old_last(t);
    if (rc != SQLITE_OK) {
        kv_tables_close(t);
        t = NULL;
    }
    *out = t;
    return rc;
}

void kv_tables_close(struct kv_tables *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(t->statement[i]);
    writer_free(&t->fetched);
    writer_free(&t->fetched_old);
    free(t);
}

const char *kv_tables_error(const struct kv_tables *t)
{
    return sqlite3_errmsg(t->db);
}

/* Empty bytes stay a blob: a NULL pointer would be bound as NULL, which is a tombstone. */
static void bind_bytes(sqlite3_stmt *s, int at, struct bytes b)
{
    sqlite3_bind_blob64(s, at, b.len == 0 ? "" : (const void *)b.data, b.len, SQLITE_STATIC);
}

static void bind_txid(sqlite3_stmt *s, int at, const struct txid *txid)
{
    bind_bytes(s, at, bytes_of(txid->b, TXID_BYTES));
}

/* Timestamps are below 2^63 (common/hlc.h). */
static void bind_ts(sqlite3_stmt *s, int at, hlc_ts ts)
{
    sqlite3_bind_int64(s, at, (sqlite3_int64)ts);
}

static struct bytes column_bytes(sqlite3_stmt *s, int at)
{
    const void *data = sqlite3_column_blob(s, at);
    return bytes_of(data, (size_t)sqlite3_column_bytes(s, at));
}

static bool column_txid(sqlite3_stmt *s, int at, struct txid *out)
{
    struct bytes b = column_bytes(s, at);
    *out = (struct txid){{0}};
    if (b.len != TXID_BYTES)
        return false;
    memcpy(out->b, b.data, TXID_BYTES);
    return true;
}

/* Runs a statement that gives no rows. */
static int run(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int column_cell(sqlite3_stmt *s, int rc, struct kv_cell *out)
{
    *out = (struct kv_cell){0};
    if (rc != SQLITE_ROW)
        return rc;
    out->key = column_bytes(s, 0);
    out->live = sqlite3_column_type(s, 1) != SQLITE_NULL;
    out->value = column_bytes(s, 1);
    out->version.ts = (hlc_ts)sqlite3_column_int64(s, 2);
    out->version.applies = (uint32_t)sqlite3_column_int64(s, 4);
    return column_txid(s, 3, &out->version.txid) ? SQLITE_ROW : SQLITE_CORRUPT;
}

/* Columns 5 and 6 of a row and of an old version: the last one, and the farther ones. */
static int column_links(sqlite3_stmt *s, struct kv_links *out)
{
    struct reader r = reader_of(column_bytes(s, 6));
    *out = (struct kv_links){.n = 1, .id = {sqlite3_column_int64(s, 5)}};
    while (out->n < KV_LINKS_MAX && r.rest.len > 0)
        out->id[out->n++] = (int64_t)reader_u64(&r);
    return reader_done(&r) ? SQLITE_ROW : SQLITE_CORRUPT;
}

static int column_row(sqlite3_stmt *s, int rc, struct kv_row *out)
{
    rc = column_cell(s, rc, &out->cell);
    if (rc != SQLITE_ROW)
        return rc;
    out->versions = (uint64_t)sqlite3_column_int64(s, 7);
    return column_links(s, &out->links);
}

/* Ends a statement of one row, whose bytes are copied so that it does not stay open over a commit.
 */
static void fetched(sqlite3_stmt *s, struct writer *copy, struct kv_cell *cell)
{
    size_t key_len = cell->key.len, value_len = cell->value.len;
    copy->len = 0;
    writer_raw(copy, cell->key.data, key_len);
    writer_raw(copy, cell->value.data, value_len);
    cell->key = bytes_of(copy->data, key_len);
    cell->value = bytes_of(copy->data + key_len, value_len);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

int kv_tables_get(struct kv_tables *t, struct bytes key, struct kv_row *out)
{
    sqlite3_stmt *s = t->statement[STATEMENT_GET];
    bind_bytes(s, 1, key);
    int rc = column_row(s, sqlite3_step(s), out);
    fetched(s, &t->fetched, &out->cell);
    out->cell.key = key;
    return rc;
}

static void bind_cell(sqlite3_stmt *s, const struct kv_cell *cell)
{
    bind_bytes(s, 1, cell->key);
    if (cell->live)
        bind_bytes(s, 2, cell->value);
    bind_ts(s, 3, cell->version.ts);
    bind_txid(s, 4, &cell->version.txid);
    sqlite3_bind_int64(s, 5, cell->version.applies);
}

/* `skips` has room for them and lives until the statement ran. */
static void bind_links(sqlite3_stmt *s, const struct kv_links *links, uint8_t *skips)
{
    size_t len = 0;
    for (uint32_t i = 1; i < links->n; i++)
        for (int byte = 0; byte < 8; byte++)
            skips[len++] = (uint8_t)((uint64_t)links->id[i] >> (8 * byte));
    sqlite3_bind_int64(s, 6, links->id[0]);
    if (len > 0)
        bind_bytes(s, 7, bytes_of(skips, len));
}

int kv_tables_put(struct kv_tables *t, const struct kv_row *row)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PUT];
    uint8_t skips[8 * KV_LINKS_MAX];
    bind_cell(s, &row->cell);
    bind_links(s, &row->links, skips);
    sqlite3_bind_int64(s, 8, (sqlite3_int64)row->versions);
    return run(s);
}

/* Nothing is written at 2^63 or after it, where SQLite's integers turn negative. */
static void bind_any_ts(sqlite3_stmt *s, int at, hlc_ts ts)
{
    bind_ts(s, at, ts > INT64_MAX ? INT64_MAX : ts);
}

int64_t kv_tables_old_new_id(struct kv_tables *t)
{
    return ++t->old_id;
}

int kv_tables_old_get(struct kv_tables *t, struct bytes key, int64_t id, struct kv_old *out)
{
    sqlite3_stmt *s = t->statement[STATEMENT_OLD_GET];
    sqlite3_bind_int64(s, 1, id);
    int rc = column_cell(s, sqlite3_step(s), &out->cell);
    if (rc == SQLITE_ROW)
        rc = bytes_equal(out->cell.key, key) ? column_links(s, &out->links) : SQLITE_CORRUPT;
    out->id = id;
    out->until = rc == SQLITE_ROW ? (hlc_ts)sqlite3_column_int64(s, 7) : 0;
    fetched(s, &t->fetched_old, &out->cell);
    out->cell.key = key;
    return rc;
}

int kv_tables_old_put(struct kv_tables *t, const struct kv_old *old)
{
    sqlite3_stmt *s = t->statement[STATEMENT_OLD_PUT];
    uint8_t skips[8 * KV_LINKS_MAX];
    bind_cell(s, &old->cell);
    bind_links(s, &old->links, skips);
    bind_ts(s, 8, old->until);
    sqlite3_bind_int64(s, 9, old->id);
    return run(s);
}

int kv_tables_scan_first(struct kv_tables *t, struct bytes key, struct bytes end, bool descending,
                         struct kv_row *out)
{
    enum statement with_end = descending ? STATEMENT_SCAN_DOWN_END : STATEMENT_SCAN_END;
    enum statement without = descending ? STATEMENT_SCAN_DOWN : STATEMENT_SCAN;
    t->scan = t->statement[end.len == 0 ? without : with_end];
    bind_bytes(t->scan, 1, key);
    if (end.len > 0)
        bind_bytes(t->scan, 2, end);
    return kv_tables_scan_next(t, out);
}

int kv_tables_scan_next(struct kv_tables *t, struct kv_row *out)
{
    return column_row(t->scan, sqlite3_step(t->scan), out);
}

void kv_tables_scan_stop(struct kv_tables *t)
{
    sqlite3_reset(t->scan);
    sqlite3_clear_bindings(t->scan);
    t->scan = NULL;
}

int kv_tables_changed(struct kv_tables *t, struct bytes key, struct bytes end, hlc_ts since,
                      struct kv_cell *out)
{
    sqlite3_stmt *s = t->statement[end.len == 0 ? STATEMENT_CHANGED : STATEMENT_CHANGED_END];
    bind_bytes(s, 1, key);
    if (end.len > 0)
        bind_bytes(s, 2, end);
    bind_any_ts(s, 3, since);
    int rc = column_cell(s, sqlite3_step(s), out);
    fetched(s, &t->fetched, out);
    return rc;
}

int kv_tables_prepared_put(struct kv_tables *t, const struct record *prepared)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PREPARED_PUT];
    bind_txid(s, 1, &prepared->txid);
    bind_ts(s, 2, prepared->ts);
    bind_bytes(s, 3, blob_bytes(prepared->body));
    return run(s);
}

int kv_tables_prepared_delete(struct kv_tables *t, const struct txid *txid)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PREPARED_DELETE];
    bind_txid(s, 1, txid);
    return run(s);
}

int kv_tables_prepared_each(struct kv_tables *t,
                            int (*each)(void *arg, const struct txid *txid, hlc_ts prepare_ts,
                                        struct bytes body),
                            void *arg)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PREPARED_EACH];
    int rc, stop = SQLITE_OK;
    while (stop == SQLITE_OK && (rc = sqlite3_step(s)) != SQLITE_DONE) {
        struct txid txid;
        if (rc != SQLITE_ROW)
            stop = rc;
        else if (!column_txid(s, 0, &txid))
            stop = SQLITE_CORRUPT;
        else
            stop = each(arg, &txid, (hlc_ts)sqlite3_column_int64(s, 1), column_bytes(s, 2));
    }
    sqlite3_reset(s);
    return stop;
}

static int outcomes_run(sqlite3_stmt *s, const struct kv_outcome *outcome, int n)
{
    for (int i = 0, at = 1; i < n; i++, at += OUTCOME_COLUMNS) {
        bind_txid(s, at, &outcome[i].txid);
        sqlite3_bind_int(s, at + 1, (int)outcome[i].outcome.kind);
        bind_ts(s, at + 2, outcome[i].ts);
        sqlite3_bind_int(s, at + 3, (int)outcome[i].outcome.reason);
    }
    return run(s);
}

int kv_tables_outcomes_put(struct kv_tables *t, const struct kv_outcome *outcome, uint32_t n)
{
    uint32_t i = 0;
    int rc = SQLITE_OK;
    for (; rc == SQLITE_OK && i + OUTCOMES_MANY <= n; i += OUTCOMES_MANY)
        rc = outcomes_run(t->statement[STATEMENT_OUTCOMES_PUT], &outcome[i], OUTCOMES_MANY);
    for (; rc == SQLITE_OK && i < n; i++)
        rc = outcomes_run(t->statement[STATEMENT_OUTCOME_PUT], &outcome[i], 1);
    return rc;
}

static int column_outcome(sqlite3_stmt *s, struct kv_outcome *out)
{
    *out = (struct kv_outcome){0};
    out->ts = (hlc_ts)sqlite3_column_int64(s, 2);
    out->outcome.kind = (enum outcome_kind)sqlite3_column_int(s, 1);
    out->outcome.commit_ts = out->outcome.kind == OUTCOME_COMMITTED ? out->ts : 0;
    out->outcome.reason = (assent_status)sqlite3_column_int(s, 3);
    return column_txid(s, 0, &out->txid) ? SQLITE_ROW : SQLITE_CORRUPT;
}

int kv_tables_outcome_get(struct kv_tables *t, const struct txid *txid, struct kv_outcome *out)
{
    sqlite3_stmt *s = t->statement[STATEMENT_OUTCOME_GET];
    bind_txid(s, 1, txid);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        rc = column_outcome(s, out);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc;
}

/* The least txid of a millisecond. */
static struct txid txid_floor(uint64_t ms)
{
    struct txid txid = {{0}};
    for (int i = 0; i < 6; i++)
        txid.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    return txid;
}

int kv_tables_outcome_each(struct kv_tables *t, uint64_t since_ms,
                           void (*each)(void *arg, const struct kv_outcome *outcome), void *arg)
{
    sqlite3_stmt *s = t->statement[STATEMENT_OUTCOME_EACH];
    struct txid since = txid_floor(since_ms);
    struct kv_outcome outcome;
    int rc;
    bind_txid(s, 1, &since);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && (rc = column_outcome(s, &outcome)) == SQLITE_ROW)
        each(arg, &outcome);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int kv_tables_outcome_newest(struct kv_tables *t, uint64_t *ms)
{
    sqlite3_stmt *s = t->statement[STATEMENT_OUTCOME_NEWEST];
    struct txid txid;
    int rc = sqlite3_step(s);
    *ms = rc == SQLITE_ROW && column_txid(s, 0, &txid) ? txid_ms(&txid) : 0;
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int kv_tables_prune_outcomes(struct kv_tables *t, uint64_t before_ms, int rows, int *n)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PRUNE_OUTCOMES];
    struct txid before = txid_floor(before_ms);
    bind_txid(s, 1, &before);
    sqlite3_bind_int(s, 2, rows);
    int rc = run(s);
    *n = rc == SQLITE_OK ? sqlite3_changes(t->db) : 0;
    return rc;
}

int kv_tables_prune_deleted(struct kv_tables *t, hlc_ts before, int rows, int *n, hlc_ts *newest)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PRUNE_DELETED];
    int rc;
    *n = 0;
    *newest = 0;
    bind_ts(s, 1, before);
    sqlite3_bind_int(s, 2, rows);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        hlc_ts ts = (hlc_ts)sqlite3_column_int64(s, 0);
        *newest = ts > *newest ? ts : *newest;
        ++*n;
    }
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The last row of a run from the first row on that may go. */
static int prune_old_find(struct kv_tables *t, hlc_ts before, int rows, int *n, hlc_ts *newest,
                          sqlite3_int64 *last)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PRUNE_OLD_FIND];
    int rc;
    sqlite3_bind_int(s, 1, rows);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        hlc_ts until = (hlc_ts)sqlite3_column_int64(s, 1);
        if (until > before)
            break;
        *last = sqlite3_column_int64(s, 0);
        *newest = until > *newest ? until : *newest;
        ++*n;
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int kv_tables_prune_old(struct kv_tables *t, hlc_ts before, int rows, int *n, hlc_ts *newest)
{
    sqlite3_int64 last = 0;
    *n = 0;
    *newest = 0;
    int rc = prune_old_find(t, before, rows, n, newest, &last);
    static const enum statement steps[] = {STATEMENT_PRUNE_OLD, STATEMENT_PRUNE_OLD_ID};
    for (int i = 0; i < 2 && *n > 0 && rc == SQLITE_OK; i++) {
        sqlite3_bind_int64(t->statement[steps[i]], 1, last);
        rc = run(t->statement[steps[i]]);
    }
    return rc;
}

int kv_tables_prune_point_get(struct kv_tables *t, hlc_ts *out)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PRUNE_POINT_GET];
    int rc = sqlite3_step(s);
    *out = rc == SQLITE_ROW ? (hlc_ts)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

int kv_tables_prune_point_put(struct kv_tables *t, hlc_ts point)
{
    sqlite3_stmt *s = t->statement[STATEMENT_PRUNE_POINT_PUT];
    bind_ts(s, 1, point);
    return run(s);
}
