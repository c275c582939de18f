/* Joins the participant's core and the key-value resource to the daemon. */
#ifndef PARTICIPANT_NODE_H
#define PARTICIPANT_NODE_H

#include "runtime/role.h"

struct participant_node;

struct participant_node *participant_node_new(void);
void participant_node_free(struct participant_node *n);
/* Borrows n. */
struct node_role participant_node_role(struct participant_node *n);

#endif
