/* PREPARE to VOTE, and what a participant does while it is in doubt (4.2 step 2, 4.4). */
#include "participant/branch.h"

#include <stdio.h>

static struct blob *sentence(const char *text)
{
    return blob_new(bytes_of_text(text));
}

static struct msg *vote_msg(const struct branch *b, struct vote vote, bool to_leader)
{
    struct msg *m = msg_new(MSG_VOTE, &b->head);
    m->vote.participants = b->participants;
    m->vote.vote = vote;
    m->vote.one_phase = b->one_phase;
    if (to_leader) {
        m->vote.detail = blob_ref(b->detail);
        m->vote.results = blob_ref(b->results);
        m->vote.lock_wait_us = b->lock_wait_us;
        m->vote.sync_us = b->sync_us;
    }
    return m;
}

static struct vote prepared_vote(const struct branch *b)
{
    return (struct vote){VOTE_PREPARED, b->prepare_ts, ASSENT_OK};
}

/* How early a coordinator should get the vote: the leader, this datacenter's, then the nearest; who
 * is not connected, last. */
static uint64_t acceptor_rank(const struct participant *p, const struct branch *b, node_id node)
{
    if (p->up[node] == 0)
        return UINT64_MAX;
    if (node == b->head.home.node)
        return 0;
    if (node == p->config.near_coordinator)
        return 1;
    return UINT64_C(2) + (p->rtt_us[node] == 0 ? UINT32_MAX : p->rtt_us[node]);
}

/* VOTE prepared to the F+1 acceptors that answer soonest, or to all of them. */
static void vote_prepared(struct participant *p, struct branch *b, bool all)
{
    bool sent[COORDINATORS_MAX] = {false};
    int n = all ? p->config.coordinators : p->f + 1;
    for (int k = 0; k < n; k++) {
        int best = -1;
        for (int i = 0; i < p->config.coordinators; i++) {
            node_id node = p->config.coordinator[i];
            if (!sent[i] && (best < 0 || acceptor_rank(p, b, node) <
                                             acceptor_rank(p, b, p->config.coordinator[best])))
                best = i;
        }
        node_id to = p->config.coordinator[best];
        sent[best] = true;
        participant_send(p, to, vote_msg(b, prepared_vote(b), to == b->head.home.node));
    }
}

void vote_aborted(struct participant *p, struct branch *b, assent_status reason,
                  struct blob *detail)
{
    b->outcome = (struct outcome){OUTCOME_ABORTED, 0, reason};
    blob_unref(b->detail);
    b->detail = detail;
    msg_unref(b->prepare);
    b->prepare = NULL;
    p->stats.refused++;
    branch_move(p, b, BRANCH_ABORTED);
    participant_send(p, b->head.home.node,
                     vote_msg(b, (struct vote){VOTE_ABORTED, 0, reason}, true));
    branch_settled(p, b);
}

/* A PREPARE for a transaction that this node already knows. */
static void prepare_again(struct participant *p, struct branch *b)
{
    struct msg *m;
    switch ((enum branch_state)b->state) {
    case BRANCH_COMMITTED:
        if (b->one_phase) {
            struct vote applied = {VOTE_PREPARED, b->outcome.commit_ts, ASSENT_OK};
            participant_send(p, b->head.home.node, vote_msg(b, applied, true));
            break;
        }
        m = msg_new(MSG_DECIDED, &b->head);
        m->decided.outcome = OUTCOME_COMMITTED;
        participant_send(p, b->head.home.node, m);
        break;
    case BRANCH_PREPARED:
        vote_prepared(p, b, false);
        break;
    case BRANCH_ABORTED:
        participant_send(p, b->head.home.node,
                         vote_msg(b, (struct vote){VOTE_ABORTED, 0, b->outcome.reason}, true));
        break;
    default:
        break; /* its vote or its DECIDED is on the way */
    }
}

static void prepare_expired(struct participant *p, const struct msg *m)
{
    struct msg *expired = msg_new(MSG_EXPIRED, &m->head);
    expired->expired.floor = p->floor;
    participant_send(p, m->head.home.node, expired);
}

/* Why a new transaction cannot even ask for locks, or ASSENT_OK. */
static assent_status refuse_early(const struct participant *p, const struct msg_prepare *m,
                                  char *why, size_t why_size)
{
    if (m->pin != p->config.incarnation && !MUTANT(PIN_SKIPPED)) {
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
        snprintf(why, why_size, "the client's clock is %llu ms ahead of this participant's",
                 (unsigned long long)(hlc_to_ms(m->ts) - p->wall_ms));
        return ASSENT_CLOCK_AHEAD;
    }
    return ASSENT_OK;
}

void prepare_message(struct participant *p, const struct event *e, struct branch *b)
{
    struct msg *m = e->msg;
    const struct msg_prepare *prepare = &m->prepare;
    char why[DETAIL_BYTES_MAX];
    if (e->from.node != m->head.home.node ||
        participants_index(&prepare->participants, p->config.self) < 0)
        return;
    if (b != NULL) {
        if (b->participants.n == 0) { /* known only by its outcome */
            b->participants = prepare->participants;
            b->one_phase = prepare->one_phase;
        }
        prepare_again(p, b);
        return;
    }
    if (below_floor(p, &m->head.txid)) {
        prepare_expired(p, m);
        return;
    }
    b = branch_add(p, &m->head);
    b->participants = prepare->participants;
    b->one_phase = prepare->one_phase;
    b->arrived_us = p->now_us;
    assent_status early = refuse_early(p, prepare, why, sizeof why);
    if (early != ASSENT_OK) {
        vote_aborted(p, b, early, sentence(why));
        return;
    }
    if (!MUTANT(CLIENT_CLOCK_NOT_HEARD))
        hlc_merge(&p->clock, prepare->ts);
    if (MUTANT(TS_BEFORE_LOCKS))
        b->prepare_ts = issue_ts(p);
    b->prepare = msg_ref(m);
    struct refusal refusal = {ASSENT_OK, NULL};
    enum claim_state got =
        p->resource->claim(p->resource->arg, &m->head, prepare, b, &b->claim, &refusal);
    if (got == CLAIM_REFUSED) {
        vote_aborted(p, b, refusal.status, refusal.detail);
    } else if (got == CLAIM_HELD) {
        prepare_locked(p, b);
    } else {
        /* a little before the leader's deadline, so that the answer is CONFLICT and not a time-out
         */
        uint64_t wait_ms = prepare->time_left_ms - prepare->time_left_ms / 8;
        branch_move(p, b, BRANCH_LOCKING);
        timer_set(&p->timers, &b->timer, p->now_us + wait_ms * 1000);
    }
}

/* All locks are held: the timestamp is taken now, so that conflicting transactions get theirs in
 * the order in which they hold the locks (I7). */
void prepare_locked(struct participant *p, struct branch *b)
{
    const struct msg_prepare *m = &b->prepare->prepare;
    struct prepared_record record = {.head = b->head,
                                     .participants = b->participants,
                                     .priority_ms = m->priority_ms,
                                     .client = m->client,
                                     .ops = blob_bytes(m->ops)};
    timer_clear(&p->timers, &b->timer);
    b->locked_us = p->now_us;
    b->lock_wait_us = (uint32_t)(p->now_us - b->arrived_us);
    if (!MUTANT(TS_BEFORE_LOCKS))
        b->prepare_ts = issue_ts(p);
    branch_locked(p, b);
    if (b->one_phase)
        p->resource->decided(p->resource->arg, b->claim); /* it waits only for its own record */
    branch_move(p, b, BRANCH_PREPARING);
    effect_prepare(p->effects, b->one_phase ? RECORD_APPLIED : RECORD_PREPARED, &b->head.txid,
                   b->prepare_ts, prepared_record_encode(&record), blob_ref(m->ops));
    if (MUTANT(VOTES_BEFORE_DURABLE) && !b->one_phase)
        vote_prepared(p, b, false);
}

/* The whole time-out before the first question, half of it before the second and third, then up to
 * twice it: whoever cannot answer because too many ask should not be asked more. */
static void in_doubt_timer(struct participant *p, struct branch *b)
{
    uint64_t wait_us = p->config.in_doubt_timeout_ms * UINT64_C(1000);
    if (b->inquiries > 0)
        wait_us = wait_us / 2 << (b->inquiries < 5 ? (b->inquiries - 1) / 2 : 2);
    timer_set(&p->timers, &b->timer, p->now_us + participant_jitter(p, wait_us));
}

void prepare_stored(struct participant *p, struct branch *b, const struct event_stored *s)
{
    if (s->status != ASSENT_OK) {
        vote_aborted(p, b, s->status, blob_ref(s->detail));
        return;
    }
    msg_unref(b->prepare);
    b->prepare = NULL;
    b->prepared_us = p->now_us;
    b->sync_us = (uint32_t)(p->now_us - b->locked_us);
    b->results = blob_ref(s->results);
    if (b->one_phase) {
        b->outcome = (struct outcome){OUTCOME_COMMITTED, b->prepare_ts, ASSENT_OK};
        b->outcome_durable = true;
        struct vote applied = {VOTE_PREPARED, b->prepare_ts, ASSENT_OK};
        participant_send(p, b->head.home.node, vote_msg(b, applied, true));
        p->stats.one_phase++;
        watch_applied(p, b);
        branch_move(p, b, BRANCH_COMMITTED);
        branch_settled(p, b);
        watch_wake(p);
        return;
    }
    p->stats.prepared++;
    branch_move(p, b, BRANCH_PREPARED);
    if (b->abort_asked) {
        decide_abort_prepared(p, b, b->outcome.reason, b->abort_from);
        return;
    }
    in_doubt_timer(p, b);
    vote_prepared(p, b, false);
    if (MUTANT(READ_LOCKS_END_AT_VOTE))
        p->resource->decided(p->resource->arg, b->claim); /* and see locks.c */
    if (MUTANT(RELEASES_AT_VOTE))
        branch_settled(p, b);
}

static void inquire(struct participant *p, struct branch *b, node_id to)
{
    struct msg *m = msg_new(MSG_INQUIRE, &b->head);
    m->inquire.participants = b->participants;
    p->stats.inquiries++;
    participant_send(p, to, m);
}

/* Asks one coordinator at a time, the home first: all at once would only get in each other's way.
 */
static void in_doubt(struct participant *p, struct branch *b)
{
    if (MUTANT(IN_DOUBT_TIMES_OUT)) {
        decide_abort_prepared(p, b, ASSENT_TIMED_OUT, b->head.home.node);
        return;
    }
    int n = p->config.coordinators, home = 0;
    for (int i = 0; i < n; i++)
        if (p->config.coordinator[i] == b->head.home.node)
            home = i;
    vote_prepared(p, b, true);
    for (int tried = 0; tried < n; tried++) {
        node_id to = p->config.coordinator[((uint32_t)home + b->inquiries++) % (uint32_t)n];
        if (p->up[to] == 0 || (MUTANT(ASKS_HOME_ONLY) && to != b->head.home.node))
            continue;
        inquire(p, b, to);
        break;
    }
    if (!MUTANT(ASKS_ONCE))
        in_doubt_timer(p, b);
}

void prepare_timer(struct participant *p, struct branch *b)
{
    if (b->state == BRANCH_PREPARED)
        in_doubt(p, b);
    else
        vote_aborted(p, b, ASSENT_CONFLICT,
                     sentence("waited for locks until the transaction's deadline"));
}

void prepare_coordinator_up(struct participant *p, struct branch *b, node_id node,
                            uint32_t incarnation)
{
    if (node != b->head.home.node)
        return;
    participant_send(p, node, vote_msg(b, prepared_vote(b), true));
    if (incarnation != b->head.home.incarnation)
        inquire(p, b, node); /* the leader is gone; who restarted in its place can decide */
}
