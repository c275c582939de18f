/* The faults of a chaos run, and the log of those that happened. */
#ifndef CHAOS_FAULT_H
#define CHAOS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, text, meaning) */
/* clang-format off */
#define FAULT_MAP(X)                                                                               \
    X(KILL, "kill", "kill -9 of a node, started again")                                            \
    X(ALL_KILLED, "all-killed", "kill -9 of all nodes at once")                                    \
    X(STORM, "storm", "a node killed again and again while it starts")                             \
    X(PAUSE, "pause", "a node stopped for longer than every timeout, then continued")              \
    X(STEP, "step", "a node kills itself at a named step of the protocol")                         \
    X(LONG_DOWN, "long-down", "a node down for longer than the retention time")                    \
    X(ISOLATE, "isolate", "a datacenter cut off from the others")                                  \
    X(ONE_WAY, "one-way", "what a datacenter sends to the others is lost")                         \
    X(SPLIT, "split", "the nodes in two halves")                                                   \
    X(RING, "ring", "each datacenter reaches only its neighbours")                                 \
    X(NO_PARTICIPANTS, "no-participants", "a coordinator cut from participants only")              \
    X(SPIKE, "spike", "links several times slower")                                                \
    X(JITTER, "jitter", "links of changing latency")                                               \
    X(SLOW, "slow", "links of small bandwidth")                                                    \
    X(RESET, "reset", "connections reset")                                                         \
    X(REFUSE, "refuse", "connections reset and refused")                                           \
    X(HALF_OPEN, "half-open", "one end of connections is told of their end, the other is not")     \
    X(CORRUPT, "corrupt", "bytes changed on their way")                                            \
    X(SLOW_CLOSE, "slow-close", "ends of connections told late")                                   \
    X(CUT_SHORT, "cut-short", "connections closed after so many bytes")                            \
    X(DISK_FULL, "disk-full", "a node's files cannot grow")                                        \
    X(CLOCK_OFFSET, "clock-offset", "a node's clock ahead or behind")                              \
    X(CLOCK_JUMPS, "clock-jumps", "a node's clock jumping to and fro")                             \
    X(LOST, "lost", "a datacenter lost for good")
/* clang-format on */

enum fault_kind {
#define FAULT_ENUM(name, text, meaning) FAULT_##name,
    FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KINDS
};

const char *fault_text(enum fault_kind kind);
const char *fault_meaning(enum fault_kind kind);
/* False if there is none of that text. */
bool fault_parse(const char *text, enum fault_kind *out);

/* What a fault can be aimed at: nothing, as it concerns everything; a node, or a datacenter for all
 * of its nodes; a datacenter; a datacenter's links to others, or all links of a node. */
enum fault_target { TARGET_ALL, TARGET_NODE, TARGET_DATACENTER, TARGET_LINKS };
enum fault_target fault_target(enum fault_kind kind);
/* Whether it is one for coordinators alone. */
bool fault_of_coordinators(enum fault_kind kind);

#define FAULT_NEVER UINT64_MAX

/* One that happened. */
struct fault {
    enum fault_kind kind;
    uint64_t begin_us, end_us; /* of chaos_now_us(); end FAULT_NEVER: has not ended */
    uint32_t datacenters;      /* mask of those whose nodes or links it concerns */
    char text[160];            /* "pause coordinator-1 (virginia)" */
    /* From begin_us, as result_measure() defines them; FAULT_NEVER: not within the run. */
    uint64_t next_commit_us, no_doubt_us;
};

#endif
