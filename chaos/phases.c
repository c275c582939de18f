#include "chaos/phases.h"

#include <stdlib.h>
#include <string.h>

#include "common/histogram.h"
#include "common/bytes.h"

_Static_assert(PHASES_MAX <= 32, "the phases of an attempt fit a mask");

/* What a commit may add to the wire's floor: a twentieth of it and this. */
#define WITHIN_US 5000u
/* Of less time no throughput is told. */
#define SHORTEST_US 100000u

/* ---- which phase ---- */

/* Whether an attempt touches [from, to); an instant is one whose beginning is its end. */
static bool touches(uint64_t begin_us, uint64_t end_us, uint64_t from_us, uint64_t to_us)
{
    return begin_us < to_us && end_us >= from_us;
}

static uint64_t recovered_us(const struct fault *f)
{
    return f->end_us == FAULT_NEVER ? FAULT_NEVER : f->end_us + PHASE_RECOVERY_US;
}

uint32_t phases_mask(const struct result *r, uint64_t begin_us, uint64_t end_us)
{
    uint32_t mask = 0;
    bool recovers = false;
    for (int i = 0; i < r->faults; i++) {
        const struct fault *f = &r->fault[i];
        if (touches(begin_us, end_us, f->begin_us, f->end_us))
            mask |= 1u << (PHASE_FAULTS + f->kind);
        else if (touches(begin_us, end_us, f->end_us, recovered_us(f)))
            recovers = true;
    }
    if (mask != 0)
        return mask;
    return recovers ? 1u << PHASE_IS_RECOVERY : 1u << PHASE_IS_CALM;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Between two neighbours of all beginnings and ends nothing changes. */
static void measure_times(struct phases *p, const struct result *r)
{
    size_t n = 0;
    uint64_t *edge = xmalloc((3 * (size_t)r->faults + 2) * sizeof *edge);
    edge[n++] = r->begin_us;
    edge[n++] = p->load_end_us;
    for (int i = 0; i < r->faults; i++) {
        edge[n++] = r->fault[i].begin_us;
        edge[n++] = r->fault[i].end_us;
        edge[n++] = recovered_us(&r->fault[i]);
    }
    qsort(edge, n, sizeof *edge, by_value);
    for (size_t i = 0; i + 1 < n; i++) {
        if (edge[i] < r->begin_us || edge[i + 1] > p->load_end_us)
            continue;
        uint32_t mask = phases_mask(r, edge[i], edge[i]);
        for (int k = 0; k < PHASES_MAX; k++)
            if ((mask & 1u << k) != 0)
                p->phase[k].time_us += edge[i + 1] - edge[i];
    }
    free(edge);
}

/* ---- floors ---- */

uint32_t phases_wire_us(const struct result *r, const struct sample *s, int *farthest_in)
{
    int leader = s->has_info && s->leader_in >= 0 ? s->leader_in : s->datacenter;
    uint32_t farthest_us = 0;
    *farthest_in = leader;
    for (int dc = 0; dc < r->scenario->datacenters; dc++) {
        uint32_t rtt_us = dc == leader ? 0 : r->bare_rtt_us[leader][dc];
        if ((s->participants_in & (1u << dc)) != 0 && rtt_us > farthest_us) {
            farthest_us = rtt_us;
            *farthest_in = dc;
        }
    }
    return farthest_us + (leader == s->datacenter ? 0 : r->bare_rtt_us[s->datacenter][leader]);
}

/* ---- latencies ---- */

/* An attempt, with what of it is needed for more than one phase. */
struct attempt {
    const struct sample *sample;
    uint32_t mask, ended_mask; /* of phases: of all of it, and of its end */
    uint32_t took_us, wire_us;
    int farthest_in;
};

static struct attempt *attempts_of(const struct result *r, size_t *n)
{
    const struct sample *sample = samples_all(r->samples, n);
    struct attempt *a = xmalloc((*n + 1) * sizeof *a);
    for (size_t i = 0; i < *n; i++) {
        const struct sample *s = &sample[i];
        uint64_t took_us = s->end_us - s->begin_us;
        a[i].sample = s;
        a[i].mask = phases_mask(r, s->begin_us, s->end_us);
        a[i].ended_mask = phases_mask(r, s->end_us, s->end_us);
        a[i].took_us = took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
        a[i].wire_us = phases_wire_us(r, s, &a[i].farthest_in);
    }
    return a;
}

static bool in_phase(const struct attempt *a, int place)
{
    return (a->mask & 1u << place) != 0;
}

static bool local_commit(const struct attempt *a)
{
    return a->sample->status == ASSENT_OK && a->sample->load == LOAD_LOCAL && a->wire_us == 0;
}

static bool crossing_commit(const struct attempt *a)
{
    return a->sample->status == ASSENT_OK && a->sample->load != LOAD_LOCAL && a->wire_us > 0;
}

static uint32_t value_took(const struct attempt *a)
{
    return a->took_us;
}

static uint32_t value_wire(const struct attempt *a)
{
    return a->wire_us;
}

static uint32_t value_over(const struct attempt *a)
{
    return a->took_us > a->wire_us ? a->took_us - a->wire_us : 0;
}

static uint32_t value_times(const struct attempt *a)
{
    uint64_t times = (uint64_t)a->took_us * 1000 / a->wire_us;
    return times < UINT32_MAX ? (uint32_t)times : UINT32_MAX;
}

/* Of the commits of a phase that are of this sort; `h` is the room for it. */
static struct latency latency_of(const struct attempt *a, size_t n, int place,
                                 bool (*sort)(const struct attempt *),
                                 uint32_t (*value)(const struct attempt *), struct histogram *h)
{
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < n; i++)
        if (in_phase(&a[i], place) && sort(&a[i]))
            histogram_add(h, value(&a[i]));
    struct latency l = {.n = h->n, .max = h->max};
    l.p50 = histogram_percentile(h, 50);
    l.p95 = histogram_percentile(h, 95);
    l.p99 = histogram_percentile(h, 99);
    for (int i = 0; i < PHASE_QUANTILES; i++)
        l.quantile[i] = histogram_percentile(h, i * 100.0 / (PHASE_QUANTILES - 1));
    return l;
}

/* ---- phases ---- */

static void count(struct phase *p, assent_status status)
{
    p->attempts++;
    if (status == ASSENT_OK)
        p->commits++;
    else if (assent_maybe_committed(status))
        p->unknown++;
    else
        p->aborts++;
    p->status[(unsigned)status < PHASE_STATUSES_MAX ? (unsigned)status : ASSENT_UNKNOWN]++;
}

static bool is_within(const struct attempt *a)
{
    return (uint64_t)a->took_us * 100 <= (uint64_t)a->wire_us * 105 + (uint64_t)WITHIN_US * 100;
}

static void measure_phase(struct phase *p, int place, const struct attempt *a, size_t n,
                          struct histogram *h)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i].sample->status == ASSENT_OK && (a[i].ended_mask & 1u << place) != 0)
            p->ended++;
        if (in_phase(&a[i], place)) {
            count(p, a[i].sample->status);
            p->within += crossing_commit(&a[i]) && is_within(&a[i]);
        }
    }
    p->commit_us = latency_of(a, n, place, crossing_commit, value_took, h);
    p->local_us = latency_of(a, n, place, local_commit, value_took, h);
    p->wire_us = latency_of(a, n, place, crossing_commit, value_wire, h);
    p->over_us = latency_of(a, n, place, crossing_commit, value_over, h);
    p->times_wire = latency_of(a, n, place, crossing_commit, value_times, h);
}

/* ---- distances ---- */

static void measure_distance(struct phases *p, const struct result *r, int from, int to,
                             const struct attempt *a, size_t n, struct histogram *h)
{
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < n; i++)
        if (in_phase(&a[i], PHASE_IS_CALM) && crossing_commit(&a[i]) &&
            a[i].sample->datacenter == from && a[i].farthest_in == to &&
            a[i].wire_us == r->bare_rtt_us[from][to])
            histogram_add(h, a[i].took_us);
    if (h->n == 0)
        return;
    p->distance[p->distances++] = (struct distance){
        .leader_in = from,
        .farthest_in = to,
        .wire_us = r->bare_rtt_us[from][to],
        .n = h->n,
        .p50 = histogram_percentile(h, 50),
        .p95 = histogram_percentile(h, 95),
    };
}

static void name_phases(struct phases *p, const struct result *r)
{
    p->phase[PHASE_IS_CALM].name = "calm";
    p->phase[PHASE_IS_CALM].meaning = "no fault, and none has just ended";
    p->phase[PHASE_IS_RECOVERY].name = "recovery";
    p->phase[PHASE_IS_RECOVERY].meaning = "the five seconds after a fault";
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        p->phase[PHASE_FAULTS + kind].name = fault_text((enum fault_kind)kind);
        p->phase[PHASE_FAULTS + kind].meaning = fault_meaning((enum fault_kind)kind);
    }
    for (int i = 0; i < r->faults; i++)
        p->phase[PHASE_FAULTS + r->fault[i].kind].faults++;
}

struct phases *phases_of(const struct result *r)
{
    size_t n;
    struct phases *p = xcalloc(1, sizeof *p);
    struct attempt *a = attempts_of(r, &n);
    struct histogram *h = xmalloc(sizeof *h);
    name_phases(p, r);
    p->load_end_us = n == 0 ? r->begin_us : a[n - 1].sample->end_us;
    measure_times(p, r);
    for (size_t i = 0; i < n; i++)
        count(&p->all, a[i].sample->status);
    for (int place = 0; place < PHASES_MAX; place++)
        if (place < PHASE_FAULTS || p->phase[place].faults > 0)
            measure_phase(&p->phase[place], place, a, n, h);
    for (int from = 0; from < r->scenario->datacenters; from++)
        for (int to = 0; to < r->scenario->datacenters; to++)
            measure_distance(p, r, from, to, a, n, h);
    free(h);
    free(a);
    return p;
}

bool phase_happened(const struct phase *p)
{
    return p->faults > 0 || p->time_us > 0 || p->attempts > 0;
}

double phase_throughput(const struct phase *p)
{
    return p->time_us < SHORTEST_US ? 0 : (double)p->ended * 1e6 / (double)p->time_us;
}

bool phases_added_us(const struct phases *p, const struct phase *phase, int64_t *out)
{
    const struct latency *local = &p->phase[PHASE_IS_CALM].local_us;
    if (local->n == 0 || phase->commit_us.n == 0)
        return false;
    *out = (int64_t)phase->commit_us.p50 - local->p50;
    return true;
}
