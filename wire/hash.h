/* BLAKE2b (libsodium's generichash) for the log's record chain and the coordinator-set hash. */
#ifndef WIRE_HASH_H
#define WIRE_HASH_H

#include <stdint.h>

#include "common/bytes.h"

#define HASH_BYTES 32

struct hash {
    uint8_t b[HASH_BYTES];
};

/* The hash of the parts, one after the other, without separators. */
struct hash hash_of(const struct bytes *part, int n);
/* The first 8 bytes, little-endian. */
uint64_t hash_u64(const struct hash *hash);

#endif
