/* The command line that `assent-chaos run` and `compare` have in common. */
#ifndef CHAOS_RUN_ARGS_H
#define CHAOS_RUN_ARGS_H

#include <stddef.h>

#include "chaos/run.h"

struct run_args {
    const char *file, *rtt_file;
    bool has_seed;
    uint64_t seed;
    uint32_t duration_ms; /* 0: the scenario's */
    int clients;          /* 0: the scenario's */
    struct run_options options;
};

/* Ends the process with status 64 after saying what is wrong; `doc` for --help. A scenario must be
 * named unless out->file is one already. */
void run_args_parse(struct run_args *out, const char *doc, int argc, char **argv);
/* The scenario that they name, changed as they say. 0, or an exit status after saying why. */
int run_args_scenario(struct run_args *a, struct scenario *out);
/* The command, "run" or "compare", that runs the same again. */
void run_args_command(const struct run_args *a, const char *command, const struct scenario *s,
                      char *out, size_t out_size);

#endif
