/* The Noise handshake Noise_XK_25519_ChaChaPoly_SHA256 (noiseprotocol.org, revision 34), pure:
 * bytes in, bytes out.
 *
 *     <- s
 *     ...
 *     -> e, es          noise_write / noise_read, message 1
 *     <- e, ee          message 2
 *     -> s, se          message 3, then noise_split
 *
 * Secrets are wiped on failure, by noise_split and by noise_wipe. */
#ifndef WIRE_NOISE_H
#define WIRE_NOISE_H

#include <stddef.h>

#include "common/bytes.h"

#define NOISE_KEY_BYTES  32
#define NOISE_TAG_BYTES  16
#define NOISE_HASH_BYTES 32

struct noise_keypair {
    uint8_t secret[NOISE_KEY_BYTES];
    uint8_t public[NOISE_KEY_BYTES];
};

/* One direction of a finished channel. */
struct noise_cipher {
    uint8_t key[NOISE_KEY_BYTES];
    uint64_t nonce;
    bool has_key;
};

struct noise_handshake {
    bool initiator;
    int message; /* 0..3 messages done; -1 once wiped */
    struct noise_keypair s, e;
    bool has_e;
    uint8_t rs[NOISE_KEY_BYTES]; /* the peer's static key: given to an initiator, learnt by a
                                    responder */
    uint8_t re[NOISE_KEY_BYTES];
    uint8_t ck[NOISE_HASH_BYTES];
    uint8_t h[NOISE_HASH_BYTES];
    struct noise_cipher cipher;
};

/* A new key pair from the operating system's random source. */
void noise_keypair_new(struct noise_keypair *pair);
/* The pair of a given secret; false if the secret gives no valid public key. */
bool noise_keypair_from(struct noise_keypair *pair, const uint8_t secret[NOISE_KEY_BYTES]);

/* rs: the responder's static key for an initiator, NULL for a responder. */
void noise_start(struct noise_handshake *hs, bool initiator, const struct noise_keypair *s,
                 const uint8_t *rs, struct bytes prologue);
/* For tests against vectors: the ephemeral pair to use instead of a random one. */
void noise_set_ephemeral(struct noise_handshake *hs, const struct noise_keypair *e);

/* Appends the next handshake message with this payload. False: the peer's key is no valid one; the
 * handshake is wiped and of no more use. */
bool noise_write(struct noise_handshake *hs, struct bytes payload, struct writer *out);
/* Reads the peer's next message; appends its payload to `payload`. False: forged, wrong key or
 * prologue, or malformed; the handshake is wiped and of no more use, and nothing is appended. */
bool noise_read(struct noise_handshake *hs, struct bytes message, struct writer *payload);
bool noise_finished(const struct noise_handshake *hs);
/* After message 3: the two directions; wipes the handshake (so take rs and h before it). */
void noise_split(struct noise_handshake *hs, struct noise_cipher *send,
                 struct noise_cipher *receive);
void noise_wipe(struct noise_handshake *hs);

/* Appends the sealed bytes, NOISE_TAG_BYTES longer. */
void noise_seal(struct noise_cipher *c, struct bytes ad, struct bytes plain, struct writer *out);
/* Appends the opened bytes; false if forged, and nothing is appended. */
bool noise_open(struct noise_cipher *c, struct bytes ad, struct bytes sealed, struct writer *out);
/* Noise REKEY(): a new key, while the nonce goes on. */
void noise_rekey(struct noise_cipher *c);

#endif
