/* chaos/check_watches: a watch that misses a change, and what it allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chaos/check_watches.h"

/* Appends of 1, 2, 3 to list 0, begun at 10, 20, 30 ns, committed at 100, 200, 300. */
struct scene {
    struct history *h;
    struct watch_log log;
    struct finding f;
};

static const int64_t numbers[] = {1, 2, 3, 4};

static struct scene scene(void)
{
    struct scene s = {.h = history_new(WORKLOAD_LIST, 2)};
    for (int64_t i = 1; i <= 3; i++) {
        struct micro m = {.kind = MICRO_APPEND, .value = i};
        uint32_t op = history_invoke(s.h, 0, 0, LEVEL_TRANSACTION, 10 * i, &m, 1);
        history_ok(s.h, op, 10 * i + 5, (hlc_ts)i * 100);
    }
    return s;
}

static void from(struct scene *s, uint32_t watcher, hlc_ts ts, uint64_t keys)
{
    watch_log_add(
        &s->log,
        &(struct watch_seen){.kind = WATCH_SEEN_FROM, .watcher = watcher, .ts = ts, .keys = keys});
}

static void upto(struct scene *s, uint32_t watcher, hlc_ts ts)
{
    watch_log_add(&s->log,
                  &(struct watch_seen){.kind = WATCH_SEEN_UPTO, .watcher = watcher, .ts = ts});
}

/* The list with its first n elements. */
static void told(struct scene *s, uint32_t watcher, uint32_t n)
{
    watch_log_add(&s->log, &(struct watch_seen){.kind = WATCH_SEEN_LIST,
                                                .watcher = watcher,
                                                .n = n,
                                                .values = (int64_t *)(uintptr_t)numbers});
}

static void judged(struct scene *s, enum verdict verdict, enum anomaly anomaly)
{
    assert_int_equal(check_watches(s->h, &s->log, &s->f), verdict);
    if (verdict == VERDICT_FAILED)
        assert_string_equal(anomaly_name(s->f.anomaly), anomaly_name(anomaly));
    watch_log_free(&s->log);
    history_free(s->h);
}

static void what_is_told_in_time_holds(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 100, 1);
    upto(&s, 0, 150);
    told(&s, 0, 3); /* two at once, the last before its time */
    upto(&s, 0, 250);
    upto(&s, 0, 400);
    judged(&s, VERDICT_HELD, ANOMALY_NONE);
}

static void what_is_not_reached_yet_need_not_be_told(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 100, 1);
    told(&s, 0, 2);
    upto(&s, 0, 299);
    judged(&s, VERDICT_HELD, ANOMALY_NONE);
}

static void a_position_past_an_untold_change_is_found(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 100, 1);
    told(&s, 0, 2);
    upto(&s, 0, 300);
    told(&s, 0, 3); /* too late */
    judged(&s, VERDICT_FAILED, ANOMALY_CHANGE_MISSED);
}

static void another_watcher_has_not_told_this_one(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 250, 1);
    from(&s, 1, 250, 1);
    told(&s, 1, 3);
    upto(&s, 1, 300);
    upto(&s, 0, 300);
    judged(&s, VERDICT_FAILED, ANOMALY_CHANGE_MISSED);
}

static void other_lists_are_not_watched(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 100, 2);
    upto(&s, 0, 300);
    judged(&s, VERDICT_HELD, ANOMALY_NONE);
}

static void a_watch_that_begins_anew_owes_nothing_of_the_time_between(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 100, 1);
    upto(&s, 0, 150);
    from(&s, 0, 300, 1);
    upto(&s, 0, 400);
    judged(&s, VERDICT_HELD, ANOMALY_NONE);
}

static void from_now_on_is_about_what_begins_later(void **state)
{
    (void)state;
    for (int64_t at_ns = 25; at_ns <= 35; at_ns += 10) {
        struct scene s = scene();
        watch_log_add(&s.log, &(struct watch_seen){
                                  .kind = WATCH_SEEN_BEGIN, .ts = 50, .at_ns = at_ns, .keys = 1});
        upto(&s, 0, 400);
        judged(&s, at_ns == 25 ? VERDICT_FAILED : VERDICT_HELD, ANOMALY_CHANGE_MISSED);
    }
}

static void a_position_that_goes_back_is_found(void **state)
{
    (void)state;
    struct scene s = scene();
    from(&s, 0, 300, 1);
    upto(&s, 0, 320);
    upto(&s, 0, 310);
    judged(&s, VERDICT_FAILED, ANOMALY_CHANGE_MISSED);
}

static void an_aborted_append_that_is_told_is_found(void **state)
{
    (void)state;
    struct scene s = scene();
    struct micro m = {.kind = MICRO_APPEND, .value = 4};
    uint32_t op = history_invoke(s.h, 0, 0, LEVEL_TRANSACTION, 40, &m, 1);
    history_fail(s.h, op, 45);
    from(&s, 0, 300, 1);
    told(&s, 0, 4);
    judged(&s, VERDICT_FAILED, ANOMALY_G1A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_in_time_holds),
        cmocka_unit_test(what_is_not_reached_yet_need_not_be_told),
        cmocka_unit_test(a_position_past_an_untold_change_is_found),
        cmocka_unit_test(another_watcher_has_not_told_this_one),
        cmocka_unit_test(other_lists_are_not_watched),
        cmocka_unit_test(a_watch_that_begins_anew_owes_nothing_of_the_time_between),
        cmocka_unit_test(from_now_on_is_about_what_begins_later),
        cmocka_unit_test(a_position_that_goes_back_is_found),
        cmocka_unit_test(an_aborted_append_that_is_told_is_found),
    };
    return cmocka_run_group_tests_name("check_watches", tests, NULL, NULL);
}
