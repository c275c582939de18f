/* DECIDE to DECIDED (4.2 step 6, 4.4), and the outcome of transactions that this participant
 * decides alone. */
#include "participant/txn.h"

static void send_decided(struct participant *p, const struct tx_head *head, node_id to,
                         enum outcome_kind outcome)
{
    struct msg *m = msg_new(MSG_DECIDED, head);
    m->decided.outcome = outcome;
    send_node(p, to, m);
}

static void halt(struct participant *p, const struct txid *txid, const char *what)
{
    char text[TXID_TEXT_BYTES];
    effect_halt(p->effects, "transaction %s: %s", txid_text(txid, text), what);
}

/* DECIDE for a transaction that is not known here. */
static void decide_unknown(struct participant *p, const struct event *e)
{
    const struct msg *m = e->msg;
    if (m->decide.outcome.kind == OUTCOME_ABORTED) {
        /* a late PREPARE must not prepare */
        struct txn *t = txn_add(p, &m->head);
        t->participants = m->decide.participants;
        t->outcome = m->decide.outcome;
        txn_move(p, t, TXN_ABORTED);
    } else if (!below_floor(p, &m->head.txid)) {
        halt(p, &m->head.txid,
             "decided committed, but this participant holds neither a prepared nor an applied "
             "record");
        return;
    }
    send_decided(p, &m->head, e->from.node, m->decide.outcome.kind);
}

static void decide_commit_prepared(struct participant *p, struct txn *t, hlc_ts commit_ts,
                                   node_id decider)
{
    if (commit_ts < t->prepare_ts) {
        halt(p, &t->head.txid, "commit timestamp below this participant's prepare timestamp");
        return;
    }
    t->outcome = (struct outcome){OUTCOME_COMMITTED, commit_ts, ASSENT_OK};
    hlc_merge(&p->clock, commit_ts);
    timer_clear(&p->timers, &t->timer);
    txn_move(p, t, TXN_COMMITTING);
    struct effect *persist =
        effect_persist(p->effects, RECORD_COMMITTED, &t->head.txid, commit_ts, NULL);
    struct msg *m = msg_new(MSG_DECIDED, &t->head);
    m->decided.outcome = OUTCOME_COMMITTED;
    effect_then_send(persist, addr_node(decider), m);
}

void decide_abort_prepared(struct participant *p, struct txn *t, assent_status reason,
                           node_id decider)
{
    t->outcome = (struct outcome){OUTCOME_ABORTED, 0, reason};
    timer_clear(&p->timers, &t->timer);
    txn_move(p, t, TXN_ABORTING);
    struct effect *persist =
        effect_persist(p->effects, RECORD_ABORTED, &t->head.txid, 0, aborted_record_encode(reason));
    struct msg *m = msg_new(MSG_DECIDED, &t->head);
    m->decided.outcome = OUTCOME_ABORTED;
    effect_then_send(persist, addr_node(decider), m);
}

void decide_message(struct participant *p, const struct event *e, struct txn *t)
{
    const struct outcome *outcome = &e->msg->decide.outcome;
    node_id from = e->from.node;
    bool commit = outcome->kind == OUTCOME_COMMITTED;
    if (outcome->kind == OUTCOME_NONE)
        return;
    if (t == NULL) {
        decide_unknown(p, e);
        return;
    }
    switch ((enum txn_state)t->state) {
    case TXN_NEW:
        break;
    case TXN_LOCKING:
    case TXN_PREPARING:
        if (commit) {
            halt(p, &t->head.txid, "decided committed before this participant voted");
        } else if (t->state == TXN_LOCKING) {
            vote_aborted(p, t, outcome->reason, NULL);
            send_decided(p, &t->head, from, OUTCOME_ABORTED);
        } else {
            t->abort_asked = true;
            t->abort_from = from;
            t->outcome = *outcome;
        }
        break;
    case TXN_PREPARED:
        if (commit)
            decide_commit_prepared(p, t, outcome->commit_ts, from);
        else
            decide_abort_prepared(p, t, outcome->reason, from);
        break;
    case TXN_COMMITTING:
    case TXN_ABORTING:
        break; /* the answer leaves with the record; the decider repeats */
    case TXN_COMMITTED:
    case TXN_ABORTED:
        if (commit != (t->outcome.kind == OUTCOME_COMMITTED) ||
            (commit && outcome->commit_ts != t->outcome.commit_ts))
            halt(p, &t->head.txid, "decided otherwise before (I1)");
        else
            send_decided(p, &t->head, from, outcome->kind);
        break;
    }
}

static void answer_outcome(struct participant *p, const struct txn *t, node_id to)
{
    struct msg *m = msg_new(MSG_RESULT, &t->head);
    m->result.status = t->outcome.kind == OUTCOME_COMMITTED ? ASSENT_OK
                       : t->outcome.reason == ASSENT_OK     ? ASSENT_RECOVERED
                                                            : t->outcome.reason;
    m->result.commit_ts = t->outcome.commit_ts;
    send_node(p, to, m);
}

void decide_stored(struct participant *p, struct txn *t, const struct event_stored *s)
{
    (void)s;
    if (t->state == TXN_ABORTED) {
        if (t->asked_outcome)
            answer_outcome(p, t, t->abort_from);
        t->asked_outcome = false;
        return;
    }
    t->outcome_durable = true;
    txn_move(p, t, t->state == TXN_COMMITTING ? TXN_COMMITTED : TXN_ABORTED);
    release_claim(p, &t->claim);
}

/* OUTCOME about a transaction whose only participant this is. An abort is durable before it is
 * told: the COMMIT itself may still be on its way, and this node may restart before it comes. */
void outcome_message(struct participant *p, const struct event *e, struct txn *t)
{
    const struct msg *m = e->msg;
    struct msg *answer;
    if (txid_route(&m->head.txid) != p->config.self || e->from.node == 0)
        return;
    if (t == NULL && below_floor(p, &m->head.txid)) {
        answer = msg_new(MSG_RESULT, &m->head);
        answer->result.status = ASSENT_EXPIRED;
        send_node(p, e->from.node, answer);
        return;
    }
    if (t == NULL) {
        t = txn_add(p, &m->head);
        t->one_phase = true;
        t->outcome = (struct outcome){OUTCOME_ABORTED, 0, ASSENT_RECOVERED};
        txn_move(p, t, TXN_ABORTED);
    } else if (t->state == TXN_LOCKING) {
        vote_aborted(p, t, ASSENT_TIMED_OUT, NULL);
    }
    if (t->state == TXN_COMMITTED ||
        (t->state == TXN_ABORTED && t->outcome_durable && !t->asked_outcome)) {
        answer_outcome(p, t, e->from.node);
    } else if (t->state == TXN_ABORTED) {
        t->abort_from = e->from.node;
        t->asked_outcome = true;
        if (!t->outcome_durable)
            effect_persist(p->effects, RECORD_ABORTED, &t->head.txid, 0,
                           aborted_record_encode(t->outcome.reason));
        t->outcome_durable = true;
    } else {
        answer = msg_new(MSG_RESULT, &m->head);
        answer->result.status = ASSENT_PENDING;
        send_node(p, e->from.node, answer);
    }
}

void settle_ask(struct participant *p, const struct event *e)
{
    const struct msg_settle_ask *ask = &e->msg->settle_ask;
    struct msg *m = msg_new(MSG_SETTLED, NULL);
    m->settled.floor = p->floor;
    m->settled.txid = xcalloc(ask->n, sizeof *m->settled.txid);
    for (uint16_t i = 0; i < ask->n; i++) {
        const struct txn *t = txn_find(p, &ask->txid[i]);
        bool open = t != NULL && t->state != TXN_COMMITTED && t->state != TXN_ABORTED;
        if (!open && below_floor(p, &ask->txid[i]))
            m->settled.txid[m->settled.n++] = ask->txid[i];
    }
    send_node(p, e->from.node, m);
}
