/* The body of the participant's PREPARED and APPLIED records (docs/disk-format.md). COMMITTED has
 * no body; the body of ABORTED is one u16, the reason. */
#ifndef PARTICIPANT_RECORD_H
#define PARTICIPANT_RECORD_H

#include "common/msg.h"
#include "common/record.h"

struct prepared_record {
    struct tx_head head;
    struct participants participants;
    uint64_t priority_ms;
    struct client_name client;
    struct bytes results; /* of its reads; empty: none */
    struct bytes ops;
};

/* One reference, the caller's. */
struct blob *prepared_record_encode(const struct prepared_record *p);
/* False if damaged; on success results and ops point into `body`. */
bool prepared_record_decode(struct bytes body, struct prepared_record *out);

struct blob *aborted_record_encode(assent_status reason);
assent_status aborted_record_decode(struct bytes body);

#endif
