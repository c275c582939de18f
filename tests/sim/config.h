/* What a seed makes of a run: cluster, links, load, and which faults (swarm testing: each run has
 * only some kinds, so that they do not hide each other). */
#ifndef TESTS_SIM_CONFIG_H
#define TESTS_SIM_CONFIG_H

#include "runtime/cluster.h"
#include "tests/sim/workload.h"

/* X(NAME): what the nemesis can do. */
/* clang-format off */
#define NEMESIS_MAP(X)                                                                             \
    X(KILL) X(POWER) X(POWER_IN_A_WRITE) X(ALL_POWER) X(RESTART_STORM) X(STOP) X(PAUSE)            \
    X(CLOCK_RATE) X(CLOCK_JUMP) X(RESET) X(REPLACE) X(CUT) X(ISOLATE) X(SPLIT) X(RING) X(CLOG)     \
    X(SLOW_LINK) X(DISK_ERROR) X(DISK_FULL) X(DISK_SLOW) X(DAMAGE) X(KILL_CLIENT)                  \
    X(KILL_AT_STEP) X(CUT_OFF_AT_STEP) X(POWER_IN_A_COMMIT)
/* clang-format on */

enum nemesis_kind {
#define NEMESIS_ENUM(name) NEMESIS_##name,
    NEMESIS_MAP(NEMESIS_ENUM)
#undef NEMESIS_ENUM
        NEMESIS_KINDS
};

struct sim_config {
    int coordinators, participants, datacenters;
    bool coded;
    uint32_t one_way_us[NET_DATACENTERS_MAX]; /* of a datacenter, to the middle of the net */
    uint32_t jitter_us;
    uint32_t sync_us;
    uint32_t apply_step; /* rows between two batches; 0: as many as in the daemons */
    uint32_t in_doubt_ms, retention_ms, txid_skew_ms;
    uint64_t duration_us;    /* of the load with faults */
    uint64_t fault_every_us; /* on average; 0: none */
    bool does[NEMESIS_KINDS];
    struct workload_config workload;
};

/* Everything from the seed. `scale` 1 is a small run, larger ones longer. */
void sim_config_draw(struct sim_config *c, uint64_t seed, int scale);
/* The same for everybody, for counting instructions: transfers over two participants, one
 * coordinator, messages as bytes, no faults. */
void sim_config_calm(struct sim_config *c);
/* The cluster file, parsed. Never NULL. */
struct cluster *sim_config_cluster(const struct sim_config *c);
/* One line. */
void sim_config_say(const struct sim_config *c, struct sim *sim);

#endif
