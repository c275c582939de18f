/* assent-participant */
#include "participant/node.h"
#include "runtime/daemon.h"

int main(int argc, char **argv)
{
    struct participant_node *node = participant_node_new();
    struct node_role role = participant_node_role(node);
    int status = daemon_main(&role, argc, argv);
    participant_node_free(node);
    return status;
}
