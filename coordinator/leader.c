/* The leader: the home of a transaction, in the incarnation to which COMMIT was first sent.
 *
 *   L1  PREPARE is sent only from leader_commit (first sight) and again to whoever reconnects, with
 * the pin of the first time L2  committed only when F+1 acceptors have accepted *prepared* at
 * ballot 0 for every participant; the quorum is counted in leader_try_decide and nowhere else L3
 * aborted by itself only on a participant's own abort vote; silence leads to recovery L4  after a
 * higher ballot is seen nothing is decided here at ballot 0 any more */
#include "coordinator/txn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_FOR_DECIDE_US 500000u

static struct msg *prepare_msg(const struct coordinator *c, const struct txn *t, int i)
{
    const struct lead *lead = t->lead;
    struct msg *m = msg_new(MSG_PREPARE, &t->head);
    m->prepare.participants = t->participants;
    m->prepare.priority_ms = lead->priority_ms;
    m->prepare.client = lead->client;
    m->prepare.ts = lead->ts;
    m->prepare.time_left_ms =
        lead->deadline_us > c->now_us ? (uint32_t)((lead->deadline_us - c->now_us) / 1000) : 0;
    m->prepare.placement_hash = lead->placement_hash;
    m->prepare.pin = MUTANT(PIN_ANEW) ? c->up[t->participants.id[i]] : lead->part[i].pin;
    m->prepare.one_phase = txid_route(&t->head.txid) != 0;
    m->prepare.ops = blob_ref(lead->part[i].ops);
    return m;
}

static __attribute__((format(printf, 5, 6))) void refuse(struct coordinator *c,
                                                         const struct event *e,
                                                         assent_status status, node_id culprit,
                                                         const char *format, ...)
{
    char text[DETAIL_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct msg *m = msg_new(MSG_RESULT, &e->msg->head);
    m->result.status = status;
    m->result.culprit = culprit;
    m->result.detail = blob_new(bytes_of_text(text));
    effect_send(c->effects, e->from, m);
}

/* Whether a COMMIT that this home sees for the first time may be led; answers it if not. */
static bool admit(struct coordinator *c, const struct event *e)
{
    const struct msg_commit *m = &e->msg->commit;
    const struct txid *txid = &e->msg->head.txid;
    uint64_t ms = txid_ms(txid), wall = c->wall_ms;
    uint64_t skew = ms > wall ? ms - wall : wall - ms;
    if (skew > c->config.txid_skew_ms || below_watermark(c, txid)) {
        refuse(
            c, e, ASSENT_STALE_TXID, 0,
            "the transaction id's time is %llu ms from this coordinator's clock, more than %u ms: "
            "commit sooner after the id was made, or check the clocks; retry under a new id",
            (unsigned long long)skew, c->config.txid_skew_ms);
        return false;
    }
    if (hlc_to_ms(m->ts) > wall + c->config.clock_ahead_ms) {
        refuse(c, e, ASSENT_CLOCK_AHEAD, 0,
               "the clock of client %s is %llu ms ahead of this coordinator's, more than %u ms",
               e->client->text, (unsigned long long)(hlc_to_ms(m->ts) - wall),
               c->config.clock_ahead_ms);
        return false;
    }
    uint16_t route = txid_route(txid);
    if (route != 0 && (m->participants.n != 1 || m->participants.id[0] != route)) {
        refuse(c, e, ASSENT_MALFORMED, 0,
               "the transaction id is routed to node %u, which is not the only participant", route);
        return false;
    }
    for (int i = 0; i < m->participants.n; i++) {
        node_id id = m->participants.id[i];
        if (!c->is_participant[id]) {
            refuse(c, e, ASSENT_WRONG_PLACEMENT, id,
                   "node %u is no participant in this coordinator's cluster file", id);
            return false;
        }
        if (c->up[id] == 0) {
            refuse(c, e, ASSENT_UNREACHABLE, id,
                   "participant %u is not connected to this coordinator; nothing was sent", id);
            return false;
        }
    }
    if (c->stopping) {
        refuse(c, e, ASSENT_STOPPING, 0, "this coordinator is shutting down: use another one");
        return false;
    }
    if (c->leading >= LED_MAX) {
        refuse(c, e, ASSENT_OVERLOADED, 0, "this coordinator already leads %u transactions",
               c->leading);
        return false;
    }
    return true;
}

static struct lead *lead_new(struct coordinator *c, const struct event *e)
{
    const struct msg_commit *m = &e->msg->commit;
    struct lead *lead = xcalloc(1, sizeof *lead + m->participants.n * sizeof lead->part[0]);
    uint64_t ms = txid_ms(&e->msg->head.txid);
    uint64_t oldest = ms > PRIORITY_AGE_MS_MAX ? ms - PRIORITY_AGE_MS_MAX : 0;
    uint32_t timeout = m->timeout_ms == 0 ? TXN_TIMEOUT_MS_DEFAULT : m->timeout_ms;
    if (timeout > TXN_TIMEOUT_MS_MAX)
        timeout = TXN_TIMEOUT_MS_MAX;
    lead->conn = e->from.conn;
    lead->received_us = c->now_us;
    lead->deadline_us = c->now_us + timeout * UINT64_C(1000);
    lead->priority_ms = m->priority_ms < oldest ? oldest
                        : m->priority_ms > ms   ? ms
                                                : m->priority_ms;
    lead->placement_hash = m->placement_hash;
    lead->client = *e->client;
    lead->ts = m->ts;
    for (int i = 0; i < m->participants.n; i++) {
        lead->part[i].ops = blob_ref(m->ops[i]);
        lead->part[i].pin = c->up[m->participants.id[i]];
    }
    return lead;
}

void leader_commit(struct coordinator *c, const struct event *e, struct txn *t)
{
    const struct msg *m = e->msg;
    bool mine = m->head.home.incarnation == c->config.incarnation || MUTANT(LEADS_AS_OLD_HOME);
    bool home = m->head.home.node == c->config.self && mine;
    bool fresh = txid_ms(&m->head.txid) >= c->evicted_floor_ms;
    if (t != NULL || !home || (!fresh && txid_route(&m->head.txid) != 0)) {
        /* seen before, or perhaps, or not the home: a question for the outcome */
        t = txn_asked(c, e, t);
        if (t != NULL)
            answer_outcome(c, t, e->from, m->commit.timeout_ms);
        return;
    }
    if (!fresh) {
        /* Without a record it has not committed; it may have been led and aborted. */
        refuse(
            c, e, ASSENT_STALE_TXID, 0,
            "the transaction id is older than what this coordinator remembers: check the clock of "
            "client %s, retry under a new id",
            e->client->text);
        return;
    }
    if (!admit(c, e))
        return;
    t = txn_add(c, &m->head);
    txn_participants(t, &m->commit.participants);
    t->lead = lead_new(c, e);
    c->leading++;
    txn_move(t, txid_route(&m->head.txid) != 0 ? TXN_ONE_PHASE : TXN_COLLECTING);
    timer_set(&c->timers, &t->timer, t->lead->deadline_us);
    for (int i = 0; i < t->participants.n; i++)
        coordinator_send(c, t->participants.id[i], prepare_msg(c, t, i));
}

void leader_peer_up(struct coordinator *c, struct txn *t, node_id node)
{
    int i = participants_index(&t->participants, node);
    if (i >= 0 && t->lead->part[i].vote.kind == VOTE_NONE)
        coordinator_send(c, node, prepare_msg(c, t, i));
}

/* The only place where a quorum at ballot 0 is counted. */
static void leader_try_decide(struct coordinator *c, struct txn *t)
{
    struct outcome outcome = {.kind = OUTCOME_COMMITTED};
    for (int i = 0; i < t->participants.n - MUTANT(LAST_VOTE_NOT_AWAITED); i++) {
        const struct lead_part *p = &t->lead->part[i];
        int accepted = __builtin_popcountll(p->acceptors) + MUTANT(F_ACCEPTANCES);
        if (p->vote.kind != VOTE_PREPARED || accepted < c->f + 1)
            return;
        if (p->vote.prepare_ts > outcome.commit_ts)
            outcome.commit_ts = p->vote.prepare_ts;
    }
    if (MUTANT(COMMIT_TS_OF_LEADER))
        outcome.commit_ts = hlc_from_ms(c->wall_ms);
    txn_decided(c, t, outcome, true);
}

static uint32_t elapsed_us(uint64_t from, uint64_t to)
{
    return to <= from ? 0 : to - from > UINT32_MAX ? UINT32_MAX : (uint32_t)(to - from);
}

static void take_vote(struct coordinator *c, struct txn *t, int i, const struct msg_vote *v)
{
    struct lead_part *p = &t->lead->part[i];
    uint32_t there = v->lock_wait_us + v->sync_us;
    uint32_t all = elapsed_us(t->lead->received_us, c->now_us);
    p->vote = v->vote;
    p->results = blob_ref(v->results);
    p->breakdown = (struct breakdown){all > there ? all - there : 0, v->lock_wait_us, v->sync_us};
    t->lead->last_vote_us = c->now_us;
    if (v->vote.kind == VOTE_ABORTED) { /* the first one decides */
        t->lead->culprit = t->participants.id[i];
        t->lead->detail = blob_ref(v->detail);
    }
}

static void count_own_accept(struct coordinator *c, struct txn *t)
{
    for (int i = 0; i < t->participants.n; i++)
        t->lead->part[i].acceptors |= UINT64_C(1) << c->self_index;
}

/* The leader's own acceptor writes one record, when the last vote is in (4.2, step 3). */
static void accept_all(struct coordinator *c, struct txn *t)
{
    struct vote votes[PARTICIPANTS_MAX];
    for (int i = 0; i < t->participants.n; i++) {
        if (t->lead->part[i].vote.kind != VOTE_PREPARED)
            return;
        votes[i] = t->lead->part[i].vote;
    }
    acceptor_accept0(c, t, votes);
    if (MUTANT(OWN_ACCEPT_AT_ONCE))
        count_own_accept(c, t);
}

void leader_vote(struct coordinator *c, struct txn *t, int i, const struct msg *m)
{
    const struct msg_vote *v = &m->vote;
    if (t->lead->part[i].vote.kind != VOTE_NONE)
        return; /* the identical vote again */
    take_vote(c, t, i, v);
    bool alone = txid_route(&t->head.txid) != 0; /* its vote is the outcome, however late */
    if (v->vote.kind == VOTE_ABORTED || alone) {
        struct outcome outcome = {.kind = OUTCOME_ABORTED, .reason = v->vote.reason};
        if (v->vote.kind == VOTE_PREPARED)
            outcome = (struct outcome){.kind = OUTCOME_COMMITTED, .commit_ts = v->vote.prepare_ts};
        txn_decided(c, t, outcome, true);
        return;
    }
    accept_all(c, t);
    leader_try_decide(c, t);
}

void leader_accepted(struct coordinator *c, struct txn *t, const struct msg *m, int acceptor)
{
    const struct msg_accepted *a = &m->accepted;
    if (acceptor < 0)
        return;
    t->took_part |= UINT64_C(1) << acceptor;
    if (t->outcome.kind != OUTCOME_NONE) {
        if (!settle_tell(c, t, c->config.coordinator[acceptor]) && t->decider)
            send_decide(c, t, c->config.coordinator[acceptor]);
        return;
    }
    if (t->state != TXN_COLLECTING || !participants_equal(&a->participants, &t->participants))
        return;
    for (int i = 0; i < t->participants.n; i++)
        if (a->votes[i].kind == VOTE_PREPARED)
            t->lead->part[i].acceptors |= UINT64_C(1) << acceptor;
    leader_try_decide(c, t);
}

void leader_own_accept_stored(struct coordinator *c, struct txn *t)
{
    if (t->state != TXN_COLLECTING)
        return;
    count_own_accept(c, t);
    leader_try_decide(c, t);
}

void leader_higher_ballot(struct coordinator *c, struct txn *t, struct ballot promised)
{
    if (promised.round > t->round_seen)
        t->round_seen = promised.round;
    if (t->state != TXN_COLLECTING)
        return;
    txn_move(t, TXN_WAITING);
    txn_timer(c, t, coordinator_jitter(c, WAIT_FOR_DECIDE_US));
}

void leader_deadline(struct coordinator *c, struct txn *t)
{
    if (MUTANT(LEADER_TIMES_OUT))
        txn_decided(c, t, (struct outcome){OUTCOME_ABORTED, 0, ASSENT_TIMED_OUT}, true);
    else
        recovery_start(c, t);
}

void lead_free(struct coordinator *c, struct txn *t)
{
    if (t->lead == NULL)
        return;
    for (int i = 0; i < t->participants.n; i++) {
        blob_unref(t->lead->part[i].ops);
        blob_unref(t->lead->part[i].results);
    }
    blob_unref(t->lead->detail);
    free(t->lead);
    t->lead = NULL;
    c->leading--;
}
