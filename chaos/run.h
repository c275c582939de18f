/* A chaos run from beginning to end: the cluster, its load, the faults, the verdict. */
#ifndef CHAOS_RUN_H
#define CHAOS_RUN_H

#include "chaos/result.h"

struct run_options {
    const char *dir;   /* for the cluster, histories and reports; must not exist */
    const char *plant; /* NULL: none; else the judgement that must find a planted fault */
    bool keep;         /* leaves the cluster up until a signal */
    bool quiet;        /* no progress */
};

/* Runs the scenario, which must outlive *out, and fills *out for result_free(). False after saying
 * on stderr why it could not: a run without a result. A signal (SIGINT, SIGTERM) ends it early with
 * what there is. */
bool run_scenario(const struct scenario *scenario, const struct run_options *options,
                  struct result *out);
void result_free(struct result *r);

/* `assent-chaos run` and `compare`: argv[0] is the command's name. The process's exit status. */
int run_main(int argc, char **argv);
int compare_main(int argc, char **argv);

#endif
