/* Interactive transactions, what commits need to know of them. */
#ifndef CLIENT_INTERACTIVE_H
#define CLIENT_INTERACTIVE_H

#include "client/handle.h"

/* Whether it only read a snapshot, so that its commit has nothing to ask for. */
bool interactive_only_read(const assent_txn *t);
/* Ends such a one: committed at its snapshot. */
void interactive_commit(assent_txn *t, uint64_t began_us, assent_commit_info *info);
/* Rewrites the sentence of a commit that was refused because the snapshot is too old. */
void interactive_explain(const assent_txn *t, struct call *call);

#endif
