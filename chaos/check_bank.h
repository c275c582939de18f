/* Money is neither made nor lost: every read of all accounts sees the total, no balance is below
 * its bound, and every balance is explained by the acknowledged transfers, each applied once, and
 * by those that were under way or whose outcome is unknown. Behind the last transfer, with no
 * outcome unknown, balances are exact. A history without a read behind the last acknowledged
 * transfer is UNJUDGED.
 *
 * (check_timestamps replays a bank's history exactly, where all commit timestamps are known.) */
#ifndef CHAOS_CHECK_BANK_H
#define CHAOS_CHECK_BANK_H

#include "chaos/check_finding.h"

struct bank_terms {
    uint32_t accounts;      /* 0..accounts-1 */
    const int64_t *initial; /* their balances before the first operation */
    bool bounded;
    int64_t least; /* of any balance, where bounded */
};

enum verdict check_bank(const struct history *h, const struct bank_terms *terms,
                        struct finding *out);

#endif
