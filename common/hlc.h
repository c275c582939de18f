/* Hybrid logical clock: 48 bits of Unix milliseconds over a 16-bit counter (Kulkarni et al., 2014).
 * Timestamps are plain 64-bit integers that compare in clock order; 0 is "before everything".
 * The clock never decides safety (docs/protocol.md, "Time"). */
#ifndef COMMON_HLC_H
#define COMMON_HLC_H

#include <stdint.h>

typedef uint64_t hlc_ts;

struct hlc {
    hlc_ts last; /* greatest timestamp issued or merged */
};

static inline hlc_ts hlc_from_ms(uint64_t unix_ms)
{
    return unix_ms << 16;
}

static inline uint64_t hlc_to_ms(hlc_ts ts)
{
    return ts >> 16;
}

/* Makes every later timestamp greater than `seen`. */
static inline void hlc_merge(struct hlc *clock, hlc_ts seen)
{
    if (seen > clock->last)
        clock->last = seen;
}

/* A timestamp greater than all issued and merged before, and at least the wall clock (0: none). */
static inline hlc_ts hlc_next(struct hlc *clock, uint64_t wall_ms)
{
    hlc_ts wall = hlc_from_ms(wall_ms);
    clock->last = wall > clock->last ? wall : clock->last + 1;
    return clock->last;
}

/* The clock's reading, without issuing a timestamp. */
static inline hlc_ts hlc_now(const struct hlc *clock, uint64_t wall_ms)
{
    hlc_ts wall = hlc_from_ms(wall_ms);
    return wall > clock->last ? wall : clock->last;
}

#endif
