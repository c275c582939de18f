/* A write in order: the row so far becomes an old version. A late add:
 *
 *   versions   |---- 5 ----|------- 7 -------|--- 9 ...      4 is added here: ^
 *                     ^
 *   become     |- 5 --|- 9 -|------ 11 ------|--- 13 ...     the last is the row, written by others
 *
 * Nobody has read what changes: a read at a timestamp waits for adds that may yet commit below it
 * (docs/protocol.md, "Reads"). */
#include "participant/kv_history.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/number.h"
#include "participant/kv_say.h"

/* One old version with the add in it, written back. */
static int version_raise(struct kv_tables *t, const struct kv_write *write, struct kv_cell *cell,
                         hlc_ts until)
{
    int64_t number = 0;
    char text[WIDE_TEXT_BYTES], quoted[KV_QUOTED_BYTES];
    if ((cell->live && !number_parse(cell->value, &number)) || !number_fits(number + write->net)) {
        fprintf(stderr, "assent: kv_history: an add does not fit an old version of key %s\n",
                kv_quote(cell->key, quoted));
        abort();
    }
    cell->value = bytes_of_text(number_text(number + write->net, text));
    cell->live = true;
    kv_version_add(&cell->version, write->entry->ts, &write->entry->txid, write->adds);
    return kv_tables_old_put(t, cell, until);
}

/* Splits the version that is the key's at the add's timestamp, so that one begins there. */
static int version_split(struct kv_tables *t, const struct kv_write *write, struct bytes key)
{
    struct kv_cell cell;
    hlc_ts ts = write->entry->ts, until;
    int rc = kv_tables_old_at(t, key, ts, &cell, &until);
    if (rc == SQLITE_ROW && cell.version.ts == ts)
        return SQLITE_OK;
    if (rc == SQLITE_ROW) {
        rc = kv_tables_old_put(t, &cell, ts);
        cell.version = (struct version){.ts = ts, .applies = cell.version.applies};
        return rc == SQLITE_OK ? kv_tables_old_put(t, &cell, until) : rc;
    }
    if (rc == SQLITE_DONE)
        rc = kv_tables_old_from(t, key, ts, &cell, &until);
    if (rc == SQLITE_ROW)
        until = cell.version.ts;
    else if (rc == SQLITE_DONE && (rc = kv_tables_get(t, key, &cell)) == SQLITE_ROW)
        until = cell.version.ts;
    cell = (struct kv_cell){.key = key, .version = {.ts = ts}};
    return rc == SQLITE_ROW    ? kv_tables_old_put(t, &cell, until)
           : rc == SQLITE_DONE ? SQLITE_CORRUPT
                               : rc;
}

static int history_late(struct kv_tables *t, const struct kv_write *write, struct bytes key)
{
    struct kv_cell cell;
    hlc_ts from = write->entry->ts, until;
    int rc = version_split(t, write, key);
    while (rc == SQLITE_OK &&
           (rc = kv_tables_old_from(t, key, from, &cell, &until)) == SQLITE_ROW) {
        from = cell.version.ts + 1;
        rc = version_raise(t, write, &cell, until);
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int kv_history_write(struct kv_tables *t, const struct kv_write *write)
{
    struct bytes key = kv_write_cell(write).key;
    return write->late ? history_late(t, write, key) : kv_tables_old_keep(t, key, write->entry->ts);
}
