/* Messages and operations with random contents that every decoder must take. */
#ifndef TESTS_RANDOM_MSG_H
#define TESTS_RANDOM_MSG_H

#include "common/msg.h"
#include "common/ops.h"
#include "common/prng.h"

#define RANDOM_TYPES 25

/* The types of MSG_MAP. */
extern const enum msg_type random_types[RANDOM_TYPES];

/* A valid message of this type: every field set, edge values often. */
struct msg *random_msg(struct prng *p, enum msg_type type);

/* A valid operation or result whose bytes lie in `arena`, which must have room and stay. */
#define RANDOM_ARENA_BYTES 256
struct op random_op(struct prng *p, uint8_t arena[RANDOM_ARENA_BYTES]);
struct result random_result(struct prng *p, uint8_t arena[RANDOM_ARENA_BYTES]);

#endif
