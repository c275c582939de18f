/* A slot: magic (8 bytes), seq (8), chain (32), checksum (16). The checksum is the start of
 * BLAKE2b(the 48 bytes before it, salt). */
#include "runtime/store_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SLOT_SPACING   4096 /* one block of the disk for each slot */
#define FILE_BYTES     (STORE_MARK_SLOTS * SLOT_SPACING)
#define CHECKED_BYTES  48
#define CHECKSUM_BYTES (STORE_MARK_SLOT_BYTES - CHECKED_BYTES)

static const char magic[8] = {'A', 'S', 'N', 'T', 'M', 'A', 'R', 'K'};

static struct hash slot_checksum(const struct store_mark *mark, const uint8_t *raw)
{
    const struct bytes part[] = {bytes_of(raw, CHECKED_BYTES), bytes_of(mark->salt.b, HASH_BYTES)};
    return hash_of(part, 2);
}

/* The whole buffer at the offset, durable, or an errno. The file is open with O_DSYNC. */
static int write_at(int fd, const void *data, size_t len, off_t offset)
{
    ssize_t written;
    do
        written = pwrite(fd, data, len, offset);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        return errno;
    return (size_t)written == len ? 0 : EIO;
}

int store_mark_create(struct store_mark *mark, const char *path)
{
    static const uint8_t zero[FILE_BYTES];
    memset(mark, 0, sizeof *mark);
    mark->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DSYNC, 0600);
    if (mark->fd < 0)
        return errno;
    mark->blank = true;
    if (flock(mark->fd, LOCK_EX | LOCK_NB) != 0)
        return errno;
    return write_at(mark->fd, zero, sizeof zero, 0);
}

static bool all_zero(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != 0)
            return false;
    return true;
}

assent_status store_mark_open(struct store_mark *mark, const char *path, char *why, size_t why_size)
{
    memset(mark, 0, sizeof *mark);
    mark->fd = open(path, O_RDWR | O_CLOEXEC | O_DSYNC);
    if (mark->fd < 0) {
        snprintf(why, why_size, "%s cannot be opened: %s", path, strerror(errno));
        return ASSENT_STORAGE;
    }
    if (flock(mark->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            snprintf(why, why_size,
                     "%s is locked: another process serves this data directory; stop it first",
                     path);
        else
            snprintf(why, why_size, "%s cannot be locked: %s", path, strerror(errno));
        return ASSENT_STORAGE;
    }
    mark->blank = true;
    for (int i = 0; i < STORE_MARK_SLOTS; i++) {
        /* What a short file lacks stays zero, which is no valid slot. */
        if (pread(mark->fd, mark->raw[i], STORE_MARK_SLOT_BYTES, (off_t)i * SLOT_SPACING) < 0) {
            snprintf(why, why_size, "%s cannot be read: %s", path, strerror(errno));
            return ASSENT_STORAGE;
        }
        mark->blank = mark->blank && all_zero(mark->raw[i], STORE_MARK_SLOT_BYTES);
    }
    return ASSENT_OK;
}

static struct store_mark_slot slot_decode(const struct store_mark *mark, const uint8_t *raw)
{
    struct store_mark_slot slot = {0};
    struct hash checksum = slot_checksum(mark, raw);
    if (memcmp(raw, magic, sizeof magic) != 0 ||
        memcmp(raw + CHECKED_BYTES, checksum.b, CHECKSUM_BYTES) != 0)
        return slot;
    struct reader r = reader_of(bytes_of(raw + sizeof magic, CHECKED_BYTES - sizeof magic));
    slot.seq = reader_u64(&r);
    reader_raw(&r, slot.chain.b, HASH_BYTES);
    slot.valid = reader_done(&r);
    return slot;
}

const struct store_mark_slot *store_mark_check(struct store_mark *mark, const struct hash *salt)
{
    mark->salt = *salt;
    int newest = -1;
    for (int i = 0; i < STORE_MARK_SLOTS; i++) {
        mark->slot[i] = slot_decode(mark, mark->raw[i]);
        if (mark->slot[i].valid && (newest < 0 || mark->slot[i].seq > mark->slot[newest].seq))
            newest = i;
    }
    mark->next = newest == 0 ? 1 : 0;
    return newest < 0 ? NULL : &mark->slot[newest];
}

int store_mark_write(struct store_mark *mark, uint64_t seq, const struct hash *chain)
{
    uint8_t raw[STORE_MARK_SLOT_BYTES];
    struct writer w = {0};
    writer_raw(&w, magic, sizeof magic);
    writer_u64(&w, seq);
    writer_raw(&w, chain->b, HASH_BYTES);
    memcpy(raw, w.data, CHECKED_BYTES);
    writer_free(&w);
    struct hash checksum = slot_checksum(mark, raw);
    memcpy(raw + CHECKED_BYTES, checksum.b, CHECKSUM_BYTES);
    int error = write_at(mark->fd, raw, sizeof raw, (off_t)mark->next * SLOT_SPACING);
    mark->next = 1 - mark->next;
    return error;
}

void store_mark_close(struct store_mark *mark)
{
    if (mark->fd >= 0)
        close(mark->fd);
    mark->fd = -1;
}
