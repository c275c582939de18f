#include "participant/kv_writes.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/number.h"
#include "participant/kv_say.h"

/* The keys of one transaction, in the entry's own writes: their links are free until it is pushed.
 */
static int write_compare(const struct kv_write *a, const struct kv_write *b)
{
    return bytes_compare(kv_write_cell(a).key, kv_write_cell(b).key);
}

RB_HEAD(own_tree, kv_write);
RB_STATIC(own_tree, kv_write, link, write_compare)

static struct kv_write *own_find(const struct own_tree *own, struct bytes key)
{
    struct kv_write *at = RB_ROOT(own);
    while (at != NULL) {
        int order = bytes_compare(key, kv_write_cell(at).key);
        if (order == 0)
            return at;
        at = order < 0 ? RB_LEFT(at, link) : RB_RIGHT(at, link);
    }
    return NULL;
}

static void write_add(struct kv_write *write, const struct kv_entry *entry, const struct op *op)
{
    int64_t before = 0, after = 0;
    char text[WIDE_TEXT_BYTES], quoted[KV_QUOTED_BYTES];
    if ((write->value != NULL && !number_parse(blob_bytes(write->value), &before)) ||
        __builtin_add_overflow(before, op->number, &after)) {
        fprintf(stderr, "assent: kv_writes: a prepared add to key %s cannot be applied\n",
                kv_quote(op->key, quoted));
        abort();
    }
    blob_unref(write->value);
    write->value = blob_new(bytes_of_text(number_text(after, text)));
    kv_version_add(&write->version, entry->ts, &entry->txid, 1);
    write->late = write->version.ts > entry->ts;
    write->net += op->number;
    write->adds++;
}

static void write_replace(struct kv_write *write, const struct kv_entry *entry, const struct op *op)
{
    blob_unref(write->value);
    write->value = op->kind == OP_PUT ? blob_new(op->value) : NULL;
    write->version = (struct version){entry->ts, entry->txid, 0};
    write->late = false;
    write->adds = 0;
    write->net = 0;
}

int kv_writes_compute(struct kv_entry *entry, const struct kv_view *view, const struct ops *ops)
{
    struct own_tree own = RB_INITIALIZER(&own);
    for (uint32_t i = 0; i < ops->n; i++) {
        const struct op *op = &ops->op[i];
        if (!op_is_write(op->kind))
            continue;
        struct kv_write *write = own_find(&own, op->key);
        if (write == NULL) {
            struct kv_cell cell = {0};
            int rc = op->kind == OP_ADD ? kv_view_get(view, op->key, &cell) : SQLITE_OK;
            if (rc != SQLITE_OK)
                return rc;
            write = kv_entry_write(entry, op->key);
            write->value = cell.live ? blob_new(cell.value) : NULL;
            write->version = cell.version;
            RB_INSERT(own_tree, &own, write);
        }
        if (op->kind == OP_ADD)
            write_add(write, entry, op);
        else
            write_replace(write, entry, op);
    }
    return SQLITE_OK;
}
