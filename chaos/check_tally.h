/* The bounds of a sum to which adds under way may or may not have been applied: for every read it
 * lies between what had certainly been added when the read began, with all the decreases that had
 * begun when it ended, and the same with all the increases. */
#ifndef CHAOS_CHECK_TALLY_H
#define CHAOS_CHECK_TALLY_H

#include <stdint.h>

struct tally {
    int64_t certain;                  /* acknowledged */
    int64_t certain_up, certain_down; /* the same, increases and decreases apart */
    int64_t begun_up, begun_down;     /* begun and not known to have failed, those included */
};

static inline void tally_began(struct tally *t, int64_t delta)
{
    t->begun_up += delta > 0 ? delta : 0;
    t->begun_down += delta < 0 ? delta : 0;
}

static inline void tally_ended(struct tally *t, int64_t delta)
{
    t->certain += delta;
    t->certain_up += delta > 0 ? delta : 0;
    t->certain_down += delta < 0 ? delta : 0;
}

/* Of a read that saw `then` when it began and `now` when it ended. */
static inline int64_t tally_least(const struct tally *then, const struct tally *now)
{
    return then->certain + now->begun_down - then->certain_down;
}

static inline int64_t tally_most(const struct tally *then, const struct tally *now)
{
    return then->certain + now->begun_up - then->certain_up;
}

#endif
