#include "chaos/check_bank.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/check_tally.h"

struct bank {
    const struct history *h;
    const struct bank_terms *terms;
    struct tally *tally; /* by account, without the initial balance */
    struct tally **then; /* by operation: of a read under way, the tallies when it began */
    struct finding *out;
    int64_t total;
    uint32_t reads;
    uint32_t last_ended; /* event of the last acknowledged transfer, + 1 */
    uint32_t last_read;  /* event at which the last read that returned began, + 1 */
};

static enum verdict check_read_itself(struct bank *b, uint32_t op)
{
    char who[OP_TEXT_BYTES];
    const struct micro *m = &b->h->op[op].micro[0];
    int64_t sum = 0;
    op_text(b->h, op, who);
    if (m->n != b->terms->accounts)
        finding_failed(b->out, ANOMALY_MISSING_ACCOUNT,
                       "%s read %" PRIu32 " accounts, there are %" PRIu32, who, m->n,
                       b->terms->accounts);
    for (uint32_t i = 0; i < m->n && b->out->verdict == VERDICT_HELD; i++) {
        if (m->values[i] == HISTORY_NIL)
            finding_failed(b->out, ANOMALY_MISSING_ACCOUNT, "%s did not see account %" PRIu32, who,
                           i);
        else if (b->terms->bounded && m->values[i] < b->terms->least)
            finding_failed(b->out, ANOMALY_NEGATIVE_BALANCE,
                           "%s read account %" PRIu32 " as %" PRId64 ", its bound is %" PRId64, who,
                           i, m->values[i], b->terms->least);
        else
            sum += m->values[i];
    }
    if (b->out->verdict == VERDICT_HELD && sum != b->total)
        finding_failed(b->out, ANOMALY_WRONG_TOTAL,
                       "%s read accounts that add up to %" PRId64 ", not to %" PRId64, who, sum,
                       b->total);
    if (b->out->verdict != VERDICT_HELD)
        finding_op(b->out, op);
    return b->out->verdict;
}

/* ---- what a wrong balance looks like ---- */

/* Two accounts and how much went from one to the other too much. */
struct excess {
    uint32_t from, to;
    int64_t amount;
};

/* Whether the read differs from the only balances possible by one amount between two accounts. */
static bool excess_of(const struct bank *b, uint32_t op, struct excess *x)
{
    const struct micro *m = &b->h->op[op].micro[0];
    uint32_t different = 0;
    for (uint32_t i = 0; i < b->terms->accounts; i++) {
        const struct tally *then = &b->then[op][i], *now = &b->tally[i];
        int64_t least = tally_least(then, now), more = m->values[i] - b->terms->initial[i] - least;
        if (least != tally_most(then, now))
            return false;
        if (more == 0)
            continue;
        different++;
        x->from = more < 0 ? i : x->from;
        x->to = more > 0 ? i : x->to;
        x->amount = more > 0 ? more : x->amount;
    }
    /* the totals agree, so of two differences one is the other's opposite */
    return different == 2;
}

/* The transfer that explains the excess if one kind of mistake alone does. */
static enum anomaly name_excess(const struct bank *b, const struct excess *x, uint32_t *culprit)
{
    enum anomaly name = ANOMALY_NONE;
    for (uint32_t i = 0; i < b->h->n; i++) {
        const struct operation *o = &b->h->op[i];
        const struct micro *m = &o->micro[0];
        enum anomaly here = ANOMALY_NONE;
        if (m->kind != MICRO_TRANSFER || m->value != x->amount)
            continue;
        if (m->key == x->from && m->other == x->to)
            here = o->result == RESULT_OK     ? ANOMALY_APPLIED_TWICE
                   : o->result == RESULT_FAIL ? ANOMALY_ABORTED_TRANSFER
                                              : ANOMALY_NONE;
        else if (m->key == x->to && m->other == x->from && o->result == RESULT_OK)
            here = ANOMALY_LOST_TRANSFER;
        if (here == ANOMALY_NONE)
            continue;
        if (name != ANOMALY_NONE && name != here)
            return ANOMALY_WRONG_BALANCE;
        name = here;
        *culprit = i;
    }
    return name == ANOMALY_NONE ? ANOMALY_WRONG_BALANCE : name;
}

static enum verdict say_balance(const struct bank *b, uint32_t op, uint32_t account)
{
    char who[OP_TEXT_BYTES], by[OP_TEXT_BYTES];
    struct excess x = {0};
    uint32_t culprit = HISTORY_NEVER;
    const struct tally *then = &b->then[op][account], *now = &b->tally[account];
    int64_t initial = b->terms->initial[account];
    enum anomaly name = excess_of(b, op, &x) ? name_excess(b, &x, &culprit) : ANOMALY_WRONG_BALANCE;
    finding_failed(b->out, name,
                   "%s read account %" PRIu32 " as %" PRId64 "; the transfers allow %" PRId64
                   "..%" PRId64,
                   op_text(b->h, op, who), account, b->h->op[op].micro[0].values[account],
                   initial + tally_least(then, now), initial + tally_most(then, now));
    finding_op(b->out, op);
    if (name == ANOMALY_WRONG_BALANCE)
        return b->out->verdict;
    const struct micro *m = &b->h->op[culprit].micro[0];
    finding_say(b->out, "; %s, %" PRId64 " from %" PRId64 " to %" PRId64 ", would explain it",
                op_text(b->h, culprit, by), m->value, m->key, m->other);
    finding_op(b->out, culprit);
    return b->out->verdict;
}

/* ---- the sweep ---- */

static void transfer_event(struct bank *b, const struct operation *o, bool end)
{
    const struct micro *m = &o->micro[0];
    struct tally *from = &b->tally[m->key], *to = &b->tally[m->other];
    if (!end && o->result != RESULT_FAIL) {
        tally_began(from, -m->value);
        tally_began(to, m->value);
    } else if (end && o->result == RESULT_OK) {
        tally_ended(from, -m->value);
        tally_ended(to, m->value);
        b->last_ended = o->ended_at + 1;
    }
}

static enum verdict read_event(struct bank *b, uint32_t op, bool end)
{
    const struct operation *o = &b->h->op[op];
    size_t size = ((size_t)b->terms->accounts + 1) * sizeof *b->tally;
    enum verdict v = VERDICT_HELD;
    if (!op_read_known(o, 0))
        return v;
    if (!end) {
        b->then[op] = xmalloc(size);
        memcpy(b->then[op], b->tally, size);
        return v;
    }
    b->reads++;
    b->last_read = o->invoked_at + 1 > b->last_read ? o->invoked_at + 1 : b->last_read;
    v = check_read_itself(b, op);
    for (uint32_t i = 0; i < b->terms->accounts && v == VERDICT_HELD; i++) {
        const struct tally *then = &b->then[op][i], *now = &b->tally[i];
        int64_t change = o->micro[0].values[i] - b->terms->initial[i];
        if (change < tally_least(then, now) || change > tally_most(then, now))
            v = say_balance(b, op, i);
    }
    free(b->then[op]);
    b->then[op] = NULL;
    return v;
}

static bool accounts_exist(const struct history *h, uint32_t accounts)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct micro *m = &h->op[i].micro[0];
        if (m->kind == MICRO_TRANSFER &&
            (m->key < 0 || m->key >= accounts || m->other < 0 || m->other >= accounts))
            return false;
    }
    return true;
}

enum verdict check_bank(const struct history *h, const struct bank_terms *terms,
                        struct finding *out)
{
    if (h->workload != WORKLOAD_BANK || !accounts_exist(h, terms->accounts))
        return finding_unjudged(out, "not a history of these %" PRIu32 " accounts",
                                terms->accounts);
    uint32_t n;
    struct history_event *event = history_events(h, &n);
    struct bank b = {.h = h,
                     .terms = terms,
                     .out = out,
                     .tally = xcalloc((size_t)terms->accounts + 1, sizeof *b.tally),
                     .then = xcalloc((size_t)h->n + 1, sizeof(struct tally *))};
    for (uint32_t i = 0; i < terms->accounts; i++)
        b.total += terms->initial[i];
    enum verdict v = finding_held(out, "%s", "");
    for (uint32_t i = 0; i < n && v == VERDICT_HELD; i++) {
        if (h->op[event[i].op].micro[0].kind == MICRO_READ)
            v = read_event(&b, event[i].op, event[i].end);
        else
            transfer_event(&b, &h->op[event[i].op], event[i].end);
    }
    if (v == VERDICT_HELD && b.last_read <= b.last_ended)
        v = finding_unjudged(out, "no read of all accounts behind the last acknowledged transfer");
    else if (v == VERDICT_HELD)
        v = finding_held(out, "%" PRIu32 " transfers and reads, %" PRIu32 " reads returned", h->n,
                         b.reads);
    for (uint32_t i = 0; i < h->n; i++)
        free(b.then[i]);
    free(b.then);
    free(b.tally);
    free(event);
    return v;
}
