/* The operations of a mini-transaction on one participant, and the results of its reads. To the
 * commit protocol they are opaque bytes (struct blob); wire/ops_codec turns them into these. */
#ifndef COMMON_OPS_H
#define COMMON_OPS_H

#include "common/bytes.h"
#include "common/hlc.h"
#include "common/read_level.h"
#include "common/txid.h"

/* X(NAME, number). Numbers are part of the wire and disk formats and never change. */
#define OP_MAP(X)                                                                                  \
    X(CHECK_EXISTS, 1)                                                                             \
    X(CHECK_ABSENT, 2)                                                                             \
    X(CHECK_VALUE, 3)    /* value */                                                               \
    X(CHECK_VERSION, 4)  /* version */                                                             \
    X(CHECK_AT_LEAST, 5) /* number */                                                              \
    X(CHECK_RANGE, 6)    /* key..end unchanged since version.ts */                                 \
    X(READ_KEY, 10)                                                                                \
    X(READ_RANGE, 11) /* key..end, at most limit keys */                                           \
    X(PUT, 20)        /* value */                                                                  \
    X(DELETE, 21)                                                                                  \
    X(ADD, 22) /* number, bounds; an absent key counts as 0 */

enum op_kind {
#define OP_ENUM(name, number) OP_##name = (number),
    OP_MAP(OP_ENUM)
#undef OP_ENUM
};

/* Which write a value came from: adds applied out of order make the count part of it. */
struct version {
    hlc_ts ts;
    struct txid txid;
    uint32_t applies;
};

struct op {
    enum op_kind kind;
    struct bytes key;   /* 1..KEY_BYTES_MAX bytes; for a range the first key */
    struct bytes end;   /* range: the first key after it; empty = no end */
    struct bytes value; /* at most VALUE_BYTES_MAX; an integer is its canonical decimal text */
    int64_t number;
    int64_t lower; /* bounds of ADD, where has_lower, has_upper */
    int64_t upper;
    bool has_lower;
    bool has_upper;
    bool returns_value; /* ADD gives its result back: exclusive, no escrow */
    uint32_t limit;     /* READ_RANGE: 0 = as many as fit RESULTS_BYTES_MAX */
    bool descending;    /* READ_RANGE: the last keys first */
    struct version version;
};

/* Decoded operations; bytes point into the blob that they were decoded from, which they keep. */
struct ops {
    uint32_t n;
    struct op *op;
    struct blob *source;
};

/* One key that a read found or did not find. */
struct result {
    uint32_t op;    /* index of the operation that asked */
    bool found;     /* false only for READ_KEY of an absent key */
    bool truncated; /* the last of a range that was cut at its limit */
    struct bytes key;
    struct bytes value;
    struct version version;
};

struct results {
    uint32_t n;
    struct result *result;
    struct blob *source;
};

#define READ_NEWEST UINT64_MAX

/* What a resource reads: the versions at `at`, or at READ_NEWEST the newest. With `since`, which
 * goes with READ_NEWEST only, keys that were written or deleted after it: no result at all if there
 * is none, ASSENT_PRUNED if that is not known any more, ASSENT_TOO_LARGE if it takes too long. */
struct read_point {
    enum read_level level;
    hlc_ts at;
    hlc_ts since; /* 0: all keys */
};

static inline bool op_is_write(enum op_kind kind)
{
    return kind == OP_PUT || kind == OP_DELETE || kind == OP_ADD;
}

static inline bool op_is_range(enum op_kind kind)
{
    return kind == OP_CHECK_RANGE || kind == OP_READ_RANGE;
}

#endif
