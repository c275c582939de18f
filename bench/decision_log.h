/* The decision log of a two-phase commit coordinator: appended with group commit by a thread of its
 * own. Every decision waiting when a sync ends goes into the next one, so that a sync serves all
 * that came while the one before it ran. */
#ifndef BENCH_DECISION_LOG_H
#define BENCH_DECISION_LOG_H

#include <bsd/sys/queue.h>
#include <stdint.h>

#define GID_BYTES 48

/* Embedded in the caller's transaction; the log's from append until it is handed back. */
struct decision {
    STAILQ_ENTRY(decision) link;
    char gid[GID_BYTES];
};

struct decision_log;

/* Creates the file, which must not exist. Stops the process with a sentence on stderr if it cannot,
 * and later on any failed write or sync: after those nobody knows what is durable. */
struct decision_log *decision_log_create(const char *path);
/* Readable when decisions have become durable. */
int decision_log_fd(const struct decision_log *log);
void decision_log_append(struct decision_log *log, struct decision *decision);
/* Takes all that have become durable, in the order of append. */
STAILQ_HEAD(decisions, decision);
void decision_log_take(struct decision_log *log, struct decisions *out);
/* Syncs since it was created. */
uint64_t decision_log_syncs(struct decision_log *log);
/* With nothing waiting. */
void decision_log_close(struct decision_log *log);

#endif
