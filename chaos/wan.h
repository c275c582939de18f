/* Wide-area links on one machine. Every node, and every datacenter's clients, has its own view of
 * the cluster, in which it reaches each (other) node through a link (link.h) of its own with the
 * delay between the two.
 *
 * Ends: the nodes, in the order of cluster->node, then for each datacenter its clients, in the
 * order of cluster->datacenter: cluster->nodes + cluster->datacenters in all. There is one link for
 * each ordered pair of who dials and whom; nobody dials clients. Two nodes may dial each other, so
 * what one of them sends to the other goes up its own link or down the other's: wan_cut() and
 * wan_flow() reach both, wan_change() one link.
 *
 * Every function but wan_open() and wan_close() may be called from any thread, and has taken effect
 * when it returns. An end out of range aborts. */
#ifndef CHAOS_WAN_H
#define CHAOS_WAN_H

#include "chaos/link.h"
#include "runtime/cluster.h"

struct wan;

/* In the place of an end: all of them. */
#define WAN_ANY (-1)

/* rtt_ms[a * datacenters + b]: round trip between two datacenters; on the diagonal that within one.
 * Starts a thread with its own loop. Writes <dir>/cluster.<node>.yaml for each node, which listens
 * where `cluster` says, and <dir>/cluster.<datacenter>.yaml for the clients of each datacenter.
 * `cluster` may be freed afterwards. NULL with `why` (512 bytes). */
struct wan *wan_open(const struct cluster *cluster, const char *dir, const uint32_t *rtt_ms,
                     char *why, size_t why_size);
/* NULL is fine. Connections are closed. */
void wan_close(struct wan *w);

int wan_ends(const struct wan *w);
/* The number of an end by a node's name or "client:<datacenter>"; -1: there is none. */
int wan_end(const struct wan *w, const char *name);
const char *wan_end_name(const struct wan *w, int end);
/* Index of the end's datacenter. */
int wan_end_datacenter(const struct wan *w, int end);
/* Whether `from` dials `to` through a link: false for an end and itself, and to clients. */
bool wan_link(const struct wan *w, int from, int to);

/* Whose bytes reach whom, all at once: of what end a sends to end b nothing arrives where
 * cut[a * ends + b] is set, everything where it is not; NULL: everything to everyone. `heal`
 * (LINK_RESUME, LINK_RESET_ALL) says what becomes of connections that were cut and are not any
 * more. Entries of ends without a link in either direction do nothing. */
void wan_partition(struct wan *w, const bool *cut, uint64_t heal);
/* The same of one sender and receiver (or WAN_ANY) and leaves the others as they are. */
void wan_cut(struct wan *w, int sender, int receiver);
void wan_heal(struct wan *w, int sender, int receiver, uint64_t heal);
/* Cuts or heals everything between the datacenter, its clients included, and the others; healed
 * connections are reset. */
void wan_isolate(struct wan *w, int datacenter, bool cut);

/* A change to the bytes that `sender` sends to `receiver`, whoever dialled. For settings, faults
 * of a way, and LINK_RESET and LINK_HALF_OPEN, of which the receiver is told. */
void wan_flow(struct wan *w, int sender, int receiver, enum link_change_kind kind, uint64_t value);
/* A change to the link by which `from` dials `to`; WAN_ANY: to all such links, so LINK_CALM between
 * WAN_ANY and WAN_ANY ends every fault. False if some of them could not listen again. */
bool wan_change(struct wan *w, int from, int to, const struct link_change *change);

/* Whether anything that `sender` sends to `receiver` is being kept back. */
bool wan_is_cut(struct wan *w, int sender, int receiver);
/* Of the link by which `from` dials `to`; false if there is none. */
bool wan_link_state(struct wan *w, int from, int to, struct link_state *out);

#endif
