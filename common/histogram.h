/* Counts of durations with at least three exact digits: below 2048 one bucket a microsecond, then
 * 1024 buckets for every doubling. */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    11
#define HISTOGRAM_HALF    (1u << (HISTOGRAM_BITS - 1))
#define HISTOGRAM_BUCKETS ((32 - HISTOGRAM_BITS + 2) * HISTOGRAM_HALF)

struct histogram {
    uint64_t n;
    uint64_t sum;
    uint32_t max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint32_t us);
/* The value at or below which `percent` of all lie: the middle of its bucket, never above the
 * maximum; 0 while there is none. */
uint32_t histogram_percentile(const struct histogram *h, double percent);
double histogram_mean(const struct histogram *h);

#endif
