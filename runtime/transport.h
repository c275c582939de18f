/* Authenticated connections to the other nodes and to clients, over libuv TCP
 * (docs/architecture.md). One loop, one thread. Nodes listen; coordinators dial participants, and
 * coordinators of a higher id; clients dial whom they need. A dialled peer is dialled again with a
 * randomised back-off, 50 ms to 1 s, for as long as the transport lives. Messages sent in one loop
 * turn are sealed and written together. Sends are not acknowledged: a message is lost with its
 * connection, as the protocol allows.
 *
 * What is sent leaves before the loop waits for events again, unless it was sent from a uv_prepare
 * callback. A client's transport writes no log lines: a library keeps quiet. SIGPIPE must be
 * ignored by the process or blocked in the loop's thread: libuv writes to sockets that peers have
 * closed. */
#ifndef RUNTIME_TRANSPORT_H
#define RUNTIME_TRANSPORT_H

#include <uv.h>

#include "common/msg.h"
#include "runtime/cluster.h"

struct transport;

/* An authenticated connection. Valid until `down` returns. */
struct peer {
    uint64_t conn; /* unique within the process */
    enum role role;
    node_id node; /* 0 for clients */
    uint32_t incarnation;
    struct client_name name;
    uint32_t rtt_us;        /* from pings, 0 = not known yet */
    int64_t clock_ahead_ms; /* the peer's wall clock less ours, from pings, give or take rtt/2 */
};

struct transport_handlers {
    void *arg;
    void (*up)(void *arg, const struct peer *peer);
    void (*down)(void *arg, const struct peer *peer, const char *why);
    /* m is borrowed: msg_ref to keep it. Roles were checked (msg_allowed), and for messages with a
     * head the epoch and set hash; PING and PONG never get here. */
    void (*message)(void *arg, const struct peer *peer, struct msg *m);
    /* A dialled peer could not be reached, or refused; for clients' error messages. May be NULL.
     * Called for every attempt. */
    void (*unreachable)(void *arg, node_id node, const char *why);
};

/* Zero means the value of common/limits.h; tests set less. */
struct transport_bounds {
    uint32_t handshake_timeout_ms;
    uint32_t ping_interval_ms;
    uint32_t peer_silent_ms;
    uint32_t handshakes;
    uint32_t connections;
    size_t send_queue_bytes;
};

struct transport_config {
    const struct cluster *cluster; /* borrowed, outlives the transport */
    struct noise_keypair keys;     /* copied */
    struct hello self;
    struct transport_bounds bounds;
    uint64_t (*wall_ms)(void); /* Unix milliseconds, for pings; NULL: the system's clock */
};

struct transport *transport_new(uv_loop_t *loop, const struct transport_config *config,
                                const struct transport_handlers *handlers);
/* Nodes: listens on its own address of the cluster file, or host and port if given. 0, or -1 with
 * `why` (256 bytes). port 0 takes a free one; *bound is the port taken. */
int transport_listen(struct transport *t, const char *host, uint16_t port, uint16_t *bound,
                     char *why, size_t why_size);
/* Keeps a connection to a node from now on: dials unless the node has dialled us. Calling it again
 * does nothing; so does a node that the cluster file does not have. */
void transport_dial(struct transport *t, node_id node);
/* Stops dialling it and closes the connection, after what is queued; `down` is called before this
 * returns. */
void transport_hang_up(struct transport *t, node_id node);
/* Queues the message (borrowed; it is encoded at once). ASSENT_UNREACHABLE: not connected;
 * ASSENT_OVERLOADED: the queue of that connection is full, nothing was queued; ASSENT_TOO_LARGE. */
assent_status transport_send(struct transport *t, struct addr to, const struct msg *m);
/* The connected peer of a node, or NULL. */
const struct peer *transport_peer(const struct transport *t, node_id node);
/* Closes everything; `closed` is called on a later loop turn, when no handle is left, and the
 * transport is freed after it. Unsent bytes get up to drain_ms to leave. No handler is called any
 * more, and sends find nobody connected. May be called from a handler. */
void transport_close(struct transport *t, uint32_t drain_ms, void (*closed)(void *arg), void *arg);

/* Since transport_new, but `connections`: authenticated ones now. Bytes are those on the wire. */
struct transport_stats {
    uint64_t messages_in, messages_out; /* pings included */
    uint64_t bytes_in, bytes_out, writes;
    uint64_t refused; /* peers that were not admitted, and connections over a bound */
    uint64_t connections;
};
void transport_stats(const struct transport *t, struct transport_stats *out);

#endif
