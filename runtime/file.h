/* Small files: new ones that must be there, whole, after a power loss; and whole ones read. */
#ifndef RUNTIME_FILE_H
#define RUNTIME_FILE_H

#include <sys/types.h>

#include "common/bytes.h"

/* Creates the file with exactly this mode, writes it, syncs it and its directory. Never overwrites:
 * false with errno EEXIST. On any other failure nothing is left behind, and errno says why. */
bool file_create(const char *path, mode_t mode, struct bytes text);

/* Appends the bytes of a regular file or pipe to `out`. False, with what, where, what to do in
 * `why` (512 bytes), if it cannot be read or has more than max bytes. `what`: "the cluster file".
 */
bool file_read(const char *path, size_t max, const char *what, struct writer *out, char *why,
               size_t why_size);

#endif
