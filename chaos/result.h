/* All that a chaos run found, for the report. */
#ifndef CHAOS_RESULT_H
#define CHAOS_RESULT_H

#include "chaos/judgement.h"
#include "chaos/samples.h"
#include "chaos/scenario.h"

struct result {
    const struct scenario *scenario;
    char command[1024]; /* that does the same run again */
    uint64_t begin_us, faults_us, heal_us, end_us;
    uint64_t settled_us; /* FAULT_NEVER: it never was */
    bool interrupted;    /* a signal ended the load early */
    int faults;
    struct fault *fault; /* times to unblock filled in by result_measure() */
    struct samples *samples;
    struct judgements judgements;
    uint32_t bare_rtt_us[SCENARIO_DATACENTERS_MAX][SCENARIO_DATACENTERS_MAX];
    char dir[4096]; /* where histories and logs are */
};

/* Fills in next_commit_us and no_doubt_us of every fault, from its beginning:
 *
 * - next_commit: to the end of the first commit that began after it, crosses datacenters and has a
 *   participant in those of the fault, if any load has keys there. For datacenters lost for good:
 *   among the others.
 * - no_doubt: to the first look from which on, for longer than doubt can last without being
 *   noticed, every node answers that is not down, and nothing is in doubt that was so when the
 * fault began or is so for longer than a participant waits before it asks. (Under load something is
 *   always in doubt, for a round trip.) */
void result_measure(struct result *r);
/* Whether more than one datacenter takes part, the client's included. */
bool result_crosses(const struct sample *s);
/* 0 all held, 1 a check failed, 2 could not judge. */
int result_exit_status(const struct result *r);

#endif
