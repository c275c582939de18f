/* Techniques side by side: the same workload and faults under each, one row a technique. */
#ifndef CHAOS_COMPARE_TABLE_H
#define CHAOS_COMPARE_TABLE_H

#include <stdio.h>

#include "chaos/result.h"

/* A table of measured consistency, transactions, latency, throughput, data loss, failover. */
void compare_print(const struct result *const *result, int n, FILE *out);
/* The same for programs; false with a line on stderr. */
bool compare_write_json(const struct result *const *result, int n, const char *path);

/* What a fault did to the transactions that it does not concern: none of their participants nor
 * their client is in its datacenters; where it concerns all datacenters, to all transactions. The
 * longest time without a commit of theirs, from the fault's beginning to the next fault or the end
 * of the load. */
struct failover {
    const struct fault *fault; /* of the longest pause; NULL: there was no fault */
    uint64_t pause_us;
    bool ended; /* a commit ended the pause */
};

struct failover compare_failover(const struct result *r);

#endif
