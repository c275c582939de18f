/* Interactive transactions, what commits need to know of them. */
#ifndef CLIENT_INTERACTIVE_H
#define CLIENT_INTERACTIVE_H

#include "client/handle.h"

/* Ends one that only looked (look_only): committed at its snapshot. */
void interactive_commit(assent_txn *t, uint64_t began_us, assent_commit_info *info);
/* After ASSENT_CHANGED: hears the clock of the participant where it changed, so that the next
 * snapshot is not before that because clocks differ. Leaves assent_error() as it is. */
void interactive_hear(const assent_txn *t, uint32_t timeout_ms);
/* Rewrites the sentence of a commit that was refused because the snapshot is too old. */
void interactive_explain(const assent_txn *t, struct call *call);

#endif
