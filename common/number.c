#include "common/number.h"

#include <string.h>

bool number_parse(struct bytes text, int64_t *out)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t digits = text.len - (negative ? 1 : 0);
    if (text.len == 0 || digits == 0 || digits > 19)
        return false;
    const uint8_t *digit = text.data + (negative ? 1 : 0);
    if (digit[0] == '0' && (digits > 1 || negative))
        return false;
    wide number = 0;
    for (size_t i = 0; i < digits; i++) {
        if (digit[i] < '0' || digit[i] > '9')
            return false;
        number = number * 10 + (digit[i] - '0');
    }
    number = negative ? -number : number;
    if (!number_fits(number))
        return false;
    *out = (int64_t)number;
    return true;
}

const char *number_text(wide number, char *out)
{
    char digits[WIDE_TEXT_BYTES];
    char *at = digits + sizeof digits - 1;
    unsigned __int128 rest = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number;
    *at = '\0';
    do {
        *--at = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        *--at = '-';
    return memcpy(out, at, (size_t)(digits + sizeof digits - at));
}
