#include "runtime/log_store_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"
#include "runtime/store_meta.h"

#define CHECK_PAGES_MAX (64 * 1024 * 1024 / STORE_PAGES_BYTES) /* all are read at open */

static const char *const statement_sql[STATEMENTS] = {
    [STMT_BEGIN] = "BEGIN",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_INSERT] = "INSERT INTO log (" STORE_ROW_COLUMNS ")"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [STMT_SELECT] = "SELECT " STORE_ROW_COLUMNS " FROM log"
                    " WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [STMT_TRIM] = "DELETE FROM log WHERE seq <= ?1",
};

/* What was found wrong, what the tail says, what to do. */
__attribute__((format(printf, 4, 5))) static assent_status
damaged(struct log_store *s, char *why, size_t why_size, const char *format, ...)
{
    uint64_t seq = s->tail.entry[s->tail.entries - 1].seq;
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (MUTANT(DAMAGE_IS_IGNORED))
        return ASSENT_OK;
    return store_file_refuse(
        ASSENT_CORRUPT, why, why_size,
        "%.120s: %s; the tail says that row %llu was acknowledged. The node may "
        "have forgotten what it promised and must not serve: keep all files as "
        "they are, never delete the tail, and replace the node by a new one "
        "under a new key",
        s->paths.db, what, (unsigned long long)seq);
}

/* Whether every entry of the tail that ends at this row has its chain. *next is the first entry
 * that may. */
static bool tail_fits(const struct store_tail *tail, const struct store_position *at, int *next)
{
    while (*next < tail->entries && tail->entry[*next].seq < at->seq)
        ++*next;
    for (int i = *next; i < tail->entries && tail->entry[i].seq == at->seq; i++)
        if (memcmp(tail->entry[i].chain.b, at->chain.b, HASH_BYTES) != 0)
            return false;
    return true;
}

/* What is wrong with a row that was read, of the log or of the tail, or NULL with the tip moved
 * onto it. */
static const char *verify_row(struct log_store *s, const struct store_row *row, int *next)
{
    const char *fault = store_row_fault(&s->tip, row);
    if (fault == NULL && record_kind_known(row->kind)) {
        if (!store_row_advance(&s->tip, row))
            return "it is no valid incarnation";
        if (!tail_fits(&s->tail, &s->tip, next))
            return "its chain differs from the tail's";
    }
    return fault;
}

/* Whether reading failed by the system's fault, so that the next start may be able to. */
static bool system_failed(int rc)
{
    return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_DATA;
}

static assent_status refuse_kind(const char *path, const struct store_row *row, char *why,
                                 size_t why_size)
{
    return store_file_refuse(ASSENT_FOREIGN, why, why_size,
                             "%.200s: row %llu has kind %llu, which this program does not know: "
                             "use the newer program that wrote it",
                             path, (unsigned long long)row->seq, (unsigned long long)row->kind);
}

/* Reads the whole log once, before anything is believed: L3, and the tail where both have a row. */
static assent_status verify(struct log_store *s, char *why, size_t why_size)
{
    sqlite3_stmt *stmt = s->stmt[STMT_SELECT];
    sqlite3_bind_int64(stmt, 1, INT64_MIN);
    sqlite3_bind_int64(stmt, 2, -1);
    assent_status status = ASSENT_OK;
    struct store_row row;
    int next = 0;
    s->tip = s->applied;
    if (!tail_fits(&s->tail, &s->tip, &next))
        status = damaged(s, why, why_size,
                         "at row %llu, the last in the tables, the chain differs from the tail's",
                         (unsigned long long)s->tip.seq);
    while (status == ASSENT_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        uint64_t whole = s->tip.seq;
        store_row_read(stmt, &row);
        const char *fault = verify_row(s, &row, &next);
        if (fault != NULL)
            status = damaged(s, why, why_size, "the log is whole up to row %llu; at row %llu %s",
                             (unsigned long long)whole, (unsigned long long)row.seq, fault);
        else if (!record_kind_known(row.kind))
            status = refuse_kind(s->paths.db, &row, why, why_size);
    }
    int rc = sqlite3_reset(stmt);
    if (status == ASSENT_OK && system_failed(rc))
        status =
            store_file_refuse(ASSENT_STORAGE, why, why_size, "%.200s: the log cannot be read: %s",
                              s->paths.db, sqlite3_errmsg(s->db));
    else if (status == ASSENT_OK && rc != SQLITE_OK)
        status = damaged(s, why, why_size, "after row %llu the log cannot be read: %s",
                         (unsigned long long)s->tip.seq, sqlite3_errmsg(s->db));
    return status;
}

/* The rows of one entry of the tail that the log lacks. False: they do not continue it, or *unknown
 * is one of an unknown kind. *rc is SQLite's. */
static bool restore_entry(struct log_store *s, const struct store_tail_entry *e,
                          struct store_row *unknown, int *rc)
{
    struct bytes rows = e->rows;
    struct store_row row;
    if (e->before_seq > s->tip.seq || !e->has_rows)
        return false;
    struct store_position at = {.seq = e->before_seq, .chain = e->before_chain};
    int next = 0;
    while (*rc == SQLITE_OK && at.seq < e->seq && store_tail_row(&rows, &at, &row)) {
        at.seq = row.seq;
        at.chain = row.chain;
        if (row.seq <= s->tip.seq)
            continue;
        if (verify_row(s, &row, &next) != NULL)
            return false;
        if (s->tip.seq != row.seq) {
            *unknown = row;
            return false;
        }
        *rc = log_store_insert(s, &row);
        s->stats.restored++;
    }
    return *rc != SQLITE_OK || (s->tip.seq == e->seq && rows.len == 0);
}

/* Puts back the rows that SQLite lost and the tail has: after a loss of power those that were never
 * synced there, and after a bad bit those behind it. */
static assent_status restore(struct log_store *s, char *why, size_t why_size)
{
    uint64_t had = s->tip.seq;
    assent_status status = ASSENT_OK;
    int rc = SQLITE_OK;
    if (had >= s->tail.entry[s->tail.entries - 1].seq || MUTANT(TAIL_NOT_RESTORED))
        return ASSENT_OK;
    rc = log_store_run(s->stmt[STMT_BEGIN]);
    struct store_row unknown = {0};
    bool whole = true;
    for (int i = 0; i < s->tail.entries && rc == SQLITE_OK && whole; i++)
        whole = s->tail.entry[i].seq <= s->tip.seq ||
                restore_entry(s, &s->tail.entry[i], &unknown, &rc);
    if (!whole && unknown.seq > 0)
        status = refuse_kind(s->paths.tail, &unknown, why, why_size);
    else if (!whole)
        status = damaged(s, why, why_size,
                         "the log ends at row %llu: its end was lost, and the tail does not "
                         "have all that follows",
                         (unsigned long long)had);
    if (rc == SQLITE_OK && status == ASSENT_OK)
        rc = log_store_run(s->stmt[STMT_COMMIT]);
    if (rc == SQLITE_OK)
        return status;
    log_store_failed(s, rc, "putting back what the tail has");
    return store_file_refuse(ASSENT_STORAGE, why, why_size, "%.300s%s", s->error,
                             s->full ? "; free space on its disk and start again" : "");
}

/* Every page of a file that is not too large for it. What a reader keeps in the write-ahead log may
 * be torn in the file: then, too, pages are checked only as they are read. */
static int check_pages(struct log_store *s)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3_int64 pages = 0;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA page_count", -1, &stmt, NULL);
    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        pages = sqlite3_column_int64(stmt, 0);
    rc = sqlite3_finalize(stmt);
    if (rc != SQLITE_OK || s->behind || pages > CHECK_PAGES_MAX)
        return rc;
    return store_pages_check(s->db, (uint32_t)pages);
}

/* Rows that a killed process had written but not acknowledged are about to be acted upon, and the
 * tail begins anew: all of it must be durable first. The checkpoint also writes anew what an
 * earlier failed sync may have left in memory only. */
static assent_status make_durable(struct log_store *s, char *why, size_t why_size)
{
    int rc = log_store_sync_wal(s);
    /* Empties the write-ahead log: otherwise every start of a node that is killed before it
     * applies anything would make it longer, by the rows that it puts back. */
    s->logged = s->tip.seq;
    assent_status status = rc == SQLITE_OK ? log_store_checkpoint(s)
                                           : log_store_failed(s, rc, "sync of the write-ahead log");
    /* SQLite does not sync that it is empty. What comes back of it after a loss of power may end
     * where the earlier sync failed: older than the database. */
    if (status == ASSENT_OK && (rc = log_store_sync_wal(s)) != SQLITE_OK)
        status = log_store_failed(s, rc, "sync of the emptied write-ahead log");
    if (status == ASSENT_OK && (rc = check_pages(s)) != SQLITE_OK)
        status = log_store_failed(s, rc, "check of all pages");
    if (status == ASSENT_OK) {
        store_tail_start(&s->tail);
        s->durable = s->tip;
        s->older = s->tip.seq;
        status = log_store_write_tail(s);
    }
    if (status != ASSENT_OK)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s", s->error);
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

static assent_status sync_path(struct log_store *s, const char *path, char *why, size_t why_size)
{
    int error = s->disk->sync(s->disk->arg, path);
    if (error == 0)
        return ASSENT_OK;
    return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be synced: %s", path,
                             strerror(error));
}

static assent_status open_files(struct log_store *s, char *why, size_t why_size)
{
    assent_status status = store_file_survey(s->disk, &s->paths, why, why_size);
    if (status == ASSENT_OK)
        status = store_tail_open(&s->tail, s->disk, s->paths.tail, why, why_size);
    if (status == ASSENT_OK)
        status = store_file_header(s->disk, &s->paths, s->tail.blank, why, why_size);
    if (status == ASSENT_OK)
        status = sync_path(s, s->paths.wal, why, why_size);
    if (status == ASSENT_OK)
        status = sync_path(s, s->paths.db, why, why_size);
    if (status == ASSENT_OK)
        status = store_file_connect(s->disk, &s->paths, &s->db, why, why_size);
    return status;
}

static assent_status scan_tail(struct log_store *s, char *why, size_t why_size)
{
    struct hash genesis = store_meta_genesis(&s->id);
    if (store_tail_scan(&s->tail, &genesis))
        return ASSENT_OK;
    if (s->tail.cut)
        return store_file_refuse(ASSENT_CORRUPT, why, why_size,
                                 "%.200s has the wrong size: " STORE_TAIL_CUT, s->paths.tail);
    return store_file_refuse(ASSENT_CORRUPT, why, why_size,
                             "%.200s: no entry of the tail is valid for this database: it is "
                             "damaged, or another node's. Nothing shows that the log is whole: "
                             "keep all files as they are and replace the node by a new one under "
                             "a new key",
                             s->paths.tail);
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
        status = scan_tail(s, why, why_size);
    if (status == ASSENT_OK)
        status = verify(s, why, why_size);
    /* By now SQLite has made the write-ahead log if there was none. Its own sync of the directory
     * comes with the first write and tells nobody that it failed. */
    if (status == ASSENT_OK)
        status = sync_path(s, s->paths.dir, why, why_size);
    if (status == ASSENT_OK)
        status = restore(s, why, why_size);
    if (status != ASSENT_OK)
        return status;
    s->index = store_file_reserve_index(s->disk, &s->paths);
    sqlite3_wal_hook(s->db, log_store_note_frames, s);
    status = make_durable(s, why, why_size);
    s->checkpoint_at = LOG_STORE_FRAMES_MAX;
    return status == ASSENT_OK ? replay(s, why, why_size) : status;
}

/* Leaves the files as they are. */
static void discard(struct log_store *s)
{
    store_checkpoint_stop(s->background);
    sqlite3_finalize(s->update_meta);
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->stmt[i]);
    /* The role may still hold statements of its own. */
    sqlite3_close_v2(s->db);
    s->disk->close(s->disk->arg, s->index);
    store_tail_close(&s->tail);
    store_pending_free(&s->pending);
    free(s);
}

assent_status log_store_open(struct log_store **out, const struct disk *disk, const char *dir,
                             const struct store_identity *id, const struct store_role *role,
                             char *why, size_t why_size)
{
    struct log_store *s = xcalloc(1, sizeof *s);
    *out = NULL;
    s->id = *id;
    s->role = *role;
    s->disk = disk;
    assent_status status = store_file_paths(&s->paths, dir, why, why_size);
    if (status == ASSENT_OK)
        status = open_all(s, why, why_size);
    const char *damage = store_pages_damage(s->db);
    if (damage != NULL)
        status = store_file_refuse(ASSENT_CORRUPT, why, why_size,
                                   "%s; " LOG_STORE_PAGES_CAUSE
                                   ". The node must not serve: keep all files "
                                   "as they are, and replace it by a new one under a new key",
                                   damage);
    if (status == ASSENT_OK)
        *out = s;
    else
        discard(s);
    return status;
}

void log_store_background(struct log_store *s)
{
    s->background = store_checkpoint_start(s->disk, &s->paths);
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
    if (!s->broken)
        log_store_checkpoint(s);
    if (!s->broken)
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    discard(s);
}

void log_store_abandon(struct log_store *s)
{
    if (s != NULL)
        discard(s);
}
