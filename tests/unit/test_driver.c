/* runtime/driver: effects of a core become the host's calls and storage jobs, and their ends events
 * again. The core is a few effects that the test sets out; the storage is the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/driver.h"

static struct {
    struct node_role role;
    struct driver driver;
    void (*core)(const struct event *e, struct effects *effects);
    struct storage_job *job; /* submitted last */
    uint32_t submitted, sent, steps;
    char why[192];
} r;

static const struct txid txid = {{1}};

static void core_step(void *arg, const struct event *e, struct effects *effects)
{
    (void)arg;
    r.steps++;
    if (r.core != NULL)
        r.core(e, effects);
}

static uint64_t now(void *arg)
{
    (void)arg;
    return 5;
}

static void send(void *arg, struct addr to, struct msg *m)
{
    (void)arg;
    (void)to;
    (void)m;
    r.sent++;
}

static void submit(void *arg, struct storage_job *job)
{
    (void)arg;
    r.job = job;
    r.submitted++;
}

static void stepped(void *arg)
{
    (void)arg;
}

static void halt(void *arg, const char *why)
{
    (void)arg;
    memcpy(r.why, why, strlen(why) + 1);
}

static int setup(void **state)
{
    (void)state;
    memset(&r, 0, sizeof r);
    r.role.step = core_step;
    r.driver.role = &r.role;
    r.driver.host = (struct driver_host){.now_us = now,
                                         .wall_ms = now,
                                         .send = send,
                                         .submit = submit,
                                         .stepped = stepped,
                                         .halt = halt};
    return 0;
}

static void tick(void (*core)(const struct event *e, struct effects *effects))
{
    struct event e = {.kind = EVENT_TICK};
    r.core = core;
    driver_step(&r.driver, &e);
}

static void end(assent_status status, void (*core)(const struct event *e, struct effects *effects))
{
    r.core = core;
    r.job->status = status;
    r.job->done(r.job);
}

static void break_an_invariant(const struct event *e, struct effects *effects)
{
    assert_int_equal(e->now_us, 5);
    effect_halt(effects, "transaction %d is broken", 7);
}

static void a_broken_invariant_reaches_the_host_in_its_words(void **state)
{
    (void)state;
    tick(break_an_invariant);
    assert_string_equal(r.why, "transaction 7 is broken");
    assert_int_equal(r.submitted, 0);
}

static void read_keys(const struct event *e, struct effects *effects)
{
    (void)e;
    effect_read(effects, 9, &(struct read_point){.level = READ_STRONG, .at = READ_NEWEST},
                blob_new(bytes_of_text("ops")));
}

static void expect_refused_read(const struct event *e, struct effects *effects)
{
    (void)effects;
    assert_int_equal(e->kind, EVENT_READ_DONE);
    assert_true(e->read_done.token == 9);
    assert_int_equal(e->read_done.status, ASSENT_OVERLOADED);
    assert_null(e->read_done.results);
}

static void a_read_that_the_storage_refuses_is_done_with_that_status(void **state)
{
    (void)state;
    tick(read_keys);
    assert_true(r.job->refusable && r.job->reads_only);
    end(ASSENT_OVERLOADED, expect_refused_read);
    assert_int_equal(r.steps, 2);
}

static void persist(const struct event *e, struct effects *effects)
{
    (void)e;
    struct effect *effect =
        effect_persist(effects, RECORD_PROMISE, &txid, 3, blob_new(bytes_of_text("body")));
    effect->ballot = (struct ballot){4, 2, 1};
    effect_then_send(effect, addr_node(1), msg_new(MSG_PROMISE, NULL));
}

static void expect_stored(const struct event *e, struct effects *effects)
{
    (void)effects;
    assert_int_equal(r.sent, 1);
    assert_int_equal(e->kind, EVENT_STORED);
    assert_int_equal(e->stored.kind, RECORD_PROMISE);
    assert_true(txid_equal(&e->stored.txid, &txid));
    assert_int_equal(e->stored.ballot.round, 4);
}

static void what_waits_for_a_record_leaves_when_it_is_stored(void **state)
{
    (void)state;
    tick(persist);
    assert_false(r.job->refusable);
    assert_int_equal(r.sent, 0);
    end(ASSENT_OK, expect_stored);
    assert_int_equal(r.steps, 2);
}

static void nothing_leaves_and_no_core_runs_once_the_driver_closes(void **state)
{
    (void)state;
    tick(persist);
    r.driver.closing = true;
    end(ASSENT_OK, NULL);
    assert_int_equal(r.sent, 0);
    assert_int_equal(r.steps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_broken_invariant_reaches_the_host_in_its_words, setup),
        cmocka_unit_test_setup(a_read_that_the_storage_refuses_is_done_with_that_status, setup),
        cmocka_unit_test_setup(what_waits_for_a_record_leaves_when_it_is_stored, setup),
        cmocka_unit_test_setup(nothing_leaves_and_no_core_runs_once_the_driver_closes, setup),
    };
    return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
