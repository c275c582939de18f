#include "coordinator/record.h"

struct blob *acceptor_record_encode(const struct tx_head *head, struct ballot promised,
                                    bool whole_abort, struct ballot whole_ballot,
                                    const struct participants *participants,
                                    const struct accepted *accepted)
{
    struct writer w = {0};
    tx_head_write(&w, head);
    ballot_write(&w, promised);
    writer_u8(&w, whole_abort);
    ballot_write(&w, whole_ballot);
    participants_write(&w, participants);
    for (int i = 0; i < participants->n; i++) {
        ballot_write(&w, accepted[i].ballot);
        writer_u8(&w, (uint8_t)accepted[i].vote.kind);
        writer_u64(&w, accepted[i].vote.prepare_ts);
        writer_u16(&w, (uint16_t)accepted[i].vote.reason);
    }
    struct blob *body = blob_new(writer_view(&w));
    writer_free(&w);
    return body;
}

bool acceptor_record_decode(struct bytes body, struct acceptor_record *out)
{
    struct reader r = reader_of(body);
    *out = (struct acceptor_record){0};
    tx_head_read(&r, &out->head);
    out->promised = ballot_read(&r);
    out->whole_abort = reader_u8(&r) != 0;
    out->whole_ballot = ballot_read(&r);
    participants_read(&r, &out->participants);
    for (int i = 0; i < out->participants.n; i++) {
        struct accepted *a = &out->accepted[i];
        a->ballot = ballot_read(&r);
        uint8_t kind = reader_u8(&r);
        a->vote.prepare_ts = reader_u64(&r);
        a->vote.reason = (assent_status)reader_u16(&r);
        if (kind > VOTE_ABORTED)
            r.bad = true;
        else
            a->vote.kind = (enum vote_kind)kind;
    }
    return reader_done(&r) && (out->participants.n == 0 || participants_valid(&out->participants));
}

struct blob *finished_record_encode(const struct outcome *outcome)
{
    struct writer w = {0};
    writer_u8(&w, (uint8_t)outcome->kind);
    writer_u16(&w, (uint16_t)outcome->reason);
    struct blob *body = blob_new(writer_view(&w));
    writer_free(&w);
    return body;
}

bool finished_record_decode(const struct record *record, struct outcome *out)
{
    struct reader r = reader_of(blob_bytes(record->body));
    uint8_t kind = reader_u8(&r);
    out->reason = (assent_status)reader_u16(&r);
    out->commit_ts = record->ts;
    out->kind = kind <= OUTCOME_ABORTED ? (enum outcome_kind)kind : OUTCOME_NONE;
    return reader_done(&r) && kind <= OUTCOME_ABORTED;
}
