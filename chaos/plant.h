/* Falsifies a recorded history in one place, so that a checker is seen to find it, and puts it back
 * afterwards. */
#ifndef CHAOS_PLANT_H
#define CHAOS_PLANT_H

#include "chaos/check_levels.h"
#include "chaos/check_parts.h"

enum plant_kind {
    PLANT_READ,      /* a read misses what had been acknowledged before it began */
    PLANT_TIMESTAMP, /* a read's commit timestamp lies before all that it saw */
    PLANT_LOOK,      /* one part of a group with an older version */
    PLANT_ACCOUNTS,  /* a snapshot of accounts that lacks one */
    PLANT_LEVEL,     /* and behind it: plant_level(), by enum level_check */
};

struct plant {
    struct operation *op;
    struct operation op_before;
    struct micro *micro;
    struct micro micro_before;
    int64_t *values;
    struct parts_look *look;
    struct parts_look look_before;
};

/* False if the history has nothing that could be falsified so. */
bool plant_history(struct plant *p, struct history *h, enum plant_kind kind);
bool plant_look(struct plant *p, const struct history *h, struct parts_look *looks, size_t n);
/* Breaks the one promise that the check is about. */
bool plant_level(struct plant *p, struct history *h, enum level_check check);
void plant_undo(struct plant *p);

#endif
