#include "runtime/log_store_inner.h"

#include "common/mutant.h"

/* Of the tail's half that is being written, when a checkpoint must begin. */
#define CHECKPOINT_AT_EIGHTHS 4

int log_store_note_frames(void *arg, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    struct log_store *s = arg;
    if (frames < s->wal_frames)
        s->checkpoint_at = LOG_STORE_FRAMES_MAX;
    s->wal_frames = frames;
    return SQLITE_OK;
}

static bool gave_way(int rc)
{
    return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED;
}

int log_store_sync_wal(struct log_store *s)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc == SQLITE_OK && wal != NULL && wal->pMethods != NULL)
        rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    s->stats.syncs++;
    s->unsynced = false;
    return rc;
}

assent_status log_store_sync(struct log_store *s)
{
    int rc = s->unsynced && !MUTANT(WAL_NOT_SYNCED) ? log_store_sync_wal(s) : SQLITE_OK;
    if (rc == SQLITE_OK)
        return ASSENT_OK;
    log_store_failed(s, rc, "sync of the write-ahead log");
    s->broken = true;
    return ASSENT_STORAGE;
}

/* What a reader or a full disk kept it from, the next checkpoint tries again. */
static assent_status wait_for_copy(struct log_store *s)
{
    int system = 0;
    if (!s->copying)
        return ASSENT_OK;
    int rc = store_checkpoint_wait(s->background, &system);
    s->copying = false;
    if (rc == SQLITE_OK || gave_way(rc) || (rc & 0xff) == SQLITE_FULL)
        return ASSENT_OK;
    return log_store_failed_with(s, rc, system, "checkpoint");
}

/* Moves the write-ahead log into the database file and empties it. What stayed in it would count
 * after a crash, and if damaged only up to there: with older pages than the file has by then.
 *
 * A reader may keep a checkpoint from finishing, and a full disk may stop it: neither loses
 * anything. */
assent_status log_store_checkpoint(struct log_store *s)
{
    int frames = -1, done = -1;
    if (wait_for_copy(s) != ASSENT_OK)
        return ASSENT_STORAGE;
    sqlite3_busy_timeout(s->db, 0);
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &done);
    sqlite3_busy_timeout(s->db, STORE_FILE_BUSY_MS);
    bool began = frames >= 0; /* not while another connection makes one */
    s->behind = !began || done < frames;
    if (rc != SQLITE_OK && !gave_way(rc)) {
        assent_status status = log_store_failed(s, rc, "checkpoint");
        s->full = false;
        s->checkpoint_at = s->wal_frames + LOG_STORE_FRAMES_MAX;
        return status == ASSENT_DISK_FULL ? ASSENT_OK : status;
    }
    s->stats.syncs += began && s->unsynced ? 2 : 0;
    if (!s->behind)
        s->unsynced = false;
    if (rc == SQLITE_OK)
        s->filed = s->logged;
    /* Whatever a reader held back is tried again when as much has come on top. */
    s->checkpoint_at = s->wal_frames + LOG_STORE_FRAMES_MAX;
    return ASSENT_OK;
}

/* All that is in the database into its file, or at least durable. It is filed once the write-ahead
 * log was emptied: what stays there would count after a crash. */
static assent_status file_all(struct log_store *s)
{
    assent_status status = log_store_checkpoint(s);
    return status == ASSENT_OK ? log_store_sync(s) : status;
}

assent_status log_store_end_copy(struct log_store *s)
{
    if (!s->copying)
        return ASSENT_OK;
    return s->in_batch ? wait_for_copy(s) : file_all(s);
}

assent_status log_store_file_older(struct log_store *s)
{
    bool filed = s->filed >= s->older || MUTANT(WAL_NOT_SYNCED);
    return filed ? ASSENT_OK : file_all(s);
}

/* The file lacks what the tail is on its way to forget; while a reader or a full disk stands in the
 * way, once for what was put into the write-ahead log since. */
static bool forgets_soon(const struct log_store *s)
{
    return store_tail_eighths(&s->tail) >= CHECKPOINT_AT_EIGHTHS && s->filed < s->older &&
           s->older <= s->logged && s->unsynced;
}

static void begin_copy(struct log_store *s)
{
    s->copying = true;
    store_checkpoint_copy(s->background);
}

assent_status log_store_write_back(struct log_store *s, bool idle)
{
    if (s->broken)
        return ASSENT_STORAGE;
    if (s->copying &&
        (store_checkpoint_copying(s->background) || log_store_end_copy(s) == ASSENT_OK))
        return ASSENT_OK;
    if (s->broken || s->applying || !forgets_soon(s))
        return s->broken ? ASSENT_STORAGE : ASSENT_OK;
    if (s->background != NULL)
        begin_copy(s);
    else if (idle)
        return log_store_file_older(s);
    return ASSENT_OK;
}

bool log_store_copying(const struct log_store *s)
{
    return s->copying;
}

assent_status log_store_checkpoint_if_large(struct log_store *s, assent_status status)
{
    int over = s->wal_frames - s->checkpoint_at;
    if (status == ASSENT_STORAGE || over <= 0 || (s->copying && over < LOG_STORE_FRAMES_MAX))
        return status;
    if (s->background != NULL && !s->copying) {
        begin_copy(s);
        return status;
    }
    return log_store_checkpoint(s) == ASSENT_OK ? status : ASSENT_STORAGE;
}
