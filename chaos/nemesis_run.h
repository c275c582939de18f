/* The nemesis at work: what nemesis.c (when), nemesis_nodes.c and nemesis_links.c (what) share.
 * Private to them. All of it belongs to the thread of the nemesis but what the mutex guards. */
#ifndef CHAOS_NEMESIS_RUN_H
#define CHAOS_NEMESIS_RUN_H

#include <pthread.h>

#include "chaos/nemesis.h"
#include "chaos/nemesis_plan.h"
#include "common/prng.h"

/* A fault that is active. */
struct active {
    struct planned p;
    int entry; /* of the log */
    uint64_t begin_us, end_us;
    uint64_t next_us; /* when its tick comes, FAULT_NEVER: none */
    struct prng prng; /* of what changes while it lasts */
    bool *cut;        /* of a partition: as wan_partition() takes it, else NULL */
    bool over;        /* its purpose is fulfilled: it ends now */
    int victim;       /* the node that it has restarted, or PLAN_NOWHERE */
};

struct nemesis {
    struct site *site;
    struct plan plan;
    int next; /* of the plan */
    struct active **active;
    int actives;
    /* By node: how many faults keep it down, let it die by itself, have it stopped. */
    int down[SITE_NODES_MAX], may_die[SITE_NODES_MAX], paused[SITE_NODES_MAX];
    int revivals[SITE_NODES_MAX];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stop;         /* under the mutex */
    struct fault *log; /* under the mutex, as is its length */
    int logged;
};

/* What is done at the beginning of a fault, at each tick, at its end; NULL: nothing. */
struct deed {
    void (*begin)(struct nemesis *n, struct active *a);
    void (*tick)(struct nemesis *n, struct active *a);
    void (*end)(struct nemesis *n, struct active *a);
};

extern const struct deed node_deeds[FAULT_KINDS], link_deeds[FAULT_KINDS];

/* Appends to the fault's text in the log. */
__attribute__((format(printf, 3, 4))) void nemesis_say(struct nemesis *n, const struct active *a,
                                                       const char *format, ...);
/* Whether the node is one of the fault's target. */
bool nemesis_hits(const struct nemesis *n, const struct active *a, int node);

/* nemesis_nodes.c. Kills the node; it stays down until it has been released as often. */
void node_hold(struct nemesis *n, int node);
void node_release(struct nemesis *n, int node);
/* Notices nodes that ended by themselves, and starts them again. */
void nodes_watch(struct nemesis *n);
/* After all faults: every node that is not lost runs. */
void nodes_heal(struct nemesis *n);

/* nemesis_links.c. After all faults: every link is as the scenario has it, those of lost
 * datacenters aside, which stay cut. */
void links_heal(struct nemesis *n);

#endif
