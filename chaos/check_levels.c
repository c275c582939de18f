/* One pass over the events in their order carries along what each session has seen; a second one,
 * over the reads, holds each against all appends to its list. Appends are sorted by list, so both
 * take time linear in the reads and in the length of the lists. */
#include "chaos/check_levels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Why a session's read must have an append. */
#define DUE_WRITTEN   1u
#define DUE_READ      2u
#define DUE_INHERITED 4u

#define NOWHERE UINT32_MAX

struct append {
    int64_t key, value;
    const struct operation *op;
    bool known; /* committed, at op->commit_ts */
};

/* The latest of what a session has seen in one of the ways above, which its writes must be behind.
 */
struct floor {
    hlc_ts ts;
    uint32_t append;
};

struct past {
    uint8_t *due; /* by append; NULL: nothing yet */
    struct floor written, read, inherited;
};

/* A read of one list. */
struct look {
    const struct operation *op;
    const struct weak_read *weak; /* NULL: of a transaction, or a strong one */
    const struct micro *micro;
    uint32_t first, end; /* of the appends to the list */
};

struct levels {
    const struct history *lists;
    uint32_t which;
    struct finding *out;
    struct append *append; /* by key and value */
    uint32_t appends;
    uint32_t *seen; /* by append: the look that had it last */
    uint32_t looks;
    const struct look **settled; /* by the first append to a list: the first read after all */
    struct past *session;
    uint32_t sessions;
    struct past *token; /* by move */
    uint32_t judged[LEVEL_CHECKS];
};

static bool wants(const struct levels *l, enum level_check check)
{
    return (l->which & 1u << check) != 0;
}

/* ---- appends ---- */

static int append_compare(const void *a, const void *b)
{
    const struct append *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static void collect(struct levels *l)
{
    size_t cap = 0;
    for (uint32_t i = 0; i < l->lists->n; i++)
        cap += l->lists->op[i].n;
    l->append = xcalloc(cap + 1, sizeof *l->append);
    for (uint32_t i = 0; i < l->lists->n; i++) {
        const struct operation *op = &l->lists->op[i];
        for (uint32_t k = 0; k < op->n; k++)
            if (op->micro[k].kind == MICRO_APPEND)
                l->append[l->appends++] =
                    (struct append){op->micro[k].key, op->micro[k].value, op,
                                    op->result == RESULT_OK && op->commit_ts != 0};
    }
    qsort(l->append, l->appends, sizeof *l->append, append_compare);
    l->seen = xcalloc((size_t)l->appends + 1, sizeof *l->seen);
    l->settled = xcalloc((size_t)l->appends + 1, sizeof *l->settled);
}

/* The first append that is not below. */
static uint32_t place_of(const struct levels *l, int64_t key, int64_t value)
{
    const struct append probe = {.key = key, .value = value};
    uint32_t low = 0, high = l->appends;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (append_compare(&l->append[middle], &probe) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t find(const struct levels *l, int64_t key, int64_t value)
{
    uint32_t at = place_of(l, key, value);
    bool there = at < l->appends && l->append[at].key == key && l->append[at].value == value;
    return there ? at : NOWHERE;
}

/* Whether its client had been told by then. */
static bool acknowledged(const struct append *a, int64_t before_ns)
{
    return a->op->result == RESULT_OK && !a->op->logged_info && a->op->end_ns < before_ns;
}

/* ---- what a read has ---- */

static void look_at(struct levels *l, struct look *look)
{
    const struct micro *m = look->micro;
    look->first = place_of(l, m->key, INT64_MIN);
    look->end = look->first;
    while (look->end < l->appends && l->append[look->end].key == m->key)
        look->end++;
    l->looks++;
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t at = find(l, m->key, m->values[i]);
        if (at != NOWHERE)
            l->seen[at] = l->looks;
    }
}

static bool has(const struct levels *l, uint32_t append)
{
    return l->seen[append] == l->looks;
}

static enum verdict fail(struct levels *l, enum anomaly anomaly, const struct look *look,
                         int64_t value, const char *what)
{
    static const char *const names[] = {
#define LEVEL_NAME(name, number) [number] = #name,
        READ_LEVEL_MAP(LEVEL_NAME)
#undef LEVEL_NAME
    };
    const struct operation *r = look->op;
    uint32_t at = find(l, look->micro->key, value);
    const struct operation *a = at == NOWHERE ? NULL : l->append[at].op;
    char list[LIST_TEXT_BYTES], session[32] = "";
    if (r->session != HISTORY_NO_SESSION)
        snprintf(session, sizeof session, ", session %" PRIu32, r->session);
    return finding_failed(l->out, anomaly,
                          "a %s read of list %" PRId64
                          " by client %u in datacenter %u%s, from %" PRId64 " to %" PRId64
                          " ns, at %" PRIu64 " (asked for %" PRIu64 "), gave %s: %s %" PRId64
                          ", committed at %" PRIu64 " and acknowledged at %" PRId64 " ns",
                          names[look->weak == NULL ? READ_STRONG : look->weak->level],
                          look->micro->key, r->client, r->datacenter, session, r->start_ns,
                          r->end_ns, r->commit_ts, look->weak == NULL ? 0 : look->weak->asked,
                          list_text(look->micro->values, look->micro->n, list), what, value,
                          a == NULL ? 0 : a->commit_ts, a == NULL ? 0 : a->end_ns);
}

/* What was read was written, and is in order. */
static enum verdict check_values(struct levels *l, const struct look *look)
{
    const struct micro *m = look->micro;
    hlc_ts last = 0;
    l->judged[LEVELS_COMMITTED]++;
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t at = find(l, m->key, m->values[i]);
        if (at == NOWHERE)
            return fail(l, ANOMALY_UNKNOWN_VALUE, look, m->values[i], "nobody appended");
        const struct append *a = &l->append[at];
        if (a->op->result == RESULT_FAIL)
            return fail(l, ANOMALY_G1A, look, a->value, "aborted is");
        if (a->op->invoked_at > look->op->ended_at)
            return fail(l, ANOMALY_EARLY_READ, look, a->value, "too early is");
        if (a->known && a->op->commit_ts < last)
            return fail(l, ANOMALY_INCOMPATIBLE_ORDER, look, a->value, "out of order is");
        last = a->known ? a->op->commit_ts : last;
    }
    return VERDICT_HELD;
}

/* ---- sessions ---- */

static struct past *past_of(struct levels *l, uint32_t session)
{
    if (session >= l->sessions) {
        uint32_t n = session + 1 > 2 * l->sessions ? session + 1 : 2 * l->sessions;
        l->session = xrealloc(l->session, n * sizeof *l->session);
        memset(l->session + l->sessions, 0, (n - l->sessions) * sizeof *l->session);
        l->sessions = n;
    }
    struct past *p = &l->session[session];
    if (p->due == NULL)
        p->due = xcalloc((size_t)l->appends + 1, sizeof *p->due);
    return p;
}

static void raise_floor(const struct levels *l, struct floor *f, uint32_t append)
{
    const struct append *a = &l->append[append];
    if (a->known && a->op->commit_ts > f->ts)
        *f = (struct floor){a->op->commit_ts, append};
}

/* The first that a session's read lacks of what is due for one of these reasons. */
static uint32_t lacks(const struct levels *l, const struct look *look, const struct past *p,
                      uint8_t due)
{
    for (uint32_t i = look->first; i < look->end; i++)
        if ((p->due[i] & due) != 0 && !has(l, i))
            return i;
    return NOWHERE;
}

static uint32_t counts_due(const struct look *look, const struct past *p, uint8_t due)
{
    for (uint32_t i = look->first; i < look->end; i++)
        if ((p->due[i] & due) != 0)
            return 1;
    return 0;
}

static enum verdict check_session_read(struct levels *l, const struct look *look)
{
    static const struct {
        enum level_check check;
        enum anomaly anomaly;
        uint8_t due;
        const char *what;
    } guarantee[] = {
        {LEVELS_READ_YOUR_WRITES, ANOMALY_READ_YOUR_WRITES, DUE_WRITTEN,
         "its own append is missing:"},
        {LEVELS_MONOTONIC_READS, ANOMALY_MONOTONIC_READS, DUE_READ, "an earlier read saw"},
        {LEVELS_CAUSALITY, ANOMALY_CAUSALITY, DUE_INHERITED,
         "the session whose token it has taken over had seen"},
    };
    const struct past *p = past_of(l, look->op->session);
    for (size_t i = 0; i < sizeof guarantee / sizeof guarantee[0]; i++) {
        l->judged[guarantee[i].check] += counts_due(look, p, guarantee[i].due);
        uint32_t missing =
            wants(l, guarantee[i].check) ? lacks(l, look, p, guarantee[i].due) : NOWHERE;
        if (missing != NOWHERE)
            return fail(l, guarantee[i].anomaly, look, l->append[missing].value, guarantee[i].what);
    }
    return VERDICT_HELD;
}

/* A transaction of a session is later than what the session had seen when it began. */
static enum verdict check_session_write(struct levels *l, const struct operation *op)
{
    const struct past *p = past_of(l, op->session);
    const struct {
        enum level_check check;
        enum anomaly anomaly;
        struct floor floor;
        const char *what;
    } guarantee[] = {
        {LEVELS_MONOTONIC_WRITES, ANOMALY_MONOTONIC_WRITES, p->written, "had appended"},
        {LEVELS_WRITES_FOLLOW_READS, ANOMALY_WRITES_FOLLOW_READS, p->read, "had read"},
        {LEVELS_CAUSALITY, ANOMALY_CAUSALITY, p->inherited, "had taken over, with a token,"},
    };
    if (op->result != RESULT_OK || op->commit_ts == 0)
        return VERDICT_HELD;
    for (size_t i = 0; i < sizeof guarantee / sizeof guarantee[0]; i++) {
        const struct floor *f = &guarantee[i].floor;
        l->judged[guarantee[i].check] += f->ts != 0;
        if (!wants(l, guarantee[i].check) || f->ts < op->commit_ts)
            continue;
        finding_failed(l->out, guarantee[i].anomaly,
                       "session %u %s %" PRId64 " in list %" PRId64 ", committed at %" PRIu64
                       ", and then committed at %" PRIu64 " what client %u had begun at %" PRId64
                       " ns",
                       op->session, guarantee[i].what, l->append[f->append].value,
                       l->append[f->append].key, f->ts, op->commit_ts, op->client, op->start_ns);
        return VERDICT_FAILED;
    }
    return VERDICT_HELD;
}

static bool writes(const struct operation *op)
{
    for (uint32_t i = 0; i < op->n; i++)
        if (op->micro[i].kind != MICRO_READ)
            return true;
    return false;
}

/* What the operation adds to its session's past. */
static void remember(struct levels *l, const struct operation *op)
{
    struct past *p = past_of(l, op->session);
    for (uint32_t i = 0; i < op->n; i++) {
        const struct micro *m = &op->micro[i];
        bool append = m->kind == MICRO_APPEND;
        for (uint32_t k = 0; k < (append ? 1 : m->n); k++) {
            uint32_t at = find(l, m->key, append ? m->value : m->values[k]);
            if (at == NOWHERE)
                continue;
            p->due[at] |= append ? DUE_WRITTEN : DUE_READ;
            raise_floor(l, append ? &p->written : &p->read, at);
        }
    }
}

/* ---- tokens ---- */

static void export_past(struct levels *l, const struct token_move *m)
{
    const struct past *p = past_of(l, m->session);
    struct past *kept = &l->token[m->token];
    *kept = *p;
    kept->due = xmalloc((size_t)l->appends + 1);
    memcpy(kept->due, p->due, l->appends);
}

static void inherit_floor(struct floor *into, const struct floor *from)
{
    if (from->ts > into->ts)
        *into = *from;
}

static void import_past(struct levels *l, const struct token_move *m)
{
    struct past *p = past_of(l, m->session);
    const struct past *kept = &l->token[m->token];
    for (uint32_t i = 0; i < l->appends; i++)
        p->due[i] |= kept->due[i] != 0 ? DUE_INHERITED : 0;
    inherit_floor(&p->inherited, &kept->written);
    inherit_floor(&p->inherited, &kept->read);
    inherit_floor(&p->inherited, &kept->inherited);
}

/* ---- the first pass ---- */

static enum verdict weak_ended(struct levels *l, const struct weak_read *w)
{
    enum verdict verdict = VERDICT_HELD;
    for (uint32_t i = 0; i < w->op.n && verdict == VERDICT_HELD; i++) {
        struct look look = {.op = &w->op, .weak = w, .micro = &w->op.micro[i]};
        if (!look.micro->known)
            continue;
        look_at(l, &look);
        if (wants(l, LEVELS_COMMITTED))
            verdict = check_values(l, &look);
        if (verdict == VERDICT_HELD && w->level == READ_SESSION &&
            w->op.session != HISTORY_NO_SESSION)
            verdict = check_session_read(l, &look);
    }
    if (verdict == VERDICT_HELD && w->op.session != HISTORY_NO_SESSION)
        remember(l, &w->op);
    return verdict;
}

/* What can happen at one place in the order of events. */
struct moment {
    const struct operation *begins, *ends;
    const struct weak_read *weak_ends;
    const struct token_move *move;
};

static struct moment *moments_of(const struct history *h)
{
    struct moment *all = xcalloc((size_t)h->events + 1, sizeof *all);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *op = &h->op[i];
        if (op->session == HISTORY_NO_SESSION)
            continue;
        all[op->invoked_at].begins = op;
        if (op->result == RESULT_OK && !op->logged_info)
            all[op->ended_at].ends = op;
    }
    for (uint32_t i = 0; i < h->weak_n; i++)
        if (h->weak[i].op.result == RESULT_OK)
            all[h->weak[i].op.ended_at].weak_ends = &h->weak[i];
    for (uint32_t i = 0; i < h->moves; i++)
        all[h->move[i].invoked_at].move = &h->move[i];
    return all;
}

static enum verdict pass_events(struct levels *l)
{
    struct moment *moment = moments_of(l->lists);
    enum verdict verdict = VERDICT_HELD;
    l->token = xcalloc((size_t)l->lists->moves + 1, sizeof *l->token);
    for (uint32_t i = 0; i < l->lists->events && verdict == VERDICT_HELD; i++) {
        const struct moment *m = &moment[i];
        if (m->begins != NULL && writes(m->begins))
            verdict = check_session_write(l, m->begins);
        if (m->ends != NULL)
            remember(l, m->ends);
        if (m->weak_ends != NULL)
            verdict = weak_ended(l, m->weak_ends);
        if (m->move != NULL && m->move->import)
            import_past(l, m->move);
        else if (m->move != NULL)
            export_past(l, m->move);
    }
    free(moment);
    return verdict;
}

/* ---- the second pass ---- */

/* The newest of what was read and is known; of a read at a timestamp that timestamp. */
static hlc_ts cut_of(const struct levels *l, const struct look *look)
{
    hlc_ts last = 0;
    if (look->weak->level != READ_EVENTUAL)
        return look->op->commit_ts;
    for (uint32_t i = look->first; i < look->end; i++)
        if (has(l, i) && l->append[i].known && l->append[i].op->commit_ts > last)
            last = l->append[i].op->commit_ts;
    return last;
}

static enum verdict check_cut(struct levels *l, const struct look *look)
{
    const struct weak_read *w = look->weak;
    hlc_ts cut = cut_of(l, look), ts = w->op.commit_ts;
    l->judged[LEVELS_SNAPSHOT]++;
    if ((w->level == READ_SNAPSHOT && ts != w->asked) ||
        (w->level == READ_SESSION && ts < w->asked))
        return fail(l, ANOMALY_TORN, look, 0, "not at the timestamp asked for;");
    for (uint32_t i = look->first; i < look->end; i++) {
        const struct append *a = &l->append[i];
        bool due = a->op->commit_ts <= cut;
        if (a->known && !has(l, i) && due)
            return fail(l, ANOMALY_TORN, look, a->value, "missing is");
        if (a->known && has(l, i) && !due)
            return fail(l, ANOMALY_TORN, look, a->value, "from later is");
    }
    return VERDICT_HELD;
}

static enum verdict check_age(struct levels *l, const struct look *look)
{
    int64_t stale_ns = look->weak->stale_ns;
    if (stale_ns == HISTORY_AGE_UNKNOWN)
        return VERDICT_HELD;
    l->judged[LEVELS_BOUNDED]++;
    for (uint32_t i = look->first; i < look->end; i++)
        if (l->append[i].known && !has(l, i) &&
            acknowledged(&l->append[i], look->op->start_ns - stale_ns))
            return fail(l, ANOMALY_STALE_READ, look, l->append[i].value,
                        "older than it may be: missing is");
    return VERDICT_HELD;
}

static bool same_values(const struct micro *a, const struct micro *b)
{
    return a->n == b->n &&
           (a->n == 0 || memcmp(a->values, b->values, a->n * sizeof *a->values) == 0);
}

static enum verdict check_settled(struct levels *l, const struct look *look)
{
    l->judged[LEVELS_EVENTUAL]++;
    for (uint32_t i = look->first; i < look->end; i++)
        if (l->append[i].known && !has(l, i) && op_precedes(l->append[i].op, look->op))
            return fail(l, ANOMALY_NOT_CONVERGED, look, l->append[i].value, "still missing is");
    if (look->first == look->end)
        return VERDICT_HELD;
    const struct look *other = l->settled[look->first];
    if (other != NULL && !same_values(other->micro, look->micro)) {
        char list[LIST_TEXT_BYTES];
        fail(l, ANOMALY_NOT_CONVERGED, look, 0, "another replica gave something else;");
        finding_say(l->out, "; in datacenter %u it was %s", other->op->datacenter,
                    list_text(other->micro->values, other->micro->n, list));
        return VERDICT_FAILED;
    }
    if (other == NULL) {
        struct look *kept = xmalloc(sizeof *kept);
        *kept = *look;
        l->settled[look->first] = kept;
    }
    return VERDICT_HELD;
}

static enum verdict pass_reads(struct levels *l)
{
    static enum verdict (*const check[])(struct levels *, const struct look *) = {
        check_cut, check_age, check_settled};
    static const enum level_check of[] = {LEVELS_SNAPSHOT, LEVELS_BOUNDED, LEVELS_EVENTUAL};
    for (uint32_t i = 0; i < l->lists->weak_n; i++) {
        const struct weak_read *w = &l->lists->weak[i];
        for (uint32_t k = 0; k < w->op.n; k++) {
            struct look look = {.op = &w->op, .weak = w, .micro = &w->op.micro[k]};
            if (w->op.result != RESULT_OK || !look.micro->known)
                continue;
            look_at(l, &look);
            /* What is missing in the end is told as that, not as a cut. */
            for (int c = w->after_all ? 2 : 1; c >= 0; c--)
                if (wants(l, of[c]) && check[c](l, &look) != VERDICT_HELD)
                    return VERDICT_FAILED;
        }
    }
    return VERDICT_HELD;
}

static void levels_free(struct levels *l)
{
    for (uint32_t i = 0; i < l->sessions; i++)
        free(l->session[i].due);
    for (uint32_t i = 0; l->token != NULL && i < l->lists->moves; i++)
        free(l->token[i].due);
    for (uint32_t i = 0; i < l->appends; i++)
        free((void *)(uintptr_t)l->settled[i]);
    free(l->session);
    free(l->token);
    free(l->settled);
    free(l->seen);
    free(l->append);
}

static enum verdict conclude(const struct levels *l)
{
    static const char *const text[] = {
#define LEVEL_CHECK_TEXT(name, text, says) text,
        LEVEL_CHECK_MAP(LEVEL_CHECK_TEXT)
#undef LEVEL_CHECK_TEXT
    };
    for (int c = 0; c < LEVEL_CHECKS; c++)
        if (l->which == 1u << c && l->judged[c] == 0)
            return finding_unjudged(l->out, "nothing happened that %s is about", text[c]);
    finding_held(l->out, "%u reads below strong, %u appends", l->lists->weak_n, l->appends);
    for (int c = 0; c < LEVEL_CHECKS; c++)
        if (wants(l, (enum level_check)c))
            finding_say(l->out, ", %s judged %u times", text[c], l->judged[c]);
    return VERDICT_HELD;
}

enum verdict check_levels(const struct history *lists, uint32_t which, struct finding *out)
{
    struct levels l = {.lists = lists, .which = which, .out = out};
    collect(&l);
    /* Sessions first: what breaks one of their guarantees often is no cut either, which says less.
     */
    enum verdict verdict = pass_events(&l);
    if (verdict == VERDICT_HELD)
        verdict = pass_reads(&l);
    if (verdict == VERDICT_HELD)
        verdict = conclude(&l);
    levels_free(&l);
    return verdict;
}
