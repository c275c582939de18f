/* New small files that must be there, whole, after a power loss. */
#ifndef RUNTIME_FILE_H
#define RUNTIME_FILE_H

#include <sys/types.h>

#include "common/bytes.h"

/* Creates the file with exactly this mode, writes it, syncs it and its directory. Never overwrites:
 * false with errno EEXIST. On any other failure nothing is left behind, and errno says why. */
bool file_create(const char *path, mode_t mode, struct bytes text);

#endif
