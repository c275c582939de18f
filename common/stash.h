/* Messages about transactions that only the disk may know, kept until storage has looked them up.
 */
#ifndef COMMON_STASH_H
#define COMMON_STASH_H

#include "common/effects.h"

struct stash; /* NULL: empty */

/* Keeps the event's message. True if this is the first one of its txid: it must be looked up. Over
 * a bound messages are dropped: every one is repeated by its sender. */
bool stash_keep(struct stash **s, const struct event *e);
/* The head of the first message kept for the txid, or NULL: none is. */
const struct tx_head *stash_head(struct stash *s, const struct txid *txid);
/* Takes out the messages of a txid and hands each to `again`, in order, as the event `e` with its
 * message, sender and client. */
void stash_replay(struct stash **s, const struct txid *txid, const struct event *e,
                  void (*again)(void *arg, const struct event *e), void *arg);
void stash_free(struct stash **s);

#endif
