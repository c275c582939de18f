/* client/token: the text of a session, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/token.h"

#define NOW_MS 1700000000000u

static struct cluster cluster = {.id = {0xab, 1, 2, 3}, .clock_ahead_ms = 5000};

static void a_token_comes_back_as_it_was(void **state)
{
    (void)state;
    static const hlc_ts stamps[] = {0, 1, ((hlc_ts)NOW_MS << 16) | 7,
                                    (hlc_ts)(NOW_MS + 5000) << 16 | 0xffff};
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        char text[ASSENT_TOKEN_TEXT];
        hlc_ts ts = 99;
        assert_string_equal(token_text(&cluster, stamps[i], text), text);
        assert_int_equal(token_parse(&cluster, text, NOW_MS, &ts), ASSENT_OK);
        assert_true(ts == stamps[i]);
    }
    char text[ASSENT_TOKEN_TEXT];
    assert_string_equal(token_text(&cluster, 0x1234, text),
                        "as1-ab010203000000000000000000000000-0000000000001234-1a8422b3");
}

static void refused(const char *text, assent_status status, const char *words)
{
    hlc_ts ts = 99;
    assert_int_equal(token_parse(&cluster, text, NOW_MS, &ts), status);
    if (strstr(assent_error(), words) == NULL)
        fail_msg("\"%s\" has no \"%s\"", assent_error(), words);
    assert_true(ts == 99);
}

static void whatever_is_no_token_of_here_and_now_is_refused(void **state)
{
    (void)state;
    char good[ASSENT_TOKEN_TEXT], text[2 * ASSENT_TOKEN_TEXT];
    token_text(&cluster, (hlc_ts)NOW_MS << 16, good);
    refused(NULL, ASSENT_INVALID, "not a session token");
    refused("", ASSENT_INVALID, "not a session token");
    for (size_t i = 0; i < strlen(good); i++) {
        strcpy(text, good);
        text[i] = text[i] == '7' ? '8' : '7';
        refused(text, ASSENT_INVALID, "token");
        text[i] = '\0';
        refused(text, ASSENT_INVALID, "not a session token");
    }
    snprintf(text, sizeof text, "%s0", good);
    refused(text, ASSENT_INVALID, "not a session token");
    struct cluster other = cluster;
    other.id[15] = 9;
    refused(token_text(&other, 1, text), ASSENT_INVALID, "of cluster ab0102");
    refused(token_text(&cluster, (hlc_ts)(NOW_MS + 5001) << 16, text), ASSENT_CLOCK_AHEAD,
            "5001 ms in the future");
}

static void a_token_is_only_raised(void **state)
{
    (void)state;
    _Atomic hlc_ts ts = 5;
    token_raise(&ts, 4);
    assert_int_equal(atomic_load(&ts), 5);
    token_raise(&ts, 9);
    assert_int_equal(atomic_load(&ts), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_comes_back_as_it_was),
        cmocka_unit_test(whatever_is_no_token_of_here_and_now_is_refused),
        cmocka_unit_test(a_token_is_only_raised),
    };
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
