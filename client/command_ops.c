#include "client/command_ops.h"

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
static bool number(const struct blob *word, int64_t *out, char *why, size_t why_size)
{
    if (command_words_integer(blob_bytes(word), out))
        return true;
    snprintf(why, why_size, "'%.*s' is not a whole number of 64 bits", command_words_shown(word),
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
            !command_words_integer(bytes_of(text.data + len, text.len - len),
                                   forms[i].lower ? &bounds->lower : &bounds->upper))
            continue;
        if (forms[i].lower)
            bounds->has_lower = true;
        else
            bounds->has_upper = true;
        return true;
    }
    snprintf(why, why_size, "'%.*s' is no bound: write '>=N', '<=N' or 'return'",
             command_words_shown(word), (const char *)word->data);
    return false;
}

static bool fill(struct command_op *op, const struct command_words *w, char *why, size_t why_size)
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

bool command_op_read(const struct command_words *w, struct command_op *out, char *why,
                     size_t why_size)
{
    const struct grammar *g = grammar_of(w->word[0]);
    if (g == NULL) {
        snprintf(why, why_size,
                 "'%.*s' is no operation: use exists, absent, value, atleast, get, range, put, del "
                 "or add",
                 command_words_shown(w->word[0]), (const char *)w->word[0]->data);
        return false;
    }
    if (w->n - 1 < g->words || w->n - 1 > g->words + g->optional) {
        snprintf(why, why_size, "'%s' has %s words: write %s", g->name,
                 w->n - 1 < g->words ? "too few" : "too many", g->usage);
        return false;
    }
    *out = (struct command_op){.kind = g->kind, .key = blob_ref(w->word[1])};
    if (fill(out, w, why, why_size))
        return true;
    command_op_free(out);
    return false;
}

void command_op_free(struct command_op *op)
{
    blob_unref(op->key);
    blob_unref(op->value);
    *op = (struct command_op){0};
}

assent_status command_op_add(assent_txn *t, const struct command_op *op)
{
    struct bytes key = blob_bytes(op->key), value = blob_bytes(op->value);
    switch (op->kind) {
    case COMMAND_EXISTS:
        return assent_check_exists(t, key.data, key.len);
    case COMMAND_ABSENT:
        return assent_check_absent(t, key.data, key.len);
    case COMMAND_VALUE:
        return assent_check_value(t, key.data, key.len, value.data, value.len);
    case COMMAND_AT_LEAST:
        return assent_check_at_least(t, key.data, key.len, op->number);
    case COMMAND_GET:
        return assent_read(t, key.data, key.len);
    case COMMAND_RANGE:
        return assent_read_range(t, key.data, key.len, value.data, value.len, op->limit);
    case COMMAND_PUT:
        return assent_put(t, key.data, key.len, value.data, value.len);
    case COMMAND_DEL:
        return assent_del(t, key.data, key.len);
    case COMMAND_ADD:
        return assent_add(t, key.data, key.len, op->number, &op->bounds);
    }
    return ASSENT_INVALID;
}

/* Appends the operation that the words say, if any; they are cleared. */
static bool finish(struct command_ops *ops, struct command_words *w, char *why, size_t why_size)
{
    struct command_op op;
    if (w->n == 0)
        return true;
    bool good = command_op_read(w, &op, why, why_size);
    if (good) {
        ops->op = xrealloc(ops->op, (ops->n + 1) * sizeof *ops->op);
        ops->op[ops->n++] = op;
    }
    command_words_clear(w);
    return good;
}

void command_ops_free(struct command_ops *ops)
{
    for (size_t i = 0; i < ops->n; i++)
        command_op_free(&ops->op[i]);
    free(ops->op);
    *ops = (struct command_ops){0};
}

/* ---- text ---- */

/* Reads one word or separator; an operation that ends here is appended. */
static bool read_token(struct command_ops *ops, struct command_words *w, struct bytes *rest,
                       char *why, size_t why_size)
{
    bool ends;
    if (!command_words_token(w, rest, &ends, why, why_size))
        return false;
    return !ends || finish(ops, w, why, why_size);
}

bool command_ops_text(struct command_ops *ops, struct bytes text, char *why, size_t why_size)
{
    struct command_words w = {0};
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
    command_words_clear(&w);
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
    struct command_words w = {0};
    bool good = true;
    for (int i = 0; good && i < words; i++) {
        if (is_separator(word[i]))
            good = finish(ops, &w, why, why_size);
        else if (w.n == 0 && strchr(word[i], ' ') != NULL)
            good = command_ops_text(ops, bytes_of_text(word[i]), why, why_size);
        else
            command_words_add(&w, blob_new(bytes_of_text(word[i])));
    }
    good = good && finish(ops, &w, why, why_size);
    command_words_clear(&w);
    return good;
}
