#include "common/timers.h"

#include <stddef.h>

static int timer_compare(const struct timer *a, const struct timer *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us ? -1 : 1;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

RB_STATIC(timer_tree, timer, link, timer_compare)

void timers_init(struct timers *t)
{
    RB_INIT(&t->tree);
    t->seq = 0;
}

void timer_set(struct timers *t, struct timer *timer, uint64_t at_us)
{
    timer_clear(t, timer);
    timer->at_us = at_us;
    timer->seq = ++t->seq;
    timer->set = true;
    RB_INSERT(timer_tree, &t->tree, timer);
}

void timer_clear(struct timers *t, struct timer *timer)
{
    if (timer->set)
        RB_REMOVE(timer_tree, &t->tree, timer);
    timer->set = false;
}

uint64_t timers_next(const struct timers *t)
{
    struct timer *first = RB_MIN(timer_tree, (struct timer_tree *)(uintptr_t)&t->tree);
    return first == NULL ? TIMERS_NEVER : first->at_us;
}

struct timer *timers_pop(struct timers *t, uint64_t now_us)
{
    struct timer *first = RB_MIN(timer_tree, &t->tree);
    if (first == NULL || first->at_us > now_us)
        return NULL;
    timer_clear(t, first);
    return first;
}
