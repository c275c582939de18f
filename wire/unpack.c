#include "wire/unpack.h"

#include "wire/text.h"
#include "wire/value.h"

static const struct bytes no_bytes = {NULL, 0};

struct unpack unpack_open(struct unpack_tree *tree, struct bytes b, uint32_t max)
{
    *tree = (struct unpack_tree){.rest = b};
    struct unpack root = {tree, 1};
    return unpack_array(&root, 0, max, "bytes");
}

void unpack_fail(struct unpack *u, assent_status status, const char *field, const char *problem)
{
    if (unpack_good(u))
        u->tree->fault = (struct unpack_fault){status, field, problem};
}

bool unpack_good(const struct unpack *u)
{
    return u->tree->fault.status == ASSENT_OK;
}

/* The next value, of whatever kind. False with a fault. */
static bool unpack_next(struct unpack *u, const char *field, struct value *out)
{
    if (!unpack_good(u))
        return false;
    const char *why = u->left == 0 ? "missing" : value_read(&u->tree->rest, out);
    if (why != NULL) {
        unpack_fail(u, ASSENT_MALFORMED, field, why);
        return false;
    }
    u->left--;
    return true;
}

/* The next value if it is of this kind. False with a fault. */
static bool unpack_kind(struct unpack *u, enum value_kind kind, const char *field,
                        const char *problem, struct value *out)
{
    if (!unpack_next(u, field, out))
        return false;
    if (out->kind == kind)
        return true;
    unpack_fail(u, ASSENT_MALFORMED, field, problem);
    return false;
}

uint64_t unpack_uint(struct unpack *u, uint64_t max, const char *field)
{
    struct value value;
    if (!unpack_kind(u, VALUE_UNSIGNED, field, "not an unsigned integer", &value))
        return 0;
    if (value.number <= max)
        return value.number;
    unpack_fail(u, ASSENT_MALFORMED, field, "out of range");
    return 0;
}

int64_t unpack_int(struct unpack *u, const char *field)
{
    struct value value;
    if (!unpack_next(u, field, &value))
        return 0;
    if (value.kind == VALUE_NEGATIVE)
        return value.negative;
    if (value.kind != VALUE_UNSIGNED)
        unpack_fail(u, ASSENT_MALFORMED, field, "not an integer");
    else if (value.number > INT64_MAX)
        unpack_fail(u, ASSENT_MALFORMED, field, "out of range");
    else
        return (int64_t)value.number;
    return 0;
}

bool unpack_bool(struct unpack *u, const char *field)
{
    struct value value;
    return unpack_kind(u, VALUE_BOOLEAN, field, "not a boolean", &value) && value.boolean;
}

bool unpack_nil(struct unpack *u)
{
    struct bytes rest = u->tree->rest;
    struct value value;
    if (u->left == 0 || !unpack_good(u) || value_read(&rest, &value) != NULL ||
        value.kind != VALUE_NIL)
        return false;
    u->tree->rest = rest;
    u->left--;
    return true;
}

static struct bytes unpack_sized(struct unpack *u, struct bytes b, size_t min, size_t max,
                                 const char *field)
{
    if (b.len < min)
        unpack_fail(u, ASSENT_MALFORMED, field, b.len == 0 ? "empty" : "too short");
    if (b.len > max)
        unpack_fail(u, ASSENT_TOO_LARGE, field, "too long");
    return unpack_good(u) ? b : no_bytes;
}

struct bytes unpack_bin(struct unpack *u, size_t min, size_t max, const char *field)
{
    struct value value;
    if (!unpack_kind(u, VALUE_BYTES, field, "not bytes", &value))
        return no_bytes;
    return unpack_sized(u, value.bytes, min, max, field);
}

struct blob *unpack_blob(struct unpack *u, size_t min, size_t max, const char *field)
{
    struct bytes b = unpack_bin(u, min, max, field);
    return unpack_good(u) ? blob_new(b) : NULL;
}

struct blob *unpack_blob_or_nil(struct unpack *u, size_t max, const char *field)
{
    return unpack_nil(u) ? NULL : unpack_blob(u, 0, max, field);
}

struct bytes unpack_text(struct unpack *u, size_t max, bool lines, const char *field)
{
    struct value value;
    if (!unpack_kind(u, VALUE_TEXT, field, "not text", &value))
        return no_bytes;
    struct bytes text = unpack_sized(u, value.bytes, 0, max, field);
    if (text_printable(text, lines))
        return text;
    unpack_fail(u, ASSENT_MALFORMED, field, "not printable UTF-8");
    return no_bytes;
}

struct unpack unpack_array(struct unpack *u, uint32_t min, uint32_t max, const char *field)
{
    struct value value;
    struct unpack array = {u->tree, 0};
    if (!unpack_kind(u, VALUE_ARRAY, field, "not an array", &value))
        return array;
    if (value.count < min)
        unpack_fail(u, ASSENT_MALFORMED, field, "too few values");
    else if (value.count > max)
        unpack_fail(u, ASSENT_TOO_LARGE, field, "too many values");
    else
        array.left = value.count;
    return array;
}

void unpack_end(struct unpack *u, const char *field)
{
    if (u->left > 0)
        unpack_fail(u, ASSENT_MALFORMED, field, "too many values");
}

void unpack_close(struct unpack *u, const char *field)
{
    unpack_end(u, field);
    if (u->tree->rest.len > 0)
        unpack_fail(u, ASSENT_MALFORMED, field, "bytes follow the end");
}
