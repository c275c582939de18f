#include "chaos/check_levels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One element, from the history. */
struct append {
    int64_t value, key;
    const struct operation *op;
    bool known; /* committed, at op->commit_ts */
};

struct levels {
    const struct history *lists;
    const struct level_log *log;
    struct finding *out;
    struct append *append; /* by value */
    uint32_t appends;
};

void level_log_read(struct level_log *log, const struct level_read *read)
{
    if (log->reads == log->reads_cap) {
        log->reads_cap = log->reads_cap == 0 ? 64 : 2 * log->reads_cap;
        log->read = xrealloc(log->read, log->reads_cap * sizeof *log->read);
    }
    struct level_read *copy = &log->read[log->reads++];
    *copy = *read;
    copy->values = xcalloc(read->n + 1, sizeof *copy->values);
    if (read->n > 0)
        memcpy(copy->values, read->values, read->n * sizeof *copy->values);
}

void level_log_total(struct level_log *log, hlc_ts ts, int64_t total)
{
    if (log->totals == log->totals_cap) {
        log->totals_cap = log->totals_cap == 0 ? 64 : 2 * log->totals_cap;
        log->total = xrealloc(log->total, log->totals_cap * sizeof *log->total);
    }
    log->total[log->totals++] = (struct level_total){ts, total};
}

void level_log_free(struct level_log *log)
{
    for (uint32_t i = 0; i < log->reads; i++)
        free(log->read[i].values);
    free(log->read);
    free(log->total);
    *log = (struct level_log){0};
}

static int append_compare(const void *a, const void *b)
{
    const struct append *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static void collect(struct levels *l)
{
    uint32_t cap = 0;
    for (uint32_t i = 0; i < l->lists->n; i++)
        cap += l->lists->op[i].n;
    l->append = xcalloc(cap + 1, sizeof *l->append);
    for (uint32_t i = 0; i < l->lists->n; i++) {
        const struct operation *op = &l->lists->op[i];
        for (uint32_t k = 0; k < op->n; k++)
            if (op->micro[k].kind == MICRO_APPEND)
                l->append[l->appends++] =
                    (struct append){op->micro[k].value, op->micro[k].key, op,
                                    op->result == RESULT_OK && op->commit_ts != 0};
    }
    qsort(l->append, l->appends, sizeof *l->append, append_compare);
}

static const struct append *find(const struct levels *l, int64_t value)
{
    struct append probe = {.value = value};
    return bsearch(&probe, l->append, l->appends, sizeof probe, append_compare);
}

static bool has(const struct level_read *r, int64_t value)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (r->values[i] == value)
            return true;
    return false;
}

/* Lists only grow: as a rule it has all that `before` has in the same places. */
static bool begins_with(const struct level_read *r, const struct level_read *before)
{
    return before->n <= r->n && (before->n == 0 || memcmp(before->values, r->values,
                                                          before->n * sizeof *r->values) == 0);
}

/* Whether its client had been told by then. */
static bool acknowledged(const struct append *a, int64_t before_ns)
{
    return a->op->result == RESULT_OK && !a->op->logged_info && a->op->end_ns < before_ns;
}

static enum verdict fail(struct levels *l, enum anomaly anomaly, const struct level_read *r,
                         int64_t value, const char *what)
{
    static const char *const names[] = {
#define LEVEL_NAME(name, number) [number] = #name,
        READ_LEVEL_MAP(LEVEL_NAME)
#undef LEVEL_NAME
    };
    const struct append *a = find(l, value);
    char list[LIST_TEXT_BYTES];
    return finding_failed(l->out, anomaly,
                          "a %s read of list %" PRId64 " by client %u, from %" PRId64 " to %" PRId64
                          " ns, at %" PRIu64 " (asked for %" PRIu64 "), gave %s: %s %" PRId64
                          ", committed at %" PRIu64 " and acknowledged at %" PRId64 " ns",
                          names[r->level], r->key, r->client, r->start_ns, r->end_ns, r->ts,
                          r->asked, list_text(r->values, r->n, list), what, value,
                          a == NULL ? 0 : a->op->commit_ts, a == NULL ? 0 : a->op->end_ns);
}

/* What was read was written, and is in order. */
static enum verdict check_values(struct levels *l, const struct level_read *r)
{
    hlc_ts last = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct append *a = find(l, r->values[i]);
        if (a == NULL || a->key != r->key)
            return fail(l, ANOMALY_UNKNOWN_VALUE, r, r->values[i], "nobody appended");
        if (a->op->result == RESULT_FAIL)
            return fail(l, ANOMALY_G1A, r, r->values[i], "aborted is");
        if (a->op->start_ns > r->end_ns)
            return fail(l, ANOMALY_EARLY_READ, r, r->values[i], "too early is");
        if (a->known && a->op->commit_ts < last)
            return fail(l, ANOMALY_INCOMPATIBLE_ORDER, r, r->values[i], "out of order is");
        last = a->known ? a->op->commit_ts : last;
    }
    return VERDICT_HELD;
}

/* The newest of what was read and is known; of a read at a timestamp that timestamp. */
static hlc_ts cut_of(const struct levels *l, const struct level_read *r)
{
    hlc_ts last = 0;
    if (r->level != READ_EVENTUAL)
        return r->ts;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct append *a = find(l, r->values[i]);
        last = a != NULL && a->known && a->op->commit_ts > last ? a->op->commit_ts : last;
    }
    return last;
}

static enum verdict check_read(struct levels *l, const struct level_read *r)
{
    enum verdict verdict = check_values(l, r);
    hlc_ts cut = verdict == VERDICT_HELD ? cut_of(l, r) : 0;
    if (verdict == VERDICT_HELD && ((r->level == READ_SNAPSHOT && r->ts != r->asked) ||
                                    (r->level == READ_SESSION && r->ts < r->asked)))
        verdict = fail(l, ANOMALY_TORN, r, 0, "not at the timestamp asked for;");
    for (uint32_t i = 0; i < l->appends && verdict == VERDICT_HELD; i++) {
        const struct append *a = &l->append[i];
        if (a->key != r->key || !a->known)
            continue;
        bool there = has(r, a->value), due = a->op->commit_ts <= cut;
        bool stale =
            r->stale_ns != LEVELS_STALE_UNKNOWN && acknowledged(a, r->start_ns - r->stale_ns);
        if (!there && r->after_all && acknowledged(a, r->start_ns))
            verdict = fail(l, ANOMALY_NOT_CONVERGED, r, a->value, "still missing is");
        else if (!there && stale)
            verdict = fail(l, ANOMALY_STALE_READ, r, a->value, "older than it may be: missing is");
        else if (!there && due)
            verdict = fail(l, ANOMALY_TORN, r, a->value, "missing is");
        else if (there && !due)
            verdict = fail(l, ANOMALY_TORN, r, a->value, "from later is");
    }
    return verdict;
}

/* ---- the guarantees of sessions ---- */

static enum verdict check_own_writes(struct levels *l, const struct level_read *r)
{
    for (uint32_t i = 0; i < l->appends; i++) {
        const struct append *a = &l->append[i];
        if (a->key == r->key && a->known && a->op->client == r->client &&
            acknowledged(a, r->start_ns) && !has(r, a->value))
            return fail(l, ANOMALY_READ_YOUR_WRITES, r, a->value, "its own append is missing:");
    }
    return VERDICT_HELD;
}

static enum verdict check_own_reads(struct levels *l, uint32_t at)
{
    const struct level_read *r = &l->log->read[at];
    for (uint32_t i = 0; i < at; i++) {
        const struct level_read *before = &l->log->read[i];
        if (before->level != READ_SESSION || before->client != r->client || before->key != r->key ||
            before->end_ns >= r->start_ns || begins_with(r, before))
            continue;
        for (uint32_t k = 0; k < before->n; k++)
            if (!has(r, before->values[k]))
                return fail(l, ANOMALY_MONOTONIC_READS, r, before->values[k],
                            "an earlier read saw");
    }
    return VERDICT_HELD;
}

/* What it writes after the read is later than what the read saw. */
static enum verdict check_writes_after(struct levels *l, const struct level_read *r)
{
    for (uint32_t i = 0; i < l->appends; i++) {
        const struct append *b = &l->append[i];
        if (!b->known || b->op->client != r->client || b->op->start_ns <= r->end_ns)
            continue;
        for (uint32_t k = 0; k < r->n; k++) {
            const struct append *a = find(l, r->values[k]);
            if (a != NULL && a->known && a->op->commit_ts >= b->op->commit_ts)
                return fail(l, ANOMALY_WRITES_FOLLOW_READS, r, b->value,
                            "not later than what it saw is its append of");
        }
    }
    return VERDICT_HELD;
}

static enum verdict check_own_order(struct levels *l)
{
    for (uint32_t i = 0; i < l->appends; i++)
        for (uint32_t k = 0; k < l->appends; k++) {
            const struct append *a = &l->append[i], *b = &l->append[k];
            if (a->known && b->known && a->op->client == b->op->client &&
                acknowledged(a, b->op->start_ns) && a->op->commit_ts >= b->op->commit_ts)
                return finding_failed(l->out, ANOMALY_MONOTONIC_WRITES,
                                      "client %u appended %" PRId64 ", committed at %" PRIu64
                                      ", and then %" PRId64 ", committed at %" PRIu64,
                                      a->op->client, a->value, a->op->commit_ts, b->value,
                                      b->op->commit_ts);
        }
    return VERDICT_HELD;
}

static enum verdict check_session(struct levels *l, uint32_t at)
{
    const struct level_read *r = &l->log->read[at];
    enum verdict verdict = r->level == READ_SESSION ? check_own_writes(l, r) : VERDICT_HELD;
    if (verdict == VERDICT_HELD && r->level == READ_SESSION)
        verdict = check_own_reads(l, at);
    if (verdict == VERDICT_HELD && r->level == READ_SESSION)
        verdict = check_writes_after(l, r);
    return verdict;
}

enum verdict check_levels(const struct history *lists, const struct level_log *log, int64_t total,
                          struct finding *out)
{
    struct levels l = {.lists = lists, .log = log, .out = out};
    collect(&l);
    enum verdict verdict = VERDICT_HELD;
    /* The guarantees first: what breaks one of them often is no cut either, which says less. */
    for (uint32_t i = 0; i < log->reads && verdict == VERDICT_HELD; i++)
        verdict = check_values(&l, &log->read[i]);
    for (uint32_t i = 0; i < log->reads && verdict == VERDICT_HELD; i++)
        verdict = check_session(&l, i);
    if (verdict == VERDICT_HELD)
        verdict = check_own_order(&l);
    for (uint32_t i = 0; i < log->reads && verdict == VERDICT_HELD; i++)
        verdict = check_read(&l, &log->read[i]);
    for (uint32_t i = 0; i < log->totals && verdict == VERDICT_HELD; i++)
        if (log->total[i].total != total)
            verdict = finding_failed(out, ANOMALY_WRONG_TOTAL,
                                     "at %" PRIu64 " the accounts hold %" PRId64 " together, not"
                                     " %" PRId64,
                                     log->total[i].ts, log->total[i].total, total);
    free(l.append);
    if (verdict != VERDICT_HELD)
        return verdict;
    return finding_held(out, "%u reads, %u totals, %u appends", log->reads, log->totals, l.appends);
}
