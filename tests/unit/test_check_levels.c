/* chaos/check_levels: each level with a planted violation, and with what it allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chaos/check_levels.h"

/* Appends of 1, 2, 3 ... to list 0 by client 0, unless said otherwise: begun at 10, 20, ... ns,
 * ended 5 later, committed at 100, 200, ... */
struct scene {
    struct history *h;
    struct level_log log;
    struct finding f;
};

static void append_by(struct scene *s, uint32_t client, int64_t value, hlc_ts ts)
{
    struct micro m = {.kind = MICRO_APPEND, .key = 0, .value = value};
    uint32_t op = history_invoke(s->h, client, 0, LEVEL_TRANSACTION, 10 * value, &m, 1);
    history_ok(s->h, op, 10 * value + 5, ts);
}

static struct scene scene_of(int appends)
{
    struct scene s = {.h = history_new(WORKLOAD_LIST, 4)};
    for (int i = 1; i <= appends; i++)
        append_by(&s, 0, i, (hlc_ts)i * 100);
    return s;
}

static void read_at(struct scene *s, const struct level_read *how, uint32_t n,
                    const int64_t *values)
{
    struct level_read r = *how;
    r.n = n;
    r.values = (int64_t *)(uintptr_t)values;
    level_log_read(&s->log, &r);
}

static void judged(struct scene *s, enum verdict verdict, enum anomaly anomaly)
{
    assert_int_equal(check_levels(s->h, &s->log, 1000, &s->f), verdict);
    if (verdict == VERDICT_FAILED)
        assert_string_equal(anomaly_name(s->f.anomaly), anomaly_name(anomaly));
    level_log_free(&s->log);
    history_free(s->h);
}

static const int64_t numbers[] = {1, 2, 3, 4, 5};

/* One read, of the first n of three appends. */
static void one(struct level_read how, uint32_t n, enum verdict verdict, enum anomaly anomaly)
{
    struct scene s = scene_of(3);
    if (how.stale_ns == 0)
        how.stale_ns = LEVELS_STALE_UNKNOWN;
    if (how.end_ns == 0)
        how.end_ns = 1000;
    read_at(&s, &how, n, numbers);
    judged(&s, verdict, anomaly);
}

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a

static void a_snapshot_is_what_was_committed_up_to_it(void **state)
{
    (void)state;
    struct level_read at_200 = {.level = READ_SNAPSHOT, .client = 1, .ts = 200, .asked = 200};
    one(at_200, 2, HELD);
    one(at_200, 1, FAILED(TORN));
    one(at_200, 3, FAILED(TORN));
    at_200.asked = 150;
    one(at_200, 2, FAILED(TORN));
    struct level_read bounded = {.level = READ_BOUNDED, .client = 1, .ts = 299};
    one(bounded, 2, HELD);
    one(bounded, 3, FAILED(TORN));
}

static void accounts_at_one_timestamp_have_the_total(void **state)
{
    (void)state;
    struct scene s = scene_of(0);
    level_log_total(&s.log, 7, 1000);
    judged(&s, HELD);
    s = scene_of(0);
    level_log_total(&s.log, 7, 1000);
    level_log_total(&s.log, 8, 999);
    judged(&s, FAILED(WRONG_TOTAL));
}

static void a_session_reads_its_writes(void **state)
{
    (void)state;
    struct level_read own = {.level = READ_SESSION, .start_ns = 36, .ts = 250};
    one(own, 2, FAILED(READ_YOUR_WRITES));
    own.client = 1;
    one(own, 2, HELD);
    own.client = 0;
    own.start_ns = 35; /* as it was acknowledged */
    one(own, 2, HELD);
    own.asked = 260;
    one(own, 2, FAILED(TORN));
}

static void a_session_reads_what_it_has_read(void **state)
{
    (void)state;
    struct level_read r = {.level = READ_SESSION,
                           .client = 1,
                           .start_ns = 100,
                           .end_ns = 110,
                           .ts = 200,
                           .stale_ns = LEVELS_STALE_UNKNOWN};
    for (uint32_t again_by = 1; again_by < 3; again_by++) {
        struct scene s = scene_of(2);
        read_at(&s, &r, 2, numbers);
        struct level_read again = r;
        again.client = again_by;
        again.start_ns = 120;
        again.end_ns = 130;
        again.ts = 150;
        read_at(&s, &again, 1, numbers);
        if (again_by == 1)
            judged(&s, FAILED(MONOTONIC_READS));
        else
            judged(&s, HELD);
    }
}

static void a_sessions_writes_are_in_its_order(void **state)
{
    (void)state;
    struct scene s = scene_of(1);
    append_by(&s, 1, 2, 50);
    judged(&s, HELD);
    s = scene_of(1);
    append_by(&s, 0, 2, 50);
    judged(&s, FAILED(MONOTONIC_WRITES));
}

static void a_sessions_writes_are_later_than_its_reads(void **state)
{
    (void)state;
    for (uint32_t writer = 1; writer < 3; writer++) {
        struct scene s = scene_of(1);
        struct level_read r = {.level = READ_SESSION,
                               .client = 1,
                               .start_ns = 16,
                               .end_ns = 17,
                               .ts = 100,
                               .stale_ns = LEVELS_STALE_UNKNOWN};
        read_at(&s, &r, 1, numbers);
        append_by(&s, writer, 2, 90);
        if (writer == 1)
            judged(&s, FAILED(WRITES_FOLLOW_READS));
        else
            judged(&s, VERDICT_FAILED, ANOMALY_TORN); /* 2 is below 100 all the same */
    }
}

static void a_bounded_read_lacks_nothing_older_than_its_bound(void **state)
{
    (void)state;
    struct level_read r = {
        .level = READ_BOUNDED, .client = 1, .start_ns = 100, .ts = 250, .stale_ns = 65};
    one(r, 2, HELD); /* 3 was acknowledged at 35 */
    r.stale_ns = 64;
    one(r, 2, FAILED(STALE_READ));
}

static void an_eventual_read_is_a_prefix_and_in_the_end_the_whole(void **state)
{
    (void)state;
    static const int64_t holes[] = {1, 3}, nobodys[] = {1, 9};
    struct level_read r = {.level = READ_EVENTUAL,
                           .client = 1,
                           .start_ns = 100,
                           .end_ns = 110,
                           .stale_ns = LEVELS_STALE_UNKNOWN};
    for (uint32_t n = 0; n <= 3; n++)
        one(r, n, HELD);
    struct scene s = scene_of(3);
    read_at(&s, &r, 2, holes);
    judged(&s, FAILED(TORN));
    s = scene_of(3);
    read_at(&s, &r, 2, nobodys);
    judged(&s, FAILED(UNKNOWN_VALUE));
    r.after_all = true;
    one(r, 3, HELD);
    one(r, 2, FAILED(NOT_CONVERGED));
}

static void what_aborted_or_had_not_begun_is_not_read(void **state)
{
    (void)state;
    struct micro m = {.kind = MICRO_APPEND, .value = 1};
    struct level_read r = {.level = READ_EVENTUAL,
                           .client = 1,
                           .start_ns = 1,
                           .end_ns = 9,
                           .stale_ns = LEVELS_STALE_UNKNOWN};
    struct scene s = scene_of(1);
    read_at(&s, &r, 1, numbers);
    judged(&s, FAILED(EARLY_READ));
    for (int unknown = 0; unknown < 2; unknown++) {
        s = scene_of(0);
        uint32_t op = history_invoke(s.h, 0, 0, LEVEL_TRANSACTION, 1, &m, 1);
        if (unknown == 0)
            history_fail(s.h, op, 2);
        else
            history_info(s.h, op, 2);
        read_at(&s, &r, 1, numbers);
        if (unknown == 0)
            judged(&s, FAILED(G1A));
        else
            judged(&s, HELD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_what_was_committed_up_to_it),
        cmocka_unit_test(accounts_at_one_timestamp_have_the_total),
        cmocka_unit_test(a_session_reads_its_writes),
        cmocka_unit_test(a_session_reads_what_it_has_read),
        cmocka_unit_test(a_sessions_writes_are_in_its_order),
        cmocka_unit_test(a_sessions_writes_are_later_than_its_reads),
        cmocka_unit_test(a_bounded_read_lacks_nothing_older_than_its_bound),
        cmocka_unit_test(an_eventual_read_is_a_prefix_and_in_the_end_the_whole),
        cmocka_unit_test(what_aborted_or_had_not_begun_is_not_read),
    };
    return cmocka_run_group_tests_name("check_levels", tests, NULL, NULL);
}
