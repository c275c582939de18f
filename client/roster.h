/* Which nodes a client is connected to and how near they are: kept by the engine, read by the pure
 * logic of commits and reads. */
#ifndef CLIENT_ROSTER_H
#define CLIENT_ROSTER_H

#include "common/protocol.h"

struct roster_node {
    enum role role; /* ROLE_NONE: no such node */
    bool near;      /* in the client's own datacenter */
    bool up;
    bool failing;         /* the last connection ended or failed, and none has come up since */
    uint32_t incarnation; /* while up */
    uint32_t rtt_us;      /* 0: not known */
};

struct roster {
    node_id highest;
    struct roster_node node[NODES_MAX + 1]; /* by node id */
};

/* Whether `a` is asked before `b`: own datacenter, then the shorter round trip, then the lower id.
 */
bool roster_nearer(const struct roster *r, node_id a, node_id b);
bool roster_is_up(const struct roster *r, node_id node, enum role role);

#endif
