#include "client/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/error.h"
#include "client/list.h"
#include "client/overlay.h"
#include "common/mutant.h"

struct bytes look_after(struct bytes key, uint8_t *out)
{
    size_t n = key.len;
    memcpy(out, key.data, n);
    if (n < KEY_BYTES_MAX) {
        out[n] = 0;
        return bytes_of(out, n + 1);
    }
    /* Keys that only differ behind it would be too long. */
    while (n > 0 && out[n - 1] == 0xff)
        n--;
    if (n > 0)
        out[n - 1]++;
    return bytes_of(out, n);
}

assent_status look_pruned(const char *detail)
{
    return error_set(
        ASSENT_PRUNED,
        "the transaction's snapshot is older than the cluster's retention time, and no longer "
        "kept: build it again (%s)",
        detail);
}

/* ---- asking ---- */

/* So many rows that the keys which the transaction deleted do not make the answer short. */
static uint32_t rows_to_ask(const struct look *l)
{
    if (l->limit == 0)
        return 0;
    struct overlay o = overlay_range(l->t, l->op.key, l->op.end);
    uint32_t deleted = overlay_deleted(&o);
    overlay_free(&o);
    return l->limit < UINT32_MAX - deleted ? l->limit + deleted : UINT32_MAX;
}

static assent_status look_ask(struct look *l)
{
    assent_txn *t = l->t;
    if (l->op.kind == OP_READ_RANGE)
        l->op.limit = rows_to_ask(l);
    l->options = (assent_read_options){
        .level = ASSENT_SNAPSHOT,
        .snapshot = t->snapshot,
        .limit = l->op.limit,
        .descending = l->op.descending,
    };
    if (t->snapshot == 0 && t->looking > 0)
        return error_set(ASSENT_INVALID,
                         "the transaction's first read is under way: wait for it, or fix the "
                         "snapshot with assent_txn_read_at before");
    if (t->snapshot == 0 || MUTANT(LOOKS_ANYWHERE)) {
        l->options.level = ASSENT_SESSION;
        l->options.session = &l->session;
    }
    l->asks = true;
    t->looking++;
    return ASSENT_OK;
}

/* A key that the transaction has put or deleted needs no question. */
static assent_status look_begin(struct look *l)
{
    struct own own;
    if (l->op.kind == OP_READ_RANGE || !overlay_key(l->t, l->key, &own) ||
        own.base == BASE_SNAPSHOT)
        return look_ask(l);
    l->list = list_empty();
    return overlay_append(&own, NULL, l->list);
}

assent_status look_open(struct look *l, assent_txn *t, const struct op *op, assent_ts now)
{
    const struct placement *placement;
    *l = (struct look){.t = t, .op = *op, .limit = op->limit};
    assent_status status = txn_check_open(t);
    if (status == ASSENT_OK)
        status = txn_check_range(t->cluster, op->key, op_is_range(op->kind) ? &op->end : NULL,
                                 &placement);
    if (status != ASSENT_OK)
        return status;
    l->session.db = t->db;
    atomic_init(&l->session.ts, now);
    l->bytes = xmalloc(op->key.len + op->end.len);
    memcpy(l->bytes, op->key.data, op->key.len);
    if (op->end.len > 0)
        memcpy(l->bytes + op->key.len, op->end.data, op->end.len);
    l->key = l->op.key = bytes_of(l->bytes, op->key.len);
    l->end = l->op.end = bytes_of(l->bytes + op->key.len, op->end.len);
    status = look_begin(l);
    if (status != ASSENT_OK)
        look_close(l, status, &(assent_list *){NULL});
    return status;
}

/* ---- answers ---- */

static bool is_covered(const struct txn_op *seen, struct bytes key, struct bytes end)
{
    return seen->seen && bytes_compare(seen->op.key, key) <= 0 &&
           (seen->op.end.len == 0 || (end.len > 0 && bytes_compare(end, seen->op.end) <= 0));
}

static assent_status look_see(struct look *l, struct bytes key, struct bytes end)
{
    for (uint32_t i = 0; i < l->t->n; i++) {
        if (is_covered(&l->t->op[i], key, end))
            return ASSENT_OK;
    }
    return MUTANT(SEEN_NOT_CHECKED) ? ASSENT_OK : txn_see(l->t, key, end);
}

/* The range as far as `last`, which is included, or all of it if that is empty. */
static assent_status look_see_range(struct look *l, struct bytes last)
{
    uint8_t after[KEY_BYTES_MAX];
    if (MUTANT(SEEN_IN_PART))
        return look_see(l, l->key, look_after(l->key, after));
    if (last.len == 0)
        return look_see(l, l->key, l->end);
    if (l->op.descending)
        return look_see(l, last, l->end);
    return look_see(l, l->key, look_after(last, after));
}

static const assent_entry *list_last(const assent_list *list)
{
    size_t n = assent_list_size(list);
    return n == 0 ? NULL : assent_list_entry(list, n - 1);
}

static assent_status answer_key(struct look *l, assent_list *answer)
{
    uint8_t after[KEY_BYTES_MAX];
    struct own own;
    assent_status status = look_see(l, l->key, look_after(l->key, after));
    if (status != ASSENT_OK)
        return status;
    overlay_key(l->t, l->key, &own);
    l->list = list_empty();
    list_describe(l->list, list_info(answer));
    return overlay_append(&own, assent_list_entry(answer, 0), l->list);
}

/* All rows of the answer are deleted by the transaction, and there are more. */
static assent_status look_ask_more(struct look *l, const assent_entry *last)
{
    uint8_t *old = l->left;
    struct bytes key = bytes_of(last->key, last->key_len);
    l->left = xmalloc(KEY_BYTES_MAX);
    if (l->op.descending) {
        memcpy(l->left, key.data, key.len);
        l->op.end = bytes_of(l->left, key.len);
    } else {
        l->op.key = look_after(key, l->left);
    }
    free(old);
    assent_list_free(l->list);
    l->list = NULL;
    return look_ask(l);
}

static assent_status answer_range(struct look *l, assent_list *answer)
{
    struct overlay o = overlay_range(l->t, l->op.key, l->op.end);
    struct merge m = {&o, answer, l->op.descending, l->limit, list_empty(), {0}};
    struct bytes last = {0};
    l->list = m.list;
    list_describe(l->list, list_info(answer));
    assent_status status = overlay_merge(&m), seen;
    const assent_entry *end = list_last(l->list), *row = list_last(answer);
    if (status != ASSENT_OK)
        last = m.failed;
    else if (end != NULL && end->truncated)
        last = bytes_of(end->key, end->key_len);
    if (status == ASSENT_OK && end == NULL && row != NULL && row->truncated) {
        status = look_ask_more(l, row);
    } else {
        seen = look_see_range(l, last);
        status = seen == ASSENT_OK ? status : seen;
    }
    overlay_free(&o);
    return status;
}

assent_status look_answer(struct look *l, assent_status status, assent_list *answer,
                          const char *why)
{
    char detail[ERROR_TEXT_MAX];
    assent_txn *t = l->t;
    l->asks = false;
    t->looking--;
    if (answer == NULL) {
        snprintf(detail, sizeof detail, "%s", why);
        return status == ASSENT_PRUNED ? look_pruned(detail) : error_set(status, "%s", detail);
    }
    if (t->snapshot == 0)
        t->snapshot = list_info(answer)->ts;
    status = l->op.kind == OP_READ_KEY ? answer_key(l, answer) : answer_range(l, answer);
    assent_list_free(answer);
    return status;
}

assent_status look_close(struct look *l, assent_status status, assent_list **out)
{
    char key[KEY_TEXT_MAX];
    *out = NULL;
    if (status == ASSENT_OK) {
        *out = l->list;
        l->list = NULL;
        if (l->op.kind == OP_READ_KEY && !assent_list_entry(*out, 0)->found)
            status = error_set(ASSENT_NOT_FOUND, "%s: %s", assent_status_text(ASSENT_NOT_FOUND),
                               key_text(l->op.key, key));
    }
    assent_list_free(l->list);
    free(l->bytes);
    free(l->left);
    *l = (struct look){0};
    return status;
}

/* ---- the snapshot ---- */

assent_status assent_txn_read_at(assent_txn *t, assent_ts ts)
{
    assent_status status = txn_check_open(t);
    if (status != ASSENT_OK)
        return status;
    if (ts == 0 || ts > INT64_MAX)
        return error_set(ASSENT_INVALID, "%llu is no timestamp", (unsigned long long)ts);
    if (t->snapshot != 0 || t->looking > 0)
        return error_set(ASSENT_INVALID, "the transaction's snapshot is fixed already: choose it "
                                         "before the first read");
    t->snapshot = ts;
    t->chosen = true;
    return ASSENT_OK;
}

assent_ts assent_txn_snapshot(const assent_txn *t)
{
    return t == NULL ? 0 : t->snapshot;
}

assent_status assent_txn_strict(assent_txn *t)
{
    assent_status status = txn_check_open(t);
    if (status == ASSENT_OK)
        t->strict = true;
    return status;
}

bool look_only(const assent_txn *t)
{
    if (t->snapshot == 0 || t->sealed || t->looking > 0 || (t->strict && t->n > 0))
        return false;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->op[i].seen)
            return false;
    }
    return true;
}
