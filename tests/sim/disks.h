/* The disks of a simulated cluster: files in memory under a SQLite VFS and under the storage code's
 * struct disk. A machine's files are those whose path begins with its directory.
 *
 * What was synced is kept apart from what was only written. A process that dies leaves all that it
 * wrote; a machine that loses power leaves what was synced and, of what was not, whatever the seed
 * says: each unsynced write (a sector of 512 bytes at a time) may be there, or not, or in part, in
 * any order; a file's length likewise; a file created or removed without a sync of its directory
 * may be there or not. Everything else is as POSIX has it. One thread. */
#ifndef TESTS_SIM_DISKS_H
#define TESTS_SIM_DISKS_H

#include "runtime/disk.h"

struct disks;

/* One at a time: SQLite knows the VFS by name. */
struct disks *disks_new(uint64_t seed);
void disks_free(struct disks *d);
/* Of a node's tail: small, so that it turns often. */
#define DISKS_TAIL_BYTES (512u * 1024)

/* For log_store_create and log_store_open; lives as long as `d`. */
const struct disk *disks_disk(struct disks *d);

/* ---- a machine is a directory: "/c1" ---- */

enum disks_loss { DISKS_LOSE_PROCESS, DISKS_LOSE_POWER };

/* The process on the machine is gone: its open files are dead (every use of them fails without an
 * effect, closing works), its locks are free. */
void disks_crash(struct disks *d, const char *machine, enum disks_loss loss);

enum disks_fault {
    DISKS_FAULT_POWER,             /* that write takes place in part or not at all, and nothing
                                      after it: disks_dead() until disks_crash() */
    DISKS_FAULT_POWER_IN_A_COMMIT, /* the same, at a write that is durable at once, and is of more
                                      sectors than one, not counting padding: it can be torn */
    DISKS_FAULT_WRITE_ERROR, /* that write fails with EIO, having taken place in part or not */
    DISKS_FAULT_SYNC_ERROR,  /* that sync fails with EIO; what it should have synced is lost at the
                                next loss of power even if a later sync succeeds */
    DISKS_FAULT_READ_ERROR,  /* that read fails with EIO */
};
#define DISKS_FAULTS 5

/* Once, at the n-th operation from now (1: the next) of the kind that the fault concerns: writes,
 * truncations and syncs for POWER, writes for WRITE_ERROR, ... Replaces what was armed. */
void disks_arm(struct disks *d, const char *machine, enum disks_fault fault, uint32_t n);
void disks_disarm(struct disks *d, const char *machine);
/* Whether the armed fault has happened since it was armed. */
bool disks_fired(const struct disks *d, const char *machine);
bool disks_dead(const struct disks *d, const char *machine);
/* Bytes that all files of the machine may have together; UINT64_MAX: no bound. A write that would
 * grow beyond fails with ENOSPC (SQLITE_FULL). */
void disks_set_room(struct disks *d, const char *machine, uint64_t bytes);
uint64_t disks_used(const struct disks *d, const char *machine);

/* Flips one bit of synced data of one of the machine's files, chosen by the seed among bytes that
 * are not zero with all their neighbours; writes what was flipped into `what` (128 bytes). False if
 * there is nothing. The process must not be running. */
bool disks_flip(struct disks *d, const char *machine, char *what);
/* The same, in the given file at the given byte and bit. */
bool disks_flip_at(struct disks *d, const char *path, uint64_t at, int bit);

/* The file is gone, for good. The process must not be running. */
void disks_lose(struct disks *d, const char *path);

struct disks_stats {
    uint64_t reads, writes, syncs;
    uint64_t lost_writes, torn_writes; /* at losses of power */
};
void disks_stats(const struct disks *d, struct disks_stats *out);

/* A copy of one machine's synced and unsynced files, to come back to: for exhaustive worlds. */
struct disks_copy;
struct disks_copy *disks_save(const struct disks *d, const char *machine);
void disks_load(struct disks *d, const char *machine, const struct disks_copy *copy);
/* All files but that one, which stays as it is. */
void disks_load_but(struct disks *d, const char *machine, const struct disks_copy *copy,
                    const char *but);
void disks_copy_free(struct disks_copy *copy);

#endif
