/* runtime/test_clock: a clock that a test sets, and what is refused as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/test_clock.h"

#define HOUR_MS   INT64_C(3600000)
#define MINUTE_MS INT64_C(60000)

static char path[256];

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(path, sizeof path, "%.200s/clock.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    setenv("ASSENT_TEST_CLOCK", path, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unsetenv("ASSENT_TEST_CLOCK");
    return 0;
}

static void write_bytes(const void *data, size_t len)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* How far the clock is ahead of the system's, whatever it took to read both. */
static bool is_ahead_by(int64_t ms)
{
    int64_t ahead = (int64_t)test_clock_wall_ms() - (int64_t)time(NULL) * 1000;
    return ahead > ms - MINUTE_MS && ahead < ms + MINUTE_MS;
}

static void without_the_variable_the_clock_is_the_systems(void **state)
{
    (void)state;
    unsetenv("ASSENT_TEST_CLOCK");
    assert_null(test_clock_open());
    assert_true(is_ahead_by(0));
}

static void whoever_writes_to_the_file_moves_the_clock(void **state)
{
    (void)state;
    int64_t us = 0, far = INT64_MIN;
    write_bytes(&us, sizeof us);
    assert_null(test_clock_open());
    assert_true(is_ahead_by(0));
    us = HOUR_MS * 1000;
    write_bytes(&us, sizeof us);
    assert_true(is_ahead_by(HOUR_MS));
    us = -us;
    write_bytes(&us, sizeof us);
    assert_true(is_ahead_by(-HOUR_MS));
    write_bytes(&far, sizeof far);
    assert_int_equal(test_clock_wall_ms(), 0);
    far = INT64_MAX;
    write_bytes(&far, sizeof far);
    assert_int_equal(test_clock_wall_ms(), INT64_MAX / 1000);
    us = 0;
    write_bytes(&us, sizeof us);
}

static void a_file_that_is_no_clock_is_refused(void **state)
{
    (void)state;
    const char *why = test_clock_open();
    assert_non_null(why);
    assert_non_null(strstr(why, "not a file of 8 bytes"));
    write_bytes("123456789", 9);
    assert_non_null(test_clock_open());
    setenv("ASSENT_TEST_CLOCK", "/nowhere/at/all", 1);
    why = test_clock_open();
    assert_non_null(why);
    assert_non_null(strstr(why, "/nowhere/at/all: No such file or directory"));
    setenv("ASSENT_TEST_CLOCK", "/", 1);
    assert_non_null(test_clock_open());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_the_variable_the_clock_is_the_systems, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_clock_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_writes_to_the_file_moves_the_clock, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("test_clock", tests, NULL, NULL);
}
