/* The checkers over the histories of all loads. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/check_reads_fresh.h"
#include "chaos/check_timestamps.h"
#include "chaos/load_work.h"

#define NAME_FORMAT "%.15s-%.15s"

enum verdict load_check_timestamps(const struct load *l, struct finding *out)
{
    return check_timestamps(l->history, out);
}

enum verdict load_check_fresh(const struct load *l, struct finding *out)
{
    return check_reads_fresh(l->history, out);
}

static bool plant(struct plant *p, const struct load *l, enum plant_kind kind)
{
    if (kind == PLANT_LOOK)
        return plant_look(p, l->history, l->looks, l->looks_n);
    return plant_history(p, l->history, kind);
}

static void judge(const struct load *l, const struct load_check *check, struct judgements *out,
                  const char *planted)
{
    struct finding *f = xcalloc(1, sizeof *f);
    struct plant p = {0};
    char name[sizeof out->judgement[0].name], says[sizeof out->judgement[0].check];
    snprintf(name, sizeof name, NAME_FORMAT, l->name, check->name);
    snprintf(says, sizeof says, "%s: %s", l->name, check->says);
    struct judgement *j = judgements_add(out, name, says);
    bool plants = planted != NULL && strcmp(planted, name) == 0;
    if (plants && !plant(&p, l, check->plant))
        finding_unjudged(f, "nothing in this history could be falsified: make the run longer");
    else
        check->check(l, f);
    plant_undo(&p);
    j->verdict = f->verdict;
    if (f->anomaly != ANOMALY_NONE)
        snprintf(j->anomaly, sizeof j->anomaly, "%s", anomaly_name(f->anomaly));
    snprintf(j->text, sizeof j->text, "%s%.4000s", plants ? "planted: " : "", f->text);
    snprintf(j->history, sizeof j->history, "%s.edn", l->name);
    free(f);
}

static bool has_plant(const struct loads *all, const char *name)
{
    char own[64];
    for (int i = 0; i < all->n; i++) {
        const struct load_check *check = all->load[i].work->checks;
        for (; check->name != NULL; check++) {
            snprintf(own, sizeof own, NAME_FORMAT, all->load[i].name, check->name);
            if (strcmp(own, name) == 0)
                return true;
        }
    }
    return strcmp(name, "atomicity") == 0; /* that falsifies its own answers */
}

/* A plant that nobody sows would look as if it had not been found. */
static void refuse_plant(const struct loads *all, struct judgements *out, const char *planted)
{
    struct judgement *j = judgements_add(out, "plant", "what --plant names can be falsified");
    size_t len = (size_t)snprintf(j->text, sizeof j->text,
                                  "%.64s cannot; in this run there are atomicity", planted);
    for (int i = 0; i + 1 < out->n && len < sizeof j->text; i++)
        if (has_plant(all, out->judgement[i].name) &&
            strcmp(out->judgement[i].name, "atomicity") != 0)
            len += (size_t)snprintf(j->text + len, sizeof j->text - len, ", %s",
                                    out->judgement[i].name);
}

void loads_judge(struct loads *all, struct judgements *out, const char *planted)
{
    for (int i = 0; i < all->n; i++) {
        const struct load *l = &all->load[i];
        history_end(l->history, (int64_t)chaos_now_us() * 1000);
        for (const struct load_check *check = l->work->checks; check->name != NULL; check++)
            judge(l, check, out, planted);
    }
    if (planted != NULL && !has_plant(all, planted))
        refuse_plant(all, out, planted);
}
