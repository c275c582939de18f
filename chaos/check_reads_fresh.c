#include "chaos/check_reads_fresh.h"

#include <inttypes.h>
#include <stdlib.h>

#include "chaos/check_order.h"

/* ---- lists: every element that was there stays there ---- */

/* What a read of one key must see by now, and who showed that it was there. */
struct shown {
    UT_hash_handle hh;
    int64_t key;
    uint32_t length; /* of the list */
    uint32_t by;
    const struct append *unseen; /* acknowledged, but no read ever saw it; NULL: none */
};

static struct shown *shown_of(struct shown **all, int64_t key)
{
    struct shown *s;
    HASH_FIND(hh, *all, &key, sizeof key, s);
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        s->key = key;
        HASH_ADD(hh, *all, key, sizeof s->key, s);
    }
    return s;
}

static void list_ended(struct shown **all, const struct order *o, uint32_t op)
{
    const struct operation *a = &o->h->op[op];
    for (uint32_t i = 0; a->result == RESULT_OK && i < a->n; i++) {
        const struct micro *m = &a->micro[i];
        if (m->kind == MICRO_READ && !m->known)
            continue;
        struct shown *s = shown_of(all, m->key);
        uint32_t length = m->n;
        if (m->kind == MICRO_APPEND) {
            const struct append *append = order_append(o, m->key, m->value);
            length = append->position;
            if (length == 0)
                s->unseen = append;
        }
        if (length > s->length) {
            s->length = length;
            s->by = op;
        }
    }
}

static enum verdict list_began(struct shown **all, const struct order *o, uint32_t op,
                               struct finding *out)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES];
    const struct operation *a = &o->h->op[op];
    for (uint32_t i = 0; i < a->n; i++) {
        const struct micro *m = &a->micro[i];
        if (!op_read_known(a, i))
            continue;
        const struct shown *s = shown_of(all, m->key);
        if (s->length <= m->n && s->unseen == NULL)
            continue;
        uint32_t witness = s->unseen != NULL ? s->unseen->op : s->by;
        int64_t missing =
            s->unseen != NULL ? s->unseen->at.value : order_find(o, m->key)->values[s->length - 1];
        finding_failed(out, ANOMALY_STALE_READ,
                       "%s read key %" PRId64 " without %" PRId64
                       ", which was there before it began: %s had ended by then",
                       op_text(o->h, op, who), m->key, missing, op_text(o->h, witness, by));
        finding_op(out, op);
        finding_op(out, witness);
        return out->verdict;
    }
    return VERDICT_HELD;
}

static enum verdict check_lists(const struct history *h, struct finding *out)
{
    struct order o;
    struct shown *all = NULL, *s, *next;
    uint32_t n;
    struct history_event *event = history_events(h, &n);
    enum verdict v = order_build(&o, h, out);
    for (uint32_t i = 0; i < n && v == VERDICT_HELD; i++) {
        if (event[i].end)
            list_ended(&all, &o, event[i].op);
        else
            v = list_began(&all, &o, event[i].op, out);
    }
    if (v == VERDICT_HELD && o.reads_n == 0)
        v = finding_unjudged(out, "no read of this history returned");
    else if (v == VERDICT_HELD)
        v = finding_held(out, "%" PRIu32 " reads", o.reads_n);
    HASH_ITER (hh, all, s, next) {
        HASH_DEL(all, s);
        free(s);
    }
    free(event);
    order_free(&o);
    return v;
}

/* ---- registers: a value is older than an acknowledged one ---- */

#define TS_ANY UINT64_MAX

/* All operations that may have written one value: the most favourable for who reads it. */
struct source {
    UT_hash_handle hh;
    struct source_at {
        int64_t key, value;
    } at;
    hlc_ts ts;         /* the greatest; TS_ANY if one is not known */
    uint32_t ended_at; /* the last; HISTORY_NEVER if one has not */
};

/* The newest acknowledged writes of one key. */
struct newest {
    UT_hash_handle hh;
    int64_t key;
    uint32_t by_ts, by_start; /* HISTORY_NEVER: none */
};

struct registers {
    const struct history *h;
    struct source *sources;
    struct newest *keys;
    uint32_t reads;
};

static struct source *source_of(const struct registers *r, int64_t key, int64_t value)
{
    struct source_at at = {key, value};
    struct source *s;
    HASH_FIND(hh, r->sources, &at, sizeof at, s);
    return s;
}

static void collect_sources(struct registers *r)
{
    for (uint32_t i = 0; i < r->h->n; i++) {
        const struct operation *o = &r->h->op[i];
        const struct micro *m = &o->micro[0];
        if (m->kind == MICRO_READ || o->result == RESULT_FAIL)
            continue;
        struct source *s = source_of(r, m->key, m->value);
        if (s == NULL) {
            s = xcalloc(1, sizeof *s);
            s->at = (struct source_at){m->key, m->value};
            HASH_ADD(hh, r->sources, at, sizeof s->at, s);
        }
        bool stamped = o->result == RESULT_OK && o->commit_ts != 0;
        hlc_ts ts = stamped ? o->commit_ts : TS_ANY;
        s->ts = ts > s->ts ? ts : s->ts;
        s->ended_at = o->ended_at > s->ended_at ? o->ended_at : s->ended_at;
    }
}

static struct newest *newest_of(struct registers *r, int64_t key)
{
    struct newest *k;
    HASH_FIND(hh, r->keys, &key, sizeof key, k);
    if (k == NULL) {
        k = xcalloc(1, sizeof *k);
        k->key = key;
        k->by_ts = k->by_start = HISTORY_NEVER;
        HASH_ADD(hh, r->keys, key, sizeof k->key, k);
    }
    return k;
}

static void register_ended(struct registers *r, uint32_t op)
{
    const struct operation *all = r->h->op, *o = &all[op];
    if (o->result != RESULT_OK || o->micro[0].kind == MICRO_READ)
        return;
    struct newest *k = newest_of(r, o->micro[0].key);
    if (k->by_start == HISTORY_NEVER || all[k->by_start].invoked_at < o->invoked_at)
        k->by_start = op;
    if (o->commit_ts != 0 && (k->by_ts == HISTORY_NEVER || all[k->by_ts].commit_ts < o->commit_ts))
        k->by_ts = op;
}

static enum verdict register_began(struct registers *r, uint32_t op, struct finding *out)
{
    const struct operation *all = r->h->op, *o = &all[op];
    const struct micro *m = &o->micro[0];
    if (!op_read_known(o, 0))
        return VERDICT_HELD;
    r->reads++;
    const struct newest *k = newest_of(r, m->key);
    const struct source *s = source_of(r, m->key, m->values[0]);
    uint32_t newer = HISTORY_NEVER;
    if (m->values[0] == HISTORY_NIL && s == NULL)
        newer = k->by_start;
    else if (s == NULL)
        return VERDICT_HELD; /* check_register names it */
    else if (k->by_start != HISTORY_NEVER && all[k->by_start].invoked_at > s->ended_at)
        newer = k->by_start;
    else if (k->by_ts != HISTORY_NEVER && all[k->by_ts].commit_ts > s->ts)
        newer = k->by_ts;
    if (newer == HISTORY_NEVER)
        return VERDICT_HELD;
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES], a[VALUE_TEXT_BYTES], b[VALUE_TEXT_BYTES];
    finding_failed(out, ANOMALY_STALE_READ,
                   "%s read key %" PRId64 " as %s, but %s had set it to %s, which is newer, and "
                   "ended before the read began",
                   op_text(r->h, op, who), m->key, value_text(m->values[0], a),
                   op_text(r->h, newer, by), value_text(all[newer].micro[0].value, b));
    finding_op(out, op);
    finding_op(out, newer);
    return out->verdict;
}

static void registers_free(struct registers *r)
{
    struct source *s, *next;
    struct newest *k, *next_key;
    HASH_ITER (hh, r->sources, s, next) {
        HASH_DEL(r->sources, s);
        free(s);
    }
    HASH_ITER (hh, r->keys, k, next_key) {
        HASH_DEL(r->keys, k);
        free(k);
    }
}

static enum verdict check_registers(const struct history *h, struct finding *out)
{
    struct registers r = {.h = h};
    uint32_t n;
    struct history_event *event = history_events(h, &n);
    enum verdict v = VERDICT_HELD;
    collect_sources(&r);
    for (uint32_t i = 0; i < n && v == VERDICT_HELD; i++) {
        if (event[i].end)
            register_ended(&r, event[i].op);
        else
            v = register_began(&r, event[i].op, out);
    }
    if (v == VERDICT_HELD && r.reads == 0)
        v = finding_unjudged(out, "no read of this history returned");
    else if (v == VERDICT_HELD)
        v = finding_held(out, "%" PRIu32 " reads", r.reads);
    registers_free(&r);
    free(event);
    return v;
}

enum verdict check_reads_fresh(const struct history *h, struct finding *out)
{
    if (h->workload == WORKLOAD_LIST)
        return check_lists(h, out);
    if (h->workload == WORKLOAD_REGISTER)
        return check_registers(h, out);
    return finding_unjudged(out, "not a history of lists or registers");
}
