#include "wire/random.h"

#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

uint64_t random_bits(void)
{
    uint64_t bits;
    if (sodium_init() < 0) {
        fprintf(stderr, "assent: random_bits: libsodium finds no random source\n");
        abort();
    }
    randombytes_buf(&bits, sizeof bits);
    return bits;
}
