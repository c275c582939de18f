/* A write in order: the version so far becomes an old one. A late add:
 *
 *   versions   |---- 5 ----|------- 7 -------|--- 9 ...      4 is added here: ^
 *                     ^
 *   become     |- 5 --|- 9 -|------ 11 ------|--- 13 ...
 *
 * Nobody has read what changes: a read at a timestamp waits for adds that may yet commit below it
 * (docs/protocol.md, "Reads"). It may change versions that an earlier run has written, so these are
 * read back as far as the add reaches. */
#include "participant/kv_history.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/number.h"
#include "participant/kv_say.h"

/* Every so many versions of a key have a link farther back; and so on with these. */
#define LINK_BASE 16

/* One version of the key. old.id 0: not in the table yet. */
struct piece {
    struct kv_old old;
    struct blob *value; /* owns old.cell.value, or NULL */
    bool changed;
};

/* The key's versions, oldest first, as far back as they may change; the last will be the row. */
struct line {
    struct bytes key;
    struct kv_row row;
    int64_t before; /* the id of the version before the first; 0: none that is known */
    struct piece *piece;
    size_t n, room;
};

static struct piece *line_insert(struct line *line, size_t at)
{
    if (line->n == line->room) {
        line->room = line->room == 0 ? 4 : 2 * line->room;
        line->piece = xrealloc(line->piece, line->room * sizeof *line->piece);
    }
    struct piece *piece = &line->piece[at];
    memmove(piece + 1, piece, (line->n - at) * sizeof *piece);
    *piece = (struct piece){.old = {.cell = {.key = line->key}}, .changed = true};
    line->n++;
    return piece;
}

static void piece_set_value(struct piece *piece, struct bytes value)
{
    struct blob *copy = blob_new(value);
    blob_unref(piece->value);
    piece->value = copy;
    piece->old.cell.value = blob_bytes(copy);
}

static void line_free(struct line *line)
{
    for (size_t i = 0; i < line->n; i++)
        blob_unref(line->piece[i].value);
    free(line->piece);
}

/* ---- one write after the other ---- */

static hlc_ts piece_ts(const struct piece *piece)
{
    return piece->old.cell.version.ts;
}

/* The write's cell becomes the newest version. */
static void line_replace(struct line *line, const struct kv_write *write)
{
    if (line->n == 0)
        line_insert(line, 0);
    struct piece *last = &line->piece[line->n - 1];
    last->old.cell = kv_write_cell(write);
    blob_unref(last->value);
    last->value = NULL;
}

static void write_in_order(struct line *line, const struct kv_write *write)
{
    hlc_ts ts = write->entry->ts;
    if (line->n > 0 && piece_ts(&line->piece[line->n - 1]) < ts) {
        line->piece[line->n - 1].old.until = ts;
        line_insert(line, line->n);
    }
    line_replace(line, write);
}

/* Reads versions back until the first is not after `ts`, or nothing more is known. */
static int line_reach(struct kv_tables *t, struct line *line, hlc_ts ts)
{
    while (line->before != 0 && piece_ts(&line->piece[0]) > ts) {
        struct kv_old old;
        int rc = kv_tables_old_get(t, line->key, line->before, &old);
        line->before = rc == SQLITE_ROW ? old.links.id[0] : 0;
        if (rc != SQLITE_ROW)
            return rc == SQLITE_DONE ? SQLITE_OK : rc;
        if (old.cell.version.ts >= piece_ts(&line->piece[0]))
            return SQLITE_CORRUPT;
        /* One that outlived the deletion after it does not reach the next. */
        struct piece *piece = line_insert(line, 0);
        piece->old = old;
        piece->changed = false;
        piece_set_value(piece, old.cell.value);
    }
    return SQLITE_OK;
}

/* Makes a version begin at `ts`, before the last: returns which. */
static size_t line_split(struct line *line, hlc_ts ts)
{
    size_t after = 0;
    while (after < line->n && piece_ts(&line->piece[after]) <= ts)
        after++;
    if (after == line->n) {
        fprintf(stderr, "assent: kv_history: a late add is not late\n");
        abort();
    }
    if (after > 0 && piece_ts(&line->piece[after - 1]) == ts)
        return after - 1;
    struct piece *piece = line_insert(line, after);
    piece->old.cell.version.ts = ts;
    piece->old.until = piece_ts(piece + 1);
    if (after > 0) {
        struct piece *before = piece - 1;
        piece->old.cell.live = before->old.cell.live;
        piece->old.cell.version.applies = before->old.cell.version.applies;
        piece_set_value(piece, before->old.cell.value);
        before->old.until = ts;
        before->changed = true;
    }
    return after;
}

static void piece_raise(struct piece *piece, const struct kv_write *write)
{
    struct kv_cell *cell = &piece->old.cell;
    int64_t number = 0;
    char text[WIDE_TEXT_BYTES], quoted[KV_QUOTED_BYTES];
    if ((cell->live && !number_parse(cell->value, &number)) || !number_fits(number + write->net)) {
        fprintf(stderr, "assent: kv_history: an add does not fit an old version of key %s\n",
                kv_quote(cell->key, quoted));
        abort();
    }
    piece_set_value(piece, bytes_of_text(number_text(number + write->net, text)));
    cell->live = true;
    kv_version_add(&cell->version, write->entry->ts, &write->entry->txid, write->adds);
    piece->changed = true;
}

static int write_late(struct kv_tables *t, struct line *line, const struct kv_write *write)
{
    if (line->n == 0)
        return SQLITE_CORRUPT;
    int rc = line_reach(t, line, write->entry->ts);
    if (rc != SQLITE_OK)
        return rc;
    for (size_t i = line_split(line, write->entry->ts); i + 1 < line->n; i++)
        piece_raise(&line->piece[i], write);
    line_replace(line, write);
    return SQLITE_OK;
}

/* ---- into the tables ---- */

/* A version behind all that are in the table: numbered, and linked as far as its number says. */
static void link_last(struct line *line, struct kv_old *old)
{
    struct kv_links *heads = &line->row.links;
    uint32_t n = 1;
    for (uint64_t number = ++line->row.versions; number % LINK_BASE == 0 && n < KV_LINKS_MAX; n++)
        number /= LINK_BASE;
    old->links = (struct kv_links){.n = n};
    if (heads->n < n)
        heads->n = n;
    for (uint32_t i = 0; i < n; i++) {
        old->links.id[i] = heads->id[i];
        heads->id[i] = old->id;
    }
}

/* All but the last. Those behind the last that is in the table already are new there; one between
 * others is linked to its neighbours only. */
static int line_write_old(struct kv_tables *t, struct line *line)
{
    size_t known = line->n - 1;
    int64_t before = 0;
    int rc = SQLITE_OK;
    while (known > 0 && line->piece[known - 1].old.id == 0)
        known--;
    for (size_t i = 0; i + 1 < line->n && rc == SQLITE_OK; i++) {
        struct piece *piece = &line->piece[i];
        if (piece->old.id == 0) {
            piece->old.id = kv_tables_old_new_id(t);
            piece->old.links = (struct kv_links){.n = 1, .id = {before}};
            if (i >= known)
                link_last(line, &piece->old);
        } else if (i > 0 && piece->old.links.id[0] != before) {
            piece->old.links.id[0] = before;
            piece->changed = true;
        }
        before = piece->old.id;
        if (piece->changed)
            rc = kv_tables_old_put(t, &piece->old);
    }
    return rc;
}

static int line_write(struct kv_tables *t, struct line *line)
{
    int rc = line_write_old(t, line);
    line->row.cell = line->piece[line->n - 1].old.cell;
    return rc == SQLITE_OK ? kv_tables_put(t, &line->row) : rc;
}

int kv_history_write(struct kv_tables *t, const struct kv_write *first)
{
    struct line line = {.key = kv_write_cell(first).key};
    int rc = kv_tables_get(t, line.key, &line.row);
    if (rc == SQLITE_ROW) {
        line_insert(&line, 0)->old.cell = line.row.cell;
        line.before = line.row.links.id[0];
    } else if (rc == SQLITE_DONE) {
        line.row = (struct kv_row){.links = {.n = 1}};
        rc = SQLITE_ROW;
    }
    rc = rc == SQLITE_ROW ? SQLITE_OK : rc;
    for (const struct kv_write *w = first; rc == SQLITE_OK && w != NULL && w->entry->taken;
         w = w->newer) {
        if (w->late)
            rc = write_late(t, &line, w);
        else
            write_in_order(&line, w);
    }
    if (rc == SQLITE_OK)
        rc = line_write(t, &line);
    line_free(&line);
    return rc;
}

/* ---- reading ---- */

/* From far to near: along the links of one distance while they are after `at`, then the next
 * nearer ones. What a link of one distance leads to has links of that distance itself. */
int kv_history_at(struct kv_tables *t, const struct kv_row *row, hlc_ts at, struct kv_cell *out)
{
    struct kv_links links = row->links;
    uint32_t distance = links.n;
    hlc_ts after = row->cell.version.ts;
    struct kv_old old;
    while (distance > 0) {
        int64_t id = distance <= links.n ? links.id[distance - 1] : 0;
        int rc = id == 0 ? SQLITE_DONE : kv_tables_old_get(t, row->cell.key, id, &old);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return rc;
        if (rc == SQLITE_ROW && old.cell.version.ts >= after)
            return SQLITE_CORRUPT;
        if (rc == SQLITE_ROW && old.cell.version.ts > at) {
            after = old.cell.version.ts;
            links = old.links;
            continue;
        }
        if (--distance > 0)
            continue;
        /* A version may have outlived the deletion after it. */
        if (rc == SQLITE_ROW && old.until > at) {
            *out = old.cell;
            return SQLITE_ROW;
        }
    }
    *out = (struct kv_cell){.key = row->cell.key};
    return SQLITE_DONE;
}
