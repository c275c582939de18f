/* The cluster of a chaos run: every node a process, every link between nodes and from clients to
 * nodes its own (wan.h). Functions without another word are for one thread, that of the nemesis. */
#ifndef CHAOS_SITE_H
#define CHAOS_SITE_H

#include <assent/assent.h>
#include <stdatomic.h>

#include "chaos/process.h"
#include "chaos/scenario.h"
#include "chaos/wan.h"

#define SITE_NODES_MAX 64

struct site {
    const struct scenario *scenario;
    char dir[4096];
    struct cluster *cluster;
    struct wan *wan;
    int nodes;
    struct process process[SITE_NODES_MAX]; /* in the order of cluster->node */
    _Atomic int64_t *clock[SITE_NODES_MAX]; /* us ahead of the true clock, mapped by the node too */
    _Atomic uint32_t lost;                  /* mask of datacenters that never come back */
    int port_guard;                         /* holds the port behind those of the nodes; -1: none */
    bool ended_badly; /* a node ended by itself where no fault made it: nemesis.h notices */
};

/* Microseconds of one monotonic clock. Any thread. */
uint64_t chaos_now_us(void);
void chaos_sleep_us(uint64_t us);

/* Makes the cluster in `dir`, which must not exist, and starts it; every process that it started
 * ends when this process ends, however that ends. NULL after saying why on stderr.
 *
 * Placements: "p/<participant's name>/" on that participant, "all/" on the first participant of
 * every datacenter; and those of `assent init`. The client "app" may do everything. */
struct site *site_open(const struct scenario *scenario, const char *dir);
/* Until every node that is not lost answers and is ready: connected to all others that are not
 * lost, with room on its disk. False after the bound, or once one has ended, with a line on stderr.
 */
bool site_wait_ready(struct site *s, uint64_t bound_us);
/* A client in a datacenter, whose every byte goes through the links; NULL after a line on stderr.
 * Any thread. */
assent *site_client(const struct site *s, int datacenter);
/* The same on the caller's loop (assent/uv.h). */
assent *site_client_uv(const struct site *s, int datacenter, uv_loop_t *loop);
/* A client that reaches all nodes without links: to look at them. Any thread. */
assent *site_observer(const struct site *s);
assent *site_observer_uv(const struct site *s, uv_loop_t *loop);
/* What the nodes that answer the observer say of themselves. Any thread. */
struct site_look {
    int answering;
    int down;                                     /* for now: killed, and not started yet */
    int in_doubt;                                 /* transactions, summed over participants */
    uint32_t oldest_ms[SCENARIO_DATACENTERS_MAX]; /* in doubt for the longest, by datacenter */
};
void site_look(const struct site *s, assent *observer, uint32_t timeout_ms, struct site_look *out);
/* Round trip from one datacenter to another through a link like those of the cluster, to a bare
 * echo: the median of a few, in us. 0 if it could not be measured. */
uint32_t site_bare_rtt_us(const struct site *s, int from, int to);
/* Index of a node by its name; -1: there is none. */
int site_node(const struct site *s, const char *name);
/* From now on the node's clock is so far ahead (or behind). */
void site_set_clock(struct site *s, int node, int64_t ahead_us);
/* Stops all nodes and links; false if a node that was not killed did not stop cleanly. The data
 * directories stay. NULL is fine. */
bool site_stop(struct site *s);
void site_free(struct site *s);

#endif
