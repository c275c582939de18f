#include "runtime/store_file.h"

#include <errno.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/store_pages.h"

/* How long the open waits for a reader's lock. */

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
        !path_join(p->shm, dir, "node.db-shm") || !path_join(p->tail, dir, "node.db.tail"))
        return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                 "the path of the data directory is empty or longer than %d bytes",
                                 STORE_PATH_BYTES - 20);
    return ASSENT_OK;
}

bool store_file_served(const struct disk *disk, const char *dir)
{
    struct store_paths paths;
    struct disk_file *tail;
    char why[512];
    if (store_file_paths(&paths, dir, why, sizeof why) != ASSENT_OK ||
        disk->open(disk->arg, paths.tail, DISK_READ, &tail) != 0)
        return false;
    int error = disk->lock(disk->arg, tail);
    disk->close(disk->arg, tail);
    return error == EWOULDBLOCK;
}

assent_status store_file_survey(const struct disk *disk, const struct store_paths *p, char *why,
                                size_t why_size)
{
    enum disk_kind dir, db, tail;
    int error = disk->look(disk->arg, p->dir, &dir);
    if (error == 0 && dir == DISK_FILE)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s is not a directory", p->dir);
    if (error == 0)
        error = dir == DISK_NOTHING ? ENOENT : disk->look(disk->arg, p->db, &db);
    if (error == 0)
        error = disk->look(disk->arg, p->tail, &tail);
    if (error != 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                 "data directory %s cannot be used: %s; a start never creates one, "
                                 "init does",
                                 p->dir, strerror(error));
    if (db == DISK_NOTHING && tail == DISK_NOTHING)
        return store_file_refuse(
            ASSENT_STORAGE, why, why_size,
            "data directory %s has no node.db; a start never creates one: a new "
            "node is made with init, and a node that lost its disk is replaced "
            "under a new key",
            p->dir);
    if (db == DISK_NOTHING)
        return store_file_refuse(
            ASSENT_CORRUPT, why, why_size,
            "data directory %s has a tail but no node.db: the database was lost "
            "or init was interrupted; unless this node has never been started, "
            "replace it by a new one under a new key",
            p->dir);
    if (tail != DISK_NOTHING)
        return ASSENT_OK;
    assent_status status = store_file_header(disk, p, false, why, why_size);
    if (status != ASSENT_OK)
        return status;
    return store_file_refuse(ASSENT_CORRUPT, why, why_size,
                             "data directory %s has node.db but no node.db.tail: without the tail "
                             "nothing shows that the log is whole; put the original tail back, or "
                             "replace this node by a new one under a new key",
                             p->dir);
}

assent_status store_file_format(const char *where, uint32_t format, char *why, size_t why_size)
{
    if (format == STORE_FORMAT)
        return ASSENT_OK;
    if (format < STORE_FORMAT)
        return store_file_refuse(
            ASSENT_FOREIGN, why, why_size,
            "the database in %s has format %lu, of an earlier version of Assent, and this program "
            "needs format %d: use that version, or replace this node by a new one under a new key",
            where, (unsigned long)format, STORE_FORMAT);
    return store_file_refuse(
        ASSENT_FOREIGN, why, why_size,
        "the database in %s has format %lu, and this program reads up to %d: use the newer program "
        "that wrote it",
        where, (unsigned long)format, STORE_FORMAT);
}

static uint32_t header_u32(const uint8_t *header, size_t at)
{
    return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 |
           (uint32_t)header[at + 2] << 8 | header[at + 3];
}

/* What other versions of Assent do otherwise. Before the pages are checked: a newer format may
 * check them in another way. */
static assent_status layout_check(const struct store_paths *p, const uint8_t *header, char *why,
                                  size_t why_size)
{
    assent_status status = store_file_format(p->dir, header_u32(header, 60), why, why_size);
    if (status != ASSENT_OK || header[20] != 0)
        return status;
    return store_file_refuse(ASSENT_FOREIGN, why, why_size,
                             "%s was made by an earlier version of Assent, whose pages have no "
                             "checksums: use that version, or replace this node by a new one under "
                             "a new key",
                             p->db);
}

assent_status store_file_header(const struct disk *disk, const struct store_paths *p,
                                bool tail_blank, char *why, size_t why_size)
{
    /* The first 100 bytes are SQLite's header; the application id is at 68, big-endian. Read here
     * so that SQLite never opens, and so never changes, a file that is not ours. */
    uint8_t header[100] = {0};
    struct disk_file *file = NULL;
    size_t len = 0;
    int error = disk->open(disk->arg, p->db, DISK_READ, &file);
    if (error == 0)
        error = disk->read(disk->arg, file, header, sizeof header, 0, &len);
    disk->close(disk->arg, file);
    if (error != 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be read: %s", p->db,
                                 strerror(error));
    uint32_t application = header_u32(header, 68);
    bool sqlite = memcmp(header, "SQLite format 3", 16) == 0;
    if (sqlite && application == STORE_APPLICATION_ID && !tail_blank)
        return layout_check(p, header, why, why_size);
    if (tail_blank &&
        (len == 0 || (sqlite && (application == 0 || application == STORE_APPLICATION_ID))))
        return store_file_refuse(
            ASSENT_CORRUPT, why, why_size,
            "data directory %s is half-made: its tail was never written, so init "
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

static int sync_parent(const struct disk *disk, const char *path)
{
    char *copy = xstrdup(path);
    int error = disk->sync(disk->arg, dirname(copy));
    free(copy);
    return error;
}

assent_status store_file_reserve(const struct disk *disk, const struct store_paths *p, char *why,
                                 size_t why_size)
{
    int error = disk->make_directory(disk->arg, p->dir);
    if (error == 0) {
        error = sync_parent(disk, p->dir);
        if (error != 0)
            return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be synced: %s",
                                     p->dir, strerror(error));
    } else if (error != EEXIST) {
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s", p->dir,
                                 strerror(error));
    }
    const char *const taken[] = {p->db, p->wal, p->shm, p->tail};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        enum disk_kind kind;
        error = disk->look(disk->arg, taken[i], &kind);
        if (error != 0)
            return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be looked at: %s",
                                     taken[i], strerror(error));
        if (kind != DISK_NOTHING)
            return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                     "%s exists: a node's database is made once and never over "
                                     "another; choose another data directory",
                                     taken[i]);
    }
    struct disk_file *file = NULL;
    error = disk->open(disk->arg, p->db, DISK_CREATE, &file);
    disk->close(disk->arg, file);
    if (error != 0)
        return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s", p->db,
                                 strerror(error));
    return ASSENT_OK;
}

assent_status store_file_connect(const struct disk *disk, const struct store_paths *p,
                                 struct sqlite3 **db, char *why, size_t why_size)
{
    const char *vfs = store_pages_vfs(disk->vfs);
    if (vfs == NULL)
        return store_file_refuse(ASSENT_STORAGE, why, why_size,
                                 "%s cannot be opened: SQLite has no file system to open it with",
                                 p->db);
    int rc = sqlite3_open_v2(p->db, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(*db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*db, STORE_FILE_BUSY_MS);
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
        /* A commit is durable by the tail; checkpoints sync all the same. */
        {"synchronous", "normal", "1"},
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

struct disk_file *store_file_reserve_index(const struct disk *disk, const struct store_paths *p)
{
    struct disk_file *file = NULL;
    /* On a full disk SQLite goes on with what there is. */
    if (disk->open(disk->arg, p->shm, DISK_WRITE, &file) == 0)
        (void)disk->allocate(disk->arg, file, INDEX_BYTES);
    return file;
}

void store_file_remove(const struct disk *disk, const struct store_paths *p)
{
    const char *const path[] = {p->wal, p->shm, p->db, p->tail};
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++)
        disk->remove(disk->arg, path[i]);
}
