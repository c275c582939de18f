/* A key-value store over a throw-away database and a log that is an array: what the tests of
 * participant/kv_* share. */
#ifndef TESTS_UNIT_KV_FIXTURE_H
#define TESTS_UNIT_KV_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/limits.h"
#include "common/prng.h"
#include "participant/kv_store.h"
#include "participant/record.h"
#include "wire/ops_codec.h"

struct rig {
    char dir[256];
    char file[272];
    sqlite3 *db;
    struct kv_store *kv;
    struct store_role role;
    struct record *log;
    uint32_t n;
    uint32_t cap;
    uint32_t applied;
    bool applying; /* an apply is open */
    uint32_t applying_to;
    uint64_t txids;
};

static inline void rig_sql(struct rig *r, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(r->db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
}

static inline void rig_connect(struct rig *r)
{
    assert_int_equal(sqlite3_open(r->file, &r->db), SQLITE_OK);
    rig_sql(r, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    r->kv = kv_store_new();
    r->role = kv_store_role(r->kv);
}

static inline void rig_open(struct rig *r)
{
    *r = (struct rig){0};
    const char *tmp = getenv("TMPDIR");
    snprintf(r->dir, sizeof r->dir, "%s/assent-kv-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->file, sizeof r->file, "%s/kv.db", r->dir);
    rig_connect(r);
    rig_sql(r, "CREATE TABLE log (seq INTEGER PRIMARY KEY, kind, txid, ts, body)");
    assert_int_equal(r->role.create(r->role.arg, r->db), SQLITE_OK);
    assert_int_equal(r->role.load(r->role.arg, r->db), SQLITE_OK);
}

/* Memory is lost; tables and log are not. */
static inline void rig_restart(struct rig *r)
{
    sqlite3_close_v2(r->db);
    kv_store_free(r->kv);
    r->applying = false;
    rig_connect(r);
    assert_int_equal(r->role.load(r->role.arg, r->db), SQLITE_OK);
    for (uint32_t i = r->applied; i < r->n; i++)
        assert_int_equal(r->role.replay(r->role.arg, &r->log[i]), SQLITE_OK);
}

static inline void rig_close(struct rig *r)
{
    sqlite3_close_v2(r->db);
    kv_store_free(r->kv);
    for (uint32_t i = 0; i < r->n; i++)
        blob_unref(r->log[i].body);
    free(r->log);
    unlink(r->file);
    rmdir(r->dir);
}

/* Opens an apply of up to n rows. */
static inline void rig_apply_begin(struct rig *r, uint32_t n)
{
    r->applying_to = r->n - r->applied < n ? r->n : r->applied + n;
    r->applying = true;
    rig_sql(r, "BEGIN IMMEDIATE");
    for (uint32_t i = r->applied; i < r->applying_to; i++)
        assert_int_equal(r->role.apply(r->role.arg, &r->log[i]), SQLITE_OK);
}

/* Whether there are more. */
static inline bool rig_apply_step(struct rig *r, uint32_t rows)
{
    struct store_step step = {.rows = rows};
    bool more = false;
    assert_int_equal(r->role.flush(r->role.arg, &step, &more), SQLITE_OK);
    return more;
}

static inline void rig_apply_end(struct rig *r, bool keep)
{
    rig_sql(r, keep ? "COMMIT" : "ROLLBACK");
    r->applying = false;
    if (!keep)
        return;
    r->applied = r->applying_to;
    r->role.applied(r->role.arg, r->applied);
}

/* Applies up to n rows in one SQLite transaction, or does so and rolls it back. */
static inline void rig_apply(struct rig *r, uint32_t n, bool keep)
{
    rig_apply_begin(r, n);
    assert_false(rig_apply_step(r, UINT32_MAX));
    rig_apply_end(r, keep);
}

/* Takes over body. */
static inline void rig_append(struct rig *r, enum record_kind kind, const struct txid *txid,
                              hlc_ts ts, struct blob *body)
{
    if (r->n == r->cap) {
        r->cap = r->cap == 0 ? 64 : 2 * r->cap;
        r->log = xrealloc(r->log, r->cap * sizeof *r->log);
    }
    r->log[r->n++] = (struct record){kind, *txid, ts, body};
    kv_store_durable(r->kv, &r->log[r->n - 1]);
}

static inline struct txid rig_txid(struct rig *r, uint64_t ms)
{
    return txid_make(ms, 0, ++r->txids);
}

static inline struct blob *rig_body(const struct txid *txid, const struct op *op, uint32_t n)
{
    struct blob *ops = ops_encode(op, n);
    struct prepared_record p = {
        .head = {.txid = *txid, .home = {1, 1}, .epoch = 1},
        .participants = {.n = 1, .id = {7}},
        .client = {"tester"},
        .ops = blob_bytes(ops),
    };
    struct blob *body = prepared_record_encode(&p);
    blob_unref(ops);
    return body;
}

static inline assent_status rig_check(struct rig *r, const struct txid *txid, const struct op *op,
                                      uint32_t n, struct kv_verdict *out)
{
    struct blob *ops = ops_encode(op, n);
    assert_non_null(ops);
    kv_store_check(r->kv, r->db, txid, ops, out);
    blob_unref(ops);
    assert_true((out->status == ASSENT_OK) == (out->detail == NULL));
    return out->status;
}

static inline void verdict_free(struct kv_verdict *verdict)
{
    blob_unref(verdict->detail);
    blob_unref(verdict->results);
    *verdict = (struct kv_verdict){0};
}

/* Checks, and if that passes makes the PREPARED record durable. */
static inline assent_status rig_prepare(struct rig *r, const struct txid *txid, hlc_ts ts,
                                        const struct op *op, uint32_t n)
{
    struct kv_verdict verdict;
    assent_status status = rig_check(r, txid, op, n, &verdict);
    verdict_free(&verdict);
    if (status == ASSENT_OK)
        rig_append(r, RECORD_PREPARED, txid, ts, rig_body(txid, op, n));
    return status;
}

static inline void rig_commit(struct rig *r, const struct txid *txid, hlc_ts ts)
{
    rig_append(r, RECORD_COMMITTED, txid, ts, NULL);
}

static inline void rig_abort(struct rig *r, const struct txid *txid)
{
    rig_append(r, RECORD_ABORTED, txid, 0, aborted_record_encode(ASSENT_TIMED_OUT));
}

/* Commits operations in one phase at ts, whatever they are. */
static inline struct txid rig_write(struct rig *r, hlc_ts ts, const struct op *op, uint32_t n)
{
    struct txid txid = rig_txid(r, hlc_to_ms(ts));
    rig_append(r, RECORD_APPLIED, &txid, ts, rig_body(&txid, op, n));
    return txid;
}

static inline struct op op_of(enum op_kind kind, const char *key)
{
    return (struct op){.kind = kind, .key = bytes_of_text(key)};
}

static inline struct op op_put(const char *key, const char *value)
{
    return (struct op){.kind = OP_PUT, .key = bytes_of_text(key), .value = bytes_of_text(value)};
}

static inline struct op op_add(const char *key, int64_t delta)
{
    return (struct op){.kind = OP_ADD, .key = bytes_of_text(key), .number = delta};
}

static inline struct op op_add_within(const char *key, int64_t delta, int64_t lower, int64_t upper)
{
    struct op op = op_add(key, delta);
    op.has_lower = op.has_upper = true;
    op.lower = lower;
    op.upper = upper;
    return op;
}

static inline struct op op_range(enum op_kind kind, const char *key, const char *end)
{
    return (struct op){.kind = kind, .key = bytes_of_text(key), .end = bytes_of_text(end)};
}

static inline void rig_put(struct rig *r, hlc_ts ts, const char *key, const char *value)
{
    struct op op = op_put(key, value);
    rig_write(r, ts, &op, 1);
}

static inline void rig_delete(struct rig *r, hlc_ts ts, const char *key)
{
    struct op op = op_of(OP_DELETE, key);
    rig_write(r, ts, &op, 1);
}

static const struct read_point newest = {.level = READ_STRONG, .at = READ_NEWEST};

/* The caller frees `out`, which is empty unless the status is ASSENT_OK. */
static inline assent_status rig_read_at(struct rig *r, const struct read_point *point,
                                        const struct op *op, uint32_t n, struct results *out)
{
    struct kv_verdict verdict;
    struct blob *ops = ops_encode(op, n);
    kv_store_read(r->kv, r->db, point, ops, &verdict);
    blob_unref(ops);
    assent_status status = verdict.status;
    assert_true((status == ASSENT_OK) == (verdict.detail == NULL));
    *out = (struct results){0};
    if (verdict.results != NULL)
        assert_int_equal(results_decode(verdict.results, out), ASSENT_OK);
    verdict_free(&verdict);
    return status;
}

static inline void rig_read(struct rig *r, const struct op *op, uint32_t n, struct results *out)
{
    assert_int_equal(rig_read_at(r, &newest, op, n, out), ASSENT_OK);
}

/* What is older than ts need not be kept. */
static inline void rig_watermark(struct rig *r, hlc_ts ts)
{
    struct record record = {.kind = RECORD_WATERMARK, .ts = ts};
    kv_store_durable(r->kv, &record);
}

#endif
