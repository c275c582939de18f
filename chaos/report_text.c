#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/phases.h"
#include "chaos/report.h"

#define WIDTH    100 /* of a line of running text */
#define TIME_MAX 24

static const char *const verdict_word[] = {
    [VERDICT_HELD] = "held", [VERDICT_FAILED] = "FAILED", [VERDICT_UNJUDGED] = "unjudged"};

/* "0.4 s", "82.1 ms"; FAULT_NEVER: "never". */
static const char *time_text(uint64_t us, char out[TIME_MAX])
{
    if (us == FAULT_NEVER)
        snprintf(out, TIME_MAX, "never");
    else if (us >= 1000000)
        snprintf(out, TIME_MAX, "%.1f s", (double)us / 1e6);
    else
        snprintf(out, TIME_MAX, "%.1f ms", (double)us / 1e3);
    return out;
}

/* Of a latency: "-" where there was nothing to measure. */
static const char *latency_text(const struct latency *l, uint32_t us, char out[TIME_MAX])
{
    if (l->n == 0)
        snprintf(out, TIME_MAX, "-");
    else
        time_text(us, out);
    return out;
}

/* Running text, broken at spaces; every line begins with so many spaces. */
static void wrapped(FILE *out, const char *text, int indent)
{
    while (*text != '\0') {
        size_t line = strcspn(text, "\n"), room = (size_t)(WIDTH - indent), take = line;
        if (line > room) {
            take = room;
            while (take > 0 && text[take] != ' ')
                take--;
            if (take == 0)
                take = line;
        }
        fprintf(out, "%*s%.*s\n", indent, "", (int)take, text);
        text += take;
        while (*text == ' ' || *text == '\n')
            text++;
    }
}

/* ---- parts ---- */

static void print_head(const struct result *r, FILE *out)
{
    const struct scenario *s = r->scenario;
    static const char *const sentence[] = {
        [VERDICT_HELD] = "HELD: everything that was checked holds",
        [VERDICT_FAILED] = "FAILED: something that was promised does not hold",
        [VERDICT_UNJUDGED] =
            "NOT JUDGED: nothing is known to be wrong, but not all could be judged",
    };
    fprintf(out, "\n%s\n", sentence[judgements_verdict(&r->judgements)]);
    fprintf(out, "scenario %s, seed %" PRIu64 ": %d datacenters, %d coordinator%s, %d fault%s\n",
            s->name, s->seed, s->datacenters, s->coordinators, s->coordinators == 1 ? "" : "s",
            r->faults, r->faults == 1 ? "" : "s");
    if (r->interrupted)
        fprintf(out, "Interrupted by a signal: the verdict is about what was done until then.\n");
}

static void print_judgements(const struct result *r, FILE *out)
{
    fprintf(out, "\nChecks\n");
    for (int i = 0; i < r->judgements.n; i++) {
        const struct judgement *j = &r->judgements.judgement[i];
        fprintf(out, "  %-8s  %s\n", verdict_word[j->verdict], j->check);
        if (j->verdict == VERDICT_FAILED && j->anomaly[0] != '\0')
            fprintf(out, "%12s%s%s%s\n", "", j->anomaly, j->history[0] == '\0' ? "" : ", in ",
                    j->history);
        wrapped(out, j->text, 12);
    }
}

static void print_phase(const struct phases *phases, const struct phase *p, FILE *out)
{
    char time[TIME_MAX], p50[TIME_MAX], p95[TIME_MAX], p99[TIME_MAX], max[TIME_MAX];
    char added[TIME_MAX] = "-", times[TIME_MAX] = "-", per_second[TIME_MAX] = "-";
    int64_t added_us;
    if (phases_added_us(phases, p, &added_us))
        snprintf(added, sizeof added, "%+.1f ms", (double)added_us / 1e3);
    if (p->times_wire.n > 0)
        snprintf(times, sizeof times, "%.2f", p->times_wire.p50 / 1e3);
    if (phase_throughput(p) > 0)
        snprintf(per_second, sizeof per_second, "%.0f", phase_throughput(p));
    fprintf(out,
            "  %-16s %8s %8" PRIu64 " %7" PRIu64 " %7" PRIu64 " %6s  %9s %9s %9s %9s %10s %6s\n",
            p->name, time_text(p->time_us, time), p->commits, p->aborts, p->unknown, per_second,
            latency_text(&p->commit_us, p->commit_us.p50, p50),
            latency_text(&p->commit_us, p->commit_us.p95, p95),
            latency_text(&p->commit_us, p->commit_us.p99, p99),
            latency_text(&p->commit_us, p->commit_us.max, max), added, times);
}

static void print_floors(const struct phases *p, FILE *out)
{
    const struct phase *calm = &p->phase[PHASE_IS_CALM];
    char local[TIME_MAX], wire[TIME_MAX];
    if (calm->local_us.n > 0)
        fprintf(out,
                "  added = p50 less that of a commit within one datacenter, in calm: %s (%" PRIu64
                " commits)\n",
                time_text(calm->local_us.p50, local), calm->local_us.n);
    else
        fprintf(out, "  added: not known, for want of commits of a load `local` in calm\n");
    if (calm->commit_us.n > 0)
        fprintf(
            out,
            "  / RTT = p50 of each commit by the bare round trip it had to wait for, in calm %s; "
            "there %.1f %% took\n  at most 1.05 of it and 5 ms\n",
            time_text(calm->wire_us.p50, wire),
            100.0 * (double)calm->within / (double)calm->commit_us.n);
}

static void print_statuses(const struct phases *p, FILE *out)
{
    const char *before = "  not committed: ";
    for (int i = 1; i < PHASE_STATUSES_MAX; i++) {
        if (p->all.status[i] == 0)
            continue;
        fprintf(out, "%s%" PRIu64 " %s", before, p->all.status[i],
                assent_status_name((assent_status)i));
        before = ", ";
    }
    if (*before == ',')
        fprintf(out, "\n");
}

static void print_phases(const struct phases *p, FILE *out)
{
    fprintf(out, "\nAttempts to commit, and latency of the commits that cross datacenters\n");
    fprintf(out, "  %-16s %8s %8s %7s %7s %6s  %9s %9s %9s %9s %10s %6s\n", "phase", "time",
            "commits", "aborts", "unknown", "per s", "p50", "p95", "p99", "max", "added", "/ RTT");
    for (int i = 0; i < PHASES_MAX; i++)
        if (phase_happened(&p->phase[i]))
            print_phase(p, &p->phase[i], out);
    print_floors(p, out);
    print_statuses(p, out);
}

static void print_distances(const struct result *r, const struct phases *p, FILE *out)
{
    if (p->distances == 0)
        return;
    fprintf(out, "\nIn calm, by distance\n  %-16s %-16s %10s %8s %9s %6s %9s\n", "led from",
            "farthest", "round trip", "commits", "p50", "/ RTT", "p95");
    for (int i = 0; i < p->distances; i++) {
        const struct distance *d = &p->distance[i];
        char wire[TIME_MAX], p50[TIME_MAX], p95[TIME_MAX];
        fprintf(out, "  %-16s %-16s %10s %8" PRIu64 " %9s %6.2f %9s\n",
                r->scenario->datacenter[d->leader_in], r->scenario->datacenter[d->farthest_in],
                time_text(d->wire_us, wire), d->n, time_text(d->p50, p50),
                (double)d->p50 / d->wire_us, time_text(d->p95, p95));
    }
}

static void print_faults(const struct result *r, FILE *out)
{
    if (r->faults == 0)
        return;
    fprintf(out, "\nTime to unblock, from the beginning of the fault\n");
    fprintf(out, "  %8s %8s  %11s %11s  %s\n", "at", "for", "next commit", "no doubt", "fault");
    for (int i = 0; i < r->faults; i++) {
        const struct fault *f = &r->fault[i];
        char at[TIME_MAX], lasted[TIME_MAX], next[TIME_MAX], doubt[TIME_MAX];
        snprintf(at, sizeof at, "%.1f s", (double)(f->begin_us - r->begin_us) / 1e6);
        if (f->end_us == FAULT_NEVER)
            snprintf(lasted, sizeof lasted, "good");
        else
            time_text(f->end_us - f->begin_us, lasted);
        fprintf(out, "  %8s %8s  %11s %11s  %s\n", at, lasted, time_text(f->next_commit_us, next),
                time_text(f->no_doubt_us, doubt), f->text);
    }
}

void report_print(const struct result *r, FILE *out)
{
    struct phases *p = phases_of(r);
    char took[TIME_MAX];
    print_head(r, out);
    print_judgements(r, out);
    print_phases(p, out);
    print_distances(r, p, out);
    print_faults(r, out);
    if (r->settled_us == FAULT_NEVER)
        fprintf(out, "\nThe cluster never settled: something stayed in doubt.\n");
    else if (r->settled_us > r->heal_us)
        fprintf(out, "\nNothing was left in doubt %s after the last fault had ended.\n",
                time_text(r->settled_us - r->heal_us, took));
    if (samples_left_out(r->samples) > 0)
        fprintf(out, "%zu attempts came after the bound of %u and are not measured.\n",
                samples_left_out(r->samples), SAMPLES_MAX);
    fprintf(out, "\nHistories, logs and report.html are in %s\nThe same run again: %s\n", r->dir,
            r->command);
    free(p);
}
