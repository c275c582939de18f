/* coordinator/core and its parts, driven event by event: what the scenarios and the simulator
 * never or hardly ever do. Messages that no correct node sends, bounds, rare orders, what a damaged
 * record does, the sentences of what stops the process.
 *
 * Coordinators are 1 (the one tested), 2, 3; participants 11 and up; the client is node 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/core.h"
#include "coordinator/record.h"

#define SECOND       UINT64_C(1000000)
#define BASE_MS      UINT64_C(1700000000000) /* the wall clock at now_us = 0 */
#define RETENTION_MS 3600000u
#define SELF         1
#define P1           11
#define P2           12
#define P3           13
#define STRANGER     99
#define INCARNATION  7

static struct {
    struct coordinator *c;
    struct effects effects; /* since clear() */
    uint64_t now_us;
    uint64_t back_ms; /* by how much the wall clock was set back */
} r;

static const struct participants two = {.n = 2, .id = {P1, P2}};
static const struct participants others = {.n = 2, .id = {P1, P3}};
static const struct participants one = {.n = 1, .id = {P1}};

/* ---- events ---- */

static uint64_t wall_ms(void)
{
    return BASE_MS + r.now_us / 1000 - r.back_ms;
}

static void clear(void)
{
    effects_free(&r.effects);
    effects_init(&r.effects);
}

static void step(struct event *e)
{
    e->now_us = r.now_us;
    e->wall_ms = wall_ms();
    coordinator_step(r.c, e, &r.effects);
}

static void peer(enum event_kind kind, node_id node, uint32_t incarnation)
{
    struct event e = {.kind = kind, .peer = {.node = node, .incarnation = incarnation}};
    step(&e);
}

/* From a node, or (0) from the client. */
static void receive(node_id from, struct msg *m)
{
    static const struct client_name client = {"app"};
    struct event e = {.kind = EVENT_MESSAGE, .from = addr_node(from), .client = &client, .msg = m};
    if (from == 0)
        e.from.conn = 5;
    step(&e);
    msg_unref(m);
}

static void stored(enum record_kind kind, const struct txid *txid, struct ballot ballot)
{
    struct event e = {.kind = EVENT_STORED,
                      .stored = {.kind = kind, .txid = *txid, .ballot = ballot}};
    step(&e);
}

/* All records emitted become durable; what waited for them and what follows is in effects. */
static void store_all(void)
{
    struct effects before;
    struct effect *effect;
    effects_init(&before);
    TAILQ_CONCAT(&before, &r.effects, link);
    TAILQ_FOREACH (effect, &before, link) {
        if (effect->kind != EFFECT_PERSIST)
            continue;
        TAILQ_CONCAT(&r.effects, &effect->then, link);
        stored(effect->record.kind, &effect->record.txid, effect->ballot);
    }
    effects_free(&before);
}

/* Time passes, with every tick that the core asks for. */
static void wait_us(uint64_t us)
{
    uint64_t until = r.now_us + us;
    struct event e = {.kind = EVENT_TICK};
    while (coordinator_deadline(r.c) <= until) {
        if (coordinator_deadline(r.c) > r.now_us)
            r.now_us = coordinator_deadline(r.c);
        step(&e);
    }
    r.now_us = until;
}

static void start(int coordinators)
{
    coordinator_start(r.c, r.now_us, wall_ms(), &r.effects);
    for (int i = 2; i <= coordinators; i++) {
        peer(EVENT_PEER_UP, (node_id)i, 5);
        peer(EVENT_PEER_CLOCK, (node_id)i, 0);
    }
    for (node_id p = P1; p < P1 + PARTICIPANTS_MAX; p++)
        peer(EVENT_PEER_UP, p, 3);
    clear();
}

static void create(int coordinators)
{
    struct coordinator_config config = {.self = SELF,
                                        .incarnation = INCARNATION,
                                        .epoch = 1,
                                        .set_hash = 9,
                                        .coordinators = coordinators,
                                        .coordinator = {1, 2, 3},
                                        .participants = PARTICIPANTS_MAX,
                                        .retention_ms = RETENTION_MS,
                                        .txid_skew_ms = 300000,
                                        .clock_ahead_ms = 5000,
                                        .seed = 1};
    node_id participant[PARTICIPANTS_MAX];
    for (int i = 0; i < PARTICIPANTS_MAX; i++)
        participant[i] = (node_id)(P1 + i);
    config.participant = participant;
    r.c = coordinator_new(&config);
    effects_init(&r.effects);
    r.now_us = SECOND;
    r.back_ms = 0;
}

static void begin(int coordinators)
{
    create(coordinators);
    start(coordinators);
}

static int teardown(void **state)
{
    (void)state;
    effects_free(&r.effects);
    coordinator_free(r.c);
    r.c = NULL;
    return 0;
}

/* ---- what came out ---- */

static uint32_t sent_n(enum msg_type type, node_id to)
{
    const struct effect *effect;
    uint32_t n = 0;
    TAILQ_FOREACH (effect, &r.effects, link)
        n += effect->kind == EFFECT_SEND && effect->msg->type == type && effect->to.node == to;
    return n;
}

/* The first of them; there must be one. */
static const struct msg *sent(enum msg_type type, node_id to)
{
    static const struct msg none;
    const struct effect *effect;
    TAILQ_FOREACH (effect, &r.effects, link) {
        if (effect->kind == EFFECT_SEND && effect->msg->type == type && effect->to.node == to)
            return effect->msg;
    }
    fail_msg("no %s was sent to %u", msg_name(type), to);
    return &none;
}

static uint32_t persisted_n(enum record_kind kind)
{
    const struct effect *effect;
    uint32_t n = 0;
    TAILQ_FOREACH (effect, &r.effects, link)
        n += effect->kind == EFFECT_PERSIST && effect->record.kind == kind;
    return n;
}

/* The first of them; there must be one. */
static const struct effect *persisted(enum record_kind kind)
{
    static const struct effect none;
    const struct effect *effect;
    TAILQ_FOREACH (effect, &r.effects, link) {
        if (effect->kind == EFFECT_PERSIST && effect->record.kind == kind)
            return effect;
    }
    fail_msg("no %s was emitted", record_name(kind));
    return &none;
}

/* The sentence that stops the process, or "". */
static const char *halted(void)
{
    const struct effect *effect;
    TAILQ_FOREACH (effect, &r.effects, link) {
        if (effect->kind == EFFECT_HALT)
            return effect->why;
    }
    return "";
}

static assent_status answered(void)
{
    return sent(MSG_RESULT, 0)->result.status;
}

static void nothing(void)
{
    assert_true(TAILQ_EMPTY(&r.effects));
}

struct look {
    const struct txid *txid;
    const char *state;
};

static void look(void *arg, const struct coordinator_view *view)
{
    struct look *l = arg;
    if (txid_equal(l->txid, &view->head.txid))
        l->state = view->state;
}

/* "" for what is not in memory. */
static const char *state_of(const struct txid *txid)
{
    struct look l = {txid, ""};
    coordinator_each(r.c, look, &l);
    return l.state;
}

static struct coordinator_stats stats(void)
{
    struct coordinator_stats s;
    coordinator_stats(r.c, &s);
    return s;
}

/* ---- messages ---- */

static struct txid id_at(uint64_t ms, uint64_t n)
{
    return txid_make(ms, 0, n);
}

static struct txid id(uint64_t n)
{
    return id_at(wall_ms(), n);
}

/* Of a transaction with one participant. */
static struct txid routed(node_id participant)
{
    return txid_make(wall_ms(), participant, 77);
}

static struct tx_head head_of(const struct txid *txid, node_id home)
{
    return (struct tx_head){*txid, {home, home == SELF ? INCARNATION : 5}, 1, 9};
}

static struct msg *message(enum msg_type type, const struct txid *txid, node_id home)
{
    struct tx_head head = head_of(txid, home);
    return msg_new(type, &head);
}

static struct msg *commit_msg(const struct txid *txid, const struct participants *p)
{
    struct msg *m = message(MSG_COMMIT, txid, SELF);
    m->commit.participants = *p;
    m->commit.priority_ms = txid_ms(txid);
    m->commit.timeout_ms = 10000;
    for (int i = 0; i < p->n; i++)
        m->commit.ops[i] = blob_new(bytes_of_text("ops"));
    return m;
}

static struct msg *vote_msg(const struct txid *txid, node_id home, const struct participants *p,
                            struct vote vote)
{
    struct msg *m = message(MSG_VOTE, txid, home);
    m->vote.participants = *p;
    m->vote.vote = vote;
    return m;
}

static struct vote prepared(hlc_ts ts)
{
    return (struct vote){VOTE_PREPARED, ts, ASSENT_OK};
}

static struct vote refused(assent_status reason)
{
    return (struct vote){VOTE_ABORTED, 0, reason};
}

static struct msg *decide_msg(const struct txid *txid, struct outcome outcome,
                              const struct participants *p)
{
    struct msg *m = message(MSG_DECIDE, txid, 2);
    m->decide.outcome = outcome;
    if (p != NULL)
        m->decide.participants = *p;
    return m;
}

static struct outcome committed(hlc_ts ts)
{
    return (struct outcome){OUTCOME_COMMITTED, ts, ASSENT_OK};
}

static struct outcome aborted(assent_status reason)
{
    return (struct outcome){OUTCOME_ABORTED, 0, reason};
}

static struct msg *outcome_msg(const struct txid *txid, node_id home, uint32_t wait_ms)
{
    struct msg *m = message(MSG_OUTCOME, txid, home);
    m->outcome.wait_ms = wait_ms;
    return m;
}

static struct msg *result_msg(const struct txid *txid, node_id home, assent_status status)
{
    struct msg *m = message(MSG_RESULT, txid, home);
    m->result.status = status;
    return m;
}

static struct msg *ask_msg(const struct txid *txid, struct ballot b)
{
    struct msg *m = message(MSG_PROMISE_ASK, txid, 2);
    m->promise_ask.ballot = b;
    return m;
}

static struct msg *propose_msg(const struct txid *txid, struct ballot b,
                               const struct participants *p)
{
    struct msg *m = message(MSG_PROPOSE, txid, 2);
    m->propose.ballot = b;
    m->propose.participants = *p;
    for (int i = 0; i < p->n; i++)
        m->propose.votes[i] = prepared(1000);
    return m;
}

static struct msg *settled_msg(const struct txid *txid)
{
    struct msg *m = msg_new(MSG_SETTLED, NULL);
    m->settled.n = 1;
    m->settled.txid = xcalloc(1, sizeof *m->settled.txid);
    m->settled.txid[0] = *txid;
    return m;
}

static struct msg *forget_of(const struct txid *txid, struct outcome outcome)
{
    struct msg *m = msg_new(MSG_FORGET, NULL);
    m->forget.n = 1;
    m->forget.entry = xcalloc(1, sizeof *m->forget.entry);
    m->forget.entry[0] = (struct forget_entry){*txid, outcome};
    return m;
}

/* ---- records ---- */

/* Home 2; every participant has voted prepared at ballot 0. */
static bool restore_accept(const struct txid *txid, const struct participants *p,
                           struct ballot promised)
{
    struct accepted accepted[PARTICIPANTS_MAX] = {0};
    struct tx_head head = head_of(txid, 2);
    for (int i = 0; i < p->n; i++)
        accepted[i].vote = prepared(1000);
    struct record record = {
        .kind = RECORD_ACCEPT,
        .txid = *txid,
        .body = acceptor_record_encode(&head, promised, false, (struct ballot){0}, p, accepted)};
    bool good = coordinator_restore(r.c, &record);
    blob_unref(record.body);
    return good;
}

static bool restore_finished(const struct txid *txid, struct outcome outcome)
{
    struct record record = {.kind = RECORD_FINISHED,
                            .txid = *txid,
                            .ts = outcome.commit_ts,
                            .body = finished_record_encode(&outcome)};
    bool good = coordinator_restore(r.c, &record);
    blob_unref(record.body);
    return good;
}

static void restore_watermark(uint64_t ms)
{
    struct record record = {.kind = RECORD_WATERMARK, .ts = hlc_from_ms(ms)};
    assert_true(coordinator_restore(r.c, &record));
}

/* ---- the leader ---- */

static void a_commit_of_what_cannot_be_led_is_refused_with_its_reason(void **state)
{
    static const struct participants unknown = {.n = 2, .id = {P1, STRANGER}};
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &unknown));
    assert_int_equal(answered(), ASSENT_WRONG_PLACEMENT);
    assert_int_equal(sent(MSG_RESULT, 0)->result.culprit, STRANGER);
    clear();
    t = routed(P1);
    receive(0, commit_msg(&t, &two));
    assert_int_equal(answered(), ASSENT_MALFORMED);
    clear();
    t = routed(P2);
    receive(0, commit_msg(&t, &one));
    assert_int_equal(answered(), ASSENT_MALFORMED);
    assert_int_equal(stats().in_memory, 0);
    clear();
    receive(0, commit_msg(&t, &(struct participants){.n = 1, .id = {P2}}));
    assert_int_equal(sent_n(MSG_PREPARE, P2), 1);
}

static void a_commit_below_the_watermark_is_refused_although_the_clock_was_set_back(void **state)
{
    (void)state;
    create(3);
    restore_watermark(BASE_MS - 1000);
    r.back_ms = 60000;
    start(3);
    struct txid t = id_at(BASE_MS - 2000, 1), above = id_at(BASE_MS, 2);
    receive(0, commit_msg(&t, &two));
    assert_int_equal(answered(), ASSENT_STALE_TXID);
    assert_int_equal(sent_n(MSG_PREPARE, P1), 0);
    clear();
    receive(0, commit_msg(&above, &two));
    assert_int_equal(sent_n(MSG_PREPARE, P1), 1);
}

static void over_the_bound_of_led_transactions_a_commit_is_refused(void **state)
{
    (void)state;
    begin(3);
    for (uint32_t i = 0; i < LED_MAX; i++) {
        struct txid t = id(i);
        receive(0, commit_msg(&t, &two));
        assert_int_equal(sent_n(MSG_RESULT, 0), 0);
        clear();
    }
    assert_int_equal(stats().leading, LED_MAX);
    struct txid t = id(LED_MAX);
    receive(0, commit_msg(&t, &two));
    assert_int_equal(answered(), ASSENT_OVERLOADED);
    assert_int_equal(stats().leading, LED_MAX);
}

static void a_client_gets_the_default_time_and_no_more_than_the_greatest(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1), u = id(2);
    struct msg *m = commit_msg(&t, &two);
    m->commit.timeout_ms = 0;
    receive(0, m);
    assert_int_equal(sent(MSG_PREPARE, P1)->prepare.time_left_ms, TXN_TIMEOUT_MS_DEFAULT);
    clear();
    m = commit_msg(&u, &two);
    m->commit.timeout_ms = UINT32_MAX;
    receive(0, m);
    assert_int_equal(sent(MSG_PREPARE, P1)->prepare.time_left_ms, TXN_TIMEOUT_MS_MAX);
}

static void a_priority_is_neither_after_the_transaction_nor_long_before_it(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1), u = id(2);
    struct msg *m = commit_msg(&t, &two);
    m->commit.priority_ms = wall_ms() + 1;
    receive(0, m);
    assert_true(sent(MSG_PREPARE, P1)->prepare.priority_ms == txid_ms(&t));
    clear();
    m = commit_msg(&u, &two);
    m->commit.priority_ms = 1;
    receive(0, m);
    assert_true(sent(MSG_PREPARE, P1)->prepare.priority_ms == txid_ms(&u) - PRIORITY_AGE_MS_MAX);
}

static void a_participant_that_returns_after_the_deadline_has_no_time_left(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &two));
    clear();
    r.now_us += 11 * SECOND; /* the tick has not come yet */
    peer(EVENT_PEER_UP, P1, 4);
    const struct msg *m = sent(MSG_PREPARE, P1);
    assert_int_equal(m->prepare.time_left_ms, 0);
    assert_int_equal(m->prepare.pin, 3); /* the incarnation of the first time */
    assert_string_equal(state_of(&t), "PROMISING");
}

static void votes_that_no_participant_casts_are_dropped(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &two));
    receive(P2, vote_msg(&t, SELF, &two, prepared(2000)));
    clear();
    receive(P1, vote_msg(&t, SELF, &others, prepared(1000)));
    receive(P3, vote_msg(&t, SELF, &two, prepared(1000)));
    receive(P1, vote_msg(&t, SELF, &two, (struct vote){0}));
    nothing();
    receive(P1, vote_msg(&t, SELF, &two, prepared(1000)));
    assert_int_equal(persisted_n(RECORD_ACCEPT), 1);
}

static void one_of_several_participants_cannot_tell_an_outcome(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &two));
    struct msg *m = message(MSG_REJECTED, &t, SELF);
    m->rejected.promised = (struct ballot){1, 2, 5};
    receive(2, m);
    assert_string_equal(state_of(&t), "WAITING");
    clear();
    m = vote_msg(&t, SELF, &two, prepared(1000));
    m->vote.one_phase = true;
    receive(P1, m);
    nothing();
    assert_string_equal(state_of(&t), "WAITING");
    struct txid u = routed(P1); /* nor does the only one cast a mere vote */
    receive(0, commit_msg(&u, &one));
    clear();
    receive(P1, vote_msg(&u, SELF, &one, prepared(1000)));
    nothing();
    assert_string_equal(state_of(&u), "ONE_PHASE");
}

static void accepted_counts_only_from_coordinators_about_the_same_participants(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &two));
    receive(P1, vote_msg(&t, SELF, &two, prepared(1000)));
    receive(P2, vote_msg(&t, SELF, &two, prepared(2000)));
    store_all();
    clear();
    struct msg *m = message(MSG_ACCEPTED, &t, SELF);
    m->accepted.participants = two;
    m->accepted.votes[0] = m->accepted.votes[1] = prepared(1000);
    receive(P1, msg_ref(m));
    nothing();
    m->accepted.participants = others;
    receive(2, msg_ref(m));
    nothing();
    m->accepted.participants = two;
    receive(2, m);
    assert_int_equal(answered(), ASSENT_OK);
    assert_true(sent(MSG_DECIDE, P2)->decide.outcome.commit_ts == 2000);
}

/* ---- one participant ---- */

static void the_outcome_of_one_phase_told_again_is_dropped(void **state)
{
    (void)state;
    begin(3);
    struct txid t = routed(P1);
    receive(0, commit_msg(&t, &one));
    struct msg *m = vote_msg(&t, SELF, &one, prepared(1000));
    m->vote.one_phase = true;
    receive(P1, msg_ref(m));
    assert_int_equal(answered(), ASSENT_OK);
    clear();
    receive(P1, m);
    nothing();
}

/* A question for the outcome, asked before COMMIT arrived, made the participant abort; the answer
 * comes when the transaction is led already. */
static void the_only_participant_may_have_aborted_before_it_is_asked_to_prepare(void **state)
{
    (void)state;
    begin(3);
    struct txid t = routed(P1);
    receive(0, outcome_msg(&t, SELF, 1));
    assert_int_equal(sent_n(MSG_OUTCOME, P1), 1);
    assert_string_equal(state_of(&t), "ONE_ASKING");
    clear();
    wait_us(SECOND);
    assert_int_equal(answered(), ASSENT_PENDING);
    assert_string_equal(state_of(&t), "");
    clear();
    receive(0, commit_msg(&t, &one));
    assert_string_equal(state_of(&t), "ONE_PHASE");
    clear();
    receive(P2, result_msg(&t, SELF, ASSENT_RECOVERED));
    nothing(); /* not its transaction */
    receive(P1, result_msg(&t, SELF, ASSENT_RECOVERED));
    assert_int_equal(answered(), ASSENT_RECOVERED);
}

static void a_question_about_the_only_participant_that_is_none_waits_in_vain(void **state)
{
    (void)state;
    begin(3);
    struct txid t = routed(STRANGER);
    receive(0, outcome_msg(&t, SELF, 100));
    nothing();
    wait_us(SECOND / 5);
    assert_int_equal(answered(), ASSENT_PENDING);
    assert_string_equal(state_of(&t), "");
}

static void times_longer_than_the_answer_holds_are_cut(void **state)
{
    (void)state;
    begin(3);
    struct txid t = routed(P1);
    receive(0, commit_msg(&t, &one));
    wait_us(20 * SECOND);
    assert_string_equal(state_of(&t), "ONE_ASKING");
    clear();
    r.now_us += 5000 * SECOND; /* more than 32 bits of microseconds */
    struct msg *m = vote_msg(&t, SELF, &one, prepared(1000));
    m->vote.one_phase = true;
    receive(P1, m);
    const struct msg_result *result = &sent(MSG_RESULT, 0)->result;
    assert_int_equal(result->status, ASSENT_OK);
    assert_true(result->total_us == UINT32_MAX);
    assert_true(result->breakdown[0].network_us == UINT32_MAX);
}

/* No coordinator asks for promises about these; one that did would leave a record, and may be
 * outlived by it. */
static void a_record_that_becomes_durable_after_its_transaction_is_gone_changes_nothing(void **s)
{
    (void)s;
    begin(3);
    struct txid t = routed(P1);
    struct ballot b = {1, 2, 5};
    receive(2, ask_msg(&t, b));
    assert_int_equal(persisted_n(RECORD_PROMISE), 1);
    receive(0, outcome_msg(&t, SELF, 1));
    wait_us(2 * SECOND);
    assert_string_equal(state_of(&t), "");
    clear();
    stored(RECORD_PROMISE, &t, b);
    nothing();
    receive(0, outcome_msg(&t, SELF, 1)); /* known again */
    clear();
    stored(RECORD_PROMISE, &t, b);
    nothing();
    receive(P1, result_msg(&t, SELF, ASSENT_RECOVERED));
    assert_string_equal(state_of(&t), "FINISHED");
    wait_us(130 * SECOND);
    assert_string_equal(state_of(&t), ""); /* nothing is thought to be under way */
}

/* ---- the acceptor ---- */

static void a_proposal_for_other_participants_is_not_accepted(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    struct ballot b = {1, 2, 5};
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    store_all();
    clear();
    receive(2, propose_msg(&t, b, &others));
    nothing();
    receive(2, propose_msg(&t, b, &two));
    assert_true(ballot_equal(persisted(RECORD_ACCEPT)->ballot, b));
}

static void a_ballot_is_used_by_its_proposer_alone(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(3, ask_msg(&t, (struct ballot){1, 2, 5}));
    receive(3, propose_msg(&t, (struct ballot){1, 2, 5}, &two));
    nothing();
    assert_string_equal(state_of(&t), "");
    receive(2, ask_msg(&t, (struct ballot){1, 2, 5}));
    assert_int_equal(persisted_n(RECORD_PROMISE), 1);
}

/* Accepts P1's and P2's votes at `votes`, then recovers, and hears of an abort of the whole at
 * `whole`. What it proposes then: whether all are prepared. */
static bool proposes_commit(const struct txid *t, struct ballot votes, struct ballot whole)
{
    receive(P1, vote_msg(t, 2, &two, prepared(1000)));
    receive(2, propose_msg(t, votes, &two));
    struct msg *m = message(MSG_INQUIRE, t, 2);
    m->inquire.participants = two;
    receive(P1, m);
    receive(2, result_msg(t, 2, ASSENT_UNKNOWN));
    struct ballot b = sent(MSG_PROMISE_ASK, 2)->promise_ask.ballot;
    store_all();
    assert_string_equal(state_of(t), "PROMISING");
    m = message(MSG_PROMISE, t, 2);
    m->promise.ballot = b;
    m->promise.whole_abort = true;
    m->promise.whole_ballot = whole;
    clear();
    receive(3, m);
    const struct msg_propose *p = &sent(MSG_PROPOSE, 2)->propose;
    assert_false(p->whole_abort);
    assert_int_equal(p->votes[0].kind, p->votes[1].kind);
    return p->votes[0].kind == VOTE_PREPARED;
}

static void of_votes_and_an_abort_of_the_whole_the_higher_ballot_is_proposed(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1), u = id(2);
    assert_true(proposes_commit(&t, (struct ballot){2, 2, 5}, (struct ballot){1, 2, 5}));
    assert_false(proposes_commit(&u, (struct ballot){1, 2, 5}, (struct ballot){2, 2, 5}));
}

/* ---- questions and answers ---- */

static void a_client_that_does_not_wait_and_one_too_many_are_told_pending(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &two));
    clear();
    receive(0, outcome_msg(&t, SELF, 0));
    assert_int_equal(answered(), ASSENT_PENDING);
    clear();
    for (uint32_t i = 0; i < OUTCOME_WAITERS_MAX; i++)
        receive(0, outcome_msg(&t, SELF, 5000));
    nothing();
    receive(0, outcome_msg(&t, SELF, 5000));
    assert_int_equal(answered(), ASSENT_PENDING);
    clear();
    receive(P1, vote_msg(&t, SELF, &two, refused(ASSENT_CONFLICT)));
    assert_int_equal(sent_n(MSG_RESULT, 0), OUTCOME_WAITERS_MAX + 1);
}

static void an_abort_without_a_reason_is_never_told_as_ok(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(0, commit_msg(&t, &two));
    receive(P1, vote_msg(&t, SELF, &two, refused(ASSENT_OK)));
    assert_int_equal(answered(), ASSENT_RECOVERED);
    assert_int_equal(sent(MSG_DECIDE, P1)->decide.outcome.kind, OUTCOME_ABORTED);
}

static void a_participant_in_doubt_about_other_participants_starts_nothing(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    store_all();
    clear();
    struct msg *m = message(MSG_INQUIRE, &t, 2);
    m->inquire.participants = others;
    receive(P1, msg_ref(m));
    nothing();
    m->inquire.participants = two;
    receive(P1, m);
    assert_int_equal(sent_n(MSG_OUTCOME, 2), 1);
}

static void only_coordinators_answer_who_leads_promise_and_accept(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    store_all();
    struct msg *m = message(MSG_INQUIRE, &t, 2);
    m->inquire.participants = two;
    receive(P1, m);
    assert_string_equal(state_of(&t), "ASKING");
    clear();
    receive(P1, result_msg(&t, 2, ASSENT_UNKNOWN));
    nothing();
    receive(2, result_msg(&t, 2, ASSENT_UNKNOWN));
    assert_string_equal(state_of(&t), "PROMISING");
    struct ballot b = sent(MSG_PROMISE_ASK, 2)->promise_ask.ballot;
    store_all();
    clear();
    m = message(MSG_PROMISE, &t, 2);
    m->promise.ballot = b;
    receive(P1, msg_ref(m));
    nothing();
    m->promise.participants = others;
    receive(2, msg_ref(m));
    nothing();
    m->promise.participants = two;
    receive(2, m);
    assert_string_equal(state_of(&t), "PROPOSING");
    store_all();
    clear();
    m = message(MSG_ACCEPTED, &t, 2);
    m->accepted.ballot = b;
    receive(P1, msg_ref(m));
    nothing();
    receive(2, m);
    assert_int_equal(sent(MSG_DECIDE, P1)->decide.outcome.kind, OUTCOME_ABORTED);
}

static void no_outcome_and_forgotten_are_no_decisions_for_a_coordinator(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    store_all();
    clear();
    receive(2, decide_msg(&t, (struct outcome){0}, &two));
    receive(2, decide_msg(&t, aborted(ASSENT_EXPIRED), &two));
    receive(2, forget_of(&t, (struct outcome){0}));
    nothing();
    assert_string_equal(state_of(&t), "KNOWN");
    receive(2, decide_msg(&t, committed(1000), &two));
    assert_string_equal(state_of(&t), "DECIDED");
}

static void two_outcomes_of_a_transaction_stop_the_process(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1), u = id(2);
    char text[TXID_TEXT_BYTES], want[128];
    receive(2, decide_msg(&t, committed(1000), &two));
    receive(3, decide_msg(&t, committed(1000), &two));
    assert_string_equal(halted(), "");
    receive(3, decide_msg(&t, committed(1001), &two));
    snprintf(want, sizeof want, "transaction %s has two outcomes (I1): 1 at 1000, then 1 at 1001",
             txid_text(&t, text));
    assert_string_equal(halted(), want);
    clear();
    receive(3, decide_msg(&t, aborted(ASSENT_RECOVERED), &two));
    assert_non_null(strstr(halted(), "1 at 1000, then 2 at 0"));
    clear();
    receive(2, decide_msg(&u, aborted(ASSENT_CONFLICT), &two));
    receive(3, decide_msg(&u, aborted(ASSENT_RECOVERED), &two));
    assert_string_equal(halted(), ""); /* two reasons for the same */
}

/* ---- decided ---- */

/* Home 1 commits t, P1 has settled; the effects are cleared. */
static void commit_half_settled(const struct txid *t)
{
    receive(0, commit_msg(t, &two));
    receive(P1, vote_msg(t, SELF, &two, prepared(1000)));
    receive(P2, vote_msg(t, SELF, &two, prepared(2000)));
    store_all();
    assert_string_equal(state_of(t), "DECIDED");
    receive(P1, message(MSG_DECIDED, t, SELF));
    clear();
}

static void decide_is_repeated_ever_more_slowly_until_the_last_has_settled(void **state)
{
    (void)state;
    begin(1);
    struct txid t = id(1);
    commit_half_settled(&t);
    receive(STRANGER, message(MSG_DECIDED, &t, SELF));
    assert_string_equal(state_of(&t), "DECIDED");
    uint64_t gap_us = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t from_us = r.now_us;
        while (sent_n(MSG_DECIDE, P2) == 0)
            wait_us(SECOND / 20);
        assert_int_equal(sent_n(MSG_DECIDE, P1), 0);
        gap_us = r.now_us - from_us;
        clear();
    }
    assert_in_range(gap_us, 8 * SECOND - SECOND / 20, 16 * SECOND);
    receive(P2, message(MSG_DECIDED, &t, SELF));
    assert_string_equal(state_of(&t), "FINISHED");
    clear();
    wait_us(20 * SECOND);
    assert_int_equal(sent_n(MSG_DECIDE, P2), 0);
}

static void forget_is_sent_at_once_when_a_message_is_full(void **state)
{
    (void)state;
    begin(3);
    for (uint32_t i = 0; i < FORGET_MAX; i++) {
        struct txid t = id(i);
        clear();
        receive(2, decide_msg(&t, aborted(ASSENT_CONFLICT), &two));
        receive(P1, message(MSG_DECIDED, &t, 2));
        assert_int_equal(sent_n(MSG_FORGET, 2), 0);
        receive(P2, message(MSG_DECIDED, &t, 2));
    }
    assert_int_equal(sent(MSG_FORGET, 2)->forget.n, FORGET_MAX);
    assert_int_equal(sent(MSG_FORGET, 3)->forget.n, FORGET_MAX);
    assert_int_equal(stats().forgetting, 0);
    clear();
    wait_us(SECOND);
    assert_int_equal(sent_n(MSG_FORGET, 2), 0);
}

static void a_coordinator_that_returns_is_told_only_the_newest_that_were_finished(void **state)
{
    uint32_t most = 16 * FORGET_MAX, told = 0;
    const struct effect *effect;
    (void)state;
    create(3);
    for (uint32_t i = 0; i < most + 10; i++) {
        struct txid t = id(i);
        assert_true(restore_finished(&t, committed(1000 + i)));
    }
    start(2); /* and not 3 */
    peer(EVENT_PEER_UP, 3, 5);
    TAILQ_FOREACH (effect, &r.effects, link)
        told += effect->msg->forget.n;
    assert_int_equal(told, most);
    assert_int_equal(sent_n(MSG_FORGET, 3), 16);
    assert_true(sent(MSG_FORGET, 3)->forget.entry[0].outcome.commit_ts == 1000 + most + 9);
}

/* ---- what nobody finishes ---- */

static void an_outcome_that_was_only_learnt_is_let_go(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(2, decide_msg(&t, committed(1000), &two));
    clear();
    wait_us(3 * SECOND);
    assert_string_equal(state_of(&t), "DECIDED");
    wait_us(3 * SECOND);
    assert_string_equal(state_of(&t), "FINISHED");
    assert_int_equal(persisted_n(RECORD_FINISHED), 0); /* there was no record */
}

static void a_promise_without_known_participants_is_asked_about_again_and_again(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(2, ask_msg(&t, (struct ballot){1, 2, 5}));
    store_all();
    receive(2, decide_msg(&t, aborted(ASSENT_RECOVERED), NULL));
    clear();
    wait_us(6 * SECOND);
    assert_int_equal(sent_n(MSG_OUTCOME, 2), 1);
    wait_us(10 * SECOND);
    assert_int_equal(sent_n(MSG_OUTCOME, 2), 2);
    assert_string_equal(state_of(&t), "DECIDED");
    receive(2, forget_of(&t, aborted(ASSENT_RECOVERED)));
    assert_int_equal(persisted_n(RECORD_FINISHED), 1);
}

static void a_coordinator_takes_over_only_when_every_participant_is_there(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    store_all();
    receive(2, decide_msg(&t, committed(1000), &two));
    peer(EVENT_PEER_DOWN, P2, 0);
    clear();
    wait_us(30 * SECOND);
    assert_int_equal(sent_n(MSG_DECIDE, P1), 0);
    peer(EVENT_PEER_UP, P2, 4);
    wait_us(2 * SECOND);
    assert_int_not_equal(sent_n(MSG_DECIDE, P1), 0);
    receive(P1, message(MSG_DECIDED, &t, 2));
    receive(P2, message(MSG_DECIDED, &t, 2));
    assert_int_equal(persisted_n(RECORD_FINISHED), 1);
}

static void not_more_than_a_batch_of_old_records_is_asked_about_in_a_second(void **state)
{
    (void)state;
    create(3);
    for (uint32_t i = 0; i < 300; i++) {
        struct txid t = id(i);
        assert_true(restore_accept(&t, &two, (struct ballot){0}));
    }
    start(3);
    wait_us(4 * SECOND + SECOND / 2); /* the homes' time to look comes first */
    assert_int_equal(sent_n(MSG_OUTCOME, 2), 256);
    wait_us(SECOND);
    assert_int_equal(sent_n(MSG_OUTCOME, 2), 300);
}

/* ---- below the watermark ---- */

static void fill_participants(struct participants *p)
{
    p->n = PARTICIPANTS_MAX;
    for (int i = 0; i < PARTICIPANTS_MAX; i++)
        p->id[i] = (node_id)(P1 + i);
}

static uint32_t settle_asks(void)
{
    uint32_t n = 0;
    for (node_id p = P1; p < P1 + PARTICIPANTS_MAX; p++)
        n += sent_n(MSG_SETTLE_ASK, p);
    return n;
}

static void not_more_than_a_batch_of_questions_about_old_records_is_asked_in_a_second(void **state)
{
    struct participants all;
    (void)state;
    fill_participants(&all);
    create(3);
    restore_watermark(BASE_MS);
    for (uint32_t i = 0; i < 20; i++) {
        struct txid t = id_at(BASE_MS - 1000, i);
        assert_true(restore_accept(&t, &all, (struct ballot){0}));
    }
    start(3);
    wait_us(SECOND);
    assert_int_equal(settle_asks(), 256);
}

static void participants_that_are_away_do_not_keep_the_others_from_being_asked(void **state)
{
    static const struct participants here = {.n = 2, .id = {P3, P3 + 1}};
    (void)state;
    create(3);
    restore_watermark(BASE_MS);
    struct txid t = id_at(BASE_MS - 1000, 1);
    for (uint32_t i = 2; i < 300; i++) {
        struct txid away = id_at(BASE_MS - 1000, i);
        assert_true(restore_accept(&away, &two, (struct ballot){0}));
    }
    assert_true(restore_accept(&t, &here, (struct ballot){0}));
    start(3);
    peer(EVENT_PEER_DOWN, P1, 0);
    peer(EVENT_PEER_DOWN, P2, 0);
    wait_us(SECOND);
    assert_int_equal(settle_asks(), 2);
    assert_true(txid_equal(&sent(MSG_SETTLE_ASK, P3)->settle_ask.txid[0], &t));
    peer(EVENT_PEER_UP, P2, 4);
    wait_us(SECOND);
    assert_true(sent_n(MSG_SETTLE_ASK, P2) > 200);
}

static void a_participant_settles_only_old_records_that_it_takes_part_in(void **state)
{
    (void)state;
    create(3);
    restore_watermark(BASE_MS);
    struct txid old = id_at(BASE_MS - 1000, 1), young = id_at(BASE_MS + 1000, 2), none = id(3);
    assert_true(restore_accept(&old, &two, (struct ballot){0}));
    assert_true(restore_accept(&young, &two, (struct ballot){0}));
    start(3);
    struct txid led = id(4);
    receive(0, commit_msg(&led, &two));
    clear();
    receive(P1, settled_msg(&none));
    receive(P1, settled_msg(&led));
    receive(P1, settled_msg(&young));
    receive(P2, settled_msg(&young));
    receive(STRANGER, settled_msg(&old));
    receive(P1, settled_msg(&old));
    receive(P1, settled_msg(&old));
    nothing();
    receive(P2, settled_msg(&old));
    assert_true(txid_equal(&persisted(RECORD_FINISHED)->record.txid, &old));
}

/* Between "forgotten, without an outcome" and that being durable. */
static void what_is_being_forgotten_learns_no_outcome_any_more(void **state)
{
    (void)state;
    create(3);
    restore_watermark(BASE_MS);
    struct txid t = id_at(BASE_MS - 1000, 1);
    assert_true(restore_accept(&t, &two, (struct ballot){0}));
    start(3);
    receive(P1, settled_msg(&t));
    receive(P2, settled_msg(&t));
    assert_string_equal(state_of(&t), "FINISHED");
    struct ballot none = {0};
    clear();
    receive(0, outcome_msg(&t, 2, 1000));
    assert_int_equal(answered(), ASSENT_EXPIRED);
    clear();
    receive(2, decide_msg(&t, committed(1000), &two));
    receive(2, ask_msg(&t, (struct ballot){1, 2, 5}));
    receive(2, propose_msg(&t, (struct ballot){1, 2, 5}, &two));
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    nothing();
    stored(RECORD_FINISHED, &t, none);
    assert_string_equal(state_of(&t), "");
}

static void what_was_only_learnt_below_the_watermark_is_let_go(void **state)
{
    (void)state;
    create(3);
    restore_watermark(BASE_MS);
    start(3);
    struct txid t = id_at(BASE_MS - 1000, 1);
    receive(2, decide_msg(&t, committed(1000), &two));
    receive(P1, settled_msg(&t));
    receive(P2, settled_msg(&t));
    nothing();
    assert_string_equal(state_of(&t), "DECIDED");
    wait_us(SECOND);
    assert_string_equal(state_of(&t), "FINISHED");
    assert_int_equal(persisted_n(RECORD_FINISHED), 0);
    assert_int_equal(settle_asks(), 0);
}

/* A client waits for what another coordinator leads, until the watermark has passed it. */
static void a_question_that_outlives_the_watermark_is_no_record_to_ask_about(void **state)
{
    (void)state;
    begin(3);
    wait_us(2 * SECOND);
    store_all(); /* the first watermark */
    struct txid t = id_at(wall_ms() - RETENTION_MS + 10000, 1);
    receive(0, outcome_msg(&t, 2, 60000));
    assert_string_equal(state_of(&t), "ASKING");
    receive(2, result_msg(&t, 2, ASSENT_PENDING));
    assert_string_equal(state_of(&t), "KNOWN");
    clear();
    wait_us(9 * SECOND); /* overdue, but without a record */
    receive(P1, settled_msg(&t));
    nothing();
    while (persisted_n(RECORD_WATERMARK) == 0 && r.now_us < 61 * SECOND)
        wait_us(SECOND);
    store_all();
    assert_true(hlc_to_ms(stats().watermark) > txid_ms(&t));
    clear();
    wait_us(2 * SECOND);
    nothing();
    assert_string_equal(state_of(&t), "KNOWN");
    wait_us(10 * SECOND);
    assert_int_equal(answered(), ASSENT_PENDING);
    assert_string_equal(state_of(&t), "");
}

/* ---- memory ---- */

static void too_many_finished_transactions_leave_memory_early(void **state)
{
    (void)state;
    create(3);
    for (uint32_t i = 0; i <= ACCEPTED_MAX; i++) {
        struct txid t = id_at(BASE_MS - 30000, i);
        assert_true(restore_finished(&t, committed(1000)));
    }
    start(3);
    wait_us(8 * SECOND);
    assert_int_equal(stats().in_memory, ACCEPTED_MAX + 1);
    wait_us(20 * SECOND);
    assert_int_equal(stats().in_memory, ACCEPTED_MAX + 1 - 20000);
    wait_us(80 * SECOND);
    assert_int_equal(stats().in_memory, ACCEPTED_MAX + 1 - 20000);
    wait_us(20 * SECOND);
    assert_int_equal(stats().in_memory, 0);
}

/* Under load none of the steps of a second has all of it to drop. */
static void every_event_takes_a_few_old_transactions_out_of_memory(void **state)
{
    struct event e = {.kind = EVENT_TICK};
    (void)state;
    create(3);
    for (uint32_t i = 0; i < 5; i++) {
        struct txid t = id_at(BASE_MS - 200000, i);
        assert_true(restore_finished(&t, committed(1000)));
    }
    r.now_us = SECOND / 2;
    start(3);
    wait_us(119 * SECOND);
    assert_int_equal(stats().in_memory, 5);
    r.now_us = 120 * SECOND; /* of which the second is not over yet */
    for (uint32_t left = 5; left > 0;) {
        step(&e);
        left -= left < 2 ? left : 2;
        assert_int_equal(stats().in_memory, left);
    }
}

static void what_is_not_durable_yet_stays_in_memory(void **state)
{
    (void)state;
    begin(1);
    struct txid t = id(1);
    commit_half_settled(&t);
    receive(P2, message(MSG_DECIDED, &t, SELF));
    assert_int_equal(persisted_n(RECORD_FINISHED), 1);
    wait_us(200 * SECOND);
    assert_string_equal(state_of(&t), "FINISHED");
    stored(RECORD_FINISHED, &t, (struct ballot){0});
    wait_us(130 * SECOND);
    assert_string_equal(state_of(&t), "");
    clear();
    receive(0, outcome_msg(&t, SELF, 0));
    assert_int_equal(TAILQ_FIRST(&r.effects)->kind, EFFECT_LOOKUP);
}

static void what_the_disk_has_does_not_replace_what_memory_has(void **state)
{
    (void)state;
    begin(3);
    struct txid t = id(1);
    struct outcome outcome = aborted(ASSENT_CONFLICT);
    struct record record = {
        .kind = RECORD_FINISHED, .txid = t, .body = finished_record_encode(&outcome)};
    struct event e = {.kind = EVENT_LOADED, .loaded = {t, &record}};
    receive(P1, vote_msg(&t, 2, &two, prepared(1000)));
    clear();
    step(&e);
    nothing();
    assert_string_equal(state_of(&t), "KNOWN");
    blob_unref(record.body);
}

/* ---- restoring ---- */

static bool restore_bytes(enum record_kind kind, const struct txid *txid, struct bytes body)
{
    struct record record = {.kind = kind, .txid = *txid, .body = blob_new(body)};
    bool good = coordinator_restore(r.c, &record);
    blob_unref(record.body);
    return good;
}

static void damaged_records_are_refused(void **state)
{
    static const struct participants twice = {.n = 2, .id = {P1, P1}};
    (void)state;
    create(3);
    struct txid t = id(1);
    struct accepted accepted[2] = {{.vote = prepared(1)}, {.vote = prepared(1)}};
    struct tx_head head = head_of(&t, 2);
    struct ballot zero = {0};
    assert_false(restore_bytes(RECORD_ACCEPT, &t, bytes_of("\x01", 1)));
    assert_false(restore_bytes(RECORD_FINISHED, &t, bytes_of("\x01\0\0\0", 4)));
    assert_false(restore_bytes(RECORD_FINISHED, &t, bytes_of("\x03\0\0", 3)));
    assert_false(restore_bytes(RECORD_PREPARED, &t, bytes_of("", 0)));
    accepted[0].vote.kind = (enum vote_kind)(VOTE_ABORTED + 1);
    struct blob *strange = acceptor_record_encode(&head, zero, false, zero, &two, accepted);
    assert_false(restore_bytes(RECORD_ACCEPT, &t, blob_bytes(strange)));
    accepted[0].vote.kind = VOTE_ABORTED;
    struct blob *unsorted = acceptor_record_encode(&head, zero, false, zero, &twice, accepted);
    assert_false(restore_bytes(RECORD_ACCEPT, &t, blob_bytes(unsorted)));
    assert_int_equal(stats().in_memory, 0);
    assert_true(restore_accept(&t, &two, zero));
    assert_false(restore_accept(&t, &others, zero)); /* of the same transaction */
    blob_unref(strange);
    blob_unref(unsorted);
}

static void records_replayed_after_finished_change_nothing(void **state)
{
    (void)state;
    create(3);
    struct txid t = id(1);
    assert_true(restore_accept(&t, &two, (struct ballot){0}));
    assert_true(restore_finished(&t, committed(1000)));
    assert_true(restore_accept(&t, &two, (struct ballot){0}));
    assert_true(restore_finished(&t, committed(1000)));
    assert_string_equal(state_of(&t), "FINISHED");
    assert_int_equal(stats().in_memory, 1);
}

static void the_only_coordinator_commits_what_was_voted_for_and_not_an_abort_of_the_whole(void **s)
{
    (void)s;
    create(1);
    struct txid voted = id(1), half = id(2), bare = id(3), whole = id(4);
    struct accepted accepted[2] = {{.vote = prepared(1000)}};
    struct ballot zero = {0}, b = {1, SELF, 6};
    struct tx_head head = head_of(&half, SELF);
    struct blob *body = acceptor_record_encode(&head, zero, false, zero, &two, accepted);
    assert_true(restore_accept(&voted, &two, zero));
    assert_true(restore_bytes(RECORD_ACCEPT, &half, blob_bytes(body)));
    blob_unref(body);
    head = head_of(&bare, SELF);
    body = acceptor_record_encode(&head, b, false, zero, &(struct participants){0}, NULL);
    assert_true(restore_bytes(RECORD_PROMISE, &bare, blob_bytes(body)));
    blob_unref(body);
    accepted[1].vote = prepared(1000);
    head = head_of(&whole, SELF);
    body = acceptor_record_encode(&head, b, true, b, &two, accepted);
    assert_true(restore_bytes(RECORD_ACCEPT, &whole, blob_bytes(body)));
    blob_unref(body);
    coordinator_start(r.c, r.now_us, wall_ms(), &r.effects);
    assert_int_equal(sent_n(MSG_DECIDE, P1), 1);
    assert_true(txid_equal(&sent(MSG_DECIDE, P1)->head.txid, &voted));
    assert_string_equal(state_of(&half), "KNOWN");
    assert_string_equal(state_of(&bare), "KNOWN");
    assert_string_equal(state_of(&whole), "KNOWN");
}

static void clocks_of_participants_do_not_count(void **state)
{
    (void)state;
    create(3);
    coordinator_start(r.c, r.now_us, wall_ms(), &r.effects);
    peer(EVENT_PEER_UP, 2, 5);
    clear();
    struct event e = {.kind = EVENT_PEER_CLOCK, .peer = {.node = P1}};
    step(&e);
    wait_us(2 * SECOND);
    nothing(); /* one clock of three: no watermark */
    e.peer.node = 2;
    step(&e);
    wait_us(2 * SECOND);
    assert_int_equal(persisted_n(RECORD_WATERMARK), 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_of_what_cannot_be_led_is_refused_with_its_reason),
        TEST(a_commit_below_the_watermark_is_refused_although_the_clock_was_set_back),
        TEST(over_the_bound_of_led_transactions_a_commit_is_refused),
        TEST(a_client_gets_the_default_time_and_no_more_than_the_greatest),
        TEST(a_priority_is_neither_after_the_transaction_nor_long_before_it),
        TEST(a_participant_that_returns_after_the_deadline_has_no_time_left),
        TEST(votes_that_no_participant_casts_are_dropped),
        TEST(one_of_several_participants_cannot_tell_an_outcome),
        TEST(accepted_counts_only_from_coordinators_about_the_same_participants),
        TEST(the_outcome_of_one_phase_told_again_is_dropped),
        TEST(the_only_participant_may_have_aborted_before_it_is_asked_to_prepare),
        TEST(a_question_about_the_only_participant_that_is_none_waits_in_vain),
        TEST(times_longer_than_the_answer_holds_are_cut),
        TEST(a_record_that_becomes_durable_after_its_transaction_is_gone_changes_nothing),
        TEST(a_proposal_for_other_participants_is_not_accepted),
        TEST(a_ballot_is_used_by_its_proposer_alone),
        TEST(of_votes_and_an_abort_of_the_whole_the_higher_ballot_is_proposed),
        TEST(a_client_that_does_not_wait_and_one_too_many_are_told_pending),
        TEST(an_abort_without_a_reason_is_never_told_as_ok),
        TEST(a_participant_in_doubt_about_other_participants_starts_nothing),
        TEST(only_coordinators_answer_who_leads_promise_and_accept),
        TEST(no_outcome_and_forgotten_are_no_decisions_for_a_coordinator),
        TEST(two_outcomes_of_a_transaction_stop_the_process),
        TEST(decide_is_repeated_ever_more_slowly_until_the_last_has_settled),
        TEST(forget_is_sent_at_once_when_a_message_is_full),
        TEST(a_coordinator_that_returns_is_told_only_the_newest_that_were_finished),
        TEST(an_outcome_that_was_only_learnt_is_let_go),
        TEST(a_promise_without_known_participants_is_asked_about_again_and_again),
        TEST(a_coordinator_takes_over_only_when_every_participant_is_there),
        TEST(not_more_than_a_batch_of_old_records_is_asked_about_in_a_second),
        TEST(not_more_than_a_batch_of_questions_about_old_records_is_asked_in_a_second),
        TEST(participants_that_are_away_do_not_keep_the_others_from_being_asked),
        TEST(a_participant_settles_only_old_records_that_it_takes_part_in),
        TEST(what_is_being_forgotten_learns_no_outcome_any_more),
        TEST(what_was_only_learnt_below_the_watermark_is_let_go),
        TEST(a_question_that_outlives_the_watermark_is_no_record_to_ask_about),
        TEST(too_many_finished_transactions_leave_memory_early),
        TEST(every_event_takes_a_few_old_transactions_out_of_memory),
        TEST(what_is_not_durable_yet_stays_in_memory),
        TEST(what_the_disk_has_does_not_replace_what_memory_has),
        TEST(damaged_records_are_refused),
        TEST(records_replayed_after_finished_change_nothing),
        TEST(the_only_coordinator_commits_what_was_voted_for_and_not_an_abort_of_the_whole),
        TEST(clocks_of_participants_do_not_count),
    };
    return cmocka_run_group_tests_name("coordinator core", tests, NULL, NULL);
}
