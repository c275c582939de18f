/* A line is put together in memory and leaves in one write, under a lock: lines of this process
 * never mix. A reader of stderr that stands still would hold us up, as with any program. */
#include "runtime/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/limits.h"
#include "wire/text.h"

enum form { FORM_UNKNOWN, FORM_TEXT, FORM_JSON };

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static _Atomic enum logger_level least = LOGGER_INFO;
static _Atomic enum form form = FORM_UNKNOWN;
static char self[NAME_BYTES_MAX + 1]; /* written by logger_open only */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static enum form form_find(void)
{
    const char *wish = getenv("ASSENT_LOG");
    if (wish != NULL && strcmp(wish, "text") == 0)
        return FORM_TEXT;
    if (wish != NULL && strcmp(wish, "json") == 0)
        return FORM_JSON;
    return isatty(STDERR_FILENO) ? FORM_TEXT : FORM_JSON;
}

void logger_open(const char *node, enum logger_level level)
{
    snprintf(self, sizeof self, "%s", node == NULL ? "" : node);
    least = level;
    form = form_find();
}

static void put(struct writer *w, const char *text)
{
    writer_raw(w, text, strlen(text));
}

/* A JSON string, quotes included: also what people get to see where a text is not plain. */
static void put_quoted(struct writer *w, struct bytes text)
{
    put(w, "\"");
    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.data[i];
        size_t width = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        char escape[8];
        if (c == '"' || c == '\\') {
            snprintf(escape, sizeof escape, "\\%c", c);
            put(w, escape);
        } else if (width <= text.len - i && text_printable(bytes_of(text.data + i, width), false)) {
            writer_raw(w, text.data + i, width);
            i += width;
            continue;
        } else { /* a control character, or a byte that is not UTF-8: U+FFFD stands for that */
            snprintf(escape, sizeof escape, "\\u%04x", c < 0x80 ? c : 0xfffd);
            put(w, c == '\n' ? "\\n" : escape);
        }
        i++;
    }
    put(w, "\"");
}

static bool plain(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("\"\\=", text.data[i]) != NULL)
            return false;
    return text.len > 0;
}

static void put_text(struct writer *w, const char *text, enum form as)
{
    struct bytes shown = bytes_of(text, strnlen(text, LOG_TEXT_BYTES_MAX));
    if (as == FORM_TEXT && plain(shown))
        writer_raw(w, shown.data, shown.len);
    else
        put_quoted(w, shown);
}

static void put_value(struct writer *w, const struct logger_field *f, enum form as)
{
    char number[TXID_TEXT_BYTES];
    switch (f->kind) {
    case LOGGER_TEXT:
        if (f->text == NULL)
            put(w, "null");
        else
            put_text(w, f->text, as);
        return;
    case LOGGER_NUMBER:
        snprintf(number, sizeof number, "%" PRId64, f->number);
        put(w, number);
        return;
    case LOGGER_FLAG:
        put(w, f->flag ? "true" : "false");
        return;
    case LOGGER_TXID:
        put_text(w, txid_text(&f->txid, number), as);
        return;
    }
}

static void put_time(struct writer *w, enum form as)
{
    struct timespec now;
    struct tm utc;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, as == FORM_JSON ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &utc);
    put(w, text);
    snprintf(text, sizeof text, ".%03uZ", (unsigned)(now.tv_nsec / 1000000));
    put(w, text);
}

static void line_json(struct writer *w, enum logger_level level, const char *event,
                      const char *message, const struct logger_field *f)
{
    put(w, "{\"time\":\"");
    put_time(w, FORM_JSON);
    put(w, "\",\"level\":\"");
    put(w, level_names[level]);
    put(w, "\"");
    if (*self != '\0') {
        put(w, ",\"node\":");
        put_text(w, self, FORM_JSON);
    }
    put(w, ",\"event\":");
    put_text(w, event, FORM_JSON);
    put(w, ",\"message\":");
    put_text(w, message, FORM_JSON);
    for (; f->name != NULL; f++) {
        put(w, ",");
        put_text(w, f->name, FORM_JSON);
        put(w, ":");
        put_value(w, f, FORM_JSON);
    }
    put(w, "}\n");
}

static void line_text(struct writer *w, enum logger_level level, const char *event,
                      const char *message, const struct logger_field *f)
{
    put_time(w, FORM_TEXT);
    put(w, " ");
    if (*self != '\0') {
        put(w, self);
        put(w, " ");
    }
    if (level != LOGGER_INFO) {
        put(w, level_names[level]);
        put(w, ": ");
    }
    put(w, event);
    put(w, ": ");
    text_clean(bytes_of_text(message), LOG_TEXT_BYTES_MAX, false, w);
    for (; f->name != NULL; f++) {
        put(w, " ");
        put(w, f->name);
        put(w, "=");
        put_value(w, f, FORM_TEXT);
    }
    put(w, "\n");
}

/* What cannot be written is lost: there is nowhere to say so. */
static void line_write(struct bytes line)
{
    while (line.len > 0) {
        ssize_t n = write(STDERR_FILENO, line.data, line.len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
            poll(&ready, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return;
        } else if (n > 0) {
            line = bytes_of(line.data + n, line.len - (size_t)n);
        }
    }
}

void logger_write(enum logger_level level, const char *event, const char *message,
                  const struct logger_field *field)
{
    if (level < least)
        return;
    int error = errno;
    if (form == FORM_UNKNOWN)
        form = form_find();
    struct writer w = {0};
    (form == FORM_JSON ? line_json : line_text)(&w, level, event, message, field);
    pthread_mutex_lock(&output);
    line_write(writer_view(&w));
    pthread_mutex_unlock(&output);
    writer_free(&w);
    errno = error;
}
