#include "client/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "client/error.h"
#include "client/list.h"

/* ---- from operations ---- */

static void own_write(struct own *own, const struct op *op)
{
    if (op->kind == OP_ADD) {
        own->adds++;
        own->net += op->number;
        own->least = own->net < own->least ? own->net : own->least;
        own->greatest = own->net > own->greatest ? own->net : own->greatest;
        return;
    }
    *own = (struct own){
        .key = op->key,
        .base = op->kind == OP_PUT ? BASE_PUT : BASE_NOTHING,
        .value = op->value,
    };
}

bool overlay_key(const assent_txn *t, struct bytes key, struct own *out)
{
    bool wrote = false;
    *out = (struct own){.key = key};
    for (uint32_t i = 0; i < t->n; i++) {
        const struct op *op = &t->op[i].op;
        if (!op_is_write(op->kind) || !bytes_equal(op->key, key))
            continue;
        own_write(out, op);
        wrote = true;
    }
    return wrote;
}

struct write {
    const struct op *op;
    uint32_t order;
};

static int compare_writes(const void *a, const void *b)
{
    const struct write *x = a, *y = b;
    int order = bytes_compare(x->op->key, y->op->key);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

struct overlay overlay_range(const assent_txn *t, struct bytes key, struct bytes end)
{
    struct overlay o = {0};
    uint32_t n = 0;
    struct write *write = xcalloc(t->n, sizeof *write);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct op *op = &t->op[i].op;
        if (op_is_write(op->kind) && bytes_compare(op->key, key) >= 0 &&
            (end.len == 0 || bytes_compare(op->key, end) < 0))
            write[n++] = (struct write){op, i};
    }
    if (n > 0)
        qsort(write, n, sizeof *write, compare_writes);
    o.own = xcalloc(n, sizeof *o.own);
    for (uint32_t i = 0; i < n; i++) {
        if (o.n == 0 || !bytes_equal(o.own[o.n - 1].key, write[i].op->key))
            o.own[o.n++] = (struct own){.key = write[i].op->key};
        own_write(&o.own[o.n - 1], write[i].op);
    }
    free(write);
    return o;
}

void overlay_free(struct overlay *o)
{
    free(o->own);
    *o = (struct overlay){0};
}

static bool own_deleted(const struct own *own)
{
    return own->base == BASE_NOTHING && own->adds == 0;
}

uint32_t overlay_deleted(const struct overlay *o)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n; i++)
        n += own_deleted(&o->own[i]);
    return n;
}

/* ---- on top of what is below ---- */

static assent_status append_sum(const struct own *own, struct bytes below, assent_list *out)
{
    char k[KEY_TEXT_MAX], text[WIDE_TEXT_BYTES];
    int64_t number = 0;
    if (below.data != NULL && !number_parse(below, &number))
        return error_set(ASSENT_NOT_INTEGER,
                         "the transaction adds to the key %s, which has no integer",
                         key_text(own->key, k));
    if (!number_fits(number + own->least) || !number_fits(number + own->greatest))
        return error_set(ASSENT_OVERFLOW,
                         "the transaction's adds take the key %s past 64 bits, from %lld",
                         key_text(own->key, k), (long long)number);
    number_text(number + own->net, text);
    list_append(out, &(assent_entry){.found = true,
                                     .key = own->key.data,
                                     .key_len = own->key.len,
                                     .value = text,
                                     .value_len = strlen(text)});
    return ASSENT_OK;
}

assent_status overlay_append(const struct own *own, const assent_entry *below, assent_list *out)
{
    static const uint8_t empty;
    assent_entry entry = {.key = own->key.data, .key_len = own->key.len};
    struct bytes value = {0};
    bool found = own->base == BASE_PUT;
    if (own->base == BASE_PUT)
        value = own->value;
    if (own->base == BASE_SNAPSHOT && below != NULL && below->found) {
        found = true;
        value = bytes_of(below->value, below->value_len);
        entry.version = below->version;
    }
    if (found && value.data == NULL)
        value.data = &empty;
    if (own->adds > 0)
        return append_sum(own, value, out);
    entry.found = found;
    entry.value = value.data;
    entry.value_len = value.len;
    list_append(out, &entry);
    return ASSENT_OK;
}

/* ---- a range ---- */

/* Where a merge is: the next row and the next own write, or NULL. */
struct cursor {
    const struct merge *m;
    size_t row;
    uint32_t own;
};

static const assent_entry *cursor_row(const struct cursor *c)
{
    return assent_list_entry(c->m->rows, c->row);
}

static bool rows_truncated(const assent_list *rows)
{
    size_t n = assent_list_size(rows);
    return n > 0 && assent_list_entry(rows, n - 1)->truncated;
}

/* In the order of the scan. */
static int scan_compare(const struct merge *m, struct bytes a, struct bytes b)
{
    int order = bytes_compare(a, b);
    return m->descending ? -order : order;
}

static struct bytes entry_key(const assent_entry *entry)
{
    return bytes_of(entry->key, entry->key_len);
}

/* NULL as well for what is behind the last row when that is where the rows were cut. */
static const struct own *cursor_own(const struct cursor *c)
{
    const struct overlay *o = c->m->overlay;
    if (c->own == o->n)
        return NULL;
    const struct own *own = &o->own[c->m->descending ? o->n - 1 - c->own : c->own];
    if (!rows_truncated(c->m->rows))
        return own;
    const assent_entry *last = assent_list_entry(c->m->rows, assent_list_size(c->m->rows) - 1);
    return scan_compare(c->m, own->key, entry_key(last)) > 0 ? NULL : own;
}

/* Moves past the next key; false: there is none. *row or *own may be NULL. */
static bool cursor_next(struct cursor *c, const assent_entry **row, const struct own **own)
{
    *row = cursor_row(c);
    *own = cursor_own(c);
    if (*row == NULL && *own == NULL)
        return false;
    int order = *row == NULL ? 1 : -1;
    if (*row != NULL && *own != NULL)
        order = scan_compare(c->m, entry_key(*row), (*own)->key);
    if (order > 0)
        *row = NULL;
    if (order < 0)
        *own = NULL;
    c->row += *row != NULL;
    c->own += *own != NULL;
    return true;
}

assent_status overlay_merge(struct merge *m)
{
    struct cursor c = {.m = m};
    const assent_entry *row;
    const struct own *own;
    while (cursor_next(&c, &row, &own)) {
        if (own != NULL && own_deleted(own))
            continue;
        if (m->limit > 0 && assent_list_size(m->list) == m->limit) {
            list_truncate(m->list);
            return ASSENT_OK;
        }
        if (own == NULL) {
            assent_entry entry = *row;
            entry.truncated = false;
            list_append(m->list, &entry);
            continue;
        }
        assent_status status = overlay_append(own, row, m->list);
        if (status != ASSENT_OK) {
            m->failed = own->key;
            return status;
        }
    }
    if (rows_truncated(m->rows) && assent_list_size(m->list) > 0)
        list_truncate(m->list);
    return ASSENT_OK;
}
