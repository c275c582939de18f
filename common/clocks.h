/* How far the coordinators' wall clocks are ahead of this node's, and the watermark that follows
 * from them (docs/protocol.md, "Outcomes and forgetting"): their median less the retention time, so
 * that no minority of wrong clocks makes a node forget early. */
#ifndef COMMON_CLOCKS_H
#define COMMON_CLOCKS_H

#include "common/protocol.h"

struct clocks {
    int n; /* coordinators of the cluster */
    bool known[COORDINATORS_MAX];
    int64_t ahead_ms[COORDINATORS_MAX];
};

/* Coordinator number i (by ascending id) is so far ahead. */
void clocks_heard(struct clocks *c, int i, int64_t ahead_ms);
/* The watermark that may be emitted now, or 0: no majority of clocks was heard, or it is not worth
 * a record yet (less than a 64th of the retention above `emitted`). */
hlc_ts clocks_watermark(const struct clocks *c, uint64_t wall_ms, uint32_t retention_ms,
                        hlc_ts emitted);

#endif
