#include "wire/hash.h"

#include <sodium/crypto_generichash.h>
#include <sodium/crypto_shorthash.h>

struct hash hash_of(const struct bytes *part, int n)
{
    struct hash hash;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_BYTES);
    for (int i = 0; i < n; i++)
        if (part[i].len > 0)
            crypto_generichash_update(&state, part[i].data, part[i].len);
    crypto_generichash_final(&state, hash.b, HASH_BYTES);
    return hash;
}

void hash_quick(const uint8_t key[16], struct bytes data, uint8_t out[HASH_QUICK_BYTES])
{
    _Static_assert(HASH_QUICK_BYTES == crypto_shorthash_siphashx24_BYTES, "libsodium's");
    crypto_shorthash_siphashx24(out, data.data, data.len, key);
}

uint64_t hash_u64(const struct hash *hash)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | hash->b[i];
    return v;
}
