/* A link: a TCP proxy that gives a connection the delay of a wide-area one, and every fault that a
 * network can have. Whoever dials its port reaches its target. "Up" is the way of the bytes from
 * the dialler to the target, "down" the way back; each has its own delay and faults.
 *
 * What travels, travels in order: bytes, ends of stream, and the resets of sockets that died. So
 * behind a cut link nobody learns that the other end has gone. Two things are not as on a real
 * network: a dialler's connect() succeeds at once (its own kernel answers), and what was kept back
 * during a cut arrives as soon as it is healed, without waiting for a retransmission.
 *
 * Everything runs on the caller's libuv loop and is called on its thread; links.h and wan.h serve
 * other threads. */
#ifndef CHAOS_LINK_H
#define CHAOS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* A mask: which bytes a change concerns. A way leads to an end: up to the target, down to the
 * dialler. */
enum link_ways { LINK_UP = 1, LINK_DOWN = 2, LINK_BOTH = 3 };

/* What can be changed; `value` is 0 where nothing else is said. Settings hold for bytes that arrive
 * at the link from now on, and never let them overtake others. */
enum link_change_kind {
    LINK_DELAY,     /* value: one-way delay in us */
    LINK_EXTRA,     /* value: us on top of it, a latency spike; 0 ends it */
    LINK_JITTER,    /* value: up to so many us more, evenly distributed */
    LINK_BANDWIDTH, /* value: bytes per second of all connections together; LINK_NONE: no bound */
    LINK_CUT,       /* a black hole: bytes are kept back, nothing arrives, nobody is told */
    LINK_HEAL,      /* value LINK_RESUME: what was kept back arrives, as TCP would have it.
                     * LINK_RESET_ALL: all connections of the link are reset. Nothing happens where
                     * no way named was cut. */
    LINK_REFUSE,    /* new connections are refused, others go on; whatever the ways */
    LINK_ACCEPT,    /* and accepted again */
    LINK_RESET,     /* all connections: both ends get a RST now, past any cut. One way: only the end
                     * there; the other is not told and talks to nobody from now on */
    LINK_HALF_OPEN, /* all connections: the end of the way gets an end of stream now, past any cut,
                     * the other is not told and talks to nobody. Both ways: both are told */
    LINK_SLOW_CLOSE, /* value: us that an end of stream or a reset is late by */
    LINK_CORRUPT,    /* value: that many bytes from now, one byte is changed, once; LINK_RANDOM: one
                      * of the next LINK_CORRUPT_WITHIN. A later one takes the place of a former
                      * that has not happened yet */
    LINK_LIMIT, /* value: every connection is closed at both ends once so many bytes passed this
                 * way, for open ones from now on; LINK_NONE: no limit */
    LINK_CALM,  /* the whole link is as it was opened, nothing cut (as LINK_HEAL and value say), new
                 * connections accepted; half-open connections stay so (LINK_RESET ends them) */
    LINK_CHANGE_KINDS
};

#define LINK_NONE           UINT64_MAX
#define LINK_RANDOM         UINT64_MAX
#define LINK_CORRUPT_WITHIN 1024u
#define LINK_RESUME         0u
#define LINK_RESET_ALL      1u
/* Bounds of `value`; link_change() cuts larger ones down. */
#define LINK_TIME_US_MAX UINT64_C(86400000000)
#define LINK_BYTES_MAX   UINT64_C(1000000000000)

struct link_change {
    enum link_change_kind kind;
    unsigned ways; /* of enum link_ways */
    uint64_t value;
};

struct link_options {
    const char *listen_host; /* NULL: 127.0.0.1 */
    uint16_t listen_port;    /* 0: a free one */
    const char *host; /* a name, looked up once, IPv4 first; or an address of either family */
    uint16_t port;
    uint64_t delay_us, jitter_us; /* of both ways */
    uint64_t bandwidth;           /* of both ways; 0: no bound */
    uint64_t slow_close_us;       /* of both ways */
    uint64_t seed;                /* of jitter and corruption */
};

struct link;

/* Listens. NULL with what, where and what to do in `why` (512 bytes) on failure; the loop must turn
 * once more then, too. */
struct link *link_open(uv_loop_t *loop, const struct link_options *options, char *why,
                       size_t why_size);
uint16_t link_port(const struct link *l);
/* False only if LINK_ACCEPT or LINK_CALM could not listen again (the port itself stays taken). */
bool link_change(struct link *l, const struct link_change *change);
/* Closes the link and its connections; freed on later loop turns. */
void link_close(struct link *l);

struct link_way_state {
    uint64_t delay_us, extra_us, jitter_us, bandwidth /* LINK_NONE: no bound */, slow_close_us;
    uint64_t limit;      /* LINK_NONE: no limit */
    uint64_t corrupt_in; /* bytes until one is changed; LINK_NONE: none will be */
    bool cut;
    uint64_t bytes;     /* that came to the link since it was opened */
    uint64_t held;      /* of these on their way now: delayed or kept back */
    uint64_t corrupted; /* of these changed */
};

struct link_state {
    uint16_t port;
    bool refusing;
    uint64_t connections; /* accepted since the link was opened */
    uint64_t open;        /* of these, not gone yet at both ends */
    struct link_way_state up, down;
};

void link_state(const struct link *l, struct link_state *out);

#endif
