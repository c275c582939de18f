/* A connection has two sides, each with what is on its way there, its inbox, in order: messages,
 * and two marks. UP: the other side has authenticated. DOWN: the other side has closed. A side is
 * up between the two handlers; a connection that is broken takes no more messages on either side,
 * but what is in the inboxes still arrives.
 *
 * The dialling side is up first; the accepting side when the UP mark has arrived. */
#include "tests/sim/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/codec.h"

#define TICK_US          500000u
#define DIAL_MIN_US      50000u
#define DIAL_MAX_US      1000000u
#define LOCAL_LATENCY_US 30u

enum packet_kind { PACKET_MESSAGE, PACKET_UP, PACKET_DOWN };

struct packet {
    STAILQ_ENTRY(packet) link;
    enum packet_kind kind;
    uint64_t due_us;
    struct msg *msg;
};

struct conn_side {
    LIST_ENTRY(conn_side) link; /* of the end, while it may be up */
    struct conn *conn;
    struct net_end *end; /* NULL once the process or the connection has left this side */
    struct net_peer other;
    bool up;
    STAILQ_HEAD(, packet) inbox;
    struct sim_timer arrival;
    uint64_t cut_since_us; /* 0: the link to this side is not cut */
};

struct conn {
    struct net *net;
    bool broken;
    int from[2]; /* index of the process on side i, whatever became of it */
    struct conn_side side[2];
};

struct net_dial {
    struct net_dial *next;
    struct net_end *end;
    node_id node;
    uint64_t backoff_us;
    bool again; /* once more, although it is connected */
    struct sim_timer timer;
};

static void say_of(const struct net_end *a, const char *what, const struct net_end *b)
{
    sim_say(a->net->sim, "%s %s %s", a->name, what, b->name);
}

/* ---- links ---- */

static bool is_cut(const struct net *n, int from, int to)
{
    return n->cut[from][to] != 0;
}

static uint64_t latency(struct net *n, int from, int to)
{
    uint32_t base = n->latency_us[n->end[from]->datacenter][n->end[to]->datacenter];
    uint64_t us = base > 0 ? base : LOCAL_LATENCY_US;
    us += sim_below(n->sim, n->jitter_us + 1);
    return us << n->slow[from][to];
}

static uint64_t round_trip(const struct net *n, int a, int b)
{
    uint32_t base = n->latency_us[n->end[a]->datacenter][n->end[b]->datacenter];
    return 2 * (uint64_t)(base > 0 ? base : LOCAL_LATENCY_US);
}

/* ---- connections ---- */

static void conn_free_if_done(struct conn *c)
{
    for (int i = 0; i < 2; i++)
        if (c->side[i].end != NULL || !STAILQ_EMPTY(&c->side[i].inbox))
            return;
    for (int i = 0; i < 2; i++)
        sim_clear(c->net->sim, &c->side[i].arrival);
    free(c);
}

static void packet_free(struct packet *p)
{
    msg_unref(p->msg);
    free(p);
}

static void inbox_empty(struct conn_side *s)
{
    struct packet *p;
    while ((p = STAILQ_FIRST(&s->inbox)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->inbox, link);
        s->conn->net->lost += p->kind == PACKET_MESSAGE;
        packet_free(p);
    }
    sim_clear(s->conn->net->sim, &s->arrival);
}

static void inbox_arm(struct conn_side *s)
{
    const struct packet *p = STAILQ_FIRST(&s->inbox);
    if (p != NULL && s->end != NULL)
        sim_at(s->conn->net->sim, &s->arrival, p->due_us);
}

static void inbox_add(struct conn_side *s, enum packet_kind kind, struct msg *m)
{
    struct conn *c = s->conn;
    int to = s == &c->side[0] ? 0 : 1;
    uint64_t due = c->net->sim->now_us + latency(c->net, c->from[1 - to], c->from[to]);
    const struct packet *last = STAILQ_LAST(&s->inbox, packet, link);
    struct packet *p = xcalloc(1, sizeof *p);
    p->kind = kind;
    p->msg = m == NULL ? NULL : msg_ref(m);
    p->due_us = last != NULL && last->due_us > due ? last->due_us : due;
    bool first = STAILQ_EMPTY(&s->inbox);
    STAILQ_INSERT_TAIL(&s->inbox, p, link);
    if (first)
        inbox_arm(s);
}

/* The process on this side has nothing to do with the connection any more. */
static void side_leave(struct conn_side *s)
{
    if (s->end == NULL)
        return;
    LIST_REMOVE(s, link);
    s->end = NULL;
    s->up = false;
    inbox_empty(s);
}

/* Down at this side, of its own accord or because of what arrived; the other side hears of it
 * unless it has left already. May free the connection. */
static void side_down(struct conn_side *s, bool tell)
{
    struct conn *c = s->conn;
    struct conn_side *other = &c->side[s == &c->side[0] ? 1 : 0];
    struct net_end *e = s->end;
    struct net_peer peer = s->other;
    bool was_up = s->up;
    c->broken = true;
    if (tell && other->end != NULL)
        inbox_add(other, PACKET_DOWN, NULL);
    side_leave(s);
    conn_free_if_done(c);
    if (was_up && e != NULL)
        e->handlers.down(e->arg, &peer);
}

static struct conn_side *side_to(const struct net_end *e, struct addr to)
{
    struct conn_side *s;
    LIST_FOREACH (s, &e->conns, link)
        if (s->up && (to.node != 0 ? s->other.node == to.node : s->other.conn == to.conn))
            return s;
    return NULL;
}

/* A newer connection of the same node takes the place of the older. */
static void side_up(struct conn_side *s)
{
    struct net_end *e = s->end;
    struct conn_side *old = s->other.node == 0 ? NULL : side_to(e, addr_node(s->other.node));
    if (old != NULL) {
        sim_fault(e->net->sim, SIM_CONNECTION_REPLACED);
        side_down(old, true);
    }
    s->up = true;
    say_of(e, "connected to", e->net->end[s->conn->from[s == &s->conn->side[0] ? 1 : 0]]);
    e->handlers.up(e->arg, &s->other);
}

static struct msg *through_codec(struct sim *sim, struct msg *m)
{
    struct writer w = {0};
    struct msg *out = NULL;
    char why[256] = "it is too large";
    if (codec_encode(m, &w))
        out = codec_decode(bytes_of(w.data + FRAME_HEADER_BYTES, w.len - FRAME_HEADER_BYTES), why,
                           sizeof why);
    writer_free(&w);
    if (out == NULL)
        sim_fail(sim, "codec", "%s does not survive the codec: %s", msg_name(m->type), why);
    return out != NULL ? out : msg_ref(m);
}

static void deliver(struct conn_side *s, struct msg *m)
{
    struct net_end *e = s->end;
    struct net *n = e->net;
    struct net_peer peer = s->other;
    const struct net_end *from = n->end[s->conn->from[s == &s->conn->side[0] ? 1 : 0]];
    m = n->coded ? through_codec(n->sim, m) : msg_ref(m);
    if (msg_has_head(m->type))
        sim_say(n->sim, "%s > %s %s %s", from->name, e->name, msg_name(m->type),
                sim_txid(&m->head.txid).text);
    else
        sim_say(n->sim, "%s > %s %s", from->name, e->name, msg_name(m->type));
    n->messages++;
    e->handlers.message(e->arg, &peer, m);
    sim_point(n->sim, e->index);
    msg_unref(m);
}

static void on_arrival(void *arg)
{
    struct conn_side *s = arg;
    struct conn *c = s->conn;
    struct net *n = c->net;
    int to = s == &c->side[0] ? 0 : 1;
    struct packet *p = STAILQ_FIRST(&s->inbox);
    if (s->end->paused || is_cut(n, c->from[1 - to], c->from[to]))
        return; /* armed again when that ends */
    STAILQ_REMOVE_HEAD(&s->inbox, link);
    inbox_arm(s);
    struct msg *m = p->msg;
    enum packet_kind kind = p->kind;
    p->msg = NULL;
    packet_free(p);
    if (kind == PACKET_DOWN)
        side_down(s, false);
    else if (kind == PACKET_UP)
        side_up(s);
    else if (s->up)
        deliver(s, m);
    msg_unref(m);
}

static void rearm_inboxes(struct net *n)
{
    for (int i = 0; i < n->ends; i++) {
        struct conn_side *s;
        LIST_FOREACH (s, &n->end[i]->conns, link)
            inbox_arm(s);
    }
}

/* Gives up connections over links that were cut for too long, or to processes that are gone. */
static void on_tick(void *arg)
{
    struct net *n = arg;
    for (int i = 0; i < n->ends; i++) {
        struct net_end *e = n->end[i];
        struct conn_side *s, *next;
        for (s = LIST_FIRST(&e->conns); s != NULL; s = next) {
            next = LIST_NEXT(s, link);
            int to = s == &s->conn->side[0] ? 0 : 1, from = s->conn->from[1 - to];
            bool quiet =
                is_cut(n, from, i) || s->conn->side[1 - to].end == NULL || n->end[from]->paused;
            if (!quiet || e->paused) {
                s->cut_since_us = 0;
            } else if (s->cut_since_us == 0) {
                s->cut_since_us = n->sim->now_us;
            } else if (n->sim->now_us - s->cut_since_us > n->silent_us) {
                say_of(e, "gives up", n->end[from]);
                side_down(s, true);
                next = LIST_FIRST(&e->conns); /* the handler may have changed the list */
            }
        }
    }
    sim_at(n->sim, &n->tick, n->sim->now_us + TICK_US);
}

/* ---- dialling ---- */

static struct conn_side *side_open(struct conn *c, int i, struct net_end *e, struct net_end *other)
{
    struct conn_side *s = &c->side[i];
    c->from[i] = e->index;
    s->conn = c;
    s->end = e;
    s->other = (struct net_peer){.node = other->node,
                                 .conn = ++e->last_conn,
                                 .incarnation = other->incarnation,
                                 .client = other->node == 0 ? &other->client : NULL,
                                 .rtt_us = (uint32_t)round_trip(e->net, e->index, other->index)};
    STAILQ_INIT(&s->inbox);
    s->arrival = (struct sim_timer){.fire = on_arrival, .arg = s};
    LIST_INSERT_HEAD(&e->conns, s, link);
    return s;
}

static void on_dial(void *arg)
{
    struct net_dial *d = arg;
    struct net_end *e = d->end, *to = net_end_of(e->net, d->node);
    struct net *n = e->net;
    bool connected = side_to(e, addr_node(d->node)) != NULL;
    uint64_t wait = DIAL_MAX_US / 4;
    if (!connected || d->again) {
        bool reached = to->up && !to->paused && !e->paused && !is_cut(n, e->index, to->index) &&
                       !is_cut(n, to->index, e->index);
        if (reached) {
            struct conn *c = xcalloc(1, sizeof *c);
            c->net = n;
            struct conn_side *own = side_open(c, 0, e, to);
            struct conn_side *theirs = side_open(c, 1, to, e);
            d->backoff_us = 0;
            d->again = false;
            inbox_add(theirs, PACKET_UP, NULL);
            side_up(own);
        } else {
            if (!connected && e->handlers.unreachable != NULL)
                e->handlers.unreachable(e->arg, d->node);
            d->backoff_us = d->backoff_us == 0 ? DIAL_MIN_US : 2 * d->backoff_us;
            if (d->backoff_us > DIAL_MAX_US)
                d->backoff_us = DIAL_MAX_US;
            wait = d->backoff_us / 2 + sim_below(n->sim, d->backoff_us / 2 + 1);
        }
    }
    sim_at(n->sim, &d->timer, n->sim->now_us + wait);
}

void net_dial(struct net_end *e, node_id node)
{
    struct net_dial *d;
    for (d = e->dials; d != NULL; d = d->next)
        if (d->node == node)
            return;
    d = xcalloc(1, sizeof *d);
    d->end = e;
    d->node = node;
    d->next = e->dials;
    d->timer = (struct sim_timer){.fire = on_dial, .arg = d};
    e->dials = d;
    int to = net_end_of(e->net, node)->index;
    sim_at(e->net->sim, &d->timer,
           e->net->sim->now_us + round_trip(e->net, e->index, to) +
               sim_below(e->net->sim, DIAL_MIN_US));
}

/* ---- processes ---- */

void net_init(struct net *n, struct sim *sim)
{
    memset(n, 0, sizeof *n);
    n->sim = sim;
    n->silent_us = PEER_SILENT_MS * UINT64_C(1000);
    n->tick = (struct sim_timer){.fire = on_tick, .arg = n};
    sim_at(sim, &n->tick, TICK_US);
}

void net_free(struct net *n)
{
    sim_clear(n->sim, &n->tick);
}

void net_add(struct net *n, struct net_end *e)
{
    e->net = n;
    e->index = n->ends;
    LIST_INIT(&e->conns);
    n->end[n->ends++] = e;
}

void net_start(struct net_end *e, uint32_t incarnation)
{
    e->up = true;
    e->paused = false;
    e->incarnation = incarnation;
}

void net_stop(struct net_end *e, bool silently)
{
    struct conn_side *s;
    struct net_dial *d;
    e->up = false;
    e->paused = false;
    while ((d = e->dials) != NULL) {
        e->dials = d->next;
        sim_clear(e->net->sim, &d->timer);
        free(d);
    }
    while ((s = LIST_FIRST(&e->conns)) != NULL) {
        s->up = false; /* no handler */
        side_down(s, !silently);
    }
}

void net_pause(struct net_end *e, bool paused)
{
    e->paused = paused;
    if (!paused)
        rearm_inboxes(e->net);
}

bool net_send(struct net_end *e, struct addr to, struct msg *m)
{
    struct conn_side *s = side_to(e, to);
    if (s == NULL)
        return false;
    struct conn_side *other = &s->conn->side[s == &s->conn->side[0] ? 1 : 0];
    if (s->conn->broken || other->end == NULL)
        e->net->lost++; /* the sender does not know yet */
    else
        inbox_add(other, PACKET_MESSAGE, m);
    return true;
}

const struct net_peer *net_peer(const struct net_end *e, node_id node)
{
    const struct conn_side *s = side_to(e, addr_node(node));
    return s == NULL ? NULL : &s->other;
}

struct net_end *net_end_of(const struct net *n, node_id node)
{
    for (int i = 0; i < n->ends; i++)
        if (n->end[i]->node == node)
            return n->end[i];
    fprintf(stderr, "sim: node %u is not on the network\n", (unsigned)node);
    abort();
}

/* ---- faults ---- */

void net_cut(struct net *n, int from, int to, bool cut)
{
    if (cut)
        n->cut[from][to]++;
    else if (n->cut[from][to] > 0)
        n->cut[from][to]--;
    if (!cut)
        rearm_inboxes(n);
}

void net_slow(struct net *n, int from, int to, uint8_t slow)
{
    n->slow[from][to] = slow;
}

/* Drops a random number of messages from the end of the inbox, and closes it. */
static void side_reset(struct conn_side *s)
{
    struct net *n = s->conn->net;
    uint64_t count = 0, keep;
    struct packet *p, *next;
    STAILQ_FOREACH (p, &s->inbox, link)
        count++;
    keep = sim_below(n->sim, count + 1);
    for (p = STAILQ_FIRST(&s->inbox); p != NULL; p = next) {
        next = STAILQ_NEXT(p, link);
        if (keep > 0) {
            keep--;
            continue;
        }
        n->lost += p->kind == PACKET_MESSAGE;
        if (p->kind == PACKET_MESSAGE)
            sim_fault(n->sim, SIM_MESSAGES_LOST);
        STAILQ_REMOVE(&s->inbox, p, packet, link);
        packet_free(p);
    }
    if (s->end != NULL)
        inbox_add(s, PACKET_DOWN, NULL);
}

bool net_reset(struct net *n, struct net_end *e)
{
    if (e == NULL)
        e = n->end[sim_below(n->sim, (uint64_t)n->ends)];
    uint64_t count = 0, nth;
    struct conn_side *s;
    LIST_FOREACH (s, &e->conns, link)
        count += !s->conn->broken;
    if (count == 0)
        return false;
    nth = sim_below(n->sim, count);
    LIST_FOREACH (s, &e->conns, link) {
        if (s->conn->broken || nth-- > 0)
            continue;
        s->conn->broken = true;
        sim_fault(n->sim, SIM_CONNECTION_RESET);
        side_reset(&s->conn->side[0]);
        side_reset(&s->conn->side[1]);
        return true;
    }
    return false;
}

bool net_replace(struct net *n, struct net_end *e)
{
    for (struct net_dial *d = e->dials; d != NULL; d = d->next)
        if (side_to(e, addr_node(d->node)) != NULL && sim_one_in(n->sim, 2)) {
            d->again = true;
            sim_at(n->sim, &d->timer, n->sim->now_us);
            return true;
        }
    return false;
}
