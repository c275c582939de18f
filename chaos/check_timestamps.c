#include "chaos/check_timestamps.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/check_order.h"

static bool has_timestamp(const struct operation *o)
{
    return o->result == RESULT_OK && o->commit_ts != 0;
}

/* `first` must have the smaller timestamp because of what happened at `key`. */
static enum verdict say_order(const struct history *h, uint32_t first, uint32_t second, int64_t key,
                              const char *why, struct finding *out)
{
    char a[OP_TEXT_BYTES], b[OP_TEXT_BYTES];
    hlc_ts x = h->op[first].commit_ts, y = h->op[second].commit_ts;
    finding_failed(out, x == y ? ANOMALY_TIMESTAMP_EQUAL : ANOMALY_TIMESTAMP_ORDER,
                   "%s committed at %" PRIu64 ", %s at %" PRIu64 ", but the second %s (key %" PRId64
                   ")",
                   op_text(h, first, a), x, op_text(h, second, b), y, why, key);
    finding_op(out, first);
    finding_op(out, second);
    return out->verdict;
}

/* ---- lists ---- */

/* For each number of elements: the operation with the greatest timestamp that made it, and the one
 * with the smallest that made it longer; HISTORY_NEVER if none has a timestamp. */
struct extremes {
    uint32_t *before, *after;
};

static uint32_t later_of(const struct history *h, uint32_t a, uint32_t b)
{
    if (a == HISTORY_NEVER || b == HISTORY_NEVER)
        return a == HISTORY_NEVER ? b : a;
    return h->op[a].commit_ts >= h->op[b].commit_ts ? a : b;
}

static uint32_t earlier_of(const struct history *h, uint32_t a, uint32_t b)
{
    if (a == HISTORY_NEVER || b == HISTORY_NEVER)
        return a == HISTORY_NEVER ? b : a;
    return h->op[a].commit_ts <= h->op[b].commit_ts ? a : b;
}

static uint32_t stamped(const struct history *h, uint32_t op)
{
    return has_timestamp(&h->op[op]) ? op : HISTORY_NEVER;
}

static struct extremes extremes_of(const struct history *h, const struct order_key *k)
{
    struct extremes x = {xcalloc((size_t)k->n + 1, sizeof(uint32_t)),
                         xcalloc((size_t)k->n + 1, sizeof(uint32_t))};
    x.before[0] = x.after[k->n] = HISTORY_NEVER;
    for (uint32_t i = 0; i < k->n; i++)
        x.before[i + 1] = later_of(h, x.before[i], stamped(h, k->element[i]->op));
    for (uint32_t i = 0; i < k->unseen_n; i++)
        x.after[k->n] = earlier_of(h, x.after[k->n], stamped(h, k->unseen[i]->op));
    for (uint32_t i = k->n; i-- > 0;)
        x.after[i] = earlier_of(h, x.after[i + 1], stamped(h, k->element[i]->op));
    return x;
}

static bool wrong(const struct history *h, uint32_t first, uint32_t second)
{
    return first != HISTORY_NEVER && second != HISTORY_NEVER && first != second &&
           h->op[first].commit_ts >= h->op[second].commit_ts;
}

static enum verdict check_list_writes(const struct history *h, const struct order_key *k,
                                      const struct extremes *x, struct finding *out)
{
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t op = stamped(h, k->element[i]->op);
        if (wrong(h, x->before[i], op))
            return say_order(h, x->before[i], op, k->key, "appended behind the first", out);
    }
    if (wrong(h, x->before[k->n], x->after[k->n]))
        return say_order(h, x->before[k->n], x->after[k->n], k->key,
                         "appended behind the first, as its append is not among those read", out);
    return VERDICT_HELD;
}

/* A read of version `version` by `op`, which may have made the next one itself. */
static enum verdict check_list_read(const struct history *h, const struct order_key *k,
                                    const struct extremes *x, uint32_t op, uint32_t version,
                                    struct finding *out)
{
    uint32_t next = version;
    while (next < k->n && k->element[next]->op == op)
        next++;
    uint32_t before = x->before[version], after = x->after[next];
    if (wrong(h, before, op))
        return say_order(h, before, op, k->key, "saw what the first wrote", out);
    if (wrong(h, op, after))
        return say_order(h, op, after, k->key, "wrote what the first had not seen", out);
    return VERDICT_HELD;
}

static enum verdict check_lists(const struct history *h, struct finding *out)
{
    struct order o;
    enum verdict v = order_build(&o, h, out);
    unsigned keys = HASH_COUNT(o.keys);
    struct extremes *x = xcalloc((size_t)keys + 1, sizeof *x);
    for (struct order_key *k = o.keys; v == VERDICT_HELD && k != NULL; k = k->hh.next) {
        x[k->index] = extremes_of(h, k);
        v = check_list_writes(h, k, &x[k->index], out);
    }
    for (uint32_t i = 0; i < h->n && v == VERDICT_HELD; i++) {
        const struct operation *op = &h->op[i];
        for (uint32_t s = 0; has_timestamp(op) && s < op->n && v == VERDICT_HELD; s++) {
            if (!op_read_known(op, s))
                continue;
            const struct order_key *k = order_find(&o, op->micro[s].key);
            v = check_list_read(h, k, &x[k->index], i, order_version(op, s), out);
        }
    }
    for (unsigned i = 0; i < keys; i++) {
        free(x[i].before);
        free(x[i].after);
    }
    free(x);
    order_free(&o);
    return v;
}

/* ---- replay in timestamp order ---- */

struct stamp {
    int64_t key;
    hlc_ts ts;
    uint32_t op;
};

static int compare_stamps(const void *a, const void *b)
{
    const struct stamp *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->op > y->op) - (x->op < y->op);
}

/* Everything that has a timestamp; `keyed`: apart by key. */
static struct stamp *stamps_of(const struct history *h, bool keyed, size_t *n)
{
    struct stamp *all = xcalloc((size_t)h->n + 1, sizeof *all);
    *n = 0;
    for (uint32_t i = 0; i < h->n; i++)
        if (has_timestamp(&h->op[i]))
            all[(*n)++] = (struct stamp){keyed ? h->op[i].micro[0].key : 0, h->op[i].commit_ts, i};
    qsort(all, *n, sizeof *all, compare_stamps);
    return all;
}

static bool is_read(const struct history *h, uint32_t op)
{
    return h->op[op].micro[0].kind == MICRO_READ;
}

/* Two operations at one timestamp, unless both are reads or, with `writes_commute`, both writes. */
static enum verdict check_equal(const struct history *h, const struct stamp *all, size_t n,
                                bool writes_commute, struct finding *out)
{
    for (size_t i = 1; i < n; i++) {
        const struct stamp *a = &all[i - 1], *b = &all[i];
        if (a->key != b->key || a->ts != b->ts)
            continue;
        bool x = is_read(h, a->op), y = is_read(h, b->op);
        if (x != y || (!x && !writes_commute))
            return say_order(h, a->op, b->op, a->key, "conflicts with the first", out);
    }
    return VERDICT_HELD;
}

/* Values that an operation without a timestamp may have written. */
static bool written_without_timestamp(const struct history *h, int64_t key, int64_t value)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *o = &h->op[i];
        const struct micro *m = &o->micro[0];
        if (o->result != RESULT_FAIL && !has_timestamp(o) && m->kind != MICRO_READ &&
            m->key == key && m->value == value)
            return true;
    }
    return false;
}

static enum verdict check_registers(const struct history *h, struct finding *out)
{
    size_t n;
    struct stamp *all = stamps_of(h, true, &n);
    int64_t state = HISTORY_NIL;
    uint32_t by = HISTORY_NEVER;
    enum verdict v = check_equal(h, all, n, false, out);
    for (size_t i = 0; i < n && v == VERDICT_HELD; i++) {
        const struct micro *m = &h->op[all[i].op].micro[0];
        if (i == 0 || all[i].key != all[i - 1].key) {
            state = HISTORY_NIL;
            by = HISTORY_NEVER;
        }
        bool saw = m->kind == MICRO_CAS || (m->kind == MICRO_READ && m->known);
        int64_t seen = m->kind == MICRO_CAS ? m->other : saw ? m->values[0] : 0;
        if (saw && seen != state && !written_without_timestamp(h, m->key, seen)) {
            char who[OP_TEXT_BYTES], a[VALUE_TEXT_BYTES], b[VALUE_TEXT_BYTES];
            v = finding_failed(out, ANOMALY_TIMESTAMP_ORDER,
                               "%s, committed at %" PRIu64 ", saw %s in key %" PRId64
                               ", but the last write before that timestamp left %s",
                               op_text(h, all[i].op, who), all[i].ts, value_text(seen, a), m->key,
                               value_text(state, b));
            finding_op(out, all[i].op);
            if (by != HISTORY_NEVER)
                finding_op(out, by);
        }
        state = saw ? seen : state;
        if (m->kind != MICRO_READ) {
            state = m->value;
            by = all[i].op;
        }
    }
    free(all);
    return v;
}

/* What a write whose timestamp is not known does to a sum, if it took effect. */
struct unstamped {
    int64_t key;
    int64_t delta;
    uint32_t invoked_at;
};

/* Of so many writes of one key all subsets are tried for a sum that the others do not explain. */
#define UNSTAMPED_MAX 12

struct sums {
    struct unstamped *unstamped; /* by key */
    size_t n;
    uint64_t judged;   /* sums that were looked at */
    uint64_t left_out; /* and that too many writes might explain */
};

static int compare_unstamped(const void *a, const void *b)
{
    const struct unstamped *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static struct sums sums_new(const struct history *h)
{
    struct sums s = {xcalloc(2 * (size_t)h->n + 1, sizeof *s.unstamped), 0, 0, 0};
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *o = &h->op[i];
        const struct micro *m = &o->micro[0];
        if (is_read(h, i) || o->result == RESULT_FAIL || has_timestamp(o))
            continue;
        bool moves = m->kind == MICRO_TRANSFER;
        s.unstamped[s.n++] =
            (struct unstamped){m->key, moves ? -m->value : m->value, o->invoked_at};
        if (moves)
            s.unstamped[s.n++] = (struct unstamped){m->other, m->value, o->invoked_at};
    }
    qsort(s.unstamped, s.n, sizeof *s.unstamped, compare_unstamped);
    return s;
}

static bool some_add_up(const int64_t *delta, uint32_t n, int64_t sum)
{
    return sum == 0 || (n > 0 && (some_add_up(delta + 1, n - 1, sum) ||
                                  some_add_up(delta + 1, n - 1, sum - delta[0])));
}

/* Whether a read that ended at event `ended_at` may have found `sum` where what committed below its
 * timestamp adds up to `expected`. */
static bool sum_explained(struct sums *s, int64_t key, uint32_t ended_at, int64_t sum,
                          int64_t expected)
{
    int64_t delta[UNSTAMPED_MAX];
    uint32_t n = 0;
    s->judged++;
    if (sum == expected || sum == HISTORY_NIL)
        return sum == expected;
    for (size_t i = 0; i < s->n; i++) {
        const struct unstamped *u = &s->unstamped[i];
        if (u->key != key || u->invoked_at > ended_at)
            continue;
        if (n == UNSTAMPED_MAX) {
            s->judged--;
            s->left_out++;
            return true;
        }
        delta[n++] = u->delta;
    }
    return some_add_up(delta, n, sum - expected);
}

static enum verdict say_sum(const struct history *h, const struct stamp *s, int64_t key,
                            int64_t found, int64_t expected, struct finding *out)
{
    char who[OP_TEXT_BYTES], value[VALUE_TEXT_BYTES];
    finding_failed(out, ANOMALY_TIMESTAMP_ORDER,
                   "%s, committed at %" PRIu64 ", saw %s in key %" PRId64
                   ", but what committed before that timestamp adds up to %" PRId64,
                   op_text(h, s->op, who), s->ts, value_text(found, value), key, expected);
    finding_op(out, s->op);
    return out->verdict;
}

static enum verdict check_counters(const struct history *h, struct sums *sums, struct finding *out)
{
    size_t n;
    struct stamp *all = stamps_of(h, true, &n);
    int64_t sum = 0;
    enum verdict v = check_equal(h, all, n, true, out);
    for (size_t i = 0; i < n && v == VERDICT_HELD; i++) {
        const struct micro *m = &h->op[all[i].op].micro[0];
        if (i == 0 || all[i].key != all[i - 1].key)
            sum = 0;
        if (m->kind == MICRO_ADD)
            sum += m->value;
        else if (m->known &&
                 !sum_explained(sums, m->key, h->op[all[i].op].ended_at, m->values[0], sum))
            v = say_sum(h, &all[i], m->key, m->values[0], sum, out);
    }
    free(all);
    return v;
}

/* The first read with a timestamp gives the balances to begin with. */
static enum verdict check_accounts(const struct history *h, struct sums *sums, struct finding *out)
{
    size_t n;
    struct stamp *all = stamps_of(h, false, &n);
    enum verdict v = check_equal(h, all, n, true, out);
    int64_t *balance = NULL;
    uint32_t accounts = 0;
    for (size_t i = 0; i < n && v == VERDICT_HELD; i++) {
        const struct micro *m = &h->op[all[i].op].micro[0];
        if (m->kind == MICRO_TRANSFER) {
            if (m->key >= 0 && m->key < accounts)
                balance[m->key] -= m->value;
            if (m->other >= 0 && m->other < accounts)
                balance[m->other] += m->value;
        } else if (m->known && balance == NULL) {
            accounts = m->n;
            balance = xcalloc((size_t)accounts + 1, sizeof *balance);
            if (accounts > 0)
                memcpy(balance, m->values, accounts * sizeof *balance);
        } else if (m->known) {
            for (uint32_t k = 0; k < m->n && k < accounts && v == VERDICT_HELD; k++)
                if (!sum_explained(sums, k, h->op[all[i].op].ended_at, m->values[k], balance[k]))
                    v = say_sum(h, &all[i], k, m->values[k], balance[k], out);
        }
    }
    free(balance);
    free(all);
    return v;
}

static int compare_values(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What the timestamps say about an element and what the read shows must agree. */
static enum verdict check_set_read(const struct history *h, const struct stamp *all, size_t at,
                                   size_t n, int64_t *sorted, struct finding *out)
{
    const struct micro *r = &h->op[all[at].op].micro[0];
    if (r->n > 0)
        memcpy(sorted, r->values, r->n * sizeof *sorted);
    qsort(sorted, r->n, sizeof *sorted, compare_values);
    for (size_t i = 0; i < n; i++) {
        const struct micro *m = &h->op[all[i].op].micro[0];
        if (m->kind == MICRO_READ)
            continue;
        bool there = bsearch(&m->value, sorted, r->n, sizeof *sorted, compare_values) != NULL;
        if (there && i > at)
            return say_order(h, all[i].op, all[at].op, m->value, "read what the first added", out);
        if (!there && i < at)
            return say_order(h, all[at].op, all[i].op, m->value,
                             "added what the first had not seen", out);
    }
    return VERDICT_HELD;
}

static enum verdict check_sets(const struct history *h, struct finding *out)
{
    size_t n;
    uint32_t largest = 0;
    struct stamp *all = stamps_of(h, false, &n);
    enum verdict v = check_equal(h, all, n, true, out);
    for (size_t i = 0; i < n; i++)
        if (h->op[all[i].op].micro[0].n > largest)
            largest = h->op[all[i].op].micro[0].n;
    int64_t *sorted = xcalloc((size_t)largest + 1, sizeof *sorted);
    for (size_t i = 0; i < n && v == VERDICT_HELD; i++)
        if (is_read(h, all[i].op) && h->op[all[i].op].micro[0].known)
            v = check_set_read(h, all, i, n, sorted, out);
    free(sorted);
    free(all);
    return v;
}

static enum verdict say_held(uint32_t stamped_n, struct finding *out)
{
    return finding_held(out, "%" PRIu32 " commit timestamps", stamped_n);
}

static enum verdict check_sums(const struct history *h, uint32_t stamped_n, struct finding *out)
{
    struct sums s = sums_new(h);
    enum verdict v =
        h->workload == WORKLOAD_BANK ? check_accounts(h, &s, out) : check_counters(h, &s, out);
    free(s.unstamped);
    if (v != VERDICT_HELD)
        return v;
    if (s.left_out > 0 && s.judged == 0)
        return finding_unjudged(out, "too many writes have no known outcome or timestamp");
    say_held(stamped_n, out);
    if (s.left_out > 0)
        finding_say(out,
                    "; %" PRIu64 " of %" PRIu64 " sums left out, as more than %d writes of their "
                    "key have no known outcome or timestamp",
                    s.left_out, s.judged + s.left_out, UNSTAMPED_MAX);
    return VERDICT_HELD;
}

enum verdict check_timestamps(const struct history *h, struct finding *out)
{
    uint32_t stamped_n = 0;
    enum verdict v = VERDICT_HELD;
    for (uint32_t i = 0; i < h->n; i++)
        stamped_n += has_timestamp(&h->op[i]);
    if (stamped_n == 0)
        return finding_unjudged(out, "no operation has a commit timestamp");
    switch (h->workload) {
    case WORKLOAD_LIST:
        v = check_lists(h, out);
        break;
    case WORKLOAD_REGISTER:
        v = check_registers(h, out);
        break;
    case WORKLOAD_BANK:
    case WORKLOAD_COUNTER:
        return check_sums(h, stamped_n, out);
    case WORKLOAD_SET:
        v = check_sets(h, out);
        break;
    }
    return v == VERDICT_HELD ? say_held(stamped_n, out) : v;
}
