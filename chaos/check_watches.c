#include "chaos/check_watches.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void watch_log_add(struct watch_log *log, const struct watch_seen *seen)
{
    if (log->n == log->cap) {
        log->cap = log->cap == 0 ? 64 : 2 * log->cap;
        log->seen = xrealloc(log->seen, log->cap * sizeof *log->seen);
    }
    struct watch_seen *copy = &log->seen[log->n++];
    *copy = *seen;
    copy->values = xcalloc(seen->n + 1, sizeof *copy->values);
    if (seen->n > 0)
        memcpy(copy->values, seen->values, seen->n * sizeof *copy->values);
}

void watch_log_free(struct watch_log *log)
{
    for (uint32_t i = 0; i < log->n; i++)
        free(log->seen[i].values);
    free(log->seen);
    *log = (struct watch_log){0};
}

static bool has(const struct watch_seen *s, int64_t value)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->values[i] == value)
            return true;
    return false;
}

static bool begins(const struct watch_seen *s)
{
    return s->kind == WATCH_SEEN_FROM || s->kind == WATCH_SEEN_BEGIN;
}

/* The watch that begins at `from`: told of this append by the time of its first position at or
 * above the append's timestamp. */
static enum verdict check_append(const struct watch_log *log, uint32_t from,
                                 const struct operation *op, const struct micro *append,
                                 struct finding *out)
{
    const struct watch_seen *begin = &log->seen[from];
    for (uint32_t i = from + 1; i < log->n; i++) {
        const struct watch_seen *s = &log->seen[i];
        if (s->watcher != begin->watcher)
            continue;
        if (begins(s))
            break;
        if (s->kind == WATCH_SEEN_LIST && s->key == append->key && has(s, append->value))
            break;
        if (s->kind == WATCH_SEEN_UPTO && s->ts >= op->commit_ts)
            return finding_failed(out, ANOMALY_CHANGE_MISSED,
                                  "watcher %u, of list %" PRId64 " from %" PRIu64
                                  " on, was told that it has seen all up to %" PRIu64
                                  ", but not of the append of %" PRId64 ", committed at %" PRIu64,
                                  begin->watcher, append->key, begin->ts, s->ts, append->value,
                                  op->commit_ts);
    }
    return VERDICT_HELD;
}

static enum verdict check_watch(const struct history *lists, const struct watch_log *log,
                                uint32_t from, struct finding *out)
{
    const struct watch_seen *begin = &log->seen[from];
    for (uint32_t i = 0; i < lists->n; i++) {
        const struct operation *op = &lists->op[i];
        if (op->result != RESULT_OK || op->commit_ts <= begin->ts ||
            (begin->kind == WATCH_SEEN_BEGIN && op->start_ns < begin->at_ns))
            continue;
        for (uint32_t k = 0; k < op->n; k++) {
            const struct micro *m = &op->micro[k];
            if (m->kind == MICRO_APPEND && (begin->keys >> m->key & 1) != 0 &&
                check_append(log, from, op, m, out) != VERDICT_HELD)
                return out->verdict;
        }
    }
    return VERDICT_HELD;
}

static enum verdict check_positions(const struct watch_log *log, uint32_t from, struct finding *out)
{
    const struct watch_seen *begin = &log->seen[from];
    hlc_ts last = begin->ts;
    for (uint32_t i = from + 1; i < log->n; i++) {
        const struct watch_seen *s = &log->seen[i];
        if (s->watcher == begin->watcher && begins(s))
            break;
        if (s->watcher != begin->watcher || s->kind != WATCH_SEEN_UPTO)
            continue;
        if (s->ts < last)
            return finding_failed(out, ANOMALY_CHANGE_MISSED,
                                  "watcher %u was at %" PRIu64 " and is told to be at %" PRIu64,
                                  begin->watcher, last, s->ts);
        last = s->ts;
    }
    return VERDICT_HELD;
}

/* An append that has failed, and is in a list that was told. */
static enum verdict check_aborted(const struct history *lists, const struct watch_log *log,
                                  struct finding *out)
{
    for (uint32_t i = 0; i < lists->n; i++) {
        const struct operation *op = &lists->op[i];
        for (uint32_t k = 0; k < op->n && op->result == RESULT_FAIL; k++)
            for (uint32_t j = 0; j < log->n && op->micro[k].kind == MICRO_APPEND; j++)
                if (log->seen[j].kind == WATCH_SEEN_LIST && log->seen[j].key == op->micro[k].key &&
                    has(&log->seen[j], op->micro[k].value))
                    return finding_failed(out, ANOMALY_G1A,
                                          "watcher %u was told of the append of %" PRId64
                                          " to list %" PRId64 ", which has failed",
                                          log->seen[j].watcher, op->micro[k].value,
                                          op->micro[k].key);
    }
    return VERDICT_HELD;
}

enum verdict check_watches(const struct history *lists, const struct watch_log *log,
                           struct finding *out)
{
    uint32_t watches = 0;
    if (check_aborted(lists, log, out) != VERDICT_HELD)
        return out->verdict;
    for (uint32_t i = 0; i < log->n; i++) {
        if (!begins(&log->seen[i]))
            continue;
        watches++;
        if (check_watch(lists, log, i, out) != VERDICT_HELD ||
            check_positions(log, i, out) != VERDICT_HELD)
            return out->verdict;
    }
    return finding_held(out, "%u watches, %u events", watches, log->n);
}
