/* The coordinator's tables behind the log (docs/disk-format.md): what is not settled, and outcomes
 * until they are forgotten. Called where the storage runs, except at start.
 *
 *   transactions  txid, body          the newest ACCEPT or PROMISE of what is not finished
 *   outcomes      txid, outcome, ts, reason
 *   outcomes_all, undecided           views for people */
#ifndef COORDINATOR_STORE_H
#define COORDINATOR_STORE_H

#include "common/record.h"
#include "runtime/log_store.h"

struct coordinator_store;

struct coordinator_store *coordinator_store_new(void);
void coordinator_store_free(struct coordinator_store *s);
/* The role for log_store_create and log_store_open. Borrows s. */
struct store_role coordinator_store_role(struct coordinator_store *s);

/* A record of the coordinator is durable: exactly once per record, in log order. */
void coordinator_store_durable(struct coordinator_store *s, const struct record *record);
/* The FINISHED record of a transaction, if *found; the caller owns out->body. ASSENT_STORAGE is not
 * "none": say nothing then. */
assent_status coordinator_store_lookup(struct coordinator_store *s, struct sqlite3 *db,
                                       const struct txid *txid, bool *found, struct record *out);

/* At start, after log_store_open: calls back for every record that is not settled and for those
 * replayed, in log order. ASSENT_STORAGE: not all could be read; ASSENT_CORRUPT: one is damaged, or
 * each() has returned false. */
assent_status coordinator_store_each(struct coordinator_store *s, struct sqlite3 *db,
                                     bool (*each)(void *arg, const struct record *record),
                                     void *arg);
/* The greatest time of any txid in tables and log; 0 when there is none. ASSENT_STORAGE or
 * ASSENT_CORRUPT: it cannot be read, and may be any. */
assent_status coordinator_store_newest_ms(struct coordinator_store *s, struct sqlite3 *db,
                                          uint64_t *ms);

#endif
