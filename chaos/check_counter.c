#include "chaos/check_counter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <uthash.h>

#include "chaos/check_tally.h"

struct counter {
    UT_hash_handle hh;
    int64_t key;
    struct tally tally;
    uint32_t last_ended; /* event of the last acknowledged add, + 1; 0: none */
    uint32_t last_read;  /* event at which the last read that returned began, + 1 */
};

static struct counter *counter_of(struct counter **all, int64_t key)
{
    struct counter *c;
    HASH_FIND(hh, *all, &key, sizeof key, c);
    if (c == NULL) {
        c = xcalloc(1, sizeof *c);
        c->key = key;
        HASH_ADD(hh, *all, key, sizeof c->key, c);
    }
    return c;
}

static void add_event(struct counter *c, const struct operation *o, bool end)
{
    int64_t delta = o->micro[0].value;
    if (!end && o->result != RESULT_FAIL)
        tally_began(&c->tally, delta);
    if (!end || o->result != RESULT_OK)
        return;
    tally_ended(&c->tally, delta);
    c->last_ended = o->ended_at + 1;
}

static enum verdict read_ended(const struct history *h, struct counter *c, uint32_t op,
                               const struct tally *then, struct finding *out)
{
    char who[OP_TEXT_BYTES], value[VALUE_TEXT_BYTES];
    int64_t found = h->op[op].micro[0].values[0];
    int64_t least = tally_least(then, &c->tally), most = tally_most(then, &c->tally);
    c->last_read =
        h->op[op].invoked_at + 1 > c->last_read ? h->op[op].invoked_at + 1 : c->last_read;
    if (found >= least && found <= most)
        return VERDICT_HELD;
    finding_failed(out, ANOMALY_WRONG_COUNT,
                   "%s read counter %" PRId64 " as %s; it must be in %" PRId64 "..%" PRId64
                   ": %" PRId64 " was acknowledged before it began",
                   op_text(h, op, who), c->key, value_text(found, value), least, most,
                   then->certain);
    finding_op(out, op);
    return out->verdict;
}

static enum verdict say_held(const struct history *h, const struct counter *all,
                             struct finding *out)
{
    for (const struct counter *c = all; c != NULL; c = c->hh.next)
        if (c->last_read <= c->last_ended)
            return finding_unjudged(
                out, "counter %" PRId64 " was not read behind its last acknowledged add", c->key);
    return finding_held(out, "%" PRIu32 " operations on %u counters", h->n, HASH_COUNT(all));
}

enum verdict check_counter(const struct history *h, struct finding *out)
{
    struct counter *all = NULL, *c, *next;
    uint32_t n;
    if (h->workload != WORKLOAD_COUNTER)
        return finding_unjudged(out, "not a history of counters");
    struct history_event *event = history_events(h, &n);
    struct tally *then = xcalloc((size_t)h->n + 1, sizeof *then);
    enum verdict v = VERDICT_HELD;
    for (uint32_t i = 0; i < n && v == VERDICT_HELD; i++) {
        uint32_t op = event[i].op;
        const struct operation *o = &h->op[op];
        c = counter_of(&all, o->micro[0].key);
        if (o->micro[0].kind == MICRO_ADD)
            add_event(c, o, event[i].end);
        else if (!event[i].end)
            then[op] = c->tally;
        else if (op_read_known(o, 0))
            v = read_ended(h, c, op, &then[op], out);
    }
    if (v == VERDICT_HELD)
        v = say_held(h, all, out);
    HASH_ITER (hh, all, c, next) {
        HASH_DEL(all, c);
        free(c);
    }
    free(then);
    free(event);
    return v;
}
