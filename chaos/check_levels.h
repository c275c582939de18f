/* Reads at the levels below `strong` (history.h, struct weak_read), held against the history of the
 * commits, of which every commit timestamp and acknowledgement is known.
 *
 *   committed            whatever is read was appended, not aborted, and in the list's order
 *   read-your-writes     a session's read has what the session has written
 *   monotonic-reads      ... and what it has read before, at any level
 *   monotonic-writes     what a session writes is later than what it has written before
 *   writes-follow-reads  ... and than what it has read before
 *   causality            all four, over to a session that has taken over another one's token
 *   snapshot             a read at a timestamp has exactly what was committed up to there, so reads
 *                        at one timestamp fit together across keys and participants; and the
 *                        timestamp is the one that was asked for, or not below it
 *   bounded              nothing is missing that was acknowledged longer ago than the bound, or
 *                        than the read says of itself
 *   eventual             once nothing is under way any more, a read at any replica has the whole
 *                        list, and all have the same
 *
 * Clocks. Only `bounded` is about time, and it takes it from one monotonic clock, that of the
 * history: the beginning of a read is taken before anything of it is sent, an acknowledgement after
 * it has come, so both err towards no alarm. Wall clocks of nodes have no part in it: what they may
 * do to an answer is to change its timestamp, and a read at a wrong timestamp that lacks what it
 * must have is a fault whatever the clocks.
 *
 * Operations without known outcome count neither way. */
#ifndef CHAOS_CHECK_LEVELS_H
#define CHAOS_CHECK_LEVELS_H

#include "chaos/check_finding.h"

/* X(NAME, text, says) */
/* clang-format off */
#define LEVEL_CHECK_MAP(X)                                                                         \
    X(COMMITTED, "committed", "whatever is read was committed, in that order")                     \
    X(READ_YOUR_WRITES, "read-your-writes", "a session reads what it has written")                 \
    X(MONOTONIC_READS, "monotonic-reads", "a session reads what it has read before")               \
    X(MONOTONIC_WRITES, "monotonic-writes", "a session's writes are in its order")                 \
    X(WRITES_FOLLOW_READS, "writes-follow-reads", "a session's writes are behind what it read")    \
    X(CAUSALITY, "causality", "who takes a session's token over goes on from there")               \
    X(SNAPSHOT, "snapshot", "reads at one timestamp are a consistent cut")                         \
    X(BOUNDED, "bounded", "no read is older than its bound, or than it says")                      \
    X(EVENTUAL, "eventual", "in the end every replica has everything")
/* clang-format on */

enum level_check {
#define LEVEL_CHECK_ENUM(name, text, says) LEVELS_##name,
    LEVEL_CHECK_MAP(LEVEL_CHECK_ENUM)
#undef LEVEL_CHECK_ENUM
        LEVEL_CHECKS
};

#define LEVELS_ALL ((1u << LEVEL_CHECKS) - 1)

/* `lists`: of WORKLOAD_LIST, in which no value is appended twice to one list. `which`: mask of
 * 1 << enum level_check. UNJUDGED if it is about one that had nothing to look at. */
enum verdict check_levels(const struct history *lists, uint32_t which, struct finding *out);

/* Snapshots of all accounts, read participant by participant at one timestamp: the total is the
 * total, and each balance is what the transfers up to there have made of it, those accounts aside
 * that a transfer of unknown outcome concerns. `bank`: of WORKLOAD_BANK. */
enum verdict check_level_accounts(const struct history *bank, uint32_t accounts,
                                  const int64_t *initial, struct finding *out);

#endif
