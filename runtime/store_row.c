#include "runtime/store_row.h"

#include <sqlite3.h>
#include <string.h>

struct hash store_row_chain(const struct store_position *at, const struct store_row *row)
{
    struct writer w = {0};
    writer_raw(&w, at->chain.b, HASH_BYTES);
    writer_u64(&w, row->seq);
    writer_u32(&w, (uint32_t)row->kind);
    writer_raw(&w, row->txid.b, TXID_BYTES);
    writer_u64(&w, row->ts);
    const struct bytes part[] = {writer_view(&w), row->body};
    struct hash chain = hash_of(part, 2);
    writer_free(&w);
    return chain;
}

bool store_row_of_node(uint64_t kind)
{
    return kind == RECORD_INCARNATION || kind == RECORD_CEILING || kind == RECORD_WATERMARK;
}

static hlc_ts later(hlc_ts a, hlc_ts b)
{
    return a > b ? a : b;
}

/* False for an incarnation that is malformed or not larger than the one before. */
static bool node_absorb(struct store_node *node, const struct store_row *row)
{
    if (row->kind == RECORD_WATERMARK)
        node->watermark = later(node->watermark, row->ts);
    else
        node->newest = later(node->newest, row->ts);
    if (row->kind == RECORD_CEILING || row->kind == RECORD_INCARNATION)
        node->ceiling = later(node->ceiling, row->ts);
    if (row->kind != RECORD_INCARNATION)
        return true;
    struct reader r = reader_of(row->body);
    uint32_t incarnation = reader_u32(&r);
    if (!reader_done(&r) || incarnation <= node->incarnation)
        return false;
    node->incarnation = incarnation;
    return true;
}

bool store_row_advance(struct store_position *at, const struct store_row *row)
{
    at->seq = row->seq;
    at->chain = row->chain;
    at->bytes += row->body.len;
    return node_absorb(&at->node, row);
}

void store_row_read(sqlite3_stmt *stmt, struct store_row *row)
{
    memset(row, 0, sizeof *row);
    row->seq = (uint64_t)sqlite3_column_int64(stmt, 0);
    row->kind = (uint64_t)sqlite3_column_int64(stmt, 1);
    row->ts = (uint64_t)sqlite3_column_int64(stmt, 3);
    row->has_body = sqlite3_column_type(stmt, 4) != SQLITE_NULL;
    const void *txid = sqlite3_column_blob(stmt, 2), *chain = sqlite3_column_blob(stmt, 5);
    const void *body = sqlite3_column_blob(stmt, 4);
    row->body = bytes_of(body, body == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt, 4));
    row->malformed = txid == NULL || sqlite3_column_bytes(stmt, 2) != TXID_BYTES || chain == NULL ||
                     sqlite3_column_bytes(stmt, 5) != HASH_BYTES || row->kind > UINT32_MAX;
    if (row->malformed)
        return;
    memcpy(row->txid.b, txid, TXID_BYTES);
    memcpy(row->chain.b, chain, HASH_BYTES);
}

const char *store_row_fault(const struct store_position *before, const struct store_row *row)
{
    if (row->seq != before->seq + 1)
        return "the numbers do not follow each other";
    if (row->malformed)
        return "it is malformed";
    struct hash chain = store_row_chain(before, row);
    if (memcmp(chain.b, row->chain.b, HASH_BYTES) != 0)
        return "its chain does not continue the row before it";
    return NULL;
}

struct record store_row_record(const struct store_row *row)
{
    return (struct record){.kind = (enum record_kind)row->kind,
                           .txid = row->txid,
                           .ts = row->ts,
                           .body = row->has_body ? blob_new(row->body) : NULL};
}
