/* The invariants of docs/protocol.md, checked at every message and record of every node, by one who
 * sees all of them. Fails the run at the first that does not hold. */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "tests/sim/client.h"
#include "tests/sim/machine.h"

struct oracle;

struct oracle *oracle_new(struct sim *sim, int coordinators);
void oracle_free(struct oracle *o);
struct machine_watch oracle_machine_watch(struct oracle *o);
struct client_watch oracle_client_watch(struct oracle *o);

/* At the end: every transaction that is prepared somewhere is decided there (I9). */
void oracle_check_settled(struct oracle *o);
/* What is known of a transaction: OUTCOME_NONE if nobody ever told an outcome. */
struct outcome oracle_outcome(const struct oracle *o, const struct txid *txid);

struct oracle_stats {
    uint64_t transactions, committed, aborted, recovered, one_phase;
};
void oracle_stats(const struct oracle *o, struct oracle_stats *out);

#endif
