/* What one types into `assent shell`: from text to a command, and completion. The command's files
 * are not in the archive: they are included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/command_ops.c"
#include "client/command_shell_line.c"
#include "client/command_show.c"
#include "client/command_words.c"

#define WHY_BYTES 512

/* One command in a buffer of exactly its size, so that a read past it is seen. */
static enum shell_read read_text(const char *text, size_t len, struct shell_line *line, char *why)
{
    char *exact = malloc(len == 0 ? 1 : len);
    assert_non_null(exact);
    memcpy(exact, text, len);
    struct bytes rest = bytes_of(exact, len);
    enum shell_read got = shell_line_read(&rest, line, why, WHY_BYTES);
    free(exact);
    return got;
}

static struct shell_line good(const char *text)
{
    struct shell_line line;
    char why[WHY_BYTES] = "";
    if (read_text(text, strlen(text), &line, why) != SHELL_READ)
        fail_msg("'%s': %s", text, why);
    return line;
}

static void assert_blob(const struct blob *blob, const char *text)
{
    assert_non_null(blob);
    assert_int_equal(blob->len, strlen(text));
    assert_memory_equal(blob->data, text, blob->len);
}

static void operations_are_read_as_everywhere_else(void **state)
{
    (void)state;
    struct shell_line l = good("put \"a b\" 'c\\d'");
    assert_int_equal(l.command->kind, SHELL_OP);
    assert_int_equal(l.op.kind, COMMAND_PUT);
    assert_blob(l.op.key, "a b");
    assert_blob(l.op.value, "c\\d");
    shell_line_free(&l);
    l = good("add k -5 >=0 <=9 return # as much as there is");
    assert_true(l.op.number == -5 && l.op.bounds.has_lower && l.op.bounds.lower == 0);
    assert_true(l.op.bounds.has_upper && l.op.bounds.upper == 9 && l.op.bounds.returns_value);
    shell_line_free(&l);
    l = good("get \\x41");
    assert_int_equal(l.command->kind, SHELL_GET);
    assert_blob(l.op.key, "A");
    shell_line_free(&l);
}

static void a_line_is_read_command_by_command(void **state)
{
    (void)state;
    struct bytes rest = bytes_of_text(" ; begin;get ';' ; # commit\n");
    struct shell_line l;
    char why[WHY_BYTES];
    assert_int_equal(shell_line_read(&rest, &l, why, sizeof why), SHELL_READ);
    assert_int_equal(l.command->kind, SHELL_BEGIN);
    assert_false(l.strict || l.has_ts);
    shell_line_free(&l);
    assert_int_equal(shell_line_read(&rest, &l, why, sizeof why), SHELL_READ);
    assert_blob(l.op.key, ";");
    shell_line_free(&l);
    assert_int_equal(shell_line_read(&rest, &l, why, sizeof why), SHELL_NOTHING);
    assert_int_equal(shell_line_read(&rest, &l, why, sizeof why), SHELL_NOTHING);
}

static void a_scan_has_its_parts_in_any_order(void **state)
{
    (void)state;
    struct shell_line l = good("scan");
    assert_null(l.scan.prefix);
    assert_false(l.scan.down);
    shell_line_free(&l);
    l = good("scan a/ down limit=7 to=a/x from=\"a/ \"");
    assert_blob(l.scan.prefix, "a/");
    assert_blob(l.scan.from, "a/ ");
    assert_blob(l.scan.to, "a/x");
    assert_int_equal(l.scan.limit, 7);
    assert_true(l.scan.down);
    shell_line_free(&l);
    l = good("scan from=a from=b prefix=down");
    assert_blob(l.scan.from, "b");
    assert_blob(l.scan.prefix, "down");
    assert_false(l.scan.down);
    shell_line_free(&l);
}

static void levels_have_a_number_where_they_take_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        assent_level level;
        uint32_t stale_ms;
        assent_ts ts;
    } cases[] = {
        {"level strong", ASSENT_STRONG, 0, 0},
        {"level session", ASSENT_SESSION, 0, 0},
        {"level eventual", ASSENT_EVENTUAL, 0, 0},
        {"level bounded 500", ASSENT_BOUNDED, 500, 0},
        {"level bounded=0", ASSENT_BOUNDED, 0, 0},
        {"level bounded 4294967295", ASSENT_BOUNDED, UINT32_MAX, 0},
        {"level snapshot", ASSENT_SNAPSHOT, 0, 0},
        {"level snapshot 117654722638512128", ASSENT_SNAPSHOT, 0, 117654722638512128},
        {"level snapshot=12", ASSENT_SNAPSHOT, 0, 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shell_line l = good(cases[i].text);
        assert_true(l.has_level);
        assert_int_equal(l.level, cases[i].level);
        assert_int_equal(l.stale_ms, cases[i].stale_ms);
        assert_int_equal(l.has_ts, cases[i].ts != 0);
        assert_true(l.ts == cases[i].ts);
        shell_line_free(&l);
    }
    struct shell_line l = good("level");
    assert_false(l.has_level);
    shell_line_free(&l);
}

static void names_are_kept(void **state)
{
    (void)state;
    struct shell_line l = good("savepoint 'before it'");
    assert_string_equal(l.name, "before it");
    shell_line_free(&l);
    l = good("rollback to a");
    assert_string_equal(l.name, "a");
    shell_line_free(&l);
    l = good("rollback");
    assert_null(l.name);
    shell_line_free(&l);
    l = good("session import as1-x");
    assert_string_equal(l.name, "as1-x");
    shell_line_free(&l);
    l = good("session show");
    assert_null(l.name);
    shell_line_free(&l);
    l = good("begin at 5 strict");
    assert_true(l.strict && l.has_ts && l.ts == 5);
    shell_line_free(&l);
    l = good("help get");
    assert_string_equal(l.topic->name, "get");
    shell_line_free(&l);
}

static void bad_input_says_what_to_type_instead(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"frob", "'frob' is no command: 'help' lists them"},
        {"GET a", "'GET' is no command"},
        {"get", "get: too few words: write get KEY"},
        {"get a b", "get: too many words: write get KEY"},
        {"put a", "put: too few words: write put KEY VALUE"},
        {"add a x", "'x' is not a whole number"},
        {"add a 1 >5", "'>5' is no bound"},
        {"add a 1 >=0 <=2 return return", "add: too many words"},
        {"commit now", "commit: too many words: write commit alone"},
        {"put a 'b", "the quote ' is not closed"},
        {"put a \\q", "unknown escape '\\q'"},
        {"scan a b", "scan: 'b' is no part of a scan: write scan [PREFIX]"},
        {"scan limit=0", "scan: 'limit=0' does not do: give a whole number from 1"},
        {"scan limit=x", "give a whole number"},
        {"begin soon", "begin: 'soon' is no way to begin: write begin [strict]"},
        {"begin at", "begin: 'at' is no way to begin"},
        {"begin at x", "begin: 'x' does not do"},
        {"begin at 0", "begin: '0' does not do"},
        {"level weak", "level: 'weak' is no level: write level [strong|"},
        {"level bounded", "Write level bounded MS"},
        {"level bounded x", "level: 'x' does not do"},
        {"level bounded -1", "level: '-1' does not do"},
        {"level bounded 4294967296", "does not do"},
        {"level bounded=5 6", "'bounded=5' is no level"},
        {"level strong 5", "'5' is no part of this level"},
        {"level strong=5", "is no part of this level"},
        {"level =5", "'=5' is no level"},
        {"level ''", "'' is no level"},
        {"savepoint", "savepoint: too few words: write savepoint NAME"},
        {"savepoint ''", "'' is no name"},
        {"savepoint a\\x00b", "is no name"},
        {"rollback a", "rollback: 'a' is no part of it: write rollback [to NAME]"},
        {"rollback to", "rollback: too few words: write rollback [to NAME]"},
        {"session import", "session: too few words: write session show|import TOKEN"},
        {"session", "session: too few words: write session show|import TOKEN"},
        {"session show me", "'me' is no part of it"},
        {"session hide", "'hide' is no part of it"},
        {"outcome", "outcome: too few words"},
        {"help frob", "help: 'frob' is no command"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shell_line line;
        char why[WHY_BYTES] = "";
        enum shell_read got = read_text(cases[i].text, strlen(cases[i].text), &line, why);
        if (got != SHELL_BAD || strstr(why, cases[i].why) == NULL)
            fail_msg("'%s' gave: %s", cases[i].text, got == SHELL_BAD ? why : "no error");
    }
}

static void every_beginning_of_a_line_is_read_without_passing_its_end(void **state)
{
    (void)state;
    static const char *const lines[] = {"scan \"a b\" from=\\x00 limit=5 down", "level bounded=500",
                                        "begin at 55 strict", "add k -30 >=0 <=\\x35 return",
                                        "rollback to 'x y'"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        for (size_t len = 0; len <= strlen(lines[i]); len++) {
            struct shell_line line;
            char why[WHY_BYTES];
            const char *words[SHELL_COMPLETIONS_MAX];
            size_t typed;
            if (read_text(lines[i], len, &line, why) == SHELL_READ)
                shell_line_free(&line);
            shell_complete(bytes_of(lines[i], len), words, &typed);
            assert_true(typed <= len);
        }
}

/* The completions in one string, with how much of them is there. */
static void assert_completes(const char *text, const char *expected)
{
    const char *word[SHELL_COMPLETIONS_MAX];
    char got[512] = "";
    size_t typed = 0;
    int n = shell_complete(bytes_of_text(text), word, &typed);
    for (int i = 0; i < n; i++) {
        strncat(got, word[i], sizeof got - strlen(got) - 2);
        strcat(got, i + 1 < n ? " " : "");
        assert_memory_equal(word[i], text + strlen(text) - typed, typed);
    }
    assert_string_equal(got, expected);
}

static void commands_levels_and_their_kind_are_completed(void **state)
{
    (void)state;
    assert_completes("sa", "savepoint");
    assert_completes("s", "scan savepoint session");
    assert_completes("begin; com", "commit");
    assert_completes("level ", "strong snapshot session bounded eventual");
    assert_completes("level s", "strong snapshot session");
    assert_completes("put a b ; level bo", "bounded");
    assert_completes("help com", "commit");
    assert_completes("session ", "show import");
    assert_completes("rollback ", "to");
    assert_completes("begin s", "strict");
    assert_completes("q", "quit");
    assert_completes("ex", "exists explain exit");
    assert_completes("x", "");
    assert_completes("get ", "");
    assert_completes("level bounded ", "");
    assert_completes("put 'a le", "");
    const char *word[SHELL_COMPLETIONS_MAX];
    size_t typed;
    int all = shell_complete(bytes_of_text(""), word, &typed);
    assert_true(all > 10);
    assert_int_equal(shell_complete(bytes_of_text("help "), word, &typed), all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_read_as_everywhere_else),
        cmocka_unit_test(a_line_is_read_command_by_command),
        cmocka_unit_test(a_scan_has_its_parts_in_any_order),
        cmocka_unit_test(levels_have_a_number_where_they_take_one),
        cmocka_unit_test(names_are_kept),
        cmocka_unit_test(bad_input_says_what_to_type_instead),
        cmocka_unit_test(every_beginning_of_a_line_is_read_without_passing_its_end),
        cmocka_unit_test(commands_levels_and_their_kind_are_completed),
    };
    return cmocka_run_group_tests_name("command_shell", tests, NULL, NULL);
}
