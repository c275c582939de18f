/* Exhaustive small worlds: one transaction over two participants, with one coordinator and with
 * three; a crash of every process after every message that it gets and every record that it writes,
 * singly and in pairs, the second one anywhere in what follows from the first. All combinations. */
#ifndef TESTS_SIM_WORLDS_H
#define TESTS_SIM_WORLDS_H

#include "tests/sim/sim.h"

struct worlds_result {
    uint64_t runs, singles, pairs;
    uint64_t committed, aborted; /* what the client heard, or nobody */
    uint64_t failed;
};

/* All worlds with so many coordinators; those with number % jobs == job. `out`: a line for every
 * failed one. */
void worlds_run(int coordinators, int jobs, int job, FILE *out, struct worlds_result *result);

#endif
