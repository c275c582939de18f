#include "client/retry.h"

#define RETRY_US_MIN  1000u
#define RETRY_US_BASE 4000u
#define RETRY_US_MAX  500000u

bool retry_again(struct retry *r, uint64_t now_us, uint64_t *wait_us)
{
    uint64_t spread = r->attempt < 7 ? (uint64_t)RETRY_US_BASE << r->attempt : RETRY_US_MAX;
    r->attempt++;
    *wait_us = RETRY_US_MIN + prng_below(&r->prng, spread - RETRY_US_MIN + 1);
    return now_us + *wait_us < r->deadline_us;
}

bool retry_next(struct retry *r, assent_status status, uint64_t now_us, uint64_t *wait_us)
{
    return assent_retryable(status) && retry_again(r, now_us, wait_us);
}
