/* State-machine tables: states with names and allowed next states. Every change of state goes
 * through sm_move(), which stops the process on a move that the table does not allow. */
#ifndef COMMON_SM_H
#define COMMON_SM_H

#include <stdint.h>

struct sm_state {
    const char *name;
    uint32_t next; /* bit mask of the states that may follow */
};

struct sm_table {
    const char *name;
    int n;
    const struct sm_state *state;
};

#define SM_TO(state) (UINT32_C(1) << (state))

/* Moves *state to `to`; aborts the process, in release builds too, if the table forbids it. */
void sm_move(const struct sm_table *table, int *state, int to);
const char *sm_name(const struct sm_table *table, int state);

#endif
