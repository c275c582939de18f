/* Every event of the transport or of a timer is given to the calls that it concerns (call_step);
 * what a call's logic asks for in return is sent or dialled at once; a call that is done goes to
 * the list of finished ones, which the next loop turn ends. */
#include "client/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "runtime/keys.h"
#include "runtime/transport.h"
#include "wire/random.h"

#define CLOSE_DRAIN_MS 200u
#define REFRESH_US     200000u

/* The calls that wait for the result of one transaction. */
struct topic {
    struct txid txid;
    LIST_HEAD(, session_call) calls;
    UT_hash_handle hh;
};

struct engine {
    uv_loop_t *loop;
    const struct cluster *cluster;
    struct transport *transport;
    struct roster roster;
    char *why[NODES_MAX + 1]; /* why a node is not connected */
    /* Dialled when no step is under way: a dial may fail at once, and calls of others then see it.
     */
    int to_dial;
    node_id dial[NODES_MAX];
    uint64_t refresh_us; /* when to look at the round trips again */
    struct hlc clock;
    struct prng prng;
    uint64_t last_request;
    struct timers timers;
    uv_timer_t timer;  /* fires at the earliest of timers */
    uint64_t armed_us; /* when; TIMERS_NEVER: it does not run */
    /* Ends the finished calls. Idle handles have one turn each time the loop goes round, so that
     * sockets do too, even if a callback always starts a call that fails at once. */
    uv_idle_t turn;
    struct calls active;
    struct calls finished;
    struct topic *topics;
    struct call_request *requests;
    bool closing;
    bool transport_closing;
    int handles;
    void (*closed)(void *arg);
    void *closed_arg;
};

static const char *node_name(const struct engine *e, node_id node)
{
    const struct cluster_node *n = cluster_node(e->cluster, node);
    return n == NULL ? "?" : n->name;
}

/* The state of the connection to a node, for sentences. */
static const char *node_why(const struct engine *e, node_id node)
{
    if (e->roster.node[node].up)
        return "connected";
    return e->why[node] != NULL ? e->why[node] : "not connected yet";
}

/* ---- sentences ---- */

/* "a0: connection refused; b0: not connected yet". */
static void nodes_why(const struct engine *e, const node_id *node, int n, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < n && at < size; i++) {
        int more = snprintf(out + at, size - at, "%s%s: %s", at == 0 ? "" : "; ",
                            node_name(e, node[i]), node_why(e, node[i]));
        at += more > 0 ? (size_t)more : 0;
    }
}

static void session_why(const struct engine *e, struct session_call *c)
{
    const struct session *s = &c->session;
    char id[TXID_TEXT_BYTES], nodes[600];
    txid_text(&s->config.head.txid, id);
    nodes_why(e, e->cluster->coordinator, e->cluster->coordinators, nodes, sizeof nodes);
    char *out = c->call.why;
    size_t size = sizeof c->call.why;
    const char *text = assent_status_text(s->status);
    switch (s->status) {
    case ASSENT_OK:
        break;
    case ASSENT_CLOSED:
        snprintf(out, size, "%s was not sent: the handle was closed", id);
        break;
    case ASSENT_NOT_SENT:
        snprintf(out, size, "%s was not sent: no coordinator could be reached in time (%s)", id,
                 nodes);
        break;
    case ASSENT_UNKNOWN:
        snprintf(out, size,
                 "the outcome of %s could not be learned in time, it may have committed: ask "
                 "again for its outcome (%s)",
                 id, nodes);
        break;
    case ASSENT_PENDING:
    case ASSENT_EXPIRED:
        snprintf(out, size, "%s: %s", id, text);
        break;
    default:
        snprintf(out, size, "%s: %s%s%s%s%s", id, text, s->culprit != 0 ? ", at " : "",
                 s->culprit != 0 ? node_name(e, s->culprit) : "", s->detail[0] != '\0' ? ": " : "",
                 s->detail);
        break;
    }
}

static void read_why(const struct engine *e, struct read_call *c)
{
    const struct read *r = &c->read;
    char nodes[600];
    nodes_why(e, r->config.replica, r->config.replicas, nodes, sizeof nodes);
    if (r->status == ASSENT_READ_TIMED_OUT && r->heard)
        snprintf(c->call.why, sizeof c->call.why, "nothing changed in time");
    else if (r->status == ASSENT_READ_TIMED_OUT)
        snprintf(c->call.why, sizeof c->call.why, "no replica answered in time (%s)%s%s%s%s", nodes,
                 r->refusal != ASSENT_OK ? "; the last refusal: " : "",
                 r->refusal != ASSENT_OK ? assent_status_text(r->refusal) : "",
                 r->detail[0] != '\0' ? ": " : "", r->detail);
    else if (r->status != ASSENT_OK)
        snprintf(c->call.why, sizeof c->call.why, "%s%s%s%s%s", assent_status_text(r->status),
                 r->answered != 0 ? ", at " : "", r->answered != 0 ? node_name(e, r->answered) : "",
                 r->detail[0] != '\0' ? ": " : "", r->detail);
}

/* ---- ending calls ---- */

static void topic_leave(struct engine *e, struct session_call *c)
{
    struct topic *topic;
    LIST_REMOVE(c, same);
    HASH_FIND(hh, e->topics, &c->session.config.head.txid, sizeof(struct txid), topic);
    if (topic != NULL && LIST_EMPTY(&topic->calls)) {
        HASH_DEL(e->topics, topic);
        free(topic);
    }
}

static void call_finish(struct engine *e, struct call *call, assent_status status)
{
    call->done = true;
    call->status = status;
    timer_clear(&e->timers, &call->timer);
    TAILQ_REMOVE(&e->active, call, link);
    switch (call->kind) {
    case CALL_SESSION:
        hlc_merge(&e->clock, ((struct session_call *)call)->session.commit_ts);
        topic_leave(e, (struct session_call *)call);
        session_why(e, (struct session_call *)call);
        break;
    case CALL_READ:
        hlc_merge(&e->clock, ((struct read_call *)call)->read.ts);
        HASH_DEL(e->requests, &((struct read_call *)call)->request);
        read_why(e, (struct read_call *)call);
        break;
    case CALL_NODES:
        HASH_DEL(e->requests, &((struct nodes_call *)call)->request);
        free(((struct nodes_call *)call)->settled);
        break;
    case CALL_NOTHING:
        break;
    }
    TAILQ_INSERT_TAIL(&e->finished, call, link);
}

static void engine_dial(struct engine *e, node_id node)
{
    for (int i = 0; i < e->to_dial; i++) {
        if (e->dial[i] == node)
            return;
    }
    e->dial[e->to_dial++] = node;
}

/* ---- asking nodes about themselves ---- */

static void node_settle(struct engine *e, struct nodes_call *c, size_t i, const char *why)
{
    const struct cluster_node *node = &e->cluster->node[i];
    const struct peer *peer = transport_peer(e->transport, node->id);
    assent_node *out = &c->node[i];
    c->settled[i] = true;
    out->reachable = peer != NULL;
    out->incarnation = peer == NULL ? 0 : peer->incarnation;
    out->rtt_us = peer == NULL ? 0 : peer->rtt_us;
    snprintf(out->why, sizeof out->why, "%s", why);
}

static void node_ask(struct engine *e, struct nodes_call *c, size_t i)
{
    struct msg *m = msg_new(MSG_STATUS, NULL);
    m->status.request = c->request.id;
    assent_status status = transport_send(e->transport, addr_node(e->cluster->node[i].id), m);
    msg_unref(m);
    if (status != ASSENT_OK)
        node_settle(e, c, i, assent_status_text(status));
}

static void nodes_begin(struct engine *e, struct nodes_call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (e->roster.node[e->cluster->node[i].id].up)
            node_ask(e, c, i);
        else
            engine_dial(e, e->cluster->node[i].id);
    }
}

static void nodes_give_up(struct engine *e, struct nodes_call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        node_id id = e->cluster->node[i].id;
        if (!c->settled[i])
            node_settle(e, c, i,
                        e->roster.node[id].up ? "connected, but did not answer in time"
                                              : node_why(e, id));
    }
}

static void nodes_step(struct engine *e, struct nodes_call *c, const struct session_event *ev)
{
    size_t i = 0;
    while (i < c->n && e->cluster->node[i].id != ev->node)
        i++;
    switch (ev->kind) {
    case SESSION_EVENT_BEGIN:
        nodes_begin(e, c);
        break;
    case SESSION_EVENT_UP:
        if (i < c->n && !c->settled[i])
            node_ask(e, c, i);
        break;
    case SESSION_EVENT_DOWN:
        if (i < c->n && !c->settled[i])
            node_settle(e, c, i, node_why(e, ev->node));
        break;
    case SESSION_EVENT_RESULT:
        if (i < c->n && !c->settled[i]) {
            struct bytes text = blob_bytes(ev->result->status_result.text);
            int len =
                text.len < sizeof c->node[i].text ? (int)text.len : (int)sizeof c->node[i].text - 1;
            snprintf(c->node[i].text, sizeof c->node[i].text, "%.*s", len,
                     len == 0 ? "" : (const char *)text.data);
            node_settle(e, c, i, "");
        }
        break;
    case SESSION_EVENT_UNSENT:
        break;
    case SESSION_EVENT_TICK:
    case SESSION_EVENT_CLOSE:
        nodes_give_up(e, c);
        break;
    }
    for (i = 0; i < c->n && c->settled[i]; i++)
        ;
    if (i == c->n)
        call_finish(e, &c->call, ev->kind == SESSION_EVENT_CLOSE ? ASSENT_CLOSED : ASSENT_OK);
}

/* ---- one step of one call ---- */

static void session_call_step(struct engine *e, struct session_call *c, struct session_event ev)
{
    struct session_effects out;
    for (;;) {
        session_step(&c->session, &ev, &out);
        if (out.msg == NULL)
            break;
        assent_status status = transport_send(e->transport, addr_node(out.to), out.msg);
        msg_unref(out.msg);
        if (status == ASSENT_OK)
            break;
        ev.kind = SESSION_EVENT_UNSENT;
        ev.node = out.to;
        ev.status = status;
    }
    if (c->session.state == SESSION_DONE)
        call_finish(e, &c->call, c->session.status);
    else
        timer_set(&e->timers, &c->call.timer, session_deadline(&c->session));
}

static void read_call_step(struct engine *e, struct read_call *c, struct session_event ev)
{
    struct read_effects out;
    for (;;) {
        read_step(&c->read, &ev, &out);
        if (out.dial != 0)
            engine_dial(e, out.dial);
        if (out.msg == NULL)
            break;
        assent_status status = transport_send(e->transport, addr_node(out.to), out.msg);
        msg_unref(out.msg);
        if (status == ASSENT_OK)
            break;
        ev.kind = SESSION_EVENT_UNSENT;
        ev.node = out.to;
        ev.status = status;
    }
    if (c->read.state == READ_DONE)
        call_finish(e, &c->call, c->read.status);
    else
        timer_set(&e->timers, &c->call.timer, read_deadline(&c->read));
}

static void call_step(struct engine *e, struct call *call, const struct session_event *ev)
{
    if (call->done)
        return;
    switch (call->kind) {
    case CALL_SESSION:
        session_call_step(e, (struct session_call *)call, *ev);
        break;
    case CALL_READ:
        read_call_step(e, (struct read_call *)call, *ev);
        break;
    case CALL_NODES:
        nodes_step(e, (struct nodes_call *)call, ev);
        break;
    case CALL_NOTHING:
        break;
    }
}

/* Takes over the round trips that the transport measures, now and then. */
static void roster_refresh(struct engine *e, uint64_t now_us)
{
    if (now_us < e->refresh_us)
        return;
    e->refresh_us = now_us + REFRESH_US;
    for (int i = 0; i < e->cluster->nodes; i++) {
        node_id id = e->cluster->node[i].id;
        const struct peer *peer = transport_peer(e->transport, id);
        if (peer != NULL && peer->rtt_us != 0)
            e->roster.node[id].rtt_us = peer->rtt_us;
    }
}

static struct session_event event_of(struct engine *e, enum session_event_kind kind, node_id node)
{
    uint64_t now_us = clock_now_us();
    return (struct session_event){
        .kind = kind,
        .now_us = now_us,
        .ts = hlc_now(&e->clock, clock_wall_ms()),
        .roster = &e->roster,
        .node = node,
    };
}

static void engine_fired(uv_timer_t *timer);
static void engine_turn(uv_idle_t *turn);

/* At the end of every entry into the engine. */
static void engine_settle(struct engine *e)
{
    while (e->to_dial > 0)
        transport_dial(e->transport, e->dial[--e->to_dial]);
    uint64_t next = timers_next(&e->timers);
    if (!TAILQ_EMPTY(&e->finished) || (e->closing && !e->transport_closing))
        uv_idle_start(&e->turn, engine_turn);
    /* A time that has moved away is looked at when the timer fires. */
    if (next != TIMERS_NEVER && next >= e->armed_us)
        return;
    e->armed_us = next;
    if (next == TIMERS_NEVER) {
        uv_timer_stop(&e->timer);
        return;
    }
    uint64_t now = clock_now_us();
    uv_update_time(e->loop);
    uv_timer_start(&e->timer, engine_fired, next <= now ? 0 : (next - now + 999) / 1000, 0);
}

/* Calls that are active now see the event; calls that it starts do not. */
static void engine_tell_all(struct engine *e, enum session_event_kind kind, node_id node)
{
    struct session_event ev = event_of(e, kind, node);
    struct call *call, *next;
    TAILQ_FOREACH_SAFE (call, &e->active, link, next)
        call_step(e, call, &ev);
    engine_settle(e);
}

static void engine_fired(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    struct session_event ev = event_of(e, SESSION_EVENT_TICK, 0);
    struct timer *due;
    e->armed_us = TIMERS_NEVER;
    while ((due = timers_pop(&e->timers, ev.now_us)) != NULL)
        call_step(e, due->owner, &ev);
    engine_settle(e);
}

/* ---- the transport's events ---- */

static void engine_up(void *arg, const struct peer *peer)
{
    struct engine *e = arg;
    struct roster_node *node = &e->roster.node[peer->node];
    node->up = true;
    node->failing = false;
    node->incarnation = peer->incarnation;
    free(e->why[peer->node]);
    e->why[peer->node] = NULL;
    engine_tell_all(e, SESSION_EVENT_UP, peer->node);
}

static void engine_lost(struct engine *e, node_id node, const char *why)
{
    e->roster.node[node].up = false;
    e->roster.node[node].failing = true;
    free(e->why[node]);
    e->why[node] = xstrdup(why);
    engine_tell_all(e, SESSION_EVENT_DOWN, node);
}

static void engine_down(void *arg, const struct peer *peer, const char *why)
{
    engine_lost(arg, peer->node, why);
}

static void engine_unreachable(void *arg, node_id node, const char *why)
{
    struct engine *e = arg;
    if (!e->roster.node[node].up)
        engine_lost(e, node, why);
}

static void engine_message(void *arg, const struct peer *peer, struct msg *m)
{
    struct engine *e = arg;
    struct session_event ev = event_of(e, SESSION_EVENT_RESULT, peer->node);
    ev.result = m;
    if (m->type == MSG_RESULT && peer->role == ROLE_COORDINATOR) {
        struct topic *topic;
        HASH_FIND(hh, e->topics, &m->head.txid, sizeof m->head.txid, topic);
        struct session_call *c = topic == NULL ? NULL : LIST_FIRST(&topic->calls);
        while (c != NULL) {
            struct session_call *next = LIST_NEXT(c, same);
            call_step(e, &c->call, &ev);
            c = next;
        }
    } else if (m->type == MSG_READ_RESULT || m->type == MSG_WATCH_RESULT ||
               m->type == MSG_STATUS_RESULT) {
        uint64_t id = m->type == MSG_READ_RESULT    ? m->read_result.request
                      : m->type == MSG_WATCH_RESULT ? m->watch_result.request
                                                    : m->status_result.request;
        enum call_kind kind = m->type == MSG_STATUS_RESULT ? CALL_NODES : CALL_READ;
        struct call_request *request;
        HASH_FIND(hh, e->requests, &id, sizeof id, request);
        if (request != NULL && request->call->kind == kind)
            call_step(e, request->call, &ev);
    }
    engine_settle(e);
}

/* ---- starting ---- */

struct engine *engine_new(uv_loop_t *loop, const struct engine_config *config)
{
    struct engine *e = xcalloc(1, sizeof *e);
    const struct cluster *cluster = config->cluster;
    e->loop = loop;
    e->cluster = cluster;
    timers_init(&e->timers);
    TAILQ_INIT(&e->active);
    TAILQ_INIT(&e->finished);
    prng_seed(&e->prng, random_bits());
    for (int i = 0; i < cluster->nodes; i++) {
        const struct cluster_node *node = &cluster->node[i];
        e->roster.node[node->id].role = node->role;
        e->roster.node[node->id].near = node->datacenter == config->datacenter;
        e->roster.highest = node->id;
    }
    struct transport_config transport = {
        .cluster = cluster,
        .keys = config->keys,
        .self = {.role = ROLE_CLIENT, .epoch = cluster->epoch, .set_hash = cluster->set_hash},
    };
    snprintf(transport.self.name, sizeof transport.self.name, "%s", config->client);
    struct transport_handlers handlers = {
        .arg = e,
        .up = engine_up,
        .down = engine_down,
        .message = engine_message,
        .unreachable = engine_unreachable,
    };
    e->transport = transport_new(loop, &transport, &handlers);
    keypair_wipe(&transport.keys);
    uv_timer_init(loop, &e->timer);
    e->armed_us = TIMERS_NEVER;
    uv_idle_init(loop, &e->turn);
    e->timer.data = e->turn.data = e;
    e->handles = 2;
    for (int i = 0; i < cluster->coordinators; i++)
        engine_dial(e, cluster->coordinator[i]);
    engine_settle(e);
    return e;
}

static void call_start(struct engine *e, struct call *call, enum call_kind kind)
{
    call->kind = kind;
    call->done = false;
    call->status = ASSENT_OK;
    call->why[0] = '\0';
    call->timer = (struct timer){.owner = call};
    TAILQ_INSERT_TAIL(&e->active, call, link);
}

static void call_begin(struct engine *e, struct call *call)
{
    struct session_event ev = event_of(e, SESSION_EVENT_BEGIN, 0);
    roster_refresh(e, ev.now_us);
    call_step(e, call, &ev);
    engine_settle(e);
}

static void request_add(struct engine *e, struct call_request *request, struct call *call)
{
    request->id = ++e->last_request;
    request->call = call;
    HASH_ADD(hh, e->requests, id, sizeof request->id, request);
}

void engine_start_session(struct engine *e, struct session_call *c,
                          const struct session_config *config)
{
    struct session_config full = *config;
    struct topic *topic;
    full.head.epoch = e->cluster->epoch;
    full.head.set_hash = e->cluster->set_hash;
    full.placement_hash = e->cluster->placement_hash;
    full.seed = prng_u64(&e->prng);
    session_init(&c->session, &full);
    HASH_FIND(hh, e->topics, &full.head.txid, sizeof full.head.txid, topic);
    if (topic == NULL) {
        topic = xcalloc(1, sizeof *topic);
        topic->txid = full.head.txid;
        LIST_INIT(&topic->calls);
        HASH_ADD(hh, e->topics, txid, sizeof topic->txid, topic);
    }
    LIST_INSERT_HEAD(&topic->calls, c, same);
    call_start(e, &c->call, CALL_SESSION);
    call_begin(e, &c->call);
}

void engine_hear(struct engine *e, hlc_ts ts)
{
    hlc_merge(&e->clock, ts);
}

void engine_start_read(struct engine *e, struct read_call *c, const struct read_config *config)
{
    struct read_config full = *config;
    full.seed = prng_u64(&e->prng);
    request_add(e, &c->request, &c->call);
    full.request = c->request.id;
    read_init(&c->read, &full);
    call_start(e, &c->call, CALL_READ);
    call_begin(e, &c->call);
}

void engine_start_nodes(struct engine *e, struct nodes_call *c, uint64_t deadline_us)
{
    const struct cluster *cluster = e->cluster;
    c->n = (size_t)cluster->nodes;
    c->node = xcalloc(c->n, sizeof *c->node);
    c->settled = xcalloc(c->n, sizeof *c->settled);
    for (size_t i = 0; i < c->n; i++) {
        c->node[i].name = cluster->node[i].name;
        c->node[i].role = role_name(cluster->node[i].role);
        c->node[i].datacenter = cluster->datacenter[cluster->node[i].datacenter];
    }
    request_add(e, &c->request, &c->call);
    call_start(e, &c->call, CALL_NODES);
    timer_set(&e->timers, &c->call.timer, deadline_us);
    call_begin(e, &c->call);
}

void engine_start_nothing(struct engine *e, struct call *call)
{
    call_start(e, call, CALL_NOTHING);
    call_finish(e, call, ASSENT_OK);
    engine_settle(e);
}

/* ---- ending ---- */

static void engine_handle_closed(uv_handle_t *handle)
{
    struct engine *e = handle->data;
    if (--e->handles > 0)
        return;
    void (*closed)(void *arg) = e->closed;
    void *arg = e->closed_arg;
    for (int i = 0; i <= NODES_MAX; i++)
        free(e->why[i]);
    free(e);
    closed(arg);
}

static void engine_transport_closed(void *arg)
{
    struct engine *e = arg;
    uv_close((uv_handle_t *)&e->timer, engine_handle_closed);
    uv_close((uv_handle_t *)&e->turn, engine_handle_closed);
}

/* What finishes meanwhile is for the next turn. */
static void engine_turn(uv_idle_t *turn)
{
    struct engine *e = turn->data;
    struct calls finished = TAILQ_HEAD_INITIALIZER(finished);
    struct call *call;
    uv_idle_stop(turn);
    TAILQ_CONCAT(&finished, &e->finished, link);
    while ((call = TAILQ_FIRST(&finished)) != NULL) {
        TAILQ_REMOVE(&finished, call, link);
        call->finished(call);
    }
    if (e->closing && !e->transport_closing && TAILQ_EMPTY(&e->active)) {
        e->transport_closing = true;
        transport_close(e->transport, CLOSE_DRAIN_MS, engine_transport_closed, e);
    }
}

void engine_close(struct engine *e, void (*closed)(void *arg), void *arg)
{
    e->closing = true;
    e->closed = closed;
    e->closed_arg = arg;
    engine_tell_all(e, SESSION_EVENT_CLOSE, 0);
}
