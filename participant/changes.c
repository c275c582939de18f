#include "participant/changes.h"

#include <stdlib.h>

#include "common/limits.h"

struct entry {
    hlc_ts ts;
    struct blob *key;
};

struct changes {
    uint32_t max;
    size_t max_bytes;
    size_t bytes;
    uint32_t cap;        /* of `entry`; grows up to max */
    struct entry *entry; /* number n is at n % cap */
    uint64_t last;
    uint64_t dropped;
    hlc_ts dropped_ts;
};

struct changes *changes_new(uint32_t max, size_t max_bytes)
{
    struct changes *c = xcalloc(1, sizeof *c);
    c->max = max;
    c->max_bytes = max_bytes;
    return c;
}

static struct entry *entry_at(const struct changes *c, uint64_t number)
{
    return &c->entry[number % c->cap];
}

static size_t entry_bytes(const struct blob *key)
{
    return blob_bytes(key).len + CHANGE_BYTES;
}

static void drop_first(struct changes *c)
{
    struct entry *first = entry_at(c, ++c->dropped);
    c->bytes -= entry_bytes(first->key);
    if (first->ts > c->dropped_ts)
        c->dropped_ts = first->ts;
    blob_unref(first->key);
}

void changes_free(struct changes *c)
{
    if (c == NULL)
        return;
    while (c->dropped < c->last)
        drop_first(c);
    free(c->entry);
    free(c);
}

static void grow(struct changes *c)
{
    struct changes old = *c;
    c->cap = old.cap == 0 ? 64 : 2 * old.cap;
    if (c->cap > c->max)
        c->cap = c->max;
    c->entry = xcalloc(c->cap, sizeof *c->entry);
    for (uint64_t n = c->dropped + 1; n <= c->last; n++)
        *entry_at(c, n) = *entry_at(&old, n);
    free(old.entry);
}

void changes_add(struct changes *c, hlc_ts ts, struct bytes key)
{
    if (changes_kept(c) == c->cap && c->cap < c->max)
        grow(c);
    if (changes_kept(c) == c->cap)
        drop_first(c);
    c->last++;
    *entry_at(c, c->last) = (struct entry){ts, blob_new(key)};
    c->bytes += entry_bytes(entry_at(c, c->last)->key);
    while (c->bytes > c->max_bytes)
        drop_first(c);
}

void changes_missed(struct changes *c, hlc_ts ts)
{
    if (ts > c->dropped_ts)
        c->dropped_ts = ts;
}

uint64_t changes_last(const struct changes *c)
{
    return c->last;
}

uint64_t changes_dropped(const struct changes *c)
{
    return c->dropped;
}

hlc_ts changes_dropped_ts(const struct changes *c)
{
    return c->dropped_ts;
}

uint32_t changes_kept(const struct changes *c)
{
    return (uint32_t)(c->last - c->dropped);
}

struct change changes_at(const struct changes *c, uint64_t number)
{
    const struct entry *entry = entry_at(c, number);
    return (struct change){entry->ts, blob_bytes(entry->key)};
}
