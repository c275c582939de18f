#include "common/txid.h"

#include <ctype.h>
#include <string.h>

#include "common/bytes.h"
#include "common/prng.h"

struct txid txid_make(uint64_t unix_ms, uint16_t route, uint64_t random)
{
    struct txid id;
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    id.b[6] = (uint8_t)(0x70 | (route >> 8 & 0x0f));
    id.b[7] = (uint8_t)route;
    for (int i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(random >> (56 - 8 * i));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

uint64_t txid_ms(const struct txid *id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->b[i];
    return ms;
}

uint16_t txid_route(const struct txid *id)
{
    return (uint16_t)((id->b[6] & 0x0f) << 8 | id->b[7]);
}

int txid_compare(const struct txid *a, const struct txid *b)
{
    return memcmp(a->b, b->b, TXID_BYTES);
}

bool txid_equal(const struct txid *a, const struct txid *b)
{
    return txid_compare(a, b) == 0;
}

const char *txid_text(const struct txid *id, char *out)
{
    char hex[2 * TXID_BYTES + 1];
    bytes_hex(bytes_of(id->b, TXID_BYTES), hex);
    char *to = out;
    for (int i = 0; i < 2 * TXID_BYTES; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *to++ = '-';
        *to++ = hex[i];
    }
    *to = '\0';
    return out;
}

bool txid_parse(const char *text, struct txid *out)
{
    char hex[2 * TXID_BYTES + 1];
    int n = 0;
    if (strlen(text) != TXID_TEXT_BYTES - 1)
        return false;
    for (int i = 0; text[i] != '\0'; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text[i] == '-'))
            return false;
        if (!dash)
            hex[n++] = text[i];
    }
    hex[n] = '\0';
    return bytes_from_hex(hex, out->b, TXID_BYTES) && txid_valid(out);
}

bool txid_valid(const struct txid *id)
{
    return (id->b[6] & 0xf0) == 0x70 && (id->b[8] & 0xc0) == 0x80;
}

struct txid_hash_key txid_hash_key(uint64_t seed)
{
    struct txid_hash_key key;
    struct prng prng;
    prng_seed(&prng, seed);
    for (size_t i = 0; i < sizeof key.by / sizeof key.by[0]; i++)
        key.by[i] = prng_u64(&prng);
    return key;
}

uint32_t txid_hash(const struct txid_hash_key *key, const struct txid *id)
{
    uint32_t word[TXID_BYTES / sizeof(uint32_t)];
    uint64_t sum = 0;
    memcpy(word, id->b, sizeof word);
    for (size_t i = 0; i < sizeof word / sizeof word[0]; i++)
        sum += key->by[i] * word[i];
    return (uint32_t)(sum >> 32);
}
