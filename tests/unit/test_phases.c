/* chaos/phases: which attempt belongs to which phase, and how far commits are from their floors.
 * Percentiles are of a histogram with three exact digits: hence about(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "chaos/phases.h"
#include "tests/lib/results.h"

#define PHASE(p, kind) (&(p)->phase[PHASE_FAULTS + FAULT_##kind])

static void about(uint64_t got, uint64_t wanted)
{
    assert_in_range(got, wanted - wanted / 1000, wanted + wanted / 1000);
}

/* Forty seconds: a pause from 10 to 14, a spike from 12 to 16. */
static void make(struct made_result *m)
{
    struct sample s;
    result_made(m);
    result_fault(m, FAULT_PAUSE, "b", 10000, 14000);
    result_fault(m, FAULT_SPIKE, "c", 12000, 16000);
    /* calm */
    result_commit(m, LOAD_LOCAL, "a", "a", 1000, 1002);
    result_commit(m, LOAD_LOCAL, "a", "a", 2000, 2004);
    result_commit(m, LOAD_LOCAL, "b", "b", 3000, 3006);
    result_commit(m, LOAD_BANK, "a", "ab", 4000, 4100);    /* wire 80: 1.25 of it */
    result_commit(m, LOAD_BANK, "a", "bc", 5000, 5147);    /* wire 140: 1.05 */
    result_commit(m, LOAD_BANK, "b", "bc", 6000, 6068);    /* wire 60: 1.13, at most 1.05 and 5 */
    result_commit(m, LOAD_REGISTER, "c", "c", 7000, 7003); /* no wire */
    result_sample(&s, LOAD_LIST, "a", "b", 8000, 8210)->leader_in = 2;
    s.has_info = true; /* wire 140 to the leader, 60 from there: 1.05 */
    samples_add(m->result.samples, &s);
    result_attempt(m, ASSENT_CONFLICT, "a", "ab", 8500, 8600);
    result_attempt(m, ASSENT_CONFLICT, "a", "ab", 8500, 8700);
    /* before the pause until after it: of both faults */
    result_commit(m, LOAD_BANK, "a", "ab", 9900, 14500);
    result_attempt(m, ASSENT_UNKNOWN, "a", "ab", 10500, 11500);
    result_attempt(m, ASSENT_TIMED_OUT, "a", "ab", 15000, 15900);
    /* recovery, five seconds from 16 */
    result_commit(m, LOAD_BANK, "b", "bc", 17000, 17100);
    /* calm again */
    result_commit(m, LOAD_LOCAL, "a", "a", 39996, 40000);
}

static void attempts_belong_to_what_they_touched(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    struct phases *p = phases_of(&m.result);
    const struct phase *calm = &p->phase[PHASE_IS_CALM];
    assert_int_equal(calm->attempts, 11);
    assert_int_equal(calm->commits, 9);
    assert_int_equal(calm->aborts, 2);
    assert_int_equal(calm->status[ASSENT_CONFLICT], 2);
    assert_int_equal(PHASE(p, PAUSE)->commits, 1);
    assert_int_equal(PHASE(p, PAUSE)->unknown, 1);
    assert_int_equal(PHASE(p, PAUSE)->aborts, 0);
    assert_int_equal(PHASE(p, SPIKE)->commits, 1);
    assert_int_equal(PHASE(p, SPIKE)->aborts, 1);
    assert_int_equal(PHASE(p, SPIKE)->status[ASSENT_TIMED_OUT], 1);
    assert_int_equal(p->phase[PHASE_IS_RECOVERY].attempts, 1);
    assert_int_equal(p->all.attempts, 15);
    assert_int_equal(p->all.commits, 11);
    assert_int_equal(p->all.aborts, 3);
    assert_int_equal(p->all.unknown, 1);
    assert_false(phase_happened(PHASE(p, KILL)));
    assert_true(phase_happened(PHASE(p, PAUSE)));
    free(p);
    result_made_free(&m);
}

static void time_and_throughput_are_by_when_commits_ended(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    struct phases *p = phases_of(&m.result);
    assert_int_equal(p->phase[PHASE_IS_CALM].time_us, 29000000);
    assert_int_equal(PHASE(p, PAUSE)->time_us, 4000000);
    assert_int_equal(PHASE(p, SPIKE)->time_us, 4000000);
    assert_int_equal(p->phase[PHASE_IS_RECOVERY].time_us, 5000000);
    assert_int_equal(PHASE(p, PAUSE)->ended, 0);
    assert_int_equal(PHASE(p, SPIKE)->ended, 1);
    assert_true(phase_throughput(PHASE(p, PAUSE)) == 0);
    assert_true(phase_throughput(PHASE(p, SPIKE)) == 0.25);
    assert_true(phase_throughput(&p->phase[PHASE_IS_RECOVERY]) == 0.2);
    free(p);
    result_made_free(&m);
}

static void latencies_stand_beside_their_floors(void **state)
{
    (void)state;
    struct made_result m;
    int64_t added_us;
    make(&m);
    struct phases *p = phases_of(&m.result);
    const struct phase *calm = &p->phase[PHASE_IS_CALM];
    assert_int_equal(calm->local_us.n, 4); /* 2, 4, 4, 6 ms */
    about(calm->local_us.p50, 4000);
    assert_int_equal(calm->local_us.max, 6000);
    assert_int_equal(calm->commit_us.n, 4); /* 68, 100, 147, 210 ms */
    about(calm->commit_us.p50, 100000);
    about(calm->commit_us.quantile[0], 68000);
    about(calm->commit_us.quantile[75], 147000);
    assert_int_equal(calm->commit_us.max, 210000);
    about(calm->wire_us.p50, 80000);   /* 60, 80, 140, 200 */
    about(calm->over_us.p50, 8000);    /* 7, 8, 10, 20 */
    about(calm->times_wire.p50, 1050); /* 1.05, 1.05, 1.13, 1.25 */
    about(calm->times_wire.p95, 1250);
    assert_int_equal(calm->within, 3); /* all but 100 ms for 80 */
    assert_true(phases_added_us(p, calm, &added_us));
    about((uint64_t)added_us, 96000);
    about(PHASE(p, PAUSE)->commit_us.p50, 4600000);
    about(PHASE(p, SPIKE)->times_wire.max, 57500);
    assert_true(phases_added_us(p, PHASE(p, PAUSE), &added_us));
    about((uint64_t)added_us, 4596000);
    free(p);
    result_made_free(&m);
}

static void distances_are_those_led_where_the_client_is(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    struct phases *p = phases_of(&m.result);
    static const struct distance wanted[] = {{0, 1, 80000, 1, 100000, 100000},
                                             {0, 2, 140000, 1, 147000, 147000},
                                             {1, 2, 60000, 1, 68000, 68000}};
    assert_int_equal(p->distances, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p->distance[i].leader_in, wanted[i].leader_in);
        assert_int_equal(p->distance[i].farthest_in, wanted[i].farthest_in);
        assert_int_equal(p->distance[i].wire_us, wanted[i].wire_us);
        assert_int_equal(p->distance[i].n, wanted[i].n);
        about(p->distance[i].p50, wanted[i].p50);
    }
    free(p);
    result_made_free(&m);
}

static void a_fault_that_never_ends_lasts_to_the_end_of_the_load(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    result_fault(&m, FAULT_LOST, "a", 10000, 0);
    result_commit(&m, LOAD_BANK, "b", "bc", 5000, 5100);
    result_commit(&m, LOAD_BANK, "b", "bc", 20000, 30000);
    struct phases *p = phases_of(&m.result);
    assert_int_equal(PHASE(p, LOST)->time_us, 20000000);
    assert_int_equal(PHASE(p, LOST)->commits, 1);
    assert_int_equal(p->phase[PHASE_IS_CALM].time_us, 10000000);
    assert_int_equal(p->phase[PHASE_IS_RECOVERY].time_us, 0);
    free(p);
    result_made_free(&m);
}

static void an_instant_concerns_those_under_way_and_has_no_throughput(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    result_fault(&m, FAULT_RESET, "abc", 10000, 10000);
    result_commit(&m, LOAD_BANK, "b", "bc", 9950, 10050);
    result_commit(&m, LOAD_BANK, "b", "bc", 10001, 10100);
    struct phases *p = phases_of(&m.result);
    assert_int_equal(PHASE(p, RESET)->commits, 1);
    assert_int_equal(PHASE(p, RESET)->time_us, 0);
    assert_true(phase_throughput(PHASE(p, RESET)) == 0);
    assert_int_equal(p->phase[PHASE_IS_RECOVERY].commits, 1);
    free(p);
    result_made_free(&m);
}

static void nothing_measured_is_nothing_told(void **state)
{
    (void)state;
    struct made_result m;
    int64_t added_us;
    result_made(&m);
    struct phases *p = phases_of(&m.result);
    assert_int_equal(p->phase[PHASE_IS_CALM].commit_us.n, 0);
    assert_int_equal(p->distances, 0);
    assert_false(phases_added_us(p, &p->phase[PHASE_IS_CALM], &added_us));
    for (int i = 0; i < PHASES_MAX; i++)
        assert_false(phase_happened(&p->phase[i]));
    free(p);
    result_made_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_belong_to_what_they_touched),
        cmocka_unit_test(time_and_throughput_are_by_when_commits_ended),
        cmocka_unit_test(latencies_stand_beside_their_floors),
        cmocka_unit_test(distances_are_those_led_where_the_client_is),
        cmocka_unit_test(a_fault_that_never_ends_lasts_to_the_end_of_the_load),
        cmocka_unit_test(an_instant_concerns_those_under_way_and_has_no_throughput),
        cmocka_unit_test(nothing_measured_is_nothing_told),
    };
    return cmocka_run_group_tests_name("phases", tests, NULL, NULL);
}
