/* chaos/check_timestamps: commit timestamps that contradict what was seen, for each workload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chaos/check_timestamps.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

static void timestamps_of_lists_follow_the_order_of_versions(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"in order", "0: a1=1 ok@5; 1: r1=[1] a1=2 ok@6; 2: r1=[1 2] ok@7", HELD, "3 commit"},
        {"apart, so in any order", "0: a1=1 ok@9; 1: a2=2 ok@5; 0: r1=[1] ok@10; 0: r2=[2] ok@6",
         HELD, NULL},
        {"equal but apart", "0: a1=1 ok@9; 1: a2=2 ok@9; 0: r1=[1] ok@10; 0: r2=[2] ok@10", HELD,
         NULL},
        {"a strong read has none", "0: a1=1 ok@9; 1: s r1=[1] ok", HELD, NULL},
        {"two reads at one", "0: a1=1 ok@9; 1: r1=[1] ok@10; 2: r1=[1] ok@10", HELD, NULL},
        {"own append", "0: a1=1 ok@4; 0: r1=[1] a1=2 r1=[1 2] a1=3 ok@9; 1: r1=[1 2 3] ok@10", HELD,
         NULL},
        {"writes turned round", "0: a1=1 ok@6; 1: a1=2 ok@5; 2: r1=[1 2] ok@7",
         FAILED(TIMESTAMP_ORDER), "committed at 6"},
        {"writes turned round across an unknown one",
         "0: a1=1 ok@6; 1: a1=2 info; 2: a1=3 ok@5; 2: r1=[1 2 3] ok@7", FAILED(TIMESTAMP_ORDER),
         "committed at 6"},
        {"writes at one", "0: a1=1 ok@6; 1: a1=2 ok@6; 2: r1=[1 2] ok@7", FAILED(TIMESTAMP_EQUAL),
         NULL},
        {"read below what it saw", "0: a1=1 ok@6; 1: r1=[1] ok@5", FAILED(TIMESTAMP_ORDER),
         "saw what the first wrote"},
        {"read at what it saw", "0: a1=1 ok@6; 1: r1=[1] ok@6", FAILED(TIMESTAMP_EQUAL), NULL},
        {"read above what it did not see", "0: r1=[] ok@8; 1: a1=1 ok@7; 1: r1=[1] ok@9",
         FAILED(TIMESTAMP_ORDER), "had not seen"},
        {"read above what nobody saw", "0: r1=[] ok@8; 1: a1=1 ok@7", FAILED(TIMESTAMP_ORDER),
         NULL},
        {"an old element read above a newer one",
         "0: a1=1 ok@5; 0: r1=[1] ok@8; 1: a1=2 ok@6; 1: a1=3 ok@9; 1: r1=[1 2 3] ok@10",
         FAILED(TIMESTAMP_ORDER), NULL},
        {"no timestamps", "0: a1=1 ok; 0: r1=[1] ok", UNJUDGED, NULL},
    };
    planted_judge(WORKLOAD_LIST, check_timestamps, rows, sizeof rows / sizeof rows[0]);
}

static void registers_replay_in_timestamp_order(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"in order", "0: w1=5 ok@1; 1: r1=5 ok@2; 1: c1,5=6 ok@3; 0: r1=6 ok@4", HELD, NULL},
        {"an unknown write", "0: w1=5 ok@1; 1: w1=6 info; 0: r1=6 ok@4", HELD, NULL},
        {"a strong read", "0: w1=5 ok@9; 1: s r1=5 ok", HELD, NULL},
        {"nothing yet", "0: r1=nil ok@4; 0: w1=5 ok@9", HELD, NULL},
        {"read below", "0: w1=5 ok@9; 1: r1=5 ok@8", FAILED(TIMESTAMP_ORDER), "saw 5"},
        {"read at", "0: w1=5 ok@9; 1: r1=5 ok@9", FAILED(TIMESTAMP_EQUAL), NULL},
        {"overwritten", "0: w1=5 ok@1; 0: w1=6 ok@2; 1: r1=5 ok@3", FAILED(TIMESTAMP_ORDER),
         "left 6"},
        {"compare-and-set of an old value", "0: w1=5 ok@1; 0: w1=6 ok@2; 1: c1,5=7 ok@3",
         FAILED(TIMESTAMP_ORDER), NULL},
        {"writes at one", "0: w1=5 ok@1; 0: w1=6 ok@1", FAILED(TIMESTAMP_EQUAL), NULL},
    };
    planted_judge(WORKLOAD_REGISTER, check_timestamps, rows, sizeof rows / sizeof rows[0]);
}

/* Thirteen adds to a counter of which nobody knows whether they took effect. */
#define THREE_ADDS(key) "1: +" #key "=1 info; 1: +" #key "=2 info; 1: +" #key "=3 info; "
#define MANY_ADDS(key)                                                                             \
    THREE_ADDS(key) THREE_ADDS(key) THREE_ADDS(key) THREE_ADDS(key) "1: +" #key "=1 info; "

static void sums_and_sets_replay_in_timestamp_order(void **state)
{
    (void)state;
    static const struct planted bank[] = {
        {"in order", "0: r=[9 9] ok@1; 0: t0,1=4 ok@2; 1: t1,0=1 ok@3; 0: r=[6 12] ok@4", HELD,
         NULL},
        {"transfers at one", "0: r=[9 9] ok@1; 0: t0,1=4 ok@2; 1: t1,0=1 ok@2; 0: r=[6 12] ok@4",
         HELD, NULL},
        {"not seen", "0: r=[9 9] ok@1; 0: t0,1=4 ok@2; 0: r=[9 9] ok@3", FAILED(TIMESTAMP_ORDER),
         "saw 9 in key 0"},
        {"seen below", "0: r=[9 9] ok@1; 0: t0,1=4 ok@5; 0: r=[5 13] ok@3", FAILED(TIMESTAMP_ORDER),
         NULL},
        {"seen at", "0: r=[9 9] ok@1; 0: t0,1=4 ok@5; 0: r=[5 13] ok@5", FAILED(TIMESTAMP_EQUAL),
         NULL},
        {"an unknown one is in", "0: r=[9 9] ok@1; 1: t0,1=4 info; 0: r=[5 13] ok@5", HELD, NULL},
        {"an unknown one is not in", "0: r=[9 9] ok@1; 1: t0,1=4 info; 0: r=[9 9] ok@5", HELD,
         NULL},
        {"one of two unknown ones",
         "0: r=[9 9] ok@1; 1: t0,1=4 info; 2: t0,1=2 info; "
         "0: r=[7 11] ok@5",
         HELD, NULL},
        {"without a timestamp, as it was learned",
         "0: r=[9 9] ok@1; 1: t0,1=4 ok; "
         "0: r=[5 13] ok@5",
         HELD, NULL},
        {"no unknown one does it", "0: r=[9 9] ok@1; 1: t0,1=4 info; 0: r=[7 11] ok@5",
         FAILED(TIMESTAMP_ORDER), "saw 7 in key 0"},
        {"half of an unknown one", "0: r=[9 9] ok@1; 1: t0,1=4 info; 0: r=[5 12] ok@5",
         FAILED(TIMESTAMP_ORDER), "saw 12 in key 1"},
        {"unknown, but later", "0: r=[9 9] ok@1; 0: r=[5 13] ok@5; 1: t0,1=4 info",
         FAILED(TIMESTAMP_ORDER), NULL},
        {"aborted", "0: r=[9 9] ok@1; 1: t0,1=4 fail; 0: r=[5 13] ok@5", FAILED(TIMESTAMP_ORDER),
         NULL},
        {"an account is gone", "0: r=[9 9] ok@1; 1: t0,1=4 info; 0: r=[9 nil] ok@5",
         FAILED(TIMESTAMP_ORDER), "saw nil in key 1"},
    };
    static const struct planted counter[] = {
        {"in order", "0: +1=4 ok@1; 0: +1=-3 ok@2; 0: r1=1 ok@3; 0: r2=0 ok@4", HELD, NULL},
        {"adds at one", "0: +1=4 ok@1; 0: +1=-3 ok@1; 0: r1=1 ok@3", HELD, NULL},
        {"below", "0: +1=4 ok@6; 0: r1=4 ok@3", FAILED(TIMESTAMP_ORDER), "adds up to 0"},
        {"above", "0: r1=0 ok@3; 0: +1=4 ok@2", FAILED(TIMESTAMP_ORDER), "adds up to 4"},
        {"unknown of another key", "0: +1=4 ok@1; 1: +2=1 info; 0: r1=5 ok@3",
         FAILED(TIMESTAMP_ORDER), NULL},
        {"too many unknown of one", MANY_ADDS(1) "0: r1=40 ok@3; 0: r2=7 ok@3; 0: +2=7 ok@2", HELD,
         "1 of 2 sums left out"},
        {"too many unknown of all", MANY_ADDS(1) "0: r1=40 ok@3", UNJUDGED, NULL},
    };
    static const struct planted set[] = {
        {"in order", "0: +0=4 ok@1; 0: r=[4] ok@2; 0: +0=7 ok@3; 0: r=[7 4] ok@4", HELD, NULL},
        {"below", "0: +0=4 ok@3; 0: r=[4] ok@2", FAILED(TIMESTAMP_ORDER), "key 4"},
        {"above", "0: r=[] ok@2; 0: +0=4 ok@1", FAILED(TIMESTAMP_ORDER), NULL},
        {"at", "0: +0=4 ok@2; 0: r=[4] ok@2", FAILED(TIMESTAMP_EQUAL), NULL},
    };
    planted_judge(WORKLOAD_BANK, check_timestamps, bank, sizeof bank / sizeof bank[0]);
    planted_judge(WORKLOAD_COUNTER, check_timestamps, counter, sizeof counter / sizeof counter[0]);
    planted_judge(WORKLOAD_SET, check_timestamps, set, sizeof set / sizeof set[0]);
}

static void random_histories_with_true_timestamps_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_LIST, check_timestamps, 10, 3000, false);
    planted_none(WORKLOAD_REGISTER, check_timestamps, 10, 3000, false);
    planted_none(WORKLOAD_SET, check_timestamps, 5, 2000, false);
    planted_none(WORKLOAD_BANK, check_timestamps, 10, 3000, true);
    planted_none(WORKLOAD_COUNTER, check_timestamps, 10, 3000, true);
    planted_none(WORKLOAD_BANK, check_timestamps, 10, 300, false);
    planted_none(WORKLOAD_COUNTER, check_timestamps, 10, 300, false);
}

static void a_wrong_read_contradicts_the_timestamps(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_LIST, check_timestamps, 100, 2000, false, 95);
    planted_reads(WORKLOAD_REGISTER, check_timestamps, 100, 2000, false, 93);
    planted_reads(WORKLOAD_BANK, check_timestamps, 100, 1000, true, 97);
    planted_reads(WORKLOAD_COUNTER, check_timestamps, 100, 1000, true, 97);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_of_lists_follow_the_order_of_versions),
        cmocka_unit_test(registers_replay_in_timestamp_order),
        cmocka_unit_test(sums_and_sets_replay_in_timestamp_order),
        cmocka_unit_test(random_histories_with_true_timestamps_pass),
        cmocka_unit_test(a_wrong_read_contradicts_the_timestamps),
    };
    return cmocka_run_group_tests_name("check_timestamps", tests, NULL, NULL);
}
