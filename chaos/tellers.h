/* The money workload: tellers move money between accounts in different datacenters. */
#ifndef CHAOS_TELLERS_H
#define CHAOS_TELLERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "chaos/emulated.h"

#define TELLERS_PER_DATACENTER 4
#define TELLERS_TOTAL          24000 /* what all accounts add up to */

/* Before the coordinator is killed, and after it. */
enum phase { PHASE_CALM, PHASE_DEAD, PHASES };

struct teller;

struct tellers {
    struct emulated *cluster;
    int n;
    struct teller *teller;
    atomic_bool stop;
    atomic_int phase;
    atomic_int under_way[EMULATED_DATACENTERS]; /* commits in progress, led from there */
    int committed, aborted, unknown;            /* after tellers_join */
};

/* Opens all accounts, in one transaction. */
assent_status tellers_open_accounts(struct emulated *cluster);
/* Starts the tellers of the first `datacenters` datacenters. */
void tellers_start(struct tellers *t, struct emulated *cluster, int datacenters);
/* Stops them, waits for each one's last transfer, and counts. */
void tellers_join(struct tellers *t);
/* Commit latency by datacenter, beside the round trip that it had to pay. */
void tellers_show_latency(const struct tellers *t, bool with_dead_phase);
void tellers_free(struct tellers *t);
/* The sum of all accounts, read by one transaction through this datacenter; -1 if it cannot be
 * read. */
long long tellers_audit(struct emulated *cluster, int dc);

#endif
