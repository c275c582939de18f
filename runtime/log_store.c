#include "runtime/log_store_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"

void log_store_require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "assent: log store used wrongly: %s\n", what);
        abort();
    }
}

/* ---- errors ---- */

bool log_store_pages_fit(struct log_store *s)
{
    const char *damage = store_pages_damage(s->db);
    if (damage == NULL)
        return true;
    snprintf(s->error, sizeof s->error, "%s; " LOG_STORE_PAGES_CAUSE, damage);
    s->broken = true;
    return false;
}

assent_status log_store_failed_with(struct log_store *s, int rc, int system, const char *what)
{
    if (!log_store_pages_fit(s))
        return ASSENT_STORAGE;
    snprintf(s->error, sizeof s->error, "%.120s: %s: %s (SQLite code %d)%s%s", s->paths.db, what,
             sqlite3_errstr(rc), rc, system == 0 ? "" : ": ", system == 0 ? "" : strerror(system));
    if ((rc & 0xff) == SQLITE_FULL) {
        s->full = true;
        return ASSENT_DISK_FULL;
    }
    s->broken = true;
    return ASSENT_STORAGE;
}

assent_status log_store_failed(struct log_store *s, int rc, const char *what)
{
    return log_store_failed_with(s, rc, sqlite3_system_errno(s->db), what);
}

int log_store_run(sqlite3_stmt *stmt)
{
    sqlite3_step(stmt);
    return sqlite3_reset(stmt);
}

int log_store_insert(struct log_store *s, const struct store_row *row)
{
    sqlite3_stmt *stmt = s->stmt[STMT_INSERT];
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)row->seq);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)row->kind);
    sqlite3_bind_blob(stmt, 3, row->txid.b, TXID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, (sqlite3_int64)row->ts);
    if (row->has_body)
        sqlite3_bind_blob64(stmt, 5, row->body.data, row->body.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, 5);
    sqlite3_bind_blob(stmt, 6, row->chain.b, HASH_BYTES, SQLITE_STATIC);
    int rc = log_store_run(stmt);
    sqlite3_clear_bindings(stmt);
    return rc;
}

void log_store_end_transaction(struct log_store *s)
{
    int rc = sqlite3_get_autocommit(s->db) ? SQLITE_OK : log_store_run(s->stmt[STMT_ROLLBACK]);
    if (rc != SQLITE_OK) {
        s->full = false;
        log_store_failed(s, rc, "rollback");
        s->broken = true;
    }
}

assent_status log_store_write_tail(struct log_store *s)
{
    bool turns = store_tail_turns(&s->tail);
    assent_status status = turns ? log_store_file_older(s) : ASSENT_OK;
    if (status == ASSENT_OK && !store_tail_fits(&s->tail))
        status = log_store_sync(s);
    if (status != ASSENT_OK)
        return status;
    if (turns)
        s->older = s->durable.seq;
    int error = store_tail_write(&s->tail, &s->durable, &s->tip);
    s->stats.syncs++;
    if (error == 0 || MUTANT(WRITE_ERROR_IGNORED))
        return ASSENT_OK;
    snprintf(s->error, sizeof s->error, "%.160s: write: %s", s->paths.tail, strerror(error));
    s->broken = true;
    return ASSENT_STORAGE;
}

/* ---- a batch ---- */

assent_status log_store_begin(struct log_store *s)
{
    log_store_require(!s->in_batch, "a batch inside a batch");
    if (s->broken || !log_store_pages_fit(s))
        return ASSENT_STORAGE;
    s->full = false;
    int rc = s->applying ? SQLITE_OK : log_store_run(s->stmt[STMT_BEGIN]);
    if (rc != SQLITE_OK)
        return log_store_failed(s, rc, "begin");
    s->in_batch = true;
    return ASSENT_OK;
}

assent_status log_store_savepoint(struct log_store *s)
{
    log_store_require(s->in_batch && !s->in_savepoint,
                      "a savepoint outside a batch or inside another");
    if (s->broken)
        return ASSENT_STORAGE;
    s->in_savepoint = true;
    s->savepoint = s->tip;
    s->tail_savepoint = store_tail_mark(&s->tail);
    return ASSENT_OK;
}

void log_store_release(struct log_store *s, bool keep)
{
    log_store_require(s->in_savepoint, "a release without a savepoint");
    s->in_savepoint = false;
    if (keep || s->tip.seq == s->savepoint.seq)
        return;
    s->tip = s->savepoint;
    store_tail_undo(&s->tail, s->tail_savepoint);
    store_pending_undo(&s->pending, s->tip.seq);
}

assent_status log_store_append(struct log_store *s, const struct record *record)
{
    log_store_require(s->in_batch, "an append outside a batch");
    log_store_require(record_kind_known(record->kind), "an unknown kind of record");
    if (s->broken)
        return ASSENT_STORAGE;
    struct store_row row = {.seq = s->tip.seq + 1,
                            .kind = record->kind,
                            .txid = record->txid,
                            .ts = record->ts,
                            .has_body = record->body != NULL,
                            .body = blob_bytes(record->body)};
    row.chain = store_row_chain(&s->tip, &row);
    store_pending_add(&s->pending, &row, record->body);
    log_store_require(store_row_advance(&s->tip, &row), "an incarnation not above the one before");
    store_tail_add(&s->tail, &row);
    return ASSENT_OK;
}

/* Puts the rows up to that one into the log, inside a transaction. */
static int spill(struct log_store *s, uint64_t seq)
{
    int rc = SQLITE_OK;
    for (uint64_t i = s->logged + 1; i <= seq && rc == SQLITE_OK; i++)
        rc = log_store_insert(s, &store_pending_row(&s->pending, i)->row);
    return rc;
}

/* The last row that must be in the database before the batch is written to the tail: what that
 * forgets, and what does not fit into it. A batch without rows is not written. */
static uint64_t must_be_logged(const struct log_store *s)
{
    if (s->tip.seq == s->durable.seq)
        return s->logged;
    if (!store_tail_fits(&s->tail))
        return s->tip.seq;
    bool turns = store_tail_turns(&s->tail) && !MUTANT(TAIL_FORGETS);
    return turns && s->older > s->logged ? s->older : s->logged;
}

/* Whether the batch takes more than a write of the tail: rows into the log, or a checkpoint. */
static bool needs_database(const struct log_store *s)
{
    return must_be_logged(s) > s->logged || (store_tail_turns(&s->tail) && s->filed < s->older);
}

/* Ends an open apply, and goes on in a transaction of the batch. A full disk has rolled it back. */
static int give_way_to_batch(struct log_store *s)
{
    if (log_store_finish_apply(s) == ASSENT_STORAGE || log_store_end_copy(s) == ASSENT_STORAGE)
        return SQLITE_ABORT;
    return log_store_run(s->stmt[STMT_BEGIN]);
}

static int commit_database(struct log_store *s, uint64_t *logged)
{
    int rc = s->applying && needs_database(s) ? give_way_to_batch(s) : SQLITE_OK;
    *logged = must_be_logged(s);
    if (rc == SQLITE_OK && *logged > s->logged && log_store_end_copy(s) != ASSENT_OK)
        rc = SQLITE_ABORT;
    if (rc == SQLITE_OK)
        rc = spill(s, *logged);
    return rc == SQLITE_OK && !s->applying ? log_store_run(s->stmt[STMT_COMMIT]) : rc;
}

assent_status log_store_commit(struct log_store *s)
{
    log_store_require(s->in_batch && !s->in_savepoint, "a commit outside a batch or inside a job");
    if (s->broken || !log_store_pages_fit(s))
        return ASSENT_STORAGE;
    uint64_t rows = s->tip.seq - s->durable.seq, logged;
    int rc = commit_database(s, &logged);
    if (s->broken)
        return ASSENT_STORAGE;
    assent_status status = rc == SQLITE_OK ? ASSENT_OK : log_store_failed(s, rc, "commit");
    if (status == ASSENT_DISK_FULL) {
        log_store_rollback(s);
        return s->broken ? ASSENT_STORAGE : ASSENT_DISK_FULL;
    }
    if (status != ASSENT_OK)
        return status;
    s->unsynced = s->unsynced || logged > s->logged;
    s->logged = logged;
    store_pending_drop_to(&s->pending, logged);
    if (rows > 0)
        status = log_store_write_tail(s);
    if (status != ASSENT_OK)
        return status;
    s->in_batch = false;
    if (rows == 0)
        return ASSENT_OK;
    s->durable = s->tip;
    s->stats.rows += rows;
    s->stats.batches++;
    return ASSENT_OK;
}

void log_store_rollback(struct log_store *s)
{
    log_store_require(s->in_batch, "a rollback outside a batch");
    /* An open apply goes with it, and begins anew. */
    if (!s->broken && log_store_pages_fit(s))
        log_store_end_transaction(s);
    s->applying = false;
    s->tip = s->durable;
    store_tail_undo(&s->tail, 0);
    store_pending_undo(&s->pending, s->durable.seq);
    s->in_batch = false;
    s->in_savepoint = false;
    /* What a checkpoint takes out of the write-ahead log is room for the next batch. */
    if (s->full)
        s->checkpoint_at = 0;
    s->full = false;
}

/* ---- what others ask ---- */

void log_store_node(const struct log_store *s, struct store_node *out)
{
    *out = s->tip.node;
}

void log_store_stats(const struct log_store *s, struct store_stats *out)
{
    *out = s->stats;
    out->seq = s->durable.seq;
    out->applied_seq = s->applied.seq;
    out->bytes = s->durable.bytes - s->applied.bytes;
}

const char *log_store_error(const struct log_store *s)
{
    return s->error;
}

struct sqlite3 *log_store_db(struct log_store *s)
{
    return s->db;
}
