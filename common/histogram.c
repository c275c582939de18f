#include "common/histogram.h"

/* Every value below 2 * HALF has its own bucket; a greater one loses the bits that do not fit. */
static unsigned shift_of(uint32_t us)
{
    unsigned bits = us == 0 ? 0 : 32u - (unsigned)__builtin_clz(us);
    return bits > HISTOGRAM_BITS ? bits - HISTOGRAM_BITS : 0;
}

static uint32_t bucket_of(uint32_t us)
{
    unsigned shift = shift_of(us);
    return shift * HISTOGRAM_HALF + (us >> shift);
}

/* The middle of a bucket. */
static uint32_t value_of(uint32_t bucket)
{
    unsigned shift = bucket < 2 * HISTOGRAM_HALF ? 0 : bucket / HISTOGRAM_HALF - 1;
    uint64_t low = (uint64_t)(bucket - shift * HISTOGRAM_HALF) << shift;
    return (uint32_t)(low + ((UINT64_C(1) << shift) >> 1));
}

void histogram_add(struct histogram *h, uint32_t us)
{
    h->n++;
    h->sum += us;
    if (us > h->max)
        h->max = us;
    h->bucket[bucket_of(us)]++;
}

uint32_t histogram_percentile(const struct histogram *h, double percent)
{
    double wanted = percent / 100 * (double)h->n;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && h->n > 0; i++) {
        seen += h->bucket[i];
        if (seen > 0 && (double)seen >= wanted)
            return value_of(i) < h->max ? value_of(i) : h->max;
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->n == 0 ? 0 : (double)h->sum / (double)h->n;
}
