#include "wire/text.h"

/* Bytes of the character at the start of `text`, or 0 when it is not one that people can read. */
static size_t text_character(struct bytes text, bool lines)
{
    uint32_t first = text.data[0];
    if (first < 0x80)
        return (first >= 0x20 && first != 0x7f) || (lines && first == '\n') ? 1 : 0;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.len < len)
        return 0;
    uint32_t code = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text.data[i] & 0x3fu);
    }
    static const uint32_t least[] = {[2] = 0xa0, [3] = 0x800, [4] = 0x10000}; /* 0x80..0x9f: C1 */
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[len] || surrogate || code > 0x10ffff ? 0 : len;
}

static struct bytes text_after(struct bytes text, size_t len)
{
    return bytes_of(text.data + len, text.len - len);
}

bool text_printable(struct bytes text, bool lines)
{
    while (text.len > 0) {
        size_t len = text_character(text, lines);
        if (len == 0)
            return false;
        text = text_after(text, len);
    }
    return true;
}

void text_clean(struct bytes text, size_t max, bool lines, struct writer *out)
{
    for (size_t room = max; text.len > 0;) {
        size_t good = text_character(text, lines), len = good == 0 ? 1 : good;
        if (len > room)
            return;
        writer_raw(out, good == 0 ? (const void *)"?" : text.data, len);
        text = text_after(text, len);
        room -= len;
    }
}
