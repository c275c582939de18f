/* Key files: the secret key of a node or client, one line of hex, mode 0600 or refused. */
#ifndef RUNTIME_KEYS_H
#define RUNTIME_KEYS_H

#include <assent/status.h>

#include "wire/noise.h"

/* Creates the file with mode 0600 and syncs it and its directory; refuses to overwrite. On error `why`
 * (at least 256 bytes) says what, where, what to do. */
assent_status key_file_create(const char *path, struct noise_keypair *pair, char *why,
                              size_t why_size);
/* Refuses a file that others can read, that is not a regular file, or is malformed. */
assent_status key_file_load(const char *path, struct noise_keypair *pair, char *why,
                            size_t why_size);
void keypair_wipe(struct noise_keypair *pair);

#endif
