/* One simulated run: a cluster, its load and its faults; then the faults stop, and everything must
 * come to an end; then the histories are judged. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "tests/sim/config.h"

struct run_result {
    bool failed;
    char check[64];
    char failure[1024];
    uint64_t hash; /* of the trace */
    uint64_t simulated_us;
    uint64_t events, messages;
    uint64_t faults[SIM_FAULTS];
    struct oracle_stats oracle;
    struct workload_stats workload;
    uint64_t starts;
};

/* `out`: the whole trace goes there, or NULL. On failure the last `recent` lines of the trace go to
 * stderr. */
void run_seed(uint64_t seed, int scale, FILE *out, unsigned recent, struct run_result *result);
/* The run of sim_config_calm. */
void run_calm(struct run_result *result);

#endif
