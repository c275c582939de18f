/* chaos/report_*, compare_table: what is told of a made-up run, beside numbers computed by hand.
 *
 *     test_report --page DIR [failed]
 *
 * writes report.html and report.json of a longer made-up run, for
 * tests/integration/test_report_page.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos/compare_table.h"
#include "chaos/report.h"
#include "tests/lib/results.h"

static char dir[128];

static int make_dir(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(dir, sizeof dir, "%.90s/assent-report.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    static const char *const name[] = {"report.json",   "report.html", "bank.edn",
                                       "cluster/a.log", "cluster",     "."};
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir,
                 i + 1 < sizeof name / sizeof name[0] ? name[i] : "");
        remove(path);
    }
    return 0;
}

static const char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void touch(const char *name)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    fclose(f);
}

/* Four seconds: two commits, a kill from 2.0 to 2.5, one commit after it; one conflict. */
static void make(struct made_result *m)
{
    struct sample s;
    result_made(m);
    snprintf(m->result.dir, sizeof m->result.dir, "%s", dir);
    result_fault(m, FAULT_KILL, "b", 2000, 2500);
    result_commit(m, LOAD_LOCAL, "a", "a", 100, 101);
    result_sample(&s, LOAD_BANK, "a", "ab", 200, 290);
    memcpy(s.txid.bytes, "\x01\x90\xa8\xd2\x7c\x11\x70\x00\x80\x00\x00\x00\x00\x00\x00\xaa", 16);
    s.has_info = true;
    s.leader_in = 0;
    s.leader_us = 89000;
    s.quorum_us = 700;
    s.parts = 2;
    s.part[0] = (assent_part){"p-a", 400, 10, 200};
    s.part[1] = (assent_part){"p-b", 81000, 5000, 300};
    samples_add(m->result.samples, &s);
    result_attempt(m, ASSENT_CONFLICT, "a", "ab", 1300, 1400);
    result_commit(m, LOAD_BANK, "c", "bc", 1900, 2600);
    result_commit(m, LOAD_BANK, "a", "bc", 3000, 3500);
    result_look(m, 1000, 6, 1, "b", 20);
    result_look(m, 2250, 5, 3, "b", 350);
    result_look(m, 2750, 6, 0, "a", 0);
    result_judge(m, "bank-money", VERDICT_HELD, ANOMALY_NONE, "2 transfers");
    snprintf(m->result.judgements.judgement[0].history, 64, "bank.edn");
    result_judge(m, "list", VERDICT_FAILED, ANOMALY_LOST_APPEND, "T1 </script> \xff");
    result_measure(&m->result);
}

static json_t *load(const char *name)
{
    json_error_t why;
    json_t *json = json_load_file(in_dir(name), 0, &why);
    if (json == NULL)
        fail_msg("%s:%d: %s", name, why.line, why.text);
    return json;
}

/* The value at a path "phases/0/commits". */
static json_t *at(json_t *json, const char *path)
{
    char step[64];
    for (const char *from = path; *from != '\0'; from += strspn(from, "/")) {
        size_t n = strcspn(from, "/");
        snprintf(step, sizeof step, "%.*s", (int)n, from);
        json = json_is_array(json) ? json_array_get(json, strtoul(step, NULL, 10))
                                   : json_object_get(json, step);
        if (json == NULL)
            fail_msg("%s is missing at %s", path, step);
        from += n;
    }
    return json;
}

static void number_is(json_t *json, const char *path, double wanted)
{
    json_t *got = at(json, path);
    if (!json_is_number(got))
        fail_msg("%s is not a number", path);
    double value = json_number_value(got), off = value > wanted ? value - wanted : wanted - value;
    if (off > (wanted < 0 ? -wanted : wanted) / 1000) /* a histogram's digits */
        fail_msg("%s is %.3f, not %.3f", path, value, wanted);
}

static void text_is(json_t *json, const char *path, const char *wanted)
{
    const char *got = json_string_value(at(json, path));
    if (got == NULL || strcmp(got, wanted) != 0)
        fail_msg("%s is %s, not %s", path, got == NULL ? "no text" : got, wanted);
}

static void json_has_verdict_faults_and_files(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    touch("bank.edn");
    assert_int_equal(mkdir(in_dir("cluster"), 0700), 0);
    touch("cluster/a.log");
    m.scenario.seed = UINT64_MAX;
    assert_true(report_write_json(&m.result, in_dir("report.json")));
    json_t *json = load("report.json");
    text_is(json, "verdict", "failed");
    number_is(json, "exit_status", 1);
    text_is(json, "command", "assent-chaos run made-up.yaml --seed 7");
    text_is(json, "scenario/seed", "18446744073709551615");
    text_is(json, "scenario/datacenters/2", "c");
    number_is(json, "scenario/bare_rtt_us/1/2", 60000);
    assert_true(json_is_null(at(json, "scenario/bare_rtt_us/1/1")));
    text_is(json, "judgements/0/verdict", "held");
    text_is(json, "judgements/1/anomaly", "lost-append");
    text_is(json, "judgements/1/text", "T1 </script> ?");
    text_is(json, "faults/0/kind", "kill");
    text_is(json, "faults/0/datacenters/0", "b");
    number_is(json, "faults/0/begin_us", 2000000);
    number_is(json, "faults/0/end_us", 2500000);
    number_is(json, "faults/0/next_commit_us", 1500000);
    number_is(json, "faults/0/no_doubt_us", 750000);
    number_is(json, "settled_us", 41000000);
    assert_int_equal(json_array_size(at(json, "histories")), 1);
    text_is(json, "histories/0", "bank.edn");
    text_is(json, "logs/0", "cluster/a.log");
    json_decref(json);
    result_made_free(&m);
}

static void json_has_counts_and_latencies_by_phase(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    assert_true(report_write_json(&m.result, in_dir("report.json")));
    json_t *json = load("report.json");
    number_is(json, "totals/attempts", 5);
    number_is(json, "totals/commits", 4);
    number_is(json, "totals/aborts", 1);
    number_is(json, "totals/by_status/CONFLICT", 1);
    text_is(json, "phases/0/name", "calm");
    number_is(json, "phases/0/time_us", 2000000);
    number_is(json, "phases/0/commits", 2);
    number_is(json, "phases/0/commits_per_s", 1);
    number_is(json, "phases/0/commit_us/n", 1);
    number_is(json, "phases/0/commit_us/p50", 90000);
    number_is(json, "phases/0/local_commit_us/p50", 1000);
    number_is(json, "phases/0/bare_rtt_us/p50", 80000);
    number_is(json, "phases/0/times_rtt/p50", 1.125);
    number_is(json, "phases/0/added_us", 89000);
    number_is(json, "phases/0/within", 0);
    assert_int_equal(json_array_size(at(json, "phases/0/commit_quantiles_us")), 101);
    text_is(json, "phases/1/name", "recovery");
    number_is(json, "phases/1/time_us", 1000000); /* from 2.5 to the last end at 3.5 */
    number_is(json, "phases/1/commits", 1);
    number_is(json, "phases/1/commits_per_s", 2); /* two ended in it */
    text_is(json, "phases/2/name", "kill");
    number_is(json, "phases/2/faults", 1);
    number_is(json, "phases/2/commit_us/max", 700000);
    assert_int_equal(json_array_size(at(json, "phases")), 3);
    number_is(json, "distances/0/bare_rtt_us", 80000);
    number_is(json, "distances/0/p50_us", 90000);
    json_decref(json);
    result_made_free(&m);
}

static void json_has_what_happened_over_time(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    assert_true(report_write_json(&m.result, in_dir("report.json")));
    json_t *json = load("report.json");
    /* at_us, commits, aborts, unknown, p50, p95, max, local p50 */
    number_is(json, "series/step_us", 1000000);
    assert_int_equal(json_array_size(at(json, "series/rows")), 4);
    number_is(json, "series/rows/0/1", 2);
    number_is(json, "series/rows/0/4", 90000);
    number_is(json, "series/rows/0/7", 1000);
    number_is(json, "series/rows/1/1", 0);
    number_is(json, "series/rows/1/2", 1);
    assert_true(json_is_null(at(json, "series/rows/1/4")));
    number_is(json, "series/rows/2/6", 700000);
    number_is(json, "series/rows/3/0", 3000000);
    number_is(json, "series/rows/3/1", 2); /* one in half a second */
    number_is(json, "in_doubt/rows/1/0", 2250000);
    number_is(json, "in_doubt/rows/1/1", 3);
    number_is(json, "in_doubt/rows/1/2", 5);
    number_is(json, "in_doubt/rows/1/3", 350000);
    json_decref(json);
    result_made_free(&m);
}

static void json_has_the_slowest_commits_with_their_breakdown(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    assert_true(report_write_json(&m.result, in_dir("report.json")));
    json_t *json = load("report.json");
    assert_int_equal(json_array_size(at(json, "slowest")), 4);
    number_is(json, "slowest/0/commit_us", 700000);
    text_is(json, "slowest/0/phases/0", "kill");
    number_is(json, "slowest/1/commit_us", 500000);
    number_is(json, "slowest/2/commit_us", 90000);
    text_is(json, "slowest/2/txid", "0190a8d2-7c11-7000-8000-0000000000aa");
    text_is(json, "slowest/2/load", "bank");
    text_is(json, "slowest/2/leader_in", "a");
    number_is(json, "slowest/2/leader_us", 89000);
    number_is(json, "slowest/2/bare_rtt_us", 80000);
    number_is(json, "slowest/2/quorum_us", 700);
    text_is(json, "slowest/2/parts/1/participant", "p-b");
    number_is(json, "slowest/2/parts/1/lock_wait_us", 5000);
    number_is(json, "slowest/3/commit_us", 1000);
    json_decref(json);
    result_made_free(&m);
}

/* ---- text ---- */

static char *printed(void (*print)(const struct result *r, FILE *out), const struct result *r)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    print(r, out);
    fclose(out);
    return text;
}

static void has_line(const char *text, const char *line)
{
    if (strstr(text, line) == NULL)
        fail_msg("nothing in it reads \"%s\":\n%s", line, text);
}

static void text_has_verdict_phases_and_the_command(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    char *text = printed(report_print, &m.result);
    has_line(text, "\nFAILED: something that was promised does not hold\n");
    has_line(text, "  held      bank-money\n            2 transfers\n");
    has_line(text, "  FAILED    list\n            lost-append\n            T1 </script>");
    has_line(text, "  calm                2.0 s        2       1       0      1    90.0 ms");
    has_line(text, "   +89.0 ms   1.12\n");
    has_line(text, "     2.0 s 500.0 ms        1.5 s    750.0 ms  kill in b\n");
    has_line(text, "  not committed: 1 CONFLICT\n");
    has_line(text, "The same run again: assent-chaos run made-up.yaml --seed 7\n");
    free(text);
    result_made_free(&m);
}

static void text_tells_what_is_not_known(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    result_fault(&m, FAULT_LOST, "a", 1000, 0);
    result_measure(&m.result);
    m.result.settled_us = FAULT_NEVER;
    char *text = printed(report_print, &m.result);
    has_line(text, "NOT JUDGED");
    has_line(text, "good        never       never  lost in a\n");
    has_line(text, "never settled");
    has_line(text, "added: not known");
    free(text);
    result_made_free(&m);
}

/* ---- side by side ---- */

/* Of the loss of datacenter a at 10: with one coordinator nothing commits until 30. */
static void make_loss(struct made_result *m, int coordinators)
{
    uint64_t next_ms = coordinators == 1 ? 30000 : 10700;
    result_made(m);
    m->scenario.coordinators = coordinators;
    result_fault(m, FAULT_ISOLATE, "a", 10000, 29000);
    result_commit(m, LOAD_LOCAL, "a", "a", 100, 101);
    result_commit(m, LOAD_BANK, "b", "bc", 200, 263);
    result_commit(m, LOAD_BANK, "b", "bc", 9900, 10000);
    result_commit(m, LOAD_BANK, "b", "ab", 9900, 12000); /* concerned: not the others' */
    for (uint64_t at_ms = next_ms; at_ms <= 40000; at_ms += 500)
        result_commit(m, LOAD_BANK, "b", "bc", at_ms - 63, at_ms);
    result_look(m, next_ms + 300, coordinators + 3, 0, "a", 0);
    result_judge(m, "bank-money", VERDICT_HELD, ANOMALY_NONE, "");
    result_measure(&m->result);
}

static void failover_is_the_longest_pause_of_those_not_concerned(void **state)
{
    (void)state;
    struct made_result one, three;
    make_loss(&one, 1);
    make_loss(&three, 3);
    struct failover f = compare_failover(&one.result);
    assert_int_equal(f.pause_us, 20000000);
    assert_true(f.ended);
    f = compare_failover(&three.result);
    assert_int_equal(f.pause_us, 700000);
    result_made_free(&one);
    result_made_free(&three);
}

static void a_pause_that_nothing_ends_is_told_as_such(void **state)
{
    (void)state;
    struct made_result m;
    result_made(&m);
    result_fault(&m, FAULT_LOST, "a", 10000, 0);
    result_commit(&m, LOAD_BANK, "b", "bc", 11900, 12000);
    result_attempt(&m, ASSENT_UNKNOWN, "b", "bc", 12000, 40000);
    struct failover f = compare_failover(&m.result);
    assert_int_equal(f.pause_us, 28000000);
    assert_false(f.ended);
    result_made_free(&m);
}

static const struct result *both[2];

static void print_both(const struct result *r, FILE *out)
{
    (void)r;
    compare_print(both, 2, out);
}

static void techniques_stand_side_by_side(void **state)
{
    (void)state;
    struct made_result one, three;
    make_loss(&one, 1);
    make_loss(&three, 3);
    result_judge(&three, "list", VERDICT_FAILED, ANOMALY_LOST_APPEND, "");
    both[0] = &one.result;
    both[1] = &three.result;
    char *text = printed(print_both, NULL);
    has_line(text, "technique         measured consistency  transactions");
    has_line(text, "two-phase commit  all checks held (1)");
    has_line(text, "Paxos Commit      1 of 2 checks held");
    has_line(text, "3 coordinators    FAILED: list");
    has_line(text, "1.05 of the RTT");
    has_line(text, "no commit for 20.0 s");
    has_line(text, "no commit for 0.7 s");
    has_line(text, "lost-append");
    free(text);
    assert_true(compare_write_json(both, 2, in_dir("report.json")));
    json_t *json = load("report.json");
    text_is(json, "techniques/0/technique", "two-phase commit");
    number_is(json, "techniques/0/failover/pause_us", 20000000);
    number_is(json, "techniques/0/failover/no_doubt_us", 20300000);
    number_is(json, "techniques/0/calm_times_rtt", 1.05);
    number_is(json, "techniques/0/calm_added_us", 62000);
    number_is(json, "techniques/0/commits", 25);
    assert_int_equal(json_array_size(at(json, "techniques/0/data_loss")), 0);
    text_is(json, "techniques/1/technique", "Paxos Commit");
    text_is(json, "techniques/1/data_loss/0", "list");
    number_is(json, "techniques/1/failover/pause_us", 700000);
    json_decref(json);
    result_made_free(&one);
    result_made_free(&three);
}

/* ---- the page ---- */

static char *file_text(const char *path)
{
    struct stat st;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_int_equal(fstat(fileno(in), &st), 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_int_equal(fread(text, 1, (size_t)st.st_size, in), st.st_size);
    fclose(in);
    return text;
}

static void the_page_holds_the_same_data_and_no_markup_of_it(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    assert_true(report_write_html(&m.result, in_dir("report.html")));
    assert_true(report_write_json(&m.result, in_dir("report.json")));
    char *page = file_text(in_dir("report.html"));
    char *data = strstr(page, "<script type=\"application/json\" id=\"data\">");
    assert_non_null(data);
    data = strchr(data, '{');
    char *end = strstr(data, "</script>");
    assert_non_null(end);
    *end = '\0';
    assert_null(strchr(data, '<'));
    json_t *inside = json_loads(data, 0, NULL), *beside = load("report.json");
    assert_non_null(inside);
    assert_true(json_equal(inside, beside));
    json_decref(inside);
    json_decref(beside);
    free(page);
    result_made_free(&m);
}

static void a_page_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    struct made_result m;
    make(&m);
    assert_false(report_write_html(&m.result, in_dir("no/such/report.html")));
    assert_false(report_write_json(&m.result, in_dir("no/such/report.json")));
    result_made_free(&m);
}

static int write_page(const char *to, bool failed)
{
    static struct made_result m;
    char path[4200];
    result_made_long(&m, failed);
    snprintf(m.result.dir, sizeof m.result.dir, "%s", to);
    snprintf(path, sizeof path, "%s/report.html", to);
    bool good = report_write_html(&m.result, path);
    snprintf(path, sizeof path, "%s/report.json", to);
    good = report_write_json(&m.result, path) && good;
    result_made_free(&m);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--page") == 0)
        return write_page(argv[2], argc > 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_has_verdict_faults_and_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(json_has_counts_and_latencies_by_phase, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(json_has_what_happened_over_time, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(json_has_the_slowest_commits_with_their_breakdown, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(text_has_verdict_phases_and_the_command, make_dir,
                                        remove_dir),
        cmocka_unit_test(text_tells_what_is_not_known),
        cmocka_unit_test(failover_is_the_longest_pause_of_those_not_concerned),
        cmocka_unit_test(a_pause_that_nothing_ends_is_told_as_such),
        cmocka_unit_test_setup_teardown(techniques_stand_side_by_side, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(the_page_holds_the_same_data_and_no_markup_of_it, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_page_that_cannot_be_written_is_an_error, make_dir,
                                        remove_dir),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
