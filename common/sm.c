#include "common/sm.h"

#include <stdio.h>
#include <stdlib.h>

const char *sm_name(const struct sm_table *table, int state)
{
    return state >= 0 && state < table->n ? table->state[state].name : "?";
}

void sm_move(const struct sm_table *table, int *state, int to)
{
    if (*state < 0 || *state >= table->n || (table->state[*state].next & SM_TO(to)) == 0) {
        fprintf(stderr, "assent: broken invariant: %s may not go from %s to %s\n", table->name,
                sm_name(table, *state), sm_name(table, to));
        abort();
    }
    *state = to;
}
