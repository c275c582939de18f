/* Joins the coordinator's core and tables to the daemon. */
#ifndef COORDINATOR_NODE_H
#define COORDINATOR_NODE_H

#include "runtime/role.h"

struct coordinator_node;

struct coordinator_node *coordinator_node_new(void);
void coordinator_node_free(struct coordinator_node *n);
/* Borrows n. */
struct node_role coordinator_node_role(struct coordinator_node *n);

#endif
