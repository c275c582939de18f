#include "chaos/compare_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/report_json.h"

#define COLUMNS    7
#define LINES_MAX  6
#define LINE_BYTES 48

/* One field of the table: a few short lines. */
struct cell {
    int n;
    char line[LINES_MAX][LINE_BYTES];
};

static __attribute__((format(printf, 2, 3))) void say(struct cell *c, const char *format, ...)
{
    va_list args;
    if (c->n == LINES_MAX)
        return;
    va_start(args, format);
    vsnprintf(c->line[c->n++], LINE_BYTES, format, args);
    va_end(args);
}

static const char *technique(const struct result *r)
{
    return r->scenario->coordinators == 1 ? "two-phase commit" : "Paxos Commit";
}

/* ---- failover ---- */

static bool among_rest(const struct result *r, const struct fault *f, const struct sample *s)
{
    uint32_t all = (1u << r->scenario->datacenters) - 1;
    uint32_t in = s->participants_in | (1u << s->datacenter);
    return (all & ~f->datacenters) == 0 || (in & f->datacenters) == 0;
}

static uint64_t window_end_us(const struct result *r, const struct fault *f, uint64_t load_end_us)
{
    uint64_t end_us = load_end_us;
    for (int i = 0; i < r->faults; i++) {
        uint64_t begin_us = r->fault[i].begin_us;
        if (&r->fault[i] != f && begin_us > f->begin_us && begin_us > f->end_us &&
            begin_us < end_us)
            end_us = begin_us;
    }
    return end_us;
}

static struct failover longest_pause(const struct result *r, const struct fault *f)
{
    size_t n;
    const struct sample *s = samples_all(r->samples, &n);
    uint64_t last_us = f->begin_us;
    uint64_t end_us = window_end_us(r, f, n == 0 ? r->begin_us : s[n - 1].end_us);
    struct failover out = {.fault = f, .ended = true};
    for (size_t i = 0; i < n && s[i].end_us <= end_us; i++) {
        if (s[i].status != ASSENT_OK || s[i].end_us < f->begin_us || !among_rest(r, f, &s[i]))
            continue;
        if (s[i].end_us - last_us > out.pause_us)
            out.pause_us = s[i].end_us - last_us;
        last_us = s[i].end_us;
    }
    if (end_us > last_us && end_us - last_us > out.pause_us) {
        out.pause_us = end_us - last_us;
        out.ended = false;
    }
    return out;
}

struct failover compare_failover(const struct result *r)
{
    struct failover worst = {.ended = true};
    for (int i = 0; i < r->faults; i++) {
        struct failover one = longest_pause(r, &r->fault[i]);
        if (worst.fault == NULL || one.pause_us > worst.pause_us)
            worst = one;
    }
    return worst;
}

/* ---- data loss ---- */

/* Whether what a check found means that something acknowledged is gone. */
static bool is_loss(const struct judgement *j)
{
    static const enum anomaly loss[] = {
        ANOMALY_LOST_APPEND,  ANOMALY_LOST_UPDATE,     ANOMALY_LOST_TRANSFER,
        ANOMALY_LOST_ELEMENT, ANOMALY_MISSING_ACCOUNT, ANOMALY_WRONG_BALANCE,
        ANOMALY_WRONG_TOTAL,  ANOMALY_WRONG_COUNT,     ANOMALY_TORN,
        ANOMALY_NOT_CONVERGED};
    for (size_t i = 0; i < sizeof loss / sizeof loss[0]; i++)
        if (strcmp(j->anomaly, anomaly_name(loss[i])) == 0)
            return j->verdict == VERDICT_FAILED;
    return false;
}

static int count_of(const struct result *r, enum verdict verdict)
{
    int n = 0;
    for (int i = 0; i < r->judgements.n; i++)
        n += r->judgements.judgement[i].verdict == verdict;
    return n;
}

static void say_loss(struct cell *c, const struct result *r)
{
    for (int i = 0; i < r->judgements.n; i++)
        if (is_loss(&r->judgements.judgement[i]))
            say(c, "%s", r->judgements.judgement[i].anomaly);
    if (c->n > 0)
        return;
    if (count_of(r, VERDICT_HELD) == 0)
        say(c, "not judged");
    else
        say(c, "none found");
    if (count_of(r, VERDICT_UNJUDGED) > 0)
        say(c, "%d not judged", count_of(r, VERDICT_UNJUDGED));
}

/* ---- the other columns ---- */

static void say_consistency(struct cell *c, const struct result *r)
{
    int held = count_of(r, VERDICT_HELD);
    if (held == r->judgements.n && held > 0) {
        say(c, "all checks held (%d)", held);
        return;
    }
    say(c, "%d of %d checks held", held, r->judgements.n);
    for (int i = 0; i < r->judgements.n; i++) {
        const struct judgement *j = &r->judgements.judgement[i];
        if (j->verdict != VERDICT_HELD)
            say(c, "%s: %s", j->verdict == VERDICT_FAILED ? "FAILED" : "unjudged", j->name);
    }
}

static void say_latency(struct cell *c, const struct phases *p)
{
    const struct phase *calm = &p->phase[PHASE_IS_CALM];
    int64_t added_us;
    if (calm->commit_us.n == 0) {
        say(c, "no commit in calm");
        return;
    }
    say(c, "%.1f ms p50", calm->commit_us.p50 / 1e3);
    say(c, "%.1f ms p99", calm->commit_us.p99 / 1e3);
    say(c, "%.2f of the RTT", calm->times_wire.p50 / 1e3);
    if (phases_added_us(p, calm, &added_us))
        say(c, "%+.1f ms added", (double)added_us / 1e3);
}

static void say_throughput(struct cell *c, const struct phases *p)
{
    for (int i = 0; i < PHASES_MAX; i++)
        if (p->phase[i].time_us > 0)
            say(c, "%.0f/s %s", phase_throughput(&p->phase[i]), p->phase[i].name);
}

static void say_failover(struct cell *c, const struct result *r)
{
    struct failover f = compare_failover(r);
    if (f.fault == NULL) {
        say(c, "no fault");
        return;
    }
    say(c, "%s:", fault_text(f.fault->kind));
    if (f.ended)
        say(c, "no commit for %.1f s", (double)f.pause_us / 1e6);
    else
        say(c, "blocked for %.1f s, to the end", (double)f.pause_us / 1e6);
    if (f.fault->no_doubt_us == FAULT_NEVER)
        say(c, "in doubt to the end");
    else
        say(c, "no doubt after %.1f s", (double)f.fault->no_doubt_us / 1e6);
}

/* ---- the table ---- */

static const char *const head[COLUMNS] = {"technique",     "measured consistency", "transactions",
                                          "latency, calm", "throughput",           "data loss",
                                          "failover"};

static void fill(struct cell *row, const struct result *r)
{
    struct phases *p = phases_of(r);
    int coordinators = r->scenario->coordinators;
    say(&row[0], "%s", technique(r));
    say(&row[0], "%d coordinator%s", coordinators, coordinators == 1 ? "" : "s");
    say_consistency(&row[1], r);
    say(&row[2], "%" PRIu64 " committed", p->all.commits);
    say(&row[2], "%" PRIu64 " aborted", p->all.aborts);
    say(&row[2], "%" PRIu64 " unknown", p->all.unknown);
    say_latency(&row[3], p);
    say_throughput(&row[4], p);
    say_loss(&row[5], r);
    say_failover(&row[6], r);
    free(p);
}

static void print_row(const struct cell *row, const int *width, FILE *out)
{
    for (int line = 0; line < LINES_MAX; line++) {
        int columns = 0;
        for (int c = 0; c < COLUMNS; c++)
            if (line < row[c].n)
                columns = c + 1;
        for (int c = 0; c < columns; c++)
            fprintf(out, "%s%-*s", c == 0 ? "" : "  ", c + 1 < columns ? width[c] : 0,
                    line < row[c].n ? row[c].line[line] : "");
        if (columns > 0)
            fprintf(out, "\n");
    }
}

void compare_print(const struct result *const *result, int n, FILE *out)
{
    struct cell(*row)[COLUMNS] = xcalloc((size_t)n + 1, sizeof *row);
    int width[COLUMNS] = {0};
    for (int c = 0; c < COLUMNS; c++)
        say(&row[0][c], "%s", head[c]);
    for (int i = 0; i < n; i++)
        fill(row[i + 1], result[i]);
    for (int i = 0; i <= n; i++)
        for (int c = 0; c < COLUMNS; c++)
            for (int line = 0; line < row[i][c].n; line++)
                if ((int)strlen(row[i][c].line[line]) > width[c])
                    width[c] = (int)strlen(row[i][c].line[line]);
    for (int i = 0; i <= n; i++) {
        print_row(row[i], width, out);
        fprintf(out, "\n");
    }
    fprintf(out,
            "Data loss: acknowledged writes that a datacenter which is still there had to have.\n"
            "Failover: the longest time without a commit among those whom the fault does not "
            "concern,\nand until nothing that it left in doubt was so any more.\n");
    free(row);
}

/* ---- for programs ---- */

static json_t *failover_json(const struct result *r)
{
    struct failover f = compare_failover(r);
    if (f.fault == NULL)
        return json_null();
    return json_pack("{s:s, s:o, s:I, s:b, s:o}", "fault", fault_text(f.fault->kind), "text",
                     report_json_text(f.fault->text), "pause_us", (json_int_t)f.pause_us, "ended",
                     f.ended, "no_doubt_us", report_json_us(f.fault->no_doubt_us));
}

static json_t *names_json(const struct result *r, bool (*has)(const struct judgement *))
{
    json_t *out = json_array();
    for (int i = 0; i < r->judgements.n; i++)
        if (has(&r->judgements.judgement[i]))
            json_array_append_new(out, report_json_text(r->judgements.judgement[i].name));
    return out;
}

static bool is_held(const struct judgement *j)
{
    return j->verdict == VERDICT_HELD;
}

static bool is_failed(const struct judgement *j)
{
    return j->verdict == VERDICT_FAILED;
}

static bool is_unjudged(const struct judgement *j)
{
    return j->verdict == VERDICT_UNJUDGED;
}

static json_t *throughput_json(const struct phases *p)
{
    json_t *out = json_object();
    for (int i = 0; i < PHASES_MAX; i++)
        if (p->phase[i].time_us > 0)
            json_object_set_new(out, p->phase[i].name, json_real(phase_throughput(&p->phase[i])));
    return out;
}

static json_t *row_json(const struct result *r)
{
    struct phases *p = phases_of(r);
    const struct phase *calm = &p->phase[PHASE_IS_CALM];
    int64_t added_us;
    json_t *out = json_pack(
        "{s:s, s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "technique",
        technique(r), "coordinators", r->scenario->coordinators, "verdict",
        report_verdict(judgements_verdict(&r->judgements)), "held", names_json(r, is_held),
        "failed", names_json(r, is_failed), "unjudged", names_json(r, is_unjudged), "commits",
        (json_int_t)p->all.commits, "aborts", (json_int_t)p->all.aborts, "unknown",
        (json_int_t)p->all.unknown, "calm_commit_us", report_json_latency(&calm->commit_us),
        "commits_per_s", throughput_json(p), "data_loss", names_json(r, is_loss), "failover",
        failover_json(r));
    json_object_set_new(out, "calm_times_rtt",
                        calm->times_wire.n == 0 ? json_null()
                                                : json_real(calm->times_wire.p50 / 1e3));
    json_object_set_new(out, "calm_within", json_integer((json_int_t)calm->within));
    json_object_set_new(out, "calm_added_us",
                        phases_added_us(p, calm, &added_us) ? json_integer(added_us) : json_null());
    free(p);
    return out;
}

bool compare_write_json(const struct result *const *result, int n, const char *path)
{
    json_t *rows = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(rows, row_json(result[i]));
    return report_json_write(json_pack("{s:o}", "techniques", rows), path);
}
