#include "wire/pack.h"

#include "wire/text.h"

static int pack_append(void *data, const char *bytes, size_t len)
{
    struct pack *p = data;
    if (p->refused || p->end - p->out->len < len) {
        p->refused = true;
        return -1;
    }
    writer_raw(p->out, bytes, len);
    return 0;
}

void pack_start(struct pack *p, struct writer *out, size_t max)
{
    *p = (struct pack){.out = out, .end = out->len + max};
    msgpack_packer_init(&p->packer, p, pack_append);
}

void pack_array(struct pack *p, uint32_t n)
{
    msgpack_pack_array(&p->packer, n);
}

void pack_nil(struct pack *p)
{
    msgpack_pack_nil(&p->packer);
}

void pack_bool(struct pack *p, bool v)
{
    if (v)
        msgpack_pack_true(&p->packer);
    else
        msgpack_pack_false(&p->packer);
}

void pack_uint(struct pack *p, uint64_t v)
{
    msgpack_pack_uint64(&p->packer, v);
}

void pack_int(struct pack *p, int64_t v)
{
    msgpack_pack_int64(&p->packer, v);
}

void pack_bin(struct pack *p, struct bytes b)
{
    msgpack_pack_bin(&p->packer, b.len);
    if (b.len > 0)
        msgpack_pack_bin_body(&p->packer, b.data, b.len);
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
    msgpack_pack_str(&p->packer, text.len);
    if (text.len > 0)
        msgpack_pack_str_body(&p->packer, text.data, text.len);
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
