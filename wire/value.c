/* msgpack-c's parser, made of its template: it calls a function of this file, value_KIND, for what
 * it has read. At an array's header that function stops it (VALUE_OPENS_ARRAY), so the parser never
 * nests. */
#include "wire/value.h"

/* msgpack-c's name: arrays in arrays. */
#define MSGPACK_EMBED_STACK_SIZE 1
#include <msgpack/unpack.h>
#include <msgpack/unpack_define.h>

/* What the functions return: 0 when the value is whole, less to stop. */
#define VALUE_OPENS_ARRAY (-3)
#define VALUE_UNUSED      (-4)

/* The parser wants objects that it could put into arrays and maps: here they are nothing. */
typedef char value_object;
/* Where the value goes. */
typedef struct value *value_user;

static inline int value_whole(value_user *out, enum value_kind kind, value_object *object)
{
    (*out)->kind = kind;
    *object = 0;
    return 0;
}

static inline int value_nil(value_user *out, value_object *object)
{
    return value_whole(out, VALUE_NIL, object);
}

static inline int value_true(value_user *out, value_object *object)
{
    (*out)->boolean = true;
    return value_whole(out, VALUE_BOOLEAN, object);
}

static inline int value_false(value_user *out, value_object *object)
{
    (*out)->boolean = false;
    return value_whole(out, VALUE_BOOLEAN, object);
}

static inline int value_uint64(value_user *out, uint64_t number, value_object *object)
{
    (*out)->number = number;
    return value_whole(out, VALUE_UNSIGNED, object);
}

static inline int value_int64(value_user *out, int64_t number, value_object *object)
{
    if (number >= 0)
        return value_uint64(out, (uint64_t)number, object);
    (*out)->negative = number;
    return value_whole(out, VALUE_NEGATIVE, object);
}

static inline int value_string(value_user *out, enum value_kind kind, const char *at, size_t len,
                               value_object *object)
{
    (*out)->bytes = bytes_of(at, len);
    return value_whole(out, kind, object);
}

static inline int value_array(value_user *out, size_t count, value_object *object)
{
    (*out)->count = (uint32_t)count;
    value_whole(out, VALUE_ARRAY, object);
    return VALUE_OPENS_ARRAY;
}

#define value_root(out)                        0
#define value_uint8                            value_uint64
#define value_uint16                           value_uint64
#define value_uint32                           value_uint64
#define value_int8                             value_int64
#define value_int16                            value_int64
#define value_int32                            value_int64
#define value_bin(out, start, at, len, object) value_string(out, VALUE_BYTES, at, len, object)
#define value_str(out, start, at, len, object) value_string(out, VALUE_TEXT, at, len, object)
#define value_ext(out, start, at, len, object) VALUE_UNUSED
#define value_float(out, number, object)       VALUE_UNUSED
#define value_double(out, number, object)      VALUE_UNUSED
#define value_map(out, count, object)          VALUE_UNUSED
#define value_map_item(out, map, key, item)    VALUE_UNUSED
#define value_array_item(out, array, item)     VALUE_UNUSED

#define msgpack_unpack_struct(name)     struct value_parser##name
#define msgpack_unpack_func(type, name) static inline type value_parser##name
#define msgpack_unpack_callback(name)   value##name
#define msgpack_unpack_object           value_object
#define msgpack_unpack_user             value_user
#include <msgpack/unpack_template.h>

const char *value_read(struct bytes *rest, struct value *out)
{
    struct value_parser_context parser = {.user = out};
    size_t used = 0;
    value_parser_init(&parser);
    int verdict = 0;
    if (rest->len > 0) /* else there may be no address */
        verdict = value_parser_execute(&parser, (const char *)rest->data, rest->len, &used);
    if (verdict == 0)
        return "the bytes end too early";
    if (verdict < 0 && verdict != VALUE_OPENS_ARRAY)
        return "a kind of value that is not used here";
    if (verdict == VALUE_OPENS_ARRAY)
        used++; /* it stopped on the header's last byte, not behind it */
    rest->data += used;
    rest->len -= used;
    if (verdict == VALUE_OPENS_ARRAY && out->count > rest->len)
        return "an array counts more values than there are bytes left";
    return NULL;
}
