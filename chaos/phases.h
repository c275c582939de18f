/* A run by phase: calm, recovery, and each kind of fault that happened; in each what the clients
 * were told and how long a commit took, beside its floors of the same run.
 *
 * An attempt belongs to every kind of fault that was active at some time during it; else, if it
 * touched the time just after a fault, to recovery; else to calm. So what was blocked by a fault
 * counts against it, although it began before. Throughput counts commits by when they ended.
 *
 * Floors. The wire: the bare round trip from the client to the leader, where that is elsewhere, and
 * from the leader to the farthest participant, as the links were measured before the load. And the
 * commit of a transaction that stays within one datacenter (load kind `local`). */
#ifndef CHAOS_PHASES_H
#define CHAOS_PHASES_H

#include "chaos/result.h"

#define PHASE_RECOVERY_US UINT64_C(5000000) /* from the end of a fault */

/* Places in phases.phase: calm, recovery, then FAULT_x at PHASE_FAULTS + FAULT_x. */
#define PHASE_IS_CALM     0
#define PHASE_IS_RECOVERY 1
#define PHASE_FAULTS      2
#define PHASES_MAX        (PHASE_FAULTS + FAULT_KINDS)

#define PHASE_STATUSES_MAX 64
#define PHASE_QUANTILES    101 /* 0 % to 100 % */

struct latency {
    uint64_t n;
    uint32_t p50, p95, p99, max; /* 0 while n is 0 */
    uint32_t quantile[PHASE_QUANTILES];
};

struct phase {
    const char *name, *meaning;
    int faults;       /* of that kind; of all kinds for calm and recovery: 0 */
    uint64_t time_us; /* in all; overlapping faults of a kind count once */
    uint64_t attempts, commits, aborts, unknown;
    uint64_t status[PHASE_STATUSES_MAX]; /* attempts by assent_status */
    uint64_t ended;                      /* commits that ended within it */
    struct latency commit_us;            /* of commits that cross datacenters, load `local` aside */
    struct latency local_us;             /* of load `local`, where the leader was there too */
    struct latency wire_us;              /* the floor of the commits of commit_us, each its own */
    struct latency over_us;              /* each commit's latency less its wire floor, at least 0 */
    struct latency times_wire;           /* each commit's latency by its wire floor, in 1/1000 */
    uint64_t within; /* commits that took at most 1.05 times the wire floor and 5 ms */
};

/* Commits in calm that were led where their client is, by where their farthest participant is. */
struct distance {
    int leader_in, farthest_in;
    uint32_t wire_us;
    uint64_t n;
    uint32_t p50, p95;
};

#define DISTANCES_MAX (SCENARIO_DATACENTERS_MAX * SCENARIO_DATACENTERS_MAX)

struct phases {
    struct phase phase[PHASES_MAX];
    int distances;
    struct distance distance[DISTANCES_MAX];
    struct phase all;     /* counts only, of the whole run */
    uint64_t load_end_us; /* when the last attempt ended */
};

/* A new one for free(). */
struct phases *phases_of(const struct result *r);
/* Whether it has anything to show: some time or some attempt. */
bool phase_happened(const struct phase *p);
/* Commits per second that ended within it; 0 for less than a tenth of a second. */
double phase_throughput(const struct phase *p);
/* Added latency of the median commit over the local commit in calm; false where there is either
 * none. */
bool phases_added_us(const struct phases *p, const struct phase *phase, int64_t *out);

/* The wire's floor of an attempt, 0 if it stays within the client's datacenter. `farthest_in`: the
 * datacenter of the farthest participant from the leader. */
uint32_t phases_wire_us(const struct result *r, const struct sample *s, int *farthest_in);
/* Mask of the phases that it belongs to, 1 << place. */
uint32_t phases_mask(const struct result *r, uint64_t begin_us, uint64_t end_us);

#endif
