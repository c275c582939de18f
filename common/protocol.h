/* The nouns of the commit protocol (docs/protocol.md): nodes, ballots, votes, outcomes. */
#ifndef COMMON_PROTOCOL_H
#define COMMON_PROTOCOL_H

#include <assent/status.h>

#include "common/bytes.h"
#include "common/hlc.h"
#include "common/limits.h"
#include "common/txid.h"

/* 1..NODES_MAX; 0 is "no node", which is how a client appears. */
typedef uint16_t node_id;

enum role { ROLE_NONE = 0, ROLE_COORDINATOR = 1, ROLE_PARTICIPANT = 2, ROLE_CLIENT = 4 };

/* "coordinator", "participant", "client" or "?". */
const char *role_name(enum role role);

/* Where a message goes or came from: a node, or (node 0) one client connection. */
struct addr {
    node_id node;
    uint64_t conn;
};

static inline struct addr addr_node(node_id node)
{
    return (struct addr){node, 0};
}

/* The coordinator, in the incarnation, to which the client first sent COMMIT. */
struct home {
    node_id node;
    uint32_t incarnation;
};

/* What every message of a transaction carries. */
struct tx_head {
    struct txid txid;
    struct home home;
    uint32_t epoch;
    uint64_t set_hash; /* of the epoch's coordinator set: cluster.h */
};

/* Ordered by round, node, incarnation; round 0 is the participants' own ballot. */
struct ballot {
    uint32_t round;
    node_id node;
    uint32_t incarnation;
};

int ballot_compare(struct ballot a, struct ballot b);
bool ballot_equal(struct ballot a, struct ballot b);

enum vote_kind { VOTE_NONE = 0, VOTE_PREPARED = 1, VOTE_ABORTED = 2 };

struct vote {
    enum vote_kind kind;
    hlc_ts prepare_ts;    /* of VOTE_PREPARED */
    assent_status reason; /* of VOTE_ABORTED */
};

enum outcome_kind { OUTCOME_NONE = 0, OUTCOME_COMMITTED = 1, OUTCOME_ABORTED = 2 };

struct outcome {
    enum outcome_kind kind;
    hlc_ts commit_ts;     /* of OUTCOME_COMMITTED */
    assent_status reason; /* of OUTCOME_ABORTED */
};

/* Of DECIDE: not an outcome, but "F+1 coordinators have forgotten it: abort if you are in doubt".
 */
static inline bool outcome_expired(const struct outcome *outcome)
{
    return outcome->kind == OUTCOME_ABORTED && outcome->reason == ASSENT_EXPIRED;
}

/* The participants of one transaction, ascending, no duplicates. */
struct participants {
    uint16_t n;
    node_id id[PARTICIPANTS_MAX];
};

/* Index of a node among the participants, or -1. */
int participants_index(const struct participants *p, node_id node);
/* Ascending, without duplicates, 1..PARTICIPANTS_MAX of them, ids in range. */
bool participants_valid(const struct participants *p);
bool participants_equal(const struct participants *a, const struct participants *b);
/* The mask with one bit per participant. */
uint64_t participants_all(const struct participants *p);

/* The name of a client, as in the cluster file; zero-padded. */
struct client_name {
    char text[NAME_BYTES_MAX + 1];
};

#endif
