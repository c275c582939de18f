/* A database file and its write-ahead log are ours, with the file of the VFS below behind it in the
 * same allocation; other files go straight there. One connection uses them, on one thread at a
 * time. Of both, a write that a limit on file sizes or a quota refuses is a full disk: SQLite takes
 * that for an I/O error, though nothing was written and it may work later. Only here it is known
 * which write failed how.
 *
 * What a read may give back:
 *
 *   a whole page, or a part of one   the page was read whole and fits its checksum
 *   SQLite's two looks at the header unchecked: SQLite takes them before it has looked into the
 *                                    write-ahead log, which may mend a first page that a loss of
 *                                    power tore. What it learns there it compares with page 1 as it
 *                                    reads it next, from the log or checked.
 *   SQLITE_IOERR_DATA                everything else
 *
 * SQLite writes each frame of the write-ahead log as two pieces, one after the other. They are put
 * together and written as few large ones, the last when the frame that ends the transaction is
 * whole: that is before SQLite tells anybody of it.
 *
 * No page that SQLite reads was never written, so a page of zeros is damaged: in WAL mode every new
 * page is in the log before the file grows, and found there until the page is in the file. */
#include "runtime/store_pages.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"
#include "wire/hash.h"

#define SUM_BYTES    HASH_QUICK_BYTES
#define SALT_BYTES   (STORE_PAGES_RESERVED - SUM_BYTES)
#define SALT_AT      (STORE_PAGES_BYTES - STORE_PAGES_RESERVED)
#define SUM_AT       (STORE_PAGES_BYTES - SUM_BYTES)
#define HEADER_BYTES 100

/* Of the write-ahead log, as SQLite's file format has it. */
#define WAL_HEADER_BYTES   32
#define FRAME_HEADER_BYTES 24
#define FRAME_COMMIT_AT    4 /* u32, not zero in the last frame of a transaction */

#define AHEAD_BYTES (64 * 1024)

/* A VFS of ours and the one below. */
struct pages_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *under;
    struct pages_vfs *next;
};

struct pages_file {
    sqlite3_file base;
    sqlite3_file *real;
    const char *path; /* SQLite's, for as long as the file is open */
    uint8_t salt[SALT_BYTES];
    char damage[256]; /* "": none */
    uint8_t page[STORE_PAGES_BYTES];
    /* of the write-ahead log: what was not written yet, and where it goes */
    uint8_t *ahead;
    int ahead_len;
    sqlite3_int64 ahead_at;
    sqlite3_int64 end; /* behind the last byte since the log's header was written */
    bool commits;      /* the frame that was begun ends the transaction */
};

/* Where the real file begins in the allocation. */
#define REAL_AT                                                                                    \
    ((sizeof(struct pages_file) + alignof(max_align_t) - 1) / alignof(max_align_t) *               \
     alignof(max_align_t))

static struct pages_file *of(sqlite3_file *file)
{
    return (struct pages_file *)file;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return of(file)->real;
}

static sqlite3_vfs *below(sqlite3_vfs *vfs)
{
    return ((struct pages_vfs *)vfs)->under;
}

/* ---- pages ---- */

static void page_sum(const uint8_t *page, uint32_t number, uint8_t sum[SUM_BYTES])
{
    uint8_t key[16] = "____assent page";
    for (int i = 0; i < 4; i++)
        key[i] = (uint8_t)(number >> 8 * i);
    hash_quick(key, bytes_of(page, SUM_AT), sum);
}

static int damaged(struct pages_file *f, uint32_t number, const char *what)
{
    if (f->damage[0] == '\0')
        snprintf(f->damage, sizeof f->damage, "page %lu of %.150s is damaged: %s",
                 (unsigned long)number, f->path, what);
    return SQLITE_IOERR_DATA;
}

static int page_check(struct pages_file *f, const uint8_t *page, uint32_t number)
{
    uint8_t sum[SUM_BYTES];
    page_sum(page, number, sum);
    if (MUTANT(PAGE_SUM_NOT_CHECKED))
        return SQLITE_OK;
    if (memcmp(sum, page + SUM_AT, sizeof sum) != 0)
        return damaged(f, number, "its checksum does not fit");
    if (memcmp(f->salt, page + SALT_AT, sizeof f->salt) != 0)
        return damaged(f, number, "it is of another database");
    return SQLITE_OK;
}

static int page_read(struct pages_file *f, uint8_t *page, uint32_t number)
{
    int rc = f->real->pMethods->xRead(f->real, page, STORE_PAGES_BYTES,
                                      (sqlite3_int64)(number - 1) * STORE_PAGES_BYTES);
    /* SQLite itself would go on with zeros. */
    if (rc == SQLITE_IOERR_SHORT_READ)
        return damaged(f, number, "the file ends before its end");
    return rc == SQLITE_OK ? page_check(f, page, number) : rc;
}

/* ---- writing ---- */

static int write_real(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    errno = 0;
    int rc = real(file)->pMethods->xWrite(real(file), data, len, at);
    return rc == SQLITE_IOERR_WRITE && (errno == EFBIG || errno == EDQUOT) ? SQLITE_FULL : rc;
}

/* ---- the database file ---- */

static int pages_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int pages_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    struct pages_file *f = of(file);
    if ((at == 0 && len == HEADER_BYTES) || (at == 24 && len == 16))
        return f->real->pMethods->xRead(f->real, data, len, at);
    uint32_t number = (uint32_t)(at / STORE_PAGES_BYTES) + 1;
    int from = (int)(at % STORE_PAGES_BYTES);
    if (len == STORE_PAGES_BYTES && from == 0)
        return page_read(f, data, number);
    if (len > STORE_PAGES_BYTES - from)
        return damaged(f, number, "the header of the file gives another page size");
    int rc = page_read(f, f->page, number);
    if (rc == SQLITE_OK)
        memcpy(data, f->page + from, (size_t)len);
    return rc;
}

/* Whether SQLite leaves the bytes of the checksum alone: page 1 says so for all. */
static bool page_has_room(const uint8_t *page, uint32_t number)
{
    return number > 1 || (page[16] == STORE_PAGES_BYTES >> 8 && page[17] == 0 &&
                          page[20] == STORE_PAGES_RESERVED);
}

static int pages_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct pages_file *f = of(file);
    uint32_t number = (uint32_t)(at / STORE_PAGES_BYTES) + 1;
    if (len != STORE_PAGES_BYTES || at % STORE_PAGES_BYTES != 0 || !page_has_room(data, number)) {
        damaged(f, number, "it was to be written without room for its checksum");
        return SQLITE_IOERR_WRITE;
    }
    memcpy(f->page, data, SALT_AT);
    memcpy(f->page + SALT_AT, f->salt, SALT_BYTES);
    page_sum(f->page, number, f->page + SUM_AT);
    return write_real(file, f->page, len, at);
}

static int pages_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real(file)->pMethods->xTruncate(real(file), size);
}

static int pages_sync(sqlite3_file *file, int flags)
{
    return real(file)->pMethods->xSync(real(file), flags);
}

static int pages_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real(file)->pMethods->xFileSize(real(file), size);
}

static int pages_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int pages_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int pages_check_reserved_lock(sqlite3_file *file, int *out)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), out);
}

static int pages_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int pages_sector_size(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int pages_characteristics(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int pages_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    return real(file)->pMethods->xShmMap(real(file), region, size, extend, out);
}

static int pages_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}

static void pages_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int pages_shm_unmap(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

/* ---- the write-ahead log ---- */

static int wal_flush(struct pages_file *f)
{
    int len = f->ahead_len;
    f->ahead_len = 0;
    return len == 0 ? SQLITE_OK : write_real(&f->base, f->ahead, len, f->ahead_at);
}

/* Frames that continue the log wait for the others of their transaction; what is anywhere else is
 * written as it comes. */
static int wal_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct pages_file *f = of(file);
    bool continues = f->ahead_len > 0 && at == f->ahead_at + f->ahead_len;
    int rc = continues && f->ahead_len + len <= AHEAD_BYTES ? SQLITE_OK : wal_flush(f);
    if (rc != SQLITE_OK || at < WAL_HEADER_BYTES || at < f->end || len > AHEAD_BYTES) {
        f->end = at + len > f->end || at < WAL_HEADER_BYTES ? at + len : f->end;
        return rc == SQLITE_OK ? write_real(file, data, len, at) : rc;
    }
    if (f->ahead == NULL)
        f->ahead = xmalloc(AHEAD_BYTES);
    if (f->ahead_len == 0)
        f->ahead_at = at;
    memcpy(f->ahead + f->ahead_len, data, (size_t)len);
    f->ahead_len += len;
    f->end = at + len;
    if (len != FRAME_HEADER_BYTES)
        return f->commits ? wal_flush(f) : SQLITE_OK;
    static const uint8_t none[4];
    f->commits = memcmp((const uint8_t *)data + FRAME_COMMIT_AT, none, sizeof none) != 0;
    return SQLITE_OK;
}

static int wal_close(sqlite3_file *file)
{
    int rc = wal_flush(of(file)), closed = pages_close(file);
    free(of(file)->ahead);
    return rc == SQLITE_OK ? closed : rc;
}

static int wal_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    int rc = wal_flush(of(file));
    return rc == SQLITE_OK ? real(file)->pMethods->xRead(real(file), data, len, at) : rc;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = wal_flush(of(file));
    return rc == SQLITE_OK ? pages_truncate(file, size) : rc;
}

static int wal_sync(sqlite3_file *file, int flags)
{
    int rc = wal_flush(of(file));
    return rc == SQLITE_OK ? pages_sync(file, flags) : rc;
}

static int wal_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    int rc = wal_flush(of(file));
    return rc == SQLITE_OK ? pages_file_size(file, size) : rc;
}

/* Version 2: without xFetch, which would hand out pages that nobody has checked. */
static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = pages_close,
                                           .xRead = pages_read,
                                           .xWrite = pages_write,
                                           .xTruncate = pages_truncate,
                                           .xSync = pages_sync,
                                           .xFileSize = pages_file_size,
                                           .xLock = pages_lock,
                                           .xUnlock = pages_unlock,
                                           .xCheckReservedLock = pages_check_reserved_lock,
                                           .xFileControl = pages_control,
                                           .xSectorSize = pages_sector_size,
                                           .xDeviceCharacteristics = pages_characteristics,
                                           .xShmMap = pages_shm_map,
                                           .xShmLock = pages_shm_lock,
                                           .xShmBarrier = pages_shm_barrier,
                                           .xShmUnmap = pages_shm_unmap};

static const sqlite3_io_methods wal_methods = {.iVersion = 1,
                                               .xClose = wal_close,
                                               .xRead = wal_read,
                                               .xWrite = wal_write,
                                               .xTruncate = wal_truncate,
                                               .xSync = wal_sync,
                                               .xFileSize = wal_file_size,
                                               .xLock = pages_lock,
                                               .xUnlock = pages_unlock,
                                               .xCheckReservedLock = pages_check_reserved_lock,
                                               .xFileControl = pages_control,
                                               .xSectorSize = pages_sector_size,
                                               .xDeviceCharacteristics = pages_characteristics};

/* ---- the VFS ---- */

/* A new file's salt is drawn; any other has it on its first page, which is checked when it is read.
 * It never changes, so a torn write of that page does not tear it. */
static int salt_load(struct pages_file *f, sqlite3_vfs *under)
{
    sqlite3_int64 size = 0;
    int rc = f->real->pMethods->xFileSize(f->real, &size);
    if (rc == SQLITE_OK && size >= STORE_PAGES_BYTES)
        rc = f->real->pMethods->xRead(f->real, f->salt, SALT_BYTES, SALT_AT);
    else if (rc == SQLITE_OK)
        under->xRandomness(under, SALT_BYTES, (char *)f->salt);
    return rc;
}

static int pages_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    sqlite3_vfs *under = below(vfs);
    bool is_db = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    if ((!is_db && (flags & SQLITE_OPEN_WAL) == 0) || name == NULL)
        return under->xOpen(under, name, file, flags, out);
    struct pages_file *f = of(file);
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(void *)((char *)file + REAL_AT);
    f->real->pMethods = NULL;
    f->path = name;
    int rc = under->xOpen(under, name, f->real, flags, out);
    if (rc == SQLITE_OK && is_db)
        rc = f->real->pMethods->iVersion < 2 ? SQLITE_CANTOPEN : salt_load(f, under);
    if (rc == SQLITE_OK)
        f->base.pMethods = is_db ? &methods : &wal_methods;
    else if (f->real->pMethods != NULL)
        f->real->pMethods->xClose(f->real);
    return rc;
}

static int pages_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    return below(vfs)->xDelete(below(vfs), name, sync_directory);
}

static int pages_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    return below(vfs)->xAccess(below(vfs), name, flags, out);
}

static int pages_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    return below(vfs)->xFullPathname(below(vfs), name, size, out);
}

static int pages_random(sqlite3_vfs *vfs, int len, char *out)
{
    return below(vfs)->xRandomness(below(vfs), len, out);
}

static int pages_sleep(sqlite3_vfs *vfs, int us)
{
    return below(vfs)->xSleep(below(vfs), us);
}

static int pages_time(sqlite3_vfs *vfs, double *out)
{
    return below(vfs)->xCurrentTime(below(vfs), out);
}

static int pages_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    return below(vfs)->xGetLastError(below(vfs), size, out);
}

static struct pages_vfs *register_over(sqlite3_vfs *under)
{
    static const char prefix[] = "assent-pages-";
    size_t len = sizeof prefix + strlen(under->zName);
    char *name = xmalloc(len);
    snprintf(name, len, "%s%s", prefix, under->zName);
    struct pages_vfs *p = xcalloc(1, sizeof *p);
    p->under = under;
    p->vfs = (sqlite3_vfs){.iVersion = 1,
                           .szOsFile = (int)REAL_AT + under->szOsFile,
                           .mxPathname = under->mxPathname,
                           .zName = name,
                           .xOpen = pages_open,
                           .xDelete = pages_delete,
                           .xAccess = pages_access,
                           .xFullPathname = pages_full_path,
                           .xRandomness = pages_random,
                           .xSleep = pages_sleep,
                           .xCurrentTime = pages_time,
                           .xGetLastError = pages_last_error};
    if (sqlite3_vfs_register(&p->vfs, 0) == SQLITE_OK)
        return p;
    free(name);
    free(p);
    return NULL;
}

/* SQLite keeps what is registered until the process ends, and so do we. */
const char *store_pages_vfs(const char *under)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct pages_vfs *all;
    struct pages_vfs *p = NULL;
    pthread_mutex_lock(&mutex);
    /* Nobody asks how much memory SQLite has; counting it costs more than the allocations. Refused
     * where something else has begun to use SQLite: then it counts. */
    if (all == NULL)
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_vfs *found = sqlite3_vfs_find(under);
    if (found != NULL) {
        for (p = all; p != NULL && p->under != found; p = p->next)
            continue;
        if (p == NULL && (p = register_over(found)) != NULL) {
            p->next = all;
            all = p;
        }
    }
    pthread_mutex_unlock(&mutex);
    return p == NULL ? NULL : p->vfs.zName;
}

/* ---- a connection ---- */

/* NULL if the connection's file is not ours. */
static struct pages_file *file_of(struct sqlite3 *db)
{
    sqlite3_file *file = NULL;
    if (db == NULL ||
        sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK)
        return NULL;
    return file != NULL && file->pMethods == &methods ? of(file) : NULL;
}

int store_pages_reserve(struct sqlite3 *db)
{
    int bytes = STORE_PAGES_RESERVED;
    char sql[32];
    snprintf(sql, sizeof sql, "PRAGMA page_size=%d", STORE_PAGES_BYTES);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes)
                           : rc;
}

int store_pages_check(struct sqlite3 *db, uint32_t pages)
{
    struct pages_file *f = file_of(db);
    int rc = f == NULL ? SQLITE_MISUSE : SQLITE_OK;
    for (uint32_t number = 1; number <= pages && rc == SQLITE_OK; number++)
        rc = page_read(f, f->page, number);
    return rc;
}

const char *store_pages_damage(struct sqlite3 *db)
{
    const struct pages_file *f = file_of(db);
    return f == NULL || f->damage[0] == '\0' ? NULL : f->damage;
}
