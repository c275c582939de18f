#include "wire/hash.h"

#include <sodium/crypto_generichash.h>

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

uint64_t hash_u64(const struct hash *hash)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | hash->b[i];
    return v;
}
