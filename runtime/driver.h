/* Drives the core of one node: events go in; of the effects that come out, messages go to the host
 * and records, checks, look-ups and reads to the storage as jobs, whose ends are events again. No
 * loop, clock or socket: the daemon is its host on libuv, the simulator on virtual time. */
#ifndef RUNTIME_DRIVER_H
#define RUNTIME_DRIVER_H

#include "runtime/role.h"
#include "runtime/storage.h"

struct driver_host {
    void *arg;
    uint64_t (*now_us)(void *arg);  /* monotonic */
    uint64_t (*wall_ms)(void *arg); /* Unix time */
    /* Borrows m; it may be lost. */
    void (*send)(void *arg, struct addr to, struct msg *m);
    void (*submit)(void *arg, struct storage_job *job);
    /* A record is durable; on the storage thread. For observers; may be NULL. */
    void (*durable)(void *arg, const struct record *record);
    /* After every step: the core's deadline may have changed. */
    void (*stepped)(void *arg);
    /* A broken invariant: ends the process, or never lets the core run again. */
    void (*halt)(void *arg, const char *why);
};

struct driver {
    const struct node_role *role;
    struct driver_host host;
    bool closing; /* finished jobs do not reach the core any more */
};

/* Opens the store, begins the next incarnation there, unless `only_look`, and builds the core.
 * `start` comes with cluster and self, and is filled in; start->store is open whenever it is not
 * NULL. A status other than ASSENT_OK is log_store_open's, or that of the role's open(). `why` as
 * for log_store_open. */
assent_status driver_open(const struct node_role *role, const struct disk *disk, const char *dir,
                          const uint8_t public_key[NOISE_KEY_BYTES], bool only_look,
                          struct node_start *start, uint32_t *in_doubt, char *why, size_t why_size);
/* The core's first step. */
void driver_start(struct driver *d);
/* Fills in the event's times. */
void driver_step(struct driver *d, struct event *e);
/* Frees a job of this driver whose done() will never be called. */
void driver_drop(struct storage_job *job);

/* Whose database it is: the node of the cluster file, and its key. */
struct store_identity driver_identity(const struct cluster *cluster,
                                      const struct cluster_node *node,
                                      const uint8_t public_key[NOISE_KEY_BYTES]);

#endif
