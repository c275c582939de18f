/* The handle that programs hold: files read and checked, and either its own thread and loop
 * (blocking.c) or the program's loop (async.c). */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include "client/engine.h"
#include "client/token.h"
#include "client/txn.h"

struct waiter;
TAILQ_HEAD(waiters, waiter);

struct assent {
    struct cluster *cluster;
    int datacenter;
    char client[NAME_BYTES_MAX + 1];
    uint32_t timeout_ms;
    struct engine *engine;
    _Atomic hlc_ts heard; /* the greatest timestamp of any answer, and of the tokens it was given */
    bool threaded;        /* from assent_open */

    /* assent_open_uv */
    bool closing; /* assent_open: under the mutex */
    void (*closed)(void *arg);
    void *closed_arg;

    /* assent_open */
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wake;
    uv_mutex_t mutex;
    uv_cond_t changed; /* closing was set, or callers is 0 */
    struct waiters queue;
    uint32_t callers; /* threads inside a call of this handle */
};

/* Reads and checks what the options name; starts nothing. The keys are the caller's to wipe. */
assent_status handle_open(assent **out, const assent_options *options, struct noise_keypair *keys);
void handle_free(assent *db);

/* ---- calls, as both kinds of handle start and end them; sentences are left for assent_error()
 * ---- */

/* Seals and marks as sent; the transaction lives until the call is done. */
assent_status handle_commit(assent_txn *t, uint32_t timeout_ms, struct session_config *config);
/* Moves what the finished call gave into the transaction and, if not NULL, into info. */
void handle_committed(assent_txn *t, struct session_call *c, uint64_t began_us,
                      assent_commit_info *info);
assent_status handle_outcome(const assent *db, const assent_txid *id, uint32_t timeout_ms,
                             struct session_config *config);
/* The options, or if NULL those of a strong read. */
const assent_read_options *handle_options(const assent_read_options *options);
struct op handle_range_op(const void *key, size_t key_len, const void *end, size_t end_len,
                          const assent_read_options *options);
/* A read of one operation; the caller owns config->ops. */
assent_status handle_read(const assent *db, const assent_read_options *options, const struct op *op,
                          struct read_config *config);
/* How an answer is given to the program. */
struct handle_reading {
    bool one_key;
    bool keep; /* the list of one key that was not found, too */
    assent_session *session;
};
/* The answer of a finished read: its status, and the list. `why` (ERROR_TEXT_MAX) is the sentence
 * of statuses that are found here. */
assent_status handle_read_done(assent *db, struct read_call *c, const struct handle_reading *how,
                               assent_list **out);
uint64_t handle_deadline_us(const assent *db, uint32_t timeout_ms);
/* The replicas that `where` allows, or a sentence. */
assent_status handle_replicas(const assent *db, const char *where, const struct placement *p,
                              struct read_config *config);

/* ---- watches (watches.c) ---- */

/* One wait for a change; ASSENT_INVALID while another one is in progress. */
assent_status handle_watch(assent_watch *w, uint32_t timeout_ms, struct read_config *config);
/* Moves the watch on, and ends the wait as handle_read_done() ends a read. */
assent_status handle_watch_done(assent_watch *w, struct read_call *c, assent_list **out);
assent *handle_watched(const assent_watch *w);

#endif
