#include "chaos/check_graph.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define UNSEEN UINT32_MAX

uint32_t graph_node(struct graph *g)
{
    return g->nodes++;
}

void graph_edge(struct graph *g, struct edge e)
{
    if (g->n == g->cap) {
        g->cap = g->cap == 0 ? 1024 : 2 * g->cap;
        g->edge = xrealloc(g->edge, g->cap * sizeof *g->edge);
    }
    g->edge[g->n++] = e;
}

void graph_seal(struct graph *g)
{
    g->first = xcalloc((size_t)g->nodes + 2, sizeof *g->first);
    for (uint32_t i = 0; i < g->n; i++)
        g->first[g->edge[i].from + 1]++;
    for (uint32_t i = 0; i < g->nodes; i++)
        g->first[i + 1] += g->first[i];
    uint32_t *place = xcalloc((size_t)g->nodes + 1, sizeof *place);
    memcpy(place, g->first, g->nodes * sizeof *place);
    struct edge *sorted = xcalloc((size_t)g->n + 1, sizeof *sorted);
    for (uint32_t i = 0; i < g->n; i++)
        sorted[place[g->edge[i].from]++] = g->edge[i];
    free(place);
    free(g->edge);
    g->edge = sorted;
}

void graph_free(struct graph *g)
{
    free(g->edge);
    free(g->first);
}

/* Tarjan's algorithm with its own stack: histories are deeper than the C stack. */
struct tarjan {
    uint32_t *low, *stack, *call, *next;
    uint32_t stacked, depth, counter;
};

static void enter(struct tarjan *t, const struct graph *g, uint32_t *index, uint32_t v)
{
    index[v] = t->low[v] = t->counter++;
    t->next[v] = g->first[v];
    t->stack[t->stacked++] = v;
    t->call[t->depth++] = v;
}

/* Leaves a node: closes its component if it is the root of one. */
static void leave(struct tarjan *t, const uint32_t *index, uint32_t v, uint32_t *component,
                  uint32_t *components)
{
    t->depth--;
    if (t->depth > 0) {
        uint32_t parent = t->call[t->depth - 1];
        t->low[parent] = t->low[v] < t->low[parent] ? t->low[v] : t->low[parent];
    }
    if (t->low[v] != index[v])
        return;
    uint32_t w;
    do {
        w = t->stack[--t->stacked];
        component[w] = *components;
    } while (w != v);
    (*components)++;
}

uint32_t graph_components(const struct graph *g, uint32_t kinds, uint32_t *component)
{
    size_t room = (size_t)g->nodes + 1;
    uint32_t *index = xcalloc(room, sizeof *index), components = 0;
    struct tarjan t = {.low = xcalloc(room, sizeof(uint32_t)),
                       .stack = xcalloc(room, sizeof(uint32_t)),
                       .call = xcalloc(room, sizeof(uint32_t)),
                       .next = xcalloc(room, sizeof(uint32_t))};
    for (uint32_t v = 0; v < g->nodes; v++)
        index[v] = component[v] = UNSEEN;
    for (uint32_t root = 0; root < g->nodes; root++) {
        if (index[root] != UNSEEN)
            continue;
        enter(&t, g, index, root);
        while (t.depth > 0) {
            uint32_t v = t.call[t.depth - 1];
            if (t.next[v] == g->first[v + 1]) {
                leave(&t, index, v, component, &components);
                continue;
            }
            const struct edge *e = &g->edge[t.next[v]++];
            if ((e->kind & kinds) == 0)
                continue;
            if (index[e->to] == UNSEEN)
                enter(&t, g, index, e->to);
            else if (component[e->to] == UNSEEN && index[e->to] < t.low[v])
                t.low[v] = index[e->to];
        }
    }
    free(index);
    free(t.low);
    free(t.stack);
    free(t.call);
    free(t.next);
    return components;
}

/* Breadth first by weight: `now` holds the nodes of the present weight, `later` those of the next.
 */
struct search {
    uint32_t *by; /* by node: the edge that reached it */
    uint32_t *weight;
    uint32_t *now, *later;
    uint32_t now_n, later_n;
};

static void relax(struct search *s, const struct edge *e, uint32_t index, uint32_t weight)
{
    uint32_t reached = weight + !e->free;
    if (reached >= s->weight[e->to])
        return;
    s->weight[e->to] = reached;
    s->by[e->to] = index;
    if (e->free)
        s->now[s->now_n++] = e->to;
    else
        s->later[s->later_n++] = e->to;
}

static void expand(struct search *s, const struct graph *g, uint32_t kinds,
                   const uint32_t *component, uint32_t v, uint32_t weight)
{
    for (uint32_t i = g->first[v]; i < g->first[v + 1]; i++) {
        const struct edge *e = &g->edge[i];
        if ((e->kind & kinds) != 0 && (component == NULL || component[e->to] == component[v]))
            relax(s, e, i, weight);
    }
}

static uint32_t trace_back(const struct search *s, const struct graph *g, uint32_t from,
                           uint32_t to, uint32_t **path)
{
    uint32_t n = 0, v = to;
    do {
        v = g->edge[s->by[v]].from;
        n++;
    } while (v != from);
    *path = xcalloc(n, sizeof **path);
    v = to;
    for (uint32_t i = n; i-- > 0;) {
        (*path)[i] = s->by[v];
        v = g->edge[s->by[v]].from;
    }
    return n;
}

uint32_t graph_path(const struct graph *g, uint32_t kinds, const uint32_t *component, uint32_t from,
                    uint32_t to, uint32_t **path)
{
    /* a node is queued at most once for each weight that it is reached with: at most twice */
    size_t room = 2 * ((size_t)g->nodes + 1);
    struct search s = {.by = xcalloc(room, sizeof(uint32_t)),
                       .weight = xcalloc(room, sizeof(uint32_t)),
                       .now = xcalloc(room, sizeof(uint32_t)),
                       .later = xcalloc(room, sizeof(uint32_t))};
    for (uint32_t v = 0; v < g->nodes; v++)
        s.weight[v] = UNSEEN;
    expand(&s, g, kinds, component, from, 0);
    uint32_t weight = 0;
    while (s.weight[to] > weight && (s.now_n > 0 || s.later_n > 0)) {
        for (uint32_t i = 0; i < s.now_n; i++)
            if (s.weight[s.now[i]] == weight)
                expand(&s, g, kinds, component, s.now[i], weight);
        uint32_t *swap = s.now;
        s.now = s.later;
        s.now_n = s.later_n;
        s.later = swap;
        s.later_n = 0;
        weight++;
    }
    uint32_t n = s.weight[to] == UNSEEN ? 0 : trace_back(&s, g, from, to, path);
    free(s.by);
    free(s.weight);
    free(s.now);
    free(s.later);
    return n;
}
