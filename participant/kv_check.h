/* Whether a transaction can be prepared: its checks against the newest values, its adds against
 * these and against every add in flight, so that nothing is left that could fail at commit. Checks
 * and reads see the state before the transaction; its writes see each other, in order. */
#ifndef PARTICIPANT_KV_CHECK_H
#define PARTICIPANT_KV_CHECK_H

#include "participant/kv_pending.h"
#include "participant/kv_reads.h"

struct kv_checker {
    struct kv_view view;
    const struct kv_pending *pending; /* without the transaction itself */
    hlc_ts prune_point;
    struct txid txid;
    struct kv_say say;     /* after a refusal: why */
    struct kv_reads reads; /* the caller frees them */
};

assent_status kv_check(struct kv_checker *c, const struct ops *ops);

#endif
