/* Snapshots of accounts in the order of their timestamps, the transfers applied up to each. */
#include <inttypes.h>
#include <stdlib.h>

#include "chaos/check_levels.h"

struct books {
    const struct history *bank;
    uint32_t accounts;
    int64_t *balance;
    bool *unsure; /* a transfer of unknown outcome concerns it */
    const struct operation **transfer;
    uint32_t transfers, applied;
    const struct weak_read **read;
    uint32_t reads;
    int64_t total;
};

static int by_ts(const struct operation *a, const struct operation *b)
{
    return (a->commit_ts > b->commit_ts) - (a->commit_ts < b->commit_ts);
}

static int transfers_by_ts(const void *a, const void *b)
{
    return by_ts(*(const struct operation *const *)a, *(const struct operation *const *)b);
}

static int reads_by_ts(const void *a, const void *b)
{
    return by_ts(&(*(const struct weak_read *const *)a)->op,
                 &(*(const struct weak_read *const *)b)->op);
}

static bool in_range(const struct books *b, int64_t account)
{
    return account >= 0 && account < b->accounts;
}

static void collect_transfers(struct books *b)
{
    b->transfer = xcalloc((size_t)b->bank->n + 1, sizeof *b->transfer);
    for (uint32_t i = 0; i < b->bank->n; i++) {
        const struct operation *op = &b->bank->op[i];
        const struct micro *m = &op->micro[0];
        if (m->kind != MICRO_TRANSFER || op->result == RESULT_FAIL || !in_range(b, m->key) ||
            !in_range(b, m->other))
            continue;
        if (op->result == RESULT_OK && op->commit_ts != 0)
            b->transfer[b->transfers++] = op;
        else
            b->unsure[m->key] = b->unsure[m->other] = true;
    }
    qsort(b->transfer, b->transfers, sizeof *b->transfer, transfers_by_ts);
}

static void collect_reads(struct books *b)
{
    b->read = xcalloc((size_t)b->bank->weak_n + 1, sizeof *b->read);
    for (uint32_t i = 0; i < b->bank->weak_n; i++) {
        const struct weak_read *w = &b->bank->weak[i];
        if (w->level == READ_SNAPSHOT && op_read_known(&w->op, 0))
            b->read[b->reads++] = w;
    }
    qsort(b->read, b->reads, sizeof *b->read, reads_by_ts);
}

static void apply_up_to(struct books *b, hlc_ts ts)
{
    for (; b->applied < b->transfers && b->transfer[b->applied]->commit_ts <= ts; b->applied++) {
        const struct micro *m = &b->transfer[b->applied]->micro[0];
        b->balance[m->key] -= m->value;
        b->balance[m->other] += m->value;
    }
}

static enum verdict fail(const struct weak_read *w, struct finding *out, enum anomaly anomaly,
                         int64_t found, int64_t due, const char *what, uint32_t account)
{
    return finding_failed(out, anomaly,
                          "accounts read at %" PRIu64 " (asked for %" PRIu64
                          ") by client %u in datacenter %u from %" PRId64 " to %" PRId64
                          " ns: %s %u: %" PRId64 ", not %" PRId64,
                          w->op.commit_ts, w->asked, w->op.client, w->op.datacenter, w->op.start_ns,
                          w->op.end_ns, what, account, found, due);
}

static enum verdict check_read(struct books *b, const struct weak_read *w, struct finding *out)
{
    const struct micro *m = &w->op.micro[0];
    int64_t total = 0;
    if (w->op.commit_ts != w->asked)
        return fail(w, out, ANOMALY_TORN, (int64_t)w->op.commit_ts, (int64_t)w->asked,
                    "not at the timestamp asked for; account", 0);
    for (uint32_t i = 0; i < b->accounts; i++) {
        if (i >= m->n || m->values[i] == HISTORY_NIL)
            return fail(w, out, ANOMALY_MISSING_ACCOUNT, 0, b->balance[i], "there is no account",
                        i);
        total += m->values[i];
    }
    if (total != b->total)
        return fail(w, out, ANOMALY_WRONG_TOTAL, total, b->total, "the total, of accounts",
                    b->accounts);
    apply_up_to(b, w->op.commit_ts);
    for (uint32_t i = 0; i < b->accounts; i++)
        if (!b->unsure[i] && m->values[i] != b->balance[i])
            return fail(w, out, ANOMALY_WRONG_BALANCE, m->values[i], b->balance[i], "account", i);
    return VERDICT_HELD;
}

enum verdict check_level_accounts(const struct history *bank, uint32_t accounts,
                                  const int64_t *initial, struct finding *out)
{
    struct books b = {.bank = bank, .accounts = accounts};
    enum verdict verdict = VERDICT_HELD;
    b.balance = xcalloc((size_t)accounts + 1, sizeof *b.balance);
    b.unsure = xcalloc((size_t)accounts + 1, sizeof *b.unsure);
    for (uint32_t i = 0; i < accounts; i++) {
        b.balance[i] = initial[i];
        b.total += initial[i];
    }
    collect_transfers(&b);
    collect_reads(&b);
    for (uint32_t i = 0; i < b.reads && verdict == VERDICT_HELD; i++)
        verdict = check_read(&b, b.read[i], out);
    if (verdict == VERDICT_HELD && b.reads == 0)
        verdict = finding_unjudged(out, "no snapshot of the accounts was read");
    else if (verdict == VERDICT_HELD)
        verdict = finding_held(out, "%u snapshots of %u accounts, %u transfers", b.reads, accounts,
                               b.transfers);
    free(b.balance);
    free(b.unsure);
    free(b.transfer);
    free(b.read);
    return verdict;
}
