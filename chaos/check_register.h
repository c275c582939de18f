/* Linearizability of registers with reads, writes and compare-and-set, key by key (it is a local
 * property): is there an order of the operations, each somewhere between its beginning and its end,
 * that explains what every read and every successful compare-and-set saw? Operations of unknown
 * outcome may take effect at any later time, or never. All keys begin as nil.
 *
 * The search is bounded; a key that needs more is UNJUDGED. */
#ifndef CHAOS_CHECK_REGISTER_H
#define CHAOS_CHECK_REGISTER_H

#include "chaos/check_finding.h"

enum verdict check_register(const struct history *h, struct finding *out);

#endif
