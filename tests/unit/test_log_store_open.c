/* runtime/log_store: what is damaged, foreign or half-made is refused, with the right sentence. */
#include "tests/unit/log_store_fixture.h"

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
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        if (f->store == NULL)
            assert_int_equal(open_in(f, f->dir), ASSENT_OK);
        crash_copy(f);
        plain_sql(f->copy, edits[i]);
        struct log_store *original = f->store;
        f->store = NULL;
        assert_refused(f, f->copy, ASSENT_CORRUPT, "whole up to row 2; at row 3");
        assert_non_null(strstr(f->why, "row 6 was acknowledged"));
        assert_non_null(strstr(f->why, "under a new key"));
        assert_int_equal(f->fake.replays, 0);
        f->store = original;
    }
}

static void a_missing_row_is_refused_wherever_it_was(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        const char *words;
    } cut[] = {
        {"DELETE FROM log WHERE seq = 3", "whole up to row 2; at row 4"},
        {"DELETE FROM log WHERE seq = 1", "whole up to row 0; at row 2"},
        {"DELETE FROM log WHERE seq = 6", "ends at row 5"},
        {"DELETE FROM log", "ends at row 0"},
        {"INSERT INTO log SELECT -1, kind, txid, ts, body, chain FROM log WHERE seq = 1",
         "whole up to row 0"},
    };
    create_and_open(f);
    commit_rows(f, 1, 6);
    struct log_store *original = f->store;
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        crash_copy(f);
        plain_sql(f->copy, cut[i].sql);
        f->store = NULL;
        assert_refused(f, f->copy, ASSENT_CORRUPT, cut[i].words);
    }
    f->store = original;
}

static void a_lost_write_ahead_log_is_refused(void **state)
{
    struct fixture *f = *state;
    char wal[2 * PATH_SIZE];
    create_and_open(f);
    commit_rows(f, 1, 6);
    crash_copy(f);
    file_in(wal, f->copy, "node.db-wal");
    assert_int_equal(unlink(wal), 0);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "its end was lost");
}

static void another_history_of_the_same_length_is_refused(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    crash_copy(f);
    commit_rows(f, 1, 3);
    char mark[2 * PATH_SIZE];
    /* The copy goes its own way; then it gets the mark of the original. */
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    commit_rows(f, 11, 13);
    log_store_close(f->store);
    f->store = NULL;
    file_in(mark, f->copy, "node.db.mark");
    copy_file(f->dir, f->copy, "node.db.mark");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "the chain differs");
}

static void rows_above_the_mark_count_and_are_marked_before_they_are_used(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    size_t len = 0;
    uint8_t *mark = read_whole(f->dir, "node.db.mark", &len);
    commit_rows(f, 4, 5);
    crash_copy(f);
    /* Killed between SQLite's commit and the mark. */
    write_file(f->copy, "node.db.mark", mark, len);
    free(mark);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 5);
    copy_file(f->copy, f->root, "node.db");
    copy_file(f->copy, f->root, "node.db-wal");
    copy_file(f->copy, f->root, "node.db.mark");
    plain_sql(f->root, "DELETE FROM log WHERE seq = 5");
    assert_refused(f, f->root, ASSENT_CORRUPT, "ends at row 4");
}

static void damage_mark(const char *dir, bool first, bool second)
{
    size_t len = 0;
    uint8_t *mark = read_whole(dir, "node.db.mark", &len);
    assert_int_equal(len, 8192);
    if (first)
        mark[20] ^= 1;
    if (second)
        mark[4096 + 20] ^= 1;
    write_file(dir, "node.db.mark", mark, len);
    free(mark);
}

static void one_torn_slot_of_the_mark_is_survived_and_both_are_refused(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    commit_rows(f, 4, 5);
    crash_copy(f);
    for (int slot = 0; slot < 2; slot++) {
        damage_mark(f->copy, slot == 0, slot == 1);
        assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    }
    log_store_close(f->store);
    f->store = NULL;
    damage_mark(f->copy, true, true);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "neither slot of the mark is valid");
}

static void a_torn_slot_does_not_hide_the_other(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    commit_rows(f, 1, 3);
    commit_rows(f, 4, 5);
    crash_copy(f);
    struct log_store *original = f->store;
    int refused = 0;
    for (int slot = 0; slot < 2; slot++) {
        crash_copy(f);
        plain_sql(f->copy, "DELETE FROM log WHERE seq > 3");
        damage_mark(f->copy, slot == 0, slot == 1);
        f->store = NULL;
        refused += open_in(f, f->copy) == ASSENT_CORRUPT;
        log_store_close(f->store);
    }
    /* The slot left says 5 in one case, and 3 in the other, which the cut log still reaches. */
    assert_int_equal(refused, 1);
    f->store = original;
}

static void the_slots_of_the_mark_are_written_in_turn(void **state)
{
    struct fixture *f = *state;
    size_t len = 0;
    int written[2] = {0}, before = -1;
    create_and_open(f);
    for (uint64_t ts = 1; ts <= 6; ts++) {
        uint8_t *old = read_whole(f->dir, "node.db.mark", &len);
        commit_rows(f, ts, ts);
        uint8_t *new = read_whole(f->dir, "node.db.mark", &len);
        int slot = memcmp(old, new, 4096) == 0 ? 1 : 0;
        assert_int_equal(memcmp(old + 4096 * (1 - slot), new + 4096 * (1 - slot), 4096), 0);
        assert_int_not_equal(slot, before);
        before = slot;
        written[slot]++;
        free(old);
        free(new);
    }
    assert_int_equal(written[0], 3);
    assert_int_equal(written[1], 3);
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
        plain_sql(f->copy, edits[i]);
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
    write_file(f->dir, "node.db.mark", "0123456789", 10);
    assert_refused(f, f->dir, ASSENT_FOREIGN, "not a SQLite database");
    write_file(f->dir, "node.db", "", 0);
    plain_sql(f->dir, "CREATE TABLE t (x); PRAGMA application_id=5");
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
    file_in(path, f->copy, "node.db.mark");
    unlink(path);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no node.db.mark");
    crash_copy(f);
    file_in(path, f->copy, "node.db");
    unlink(path);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "but no node.db");
    crash_copy(f);
    write_file(f->copy, "node.db.mark", zero, sizeof zero);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "half-made");
    write_file(f->copy, "node.db", "", 0);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "half-made");
    crash_copy(f);
    write_file(f->copy, "node.db", "", 0);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "is empty");
    crash_copy(f);
    plain_sql(f->copy, "DELETE FROM meta");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no complete meta row");
    plain_sql(f->copy, "DROP TABLE meta");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "no complete meta row");
    crash_copy(f);
    plain_sql(f->copy, "DROP TABLE log");
    assert_refused(f, f->copy, ASSENT_CORRUPT, "not those of a node");
}

static void a_newer_format_is_refused(void **state)
{
    struct fixture *f = *state;
    create(f);
    plain_sql(f->dir, "PRAGMA user_version=2");
    assert_refused(f, f->dir, ASSENT_FOREIGN, "format 2");
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

static void the_mark_of_another_node_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct store_identity own = f->id;
    create(f);
    f->id.public_key[0]++;
    assert_int_equal(log_store_create(f->copy, &f->id, &f->role, f->why, sizeof f->why), ASSENT_OK);
    f->id = own;
    copy_file(f->copy, f->dir, "node.db.mark");
    assert_refused(f, f->dir, ASSENT_CORRUPT, "neither slot");
}

static void a_directory_is_served_by_one_process_only(void **state)
{
    struct fixture *f = *state;
    create_and_open(f);
    struct log_store *second = NULL;
    struct fake fake = {0};
    struct store_role role = f->role;
    role.arg = &fake;
    assert_int_equal(log_store_open(&second, f->dir, &f->id, &role, f->why, sizeof f->why),
                     ASSENT_STORAGE);
    assert_null(second);
    assert_non_null(strstr(f->why, "locked"));
    assert_non_null(strstr(f->why, f->dir));
    commit_rows(f, 1, 2);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

static void create_never_writes_over_anything(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[2 * PATH_SIZE];
    create_and_open(f);
    commit_rows(f, 1, 2);
    assert_int_equal(log_store_create(f->dir, &f->id, &f->role, f->why, sizeof f->why),
                     ASSENT_STORAGE);
    assert_non_null(strstr(f->why, "exists"));
    file_in(path, f->dir, "node.db");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(mkdir(f->copy, 0700), 0);
    write_file(f->copy, "node.db.mark", "", 0);
    assert_int_equal(log_store_create(f->copy, &f->id, &f->role, f->why, sizeof f->why),
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
    assert_int_equal(log_store_create(f->dir, &f->id, &role, f->why, sizeof f->why),
                     ASSENT_STORAGE);
    assert_refused(f, f->dir, ASSENT_STORAGE, "has no node.db");
    create_and_open(f);
}

static void a_flipped_bit_in_the_write_ahead_log_loses_nothing_silently(void **state)
{
    struct fixture *f = *state;
    uint64_t left;
    create_and_open(f);
    for (uint64_t ts = 1; ts <= 10; ts++)
        commit_rows(f, ts, ts);
    assert_int_equal(log_store_apply(f->store, 4, &left), ASSENT_OK);
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
    /* Bits of a torn page behind the last commit hurt nobody; nearly all others must show. */
    assert_true(refused > 20);
    free(wal);
    f->store = original;
    assert_true(whole <= refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_edited_row_is_refused),
        STORE_TEST(a_missing_row_is_refused_wherever_it_was),
        STORE_TEST(a_lost_write_ahead_log_is_refused),
        STORE_TEST(another_history_of_the_same_length_is_refused),
        STORE_TEST(rows_above_the_mark_count_and_are_marked_before_they_are_used),
        STORE_TEST(one_torn_slot_of_the_mark_is_survived_and_both_are_refused),
        STORE_TEST(a_torn_slot_does_not_hide_the_other),
        STORE_TEST(the_slots_of_the_mark_are_written_in_turn),
        STORE_TEST(a_changed_meta_row_is_refused),
        STORE_TEST(whatever_is_no_database_of_assent_is_refused_and_left_alone),
        STORE_TEST(half_a_directory_is_refused),
        STORE_TEST(a_newer_format_is_refused),
        STORE_TEST(another_identity_is_refused),
        STORE_TEST(the_mark_of_another_node_is_refused),
        STORE_TEST(a_directory_is_served_by_one_process_only),
        STORE_TEST(create_never_writes_over_anything),
        STORE_TEST(a_failed_create_leaves_nothing),
        STORE_TEST(a_flipped_bit_in_the_write_ahead_log_loses_nothing_silently),
    };
    return cmocka_run_group_tests_name("log_store_open", tests, NULL, NULL);
}
