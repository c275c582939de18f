/* chaos/scenario, chaos/rtt, chaos/nemesis_plan: scenario files as they are shipped and as people
 * get them wrong, matrices of round trips, and which faults a seed gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chaos/nemesis_plan.h"
#include "chaos/scenario.h"
#include "common/bytes.h"

#define SHIPPED "chaos/scenarios/"

struct fixture {
    char dir[256];
    char file[300], matrix[300];
    char why[512];
    struct scenario s;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%.200s/scenario.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof f->file, "%s/own.yaml", f->dir);
    snprintf(f->matrix, sizeof f->matrix, "%s/matrix.csv", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->file);
    unlink(f->matrix);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static bool load(struct fixture *f, const char *text, const char *rtt_file)
{
    write_file(f->file, text);
    return scenario_load(&f->s, f->file, rtt_file, f->why, sizeof f->why);
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

/* A good file, line by line, to put mistakes into. */
static const char *const good[] = {"duration: 60s",                                       /* 1 */
                                   "calm: 5s",                                            /* 2 */
                                   "datacenters: [ams, fra, lhr]",                        /* 3 */
                                   "rtt:",                                                /* 4 */
                                   "  - 0 10 20",                                         /* 5 */
                                   "  - 10 0 30",                                         /* 6 */
                                   "  - 20, 30, 1",                                       /* 7 */
                                   "coordinators: 3",                                     /* 8 */
                                   "participants: 2",                                     /* 9 */
                                   "times: {retention: 10s, txid-skew: 2s}",              /* 10 */
                                   "loads:",                                              /* 11 */
                                   "  - {kind: bank, clients: 2, keys: 8}",               /* 12 */
                                   "  - {kind: set, clients: 1, in: [fra], from: [lhr]}", /* 13 */
                                   "faults:",                                             /* 14 */
                                   "  - {kind: kill, at: 3s, for: 2s, target: ams-p2}",   /* 15 */
                                   "  - {kind: isolate, at: 9s, for: 4s}",                /* 16 */
                                   "mix:",                                                /* 17 */
                                   "  kinds: [pause, spike]",                             /* 18 */
                                   "  every: 5s",                                         /* 19 */
                                   "  for: 2s"};                                          /* 20 */

#define GOOD_LINES ((int)(sizeof good / sizeof good[0]))

/* The good file with another line n, or without it (NULL); 0: as it is. */
static bool load_with(struct fixture *f, int n, const char *line)
{
    struct writer text = {0};
    for (int i = 0; i < GOOD_LINES; i++) {
        const char *use = i + 1 == n ? line : good[i];
        if (use == NULL)
            continue;
        writer_raw(&text, use, strlen(use));
        writer_u8(&text, '\n');
    }
    writer_u8(&text, '\0');
    bool loaded = load(f, (const char *)text.data, NULL);
    writer_free(&text);
    return loaded;
}

static void a_whole_file_is_read_as_it_is_written(void **state)
{
    struct fixture *f = *state;
    const struct scenario *s = &f->s;
    if (!load_with(f, 0, NULL))
        fail_msg("%s", f->why);
    assert_string_equal(s->name, "own");
    assert_int_equal(s->seed, 0);
    assert_int_equal(s->duration_ms, 60000);
    assert_int_equal(s->calm_ms, 5000);
    assert_int_equal(s->datacenters, 3);
    assert_string_equal(s->datacenter[2], "lhr");
    const uint32_t rtt[9] = {0, 10, 20, 10, 0, 30, 20, 30, 1};
    assert_memory_equal(s->rtt_ms, rtt, sizeof rtt);
    assert_int_equal(s->participants, 2);
    assert_int_equal(s->retention_ms, 10000);
    assert_int_equal(s->txid_skew_ms, 2000);
    assert_int_equal(s->in_doubt_ms, IN_DOUBT_TIMEOUT_MS);
    assert_int_equal(s->loads, 2);
    assert_int_equal(s->load[0].kind, LOAD_BANK);
    assert_int_equal(s->load[0].in, 7);
    assert_int_equal(s->load[1].in, 2);
    assert_int_equal(s->load[1].from, 4);
    assert_int_equal(s->faults, 2);
    assert_string_equal(s->fault[0].target, "ams-p2");
    assert_int_equal(s->mix, 1 << FAULT_PAUSE | 1 << FAULT_SPIKE);
    assert_int_equal(s->every_ms, 5000);
    assert_true(scenario_check(s, f->why, sizeof f->why));
}

static void the_scenarios_that_come_with_it_can_be_run(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"mix", "long", "lost-leader", "outage", "calm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, SHIPPED "%s.yaml", names[i]);
        if (!scenario_load(&f->s, path, NULL, f->why, sizeof f->why))
            fail_msg("%s", f->why);
        assert_string_equal(f->s.name, names[i]);
    }
    assert_true(scenario_load(&f->s, SHIPPED "mix.yaml", NULL, f->why, sizeof f->why));
    assert_int_equal(f->s.mix | 1 << FAULT_LOST, (1 << FAULT_KINDS) - 1);
}

/* Each is one line of the good file gone wrong: the message names that line, what, what to do. */
static const struct {
    int line;
    const char *text; /* NULL: left out */
    int told;
    const char *what;
} file_mistakes[] = {
    {1, "duration: soon", 1, "duration \"soon\" is not a time"},
    {1, "duration: 60", 1, "write a whole number and its unit"},
    {1, "duration: 5s", 2, "as long as the run"},
    {1, NULL, 19, "duration: add it; docs/chaos.md"},
    {2, "clam: 5s", 2, "clam: correct or remove the key; docs/chaos.md lists them all"},
    {2, "calm:", 2, "a value is missing"},
    {2, "seed: -1", 2, "seed \"-1\" is not a whole number"},
    {2, "rtt-file: a.csv", 2, "there are rtt and rtt-file"},
    {2, "name: Ä", 2, "name"},
    {3, "datacenters: [ams, fra]", 4, "rtt has 3 rows: with 2 datacenters it has 2"},
    {3, "datacenters: []", 3, "there are 0 datacenters"},
    {3, "datacenters: [ams, fra, ams]", 3, "\"ams\" is there twice"},
    {3, "datacenters: [ams, fra, 7]", 3, "beginning with a letter"},
    {3, "datacenters: [a,b,c,d,e,f,g,h,i]", 3, "docs/chaos.md lists the limits"},
    {6, "  - 10 0", 6, "2 numbers: with 3 datacenters every row of rtt has 3"},
    {6, "  - 10 0 30 40", 6, "4 numbers"},
    {6, "  - 10 0 fast", 6, "\"fast\" is not a number of milliseconds"},
    {6, "  - 10 0 99999", 4, "a round trip of 99999 ms from fra to lhr"},
    {6, NULL, 4, "rtt has 2 rows"},
    {8, "coordinators: 2", 8, "2 coordinators: there may be 1"},
    {8, "coordinators: three", 8, "coordinators \"three\" is not a whole number"},
    {9, "participants: 0", 9, "there must be at least 1"},
    {9, "participants: 30", 9, "at most 64 nodes"},
    {9, "participants: 2147483647", 9, "at most 64 nodes"},
    {10, "times: {retention: 7s, txid-skew: 2s}", 10, "less than four times txid-skew"},
    {10, "times: {retention: 0s, txid-skew: 0s}", 10, "a time is 0"},
    {10, "times: {retent: 7s}", 10, "retent"},
    {10, "times: {retention: 1193h, txid-skew: 2s}", 10, "more than 24h"},
    {12, "  - {kind: bank, clients: 0}", 12, "bank: 0 clients: give it 1 to 256"},
    {12, "  - {kind: bank, clients: 1000}", 12, "1000 clients"},
    {12, "  - {kind: bank, clients: 256}", 11, "257 clients in all"},
    {12, "  - {kind: bank, clients: 2, keys: 1}", 12, "1 keys: give it 2"},
    {12, "  - {kind: safe, clients: 2}", 12, "there is no load \"safe\""},
    {12, "  - {kind: bank, clients: 2, timeout: 2m}", 12, "a timeout of 120000 ms"},
    {12, "  - {kind: bank, clients: 2, dies: yes}", 12, "neither true nor false"},
    {12, "  - {kind: bank, clients: 2, colour: red}", 12, "colour"},
    {12, "  - {kind: bank}", 12, "clients"},
    {13, "  - {kind: set, clients: 1, in: [par]}", 13, "\"par\" is not a datacenter"},
    {15, "  - {kind: kill, at: 3s, for: 2s, target: ams-p3}", 15, "nodes are \"ams-c\""},
    {15, "  - {kind: kill, at: 3s, for: 2s, target: ams-c2}", 15, "no datacenter and no node"},
    {15, "  - {kind: kill, at: 3s}", 15, "say how long it lasts"},
    {15, "  - {kind: kil, at: 3s, for: 2s}", 15, "there is no fault \"kil\""},
    {15, "  - {kind: kill, at: 49s, for: 2s}", 15, "there are 50000 ms"},
    {15, "  - {kind: long-down, at: 40s, for: 2s}", 15, "for 11000 ms"},
    {15, "  - {kind: split, at: 3s, for: 2s, target: ams}", 15, "leave the target out"},
    {15, "  - {kind: lost, at: 3s, for: 2s, target: ams}", 15, "it does not end"},
    {15, "  - {kind: lost, at: 3s, target: ams-c}", 15, "name a datacenter"},
    {15, "  - {kind: no-participants, at: 3s, for: 2s, target: ams-p1}", 15, "a coordinator"},
    {15, "  - {kind: step, at: 3s, for: 2s, target: ams}", 15, "name one node"},
    {15, "  - {kind: kill, at: 3s, for: 2s, step: after-send:VOTE}", 15, "only the kind"},
    {15, "  - {kind: step, at: 3s, for: 2s, step: after-send:VOTE}", 15, "as the target"},
    {15, "  - {kind: step, at: 3s, for: 2s, target: ams-c, step: after-send:PREPARED}", 15,
     "there is no step \"after-send:PREPARED\""},
    {15, "  - {kind: step, at: 3s, for: 2s, target: ams-c, step: after-send:VOTE:0}", 15,
     "there is no step"},
    {16, "  - 7", 16, "docs/chaos.md shows the form"},
    {18, "  kinds: [pause, lost]", 17, "\"lost\" never ends"},
    {18, "  kinds: []", 17, "it has no kinds"},
    {18, "  kinds: [all]", 17, "23 kinds of faults, one every 5000 ms, need 115000 ms"},
    {19, "  every: 0s", 17, "at least 100 ms"},
    {19, "  every: 1193h", 17, "at most 24h"},
    {20, NULL, 19, "for: add it"},
    {20, "  for: 2s\n---\na: b", 21, "a scenario is one document"},
};

static void every_mistake_is_told_with_its_line(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof file_mistakes / sizeof file_mistakes[0]; i++) {
        char place[320];
        if (load_with(f, file_mistakes[i].line, file_mistakes[i].text))
            fail_msg("line %d: \"%s\" was taken", file_mistakes[i].line, file_mistakes[i].text);
        snprintf(place, sizeof place, "%s:%d: ", f->file, file_mistakes[i].told);
        assert_contains(f->why, place);
        assert_contains(f->why, file_mistakes[i].what);
    }
}

static void a_cluster_of_one_datacenter_needs_no_matrix_and_has_no_partitions(void **state)
{
    struct fixture *f = *state;
    static const char begin[] = "duration: 60s\ndatacenters: [ams]\ncoordinators: 1\n"
                                "loads: [{kind: counter, clients: 1, keys: 1}]\n";
    char text[512];
    assert_true(load(f, begin, NULL));
    snprintf(text, sizeof text, "%sfaults: [{kind: isolate, at: 1s, for: 1s}]\n", begin);
    assert_false(load(f, text, NULL));
    assert_contains(f->why, ":5: isolate: it needs 2 datacenters");
    snprintf(text, sizeof text, "%smix: {kinds: [ring], every: 1s, for: 1s}\n", begin);
    assert_false(load(f, text, NULL));
    assert_contains(f->why, "\"ring\" needs more datacenters");
    snprintf(text, sizeof text,
             "%stimes: {retention: 4s, txid-skew: 1s}\nmix: {kinds: [all], every: 1s, for: 1s}\n",
             begin);
    if (!load(f, text, NULL))
        fail_msg("%s", f->why);
    assert_int_equal(f->s.mix & (1 << FAULT_ISOLATE | 1 << FAULT_RING), 0);
    assert_int_not_equal(f->s.mix & 1 << FAULT_KILL, 0);
    assert_false(
        load(f, "duration: 60s\ndatacenters: [a, b]\nloads: [{kind: set, clients: 1}]\n", NULL));
    assert_contains(f->why, ":2: there is no rtt");
}

static void what_options_have_changed_is_checked_again(void **state)
{
    struct fixture *f = *state;
    assert_true(load_with(f, 0, NULL));
    f->s.duration_ms = 20000;
    assert_false(scenario_check(&f->s, f->why, sizeof f->why));
    assert_contains(f->why, "scenario own: ");
    f->s.duration_ms = 60000;
    f->s.load[1].clients = 0;
    assert_false(scenario_check(&f->s, f->why, sizeof f->why));
    assert_contains(f->why, "set: 0 clients");
}

static void a_file_that_cannot_be_read_says_so(void **state)
{
    struct fixture *f = *state;
    assert_false(scenario_load(&f->s, f->file, NULL, f->why, sizeof f->why));
    assert_contains(f->why, "own.yaml: No such file or directory: give the path of the scenario");
    assert_false(load(f, "", NULL));
    assert_contains(f->why, "the file is empty");
}

/* ---- matrices ---- */

static const char names[3][NAME_BYTES_MAX + 1] = {"ams", "fra", "lhr"};

static bool load_matrix(struct fixture *f, const char *text, uint32_t rtt_ms[9])
{
    write_file(f->matrix, text);
    return rtt_load(f->matrix, 3, names, rtt_ms, f->why, sizeof f->why);
}

static void a_matrix_gives_what_the_scenario_names(void **state)
{
    struct fixture *f = *state;
    uint32_t rtt_ms[9];
    const uint32_t want[9] = {0, 7, 11, 8, 2, 9, 12, 10, 0};
    assert_true(load_matrix(f,
                            "# from somewhere\n,lhr,par,ams,fra\n\nfra, 9, 1, 8.4 ,2\r\n"
                            "lhr,,3,12,\"10\"\npar,5,,6,1\nams,11,1,0,6.5",
                            rtt_ms));
    assert_memory_equal(rtt_ms, want, sizeof want);
}

static void the_matrix_of_the_command_line_takes_the_place_of_the_scenarios(void **state)
{
    struct fixture *f = *state;
    write_file(f->matrix, ",ams,fra,lhr\nams,,1,2\nfra,1,,3\nlhr,2,3,\n");
    char text[512] = "";
    for (int i = 0; i < 13; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", good[i]);
    assert_true(load(f, text, f->matrix));
    assert_int_equal(f->s.rtt_ms[5], 3);
    assert_true(load(f,
                     "duration: 60s\ndatacenters: [fra, ams]\nrtt-file: matrix.csv\n"
                     "loads: [{kind: set, clients: 1}]\n",
                     NULL));
    assert_int_equal(f->s.rtt_ms[1], 1);
    assert_false(load(f,
                      "duration: 60s\ndatacenters: [fra, par]\nrtt-file: matrix.csv\n"
                      "loads: [{kind: set, clients: 1}]\n",
                      NULL));
    assert_contains(f->why, "matrix.csv:4: the file ends without a round trip from fra to par");
}

static void every_mistake_in_a_matrix_is_told_with_its_line(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int line;
        const char *what;
    } mistakes[] = {
        {",ams,fra,lhr\nams,,1\n", 2, "3 fields: the first line has 4"},
        {",ams,fra,lhr\nams,,1,2,3\n", 2, "5 fields"},
        {",ams,fra,lhr\n#\nams,,1,x\n", 3, "\"x\" is not a number of milliseconds"},
        {",ams,fra,lhr\nams,,-1,1\n", 2, "\"-1\" is not a number"},
        {",ams,fra,lhr\nams,,1.2.3,1\n", 2, "is not a number"},
        {",ams,fra,lhr\nams,,1e9,1\n", 2, "is not a number"},
        {",ams,fra,lhr\nams,,,1\n", 2, "there is no round trip from ams to fra"},
        {",ams,fra,ams\n", 1, "\"ams\" is there twice"},
        {",ams,fra,lhr\nams,,1,2\nams,,1,2\n", 3, "\"ams\" is there twice"},
        {",ams,fra,lhr\nams,,1,2\n", 2, "the file ends without a round trip from fra to ams"},
        {"", 0, "the file ends without"},
        {"ams\n", 1, "the first line names the datacenters"},
        {",ams,fra,lhr\nams,\"1,1,1\n", 2, "a quote is not closed"},
        {",ams,fra,lhr\nams,1\"1,1,1\n", 2, "not CSV"},
        {",ams,fra,lhr\nams,1111111111111111111111111111111111111111111111111111111111111111111,1,"
         "1\n",
         2, "not a name and not a number"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        uint32_t rtt_ms[9];
        char place[320];
        if (load_matrix(f, mistakes[i].text, rtt_ms))
            fail_msg("\"%s\" was taken", mistakes[i].text);
        snprintf(place, sizeof place, "%s:%d: ", f->matrix, mistakes[i].line);
        assert_contains(f->why, place);
        assert_contains(f->why, mistakes[i].what);
    }
}

static void a_row_of_many_fields_is_refused(void **state)
{
    struct fixture *f = *state;
    struct writer text = {0};
    uint32_t rtt_ms[9];
    for (int i = 0; i < 1000; i++)
        writer_raw(&text, "a,", 2);
    writer_u8(&text, '\0');
    assert_false(load_matrix(f, (const char *)text.data, rtt_ms));
    writer_free(&text);
    assert_contains(f->why, ":1: more than 257 fields");
}

/* ---- plans ---- */

/* Three datacenters with a coordinator and a participant each. */
static struct cluster cluster_of(struct cluster_node node[6])
{
    static char datacenter[3][NAME_BYTES_MAX + 1] = {"virginia", "ireland", "tokyo"};
    for (int i = 0; i < 6; i++) {
        node[i] = (struct cluster_node){.role = i < 3 ? ROLE_COORDINATOR : ROLE_PARTICIPANT,
                                        .datacenter = i % 3};
        snprintf(node[i].name, sizeof node[i].name, "%.30s-%c", datacenter[i % 3],
                 i < 3 ? 'c' : 'p');
    }
    return (struct cluster){.datacenters = 3, .datacenter = datacenter, .nodes = 6, .node = node};
}

static bool same_plan(const struct plan *a, const struct plan *b)
{
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++) {
        const struct planned *x = &a->fault[i], *y = &b->fault[i];
        if (x->kind != y->kind || x->at_ms != y->at_ms || x->for_ms != y->for_ms ||
            x->node != y->node || x->datacenter != y->datacenter || x->strength != y->strength ||
            x->seed != y->seed || strcmp(x->step, y->step) != 0)
            return false;
    }
    return true;
}

static void the_same_seed_gives_the_same_faults(void **state)
{
    struct fixture *f = *state;
    struct cluster_node node[6];
    struct cluster c = cluster_of(node);
    assert_true(scenario_load(&f->s, SHIPPED "mix.yaml", NULL, f->why, sizeof f->why));
    struct plan a = plan_make(&f->s, &c, 7), b = plan_make(&f->s, &c, 7),
                other = plan_make(&f->s, &c, 8);
    assert_true(a.n > 20);
    assert_true(same_plan(&a, &b));
    assert_false(same_plan(&a, &other));
    plan_free(&a);
    plan_free(&b);
    plan_free(&other);
}

static void check_planned(const struct scenario *s, const struct cluster *c,
                          const struct planned *p)
{
    enum fault_target wants = fault_target(p->kind);
    assert_true(p->for_ms >= plan_least_ms(s, p->kind));
    assert_true(p->node == PLAN_NOWHERE || p->datacenter == PLAN_NOWHERE);
    assert_int_equal(wants == TARGET_ALL, p->node == PLAN_NOWHERE && p->datacenter == PLAN_NOWHERE);
    assert_int_equal(wants == TARGET_NODE, p->node != PLAN_NOWHERE);
    if (fault_of_coordinators(p->kind))
        assert_int_equal(c->node[p->node].role, ROLE_COORDINATOR);
    assert_int_equal(p->kind == FAULT_STEP, p->step[0] != '\0');
}

/* And those that must last long are planned so that they can. */
static void a_mix_has_every_kind_whatever_the_seed(void **state)
{
    struct fixture *f = *state;
    struct cluster_node node[6];
    struct cluster c = cluster_of(node);
    assert_true(scenario_load(&f->s, SHIPPED "mix.yaml", NULL, f->why, sizeof f->why));
    uint32_t window_ms = f->s.duration_ms - f->s.calm_ms - PLAN_RECOVERY_MS;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct plan p = plan_make(&f->s, &c, seed);
        uint32_t seen = 0, before_ms = 0;
        for (int i = 0; i < p.n; i++) {
            check_planned(&f->s, &c, &p.fault[i]);
            assert_true(p.fault[i].at_ms >= before_ms);
            before_ms = p.fault[i].at_ms;
            seen |= UINT32_C(1) << p.fault[i].kind;
            if (plan_least_ms(&f->s, p.fault[i].kind) > 0)
                assert_true(p.fault[i].at_ms + p.fault[i].for_ms <= window_ms);
        }
        assert_int_equal(seen, f->s.mix);
        plan_free(&p);
    }
}

static void scripted_faults_come_where_and_when_they_are_written(void **state)
{
    struct fixture *f = *state;
    struct cluster_node node[6];
    struct cluster c = cluster_of(node);
    assert_true(scenario_load(&f->s, SHIPPED "outage.yaml", NULL, f->why, sizeof f->why));
    struct plan p = plan_make(&f->s, &c, 1);
    assert_int_equal(p.n, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p.fault[i].at_ms, 8000);
        assert_int_equal(p.fault[i].for_ms, 10000);
        assert_int_equal(p.fault[i].datacenter, 0);
        assert_int_equal(p.fault[i].node, PLAN_NOWHERE);
    }
    plan_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_file_is_read_as_it_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(the_scenarios_that_come_with_it_can_be_run, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_mistake_is_told_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_cluster_of_one_datacenter_needs_no_matrix_and_has_no_partitions, setup, teardown),
        cmocka_unit_test_setup_teardown(what_options_have_changed_is_checked_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(a_matrix_gives_what_the_scenario_names, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_matrix_of_the_command_line_takes_the_place_of_the_scenarios, setup, teardown),
        cmocka_unit_test_setup_teardown(every_mistake_in_a_matrix_is_told_with_its_line, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_row_of_many_fields_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_seed_gives_the_same_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mix_has_every_kind_whatever_the_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(scripted_faults_come_where_and_when_they_are_written, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("scenario", tests, NULL, NULL);
}
