/* Happy path: storage_submit puts the job into `queue` and signals; a turn takes all of it as one
 * batch, runs it (storage_run_batch), moves it to `finished` and wakes the loop; storage_poll calls
 * done(). Turns are the thread's, or the simulator's; what only they touch has no lock.
 *
 * Full disk: storage_run_batch rolls back, and tries again with less. What is left and not
 * refusable waits in `kept`, which only the thread touches, ahead of everything not refusable that
 * comes later. Until `retry_at_ms` refusable jobs that write fail without a try; then one batch of
 * everything is the next try. In between one apply with its checkpoint makes what room there is.
 *
 * I/O error: the host ends the process (STORAGE_BROKEN). Nothing of the batch was handed back, so
 * nothing was acknowledged; the next start judges the files. */
#include "runtime/storage.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mutant.h"

#define DISK_FULL_RETRY_MS 200
#define STOP_TRIES         3 /* of kept jobs on a full disk, when stopping */
#define COPYING_LOOK_MS    2

/* When an apply begins. The more rows, the fewer pages each of them writes. */
#define APPLY_ROWS    16384
#define APPLY_BYTES   (4u * 1024 * 1024)
#define APPLY_IDLE_MS 200 /* after the last batch, any row is worth it */
#define APPLY_BEHIND_ROWS                                                                          \
    1024 /* newest rows left out while more come: many wait for a decision                         \
          */
/* An open apply goes on by so much work while nothing is queued, or after a batch by as many times
 * its rows, so that it ends. */
#define APPLY_STEP_WORK  256
#define APPLY_STEP_TIMES 2
/* At these it is done at once, so many rows in a transaction. */
#define APPLY_WAITING_ROWS  32768
#define APPLY_WAITING_BYTES (16u * 1024 * 1024) /* bodies; small ones decoded take more */
#define APPLY_CHUNK_ROWS    2000

struct storage {
    struct log_store *store;
    struct storage_host host;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    /* under the mutex */
    struct storage_jobs queue;
    struct storage_jobs finished;
    struct store_stats stats;
    uint32_t urgent;          /* of the queue: jobs that are not lazy */
    uint64_t lazy_due_us;     /* when a queue of only lazy jobs is taken */
    uint64_t asleep_until_us; /* when the thread looks by itself; 0: it is not asleep */
    bool stopping;
    bool stopped;
    /* the turns' own */
    uint64_t now_ms; /* at the start of the turn */
    struct storage_jobs kept;
    struct storage_jobs lost; /* of the batch that broke the storage */
    uint64_t retry_at_ms;     /* 0: the disk is not full */
    uint64_t busy_at_ms;      /* end of the last batch */
    int stop_tries;
    atomic_uint queued;
    atomic_bool disk_full;
};

/* ---- one batch ---- */

/* Which jobs a try runs. Each level leaves out more than the one before. */
enum level {
    LEVEL_ALL,
    LEVEL_NOT_REFUSABLE, /* and what only reads */
    LEVEL_READS,         /* refusable ones that only read */
    LEVEL_NONE,
};

static bool level_runs(enum level level, const struct storage_job *job)
{
    switch (level) {
    case LEVEL_ALL:
        return true;
    case LEVEL_NOT_REFUSABLE:
        return !job->refusable || job->reads_only;
    case LEVEL_READS:
        return job->refusable && job->reads_only;
    case LEVEL_NONE:
        break;
    }
    return false;
}

/* Runs the jobs of the level inside one open transaction. ASSENT_DISK_FULL and ASSENT_STORAGE are
 * the store's; any other failure is a job's own and stays with it. */
static assent_status run_jobs(struct log_store *store, struct storage_jobs *jobs, enum level level,
                              bool *wrote)
{
    struct storage_job *job;
    TAILQ_FOREACH (job, jobs, link) {
        if (!level_runs(level, job))
            continue;
        *wrote = *wrote || !job->reads_only;
        assent_status status = log_store_savepoint(store);
        if (status != ASSENT_OK)
            return status;
        job->status = job->run(job, store);
        log_store_release(store, job->status == ASSENT_OK);
        if (job->status == ASSENT_DISK_FULL || job->status == ASSENT_STORAGE)
            return job->status;
    }
    return ASSENT_OK;
}

static assent_status try_level(struct log_store *store, struct storage_jobs *jobs, enum level level,
                               bool *wrote)
{
    assent_status status = log_store_begin(store);
    if (status != ASSENT_OK)
        return status;
    status = run_jobs(store, jobs, level, wrote);
    if (status == ASSENT_OK)
        return log_store_commit(store);
    log_store_rollback(store);
    return status;
}

bool storage_run_batch(struct log_store *store, struct storage_jobs *jobs, bool *disk_full)
{
    struct storage_job *job;
    enum level level = *disk_full ? LEVEL_NOT_REFUSABLE : LEVEL_ALL;
    bool met_full = false, wrote = false;
    for (; level < LEVEL_NONE; level++) {
        assent_status status = try_level(store, jobs, level, &wrote);
        if (status == ASSENT_STORAGE)
            return false;
        if (status == ASSENT_OK)
            break;
        met_full = true;
    }
    *disk_full = met_full || (*disk_full && !wrote);
    TAILQ_FOREACH (job, jobs, link) {
        if (!level_runs(level, job))
            job->status = MUTANT(DISK_FULL_IS_OK) ? ASSENT_OK : ASSENT_DISK_FULL;
        else if (job->status == ASSENT_OK && job->commit != NULL)
            job->commit(job, store);
    }
    return true;
}

/* ---- the thread ---- */

static uint64_t now_us(const struct storage *s)
{
    return s->host.now_us(s->host.arg);
}

static void disk_is_full(struct storage *s)
{
    s->retry_at_ms = s->now_ms + DISK_FULL_RETRY_MS;
    atomic_store(&s->disk_full, true);
}

/* Up to so many rows into the tables, and a checkpoint if one is due; 0 rows: only that. False: the
 * process must stop. */
static bool apply_chunk(struct storage *s, uint64_t rows)
{
    uint64_t left = 0;
    assent_status status = log_store_apply(s->store, rows, &left);
    if (status == ASSENT_DISK_FULL)
        disk_is_full(s);
    return status != ASSENT_STORAGE;
}

static uint64_t rows_waiting(const struct storage *s, uint64_t *bytes)
{
    struct store_stats stats;
    log_store_stats(s->store, &stats);
    *bytes = stats.bytes;
    return stats.seq - stats.applied_seq;
}

static bool apply_worth(const struct storage *s, uint64_t rows, uint64_t bytes)
{
    return rows >= APPLY_ROWS || bytes >= APPLY_BYTES || log_store_apply_urgent(s->store);
}

/* When the next apply, or pruning, is due with nothing queued; UINT64_MAX: never. */
static uint64_t apply_due_ms(const struct storage *s)
{
    uint64_t bytes, rows = rows_waiting(s, &bytes);
    /* An apply would give the checkpoint more to do, for which a batch may have to wait. */
    if (log_store_copying(s->store))
        return s->now_ms + COPYING_LOOK_MS;
    if (rows == 0 && !log_store_prune_due(s->store))
        return UINT64_MAX;
    if (s->retry_at_ms != 0)
        return s->retry_at_ms;
    if (log_store_applying(s->store) || apply_worth(s, rows, bytes))
        return 0;
    return s->busy_at_ms + APPLY_IDLE_MS;
}

/* How many to apply while more come: a prepared transaction costs the tables nothing if its
 * decision is applied with it. */
static uint64_t old_rows(uint64_t rows)
{
    return rows > 2 * APPLY_BEHIND_ROWS ? rows - APPLY_BEHIND_ROWS : rows;
}

static bool apply_step(struct storage *s, uint64_t rows, uint64_t batch)
{
    struct store_step step = {APPLY_STEP_TIMES * batch, APPLY_STEP_WORK};
    if (s->host.apply_step != 0)
        step = (struct store_step){s->host.apply_step, 0};
    assent_status status = log_store_apply_step(s->store, old_rows(rows), &step);
    if (status == ASSENT_DISK_FULL)
        disk_is_full(s);
    return status != ASSENT_STORAGE;
}

/* After a batch of so many rows: holds the memory of what is not in the tables yet, the tail and
 * the write-ahead log to their bounds, whatever is queued. */
static bool apply_backlog(struct storage *s, uint64_t batch)
{
    uint64_t bytes, rows = rows_waiting(s, &bytes);
    while (s->retry_at_ms == 0 && (rows > APPLY_WAITING_ROWS || bytes > APPLY_WAITING_BYTES)) {
        if (!apply_chunk(s, APPLY_CHUNK_ROWS))
            return false;
        rows = rows_waiting(s, &bytes);
    }
    if (s->retry_at_ms != 0 || log_store_copying(s->store) ||
        !(log_store_applying(s->store) || apply_worth(s, rows, bytes)))
        return true;
    return apply_step(s, rows, batch);
}

/* With the mutex held: whether what is queued is worth a batch now. */
static bool queue_ripe(const struct storage *s)
{
    if (TAILQ_EMPTY(&s->queue))
        return false;
    return s->urgent > 0 || s->stopping || s->lazy_due_us <= now_us(s);
}

/* With the mutex held: when to look again with nothing new queued, in microseconds; UINT64_MAX:
 * never. */
static uint64_t next_look_us(const struct storage *s)
{
    uint64_t due_ms = TAILQ_EMPTY(&s->kept) ? apply_due_ms(s) : s->retry_at_ms;
    uint64_t due_us = due_ms == UINT64_MAX ? UINT64_MAX : due_ms * 1000;
    if (!TAILQ_EMPTY(&s->queue) && s->lazy_due_us < due_us)
        due_us = s->lazy_due_us;
    return due_us;
}

/* With the mutex held: until signalled, or that time. */
static void sleep_until(struct storage *s, uint64_t until_us)
{
    s->asleep_until_us = until_us;
    if (until_us == UINT64_MAX) {
        pthread_cond_wait(&s->work, &s->mutex);
    } else {
        struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                                 .tv_nsec = (long)(until_us % 1000000) * 1000};
        pthread_cond_timedwait(&s->work, &s->mutex, &until);
    }
    s->asleep_until_us = 0;
}

/* With the mutex held: until there is a batch, or an apply or another try is due. Lazy jobs often
 * come soon after a batch, and then an urgent one: so at first the sleep is short enough that lazy
 * ones need not end it. */
static void wait_for_work(struct storage *s)
{
    uint64_t nap_end_us = now_us(s) + STORAGE_LAZY_US;
    while (!queue_ripe(s)) {
        uint64_t due_us = next_look_us(s), at_us = now_us(s);
        if ((s->stopping && TAILQ_EMPTY(&s->kept)) || due_us <= at_us)
            return;
        sleep_until(s, at_us < nap_end_us && nap_end_us < due_us ? nap_end_us : due_us);
    }
}

static void move_first(struct storage_jobs *from, struct storage_jobs *to)
{
    struct storage_job *job = TAILQ_FIRST(from);
    TAILQ_REMOVE(from, job, link);
    TAILQ_INSERT_TAIL(to, job, link);
}

/* With the mutex held: the next batch. While kept jobs wait for room, only what may overtake them.
 */
static void take_batch(struct storage *s, struct storage_jobs *batch, bool waiting)
{
    uint32_t taken = 0;
    bool hold = waiting && !TAILQ_EMPTY(&s->kept);
    for (; !hold && taken < STORAGE_BATCH_MAX && !TAILQ_EMPTY(&s->kept); taken++)
        move_first(&s->kept, batch);
    for (; taken < STORAGE_BATCH_MAX && !TAILQ_EMPTY(&s->queue); taken++) {
        bool keep = hold && !TAILQ_FIRST(&s->queue)->refusable;
        s->urgent -= !TAILQ_FIRST(&s->queue)->lazy;
        move_first(&s->queue, keep ? &s->kept : batch);
    }
}

/* Takes out of the batch what is held back and puts it before the other kept jobs. Returns how many
 * stay, and whether any of the batch was to write. */
static uint32_t keep_back(struct storage *s, struct storage_jobs *batch, bool *writes)
{
    struct storage_jobs back = TAILQ_HEAD_INITIALIZER(back);
    struct storage_job *job, *next;
    uint32_t finished = 0;
    *writes = false;
    TAILQ_FOREACH_SAFE (job, batch, link, next) {
        *writes = *writes || !job->reads_only;
        if (storage_job_kept(job)) {
            TAILQ_REMOVE(batch, job, link);
            TAILQ_INSERT_TAIL(&back, job, link);
        } else {
            finished++;
        }
    }
    TAILQ_CONCAT(&back, &s->kept, link);
    TAILQ_CONCAT(&s->kept, &back, link);
    return finished;
}

/* `waiting`: the time of the next try has not come. *finished: how many jobs are; they stay in the
 * batch. False: the process must stop. */
static bool run_batch(struct storage *s, struct storage_jobs *batch, bool waiting,
                      uint32_t *finished)
{
    bool full = waiting, writes, had_kept = !TAILQ_EMPTY(&s->kept);
    if (!storage_run_batch(s->store, batch, &full))
        return false;
    *finished = keep_back(s, batch, &writes);
    if (writes)
        s->busy_at_ms = s->now_ms;
    bool more_kept = !had_kept && !TAILQ_EMPTY(&s->kept);
    if (full && (!waiting || more_kept)) {
        /* Room for the next try, if there is any to be had: the tables and the checkpoint. */
        disk_is_full(s);
        s->stop_tries++;
        return apply_chunk(s, APPLY_CHUNK_ROWS);
    }
    if (!waiting && writes) {
        s->retry_at_ms = 0;
        atomic_store(&s->disk_full, false);
    }
    return true;
}

/* Hands the jobs to the loop. Takes and releases the mutex. */
static void finish(struct storage *s, struct storage_jobs *jobs, uint32_t count)
{
    if (count == 0)
        return;
    pthread_mutex_lock(&s->mutex);
    log_store_stats(s->store, &s->stats);
    bool wake = TAILQ_EMPTY(&s->finished);
    TAILQ_CONCAT(&s->finished, jobs, link);
    atomic_fetch_sub(&s->queued, count);
    pthread_mutex_unlock(&s->mutex);
    if (wake)
        s->host.wake(s->host.arg);
}

/* The disk stayed full until the end: nobody may believe that these are durable. */
static void give_up_kept(struct storage *s)
{
    struct storage_job *job;
    uint32_t count = 0;
    TAILQ_FOREACH (job, &s->kept, link) {
        job->status = ASSENT_STOPPING;
        count++;
    }
    finish(s, &s->kept, count);
}

static bool prune_step(struct storage *s)
{
    assent_status status = log_store_prune(s->store);
    if (status == ASSENT_DISK_FULL)
        disk_is_full(s);
    return status != ASSENT_STORAGE;
}

/* With nothing queued: the tables. False: the process must stop. */
static bool apply_when_due(struct storage *s)
{
    uint64_t bytes, rows = rows_waiting(s, &bytes);
    if (apply_due_ms(s) > s->now_ms)
        return true;
    s->retry_at_ms = 0;
    bool good = rows > 0 ? apply_step(s, rows, 0) : prune_step(s);
    if (s->retry_at_ms == 0)
        atomic_store(&s->disk_full, false);
    return good;
}

enum storage_turn storage_turn(struct storage *s)
{
    struct storage_jobs batch = TAILQ_HEAD_INITIALIZER(batch);
    uint32_t finished = 0;
    bool good = true;
    pthread_mutex_lock(&s->mutex);
    log_store_stats(s->store, &s->stats);
    if (s->has_thread)
        wait_for_work(s);
    s->now_ms = now_us(s) / 1000;
    bool waiting = s->retry_at_ms > s->now_ms;
    if (queue_ripe(s) || !TAILQ_EMPTY(&s->kept))
        take_batch(s, &batch, waiting);
    bool stop = s->stopping && TAILQ_EMPTY(&s->queue);
    if (!s->stopping)
        s->stop_tries = 0;
    pthread_mutex_unlock(&s->mutex);
    if (!TAILQ_EMPTY(&batch)) {
        uint64_t bytes, rows = rows_waiting(s, &bytes);
        good = run_batch(s, &batch, waiting, &finished);
        if (good)
            finish(s, &batch, finished);
        else
            TAILQ_CONCAT(&s->lost, &batch, link);
        good = good && apply_backlog(s, rows_waiting(s, &bytes) - rows);
    } else if (!waiting) {
        good = apply_when_due(s);
    }
    if (good)
        good = log_store_write_back(s->store, atomic_load(&s->queued) == 0) != ASSENT_STORAGE;
    if (!good)
        return STORAGE_BROKEN;
    if (stop && s->stop_tries >= STOP_TRIES)
        give_up_kept(s);
    return stop && TAILQ_EMPTY(&s->kept) ? STORAGE_STOPPED : STORAGE_GOES_ON;
}

uint64_t storage_due_us(struct storage *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t due_us = queue_ripe(s) ? 0 : next_look_us(s);
    pthread_mutex_unlock(&s->mutex);
    return due_us;
}

static void *storage_main(void *arg)
{
    struct storage *s = arg;
    enum storage_turn turn;
    while ((turn = storage_turn(s)) == STORAGE_GOES_ON)
        continue;
    if (turn == STORAGE_BROKEN)
        s->host.broken(s->host.arg, log_store_error(s->store));
    else
        log_store_close(s->store);
    return NULL;
}

struct storage *storage_new(struct log_store *store, const struct storage_host *host)
{
    struct storage *s = xcalloc(1, sizeof *s);
    s->store = store;
    s->host = *host;
    TAILQ_INIT(&s->queue);
    TAILQ_INIT(&s->finished);
    TAILQ_INIT(&s->kept);
    TAILQ_INIT(&s->lost);
    log_store_stats(store, &s->stats);
    pthread_condattr_t monotonic;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return s;
}

void storage_start(struct storage *s)
{
    sigset_t all, before;
    s->has_thread = true;
    log_store_background(s->store);
    /* Signals are the loop thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, storage_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        fprintf(stderr, "assent: the storage thread cannot be started: %s\n", strerror(error));
        abort();
    }
}

/* With the mutex held. */
static bool refuse_at_once(struct storage *s, struct storage_job *job)
{
    if (s->stopped)
        job->status = ASSENT_STOPPING;
    else if (job->refusable && atomic_load(&s->queued) >= STORAGE_QUEUE_MAX)
        job->status = ASSENT_OVERLOADED;
    else
        return false;
    TAILQ_INSERT_TAIL(&s->finished, job, link);
    return true;
}

void storage_submit(struct storage *s, struct storage_job *job)
{
    bool in_time = true;
    pthread_mutex_lock(&s->mutex);
    bool refused = refuse_at_once(s, job);
    if (!refused) {
        job->status = ASSENT_OK;
        if (TAILQ_EMPTY(&s->queue))
            s->lazy_due_us = now_us(s) + STORAGE_LAZY_US;
        s->urgent += !job->lazy;
        in_time = job->lazy && s->asleep_until_us <= s->lazy_due_us;
        TAILQ_INSERT_TAIL(&s->queue, job, link);
        atomic_fetch_add(&s->queued, 1);
    }
    pthread_mutex_unlock(&s->mutex);
    if (!in_time) /* after the unlock: the thread takes the mutex first */
        pthread_cond_signal(&s->work);
    if (refused)
        s->host.wake(s->host.arg);
}

void storage_poll(struct storage *s)
{
    struct storage_jobs finished = TAILQ_HEAD_INITIALIZER(finished);
    pthread_mutex_lock(&s->mutex);
    TAILQ_CONCAT(&finished, &s->finished, link);
    pthread_mutex_unlock(&s->mutex);
    struct storage_job *job;
    while ((job = TAILQ_FIRST(&finished)) != NULL) {
        TAILQ_REMOVE(&finished, job, link);
        job->done(job);
    }
}

uint32_t storage_queued(const struct storage *s)
{
    return atomic_load(&s->queued);
}

bool storage_disk_full(const struct storage *s)
{
    return atomic_load(&s->disk_full);
}

void storage_stats(struct storage *s, struct store_stats *out)
{
    pthread_mutex_lock(&s->mutex);
    *out = s->stats;
    pthread_mutex_unlock(&s->mutex);
}

static void storage_free(struct storage *s)
{
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

void storage_stop(struct storage *s)
{
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    else
        storage_main(s);
    pthread_mutex_lock(&s->mutex);
    s->stopped = true;
    pthread_mutex_unlock(&s->mutex);
    while (!TAILQ_EMPTY(&s->finished))
        storage_poll(s);
    storage_free(s);
}

void storage_drop(struct storage *s, void (*drop)(struct storage_job *job))
{
    struct storage_jobs *const lists[] = {&s->kept, &s->queue, &s->finished, &s->lost};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        while (!TAILQ_EMPTY(lists[i])) {
            struct storage_job *job = TAILQ_FIRST(lists[i]);
            TAILQ_REMOVE(lists[i], job, link);
            drop(job);
        }
    storage_free(s);
}
