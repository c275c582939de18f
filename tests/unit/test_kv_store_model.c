/* participant/kv_store against a model: random batches of transactions, decisions, applies,
 * rollbacks, restarts and watermarks. The model is arrays and brute force: it tries every subset of
 * pending adds, and for a snapshot plays every transaction again in the order of timestamps. A
 * failing seed is in the message; KV_SEED=<n> runs only that one. */
#include "kv_fixture.h"

#include <inttypes.h>

#include "common/number.h"

#define KEYS_MAX    6
#define OPS_EACH    4
#define PENDING_MAX 7
#define TXNS_MAX    2048

struct scene {
    const char *name;
    int keys;
    bool only_adds;
    int64_t start; /* value of every counter; 0: they are not there yet */
    int64_t delta; /* of an add, at most */
    int steps;
};

struct cell {
    bool written, live, integer;
    int64_t number;
    struct version version;
};

enum fate { FATE_OPEN, FATE_COMMITTED, FATE_ABORTED };

struct txn {
    struct txid txid;
    hlc_ts prepare_ts;
    bool one_phase;
    enum fate fate;
    hlc_ts commit_ts;
    uint32_t n;
    struct op op[OPS_EACH];
    int key[OPS_EACH];
};

struct model {
    struct rig rig;
    const struct scene *scene;
    struct prng prng;
    uint64_t seed;
    hlc_ts clock;
    struct cell cell[KEYS_MAX];
    struct txn txn[TXNS_MAX];
    int txns;
    int pending[PENDING_MAX]; /* indices of txn */
    int n_pending;
    int admitted, refused;
    char start[WIDE_TEXT_BYTES]; /* value of every counter */
    hlc_ts watermark;
    int snapshots, pruned;
};

static const char *const key_names[KEYS_MAX] = {"a", "b", "ba", "c", "d", "e"};
static const char *const number_texts[] = {"0", "1", "-3", "7"};
static const int64_t numbers[] = {0, 1, -3, 7};

static uint64_t below(struct model *m, uint64_t n)
{
    return prng_below(&m->prng, n);
}

static bool read_only(enum op_kind kind)
{
    return !op_is_write(kind);
}

/* As participant/locks does it: 0 = not used, 1 = shared, 2 = escrow, 3 = exclusive. */
static int lock_mode(const struct txn *t, int key)
{
    int mode = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->key[i] != key)
            continue;
        int wants = read_only(t->op[i].kind)                             ? 1
                    : t->op[i].kind == OP_ADD && !t->op[i].returns_value ? 2
                                                                         : 3;
        mode = mode == 0 || mode == wants ? wants : 3;
    }
    return mode;
}

static bool conflicts(const struct model *m, const struct txn *t)
{
    for (int p = 0; p < m->n_pending; p++)
        for (int key = 0; key < m->scene->keys; key++) {
            int mine = lock_mode(t, key), theirs = lock_mode(&m->txn[m->pending[p]], key);
            if (mine != 0 && theirs != 0 && (mine != theirs || mine == 3))
                return true;
        }
    return false;
}

/* The adds of `t` to the key, from `value` on: whether all keep their bounds. */
static bool adds_hold(const struct txn *t, int key, wide value, bool integer)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct op *op = &t->op[i];
        if (t->key[i] != key)
            continue;
        if (op->kind == OP_DELETE) {
            value = 0;
            integer = true;
        } else if (op->kind == OP_PUT) {
            int64_t number = 0;
            integer = number_parse(op->value, &number);
            value = number;
        } else if (op->kind == OP_ADD) {
            value += op->number;
            if (!integer || !number_fits(value) || (op->has_lower && value < op->lower) ||
                (op->has_upper && value > op->upper))
                return false;
        }
    }
    return true;
}

static wide net(const struct txn *t, int key)
{
    wide sum = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->key[i] == key && t->op[i].kind == OP_ADD)
            sum += t->op[i].number;
    return sum;
}

/* Whether every transaction of the list keeps its bounds at this key, whichever of the others are
 * committed before it. */
static bool every_order_holds(const struct model *m, const struct txn *const *list, int n, int key)
{
    const struct cell *cell = &m->cell[key];
    wide value = cell->live && cell->integer ? cell->number : 0;
    bool integer = !cell->live || cell->integer;
    for (int own = 0; own < n; own++)
        for (unsigned subset = 0; subset < 1u << n; subset++) {
            wide before = value;
            if (subset & 1u << own)
                continue;
            for (int i = 0; i < n; i++)
                before += subset & 1u << i ? net(list[i], key) : 0;
            if (!adds_hold(list[own], key, before, integer))
                return false;
        }
    return true;
}

static bool check_holds(const struct model *m, const struct op *op, int key)
{
    const struct cell *cell = &m->cell[key];
    switch (op->kind) {
    case OP_CHECK_EXISTS:
        return cell->live;
    case OP_CHECK_ABSENT:
        return !cell->live;
    case OP_CHECK_AT_LEAST:
        return cell->live && cell->integer && cell->number >= op->number;
    case OP_CHECK_VERSION:
        return cell->live && cell->version.ts == op->version.ts &&
               cell->version.applies == op->version.applies &&
               txid_equal(&cell->version.txid, &op->version.txid);
    default:
        return true;
    }
}

static bool expected_to_pass(const struct model *m, const struct txn *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (!check_holds(m, &t->op[i], t->key[i]))
            return false;
    for (int key = 0; key < m->scene->keys; key++) {
        const struct txn *list[PENDING_MAX + 1] = {t};
        int n = 1;
        if (lock_mode(t, key) < 2)
            continue;
        for (int p = 0; p < m->n_pending; p++)
            if (lock_mode(&m->txn[m->pending[p]], key) == 2)
                list[n++] = &m->txn[m->pending[p]];
        if (!every_order_holds(m, list, n, key))
            return false;
    }
    return true;
}

static void draw_add(struct model *m, struct op *op)
{
    uint64_t spread = 2 * (uint64_t)m->scene->delta + 1;
    op->number = (int64_t)below(m, spread) - m->scene->delta;
    op->has_lower = below(m, 3) == 0;
    op->has_upper = below(m, 3) == 0;
    wide low = (wide)m->scene->start - 2 * m->scene->delta + (int64_t)below(m, 8);
    wide high = (wide)m->scene->start + 2 * m->scene->delta - (int64_t)below(m, 8);
    op->lower = low < INT64_MIN ? INT64_MIN : (int64_t)low;
    op->upper = high > INT64_MAX ? INT64_MAX : (int64_t)high;
    op->returns_value = !m->scene->only_adds && below(m, 8) == 0;
}

static void draw_op(struct model *m, struct op *op, int key)
{
    static const enum op_kind kinds[] = {OP_ADD,           OP_ADD,          OP_ADD,
                                         OP_PUT,           OP_PUT,          OP_DELETE,
                                         OP_CHECK_EXISTS,  OP_CHECK_ABSENT, OP_CHECK_AT_LEAST,
                                         OP_CHECK_VERSION, OP_READ_KEY};
    *op = op_of(m->scene->only_adds ? OP_ADD : kinds[below(m, sizeof kinds / sizeof kinds[0])],
                key_names[key]);
    uint64_t pick = below(m, 5);
    if (op->kind == OP_ADD)
        draw_add(m, op);
    else if (op->kind == OP_PUT)
        op->value = bytes_of_text(pick == 4 ? "text" : number_texts[pick]);
    else if (op->kind == OP_CHECK_AT_LEAST)
        op->number = numbers[pick % 4];
    else if (op->kind == OP_CHECK_VERSION)
        op->version = m->cell[key].version;
}

static void draw_txn(struct model *m, struct txn *t)
{
    *t = (struct txn){.txid = rig_txid(&m->rig, 1 + below(m, 1000))};
    t->one_phase = below(m, 4) == 0;
    t->n = 1 + (uint32_t)below(m, OPS_EACH);
    for (uint32_t i = 0; i < t->n; i++) {
        t->key[i] = (int)below(m, (uint64_t)m->scene->keys);
        draw_op(m, &t->op[i], t->key[i]);
    }
}

static void cell_write(struct model *m, struct cell *cell, const struct txn *t, const struct op *op,
                       bool bounded)
{
    if (op->kind == OP_ADD) {
        wide sum = (cell->live ? cell->number : 0) + (wide)op->number;
        if ((cell->live && !cell->integer) || !number_fits(sum) ||
            (bounded && ((op->has_lower && sum < op->lower) || (op->has_upper && sum > op->upper))))
            fail_msg("seed %" PRIu64 ": an add broke its bounds at commit", m->seed);
        cell->number = (int64_t)sum;
        cell->live = cell->integer = true;
        cell->version.applies++;
        if (t->commit_ts > cell->version.ts ||
            (t->commit_ts == cell->version.ts && txid_compare(&t->txid, &cell->version.txid) > 0)) {
            cell->version.ts = t->commit_ts;
            cell->version.txid = t->txid;
        }
    } else {
        int64_t number = 0;
        cell->live = op->kind == OP_PUT;
        cell->integer = cell->live && number_parse(op->value, &number);
        cell->number = number;
        cell->version = (struct version){t->commit_ts, t->txid, 0};
    }
    cell->written = true;
}

static void model_commit(struct model *m, struct txn *t, hlc_ts ts)
{
    t->fate = FATE_COMMITTED;
    t->commit_ts = ts;
    m->clock = ts > m->clock ? ts : m->clock;
    for (uint32_t i = 0; i < t->n; i++)
        if (op_is_write(t->op[i].kind))
            cell_write(m, &m->cell[t->key[i]], t, &t->op[i], true);
}

static void pending_remove(struct model *m, int index)
{
    int p = 0;
    while (m->pending[p] != index)
        p++;
    m->pending[p] = m->pending[--m->n_pending];
}

/* One group commit: checks reserve, then all records become durable, or the batch is rolled back.
 */
static void step_batch(struct model *m)
{
    int first = m->txns, jobs = 1 + (int)below(m, 3);
    if (!m->rig.applying)
        rig_sql(&m->rig, "BEGIN IMMEDIATE");
    for (int job = 0; job < jobs && m->n_pending < PENDING_MAX && m->txns < TXNS_MAX; job++) {
        struct txn *t = &m->txn[m->txns];
        struct kv_verdict verdict;
        draw_txn(m, t);
        if (conflicts(m, t))
            continue;
        bool passes = expected_to_pass(m, t);
        assent_status status = rig_check(&m->rig, &t->txid, t->op, t->n, &verdict);
        if (passes != (status == ASSENT_OK))
            fail_msg("seed %" PRIu64 ", transaction %d: %s, but the model says %s (%.*s)", m->seed,
                     m->txns, assent_status_name(status), passes ? "pass" : "refuse",
                     verdict.detail == NULL ? 0 : (int)verdict.detail->len,
                     verdict.detail == NULL ? "" : (const char *)verdict.detail->data);
        verdict_free(&verdict);
        m->admitted += passes;
        m->refused += !passes;
        if (passes && below(m, 10) == 0)
            kv_store_cancel(m->rig.kv, &t->txid); /* as if its append had failed */
        else if (passes)
            m->pending[m->n_pending++] = m->txns++;
    }
    bool keep = below(m, 10) > 0;
    if (!keep || !m->rig.applying)
        rig_sql(&m->rig, keep ? "COMMIT" : "ROLLBACK");
    m->rig.applying = m->rig.applying && keep;
    for (int i = first; i < m->txns; i++) {
        struct txn *t = &m->txn[i];
        t->prepare_ts = ++m->clock;
        if (!keep || t->one_phase)
            pending_remove(m, i);
        if (!keep)
            continue;
        rig_append(&m->rig, t->one_phase ? RECORD_APPLIED : RECORD_PREPARED, &t->txid,
                   t->prepare_ts, rig_body(&t->txid, t->op, t->n));
        if (t->one_phase)
            model_commit(m, t, t->prepare_ts);
    }
    m->txns = keep ? m->txns : first;
}

static void step_decide(struct model *m)
{
    if (m->n_pending == 0)
        return;
    int index = m->pending[below(m, (uint64_t)m->n_pending)];
    struct txn *t = &m->txn[index];
    pending_remove(m, index);
    if (below(m, 3) == 0) {
        t->fate = FATE_ABORTED;
        rig_abort(&m->rig, &t->txid);
    } else {
        model_commit(m, t, t->prepare_ts + below(m, 40));
        rig_commit(&m->rig, &t->txid, t->commit_ts);
    }
}

static void compare_cell(struct model *m, int key, const struct result *r)
{
    const struct cell *cell = &m->cell[key];
    char text[WIDE_TEXT_BYTES] = "text";
    if (cell->integer)
        number_text(cell->number, text);
    bool same = r->found == cell->live;
    if (same && cell->live)
        same = bytes_equal(r->value, bytes_of_text(text)) && r->version.ts == cell->version.ts &&
               r->version.applies == cell->version.applies &&
               txid_equal(&r->version.txid, &cell->version.txid);
    if (!same)
        fail_msg("seed %" PRIu64 ": key %s is '%.*s' at %" PRIu64 "/%u, the model has %s at"
                 " %" PRIu64 "/%u",
                 m->seed, key_names[key], (int)r->value.len, (const char *)r->value.data,
                 r->version.ts, r->version.applies, cell->live ? text : "nothing", cell->version.ts,
                 cell->version.applies);
}

/* Keys that nothing pending writes, one by one; all of them in one range when nothing is pending.
 */
static void compare_keys(struct model *m)
{
    struct results results;
    for (int key = 0; key < m->scene->keys; key++) {
        int mode = 0;
        for (int p = 0; p < m->n_pending; p++) {
            int one = lock_mode(&m->txn[m->pending[p]], key);
            mode = one > mode ? one : mode;
        }
        if (mode >= 2)
            continue;
        struct op op = op_of(OP_READ_KEY, key_names[key]);
        rig_read(&m->rig, &op, 1, &results);
        compare_cell(m, key, &results.result[0]);
        results_free(&results);
    }
    if (m->n_pending > 0)
        return;
    struct op op = op_range(OP_READ_RANGE, "a", below(m, 2) == 0 ? "" : "f");
    uint32_t i = 0;
    rig_read(&m->rig, &op, 1, &results);
    for (int key = 0; key < m->scene->keys; key++) {
        if (!m->cell[key].live)
            continue;
        assert_true(i < results.n);
        assert_true(bytes_equal(results.result[i].key, bytes_of_text(key_names[key])));
        compare_cell(m, key, &results.result[i++]);
    }
    assert_int_equal(i, results.n);
    results_free(&results);
}

/* The keys as they were at a timestamp: the commits up to it, one after the other. */
static void model_at(struct model *m, hlc_ts at, struct cell *cell)
{
    hlc_ts last = 0;
    memset(cell, 0, KEYS_MAX * sizeof *cell);
    for (;;) {
        hlc_ts next = UINT64_MAX;
        for (int i = 0; i < m->txns; i++) {
            const struct txn *t = &m->txn[i];
            if (t->fate == FATE_COMMITTED && t->commit_ts > last && t->commit_ts < next)
                next = t->commit_ts;
        }
        if (next > at)
            return;
        for (int i = 0; i < m->txns; i++) {
            const struct txn *t = &m->txn[i];
            for (uint32_t k = 0; t->fate == FATE_COMMITTED && t->commit_ts == next && k < t->n; k++)
                if (op_is_write(t->op[k].kind))
                    cell_write(m, &cell[t->key[k]], t, &t->op[k], false);
        }
        last = next;
    }
}

/* Whether what is pending may yet be committed at or below the timestamp. */
static bool settled_at(const struct model *m, hlc_ts at)
{
    for (int p = 0; p < m->n_pending; p++)
        if (m->txn[m->pending[p]].prepare_ts <= at)
            return false;
    return true;
}

/* All keys at a random timestamp, in one range of either direction, or by one read each. */
static void compare_snapshot(struct model *m)
{
    struct read_point point = {.level = READ_SNAPSHOT, .at = below(m, m->clock + 2)};
    struct op ops[KEYS_MAX];
    struct results results;
    bool range = below(m, 2) == 0, down = range && below(m, 2) == 0;
    uint32_t n = range ? 1 : (uint32_t)m->scene->keys, i = 0;
    uint32_t limit = range && below(m, 3) == 0 ? 1 + (uint32_t)below(m, 3) : 0;
    struct cell now[KEYS_MAX];
    if (!settled_at(m, point.at))
        return;
    ops[0] = op_range(OP_READ_RANGE, "a", below(m, 2) == 0 ? "" : "f");
    ops[0].descending = down;
    ops[0].limit = limit;
    for (uint32_t k = 0; !range && k < n; k++)
        ops[k] = op_of(OP_READ_KEY, key_names[k]);
    assent_status status = rig_read_at(&m->rig, &point, ops, n, &results);
    if (status == ASSENT_PRUNED && point.at < m->watermark) {
        m->pruned++;
        return;
    }
    assert_int_equal(status, ASSENT_OK);
    m->snapshots++;
    memcpy(now, m->cell, sizeof now);
    model_at(m, point.at, m->cell);
    for (int k = 0; k < m->scene->keys && (limit == 0 || i < limit); k++) {
        int key = down ? m->scene->keys - 1 - k : k;
        if (range && !m->cell[key].live)
            continue;
        assert_true(i < results.n);
        assert_true(bytes_equal(results.result[i].key, bytes_of_text(key_names[key])));
        compare_cell(m, key, &results.result[i++]);
    }
    assert_int_equal(i, results.n);
    memcpy(m->cell, now, sizeof now);
    results_free(&results);
}

static void step_watermark(struct model *m)
{
    if (m->clock < 40)
        return;
    hlc_ts to = m->clock - 20 - below(m, 20);
    m->watermark = to > m->watermark ? to : m->watermark;
    rig_watermark(&m->rig, m->watermark);
    if (!m->rig.applying && below(m, 2) == 0) {
        bool more;
        rig_sql(&m->rig, "BEGIN IMMEDIATE");
        assert_int_equal(m->rig.role.prune(m->rig.role.arg, &more), SQLITE_OK);
        rig_sql(&m->rig, below(m, 4) > 0 ? "COMMIT" : "ROLLBACK");
    }
}

static void prepared_is_pending(void *arg, const struct record *prepared)
{
    struct model *m = arg;
    for (int p = 0; p < m->n_pending; p++) {
        const struct txn *t = &m->txn[m->pending[p]];
        if (!txid_equal(&t->txid, &prepared->txid))
            continue;
        assert_true(t->prepare_ts == prepared->ts);
        m->admitted++;
        return;
    }
    fail_msg("seed %" PRIu64 ": a decided transaction is listed as prepared", m->seed);
}

static void count_outcome(void *arg, const struct record *outcome)
{
    (void)outcome;
    ++*(int *)arg;
}

static void compare_transactions(struct model *m)
{
    int decided = 0, listed = 0, admitted = m->admitted;
    for (int i = 0; i < m->txns; i++) {
        const struct txn *t = &m->txn[i];
        struct record record;
        bool found;
        assert_int_equal(kv_store_outcome(m->rig.kv, m->rig.db, &t->txid, &found, &record),
                         ASSENT_OK);
        assert_int_equal(found, t->fate != FATE_OPEN);
        if (t->fate == FATE_COMMITTED)
            assert_true(record.kind == RECORD_COMMITTED && record.ts == t->commit_ts);
        if (t->fate == FATE_ABORTED)
            assert_int_equal(record.kind, RECORD_ABORTED);
        blob_unref(record.body);
        decided += t->fate != FATE_OPEN;
    }
    kv_store_each_outcome(m->rig.kv, m->rig.db, 0, count_outcome, &listed);
    assert_int_equal(listed, decided);
    kv_store_each_prepared(m->rig.kv, prepared_is_pending, m);
    assert_int_equal(m->admitted - admitted, m->n_pending);
    m->admitted = admitted;
}

/* The tables alone, tombstones that must be kept included, once everything is decided and applied.
 */
static void compare_tables(struct model *m)
{
    sqlite3_stmt *s;
    sqlite3_prepare_v2(m->rig.db,
                       "SELECT key, value, ts, applies, (SELECT count(*) FROM prepared)"
                       " FROM kv WHERE value IS NOT NULL OR ts >= ?1 ORDER BY key",
                       -1, &s, NULL);
    sqlite3_bind_int64(s, 1, (sqlite3_int64)m->watermark);
    for (int key = 0; key < m->scene->keys; key++) {
        const struct cell *cell = &m->cell[key];
        if (!cell->written || (!cell->live && cell->version.ts < m->watermark))
            continue;
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(s, 0), key_names[key]);
        assert_int_equal(sqlite3_column_type(s, 1) != SQLITE_NULL, cell->live);
        assert_true((hlc_ts)sqlite3_column_int64(s, 2) == cell->version.ts);
        assert_int_equal(sqlite3_column_int64(s, 3), cell->version.applies);
        assert_int_equal(sqlite3_column_int64(s, 4), 0);
    }
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
}

/* An apply of a few rows, with other steps between its own. */
static void step_apply(struct model *m)
{
    if (!m->rig.applying)
        rig_apply_begin(&m->rig, 1 + (uint32_t)below(m, 12));
    if (!rig_apply_step(&m->rig, 1 + (uint32_t)below(m, 6)) || below(m, 20) == 0)
        rig_apply_end(&m->rig, below(m, 4) > 0 && !rig_apply_step(&m->rig, UINT32_MAX));
}

static void model_step(struct model *m)
{
    uint64_t dice = below(m, 100);
    if (dice < 38)
        step_batch(m);
    else if (dice < 73)
        step_decide(m);
    else if (dice < 75)
        step_watermark(m);
    else if (dice < 92)
        step_apply(m);
    else
        rig_restart(&m->rig);
    compare_keys(m);
    compare_snapshot(m);
    if (dice >= 85)
        compare_transactions(m);
}

struct seen {
    int admitted, refused, snapshots, pruned;
};

static void run_seed(const struct scene *scene, uint64_t seed, struct seen *seen)
{
    struct model *m = xcalloc(1, sizeof *m);
    m->scene = scene;
    m->seed = seed;
    prng_seed(&m->prng, seed);
    rig_open(&m->rig);
    for (int key = 0; key < scene->keys && scene->start != 0; key++) {
        struct txn *t = &m->txn[m->txns++];
        *t = (struct txn){.txid = rig_txid(&m->rig, 1), .n = 1, .key = {key}};
        t->op[0] = op_put(key_names[key], number_text(scene->start, m->start));
        rig_append(&m->rig, RECORD_APPLIED, &t->txid, ++m->clock, rig_body(&t->txid, t->op, 1));
        model_commit(m, t, m->clock);
    }
    for (int step = 0; step < scene->steps; step++)
        model_step(m);
    while (m->n_pending > 0)
        step_decide(m);
    while (m->rig.applying)
        step_apply(m);
    rig_apply(&m->rig, UINT32_MAX, true);
    compare_keys(m);
    compare_transactions(m);
    compare_tables(m);
    for (int i = 0; i < 20; i++)
        compare_snapshot(m);
    seen->admitted += m->admitted;
    seen->refused += m->refused;
    seen->snapshots += m->snapshots;
    seen->pruned += m->pruned;
    rig_close(&m->rig);
    free(m);
}

static void run_scene(const struct scene *scene, uint64_t seeds)
{
    const char *only = getenv("KV_SEED");
    struct seen seen = {0};
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run_seed(scene, only == NULL ? seed : strtoull(only, NULL, 10), &seen);
    print_message("%s: %d admitted, %d refused, %d snapshots, %d pruned\n", scene->name,
                  seen.admitted, seen.refused, seen.snapshots, seen.pruned);
    /* A scene in which nothing or everything is refused would show little. */
    assert_true(seen.admitted > seen.refused / 20 && seen.refused > seen.admitted / 20);
    assert_true(seen.snapshots > 0 && seen.pruned > 0);
}

static void any_history_with_restarts_equals_the_model(void **state)
{
    (void)state;
    static const struct scene scene = {"mixed", KEYS_MAX, false, 0, 5, 250};
    run_scene(&scene, 60);
}

static void no_order_of_decisions_takes_a_hot_counter_past_a_bound(void **state)
{
    (void)state;
    static const struct scene scene = {"hot", 1, true, 10, 6, 250};
    run_scene(&scene, 60);
}

static void late_adds_to_counters_that_were_never_put_equal_the_model(void **state)
{
    (void)state;
    static const struct scene scene = {"fresh", 3, true, 0, 6, 35};
    run_scene(&scene, 300);
}

static void no_order_of_decisions_takes_a_counter_past_64_bits(void **state)
{
    (void)state;
    static const struct scene high = {"high", 2, true, INT64_MAX - 9, 6, 250},
                              low = {"low", 2, true, INT64_MIN + 9, 6, 250};
    run_scene(&high, 30);
    run_scene(&low, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history_with_restarts_equals_the_model),
        cmocka_unit_test(no_order_of_decisions_takes_a_hot_counter_past_a_bound),
        cmocka_unit_test(late_adds_to_counters_that_were_never_put_equal_the_model),
        cmocka_unit_test(no_order_of_decisions_takes_a_counter_past_64_bits),
    };
    return cmocka_run_group_tests_name("kv_store_model", tests, NULL, NULL);
}
