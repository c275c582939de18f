/* The versions of a key in the tables: the row is the newest, the others are linked from it:
 *
 *   row --> v9 --> v8 --> v7 ...        each to the one before,
 *     \
 *      `--> v272 --> v256 --> v240      every 16th of a key also to the 16th before it,
 *       \
 *        `---------> v256 --> v0        every 256th to the 256th before, and so on
 *
 * Each is valid from its timestamp until that of the next. They are written once, at the end of the
 * table, whatever their keys: an overwrite costs no page of its own. Links to what was pruned lead
 * nowhere. */
#ifndef PARTICIPANT_KV_HISTORY_H
#define PARTICIPANT_KV_HISTORY_H

#include "participant/kv_tables.h"

/* Writes what one key is after a run of writes that are applied together: `first`, which is the
 * first of the key in memory, and those newer than it that are `taken`. SQLITE_OK or an error. */
int kv_history_write(struct kv_tables *t, const struct kv_write *first);
/* The key at `at`, which is before the row. SQLITE_ROW; SQLITE_DONE: nothing that is known, and a
 * cell that is not live. */
int kv_history_at(struct kv_tables *t, const struct kv_row *row, hlc_ts at, struct kv_cell *out);

#endif
