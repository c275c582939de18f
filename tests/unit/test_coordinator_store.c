/* coordinator/store: outcomes in the log, in the tables and gone; what a broken table or a read
 * that fails gives. On a database in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "common/prng.h"
#include "coordinator/record.h"
#include "coordinator/store.h"

static struct {
    sqlite3 *db;
    struct coordinator_store *s;
    struct store_role role;
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

/* These take over the body. */
static void durable(struct record record)
{
    coordinator_store_durable(r.s, &record);
    blob_unref(record.body);
}

/* Up to the commit that a full disk may yet prevent. */
static int flush(int rows)
{
    static const struct record row; /* of each, one is durable already */
    for (int i = 0; i < rows; i++)
        assert_int_equal(r.role.apply(r.role.arg, &row), SQLITE_OK);
    bool more;
    int rc = r.role.flush(r.role.arg, &(struct store_step){.rows = UINT64_MAX}, &more);
    assert_true(rc != SQLITE_OK || !more);
    return rc;
}

static void apply(int rows)
{
    assert_int_equal(flush(rows), SQLITE_OK);
    r.role.applied(r.role.arg, 0);
}

static int flush_one(struct record record)
{
    durable(record);
    return flush(1);
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

static void exec(const char *sql)
{
    assert_int_equal(sqlite3_exec(r.db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* How many there are of "TABLE" or "TABLE WHERE ...". */
static uint64_t rows(const char *of)
{
    sqlite3_stmt *stmt;
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", of);
    assert_int_equal(sqlite3_prepare_v2(r.db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    uint64_t n = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
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
    durable(bytes_record(RECORD_ACCEPT, 1000, "a"));
    assert_true(found(1000) == 0);
    durable(finished(1000, 7));
    assert_true(found(1000) == 7);
    apply(2);
    assert_true(found(1000) == 7);
    assert_int_equal(newest(), 1000);
    durable(finished(1000, 8)); /* the newer one counts */
    durable(finished(1000, 9));
    assert_true(found(1000) == 9);
    apply(1);
    assert_true(found(1000) == 9);
    apply(1);
    assert_true(found(1000) == 9);
}

static void outcomes_below_the_watermark_are_pruned_in_time(void **state)
{
    (void)state;
    open_tables();
    for (uint64_t ms = 1000; ms < 1064; ms++)
        durable(finished(ms, 7));
    apply(64);
    assert_int_equal(rows("outcomes"), 64);
    watermark(1050);
    durable(finished(3000, 7));
    apply(1); /* a few at a time, but more than are added */
    assert_true(found(1000) == 0 && found(1049) == 7 && found(3000) == 7);
    for (uint64_t ms = 3001; rows("outcomes") > 14 + (ms - 3000); ms++) {
        assert_true(ms < 3016);
        durable(finished(ms, 7));
        apply(1);
    }
    assert_true(found(1049) == 0 && found(1050) == 7 && found(3000) == 7);
}

static void what_a_later_record_has_overtaken_never_gets_into_the_tables(void **state)
{
    (void)state;
    open_tables();
    exec("CREATE TEMP TRIGGER t BEFORE INSERT ON transactions WHEN new.body <> x'62'"
         " BEGIN SELECT RAISE(ABORT, 'overtaken'); END");
    durable(bytes_record(RECORD_PROMISE, 1000, "a"));
    durable(bytes_record(RECORD_ACCEPT, 2000, "a"));
    durable(bytes_record(RECORD_ACCEPT, 1000, "b"));
    durable(finished(2000, 7));
    apply(1);
    assert_int_equal(rows("transactions"), 0); /* a start replays the rest */
    apply(3);
    assert_int_equal(rows("transactions"), 1);
    assert_int_equal(rows("outcomes"), 1);
    durable(finished(1000, 7));
    apply(1);
    assert_int_equal(rows("transactions"), 0);
    assert_int_equal(rows("outcomes"), 2);
}

static void an_apply_that_is_rolled_back_is_done_again_from_its_first_row(void **state)
{
    (void)state;
    open_tables();
    durable(finished(1000, 7));
    apply(1);
    watermark(1500);
    durable(bytes_record(RECORD_ACCEPT, 2000, "a"));
    durable(finished(3000, 8));
    durable(finished(2000, 9));
    exec("BEGIN");
    assert_int_equal(flush(3), SQLITE_OK);
    assert_int_equal(rows("outcomes"), 2);
    exec("ROLLBACK");
    assert_int_equal(rows("outcomes"), 1);
    assert_true(found(2000) == 9 && found(3000) == 8);
    exec("BEGIN");
    assert_int_equal(flush(2), SQLITE_OK); /* on a full disk, fewer at a time */
    exec("COMMIT");
    r.role.applied(r.role.arg, 0);
    assert_int_equal(rows("outcomes"), 1); /* pruning was rolled back, too, and is done again */
    apply(1);
    assert_int_equal(rows("transactions"), 0);
    assert_int_equal(rows("outcomes"), 2);
}

/* ---- against a naive second implementation ---- */

#define MODEL_TXNS    6
#define MODEL_RECORDS 200

static struct {
    struct prng prng;
    struct record record[MODEL_RECORDS]; /* the whole log */
    int n, applied;
} model;

/* Of the transaction of record i, the newest one. */
static int model_newest(int i)
{
    int newest = i;
    for (int k = i + 1; k < model.n; k++)
        newest = txid_equal(&model.record[k].txid, &model.record[i].txid) ? k : newest;
    return newest;
}

static void model_durable(void)
{
    uint64_t ms = 1000 + prng_below(&model.prng, MODEL_TXNS);
    enum record_kind kind = prng_below(&model.prng, 2) == 0 ? RECORD_ACCEPT : RECORD_PROMISE;
    char text[16];
    snprintf(text, sizeof text, "%d", model.n);
    struct record record = bytes_record(kind, ms, text);
    if (prng_below(&model.prng, 3) == 0) {
        blob_unref(record.body);
        record = finished(ms, (hlc_ts)model.n + 1);
    }
    for (int i = 0; i < model.n; i++) /* nothing comes after it */
        if (model.record[i].kind == RECORD_FINISHED &&
            txid_equal(&model.record[i].txid, &record.txid))
            record.txid = txid_make(ms, 0, (uint64_t)model.n + 2);
    coordinator_store_durable(r.s, &record);
    model.record[model.n++] = record;
}

static void model_apply(void)
{
    int n = (int)prng_below(&model.prng, (uint64_t)(model.n - model.applied) + 1);
    bool full = prng_below(&model.prng, 4) == 0;
    exec("BEGIN");
    assert_int_equal(flush(n), SQLITE_OK);
    exec(full ? "ROLLBACK" : "COMMIT");
    if (full)
        return;
    r.role.applied(r.role.arg, 0);
    model.applied += n;
}

/* Of the last record of each transaction that a start hands over, in log order. */
static bool model_handed(void *arg, const struct record *record)
{
    const struct record **last = arg;
    for (int i = 0; i < model.n; i++)
        if (txid_equal(&model.record[i].txid, &record->txid) &&
            bytes_equal(blob_bytes(model.record[i].body), blob_bytes(record->body)) &&
            (record->kind != RECORD_FINISHED || record->ts == model.record[i].ts))
            last[model_newest(i)] = &model.record[i];
    return true;
}

/* A start knows the newest record of every transaction that is not finished, and of none an older
 * one for the newest. */
static void model_restart(void)
{
    const struct record *last[MODEL_RECORDS] = {NULL};
    coordinator_store_free(r.s);
    r.s = coordinator_store_new();
    r.role = coordinator_store_role(r.s);
    assert_int_equal(r.role.load(r.role.arg, r.db), SQLITE_OK);
    for (int i = model.applied; i < model.n; i++)
        assert_int_equal(r.role.replay(r.role.arg, &model.record[i]), SQLITE_OK);
    assert_int_equal(coordinator_store_each(r.s, r.db, model_handed, last), ASSENT_OK);
    for (int i = 0; i < model.n; i++) {
        if (model_newest(i) != i)
            continue;
        if (last[i] != &model.record[i])
            assert_true(last[i] == NULL && model.record[i].kind == RECORD_FINISHED);
    }
}

/* The tables have the newest record of each transaction, if it is applied. */
static void model_compare(void)
{
    uint64_t unsettled = 0, outcomes = 0, behind = 0;
    for (int i = 0; i < model.n; i++) {
        const struct record *record = &model.record[i];
        char where[100];
        if (model_newest(i) != i)
            continue;
        bool is = record->kind == RECORD_FINISHED;
        if (is)
            snprintf(where, sizeof where, "outcomes WHERE ts = %d", i + 1);
        else
            snprintf(where, sizeof where, "transactions WHERE CAST(body AS TEXT) = '%d'", i);
        assert_int_equal(rows(where), i < model.applied);
        outcomes += i < model.applied && is;
        unsettled += i < model.applied && !is;
        behind += i >= model.applied;
    }
    assert_in_range(rows("transactions"), unsettled, unsettled + behind);
    assert_int_equal(rows("outcomes"), outcomes);
}

static void the_tables_are_what_a_naive_second_implementation_has(void **state)
{
    (void)state;
    open_tables();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        exec("DELETE FROM transactions; DELETE FROM outcomes");
        model.n = model.applied = 0;
        prng_seed(&model.prng, seed);
        model_restart();
        while (model.n < MODEL_RECORDS) {
            uint64_t what = prng_below(&model.prng, 40);
            if (what == 0)
                model_restart();
            else if (what < 6)
                model_apply();
            else
                model_durable();
            if (what < 6)
                model_compare();
        }
        for (int i = 0; i < model.n; i++)
            blob_unref(model.record[i].body);
    }
}

/* ---- at start, and what fails ---- */

static void what_is_not_settled_is_handed_over_and_then_what_was_replayed(void **state)
{
    (void)state;
    open_tables();
    durable(bytes_record(RECORD_ACCEPT, 1000, "a"));
    durable(bytes_record(RECORD_PROMISE, 2000, "b"));
    apply(2);
    assert_int_equal(newest(), 2000);
    assert_int_equal(each(2), ASSENT_OK);
    replay(bytes_record(RECORD_ACCEPT, 3000, "c"));
    replay(finished(2500, 7));
    assert_int_equal(newest(), 3000);
    assert_int_equal(each(4), ASSENT_OK);
    assert_int_equal(each(3), ASSENT_CORRUPT);
}

static void a_record_that_is_refused_is_damage(void **state)
{
    (void)state;
    open_tables();
    durable(bytes_record(RECORD_ACCEPT, 1000, "a"));
    apply(1);
    replay(bytes_record(RECORD_ACCEPT, 3000, "c"));
    replay(bytes_record(RECORD_ACCEPT, 4000, "d"));
    assert_int_equal(each(0), ASSENT_CORRUPT);
    assert_int_equal(each(1), ASSENT_CORRUPT);
    apply(2);
    assert_int_equal(flush_one(bytes_record(RECORD_FINISHED, 1000, "x")), SQLITE_CORRUPT);
}

static void a_txid_of_the_wrong_length_is_damage(void **state)
{
    (void)state;
    open_tables();
    exec("INSERT INTO transactions VALUES(x'01', x'02')");
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
    durable(finished(1000, 7));
    apply(1);
    r.failing = 1;
    assert_int_equal(coordinator_store_lookup(r.s, r.db, &txid, &is, &record), ASSENT_STORAGE);
    assert_false(is);
    assert_int_not_equal(coordinator_store_newest_ms(r.s, r.db, &ms), ASSENT_OK);
    assert_int_not_equal(each(9), ASSENT_OK);
    assert_int_equal(flush_one(bytes_record(RECORD_ACCEPT, 2000, "a")), SQLITE_INTERRUPT);
    assert_int_equal(flush_one(finished(2000, 7)), SQLITE_INTERRUPT);
    r.failing = 0;
    assert_true(found(1000) == 7);
    exec("DROP VIEW outcomes_all; DROP TABLE outcomes");
    assert_int_equal(flush(0), SQLITE_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_outcome_is_found_in_the_log_and_then_in_the_tables),
        TEST(outcomes_below_the_watermark_are_pruned_in_time),
        TEST(what_a_later_record_has_overtaken_never_gets_into_the_tables),
        TEST(an_apply_that_is_rolled_back_is_done_again_from_its_first_row),
        TEST(the_tables_are_what_a_naive_second_implementation_has),
        TEST(what_is_not_settled_is_handed_over_and_then_what_was_replayed),
        TEST(a_record_that_is_refused_is_damage),
        TEST(a_txid_of_the_wrong_length_is_damage),
        TEST(tables_that_are_not_there_are_an_error_everywhere),
        TEST(a_step_that_fails_is_never_taken_for_nothing_found),
    };
    return cmocka_run_group_tests_name("coordinator store", tests, NULL, NULL);
}
