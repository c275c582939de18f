/* What a role (coordinator, participant) brings to the process that runs it: its store and its
 * core, behind one table of functions. */
#ifndef RUNTIME_ROLE_H
#define RUNTIME_ROLE_H

#include "common/effects.h"
#include "runtime/cluster.h"
#include "runtime/log_store.h"

/* What the core needs to start, found on the disk or in the cluster file. */
struct node_start {
    const struct cluster *cluster;
    const struct cluster_node *self;
    struct log_store *store;
    uint32_t incarnation;
    struct store_node recovered; /* as the node left it, before this start */
    uint64_t seed; /* before driver_open: random, or 0 for a run that can be repeated */
};

/* The result of checks and reads on the storage thread; blobs owned by the caller. */
struct node_verdict {
    assent_status status;
    struct blob *detail;
    struct blob *results;
};

struct node_role {
    enum role role;
    const char *program; /* "assent-coordinator" */
    const char *summary; /* one line for --help */
    void *arg;

    /* before the storage thread starts */
    struct store_role (*store_role)(void *arg);
    /* Builds the core from what the store holds; in_doubt: how many transactions it found
     * undecided. With `why` (512 bytes) ASSENT_STORAGE: it could not be read; ASSENT_CORRUPT: it is
     * damaged; ASSENT_CONFIG: it is of another coordinator set. */
    assent_status (*open)(void *arg, const struct node_start *start, uint32_t *in_doubt, char *why,
                          size_t why_size);
    void (*close)(void *arg);

    /* the core, on the loop thread */
    void (*start)(void *arg, uint64_t now_us, uint64_t wall_ms, struct effects *effects);
    void (*step)(void *arg, const struct event *event, struct effects *effects);
    uint64_t (*deadline)(void *arg);
    /* Refuses new work from now on. */
    void (*stop)(void *arg);
    /* Whether nothing is under way that stopping would disturb. */
    bool (*idle)(void *arg);
    /* Appends lines "name value". */
    void (*status)(void *arg, uint64_t now_us, struct writer *text);

    /* on the storage thread; NULL where the role has no such effect */
    /* Checks and reads for EFFECT_PREPARE. May replace record->body, to add what was read. */
    void (*check)(void *arg, struct sqlite3 *db, struct record *record, struct blob *ops,
                  struct node_verdict *out);
    void (*durable)(void *arg, const struct record *record);
    void (*read)(void *arg, struct sqlite3 *db, const struct read_point *point, struct blob *ops,
                 struct node_verdict *out);
    assent_status (*lookup)(void *arg, struct sqlite3 *db, const struct txid *txid, bool *found,
                            struct record *out);
};

#endif
