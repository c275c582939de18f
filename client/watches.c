/* Watches, but for the waiting itself (blocking.c, async.c): what to watch, and how far it is. */
#include <stdlib.h>

#include "client/handle.h"
#include "client/list.h"
#include "wire/ops_codec.h"

struct assent_watch {
    assent *db;
    struct read_config config; /* of each wait */
    bool waiting;              /* a call is in progress */
};

assent_status assent_watch_open(assent *db, const void *key, size_t key_len, const void *end,
                                size_t end_len, assent_ts since, const char *where,
                                assent_watch **out)
{
    const struct placement *placement;
    struct op op = {.kind = end_len == 0 ? OP_READ_KEY : OP_READ_RANGE,
                    .key = bytes_of(key, key_len),
                    .end = bytes_of(end, end_len)};
    struct read_config config = {.watch = {.on = true, .since = since}};
    if (out == NULL)
        return error_set(ASSENT_INVALID, "no place for the watch: NULL");
    *out = NULL;
    if (db == NULL)
        return error_set(ASSENT_INVALID, "no handle: the argument is NULL");
    if (since > INT64_MAX)
        return error_set(ASSENT_INVALID, "%llu is no timestamp", (unsigned long long)since);
    assent_status status =
        txn_check_range(db->cluster, op.key, end_len == 0 ? NULL : &op.end, &placement);
    if (status == ASSENT_OK)
        status = handle_replicas(db, where, placement, &config);
    if (status != ASSENT_OK)
        return status;
    assent_watch *w = xcalloc(1, sizeof *w);
    config.ops = ops_encode(&op, 1);
    w->db = db;
    w->config = config;
    *out = w;
    return ASSENT_OK;
}

void assent_watch_close(assent_watch *w)
{
    if (w == NULL)
        return;
    blob_unref(w->config.ops);
    free(w);
}

assent_ts assent_watch_position(const assent_watch *w)
{
    return w->config.watch.since;
}

assent *handle_watched(const assent_watch *w)
{
    return w == NULL ? NULL : w->db;
}

assent_status handle_watch(assent_watch *w, uint32_t timeout_ms, struct read_config *config)
{
    if (w->waiting)
        return error_set(ASSENT_INVALID, "this watch is waited for already: one call at a time");
    w->waiting = true;
    *config = w->config;
    config->deadline_us = handle_deadline_us(w->db, timeout_ms);
    return ASSENT_OK;
}

assent_status handle_watch_done(assent_watch *w, struct read_call *c, assent_list **out)
{
    token_raise(&w->db->heard, c->read.ts);
    w->waiting = false;
    assent_status status = handle_read_done(w->db, c, &(struct handle_reading){.keep = true}, out);
    if (status == c->call.status) /* an answer that could not be decoded is asked for again */
        w->config.watch = c->read.watch;
    return status;
}
