/* runtime/log_store: what is acknowledged is there after any restart. */
#include "tests/unit/log_store_fixture.h"

#include "runtime/store_tail.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void committed_rows_are_replayed_in_log_order_after_a_crash(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 5);
    commit_rows(f, 6, 6);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append(f->store, 7), ASSENT_OK);
    crash_copy(f);
    log_store_rollback(f->store);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 6);
    commit_rows(f, 7, 9);
    struct store_stats stats;
    log_store_stats(f->store, &stats);
    assert_int_equal(stats.seq, 9);
    assert_int_equal(stats.replayed, 6);
    assert_int_equal(stats.rows, 3);
    assert_int_equal(stats.batches, 1);
}

static void a_closed_store_has_everything_in_its_tables(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 40);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    assert_int_equal(f->fake.replays, 0);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 40);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM log"), 0);
}

static void applied_rows_are_trimmed_and_the_rest_is_replayed(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 99;
    create_and_open(f);
    commit_rows(f, 1, 10);
    assert_int_equal(log_store_apply(f->store, 4, &left), ASSENT_OK);
    assert_int_equal(left, 6);
    assert_int_equal(f->fake.applied, 4);
    commit_rows(f, 11, 12);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 5, 12);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen"), 4);
    struct store_stats stats;
    log_store_stats(f->store, &stats);
    assert_int_equal(stats.applied_seq, 4);
    assert_int_equal(stats.bytes, 8 * 300);
    while (left > 0)
        assert_int_equal(log_store_apply(f->store, 3, &left), ASSENT_OK);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 12);
}

static void bodies_come_back_as_they_went_in(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    struct record none = {.kind = RECORD_COMMITTED, .ts = 1};
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(log_store_append(f->store, &none), ASSENT_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_true(f->fake.null_body);
    size_t len = 3u << 20;
    uint8_t *large = calloc(1, len);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append_kind(f->store, RECORD_PREPARED, 2, bytes_of(large, len)), ASSENT_OK);
    assert_int_equal(append_kind(f->store, RECORD_PREPARED, 3, bytes_of(large, 0)), ASSENT_OK);
    assert_int_equal(append_kind(f->store, RECORD_PREPARED, 4, bytes_of(large, len)), ASSENT_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    free(large);
    copy_file(f->copy, f->root, "node.db");
    copy_file(f->copy, f->root, "node.db-wal");
    copy_file(f->copy, f->root, "node.db.tail");
    assert_int_equal(open_in(f, f->root), ASSENT_OK);
    assert_replayed(f, 1, 4);
    assert_false(f->fake.null_body);
    assert_int_equal(f->fake.body_len, len);
}

static void the_nodes_own_records_are_kept_inside(void **state)
{
    struct fixture *f = *state;
    struct store_node node;
    create_and_open(f);
    log_store_node(f->store, &node);
    assert_int_equal(node.incarnation + node.ceiling + node.watermark + node.newest, 0);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    append_kind(f->store, RECORD_INCARNATION, 50, bytes_of("\3\0\0\0", 4));
    append_kind(f->store, RECORD_CEILING, 90, bytes_of(NULL, 0));
    append_kind(f->store, RECORD_WATERMARK, 2000, bytes_of(NULL, 0));
    append(f->store, 1000);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    crash_copy(f);
    for (int pass = 0; pass < 2; pass++) {
        /* Replayed from the log first, then read from the meta row. */
        assert_int_equal(open_in(f, f->copy), ASSENT_OK);
        assert_int_equal(f->fake.replays, pass == 0 ? 1 : 0);
        log_store_node(f->store, &node);
        assert_int_equal(node.incarnation, 3);
        assert_int_equal(node.ceiling, 90);
        assert_int_equal(node.watermark, 2000);
        assert_int_equal(node.newest, 1000);
    }
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen"), 1);
}

static void the_settings_are_those_that_durability_needs(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    sqlite3 *db = log_store_db(f->store);
    assert_int_equal(query(db, "PRAGMA synchronous"), 1);
    assert_int_equal(query(db, "PRAGMA wal_autocheckpoint"), 0);
    assert_int_equal(query(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(query(db, "PRAGMA application_id"), 0x41534e54);
    assert_int_equal(query(db, "PRAGMA user_version"), 2);
}

static void a_rolled_back_batch_leaves_the_chain_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct store_node node;
    create_and_open(f);
    commit_rows(f, 1, 2);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append(f->store, 77), ASSENT_OK);
    append_kind(f->store, RECORD_INCARNATION, 9000, bytes_of("\5\0\0\0", 4));
    log_store_rollback(f->store);
    log_store_node(f->store, &node);
    assert_int_equal(node.incarnation, 0);
    assert_int_equal(node.newest, 2);
    commit_rows(f, 3, 4);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 4);
}

static void a_failed_job_is_undone_alone(void **state)
{
    struct fixture *f = *state;
    struct store_node node;
    create_and_open(f);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    for (uint64_t job = 1; job <= 5; job++) {
        assert_int_equal(log_store_savepoint(f->store), ASSENT_OK);
        assert_int_equal(append(f->store, job <= 2 ? job : job == 3 ? 500 : job - 1), ASSENT_OK);
        if (job == 3) {
            append(f->store, 501);
            append_kind(f->store, RECORD_CEILING, 9000, bytes_of(NULL, 0));
        }
        log_store_release(f->store, job != 3);
    }
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    log_store_node(f->store, &node);
    assert_int_equal(node.ceiling, 0);
    assert_int_equal(node.newest, 4);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 4);
}

/* 0 lifts the limit. */
static void limit_pages(struct fixture *f, int more)
{
    sqlite3 *db = log_store_db(f->store);
    char sql[64];
    int64_t pages = query(db, "PRAGMA page_count");
    snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld",
             more == 0 ? 1000000LL : (long long)pages + more);
    query(db, sql);
}

static void a_full_disk_rolls_the_batch_back_and_the_store_goes_on(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 2);
    limit_pages(f, 2);
    for (int attempt = 0; attempt < 2; attempt++) {
        uint8_t *large = calloc(1, TEST_TAIL_HALF); /* the tail cannot take it */
        assert_int_equal(log_store_begin(f->store), ASSENT_OK);
        assert_int_equal(append(f->store, 1000), ASSENT_OK);
        assert_int_equal(
            append_kind(f->store, RECORD_PREPARED, 1001, bytes_of(large, TEST_TAIL_HALF)),
            ASSENT_OK);
        assert_int_equal(log_store_commit(f->store), ASSENT_DISK_FULL);
        free(large);
    }
    assert_non_null(strstr(log_store_error(f->store), "full"));
    commit_rows(f, 3, 3);
    limit_pages(f, 0);
    commit_rows(f, 4, 60);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 60);
}

static void a_full_disk_during_an_apply_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 0;
    create_and_open(f);
    commit_rows(f, 1, 200);
    f->fake.full = true;
    assert_int_equal(log_store_apply(f->store, 200, &left), ASSENT_DISK_FULL);
    assert_int_equal(left, 200);
    assert_int_equal(f->fake.applied, 0);
    f->fake.full = false;
    assert_int_equal(log_store_apply(f->store, 200, &left), ASSENT_OK);
    assert_int_equal(left, 0);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 200);
}

static void pruning_begins_with_a_watermark_and_ends_when_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 0;
    create_and_open(f);
    commit_rows(f, 1, 5);
    assert_int_equal(log_store_apply(f->store, 5, &left), ASSENT_OK);
    assert_false(log_store_prune_due(f->store));
    f->fake.prunes_all = 3;
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append_kind(f->store, RECORD_WATERMARK, 4, bytes_of(NULL, 0)), ASSENT_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    f->fake.full = true;
    assert_true(log_store_prune_due(f->store));
    assert_int_equal(log_store_prune(f->store), ASSENT_DISK_FULL);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen"), 5);
    f->fake.full = false;
    f->fake.prunes = 0;
    for (int step = 1; step <= 3; step++) {
        assert_true(log_store_prune_due(f->store));
        assert_int_equal(log_store_prune(f->store), ASSENT_OK);
        assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen"), 5 - step);
    }
    assert_false(log_store_prune_due(f->store));
}

static void on_a_nearly_full_disk_rows_are_applied_a_few_at_a_time(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 1;
    create_and_open(f);
    commit_rows(f, 1, 200);
    rows_into_log(f); /* whose pages become free */
    limit_pages(f, 3);
    assert_int_equal(log_store_apply(f->store, 200, &left), ASSENT_OK);
    assert_true(left > 0 && left < 200);
    while (left > 0)
        assert_int_equal(log_store_apply(f->store, 200, &left), ASSENT_OK);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 200);
}

static void limit_file_sizes(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_limit_on_file_sizes_is_a_full_disk(void **state)
{
    struct fixture *f = *state;
    uint64_t ts = 3;
    assent_status status = ASSENT_OK;
    create_and_open(f);
    commit_rows(f, 1, 2);
    uint8_t *body = calloc(1, 64u << 10);
    limit_file_sizes(TEST_TAIL_BYTES + (64u << 10));
    for (; ts < 1000 && status == ASSENT_OK; ts++) {
        assert_int_equal(log_store_begin(f->store), ASSENT_OK);
        assert_int_equal(append_kind(f->store, RECORD_PREPARED, ts, bytes_of(body, 64u << 10)),
                         ASSENT_OK);
        status = log_store_commit(f->store);
    }
    free(body);
    limit_file_sizes(RLIM_INFINITY);
    if (status != ASSENT_DISK_FULL)
        fail_msg("%s", log_store_error(f->store));
    commit_rows(f, ts - 1, ts + 20); /* and the store goes on */
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, ts + 20);
}

/* In a child of its own, because what breaks stays broken. */
static int child_meets_io_error(struct fixture *f, const char *broken, const char *words)
{
    if (strcmp(broken, "-wal") == 0)
        break_writes(broken);
    else /* the tail is there whole: writes behind the limit fail */
        limit_file_sizes(TEST_TAIL_HALF + (32u << 10));
    assent_status status = ASSENT_OK;
    for (uint64_t ts = 3; ts < 1000 && status == ASSENT_OK; ts++) {
        if (log_store_begin(f->store) != ASSENT_OK || append(f->store, ts) != ASSENT_OK)
            return 1;
        status = log_store_commit(f->store);
    }
    if (status != ASSENT_STORAGE || strstr(log_store_error(f->store), words) == NULL)
        return 2;
    uint64_t left = 0;
    if (log_store_commit(f->store) != ASSENT_STORAGE)
        return 3;
    log_store_rollback(f->store);
    if (log_store_begin(f->store) != ASSENT_STORAGE ||
        log_store_apply(f->store, 10, &left) != ASSENT_STORAGE)
        return 4;
    log_store_close(f->store);
    return 0;
}

static void meet_io_error(struct fixture *f, const char *broken, const char *words)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (open_in(f, f->dir) != ASSENT_OK)
            _exit(9);
        commit_rows(f, 1, 2);
        _exit(child_meets_io_error(f, broken, words));
    }
    int wait_status = 0;
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 0);
}

static void after_an_io_error_nothing_is_written_any_more(void **state)
{
    struct fixture *f = *state;
    create(f);
    meet_io_error(f, "-wal", "I/O");
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    assert_true(f->fake.replays >= 2);
    assert_replayed(f, 1, f->fake.replays);
}

static void after_a_failed_write_of_the_tail_nothing_is_written_any_more(void **state)
{
    struct fixture *f = *state;
    create(f);
    meet_io_error(f, ".tail", "node.db.tail: write");
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    assert_true(f->fake.replays >= 2);
    assert_replayed(f, 1, f->fake.replays);
}

static void acknowledged_rows_survive_a_kill(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    create(f);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        uint64_t left;
        if (open_in(f, f->dir) != ASSENT_OK)
            _exit(9);
        for (uint64_t ts = 1;; ts++) {
            commit_rows(f, ts, ts);
            if (ts % 50 == 0)
                log_store_apply(f->store, 20, &left);
            if (write(ends[1], &ts, sizeof ts) != sizeof ts)
                _exit(8);
        }
    }
    close(ends[1]);
    uint64_t acknowledged = 0, ts;
    while (acknowledged < 500) {
        assert_int_equal(read(ends[0], &ts, sizeof ts), sizeof ts);
        acknowledged = ts;
    }
    kill(child, SIGKILL);
    while (read(ends[0], &ts, sizeof ts) == sizeof ts)
        acknowledged = ts;
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    struct store_stats stats;
    log_store_stats(f->store, &stats);
    assert_true(stats.seq >= acknowledged);
    assert_true(stats.applied_seq > 0);
    assert_replayed(f, stats.applied_seq + 1, stats.seq);
}

static void the_write_ahead_log_is_checkpointed_when_it_is_large(void **state)
{
    struct fixture *f = *state;
    uint64_t left;
    size_t len = 256 * 1024, wal_len = 0;
    uint8_t *body = calloc(1, len);
    create_and_open(f);
    for (uint64_t ts = 1; ts <= 200; ts++) {
        assert_int_equal(log_store_begin(f->store), ASSENT_OK);
        assert_int_equal(append_kind(f->store, RECORD_PREPARED, ts, bytes_of(body, len)),
                         ASSENT_OK);
        assert_int_equal(log_store_commit(f->store), ASSENT_OK);
        assert_int_equal(log_store_apply(f->store, 10, &left), ASSENT_OK);
    }
    free(body);
    free(read_whole(f->dir, "node.db-wal", &wal_len));
    assert_true(wal_len < (16u << 20));
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

/* Before the tail forgets them, so that the commit at which it does has nothing to sync but the
 * tail. */
static void with_time_to_spare_the_database_gets_what_the_tail_soon_forgets(void **state)
{
    struct fixture *f = *state;
    struct store_stats before, after;
    uint64_t left;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    uint64_t synced_at = 0;
    create_and_open(f);
    commit_rows(f, 1, 1);
    assert_int_equal(log_store_apply(f->store, 1, &left), ASSENT_OK);
    for (uint64_t ts = 2; ts <= 2 * turn + 10; ts++) {
        log_store_stats(f->store, &before);
        commit_rows(f, ts, ts);
        if (ts == turn + turn / 2)
            assert_int_equal(log_store_apply(f->store, turn + turn / 4, &left), ASSENT_OK);
        assert_int_equal(log_store_write_back(f->store, true), ASSENT_OK);
        log_store_stats(f->store, &after);
        if (after.syncs - before.syncs != 1) {
            assert_int_equal(after.syncs - before.syncs, 3);
            assert_int_equal(synced_at, 0);
            synced_at = ts;
        }
    }
    assert_in_range(synced_at, turn + turn / 2, 2 * turn - 2);
}

/* The tail has all that the database file lacks, whatever is left of the write-ahead log: one of so
 * many parts. Returns how many of its bytes were not needed. */
static size_t whole_without_write_ahead_log(struct fixture *f, uint64_t rows, size_t parts)
{
    struct fake fake = {0};
    struct store_role role = f->role;
    struct log_store *store = NULL;
    char path[2 * PATH_SIZE];
    size_t len = 0;
    crash_copy(f);
    free(read_whole(f->copy, "node.db-wal", &len));
    file_in(path, f->copy, "node.db-wal");
    assert_int_equal(truncate(path, (off_t)(len / parts)), 0);
    role.arg = &fake;
    assert_int_equal(
        log_store_open(&store, &disk_posix, f->copy, &f->id, &role, f->why, sizeof f->why),
        ASSENT_OK);
    uint64_t seen = (uint64_t)query(log_store_db(store), "SELECT count(*) FROM seen");
    assert_int_equal(seen + (uint64_t)fake.replays, rows);
    log_store_close(store);
    return len - len / parts;
}

static void without_its_write_ahead_log_a_database_loses_nothing(void **state)
{
    struct fixture *f = *state;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    uint64_t left;
    size_t lost = 0;
    create_and_open(f);
    for (uint64_t ts = 1; ts <= 6 * turn; ts++) {
        commit_rows(f, ts, ts);
        if (ts > 2 * turn && ts % 100 == 0)
            assert_int_equal(log_store_apply(f->store, 90, &left), ASSENT_OK);
        if (ts % 23 == 0)
            lost += whole_without_write_ahead_log(f, ts, 2);
    }
    assert_true(lost > 0);
}

static void commit_and_apply(struct fixture *f, uint64_t from, uint64_t to)
{
    uint64_t left;
    for (uint64_t ts = from; ts <= to; ts++) {
        commit_rows(f, ts, ts);
        if (ts % 10 == 0)
            assert_int_equal(log_store_apply(f->store, 10, &left), ASSENT_OK);
    }
}

/* A reader of the newest rows lets a checkpoint write all pages, but not empty the write-ahead log:
 * what is left there would lay older pages over newer ones. */
static void
what_a_reader_kept_in_the_write_ahead_log_is_emptied_before_the_tail_forgets(void **state)
{
    struct fixture *f = *state;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    char path[2 * PATH_SIZE];
    sqlite3 *reader = NULL;
    create_and_open(f);
    commit_and_apply(f, 1, 2 * turn - 26);
    file_in(path, f->dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, store_pages_vfs(NULL)),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_true(query(reader, "SELECT count(*) FROM seen") > 0);
    assert_int_equal(log_store_write_back(f->store, true), ASSENT_OK);
    commit_and_apply(f, 2 * turn - 25, 2 * turn - 16);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    commit_and_apply(f, 2 * turn - 15, 2 * turn + 100);
    for (size_t parts = 1; parts <= 8; parts++)
        whole_without_write_ahead_log(f, 2 * turn + 100, parts);
}

/* What was not applied in time goes into the log, and comes into the tables from there. */
static void rows_that_the_tail_forgets_are_in_the_log_or_the_tables(void **state)
{
    struct fixture *f = *state;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    uint64_t left, rows = 0, urgent = 0;
    create_and_open(f);
    for (uint64_t ts = 1; ts <= 3 * turn; ts++) {
        commit_rows(f, ts, ts);
        urgent += log_store_apply_urgent(f->store);
        assert_true(urgent == 0 || ts > turn);
    }
    assert_in_range(urgent, turn + turn / 2, 2 * turn - turn / 8);
    sqlite3 *db = log_store_db(f->store);
    assert_in_range(query(db, "SELECT count(*) FROM log"), turn, 2 * turn);
    for (left = 1; left > 0;) {
        assert_int_equal(log_store_apply(f->store, turn - 1, &left), ASSENT_OK);
        assert_int_equal(query(db, "SELECT count(*) FROM seen"), 3 * turn - left);
        rows = (uint64_t)query(db, "SELECT count(*) FROM log");
        assert_true(rows <= left);
    }
    assert_int_equal(rows, 0);
    assert_int_equal(query(db, "SELECT count(*) FROM seen WHERE ts = n"), 3 * turn);
    commit_rows(f, 3 * turn + 1, 4 * turn);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 3 * turn + 1, 4 * turn);
}

static const struct store_step one = {1, 0};

static int flush_some(void *arg, const struct store_step *step, bool *more)
{
    struct fake *fake = arg;
    (void)step;
    *more = fake->flushes-- > 0;
    return SQLITE_OK;
}

static void assert_all_seen(struct fixture *f, uint64_t rows)
{
    uint64_t left;
    assert_int_equal(log_store_apply(f->store, UINT32_MAX, &left), ASSENT_OK);
    assert_false(log_store_applying(f->store));
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), rows);
}

static void batches_between_the_steps_of_an_apply_are_durable(void **state)
{
    struct fixture *f = *state;
    f->role.flush = flush_some;
    create_and_open(f);
    f->fake.flushes = 3;
    commit_rows(f, 1, 5);
    for (uint64_t ts = 6; ts <= 8; ts++) {
        assert_int_equal(log_store_apply_step(f->store, 5, &one), ASSENT_OK);
        assert_true(log_store_applying(f->store));
        commit_rows(f, ts, ts);
    }
    whole_without_write_ahead_log(f, 8, 1);
    f->fake.flushes = 0;
    assert_int_equal(log_store_apply_step(f->store, 5, &one), ASSENT_OK);
    assert_false(log_store_applying(f->store));
    whole_without_write_ahead_log(f, 8, 1);
    whole_without_write_ahead_log(f, 8, 2);
    assert_all_seen(f, 8);
}

static void a_batch_that_is_rolled_back_takes_an_open_apply_with_it(void **state)
{
    struct fixture *f = *state;
    f->role.flush = flush_some;
    create_and_open(f);
    f->fake.flushes = 1;
    commit_rows(f, 1, 5);
    assert_int_equal(log_store_apply_step(f->store, 5, &one), ASSENT_OK);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append(f->store, 6), ASSENT_OK);
    log_store_rollback(f->store);
    assert_false(log_store_applying(f->store));
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen"), 0);
    commit_rows(f, 6, 6);
    assert_all_seen(f, 6);
}

/* It goes into the database before it goes into the tail. */
static void a_batch_too_large_for_the_tail_ends_an_open_apply(void **state)
{
    struct fixture *f = *state;
    uint8_t *large = calloc(1, TEST_TAIL_HALF);
    f->role.flush = flush_some;
    create_and_open(f);
    f->fake.flushes = 1;
    commit_rows(f, 1, 5);
    assert_int_equal(log_store_apply_step(f->store, 5, &one), ASSENT_OK);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    f->fake.flushes = 0;
    assert_int_equal(append_kind(f->store, RECORD_PREPARED, 6, bytes_of(large, TEST_TAIL_HALF)),
                     ASSENT_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    assert_false(log_store_applying(f->store));
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen"), 5);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM log"), 1);
    free(large);
    assert_all_seen(f, 6);
}

static void commit_each(struct fixture *f, uint64_t from, uint64_t to)
{
    for (uint64_t ts = from; ts <= to; ts++)
        commit_rows(f, ts, ts);
}

static void copy_in_background(struct fixture *f)
{
    assert_int_equal(log_store_write_back(f->store, false), ASSENT_OK);
    assert_true(log_store_copying(f->store));
}

static void wait_for_background(struct fixture *f)
{
    while (log_store_copying(f->store)) {
        usleep(1000);
        assert_int_equal(log_store_write_back(f->store, false), ASSENT_OK);
    }
}

static size_t wal_bytes(struct fixture *f)
{
    size_t len = 0;
    free(read_whole(f->dir, "node.db-wal", &len));
    return len;
}

static int pages_read(struct fixture *f)
{
    int pages = 0, highest;
    sqlite3 *db = log_store_db(f->store);
    assert_true(query(db, "SELECT sum(length(body)) FROM seen") > 0);
    assert_int_equal(sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &pages, &highest, 1),
                     SQLITE_OK);
    return pages;
}

static void a_checkpoint_in_the_background_leaves_in_memory_what_was_read(void **state)
{
    struct fixture *f = *state;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    create_and_open(f);
    log_store_background(f->store);
    commit_and_apply(f, 1, turn + turn / 2 + 10);
    pages_read(f);
    copy_in_background(f);
    wait_for_background(f);
    assert_int_equal(wal_bytes(f), 0);
    assert_int_equal(pages_read(f), 0);
}

/* With batches meanwhile, and with a reader that keeps it from the end. */
static void in_the_background_the_database_gets_what_the_tail_soon_forgets(void **state)
{
    struct fixture *f = *state;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    char path[2 * PATH_SIZE];
    sqlite3 *reader = NULL;
    create_and_open(f);
    log_store_background(f->store);
    commit_and_apply(f, 1, turn + turn / 2 + 10);
    copy_in_background(f);
    commit_each(f, turn + turn / 2 + 11, turn + turn / 2 + 19);
    wait_for_background(f);
    assert_int_equal(wal_bytes(f), 0);
    commit_each(f, turn + turn / 2 + 20, 2 * turn + 20);
    for (size_t parts = 1; parts <= 8; parts++)
        whole_without_write_ahead_log(f, 2 * turn + 20, parts);
    commit_each(f, 2 * turn + 21, 2 * turn + turn / 2 + 20);
    assert_all_seen(f, 2 * turn + turn / 2 + 20);
    file_in(path, f->dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, store_pages_vfs(NULL)),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_true(query(reader, "SELECT count(*) FROM seen") > 0);
    copy_in_background(f);
    wait_for_background(f);
    assert_true(wal_bytes(f) > 0);
    /* Once for what was written since. */
    assert_int_equal(log_store_write_back(f->store, true), ASSENT_OK);
    assert_false(log_store_copying(f->store));
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    commit_each(f, 2 * turn + turn / 2 + 21, 3 * turn + 40);
    whole_without_write_ahead_log(f, 3 * turn + 40, 1);
}

/* A reader keeps the background from its end, meanwhile a batch begins and reads, and then the
 * reader is gone. */
static void a_batch_that_reads_during_a_checkpoint_may_be_too_large_for_the_tail(void **state)
{
    struct fixture *f = *state;
    const uint64_t turn = TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK), rows = turn + turn / 2 + 10;
    uint8_t *large = calloc(1, TEST_TAIL_HALF);
    char path[2 * PATH_SIZE];
    sqlite3 *reader = NULL;
    create_and_open(f);
    log_store_background(f->store);
    commit_and_apply(f, 1, rows);
    file_in(path, f->dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, store_pages_vfs(NULL)),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_true(query(reader, "SELECT count(*) FROM seen") > 0);
    copy_in_background(f);
    usleep(50000);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_true(query(log_store_db(f->store), "SELECT count(*) FROM seen") > 0);
    assert_int_equal(
        append_kind(f->store, RECORD_PREPARED, rows + 1, bytes_of(large, TEST_TAIL_HALF)),
        ASSENT_OK);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    assert_all_seen(f, rows + 1);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(batches_between_the_steps_of_an_apply_are_durable),
        STORE_TEST(a_batch_that_is_rolled_back_takes_an_open_apply_with_it),
        STORE_TEST(a_batch_too_large_for_the_tail_ends_an_open_apply),
        STORE_TEST(a_checkpoint_in_the_background_leaves_in_memory_what_was_read),
        STORE_TEST(a_batch_that_reads_during_a_checkpoint_may_be_too_large_for_the_tail),
        STORE_TEST(in_the_background_the_database_gets_what_the_tail_soon_forgets),
        STORE_TEST(with_time_to_spare_the_database_gets_what_the_tail_soon_forgets),
        STORE_TEST(without_its_write_ahead_log_a_database_loses_nothing),
        STORE_TEST(what_a_reader_kept_in_the_write_ahead_log_is_emptied_before_the_tail_forgets),
        STORE_TEST(rows_that_the_tail_forgets_are_in_the_log_or_the_tables),
        STORE_TEST(committed_rows_are_replayed_in_log_order_after_a_crash),
        STORE_TEST(a_closed_store_has_everything_in_its_tables),
        STORE_TEST(applied_rows_are_trimmed_and_the_rest_is_replayed),
        STORE_TEST(bodies_come_back_as_they_went_in),
        STORE_TEST(the_nodes_own_records_are_kept_inside),
        STORE_TEST(the_settings_are_those_that_durability_needs),
        STORE_TEST(a_rolled_back_batch_leaves_the_chain_as_it_was),
        STORE_TEST(a_failed_job_is_undone_alone),
        STORE_TEST(a_full_disk_rolls_the_batch_back_and_the_store_goes_on),
        STORE_TEST(a_full_disk_during_an_apply_changes_nothing),
        STORE_TEST(pruning_begins_with_a_watermark_and_ends_when_nothing_is_left),
        STORE_TEST(on_a_nearly_full_disk_rows_are_applied_a_few_at_a_time),
        STORE_TEST(a_limit_on_file_sizes_is_a_full_disk),
        STORE_TEST(after_an_io_error_nothing_is_written_any_more),
        STORE_TEST(after_a_failed_write_of_the_tail_nothing_is_written_any_more),
        STORE_TEST(acknowledged_rows_survive_a_kill),
        STORE_TEST(the_write_ahead_log_is_checkpointed_when_it_is_large),
    };
    return cmocka_run_group_tests_name("log_store", tests, NULL, NULL);
}
