/* A set of timers ordered by time. The owner embeds a `struct timer` in its object and finds the
 * object again by container arithmetic or `owner`. No clock: time is whatever the caller says. */
#ifndef COMMON_TIMERS_H
#define COMMON_TIMERS_H

#include "common/tree.h"
#include <stdbool.h>
#include <stdint.h>

#define TIMERS_NEVER UINT64_MAX

struct timer {
    RB_ENTRY(timer) link;
    uint64_t at_us;
    uint64_t seq; /* equal times fire in the order in which they were set */
    bool set;
    int kind;
    void *owner;
};

RB_HEAD(timer_tree, timer);

struct timers {
    struct timer_tree tree;
    uint64_t seq;
};

void timers_init(struct timers *t);
/* Sets or moves a timer. */
void timer_set(struct timers *t, struct timer *timer, uint64_t at_us);
/* Fine for a timer that is not set. */
void timer_clear(struct timers *t, struct timer *timer);
/* The earliest time, or TIMERS_NEVER. */
uint64_t timers_next(const struct timers *t);
/* Takes out the earliest timer that is due at now_us, or NULL. */
struct timer *timers_pop(struct timers *t, uint64_t now_us);

#endif
