#include "chaos/plant.h"

#include <stdlib.h>
#include <string.h>

/* Whether the operation wrote this value, certainly and with an answer before `reader` began. */
static bool wrote_before(const struct operation *o, int64_t key, int64_t value,
                         const struct operation *reader)
{
    if (o->result != RESULT_OK || !op_precedes(o, reader))
        return false;
    for (uint32_t i = 0; i < o->n; i++)
        if (o->micro[i].kind != MICRO_READ && o->micro[i].key == key && o->micro[i].value == value)
            return true;
    return false;
}

/* Whether what the read found last was acknowledged before it began. For sums and accounts, which
 * do not tell who made them: anything acknowledged will do. */
static bool missed_if_dropped(const struct history *h, const struct operation *reader,
                              const struct micro *m)
{
    bool sums = h->workload == WORKLOAD_BANK || h->workload == WORKLOAD_COUNTER;
    int64_t last = m->values[m->n - 1];
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *o = &h->op[i];
        if (sums && o->micro[0].kind != MICRO_READ && o->result == RESULT_OK &&
            op_precedes(o, reader))
            return true;
        if (!sums &&
            wrote_before(o, h->workload == WORKLOAD_SET ? o->micro[0].key : m->key, last, reader))
            return true;
    }
    return false;
}

/* The last read that the plant fits. */
static bool find_read(struct plant *p, const struct history *h, bool stamped)
{
    for (uint32_t i = h->n; i-- > 0;) {
        struct operation *o = &h->op[i];
        if (stamped && o->commit_ts == 0)
            continue;
        for (uint32_t k = 0; k < o->n; k++) {
            struct micro *m = &o->micro[k];
            if (!op_read_known(o, k) || m->n == 0 || m->values[m->n - 1] == HISTORY_NIL ||
                !missed_if_dropped(h, o, m))
                continue;
            p->op = o;
            p->op_before = *o;
            p->micro = m;
            p->micro_before = *m;
            return true;
        }
    }
    return false;
}

static void plant_read(struct plant *p, const struct history *h)
{
    struct micro *m = p->micro;
    if (h->workload == WORKLOAD_LIST || h->workload == WORKLOAD_SET) {
        m->n--;
        return;
    }
    p->values = xcalloc(m->n, sizeof *p->values);
    memcpy(p->values, m->values, m->n * sizeof *p->values);
    m->values = p->values;
    if (h->workload == WORKLOAD_REGISTER)
        p->values[0] = HISTORY_NIL;
    else if (h->workload == WORKLOAD_BANK)
        p->values[0]--;
    else
        p->values[0] -= INT64_C(1000000000000); /* below whatever may be under way */
}

/* One unit of money less in the last snapshot of the accounts. */
static bool plant_accounts(struct plant *p, const struct history *h)
{
    for (uint32_t i = h->weak_n; i-- > 0;) {
        struct micro *m = &h->weak[i].op.micro[0];
        if (!op_read_known(&h->weak[i].op, 0) || m->n == 0)
            continue;
        p->micro = m;
        p->micro_before = *m;
        plant_read(p, h);
        return true;
    }
    return false;
}

bool plant_history(struct plant *p, struct history *h, enum plant_kind kind)
{
    *p = (struct plant){0};
    if (kind == PLANT_ACCOUNTS)
        return plant_accounts(p, h);
    if (!find_read(p, h, kind == PLANT_TIMESTAMP))
        return false;
    if (kind == PLANT_TIMESTAMP)
        p->op->commit_ts = 1;
    else
        plant_read(p, h);
    return true;
}

bool plant_look(struct plant *p, const struct history *h, struct parts_look *looks, size_t n)
{
    *p = (struct plant){0};
    for (size_t i = n; i-- > 0;) {
        struct parts_look *look = &looks[i];
        if (look->seen[0] == HISTORY_NIL || look->seen[1] == HISTORY_NIL ||
            h->op[look->op[0]].result != RESULT_OK || h->op[look->op[1]].result != RESULT_OK)
            continue;
        p->look = look;
        p->look_before = *look;
        look->seen[1] = look->seen[0] - 1;
        return true;
    }
    return false;
}

void plant_undo(struct plant *p)
{
    if (p->look != NULL)
        *p->look = p->look_before;
    if (p->micro != NULL)
        *p->micro = p->micro_before;
    if (p->op != NULL)
        *p->op = p->op_before;
    free(p->values);
    *p = (struct plant){0};
}
