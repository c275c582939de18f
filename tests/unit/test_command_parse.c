/* The pure parts of the `assent` command: operations and their escapes, rows of files, ranges, what
 * is shown. They are not in the archive, as the command is a program: they are included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/command_ops.c"
#include "client/command_range.c"
#include "client/command_rows.c"
#include "client/command_show.c"
#include "client/command_words.c"

#define WHY_BYTES 512

/* ---- operations ---- */

static void assert_bytes(const struct blob *blob, const char *text, size_t len)
{
    assert_non_null(blob);
    assert_int_equal(blob->len, len);
    assert_memory_equal(blob->data, text, len);
}

/* The operations of a text in a buffer of exactly its size, so that a read past it is seen. */
static bool parse_text(const char *text, size_t len, struct command_ops *ops, char *why)
{
    char *exact = malloc(len == 0 ? 1 : len);
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool good = command_ops_text(ops, bytes_of(exact, len), why, WHY_BYTES);
    free(exact);
    return good;
}

/* Arguments and their number; a program's are not constant, the command leaves them as they are. */
#define WORDS(...)                                                                                 \
    (char *const *)(uintptr_t)((const char *[]){__VA_ARGS__}),                                     \
        (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void words_between_commas_and_semicolons_are_operations(void **state)
{
    (void)state;
    struct command_ops ops = {0};
    char why[WHY_BYTES];
    assert_true(command_ops_words(&ops,
                                  WORDS("put", "a", "1,2", ",", "add", "b", "-30", ">=0", "<=-5",
                                        "return", ";", "range", "c", "", "7", ";", ";", "exists",
                                        "d", ",", "atleast", "e", "-9223372036854775808"),
                                  why, sizeof why));
    assert_int_equal(ops.n, 5);
    assert_int_equal(ops.op[0].kind, COMMAND_PUT);
    assert_bytes(ops.op[0].key, "a", 1);
    assert_bytes(ops.op[0].value, "1,2", 3);
    assert_int_equal(ops.op[1].kind, COMMAND_ADD);
    assert_true(ops.op[1].number == -30);
    assert_true(ops.op[1].bounds.has_lower && ops.op[1].bounds.lower == 0);
    assert_true(ops.op[1].bounds.has_upper && ops.op[1].bounds.upper == -5);
    assert_true(ops.op[1].bounds.returns_value);
    assert_int_equal(ops.op[2].kind, COMMAND_RANGE);
    assert_bytes(ops.op[2].value, "", 0);
    assert_int_equal(ops.op[2].limit, 7);
    assert_int_equal(ops.op[3].kind, COMMAND_EXISTS);
    assert_true(ops.op[4].number == INT64_MIN);
    command_ops_free(&ops);
}

static void an_add_has_only_the_bounds_that_were_given(void **state)
{
    (void)state;
    struct command_ops ops = {0};
    char why[WHY_BYTES];
    assert_true(command_ops_words(&ops, WORDS("add", "a", "1", "max=9"), why, sizeof why));
    assert_false(ops.op[0].bounds.has_lower);
    assert_false(ops.op[0].bounds.returns_value);
    assert_true(ops.op[0].bounds.has_upper && ops.op[0].bounds.upper == 9);
    command_ops_free(&ops);
}

static void a_word_with_spaces_where_an_operation_begins_is_text(void **state)
{
    (void)state;
    struct command_ops ops = {0};
    char why[WHY_BYTES];
    assert_true(command_ops_words(&ops, WORDS("put a 'x y'; del b", "get c", "put", "get d", "v"),
                                  why, sizeof why));
    assert_int_equal(ops.n, 4);
    assert_bytes(ops.op[0].value, "x y", 3);
    assert_int_equal(ops.op[1].kind, COMMAND_DEL);
    assert_bytes(ops.op[3].key, "get d", 5);
    command_ops_free(&ops);
}

static void what_is_no_operation_is_refused_with_what_to_write(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } refused[] = {
        {"set a 1", "'set' is no operation"},
        {"put a", "'put' has too few words: write put KEY VALUE"},
        {"put a 1 2", "'put' has too many words"},
        {"get", "'get' has too few words: write get KEY"},
        {"add a 1 >=0 <=1 return max=9", "'add' has too many words"},
        {"add a 1 2 3 4 5 6 7 8 9", "'add' has too many words"},
        {"add a 1 >=x", "'>=x' is no bound"},
        {"add a 1 >=", "'>=' is no bound"},
        {"add a 1x", "'1x' is not a whole number"},
        {"add a -", "'-' is not a whole number"},
        {"add a +1", "'+1' is not a whole number"},
        {"add a ''", "'' is not a whole number"},
        {"add a --1", "'--1' is not a whole number"},
        {"atleast a 9223372036854775808", "is not a whole number of 64 bits"},
        {"atleast a 00000000000000000000000000000000001", "is not a whole number of 64 bits"},
        {"add a 1\\x00", "is not a whole number"},
        {"range a b -1", "the limit of a range must be from 0"},
        {"range a b 4294967296", "the limit of a range must be from 0"},
        {"put a 'b", "the quote ' is not closed on its line"},
        {"put a \"b\nc\"", "line 1: the quote \" is not closed on its line"},
        {"put a \\q", "unknown escape '\\q'"},
        {"put a \\x4", "unknown escape '\\x'"},
        {"put a \\x4g", "unknown escape '\\x'"},
        {"put a \\", "unknown escape '\\'"},
        {"put a 1\n\n# comment\nput b", "line 4: 'put' has too few words"},
        {"put a 1\nput b\nput c 2\n", "line 2: 'put' has too few words"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct command_ops ops = {0};
        char why[WHY_BYTES] = "";
        bool good = parse_text(refused[i].text, strlen(refused[i].text), &ops, why);
        if (good || strstr(why, refused[i].why) == NULL)
            fail_msg("'%s' gave: %s", refused[i].text, good ? "no error" : why);
        command_ops_free(&ops);
    }
}

static void text_has_quotes_escapes_comments_and_ends_of_lines(void **state)
{
    (void)state;
    static const char text[] = "put \"a b\"\\x00\\xfF 'c\\x00 \"d'\"e\\\"\" # put x y\r\n"
                               "\tget f#g;put \"#\" \\;\\,\\# , del \",\" ; ;\n\n"
                               "put h \"\\n\\r\\t\\\\\\'\\ \"";
    struct command_ops ops = {0};
    char why[WHY_BYTES] = "";
    if (!parse_text(text, sizeof text - 1, &ops, why))
        fail_msg("%s", why);
    assert_int_equal(ops.n, 5);
    assert_bytes(ops.op[0].key, "a b\0\xff", 5);
    assert_bytes(ops.op[0].value, "c\\x00 \"de\"", 10);
    assert_bytes(ops.op[1].key, "f#g", 3);
    assert_bytes(ops.op[2].key, "#", 1);
    assert_bytes(ops.op[2].value, ";,#", 3);
    assert_int_equal(ops.op[3].kind, COMMAND_DEL);
    assert_bytes(ops.op[3].key, ",", 1);
    assert_bytes(ops.op[4].value, "\n\r\t\\' ", 6);
    command_ops_free(&ops);
}

static void every_beginning_of_a_text_is_read_without_passing_its_end(void **state)
{
    (void)state;
    static const char text[] =
        "put \"a b\"\\x00\\xff 'c' ; add k -30 >=0 <=\\x35 # x\nrange a '' 7";
    for (size_t len = 0; len < sizeof text; len++) {
        struct command_ops ops = {0};
        char why[WHY_BYTES];
        parse_text(text, len, &ops, why);
        command_ops_free(&ops);
    }
}

static void no_text_is_no_operation(void **state)
{
    (void)state;
    struct command_ops ops = {0};
    char why[WHY_BYTES];
    assert_true(parse_text(" ;\n # only this\n", 16, &ops, why));
    assert_true(command_ops_words(&ops, NULL, 0, why, sizeof why));
    assert_int_equal(ops.n, 0);
    command_ops_free(&ops);
}

/* ---- rows ---- */

static struct rows *rows_of(const char *text, enum rows_format format, const char *prefix,
                            const char *key, const char *value)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fputs(text, file);
    rewind(file);
    return rows_open(file, format, prefix, key, value);
}

static void rows_end(struct rows *r)
{
    fclose(r->file);
    rows_close(r);
}

static void assert_row(struct rows *r, uint64_t number, uint64_t line, const char *key,
                       const char *value)
{
    struct row row;
    char why[WHY_BYTES] = "";
    if (rows_next(r, &row, why, sizeof why) != ROWS_ROW)
        fail_msg("no row %d: %s", (int)number, why);
    assert_int_equal(row.number, number);
    assert_int_equal(row.line, line);
    assert_bytes(row.key, key, strlen(key));
    assert_bytes(row.value, value, strlen(value));
    blob_unref(row.key);
    blob_unref(row.value);
}

static void assert_rows_end(struct rows *r)
{
    struct row row;
    char why[WHY_BYTES];
    assert_int_equal(rows_next(r, &row, why, sizeof why), ROWS_END);
    rows_end(r);
}

static void assert_bad_row(struct rows *r, uint64_t number, uint64_t line, const char *part)
{
    struct row row;
    char why[WHY_BYTES] = "";
    assert_int_equal(rows_next(r, &row, why, sizeof why), ROWS_ERROR);
    assert_int_equal(row.number, number);
    assert_int_equal(row.line, line);
    assert_null(row.key);
    if (strstr(why, part) == NULL)
        fail_msg("expected '%s' in: %s", part, why);
    rows_end(r);
}

static void csv_fields_are_quoted_as_rfc_4180_says(void **state)
{
    (void)state;
    struct rows *r = rows_of("\xef\xbb\xbfk,v\r\n"
                             "a,\"1,\"\"2\"\"\r\n\r\n3\"\r\n"
                             "\r\n"
                             " b , c \n"
                             "d,",
                             ROWS_CSV, "p/", NULL, "v");
    assert_row(r, 1, 2, "p/a", "1,\"2\"\r\n\r\n3");
    assert_row(r, 2, 6, "p/ b ", " c ");
    assert_row(r, 3, 7, "p/d", "");
    assert_rows_end(r);
}

static void a_csv_row_becomes_a_json_object_in_the_order_of_its_columns(void **state)
{
    (void)state;
    struct rows *r = rows_of("z,id,a\n1,x,\"q\"\"\"\n", ROWS_CSV, "", "id", NULL);
    assert_row(r, 1, 2, "x", "{\"z\":\"1\",\"id\":\"x\",\"a\":\"q\\\"\"}");
    assert_rows_end(r);
}

static void bad_csv_is_named_by_row_and_line(void **state)
{
    (void)state;
    struct rows *r = rows_of("k,v\na,\"1\n2\"\nb\n", ROWS_CSV, "", NULL, NULL);
    assert_row(r, 1, 2, "a", "{\"k\":\"a\",\"v\":\"1\\n2\"}");
    assert_bad_row(r, 2, 4, "1 fields, but the first row names 2 columns");
    assert_bad_row(rows_of("k,v\na,b,c\n", ROWS_CSV, "", NULL, NULL), 1, 2, "3 fields");
    assert_bad_row(rows_of("k,v\na,b\rc,d\n", ROWS_CSV, "", NULL, NULL), 1, 2, "4 fields");
    assert_bad_row(rows_of("k,v\na,\"b\n", ROWS_CSV, "", NULL, NULL), 1, 2,
                   "a quote is not closed");
    assert_bad_row(rows_of("k,v\na,b\"c\n", ROWS_CSV, "", NULL, NULL), 1, 2, "a quote inside");
    assert_bad_row(rows_of("k,v\n,b\n", ROWS_CSV, "", NULL, NULL), 1, 2, "the key is empty");
    assert_bad_row(rows_of("k,v\na,\xff\n", ROWS_CSV, "", NULL, NULL), 1, 2, "not UTF-8");
    assert_bad_row(rows_of("k,v\na,b\n", ROWS_CSV, "", "x", NULL), 0, 1, "no column is named 'x'");
    assert_bad_row(rows_of("", ROWS_CSV, "", NULL, NULL), 0, 0, "the file is empty");
}

static void a_key_that_is_too_long_with_its_prefix_is_refused(void **state)
{
    (void)state;
    char text[KEY_BYTES_MAX + 64] = "k,v\n", prefix[3] = "p/";
    memset(text + 4, 'x', KEY_BYTES_MAX - 1);
    strcpy(text + 4 + KEY_BYTES_MAX - 1, ",1\n");
    assert_bad_row(rows_of(text, ROWS_CSV, prefix, NULL, NULL), 1, 2, "at most 4096 fit");
    struct rows *r = rows_of(text, ROWS_CSV, "p", NULL, "v");
    struct row row;
    char why[WHY_BYTES];
    assert_int_equal(rows_next(r, &row, why, sizeof why), ROWS_ROW);
    assert_int_equal(row.key->len, KEY_BYTES_MAX);
    blob_unref(row.key);
    blob_unref(row.value);
    assert_rows_end(r);
}

static void json_lines_keep_their_numbers_as_written(void **state)
{
    (void)state;
    struct rows *r = rows_of("{\"key\": \"a\", \"n\" : 1.10, \"s\": \"x \\\" y\\\\\"}\n"
                             "\n"
                             "  {\"key\": 12}",
                             ROWS_JSONL, "j/", NULL, NULL);
    assert_row(r, 1, 1, "j/a", "{\"key\":\"a\",\"n\":1.10,\"s\":\"x \\\" y\\\\\"}");
    assert_row(r, 2, 3, "j/12", "{\"key\":12}");
    assert_rows_end(r);
    r = rows_of("{\"id\":\"a\",\"v\":[1, 2]}\n{\"id\":\"b\",\"v\":\"t\"}\n", ROWS_JSONL, "", "id",
                "v");
    assert_row(r, 1, 1, "a", "[1,2]");
    assert_row(r, 2, 2, "b", "t");
    assert_rows_end(r);
}

static void bad_json_is_named_by_row_and_line(void **state)
{
    (void)state;
    struct rows *r = rows_of("{\"key\":\"a\"}\n\n{\"key\":\n", ROWS_JSONL, "", NULL, NULL);
    assert_row(r, 1, 1, "a", "{\"key\":\"a\"}");
    assert_bad_row(r, 2, 3, "not a JSON object");
    assert_bad_row(rows_of("[1]\n", ROWS_JSONL, "", NULL, NULL), 1, 1, "not a JSON object");
    assert_bad_row(rows_of("{\"k\":1}\n", ROWS_JSONL, "", NULL, NULL), 1, 1, "'key'");
    assert_bad_row(rows_of("{\"key\":1.5}\n", ROWS_JSONL, "", NULL, NULL), 1, 1, "'key'");
    assert_bad_row(rows_of("{\"key\":1}\n", ROWS_JSONL, "", NULL, "v"), 1, 1, "no member 'v'");
    assert_bad_row(rows_of("{\"key\":1,\"key\":2}\n", ROWS_JSONL, "", NULL, NULL), 1, 1,
                   "not a JSON object");
}

/* ---- ranges ---- */

static void assert_after(const char *prefix, size_t len, const char *after, size_t after_len)
{
    struct writer out = {0};
    command_range_after(bytes_of(prefix, len), &out);
    assert_true(bytes_equal(writer_view(&out), bytes_of(after, after_len)));
    writer_free(&out);
}

static void the_key_after_a_prefix_is_after_all_keys_that_begin_with_it(void **state)
{
    (void)state;
    assert_after("a", 1, "b", 1);
    assert_after("a\xff", 2, "b", 1);
    assert_after("\xff\xff", 2, "", 0);
    assert_after("", 0, "", 0);
    assert_after("a\xff!", 3, "a\xff\"", 3);
}

static void a_scan_is_cut_wherever_a_placement_begins_or_ends(void **state)
{
    (void)state;
    struct placement placement[3] = {{.prefix = bytes_of_text("")},
                                     {.prefix = bytes_of_text("d/")},
                                     {.prefix = bytes_of_text("d/2/")}};
    struct cluster cluster = {.placements = 3, .placement = placement};
    static const char *const borders[] = {"a", "d/", "d/2/", "d/20", "d0", ""};
    struct writer out = {0};
    for (int i = 0; i + 1 < 6; i++) {
        command_range_placed(&cluster, bytes_of_text(borders[i]), bytes_of_text(""), &out);
        assert_true(bytes_equal(writer_view(&out), bytes_of_text(borders[i + 1])));
    }
    command_range_placed(&cluster, bytes_of_text("d/1"), bytes_of_text("d/15"), &out);
    assert_true(bytes_equal(writer_view(&out), bytes_of_text("d/15")));
    writer_free(&out);
}

/* ---- showing ---- */

static void shown_bytes_stay_on_their_line(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    command_print_bytes(out, bytes_of("a\n\t\\\xc3\xa4\xff\0z\xc3", 10));
    fclose(out);
    assert_string_equal(text, "a\\x0a\\x09\\\\\xc3\xa4\\xff\\x00z\\xc3");
    free(text);
}

static void times_are_shown_in_the_unit_that_fits(void **state)
{
    (void)state;
    char text[COMMAND_TIME_TEXT];
    assert_string_equal(command_us_text(999, text), "999 us");
    assert_string_equal(command_us_text(1234, text), "1.23 ms");
    assert_string_equal(command_us_text(99940, text), "99.9 ms");
    assert_string_equal(command_us_text(2500000, text), "2.50 s");
    assert_string_equal(command_time_text(hlc_from_ms(1700000000007), text),
                        "2023-11-14T22:13:20.007Z");
}

static void a_number_is_found_by_the_whole_name_of_its_line(void **state)
{
    (void)state;
    uint64_t n = 0;
    static const char text[] = "syncs_total 9\nsyncs 12\nx y\n";
    assert_true(command_node_number(text, "syncs", &n));
    assert_int_equal(n, 12);
    assert_false(command_node_number(text, "sync", &n));
    assert_false(command_node_number(text, "x", &n));
    assert_false(command_node_number("", "x", &n));
}

static void durations_need_their_unit(void **state)
{
    (void)state;
    uint32_t ms;
    assert_true(duration_parse("500ms", &ms) && ms == 500);
    assert_true(duration_parse("2s", &ms) && ms == 2000);
    assert_true(duration_parse("1m", &ms) && ms == 60000);
    assert_false(duration_parse("500", &ms));
    assert_false(duration_parse("-1s", &ms));
    assert_false(duration_parse("1s ", &ms));
    assert_false(duration_parse("", &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_between_commas_and_semicolons_are_operations),
        cmocka_unit_test(an_add_has_only_the_bounds_that_were_given),
        cmocka_unit_test(a_word_with_spaces_where_an_operation_begins_is_text),
        cmocka_unit_test(what_is_no_operation_is_refused_with_what_to_write),
        cmocka_unit_test(text_has_quotes_escapes_comments_and_ends_of_lines),
        cmocka_unit_test(every_beginning_of_a_text_is_read_without_passing_its_end),
        cmocka_unit_test(no_text_is_no_operation),
        cmocka_unit_test(csv_fields_are_quoted_as_rfc_4180_says),
        cmocka_unit_test(a_csv_row_becomes_a_json_object_in_the_order_of_its_columns),
        cmocka_unit_test(bad_csv_is_named_by_row_and_line),
        cmocka_unit_test(a_key_that_is_too_long_with_its_prefix_is_refused),
        cmocka_unit_test(json_lines_keep_their_numbers_as_written),
        cmocka_unit_test(bad_json_is_named_by_row_and_line),
        cmocka_unit_test(the_key_after_a_prefix_is_after_all_keys_that_begin_with_it),
        cmocka_unit_test(a_scan_is_cut_wherever_a_placement_begins_or_ends),
        cmocka_unit_test(shown_bytes_stay_on_their_line),
        cmocka_unit_test(times_are_shown_in_the_unit_that_fits),
        cmocka_unit_test(a_number_is_found_by_the_whole_name_of_its_line),
        cmocka_unit_test(durations_need_their_unit),
    };
    return cmocka_run_group_tests_name("command_parse", tests, NULL, NULL);
}
