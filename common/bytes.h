/* Byte strings: borrowed (`struct bytes`), owned (`struct blob`), growing (`struct writer`), and
 * the bounded little-endian reader and writer that durable records use. No I/O. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; data may be NULL when len is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

struct bytes bytes_of(const void *data, size_t len);
struct bytes bytes_of_text(const char *text);
bool bytes_equal(struct bytes a, struct bytes b);
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
struct blob *blob_ref(struct blob *blob);
/* Drops one reference; NULL is fine. */
void blob_unref(struct blob *blob);
/* Empty bytes for NULL. */
struct bytes blob_bytes(const struct blob *blob);

/* malloc, calloc and realloc that abort when memory is exhausted: every size is bounded by
 * common/limits.h before it gets here. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);

/* A growing buffer; integers go in little-endian. */
struct writer {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_raw(struct writer *w, const void *data, size_t len);
/* Room for len more bytes at w->data + w->len, for those who fill it in place and then raise
 * w->len. */
void writer_reserve(struct writer *w, size_t len);
/* u32 length, then the bytes. */
void writer_bytes(struct writer *w, struct bytes b);
struct bytes writer_view(const struct writer *w);
/* Frees the buffer and empties the writer. */
void writer_free(struct writer *w);

/* Reads what a writer wrote. After the first read past the end or over a bound `bad` stays set and
 * every read gives zero; check it once, at the end. */
struct reader {
    struct bytes rest;
    bool bad;
};

struct reader reader_of(struct bytes b);
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
