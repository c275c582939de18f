/* Noise_XK_25519_ChaChaPoly_SHA256 over libsodium. The names in this file (ck, h, e, s, es,
 * mix_key, mix_hash) are those of the Noise specification, revision 34.
 *
 * Invariants
 *   1. `message` counts what was written and read; the initiator writes 0 and 2, the responder 1.
 *      It is -1 once the handshake is wiped, and then nothing but noise_wipe may be called.
 *   2. Every message mixes all of its bytes into h, so both ends agree on the whole transcript.
 *   3. A nonce is used once per key: the counter only grows, and at its end the process stops. */
#include "wire/noise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Exactly NOISE_HASH_BYTES long, so it is the first h itself and needs no hashing. */
static const char protocol_name[] = "Noise_XK_25519_ChaChaPoly_SHA256";

#define MESSAGES 3
/* The nonce that the specification keeps for REKEY. */
#define NONCE_REKEY UINT64_MAX

_Static_assert(sizeof protocol_name - 1 == NOISE_HASH_BYTES, "the name is the initial hash");
_Static_assert(NOISE_KEY_BYTES == crypto_scalarmult_curve25519_BYTES, "X25519");
_Static_assert(NOISE_KEY_BYTES == crypto_auth_hmacsha256_KEYBYTES, "HMAC keys are chaining keys");
_Static_assert(NOISE_KEY_BYTES == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "ChaCha20-Poly1305");
_Static_assert(NOISE_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "ChaCha20-Poly1305");
_Static_assert(NOISE_HASH_BYTES == crypto_hash_sha256_BYTES, "SHA-256");

static void noise_require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "assent: noise: %s\n", what);
        abort();
    }
}

static void noise_library(void)
{
    noise_require(sodium_init() >= 0, "libsodium finds no random source");
}

void noise_keypair_new(struct noise_keypair *pair)
{
    noise_library();
    randombytes_buf(pair->secret, sizeof pair->secret);
    noise_require(noise_keypair_from(pair, pair->secret), "a random secret has no public key");
}

bool noise_keypair_from(struct noise_keypair *pair, const uint8_t secret[NOISE_KEY_BYTES])
{
    noise_library();
    memmove(pair->secret, secret, NOISE_KEY_BYTES);
    /* An erased key file reads as zeros; clamping would make a usable key of them. */
    if (!sodium_is_zero(pair->secret, NOISE_KEY_BYTES) &&
        crypto_scalarmult_curve25519_base(pair->public, pair->secret) == 0)
        return true;
    sodium_memzero(pair, sizeof *pair);
    return false;
}

/* HKDF with two outputs. */
static void hkdf(const uint8_t ck[NOISE_HASH_BYTES], struct bytes input,
                 uint8_t first[NOISE_HASH_BYTES], uint8_t second[NOISE_HASH_BYTES])
{
    uint8_t temp[NOISE_HASH_BYTES], chain[NOISE_HASH_BYTES + 1];
    crypto_auth_hmacsha256(temp, input.data, input.len, ck);
    chain[0] = 1;
    crypto_auth_hmacsha256(first, chain, 1, temp);
    memcpy(chain, first, NOISE_HASH_BYTES);
    chain[NOISE_HASH_BYTES] = 2;
    crypto_auth_hmacsha256(second, chain, sizeof chain, temp);
    sodium_memzero(temp, sizeof temp);
    sodium_memzero(chain, sizeof chain);
}

static void nonce_of(uint64_t counter, uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
    memset(nonce, 0, 4);
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> (8 * i));
}

static void mix_hash(struct noise_handshake *hs, struct bytes data)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, hs->h, sizeof hs->h);
    crypto_hash_sha256_update(&state, data.data, data.len);
    crypto_hash_sha256_final(&state, hs->h);
}

/* DH, then MixKey. False if the public key is of low order, which gives an all-zero secret. */
static bool mix_dh(struct noise_handshake *hs, const struct noise_keypair *mine,
                   const uint8_t theirs[NOISE_KEY_BYTES])
{
    uint8_t shared[NOISE_KEY_BYTES], ck[NOISE_HASH_BYTES];
    bool good = crypto_scalarmult_curve25519(shared, mine->secret, theirs) == 0;
    if (good) {
        hkdf(hs->ck, bytes_of(shared, sizeof shared), ck, hs->cipher.key);
        memcpy(hs->ck, ck, sizeof ck);
        hs->cipher.nonce = 0;
        hs->cipher.has_key = true;
    }
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(ck, sizeof ck);
    return good;
}

static void encrypt_and_hash(struct noise_handshake *hs, struct bytes plain, struct writer *out)
{
    size_t start = out->len;
    noise_seal(&hs->cipher, bytes_of(hs->h, sizeof hs->h), plain, out);
    mix_hash(hs, bytes_of(out->data + start, out->len - start));
}

/* The bytes without their tag into `out`. */
static bool open_into(struct noise_cipher *c, struct bytes ad, struct bytes sealed, uint8_t *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    noise_require(c->has_key, "opening without a key");
    if (sealed.len < NOISE_TAG_BYTES || c->nonce == NONCE_REKEY)
        return false;
    nonce_of(c->nonce, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len, ad.data,
                                                  ad.len, nonce, c->key) != 0)
        return false;
    c->nonce++;
    return true;
}

static bool decrypt_and_hash(struct noise_handshake *hs, struct bytes sealed, uint8_t *out)
{
    if (!open_into(&hs->cipher, bytes_of(hs->h, sizeof hs->h), sealed, out))
        return false;
    mix_hash(hs, sealed);
    return true;
}

void noise_start(struct noise_handshake *hs, bool initiator, const struct noise_keypair *s,
                 const uint8_t *rs, struct bytes prologue)
{
    noise_library();
    noise_require(initiator == (rs != NULL), "only an initiator knows its peer's key beforehand");
    *hs = (struct noise_handshake){.initiator = initiator, .s = *s};
    memcpy(hs->h, protocol_name, sizeof hs->h);
    memcpy(hs->ck, hs->h, sizeof hs->ck);
    mix_hash(hs, prologue);
    if (initiator)
        memcpy(hs->rs, rs, sizeof hs->rs);
    mix_hash(hs, bytes_of(initiator ? hs->rs : hs->s.public, NOISE_KEY_BYTES));
}

void noise_set_ephemeral(struct noise_handshake *hs, const struct noise_keypair *e)
{
    hs->e = *e;
    hs->has_e = true;
}

static void noise_turn(const struct noise_handshake *hs, bool writing)
{
    noise_require(hs->message >= 0 && hs->message < MESSAGES, "the handshake is over");
    noise_require(writing == (hs->initiator == (hs->message % 2 == 0)), "it is the peer's turn");
}

static void write_e(struct noise_handshake *hs, struct writer *out)
{
    if (!hs->has_e)
        noise_keypair_new(&hs->e);
    hs->has_e = true;
    writer_raw(out, hs->e.public, sizeof hs->e.public);
    mix_hash(hs, bytes_of(hs->e.public, sizeof hs->e.public));
}

/* The tokens of the next message, without its payload. */
static bool write_tokens(struct noise_handshake *hs, struct writer *out)
{
    switch (hs->message) {
    case 0:
        write_e(hs, out);
        return mix_dh(hs, &hs->e, hs->rs);
    case 1:
        write_e(hs, out);
        return mix_dh(hs, &hs->e, hs->re);
    default:
        encrypt_and_hash(hs, bytes_of(hs->s.public, sizeof hs->s.public), out);
        return mix_dh(hs, &hs->s, hs->re);
    }
}

bool noise_write(struct noise_handshake *hs, struct bytes payload, struct writer *out)
{
    size_t start = out->len;
    noise_turn(hs, true);
    if (!write_tokens(hs, out)) {
        out->len = start;
        noise_wipe(hs);
        return false;
    }
    encrypt_and_hash(hs, payload, out);
    hs->message++;
    return true;
}

/* Takes the first bytes of `message`; fewer than len give NULL. */
static const uint8_t *take(struct bytes *message, size_t len)
{
    const uint8_t *at = message->data;
    if (message->len < len)
        return NULL;
    *message = bytes_of(at + len, message->len - len);
    return at;
}

/* e, then es or ee: the responder's key is its static one in message 1, else both are ephemeral. */
static bool read_e(struct noise_handshake *hs, struct bytes *message)
{
    const uint8_t *e = take(message, NOISE_KEY_BYTES);
    if (e == NULL)
        return false;
    memcpy(hs->re, e, sizeof hs->re);
    mix_hash(hs, bytes_of(hs->re, sizeof hs->re));
    return mix_dh(hs, hs->message == 0 ? &hs->s : &hs->e, hs->re);
}

static bool read_s(struct noise_handshake *hs, struct bytes *message)
{
    const size_t len = NOISE_KEY_BYTES + NOISE_TAG_BYTES;
    const uint8_t *s = take(message, len);
    return s != NULL && decrypt_and_hash(hs, bytes_of(s, len), hs->rs) &&
           mix_dh(hs, &hs->e, hs->rs);
}

bool noise_read(struct noise_handshake *hs, struct bytes message, struct writer *payload)
{
    noise_turn(hs, false);
    bool good = hs->message == 2 ? read_s(hs, &message) : read_e(hs, &message);
    if (good && message.len >= NOISE_TAG_BYTES) {
        writer_reserve(payload, message.len); /* with the tag, so that there is an address */
        good = decrypt_and_hash(hs, message, payload->data + payload->len);
    } else {
        good = false;
    }
    if (!good) {
        noise_wipe(hs);
        return false;
    }
    payload->len += message.len - NOISE_TAG_BYTES;
    hs->message++;
    return true;
}

bool noise_finished(const struct noise_handshake *hs)
{
    return hs->message == MESSAGES;
}

void noise_split(struct noise_handshake *hs, struct noise_cipher *send,
                 struct noise_cipher *receive)
{
    noise_require(noise_finished(hs), "split before the last message");
    struct noise_cipher *first = hs->initiator ? send : receive;
    struct noise_cipher *second = hs->initiator ? receive : send;
    hkdf(hs->ck, bytes_of(NULL, 0), first->key, second->key);
    first->nonce = second->nonce = 0;
    first->has_key = second->has_key = true;
    noise_wipe(hs);
}

void noise_wipe(struct noise_handshake *hs)
{
    sodium_memzero(hs, sizeof *hs);
    hs->message = -1;
}

void noise_seal(struct noise_cipher *c, struct bytes ad, struct bytes plain, struct writer *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    noise_require(c->has_key, "sealing without a key");
    noise_require(c->nonce != NONCE_REKEY, "the nonces of a key are used up");
    nonce_of(c->nonce, nonce);
    writer_reserve(out, plain.len + NOISE_TAG_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(out->data + out->len, NULL, plain.data, plain.len,
                                              ad.data, ad.len, NULL, nonce, c->key);
    c->nonce++;
    out->len += plain.len + NOISE_TAG_BYTES;
}

bool noise_open(struct noise_cipher *c, struct bytes ad, struct bytes sealed, struct writer *out)
{
    if (sealed.len < NOISE_TAG_BYTES)
        return false;
    writer_reserve(out, sealed.len);
    if (!open_into(c, ad, sealed, out->data + out->len))
        return false;
    out->len += sealed.len - NOISE_TAG_BYTES;
    return true;
}

void noise_rekey(struct noise_cipher *c)
{
    static const uint8_t zeros[NOISE_KEY_BYTES];
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    uint8_t sealed[NOISE_KEY_BYTES + NOISE_TAG_BYTES];
    noise_require(c->has_key, "rekey without a key");
    nonce_of(NONCE_REKEY, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, zeros, sizeof zeros, NULL, 0, NULL,
                                              nonce, c->key);
    memcpy(c->key, sealed, sizeof c->key);
    sodium_memzero(sealed, sizeof sealed);
}
