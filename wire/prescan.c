#include "wire/prescan.h"

#include "common/limits.h"

/* What a value's first byte says about the bytes that follow. */
struct shape {
    bool array;
    uint8_t width;  /* bytes of the length field */
    uint32_t fixed; /* payload bytes, or an array's count, when there is no length field */
};

static const struct shape no_payload = {false, 0, 0};

static bool shape_of(uint8_t first, struct shape *out)
{
    static const struct shape shapes[0x20] = {
        [0x04] = {false, 1, 0}, [0x05] = {false, 2, 0}, [0x06] = {false, 4, 0}, /* bin */
        [0x0c] = {false, 0, 1}, [0x0d] = {false, 0, 2}, [0x0e] = {false, 0, 4}, /* uint */
        [0x0f] = {false, 0, 8}, [0x10] = {false, 0, 1}, [0x11] = {false, 0, 2}, /* uint, int */
        [0x12] = {false, 0, 4}, [0x13] = {false, 0, 8},                         /* int */
        [0x19] = {false, 1, 0}, [0x1a] = {false, 2, 0}, [0x1b] = {false, 4, 0}, /* str */
        [0x1c] = {true, 2, 0},  [0x1d] = {true, 4, 0},                          /* array */
    };
    bool plain = first <= 0x7f || first >= 0xe0 || first == 0xc0 || first == 0xc2 || first == 0xc3;
    if (plain)
        *out = no_payload;
    else if (first < 0x90)
        return false; /* small map */
    else if (first < 0xa0)
        *out = (struct shape){true, 0, first & 0x0fu};
    else if (first < 0xc0)
        *out = (struct shape){false, 0, first & 0x1fu};
    else
        *out = shapes[first - 0xc0];
    return plain || out->array || out->width > 0 || out->fixed > 0 || first == 0xa0;
}

/* Takes the next value's header, and its payload unless it is an array. False with *why set. */
static bool value_take(struct bytes *rest, bool *array, uint32_t *count, const char **why)
{
    struct shape shape;
    if (rest->len == 0) {
        *why = "the bytes end too early";
        return false;
    }
    if (!shape_of(rest->data[0], &shape)) {
        *why = "a kind of value that is not used here";
        return false;
    }
    size_t header = 1u + shape.width;
    if (rest->len < header) {
        *why = "the bytes end too early";
        return false;
    }
    uint32_t length = shape.fixed;
    for (size_t i = 1; i < header; i++)
        length = length << 8 | rest->data[i];
    *rest = bytes_of(rest->data + header, rest->len - header);
    if (length > rest->len) {
        *why = shape.array ? "an array counts more values than there are bytes left"
                           : "a length is more than the bytes left";
        return false;
    }
    if (!shape.array)
        *rest = bytes_of(rest->data + length, rest->len - length);
    *array = shape.array;
    *count = length;
    return true;
}

bool prescan(struct bytes b, uint32_t values_max, const char **why)
{
    uint32_t open[FRAME_DEPTH_MAX]; /* values still to come in each array that is open */
    uint32_t depth = 0, values = 0;
    do {
        bool array;
        uint32_t count;
        if (!value_take(&b, &array, &count, why))
            return false;
        if (++values > values_max) {
            *why = "too many values in all";
            return false;
        }
        if (array && depth == FRAME_DEPTH_MAX) {
            *why = "arrays lie too deep in each other";
            return false;
        }
        if (depth > 0)
            open[depth - 1]--;
        if (array)
            open[depth++] = count;
        while (depth > 0 && open[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    if (b.len > 0)
        *why = "bytes follow the end";
    return b.len == 0;
}
