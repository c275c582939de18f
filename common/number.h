/* Integers as values: canonical decimal text of 64 bits ("0", "-7", never "+7", "007" or "-0").
 * Sums of many of them are `wide`, which cannot overflow: at most 2^32 terms of 64 bits. */
#ifndef COMMON_NUMBER_H
#define COMMON_NUMBER_H

#include "common/bytes.h"

typedef __int128 wide;

/* A sign, 39 digits and the zero. */
#define WIDE_TEXT_BYTES 41

/* False unless `text` is exactly a canonical integer. */
bool number_parse(struct bytes text, int64_t *out);
/* Into out[WIDE_TEXT_BYTES]; returns out. */
const char *number_text(wide number, char *out);

static inline bool number_fits(wide number)
{
    return number >= INT64_MIN && number <= INT64_MAX;
}

#endif
