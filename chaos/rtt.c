/* A matrix of round trips between datacenters, from CSV. */
#include <csv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/scenario.h"
#include "common/bytes.h"
#include "runtime/file.h"

#define FILE_BYTES_MAX (1u << 20)
#define COLUMNS_MAX    257 /* the row's name and 256 datacenters */
#define FIELD_BYTES    64

struct matrix {
    const char *path;
    char *why;
    unsigned why_size;
    unsigned line;
    int datacenters;
    const char (*datacenter)[NAME_BYTES_MAX + 1];
    uint32_t *rtt_ms;
    bool bad;
    bool *given; /* of rtt_ms */
    int fields;  /* of the row so far */
    char (*field)[FIELD_BYTES];
    int columns; /* 0: the first row has not been read */
    int *column; /* which datacenter, or -1; [0] is the row's own name */
    bool row_done;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct matrix *m, const char *format, ...)
{
    char what[384];
    va_list args;
    if (m->bad)
        return false; /* the first one is told */
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(m->why, m->why_size, "%s:%u: %s", m->path, m->line, what);
    m->bad = true;
    return false;
}

static int find(const struct matrix *m, const char *name)
{
    for (int i = 0; i < m->datacenters; i++)
        if (strcmp(m->datacenter[i], name) == 0)
            return i;
    return -1;
}

/* ---- rows ---- */

static bool take_names(struct matrix *m)
{
    if (m->fields < 2)
        return refuse(m, "the first line names the datacenters, after an empty field: \",a,b\"");
    for (int i = 1; i < m->fields; i++) {
        for (int j = 1; j < i; j++)
            if (strcmp(m->field[i], m->field[j]) == 0)
                return refuse(m, "\"%s\" is there twice: one column for each datacenter",
                              m->field[i]);
        m->column[i] = find(m, m->field[i]);
    }
    m->columns = m->fields;
    return true;
}

static bool milliseconds(const char *text, uint32_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strspn(text, "0123456789.") != strlen(text))
        return false;
    double ms = strtod(text, &end);
    if (*end != '\0' || ms > 60000)
        return false;
    *out = (uint32_t)(ms + 0.5);
    return true;
}

static bool take_row(struct matrix *m)
{
    if (m->fields != m->columns)
        return refuse(m, "%d fields: the first line has %d", m->fields, m->columns);
    int from = find(m, m->field[0]);
    for (int i = 1; i < m->columns; i++) {
        uint32_t ms = 0;
        int to = m->column[i];
        bool empty = m->field[i][0] == '\0';
        if (!empty && !milliseconds(m->field[i], &ms))
            return refuse(m, "\"%s\" is not a number of milliseconds", m->field[i]);
        if (from < 0 || to < 0)
            continue;
        int at = from * m->datacenters + to;
        if (m->given[at])
            return refuse(m, "\"%s\" is there twice: one row for each datacenter", m->field[0]);
        if (empty && from != to)
            return refuse(m, "there is no round trip from %s to %s: write its milliseconds",
                          m->datacenter[from], m->datacenter[to]);
        m->rtt_ms[at] = ms;
        m->given[at] = true;
    }
    return true;
}

/* ---- fields ---- */

static void on_field(void *data, size_t len, void *arg)
{
    struct matrix *m = arg;
    if (m->fields == COLUMNS_MAX || len >= FIELD_BYTES ||
        (len > 0 && memchr(data, '\0', len) != NULL)) {
        refuse(m,
               m->fields == COLUMNS_MAX ? "more than %d fields"
                                        : "a field is not a name and not a number",
               COLUMNS_MAX);
        return;
    }
    if (len > 0)
        memcpy(m->field[m->fields], data, len);
    m->field[m->fields++][len] = '\0';
}

static void on_row(int end, void *arg)
{
    (void)end;
    ((struct matrix *)arg)->row_done = true;
}

/* One line; what begins with # is for people. */
static bool take_line(struct matrix *m, struct csv_parser *parser, const char *line, size_t len)
{
    m->line++;
    m->fields = 0;
    m->row_done = false;
    if (len == 0 || line[0] == '#' || strspn(line, " \t\r\n") >= len)
        return true;
    if (csv_parse(parser, line, len, on_field, on_row, m) != len || m->bad)
        return refuse(m, "not CSV: a quote is in the wrong place");
    if (!m->row_done && csv_fini(parser, on_field, on_row, m) != 0)
        return refuse(m, "not CSV: a quote is not closed");
    return m->columns == 0 ? take_names(m) : take_row(m);
}

static bool take_text(struct matrix *m, const char *text, size_t len)
{
    struct csv_parser parser;
    bool good = true;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        abort(); /* out of memory */
    for (size_t at = 0; good && at < len;) {
        const char *feed = memchr(text + at, '\n', len - at);
        size_t n = feed == NULL ? len - at : (size_t)(feed - (text + at)) + 1;
        good = take_line(m, &parser, text + at, n);
        at += n;
    }
    csv_free(&parser);
    return good;
}

static bool is_whole(struct matrix *m)
{
    for (int i = 0; i < m->datacenters * m->datacenters; i++) {
        const char *from = m->datacenter[i / m->datacenters],
                   *to = m->datacenter[i % m->datacenters];
        if (!m->given[i])
            return refuse(m,
                          "the file ends without a round trip from %s to %s: every datacenter "
                          "of the scenario has a row and a column",
                          from, to);
    }
    return true;
}

bool rtt_load(const char *path, int datacenters, const char datacenter[][NAME_BYTES_MAX + 1],
              uint32_t *rtt_ms, char *why, unsigned why_size)
{
    struct writer text = {0};
    struct matrix m = {.path = path,
                       .why = why,
                       .why_size = why_size,
                       .datacenters = datacenters,
                       .datacenter = datacenter,
                       .rtt_ms = rtt_ms};
    bool good = false;
    if (file_read(path, FILE_BYTES_MAX, "the matrix of round trips", &text, why, why_size)) {
        m.given = xcalloc((size_t)(datacenters * datacenters), sizeof *m.given);
        m.field = xcalloc(COLUMNS_MAX, sizeof *m.field);
        m.column = xcalloc(COLUMNS_MAX, sizeof *m.column);
        size_t len = text.len;
        writer_u8(&text, '\0'); /* ends a search that goes on over the last line */
        good = take_text(&m, (const char *)text.data, len) && is_whole(&m);
        free(m.given);
        free(m.field);
        free(m.column);
    }
    writer_free(&text);
    return good;
}
