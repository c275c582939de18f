/* Injects the faults of a scenario into a site, on a thread of its own, and keeps their log. The
 * same seed and scenario give the same faults in the same order. */
#ifndef CHAOS_NEMESIS_H
#define CHAOS_NEMESIS_H

#include "chaos/site.h"

struct nemesis;

struct nemesis *nemesis_start(struct site *site, uint64_t seed);
/* Ends every fault, brings every node back that is not lost, and joins the thread. */
void nemesis_stop(struct nemesis *n);
/* How many faults are active now, and their texts, one a line. Any thread. */
int nemesis_active(struct nemesis *n, char *out, unsigned size);
/* The log, in the order of begin_us; valid until nemesis_free. After nemesis_stop. */
struct fault *nemesis_faults(struct nemesis *n, int *count);
void nemesis_free(struct nemesis *n);

#endif
