/* The network of a simulated cluster: connections between processes, as the real transport makes
 * them (runtime/transport.h). Messages of a connection arrive in order, and are lost only with it.
 * A link is the way from one process to another: it may be slow, or cut; then what was sent waits,
 * and after a silence the receiver gives the connection up. */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include <bsd/sys/queue.h>

#include "common/msg.h"
#include "tests/sim/sim.h"

#define NET_ENDS_MAX        48
#define NET_DATACENTERS_MAX 8

struct net_peer {
    node_id node; /* 0: a client */
    uint64_t conn;
    uint32_t incarnation;
    const struct client_name *client;
    uint32_t rtt_us;
};

/* A handler must not stop its process: it sets a timer for that. */
struct net_handlers {
    void (*up)(void *arg, const struct net_peer *peer);
    void (*down)(void *arg, const struct net_peer *peer);
    void (*message)(void *arg, const struct net_peer *peer, struct msg *m);
    /* A dialled node did not answer. May be NULL. */
    void (*unreachable)(void *arg, node_id node);
};

struct conn;

/* A process. */
struct net_end {
    struct net *net;
    int index;
    char name[NAME_BYTES_MAX + 1];
    node_id node;
    struct client_name client;
    enum role role;
    int datacenter;
    struct net_handlers handlers;
    void *arg;

    bool up;
    bool paused;
    uint32_t incarnation;
    uint64_t last_conn;
    LIST_HEAD(, conn_side) conns;
    struct net_dial *dials;
};

struct net {
    struct sim *sim;
    bool coded; /* every message goes through the wire codec */
    int ends;
    struct net_end *end[NET_ENDS_MAX];
    uint32_t latency_us[NET_DATACENTERS_MAX][NET_DATACENTERS_MAX]; /* one way */
    uint32_t jitter_us;
    uint64_t silent_us; /* a connection whose link was cut for so long is given up */
    uint8_t cut[NET_ENDS_MAX][NET_ENDS_MAX]; /* from, to: how many faults cut it */
    uint8_t slow[NET_ENDS_MAX][NET_ENDS_MAX];
    struct sim_timer tick;
    uint64_t messages, lost;
};

void net_init(struct net *n, struct sim *sim);
/* All ends are down, and may be gone. */
void net_free(struct net *n);
/* The end is the caller's, filled up to `arg`; it starts down. */
void net_add(struct net *n, struct net_end *e);

/* The process runs, in this incarnation. */
void net_start(struct net_end *e, uint32_t incarnation);
/* It is gone: the others hear of it soon (its kernel says so), or only by the silence. Its own
 * handlers are not called any more. */
void net_stop(struct net_end *e, bool silently);
/* A paused process gets nothing until it goes on. */
void net_pause(struct net_end *e, bool paused);

/* Keeps a connection to the node from now on, as long as the process runs. */
void net_dial(struct net_end *e, node_id node);
/* Queues the message (borrowed). False: not connected. */
bool net_send(struct net_end *e, struct addr to, struct msg *m);
const struct net_peer *net_peer(const struct net_end *e, node_id node);
struct net_end *net_end_of(const struct net *n, node_id node);

/* ---- faults ---- */

void net_cut(struct net *n, int from, int to, bool cut);
/* Latency times 2 to the power of `slow`. */
void net_slow(struct net *n, int from, int to, uint8_t slow);
/* Resets a random connection, of this end if it is not NULL: what is under way in each direction
 * arrives up to some point, and the rest is lost. False: there is none. */
bool net_reset(struct net *n, struct net_end *e);
/* A dialled node is dialled once more although it is connected; the new connection replaces the
 * old. */
bool net_replace(struct net *n, struct net_end *e);

#endif
