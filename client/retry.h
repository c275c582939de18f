/* When assent_run tries again: pure. */
#ifndef CLIENT_RETRY_H
#define CLIENT_RETRY_H

#include <assent/status.h>

#include "common/prng.h"

struct retry {
    struct prng prng;
    uint32_t attempt;
    uint64_t deadline_us;
};

/* Whether an attempt that ended at now_us with `status` is followed by another, *wait_us later.
 * Never after a status that may hide a commit, nor past the deadline. */
bool retry_next(struct retry *r, assent_status status, uint64_t now_us, uint64_t *wait_us);
/* The same for an attempt of which the caller knows that another may end better. */
bool retry_again(struct retry *r, uint64_t now_us, uint64_t *wait_us);

#endif
