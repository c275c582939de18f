/* Several transports ("parties") on one loop and one hand-made cluster; a relay between two of them
 * that can hold back, damage and cut what passes; a raw connection that speaks the channel but
 * keeps no rule above it. For the tests of runtime/transport. */
#ifndef TESTS_UNIT_TRANSPORT_FIXTURE_H
#define TESTS_UNIT_TRANSPORT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "runtime/conn.h"
#include "runtime/transport.h"
#include "wire/codec.h"

#define TRANSPORT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define PARTIES_MAX 256
#define RELAYS_MAX  16
/* Only a test that fails waits so long. */
#define PATIENCE_MS 60000u
/* In handler `down` and `unreachable`: what was said. */
#define WHY_SIZE 640

enum { NODE_A = 1, NODE_B = 2, NODE_P = 3, NODES = 3 };
enum { ALICE, BOB, CLIENTS };

#define EPOCH    3u
#define SET_HASH UINT64_C(0x0123456789abcdef)

struct fixture;

struct party {
    struct fixture *f;
    struct transport *t;
    struct transport_config config;
    int ups, downs, unreachables, messages;
    char events[64]; /* "+" up, "-" down, in order */
    uint32_t next;   /* number that the next message must have */
    bool disorder;
    bool echo;            /* send every message back */
    bool hang_up_on_down; /* of a node */
    bool close_on_message;
    struct addr last; /* peer of the last up */
    struct peer peer;
    char why[WHY_SIZE], unreached[WHY_SIZE];
    bool closed;
};

/* One direction of a relayed connection. */
struct lane {
    struct relay *relay;
    struct lane *other;
    uv_tcp_t tcp;
    bool open, reading;
};

struct relay {
    struct fixture *f;
    uv_tcp_t listener;
    uint16_t port, target;
    bool paused;
    bool damage; /* changes one bit of the next bytes, once */
    struct lane *lane[2 * RELAYS_MAX];
    int lanes;
};

/* Authenticates as anyone, then sends any frame, and answers nothing. */
struct raw {
    struct conn conn; /* first */
    struct conn_group group;
    bool open, failed, gone;
    char why[WHY_SIZE];
    int frames;
    uint64_t ping_token; /* of the last PING received */
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t beat; /* so that a loop turn always ends */
    struct cluster cluster;
    struct cluster_node node[NODES];
    struct cluster_client client[CLIENTS];
    struct noise_keypair node_keys[NODES + 1], client_keys[CLIENTS], stranger;
    struct party *party[PARTIES_MAX];
    int parties;
    struct relay relay;
    bool relaying;
    struct raw raw;
};

static inline void on_beat(uv_timer_t *timer)
{
    (void)timer;
}

#define WAIT_FOR(f, condition)                                                                     \
    do {                                                                                           \
        uint64_t until_ = uv_hrtime() + PATIENCE_MS * UINT64_C(1000000);                           \
        while (!(condition)) {                                                                     \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
            if (uv_hrtime() > until_)                                                              \
                fail_msg("waited in vain for: %s", #condition);                                    \
        }                                                                                          \
    } while (0)

/* Lets the loop turn for so long: for "nothing happens", never for "it happens by then". */
static inline void run_for(struct fixture *f, uint32_t ms)
{
    uint64_t until = uv_hrtime() + ms * UINT64_C(1000000);
    while (uv_hrtime() < until)
        uv_run(&f->loop, UV_RUN_ONCE);
}

/* ---- the cluster ---- */

static inline void fixture_node(struct fixture *f, node_id id, const char *name, enum role role)
{
    struct cluster_node *node = &f->node[id - 1];
    noise_keypair_new(&f->node_keys[id]);
    node->id = id;
    node->role = role;
    node->keys = 1;
    snprintf(node->name, sizeof node->name, "%s", name);
    snprintf(node->host, sizeof node->host, "127.0.0.1");
    memcpy(node->key[0], f->node_keys[id].public, NOISE_KEY_BYTES);
}

static inline void fixture_client(struct fixture *f, int i, const char *name)
{
    noise_keypair_new(&f->client_keys[i]);
    f->client[i].keys = 1;
    snprintf(f->client[i].name, sizeof f->client[i].name, "%s", name);
    memcpy(f->client[i].key[0], f->client_keys[i].public, NOISE_KEY_BYTES);
}

static inline int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->beat);
    uv_timer_start(&f->beat, on_beat, 5, 5);
    fixture_node(f, NODE_A, "a0", ROLE_COORDINATOR);
    fixture_node(f, NODE_B, "b0", ROLE_COORDINATOR);
    fixture_node(f, NODE_P, "p1", ROLE_PARTICIPANT);
    fixture_client(f, ALICE, "alice");
    fixture_client(f, BOB, "bob");
    noise_keypair_new(&f->stranger);
    memset(f->cluster.id, 0xc1, sizeof f->cluster.id);
    f->cluster.epoch = EPOCH;
    f->cluster.set_hash = SET_HASH;
    f->cluster.nodes = NODES;
    f->cluster.node = f->node;
    f->cluster.clients = CLIENTS;
    f->cluster.client = f->client;
    *state = f;
    return 0;
}

/* ---- parties ---- */

static inline struct tx_head head_of(uint32_t epoch, uint64_t set_hash)
{
    return (struct tx_head){
        .txid = txid_make(1, NODE_A, 7), .home = {NODE_A, 1}, .epoch = epoch, .set_hash = set_hash};
}

/* A message that coordinators and clients may send to coordinators, with a number. */
static inline struct msg *numbered(uint32_t number)
{
    struct tx_head head = head_of(EPOCH, SET_HASH);
    struct msg *m = msg_new(MSG_OUTCOME, &head);
    m->outcome.wait_ms = number;
    return m;
}

static inline assent_status send_number(struct party *p, struct addr to, uint32_t number)
{
    struct msg *m = numbered(number);
    assent_status status = transport_send(p->t, to, m);
    msg_unref(m);
    return status;
}

static inline void party_closed(void *arg)
{
    struct party *p = arg;
    p->closed = true;
    p->t = NULL;
}

static inline void party_up(void *arg, const struct peer *peer)
{
    struct party *p = arg;
    size_t n = strlen(p->events);
    if (n + 1 < sizeof p->events)
        p->events[n] = '+';
    p->ups++;
    p->last = (struct addr){peer->node, peer->node == 0 ? peer->conn : 0};
    p->peer = *peer;
}

static inline void party_down(void *arg, const struct peer *peer, const char *why)
{
    struct party *p = arg;
    size_t n = strlen(p->events);
    if (n + 1 < sizeof p->events)
        p->events[n] = '-';
    p->downs++;
    snprintf(p->why, sizeof p->why, "%s", why);
    if (peer->node != 0)
        assert_null(transport_peer(p->t, peer->node));
    if (p->hang_up_on_down)
        transport_hang_up(p->t, peer->node);
}

static inline void party_message(void *arg, const struct peer *peer, struct msg *m)
{
    struct party *p = arg;
    p->messages++;
    p->peer = *peer;
    if (m->type == MSG_OUTCOME && m->outcome.wait_ms != p->next++)
        p->disorder = true;
    if (p->echo)
        transport_send(p->t, (struct addr){peer->node, peer->node == 0 ? peer->conn : 0}, m);
    if (p->close_on_message)
        transport_close(p->t, 0, party_closed, p);
}

static inline void party_unreachable(void *arg, node_id node, const char *why)
{
    struct party *p = arg;
    (void)node;
    p->unreachables++;
    snprintf(p->unreached, sizeof p->unreached, "%s", why);
}

/* Starts p->config as it is. */
static inline void party_start(struct party *p)
{
    struct transport_handlers handlers = {p, party_up, party_down, party_message,
                                          party_unreachable};
    p->t = transport_new(&p->f->loop, &p->config, &handlers);
    p->closed = false;
}

static inline struct party *party_new(struct fixture *f, const struct noise_keypair *keys)
{
    assert_true(f->parties < PARTIES_MAX);
    struct party *p = xcalloc(1, sizeof *p);
    f->party[f->parties++] = p;
    p->f = f;
    p->closed = true;
    p->config.cluster = &f->cluster;
    p->config.keys = *keys;
    p->config.self.epoch = EPOCH;
    p->config.self.set_hash = SET_HASH;
    return p;
}

/* Not started yet, for a test that changes it first. */
static inline struct party *node_prepare(struct fixture *f, node_id id, uint32_t incarnation)
{
    struct party *p = party_new(f, &f->node_keys[id]);
    struct hello *self = &p->config.self;
    self->role = f->node[id - 1].role;
    self->node = id;
    self->incarnation = incarnation;
    memcpy(self->name, f->node[id - 1].name, sizeof self->name);
    return p;
}

static inline struct party *client_prepare(struct fixture *f, int i)
{
    struct party *p = party_new(f, &f->client_keys[i]);
    p->config.self.role = ROLE_CLIENT;
    memcpy(p->config.self.name, f->client[i].name, sizeof p->config.self.name);
    return p;
}

/* Listens on the node's port of the cluster file, or on a free one, which the file then has. */
static inline void party_listen(struct party *p)
{
    char why[256] = "";
    uint16_t port = p->f->node[p->config.self.node - 1].port;
    if (transport_listen(p->t, "127.0.0.1", port, &port, why, sizeof why) != 0)
        fail_msg("%s", why);
    assert_int_not_equal(port, 0);
    p->f->node[p->config.self.node - 1].port = port;
}

static inline struct party *node_start(struct fixture *f, node_id id, uint32_t incarnation)
{
    struct party *p = node_prepare(f, id, incarnation);
    party_start(p);
    return p;
}

static inline struct party *node_listening(struct fixture *f, node_id id, uint32_t incarnation)
{
    struct party *p = node_start(f, id, incarnation);
    party_listen(p);
    return p;
}

static inline void party_close(struct party *p, uint32_t drain_ms)
{
    if (p->t != NULL)
        transport_close(p->t, drain_ms, party_closed, p);
    WAIT_FOR(p->f, p->closed);
}

static inline struct transport_stats stats_of(const struct party *p)
{
    struct transport_stats stats;
    transport_stats(p->t, &stats);
    return stats;
}

/* ---- the relay ---- */

static inline void on_lane_closed(uv_handle_t *handle)
{
    struct lane *lane = handle->data;
    lane->open = false;
}

static inline void lane_close(struct lane *lane)
{
    if (!uv_is_closing((uv_handle_t *)&lane->tcp))
        uv_close((uv_handle_t *)&lane->tcp, on_lane_closed);
}

static inline void on_lane_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    *buf = uv_buf_init(xmalloc(suggested), (unsigned)suggested);
}

static inline void on_lane_written(uv_write_t *req, int status)
{
    (void)status;
    free(req->data);
    free(req);
}

static inline void on_lane_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct lane *lane = stream->data;
    if (n <= 0 || uv_is_closing((uv_handle_t *)&lane->other->tcp)) {
        free(buf->base);
        if (n < 0) {
            lane_close(lane);
            lane_close(lane->other);
        }
        return;
    }
    if (lane->relay->damage) {
        lane->relay->damage = false;
        buf->base[n / 2] ^= 1;
    }
    uv_write_t *req = xcalloc(1, sizeof *req);
    uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
    req->data = buf->base;
    if (uv_write(req, (uv_stream_t *)&lane->other->tcp, &out, 1, on_lane_written) != 0)
        on_lane_written(req, -1);
}

static inline void lane_flow(struct lane *lane, bool flow)
{
    if (uv_is_closing((uv_handle_t *)&lane->tcp) || !lane->reading)
        return;
    if (flow)
        uv_read_start((uv_stream_t *)&lane->tcp, on_lane_alloc, on_lane_read);
    else
        uv_read_stop((uv_stream_t *)&lane->tcp);
}

static inline void relay_pause(struct relay *r, bool paused)
{
    r->paused = paused;
    for (int i = 0; i < r->lanes; i++)
        lane_flow(r->lane[i], !paused);
}

static inline void relay_cut(struct relay *r)
{
    for (int i = 0; i < r->lanes; i++)
        lane_close(r->lane[i]);
}

static inline struct lane *lane_new(struct relay *r)
{
    assert_true(r->lanes < 2 * RELAYS_MAX);
    struct lane *lane = xcalloc(1, sizeof *lane);
    lane->relay = r;
    lane->open = true;
    uv_tcp_init(&r->f->loop, &lane->tcp);
    lane->tcp.data = lane;
    return r->lane[r->lanes++] = lane;
}

static inline void on_lane_connected(uv_connect_t *req, int status)
{
    struct lane *lane = req->data;
    free(req);
    if (status != 0) {
        lane_close(lane);
        lane_close(lane->other);
        return;
    }
    lane->reading = lane->other->reading = true;
    lane_flow(lane, !lane->relay->paused);
    lane_flow(lane->other, !lane->relay->paused);
}

static inline void on_relayed(uv_stream_t *listener, int status)
{
    struct relay *r = listener->data;
    assert_int_equal(status, 0);
    struct lane *in = lane_new(r), *out = lane_new(r);
    in->other = out;
    out->other = in;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&in->tcp), 0);
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", r->target, &to);
    uv_connect_t *req = xcalloc(1, sizeof *req);
    req->data = out;
    assert_int_equal(
        uv_tcp_connect(req, &out->tcp, (const struct sockaddr *)&to, on_lane_connected), 0);
}

/* From now on whoever dials the node goes through the relay. */
static inline struct relay *relay_before(struct fixture *f, node_id id)
{
    struct relay *r = &f->relay;
    struct sockaddr_in address;
    int len = sizeof address;
    r->f = f;
    r->target = f->node[id - 1].port;
    f->relaying = true;
    uv_tcp_init(&f->loop, &r->listener);
    r->listener.data = r;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&r->listener, (const struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&r->listener, 16, on_relayed), 0);
    uv_tcp_getsockname(&r->listener, (struct sockaddr *)&address, &len);
    r->port = ntohs(address.sin_port);
    f->node[id - 1].port = r->port;
    return r;
}

static inline void relay_close(struct fixture *f)
{
    struct relay *r = &f->relay;
    if (!f->relaying)
        return;
    relay_cut(r);
    uv_close((uv_handle_t *)&r->listener, NULL);
    for (int i = 0; i < r->lanes; i++) {
        WAIT_FOR(f, !r->lane[i]->open);
        free(r->lane[i]);
    }
}

/* ---- a raw connection ---- */

static inline struct raw *raw_of(struct conn *c)
{
    return (struct raw *)(void *)c;
}

static inline const char *raw_verdict(struct conn *c)
{
    (void)c;
    return NULL;
}

static inline void raw_open(struct conn *c)
{
    raw_of(c)->open = true;
}

static inline void raw_frame(struct conn *c, struct bytes body)
{
    char why[128];
    struct msg *m = codec_decode(body, why, sizeof why);
    assert_non_null(m);
    raw_of(c)->frames++;
    if (m->type == MSG_PING)
        raw_of(c)->ping_token = m->ping.token;
    msg_unref(m);
}

static inline void raw_tick(struct conn *c)
{
    (void)c;
}

static inline void raw_failed(struct conn *c, const char *why)
{
    raw_of(c)->failed = true;
    snprintf(raw_of(c)->why, WHY_SIZE, "%s", why);
}

static inline void raw_gone(struct conn *c)
{
    raw_of(c)->gone = true;
}

/* Connects to the node with the party's identity; once in a test. */
static inline struct raw *raw_connect(const struct party *as, node_id to)
{
    struct fixture *f = as->f;
    struct raw *raw = &f->raw;
    struct sockaddr_in address;
    raw->group = (struct conn_group){.loop = &f->loop,
                                     .handshake_ms = PATIENCE_MS,
                                     .tick_ms = PATIENCE_MS,
                                     .silent_ms = PATIENCE_MS,
                                     .queue_bytes_max = SEND_QUEUE_BYTES_MAX,
                                     .verdict = raw_verdict,
                                     .open = raw_open,
                                     .frame = raw_frame,
                                     .tick = raw_tick,
                                     .failed = raw_failed,
                                     .gone = raw_gone};
    conn_group_init(&raw->group);
    uv_ip4_addr("127.0.0.1", f->node[to - 1].port, &address);
    conn_connect(
        &raw->conn, &raw->group, (const struct sockaddr *)&address,
        channel_connect(f->cluster.id, &as->config.self, &as->config.keys, f->node[to - 1].key[0]));
    return raw;
}

static inline void raw_send(struct raw *raw, const struct msg *m)
{
    assert_int_equal(conn_send(&raw->conn, m), ASSENT_OK);
    conn_group_flush(&raw->group);
}

static inline void raw_close(struct fixture *f)
{
    if (f->raw.group.loop == NULL)
        return;
    if (!f->raw.gone)
        conn_close(&f->raw.conn);
    WAIT_FOR(f, f->raw.gone);
    conn_group_free(&f->raw.group);
}

/* ---- the end ---- */

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    raw_close(f);
    for (int i = 0; i < f->parties; i++) {
        party_close(f->party[i], 0);
        free(f->party[i]);
    }
    relay_close(f);
    uv_close((uv_handle_t *)&f->beat, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    int err = uv_loop_close(&f->loop); /* UV_EBUSY: a handle was left open */
    if (err != 0)
        print_error("uv_loop_close: %s\n", uv_strerror(err));
    free(f);
    return err;
}

#endif
