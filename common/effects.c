#include "common/effects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WHY_BYTES 192

static struct effect *effect_new(struct effects *e, enum effect_kind kind)
{
    struct effect *effect = xcalloc(1, sizeof *effect);
    effect->kind = kind;
    TAILQ_INIT(&effect->then);
    if (e != NULL)
        TAILQ_INSERT_TAIL(e, effect, link);
    return effect;
}

void effect_send(struct effects *e, struct addr to, struct msg *msg)
{
    struct effect *effect = effect_new(e, EFFECT_SEND);
    effect->to = to;
    effect->msg = msg;
}

struct effect *effect_persist(struct effects *e, enum record_kind kind, const struct txid *txid,
                              hlc_ts ts, struct blob *body)
{
    struct effect *effect = effect_new(e, EFFECT_PERSIST);
    effect->record = (struct record){.kind = kind, .ts = ts, .body = body};
    if (txid != NULL)
        effect->record.txid = *txid;
    return effect;
}

struct effect *effect_prepare(struct effects *e, enum record_kind kind, const struct txid *txid,
                              hlc_ts ts, struct blob *body, struct blob *ops)
{
    struct effect *effect = effect_persist(e, kind, txid, ts, body);
    effect->kind = EFFECT_PREPARE;
    effect->ops = ops;
    return effect;
}

void effect_then_send(struct effect *persist, struct addr to, struct msg *msg)
{
    struct effect *effect = effect_new(NULL, EFFECT_SEND);
    effect->to = to;
    effect->msg = msg;
    TAILQ_INSERT_TAIL(&persist->then, effect, link);
}

void effect_lookup(struct effects *e, const struct txid *txid)
{
    effect_new(e, EFFECT_LOOKUP)->record.txid = *txid;
}

void effect_read(struct effects *e, uint64_t token, const struct read_point *point,
                 struct blob *ops)
{
    struct effect *effect = effect_new(e, EFFECT_READ);
    effect->token = token;
    effect->point = *point;
    effect->ops = ops;
}

void effect_halt(struct effects *e, const char *format, ...)
{
    struct effect *effect = effect_new(e, EFFECT_HALT);
    va_list args;
    va_start(args, format);
    effect->why = xmalloc(WHY_BYTES);
    vsnprintf(effect->why, WHY_BYTES, format, args);
    va_end(args);
}

void effect_free(struct effect *effect)
{
    struct effect *send;
    while ((send = TAILQ_FIRST(&effect->then)) != NULL) {
        TAILQ_REMOVE(&effect->then, send, link);
        effect_free(send);
    }
    msg_unref(effect->msg);
    blob_unref(effect->record.body);
    blob_unref(effect->ops);
    free(effect->why);
    free(effect);
}

void effects_free(struct effects *e)
{
    struct effect *effect;
    while ((effect = TAILQ_FIRST(e)) != NULL) {
        TAILQ_REMOVE(e, effect, link);
        effect_free(effect);
    }
}
