/* tests/sim/disks: the storage code on simulated disks loses nothing that it acknowledged, and the
 * disks lose what was not synced. */
#include "tests/unit/log_store_fixture.h"

#include "runtime/store_tail.h"
#include "tests/sim/disks_file.h"

#define MACHINE   "/m1"
#define ROW_BYTES 3000u

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

static void bench_init(struct bench *b, uint64_t seed)
{
    memset(b, 0, sizeof *b);
    b->disks = disks_new(seed);
    b->disk = disks_disk(b->disks);
    b->id = (struct store_identity){.role = ROLE_PARTICIPANT, .node = 4, .name = "a1"};
    b->role = (struct store_role){&b->fake,    fake_create, fake_load,
                                  fake_replay, fake_apply,  fake_applied};
    assert_int_equal(log_store_create(b->disk, MACHINE, &b->id, &b->role, b->why, sizeof b->why),
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

static assent_status commit_some(struct bench *b, uint64_t rows)
{
    static uint8_t body[ROW_BYTES];
    assent_status status = log_store_begin(b->store);
    uint64_t ts = b->acknowledged;
    if (status != ASSENT_OK)
        return status;
    for (uint64_t i = 0; i < rows && status == ASSENT_OK; i++)
        status = append_kind(b->store, RECORD_PREPARED, ++ts, bytes_of(body, sizeof body));
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

/* Enough that the tail turns, the tables follow, and a checkpoint comes. False: the disk failed. */
static bool work(struct bench *b, int batches)
{
    uint64_t left;
    for (int i = 0; i < batches; i++)
        if (commit_some(b, 1 + (uint64_t)i % 7) != ASSENT_OK ||
            (i % 6 == 5 && log_store_apply(b->store, 1000, &left) != ASSENT_OK))
            return false;
    return true;
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

/* At every n-th write or sync, until the work ends before it. */
static void sweep_power(uint64_t seed, uint32_t step)
{
    for (uint32_t n = 1;; n += step) {
        struct bench b;
        bench_init(&b, seed + n);
        assert_int_equal(bench_open(&b), ASSENT_OK);
        disks_arm(b.disks, MACHINE, DISKS_FAULT_POWER, n);
        bool done = work(&b, 60);
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
            return;
    }
}

static void power_lost_at_any_write_loses_nothing_acknowledged(void **state)
{
    (void)state;
    sweep_power(1000, 1);
    sweep_power(500000, 3);
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

static void errors_of_the_disk_stop_the_store_and_lose_nothing(void **state)
{
    static const enum disks_fault faults[] = {DISKS_FAULT_WRITE_ERROR, DISKS_FAULT_SYNC_ERROR};
    (void)state;
    for (size_t k = 0; k < 2; k++)
        for (uint32_t n = 1; n < 80; n++) {
            struct bench b;
            bench_init(&b, n);
            assert_int_equal(bench_open(&b), ASSENT_OK);
            disks_arm(b.disks, MACHINE, faults[k], n);
            bool done = work(&b, 60);
            if (disks_fired(b.disks, MACHINE) && !done)
                assert_int_equal(log_store_begin(b.store), ASSENT_STORAGE);
            crash(&b, n % 2 == 0 ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
            reopen(&b);
            crash(&b, DISKS_LOSE_POWER);
            reopen(&b);
            bench_end(&b);
        }
}

static void on_a_full_disk_nothing_is_lost_and_it_goes_on(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, 1);
    assert_int_equal(bench_open(&b), ASSENT_OK);
    assert_true(work(&b, 5));
    disks_set_room(b.disks, MACHINE, disks_used(b.disks, MACHINE) + 20000);
    assent_status status = ASSENT_OK;
    for (int i = 0; i < 100 && status == ASSENT_OK; i++)
        status = commit_some(&b, 3);
    assert_int_equal(status, ASSENT_DISK_FULL);
    disks_set_room(b.disks, MACHINE, UINT64_MAX);
    assert_true(work(&b, 5));
    crash(&b, DISKS_LOSE_POWER);
    reopen(&b);
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

static void a_lock_goes_with_its_process(void **state)
{
    struct bench b;
    struct log_store *second = NULL;
    struct fake fake = {0};
    (void)state;
    bench_init(&b, 1);
    assert_int_equal(bench_open(&b), ASSENT_OK);
    struct store_role role = b.role;
    role.arg = &fake;
    assert_int_equal(log_store_open(&second, b.disk, MACHINE, &b.id, &role, b.why, sizeof b.why),
                     ASSENT_STORAGE);
    assert_non_null(strstr(b.why, "locked"));
    crash(&b, DISKS_LOSE_PROCESS);
    reopen(&b);
    bench_end(&b);
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
        cmocka_unit_test(power_lost_while_it_starts_loses_nothing),
        cmocka_unit_test(errors_of_the_disk_stop_the_store_and_lose_nothing),
        cmocka_unit_test(on_a_full_disk_nothing_is_lost_and_it_goes_on),
        cmocka_unit_test(a_tail_that_is_not_synced_is_noticed),
        cmocka_unit_test(plain_sqlite_keeps_what_it_synced_and_loses_what_it_did_not),
        cmocka_unit_test(a_lock_goes_with_its_process),
        cmocka_unit_test(a_saved_machine_comes_back_as_it_was),
    };
    return cmocka_run_group_tests_name("sim_disks", tests, NULL, NULL);
}
