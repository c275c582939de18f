/* SQLite's view of the simulated disks. Its locks are never contended: one connection has a file at
 * a time, as the storage code has it. */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "tests/sim/disks_file.h"

struct vfs_file {
    sqlite3_file base;
    struct disk_handle handle;
    struct disk_shm *shm; /* this handle's own */
    bool delete_on_close;
    bool new_entry; /* its first sync is one of the directory, too, as SQLite does it on POSIX */
};

static struct vfs_file *of(sqlite3_file *file)
{
    return (struct vfs_file *)file;
}

static int result(int error, int io)
{
    return error == 0 ? SQLITE_OK : error == ENOSPC ? SQLITE_FULL : io;
}

static void shm_release(struct vfs_file *f)
{
    struct disk_shm *shm = f->shm;
    f->shm = NULL;
    if (shm == NULL)
        return;
    for (uint32_t i = 0; i < shm->regions; i++)
        free(shm->region[i]);
    free(shm->region);
    free(shm);
}

static int vfs_close(sqlite3_file *file)
{
    struct vfs_file *f = of(file);
    shm_release(f);
    if (f->delete_on_close && disks_handle_alive(&f->handle))
        disks_remove(f->handle.node);
    disks_handle_close(&f->handle);
    return SQLITE_OK;
}

static int vfs_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    size_t got = 0;
    if (disks_read(&of(file)->handle, data, (size_t)len, (uint64_t)at, &got) != 0)
        return SQLITE_IOERR_READ;
    if (got == (size_t)len)
        return SQLITE_OK;
    memset((char *)data + got, 0, (size_t)len - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    return result(disks_write(&of(file)->handle, data, (size_t)len, (uint64_t)at, false),
                  SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return result(disks_truncate(&of(file)->handle, (uint64_t)size), SQLITE_IOERR_TRUNCATE);
}

static int vfs_sync(sqlite3_file *file, int flags)
{
    struct vfs_file *f = of(file);
    (void)flags;
    int error = disks_sync(&f->handle);
    if (error == 0 && f->new_entry) {
        f->new_entry = false;
        /* SQLite does not look at what came of it. */
        (void)disks_sync_directory(f->handle.node->machine);
        error = disks_handle_alive(&f->handle) ? 0 : EIO;
    }
    return result(error, SQLITE_IOERR_FSYNC);
}

static int vfs_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    if (!disks_handle_alive(&of(file)->handle))
        return SQLITE_IOERR_FSTAT;
    *size = (sqlite3_int64)of(file)->handle.node->size;
    return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *file, int level)
{
    (void)level;
    return disks_handle_alive(&of(file)->handle) ? SQLITE_OK : SQLITE_IOERR_LOCK;
}

static int vfs_unlock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *file, int *out)
{
    (void)file;
    *out = 0;
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    if (op != SQLITE_FCNTL_MMAP_SIZE)
        return SQLITE_NOTFOUND;
    *(sqlite3_int64 *)arg = 0; /* nothing is ever mapped */
    return SQLITE_OK;
}

static int vfs_sector_size(sqlite3_file *file)
{
    (void)file;
    return (int)DISK_PAGE;
}

/* A write harms no byte beside it, as SQLite expects of today's disks. */
static int vfs_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int vfs_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    struct vfs_file *f = of(file);
    *out = NULL;
    if (!disks_handle_alive(&f->handle))
        return SQLITE_IOERR_SHMMAP;
    if (f->shm == NULL)
        f->shm = xcalloc(1, sizeof *f->shm);
    struct disk_shm *shm = f->shm;
    if ((uint32_t)region >= shm->regions) {
        if (!extend)
            return SQLITE_OK;
        shm->region = xrealloc(shm->region, ((size_t)region + 1) * sizeof *shm->region);
        while (shm->regions <= (uint32_t)region)
            shm->region[shm->regions++] = xcalloc(1, (size_t)size);
    }
    *out = shm->region[region];
    return SQLITE_OK;
}

static int vfs_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    (void)offset;
    (void)n;
    return (flags & SQLITE_SHM_UNLOCK) != 0 || disks_handle_alive(&of(file)->handle)
               ? SQLITE_OK
               : SQLITE_IOERR_SHMLOCK;
}

static void vfs_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int vfs_shm_unmap(sqlite3_file *file, int remove)
{
    (void)remove;
    shm_release(of(file));
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = vfs_close,
                                           .xRead = vfs_read,
                                           .xWrite = vfs_write,
                                           .xTruncate = vfs_truncate,
                                           .xSync = vfs_sync,
                                           .xFileSize = vfs_file_size,
                                           .xLock = vfs_lock,
                                           .xUnlock = vfs_unlock,
                                           .xCheckReservedLock = vfs_check_reserved,
                                           .xFileControl = vfs_control,
                                           .xSectorSize = vfs_sector_size,
                                           .xDeviceCharacteristics = vfs_characteristics,
                                           .xShmMap = vfs_shm_map,
                                           .xShmLock = vfs_shm_lock,
                                           .xShmBarrier = vfs_shm_barrier,
                                           .xShmUnmap = vfs_shm_unmap};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    static uint64_t temporary;
    char path[64];
    struct disks *d = disks_current();
    struct vfs_file *f = of(file);
    (void)vfs;
    memset(f, 0, sizeof *f);
    if (name == NULL) {
        sqlite3_snprintf(sizeof path, path, "/tmp/%llu", (unsigned long long)++temporary);
        name = path;
    }
    struct disk_node *n = disks_find(d, name);
    if (n != NULL ? n->machine->dead : (flags & SQLITE_OPEN_CREATE) == 0)
        return SQLITE_CANTOPEN;
    if (n == NULL) {
        n = disks_make(d, name);
        if (n->machine->dead) {
            disks_remove(n);
            return SQLITE_CANTOPEN;
        }
    }
    f->base.pMethods = &methods;
    f->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    f->new_entry =
        (flags & SQLITE_OPEN_CREATE) != 0 &&
        (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    disks_handle_open(&f->handle, n);
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    struct disks *d = disks_current();
    struct disk_node *n = disks_find(d, name);
    (void)vfs;
    if (n == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    if (n->machine->dead)
        return SQLITE_IOERR_DELETE;
    struct disk_machine *m = n->machine;
    disks_remove(n);
    return sync_directory && disks_sync_directory(m) != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    (void)vfs;
    (void)flags;
    const struct disk_node *n = disks_find(disks_current(), name);
    *out = n != NULL && (flags != SQLITE_ACCESS_EXISTS || n->size > 0);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    for (int i = 0; i < len; i++)
        out[i] = (char)prng_u64(&disks_current()->prng);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    *out = 2461000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

const char *disks_vfs_register(uint64_t seed)
{
    static sqlite3_vfs vfs = {.iVersion = 1,
                              .szOsFile = sizeof(struct vfs_file),
                              .mxPathname = 512,
                              .zName = "assent-sim",
                              .xOpen = vfs_open,
                              .xDelete = vfs_delete,
                              .xAccess = vfs_access,
                              .xFullPathname = vfs_full_path,
                              .xRandomness = vfs_random,
                              .xSleep = vfs_sleep,
                              .xCurrentTime = vfs_time,
                              .xGetLastError = vfs_last_error};
    sqlite3_vfs_register(&vfs, 0);
    /* Its random source is one for the process and starts from the default VFS, the system's. 0
     * would mean that. */
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(uint32_t)(seed >> 32 ^ seed) | 1, NULL);
    return vfs.zName;
}
