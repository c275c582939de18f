/* client/session, client/read and client/retry: the pure logic of one commit, one question, one
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/read.h"
#include "client/retry.h"

#define SECOND UINT64_C(1000000)

/* Coordinators 1 (own datacenter), 2 (10 ms away), 3 (20 ms away); participants 11 (own), 12 (10
 * ms), 13 (20 ms). */
struct world {
    struct roster roster;
    uint64_t now_us;
    struct blob *ops[1];
    struct participants participants;
    struct session session;
    struct session_effects out;
    struct read read;
    struct read_effects read_out;
};

static int make_world(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->now_us = SECOND;
    for (node_id i = 1; i <= 3; i++) {
        w->roster.node[i] = (struct roster_node){
            .role = ROLE_COORDINATOR, .near = i == 1, .rtt_us = i * 10000u - 10000u};
        w->roster.node[i + 10] = (struct roster_node){
            .role = ROLE_PARTICIPANT, .near = i == 1, .rtt_us = i * 10000u - 10000u};
    }
    w->roster.highest = 13;
    w->participants = (struct participants){.n = 1, .id = {11}};
    w->ops[0] = blob_new(bytes_of_text("ops"));
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    msg_unref(w->out.msg);
    msg_unref(w->read_out.msg);
    session_free(&w->session);
    read_free(&w->read);
    if (w->ops[0]->refs != 1)
        return -1; /* a message or a session leaks */
    blob_unref(w->ops[0]);
    free(w);
    return 0;
}

static void step(struct world *w, struct session_event ev)
{
    ev.now_us = w->now_us;
    ev.ts = 77;
    ev.roster = &w->roster;
    msg_unref(w->out.msg);
    session_step(&w->session, &ev, &w->out);
}

static void step_kind(struct world *w, enum session_event_kind kind, node_id node)
{
    step(w, (struct session_event){.kind = kind, .node = node});
}

static void up(struct world *w, node_id node, uint32_t incarnation)
{
    w->roster.node[node].up = true;
    w->roster.node[node].failing = false;
    w->roster.node[node].incarnation = incarnation;
    step_kind(w, SESSION_EVENT_UP, node);
}

static void down(struct world *w, node_id node)
{
    w->roster.node[node].up = false;
    w->roster.node[node].failing = true;
    step_kind(w, SESSION_EVENT_DOWN, node);
}

static void result(struct world *w, node_id from, assent_status status)
{
    struct msg *m = msg_new(MSG_RESULT, &w->session.config.head);
    m->result.status = status;
    m->result.commit_ts = 4711;
    step(w, (struct session_event){.kind = SESSION_EVENT_RESULT, .node = from, .result = m});
    msg_unref(m);
}

/* Lets the time pass to the session's deadline, which must be within max_us. */
static void tick(struct world *w, uint64_t max_us)
{
    uint64_t at = session_deadline(&w->session);
    assert_true(at >= w->now_us && at <= w->now_us + max_us);
    w->now_us = at;
    step_kind(w, SESSION_EVENT_TICK, 0);
}

static void start(struct world *w, bool question)
{
    struct session_config config = {
        .head = {.txid = txid_make(1000, 0, 5), .epoch = 3, .set_hash = 9},
        .question = question,
        .deadline_us = w->now_us + 10 * SECOND,
        .seed = 42,
        .priority_ms = 900,
        .placement_hash = 8,
        .participants = &w->participants,
        .ops = w->ops,
    };
    session_init(&w->session, &config);
    step_kind(w, SESSION_EVENT_BEGIN, 0);
}

/* Connected to 1, 2 and 3, COMMIT sent to 1. */
static void start_sent(struct world *w)
{
    for (node_id i = 1; i <= 3; i++) {
        w->roster.node[i].up = true;
        w->roster.node[i].incarnation = 100u + i;
    }
    start(w, false);
    assert_int_equal(w->out.to, 1);
    assert_int_equal(w->session.state, SESSION_SENT);
}

static void assert_sent(const struct world *w, node_id to, enum msg_type type)
{
    assert_non_null(w->out.msg);
    assert_int_equal(w->out.to, to);
    assert_int_equal(w->out.msg->type, type);
}

static void assert_done(const struct world *w, assent_status status)
{
    assert_int_equal(w->session.state, SESSION_DONE);
    assert_string_equal(assent_status_name(w->session.status), assent_status_name(status));
    assert_null(w->out.msg);
    assert_true(session_deadline(&w->session) == UINT64_MAX);
}

/* ---- a commit that is answered ---- */

static void commit_goes_to_the_own_datacenter_and_names_it_as_home(void **state)
{
    struct world *w = *state;
    start_sent(w);
    assert_sent(w, 1, MSG_COMMIT);
    const struct msg *m = w->out.msg;
    assert_int_equal(m->head.home.node, 1);
    assert_int_equal(m->head.home.incarnation, 101);
    assert_int_equal(m->head.epoch, 3);
    assert_int_equal(m->commit.priority_ms, 900);
    assert_int_equal(m->commit.placement_hash, 8);
    assert_int_equal(m->commit.ts, 77);
    assert_int_equal(m->commit.participants.n, 1);
    assert_ptr_equal(m->commit.ops[0], w->ops[0]);
}

static void without_the_own_datacenter_commit_goes_to_the_shortest_round_trip(void **state)
{
    struct world *w = *state;
    w->roster.node[1].failing = true;
    w->roster.node[2].up = w->roster.node[3].up = true;
    w->roster.node[2].rtt_us = 30000;
    start(w, false);
    assert_sent(w, 3, MSG_COMMIT);
    msg_unref(w->out.msg);
    w->out.msg = NULL;
    w->roster.node[3].rtt_us = 0; /* not known */
    start(w, false);
    assert_sent(w, 2, MSG_COMMIT);
}

static void the_leader_gets_less_time_than_the_call_has(void **state)
{
    struct world *w = *state;
    start_sent(w);
    uint32_t leader_ms = w->out.msg->commit.timeout_ms;
    assert_true(leader_ms < 10000 && leader_ms >= 8500);
    assert_int_equal(session_time_for_node(0, 2000, 0), 1);
    assert_int_equal(session_time_for_node(5, 5, 0), 1);
    assert_int_equal(session_time_for_node(9, 5, 0), 1);
    assert_int_equal(session_time_for_node(0, 1000 * SECOND, 0), TXN_TIMEOUT_MS_MAX);
    for (uint64_t left = 10000; left < 100 * SECOND; left *= 3) {
        uint64_t ms = session_time_for_node(0, left, 5000);
        assert_true(ms * 1000 < left && ms * 1000 >= left / 2 - 1000);
    }
}

static void committed_gives_timestamp_times_and_results(void **state)
{
    struct world *w = *state;
    start_sent(w);
    struct msg *m = msg_new(MSG_RESULT, &w->session.config.head);
    m->result.status = ASSENT_OK;
    m->result.commit_ts = 4711;
    m->result.total_us = 300;
    m->result.quorum_us = 20;
    m->result.participants = w->participants;
    m->result.breakdown[0] = (struct breakdown){1, 2, 3};
    m->result.results[0] = blob_new(bytes_of_text("r"));
    step(w, (struct session_event){.kind = SESSION_EVENT_RESULT, .node = 1, .result = m});
    assert_int_equal(m->result.results[0]->refs, 2);
    msg_unref(m);
    assert_done(w, ASSENT_OK);
    assert_int_equal(w->session.commit_ts, 4711);
    assert_int_equal(w->session.total_us, 300);
    assert_int_equal(w->session.quorum_us, 20);
    assert_int_equal(w->session.participants.n, 1);
    assert_int_equal(w->session.breakdown[0].sync_us, 3);
    assert_int_equal(w->session.results[0]->refs, 1);
}

static void an_abort_carries_its_reason_its_place_and_its_sentence(void **state)
{
    struct world *w = *state;
    start_sent(w);
    struct msg *m = msg_new(MSG_RESULT, &w->session.config.head);
    m->result.status = ASSENT_CONFLICT;
    m->result.commit_ts = 4711;
    m->result.culprit = 11;
    m->result.detail = blob_new(bytes_of("key\n\x1b", 5));
    step(w, (struct session_event){.kind = SESSION_EVENT_RESULT, .node = 1, .result = m});
    msg_unref(m);
    assert_done(w, ASSENT_CONFLICT);
    assert_int_equal(w->session.commit_ts, 0);
    assert_int_equal(w->session.culprit, 11);
    assert_string_equal(w->session.detail, "key??");
}

/* Every status that a RESULT can carry: an abort ends the commit; one that is no outcome never
 * does. */
static void only_an_outcome_ends_a_sent_commit(void **state)
{
    struct world *w = *state;
    for (int number = 0; number <= 60; number++) {
        assent_status status = (assent_status)number;
        start_sent(w);
        result(w, 1, status);
        if (number <= ASSENT_CHANGED || status == ASSENT_EXPIRED) {
            assert_done(w, status);
        } else {
            assert_int_equal(w->session.state, SESSION_ASKING);
            w->now_us = w->session.config.deadline_us;
            step_kind(w, SESSION_EVENT_TICK, 0);
            assert_done(w, ASSENT_UNKNOWN);
        }
    }
}

/* ---- nothing has left ---- */

static void commit_waits_for_a_coordinator_and_takes_the_first(void **state)
{
    struct world *w = *state;
    w->roster.node[1].failing = true;
    start(w, false);
    assert_null(w->out.msg);
    up(w, 12, 1); /* a participant is no coordinator */
    assert_null(w->out.msg);
    up(w, 3, 7);
    assert_sent(w, 3, MSG_COMMIT);
    assert_int_equal(w->out.msg->head.home.incarnation, 7);
}

static void commit_waits_a_moment_for_the_own_datacenter_that_is_being_dialled(void **state)
{
    struct world *w = *state;
    start(w, false);
    up(w, 3, 7);
    assert_null(w->out.msg);
    up(w, 1, 8);
    assert_sent(w, 1, MSG_COMMIT);
}

static void commit_does_not_wait_long_for_the_own_datacenter(void **state)
{
    struct world *w = *state;
    start(w, false);
    up(w, 3, 7);
    assert_null(w->out.msg);
    tick(w, SECOND / 2);
    assert_sent(w, 3, MSG_COMMIT);
}

static void no_coordinator_until_the_deadline_is_not_sent(void **state)
{
    struct world *w = *state;
    start(w, false);
    tick(w, 10 * SECOND);
    assert_done(w, ASSENT_NOT_SENT);
    assert_true(assent_retryable(w->session.status));
}

static void a_deadline_that_is_over_sends_nothing(void **state)
{
    struct world *w = *state;
    start_sent(w);
    struct session_config config = w->session.config;
    config.deadline_us = w->now_us;
    session_init(&w->session, &config);
    step_kind(w, SESSION_EVENT_BEGIN, 0);
    assert_done(w, ASSENT_NOT_SENT);
}

static void what_could_not_be_queued_goes_to_another_coordinator_as_its_home(void **state)
{
    struct world *w = *state;
    start_sent(w);
    step(w, (struct session_event){
                .kind = SESSION_EVENT_UNSENT, .node = 1, .status = ASSENT_UNREACHABLE});
    assert_null(w->out.msg);
    assert_int_equal(w->session.state, SESSION_START);
    tick(w, 0);
    assert_sent(w, 2, MSG_COMMIT);
    assert_int_equal(w->out.msg->head.home.node, 2);
    assert_int_equal(w->out.msg->head.home.incarnation, 102);
}

static void what_could_not_be_queued_anywhere_is_not_sent(void **state)
{
    struct world *w = *state;
    w->roster.node[1].up = true;
    start(w, false);
    for (int i = 0; w->session.state != SESSION_DONE; i++) {
        assert_true(i < 2000);
        if (w->out.msg != NULL)
            step(w, (struct session_event){
                        .kind = SESSION_EVENT_UNSENT, .node = 1, .status = ASSENT_UNREACHABLE});
        else
            tick(w, 10 * SECOND);
    }
    assert_done(w, ASSENT_NOT_SENT);
}

static void a_full_queue_is_overloaded_and_nothing_was_sent(void **state)
{
    struct world *w = *state;
    start_sent(w);
    step(w, (struct session_event){
                .kind = SESSION_EVENT_UNSENT, .node = 1, .status = ASSENT_OVERLOADED});
    assert_done(w, ASSENT_OVERLOADED);
}

static void a_connection_lost_before_sending_changes_nothing(void **state)
{
    struct world *w = *state;
    start(w, false);
    down(w, 1);
    assert_int_equal(w->session.state, SESSION_START);
    result(w, 1, ASSENT_OK); /* nobody was asked */
    assert_int_equal(w->session.state, SESSION_START);
    up(w, 2, 1);
    assert_sent(w, 2, MSG_COMMIT);
}

/* ---- it may have left ---- */

static void a_lost_home_turns_the_commit_into_a_question_elsewhere(void **state)
{
    struct world *w = *state;
    start_sent(w);
    down(w, 1);
    assert_sent(w, 2, MSG_OUTCOME);
    assert_int_equal(w->out.msg->head.home.node, 1);
    assert_int_equal(w->out.msg->head.home.incarnation, 101);
    assert_true(txid_equal(&w->out.msg->head.txid, &w->session.config.head.txid));
    result(w, 2, ASSENT_OK);
    assert_done(w, ASSENT_OK);
    assert_int_equal(w->session.commit_ts, 4711);
}

static void commit_is_never_sent_twice(void **state)
{
    struct world *w = *state;
    start_sent(w);
    w->roster.node[2].up = w->roster.node[3].up = false;
    down(w, 1);
    assert_null(w->out.msg);
    up(w, 1, 200); /* restarted: the home keeps its first incarnation */
    assert_sent(w, 1, MSG_OUTCOME);
    assert_int_equal(w->out.msg->head.home.incarnation, 101);
    for (int i = 0; i < 100 && w->session.state != SESSION_DONE; i++) {
        if (w->out.msg != NULL)
            assert_int_equal(w->out.msg->type, MSG_OUTCOME);
        tick(w, 10 * SECOND);
    }
    assert_done(w, ASSENT_UNKNOWN);
}

static void another_nodes_loss_does_not_disturb_a_sent_commit(void **state)
{
    struct world *w = *state;
    start_sent(w);
    down(w, 2);
    assert_null(w->out.msg);
    assert_int_equal(w->session.state, SESSION_SENT);
    result(w, 3, ASSENT_PENDING);
    assert_int_equal(w->session.state, SESSION_SENT);
}

static void pending_is_asked_again_after_a_back_off(void **state)
{
    struct world *w = *state;
    start_sent(w);
    result(w, 1, ASSENT_PENDING);
    assert_null(w->out.msg);
    for (int i = 0; i < 12; i++) {
        uint64_t before = w->now_us;
        tick(w, 500000);
        assert_true(w->now_us >= before + 20000);
        assert_non_null(w->out.msg);
        assert_int_equal(w->out.msg->type, MSG_OUTCOME);
        result(w, w->out.to, i % 2 == 0 ? ASSENT_UNKNOWN : ASSENT_PENDING);
        assert_int_equal(w->session.state, SESSION_ASKING);
    }
    tick(w, 500000);
    result(w, w->out.to, ASSENT_RECOVERED);
    assert_done(w, ASSENT_RECOVERED);
}

static void questions_go_round_all_connected_coordinators(void **state)
{
    struct world *w = *state;
    int asked[4] = {0};
    start_sent(w);
    result(w, 1, ASSENT_UNKNOWN);
    for (int i = 0; i < 8; i++) {
        tick(w, 500000);
        asked[w->out.to]++;
        result(w, w->out.to, ASSENT_UNKNOWN);
    }
    /* the home was the first of the first round */
    assert_int_equal(asked[1], 2);
    assert_int_equal(asked[2], 3);
    assert_int_equal(asked[3], 3);
}

static void a_silent_home_is_not_waited_for_beyond_the_leaders_time(void **state)
{
    struct world *w = *state;
    start_sent(w);
    uint64_t leader_us = w->out.msg->commit.timeout_ms * UINT64_C(1000), began = w->now_us;
    tick(w, 10 * SECOND);
    assert_true(w->now_us > began + leader_us);
    assert_true(w->now_us < w->session.config.deadline_us);
    assert_sent(w, 2, MSG_OUTCOME);
    result(w, 1, ASSENT_OK); /* late, and welcome */
    assert_done(w, ASSENT_OK);
}

static void a_silent_coordinator_is_followed_by_another(void **state)
{
    struct world *w = *state;
    start_sent(w);
    down(w, 1);
    assert_sent(w, 2, MSG_OUTCOME);
    uint64_t wait_us = w->out.msg->outcome.wait_ms * UINT64_C(1000), asked_us = w->now_us;
    tick(w, 2 * SECOND);
    assert_true(w->now_us > asked_us + wait_us); /* it may say PENDING until then */
    assert_sent(w, 3, MSG_OUTCOME);
}

static void a_coordinator_lost_while_asked_is_followed_by_another(void **state)
{
    struct world *w = *state;
    start_sent(w);
    down(w, 1);
    down(w, 2);
    assert_null(w->out.msg);
    tick(w, 500000);
    assert_sent(w, 3, MSG_OUTCOME);
}

static void a_question_that_could_not_be_queued_is_asked_later(void **state)
{
    struct world *w = *state;
    start_sent(w);
    down(w, 1);
    step(w, (struct session_event){
                .kind = SESSION_EVENT_UNSENT, .node = 2, .status = ASSENT_OVERLOADED});
    assert_int_equal(w->session.state, SESSION_ASKING);
    tick(w, 500000);
    assert_sent(w, 3, MSG_OUTCOME);
}

static void without_an_answer_until_the_deadline_the_outcome_is_unknown(void **state)
{
    struct world *w = *state;
    start_sent(w);
    uint64_t end = w->session.config.deadline_us;
    while (w->session.state != SESSION_DONE)
        tick(w, 10 * SECOND);
    assert_done(w, ASSENT_UNKNOWN);
    assert_true(w->now_us == end);
    start_sent(w);
    while (w->session.state != SESSION_DONE) {
        if (w->out.msg != NULL)
            result(w, w->out.to, ASSENT_PENDING);
        tick(w, 10 * SECOND);
    }
    assert_done(w, ASSENT_UNKNOWN); /* PENDING too */
}

static void the_same_seed_gives_the_same_back_off_and_others_differ(void **state)
{
    (void)state;
    struct prng a, b, c;
    uint64_t differ = 0, longest = 0;
    prng_seed(&a, 1);
    prng_seed(&b, 1);
    prng_seed(&c, 2);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t x = backoff_us(&a, i % 10), y = backoff_us(&b, i % 10), z = backoff_us(&c, i % 10);
        assert_true(x >= 20000 && x <= 500000);
        assert_int_equal(x, y);
        differ += x != z;
        longest = x > longest ? x : longest;
    }
    assert_true(differ > 900);
    assert_true(longest > 400000);
    for (int i = 0; i < 100; i++)
        assert_true(backoff_us(&a, 0) <= 40000);
}

/* ---- the handle closes ---- */

static void closing_is_closed_before_sending_and_unknown_after(void **state)
{
    struct world *w = *state;
    start(w, false);
    step_kind(w, SESSION_EVENT_CLOSE, 0);
    assert_done(w, ASSENT_CLOSED);
    start_sent(w);
    step_kind(w, SESSION_EVENT_CLOSE, 0);
    assert_done(w, ASSENT_UNKNOWN);
    start_sent(w);
    down(w, 1);
    step_kind(w, SESSION_EVENT_CLOSE, 0);
    assert_done(w, ASSENT_UNKNOWN);
    start(w, true); /* "closed" would read as an abort */
    step_kind(w, SESSION_EVENT_CLOSE, 0);
    assert_done(w, ASSENT_UNKNOWN);
}

/* ---- questions by id alone ---- */

static void a_question_names_no_home(void **state)
{
    struct world *w = *state;
    w->roster.node[1].up = true;
    w->roster.node[1].incarnation = 5;
    start(w, true);
    assert_sent(w, 1, MSG_OUTCOME);
    assert_int_equal(w->out.msg->head.home.node, 0);
    assert_int_equal(w->out.msg->head.home.incarnation, 0);
    result(w, 1, ASSENT_EXPIRED);
    assert_done(w, ASSENT_EXPIRED);
}

static void a_question_ends_as_pending_if_that_was_the_last_answer(void **state)
{
    struct world *w = *state;
    w->roster.node[1].up = true;
    start(w, true);
    while (w->session.state != SESSION_DONE) {
        if (w->out.msg != NULL)
            result(w, w->out.to, ASSENT_PENDING);
        tick(w, 10 * SECOND);
    }
    assert_done(w, ASSENT_PENDING);
}

static void a_question_nobody_can_be_asked_ends_as_unknown(void **state)
{
    struct world *w = *state;
    start(w, true);
    assert_null(w->out.msg);
    tick(w, 10 * SECOND);
    assert_done(w, ASSENT_UNKNOWN);
}

static void a_question_keeps_no_blobs_of_the_answer(void **state)
{
    struct world *w = *state;
    w->roster.node[1].up = true;
    start(w, true);
    struct msg *m = msg_new(MSG_RESULT, &w->session.config.head);
    m->result.participants = w->participants;
    m->result.results[0] = blob_new(bytes_of_text("r"));
    step(w, (struct session_event){.kind = SESSION_EVENT_RESULT, .node = 1, .result = m});
    assert_int_equal(m->result.results[0]->refs, 1);
    msg_unref(m);
    assert_done(w, ASSENT_OK);
}

/* ---- reads ---- */

static void read_step_kind(struct world *w, enum session_event_kind kind, node_id node,
                           assent_status status)
{
    struct session_event ev = {.kind = kind,
                               .now_us = w->now_us,
                               .ts = 77,
                               .roster = &w->roster,
                               .node = node,
                               .status = status};
    msg_unref(w->read_out.msg);
    if (kind == SESSION_EVENT_UP || kind == SESSION_EVENT_DOWN) {
        w->roster.node[node].up = kind == SESSION_EVENT_UP;
        w->roster.node[node].failing = kind == SESSION_EVENT_DOWN;
    }
    if (kind == SESSION_EVENT_RESULT) {
        struct msg *m = msg_new(MSG_READ_RESULT, NULL);
        m->read_result.request = 6;
        m->read_result.status = status;
        m->read_result.ts = 88;
        m->read_result.results = blob_new(bytes_of_text("r"));
        ev.result = m;
        read_step(&w->read, &ev, &w->read_out);
        msg_unref(m);
    } else {
        read_step(&w->read, &ev, &w->read_out);
    }
}

static void read_tick_next(struct world *w)
{
    w->now_us = read_deadline(&w->read);
    read_step_kind(w, SESSION_EVENT_TICK, 0, ASSENT_OK);
}

/* Participants 11, 12, 13 hold the keys; the mask says which are connected. */
static void read_start(struct world *w, int connected)
{
    struct read_config config = {.request = 6,
                                 .deadline_us = w->now_us + 10 * SECOND,
                                 .seed = 1,
                                 .replicas = 3,
                                 .replica = {13, 12, 11},
                                 .ops = w->ops[0]};
    read_free(&w->read);
    for (node_id i = 0; i < 3; i++) {
        w->roster.node[11 + i].up = (connected >> i & 1) != 0;
        w->roster.node[11 + i].failing = false;
    }
    read_init(&w->read, &config);
    read_step_kind(w, SESSION_EVENT_BEGIN, 0, ASSENT_OK);
}

static void assert_read_sent(const struct world *w, node_id to)
{
    assert_non_null(w->read_out.msg);
    assert_int_equal(w->read_out.to, to);
    assert_int_equal(w->read_out.msg->type, MSG_READ);
    assert_int_equal(w->read_out.msg->read.request, 6);
    assert_ptr_equal(w->read_out.msg->read.ops, w->ops[0]);
}

static void assert_read_done(const struct world *w, assent_status status)
{
    assert_int_equal(w->read.state, READ_DONE);
    assert_string_equal(assent_status_name(w->read.status), assent_status_name(status));
    assert_null(w->read_out.msg);
}

static void a_read_asks_the_nearest_replica(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    assert_read_sent(w, 11);
    assert_int_equal(w->read_out.msg->read.ts, 77);
    assert_true(w->read_out.msg->read.timeout_ms < 10000);
    read_step_kind(w, SESSION_EVENT_RESULT, 11, ASSENT_OK);
    assert_read_done(w, ASSENT_OK);
    assert_int_equal(w->read.ts, 88);
    assert_non_null(w->read.results);
}

static void a_replica_that_is_not_connected_is_dialled_first(void **state)
{
    struct world *w = *state;
    read_start(w, 6); /* the near one is not connected */
    assert_int_equal(w->read_out.dial, 11);
    assert_null(w->read_out.msg);
    read_step_kind(w, SESSION_EVENT_UP, 11, ASSENT_OK);
    assert_read_sent(w, 11);
}

static void a_replica_that_cannot_be_dialled_is_passed_over_and_then_comes_last(void **state)
{
    struct world *w = *state;
    read_start(w, 6);
    read_step_kind(w, SESSION_EVENT_DOWN, 11, ASSENT_OK);
    assert_read_sent(w, 12);
    read_step_kind(w, SESSION_EVENT_RESULT, 12, ASSENT_OK);
    assert_read_done(w, ASSENT_OK);
    /* the next read knows */
    struct read_config config = w->read.config;
    read_free(&w->read);
    read_init(&w->read, &config);
    read_step_kind(w, SESSION_EVENT_BEGIN, 0, ASSENT_OK);
    assert_read_sent(w, 12);
}

static void a_dial_without_an_answer_is_not_waited_for(void **state)
{
    struct world *w = *state;
    read_start(w, 6);
    read_tick_next(w);
    assert_true(w->now_us < 3 * SECOND);
    assert_read_sent(w, 12);
}

static void a_lost_connection_sends_the_read_to_another_replica(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_step_kind(w, SESSION_EVENT_DOWN, 11, ASSENT_OK);
    assert_read_sent(w, 12);
    read_step_kind(w, SESSION_EVENT_DOWN, 13, ASSENT_OK); /* not asked */
    assert_null(w->read_out.msg);
    read_step_kind(w, SESSION_EVENT_DOWN, 12, ASSENT_OK);
    assert_int_equal(w->read_out.dial, 13);
    read_step_kind(w, SESSION_EVENT_DOWN, 13, ASSENT_OK);
    assert_int_equal(w->read.state, READ_WAITING); /* all were tried: a back-off */
    read_step_kind(w, SESSION_EVENT_UP, 13, ASSENT_OK);
    assert_read_sent(w, 13);
}

static void a_refusal_sends_the_read_to_another_replica(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_step_kind(w, SESSION_EVENT_RESULT, 11, ASSENT_STOPPING);
    assert_read_sent(w, 12);
    read_step_kind(w, SESSION_EVENT_UNSENT, 12, ASSENT_UNREACHABLE);
    assert_read_sent(w, 13);
    read_step_kind(w, SESSION_EVENT_RESULT, 13, ASSENT_OVERLOADED);
    assert_int_equal(w->read.state, READ_WAITING);
    read_tick_next(w);
    assert_read_sent(w, 11); /* another round */
}

static void a_refusal_that_every_replica_would_give_ends_the_read(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_step_kind(w, SESSION_EVENT_RESULT, 11, ASSENT_DENIED);
    assert_read_done(w, ASSENT_DENIED);
}

static void the_read_ends_when_every_replica_has_refused_for_good(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_step_kind(w, SESSION_EVENT_RESULT, 11, ASSENT_CORRUPT);
    assert_read_sent(w, 12);
    read_step_kind(w, SESSION_EVENT_RESULT, 12, ASSENT_STORAGE);
    assert_read_sent(w, 13);
    read_step_kind(w, SESSION_EVENT_RESULT, 13, ASSENT_DISK_FULL);
    assert_read_done(w, ASSENT_DISK_FULL);
}

static void a_silent_replica_is_joined_by_another_and_may_still_answer(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_tick_next(w);
    assert_read_sent(w, 12);
    read_step_kind(w, SESSION_EVENT_RESULT, 11, ASSENT_OK);
    assert_read_done(w, ASSENT_OK);
    assert_int_equal(w->read.answered, 11);
}

static void a_late_refusal_does_not_take_back_the_question_that_is_out(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_tick_next(w);
    assert_read_sent(w, 12);
    read_step_kind(w, SESSION_EVENT_RESULT, 11, ASSENT_STOPPING);
    assert_null(w->read_out.msg);
    assert_int_equal(w->read.state, READ_ASKED);
    read_step_kind(w, SESSION_EVENT_RESULT, 12, ASSENT_OK);
    assert_read_done(w, ASSENT_OK);
}

static void a_read_without_an_answer_ends_at_its_deadline(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    uint64_t end = w->read.config.deadline_us;
    for (int i = 0; i < 1000 && w->read.state != READ_DONE; i++)
        read_tick_next(w);
    assert_read_done(w, ASSENT_READ_TIMED_OUT);
    assert_true(w->now_us == end);
    read_start(w, 0);
    for (int i = 0; i < 1000 && w->read.state != READ_DONE; i++)
        read_tick_next(w);
    assert_read_done(w, ASSENT_READ_TIMED_OUT);
}

static void an_answer_from_a_node_that_is_no_replica_is_ignored(void **state)
{
    struct world *w = *state;
    read_start(w, 7);
    read_step_kind(w, SESSION_EVENT_RESULT, 1, ASSENT_OK);
    assert_int_equal(w->read.state, READ_ASKED);
    read_step_kind(w, SESSION_EVENT_CLOSE, 0, ASSENT_OK);
    assert_read_done(w, ASSENT_CLOSED);
}

/* ---- assent_run's retries ---- */

static void only_a_status_that_cannot_hide_a_commit_is_tried_again(void **state)
{
    (void)state;
    uint64_t wait_us;
#define CHECK_STATUS(name, number, retry_, maybe, text)                                            \
    {                                                                                              \
        struct retry r = {.deadline_us = UINT64_MAX};                                              \
        prng_seed(&r.prng, 1);                                                                     \
        assert_int_equal(retry_next(&r, ASSENT_##name, 0, &wait_us), retry_);                      \
        if (maybe)                                                                                 \
            assert_false(retry_next(&r, ASSENT_##name, 0, &wait_us));                              \
    }
    ASSENT_STATUS_MAP(CHECK_STATUS)
}

static void retries_back_off_longer_and_longer_until_the_deadline(void **state)
{
    (void)state;
    struct retry r = {.deadline_us = 60 * SECOND};
    uint64_t now_us = 0, wait_us, sum[2] = {0}, longest = 0;
    int attempts = 0;
    prng_seed(&r.prng, 3);
    while (retry_next(&r, ASSENT_CONFLICT, now_us, &wait_us)) {
        assert_true(wait_us >= 1000 && wait_us <= 500000);
        now_us += wait_us;
        sum[attempts < 4 ? 0 : 1] += wait_us;
        longest = wait_us > longest ? wait_us : longest;
        attempts++;
    }
    assert_true(attempts > 100 && attempts < 600);
    assert_true(sum[0] < 100000 && longest > 300000);
    assert_true(now_us < r.deadline_us && now_us > r.deadline_us - SECOND);
}

/* ---- watches: reads that wait for a change ---- */

static void watch_start(struct world *w, int connected, const struct read_watch *watch)
{
    struct read_config config;
    read_start(w, connected);
    config = w->read.config;
    config.watch = *watch;
    read_free(&w->read);
    read_init(&w->read, &config);
    read_step_kind(w, SESSION_EVENT_BEGIN, 0, ASSENT_OK);
}

static const struct msg_watch *watch_sent(const struct world *w, node_id to)
{
    static const struct msg_watch none;
    assert_non_null(w->read_out.msg);
    assert_int_equal(w->read_out.to, to);
    if (w->read_out.msg == NULL || w->read_out.msg->type != MSG_WATCH)
        return &none;
    assert_int_equal(w->read_out.msg->watch.request, 6);
    return &w->read_out.msg->watch;
}

struct watch_answer {
    node_id node;
    assent_status status;
    hlc_ts since, ts;
    struct watch_cursor cursor;
    bool changed;
};

static void watch_answered(struct world *w, const struct watch_answer *a)
{
    struct msg *m = msg_new(MSG_WATCH_RESULT, NULL);
    struct session_event ev = {.kind = SESSION_EVENT_RESULT,
                               .now_us = w->now_us,
                               .ts = 77,
                               .roster = &w->roster,
                               .node = a->node,
                               .result = m};
    m->watch_result.status = a->status;
    m->watch_result.since = a->since;
    m->watch_result.ts = a->ts;
    m->watch_result.cursor = a->cursor;
    m->watch_result.results = a->changed ? blob_new(bytes_of_text("r")) : NULL;
    msg_unref(w->read_out.msg);
    read_step(&w->read, &ev, &w->read_out);
    msg_unref(m);
}

static void a_watch_asks_where_it_is_and_goes_on_from_there(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true});
    assert_int_equal(watch_sent(w, 11)->since, 0);
    watch_answered(w, &(struct watch_answer){.node = 11, .ts = 50, .cursor = {4, 9}});
    assert_int_equal(watch_sent(w, 11)->since, 50);
    assert_int_equal(watch_sent(w, 11)->cursor.incarnation, 4);
    assert_int_equal(watch_sent(w, 11)->cursor.sequence, 9);
    watch_answered(w, &(struct watch_answer){
                          .node = 11, .since = 50, .ts = 60, .cursor = {4, 10}, .changed = true});
    assert_read_done(w, ASSENT_OK);
    assert_int_equal(w->read.watch.since, 60);
    assert_int_equal(w->read.watch.cursor.sequence, 10);
    assert_non_null(w->read.results);
}

static void where_to_begin_is_taken_once(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true});
    watch_answered(w, &(struct watch_answer){.node = 11, .ts = 50, .cursor = {4, 9}});
    watch_answered(w, &(struct watch_answer){.node = 11, .ts = 70, .cursor = {4, 30}});
    assert_int_equal(w->read.watch.since, 50);
    assert_int_equal(w->read.watch.cursor.sequence, 9);
    assert_int_equal(w->read.state, READ_ASKED);
}

static void another_replica_gets_the_position_and_no_cursor(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true, .since = 50, .node = 12, .cursor = {4, 9}});
    assert_int_equal(watch_sent(w, 12)->cursor.sequence, 9); /* not the nearest: whose it is */
    read_step_kind(w, SESSION_EVENT_DOWN, 12, ASSENT_OK);
    assert_int_equal(watch_sent(w, 11)->since, 50);
    assert_int_equal(watch_sent(w, 11)->cursor.incarnation, 0);
    /* an answer below the position does not move it back */
    watch_answered(w, &(struct watch_answer){.node = 11, .since = 50, .ts = 40, .cursor = {4, 3}});
    assert_int_equal(watch_sent(w, 11)->since, 50);
    assert_int_equal(w->read.ts, 50);
}

static void a_silent_replica_is_given_up_after_the_time_it_was_given(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true, .since = 50});
    uint64_t time_us = watch_sent(w, 11)->timeout_ms * UINT64_C(1000);
    assert_true(time_us <= WATCH_POLL_MS * UINT64_C(1000));
    assert_true(read_deadline(&w->read) > w->now_us + time_us);
    read_tick_next(w);
    assert_int_equal(watch_sent(w, 12)->since, 50);
}

static void behind_is_the_answer_only_when_every_replica_says_so(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true, .since = 50});
    watch_answered(w, &(struct watch_answer){.node = 11, .status = ASSENT_BEHIND, .ts = 90});
    assert_int_equal(watch_sent(w, 12)->since, 50);
    watch_answered(w, &(struct watch_answer){.node = 12, .status = ASSENT_BEHIND, .ts = 80});
    watch_answered(w, &(struct watch_answer){.node = 13, .status = ASSENT_BEHIND, .ts = 70});
    assert_read_done(w, ASSENT_BEHIND);
    assert_int_equal(w->read.ts, 90); /* a scan is later than that */
    assert_int_equal(w->read.watch.since, 50);
}

static void a_watch_ends_when_nothing_changed_in_time(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true, .since = 50});
    w->now_us = w->read.config.deadline_us - 1000;
    watch_answered(w, &(struct watch_answer){.node = 11, .since = 50, .ts = 60, .cursor = {4, 3}});
    assert_read_done(w, ASSENT_READ_TIMED_OUT);
    assert_true(w->read.heard);
    assert_int_equal(w->read.watch.since, 60);
}

static void overload_is_told_at_the_end_of_the_time(void **state)
{
    struct world *w = *state;
    watch_start(w, 7, &(struct read_watch){.on = true, .since = 50});
    for (node_id node = 11; node <= 13; node++)
        watch_answered(w, &(struct watch_answer){.node = node, .status = ASSENT_OVERLOADED});
    assert_int_equal(w->read.state, READ_WAITING);
    w->now_us = w->read.config.deadline_us;
    read_step_kind(w, SESSION_EVENT_TICK, 0, ASSENT_OK);
    assert_read_done(w, ASSENT_OVERLOADED);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)
    const struct CMUnitTest tests[] = {
        IN_WORLD(commit_goes_to_the_own_datacenter_and_names_it_as_home),
        IN_WORLD(without_the_own_datacenter_commit_goes_to_the_shortest_round_trip),
        IN_WORLD(the_leader_gets_less_time_than_the_call_has),
        IN_WORLD(committed_gives_timestamp_times_and_results),
        IN_WORLD(an_abort_carries_its_reason_its_place_and_its_sentence),
        IN_WORLD(only_an_outcome_ends_a_sent_commit),
        IN_WORLD(commit_waits_for_a_coordinator_and_takes_the_first),
        IN_WORLD(commit_waits_a_moment_for_the_own_datacenter_that_is_being_dialled),
        IN_WORLD(commit_does_not_wait_long_for_the_own_datacenter),
        IN_WORLD(no_coordinator_until_the_deadline_is_not_sent),
        IN_WORLD(a_deadline_that_is_over_sends_nothing),
        IN_WORLD(what_could_not_be_queued_goes_to_another_coordinator_as_its_home),
        IN_WORLD(what_could_not_be_queued_anywhere_is_not_sent),
        IN_WORLD(a_full_queue_is_overloaded_and_nothing_was_sent),
        IN_WORLD(a_connection_lost_before_sending_changes_nothing),
        IN_WORLD(a_lost_home_turns_the_commit_into_a_question_elsewhere),
        IN_WORLD(commit_is_never_sent_twice),
        IN_WORLD(another_nodes_loss_does_not_disturb_a_sent_commit),
        IN_WORLD(pending_is_asked_again_after_a_back_off),
        IN_WORLD(questions_go_round_all_connected_coordinators),
        IN_WORLD(a_silent_home_is_not_waited_for_beyond_the_leaders_time),
        IN_WORLD(a_silent_coordinator_is_followed_by_another),
        IN_WORLD(a_coordinator_lost_while_asked_is_followed_by_another),
        IN_WORLD(a_question_that_could_not_be_queued_is_asked_later),
        IN_WORLD(without_an_answer_until_the_deadline_the_outcome_is_unknown),
        IN_WORLD(the_same_seed_gives_the_same_back_off_and_others_differ),
        IN_WORLD(closing_is_closed_before_sending_and_unknown_after),
        IN_WORLD(a_question_names_no_home),
        IN_WORLD(a_question_ends_as_pending_if_that_was_the_last_answer),
        IN_WORLD(a_question_nobody_can_be_asked_ends_as_unknown),
        IN_WORLD(a_question_keeps_no_blobs_of_the_answer),
        IN_WORLD(a_watch_asks_where_it_is_and_goes_on_from_there),
        IN_WORLD(where_to_begin_is_taken_once),
        IN_WORLD(another_replica_gets_the_position_and_no_cursor),
        IN_WORLD(a_silent_replica_is_given_up_after_the_time_it_was_given),
        IN_WORLD(behind_is_the_answer_only_when_every_replica_says_so),
        IN_WORLD(a_watch_ends_when_nothing_changed_in_time),
        IN_WORLD(overload_is_told_at_the_end_of_the_time),
        IN_WORLD(a_read_asks_the_nearest_replica),
        IN_WORLD(a_replica_that_is_not_connected_is_dialled_first),
        IN_WORLD(a_replica_that_cannot_be_dialled_is_passed_over_and_then_comes_last),
        IN_WORLD(a_dial_without_an_answer_is_not_waited_for),
        IN_WORLD(a_lost_connection_sends_the_read_to_another_replica),
        IN_WORLD(a_refusal_sends_the_read_to_another_replica),
        IN_WORLD(a_refusal_that_every_replica_would_give_ends_the_read),
        IN_WORLD(the_read_ends_when_every_replica_has_refused_for_good),
        IN_WORLD(a_silent_replica_is_joined_by_another_and_may_still_answer),
        IN_WORLD(a_late_refusal_does_not_take_back_the_question_that_is_out),
        IN_WORLD(a_read_without_an_answer_ends_at_its_deadline),
        IN_WORLD(an_answer_from_a_node_that_is_no_replica_is_ignored),
        IN_WORLD(only_a_status_that_cannot_hide_a_commit_is_tried_again),
        IN_WORLD(retries_back_off_longer_and_longer_until_the_deadline),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
