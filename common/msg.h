/* The message catalogue: one struct per message of docs/protocol.md, section "Messages".
 *
 * A message is reference counted and belongs to one thread at a time. Bytes in it are blobs, so a
 * message shares its large parts. wire/codec turns messages into frames and back; a decoded message
 * has passed every bound of common/limits.h, and participants_valid() where it carries them. */
#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include "common/ops.h"
#include "common/protocol.h"

/* X(NAME, number, may be sent by roles, may be received by roles) */
/* clang-format off */
#define MSG_MAP(X)                                                                                 \
    X(COMMIT,       1, ROLE_CLIENT,                    ROLE_COORDINATOR)                           \
    X(PREPARE,      2, ROLE_COORDINATOR,               ROLE_PARTICIPANT)                           \
    X(VOTE,         3, ROLE_PARTICIPANT,               ROLE_COORDINATOR)                           \
    X(ACCEPTED,     4, ROLE_COORDINATOR,               ROLE_COORDINATOR)                           \
    X(REJECTED,     5, ROLE_COORDINATOR,               ROLE_COORDINATOR)                           \
    X(DECIDE,       6, ROLE_COORDINATOR,               ROLE_PARTICIPANT | ROLE_COORDINATOR)        \
    X(DECIDED,      7, ROLE_PARTICIPANT,               ROLE_COORDINATOR)                           \
    X(INQUIRE,      8, ROLE_PARTICIPANT,               ROLE_COORDINATOR)                           \
    X(PROMISE_ASK,  9, ROLE_COORDINATOR,               ROLE_COORDINATOR)                           \
    X(PROMISE,     10, ROLE_COORDINATOR,               ROLE_COORDINATOR)                           \
    X(PROPOSE,     11, ROLE_COORDINATOR,               ROLE_COORDINATOR)                           \
    X(OUTCOME,     12, ROLE_CLIENT | ROLE_COORDINATOR, ROLE_COORDINATOR | ROLE_PARTICIPANT)        \
    X(RESULT,      13, ROLE_COORDINATOR | ROLE_PARTICIPANT, ROLE_CLIENT | ROLE_COORDINATOR)        \
    X(FORGET,      14, ROLE_COORDINATOR,               ROLE_COORDINATOR)                           \
    X(SETTLE_ASK,  15, ROLE_COORDINATOR,               ROLE_PARTICIPANT)                           \
    X(SETTLED,     16, ROLE_PARTICIPANT,               ROLE_COORDINATOR)                           \
    X(EXPIRED,     17, ROLE_PARTICIPANT,               ROLE_COORDINATOR)                           \
    X(READ,        18, ROLE_CLIENT,                    ROLE_PARTICIPANT)                           \
    X(READ_RESULT, 19, ROLE_PARTICIPANT,               ROLE_CLIENT)                                \
    X(STATUS,      20, ROLE_CLIENT,                    ROLE_COORDINATOR | ROLE_PARTICIPANT)        \
    X(STATUS_RESULT, 21, ROLE_COORDINATOR | ROLE_PARTICIPANT, ROLE_CLIENT)                         \
    X(PING,        22, ROLE_COORDINATOR | ROLE_PARTICIPANT | ROLE_CLIENT,                          \
                       ROLE_COORDINATOR | ROLE_PARTICIPANT | ROLE_CLIENT)                          \
    X(PONG,        23, ROLE_COORDINATOR | ROLE_PARTICIPANT | ROLE_CLIENT,                          \
                       ROLE_COORDINATOR | ROLE_PARTICIPANT | ROLE_CLIENT)                          \
    X(WATCH,       24, ROLE_CLIENT,                    ROLE_PARTICIPANT)                           \
    X(WATCH_RESULT, 25, ROLE_PARTICIPANT,              ROLE_CLIENT)
/* clang-format on */

enum msg_type {
#define MSG_ENUM(name, number, from, to) MSG_##name = (number),
    MSG_MAP(MSG_ENUM)
#undef MSG_ENUM
};

/* client -> leader. The home in the head is this leader, in the incarnation of its handshake. */
struct msg_commit {
    uint64_t priority_ms;    /* Unix ms of the first attempt: smaller is older */
    uint32_t timeout_ms;     /* from arrival at the leader */
    hlc_ts ts;               /* the client's clock */
    uint64_t placement_hash; /* of the client's placement view */
    struct participants participants;
    struct blob *ops[PARTICIPANTS_MAX]; /* encoded operations (wire/ops), one per participant */
};

/* leader -> participant */
struct msg_prepare {
    struct participants participants;
    uint64_t priority_ms;
    struct client_name client;
    hlc_ts ts; /* as in COMMIT */
    uint32_t time_left_ms;
    uint64_t placement_hash;
    uint32_t pin;   /* the participant's incarnation when the leader first sent this */
    bool one_phase; /* the only participant decides and applies at once */
    struct blob *ops;
};

/* participant -> acceptors, ballot 0. To the leader also detail, results and the times. */
struct msg_vote {
    struct participants participants;
    struct vote vote;
    bool one_phase;        /* not a vote but the outcome: prepared = applied at prepare_ts */
    struct blob *detail;   /* a sentence for people about an abort, or NULL */
    struct blob *results;  /* encoded read results (wire/ops), or NULL */
    uint32_t lock_wait_us; /* PREPARE's arrival to locks held */
    uint32_t sync_us;      /* locks held to record durable */
};

/* One participant's vote as an acceptor accepted it. */
struct accepted {
    struct ballot ballot;
    struct vote vote; /* VOTE_NONE: nothing accepted for this participant */
};

/* acceptor -> proposer. At ballot 0 only the votes newly durable are set. */
struct msg_accepted {
    struct ballot ballot;
    bool whole_abort;                 /* the proposal "the whole transaction aborted" */
    struct participants participants; /* none for whole_abort without known participants */
    struct vote votes[PARTICIPANTS_MAX];
};

struct msg_rejected {
    struct ballot ballot;   /* the ballot that came too late */
    struct ballot promised; /* the higher one */
};

/* whoever decided -> participants, coordinators that took part; or, to participants only, no
 * outcome but outcome_expired() */
struct msg_decide {
    struct outcome outcome;
    struct participants participants;
};

/* participant -> sender of DECIDE */
struct msg_decided {
    enum outcome_kind outcome;
};

struct msg_inquire {
    struct participants participants;
};

struct msg_promise_ask {
    struct ballot ballot;
};

struct msg_promise {
    struct ballot ballot;
    struct outcome outcome; /* OUTCOME_NONE unless known here */
    bool forgotten;         /* no promise: nothing is known here, for good */
    bool whole_abort;       /* "the whole transaction aborted" was accepted, at whole_ballot */
    struct ballot whole_ballot;
    struct participants participants; /* n = 0: no vote known here */
    struct accepted accepted[PARTICIPANTS_MAX];
};

struct msg_propose {
    struct ballot ballot;
    bool whole_abort; /* then there may be no participants */
    struct participants participants;
    struct vote votes[PARTICIPANTS_MAX];
};

/* client -> any coordinator; coordinator -> home ("do you lead it?"), or -> the only participant of
 * a one-participant transaction. In a client's question the home may be unknown: node 0. */
struct msg_outcome {
    uint32_t wait_ms; /* answer PENDING only after so long */
};

/* How long a part of a commit took, in microseconds, as the leader saw it. */
struct breakdown {
    uint32_t network_us; /* PREPARE sent to VOTE received, less the two below */
    uint32_t lock_wait_us;
    uint32_t sync_us;
};

/* answer to COMMIT and OUTCOME. status: OK = committed at commit_ts; PENDING, EXPIRED, UNKNOWN;
 * anything else = aborted for that reason. From a coordinator asked by a coordinator: PENDING = "I
 * lead it", UNKNOWN = "I do not". */
struct msg_result {
    assent_status status;
    hlc_ts commit_ts;
    node_id culprit;                  /* the participant that refused, or 0 */
    struct blob *detail;              /* a sentence about the abort, or NULL */
    uint32_t total_us;                /* COMMIT received to answer */
    uint32_t quorum_us;               /* last vote received to decision durable */
    struct participants participants; /* n = 0 where times and results are not known */
    struct breakdown breakdown[PARTICIPANTS_MAX];
    struct blob *results[PARTICIPANTS_MAX];
};

struct forget_entry {
    struct txid txid;
    struct outcome outcome;
};

/* The head's txid is zero: FORGET, SETTLE_ASK and SETTLED are about many transactions. */
struct msg_forget {
    uint16_t n;
    struct forget_entry *entry;
};

struct msg_settle_ask {
    uint16_t n;
    struct txid *txid;
};

struct msg_settled {
    hlc_ts floor; /* of the participant */
    uint16_t n;   /* of those asked, the ones without prepared record and below the floor */
    struct txid *txid;
};

struct msg_expired {
    hlc_ts floor;
};

/* client -> participant: a read of keys and ranges (wire/ops, read operations only) */
struct msg_read {
    uint64_t request;
    uint32_t timeout_ms;
    hlc_ts ts;
    enum read_level level;
    hlc_ts at;         /* SNAPSHOT: at which; SESSION: at or after which; else 0 */
    uint32_t stale_ms; /* BOUNDED: how old it may be; else 0 */
    struct blob *ops;
};

#define STALE_UNKNOWN UINT32_MAX

struct msg_read_result {
    uint64_t request;
    assent_status status;
    hlc_ts ts; /* at which it read; STRONG and EVENTUAL: the participant's clock after it */
    /* All that was committed so much earlier, by any client's answer, is in it. Not of SNAPSHOT. */
    uint32_t stale_us;
    struct blob *detail;
    struct blob *results;
};

/* How far the answers of one participant have come: its changes, in the order in which they were
 * applied there. It holds in one incarnation; incarnation 0: none. */
struct watch_cursor {
    uint32_t incarnation;
    uint64_t sequence;
};

/* client -> participant: wait until one of these keys was changed by a commit after `since` and
 * behind the cursor. */
struct msg_watch {
    uint64_t request;
    uint32_t timeout_ms; /* answered by then, if only with a new position */
    hlc_ts ts;           /* the client's clock */
    hlc_ts since;        /* 0: only asks for the present position */
    struct watch_cursor cursor;
    struct blob *ops; /* read operations: the keys and ranges */
};

struct msg_watch_result {
    uint64_t request;
    assent_status status;
    hlc_ts since; /* as it was asked for */
    /* The position: all that was committed up to there was told. Of a refusal: the clock. */
    hlc_ts ts;
    struct watch_cursor cursor;
    struct blob *detail;
    struct blob *results; /* the changed keys, newest values; NULL: nothing changed */
};

struct msg_status {
    uint64_t request;
};

/* A node's own account of itself: text lines "name value", for `assent status`. */
struct msg_status_result {
    uint64_t request;
    struct blob *text;
};

struct msg_ping {
    uint64_t token;   /* returned by PONG */
    uint64_t wall_ms; /* the sender's wall clock */
};

struct msg {
    uint32_t refs;
    enum msg_type type;
    struct tx_head head; /* zero for messages that are about no transaction */
    union {
        struct msg_commit commit;
        struct msg_prepare prepare;
        struct msg_vote vote;
        struct msg_accepted accepted;
        struct msg_rejected rejected;
        struct msg_decide decide;
        struct msg_decided decided;
        struct msg_inquire inquire;
        struct msg_promise_ask promise_ask;
        struct msg_promise promise;
        struct msg_propose propose;
        struct msg_outcome outcome;
        struct msg_result result;
        struct msg_forget forget;
        struct msg_settle_ask settle_ask;
        struct msg_settled settled;
        struct msg_expired expired;
        struct msg_read read;
        struct msg_read_result read_result;
        struct msg_watch watch;
        struct msg_watch_result watch_result;
        struct msg_status status;
        struct msg_status_result status_result;
        struct msg_ping ping; /* PONG too */
    };
};

/* A zeroed message with one reference; only the part of its own type is allocated. */
struct msg *msg_new(enum msg_type type, const struct tx_head *head);
struct msg *msg_ref(struct msg *m);
/* Drops a reference and, with the last, the message and its blobs; NULL is fine. */
void msg_unref(struct msg *m);

/* "COMMIT", or "?". */
const char *msg_name(enum msg_type type);
bool msg_type_known(uint64_t number);
/* Whether a peer of role `from` may send this type to a node of role `to`. */
bool msg_allowed(enum msg_type type, enum role from, enum role to);
/* Whether the message is about one transaction, so that its head must be checked. */
bool msg_has_head(enum msg_type type);

#endif
