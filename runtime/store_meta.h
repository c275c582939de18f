/* The meta row: whose database it is and how far the log is in the tables (docs/disk-format.md). A
 * checksum covers the whole row, because SQLite checks no page and everything else hangs on it. */
#ifndef RUNTIME_STORE_META_H
#define RUNTIME_STORE_META_H

#include "runtime/log_store.h"
#include "wire/hash.h"

struct sqlite3_stmt;

/* A place in the log, and the node's own records as of there. */
struct store_position {
    uint64_t seq;
    struct hash chain;
    struct store_node node;
    uint64_t bytes; /* of all bodies up to here since open; not stored */
};

/* The chain before the first row: a log can only continue its own database. */
struct hash store_meta_genesis(const struct store_identity *id);
/* Creates the table and the row in a new database; a SQLite result code. */
int store_meta_create(struct sqlite3 *db, const struct store_identity *id);
/* Checks format, checksum and identity; fills the applied position. `where` is the directory. */
assent_status store_meta_load(struct sqlite3 *db, const char *where,
                              const struct store_identity *id, struct store_position *applied,
                              char *why, size_t why_size);
int store_meta_prepare(struct sqlite3 *db, struct sqlite3_stmt **update);
/* Moves the applied position, inside the caller's transaction; a SQLite result code. */
int store_meta_update(struct sqlite3_stmt *update, const struct store_identity *id,
                      const struct store_position *applied);

#endif
