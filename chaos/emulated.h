/* A cluster of three datacenters on this machine: its nodes are processes, its wide-area links are
 * emulated with the round trips of real regions, and one client handle stands in each datacenter.
 */
#ifndef CHAOS_EMULATED_H
#define CHAOS_EMULATED_H

#include <assent/assent.h>

#include "chaos/process.h"
#include "chaos/wan.h"

#define EMULATED_DATACENTERS 3
#define EMULATED_NODES       6

/* "virginia", "ireland", "tokyo". */
extern const char *const emulated_name[EMULATED_DATACENTERS];
/* Round trip between two of them, in milliseconds. */
uint32_t emulated_rtt_ms(int a, int b);

struct emulated {
    char dir[4096];
    struct cluster *cluster;
    struct wan *wan;
    int processes;
    struct process process[EMULATED_NODES];
    assent *db[EMULATED_DATACENTERS];
};

/* Makes the cluster in `dir`, which must not exist, with one or three coordinators, and starts it.
 * False after saying why on stderr; emulated_close is needed all the same. */
bool emulated_open(struct emulated *e, const char *dir, int coordinators);
/* Whether at least `expected` nodes answer a client in datacenter dc; *in_doubt: how many
 * transactions are in doubt at those. */
bool emulated_look(struct emulated *e, int dc, int expected, uint32_t timeout_ms,
                   long long *in_doubt);
/* Until every datacenter's client reaches every node; false after 20 s. */
bool emulated_wait_ready(struct emulated *e);
/* NULL if there is no such node. */
struct process *emulated_process(struct emulated *e, const char *name);
/* Stops all nodes and links. False if a node did not stop cleanly. */
bool emulated_close(struct emulated *e);

uint64_t emulated_now_ms(void);
void emulated_sleep_ms(unsigned ms);

#endif
