/* What the files of the log store share: log_store.c has batches, log_store_apply.c the tables,
 * log_store_filing.c checkpoints and syncs, log_store_open.c start and end.
 *
 * Invariants:
 *
 *   L1  tip = durable + the rows of the open batch; after a rollback tip = durable.
 *   L2  applied.seq <= logged.seq <= durable.seq; the log table holds exactly the rows from
 *       applied.seq + 1 to logged.seq, `pending` those from there to tip.seq.
 *   L3  a row's chain continues the chain of the row before; the first continues applied.chain.
 *   L4  nothing is acknowledged before it is durable in the tail: log_store_commit writes the batch
 *       there before it returns. What the tail is about to forget, the rows up to `older`, is in
 *       the database, in the tables or at least in the log, and durable in the database file itself
 *       (`filed`) if no reader and no full disk stands in the way, otherwise in SQLite's
 *       write-ahead log. So after any crash the rows that SQLite lacks are in the tail, and an open
 *       puts them back; and so it is if the write-ahead log is damaged, or lost.
 *   L5  after a failed write or sync (`broken`) nothing is written any more, so nothing is retried.
 *
 * As a rule a row is in the tables before the tail forgets it, and then it never is in the log: a
 * batch writes nothing but the tail. The log takes rows that could not be applied in time, rows of
 * a batch too large for the tail, and at a start those of the tail. */
#ifndef RUNTIME_LOG_STORE_INNER_H
#define RUNTIME_LOG_STORE_INNER_H

#include <sqlite3.h>

#include "runtime/log_store.h"
#include "runtime/store_checkpoint.h"
#include "runtime/store_file.h"
#include "runtime/store_pages.h"
#include "runtime/store_pending.h"
#include "runtime/store_row.h"
#include "runtime/store_tail.h"

/* Of the write-ahead log; then a checkpoint. */
#define LOG_STORE_FRAMES_MAX (64 * 1024 * 1024 / STORE_PAGES_BYTES)

enum log_store_statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_INSERT,
    STMT_SELECT,
    STMT_TRIM,
    STATEMENTS
};

struct log_store {
    const struct disk *disk;
    struct store_paths paths;
    struct store_identity id;
    struct store_role role;
    struct store_tail tail;
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENTS];
    sqlite3_stmt *update_meta;
    struct store_position applied;
    uint64_t logged; /* the last row that was put into the log, or is in the tables */
    struct store_pending pending;
    uint64_t older; /* the last row in the half of the tail that is written next */
    uint64_t filed; /* the last row that is in the database file by itself */
    struct store_position durable;
    struct store_position tip;
    struct store_position savepoint;
    size_t tail_savepoint;
    struct disk_file *index;
    struct store_checkpoint *background; /* NULL: there is none */
    bool copying;                        /* it was told to, and not waited for yet */
    bool applying; /* an apply is open, which other batches may come between */
    struct store_position applying_to;
    bool in_batch;
    bool in_savepoint;
    bool full;         /* the last failure was a full disk: a rollback mends it */
    bool broken;       /* L5 */
    int wal_frames;    /* after the last commit */
    bool unsynced;     /* the write-ahead log has what was not synced */
    int checkpoint_at; /* frames */
    hlc_ts pruned;     /* the watermark that the role has pruned up to */
    struct store_stats stats;
    bool behind; /* the last checkpoint left some of the write-ahead log */
    char error[400];
};

/* Stops the process, with a sentence, if it does not hold. */
void log_store_require(bool holds, const char *what);

/* ---- errors: log_store.c ---- */

#define LOG_STORE_PAGES_CAUSE "its disk is failing, or another program wrote to the file"

/* After a damaged page nothing goes on, whatever the reader made of the error. */
bool log_store_pages_fit(struct log_store *s);
/* Notes what failed, and what it means for the store: a full disk can be rolled back, anything else
 * leaves the files in a state that only the next open can judge. */
assent_status log_store_failed(struct log_store *s, int rc, const char *what);
assent_status log_store_failed_with(struct log_store *s, int rc, int system, const char *what);

/* ---- SQLite: log_store.c ---- */

int log_store_run(sqlite3_stmt *stmt);
int log_store_insert(struct log_store *s, const struct store_row *row);
/* Rolls back the SQLite transaction, which a failure may already have done. */
void log_store_end_transaction(struct log_store *s);
/* Writes the batch that store_tail_add noted, which ends at the tip. */
assent_status log_store_write_tail(struct log_store *s);

/* ---- log_store_apply.c ---- */

/* Ends an open apply. ASSENT_DISK_FULL: it was rolled back. */
assent_status log_store_finish_apply(struct log_store *s);

/* ---- log_store_filing.c ---- */

/* For sqlite3_wal_hook. */
int log_store_note_frames(void *arg, sqlite3 *db, const char *name, int frames);
/* Waits for the background, and empties the write-ahead log; in a batch, only waits. */
assent_status log_store_end_copy(struct log_store *s);
assent_status log_store_checkpoint(struct log_store *s);
/* `status`, or ASSENT_STORAGE. */
assent_status log_store_checkpoint_if_large(struct log_store *s, assent_status status);
int log_store_sync_wal(struct log_store *s);
/* If there is anything to sync. */
assent_status log_store_sync(struct log_store *s);
/* What the tail is about to forget, into the database file, or at least durable. */
assent_status log_store_file_older(struct log_store *s);

#endif
