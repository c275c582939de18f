/* The verdicts of a run, when it has ended: inside run.c. */
#ifndef CHAOS_RUN_JUDGE_H
#define CHAOS_RUN_JUDGE_H

#include "chaos/load.h"
#include "chaos/run.h"

/* Of --plant: every check that can judge a falsified run does so, and must find it. */
#define RUN_PLANT_ALL "all"

/* What a run was like in the end. */
struct run_end {
    struct site *site;
    struct loads *loads;
    bool stopped;  /* every node by itself */
    bool all_read; /* every key, and every outcome was learned */
};

/* Appends to r->judgements. */
void run_judge(struct result *r, const struct run_end *end, const char *planted);

#endif
