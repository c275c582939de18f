/* The blocking calls of interactive transactions; those with callbacks are in async.c. */
#include "client/interactive.h"

#include <stdio.h>
#include <string.h>

#include "client/blocking.h"
#include "client/clock.h"
#include "client/look.h"

/* ---- reading ---- */

static assent_status look_blocking(assent_txn *t, const struct op *op, assent_list **out)
{
    struct look l;
    assent_status status = look_open(&l, t, op, assent_now(t->db));
    if (status != ASSENT_OK)
        return status;
    while (status == ASSENT_OK && l.asks) {
        assent_list *answer = NULL;
        status = op->kind == OP_READ_KEY
                     ? assent_get_with(t->db, l.op.key.data, l.op.key.len, &l.options, &answer)
                     : assent_scan_with(t->db, l.op.key.data, l.op.key.len, l.op.end.data,
                                        l.op.end.len, &l.options, &answer);
        status = look_answer(&l, status, answer, assent_error());
    }
    return look_close(&l, status, out);
}

static assent_status txn_read_now(assent_txn *t, const struct op *op, assent_list **out)
{
    if (t == NULL || out == NULL)
        return error_set(ASSENT_INVALID, "no transaction or no place for the list: NULL");
    *out = NULL;
    assent *db = t->db;
    assent_status status = blocking_enter(db);
    if (status != ASSENT_OK)
        return status;
    status = look_blocking(t, op, out);
    blocking_leave(db);
    return status;
}

assent_status assent_txn_get(assent_txn *t, const void *key, size_t key_len, assent_list **out)
{
    return txn_read_now(t, &(struct op){.kind = OP_READ_KEY, .key = bytes_of(key, key_len)}, out);
}

assent_status assent_txn_scan(assent_txn *t, const void *key, size_t key_len, const void *end,
                              size_t end_len, uint32_t limit, bool descending, assent_list **out)
{
    const assent_read_options options = {.limit = limit, .descending = descending};
    struct op op = handle_range_op(key, key_len, end, end_len, &options);
    return txn_read_now(t, &op, out);
}

/* ---- committing ---- */

void interactive_commit(assent_txn *t, uint64_t began_us, assent_commit_info *info)
{
    t->sealed = t->sent = true;
    if (info != NULL)
        *info = (assent_commit_info){.commit_ts = t->snapshot,
                                     .total_us = (uint32_t)(clock_now_us() - began_us)};
}

/* Something that the culprit holds and the transaction saw; NULL: nothing. */
static const struct op *seen_at_culprit(const assent_txn *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct placement *p = t->op[i].placement;
        for (int k = 0; t->op[i].seen && k < p->replicas; k++) {
            if (p->replica[k] == t->culprit)
                return &t->op[i].op;
        }
    }
    return NULL;
}

void interactive_hear(const assent_txn *t, uint32_t timeout_ms)
{
    char why[ERROR_TEXT_MAX];
    assent_list *list;
    const struct cluster_node *node = cluster_node(t->cluster, t->culprit);
    const struct op *op = node == NULL ? NULL : seen_at_culprit(t);
    if (op == NULL)
        return;
    snprintf(why, sizeof why, "%s", assent_error());
    assent_read_options any = {
        .level = ASSENT_EVENTUAL, .where = node->name, .timeout_ms = timeout_ms};
    assent_get_with(t->db, op->key.data, op->key.len, &any, &list); /* the handle hears its time */
    assent_list_free(list);
    error_set(ASSENT_CHANGED, "%s", why);
}

void interactive_explain(const assent_txn *t, struct call *call)
{
    char detail[ERROR_TEXT_MAX];
    if (call->status != ASSENT_PRUNED || t->snapshot == 0)
        return;
    snprintf(detail, sizeof detail, "%s", call->why);
    look_pruned(detail);
    snprintf(call->why, sizeof call->why, "%s", assent_error());
}
