#include "chaos/run_judge.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/atomicity.h"
#include "chaos/doubt.h"
#include "common/bytes.h"

static void judge_answers(const struct run_end *end, const char *planted, struct judgements *out)
{
    size_t n;
    const struct told *told = loads_told(end->loads, &n);
    atomicity_judge(end->site, told, n, planted, out);
    loads_judge(end->loads, out, planted);
}

static const struct judgement *find(const struct judgements *j, const char *name)
{
    for (int i = 0; i < j->n; i++)
        if (strcmp(j->judgement[i].name, name) == 0)
            return &j->judgement[i];
    return NULL;
}

/* Of a check that can judge falsified answers: whether it finds the fault. */
static void judge_check(const struct run_end *end, const struct judgement *check,
                        struct judgements *out)
{
    struct judgements *again = xcalloc(1, sizeof *again);
    judge_answers(end, check->name, again);
    const struct judgement *planted = find(again, check->name);
    if (planted != NULL) {
        char says[sizeof check->check];
        snprintf(says, sizeof says, "planted: %.50s", check->name);
        struct judgement *j = judgements_add(out, check->name, says);
        j->verdict = planted->verdict == VERDICT_UNJUDGED ? VERDICT_UNJUDGED
                     : planted->verdict == VERDICT_FAILED ? VERDICT_HELD
                                                          : VERDICT_FAILED;
        snprintf(j->text, sizeof j->text, "%s: %.3900s",
                 planted->verdict == VERDICT_FAILED ? "found, as it must be" : "NOT FOUND",
                 planted->text);
    }
    free(again);
}

static void judge_checks(const struct run_end *end, struct judgements *out)
{
    struct judgements *checks = xcalloc(1, sizeof *checks);
    judge_answers(end, NULL, checks);
    char why[4096];
    for (int i = 0; i < checks->n; i++)
        if (loads_can_plant(end->site->scenario, checks->judgement[i].name, why, sizeof why))
            judge_check(end, &checks->judgement[i], out);
    free(checks);
}

void run_judge(struct result *r, const struct run_end *end, const char *planted)
{
    if (planted != NULL && strcmp(planted, RUN_PLANT_ALL) == 0) {
        judge_checks(end, &r->judgements);
        return;
    }
    struct judgement *j = judgements_add(&r->judgements, "stopped",
                                         "every node stops cleanly, with nothing left to do");
    j->verdict = end->stopped ? VERDICT_HELD : VERDICT_FAILED;
    snprintf(j->text, sizeof j->text, "%s",
             end->stopped ? "all nodes ended by themselves after SIGTERM"
                          : "a node had to be killed or ended with an error: see its log");
    doubt_judge(r, end->all_read);
    judge_answers(end, planted, &r->judgements);
}
