/* What both daemons share: the command line, opening a node, and the loop that drives a core
 * (docs/architecture.md). A role's main.c fills in `struct node_role` and calls daemon_main(). */
#ifndef RUNTIME_DAEMON_H
#define RUNTIME_DAEMON_H

#include "runtime/role.h"

/* Files of a node's data directory. */
#define NODE_KEY_FILE "node.key"

/* The whole process: returns its exit status. */
int daemon_main(const struct node_role *role, int argc, char **argv);

/* Creates a node's database in an existing directory, for `assent init`: identity from the cluster
 * file. `why` is at least 512 bytes. */
assent_status daemon_create_store(const struct node_role *role, const struct cluster *cluster,
                                  const struct cluster_node *node, const char *dir, char *why,
                                  size_t why_size);

#endif
