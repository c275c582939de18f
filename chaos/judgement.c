#include "chaos/judgement.h"

#include <stdio.h>
#include <stdlib.h>

struct judgement *judgements_add(struct judgements *j, const char *name, const char *check)
{
    if (j->n == JUDGEMENTS_MAX) {
        fprintf(stderr, "chaos: more than %d judgements in one run\n", JUDGEMENTS_MAX);
        abort();
    }
    struct judgement *one = &j->judgement[j->n++];
    *one = (struct judgement){.verdict = VERDICT_UNJUDGED};
    snprintf(one->name, sizeof one->name, "%s", name);
    snprintf(one->check, sizeof one->check, "%s", check);
    return one;
}

enum verdict judgements_verdict(const struct judgements *j)
{
    enum verdict verdict = j->n == 0 ? VERDICT_UNJUDGED : VERDICT_HELD;
    for (int i = 0; i < j->n; i++) {
        if (j->judgement[i].verdict == VERDICT_FAILED)
            return VERDICT_FAILED;
        if (j->judgement[i].verdict == VERDICT_UNJUDGED)
            verdict = VERDICT_UNJUDGED;
    }
    return verdict;
}
