/* The storage thread: runs jobs in group commit (DESIGN 7). The loop thread submits jobs and gets
 * each back, in submission order, once all of its batch is durable.
 *
 * One batch: take all queued jobs; one SQLite transaction; run() each under a savepoint; one sync,
 * the tail's; then hand them back. With nothing queued it applies the log to the tables.
 *
 * A job that fails by its own fault fails alone. Disk full: the batch is rolled back; jobs that may
 * be refused fail with ASSENT_DISK_FULL (those that only read are served all the same); the others
 * are kept, in order, and tried again until they are durable. An I/O error ends the process at
 * once. */
#ifndef RUNTIME_STORAGE_H
#define RUNTIME_STORAGE_H

#include <bsd/sys/queue.h>

#include "runtime/log_store.h"

struct storage;

/* Embedded in the caller's own job; must live until done(). */
struct storage_job {
    TAILQ_ENTRY(storage_job) link;
    /* On the storage thread, inside the batch: append rows, read. Its result is `status`. May run
     * again if the batch was rolled back: it must leave nothing behind in memory until commit()
     * below. */
    assent_status (*run)(struct storage_job *job, struct log_store *store);
    /* On the storage thread once the batch is durable and status is ASSENT_OK; may be NULL. */
    void (*commit)(struct storage_job *job, struct log_store *store);
    /* On the loop thread, in order of submission among the jobs that are not refusable, and, unless
     * the disk is full or the queue over its limit, among all. Owns the job from then on. */
    void (*done)(struct storage_job *job);
    assent_status status;
    bool
        refusable; /* may fail with ASSENT_DISK_FULL or ASSENT_OVERLOADED, and overtake kept jobs */
    bool lazy;     /* nobody waits for it at once: a batch may wait STORAGE_LAZY_US for company */
    bool reads_only; /* run() appends nothing: the batch may need no sync */
};

TAILQ_HEAD(storage_jobs, storage_job);

/* Runs a batch to its end on this thread: what the storage thread does, for the simulator and
 * tests. Jobs come back in `jobs`, in their order, with their status. *disk_full says, going in,
 * that refusable jobs that write fail at once without a try, and coming out whether the disk was
 * full; it stays as it was when nothing tried to write. False: the process must stop. */
bool storage_run_batch(struct log_store *store, struct storage_jobs *jobs, bool *disk_full);

/* After storage_run_batch: not done, but held back by a full disk; run it again later, in order,
 * and before any later job that is not refusable. */
static inline bool storage_job_kept(const struct storage_job *job)
{
    return !job->refusable && job->status == ASSENT_DISK_FULL;
}

/* What the storage asks of its owner. */
struct storage_host {
    void *arg;
    /* Finished jobs wait for storage_poll (the owner's uv_async_send): on the storage thread, or in
     * storage_submit for a job refused at once. */
    void (*wake)(void *arg);
    uint64_t (*now_us)(void *arg); /* monotonic, on any thread */
    /* An I/O error, on the storage thread: ends the process. What was not handed back was not
     * acknowledged. */
    void (*broken)(void *arg, const char *why);
    /* Rows of an apply between two batches, for the simulator; 0: as many as are good for a disk,
     * and so many that it ends. */
    uint32_t apply_step;
};

/* Over an open store, which it closes in storage_stop. */
struct storage *storage_new(struct log_store *store, const struct storage_host *host);
/* Starts the thread. */
void storage_start(struct storage *s);

/* Instead of the thread, for the simulator: one turn takes what is ripe as one batch and runs it,
 * or applies what is due, or does nothing. */
enum storage_turn {
    STORAGE_GOES_ON,
    STORAGE_STOPPED,
    STORAGE_BROKEN /* an I/O error: the process must stop; broken() is not called */
};
enum storage_turn storage_turn(struct storage *s);
/* When the next turn has something to do, if nothing is submitted until then; 0: at once;
 * UINT64_MAX: never. */
uint64_t storage_due_us(struct storage *s);
/* Of a storage without a thread, whose process dies: hands every job to drop(), whatever became of
 * it, and leaves the store open. */
void storage_drop(struct storage *s, void (*drop)(struct storage_job *job));

/* Loop thread. Never blocks. */
void storage_submit(struct storage *s, struct storage_job *job);
/* Loop thread: calls done() of every finished job. */
void storage_poll(struct storage *s);
/* Jobs submitted and not finished. */
uint32_t storage_queued(const struct storage *s);
/* Whether the disk was full at the last batch that tried to write. For reports: the storage refuses
 * what must be refused by itself, and only a try shows that there is room again. */
bool storage_disk_full(const struct storage *s);
/* As of the last batch; log_store_stats itself belongs to the storage thread. */
void storage_stats(struct storage *s, struct store_stats *out);
/* Finishes every job, applies the log, closes the store, joins the thread if there is one.
 * done() is called for all: with ASSENT_STOPPING, and not durable, for jobs that a full disk still
 * holds back and for jobs that done() itself submits. */
void storage_stop(struct storage *s);

#endif
