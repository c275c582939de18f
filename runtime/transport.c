/* Who is connected, who is dialled, and what passes between (runtime/transport.h). The bytes of one
 * connection are conn.c's, when and where to dial is dialer.c's, who may come in admission.c's.
 *
 *   accepted:  on_connection -> session_verdict -> session_open -> up
 *   dialled:   transport_dial, dial_attempt -> session_verdict -> session_open -> up
 *   lost:      session_failed, or the owner's wish -> session_down -> down -> dialler waits, dials
 *
 * Invariants
 *   1. A session is `up` exactly between the handlers up and down; then, and only then, it is in
 *      `by_node` or `by_conn`.
 *   2. At most one session per node is up. A newer one replaces it: down, then up.
 *   3. A dial has at most one session of its own; it rests while another one to its node is up.
 *   4. Handlers may call anything here. A session's memory lives until its handles close, so it can
 *      be looked at after any handler; whether it is still open must be.
 *   5. `handles` counts what must close before the transport may be freed: sessions, diallers, the
 *      listener and the flush handle. */
#include "runtime/transport.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/prng.h"
#include "runtime/admission.h"
#include "runtime/conn.h"
#include "runtime/dialer.h"
#include "runtime/keys.h"
#include "runtime/log.h"
#include "wire/codec.h"
#include "wire/random.h"

#define LISTEN_BACKLOG 1024
/* What a hung-up connection may take to send what is queued. */
#define HANG_UP_LINGER_MS 1000u
/* Pings whose answer may still come; a power of two. */
#define PINGS_WAITING 8u
/* Log lines of one kind that a peer can cause: so many in so long, the rest is counted. */
#define LIMITED_LINES     5u
#define LIMITED_PERIOD_MS 10000u

enum limited { LIMITED_BOUND, LIMITED_HANDSHAKE, LIMITED_HEAD, LIMITED_BROKEN, LIMITED_KINDS };

struct limiter {
    bool once; /* one line a period is enough */
    uint64_t since_ms;
    uint64_t lines; /* wanted since then */
};

struct dial {
    struct dialer dialer; /* first: a dialer is its dial */
    struct transport *t;
    node_id node;
    bool wanted;
    int key; /* which of the node's keys the next attempt expects */
    struct session *session;
    struct limiter limiter;
};

struct session {
    struct conn conn; /* first: a conn is its session */
    struct transport *t;
    struct dial *dial; /* NULL for an accepted connection, and once it no longer matters */
    bool up;
    bool accepted;    /* counted in t->accepted */
    bool handshaking; /* counted in t->handshakes */
    struct peer peer;
    uint64_t pings; /* sent */
    uint64_t ping_sent_ns[PINGS_WAITING];
    char refusal[CONN_WHY_BYTES];
    TAILQ_ENTRY(session) link;
    TAILQ_ENTRY(session) handshake_link;
    UT_hash_handle hh; /* t->by_conn */
};

struct transport {
    uv_loop_t *loop;
    struct transport_config config;
    struct transport_handlers handlers;
    struct conn_group group;
    struct prng prng;
    uv_prepare_t flush;
    bool closing, drained;
    bool quiet;
    void (*closed)(void *arg);
    void *closed_arg;
    uint32_t handles;
    uv_tcp_t *listener;
    uint32_t accepted, handshakes;
    TAILQ_HEAD(, session) sessions;
    TAILQ_HEAD(, session) handshaking; /* the accepted ones, oldest first */
    struct session *by_conn;           /* clients */
    struct session *by_node[NODES_MAX + 1];
    struct dial *dial[NODES_MAX + 1];
    uint32_t incarnation[NODES_MAX + 1]; /* highest seen */
    struct limiter limiter[LIMITED_KINDS];
    uint64_t messages_in, messages_out, refused, connections;
};

static struct session *session_of(struct conn *c)
{
    return (struct session *)(void *)c;
}

static struct dial *dial_of(struct dialer *d)
{
    return (struct dial *)(void *)d;
}

static uint64_t system_wall_ms(void)
{
    uv_timeval64_t now = {0};
    uv_gettimeofday(&now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

/* Whether a line may be written now; *skipped is how many were not since the last one. */
static bool limiter_pass(struct limiter *l, uint64_t now_ms, uint64_t *skipped)
{
    uint64_t max = l->once ? 1 : LIMITED_LINES;
    *skipped = 0;
    if (l->lines == 0 || now_ms - l->since_ms >= LIMITED_PERIOD_MS) {
        *skipped = l->lines > max ? l->lines - max : 0;
        l->since_ms = now_ms;
        l->lines = 0;
    }
    return ++l->lines <= max;
}

static void log_limited(struct transport *t, struct limiter *l, const char *event, const char *why,
                        const char *peer, const char *address)
{
    uint64_t skipped;
    if (t->quiet || !limiter_pass(l, uv_now(t->loop), &skipped))
        return;
    LOG(LOGGER_WARN, event, why, LOG_TEXT("peer", peer), LOG_TEXT("address", address),
        LOG_NUMBER("skipped", skipped));
}

/* Clients come and go. */
static void log_peer(const struct session *s, const char *event, const char *message)
{
    if (!s->t->quiet)
        LOG(s->peer.role == ROLE_CLIENT ? LOGGER_DEBUG : LOGGER_INFO, event, message,
            LOG_TEXT("peer", s->peer.name.text), LOG_TEXT("role", role_name(s->peer.role)),
            LOG_TEXT("address", s->conn.address), LOG_NUMBER("incarnation", s->peer.incarnation));
}

/* ---- closing ---- */

static void transport_released(struct transport *t)
{
    if (--t->handles > 0)
        return;
    conn_group_free(&t->group);
    keypair_wipe(&t->config.keys);
    t->closed(t->closed_arg);
    free(t);
}

static void on_flush_closed(uv_handle_t *handle)
{
    transport_released(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;
    free(handle);
    transport_released(t);
}

/* Once no session is left nothing needs the flush handle. */
static void transport_drained(struct transport *t)
{
    if (!t->closing || t->drained || !TAILQ_EMPTY(&t->sessions))
        return;
    t->drained = true;
    uv_close((uv_handle_t *)&t->flush, on_flush_closed);
}

/* ---- sessions ---- */

static struct session *session_new(struct transport *t, struct dial *dial)
{
    struct session *s = xcalloc(1, sizeof *s);
    s->t = t;
    s->dial = dial;
    t->handles++;
    TAILQ_INSERT_TAIL(&t->sessions, s, link);
    return s;
}

static void session_handshake_over(struct session *s)
{
    if (!s->handshaking)
        return;
    s->handshaking = false;
    s->t->handshakes--;
    TAILQ_REMOVE(&s->t->handshaking, s, handshake_link);
}

static void session_gone(struct conn *c)
{
    struct session *s = session_of(c);
    struct transport *t = s->t;
    session_handshake_over(s);
    if (s->accepted)
        t->accepted--;
    TAILQ_REMOVE(&t->sessions, s, link);
    free(s);
    transport_drained(t);
    transport_released(t);
}

/* The session no longer speaks for its dial. */
static struct dial *session_detach(struct session *s)
{
    struct dial *dial = s->dial;
    s->dial = NULL;
    if (dial != NULL && dial->session == s)
        dial->session = NULL;
    return dial;
}

/* Takes it off the tables; true if it was up, so that down() is due. */
static bool session_off(struct session *s)
{
    struct transport *t = s->t;
    if (!s->up)
        return false;
    s->up = false;
    t->connections--;
    if (s->peer.node != 0)
        t->by_node[s->peer.node] = NULL;
    else
        HASH_DEL(t->by_conn, s);
    return true;
}

/* An up session ends: closed already, or about to be by the caller. */
static void session_down(struct session *s, const char *why)
{
    struct transport *t = s->t;
    node_id node = s->peer.node;
    session_detach(s);
    if (!session_off(s))
        return;
    log_peer(s, "peer.down", why);
    t->handlers.down(t->handlers.arg, &s->peer, why);
    struct dial *dial = t->dial[node];
    if (dial != NULL && dial->wanted && dial->session == NULL && t->by_node[node] == NULL &&
        !t->closing)
        dialer_again(&dial->dialer);
}

/* The peer broke a rule. */
__attribute__((format(printf, 2, 3))) static void session_break(struct session *s,
                                                                const char *format, ...)
{
    char why[CONN_WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    log_limited(s->t, &s->t->limiter[LIMITED_BROKEN], "peer.misbehaved", why, s->peer.name.text,
                s->conn.address);
    conn_close(&s->conn);
    session_down(s, why);
}

static void dial_failed(struct dial *dial, const char *why)
{
    struct transport *t = dial->t;
    const struct cluster_node *node = cluster_node(t->config.cluster, dial->node);
    log_limited(t, &dial->limiter, "peer.unreachable", why, node->name, node->host);
    if (t->handlers.unreachable != NULL)
        t->handlers.unreachable(t->handlers.arg, dial->node, why);
}

static void session_failed(struct conn *c, const char *why)
{
    struct session *s = session_of(c);
    struct transport *t = s->t;
    if (s->up) {
        session_down(s, why);
        return;
    }
    session_handshake_over(s);
    struct dial *dial = session_detach(s);
    if (dial == NULL) {
        log_limited(t, &t->limiter[LIMITED_HANDSHAKE], "peer.refused", why, NULL, c->address);
        return;
    }
    /* During a rotation either key may be the one: take the other in turn. */
    const struct cluster_node *node = cluster_node(t->config.cluster, dial->node);
    if (c->connected && node->keys > 1)
        dial->key = (dial->key + 1) % node->keys;
    dialer_failed(&dial->dialer, !c->connected);
    dial_failed(dial, why);
}

/* Incarnations of a node only grow: an old copy of it must not speak for it again. */
static bool session_is_outdated(struct session *s, const struct hello *peer)
{
    uint32_t seen = s->t->incarnation[peer->node];
    if (peer->incarnation >= seen)
        return false;
    snprintf(s->refusal, sizeof s->refusal,
             "incarnation of '%s' went back: this node has seen %" PRIu32 ", the peer has %" PRIu32
             "; an older copy of it is running: stop that one",
             peer->name, seen, peer->incarnation);
    return true;
}

static const char *session_verdict(struct conn *c)
{
    struct session *s = session_of(c);
    struct transport *t = s->t;
    const struct hello *peer = channel_peer(c->channel);
    const struct transport_config *config = &t->config;
    bool refused = false;
    if (s->dial != NULL && peer->node != s->dial->node) {
        const struct cluster_node *node = cluster_node(config->cluster, s->dial->node);
        snprintf(s->refusal, sizeof s->refusal,
                 "'%s' (id %u) answered where '%s' (id %u) was expected; start both with the same "
                 "cluster file",
                 peer->name, peer->node, node->name, node->id);
        refused = true;
    } else {
        refused = !admission_check(config->cluster, &config->self, peer,
                                   channel_peer_key(c->channel), s->refusal, sizeof s->refusal) ||
                  (peer->node != 0 && session_is_outdated(s, peer));
    }
    if (refused)
        t->refused++;
    return refused ? s->refusal : NULL;
}

static uint64_t next_conn(void)
{
    static atomic_uint_fast64_t last;
    return atomic_fetch_add(&last, 1) + 1;
}

/* Whatever else this transport has or tries with the node gives way to the new session. */
static void session_replace(struct session *s)
{
    struct transport *t = s->t;
    struct dial *dial = t->dial[s->peer.node];
    if (dial != NULL && dial->session != NULL && dial->session != s && !dial->session->up) {
        struct session *attempt = dial->session;
        session_detach(attempt);
        conn_close(&attempt->conn);
    }
    struct session *old = t->by_node[s->peer.node];
    if (old != NULL) {
        conn_close(&old->conn);
        session_down(old, "replaced by a newer connection of the same node");
    }
    dial = t->dial[s->peer.node];
    if (dial != NULL && s->dial != dial)
        dialer_stop(&dial->dialer);
}

static void session_ping(struct session *s);

static void session_open(struct conn *c)
{
    struct session *s = session_of(c);
    struct transport *t = s->t;
    const struct hello *hello = channel_peer(c->channel);
    session_handshake_over(s);
    s->peer = (struct peer){.conn = next_conn(),
                            .role = hello->role,
                            .node = hello->node,
                            .incarnation = hello->incarnation};
    memcpy(s->peer.name.text, hello->name, sizeof s->peer.name.text);
    if (s->peer.node != 0) {
        t->incarnation[s->peer.node] = hello->incarnation;
        if (s->dial != NULL) {
            dialer_up(&s->dial->dialer);
            s->dial->limiter.lines = 0;
        }
        session_replace(s);
        if (c->state != CONN_OPEN) /* the handler of the old one's end hung up */
            return;
        t->by_node[s->peer.node] = s;
    } else {
        HASH_ADD(hh, t->by_conn, peer.conn, sizeof s->peer.conn, s);
    }
    s->up = true;
    t->connections++;
    log_peer(s, "peer.up", "connected");
    session_ping(s);
    t->handlers.up(t->handlers.arg, &s->peer);
}

/* ---- messages ---- */

static assent_status session_send(struct session *s, const struct msg *m)
{
    assent_status status = conn_send(&s->conn, m);
    if (status == ASSENT_OK)
        s->t->messages_out++;
    return status;
}

static void session_ping(struct session *s)
{
    struct msg *m = msg_new(MSG_PING, NULL);
    m->ping.token = ++s->pings;
    m->ping.wall_ms = s->t->config.wall_ms();
    s->ping_sent_ns[m->ping.token % PINGS_WAITING] = uv_hrtime();
    session_send(s, m);
    msg_unref(m);
}

static void session_pong(struct session *s, const struct msg *ping)
{
    struct msg *m = msg_new(MSG_PONG, NULL);
    m->ping.token = ping->ping.token;
    m->ping.wall_ms = s->t->config.wall_ms();
    session_send(s, m);
    msg_unref(m);
}

/* The round trip follows every faster sample at once and slower ones slowly, so that a queue or a
 * busy moment does not count as distance. A sample's clock reading is no better than its round
 * trip. */
static void session_measure(struct session *s, const struct msg *pong)
{
    uint64_t token = pong->ping.token;
    uint64_t *sent_ns = &s->ping_sent_ns[token % PINGS_WAITING];
    if (token == 0 || token > s->pings || s->pings - token >= PINGS_WAITING || *sent_ns == 0)
        return;
    uint64_t us = (uv_hrtime() - *sent_ns) / 1000;
    *sent_ns = 0;
    uint32_t sample = us == 0 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    uint32_t rtt = s->peer.rtt_us;
    bool first = rtt == 0;
    s->peer.rtt_us = first || sample < rtt ? sample : rtt + (sample - rtt) / 8;
    if (first || sample / 2 <= s->peer.rtt_us)
        s->peer.clock_ahead_ms =
            (int64_t)(pong->ping.wall_ms - (s->t->config.wall_ms() - (uint64_t)sample / 2000));
}

/* A transaction of another epoch or coordinator set counts its quorums differently. */
static bool session_head_fits(struct session *s, const struct msg *m)
{
    struct transport *t = s->t;
    const struct hello *self = &t->config.self;
    if (m->head.epoch == self->epoch && m->head.set_hash == self->set_hash)
        return true;
    uint64_t skipped;
    if (!t->quiet && limiter_pass(&t->limiter[LIMITED_HEAD], uv_now(t->loop), &skipped)) {
        char why[192];
        snprintf(why, sizeof why,
                 "dropped a message: this node has epoch %" PRIu32
                 " and coordinator set %016" PRIx64 ", the message epoch %" PRIu32
                 " and set %016" PRIx64,
                 self->epoch, self->set_hash, m->head.epoch, m->head.set_hash);
        LOG(LOGGER_ERROR, "peer.other_epoch", why, LOG_TEXT("type", msg_name(m->type)),
            LOG_TEXT("peer", s->peer.name.text), LOG_TXID("txid", &m->head.txid),
            LOG_NUMBER("skipped", skipped));
    }
    return false;
}

static void session_frame(struct conn *c, struct bytes body)
{
    struct session *s = session_of(c);
    struct transport *t = s->t;
    char why[128];
    struct msg *m = codec_decode(body, why, sizeof why);
    t->messages_in++;
    if (m == NULL)
        session_break(s, "malformed message: %s", why);
    else if (!msg_allowed(m->type, s->peer.role, t->config.self.role))
        session_break(s, "a %s may not send %s to a %s", role_name(s->peer.role), msg_name(m->type),
                      role_name(t->config.self.role));
    else if (m->type == MSG_PING)
        session_pong(s, m);
    else if (m->type == MSG_PONG)
        session_measure(s, m);
    else if (!msg_has_head(m->type) || session_head_fits(s, m))
        t->handlers.message(t->handlers.arg, &s->peer, m);
    msg_unref(m);
}

static void session_tick(struct conn *c)
{
    session_ping(session_of(c));
}

/* ---- dialling ---- */

static void dial_attempt(struct dialer *d, const struct sockaddr *address)
{
    struct dial *dial = dial_of(d);
    struct transport *t = dial->t;
    const struct cluster_node *node = cluster_node(t->config.cluster, dial->node);
    struct session *s = session_new(t, dial);
    dial->session = s;
    conn_connect(&s->conn, &t->group, address,
                 channel_connect(t->config.cluster->id, &t->config.self, &t->config.keys,
                                 node->key[dial->key % node->keys]));
}

static void dial_lookup_failed(struct dialer *d, const char *why)
{
    dial_failed(dial_of(d), why);
}

static void dial_closed(struct dialer *d)
{
    struct dial *dial = dial_of(d);
    struct transport *t = dial->t;
    t->dial[dial->node] = NULL;
    free(dial);
    transport_released(t);
}

static struct dial *dial_new(struct transport *t, const struct cluster_node *node)
{
    struct dial *dial = xcalloc(1, sizeof *dial);
    dial->t = t;
    dial->node = node->id;
    dial->dialer.loop = t->loop;
    dial->dialer.prng = &t->prng;
    dial->dialer.host = node->host;
    dial->dialer.port = node->port;
    dial->dialer.attempt = dial_attempt;
    dial->dialer.lookup_failed = dial_lookup_failed;
    dial->dialer.closed = dial_closed;
    dial->limiter.once = true;
    dialer_init(&dial->dialer);
    t->handles++;
    return dial;
}

void transport_dial(struct transport *t, node_id node)
{
    const struct cluster_node *found = cluster_node(t->config.cluster, node);
    if (found == NULL || t->closing)
        return;
    if (t->dial[node] == NULL)
        t->dial[node] = dial_new(t, found);
    struct dial *dial = t->dial[node];
    dial->wanted = true;
    if (t->by_node[node] == NULL && dial->session == NULL)
        dialer_start(&dial->dialer);
}

void transport_hang_up(struct transport *t, node_id node)
{
    if (node == 0 || node > NODES_MAX || t->closing)
        return;
    struct dial *dial = t->dial[node];
    struct session *s = t->by_node[node];
    if (dial != NULL) {
        dial->wanted = false;
        dialer_stop(&dial->dialer);
        struct session *attempt = dial->session;
        if (attempt != NULL && !attempt->up) {
            session_detach(attempt);
            conn_close(&attempt->conn);
        }
    }
    if (s != NULL) {
        conn_finish(&s->conn, HANG_UP_LINGER_MS);
        session_down(s, "this node hung up");
    }
}

/* ---- listening ---- */

static void on_refused_closed(uv_handle_t *handle)
{
    free(handle);
}

/* The connection must be taken before it can be closed. */
static void connection_refuse(struct transport *t, uv_stream_t *listener, const char *why)
{
    uv_tcp_t *tcp = xcalloc(1, sizeof *tcp);
    uv_tcp_init(t->loop, tcp);
    int err = uv_accept(listener, (uv_stream_t *)tcp);
    uv_close((uv_handle_t *)tcp, on_refused_closed);
    if (err != 0)
        return;
    t->refused++;
    log_limited(t, &t->limiter[LIMITED_BOUND], "peer.over_bound", why, NULL, NULL);
}

/* Strangers who idle must not keep out whoever would authenticate: one of them is closed. */
static void handshakes_make_room(struct transport *t)
{
    uint64_t *network = xcalloc(t->handshakes, sizeof *network);
    struct session *s;
    int n = 0;
    TAILQ_FOREACH (s, &t->handshaking, handshake_link)
        network[n++] = s->conn.network;
    int victim = admission_victim(network, n);
    free(network);
    s = TAILQ_FIRST(&t->handshaking);
    for (int i = 0; i < victim; i++)
        s = TAILQ_NEXT(s, handshake_link);
    t->refused++;
    log_limited(t, &t->limiter[LIMITED_BOUND], "peer.over_bound",
                "too many connections have not authenticated yet; the oldest gives way", NULL,
                s->conn.address);
    session_handshake_over(s);
    s->accepted = false; /* its socket closes at once, its memory a loop turn later */
    t->accepted--;
    conn_close(&s->conn);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct transport *t = listener->data;
    const struct transport_config *config = &t->config;
    if (status != 0) {
        log_limited(t, &t->limiter[LIMITED_BOUND], "peer.not_accepted", uv_strerror(status), NULL,
                    NULL);
    } else if (t->accepted >= config->bounds.connections) {
        connection_refuse(t, listener, "as many connections as one node accepts are open");
    } else {
        struct session *s = session_new(t, NULL);
        s->accepted = s->handshaking = true;
        TAILQ_INSERT_TAIL(&t->handshaking, s, handshake_link);
        t->handshakes++;
        t->accepted++;
        conn_accept(&s->conn, &t->group, listener,
                    channel_accept(config->cluster->id, &config->self, &config->keys));
        if (t->handshakes > config->bounds.handshakes)
            handshakes_make_room(t);
    }
}

static int listen_address(struct transport *t, const char *host, uint16_t port,
                          struct sockaddr_storage *out)
{
    if (dialer_numeric(host, port, out))
        return 0;
    uv_getaddrinfo_t req;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    int err = uv_getaddrinfo(t->loop, &req, NULL, host, service, &hints);
    if (err != 0)
        return err;
    memcpy(out, req.addrinfo->ai_addr, req.addrinfo->ai_addrlen);
    uv_freeaddrinfo(req.addrinfo);
    return 0;
}

static int listen_on(struct transport *t, const struct sockaddr *address, uint16_t *bound)
{
    struct sockaddr_storage got = {0};
    int len = sizeof got;
    int err = uv_tcp_bind(t->listener, address, 0);
    if (err == 0)
        err = uv_listen((uv_stream_t *)t->listener, LISTEN_BACKLOG, on_connection);
    if (err == 0)
        err = uv_tcp_getsockname(t->listener, (struct sockaddr *)&got, &len);
    if (err == 0 && bound != NULL)
        *bound = ntohs(got.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&got)->sin6_port
                                                 : ((struct sockaddr_in *)&got)->sin_port);
    return err;
}

static void listener_close(struct transport *t)
{
    if (t->listener != NULL)
        uv_close((uv_handle_t *)t->listener, on_listener_closed);
    t->listener = NULL;
}

int transport_listen(struct transport *t, const char *host, uint16_t port, uint16_t *bound,
                     char *why, size_t why_size)
{
    const struct cluster_node *node = cluster_node(t->config.cluster, t->config.self.node);
    if (t->listener != NULL || t->closing || (host == NULL && node == NULL)) {
        snprintf(why, why_size, "cannot listen: listening already, closing, or no node");
        return -1;
    }
    if (host == NULL) {
        host = node->host;
        port = node->port;
    }
    struct sockaddr_storage address;
    int err = listen_address(t, host, port, &address);
    if (err == 0) {
        t->listener = xcalloc(1, sizeof *t->listener);
        t->listener->data = t;
        t->handles++;
        uv_tcp_init(t->loop, t->listener);
        err = listen_on(t, (struct sockaddr *)&address, bound);
    }
    if (err == 0)
        return 0;
    listener_close(t);
    snprintf(why, why_size, "cannot listen on %.128s port %u: %s; free it or choose another", host,
             port, uv_strerror(err));
    return -1;
}

/* ---- the whole ---- */

static void on_flush(uv_prepare_t *prepare)
{
    struct transport *t = prepare->data;
    conn_group_flush(&t->group);
}

static uint32_t bound_or(uint32_t wanted, uint32_t limit)
{
    return wanted != 0 ? wanted : limit;
}

struct transport *transport_new(uv_loop_t *loop, const struct transport_config *config,
                                const struct transport_handlers *handlers)
{
    struct transport *t = xcalloc(1, sizeof *t);
    struct transport_bounds *b = &t->config.bounds;
    t->loop = loop;
    t->config = *config;
    t->handlers = *handlers;
    t->quiet = config->self.role == ROLE_CLIENT;
    if (t->config.wall_ms == NULL)
        t->config.wall_ms = system_wall_ms;
    b->handshake_timeout_ms = bound_or(b->handshake_timeout_ms, HANDSHAKE_TIMEOUT_MS);
    b->ping_interval_ms = bound_or(b->ping_interval_ms, PING_INTERVAL_MS);
    b->peer_silent_ms = bound_or(b->peer_silent_ms, PEER_SILENT_MS);
    b->handshakes = bound_or(b->handshakes, HANDSHAKES_MAX);
    b->connections = bound_or(b->connections, CONNECTIONS_MAX);
    b->send_queue_bytes = b->send_queue_bytes != 0 ? b->send_queue_bytes : SEND_QUEUE_BYTES_MAX;
    t->group = (struct conn_group){.loop = loop,
                                   .owner = t,
                                   .handshake_ms = b->handshake_timeout_ms,
                                   .tick_ms = b->ping_interval_ms,
                                   .silent_ms = b->peer_silent_ms,
                                   .queue_bytes_max = b->send_queue_bytes,
                                   .verdict = session_verdict,
                                   .open = session_open,
                                   .frame = session_frame,
                                   .tick = session_tick,
                                   .failed = session_failed,
                                   .gone = session_gone};
    conn_group_init(&t->group);
    TAILQ_INIT(&t->sessions);
    TAILQ_INIT(&t->handshaking);
    prng_seed(&t->prng, random_bits());
    t->flush.data = t;
    uv_prepare_init(loop, &t->flush);
    uv_prepare_start(&t->flush, on_flush);
    t->handles = 1;
    return t;
}

static struct session *session_to(const struct transport *t, struct addr to)
{
    struct session *s = NULL;
    if (to.node != 0)
        return to.node <= NODES_MAX ? t->by_node[to.node] : NULL;
    HASH_FIND(hh, t->by_conn, &to.conn, sizeof to.conn, s);
    return s;
}

assent_status transport_send(struct transport *t, struct addr to, const struct msg *m)
{
    struct session *s = session_to(t, to);
    return s == NULL ? ASSENT_UNREACHABLE : session_send(s, m);
}

const struct peer *transport_peer(const struct transport *t, node_id node)
{
    struct session *s = node == 0 ? NULL : session_to(t, addr_node(node));
    return s == NULL ? NULL : &s->peer;
}

void transport_close(struct transport *t, uint32_t drain_ms, void (*closed)(void *arg), void *arg)
{
    struct session *s;
    if (t->closing)
        return;
    t->closing = true;
    t->closed = closed;
    t->closed_arg = arg;
    listener_close(t);
    TAILQ_FOREACH (s, &t->sessions, link) {
        session_detach(s);
        bool may_hold_bytes = session_off(s) || s->conn.state == CONN_LINGERING;
        if (may_hold_bytes && drain_ms > 0)
            conn_finish(&s->conn, drain_ms);
        else
            conn_close(&s->conn);
    }
    for (int i = 1; i <= NODES_MAX; i++)
        if (t->dial[i] != NULL)
            dialer_close(&t->dial[i]->dialer);
    transport_drained(t);
}

void transport_stats(const struct transport *t, struct transport_stats *out)
{
    *out = (struct transport_stats){.messages_in = t->messages_in,
                                    .messages_out = t->messages_out,
                                    .bytes_in = t->group.bytes_in,
                                    .bytes_out = t->group.bytes_out,
                                    .writes = t->group.writes,
                                    .refused = t->refused,
                                    .connections = t->connections};
}
