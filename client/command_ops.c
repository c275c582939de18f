#include "client/command_ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an operation takes: its words after the name, `optional` more of them at most. */
static const struct grammar {
    const char *name;
    enum command_op_kind kind;
    int words;
    int optional;
    const char *usage;
} grammars[] = {
    {"exists", COMMAND_EXISTS, 1, 0, "exists KEY"},
    {"absent", COMMAND_ABSENT, 1, 0, "absent KEY"},
    {"value", COMMAND_VALUE, 2, 0, "value KEY VALUE"},
    {"atleast", COMMAND_AT_LEAST, 2, 0, "atleast KEY N"},
    {"get", COMMAND_GET, 1, 0, "get KEY"},
    {"range", COMMAND_RANGE, 2, 1, "range FROM TO [LIMIT]"},
    {"put", COMMAND_PUT, 2, 0, "put KEY VALUE"},
    {"del", COMMAND_DEL, 1, 0, "del KEY"},
    {"add", COMMAND_ADD, 2, 3, "add KEY N ['>=LOWER'] ['<=UPPER'] [return]"},
};

#define GRAMMARS (sizeof grammars / sizeof grammars[0])
/* the name, and the words of the longest grammar and one too many */
#define WORDS_MAX 7

/* The words of the operation that is being read. */
struct words {
    int n;
    struct blob *word[WORDS_MAX];
};

static void words_clear(struct words *w)
{
    for (int i = 0; i < w->n; i++)
        blob_unref(w->word[i]);
    w->n = 0;
}

/* Takes the reference; words over the bound are too many for any operation and are dropped. */
static void words_add(struct words *w, struct blob *word)
{
    if (w->n < WORDS_MAX)
        w->word[w->n++] = word;
    else
        blob_unref(word);
}

/* A word for error sentences. */
static int shown(const struct blob *word)
{
    return word->len < 40 ? (int)word->len : 40;
}

/* ---- one operation ---- */

static bool integer(struct bytes b, int64_t *out)
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

static bool number(const struct blob *word, int64_t *out, char *why, size_t why_size)
{
    if (integer(blob_bytes(word), out))
        return true;
    snprintf(why, why_size, "'%.*s' is not a whole number of 64 bits", shown(word),
             (const char *)word->data);
    return false;
}

/* ">=5", "<=5", "min=5", "max=5", "return" */
static bool bound(const struct blob *word, assent_bounds *bounds, char *why, size_t why_size)
{
    static const struct {
        const char *start;
        bool lower;
    } forms[] = {{">=", true}, {"<=", false}, {"min=", true}, {"max=", false}};
    struct bytes text = blob_bytes(word);
    if (bytes_equal(text, bytes_of_text("return"))) {
        bounds->returns_value = true;
        return true;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t len = strlen(forms[i].start);
        if (!bytes_has_prefix(text, bytes_of_text(forms[i].start)) ||
            !integer(bytes_of(text.data + len, text.len - len),
                     forms[i].lower ? &bounds->lower : &bounds->upper))
            continue;
        if (forms[i].lower)
            bounds->has_lower = true;
        else
            bounds->has_upper = true;
        return true;
    }
    snprintf(why, why_size, "'%.*s' is no bound: write '>=N', '<=N' or 'return'", shown(word),
             (const char *)word->data);
    return false;
}

static bool fill(struct command_op *op, const struct words *w, char *why, size_t why_size)
{
    int64_t limit = 0;
    switch (op->kind) {
    case COMMAND_VALUE:
    case COMMAND_PUT:
        op->value = blob_ref(w->word[2]);
        return true;
    case COMMAND_RANGE:
        op->value = blob_ref(w->word[2]);
        if (w->n == 4 && !number(w->word[3], &limit, why, why_size))
            return false;
        if (limit < 0 || limit > UINT32_MAX) {
            snprintf(why, why_size, "the limit of a range must be from 0 to %u", UINT32_MAX);
            return false;
        }
        op->limit = (uint32_t)limit;
        return true;
    case COMMAND_AT_LEAST:
    case COMMAND_ADD:
        if (!number(w->word[2], &op->number, why, why_size))
            return false;
        for (int i = 3; i < w->n; i++)
            if (!bound(w->word[i], &op->bounds, why, why_size))
                return false;
        return true;
    case COMMAND_EXISTS:
    case COMMAND_ABSENT:
    case COMMAND_GET:
    case COMMAND_DEL:
        return true;
    }
    return true;
}

static const struct grammar *grammar_of(const struct blob *name)
{
    for (size_t i = 0; i < GRAMMARS; i++)
        if (bytes_equal(blob_bytes(name), bytes_of_text(grammars[i].name)))
            return &grammars[i];
    return NULL;
}

/* Appends the operation that the words say, if any; they are cleared. */
static bool finish(struct command_ops *ops, struct words *w, char *why, size_t why_size)
{
    bool good = false;
    if (w->n == 0)
        return true;
    const struct grammar *g = grammar_of(w->word[0]);
    if (g == NULL) {
        snprintf(why, why_size,
                 "'%.*s' is no operation: use exists, absent, value, atleast, get, range, put, del "
                 "or add",
                 shown(w->word[0]), (const char *)w->word[0]->data);
    } else if (w->n - 1 < g->words || w->n - 1 > g->words + g->optional) {
        snprintf(why, why_size, "'%s' has %s words: write %s", g->name,
                 w->n - 1 < g->words ? "too few" : "too many", g->usage);
    } else {
        struct command_op op = {.kind = g->kind, .key = blob_ref(w->word[1])};
        good = fill(&op, w, why, why_size);
        ops->op = xrealloc(ops->op, (ops->n + 1) * sizeof *ops->op);
        ops->op[ops->n++] = op;
    }
    words_clear(w);
    return good;
}

void command_ops_free(struct command_ops *ops)
{
    for (size_t i = 0; i < ops->n; i++) {
        blob_unref(ops->op[i].key);
        blob_unref(ops->op[i].value);
    }
    free(ops->op);
    *ops = (struct command_ops){0};
}

/* ---- text ---- */

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

/* Reads one word or separator; an operation that ends here is appended. */
static bool read_token(struct command_ops *ops, struct words *w, struct bytes *rest, char *why,
                       size_t why_size)
{
    uint8_t c = *rest->data;
    if (c == ' ' || c == '\t' || c == '\r') {
        *rest = bytes_of(rest->data + 1, rest->len - 1);
        return true;
    }
    if (c == ';' || c == '\n') {
        *rest = bytes_of(rest->data + 1, rest->len - 1);
        return finish(ops, w, why, why_size);
    }
    if (c == '#') {
        const uint8_t *end = memchr(rest->data, '\n', rest->len);
        size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
        *rest = bytes_of(rest->data + len, rest->len - len);
        return true;
    }
    struct writer word = {0};
    bool bare, good = read_word(rest, &word, &bare, why, why_size);
    bool comma = good && bare && bytes_equal(writer_view(&word), bytes_of_text(","));
    if (good && !comma)
        words_add(w, blob_new(writer_view(&word)));
    writer_free(&word);
    return good && (!comma || finish(ops, w, why, why_size));
}

bool command_ops_text(struct command_ops *ops, struct bytes text, char *why, size_t why_size)
{
    struct words w = {0};
    struct bytes rest = text;
    char what[256];
    unsigned line = 1;
    bool good = true;
    while (good && rest.len > 0) {
        bool feed = *rest.data == '\n';
        good = read_token(ops, &w, &rest, what, sizeof what);
        line += feed && good;
    }
    good = good && finish(ops, &w, what, sizeof what);
    words_clear(&w);
    if (!good)
        snprintf(why, why_size, "line %u: %s", line, what);
    return good;
}

/* ---- arguments ---- */

static bool is_separator(const char *word)
{
    return strcmp(word, ",") == 0 || strcmp(word, ";") == 0;
}

bool command_ops_words(struct command_ops *ops, char *const *word, int words, char *why,
                       size_t why_size)
{
    struct words w = {0};
    bool good = true;
    for (int i = 0; good && i < words; i++) {
        if (is_separator(word[i]))
            good = finish(ops, &w, why, why_size);
        else if (w.n == 0 && strchr(word[i], ' ') != NULL)
            good = command_ops_text(ops, bytes_of_text(word[i]), why, why_size);
        else
            words_add(&w, blob_new(bytes_of_text(word[i])));
    }
    good = good && finish(ops, &w, why, why_size);
    words_clear(&w);
    return good;
}
