/* Bodies of the coordinator's records (docs/disk-format.md). ACCEPT and PROMISE carry the
 * acceptor's whole state for the transaction as it is after them, so the newest one alone tells
 * everything. The body of FINISHED is the outcome: u8 kind, u16 reason; its ts is the commit
 * timestamp. */
#ifndef COORDINATOR_RECORD_H
#define COORDINATOR_RECORD_H

#include "common/msg.h"
#include "common/record.h"

struct acceptor_record {
    struct tx_head head;
    struct ballot promised;
    bool whole_abort; /* "the whole transaction aborted" was accepted, at whole_ballot */
    struct ballot whole_ballot;
    struct participants participants; /* n = 0: no vote known */
    struct accepted accepted[PARTICIPANTS_MAX];
};

struct blob *acceptor_record_encode(const struct tx_head *head, struct ballot promised,
                                    bool whole_abort, struct ballot whole_ballot,
                                    const struct participants *participants,
                                    const struct accepted *accepted);
bool acceptor_record_decode(struct bytes body, struct acceptor_record *out);

struct blob *finished_record_encode(const struct outcome *outcome);
bool finished_record_decode(const struct record *record, struct outcome *out);

#endif
