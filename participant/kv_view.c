#include "participant/kv_view.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mutant.h"
#include "participant/kv_history.h"
#include "common/number.h"

static int found(int rc)
{
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The key at the view's timestamp in the tables; `row` is its newest row. */
static int row_at(const struct kv_view *view, const struct kv_row *row, struct kv_cell *out)
{
    *out = row->cell;
    if (row->cell.version.ts <= view->at)
        return SQLITE_OK;
    return found(kv_history_at(view->tables, row, view->at, out));
}

static int tables_at(const struct kv_view *view, struct bytes key, struct kv_cell *out)
{
    struct kv_row row;
    int rc = kv_tables_get(view->tables, key, &row);
    *out = row.cell;
    return rc == SQLITE_ROW ? row_at(view, &row, out) : found(rc);
}

/* The cell with late adds on top: they are not in it yet, wherever it came from. */
static void cell_add(const struct kv_view *view, struct kv_cell *cell, const struct version *adds,
                     wide net)
{
    int64_t number = 0;
    if ((cell->live && !number_parse(cell->value, &number)) || !number_fits(number + net)) {
        fprintf(stderr, "assent: kv_view: adds that were committed cannot be applied\n");
        abort();
    }
    cell->value = bytes_of_text(number_text(number + net, view->overlay->number));
    cell->live = true;
    kv_version_add(&cell->version, adds->ts, &adds->txid, adds->applies);
}

/* The key at the view's timestamp. From the newest write back: the first of which the version is
 * not after the timestamp has all before it in the log; of those after it only late adds count,
 * unless it is the tables that are asked in the end and they have them already. */
static int write_at(const struct kv_view *view, const struct kv_write *write, struct bytes key,
                    struct kv_cell *out)
{
    struct version adds = {0};
    wide net = 0;
    for (; write != NULL && write->version.ts > view->at; write = write->older) {
        if (write->in_tables)
            break;
        if (!write->late || write->entry->ts > view->at || MUTANT(LATE_ADD_NOT_SEEN))
            continue;
        kv_version_add(&adds, write->entry->ts, &write->entry->txid, write->adds);
        net += write->net;
    }
    int rc = SQLITE_OK;
    if (write != NULL && write->version.ts <= view->at)
        *out = kv_write_cell(write);
    else
        rc = tables_at(view, key, out);
    if (rc == SQLITE_OK && adds.applies > 0)
        cell_add(view, out, &adds, net);
    return rc;
}

int kv_view_get(const struct kv_view *view, struct bytes key, struct kv_cell *out)
{
    const struct kv_write *write = kv_overlay_find(view->overlay, key);
    return write_at(view, MUTANT(OVERLAY_NOT_READ) ? NULL : write, key, out);
}

static bool before_end(struct bytes key, struct bytes end)
{
    return end.len == 0 || bytes_compare(key, end) < 0;
}

static const struct kv_write *overlay_first(const struct kv_view *view, const struct kv_range *r)
{
    return r->descending ? kv_overlay_before(view->overlay, r->end)
                         : kv_overlay_from(view->overlay, r->key);
}

static const struct kv_write *overlay_next(const struct kv_write *write, const struct kv_range *r)
{
    return r->descending ? kv_overlay_previous(write) : kv_overlay_next(write);
}

int kv_view_range(const struct kv_view *view, const struct kv_range *r,
                  bool (*each)(void *arg, const struct kv_cell *cell), void *arg)
{
    const struct kv_write *write = overlay_first(view, r);
    struct kv_row row;
    struct kv_cell cell;
    bool more = true;
    int rc = kv_tables_scan_first(view->tables, r->key, r->end, r->descending, &row);
    while (more && (rc == SQLITE_ROW || rc == SQLITE_DONE)) {
        struct bytes key = write == NULL ? (struct bytes){0} : kv_write_cell(write).key;
        bool has_row = rc == SQLITE_ROW;
        bool has_write =
            write != NULL && before_end(key, r->end) && bytes_compare(key, r->key) >= 0;
        if (!has_row && !has_write)
            break;
        int order = !has_write ? 1 : !has_row ? -1 : bytes_compare(key, row.cell.key);
        if (r->descending && has_write && has_row)
            order = -order;
        int read = order > 0 ? row_at(view, &row, &cell) : write_at(view, write, key, &cell);
        if (read != SQLITE_OK) {
            rc = read;
            break;
        }
        if (cell.live || r->deleted)
            more = each(arg, &cell);
        if (order <= 0)
            write = overlay_next(write, r);
        if (order >= 0)
            rc = kv_tables_scan_next(view->tables, &row);
    }
    kv_tables_scan_stop(view->tables);
    return found(rc);
}

int kv_view_changed(const struct kv_view *view, struct bytes key, struct bytes end, hlc_ts since,
                    bool *found_one, struct kv_cell *out)
{
    const struct kv_write *write = kv_overlay_from(view->overlay, key);
    if (MUTANT(CHANGES_NOT_IN_OVERLAY))
        write = NULL;
    for (; write != NULL; write = kv_overlay_next(write)) {
        *out = kv_write_cell(write);
        if (!before_end(out->key, end))
            break;
        *found_one = out->version.ts > since;
        if (*found_one)
            return SQLITE_OK;
    }
    /* A key that memory has too is never older there: that a row changed is true either way. */
    int rc = kv_tables_changed(view->tables, key, end, since, out);
    *found_one = rc == SQLITE_ROW;
    return found(rc);
}
