/* One TCP connection: socket, secure channel and the queue of bytes that are not sent yet. Who the
 * peer is and what its messages mean is the owner's business (runtime/transport.c).
 *
 *   CONNECTING -> HANDSHAKE -> OPEN -> LINGERING -> CLOSED
 *
 * LINGERING: what is queued still leaves, then the sending side is shut; what arrives is dropped;
 * it ends when the peer closes too, or after a time. Every state but the last may also go straight
 * to CLOSED, where the handles close and `gone` ends the connection.
 *
 * A send only encodes. The owner calls conn_group_flush once per loop turn: it seals and writes
 * what all the sends of that turn have queued. One write per connection is in progress at a time;
 * what is queued meanwhile goes out with the next. */
#ifndef RUNTIME_CONN_H
#define RUNTIME_CONN_H

#include <bsd/sys/queue.h>
#include <uv.h>

#include "common/msg.h"
#include "wire/channel.h"

#define CONN_WHY_BYTES     512
#define CONN_ADDRESS_BYTES 64

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN, CONN_LINGERING, CONN_CLOSED };

struct conn {
    struct conn_group *group;
    enum conn_state state;
    bool accepted;  /* else dialled */
    bool connected; /* TCP reached the peer */
    bool dirty;     /* in group->dirty */
    bool writing;   /* `write` is in progress and owns `sending` */
    bool shut;
    uint8_t handles; /* not closed yet */
    uint32_t silent_ticks;
    size_t received;  /* bytes since the last tick */
    uint64_t records; /* of the peer, at the last tick */
    uint32_t stalled_ticks;
    size_t unwritten; /* at the last tick */
    char address[CONN_ADDRESS_BYTES];
    uint64_t network; /* the peer's IPv4 address, or its IPv6 /64: who it is before it says so */
    struct channel *channel;
    struct writer plain; /* whole frames; the first `sealed` bytes of it are sealed already */
    size_t sealed;
    struct writer sending;
    uv_tcp_t tcp;
    uv_timer_t timer; /* handshake timeout, then ticks, then the end of lingering */
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    TAILQ_ENTRY(conn) dirty_link;
};

/* What the connections of one owner share. Set the first part, leave the rest zero,
 * conn_group_init. */
struct conn_group {
    uv_loop_t *loop;
    void *owner;
    uint32_t handshake_ms; /* from the dial or accept to OPEN */
    uint32_t tick_ms;      /* between ticks of an open connection */
    uint32_t silent_ms;    /* nothing heard, or nothing sent of what is queued, for so long: lost */
    size_t queue_bytes_max; /* unsent bytes of one connection */

    /* The peer is authenticated: NULL admits it; a sentence refuses it.
     */
    const char *(*verdict)(struct conn *c);
    void (*open)(struct conn *c);
    void (*frame)(struct conn *c, struct bytes body);
    void (*tick)(struct conn *c);
    /* The connection failed by itself and is closing; at most once, and never after conn_finish or
     * conn_close. */
    void (*failed)(struct conn *c, const char *why);
    /* No handle is left: the owner frees the memory that holds the connection. Always, once. */
    void (*gone)(struct conn *c);

    TAILQ_HEAD(, conn) dirty;
    uint8_t *input; /* one read buffer for all: what is read is taken up at once */
    uint64_t bytes_in, bytes_out, writes;
};

void conn_group_init(struct conn_group *g);
/* Seals and writes what was queued since the last call. */
void conn_group_flush(struct conn_group *g);
/* With no connection left. */
void conn_group_free(struct conn_group *g);

/* Both take over the channel, and report through the group's callbacks: every error too, even
 * before they return. `c` is zeroed memory. */
void conn_connect(struct conn *c, struct conn_group *g, const struct sockaddr *address,
                  struct channel *channel);
void conn_accept(struct conn *c, struct conn_group *g, uv_stream_t *listener,
                 struct channel *channel);

/* Encodes the message into the queue. ASSENT_OVERLOADED and ASSENT_TOO_LARGE: nothing was queued.
 * ASSENT_UNREACHABLE: not open. */
assent_status conn_send(struct conn *c, const struct msg *m);
/* Bytes that were queued and have not left, sealed ones included. */
size_t conn_unsent(const struct conn *c);

/* Sends what is queued, then closes: after linger_ms at the latest; again, only to shorten that. */
void conn_finish(struct conn *c, uint32_t linger_ms);
/* Closes at once; what is unsent is lost. Fine in every state. */
void conn_close(struct conn *c);

/* The same for two addresses that one peer is likely to have both of. */
uint64_t conn_network(const struct sockaddr *address);
/* "127.0.0.1:7000", "[::1]:7000". */
void conn_address_text(const struct sockaddr *address, char out[CONN_ADDRESS_BYTES]);

#endif
