/* A directed graph of transactions: strongly connected components and shortest cycles over chosen
 * kinds of edges. Nothing here knows what the edges mean, but that some weigh nothing: those of
 * real time, which lead from one moment to the next. */
#ifndef CHAOS_CHECK_GRAPH_H
#define CHAOS_CHECK_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

struct append;

struct edge {
    uint32_t from, to;
    uint8_t kind;               /* one bit */
    bool free;                  /* weighs nothing in a shortest path */
    const struct append *write; /* what the edge is about; NULL: order of time */
};

struct graph {
    uint32_t nodes;
    uint32_t n, cap;
    struct edge *edge;
    uint32_t *first; /* after graph_seal: nodes + 1 places in `edge` */
};

uint32_t graph_node(struct graph *g);
void graph_edge(struct graph *g, struct edge e);
/* Sorts the edges by where they leave; nothing may be added after it. */
void graph_seal(struct graph *g);
void graph_free(struct graph *g);

/* Numbers the strongly connected components over edges whose kind is in `kinds`, into
 * component[nodes]; an edge between two components leads to the smaller number. Gives how many
 * there are. */
uint32_t graph_components(const struct graph *g, uint32_t kinds, uint32_t *component);

/* A path of the least weight from `from` to `to`, of at least one edge (so from = to asks for a
 * cycle), over edges in `kinds` that stay in the component of `from`; component NULL: anywhere.
 * *path is a new array of edge indices for free(); gives its length, 0 if there is none. */
uint32_t graph_path(const struct graph *g, uint32_t kinds, const uint32_t *component, uint32_t from,
                    uint32_t to, uint32_t **path);

#endif
