/* Keys that are only ever written together, in one transaction: whoever sees one of them sees the
 * others as they were written with it, or newer. A route never without its service; a bulk of
 * hundreds of keys never in two versions.
 *
 * In the history the group is one register, whose value is the version that all of its keys carry;
 * versions of one group grow along its history: each is drawn after the one that it replaces was
 * read, or nobody compares reads of different operations. A look is what two reads of two keys of a
 * group found, the second begun after the first had ended, or both by one transaction. */
#ifndef CHAOS_CHECK_PARTS_H
#define CHAOS_CHECK_PARTS_H

#include "chaos/check_finding.h"

struct parts_look {
    uint32_t op[2];  /* the same: one transaction read both */
    int part[2];     /* which key of the group */
    int64_t seen[2]; /* version, or HISTORY_NIL: no such key */
};

/* `names` of the parts, or NULL: they are numbers. Looks of operations that did not end well are
 * left out. */
enum verdict check_parts(const struct history *h, const struct parts_look *looks, size_t n,
                         const char *const *names, struct finding *out);

#endif
