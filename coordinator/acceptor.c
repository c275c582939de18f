/* The acceptor, which every coordinator is for every transaction.
 *
 *   A1  a vote or proposal is accepted only at a ballot >= the promised one; ballot 0 only while
 * nothing is promised A2  what is in `struct txn` is what the records emitted say; a message that
 * depends on a record leaves with it A3  at ballot 0 a participant's first vote is kept for good
 * (I3) A4  below W without a record it takes part in nothing any more, and says so when asked for a
 * promise; as W is durable it never takes part again */
#include "coordinator/txn.h"

static struct effect *emit(struct coordinator *c, struct txn *t, enum record_kind kind,
                           struct ballot b)
{
    static const struct participants none = {0};
    struct blob *body =
        acceptor_record_encode(&t->head, t->promised, t->whole_abort, t->whole_ballot,
                               t->accepted == NULL ? &none : &t->participants, t->accepted);
    struct effect *persist = effect_persist(c->effects, kind, &t->head.txid, 0, body);
    persist->ballot = b;
    t->has_record = true;
    t->storing++;
    return persist;
}

bool acceptor_forgotten(const struct coordinator *c, const struct txn *t)
{
    if (t->outcome.kind != OUTCOME_NONE || txid_route(&t->head.txid) != 0 ||
        MUTANT(TAKES_PART_BELOW_W))
        return false;
    return t->state == TXN_FINISHED || (!t->has_record && below_watermark(c, &t->head.txid));
}

struct effect *acceptor_accept0(struct coordinator *c, struct txn *t, const struct vote *votes)
{
    for (int i = 0; i < t->participants.n; i++)
        if (votes[i].kind != VOTE_NONE)
            t->accepted[i] = (struct accepted){.vote = votes[i]};
    return emit(c, t, RECORD_ACCEPT, (struct ballot){0});
}

static void reject(struct coordinator *c, struct txn *t, node_id to, struct ballot late)
{
    if (to == c->config.self)
        return; /* its own recovery goes on with the other acceptors */
    struct msg *m = msg_new(MSG_REJECTED, &t->head);
    m->rejected.ballot = late;
    m->rejected.promised = t->promised;
    coordinator_send(c, to, m);
}

static struct msg *accepted0_msg(const struct txn *t)
{
    struct msg *m = msg_new(MSG_ACCEPTED, &t->head);
    m->accepted.participants = t->participants;
    for (int i = 0; i < t->participants.n; i++)
        m->accepted.votes[i] = t->accepted[i].vote; /* nothing is promised: all are of ballot 0 */
    return m;
}

/* A vote at an acceptor that is not (or no longer) collecting as the leader. */
static void accept_vote(struct coordinator *c, struct txn *t, int i, const struct vote *vote)
{
    node_id home = t->head.home.node;
    if (t->accepted[i].vote.kind != VOTE_NONE) {
        /* the first one's ACCEPTED may be lost: again, unless it is still on its way to the disk */
        if (t->storing == 0 && home != c->config.self)
            coordinator_send(c, home, accepted0_msg(t));
        return;
    }
    struct vote votes[PARTICIPANTS_MAX] = {0};
    votes[i] = *vote;
    struct effect *persist = acceptor_accept0(c, t, votes);
    if (MUTANT(ACCEPTED_BEFORE_DURABLE) && home != c->config.self)
        coordinator_send(c, home, accepted0_msg(t));
    else if (home != c->config.self)
        effect_then_send(persist, addr_node(home), accepted0_msg(t));
}

void acceptor_vote(struct coordinator *c, const struct event *e, struct txn *t)
{
    const struct msg_vote *v = &e->msg->vote;
    int i = participants_index(&v->participants, e->from.node);
    if (i < 0 || v->vote.kind == VOTE_NONE || v->one_phase != (txid_route(&t->head.txid) != 0))
        return;
    if (acceptor_forgotten(c, t))
        return;
    if (!txn_participants(t, &v->participants))
        return;
    if (!t->has_record && t->lead == NULL)
        t->head = e->msg->head; /* a client's question may have named another home */
    if (t->outcome.kind != OUTCOME_NONE) {
        if (!v->one_phase)
            send_decide(c, t, e->from.node);
        return;
    }
    if (v->one_phase) {
        if (t->lead != NULL) /* one that is only asked about gets its answer by asking */
            leader_vote(c, t, i, e->msg);
        return;
    }
    if (t->promised.round > 0 && !MUTANT(ACCEPTS_AFTER_PROMISE)) {
        if (t->head.home.node == c->config.self)
            leader_higher_ballot(c, t, t->promised);
        else
            reject(c, t, t->head.home.node, (struct ballot){0});
        return;
    }
    if (t->state == TXN_COLLECTING)
        leader_vote(c, t, i, e->msg);
    else
        accept_vote(c, t, i, &v->vote);
}

void acceptor_fill_promise(const struct txn *t, struct msg *m)
{
    m->promise.outcome = t->outcome;
    m->promise.whole_abort = t->whole_abort;
    m->promise.whole_ballot = t->whole_ballot;
    bool any = false;
    bool reports = t->accepted != NULL && !MUTANT(PROMISE_HIDES_VOTES);
    for (int i = 0; reports && i < t->participants.n; i++) {
        m->promise.accepted[i] = t->accepted[i];
        any |= t->accepted[i].vote.kind != VOTE_NONE;
    }
    if (any || t->outcome.kind != OUTCOME_NONE)
        m->promise.participants = t->participants;
}

/* Not while the record is still being forgotten: a crash would bring it back. */
static void say_forgotten(struct coordinator *c, struct txn *t, struct ballot b, node_id from)
{
    if (t->has_record)
        return; /* it will be asked again */
    leader_higher_ballot(c, t, b);
    struct msg *m = msg_new(MSG_PROMISE, &t->head);
    m->promise.ballot = b;
    m->promise.forgotten = true;
    if (from != c->config.self) {
        coordinator_send(c, from, m);
        return;
    }
    recovery_promise(c, t, m, from);
    msg_unref(m);
}

void acceptor_promise_ask(struct coordinator *c, struct txn *t, struct ballot b, node_id from)
{
    if (t->outcome.kind != OUTCOME_NONE) {
        struct msg *m = msg_new(MSG_PROMISE, &t->head);
        m->promise.ballot = b;
        acceptor_fill_promise(t, m);
        coordinator_send(c, from, m); /* the decision: it needs no promise */
        return;
    }
    if (acceptor_forgotten(c, t)) {
        say_forgotten(c, t, b, from);
        return;
    }
    if (ballot_compare(b, t->promised) < 0) {
        reject(c, t, from, b);
        return;
    }
    if (!MUTANT(PROMISE_FORGOTTEN))
        t->promised = b;
    leader_higher_ballot(c, t, b);
    struct effect *persist = emit(c, t, RECORD_PROMISE, b);
    if (from == c->config.self)
        return;
    struct msg *m = msg_new(MSG_PROMISE, &t->head);
    m->promise.ballot = b;
    acceptor_fill_promise(t, m);
    if (MUTANT(PROMISE_BEFORE_DURABLE))
        coordinator_send(c, from, m);
    else
        effect_then_send(persist, addr_node(from), m);
}

void acceptor_propose(struct coordinator *c, struct txn *t, const struct msg *m, node_id from)
{
    const struct msg_propose *p = &m->propose;
    if (t->outcome.kind != OUTCOME_NONE) {
        send_decide(c, t, from);
        return;
    }
    if (acceptor_forgotten(c, t))
        return;
    if (ballot_compare(p->ballot, t->promised) < 0 && !MUTANT(ACCEPTS_BELOW_PROMISE)) {
        reject(c, t, from, p->ballot);
        return;
    }
    if (p->participants.n > 0 && !txn_participants(t, &p->participants))
        return;
    t->promised = p->ballot;
    leader_higher_ballot(c, t, p->ballot);
    if (p->whole_abort) {
        t->whole_abort = true;
        t->whole_ballot = p->ballot;
    } else {
        for (int i = 0; i < t->participants.n; i++)
            t->accepted[i] = (struct accepted){p->ballot, p->votes[i]};
    }
    struct effect *persist = emit(c, t, RECORD_ACCEPT, p->ballot);
    if (from == c->config.self)
        return;
    struct msg *reply = msg_new(MSG_ACCEPTED, &t->head);
    reply->accepted.ballot = p->ballot;
    reply->accepted.whole_abort = p->whole_abort;
    reply->accepted.participants = p->participants;
    for (int i = 0; i < p->participants.n; i++)
        reply->accepted.votes[i] = p->votes[i];
    effect_then_send(persist, addr_node(from), reply);
}
