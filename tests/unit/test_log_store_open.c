/* runtime/log_store: what is damaged, foreign or half-made is refused, with the right sentence. */
#include "tests/unit/log_store_fixture.h"

#include "runtime/store_file.h"
#include "runtime/store_meta.h"
#include "runtime/store_tail.h"

static void an_edited_row_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const edits[] = {
        "UPDATE log SET body = x'00' WHERE seq = 3",
        "UPDATE log SET ts = ts + 1 WHERE seq = 3",
        "UPDATE log SET kind = 21 WHERE seq = 3",
        "UPDATE log SET txid = zeroblob(16) WHERE seq = 3",
        "UPDATE log SET txid = zeroblob(15) WHERE seq = 3",
        "UPDATE log SET chain = zeroblob(32) WHERE seq = 3",
        "UPDATE log SET chain = zeroblob(0) WHERE seq = 3",
    };
    create_and_open(f);
    commit_rows(f, 1, 6);
    rows_into_log(f);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        if (f->store == NULL)
            assert_int_equal(open_in(f, f->dir), ASSENT_OK);
        crash_copy(f);
        edit_sql(f->copy, edits[i]);
        struct log_store *original = f->store;
        f->store = NULL;
        assert_refused(f, f->copy, ASSENT_CORRUPT, "whole up to row 2; at row 3");
        assert_non_null(strstr(f->why, "row 6 was acknowledged"));
        assert_non_null(strstr(f->why, "under a new key"));
        assert_int_equal(f->fake.replays, 0);
        f->store = original;
    }
}

static void a_missing_row_is_refused_unless_it_was_the_last(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        const char *words;
    } cut[] = {
        {"DELETE FROM log WHERE seq = 3", "whole up to row 2; at row 4"},
        {"DELETE FROM log WHERE seq = 1", "whole up to row 0; at row 2"},
        {"INSERT INTO log SELECT -1, kind, txid, ts, body, chain FROM log WHERE seq = 1",
         "whole up to row 0"},
    };
    create_and_open(f);
    commit_rows(f, 1, 6);
    rows_into_log(f);
    struct log_store *original = f->store;
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        crash_copy(f);
        edit_sql(f->copy, cut[i].sql);
        f->store = NULL;
        assert_refused(f, f->copy, ASSENT_CORRUPT, cut[i].words);
    }
    f->store = original;
}

static void assert_restored(const struct fixture *f, uint64_t rows)
{
    struct store_stats stats;
    log_store_stats(f->store, &stats);
    assert_int_equal(stats.restored, rows);
}

/* What a power loss leaves: the tail is synced at every commit, the write-ahead log is not. */
static void rows_that_the_database_lost_are_put_back_from_the_tail(void **state)
{
    struct fixture *f = *state;
    char wal[2 * PATH_SIZE];
    for (uint64_t kept = 0; kept <= 9; kept += 3) {
        remove_tree(f->dir);
        create_and_open(f);
        for (uint64_t ts = 1; ts <= 9; ts += 3) {
            if (ts == kept + 1)
                rows_into_log(f);
            commit_rows(f, ts, ts + 2);
        }
        if (kept == 9)
            rows_into_log(f);
        assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM log"), kept);
        crash_copy(f);
        struct log_store *original = f->store;
        f->store = NULL;
        assert_int_equal(open_in(f, f->copy), ASSENT_OK);
        assert_replayed(f, 1, 9);
        assert_restored(f, 9 - kept);
        assert_int_equal(query(log_store_db(f->store), "SELECT max(seq) FROM log"), 9);
        /* They are there for good, and the log goes on behind them. */
        commit_rows(f, 10, 10);
        assert_int_equal(open_in(f, f->copy), ASSENT_OK);
        assert_restored(f, 0);
        assert_int_equal(query(log_store_db(f->store), "SELECT max(ts) FROM seen"), 10);
        log_store_close(f->store);
        f->store = original;
    }
    struct log_store *original = f->store;
    crash_copy(f);
    file_in(wal, f->copy, "node.db-wal");
    assert_int_equal(unlink(wal), 0);
    f->store = NULL;
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 9);
    log_store_close(f->store);
    f->store = original;
}

/* Half of the tail's rows lie behind a turn, at which the database was synced. */
static void a_loss_that_the_tail_cannot_mend_is_refused(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    const uint64_t rows = 3 * TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK);
    for (uint64_t ts = 1; ts <= rows; ts++)
        commit_rows(f, ts, ts);
    struct log_store *original = f->store;
    crash_copy(f);
    edit_sql(f->copy, "DELETE FROM log WHERE seq > 300");
    f->store = NULL;
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, rows);
    log_store_close(f->store);
    crash_copy(f);
    edit_sql(f->copy, "DELETE FROM log WHERE seq > 10");
    f->store = NULL;
    assert_refused(f, f->copy, ASSENT_CORRUPT, "ends at row 10: its end was lost");
    f->store = original;
}

/* Behind the newest entry of the tail one more, of a row of the kind. */
static void write_tail_row(struct fixture *f, const char *dir, uint64_t kind)
{
    char path[2 * PATH_SIZE];
    struct store_tail tail;
    struct hash genesis = store_meta_genesis(&f->id);
    file_in(path, dir, "node.db.tail");
    assert_int_equal(store_tail_open(&tail, &disk_posix, path, f->why, sizeof f->why), ASSENT_OK);
    assert_true(store_tail_scan(&tail, &genesis));
    struct store_position before = {.seq = tail.entry[tail.entries - 1].seq,
                                    .chain = tail.entry[tail.entries - 1].chain};
    struct store_row row = {.seq = before.seq + 1, .kind = kind, .ts = 1};
    struct store_position after = {.seq = row.seq, .chain = store_row_chain(&before, &row)};
    store_tail_start(&tail);
    store_tail_add(&tail, &row);
    assert_int_equal(store_tail_write(&tail, &before, &after), 0);
    store_tail_close(&tail);
}

/* Most rows never are in the log, so it is the tail where an older program meets them. */
static void a_kind_of_a_newer_program_in_the_tail_is_foreign_and_no_damage(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    crash_copy(f);
    struct log_store *original = f->store;
    f->store = NULL;
    write_tail_row(f, f->copy, RECORD_PREPARED);
    write_tail_row(f, f->copy, 99);
    assert_refused(f, f->copy, ASSENT_FOREIGN, "row 5 has kind 99");
    f->store = original;
}

/* Rows ts to ts + 2 in one batch that does not fit into the tail. */
static void commit_large(struct log_store *s, uint64_t ts)
{
    size_t len = TEST_TAIL_HALF;
    uint8_t *large = calloc(1, len);
    assert_int_equal(log_store_begin(s), ASSENT_OK);
    assert_int_equal(append(s, ts), ASSENT_OK);
    assert_int_equal(append_kind(s, RECORD_PREPARED, ts + 1, bytes_of(large, len)), ASSENT_OK);
    assert_int_equal(append(s, ts + 2), ASSENT_OK);
    assert_int_equal(log_store_commit(s), ASSENT_OK);
    free(large);
}

static void a_batch_too_large_for_the_tail_is_in_the_database_first(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    commit_large(f->store, 4);
    commit_rows(f, 7, 7);
    crash_copy(f);
    struct log_store *original = f->store;
    edit_sql(f->copy, "DELETE FROM log WHERE seq > 6");
    f->store = NULL;
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 7);
    log_store_close(f->store);
    crash_copy(f);
    edit_sql(f->copy, "DELETE FROM log WHERE seq > 5");
    f->store = NULL;
    assert_refused(f, f->copy, ASSENT_CORRUPT, "ends at row 5: its end was lost");
    f->store = original;
}

/* The rows of a job that failed are not put back; the others of its batch are. */
static void the_tail_has_what_the_batch_has(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    for (uint64_t ts = 1; ts <= 6; ts++) {
        assert_int_equal(log_store_savepoint(f->store), ASSENT_OK);
        assert_int_equal(append(f->store, ts), ASSENT_OK);
        log_store_release(f->store, ts == 1 || ts == 4);
    }
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append(f->store, 77), ASSENT_OK);
    log_store_rollback(f->store);
    commit_rows(f, 8, 8);
    crash_copy(f);
    struct log_store *original = f->store;
    edit_sql(f->copy, "DELETE FROM log");
    f->store = NULL;
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_int_equal(f->fake.replays, 3);
    assert_int_equal(f->fake.replayed[0], 1);
    assert_int_equal(f->fake.replayed[1], 4);
    assert_int_equal(f->fake.replayed[2], 8);
    log_store_close(f->store);
    f->store = original;
}

static void another_history_of_the_same_length_is_refused(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    crash_copy(f);
    commit_rows(f, 1, 3);
    /* The copy goes its own way; then it gets the tail of the original. */
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    commit_rows(f, 11, 13);
    log_store_close(f->store);
    f->store = NULL;
    copy_file(f->dir, f->copy, "node.db.tail");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "chain differs");
}

static void rows_above_the_tail_count_and_are_in_it_before_they_are_used(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    size_t len = 0;
    uint8_t *tail = read_whole(f->dir, "node.db.tail", &len);
    commit_large(f->store, 4);
    crash_copy(f);
    /* Killed between SQLite's commit and the tail. */
    write_file(f->copy, "node.db.tail", tail, len);
    free(tail);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 6);
    copy_file(f->copy, f->root, "node.db");
    copy_file(f->copy, f->root, "node.db-wal");
    copy_file(f->copy, f->root, "node.db.tail");
    edit_sql(f->root, "DELETE FROM log WHERE seq = 6");
    assert_refused(f, f->root, ASSENT_CORRUPT, "ends at row 5");
}

/* Flips a bit in block `block` of the tail. */
static void damage_tail(const char *dir, uint32_t block, size_t at)
{
    size_t len = 0;
    uint8_t *tail = read_whole(dir, "node.db.tail", &len);
    assert_int_equal(len, TEST_TAIL_BYTES);
    tail[block * STORE_TAIL_BLOCK + at] ^= 1;
    write_file(dir, "node.db.tail", tail, len);
    free(tail);
}

/* An open writes its entry at the start of the half that has not the newest: create used the first.
 */
#define FIRST_BLOCK (TEST_TAIL_HALF / STORE_TAIL_BLOCK)

static void a_tail_that_was_cut_is_refused(void **state)
{
    struct fixture *f = *state;
    static const off_t sizes[] = {TEST_TAIL_HALF,      TEST_TAIL_BYTES - 1,
                                  TEST_TAIL_BYTES + 1, TEST_TAIL_BYTES + 4096,
                                  2 * TEST_TAIL_BYTES, 3 * STORE_TAIL_BLOCK};
    char path[2 * PATH_SIZE];
    create_and_open(f);
    /* Into either half. */
    commit_rows(f, 1, TEST_TAIL_HALF / (2 * STORE_TAIL_BLOCK));
    struct log_store *original = f->store;
    f->store = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        crash_copy(f);
        file_in(path, f->copy, "node.db.tail");
        assert_int_equal(truncate(path, sizes[i]), 0);
        assert_refused(f, f->copy, ASSENT_CORRUPT, "has the wrong size: it was cut");
    }
    f->store = original;
}

static void one_bad_copy_in_the_tail_is_survived(void **state)
{
    struct fixture *f = *state;
    static const size_t places[] = {0, 9, 13, 20, 40, 70, 100, 140, 400};
    create_and_open(f);
    commit_rows(f, 1, 3);
    commit_rows(f, 4, 5);
    struct log_store *original = f->store;
    for (uint32_t block = 0; block < 6; block++)
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            crash_copy(f);
            damage_tail(f->copy, FIRST_BLOCK + block, places[i]);
            edit_sql(f->copy, "DELETE FROM log");
            f->store = NULL;
            assert_int_equal(open_in(f, f->copy), ASSENT_OK);
            assert_replayed(f, 1, 5);
            log_store_close(f->store);
        }
    f->store = original;
}

static void two_bad_copies_are_refused_where_the_log_lacks_the_rows(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    commit_rows(f, 4, 5);
    rows_into_log(f);
    struct log_store *original = f->store;
    crash_copy(f);
    damage_tail(f->copy, FIRST_BLOCK + 2, 100);
    damage_tail(f->copy, FIRST_BLOCK + 3, 100);
    f->store = NULL;
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 5);
    log_store_close(f->store);
    crash_copy(f);
    damage_tail(f->copy, FIRST_BLOCK + 2, 100);
    damage_tail(f->copy, FIRST_BLOCK + 3, 100);
    edit_sql(f->copy, "DELETE FROM log WHERE seq > 2");
    f->store = NULL;
    assert_refused(f, f->copy, ASSENT_CORRUPT, "ends at row 2");
    f->store = original;
}

static void a_tail_without_a_valid_entry_is_refused(void **state)
{
    struct fixture *f = *state;
    create(f);
    crash_copy(f);
    damage_tail(f->copy, 0, 20);
    damage_tail(f->copy, 1, 20);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no entry of the tail is valid");
}

static void a_changed_meta_row_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const edits[] = {
        "UPDATE meta SET incarnation = 1",    "UPDATE meta SET applied_seq = 3",
        "UPDATE meta SET watermark = 5",      "UPDATE meta SET name = 'a2'",
        "UPDATE meta SET checksum = x'0102'", "UPDATE meta SET applied_chain = zeroblob(32)",
    };
    create(f);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        crash_copy(f);
        edit_sql(f->copy, edits[i]);
        assert_refused(f, f->copy, ASSENT_CORRUPT, "meta row");
    }
}

static void whatever_is_no_database_of_assent_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, f->dir, ASSENT_STORAGE, "No such file");
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_refused(f, f->dir, ASSENT_STORAGE, "has no node.db");
    write_file(f->dir, "node.db", "not a database at all", 21);
    assert_refused(f, f->dir, ASSENT_FOREIGN, "not a SQLite database");
    write_file(f->dir, "node.db.tail", "0123456789", 10);
    assert_refused(f, f->dir, ASSENT_FOREIGN, "not a SQLite database");
    write_file(f->dir, "node.db", "", 0);
    foreign_sql(f->dir, "CREATE TABLE t (x); PRAGMA application_id=5");
    assert_refused(f, f->dir, ASSENT_FOREIGN, "of another program");
    write_file(f->root, "file", "", 0);
    char path[2 * PATH_SIZE];
    file_in(path, f->root, "file");
    assert_refused(f, path, ASSENT_STORAGE, "not a directory");
    assert_refused(f, "", ASSENT_STORAGE, "path");
}

static void half_a_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[2 * PATH_SIZE];
    const uint8_t zero[8192] = {0};
    create(f);
    crash_copy(f);
    file_in(path, f->copy, "node.db.tail");
    unlink(path);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no node.db.tail");
    crash_copy(f);
    file_in(path, f->copy, "node.db");
    unlink(path);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "but no node.db");
    crash_copy(f);
    write_file(f->copy, "node.db.tail", zero, sizeof zero);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "half-made");
    write_file(f->copy, "node.db", "", 0);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "half-made");
    crash_copy(f);
    write_file(f->copy, "node.db", "", 0);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "is empty");
    crash_copy(f);
    edit_sql(f->copy, "DELETE FROM meta");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no complete meta row");
    edit_sql(f->copy, "DROP TABLE meta");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no complete meta row");
    crash_copy(f);
    edit_sql(f->copy, "DROP TABLE log");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "not those of a node");
}

static void another_format_is_refused(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    crash_copy(f);
    edit_sql(f->copy, "PRAGMA user_version=3");
    assert_refused(f, f->copy, ASSENT_FOREIGN, "format 3");
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    crash_copy(f);
    edit_sql(f->copy, "PRAGMA user_version=1");
    assert_refused(f, f->copy, ASSENT_FOREIGN, "format 1, of an earlier version");
    /* Whatever that format does about checksums. */
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    crash_copy(f);
    foreign_sql(f->copy, "PRAGMA user_version=4");
    assert_refused(f, f->copy, ASSENT_FOREIGN, "format 4");
}

static void another_identity_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct store_identity own = f->id;
    create(f);
    strcpy(f->id.name, "b2");
    assert_refused(f, f->dir, ASSENT_FOREIGN, "belongs to node a1 (id 4), not to b2");
    f->id = own;
    f->id.node = 5;
    assert_refused(f, f->dir, ASSENT_FOREIGN, "not to a1 (id 5)");
    f->id = own;
    f->id.cluster[3]++;
    assert_refused(f, f->dir, ASSENT_FOREIGN, "of cluster 0707");
    f->id = own;
    f->id.role = ROLE_COORDINATOR;
    assert_refused(f, f->dir, ASSENT_FOREIGN, "belongs to a participant");
    f->id = own;
    f->id.public_key[31]++;
    assert_refused(f, f->dir, ASSENT_FOREIGN, "another key");
    f->id = own;
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

static void the_tail_of_another_node_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct store_identity own = f->id;
    create(f);
    f->id.public_key[0]++;
    assert_int_equal(log_store_create(&disk_posix, f->copy, &f->id, &f->role, TEST_TAIL_BYTES,
                                      f->why, sizeof f->why),
                     ASSENT_OK);
    f->id = own;
    copy_file(f->copy, f->dir, "node.db.tail");
    assert_refused(f, f->dir, ASSENT_CORRUPT, "no entry of the tail is valid");
}

static void a_directory_is_served_by_one_process_only(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    struct log_store *second = NULL;
    struct fake fake = {0};
    struct store_role role = f->role;
    role.arg = &fake;
    assert_int_equal(
        log_store_open(&second, &disk_posix, f->dir, &f->id, &role, f->why, sizeof f->why),
        ASSENT_STORAGE);
    assert_null(second);
    assert_non_null(strstr(f->why, "locked"));
    assert_non_null(strstr(f->why, f->dir));
    commit_rows(f, 1, 2);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    assert_true(store_file_served(&disk_posix, f->dir));
    log_store_close(f->store);
    f->store = NULL;
    assert_false(store_file_served(&disk_posix, f->dir));
    assert_false(store_file_served(&disk_posix, "/nowhere"));
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

static void create_never_writes_over_anything(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[2 * PATH_SIZE];
    create_and_open(f);
    commit_rows(f, 1, 2);
    assert_int_equal(log_store_create(&disk_posix, f->dir, &f->id, &f->role, TEST_TAIL_BYTES,
                                      f->why, sizeof f->why),
                     ASSENT_STORAGE);
    assert_non_null(strstr(f->why, "exists"));
    file_in(path, f->dir, "node.db");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(mkdir(f->copy, 0700), 0);
    write_file(f->copy, "node.db.tail", "", 0);
    assert_int_equal(log_store_create(&disk_posix, f->copy, &f->id, &f->role, TEST_TAIL_BYTES,
                                      f->why, sizeof f->why),
                     ASSENT_STORAGE);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

static int failing_create(void *arg, struct sqlite3 *db)
{
    (void)arg;
    (void)db;
    return SQLITE_ERROR;
}

static void a_failed_create_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_role role = f->role;
    role.create = failing_create;
    assert_int_equal(log_store_create(&disk_posix, f->dir, &f->id, &role, TEST_TAIL_BYTES, f->why,
                                      sizeof f->why),
                     ASSENT_STORAGE);
    assert_refused(f, f->dir, ASSENT_STORAGE, "has no node.db");
    create_and_open(f);
}

static void a_flipped_bit_in_the_write_ahead_log_loses_nothing_silently(void **state)
{
    struct fixture *f = *state;
    uint64_t left;
    create_and_open(f);
    for (uint64_t ts = 1; ts <= 10; ts++) {
        commit_rows(f, ts, ts);
        assert_int_equal(log_store_apply(f->store, 1, &left), ASSENT_OK);
    }
    for (uint64_t ts = 11; ts <= 20; ts++)
        commit_rows(f, ts, ts);
    crash_copy(f);
    struct log_store *original = f->store;
    size_t len = 0;
    uint8_t *wal = read_whole(f->copy, "node.db-wal", &len);
    assert_true(len > 50000);
    int refused = 0, whole = 0;
    for (size_t at = 5; at < len; at += 1531) {
        crash_copy(f);
        wal[at] ^= 4;
        write_file(f->copy, "node.db-wal", wal, len);
        wal[at] ^= 4;
        f->store = NULL;
        assent_status status = open_in(f, f->copy);
        if (status == ASSENT_OK) {
            struct store_stats stats;
            log_store_stats(f->store, &stats);
            assert_int_equal(stats.seq, 20);
            assert_replayed(f, stats.applied_seq + 1, 20);
            whole++;
        } else {
            assert_int_equal(status, ASSENT_CORRUPT);
            refused++;
        }
        log_store_close(f->store);
    }
    /* The tail has all that was ever in this log. */
    assert_int_equal(refused, 0);
    assert_true(whole > 30);
    free(wal);
    f->store = original;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_edited_row_is_refused),
        STORE_TEST(a_missing_row_is_refused_unless_it_was_the_last),
        STORE_TEST(rows_that_the_database_lost_are_put_back_from_the_tail),
        STORE_TEST(a_loss_that_the_tail_cannot_mend_is_refused),
        STORE_TEST(a_kind_of_a_newer_program_in_the_tail_is_foreign_and_no_damage),
        STORE_TEST(a_batch_too_large_for_the_tail_is_in_the_database_first),
        STORE_TEST(the_tail_has_what_the_batch_has),
        STORE_TEST(another_history_of_the_same_length_is_refused),
        STORE_TEST(rows_above_the_tail_count_and_are_in_it_before_they_are_used),
        STORE_TEST(a_tail_that_was_cut_is_refused),
        STORE_TEST(one_bad_copy_in_the_tail_is_survived),
        STORE_TEST(two_bad_copies_are_refused_where_the_log_lacks_the_rows),
        STORE_TEST(a_tail_without_a_valid_entry_is_refused),
        STORE_TEST(a_changed_meta_row_is_refused),
        STORE_TEST(whatever_is_no_database_of_assent_is_refused_and_left_alone),
        STORE_TEST(half_a_directory_is_refused),
        STORE_TEST(another_format_is_refused),
        STORE_TEST(another_identity_is_refused),
        STORE_TEST(the_tail_of_another_node_is_refused),
        STORE_TEST(a_directory_is_served_by_one_process_only),
        STORE_TEST(create_never_writes_over_anything),
        STORE_TEST(a_failed_create_leaves_nothing),
        STORE_TEST(a_flipped_bit_in_the_write_ahead_log_loses_nothing_silently),
    };
    return cmocka_run_group_tests_name("log_store_open", tests, NULL, NULL);
}
