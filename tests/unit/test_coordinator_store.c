/* coordinator/store: outcomes in the log, in the tables and gone; what a broken table or a read
 * that fails gives. On a database in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "coordinator/record.h"
#include "coordinator/store.h"

static struct {
    sqlite3 *db;
    struct coordinator_store *s;
    struct store_role role;
    uint64_t seq;
    int failing; /* every step that SQLite takes fails */
} r;

static int fails(void *arg)
{
    (void)arg;
    return r.failing;
}

static int setup(void **state)
{
    (void)state;
    memset(&r, 0, sizeof r);
    assert_int_equal(sqlite3_open(":memory:", &r.db), SQLITE_OK);
    r.s = coordinator_store_new();
    r.role = coordinator_store_role(r.s);
    sqlite3_progress_handler(r.db, 1, fails, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    coordinator_store_free(r.s);
    coordinator_store_free(NULL);
    assert_int_equal(sqlite3_close(r.db), SQLITE_OK); /* no statement is left */
    return 0;
}

static void open_tables(void)
{
    assert_int_equal(sqlite3_exec(r.db, "CREATE TABLE log(kind, txid, ts, body)", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(r.role.create(r.role.arg, r.db), SQLITE_OK);
    assert_int_equal(r.role.load(r.role.arg, r.db), SQLITE_OK);
}

/* ---- records ---- */

static struct txid id(uint64_t ms)
{
    return txid_make(ms, 0, 1);
}

static struct record finished(uint64_t ms, hlc_ts commit_ts)
{
    struct outcome outcome = {OUTCOME_COMMITTED, commit_ts, ASSENT_OK};
    return (struct record){RECORD_FINISHED, id(ms), commit_ts, finished_record_encode(&outcome)};
}

static struct record bytes_record(enum record_kind kind, uint64_t ms, const char *text)
{
    return (struct record){kind, id(ms), 0, blob_new(bytes_of_text(text))};
}

static void watermark(uint64_t ms)
{
    struct record record = {.kind = RECORD_WATERMARK, .ts = hlc_from_ms(ms)};
    coordinator_store_durable(r.s, &record);
}

/* Takes over the body. */
static int apply(struct record record)
{
    int rc = r.role.apply(r.role.arg, &record);
    blob_unref(record.body);
    return rc;
}

static void durable(struct record record)
{
    coordinator_store_durable(r.s, &record);
    blob_unref(record.body);
}

static void replay(struct record record)
{
    assert_int_equal(r.role.replay(r.role.arg, &record), SQLITE_OK);
    blob_unref(record.body);
}

/* 0: there is none. */
static hlc_ts found(uint64_t ms)
{
    struct record record;
    struct txid txid = id(ms);
    bool is;
    assert_int_equal(coordinator_store_lookup(r.s, r.db, &txid, &is, &record), ASSENT_OK);
    assert_int_equal(record.kind, RECORD_FINISHED);
    assert_true(txid_equal(&record.txid, &txid));
    assert_int_equal(record.body != NULL, is);
    blob_unref(record.body);
    return is ? record.ts : 0;
}

static uint64_t newest(void)
{
    uint64_t ms = 0;
    assert_int_equal(coordinator_store_newest_ms(r.s, r.db, &ms), ASSENT_OK);
    return ms;
}

static bool count(void *arg, const struct record *record)
{
    (void)record;
    return --*(int *)arg >= 0;
}

/* Hands over at most `most`; more are an error. */
static assent_status each(int most)
{
    return coordinator_store_each(r.s, r.db, count, &most);
}

/* ---- tests ---- */

static void an_outcome_is_found_in_the_log_and_then_in_the_tables(void **state)
{
    (void)state;
    open_tables();
    assert_int_equal(newest(), 0);
    assert_true(found(1000) == 0);
    durable(finished(1000, 7));
    assert_true(found(1000) == 7);
    assert_int_equal(apply(finished(1000, 7)), SQLITE_OK);
    r.role.applied(r.role.arg, 1);
    assert_true(found(1000) == 7);
    assert_int_equal(newest(), 1000);
    durable(finished(1000, 8)); /* the newer one counts */
    durable(finished(1000, 9));
    assert_true(found(1000) == 9);
    assert_int_equal(apply(finished(1000, 8)), SQLITE_OK);
    assert_int_equal(apply(finished(1000, 9)), SQLITE_OK);
    r.role.applied(r.role.arg, 3);
    assert_true(found(1000) == 9);
}

static void outcomes_below_the_watermark_are_pruned_in_time(void **state)
{
    (void)state;
    open_tables();
    watermark(2000);
    for (uint64_t ms = 1000; ms < 1256; ms++) {
        assert_true(found(1000) == (ms == 1000 ? 0 : 7));
        assert_int_equal(apply(finished(ms, 7)), SQLITE_OK);
    }
    assert_true(found(1000) == 0);
    assert_int_equal(apply(finished(3000, 7)), SQLITE_OK);
    assert_true(found(3000) == 7);
}

static void what_is_not_settled_is_handed_over_and_then_what_was_replayed(void **state)
{
    (void)state;
    open_tables();
    assert_int_equal(apply(bytes_record(RECORD_ACCEPT, 1000, "a")), SQLITE_OK);
    assert_int_equal(apply(bytes_record(RECORD_PROMISE, 2000, "b")), SQLITE_OK);
    replay(bytes_record(RECORD_ACCEPT, 3000, "c"));
    replay(finished(2500, 7));
    assert_int_equal(newest(), 3000);
    assert_int_equal(each(4), ASSENT_OK);
    assert_int_equal(each(2), ASSENT_OK); /* those replayed only once */
}

static void a_record_that_is_refused_is_damage(void **state)
{
    (void)state;
    open_tables();
    assert_int_equal(apply(bytes_record(RECORD_ACCEPT, 1000, "a")), SQLITE_OK);
    replay(bytes_record(RECORD_ACCEPT, 3000, "c"));
    replay(bytes_record(RECORD_ACCEPT, 4000, "d"));
    assert_int_equal(each(0), ASSENT_CORRUPT);
    replay(bytes_record(RECORD_ACCEPT, 3000, "c"));
    replay(bytes_record(RECORD_ACCEPT, 4000, "d"));
    assert_int_equal(each(1), ASSENT_CORRUPT);
    assert_int_equal(apply(bytes_record(RECORD_FINISHED, 1000, "x")), SQLITE_CORRUPT);
}

static void a_txid_of_the_wrong_length_is_damage(void **state)
{
    (void)state;
    open_tables();
    assert_int_equal(
        sqlite3_exec(r.db, "INSERT INTO transactions VALUES(x'01', x'02')", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(each(9), ASSENT_CORRUPT);
}

static void tables_that_are_not_there_are_an_error_everywhere(void **state)
{
    uint64_t ms;
    (void)state;
    assert_int_equal(r.role.load(r.role.arg, r.db), SQLITE_ERROR);
    assert_int_equal(coordinator_store_newest_ms(r.s, r.db, &ms), ASSENT_CORRUPT);
    assert_int_equal(each(9), ASSENT_CORRUPT);
}

static void a_step_that_fails_is_never_taken_for_nothing_found(void **state)
{
    struct txid txid = id(1000);
    struct record record;
    uint64_t ms;
    bool is;
    (void)state;
    open_tables();
    assert_int_equal(apply(finished(1000, 7)), SQLITE_OK);
    r.role.applied(r.role.arg, 1);
    r.failing = 1;
    assert_int_equal(coordinator_store_lookup(r.s, r.db, &txid, &is, &record), ASSENT_STORAGE);
    assert_false(is);
    assert_int_not_equal(coordinator_store_newest_ms(r.s, r.db, &ms), ASSENT_OK);
    assert_int_not_equal(each(9), ASSENT_OK);
    assert_int_equal(apply(finished(2000, 7)), SQLITE_INTERRUPT);
    assert_int_equal(apply(bytes_record(RECORD_ACCEPT, 2000, "a")), SQLITE_INTERRUPT);
    r.failing = 0;
    assert_true(found(1000) == 7);
    assert_int_equal(newest(), 1000);
    assert_int_equal(
        sqlite3_exec(r.db, "DROP VIEW outcomes_all; DROP TABLE outcomes", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(apply(finished(2000, 7)), SQLITE_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_outcome_is_found_in_the_log_and_then_in_the_tables),
        TEST(outcomes_below_the_watermark_are_pruned_in_time),
        TEST(what_is_not_settled_is_handed_over_and_then_what_was_replayed),
        TEST(a_record_that_is_refused_is_damage),
        TEST(a_txid_of_the_wrong_length_is_damage),
        TEST(tables_that_are_not_there_are_an_error_everywhere),
        TEST(a_step_that_fails_is_never_taken_for_nothing_found),
    };
    return cmocka_run_group_tests_name("coordinator store", tests, NULL, NULL);
}
