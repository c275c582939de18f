/* The coordinator's table of transactions, its dispatch, timers and memory. Invariants, checked
 * here and by the state table:
 *
 *   C1  an outcome, once known, never changes (I1)
 *   C2  every transaction in memory is in exactly one state; only txn_move changes it
 *   C3  a txid with a time at or above memory_floor_ms that is not in memory has no record on the
 * disk; below it the disk is asked before anything is answered C4  only the home, in this
 * incarnation, on first sight, is ever COLLECTING */
#include "coordinator/txn.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_US            1000000u
#define MEMORY_WINDOW_MS     120000u /* finished transactions younger than this stay in memory */
#define MEMORY_WINDOW_MIN_MS 10000u  /* the same when there are too many */
#define EVICT_MAX            20000   /* looked at in one second */
#define EVICT_EACH           2       /* looked at with every event: more than one brings */

static const struct sm_state txn_states[] = {
    [TXN_KNOWN] = {"KNOWN", SM_TO(TXN_COLLECTING) | SM_TO(TXN_ASKING) | SM_TO(TXN_PROMISING) |
                                SM_TO(TXN_ONE_PHASE) | SM_TO(TXN_ONE_ASKING) | SM_TO(TXN_DECIDED) |
                                SM_TO(TXN_FINISHED)},
    [TXN_COLLECTING] = {"COLLECTING",
                        SM_TO(TXN_WAITING) | SM_TO(TXN_PROMISING) | SM_TO(TXN_DECIDED)},
    [TXN_WAITING] = {"WAITING", SM_TO(TXN_PROMISING) | SM_TO(TXN_DECIDED)},
    [TXN_ASKING] = {"ASKING", SM_TO(TXN_KNOWN) | SM_TO(TXN_PROMISING) | SM_TO(TXN_DECIDED)},
    [TXN_PROMISING] = {"PROMISING", SM_TO(TXN_KNOWN) | SM_TO(TXN_PROPOSING) | SM_TO(TXN_BACKOFF) |
                                        SM_TO(TXN_DECIDED)},
    [TXN_PROPOSING] = {"PROPOSING", SM_TO(TXN_BACKOFF) | SM_TO(TXN_DECIDED)},
    [TXN_BACKOFF] = {"BACKOFF", SM_TO(TXN_KNOWN) | SM_TO(TXN_PROMISING) | SM_TO(TXN_DECIDED)},
    [TXN_ONE_PHASE] = {"ONE_PHASE", SM_TO(TXN_ONE_ASKING) | SM_TO(TXN_DECIDED)},
    [TXN_ONE_ASKING] = {"ONE_ASKING", SM_TO(TXN_DECIDED)},
    [TXN_DECIDED] = {"DECIDED", SM_TO(TXN_FINISHED)},
    [TXN_FINISHED] = {"FINISHED", 0},
};
static const struct sm_table txn_table = {"transaction", 11, txn_states};

void txn_move(struct txn *t, enum txn_state to)
{
    sm_move(&txn_table, &t->state, to);
}

struct txn *txn_find(struct coordinator *c, const struct txid *txid)
{
    struct txn *t;
    uint32_t hash = txid_hash(&c->txns_key, txid);
    HASH_FIND_BYHASHVALUE(hh, c->txns, txid, sizeof *txid, hash, t);
    return t;
}

struct txn *txn_add(struct coordinator *c, const struct tx_head *head)
{
    struct txn *t = xcalloc(1, sizeof *t);
    t->head = *head;
    t->state = TXN_KNOWN;
    t->round_seen = c->round_removed;
    t->timer.kind = TIMER_TXN;
    t->timer.owner = t;
    TAILQ_INIT(&t->waiters);
    uint32_t hash = txid_hash(&c->txns_key, &head->txid);
    HASH_ADD_BYHASHVALUE(hh, c->txns, head.txid, sizeof t->head.txid, hash, t);
    TAILQ_INSERT_TAIL(&c->open, t, link);
    c->stats.in_memory++;
    settle_later(c, t);
    return t;
}

void txn_remove(struct coordinator *c, struct txn *t)
{
    if (t->round_seen > c->round_removed)
        c->round_removed = t->round_seen;
    timer_clear(&c->timers, &t->timer);
    waiters_free(c, t);
    lead_free(c, t);
    if (t->state == TXN_FINISHED)
        TAILQ_REMOVE(&c->finished, t, link);
    else
        TAILQ_REMOVE(&c->open, t, link);
    HASH_DELETE(hh, c->txns, t);
    c->stats.in_memory--;
    free(t->recovery);
    free(t->accepted);
    free(t);
}

void txn_finish(struct coordinator *c, struct txn *t)
{
    timer_clear(&c->timers, &t->timer);
    txn_move(t, TXN_FINISHED);
    t->finished_us = c->now_us;
    TAILQ_REMOVE(&c->open, t, link);
    TAILQ_INSERT_TAIL(&c->finished, t, link);
}

bool txn_participants(struct txn *t, const struct participants *p)
{
    if (t->participants.n == 0)
        t->participants = *p;
    else if (!participants_equal(&t->participants, p))
        return false;
    if (t->accepted == NULL)
        t->accepted = xcalloc(p->n, sizeof *t->accepted);
    return true;
}

void txn_timer(struct coordinator *c, struct txn *t, uint64_t in_us)
{
    timer_set(&c->timers, &t->timer, c->now_us + in_us);
}

int coordinator_index(const struct coordinator *c, node_id node)
{
    for (int i = 0; i < c->config.coordinators; i++)
        if (c->config.coordinator[i] == node)
            return i;
    return -1;
}

bool below_watermark(const struct coordinator *c, const struct txid *txid)
{
    return txid_ms(txid) < hlc_to_ms(c->watermark);
}

bool below_others_watermark(const struct coordinator *c, const struct txid *txid)
{
    if (MUTANT(TAKES_PART_BELOW_W))
        return false;
    uint64_t passed_ms = clocks_passed(&c->clocks);
    uint64_t now_ms = passed_ms > c->wall_ms ? passed_ms : c->wall_ms;
    return below_watermark(c, txid) ||
           (c->f > 0 && txid_ms(txid) + c->config.retention_ms < now_ms);
}

void coordinator_send(struct coordinator *c, node_id to, struct msg *m)
{
    effect_send(c->effects, addr_node(to), m);
}

void coordinator_broadcast(struct coordinator *c, struct msg *m)
{
    for (int i = 0; i < c->config.coordinators; i++)
        if (i != c->self_index)
            coordinator_send(c, c->config.coordinator[i], msg_ref(m));
    msg_unref(m);
}

uint64_t coordinator_jitter(struct coordinator *c, uint64_t us)
{
    return us + prng_below(&c->prng, us);
}

struct coordinator *coordinator_new(const struct coordinator_config *config)
{
    struct coordinator *c = xcalloc(1, sizeof *c);
    c->config = *config;
    c->config.participant = NULL;
    c->f = (config->coordinators - 1) / 2;
    c->self_index = coordinator_index(c, config->self);
    if (c->self_index < 0)
        abort(); /* the configuration was checked before */
    for (int i = 0; i < config->participants; i++)
        c->is_participant[config->participant[i]] = true;
    prng_seed(&c->prng, config->seed);
    c->txns_key = txid_hash_key(~config->seed);
    timers_init(&c->timers);
    TAILQ_INIT(&c->open);
    TAILQ_INIT(&c->finished);
    c->second.kind = TIMER_SECOND;
    c->forget_timer.kind = TIMER_FORGET;
    c->clocks.n = config->coordinators;
    return c;
}

void coordinator_free(struct coordinator *c)
{
    struct txn *t, *next;
    if (c == NULL)
        return;
    HASH_ITER (hh, c->txns, t, next)
        txn_remove(c, t);
    stash_free(&c->stash);
    free(c);
}

static bool restore_acceptor(struct coordinator *c, const struct record *record)
{
    struct acceptor_record a;
    if (!acceptor_record_decode(blob_bytes(record->body), &a))
        return false;
    struct txn *t = txn_find(c, &a.head.txid);
    if (t == NULL)
        t = txn_add(c, &a.head);
    if (t->state == TXN_FINISHED)
        return true;
    if (!MUTANT(RESTORED_WITHOUT_PROMISE))
        t->promised = a.promised;
    if (a.promised.round > t->round_seen)
        t->round_seen = a.promised.round;
    t->whole_abort = a.whole_abort;
    t->whole_ballot = a.whole_ballot;
    t->has_record = true;
    if (a.participants.n > 0 && !MUTANT(RESTORED_WITHOUT_VOTES)) {
        if (!txn_participants(t, &a.participants))
            return false;
        memcpy(t->accepted, a.accepted, a.participants.n * sizeof *t->accepted);
    }
    return true;
}

static bool restore_finished(struct coordinator *c, const struct record *record)
{
    struct outcome outcome;
    struct tx_head head = {.txid = record->txid};
    if (!finished_record_decode(record, &outcome))
        return false;
    struct txn *t = txn_find(c, &record->txid);
    if (outcome.kind == OUTCOME_NONE) { /* below W, and as good as no record */
        if (t != NULL)
            txn_remove(c, t);
        return true;
    }
    if (t == NULL)
        t = txn_add(c, &head);
    if (t->state == TXN_FINISHED)
        return true;
    t->outcome = outcome;
    t->has_record = true;
    t->closed = true;
    txn_finish(c, t);
    return true;
}

bool coordinator_restore(struct coordinator *c, const struct record *record)
{
    switch (record->kind) {
    case RECORD_ACCEPT:
    case RECORD_PROMISE:
        return restore_acceptor(c, record);
    case RECORD_FINISHED:
        return restore_finished(c, record);
    case RECORD_WATERMARK:
        c->watermark = c->watermark_emitted = record->ts;
        return true;
    default:
        return false;
    }
}

void coordinator_restored_until(struct coordinator *c, uint64_t newest_txid_ms)
{
    if (newest_txid_ms + 1 > c->memory_floor_ms)
        c->memory_floor_ms = newest_txid_ms + 1;
}

/* With one coordinator, votes that are durable for every participant are a decision (4.4). */
static void start_decisions(struct coordinator *c)
{
    struct txn *t, *next;
    TAILQ_FOREACH_SAFE (t, &c->open, link, next) {
        if (t->participants.n == 0 || t->whole_abort)
            continue;
        struct outcome outcome = {.kind = OUTCOME_COMMITTED};
        for (int i = 0; i < t->participants.n; i++) {
            const struct vote *v = &t->accepted[i].vote;
            if (v->kind != VOTE_PREPARED)
                outcome.kind = OUTCOME_NONE;
            else if (v->prepare_ts > outcome.commit_ts)
                outcome.commit_ts = v->prepare_ts;
        }
        if (outcome.kind == OUTCOME_COMMITTED)
            txn_decided(c, t, outcome, true);
    }
}

static void set_time(struct coordinator *c, uint64_t now_us, uint64_t wall_ms)
{
    c->now_us = now_us;
    clocks_own(&c->clocks, now_us, wall_ms);
    clocks_heard(&c->clocks, c->self_index, 0);
    clocks_believed(&c->clocks, c->config.clock_ahead_ms / 2, &c->wall_ms);
}

static void advance_watermark(struct coordinator *c)
{
    if (c->watermark != c->watermark_emitted)
        return; /* one at a time, so that what is stored is the one emitted */
    hlc_ts to = clocks_watermark(&c->clocks, c->config.retention_ms, c->watermark_emitted);
    if (to == 0)
        return;
    c->watermark_emitted = to;
    effect_persist(c->effects, RECORD_WATERMARK, NULL, to, NULL);
}

void coordinator_start(struct coordinator *c, uint64_t now_us, uint64_t wall_ms,
                       struct effects *effects)
{
    set_time(c, now_us, wall_ms);
    c->effects = effects;
    struct txn *t;
    TAILQ_FOREACH (t, &c->open, link)
        settle_later(c, t);
    if (c->f == 0)
        start_decisions(c);
    advance_watermark(c);
    timer_set(&c->timers, &c->second, now_us + SECOND_US);
    c->effects = NULL;
}

void coordinator_stop(struct coordinator *c)
{
    c->stopping = true;
}

/* Drops finished transactions from memory, once their txids are old; their outcomes stay on the
 * disk until the watermark. Txids are judged by their own time: one from a clock that is ahead must
 * not make the disk be asked for every new one. */
static void evict(struct coordinator *c, int most)
{
    uint64_t window_ms =
        c->stats.in_memory > ACCEPTED_MAX ? MEMORY_WINDOW_MIN_MS : MEMORY_WINDOW_MS;
    for (int i = 0; i < most && !TAILQ_EMPTY(&c->finished); i++) {
        struct txn *t = TAILQ_FIRST(&c->finished);
        uint64_t ms = txid_ms(&t->head.txid);
        if (c->now_us - t->finished_us < window_ms * 1000)
            return;
        if (t->storing > 0 || ms + window_ms > c->wall_ms) {
            t->finished_us = c->now_us; /* to be looked at again later */
            TAILQ_REMOVE(&c->finished, t, link);
            TAILQ_INSERT_TAIL(&c->finished, t, link);
            continue;
        }
        if (ms + 1 > c->memory_floor_ms)
            c->memory_floor_ms = ms + 1;
        if (ms + 1 > c->evicted_floor_ms)
            c->evicted_floor_ms = ms + 1;
        txn_remove(c, t);
    }
}

static void on_message(struct coordinator *c, const struct event *e, bool looked_up);

/* Keeps a message about a transaction that only the disk may know; false if it need not wait. */
static bool must_look_up(struct coordinator *c, const struct event *e)
{
    const struct txid *txid = &e->msg->head.txid;
    if (txid_ms(txid) >= c->memory_floor_ms || txid_route(txid) != 0 || MUTANT(DISK_NOT_ASKED))
        return false;
    if (stash_keep(&c->stash, e))
        effect_lookup(c->effects, txid);
    return true;
}

static void again(void *arg, const struct event *e)
{
    on_message(arg, e, true);
}

static void on_loaded(struct coordinator *c, const struct event *e)
{
    const struct txid txid = e->loaded.txid;
    if (e->loaded.record != NULL && txn_find(c, &txid) == NULL)
        coordinator_restore(c, e->loaded.record);
    stash_replay(&c->stash, &txid, e, again, c);
}

/* A message that is about a transaction, with the transaction found or made. */
static void on_txn_message(struct coordinator *c, const struct event *e, struct txn *t)
{
    const struct msg *m = e->msg;
    int from = e->from.node == 0 ? -1 : coordinator_index(c, e->from.node);
    switch (m->type) {
    case MSG_VOTE:
        acceptor_vote(c, e, t);
        break;
    case MSG_ACCEPTED:
        if (m->accepted.ballot.round == 0)
            leader_accepted(c, t, m, from);
        else
            recovery_accepted(c, t, m->accepted.ballot, from);
        break;
    case MSG_REJECTED:
        if (m->rejected.ballot.round == 0)
            leader_higher_ballot(c, t, m->rejected.promised);
        else
            recovery_rejected(c, t, m);
        break;
    case MSG_DECIDE:
        if (outcome_expired(&m->decide.outcome))
            break; /* is for participants */
        if (m->decide.participants.n > 0)
            txn_participants(t, &m->decide.participants);
        txn_decided(c, t, m->decide.outcome, false);
        break;
    case MSG_DECIDED:
        settle_decided(c, t, e->from.node);
        break;
    case MSG_INQUIRE:
        if (!txn_participants(t, &m->inquire.participants))
            break;
        if (t->outcome.kind != OUTCOME_NONE)
            send_decide(c, t, e->from.node);
        else
            recovery_asked(c, t, true);
        break;
    case MSG_PROMISE_ASK:
        if (m->promise_ask.ballot.node != e->from.node)
            break; /* a ballot is its proposer's own */
        acceptor_promise_ask(c, t, m->promise_ask.ballot, e->from.node);
        break;
    case MSG_PROMISE:
        recovery_promise(c, t, m, e->from.node);
        break;
    case MSG_PROPOSE:
        if (m->propose.ballot.node != e->from.node)
            break;
        acceptor_propose(c, t, m, e->from.node);
        break;
    case MSG_OUTCOME:
        answer_outcome(c, t, e->from, m->outcome.wait_ms);
        break;
    case MSG_RESULT:
        recovery_home_answer(c, t, m, e->from.node);
        break;
    default:
        break;
    }
}

/* Whether a message may make this node remember a transaction that it does not know. Not below the
 * watermark, where the record may have been forgotten (4.5); a question not for a txid so far ahead
 * that its COMMIT would be refused. */
static bool makes_known(const struct coordinator *c, const struct event *e)
{
    const struct msg *m = e->msg;
    switch (m->type) {
    case MSG_VOTE:
    case MSG_PROPOSE:
        return !below_watermark(c, &m->head.txid);
    case MSG_OUTCOME:
    case MSG_COMMIT:
        return !below_others_watermark(c, &m->head.txid) &&
               txid_ms(&m->head.txid) <= c->wall_ms + c->config.txid_skew_ms;
    case MSG_INQUIRE:
    case MSG_PROMISE_ASK:
    case MSG_DECIDE:
        return true;
    default:
        return false; /* an answer to something that this start never asked */
    }
}

/* A question about a transaction that is forgotten here, or is not of this time. */
static void on_unknown(struct coordinator *c, const struct event *e)
{
    if (e->msg->type != MSG_OUTCOME && e->msg->type != MSG_COMMIT)
        return;
    struct msg *m = msg_new(MSG_RESULT, &e->msg->head);
    m->result.status = below_others_watermark(c, &m->head.txid) ? ASSENT_EXPIRED : ASSENT_UNKNOWN;
    if (MUTANT(FORGOTTEN_IS_ABORT))
        m->result.status = ASSENT_RECOVERED;
    effect_send(c->effects, e->from, m);
}

struct txn *txn_asked(struct coordinator *c, const struct event *e, struct txn *t)
{
    if (t == NULL && makes_known(c, e))
        return txn_add(c, &e->msg->head);
    if (t == NULL)
        on_unknown(c, e);
    return t;
}

void txn_drop_if_empty(struct coordinator *c, struct txn *t)
{
    if (t->state == TXN_KNOWN && !t->has_record && t->waiters_n == 0)
        txn_remove(c, t);
}

/* looked_up: the disk has been asked, and what it had is in memory. */
static void on_message(struct coordinator *c, const struct event *e, bool looked_up)
{
    const struct msg *m = e->msg;
    if (m->type == MSG_FORGET) {
        settle_forget(c, m);
        return;
    }
    if (m->type == MSG_SETTLED) {
        settle_settled(c, m, e->from.node);
        return;
    }
    struct txn *t = txn_find(c, &m->head.txid);
    if (t == NULL && !looked_up && must_look_up(c, e))
        return;
    if (m->type == MSG_COMMIT) {
        leader_commit(c, e, t);
        return;
    }
    /* A coordinator that asks "do you lead it?" must not make this one remember or recover it. */
    if (t == NULL && m->type == MSG_OUTCOME && e->from.node != 0) {
        struct msg *no = msg_new(MSG_RESULT, &m->head);
        no->result.status = below_watermark(c, &m->head.txid) ? ASSENT_EXPIRED : ASSENT_UNKNOWN;
        effect_send(c->effects, e->from, no);
        return;
    }
    t = txn_asked(c, e, t);
    if (t == NULL)
        return;
    if (t->head.home.node == 0)
        t->head.home = m->head.home;
    if (t->head.epoch == 0) {
        t->head.epoch = m->head.epoch;
        t->head.set_hash = m->head.set_hash;
    }
    on_txn_message(c, e, t);
    t = txn_find(c, &m->head.txid);
    if (t != NULL)
        txn_drop_if_empty(c, t);
}

static void on_stored(struct coordinator *c, const struct event_stored *s)
{
    if (s->kind == RECORD_WATERMARK) {
        c->watermark = c->watermark_emitted;
        return;
    }
    struct txn *t = txn_find(c, &s->txid);
    if (t == NULL)
        return;
    if (t->storing > 0)
        t->storing--;
    if (s->kind == RECORD_FINISHED) {
        if (t->outcome.kind == OUTCOME_NONE)
            txn_remove(c, t);
    } else if (s->kind == RECORD_PROMISE) {
        recovery_own_promise_stored(c, t, s->ballot);
    } else if (s->ballot.round == 0) {
        leader_own_accept_stored(c, t);
    } else {
        recovery_accepted(c, t, s->ballot, c->self_index);
    }
}

static void on_peer_up(struct coordinator *c, const struct event_peer *peer)
{
    struct txn *t, *next;
    bool coordinator = coordinator_index(c, peer->node) >= 0;
    c->up[peer->node] = peer->incarnation;
    TAILQ_FOREACH_SAFE (t, &c->open, link, next) {
        if (coordinator)
            settle_again(c, t);
        if (t->state == TXN_COLLECTING || t->state == TXN_ONE_PHASE)
            leader_peer_up(c, t, peer->node);
        else if (t->state == TXN_DECIDED && t->decider)
            settle_repeat(c, t, peer->node);
    }
    if (coordinator)
        settle_peer_up(c, peer->node);
}

static void on_peer_down(struct coordinator *c, const struct event_peer *peer)
{
    int i = coordinator_index(c, peer->node);
    c->up[peer->node] = 0;
    if (i >= 0)
        c->down_us[i] = c->now_us;
}

static void on_timer(struct coordinator *c, struct timer *timer)
{
    struct txn *t = timer->owner;
    switch ((enum core_timer)timer->kind) {
    case TIMER_SECOND:
        advance_watermark(c);
        evict(c, EVICT_MAX);
        settle_ask_old(c);
        settle_overdue(c);
        timer_set(&c->timers, &c->second, c->now_us + SECOND_US);
        break;
    case TIMER_FORGET:
        settle_forget_flush(c);
        break;
    case TIMER_WAITER:
        waiter_expired(c, timer->owner);
        break;
    case TIMER_TXN:
        if (t->state == TXN_COLLECTING || t->state == TXN_ONE_PHASE)
            leader_deadline(c, t);
        else if (t->state == TXN_DECIDED)
            settle_repeat(c, t, 0);
        else
            recovery_timer(c, t);
        break;
    }
}

void coordinator_step(struct coordinator *c, const struct event *e, struct effects *effects)
{
    set_time(c, e->now_us, e->wall_ms);
    c->effects = effects;
    int from;
    switch (e->kind) {
    case EVENT_MESSAGE:
        on_message(c, e, false);
        break;
    case EVENT_STORED:
        on_stored(c, &e->stored);
        break;
    case EVENT_LOADED:
        on_loaded(c, e);
        break;
    case EVENT_PEER_UP:
        on_peer_up(c, &e->peer);
        break;
    case EVENT_PEER_DOWN:
        on_peer_down(c, &e->peer);
        break;
    case EVENT_PEER_CLOCK:
        from = coordinator_index(c, e->peer.node);
        if (from >= 0)
            clocks_heard(&c->clocks, from, e->peer.clock_ahead_ms);
        break;
    case EVENT_READ_DONE:
    case EVENT_CLIENT_DOWN:
    case EVENT_TICK:
        break;
    }
    struct timer *timer;
    while ((timer = timers_pop(&c->timers, c->now_us)) != NULL)
        on_timer(c, timer);
    evict(c, EVICT_EACH);
    c->effects = NULL;
}

uint64_t coordinator_deadline(const struct coordinator *c)
{
    return timers_next(&c->timers);
}

void coordinator_stats(const struct coordinator *c, struct coordinator_stats *out)
{
    struct txn *t;
    *out = c->stats;
    out->leading = c->leading;
    out->forgetting = c->forget_n;
    out->watermark = c->watermark;
    TAILQ_FOREACH (t, &c->open, link) {
        out->recovering += t->state == TXN_PROMISING || t->state == TXN_PROPOSING ||
                           t->state == TXN_BACKOFF || t->state == TXN_ASKING;
        out->undecided += t->outcome.kind == OUTCOME_NONE;
        out->unsettled += t->state == TXN_DECIDED;
    }
}

void coordinator_each(const struct coordinator *c,
                      void (*each)(void *arg, const struct coordinator_view *view), void *arg)
{
    struct txn *t, *next;
    HASH_ITER (hh, c->txns, t, next) {
        struct coordinator_view view = {t->head,          sm_name(&txn_table, t->state),
                                        t->outcome,       t->promised,
                                        &t->participants, t->accepted};
        each(arg, &view);
    }
}
