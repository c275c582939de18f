#include "participant/kv_pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ops_codec.h"

/* Of a range that is read: an assertion need not cost more than the read. */
#define ASSERT_KEYS_MAX 256

static struct bytes key_bytes(const struct kv_key *key)
{
    return bytes_of(key->data, key->len);
}

static int key_compare(const struct kv_key *a, const struct kv_key *b)
{
    return bytes_compare(key_bytes(a), key_bytes(b));
}

static int txn_compare(const struct kv_txn *a, const struct kv_txn *b)
{
    return txid_compare(&a->txid, &b->txid);
}

RB_STATIC(kv_key_tree, kv_key, link, key_compare)
RB_STATIC(kv_txn_tree, kv_txn, link, txn_compare)

static wide positive(wide net)
{
    return net > 0 ? net : 0;
}

static wide negative(wide net)
{
    return net < 0 ? net : 0;
}

void kv_pending_init(struct kv_pending *p)
{
    RB_INIT(&p->keys);
    RB_INIT(&p->txns);
    TAILQ_INIT(&p->reserved);
}

void kv_pending_free(struct kv_pending *p)
{
    struct kv_txn *txn;
    while ((txn = RB_ROOT(&p->txns)) != NULL)
        kv_pending_drop(p, txn);
}

/* The pending key not below `key`, or NULL. */
static struct kv_key *key_from(const struct kv_pending *p, struct bytes key)
{
    struct kv_key *at = RB_ROOT(&p->keys), *first = NULL;
    while (at != NULL) {
        int order = bytes_compare(key, key_bytes(at));
        if (order <= 0)
            first = at;
        if (order == 0)
            break;
        at = order < 0 ? RB_LEFT(at, link) : RB_RIGHT(at, link);
    }
    return first;
}

const struct kv_key *kv_pending_key(const struct kv_pending *p, struct bytes key)
{
    const struct kv_key *found = key_from(p, key);
    return found != NULL && bytes_equal(key_bytes(found), key) ? found : NULL;
}

static struct kv_key *key_open(struct kv_pending *p, struct bytes bytes)
{
    struct kv_key *key = key_from(p, bytes);
    if (key != NULL && bytes_equal(key_bytes(key), bytes))
        return key;
    key = xcalloc(1, sizeof *key + bytes.len);
    TAILQ_INIT(&key->holds);
    key->len = bytes.len;
    if (bytes.len > 0)
        memcpy(key->data, bytes.data, bytes.len);
    RB_INSERT(kv_key_tree, &p->keys, key);
    return key;
}

static void key_count(struct kv_key *key, const struct kv_hold *hold)
{
    wide high = hold->greatest.before + positive(hold->net);
    wide low = hold->least.before + negative(hold->net);
    if (key->high_holds == 0 || high < key->high) {
        key->high = high;
        key->high_holds = 0;
    }
    if (key->low_holds == 0 || low > key->low) {
        key->low = low;
        key->low_holds = 0;
    }
    key->high_holds += high == key->high;
    key->low_holds += low == key->low;
}

/* Adds of one counter mostly share their bounds, so the last hold at an extreme is seldom removed
 * and the walk over all is rare. */
static void key_discount(struct kv_key *key, const struct kv_hold *hold)
{
    key->high_holds -= hold->greatest.before + positive(hold->net) == key->high;
    key->low_holds -= hold->least.before + negative(hold->net) == key->low;
    if (key->high_holds > 0 && key->low_holds > 0)
        return;
    key->high_holds = 0;
    key->low_holds = 0;
    const struct kv_hold *other;
    TAILQ_FOREACH (other, &key->holds, link)
        key_count(key, other);
}

static struct kv_hold *txn_hold(struct kv_txn *txn, struct kv_key *key)
{
    struct kv_hold *last = TAILQ_LAST(&key->holds, kv_holds);
    if (last != NULL && last->owner == txn)
        return last;
    struct kv_hold *hold = &txn->hold[txn->n++];
    hold->key = key;
    hold->owner = txn;
    hold->least.before = INT64_MIN;
    hold->greatest.before = INT64_MAX;
    TAILQ_INSERT_TAIL(&key->holds, hold, link);
    return hold;
}

static void hold_add(struct kv_hold *hold, const struct op *op)
{
    hold->net += op->number;
    wide least = (op->has_lower ? op->lower : INT64_MIN) - hold->net;
    wide greatest = (op->has_upper ? op->upper : INT64_MAX) - hold->net;
    if (least > hold->least.before)
        hold->least = (struct kv_limit){least, hold->net};
    if (greatest < hold->greatest.before)
        hold->greatest = (struct kv_limit){greatest, hold->net};
}

static uint32_t ops_writes(const struct ops *ops)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ops->n; i++)
        n += op_is_write(ops->op[i].kind);
    return n;
}

struct kv_txn *kv_pending_reserve(struct kv_pending *p, const struct txid *txid, struct ops *ops)
{
    struct kv_txn *txn = xcalloc(1, sizeof *txn + ops_writes(ops) * sizeof txn->hold[0]);
    txn->txid = *txid;
    txn->ops = *ops;
    *ops = (struct ops){0};
    if (RB_INSERT(kv_txn_tree, &p->txns, txn) != NULL) {
        fprintf(stderr, "assent: kv_pending: a transaction is prepared a second time\n");
        abort();
    }
    TAILQ_INSERT_TAIL(&p->reserved, txn, reserved_link);
    for (uint32_t i = 0; i < txn->ops.n; i++) {
        const struct op *op = &txn->ops.op[i];
        if (!op_is_write(op->kind))
            continue;
        struct kv_hold *hold = txn_hold(txn, key_open(p, op->key));
        if (op->kind == OP_ADD)
            hold_add(hold, op);
        if (op->kind != OP_ADD || op->returns_value)
            hold->exclusive = true;
    }
    for (uint32_t i = 0; i < txn->n; i++) {
        struct kv_hold *hold = &txn->hold[i];
        if (hold->exclusive)
            continue;
        hold->key->positive += positive(hold->net);
        hold->key->negative += negative(hold->net);
        key_count(hold->key, hold);
    }
    return txn;
}

void kv_pending_prepared(struct kv_pending *p, struct kv_txn *txn, hlc_ts prepare_ts,
                         struct blob *body)
{
    TAILQ_REMOVE(&p->reserved, txn, reserved_link);
    txn->prepared = true;
    txn->prepare_ts = prepare_ts;
    txn->body = blob_ref(body);
}

static void hold_drop(struct kv_pending *p, struct kv_hold *hold)
{
    struct kv_key *key = hold->key;
    TAILQ_REMOVE(&key->holds, hold, link);
    if (TAILQ_EMPTY(&key->holds)) {
        RB_REMOVE(kv_key_tree, &p->keys, key);
        free(key);
    } else if (!hold->exclusive) {
        key->positive -= positive(hold->net);
        key->negative -= negative(hold->net);
        key_discount(key, hold);
    }
}

void kv_pending_drop(struct kv_pending *p, struct kv_txn *txn)
{
    for (uint32_t i = 0; i < txn->n; i++)
        hold_drop(p, &txn->hold[i]);
    if (!txn->prepared)
        TAILQ_REMOVE(&p->reserved, txn, reserved_link);
    RB_REMOVE(kv_txn_tree, &p->txns, txn);
    ops_free(&txn->ops);
    blob_unref(txn->body);
    free(txn);
}

void kv_pending_drop_reserved(struct kv_pending *p)
{
    struct kv_txn *txn;
    while ((txn = TAILQ_FIRST(&p->reserved)) != NULL)
        kv_pending_drop(p, txn);
}

struct kv_txn *kv_pending_find(const struct kv_pending *p, const struct txid *txid)
{
    struct kv_txn *at = RB_ROOT(&p->txns);
    while (at != NULL) {
        int order = txid_compare(txid, &at->txid);
        if (order == 0)
            return at;
        at = order < 0 ? RB_LEFT(at, link) : RB_RIGHT(at, link);
    }
    return NULL;
}

struct kv_txn *kv_pending_first(const struct kv_pending *p)
{
    struct kv_txn *at = RB_ROOT(&p->txns);
    while (at != NULL && RB_LEFT(at, link) != NULL)
        at = RB_LEFT(at, link);
    return at;
}

struct kv_txn *kv_pending_next(struct kv_txn *txn)
{
    return RB_NEXT(kv_txn_tree, NULL, txn);
}

static _Noreturn void stop_for(const struct kv_txn *txn, const char *what)
{
    char text[TXID_TEXT_BYTES];
    fprintf(stderr, "assent: kv_pending: %s transaction %s writes it\n", what,
            txid_text(&txn->txid, text));
    abort();
}

void kv_pending_assert_free(const struct kv_pending *p, const struct op *op)
{
    const struct kv_key *key = key_from(p, op->key);
    bool held;
    if (op_is_range(op->kind))
        held = key != NULL && (op->end.len == 0 || bytes_compare(key_bytes(key), op->end) < 0);
    else
        held = key != NULL && bytes_equal(key_bytes(key), op->key);
    bool shared = op->kind == OP_ADD && !op->returns_value;
    if (!held || (shared && !TAILQ_FIRST(&key->holds)->exclusive))
        return;
    stop_for(TAILQ_FIRST(&key->holds)->owner, "a key is used while");
}

void kv_pending_assert_settled(const struct kv_pending *p, const struct op *op, hlc_ts at)
{
    if (at == READ_NEWEST) {
        kv_pending_assert_free(p, op);
        return;
    }
    const struct kv_key *key = key_from(p, op->key);
    for (int i = 0; i < ASSERT_KEYS_MAX && key != NULL; i++) {
        const struct kv_hold *hold;
        bool inside = op_is_range(op->kind)
                          ? op->end.len == 0 || bytes_compare(key_bytes(key), op->end) < 0
                          : bytes_equal(key_bytes(key), op->key);
        if (!inside)
            return;
        TAILQ_FOREACH (hold, &key->holds, link)
            if (hold->owner->prepared && hold->owner->prepare_ts <= at)
                stop_for(hold->owner, "a key is read at a timestamp at which");
        key = kv_key_tree_RB_NEXT((struct kv_key *)(uintptr_t)key);
    }
}
