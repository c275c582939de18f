/* The site of the demo: three datacenters with the round trips of real regions, one participant in
 * each, and one client handle that stands there. */
#ifndef CHAOS_EMULATED_H
#define CHAOS_EMULATED_H

#include <assent/assent.h>

#include "chaos/site.h"

#define EMULATED_DATACENTERS 3

/* "virginia", "ireland", "tokyo". */
extern const char *const emulated_name[EMULATED_DATACENTERS];
/* Round trip between two of them, in milliseconds. */
uint32_t emulated_rtt_ms(int a, int b);

struct emulated {
    struct scenario scenario;
    struct site *site;
    assent *db[EMULATED_DATACENTERS];
};

/* Makes the cluster in `dir`, which must not exist, with one or three coordinators, and starts it.
 * False after saying why on stderr; emulated_close is needed all the same. */
bool emulated_open(struct emulated *e, const char *dir, int coordinators);
/* Whether at least `expected` nodes answer a client in datacenter dc; *in_doubt: how many
 * transactions are in doubt at those. */
bool emulated_look(struct emulated *e, int dc, int expected, uint32_t timeout_ms, int *in_doubt);
/* Until every node is connected to all others, and every datacenter's client reaches them; false
 * after 20 s. */
bool emulated_wait_ready(struct emulated *e);
/* NULL if there is no such node. */
struct process *emulated_process(struct emulated *e, const char *name);
/* Stops all nodes and links. False if a node did not stop cleanly. */
bool emulated_close(struct emulated *e);

uint64_t emulated_now_ms(void);
void emulated_sleep_ms(unsigned ms);

#endif
