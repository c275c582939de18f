/* One read inside of a transaction: what to ask the participants for, and what to make of the
 * answers. Pure but for the sentences; blocking calls and those with callbacks drive the same.
 *
 *     look_open -> [ look->asks: read look->op with look->options -> look_answer ]* -> look_close
 *
 * The first read of a transaction is of the level session: what comes back has the timestamp of the
 * replica that answered, or the client's if that is later. That timestamp is the snapshot. So it is
 * new even if this host's clock is behind, and an attempt after ASSENT_CHANGED does not read once
 * more what it read before. All others read the snapshot.
 *
 * What was seen is added to the transaction as checks: a key, or the range up to where the answer
 * ends. A key that the transaction itself has put or deleted was not seen. */
#ifndef CLIENT_LOOK_H
#define CLIENT_LOOK_H

#include "client/token.h"
#include "client/txn.h"

struct look {
    assent_txn *t;
    bool asks;    /* op must be read next */
    struct op op; /* of what is left of the range; its bytes are in the look */
    assent_read_options options;
    struct assent_session session; /* of the first read */
    struct bytes key;              /* the range as the program gave it */
    struct bytes end;
    uint32_t limit;
    uint8_t *bytes; /* of key and end */
    uint8_t *left;  /* of op's key or end, when it is not all */
    assent_list *list;
};

/* Copies the operation's bytes; OP_READ_KEY or OP_READ_RANGE. `now` is assent_now(). The look must
 * stay where it is until look_close, which every look needs that was opened well. */
assent_status look_open(struct look *l, assent_txn *t, const struct op *op, assent_ts now);
/* The answer to what it asked, which it takes over: ASSENT_OK or ASSENT_NOT_FOUND, with a list.
 * `why` is the sentence of other statuses. */
assent_status look_answer(struct look *l, assent_status status, assent_list *answer,
                          const char *why);
/* `status` is what the steps before ended with; the list is the caller's. */
assent_status look_close(struct look *l, assent_status status, assent_list **out);

/* Whether the transaction did nothing but look at a snapshot, so that its commit has nothing to ask
 * for. */
bool look_only(const assent_txn *t);

/* The sentence of ASSENT_PRUNED for a snapshot: `detail` is the participant's. */
assent_status look_pruned(const char *detail);

/* The first key after `key`, into out[KEY_BYTES_MAX]; empty: there is none. */
struct bytes look_after(struct bytes key, uint8_t *out);

#endif
