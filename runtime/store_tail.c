/* A copy of an entry, at the start of a block:
 *
 *   magic (8), u32 bytes of the rows, u8 flags, u24 blocks of a half (0: 256), u64 seq before,
 *   chain before (32), u64 seq after, chain after (32), checksum (32), then the rows
 *
 * The checksum is BLAKE2b(the fields before it, the rows, salt). A row is u32 kind, txid, u64 ts,
 * u8 whether it has a body, u32 length, body: seq and chain follow from the row before. */
#include "runtime/store_tail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"

#define CHECKED_BYTES (8 + 4 + 4 + 2 * (8 + HASH_BYTES))
#define HEADER_BYTES  (CHECKED_BYTES + HASH_BYTES)
#define FLAG_ROWS     1u
#define BLOCKS_SHIFT  8
#define BLOCKS_BEFORE 256u /* of tails that do not say */
#define READ_BYTES    (1024u * 1024)

static const char magic[8] = {'A', 'S', 'N', 'T', 'T', 'A', 'I', 'L'};

static struct hash checksum_of(const struct store_tail *tail, const uint8_t *copy, size_t rows)
{
    const struct bytes part[] = {bytes_of(copy, CHECKED_BYTES), bytes_of(copy + HEADER_BYTES, rows),
                                 bytes_of(tail->salt.b, HASH_BYTES)};
    return hash_of(part, 3);
}

static uint32_t whole_blocks(size_t len)
{
    return (uint32_t)((len + STORE_TAIL_BLOCK - 1) / STORE_TAIL_BLOCK * STORE_TAIL_BLOCK);
}

/* What a copy can hold. */
static size_t rows_max(const struct store_tail *tail)
{
    return tail->half_bytes / 2 - HEADER_BYTES;
}

/* ---- create and open ---- */

static void set_half(struct store_tail *tail, uint32_t half_bytes)
{
    tail->half_bytes = half_bytes;
    tail->out.cap = half_bytes;
    tail->out.data = xaligned(STORE_TAIL_BLOCK, half_bytes);
}

int store_tail_create(struct store_tail *tail, const struct disk *disk, const char *path,
                      uint32_t half_bytes)
{
    *tail = (struct store_tail){.disk = disk, .blank = true};
    set_half(tail, half_bytes);
    int error = disk->open(disk->arg, path, DISK_CREATE, &tail->file);
    if (error == 0)
        error = disk->lock(disk->arg, tail->file);
    /* Zeros, not a hole or an allocation: a commit must not change the file's metadata. */
    memset(tail->out.data, 0, half_bytes);
    for (uint32_t half = 0; half < 2 && error == 0; half++)
        error = disk->write(disk->arg, tail->file, tail->out.data, half_bytes,
                            (uint64_t)half * half_bytes);
    return error;
}

/* How long the file is, up to what no tail has. */
static int file_length(struct store_tail *tail, size_t *len)
{
    uint8_t *piece = xmalloc(READ_BYTES);
    size_t got = READ_BYTES;
    int error = 0;
    *len = 0;
    while (error == 0 && got == READ_BYTES && *len <= 2 * STORE_TAIL_HALF_MAX) {
        error = tail->disk->read(tail->disk->arg, tail->file, piece, READ_BYTES, *len, &got);
        *len += error == 0 ? got : 0;
    }
    free(piece);
    return error;
}

/* The whole file, at once: a buffer that grows leaves holes of its sizes in the heap. */
static int read_file(struct store_tail *tail, size_t *len)
{
    int error = file_length(tail, len);
    if (error != 0)
        return error;
    tail->raw = xcalloc(1, *len);
    return tail->disk->read(tail->disk->arg, tail->file, tail->raw, *len, 0, len);
}

static bool half_fits(size_t half_bytes)
{
    return half_bytes >= STORE_TAIL_HALF_MIN && half_bytes <= STORE_TAIL_HALF_MAX &&
           (half_bytes & (half_bytes - 1)) == 0;
}

static bool all_zero(const uint8_t *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

assent_status store_tail_open(struct store_tail *tail, const struct disk *disk, const char *path,
                              char *why, size_t why_size)
{
    *tail = (struct store_tail){.disk = disk};
    const char *what = "opened";
    int error = disk->open(disk->arg, path, DISK_WRITE, &tail->file);
    if (error == 0) {
        what = "locked";
        error = disk->lock(disk->arg, tail->file);
    }
    if (error == EWOULDBLOCK) {
        snprintf(why, why_size,
                 "%s is locked: another process serves this data directory; stop it first", path);
        return ASSENT_STORAGE;
    }
    size_t len = 0;
    if (error == 0) {
        what = "read";
        error = read_file(tail, &len);
    }
    if (error != 0) {
        snprintf(why, why_size, "%s cannot be %s: %s", path, what, strerror(error));
        return ASSENT_STORAGE;
    }
    tail->blank = all_zero(tail->raw, len);
    tail->cut = len % 2 != 0 || !half_fits(len / 2);
    if (!tail->cut)
        set_half(tail, (uint32_t)(len / 2));
    return ASSENT_OK;
}

/* ---- reading ---- */

/* The copy that starts here, if it is whole; *len is what it takes, padding included. */
static bool copy_read(struct store_tail *tail, struct bytes at, struct store_tail_entry *e,
                      uint32_t *len)
{
    if (at.len < HEADER_BYTES || memcmp(at.data, magic, sizeof magic) != 0)
        return false;
    struct reader r = reader_of(bytes_of(at.data + sizeof magic, HEADER_BYTES - sizeof magic));
    struct hash found;
    uint32_t rows = reader_u32(&r);
    uint32_t flags = reader_u32(&r);
    uint32_t blocks = flags >> BLOCKS_SHIFT == 0 ? BLOCKS_BEFORE : flags >> BLOCKS_SHIFT;
    e->before_seq = reader_u64(&r);
    reader_raw(&r, e->before_chain.b, HASH_BYTES);
    e->seq = reader_u64(&r);
    reader_raw(&r, e->chain.b, HASH_BYTES);
    reader_raw(&r, found.b, HASH_BYTES);
    if (rows > at.len - HEADER_BYTES)
        return false;
    struct hash expected = checksum_of(tail, at.data, rows);
    e->has_rows = (flags & FLAG_ROWS) != 0;
    e->rows = bytes_of(at.data + HEADER_BYTES, rows);
    *len = whole_blocks(HEADER_BYTES + rows);
    if (memcmp(found.b, expected.b, HASH_BYTES) != 0 && !MUTANT(TAIL_SUM_NOT_CHECKED))
        return false;
    tail->cut = tail->cut || blocks * STORE_TAIL_BLOCK != tail->half_bytes;
    return true;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct store_tail_entry *)a)->seq;
    uint64_t y = ((const struct store_tail_entry *)b)->seq;
    return (x > y) - (x < y);
}

/* From block to block; behind a whole copy the next one starts, inside a damaged one any block is
 * tried. Both copies of an entry are found, and both are kept: the second says nothing new. */
bool store_tail_scan(struct store_tail *tail, const struct hash *salt)
{
    tail->salt = *salt;
    if (tail->cut)
        return false;
    tail->entry = xcalloc(2 * tail->half_bytes / STORE_TAIL_BLOCK, sizeof *tail->entry);
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t at = half * tail->half_bytes, end = at + tail->half_bytes;
        while (at < end) {
            uint32_t len = STORE_TAIL_BLOCK;
            struct bytes rest = bytes_of(tail->raw + at, end - at);
            if (copy_read(tail, rest, &tail->entry[tail->entries], &len))
                tail->entries++;
            else
                len = STORE_TAIL_BLOCK;
            at += len;
        }
    }
    qsort(tail->entry, (size_t)tail->entries, sizeof *tail->entry, by_seq);
    return tail->entries > 0 && !tail->cut;
}

bool store_tail_row(struct bytes *rows, const struct store_position *before, struct store_row *row)
{
    struct reader r = reader_of(*rows);
    memset(row, 0, sizeof *row);
    row->seq = before->seq + 1;
    row->kind = reader_u32(&r);
    reader_raw(&r, row->txid.b, TXID_BYTES);
    row->ts = reader_u64(&r);
    row->has_body = reader_u8(&r) != 0;
    row->body = reader_bytes(&r, STORE_TAIL_HALF_MAX);
    if (r.bad)
        return false;
    row->chain = store_row_chain(before, row);
    *rows = r.rest;
    return true;
}

void store_tail_start(struct store_tail *tail)
{
    const struct store_tail_entry *newest = &tail->entry[tail->entries - 1];
    bool first = newest->rows.data < tail->raw + tail->half_bytes;
    tail->half = first ? 1 : 0;
    tail->used = 0;
    free(tail->raw);
    free(tail->entry);
    tail->raw = NULL;
    tail->entry = NULL;
    tail->entries = 0;
}

/* ---- writing ---- */

void store_tail_add(struct store_tail *tail, const struct store_row *row)
{
    if (tail->rows.len > rows_max(tail))
        return;
    writer_u32(&tail->rows, (uint32_t)row->kind);
    writer_raw(&tail->rows, row->txid.b, TXID_BYTES);
    writer_u64(&tail->rows, row->ts);
    writer_u8(&tail->rows, row->has_body);
    writer_bytes(&tail->rows, row->body);
}

size_t store_tail_mark(const struct store_tail *tail)
{
    return tail->rows.len;
}

void store_tail_undo(struct store_tail *tail, size_t mark)
{
    /* Once too large it stays so: the rows after that were not noted. */
    if (mark == 0 || tail->rows.len <= rows_max(tail))
        tail->rows.len = mark;
}

bool store_tail_fits(const struct store_tail *tail)
{
    return tail->rows.len <= rows_max(tail);
}

static uint32_t entry_bytes(const struct store_tail *tail)
{
    return 2 * whole_blocks(HEADER_BYTES + (store_tail_fits(tail) ? tail->rows.len : 0));
}

bool store_tail_turns(const struct store_tail *tail)
{
    return tail->used + entry_bytes(tail) > tail->half_bytes;
}

uint32_t store_tail_eighths(const struct store_tail *tail)
{
    return tail->used / (tail->half_bytes / 8);
}

/* One copy, padded, at the end of `out`. */
static void copy_write(struct store_tail *tail, const struct store_position *before,
                       const struct store_position *after)
{
    static const uint8_t padding[STORE_TAIL_BLOCK];
    struct bytes rows = bytes_of(tail->rows.data, store_tail_fits(tail) ? tail->rows.len : 0);
    struct writer *w = &tail->out;
    size_t start = w->len;
    writer_raw(w, magic, sizeof magic);
    writer_u32(w, (uint32_t)rows.len);
    writer_u32(w, (store_tail_fits(tail) ? FLAG_ROWS : 0) | tail->half_bytes / STORE_TAIL_BLOCK
                                                                << BLOCKS_SHIFT);
    writer_u64(w, before->seq);
    writer_raw(w, before->chain.b, HASH_BYTES);
    writer_u64(w, after->seq);
    writer_raw(w, after->chain.b, HASH_BYTES);
    writer_raw(w, padding, HASH_BYTES);
    writer_raw(w, rows.data, rows.len);
    struct hash checksum = checksum_of(tail, w->data + start, rows.len);
    memcpy(w->data + start + CHECKED_BYTES, checksum.b, HASH_BYTES);
    writer_raw(w, padding, whole_blocks(w->len - start) - (w->len - start));
}

int store_tail_write(struct store_tail *tail, const struct store_position *before,
                     const struct store_position *after)
{
    if (store_tail_turns(tail)) {
        tail->half = 1 - tail->half;
        tail->used = 0;
    }
    tail->out.len = 0;
    copy_write(tail, before, after);
    size_t copy = tail->out.len;
    memcpy(tail->out.data + copy, tail->out.data, copy);
    tail->out.len += copy;
    uint64_t at = (uint64_t)tail->half * tail->half_bytes + tail->used;
    tail->used += (uint32_t)tail->out.len;
    tail->rows.len = 0;
    if (MUTANT(TAIL_NOT_WRITTEN) && after->seq > before->seq)
        return 0;
    return tail->disk->write(tail->disk->arg, tail->file, tail->out.data, tail->out.len, at);
}

void store_tail_close(struct store_tail *tail)
{
    if (tail->file != NULL)
        tail->disk->close(tail->disk->arg, tail->file);
    tail->file = NULL;
    writer_free(&tail->rows);
    writer_free(&tail->out);
    free(tail->raw);
    free(tail->entry);
    tail->raw = NULL;
    tail->entry = NULL;
}
