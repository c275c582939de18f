/* What a node knows of the coordinators' wall clocks, and what follows for its own: how far ahead
 * it may be believed, and the watermark (docs/protocol.md, "Time" and "Outcomes and forgetting").
 *
 * Another's clock is kept as its distance from this node's monotonic clock, so a step of the own
 * wall clock does not move it. No F clocks of the 2F+1 can move what is said here ahead. */
#ifndef COMMON_CLOCKS_H
#define COMMON_CLOCKS_H

#include "common/protocol.h"

struct clocks {
    int n; /* coordinators of the cluster */
    uint64_t now_us, wall_ms;
    bool begun;
    bool stepped; /* the own wall clock, at stepped_us */
    uint64_t stepped_us;
    bool known[COORDINATORS_MAX];
    int64_t over_ms[COORDINATORS_MAX];       /* its wall clock less the own monotonic one */
    uint64_t reach_ms, reach_us, kept_up_us; /* clocks_watermark's */
};

/* The node's own clocks; first in every event. */
void clocks_own(struct clocks *c, uint64_t now_us, uint64_t wall_ms);
/* The wall clock of coordinator number i (by ascending id) is so far ahead of the own. */
void clocks_heard(struct clocks *c, int i, int64_t ahead_ms);
/* The latest time that the clocks of F+1 coordinators have passed, so at least one that is right;
 * 0: fewer than F+1 were heard. */
uint64_t clocks_passed(const struct clocks *c);
/* Whether others bear the own wall clock out: several coordinators, F+1 of them heard. Then
 * *wall_ms is the own clock, but not more than ahead_ms beyond clocks_passed; else just the own. */
bool clocks_believed(const struct clocks *c, uint32_t ahead_ms, uint64_t *wall_ms);
/* The watermark that may be emitted now, or 0: fewer than F+1 clocks were heard, or it is not worth
 * a record yet (less than a 64th of the retention above `emitted`). At the start and then once a
 * second. */
hlc_ts clocks_watermark(struct clocks *c, uint32_t retention_ms, hlc_ts emitted);

#endif
