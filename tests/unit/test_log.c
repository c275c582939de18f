/* The daemons' log lines, as they come out of stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/bytes.h"
#include "common/limits.h"
#include "runtime/log.h"

/* stderr goes to a file between these two. */
struct capture {
    int saved;
    FILE *file;
};

static struct capture capture_begin(void)
{
    struct capture capture = {dup(STDERR_FILENO), tmpfile()};
    assert_non_null(capture.file);
    dup2(fileno(capture.file), STDERR_FILENO);
    return capture;
}

/* What was written; free it. */
static char *capture_end(struct capture *capture)
{
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    struct writer text = {0};
    rewind(capture->file);
    for (int c; (c = fgetc(capture->file)) != EOF;)
        writer_u8(&text, (uint8_t)c);
    writer_u8(&text, 0);
    fclose(capture->file);
    return (char *)text.data;
}

/* One line of JSON, which must be all there is. */
static json_t *parsed(char *text)
{
    json_error_t error;
    size_t len = strlen(text);
    assert_true(len > 0 && text[len - 1] == '\n' && strchr(text, '\n') == text + len - 1);
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (line == NULL)
        fail_msg("%s: %s", error.text, text);
    free(text);
    return line;
}

static const char *text_of(const json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

static void a_line_is_one_object_with_its_fields(void **state)
{
    (void)state;
    struct txid txid;
    assert_true(txid_parse("01234567-89ab-7000-8000-0000000000ff", &txid));
    logger_open("ams-c", LOGGER_INFO);
    struct capture capture = capture_begin();
    errno = ENOENT;
    LOG(LOGGER_WARN, "peer.refused", "refused a connection", LOG_TEXT("address", "10.0.0.1:7"),
        LOG_NUMBER("least", INT64_MIN), LOG_NUMBER("port", (uint16_t)65535),
        LOG_FLAG("admin", true), LOG_TXID("txid", &txid), LOG_TEXT("none", NULL));
    assert_int_equal(errno, ENOENT);
    json_t *line = parsed(capture_end(&capture));
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "node"), "ams-c");
    assert_string_equal(text_of(line, "event"), "peer.refused");
    assert_string_equal(text_of(line, "message"), "refused a connection");
    assert_string_equal(text_of(line, "address"), "10.0.0.1:7");
    assert_true(json_integer_value(json_object_get(line, "least")) == INT64_MIN);
    assert_int_equal(json_integer_value(json_object_get(line, "port")), 65535);
    assert_true(json_is_true(json_object_get(line, "admin")));
    assert_string_equal(text_of(line, "txid"), "01234567-89ab-7000-8000-0000000000ff");
    assert_true(json_is_null(json_object_get(line, "none")));
    unsigned ms;
    char end;
    int parts[6];
    assert_int_equal(sscanf(text_of(line, "time"), "%4d-%2d-%2dT%2d:%2d:%2d.%3u%c", &parts[0],
                            &parts[1], &parts[2], &parts[3], &parts[4], &parts[5], &ms, &end),
                     8);
    assert_int_equal(end, 'Z');
    assert_int_equal(json_object_size(line), 11);
    json_decref(line);
}

static void a_line_may_have_no_fields_and_no_node(void **state)
{
    (void)state;
    logger_open(NULL, LOGGER_INFO);
    struct capture capture = capture_begin();
    LOG(LOGGER_INFO, "daemon.stopped", "stopped cleanly");
    json_t *line = parsed(capture_end(&capture));
    assert_int_equal(json_object_size(line), 4);
    assert_string_equal(text_of(line, "message"), "stopped cleanly");
    json_decref(line);
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    logger_open(NULL, LOGGER_WARN);
    struct capture capture = capture_begin();
    LOG(LOGGER_DEBUG, "a.b", "no");
    LOG(LOGGER_INFO, "a.b", "no");
    LOG(LOGGER_ERROR, "a.b", "yes");
    json_t *line = parsed(capture_end(&capture));
    assert_string_equal(text_of(line, "level"), "error");
    json_decref(line);
    logger_open(NULL, LOGGER_DEBUG);
    capture = capture_begin();
    LOG(LOGGER_DEBUG, "a.b", "yes");
    line = parsed(capture_end(&capture));
    assert_string_equal(text_of(line, "level"), "debug");
    json_decref(line);
}

static void no_text_can_break_out_of_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } texts[] = {
        {"", ""},
        {"say \"hi\" \\ {}", "say \"hi\" \\ {}"},
        {"two\nlines\r\tand \x01\x1b[31m\x7f", "two\nlines\r\tand \x01\x1b[31m\x7f"},
        {"größe 漢字 😀", "größe 漢字 😀"},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"},
        {"\xe6\xbc", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80!", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!"},
    };
    logger_open(NULL, LOGGER_INFO);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct capture capture = capture_begin();
        LOG(LOGGER_INFO, "a.b", texts[i].in, LOG_TEXT("text", texts[i].in));
        json_t *line = parsed(capture_end(&capture));
        assert_string_equal(text_of(line, "message"), texts[i].out);
        assert_string_equal(text_of(line, "text"), texts[i].out);
        json_decref(line);
    }
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    char *text = xcalloc(1, 2 * LOG_TEXT_BYTES_MAX);
    memset(text, 'x', 2 * LOG_TEXT_BYTES_MAX - 1);
    struct capture capture = capture_begin();
    LOG(LOGGER_INFO, "a.b", "c", LOG_TEXT("text", text), LOG_NUMBER("after", 1));
    json_t *line = parsed(capture_end(&capture));
    assert_int_equal(json_string_length(json_object_get(line, "text")), LOG_TEXT_BYTES_MAX);
    assert_int_equal(json_integer_value(json_object_get(line, "after")), 1);
    json_decref(line);
    free(text);
}

static void people_get_one_line_of_words(void **state)
{
    (void)state;
    setenv("ASSENT_LOG", "text", 1);
    logger_open("ams-c", LOGGER_INFO);
    setenv("ASSENT_LOG", "json", 1);
    struct capture capture = capture_begin();
    LOG(LOGGER_ERROR, "disk.full", "the disk\x1b is full", LOG_TEXT("path", "/var/x"),
        LOG_TEXT("why", "no space\nleft"), LOG_NUMBER("free", 0), LOG_TEXT("empty", ""));
    char *text = capture_end(&capture);
    assert_string_equal(text + strlen("00:00:00.000Z"),
                        " ams-c error: disk.full: the disk? is full path=/var/x "
                        "why=\"no space\\nleft\" free=0 empty=\"\"\n");
    free(text);
    logger_open("ams-c", LOGGER_INFO);
}

#define WRITERS 4
#define LINES   500

static void *write_lines(void *arg)
{
    char text[1000];
    memset(text, 'a' + *(int *)arg, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        LOG(LOGGER_INFO, "a.b", "line", LOG_NUMBER("writer", *(int *)arg), LOG_NUMBER("line", i),
            LOG_TEXT("1", text), LOG_TEXT("2", text), LOG_TEXT("3", text), LOG_TEXT("4", text),
            LOG_TEXT("5", text));
    return NULL;
}

struct drain {
    int fd;
    struct writer text;
};

static void *drain_pipe(void *arg)
{
    struct drain *drain = arg;
    char part[777];
    for (ssize_t n; (n = read(drain->fd, part, sizeof part)) > 0;)
        writer_raw(&drain->text, part, (size_t)n);
    return NULL;
}

/* Through a small non-blocking pipe, and each line is larger than what a pipe takes whole. */
static void lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO), ends[2], number[WRITERS], next[WRITERS] = {0};
    pthread_t writer[WRITERS], reader;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 0);
    struct drain drain = {.fd = ends[0]};
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pthread_create(&reader, NULL, drain_pipe, &drain);
    for (int i = 0; i < WRITERS; i++) {
        number[i] = i;
        pthread_create(&writer[i], NULL, write_lines, &number[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writer[i], NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    pthread_join(reader, NULL);
    close(ends[0]);

    writer_u8(&drain.text, 0);
    char *rest = NULL;
    for (char *line = strtok_r((char *)drain.text.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(object);
        int i = (int)json_integer_value(json_object_get(object, "writer"));
        assert_int_equal(json_integer_value(json_object_get(object, "line")), next[i]++);
        char all[2] = {(char)('a' + i), '\0'};
        for (const char *name = "12345"; *name != '\0'; name++)
            assert_int_equal(strspn(text_of(object, (char[]){*name, '\0'}), all), 999);
        json_decref(object);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(next[i], LINES);
    writer_free(&drain.text);
}

int main(void)
{
    setenv("ASSENT_LOG", "json", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_object_with_its_fields),
        cmocka_unit_test(a_line_may_have_no_fields_and_no_node),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(no_text_can_break_out_of_its_line),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(people_get_one_line_of_words),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
