/* The high-water mark: a small file beside the database that says how far the log has reached
 * (docs/disk-format.md). Two slots, each in a block of its own, written in turn, so that neither a
 * torn write nor one bad block takes both. The open mark also holds the lock on the data directory.
 */
#ifndef RUNTIME_STORE_MARK_H
#define RUNTIME_STORE_MARK_H

#include <assent/status.h>

#include "wire/hash.h"

#define STORE_MARK_SLOT_BYTES 64
#define STORE_MARK_SLOTS      2

struct store_mark_slot {
    bool valid;
    uint64_t seq;
    struct hash chain;
};

struct store_mark {
    int fd;
    bool blank;       /* never written: all zero */
    struct hash salt; /* which database the mark belongs to; part of each slot's checksum */
    uint8_t raw[STORE_MARK_SLOTS][STORE_MARK_SLOT_BYTES];
    struct store_mark_slot slot[STORE_MARK_SLOTS];
    int next; /* slot to write next */
};

/* Creates the file, blank, and locks it. 0 or an errno. */
int store_mark_create(struct store_mark *mark, const char *path);
/* Opens, locks and reads it. ASSENT_STORAGE with `why` if another process holds the lock. */
assent_status store_mark_open(struct store_mark *mark, const char *path, char *why,
                              size_t why_size);
/* Decodes the slots against the database that the mark must belong to. Returns the valid slot with
 * the greatest seq, or NULL; the next write goes to the other one. */
const struct store_mark_slot *store_mark_check(struct store_mark *mark, const struct hash *salt);
/* Durable when it returns. 0 or an errno. */
int store_mark_write(struct store_mark *mark, uint64_t seq, const struct hash *chain);
/* Unlocks. Closing twice is fine. */
void store_mark_close(struct store_mark *mark);

#endif
