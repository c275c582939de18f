/* Ranges of keys: all with a prefix, and cut where the placement changes. An empty end is no end.
 */
#ifndef CLIENT_COMMAND_RANGE_H
#define CLIENT_COMMAND_RANGE_H

#include "runtime/cluster.h"

/* Whether key is before end. */
bool command_range_has(struct bytes key, struct bytes end);
/* Replaces out by the first key after all that begin with the prefix; empty if there is none. */
void command_range_after(struct bytes prefix, struct writer *out);
/* Replaces out by the end of the longest range from key, not past end, in which no placement's
 * prefix begins or ends: all of it has one placement, or none. */
void command_range_placed(const struct cluster *cluster, struct bytes key, struct bytes end,
                          struct writer *out);

#endif
