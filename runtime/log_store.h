/* A node's database: identity, the hash-chained log, its tail, and the tables that the log is
 * applied to (docs/disk-format.md). Synchronous and single-threaded, but for log_store_background:
 * the storage thread calls it in the daemons, the simulator calls it directly. The only writer and
 * checkpointer of its file.
 *
 *   meta         one row: identity, applied position and its chain, and the node's own records as
 *                of there: incarnation, ceiling, watermark
 *   log          seq, kind, txid, ts, body, chain
 *   role tables  created and filled by the role, behind the log
 *
 * chain = BLAKE2b(chain before, seq, kind, txid, ts, body).
 *
 * The tail: a second file beside the database, "<database>.tail", that holds the last batches twice
 * (runtime/store_tail.h). A batch is durable once it is there. At open the rows that the database
 * lost are put back from it; if they cannot be, or the chains differ, the node refuses to serve.
 */
#ifndef RUNTIME_LOG_STORE_H
#define RUNTIME_LOG_STORE_H

#include <assent/status.h>

#include "common/record.h"
#include "runtime/disk.h"

struct sqlite3;
struct log_store;

/* Who the database belongs to; all of it is checked at open. */
struct store_identity {
    uint8_t cluster[16];
    enum role role;
    node_id node;
    char name[NAME_BYTES_MAX + 1];
    uint8_t public_key[32];
};

/* So many rows of an apply, and more while it is less work than that: a unit of work is a row that
 * is written, of a few kilobytes. */
struct store_step {
    uint64_t rows;
    uint64_t work;
};

/* The role's side: turns log rows into tables, and the rest of the log into memory. All are called
 * inside a SQLite transaction where they write. A non-zero return is a SQLite result code and stops
 * the node. */
struct store_role {
    void *arg;
    /* Creates the role's tables, in a new database. */
    int (*create)(void *arg, struct sqlite3 *db);
    /* At open, before any replay: prepare statements, read what the tables hold. */
    int (*load)(void *arg, struct sqlite3 *db);
    /* One row of the log not yet applied, in order, at open. */
    int (*replay)(void *arg, const struct record *record);
    /* Writes one row's effect into the tables. Called in log order, each row once; but a full disk
     * may roll the transaction back (sqlite3_rollback_hook tells), and then apply() comes again
     * from the first row after the last applied(). */
    int (*apply)(void *arg, const struct record *record);
    /* Optional. After the last apply() of a transaction, and before its commit: what apply() has
     * put off, a step of it; called again while there is *more. Batches may come between the
     * calls, and see tables that have a part of it. */
    int (*flush)(void *arg, const struct store_step *step, bool *more);
    /* The batch of applied rows is durable: memory kept for them may go. */
    void (*applied)(void *arg, uint64_t seq);
    /* Optional. Deletes a bounded number of rows that need not be kept any more, and says whether
     * there are more. Called after a watermark became durable, when there is nothing else to do. */
    int (*prune)(void *arg, bool *more);
};

struct store_stats {
    uint64_t seq;         /* last durable row */
    uint64_t applied_seq; /* last row in the tables */
    uint64_t rows;        /* appended since open */
    uint64_t batches;     /* group commits since open */
    uint64_t syncs;       /* of database and tail together, since open */
    uint64_t restored;    /* rows put back from the tail at open */
    uint64_t replayed;    /* rows replayed at open */
    uint64_t bytes;       /* bodies of the rows that are not in the tables yet */
};

/* A new node's tail: what a busy node commits in about a second. The larger, the rarer are
 * checkpoints, and the longer takes a start. */
#define LOG_STORE_TAIL_BYTES (16u * 1024 * 1024)

/* Creates database and tail in `dir`, which must not have them; `tail_bytes` is a power of two from
 * 128 KiB to 128 MiB. `why` is at least 512 bytes here and below. */
assent_status log_store_create(const struct disk *disk, const char *dir,
                               const struct store_identity *id, const struct store_role *role,
                               uint32_t tail_bytes, char *why, size_t why_size);
/* Opens, checks identity, format, settings, chain and tail, then load() and replay(). Never
 * creates. `disk` must live as long as the store. ASSENT_FOREIGN: another node's, cluster's or
 * program's, or of a newer format; ASSENT_CORRUPT: a gap, a broken chain, or less than the tail
 * says: what was found and what to do. */
assent_status log_store_open(struct log_store **out, const struct disk *disk, const char *dir,
                             const struct store_identity *id, const struct store_role *role,
                             char *why, size_t why_size);
/* From now on large checkpoints are made on a thread of the store's own, where one can be had. */
void log_store_background(struct log_store *s);
/* Applies what is left, checkpoints, closes. NULL is fine. The role must still be usable; it may
 * finalize its statements afterwards. */
void log_store_close(struct log_store *s);

/* Closes it as the end of a killed process does: nothing is written any more. NULL is fine. */
void log_store_abandon(struct log_store *s);

struct sqlite3 *log_store_db(struct log_store *s);

/* A batch: begin, any number of rows, commit (the tail's one sync; what is read in a batch is read
 * in one SQLite transaction). */
assent_status log_store_begin(struct log_store *s);
/* One job's rows: on failure only they are undone. */
assent_status log_store_savepoint(struct log_store *s);
void log_store_release(struct log_store *s, bool keep);
/* Into memory only. ASSENT_STORAGE after an error. */
assent_status log_store_append(struct log_store *s, const struct record *record);
/* ASSENT_OK: all rows are durable. ASSENT_DISK_FULL: nothing is; the batch was rolled back, the
 * store goes on. ASSENT_STORAGE: unknown; the process must stop. */
assent_status log_store_commit(struct log_store *s);
/* Between batches: a checkpoint if the tail is soon to forget rows that the database file lacks, so
 * that the batch at which it does need not wait for that. In the background if there is one, and
 * then it must be called again while log_store_copying(); otherwise only if the caller is idle.
 * ASSENT_STORAGE: as for a commit. */
assent_status log_store_write_back(struct log_store *s, bool idle);
bool log_store_copying(const struct log_store *s);
void log_store_rollback(struct log_store *s);

/* Applies up to `rows` rows to the tables in one transaction and trims the log; returns in *left
 * how many are still to apply. If an apply is open, ends that first. Checkpoints when the
 * write-ahead log is large. */
assent_status log_store_apply(struct log_store *s, uint64_t rows, uint64_t *left);
/* The same, a step at a time: opens an apply of `rows` rows if none is open, and goes on
 * with it; once all are in the tables it is over. Batches may come between. One that needs the
 * database for itself ends it. */
assent_status log_store_apply_step(struct log_store *s, uint64_t rows,
                                   const struct store_step *step);
bool log_store_applying(const struct log_store *s);
/* Whether rows should be applied now, whatever is queued: the tail is going to forget some that are
 * not in the tables, and a commit would have to put them into the log first. */
bool log_store_apply_urgent(const struct log_store *s);
/* Whether there may be something to prune, and one step of it, in a transaction of its own. On
 * ASSENT_DISK_FULL it was rolled back. */
bool log_store_prune_due(const struct log_store *s);
assent_status log_store_prune(struct log_store *s);
/* The node's own records, which the log store keeps itself and never hands to the role.
 * INCARNATION's body is one u32 (common/bytes.h layout): the incarnation. Zero where there was
 * none. */
struct store_node {
    uint32_t incarnation;
    hlc_ts ceiling;
    hlc_ts watermark;
    hlc_ts newest; /* greatest ts of any record but WATERMARK, of the role's kinds too */
};
void log_store_node(const struct log_store *s, struct store_node *out);
void log_store_stats(const struct log_store *s, struct store_stats *out);
/* The last SQLite error, for messages. */
const char *log_store_error(const struct log_store *s);

#endif
