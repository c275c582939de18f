#include "common/protocol.h"

#include <string.h>

const char *role_name(enum role role)
{
    switch (role) {
    case ROLE_COORDINATOR:
        return "coordinator";
    case ROLE_PARTICIPANT:
        return "participant";
    case ROLE_CLIENT:
        return "client";
    case ROLE_NONE:
        break;
    }
    return "?";
}

int ballot_compare(struct ballot a, struct ballot b)
{
    if (a.round != b.round)
        return a.round < b.round ? -1 : 1;
    if (a.node != b.node)
        return a.node < b.node ? -1 : 1;
    return (a.incarnation > b.incarnation) - (a.incarnation < b.incarnation);
}

bool ballot_equal(struct ballot a, struct ballot b)
{
    return ballot_compare(a, b) == 0;
}

int participants_index(const struct participants *p, node_id node)
{
    for (int i = 0; i < p->n; i++)
        if (p->id[i] == node)
            return i;
    return -1;
}

bool participants_valid(const struct participants *p)
{
    if (p->n == 0 || p->n > PARTICIPANTS_MAX || p->id[0] == 0)
        return false;
    for (int i = 1; i < p->n; i++)
        if (p->id[i] <= p->id[i - 1])
            return false;
    return p->id[p->n - 1] <= NODES_MAX;
}

bool participants_equal(const struct participants *a, const struct participants *b)
{
    return a->n == b->n && memcmp(a->id, b->id, a->n * sizeof a->id[0]) == 0;
}

uint64_t participants_all(const struct participants *p)
{
    return ((uint64_t)1 << p->n) - 1;
}
