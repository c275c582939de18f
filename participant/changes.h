/* The latest changes of a participant, in the order in which they were applied: a ring in memory,
 * bounded in entries and bytes. What was dropped from it, or was applied before it began, is only
 * known by its greatest commit timestamp: who has seen all up to there misses nothing. Changes are
 * numbered from 1 and are not forgotten out of order. */
#ifndef PARTICIPANT_CHANGES_H
#define PARTICIPANT_CHANGES_H

#include "common/bytes.h"
#include "common/hlc.h"

struct change {
    hlc_ts ts; /* of the commit; does not grow with the number */
    struct bytes key;
};

struct changes;

/* max_bytes is of the keys, each counted with CHANGE_BYTES more. */
struct changes *changes_new(uint32_t max, size_t max_bytes);
void changes_free(struct changes *c);
/* Copies the key. */
void changes_add(struct changes *c, hlc_ts ts, struct bytes key);
/* There may be changes up to this timestamp that are not in it. */
void changes_missed(struct changes *c, hlc_ts ts);

/* The number of the last change, and of the last that was dropped; 0: none. */
uint64_t changes_last(const struct changes *c);
uint64_t changes_dropped(const struct changes *c);
/* Not less than the timestamp of any change that is not in it. */
hlc_ts changes_dropped_ts(const struct changes *c);
uint32_t changes_kept(const struct changes *c);
/* dropped < number <= last. The key lives until the next change is added. */
struct change changes_at(const struct changes *c, uint64_t number);

#endif
