/* A store in a directory of its own, with a role that notes what it is given. For the tests of
 * runtime/log_store and runtime/storage. */
#ifndef TESTS_UNIT_LOG_STORE_FIXTURE_H
#define TESTS_UNIT_LOG_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/log_store.h"
#include "runtime/store_pages.h"

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define PATH_SIZE 512
#define SEEN_MAX  4096

#define TEST_TAIL_HALF  (1024u * 1024)
#define TEST_TAIL_BYTES (2 * TEST_TAIL_HALF)

/* A role that notes the ts of each row; its table is `seen`. */
struct fake {
    sqlite3 *db;
    uint64_t replayed[SEEN_MAX];
    uint64_t replays;
    uint64_t applied;
    bool full;      /* apply() finds the disk full */
    bool null_body; /* of the last replayed row */
    int prunes;     /* steps that prune() has taken */
    int prunes_all; /* as many have something to do */
    size_t body_len;
    int flushes; /* more that flush() asks for */
};

struct fixture {
    char root[PATH_SIZE];
    char dir[PATH_SIZE];
    char copy[PATH_SIZE];
    struct store_identity id;
    struct fake fake;
    struct store_role role;
    struct log_store *store;
    char why[512];
};

static inline int fake_create(void *arg, struct sqlite3 *db)
{
    (void)arg;
    return sqlite3_exec(db, "CREATE TABLE seen (n INTEGER PRIMARY KEY, ts INTEGER, body BLOB)",
                        NULL, NULL, NULL);
}

static inline int fake_load(void *arg, struct sqlite3 *db)
{
    struct fake *f = arg;
    f->db = db;
    return SQLITE_OK;
}

static inline int fake_replay(void *arg, const struct record *record)
{
    struct fake *f = arg;
    assert_true(f->replays < SEEN_MAX);
    f->replayed[f->replays++] = record->ts;
    f->null_body = record->body == NULL;
    f->body_len = blob_bytes(record->body).len;
    return SQLITE_OK;
}

static inline int fake_apply(void *arg, const struct record *record)
{
    struct fake *f = arg;
    sqlite3_stmt *stmt = NULL;
    struct bytes body = blob_bytes(record->body);
    if (f->full)
        return SQLITE_FULL;
    int rc =
        sqlite3_prepare_v2(f->db, "INSERT INTO seen (ts, body) VALUES (?1, ?2)", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)record->ts);
    sqlite3_bind_blob(stmt, 2, body.data, (int)body.len, SQLITE_STATIC);
    sqlite3_step(stmt);
    return sqlite3_finalize(stmt);
}

static inline void fake_applied(void *arg, uint64_t seq)
{
    struct fake *f = arg;
    f->applied = seq;
}

/* A step takes the oldest row. */
static inline int fake_prune(void *arg, bool *more)
{
    struct fake *f = arg;
    f->prunes++;
    *more = f->prunes < f->prunes_all;
    int rc = sqlite3_exec(f->db, "DELETE FROM seen WHERE n = (SELECT min(n) FROM seen)", NULL, NULL,
                          NULL);
    return f->full ? SQLITE_FULL : rc;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->root, sizeof f->root, "%.200s/assent-log-store-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(f->root) == NULL)
        return -1;
    snprintf(f->dir, sizeof f->dir, "%.400s/a1", f->root);
    snprintf(f->copy, sizeof f->copy, "%.400s/copy", f->root);
    memset(f->id.cluster, 7, sizeof f->id.cluster);
    memset(f->id.public_key, 9, sizeof f->id.public_key);
    f->id.role = ROLE_PARTICIPANT;
    f->id.node = 4;
    strcpy(f->id.name, "a1");
    f->role = (struct store_role){&f->fake,   fake_create, fake_load,    fake_replay,
                                  fake_apply, NULL,        fake_applied, fake_prune};
    *state = f;
    return 0;
}

static inline void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char inner[2 * PATH_SIZE];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%.700s/%.255s", path, entry->d_name);
        remove_tree(inner);
    }
    if (dir != NULL)
        closedir(dir);
    remove(path);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    log_store_close(f->store);
    remove_tree(f->root);
    free(f);
    return 0;
}

static inline void file_in(char *out, const char *dir, const char *name)
{
    snprintf(out, 2 * PATH_SIZE, "%s/%s", dir, name);
}

static inline void write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char path[2 * PATH_SIZE];
    file_in(path, dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    fclose(file);
}

/* NULL if there is no such file. */
static inline uint8_t *read_whole(const char *dir, const char *name, size_t *len)
{
    char path[2 * PATH_SIZE];
    file_in(path, dir, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *len = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*len + 1);
    assert_int_equal(fread(data, 1, *len, file), *len);
    fclose(file);
    return data;
}

static inline void copy_file(const char *from, const char *to, const char *name)
{
    size_t len = 0;
    uint8_t *data = read_whole(from, name, &len);
    if (data == NULL)
        return;
    write_file(to, name, data, len);
    free(data);
}

/* What a killed process leaves: the files of `dir` as they are now, in `copy`. */
/* From now on every write to the file of that ending which this process has open fails, as on a
 * broken disk. For children: it cannot be undone. */
static inline void break_writes(const char *ending)
{
    struct dirent *entry;
    DIR *fds = opendir("/proc/self/fd");
    assert_non_null(fds);
    while ((entry = readdir(fds)) != NULL) {
        char link[64], path[PATH_SIZE];
        snprintf(link, sizeof link, "/proc/self/fd/%.20s", entry->d_name);
        ssize_t n = readlink(link, path, sizeof path - 1);
        if (n < (ssize_t)strlen(ending))
            continue;
        path[n] = '\0';
        if (strcmp(path + n - strlen(ending), ending) == 0)
            assert_true(dup2(open(path, O_RDONLY | O_CLOEXEC), atoi(entry->d_name)) >= 0);
    }
    closedir(fds);
}

static inline void crash_copy(struct fixture *f)
{
    remove_tree(f->copy);
    assert_int_equal(mkdir(f->copy, 0700), 0);
    copy_file(f->dir, f->copy, "node.db");
    copy_file(f->dir, f->copy, "node.db-wal");
    copy_file(f->dir, f->copy, "node.db.tail");
}

static inline void create(struct fixture *f)
{
    assert_int_equal(log_store_create(&disk_posix, f->dir, &f->id, &f->role, TEST_TAIL_BYTES,
                                      f->why, sizeof f->why),
                     ASSENT_OK);
}

static inline assent_status open_in(struct fixture *f, const char *dir)
{
    log_store_close(f->store);
    memset(&f->fake, 0, sizeof f->fake);
    f->why[0] = '\0';
    return log_store_open(&f->store, &disk_posix, dir, &f->id, &f->role, f->why, sizeof f->why);
}

/* Only the tail has the newest rows; a start puts those that the database lacks into its log. */
static inline void rows_into_log(struct fixture *f)
{
    log_store_abandon(f->store);
    f->store = NULL;
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

static inline void create_and_open(struct fixture *f)
{
    create(f);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
}

/* Refused with this status and with these words in the sentence. */
static inline void assert_refused(struct fixture *f, const char *dir, assent_status status,
                                  const char *words)
{
    assert_int_equal(open_in(f, dir), status);
    assert_null(f->store);
    if (strstr(f->why, words) == NULL)
        fail_msg("'%s' is not in: %s", words, f->why);
    assert_true(strlen(f->why) < sizeof f->why - 1);
}

static inline assent_status append_kind(struct log_store *s, enum record_kind kind, uint64_t ts,
                                        struct bytes body)
{
    struct record record = {.kind = kind, .ts = ts, .body = blob_new(body)};
    memset(record.txid.b, (int)(ts & 0xff), sizeof record.txid.b);
    assent_status status = log_store_append(s, &record);
    blob_unref(record.body);
    return status;
}

static inline assent_status append(struct log_store *s, uint64_t ts)
{
    char body[300];
    memset(body, 'a' + (int)(ts % 26), sizeof body);
    return append_kind(s, RECORD_PREPARED, ts, bytes_of(body, sizeof body));
}

/* One batch of rows with ts from..to. */
static inline void commit_rows(struct fixture *f, uint64_t from, uint64_t to)
{
    assert_int_equal(log_store_begin(f->store), ASSENT_OK);
    for (uint64_t ts = from; ts <= to; ts++)
        assert_int_equal(append(f->store, ts), ASSENT_OK);
    assert_int_equal(log_store_commit(f->store), ASSENT_OK);
}

static inline void assert_replayed(const struct fixture *f, uint64_t from, uint64_t to)
{
    assert_int_equal(f->fake.replays, to + 1 - from);
    for (uint64_t i = 0; i < f->fake.replays; i++)
        assert_int_equal(f->fake.replayed[i], from + i);
}

static inline void sql_through(const char *vfs, const char *dir, const char *sql)
{
    char path[2 * PATH_SIZE];
    sqlite3 *db = NULL;
    file_in(path, dir, "node.db");
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* As another program has it, which knows nothing of checksums. */
static inline void foreign_sql(const char *dir, const char *sql)
{
    sql_through(NULL, dir, sql);
}

/* Past the log store, but with checksums that fit: so that what lies behind them is tested. */
static inline void edit_sql(const char *dir, const char *sql)
{
    sql_through(store_pages_vfs(NULL), dir, sql);
}

static inline int64_t query(struct sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

#endif
