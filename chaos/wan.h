/* Wide-area links on one machine: for every datacenter a view of the cluster in which the nodes of
 * the other datacenters are reached through links (link.h) that have the delay between the two. */
#ifndef CHAOS_WAN_H
#define CHAOS_WAN_H

#include "runtime/cluster.h"

struct wan;

/* rtt_ms[a * datacenters + b]: round trip between two datacenters; 0 on the diagonal. Starts a
 * thread with its own loop. Writes <dir>/cluster.<datacenter>.yaml for each. NULL with `why` (512
 * bytes). */
struct wan *wan_open(const struct cluster *cluster, const char *dir, const uint32_t *rtt_ms,
                     char *why, size_t why_size);
/* Cuts or heals every link between the datacenter and the others. Any thread; takes effect at once.
 */
void wan_isolate(struct wan *w, int datacenter, bool cut);
void wan_close(struct wan *w);

#endif
