/* Reading a range of keys to its end: over as many placements and answers as it takes. */
#ifndef CLIENT_COMMAND_WALK_H
#define CLIENT_COMMAND_WALK_H

#include <assent/assent.h>

#include "runtime/cluster.h"

struct command_walk {
    const struct cluster *cluster;
    /* One answer about keys of [key, end), which have one placement; limit 0: none. *out may stay
     * NULL: nothing of it is to be read. The list is freed here. */
    assent_status (*read)(void *arg, struct bytes key, struct bytes end, uint32_t limit,
                          assent_list **out);
    void (*show)(void *arg, const assent_entry *entry);
    void *arg;
    int64_t limit;          /* 0: none */
    bool descending;        /* the last key first */
    int64_t found;          /* so far */
    bool more;              /* stopped at the limit */
    struct writer key, end; /* what is left to read */
};

/* What to read: the keys with the prefix, not before `from` and before `to` (empty: no end). False
 * if `to` does not come after `from`. */
bool command_walk_range(struct command_walk *w, struct bytes prefix, struct bytes from,
                        struct bytes to);
/* Until the end, the limit or the first status other than ASSENT_OK. */
assent_status command_walk(struct command_walk *w);
void command_walk_free(struct command_walk *w);

#endif
