/* `assent-chaos compare`: the same scenario and seed under each technique, one after the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chaos/compare_table.h"
#include "chaos/report.h"
#include "chaos/run_args.h"

/* A technique is a way to run the same scenario. */
static const struct technique {
    const char *name;
    int coordinators;
} techniques[] = {
    {"two-phase-commit", 1},
    {"paxos-commit", 3},
};

#define TECHNIQUES ((int)(sizeof techniques / sizeof techniques[0]))

static bool run_technique(const struct technique *t, const struct run_args *args,
                          struct scenario *scenario, struct result *out)
{
    char dir[4096], path[4200];
    struct run_options options = args->options;
    snprintf(dir, sizeof dir, "%.3000s/%s", args->options.dir, t->name);
    options.dir = dir;
    scenario->coordinators = t->coordinators;
    fprintf(stderr, "== %s: %d coordinator%s\n", t->name, t->coordinators,
            t->coordinators == 1 ? "" : "s");
    if (!run_scenario(scenario, &options, out))
        return false;
    run_args_command(args, "compare", scenario, out->command, sizeof out->command);
    report_print(out, stdout);
    snprintf(path, sizeof path, "%s/report.json", dir);
    report_write_json(out, path);
    snprintf(path, sizeof path, "%s/report.html", dir);
    if (report_write_html(out, path))
        printf("The report: %s\n\n", path);
    return true;
}

static int compare(const struct run_args *args, const struct scenario *base)
{
    static struct scenario scenario[TECHNIQUES];
    static struct result result[TECHNIQUES];
    const struct result *done[TECHNIQUES];
    char path[4200];
    int n = 0, worst = 0;
    for (; n < TECHNIQUES; n++) {
        scenario[n] = *base;
        if (!run_technique(&techniques[n], args, &scenario[n], &result[n]))
            break;
        done[n] = &result[n];
        int status = result_exit_status(&result[n]);
        if (status == 1 || worst == 0)
            worst = status;
        if (result[n].interrupted) {
            fprintf(stderr, "assent-chaos: interrupted: there is nothing to compare\n");
            break;
        }
    }
    if (n == TECHNIQUES) {
        snprintf(path, sizeof path, "%s/compare.json", args->options.dir);
        compare_print(done, n, stdout);
        compare_write_json(done, n, path);
    }
    for (int i = 0; i < TECHNIQUES; i++)
        result_free(&result[i]);
    return n < TECHNIQUES && worst != 1 ? 2 : worst;
}

int compare_main(int argc, char **argv)
{
    static struct scenario scenario;
    struct run_args args = {.file = "outage"};
    char dir[256];
    run_args_parse(
        &args,
        "Runs a scenario, by default the outage of the leaders' datacenter, under each "
        "technique and prints them side by side: two-phase commit (one coordinator) and "
        "Paxos Commit (three).\vExit status: 0 everything held in both, 1 a check failed, "
        "2 it could not be judged, 64 wrong usage.",
        argc, argv);
    int rc = run_args_scenario(&args, &scenario);
    if (rc != 0)
        return rc;
    if (args.options.dir == NULL) {
        snprintf(dir, sizeof dir, "chaos-compare-%.100s-%llu", scenario.name,
                 (unsigned long long)scenario.seed);
        args.options.dir = dir;
    }
    if (mkdir(args.options.dir, 0777) != 0) {
        fprintf(stderr, "assent-chaos: %s: %s: choose another directory with --dir\n",
                args.options.dir, strerror(errno));
        return 2;
    }
    return compare(&args, &scenario);
}
