/* Invariants:
 *
 *   L1  tip = durable + the rows of the open batch; after a rollback tip = durable.
 *   L2  applied.seq <= logged.seq <= durable.seq; the log table holds exactly the rows from
 *       applied.seq + 1 to logged.seq, `pending` those from there to tip.seq.
 *   L3  a row's chain continues the chain of the row before; the first continues applied.chain.
 *   L4  nothing is acknowledged before it is durable in the tail: log_store_commit writes the batch
 *       there before it returns. What the tail is about to forget, the rows up to `older`, is in
 *       the database, in the tables or at least in the log, and durable in the database file itself
 *       (`filed`) if no reader and no full disk stands in the way, otherwise in SQLite's
 *       write-ahead log. So after any crash the rows that SQLite lacks are in the tail, and an open
 *       puts them back; and so it is if the write-ahead log is damaged, or lost.
 *   L5  after a failed write or sync (`broken`) nothing is written any more, so nothing is retried.
 *
 * As a rule a row is in the tables before the tail forgets it, and then it never is in the log: a
 * batch writes nothing but the tail. The log takes rows that could not be applied in time, rows of
 * a batch too large for the tail, and at a start those of the tail. */
#include "runtime/log_store.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"
#include "runtime/store_file.h"
#include "runtime/store_meta.h"
#include "runtime/store_pages.h"
#include "runtime/store_pending.h"
#include "runtime/store_row.h"
#include "runtime/store_tail.h"

#define WAL_FRAMES_MAX  (8 * 1024 * 1024 / STORE_PAGES_BYTES)  /* then a checkpoint */
#define CHECK_PAGES_MAX (64 * 1024 * 1024 / STORE_PAGES_BYTES) /* all are read at open */
#define APPLY_BYTES_MAX (16u * 1024 * 1024)                    /* bodies in one apply transaction */

enum statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_INSERT,
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
    [STMT_SELECT] = "SELECT " STORE_ROW_COLUMNS " FROM log"
                    " WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [STMT_TRIM] = "DELETE FROM log WHERE seq <= ?1",
};

struct log_store {
    const struct disk *disk;
    struct store_paths paths;
    struct store_identity id;
    struct store_role role;
    struct store_tail tail;
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENTS];
    sqlite3_stmt *update_meta;
    struct store_position applied;
    uint64_t logged; /* the last row that was put into the log, or is in the tables */
    struct store_pending pending;
    uint64_t older; /* the last row in the half of the tail that is written next */
    uint64_t filed; /* the last row that is in the database file by itself */
    struct store_position durable;
    struct store_position tip;
    struct store_position savepoint;
    size_t tail_savepoint;
    struct disk_file *index;
    bool in_batch;
    bool in_savepoint;
    bool full;         /* the last failure was a full disk: a rollback mends it */
    bool broken;       /* L5 */
    int wal_frames;    /* after the last commit */
    bool unsynced;     /* the write-ahead log has what was not synced */
    int checkpoint_at; /* frames */
    hlc_ts pruned;     /* the watermark that the role has pruned up to */
    struct store_stats stats;
    bool behind; /* the last checkpoint left some of the write-ahead log */
    char error[400];
};

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "assent: log store used wrongly: %s\n", what);
        abort();
    }
}

/* ---- errors ---- */

#define PAGES_CAUSE "its disk is failing, or another program wrote to the file"

/* After a damaged page nothing goes on, whatever the reader made of the error. */
static bool pages_fit(struct log_store *s)
{
    const char *damage = store_pages_damage(s->db);
    if (damage == NULL)
        return true;
    snprintf(s->error, sizeof s->error, "%s; " PAGES_CAUSE, damage);
    s->broken = true;
    return false;
}

/* Notes what failed, and what it means for the store: a full disk can be rolled back, anything else
 * leaves the files in a state that only the next open can judge. */
static assent_status failed(struct log_store *s, int rc, const char *what)
{
    int system = sqlite3_system_errno(s->db);
    if (!pages_fit(s))
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

/* Moves the write-ahead log into the database file and empties it. What stayed in it would count
 * after a crash, and if damaged only up to there: with older pages than the file has by then.
 *
 * A reader may keep a checkpoint from finishing, and a full disk may stop it: neither loses
 * anything. */
static assent_status checkpoint(struct log_store *s)
{
    int frames = -1, done = -1;
    sqlite3_busy_timeout(s->db, 0);
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &done);
    sqlite3_busy_timeout(s->db, STORE_FILE_BUSY_MS);
    bool began = frames >= 0; /* not while another connection makes one */
    s->behind = !began || done < frames;
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED) {
        assent_status status = failed(s, rc, "checkpoint");
        s->full = false;
        s->checkpoint_at = s->wal_frames + WAL_FRAMES_MAX;
        return status == ASSENT_DISK_FULL ? ASSENT_OK : status;
    }
    s->stats.syncs += began && s->unsynced ? 2 : 0;
    if (!s->behind)
        s->unsynced = false;
    if (rc == SQLITE_OK)
        s->filed = s->logged;
    /* Whatever a reader held back is tried again when as much has come on top. */
    s->checkpoint_at = s->wal_frames + WAL_FRAMES_MAX;
    return ASSENT_OK;
}

/* ---- open ---- */

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

static int insert_row(struct log_store *s, const struct store_row *row)
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
    int rc = run(stmt);
    sqlite3_clear_bindings(stmt);
    return rc;
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
        *rc = insert_row(s, &row);
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
    rc = run(s->stmt[STMT_BEGIN]);
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
        rc = run(s->stmt[STMT_COMMIT]);
    if (rc == SQLITE_OK)
        return status;
    failed(s, rc, "putting back what the tail has");
    return store_file_refuse(ASSENT_STORAGE, why, why_size, "%.300s%s", s->error,
                             s->full ? "; free space on its disk and start again" : "");
}

static int sync_wal(struct log_store *s)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc == SQLITE_OK && wal != NULL && wal->pMethods != NULL)
        rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    s->stats.syncs++;
    s->unsynced = false;
    return rc;
}

static assent_status sync_unsynced(struct log_store *s)
{
    int rc = s->unsynced && !MUTANT(WAL_NOT_SYNCED) ? sync_wal(s) : SQLITE_OK;
    if (rc == SQLITE_OK)
        return ASSENT_OK;
    failed(s, rc, "sync of the write-ahead log");
    s->broken = true;
    return ASSENT_STORAGE;
}

/* What the tail is about to forget, into the database file, or at least durable. It is filed once
 * the write-ahead log was emptied: what stays there would count after a crash. */
static assent_status file_older(struct log_store *s)
{
    if (s->filed >= s->older || MUTANT(WAL_NOT_SYNCED))
        return ASSENT_OK;
    assent_status status = checkpoint(s);
    return status == ASSENT_OK ? sync_unsynced(s) : status;
}

/* Writes the batch that store_tail_add noted, which ends at the tip. */
static assent_status write_tail(struct log_store *s)
{
    bool turns = store_tail_turns(&s->tail);
    assent_status status = turns ? file_older(s) : ASSENT_OK;
    if (status == ASSENT_OK && !store_tail_fits(&s->tail))
        status = sync_unsynced(s);
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
    int rc = sync_wal(s);
    /* Empties the write-ahead log: otherwise every start of a node that is killed before it
     * applies anything would make it longer, by the rows that it puts back. */
    s->logged = s->tip.seq;
    assent_status status =
        rc == SQLITE_OK ? checkpoint(s) : failed(s, rc, "sync of the write-ahead log");
    /* SQLite does not sync that it is empty. What comes back of it after a loss of power may end
     * where the earlier sync failed: older than the database. */
    if (status == ASSENT_OK && (rc = sync_wal(s)) != SQLITE_OK)
        status = failed(s, rc, "sync of the emptied write-ahead log");
    if (status == ASSENT_OK && (rc = check_pages(s)) != SQLITE_OK)
        status = failed(s, rc, "check of all pages");
    if (status == ASSENT_OK) {
        store_tail_start(&s->tail);
        s->durable = s->tip;
        s->older = s->tip.seq;
        status = write_tail(s);
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
                                   "%s; " PAGES_CAUSE ". The node must not serve: keep all files "
                                   "as they are, and replace it by a new one under a new key",
                                   damage);
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
    if (!s->broken)
        checkpoint(s);
    if (!s->broken)
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    discard(s);
}

void log_store_abandon(struct log_store *s)
{
    if (s != NULL)
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
    if (s->broken || !pages_fit(s))
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
    s->in_savepoint = true;
    s->savepoint = s->tip;
    s->tail_savepoint = store_tail_mark(&s->tail);
    return ASSENT_OK;
}

void log_store_release(struct log_store *s, bool keep)
{
    require(s->in_savepoint, "a release without a savepoint");
    s->in_savepoint = false;
    if (keep || s->tip.seq == s->savepoint.seq)
        return;
    s->tip = s->savepoint;
    store_tail_undo(&s->tail, s->tail_savepoint);
    store_pending_undo(&s->pending, s->tip.seq);
}

assent_status log_store_append(struct log_store *s, const struct record *record)
{
    require(s->in_batch, "an append outside a batch");
    require(record_kind_known(record->kind), "an unknown kind of record");
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
    require(store_row_advance(&s->tip, &row), "an incarnation not above the one before");
    store_tail_add(&s->tail, &row);
    return ASSENT_OK;
}

/* Puts the rows up to that one into the log, inside a transaction. */
static int spill(struct log_store *s, uint64_t seq)
{
    int rc = SQLITE_OK;
    for (uint64_t i = s->logged + 1; i <= seq && rc == SQLITE_OK; i++)
        rc = insert_row(s, &store_pending_row(&s->pending, i)->row);
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

assent_status log_store_commit(struct log_store *s)
{
    require(s->in_batch && !s->in_savepoint, "a commit outside a batch or inside a job");
    if (s->broken || !pages_fit(s))
        return ASSENT_STORAGE;
    uint64_t rows = s->tip.seq - s->durable.seq, logged = must_be_logged(s);
    int rc = spill(s, logged);
    if (rc == SQLITE_OK)
        rc = run(s->stmt[STMT_COMMIT]);
    assent_status status = rc == SQLITE_OK ? ASSENT_OK : failed(s, rc, "commit");
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
        status = write_tail(s);
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

assent_status log_store_write_back(struct log_store *s)
{
    if (s->broken)
        return ASSENT_STORAGE;
    bool soon = store_tail_turns_soon(&s->tail) && s->older <= s->logged;
    return soon && s->unsynced ? file_older(s) : ASSENT_OK;
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
    if (!s->broken && pages_fit(s))
        end_transaction(s);
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

/* ---- the tables ---- */

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
        rc = run(s->stmt[STMT_COMMIT]);
    if (rc == SQLITE_OK)
        return ASSENT_OK;
    assent_status status = failed(s, rc, what);
    if (status == ASSENT_DISK_FULL)
        end_transaction(s);
    s->full = false;
    return s->broken ? ASSENT_STORAGE : status;
}

static assent_status apply_transaction(struct log_store *s, uint64_t rows)
{
    struct store_position at = s->applied;
    s->full = false;
    int rc = run(s->stmt[STMT_BEGIN]);
    if (rc == SQLITE_OK)
        rc = apply_rows(s, rows, &at);
    if (rc == SQLITE_OK && s->role.flush != NULL)
        rc = s->role.flush(s->role.arg);
    if (rc == SQLITE_OK && !MUTANT(POSITION_NOT_MOVED))
        rc = store_meta_update(s->update_meta, &s->id, &at);
    if (rc == SQLITE_OK && s->applied.seq < s->logged && !MUTANT(POSITION_NOT_MOVED)) {
        sqlite3_bind_int64(s->stmt[STMT_TRIM], 1, (sqlite3_int64)at.seq);
        rc = run(s->stmt[STMT_TRIM]);
    }
    assent_status status = commit_quietly(s, rc, "apply");
    if (status != ASSENT_OK)
        return status;
    s->applied = at;
    s->unsynced = true;
    if (at.seq > s->logged)
        s->logged = at.seq;
    store_pending_drop_to(&s->pending, at.seq);
    s->role.applied(s->role.arg, at.seq);
    return ASSENT_OK;
}

static assent_status checkpoint_if_large(struct log_store *s, assent_status status)
{
    if (status != ASSENT_STORAGE && s->wal_frames > s->checkpoint_at && checkpoint(s) != ASSENT_OK)
        return ASSENT_STORAGE;
    return status;
}

assent_status log_store_apply(struct log_store *s, uint64_t rows, uint64_t *left)
{
    require(!s->in_batch, "an apply inside a batch");
    assent_status status = s->broken || !pages_fit(s) ? ASSENT_STORAGE : ASSENT_OK;
    uint64_t waiting = s->durable.seq - s->applied.seq;
    if (rows > waiting)
        rows = waiting;
    if (status == ASSENT_OK && rows > 0)
        status = apply_transaction(s, rows);
    /* On a full disk a few rows may still fit, and then make room: their pages become free. */
    while (status == ASSENT_DISK_FULL && rows > 1) {
        rows /= 8;
        status = checkpoint(s);
        if (status == ASSENT_OK)
            status = apply_transaction(s, rows > 0 ? rows : 1);
    }
    *left = s->durable.seq - s->applied.seq;
    return checkpoint_if_large(s, status);
}

bool log_store_apply_urgent(const struct log_store *s)
{
    return store_tail_turns_soon(&s->tail) && s->applied.seq < s->older;
}

bool log_store_prune_due(const struct log_store *s)
{
    return s->role.prune != NULL && s->durable.node.watermark > s->pruned;
}

assent_status log_store_prune(struct log_store *s)
{
    require(!s->in_batch, "pruning inside a batch");
    hlc_ts watermark = s->durable.node.watermark;
    bool more = false;
    if (s->broken || !pages_fit(s))
        return ASSENT_STORAGE;
    s->full = false;
    int rc = run(s->stmt[STMT_BEGIN]);
    if (rc == SQLITE_OK)
        rc = s->role.prune(s->role.arg, &more);
    assent_status status = commit_quietly(s, rc, "prune");
    s->unsynced = true;
    if (status == ASSENT_OK && !more)
        s->pruned = watermark;
    return checkpoint_if_large(s, status);
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
