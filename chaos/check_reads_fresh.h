/* A read that began after a write of its key was acknowledged, or after another read that saw that
 * write had returned, sees it or a newer one, in whichever datacenter it was made. Lists and
 * registers. The same follows from check_cycles and check_register; this one is cheap, never gives
 * up, and says "stale" by name. */
#ifndef CHAOS_CHECK_READS_FRESH_H
#define CHAOS_CHECK_READS_FRESH_H

#include "chaos/check_finding.h"

enum verdict check_reads_fresh(const struct history *h, struct finding *out);

#endif
