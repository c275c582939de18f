#include "client/command_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void command_words_clear(struct command_words *w)
{
    for (int i = 0; i < w->n; i++)
        blob_unref(w->word[i]);
    w->n = 0;
}

void command_words_add(struct command_words *w, struct blob *word)
{
    if (w->n < COMMAND_WORDS_MAX)
        w->word[w->n++] = word;
    else
        blob_unref(word);
}

int command_words_shown(const struct blob *word)
{
    return word->len < 40 ? (int)word->len : 40;
}

bool command_words_integer(struct bytes b, int64_t *out)
{
    char text[24], *end;
    if (b.len == 0 || b.len >= sizeof text)
        return false;
    memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    if (strspn(text + (*text == '-'), "0123456789") != b.len - (*text == '-'))
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end == text + b.len && end[-1] != '-';
}

static int hex_digit(uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == 0 ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* The escape that starts after the backslash at the start of *rest; false if there is none like it.
 */
static bool escape(struct bytes *rest, struct writer *out)
{
    static const char names[] = "nrt\\\"'; #,", bytes[] = "\n\r\t\\\"'; #,";
    const uint8_t *c = rest->data + 1;
    const char *at = rest->len < 2 || *c == 0 ? NULL : strchr(names, *c);
    size_t len = 2;
    if (rest->len >= 4 && *c == 'x' && hex_digit(c[1]) >= 0 && hex_digit(c[2]) >= 0) {
        writer_u8(out, (uint8_t)(hex_digit(c[1]) * 16 + hex_digit(c[2])));
        len = 4;
    } else if (at != NULL) {
        writer_u8(out, (uint8_t)bytes[at - names]);
    } else {
        return false;
    }
    *rest = bytes_of(rest->data + len, rest->len - len);
    return true;
}

static bool ends_word(uint8_t c, uint8_t quote)
{
    return quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';');
}

/* Reads one word; *bare is whether nothing of it was quoted or escaped. */
static bool read_word(struct bytes *rest, struct writer *out, bool *bare, char *why,
                      size_t why_size)
{
    uint8_t quote = 0;
    *bare = true;
    while (rest->len > 0 && !ends_word(*rest->data, quote)) {
        uint8_t c = *rest->data;
        bool special = (quote == 0 && (c == '"' || c == '\'')) || (quote != 0 && c == quote);
        *bare &= c != '"' && c != '\'' && c != '\\';
        if (c == '\n')
            break;
        if (c == '\\' && quote != '\'') {
            if (escape(rest, out))
                continue;
            snprintf(why, why_size,
                     "unknown escape '\\%.1s': use \\xNN, \\n, \\r, \\t, \\\\, \\\" or \\'",
                     rest->len < 2 ? "" : (const char *)rest->data + 1);
            return false;
        }
        if (special)
            quote = quote == 0 ? c : 0;
        else
            writer_u8(out, c);
        *rest = bytes_of(rest->data + 1, rest->len - 1);
    }
    if (quote == 0)
        return true;
    snprintf(why, why_size, "the quote %c is not closed on its line", quote);
    return false;
}

bool command_words_token(struct command_words *w, struct bytes *rest, bool *ends, char *why,
                         size_t why_size)
{
    uint8_t c = *rest->data;
    *ends = c == ';' || c == '\n';
    if (*ends || c == ' ' || c == '\t' || c == '\r') {
        *rest = bytes_of(rest->data + 1, rest->len - 1);
        return true;
    }
    if (c == '#') {
        const uint8_t *end = memchr(rest->data, '\n', rest->len);
        size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
        *rest = bytes_of(rest->data + len, rest->len - len);
        return true;
    }
    struct writer word = {0};
    bool bare, good = read_word(rest, &word, &bare, why, why_size);
    *ends = good && bare && bytes_equal(writer_view(&word), bytes_of_text(","));
    if (good && !*ends)
        command_words_add(w, blob_new(writer_view(&word)));
    writer_free(&word);
    return good;
}
