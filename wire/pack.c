/* msgpack-c's packer, made of its template, which appends through pack_append. */
#include "wire/pack.h"

#include <string.h>

#include <msgpack/pack_define.h>
#include <msgpack/timestamp.h>

#include "wire/text.h"

/* Makes room for len more bytes; refuses when they would pass the limit. */
static bool pack_grow(struct pack *p, size_t len)
{
    if (p->end - p->out->len < len) {
        p->refused = true;
        return false;
    }
    writer_reserve(p->out, len);
    p->room = p->out->cap < p->end ? p->out->cap : p->end;
    return true;
}

static inline int pack_append(struct pack *p, const void *bytes, size_t len)
{
    if (p->room - p->out->len < len && !pack_grow(p, len))
        return -1;
    memcpy(p->out->data + p->out->len, bytes, len);
    p->out->len += len;
    return 0;
}

#define msgpack_pack_inline_func(name)            static inline int packer##name
#define msgpack_pack_inline_func_cint(name)       static inline int packer##name
#define msgpack_pack_user                         struct pack *
#define msgpack_pack_append_buffer(p, bytes, len) return pack_append(p, bytes, len)
#include <msgpack/pack_template.h>

void pack_start(struct pack *p, struct writer *out, size_t max)
{
    *p = (struct pack){.out = out, .room = out->len, .end = out->len + max};
}

void pack_array(struct pack *p, uint32_t n)
{
    packer_array(p, n);
}

void pack_nil(struct pack *p)
{
    packer_nil(p);
}

void pack_bool(struct pack *p, bool v)
{
    if (v)
        packer_true(p);
    else
        packer_false(p);
}

void pack_uint(struct pack *p, uint64_t v)
{
    packer_uint64(p, v);
}

void pack_int(struct pack *p, int64_t v)
{
    packer_int64(p, v);
}

void pack_bin(struct pack *p, struct bytes b)
{
    packer_bin(p, b.len);
    if (b.len > 0)
        packer_bin_body(p, b.data, b.len);
}

void pack_blob(struct pack *p, const struct blob *blob, size_t max)
{
    if (blob == NULL)
        pack_nil(p);
    else if (blob->len > max)
        p->refused = true;
    else
        pack_bin(p, blob_bytes(blob));
}

static void pack_str(struct pack *p, struct bytes text)
{
    packer_str(p, text.len);
    if (text.len > 0)
        packer_str_body(p, text.data, text.len);
}

void pack_text(struct pack *p, struct bytes text, size_t max, bool lines)
{
    if (text.len <= max && text_printable(text, lines)) {
        pack_str(p, text);
        return;
    }
    struct writer clean = {0};
    text_clean(text, max, lines, &clean);
    pack_str(p, writer_view(&clean));
    writer_free(&clean);
}
