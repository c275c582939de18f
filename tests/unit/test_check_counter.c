/* chaos/check_counter: sums that the adds do not explain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chaos/check_counter.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

static void counters_are_judged(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"exact", "0: +1=4 ok; 1: +1=-3 ok; 0: r1=1 ok; 0: r2=0 ok", HELD, "4 operations"},
        {"with or without one under way", "0> +1=4; 1: r1=0 ok; 1: r1=4 ok; 0< ok; 1: r1=4 ok",
         HELD, NULL},
        {"a decrease under way", "0: +1=9 ok; 0> +1=-4; 1: r1=5 ok; 1: r1=9 ok; 0< ok; 1: r1=5 ok",
         HELD, NULL},
        {"unknown, applied", "0: +1=4 info; 1: r1=4 ok", HELD, NULL},
        {"unknown, not applied", "0: +1=4 info; 1: r1=0 ok", HELD, NULL},
        {"one that began while it was read", "1> r1=4; 0: +1=4 ok; 1< ok; 0: r1=4 ok", HELD, NULL},
        {"lost", "0: +1=4 ok; 1: r1=0 ok", FAILED(WRONG_COUNT), "4..4"},
        {"twice", "0: +1=4 ok; 1: r1=8 ok", FAILED(WRONG_COUNT), NULL},
        {"a decrease twice", "0: +1=-4 ok; 1: r1=-8 ok", FAILED(WRONG_COUNT), NULL},
        {"failed, applied", "0: +1=4 fail; 1: r1=4 ok", FAILED(WRONG_COUNT), "0..0"},
        {"more than the unknown explain", "0: +1=4 info; 1: r1=5 ok", FAILED(WRONG_COUNT), "0..4"},
        {"below, and the unknown are increases", "0: +1=4 info; 1: r1=-1 ok", FAILED(WRONG_COUNT),
         NULL},
        {"from the future", "1: r1=4 ok; 0: +1=4 ok; 0: r1=4 ok", FAILED(WRONG_COUNT), NULL},
        {"another key's", "0: +1=4 ok; 0: r1=4 ok; 0: r2=4 ok", FAILED(WRONG_COUNT), "counter 2"},
        {"learned to have committed, lost", "0: +1=4 info; 0! ok; 0: r1=0 ok", FAILED(WRONG_COUNT),
         NULL},
        {"nil", "0: r1=nil ok", FAILED(WRONG_COUNT), NULL},
        {"no read at the end", "0: r1=0 ok; 0: +1=4 ok", UNJUDGED, "counter 1"},
        {"no read of one", "0: +1=4 ok; 0: +2=4 ok; 0: r1=4 ok", UNJUDGED, "counter 2"},
    };
    planted_judge(WORKLOAD_COUNTER, check_counter, rows, sizeof rows / sizeof rows[0]);
}

static void random_counters_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_COUNTER, check_counter, 10, 3000, false);
    planted_none(WORKLOAD_COUNTER, check_counter, 5, 3000, true);
}

/* Most wrong reads of a short history lie outside what is possible; the unknown outcomes of a long
 * one widen that until few do. */
static void a_wrong_read_is_found_while_few_outcomes_are_unknown(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_COUNTER, check_counter, 100, 2000, true, 70);
    planted_reads(WORKLOAD_COUNTER, check_counter, 100, 100, false, 58);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_judged),
        cmocka_unit_test(random_counters_pass),
        cmocka_unit_test(a_wrong_read_is_found_while_few_outcomes_are_unknown),
    };
    return cmocka_run_group_tests_name("check_counter", tests, NULL, NULL);
}
