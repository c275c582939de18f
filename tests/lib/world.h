/* A small world for scenario tests: real coordinator and participant cores, a network and disks
 * that move only when the script says so, and a resource of named keys. Everything that happens is
 * written to a trace. */
#ifndef TESTS_LIB_WORLD_H
#define TESTS_LIB_WORLD_H

#include "common/bytes.h"

struct world;

struct world *world_new(void);
void world_free(struct world *w);
/* Runs one line of a script; appends what happened to `trace`. See tests/scenario/README.md. */
void world_command(struct world *w, const char *line, struct writer *trace);

#endif
