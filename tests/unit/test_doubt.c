/* Judgements about transactions in doubt, on looks and faults written down here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/doubt.h"

#define SECOND UINT64_C(1000000)

static struct scenario scenario;
static struct result result;

static void begin(int coordinators)
{
    scenario = (struct scenario){
        .datacenters = 3, .coordinators = coordinators, .in_doubt_ms = 500, .settle_ms = 9000};
    for (int i = 0; i < 3; i++)
        snprintf(scenario.datacenter[i], sizeof scenario.datacenter[i], "dc%d", i);
    scenario.rtt_ms[1] = scenario.rtt_ms[3] = 100;
    result = (struct result){.scenario = &scenario, .samples = samples_new(), .heal_us = SECOND};
    result.settled_us = 3 * SECOND;
    assert_true(doubt_bound_us(&scenario) == 5600000);
}

static void look(uint64_t at_us, int dc, uint32_t oldest_ms)
{
    struct doubt d = {.at_us = at_us, .in_doubt = oldest_ms > 0, .answering = 6};
    d.oldest_ms[dc] = oldest_ms;
    samples_add_doubt(result.samples, &d);
}

static const struct judgement *judged(const char *name, bool all_read)
{
    result.judgements.n = 0;
    doubt_judge(&result, all_read);
    samples_free(result.samples);
    for (int i = 0; i < result.judgements.n; i++)
        if (strcmp(result.judgements.judgement[i].name, name) == 0)
            return &result.judgements.judgement[i];
    fail_msg("no judgement %s", name);
    return NULL;
}

static void short_doubts_hold(void **state)
{
    (void)state;
    begin(3);
    look(10 * SECOND, 0, 5600);
    look(11 * SECOND, 2, 0);
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_HELD);
}

static void a_leader_may_wait_until_the_time_of_its_transaction_is_over(void **state)
{
    (void)state;
    begin(3);
    scenario.loads = 2;
    scenario.load[0].timeout_ms = 8000;
    scenario.load[1].timeout_ms = 1000;
    assert_true(doubt_bound_us(&scenario) == 11600000);
    look(20 * SECOND, 1, 11600);
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_HELD);
    begin(3);
    scenario.loads = 1;
    scenario.load[0].timeout_ms = 8000;
    look(20 * SECOND, 1, 11601);
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_FAILED);
}

static void a_long_doubt_without_faults_is_found(void **state)
{
    (void)state;
    begin(3);
    look(10 * SECOND, 0, 0);
    look(20 * SECOND, 1, 5601);
    const struct judgement *j = judged("in-doubt-age", true);
    assert_int_equal(j->verdict, VERDICT_FAILED);
    assert_non_null(strstr(j->text, "in dc1 for 5601 ms"));
}

static void a_fault_excuses_its_own_datacenter_and_no_other(void **state)
{
    struct fault fault = {.begin_us = SECOND, .end_us = 15 * SECOND, .datacenters = 1 << 1};
    (void)state;
    begin(3);
    result.fault = &fault;
    result.faults = 1;
    look(20 * SECOND, 1, 9000); /* it ended 5 s ago, less than the bound */
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_HELD);
    begin(3);
    result.fault = &fault;
    result.faults = 1;
    look(20 * SECOND, 2, 9000);
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_FAILED);
    begin(3);
    result.fault = &fault;
    result.faults = 1;
    look(21 * SECOND, 1, 9000); /* and 6 s ago, more */
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_FAILED);
}

static void without_a_majority_nothing_is_judged(void **state)
{
    struct fault fault = {.begin_us = SECOND, .end_us = FAULT_NEVER, .datacenters = 1 << 0};
    (void)state;
    begin(1); /* the only coordinator is there */
    result.fault = &fault;
    result.faults = 1;
    look(20 * SECOND, 2, 9000);
    assert_int_equal(judged("in-doubt-age", true)->verdict, VERDICT_UNJUDGED);
}

static void what_never_settles_or_cannot_be_read_is_found(void **state)
{
    (void)state;
    begin(3);
    assert_int_equal(judged("settled", true)->verdict, VERDICT_HELD);
    begin(3);
    assert_int_equal(judged("settled", false)->verdict, VERDICT_FAILED);
    begin(3);
    result.settled_us = FAULT_NEVER;
    assert_int_equal(judged("settled", true)->verdict, VERDICT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_doubts_hold),
        cmocka_unit_test(a_leader_may_wait_until_the_time_of_its_transaction_is_over),
        cmocka_unit_test(a_long_doubt_without_faults_is_found),
        cmocka_unit_test(a_fault_excuses_its_own_datacenter_and_no_other),
        cmocka_unit_test(without_a_majority_nothing_is_judged),
        cmocka_unit_test(what_never_settles_or_cannot_be_read_is_found),
    };
    return cmocka_run_group_tests_name("doubt", tests, NULL, NULL);
}
