/* The tail: a second file beside the database that holds the end of the log, each batch twice
 * (docs/disk-format.md). Writing it is the one write and sync of a commit; the rows go to the
 * database later, and its write-ahead log is synced only when the tail is about to forget them.
 *
 * Two halves are written in turn, each from its start. An entry is one batch: where the log stood
 * before and after it, and its rows. Its two copies lie in blocks of their own, so that neither a
 * torn write nor one bad block takes both. A batch too large for a half is written without its
 * rows, once the database has them durably: such an entry only says how far the log must reach.
 *
 * The open tail also holds the lock on the data directory. */
#ifndef RUNTIME_STORE_TAIL_H
#define RUNTIME_STORE_TAIL_H

#include <assent/status.h>

#include "runtime/disk.h"
#include "runtime/store_row.h"

#define STORE_TAIL_BLOCK 4096u
/* A half is a power of two between these. */
#define STORE_TAIL_HALF_MIN (64u * 1024)
#define STORE_TAIL_HALF_MAX (64u * 1024 * 1024)

/* What a tail of a wrong size means, and what to do. */
#define STORE_TAIL_CUT                                                                             \
    "it was cut, or is another file. Put the original back; if it is gone, replace the node by a " \
    "new one under a new key"

/* A whole entry, read at open. */
struct store_tail_entry {
    uint64_t before_seq;
    struct hash before_chain;
    uint64_t seq; /* of the last row */
    struct hash chain;
    bool has_rows;
    struct bytes rows; /* inside store_tail.raw */
};

struct store_tail {
    const struct disk *disk;
    struct disk_file *file;
    bool blank; /* never written: all zero */
    bool cut;   /* an entry that was read says that the halves had another size */
    uint32_t half_bytes;
    struct hash salt;   /* which database the tail belongs to; part of each checksum */
    uint32_t half;      /* being written */
    uint32_t used;      /* bytes of it */
    struct writer rows; /* of the open batch; ends early once it is too large for an entry */
    struct writer
        out; /* both copies; a half large and aligned to a block, so that it never grows */
    /* from store_tail_open to store_tail_start */
    uint8_t *raw;
    struct store_tail_entry *entry; /* by seq, the newest last */
    int entries;
};

/* Creates the file, blank, with halves of so many bytes, and locks it. 0 or an errno. */
int store_tail_create(struct store_tail *tail, const struct disk *disk, const char *path,
                      uint32_t half_bytes);
/* Opens, locks and reads it. ASSENT_STORAGE with `why` if another process holds the lock. */
assent_status store_tail_open(struct store_tail *tail, const struct disk *disk, const char *path,
                              char *why, size_t why_size);
/* Finds the entries, of the database that the tail must belong to. False if there is none, or if it
 * was cut. */
bool store_tail_scan(struct store_tail *tail, const struct hash *salt);
/* The row of the entry after `before`, whose number and chain the caller has; its own chain is
 * computed. False at the end, or for bytes that are no row. *rows moves behind it. */
bool store_tail_row(struct bytes *rows, const struct store_position *before, struct store_row *row);
/* The database has durably all that was read: goes on in the half that does not hold the newest
 * entry, and forgets what was read. */
void store_tail_start(struct store_tail *tail);

/* The open batch. */
void store_tail_add(struct store_tail *tail, const struct store_row *row);
size_t store_tail_mark(const struct store_tail *tail);
/* Back to where store_tail_mark was taken; 0: the batch is empty again. */
void store_tail_undo(struct store_tail *tail, size_t mark);
/* Whether an entry can hold the rows of the open batch. */
bool store_tail_fits(const struct store_tail *tail);
/* Whether store_tail_write will go on in the other half, and forget what that holds. */
bool store_tail_turns(const struct store_tail *tail);
/* How far that is: how many eighths of the half are written. */
uint32_t store_tail_eighths(const struct store_tail *tail);
/* Writes the open batch and ends it; durable when it returns. 0 or an errno. */
int store_tail_write(struct store_tail *tail, const struct store_position *before,
                     const struct store_position *after);
/* Unlocks. Closing twice is fine. */
void store_tail_close(struct store_tail *tail);

#endif
