/* participant/kv_*: SQLite fails at each instruction that it runs, one after the other. What was
 * asked then ends in an error, never in another answer, and works when asked again. */
#include "tests/unit/kv_fixture.h"

#define TS(ms) (UINT64_C(ms) << 16)

static struct rig rig;
static uint32_t left; /* instructions until one fails, once; 0: none does */

static int fails(void *arg)
{
    (void)arg;
    return left > 0 && --left == 0;
}

static void watch(void)
{
    sqlite3_progress_handler(rig.db, 1, fails, NULL);
}

static int setup(void **state)
{
    (void)state;
    left = 0;
    rig_open(&rig);
    watch();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    left = 0;
    rig_close(&rig);
    return 0;
}

/* Keys in the tables and in memory, numbers, a deleted one, one prepared, outcomes. */
static void fill(void)
{
    struct op put = op_put("c", "3"), add = op_add("n", 5);
    struct txid prepared = rig_txid(&rig, 7000), aborted = rig_txid(&rig, 8000);
    rig_put(&rig, TS(1000), "a", "1");
    rig_put(&rig, TS(2000), "b", "2");
    rig_put(&rig, TS(2000), "n", "10");
    rig_delete(&rig, TS(3000), "a");
    assert_int_equal(rig_prepare(&rig, &prepared, TS(4000), &put, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &aborted, TS(4000), &add, 1), ASSENT_OK);
    rig_abort(&rig, &aborted);
    rig_apply(&rig, 100, true);
    rig_put(&rig, TS(5000), "d", "4");
}

/* Runs `ask` with the failure ever later until it is not met; false from it means an error. */
static void fail_everywhere(bool (*ask)(void))
{
    uint32_t n = 0, errors = 0;
    bool met = true;
    while (met) {
        left = ++n;
        bool good = ask();
        met = left == 0;
        left = 0;
        assert_true(good || met);
        errors += !good;
        assert_true(ask()); /* and now it works */
    }
    assert_true(errors > 0);
}

/* ---- questions ---- */

static bool ask_reads(void)
{
    struct op op[] = {op_of(OP_READ_KEY, "b"), op_of(OP_READ_KEY, "a"),
                      op_range(OP_READ_RANGE, "a", "c")};
    struct blob *ops = ops_encode(op, 3);
    struct kv_verdict verdict;
    struct results results;
    kv_store_read(rig.kv, rig.db, &newest, ops, &verdict);
    blob_unref(ops);
    bool good = verdict.status == ASSENT_OK;
    if (good) {
        assert_int_equal(results_decode(verdict.results, &results), ASSENT_OK);
        assert_int_equal(results.n, 3);
        assert_true(bytes_equal(results.result[0].value, bytes_of_text("2")));
        assert_false(results.result[1].found);
        assert_true(bytes_equal(results.result[2].key, bytes_of_text("b")));
        results_free(&results);
    } else {
        assert_int_equal(verdict.status, ASSENT_STORAGE);
        assert_non_null(verdict.detail);
    }
    verdict_free(&verdict);
    return good;
}

/* What is only in the old versions by now: before a deletion, and between two of them. */
static bool ask_old_reads(void)
{
    static const struct read_point before = {.level = READ_SNAPSHOT, .at = TS(2500)};
    struct op op[] = {op_of(OP_READ_KEY, "a"), op_range(OP_READ_RANGE, "a", "c")};
    struct results results;
    assent_status status = rig_read_at(&rig, &before, op, 2, &results);
    if (status == ASSENT_OK) {
        assert_int_equal(results.n, 3);
        assert_true(bytes_equal(results.result[0].value, bytes_of_text("1")));
        assert_true(bytes_equal(results.result[1].key, bytes_of_text("a")));
        assert_true(bytes_equal(results.result[1].value, bytes_of_text("1")));
        assert_true(bytes_equal(results.result[2].key, bytes_of_text("b")));
    } else {
        assert_int_equal(status, ASSENT_STORAGE);
    }
    results_free(&results);
    return status == ASSENT_OK;
}

static bool ask_checks(void)
{
    struct op op[] = {op_of(OP_CHECK_EXISTS, "b"), op_of(OP_CHECK_ABSENT, "a"),
                      op_range(OP_CHECK_RANGE, "a", "b"), op_add("n", -1)};
    struct txid txid = txid_make(9000, 0, 1);
    struct kv_verdict verdict;
    op[2].version.ts = TS(4000);
    assent_status status = rig_check(&rig, &txid, op, 4, &verdict);
    if (status != ASSENT_OK)
        assert_int_equal(status, ASSENT_STORAGE);
    verdict_free(&verdict);
    kv_store_cancel(rig.kv, &txid);
    return status == ASSENT_OK;
}

static bool ask_an_outcome(void)
{
    struct record record;
    struct txid txid = rig.log[0].txid;
    bool found;
    assent_status status = kv_store_outcome(rig.kv, rig.db, &txid, &found, &record);
    assert_int_equal(found, status == ASSENT_OK);
    blob_unref(record.body);
    return status == ASSENT_OK;
}

static void count(void *arg, const struct record *record)
{
    (void)record;
    ++*(int *)arg;
}

static bool ask_all_outcomes(void)
{
    int n = 0;
    assent_status status = kv_store_each_outcome(rig.kv, rig.db, 0, count, &n);
    if (status == ASSENT_OK)
        assert_int_equal(n, 6);
    return status == ASSENT_OK;
}

static bool ask_the_newest(void)
{
    uint64_t ms = kv_store_newest_ms(rig.kv, rig.db);
    if (ms != UINT64_MAX)
        assert_int_equal(ms, 8000);
    return ms != UINT64_MAX;
}

static void a_question_ends_in_an_error_or_in_the_answer(void **state)
{
    (void)state;
    fill();
    fail_everywhere(ask_reads);
    fail_everywhere(ask_old_reads);
    fail_everywhere(ask_checks);
    fail_everywhere(ask_an_outcome);
    fail_everywhere(ask_all_outcomes);
    fail_everywhere(ask_the_newest);
}

/* ---- applying ---- */

/* All rows of the log that are not in the tables, in one transaction. */
static bool apply_all(void)
{
    bool more = false;
    int rc = SQLITE_OK;
    uint32_t armed = left;
    left = 0;
    rig_sql(&rig, "BEGIN IMMEDIATE");
    left = armed;
    for (uint32_t i = rig.applied; i < rig.n && rc == SQLITE_OK; i++)
        rc = rig.role.apply(rig.role.arg, &rig.log[i]);
    if (rc == SQLITE_OK)
        rc = rig.role.flush(rig.role.arg, &(struct store_step){.rows = UINT64_MAX}, &more);
    armed = left;
    left = 0;
    if (rc == SQLITE_OK) {
        rig_sql(&rig, "COMMIT");
        rig.applied = rig.n;
        rig.role.applied(rig.role.arg, rig.n);
    } else if (!sqlite3_get_autocommit(rig.db)) {
        rig_sql(&rig, "ROLLBACK");
    }
    left = armed;
    return rc == SQLITE_OK;
}

/* Something of each kind for the tables, and for pruning. */
static void append_of_each_kind(void)
{
    struct op put = op_put("e", "5"), add = op_add("n", 1);
    struct txid committed = rig_txid(&rig, 9000), open = rig_txid(&rig, 9500);
    struct record watermark = {.kind = RECORD_WATERMARK, .ts = TS(4000) + rig.n};
    assert_int_equal(rig_prepare(&rig, &committed, TS(6000), &put, 1), ASSENT_OK);
    rig_commit(&rig, &committed, TS(6500) + rig.n);
    assert_int_equal(rig_prepare(&rig, &open, TS(6000), &add, 1), ASSENT_OK);
    rig_abort(&rig, &open);
    /* An add below one that is committed already changes old versions. */
    struct txid late = rig_txid(&rig, 9600), soon = rig_txid(&rig, 9601);
    hlc_ts ts = TS(7000) + 10 * (uint64_t)rig.n;
    assert_int_equal(rig_prepare(&rig, &late, TS(6000), &add, 1), ASSENT_OK);
    assert_int_equal(rig_prepare(&rig, &soon, TS(6000), &add, 1), ASSENT_OK);
    rig_commit(&rig, &soon, ts + 2);
    rig_commit(&rig, &late, ts + 1);
    rig_put(&rig, TS(1000) + rig.n, "gone", "x");
    rig_delete(&rig, TS(1000) + rig.n, "gone");
    kv_store_durable(rig.kv, &watermark);
}

static void what_could_not_be_applied_is_applied_when_tried_again(void **state)
{
    uint32_t n = 0, rounds = 0;
    bool met = true;
    char sum[16];
    (void)state;
    fill();
    assert_true(apply_all());
    while (met) {
        append_of_each_kind();
        rounds++;
        left = n += 3; /* each would take long */
        bool good = apply_all();
        met = left == 0;
        left = 0;
        assert_true(good || met);
        assert_true(good || apply_all());
    }
    struct op read[] = {op_of(OP_READ_KEY, "e"), op_of(OP_READ_KEY, "n")};
    struct results results;
    rig_restart(&rig); /* as the tables have it */
    rig_read(&rig, read, 2, &results);
    snprintf(sum, sizeof sum, "%u", 10 + 2 * rounds);
    assert_true(bytes_equal(results.result[0].value, bytes_of_text("5")));
    assert_true(bytes_equal(results.result[1].value, bytes_of_text(sum)));
    results_free(&results);
    assert_true(n > 100);
}

/* ---- pruning ---- */

static int rows_of(const char *table)
{
    sqlite3_stmt *s;
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(rig.db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* One step with a failure at the n-th instruction of it; 0: without one. */
static bool prune(uint32_t n)
{
    bool more;
    rig_sql(&rig, "BEGIN IMMEDIATE");
    left = n;
    int rc = rig.role.prune(rig.role.arg, &more);
    n = left;
    left = 0;
    if (!sqlite3_get_autocommit(rig.db))
        rig_sql(&rig, rc == SQLITE_OK ? "COMMIT" : "ROLLBACK");
    left = n;
    return rc == SQLITE_OK;
}

static void what_could_not_be_pruned_is_pruned_by_the_next_step(void **state)
{
    uint32_t n = 0;
    bool met = true;
    (void)state;
    while (met) {
        rig_put(&rig, TS(1000), "a", "1");
        rig_put(&rig, TS(1001), "a", "2");
        rig_delete(&rig, TS(1002), "a");
        assert_true(apply_all());
        rig_watermark(&rig, TS(2000) + ++n);
        bool good = prune(n);
        met = left == 0;
        left = 0;
        assert_true(good || met);
        assert_true(good || prune(0));
        assert_int_equal(rows_of("kv"), 0);
        assert_int_equal(rows_of("kv_old"), 0);
        assert_int_equal(rows_of("outcomes"), 0);
    }
    assert_true(n > 50);
}

/* ---- opening ---- */

/* Anew, with a failure at the n-th instruction; 0: without one. */
static bool load(uint32_t n)
{
    sqlite3_close_v2(rig.db);
    kv_store_free(rig.kv);
    rig_connect(&rig);
    watch();
    left = n;
    return rig.role.load(rig.role.arg, rig.db) == SQLITE_OK;
}

static void a_store_is_loaded_whole_or_not_at_all(void **state)
{
    int prepared = 0;
    (void)state;
    fill();
    rig_apply(&rig, 100, true);
    uint32_t n = 0;
    bool met = true;
    while (met) {
        bool good = load(++n);
        met = left == 0;
        left = 0;
        assert_true(good || met);
        prepared = 0;
        if (good)
            kv_store_each_prepared(rig.kv, count, &prepared);
        assert_int_equal(prepared, good);
    }
    assert_int_equal(prepared, 1);
    rig_sql(&rig, "DELETE FROM prepared; DROP TABLE outcomes");
    assert_false(load(0));
}

static void a_store_that_is_not_created_whole_says_so(void **state)
{
    (void)state;
    rig_sql(&rig, "CREATE TABLE again (n)");
    assert_int_not_equal(rig.role.create(rig.role.arg, rig.db), SQLITE_OK); /* there is one */
}

/* ---- memory that is not complete ---- */

static void after_a_decision_that_memory_does_not_have_nothing_is_answered(void **state)
{
    struct op add = op_add("n", 1), read = op_of(OP_READ_KEY, "b");
    struct kv_verdict verdict;
    struct record record;
    bool found;
    int n = 0;
    (void)state;
    fill();
    struct txid txid = rig_txid(&rig, 9000), next = rig_txid(&rig, 9001);
    assert_int_equal(rig_prepare(&rig, &txid, TS(6000), &add, 1), ASSENT_OK);
    left = 1;
    rig_commit(&rig, &txid, TS(6000));
    assert_int_equal(left, 0);
    assert_int_equal(rig_check(&rig, &next, &add, 1, &verdict), ASSENT_STORAGE);
    verdict_free(&verdict);
    struct blob *ops = ops_encode(&read, 1);
    kv_store_read(rig.kv, rig.db, &newest, ops, &verdict);
    blob_unref(ops);
    assert_int_equal(verdict.status, ASSENT_STORAGE);
    verdict_free(&verdict);
    assert_int_equal(kv_store_outcome(rig.kv, rig.db, &txid, &found, &record), ASSENT_STORAGE);
    assert_int_equal(kv_store_each_outcome(rig.kv, rig.db, 0, count, &n), ASSENT_STORAGE);
    assert_true(kv_store_newest_ms(rig.kv, rig.db) == UINT64_MAX);
    rig_put(&rig, TS(7000), "f", "6"); /* is not noted any more */
    assert_int_not_equal(rig.role.apply(rig.role.arg, &rig.log[rig.applied]), SQLITE_OK);
}

/* ---- damage ---- */

static int replay(enum record_kind kind, const struct txid *txid, struct bytes body)
{
    struct record record = {kind, *txid, TS(1), blob_new(body)};
    int rc = rig.role.replay(rig.role.arg, &record);
    blob_unref(record.body);
    return rc;
}

static void damaged_records_and_those_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    fill();
    struct txid txid = rig_txid(&rig, 9000);
    struct prepared_record p = {.head = {.txid = txid},
                                .participants = {.n = 1, .id = {7}},
                                .ops = bytes_of_text("no operations")};
    struct blob *body = prepared_record_encode(&p);
    fprintf(stderr, "(three messages about records that do not fit are expected here)\n");
    assert_int_equal(replay(RECORD_PREPARED, &txid, blob_bytes(body)), SQLITE_CORRUPT);
    assert_int_equal(replay(RECORD_APPLIED, &txid, blob_bytes(body)), SQLITE_CORRUPT);
    blob_unref(body);
    struct txid prepared = rig.log[4].txid; /* and is so still */
    assert_int_equal(rig.log[4].kind, RECORD_PREPARED);
    struct blob *again = blob_ref(rig.log[4].body);
    assert_int_equal(replay(RECORD_PREPARED, &prepared, blob_bytes(again)), SQLITE_CORRUPT);
    blob_unref(again);
}

static void damaged_rows_are_never_read(void **state)
{
    (void)state;
    fill();
    rig_apply(&rig, 100, true);
    rig_sql(&rig, "UPDATE kv SET txid = x'01'");
    assert_false(ask_reads());
    assert_false(ask_checks());
    rig_sql(&rig, "UPDATE outcomes SET txid = CAST(x'ff' || txid AS BLOB)");
    assert_false(ask_all_outcomes());
    rig_sql(&rig, "UPDATE prepared SET txid = x'01'");
    assert_false(load(0));
    rig_sql(&rig, "DELETE FROM prepared; DELETE FROM kv_prune");
    assert_false(load(0));
    rig_sql(&rig, "INSERT INTO kv_prune VALUES (1, 0, 0)");
    assert_true(load(0));
}

/* ---- bounds ---- */

static char text[VALUE_BYTES_MAX + 1];

static assent_status status_of(const struct op *op, uint32_t n)
{
    struct txid txid = txid_make(9000, 0, 1);
    struct kv_verdict verdict;
    assent_status status = rig_check(&rig, &txid, op, n, &verdict);
    if (status != ASSENT_OK)
        assert_non_null(strstr((const char *)verdict.detail->data, "read less at once"));
    verdict_free(&verdict);
    kv_store_cancel(rig.kv, &txid);
    return status;
}

/* What a participant reads fits one message, whatever kind of read comes last. */
static void reads_that_give_too_much_are_refused(void **state)
{
    struct op range = op_range(OP_READ_RANGE, "d", "e"), add = op_add("n", 1);
    struct op op[3] = {op_of(OP_READ_KEY, "big"), op_of(OP_READ_KEY, "big"), range};
    (void)state;
    memset(text, 'x', VALUE_BYTES_MAX);
    rig_put(&rig, TS(1000), "d", text);
    text[VALUE_BYTES_MAX - 150] = '\0'; /* beside another of the greatest size a little is left */
    rig_put(&rig, TS(1000), "big", text);
    text[VALUE_BYTES_MAX - 214] = '\0'; /* and beside this one a little more */
    rig_put(&rig, TS(1000), "less", text);
    rig_put(&rig, TS(1000), "n", "1");
    add.returns_value = true;
    assert_int_equal(status_of(op, 2), ASSENT_OK);
    assert_int_equal(status_of(op, 3), ASSENT_TOO_LARGE);
    op[1] = op_of(OP_READ_KEY, "d");
    op[2] = add;
    assert_int_equal(status_of(op, 2), ASSENT_OK);
    assert_int_equal(status_of(op, 3), ASSENT_TOO_LARGE);
    op[0] = op_of(OP_READ_KEY, "less");
    assert_int_equal(status_of(op, 3), ASSENT_OK);
}

static void what_is_only_reserved_is_not_prepared(void **state)
{
    struct op put = op_put("z", "1");
    struct txid txid = rig_txid(&rig, 9000);
    struct kv_verdict verdict;
    int n = 0;
    (void)state;
    assert_int_equal(rig_check(&rig, &txid, &put, 1, &verdict), ASSENT_OK);
    verdict_free(&verdict);
    kv_store_each_prepared(rig.kv, count, &n);
    assert_int_equal(n, 0);
}

static void records_of_other_roles_are_not_the_stores(void **state)
{
    struct record record = {.kind = RECORD_CEILING};
    (void)state;
    assert_int_equal(rig.role.replay(rig.role.arg, &record), SQLITE_OK);
    assert_int_equal(rig.role.apply(rig.role.arg, &record), SQLITE_OK);
    struct record older = {.kind = RECORD_WATERMARK, .ts = TS(1000)};
    kv_store_durable(rig.kv, &older);
    kv_store_durable(rig.kv, &older);
    kv_store_free(NULL);
}

#define KV_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KV_TEST(a_question_ends_in_an_error_or_in_the_answer),
        KV_TEST(what_could_not_be_applied_is_applied_when_tried_again),
        KV_TEST(what_could_not_be_pruned_is_pruned_by_the_next_step),
        KV_TEST(a_store_is_loaded_whole_or_not_at_all),
        KV_TEST(a_store_that_is_not_created_whole_says_so),
        KV_TEST(after_a_decision_that_memory_does_not_have_nothing_is_answered),
        KV_TEST(damaged_records_and_those_that_do_not_fit_are_refused),
        KV_TEST(damaged_rows_are_never_read),
        KV_TEST(reads_that_give_too_much_are_refused),
        KV_TEST(what_is_only_reserved_is_not_prepared),
        KV_TEST(records_of_other_roles_are_not_the_stores),
    };
    return cmocka_run_group_tests_name("key-value store, errors", tests, NULL, NULL);
}
