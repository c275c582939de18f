/* Key files: the secret key of a node or client, one line of hex, mode 0600 or refused. */
#ifndef RUNTIME_KEYS_H
#define RUNTIME_KEYS_H

#include <assent/status.h>

#include "wire/noise.h"

/* Makes a new key pair, *pair, and creates its file with mode 0600, synced with its directory;
 * refuses to overwrite (ASSENT_KEY_FILE). On error *pair is wiped and `why` (at least 256 bytes),
 * here and below, says what, where, what to do. */
assent_status key_file_create(const char *path, struct noise_keypair *pair, char *why,
                              size_t why_size);
/* Refuses (ASSENT_KEY_FILE) a file that others can use, that is not a regular file, or is
 * malformed. */
assent_status key_file_load(const char *path, struct noise_keypair *pair, char *why,
                            size_t why_size);
void keypair_wipe(struct noise_keypair *pair);

#endif
