/* Joins the pure logic of commits and reads to the transport, on one libuv loop, which is the only
 * thread that may call it. Calls end in done(), on a later loop turn than the one that started
 * them, exactly once each; the engine does not touch a call after that. */
#ifndef CLIENT_ENGINE_H
#define CLIENT_ENGINE_H

#include <bsd/sys/queue.h>
#include <uthash.h>
#include <uv.h>

#include <assent/assent.h>

#include "client/error.h"
#include "client/read.h"
#include "client/session.h"
#include "common/timers.h"
#include "runtime/cluster.h"

enum call_kind { CALL_SESSION, CALL_READ, CALL_NODES, CALL_NOTHING };

/* What is in progress; the first member of each kind. Owned by who starts it. */
struct call {
    enum call_kind kind;
    TAILQ_ENTRY(call) link;
    struct timer timer;
    bool done;
    void (*finished)(struct call *call);
    void *arg;
    assent_status status;
    char why[ERROR_TEXT_MAX]; /* the sentence of a failure; "" otherwise */
};

TAILQ_HEAD(calls, call);

/* Finds a call again by the number that its answers carry. */
struct call_request {
    uint64_t id;
    struct call *call;
    UT_hash_handle hh;
};

/* A commit or a question for an outcome. */
struct session_call {
    struct call call;
    struct session session;
    LIST_ENTRY(session_call) same; /* of the same txid */
};

struct read_call {
    struct call call;
    struct read read;
    struct call_request request;
};

/* One STATUS to every node. */
struct nodes_call {
    struct call call;
    uint64_t deadline_us;
    assent_node *node; /* owned, until taken: in the order of the cluster file */
    bool *settled;
    size_t n;
    struct call_request request;
};

struct engine;

struct engine_config {
    const struct cluster *cluster; /* borrowed, outlives the engine */
    struct noise_keypair keys;     /* copied */
    const char *client;            /* name in the cluster file */
    int datacenter;                /* index in the cluster file */
};

/* Starts to connect to all coordinators. */
struct engine *engine_new(uv_loop_t *loop, const struct engine_config *config);
/* Ends all calls, then everything else; closed() comes last, the engine is freed before it. */
void engine_close(struct engine *e, void (*closed)(void *arg), void *arg);

/* `finished` and `arg` of the call are the caller's, everything else of it is filled here; so are,
 * of the config, the head's epoch and set hash, the placement hash, the seed and the request
 * number. Not after engine_close(). */
void engine_start_session(struct engine *e, struct session_call *c,
                          const struct session_config *config);
/* Whatever starts from now on is later than this. */
void engine_hear(struct engine *e, hlc_ts ts);
void engine_start_read(struct engine *e, struct read_call *c, const struct read_config *config);
void engine_start_nodes(struct engine *e, struct nodes_call *c, uint64_t deadline_us);
/* A call that is done already, with ASSENT_OK: it ends on a later loop turn, as all do. */
void engine_start_nothing(struct engine *e, struct call *call);

#endif
