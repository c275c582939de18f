/* chaos/check_set: elements lost, stale, doubled, aborted, from nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chaos/check_set.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

static void sets_are_judged(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"all there", "0: +0=1 ok; 1: +0=2 ok; 0: r=[2 1] ok", HELD, "2 adds, 1 reads"},
        {"nothing", "0: r=[] ok", HELD, NULL},
        {"under way, there", "0> +0=1; 1: r=[1] ok; 0< ok; 1: r=[1] ok", HELD, NULL},
        {"under way, not there", "0> +0=1; 1: r=[] ok; 0< ok; 1: r=[1] ok", HELD, NULL},
        {"unknown, there", "0: +0=1 info; 1: r=[1] ok", HELD, NULL},
        {"unknown, not there", "0: +0=1 info; 1: r=[] ok", HELD, NULL},
        {"failed, not there", "0: +0=1 fail; 1: r=[] ok", HELD, NULL},
        {"lost", "0: +0=1 ok; 1: r=[] ok", FAILED(LOST_ELEMENT), "without 1"},
        {"lost in the end", "0: +0=1 ok; 1: r=[1] ok; 1: r=[] ok", FAILED(STALE_READ), NULL},
        {"stale", "0: +0=1 ok; 1: r=[] ok; 1: r=[1] ok", FAILED(STALE_READ), "another read"},
        {"unknown, seen and gone", "0: +0=1 info; 1: r=[1] ok; 1: r=[] ok", FAILED(STALE_READ),
         NULL},
        {"learned to have committed, lost", "0: +0=1 info; 0! ok; 1: r=[] ok", FAILED(LOST_ELEMENT),
         NULL},
        {"aborted", "0: +0=1 fail; 1: r=[1] ok", FAILED(G1A), NULL},
        {"twice", "0: +0=1 ok; 1: r=[1 1] ok", FAILED(DUPLICATE_ELEMENTS), NULL},
        {"nobody's", "0: +0=1 ok; 1: r=[1 5] ok", FAILED(UNKNOWN_VALUE), "with 5"},
        {"too early", "1: r=[1] ok; 0: +0=1 ok", FAILED(EARLY_READ), NULL},
        {"no read at the end", "1: r=[] ok; 0: +0=1 ok", UNJUDGED, NULL},
        {"added twice by the workload", "0: +0=1 ok; 0: +0=1 ok; 0: r=[1] ok", UNJUDGED, "twice"},
    };
    planted_judge(WORKLOAD_SET, check_set, rows, sizeof rows / sizeof rows[0]);
}

static void random_sets_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_SET, check_set, 10, 3000, false);
}

static void a_wrong_read_is_found(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_SET, check_set, 100, 2000, false, 76);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_judged),
        cmocka_unit_test(random_sets_pass),
        cmocka_unit_test(a_wrong_read_is_found),
    };
    return cmocka_run_group_tests_name("check_set", tests, NULL, NULL);
}
