/* The state of every key at a timestamp: what is durable in the log over what is in the tables. */
#ifndef PARTICIPANT_KV_VIEW_H
#define PARTICIPANT_KV_VIEW_H

#include "participant/kv_overlay.h"
#include "participant/kv_tables.h"

struct kv_view {
    struct kv_overlay *overlay;
    struct kv_tables *tables;
    hlc_ts at; /* what was committed up to there; READ_NEWEST: all. Not before the prune point */
};

/* SQLITE_OK with the key's cell, which is not live and at timestamp 0 if the key was never written,
 * or an error. The value lives until the next call here. */
int kv_view_get(const struct kv_view *view, struct bytes key, struct kv_cell *out);
/* Every live key of [key, end), ascending or descending, until each() gives false. Empty end: no
 * end. SQLITE_OK or an error. */
struct kv_range {
    struct bytes key;
    struct bytes end;
    bool descending;
    bool deleted; /* those that are not live, too */
};
int kv_view_range(const struct kv_view *view, const struct kv_range *range,
                  bool (*each)(void *arg, const struct kv_cell *cell), void *arg);
/* A key of [key, end) that was written or deleted after `since`, at any time since: *found, and out
 * has its key and version. SQLITE_OK or an error. */
int kv_view_changed(const struct kv_view *view, struct bytes key, struct bytes end, hlc_ts since,
                    bool *found, struct kv_cell *out);

#endif
