#include "participant/record.h"

#include <string.h>

struct blob *prepared_record_encode(const struct prepared_record *p)
{
    struct writer w = {0};
    tx_head_write(&w, &p->head);
    participants_write(&w, &p->participants);
    writer_u64(&w, p->priority_ms);
    writer_bytes(&w, bytes_of_text(p->client.text));
    writer_bytes(&w, p->results);
    writer_bytes(&w, p->ops);
    struct blob *body = blob_new(writer_view(&w));
    writer_free(&w);
    return body;
}

bool prepared_record_decode(struct bytes body, struct prepared_record *out)
{
    struct reader r = reader_of(body);
    *out = (struct prepared_record){0};
    tx_head_read(&r, &out->head);
    participants_read(&r, &out->participants);
    out->priority_ms = reader_u64(&r);
    struct bytes client = reader_bytes(&r, NAME_BYTES_MAX);
    if (client.len > 0)
        memcpy(out->client.text, client.data, client.len);
    out->results = reader_bytes(&r, RESULTS_BYTES_MAX);
    out->ops = reader_bytes(&r, OPS_BYTES_MAX);
    return reader_done(&r) && participants_valid(&out->participants);
}

struct blob *aborted_record_encode(assent_status reason)
{
    uint8_t body[2] = {(uint8_t)reason, (uint8_t)((unsigned)reason >> 8)};
    return blob_new(bytes_of(body, sizeof body));
}

assent_status aborted_record_decode(struct bytes body)
{
    struct reader r = reader_of(body);
    return (assent_status)reader_u16(&r);
}
