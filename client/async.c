/* The calls of assent/uv.h: the engine on the program's own loop. */
#include <assent/uv.h>

#include <stdlib.h>

#include "client/clock.h"
#include "client/handle.h"
#include "client/interactive.h"
#include "client/look.h"
#include "runtime/keys.h"

struct commit_uv {
    struct session_call session; /* first: its call leads back here */
    assent_txn *t;
    uint64_t began_us;
    assent_commit_info info; /* of one that sends nothing */
    assent_commit_cb cb;
    void *arg;
};

struct look_uv {
    struct call call; /* when nothing has to be asked */
    struct look look;
    assent_status status;
    assent_list_cb cb;
    void *arg;
};

struct outcome_uv {
    struct session_call session;
    assent_txid id;
    assent_outcome_cb cb;
    void *arg;
};

struct read_uv {
    struct read_call read;
    assent *db;
    struct handle_reading how;
    struct blob *ops;
    assent_list_cb cb;
    void *arg;
};

assent_status assent_open_uv(assent **out, uv_loop_t *loop, const assent_options *options)
{
    struct noise_keypair keys = {0};
    assent *db;
    if (out == NULL || loop == NULL)
        return error_set(ASSENT_INVALID, "no loop or no place for the handle: NULL");
    *out = NULL;
    assent_status status = handle_open(&db, options, &keys);
    if (status != ASSENT_OK)
        return status;
    struct engine_config config = {db->cluster, keys, db->client, db->datacenter};
    keypair_wipe(&keys);
    db->engine = engine_new(loop, &config);
    keypair_wipe(&config.keys);
    *out = db;
    return ASSENT_OK;
}

static void close_uv_done(void *arg)
{
    assent *db = arg;
    void (*closed)(void *arg) = db->closed;
    void *closed_arg = db->closed_arg;
    handle_free(db);
    if (closed != NULL)
        closed(closed_arg);
}

void assent_close_uv(assent *db, void (*closed)(void *arg), void *arg)
{
    if (db == NULL || db->threaded || db->closing)
        return;
    db->closing = true;
    db->closed = closed;
    db->closed_arg = arg;
    engine_close(db->engine, close_uv_done, db);
}

static assent_status check_uv(const assent *db, bool has_callback)
{
    if (db == NULL || !has_callback)
        return error_set(ASSENT_INVALID, "no handle or no callback: NULL");
    if (db->threaded)
        return error_set(ASSENT_INVALID,
                         "a call of assent/uv.h on a handle of assent_open: use the "
                         "blocking calls");
    if (db->closing)
        return error_set(ASSENT_CLOSED, "the handle was closed");
    return ASSENT_OK;
}

static void commit_uv_done(struct call *call)
{
    struct commit_uv *c = call->arg;
    assent_commit_info info;
    handle_committed(c->t, &c->session, c->began_us, &info);
    c->cb(c->t, call->status, &info, call->why, c->arg);
    free(c);
}

static void commit_uv_nothing(struct call *call)
{
    struct commit_uv *c = call->arg;
    c->cb(c->t, ASSENT_OK, &c->info, "", c->arg);
    free(c);
}

static struct commit_uv *commit_uv_new(assent_txn *t, assent_commit_cb cb, void *arg)
{
    struct commit_uv *c = xcalloc(1, sizeof *c);
    c->t = t;
    c->began_us = clock_now_us();
    c->cb = cb;
    c->arg = arg;
    return c;
}

/* One that only read a snapshot. */
static assent_status commit_uv_read(assent_txn *t, assent_commit_cb cb, void *arg)
{
    struct commit_uv *c = commit_uv_new(t, cb, arg);
    interactive_commit(t, c->began_us, &c->info);
    c->session.call.finished = commit_uv_nothing;
    c->session.call.arg = c;
    engine_start_nothing(t->db->engine, &c->session.call);
    return ASSENT_OK;
}

assent_status assent_commit_uv(assent_txn *t, uint32_t timeout_ms, assent_commit_cb cb, void *arg)
{
    struct session_config config;
    assent_status status = check_uv(t == NULL ? NULL : t->db, cb != NULL);
    if (status == ASSENT_OK && look_only(t))
        return commit_uv_read(t, cb, arg);
    if (status == ASSENT_OK)
        status = handle_commit(t, timeout_ms, &config);
    if (status != ASSENT_OK)
        return status;
    struct commit_uv *c = commit_uv_new(t, cb, arg);
    c->session.call.finished = commit_uv_done;
    c->session.call.arg = c;
    engine_hear(t->db->engine, atomic_load(&t->db->heard));
    engine_start_session(t->db->engine, &c->session, &config);
    return ASSENT_OK;
}

static void outcome_uv_done(struct call *call)
{
    struct outcome_uv *c = call->arg;
    c->cb(&c->id, call->status, c->session.session.commit_ts, call->why, c->arg);
    free(c);
}

assent_status assent_outcome_uv(assent *db, const assent_txid *id, uint32_t timeout_ms,
                                assent_outcome_cb cb, void *arg)
{
    struct session_config config;
    assent_status status = check_uv(db, cb != NULL);
    if (status == ASSENT_OK)
        status = handle_outcome(db, id, timeout_ms, &config);
    if (status != ASSENT_OK)
        return status;
    struct outcome_uv *c = xcalloc(1, sizeof *c);
    c->id = *id;
    c->cb = cb;
    c->arg = arg;
    c->session.call.finished = outcome_uv_done;
    c->session.call.arg = c;
    engine_hear(db->engine, atomic_load(&db->heard));
    engine_start_session(db->engine, &c->session, &config);
    return ASSENT_OK;
}

static void read_uv_done(struct call *call)
{
    struct read_uv *c = call->arg;
    assent_list *list;
    assent_status status = handle_read_done(c->db, &c->read, &c->how, &list);
    c->cb(status, list, call->why, c->arg);
    blob_unref(c->ops);
    free(c);
}

static assent_status read_uv(assent *db, const assent_read_options *options, bool keep,
                             const struct op *op, assent_list_cb cb, void *arg)
{
    struct read_config config;
    assent_status status = check_uv(db, cb != NULL);
    if (status == ASSENT_OK)
        status = handle_read(db, options, op, &config);
    if (status != ASSENT_OK)
        return status;
    struct read_uv *c = xcalloc(1, sizeof *c);
    c->db = db;
    c->how = (struct handle_reading){op->kind == OP_READ_KEY, keep, options->session};
    c->ops = config.ops;
    c->cb = cb;
    c->arg = arg;
    c->read.call.finished = read_uv_done;
    c->read.call.arg = c;
    engine_start_read(db->engine, &c->read, &config);
    return ASSENT_OK;
}

assent_status assent_get_uv(assent *db, const char *where, const void *key, size_t key_len,
                            assent_list_cb cb, void *arg)
{
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key, key_len)};
    return read_uv(db, &(assent_read_options){.where = where}, false, &op, cb, arg);
}

assent_status assent_get_with_uv(assent *db, const void *key, size_t key_len,
                                 const assent_read_options *options, assent_list_cb cb, void *arg)
{
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key, key_len)};
    return read_uv(db, handle_options(options), true, &op, cb, arg);
}

assent_status assent_scan_with_uv(assent *db, const void *key, size_t key_len, const void *end,
                                  size_t end_len, const assent_read_options *options,
                                  assent_list_cb cb, void *arg)
{
    struct op op = handle_range_op(key, key_len, end, end_len, options);
    return read_uv(db, handle_options(options), false, &op, cb, arg);
}

struct watch_uv {
    struct read_call read;
    assent_watch *w;
    assent_list_cb cb;
    void *arg;
};

static void watch_uv_done(struct call *call)
{
    struct watch_uv *c = call->arg;
    assent_list *list;
    assent_status status = handle_watch_done(c->w, &c->read, &list);
    c->cb(status, list, call->why, c->arg);
    free(c);
}

assent_status assent_watch_next_uv(assent_watch *w, uint32_t timeout_ms, assent_list_cb cb,
                                   void *arg)
{
    struct read_config config;
    assent *db = handle_watched(w);
    assent_status status = check_uv(db, cb != NULL);
    if (status == ASSENT_OK)
        status = handle_watch(w, timeout_ms, &config);
    if (status != ASSENT_OK)
        return status;
    struct watch_uv *c = xcalloc(1, sizeof *c);
    c->w = w;
    c->cb = cb;
    c->arg = arg;
    c->read.call.finished = watch_uv_done;
    c->read.call.arg = c;
    engine_start_read(db->engine, &c->read, &config);
    return ASSENT_OK;
}

assent_status assent_scan_uv(assent *db, const char *where, const void *key, size_t key_len,
                             const void *end, size_t end_len, uint32_t limit, assent_list_cb cb,
                             void *arg)
{
    const assent_read_options options = {.where = where, .limit = limit};
    struct op op = handle_range_op(key, key_len, end, end_len, &options);
    return read_uv(db, &options, false, &op, cb, arg);
}

/* ---- interactive transactions ---- */

static void look_uv_end(struct look_uv *u)
{
    assent_list *list;
    assent_status status = look_close(&u->look, u->status, &list);
    u->cb(status, list, status == ASSENT_OK ? "" : assent_error(), u->arg);
    free(u);
}

static void look_uv_nothing(struct call *call)
{
    look_uv_end(call->arg);
}

static void look_uv_answer(assent_status status, assent_list *list, const char *why, void *arg);

static assent_status look_uv_ask(struct look_uv *u)
{
    struct look *l = &u->look;
    if (l->op.kind == OP_READ_KEY)
        return assent_get_with_uv(l->t->db, l->op.key.data, l->op.key.len, &l->options,
                                  look_uv_answer, u);
    return assent_scan_with_uv(l->t->db, l->op.key.data, l->op.key.len, l->op.end.data,
                               l->op.end.len, &l->options, look_uv_answer, u);
}

static void look_uv_answer(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct look_uv *u = arg;
    u->status = look_answer(&u->look, status, list, why);
    if (u->status == ASSENT_OK && u->look.asks) {
        u->status = look_uv_ask(u);
        if (u->status == ASSENT_OK)
            return;
        u->status = look_answer(&u->look, u->status, NULL, assent_error());
    }
    look_uv_end(u);
}

static assent_status look_uv(assent_txn *t, const struct op *op, assent_list_cb cb, void *arg)
{
    assent_status status = check_uv(t == NULL ? NULL : t->db, cb != NULL);
    if (status != ASSENT_OK)
        return status;
    struct look_uv *u = xcalloc(1, sizeof *u);
    u->cb = cb;
    u->arg = arg;
    status = look_open(&u->look, t, op, assent_now(t->db));
    if (status != ASSENT_OK) {
        free(u);
        return status;
    }
    if (!u->look.asks) {
        u->call.finished = look_uv_nothing;
        u->call.arg = u;
        engine_start_nothing(t->db->engine, &u->call);
        return ASSENT_OK;
    }
    status = look_uv_ask(u);
    if (status != ASSENT_OK) {
        assent_list *none;
        status = look_answer(&u->look, status, NULL, assent_error());
        look_close(&u->look, status, &none);
        free(u);
    }
    return status;
}

assent_status assent_txn_get_uv(assent_txn *t, const void *key, size_t key_len, assent_list_cb cb,
                                void *arg)
{
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key, key_len)};
    return look_uv(t, &op, cb, arg);
}

assent_status assent_txn_scan_uv(assent_txn *t, const void *key, size_t key_len, const void *end,
                                 size_t end_len, uint32_t limit, bool descending, assent_list_cb cb,
                                 void *arg)
{
    const assent_read_options options = {.limit = limit, .descending = descending};
    struct op op = handle_range_op(key, key_len, end, end_len, &options);
    return look_uv(t, &op, cb, arg);
}
