/* The sentences of refusals: which key, what was expected, what was found. Plain printable ASCII.
 */
#ifndef PARTICIPANT_KV_SAY_H
#define PARTICIPANT_KV_SAY_H

#include "common/limits.h"
#include "participant/kv_overlay.h"

/* Quoted bytes, escaped and cut: 64 characters, two quotes, "..." and the zero. */
#define KV_QUOTED_BYTES 70

struct kv_say {
    char text[DETAIL_BYTES_MAX + 1];
};

/* 'text' with anything that is not printable as \xNN; cut with "..." where it is long. Returns out.
 */
const char *kv_quote(struct bytes b, char *out);
/* "'value'", or "nothing". Returns out. */
const char *kv_quote_cell(const struct kv_cell *cell, char *out);
__attribute__((format(printf, 2, 3))) void kv_say(struct kv_say *say, const char *format, ...);
/* Owned by the caller; NULL if nothing was said. */
struct blob *kv_said(const struct kv_say *say);

#endif
