/* chaos/check_register: linearizability of registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/check_register.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

static void registers_are_linearizable_or_not(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"serial", "0: r1=nil ok; 0: w1=5 ok; 1: r1=5 ok; 1: c1,5=6 ok; 0: r1=6 ok", HELD, NULL},
        {"keys apart", "0: w1=5 ok; 0: w2=6 ok; 1: r1=5 ok; 1: r2=6 ok; 1: r3=nil ok", HELD,
         "5 operations on 3 keys"},
        {"old and new while the write runs", "0: w1=1 ok; 0> w1=2; 1: r1=1 ok; 1: r1=2 ok; 0< ok",
         HELD, NULL},
        {"concurrent writes in either order",
         "0> w1=1; 1> w1=2; 0< ok; 1< ok; 2: r1=1 ok; 2: r1=1 ok", HELD, NULL},
        {"order inferred through a compare-and-set",
         "0> w1=1; 1> c1,1=2; 2> r1=2; 2< ok; 1< ok; 0< ok", HELD, NULL},
        {"unknown, took effect", "0: w1=1 info; 1: r1=1 ok", HELD, NULL},
        {"unknown, did not", "0: w1=1 info; 1: r1=nil ok", HELD, NULL},
        {"unknown, took effect late", "0: w1=1 info; 1: r1=nil ok; 1: r1=1 ok", HELD, NULL},
        {"unknown, seen through an unknown compare-and-set",
         "0: w1=1 info; 1: c1,1=2 info; 2: r1=2 ok", HELD, NULL},
        {"unknown, one of two of a value",
         "0: w1=1 info; 1: w1=1 info; 2: r1=1 ok; 2: w1=2 ok; 2: r1=1 ok; 2: r1=1 ok", HELD, NULL},
        {"failed, not seen", "0: w1=1 fail; 0: c1,3=4 fail; 1: r1=nil ok", HELD, NULL},
        {"stale", "0: w1=1 ok; 0: w1=2 ok; 1: r1=1 ok", FAILED(NONLINEARIZABLE), "could be 2"},
        {"new, then old, while the write runs",
         "0: w1=1 ok; 0> w1=2; 1: r1=2 ok; 1: r1=1 ok; 0< ok", FAILED(NONLINEARIZABLE), "key 1"},
        {"two readers in two orders",
         "0> w1=1; 1> w1=2; 2: r1=1 ok; 3: r1=2 ok; 2: r1=1 ok; 0< ok; 1< ok",
         FAILED(NONLINEARIZABLE), "under way besides"},
        {"from the future", "0: r1=1 ok; 0: w1=1 ok", FAILED(NONLINEARIZABLE), NULL},
        {"from the future and unknown", "0: r1=1 ok; 0: w1=1 info", FAILED(NONLINEARIZABLE), NULL},
        {"two compare-and-sets of one value", "0: w1=1 ok; 0> c1,1=2; 1> c1,1=3; 0< ok; 1< ok",
         FAILED(NONLINEARIZABLE), "changed 1"},
        {"unknown, taken back", "0: w1=1 ok; 1: w1=2 info; 0: r1=2 ok; 0: r1=1 ok",
         FAILED(NONLINEARIZABLE), NULL},
        {"learned to have committed, not there", "0: w1=1 ok; 1: w1=2 info; 1! ok; 0: r1=1 ok",
         FAILED(NONLINEARIZABLE), NULL},
        {"lost", "0: w1=1 ok; 1: r1=nil ok", FAILED(NONLINEARIZABLE), "read nil"},
        {"aborted", "0: w1=1 fail; 1: r1=1 ok", FAILED(G1A), "failed to write"},
        {"nobody's", "0: w1=1 ok; 1: r1=7 ok", FAILED(UNKNOWN_VALUE), "nobody"},
        {"nobody's, by compare-and-set", "0: w1=1 ok; 1: c1,7=8 ok; 0: r1=8 ok",
         FAILED(UNKNOWN_VALUE), NULL},
        {"nothing was read", "0: w1=1 ok", UNJUDGED, NULL},
    };
    planted_judge(WORKLOAD_REGISTER, check_register, rows, sizeof rows / sizeof rows[0]);
}

/* Forty writes under way at once while their values are read again and again: any subset may have
 * taken effect, so the worlds double with every write. */
static void a_search_without_end_gives_up_and_does_not_pass(void **state)
{
    (void)state;
    static struct finding f;
    enum { WRITERS = 40 };
    struct history *h = history_new(WORKLOAD_REGISTER, WRITERS + 1);
    int64_t now = 0;
    uint32_t op[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        struct micro write = {.kind = MICRO_WRITE, .key = 1, .value = i};
        op[i] = history_invoke(h, i, 0, LEVEL_TRANSACTION, ++now, &write, 1);
    }
    struct micro read = {.kind = MICRO_READ, .key = 1};
    for (int64_t i = 0; i < 2 * WRITERS; i++) {
        int64_t value = i * 7 % WRITERS;
        uint32_t reader = history_invoke(h, WRITERS, 0, LEVEL_TRANSACTION, ++now, &read, 1);
        history_read(h, reader, 0, &value, 1);
        history_ok(h, reader, ++now, 0);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        history_ok(h, op[i], ++now, 0);
    assert_int_equal(check_register(h, &f), VERDICT_UNJUDGED);
    assert_non_null(strstr(f.text, "gave up"));
    history_free(h);
}

static void too_many_operations_under_way_give_up_and_do_not_pass(void **state)
{
    (void)state;
    static struct finding f;
    enum { WRITERS = 200 };
    struct history *h = history_new(WORKLOAD_REGISTER, WRITERS);
    for (uint32_t i = 0; i < WRITERS; i++) {
        struct micro write = {.kind = MICRO_WRITE, .key = 1, .value = i};
        history_invoke(h, i, 0, LEVEL_TRANSACTION, i, &write, 1);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        history_ok(h, i, WRITERS, 0);
    assert_int_equal(check_register(h, &f), VERDICT_UNJUDGED);
    assert_non_null(strstr(f.text, "under way"));
    history_free(h);
}

/* An anomaly of one key counts even where another key could not be judged. */
static void giving_up_on_one_key_does_not_hide_another(void **state)
{
    (void)state;
    static struct finding f;
    enum { WRITERS = 200 };
    struct history *h = history_new(WORKLOAD_REGISTER, WRITERS + 1);
    for (uint32_t i = 0; i < WRITERS; i++) {
        struct micro write = {.kind = MICRO_WRITE, .key = 1, .value = i};
        history_invoke(h, i, 0, LEVEL_TRANSACTION, i, &write, 1);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        history_ok(h, i, WRITERS, 0);
    struct micro read = {.kind = MICRO_READ, .key = 2};
    int64_t value = 9;
    uint32_t op = history_invoke(h, WRITERS, 0, LEVEL_TRANSACTION, WRITERS, &read, 1);
    history_read(h, op, 0, &value, 1);
    history_ok(h, op, WRITERS + 1, 0);
    assert_int_equal(check_register(h, &f), VERDICT_FAILED);
    assert_int_equal(f.anomaly, ANOMALY_UNKNOWN_VALUE);
    history_free(h);
}

static void random_linearizable_histories_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_REGISTER, check_register, 20, 3000, false);
    planted_none(WORKLOAD_REGISTER, check_register, 5, 3000, true);
}

static void a_wrong_read_among_thousands_is_found(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_REGISTER, check_register, 100, 2000, false, 86);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_linearizable_or_not),
        cmocka_unit_test(a_search_without_end_gives_up_and_does_not_pass),
        cmocka_unit_test(too_many_operations_under_way_give_up_and_do_not_pass),
        cmocka_unit_test(giving_up_on_one_key_does_not_hide_another),
        cmocka_unit_test(random_linearizable_histories_pass),
        cmocka_unit_test(a_wrong_read_among_thousands_is_found),
    };
    return cmocka_run_group_tests_name("check_register", tests, NULL, NULL);
}
