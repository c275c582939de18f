#include "chaos/doubt.h"

#include <inttypes.h>
#include <stdio.h>

/* A leader that is there waits for the votes until the transaction's time is over, and answers
 * "pending" for so long; one that is gone is noticed after in_doubt_ms, and who takes over may meet
 * another doing the same and wait as long again. Then come rounds of messages, each at most a round
 * trip, and a machine that is busy. */
#define TRIES    4
#define ROUNDS   6
#define SLACK_US UINT64_C(3000000)

uint64_t doubt_bound_us(const struct scenario *s)
{
    uint64_t wait_ms = (uint64_t)TRIES * s->in_doubt_ms, rtt_ms = 0;
    for (int i = 0; i < s->loads; i++)
        if (s->load[i].timeout_ms > wait_ms)
            wait_ms = s->load[i].timeout_ms;
    for (int i = 0; i < s->datacenters * s->datacenters; i++)
        if (s->rtt_ms[i] > rtt_ms)
            rtt_ms = s->rtt_ms[i];
    return (wait_ms + ROUNDS * rtt_ms) * 1000 + SLACK_US;
}

/* The datacenters that a fault concerned at some time between the two. */
static uint32_t concerned(const struct result *r, uint64_t from_us, uint64_t to_us)
{
    uint32_t mask = 0;
    for (int i = 0; i < r->faults; i++)
        if (r->fault[i].begin_us <= to_us && r->fault[i].end_us >= from_us)
            mask |= r->fault[i].datacenters;
    return mask;
}

static bool most_coordinators_in(const struct scenario *s, uint32_t datacenters)
{
    int n = 0;
    for (int i = 0; i < s->coordinators; i++)
        n += (datacenters >> (i % s->datacenters) & 1) != 0;
    return n > s->coordinators / 2;
}

/* Where one was in doubt for too long by this look: the datacenter, or -1. *judged counts looks. */
static int too_long(const struct result *r, const struct doubt *d, uint64_t bound_us,
                    uint32_t *judged, uint32_t *oldest_ms)
{
    const struct scenario *s = r->scenario;
    uint64_t from_us = d->at_us > bound_us ? d->at_us - bound_us : 0;
    uint32_t calm = ((1u << s->datacenters) - 1) & ~concerned(r, from_us, d->at_us);
    if (!most_coordinators_in(s, calm))
        return -1;
    ++*judged;
    for (int dc = 0; dc < s->datacenters; dc++) {
        if ((calm >> dc & 1) == 0)
            continue;
        if (d->oldest_ms[dc] > *oldest_ms)
            *oldest_ms = d->oldest_ms[dc];
        if ((uint64_t)d->oldest_ms[dc] * 1000 > bound_us)
            return dc;
    }
    return -1;
}

static void judge_ages(const struct result *r, struct judgement *j)
{
    size_t n;
    const struct doubt *d = samples_doubts(r->samples, &n);
    uint64_t bound_us = doubt_bound_us(r->scenario);
    uint32_t judged = 0, oldest_ms = 0;
    for (size_t i = 0; i < n; i++) {
        int dc = too_long(r, &d[i], bound_us, &judged, &oldest_ms);
        if (dc < 0)
            continue;
        j->verdict = VERDICT_FAILED;
        snprintf(j->text, sizeof j->text,
                 "%.1f s after the beginning a transaction had been in doubt in %s for %u ms, with "
                 "most coordinators out of any fault's reach: the bound is %" PRIu64 " ms",
                 (double)(d[i].at_us - r->begin_us) / 1e6, r->scenario->datacenter[dc],
                 d[i].oldest_ms[dc], bound_us / 1000);
        return;
    }
    j->verdict = judged == 0 ? VERDICT_UNJUDGED : VERDICT_HELD;
    snprintf(
        j->text, sizeof j->text,
        "%u of %zu looks were made with most coordinators out of any fault's reach; the oldest "
        "there had been in doubt for %u ms, the bound is %" PRIu64 " ms",
        judged, n, oldest_ms, bound_us / 1000);
}

static void judge_end(const struct result *r, bool all_read, struct judgement *j)
{
    bool settled = r->settled_us != FAULT_NEVER;
    j->verdict = settled && all_read ? VERDICT_HELD : VERDICT_FAILED;
    if (!settled)
        snprintf(j->text, sizeof j->text,
                 "transactions were still in doubt %u ms after the load had ended",
                 r->scenario->settle_ms);
    else if (!all_read)
        snprintf(
            j->text, sizeof j->text,
            "nothing is in doubt, but some key could not be read or some outcome not be learned "
            "(see above)");
    else
        snprintf(j->text, sizeof j->text, "nothing was in doubt %.1f s after the last fault",
                 (double)(r->settled_us - r->heal_us) / 1e6);
}

void doubt_judge(struct result *r, bool all_read)
{
    judge_ages(r, judgements_add(&r->judgements, "in-doubt-age",
                                 "while a majority of coordinators lives, nobody is in doubt for "
                                 "long"));
    judge_end(r, all_read,
              judgements_add(&r->judgements, "settled",
                             "once the faults have ended, everything is decided"));
}
