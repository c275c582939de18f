/* A client process of a simulated cluster: the library's own logic of commits, questions and reads
 * (client/session.h, client/read.h) on the simulated network and clock. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "client/read.h"
#include "client/txn.h"
#include "runtime/cluster.h"
#include "tests/sim/net.h"

struct client;

enum call_kind { CALL_COMMIT, CALL_QUESTION, CALL_READ };

/* One thing under way. */
struct call {
    LIST_ENTRY(call) link;
    struct client *client;
    enum call_kind kind;
    bool begun;
    struct session session; /* of a commit or question */
    struct read read;
    struct blob *ops;   /* of a read; owned */
    struct msg *commit; /* as it left; NULL: it has not */
    node_id home;
    struct sim_timer timer;
    /* Once, unless the client dies first. May start calls. The call is freed after it. */
    void (*done)(struct call *call);
    void *arg;
};

/* What the checks see of the answers. */
struct client_watch {
    void *arg;
    void (*result)(void *arg, struct client *c, node_id from, const struct msg *result);
    /* The answer to a read at this level, whatever its status. */
    void (*read_result)(void *arg, struct client *c, node_id from, enum read_level level,
                        const struct msg *result);
};

struct client {
    struct sim *sim;
    const struct cluster *cluster;
    struct net_end end;
    struct client_watch watch;
    struct roster roster;
    struct hlc clock;
    int64_t wall_offset_ms;
    uint64_t last_request;
    uint32_t repeat_one_in; /* a COMMIT is sent once more, somewhere; 0: never */
    LIST_HEAD(, call) calls;
    LIST_HEAD(, stray) strays;
    bool alive;
};

void client_init(struct client *c, struct sim *sim, struct net *net, const struct cluster *cluster,
                 const struct cluster_client *self, int datacenter);
/* Connects to the coordinators. */
void client_start(struct client *c);
/* The process is gone, with all its calls: done() of none is called. */
void client_die(struct client *c);
void client_free(struct client *c);
uint64_t client_wall_ms(const struct client *c);

/* The transaction is sealed here, and borrowed until done(). */
struct call *client_commit(struct client *c, assent_txn *txn, uint64_t timeout_us,
                           void (*done)(struct call *call), void *arg);
struct call *client_ask(struct client *c, const struct txid *txid, uint64_t timeout_us,
                        void (*done)(struct call *call), void *arg);
/* How a read is asked for. */
struct client_reading {
    enum read_level level;
    hlc_ts at;
    uint32_t stale_ms;
    struct read_watch watch;
    int replica; /* which one to ask, from 1 on, and then round again; 0: any */
};

/* A read of the replicas of a placement. Takes over the reference to ops. */
struct call *client_read(struct client *c, const struct placement *place, struct blob *ops,
                         const struct client_reading *how, uint64_t timeout_us,
                         void (*done)(struct call *call), void *arg);
/* Its clock: the wall clock, and all that it has heard. */
hlc_ts client_now(const struct client *c);

#endif
