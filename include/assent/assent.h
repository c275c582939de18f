/* libassent: atomic transactions across datacenters, from C.
 *
 *     assent *db;
 *     assent_open(&db, &(assent_options){.cluster_file = "cluster.yaml"});
 *     assent_txn *t = assent_txn_new(db);
 *     assent_add(t, "acct/alice", 10, -30, &(assent_bounds){.has_lower = true, .lower = 0});
 *     assent_add(t, "acct/bob", 8, 30, NULL);
 *     assent_status s = assent_commit(t, NULL);
 *     assent_txn_free(t);
 *     assent_close(db);
 *
 * Threads. An `assent` handle may be used by any number of threads at once. An `assent_txn` belongs
 * to one thread at a time. Blocking calls block the calling thread only. The library starts one
 * thread per handle, installs no signal handlers, never exits the process, and writes nothing to
 * the terminal.
 *
 * Errors. Calls return an assent_status (assent/status.h). assent_error() gives the sentence that
 * belongs to the last failed call of the same thread: what, where, and what to do.
 *
 * Keys are 1..4096 bytes, values at most 1 MiB; both are copied. An integer is a value that is the
 * decimal text of a 64-bit number, as assent_add writes it. */
#ifndef ASSENT_ASSENT_H
#define ASSENT_ASSENT_H

#include <stddef.h>
#include <stdint.h>

#include <assent/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct assent assent; /* a client of one cluster */
typedef struct assent_txn
    assent_txn; /* a mini-transaction: checks, reads, writes; committed once */

/* What a read gave: entries, and where they came from. */
typedef struct assent_list assent_list;

/* A transaction id (UUIDv7). Text form is 36 characters. */
typedef struct assent_txid {
    uint8_t bytes[16];
} assent_txid;

#define ASSENT_TXID_TEXT 37
/* Writes the text into out[ASSENT_TXID_TEXT] and returns out. */
ASSENT_API const char *assent_txid_text(const assent_txid *id, char *out);
/* ASSENT_INVALID if text is not a UUID of version 7. */
ASSENT_API assent_status assent_txid_parse(const char *text, assent_txid *out);

/* A hybrid timestamp: Unix milliseconds << 16 | counter. Greater = later. */
typedef uint64_t assent_ts;

typedef struct assent_options {
    const char *cluster_file; /* required */
    const char *client;       /* name in the cluster file; NULL: the only client that it lists */
    const char *key_file;     /* NULL: "<client>.key" beside the cluster file */
    const char
        *datacenter;     /* where this program runs: nearest nodes first. NULL: the file's first */
    uint32_t timeout_ms; /* default for every call; 0: 10,000 */
} assent_options;

/* Reads and checks the files and starts connecting; does not wait for a connection. */
ASSENT_API assent_status assent_open(assent **out, const assent_options *options);
/* Calls in progress in other threads end with ASSENT_CLOSED or, in mid-commit, ASSENT_UNKNOWN. NULL
 * is fine. */
ASSENT_API void assent_close(assent *db);
/* The sentence of the calling thread's last failed call; "" if none. Valid until its next call. */
ASSENT_API const char *assent_error(void);
/* "0.1.0" */
ASSENT_API const char *assent_library_version(void);

/* ---- building a transaction. ASSENT_INVALID, ASSENT_TOO_LARGE, ASSENT_WRONG_PLACEMENT (no
 * placement covers the key) or ASSENT_SEALED; a refused operation is not added. ---- */

ASSENT_API assent_txn *assent_txn_new(assent *db);
ASSENT_API void assent_txn_free(assent_txn *t);

ASSENT_API assent_status assent_check_exists(assent_txn *t, const void *key, size_t key_len);
ASSENT_API assent_status assent_check_absent(assent_txn *t, const void *key, size_t key_len);
ASSENT_API assent_status assent_check_value(assent_txn *t, const void *key, size_t key_len,
                                            const void *value, size_t value_len);
/* The key holds an integer >= least. */
ASSENT_API assent_status assent_check_at_least(assent_txn *t, const void *key, size_t key_len,
                                               int64_t least);

/* Identifies the write that a value came from; from assent_entry. */
typedef struct assent_version {
    assent_ts ts;
    assent_txid txid;
    uint32_t applies;
} assent_version;
ASSENT_API assent_status assent_check_version(assent_txn *t, const void *key, size_t key_len,
                                              const assent_version *version);
/* No key of [key, end) was written after `since`; end_len 0: no end. The range must lie in one
 * placement. If one was: ASSENT_CHANGED, for good, however often assent_run tries it again with the
 * same `since`. ASSENT_PRUNED: `since` is older than what is kept. */
ASSENT_API assent_status assent_check_range(assent_txn *t, const void *key, size_t key_len,
                                            const void *end, size_t end_len, assent_ts since);

/* Reads as of the commit, of what was there before the transaction's own writes, as its checks do;
 * fetch them with assent_txn_entry after it. */
ASSENT_API assent_status assent_read(assent_txn *t, const void *key, size_t key_len);
ASSENT_API assent_status assent_read_range(assent_txn *t, const void *key, size_t key_len,
                                           const void *end, size_t end_len, uint32_t limit);

ASSENT_API assent_status assent_put(assent_txn *t, const void *key, size_t key_len,
                                    const void *value, size_t value_len);
ASSENT_API assent_status assent_del(assent_txn *t, const void *key, size_t key_len);

typedef struct assent_bounds {
    bool has_lower, has_upper;
    int64_t lower, upper; /* the result must stay within, in every order of concurrent adds */
    bool returns_value;   /* read the result back; excludes concurrent adds of the key */
} assent_bounds;
/* Adds delta to the integer at key; an absent key counts as 0. bounds may be NULL. */
ASSENT_API assent_status assent_add(assent_txn *t, const void *key, size_t key_len, int64_t delta,
                                    const assent_bounds *bounds);

/* The id under which it commits, for assent_outcome() from anywhere. Seals the transaction:
 * operations can no longer be added. ASSENT_INVALID for an empty transaction. */
ASSENT_API assent_status assent_txn_id(assent_txn *t, assent_txid *out);

/* ---- committing ---- */

/* One participant's share of a commit, in microseconds. */
typedef struct assent_part {
    const char *participant; /* name in the cluster file; lives as long as the assent handle */
    uint32_t network_us;     /* leader to participant and back, without the two below */
    uint32_t lock_wait_us;
    uint32_t sync_us; /* until the prepared record was durable */
} assent_part;

#define ASSENT_PARTS_MAX 32

typedef struct assent_commit_info {
    assent_txid txid;
    assent_ts commit_ts;     /* when committed */
    const char *coordinator; /* the leader's name */
    uint32_t total_us;       /* this call */
    uint32_t leader_us;      /* of that: at the leader, COMMIT received to answered */
    uint32_t quorum_us;      /* of that: last vote received to decision durable */
    int parts;
    assent_part part[ASSENT_PARTS_MAX];
} assent_commit_info;

/* Commits once. ASSENT_OK: durable at all participants' quorum. A retryable status, or another
 * refusal: certainly not committed. If the connection dies the call asks for the outcome, at any
 * coordinator, until the timeout; only then ASSENT_UNKNOWN: maybe committed, ask assent_outcome()
 * later. info may be NULL; it is filled as far as known on every status. */
ASSENT_API assent_status assent_commit(assent_txn *t, assent_commit_info *info);
/* The same with its own timeout. */
ASSENT_API assent_status assent_commit_within(assent_txn *t, uint32_t timeout_ms,
                                              assent_commit_info *info);

/* A key that a read found or did not find. Bytes live as long as their transaction or result list.
 */
typedef struct assent_entry {
    bool found;
    bool truncated; /* the last of a range that was cut at its limit */
    const void *key;
    size_t key_len;
    const void *value;
    size_t value_len;
    assent_version version;
} assent_entry;

/* What the reads and value-returning adds of a committed transaction gave: those of each
 * participant in the order of their calls. */
ASSENT_API size_t assent_txn_entries(const assent_txn *t);
/* Whether all of it is here. ASSENT_UNKNOWN: the transaction is committed, but what its reads found
 * was lost on the way, with a connection or because the outcome had to be asked for: read again. */
ASSENT_API assent_status assent_txn_read_status(const assent_txn *t);
ASSENT_API assent_status assent_txn_entry(const assent_txn *t, size_t index, assent_entry *out);

/* Calls build() on a fresh transaction and commits it, again under a new id with its priority kept
 * while the status is retryable, with randomised back-off, for at most timeout_ms (0: the handle's)
 * in all. What build() reads with assent_txn_get() and assent_txn_scan() the commit checks. A
 * status other than ASSENT_OK from it ends the run, but for ASSENT_PRUNED after a read: as from the
 * commit, the next attempt has a new snapshot, unless assent_txn_read_at() chose it. */
typedef assent_status (*assent_build)(assent_txn *t, void *arg);
ASSENT_API assent_status assent_run(assent *db, assent_build build, void *arg, uint32_t timeout_ms,
                                    assent_commit_info *info);

/* ---- interactive transactions: read, decide, write, commit (docs/client-api.md) ----
 *
 * What a transaction reads with the calls below is one snapshot of the whole cluster, fixed by the
 * first of them, with its own writes so far on top. The commit checks, together with all else that
 * the transaction holds, that nothing of what it saw was written since; a range is seen with the
 * keys that it does not hold. If something was: ASSENT_CHANGED, and building it again may succeed.
 * So it is strictly serializable. Until the commit nothing is held at any participant.
 *
 * A transaction that only read is serializable at its snapshot, and its commit sends nothing: it
 * has no id afterwards. With assent_txn_strict, or once its id was asked for, it is checked like
 * any other.
 *
 * The lists are the caller's. Any of the calls: ASSENT_SEALED once the id was asked for or the
 * transaction was committed. A read that fails has no effect on the transaction. */

/* *out has the entry, which was not found, with ASSENT_NOT_FOUND as well; the version of an entry
 * that the transaction itself wrote is zero. ASSENT_PRUNED: the snapshot is older than what the
 * participants keep: build the transaction again. ASSENT_NOT_INTEGER, ASSENT_OVERFLOW: it has adds
 * on top of a value that is none, or that go past 64 bits; this was seen as well, and is checked.
 * ASSENT_TOO_LARGE: there is no room for the check. Blocks up to the handle's timeout. */
ASSENT_API assent_status assent_txn_get(assent_txn *t, const void *key, size_t key_len,
                                        assent_list **out);
/* Keys of [key, end), at most limit (0: as many as fit one answer); the last entry says whether it
 * was truncated, and then the range was seen up to it. The range must lie in one placement. */
ASSENT_API assent_status assent_txn_scan(assent_txn *t, const void *key, size_t key_len,
                                         const void *end, size_t end_len, uint32_t limit,
                                         bool descending, assent_list **out);
/* Fixes the snapshot instead of the first read; ASSENT_INVALID if it is fixed already. */
ASSENT_API assent_status assent_txn_read_at(assent_txn *t, assent_ts ts);
/* The snapshot's timestamp; 0: not fixed yet. */
ASSENT_API assent_ts assent_txn_snapshot(const assent_txn *t);
/* That it saw the newest is checked although it does not write; costs a commit. */
ASSENT_API assent_status assent_txn_strict(assent_txn *t);

/* Names are 1..64 bytes; one that is in use already now means this place. ASSENT_TOO_LARGE: there
 * are 256 of them. */
ASSENT_API assent_status assent_savepoint(assent_txn *t, const char *name);
/* Drops the writes, checks and reads-at-commit that were added since the savepoint, which stays,
 * and the savepoints set after it; what was seen stays checked. ASSENT_NOT_FOUND: no such
 * savepoint. */
ASSENT_API assent_status assent_rollback_to(assent_txn *t, const char *name);
/* Drops everything, the id and the snapshot, too: the transaction is as new, its priority kept.
 * ASSENT_SEALED once it was committed. */
ASSENT_API assent_status assent_rollback(assent_txn *t);

/* What became of a transaction, asked at any coordinator that answers. ASSENT_OK: committed, *ts
 * set; ASSENT_PENDING, ASSENT_EXPIRED, ASSENT_UNKNOWN; anything else: aborted for that reason. A
 * question about a transaction that no coordinator knows decides it: aborted, for good. */
ASSENT_API assent_status assent_outcome(assent *db, const assent_txid *id, uint32_t timeout_ms,
                                        assent_ts *ts);

/* ---- strong reads: linearizable, from the nearest replica ---- */

ASSENT_API void assent_list_free(assent_list *list);
ASSENT_API size_t assent_list_size(const assent_list *list);
ASSENT_API const assent_entry *assent_list_entry(const assent_list *list, size_t index);

/* ASSENT_OK with one entry, or ASSENT_NOT_FOUND; *out is NULL then. */
ASSENT_API assent_status assent_get(assent *db, const void *key, size_t key_len, assent_list **out);
/* The same at one named participant, or in one datacenter: to compare replicas. */
ASSENT_API assent_status assent_get_at(assent *db, const char *where, const void *key,
                                       size_t key_len, assent_list **out);
/* Keys of [key, end), ascending, at most limit (0: as many as fit one answer; the last entry says
 * whether it was truncated). The range must lie in one placement. `where` as above, or NULL. */
ASSENT_API assent_status assent_scan(assent *db, const char *where, const void *key, size_t key_len,
                                     const void *end, size_t end_len, uint32_t limit,
                                     assent_list **out);

/* ---- reads of other levels (docs/client-api.md, "Levels") ---- */

typedef enum assent_level {
    ASSENT_STRONG,   /* all that is committed */
    ASSENT_SNAPSHOT, /* all that was committed up to a timestamp, the same at every participant */
    ASSENT_SESSION,  /* all that the session has seen, and what more needs no waiting */
    ASSENT_BOUNDED,  /* all that was committed longer ago than a bound */
    ASSENT_EVENTUAL, /* what the nearest replica has; never waits */
} assent_level;

/* What a session has seen: its commits, told with assent_session_saw, and its reads. Any thread;
 * must not outlive the handle. */
typedef struct assent_session assent_session;
ASSENT_API assent_session *assent_session_new(assent *db);
ASSENT_API void assent_session_free(assent_session *s);
/* A commit's timestamp (assent_commit_info), so that the session's reads see it. */
ASSENT_API void assent_session_saw(assent_session *s, assent_ts ts);
/* As text, for another process or datacenter: into out[ASSENT_TOKEN_TEXT]; returns out. */
#define ASSENT_TOKEN_TEXT 64
ASSENT_API const char *assent_session_token(const assent_session *s, char *out);
/* From now on the session has seen what that one had, too, and what this handle commits from now on
 * is later. ASSENT_INVALID: no token, or another cluster's; ASSENT_CLOCK_AHEAD: from the future. */
ASSENT_API assent_status assent_session_import(assent_session *s, const char *text);

/* A timestamp for snapshots: this host's clock, and not before anything that this handle has been
 * told of. Any thread. */
ASSENT_API assent_ts assent_now(const assent *db);

typedef struct assent_read_options {
    assent_level level;
    assent_ts snapshot;      /* ASSENT_SNAPSHOT: at which; not 0 */
    assent_session *session; /* ASSENT_SESSION: required. At any level it sees what is read */
    uint32_t stale_ms;       /* ASSENT_BOUNDED */
    const char *where;       /* a participant or a datacenter; NULL: the nearest replica */
    uint32_t limit;          /* of a scan; 0: as many as fit one answer */
    bool descending;         /* of a scan: the last keys first */
    uint32_t timeout_ms;     /* 0: the handle's */
} assent_read_options;

/* As assent_get, but *out has the entry, which was not found, with ASSENT_NOT_FOUND as well. NULL
 * options are those of a strong read.
 * ASSENT_PRUNED: the snapshot is older than what is kept; ASSENT_TOO_STALE: no replica was as fresh
 * as that until the timeout. */
ASSENT_API assent_status assent_get_with(assent *db, const void *key, size_t key_len,
                                         const assent_read_options *options, assent_list **out);
/* As assent_scan. After a truncated answer: from the last key and a zero byte on, or when
 * descending up to the last key, at ASSENT_SNAPSHOT with the timestamp of the first answer. */
ASSENT_API assent_status assent_scan_with(assent *db, const void *key, size_t key_len,
                                          const void *end, size_t end_len,
                                          const assent_read_options *options, assent_list **out);

typedef struct assent_read_info {
    assent_ts ts;            /* what was read is as of there */
    const char *participant; /* who answered; lives as long as the handle */
    bool age_known;          /* false for a snapshot */
    uint32_t age_us; /* nothing is missing that was committed longer ago when it was asked */
} assent_read_info;
/* About the answer that the list came in; lives as long as the list. */
ASSENT_API const assent_read_info *assent_list_info(const assent_list *list);

/* ---- watching: waiting for keys to change (docs/client-api.md, "Watching") ----
 *
 * A watch follows one key or one range, at the nearest replica, from a timestamp on: that of a
 * commit, of a snapshot, or where another watch of the same keys stopped. Every commit that changes
 * one of its keys after that timestamp is told of at least once, newest values only when several
 * came together; nothing is kept for it at the participant between two calls. One that is too slow,
 * or begins too far back, is told ASSENT_BEHIND: scan at ASSENT_SNAPSHOT with assent_now(), then
 * watch from that timestamp. A watch belongs to one thread at a time and must not outlive its
 * handle. */
typedef struct assent_watch assent_watch;
/* end_len 0: the key itself; otherwise [key, end), which must lie in one placement. since 0: from
 * now on, which is when the first assent_watch_next is answered. `where` is a participant or a
 * datacenter; NULL: the nearest replica. Asks nobody yet. */
ASSENT_API assent_status assent_watch_open(assent *db, const void *key, size_t key_len,
                                           const void *end, size_t end_len, assent_ts since,
                                           const char *where, assent_watch **out);
/* Not while a call waits. NULL is fine. */
ASSENT_API void assent_watch_close(assent_watch *w);
/* Waits until something changed. ASSENT_OK: *out has the changed keys, `found` false for deleted
 * ones, in key order; ASSENT_READ_TIMED_OUT: nothing changed in timeout_ms (0: the handle's), or
 * nobody answered; ASSENT_BEHIND; ASSENT_OVERLOADED: more watches than a participant takes;
 * ASSENT_CLOCK_AHEAD: a timestamp from the future. Whatever it gives, the watch stays open and the
 * next call goes on where it is: after ASSENT_BEHIND a new watch is needed. */
ASSENT_API assent_status assent_watch_next(assent_watch *w, uint32_t timeout_ms, assent_list **out);
/* Everything committed up to here has been told: where another watch of the same keys may go on. 0:
 * not known yet. */
ASSENT_API assent_ts assent_watch_position(const assent_watch *w);

/* ---- looking at nodes ---- */

typedef struct assent_node {
    const char *name;
    const char *role; /* "coordinator" or "participant" */
    const char *datacenter;
    bool reachable;
    uint32_t incarnation; /* 0 while not reachable */
    uint32_t rtt_us;
    char text[4096]; /* "name value" lines from the node itself; "" while not reachable */
    char why[256];   /* why it is not reachable */
} assent_node;

/* Every node of the cluster file: a new array of *n, free with assent_nodes_free. */
ASSENT_API assent_status assent_nodes(assent *db, uint32_t timeout_ms, assent_node **out,
                                      size_t *n);
ASSENT_API void assent_nodes_free(assent_node *nodes);

#ifdef __cplusplus
}
#endif
#endif
