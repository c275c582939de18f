/* participant/kv_*: checks and their sentences, adds and escrow, reads over memory and tables,
 * outcomes, views, pruning, rollbacks. test_kv_store_model.c has the random histories. */
#include "kv_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/number.h"
#include "participant/kv_tables.h"

#define TS(n) ((hlc_ts)(n) << 16)

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* Sentence NULL: must pass. A reservation is given up at once. */
static void expect(assent_status status, const char *sentence, const struct op *op, uint32_t n)
{
    struct kv_verdict verdict;
    struct txid txid = rig_txid(&rig, 1);
    rig_check(&rig, &txid, op, n, &verdict);
    if (sentence == NULL && verdict.detail != NULL)
        fail_msg("refused: %.*s", (int)verdict.detail->len, verdict.detail->data);
    assert_int_equal(verdict.status, status);
    if (sentence != NULL) {
        char text[DETAIL_BYTES_MAX + 1];
        snprintf(text, sizeof text, "%.*s", (int)verdict.detail->len, verdict.detail->data);
        assert_string_equal(text, sentence);
    }
    verdict_free(&verdict);
    kv_store_cancel(rig.kv, &txid);
}

static void expect_one(assent_status status, const char *sentence, struct op op)
{
    expect(status, sentence, &op, 1);
}

static void expect_holds(const char *key, const char *value)
{
    struct results results;
    struct op op = op_of(OP_READ_KEY, key);
    rig_read(&rig, &op, 1, &results);
    assert_int_equal(results.n, 1);
    assert_int_equal(results.result[0].found, value != NULL);
    if (value != NULL) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)results.result[0].value.len,
                 (const char *)results.result[0].value.data);
        assert_string_equal(text, value);
    }
    results_free(&results);
}

/* "a=1 b=2+" with + after a truncated entry. */
static void expect_range(struct op op, const char *expected)
{
    struct results results;
    char text[256] = "";
    rig_read(&rig, &op, 1, &results);
    for (uint32_t i = 0; i < results.n; i++) {
        struct result *r = &results.result[i];
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%.*s=%.*s%s", i == 0 ? "" : " ", (int)r->key.len,
                 (const char *)r->key.data, (int)r->value.len, (const char *)r->value.data,
                 r->truncated ? "+" : "");
    }
    results_free(&results);
    assert_string_equal(text, expected);
}

static void checks_of_one_key_say_what_was_expected_and_found(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "text", "b");
    rig_put(&rig, TS(2), "three", "3");
    rig_put(&rig, TS(3), "empty", "");
    rig_put(&rig, TS(3), "gone", "x");
    rig_delete(&rig, TS(4), "gone");
    /* Once from memory, once from the tables, once after a restart. */
    for (int round = 0; round < 3; round++) {
        expect_one(ASSENT_OK, NULL, op_of(OP_CHECK_EXISTS, "text"));
        expect_one(ASSENT_OK, NULL, op_of(OP_CHECK_EXISTS, "empty"));
        expect_one(ASSENT_CHECK_FAILED, "key 'gone': expected a value, found nothing",
                   op_of(OP_CHECK_EXISTS, "gone"));
        expect_one(ASSENT_OK, NULL, op_of(OP_CHECK_ABSENT, "gone"));
        expect_one(ASSENT_OK, NULL, op_of(OP_CHECK_ABSENT, "never"));
        expect_one(ASSENT_CHECK_FAILED, "key 'empty': expected nothing, found ''",
                   op_of(OP_CHECK_ABSENT, "empty"));
        struct op op = op_put("text", "b");
        op.kind = OP_CHECK_VALUE;
        expect_one(ASSENT_OK, NULL, op);
        op.value = bytes_of_text("a");
        expect_one(ASSENT_CHECK_FAILED, "key 'text': expected value 'a', found 'b'", op);
        op.key = bytes_of_text("never");
        expect_one(ASSENT_CHECK_FAILED, "key 'never': expected value 'a', found nothing", op);
        op = op_of(OP_CHECK_VALUE, "empty");
        expect_one(ASSENT_OK, NULL, op);
        op = op_add("three", 3);
        op.kind = OP_CHECK_AT_LEAST;
        expect_one(ASSENT_OK, NULL, op);
        op.number = 4;
        expect_one(ASSENT_CHECK_FAILED, "key 'three': expected at least 4, found '3'", op);
        op.key = bytes_of_text("never");
        expect_one(ASSENT_CHECK_FAILED, "key 'never': expected at least 4, found nothing", op);
        op.key = bytes_of_text("text");
        expect_one(ASSENT_NOT_INTEGER, "key 'text': expected an integer, found 'b'", op);
        if (round == 0)
            rig_apply(&rig, 100, true);
        if (round == 1)
            rig_restart(&rig);
    }
}

static void a_version_names_the_write_and_counts_adds(void **state)
{
    (void)state;
    struct op op = op_of(OP_CHECK_VERSION, "k"), put = op_put("k", "1"), add = op_add("k", 5);
    op.version.txid = rig_write(&rig, TS(5), &put, 1);
    op.version.ts = TS(5);
    expect_one(ASSENT_OK, NULL, op);
    rig_write(&rig, TS(4), &add, 1);
    char text[TXID_TEXT_BYTES], sentence[400];
    txid_text(&op.version.txid, text);
    /* An add below the newest timestamp leaves that, and counts. */
    snprintf(sentence, sizeof sentence,
             "key 'k': expected the version of %s at 327680 with 0 adds, found that of %s at 327680"
             " with 1 adds",
             text, text);
    expect_one(ASSENT_CHECK_FAILED, sentence, op);
    op.version.applies = 1;
    expect_one(ASSENT_OK, NULL, op);
    op.version.ts++;
    struct kv_verdict verdict;
    struct txid txid = rig_txid(&rig, 1);
    assert_int_equal(rig_check(&rig, &txid, &op, 1, &verdict), ASSENT_CHECK_FAILED);
    verdict_free(&verdict);
    snprintf(sentence, sizeof sentence,
             "key 'n': expected the version of %s at 327681 with 1 adds, found nothing", text);
    op.key = bytes_of_text("n");
    expect_one(ASSENT_CHECK_FAILED, sentence, op);
}

static void a_range_check_sees_writes_and_deletions_after_its_timestamp(void **state)
{
    (void)state;
    rig_put(&rig, TS(10), "b", "1");
    rig_put(&rig, TS(20), "d", "1");
    rig_delete(&rig, TS(30), "c");
    for (int round = 0; round < 2; round++) {
        struct op op = op_range(OP_CHECK_RANGE, "a", "c");
        op.version.ts = TS(10);
        expect_one(ASSENT_OK, NULL, op);
        op.version.ts--;
        expect_one(ASSENT_CHANGED,
                   "range 'a' to 'c': expected no write after 655359, found key 'b' written at"
                   " 655360",
                   op);
        op = op_range(OP_CHECK_RANGE, "c", "d");
        op.version.ts = TS(29);
        expect_one(ASSENT_CHANGED,
                   "range 'c' to 'd': expected no write after 1900544, found key 'c' written at"
                   " 1966080",
                   op);
        op = op_range(OP_CHECK_RANGE, "d", "");
        op.version.ts = TS(20);
        expect_one(ASSENT_OK, NULL, op);
        op.version.ts = TS(19);
        expect_one(ASSENT_CHANGED,
                   "range 'd' to the end: expected no write after 1245184, found key 'd' written at"
                   " 1310720",
                   op);
        op.version.ts = UINT64_MAX;
        expect_one(ASSENT_OK, NULL, op);
        rig_apply(&rig, 100, true);
    }
}

static void keys_and_values_in_sentences_are_escaped_and_cut(void **state)
{
    (void)state;
    char key[200];
    memset(key, '\xff', sizeof key);
    key[sizeof key - 1] = '\0';
    key[0] = 'k';
    key[1] = '\'';
    key[2] = '\n';
    expect_one(
        ASSENT_CHECK_FAILED,
        "key 'k\\x27\\x0a\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff'...:"
        " expected a value, found nothing",
        op_of(OP_CHECK_EXISTS, key));
}

static void an_empty_value_is_stored_as_a_value(void **state)
{
    (void)state;
    struct kv_tables *tables;
    struct kv_row row = {.cell = {.key = bytes_of_text("k"), .live = true, .version = {.ts = 1}},
                         .links = {.n = 1}};
    assert_int_equal(kv_tables_open(&tables, rig.db), SQLITE_OK);
    assert_int_equal(kv_tables_put(tables, &row), SQLITE_OK);
    row.cell.live = false;
    assert_int_equal(kv_tables_get(tables, bytes_of_text("k"), &row), SQLITE_ROW);
    assert_true(row.cell.live);
    assert_int_equal(row.cell.value.len, 0);
    kv_tables_close(tables);
}

static void only_canonical_decimal_text_of_64_bits_is_an_integer(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-1", "10", "9223372036854775807",
                                       "-9223372036854775808"};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "01",
                                      "-0",
                                      "1 ",
                                      " 1",
                                      "1a",
                                      "0x10",
                                      "1.",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999"};
    char text[WIDE_TEXT_BYTES];
    int64_t number;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(number_parse(bytes_of_text(good[i]), &number));
        assert_string_equal(number_text(number, text), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (number_parse(bytes_of_text(bad[i]), &number))
            fail_msg("'%s' was read as an integer", bad[i]);
    wide least = (wide)((unsigned __int128)1 << 127);
    assert_string_equal(number_text(least, text), "-170141183460469231731687303715884105728");
}

static void an_add_needs_an_integer_within_bounds_and_64_bits(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "n", "10");
    rig_put(&rig, TS(1), "s", "ten");
    rig_put(&rig, TS(1), "max", "9223372036854775807");
    rig_put(&rig, TS(1), "min", "-9223372036854775808");
    expect_one(ASSENT_OK, NULL, op_add("absent", -5));
    expect_one(ASSENT_NOT_INTEGER, "key 's': expected an integer, found 'ten'", op_add("s", 1));
    expect_one(ASSENT_OK, NULL, op_add_within("n", -10, 0, 10));
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding -11 gives -1 in the worst case, below its lower bound 0",
               op_add_within("n", -11, 0, 100));
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding 91 gives 101 in the worst case, above its upper bound 100",
               op_add_within("n", 91, 0, 100));
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding 1 gives 11 in the worst case, below its lower bound 50",
               op_add_within("n", 1, 50, 100));
    expect_one(ASSENT_OK, NULL, op_add("max", 0));
    expect_one(ASSENT_OVERFLOW,
               "key 'max': adding 1 gives 9223372036854775808 in the worst case, which is over 64"
               " bits",
               op_add("max", 1));
    expect_one(ASSENT_OVERFLOW,
               "key 'min': adding -9223372036854775808 gives -18446744073709551616 in the worst"
               " case, which is over 64 bits",
               op_add("min", INT64_MIN));
    expect_one(ASSENT_OK, NULL, op_add("max", INT64_MIN));
}

static void writes_of_one_transaction_build_on_each_other_and_refuse_what_would_fail(void **state)
{
    (void)state;
    struct op bad_put[] = {op_put("k", "x"), op_add("k", 1)};
    expect(ASSENT_NOT_INTEGER, "key 'k': expected an integer, found 'x'", bad_put, 2);
    struct op over[] = {op_put("k", "9223372036854775807"), op_add("k", 1)};
    expect(ASSENT_OVERFLOW,
           "key 'k': adding 1 gives 9223372036854775808 in the worst case, which is over 64 bits",
           over, 2);
    /* The sum fits; the first result does not. */
    struct op chain[] = {op_add("k", INT64_MAX), op_add("k", 1), op_add("k", -1)};
    expect(ASSENT_OVERFLOW,
           "key 'k': adding 1 gives 9223372036854775808 in the worst case, which is over 64 bits",
           chain, 3);
    struct op good[] = {op_put("k", "5"),      op_add("k", 2),   op_put("j", "x"),
                        op_of(OP_DELETE, "j"), op_add("j", 4),   op_add("i", 1),
                        op_add("i", 1),        op_put("h", "1"), op_of(OP_DELETE, "h")};
    expect(ASSENT_OK, NULL, good, 9);
    rig_write(&rig, TS(1), good, 9);
    for (int round = 0; round < 2; round++) {
        expect_holds("k", "7");
        expect_holds("j", "4");
        expect_holds("i", "2");
        expect_holds("h", NULL);
        rig_apply(&rig, 100, true);
    }
}

static void checks_and_reads_do_not_see_the_transactions_own_writes(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "k", "1");
    struct op ops[] = {op_of(OP_DELETE, "k"), op_of(OP_CHECK_EXISTS, "k"), op_of(OP_READ_KEY, "k"),
                       op_range(OP_READ_RANGE, "a", "z")};
    struct kv_verdict verdict;
    struct results results;
    struct txid txid = rig_txid(&rig, 2);
    assert_int_equal(rig_check(&rig, &txid, ops, 4, &verdict), ASSENT_OK);
    assert_int_equal(results_decode(verdict.results, &results), ASSENT_OK);
    assert_int_equal(results.n, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(results.result[i].op, 2 + i);
        assert_true(results.result[i].found);
        assert_true(bytes_equal(results.result[i].value, bytes_of_text("1")));
        assert_true(results.result[i].version.ts == TS(1));
    }
    results_free(&results);
    verdict_free(&verdict);
}

static void an_add_that_returns_its_value_gives_the_result_after_it(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "k", "40");
    struct op ops[] = {op_add("k", 1), op_add("k", 1)};
    ops[0].returns_value = ops[1].returns_value = true;
    struct kv_verdict verdict;
    struct results results;
    struct txid txid = rig_txid(&rig, 2);
    assert_int_equal(rig_check(&rig, &txid, ops, 2, &verdict), ASSENT_OK);
    assert_int_equal(results_decode(verdict.results, &results), ASSENT_OK);
    assert_int_equal(results.n, 2);
    assert_true(bytes_equal(results.result[0].value, bytes_of_text("41")));
    assert_true(bytes_equal(results.result[1].value, bytes_of_text("42")));
    assert_int_equal(results.result[1].version.applies, 2);
    assert_true(txid_equal(&results.result[1].version.txid, &txid));
    results_free(&results);
    verdict_free(&verdict);
}

static void escrow_counts_every_pending_add_in_the_worst_case(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "n", "10");
    struct txid up = rig_txid(&rig, 1), down = rig_txid(&rig, 1);
    struct op add = op_add_within("n", 5, 0, 20), take = op_add_within("n", -8, 0, 20);
    assert_int_equal(rig_prepare(&rig, &up, TS(2), &add, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &down, TS(2), &take, 1), ASSENT_OK);
    /* 10 - 8 - 3 could be: that the 5 is on its way does not help. */
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding -3 gives -1 in the worst case, below its lower bound 0",
               op_add_within("n", -3, 0, 20));
    expect_one(ASSENT_OK, NULL, op_add_within("n", -2, 0, 20));
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding 6 gives 21 in the worst case, above its upper bound 20",
               op_add_within("n", 6, 0, 20));
    /* One without bounds must keep those of the pending ones. */
    char text[TXID_TEXT_BYTES], sentence[300];
    snprintf(sentence, sizeof sentence,
             "key 'n': adding 6 takes the pending add of %s to 21 in the worst case, above its"
             " upper bound 20",
             txid_text(&up, text));
    expect_one(ASSENT_OUT_OF_BOUNDS, sentence, op_add("n", 6));
    snprintf(sentence, sizeof sentence,
             "key 'n': adding -3 takes the pending add of %s to -1 in the worst case, below its"
             " lower bound 0",
             txid_text(&down, text));
    expect_one(ASSENT_OUT_OF_BOUNDS, sentence, op_add("n", -3));
    rig_restart(&rig);
    expect_one(ASSENT_OUT_OF_BOUNDS, sentence, op_add("n", -3));
    rig_abort(&rig, &down);
    expect_one(ASSENT_OK, NULL, op_add_within("n", -10, 0, 20));
    rig_commit(&rig, &up, TS(3));
    expect_one(ASSENT_OK, NULL, op_add_within("n", -15, 0, 20));
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding -16 gives -1 in the worst case, below its lower bound 0",
               op_add_within("n", -16, 0, 20));
}

static void escrow_keeps_64_bits_in_the_worst_case(void **state)
{
    (void)state;
    struct txid a = rig_txid(&rig, 1), b = rig_txid(&rig, 1);
    struct op half = op_add("n", INT64_MAX - 1), bump[] = {op_add("m", 10), op_add("m", -10)};
    assert_int_equal(rig_prepare(&rig, &a, TS(2), &half, 1), ASSENT_OK);
    expect_one(ASSENT_OK, NULL, op_add("n", 1));
    expect_one(ASSENT_OVERFLOW,
               "key 'n': adding 2 gives 9223372036854775808 in the worst case, which is over 64"
               " bits",
               op_add("n", 2));
    expect_one(ASSENT_OK, NULL, op_add("n", INT64_MIN));
    /* A pending chain of adds has its own passing peak. */
    assert_int_equal(rig_prepare(&rig, &b, TS(2), bump, 2), ASSENT_OK);
    char text[TXID_TEXT_BYTES], sentence[300];
    snprintf(sentence, sizeof sentence,
             "key 'm': adding 9223372036854775798 takes the pending add of %s to"
             " 9223372036854775808 in the worst case, above its upper bound 9223372036854775807",
             txid_text(&b, text));
    expect_one(ASSENT_OVERFLOW, sentence, op_add("m", INT64_MAX - 9));
    expect_one(ASSENT_OK, NULL, op_add("m", INT64_MAX - 10));
}

static void checks_of_one_batch_see_each_others_reservations(void **state)
{
    (void)state;
    struct kv_verdict verdict;
    struct txid a = rig_txid(&rig, 1), b = rig_txid(&rig, 1);
    struct op take = op_add_within("n", -6, 0, 10);
    rig_put(&rig, TS(1), "n", "10");
    rig_sql(&rig, "BEGIN IMMEDIATE");
    assert_int_equal(rig_check(&rig, &a, &take, 1, &verdict), ASSENT_OK);
    assert_int_equal(rig_check(&rig, &b, &take, 1, &verdict), ASSENT_OUT_OF_BOUNDS);
    verdict_free(&verdict);
    /* The same transaction again is not its own rival. */
    assert_int_equal(rig_check(&rig, &a, &take, 1, &verdict), ASSENT_OK);
    kv_store_cancel(rig.kv, &a);
    assert_int_equal(rig_check(&rig, &b, &take, 1, &verdict), ASSENT_OK);
    rig_sql(&rig, "ROLLBACK");
    assert_int_equal(rig_check(&rig, &a, &take, 1, &verdict), ASSENT_OK);
    rig_append(&rig, RECORD_APPLIED, &a, TS(2), rig_body(&a, &take, 1));
    expect_holds("n", "4");
    assert_int_equal(rig_check(&rig, &b, &take, 1, &verdict), ASSENT_OUT_OF_BOUNDS);
    verdict_free(&verdict);
    /* A rolled back batch does not take prepared transactions with it. */
    take.number = -4;
    assert_int_equal(rig_prepare(&rig, &b, TS(3), &take, 1), ASSENT_OK);
    rig_sql(&rig, "BEGIN IMMEDIATE; ROLLBACK");
    kv_store_cancel(rig.kv, &b);
    expect_one(ASSENT_OUT_OF_BOUNDS,
               "key 'n': adding -1 gives -1 in the worst case, below its lower bound 0",
               op_add_within("n", -1, 0, 10));
}

static void reads_merge_memory_over_tables_and_hide_deleted_keys(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "a", "old");
    rig_put(&rig, TS(1), "b", "1");
    rig_put(&rig, TS(1), "c", "1");
    rig_put(&rig, TS(1), "e", "1");
    rig_delete(&rig, TS(1), "f");
    rig_apply(&rig, 100, true);
    rig_put(&rig, TS(2), "a", "new");
    rig_delete(&rig, TS(2), "b");
    rig_put(&rig, TS(2), "d", "2");
    rig_put(&rig, TS(2), "f", "2");
    rig_put(&rig, TS(2), "g", "");
    for (int round = 0; round < 3; round++) {
        expect_range(op_range(OP_READ_RANGE, "a", ""), "a=new c=1 d=2 e=1 f=2 g=");
        expect_range(op_range(OP_READ_RANGE, "a", "f"), "a=new c=1 d=2 e=1");
        expect_range(op_range(OP_READ_RANGE, "aa", "d"), "c=1");
        expect_range(op_range(OP_READ_RANGE, "h", ""), "");
        expect_holds("b", NULL);
        expect_holds("g", "");
        expect_holds("e", "1");
        if (round == 0)
            rig_restart(&rig);
        rig_apply(&rig, round == 0 ? 2 : 100, true);
    }
    assert_int_equal(rig.applied, rig.n);
}

static void a_range_is_cut_at_its_limit_and_says_so_only_if_more_follows(void **state)
{
    (void)state;
    rig_put(&rig, TS(1), "a", "1");
    rig_put(&rig, TS(1), "b", "1");
    rig_delete(&rig, TS(1), "c");
    struct op op = op_range(OP_READ_RANGE, "a", "");
    op.limit = 1;
    expect_range(op, "a=1+");
    op.limit = 2;
    expect_range(op, "a=1 b=1");
    rig_apply(&rig, 100, true);
    expect_range(op, "a=1 b=1");
    op.limit = 3;
    expect_range(op, "a=1 b=1");
}

static void reads_are_cut_at_the_size_limit_or_refused(void **state)
{
    (void)state;
    char *large = xmalloc(VALUE_BYTES_MAX);
    memset(large, 'x', VALUE_BYTES_MAX);
    struct op put = {.kind = OP_PUT, .value = bytes_of(large, VALUE_BYTES_MAX)};
    static const char *const keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        put.key = bytes_of_text(keys[i]);
        rig_write(&rig, TS(1), &put, 1);
    }
    struct results results;
    struct op range = op_range(OP_READ_RANGE, "a", "");
    rig_read(&rig, &range, 1, &results);
    assert_int_equal(results.n, 1); /* two full values and their keys do not fit */
    assert_true(results.result[0].truncated);
    results_free(&results);
    struct op two[] = {op_of(OP_READ_KEY, "a"), op_of(OP_READ_KEY, "b")};
    expect(ASSENT_TOO_LARGE, "key 'b': the reads give more than 2097152 bytes: read less at once",
           two, 2);
    put.key = bytes_of_text("b");
    put.value.len = VALUE_BYTES_MAX - 200;
    rig_write(&rig, TS(2), &put, 1);
    rig_read(&rig, &range, 1, &results);
    assert_int_equal(results.n, 2);
    assert_false(results.result[0].truncated);
    assert_true(results.result[1].truncated);
    results_free(&results);
    free(large);
}

static void a_read_refuses_other_operations(void **state)
{
    (void)state;
    struct kv_verdict verdict;
    struct op ops[] = {op_of(OP_READ_KEY, "a"), op_put("a", "1")};
    struct blob *encoded = ops_encode(ops, 2), *noise = blob_new(bytes_of_text("\xc1"));
    kv_store_read(rig.kv, rig.db, &newest, encoded, &verdict);
    assert_int_equal(verdict.status, ASSENT_MALFORMED);
    assert_true(bytes_equal(blob_bytes(verdict.detail), bytes_of_text("operation 2: not a read")));
    assert_null(verdict.results);
    verdict_free(&verdict);
    kv_store_read(rig.kv, rig.db, &newest, noise, &verdict);
    assert_int_equal(verdict.status, ASSENT_MALFORMED);
    assert_non_null(verdict.detail);
    verdict_free(&verdict);
    blob_unref(encoded);
    blob_unref(noise);
}

static void adds_applied_out_of_order_give_the_same_version_everywhere(void **state)
{
    (void)state;
    struct version seen[2];
    for (int order = 0; order < 2; order++) {
        const char *key = order == 0 ? "x" : "y";
        struct txid id[2] = {txid_make(1, 0, 1000), txid_make(1, 0, 1001)};
        for (int i = 0; i < 2; i++) {
            struct op add = op_add(key, 1 + i);
            id[i].b[15] = (uint8_t)(id[i].b[15] + 10 * order);
            assert_int_equal(rig_prepare(&rig, &id[i], TS(1), &add, 1), ASSENT_OK);
        }
        rig_commit(&rig, &id[order], order == 0 ? TS(7) : TS(9));
        rig_commit(&rig, &id[1 - order], order == 0 ? TS(9) : TS(7));
        struct results results;
        struct op op = op_of(OP_READ_KEY, key);
        rig_read(&rig, &op, 1, &results);
        assert_true(bytes_equal(results.result[0].value, bytes_of_text("3")));
        seen[order] = results.result[0].version;
        seen[order].txid.b[15] = (uint8_t)(seen[order].txid.b[15] - 10 * order);
        results_free(&results);
    }
    assert_true(seen[0].ts == TS(9));
    assert_true(seen[1].ts == TS(9));
    assert_int_equal(seen[0].applies, 2);
    assert_int_equal(seen[1].applies, 2);
    assert_true(txid_equal(&seen[0].txid, &seen[1].txid));
}

static void expect_outcome(const struct txid *txid, enum record_kind kind, hlc_ts ts)
{
    struct record record;
    bool found;
    assert_int_equal(kv_store_outcome(rig.kv, rig.db, txid, &found, &record), ASSENT_OK);
    assert_int_equal(found, kind != 0);
    assert_int_equal(record.kind, kind);
    assert_true(record.ts == ts);
    if (kind == RECORD_ABORTED)
        assert_int_equal(aborted_record_decode(blob_bytes(record.body)), ASSENT_TIMED_OUT);
    else
        assert_null(record.body);
    blob_unref(record.body);
}

static void count_record(void *arg, const struct record *record)
{
    (void)record;
    ++*(int *)arg;
}

static void outcomes_and_prepared_records_are_known_before_and_after_they_are_applied(void **state)
{
    (void)state;
    struct op put = op_put("a", "1"), other = op_put("b", "1"), add = op_add("c", 1);
    struct txid done = rig_txid(&rig, 1000), dropped = rig_txid(&rig, 2000),
                stays = rig_txid(&rig, 9000), never = rig_txid(&rig, 4000);
    assert_int_equal(kv_store_newest_ms(rig.kv, rig.db), 0);
    assert_int_equal(rig_prepare(&rig, &done, TS(1), &put, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &dropped, TS(1), &other, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &stays, TS(1), &add, 1), ASSENT_OK);
    rig_commit(&rig, &done, TS(5));
    rig_abort(&rig, &dropped);
    rig_abort(&rig, &never); /* an abort without a prepared record is remembered */
    struct txid one = rig_write(&rig, TS(6000), &put, 1);
    for (int round = 0; round < 16; round++) {
        assert_int_equal(kv_store_newest_ms(rig.kv, rig.db), 6000);
        expect_outcome(&done, RECORD_COMMITTED, TS(5));
        expect_outcome(&dropped, RECORD_ABORTED, 0);
        expect_outcome(&never, RECORD_ABORTED, 0);
        expect_outcome(&one, RECORD_COMMITTED, TS(6000));
        expect_outcome(&stays, 0, 0);
        int n = 0;
        kv_store_each_prepared(rig.kv, count_record, &n);
        assert_int_equal(n, 1);
        n = 0;
        kv_store_each_outcome(rig.kv, rig.db, 2000, count_record, &n);
        assert_int_equal(n, 3);
        n = 0;
        kv_store_each_outcome(rig.kv, rig.db, 0, count_record, &n);
        assert_int_equal(n, 4);
        if (round % 2 == 0)
            rig_restart(&rig);
        else
            rig_apply(&rig, 1, true);
    }
    assert_int_equal(rig.applied, rig.n);
}

static void a_prepared_record_survives_a_crash_between_its_row_and_its_decision(void **state)
{
    (void)state;
    struct op put = op_put("a", "1");
    struct txid txid = rig_txid(&rig, 1);
    assert_int_equal(rig_prepare(&rig, &txid, TS(1), &put, 1), ASSENT_OK);
    rig_commit(&rig, &txid, TS(2));
    rig_apply(&rig, 1, true);
    rig_restart(&rig);
    expect_holds("a", "1");
    rig_apply(&rig, 1, true);
    rig_restart(&rig);
    expect_holds("a", "1");
}

static void an_apply_that_was_rolled_back_starts_again(void **state)
{
    (void)state;
    struct op add = op_add("n", 1);
    for (int i = 0; i < 4; i++)
        rig_write(&rig, TS(1 + i), &add, 1);
    rig_apply(&rig, 3, false);
    expect_holds("n", "4");
    rig_apply(&rig, 1, true);
    expect_holds("n", "4");
    rig_restart(&rig);
    expect_holds("n", "4");
    rig_apply(&rig, 100, true);
    rig_restart(&rig);
    expect_holds("n", "4");
}

static char *query(const char *sql)
{
    static char out[512];
    sqlite3_stmt *s;
    out[0] = '\0';
    assert_int_equal(sqlite3_prepare_v2(rig.db, sql, -1, &s, NULL), SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const char *text = (const char *)sqlite3_column_text(s, i);
            size_t at = strlen(out);
            snprintf(out + at, sizeof out - at, "%s%s", text == NULL ? "-" : text,
                     i + 1 < sqlite3_column_count(s) ? "|" : "\n");
        }
    sqlite3_finalize(s);
    return out;
}

/* What the log store would hold of the rig's log, applied rows included as long as not trimmed. */
static void log_rows(uint32_t from)
{
    sqlite3_stmt *s;
    rig_sql(&rig, "DELETE FROM log");
    sqlite3_prepare_v2(rig.db, "INSERT INTO log VALUES (?, ?, ?, ?, ?)", -1, &s, NULL);
    for (uint32_t i = from; i < rig.n; i++) {
        struct bytes body = blob_bytes(rig.log[i].body);
        sqlite3_bind_int64(s, 1, i + 1);
        sqlite3_bind_int(s, 2, (int)rig.log[i].kind);
        sqlite3_bind_blob(s, 3, rig.log[i].txid.b, TXID_BYTES, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (sqlite3_int64)rig.log[i].ts);
        sqlite3_bind_blob(s, 5, body.data, (int)body.len, SQLITE_STATIC);
        sqlite3_step(s);
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
}

static void the_views_show_the_log_and_the_tables_as_text(void **state)
{
    (void)state;
    struct op op = op_put("a", "1"), other = op_put("b", "1");
    struct txid in_doubt = rig_txid(&rig, 1000), aborted = rig_txid(&rig, 2000);
    assert_int_equal(rig_prepare(&rig, &in_doubt, TS(1700000000123), &op, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &aborted, TS(1), &other, 1), ASSENT_OK);
    rig_abort(&rig, &aborted);
    rig_put(&rig, TS(1600000000000), "c", "1");
    for (uint32_t applied = 0; applied <= 4; applied++) {
        for (uint32_t trimmed = 0; trimmed <= applied; trimmed++) {
            log_rows(trimmed);
            assert_string_equal(query("SELECT * FROM in_doubt"),
                                "00000000-03e8-7000-8000-000000000001|111411200008060928|"
                                "2023-11-14 22:13:20.123Z\n");
            assert_string_equal(query("SELECT * FROM outcomes_all"),
                                "00000000-07d0-7000-8000-000000000002|aborted|0|-|TIMED_OUT\n"
                                "0174876e-8000-7000-8000-000000000003|committed|"
                                "104857600000000000|2020-09-13 12:26:40.000Z|-\n");
        }
        rig_apply(&rig, 1, true);
    }
}

/* What a key is at a timestamp: its value, "-" for none. */
static void expect_at(hlc_ts ts, const char *key, const char *value)
{
    struct read_point point = {.level = READ_SNAPSHOT, .at = ts};
    struct op op = op_of(OP_READ_KEY, key);
    struct results results;
    assert_int_equal(rig_read_at(&rig, &point, &op, 1, &results), ASSENT_OK);
    assert_int_equal(results.n, 1);
    assert_int_equal(results.result[0].found, strcmp(value, "-") != 0);
    if (results.result[0].found)
        assert_true(bytes_equal(results.result[0].value, bytes_of_text(value)));
    results_free(&results);
}

static void expect_pruned(hlc_ts ts)
{
    struct read_point point = {.level = READ_SNAPSHOT, .at = ts};
    struct op op = op_of(OP_READ_KEY, "a");
    struct results results;
    assert_int_equal(rig_read_at(&rig, &point, &op, 1, &results), ASSENT_PRUNED);
}

/* Each commits; before, while and after they get into the tables. */
static void at_every_stage(void (*look)(void))
{
    look();
    while (rig.applied < rig.n) {
        rig_apply(&rig, 1, true);
        look();
        rig_restart(&rig);
        look();
    }
}

static void look_at_versions(void)
{
    expect_at(TS(10) - 1, "a", "-");
    expect_at(TS(10), "a", "1");
    expect_at(TS(20) - 1, "a", "1");
    expect_at(TS(20), "a", "2");
    expect_at(TS(30), "a", "-");
    expect_at(TS(39), "a", "-");
    expect_at(TS(40), "a", "");
    expect_at(READ_NEWEST, "a", "");
    expect_at(TS(15), "b", "-");
    expect_at(TS(25), "b", "7");
}

static void a_key_is_what_it_was_at_a_timestamp(void **state)
{
    (void)state;
    rig_put(&rig, TS(10), "a", "1");
    rig_put(&rig, TS(20), "a", "2");
    rig_put(&rig, TS(25), "b", "7");
    rig_delete(&rig, TS(30), "a");
    rig_put(&rig, TS(40), "a", "");
    at_every_stage(look_at_versions);
}

static void look_at_late_adds(void)
{
    expect_at(TS(9), "n", "-");
    expect_at(TS(10), "n", "5");
    expect_at(TS(12), "n", "105");
    expect_at(TS(15), "n", "1105");
    expect_at(TS(20), "n", "1106");
    expect_at(TS(30), "n", "1116");
    expect_at(TS(5), "fresh", "-");
    expect_at(TS(15), "fresh", "1000");
    expect_at(TS(20), "fresh", "1001");
}

static void a_late_add_is_in_the_versions_after_it_and_not_before(void **state)
{
    (void)state;
    struct op one[] = {op_add("n", 1), op_add("fresh", 1)}, ten = op_add("n", 10);
    struct op late[] = {op_add("n", 1000), op_add("fresh", 1000)}, later = op_add("n", 100);
    struct txid first = rig_txid(&rig, 1), second = rig_txid(&rig, 1);
    rig_put(&rig, TS(10), "n", "5");
    assert_int_equal(rig_prepare(&rig, &first, TS(14), late, 2), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &second, TS(11), &later, 1), ASSENT_OK);
    rig_write(&rig, TS(20), one, 2);
    rig_write(&rig, TS(30), &ten, 1);
    rig_commit(&rig, &first, TS(15));
    rig_commit(&rig, &second, TS(12));
    at_every_stage(look_at_late_adds);
    assert_string_equal(query("SELECT key, ts >> 16, until >> 16, value FROM kv_old ORDER BY 1, 2"),
                        "fresh|15|20|1000\n"
                        "n|10|12|5\nn|12|15|105\nn|15|20|1105\nn|20|30|1106\n");
}

static void look_at_adds_before_the_first(void)
{
    expect_at(TS(11), "n", "-");
    expect_at(TS(12), "n", "100");
    expect_at(TS(15), "n", "1100");
    expect_at(TS(20), "n", "1101");
    expect_at(TS(30), "n", "1111");
}

/* The second of them comes before a version that is in no table yet, of a key that has some. */
static void late_adds_that_are_applied_together_may_all_be_before_the_first_version(void **state)
{
    (void)state;
    struct op one = op_add("n", 1), ten = op_add("n", 10);
    struct op thousand = op_add("n", 1000), hundred = op_add("n", 100);
    struct txid first = rig_txid(&rig, 1), second = rig_txid(&rig, 1);
    assert_int_equal(rig_prepare(&rig, &first, TS(14), &thousand, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &second, TS(11), &hundred, 1), ASSENT_OK);
    rig_write(&rig, TS(20), &one, 1);
    rig_write(&rig, TS(30), &ten, 1);
    rig_apply(&rig, UINT32_MAX, true);
    rig_commit(&rig, &first, TS(15));
    rig_commit(&rig, &second, TS(12));
    look_at_adds_before_the_first();
    rig_apply(&rig, UINT32_MAX, true);
    look_at_adds_before_the_first();
    assert_string_equal(query("SELECT ts >> 16, until >> 16, value FROM kv_old ORDER BY 1"),
                        "12|15|100\n15|20|1100\n20|30|1101\n");
}

static void look_at_tied_adds(void)
{
    expect_at(TS(9), "n", "-");
    expect_at(TS(10), "n", "11");
    expect_at(TS(20), "n", "1111");
    expect_at(READ_NEWEST, "n", "11111");
}

/* Two participants may have had different parts in the timestamps, so concurrent adds may share
 * one. */
static void adds_of_one_timestamp_are_one_version(void **state)
{
    (void)state;
    struct op one = op_add("n", 1), ten = op_add("n", 10), hundred = op_add("n", 100);
    struct op thousand = op_add("n", 1000), last = op_add("n", 10000);
    struct txid ties[2] = {rig_txid(&rig, 1), rig_txid(&rig, 1)};
    assert_int_equal(rig_prepare(&rig, &ties[0], TS(5), &ten, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &ties[1], TS(6), &thousand, 1), ASSENT_OK);
    rig_write(&rig, TS(10), &one, 1);
    rig_commit(&rig, &ties[0], TS(10));
    rig_write(&rig, TS(20), &hundred, 1);
    rig_write(&rig, TS(30), &last, 1);
    rig_commit(&rig, &ties[1], TS(20));
    at_every_stage(look_at_tied_adds);
    assert_string_equal(query("SELECT ts >> 16, until >> 16, value, applies FROM kv_old"),
                        "10|20|11|2\n20|30|1111|4\n");
}

static int count_instruction(void *arg)
{
    ++*(uint32_t *)arg;
    return 0;
}

#define MANY_ADDS 5040
#define TOGETHER  7 /* of them are in flight at once, and commit in any order */

/* Adds 2^0 to 2^6, again and again, so that a sum says which are in it; applied in runs of any
 * length. */
static void add_many(struct prng *prng)
{
    for (uint64_t group = 0; group < MANY_ADDS / TOGETHER; group++) {
        struct txid txid[TOGETHER];
        for (int i = 0; i < TOGETHER; i++) {
            struct op add = op_add("n", 1 << i);
            txid[i] = rig_txid(&rig, 1);
            hlc_ts at = TS(1) + group * TOGETHER;
            assert_int_equal(rig_prepare(&rig, &txid[i], at, &add, 1), ASSENT_OK);
        }
        for (uint64_t turn = prng_below(prng, TOGETHER), i = 0; i < TOGETHER; i++) {
            uint64_t at = (turn + i * 3) % TOGETHER;
            rig_commit(&rig, &txid[at], TS(1) + group * TOGETHER + at);
        }
        if (prng_below(prng, 4) == 0)
            rig_apply(&rig, (uint32_t)prng_below(prng, 80), true);
    }
    rig_apply(&rig, UINT32_MAX, true);
}

static void a_version_far_back_is_found_in_few_steps(void **state)
{
    (void)state;
    struct prng prng;
    uint32_t instructions = 0, most = 0;
    int64_t sum = 0;
    prng_seed(&prng, 1);
    add_many(&prng);
    sqlite3_progress_handler(rig.db, 1, count_instruction, &instructions);
    for (uint64_t i = 0; i < MANY_ADDS; i++) {
        char text[24];
        sum += 1 << i % TOGETHER;
        snprintf(text, sizeof text, "%lld", (long long)sum);
        instructions = 0;
        expect_at(TS(1) + i, "n", text);
        most = instructions > most ? instructions : most;
    }
    sqlite3_progress_handler(rig.db, 0, NULL, NULL);
    assert_string_equal(query("SELECT count(*) FROM kv_old"), "5039\n");
    if (most > 1500)
        fail_msg("a read took %u instructions", most);
}

static void a_range_of_a_timestamp_goes_both_ways(void **state)
{
    (void)state;
    static const char *const expected[][2] = {{"a=1 c=3 e=5 ", "e=5 c=3 a=1 "},
                                              {"a=1 c=3 ", "e=5 c=3 "}};
    rig_put(&rig, TS(10), "a", "1");
    rig_put(&rig, TS(10), "b", "2");
    rig_put(&rig, TS(10), "c", "3");
    rig_put(&rig, TS(30), "d", "4");
    rig_put(&rig, TS(20), "e", "5");
    rig_delete(&rig, TS(15), "b");
    rig_delete(&rig, TS(30), "c");
    rig_put(&rig, TS(40), "e", "6");
    do {
        for (uint32_t limit = 0; limit < 3; limit += 2)
            for (int down = 0; down < 2; down++) {
                struct read_point point = {.level = READ_SNAPSHOT, .at = TS(25)};
                struct op op = op_range(OP_READ_RANGE, "a", down ? "" : "f");
                struct results results;
                char text[64] = "";
                op.limit = limit;
                op.descending = down;
                assert_int_equal(rig_read_at(&rig, &point, &op, 1, &results), ASSENT_OK);
                for (uint32_t i = 0; i < results.n; i++) {
                    const struct result *r = &results.result[i];
                    snprintf(text + strlen(text), sizeof text - strlen(text), "%c=%c ",
                             r->key.data[0], r->value.data[0]);
                    assert_int_equal(r->truncated, limit > 0 && i + 1 == results.n);
                }
                assert_string_equal(text, expected[limit > 0][down]);
                results_free(&results);
            }
        rig_apply(&rig, 1, true);
    } while (rig.applied < rig.n);
}

static void an_old_version_goes_when_its_successor_is_below_the_watermark(void **state)
{
    (void)state;
    bool more;
    rig_put(&rig, TS(10), "a", "1");
    rig_put(&rig, TS(20), "a", "2");
    rig_delete(&rig, TS(30), "a");
    rig_put(&rig, TS(10), "b", "1");
    rig_put(&rig, TS(40), "b", "2");
    rig_apply(&rig, 100, true);
    rig_watermark(&rig, TS(20));
    for (int round = 0; round < 2; round++) { /* what is pruned and rolled back is pruned again */
        rig_sql(&rig, "BEGIN IMMEDIATE");
        assert_int_equal(rig.role.prune(rig.role.arg, &more), SQLITE_OK);
        assert_false(more);
        rig_sql(&rig, round == 0 ? "ROLLBACK" : "COMMIT");
    }
    expect_pruned(TS(20) - 1);
    expect_at(TS(20), "a", "2");
    expect_at(TS(20), "b", "1");
    rig_watermark(&rig, TS(35));
    rig_restart(&rig); /* the watermark is not in the tables */
    rig_watermark(&rig, TS(35));
    assert_int_equal(rig.role.prune(rig.role.arg, &more), SQLITE_OK);
    expect_pruned(TS(30) - 1);
    expect_at(TS(30), "a", "-");
    expect_at(TS(30), "b", "1");
    expect_at(READ_NEWEST, "b", "2");
    rig_restart(&rig);
    expect_pruned(TS(30) - 1);
    assert_string_equal(query("SELECT key, value FROM kv_old"), "b|1\n");
}

/* At least so many rows, and more up to so much work: a large value is as much as several. */
static void a_step_of_an_apply_is_bounded_by_work_not_by_rows_alone(void **state)
{
    static const struct {
        struct store_step step;
        const char *keys;
    } steps[] = {{{3, 0}, "3\n"}, {{0, 4}, "5\n"}, {{0, 8}, "7\n"}, {{1, 1}, "8\n"}};
    char key[16], value[20001];
    bool more;
    (void)state;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "%d", i);
        rig_put(&rig, TS(10 + i), key, i == 5 ? value : "1");
    }
    rig_apply_begin(&rig, 10);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(rig.role.flush(rig.role.arg, &steps[i].step, &more), SQLITE_OK);
        assert_true(more);
        assert_string_equal(query("SELECT count(*) FROM kv"), steps[i].keys);
    }
    assert_false(rig_apply_step(&rig, 2));
    rig_apply_end(&rig, true);
}

/* ---- what changed since ---- */

/* "key=value", "key-" if it was deleted, of [key, end) or of the key; "" if there is no result. */
static void expect_changed(hlc_ts since, const char *key, const char *end, const char *expected)
{
    struct read_point point = {.level = READ_EVENTUAL, .at = READ_NEWEST, .since = since};
    struct op op = end == NULL ? op_of(OP_READ_KEY, key) : op_range(OP_READ_RANGE, key, end);
    struct results results;
    char text[256] = "";
    assert_int_equal(rig_read_at(&rig, &point, &op, 1, &results), ASSENT_OK);
    for (uint32_t i = 0; i < results.n; i++) {
        const struct result *at = &results.result[i];
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%.*s%s%.*s", i == 0 ? "" : " ", (int)at->key.len,
                 (const char *)at->key.data, at->found ? "=" : "-", (int)at->value.len,
                 (const char *)at->value.data);
    }
    assert_string_equal(text, expected);
    results_free(&results);
}

static void expect_changes_unknown(hlc_ts since, const char *key, assent_status status)
{
    struct read_point point = {.level = READ_EVENTUAL, .at = READ_NEWEST, .since = since};
    struct op op = op_range(OP_READ_RANGE, key, "");
    struct results results;
    assert_int_equal(rig_read_at(&rig, &point, &op, 1, &results), status);
}

static void look_at_changes(void)
{
    expect_changed(TS(5), "a", "c", "a- b=2");
    expect_changed(TS(10), "a", "c", "a- b=2");
    expect_changed(TS(20), "a", "c", "a-");
    expect_changed(TS(30), "a", "c", "");
    expect_changed(TS(29), "a", NULL, "a-");
    expect_changed(TS(30), "a", NULL, "");
    expect_changed(TS(10), "b", NULL, "b=2");
    expect_changed(TS(1), "never", NULL, "");
    expect_changed(TS(5), "n", "o", "n=3");
    expect_changed(TS(40), "n", "o", "");
}

static void what_changed_since_is_found_at_every_stage(void **state)
{
    (void)state;
    struct op add[] = {op_add("n", 1), op_add("n", 2)};
    struct txid late = rig_txid(&rig, 1);
    assert_int_equal(rig_prepare(&rig, &late, TS(31), &add[1], 1), ASSENT_OK);
    rig_put(&rig, TS(10), "a", "1");
    rig_put(&rig, TS(10), "b", "1");
    rig_put(&rig, TS(20), "b", "2");
    rig_delete(&rig, TS(30), "a");
    rig_write(&rig, TS(40), &add[0], 1);
    rig_commit(&rig, &late, TS(35));
    at_every_stage(look_at_changes);
    rig_sql(&rig, "DELETE FROM kv WHERE value IS NULL; UPDATE kv_prune SET point = 30 << 16");
    rig_restart(&rig);
    expect_changes_unknown(TS(30) - 1, "a", ASSENT_PRUNED);
    expect_changed(TS(30), "a", "c", "");
}

static void too_many_changes_are_not_told_in_part(void **state)
{
    (void)state;
    char key[8];
    for (uint32_t i = 0; i <= WATCH_KEYS_MAX; i++) {
        snprintf(key, sizeof key, "k%03u", i);
        rig_put(&rig, TS(10), key, "1");
    }
    expect_changes_unknown(TS(5), "k", ASSENT_TOO_LARGE);
    expect_changed(TS(10), "k", "", "");
    rig_apply(&rig, rig.n, true);
    rig_sql(&rig, "WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 10000)"
                  " INSERT INTO kv SELECT CAST(printf('r%d', i) AS BLOB), value, ts, txid, applies,"
                  " versions, old, skips FROM n, kv WHERE key = CAST('k000' AS BLOB)");
    expect_changed(TS(10), "r", "", "");
    rig_put(&rig, TS(20), "s", "1");
    expect_changes_unknown(TS(10), "r", ASSENT_TOO_LARGE);
}

/* The deletion may be forgotten before the versions that it ended. */
static void a_version_that_outlives_its_deletion_does_not_come_back(void **state)
{
    (void)state;
    rig_put(&rig, TS(10), "a", "1");
    rig_delete(&rig, TS(20), "a");
    rig_apply(&rig, 100, true);
    rig_sql(&rig, "DELETE FROM kv; UPDATE kv_prune SET point = 20 << 16");
    rig_restart(&rig);
    expect_pruned(TS(20) - 1);
    expect_at(TS(20), "a", "-");
    rig_put(&rig, TS(40), "a", "2");
    rig_apply(&rig, 100, true);
    expect_at(TS(39), "a", "-");
    expect_at(TS(40), "a", "2");
}

static void what_is_pending_may_not_belong_to_a_snapshot(void **state)
{
    (void)state;
    struct read_point early = {.level = READ_SNAPSHOT, .at = TS(9)},
                      late = {.level = READ_SNAPSHOT, .at = TS(10)};
    struct read_point eventual = {.level = READ_EVENTUAL, .at = READ_NEWEST};
    struct op put = op_put("a", "1"), get = op_of(OP_READ_KEY, "a");
    struct op range = op_range(OP_READ_RANGE, "a", "");
    struct txid txid = rig_txid(&rig, 1);
    struct results results;
    assert_int_equal(rig_prepare(&rig, &txid, TS(10), &put, 1), ASSENT_OK);
    assert_int_equal(rig_read_at(&rig, &early, &get, 1, &results), ASSENT_OK);
    results_free(&results);
    assert_int_equal(rig_read_at(&rig, &eventual, &get, 1, &results), ASSENT_OK);
    results_free(&results);
    struct op stops[] = {get, range};
    for (int i = 0; i < 2; i++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            fclose(stderr);
            rig_read_at(&rig, &late, &stops[i], 1, &results);
            _exit(0);
        }
        int end;
        assert_int_equal(waitpid(child, &end, 0), child);
        assert_true(WIFSIGNALED(end) && WTERMSIG(end) == SIGABRT);
    }
}

static void what_is_older_than_the_watermark_is_pruned_in_steps(void **state)
{
    (void)state;
    char key[32];
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        rig_delete(&rig, TS(100 + i), key);
    }
    rig_put(&rig, TS(90), "alive", "1");
    rig_apply(&rig, 100, true);
    rig_watermark(&rig, TS(130));
    struct op since = op_range(OP_CHECK_RANGE, "k20", "k21");
    since.version.ts = TS(1);
    expect_one(ASSENT_CHANGED,
               "range 'k20' to 'k21': expected no write after 65536, found key 'k20' written at"
               " 7864320",
               since);
    rig_put(&rig, TS(200), "z", "1");
    rig_apply(&rig, 1, true);
    assert_string_equal(query("SELECT count(*) FROM kv WHERE value IS NULL"), "30\n");
    assert_string_equal(query("SELECT count(*) FROM outcomes"), "32\n");
    /* A rolled back step is done again, its prune point as well. */
    rig_put(&rig, TS(200), "z", "1");
    rig_apply(&rig, 1, false);
    rig_apply(&rig, 1, true);
    rig_restart(&rig);
    rig_watermark(&rig, TS(130));
    for (int i = 0; i < 10; i++) {
        rig_put(&rig, TS(200), "z", "1");
        rig_apply(&rig, 1, true);
    }
    assert_string_equal(query("SELECT count(*), min(ts >> 16) FROM kv WHERE value IS NULL"),
                        "10|130\n");
    assert_string_equal(query("SELECT count(*) FROM outcomes WHERE ts >> 16 < 130"), "0\n");
    assert_string_equal(query("SELECT count(*) FROM outcomes"), "22\n");
    for (int round = 0; round < 2; round++) {
        since.version.ts = TS(129) - 1;
        expect_one(ASSENT_PRUNED,
                   "range 'k20' to 'k21': changes since 8454143 are not known, deletions up to"
                   " 8454144 are forgotten",
                   since);
        since.version.ts = TS(129);
        expect_one(ASSENT_OK, NULL, since);
        expect_holds("alive", "1");
        rig_restart(&rig);
    }
}

static void a_prune_point_reached_in_a_rolled_back_apply_is_written_by_the_next(void **state)
{
    (void)state;
    rig_delete(&rig, TS(10), "a");
    rig_apply(&rig, 1, true);
    rig_put(&rig, TS(50), "z", "1");
    rig_watermark(&rig, TS(20));
    rig_apply(&rig, 1, false);
    rig_watermark(&rig, TS(21));
    rig_apply(&rig, 1, true);
    rig_restart(&rig);
    struct op since = op_range(OP_CHECK_RANGE, "a", "b");
    since.version.ts = TS(9);
    expect_one(ASSENT_PRUNED,
               "range 'a' to 'b': changes since 589824 are not known, deletions up to 655360 are"
               " forgotten",
               since);
}

static void a_replayed_record_that_fits_nothing_is_refused(void **state)
{
    (void)state;
    struct txid txid = rig_txid(&rig, 1);
    struct record decision = {RECORD_COMMITTED, txid, TS(1), NULL};
    struct record damaged = {RECORD_PREPARED, txid, TS(1), blob_new(bytes_of_text("junk"))};
    fprintf(stderr, "(two messages about records that do not fit are expected here)\n");
    assert_int_equal(rig.role.replay(rig.role.arg, &decision), SQLITE_CORRUPT);
    assert_int_equal(rig.role.replay(rig.role.arg, &damaged), SQLITE_CORRUPT);
    blob_unref(damaged.body);
}

static void a_failed_read_of_the_database_is_never_taken_for_nothing(void **state)
{
    (void)state;
    struct op add = op_add("n", 1), read = op_of(OP_READ_KEY, "n");
    struct kv_verdict verdict;
    struct txid txid = rig_txid(&rig, 1), next = rig_txid(&rig, 1);
    assert_int_equal(rig_prepare(&rig, &txid, TS(1), &add, 1), ASSENT_OK);
    rig_apply(&rig, 1, true);
    rig_sql(&rig, "DROP TABLE kv; DROP TABLE outcomes"); /* stands for a disk that fails */
    assert_int_equal(rig_check(&rig, &next, &add, 1, &verdict), ASSENT_STORAGE);
    verdict_free(&verdict);
    struct record record;
    bool found;
    assert_int_equal(kv_store_outcome(rig.kv, rig.db, &txid, &found, &record), ASSENT_STORAGE);
    assert_false(found);
    rig_commit(&rig, &txid, TS(2));
    struct blob *ops = ops_encode(&read, 1);
    kv_store_read(rig.kv, rig.db, &newest, ops, &verdict);
    blob_unref(ops);
    assert_int_equal(verdict.status, ASSENT_STORAGE);
    verdict_free(&verdict);
    assert_int_not_equal(rig.role.apply(rig.role.arg, &rig.log[1]), SQLITE_OK);
}

#define KV_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(checks_of_one_key_say_what_was_expected_and_found),
        KV_TEST(a_version_names_the_write_and_counts_adds),
        KV_TEST(a_range_check_sees_writes_and_deletions_after_its_timestamp),
        KV_TEST(keys_and_values_in_sentences_are_escaped_and_cut),
        KV_TEST(an_empty_value_is_stored_as_a_value),
        cmocka_unit_test(only_canonical_decimal_text_of_64_bits_is_an_integer),
        KV_TEST(an_add_needs_an_integer_within_bounds_and_64_bits),
        KV_TEST(writes_of_one_transaction_build_on_each_other_and_refuse_what_would_fail),
        KV_TEST(checks_and_reads_do_not_see_the_transactions_own_writes),
        KV_TEST(an_add_that_returns_its_value_gives_the_result_after_it),
        KV_TEST(escrow_counts_every_pending_add_in_the_worst_case),
        KV_TEST(escrow_keeps_64_bits_in_the_worst_case),
        KV_TEST(checks_of_one_batch_see_each_others_reservations),
        KV_TEST(reads_merge_memory_over_tables_and_hide_deleted_keys),
        KV_TEST(a_range_is_cut_at_its_limit_and_says_so_only_if_more_follows),
        KV_TEST(reads_are_cut_at_the_size_limit_or_refused),
        KV_TEST(a_read_refuses_other_operations),
        KV_TEST(adds_applied_out_of_order_give_the_same_version_everywhere),
        KV_TEST(outcomes_and_prepared_records_are_known_before_and_after_they_are_applied),
        KV_TEST(a_prepared_record_survives_a_crash_between_its_row_and_its_decision),
        KV_TEST(an_apply_that_was_rolled_back_starts_again),
        KV_TEST(the_views_show_the_log_and_the_tables_as_text),
        KV_TEST(what_is_older_than_the_watermark_is_pruned_in_steps),
        KV_TEST(a_key_is_what_it_was_at_a_timestamp),
        KV_TEST(a_late_add_is_in_the_versions_after_it_and_not_before),
        KV_TEST(late_adds_that_are_applied_together_may_all_be_before_the_first_version),
        KV_TEST(adds_of_one_timestamp_are_one_version),
        KV_TEST(a_version_far_back_is_found_in_few_steps),
        KV_TEST(a_range_of_a_timestamp_goes_both_ways),
        KV_TEST(a_step_of_an_apply_is_bounded_by_work_not_by_rows_alone),
        KV_TEST(an_old_version_goes_when_its_successor_is_below_the_watermark),
        KV_TEST(what_changed_since_is_found_at_every_stage),
        KV_TEST(too_many_changes_are_not_told_in_part),
        KV_TEST(a_version_that_outlives_its_deletion_does_not_come_back),
        KV_TEST(what_is_pending_may_not_belong_to_a_snapshot),
        KV_TEST(a_prune_point_reached_in_a_rolled_back_apply_is_written_by_the_next),
        KV_TEST(a_replayed_record_that_fits_nothing_is_refused),
        KV_TEST(a_failed_read_of_the_database_is_never_taken_for_nothing),
    };
    return cmocka_run_group_tests_name("kv_store", tests, NULL, NULL);
}
