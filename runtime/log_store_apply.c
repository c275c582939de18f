#include "runtime/log_store_inner.h"

#include "common/mutant.h"
#include "runtime/store_meta.h"

#define APPLY_BYTES_MAX (16u * 1024 * 1024) /* bodies in one apply transaction */
/* Of the tail's half that is being written, when what the other has must begin to go into the
 * tables. */
#define APPLY_AT_EIGHTHS 1

static int apply_row(struct log_store *s, struct store_position *at, const struct store_row *row,
                     const struct record *record)
{
    if (!store_row_advance(at, row))
        return SQLITE_CORRUPT;
    return store_row_of_node(row->kind) ? SQLITE_OK : s->role.apply(s->role.arg, record);
}

/* Those that are in the log, up to row `last`. */
static int apply_logged(struct log_store *s, uint64_t last, uint64_t last_bytes,
                        struct store_position *at)
{
    sqlite3_stmt *stmt = s->stmt[STMT_SELECT];
    int rc = SQLITE_OK;
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)at->seq);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)(last - at->seq));
    while (rc == SQLITE_OK && at->bytes < last_bytes && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_row row;
        store_row_read(stmt, &row);
        struct record record = store_row_record(&row);
        /* Verified when it was read at open, or put there by this process: anything else means that
         * the file changed underneath. */
        rc = store_row_fault(at, &row) != NULL ? SQLITE_CORRUPT : apply_row(s, at, &row, &record);
        blob_unref(record.body);
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The next rows into the tables, up to the two limits; *at ends behind the last. */
static int apply_rows(struct log_store *s, uint64_t rows, struct store_position *at)
{
    uint64_t last = at->seq + rows, last_bytes = at->bytes + APPLY_BYTES_MAX;
    int rc = SQLITE_OK;
    if (at->seq < s->logged)
        rc = apply_logged(s, last < s->logged ? last : s->logged, last_bytes, at);
    while (rc == SQLITE_OK && at->seq >= s->logged && at->seq < last && at->bytes < last_bytes) {
        const struct store_pending_row *p = store_pending_row(&s->pending, at->seq + 1);
        struct record record = {
            .kind = p->row.kind, .txid = p->row.txid, .ts = p->row.ts, .body = p->body};
        rc = apply_row(s, at, &p->row, &record);
    }
    return rc == SQLITE_OK && at->seq == s->applied.seq ? SQLITE_CORRUPT : rc;
}

/* The end of a transaction that acknowledges nothing: ASSENT_OK, or as if it had not been. */
static assent_status commit_quietly(struct log_store *s, int rc, const char *what)
{
    if (rc == SQLITE_OK)
        rc = log_store_run(s->stmt[STMT_COMMIT]);
    if (rc == SQLITE_OK)
        return ASSENT_OK;
    assent_status status = log_store_failed(s, rc, what);
    if (status == ASSENT_DISK_FULL)
        log_store_end_transaction(s);
    s->full = false;
    return s->broken ? ASSENT_STORAGE : status;
}

/* ---- an apply: begun, its rows flushed in steps, ended ---- */

static assent_status end_apply(struct log_store *s, int rc)
{
    const struct store_position *at = &s->applying_to;
    s->applying = false;
    if (rc == SQLITE_OK && !MUTANT(POSITION_NOT_MOVED))
        rc = store_meta_update(s->update_meta, &s->id, at);
    if (rc == SQLITE_OK && s->applied.seq < s->logged && !MUTANT(POSITION_NOT_MOVED)) {
        sqlite3_bind_int64(s->stmt[STMT_TRIM], 1, (sqlite3_int64)at->seq);
        rc = log_store_run(s->stmt[STMT_TRIM]);
    }
    assent_status status = commit_quietly(s, rc, "apply");
    if (status != ASSENT_OK)
        return status;
    s->applied = *at;
    s->unsynced = true;
    if (at->seq > s->logged)
        s->logged = at->seq;
    store_pending_drop_to(&s->pending, at->seq);
    s->role.applied(s->role.arg, at->seq);
    return ASSENT_OK;
}

static assent_status begin_apply(struct log_store *s, uint64_t rows)
{
    s->full = false;
    s->applying_to = s->applied;
    if (log_store_end_copy(s) != ASSENT_OK)
        return ASSENT_STORAGE;
    int rc = log_store_run(s->stmt[STMT_BEGIN]);
    if (rc == SQLITE_OK)
        rc = apply_rows(s, rows, &s->applying_to);
    s->applying = rc == SQLITE_OK;
    return rc == SQLITE_OK ? ASSENT_OK : commit_quietly(s, rc, "apply");
}

static assent_status step_apply(struct log_store *s, const struct store_step *step)
{
    bool more = false;
    s->full = false;
    int rc = s->role.flush == NULL ? SQLITE_OK : s->role.flush(s->role.arg, step, &more);
    return rc == SQLITE_OK && more ? ASSENT_OK : end_apply(s, rc);
}

assent_status log_store_finish_apply(struct log_store *s)
{
    static const struct store_step all = {UINT64_MAX, 0};
    return s->applying ? step_apply(s, &all) : ASSENT_OK;
}

static assent_status apply_transaction(struct log_store *s, uint64_t rows)
{
    assent_status status = begin_apply(s, rows);
    return status == ASSENT_OK ? log_store_finish_apply(s) : status;
}

assent_status log_store_apply(struct log_store *s, uint64_t rows, uint64_t *left)
{
    log_store_require(!s->in_batch, "an apply inside a batch");
    assent_status status =
        s->broken || !log_store_pages_fit(s) ? ASSENT_STORAGE : log_store_finish_apply(s);
    uint64_t waiting = s->durable.seq - s->applied.seq;
    if (rows > waiting)
        rows = waiting;
    if (status == ASSENT_OK && rows > 0)
        status = apply_transaction(s, rows);
    /* On a full disk a few rows may still fit, and then make room: their pages become free. */
    while (status == ASSENT_DISK_FULL && rows > 1) {
        rows /= 8;
        status = log_store_checkpoint(s);
        if (status == ASSENT_OK)
            status = apply_transaction(s, rows > 0 ? rows : 1);
    }
    *left = s->durable.seq - s->applied.seq;
    return log_store_checkpoint_if_large(s, status);
}

assent_status log_store_apply_step(struct log_store *s, uint64_t rows,
                                   const struct store_step *step)
{
    log_store_require(!s->in_batch, "an apply inside a batch");
    uint64_t waiting = s->durable.seq - s->applied.seq, left;
    if (s->broken || !log_store_pages_fit(s))
        return ASSENT_STORAGE;
    if (rows > waiting)
        rows = waiting;
    assent_status status = ASSENT_OK;
    if (!s->applying && rows > 0)
        status = begin_apply(s, rows);
    if (s->applying)
        status = step_apply(s, step);
    if (status == ASSENT_DISK_FULL)
        return log_store_apply(s, rows, &left);
    return s->applying ? status : log_store_checkpoint_if_large(s, status);
}

bool log_store_applying(const struct log_store *s)
{
    return s->applying;
}

bool log_store_apply_urgent(const struct log_store *s)
{
    return store_tail_eighths(&s->tail) >= APPLY_AT_EIGHTHS && s->applied.seq < s->older;
}

bool log_store_prune_due(const struct log_store *s)
{
    return s->role.prune != NULL && s->durable.node.watermark > s->pruned;
}

assent_status log_store_prune(struct log_store *s)
{
    log_store_require(!s->in_batch && !s->applying, "pruning inside a batch or an apply");
    hlc_ts watermark = s->durable.node.watermark;
    bool more = false;
    if (s->broken || !log_store_pages_fit(s) || log_store_end_copy(s) != ASSENT_OK)
        return ASSENT_STORAGE;
    s->full = false;
    int rc = log_store_run(s->stmt[STMT_BEGIN]);
    if (rc == SQLITE_OK)
        rc = s->role.prune(s->role.arg, &more);
    assent_status status = commit_quietly(s, rc, "prune");
    s->unsynced = true;
    if (status == ASSENT_OK && !more)
        s->pruned = watermark;
    return log_store_checkpoint_if_large(s, status);
}
