/* chaos/samples and result: what is kept of every attempt, and the times to unblock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/results.h"

#define THREADS 4
#define EACH    2000

static void samples_come_back_in_the_order_of_their_ends(void **state)
{
    (void)state;
    struct made_result m;
    size_t n;
    result_made(&m);
    result_commit(&m, LOAD_BANK, "a", "ab", 0, 300);
    result_commit(&m, LOAD_BANK, "b", "ab", 200, 250);
    result_commit(&m, LOAD_BANK, "c", "ab", 100, 900);
    result_look(&m, 500, 6, 2, "b", 20);
    result_look(&m, 250, 6, 1, "b", 10);
    const struct sample *s = samples_all(m.result.samples, &n);
    assert_int_equal(n, 3);
    assert_int_equal(s[0].datacenter, 1);
    assert_int_equal(s[1].datacenter, 0);
    assert_int_equal(s[2].datacenter, 2);
    const struct doubt *d = samples_doubts(m.result.samples, &n);
    assert_int_equal(n, 2);
    assert_int_equal(d[0].in_doubt, 1);
    assert_int_equal(d[1].in_doubt, 2);
    assert_int_equal(samples_left_out(m.result.samples), 0);
    result_made_free(&m);
}

static void progress_counts_since_the_last_time(void **state)
{
    (void)state;
    struct made_result m;
    uint64_t commits, aborts, unknown;
    int in_doubt;
    result_made(&m);
    result_commit(&m, LOAD_BANK, "a", "ab", 0, 300);
    result_attempt(&m, ASSENT_CONFLICT, "a", "ab", 0, 300);
    result_attempt(&m, ASSENT_TIMED_OUT, "a", "ab", 0, 300);
    result_attempt(&m, ASSENT_UNKNOWN, "a", "ab", 0, 300);
    result_look(&m, 250, 6, 5, "b", 10);
    samples_progress(m.result.samples, &commits, &aborts, &unknown, &in_doubt);
    assert_int_equal(commits, 1);
    assert_int_equal(aborts, 2);
    assert_int_equal(unknown, 1);
    assert_int_equal(in_doubt, 5);
    samples_progress(m.result.samples, &commits, &aborts, &unknown, &in_doubt);
    assert_int_equal(commits + aborts + unknown, 0);
    assert_int_equal(in_doubt, 5);
    result_made_free(&m);
}

static void names_of_participants_outlive_their_handle(void **state)
{
    (void)state;
    struct made_result m;
    struct sample s;
    char name[] = "p-1";
    size_t n;
    result_made(&m);
    result_sample(&s, LOAD_BANK, "a", "ab", 0, 100);
    s.has_info = true;
    s.parts = 1;
    s.part[0] = (assent_part){name, 80000, 10, 200};
    samples_add(m.result.samples, &s);
    samples_add(m.result.samples, &s);
    memset(name, 'x', 3);
    const struct sample *kept = samples_all(m.result.samples, &n);
    assert_string_equal(kept[0].part[0].participant, "p-1");
    assert_ptr_equal(kept[0].part[0].participant, kept[1].part[0].participant);
    assert_int_equal(kept[0].part[0].network_us, 80000);
    result_made_free(&m);
}

static void *add_many(void *samples)
{
    struct sample s;
    for (uint64_t i = 0; i < EACH; i++) {
        samples_add(samples, result_sample(&s, LOAD_SET, "a", "ab", i, i + 1));
        samples_add_doubt(samples, &(struct doubt){.at_us = i});
    }
    return NULL;
}

static void any_thread_may_add(void **state)
{
    (void)state;
    struct made_result m;
    pthread_t thread[THREADS];
    size_t n;
    result_made(&m);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, add_many, m.result.samples), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    samples_all(m.result.samples, &n);
    assert_int_equal(n, THREADS * EACH);
    samples_doubts(m.result.samples, &n);
    assert_int_equal(n, THREADS * EACH);
    result_made_free(&m);
}

/* ---- time to unblock ---- */

static void next_commit_is_of_a_transaction_that_the_fault_concerns(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_ISOLATE, "b", 10000, 14000);
    result_commit(&m, LOAD_BANK, "a", "ab", 9900, 10100);  /* began before it */
    result_commit(&m, LOAD_BANK, "a", "ac", 10200, 10300); /* somewhere else */
    result_commit(&m, LOAD_LOCAL, "b", "b", 10200, 10400); /* needs nothing that is cut */
    result_attempt(&m, ASSENT_UNKNOWN, "a", "ab", 10200, 12000);
    result_commit(&m, LOAD_BANK, "a", "bc", 11000, 14300);
    result_commit(&m, LOAD_BANK, "c", "ab", 10500, 14200); /* this one */
    result_measure(&m.result);
    assert_int_equal(f->next_commit_us, 4200000);
    result_made_free(&m);
}

static void next_commit_after_the_loss_of_a_datacenter_is_among_the_others(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_LOST, "a", 10000, 0);
    result_commit(&m, LOAD_BANK, "b", "ab", 10100, 10200);
    result_commit(&m, LOAD_BANK, "b", "b", 10100, 10300);
    result_measure(&m.result);
    assert_int_equal(f->next_commit_us, FAULT_NEVER);
    result_commit(&m, LOAD_BANK, "b", "bc", 10100, 11500);
    result_measure(&m.result);
    assert_int_equal(f->next_commit_us, 1500000);
    result_made_free(&m);
}

static void where_no_load_has_keys_any_next_commit_will_do(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    m.scenario.load[0].in = m.scenario.load[1].in = 6; /* b and c */
    struct fault *f = result_fault(&m, FAULT_ISOLATE, "a", 10000, 14000);
    struct fault *g = result_fault(&m, FAULT_ISOLATE, "b", 10000, 14000);
    result_commit(&m, LOAD_LOCAL, "b", "b", 10100, 10200); /* crosses nothing */
    result_commit(&m, LOAD_BANK, "b", "c", 10100, 10500);
    result_measure(&m.result);
    assert_int_equal(f->next_commit_us, 500000);
    assert_int_equal(g->next_commit_us, FAULT_NEVER);
    result_made_free(&m);
}

static void the_only_datacenter_needs_no_crossing(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    m.scenario.datacenters = 1;
    struct fault *f = result_fault(&m, FAULT_KILL, "a", 1000, 2000);
    result_commit(&m, LOAD_BANK, "a", "a", 1500, 2500);
    result_measure(&m.result);
    assert_int_equal(f->next_commit_us, 1500000);
    result_made_free(&m);
}

static void doubt_ends_with_the_first_look_that_stays_clear(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_PAUSE, "b", 10000, 14000);
    result_look(&m, 9500, 6, 1, "a", 200);
    result_look(&m, 10200, 6, 2, "b", 500);  /* was in doubt when the fault began */
    result_look(&m, 10400, 6, 2, "b", 100);  /* looks clear, but does not stay so */
    result_look(&m, 11000, 5, 0, "a", 0);    /* somebody does not answer */
    result_look(&m, 14200, 6, 3, "b", 1001); /* for longer than participants wait */
    result_look(&m, 14600, 6, 1, "b", 1000); /* clear */
    result_look(&m, 15600, 6, 4, "c", 300);
    result_look(&m, 20000, 6, 1, "c", 3000); /* long after it, from something else */
    result_measure(&m.result);
    assert_int_equal(f->no_doubt_us, 4600000);
    result_made_free(&m);
}

static void what_was_in_doubt_when_the_fault_began_must_be_decided(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_SPIKE, "b", 10000, 20000);
    result_look(&m, 10200, 6, 2, "b", 300);
    result_look(&m, 10400, 6, 2, "b", 390);
    result_look(&m, 10600, 6, 2, "b", 550);
    result_measure(&m.result);
    assert_int_equal(f->no_doubt_us, 400000);
    result_made_free(&m);
}

static void doubt_that_does_not_end_is_never(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_KILL, "a", 10000, 0);
    result_look(&m, 10200, 6, 1, "b", 300);
    result_look(&m, 12000, 6, 1, "b", 2100);
    result_measure(&m.result);
    assert_int_equal(f->no_doubt_us, FAULT_NEVER);
    result_made_free(&m);
}

static void nodes_of_a_lost_datacenter_need_not_answer(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_LOST, "a", 10000, 0);
    result_look(&m, 10200, 3, 0, "a", 0); /* of the other two datacenters' four nodes */
    result_look(&m, 12500, 4, 0, "a", 0);
    result_measure(&m.result);
    assert_int_equal(f->no_doubt_us, 2500000);
    result_made_free(&m);
}

static void a_killed_node_need_not_answer_but_one_that_is_stopped_must(void **state)
{
    (void)state;
    for (int down = 0; down < 2; down++) {
        struct made_result m;
        result_made(&m);
        struct fault *f = result_fault(&m, down == 1 ? FAULT_KILL : FAULT_PAUSE, "a", 10000, 20000);
        samples_add_doubt(
            m.result.samples,
            &(struct doubt){.at_us = RESULT_BEGIN_US + 10500000, .answering = 5, .down = down});
        result_look(&m, 21000, 6, 0, "a", 0);
        result_measure(&m.result);
        assert_int_equal(f->no_doubt_us, down == 1 ? 500000 : 11000000);
        result_made_free(&m);
    }
}

static void doubt_of_the_next_fault_is_not_this_ones(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    struct fault *f = result_fault(&m, FAULT_KILL, "a", 10000, 11000);
    result_fault(&m, FAULT_KILL, "b", 12000, 20000);
    result_look(&m, 10500, 5, 0, "a", 0);
    result_look(&m, 11500, 6, 0, "a", 0);
    result_look(&m, 12500, 5, 0, "a", 0);
    result_measure(&m.result);
    assert_int_equal(f->no_doubt_us, 1500000);
    result_made_free(&m);
}

static void exit_status_tells_failed_from_unjudged(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    assert_int_equal(result_exit_status(&m.result), 2);
    result_judge(&m, "x", VERDICT_HELD, ANOMALY_NONE, "");
    assert_int_equal(result_exit_status(&m.result), 0);
    result_judge(&m, "y", VERDICT_UNJUDGED, ANOMALY_NONE, "");
    assert_int_equal(result_exit_status(&m.result), 2);
    result_judge(&m, "z", VERDICT_FAILED, ANOMALY_LOST_APPEND, "");
    assert_int_equal(result_exit_status(&m.result), 1);
    result_made_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_come_back_in_the_order_of_their_ends),
        cmocka_unit_test(progress_counts_since_the_last_time),
        cmocka_unit_test(names_of_participants_outlive_their_handle),
        cmocka_unit_test(any_thread_may_add),
        cmocka_unit_test(next_commit_is_of_a_transaction_that_the_fault_concerns),
        cmocka_unit_test(next_commit_after_the_loss_of_a_datacenter_is_among_the_others),
        cmocka_unit_test(where_no_load_has_keys_any_next_commit_will_do),
        cmocka_unit_test(the_only_datacenter_needs_no_crossing),
        cmocka_unit_test(doubt_ends_with_the_first_look_that_stays_clear),
        cmocka_unit_test(what_was_in_doubt_when_the_fault_began_must_be_decided),
        cmocka_unit_test(doubt_that_does_not_end_is_never),
        cmocka_unit_test(nodes_of_a_lost_datacenter_need_not_answer),
        cmocka_unit_test(a_killed_node_need_not_answer_but_one_that_is_stopped_must),
        cmocka_unit_test(doubt_of_the_next_fault_is_not_this_ones),
        cmocka_unit_test(exit_status_tells_failed_from_unjudged),
    };
    return cmocka_run_group_tests_name("samples", tests, NULL, NULL);
}
