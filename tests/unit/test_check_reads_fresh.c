/* chaos/check_reads_fresh: reads that miss what was acknowledged before they began. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chaos/check_reads_fresh.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

static void reads_of_lists_are_fresh_or_stale(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"fresh", "0: a1=1 ok; 1: s r1=[1] ok; 0: a1=2 ok; 2: s r1=[1 2] ok", HELD, "2 reads"},
        {"under way", "0> a1=1; 1: s r1=[] ok; 0< ok; 1: s r1=[1] ok", HELD, NULL},
        {"newer than acknowledged", "0: a1=1 ok; 0> a1=2; 1: s r1=[1 2] ok; 0< ok", HELD, NULL},
        {"unknown", "0: a1=1 info; 1: s r1=[] ok", HELD, NULL},
        {"another key", "0: a1=1 ok; 1: s r2=[] ok; 1: s r1=[1] ok", HELD, NULL},
        {"stale", "0: a1=1 ok; 2: s r1=[] ok; 1: s r1=[1] ok", FAILED(STALE_READ), "datacenter 2"},
        {"stale by a little", "0: a1=1 ok; 0: a1=2 ok; 2: s r1=[1] ok; 1: s r1=[1 2] ok",
         FAILED(STALE_READ), "without 2"},
        {"never seen", "0: a1=1 ok; 1: s r1=[] ok", FAILED(STALE_READ), "T0"},
        {"older than another read", "0> a1=1; 1: s r1=[1] ok; 2: s r1=[] ok; 0< ok",
         FAILED(STALE_READ), "T1"},
        {"a transaction's read", "0: a1=1 ok; 1: r2=[] r1=[] ok", FAILED(STALE_READ), NULL},
        {"learned to have committed", "0: a1=1 info; 0! ok; 1: s r1=[] ok", FAILED(STALE_READ),
         NULL},
        {"no order to judge by", "0: a1=1 ok; 1: s r1=[1 1] ok", FAILED(DUPLICATE_ELEMENTS), NULL},
        {"nothing was read", "0: a1=1 ok", UNJUDGED, NULL},
    };
    planted_judge(WORKLOAD_LIST, check_reads_fresh, rows, sizeof rows / sizeof rows[0]);
}

static void reads_of_registers_are_fresh_or_stale(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"fresh", "0: w1=1 ok@1; 1: s r1=1 ok; 0: c1,1=2 ok@2; 2: s r1=2 ok", HELD, "2 reads"},
        {"nothing yet", "1: s r1=nil ok; 0: w1=1 ok", HELD, NULL},
        {"under way", "0: w1=1 ok; 0> w1=2; 1: s r1=1 ok; 0< ok", HELD, NULL},
        {"concurrent writes, no timestamps", "0> w1=1; 1> w1=2; 0< ok; 1< ok; 2: s r1=1 ok", HELD,
         NULL},
        {"written again", "0: w1=1 ok; 0: w1=2 ok; 0: w1=1 ok; 2: s r1=1 ok", HELD, NULL},
        {"written by two, the newer one first",
         "0> w1=1; 1> w1=1; 2> w1=2; 0< ok@9; 1< ok@3; 2< ok@5; 3: s r1=1 ok", HELD, NULL},
        {"an unknown one may come late", "0: w1=1 info; 1: w1=2 ok@5; 2: s r1=1 ok", HELD, NULL},
        {"stale", "0: w1=1 ok; 0: w1=2 ok; 2: s r1=1 ok", FAILED(STALE_READ), "set it to 2"},
        {"stale by timestamps", "0> w1=1; 1> w1=2; 0< ok@7; 1< ok@8; 2: s r1=1 ok",
         FAILED(STALE_READ), "T1"},
        {"stale by compare-and-set", "0: w1=1 ok; 0: c1,1=2 ok; 2: s r1=1 ok", FAILED(STALE_READ),
         NULL},
        {"gone", "0: w1=1 ok; 2: s r1=nil ok", FAILED(STALE_READ), "as nil"},
        {"a transaction's read", "0: w1=1 ok@1; 0: w1=2 ok@2; 2: r1=1 ok@3", FAILED(STALE_READ),
         NULL},
        {"nothing was read", "0: w1=1 ok", UNJUDGED, NULL},
    };
    static const struct planted other[] = {{"a counter", "0: r1=0 ok", UNJUDGED, NULL}};
    planted_judge(WORKLOAD_REGISTER, check_reads_fresh, rows, sizeof rows / sizeof rows[0]);
    planted_judge(WORKLOAD_COUNTER, check_reads_fresh, other, 1);
}

static void random_fresh_histories_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_LIST, check_reads_fresh, 10, 3000, false);
    planted_none(WORKLOAD_REGISTER, check_reads_fresh, 10, 3000, false);
}

static void a_wrong_read_among_thousands_is_found(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_LIST, check_reads_fresh, 100, 2000, false, 92);
    planted_reads(WORKLOAD_REGISTER, check_reads_fresh, 100, 2000, false, 78);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_of_lists_are_fresh_or_stale),
        cmocka_unit_test(reads_of_registers_are_fresh_or_stale),
        cmocka_unit_test(random_fresh_histories_pass),
        cmocka_unit_test(a_wrong_read_among_thousands_is_found),
    };
    return cmocka_run_group_tests_name("check_reads_fresh", tests, NULL, NULL);
}
