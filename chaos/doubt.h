/* Whether transactions in doubt were decided in time: soon after the last fault, and while faults
 * went on wherever most coordinators were out of their reach. */
#ifndef CHAOS_DOUBT_H
#define CHAOS_DOUBT_H

#include "chaos/result.h"

/* How long a transaction may be in doubt at a datacenter that no fault concerns and has concerned
 * for as long, with most coordinators in such datacenters: in microseconds. */
uint64_t doubt_bound_us(const struct scenario *s);
/* Appends its two judgements. `all_read`: every key could be read in the end, and every outcome was
 * known. */
void doubt_judge(struct result *r, bool all_read);

#endif
