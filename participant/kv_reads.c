#include "participant/kv_reads.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ops_codec.h"

/* What MessagePack adds to one result: array 1, op 5, two flags 2, lengths of key and value 5 + 5,
 * and the version: array 1, timestamp 9, txid 18, applies 5. */
#define RESULT_OVERHEAD 51u
/* The array around all results. */
#define RESULTS_OVERHEAD 5u

void kv_reads_free(struct kv_reads *reads)
{
    for (uint32_t i = 0; i < reads->n; i++)
        free((void *)(uintptr_t)reads->result[i].key.data);
    free(reads->result);
    *reads = (struct kv_reads){0};
}

/* Key and value are one allocation, found again by the key. */
bool kv_reads_put(struct kv_reads *reads, uint32_t at, const struct kv_cell *cell)
{
    size_t value_len = cell->live ? cell->value.len : 0;
    reads->asked = true;
    size_t bytes = RESULT_OVERHEAD + cell->key.len + value_len;
    if (reads->bytes + bytes > RESULTS_BYTES_MAX - RESULTS_OVERHEAD)
        return false;
    reads->bytes += bytes;
    if (reads->n == reads->cap) {
        reads->cap = reads->cap == 0 ? 8 : 2 * reads->cap;
        reads->result = xrealloc(reads->result, reads->cap * sizeof *reads->result);
    }
    uint8_t *copy = xmalloc(cell->key.len + value_len);
    memcpy(copy, cell->key.data, cell->key.len);
    if (value_len > 0)
        memcpy(copy + cell->key.len, cell->value.data, value_len);
    reads->result[reads->n++] = (struct result){
        .op = at,
        .found = cell->live,
        .key = bytes_of(copy, cell->key.len),
        .value = bytes_of(copy + cell->key.len, value_len),
        .version = cell->live ? cell->version : (struct version){0},
    };
    return true;
}

struct range {
    struct kv_reads *reads;
    uint32_t at;
    uint32_t limit; /* 0: none */
    uint32_t n;
    bool cut;
};

static bool range_each(void *arg, const struct kv_cell *cell)
{
    struct range *r = arg;
    r->cut = (r->limit > 0 && r->n == r->limit) || !kv_reads_put(r->reads, r->at, cell);
    r->n += !r->cut;
    return !r->cut;
}

static assent_status reading_failed(const struct kv_view *view, struct kv_say *say)
{
    kv_say(say, "reading from the database failed: %s", kv_tables_error(view->tables));
    return ASSENT_STORAGE;
}

assent_status kv_reads_run(struct kv_reads *reads, const struct kv_view *view, uint32_t at,
                           const struct op *op, struct kv_say *say)
{
    reads->asked = true;
    struct range range = {.reads = reads, .at = at, .limit = op->limit};
    int rc;
    bool room = true;
    if (op->kind == OP_READ_RANGE) {
        struct kv_range r = {.key = op->key, .end = op->end, .descending = op->descending};
        rc = kv_view_range(view, &r, range_each, &range);
        if (range.cut && range.n > 0)
            reads->result[reads->n - 1].truncated = true;
        room = !range.cut || range.n > 0;
    } else {
        struct kv_cell cell;
        rc = kv_view_get(view, op->key, &cell);
        if (rc == SQLITE_OK)
            room = kv_reads_put(reads, at, &cell);
    }
    if (rc != SQLITE_OK)
        return reading_failed(view, say);
    if (room)
        return ASSENT_OK;
    char quoted[KV_QUOTED_BYTES];
    kv_say(say, "key %s: the reads give more than %u bytes: read less at once",
           kv_quote(op->key, quoted), RESULTS_BYTES_MAX);
    return ASSENT_TOO_LARGE;
}

struct changed {
    struct kv_reads *reads;
    uint32_t at;
    hlc_ts since;
    uint32_t rows;
    bool room;
};

static bool changed_each(void *arg, const struct kv_cell *cell)
{
    struct changed *c = arg;
    c->room = c->rows++ < WATCH_ROWS_MAX;
    if (c->room && cell->version.ts > c->since)
        c->room = c->reads->n < WATCH_KEYS_MAX && kv_reads_put(c->reads, c->at, cell);
    return c->room;
}

assent_status kv_reads_changed(struct kv_reads *reads, const struct kv_view *view, uint32_t at,
                               const struct op *op, hlc_ts since, struct kv_say *say)
{
    struct changed changed = {.reads = reads, .at = at, .since = since, .room = true};
    struct kv_cell cell;
    int rc;
    if (op->kind == OP_READ_RANGE) {
        struct kv_range r = {.key = op->key, .end = op->end, .deleted = true};
        rc = kv_view_range(view, &r, changed_each, &changed);
    } else {
        rc = kv_view_get(view, op->key, &cell);
        if (rc == SQLITE_OK)
            changed_each(&changed, &cell);
    }
    if (rc != SQLITE_OK)
        return reading_failed(view, say);
    if (changed.room)
        return ASSENT_OK;
    kv_say(say, "too many keys, or too many changes, to find all since %" PRIu64, since);
    return ASSENT_TOO_LARGE;
}

struct blob *kv_reads_encode(const struct kv_reads *reads)
{
    if (!reads->asked)
        return NULL;
    struct blob *encoded = results_encode(reads->result, reads->n);
    if (encoded == NULL) {
        fprintf(stderr, "assent: kv_reads: %u results take more than was counted\n", reads->n);
        abort();
    }
    return encoded;
}
