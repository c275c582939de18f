/* The rows that are durable in the tail and not yet in the database, and those of the open batch:
 * numbered without a gap, the oldest first. Their bodies are shared with who appended them. */
#ifndef RUNTIME_STORE_PENDING_H
#define RUNTIME_STORE_PENDING_H

#include "common/bytes.h"
#include "runtime/store_row.h"

struct store_pending_row {
    struct store_row row; /* its body is in the blob */
    struct blob *body;
};

struct store_pending {
    struct store_pending_row *ring;
    uint32_t cap; /* a power of two, or 0 */
    uint32_t first;
    uint32_t n;
};

/* Keeps a reference to the body, which may be NULL. The row must be the next one. */
void store_pending_add(struct store_pending *p, const struct store_row *row, struct blob *body);
/* The row of that number, which must be here. */
const struct store_pending_row *store_pending_row(const struct store_pending *p, uint64_t seq);
/* Drops the rows up to that number, or those after it. */
void store_pending_drop_to(struct store_pending *p, uint64_t seq);
void store_pending_undo(struct store_pending *p, uint64_t seq);
void store_pending_free(struct store_pending *p);

#endif
