/* Byte strings: borrowed (`struct bytes`), owned (`struct blob`), growing (`struct writer`), and
 * the bounded little-endian reader and writer that durable records use. No I/O. What every message
 * goes through a hundred times is inline. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Borrowed bytes; data may be NULL when len is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

struct bytes bytes_of_text(const char *text);

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Unsigned lexicographic order, a prefix before what it starts: <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_has_prefix(struct bytes a, struct bytes prefix);
/* FNV-1a, 64 bits: for hash tables only. */
uint64_t bytes_hash(struct bytes b);

/* Owned, immutable, shared bytes; threads may share them, the count is atomic. */
struct blob {
    uint32_t refs;
    uint32_t len;
    uint8_t data[];
};

/* A copy of `b` with one reference. Aborts when memory is exhausted. */
struct blob *blob_new(struct bytes b);

/* NULL is fine here and below. */
static inline struct blob *blob_ref(struct blob *blob)
{
    if (blob != NULL)
        __atomic_fetch_add(&blob->refs, 1, __ATOMIC_RELAXED);
    return blob;
}

/* Drops one reference. */
static inline void blob_unref(struct blob *blob)
{
    if (blob != NULL && __atomic_sub_fetch(&blob->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(blob);
}

/* Empty bytes for NULL. */
static inline struct bytes blob_bytes(const struct blob *blob)
{
    return blob == NULL ? bytes_of(NULL, 0) : bytes_of(blob->data, blob->len);
}

/* malloc, calloc, aligned_alloc and realloc that abort when memory is exhausted: every size is
 * bounded by common/limits.h before it gets here. */
void *xmalloc(size_t size);
void *xaligned(size_t alignment, size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);

/* A growing buffer; integers go in little-endian. */
struct writer {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Makes room that there is not, for writer_reserve. */
void writer_grow(struct writer *w, size_t len);

/* Room for len more bytes at w->data + w->len, for those who fill it in place and then raise
 * w->len. */
static inline void writer_reserve(struct writer *w, size_t len)
{
    if (w->cap - w->len < len)
        writer_grow(w, len);
}

static inline void writer_raw(struct writer *w, const void *data, size_t len)
{
    if (len == 0)
        return;
    writer_reserve(w, len);
    memcpy(w->data + w->len, data, len);
    w->len += len;
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
    writer_raw(w, &v, sizeof v);
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
    v = htole16(v);
    writer_raw(w, &v, sizeof v);
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
    v = htole32(v);
    writer_raw(w, &v, sizeof v);
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
    v = htole64(v);
    writer_raw(w, &v, sizeof v);
}

/* u32 length, then the bytes. */
void writer_bytes(struct writer *w, struct bytes b);

static inline struct bytes writer_view(const struct writer *w)
{
    return bytes_of(w->data, w->len);
}

/* Frees the buffer and empties the writer. */
void writer_free(struct writer *w);

/* Reads what a writer wrote. After the first read past the end or over a bound `bad` stays set and
 * every read gives zero; check it once, at the end. */
struct reader {
    struct bytes rest;
    bool bad;
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){b, false};
}

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
void reader_raw(struct reader *r, void *out, size_t len);
/* Bytes inside the reader's own buffer; longer than max is bad. */
struct bytes reader_bytes(struct reader *r, size_t max);
/* True when all was read and nothing was bad. */
bool reader_done(const struct reader *r);

/* Lower-case hex of `b` into out[2 * b.len + 1]. */
void bytes_hex(struct bytes b, char *out);
/* Reads exactly 2 * len hex digits from text, which must end there; false if it does not fit. */
bool bytes_from_hex(const char *text, uint8_t *out, size_t len);

#endif
