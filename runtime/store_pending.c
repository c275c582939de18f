#include "runtime/store_pending.h"

#include <stdio.h>
#include <stdlib.h>

static struct store_pending_row *at(const struct store_pending *p, uint32_t i)
{
    return &p->ring[(p->first + i) & (p->cap - 1)];
}

static void grow(struct store_pending *p)
{
    struct store_pending_row *ring = xcalloc(p->cap == 0 ? 64 : 2 * (size_t)p->cap, sizeof *ring);
    for (uint32_t i = 0; i < p->n; i++)
        ring[i] = *at(p, i);
    free(p->ring);
    p->ring = ring;
    p->cap = p->cap == 0 ? 64 : 2 * p->cap;
    p->first = 0;
}

void store_pending_add(struct store_pending *p, const struct store_row *row, struct blob *body)
{
    if (p->n > 0 && at(p, p->n - 1)->row.seq + 1 != row->seq) {
        fprintf(stderr, "assent: store_pending: a gap before row %llu\n",
                (unsigned long long)row->seq);
        abort();
    }
    if (p->n == p->cap)
        grow(p);
    struct store_pending_row *last = at(p, p->n++);
    last->row = *row;
    last->body = blob_ref(body);
    last->row.body = blob_bytes(last->body);
}

const struct store_pending_row *store_pending_row(const struct store_pending *p, uint64_t seq)
{
    uint64_t first = p->n == 0 ? 0 : at(p, 0)->row.seq;
    if (p->n == 0 || seq < first || seq - first >= p->n) {
        fprintf(stderr, "assent: store_pending: row %llu is not here\n", (unsigned long long)seq);
        abort();
    }
    return at(p, (uint32_t)(seq - first));
}

void store_pending_drop_to(struct store_pending *p, uint64_t seq)
{
    while (p->n > 0 && at(p, 0)->row.seq <= seq) {
        blob_unref(at(p, 0)->body);
        p->first = (p->first + 1) & (p->cap - 1);
        p->n--;
    }
}

void store_pending_undo(struct store_pending *p, uint64_t seq)
{
    while (p->n > 0 && at(p, p->n - 1)->row.seq > seq)
        blob_unref(at(p, --p->n)->body);
}

void store_pending_free(struct store_pending *p)
{
    store_pending_undo(p, 0);
    free(p->ring);
    p->ring = NULL;
    p->cap = 0;
}
