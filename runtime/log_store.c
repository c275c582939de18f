/* Invariants:
 *
 *   L1  tip = durable + the rows of the open batch; after a rollback tip = durable.
 *   L2  applied.seq <= mark <= durable.seq; the log table holds exactly the rows from
 *       applied.seq + 1 to tip.seq.
 *   L3  a row's chain continues the chain of the row before; the first continues applied.chain.
 *   L4  nothing is acknowledged before the mark has reached it: log_store_commit writes the mark
 *       after SQLite's sync and before it returns, and an open writes it before it replays.
 *   L5  after a failed write or sync (`broken`) nothing is written any more, so nothing is retried.
 *
 * A job is undone by deleting its rows again, not by a SQLite savepoint: appending is the only
 * write of a batch, and the delete costs nothing unless a job fails. */
#include "runtime/log_store.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/store_file.h"
#include "runtime/store_mark.h"
#include "runtime/store_meta.h"
#include "runtime/store_row.h"

#define PAGE_BYTES      4096
#define WAL_FRAMES_MAX  (8 * 1024 * 1024 / PAGE_BYTES) /* then a checkpoint */
#define APPLY_BYTES_MAX (16u * 1024 * 1024)            /* bodies in one apply transaction */

enum statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_INSERT,
    STMT_UNDO,
    STMT_SELECT,
    STMT_TRIM,
    STATEMENTS
};

static const char *const statement_sql[STATEMENTS] = {
    [STMT_BEGIN] = "BEGIN",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_INSERT] = "INSERT INTO log (" STORE_ROW_COLUMNS ")"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [STMT_UNDO] = "DELETE FROM log WHERE seq > ?1",
    [STMT_SELECT] = "SELECT " STORE_ROW_COLUMNS " FROM log"
                    " WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [STMT_TRIM] = "DELETE FROM log WHERE seq <= ?1",
};

struct log_store {
    struct store_paths paths;
    struct store_identity id;
    struct store_role role;
    struct store_mark mark;
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENTS];
    sqlite3_stmt *update_meta;
    struct store_position applied;
    struct store_position durable;
    struct store_position tip;
    struct store_position savepoint;
    int index_fd;
    bool in_batch;
    bool in_savepoint;
    bool full;         /* the open batch met a full disk: only a rollback is left */
    bool broken;       /* L5 */
    int wal_frames;    /* after the last commit */
    int checkpoint_at; /* frames */
    struct store_stats stats;
    char error[256];
};

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "assent: log store used wrongly: %s\n", what);
        abort();
    }
}

/* ---- errors ---- */

/* Notes what failed, and what it means for the store: a full disk can be rolled back, anything else
 * leaves the files in a state that only the next open can judge. */
static assent_status failed(struct log_store *s, int rc, const char *what)
{
    int system = sqlite3_system_errno(s->db);
    snprintf(s->error, sizeof s->error, "%.120s: %s: %s (SQLite code %d)%s%s", s->paths.db, what,
             sqlite3_errstr(rc), rc, system == 0 ? "" : ": ", system == 0 ? "" : strerror(system));
    if ((rc & 0xff) == SQLITE_FULL) {
        s->full = true;
        return ASSENT_DISK_FULL;
    }
    s->broken = true;
    return ASSENT_STORAGE;
}

static int run(sqlite3_stmt *stmt)
{
    sqlite3_step(stmt);
    return sqlite3_reset(stmt);
}

/* ---- checkpoints ---- */

static int note_wal_frames(void *arg, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    struct log_store *s = arg;
    if (frames < s->wal_frames)
        s->checkpoint_at = WAL_FRAMES_MAX;
    s->wal_frames = frames;
    return SQLITE_OK;
}

/* A reader may keep a checkpoint from finishing, and a full disk may stop it: neither loses
 * anything. */
static assent_status checkpoint(struct log_store *s, int mode)
{
    int frames = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, &frames, &done);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED) {
        assent_status status = failed(s, rc, "checkpoint");
        s->full = false;
        s->checkpoint_at = s->wal_frames + WAL_FRAMES_MAX;
        return status == ASSENT_DISK_FULL ? ASSENT_OK : status;
    }
    s->stats.syncs += frames > 0 ? 2 : 0;
    /* Whatever a reader held back is tried again when as much has come on top. */
    s->checkpoint_at = s->wal_frames + WAL_FRAMES_MAX;
    return ASSENT_OK;
}

/* ---- open ---- */

/* What was found wrong, what the mark says, what to do. */
__attribute__((format(printf, 4, 5))) static assent_status
damaged(struct log_store *s, char *why, size_t why_size, const char *format, ...)
{
    const struct store_mark_slot *a = &s->mark.slot[0], *b = &s->mark.slot[1];
    uint64_t seq = b->valid && (!a->valid || b->seq > a->seq) ? b->seq : a->seq;
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return store_file_refuse(
        ASSENT_CORRUPT, why, why_size,
        "%.120s: %s; the mark says that row %llu was acknowledged. The node may "
        "have forgotten what it promised and must not serve: keep all files as "
        "they are, never delete the mark, and replace the node by a new one "
        "under a new key",
        s->paths.db, what, (unsigned long long)seq);
}

/* Both slots where the log still has their row: the newest alone is what the log must reach, the
 * other is one more witness. */
static bool mark_fits(const struct store_mark *mark, const struct store_position *at)
{
    for (int i = 0; i < STORE_MARK_SLOTS; i++)
        if (mark->slot[i].valid && mark->slot[i].seq == at->seq &&
            memcmp(mark->slot[i].chain.b, at->chain.b, HASH_BYTES) != 0)
            return false;
    return true;
}

/* Reads the whole log once, before anything is believed: L3, and the mark. */
static assent_status verify(struct log_store *s, char *why, size_t why_size)
{
    struct hash genesis = store_meta_genesis(&s->id);
    const struct store_mark_slot *newest = store_mark_check(&s->mark, &genesis);
    if (newest == NULL)
        return store_file_refuse(
            ASSENT_CORRUPT, why, why_size,
            "%.200s: neither slot of the mark is valid for this database: it is "
            "damaged, or another node's. Nothing shows that the log is whole: "
            "keep all files as they are and replace the node by a new one under "
            "a new key",
            s->paths.mark);
    sqlite3_stmt *stmt = s->stmt[STMT_SELECT];
    sqlite3_bind_int64(stmt, 1, INT64_MIN);
    sqlite3_bind_int64(stmt, 2, -1);
    assent_status status = ASSENT_OK;
    struct store_row row;
    s->tip = s->applied;
    if (!mark_fits(&s->mark, &s->tip))
        status = damaged(s, why, why_size, "at row %llu, the last in the tables, the chain differs",
                         (unsigned long long)s->tip.seq);
    while (status == ASSENT_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        store_row_read(stmt, &row);
        const char *fault = store_row_fault(&s->tip, &row);
        if (fault != NULL)
            status = damaged(s, why, why_size, "the log is whole up to row %llu; at row %llu %s",
                             (unsigned long long)s->tip.seq, (unsigned long long)row.seq, fault);
        else if (!record_kind_known(row.kind))
            status = store_file_refuse(
                ASSENT_FOREIGN, why, why_size,
                "%.200s: row %llu has kind %llu, which this program does not "
                "know: use the newer program that wrote it",
                s->paths.db, (unsigned long long)row.seq, (unsigned long long)row.kind);
        else if (!store_row_advance(&s->tip, &row))
            status = damaged(s, why, why_size, "row %llu is no valid incarnation",
                             (unsigned long long)row.seq);
        else if (!mark_fits(&s->mark, &s->tip))
            status = damaged(s, why, why_size, "at row %llu the chain differs from the mark",
                             (unsigned long long)row.seq);
    }
    int rc = sqlite3_reset(stmt);
    if (status == ASSENT_OK && rc != SQLITE_OK)
        status = damaged(s, why, why_size, "after row %llu the log cannot be read: %s",
                         (unsigned long long)s->tip.seq, sqlite3_errmsg(s->db));
    if (status == ASSENT_OK && s->tip.seq < newest->seq)
        status = damaged(s, why, why_size, "the log ends at row %llu: its end was lost",
                         (unsigned long long)s->tip.seq);
    s->durable = s->tip;
    return status;
}

/* Rows that a killed process had written but neither synced nor acknowledged are about to be acted
 * upon: they must be durable and under the mark first. The checkpoint also writes anew what an
 * earlier failed sync may have left in memory only. */
static assent_status make_durable(struct log_store *s, char *why, size_t why_size)
{
    assent_status status = checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
    if (status != ASSENT_OK)
        return store_file_refuse(status, why, why_size, "%s", s->error);
    int error = store_mark_write(&s->mark, s->durable.seq, &s->durable.chain);
    s->stats.syncs++;
    if (error != 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be written: %s",
                                 s->paths.mark, strerror(error));
    return ASSENT_OK;
}

static assent_status replay(struct log_store *s, char *why, size_t why_size)
{
    int rc = s->role.load(s->role.arg, s->db);
    sqlite3_stmt *stmt = s->stmt[STMT_SELECT];
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)s->applied.seq);
    sqlite3_bind_int64(stmt, 2, -1);
    struct store_row row = {.seq = s->applied.seq};
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        store_row_read(stmt, &row);
        s->stats.replayed++;
        if (store_row_of_node(row.kind))
            continue;
        struct record record = store_row_record(&row);
        rc = s->role.replay(s->role.arg, &record);
        blob_unref(record.body);
    }
    sqlite3_reset(stmt);
    if (rc == SQLITE_DONE)
        return ASSENT_OK;
    return store_file_refuse((rc & 0xff) == SQLITE_CORRUPT ? ASSENT_CORRUPT : ASSENT_STORAGE, why,
                             why_size,
                             "%.200s: the tables and the log up to row %llu cannot be "
                             "loaded: %s",
                             s->paths.db, (unsigned long long)row.seq, sqlite3_errstr(rc));
}

static assent_status prepare_statements(struct log_store *s, char *why, size_t why_size)
{
    int rc = store_meta_prepare(s->db, &s->update_meta);
    for (int i = 0; i < STATEMENTS && rc == SQLITE_OK; i++)
        rc = sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[i],
                                NULL);
    if (rc == SQLITE_OK)
        return ASSENT_OK;
    return store_file_refuse(ASSENT_CORRUPT, why, why_size,
                             "%.200s: the tables are not those of a node: %s", s->paths.db,
                             sqlite3_errmsg(s->db));
}

static assent_status open_files(struct log_store *s, char *why, size_t why_size)
{
    assent_status status = store_file_survey(&s->paths, why, why_size);
    if (status == ASSENT_OK)
        status = store_mark_open(&s->mark, s->paths.mark, why, why_size);
    if (status == ASSENT_OK)
        status = store_file_header(&s->paths, s->mark.blank, why, why_size);
    if (status != ASSENT_OK)
        return status;
    const char *const path[] = {s->paths.wal, s->paths.db, s->paths.dir};
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        int error = store_file_sync(path[i]);
        if (error != 0)
            return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be synced: %s",
                                     path[i], strerror(error));
    }
    return store_file_connect(&s->paths, &s->db, why, why_size);
}

static assent_status open_all(struct log_store *s, char *why, size_t why_size)
{
    assent_status status = open_files(s, why, why_size);
    if (status == ASSENT_OK)
        status = store_meta_load(s->db, s->paths.dir, &s->id, &s->applied, why, why_size);
    if (status == ASSENT_OK)
        status = store_file_settings(&s->paths, s->db, why, why_size);
    if (status == ASSENT_OK)
        status = prepare_statements(s, why, why_size);
    if (status == ASSENT_OK)
        status = verify(s, why, why_size);
    if (status != ASSENT_OK)
        return status;
    s->index_fd = store_file_reserve_index(&s->paths);
    sqlite3_wal_hook(s->db, note_wal_frames, s);
    status = make_durable(s, why, why_size);
    s->checkpoint_at = WAL_FRAMES_MAX;
    return status == ASSENT_OK ? replay(s, why, why_size) : status;
}

/* Leaves the files as they are. */
static void discard(struct log_store *s)
{
    sqlite3_finalize(s->update_meta);
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->stmt[i]);
    /* The role may still hold statements of its own. */
    sqlite3_close_v2(s->db);
    if (s->index_fd >= 0)
        close(s->index_fd);
    store_mark_close(&s->mark);
    free(s);
}

assent_status log_store_open(struct log_store **out, const char *dir,
                             const struct store_identity *id, const struct store_role *role,
                             char *why, size_t why_size)
{
    struct log_store *s = xcalloc(1, sizeof *s);
    *out = NULL;
    s->id = *id;
    s->role = *role;
    s->mark.fd = -1;
    s->index_fd = -1;
    assent_status status = store_file_paths(&s->paths, dir, why, why_size);
    if (status == ASSENT_OK)
        status = open_all(s, why, why_size);
    if (status == ASSENT_OK)
        *out = s;
    else
        discard(s);
    return status;
}

void log_store_close(struct log_store *s)
{
    if (s == NULL)
        return;
    if (s->in_batch)
        log_store_rollback(s);
    uint64_t left = s->broken ? 0 : 1;
    while (left > 0 && log_store_apply(s, UINT32_MAX, &left) == ASSENT_OK)
        continue;
    if (!s->broken) {
        sqlite3_busy_timeout(s->db, 0);
        checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
    }
    if (!s->broken)
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    discard(s);
}

struct sqlite3 *log_store_db(struct log_store *s)
{
    return s->db;
}

/* ---- a batch ---- */

assent_status log_store_begin(struct log_store *s)
{
    require(!s->in_batch, "a batch inside a batch");
    if (s->broken)
        return ASSENT_STORAGE;
    s->full = false;
    int rc = run(s->stmt[STMT_BEGIN]);
    if (rc != SQLITE_OK)
        return failed(s, rc, "begin");
    s->in_batch = true;
    return ASSENT_OK;
}

assent_status log_store_savepoint(struct log_store *s)
{
    require(s->in_batch && !s->in_savepoint, "a savepoint outside a batch or inside another");
    if (s->broken)
        return ASSENT_STORAGE;
    if (s->full)
        return ASSENT_DISK_FULL;
    s->in_savepoint = true;
    s->savepoint = s->tip;
    return ASSENT_OK;
}

void log_store_release(struct log_store *s, bool keep)
{
    require(s->in_savepoint, "a release without a savepoint");
    s->in_savepoint = false;
    if (keep || s->tip.seq == s->savepoint.seq)
        return;
    s->tip = s->savepoint;
    if (s->full || s->broken)
        return;
    sqlite3_bind_int64(s->stmt[STMT_UNDO], 1, (sqlite3_int64)s->tip.seq);
    int rc = run(s->stmt[STMT_UNDO]);
    if (rc != SQLITE_OK)
        failed(s, rc, "undo of a job"); /* the commit reports it */
}

assent_status log_store_append(struct log_store *s, const struct record *record)
{
    require(s->in_batch, "an append outside a batch");
    require(record_kind_known(record->kind), "an unknown kind of record");
    if (s->broken)
        return ASSENT_STORAGE;
    if (s->full)
        return ASSENT_DISK_FULL;
    struct store_row row = {.seq = s->tip.seq + 1,
                            .kind = record->kind,
                            .txid = record->txid,
                            .ts = record->ts,
                            .has_body = record->body != NULL,
                            .body = blob_bytes(record->body)};
    row.chain = store_row_chain(&s->tip, &row);
    sqlite3_stmt *stmt = s->stmt[STMT_INSERT];
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)row.seq);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)row.kind);
    sqlite3_bind_blob(stmt, 3, row.txid.b, TXID_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, (sqlite3_int64)row.ts);
    if (row.has_body)
        sqlite3_bind_blob64(stmt, 5, row.body.data, row.body.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, 5);
    sqlite3_bind_blob(stmt, 6, row.chain.b, HASH_BYTES, SQLITE_STATIC);
    int rc = run(stmt);
    sqlite3_clear_bindings(stmt);
    if (rc != SQLITE_OK)
        return failed(s, rc, "append");
    require(store_row_advance(&s->tip, &row), "an incarnation not above the one before");
    return ASSENT_OK;
}

assent_status log_store_commit(struct log_store *s)
{
    require(s->in_batch && !s->in_savepoint, "a commit outside a batch or inside a job");
    if (s->broken)
        return ASSENT_STORAGE;
    uint64_t rows = s->tip.seq - s->durable.seq;
    int rc = s->full ? SQLITE_FULL : run(s->stmt[STMT_COMMIT]);
    assent_status status = ASSENT_OK;
    if (rc != SQLITE_OK && !s->full)
        status = failed(s, rc, "commit");
    if (s->full) {
        log_store_rollback(s);
        return s->broken ? ASSENT_STORAGE : ASSENT_DISK_FULL;
    }
    if (status != ASSENT_OK)
        return status;
    s->in_batch = false;
    if (rows == 0)
        return ASSENT_OK;
    int error = store_mark_write(&s->mark, s->tip.seq, &s->tip.chain);
    if (error != 0) {
        snprintf(s->error, sizeof s->error, "%.160s: write: %s", s->paths.mark, strerror(error));
        s->broken = true;
        return ASSENT_STORAGE;
    }
    s->durable = s->tip;
    s->stats.rows += rows;
    s->stats.batches++;
    s->stats.syncs += 2;
    return ASSENT_OK;
}

/* Ends the SQLite transaction, which a failure may already have ended. */
static void end_transaction(struct log_store *s)
{
    int rc = sqlite3_get_autocommit(s->db) ? SQLITE_OK : run(s->stmt[STMT_ROLLBACK]);
    if (rc != SQLITE_OK) {
        s->full = false;
        failed(s, rc, "rollback");
        s->broken = true;
    }
}

void log_store_rollback(struct log_store *s)
{
    require(s->in_batch, "a rollback outside a batch");
    if (!s->broken)
        end_transaction(s);
    s->tip = s->durable;
    s->in_batch = false;
    s->in_savepoint = false;
    /* What a checkpoint takes out of the write-ahead log is room for the next batch. */
    if (s->full)
        s->checkpoint_at = 0;
    s->full = false;
}

/* ---- the tables ---- */

/* The next rows into the tables, up to the two limits; *at ends behind the last. */
static int apply_rows(struct log_store *s, uint64_t rows, struct store_position *at)
{
    sqlite3_stmt *stmt = s->stmt[STMT_SELECT];
    uint64_t last_bytes = at->bytes + APPLY_BYTES_MAX;
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)at->seq);
    sqlite3_bind_int64(stmt, 2, rows > INT64_MAX ? -1 : (sqlite3_int64)rows);
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && at->bytes < last_bytes && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_row row;
        rc = SQLITE_OK;
        store_row_read(stmt, &row);
        /* Verified when it was read at open, or made by this process: anything else means that the
         * file changed underneath. */
        if (store_row_fault(at, &row) != NULL || !store_row_advance(at, &row)) {
            rc = SQLITE_CORRUPT;
        } else if (!store_row_of_node(row.kind)) {
            struct record record = store_row_record(&row);
            rc = s->role.apply(s->role.arg, &record);
            blob_unref(record.body);
        }
    }
    sqlite3_reset(stmt);
    if (rc == SQLITE_DONE || rc == SQLITE_OK)
        return at->seq > s->applied.seq ? SQLITE_OK : SQLITE_CORRUPT;
    return rc;
}

static assent_status apply_transaction(struct log_store *s, uint64_t rows)
{
    struct store_position at = s->applied;
    s->full = false;
    int rc = run(s->stmt[STMT_BEGIN]);
    if (rc == SQLITE_OK)
        rc = apply_rows(s, rows, &at);
    if (rc == SQLITE_OK)
        rc = store_meta_update(s->update_meta, &s->id, &at);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(s->stmt[STMT_TRIM], 1, (sqlite3_int64)at.seq);
        rc = run(s->stmt[STMT_TRIM]);
    }
    if (rc == SQLITE_OK)
        rc = run(s->stmt[STMT_COMMIT]);
    if (rc != SQLITE_OK) {
        assent_status status = failed(s, rc, "apply");
        if (status == ASSENT_DISK_FULL)
            end_transaction(s);
        s->full = false;
        return s->broken ? ASSENT_STORAGE : status;
    }
    s->stats.syncs++;
    s->applied = at;
    s->role.applied(s->role.arg, at.seq);
    return ASSENT_OK;
}

assent_status log_store_apply(struct log_store *s, uint64_t rows, uint64_t *left)
{
    require(!s->in_batch, "an apply inside a batch");
    assent_status status = s->broken ? ASSENT_STORAGE : ASSENT_OK;
    uint64_t waiting = s->durable.seq - s->applied.seq;
    if (rows > waiting)
        rows = waiting;
    if (status == ASSENT_OK && rows > 0)
        status = apply_transaction(s, rows);
    /* On a full disk a few rows may still fit, and then make room: their pages become free. */
    while (status == ASSENT_DISK_FULL && rows > 1) {
        rows /= 8;
        status = checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
        if (status == ASSENT_OK)
            status = apply_transaction(s, rows > 0 ? rows : 1);
    }
    if (status != ASSENT_STORAGE && s->wal_frames > s->checkpoint_at &&
        checkpoint(s, SQLITE_CHECKPOINT_PASSIVE) != ASSENT_OK)
        status = ASSENT_STORAGE;
    *left = s->durable.seq - s->applied.seq;
    return status;
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
