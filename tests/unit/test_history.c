/* chaos/history: recording operations and saving them for outside checkers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/check_finding.h"
#include "tests/lib/histories.h"

static char *edn_of(const struct history *h)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_true(history_write_edn(h, out));
    fclose(out);
    return text;
}

static void assert_edn(enum history_kind workload, const char *script, const char *expected)
{
    struct history *h = histories_script(workload, script);
    char *text = edn_of(h);
    assert_string_equal(text, expected);
    free(text);
    history_free(h);
}

static void a_list_history_is_saved_as_outside_checkers_read_it(void **state)
{
    (void)state;
    assert_edn(WORKLOAD_LIST, "0> r1=[3 4] a7=1; 2> r7=[]; 0< ok@9; 2< ok; 2: s r7=[1] ok",
               "{:index 0 :time 1 :process 0 :type :invoke :f :txn :value [[:r 1 nil] [:append 7 "
               "1]]}\n"
               "{:index 1 :time 2 :process 2 :type :invoke :f :txn :value [[:r 7 nil]]}\n"
               "{:index 2 :time 3 :process 0 :type :ok :f :txn :value [[:r 1 [3 4]] [:append 7 "
               "1]]}\n"
               "{:index 3 :time 4 :process 2 :type :ok :f :txn :value [[:r 7 []]]}\n"
               "{:index 4 :time 5 :process 2 :type :invoke :f :txn :value [[:r 7 nil]]}\n"
               "{:index 5 :time 6 :process 2 :type :ok :f :txn :value [[:r 7 [1]]]}\n");
}

static void reads_below_strong_are_saved_with_level_and_session(void **state)
{
    (void)state;
    const int64_t values[] = {3, 4};
    const struct micro reads[] = {{.kind = MICRO_READ, .key = 1}, {.kind = MICRO_READ, .key = 2}};
    const struct weak_how bounded = {
        .level = READ_BOUNDED, .session = HISTORY_NO_SESSION, .bound_ns = 500};
    const struct weak_how session = {
        .level = READ_SESSION, .session = 7, .asked = 90, .bound_ns = HISTORY_AGE_UNKNOWN};
    struct history *h = history_new(WORKLOAD_LIST, 2);
    uint32_t weak = history_weak_invoke(h, 0, 0, &bounded, 1, reads, 2);
    uint32_t op = history_invoke(h, 1, 0, LEVEL_TRANSACTION, 2, reads, 1);
    history_session(h, op, 6);
    history_weak_found(h, weak, 0, values, 2);
    history_weak_found(h, weak, 1, values, 0);
    history_weak_ok(h, weak, 3, 100, 400);
    history_fail(h, op, 4);
    history_import(h, 0, 7, history_export(h, 1, 6, 5), 6);
    weak = history_weak_invoke(h, 0, 0, &session, 7, reads + 1, 1);
    history_weak_fail(h, weak, 8);
    history_weak_invoke(h, 1, 0, &session, 9, reads, 1);
    history_end(h, 10);
    char *text = edn_of(h);
    assert_string_equal(
        text,
        "{:index 0 :time 1 :process 0 :type :invoke :f :read :value [[:r 1 nil] [:r 2 nil]] "
        ":level :bounded}\n"
        "{:index 1 :time 2 :process 1 :type :invoke :f :txn :value [[:r 1 nil]] :session 6}\n"
        "{:index 2 :time 3 :process 0 :type :ok :f :read :value [[:r 1 [3 4]] [:r 2 []]] :level "
        ":bounded :ts 100 :stale 400}\n"
        "{:index 3 :time 4 :process 1 :type :fail :f :txn :value [[:r 1 nil]] :session 6}\n"
        "{:index 4 :time 5 :process 1 :type :invoke :f :export :value 0 :level :token :session 6}\n"
        "{:index 5 :time 5 :process 1 :type :ok :f :export :value 0 :level :token :session 6}\n"
        "{:index 6 :time 6 :process 0 :type :invoke :f :import :value 0 :level :token :session 7}\n"
        "{:index 7 :time 6 :process 0 :type :ok :f :import :value 0 :level :token :session 7}\n"
        "{:index 8 :time 7 :process 0 :type :invoke :f :read :value [[:r 2 nil]] :level :session "
        ":asked 90 :session 7}\n"
        "{:index 9 :time 8 :process 0 :type :fail :f :read :value [[:r 2 nil]] :level :session "
        ":asked 90 :session 7}\n"
        "{:index 10 :time 9 :process 1 :type :invoke :f :read :value [[:r 1 nil]] :level :session "
        ":asked 90 :session 7}\n"
        "{:index 11 :time 10 :process 1 :type :info :f :read :value [[:r 1 nil]] :level :session "
        ":asked 90 :session 7}\n");
    free(text);
    history_free(h);
}

static void registers_are_saved_with_their_keys(void **state)
{
    (void)state;
    assert_edn(WORKLOAD_REGISTER, "0: r3=nil ok; 0: w3=5 ok; 1: c3,5=6 ok; 1: c3,nil=7 fail",
               "{:index 0 :time 1 :process 0 :type :invoke :f :read :value [3 nil]}\n"
               "{:index 1 :time 2 :process 0 :type :ok :f :read :value [3 nil]}\n"
               "{:index 2 :time 3 :process 0 :type :invoke :f :write :value [3 5]}\n"
               "{:index 3 :time 4 :process 0 :type :ok :f :write :value [3 5]}\n"
               "{:index 4 :time 5 :process 1 :type :invoke :f :cas :value [3 [5 6]]}\n"
               "{:index 5 :time 6 :process 1 :type :ok :f :cas :value [3 [5 6]]}\n"
               "{:index 6 :time 7 :process 1 :type :invoke :f :cas :value [3 [nil 7]]}\n"
               "{:index 7 :time 8 :process 1 :type :fail :f :cas :value [3 [nil 7]]}\n");
}

static void banks_sets_and_counters_are_saved_in_their_forms(void **state)
{
    (void)state;
    assert_edn(WORKLOAD_BANK, "0: t6,1=5 fail; 0: r=[100 0] ok",
               "{:index 0 :time 1 :process 0 :type :invoke :f :transfer :value {:from 6 :to 1 "
               ":amount 5}}\n"
               "{:index 1 :time 2 :process 0 :type :fail :f :transfer :value {:from 6 :to 1 "
               ":amount 5}}\n"
               "{:index 2 :time 3 :process 0 :type :invoke :f :read :value nil}\n"
               "{:index 3 :time 4 :process 0 :type :ok :f :read :value {0 100, 1 0}}\n");
    assert_edn(WORKLOAD_SET, "0: +0=5 ok; 0: r=[5 2 5] ok",
               "{:index 0 :time 1 :process 0 :type :invoke :f :add :value 5}\n"
               "{:index 1 :time 2 :process 0 :type :ok :f :add :value 5}\n"
               "{:index 2 :time 3 :process 0 :type :invoke :f :read :value nil}\n"
               "{:index 3 :time 4 :process 0 :type :ok :f :read :value #{2 5}}\n");
    assert_edn(WORKLOAD_COUNTER, "0: +1=-5 ok; 0: r1=-5 ok",
               "{:index 0 :time 1 :process 0 :type :invoke :f :add :value [1 -5]}\n"
               "{:index 1 :time 2 :process 0 :type :ok :f :add :value [1 -5]}\n"
               "{:index 2 :time 3 :process 0 :type :invoke :f :read :value [1 nil]}\n"
               "{:index 3 :time 4 :process 0 :type :ok :f :read :value [1 -5]}\n");
}

static void a_process_id_is_never_used_again_after_info(void **state)
{
    (void)state;
    /* an outcome learned later does not change what was saved as unknown */
    assert_edn(WORKLOAD_LIST, "3: a1=1 info; 3! ok@4; 3: a1=2 ok; 3: a1=3 info; 3: r1=? ok",
               "{:index 0 :time 1 :process 3 :type :invoke :f :txn :value [[:append 1 1]]}\n"
               "{:index 1 :time 2 :process 3 :type :info :f :txn :value [[:append 1 1]]}\n"
               "{:index 2 :time 4 :process 19 :type :invoke :f :txn :value [[:append 1 2]]}\n"
               "{:index 3 :time 5 :process 19 :type :ok :f :txn :value [[:append 1 2]]}\n"
               "{:index 4 :time 6 :process 19 :type :invoke :f :txn :value [[:append 1 3]]}\n"
               "{:index 5 :time 7 :process 19 :type :info :f :txn :value [[:append 1 3]]}\n"
               "{:index 6 :time 8 :process 35 :type :invoke :f :txn :value [[:r 1 nil]]}\n"
               "{:index 7 :time 9 :process 35 :type :info :f :txn :value [[:r 1 nil]]}\n");
}

static void an_operation_that_was_learned_to_have_committed_ended_when_it_was_learned(void **state)
{
    (void)state;
    struct history *h =
        histories_script(WORKLOAD_LIST, "0: a1=1 info; 1: a1=2 ok; 0! ok@9; 1: a1=3 ok");
    assert_int_equal(h->op[0].result, RESULT_OK);
    assert_int_equal(h->op[0].commit_ts, 9);
    assert_false(op_precedes(&h->op[0], &h->op[1]));
    assert_true(op_precedes(&h->op[0], &h->op[2]));
    assert_true(op_precedes(&h->op[1], &h->op[2]));
    history_free(h);
}

static void the_end_leaves_nothing_open(void **state)
{
    (void)state;
    struct history *h = histories_script(WORKLOAD_LIST, "0> a1=1; 1: a1=2 ok; 2> a1=3; 2< fail");
    assert_int_equal(h->op[0].result, RESULT_OPEN);
    history_end(h, 100);
    assert_int_equal(h->op[0].result, RESULT_INFO);
    assert_int_equal(h->op[0].end_ns, 100);
    assert_int_equal(h->op[0].ended_at, HISTORY_NEVER);
    assert_int_equal(h->op[1].result, RESULT_OK);
    assert_int_equal(h->op[2].result, RESULT_FAIL);
    history_free(h);
}

static void reads_that_extend_one_another_share_memory_and_others_do_not(void **state)
{
    (void)state;
    struct history *h = histories_script(
        WORKLOAD_LIST, "0: r1=[1 2] ok; 0: r1=[1] ok; 0: r1=[1 2 3] ok; 0: r1=[1 3] ok;"
                       "0: r1=[] ok; 0: r1=[1 2 3 4 5 6 7 8 9] ok; 0: r1=[1 2 3 4] ok");
    const int64_t *first = h->op[0].micro[0].values;
    assert_ptr_equal(h->op[1].micro[0].values, first);
    assert_ptr_equal(h->op[2].micro[0].values, first);
    assert_ptr_not_equal(h->op[3].micro[0].values, first);
    assert_int_equal(h->op[3].micro[0].values[1], 3);
    assert_int_equal(h->op[2].micro[0].values[1], 2);
    assert_int_equal(h->op[4].micro[0].n, 0);
    assert_true(h->op[4].micro[0].known);
    for (int64_t i = 0; i < 9; i++)
        assert_int_equal(h->op[5].micro[0].values[i], i + 1);
    assert_ptr_equal(h->op[6].micro[0].values, h->op[5].micro[0].values);
    history_free(h);
}

static void a_hundred_thousand_operations_fit(void **state)
{
    (void)state;
    enum { OPERATIONS = 100000 };
    struct history *h = history_new(WORKLOAD_LIST, 8);
    int64_t *list = malloc(OPERATIONS * sizeof *list);
    assert_non_null(list);
    /* every operation reads all of one list: 5e9 elements if each were kept for itself */
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        struct micro steps[2] = {{.kind = MICRO_READ, .key = 1},
                                 {.kind = MICRO_APPEND, .key = 1, .value = i}};
        uint32_t op = history_invoke(h, i % 8, 0, LEVEL_TRANSACTION, 2 * i, steps, 2);
        history_read(h, op, 0, list, i < 1000 ? i : 1000);
        history_ok(h, op, 2 * i + 1, i + 1);
        list[i] = i;
    }
    assert_int_equal(h->n, OPERATIONS);
    assert_int_equal(h->op[OPERATIONS - 1].micro[0].n, 1000);
    assert_int_equal(h->op[OPERATIONS - 1].micro[0].values[999], 999);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    free(list);
    assert_true(history_write_edn(h, nowhere));
    fclose(nowhere);
    history_free(h);
}

static void a_stream_that_fails_is_reported(void **state)
{
    (void)state;
    struct history *h = histories_script(WORKLOAD_LIST, "0: a1=1 ok");
    FILE *full = fopen("/dev/full", "w");
    if (full != NULL) {
        assert_false(history_write_edn(h, full));
        fclose(full);
    }
    history_free(h);
}

static void events_come_in_order_and_unknown_ends_are_left_out(void **state)
{
    (void)state;
    uint32_t n;
    struct history *h =
        histories_script(WORKLOAD_LIST, "0> a1=1; 1> a1=2; 1< info; 0< ok; 1! ok; 2: a1=3 info");
    struct history_event *e = history_events(h, &n);
    static const struct history_event expected[] = {
        {0, false}, {1, false}, {0, true}, {1, true}, {2, false}};
    assert_int_equal(n, 5);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(e[i].op, expected[i].op);
        assert_int_equal(e[i].end, expected[i].end);
    }
    free(e);
    history_free(h);
}

static void every_anomaly_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a <= ANOMALY_TORN; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(anomaly_name((enum anomaly)a), anomaly_name((enum anomaly)b));
}

static void a_long_finding_is_cut_at_its_bound(void **state)
{
    (void)state;
    static struct finding f;
    assert_int_equal(finding_failed(&f, ANOMALY_G0, "%d", 1), VERDICT_FAILED);
    for (int i = 0; i < FINDING_TEXT_BYTES; i++)
        finding_say(&f, "xy");
    assert_int_equal(strlen(f.text), FINDING_TEXT_BYTES - 1);
    for (uint32_t i = 0; i < 2 * FINDING_OPS_MAX; i++)
        finding_op(&f, i / 2);
    assert_int_equal(f.ops, FINDING_OPS_MAX);
    assert_int_equal(f.op[1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_history_is_saved_as_outside_checkers_read_it),
        cmocka_unit_test(reads_below_strong_are_saved_with_level_and_session),
        cmocka_unit_test(registers_are_saved_with_their_keys),
        cmocka_unit_test(banks_sets_and_counters_are_saved_in_their_forms),
        cmocka_unit_test(a_process_id_is_never_used_again_after_info),
        cmocka_unit_test(an_operation_that_was_learned_to_have_committed_ended_when_it_was_learned),
        cmocka_unit_test(the_end_leaves_nothing_open),
        cmocka_unit_test(reads_that_extend_one_another_share_memory_and_others_do_not),
        cmocka_unit_test(a_hundred_thousand_operations_fit),
        cmocka_unit_test(a_stream_that_fails_is_reported),
        cmocka_unit_test(events_come_in_order_and_unknown_ends_are_left_out),
        cmocka_unit_test(every_anomaly_has_a_name_of_its_own),
        cmocka_unit_test(a_long_finding_is_cut_at_its_bound),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
