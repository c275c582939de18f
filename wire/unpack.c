#include "wire/unpack.h"

#include "wire/prescan.h"
#include "wire/text.h"

static const struct bytes no_bytes = {NULL, 0};

struct unpack unpack_open(struct unpack_tree *tree, struct bytes b, uint32_t max, uint32_t max_all)
{
    struct unpack root = {&tree->unpacked.data, 1, &tree->fault};
    const char *why = "";
    size_t offset = 0;
    tree->fault = (struct unpack_fault){0};
    msgpack_unpacked_init(&tree->unpacked);
    if (!prescan(b, max_all, &why))
        unpack_fail(&root, ASSENT_MALFORMED, "bytes", why);
    else if (msgpack_unpack_next(&tree->unpacked, (const char *)b.data, b.len, &offset) !=
                 MSGPACK_UNPACK_SUCCESS ||
             offset != b.len)
        unpack_fail(&root, ASSENT_MALFORMED, "bytes", "not MessagePack, or out of memory");
    return unpack_array(&root, 0, max, "bytes");
}

void unpack_close(struct unpack_tree *tree)
{
    msgpack_unpacked_destroy(&tree->unpacked);
}

void unpack_fail(struct unpack *u, assent_status status, const char *field, const char *problem)
{
    if (u->fault->status == ASSENT_OK)
        *u->fault = (struct unpack_fault){status, field, problem};
}

bool unpack_good(const struct unpack *u)
{
    return u->fault->status == ASSENT_OK;
}

/* The next value if it is of this type; else NULL, with a fault. */
static const msgpack_object *unpack_next(struct unpack *u, msgpack_object_type type,
                                         const char *field, const char *problem)
{
    if (u->left == 0)
        unpack_fail(u, ASSENT_MALFORMED, field, "missing");
    if (!unpack_good(u))
        return NULL;
    if (u->at->type != type) {
        unpack_fail(u, ASSENT_MALFORMED, field, problem);
        return NULL;
    }
    u->left--;
    return u->at++;
}

uint64_t unpack_uint(struct unpack *u, uint64_t max, const char *field)
{
    const msgpack_object *o =
        unpack_next(u, MSGPACK_OBJECT_POSITIVE_INTEGER, field, "not an unsigned integer");
    if (o == NULL)
        return 0;
    if (o->via.u64 <= max)
        return o->via.u64;
    unpack_fail(u, ASSENT_MALFORMED, field, "out of range");
    return 0;
}

int64_t unpack_int(struct unpack *u, const char *field)
{
    if (u->left > 0 && u->at->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        return (int64_t)unpack_uint(u, INT64_MAX, field);
    const msgpack_object *o =
        unpack_next(u, MSGPACK_OBJECT_NEGATIVE_INTEGER, field, "not an integer");
    return o == NULL ? 0 : o->via.i64;
}

bool unpack_bool(struct unpack *u, const char *field)
{
    const msgpack_object *o = unpack_next(u, MSGPACK_OBJECT_BOOLEAN, field, "not a boolean");
    return o != NULL && o->via.boolean;
}

bool unpack_nil(struct unpack *u)
{
    if (u->left == 0 || !unpack_good(u) || u->at->type != MSGPACK_OBJECT_NIL)
        return false;
    u->left--;
    u->at++;
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
    const msgpack_object *o = unpack_next(u, MSGPACK_OBJECT_BIN, field, "not bytes");
    if (o == NULL)
        return no_bytes;
    return unpack_sized(u, bytes_of(o->via.bin.ptr, o->via.bin.size), min, max, field);
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
    const msgpack_object *o = unpack_next(u, MSGPACK_OBJECT_STR, field, "not text");
    if (o == NULL)
        return no_bytes;
    struct bytes text = unpack_sized(u, bytes_of(o->via.str.ptr, o->via.str.size), 0, max, field);
    if (text_printable(text, lines))
        return text;
    unpack_fail(u, ASSENT_MALFORMED, field, "not printable UTF-8");
    return no_bytes;
}

struct unpack unpack_array(struct unpack *u, uint32_t min, uint32_t max, const char *field)
{
    struct unpack none = {NULL, 0, u->fault};
    const msgpack_object *o = unpack_next(u, MSGPACK_OBJECT_ARRAY, field, "not an array");
    if (o == NULL)
        return none;
    const msgpack_object_array *array = &o->via.array;
    if (array->size < min)
        unpack_fail(u, ASSENT_MALFORMED, field, "too few values");
    if (array->size > max)
        unpack_fail(u, ASSENT_TOO_LARGE, field, "too many values");
    return unpack_good(u) ? (struct unpack){array->ptr, array->size, u->fault} : none;
}

void unpack_end(struct unpack *u, const char *field)
{
    if (u->left > 0)
        unpack_fail(u, ASSENT_MALFORMED, field, "too many values");
}
