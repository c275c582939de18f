/* The calling thread puts a waiter, which lives on its stack, into the handle's queue and sleeps on
 * it; the handle's thread starts the call in its engine and wakes the caller when the call has
 * finished.
 *
 * Invariants
 *   B1  Between enter and leave a caller is counted; assent_close frees nothing before the count is
 * 0. B2  Nothing is queued, and the loop is not woken, once `closing` is set. B3  A call's blobs
 * belong to the caller before it is queued and after it is done, and to the handle's thread in
 * between. */
#include "client/blocking.h"
#include "client/clock.h"
#include "client/interactive.h"

#include <signal.h>
#include <stdlib.h>

#include "client/list.h"
#include "client/look.h"
#include "runtime/keys.h"

struct waiter {
    TAILQ_ENTRY(waiter) link;
    assent *db;
    void (*start)(struct waiter *w);
    uv_cond_t cond;
    bool done;
    struct call *call;
    union {
        const struct session_config *session;
        const struct read_config *read;
        uint64_t deadline_us;
    };
};

/* ---- the handle's thread ---- */

static void blocking_closed(void *arg)
{
    assent *db = arg;
    uv_close((uv_handle_t *)&db->wake, NULL);
}

static void blocking_woken(uv_async_t *wake)
{
    assent *db = wake->data;
    struct waiters queue = TAILQ_HEAD_INITIALIZER(queue);
    struct waiter *w;
    uv_mutex_lock(&db->mutex);
    TAILQ_CONCAT(&queue, &db->queue, link);
    bool closing = db->closing;
    uv_mutex_unlock(&db->mutex);
    while ((w = TAILQ_FIRST(&queue)) != NULL) {
        TAILQ_REMOVE(&queue, w, link);
        w->start(w);
    }
    if (closing)
        engine_close(db->engine, blocking_closed, db);
}

static void blocking_thread(void *arg)
{
    assent *db = arg;
    uv_run(&db->loop, UV_RUN_DEFAULT);
}

static void blocking_finished(struct call *call)
{
    struct waiter *w = call->arg;
    assent *db = w->db;
    uv_mutex_lock(&db->mutex);
    w->done = true;
    uv_cond_signal(&w->cond);
    uv_mutex_unlock(&db->mutex);
}

/* ---- opening and closing ---- */

/* The thread takes no signals: they stay with the program's threads. */
static int start_thread(assent *db)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = uv_thread_create(&db->thread, blocking_thread, db);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

/* Ends the loop on the opening thread, when there is no other. */
static assent_status open_failed(assent *db, const char *why)
{
    assent_status status = error_set(ASSENT_SYSTEM, "cannot start the handle's thread: %s", why);
    engine_close(db->engine, blocking_closed, db);
    uv_run(&db->loop, UV_RUN_DEFAULT);
    uv_loop_close(&db->loop);
    uv_cond_destroy(&db->changed);
    uv_mutex_destroy(&db->mutex);
    handle_free(db);
    return status;
}

static assent_status open_loop(assent *db)
{
    int failed = uv_loop_init(&db->loop);
    if (failed != 0)
        return error_set(ASSENT_SYSTEM, "cannot make an event loop: %s", uv_strerror(failed));
    failed = uv_async_init(&db->loop, &db->wake, blocking_woken);
    if (failed != 0) {
        uv_loop_close(&db->loop);
        return error_set(ASSENT_SYSTEM, "cannot make an event loop: %s", uv_strerror(failed));
    }
    db->wake.data = db;
    return ASSENT_OK;
}

assent_status assent_open(assent **out, const assent_options *options)
{
    struct noise_keypair keys = {0};
    assent *db;
    if (out == NULL)
        return error_set(ASSENT_INVALID, "no place for the handle: NULL");
    *out = NULL;
    assent_status status = handle_open(&db, options, &keys);
    if (status != ASSENT_OK)
        return status;
    status = open_loop(db);
    if (status != ASSENT_OK) {
        keypair_wipe(&keys);
        handle_free(db);
        return status;
    }
    db->threaded = true;
    TAILQ_INIT(&db->queue);
    if (uv_mutex_init(&db->mutex) != 0 || uv_cond_init(&db->changed) != 0)
        abort(); /* these fail only for attributes that are not used here */
    struct engine_config config = {db->cluster, keys, db->client, db->datacenter};
    keypair_wipe(&keys);
    db->engine = engine_new(&db->loop, &config);
    keypair_wipe(&config.keys);
    int failed = start_thread(db);
    if (failed != 0)
        return open_failed(db, uv_strerror(failed));
    *out = db;
    return ASSENT_OK;
}

void assent_close(assent *db)
{
    if (db == NULL || !db->threaded)
        return;
    uv_mutex_lock(&db->mutex);
    db->closing = true;
    uv_cond_broadcast(&db->changed);
    uv_async_send(&db->wake);
    while (db->callers > 0)
        uv_cond_wait(&db->changed, &db->mutex);
    uv_mutex_unlock(&db->mutex);
    uv_thread_join(&db->thread);
    uv_loop_close(&db->loop);
    uv_cond_destroy(&db->changed);
    uv_mutex_destroy(&db->mutex);
    handle_free(db);
}

/* ---- callers ---- */

assent_status blocking_enter(assent *db)
{
    if (db == NULL)
        return error_set(ASSENT_INVALID, "no handle: the argument is NULL");
    if (!db->threaded)
        return error_set(ASSENT_INVALID,
                         "a blocking call on a handle of assent_open_uv: use the calls of "
                         "assent/uv.h");
    uv_mutex_lock(&db->mutex);
    bool closing = db->closing;
    if (!closing)
        db->callers++;
    uv_mutex_unlock(&db->mutex);
    if (closing)
        return error_set(ASSENT_CLOSED, "the handle was closed");
    return ASSENT_OK;
}

void blocking_leave(assent *db)
{
    uv_mutex_lock(&db->mutex);
    if (--db->callers == 0 && db->closing)
        uv_cond_broadcast(&db->changed);
    uv_mutex_unlock(&db->mutex);
}

bool blocking_sleep(assent *db, uint64_t us)
{
    uint64_t end_us = clock_now_us() + us, now_us;
    uv_mutex_lock(&db->mutex);
    while (!db->closing && (now_us = clock_now_us()) < end_us)
        uv_cond_timedwait(&db->changed, &db->mutex, (end_us - now_us) * 1000);
    bool slept = !db->closing;
    uv_mutex_unlock(&db->mutex);
    return slept;
}

/* Runs the call to its end; false, and nothing was started, when the handle closes. */
static bool blocking_run(assent *db, struct waiter *w, struct call *call)
{
    w->db = db;
    w->call = call;
    call->finished = blocking_finished;
    call->arg = w;
    if (uv_cond_init(&w->cond) != 0)
        abort();
    uv_mutex_lock(&db->mutex);
    bool started = !db->closing;
    if (started) {
        TAILQ_INSERT_TAIL(&db->queue, w, link);
        uv_async_send(&db->wake);
        while (!w->done)
            uv_cond_wait(&w->cond, &db->mutex);
    }
    uv_mutex_unlock(&db->mutex);
    uv_cond_destroy(&w->cond);
    if (!started)
        error_set(ASSENT_CLOSED, "the handle was closed");
    return started;
}

static void start_session(struct waiter *w)
{
    engine_hear(w->db->engine, atomic_load(&w->db->heard));
    engine_start_session(w->db->engine, (struct session_call *)w->call, w->session);
}

static void start_read(struct waiter *w)
{
    engine_start_read(w->db->engine, (struct read_call *)w->call, w->read);
}

static void start_nodes(struct waiter *w)
{
    engine_start_nodes(w->db->engine, (struct nodes_call *)w->call, w->deadline_us);
}

/* ---- the blocking calls ---- */

static assent_status commit_blocking(assent_txn *t, uint32_t timeout_ms, assent_commit_info *info)
{
    struct session_config config;
    struct session_call *c;
    uint64_t began_us = clock_now_us();
    if (look_only(t)) {
        interactive_commit(t, began_us, info);
        return ASSENT_OK;
    }
    assent_status status = handle_commit(t, timeout_ms, &config);
    if (status != ASSENT_OK)
        return status;
    c = xcalloc(1, sizeof *c);
    struct waiter w = {.start = start_session, .session = &config};
    status = ASSENT_CLOSED;
    if (blocking_run(t->db, &w, &c->call)) {
        status = c->call.status;
        handle_committed(t, c, began_us, info);
        if (status != ASSENT_OK)
            error_set(status, "%s", c->call.why);
    }
    free(c);
    return status;
}

assent_status assent_commit_within(assent_txn *t, uint32_t timeout_ms, assent_commit_info *info)
{
    if (info != NULL)
        *info = (assent_commit_info){0};
    if (t == NULL)
        return error_set(ASSENT_INVALID, "no transaction: the argument is NULL");
    assent *db = t->db;
    assent_status status = blocking_enter(db);
    if (status != ASSENT_OK)
        return status;
    status = commit_blocking(t, timeout_ms, info);
    blocking_leave(db);
    return status;
}

assent_status assent_commit(assent_txn *t, assent_commit_info *info)
{
    return assent_commit_within(t, 0, info);
}

assent_status assent_outcome(assent *db, const assent_txid *id, uint32_t timeout_ms, assent_ts *ts)
{
    struct session_config config;
    assent_status status = blocking_enter(db);
    if (status != ASSENT_OK)
        return status;
    status = handle_outcome(db, id, timeout_ms, &config);
    if (status == ASSENT_OK) {
        struct session_call *c = xcalloc(1, sizeof *c);
        struct waiter w = {.start = start_session, .session = &config};
        status = ASSENT_CLOSED;
        if (blocking_run(db, &w, &c->call)) {
            status = c->call.status;
            if (status == ASSENT_OK && ts != NULL)
                *ts = c->session.commit_ts;
            if (status != ASSENT_OK)
                error_set(status, "%s", c->call.why);
        }
        free(c);
    }
    blocking_leave(db);
    return status;
}

static assent_status read_blocking(assent *db, const assent_read_options *options,
                                   const struct op *op, bool keep, assent_list **out)
{
    struct read_config config;
    struct handle_reading how = {op->kind == OP_READ_KEY, keep, options->session};
    if (out == NULL)
        return error_set(ASSENT_INVALID, "no place for the list: NULL");
    *out = NULL;
    assent_status status = blocking_enter(db);
    if (status != ASSENT_OK)
        return status;
    status = handle_read(db, options, op, &config);
    if (status == ASSENT_OK) {
        struct read_call *c = xcalloc(1, sizeof *c);
        struct waiter w = {.start = start_read, .read = &config};
        status = ASSENT_CLOSED;
        if (blocking_run(db, &w, &c->call)) {
            status = handle_read_done(db, c, &how, out);
            if (status != ASSENT_OK)
                error_set(status, "%s", c->call.why);
        }
        free(c);
        blob_unref(config.ops);
    }
    blocking_leave(db);
    return status;
}

assent_status assent_get_at(assent *db, const char *where, const void *key, size_t key_len,
                            assent_list **out)
{
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key, key_len)};
    return read_blocking(db, &(assent_read_options){.where = where}, &op, false, out);
}

assent_status assent_get_with(assent *db, const void *key, size_t key_len,
                              const assent_read_options *options, assent_list **out)
{
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key, key_len)};
    return read_blocking(db, handle_options(options), &op, true, out);
}

assent_status assent_scan_with(assent *db, const void *key, size_t key_len, const void *end,
                               size_t end_len, const assent_read_options *options,
                               assent_list **out)
{
    struct op op = handle_range_op(key, key_len, end, end_len, options);
    return read_blocking(db, handle_options(options), &op, false, out);
}

assent_status assent_get(assent *db, const void *key, size_t key_len, assent_list **out)
{
    return assent_get_at(db, NULL, key, key_len, out);
}

assent_status assent_scan(assent *db, const char *where, const void *key, size_t key_len,
                          const void *end, size_t end_len, uint32_t limit, assent_list **out)
{
    struct op op = {
        .kind = OP_READ_RANGE,
        .key = bytes_of(key, key_len),
        .end = bytes_of(end, end_len),
        .limit = limit,
    };
    return read_blocking(db, &(assent_read_options){.where = where}, &op, false, out);
}

assent_status assent_nodes(assent *db, uint32_t timeout_ms, assent_node **out, size_t *n)
{
    if (out == NULL || n == NULL)
        return error_set(ASSENT_INVALID, "no place for the nodes: NULL");
    *out = NULL;
    *n = 0;
    assent_status status = blocking_enter(db);
    if (status != ASSENT_OK)
        return status;
    struct nodes_call *c = xcalloc(1, sizeof *c);
    uint64_t ms = timeout_ms == 0 ? db->timeout_ms : timeout_ms;
    struct waiter w = {.start = start_nodes, .deadline_us = clock_now_us() + ms * 1000};
    status = ASSENT_CLOSED;
    if (blocking_run(db, &w, &c->call)) {
        status = c->call.status;
        if (status == ASSENT_OK) {
            *out = c->node;
            *n = c->n;
        } else {
            free(c->node);
            error_set(status, "the handle was closed");
        }
    }
    free(c);
    blocking_leave(db);
    return status;
}

void assent_nodes_free(assent_node *nodes)
{
    free(nodes);
}
