#include "chaos/check_set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <uthash.h>

struct add {
    UT_hash_handle hh;
    int64_t value;
    uint32_t op;
    uint32_t shown_at; /* event by which it was certainly there: acknowledged, or read */
    uint32_t in_read;  /* the read that is looked at has it if this is its operation + 1 */
    bool seen;
};

struct set {
    const struct history *h;
    struct add *all, *by_value;
    uint32_t n;
    struct finding *out;
};

static enum verdict collect_adds(struct set *s)
{
    s->all = xcalloc((size_t)s->h->n + 1, sizeof *s->all);
    for (uint32_t i = 0; i < s->h->n; i++) {
        const struct operation *o = &s->h->op[i];
        struct add *a;
        if (o->micro[0].kind != MICRO_ADD)
            continue;
        HASH_FIND(hh, s->by_value, &o->micro[0].value, sizeof a->value, a);
        if (a != NULL)
            return finding_unjudged(s->out, "the workload added %" PRId64 " twice", a->value);
        a = &s->all[s->n++];
        a->value = o->micro[0].value;
        a->op = i;
        a->shown_at = o->result == RESULT_OK ? o->ended_at : HISTORY_NEVER;
        HASH_ADD(hh, s->by_value, value, sizeof a->value, a);
    }
    return VERDICT_HELD;
}

/* What a read has that it must not have. */
static enum verdict check_extra(struct set *s, uint32_t op)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES];
    const struct operation *o = &s->h->op[op];
    op_text(s->h, op, who);
    for (uint32_t i = 0; i < o->micro[0].n; i++) {
        int64_t value = o->micro[0].values[i];
        enum anomaly anomaly = ANOMALY_NONE;
        struct add *a;
        HASH_FIND(hh, s->by_value, &value, sizeof value, a);
        if (a == NULL)
            anomaly = ANOMALY_UNKNOWN_VALUE;
        else if (a->in_read == op + 1)
            anomaly = ANOMALY_DUPLICATE_ELEMENTS;
        else if (s->h->op[a->op].result == RESULT_FAIL)
            anomaly = ANOMALY_G1A;
        else if (s->h->op[a->op].invoked_at > o->ended_at)
            anomaly = ANOMALY_EARLY_READ;
        if (anomaly != ANOMALY_NONE) {
            finding_failed(s->out, anomaly, "%s read the set with %" PRId64 "%s%s", who, value,
                           a != NULL ? ", added by " : "",
                           a != NULL ? op_text(s->h, a->op, by) : "");
            finding_op(s->out, op);
            if (a != NULL)
                finding_op(s->out, a->op);
            return s->out->verdict;
        }
        a->in_read = op + 1;
        a->seen = true;
        a->shown_at = o->ended_at < a->shown_at ? o->ended_at : a->shown_at;
    }
    return VERDICT_HELD;
}

static int compare_shown(const void *a, const void *b)
{
    const struct add *const *x = a, *const *y = b;
    return ((*x)->shown_at > (*y)->shown_at) - ((*x)->shown_at < (*y)->shown_at);
}

/* What a read lacks. */
static enum verdict check_missing(struct set *s, struct add *const *by_time, uint32_t op)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES];
    const struct operation *o = &s->h->op[op];
    for (uint32_t i = 0; i < o->micro[0].n; i++) {
        struct add *a;
        HASH_FIND(hh, s->by_value, &o->micro[0].values[i], sizeof a->value, a);
        if (a != NULL)
            a->in_read = op + 1;
    }
    for (uint32_t i = 0; i < s->n && by_time[i]->shown_at < o->invoked_at; i++) {
        const struct add *a = by_time[i];
        if (a->in_read == op + 1)
            continue;
        finding_failed(s->out, a->seen ? ANOMALY_STALE_READ : ANOMALY_LOST_ELEMENT,
                       "%s read the set without %" PRId64
                       ", which was there before it began: %s added it%s",
                       op_text(s->h, op, who), a->value, op_text(s->h, a->op, by),
                       a->seen ? ", and another read has it" : "");
        finding_op(s->out, op);
        finding_op(s->out, a->op);
        return s->out->verdict;
    }
    return VERDICT_HELD;
}

static enum verdict check_reads(struct set *s)
{
    const struct history *h = s->h;
    uint32_t reads = 0, last_read = 0, last_add = 0;
    enum verdict v = VERDICT_HELD;
    for (uint32_t i = 0; i < h->n && v == VERDICT_HELD; i++) {
        if (op_read_known(&h->op[i], 0)) {
            reads++;
            last_read = i + 1;
            v = check_extra(s, i);
        }
    }
    struct add **by_time = xcalloc((size_t)s->n + 1, sizeof(struct add *));
    for (uint32_t i = 0; i < s->n; i++) {
        by_time[i] = &s->all[i];
        s->all[i].in_read = 0;
        const struct operation *o = &h->op[s->all[i].op];
        if (o->result == RESULT_OK && o->ended_at + 1 > last_add)
            last_add = o->ended_at + 1;
    }
    qsort(by_time, s->n, sizeof(struct add *), compare_shown);
    for (uint32_t i = 0; i < h->n && v == VERDICT_HELD; i++)
        if (op_read_known(&h->op[i], 0))
            v = check_missing(s, by_time, i);
    free(by_time);
    if (v != VERDICT_HELD)
        return v;
    if (last_read == 0 || h->op[last_read - 1].invoked_at + 1 <= last_add)
        return finding_unjudged(s->out, "no read of the set behind the last acknowledged add");
    return finding_held(s->out, "%" PRIu32 " adds, %" PRIu32 " reads", s->n, reads);
}

enum verdict check_set(const struct history *h, struct finding *out)
{
    struct set s = {.h = h, .out = out};
    if (h->workload != WORKLOAD_SET)
        return finding_unjudged(out, "not a history of a set");
    enum verdict v = collect_adds(&s);
    if (v == VERDICT_HELD)
        v = check_reads(&s);
    HASH_CLEAR(hh, s.by_value);
    free(s.all);
    return v;
}
