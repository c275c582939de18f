/* Transaction ids: UUIDv7 (RFC 9562, section 5.7).
 *
 *   48 bits  Unix time in milliseconds, big-endian
 *    4 bits  version, 7
 *   12 bits  route: 0 = several participants, decided through the acceptors;
 *            else the node id of the only participant, which alone knows the outcome
 *    2 bits  variant, binary 10
 *   62 bits  random
 *
 * The route is in the id so that a question for the outcome of a one-participant transaction can
 * never be put to the acceptors, who know nothing of it and would decide "aborted"
 * (docs/protocol.md, "One participant"). */
#ifndef COMMON_TXID_H
#define COMMON_TXID_H

#include <stdbool.h>
#include <stdint.h>

#define TXID_BYTES      16
#define TXID_TEXT_BYTES 37 /* 36 characters and the zero */

struct txid {
    uint8_t b[TXID_BYTES];
};

/* An id of this millisecond and route; `random` gives 62 bits. */
struct txid txid_make(uint64_t unix_ms, uint16_t route, uint64_t random);
uint64_t txid_ms(const struct txid *id);
uint16_t txid_route(const struct txid *id);
int txid_compare(const struct txid *a, const struct txid *b);
bool txid_equal(const struct txid *a, const struct txid *b);
/* "0190a8d2-....": into out[TXID_TEXT_BYTES]; returns out. */
const char *txid_text(const struct txid *id, char *out);
/* False unless text is exactly one UUID of version 7. */
bool txid_parse(const char *text, struct txid *out);
/* False unless the version and variant bits are those of a UUIDv7. */
bool txid_valid(const struct txid *id);

/* For a hash table: random multipliers, so that who chooses the ids cannot choose which of them
 * meet in a bucket. Any two ids have the same hash with a chance of about 2^-32 (multilinear
 * hashing; Lemire and Kaser, "Strongly universal string hashing is fast"). */
struct txid_hash_key {
    uint64_t by[TXID_BYTES / sizeof(uint32_t)];
};

struct txid_hash_key txid_hash_key(uint64_t seed);
uint32_t txid_hash(const struct txid_hash_key *key, const struct txid *id);

#endif
