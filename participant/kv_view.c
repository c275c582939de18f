#include "participant/kv_view.h"

#include <sqlite3.h>

#include "common/mutant.h"

int kv_view_get(const struct kv_view *view, struct bytes key, struct kv_cell *out)
{
    const struct kv_write *write = kv_overlay_find(view->overlay, key);
    if (write != NULL && !MUTANT(OVERLAY_NOT_READ)) {
        *out = kv_write_cell(write);
        return SQLITE_OK;
    }
    int rc = kv_tables_get(view->tables, key, out);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool before_end(struct bytes key, struct bytes end)
{
    return end.len == 0 || bytes_compare(key, end) < 0;
}

int kv_view_range(const struct kv_view *view, struct bytes key, struct bytes end,
                  bool (*each)(void *arg, const struct kv_cell *cell), void *arg)
{
    const struct kv_write *write = kv_overlay_from(view->overlay, key);
    struct kv_cell row;
    bool more = true;
    int rc = kv_tables_scan_first(view->tables, key, end, &row);
    while (more && (rc == SQLITE_ROW || rc == SQLITE_DONE)) {
        struct kv_cell newer = {0};
        bool has_row = rc == SQLITE_ROW, has_newer = false;
        if (write != NULL) {
            newer = kv_write_cell(write);
            has_newer = before_end(newer.key, end);
        }
        if (!has_row && !has_newer)
            break;
        int order = !has_newer ? 1 : !has_row ? -1 : bytes_compare(newer.key, row.key);
        if (order > 0)
            more = each(arg, &row);
        else if (newer.live)
            more = each(arg, &newer);
        if (order <= 0)
            write = kv_overlay_next(write);
        if (order >= 0)
            rc = kv_tables_scan_next(view->tables, &row);
    }
    kv_tables_scan_stop(view->tables);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int kv_view_changed(const struct kv_view *view, struct bytes key, struct bytes end, hlc_ts since,
                    bool *found, struct kv_cell *out)
{
    const struct kv_write *write = kv_overlay_from(view->overlay, key);
    for (; write != NULL; write = kv_overlay_next(write)) {
        *out = kv_write_cell(write);
        if (!before_end(out->key, end))
            break;
        *found = out->version.ts > since;
        if (*found)
            return SQLITE_OK;
    }
    /* A key that memory has too is never older there: that a row changed is true either way. */
    int rc = kv_tables_changed(view->tables, key, end, since, out);
    *found = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}
