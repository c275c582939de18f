/* Inside a link (link.h): its connections. One is a pair of sockets, near (the dialler's) and far
 * (the target's), and two flows, one for each way. Only link.c and link_pair.c include this. */
#ifndef CHAOS_LINK_PAIR_H
#define CHAOS_LINK_PAIR_H

#include <bsd/sys/queue.h>

#include "chaos/link.h"
#include "common/prng.h"

/* Index of a way; its mask is 1 << index. */
enum { WAY_UP, WAY_DOWN, WAYS };

struct link_way {
    struct link_way_state state; /* but `held` */
    uint64_t free_us;            /* when the bandwidth lets the next bytes through */
};

struct link_pair;

struct link {
    uv_loop_t *loop;
    struct link_options options; /* without its texts */
    struct sockaddr_storage address, target;
    uv_tcp_t holder;    /* bound and never listening: keeps the port taken while refusing */
    uv_tcp_t *listener; /* NULL while refusing; frees itself when closed */
    bool closing;
    int handles; /* holder and listeners, open or closing */
    struct link_way way[WAYS];
    struct prng prng;
    uint64_t connections, open;
    TAILQ_HEAD(link_pairs, link_pair) pairs;
};

/* Once its last handle is closed. */
void link_release(struct link *l);

/* Takes the next connection of the listener; closes it if that fails. */
void link_pair_accept(struct link *l, uv_stream_t *listener);
/* Both ends are told. p may be gone on a later loop turn. */
void link_pair_reset(struct link_pair *p);
/* Only the end of the way is told, by a reset or an end of stream. */
void link_pair_half_open(struct link_pair *p, int way, bool reset);
/* Lets what may move now move; for after a change. */
void link_pair_pump(struct link_pair *p);
/* From now on at most so many bytes that way. */
void link_pair_limit(struct link_pair *p, int way, uint64_t bytes);
/* Bytes on their way. */
uint64_t link_pair_held(const struct link_pair *p, int way);
struct link_pair *link_pair_next(const struct link_pair *p);

#endif
