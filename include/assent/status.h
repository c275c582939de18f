/* Status codes of Assent: what a call returned, why a transaction aborted, why a node refused.
 *
 * One list, ASSENT_STATUS_MAP. Every entry is X(NAME, number, retry, maybe, text):
 *   retry  1 if the same transaction, under a new id, may succeed without anything else changing
 *   maybe  1 if the transaction may have committed all the same; ask assent_outcome()
 * Numbers are part of the wire and disk formats and never change. */
#ifndef ASSENT_STATUS_H
#define ASSENT_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASSENT_API __attribute__((visibility("default")))

/* clang-format off */
#define ASSENT_STATUS_MAP(X)                                                                       \
    X(OK,              0, 0, 0, "ok")                                                              \
    /* the transaction aborted, and why */                                                         \
    X(CONFLICT,        1, 1, 0, "another transaction holds a key of this one")                     \
    X(CHECK_FAILED,    2, 0, 0, "a check of the transaction does not hold")                        \
    X(NOT_INTEGER,     3, 0, 0, "the value is not an integer")                                     \
    X(OUT_OF_BOUNDS,   4, 0, 0, "the add would pass its bound")                                    \
    X(OVERFLOW,        5, 0, 0, "the add would pass 64 bits")                                      \
    X(DENIED,          6, 0, 0, "the client has no grant for this key")                            \
    X(WRONG_PLACEMENT, 7, 0, 0, "the placement does not fit the cluster file")                     \
    X(TOO_LARGE,       8, 0, 0, "over a size limit")                                               \
    X(MALFORMED,       9, 0, 0, "malformed")                                                       \
    X(TIMED_OUT,      10, 1, 0, "aborted: not every vote arrived before the deadline")             \
    X(RESTARTED,      11, 1, 0, "aborted: a participant restarted before it had prepared")         \
    X(RECOVERED,      12, 1, 0, "aborted by a recovering coordinator")                             \
    X(UNREACHABLE,    13, 1, 0, "a node that the transaction needs is not connected")              \
    X(OVERLOADED,     14, 1, 0, "too much work in flight")                                         \
    X(DISK_FULL,      15, 0, 0, "the disk of a node is full")                                      \
    X(CLOCK_AHEAD,    16, 0, 0, "a clock is too far ahead")                                        \
    X(STALE_TXID,     17, 1, 0, "the transaction id's time is too far from the coordinator's")     \
    X(PRUNED,         18, 0, 0, "history before that timestamp is no longer kept")                 \
    X(STOPPING,       19, 1, 0, "the node is shutting down")                                       \
    X(ROLLED_BACK,    20, 0, 0, "rolled back by the program")                                      \
    X(MISMATCH,       21, 0, 0, "epoch or coordinator set differs")                                \
    X(CHANGED,        22, 1, 0, "what the transaction had read was written since")                 \
    /* answers about an outcome */                                                                 \
    X(PENDING,        30, 0, 1, "not decided yet")                                                 \
    X(EXPIRED,        31, 0, 1, "older than the retention time: the outcome is no longer kept")    \
    X(UNKNOWN,        32, 0, 1, "the outcome could not be learned in time: ask again")             \
    /* the program's own call */                                                                   \
    X(NOT_FOUND,      40, 0, 0, "no such key")                                                     \
    X(INVALID,        41, 0, 0, "invalid argument")                                                \
    X(SEALED,         42, 0, 0, "the transaction is sealed: its id was read or it was sent")       \
    X(CLOSED,         43, 0, 0, "the handle is closed")                                            \
    X(NO_MEMORY,      44, 0, 0, "out of memory")                                                   \
    X(CONFIG,         45, 0, 0, "the cluster file is not usable")                                  \
    X(KEY_FILE,       46, 0, 0, "the key file is not usable")                                      \
    X(NOT_SENT,       47, 1, 0, "no coordinator could be reached: nothing was sent")               \
    X(READ_TIMED_OUT, 48, 1, 0, "the read was not answered before its deadline")                   \
    X(REFUSED,        49, 0, 0, "the node refused the connection")                                 \
    X(STORAGE,        50, 0, 0, "the database could not be used")                                  \
    X(CORRUPT,        51, 0, 0, "the database is damaged")                                         \
    X(FOREIGN,        52, 0, 0, "the data directory belongs to something else")                    \
    X(SYSTEM,         53, 0, 0, "the operating system refused a call")                             \
    X(TOO_STALE,      54, 1, 0, "every replica is behind by more than the read allows")            \
    X(BEHIND,         55, 0, 0, "changes were missed: scan, then watch from there on")
/* clang-format on */

typedef enum assent_status {
#define ASSENT_STATUS_ENUM(name, number, retry, maybe, text) ASSENT_##name = (number),
    ASSENT_STATUS_MAP(ASSENT_STATUS_ENUM)
#undef ASSENT_STATUS_ENUM
} assent_status;

/* Constant text of a status, or "unknown status". Never NULL. Any thread. */
ASSENT_API const char *assent_status_text(assent_status status);

/* Constant name of a status, as "CONFLICT", or "?". Never NULL. Any thread. */
ASSENT_API const char *assent_status_name(assent_status status);

/* Whether the transaction certainly did not commit and trying again may help. Any thread. */
ASSENT_API bool assent_retryable(assent_status status);

/* Whether the transaction may have committed in spite of this status. Any thread. */
ASSENT_API bool assent_maybe_committed(assent_status status);

#ifdef __cplusplus
}
#endif
#endif
