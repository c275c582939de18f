/* Does harm to a simulated cluster, of the kinds that the configuration allows, and undoes it. */
#ifndef TESTS_SIM_NEMESIS_H
#define TESTS_SIM_NEMESIS_H

#include "tests/sim/config.h"
#include "tests/sim/machine.h"

struct nemesis;

struct nemesis *nemesis_new(struct sim *sim, struct net *net, struct disks *disks,
                            const struct sim_config *config, struct machine *machine, int machines,
                            struct workload *workload);
void nemesis_free(struct nemesis *n);
void nemesis_start(struct nemesis *n);
/* No more harm: links heal, clocks run, disks work, and machines start again, but for those whose
 * bit is set in `down` (by index), which stay away until nemesis_release. */
void nemesis_stop(struct nemesis *n, uint64_t down);
void nemesis_release(struct nemesis *n);
/* After nemesis_stop: all machines are killed once more, and started again. */
void nemesis_restart_all(struct nemesis *n);

#endif
