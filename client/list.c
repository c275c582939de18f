#include "client/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ops_codec.h"

struct assent_list {
    struct results results;
    size_t n, cap;
    assent_entry *entry;
    bool copies; /* each entry's bytes are one allocation, found again by the key */
    assent_read_info info;
};

const assent_read_info *list_info(const assent_list *list)
{
    return &list->info;
}

void list_describe(assent_list *list, const assent_read_info *info)
{
    list->info = *info;
}

_Static_assert(sizeof(assent_txid) == sizeof(struct txid), "a public txid is a txid");

assent_entry entry_of(const struct result *result)
{
    assent_entry entry = {
        .found = result->found,
        .truncated = result->truncated,
        .key = result->key.data,
        .key_len = result->key.len,
        .value = result->value.data,
        .value_len = result->value.len,
        .version = {.ts = result->version.ts, .applies = result->version.applies},
    };
    memcpy(entry.version.txid.bytes, result->version.txid.b, TXID_BYTES);
    return entry;
}

assent_status list_new(struct blob *results, assent_list **out)
{
    assent_list *list = xcalloc(1, sizeof *list);
    assent_status status = results == NULL ? ASSENT_OK : results_decode(results, &list->results);
    *out = NULL;
    if (status != ASSENT_OK) {
        free(list);
        return status;
    }
    list->entry = xcalloc(list->results.n, sizeof *list->entry);
    for (uint32_t i = 0; i < list->results.n; i++)
        list->entry[i] = entry_of(&list->results.result[i]);
    list->n = list->cap = list->results.n;
    *out = list;
    return ASSENT_OK;
}

assent_list *list_empty(void)
{
    assent_list *list = xcalloc(1, sizeof *list);
    list->copies = true;
    return list;
}

void list_append(assent_list *list, const assent_entry *entry)
{
    if (list->n == list->cap) {
        list->cap = list->cap == 0 ? 8 : 2 * list->cap;
        list->entry = xrealloc(list->entry, list->cap * sizeof *list->entry);
    }
    uint8_t *copy = xmalloc(entry->key_len + entry->value_len);
    memcpy(copy, entry->key, entry->key_len);
    if (entry->value_len > 0)
        memcpy(copy + entry->key_len, entry->value, entry->value_len);
    list->entry[list->n] = *entry;
    list->entry[list->n].key = copy;
    list->entry[list->n].value = copy + entry->key_len;
    list->n++;
}

void list_truncate(assent_list *list)
{
    list->entry[list->n - 1].truncated = true;
}

void assent_list_free(assent_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; list->copies && i < list->n; i++)
        free((void *)(uintptr_t)list->entry[i].key);
    results_free(&list->results);
    free(list->entry);
    free(list);
}

size_t assent_list_size(const assent_list *list)
{
    return list == NULL ? 0 : list->n;
}

const assent_entry *assent_list_entry(const assent_list *list, size_t index)
{
    return index < assent_list_size(list) ? &list->entry[index] : NULL;
}

const char *key_text(struct bytes key, char out[KEY_TEXT_MAX])
{
    size_t at = 0;
    for (size_t i = 0; i < key.len; i++) {
        bool plain = key.data[i] >= 0x20 && key.data[i] < 0x7f && key.data[i] != '\\';
        /* room for this byte, for "..." and for the zero */
        if (at + (plain ? 1 : 4) + 4 > KEY_TEXT_MAX) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (plain)
            out[at++] = (char)key.data[i];
        else
            at += (size_t)snprintf(out + at, 5, "\\x%02x", key.data[i]);
    }
    out[at] = '\0';
    return out;
}
