#include "runtime/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long the open waits for a reader's lock. */
#define BUSY_MS 5000

/* 8 bytes a frame, give or take: for a write-ahead log of 256 MiB, more than one batch ever needs.
 */
#define INDEX_BYTES (16 * 32768)

assent_status store_file_refuse(assent_status status, char *why, size_t why_size,
                                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
    return status;
}

static bool path_join(char *out, const char *dir, const char *name)
{
    int len = snprintf(out, STORE_PATH_BYTES, "%s/%s", dir, name);
    return len > 0 && len < STORE_PATH_BYTES;
}

assent_status store_file_paths(struct store_paths *p, const char *dir, char *why, size_t why_size)
{
    size_t len = strlen(dir);
    bool fits = len > 0 && len < STORE_PATH_BYTES;
    if (fits)
        memcpy(p->dir, dir, len + 1);
    if (!fits || !path_join(p->db, dir, "node.db") || !path_join(p->wal, dir, "node.db-wal") ||
        !path_join(p->shm, dir, "node.db-shm") || !path_join(p->mark, dir, "node.db.mark"))
        return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                 "the path of the data directory is empty or longer than %d bytes",
                                 STORE_PATH_BYTES - 20);
    return ASSENT_OK;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

assent_status store_file_survey(const struct store_paths *p, char *why, size_t why_size)
{
    struct stat st;
    if (stat(p->dir, &st) != 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                 "data directory %s cannot be used: %s; a start never creates one, "
                                 "init does",
                                 p->dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s is not a directory", p->dir);
    bool db = exists(p->db), mark = exists(p->mark);
    if (!db && !mark)
        return store_file_refuse(
            ASSENT_STORAGE, why, why_size,
            "data directory %s has no node.db; a start never creates one: a new "
            "node is made with init, and a node that lost its disk is replaced "
            "under a new key",
            p->dir);
    if (!db)
        return store_file_refuse(
            ASSENT_CORRUPT, why, why_size,
            "data directory %s has a mark but no node.db: the database was lost "
            "or init was interrupted; unless this node has never been started, "
            "replace it by a new one under a new key",
            p->dir);
    if (mark)
        return ASSENT_OK;
    assent_status status = store_file_header(p, false, why, why_size);
    if (status != ASSENT_OK)
        return status;
    return store_file_refuse(ASSENT_CORRUPT, why, why_size,
                             "data directory %s has node.db but no node.db.mark: without the mark "
                             "nothing shows that the log is whole; put the original mark back, or "
                             "replace this node by a new one under a new key",
                             p->dir);
}

assent_status store_file_header(const struct store_paths *p, bool mark_blank, char *why,
                                size_t why_size)
{
    /* The first 100 bytes are SQLite's header; the application id is at 68, big-endian. Read here
     * so that SQLite never opens, and so never changes, a file that is not ours. */
    uint8_t header[100] = {0};
    int fd = open(p->db, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : pread(fd, header, sizeof header, 0);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (len < 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be read: %s", p->db,
                                 strerror(error));
    uint32_t application = (uint32_t)header[68] << 24 | (uint32_t)header[69] << 16 |
                           (uint32_t)header[70] << 8 | header[71];
    bool sqlite = memcmp(header, "SQLite format 3", 16) == 0;
    if (sqlite && application == STORE_APPLICATION_ID && !mark_blank)
        return ASSENT_OK;
    if (mark_blank &&
        (len == 0 || (sqlite && (application == 0 || application == STORE_APPLICATION_ID))))
        return store_file_refuse(
            ASSENT_CORRUPT, why, why_size,
            "data directory %s is half-made: its mark was never written, so init "
            "was interrupted; if this node has never been started, remove the "
            "directory and run init again, otherwise replace the node by a new "
            "one under a new key",
            p->dir);
    if (len == 0)
        return store_file_refuse(
            ASSENT_CORRUPT, why, why_size,
            "%s is empty: the database was lost; replace this node by a new one "
            "under a new key",
            p->db);
    return store_file_refuse(ASSENT_FOREIGN, why, why_size,
                             sqlite
                                 ? "%s is the SQLite database of another program; nothing was "
                                   "changed in it; choose another data directory"
                                 : "%s is not a SQLite database; nothing was changed in it; choose "
                                   "another data directory",
                             p->db);
}

static int sync_parent(const char *path)
{
    char *copy = xstrdup(path);
    int error = store_file_sync(dirname(copy));
    free(copy);
    return error;
}

assent_status store_file_reserve(const struct store_paths *p, char *why, size_t why_size)
{
    if (mkdir(p->dir, 0700) == 0) {
        int error = sync_parent(p->dir);
        if (error != 0)
            return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be synced: %s",
                                     p->dir, strerror(error));
    } else if (errno != EEXIST) {
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s", p->dir,
                                 strerror(errno));
    }
    const char *const taken[] = {p->db, p->wal, p->shm, p->mark};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (exists(taken[i]))
            return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                     "%s exists: a node's database is made once and never over "
                                     "another; choose another data directory",
                                     taken[i]);
    int fd = open(p->db, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s", p->db,
                                 strerror(errno));
    close(fd);
    return ASSENT_OK;
}

assent_status store_file_connect(const struct store_paths *p, struct sqlite3 **db, char *why,
                                 size_t why_size)
{
    int rc = sqlite3_open_v2(p->db, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(*db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*db, BUSY_MS);
    /* A refused database is left as it was found: its write-ahead log is evidence. */
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc != SQLITE_OK)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be opened: %s", p->db,
                                 *db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(*db));
    return ASSENT_OK;
}

assent_status store_file_settings(const struct store_paths *p, struct sqlite3 *db, char *why,
                                  size_t why_size)
{
    static const struct {
        const char *name;
        const char *set;
        const char *reads;
    } setting[] = {
        {"journal_mode", "wal", "wal"},
        {"synchronous", "full", "2"},
        {"wal_autocheckpoint", "0", "0"},
        {"locking_mode", "normal", "normal"},
        /* Truncates a write-ahead log that a long reader let grow, at its next restart. */
        {"journal_size_limit", "67108864", "67108864"},
        /* Debian's default zeroes every trimmed row, which doubles what an apply writes. */
        {"secure_delete", "off", "0"},
        {"temp_store", "memory", "2"},
        {"mmap_size", "0", "0"},
        {"cache_size", "-32768", "-32768"},
        {"cell_size_check", "on", "1"},
        {"trusted_schema", "off", "0"},
    };
    for (size_t i = 0; i < sizeof setting / sizeof setting[0]; i++) {
        char set[96], read[64];
        sqlite3_stmt *stmt = NULL;
        snprintf(set, sizeof set, "PRAGMA %s=%s", setting[i].name, setting[i].set);
        snprintf(read, sizeof read, "PRAGMA %s", setting[i].name);
        int rc = sqlite3_exec(db, set, NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_prepare_v2(db, read, -1, &stmt, NULL);
        bool row = rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW;
        const char *text = row ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        bool same = text != NULL && strcmp(text, setting[i].reads) == 0;
        if (!same)
            store_file_refuse(ASSENT_STORAGE, why, why_size,
                              "%s: SQLite did not take %s=%s (it has %s; %s)", p->db,
                              setting[i].name, setting[i].set, text == NULL ? "nothing" : text,
                              sqlite3_errmsg(db));
        sqlite3_finalize(stmt);
        if (!same)
            return ASSENT_STORAGE;
    }
    return ASSENT_OK;
}

int store_file_reserve_index(const struct store_paths *p)
{
    int fd = open(p->shm, O_RDWR | O_CLOEXEC);
    /* On a full disk SQLite goes on with what there is. */
    if (fd >= 0)
        (void)posix_fallocate(fd, 0, INDEX_BYTES);
    return fd;
}

int store_file_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

void store_file_remove(const struct store_paths *p)
{
    unlink(p->wal);
    unlink(p->shm);
    unlink(p->db);
    unlink(p->mark);
}
