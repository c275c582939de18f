/* assent-coordinator */
#include "coordinator/node.h"
#include "runtime/daemon.h"

int main(int argc, char **argv)
{
    struct coordinator_node *node = coordinator_node_new();
    struct node_role role = coordinator_node_role(node);
    int status = daemon_main(&role, argc, argv);
    coordinator_node_free(node);
    return status;
}
