/* The files of a data directory: their names, what is refused before SQLite sees them, and the one
 * connection with its settings (docs/disk-format.md). */
#ifndef RUNTIME_STORE_FILE_H
#define RUNTIME_STORE_FILE_H

#include "runtime/log_store.h"

/* How long SQLite waits for another program that reads the database. */
#define STORE_FILE_BUSY_MS 5000

#define STORE_PATH_BYTES     1024
#define STORE_APPLICATION_ID 0x41534e54 /* "ASNT" */
#define STORE_FORMAT         2          /* user_version, and meta.format */

struct store_paths {
    char dir[STORE_PATH_BYTES];
    char db[STORE_PATH_BYTES];
    char wal[STORE_PATH_BYTES];
    char shm[STORE_PATH_BYTES];
    char tail[STORE_PATH_BYTES];
};

/* Puts the sentence into `why` and returns `status`. */
__attribute__((format(printf, 4, 5))) assent_status
store_file_refuse(assent_status status, char *why, size_t why_size, const char *format, ...);

assent_status store_file_paths(struct store_paths *p, const char *dir, char *why, size_t why_size);
/* Whether a process has the directory open now. False as well if that cannot be found out. */
bool store_file_served(const struct disk *disk, const char *dir);
/* For open: the directory has a database and a tail. */
assent_status store_file_survey(const struct disk *disk, const struct store_paths *p, char *why,
                                size_t why_size);
/* For open, with the tail locked: the file is SQLite's and Assent's, of a format that this program
 * knows, with checksums. */
assent_status store_file_header(const struct disk *disk, const struct store_paths *p,
                                bool tail_blank, char *why, size_t why_size);
/* A file of a newer format is refused; `where` names it. */
assent_status store_file_format(const char *where, uint32_t format, char *why, size_t why_size);
/* For create: makes the directory if it is missing; refuses one that has any of the files. */
assent_status store_file_reserve(const struct disk *disk, const struct store_paths *p, char *why,
                                 size_t why_size);
/* Opens an existing file, through runtime/store_pages.h. The caller closes *db, on error too. */
assent_status store_file_connect(const struct disk *disk, const struct store_paths *p,
                                 struct sqlite3 **db, char *why, size_t why_size);
/* Sets each setting and reads it back. */
assent_status store_file_settings(const struct store_paths *p, struct sqlite3 *db, char *why,
                                  size_t why_size);
/* For open, after SQLite's first read: allocates the index of the write-ahead log, so that a full
 * disk does not show as an I/O error there. Returns the file, or NULL; it must stay open as
 * long as the connection: closing it drops the connection's locks, which belong to the process. */
struct disk_file *store_file_reserve_index(const struct disk *disk, const struct store_paths *p);
/* Removes what a failed create left. */
void store_file_remove(const struct disk *disk, const struct store_paths *p);

#endif
