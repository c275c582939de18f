/* runtime/storage: batches, their failures, and the thread. */
#include "tests/unit/log_store_fixture.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/storage.h"

/* Bytes of a row that the tail cannot take, so that its commit needs room in the database. */
#define TOO_LARGE (1024 * 1024)

struct job {
    struct storage_job base;
    struct bench *bench;
    uint64_t ts;
    size_t bytes;       /* of the body */
    assent_status fail; /* its own failure, after the append */
    sem_t *gate;        /* run() waits here */
    int pages;          /* limits the pages that the database may grow by; -1: no limit */
    int lift_at;        /* the run that lifts the limit */
    int runs;
    int commits;
    int dones;
    struct job *next; /* submitted by done() */
};

/* The loop thread's side. */
struct bench {
    struct fixture *f;
    struct storage *storage;
    sem_t woken;
    uint64_t clock_us; /* instead of the real one, once it is set */
    int done;
    uint64_t done_ts[SEEN_MAX];
};

static assent_status job_run(struct storage_job *base, struct log_store *store)
{
    struct job *job = (struct job *)base;
    job->runs++;
    if (job->gate != NULL)
        while (sem_wait(job->gate) != 0)
            continue;
    if (job->lift_at > 0 && job->runs >= job->lift_at)
        job->pages = -1;
    if (job->pages != 0) {
        char sql[64];
        int64_t pages = query(log_store_db(store), "PRAGMA page_count");
        snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld",
                 job->pages < 0 ? 1000000LL : (long long)pages + job->pages);
        query(log_store_db(store), sql);
    }
    if (base->reads_only)
        return job->fail;
    uint8_t *body = calloc(1, job->bytes + 1);
    assent_status status = append_kind(store, RECORD_PREPARED, job->ts, bytes_of(body, job->bytes));
    free(body);
    return status == ASSENT_OK ? job->fail : status;
}

static void job_commit(struct storage_job *base, struct log_store *store)
{
    (void)store;
    ((struct job *)base)->commits++;
}

static void job_done(struct storage_job *base)
{
    struct job *job = (struct job *)base;
    struct bench *b = job->bench;
    job->dones++;
    if (b->done < SEEN_MAX)
        b->done_ts[b->done] = job->ts;
    b->done++;
    if (job->next != NULL)
        storage_submit(b->storage, &job->next->base);
}

static struct job job_of(struct bench *b, uint64_t ts)
{
    return (struct job){.base = {.run = job_run, .commit = job_commit, .done = job_done},
                        .bench = b,
                        .ts = ts,
                        .bytes = 50};
}

static struct job reader_of_bench(struct bench *b)
{
    struct job job = job_of(b, 0);
    job.base.reads_only = true;
    job.base.refusable = true;
    return job;
}

static void wake(void *arg)
{
    struct bench *b = arg;
    sem_post(&b->woken);
}

static uint64_t now_us(void *arg)
{
    const struct bench *b = arg;
    struct timespec now;
    if (b->clock_us != 0)
        return b->clock_us;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void broken(void *arg, const char *why)
{
    (void)arg;
    fprintf(stderr, "storage failed: %s\n", why);
    fflush(stderr);
    _exit(74);
}

static void bench_start_turns(struct bench *b, struct fixture *f)
{
    memset(b, 0, sizeof *b);
    b->f = f;
    create_and_open(f);
    sem_init(&b->woken, 0, 0);
    b->storage = storage_new(f->store, &(struct storage_host){b, wake, now_us, broken, 0});
    f->store = NULL; /* the storage's from now on */
}

static void bench_start(struct bench *b, struct fixture *f)
{
    bench_start_turns(b, f);
    storage_start(b->storage);
}

/* Polls as the loop does: after each wake, until so many jobs are done. */
static void poll_until(struct bench *b, int done)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    while (b->done < done) {
        if (sem_timedwait(&b->woken, &deadline) != 0)
            fail_msg("%d of %d jobs are done, and no wake comes", b->done, done);
        storage_poll(b->storage);
    }
}

static void submit(struct bench *b, struct job *job)
{
    storage_submit(b->storage, &job->base);
}

static struct store_stats stats_of(struct bench *b)
{
    struct store_stats stats;
    storage_stats(b->storage, &stats);
    return stats;
}

/* Runs the jobs, given in order, as one batch on this thread. */
static bool run_batch(struct fixture *f, struct job *job, size_t n, bool *disk_full)
{
    struct storage_jobs jobs = TAILQ_HEAD_INITIALIZER(jobs);
    for (size_t i = 0; i < n; i++)
        TAILQ_INSERT_TAIL(&jobs, &job[i].base, link);
    return storage_run_batch(f->store, &jobs, disk_full);
}

static void a_job_that_fails_by_its_own_fault_fails_alone(void **state)
{
    struct fixture *f = *state;
    struct bench b = {.f = f};
    bool full = false;
    create_and_open(f);
    struct job job[3] = {job_of(&b, 1), job_of(&b, 99), job_of(&b, 2)};
    job[1].fail = ASSENT_CONFLICT;
    assert_true(run_batch(f, job, 3, &full));
    assert_false(full);
    assert_int_equal(job[0].base.status, ASSENT_OK);
    assert_int_equal(job[1].base.status, ASSENT_CONFLICT);
    assert_int_equal(job[2].base.status, ASSENT_OK);
    assert_int_equal(job[0].commits, 1);
    assert_int_equal(job[1].commits, 0);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 2);
}

static void limit_pages(struct fixture *f, int pages)
{
    struct bench b = {.f = f};
    struct job job = reader_of_bench(&b);
    bool full = false;
    job.pages = pages;
    assert_true(run_batch(f, &job, 1, &full));
    assert_int_equal(job.base.status, ASSENT_OK);
}

static void on_a_full_disk_what_may_be_refused_makes_room_for_the_rest(void **state)
{
    struct fixture *f = *state;
    struct bench b = {.f = f};
    bool full = false;
    create_and_open(f);
    limit_pages(f, 2);
    struct job job[4] = {job_of(&b, 1), job_of(&b, 77), reader_of_bench(&b), job_of(&b, 2)};
    job[1].bytes = TOO_LARGE;
    job[1].base.refusable = true;
    assert_true(run_batch(f, job, 4, &full));
    assert_true(full);
    assert_int_equal(job[0].base.status, ASSENT_OK);
    assert_int_equal(job[1].base.status, ASSENT_DISK_FULL);
    assert_false(storage_job_kept(&job[1].base));
    assert_int_equal(job[2].base.status, ASSENT_OK);
    assert_int_equal(job[3].base.status, ASSENT_OK);
    assert_int_equal(job[0].runs, 2);
    assert_int_equal(job[0].commits, 1);
    assert_int_equal(job[1].commits, 0);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 2);
}

static void on_a_full_disk_what_may_not_be_refused_is_kept_and_reads_are_served(void **state)
{
    struct fixture *f = *state;
    struct bench b = {.f = f};
    bool full = false;
    create_and_open(f);
    limit_pages(f, 2);
    struct job job[3] = {job_of(&b, 1), reader_of_bench(&b), job_of(&b, 2)};
    job[0].bytes = TOO_LARGE;
    assert_true(run_batch(f, job, 3, &full));
    assert_true(full);
    assert_true(storage_job_kept(&job[0].base));
    assert_int_equal(job[1].base.status, ASSENT_OK);
    assert_true(storage_job_kept(&job[2].base));
    assert_int_equal(job[0].commits + job[2].commits, 0);
    limit_pages(f, -1);
    assert_true(run_batch(f, job, 3, &full));
    assert_false(full);
    assert_int_equal(job[0].base.status, ASSENT_OK);
    assert_int_equal(job[2].base.status, ASSENT_OK);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, 2);
}

/* The next batch that writes would need room for what the tail is about to forget. */
static void reads_are_served_while_the_tail_has_no_room_to_turn(void **state)
{
    struct fixture *f = *state;
    struct bench b = {.f = f};
    bool full = false;
    uint64_t rows = 0;
    create_and_open(f);
    limit_pages(f, 2);
    while (!full) {
        struct job job = job_of(&b, rows + 1);
        job.base.refusable = true;
        assert_true(run_batch(f, &job, 1, &full));
        rows += job.base.status == ASSENT_OK;
        assert_true(rows < SEEN_MAX);
        struct job reader = reader_of_bench(&b);
        assert_true(run_batch(f, &reader, 1, &full));
        assert_int_equal(reader.base.status, ASSENT_OK);
    }
    struct job job[3] = {job_of(&b, rows + 1), reader_of_bench(&b), job_of(&b, rows + 2)};
    assert_true(run_batch(f, job, 3, &full));
    assert_true(storage_job_kept(&job[0].base) && storage_job_kept(&job[2].base));
    assert_int_equal(job[1].base.status, ASSENT_OK);
    crash_copy(f);
    assert_int_equal(open_in(f, f->copy), ASSENT_OK);
    assert_replayed(f, 1, rows);
}

static void while_the_disk_is_full_refusable_jobs_fail_without_a_try(void **state)
{
    struct fixture *f = *state;
    struct bench b = {.f = f};
    bool full = true;
    create_and_open(f);
    struct job job[3] = {job_of(&b, 1), reader_of_bench(&b), job_of(&b, 1)};
    job[0].base.refusable = true;
    assert_true(run_batch(f, job, 2, &full));
    assert_true(full); /* a read shows nothing */
    assert_int_equal(job[0].base.status, ASSENT_DISK_FULL);
    assert_int_equal(job[0].runs, 0);
    assert_int_equal(job[1].base.status, ASSENT_OK);
    assert_true(run_batch(f, job, 3, &full));
    assert_false(full);
    assert_int_equal(job[2].base.status, ASSENT_OK);
}

static void jobs_are_done_in_the_order_of_their_submission(void **state)
{
    struct bench b;
    static struct job job[1000];
    bench_start(&b, *state);
    for (int i = 0; i < 1000; i++) {
        job[i] = job_of(&b, (uint64_t)i + 1);
        /* The second half is submitted by the first, from done(). */
        job[i].next = i < 500 ? &job[i + 500] : NULL;
    }
    for (int i = 0; i < 500; i++)
        submit(&b, &job[i]);
    poll_until(&b, 1000);
    assert_int_equal(storage_queued(b.storage), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(b.done_ts[i], i + 1);
        assert_int_equal(job[i].base.status, ASSENT_OK);
        assert_int_equal(job[i].commits, 1);
        assert_int_equal(job[i].dones, 1);
    }
    storage_stop(b.storage);
    assert_int_equal(open_in(b.f, b.f->dir), ASSENT_OK);
    assert_int_equal(query(log_store_db(b.f->store), "SELECT count(*) FROM seen WHERE ts = n"),
                     1000);
}

static void queued_jobs_share_one_sync(void **state)
{
    struct bench b;
    sem_t gate;
    static struct job job[200];
    bench_start(&b, *state);
    sem_init(&gate, 0, 0);
    for (int i = 0; i < 200; i++)
        job[i] = job_of(&b, (uint64_t)i + 1);
    job[0].gate = &gate;
    struct store_stats before = stats_of(&b);
    for (int i = 0; i < 200; i++)
        submit(&b, &job[i]);
    /* The first batch waits at the gate with what it took; the second takes all the rest. */
    sem_post(&gate);
    poll_until(&b, 200);
    struct store_stats after = stats_of(&b);
    assert_int_equal(after.rows - before.rows, 200);
    assert_true(after.batches - before.batches <= 2);
    storage_stop(b.storage);
}

static void batches_that_only_read_do_not_sync(void **state)
{
    struct bench b;
    struct job reader[20], writer;
    bench_start(&b, *state);
    struct store_stats before = stats_of(&b);
    for (int i = 0; i < 20; i++) {
        reader[i] = reader_of_bench(&b);
        submit(&b, &reader[i]);
        poll_until(&b, i + 1);
        assert_int_equal(reader[i].base.status, ASSENT_OK);
    }
    assert_int_equal(stats_of(&b).syncs, before.syncs);
    writer = job_of(&b, 1);
    submit(&b, &writer);
    poll_until(&b, 21);
    assert_true(stats_of(&b).syncs >= before.syncs + 1);
    storage_stop(b.storage);
}

static struct job lazy_job_of(struct bench *b, uint64_t ts)
{
    struct job job = job_of(b, ts);
    job.base.lazy = true;
    return job;
}

static void lazy_jobs_wait_for_an_urgent_one_and_share_its_sync(void **state)
{
    struct bench b;
    bench_start_turns(&b, *state);
    struct job job[3] = {lazy_job_of(&b, 1), lazy_job_of(&b, 2), job_of(&b, 3)};
    uint64_t batches = stats_of(&b).batches;
    b.clock_us = 1000000;
    submit(&b, &job[0]);
    b.clock_us += STORAGE_LAZY_US - 1;
    submit(&b, &job[1]);
    assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
    storage_poll(b.storage);
    assert_int_equal(b.done, 0);
    submit(&b, &job[2]);
    assert_int_equal(storage_due_us(b.storage), 0);
    assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
    storage_poll(b.storage);
    assert_int_equal(b.done, 3);
    assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
    assert_int_equal(stats_of(&b).batches, batches + 1);
    storage_stop(b.storage);
    assert_int_equal(b.done_ts[0], 1);
    assert_int_equal(b.done_ts[2], 3);
    assert_int_equal(job[0].base.status, ASSENT_OK);
}

static void lazy_jobs_alone_run_when_the_oldest_has_waited_long_enough(void **state)
{
    struct bench b;
    bench_start_turns(&b, *state);
    struct job job[2] = {lazy_job_of(&b, 1), lazy_job_of(&b, 2)};
    b.clock_us = 1000000;
    submit(&b, &job[0]);
    b.clock_us += STORAGE_LAZY_US - 1;
    submit(&b, &job[1]);
    assert_int_equal(storage_due_us(b.storage), b.clock_us + 1);
    b.clock_us += 1;
    assert_int_equal(storage_due_us(b.storage), 0);
    assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
    storage_poll(b.storage);
    assert_int_equal(b.done, 2);
    storage_stop(b.storage);
}

/* Whatever the thread is doing, or however long it means to sleep. */
static void a_lazy_job_needs_nothing_else_to_be_run(void **state)
{
    static const long gap_us[] = {0, STORAGE_LAZY_US / 2, STORAGE_LAZY_US, 4 * STORAGE_LAZY_US};
    enum { GAPS = sizeof gap_us / sizeof gap_us[0] };
    struct bench b;
    bench_start(&b, *state);
    struct job job[GAPS + 1] = {lazy_job_of(&b, 1)};
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* asleep with nothing to do, ever */
    submit(&b, &job[0]);
    poll_until(&b, 1);
    for (int i = 0; i < GAPS; i++) {
        job[i + 1] = lazy_job_of(&b, (uint64_t)i + 2);
        nanosleep(&(struct timespec){.tv_nsec = gap_us[i] * 1000}, NULL);
        submit(&b, &job[i + 1]);
        poll_until(&b, i + 2);
    }
    storage_stop(b.storage);
}

static void the_log_is_applied_when_nothing_is_queued(void **state)
{
    struct bench b;
    struct job writer, reader[600];
    bench_start(&b, *state);
    writer = job_of(&b, 1);
    submit(&b, &writer);
    poll_until(&b, 1);
    /* The apply comes by itself; the reads only let this thread wait for it. */
    int reads = 0;
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    while (reads < 600 && stats_of(&b).applied_seq == 0) {
        nanosleep(&pause, NULL);
        reader[reads] = reader_of_bench(&b);
        submit(&b, &reader[reads]);
        poll_until(&b, ++reads + 1);
    }
    assert_int_equal(stats_of(&b).applied_seq, 1);
    storage_stop(b.storage);
}

static assent_status watermark_run(struct storage_job *base, struct log_store *store)
{
    return append_kind(store, RECORD_WATERMARK, ((struct job *)base)->ts, bytes_of(NULL, 0));
}

/* In steps, between which a batch may come, and only when the log is applied. */
static void what_need_not_be_kept_is_pruned_when_there_is_nothing_else_to_do(void **state)
{
    struct bench b;
    bench_start_turns(&b, *state);
    struct job watermark = job_of(&b, 1), other = job_of(&b, 2);
    watermark.base.run = watermark_run;
    b.f->fake.prunes_all = 3;
    b.clock_us = 1000000;
    submit(&b, &watermark);
    assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
    b.clock_us = storage_due_us(b.storage);
    assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
    assert_int_equal(b.f->fake.applied, 1);
    for (int step = 1; step <= 3; step++) {
        assert_true(storage_due_us(b.storage) <= b.clock_us);
        assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
        assert_int_equal(b.f->fake.prunes, step);
        if (step > 1)
            continue;
        submit(&b, &other);
        assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
        assert_int_equal(b.f->fake.prunes, step);
        b.clock_us = storage_due_us(b.storage);
        assert_int_equal(storage_turn(b.storage), STORAGE_GOES_ON);
        assert_int_equal(b.f->fake.prunes, step);
    }
    assert_true(storage_due_us(b.storage) == UINT64_MAX);
    storage_poll(b.storage);
    storage_stop(b.storage);
}

static void kept_jobs_become_durable_in_order_once_there_is_room(void **state)
{
    struct bench b;
    bench_start(&b, *state);
    struct job limit = reader_of_bench(&b), lift = reader_of_bench(&b), read = reader_of_bench(&b);
    struct job large = job_of(&b, 1), small = job_of(&b, 2), refusable = job_of(&b, 70);
    struct job after = job_of(&b, 3);
    limit.pages = 2;
    lift.pages = -1;
    large.bytes = TOO_LARGE;
    refusable.bytes = TOO_LARGE;
    refusable.base.refusable = true;
    submit(&b, &limit);
    poll_until(&b, 1);
    submit(&b, &large);
    submit(&b, &small);
    submit(&b, &refusable);
    submit(&b, &read);
    poll_until(&b, 3);
    assert_int_equal(refusable.dones + read.dones, 2);
    assert_int_equal(refusable.base.status, ASSENT_DISK_FULL);
    assert_int_equal(read.base.status, ASSENT_OK);
    assert_int_equal(large.dones + small.dones, 0);
    assert_true(storage_disk_full(b.storage));
    assert_int_equal(storage_queued(b.storage), 2);
    submit(&b, &after);
    submit(&b, &lift);
    poll_until(&b, 7);
    assert_int_equal(lift.dones, 1);
    assert_int_equal(large.base.status, ASSENT_OK);
    assert_int_equal(small.base.status, ASSENT_OK);
    assert_int_equal(after.base.status, ASSENT_OK);
    assert_int_equal(b.done_ts[3] + b.done_ts[4] + b.done_ts[5] + b.done_ts[6], 6);
    assert_false(storage_disk_full(b.storage));
    storage_stop(b.storage);
    assert_int_equal(open_in(b.f, b.f->dir), ASSENT_OK);
    assert_int_equal(query(log_store_db(b.f->store), "SELECT count(*) FROM seen WHERE ts = n"), 3);
}

static void more_kept_jobs_than_one_batch_holds_stay_in_order(void **state)
{
    struct bench b;
    static struct job job[STORAGE_BATCH_MAX + 500];
    const int jobs = STORAGE_BATCH_MAX + 500;
    bench_start(&b, *state);
    struct job limit = reader_of_bench(&b);
    limit.pages = 2;
    submit(&b, &limit);
    poll_until(&b, 1);
    b.done = 0;
    /* The first job keeps all others back, through a few tries. */
    for (int i = 0; i < jobs; i++) {
        job[i] = job_of(&b, (uint64_t)i + 1);
        job[i].bytes = i == 0 ? TOO_LARGE : 1;
    }
    job[0].lift_at = 6;
    for (int i = 0; i < jobs; i++)
        submit(&b, &job[i]);
    poll_until(&b, jobs);
    storage_stop(b.storage);
    assert_int_equal(job[0].runs, 6);
    assert_int_equal(open_in(b.f, b.f->dir), ASSENT_OK);
    assert_int_equal(query(log_store_db(b.f->store), "SELECT count(*) FROM seen WHERE ts = n"),
                     jobs);
}

static void stopping_finishes_what_was_submitted(void **state)
{
    struct bench b;
    static struct job job[500];
    struct job late;
    bench_start(&b, *state);
    late = job_of(&b, 999);
    for (int i = 0; i < 500; i++) {
        job[i] = job_of(&b, (uint64_t)i + 1);
        submit(&b, &job[i]);
    }
    job[499].next = &late;
    storage_stop(b.storage);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(job[i].dones, 1);
        assert_int_equal(job[i].base.status, ASSENT_OK);
    }
    assert_int_equal(late.dones, 1);
    assert_int_equal(late.base.status, ASSENT_STOPPING);
    assert_int_equal(late.runs, 0);
    assert_int_equal(open_in(b.f, b.f->dir), ASSENT_OK);
    assert_int_equal(b.f->fake.replays, 0);
    assert_int_equal(query(log_store_db(b.f->store), "SELECT count(*) FROM seen WHERE ts = n"),
                     500);
}

static void stopping_on_a_full_disk_gives_kept_jobs_back_as_not_durable(void **state)
{
    struct bench b;
    bench_start(&b, *state);
    struct job limit = reader_of_bench(&b), large = job_of(&b, 1);
    limit.pages = 2;
    large.bytes = TOO_LARGE;
    submit(&b, &limit);
    submit(&b, &large);
    storage_stop(b.storage);
    assert_int_equal(large.dones, 1);
    assert_int_equal(large.commits, 0);
    assert_int_equal(large.base.status, ASSENT_STOPPING);
    assert_int_equal(open_in(b.f, b.f->dir), ASSENT_OK);
    assert_int_equal(query(log_store_db(b.f->store), "SELECT count(*) FROM seen"), 0);
}

static void over_the_limit_of_the_queue_refusable_jobs_are_refused(void **state)
{
    struct bench b;
    sem_t gate;
    bench_start(&b, *state);
    sem_init(&gate, 0, 0);
    struct job *job = calloc(STORAGE_QUEUE_MAX + 2, sizeof *job);
    for (uint32_t i = 0; i < STORAGE_QUEUE_MAX + 2; i++)
        job[i] = reader_of_bench(&b);
    job[0].gate = &gate;
    for (uint32_t i = 0; i < STORAGE_QUEUE_MAX; i++)
        submit(&b, &job[i]);
    struct job *refused = &job[STORAGE_QUEUE_MAX], *taken = &job[STORAGE_QUEUE_MAX + 1];
    taken->base.refusable = false;
    submit(&b, refused);
    poll_until(&b, 1);
    assert_int_equal(refused->dones, 1);
    assert_int_equal(refused->base.status, ASSENT_OVERLOADED);
    submit(&b, taken);
    assert_int_equal(storage_queued(b.storage), STORAGE_QUEUE_MAX + 1);
    sem_post(&gate);
    poll_until(&b, (int)STORAGE_QUEUE_MAX + 2);
    assert_int_equal(taken->base.status, ASSENT_OK);
    storage_stop(b.storage);
    free(job);
}

static _Noreturn void child_meets_io_error(struct fixture *f)
{
    struct bench b;
    static struct job job[1000];
    char path[2 * PATH_SIZE];
    file_in(path, f->root, "stderr");
    bench_start(&b, f);
    if (freopen(path, "w", stderr) == NULL)
        _exit(1);
    for (int i = 0; i < 1000; i++) {
        if (i == 10)
            break_writes("-wal");
        job[i] = job_of(&b, (uint64_t)i + 1);
        submit(&b, &job[i]);
        poll_until(&b, i + 1);
        if (job[i].base.status != ASSENT_OK)
            _exit(2);
    }
    _exit(3);
}

static void an_io_error_stops_the_process_at_once(void **state)
{
    struct fixture *f = *state;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        child_meets_io_error(f);
    int wait_status = 0;
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 74);
    size_t len = 0;
    char *text = (char *)read_whole(f->root, "stderr", &len);
    assert_non_null(text);
    text[len] = '\0';
    assert_non_null(strstr(text, "storage failed"));
    assert_non_null(strstr(text, "node.db"));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    free(text);
    assert_int_equal(open_in(f, f->dir), ASSENT_OK);
    assert_true(f->fake.replays > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* forks, so before any thread was made */
        STORE_TEST(an_io_error_stops_the_process_at_once),
        STORE_TEST(a_job_that_fails_by_its_own_fault_fails_alone),
        STORE_TEST(on_a_full_disk_what_may_be_refused_makes_room_for_the_rest),
        STORE_TEST(on_a_full_disk_what_may_not_be_refused_is_kept_and_reads_are_served),
        STORE_TEST(reads_are_served_while_the_tail_has_no_room_to_turn),
        STORE_TEST(while_the_disk_is_full_refusable_jobs_fail_without_a_try),
        STORE_TEST(jobs_are_done_in_the_order_of_their_submission),
        STORE_TEST(queued_jobs_share_one_sync),
        STORE_TEST(batches_that_only_read_do_not_sync),
        STORE_TEST(lazy_jobs_wait_for_an_urgent_one_and_share_its_sync),
        STORE_TEST(lazy_jobs_alone_run_when_the_oldest_has_waited_long_enough),
        STORE_TEST(a_lazy_job_needs_nothing_else_to_be_run),
        STORE_TEST(the_log_is_applied_when_nothing_is_queued),
        STORE_TEST(what_need_not_be_kept_is_pruned_when_there_is_nothing_else_to_do),
        STORE_TEST(kept_jobs_become_durable_in_order_once_there_is_room),
        STORE_TEST(more_kept_jobs_than_one_batch_holds_stay_in_order),
        STORE_TEST(stopping_finishes_what_was_submitted),
        STORE_TEST(stopping_on_a_full_disk_gives_kept_jobs_back_as_not_durable),
        STORE_TEST(over_the_limit_of_the_queue_refusable_jobs_are_refused),
    };
    return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
