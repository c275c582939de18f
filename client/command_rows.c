#include "client/command_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <csv.h>
#include <jansson.h>

#include "common/limits.h"

#define LINE_BYTES_MAX (4 * VALUE_BYTES_MAX)
#define COLUMNS_MAX    1024u
/* which some programs put before UTF-8 */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct fields {
    size_t n;
    struct blob *field[COLUMNS_MAX];
    bool too_many;
    bool complete; /* the row has ended */
};

struct rows {
    FILE *file;
    enum rows_format format;
    const char *prefix, *key_column, *value_column;
    uint64_t bytes, line, row;
    struct writer text; /* the line that was read last */

    /* CSV */
    struct csv_parser parser;
    struct fields names, fields;
    size_t key_index, value_index;
};

/* RFC 4180: spaces are part of a field. */
static int never_space(unsigned char c)
{
    (void)c;
    return 0;
}

struct rows *rows_open(FILE *file, enum rows_format format, const char *prefix,
                       const char *key_column, const char *value_column)
{
    struct rows *r = xcalloc(1, sizeof *r);
    r->file = file;
    r->format = format;
    r->prefix = prefix;
    r->key_column = key_column;
    r->value_column = value_column;
    if (csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        abort();
    csv_set_space_func(&r->parser, never_space);
    return r;
}

static void fields_clear(struct fields *f)
{
    for (size_t i = 0; i < f->n; i++)
        blob_unref(f->field[i]);
    f->n = 0;
    f->too_many = f->complete = false;
}

void rows_close(struct rows *r)
{
    if (r == NULL)
        return;
    fields_clear(&r->names);
    fields_clear(&r->fields);
    csv_free(&r->parser);
    writer_free(&r->text);
    free(r);
}

uint64_t rows_bytes(const struct rows *r)
{
    return r->bytes;
}

static bool blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r' &&
            line.data[i] != '\n')
            return false;
    return true;
}

/* Reads one line, its end included, into r->text. */
static enum rows_result read_line(struct rows *r, char *why, size_t why_size)
{
    int c = 0;
    r->text.len = 0;
    while (c != '\n' && r->text.len < LINE_BYTES_MAX && (c = getc_unlocked(r->file)) != EOF)
        writer_u8(&r->text, (uint8_t)c);
    r->bytes += r->text.len;
    if (r->text.len > 0)
        r->line++;
    if (r->line == 1 && bytes_has_prefix(writer_view(&r->text), bytes_of_text(BYTE_ORDER_MARK))) {
        r->text.len -= strlen(BYTE_ORDER_MARK);
        memmove(r->text.data, r->text.data + strlen(BYTE_ORDER_MARK), r->text.len);
    }
    if (c == EOF && ferror(r->file)) {
        snprintf(why, why_size, "%s: it could not be read", strerror(errno));
        return ROWS_ERROR;
    }
    if (c != '\n' && c != EOF) {
        snprintf(why, why_size, "the line is longer than %u bytes: split it", LINE_BYTES_MAX);
        return ROWS_ERROR;
    }
    return r->text.len == 0 ? ROWS_END : ROWS_ROW;
}

/* prefix + text as a key; NULL if it does not fit. */
static struct blob *make_key(const struct rows *r, struct bytes text, char *why, size_t why_size)
{
    struct writer w = {0};
    struct blob *key = NULL;
    writer_raw(&w, r->prefix, strlen(r->prefix));
    writer_raw(&w, text.data, text.len);
    if (text.len == 0)
        snprintf(why, why_size, "the key is empty: every row needs one");
    else if (w.len > KEY_BYTES_MAX)
        snprintf(why, why_size, "the key has %zu bytes: at most %u fit", w.len, KEY_BYTES_MAX);
    else
        key = blob_new(writer_view(&w));
    writer_free(&w);
    return key;
}

static bool value_fits(const struct blob *value, char *why, size_t why_size)
{
    if (value->len <= VALUE_BYTES_MAX)
        return true;
    snprintf(why, why_size, "the value has %u bytes: at most %u fit", value->len, VALUE_BYTES_MAX);
    return false;
}

/* ---- CSV ---- */

static void on_field(void *data, size_t len, void *arg)
{
    struct fields *f = &((struct rows *)arg)->fields;
    if (f->n == COLUMNS_MAX)
        f->too_many = true;
    else
        f->field[f->n++] = blob_new(bytes_of(data, len));
}

static void on_row(int end, void *arg)
{
    (void)end;
    ((struct rows *)arg)->fields.complete = true;
}

/* Reads lines until a row is complete; blank lines are none. */
static enum rows_result read_fields(struct rows *r, uint64_t *line, char *why, size_t why_size)
{
    size_t total = 0;
    fields_clear(&r->fields);
    for (;;) {
        enum rows_result got = read_line(r, why, why_size);
        if (total == 0)
            *line = r->line;
        if (got == ROWS_ERROR)
            return got;
        if (got == ROWS_ROW && total == 0 && blank(writer_view(&r->text)))
            continue;
        if (got == ROWS_END && total == 0)
            return ROWS_END;
        total += r->text.len;
        bool good = got == ROWS_END ? csv_fini(&r->parser, on_field, on_row, r) == 0
                                    : csv_parse(&r->parser, r->text.data, r->text.len, on_field,
                                                on_row, r) == r->text.len;
        if (!good || total > LINE_BYTES_MAX || (got == ROWS_END && !r->fields.complete)) {
            snprintf(why, why_size, "%s",
                     total > LINE_BYTES_MAX ? "the row is too long, or a quote is not closed"
                     : got == ROWS_END      ? "a quote is not closed: put \" at its end"
                                       : "a quote inside a field without quotes, or text after "
                                         "a closing quote: write \"\" for a quote in quotes");
            return ROWS_ERROR;
        }
        if (r->fields.complete)
            return ROWS_ROW;
    }
}

static bool find_column(const struct rows *r, const char *name, size_t *index, char *why,
                        size_t why_size)
{
    for (size_t i = 0; i < r->names.n; i++) {
        if (bytes_equal(blob_bytes(r->names.field[i]), bytes_of_text(name))) {
            *index = i;
            return true;
        }
    }
    snprintf(why, why_size, "no column is named '%.80s': name one of the first row", name);
    return false;
}

static enum rows_result read_names(struct rows *r, uint64_t *line, char *why, size_t why_size)
{
    enum rows_result got = read_fields(r, line, why, why_size);
    if (got == ROWS_END)
        snprintf(why, why_size, "the file is empty: its first row must name the columns");
    if (got != ROWS_ROW)
        return ROWS_ERROR;
    r->names = r->fields;
    r->fields = (struct fields){0};
    if (r->names.too_many) {
        snprintf(why, why_size, "more than %u columns", COLUMNS_MAX);
        return ROWS_ERROR;
    }
    bool good =
        (r->key_column == NULL || find_column(r, r->key_column, &r->key_index, why, why_size)) &&
        (r->value_column == NULL ||
         find_column(r, r->value_column, &r->value_index, why, why_size));
    return good ? ROWS_ROW : ROWS_ERROR;
}

static struct blob *json_of_fields(const struct rows *r, char *why, size_t why_size)
{
    json_t *object = json_object();
    bool good = true;
    for (size_t i = 0; good && i < r->names.n; i++) {
        const struct blob *name = r->names.field[i], *field = r->fields.field[i];
        json_t *text = json_stringn((const char *)field->data, field->len);
        char *member = strndup((const char *)name->data, name->len);
        good = text != NULL && json_object_set_new(object, member, text) == 0;
        if (!good)
            snprintf(why, why_size, "column '%.40s' is not UTF-8: convert the file, or use --value",
                     member);
        free(member);
    }
    char *text = good ? json_dumps(object, JSON_COMPACT) : NULL;
    struct blob *value = text == NULL ? NULL : blob_new(bytes_of_text(text));
    free(text);
    json_decref(object);
    return value;
}

static enum rows_result next_csv(struct rows *r, struct row *row, char *why, size_t why_size)
{
    if (r->names.n == 0 && read_names(r, &row->line, why, why_size) != ROWS_ROW)
        return ROWS_ERROR;
    row->number = r->row + 1;
    enum rows_result got = read_fields(r, &row->line, why, why_size);
    if (got != ROWS_ROW)
        return got;
    r->row++;
    if (r->fields.n != r->names.n || r->fields.too_many) {
        snprintf(why, why_size, "%zu fields, but the first row names %zu columns", r->fields.n,
                 r->names.n);
        return ROWS_ERROR;
    }
    row->key = make_key(r, blob_bytes(r->fields.field[r->key_index]), why, why_size);
    if (row->key != NULL)
        row->value = r->value_column != NULL ? blob_ref(r->fields.field[r->value_index])
                                             : json_of_fields(r, why, why_size);
    return row->value != NULL && value_fits(row->value, why, why_size) ? ROWS_ROW : ROWS_ERROR;
}

/* ---- JSON lines ---- */

/* The text without the spaces between its tokens: numbers stay as they were written. */
static struct blob *compact(struct bytes text)
{
    struct writer w = {0};
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (quoted && c == '\\') {
            writer_u8(&w, c);
            c = text.data[++i];
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
            continue;
        }
        writer_u8(&w, c);
    }
    struct blob *value = blob_new(writer_view(&w));
    writer_free(&w);
    return value;
}

/* A string as its text, everything else as JSON. */
static struct blob *text_of(const json_t *json)
{
    if (json_is_string(json))
        return blob_new(bytes_of(json_string_value(json), json_string_length(json)));
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    struct blob *value = blob_new(bytes_of_text(text == NULL ? "" : text));
    free(text);
    return value;
}

static enum rows_result row_of_json(const struct rows *r, const json_t *json, struct row *row,
                                    char *why, size_t why_size)
{
    const char *name = r->key_column == NULL ? "key" : r->key_column;
    const json_t *key = json_object_get(json, name);
    const json_t *member = r->value_column == NULL ? NULL : json_object_get(json, r->value_column);
    if (!json_is_string(key) && !json_is_integer(key)) {
        snprintf(why, why_size,
                 "the member '%.80s' is not there, or no string or whole number: name "
                 "the key's member with --key",
                 name);
        return ROWS_ERROR;
    }
    if (r->value_column != NULL && member == NULL) {
        snprintf(why, why_size, "there is no member '%.80s'", r->value_column);
        return ROWS_ERROR;
    }
    struct blob *text = text_of(key);
    row->key = make_key(r, blob_bytes(text), why, why_size);
    blob_unref(text);
    if (row->key == NULL)
        return ROWS_ERROR;
    row->value = member != NULL ? text_of(member) : compact(writer_view(&r->text));
    return value_fits(row->value, why, why_size) ? ROWS_ROW : ROWS_ERROR;
}

static enum rows_result next_jsonl(struct rows *r, struct row *row, char *why, size_t why_size)
{
    json_error_t error;
    enum rows_result got;
    do {
        row->number = r->row + 1;
        got = read_line(r, why, why_size);
        row->line = r->line;
    } while (got == ROWS_ROW && blank(writer_view(&r->text)));
    if (got != ROWS_ROW)
        return got;
    r->row++;
    json_t *json =
        json_loadb((const char *)r->text.data, r->text.len, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(json)) {
        got = row_of_json(r, json, row, why, why_size);
    } else {
        snprintf(why, why_size, "not a JSON object: %s",
                 json == NULL ? error.text : "another value");
        got = ROWS_ERROR;
    }
    json_decref(json);
    return got;
}

enum rows_result rows_next(struct rows *r, struct row *row, char *why, size_t why_size)
{
    *row = (struct row){0};
    enum rows_result got =
        r->format == ROWS_CSV ? next_csv(r, row, why, why_size) : next_jsonl(r, row, why, why_size);
    if (got == ROWS_ROW)
        return got;
    blob_unref(row->key);
    blob_unref(row->value);
    row->key = row->value = NULL;
    return got;
}
