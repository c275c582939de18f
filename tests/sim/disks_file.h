/* What the two faces of the simulated disks share: files, machines, faults. For disks.c and
 * disks_vfs.c only. */
#ifndef TESTS_SIM_DISKS_FILE_H
#define TESTS_SIM_DISKS_FILE_H

#include "common/prng.h"
#include "tests/sim/disks.h"

#define DISK_PAGE   4096u
#define DISK_SECTOR 512u

/* `now` is what a reader sees. `synced` is what a loss of power leaves for certain: NULL while the
 * page is clean, when both are the same. NULL `now`: zeros. */
struct disk_page {
    uint8_t *now;
    uint8_t *synced;
    bool dirty;
    bool doomed; /* its sync failed: no later sync makes it durable, only another write */
};

/* The write-ahead log's index, in the memory of one process. */
struct disk_shm {
    uint32_t regions;
    uint8_t **region;
};

struct disk_node {
    struct disk_node *next;
    struct disk_machine *machine;
    char *path;
    uint64_t size, synced_size;
    struct disk_page *page;
    uint32_t pages;
    bool truncated; /* since the last sync: a loss of power undoes all of it, or nothing */
    uint64_t truncated_at;
    /* A directory as it is and as it is for certain: of each name at most one file is not removed,
     * and at most one has a synced entry. */
    bool removed;
    bool entry_synced;
    const struct disk_handle *locked_by;
    uint32_t handles;
};

struct disk_machine {
    struct disk_machine *next;
    struct disks *disks;
    char name[64]; /* "/c1" */
    uint32_t life; /* handles of an earlier one are dead */
    bool dead;     /* the power is gone */
    bool armed;
    bool fired;
    enum disks_fault fault;
    uint32_t countdown;
    uint64_t room;
    struct disk_node *nodes;
};

struct disks {
    struct disk disk;
    struct prng prng;
    struct disk_machine *machines;
    struct disks_stats stats;
};

/* An open file: valid while its machine lives the same life. */
struct disk_handle {
    struct disk_node *node;
    uint32_t life;
};

struct disks *disks_current(void);
/* NULL if there is none, or it was removed. */
struct disk_node *disks_find(struct disks *d, const char *path);
struct disk_node *disks_make(struct disks *d, const char *path);
void disks_remove(struct disk_node *n);
bool disks_handle_alive(const struct disk_handle *h);
void disks_handle_open(struct disk_handle *h, struct disk_node *n);
void disks_handle_close(struct disk_handle *h);

/* Each 0 or an errno: EIO of a fault or a dead handle, ENOSPC. */
int disks_read(struct disk_handle *h, void *data, size_t len, uint64_t at, size_t *got);
int disks_write(struct disk_handle *h, const void *data, size_t len, uint64_t at, bool durable);
int disks_truncate(struct disk_handle *h, uint64_t size);
int disks_sync(struct disk_handle *h);
int disks_sync_directory(struct disk_machine *m);

/* disks_vfs.c. The seed is for what SQLite draws itself: the salts of its write-ahead logs. */
const char *disks_vfs_register(uint64_t seed);

#endif
