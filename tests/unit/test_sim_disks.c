/* tests/sim/disks: the storage code on simulated disks loses nothing that it acknowledged, and the
 * disks lose what was not synced. */
#include "tests/unit/log_store_fixture.h"

#include <errno.h>

#include "runtime/store_tail.h"
#include "tests/sim/disks_file.h"
#include "wire/hash.h"

#define MACHINE       "/m1"
#define DATABASE      MACHINE "/node.db"
#define WAL           MACHINE "/node.db-wal"
#define TAIL          MACHINE "/node.db.tail"
#define ROW_BYTES     3000u
#define BIG_ROW_BYTES 30000u

struct bench {
    struct disks *disks;
    const struct disk *disk;
    struct store_identity id;
    struct fake fake;
    struct store_role role;
    struct log_store *store;
    uint64_t acknowledged;
    char why[512];
};

/* What row `ts` holds. */
static struct bytes body_of(uint64_t ts, size_t len)
{
    static uint8_t body[BIG_ROW_BYTES];
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(ts * 31 + i * 7 + i / 251);
    return bytes_of(body, len);
}

static void assert_content(const struct record *record)
{
    struct bytes found = blob_bytes(record->body);
    assert_true(found.len == ROW_BYTES || found.len == BIG_ROW_BYTES);
    assert_memory_equal(found.data, body_of(record->ts, found.len).data, found.len);
}

static int bench_replay(void *arg, const struct record *record)
{
    assert_content(record);
    return fake_replay(arg, record);
}

static int bench_apply(void *arg, const struct record *record)
{
    assert_content(record);
    return fake_apply(arg, record);
}

static void bench_init(struct bench *b, uint64_t seed)
{
    memset(b, 0, sizeof *b);
    b->disks = disks_new(seed);
    b->disk = disks_disk(b->disks);
    b->id = (struct store_identity){.role = ROLE_PARTICIPANT, .node = 4, .name = "a1"};
    b->role = (struct store_role){&b->fake,    fake_create, fake_load,    bench_replay,
                                  bench_apply, NULL,        fake_applied, NULL};
    assert_int_equal(log_store_create(b->disk, MACHINE, &b->id, &b->role, DISKS_TAIL_BYTES, b->why,
                                      sizeof b->why),
                     ASSENT_OK);
}

static assent_status bench_open(struct bench *b)
{
    memset(&b->fake, 0, sizeof b->fake);
    return log_store_open(&b->store, b->disk, MACHINE, &b->id, &b->role, b->why, sizeof b->why);
}

static void bench_end(struct bench *b)
{
    log_store_abandon(b->store);
    disks_free(b->disks);
}

static void crash(struct bench *b, enum disks_loss loss)
{
    disks_crash(b->disks, MACHINE, loss);
    log_store_abandon(b->store);
    b->store = NULL;
}

static assent_status commit_rows_of(struct bench *b, uint64_t rows, size_t bytes)
{
    assent_status status = log_store_begin(b->store);
    uint64_t ts = b->acknowledged;
    if (status != ASSENT_OK)
        return status;
    for (uint64_t i = 0; i < rows && status == ASSENT_OK; i++) {
        ts++;
        status = append_kind(b->store, RECORD_PREPARED, ts, body_of(ts, bytes));
    }
    if (status != ASSENT_OK) {
        log_store_rollback(b->store);
        return status;
    }
    status = log_store_commit(b->store);
    if (status == ASSENT_OK)
        b->acknowledged = ts;
    if (status == ASSENT_STORAGE)
        log_store_rollback(b->store);
    return status;
}

static assent_status commit_some(struct bench *b, uint64_t rows)
{
    return commit_rows_of(b, rows, ROW_BYTES);
}

/* So many rows into the tables after every so many batches. False: the disk failed. */
static bool work_applying(struct bench *b, int batches, int every, uint64_t rows)
{
    uint64_t left;
    for (int i = 0; i < batches; i++)
        if (commit_some(b, 1 + (uint64_t)i % 7) != ASSENT_OK ||
            (i % every == every - 1 && log_store_apply(b->store, rows, &left) != ASSENT_OK))
            return false;
    return true;
}

/* Sixty are enough for the tail to turn; the tables follow. */
static bool work(struct bench *b, int batches)
{
    return work_applying(b, batches, 6, 1000);
}

/* The tables do not keep up: the log takes what the tail forgets. */
static bool work_behind(struct bench *b, int batches)
{
    return work_applying(b, batches, 30, 40);
}

/* All acknowledged rows, in order; more may be there, of a batch that was not acknowledged. */
static void assert_whole(struct bench *b)
{
    struct store_stats stats;
    log_store_stats(b->store, &stats);
    assert_true(stats.seq >= b->acknowledged);
    assert_int_equal(query(log_store_db(b->store), "SELECT count(*) FROM seen WHERE ts = n"),
                     (int64_t)stats.applied_seq);
    for (uint64_t i = 0; i < b->fake.replays; i++)
        assert_int_equal(b->fake.replayed[i], stats.applied_seq + 1 + i);
    assert_int_equal(stats.applied_seq + b->fake.replays, stats.seq);
    b->acknowledged = stats.seq; /* an open acts upon what it finds */
}

static void reopen(struct bench *b)
{
    if (bench_open(b) != ASSENT_OK)
        fail_msg("refused: %s", b->why);
    assert_whole(b);
}

/* At every n-th write or sync, or only at those that can be torn, until the work ends before it.
 * Returns how often it struck. */
static int sweep_power(uint64_t seed, enum disks_fault fault, uint32_t step,
                       bool (*works)(struct bench *b, int batches), int batches)
{
    int struck = 0;
    for (uint32_t n = 1;; n += step) {
        struct bench b;
        bench_init(&b, seed + n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        disks_arm(b.disks, MACHINE, fault, n);
        bool done = works(&b, batches);
        bool fired = disks_fired(b.disks, MACHINE);
        assert_int_equal(fired, disks_dead(b.disks, MACHINE));
        assert_true(done || fired);
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        assert_true(work(&b, 3));
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        bench_end(&b);
        if (!fired)
            return struck;
        struck++;
    }
}

static void power_lost_at_any_write_loses_nothing_acknowledged(void **state)
{
    (void)state;
    sweep_power(1000, DISKS_FAULT_POWER, 1, work, 60);
    sweep_power(500000, DISKS_FAULT_POWER, 3, work, 60);
}

static void power_lost_while_rows_go_into_the_log_loses_nothing_acknowledged(void **state)
{
    (void)state;
    sweep_power(700000, DISKS_FAULT_POWER, 7, work_behind, 160);
}

static void power_lost_in_any_commit_loses_nothing_acknowledged(void **state)
{
    (void)state;
    for (uint64_t seed = 900000; seed < 940000; seed += 10000)
        assert_int_equal(sweep_power(seed, DISKS_FAULT_POWER_IN_A_COMMIT, 1, work, 60), 60);
}

/* The write of a start, too: recovery, putting rows back, the checkpoint. */
static void power_lost_while_it_starts_loses_nothing(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 60; n++) {
        struct bench b;
        bench_init(&b, n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        assert_true(work(&b, 20));
        crash(&b, DISKS_LOSE_POWER);
        disks_arm(b.disks, MACHINE, DISKS_FAULT_POWER, n);
        assent_status status = bench_open(&b);
        assert_int_equal(status != ASSENT_OK, disks_fired(b.disks, MACHINE));
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        bench_end(&b);
    }
}

/* From rows that wait for a large apply on: the apply, and the checkpoint before the tail forgets
 * what came next. */
#define TAIL_TURNS (DISKS_TAIL_BYTES / (2 * STORE_TAIL_BLOCK))

static void power_lost_in_a_checkpoint_loses_nothing_acknowledged(void **state)
{
    bool fired = true;
    (void)state;
    for (uint32_t n = 1; fired; n += 97) {
        struct bench b;
        uint64_t left;
        bench_init(&b, 7000 + n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        for (int i = 0; i < 20; i++)
            assert_int_equal(commit_rows_of(&b, 16, BIG_ROW_BYTES), ASSENT_OK);
        uint64_t before = disks_find(b.disks, DATABASE)->size;
        disks_arm(b.disks, MACHINE, DISKS_FAULT_POWER, n);
        bool done = log_store_apply(b.store, 1000, &left) == ASSENT_OK && work(&b, TAIL_TURNS);
        fired = disks_fired(b.disks, MACHINE);
        assert_int_equal(done, !fired);
        if (!fired) /* it was about a checkpoint */
            assert_true(disks_find(b.disks, DATABASE)->synced_size > before + 4 * 1024 * 1024);
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        bench_end(&b);
    }
}

#define CHECKPOINT_LOCK 1 /* of the index of a write-ahead log, in SQLite's file format */

static const sqlite3_io_methods *uncontended;

static int checkpoint_locked(sqlite3_file *file, int offset, int n, int flags)
{
    bool locks = (flags & (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) ==
                 (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
    return locks && offset <= CHECKPOINT_LOCK && CHECKPOINT_LOCK < offset + n
               ? SQLITE_BUSY
               : uncontended->xShmLock(file, offset, n, flags);
}

/* As when another program makes a checkpoint of its own and takes its time. */
static void while_another_makes_a_checkpoint_the_tail_forgets_only_what_is_synced(void **state)
{
    (void)state;
    static sqlite3_io_methods contended;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct bench b;
        sqlite3_file *file = NULL;
        bench_init(&b, seed);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        assert_int_equal(
            sqlite3_file_control(log_store_db(b.store), "main", SQLITE_FCNTL_FILE_POINTER, &file),
            SQLITE_OK);
        uncontended = file->pMethods;
        contended = *uncontended;
        contended.xShmLock = checkpoint_locked;
        file->pMethods = &contended;
        assert_true(work(&b, 120));
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        bench_end(&b);
    }
}

/* Killed in that write, which leaves a part of it; then, once more, while it starts. */
static void killed_at_any_write_it_has_all_that_was_acknowledged(void **state)
{
    bool fired = true;
    (void)state;
    for (uint32_t n = 1; fired; n += 5) {
        struct bench b;
        bench_init(&b, 3000 + n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        disks_arm(b.disks, MACHINE, DISKS_FAULT_WRITE_ERROR, n);
        work(&b, 60);
        fired = disks_fired(b.disks, MACHINE);
        crash(&b, DISKS_LOSE_PROCESS);
        disks_arm(b.disks, MACHINE, DISKS_FAULT_WRITE_ERROR, n % 40);
        bool opened = bench_open(&b) == ASSENT_OK;
        disks_disarm(b.disks, MACHINE);
        if (opened)
            assert_whole(&b);
        crash(&b, DISKS_LOSE_PROCESS);
        reopen(&b);
        assert_true(work(&b, 3));
        crash(&b, DISKS_LOSE_PROCESS);
        reopen(&b);
        bench_end(&b);
    }
}

/* A read that fails says nothing about the data: the start is refused as a failed one, and never as
 * that of a damaged node. */
static void a_read_error_is_not_taken_for_damage(void **state)
{
    bool fired = true;
    (void)state;
    for (uint32_t n = 1; fired; n++) {
        struct bench b;
        bench_init(&b, n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        assert_true(work(&b, 20));
        crash(&b, n % 2 == 0 ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
        disks_arm(b.disks, MACHINE, DISKS_FAULT_READ_ERROR, n);
        assent_status status = bench_open(&b);
        fired = disks_fired(b.disks, MACHINE);
        disks_disarm(b.disks, MACHINE);
        if (status == ASSENT_OK)
            assert_whole(&b);
        else if (status != ASSENT_STORAGE || !fired)
            fail_msg("read %u: %s", n, b.why);
        crash(&b, DISKS_LOSE_PROCESS);
        reopen(&b);
        bench_end(&b);
    }
}

static void sweep_errors(enum disks_fault fault, uint32_t step)
{
    bool fired = true;
    for (uint32_t n = 1; fired; n += step) {
        struct bench b;
        bench_init(&b, n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        disks_arm(b.disks, MACHINE, fault, n);
        bool done = work(&b, 60);
        fired = disks_fired(b.disks, MACHINE);
        assert_int_equal(done, !fired);
        if (fired)
            assert_int_equal(log_store_begin(b.store), ASSENT_STORAGE);
        crash(&b, n % 2 == 0 ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
        reopen(&b);
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        bench_end(&b);
    }
}

static void errors_of_the_disk_stop_the_store_and_lose_nothing(void **state)
{
    (void)state;
    sweep_errors(DISKS_FAULT_WRITE_ERROR, 9);
    sweep_errors(DISKS_FAULT_SYNC_ERROR, 1);
}

/* The process ends at the error, and only later is the power lost: by then a start has written anew
 * what the failed sync left in memory. No part of the write-ahead log comes back from before. */
static void a_start_mends_what_a_failed_sync_left(void **state)
{
    bool fired = true;
    (void)state;
    for (uint32_t n = 1; fired; n++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct bench b;
            bench_init(&b, seed);
            assert_int_equal(bench_open(&b), ASSENT_OK);
            disks_arm(b.disks, MACHINE, DISKS_FAULT_SYNC_ERROR, n);
            bool done = work_behind(&b, 160);
            fired = disks_fired(b.disks, MACHINE);
            assert_int_equal(done, !fired);
            crash(&b, DISKS_LOSE_PROCESS);
            reopen(&b);
            assert_int_equal(commit_some(&b, 1), ASSENT_OK);
            crash(&b, DISKS_LOSE_POWER);
            reopen(&b);
            bench_end(&b);
        }
}

/* So much that the tail forgets what the database should have. */
static bool fill_tail(struct bench *b)
{
    bool done = true;
    for (int i = 0; i < 120 && done; i++)
        done = commit_some(b, 4) == ASSENT_OK;
    return done;
}

/* The n-th sync or write of a start fails. If it goes on, then what it takes for durable is so. */
static void start_with_error(uint64_t seed, bool stopped, enum disks_fault fault, uint32_t n)
{
    struct bench b;
    bench_init(&b, seed);
    assert_int_equal(bench_open(&b), ASSENT_OK);
    assert_true(work(&b, 8));
    if (stopped) {
        log_store_close(b.store);
        b.store = NULL;
    }
    crash(&b, DISKS_LOSE_POWER);
    disks_arm(b.disks, MACHINE, fault, n);
    assent_status status = bench_open(&b);
    bool fired = disks_fired(b.disks, MACHINE);
    disks_disarm(b.disks, MACHINE);
    if (status == ASSENT_OK)
        assert_true(fill_tail(&b));
    else
        assert_true(status == ASSENT_STORAGE && fired);
    crash(&b, DISKS_LOSE_POWER);
    reopen(&b);
    bench_end(&b);
}

/* After a stop SQLite makes its write-ahead log anew, after a loss of power it may have to. */
static void errors_while_it_starts_lose_nothing(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 9; n++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            start_with_error(seed, seed % 2 == 0, DISKS_FAULT_SYNC_ERROR, n);
            start_with_error(seed, seed % 2 == 0, DISKS_FAULT_WRITE_ERROR, 7 * n);
        }
}

static void on_a_full_disk_nothing_is_lost_and_it_goes_on(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 24; k++) {
        struct bench b;
        uint64_t left;
        bench_init(&b, 1 + k);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        assert_true(work(&b, 5));
        disks_set_room(b.disks, MACHINE, disks_used(b.disks, MACHINE) + k * 13000);
        assent_status status = ASSENT_OK;
        for (int i = 0; i < 100 && status == ASSENT_OK; i++)
            status = commit_some(&b, 3);
        assert_int_equal(status, ASSENT_DISK_FULL);
        status = log_store_apply(b.store, 1000, &left);
        assert_true(status == ASSENT_OK || status == ASSENT_DISK_FULL);
        if (k % 3 > 0)
            crash(&b, k % 3 == 1 ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
        disks_set_room(b.disks, MACHINE, UINT64_MAX);
        if (b.store == NULL)
            reopen(&b);
        assert_true(work(&b, 5));
        crash(&b, DISKS_LOSE_POWER);
        reopen(&b);
        bench_end(&b);
    }
}

/* ---- bits ---- */

/* A machine whose process is gone and whose files have been synced as they were: so that a bit can
 * flip anywhere. */
static struct disks_copy *stopped_machine(struct bench *b, uint64_t seed)
{
    static const char *const path[] = {DATABASE, WAL, TAIL, MACHINE};
    bench_init(b, seed);
    assert_int_equal(bench_open(b), ASSENT_OK);
    assert_true(work(b, 8));
    crash(b, DISKS_LOSE_PROCESS);
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++)
        assert_int_equal(b->disk->sync(b->disk->arg, path[i]), 0);
    return disks_save(b->disks, MACHINE);
}

struct flips {
    uint32_t served;
    uint32_t refused;
};

/* One bit in `file`: everything is served as it was, or nothing. */
static void flip(struct bench *b, const struct disks_copy *copy, const char *file, uint64_t at,
                 struct flips *flips)
{
    uint64_t acknowledged = b->acknowledged;
    disks_load(b->disks, MACHINE, copy);
    if (!disks_flip_at(b->disks, file, at, (int)(at % 8)))
        return;
    assent_status status = bench_open(b);
    if (status == ASSENT_OK) {
        assert_whole(b);
        flips->served++;
    } else if (status == ASSENT_CORRUPT || status == ASSENT_FOREIGN) {
        flips->refused++;
    } else {
        fail_msg("%s, byte %llu: %s", file, (unsigned long long)at, b->why);
    }
    crash(b, DISKS_LOSE_PROCESS);
    b->acknowledged = acknowledged;
}

/* All of the first bytes, where headers are, then samples. */
static struct flips sweep_flips(const char *file, uint64_t first, uint64_t step)
{
    struct bench b;
    struct flips flips = {0};
    struct disks_copy *copy = stopped_machine(&b, step);
    uint64_t size = disks_find(b.disks, file)->size;
    for (uint64_t at = 0; at < size; at += at < first ? 1 : step)
        flip(&b, copy, file, at, &flips);
    disks_copy_free(copy);
    bench_end(&b);
    return flips;
}

static void a_flipped_bit_is_mended_or_refused(void **state)
{
    (void)state;
    struct flips db = sweep_flips(DATABASE, 110, 61);
    struct flips wal = sweep_flips(WAL, 60, 397);
    struct flips tail = sweep_flips(TAIL, 150, 797);
    /* A page of the database is in the write-ahead log, too, or it is missed. What the log loses
     * the tail has, and of the tail's copies one is enough. */
    assert_true(db.served > 0 && db.refused > 0);
    assert_true(wal.served > 300);
    assert_true(tail.served > 200 && tail.refused == 0);
}

static void a_bit_that_the_seed_chooses_is_mended_or_refused(void **state)
{
    struct bench b;
    (void)state;
    struct disks_copy *copy = stopped_machine(&b, 5);
    uint64_t acknowledged = b.acknowledged;
    bool in[3] = {false};
    for (int i = 0; i < 100; i++) {
        char what[128];
        disks_load(b.disks, MACHINE, copy);
        assert_true(disks_flip(b.disks, MACHINE, what));
        in[strstr(what, ".tail ") != NULL ? 0 : strstr(what, "-wal ") != NULL ? 1 : 2] = true;
        assent_status status = bench_open(&b);
        if (status == ASSENT_OK)
            assert_whole(&b);
        else if (status != ASSENT_CORRUPT && status != ASSENT_FOREIGN)
            fail_msg("%s: %s", what, b.why);
        crash(&b, DISKS_LOSE_PROCESS);
        b.acknowledged = acknowledged;
    }
    assert_true(in[0] && in[1] && in[2]);
    disks_copy_free(copy);
    bench_end(&b);
}

/* ---- that the disks lose what they should ---- */

static int not_durable(void *arg, struct disk_file *file, const void *data, size_t len, uint64_t at)
{
    (void)arg;
    return disks_write((struct disk_handle *)(void *)file, data, len, at, false);
}

/* A tail that is written and not synced: acknowledged rows go. */
static void a_tail_that_is_not_synced_is_noticed(void **state)
{
    int lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct bench b;
        bench_init(&b, seed);
        struct disk careless = *b.disk;
        careless.write = not_durable;
        b.disk = &careless;
        assert_int_equal(bench_open(&b), ASSENT_OK);
        assert_true(work(&b, 5));
        crash(&b, DISKS_LOSE_POWER);
        assent_status status = bench_open(&b);
        struct store_stats stats = {0};
        if (status == ASSENT_OK)
            log_store_stats(b.store, &stats);
        lost += status != ASSENT_OK || stats.seq < b.acknowledged;
        bench_end(&b);
    }
    assert_true(lost >= 5);
}

static void insert(sqlite3 *db, int rows)
{
    for (int i = 0; i < rows; i++)
        assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), SQLITE_OK);
}

/* Rows that plain SQLite still has after a loss of power, of 50. */
static int64_t rows_kept(uint64_t seed, const char *synchronous)
{
    struct disks *d = disks_new(seed);
    sqlite3 *db = NULL;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    assert_int_equal(sqlite3_open_v2("/m1/x.db", &db, flags, disks_disk(d)->vfs), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=wal", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, synchronous, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL),
                     SQLITE_OK);
    /* SQLite leaves the end of its rollback journal to the directory. */
    assert_int_equal(disks_disk(d)->sync(d, MACHINE), 0);
    insert(db, 50);
    disks_crash(d, MACHINE, DISKS_LOSE_POWER);
    sqlite3_close_v2(db);
    assert_int_equal(sqlite3_open_v2("/m1/x.db", &db, flags, disks_disk(d)->vfs), SQLITE_OK);
    int64_t rows = query(db, "SELECT count(*) FROM t");
    sqlite3_close_v2(db);
    disks_free(d);
    return rows;
}

static void plain_sqlite_keeps_what_it_synced_and_loses_what_it_did_not(void **state)
{
    int lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        assert_int_equal(rows_kept(seed, "PRAGMA synchronous=full"), 50);
        lost += rows_kept(seed, "PRAGMA synchronous=normal") < 50;
    }
    assert_true(lost > 10);
}

/* ---- files ---- */

static void a_lock_goes_with_its_process_and_not_before(void **state)
{
    struct bench b;
    struct log_store *second = NULL;
    struct fake fake = {0};
    (void)state;
    bench_init(&b, 1);
    assert_int_equal(bench_open(&b), ASSENT_OK);
    struct store_role role = b.role;
    role.arg = &fake;
    /* A try that is refused takes nothing from the holder. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            log_store_open(&second, b.disk, MACHINE, &b.id, &role, b.why, sizeof b.why),
            ASSENT_STORAGE);
        assert_non_null(strstr(b.why, "locked"));
    }
    crash(&b, DISKS_LOSE_PROCESS);
    reopen(&b);
    bench_end(&b);
}

static struct disk_file *file_at(const struct disk *disk, const char *path, enum disk_mode mode)
{
    struct disk_file *file = NULL;
    assert_int_equal(disk->open(disk->arg, path, mode, &file), 0);
    return file;
}

static void make_file(const struct disk *disk, const char *path, char content)
{
    struct disk_file *file = file_at(disk, path, DISK_CREATE);
    assert_int_equal(disk->write(disk->arg, file, &content, 1, 0), 0);
    disk->close(disk->arg, file);
}

/* What the file holds; '\0' if there is none. */
static char content_of(const struct disk *disk, const char *path)
{
    enum disk_kind kind;
    char content = '\0';
    size_t got = 0;
    assert_int_equal(disk->look(disk->arg, path, &kind), 0);
    if (kind == DISK_NOTHING)
        return content;
    struct disk_file *file = file_at(disk, path, DISK_READ);
    assert_int_equal(disk->read(disk->arg, file, &content, 1, 0, &got), 0);
    disk->close(disk->arg, file);
    return content;
}

/* Of a name there is always one file: the one before, or the one after. */
static void a_name_has_one_file_after_a_loss_of_power(void **state)
{
    int old = 0, new = 0, none = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct disks *d = disks_new(seed);
        const struct disk *disk = disks_disk(d);
        make_file(disk, "/m1/a", 'o');
        assert_int_equal(disk->sync(disk->arg, MACHINE), 0);
        assert_int_equal(disk->remove(disk->arg, "/m1/a"), 0);
        if (seed % 2 == 0)
            make_file(disk, "/m1/a", 'n');
        disks_crash(d, MACHINE, DISKS_LOSE_POWER);
        char found = content_of(disk, "/m1/a");
        old += found == 'o';
        new += found == 'n';
        none += found == '\0';
        /* And that is for good. */
        disks_crash(d, MACHINE, DISKS_LOSE_POWER);
        assert_int_equal(content_of(disk, "/m1/a"), found);
        assert_int_equal(disks_used(d, MACHINE), found == '\0' ? 0 : 1);
        if (found != '\0')
            assert_int_equal(disk->remove(disk->arg, "/m1/a"), 0);
        assert_int_equal(content_of(disk, "/m1/a"), '\0');
        disks_free(d);
    }
    assert_true(old > 10 && new > 5 && none > 5);
}

static void a_new_file_needs_a_sync_of_its_directory(void **state)
{
    int gone = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct disks *d = disks_new(seed);
        const struct disk *disk = disks_disk(d);
        make_file(disk, "/m1/a", 'a');
        assert_int_equal(disk->sync(disk->arg, "/m1/a"), 0);
        make_file(disk, "/m2/b", 'b');
        assert_int_equal(disk->sync(disk->arg, "/m2"), 0);
        disks_crash(d, MACHINE, DISKS_LOSE_POWER);
        disks_crash(d, "/m2", DISKS_LOSE_POWER);
        gone += content_of(disk, "/m1/a") == '\0';
        assert_int_equal(content_of(disk, "/m2/b"), 'b');
        disks_free(d);
    }
    assert_true(gone > 5 && gone < 35);
}

static void a_file_that_grows_again_has_zeros_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct disks *d = disks_new(seed);
        const struct disk *disk = disks_disk(d);
        uint8_t data[3 * DISK_PAGE];
        struct disk_handle h;
        size_t got;
        memset(data, 'x', sizeof data);
        make_file(disk, "/m1/a", 'x');
        assert_int_equal(disk->sync(disk->arg, MACHINE), 0);
        disks_handle_open(&h, disks_find(d, "/m1/a"));
        assert_int_equal(disks_write(&h, data, sizeof data, 0, false), 0);
        disks_crash(d, MACHINE, DISKS_LOSE_POWER);
        disks_handle_close(&h);
        uint64_t size = disks_used(d, MACHINE);
        disks_handle_open(&h, disks_find(d, "/m1/a"));
        assert_int_equal(disks_truncate(&h, sizeof data), 0);
        assert_int_equal(disks_read(&h, data, sizeof data, 0, &got), 0);
        assert_int_equal(got, sizeof data);
        for (uint64_t i = size; i < sizeof data; i++)
            assert_int_equal(data[i], 0);
        disks_handle_close(&h);
        disks_free(d);
    }
}

/* After a failed sync another one helps nothing, and only another write does. */
static void a_sync_after_a_failed_one_lies(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct disks *d = disks_new(seed);
        const struct disk *disk = disks_disk(d);
        struct disk_handle h;
        make_file(disk, "/m1/a", 'o');
        assert_int_equal(disk->sync(disk->arg, MACHINE), 0);
        disks_handle_open(&h, disks_find(d, "/m1/a"));
        assert_int_equal(disks_write(&h, "n", 1, 0, false), 0);
        disks_arm(d, MACHINE, DISKS_FAULT_SYNC_ERROR, 1);
        assert_int_equal(disks_sync(&h), EIO);
        if (seed % 2 == 0)
            assert_int_equal(disks_write(&h, "n", 1, 0, false), 0);
        assert_int_equal(disks_sync(&h), 0);
        assert_int_equal(content_of(disk, "/m1/a"), 'n');
        disks_crash(d, MACHINE, DISKS_LOSE_POWER);
        disks_handle_close(&h);
        assert_int_equal(content_of(disk, "/m1/a"), seed % 2 == 0 ? 'n' : 'o');
        disks_free(d);
    }
}

/* All bytes of the machine's files, and how often its disks were asked. */
static struct hash everything(struct bench *b)
{
    static const char *const path[] = {DATABASE, WAL, TAIL};
    struct hash hash = {{0}};
    struct disks_stats stats;
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        const struct disk_node *n = disks_find(b->disks, path[i]);
        uint8_t *data = xcalloc(1, n->size + 1);
        size_t got;
        struct disk_file *file = file_at(b->disk, path[i], DISK_READ);
        assert_int_equal(b->disk->read(b->disk->arg, file, data, n->size, 0, &got), 0);
        b->disk->close(b->disk->arg, file);
        const struct bytes part[] = {bytes_of(hash.b, HASH_BYTES), bytes_of(data, got)};
        hash = hash_of(part, 2);
        free(data);
    }
    disks_stats(b->disks, &stats);
    const struct bytes part[] = {bytes_of(hash.b, HASH_BYTES), bytes_of(&stats, sizeof stats)};
    return hash_of(part, 2);
}

static struct hash one_run(uint64_t seed)
{
    struct bench b;
    bench_init(&b, seed);
    assert_int_equal(bench_open(&b), ASSENT_OK);
    assert_true(work(&b, 20));
    crash(&b, DISKS_LOSE_POWER);
    reopen(&b);
    assert_true(work(&b, 5));
    struct hash hash = everything(&b);
    bench_end(&b);
    return hash;
}

static void the_seed_decides_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct hash first = one_run(seed);
        struct hash again = one_run(seed);
        struct hash other = one_run(seed + 100);
        assert_memory_equal(first.b, again.b, HASH_BYTES);
        assert_memory_not_equal(first.b, other.b, HASH_BYTES);
    }
}

static void a_saved_machine_comes_back_as_it_was(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, 1);
    assert_int_equal(bench_open(&b), ASSENT_OK);
    assert_true(work(&b, 5));
    uint64_t then = b.acknowledged;
    crash(&b, DISKS_LOSE_PROCESS);
    struct disks_copy *copy = disks_save(b.disks, MACHINE);
    reopen(&b);
    assert_true(work(&b, 5));
    crash(&b, DISKS_LOSE_POWER);
    disks_load(b.disks, MACHINE, copy);
    disks_copy_free(copy);
    b.acknowledged = then;
    assert_int_equal(bench_open(&b), ASSENT_OK);
    struct store_stats stats;
    log_store_stats(b.store, &stats);
    assert_int_equal(stats.seq, then);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_lost_at_any_write_loses_nothing_acknowledged),
        cmocka_unit_test(power_lost_while_rows_go_into_the_log_loses_nothing_acknowledged),
        cmocka_unit_test(power_lost_in_any_commit_loses_nothing_acknowledged),
        cmocka_unit_test(power_lost_while_it_starts_loses_nothing),
        cmocka_unit_test(power_lost_in_a_checkpoint_loses_nothing_acknowledged),
        cmocka_unit_test(while_another_makes_a_checkpoint_the_tail_forgets_only_what_is_synced),
        cmocka_unit_test(killed_at_any_write_it_has_all_that_was_acknowledged),
        cmocka_unit_test(a_read_error_is_not_taken_for_damage),
        cmocka_unit_test(errors_of_the_disk_stop_the_store_and_lose_nothing),
        cmocka_unit_test(a_start_mends_what_a_failed_sync_left),
        cmocka_unit_test(errors_while_it_starts_lose_nothing),
        cmocka_unit_test(on_a_full_disk_nothing_is_lost_and_it_goes_on),
        cmocka_unit_test(a_flipped_bit_is_mended_or_refused),
        cmocka_unit_test(a_bit_that_the_seed_chooses_is_mended_or_refused),
        cmocka_unit_test(a_tail_that_is_not_synced_is_noticed),
        cmocka_unit_test(plain_sqlite_keeps_what_it_synced_and_loses_what_it_did_not),
        cmocka_unit_test(a_lock_goes_with_its_process_and_not_before),
        cmocka_unit_test(a_name_has_one_file_after_a_loss_of_power),
        cmocka_unit_test(a_new_file_needs_a_sync_of_its_directory),
        cmocka_unit_test(a_file_that_grows_again_has_zeros_there),
        cmocka_unit_test(a_sync_after_a_failed_one_lies),
        cmocka_unit_test(the_seed_decides_everything),
        cmocka_unit_test(a_saved_machine_comes_back_as_it_was),
    };
    return cmocka_run_group_tests_name("sim_disks", tests, NULL, NULL);
}
