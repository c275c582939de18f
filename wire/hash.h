/* BLAKE2b (libsodium's generichash) for the log's record chain and the coordinator-set hash;
 * SipHash for what must be quick and is to find accidents only. */
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

#define HASH_QUICK_BYTES 16

/* SipHash-2-4 of 128 bits: a fifth of the time. */
void hash_quick(const uint8_t key[16], struct bytes data, uint8_t out[HASH_QUICK_BYTES]);

#endif
