#include "client/command_walk.h"

#include <stdlib.h>

#include "client/command_range.h"

static void replace(struct writer *out, struct bytes b)
{
    out->len = 0;
    writer_raw(out, b.data, b.len);
}

bool command_walk_range(struct command_walk *w, struct bytes prefix, struct bytes from,
                        struct bytes to)
{
    command_range_after(prefix, &w->end);
    if (to.len > 0 && command_range_has(to, writer_view(&w->end)))
        replace(&w->end, to);
    replace(&w->key, bytes_compare(from, prefix) < 0 ? prefix : from);
    if (w->key.len == 0)
        writer_u8(&w->key, 0); /* the least key */
    return to.len == 0 || bytes_compare(from, to) < 0;
}

/* Shows one answer and moves the range past it; whether the range is done. */
static bool take(struct command_walk *w, const assent_list *list, struct writer *key,
                 struct writer *end)
{
    size_t n = assent_list_size(list);
    for (size_t i = 0; i < n; i++) {
        const assent_entry *entry = assent_list_entry(list, i);
        w->show(w->arg, entry);
        w->found++;
        if (!entry->truncated)
            continue;
        replace(w->descending ? end : key, bytes_of(entry->key, entry->key_len));
        if (!w->descending)
            writer_u8(key, 0);
        return false;
    }
    return true;
}

/* Keys of [key, end), which have one placement. */
static assent_status walk_placement(struct command_walk *w, struct writer *key, struct writer *end)
{
    bool done = false;
    while (!done && !w->more && command_range_has(writer_view(key), writer_view(end))) {
        assent_list *list = NULL;
        int64_t left = w->limit - w->found;
        uint32_t limit = w->limit == 0 || left > UINT32_MAX ? 0 : (uint32_t)left;
        assent_status status = w->read(w->arg, writer_view(key), writer_view(end), limit, &list);
        if (status != ASSENT_OK)
            return status;
        done = list == NULL || take(w, list, key, end);
        assent_list_free(list);
        w->more = w->limit != 0 && w->found >= w->limit;
    }
    return ASSENT_OK;
}

/* The last part of the range that has one placement, or none. */
static void last_part(const struct command_walk *w, struct writer *key)
{
    struct writer border = {0};
    replace(key, writer_view(&w->key));
    for (;;) {
        command_range_placed(w->cluster, writer_view(key), writer_view(&w->end), &border);
        if (bytes_equal(writer_view(&border), writer_view(&w->end)))
            break;
        replace(key, writer_view(&border));
    }
    writer_free(&border);
}

assent_status command_walk(struct command_walk *w)
{
    struct writer key = {0}, end = {0};
    assent_status status = ASSENT_OK;
    bool last = !command_range_has(writer_view(&w->key), writer_view(&w->end));
    while (status == ASSENT_OK && !last && !w->more) {
        replace(&key, writer_view(&w->key));
        replace(&end, writer_view(&w->end));
        if (w->descending)
            last_part(w, &key);
        else
            command_range_placed(w->cluster, writer_view(&key), writer_view(&w->end), &end);
        last = w->descending ? bytes_equal(writer_view(&key), writer_view(&w->key))
                             : bytes_equal(writer_view(&end), writer_view(&w->end));
        replace(w->descending ? &w->end : &w->key, writer_view(w->descending ? &key : &end));
        if (cluster_place(w->cluster, writer_view(&key)) != NULL)
            status = walk_placement(w, &key, &end);
    }
    writer_free(&key);
    writer_free(&end);
    return status;
}

void command_walk_free(struct command_walk *w)
{
    writer_free(&w->key);
    writer_free(&w->end);
}
