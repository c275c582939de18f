/* runtime/store_pages: whatever changes in the database file behind SQLite's back is found. */
#include "tests/unit/log_store_fixture.h"

#include <fcntl.h>
#include <pthread.h>

#include "wire/hash.h"

#define PAGE STORE_PAGES_BYTES

/* ---- a file to be spoiled ---- */

static int open_file(const char *dir)
{
    char path[2 * PATH_SIZE];
    file_in(path, dir, "node.db");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void flip(const char *dir, size_t at, uint8_t mask)
{
    uint8_t byte;
    int fd = open_file(dir);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= mask;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void put_page(const char *dir, uint32_t number, const uint8_t *page)
{
    int fd = open_file(dir);
    assert_int_equal(pwrite(fd, page, PAGE, (off_t)(number - 1) * PAGE), PAGE);
    close(fd);
}

static void get_page(const char *dir, uint32_t number, uint8_t *page)
{
    int fd = open_file(dir);
    assert_int_equal(pread(fd, page, PAGE, (off_t)(number - 1) * PAGE), PAGE);
    close(fd);
}

static size_t file_bytes(const char *dir)
{
    char path[2 * PATH_SIZE];
    struct stat st;
    file_in(path, dir, "node.db");
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static void commit_large(struct fixture *f, uint64_t ts, size_t len)
{
    uint8_t *body = calloc(1, len);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(i * 31 + ts);
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    assert_int_equal(append_kind(f->store, RECORD_PREPARED, ts, bytes_of(body, len)), ASSENT_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
    free(body);
}

/* Closed, with an empty write-ahead log: a table of three levels, overflow pages, free pages. */
static void create_full(struct fixture *f)
{
    uint64_t left = 1;
    create_and_open(f);
    commit_rows(f, 1, 700);
    commit_large(f, 701, 30000);
    rows_into_log(f);
    while (left > 0)
        assert_int_equal(log_store_apply(f->store, 100, &left), ASSENT_OK);
    assert_true(query(log_store_db(f->store), "PRAGMA freelist_count") > 3);
    log_store_close(f->store);
    f->store = NULL;
    assert_int_equal(file_bytes(f->dir) % PAGE, 0);
    assert_true(file_bytes(f->dir) > 60 * PAGE);
}

/* ---- connections ---- */

static sqlite3 *connect_through(const char *vfs, const char *dir)
{
    char path[2 * PATH_SIZE];
    sqlite3 *db = NULL;
    file_in(path, dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, vfs), SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    return db;
}

static sqlite3 *connect(const char *dir)
{
    return connect_through(store_pages_vfs(NULL), dir);
}

static int check_all(const char *dir, char *damage)
{
    sqlite3 *db = connect(dir);
    int rc = store_pages_check(db, (uint32_t)(file_bytes(dir) / PAGE));
    const char *found = store_pages_damage(db);
    snprintf(damage, 256, "%s", found == NULL ? "" : found);
    sqlite3_close(db);
    return rc;
}

/* All that the database says. False: SQLite met an error. */
static bool read_all(sqlite3 *db, struct hash *content)
{
    static const char *const sql[] = {"SELECT n, ts, body FROM seen",
                                      "SELECT seq, ts, body FROM log",
                                      "SELECT applied_seq, one, checksum FROM meta"};
    struct hash h = {0};
    int rc = SQLITE_DONE;
    for (size_t i = 0; i < sizeof sql / sizeof sql[0] && rc == SQLITE_DONE; i++) {
        sqlite3_stmt *stmt = NULL;
        rc = sqlite3_prepare_v2(db, sql[i], -1, &stmt, NULL);
        while (rc == SQLITE_OK || rc == SQLITE_ROW) {
            rc = sqlite3_step(stmt);
            if (rc != SQLITE_ROW)
                break;
            sqlite3_int64 n[] = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};
            const void *body = sqlite3_column_blob(stmt, 2);
            const struct bytes part[] = {bytes_of(h.b, HASH_BYTES), bytes_of(n, sizeof n),
                                         bytes_of(body, (size_t)sqlite3_column_bytes(stmt, 2))};
            h = hash_of(part, 3);
        }
        sqlite3_finalize(stmt);
    }
    *content = h;
    return rc == SQLITE_DONE;
}

static bool read_file(const char *vfs, const char *dir, struct hash *content)
{
    sqlite3 *db = connect_through(vfs, dir);
    bool good = read_all(db, content);
    sqlite3_close(db);
    return good;
}

/* ---- flips ---- */

static void every_flipped_bit_is_found_in_its_page(void **state)
{
    struct fixture *f = *state;
    char damage[256], number[32];
    create_full(f);
    assert_int_equal(check_all(f->dir, damage), SQLITE_OK);
    assert_string_equal(damage, "");
    size_t size = file_bytes(f->dir), flips = 0;
    for (size_t at = 0; at < size; at += at < PAGE || at % PAGE > PAGE - 40 ? 1 : 173) {
        uint8_t mask = (uint8_t)(1u << at % 8);
        flip(f->dir, at, mask);
        assert_int_equal(check_all(f->dir, damage), SQLITE_IOERR_DATA);
        snprintf(number, sizeof number, "page %zu of ", at / PAGE + 1);
        if (strstr(damage, number) == NULL)
            fail_msg("byte %zu: '%s'", at, damage);
        flip(f->dir, at, mask);
        flips++;
    }
    assert_true(flips > 5000);
    assert_int_equal(check_all(f->dir, damage), SQLITE_OK);
}

/* In the header: the first 16 bytes say that it is SQLite's, others which program's and format. */
static bool told_apart_first(size_t at)
{
    return at < 16 || (at >= 60 && at < 64) || (at >= 68 && at < 72);
}

static void a_flipped_bit_anywhere_keeps_the_node_from_serving(void **state)
{
    struct fixture *f = *state;
    char words[32];
    create_full(f);
    size_t size = file_bytes(f->dir), refused = 0;
    for (size_t at = 0; at < size; at += at < 100 ? 1 : 1361) {
        flip(f->dir, at, 4);
        snprintf(words, sizeof words, "page %zu of ", at / PAGE + 1);
        if (told_apart_first(at))
            assert_refused(f, f->dir, ASSENT_FOREIGN, "");
        else
            assert_refused(f, f->dir, ASSENT_CORRUPT, words);
        flip(f->dir, at, 4);
        refused++;
    }
    assert_true(refused > 250);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 701);
}

/* The same flips through SQLite's own VFS show what the checksums are for. */
static void nothing_wrong_is_read_where_sqlite_alone_would_read_it(void **state)
{
    struct fixture *f = *state;
    struct hash whole, found;
    size_t wrong = 0, noticed = 0, failed = 0;
    create_full(f);
    assert_true(read_file(store_pages_vfs(NULL), f->dir, &whole));
    assert_true(read_file(NULL, f->dir, &found));
    assert_memory_equal(whole.b, found.b, HASH_BYTES);
    size_t size = file_bytes(f->dir);
    for (size_t at = 100; at < size; at += 601) {
        flip(f->dir, at, 16);
        if (read_file(store_pages_vfs(NULL), f->dir, &found))
            assert_memory_equal(whole.b, found.b, HASH_BYTES); /* on a page that was not read */
        else
            failed++;
        if (!read_file(NULL, f->dir, &found))
            noticed++;
        else
            wrong += memcmp(whole.b, found.b, HASH_BYTES) != 0;
        flip(f->dir, at, 16);
    }
    print_message("%zu of %zu flips: error with checksums; without: %zu wrong, %zu an error\n",
                  failed, (size - 100) / 601, wrong, noticed);
    assert_true(wrong > 100);
    assert_true(failed >= wrong + noticed);
}

static void a_mapped_file_is_checked_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct hash content;
    create_full(f);
    sqlite3 *db = connect(f->dir);
    uint32_t number = (uint32_t)query(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'seen'");
    sqlite3_close(db);
    flip(f->dir, number * PAGE - 500, 1);
    db = connect(f->dir);
    sqlite3_exec(db, "PRAGMA mmap_size=100000000", NULL, NULL, NULL);
    assert_false(read_all(db, &content));
    assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_DATA);
    assert_non_null(store_pages_damage(db));
    sqlite3_close(db);
}

static void a_part_of_a_page_is_read_only_if_all_of_it_fits(void **state)
{
    struct fixture *f = *state;
    uint8_t part[200], page[PAGE];
    sqlite3_file *file = NULL;
    create_full(f);
    get_page(f->dir, 5, page);
    flip(f->dir, 6 * PAGE + 4000, 1);
    sqlite3 *db = connect(f->dir);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    assert_int_equal(file->pMethods->xRead(file, part, sizeof part, 4 * PAGE + 300), SQLITE_OK);
    assert_memory_equal(part, page + 300, sizeof part);
    assert_null(store_pages_damage(db));
    assert_int_equal(file->pMethods->xRead(file, part, 100, 6 * PAGE), SQLITE_IOERR_DATA);
    assert_int_equal(file->pMethods->xRead(file, part, 100, 5 * PAGE - 50), SQLITE_IOERR_DATA);
    sqlite3_close(db);
}

/* ---- pages that are whole, and wrong ---- */

static void a_page_in_the_place_of_another_is_found(void **state)
{
    struct fixture *f = *state;
    uint8_t a[PAGE], b[PAGE];
    create_full(f);
    get_page(f->dir, 20, a);
    get_page(f->dir, 21, b);
    put_page(f->dir, 20, b);
    put_page(f->dir, 21, a);
    assert_refused(f, f->dir, ASSENT_CORRUPT, "page 20 of ");
    put_page(f->dir, 20, a);
    put_page(f->dir, 21, b);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

static void a_page_of_another_database_is_found(void **state)
{
    struct fixture *f = *state;
    uint8_t page[PAGE], old[PAGE];
    create_full(f);
    crash_copy(f);
    remove_tree(f->dir);
    create_full(f);
    get_page(f->copy, 20, page);
    get_page(f->dir, 20, old);
    assert_memory_equal(page, old, PAGE - STORE_PAGES_RESERVED);
    put_page(f->dir, 20, page);
    assert_refused(f, f->dir, ASSENT_CORRUPT, "it is of another database");
    /* A first page brings its salt along, and all others do not fit it. */
    put_page(f->dir, 20, old);
    get_page(f->copy, 1, page);
    put_page(f->dir, 1, page);
    assert_refused(f, f->dir, ASSENT_CORRUPT, "it is of another database");
}

static void a_page_of_zeros_and_one_that_is_gone_are_found(void **state)
{
    struct fixture *f = *state;
    const uint8_t zeros[PAGE] = {0};
    char path[2 * PATH_SIZE], damage[256];
    create_full(f);
    crash_copy(f);
    put_page(f->copy, 30, zeros);
    assert_refused(f, f->copy, ASSENT_CORRUPT, "page 30 of ");
    crash_copy(f);
    file_in(path, f->copy, "node.db");
    uint32_t pages = (uint32_t)(file_bytes(f->copy) / PAGE);
    sqlite3 *db = connect(f->copy);
    assert_int_equal(truncate(path, (off_t)(pages - 2) * PAGE), 0);
    assert_int_equal(store_pages_check(db, pages), SQLITE_IOERR_DATA);
    snprintf(damage, sizeof damage, "page %lu of ", (unsigned long)(pages - 1));
    assert_non_null(strstr(store_pages_damage(db), damage));
    sqlite3_close(db);
    assert_int_equal(open_in(f, f->copy), ASSENT_CORRUPT);
}

static void pages_that_another_program_wrote_are_refused(void **state)
{
    struct fixture *f = *state;
    create_full(f);
    foreign_sql(f->dir, "UPDATE seen SET ts = ts + 1 WHERE n = 300");
    assert_refused(f, f->dir, ASSENT_CORRUPT, "another program wrote to the file");
}

/* ---- what must go on ---- */

static void another_program_reads_the_file(void **state)
{
    struct fixture *f = *state;
    create_full(f);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    commit_rows(f, 702, 702);
    char path[2 * PATH_SIZE];
    sqlite3 *db = NULL;
    file_in(path, f->dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(query(db, "SELECT count(*) FROM seen WHERE ts = n"), 701);
    assert_int_equal(query(db, "SELECT count(*) FROM log"), 0);
    assert_int_equal(query(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    sqlite3_close(db);
}

/* A loss of power in the middle of a checkpoint: pages half new, half old, and the log that mends
 * them. */
static void pages_that_a_checkpoint_left_torn_are_mended_from_the_log(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 1;
    create_full(f);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    commit_rows(f, 702, 900);
    while (left > 0)
        assert_int_equal(log_store_apply(f->store, 50, &left), ASSENT_OK);
    crash_copy(f);
    size_t old_size = 0, size = 0, torn = 0;
    uint8_t *old = read_whole(f->copy, "node.db", &old_size);
    log_store_close(f->store);
    f->store = NULL;
    uint8_t *mixed = read_whole(f->dir, "node.db", &size);
    assert_true(size > old_size);
    for (size_t page = 0; page < old_size; page += PAGE) {
        torn += memcmp(mixed + page, old + page, PAGE) != 0;
        memcpy(mixed + page + PAGE / 2, old + page + PAGE / 2, PAGE / 2);
    }
    assert_true(torn > 5 && memcmp(mixed, old, PAGE / 2) != 0);
    memset(mixed + old_size + PAGE, 0, PAGE); /* a hole, until the checkpoint gets there */
    write_file(f->copy, "node.db", mixed, size);
    free(old);
    free(mixed);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 900);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
}

__attribute__((format(printf, 2, 3))) static void run_sql(sqlite3 *db, const char *format, ...)
{
    char sql[300];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Frames of the write-ahead log wait for each other, but not longer than their transaction: of one
 * page or of many, with pages that a small cache gave to the log before the end and changed again,
 * after a rollback of such. */
static void what_is_committed_is_seen_by_others_at_once_and_whole(void **state)
{
    struct fixture *f = *state;
    create_full(f);
    sqlite3 *db = connect(f->dir), *reader = connect_through(NULL, f->dir);
    run_sql(db, "PRAGMA cache_size=10; PRAGMA synchronous=normal");
    run_sql(db, "PRAGMA wal_autocheckpoint=0; CREATE TABLE t (n INTEGER PRIMARY KEY, v, pad)");
    int64_t rows = 0, sum = 0;
    for (int round = 1; round <= 60; round++) {
        bool keep = round % 7 != 0;
        int more = round % 5 == 0 || !keep ? 700 : round % 3;
        run_sql(db, "BEGIN");
        run_sql(db,
                "WITH RECURSIVE seq (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM seq)"
                " INSERT INTO t (v, pad) SELECT value, zeroblob(200 + value %% 90)"
                " FROM seq LIMIT %d",
                more);
        if (keep) { /* reads make what waits go on: not before a rollback */
            run_sql(db, "UPDATE t SET v = v + 1 WHERE n %% 11 = %d AND n %% 2 = %d", round % 11,
                    round % 2);
            rows = query(db, "SELECT count(*) FROM t");
            sum = query(db, "SELECT coalesce(sum(v), 0) FROM t");
        }
        run_sql(db, "%s", keep ? "COMMIT" : "ROLLBACK");
        assert_int_equal(query(reader, "SELECT count(*) FROM t"), rows);
        assert_int_equal(query(reader, "SELECT coalesce(sum(v), 0) FROM t"), sum);
        assert_int_equal(query(reader, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"),
                         1);
        crash_copy(f);
        sqlite3 *copy = connect_through(NULL, f->copy);
        assert_int_equal(query(copy, "SELECT sum(v) FROM t"), sum);
        sqlite3_close(copy);
        if (round % 20 == 0)
            run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    assert_true(rows > 3000);
    sqlite3_close(reader);
    sqlite3_close(db);
}

static void a_reader_that_holds_back_the_checkpoint_is_no_damage(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 1;
    create_full(f);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    char path[2 * PATH_SIZE];
    sqlite3 *reader = NULL;
    file_in(path, f->dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(query(reader, "SELECT count(*) FROM seen"), 701);
    commit_rows(f, 702, 1400);
    while (left > 0)
        assert_int_equal(log_store_apply(f->store, 100, &left), ASSENT_OK);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(open_in(f, f->dir), ASSENT_OK);
        assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"),
                         1400);
    }
    crash_copy(f);
    assert_int_equal(query(reader, "SELECT count(*) FROM seen"), 701);
    sqlite3_close(reader);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_int_equal(query(log_store_db(f->store), "SELECT count(*) FROM seen WHERE ts = n"), 1400);
}

/* By a statement, whose error SQLite answers by ending the transaction, and by a reader who makes
 * nothing of it. */
static void damage_met_while_it_runs_stops_the_node(void **state)
{
    struct fixture *f = *state;
    struct hash content;
    uint64_t left;
    char words[32];
    create_full(f);
    for (int by_statement = 0; by_statement < 2; by_statement++) {
        crash_copy(f);
        assert_int_equal(open_in(f, f->copy), ASSENT_OK);
        sqlite3 *db = log_store_db(f->store);
        commit_rows(f, 702, 702);
        uint32_t number =
            (uint32_t)query(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'seen'");
        flip(f->copy, number * PAGE - 100, 1);
        assert_int_equal(log_store_begin(f->store), ASSENT_OK);
        assert_int_equal(append(f->store, 703), ASSENT_OK);
        if (by_statement)
            assert_false(read_all(db, &content));
        else
            assert_int_equal(store_pages_check(db, number), SQLITE_IOERR_DATA);
        assert_int_equal(log_store_commit(f->store), ASSENT_STORAGE);
        snprintf(words, sizeof words, "page %lu of ", (unsigned long)number);
        assert_non_null(strstr(log_store_error(f->store), words));
        log_store_rollback(f->store);
        assert_int_equal(log_store_begin(f->store), ASSENT_STORAGE);
        assert_int_equal(log_store_apply(f->store, 10, &left), ASSENT_STORAGE);
        log_store_abandon(f->store);
        f->store = NULL;
        assert_refused(f, f->copy, ASSENT_CORRUPT, words);
    }
}

/* ---- what is refused ---- */

static void a_database_without_checksums_is_refused_as_an_earlier_version(void **state)
{
    struct fixture *f = *state;
    create(f);
    char path[2 * PATH_SIZE];
    file_in(path, f->dir, "node.db");
    assert_int_equal(unlink(path), 0);
    foreign_sql(f->dir, "PRAGMA journal_mode=wal; PRAGMA user_version=2;"
                        "PRAGMA application_id=0x41534e54; CREATE TABLE log (seq)");
    assert_refused(f, f->dir, ASSENT_FOREIGN, "earlier version");
}

static void nothing_is_written_where_there_is_no_room_for_checksums(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    for (int i = 0; i < 2; i++) {
        write_file(f->dir, "node.db", "", 0);
        sqlite3 *db = connect(f->dir);
        if (i == 1) {
            assert_int_equal(store_pages_reserve(db), SQLITE_OK);
            assert_int_equal(sqlite3_exec(db, "PRAGMA page_size=8192", NULL, NULL, NULL),
                             SQLITE_OK);
        }
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL),
                         SQLITE_IOERR_WRITE);
        assert_non_null(strstr(store_pages_damage(db), "without room"));
        sqlite3_close(db);
        assert_int_equal(file_bytes(f->dir), 0);
    }
    write_file(f->dir, "node.db", "", 0);
    sqlite3 *db = connect(f->dir);
    assert_int_equal(store_pages_reserve(db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    assert_null(store_pages_damage(db));
    sqlite3_close(db);
}

/* ---- the VFS ---- */

static void *ask_for_name(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)store_pages_vfs("unix-none");
}

static void a_vfs_is_registered_once_whoever_asks(void **state)
{
    pthread_t thread[4];
    void *name[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, ask_for_name, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], &name[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(name[i], name[0]);
    assert_non_null(sqlite3_vfs_find(name[0]));
    assert_string_not_equal(name[0], store_pages_vfs(NULL));
    assert_ptr_equal(store_pages_vfs(NULL), store_pages_vfs(sqlite3_vfs_find(NULL)->zName));
    assert_null(store_pages_vfs("no such"));
    assert_null(store_pages_damage(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(every_flipped_bit_is_found_in_its_page),
        STORE_TEST(a_flipped_bit_anywhere_keeps_the_node_from_serving),
        STORE_TEST(nothing_wrong_is_read_where_sqlite_alone_would_read_it),
        STORE_TEST(a_mapped_file_is_checked_all_the_same),
        STORE_TEST(a_part_of_a_page_is_read_only_if_all_of_it_fits),
        STORE_TEST(a_page_in_the_place_of_another_is_found),
        STORE_TEST(a_page_of_another_database_is_found),
        STORE_TEST(a_page_of_zeros_and_one_that_is_gone_are_found),
        STORE_TEST(pages_that_another_program_wrote_are_refused),
        STORE_TEST(another_program_reads_the_file),
        STORE_TEST(pages_that_a_checkpoint_left_torn_are_mended_from_the_log),
        STORE_TEST(a_reader_that_holds_back_the_checkpoint_is_no_damage),
        STORE_TEST(what_is_committed_is_seen_by_others_at_once_and_whole),
        STORE_TEST(damage_met_while_it_runs_stops_the_node),
        STORE_TEST(a_database_without_checksums_is_refused_as_an_earlier_version),
        STORE_TEST(nothing_is_written_where_there_is_no_room_for_checksums),
        STORE_TEST(a_vfs_is_registered_once_whoever_asks),
    };
    return cmocka_run_group_tests_name("store_pages", tests, NULL, NULL);
}
