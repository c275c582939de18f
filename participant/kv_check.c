#include "participant/kv_check.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"
#include "common/tree.h"

/* What the transaction's own writes have made of a key so far. */
struct touch {
    RB_ENTRY(touch) link;
    struct bytes key;
    bool rewritten; /* put or deleted: what others add no longer matters */
    bool integer;
    struct bytes text; /* if it is not an integer */
    wide low;          /* the integer in the worst cases over all that others have in flight */
    wide high;
    wide net; /* of the adds */
    uint32_t applies;
};

RB_HEAD(touch_tree, touch);

static int touch_compare(const struct touch *a, const struct touch *b)
{
    return bytes_compare(a->key, b->key);
}

RB_STATIC(touch_tree, touch, link, touch_compare)

static assent_status storage_failed(struct kv_checker *c)
{
    kv_say(&c->say, "reading from the database failed: %s", kv_tables_error(c->view.tables));
    return ASSENT_STORAGE;
}

static assent_status not_integer(struct kv_checker *c, struct bytes key, struct bytes found)
{
    char k[KV_QUOTED_BYTES], f[KV_QUOTED_BYTES];
    kv_say(&c->say, "key %s: expected an integer, found %s", kv_quote(key, k), kv_quote(found, f));
    return ASSENT_NOT_INTEGER;
}

static assent_status check_value(struct kv_checker *c, const struct op *op,
                                 const struct kv_cell *cell)
{
    char k[KV_QUOTED_BYTES], e[KV_QUOTED_BYTES], f[KV_QUOTED_BYTES];
    if (cell->live && bytes_equal(cell->value, op->value))
        return ASSENT_OK;
    kv_say(&c->say, "key %s: expected value %s, found %s", kv_quote(op->key, k),
           kv_quote(op->value, e), kv_quote_cell(cell, f));
    return ASSENT_CHECK_FAILED;
}

static assent_status check_version(struct kv_checker *c, const struct op *op,
                                   const struct kv_cell *cell)
{
    char k[KV_QUOTED_BYTES], e[TXID_TEXT_BYTES], f[TXID_TEXT_BYTES];
    const struct version *expected = &op->version, *found = &cell->version;
    if (cell->live && found->ts == expected->ts && found->applies == expected->applies &&
        txid_equal(&found->txid, &expected->txid))
        return ASSENT_OK;
    kv_quote(op->key, k);
    txid_text(&expected->txid, e);
    if (cell->live)
        kv_say(&c->say,
               "key %s: expected the version of %s at %" PRIu64 " with %u adds, found that of"
               " %s at %" PRIu64 " with %u adds",
               k, e, expected->ts, expected->applies, txid_text(&found->txid, f), found->ts,
               found->applies);
    else
        kv_say(&c->say,
               "key %s: expected the version of %s at %" PRIu64 " with %u adds, found nothing", k,
               e, expected->ts, expected->applies);
    return ASSENT_CHECK_FAILED;
}

static assent_status check_at_least(struct kv_checker *c, const struct op *op,
                                    const struct kv_cell *cell)
{
    char k[KV_QUOTED_BYTES], f[KV_QUOTED_BYTES];
    int64_t number;
    if (cell->live && !number_parse(cell->value, &number))
        return not_integer(c, op->key, cell->value);
    if (cell->live && number >= op->number)
        return ASSENT_OK;
    kv_say(&c->say, "key %s: expected at least %" PRId64 ", found %s", kv_quote(op->key, k),
           op->number, kv_quote_cell(cell, f));
    return ASSENT_CHECK_FAILED;
}

static assent_status check_key(struct kv_checker *c, const struct op *op)
{
    char k[KV_QUOTED_BYTES], f[KV_QUOTED_BYTES];
    struct kv_cell cell;
    if (kv_view_get(&c->view, op->key, &cell) != SQLITE_OK)
        return storage_failed(c);
    if (op->kind == OP_CHECK_VALUE)
        return check_value(c, op, &cell);
    if (op->kind == OP_CHECK_VERSION)
        return check_version(c, op, &cell);
    if (op->kind == OP_CHECK_AT_LEAST)
        return check_at_least(c, op, &cell);
    if (cell.live == (op->kind == OP_CHECK_EXISTS))
        return ASSENT_OK;
    kv_say(&c->say, "key %s: expected %s, found %s", kv_quote(op->key, k),
           cell.live ? "nothing" : "a value", kv_quote_cell(&cell, f));
    return ASSENT_CHECK_FAILED;
}

static assent_status check_range(struct kv_checker *c, const struct op *op)
{
    char k[KV_QUOTED_BYTES], e[KV_QUOTED_BYTES] = "the end", f[KV_QUOTED_BYTES];
    struct kv_cell cell;
    bool changed;
    kv_quote(op->key, k);
    if (op->end.len > 0)
        kv_quote(op->end, e);
    if (op->version.ts < c->prune_point) {
        kv_say(&c->say,
               "range %s to %s: changes since %" PRIu64 " are not known, deletions up to %" PRIu64
               " are forgotten",
               k, e, op->version.ts, c->prune_point);
        return ASSENT_PRUNED;
    }
    if (kv_view_changed(&c->view, op->key, op->end, op->version.ts, &changed, &cell) != SQLITE_OK)
        return storage_failed(c);
    if (!changed)
        return ASSENT_OK;
    kv_say(&c->say,
           "range %s to %s: expected no write after %" PRIu64 ", found key %s written at %" PRIu64,
           k, e, op->version.ts, kv_quote(cell.key, f), cell.version.ts);
    return ASSENT_CHANGED;
}

static struct touch *touch_open(struct touch_tree *touched, struct bytes key, bool *fresh)
{
    struct touch probe = {.key = key};
    struct touch *touch = RB_FIND(touch_tree, touched, &probe);
    *fresh = touch == NULL;
    if (touch == NULL) {
        touch = xcalloc(1, sizeof *touch);
        touch->key = key;
        RB_INSERT(touch_tree, touched, touch);
    }
    return touch;
}

/* A put, or with an absent cell a delete: others' adds are locked out. */
static void touch_rewrite(struct touch *touch, const struct op *op)
{
    int64_t number = 0;
    touch->rewritten = true;
    touch->integer = op->kind == OP_DELETE || number_parse(op->value, &number);
    touch->text = op->value;
    touch->low = touch->high = number;
    touch->applies = 0;
}

/* Before the transaction's first write of a key that it adds to. */
static assent_status touch_load(struct kv_checker *c, struct touch *touch)
{
    struct kv_cell cell;
    int64_t number = 0;
    if (kv_view_get(&c->view, touch->key, &cell) != SQLITE_OK)
        return storage_failed(c);
    if (cell.live && !number_parse(cell.value, &number))
        return not_integer(c, touch->key, cell.value);
    const struct kv_key *others = kv_pending_key(c->pending, touch->key);
    if (MUTANT(ESCROW_IGNORES_PENDING))
        others = NULL;
    touch->integer = true;
    touch->low = number + (others == NULL ? 0 : others->negative);
    touch->high = number + (others == NULL ? 0 : others->positive);
    touch->applies = cell.version.applies;
    return ASSENT_OK;
}

static assent_status add_refused(struct kv_checker *c, const struct op *op, wide worst,
                                 const int64_t *bound, const char *side)
{
    char k[KV_QUOTED_BYTES], w[WIDE_TEXT_BYTES];
    kv_quote(op->key, k);
    number_text(worst, w);
    if (bound == NULL) {
        kv_say(&c->say,
               "key %s: adding %" PRId64 " gives %s in the worst case, which is over 64 bits", k,
               op->number, w);
        return ASSENT_OVERFLOW;
    }
    kv_say(&c->say, "key %s: adding %" PRId64 " gives %s in the worst case, %s bound %" PRId64, k,
           op->number, w, side, *bound);
    return ASSENT_OUT_OF_BOUNDS;
}

static assent_status check_add(struct kv_checker *c, struct touch *touch, uint32_t at,
                               const struct op *op)
{
    if (!touch->integer)
        return not_integer(c, op->key, touch->text);
    touch->low += op->number;
    touch->high += op->number;
    touch->net += op->number;
    touch->applies++;
    if (op->has_lower && touch->low < op->lower)
        return add_refused(c, op, touch->low, &op->lower, "below its lower");
    if (op->has_upper && touch->high > op->upper)
        return add_refused(c, op, touch->high, &op->upper, "above its upper");
    if (!number_fits(touch->low))
        return add_refused(c, op, touch->low, NULL, NULL);
    if (!number_fits(touch->high))
        return add_refused(c, op, touch->high, NULL, NULL);
    if (!op->returns_value)
        return ASSENT_OK;
    char text[WIDE_TEXT_BYTES];
    struct kv_cell result = {
        .key = op->key,
        .value = bytes_of_text(number_text(touch->low, text)),
        .live = true,
        .version = {0, c->txid, touch->applies}, /* its timestamp is the commit's */
    };
    if (kv_reads_put(&c->reads, at, &result))
        return ASSENT_OK;
    char k[KV_QUOTED_BYTES];
    kv_say(&c->say, "key %s: the reads give more than %u bytes: read less at once",
           kv_quote(op->key, k), RESULTS_BYTES_MAX);
    return ASSENT_TOO_LARGE;
}

static assent_status check_write(struct kv_checker *c, struct touch_tree *touched, uint32_t at,
                                 const struct op *op)
{
    bool fresh;
    struct touch *touch = touch_open(touched, op->key, &fresh);
    if (op->kind != OP_ADD) {
        touch_rewrite(touch, op);
        return ASSENT_OK;
    }
    assent_status status = fresh ? touch_load(c, touch) : ASSENT_OK;
    return status == ASSENT_OK ? check_add(c, touch, at, op) : status;
}

/* The pending transaction whose adds the new ones would take past a bound, for the sentence. */
static assent_status pending_refused(struct kv_checker *c, const struct touch *touch,
                                     const struct kv_key *key, bool up)
{
    char k[KV_QUOTED_BYTES], n[WIDE_TEXT_BYTES], w[WIDE_TEXT_BYTES], b[WIDE_TEXT_BYTES];
    char txid[TXID_TEXT_BYTES];
    const struct kv_hold *hold;
    TAILQ_FOREACH (hold, &key->holds, link) {
        const struct kv_limit *limit = up ? &hold->greatest : &hold->least;
        wide own = up == (hold->net > 0) ? hold->net : 0;
        wide before = (up ? touch->high : touch->low) - own, bound = limit->before + limit->shift;
        if (up ? before <= limit->before : before >= limit->before)
            continue;
        kv_say(&c->say,
               "key %s: adding %s takes the pending add of %s to %s in the worst case, %s bound %s",
               kv_quote(touch->key, k), number_text(touch->net, n),
               txid_text(&hold->owner->txid, txid), number_text(before + limit->shift, w),
               up ? "above its upper" : "below its lower", number_text(bound, b));
        return bound == INT64_MAX || bound == INT64_MIN ? ASSENT_OVERFLOW : ASSENT_OUT_OF_BOUNDS;
    }
    fprintf(stderr, "assent: kv_pending: the limits of a key fit none of its pending adds\n");
    abort();
}

/* The bounds of the adds that are pending already must hold whatever becomes of this transaction.
 */
static assent_status check_pending(struct kv_checker *c, struct touch_tree *touched)
{
    struct touch *touch;
    RB_FOREACH (touch, touch_tree, touched) {
        const struct kv_key *key = touch->rewritten ? NULL : kv_pending_key(c->pending, touch->key);
        if (key == NULL)
            continue;
        if (touch->net > 0 && touch->high > key->high)
            return pending_refused(c, touch, key, true);
        if (touch->net < 0 && touch->low < key->low)
            return pending_refused(c, touch, key, false);
    }
    return ASSENT_OK;
}

static assent_status check_op(struct kv_checker *c, struct touch_tree *touched, uint32_t at,
                              const struct op *op)
{
    kv_pending_assert_free(c->pending, op);
    switch (op->kind) {
    case OP_CHECK_EXISTS:
    case OP_CHECK_ABSENT:
    case OP_CHECK_VALUE:
    case OP_CHECK_VERSION:
    case OP_CHECK_AT_LEAST:
        return check_key(c, op);
    case OP_CHECK_RANGE:
        return check_range(c, op);
    case OP_READ_KEY:
    case OP_READ_RANGE:
        return kv_reads_run(&c->reads, &c->view, at, op, &c->say);
    case OP_PUT:
    case OP_DELETE:
    case OP_ADD:
        return check_write(c, touched, at, op);
    }
    return ASSENT_MALFORMED;
}

assent_status kv_check(struct kv_checker *c, const struct ops *ops)
{
    struct touch_tree touched = RB_INITIALIZER(&touched);
    struct touch *touch;
    assent_status status = ASSENT_OK;
    for (uint32_t i = 0; i < ops->n && status == ASSENT_OK; i++)
        status = check_op(c, &touched, i, &ops->op[i]);
    if (status == ASSENT_OK)
        status = check_pending(c, &touched);
    while ((touch = RB_ROOT(&touched)) != NULL) {
        RB_REMOVE(touch_tree, &touched, touch);
        free(touch);
    }
    return status;
}
