/* Whether a scenario can be run: what its parts mean to each other, wherever they came from. */
#ifndef CHAOS_SCENARIO_CHECK_H
#define CHAOS_SCENARIO_CHECK_H

#include "chaos/scenario.h"
#include "chaos/scenario_schema.h"

/* What is wrong, and where. */
struct complaint {
    enum scenario_key key;
    int index; /* of an entry of a list, or -1 */
    char what[400];
};

/* Fills *c, and is false. */
__attribute__((format(printf, 4, 5))) bool complain(struct complaint *c, enum scenario_key key,
                                                    int index, const char *format, ...);
/* The first thing that is wrong with its nodes, before anything else has been read. */
bool scenario_nodes_sound(const struct scenario *s, struct complaint *c);
/* The first thing that is wrong with the whole; true: nothing is. */
bool scenario_sound(const struct scenario *s, struct complaint *c);
/* The kinds of faults that a cluster of so many datacenters can have by chance: a mask. */
uint32_t scenario_mixable(int datacenters);

#endif
