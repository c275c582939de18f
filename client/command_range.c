#include "client/command_range.h"

static void replace(struct writer *out, struct bytes b)
{
    out->len = 0;
    writer_raw(out, b.data, b.len);
}

bool command_range_has(struct bytes key, struct bytes end)
{
    return end.len == 0 || bytes_compare(key, end) < 0;
}

void command_range_after(struct bytes prefix, struct writer *out)
{
    size_t len = prefix.len;
    while (len > 0 && prefix.data[len - 1] == 0xff)
        len--;
    replace(out, bytes_of(prefix.data, len));
    if (len > 0)
        out->data[len - 1]++;
}

void command_range_placed(const struct cluster *cluster, struct bytes key, struct bytes end,
                          struct writer *out)
{
    struct writer after = {0};
    replace(out, end);
    for (int i = 0; i < cluster->placements; i++) {
        struct bytes prefix = cluster->placement[i].prefix;
        command_range_after(prefix, &after);
        struct bytes border[2] = {prefix, writer_view(&after)};
        for (int j = 0; j < 2; j++)
            if (border[j].len > 0 && bytes_compare(border[j], key) > 0 &&
                command_range_has(border[j], writer_view(out)))
                replace(out, border[j]);
    }
    writer_free(&after);
}
