/* chaos/check_bank: money made, lost, moved twice or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chaos/check_bank.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

/* Three accounts of 100 each, none below 0. */
static enum verdict check_three(const struct history *h, struct finding *out)
{
    static const int64_t initial[] = {100, 100, 100};
    return check_bank(h, &(struct bank_terms){3, initial, true, 0}, out);
}

static enum verdict check_unbounded(const struct history *h, struct finding *out)
{
    static const int64_t initial[] = {100, 100, 100};
    return check_bank(h, &(struct bank_terms){.accounts = 3, .initial = initial}, out);
}

static enum verdict check_six(const struct history *h, struct finding *out)
{
    static const int64_t initial[] = {RANDOM_BALANCE, RANDOM_BALANCE, RANDOM_BALANCE,
                                      RANDOM_BALANCE, RANDOM_BALANCE, RANDOM_BALANCE};
    return check_bank(h, &(struct bank_terms){6, initial, true, 0}, out);
}

static void banks_are_judged(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"untouched", "0: r=[100 100 100] ok", HELD, NULL},
        {"moved", "0: t0,1=30 ok; 1: t1,2=5 ok; 0: r=[70 125 105] ok", HELD, NULL},
        {"before or after one under way",
         "0> t0,1=30; 1: r=[100 100 100] ok; 1: r=[70 130 100] ok; 0< ok; 1: r=[70 130 100] ok",
         HELD, NULL},
        {"unknown, applied", "0: t0,1=30 info; 1: r=[70 130 100] ok", HELD, NULL},
        {"unknown, not applied", "0: t0,1=30 info; 1: r=[100 100 100] ok", HELD, NULL},
        {"failed, not applied", "0: t0,1=30 fail; 1: r=[100 100 100] ok", HELD, NULL},
        {"to itself", "0: t0,0=30 ok; 1: r=[100 100 100] ok", HELD, NULL},
        {"lost money", "0: t0,1=30 ok; 1: r=[70 100 100] ok", FAILED(WRONG_TOTAL), "270"},
        {"half of a transfer under way", "0> t0,1=30; 1: r=[100 130 100] ok; 0< ok",
         FAILED(WRONG_TOTAL), "330"},
        {"overdrawn", "0: t0,1=130 ok; 1: r=[-30 230 100] ok", FAILED(NEGATIVE_BALANCE),
         "account 0"},
        {"an account is missing", "0: r=[100 nil 100] ok", FAILED(MISSING_ACCOUNT), "account 1"},
        {"too few accounts", "0: r=[150 150] ok", FAILED(MISSING_ACCOUNT), NULL},
        {"twice", "0: t0,1=30 ok; 1: r=[40 160 100] ok", FAILED(APPLIED_TWICE), "T0 (process 0"},
        {"not at all", "0: t0,1=30 ok; 1: r=[100 100 100] ok", FAILED(LOST_TRANSFER), "30 from 0"},
        {"failed, but applied", "0: t0,1=30 fail; 1: r=[70 130 100] ok", FAILED(ABORTED_TRANSFER),
         NULL},
        {"learned to have failed, but applied", "0: t0,1=30 info; 0! fail; 1: r=[70 130 100] ok",
         FAILED(ABORTED_TRANSFER), NULL},
        {"nobody's transfer", "0: t0,1=30 ok; 1: r=[70 120 110] ok", FAILED(WRONG_BALANCE),
         "130..130"},
        {"twice or not at all", "0: t0,1=30 ok; 0: t1,0=30 ok; 1: r=[70 130 100] ok",
         FAILED(WRONG_BALANCE), NULL},
        {"more than the unknown explain", "0: t0,1=30 info; 1: r=[69 131 100] ok",
         FAILED(WRONG_BALANCE), "70..100"},
        {"too much where the unknown explain the rest", "0: t0,1=30 info; 1: r=[70 100 130] ok",
         FAILED(WRONG_BALANCE), "account 2"},
        {"stale", "0: t0,1=30 ok; 1: r=[100 100 100] ok; 1: r=[70 130 100] ok",
         FAILED(LOST_TRANSFER), NULL},
        {"no read at the end", "0: r=[100 100 100] ok; 0: t0,1=30 ok", UNJUDGED, "no read"},
        {"a read that began too early", "1> r=[70 130 100]; 0: t0,1=30 ok; 1< ok", UNJUDGED, NULL},
        {"another bank", "0: t0,7=30 ok", UNJUDGED, "3 accounts"},
    };
    static const struct planted unbounded[] = {
        {"overdrawn where it may", "0: t0,1=130 ok; 1: r=[-30 230 100] ok", HELD, NULL},
    };
    planted_judge(WORKLOAD_BANK, check_three, rows, sizeof rows / sizeof rows[0]);
    planted_judge(WORKLOAD_BANK, check_unbounded, unbounded, 1);
}

static void random_banks_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_BANK, check_six, 10, 3000, false);
    planted_none(WORKLOAD_BANK, check_six, 5, 3000, true);
}

static void a_wrong_balance_among_thousands_is_found(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_BANK, check_six, 100, 2000, true, 88);
    planted_reads(WORKLOAD_BANK, check_six, 100, 2000, false, 55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(banks_are_judged),
        cmocka_unit_test(random_banks_pass),
        cmocka_unit_test(a_wrong_balance_among_thousands_is_found),
    };
    return cmocka_run_group_tests_name("check_bank", tests, NULL, NULL);
}
