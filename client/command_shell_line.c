#include "client/command_shell_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command.h"

#define CHECKS_BEFORE "In a transaction it is about what was there before its writes."

const struct shell_command shell_commands[] = {
    {"get", SHELL_GET, 1, 1, "KEY", "Reads a key",
     "Outside a transaction at the level that `level` says, inside at the transaction's snapshot."},
    {"scan", SHELL_SCAN, 0, 5, "[PREFIX] [from=KEY] [to=KEY] [limit=N] [down]",
     "Reads keys in order",
     "All keys with the prefix, or those from one key up to, but without, another; `down`: the "
     "last "
     "first.\nIn a transaction no key can come into the range, or leave it, unnoticed. A prefix "
     "that looks like one\nof the other words is written prefix=down."},
    {"put", SHELL_OP, 2, 2, "KEY VALUE", "Writes a value", NULL},
    {"del", SHELL_OP, 1, 1, "KEY", "Deletes a key", NULL},
    {"add", SHELL_OP, 2, 5, "KEY N [>=LOWER] [<=UPPER] [return]", "Adds to an integer",
     "An absent key counts as 0. Adds of several transactions go side by side; the result stays "
     "within the\nbounds in every order of them. `return` shows the result and excludes others."},
    {"exists", SHELL_OP, 1, 1, "KEY", "Commits only if the key is there", CHECKS_BEFORE},
    {"absent", SHELL_OP, 1, 1, "KEY", "Commits only if it is not", CHECKS_BEFORE},
    {"value", SHELL_OP, 2, 2, "KEY VALUE", "Commits only if it has this value", CHECKS_BEFORE},
    {"atleast", SHELL_OP, 2, 2, "KEY N", "Commits only if it is an integer of N or more",
     CHECKS_BEFORE},
    {"begin", SHELL_BEGIN, 0, 3, "[strict] [at TIMESTAMP]", "Begins a transaction",
     "What it reads is one snapshot of the whole cluster, with its own writes on top; the commit "
     "fails if\nany of that was changed. `strict` checks it even if nothing is written; `at` "
     "reads the past."},
    {"commit", SHELL_COMMIT, 0, 0, "", "Commits it, or nothing of it", NULL},
    {"savepoint", SHELL_SAVEPOINT, 1, 1, "NAME", "Names this place in the transaction", NULL},
    {"rollback", SHELL_ROLLBACK, 0, 2, "[to NAME]", "Ends it, or goes back to a savepoint",
     "Going back drops the writes and checks since then; what was read stays checked."},
    {"level", SHELL_LEVEL, 0, 2, "[strong|snapshot [TIMESTAMP]|session|bounded MS|eventual]",
     "Shows or sets what reads outside transactions promise",
     "strong     all that is committed\n"
     "snapshot   all that was committed up to a timestamp: now, if none is given\n"
     "session    all that this session has written and read\n"
     "bounded    all that was committed longer ago than so many milliseconds\n"
     "eventual   what the nearest replica has"},
    {"session", SHELL_SESSION, 1, 2, "show|import TOKEN", "Hands the session to another shell",
     "The token says what the session has seen. Who imports it sees all that, too."},
    {"explain", SHELL_EXPLAIN, 0, 0, "", "Where the time of the last commit or read went", NULL},
    {"outcome", SHELL_OUTCOME, 1, 1, "TXID", "Asks what became of a transaction",
     "A question about a transaction that no coordinator knows decides it: aborted, for good."},
    {"help", SHELL_HELP, 0, 1, "[COMMAND]", "Says more about a command", NULL},
    {"quit", SHELL_QUIT, 0, 0, "", "Ends the shell, as Ctrl-D does", NULL},
    {"exit", SHELL_QUIT, 0, 0, "", "The same as quit", NULL},
    {0},
};

static const struct shell_command *find(struct bytes name)
{
    for (const struct shell_command *c = shell_commands; c->name != NULL; c++)
        if (bytes_equal(name, bytes_of_text(c->name)))
            return c;
    return NULL;
}

static bool is(const struct command_words *w, int i, const char *text)
{
    return i < w->n && bytes_equal(blob_bytes(w->word[i]), bytes_of_text(text));
}

/* "'<word>' is no <what>" and what to type. */
static bool refuse(const struct blob *word, const char *what, const struct shell_command *c,
                   char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: '%.*s' is no %s: write %s %s", c->name, command_words_shown(word),
             (const char *)word->data, what, c->name, c->words);
    return false;
}

static bool within(const struct blob *word, struct bytes text, int64_t least, int64_t most,
                   const struct shell_command *c, int64_t *out, char *why, size_t why_size)
{
    if (command_words_integer(text, out) && *out >= least && *out <= most)
        return true;
    snprintf(why, why_size, "%s: '%.*s' does not do: give a whole number from %lld to %lld",
             c->name, command_words_shown(word), (const char *)word->data, (long long)least,
             (long long)most);
    return false;
}

/* ---- the commands that are no operations ---- */

/* The rest of a word behind a name and `=`; false if it does not begin so. */
static bool member(struct bytes word, const char *name, struct bytes *out)
{
    size_t len = strlen(name);
    if (!bytes_has_prefix(word, bytes_of_text(name)) || word.len == len || word.data[len] != '=')
        return false;
    *out = bytes_of(word.data + len + 1, word.len - len - 1);
    return true;
}

static void keep(struct blob **at, struct bytes value)
{
    blob_unref(*at);
    *at = blob_new(value);
}

static bool read_scan(struct shell_line *l, const struct command_words *w, char *why,
                      size_t why_size)
{
    for (int i = 1; i < w->n; i++) {
        struct bytes word = blob_bytes(w->word[i]), value;
        int64_t limit;
        if (is(w, i, "down")) {
            l->scan.down = true;
        } else if (member(word, "prefix", &value)) {
            keep(&l->scan.prefix, value);
        } else if (member(word, "from", &value)) {
            keep(&l->scan.from, value);
        } else if (member(word, "to", &value)) {
            keep(&l->scan.to, value);
        } else if (member(word, "limit", &value)) {
            if (!within(w->word[i], value, 1, UINT32_MAX, l->command, &limit, why, why_size))
                return false;
            l->scan.limit = (uint32_t)limit;
        } else if (i == 1) {
            keep(&l->scan.prefix, word);
        } else {
            return refuse(w->word[i], "part of a scan", l->command, why, why_size);
        }
    }
    return true;
}

static bool read_begin(struct shell_line *l, const struct command_words *w, char *why,
                       size_t why_size)
{
    for (int i = 1; i < w->n; i++) {
        int64_t ts;
        if (is(w, i, "strict")) {
            l->strict = true;
        } else if (is(w, i, "at") && i + 1 < w->n) {
            i++;
            if (!within(w->word[i], blob_bytes(w->word[i]), 1, INT64_MAX, l->command, &ts, why,
                        why_size))
                return false;
            l->has_ts = true;
            l->ts = (assent_ts)ts;
        } else {
            return refuse(w->word[i], "way to begin", l->command, why, why_size);
        }
    }
    return true;
}

/* "bounded 500" and, as on the command line, "bounded=500" */
static bool read_level(struct shell_line *l, const struct command_words *w, char *why,
                       size_t why_size)
{
    struct bytes value = {0};
    int64_t n = 0;
    if (w->n == 1)
        return true;
    struct bytes word = blob_bytes(w->word[1]);
    const uint8_t *equals = word.len == 0 ? NULL : memchr(word.data, '=', word.len);
    size_t len = equals == NULL ? word.len : (size_t)(equals - word.data);
    const struct blob *from = w->word[w->n - 1];
    bool has_number = (equals != NULL) != (w->n == 3);
    l->has_level = true;
    if ((equals != NULL && w->n == 3) || !command_level_named(bytes_of(word.data, len), &l->level))
        return refuse(w->word[1], "level", l->command, why, why_size);
    bool takes = l->level == ASSENT_BOUNDED || l->level == ASSENT_SNAPSHOT;
    if (has_number && !takes)
        return refuse(from, "part of this level", l->command, why, why_size);
    if (!has_number && l->level == ASSENT_BOUNDED) {
        snprintf(why, why_size,
                 "level: bounded by what? Write level bounded MS, as in level "
                 "bounded 500");
        return false;
    }
    if (!has_number)
        return true;
    value = equals == NULL ? blob_bytes(from) : bytes_of(equals + 1, word.len - len - 1);
    bool bounded = l->level == ASSENT_BOUNDED;
    if (!within(from, value, bounded ? 0 : 1, bounded ? UINT32_MAX : INT64_MAX, l->command, &n, why,
                why_size))
        return false;
    l->has_ts = !bounded;
    l->ts = bounded ? 0 : (assent_ts)n;
    l->stale_ms = bounded ? (uint32_t)n : 0;
    return true;
}

static bool read_name(struct shell_line *l, const struct blob *word, char *why, size_t why_size)
{
    if (word->len == 0 || memchr(word->data, 0, word->len) != NULL)
        return refuse(word, "name", l->command, why, why_size);
    l->name = xmalloc(word->len + 1u);
    memcpy(l->name, word->data, word->len);
    l->name[word->len] = '\0';
    return true;
}

/* savepoint NAME, rollback [to NAME], outcome TXID, session show|import TOKEN */
static bool read_named(struct shell_line *l, const struct command_words *w, char *why,
                       size_t why_size)
{
    bool two = l->command->words_max == 2;
    const char *first = l->command->kind == SHELL_ROLLBACK ? "to" : "import";
    if (!two)
        return read_name(l, w->word[1], why, why_size);
    if (w->n == 1 || (w->n == 2 && l->command->kind == SHELL_SESSION && is(w, 1, "show")))
        return true;
    if (w->n == 3 && is(w, 1, first))
        return read_name(l, w->word[2], why, why_size);
    if (w->n == 2 && is(w, 1, first)) {
        snprintf(why, why_size, "%s: too few words: write %s %s", l->command->name,
                 l->command->name, l->command->words);
        return false;
    }
    return refuse(w->word[w->n == 3 && is(w, 1, "show") ? 2 : 1], "part of it", l->command, why,
                  why_size);
}

static bool read_help(struct shell_line *l, const struct command_words *w, char *why,
                      size_t why_size)
{
    if (w->n == 1)
        return true;
    l->topic = find(blob_bytes(w->word[1]));
    if (l->topic == NULL)
        snprintf(why, why_size, "help: '%.*s' is no command: 'help' lists them",
                 command_words_shown(w->word[1]), (const char *)w->word[1]->data);
    return l->topic != NULL;
}

/* ---- one command ---- */

static bool interpret(struct shell_line *l, const struct command_words *w, char *why,
                      size_t why_size)
{
    const struct shell_command *c = find(blob_bytes(w->word[0]));
    if (c == NULL) {
        snprintf(why, why_size, "'%.*s' is no command: 'help' lists them",
                 command_words_shown(w->word[0]), (const char *)w->word[0]->data);
        return false;
    }
    l->command = c;
    if (w->n - 1 < c->words_min || w->n - 1 > c->words_max) {
        snprintf(why, why_size, "%s: too %s words: write %s%s%s", c->name,
                 w->n - 1 < c->words_min ? "few" : "many", c->name, " ",
                 *c->words == '\0' ? "alone" : c->words);
        return false;
    }
    switch (c->kind) {
    case SHELL_GET:
    case SHELL_OP:
        return command_op_read(w, &l->op, why, why_size);
    case SHELL_SCAN:
        return read_scan(l, w, why, why_size);
    case SHELL_BEGIN:
        return read_begin(l, w, why, why_size);
    case SHELL_LEVEL:
        return read_level(l, w, why, why_size);
    case SHELL_SAVEPOINT:
    case SHELL_ROLLBACK:
    case SHELL_SESSION:
    case SHELL_OUTCOME:
        return read_named(l, w, why, why_size);
    case SHELL_HELP:
        return read_help(l, w, why, why_size);
    case SHELL_COMMIT:
    case SHELL_EXPLAIN:
    case SHELL_QUIT:
        return true;
    }
    return true;
}

enum shell_read shell_line_read(struct bytes *rest, struct shell_line *out, char *why,
                                size_t why_size)
{
    struct command_words w = {0};
    bool ends = false, good = true;
    *out = (struct shell_line){0};
    while (good && rest->len > 0 && !(ends && w.n > 0))
        good = command_words_token(&w, rest, &ends, why, why_size);
    enum shell_read got = !good ? SHELL_BAD : w.n == 0 ? SHELL_NOTHING : SHELL_READ;
    if (got == SHELL_READ && !interpret(out, &w, why, why_size))
        got = SHELL_BAD;
    command_words_clear(&w);
    if (got == SHELL_BAD)
        shell_line_free(out);
    return got;
}

void shell_line_free(struct shell_line *line)
{
    command_op_free(&line->op);
    blob_unref(line->scan.prefix);
    blob_unref(line->scan.from);
    blob_unref(line->scan.to);
    free(line->name);
    *line = (struct shell_line){0};
}

/* ---- completion ---- */

static void offer(const char *word, struct bytes typed, const char **out, int *n)
{
    if (bytes_has_prefix(bytes_of_text(word), typed) && *n < SHELL_COMPLETIONS_MAX)
        out[(*n)++] = word;
}

static void offer_commands(struct bytes typed, const char **out, int *n)
{
    for (const struct shell_command *c = shell_commands; c->name != NULL; c++)
        offer(c->name, typed, out, n);
}

int shell_complete(struct bytes text, const char *out[SHELL_COMPLETIONS_MAX], size_t *typed)
{
    struct command_words w = {0};
    struct bytes rest = text, last = {0};
    char why[512];
    bool good = true;
    int n = 0;
    /* the words before the last one, which is taken as it is */
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t;", text.data[i]) != NULL)
            rest.data = text.data + i + 1;
    last = bytes_of(rest.data, (size_t)(text.data + text.len - rest.data));
    rest = bytes_of(text.data, text.len - last.len);
    while (good && rest.len > 0) {
        bool ends;
        good = command_words_token(&w, &rest, &ends, why, sizeof why);
        if (good && ends)
            command_words_clear(&w);
    }
    *typed = last.len;
    if (good && w.n == 0) {
        offer_commands(last, out, &n);
    } else if (good && w.n == 1) {
        const struct shell_command *c = find(blob_bytes(w.word[0]));
        enum shell_kind kind = c == NULL ? SHELL_QUIT : c->kind;
        if (kind == SHELL_HELP)
            offer_commands(last, out, &n);
        for (int i = ASSENT_STRONG; kind == SHELL_LEVEL && i <= ASSENT_EVENTUAL; i++)
            offer(command_level_name((assent_level)i), last, out, &n);
        if (kind == SHELL_SESSION) {
            offer("show", last, out, &n);
            offer("import", last, out, &n);
        } else if (kind == SHELL_ROLLBACK) {
            offer("to", last, out, &n);
        } else if (kind == SHELL_BEGIN) {
            offer("strict", last, out, &n);
            offer("at", last, out, &n);
        }
    }
    command_words_clear(&w);
    return n;
}
