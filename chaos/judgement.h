/* The verdicts of a chaos run: one for each check. */
#ifndef CHAOS_JUDGEMENT_H
#define CHAOS_JUDGEMENT_H

#include "chaos/check_finding.h"

#define JUDGEMENTS_MAX                                                                             \
    240 /* up to twelve of each load (scenario.h), and those of the whole run                      \
         */

struct judgement {
    char check[128]; /* "bank: money is neither made nor lost" */
    char name[32];   /* "bank-money": for --plant and for machines */
    enum verdict verdict;
    char anomaly[32]; /* "" or of anomaly_name() */
    char text[FINDING_TEXT_BYTES];
    char history[64]; /* file name of the history that it judged, or "" */
};

struct judgements {
    int n;
    struct judgement judgement[JUDGEMENTS_MAX];
};

/* A new one at the end, zeroed but for its names. Aborts if there are too many. */
struct judgement *judgements_add(struct judgements *j, const char *name, const char *check);
/* FAILED if any failed, else UNJUDGED if any is or there is none, else HELD. */
enum verdict judgements_verdict(const struct judgements *j);

#endif
