#include "common/record.h"

const char *record_name(enum record_kind kind)
{
    switch (kind) {
#define NAME_CASE(name, number)                                                                    \
    case RECORD_##name:                                                                            \
        return #name;
        RECORD_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

bool record_kind_known(uint64_t number)
{
    switch (number) {
#define KNOWN_CASE(name, number) case (number):
        RECORD_MAP(KNOWN_CASE)
#undef KNOWN_CASE
        return true;
    default:
        return false;
    }
}

void tx_head_write(struct writer *w, const struct tx_head *head)
{
    writer_raw(w, head->txid.b, TXID_BYTES);
    writer_u16(w, head->home.node);
    writer_u32(w, head->home.incarnation);
    writer_u32(w, head->epoch);
    writer_u64(w, head->set_hash);
}

void tx_head_read(struct reader *r, struct tx_head *head)
{
    reader_raw(r, head->txid.b, TXID_BYTES);
    head->home.node = reader_u16(r);
    head->home.incarnation = reader_u32(r);
    head->epoch = reader_u32(r);
    head->set_hash = reader_u64(r);
}

void participants_write(struct writer *w, const struct participants *p)
{
    writer_u16(w, p->n);
    for (int i = 0; i < p->n; i++)
        writer_u16(w, p->id[i]);
}

void participants_read(struct reader *r, struct participants *p)
{
    *p = (struct participants){0};
    uint16_t n = reader_u16(r);
    if (n > PARTICIPANTS_MAX)
        r->bad = true;
    for (int i = 0; i < n && !r->bad; i++)
        p->id[i] = reader_u16(r);
    p->n = r->bad ? 0 : n;
}

void ballot_write(struct writer *w, struct ballot b)
{
    writer_u32(w, b.round);
    writer_u16(w, b.node);
    writer_u32(w, b.incarnation);
}

struct ballot ballot_read(struct reader *r)
{
    struct ballot b;
    b.round = reader_u32(r);
    b.node = reader_u16(r);
    b.incarnation = reader_u32(r);
    return b;
}
