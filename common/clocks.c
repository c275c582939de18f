#include "common/clocks.h"

#include "common/mutant.h"

#define STEPS_PER_RETENTION 64
/* The own wall clock has stepped if it and the monotonic one go so far apart between two events. */
#define STEP_MS 1000
/* For so long after a step what is heard may have been measured before it. */
#define STEP_DOUBT_US 3000000u

static int64_t own_over_ms(const struct clocks *c)
{
    return (int64_t)c->wall_ms - (int64_t)(c->now_us / 1000);
}

void clocks_own(struct clocks *c, uint64_t now_us, uint64_t wall_ms)
{
    int64_t before_ms = own_over_ms(c);
    c->now_us = now_us;
    c->wall_ms = wall_ms;
    int64_t step_ms = own_over_ms(c) - before_ms;
    if (c->begun && (step_ms > STEP_MS || step_ms < -STEP_MS)) {
        c->stepped = true;
        c->stepped_us = now_us;
    }
    c->begun = true;
}

void clocks_heard(struct clocks *c, int i, int64_t ahead_ms)
{
    if (c->stepped && c->now_us - c->stepped_us < STEP_DOUBT_US)
        return;
    c->known[i] = true;
    c->over_ms[i] = own_over_ms(c) + ahead_ms;
}

/* Whom it has not heard counts as far behind: with F+1 known it is the least of them. */
uint64_t clocks_passed(const struct clocks *c)
{
    int64_t over[COORDINATORS_MAX];
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        if (!c->known[i])
            continue;
        int at = n++;
        for (; at > 0 && over[at - 1] > c->over_ms[i]; at--)
            over[at] = over[at - 1];
        over[at] = c->over_ms[i];
    }
    int quorum = c->n / 2 + 1;
    if (n < quorum)
        return 0;
    int64_t ms = over[n - quorum] + (int64_t)(c->now_us / 1000);
    return ms <= 0 ? 0 : (uint64_t)ms;
}

bool clocks_believed(const struct clocks *c, uint32_t ahead_ms, uint64_t *wall_ms)
{
    uint64_t passed = c->n > 1 ? clocks_passed(c) : 0;
    *wall_ms = c->wall_ms;
    if (passed != 0 && *wall_ms > passed + ahead_ms && !MUTANT(OWN_CLOCK_BELIEVED))
        *wall_ms = passed + ahead_ms;
    return passed != 0;
}

/* The watermark goes ahead at most twice as fast as the own monotonic clock, beginning from the one
 * that is durable, or at first from where the own wall clock was at the start. What stays ahead of
 * that for a whole retention is believed: a host was off for long, or had no clock when it started.
 */
hlc_ts clocks_watermark(struct clocks *c, uint32_t retention_ms, hlc_ts emitted)
{
    uint64_t passed = MUTANT(OWN_CLOCK_MOVES_W) ? c->wall_ms : clocks_passed(c),
             before = hlc_to_ms(emitted);
    if (c->n == 1 && c->wall_ms < passed)
        passed = c->wall_ms; /* two clocks are all there are */
    if (c->reach_ms == 0) {
        uint64_t own = c->wall_ms > retention_ms ? c->wall_ms - retention_ms : 0;
        c->reach_ms = emitted != 0 ? before : own;
        c->reach_us = c->kept_up_us = c->now_us;
    }
    uint64_t most = c->reach_ms + 2 * ((c->now_us - c->reach_us) / 1000);
    uint64_t to = passed > retention_ms ? passed - retention_ms : 0;
    c->reach_us = c->now_us;
    if (to <= most || MUTANT(OWN_CLOCK_MOVES_W))
        c->kept_up_us = c->now_us;
    else if (c->now_us - c->kept_up_us < retention_ms * UINT64_C(1000))
        to = most;
    if (to == 0)
        return 0;
    c->reach_ms = to > before ? to : before;
    if (to <= before || to - before < retention_ms / STEPS_PER_RETENTION)
        return 0;
    return hlc_from_ms(to);
}
