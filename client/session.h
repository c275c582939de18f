/* The pure logic of one commit, or of one question for an outcome: step(session, event, effects).
 * No clock, socket or loop; time and the roster of connected nodes come in with the event.
 *
 * Invariants
 *   S1  COMMIT leaves at most once per transaction id; the home never changes after it has left.
 *   S2  A commit whose COMMIT may have left ends only with the outcome, EXPIRED or UNKNOWN.
 *   S3  A commit whose COMMIT has not left ends with NOT_SENT, CLOSED, or why it could not be
 * queued.
 *
 *              begin, up: send COMMIT           connection lost, PENDING, UNKNOWN, silence
 *     START ---------------------------> SENT -------------------------------------------> ASKING
 *       | ^                               | |                                               | ^ |
 *       | +--- could not be queued -------+ +------------ outcome ----------> DONE <--------+ +-+
 *       +----- deadline, close ----------------------------------------------> ^     PENDING,
 * UNKNOWN, silence: another one A question starts in START and goes to ASKING at once. */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/roster.h"
#include "common/msg.h"
#include "common/prng.h"

enum session_state { SESSION_START, SESSION_SENT, SESSION_ASKING, SESSION_DONE };

struct session_config {
    struct tx_head head; /* the home is the session's to set; of a question: unknown, node 0 */
    bool question;
    uint64_t deadline_us;
    uint64_t seed; /* of the back-off */
    /* of a commit */
    uint64_t priority_ms;
    uint64_t placement_hash;
    const struct participants *participants; /* borrowed, as ops, until the session is done */
    struct blob *const *ops;
};

enum session_event_kind {
    SESSION_EVENT_BEGIN,
    SESSION_EVENT_UP,     /* a connection to `node` was made */
    SESSION_EVENT_DOWN,   /* the connection to `node` is gone */
    SESSION_EVENT_RESULT, /* `result` from coordinator `node` */
    SESSION_EVENT_UNSENT, /* the message of the last effects could not be queued for `node`:
                             `status` */
    SESSION_EVENT_TICK,   /* the time of session_deadline() has come */
    SESSION_EVENT_CLOSE,  /* the handle closes */
};

struct session_event {
    enum session_event_kind kind;
    uint64_t now_us;
    hlc_ts ts;                   /* the client's clock */
    const struct roster *roster; /* as of now, the event included */
    node_id node;
    assent_status status;
    const struct msg *result;
};

/* At most one message per step. */
struct session_effects {
    node_id to;
    struct msg *msg; /* owned by the caller; NULL: nothing to send */
};

struct session {
    enum session_state state;
    struct session_config config;
    struct prng prng;
    bool may_have_left;     /* COMMIT was queued for the home */
    uint64_t near_until_us; /* START: until then it waits for the own datacenter's coordinator */
    node_id avoid;          /* START: could not take the COMMIT just now */
    node_id asked;          /* ASKING: the question is there; 0: nowhere */
    uint64_t asked_round; /* ASKING: bit i: coordinator i of the round was asked (see session.c) */
    uint32_t attempt;     /* questions without an outcome so far, for the back-off */
    bool pending;         /* the last answer was PENDING */
    uint64_t wake_us;     /* next step by itself, before the deadline */

    /* DONE */
    assent_status status;
    hlc_ts commit_ts;
    node_id answered; /* the coordinator that gave the outcome */
    node_id culprit;
    char detail[DETAIL_BYTES_MAX + 1];
    uint32_t total_us;
    uint32_t quorum_us;
    struct participants participants; /* n = 0: times and results are not known */
    struct breakdown breakdown[PARTICIPANTS_MAX];
    struct blob *results[PARTICIPANTS_MAX]; /* owned, until taken */
};

void session_init(struct session *s, const struct session_config *config);
void session_step(struct session *s, const struct session_event *e, struct session_effects *out);
/* When the next TICK is due; UINT64_MAX when done. */
uint64_t session_deadline(const struct session *s);
/* Drops the results. */
void session_free(struct session *s);

/* A part of the time left, for the node that is asked: its answer must still arrive in time. */
uint32_t session_time_for_node(uint64_t now_us, uint64_t deadline_us, uint32_t rtt_us);
/* The outside bytes of a refusal as text of at most DETAIL_BYTES_MAX bytes. */
void detail_text(const struct blob *detail, char out[DETAIL_BYTES_MAX + 1]);
/* A randomised back-off that grows with `attempt`, within 20..500 ms. */
uint64_t backoff_us(struct prng *prng, uint32_t attempt);

#endif
