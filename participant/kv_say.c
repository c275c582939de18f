#include "participant/kv_say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 64u

const char *kv_quote(struct bytes b, char *out)
{
    char *to = out;
    size_t shown = 0, i = 0;
    *to++ = '\'';
    for (; i < b.len; i++) {
        char one[5];
        bool plain =
            b.data[i] >= 0x20 && b.data[i] < 0x7f && b.data[i] != '\'' && b.data[i] != '\\';
        size_t len = (size_t)snprintf(one, sizeof one, plain ? "%c" : "\\x%02x", b.data[i]);
        if (shown + len > SHOWN_MAX)
            break;
        memcpy(to, one, len);
        to += len;
        shown += len;
    }
    *to++ = '\'';
    memcpy(to, i < b.len ? "..." : "", i < b.len ? sizeof "..." : 1);
    return out;
}

const char *kv_quote_cell(const struct kv_cell *cell, char *out)
{
    return cell->live ? kv_quote(cell->value, out) : memcpy(out, "nothing", sizeof "nothing");
}

void kv_say(struct kv_say *say, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(say->text, sizeof say->text, format, args);
    va_end(args);
}

struct blob *kv_said(const struct kv_say *say)
{
    return say->text[0] == '\0' ? NULL : blob_new(bytes_of_text(say->text));
}
