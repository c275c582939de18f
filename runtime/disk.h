/* The file system as the storage code uses it beside SQLite: POSIX in the daemons, simulated in
 * tests/sim. Paths are those that SQLite is given. Every function returns 0 or an errno. */
#ifndef RUNTIME_DISK_H
#define RUNTIME_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_kind { DISK_NOTHING, DISK_FILE, DISK_DIRECTORY, DISK_OTHER };

enum disk_mode {
    DISK_READ,
    DISK_WRITE, /* an existing file; every write is durable when it returns */
    DISK_CREATE /* likewise, but there must not be one yet; mode 0600 */
};

struct disk_file;

struct disk {
    void *arg;       /* the first argument of all functions */
    const char *vfs; /* SQLite's name for these files; NULL: its default */
    /* What is there, without following a link. A path that is not there is no error. */
    int (*look)(void *arg, const char *path, enum disk_kind *kind);
    /* Mode 0700. EEXIST if there is one. */
    int (*make_directory)(void *arg, const char *path);
    /* Makes a file's content, or a directory's entries, durable. Not there: no error. */
    int (*sync)(void *arg, const char *path);
    int (*remove)(void *arg, const char *path);
    int (*open)(void *arg, const char *path, enum disk_mode mode, struct disk_file **out);
    /* Exclusive, until closed; EWOULDBLOCK if another process has it. */
    int (*lock)(void *arg, struct disk_file *file);
    /* *got is less than len only at the end of the file. */
    int (*read)(void *arg, struct disk_file *file, void *data, size_t len, uint64_t at,
                size_t *got);
    int (*write)(void *arg, struct disk_file *file, const void *data, size_t len, uint64_t at);
    /* Allocates the first `len` bytes of an open file, contents unchanged. */
    int (*allocate)(void *arg, struct disk_file *file, uint64_t len);
    /* NULL is fine. */
    void (*close)(void *arg, struct disk_file *file);
};

extern const struct disk disk_posix;

#endif
