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

/* ---- levels ---- */

static int64_t now_ns;

static void append(struct history *h, uint32_t client, int64_t value, hlc_ts ts)
{
    const struct micro m = {.kind = MICRO_APPEND, .value = value};
    uint32_t op = history_invoke(h, client, 0, LEVEL_TRANSACTION, ++now_ns, &m, 1);
    history_session(h, op, client);
    history_ok(h, op, ++now_ns, ts);
}

static void read_weakly(struct history *h, uint32_t client, const struct weak_how *how, uint32_t n,
                        hlc_ts ts)
{
    static const int64_t values[] = {1, 2, 3, 4};
    const struct micro m = {.kind = MICRO_READ};
    struct weak_how own = *how;
    own.session = client;
    uint32_t weak = history_weak_invoke(h, client, 0, &own, ++now_ns, &m, 1);
    history_weak_found(h, weak, 0, values, n);
    history_weak_ok(h, weak, ++now_ns, ts, HISTORY_AGE_UNKNOWN);
}

/* Two sessions; the second takes the first one's token over. */
static struct history *sessions(void)
{
    const struct weak_how session = {.level = READ_SESSION, .bound_ns = HISTORY_AGE_UNKNOWN};
    const struct weak_how bounded = {.level = READ_BOUNDED, .bound_ns = 1};
    const struct weak_how snapshot = {
        .level = READ_SNAPSHOT, .asked = 250, .bound_ns = HISTORY_AGE_UNKNOWN};
    const struct weak_how last = {
        .level = READ_EVENTUAL, .bound_ns = HISTORY_AGE_UNKNOWN, .after_all = true};
    struct history *h = history_new(WORKLOAD_LIST, 2);
    now_ns = 0;
    append(h, 0, 1, 100);
    append(h, 0, 2, 200);
    read_weakly(h, 0, &session, 2, 250);
    read_weakly(h, 0, &snapshot, 2, 250);
    append(h, 0, 3, 300);
    history_import(h, 1, 1, history_export(h, 0, 0, now_ns), now_ns);
    read_weakly(h, 1, &session, 3, 350);
    append(h, 1, 4, 400);
    read_weakly(h, 1, &session, 4, 440);
    now_ns += 10;
    read_weakly(h, 0, &bounded, 4, 450);
    read_weakly(h, 1, &last, 4, 460);
    return h;
}

static void each_broken_promise_of_a_level_is_found_by_its_check(void **state)
{
    (void)state;
    static struct finding f;
    struct history *h = sessions();
    assert_int_equal(check_levels(h, LEVELS_ALL, &f), VERDICT_HELD);
    for (int c = 0; c < LEVEL_CHECKS; c++) {
        struct plant p;
        assert_int_equal(check_levels(h, 1u << c, &f), VERDICT_HELD);
        assert_true(plant_level(&p, h, (enum level_check)c));
        assert_int_equal(check_levels(h, 1u << c, &f), VERDICT_FAILED);
        plant_undo(&p);
        assert_int_equal(check_levels(h, LEVELS_ALL, &f), VERDICT_HELD);
    }
    history_free(h);
    h = history_new(WORKLOAD_LIST, 1);
    for (int c = 0; c < LEVEL_CHECKS; c++) {
        struct plant p;
        assert_false(plant_level(&p, h, (enum level_check)c));
    }
    history_free(h);
}

static void a_wrong_snapshot_of_accounts_is_found(void **state)
{
    (void)state;
    static struct finding f;
    static const int64_t initial[] = {50, 50};
    const struct micro m = {.kind = MICRO_READ};
    const struct weak_how how = {.level = READ_SNAPSHOT, .asked = 150};
    struct plant p;
    struct history *h = history_new(WORKLOAD_BANK, 1);
    assert_false(plant_history(&p, h, PLANT_ACCOUNTS));
    uint32_t weak = history_weak_invoke(h, 0, 0, &how, 4, &m, 1);
    history_weak_found(h, weak, 0, initial, 2);
    history_weak_ok(h, weak, 5, 150, HISTORY_AGE_UNKNOWN);
    assert_true(plant_history(&p, h, PLANT_ACCOUNTS));
    assert_int_equal(check_level_accounts(h, 2, initial, &f), VERDICT_FAILED);
    plant_undo(&p);
    assert_int_equal(check_level_accounts(h, 2, initial, &f), VERDICT_HELD);
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
        cmocka_unit_test(each_broken_promise_of_a_level_is_found_by_its_check),
        cmocka_unit_test(a_wrong_snapshot_of_accounts_is_found),
        cmocka_unit_test(nothing_is_planted_where_nothing_was_read),
    };
    return cmocka_run_group_tests_name("plant", tests, NULL, NULL);
}
