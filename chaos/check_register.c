/* The search of Wing and Gong, with Lowe's memory of what was tried. Events are taken in order of
 * time while the set of possible worlds is kept; a world is the register's value and which of the
 * operations under way have taken effect. When an operation ends, every world in which it has not
 * taken effect is led on through those under way in every order until it has; a world in which it
 * cannot is dropped. No world left: not linearizable.
 *
 * An operation of unknown outcome stays under way for ever and would double the worlds each time.
 * So one whose value nobody ever saw is left out (if it took effect, something else overwrote it,
 * and the same order without it explains as much), and one that is the only writer of a value that
 * was seen has taken effect before the end of the first operation that saw it. */
#include "chaos/check_register.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS      128u /* operations under way at one key */
#define SLOT_WORDS (SLOTS / 64)
#define WORLDS_MAX 4000000u /* tried for one key */

struct world {
    int64_t value;
    uint64_t done[SLOT_WORDS];
};

/* A set of worlds that keeps their order of arrival. */
struct worlds {
    uint32_t n, cap;
    struct world *world;
    uint32_t table_size; /* a power of two */
    uint32_t *table;     /* index + 1, 0: free */
};

/* One invocation or end of an operation on the key that is judged. */
struct moment {
    uint32_t at, op;
    bool end;
};

struct search {
    const struct history *h;
    int64_t key;
    uint32_t slot[SLOTS]; /* the operation under way there; HISTORY_NEVER: free */
    struct worlds now, next, tried;
    uint64_t work;
};

/* ---- the set of worlds ---- */

static uint64_t world_hash(const struct world *w)
{
    uint64_t x = (uint64_t)w->value * 0x9e3779b97f4a7c15u;
    for (uint32_t i = 0; i < SLOT_WORDS; i++)
        x = (x ^ w->done[i] ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 32);
}

static void worlds_clear(struct worlds *s)
{
    s->n = 0;
    if (s->table_size > 4096) {
        free(s->table);
        s->table = NULL;
        s->table_size = 0;
    } else if (s->table_size > 0) {
        memset(s->table, 0, s->table_size * sizeof *s->table);
    }
}

static void worlds_free(struct worlds *s)
{
    free(s->world);
    free(s->table);
}

static uint32_t *place_of(const struct worlds *s, const struct world *w)
{
    uint32_t i = (uint32_t)world_hash(w) & (s->table_size - 1);
    while (s->table[i] != 0 && memcmp(&s->world[s->table[i] - 1], w, sizeof *w) != 0)
        i = (i + 1) & (s->table_size - 1);
    return &s->table[i];
}

static void worlds_grow(struct worlds *s)
{
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 64 : 2 * s->cap;
        s->world = xrealloc(s->world, s->cap * sizeof *s->world);
    }
    if (2 * (s->n + 1) <= s->table_size)
        return;
    free(s->table);
    s->table_size = s->table_size == 0 ? 128 : 2 * s->table_size;
    s->table = xcalloc(s->table_size, sizeof *s->table);
    for (uint32_t i = 0; i < s->n; i++)
        *place_of(s, &s->world[i]) = i + 1;
}

static void worlds_add(struct worlds *s, const struct world *w)
{
    worlds_grow(s);
    uint32_t *place = place_of(s, w);
    if (*place != 0)
        return;
    s->world[s->n] = *w;
    *place = ++s->n;
}

/* ---- the search ---- */

static bool is_done(const struct world *w, uint32_t slot)
{
    return (w->done[slot / 64] >> (slot % 64) & 1) != 0;
}

/* The world after the operation took effect; false if it cannot there. */
static bool take_effect(const struct search *s, struct world *w, uint32_t slot)
{
    const struct micro *m = &s->h->op[s->slot[slot]].micro[0];
    if (m->kind == MICRO_READ && m->values[0] != w->value)
        return false;
    if (m->kind == MICRO_CAS && m->other != w->value)
        return false;
    if (m->kind != MICRO_READ)
        w->value = m->value;
    w->done[slot / 64] |= (uint64_t)1 << (slot % 64);
    return true;
}

static bool gave_up(const struct search *s)
{
    return s->work > WORLDS_MAX || s->tried.n > WORLDS_MAX;
}

/* Adds a world to be tried, in which every read under way that can take effect has done so: it
 * changes nothing for the others, so a world in which it waits explains no more. */
static void try_world(struct search *s, struct world w)
{
    for (uint32_t p = 0; p < SLOTS; p++)
        if (s->slot[p] != HISTORY_NEVER && !is_done(&w, p) &&
            s->h->op[s->slot[p]].micro[0].kind == MICRO_READ)
            take_effect(s, &w, p);
    worlds_add(&s->tried, &w);
}

/* The operation in `slot` ends; false when no world allows it. */
static bool end_slot(struct search *s, uint32_t slot)
{
    worlds_clear(&s->next);
    worlds_clear(&s->tried);
    for (uint32_t i = 0; i < s->now.n; i++)
        try_world(s, s->now.world[i]);
    for (uint32_t i = 0; i < s->tried.n && !gave_up(s); i++) {
        struct world w = s->tried.world[i];
        s->work++;
        if (is_done(&w, slot)) {
            w.done[slot / 64] &= ~((uint64_t)1 << (slot % 64));
            worlds_add(&s->next, &w);
            continue;
        }
        for (uint32_t p = 0; p < SLOTS; p++) {
            struct world after = w;
            if (s->slot[p] != HISTORY_NEVER && !is_done(&w, p) && take_effect(s, &after, p))
                try_world(s, after);
        }
    }
    s->slot[slot] = HISTORY_NEVER;
    if (s->next.n == 0)
        return false;
    struct worlds swap = s->now;
    s->now = s->next;
    s->next = swap;
    return true;
}

static uint32_t slot_of(const struct search *s, uint32_t op)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        if (s->slot[i] == op)
            return i;
    return SLOTS;
}

/* ---- what happened to one key ---- */

static bool saw(const struct operation *o, int64_t value)
{
    const struct micro *m = &o->micro[0];
    if (o->result != RESULT_OK)
        return false;
    return m->kind == MICRO_CAS ? m->other == value
                                : m->kind == MICRO_READ && m->known && m->values[0] == value;
}

/* When an operation of unknown outcome must have taken effect: HISTORY_NEVER for no bound; false if
 * nobody saw its value. */
static bool bound_of(const struct history *h, const uint32_t *op, uint32_t n, uint32_t unknown,
                     uint32_t *at)
{
    int64_t value = h->op[unknown].micro[0].value;
    uint32_t writers = 0;
    bool seen = false;
    *at = HISTORY_NEVER;
    for (uint32_t i = 0; i < n; i++) {
        const struct operation *o = &h->op[op[i]];
        const struct micro *m = &o->micro[0];
        writers += m->kind != MICRO_READ && m->value == value && o->result != RESULT_FAIL;
        /* an unknown compare-and-set that expects the value may have seen it, too */
        seen |= saw(o, value) ||
                (m->kind == MICRO_CAS && o->result != RESULT_FAIL && m->other == value);
        if (saw(o, value) && o->ended_at < *at)
            *at = o->ended_at;
    }
    if (writers != 1 || *at < h->op[unknown].invoked_at)
        *at = HISTORY_NEVER;
    return seen;
}

/* An unknown outcome may share the end of who saw its value: which comes first does not matter. */
static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->op > y->op) - (x->op < y->op);
}

static struct moment *moments_of(const struct history *h, const uint32_t *op, uint32_t n,
                                 uint32_t *moments)
{
    struct moment *all = xcalloc(2 * (size_t)n + 1, sizeof *all);
    *moments = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct operation *o = &h->op[op[i]];
        bool read = o->micro[0].kind == MICRO_READ;
        uint32_t end = o->ended_at;
        if (o->result == RESULT_FAIL || (read && (o->result != RESULT_OK || !o->micro[0].known)))
            continue;
        if (o->result != RESULT_OK && !bound_of(h, op, n, op[i], &end))
            continue;
        all[(*moments)++] = (struct moment){o->invoked_at, op[i], false};
        if (end != HISTORY_NEVER)
            all[(*moments)++] = (struct moment){end, op[i], true};
    }
    qsort(all, *moments, sizeof *all, compare_moments);
    return all;
}

/* A write of one key, by value, those that failed behind the others. */
struct source {
    int64_t value;
    bool failed;
    uint32_t op;
};

static int compare_sources(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->failed != y->failed ? x->failed - y->failed : (x->op > y->op) - (x->op < y->op);
}

static const struct source *source_of(const struct source *source, uint32_t n, int64_t value)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (source[middle].value < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && source[low].value == value ? &source[low] : NULL;
}

/* What an operation saw that nobody wrote, or only one that failed. */
static enum verdict check_source(const struct history *h, const struct source *source,
                                 uint32_t sources, uint32_t reader, struct finding *out)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES];
    const struct micro *r = &h->op[reader].micro[0];
    int64_t value = r->kind == MICRO_CAS ? r->other : r->values[0];
    const struct source *found = source_of(source, sources, value);
    if (value == HISTORY_NIL || (found != NULL && !found->failed))
        return VERDICT_HELD;
    if (found == NULL)
        finding_failed(out, ANOMALY_UNKNOWN_VALUE,
                       "%s saw %" PRId64 " in key %" PRId64 ", which nobody wrote",
                       op_text(h, reader, who), value, r->key);
    else
        finding_failed(out, ANOMALY_G1A,
                       "%s saw %" PRId64 " in key %" PRId64 ", which %s failed to write",
                       op_text(h, reader, who), value, r->key, op_text(h, found->op, by));
    finding_op(out, reader);
    if (found != NULL)
        finding_op(out, found->op);
    return out->verdict;
}

static enum verdict check_sources(const struct history *h, const uint32_t *op, uint32_t n,
                                  struct finding *out)
{
    struct source *source = xcalloc((size_t)n + 1, sizeof *source);
    uint32_t sources = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct micro *m = &h->op[op[i]].micro[0];
        if (m->kind != MICRO_READ)
            source[sources++] =
                (struct source){m->value, h->op[op[i]].result == RESULT_FAIL, op[i]};
    }
    qsort(source, sources, sizeof *source, compare_sources);
    enum verdict v = VERDICT_HELD;
    for (uint32_t i = 0; i < n && v == VERDICT_HELD; i++) {
        const struct operation *o = &h->op[op[i]];
        bool saw_one = o->result == RESULT_OK && o->micro[0].kind == MICRO_CAS;
        if (saw_one || op_read_known(o, 0))
            v = check_source(h, source, sources, op[i], out);
    }
    free(source);
    return v;
}

static void say_step(struct finding *out, const struct history *h, uint32_t op)
{
    char who[OP_TEXT_BYTES], a[VALUE_TEXT_BYTES], b[VALUE_TEXT_BYTES];
    const struct micro *m = &h->op[op].micro[0];
    op_text(h, op, who);
    finding_op(out, op);
    if (m->kind == MICRO_READ)
        finding_say(out, "%s read %s", who, value_text(m->values[0], a));
    else if (m->kind == MICRO_WRITE)
        finding_say(out, "%s wrote %s", who, value_text(m->value, a));
    else
        finding_say(out, "%s changed %s to %s", who, value_text(m->other, a),
                    value_text(m->value, b));
}

static enum verdict say_impossible(const struct search *s, uint32_t op, struct finding *out)
{
    char value[VALUE_TEXT_BYTES];
    finding_failed(out, ANOMALY_NONLINEARIZABLE, "key %" PRId64 ": ", s->key);
    say_step(out, s->h, op);
    finding_say(out, ", which no order explains: before it ended the value could be");
    for (uint32_t i = 0; i < s->now.n && i < 8; i++)
        finding_say(out, "%s %s", i > 0 ? " or" : "", value_text(s->now.world[i].value, value));
    bool first = true;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (s->slot[i] == HISTORY_NEVER)
            continue;
        finding_say(out, "%s", first ? "; under way besides: " : ", ");
        first = false;
        say_step(out, s->h, s->slot[i]);
    }
    return out->verdict;
}

static enum verdict search_key(struct search *s, const struct moment *moment, uint32_t n,
                               struct finding *out)
{
    worlds_add(&s->now, &(struct world){.value = HISTORY_NIL});
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = slot_of(s, moment[i].end ? moment[i].op : HISTORY_NEVER);
        if (slot == SLOTS)
            return finding_unjudged(out,
                                    "gave up on key %" PRId64 ": more than %u operations under way",
                                    s->key, SLOTS);
        if (!moment[i].end) {
            s->slot[slot] = moment[i].op;
            continue;
        }
        bool possible = end_slot(s, slot);
        if (gave_up(s))
            return finding_unjudged(out, "gave up on key %" PRId64 " after %u possible worlds",
                                    s->key, WORLDS_MAX);
        if (!possible)
            return say_impossible(s, moment[i].op, out);
    }
    return VERDICT_HELD;
}

static enum verdict check_key(const struct history *h, const uint32_t *op, uint32_t n,
                              struct finding *out)
{
    if (check_sources(h, op, n, out) != VERDICT_HELD)
        return out->verdict;
    struct search s = {.h = h, .key = h->op[op[0]].micro[0].key};
    for (uint32_t i = 0; i < SLOTS; i++)
        s.slot[i] = HISTORY_NEVER;
    uint32_t moments;
    struct moment *moment = moments_of(h, op, n, &moments);
    enum verdict v = search_key(&s, moment, moments, out);
    free(moment);
    worlds_free(&s.now);
    worlds_free(&s.next);
    worlds_free(&s.tried);
    return v;
}

struct keyed {
    int64_t key;
    uint32_t op;
};

static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->op > y->op) - (x->op < y->op);
}

enum verdict check_register(const struct history *h, struct finding *out)
{
    struct finding unjudged = {.verdict = VERDICT_HELD};
    uint32_t keys = 0, reads = 0;
    if (h->workload != WORKLOAD_REGISTER)
        return finding_unjudged(out, "not a history of registers");
    struct keyed *all = xcalloc((size_t)h->n + 1, sizeof *all);
    uint32_t *op = xcalloc((size_t)h->n + 1, sizeof *op);
    for (uint32_t i = 0; i < h->n; i++) {
        all[i] = (struct keyed){h->op[i].micro[0].key, i};
        reads += op_read_known(&h->op[i], 0);
    }
    qsort(all, h->n, sizeof *all, compare_keyed);
    for (uint32_t i = 0; i < h->n; i++)
        op[i] = all[i].op;
    enum verdict v = VERDICT_HELD;
    for (uint32_t i = 0, end; i < h->n && v != VERDICT_FAILED; i = end) {
        for (end = i + 1; end < h->n && all[end].key == all[i].key;)
            end++;
        keys++;
        v = check_key(h, op + i, end - i, out);
        if (v == VERDICT_UNJUDGED && unjudged.verdict == VERDICT_HELD)
            unjudged = *out;
    }
    free(all);
    free(op);
    if (v == VERDICT_FAILED)
        return v;
    if (unjudged.verdict != VERDICT_HELD) {
        *out = unjudged;
        return out->verdict;
    }
    if (reads == 0)
        return finding_unjudged(out, "no read of this history returned");
    return finding_held(out, "%" PRIu32 " operations on %" PRIu32 " keys", h->n, keys);
}
