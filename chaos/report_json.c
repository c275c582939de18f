#include "chaos/report_json.h"

#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/report.h"
#include "common/bytes.h"

#define SECOND_US      UINT64_C(1000000)
#define ROWS_MAX       600  /* of the series over time */
#define DOUBT_ROWS_MAX 1200 /* of what is in doubt over time */
#define SLOWEST_MAX    20
#define FILES_MAX      200

/* ---- values ---- */

json_t *report_json_text(const char *text)
{
    json_t *out = json_string(text);
    if (out != NULL)
        return out;
    char *plain = xstrdup(text);
    for (char *c = plain; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    out = json_string(plain);
    free(plain);
    return out;
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

json_t *report_json_us(uint64_t us)
{
    return us == FAULT_NEVER ? json_null() : number(us);
}

/* A time of the run, from its beginning. */
static json_t *at(const struct result *r, uint64_t us)
{
    if (us == FAULT_NEVER)
        return json_null();
    return json_integer((json_int_t)us - (json_int_t)r->begin_us);
}

/* Ratios: more digits mean nothing. */
static json_t *thousandths(uint32_t n)
{
    return json_real(n / 1e3);
}

json_t *report_json_latency(const struct latency *l)
{
    if (l->n == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "n", (json_int_t)l->n, "p50", (json_int_t)l->p50,
                     "p95", (json_int_t)l->p95, "p99", (json_int_t)l->p99, "max",
                     (json_int_t)l->max);
}

static json_t *quantiles(const struct latency *l)
{
    if (l->n == 0)
        return json_null();
    json_t *out = json_array();
    for (int i = 0; i < PHASE_QUANTILES; i++)
        json_array_append_new(out, number(l->quantile[i]));
    return out;
}

static json_t *ratio_latency(const struct latency *l)
{
    if (l->n == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "p50", thousandths(l->p50), "p95", thousandths(l->p95),
                     "p99", thousandths(l->p99), "max", thousandths(l->max));
}

const char *report_verdict(enum verdict v)
{
    static const char *const word[] = {
        [VERDICT_HELD] = "held", [VERDICT_FAILED] = "failed", [VERDICT_UNJUDGED] = "unjudged"};
    return word[v];
}

static json_t *datacenters(const struct scenario *s, uint32_t mask)
{
    json_t *out = json_array();
    for (int dc = 0; dc < s->datacenters; dc++)
        if ((mask & (1u << dc)) != 0)
            json_array_append_new(out, report_json_text(s->datacenter[dc]));
    return out;
}

static json_t *datacenter(const struct scenario *s, int dc)
{
    return dc < 0 || dc >= s->datacenters ? json_null() : report_json_text(s->datacenter[dc]);
}

/* ---- what was run ---- */

static json_t *scenario_json(const struct result *r)
{
    const struct scenario *s = r->scenario;
    json_t *loads = json_array(), *rtt = json_array();
    for (int i = 0; i < s->loads; i++)
        json_array_append_new(loads,
                              json_pack("{s:s, s:i, s:i}", "kind", load_text(s->load[i].kind),
                                        "clients", s->load[i].clients, "keys", s->load[i].keys));
    for (int a = 0; a < s->datacenters; a++) {
        json_t *row = json_array();
        for (int b = 0; b < s->datacenters; b++)
            json_array_append_new(row, a == b ? json_null() : number(r->bare_rtt_us[a][b]));
        json_array_append_new(rtt, row);
    }
    char seed[24]; /* all of its 64 bits, which numbers of JSON do not have */
    snprintf(seed, sizeof seed, "%" PRIu64, s->seed);
    return json_pack(
        "{s:o, s:s, s:o, s:i, s:i, s:I, s:I, s:I, s:o, s:o}", "name", report_json_text(s->name),
        "seed", seed, "datacenters", datacenters(s, UINT32_MAX), "coordinators", s->coordinators,
        "participants_each", s->participants, "duration_us", (json_int_t)s->duration_ms * 1000,
        "calm_us", (json_int_t)s->calm_ms * 1000, "in_doubt_us", (json_int_t)s->in_doubt_ms * 1000,
        "loads", loads, "bare_rtt_us", rtt);
}

static json_t *judgements_json(const struct result *r)
{
    json_t *out = json_array();
    for (int i = 0; i < r->judgements.n; i++) {
        const struct judgement *j = &r->judgements.judgement[i];
        json_array_append_new(
            out,
            json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}", "name", report_json_text(j->name), "check",
                      report_json_text(j->check), "verdict", report_verdict(j->verdict), "anomaly",
                      report_json_text(j->anomaly), "text", report_json_text(j->text), "history",
                      report_json_text(j->history)));
    }
    return out;
}

static json_t *faults_json(const struct result *r)
{
    json_t *out = json_array();
    for (int i = 0; i < r->faults; i++) {
        const struct fault *f = &r->fault[i];
        json_array_append_new(out,
                              json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
                                        fault_text(f->kind), "text", report_json_text(f->text),
                                        "datacenters", datacenters(r->scenario, f->datacenters),
                                        "begin_us", at(r, f->begin_us), "end_us", at(r, f->end_us),
                                        "next_commit_us", report_json_us(f->next_commit_us),
                                        "no_doubt_us", report_json_us(f->no_doubt_us)));
    }
    return out;
}

/* ---- by phase ---- */

static json_t *counts_json(const struct phase *p)
{
    json_t *status = json_object();
    for (int i = 0; i < PHASE_STATUSES_MAX; i++)
        if (i != ASSENT_OK && p->status[i] > 0)
            json_object_set_new(status, assent_status_name((assent_status)i), number(p->status[i]));
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "attempts", (json_int_t)p->attempts, "commits",
                     (json_int_t)p->commits, "aborts", (json_int_t)p->aborts, "unknown",
                     (json_int_t)p->unknown, "by_status", status);
}

static json_t *phase_json(const struct phases *phases, const struct phase *p)
{
    int64_t added_us;
    json_t *out = counts_json(p);
    json_object_set_new(out, "name", json_string(p->name));
    json_object_set_new(out, "meaning", json_string(p->meaning));
    json_object_set_new(out, "faults", json_integer(p->faults));
    json_object_set_new(out, "time_us", number(p->time_us));
    json_object_set_new(out, "commits_per_s", json_real(phase_throughput(p)));
    json_object_set_new(out, "commit_us", report_json_latency(&p->commit_us));
    json_object_set_new(out, "local_commit_us", report_json_latency(&p->local_us));
    json_object_set_new(out, "bare_rtt_us", report_json_latency(&p->wire_us));
    json_object_set_new(out, "over_rtt_us", report_json_latency(&p->over_us));
    json_object_set_new(out, "times_rtt", ratio_latency(&p->times_wire));
    json_object_set_new(out, "within", number(p->within));
    json_object_set_new(out, "added_us",
                        phases_added_us(phases, p, &added_us) ? json_integer(added_us)
                                                              : json_null());
    json_object_set_new(out, "commit_quantiles_us", quantiles(&p->commit_us));
    json_object_set_new(out, "local_quantiles_us", quantiles(&p->local_us));
    json_object_set_new(out, "bare_rtt_quantiles_us", quantiles(&p->wire_us));
    return out;
}

static json_t *phases_json(const struct phases *p)
{
    json_t *out = json_array();
    for (int i = 0; i < PHASES_MAX; i++)
        if (phase_happened(&p->phase[i]))
            json_array_append_new(out, phase_json(p, &p->phase[i]));
    return out;
}

static json_t *distances_json(const struct result *r, const struct phases *p)
{
    json_t *out = json_array();
    for (int i = 0; i < p->distances; i++) {
        const struct distance *d = &p->distance[i];
        json_array_append_new(out, json_pack("{s:o, s:o, s:I, s:I, s:I, s:I}", "led_from",
                                             datacenter(r->scenario, d->leader_in), "farthest",
                                             datacenter(r->scenario, d->farthest_in), "bare_rtt_us",
                                             (json_int_t)d->wire_us, "commits", (json_int_t)d->n,
                                             "p50_us", (json_int_t)d->p50, "p95_us",
                                             (json_int_t)d->p95));
    }
    return out;
}

/* ---- over time ---- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* One step of time. */
struct row {
    uint64_t commits, aborts, unknown;
    uint32_t *took_us, *local_us; /* room for the latencies of all that ended in it */
    size_t took, local;
};

static json_t *at_percent(uint32_t *us, size_t n, unsigned percent)
{
    return n == 0 ? json_null() : number(us[(n - 1) * percent / 100]);
}

static json_t *row_json(struct row *row, uint64_t at_us, uint64_t lasts_us)
{
    double seconds = (double)lasts_us / 1e6;
    if (row->took > 0)
        qsort(row->took_us, row->took, sizeof *row->took_us, by_value);
    if (row->local > 0)
        qsort(row->local_us, row->local, sizeof *row->local_us, by_value);
    return json_pack(
        "[o, f, f, f, o, o, o, o]", number(at_us), (double)row->commits / seconds,
        (double)row->aborts / seconds, (double)row->unknown / seconds,
        at_percent(row->took_us, row->took, 50), at_percent(row->took_us, row->took, 95),
        at_percent(row->took_us, row->took, 100), at_percent(row->local_us, row->local, 50));
}

static void row_add(struct row *row, const struct result *r, const struct sample *s)
{
    int farthest_in;
    uint64_t us = s->end_us - s->begin_us;
    uint32_t took_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    uint32_t wire_us = phases_wire_us(r, s, &farthest_in);
    if (s->status != ASSENT_OK) {
        row->aborts += !assent_maybe_committed(s->status);
        row->unknown += assent_maybe_committed(s->status);
        return;
    }
    row->commits++;
    if (s->load == LOAD_LOCAL && wire_us == 0)
        row->local_us[row->local++] = took_us;
    else if (s->load != LOAD_LOCAL && wire_us > 0)
        row->took_us[row->took++] = took_us;
}

/* By when attempts ended. A short rest at the end is left out: rates of it mean nothing. */
static json_t *series_json(const struct result *r, const struct phases *p)
{
    size_t n, i = 0;
    const struct sample *sample = samples_all(r->samples, &n);
    uint64_t length_us = p->load_end_us - r->begin_us, step_us = SECOND_US;
    uint32_t *room = xmalloc((2 * n + 1) * sizeof *room);
    json_t *rows = json_array();
    while (length_us / step_us >= ROWS_MAX)
        step_us += SECOND_US;
    for (uint64_t at_us = 0; at_us < length_us; at_us += step_us) {
        uint64_t lasts_us = length_us - at_us < step_us ? length_us - at_us : step_us;
        if (at_us > 0 && lasts_us < step_us / 4)
            break;
        struct row row = {.took_us = room, .local_us = room + n};
        for (; i < n && sample[i].end_us <= r->begin_us + at_us + step_us; i++)
            row_add(&row, r, &sample[i]);
        json_array_append_new(rows, row_json(&row, at_us, lasts_us));
    }
    free(room);
    return json_pack("{s:I, s:[s, s, s, s, s, s, s, s], s:o}", "step_us", (json_int_t)step_us,
                     "columns", "at_us", "commits_per_s", "aborts_per_s", "unknown_per_s", "p50_us",
                     "p95_us", "max_us", "local_p50_us", "rows", rows);
}

/* Of several looks in one row those with the most in doubt count. */
static json_t *in_doubt_json(const struct result *r)
{
    size_t n;
    const struct doubt *doubt = samples_doubts(r->samples, &n);
    size_t each = n / DOUBT_ROWS_MAX + 1;
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i += each) {
        int in_doubt = 0, answering = doubt[i].answering;
        uint32_t oldest_ms = 0;
        for (size_t k = i; k < n && k < i + each; k++) {
            if (doubt[k].in_doubt > in_doubt)
                in_doubt = doubt[k].in_doubt;
            if (doubt[k].answering < answering)
                answering = doubt[k].answering;
            for (int dc = 0; dc < r->scenario->datacenters; dc++)
                if (doubt[k].oldest_ms[dc] > oldest_ms)
                    oldest_ms = doubt[k].oldest_ms[dc];
        }
        json_array_append_new(rows, json_pack("[o, i, i, I]", at(r, doubt[i].at_us), in_doubt,
                                              answering, (json_int_t)oldest_ms * 1000));
    }
    return json_pack("{s:[s, s, s, s], s:o}", "columns", "at_us", "in_doubt", "answering",
                     "oldest_us", "rows", rows);
}

/* ---- the slowest ---- */

static json_t *parts_json(const struct sample *s)
{
    json_t *out = json_array();
    for (int i = 0; i < s->parts; i++)
        json_array_append_new(out, json_pack("{s:o, s:I, s:I, s:I}", "participant",
                                             report_json_text(s->part[i].participant), "network_us",
                                             (json_int_t)s->part[i].network_us, "lock_wait_us",
                                             (json_int_t)s->part[i].lock_wait_us, "sync_us",
                                             (json_int_t)s->part[i].sync_us));
    return out;
}

static json_t *phase_names(const struct phases *p, uint32_t mask)
{
    json_t *out = json_array();
    for (int i = 0; i < PHASES_MAX; i++)
        if ((mask & (1u << i)) != 0)
            json_array_append_new(out, json_string(p->phase[i].name));
    return out;
}

static json_t *slow_json(const struct result *r, const struct phases *p, const struct sample *s)
{
    char txid[ASSENT_TXID_TEXT];
    int farthest_in;
    uint32_t wire_us = phases_wire_us(r, s, &farthest_in);
    json_t *out = json_pack("{s:s, s:o, s:I, s:s, s:o, s:o, s:o, s:I, s:b}", "txid",
                            assent_txid_text(&s->txid, txid), "begin_us", at(r, s->begin_us),
                            "commit_us", (json_int_t)(s->end_us - s->begin_us), "load",
                            load_text(s->load), "client_in", datacenter(r->scenario, s->datacenter),
                            "participants_in", datacenters(r->scenario, s->participants_in),
                            "phases", phase_names(p, phases_mask(r, s->begin_us, s->end_us)),
                            "bare_rtt_us", (json_int_t)wire_us, "has_breakdown", s->has_info);
    if (s->has_info) {
        json_object_set_new(out, "leader_in", datacenter(r->scenario, s->leader_in));
        json_object_set_new(out, "leader_us", number(s->leader_us));
        json_object_set_new(out, "quorum_us", number(s->quorum_us));
        json_object_set_new(out, "parts", parts_json(s));
    }
    return out;
}

static json_t *slowest_json(const struct result *r, const struct phases *p)
{
    size_t n, kept = 0;
    const struct sample *sample = samples_all(r->samples, &n), *slow[SLOWEST_MAX + 1];
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        if (sample[i].status != ASSENT_OK)
            continue;
        size_t k = kept;
        for (; k > 0 &&
               slow[k - 1]->end_us - slow[k - 1]->begin_us < sample[i].end_us - sample[i].begin_us;
             k--)
            slow[k] = slow[k - 1];
        slow[k] = &sample[i];
        kept += kept < SLOWEST_MAX;
    }
    for (size_t i = 0; i < kept; i++)
        json_array_append_new(out, slow_json(r, p, slow[i]));
    return out;
}

/* ---- files ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static const char *below(const char *path, const char *dir)
{
    path += strlen(dir);
    return path + strspn(path, "/");
}

/* Histories and logs below the directory of the run, relative to it. */
static void list_files(const struct result *r, json_t *histories, json_t *logs)
{
    char *roots[] = {xstrdup(r->dir), NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    const FTSENT *e;
    while (tree != NULL && (e = fts_read(tree)) != NULL) {
        json_t *list = ends_in(e->fts_name, ".edn")   ? histories
                       : ends_in(e->fts_name, ".log") ? logs
                                                      : NULL;
        if (e->fts_info == FTS_F && list != NULL && json_array_size(list) < FILES_MAX)
            json_array_append_new(list, report_json_text(below(e->fts_path, r->dir)));
    }
    if (tree != NULL)
        fts_close(tree);
    free(roots[0]);
}

/* ---- all of it ---- */

json_t *report_json(const struct result *r)
{
    struct phases *p = phases_of(r);
    json_t *histories = json_array(), *logs = json_array();
    if (r->dir[0] != '\0')
        list_files(r, histories, logs);
    json_t *out = json_pack(
        "{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "assent",
        assent_library_version(), "verdict", report_verdict(judgements_verdict(&r->judgements)),
        "exit_status", result_exit_status(r), "command", report_json_text(r->command), "scenario",
        scenario_json(r), "faults_us", at(r, r->faults_us), "heal_us", at(r, r->heal_us),
        "settled_us", at(r, r->settled_us), "end_us", at(r, r->end_us), "totals",
        counts_json(&p->all), "left_out", (json_int_t)samples_left_out(r->samples));
    json_object_set_new(out, "interrupted", json_boolean(r->interrupted));
    json_object_set_new(out, "judgements", judgements_json(r));
    json_object_set_new(out, "faults", faults_json(r));
    json_object_set_new(out, "phases", phases_json(p));
    json_object_set_new(out, "distances", distances_json(r, p));
    json_object_set_new(out, "series", series_json(r, p));
    json_object_set_new(out, "in_doubt", in_doubt_json(r));
    json_object_set_new(out, "slowest", slowest_json(r, p));
    json_object_set_new(out, "histories", histories);
    json_object_set_new(out, "logs", logs);
    free(p);
    return out;
}

bool report_json_write(json_t *json, const char *path)
{
    FILE *out = fopen(path, "w");
    bool good = out != NULL &&
                json_dumpf(json, out, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0 &&
                fputc('\n', out) != EOF;
    if (out != NULL && fclose(out) != 0)
        good = false;
    if (!good)
        fprintf(stderr, "chaos: %s: %s: the report is not written\n", path, strerror(errno));
    json_decref(json);
    return good;
}

bool report_write_json(const struct result *r, const char *path)
{
    return report_json_write(report_json(r), path);
}
