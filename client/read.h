/* The pure logic of one read, of any level, and of one wait for a change: the nearest replica
 * first, another one when a connection is lost, a replica refuses, is too far behind or stays
 * silent. Reads change nothing, so an answer to any of the questions counts.
 *
 *               up, or it was: send READ
 *     WAITING ----------------------------> ASKED ------ answer, definite refusal ------> DONE
 *       ^  |                                 |  ^
 *       |  +-- dialling failed: dial next -+ |  |
 *       |      (all tried: back off)         |  |
 *       +----- lost, refused, silent --------+--+ the next one is connected: send READ */
#ifndef CLIENT_READ_H
#define CLIENT_READ_H

#include "client/session.h"

/* Of a watch: where it goes on. A replica that answers moves it on. */
struct read_watch {
    bool on;
    hlc_ts since; /* 0: asks for the present position first, and goes on from there */
    node_id node; /* whose the cursor is; it is asked first */
    struct watch_cursor cursor;
};

enum read_state { READ_WAITING, READ_ASKED, READ_DONE };

struct read_config {
    uint64_t request;
    uint64_t deadline_us;
    uint64_t seed;
    int replicas;
    node_id replica[REPLICAS_MAX];
    struct blob *ops; /* borrowed until the read is done */
    enum read_level level;
    hlc_ts at;         /* as in READ */
    uint32_t stale_ms; /* as in READ */
    struct read_watch watch;
};

struct read_effects {
    node_id dial; /* 0: nobody */
    node_id to;
    struct msg *msg; /* owned by the caller; NULL: nothing to send */
};

struct read {
    enum read_state state;
    struct read_config config;
    struct prng prng;
    int current;      /* index of the replica that is dialled or asked; -1: backing off */
    uint32_t tried;   /* mask of replicas, of this round */
    uint32_t refused; /* of these, the ones that refused for a reason that stays */
    uint32_t round;
    uint64_t wake_us;
    assent_status refusal; /* the last; ASSENT_OK: none yet */
    struct read_watch watch;
    bool heard; /* a watch: the last that was asked has answered that nothing changed */

    /* DONE */
    assent_status status;
    hlc_ts ts;         /* as in READ_RESULT, WATCH_RESULT */
    uint32_t stale_us; /* as in READ_RESULT */
    node_id answered;
    char detail[DETAIL_BYTES_MAX + 1];
    struct blob *results; /* owned, until taken */
};

void read_init(struct read *r, const struct read_config *config);
/* The events are those of a session; DOWN stands for a failed dial, too. */
void read_step(struct read *r, const struct session_event *e, struct read_effects *out);
/* When the next TICK is due; UINT64_MAX when done. */
uint64_t read_deadline(const struct read *r);
void read_free(struct read *r);

#endif
