/* common/clocks: what one, or a minority of wrong clocks, must not do to a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clocks.h"
#include "common/limits.h"

#define START_MS 1700000000000
#define HOUR_MS  3600000

/* A node whose own wall clock is ahead_ms ahead, at `second` of its life. */
static void own(struct clocks *c, uint64_t second, int64_t ahead_ms)
{
    clocks_own(c, second * 1000000,
               (uint64_t)((int64_t)START_MS + (int64_t)second * 1000 + ahead_ms));
}

/* The wall clock that is believed; 0: nobody bears it out. */
static uint64_t believed(const struct clocks *c)
{
    uint64_t wall_ms;
    bool good = clocks_believed(c, 2500, &wall_ms);
    if (!good)
        assert_int_equal(wall_ms, c->wall_ms);
    return good ? wall_ms : 0;
}

static void what_f_plus_1_clocks_have_passed_is_moved_ahead_by_no_minority(void **state)
{
    (void)state;
    for (int f = 1; f <= 4; f++) {
        struct clocks c = {.n = 2 * f + 1};
        own(&c, 0, 0);
        for (int heard = 0; heard < c.n; heard++) {
            assert_int_equal(clocks_passed(&c) == 0, heard < f + 1);
            if (heard > f)
                assert_in_range(clocks_passed(&c), START_MS, START_MS + 10);
            clocks_heard(&c, heard, heard < f ? HOUR_MS : heard);
        }
        assert_int_equal(clocks_passed(&c), START_MS + 2 * f);
    }
}

static void one_clock_behind_holds_nothing_back_where_all_were_heard(void **state)
{
    (void)state;
    struct clocks c = {.n = 3};
    own(&c, 0, 0);
    clocks_heard(&c, 0, -HOUR_MS);
    clocks_heard(&c, 1, 7);
    assert_int_equal(clocks_passed(&c), START_MS - HOUR_MS); /* which of the two is wrong? */
    clocks_heard(&c, 2, 9);
    assert_int_equal(clocks_passed(&c), START_MS + 7);
}

static void what_was_heard_stays_right_when_the_own_clock_steps(void **state)
{
    (void)state;
    struct clocks c = {.n = 3};
    own(&c, 0, 0);
    for (int i = 0; i < 3; i++)
        clocks_heard(&c, i, 0);
    own(&c, 10, HOUR_MS);
    assert_int_equal(clocks_passed(&c), START_MS + 10000);
    assert_int_equal(believed(&c), START_MS + 12500);
    for (int i = 0; i < 3; i++)
        clocks_heard(&c, i, 0); /* measured before the step */
    assert_int_equal(clocks_passed(&c), START_MS + 10000);
    own(&c, 13, HOUR_MS);
    for (int i = 0; i < 3; i++)
        clocks_heard(&c, i, 5 - HOUR_MS);
    assert_int_equal(clocks_passed(&c), START_MS + 13005);
    own(&c, 14, -HOUR_MS); /* nobody's clock is put ahead */
    assert_int_equal(believed(&c), START_MS + 14000 - HOUR_MS);
}

static void a_clock_is_believed_when_several_coordinators_bear_it_out(void **state)
{
    (void)state;
    struct clocks three = {.n = 3}, one = {.n = 1};
    own(&three, 0, 2000);
    clocks_heard(&three, 2, -2000);
    assert_int_equal(believed(&three), 0);
    clocks_heard(&three, 0, -2000);
    assert_int_equal(believed(&three), START_MS + 2000);
    own(&one, 0, 2000);
    clocks_heard(&one, 0, -2000);
    assert_int_equal(believed(&one), 0);
}

static void the_watermark_is_the_clock_of_a_majority_less_the_retention(void **state)
{
    (void)state;
    struct clocks c = {.n = 3};
    own(&c, 0, 0);
    clocks_heard(&c, 0, 0);
    own(&c, 1, 0);
    assert_int_equal(clocks_watermark(&c, 64000, 0), 0); /* no majority heard */
    clocks_heard(&c, 1, -20);
    clocks_heard(&c, 2, 10 * HOUR_MS);
    hlc_ts to = clocks_watermark(&c, 64000, 0);
    assert_int_equal(hlc_to_ms(to), START_MS + 1000 - 64000);
    clocks_own(&c, 1999000, START_MS + 1999);
    assert_int_equal(clocks_watermark(&c, 64000, to), 0); /* not worth a record yet */
    own(&c, 2, 0);
    assert_int_equal(hlc_to_ms(clocks_watermark(&c, 64000, to)), START_MS + 2000 - 64000);
    clocks_heard(&c, 2, -10 * HOUR_MS);
    assert_int_equal(hlc_to_ms(clocks_watermark(&c, 64000, 0)), START_MS + 2000 - 64000 - 20);
    struct clocks young = {.n = 1};
    clocks_own(&young, 0, 1000);
    clocks_heard(&young, 0, 0);
    assert_int_equal(clocks_watermark(&young, 64000, 0), 0); /* before 1970 */
}

/* Once a second from `from` to `to`, the only coordinator's own clock being so far ahead. */
static hlc_ts watermark_alone(struct clocks *c, uint64_t from, uint64_t to, int64_t ahead_ms,
                              hlc_ts emitted)
{
    for (uint64_t second = from; second < to; second++) {
        own(c, second, ahead_ms);
        clocks_heard(c, 0, 0);
        hlc_ts w = clocks_watermark(c, 64000, emitted);
        emitted = w != 0 ? w : emitted;
    }
    return emitted;
}

static void a_wrong_clock_moves_the_watermark_at_most_twice_as_fast_as_time(void **state)
{
    (void)state;
    struct clocks c = {.n = 1};
    hlc_ts w = watermark_alone(&c, 0, 100, 0, 0);
    assert_int_equal(hlc_to_ms(w), START_MS + 99000 - 64000);
    w = watermark_alone(&c, 100, 110, HOUR_MS, w); /* three seconds of it are doubted */
    assert_int_equal(hlc_to_ms(w), START_MS + 116000 - 64000);
    w = watermark_alone(&c, 110, 116, 0, w);
    assert_int_equal(hlc_to_ms(w), START_MS + 116000 - 64000); /* waits for time */
    w = watermark_alone(&c, 116, 200, 0, w);
    assert_int_equal(hlc_to_ms(w), START_MS + 199000 - 64000);
    /* time that it stood still is not made up for at once */
    w = watermark_alone(&c, 200, 300, -HOUR_MS, w);
    w = watermark_alone(&c, 300, 310, HOUR_MS, w);
    assert_int_equal(hlc_to_ms(w), START_MS + 199000 + 14000 - 64000);
}

static void a_restart_goes_on_from_the_watermark_that_is_durable(void **state)
{
    (void)state;
    struct clocks c = {.n = 1};
    hlc_ts w = watermark_alone(&c, 5, 15, HOUR_MS, hlc_from_ms(START_MS - 100000));
    assert_int_equal(hlc_to_ms(w), START_MS - 100000 + 18000);
}

static void a_clock_that_stays_ahead_for_a_retention_is_believed(void **state)
{
    (void)state;
    struct clocks c = {.n = 1};
    const uint64_t away = START_MS - 24 * HOUR_MS;
    hlc_ts w = watermark_alone(&c, 0, 64, 0, hlc_from_ms(away));
    assert_int_equal(hlc_to_ms(w), away + 126000);
    w = watermark_alone(&c, 64, 65, 0, w);
    assert_int_equal(hlc_to_ms(w), START_MS + 64000 - 64000);
}

static void the_first_watermark_begins_at_the_own_clock_of_the_start(void **state)
{
    (void)state;
    struct clocks c = {.n = 3};
    own(&c, 0, 0);
    assert_int_equal(clocks_watermark(&c, 64000, 0), 0);
    own(&c, 1, HOUR_MS);
    for (int second = 4; second < 6; second++) {
        own(&c, (uint64_t)second, HOUR_MS);
        for (int i = 0; i < 2; i++) /* two of three are wrong */
            clocks_heard(&c, i, 0);
        assert_int_equal(hlc_to_ms(clocks_watermark(&c, 64000, 0)),
                         START_MS + second * 2000 - 64000);
    }
}

static void a_participant_of_a_lone_coordinator_takes_the_lesser_clock(void **state)
{
    (void)state;
    struct clocks c = {.n = 1};
    own(&c, 0, 0);
    own(&c, 1, 0);
    clocks_heard(&c, 0, HOUR_MS);
    assert_int_equal(hlc_to_ms(clocks_watermark(&c, 64000, 0)), START_MS + 1000 - 64000);
    clocks_heard(&c, 0, -HOUR_MS);
    assert_int_equal(hlc_to_ms(clocks_watermark(&c, 64000, 0)), START_MS + 1000 - HOUR_MS - 64000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_f_plus_1_clocks_have_passed_is_moved_ahead_by_no_minority),
        cmocka_unit_test(one_clock_behind_holds_nothing_back_where_all_were_heard),
        cmocka_unit_test(what_was_heard_stays_right_when_the_own_clock_steps),
        cmocka_unit_test(a_clock_is_believed_when_several_coordinators_bear_it_out),
        cmocka_unit_test(the_watermark_is_the_clock_of_a_majority_less_the_retention),
        cmocka_unit_test(a_wrong_clock_moves_the_watermark_at_most_twice_as_fast_as_time),
        cmocka_unit_test(a_restart_goes_on_from_the_watermark_that_is_durable),
        cmocka_unit_test(a_clock_that_stays_ahead_for_a_retention_is_believed),
        cmocka_unit_test(the_first_watermark_begins_at_the_own_clock_of_the_start),
        cmocka_unit_test(a_participant_of_a_lone_coordinator_takes_the_lesser_clock),
    };
    return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
