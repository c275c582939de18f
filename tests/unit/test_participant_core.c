/* participant/core and its parts, driven event by event over a resource of the test's own: what
 * the scenarios and the simulator never or hardly ever do. Messages that no correct node sends,
 * bounds, rare orders, damaged records, the sentences of what stops the process.
 *
 * The participant tested is 11, its home is coordinator 1; 2 and 3 are the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "participant/core.h"
#include "participant/record.h"

#define SECOND       UINT64_C(1000000)
#define BASE_MS      UINT64_C(1700000000000) /* the wall clock at now_us = 0 */
#define RETENTION_MS 3600000u
#define SELF         11
#define OTHER        12
#define HOME         1
#define INCARNATION  3

struct claim {
    void *owner;
};

static struct {
    struct participant *p;
    struct effects effects; /* since clear() */
    uint64_t now_us;
    /* the resource */
    enum claim_state next; /* what the next claim gets */
    assent_status refusal;
    bool ops_damaged;
    uint32_t claims; /* not released */
} r;

static const struct participants two = {.n = 2, .id = {SELF, OTHER}};

/* ---- a resource ---- */

static struct claim *claim_new(void *owner)
{
    struct claim *c = xcalloc(1, sizeof *c);
    c->owner = owner;
    r.claims++;
    return c;
}

static enum claim_state take(void *owner, struct claim **out, struct refusal *refusal)
{
    if (r.next == CLAIM_REFUSED)
        *refusal = (struct refusal){r.refusal, blob_new(bytes_of_text("no"))};
    else
        *out = claim_new(owner);
    return r.next;
}

static enum claim_state claim(void *arg, const struct tx_head *head, const struct msg_prepare *m,
                              void *owner, struct claim **out, struct refusal *refusal)
{
    (void)arg;
    (void)head;
    (void)m;
    return take(owner, out, refusal);
}

static enum claim_state claim_read(void *arg, const struct client_name *client,
                                   const struct msg_read *m, void *owner, struct claim **out,
                                   struct refusal *refusal)
{
    (void)arg;
    (void)client;
    (void)m;
    return take(owner, out, refusal);
}

static void written(void *arg, const struct claim *c,
                    void (*each)(void *each_arg, struct bytes key), void *each_arg)
{
    (void)arg;
    (void)c;
    (void)each;
    (void)each_arg;
}

static struct claim *restore_claim(void *arg, const struct txid *txid, uint64_t priority_ms,
                                   struct blob *ops, void *owner)
{
    (void)arg;
    (void)txid;
    (void)priority_ms;
    (void)ops;
    return r.ops_damaged ? NULL : claim_new(owner);
}

static void decided(void *arg, struct claim *c)
{
    (void)arg;
    (void)c;
}

static void release(void *arg, struct claim *c)
{
    (void)arg;
    r.claims--;
    free(c);
}

static void *granted(void *arg)
{
    (void)arg;
    return NULL;
}

/* ---- events ---- */

static uint64_t wall_ms(void)
{
    return BASE_MS + r.now_us / 1000;
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
    participant_step(r.p, e, &r.effects);
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

/* All records emitted become durable; what waited for them and what follows is in effects. */
static void store_all(void)
{
    struct effects before;
    struct effect *effect;
    effects_init(&before);
    TAILQ_CONCAT(&before, &r.effects, link);
    TAILQ_FOREACH (effect, &before, link) {
        struct event e = {.kind = EVENT_STORED,
                          .stored = {.kind = effect->record.kind, .txid = effect->record.txid}};
        if (effect->kind != EFFECT_PERSIST && effect->kind != EFFECT_PREPARE)
            continue;
        TAILQ_CONCAT(&r.effects, &effect->then, link);
        step(&e);
    }
    effects_free(&before);
}

/* Time passes, with every tick that the core asks for. */
static void wait_us(uint64_t us)
{
    uint64_t until = r.now_us + us;
    struct event e = {.kind = EVENT_TICK};
    while (participant_deadline(r.p) <= until) {
        if (participant_deadline(r.p) > r.now_us)
            r.now_us = participant_deadline(r.p);
        step(&e);
    }
    r.now_us = until;
}

static void create(void)
{
    static const struct resource resource = {.claim = claim,
                                             .claim_read = claim_read,
                                             .written = written,
                                             .restore = restore_claim,
                                             .decided = decided,
                                             .release = release,
                                             .granted = granted};
    struct participant_config config = {.self = SELF,
                                        .incarnation = INCARNATION,
                                        .coordinators = 3,
                                        .coordinator = {1, 2, 3},
                                        .in_doubt_timeout_ms = 1000,
                                        .retention_ms = RETENTION_MS,
                                        .clock_ahead_ms = 5000,
                                        .seed = 1};
    memset(&r, 0, sizeof r);
    effects_init(&r.effects);
    r.p = participant_new(&config, &resource);
    r.now_us = SECOND;
    r.next = CLAIM_HELD;
}

static void start(void)
{
    participant_start(r.p, r.now_us, wall_ms(), &r.effects);
    for (node_id i = 1; i <= 3; i++) {
        struct event e = {.kind = EVENT_PEER_UP, .peer = {.node = i, .incarnation = 5}};
        step(&e);
        e.kind = EVENT_PEER_CLOCK;
        step(&e);
    }
    clear();
}

static void begin(void)
{
    create();
    start();
}

static int teardown(void **state)
{
    (void)state;
    effects_free(&r.effects);
    participant_free(r.p);
    r.p = NULL;
    assert_int_equal(r.claims, 0);
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

static uint32_t emitted_n(enum effect_kind kind)
{
    const struct effect *effect;
    uint32_t n = 0;
    TAILQ_FOREACH (effect, &r.effects, link)
        n += effect->kind == kind;
    return n;
}

/* The reason of the abort vote sent to the home. */
static assent_status refused(void)
{
    const struct vote *v = &sent(MSG_VOTE, HOME)->vote.vote;
    assert_int_equal(v->kind, VOTE_ABORTED);
    return v->reason;
}

static void nothing(void)
{
    assert_true(TAILQ_EMPTY(&r.effects));
}

/* Stops the process with this sentence about the transaction, and says nothing else. */
static void halts(const struct txid *txid, const char *what)
{
    char text[TXID_TEXT_BYTES], want[192];
    const struct effect *effect = TAILQ_FIRST(&r.effects);
    assert_non_null(effect);
    assert_int_equal(effect->kind, EFFECT_HALT);
    snprintf(want, sizeof want, "transaction %s: %s", txid_text(txid, text), what);
    assert_string_equal(effect->why, want);
    assert_null(TAILQ_NEXT(effect, link));
    clear();
}

struct look {
    const struct txid *txid;
    const char *state;
};

static void look(void *arg, const struct participant_view *view)
{
    struct look *l = arg;
    if (txid_equal(l->txid, &view->head.txid))
        l->state = view->state;
}

/* "" for what is not in memory. */
static const char *state_of(const struct txid *txid)
{
    struct look l = {txid, ""};
    participant_each(r.p, look, &l);
    return l.state;
}

static struct participant_stats stats(void)
{
    struct participant_stats s;
    participant_stats(r.p, r.now_us, &s);
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

static struct msg *message(enum msg_type type, const struct txid *txid)
{
    struct tx_head head = {*txid, {HOME, 5}, 1, 9};
    return msg_new(type, &head);
}

static struct msg *prepare_msg(const struct txid *txid)
{
    struct msg *m = message(MSG_PREPARE, txid);
    m->prepare.participants = two;
    if (txid_route(txid) != 0) {
        m->prepare.participants = (struct participants){.n = 1, .id = {SELF}};
        m->prepare.one_phase = true;
    }
    m->prepare.priority_ms = txid_ms(txid);
    m->prepare.time_left_ms = 8000;
    m->prepare.pin = INCARNATION;
    m->prepare.ops = blob_new(bytes_of_text("ops"));
    return m;
}

static struct msg *decide_msg(const struct txid *txid, struct outcome outcome)
{
    struct msg *m = message(MSG_DECIDE, txid);
    m->decide.outcome = outcome;
    m->decide.participants = two;
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

static struct msg *read_msg(void)
{
    struct msg *m = msg_new(MSG_READ, NULL);
    m->read.request = 4;
    m->read.timeout_ms = 1000;
    m->read.ops = blob_new(bytes_of_text("ops"));
    return m;
}

/* Prepared, with its vote sent; the effects are cleared. */
static hlc_ts prepare(const struct txid *txid)
{
    receive(HOME, prepare_msg(txid));
    store_all();
    assert_string_equal(state_of(txid), "PREPARED");
    hlc_ts ts = sent(MSG_VOTE, HOME)->vote.vote.prepare_ts;
    clear();
    return ts;
}

static void lock(const struct txid *txid)
{
    r.next = CLAIM_WAITING;
    receive(HOME, prepare_msg(txid));
    r.next = CLAIM_HELD;
    assert_string_equal(state_of(txid), "LOCKING");
    clear();
}

/* ---- PREPARE ---- */

static void a_prepare_that_is_not_for_this_participant_is_dropped(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1);
    struct msg *m = prepare_msg(&t);
    m->prepare.participants = (struct participants){.n = 1, .id = {OTHER}};
    receive(HOME, m);
    receive(2, prepare_msg(&t)); /* nor from another than its home */
    nothing();
    assert_string_equal(state_of(&t), "");
}

static void a_prepare_that_comes_again_before_the_vote_is_dropped(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1), u = id(2);
    lock(&t);
    receive(HOME, prepare_msg(&t));
    nothing();
    receive(HOME, prepare_msg(&u));
    assert_string_equal(state_of(&u), "PREPARING");
    clear();
    receive(HOME, prepare_msg(&u));
    nothing();
}

static void over_the_bound_of_transactions_in_flight_a_prepare_is_refused(void **state)
{
    (void)state;
    begin();
    r.next = CLAIM_WAITING;
    for (uint32_t i = 0; i < PREPARING_MAX; i++) {
        struct txid t = id(i);
        receive(HOME, prepare_msg(&t));
        nothing();
    }
    struct txid t = id(PREPARING_MAX);
    receive(HOME, prepare_msg(&t));
    assert_int_equal(refused(), ASSENT_OVERLOADED);
    assert_int_equal(stats().locking, PREPARING_MAX);
}

static void messages_of_other_kinds_are_dropped(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1);
    receive(HOME, message(MSG_FORGET, &t));
    nothing();
    assert_string_equal(state_of(&t), "");
}

/* ---- DECIDE ---- */

static void a_commit_of_what_was_never_prepared_here_stops_the_process(void **state)
{
    (void)state;
    begin();
    struct txid unknown = id(1), locking = id(2), preparing = id(3);
    receive(HOME, decide_msg(&unknown, committed(1000)));
    halts(&unknown, "decided committed, but this participant holds neither a prepared nor an "
                    "applied record");
    lock(&locking);
    receive(HOME, decide_msg(&locking, committed(1000)));
    halts(&locking, "decided committed before this participant voted");
    receive(HOME, prepare_msg(&preparing));
    clear();
    receive(HOME, decide_msg(&preparing, committed(1000)));
    halts(&preparing, "decided committed before this participant voted");
}

static void a_commit_before_its_prepare_timestamp_stops_the_process(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1);
    hlc_ts ts = prepare(&t);
    receive(HOME, decide_msg(&t, committed(ts - 1)));
    halts(&t, "commit timestamp below this participant's prepare timestamp");
    assert_string_equal(state_of(&t), "PREPARED");
    receive(HOME, decide_msg(&t, committed(ts)));
    assert_string_equal(state_of(&t), "COMMITTING");
}

static void two_outcomes_of_a_transaction_stop_the_process(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1), u = id(2);
    hlc_ts ts = prepare(&t);
    receive(HOME, decide_msg(&t, committed(ts)));
    store_all();
    assert_string_equal(state_of(&t), "COMMITTED");
    clear();
    receive(2, decide_msg(&t, committed(ts + 1)));
    halts(&t, "decided otherwise before (I1)");
    receive(2, decide_msg(&t, aborted(ASSENT_RECOVERED)));
    halts(&t, "decided otherwise before (I1)");
    receive(2, decide_msg(&t, committed(ts)));
    assert_int_equal(sent(MSG_DECIDED, 2)->decided.outcome, OUTCOME_COMMITTED);
    receive(HOME, decide_msg(&u, aborted(ASSENT_CONFLICT)));
    clear();
    receive(HOME, decide_msg(&u, committed(ts)));
    halts(&u, "decided otherwise before (I1)");
    receive(HOME, decide_msg(&u, aborted(ASSENT_RECOVERED))); /* two reasons for the same */
    assert_int_equal(sent_n(MSG_DECIDED, HOME), 1);
}

static void no_outcome_and_forgotten_decide_nothing_before_the_vote(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1), u = id(2);
    receive(HOME, decide_msg(&t, aborted(ASSENT_EXPIRED)));
    lock(&t);
    receive(HOME, decide_msg(&t, (struct outcome){0}));
    receive(HOME, decide_msg(&t, aborted(ASSENT_EXPIRED)));
    nothing();
    assert_string_equal(state_of(&t), "LOCKING");
    prepare(&u);
    receive(HOME, decide_msg(&u, (struct outcome){0}));
    nothing();
    receive(HOME, decide_msg(&u, aborted(ASSENT_EXPIRED)));
    assert_string_equal(state_of(&u), "ABORTING");
}

/* ---- OUTCOME ---- */

static void only_coordinators_are_told_an_outcome_and_only_what_was_decided_here(void **state)
{
    (void)state;
    begin();
    struct txid several = id(1), elsewhere = txid_make(wall_ms(), OTHER, 2),
                mine = txid_make(wall_ms(), SELF, 3);
    receive(HOME, message(MSG_OUTCOME, &several));
    receive(HOME, message(MSG_OUTCOME, &elsewhere));
    receive(0, message(MSG_OUTCOME, &mine));
    nothing();
    assert_int_equal(stats().in_memory, 0);
    receive(HOME, message(MSG_OUTCOME, &mine));
    assert_int_equal(sent_n(MSG_RESULT, HOME), 0); /* the abort is not durable yet */
    store_all();
    assert_int_equal(sent(MSG_RESULT, HOME)->result.status, ASSENT_RECOVERED);
    clear();
    receive(2, message(MSG_OUTCOME, &mine)); /* durable already */
    assert_int_equal(sent(MSG_RESULT, 2)->result.status, ASSENT_RECOVERED);
}

static void an_abort_without_a_reason_is_never_told_as_ok(void **state)
{
    (void)state;
    begin();
    struct txid t = txid_make(wall_ms(), SELF, 1);
    receive(HOME, decide_msg(&t, aborted(ASSENT_OK)));
    clear();
    receive(HOME, message(MSG_OUTCOME, &t));
    store_all();
    assert_int_equal(sent(MSG_RESULT, HOME)->result.status, ASSENT_RECOVERED);
}

/* ---- reads ---- */

static void a_read_that_the_resource_refuses_is_answered_at_once(void **state)
{
    (void)state;
    begin();
    r.next = CLAIM_REFUSED;
    r.refusal = ASSENT_DENIED;
    receive(0, read_msg());
    assert_int_equal(sent(MSG_READ_RESULT, 0)->read_result.status, ASSENT_DENIED);
    assert_int_equal(sent(MSG_READ_RESULT, 0)->read_result.request, 4);
    assert_int_equal(emitted_n(EFFECT_READ), 0);
    assert_int_equal(stats().reads_waiting, 0);
}

static void over_the_bound_of_waiting_reads_a_read_is_refused(void **state)
{
    (void)state;
    begin();
    r.next = CLAIM_WAITING;
    for (uint32_t i = 0; i < READS_WAITING_MAX; i++)
        receive(0, read_msg());
    nothing();
    receive(0, read_msg());
    assert_int_equal(sent(MSG_READ_RESULT, 0)->read_result.status, ASSENT_OVERLOADED);
    assert_int_equal(stats().reads_waiting, READS_WAITING_MAX);
}

static void a_read_that_is_done_twice_is_answered_once(void **state)
{
    (void)state;
    begin();
    receive(0, read_msg());
    struct event e = {.kind = EVENT_READ_DONE,
                      .read_done = {.token = TAILQ_FIRST(&r.effects)->token}};
    assert_int_equal(TAILQ_FIRST(&r.effects)->kind, EFFECT_READ);
    clear();
    step(&e);
    assert_int_equal(sent(MSG_READ_RESULT, 0)->read_result.status, ASSENT_OK);
    clear();
    step(&e);
    nothing();
}

/* ---- memory and the disk ---- */

static void too_many_finished_transactions_leave_memory_early(void **state)
{
    const uint32_t most = 50000;
    (void)state;
    begin();
    for (uint32_t i = 0; i <= most; i++) {
        struct txid t = id_at(BASE_MS - 30000, i);
        receive(HOME, decide_msg(&t, aborted(ASSENT_CONFLICT)));
        clear();
    }
    wait_us(2 * SECOND);
    assert_int_equal(stats().in_memory, most + 1);
    assert_int_equal(emitted_n(EFFECT_PERSIST), 1); /* the floor */
    wait_us(20 * SECOND);
    assert_int_equal(stats().in_memory, most + 1 - 20000);
    /* what only memory knew is written down before it goes */
    assert_int_equal(emitted_n(EFFECT_PERSIST), 1 + 20000);
    wait_us(60 * SECOND);
    assert_int_equal(stats().in_memory, most + 1 - 20000);
}

/* Under load none of the steps of a second has all of it to drop. */
static void every_event_takes_a_few_old_transactions_out_of_memory(void **state)
{
    struct event e = {.kind = EVENT_TICK};
    (void)state;
    begin();
    wait_us(SECOND / 2);
    for (uint32_t i = 0; i < 5; i++) {
        struct txid t = id_at(BASE_MS, i);
        receive(HOME, decide_msg(&t, aborted(ASSENT_CONFLICT)));
    }
    wait_us(120 * SECOND + SECOND / 4);
    assert_int_equal(stats().in_memory, 5);
    for (uint32_t left = 5; left > 0;) {
        step(&e);
        left -= left < 2 ? left : 2;
        assert_int_equal(stats().in_memory, left);
    }
}

static void transactions_of_a_clock_that_is_ahead_stay_in_memory(void **state)
{
    (void)state;
    begin();
    struct txid ahead = id_at(BASE_MS + 600000, 1), now = id(2);
    receive(HOME, decide_msg(&ahead, aborted(ASSENT_CONFLICT)));
    receive(HOME, decide_msg(&now, aborted(ASSENT_CONFLICT)));
    wait_us(130 * SECOND);
    assert_string_equal(state_of(&ahead), "ABORTED");
    assert_string_equal(state_of(&now), "");
    clear();
    struct txid other = id(3); /* not looked up: only what is older than `now` is */
    receive(HOME, prepare_msg(&other));
    assert_int_equal(emitted_n(EFFECT_LOOKUP), 0);
    clear();
    receive(HOME, prepare_msg(&now));
    assert_int_equal(emitted_n(EFFECT_LOOKUP), 1);
}

static void an_answer_of_the_disk_that_nobody_waits_for_changes_nothing(void **state)
{
    (void)state;
    begin();
    struct txid t = id(1);
    struct record record = {
        .kind = RECORD_ABORTED, .txid = t, .body = aborted_record_encode(ASSENT_CONFLICT)};
    struct event e = {.kind = EVENT_LOADED, .loaded = {t, &record}};
    step(&e);
    nothing();
    assert_string_equal(state_of(&t), "");
    blob_unref(record.body);
}

/* ---- restoring ---- */

static bool restore(const struct txid *txid, enum record_kind kind, const struct participants *p,
                    size_t cut)
{
    struct prepared_record prepared = {
        .head = {*txid, {HOME, 5}, 1, 9}, .participants = *p, .ops = bytes_of_text("ops")};
    struct blob *body = prepared_record_encode(&prepared);
    struct record record = {.kind = kind, .txid = *txid, .ts = 1000};
    record.body = blob_new(bytes_of(body->data, body->len - cut));
    bool good = participant_restore(r.p, &record);
    blob_unref(record.body);
    blob_unref(body);
    return good;
}

static void damaged_records_are_refused(void **state)
{
    static const struct participants unsorted = {.n = 2, .id = {OTHER, SELF}};
    (void)state;
    create();
    struct txid t = id(1), u = id(2);
    assert_false(restore(&t, RECORD_ABORTED, &two, 0));
    assert_false(restore(&t, RECORD_PREPARED, &two, 1));
    assert_false(restore(&t, RECORD_PREPARED, &unsorted, 0));
    assert_int_equal(stats().in_memory, 0);
    assert_true(restore(&t, RECORD_PREPARED, &two, 0));
    r.ops_damaged = true;
    assert_false(restore(&u, RECORD_PREPARED, &two, 0));
    start();
    assert_string_equal(state_of(&t), "PREPARED");
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_prepare_that_is_not_for_this_participant_is_dropped),
        TEST(a_prepare_that_comes_again_before_the_vote_is_dropped),
        TEST(over_the_bound_of_transactions_in_flight_a_prepare_is_refused),
        TEST(messages_of_other_kinds_are_dropped),
        TEST(a_commit_of_what_was_never_prepared_here_stops_the_process),
        TEST(a_commit_before_its_prepare_timestamp_stops_the_process),
        TEST(two_outcomes_of_a_transaction_stop_the_process),
        TEST(no_outcome_and_forgotten_decide_nothing_before_the_vote),
        TEST(only_coordinators_are_told_an_outcome_and_only_what_was_decided_here),
        TEST(an_abort_without_a_reason_is_never_told_as_ok),
        TEST(a_read_that_the_resource_refuses_is_answered_at_once),
        TEST(over_the_bound_of_waiting_reads_a_read_is_refused),
        TEST(a_read_that_is_done_twice_is_answered_once),
        TEST(too_many_finished_transactions_leave_memory_early),
        TEST(every_event_takes_a_few_old_transactions_out_of_memory),
        TEST(transactions_of_a_clock_that_is_ahead_stay_in_memory),
        TEST(an_answer_of_the_disk_that_nobody_waits_for_changes_nothing),
        TEST(damaged_records_are_refused),
    };
    return cmocka_run_group_tests_name("participant core", tests, NULL, NULL);
}
