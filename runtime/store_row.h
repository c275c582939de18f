/* One row of the log, and how a row continues the log: numbers, chain, the node's own records. */
#ifndef RUNTIME_STORE_ROW_H
#define RUNTIME_STORE_ROW_H

#include "runtime/store_meta.h"

/* The columns that store_row_read expects, in this order. */
#define STORE_ROW_COLUMNS "seq, kind, txid, ts, body, chain"

/* The body points into the statement, or into a record. */
struct store_row {
    uint64_t seq;
    uint64_t kind;
    struct txid txid;
    hlc_ts ts;
    bool has_body;
    struct bytes body;
    struct hash chain;
    bool malformed;
};

/* The chain of the row, when it comes after `before`. */
struct hash store_row_chain(const struct store_position *before, const struct store_row *row);
/* Kinds that the log store keeps itself. */
bool store_row_of_node(uint64_t kind);
void store_row_read(struct sqlite3_stmt *stmt, struct store_row *row);
/* NULL if the row continues the log, or what is wrong with it. */
const char *store_row_fault(const struct store_position *before, const struct store_row *row);
/* Moves the position onto the row. False for an incarnation that is malformed or not larger than
 * the one before. */
bool store_row_advance(struct store_position *at, const struct store_row *row);
/* The body is a copy, with one reference, the caller's. */
struct record store_row_record(const struct store_row *row);

#endif
