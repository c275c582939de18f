/* One MessagePack value at a time, from bytes of outside. An array is only its count: its values
 * are read one by one after it, so nothing is ever allocated for what a header claims. */
#ifndef WIRE_VALUE_H
#define WIRE_VALUE_H

#include "common/bytes.h"

enum value_kind {
    VALUE_NIL,
    VALUE_BOOLEAN,
    VALUE_UNSIGNED,
    VALUE_NEGATIVE,
    VALUE_BYTES,
    VALUE_TEXT,
    VALUE_ARRAY,
};

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        uint64_t number;
        int64_t negative;   /* below 0 */
        struct bytes bytes; /* of VALUE_BYTES and VALUE_TEXT: where they lie */
        uint32_t count;     /* of VALUE_ARRAY: at most as many as there are bytes after it */
    };
};

/* Takes the value at the start of `rest`. NULL, or a constant sentence about why there is none:
 * the bytes end too early, or hold what Assent does not use (maps, floats, extensions). */
const char *value_read(struct bytes *rest, struct value *out);

#endif
