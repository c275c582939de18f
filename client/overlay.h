/* What a transaction's own writes so far make of the keys that it reads. Pure.
 *
 * A put or delete hides what is below; adds count on top of the last of them, or, without any, of
 * what the snapshot has. That is what a participant makes of them at the commit, in the same order,
 * but for the bounds of adds, which only the commit judges. */
#ifndef CLIENT_OVERLAY_H
#define CLIENT_OVERLAY_H

#include "client/txn.h"
#include "common/number.h"

enum overlay_base { BASE_SNAPSHOT, BASE_PUT, BASE_NOTHING };

/* The own writes of one key; bytes are the transaction's. */
struct own {
    struct bytes key;
    enum overlay_base base;
    struct bytes value; /* BASE_PUT */
    uint32_t adds;      /* on top of the base */
    wide net;
    wide least; /* of the sums on the way to net, and 0 */
    wide greatest;
};

/* The keys of a range that it wrote, ascending. */
struct overlay {
    uint32_t n;
    struct own *own;
};

/* False: it did not write the key. */
bool overlay_key(const assent_txn *t, struct bytes key, struct own *out);
/* end NULL or empty: no end. Free with overlay_free. */
struct overlay overlay_range(const assent_txn *t, struct bytes key, struct bytes end);
void overlay_free(struct overlay *o);
/* How many of them are deleted, so that they are no entries whatever is below. */
uint32_t overlay_deleted(const struct overlay *o);

/* Appends the key to the list, as it is on top of `below` (NULL, or not found: nothing), also when
 * there is nothing: an entry that was not found. ASSENT_NOT_INTEGER, ASSENT_OVERFLOW, with the
 * sentence for assent_error(). */
assent_status overlay_append(const struct own *own, const assent_entry *below, assent_list *out);

/* Rows of a range in the snapshot, and what is made of them. */
struct merge {
    const struct overlay *overlay;
    const assent_list *rows; /* truncated: nothing behind the last row is known */
    bool descending;
    uint32_t limit; /* 0: none */
    /* out */
    assent_list *list;   /* truncated at the limit, or where the rows were */
    struct bytes failed; /* the key that was neither; its status was returned */
};

/* Appends to m->list what the range has, its own writes in it. */
assent_status overlay_merge(struct merge *m);

#endif
