#include "client/roster.h"

bool roster_nearer(const struct roster *r, node_id a, node_id b)
{
    const struct roster_node *x = &r->node[a], *y = &r->node[b];
    if (x->near != y->near)
        return x->near;
    if (x->rtt_us != y->rtt_us)
        return y->rtt_us == 0 || (x->rtt_us != 0 && x->rtt_us < y->rtt_us);
    return a < b;
}

bool roster_is_up(const struct roster *r, node_id node, enum role role)
{
    return node <= NODES_MAX && r->node[node].role == role && r->node[node].up;
}
