/* Random bits that nobody can guess, from the operating system (libsodium's randombytes). Any
 * thread. */
#ifndef WIRE_RANDOM_H
#define WIRE_RANDOM_H

#include <stdint.h>

uint64_t random_bits(void);

#endif
