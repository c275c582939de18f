/* Every read of a counter lies between what was acknowledged before it began and what had been
 * attempted when it ended; so a read behind the last add, with no outcome unknown, is exact. A
 * counter that nobody read behind its last acknowledged add is UNJUDGED. */
#ifndef CHAOS_CHECK_COUNTER_H
#define CHAOS_CHECK_COUNTER_H

#include "chaos/check_finding.h"

enum verdict check_counter(const struct history *h, struct finding *out);

#endif
