/* What watches of lists told, held against the history of the appends, of which every commit
 * timestamp is known:
 *
 *   whoever watches a list from S on and is told the position P was told before, or then, of every
 *   append with S < commit timestamp <= P: by a list that has it
 *   positions do not go back, and what was told was committed
 *
 * Operations without known outcome count neither way. */
#ifndef CHAOS_CHECK_WATCHES_H
#define CHAOS_CHECK_WATCHES_H

#include "chaos/check_finding.h"

enum watch_seen_kind {
    WATCH_SEEN_FROM,  /* a new watch: at S, of `keys` */
    WATCH_SEEN_BEGIN, /* the same, "from now on": what was invoked before it counts neither way */
    WATCH_SEEN_LIST,  /* told of `key`: it has these values */
    WATCH_SEEN_UPTO,  /* told the position, after the lists of the same answer */
};

struct watch_seen {
    enum watch_seen_kind kind;
    uint32_t watcher; /* has one watch at a time */
    hlc_ts ts;        /* FROM, BEGIN, UPTO */
    int64_t at_ns;    /* BEGIN */
    uint64_t keys;    /* FROM, BEGIN: a bit for each list that is watched */
    int64_t key;      /* LIST */
    uint32_t n;
    int64_t *values;
};

struct watch_log {
    uint32_t n, cap;
    struct watch_seen *seen; /* in the order of time */
};

/* Copies the values. */
void watch_log_add(struct watch_log *log, const struct watch_seen *seen);
void watch_log_free(struct watch_log *log);

/* `lists`: of WORKLOAD_LIST, lists 0..63, in which no value is appended twice. */
enum verdict check_watches(const struct history *lists, const struct watch_log *log,
                           struct finding *out);

#endif
