/* Reads of lists and accounts at the levels below `strong`, held against the history of the
 * appends, of which every commit timestamp and acknowledgement is known:
 *
 *   snapshot, session, bounded   exactly the appends with commit timestamps up to the read's: a cut
 *                                that is consistent across keys and participants
 *   accounts at one timestamp    the total is the total
 *   session     reads see the session's writes, and what its reads saw; its writes are later than
 *               its writes before, and than what it has read: the four guarantees, each by itself
 *   bounded     nothing is missing that was acknowledged longer ago than the bound, or than the
 * read says of itself eventual    some prefix of the list, once all is over the whole of it
 *
 * Operations without known outcome count neither way. */
#ifndef CHAOS_CHECK_LEVELS_H
#define CHAOS_CHECK_LEVELS_H

#include "chaos/check_finding.h"
#include "common/ops.h"

#define LEVELS_STALE_UNKNOWN INT64_MAX

struct level_read {
    enum read_level level;
    uint32_t client; /* as in the history of the lists: one session each */
    int64_t start_ns, end_ns;
    int64_t key;
    hlc_ts ts;        /* at which it was answered */
    hlc_ts asked;     /* SNAPSHOT: at; SESSION: its token */
    int64_t stale_ns; /* what the answer says of itself, and BOUNDED: the bound, if that is less */
    bool after_all;   /* nothing that was acknowledged before it is under way anywhere */
    uint32_t n;
    int64_t *values;
};

struct level_total {
    hlc_ts ts;
    int64_t total;
};

struct level_log {
    uint32_t reads, reads_cap;
    struct level_read *read;
    uint32_t totals, totals_cap;
    struct level_total *total;
};

/* Copies the values. */
void level_log_read(struct level_log *log, const struct level_read *read);
void level_log_total(struct level_log *log, hlc_ts ts, int64_t total);
void level_log_free(struct level_log *log);

/* `lists`: of WORKLOAD_LIST, in which no value is appended twice. `total`: of all accounts. */
enum verdict check_levels(const struct history *lists, const struct level_log *log, int64_t total,
                          struct finding *out);

#endif
