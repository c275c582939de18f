#include "chaos/check_order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct order_key *order_find(const struct order *o, int64_t key)
{
    struct order_key *k;
    HASH_FIND(hh, o->keys, &key, sizeof key, k);
    return k;
}

struct append *order_append(const struct order *o, int64_t key, int64_t value)
{
    struct append_at at = {key, value};
    struct append *a;
    HASH_FIND(hh, o->appends, &at, sizeof at, a);
    return a;
}

uint32_t order_version(const struct operation *op, uint32_t step)
{
    const struct micro *m = &op->micro[step];
    uint32_t own = 0;
    for (uint32_t i = 0; i < step; i++)
        own += op->micro[i].kind == MICRO_APPEND && op->micro[i].key == m->key;
    return m->n - own;
}

static struct order_key *key_of(struct order *o, int64_t key)
{
    struct order_key *k = order_find(o, key);
    if (k == NULL) {
        k = xcalloc(1, sizeof *k);
        k->key = key;
        k->index = HASH_COUNT(o->keys);
        k->latest_read = HISTORY_NEVER;
        HASH_ADD(hh, o->keys, key, sizeof k->key, k);
    }
    return k;
}

/* The operation's append to the same key before this step; NULL if there is none. */
static const struct micro *previous_append(const struct operation *op, uint32_t step)
{
    for (uint32_t i = step; i-- > 0;)
        if (op->micro[i].kind == MICRO_APPEND && op->micro[i].key == op->micro[step].key)
            return &op->micro[i];
    return NULL;
}

static enum verdict collect_appends(struct order *o, struct finding *out)
{
    const struct history *h = o->h;
    size_t count = 0;
    for (uint32_t i = 0; i < h->n; i++)
        for (uint32_t s = 0; s < h->op[i].n; s++)
            count += h->op[i].micro[s].kind == MICRO_APPEND;
    o->all = xcalloc(count + 1, sizeof *o->all);
    for (uint32_t i = 0; i < h->n; i++) {
        for (uint32_t s = 0; s < h->op[i].n; s++) {
            const struct micro *m = &h->op[i].micro[s];
            key_of(o, m->key);
            if (m->kind != MICRO_APPEND)
                continue;
            struct append *a = order_append(o, m->key, m->value);
            if (a != NULL)
                return finding_unjudged(out,
                                        "the workload appended %" PRId64 " to key %" PRId64
                                        " twice, in operations %" PRIu32 " and %" PRIu32,
                                        m->value, m->key, a->op, i);
            const struct micro *before = previous_append(&h->op[i], s);
            if (before != NULL)
                order_append(o, before->key, before->value)->last = false;
            a = &o->all[o->appends_n++];
            a->at = (struct append_at){m->key, m->value};
            a->op = i;
            a->step = s;
            a->last = true;
            HASH_ADD(hh, o->appends, at, sizeof a->at, a);
        }
    }
    return VERDICT_HELD;
}

/* Whether a known read agrees with the operation's own earlier steps. */
static bool agrees_with_itself(const struct operation *op, uint32_t step)
{
    const struct micro *m = &op->micro[step];
    uint32_t left = m->n;
    for (uint32_t i = step; i-- > 0;) {
        const struct micro *before = &op->micro[i];
        if (before->key != m->key)
            continue;
        if (before->kind == MICRO_APPEND) {
            if (left == 0 || m->values[left - 1] != before->value)
                return false;
            left--;
        } else if (before->known) {
            return left == before->n &&
                   (left == 0 || before->values == m->values ||
                    memcmp(before->values, m->values, left * sizeof *m->values) == 0);
        }
    }
    return true;
}

static enum verdict check_own_steps(struct order *o, struct finding *out)
{
    char who[OP_TEXT_BYTES], list[LIST_TEXT_BYTES];
    for (uint32_t i = 0; i < o->h->n; i++) {
        const struct operation *op = &o->h->op[i];
        for (uint32_t s = 0; s < op->n; s++) {
            if (!op_read_known(op, s) || agrees_with_itself(op, s))
                continue;
            const struct micro *m = &op->micro[s];
            finding_failed(out, ANOMALY_INTERNAL,
                           "%s read key %" PRId64 " as %s in step %" PRIu32
                           ", which does not fit its own earlier steps on that key",
                           op_text(o->h, i, who), m->key, list_text(m->values, m->n, list), s + 1);
            finding_op(out, i);
            return out->verdict;
        }
    }
    return VERDICT_HELD;
}

static void find_longest(struct order *o)
{
    for (uint32_t i = 0; i < o->h->n; i++) {
        const struct operation *op = &o->h->op[i];
        for (uint32_t s = 0; s < op->n; s++) {
            if (!op_read_known(op, s))
                continue;
            const struct micro *m = &op->micro[s];
            struct order_key *k = order_find(o, m->key);
            o->reads_n++;
            k->latest_read = i;
            if (m->n > k->n) {
                k->n = m->n;
                k->values = m->values;
                k->longest_read = i;
            }
        }
    }
}

/* A read that is no beginning of the longest one: what is wrong with it. */
static enum verdict say_no_prefix(const struct order *o, const struct order_key *k, uint32_t op,
                                  const struct micro *m, struct finding *out)
{
    char who[OP_TEXT_BYTES], other[OP_TEXT_BYTES], list[LIST_TEXT_BYTES], longest[LIST_TEXT_BYTES];
    op_text(o->h, op, who);
    list_text(m->values, m->n, list);
    for (uint32_t i = 0; i < m->n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (m->values[i] != m->values[j])
                continue;
            finding_failed(out, ANOMALY_DUPLICATE_ELEMENTS,
                           "%s read key %" PRId64 " as %s: %" PRId64 " is in it twice", who, k->key,
                           list, m->values[i]);
            finding_op(out, op);
            return out->verdict;
        }
        if (order_append(o, k->key, m->values[i]) == NULL) {
            finding_failed(out, ANOMALY_UNKNOWN_VALUE,
                           "%s read key %" PRId64 " as %s: nobody appended %" PRId64, who, k->key,
                           list, m->values[i]);
            finding_op(out, op);
            return out->verdict;
        }
    }
    finding_failed(out, ANOMALY_INCOMPATIBLE_ORDER,
                   "key %" PRId64 " was read as %s by %s and as %s by %s", k->key, list, who,
                   list_text(k->values, k->n, longest), op_text(o->h, k->longest_read, other));
    finding_op(out, op);
    finding_op(out, k->longest_read);
    return out->verdict;
}

static enum verdict check_prefixes(struct order *o, struct finding *out)
{
    for (uint32_t i = 0; i < o->h->n; i++) {
        const struct operation *op = &o->h->op[i];
        for (uint32_t s = 0; s < op->n; s++) {
            const struct micro *m = &op->micro[s];
            if (!op_read_known(op, s) || m->n == 0)
                continue;
            const struct order_key *k = order_find(o, m->key);
            if (m->values != k->values &&
                memcmp(m->values, k->values, m->n * sizeof *m->values) != 0)
                return say_no_prefix(o, k, i, m, out);
        }
    }
    return VERDICT_HELD;
}

/* An aborted element of the list: dirty-update if a committed one comes behind it. */
static enum verdict say_aborted(const struct order *o, const struct order_key *k, uint32_t at,
                                struct finding *out)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES], list[LIST_TEXT_BYTES];
    const struct append *a = k->element[at];
    for (uint32_t i = at + 1; i < k->n; i++) {
        const struct append *b = order_append(o, k->key, k->values[i]);
        if (b == NULL || o->h->op[b->op].result != RESULT_OK)
            continue;
        finding_failed(out, ANOMALY_DIRTY_UPDATE,
                       "%s failed, but its %" PRId64 " is in key %" PRId64
                       ", and %s appended %" PRId64 " behind it: %s",
                       op_text(o->h, a->op, who), a->at.value, k->key, op_text(o->h, b->op, by),
                       b->at.value, list_text(k->values, k->n, list));
        finding_op(out, b->op);
        finding_op(out, a->op);
        return out->verdict;
    }
    finding_failed(out, ANOMALY_G1A,
                   "%s failed, but %s read its %" PRId64 " in key %" PRId64 ": %s",
                   op_text(o->h, a->op, who), op_text(o->h, k->longest_read, by), a->at.value,
                   k->key, list_text(k->values, k->n, list));
    finding_op(out, a->op);
    finding_op(out, k->longest_read);
    return out->verdict;
}

static enum verdict place_elements(struct order *o, struct order_key *k, struct finding *out)
{
    char who[OP_TEXT_BYTES], list[LIST_TEXT_BYTES];
    k->element = xcalloc((size_t)k->n + 1, sizeof(struct append *));
    for (uint32_t i = 0; i < k->n; i++) {
        struct append *a = order_append(o, k->key, k->values[i]);
        if (a == NULL || a->position != 0) {
            finding_failed(out, a == NULL ? ANOMALY_UNKNOWN_VALUE : ANOMALY_DUPLICATE_ELEMENTS,
                           "%s read key %" PRId64 " as %s: %" PRId64 " %s",
                           op_text(o->h, k->longest_read, who), k->key,
                           list_text(k->values, k->n, list), k->values[i],
                           a == NULL ? "was appended by nobody" : "is in it twice");
            finding_op(out, k->longest_read);
            return out->verdict;
        }
        a->position = i + 1;
        k->element[i] = a;
    }
    for (uint32_t i = 0; i < k->n; i++)
        if (o->h->op[k->element[i]->op].result == RESULT_FAIL)
            return say_aborted(o, k, i, out);
    return VERDICT_HELD;
}

/* The appends of one operation to one key lie in the list in the order of its steps. */
static enum verdict check_order_of_steps(const struct order *o, struct finding *out)
{
    char who[OP_TEXT_BYTES];
    for (uint32_t i = 0; i < o->appends_n; i++) {
        const struct append *a = &o->all[i];
        const struct micro *m = previous_append(&o->h->op[a->op], a->step);
        if (m == NULL || a->position == 0)
            continue;
        const struct append *b = order_append(o, m->key, m->value);
        if (b->position != 0 && b->position < a->position)
            continue;
        finding_failed(out, b->position == 0 ? ANOMALY_LOST_APPEND : ANOMALY_INCOMPATIBLE_ORDER,
                       "%s appended %" PRId64 " and then %" PRId64 " to key %" PRId64
                       ", but the list has the second %s the first",
                       op_text(o->h, a->op, who), b->at.value, a->at.value, a->at.key,
                       b->position == 0 ? "without" : "before");
        finding_op(out, a->op);
        return out->verdict;
    }
    return VERDICT_HELD;
}

/* Reads of what was not there yet in their own operation, and of what was there only between two
 * steps of another. */
static enum verdict check_versions(const struct order *o, struct finding *out)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES];
    for (uint32_t i = 0; i < o->h->n; i++) {
        const struct operation *op = &o->h->op[i];
        for (uint32_t s = 0; s < op->n; s++) {
            uint32_t version = op_read_known(op, s) ? order_version(op, s) : 0;
            if (version == 0)
                continue;
            const struct micro *m = &op->micro[s];
            const struct append *a = order_append(o, m->key, m->values[version - 1]);
            for (uint32_t t = s + 1; t < op->n; t++) {
                const struct micro *later = &op->micro[t];
                if (later->kind != MICRO_APPEND || later->key != m->key)
                    continue;
                uint32_t position = order_append(o, m->key, later->value)->position;
                if (position == 0 || position > version)
                    continue;
                finding_failed(out, ANOMALY_INTERNAL,
                               "%s read %" PRId64 " in key %" PRId64 " before it appended it",
                               op_text(o->h, i, who), later->value, m->key);
                finding_op(out, i);
                return out->verdict;
            }
            if (a->last || a->op == i)
                continue;
            finding_failed(out, ANOMALY_G1B,
                           "%s read key %" PRId64 " as it was between two steps of %s: it ends "
                           "with %" PRId64,
                           op_text(o->h, i, who), m->key, op_text(o->h, a->op, by), a->at.value);
            finding_op(out, i);
            finding_op(out, a->op);
            return out->verdict;
        }
    }
    return VERDICT_HELD;
}

/* By which event each operation is known to have committed: a read that ended had seen it. */
static void find_known(struct order *o)
{
    const struct history *h = o->h;
    o->known_at = xcalloc((size_t)h->n + 1, sizeof *o->known_at);
    for (uint32_t i = 0; i < h->n; i++)
        o->known_at[i] = h->op[i].result == RESULT_OK ? h->op[i].ended_at : HISTORY_NEVER;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *op = &h->op[i];
        for (uint32_t s = 0; s < op->n; s++) {
            if (!op_read_known(op, s) || op->micro[s].n == 0)
                continue;
            const struct order_key *k = order_find(o, op->micro[s].key);
            uint32_t *known = &o->known_at[k->element[op->micro[s].n - 1]->op];
            *known = op->ended_at < *known ? op->ended_at : *known;
        }
    }
    /* who saw an element saw all before it */
    for (struct order_key *k = o->keys; k != NULL; k = k->hh.next) {
        uint32_t seen = HISTORY_NEVER;
        for (uint32_t i = k->n; i-- > 0;) {
            uint32_t *known = &o->known_at[k->element[i]->op];
            seen = *known < seen ? *known : seen;
            *known = seen;
        }
    }
}

static void find_unseen(struct order *o)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (struct order_key *k = o->keys; pass == 1 && k != NULL; k = k->hh.next) {
            k->unseen = xcalloc((size_t)k->unseen_n + 1, sizeof(struct append *));
            k->unseen_n = 0;
        }
        for (uint32_t i = 0; i < o->appends_n; i++) {
            struct append *a = &o->all[i];
            if (a->position != 0 || o->known_at[a->op] == HISTORY_NEVER)
                continue;
            struct order_key *k = order_find(o, a->at.key);
            if (pass == 1)
                k->unseen[k->unseen_n] = a;
            k->unseen_n++;
        }
    }
}

enum verdict order_build(struct order *o, const struct history *h, struct finding *out)
{
    *o = (struct order){.h = h};
    if (h->workload != WORKLOAD_LIST)
        return finding_unjudged(out, "not a history of lists");
    if (collect_appends(o, out) != VERDICT_HELD || check_own_steps(o, out) != VERDICT_HELD)
        return out->verdict;
    find_longest(o);
    if (check_prefixes(o, out) != VERDICT_HELD)
        return out->verdict;
    for (struct order_key *k = o->keys; k != NULL; k = k->hh.next)
        if (place_elements(o, k, out) != VERDICT_HELD)
            return out->verdict;
    if (check_order_of_steps(o, out) != VERDICT_HELD || check_versions(o, out) != VERDICT_HELD)
        return out->verdict;
    find_known(o);
    find_unseen(o);
    return finding_held(out, "%" PRIu32 " operations", h->n);
}

void order_free(struct order *o)
{
    struct order_key *k, *next;
    HASH_CLEAR(hh, o->appends);
    HASH_ITER (hh, o->keys, k, next) {
        HASH_DEL(o->keys, k);
        free(k->element);
        free(k->unseen);
        free(k);
    }
    free(o->all);
    free(o->known_at);
}
