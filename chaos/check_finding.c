#include "chaos/check_finding.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define LIST_SHOWN 12u

static const struct {
    const char *name, *meaning;
} anomalies[] = {
#define ANOMALY_TEXT(name, text, meaning) [ANOMALY_##name] = {text, meaning},
    ANOMALY_MAP(ANOMALY_TEXT)
#undef ANOMALY_TEXT
};

const char *anomaly_name(enum anomaly anomaly)
{
    return anomalies[anomaly].name;
}

const char *anomaly_meaning(enum anomaly anomaly)
{
    return anomalies[anomaly].meaning;
}

__attribute__((format(printf, 2, 0))) static void say(struct finding *f, const char *format,
                                                      va_list args)
{
    size_t used = strlen(f->text);
    if (used + 1 < sizeof f->text)
        vsnprintf(f->text + used, sizeof f->text - used, format, args);
}

void finding_say(struct finding *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(f, format, args);
    va_end(args);
}

static void clear(struct finding *f, enum verdict verdict, enum anomaly anomaly)
{
    f->verdict = verdict;
    f->anomaly = anomaly;
    f->ops = 0;
    f->text[0] = 0;
}

enum verdict finding_held(struct finding *f, const char *format, ...)
{
    va_list args;
    clear(f, VERDICT_HELD, ANOMALY_NONE);
    va_start(args, format);
    say(f, format, args);
    va_end(args);
    return f->verdict;
}

enum verdict finding_unjudged(struct finding *f, const char *format, ...)
{
    va_list args;
    clear(f, VERDICT_UNJUDGED, ANOMALY_NONE);
    va_start(args, format);
    say(f, format, args);
    va_end(args);
    return f->verdict;
}

enum verdict finding_failed(struct finding *f, enum anomaly anomaly, const char *format, ...)
{
    va_list args;
    clear(f, VERDICT_FAILED, anomaly);
    finding_say(f, "%s (%s): ", anomaly_name(anomaly), anomaly_meaning(anomaly));
    va_start(args, format);
    say(f, format, args);
    va_end(args);
    return f->verdict;
}

void finding_op(struct finding *f, uint32_t op)
{
    for (uint32_t i = 0; i < f->ops; i++)
        if (f->op[i] == op)
            return;
    if (f->ops < FINDING_OPS_MAX)
        f->op[f->ops++] = op;
}

const char *op_text(const struct history *h, uint32_t op, char out[OP_TEXT_BYTES])
{
    static const struct txid none;
    const struct operation *o = &h->op[op];
    char id[TXID_TEXT_BYTES] = "";
    if (!txid_equal(&o->txid, &none))
        txid_text(&o->txid, id);
    snprintf(out, OP_TEXT_BYTES, "T%" PRIu32 " (process %" PRIu32 ", datacenter %" PRIu32 "%s%s)",
             op, o->process, o->datacenter, id[0] != 0 ? ", " : "", id);
    return out;
}

const char *value_text(int64_t value, char out[VALUE_TEXT_BYTES])
{
    if (value == HISTORY_NIL)
        snprintf(out, VALUE_TEXT_BYTES, "nil");
    else
        snprintf(out, VALUE_TEXT_BYTES, "%" PRId64, value);
    return out;
}

const char *list_text(const int64_t *values, uint32_t n, char out[LIST_TEXT_BYTES])
{
    uint32_t first = n > LIST_SHOWN ? n - LIST_SHOWN : 0;
    int used = snprintf(out, LIST_TEXT_BYTES, "[%s", first > 0 ? "... " : "");
    for (uint32_t i = first; i < n && used < LIST_TEXT_BYTES - 24; i++)
        used += snprintf(out + used, LIST_TEXT_BYTES - (size_t)used, "%s%" PRId64,
                         i > first ? " " : "", values[i]);
    snprintf(out + used, LIST_TEXT_BYTES - (size_t)used, "]");
    return out;
}
