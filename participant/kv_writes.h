/* The values that a committed transaction's operations give, computed once, when its record is
 * durable. */
#ifndef PARTICIPANT_KV_WRITES_H
#define PARTICIPANT_KV_WRITES_H

#include "participant/kv_view.h"

/* Fills the entry's writes, one per key, from the newest values. SQLITE_OK or an error of reading
 * them; an add that cannot be applied, which kv_check had to refuse, stops the process.
 *
 * A put or delete: version (ts, txid, 0). An add: the sum; of (ts, txid) the greater, whatever the
 * order in which concurrent adds arrive, so that replicas agree; applies one more. */
int kv_writes_compute(struct kv_entry *entry, const struct kv_view *view, const struct ops *ops);

#endif
