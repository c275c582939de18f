#include "tests/sim/client.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/machine.h"

#define STRAY_US      3000000u
#define STRAY_LATE_US 30000000u

/* A COMMIT that is sent once more, after the first. */
struct stray {
    LIST_ENTRY(stray) link;
    struct client *client;
    struct sim_timer timer;
    struct msg *msg;
    node_id to;
};

uint64_t client_wall_ms(const struct client *c)
{
    return MACHINE_WALL_START_MS + (uint64_t)c->wall_offset_ms + c->sim->now_us / 1000;
}

/* ---- strays ---- */

static void stray_free(struct stray *s)
{
    LIST_REMOVE(s, link);
    sim_clear(s->client->sim, &s->timer);
    msg_unref(s->msg);
    free(s);
}

static void on_stray(void *arg)
{
    struct stray *s = arg;
    struct client *c = s->client;
    if (net_send(&c->end, addr_node(s->to), s->msg))
        sim_fault(c->sim, s->to == s->msg->head.home.node ? SIM_COMMIT_SENT_AGAIN
                                                          : SIM_COMMIT_SENT_ELSEWHERE);
    stray_free(s);
}

/* To another coordinator at any time. To the home only once the outcome is known: it attempts an id
 * on first sight, and nothing in the library sends COMMIT twice. */
static void stray_send(struct client *c, struct msg *m, bool decided)
{
    node_id to = m->head.home.node;
    if (c->repeat_one_in == 0 || !sim_one_in(c->sim, c->repeat_one_in))
        return;
    if (!decided)
        to = c->cluster->coordinator[sim_below(c->sim, (uint64_t)c->cluster->coordinators)];
    if (!decided && to == m->head.home.node)
        return;
    struct stray *s = xcalloc(1, sizeof *s);
    s->client = c;
    s->timer = (struct sim_timer){.fire = on_stray, .arg = s};
    s->msg = msg_ref(m);
    s->to = to;
    LIST_INSERT_HEAD(&c->strays, s, link);
    uint64_t most_us = sim_one_in(c->sim, 4) ? STRAY_LATE_US : STRAY_US;
    sim_at(c->sim, &s->timer, c->sim->now_us + sim_below(c->sim, most_us));
}

/* ---- calls ---- */

static void call_free(struct call *call)
{
    LIST_REMOVE(call, link);
    sim_clear(call->client->sim, &call->timer);
    msg_unref(call->commit);
    if (call->kind == CALL_READ)
        read_free(&call->read);
    else
        session_free(&call->session);
    blob_unref(call->ops);
    free(call);
}

static void call_finish(struct call *call)
{
    struct client *c = call->client;
    hlc_merge(&c->clock, call->kind == CALL_READ ? call->read.ts : call->session.commit_ts);
    if (call->commit != NULL &&
        (call->session.status == ASSENT_OK || call->session.status == ASSENT_CONFLICT ||
         call->session.status == ASSENT_CHECK_FAILED || call->session.status == ASSENT_CHANGED))
        stray_send(c, call->commit, true);
    call->done(call);
    call_free(call);
}

static bool call_send(struct call *call, node_id to, struct msg *m)
{
    struct client *c = call->client;
    bool sent = net_send(&c->end, addr_node(to), m);
    if (sent && m->type == MSG_COMMIT) {
        call->commit = msg_ref(m);
        call->home = to;
        stray_send(c, m, false);
    }
    if (sent && m->type == MSG_OUTCOME && call->commit != NULL && to != call->home)
        sim_fault(c->sim, SIM_CLIENT_ASKED_ELSEWHERE);
    msg_unref(m);
    return sent;
}

/* One step, and what follows from messages that could not be queued. True: it is done. */
static bool step(struct call *call, struct session_event ev)
{
    struct client *c = call->client;
    for (;;) {
        node_id to = 0;
        struct msg *m = NULL;
        if (call->kind == CALL_READ) {
            struct read_effects out;
            read_step(&call->read, &ev, &out);
            if (out.dial != 0)
                net_dial(&c->end, out.dial);
            to = out.to;
            m = out.msg;
        } else {
            struct session_effects out;
            session_step(&call->session, &ev, &out);
            to = out.to;
            m = out.msg;
        }
        if (m == NULL || call_send(call, to, m))
            break;
        ev.kind = SESSION_EVENT_UNSENT;
        ev.node = to;
        ev.status = ASSENT_UNREACHABLE;
    }
    if (call->kind == CALL_READ ? call->read.state == READ_DONE
                                : call->session.state == SESSION_DONE)
        return true;
    sim_at(c->sim, &call->timer,
           call->kind == CALL_READ ? read_deadline(&call->read) : session_deadline(&call->session));
    return false;
}

static struct session_event event_of(struct client *c, enum session_event_kind kind, node_id node)
{
    return (struct session_event){.kind = kind,
                                  .now_us = c->sim->now_us,
                                  .ts = hlc_now(&c->clock, client_wall_ms(c)),
                                  .roster = &c->roster,
                                  .node = node};
}

static void on_call_timer(void *arg)
{
    struct call *call = arg;
    if (step(call, event_of(call->client, SESSION_EVENT_TICK, 0)))
        call_finish(call);
}

/* Calls that are under way now see the event; calls that it starts do not. */
static void tell_all(struct client *c, enum session_event_kind kind, node_id node)
{
    struct session_event ev = event_of(c, kind, node);
    struct call *call = LIST_FIRST(&c->calls), *next;
    for (; call != NULL; call = next) {
        next = LIST_NEXT(call, link); /* done() inserts at the head only */
        if (call->begun && step(call, ev))
            call_finish(call);
    }
}

/* Not at once: done() never comes before the function that starts the call has returned. */
static void on_begin(void *arg)
{
    struct call *call = arg;
    call->timer.fire = on_call_timer;
    call->begun = true;
    if (step(call, event_of(call->client, SESSION_EVENT_BEGIN, 0)))
        call_finish(call);
}

static struct call *call_new(struct client *c, enum call_kind kind, void (*done)(struct call *call),
                             void *arg)
{
    struct call *call = xcalloc(1, sizeof *call);
    call->client = c;
    call->kind = kind;
    call->done = done;
    call->arg = arg;
    call->timer = (struct sim_timer){.fire = on_begin, .arg = call};
    LIST_INSERT_HEAD(&c->calls, call, link);
    sim_at(c->sim, &call->timer, c->sim->now_us);
    return call;
}

struct call *client_commit(struct client *c, assent_txn *txn, uint64_t timeout_us,
                           void (*done)(struct call *call), void *arg)
{
    struct call *call = call_new(c, CALL_COMMIT, done, arg);
    struct session_config config = {.deadline_us = c->sim->now_us + timeout_us,
                                    .seed = prng_u64(&c->sim->prng),
                                    .placement_hash = c->cluster->placement_hash};
    txn_seal(txn, client_wall_ms(c), prng_u64(&c->sim->prng));
    config.head.txid = txn->txid;
    config.head.epoch = c->cluster->epoch;
    config.head.set_hash = c->cluster->set_hash;
    config.priority_ms = txn->priority_ms;
    config.participants = &txn->participants;
    config.ops = txn->encoded;
    session_init(&call->session, &config);
    return call;
}

struct call *client_ask(struct client *c, const struct txid *txid, uint64_t timeout_us,
                        void (*done)(struct call *call), void *arg)
{
    struct call *call = call_new(c, CALL_QUESTION, done, arg);
    struct session_config config = {.question = true,
                                    .deadline_us = c->sim->now_us + timeout_us,
                                    .seed = prng_u64(&c->sim->prng)};
    config.head.txid = *txid;
    config.head.epoch = c->cluster->epoch;
    config.head.set_hash = c->cluster->set_hash;
    session_init(&call->session, &config);
    return call;
}

struct call *client_read(struct client *c, const struct placement *place, struct blob *ops,
                         const struct client_reading *how, uint64_t timeout_us,
                         void (*done)(struct call *call), void *arg)
{
    struct call *call = call_new(c, CALL_READ, done, arg);
    struct read_config config = {.request = ++c->last_request,
                                 .deadline_us = c->sim->now_us + timeout_us,
                                 .seed = prng_u64(&c->sim->prng),
                                 .replicas = place->replicas,
                                 .ops = ops,
                                 .level = how->level,
                                 .at = how->at,
                                 .stale_ms = how->stale_ms,
                                 .watch = how->watch};
    call->ops = ops;
    memcpy(config.replica, place->replica, sizeof config.replica);
    if (how->replica > 0) {
        config.replica[0] = place->replica[(how->replica - 1) % place->replicas];
        config.replicas = 1;
    }
    read_init(&call->read, &config);
    return call;
}

hlc_ts client_now(const struct client *c)
{
    return hlc_now(&c->clock, client_wall_ms(c));
}

/* ---- network ---- */

static void on_up(void *arg, const struct net_peer *peer)
{
    struct client *c = arg;
    struct roster_node *node = &c->roster.node[peer->node];
    node->up = true;
    node->failing = false;
    node->incarnation = peer->incarnation;
    node->rtt_us = peer->rtt_us;
    tell_all(c, SESSION_EVENT_UP, peer->node);
}

static void lost(struct client *c, node_id node)
{
    c->roster.node[node].up = false;
    c->roster.node[node].failing = true;
    tell_all(c, SESSION_EVENT_DOWN, node);
}

static void on_down(void *arg, const struct net_peer *peer)
{
    lost(arg, peer->node);
}

static void on_unreachable(void *arg, node_id node)
{
    lost(arg, node);
}

static bool concerns(const struct call *call, const struct msg *m)
{
    if (m->type == MSG_READ_RESULT)
        return call->kind == CALL_READ && call->read.config.request == m->read_result.request;
    if (m->type == MSG_WATCH_RESULT)
        return call->kind == CALL_READ && call->read.config.request == m->watch_result.request;
    return call->kind != CALL_READ && txid_equal(&call->session.config.head.txid, &m->head.txid);
}

static void on_message(void *arg, const struct net_peer *peer, struct msg *m)
{
    struct client *c = arg;
    struct session_event ev = event_of(c, SESSION_EVENT_RESULT, peer->node);
    ev.result = m;
    if (m->type == MSG_RESULT && c->watch.result != NULL)
        c->watch.result(c->watch.arg, c, peer->node, m);
    struct call *call = LIST_FIRST(&c->calls), *next;
    for (; call != NULL; call = next) {
        next = LIST_NEXT(call, link);
        if (!concerns(call, m))
            continue;
        if (m->type == MSG_READ_RESULT && c->watch.read_result != NULL)
            c->watch.read_result(c->watch.arg, c, peer->node, call->read.config.level, m);
        if (step(call, ev))
            call_finish(call);
    }
}

/* ---- life ---- */

void client_init(struct client *c, struct sim *sim, struct net *net, const struct cluster *cluster,
                 const struct cluster_client *self, int datacenter)
{
    memset(c, 0, sizeof *c);
    c->sim = sim;
    c->cluster = cluster;
    LIST_INIT(&c->calls);
    LIST_INIT(&c->strays);
    for (int i = 0; i < cluster->nodes; i++) {
        const struct cluster_node *node = &cluster->node[i];
        c->roster.node[node->id].role = node->role;
        c->roster.node[node->id].near = node->datacenter == datacenter;
        if (node->id > c->roster.highest)
            c->roster.highest = node->id;
    }
    c->end.role = ROLE_CLIENT;
    c->end.datacenter = datacenter;
    memcpy(c->end.name, self->name, sizeof c->end.name);
    memcpy(c->end.client.text, self->name, sizeof self->name);
    c->end.handlers = (struct net_handlers){on_up, on_down, on_message, on_unreachable};
    c->end.arg = c;
    net_add(net, &c->end);
}

void client_start(struct client *c)
{
    c->alive = true;
    net_start(&c->end, 0);
    for (int i = 0; i < c->cluster->coordinators; i++)
        net_dial(&c->end, c->cluster->coordinator[i]);
}

void client_die(struct client *c)
{
    struct call *call;
    struct stray *s;
    while ((call = LIST_FIRST(&c->calls)) != NULL)
        call_free(call);
    while ((s = LIST_FIRST(&c->strays)) != NULL)
        stray_free(s);
    net_stop(&c->end, false);
    for (node_id i = 1; i <= c->roster.highest; i++)
        c->roster.node[i].up = c->roster.node[i].failing = false;
    c->alive = false;
}

void client_free(struct client *c)
{
    client_die(c);
}
