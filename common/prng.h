/* xoshiro256** (Blackman and Vigna), seeded by splitmix64: for back-off, tests and workloads,
 * never for secrets. */
#ifndef COMMON_PRNG_H
#define COMMON_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_seed(struct prng *p, uint64_t seed);
uint64_t prng_u64(struct prng *p);
/* Uniform in [0, bound); 0 for bound 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);

#endif
