/* Ranks by Zipf's law, for loads: rank k of 1..n is drawn with a probability proportional to
 * 1 / k^theta. */
#ifndef CLIENT_COMMAND_ZIPF_H
#define CLIENT_COMMAND_ZIPF_H

#include "common/prng.h"

struct zipf {
    uint64_t n;
    double theta;
    double area_least, area_most; /* between which a point is drawn; command_zipf.c */
    double sure;                  /* so little right of a rank's middle needs no second look */
};

/* n >= 1; theta >= 0, of which 0 is the even distribution. */
void zipf_init(struct zipf *z, uint64_t n, double theta);
/* From 0: the rank less one. */
uint64_t zipf_next(const struct zipf *z, struct prng *prng);

#endif
