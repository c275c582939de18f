#include "participant/kv_overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Looks up by bytes without building a struct kv_write, whose key is inline. */
static struct bytes write_key(const struct kv_write *write)
{
    return bytes_of(write->key, write->key_len);
}

static int write_compare(const struct kv_write *a, const struct kv_write *b)
{
    return bytes_compare(write_key(a), write_key(b));
}

static int outcome_compare(const struct kv_entry *a, const struct kv_entry *b)
{
    return txid_compare(&a->txid, &b->txid);
}

RB_STATIC(kv_write_tree, kv_write, link, write_compare)
RB_STATIC(kv_outcome_tree, kv_entry, outcome_link, outcome_compare)

void kv_overlay_init(struct kv_overlay *o)
{
    TAILQ_INIT(&o->entries);
    o->cursor = NULL;
    RB_INIT(&o->newest);
    RB_INIT(&o->outcomes);
}

struct kv_entry *kv_entry_new(const struct record *record)
{
    struct kv_entry *entry = xcalloc(1, sizeof *entry);
    entry->kind = record->kind;
    entry->txid = record->txid;
    entry->ts = record->ts;
    return entry;
}

struct kv_write *kv_entry_write(struct kv_entry *entry, struct bytes key)
{
    struct kv_write *write = xcalloc(1, sizeof *write + key.len);
    write->entry = entry;
    write->key_len = key.len;
    if (key.len > 0)
        memcpy(write->key, key.data, key.len);
    /* Room doubles at every power of two. */
    if ((entry->n & (entry->n - 1)) == 0)
        entry->write = xrealloc(entry->write, (entry->n == 0 ? 1 : 2 * (size_t)entry->n) *
                                                  sizeof(struct kv_write *));
    entry->write[entry->n++] = write;
    return write;
}

void kv_entry_free(struct kv_entry *entry)
{
    for (uint32_t i = 0; i < entry->n; i++) {
        blob_unref(entry->write[i]->value);
        free(entry->write[i]);
    }
    free(entry->write);
    blob_unref(entry->body);
    free(entry);
}

void kv_overlay_push(struct kv_overlay *o, struct kv_entry *entry)
{
    for (uint32_t i = 0; i < entry->n; i++) {
        struct kv_write *write = entry->write[i], *older;
        while ((older = RB_INSERT(kv_write_tree, &o->newest, write)) != NULL) {
            RB_REMOVE(kv_write_tree, &o->newest, older);
            older->newest = false;
            older->newer = write;
            write->older = older;
        }
        write->newest = true;
    }
    if (entry->kind != RECORD_PREPARED)
        entry->outcome_known = RB_INSERT(kv_outcome_tree, &o->outcomes, entry) == NULL;
    TAILQ_INSERT_TAIL(&o->entries, entry, link);
    if (o->cursor == NULL)
        o->cursor = entry;
}

struct kv_entry *kv_overlay_apply(struct kv_overlay *o, const struct record *record)
{
    struct kv_entry *entry = o->cursor;
    if (entry == NULL || entry->kind != record->kind || !txid_equal(&entry->txid, &record->txid)) {
        char text[TXID_TEXT_BYTES];
        fprintf(stderr, "assent: kv_overlay: %s %s is applied out of log order\n",
                record_name(record->kind), txid_text(&record->txid, text));
        abort();
    }
    if (record->kind == RECORD_PREPARED)
        entry->body = blob_ref(record->body);
    entry->taken = true;
    o->cursor = TAILQ_NEXT(entry, link);
    return entry;
}

static void entry_remove(struct kv_overlay *o, struct kv_entry *entry)
{
    for (uint32_t i = 0; i < entry->n; i++) {
        struct kv_write *write = entry->write[i];
        if (write->newest)
            RB_REMOVE(kv_write_tree, &o->newest, write);
        else
            write->newer->older = NULL;
    }
    if (entry->outcome_known)
        RB_REMOVE(kv_outcome_tree, &o->outcomes, entry);
    TAILQ_REMOVE(&o->entries, entry, link);
    kv_entry_free(entry);
}

void kv_overlay_settle(struct kv_overlay *o)
{
    struct kv_entry *entry;
    while ((entry = TAILQ_FIRST(&o->entries)) != o->cursor)
        entry_remove(o, entry);
}

void kv_overlay_rewind(struct kv_overlay *o)
{
    struct kv_entry *entry = TAILQ_FIRST(&o->entries);
    for (; entry != o->cursor; entry = TAILQ_NEXT(entry, link)) {
        entry->taken = entry->outcome_in_tables = false;
        blob_unref(entry->body);
        entry->body = NULL;
        for (uint32_t i = 0; i < entry->n; i++)
            entry->write[i]->in_tables = false;
    }
    o->cursor = TAILQ_FIRST(&o->entries);
}

void kv_overlay_free(struct kv_overlay *o)
{
    o->cursor = NULL;
    kv_overlay_settle(o);
}

const struct kv_write *kv_overlay_from(const struct kv_overlay *o, struct bytes key)
{
    const struct kv_write *at = RB_ROOT(&o->newest), *first = NULL;
    while (at != NULL) {
        int order = bytes_compare(key, write_key(at));
        if (order <= 0)
            first = at;
        if (order == 0)
            break;
        at = order < 0 ? RB_LEFT(at, link) : RB_RIGHT(at, link);
    }
    return first;
}

const struct kv_write *kv_overlay_find(const struct kv_overlay *o, struct bytes key)
{
    const struct kv_write *write = kv_overlay_from(o, key);
    return write != NULL && bytes_equal(write_key(write), key) ? write : NULL;
}

const struct kv_write *kv_overlay_next(const struct kv_write *write)
{
    /* libbsd's walk takes no const pointer; it changes nothing. */
    return kv_write_tree_RB_NEXT((struct kv_write *)(uintptr_t)write);
}

const struct kv_write *kv_overlay_before(const struct kv_overlay *o, struct bytes key)
{
    const struct kv_write *at = RB_ROOT(&o->newest), *last = NULL;
    while (at != NULL) {
        bool below = key.len == 0 || bytes_compare(write_key(at), key) < 0;
        if (below)
            last = at;
        at = below ? RB_RIGHT(at, link) : RB_LEFT(at, link);
    }
    return last;
}

const struct kv_write *kv_overlay_previous(const struct kv_write *write)
{
    return kv_write_tree_RB_PREV((struct kv_write *)(uintptr_t)write);
}

struct kv_cell kv_write_cell(const struct kv_write *write)
{
    return (struct kv_cell){
        .key = write_key(write),
        .value = blob_bytes(write->value),
        .live = write->value != NULL,
        .version = write->version,
    };
}

struct kv_entry *kv_overlay_outcome(const struct kv_overlay *o, const struct txid *txid)
{
    struct kv_entry *at = RB_ROOT(&o->outcomes);
    while (at != NULL) {
        int order = txid_compare(txid, &at->txid);
        if (order == 0)
            return at;
        at = order < 0 ? RB_LEFT(at, outcome_link) : RB_RIGHT(at, outcome_link);
    }
    return NULL;
}

uint64_t kv_overlay_outcome_newest(const struct kv_overlay *o)
{
    const struct kv_entry *at = RB_ROOT(&o->outcomes);
    while (at != NULL && RB_RIGHT(at, outcome_link) != NULL)
        at = RB_RIGHT(at, outcome_link);
    return at == NULL ? 0 : txid_ms(&at->txid);
}
