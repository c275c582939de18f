/* participant/changes: the ring of changes, against a list that forgets nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/prng.h"
#include "participant/changes.h"

static void an_empty_ring_has_missed_nothing(void **state)
{
    (void)state;
    struct changes *c = changes_new(4, 1000);
    assert_int_equal(changes_last(c), 0);
    assert_int_equal(changes_dropped(c), 0);
    assert_int_equal(changes_dropped_ts(c), 0);
    changes_missed(c, 7);
    changes_missed(c, 5);
    assert_int_equal(changes_dropped_ts(c), 7);
    changes_free(c);
    changes_free(NULL);
}

static void what_is_dropped_raises_the_timestamp_to_the_greatest_of_it(void **state)
{
    (void)state;
    struct changes *c = changes_new(2, 1000);
    changes_add(c, 30, bytes_of_text("a"));
    changes_add(c, 10, bytes_of_text("b"));
    changes_add(c, 20, bytes_of_text("c"));
    assert_int_equal(changes_dropped_ts(c), 30);
    changes_add(c, 40, bytes_of_text("d"));
    assert_int_equal(changes_dropped_ts(c), 30);
    assert_int_equal(changes_dropped(c), 2);
    assert_int_equal(changes_at(c, 3).ts, 20);
    assert_true(bytes_equal(changes_at(c, 4).key, bytes_of_text("d")));
    changes_free(c);
}

static void a_ring_is_bounded_in_bytes(void **state)
{
    (void)state;
    char key[100] = {'k'};
    struct changes *c = changes_new(1000, 3 * (100 + CHANGE_BYTES));
    for (hlc_ts ts = 1; ts <= 10; ts++)
        changes_add(c, ts, bytes_of(key, sizeof key));
    assert_int_equal(changes_kept(c), 3);
    assert_int_equal(changes_dropped_ts(c), 7);
    changes_free(c);
}

#define ADDED 3000

static void a_ring_is_the_end_of_the_list(void **state)
{
    (void)state;
    struct prng p;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        prng_seed(&p, seed);
        uint32_t max = 1 + (uint32_t)prng_below(&p, 300);
        size_t max_bytes = CHANGE_BYTES + 20 + prng_below(&p, 20000);
        struct changes *c = changes_new(max, max_bytes);
        hlc_ts ts[ADDED + 1];
        size_t len[ADDED + 1];
        for (uint32_t n = 1; n <= ADDED; n++) {
            char key[20];
            ts[n] = prng_below(&p, 1000);
            len[n] = 1 + prng_below(&p, 20);
            snprintf(key, sizeof key, "%u", n);
            changes_add(c, ts[n], bytes_of(key, len[n]));
            uint64_t first = n;
            size_t bytes = len[n] + CHANGE_BYTES;
            while (first > 1 && n - first + 1 < max &&
                   bytes + len[first - 1] + CHANGE_BYTES <= max_bytes)
                bytes += len[--first] + CHANGE_BYTES;
            /* what was dropped once does not come back: kept may be less than fits now */
            assert_true(changes_dropped(c) + 1 >= first);
            assert_int_equal(changes_last(c), n);
            assert_true(changes_kept(c) >= 1 && changes_kept(c) <= max);
            hlc_ts greatest = 0;
            for (uint64_t i = 1; i <= changes_dropped(c); i++)
                greatest = ts[i] > greatest ? ts[i] : greatest;
            assert_int_equal(changes_dropped_ts(c), greatest);
            for (uint64_t i = changes_dropped(c) + 1; i <= n; i++) {
                assert_int_equal(changes_at(c, i).ts, ts[i]);
                assert_int_equal(changes_at(c, i).key.len, len[i]);
            }
        }
        changes_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ring_has_missed_nothing),
        cmocka_unit_test(what_is_dropped_raises_the_timestamp_to_the_greatest_of_it),
        cmocka_unit_test(a_ring_is_bounded_in_bytes),
        cmocka_unit_test(a_ring_is_the_end_of_the_list),
    };
    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
