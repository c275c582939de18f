/* A history without a cycle costs one pass for the graph and one for its components. Only when
 * there is a component of several transactions are the kinds of cycles looked for, one after the
 * other; by then no cycle of an earlier kind exists, which is what names the later ones:
 *
 *   G0        edges ww
 *   G1c       edges ww, wr
 *   G-single  ww, wr and exactly one rw: for each rw edge a -> b, does b reach a without rw edges?
 *             (these form no cycle by now, so 64 such questions are answered by one pass in
 *             topological order)
 *   G2-item   ww, wr, rw
 *   ...       the same four with the order of processes, then with real time
 *
 * Real time takes one node for each moment at which a transaction ended, in a chain: an ended
 * transaction leads to its moment, a moment to the next and to the transactions that begin after
 * it. So the whole interval order costs a number of edges linear in the transactions. */
#include "chaos/check_cycles.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/check_graph.h"
#include "chaos/check_order.h"

enum {
    EDGE_WW = 1,
    EDGE_WR = 2,
    EDGE_RW = 4,
    EDGE_PROCESS = 8,
    EDGE_REALTIME = 16,
};

#define BATCH       64u
#define STARTS_MAX  128u /* nodes of a component from which a shortest cycle is sought */
#define STEPS_SHOWN 10u

struct cycles {
    struct order order;
    struct graph graph;
    uint32_t transactions;
    struct finding *out;
};

static bool takes_part(const struct cycles *c, uint32_t op)
{
    return c->order.known_at[op] != HISTORY_NEVER;
}

static void depend(struct cycles *c, uint32_t from, uint32_t to, uint8_t kind,
                   const struct append *write)
{
    if (from != to)
        graph_edge(&c->graph, (struct edge){.from = from, .to = to, .kind = kind, .write = write});
}

static void add_writes(struct cycles *c)
{
    for (const struct order_key *k = c->order.keys; k != NULL; k = k->hh.next) {
        for (uint32_t i = 1; i < k->n; i++)
            depend(c, k->element[i - 1]->op, k->element[i]->op, EDGE_WW, k->element[i]);
        for (uint32_t i = 0; k->n > 0 && i < k->unseen_n; i++)
            depend(c, k->element[k->n - 1]->op, k->unseen[i]->op, EDGE_WW, k->unseen[i]);
    }
}

static void add_read(struct cycles *c, uint32_t op, uint32_t step)
{
    const struct operation *o = &c->order.h->op[op];
    const struct order_key *k = order_find(&c->order, o->micro[step].key);
    uint32_t version = order_version(o, step);
    if (version > 0)
        depend(c, k->element[version - 1]->op, op, EDGE_WR, k->element[version - 1]);
    if (version < k->n) {
        depend(c, op, k->element[version]->op, EDGE_RW, k->element[version]);
        return;
    }
    for (uint32_t i = 0; i < k->unseen_n; i++)
        depend(c, op, k->unseen[i]->op, EDGE_RW, k->unseen[i]);
}

static void add_reads_and_processes(struct cycles *c)
{
    const struct history *h = c->order.h;
    uint32_t *last = xcalloc(h->clients, sizeof *last);
    for (uint32_t i = 0; i < h->clients; i++)
        last[i] = HISTORY_NEVER;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *o = &h->op[i];
        for (uint32_t s = 0; s < o->n; s++)
            if (op_read_known(o, s))
                add_read(c, i, s);
        if (!takes_part(c, i))
            continue;
        c->transactions++;
        uint32_t before = last[o->client];
        if (before != HISTORY_NEVER && h->op[before].process == o->process)
            depend(c, before, i, EDGE_PROCESS, NULL);
        last[o->client] = i;
    }
    free(last);
}

static void add_real_time(struct cycles *c)
{
    const struct history *h = c->order.h;
    uint32_t n, moment = HISTORY_NEVER;
    bool left = false; /* something began after the present moment */
    struct history_event *event = history_events(h, &n);
    struct edge e = {.kind = EDGE_REALTIME, .free = true};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t op = event[i].op;
        if (!takes_part(c, op) || (event[i].end && h->op[op].result != RESULT_OK))
            continue;
        if (!event[i].end) {
            left = true;
            e.from = moment;
            e.to = op;
            if (moment != HISTORY_NEVER)
                graph_edge(&c->graph, e);
            continue;
        }
        if (moment == HISTORY_NEVER || left) {
            e.from = moment;
            e.to = moment = graph_node(&c->graph);
            if (e.from != HISTORY_NEVER)
                graph_edge(&c->graph, e);
            left = false;
        }
        graph_edge(&c->graph, (struct edge){.from = op, .to = moment, .kind = EDGE_REALTIME});
    }
    free(event);
}

/* An append of a transaction that had committed is missing from a read that began later. */
static enum verdict check_lost_appends(const struct order *o, struct finding *out)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES], list[LIST_TEXT_BYTES];
    for (const struct order_key *k = o->keys; k != NULL; k = k->hh.next) {
        for (uint32_t i = 0; i < k->unseen_n; i++) {
            const struct append *a = k->unseen[i];
            if (k->latest_read == HISTORY_NEVER ||
                o->known_at[a->op] > o->h->op[k->latest_read].invoked_at)
                continue;
            finding_failed(out, ANOMALY_LOST_APPEND,
                           "%s committed its append of %" PRId64 " to key %" PRId64
                           ", no read ever saw it, and %s, which began later, did not: the longest "
                           "read is %s",
                           op_text(o->h, a->op, who), a->at.value, k->key,
                           op_text(o->h, k->latest_read, by), list_text(k->values, k->n, list));
            finding_op(out, a->op);
            finding_op(out, k->latest_read);
            return out->verdict;
        }
    }
    return VERDICT_HELD;
}

/* A transaction that read a version of a key and appended to it. */
struct update {
    int64_t key;
    uint32_t version, op;
};

static int compare_updates(const void *a, const void *b)
{
    const struct update *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return (x->op > y->op) - (x->op < y->op);
}

static bool appends_after(const struct operation *o, uint32_t step)
{
    for (uint32_t i = step + 1; i < o->n; i++)
        if (o->micro[i].kind == MICRO_APPEND && o->micro[i].key == o->micro[step].key)
            return true;
    return false;
}

static enum verdict check_lost_updates(const struct order *o, struct finding *out)
{
    const struct history *h = o->h;
    struct update *all = xcalloc((size_t)o->reads_n + 1, sizeof *all);
    size_t n = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        for (uint32_t s = 0; s < h->op[i].n; s++) {
            if (!op_read_known(&h->op[i], s) || !appends_after(&h->op[i], s))
                continue;
            all[n++] = (struct update){h->op[i].micro[s].key, order_version(&h->op[i], s), i};
        }
    }
    qsort(all, n, sizeof *all, compare_updates);
    out->verdict = VERDICT_HELD;
    for (size_t i = 1; i < n && out->verdict == VERDICT_HELD; i++) {
        const struct update *a = &all[i - 1], *b = &all[i];
        if (a->key != b->key || a->version != b->version || a->op == b->op)
            continue;
        char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES], list[LIST_TEXT_BYTES];
        finding_failed(out, ANOMALY_LOST_UPDATE,
                       "%s and %s both read key %" PRId64 " as %s and appended to it",
                       op_text(h, a->op, who), op_text(h, b->op, by), a->key,
                       list_text(order_find(o, a->key)->values, a->version, list));
        finding_op(out, a->op);
        finding_op(out, b->op);
    }
    free(all);
    return out->verdict;
}

/* ---- cycles ---- */

struct cycle {
    uint32_t n;
    uint32_t *edge;
};

static void keep_shorter(struct cycle *best, uint32_t n, uint32_t *edge)
{
    if (n == 0)
        return;
    if (best->n != 0 && best->n <= n) {
        free(edge);
        return;
    }
    free(best->edge);
    best->n = n;
    best->edge = edge;
}

/* How many nodes each component has. */
static uint32_t *component_sizes(const struct graph *g, const uint32_t *component, uint32_t n)
{
    uint32_t *size = xcalloc((size_t)n + 1, sizeof *size);
    for (uint32_t v = 0; v < g->nodes; v++)
        size[component[v]]++;
    return size;
}

/* A shortest cycle of the smallest component that has one. */
static struct cycle any_cycle(const struct graph *g, uint32_t kinds, const uint32_t *component,
                              uint32_t components)
{
    struct cycle best = {0};
    uint32_t *size = component_sizes(g, component, components), smallest = HISTORY_NEVER;
    for (uint32_t i = 0; i < components; i++)
        if (size[i] > 1 && (smallest == HISTORY_NEVER || size[i] < size[smallest]))
            smallest = i;
    uint32_t starts = 0;
    for (uint32_t v = 0; smallest != HISTORY_NEVER && v < g->nodes && starts < STARTS_MAX; v++) {
        if (component[v] != smallest)
            continue;
        uint32_t *path = NULL, n = graph_path(g, kinds, component, v, v, &path);
        keep_shorter(&best, n, path);
        starts++;
    }
    free(size);
    return best;
}

/* Which of up to 64 edges a -> b lie on a cycle whose other edges are in `kinds`; these form no
 * cycle, and order[] lists their nodes so that edges in `kinds` lead forward. */
static uint64_t closed_by(const struct graph *g, uint32_t kinds, const uint32_t *order, uint32_t n,
                          const uint32_t *candidate, uint32_t candidates, uint64_t *reached)
{
    memset(reached, 0, g->nodes * sizeof *reached);
    for (uint32_t i = 0; i < candidates; i++)
        reached[g->edge[candidate[i]].to] |= (uint64_t)1 << i;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = order[i];
        for (uint32_t e = g->first[v]; reached[v] != 0 && e < g->first[v + 1]; e++)
            if ((g->edge[e].kind & kinds) != 0)
                reached[g->edge[e].to] |= reached[v];
    }
    uint64_t closed = 0;
    for (uint32_t i = 0; i < candidates; i++)
        closed |= reached[g->edge[candidate[i]].from] & (uint64_t)1 << i;
    return closed;
}

/* Nodes of components that have several, sorted so that edges in `kinds` lead forward. */
static uint32_t *topological_order(const struct graph *g, uint32_t kinds, const uint32_t *component,
                                   const uint32_t *size, uint32_t *n)
{
    uint32_t *rank = xcalloc((size_t)g->nodes + 1, sizeof *rank);
    uint32_t *order = xcalloc((size_t)g->nodes + 1, sizeof *order);
    uint32_t ranks = graph_components(g, kinds, rank), *by_rank = component_sizes(g, rank, ranks);
    if (ranks != g->nodes)
        abort(); /* a cycle of an earlier kind should have been found */
    for (uint32_t v = 0; v < g->nodes; v++)
        by_rank[ranks - 1 - rank[v]] = v;
    *n = 0;
    for (uint32_t i = 0; i < ranks; i++)
        if (size[component[by_rank[i]]] > 1)
            order[(*n)++] = by_rank[i];
    free(by_rank);
    free(rank);
    return order;
}

/* A shortest cycle with exactly one rw edge, of those that the first batch which has any holds. */
static struct cycle single_cycle(const struct graph *g, uint32_t kinds, const uint32_t *component,
                                 uint32_t components)
{
    struct cycle best = {0};
    uint32_t n, candidate[BATCH], candidates = 0;
    uint32_t *size = component_sizes(g, component, components);
    uint32_t *order = topological_order(g, kinds, component, size, &n);
    uint64_t *reached = xcalloc((size_t)g->nodes + 1, sizeof *reached);
    for (uint32_t e = 0; e < g->n && best.n == 0; e++) {
        if (g->edge[e].kind == EDGE_RW && component[g->edge[e].from] == component[g->edge[e].to])
            candidate[candidates++] = e;
        if (candidates == 0 || (candidates < BATCH && e + 1 < g->n))
            continue;
        uint64_t closed = closed_by(g, kinds, order, n, candidate, candidates, reached);
        for (uint32_t i = 0; i < candidates; i++) {
            const struct edge *rw = &g->edge[candidate[i]];
            if ((closed & (uint64_t)1 << i) == 0)
                continue;
            uint32_t *path = NULL;
            uint32_t length = graph_path(g, kinds, component, rw->to, rw->from, &path);
            path = xrealloc(path, ((size_t)length + 1) * sizeof *path);
            path[length] = candidate[i];
            keep_shorter(&best, length + 1, path);
        }
        candidates = 0;
    }
    free(reached);
    free(order);
    free(size);
    return best;
}

/* "T1 ... : T2 ..." One step of a cycle, in words. */
static void say_step(struct finding *out, const struct history *h, const struct edge *e,
                     uint32_t to)
{
    char a[OP_TEXT_BYTES], b[OP_TEXT_BYTES];
    op_text(h, e->from, a);
    op_text(h, to, b);
    finding_op(out, e->from);
    if (e->kind == EDGE_WW)
        finding_say(out, "%s appended to key %" PRId64 " before %s appended %" PRId64 " [ww]", a,
                    e->write->at.key, b, e->write->at.value);
    else if (e->kind == EDGE_WR)
        finding_say(out, "%s appended %" PRId64 " to key %" PRId64 ", which %s read [wr]", a,
                    e->write->at.value, e->write->at.key, b);
    else if (e->kind == EDGE_RW)
        finding_say(out, "%s read key %" PRId64 " without %" PRId64 ", which %s appended [rw]", a,
                    e->write->at.key, e->write->at.value, b);
    else if (e->kind == EDGE_PROCESS)
        finding_say(out, "%s came before %s in their process [process]", a, b);
    else
        finding_say(out, "%s ended before %s began [realtime]", a, b);
}

static enum verdict say_cycle(const struct cycles *c, enum anomaly anomaly,
                              const struct cycle *cycle)
{
    const struct history *h = c->order.h;
    const struct edge *edge = c->graph.edge;
    uint32_t start = 0, shown = 0, steps = 0;
    /* begin at a step that leaves a transaction, not in the middle of a chain of moments */
    while (edge[cycle->edge[start]].from >= h->n)
        start++;
    finding_failed(c->out, anomaly, "%s", "");
    for (uint32_t i = 0; i < cycle->n;) {
        const struct edge *e = &edge[cycle->edge[(start + i++) % cycle->n]], *last = e;
        while (last->to >= h->n)
            last = &edge[cycle->edge[(start + i++) % cycle->n]];
        steps++;
        if (shown == STEPS_SHOWN)
            continue;
        finding_say(c->out, "%s", shown++ > 0 ? "; " : "");
        say_step(c->out, h, e, last->to);
    }
    if (steps > shown)
        finding_say(c->out, "; and %" PRIu32 " more steps back to the first", steps - shown);
    return c->out->verdict;
}

static enum verdict name_cycle(const struct cycles *c, uint32_t *component)
{
    static const struct {
        uint32_t kinds;
        bool single;
        enum anomaly anomaly[3];
    } kinds[] = {
        {EDGE_WW, false, {ANOMALY_G0, ANOMALY_G0_PROCESS, ANOMALY_G0_REALTIME}},
        {EDGE_WW | EDGE_WR, false, {ANOMALY_G1C, ANOMALY_G1C_PROCESS, ANOMALY_G1C_REALTIME}},
        {EDGE_WW | EDGE_WR,
         true,
         {ANOMALY_G_SINGLE, ANOMALY_G_SINGLE_PROCESS, ANOMALY_G_SINGLE_REALTIME}},
        {EDGE_WW | EDGE_WR | EDGE_RW,
         false,
         {ANOMALY_G2_ITEM, ANOMALY_G2_ITEM_PROCESS, ANOMALY_G2_ITEM_REALTIME}},
    };
    static const uint32_t with[3] = {0, EDGE_PROCESS, EDGE_PROCESS | EDGE_REALTIME};
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            uint32_t mask = kinds[i].kinds | with[t];
            uint32_t all = kinds[i].single ? mask | EDGE_RW : mask;
            uint32_t components = graph_components(&c->graph, all, component);
            if (components == c->graph.nodes)
                continue;
            struct cycle found = kinds[i].single
                                     ? single_cycle(&c->graph, mask, component, components)
                                     : any_cycle(&c->graph, mask, component, components);
            if (found.n == 0)
                continue;
            say_cycle(c, kinds[i].anomaly[t], &found);
            free(found.edge);
            return c->out->verdict;
        }
    }
    abort(); /* the whole graph had a cycle */
}

static enum verdict check_graph(struct cycles *c)
{
    c->graph.nodes = c->order.h->n;
    add_writes(c);
    add_reads_and_processes(c);
    add_real_time(c);
    graph_seal(&c->graph);
    uint32_t *component = xcalloc((size_t)c->graph.nodes + 1, sizeof *component);
    uint32_t components = graph_components(&c->graph, UINT32_MAX, component);
    enum verdict v = components == c->graph.nodes ? VERDICT_HELD : name_cycle(c, component);
    free(component);
    return v;
}

static enum verdict say_held(const struct cycles *c)
{
    const struct order *o = &c->order;
    uint32_t unread = 0;
    for (const struct order_key *k = o->keys; k != NULL; k = k->hh.next)
        unread += k->unseen_n;
    if (o->reads_n == 0)
        return finding_unjudged(c->out, "no read of this history returned");
    finding_held(c->out,
                 "%" PRIu32 " transactions, %u keys, %" PRIu32 " reads, %" PRIu32 " dependencies",
                 c->transactions, HASH_COUNT(o->keys), o->reads_n, c->graph.n);
    if (unread > 0)
        finding_say(c->out, "; %" PRIu32 " committed appends that no read was asked for later",
                    unread);
    return c->out->verdict;
}

enum verdict check_cycles(const struct history *h, struct finding *out)
{
    struct cycles c = {.out = out};
    enum verdict v = order_build(&c.order, h, out);
    if (v == VERDICT_HELD)
        v = check_lost_appends(&c.order, out);
    if (v == VERDICT_HELD)
        v = check_lost_updates(&c.order, out);
    if (v == VERDICT_HELD)
        v = check_graph(&c);
    if (v == VERDICT_HELD)
        v = say_held(&c);
    graph_free(&c.graph);
    order_free(&c.order);
    return v;
}
