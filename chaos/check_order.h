/* The order of versions that a history of lists tells: for every key the longest read, of which
 * every other read must be a beginning, and who appended each element. Other checkers build on it.
 *
 * An element that no read saw comes behind all that were seen, if its transaction committed. */
#ifndef CHAOS_CHECK_ORDER_H
#define CHAOS_CHECK_ORDER_H

#include <uthash.h>

#include "chaos/check_finding.h"

struct append {
    UT_hash_handle hh;
    struct append_at {
        int64_t key, value;
    } at;
    uint32_t op, step;
    uint32_t position; /* 1..n in the list; 0: not seen by any read */
    bool last;         /* the operation's last append to this key */
};

struct order_key {
    UT_hash_handle hh;
    int64_t key;
    uint32_t index; /* 0.. in the order of first use */
    uint32_t n;     /* elements of the longest read */
    const int64_t *values;
    uint32_t longest_read;   /* the operation that made it */
    uint32_t latest_read;    /* the known read that was invoked last; HISTORY_NEVER if none */
    struct append **element; /* by position - 1 */
    uint32_t unseen_n;       /* appends of committed operations that no read saw */
    struct append **unseen;
};

struct order {
    const struct history *h;
    struct order_key *keys;
    struct append *appends; /* hash table over `all` */
    struct append *all;
    uint32_t appends_n, reads_n;
    uint32_t *known_at; /* by operation: the event by which it is known to have committed; its own
                           end, or that of a read which saw it; HISTORY_NEVER: may not have */
};

/* HELD: built. FAILED: the reads do not give an order; UNJUDGED: the workload misused its lists.
 * order_free() is needed in every case. */
enum verdict order_build(struct order *o, const struct history *h, struct finding *out);
void order_free(struct order *o);
/* NULL if no operation touched the key. */
struct order_key *order_find(const struct order *o, int64_t key);
/* The version that a known read saw of others: its length without the operation's own appends. */
uint32_t order_version(const struct operation *op, uint32_t step);
struct append *order_append(const struct order *o, int64_t key, int64_t value);

#endif
