/* Counts of durations: exact where small, to three digits where great. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/histogram.h"

static void small_values_are_exact_and_great_ones_to_three_digits(void **state)
{
    (void)state;
    for (uint64_t v = 0; v <= UINT32_MAX; v = v < 5000 ? v + 1 : v + v / 777) {
        struct histogram *h = calloc(1, sizeof *h);
        assert_non_null(h);
        histogram_add(h, (uint32_t)v);
        histogram_add(h, UINT32_MAX);
        uint64_t shown = histogram_percentile(h, 50);
        uint64_t off = shown > v ? shown - v : v - shown;
        if (v < 2048 ? off != 0 : off * 1024 > v)
            fail_msg("%llu was shown as %llu", (unsigned long long)v, (unsigned long long)shown);
        assert_int_equal(h->max, UINT32_MAX);
        free(h);
    }
}

static void percentiles_count_from_below_and_never_pass_the_maximum(void **state)
{
    (void)state;
    struct histogram *h = calloc(1, sizeof *h);
    assert_non_null(h);
    assert_int_equal(histogram_percentile(h, 99), 0);
    for (uint32_t v = 1; v <= 1000; v++)
        histogram_add(h, v);
    assert_int_equal(histogram_percentile(h, 0), 1);
    assert_int_equal(histogram_percentile(h, 50), 500);
    assert_int_equal(histogram_percentile(h, 95), 950);
    assert_int_equal(histogram_percentile(h, 99), 990);
    assert_int_equal(histogram_percentile(h, 100), 1000);
    assert_true(histogram_mean(h) == 500.5);
    histogram_add(h, 4097);
    assert_int_equal(histogram_percentile(h, 100), 4097);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact_and_great_ones_to_three_digits),
        cmocka_unit_test(percentiles_count_from_below_and_never_pass_the_maximum),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
