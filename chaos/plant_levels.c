/* Falsifies reads below strong, and the timestamps of what sessions wrote. A read is cut short
 * before something that it must have: what that is, is said here in its own way, operation by
 * operation, not as the checker has it. */
#include "chaos/plant.h"

#include <stdlib.h>

/* An append, by its value. */
struct written {
    int64_t key, value;
    const struct operation *op;
};

struct index {
    const struct history *h;
    struct written *written;
    size_t n;
};

static int compare(const void *a, const void *b)
{
    const struct written *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static struct index index_of(const struct history *h)
{
    struct index x = {.h = h};
    size_t cap = 1;
    for (uint32_t i = 0; i < h->n; i++)
        cap += h->op[i].n;
    x.written = xcalloc(cap, sizeof *x.written);
    for (uint32_t i = 0; i < h->n; i++)
        for (uint32_t k = 0; k < h->op[i].n; k++)
            if (h->op[i].micro[k].kind == MICRO_APPEND)
                x.written[x.n++] =
                    (struct written){h->op[i].micro[k].key, h->op[i].micro[k].value, &h->op[i]};
    qsort(x.written, x.n, sizeof *x.written, compare);
    return x;
}

/* Who wrote it, for certain; NULL: nobody knows. */
static const struct operation *writer_of(const struct index *x, int64_t key, int64_t value)
{
    const struct written probe = {key, value, NULL};
    const struct written *w = bsearch(&probe, x->written, x->n, sizeof probe, compare);
    bool known = w != NULL && w->op->result == RESULT_OK && w->op->commit_ts != 0;
    return known ? w->op : NULL;
}

static bool has_value(const struct micro *m, int64_t value)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->values[i] == value)
            return true;
    return false;
}

/* Whether the session had been told, before that event, that it had written this. */
static bool wrote(const struct index *x, uint32_t session, uint32_t before, int64_t key,
                  int64_t value)
{
    const struct operation *o = writer_of(x, key, value);
    return o != NULL && o->session == session && !o->logged_info && o->ended_at < before;
}

static bool read(const struct index *x, uint32_t session, uint32_t before, int64_t key,
                 int64_t value)
{
    for (uint32_t i = 0; i < x->h->weak_n; i++) {
        const struct operation *o = &x->h->weak[i].op;
        if (o->session != session || o->ended_at >= before)
            continue;
        for (uint32_t k = 0; k < o->n; k++)
            if (op_read_known(o, k) && o->micro[k].key == key && has_value(&o->micro[k], value))
                return true;
    }
    return false;
}

/* Whether it came to the session with a token. */
static bool inherited(const struct index *x, uint32_t session, uint32_t before, int64_t key,
                      int64_t value)
{
    for (uint32_t i = 0; i < x->h->moves; i++) {
        const struct token_move *m = &x->h->move[i];
        const struct token_move *from = &x->h->move[m->token];
        if (m->import && m->session == session && m->invoked_at < before &&
            (wrote(x, from->session, from->invoked_at, key, value) ||
             read(x, from->session, from->invoked_at, key, value)))
            return true;
    }
    return false;
}

/* Whether the read would break its promise without this value. */
static bool must_have(const struct index *x, const struct weak_read *r, int64_t key, int64_t value,
                      enum level_check check)
{
    const struct operation *writer = writer_of(x, key, value);
    bool session = r->level == READ_SESSION && r->op.session != HISTORY_NO_SESSION;
    switch (check) {
    case LEVELS_READ_YOUR_WRITES:
        return session && wrote(x, r->op.session, r->op.invoked_at, key, value);
    case LEVELS_MONOTONIC_READS:
        return session && read(x, r->op.session, r->op.invoked_at, key, value);
    case LEVELS_CAUSALITY:
        return session && inherited(x, r->op.session, r->op.invoked_at, key, value);
    case LEVELS_SNAPSHOT:
        return r->level == READ_SNAPSHOT && writer != NULL;
    case LEVELS_BOUNDED:
        return r->level == READ_BOUNDED && writer != NULL && !writer->logged_info &&
               writer->end_ns < r->op.start_ns - r->stale_ns;
    case LEVELS_EVENTUAL:
        return r->after_all && writer != NULL && op_precedes(writer, &r->op);
    default:
        return false;
    }
}

static bool cut_read(struct plant *p, const struct index *x, enum level_check check)
{
    for (uint32_t i = x->h->weak_n; i-- > 0;) {
        struct weak_read *r = &x->h->weak[i];
        for (uint32_t k = 0; k < r->op.n; k++) {
            struct micro *m = &r->op.micro[k];
            for (uint32_t v = 0; op_read_known(&r->op, k) && v < m->n; v++) {
                if (!must_have(x, r, m->key, m->values[v], check))
                    continue;
                p->micro = m;
                p->micro_before = *m;
                m->n = v;
                return true;
            }
        }
    }
    return false;
}

/* A value that nobody wrote. */
static bool invent_value(struct plant *p, const struct history *h)
{
    for (uint32_t i = h->weak_n; i-- > 0;) {
        struct micro *m = &h->weak[i].op.micro[0];
        if (!op_read_known(&h->weak[i].op, 0))
            continue;
        p->micro = m;
        p->micro_before = *m;
        p->values = xcalloc(1, sizeof *p->values);
        p->values[0] = -1;
        m->values = p->values;
        m->n = 1;
        return true;
    }
    return false;
}

static bool appends(const struct operation *o)
{
    for (uint32_t i = 0; i < o->n; i++)
        if (o->micro[i].kind == MICRO_APPEND)
            return true;
    return false;
}

/* Whether the session had written, or read, something known before the operation began. */
static bool had_before(const struct index *x, const struct operation *o, enum level_check check)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct written *w = &x->written[i];
        if (writer_of(x, w->key, w->value) == NULL)
            continue;
        if (check == LEVELS_MONOTONIC_WRITES ? wrote(x, o->session, o->invoked_at, w->key, w->value)
                                             : read(x, o->session, o->invoked_at, w->key, w->value))
            return true;
    }
    return false;
}

/* What a session wrote lies before all that it had seen. */
static bool date_back(struct plant *p, const struct index *x, enum level_check check)
{
    for (uint32_t i = x->h->n; i-- > 0;) {
        struct operation *o = &x->h->op[i];
        if (o->session == HISTORY_NO_SESSION || o->result != RESULT_OK || o->commit_ts == 0 ||
            !appends(o) || !had_before(x, o, check))
            continue;
        p->op = o;
        p->op_before = *o;
        o->commit_ts = 1;
        return true;
    }
    return false;
}

bool plant_level(struct plant *p, struct history *h, enum level_check check)
{
    *p = (struct plant){0};
    if (check == LEVELS_COMMITTED)
        return invent_value(p, h);
    struct index x = index_of(h);
    bool planted = check == LEVELS_MONOTONIC_WRITES || check == LEVELS_WRITES_FOLLOW_READS
                       ? date_back(p, &x, check)
                       : cut_read(p, &x, check);
    free(x.written);
    return planted;
}
