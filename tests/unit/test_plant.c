/* chaos/plant: whatever it falsifies the checkers find, and afterwards the history is as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/check_bank.h"
#include "chaos/check_counter.h"
#include "chaos/check_cycles.h"
#include "chaos/check_reads_fresh.h"
#include "chaos/check_register.h"
#include "chaos/check_set.h"
#include "chaos/check_timestamps.h"
#include "chaos/plant.h"
#include "tests/lib/histories.h"

#define KEYS  5
#define SEEDS 20

static enum verdict check_money(const struct history *h, struct finding *out)
{
    int64_t initial[KEYS];
    for (int i = 0; i < KEYS; i++)
        initial[i] = RANDOM_BALANCE;
    return check_bank(h, &(struct bank_terms){KEYS, initial, true, 0}, out);
}

static void plant_and_undo(enum history_kind workload, enum plant_kind kind,
                           enum verdict (*check)(const struct history *h, struct finding *out))
{
    static struct finding f;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random_history r = {.workload = workload,
                                   .seed = seed,
                                   .operations = 300,
                                   .clients = 4,
                                   .keys = KEYS,
                                   .certain = seed % 2 == 0};
        struct plant p;
        struct history *h = histories_random(&r);
        enum verdict before = check(h, &f);
        assert_int_not_equal(before, VERDICT_FAILED);
        assert_true(plant_history(&p, h, kind));
        /* Sums without a timestamp cannot be judged, whatever is planted. */
        bool judged = before != VERDICT_UNJUDGED || kind != PLANT_TIMESTAMP;
        if (check(h, &f) != VERDICT_FAILED && judged)
            print_error("workload %d, seed %d: %s\n", workload, (int)seed, f.text);
        assert_true(f.verdict == VERDICT_FAILED || !judged);
        plant_undo(&p);
        assert_int_equal(check(h, &f), before);
        history_free(h);
    }
}

static void a_read_that_misses_something_is_found(void **state)
{
    (void)state;
    plant_and_undo(WORKLOAD_LIST, PLANT_READ, check_cycles);
    plant_and_undo(WORKLOAD_LIST, PLANT_READ, check_reads_fresh);
    plant_and_undo(WORKLOAD_REGISTER, PLANT_READ, check_register);
    plant_and_undo(WORKLOAD_REGISTER, PLANT_READ, check_reads_fresh);
    plant_and_undo(WORKLOAD_BANK, PLANT_READ, check_money);
    plant_and_undo(WORKLOAD_SET, PLANT_READ, check_set);
    plant_and_undo(WORKLOAD_COUNTER, PLANT_READ, check_counter);
}

static void a_wrong_timestamp_is_found(void **state)
{
    (void)state;
    plant_and_undo(WORKLOAD_LIST, PLANT_TIMESTAMP, check_timestamps);
    plant_and_undo(WORKLOAD_REGISTER, PLANT_TIMESTAMP, check_timestamps);
    plant_and_undo(WORKLOAD_BANK, PLANT_TIMESTAMP, check_timestamps);
    plant_and_undo(WORKLOAD_SET, PLANT_TIMESTAMP, check_timestamps);
    plant_and_undo(WORKLOAD_COUNTER, PLANT_TIMESTAMP, check_timestamps);
}

static void a_torn_look_is_found(void **state)
{
    (void)state;
    static struct finding f;
    struct plant p;
    struct history *h = histories_script(WORKLOAD_REGISTER, "0: w0=5 ok; 1: r0=5 ok; 1: r0=5 fail");
    struct parts_look looks[] = {{{1, 1}, {0, 1}, {5, 5}}, {{2, 2}, {0, 1}, {5, 5}}};
    assert_true(plant_look(&p, h, looks, 2));
    assert_int_equal(check_parts(h, looks, 2, NULL, &f), VERDICT_FAILED);
    plant_undo(&p);
    assert_int_equal(check_parts(h, looks, 2, NULL, &f), VERDICT_HELD);
    assert_false(plant_look(&p, h, looks + 1, 1));
    history_free(h);
}

static void nothing_is_planted_where_nothing_was_read(void **state)
{
    (void)state;
    struct plant p;
    struct history *h = histories_script(WORKLOAD_REGISTER, "0: w0=5 ok; 1> r0=5; 1< fail");
    assert_false(plant_history(&p, h, PLANT_READ));
    plant_undo(&p);
    history_free(h);
    h = histories_script(WORKLOAD_REGISTER, "0> w0=5; 1: r0=5 ok; 0< ok");
    assert_false(plant_history(&p, h, PLANT_READ)); /* it need not have been seen */
    history_free(h);
    h = histories_script(WORKLOAD_LIST, "0: r0=[] ok; 1: a1=5 info; 0: r1=[5] ok@7");
    assert_false(plant_history(&p, h, PLANT_READ));
    assert_false(plant_history(&p, h, PLANT_TIMESTAMP));
    history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_misses_something_is_found),
        cmocka_unit_test(a_wrong_timestamp_is_found),
        cmocka_unit_test(a_torn_look_is_found),
        cmocka_unit_test(nothing_is_planted_where_nothing_was_read),
    };
    return cmocka_run_group_tests_name("plant", tests, NULL, NULL);
}
