/* What a checker says about a history: that it holds, the first anomaly with a sentence that names
 * keys, values and transactions, or that it could not judge. "Could not judge" is never a pass. */
#ifndef CHAOS_CHECK_FINDING_H
#define CHAOS_CHECK_FINDING_H

#include "chaos/history.h"

/* X(NAME, text, meaning). Names of cycles as in Adya's thesis and Elle; a cycle that closes only
 * with the order of one process's operations, or only with real time, has that in its name. */
/* clang-format off */
#define ANOMALY_MAP(X)                                                                             \
    X(NONE, "none", "nothing found")                                                               \
    X(INTERNAL, "internal", "a transaction did not see its own earlier steps")                     \
    X(DUPLICATE_ELEMENTS, "duplicate-elements", "an element is there twice")                       \
    X(UNKNOWN_VALUE, "unknown-value", "nobody wrote what was read")                                \
    X(INCOMPATIBLE_ORDER, "incompatible-order", "two reads cannot both be of one list")            \
    X(DIRTY_UPDATE, "dirty-update", "a commit was made on top of an aborted write")                \
    X(G1A, "G1a", "aborted read")                                                                  \
    X(G1B, "G1b", "intermediate read")                                                             \
    X(LOST_APPEND, "lost-append", "an acknowledged append is missing")                             \
    X(LOST_UPDATE, "lost-update", "two updates of the same version both committed")                \
    X(G0, "G0", "dirty write: a cycle of writes")                                                  \
    X(G1C, "G1c", "circular information flow")                                                     \
    X(G_SINGLE, "G-single", "read skew")                                                           \
    X(G2_ITEM, "G2-item", "write skew")                                                            \
    X(G0_PROCESS, "G0-process", "a cycle of writes with a process's order")                        \
    X(G1C_PROCESS, "G1c-process", "circular information flow with a process's order")              \
    X(G_SINGLE_PROCESS, "G-single-process", "read skew with a process's order")                    \
    X(G2_ITEM_PROCESS, "G2-item-process", "write skew with a process's order")                     \
    X(G0_REALTIME, "G0-realtime", "a cycle of writes with real time")                              \
    X(G1C_REALTIME, "G1c-realtime", "circular information flow with real time")                    \
    X(G_SINGLE_REALTIME, "G-single-realtime", "read skew with real time: a stale read")            \
    X(G2_ITEM_REALTIME, "G2-item-realtime", "write skew with real time")                           \
    X(TIMESTAMP_ORDER, "timestamp-order", "commit timestamps contradict what was seen")            \
    X(TIMESTAMP_EQUAL, "timestamp-equal", "conflicting transactions have one timestamp")           \
    X(NONLINEARIZABLE, "nonlinearizable", "no order of the operations explains the results")       \
    X(STALE_READ, "stale-read", "a read misses what was acknowledged before it began")             \
    X(WRONG_TOTAL, "wrong-total", "money appeared or disappeared")                                 \
    X(NEGATIVE_BALANCE, "negative-balance", "a balance is below its bound")                        \
    X(MISSING_ACCOUNT, "missing-account", "a read did not see every account")                      \
    X(WRONG_BALANCE, "wrong-balance", "a balance that the transfers do not explain")               \
    X(LOST_TRANSFER, "lost-transfer", "an acknowledged transfer was not applied")                  \
    X(APPLIED_TWICE, "applied-twice", "a transfer was applied twice")                              \
    X(ABORTED_TRANSFER, "aborted-transfer", "a failed transfer was applied")                       \
    X(LOST_ELEMENT, "lost-element", "an acknowledged add is missing")                              \
    X(EARLY_READ, "early-read", "a value was read before anybody had begun to write it")           \
    X(WRONG_COUNT, "wrong-count", "a counter that the adds do not explain")                        \
    X(READ_YOUR_WRITES, "read-your-writes", "a session does not see what it wrote")                \
    X(MONOTONIC_READS, "monotonic-reads", "a session does not see what it saw before")             \
    X(MONOTONIC_WRITES, "monotonic-writes", "a session's writes are not in its order")             \
    X(WRITES_FOLLOW_READS, "writes-follow-reads", "a write is before what its session had read")   \
    X(CAUSALITY, "causality", "what came with a session's token is missing, or is not before")     \
    X(NOT_CONVERGED, "not-converged", "a replica never got what was committed")                    \
    X(CHANGE_MISSED, "change-missed", "a watch went past a change without telling of it")         \
    X(TORN, "torn", "a part of what was written together is missing or older")
/* clang-format on */

enum anomaly {
#define ANOMALY_ENUM(name, text, meaning) ANOMALY_##name,
    ANOMALY_MAP(ANOMALY_ENUM)
#undef ANOMALY_ENUM
};

enum verdict { VERDICT_HELD, VERDICT_FAILED, VERDICT_UNJUDGED };

#define FINDING_TEXT_BYTES 4096
#define FINDING_OPS_MAX    16

struct finding {
    enum verdict verdict;
    enum anomaly anomaly;
    uint32_t ops; /* operations that the sentence names, those that fit */
    uint32_t op[FINDING_OPS_MAX];
    char text[FINDING_TEXT_BYTES]; /* held: what was looked at; unjudged: why */
};

/* "lost-update", and what that is. */
const char *anomaly_name(enum anomaly anomaly);
const char *anomaly_meaning(enum anomaly anomaly);

/* ---- for the checkers ---- */

/* Each sets the finding and gives its verdict. */
enum verdict finding_held(struct finding *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum verdict finding_unjudged(struct finding *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum verdict finding_failed(struct finding *f, enum anomaly anomaly, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds to the text, within its bound. */
void finding_say(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_op(struct finding *f, uint32_t op);

#define OP_TEXT_BYTES    128
#define VALUE_TEXT_BYTES 24
#define LIST_TEXT_BYTES  256
/* "T17 (process 3, datacenter 1, 0190a8d2-...)" */
const char *op_text(const struct history *h, uint32_t op, char out[OP_TEXT_BYTES]);
/* "5" or "nil" */
const char *value_text(int64_t value, char out[VALUE_TEXT_BYTES]);
/* "[1 2 3]"; of a long list its end, "[... 98 99]" */
const char *list_text(const int64_t *values, uint32_t n, char out[LIST_TEXT_BYTES]);

/* Whether the operation certainly took effect and a read's result is known. */
static inline bool op_read_known(const struct operation *o, uint32_t i)
{
    return o->result == RESULT_OK && o->micro[i].kind == MICRO_READ && o->micro[i].known;
}

/* Real time: a had ended when b began. */
static inline bool op_precedes(const struct operation *a, const struct operation *b)
{
    return a->ended_at != HISTORY_NEVER && a->ended_at < b->invoked_at;
}

#endif
