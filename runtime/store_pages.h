/* A checksum on every page of a node's database (docs/disk-format.md, "Pages"): a SQLite VFS that
 * lies over the one that has the files. It treats the database file alone: SQLite checks the frames
 * of its write-ahead log itself, and the log of the node has its chain.
 *
 * A page ends in STORE_PAGES_RESERVED bytes that SQLite leaves alone: the file's salt, by which a
 * page of another database is known, and the checksum over the page, its salt and its number. They
 * are written when SQLite writes a page to the file, which in WAL mode is at a checkpoint, and
 * checked whenever it reads one there. Whoever reads the file without this VFS does not notice
 * them; whoever writes it without makes pages that do not fit their checksums. */
#ifndef RUNTIME_STORE_PAGES_H
#define RUNTIME_STORE_PAGES_H

#include <stdint.h>

#define STORE_PAGES_BYTES 4096 /* of a page; no other size is read or written */
/* A number with two bits set: one that flips does not make it 0, which means no checksums. */
#define STORE_PAGES_RESERVED 24

struct sqlite3;

/* The name, for sqlite3_open_v2, of the VFS over the one called `under` (NULL: SQLite's default),
 * which must have what WAL mode needs. Registered at the first call; on any thread. NULL: there is
 * no such VFS. */
const char *store_pages_vfs(const char *under);
/* For a connection to an empty file: its pages are to have this size and these bytes. A SQLite
 * result code. */
int store_pages_reserve(struct sqlite3 *db);
/* Reads pages 1 to `pages` as they lie in the file, whatever the write-ahead log has. A SQLite
 * result code: SQLITE_IOERR_DATA for a damaged page. */
int store_pages_check(struct sqlite3 *db, uint32_t pages);
/* The first damage that this connection has met, or NULL: a sentence without an end, of less than
 * 256 bytes, valid until the connection is closed. What SQLite made of it is an error like any
 * other; this tells it apart. NULL is fine for `db`. */
const char *store_pages_damage(struct sqlite3 *db);

#endif
