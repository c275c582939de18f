/* DECIDE to DECIDED (4.2 step 6, 4.4), and the outcome of transactions that this participant
 * decides alone. */
#include "participant/branch.h"

static void send_decided(struct participant *p, const struct tx_head *head, node_id to,
                         enum outcome_kind outcome)
{
    struct msg *m = msg_new(MSG_DECIDED, head);
    m->decided.outcome = outcome;
    participant_send(p, to, m);
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
        struct branch *b = branch_add(p, &m->head);
        b->participants = m->decide.participants;
        b->outcome = m->decide.outcome;
        branch_move(p, b, BRANCH_ABORTED);
    } else if (!below_floor(p, &m->head.txid) && !MUTANT(LOSES_PREPARED)) {
        halt(p, &m->head.txid,
             "decided committed, but this participant holds neither a prepared nor an applied "
             "record");
        return;
    }
    send_decided(p, &m->head, e->from.node, m->decide.outcome.kind);
}

static void decide_commit_prepared(struct participant *p, struct branch *b, hlc_ts commit_ts,
                                   node_id decider)
{
    if (commit_ts < b->prepare_ts) {
        halt(p, &b->head.txid, "commit timestamp below this participant's prepare timestamp");
        return;
    }
    b->outcome = (struct outcome){OUTCOME_COMMITTED, commit_ts, ASSENT_OK};
    if (!MUTANT(COMMIT_TS_NOT_HEARD))
        hlc_merge(&p->clock, commit_ts);
    timer_clear(&p->timers, &b->timer);
    p->resource->decided(p->resource->arg, b->claim);
    branch_move(p, b, BRANCH_COMMITTING);
    struct effect *persist =
        effect_persist(p->effects, RECORD_COMMITTED, &b->head.txid, commit_ts, NULL);
    struct msg *m = msg_new(MSG_DECIDED, &b->head);
    m->decided.outcome = OUTCOME_COMMITTED;
    if (MUTANT(DECIDED_BEFORE_DURABLE))
        participant_send(p, decider, m);
    else
        effect_then_send(persist, addr_node(decider), m);
    if (MUTANT(RELEASES_BEFORE_APPLIED))
        branch_settled(p, b);
}

void decide_abort_prepared(struct participant *p, struct branch *b, assent_status reason,
                           node_id decider)
{
    b->outcome = (struct outcome){OUTCOME_ABORTED, 0, reason};
    timer_clear(&p->timers, &b->timer);
    p->resource->decided(p->resource->arg, b->claim);
    branch_move(p, b, BRANCH_ABORTING);
    struct effect *persist =
        effect_persist(p->effects, RECORD_ABORTED, &b->head.txid, 0, aborted_record_encode(reason));
    struct msg *m = msg_new(MSG_DECIDED, &b->head);
    m->decided.outcome = OUTCOME_ABORTED;
    effect_then_send(persist, addr_node(decider), m);
}

/* F+1 coordinators have forgotten it: not an outcome, but what to do in doubt. It is no reason to
 * vote by, so the record does not have it. */
static void decide_forgotten(struct participant *p, const struct event *e, struct branch *b)
{
    if (b == NULL)
        return;
    if (b->state == BRANCH_PREPARED)
        decide_abort_prepared(p, b, ASSENT_RECOVERED, e->from.node);
    else if (b->state == BRANCH_COMMITTED || b->state == BRANCH_ABORTED)
        send_decided(p, &b->head, e->from.node, b->outcome.kind);
}

void decide_message(struct participant *p, const struct event *e, struct branch *b)
{
    const struct outcome *outcome = &e->msg->decide.outcome;
    node_id from = e->from.node;
    bool commit = outcome->kind == OUTCOME_COMMITTED;
    if (outcome->kind == OUTCOME_NONE)
        return;
    if (outcome_expired(outcome)) {
        decide_forgotten(p, e, b);
        return;
    }
    if (b == NULL) {
        decide_unknown(p, e);
        return;
    }
    switch ((enum branch_state)b->state) {
    case BRANCH_NEW:
        break;
    case BRANCH_LOCKING:
    case BRANCH_PREPARING:
        if (commit) {
            halt(p, &b->head.txid, "decided committed before this participant voted");
        } else if (b->state == BRANCH_LOCKING) {
            vote_aborted(p, b, outcome->reason, NULL);
            send_decided(p, &b->head, from, OUTCOME_ABORTED);
        } else {
            b->abort_asked = true;
            b->abort_from = from;
            b->outcome = *outcome;
        }
        break;
    case BRANCH_PREPARED:
        if (commit)
            decide_commit_prepared(p, b, outcome->commit_ts, from);
        else
            decide_abort_prepared(p, b, outcome->reason, from);
        break;
    case BRANCH_COMMITTING:
    case BRANCH_ABORTING:
        break; /* the answer leaves with the record; the decider repeats */
    case BRANCH_COMMITTED:
    case BRANCH_ABORTED:
        if (commit != (b->outcome.kind == OUTCOME_COMMITTED) ||
            (commit && outcome->commit_ts != b->outcome.commit_ts))
            halt(p, &b->head.txid, "decided otherwise before (I1)");
        else
            send_decided(p, &b->head, from, outcome->kind);
        break;
    }
}

static void answer_outcome(struct participant *p, const struct branch *b, node_id to)
{
    struct msg *m = msg_new(MSG_RESULT, &b->head);
    m->result.status = b->outcome.kind == OUTCOME_COMMITTED ? ASSENT_OK
                       : b->outcome.reason == ASSENT_OK     ? ASSENT_RECOVERED
                                                            : b->outcome.reason;
    m->result.commit_ts = b->outcome.commit_ts;
    participant_send(p, to, m);
}

void decide_stored(struct participant *p, struct branch *b, const struct event_stored *s)
{
    (void)s;
    if (b->state == BRANCH_ABORTED) { /* the abort that outcome_message made durable */
        answer_outcome(p, b, b->abort_from);
        b->asked_outcome = false;
        return;
    }
    b->outcome_durable = true;
    bool committed = b->state == BRANCH_COMMITTING;
    if (committed)
        watch_applied(p, b);
    branch_move(p, b, committed ? BRANCH_COMMITTED : BRANCH_ABORTED);
    branch_settled(p, b);
    if (committed)
        watch_wake(p);
}

/* OUTCOME about a transaction whose only participant this is. An abort is durable before it is
 * told: the COMMIT itself may still be on its way, and this node may restart before it comes. */
void outcome_message(struct participant *p, const struct event *e, struct branch *b)
{
    const struct msg *m = e->msg;
    struct msg *answer;
    if (txid_route(&m->head.txid) != p->config.self || e->from.node == 0)
        return;
    if (b == NULL && (below_floor(p, &m->head.txid) || MUTANT(SOLE_ABORT_NOT_REMEMBERED))) {
        answer = msg_new(MSG_RESULT, &m->head);
        answer->result.status =
            MUTANT(SOLE_ABORT_NOT_REMEMBERED) ? ASSENT_RECOVERED : ASSENT_EXPIRED;
        participant_send(p, e->from.node, answer);
        return;
    }
    if (b == NULL) {
        b = branch_add(p, &m->head);
        b->one_phase = true;
        b->outcome = (struct outcome){OUTCOME_ABORTED, 0, ASSENT_RECOVERED};
        branch_move(p, b, BRANCH_ABORTED);
    } else if (b->state == BRANCH_LOCKING) {
        vote_aborted(p, b, ASSENT_TIMED_OUT, NULL);
    }
    if (b->state == BRANCH_COMMITTED ||
        (b->state == BRANCH_ABORTED && MUTANT(SOLE_ABORT_NOT_DURABLE)) ||
        (b->state == BRANCH_ABORTED && b->outcome_durable && !b->asked_outcome)) {
        answer_outcome(p, b, e->from.node);
    } else if (b->state == BRANCH_ABORTED) {
        b->abort_from = e->from.node;
        b->asked_outcome = true;
        if (!b->outcome_durable)
            effect_persist(p->effects, RECORD_ABORTED, &b->head.txid, 0,
                           aborted_record_encode(b->outcome.reason));
        b->outcome_durable = true;
    } else {
        answer = msg_new(MSG_RESULT, &m->head);
        answer->result.status = ASSENT_PENDING;
        participant_send(p, e->from.node, answer);
    }
}

void settle_ask(struct participant *p, const struct event *e)
{
    const struct msg_settle_ask *ask = &e->msg->settle_ask;
    struct msg *m = msg_new(MSG_SETTLED, NULL);
    m->settled.floor = p->floor;
    m->settled.txid = xcalloc(ask->n, sizeof *m->settled.txid);
    for (uint16_t i = 0; i < ask->n; i++) {
        const struct branch *b = branch_find(p, &ask->txid[i]);
        bool open = b != NULL && b->state != BRANCH_COMMITTED && b->state != BRANCH_ABORTED;
        if (MUTANT(SETTLED_WHILE_PREPARED))
            open = false;
        if (!open && below_floor(p, &ask->txid[i]))
            m->settled.txid[m->settled.n++] = ask->txid[i];
    }
    participant_send(p, e->from.node, m);
}
