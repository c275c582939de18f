/* Rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", 1996): no table, so the time and memory are those of one
 * number however many keys there are.
 *
 * Under the curve t^-theta a point is drawn evenly, by its area from the left; the rank is the
 * whole number nearest to it. The curve is convex, so the area over a rank's interval (k - 1/2, k +
 * 1/2) is more than k^-theta, by so much is refused: of the interval, the leftmost part. The first
 * rank's interval is cut to the area that it should have. */
#include "client/command_zipf.h"

#include <math.h>

#define NEARLY_ONE 1e-9

/* The area under the curve from 1 to x; negative left of it. */
static double area(double theta, double x)
{
    double rest = 1 - theta;
    return fabs(rest) < NEARLY_ONE ? log(x) : expm1(rest * log(x)) / rest;
}

/* The x of an area. */
static double area_end(double theta, double a)
{
    double rest = 1 - theta;
    return fabs(rest) < NEARLY_ONE ? exp(a) : exp(log1p(a * rest) / rest);
}

void zipf_init(struct zipf *z, uint64_t n, double theta)
{
    *z = (struct zipf){.n = n, .theta = theta};
    z->area_least = area(theta, 1.5) - 1;
    z->area_most = area(theta, (double)n + 0.5);
    z->sure = 2 - area_end(theta, area(theta, 2.5) - pow(2, -theta));
}

/* In [0, 1). */
static double fraction(struct prng *prng)
{
    return (double)(prng_u64(prng) >> 11) * 0x1p-53;
}

uint64_t zipf_next(const struct zipf *z, struct prng *prng)
{
    for (;;) {
        double a = z->area_most + fraction(prng) * (z->area_least - z->area_most);
        double x = area_end(z->theta, a), k = floor(x + 0.5);
        k = k < 1 ? 1 : k > (double)z->n ? (double)z->n : k;
        if (k - x <= z->sure || a >= area(z->theta, k + 0.5) - pow(k, -z->theta))
            return (uint64_t)k - 1;
    }
}
