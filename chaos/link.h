/* A link: a TCP proxy on loopback that gives a connection the delay of a wide-area one, and takes
 * it away. One link stands for one direction of dialling: whoever dials its port reaches its
 * target; bytes of both directions are delayed by the one-way delay, in order. Everything runs on
 * the caller's libuv loop. */
#ifndef CHAOS_LINK_H
#define CHAOS_LINK_H

#include <stdint.h>
#include <uv.h>

struct link;

/* Listens on a free loopback port. NULL with *error (a uv error) on failure. */
struct link *link_open(uv_loop_t *loop, const char *host, uint16_t port, uint64_t one_way_us,
                       int *error);
uint16_t link_port(const struct link *l);
/* For bytes that arrive from now on; never reorders. */
void link_delay(struct link *l, uint64_t one_way_us);
/* cut: connections stay open and carry nothing (a black hole), new ones too; restoring closes them,
 * so that both ends notice and dial again. */
void link_cut(struct link *l, int cut);
/* Closes the link and its connections; freed on later loop turns. */
void link_close(struct link *l);

struct link_stats {
    uint64_t bytes, connections;
};
void link_stats(const struct link *l, struct link_stats *out);

#endif
