/* Faults of links: partitions, and links that are slow, reset, refuse, spoil bytes. Partitions that
 * are active at once add up; of two that set the same of a link, the later one holds until either
 * ends. */
#include <stdlib.h>
#include <string.h>

#include "chaos/nemesis_run.h"
#include "common/bytes.h"

#define SPIKE_TIMES_MIN   2 /* as slow as before, to SPIKE_TIMES_MIN + SPIKE_TIMES - 1 */
#define SPIKE_TIMES       6
#define SPIKE_LEAST_US    2000 /* where there was no delay to begin with */
#define JITTER_US_MIN     20000
#define JITTER_US_RANGE   180000
#define SLOW_BYTES_MIN    4000 /* per second */
#define SLOW_BYTES_RANGE  60000
#define RESET_MS_MIN      300
#define RESET_MS_RANGE    1200
#define CORRUPT_MS        500
#define CORRUPT_WITHIN    2000 /* bytes: a handshake or two, or a few messages */
#define LATE_US_MIN       500000
#define LATE_US_RANGE     4000000
#define SHORT_BYTES_MIN   500
#define SHORT_BYTES_RANGE 60000

/* min at strength 0, nearly min + range at the greatest. */
static uint64_t scaled(const struct active *a, uint64_t min, uint64_t range)
{
    return min + range * a->p.strength / PLAN_STRENGTHS;
}

/* ---- partitions ---- */

static int datacenter_of(const struct nemesis *n, int end)
{
    return wan_end_datacenter(n->site->wan, end);
}

static bool is_coordinator(const struct nemesis *n, int end)
{
    return end < n->site->nodes && n->site->process[end].role == ROLE_COORDINATOR;
}

static bool is_participant(const struct nemesis *n, int end)
{
    return end < n->site->nodes && n->site->process[end].role == ROLE_PARTICIPANT;
}

/* Whether nothing that one end sends may reach another while the fault lasts. Of a split, `side`
 * says on which side ends are; of a ring, which place datacenters have in it. */
static bool cuts(const struct nemesis *n, const struct active *a, const int *side, int sender,
                 int receiver)
{
    int from = datacenter_of(n, sender), to = datacenter_of(n, receiver);
    int datacenters = n->site->cluster->datacenters;
    switch (a->p.kind) {
    case FAULT_ISOLATE:
    case FAULT_LOST:
        return (from == a->p.datacenter) != (to == a->p.datacenter);
    case FAULT_ONE_WAY:
        return from == a->p.datacenter && to != a->p.datacenter;
    case FAULT_SPLIT:
        return side[sender] != side[receiver];
    case FAULT_RING: {
        int apart = abs(side[from] - side[to]);
        /* of three, all would be neighbours: they stand in a line */
        return apart > 1 && (datacenters == 3 || apart < datacenters - 1);
    }
    default: /* FAULT_NO_PARTICIPANTS */
        return (is_participant(n, receiver) && is_coordinator(n, sender) &&
                nemesis_hits(n, a, sender)) ||
               (is_participant(n, sender) && is_coordinator(n, receiver) &&
                nemesis_hits(n, a, receiver));
    }
}

/* The numbers from 0 to count - 1 in a random order. */
static void shuffle(struct prng *prng, int *number, int count)
{
    for (int i = 0; i < count; i++)
        number[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)prng_below(prng, (uint64_t)i + 1), kept = number[i];
        number[i] = number[j];
        number[j] = kept;
    }
}

/* Cuts what any active partition cuts, and nothing else. `a`: the one that begins or ends. */
static void cut_all(struct nemesis *n, const struct active *a)
{
    int ends = wan_ends(n->site->wan);
    size_t pairs = (size_t)ends * (size_t)ends;
    bool *cut = xcalloc(pairs, sizeof *cut);
    for (int i = 0; i < n->actives; i++)
        for (size_t pair = 0; n->active[i]->cut != NULL && pair < pairs; pair++)
            cut[pair] |= n->active[i]->cut[pair];
    /* connections that were cut go on, or both ends find them reset: each is seen in practice */
    wan_partition(n->site->wan, cut, a->p.strength % 2 == 0 ? LINK_RESUME : LINK_RESET_ALL);
    free(cut);
}

/* Which half each node is in: so many of a random order. A datacenter's clients are with its first
 * node. */
static void choose_sides(struct nemesis *n, struct active *a, int *side)
{
    int order[SITE_NODES_MAX], nodes = n->site->nodes;
    shuffle(&a->prng, order, nodes);
    for (int i = 0; i < nodes; i++)
        side[order[i]] = i < nodes / 2;
    for (int end = wan_ends(n->site->wan) - 1; end >= nodes; end--)
        for (int i = nodes - 1; i >= 0; i--)
            if (datacenter_of(n, i) == datacenter_of(n, end))
                side[end] = side[i];
    nemesis_say(n, a, ":");
    for (int i = 0; i < nodes; i++)
        if (side[i] == 1)
            nemesis_say(n, a, " %s", n->site->process[i].name);
    nemesis_say(n, a, " cut from the others");
}

static void choose_ring(struct nemesis *n, struct active *a, int *side)
{
    int order[SCENARIO_DATACENTERS_MAX], count = n->site->cluster->datacenters;
    shuffle(&a->prng, order, count);
    for (int i = 0; i < count; i++) {
        side[order[i]] = i;
        nemesis_say(n, a, "%s%s", i == 0 ? ": " : " - ", n->site->cluster->datacenter[order[i]]);
    }
}

static void partition_begin(struct nemesis *n, struct active *a)
{
    int side[SITE_NODES_MAX + SCENARIO_DATACENTERS_MAX] = {0}, ends = wan_ends(n->site->wan);
    if (a->p.kind == FAULT_SPLIT)
        choose_sides(n, a, side);
    else if (a->p.kind == FAULT_RING)
        choose_ring(n, a, side);
    a->cut = xcalloc((size_t)ends * (size_t)ends, sizeof *a->cut);
    for (int sender = 0; sender < ends; sender++)
        for (int receiver = 0; receiver < ends; receiver++)
            a->cut[sender * ends + receiver] = cuts(n, a, side, sender, receiver);
    cut_all(n, a);
}

static void partition_end(struct nemesis *n, struct active *a)
{
    free(a->cut);
    a->cut = NULL;
    cut_all(n, a);
}

/* ---- settings and events of links ---- */

/* Whether the link by which one end dials another is one that the fault concerns: of a node all of
 * its links; of a datacenter those to the others, or, where there is no other, all. */
static bool concerns(const struct nemesis *n, const struct active *a, int from, int to)
{
    if (!wan_link(n->site->wan, from, to))
        return false;
    if (a->p.node != PLAN_NOWHERE)
        return from == a->p.node || to == a->p.node;
    bool out = datacenter_of(n, from) == a->p.datacenter,
         in = datacenter_of(n, to) == a->p.datacenter;
    return n->site->cluster->datacenters == 1 || out != in;
}

static void change_one(struct nemesis *n, int from, int to, enum link_change_kind kind,
                       unsigned ways, uint64_t value)
{
    struct link_change change = {kind, ways, value};
    if (!wan_change(n->site->wan, from, to, &change))
        fprintf(stderr, "\nassent-chaos: the link from %s to %s does not listen any more\n",
                wan_end_name(n->site->wan, from), wan_end_name(n->site->wan, to));
}

static void change_all(struct nemesis *n, const struct active *a, enum link_change_kind kind,
                       unsigned ways, uint64_t value)
{
    int ends = wan_ends(n->site->wan);
    for (int from = 0; from < ends; from++)
        for (int to = 0; to < ends; to++)
            if (concerns(n, a, from, to))
                change_one(n, from, to, kind, ways, value);
}

static uint64_t next_in_ms(struct active *a, uint64_t min, uint64_t range)
{
    return chaos_now_us() + (min + prng_below(&a->prng, range)) * 1000;
}

static void spike_begin(struct nemesis *n, struct active *a)
{
    const struct scenario *s = n->site->scenario;
    int ends = wan_ends(n->site->wan), times = (int)scaled(a, SPIKE_TIMES_MIN, SPIKE_TIMES);
    for (int from = 0; from < ends; from++) {
        for (int to = 0; to < ends; to++) {
            if (!concerns(n, a, from, to))
                continue;
            uint32_t rtt_ms =
                s->rtt_ms[datacenter_of(n, from) * s->datacenters + datacenter_of(n, to)];
            uint64_t extra_us = (uint64_t)rtt_ms * 500 * (uint64_t)(times - 1);
            change_one(n, from, to, LINK_EXTRA, LINK_BOTH,
                       extra_us < SPIKE_LEAST_US ? SPIKE_LEAST_US : extra_us);
        }
    }
    nemesis_say(n, a, ": links %d times slower", times);
}

static void spike_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_EXTRA, LINK_BOTH, 0);
}

static void jitter_begin(struct nemesis *n, struct active *a)
{
    uint64_t us = scaled(a, JITTER_US_MIN, JITTER_US_RANGE);
    change_all(n, a, LINK_JITTER, LINK_BOTH, us);
    nemesis_say(n, a, ": up to %llu ms more each way", (unsigned long long)us / 1000);
}

static void jitter_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_JITTER, LINK_BOTH, n->site->scenario->jitter_us);
}

static void slow_begin(struct nemesis *n, struct active *a)
{
    uint64_t bytes = scaled(a, SLOW_BYTES_MIN, SLOW_BYTES_RANGE);
    change_all(n, a, LINK_BANDWIDTH, LINK_BOTH, bytes);
    nemesis_say(n, a, ": %llu bytes per second", (unsigned long long)bytes);
}

static void slow_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_BANDWIDTH, LINK_BOTH, LINK_NONE);
}

static void reset_tick(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_RESET, LINK_BOTH, 0);
    a->next_us = next_in_ms(a, RESET_MS_MIN, RESET_MS_RANGE);
}

static void reset_begin(struct nemesis *n, struct active *a)
{
    reset_tick(n, a);
    nemesis_say(n, a, ": all connections, again and again");
}

static void refuse_begin(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_REFUSE, LINK_BOTH, 0);
    change_all(n, a, LINK_RESET, LINK_BOTH, 0);
}

static void refuse_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_ACCEPT, LINK_BOTH, 0);
}

static void half_open_begin(struct nemesis *n, struct active *a)
{
    bool up = a->p.strength % 2 == 0;
    change_all(n, a, LINK_HALF_OPEN, up ? LINK_UP : LINK_DOWN, 0);
    nemesis_say(n, a, ": only %s told of the end", up ? "who was dialled is" : "diallers are");
}

/* Whoever still waits on a connection whose other end is gone: a reset ends that. */
static void half_open_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_RESET, LINK_BOTH, 0);
}

static void corrupt_tick(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_CORRUPT, LINK_UP, prng_below(&a->prng, CORRUPT_WITHIN));
    change_all(n, a, LINK_CORRUPT, LINK_DOWN, prng_below(&a->prng, CORRUPT_WITHIN));
    a->next_us = next_in_ms(a, CORRUPT_MS, CORRUPT_MS);
}

static void corrupt_begin(struct nemesis *n, struct active *a)
{
    corrupt_tick(n, a);
    nemesis_say(n, a, ": a byte of each link, again and again");
}

/* What has not happened yet happens at once, to be over. */
static void corrupt_end(struct nemesis *n, struct active *a)
{
    int ends = wan_ends(n->site->wan);
    for (int from = 0; from < ends; from++) {
        for (int to = 0; to < ends; to++) {
            struct link_state s;
            if (!concerns(n, a, from, to) || !wan_link_state(n->site->wan, from, to, &s))
                continue;
            if (s.up.corrupt_in != LINK_NONE)
                change_one(n, from, to, LINK_CORRUPT, LINK_UP, 0);
            if (s.down.corrupt_in != LINK_NONE)
                change_one(n, from, to, LINK_CORRUPT, LINK_DOWN, 0);
        }
    }
}

/* A node of the target is killed and started again, so that there are ends to be told of. */
static void slow_close_begin(struct nemesis *n, struct active *a)
{
    uint64_t us = scaled(a, LATE_US_MIN, LATE_US_RANGE);
    change_all(n, a, LINK_SLOW_CLOSE, LINK_BOTH, us);
    int first = (int)prng_below(&a->prng, (uint64_t)n->site->nodes);
    for (int i = 0; i < n->site->nodes && a->victim == PLAN_NOWHERE; i++)
        if (nemesis_hits(n, a, (first + i) % n->site->nodes))
            a->victim = (first + i) % n->site->nodes;
    node_hold(n, a->victim);
    node_release(n, a->victim);
    nemesis_say(n, a, ": %llu ms late, that %s was killed and started again",
                (unsigned long long)us / 1000, n->site->process[a->victim].name);
}

static void slow_close_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_SLOW_CLOSE, LINK_BOTH, 0);
}

static void cut_short_begin(struct nemesis *n, struct active *a)
{
    uint64_t bytes = scaled(a, SHORT_BYTES_MIN, SHORT_BYTES_RANGE);
    change_all(n, a, LINK_LIMIT, LINK_BOTH, bytes);
    nemesis_say(n, a, ": after %llu bytes", (unsigned long long)bytes);
}

static void cut_short_end(struct nemesis *n, struct active *a)
{
    change_all(n, a, LINK_LIMIT, LINK_BOTH, LINK_NONE);
}

void links_heal(struct nemesis *n)
{
    int ends = wan_ends(n->site->wan);
    for (int from = 0; from < ends; from++) {
        for (int to = 0; to < ends; to++) {
            uint32_t both = UINT32_C(1) << datacenter_of(n, from) | UINT32_C(1)
                                                                        << datacenter_of(n, to);
            if (!wan_link(n->site->wan, from, to) || (n->site->lost & both) != 0)
                continue;
            change_one(n, from, to, LINK_CALM, LINK_BOTH, LINK_RESUME);
            change_one(n, from, to, LINK_JITTER, LINK_BOTH, n->site->scenario->jitter_us);
        }
    }
}

const struct deed link_deeds[FAULT_KINDS] = {
    [FAULT_ISOLATE] = {partition_begin, NULL, partition_end},
    [FAULT_ONE_WAY] = {partition_begin, NULL, partition_end},
    [FAULT_SPLIT] = {partition_begin, NULL, partition_end},
    [FAULT_RING] = {partition_begin, NULL, partition_end},
    [FAULT_NO_PARTICIPANTS] = {partition_begin, NULL, partition_end},
    [FAULT_LOST] = {partition_begin, NULL, NULL},
    [FAULT_SPIKE] = {spike_begin, NULL, spike_end},
    [FAULT_JITTER] = {jitter_begin, NULL, jitter_end},
    [FAULT_SLOW] = {slow_begin, NULL, slow_end},
    [FAULT_RESET] = {reset_begin, reset_tick, NULL},
    [FAULT_REFUSE] = {refuse_begin, NULL, refuse_end},
    [FAULT_HALF_OPEN] = {half_open_begin, NULL, half_open_end},
    [FAULT_CORRUPT] = {corrupt_begin, corrupt_tick, corrupt_end},
    [FAULT_SLOW_CLOSE] = {slow_close_begin, NULL, slow_close_end},
    [FAULT_CUT_SHORT] = {cut_short_begin, NULL, cut_short_end},
};
