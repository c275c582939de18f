/* docs/client-api.md: its table of statuses is the one of assent/status.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <assent/status.h>

/* Tests run in the top folder of the source. */
#define PAGE "docs/client-api.md"

static char *read_page(void)
{
    FILE *file = fopen(PAGE, "r");
    if (file == NULL)
        fail_msg("cannot open %s: run this test in the top folder", PAGE);
    char *text = test_calloc(1, 1 << 17);
    size_t n = fread(text, 1, (1 << 17) - 1, file);
    assert_true(n > 0 && feof(file));
    fclose(file);
    return text;
}

static int rows(const char *text)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, "\n| `")) != NULL; at++) {
        const char *name = at + strlen("\n| `");
        size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        n += len > 0 && name[len] == '`';
    }
    return n;
}

static void every_status_has_its_row_and_no_row_is_left_over(void **state)
{
    (void)state;
    char *page = read_page(), row[256];
    int n = 0;
#define CHECK_ROW(name, number, retry, maybe, text)                                                \
    snprintf(row, sizeof row, "\n| `" #name "` | " #number " | %s | %s | " text " |\n",            \
             (retry) ? "yes" : "", (maybe) ? "yes" : "");                                          \
    if (strstr(page, row) == NULL)                                                                 \
        fail_msg("%s lacks the row%s", PAGE, row);                                                 \
    n++;
    ASSENT_STATUS_MAP(CHECK_ROW)
    assert_int_equal(rows(page), n);
    test_free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_row_and_no_row_is_left_over),
    };
    return cmocka_run_group_tests_name("client_api", tests, NULL, NULL);
}
