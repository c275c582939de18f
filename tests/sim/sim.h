/* Virtual time, chance, the trace and the verdict of one simulated run. Every choice comes from one
 * seed; the same seed gives the same trace, and so the same hash, on every run and machine. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdio.h>

#include "common/bytes.h"
#include "common/prng.h"
#include "common/timers.h"
#include "common/txid.h"

/* X(NAME): every kind of fault, counted each time it is done to somebody. */
/* clang-format off */
#define SIM_FAULT_MAP(X)                                                                           \
    X(PROCESS_KILLED) X(POWER_LOST) X(POWER_LOST_IN_A_WRITE) X(ALL_POWER_LOST) X(RESTART_STORM)    \
    X(STOPPED_CLEANLY) X(PAUSED) X(CLOCK_SLOW) X(CLOCK_FAST) X(CLOCK_JUMPED_AHEAD)                 \
    X(CLOCK_JUMPED_BACK) X(CONNECTION_RESET) X(MESSAGES_LOST) X(CONNECTION_REPLACED)               \
    X(LINK_CUT) X(LINK_CUT_ONE_WAY) X(DATACENTER_ISOLATED) X(SPLIT) X(RING) X(CLOGGED)             \
    X(LINK_SLOW) X(DISK_WRITE_ERROR) X(DISK_SYNC_ERROR) X(DISK_READ_ERROR) X(DISK_FULL)            \
    X(DISK_SLOW) X(BIT_FLIPPED) X(CLIENT_DIED) X(CLIENT_ASKED_ELSEWHERE) X(COMMIT_SENT_AGAIN)      \
    X(COMMIT_SENT_ELSEWHERE) X(KILLED_AT_A_STEP) X(CUT_OFF_AT_A_STEP) X(OLD_COPY_PUT_BACK)         \
    X(WRITE_AHEAD_LOG_LOST)
/* clang-format on */

enum sim_fault {
#define SIM_FAULT_ENUM(name) SIM_##name,
    SIM_FAULT_MAP(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULTS
};

#define SIM_LINE_BYTES 256
#define SIM_RECENT     400

struct sim {
    uint64_t seed;
    uint64_t now_us;
    struct timers timers;
    struct prng prng;
    FILE *out;     /* the whole trace, or NULL */
    uint64_t hash; /* of all lines so far */
    uint64_t lines;
    uint64_t events;
    char (*recent)[SIM_LINE_BYTES]; /* the last SIM_RECENT lines, a ring */
    uint64_t faults[SIM_FAULTS];
    uint64_t points; /* messages delivered and records made durable */
    int last_point;  /* the network's index of the process that the last one happened to */
    bool failed;
    char check[64]; /* which check failed first */
    char failure[1024];
};

/* Embedded in what it belongs to. */
struct sim_timer {
    struct timer timer;
    void (*fire)(void *arg);
    void *arg;
};

void sim_init(struct sim *s, uint64_t seed, FILE *out);
void sim_free(struct sim *s);

/* Sets or moves a timer; in the past means now. */
void sim_at(struct sim *s, struct sim_timer *t, uint64_t at_us);
void sim_clear(struct sim *s, struct sim_timer *t);
/* Moves on to the next event and runs it. False: there is none before `until_us`, which is then the
 * time; or a check has failed. */
bool sim_step(struct sim *s, uint64_t until_us);

/* Uniform in [0, bound); one in `n`; in [low, high]. */
uint64_t sim_below(struct sim *s, uint64_t bound);
bool sim_one_in(struct sim *s, uint64_t n);
uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high);

/* A line of the trace, without its time and end. */
__attribute__((format(printf, 2, 3))) void sim_say(struct sim *s, const char *format, ...);
/* A message has been delivered to the process, or a record of it is durable. */
void sim_point(struct sim *s, int process);
void sim_fault(struct sim *s, enum sim_fault fault);
const char *sim_fault_name(enum sim_fault fault);
/* The first failure is kept; the run ends. */
__attribute__((format(printf, 3, 4))) void sim_fail(struct sim *s, const char *check,
                                                    const char *format, ...);
/* The last lines of the trace. */
void sim_show_recent(const struct sim *s, FILE *out, unsigned lines);

/* The last 8 hex digits of a txid: for lines. */
struct sim_name {
    char text[12];
};
struct sim_name sim_txid(const struct txid *txid);

#endif
