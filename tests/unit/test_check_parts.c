/* chaos/check_parts: a route without its service, a bulk in two versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/check_parts.h"
#include "tests/lib/histories.h"

#define NIL      HISTORY_NIL
#define HELD     VERDICT_HELD, ANOMALY_NONE
#define TORN     VERDICT_FAILED, ANOMALY_TORN
#define UNJUDGED VERDICT_UNJUDGED, ANOMALY_NONE

static const char *const names[] = {"endpoint", "service", "tenant"};

/* Operations are numbered as the script begins them; "c1,5=nil" removes group 1 at version 5. */
struct row {
    const char *what, *script;
    struct parts_look look; /* of parts 0 and 1 */
    enum verdict verdict;
    enum anomaly anomaly;
    const char *says;
};

static void judge(const struct row *rows, size_t n)
{
    static struct finding f;
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        struct history *h = histories_script(WORKLOAD_REGISTER, rows[i].script);
        struct parts_look look = rows[i].look;
        look.part[1] = 1;
        enum verdict v = check_parts(h, &look, 1, names, &f);
        bool right = v == rows[i].verdict && f.verdict == v && f.anomaly == rows[i].anomaly &&
                     (rows[i].says == NULL || strstr(f.text, rows[i].says) != NULL) &&
                     (v != VERDICT_FAILED || f.ops > 0);
        if (!right)
            print_error("%s: %d %s: %s\n", rows[i].what, v, anomaly_name(f.anomaly), f.text);
        wrong += !right;
        history_free(h);
    }
    assert_int_equal(wrong, 0);
}

static void one_transaction_sees_one_version(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"the same", "0: c1,nil=5 ok; 1: r1=5 ok", {{1, 1}, {0}, {5, 5}}, HELD, "1 looks"},
        {"nothing", "1: r1=nil ok", {{0, 0}, {0}, {NIL, NIL}}, HELD, NULL},
        {"half",
         "0: c1,nil=5 ok; 1: r1=5 ok",
         {{1, 1}, {0}, {5, NIL}},
         TORN,
         "endpoint of group 1 with version 5, and read service with version nil"},
        {"two versions",
         "0: c1,nil=5 ok; 0: c1,5=6 ok; 1: r1=6 ok",
         {{2, 2}, {0}, {6, 5}},
         TORN,
         NULL},
        {"newer is torn, too",
         "0: c1,nil=5 ok; 0> c1,5=6; 1: r1=5 ok; 0< ok",
         {{2, 2}, {0}, {5, 6}},
         TORN,
         NULL},
        {"it did not end well",
         "0: c1,nil=5 ok; 1: r1=5 fail",
         {{1, 1}, {0}, {5, NIL}},
         UNJUDGED,
         NULL},
    };
    judge(rows, sizeof rows / sizeof rows[0]);
}

static void what_is_read_later_is_as_new(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"the same",
         "0: c1,nil=5 ok; 1: s r1=5 ok; 1: s r1=5 ok",
         {{1, 2}, {0}, {5, 5}},
         HELD,
         NULL},
        {"newer",
         "0: c1,nil=5 ok; 1: s r1=5 ok; 0: c1,5=6 ok; 1: s r1=6 ok",
         {{1, 3}, {0}, {5, 6}},
         HELD,
         NULL},
        {"older",
         "0: c1,nil=5 ok; 0: c1,5=6 ok; 1: s r1=6 ok; 1: s r1=5 ok",
         {{2, 3}, {0}, {6, 5}},
         TORN,
         "and after it T3"},
        {"written in between",
         "1: s r1=nil ok; 0: c1,nil=5 ok; 1: s r1=5 ok",
         {{0, 2}, {0}, {NIL, 5}},
         HELD,
         NULL},
    };
    judge(rows, sizeof rows / sizeof rows[0]);
}

static void a_route_has_its_service_unless_it_was_removed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"without",
         "0: c1,nil=5 ok; 1: s r1=5 ok; 1: s r1=nil ok",
         {{1, 2}, {0}, {5, NIL}},
         TORN,
         "service with version nil"},
        {"removed in between",
         "0: c1,nil=5 ok; 1: s r1=5 ok; 0: c1,5=nil ok; 1: s r1=nil ok",
         {{1, 3}, {0}, {5, NIL}},
         HELD,
         NULL},
        {"being removed",
         "0: c1,nil=5 ok; 0> c1,5=nil; 1: s r1=5 ok; 1: s r1=nil ok; 0< ok",
         {{2, 3}, {0}, {5, NIL}},
         HELD,
         NULL},
        {"perhaps removed",
         "0: c1,nil=5 ok; 0: c1,5=nil info; 1: s r1=5 ok; 1: s r1=nil ok",
         {{2, 3}, {0}, {5, NIL}},
         HELD,
         NULL},
        {"learned to be removed after it",
         "0: c1,nil=5 ok; 1: s r1=5 ok; 0: c1,5=nil info; "
         "1: s r1=nil ok; 0! ok",
         {{1, 3}, {0}, {5, NIL}},
         HELD,
         NULL},
        {"removed and newer",
         "0: c1,nil=5 ok; 1> s r1=5; 0: c1,5=6 ok; 0: c1,6=nil ok; 1< ok; "
         "1: s r1=nil ok",
         {{1, 4}, {0}, {5, NIL}},
         HELD,
         NULL},
        {"not removed",
         "0: c1,nil=5 ok; 0> c1,5=nil; 1: s r1=5 ok; 1: s r1=nil ok; 0< fail",
         {{2, 3}, {0}, {5, NIL}},
         TORN,
         NULL},
        {"stale, and removed before",
         "0: c1,nil=5 ok; 0: c1,5=6 ok; 0: c1,6=nil ok; 1: s r1=5 ok; "
         "1: s r1=nil ok",
         {{3, 4}, {0}, {5, NIL}},
         TORN,
         NULL},
        {"removed before, and back",
         "0: c1,nil=4 ok; 0: c1,4=nil ok; 0: c1,nil=5 ok; "
         "1: s r1=5 ok; 1: s r1=nil ok",
         {{3, 4}, {0}, {5, NIL}},
         TORN,
         NULL},
        {"an older one is being removed",
         "0: c1,nil=4 ok; 2> c1,4=nil; 3: c1,4=5 ok; 1: s r1=5 ok; "
         "1: s r1=nil ok; 2< info",
         {{3, 4}, {0}, {5, NIL}},
         TORN,
         NULL},
        {"removed later",
         "0: c1,nil=5 ok; 1: s r1=5 ok; 1: s r1=nil ok; 0: c1,5=nil ok",
         {{1, 2}, {0}, {5, NIL}},
         TORN,
         NULL},
        {"another one removed",
         "0: c1,nil=5 ok; 0: c2,nil=5 ok; 1: s r1=5 ok; 0: c2,5=nil ok; "
         "1: s r1=nil ok",
         {{2, 4}, {0}, {5, NIL}},
         TORN,
         "group 1"},
    };
    judge(rows, sizeof rows / sizeof rows[0]);
}

static void parts_without_a_name_have_a_number(void **state)
{
    (void)state;
    static struct finding f;
    struct history *h = histories_script(WORKLOAD_REGISTER, "0: w0=5 ok; 1: r0=5 ok");
    struct parts_look look = {{1, 1}, {0, 17}, {5, 4}};
    assert_int_equal(check_parts(h, &look, 1, NULL, &f), VERDICT_FAILED);
    assert_non_null(strstr(f.text, "part 17 with version 4"));
    assert_int_equal(check_parts(h, NULL, 0, NULL, &f), VERDICT_UNJUDGED);
    history_free(h);
}

static void other_histories_are_not_judged(void **state)
{
    (void)state;
    static struct finding f;
    struct history *h = histories_script(WORKLOAD_COUNTER, "0: +1=5 ok");
    assert_int_equal(check_parts(h, NULL, 0, NULL, &f), VERDICT_UNJUDGED);
    history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_transaction_sees_one_version),
        cmocka_unit_test(what_is_read_later_is_as_new),
        cmocka_unit_test(a_route_has_its_service_unless_it_was_removed),
        cmocka_unit_test(parts_without_a_name_have_a_number),
        cmocka_unit_test(other_histories_are_not_judged),
    };
    return cmocka_run_group_tests_name("check_parts", tests, NULL, NULL);
}
