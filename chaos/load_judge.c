/* The checkers over the histories of all loads. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/check_reads_fresh.h"
#include "chaos/check_timestamps.h"
#include "chaos/load_work.h"

/* Both parts together fit a judgement's name. */
#define NAME_FORMAT "%.11s-%.19s"

enum verdict load_check_timestamps(const struct load *l, struct finding *out)
{
    return check_timestamps(l->history, out);
}

enum verdict load_check_fresh(const struct load *l, struct finding *out)
{
    return check_reads_fresh(l->history, out);
}

static bool plant(struct plant *p, const struct load *l, const struct load_check *check)
{
    if (check->plant == PLANT_LOOK)
        return plant_look(p, l->history, l->looks, l->looks_n);
    if (check->plant >= PLANT_LEVEL)
        return plant_level(p, l->history, (enum level_check)(check->plant - PLANT_LEVEL));
    return plant_history(p, l->history, check->plant);
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
    if (plants && !plant(&p, l, check))
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

bool loads_can_plant(const struct scenario *s, const char *name, char *why, size_t why_size)
{
    char load[32], own[64];
    int len = snprintf(why, why_size, "atomicity");
    bool found = strcmp(name, "atomicity") == 0; /* that falsifies its own answers */
    for (int i = 0; i < s->loads; i++) {
        load_name(s, i, load);
        const struct load_check *check = load_work_of(s->load[i].kind)->checks;
        for (; check->name != NULL; check++) {
            snprintf(own, sizeof own, NAME_FORMAT, load, check->name);
            found = found || strcmp(own, name) == 0;
            if (len >= 0 && (size_t)len < why_size)
                len += snprintf(why + len, why_size - (size_t)len, ", %s", own);
        }
    }
    return found;
}

void loads_judge(struct loads *all, struct judgements *out, const char *planted)
{
    for (int i = 0; i < all->n; i++) {
        const struct load *l = &all->load[i];
        history_end(l->history, (int64_t)chaos_now_us() * 1000);
        for (const struct load_check *check = l->work->checks; check->name != NULL; check++)
            judge(l, check, out, planted);
    }
}
