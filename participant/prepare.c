/* PREPARE to VOTE, and what a participant does while it is in doubt (4.2 step 2, 4.4). */
#include "participant/txn.h"

#include <stdio.h>

static struct blob *sentence(const char *text)
{
    return blob_new(bytes_of_text(text));
}

static struct msg *vote_msg(const struct txn *t, struct vote vote, bool to_leader)
{
    struct msg *m = msg_new(MSG_VOTE, &t->head);
    m->vote.participants = t->participants;
    m->vote.vote = vote;
    m->vote.one_phase = t->one_phase;
    if (to_leader) {
        m->vote.detail = blob_ref(t->detail);
        m->vote.results = blob_ref(t->results);
        m->vote.lock_wait_us = t->lock_wait_us;
        m->vote.sync_us = t->sync_us;
    }
    return m;
}

static struct vote prepared_vote(const struct txn *t)
{
    return (struct vote){VOTE_PREPARED, t->prepare_ts, ASSENT_OK};
}

/* How early a coordinator should get the vote: the leader, this datacenter's, then the nearest. */
static uint64_t acceptor_rank(const struct participant *p, const struct txn *t, node_id node)
{
    if (node == t->head.home.node)
        return 0;
    if (node == p->config.near_coordinator)
        return 1;
    return 2 + (p->rtt_us[node] == 0 ? UINT32_MAX : p->rtt_us[node]);
}

/* VOTE prepared to the F+1 acceptors that answer soonest, or to all of them. */
static void vote_prepared(struct participant *p, struct txn *t, bool all)
{
    bool sent[COORDINATORS_MAX] = {false};
    int n = all ? p->config.coordinators : p->f + 1;
    for (int k = 0; k < n; k++) {
        int best = -1;
        for (int i = 0; i < p->config.coordinators; i++) {
            node_id node = p->config.coordinator[i];
            if (!sent[i] && (best < 0 || acceptor_rank(p, t, node) <
                                             acceptor_rank(p, t, p->config.coordinator[best])))
                best = i;
        }
        node_id to = p->config.coordinator[best];
        sent[best] = true;
        send_node(p, to, vote_msg(t, prepared_vote(t), to == t->head.home.node));
    }
}

void vote_aborted(struct participant *p, struct txn *t, assent_status reason, struct blob *detail)
{
    t->outcome = (struct outcome){OUTCOME_ABORTED, 0, reason};
    blob_unref(t->detail);
    t->detail = detail;
    msg_unref(t->prepare);
    t->prepare = NULL;
    p->stats.refused++;
    txn_move(p, t, TXN_ABORTED);
    send_node(p, t->head.home.node, vote_msg(t, (struct vote){VOTE_ABORTED, 0, reason}, true));
    release_claim(p, &t->claim);
}

/* A PREPARE for a transaction that this node already knows. */
static void prepare_again(struct participant *p, struct txn *t)
{
    struct msg *m;
    switch ((enum txn_state)t->state) {
    case TXN_COMMITTED:
        if (t->one_phase) {
            struct vote applied = {VOTE_PREPARED, t->outcome.commit_ts, ASSENT_OK};
            send_node(p, t->head.home.node, vote_msg(t, applied, true));
            break;
        }
        m = msg_new(MSG_DECIDED, &t->head);
        m->decided.outcome = OUTCOME_COMMITTED;
        send_node(p, t->head.home.node, m);
        break;
    case TXN_PREPARED:
        vote_prepared(p, t, false);
        break;
    case TXN_ABORTED:
        send_node(p, t->head.home.node,
                  vote_msg(t, (struct vote){VOTE_ABORTED, 0, t->outcome.reason}, true));
        break;
    default:
        break; /* its vote or its DECIDED is on the way */
    }
}

static void prepare_expired(struct participant *p, const struct msg *m)
{
    struct msg *expired = msg_new(MSG_EXPIRED, &m->head);
    expired->expired.floor = p->floor;
    send_node(p, m->head.home.node, expired);
}

/* Why a new transaction cannot even ask for locks, or ASSENT_OK. */
static assent_status refuse_early(const struct participant *p, const struct msg_prepare *m,
                                  char *why, size_t why_size)
{
    if (m->pin != p->config.incarnation) {
        snprintf(why, why_size, "this participant restarted after the transaction began");
        return ASSENT_RESTARTED;
    }
    if (p->stopping) {
        snprintf(why, why_size, "this participant is shutting down");
        return ASSENT_STOPPING;
    }
    if (p->active >= PREPARING_MAX) {
        snprintf(why, why_size, "%u transactions are in flight at this participant", p->active);
        return ASSENT_OVERLOADED;
    }
    if (hlc_to_ms(m->ts) > p->wall_ms + p->config.clock_ahead_ms) {
        snprintf(why, why_size, "the leader's clock is %llu ms ahead of this participant's",
                 (unsigned long long)(hlc_to_ms(m->ts) - p->wall_ms));
        return ASSENT_CLOCK_AHEAD;
    }
    return ASSENT_OK;
}

void prepare_message(struct participant *p, const struct event *e, struct txn *t)
{
    struct msg *m = e->msg;
    const struct msg_prepare *prepare = &m->prepare;
    char why[DETAIL_BYTES_MAX];
    if (e->from.node != m->head.home.node ||
        participants_index(&prepare->participants, p->config.self) < 0)
        return;
    if (t != NULL) {
        if (t->participants.n == 0) { /* known only by its outcome */
            t->participants = prepare->participants;
            t->one_phase = prepare->one_phase;
        }
        prepare_again(p, t);
        return;
    }
    if (below_floor(p, &m->head.txid)) {
        prepare_expired(p, m);
        return;
    }
    t = txn_add(p, &m->head);
    t->participants = prepare->participants;
    t->one_phase = prepare->one_phase;
    t->arrived_us = p->now_us;
    assent_status early = refuse_early(p, prepare, why, sizeof why);
    if (early != ASSENT_OK) {
        vote_aborted(p, t, early, sentence(why));
        return;
    }
    hlc_merge(&p->clock, prepare->ts);
    t->prepare = msg_ref(m);
    struct refusal refusal = {ASSENT_OK, NULL};
    enum claim_state got =
        p->resource->claim(p->resource->arg, &m->head, prepare, t, &t->claim, &refusal);
    if (got == CLAIM_REFUSED) {
        vote_aborted(p, t, refusal.status, refusal.detail);
    } else if (got == CLAIM_HELD) {
        prepare_locked(p, t);
    } else {
        txn_move(p, t, TXN_LOCKING);
        timer_set(&p->timers, &t->timer, p->now_us + prepare->time_left_ms * UINT64_C(1000));
    }
}

/* All locks are held: the timestamp is taken now, so that conflicting transactions get theirs in
 * the order in which they hold the locks (I7). */
void prepare_locked(struct participant *p, struct txn *t)
{
    const struct msg_prepare *m = &t->prepare->prepare;
    struct prepared_record record = {.head = t->head,
                                     .participants = t->participants,
                                     .priority_ms = m->priority_ms,
                                     .client = m->client,
                                     .ops = blob_bytes(m->ops)};
    timer_clear(&p->timers, &t->timer);
    t->locked_us = p->now_us;
    t->lock_wait_us = (uint32_t)(p->now_us - t->arrived_us);
    t->prepare_ts = issue_ts(p);
    txn_move(p, t, TXN_PREPARING);
    effect_prepare(p->effects, t->one_phase ? RECORD_APPLIED : RECORD_PREPARED, &t->head.txid,
                   t->prepare_ts, prepared_record_encode(&record), blob_ref(m->ops));
}

static void in_doubt_timer(struct participant *p, struct txn *t)
{
    timer_set(&p->timers, &t->timer,
              p->now_us + jitter(p, p->config.in_doubt_timeout_ms * UINT64_C(1000)));
}

void prepare_stored(struct participant *p, struct txn *t, const struct event_stored *s)
{
    if (s->status != ASSENT_OK) {
        vote_aborted(p, t, s->status, blob_ref(s->detail));
        return;
    }
    msg_unref(t->prepare);
    t->prepare = NULL;
    t->prepared_us = p->now_us;
    t->sync_us = (uint32_t)(p->now_us - t->locked_us);
    t->results = blob_ref(s->results);
    if (t->one_phase) {
        t->outcome = (struct outcome){OUTCOME_COMMITTED, t->prepare_ts, ASSENT_OK};
        t->outcome_durable = true;
        struct vote applied = {VOTE_PREPARED, t->prepare_ts, ASSENT_OK};
        send_node(p, t->head.home.node, vote_msg(t, applied, true));
        p->stats.one_phase++;
        txn_move(p, t, TXN_COMMITTED);
        release_claim(p, &t->claim);
        return;
    }
    p->stats.prepared++;
    txn_move(p, t, TXN_PREPARED);
    if (t->abort_asked) {
        decide_abort_prepared(p, t, t->outcome.reason, t->abort_from);
        return;
    }
    in_doubt_timer(p, t);
    vote_prepared(p, t, false);
}

static void inquire(struct participant *p, struct txn *t, node_id to)
{
    struct msg *m = msg_new(MSG_INQUIRE, &t->head);
    m->inquire.participants = t->participants;
    p->stats.inquiries++;
    send_node(p, to, m);
}

/* Asks one coordinator at a time, the home first: all at once would only get in each other's way.
 */
static void in_doubt(struct participant *p, struct txn *t)
{
    int n = p->config.coordinators, home = 0;
    for (int i = 0; i < n; i++)
        if (p->config.coordinator[i] == t->head.home.node)
            home = i;
    vote_prepared(p, t, true);
    for (int tried = 0; tried < n; tried++) {
        node_id to = p->config.coordinator[((uint32_t)home + t->inquiries++) % (uint32_t)n];
        if (p->up[to] == 0)
            continue;
        inquire(p, t, to);
        break;
    }
    in_doubt_timer(p, t);
}

void prepare_timer(struct participant *p, struct txn *t)
{
    if (t->state == TXN_PREPARED)
        in_doubt(p, t);
    else if (t->state == TXN_LOCKING)
        vote_aborted(p, t, ASSENT_CONFLICT,
                     sentence("waited for locks until the transaction's deadline"));
}

void prepare_coordinator_up(struct participant *p, struct txn *t, node_id node,
                            uint32_t incarnation)
{
    if (node != t->head.home.node)
        return;
    send_node(p, node, vote_msg(t, prepared_vote(t), true));
    if (incarnation != t->head.home.incarnation)
        inquire(p, t, node); /* the leader is gone; who restarted in its place can decide */
}
