/* Keeps the versions of a key that are not the newest, when a record is applied to the tables. The
 * versions of a key follow one another: each is valid from its timestamp until that of the next. */
#ifndef PARTICIPANT_KV_HISTORY_H
#define PARTICIPANT_KV_HISTORY_H

#include "participant/kv_tables.h"

/* Before the write's value becomes the key's row: SQLITE_OK or an error. */
int kv_history_write(struct kv_tables *t, const struct kv_write *write);

#endif
