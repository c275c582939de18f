#include "chaos/result.h"

/* Doubt is looked for a few times a second; what a fault blocks is older than the bound of the
 * participants within this time. */
#define HOLD_US UINT64_C(1000000)

bool result_crosses(const struct sample *s)
{
    uint32_t in = s->participants_in | (1u << s->datacenter);
    return (in & (in - 1)) != 0;
}

/* ---- the next commit ---- */

/* Whether a commit within one datacenter says nothing: another one is there to commit with. */
static bool must_cross(const struct result *r, const struct fault *f)
{
    uint32_t there = (1u << r->scenario->datacenters) - 1;
    if (f->kind == FAULT_LOST)
        there &= ~f->datacenters;
    return (there & (there - 1)) != 0;
}

static bool has_keys(const struct scenario *s, uint32_t datacenters)
{
    for (int i = 0; i < s->loads; i++)
        if ((s->load[i].in & datacenters) != 0)
            return true;
    return false;
}

static bool affected(const struct result *r, const struct fault *f, const struct sample *s)
{
    if (must_cross(r, f) && !result_crosses(s))
        return false;
    if (f->kind == FAULT_LOST)
        return ((s->participants_in | (1u << s->datacenter)) & f->datacenters) == 0;
    return (s->participants_in & f->datacenters) != 0 || !has_keys(r->scenario, f->datacenters);
}

/* `sample` in the order of end_us: so the first that fits is the one that ended first. */
static uint64_t next_commit_us(const struct result *r, const struct fault *f,
                               const struct sample *sample, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sample[i].begin_us >= f->begin_us && sample[i].status == ASSENT_OK &&
            affected(r, f, &sample[i]))
            return sample[i].end_us - f->begin_us;
    return FAULT_NEVER;
}

/* ---- nothing in doubt ---- */

static int nodes_not_lost(const struct result *r, uint64_t at_us)
{
    const struct scenario *s = r->scenario;
    uint32_t lost = 0;
    int nodes = 0;
    for (int i = 0; i < r->faults; i++)
        if (r->fault[i].kind == FAULT_LOST && r->fault[i].begin_us <= at_us)
            lost |= r->fault[i].datacenters;
    for (int dc = 0; dc < s->datacenters; dc++)
        nodes += (lost & (1u << dc)) == 0 ? s->participants : 0;
    for (int c = 0; c < s->coordinators; c++)
        nodes += (lost & (1u << (c % s->datacenters))) == 0;
    return nodes;
}

static bool clear(const struct result *r, const struct fault *f, const struct doubt *d)
{
    if (d->answering + d->down < nodes_not_lost(r, d->at_us))
        return false;
    for (int dc = 0; d->in_doubt > 0 && dc < r->scenario->datacenters; dc++) {
        uint32_t age_ms = d->oldest_ms[dc];
        if (age_ms > r->scenario->in_doubt_ms || d->at_us - f->begin_us < (uint64_t)age_ms * 1000)
            return false;
    }
    return true;
}

/* When the next fault begins after this time: what it does is not this one's. */
static uint64_t next_fault_us(const struct result *r, const struct fault *f, uint64_t at_us)
{
    uint64_t next_us = FAULT_NEVER;
    for (int i = 0; i < r->faults; i++)
        if (&r->fault[i] != f && r->fault[i].begin_us > at_us && r->fault[i].begin_us < next_us)
            next_us = r->fault[i].begin_us;
    return next_us;
}

static bool stays_clear(const struct result *r, const struct fault *f, const struct doubt *doubt,
                        size_t n)
{
    uint64_t end_us = doubt->at_us + (uint64_t)r->scenario->in_doubt_ms * 1000 + HOLD_US;
    uint64_t next_us = next_fault_us(r, f, doubt->at_us);
    for (size_t i = 0; i < n && doubt[i].at_us <= end_us && doubt[i].at_us < next_us; i++)
        if (!clear(r, f, &doubt[i]))
            return false;
    return true;
}

static uint64_t no_doubt_us(const struct result *r, const struct fault *f,
                            const struct doubt *doubt, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (doubt[i].at_us >= f->begin_us && stays_clear(r, f, doubt + i, n - i))
            return doubt[i].at_us - f->begin_us;
    return FAULT_NEVER;
}

void result_measure(struct result *r)
{
    size_t samples, doubts;
    const struct sample *sample = samples_all(r->samples, &samples);
    const struct doubt *doubt = samples_doubts(r->samples, &doubts);
    for (int i = 0; i < r->faults; i++) {
        r->fault[i].next_commit_us = next_commit_us(r, &r->fault[i], sample, samples);
        r->fault[i].no_doubt_us = no_doubt_us(r, &r->fault[i], doubt, doubts);
    }
}

int result_exit_status(const struct result *r)
{
    switch (judgements_verdict(&r->judgements)) {
    case VERDICT_HELD:
        return 0;
    case VERDICT_FAILED:
        return 1;
    case VERDICT_UNJUDGED:
        break;
    }
    return 2;
}
