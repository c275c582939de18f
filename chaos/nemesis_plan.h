/* Which faults a run has, when, where and how strong: all of it from the scenario and the seed,
 * before the first one begins. */
#ifndef CHAOS_NEMESIS_PLAN_H
#define CHAOS_NEMESIS_PLAN_H

#include "chaos/scenario.h"
#include "runtime/cluster.h"

#define PLAN_NOWHERE   (-1)
#define PLAN_STRENGTHS 1000u

/* How long before the end of a run's load the last fault must have ended. */
#define PLAN_RECOVERY_MS 5000u

struct planned {
    enum fault_kind kind;
    uint32_t at_ms, for_ms;
    /* Where: a node (index), or a datacenter with all its nodes; both PLAN_NOWHERE: everywhere. */
    int node, datacenter;
    uint32_t strength; /* below PLAN_STRENGTHS: how slow, how much, which way; each kind knows */
    uint64_t seed;     /* of what changes while it lasts */
    char step[64];     /* of FAULT_STEP */
};

struct plan {
    int n;
    struct planned *fault; /* in the order of at_ms */
};

/* Targets of the scenario must be there (scenario_check). */
struct plan plan_make(const struct scenario *s, const struct cluster *c, uint64_t seed);
void plan_free(struct plan *p);
/* How long a fault of the kind lasts at least; 0: any time does. */
uint32_t plan_least_ms(const struct scenario *s, enum fault_kind kind);

#endif
