#include "common/clocks.h"

#define STEPS_PER_RETENTION 64

void clocks_heard(struct clocks *c, int i, int64_t ahead_ms)
{
    c->known[i] = true;
    c->ahead_ms[i] = ahead_ms;
}

hlc_ts clocks_watermark(const struct clocks *c, uint64_t wall_ms, uint32_t retention_ms,
                        hlc_ts emitted)
{
    int64_t ahead[COORDINATORS_MAX];
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        if (!c->known[i])
            continue;
        int at = n++;
        for (; at > 0 && ahead[at - 1] > c->ahead_ms[i]; at--)
            ahead[at] = ahead[at - 1];
        ahead[at] = c->ahead_ms[i];
    }
    if (n <= c->n / 2)
        return 0;
    int64_t ms = (int64_t)wall_ms + ahead[(n - 1) / 2] - (int64_t)retention_ms;
    hlc_ts to = ms <= 0 ? 0 : hlc_from_ms((uint64_t)ms);
    if (to <= emitted || hlc_to_ms(to - emitted) < retention_ms / STEPS_PER_RETENTION)
        return 0;
    return to;
}
