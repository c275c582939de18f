#include "chaos/check_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#define PART_TEXT_BYTES 64

struct parts {
    const struct history *h;
    const char *const *names;
    uint32_t *removal; /* operations that may have removed a group, in the order of the history */
    uint32_t removals;
    struct finding *out;
};

static const char *part_text(const struct parts *p, int part, char out[PART_TEXT_BYTES])
{
    if (p->names == NULL)
        snprintf(out, PART_TEXT_BYTES, "part %d", part);
    else
        snprintf(out, PART_TEXT_BYTES, "%s", p->names[part]);
    return out;
}

static void collect_removals(struct parts *p)
{
    p->removal = xcalloc((size_t)p->h->n + 1, sizeof *p->removal);
    for (uint32_t i = 0; i < p->h->n; i++) {
        const struct operation *o = &p->h->op[i];
        if (o->result != RESULT_FAIL && o->micro[0].kind != MICRO_READ &&
            o->micro[0].value == HISTORY_NIL)
            p->removal[p->removals++] = i;
    }
}

/* Whether the group, or a later version of it, may have been removed between the beginning of the
 * first read and the end of the second. */
static bool may_be_removed(const struct parts *p, const struct parts_look *look)
{
    const struct operation *first = &p->h->op[look->op[0]], *second = &p->h->op[look->op[1]];
    for (uint32_t i = 0; i < p->removals; i++) {
        const struct operation *o = &p->h->op[p->removal[i]];
        bool knows_it = o->micro[0].kind != MICRO_CAS || o->micro[0].other >= look->seen[0];
        if (o->micro[0].key == first->micro[0].key && knows_it && !op_precedes(o, first) &&
            o->invoked_at < second->ended_at)
            return true;
    }
    return false;
}

static bool fits(const struct parts *p, const struct parts_look *look)
{
    int64_t a = look->seen[0], b = look->seen[1];
    if (a == b)
        return true;
    if (look->op[0] == look->op[1])
        return false;
    if (a == HISTORY_NIL) /* since then it may have been written */
        return true;
    return b == HISTORY_NIL ? may_be_removed(p, look) : b > a;
}

static enum verdict say_torn(const struct parts *p, const struct parts_look *look)
{
    char who[OP_TEXT_BYTES], part[PART_TEXT_BYTES], value[VALUE_TEXT_BYTES];
    finding_failed(p->out, ANOMALY_TORN, "%s read %s of group %" PRId64 " with version %s",
                   op_text(p->h, look->op[0], who), part_text(p, look->part[0], part),
                   p->h->op[look->op[0]].micro[0].key, value_text(look->seen[0], value));
    if (look->op[0] != look->op[1])
        finding_say(p->out, ", and after it %s", op_text(p->h, look->op[1], who));
    else
        finding_say(p->out, ", and");
    finding_say(p->out, " read %s with version %s", part_text(p, look->part[1], part),
                value_text(look->seen[1], value));
    finding_op(p->out, look->op[0]);
    finding_op(p->out, look->op[1]);
    return p->out->verdict;
}

enum verdict check_parts(const struct history *h, const struct parts_look *looks, size_t n,
                         const char *const *names, struct finding *out)
{
    struct parts p = {.h = h, .names = names, .out = out};
    size_t judged = 0;
    if (h->workload != WORKLOAD_REGISTER)
        return finding_unjudged(out, "not a history of groups of keys");
    collect_removals(&p);
    enum verdict v = VERDICT_HELD;
    for (size_t i = 0; i < n && v == VERDICT_HELD; i++) {
        if (h->op[looks[i].op[0]].result != RESULT_OK || h->op[looks[i].op[1]].result != RESULT_OK)
            continue;
        judged++;
        if (!fits(&p, &looks[i]))
            v = say_torn(&p, &looks[i]);
    }
    free(p.removal);
    if (v != VERDICT_HELD)
        return v;
    if (judged == 0)
        return finding_unjudged(out, "nobody looked at two parts of a group");
    return finding_held(out, "%zu looks at two parts of a group", judged);
}
