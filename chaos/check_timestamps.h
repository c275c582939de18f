/* Commit timestamps of conflicting transactions grow in commit order (docs/protocol.md, I7): what
 * each transaction read is what those before it in timestamp order wrote, and no two conflicting
 * transactions have the same one. Plain adds to one counter or account do not conflict.
 *
 * Lists: along the order of versions that the reads tell. Registers, accounts, counters and sets:
 * by replaying the operations in timestamp order. Operations without a timestamp (strong reads,
 * unknown outcomes) are left out, or explain what nothing else does: a sum may hold any of the
 * adds and transfers whose timestamp is not known, if they are few. */
#ifndef CHAOS_CHECK_TIMESTAMPS_H
#define CHAOS_CHECK_TIMESTAMPS_H

#include "chaos/check_finding.h"

enum verdict check_timestamps(const struct history *h, struct finding *out);

#endif
