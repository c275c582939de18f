/* A set that only grows: a read has every element whose add was acknowledged, or that another read
 * had returned, before it began; none that failed, that nobody added or had begun to add; and none
 * twice. A history without a read behind the last acknowledged add is UNJUDGED. */
#ifndef CHAOS_CHECK_SET_H
#define CHAOS_CHECK_SET_H

#include "chaos/check_finding.h"

enum verdict check_set(const struct history *h, struct finding *out);

#endif
