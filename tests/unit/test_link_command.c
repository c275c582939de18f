/* The commands of `assent-chaos links`, and what they do to links that run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/link_command.h"

#define LINKS 3

static const struct understood {
    const char *line;
    int link;
    enum link_change_kind kind;
    unsigned ways;
    uint64_t value;
} understood[] = {
    {"delay 1 80ms", 0, LINK_DELAY, LINK_BOTH, 80000},
    {"delay all up 1500us", -1, LINK_DELAY, LINK_UP, 1500},
    {"  extra\t2 down 2s   # a spike", 1, LINK_EXTRA, LINK_DOWN, 2000000},
    {"jitter 3 0", 2, LINK_JITTER, LINK_BOTH, 0},
    {"delay 3 24h", 2, LINK_DELAY, LINK_BOTH, LINK_TIME_US_MAX},
    {"bandwidth 1 64k", 0, LINK_BANDWIDTH, LINK_BOTH, 64000},
    {"bandwidth 1 down none", 0, LINK_BANDWIDTH, LINK_DOWN, LINK_NONE},
    {"cut 1", 0, LINK_CUT, LINK_BOTH, 0},
    {"heal 1 up reset", 0, LINK_HEAL, LINK_UP, LINK_RESET_ALL},
    {"heal all resume", -1, LINK_HEAL, LINK_BOTH, LINK_RESUME},
    {"refuse 2", 1, LINK_REFUSE, LINK_BOTH, 0},
    {"accept 2", 1, LINK_ACCEPT, LINK_BOTH, 0},
    {"reset 1 down", 0, LINK_RESET, LINK_DOWN, 0},
    {"half-open 1 up", 0, LINK_HALF_OPEN, LINK_UP, 0},
    {"slow-close 1 5m", 0, LINK_SLOW_CLOSE, LINK_BOTH, 300000000},
    {"corrupt 1 down 7", 0, LINK_CORRUPT, LINK_DOWN, 7},
    {"corrupt 1", 0, LINK_CORRUPT, LINK_BOTH, LINK_RANDOM},
    {"limit 1 1000G", 0, LINK_LIMIT, LINK_BOTH, LINK_BYTES_MAX},
    {"calm all", -1, LINK_CALM, LINK_BOTH, LINK_RESUME},
};

static void every_command_is_understood(void **state)
{
    char why[512];
    (void)state;
    for (size_t i = 0; i < sizeof understood / sizeof understood[0]; i++) {
        const struct understood *u = &understood[i];
        struct link_command c;
        assert_true(link_command_parse(u->line, LINKS, &c, why, sizeof why));
        assert_int_equal(c.verb, LINK_VERB_CHANGE);
        assert_int_equal(c.link, u->link);
        assert_int_equal(c.change.kind, u->kind);
        assert_int_equal(c.change.ways, u->ways);
        assert_true(c.change.value == u->value);
    }
}

static void what_is_no_change_is_understood_too(void **state)
{
    static const struct {
        const char *line;
        enum link_verb verb;
        int link;
    } lines[] = {{"", LINK_VERB_NOTHING, -1},       {"  # all quiet", LINK_VERB_NOTHING, -1},
                 {"show", LINK_VERB_SHOW, -1},      {"show 2", LINK_VERB_SHOW, 1},
                 {"help", LINK_VERB_HELP, -1},      {"quit", LINK_VERB_QUIT, -1},
                 {"wait 500ms", LINK_VERB_WAIT, -1}};
    char why[512];
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct link_command c;
        assert_true(link_command_parse(lines[i].line, LINKS, &c, why, sizeof why));
        assert_int_equal(c.verb, lines[i].verb);
        assert_int_equal(c.link, lines[i].link);
        assert_int_equal(c.wait_us, lines[i].verb == LINK_VERB_WAIT ? 500000 : 0);
    }
}

static void what_is_not_understood_is_said(void **state)
{
    static const struct {
        const char *line, *why;
    } lines[] = {
        {"delya 1 80ms", "unknown command 'delya'"},
        {"delay", "which link?"},
        {"delay 4 80ms", "no link '4': say 1 to 3 or all"},
        {"delay 0 80ms", "no link '0'"},
        {"delay -1 80ms", "no link '-1'"},
        {"delay 1x 80ms", "no link '1x'"},
        {"delay 18446744073709551617 80ms", "no link"},
        {"delay 1", "'' is not a time"},
        {"delay 1 80", "'80' is not a time"},
        {"delay 1 -80ms", "'-80ms' is not a time"},
        {"delay 1 25h", "'25h' is not a time"},
        {"delay 1 1.5s", "'1.5s' is not a time"},
        {"delay 1 99999999999999999999us", "is not a time"},
        {"delay 1 80ms now", "'now' is too much"},
        {"bandwidth 1 0", "say cut, or none"},
        {"bandwidth 1 1001G", "is not a number of bytes"},
        {"limit 1 many", "'many' is not a number of bytes"},
        {"cut 1 hard", "'hard' is too much"},
        {"heal 1 perhaps", "'perhaps' is neither resume nor reset"},
        {"half-open 1", "say up (close the target's end) or down"},
        {"refuse 1 up", "'up' is too much"},
        {"corrupt 1 up here", "leave it out for any"},
        {"show 9", "no link '9'"},
        {"show 1 2", "'2' is too much"},
        {"wait", "wait TIME"},
        {"quit now", "'now' is too much"},
        {"a b c d e f g", "too many words"},
    };
    char why[512], longest[LINK_COMMAND_BYTES_MAX + 2];
    struct link_command c;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        why[0] = '\0';
        assert_false(link_command_parse(lines[i].line, LINKS, &c, why, sizeof why));
        if (strstr(why, lines[i].why) == NULL)
            fail_msg("'%s' gave '%s'", lines[i].line, why);
    }
    memset(longest, ' ', sizeof longest);
    longest[LINK_COMMAND_BYTES_MAX] = '\0';
    assert_true(link_command_parse(longest, LINKS, &c, why, sizeof why));
    longest[LINK_COMMAND_BYTES_MAX] = ' ';
    longest[LINK_COMMAND_BYTES_MAX + 1] = '\0';
    assert_false(link_command_parse(longest, LINKS, &c, why, sizeof why));
}

static char *answer_to(struct links *s, const char *line)
{
    char why[512];
    struct link_command c;
    struct writer answer = {0};
    assert_true(link_command_parse(line, links_count(s), &c, why, sizeof why));
    assert_true(link_command_run(s, &c, &answer, why, sizeof why));
    writer_raw(&answer, "", 1);
    return (char *)answer.data;
}

static void shows(struct links *s, const char *line, const char *with, const char *without)
{
    char *answer = answer_to(s, line);
    if (with != NULL && strstr(answer, with) == NULL)
        fail_msg("'%s' is not in:\n%s", with, answer);
    if (without != NULL && strstr(answer, without) != NULL)
        fail_msg("'%s' is in:\n%s", without, answer);
    free(answer);
}

static void a_command_changes_the_links_it_names_and_show_tells(void **state)
{
    char why[512];
    struct links *s = links_new();
    struct link_options options = {.host = "127.0.0.1", .port = 9, .delay_us = 20000};
    (void)state;
    assert_int_equal(links_add(s, &options, why, sizeof why), 0);
    assert_int_equal(links_add(s, &options, why, sizeof why), 1);
    links_start(s);
    shows(s, "show 1", "delay 20ms", "2  port");
    free(answer_to(s, "delay 2 up 1500us"));
    free(answer_to(s, "cut 2 down"));
    free(answer_to(s, "limit 2 down 64k"));
    free(answer_to(s, "refuse 1"));
    shows(s, "show 1", "REFUSING", "CUT");
    shows(s, "show 2", "delay 1500us", "REFUSING");
    shows(s, "show 2", "CUT  delay 20ms  limit 64000", NULL);
    free(answer_to(s, "calm all"));
    shows(s, "show", "2  port", "CUT");
    shows(s, "show", "delay 20ms", "REFUSING");
    shows(s, "show", NULL, "1500us");
    shows(s, "help", "half-open LINK up|down", NULL);
    links_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_understood),
        cmocka_unit_test(what_is_no_change_is_understood_too),
        cmocka_unit_test(what_is_not_understood_is_said),
        cmocka_unit_test(a_command_changes_the_links_it_names_and_show_tells),
    };
    return cmocka_run_group_tests_name("link_command", tests, NULL, NULL);
}
