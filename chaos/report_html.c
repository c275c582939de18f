/* The page: chaos/report_page.html with the run's JSON and Debian's Dygraphs put in, so that it is
 * one file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/report.h"
#include "chaos/report_json.h"
#include "chaos/report_page.h"
#include "common/bytes.h"

#define SCRIPT_BYTES_MAX (4u * 1024u * 1024u)

/* Of the package libjs-dygraphs. */
static const char *const dygraphs_dir = "/usr/share/javascript/dygraphs";

/* Where to look for Dygraphs: for tests. */
static const char *script_dir(void)
{
    const char *dir = getenv("ASSENT_DYGRAPHS");
    return dir == NULL ? dygraphs_dir : dir;
}

/* Whole, or NULL if it is not there: the page says what that means. */
static char *file_text(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", script_dir(), name);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return NULL;
    char *text = xmalloc(SCRIPT_BYTES_MAX);
    size_t n = fread(text, 1, SCRIPT_BYTES_MAX - 1, in);
    bool whole = feof(in) != 0;
    text[n] = '\0';
    fclose(in);
    if (whole && strstr(text, "</script") == NULL && strstr(text, "</style") == NULL)
        return text;
    fprintf(stderr, "chaos: %s cannot be put into a page: the report is without charts\n", path);
    free(text);
    return NULL;
}

/* Without the names of its source maps, which are not there. */
static void put_file(const char *name, FILE *out)
{
    char *text = file_text(name);
    for (char *line = text; line != NULL && *line != '\0';) {
        size_t n = strcspn(line, "\n");
        n += line[n] == '\n';
        if (strncmp(line, "//# sourceMappingURL", 20) != 0 &&
            strncmp(line, "/*# sourceMappingURL", 20) != 0)
            fwrite(line, 1, n, out);
        line += n;
    }
    free(text);
}

/* Inside a script element nothing may look like its end: '<' stands only in strings of JSON. */
static void put_data(const struct result *r, FILE *out)
{
    json_t *json = report_json(r);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '<')
            fputs("\\u003c", out);
        else
            fputc(*c, out);
    }
    free(text);
    json_decref(json);
}

static void put_page(const struct result *r, FILE *out)
{
    static const char *const mark[] = {"@DYGRAPHS_CSS@", "@DATA@", "@DYGRAPHS_JS@"};
    const char *from = report_page;
    for (int i = 0; i < 3; i++) {
        const char *at = strstr(from, mark[i]);
        if (at == NULL) {
            fprintf(stderr, "chaos: report_page.html has no %s\n", mark[i]);
            abort();
        }
        fwrite(from, 1, (size_t)(at - from), out);
        if (i == 0) {
            put_file("dygraph.min.css", out);
        } else if (i == 1) {
            put_data(r, out);
        } else {
            put_file("dygraph.min.js", out);
            put_file("extras/synchronizer.js", out);
        }
        from = at + strlen(mark[i]);
    }
    fputs(from, out);
}

bool report_write_html(const struct result *r, const char *path)
{
    FILE *out = fopen(path, "w");
    bool good = out != NULL;
    if (good) {
        put_page(r, out);
        good = !ferror(out);
        good = fclose(out) == 0 && good;
    }
    if (!good)
        fprintf(stderr, "chaos: %s: %s: the report is not written\n", path, strerror(errno));
    return good;
}
