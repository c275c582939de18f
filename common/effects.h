/* What goes into a core and what comes out: step(core, event, effects).
 *
 * A core never sends what depends on a record before the record is durable. It says so as data: a
 * persist effect carries the messages that may leave once it is durable (docs/protocol.md, "What
 * must be durable before what"). The driver keeps the order: records become durable in the order of
 * their effects, so whatever waits for one record also waits for all emitted before it. */
#ifndef COMMON_EFFECTS_H
#define COMMON_EFFECTS_H

#include <bsd/sys/queue.h>

#include "common/msg.h"
#include "common/ops.h"
#include "common/record.h"

struct event_peer {
    node_id node;
    uint32_t incarnation;
    int64_t clock_ahead_ms; /* EVENT_PEER_CLOCK */
    uint32_t rtt_us;        /* EVENT_PEER_CLOCK */
};

/* The storage finished the work of EFFECT_PERSIST or EFFECT_PREPARE. For EFFECT_PREPARE status may
 * be a refusal, and then no record was written. EFFECT_PERSIST never fails: what the disk cannot
 * take now, the storage keeps and tries again, in order. */
struct event_stored {
    enum record_kind kind;
    struct txid txid;
    struct ballot ballot; /* as in the effect */
    assent_status status;
    struct blob *detail;  /* borrowed; a sentence about a refusal, or NULL */
    struct blob *results; /* borrowed; encoded read results, or NULL */
};

/* The storage looked for a transaction that is no longer in memory. */
struct event_loaded {
    struct txid txid;
    const struct record *record; /* borrowed; NULL: there is none on the disk */
};

struct event_read_done {
    uint64_t token;
    assent_status status;
    struct blob *detail;
    struct blob *results;
};

enum event_kind {
    EVENT_MESSAGE,
    EVENT_STORED,
    EVENT_LOADED,
    EVENT_READ_DONE,
    EVENT_PEER_UP,
    EVENT_PEER_DOWN,
    EVENT_PEER_CLOCK,  /* how far a coordinator's wall clock is ahead of ours */
    EVENT_CLIENT_DOWN, /* from.conn is gone */
    EVENT_TICK,        /* the time of deadline() has come */
};

struct event {
    enum event_kind kind;
    uint64_t now_us;                  /* monotonic, never goes back */
    uint64_t wall_ms;                 /* Unix time; may jump */
    struct addr from;                 /* EVENT_MESSAGE, EVENT_CLIENT_DOWN */
    const struct client_name *client; /* EVENT_MESSAGE from a client: its authenticated name */
    union {
        struct msg *msg; /* borrowed */
        struct event_stored stored;
        struct event_loaded loaded;
        struct event_read_done read_done;
        struct event_peer peer;
    };
};

enum effect_kind {
    EFFECT_SEND,    /* msg to `to`; may be lost */
    EFFECT_PERSIST, /* record; then the messages of `then` leave; EVENT_STORED */
    EFFECT_PREPARE, /* the resource checks `ops` and reads; unless it refuses, as EFFECT_PERSIST */
    EFFECT_LOOKUP,  /* EVENT_LOADED */
    EFFECT_READ,    /* the resource reads `ops`; EVENT_READ_DONE with the token */
    EFFECT_HALT,    /* a broken invariant: report `why`, answer nothing, stop the process */
};

struct effect {
    TAILQ_ENTRY(effect) link;
    enum effect_kind kind;
    struct addr to;
    struct msg *msg;      /* owned */
    struct record record; /* body owned */
    struct ballot ballot; /* of an ACCEPT or PROMISE record */
    struct blob *ops;     /* owned; EFFECT_PREPARE and EFFECT_READ */
    uint64_t token;
    struct read_point point;   /* EFFECT_READ */
    char *why;                 /* owned; EFFECT_HALT */
    TAILQ_HEAD(, effect) then; /* EFFECT_SENDs */
};

TAILQ_HEAD(effects, effect);

static inline void effects_init(struct effects *e)
{
    TAILQ_INIT(e);
}

/* Each takes over the caller's reference to msg, body or ops. */
void effect_send(struct effects *e, struct addr to, struct msg *msg);
struct effect *effect_persist(struct effects *e, enum record_kind kind, const struct txid *txid,
                              hlc_ts ts, struct blob *body);
struct effect *effect_prepare(struct effects *e, enum record_kind kind, const struct txid *txid,
                              hlc_ts ts, struct blob *body, struct blob *ops);
/* Adds a message that leaves once `persist` is durable. */
void effect_then_send(struct effect *persist, struct addr to, struct msg *msg);
void effect_lookup(struct effects *e, const struct txid *txid);
void effect_read(struct effects *e, uint64_t token, const struct read_point *point,
                 struct blob *ops);
__attribute__((format(printf, 2, 3))) void effect_halt(struct effects *e, const char *format, ...);
void effect_free(struct effect *effect);
void effects_free(struct effects *e);

#endif
