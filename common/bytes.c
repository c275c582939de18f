#include "common/bytes.h"

#include <stdio.h>

struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool bytes_has_prefix(struct bytes a, struct bytes prefix)
{
    return a.len >= prefix.len && bytes_equal(bytes_of(a.data, prefix.len), prefix);
}

uint64_t bytes_hash(struct bytes b)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < b.len; i++)
        hash = (hash ^ b.data[i]) * 0x100000001b3u;
    return hash;
}

struct blob *blob_new(struct bytes b)
{
    struct blob *blob = xmalloc(sizeof *blob + b.len);
    blob->refs = 1;
    blob->len = (uint32_t)b.len;
    if (b.len > 0)
        memcpy(blob->data, b.data, b.len);
    return blob;
}

static void *checked(void *memory)
{
    if (memory == NULL) {
        fputs("assent: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *xmalloc(size_t size)
{
    return checked(malloc(size == 0 ? 1 : size));
}

void *xaligned(size_t alignment, size_t size)
{
    return checked(aligned_alloc(alignment, size));
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size == 0 ? 1 : size));
}

char *xstrdup(const char *text)
{
    return checked(strdup(text));
}

void writer_grow(struct writer *w, size_t len)
{
    size_t cap = w->cap == 0 ? 128 : w->cap;
    while (cap - w->len < len)
        cap *= 2;
    w->data = xrealloc(w->data, cap);
    w->cap = cap;
}

void writer_bytes(struct writer *w, struct bytes b)
{
    writer_u32(w, (uint32_t)b.len);
    writer_raw(w, b.data, b.len);
}

void writer_free(struct writer *w)
{
    free(w->data);
    *w = (struct writer){0};
}

/* The next len bytes, or NULL with `bad` set. */
static inline const uint8_t *reader_take(struct reader *r, size_t len)
{
    if (r->bad || r->rest.len < len) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->rest.data;
    r->rest = bytes_of(at + len, r->rest.len - len);
    return at;
}

void reader_raw(struct reader *r, void *out, size_t len)
{
    const uint8_t *at = reader_take(r, len);
    if (at != NULL)
        memcpy(out, at, len);
    else
        memset(out, 0, len);
}

uint8_t reader_u8(struct reader *r)
{
    uint8_t v;
    reader_raw(r, &v, sizeof v);
    return v;
}

uint16_t reader_u16(struct reader *r)
{
    uint16_t v;
    reader_raw(r, &v, sizeof v);
    return le16toh(v);
}

uint32_t reader_u32(struct reader *r)
{
    uint32_t v;
    reader_raw(r, &v, sizeof v);
    return le32toh(v);
}

uint64_t reader_u64(struct reader *r)
{
    uint64_t v;
    reader_raw(r, &v, sizeof v);
    return le64toh(v);
}

struct bytes reader_bytes(struct reader *r, size_t max)
{
    uint32_t len = reader_u32(r);
    if (len > max)
        r->bad = true;
    const uint8_t *at = reader_take(r, len);
    return at == NULL ? bytes_of(NULL, 0) : bytes_of(at, len);
}

bool reader_done(const struct reader *r)
{
    return !r->bad && r->rest.len == 0;
}

void bytes_hex(struct bytes b, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < b.len; i++) {
        *out++ = digits[b.data[i] >> 4];
        *out++ = digits[b.data[i] & 15];
    }
    *out = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool bytes_from_hex(const char *text, uint8_t *out, size_t len)
{
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
