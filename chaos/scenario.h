/* What a chaos run does: the cluster, its links, the load, the faults. Read from a YAML file
 * (chaos/scenarios/, docs/chaos.md), and changed by options of the command line. */
#ifndef CHAOS_SCENARIO_H
#define CHAOS_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "chaos/fault.h"
#include "common/limits.h"

#define SCENARIO_DATACENTERS_MAX 8
#define SCENARIO_LOADS_MAX       16
#define SCENARIO_FAULTS_MAX      64
#define SCENARIO_CLIENTS_MAX     256 /* of all loads together */

/* X(NAME, text): workloads. */
#define LOAD_MAP(X)                                                                                \
    X(BANK, "bank")         /* transfers between accounts, all of them read by one transaction */  \
    X(LIST, "list")         /* transactions that append to lists and read them */                  \
    X(REGISTER, "register") /* reads, writes, compare-and-set */                                   \
    X(SET, "set")                                                                                  \
    X(ROUTES, "routes")   /* tenant, service and endpoint written together, in all datacenters */  \
    X(COUNTER, "counter") /* one hot key */                                                        \
    X(LARGE, "large")     /* transactions of many keys and long values */                          \
    X(LEVELS, "levels")   /* lists, read at every level by sessions that hand their tokens on */   \
    X(LOCAL, "local")     /* transfers within one datacenter: the floor of what a commit costs */

enum load_kind {
#define LOAD_ENUM(name, text) LOAD_##name,
    LOAD_MAP(LOAD_ENUM)
#undef LOAD_ENUM
        LOAD_KINDS
};

struct scenario_load {
    enum load_kind kind;
    int clients; /* spread over the datacenters of `from` */
    int keys;    /* spread over the datacenters of `in` */
    uint32_t think_ms;
    uint32_t timeout_ms; /* of each attempt */
    uint32_t in, from;   /* masks of datacenters: where its keys are, where its clients are */
    bool dies; /* clients die in mid-commit, now and then, and ask for the outcome elsewhere */
};

struct scenario_fault {
    enum fault_kind kind;
    uint32_t at_ms, for_ms; /* at_ms from the end of the calm beginning */
    char target[NAME_BYTES_MAX +
                1]; /* a node or a datacenter; "": chosen by chance, from the seed */
    char step[64];  /* of FAULT_STEP: as ASSENT_CRASH_AT; "": by chance */
};

struct scenario {
    char name[NAME_BYTES_MAX + 1];
    uint64_t seed;        /* 0: by chance */
    uint32_t calm_ms;     /* before the first fault */
    uint32_t duration_ms; /* of load in all, calm_ms included */
    uint32_t settle_ms;   /* bound on the time after it until nothing is in doubt */
    int datacenters;
    char datacenter[SCENARIO_DATACENTERS_MAX][NAME_BYTES_MAX + 1];
    /* round trip, [a * datacenters + b]; on the diagonal that within one */
    uint32_t rtt_ms[SCENARIO_DATACENTERS_MAX * SCENARIO_DATACENTERS_MAX];
    uint32_t jitter_us;
    int coordinators; /* 1, 3 or 5; the i-th in datacenter i modulo datacenters */
    int participants; /* in each datacenter */
    uint32_t retention_ms, in_doubt_ms, txid_skew_ms; /* of the cluster file */
    int loads;
    struct scenario_load load[SCENARIO_LOADS_MAX];
    /* Scripted faults, in the order of at_ms; and faults by chance: each kind of the mask once in a
     * random order, then any, one every every_ms on average, lasting about for_ms. */
    int faults;
    struct scenario_fault fault[SCENARIO_FAULTS_MAX];
    uint32_t mix; /* mask of 1 << enum fault_kind; 0: none by chance */
    uint32_t every_ms, for_ms;
};

/* Reads and checks the whole file. False with what, where (file and line) and what to do in `why`
 * (512 bytes). `rtt_file` (NULL: what the scenario says): a matrix as rtt_load() reads it. */
bool scenario_load(struct scenario *out, const char *path, const char *rtt_file, char *why,
                   unsigned why_size);
/* Checks it as a whole again, after options have changed it. */
bool scenario_check(const struct scenario *s, char *why, unsigned why_size);
const char *load_text(enum load_kind kind);

/* A matrix of round trips: CSV, first line and first column names of datacenters, milliseconds in
 * between, symmetric or not, empty on the diagonal. Fills rtt_ms for the datacenters named, which
 * must all be there. False with the line in `why`. */
bool rtt_load(const char *path, int datacenters, const char datacenter[][NAME_BYTES_MAX + 1],
              uint32_t *rtt_ms, char *why, unsigned why_size);

#endif
