/* Recovery: deciding a transaction whose leader is silent, with a ballot of one's own (4.4).
 *
 *   R1  a ballot is (round, this node, this incarnation) with a round above every one seen: never
 * reused R2  the proposal is, per participant, the accepted vote of the highest ballot among F+1
 * promises, *aborted* where there is none; without any vote "the whole transaction aborted" R3
 * decided only by F+1 ACCEPTED at the own ballot, counted in recovery_accepted and nowhere else R4
 * where F+1 acceptors have forgotten it nothing is decided (presume) */
#include "coordinator/txn.h"

#include <stdlib.h>
#include <string.h>

#define ASK_HOME_US   500000u
#define PHASE_US      1000000u
#define BACKOFF_US    20000u
#define BACKOFF_TRIES 6u

static struct recovery *recovery_of(struct txn *t)
{
    if (t->recovery == NULL)
        t->recovery = xcalloc(1, sizeof *t->recovery);
    return t->recovery;
}

/* Asks one coordinator, or all for 0, whether it leads the transaction or knows the outcome. The
 * mask of those that are connected. */
static uint64_t ask(struct coordinator *c, const struct txn *t, node_id only)
{
    uint64_t asked = 0;
    for (int i = 0; i < c->config.coordinators; i++) {
        node_id node = c->config.coordinator[i];
        if (i == c->self_index || c->up[node] == 0 || (only != 0 && only != node))
            continue;
        asked |= UINT64_C(1) << i;
        coordinator_send(c, node, msg_new(MSG_OUTCOME, &t->head));
    }
    return asked;
}

void recovery_asked(struct coordinator *c, struct txn *t, bool in_doubt)
{
    if (t->recovery != NULL)
        t->recovery->in_doubt |= in_doubt;
    if (t->state == TXN_ASKING)
        t->recovery->unasked = false;
    if (t->state != TXN_KNOWN)
        return; /* collecting, or already on its way */
    if (MUTANT(NO_RECORD_IS_ABORT) && !t->has_record) {
        txn_decided(c, t, (struct outcome){OUTCOME_ABORTED, 0, ASSENT_RECOVERED}, true);
        return;
    }
    uint16_t route = txid_route(&t->head.txid);
    if (route != 0) {
        if (!c->is_participant[route])
            return;
        txn_move(t, TXN_ONE_ASKING);
        recovery_timer(c, t);
        return;
    }
    struct recovery *r = recovery_of(t);
    r->not_leading = 0;
    r->in_doubt = in_doubt;
    r->unasked = false;
    r->asked = ask(c, t, t->head.home.node);
    if (r->asked == 0) {
        recovery_start(c, t);
        return;
    }
    txn_move(t, TXN_ASKING);
    txn_timer(c, t, ASK_HOME_US);
}

bool recovery_wonder(struct coordinator *c, struct txn *t)
{
    uint64_t asked = ask(c, t, 0);
    if (asked == 0 && c->f > 0)
        return false;
    t->overdue_n++;
    settle_later(c, t);
    if (t->state != TXN_KNOWN)
        return true; /* the outcome is known: whoever has finished it answers with FORGET */
    struct recovery *r = recovery_of(t);
    r->not_leading = 0;
    r->in_doubt = false;
    r->unasked = true;
    r->asked = asked;
    if (asked == 0) {
        recovery_start(c, t); /* the only coordinator: its records are all there is */
        return true;
    }
    txn_move(t, TXN_ASKING);
    txn_timer(c, t, ASK_HOME_US);
    return true;
}

static void stop_asking(struct coordinator *c, struct txn *t)
{
    txn_move(t, TXN_KNOWN);
    timer_clear(&c->timers, &t->timer);
}

/* Another coordinator does not lead it, and does not know the outcome either. */
static void not_leading(struct coordinator *c, struct txn *t, int i)
{
    struct recovery *r = t->recovery;
    uint64_t others =
        ((UINT64_C(1) << c->config.coordinators) - 1) & ~(UINT64_C(1) << c->self_index);
    r->not_leading |= UINT64_C(1) << i;
    if (r->not_leading != r->asked)
        return;
    if (r->unasked && r->asked != others)
        stop_asking(c, t);
    else
        recovery_start(c, t);
}

/* The home, or the only participant, answers "do you lead it?". */
void recovery_home_answer(struct coordinator *c, struct txn *t, const struct msg *m, node_id from)
{
    const struct msg_result *result = &m->result;
    int i = coordinator_index(c, from);
    bool decided = !assent_maybe_committed(result->status) ||
                   (MUTANT(NOT_LEADING_IS_ABORT) && result->status == ASSENT_UNKNOWN);
    if (t->state != TXN_ASKING && t->state != TXN_ONE_ASKING && t->state != TXN_ONE_PHASE)
        return;
    if (t->state != TXN_ASKING && from != txid_route(&t->head.txid))
        return;
    if (decided) {
        struct outcome outcome = {OUTCOME_COMMITTED, result->commit_ts, ASSENT_OK};
        if (result->status != ASSENT_OK)
            outcome = (struct outcome){OUTCOME_ABORTED, 0, result->status};
        txn_decided(c, t, outcome, false);
    } else if (t->state == TXN_ONE_ASKING && result->status == ASSENT_EXPIRED) {
        answer_expired(c, t);
        if (t->lead != NULL)
            answer_result(c, t, (struct addr){0, t->lead->conn}, ASSENT_EXPIRED);
        txn_remove(c, t);
    } else if (t->state == TXN_ASKING && result->status == ASSENT_PENDING) {
        stop_asking(c, t); /* it leads; who waits will ask again, or be told */
    } else if (t->state == TXN_ASKING && result->status == ASSENT_EXPIRED &&
               !t->recovery->in_doubt) {
        answer_expired(c, t); /* perhaps committed and forgotten: no vote there proves nothing */
        stop_asking(c, t);
    } else if (t->state == TXN_ASKING && i >= 0) {
        not_leading(c, t, i);
    }
}

void recovery_start(struct coordinator *c, struct txn *t)
{
    if (txid_route(&t->head.txid) != 0) {
        /* the only participant decides: it answers, or remembers the abort first */
        txn_move(t, TXN_ONE_ASKING);
        recovery_timer(c, t);
        return;
    }
    struct recovery *r = recovery_of(t);
    uint32_t tries = r->tries + 1;
    *r = (struct recovery){.tries = tries};
    t->round_seen += tries == 1 || !MUTANT(BALLOT_REUSED);
    r->ballot = (struct ballot){t->round_seen, c->config.self,
                                MUTANT(BALLOT_WITHOUT_INCARNATION) ? 0 : c->config.incarnation};
    c->stats.recoveries += tries == 1;
    txn_move(t, TXN_PROMISING);
    txn_timer(c, t, coordinator_jitter(c, PHASE_US));
    t->took_part |= (UINT64_C(1) << c->config.coordinators) - 1;
    struct msg *ask = msg_new(MSG_PROMISE_ASK, &t->head);
    ask->promise_ask.ballot = r->ballot;
    coordinator_broadcast(c, ask);
    acceptor_promise_ask(c, t, r->ballot, c->config.self);
}

static void propose(struct coordinator *c, struct txn *t)
{
    struct recovery *r = t->recovery;
    struct msg *m = msg_new(MSG_PROPOSE, &t->head);
    if (MUTANT(ROLLS_BACK_VOTED))
        r->any_vote = false;
    m->propose.ballot = r->ballot;
    m->propose.whole_abort = !r->any_vote;
    if (r->any_vote) {
        m->propose.participants = t->participants;
        for (int i = 0; i < t->participants.n; i++) {
            struct accepted *best = &r->best[i];
            bool none =
                best->vote.kind == VOTE_NONE || (r->whole_abort && !MUTANT(WHOLE_ABORT_IGNORED) &&
                                                 ballot_compare(r->whole_ballot, best->ballot) > 0);
            if (none)
                best->vote = (struct vote){VOTE_ABORTED, 0, ASSENT_RECOVERED};
            m->propose.votes[i] = best->vote;
        }
    }
    txn_move(t, TXN_PROPOSING);
    txn_timer(c, t, coordinator_jitter(c, PHASE_US));
    coordinator_broadcast(c, msg_ref(m));
    acceptor_propose(c, t, m, c->config.self);
    msg_unref(m);
}

/* Nothing is decided: who waits is told EXPIRED. */
static void give_up(struct coordinator *c, struct txn *t)
{
    if (t->lead != NULL)
        answer_result(c, t, (struct addr){0, t->lead->conn}, ASSENT_EXPIRED);
    lead_free(c, t);
    answer_expired(c, t);
    free(t->recovery);
    t->recovery = NULL;
    stop_asking(c, t);
}

/* F+1 acceptors have forgotten it. They take part in nothing any more, so no ballot can decide it;
 * and if it has ever committed one of them has forgotten that, so every participant had settled:
 * one that is in doubt may abort. */
static void presume(struct coordinator *c, struct txn *t)
{
    for (int i = 0; i < t->participants.n; i++) {
        struct msg *m = msg_new(MSG_DECIDE, &t->head);
        m->decide.outcome = (struct outcome){OUTCOME_ABORTED, 0, ASSENT_EXPIRED};
        m->decide.participants = t->participants;
        coordinator_send(c, t->participants.id[i], m);
    }
    give_up(c, t);
    if (t->has_record && below_watermark(c, &t->head.txid))
        settle_finish_old(c, t);
    else
        txn_drop_if_empty(c, t);
}

void recovery_promise(struct coordinator *c, struct txn *t, const struct msg *m, node_id from)
{
    const struct msg_promise *p = &m->promise;
    struct recovery *r = t->recovery;
    int acceptor = coordinator_index(c, from);
    if (t->state != TXN_PROMISING || acceptor < 0 || !ballot_equal(p->ballot, r->ballot))
        return;
    if (p->outcome.kind != OUTCOME_NONE) {
        if (p->participants.n > 0)
            txn_participants(t, &p->participants);
        txn_decided(c, t, p->outcome, true);
        return;
    }
    if (p->forgotten) {
        r->forgotten |= UINT64_C(1) << acceptor;
        if (__builtin_popcountll(r->forgotten) == c->f + 1)
            presume(c, t);
        return;
    }
    if (p->participants.n > 0 && !txn_participants(t, &p->participants))
        return;
    if (p->whole_abort &&
        (!r->whole_abort || ballot_compare(p->whole_ballot, r->whole_ballot) > 0)) {
        r->whole_abort = true;
        r->whole_ballot = p->whole_ballot;
    }
    for (int i = 0; i < p->participants.n; i++) {
        const struct accepted *a = &p->accepted[i];
        struct accepted *best = &r->best[i];
        if (a->vote.kind == VOTE_NONE)
            continue;
        r->any_vote = true;
        if (best->vote.kind == VOTE_NONE ||
            (ballot_compare(a->ballot, best->ballot) > 0 && !MUTANT(FIRST_VOTE_REPORTED_WINS)))
            *best = *a;
    }
    r->promised |= UINT64_C(1) << acceptor;
    if (__builtin_popcountll(r->promised) == c->f + 1 - (MUTANT(F_PROMISES) && c->f > 0))
        propose(c, t);
}

void recovery_own_promise_stored(struct coordinator *c, struct txn *t, struct ballot b)
{
    if (t->state != TXN_PROMISING || !ballot_equal(b, t->recovery->ballot) ||
        !ballot_equal(b, t->promised))
        return;
    struct msg *m = msg_new(MSG_PROMISE, &t->head);
    m->promise.ballot = b;
    acceptor_fill_promise(t, m);
    recovery_promise(c, t, m, c->config.self);
    msg_unref(m);
}

void recovery_accepted(struct coordinator *c, struct txn *t, struct ballot b, int acceptor)
{
    struct recovery *r = t->recovery;
    if (t->state != TXN_PROPOSING || acceptor < 0 || !ballot_equal(b, r->ballot))
        return;
    r->accepted |= UINT64_C(1) << acceptor;
    if (__builtin_popcountll(r->accepted) < c->f + 1 - MUTANT(F_ACCEPTED))
        return;
    struct outcome outcome = {.kind = OUTCOME_COMMITTED};
    if (!r->any_vote)
        outcome = (struct outcome){OUTCOME_ABORTED, 0, ASSENT_RECOVERED};
    for (int i = 0; r->any_vote && i < t->participants.n; i++) {
        const struct vote *v = &r->best[i].vote;
        if (v->kind == VOTE_ABORTED && outcome.kind == OUTCOME_COMMITTED)
            outcome = (struct outcome){OUTCOME_ABORTED, 0, v->reason};
        else if (outcome.kind == OUTCOME_COMMITTED && v->prepare_ts > outcome.commit_ts)
            outcome.commit_ts = v->prepare_ts;
    }
    if (outcome.reason == ASSENT_RECOVERED && t->lead != NULL)
        outcome.reason = ASSENT_TIMED_OUT;
    if (MUTANT(COMMIT_TS_OF_RECOVERER) && outcome.kind == OUTCOME_COMMITTED)
        outcome.commit_ts = hlc_from_ms(c->wall_ms);
    txn_decided(c, t, outcome, true);
}

static void back_off(struct coordinator *c, struct txn *t)
{
    uint32_t tries = t->recovery->tries < BACKOFF_TRIES ? t->recovery->tries : BACKOFF_TRIES;
    txn_move(t, TXN_BACKOFF);
    txn_timer(c, t, coordinator_jitter(c, (uint64_t)BACKOFF_US << tries));
}

void recovery_rejected(struct coordinator *c, struct txn *t, const struct msg *m)
{
    const struct msg_rejected *x = &m->rejected;
    if (x->promised.round > t->round_seen)
        t->round_seen = x->promised.round;
    if ((t->state == TXN_PROMISING || t->state == TXN_PROPOSING) &&
        ballot_equal(x->ballot, t->recovery->ballot))
        back_off(c, t);
}

void recovery_timer(struct coordinator *c, struct txn *t)
{
    switch ((enum txn_state)t->state) {
    case TXN_ASKING:
        if (t->recovery->unasked)
            stop_asking(c, t);
        else
            recovery_start(c, t);
        break;
    case TXN_BACKOFF:
        /* W has passed it meanwhile, and too few answer who have not forgotten: whoever is still in
         * doubt asks again */
        if (below_watermark(c, &t->head.txid) && !t->recovery->in_doubt) {
            give_up(c, t);
            txn_drop_if_empty(c, t);
            break;
        }
        recovery_start(c, t);
        break;
    case TXN_WAITING:
        recovery_start(c, t);
        break;
    case TXN_PROMISING:
    case TXN_PROPOSING:
        back_off(c, t);
        break;
    case TXN_ONE_ASKING:
        /* until somebody who waits for it has given up; a leader never does */
        if (t->lead == NULL && t->waiters_n == 0) {
            txn_remove(c, t);
            break;
        }
        coordinator_send(c, txid_route(&t->head.txid), msg_new(MSG_OUTCOME, &t->head));
        txn_timer(c, t, coordinator_jitter(c, ASK_HOME_US));
        break;
    default:
        break;
    }
}
