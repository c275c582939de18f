/* Decided transactions: who asked is answered, DECIDE is repeated until every participant has
 * settled, then the record is finished and forgotten. What is kept for long, because FORGET or the
 * decision was missed, or the decider is gone, is looked after once a second (settle_overdue).
 *
 *   S1  an outcome that is known never changes (I1); a second, different one stops the process
 *   S2  FINISHED is emitted only when every participant is known to have settled (I8), or nobody
 * can be in doubt: an abort of the whole transaction whose participants nobody knows; or when it
 * decides nothing any more: a bare promise below W, a record that F+1 others have forgotten */
#include "coordinator/txn.h"

#include <stdlib.h>

#define REPEAT_US        250000u
#define REPEAT_DOUBLINGS 5u
#define FORGET_DELAY_US  100000u
#define SETTLE_ASK_BATCH 256u
/* How long after a record was made or restored its home looks what has become of it; others after
 * twice the time, so that it is the home that goes on with it. Then again, doubling. */
#define OVERDUE_US        2000000u
#define OVERDUE_DOUBLINGS 4u
#define OVERDUE_BATCH     256u      /* of them in a second */
#define LOST_US           10000000u /* a connection may be lost for so long before it is noticed */
#define PEER_FORGET_MAX   (16u * FORGET_MAX)

static uint32_t span_us(uint64_t from, uint64_t to)
{
    return to <= from ? 0 : to - from > UINT32_MAX ? UINT32_MAX : (uint32_t)(to - from);
}

void answer_result(struct coordinator *c, const struct txn *t, struct addr to, assent_status status)
{
    struct msg *m = msg_new(MSG_RESULT, &t->head);
    m->result.status = status;
    if (status == ASSENT_OK)
        m->result.commit_ts = t->outcome.commit_ts;
    effect_send(c->effects, to, m);
}

static assent_status outcome_status(const struct outcome *outcome)
{
    if (outcome->kind == OUTCOME_COMMITTED)
        return ASSENT_OK;
    return outcome->reason == ASSENT_OK ? ASSENT_RECOVERED : outcome->reason;
}

/* The full answer to the client whose COMMIT was led here. */
static void answer_client(struct coordinator *c, struct txn *t)
{
    struct lead *lead = t->lead;
    struct msg *m = msg_new(MSG_RESULT, &t->head);
    struct msg_result *r = &m->result;
    r->status = MUTANT(CANARY) ? ASSENT_TIMED_OUT : outcome_status(&t->outcome);
    r->commit_ts = t->outcome.commit_ts;
    r->culprit = r->status == ASSENT_OK ? 0 : lead->culprit;
    r->detail = r->status == ASSENT_OK ? NULL : blob_ref(lead->detail);
    r->total_us = span_us(lead->received_us, c->now_us);
    r->quorum_us = span_us(lead->last_vote_us, c->now_us);
    r->participants = t->participants;
    for (int i = 0; i < t->participants.n; i++) {
        r->breakdown[i] = lead->part[i].breakdown;
        if (r->status == ASSENT_OK)
            r->results[i] = blob_ref(lead->part[i].results);
    }
    effect_send(c->effects, (struct addr){0, lead->conn}, m);
    c->stats.answered++;
}

static void waiter_free(struct coordinator *c, struct waiter *w)
{
    timer_clear(&c->timers, &w->timer);
    TAILQ_REMOVE(&w->txn->waiters, w, link);
    w->txn->waiters_n--;
    free(w);
}

void waiters_free(struct coordinator *c, struct txn *t)
{
    struct waiter *w;
    while ((w = TAILQ_FIRST(&t->waiters)) != NULL)
        waiter_free(c, w);
}

void answer_expired(struct coordinator *c, struct txn *t)
{
    struct waiter *w;
    TAILQ_FOREACH (w, &t->waiters, link)
        answer_result(c, t, w->to, ASSENT_EXPIRED);
    waiters_free(c, t);
}

void waiter_expired(struct coordinator *c, struct waiter *w)
{
    struct txn *t = w->txn;
    answer_result(c, t, w->to, MUTANT(PENDING_IS_ABORT) ? ASSENT_TIMED_OUT : ASSENT_PENDING);
    waiter_free(c, w);
    txn_drop_if_empty(c, t);
}

void answer_outcome(struct coordinator *c, struct txn *t, struct addr to, uint32_t wait_ms)
{
    if (t->outcome.kind != OUTCOME_NONE) {
        answer_result(c, t, to, outcome_status(&t->outcome));
        if (to.node != 0)
            settle_tell(c, t, to.node);
        return;
    }
    /* forgotten without ever learning the outcome here; or perhaps forgotten by the others, so that
     * only a participant in doubt is a reason to recover it (4.5) */
    if (t->state == TXN_FINISHED ||
        (t->state == TXN_KNOWN && below_others_watermark(c, &t->head.txid))) {
        answer_result(c, t, to, ASSENT_EXPIRED);
        return;
    }
    bool leading = t->state == TXN_COLLECTING || t->state == TXN_ONE_PHASE;
    if (to.node != 0) { /* a coordinator asks whether this one leads it */
        answer_result(c, t, to, leading ? ASSENT_PENDING : ASSENT_UNKNOWN);
        return;
    }
    if (t->waiters_n < OUTCOME_WAITERS_MAX && wait_ms > 0) {
        struct waiter *w = xcalloc(1, sizeof *w);
        w->to = to;
        w->txn = t;
        w->timer.kind = TIMER_WAITER;
        w->timer.owner = w;
        TAILQ_INSERT_TAIL(&t->waiters, w, link);
        t->waiters_n++;
        uint64_t wait = wait_ms < TXN_TIMEOUT_MS_MAX ? wait_ms : TXN_TIMEOUT_MS_MAX;
        timer_set(&c->timers, &w->timer, c->now_us + wait * 1000);
    } else {
        answer_result(c, t, to, ASSENT_PENDING);
    }
    if (!leading)
        recovery_asked(c, t, false);
}

void send_decide(struct coordinator *c, struct txn *t, node_id to)
{
    struct msg *m = msg_new(MSG_DECIDE, &t->head);
    m->decide.outcome = t->outcome;
    m->decide.participants = t->participants;
    coordinator_send(c, to, m);
}

static bool same_outcome(const struct outcome *a, const struct outcome *b)
{
    return a->kind == b->kind && (a->kind != OUTCOME_COMMITTED || a->commit_ts == b->commit_ts);
}

/* The other coordinators are told soon, in a batch, that nobody needs their records any more. */
static void forget_later(struct coordinator *c, const struct txn *t)
{
    if (c->f == 0)
        return;
    c->forget[c->forget_n++] = (struct forget_entry){t->head.txid, t->outcome};
    if (c->forget_n == FORGET_MAX)
        settle_forget_flush(c);
    else if (!c->forget_timer.set)
        timer_set(&c->timers, &c->forget_timer, c->now_us + FORGET_DELAY_US);
}

void txn_decided(struct coordinator *c, struct txn *t, struct outcome outcome, bool decider)
{
    if (outcome.kind == OUTCOME_NONE)
        return;
    if (t->outcome.kind != OUTCOME_NONE) {
        char text[TXID_TEXT_BYTES];
        if (!same_outcome(&t->outcome, &outcome))
            effect_halt(c->effects,
                        "transaction %s has two outcomes (I1): %d at %llu, then %d at %llu",
                        txid_text(&t->head.txid, text), t->outcome.kind,
                        (unsigned long long)t->outcome.commit_ts, outcome.kind,
                        (unsigned long long)outcome.commit_ts);
        return;
    }
    if (t->state == TXN_FINISHED)
        return; /* forgotten here, and so by everyone soon */
    bool aborted = outcome.kind == OUTCOME_ABORTED;
    if (!aborted && t->participants.n == 0)
        decider = false; /* whom to tell is not known here */
    t->outcome = outcome;
    t->decider = decider;
    txn_move(t, TXN_DECIDED);
    timer_clear(&c->timers, &t->timer);
    c->stats.committed += outcome.kind == OUTCOME_COMMITTED;
    c->stats.aborted += outcome.kind == OUTCOME_ABORTED;
    if (t->lead != NULL)
        answer_client(c, t);
    struct waiter *w;
    TAILQ_FOREACH (w, &t->waiters, link)
        answer_result(c, t, w->to, outcome_status(&t->outcome));
    waiters_free(c, t);
    lead_free(c, t);
    free(t->recovery);
    t->recovery = NULL;
    bool alone = txid_route(&t->head.txid) != 0;
    if (alone || (decider && t->participants.n == 0)) {
        if (!alone)
            forget_later(c, t); /* acceptors of the abort of the whole */
        settle_finish(c, t);    /* nobody is in doubt */
        return;
    }
    if (!decider && MUTANT(FORGETS_WHEN_TOLD)) {
        settle_finish(c, t);
        return;
    }
    if (!decider) {
        settle_later(c, t);
        return;
    }
    node_id home = t->head.home.node;
    for (int i = 0; i < t->participants.n; i++)
        send_decide(c, t, t->participants.id[i]);
    for (int i = 0; i < c->config.coordinators; i++) {
        node_id node = c->config.coordinator[i];
        if (i != c->self_index && (node == home || (t->took_part >> i & 1) != 0))
            send_decide(c, t, node);
    }
    txn_timer(c, t, coordinator_jitter(c, REPEAT_US));
}

/* Sends DECIDE again to who has not settled: to all, or to one participant that came back. */
void settle_repeat(struct coordinator *c, struct txn *t, node_id only)
{
    for (int i = 0; i < t->participants.n; i++) {
        node_id id = t->participants.id[i];
        bool missing = (t->settled >> i & 1) == 0 && c->up[id] != 0 && !MUTANT(DECIDES_ONCE);
        if (missing && (only == 0 || only == id))
            send_decide(c, t, id);
    }
    if (only != 0)
        return;
    if (t->repeats < REPEAT_DOUBLINGS)
        t->repeats++;
    txn_timer(c, t, coordinator_jitter(c, (uint64_t)REPEAT_US << t->repeats));
}

void settle_decided(struct coordinator *c, struct txn *t, node_id participant)
{
    int i = participants_index(&t->participants, participant);
    if (i < 0 || t->state != TXN_DECIDED)
        return;
    t->settled |= UINT64_C(1) << i;
    bool all = t->settled == participants_all(&t->participants) || MUTANT(FORGETS_UNSETTLED);
    if (all) { /* the decider or not: each has said so here */
        forget_later(c, t);
        settle_finish(c, t);
    }
}

void settle_forget_flush(struct coordinator *c)
{
    timer_clear(&c->timers, &c->forget_timer);
    struct msg *m = msg_new(MSG_FORGET, NULL);
    m->forget.n = c->forget_n;
    m->forget.entry = xcalloc(c->forget_n, sizeof *m->forget.entry);
    for (uint16_t i = 0; i < c->forget_n; i++)
        m->forget.entry[i] = c->forget[i];
    c->forget_n = 0;
    coordinator_broadcast(c, m);
}

void settle_finish(struct coordinator *c, struct txn *t)
{
    /* An abort that left no record needs none: no record means aborted (presumed abort). */
    if (t->has_record) {
        effect_persist(c->effects, RECORD_FINISHED, &t->head.txid, t->outcome.commit_ts,
                       finished_record_encode(&t->outcome));
        t->storing++;
    }
    t->closed = true;
    txn_finish(c, t);
    free(t->accepted);
    t->accepted = NULL;
}

void settle_finish_old(struct coordinator *c, struct txn *t)
{
    answer_expired(c, t);
    settle_finish(c, t);
}

/* Below W the participants are asked instead (settle_ask_old). */
static bool may_tell(const struct coordinator *c, const struct txn *t)
{
    return t->closed && t->outcome.kind != OUTCOME_NONE && txid_route(&t->head.txid) == 0 &&
           !below_watermark(c, &t->head.txid);
}

static struct msg *forget_msg(void)
{
    struct msg *m = msg_new(MSG_FORGET, NULL);
    m->forget.entry = xcalloc(FORGET_MAX, sizeof *m->forget.entry);
    return m;
}

bool settle_tell(struct coordinator *c, const struct txn *t, node_id to)
{
    if (!may_tell(c, t))
        return false;
    struct msg *m = msg_new(MSG_FORGET, NULL);
    m->forget.n = 1;
    m->forget.entry = xcalloc(1, sizeof *m->forget.entry);
    m->forget.entry[0] = (struct forget_entry){t->head.txid, t->outcome};
    coordinator_send(c, to, m);
    return true;
}

/* A coordinator was not connected, and has missed what was finished meanwhile. What is too much, or
 * no longer in memory, it will ask about. */
void settle_peer_up(struct coordinator *c, node_id node)
{
    uint64_t down_us = c->down_us[coordinator_index(c, node)];
    uint64_t since_us = down_us > LOST_US ? down_us - LOST_US : 0;
    struct txn *t;
    struct msg *m = NULL;
    uint32_t n = 0;
    TAILQ_FOREACH_REVERSE(t, &c->finished, finished_list, link)
    {
        if (t->finished_us < since_us || n == PEER_FORGET_MAX)
            break;
        if (!may_tell(c, t))
            continue;
        if (m == NULL)
            m = forget_msg();
        m->forget.entry[m->forget.n++] = (struct forget_entry){t->head.txid, t->outcome};
        n++;
        if (m->forget.n == FORGET_MAX) {
            coordinator_send(c, node, m);
            m = NULL;
        }
    }
    if (m != NULL)
        coordinator_send(c, node, m);
}

void settle_forget(struct coordinator *c, const struct msg *m)
{
    for (uint16_t i = 0; i < m->forget.n; i++) {
        const struct forget_entry *entry = &m->forget.entry[i];
        struct txn *t = txn_find(c, &entry->txid);
        if (t == NULL || t->state == TXN_FINISHED)
            continue;
        txn_decided(c, t, entry->outcome, false);
        if (t->state == TXN_DECIDED)
            settle_finish(c, t);
    }
}

/* Asks the participants of old records that nobody finished whether they still need them (4.5). */
void settle_ask_old(struct coordinator *c)
{
    struct txn *t, *next;
    uint32_t n = 0;
    TAILQ_FOREACH_SAFE (t, &c->open, link, next) {
        if (n + PARTICIPANTS_MAX > SETTLE_ASK_BATCH)
            break;
        bool open = t->state == TXN_KNOWN || t->state == TXN_DECIDED;
        if (!open || !below_watermark(c, &t->head.txid))
            continue;
        if (!t->has_record) {
            if (t->state == TXN_DECIDED && !t->decider)
                settle_finish(c, t); /* learnt from another, who has long seen to it */
            continue;
        }
        if (t->participants.n == 0) { /* a bare promise: from now on it takes part in nothing */
            settle_finish_old(c, t);
            continue;
        }
        for (int i = 0; i < t->participants.n; i++) {
            node_id id = t->participants.id[i];
            if ((t->settled >> i & 1) != 0 || c->up[id] == 0)
                continue; /* who is away must not use up the batch */
            struct msg *m = msg_new(MSG_SETTLE_ASK, NULL);
            m->settle_ask.n = 1;
            m->settle_ask.txid = xcalloc(1, sizeof *m->settle_ask.txid);
            m->settle_ask.txid[0] = t->head.txid;
            coordinator_send(c, id, m);
            n++;
        }
    }
}

void settle_settled(struct coordinator *c, const struct msg *m, node_id from)
{
    for (uint16_t k = 0; k < m->settled.n; k++) {
        struct txn *t = txn_find(c, &m->settled.txid[k]);
        int i = t == NULL ? -1 : participants_index(&t->participants, from);
        bool open = t != NULL && (t->state == TXN_KNOWN || t->state == TXN_DECIDED);
        if (i < 0 || !open || !t->has_record || !below_watermark(c, &t->head.txid))
            continue;
        t->settled |= UINT64_C(1) << i;
        if (t->settled == participants_all(&t->participants))
            settle_finish_old(c, t);
    }
}

void settle_later(struct coordinator *c, struct txn *t)
{
    uint32_t doublings = t->overdue_n < OVERDUE_DOUBLINGS ? t->overdue_n : OVERDUE_DOUBLINGS;
    if (t->head.home.node != c->config.self)
        doublings++;
    t->overdue_us = c->now_us + ((uint64_t)OVERDUE_US << doublings);
}

void settle_again(struct coordinator *c, struct txn *t)
{
    uint64_t soon_us = c->now_us + 2 * OVERDUE_US;
    if (soon_us < t->overdue_us)
        t->overdue_us = soon_us;
}

/* Another has decided, and nobody says that it is finished. Whether something was done. */
static bool take_over(struct coordinator *c, struct txn *t)
{
    if (!t->has_record) { /* only learnt: there is nothing to forget */
        txn_finish(c, t);
        return true;
    }
    if (t->overdue_n == 0 || t->participants.n == 0)
        return recovery_wonder(c, t);
    for (int i = 0; i < t->participants.n; i++)
        if (c->up[t->participants.id[i]] == 0)
            return false; /* this may be what the decider waits for */
    t->decider = true;
    settle_repeat(c, t, 0);
    return true;
}

/* Records that should have been forgotten long ago: FORGET, or the outcome itself, was missed, or
 * the decider is gone. */
void settle_overdue(struct coordinator *c)
{
    struct txn *t, *next;
    uint32_t n = 0;
    TAILQ_FOREACH_SAFE (t, &c->open, link, next) {
        if (n == OVERDUE_BATCH)
            break;
        if (t->overdue_us > c->now_us || below_watermark(c, &t->head.txid) ||
            txid_route(&t->head.txid) != 0)
            continue;
        if (t->state == TXN_DECIDED && !t->decider)
            n += take_over(c, t);
        else if (t->state == TXN_KNOWN && t->has_record)
            n += recovery_wonder(c, t);
    }
}
