/* The storage thread: runs jobs in group commit (DESIGN 7). The loop thread submits jobs and gets each
 * back, in submission order, once all of its batch is durable.
 *
 * One batch: take all queued jobs; one SQLite transaction; run() each under a savepoint; one sync and
 * the mark; then hand them back. With nothing queued it applies the log to the tables.
 *
 * A job that fails by its own fault fails alone. Disk full: the batch is rolled back; jobs that may be
 * refused fail with ASSENT_DISK_FULL; the others are kept, in order, and tried again until they are
 * durable. An I/O error stops the process at once, exit status 74. */
#ifndef RUNTIME_STORAGE_H
#define RUNTIME_STORAGE_H

#include <bsd/sys/queue.h>

#include "runtime/log_store.h"

struct storage;

/* Embedded in the caller's own job; must live until done(). */
struct storage_job {
    TAILQ_ENTRY(storage_job) link;
    /* On the storage thread, inside the batch: append rows, read. Its result is `status`. May run again
     * if the batch was rolled back: it must leave nothing behind in memory until commit() below. */
    assent_status (*run)(struct storage_job *job, struct log_store *store);
    /* On the storage thread once the batch is durable and status is ASSENT_OK; may be NULL. */
    void (*commit)(struct storage_job *job, struct log_store *store);
    /* On the loop thread, in order of submission. Owns the job from then on. */
    void (*done)(struct storage_job *job);
    assent_status status;
    bool refusable;  /* may fail with ASSENT_DISK_FULL or ASSENT_OVERLOADED */
    bool reads_only; /* run() appends nothing: the batch may need no sync */
};

TAILQ_HEAD(storage_jobs, storage_job);

/* Runs a batch to its end on this thread: what the storage thread does, for the simulator and tests.
 * Jobs come back in `jobs` with their status. False: the process must stop. */
bool storage_run_batch(struct log_store *store, struct storage_jobs *jobs, bool *disk_full);

/* Starts the thread over an open store. `wake` is called on the storage thread whenever finished jobs
 * wait for storage_poll (the owner's uv_async_send). */
struct storage *storage_start(struct log_store *store, void (*wake)(void *arg), void *arg);
/* Loop thread. Never blocks. */
void storage_submit(struct storage *s, struct storage_job *job);
/* Loop thread: calls done() of every finished job. */
void storage_poll(struct storage *s);
uint32_t storage_queued(const struct storage *s);
/* Whether the disk was full at the last batch. */
bool storage_disk_full(const struct storage *s);
/* Finishes every job, applies the log, closes the store, joins the thread. done() is called for all. */
void storage_stop(struct storage *s);

#endif
