/* The life of a record in the store:
 *
 *   kv_store_check      PREPARE is admitted: its adds are reserved (kv_pending)
 *   kv_store_durable    PREPARED: reserved -> prepared. COMMITTED, APPLIED: values are computed,
 *                       visible at once (kv_overlay), nothing pending any more. ABORTED: nothing
 *                       pending
 *   store_apply         the row is to go into the tables
 *   store_flush         some of these rows do, in a SQLite transaction of the log store that stays
 *                       open until all have
 *   store_applied       it is over: memory forgets them
 *
 * Invariants
 *   1. Memory is a function of tables and unapplied log: store_replay and kv_store_durable are the
 * same function, and a restart at any point changes no answer.
 *   2. Values depend on log order only: a replayed record computes what it computed first.
 *   3. Between apply and applied a row is in the overlay, and from its flush on also in the tables,
 * with all before it of the key; the overlay says so (in_tables). No late add counts twice.
 */
#include "participant/kv_store.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mutant.h"
#include "participant/kv_check.h"
#include "participant/kv_history.h"
#include "participant/kv_writes.h"
#include "participant/record.h"
#include "wire/ops_codec.h"

/* Rows of each kind that flush() prunes, besides two for each record or write: more than it leaves
 * behind. */
#define PRUNE_ROWS 8
/* The same when there is nothing else to do. */
#define PRUNE_IDLE_ROWS 256

/* Of a value, as much work as a row more. */
#define WORK_BYTES 4096

/* No SQLite result code: the log contradicts what this store knows. */
#define BROKEN (-1)

struct kv_store {
    struct sqlite3 *db;
    struct kv_tables *tables;
    struct kv_overlay overlay;
    struct kv_pending pending;
    hlc_ts watermark;
    hlc_ts prune_point;
    struct kv_entry *flushed; /* the last of the open apply, NULL: none */
    bool outcomes_due;        /* pruning has not reached the watermark yet */
    bool deleted_due;
    bool old_due;
    int failed; /* the SQLite error after which memory is not complete */
};

struct kv_store *kv_store_new(void)
{
    struct kv_store *kv = xcalloc(1, sizeof *kv);
    kv_overlay_init(&kv->overlay);
    kv_pending_init(&kv->pending);
    return kv;
}

void kv_store_free(struct kv_store *kv)
{
    if (kv == NULL)
        return;
    kv_tables_close(kv->tables);
    kv_overlay_free(&kv->overlay);
    kv_pending_free(&kv->pending);
    free(kv);
}

static struct kv_view store_view(struct kv_store *kv)
{
    return (struct kv_view){&kv->overlay, kv->tables, READ_NEWEST};
}

/* The operations in the body of a PREPARED or APPLIED record. False: damaged. */
static bool ops_of_body(struct bytes body, struct ops *out)
{
    struct prepared_record record;
    struct kv_say say;
    if (!prepared_record_decode(body, &record))
        return false;
    struct blob *source = blob_new(record.ops);
    assent_status status = ops_decode(source, out, say.text, sizeof say.text);
    blob_unref(source);
    return status == ASSENT_OK;
}

/* Of a record that this process has checked itself, `txn` has the operations already. */
static int note_prepared(struct kv_store *kv, struct kv_txn *txn, const struct record *record)
{
    struct ops ops;
    if (txn != NULL && txn->prepared)
        return BROKEN;
    if (txn == NULL && !ops_of_body(blob_bytes(record->body), &ops))
        return BROKEN;
    if (txn == NULL)
        txn = kv_pending_reserve(&kv->pending, &record->txid, &ops);
    kv_pending_prepared(&kv->pending, txn, record->ts, record->body);
    return SQLITE_OK;
}

static int note_committed(struct kv_store *kv, const struct kv_txn *txn, struct kv_entry *entry)
{
    struct kv_view view = store_view(kv);
    return txn == NULL || !txn->prepared ? BROKEN : kv_writes_compute(entry, &view, &txn->ops);
}

static int note_applied(struct kv_store *kv, const struct kv_txn *txn, struct kv_entry *entry,
                        struct bytes body)
{
    struct kv_view view = store_view(kv);
    struct ops ops;
    if (txn != NULL)
        return kv_writes_compute(entry, &view, &txn->ops);
    if (!ops_of_body(body, &ops))
        return BROKEN;
    int rc = kv_writes_compute(entry, &view, &ops);
    ops_free(&ops);
    return rc;
}

/* What a durable record of the role means to memory. SQLITE_OK, an error, or BROKEN. */
static int store_note(struct kv_store *kv, const struct record *record)
{
    struct kv_entry *entry = kv_entry_new(record);
    struct kv_txn *txn = kv_pending_find(&kv->pending, &record->txid);
    int rc = SQLITE_OK;
    if (record->kind == RECORD_PREPARED)
        rc = note_prepared(kv, txn, record);
    else if (record->kind == RECORD_APPLIED)
        rc = note_applied(kv, txn, entry, blob_bytes(record->body));
    else if (record->kind == RECORD_COMMITTED)
        rc = note_committed(kv, txn, entry);
    else
        entry->reason = aborted_record_decode(blob_bytes(record->body));
    if (rc != SQLITE_OK) {
        kv_entry_free(entry);
        return rc;
    }
    if (record->kind != RECORD_PREPARED && txn != NULL)
        kv_pending_drop(&kv->pending, txn);
    kv_overlay_push(&kv->overlay, entry);
    return SQLITE_OK;
}

static bool of_role(enum record_kind kind)
{
    return kind == RECORD_PREPARED || kind == RECORD_COMMITTED || kind == RECORD_ABORTED ||
           kind == RECORD_APPLIED;
}

static void say_broken(const struct record *record)
{
    char text[TXID_TEXT_BYTES];
    fprintf(stderr,
            "assent: kv_store: record %s of %s does not fit what is prepared, or is damaged\n",
            record_name(record->kind), txid_text(&record->txid, text));
}

void kv_store_durable(struct kv_store *kv, const struct record *record)
{
    if (record->kind == RECORD_WATERMARK && record->ts > kv->watermark) {
        kv->watermark = record->ts;
        kv->outcomes_due = kv->deleted_due = kv->old_due = true;
    }
    if (!of_role(record->kind) || kv->failed != SQLITE_OK)
        return;
    int rc = store_note(kv, record);
    if (rc == BROKEN) {
        say_broken(record);
        abort();
    }
    kv->failed = rc;
}

static int store_create(void *arg, struct sqlite3 *db)
{
    (void)arg;
    return kv_tables_create(db);
}

static int load_prepared(void *arg, const struct txid *txid, hlc_ts prepare_ts, struct bytes body)
{
    struct record record = {RECORD_PREPARED, *txid, prepare_ts, blob_new(body)};
    int rc = note_prepared(arg, NULL, &record);
    blob_unref(record.body);
    return rc == BROKEN ? SQLITE_CORRUPT : rc;
}

static void store_rolled_back(void *arg)
{
    struct kv_store *kv = arg;
    kv_pending_drop_reserved(&kv->pending);
    kv_overlay_rewind(&kv->overlay);
    kv->flushed = NULL;
    kv->outcomes_due = kv->deleted_due = kv->old_due = true;
}

static int store_load(void *arg, struct sqlite3 *db)
{
    struct kv_store *kv = arg;
    kv->db = db;
    int rc = kv_tables_open(&kv->tables, db);
    if (rc == SQLITE_OK)
        rc = kv_tables_prune_point_get(kv->tables, &kv->prune_point);
    if (rc == SQLITE_OK)
        rc = kv_tables_prepared_each(kv->tables, load_prepared, kv);
    sqlite3_rollback_hook(db, store_rolled_back, kv);
    return rc;
}

static int store_replay(void *arg, const struct record *record)
{
    if (!of_role(record->kind))
        return SQLITE_OK;
    int rc = store_note(arg, record);
    if (rc == BROKEN)
        say_broken(record);
    return rc == BROKEN ? SQLITE_CORRUPT : rc;
}

static struct kv_outcome outcome_of_entry(const struct kv_entry *entry)
{
    struct kv_outcome outcome = {.txid = entry->txid, .ts = entry->ts};
    outcome.outcome.kind = entry->kind == RECORD_ABORTED ? OUTCOME_ABORTED : OUTCOME_COMMITTED;
    outcome.outcome.reason = entry->reason;
    return outcome;
}

/* The keys that the entry is the first to write, with all that the others make of them. */
static int flush_writes(struct kv_store *kv, const struct kv_entry *entry)
{
    int rc = SQLITE_OK;
    for (uint32_t i = MUTANT(HALF_APPLIED) ? entry->n / 2 : 0; i < entry->n && rc == SQLITE_OK;
         i++) {
        struct kv_write *write = entry->write[i];
        if (write->older != NULL)
            continue;
        rc = kv_history_write(kv->tables, write);
        for (; rc == SQLITE_OK && write != NULL && write->entry->taken; write = write->newer)
            write->in_tables = true;
    }
    return rc;
}

static int flush_decided(struct kv_store *kv, const struct kv_entry *entry)
{
    int rc = flush_writes(kv, entry);
    if (rc == SQLITE_OK && entry->kind != RECORD_APPLIED && !entry->never_in_doubt &&
        !MUTANT(PREPARED_STAYS_IN_TABLES))
        rc = kv_tables_prepared_delete(kv->tables, &entry->txid);
    return rc;
}

/* Of the decisions from one entry to before another, n of them. */
static int flush_outcomes(struct kv_store *kv, struct kv_entry *from, const struct kv_entry *to,
                          uint32_t n)
{
    struct kv_outcome *outcome = xcalloc(n, sizeof *outcome), *next = outcome;
    for (struct kv_entry *entry = from; entry != to; entry = TAILQ_NEXT(entry, link)) {
        if (entry->kind == RECORD_PREPARED)
            continue;
        *next++ = outcome_of_entry(entry);
        entry->outcome_in_tables = true;
    }
    int rc = kv_tables_outcomes_put(kv->tables, outcome, n);
    free(outcome);
    return rc;
}

/* Written out unless its decision is in the same SQLite transaction: a crash before the decision is
 * applied must find the operations. */
static int flush_prepared(struct kv_store *kv, const struct kv_entry *entry)
{
    struct kv_entry *decision = kv_overlay_outcome(&kv->overlay, &entry->txid);
    struct record record = {RECORD_PREPARED, entry->txid, entry->ts, entry->body};
    bool decided = decision != NULL && decision->taken;
    if (decision != NULL)
        decision->never_in_doubt = decided;
    if (decided || MUTANT(PREPARED_NOT_IN_TABLES))
        return SQLITE_OK;
    return kv_tables_prepared_put(kv->tables, &record);
}

/* Deletes some rows of one kind, which are not missed from *newest on. */
typedef int (*prune_rows)(struct kv_tables *t, hlc_ts before, int rows, int *n, hlc_ts *newest);

static int prune_versions(struct kv_store *kv, prune_rows prune, int rows, bool *due)
{
    int n;
    hlc_ts newest;
    int rc = prune(kv->tables, kv->watermark, rows, &n, &newest);
    /* An error may have rolled back, after which all is due again (store_rolled_back). */
    *due = rc != SQLITE_OK || n == rows;
    kv->prune_point = newest > kv->prune_point ? newest : kv->prune_point;
    /* Whenever rows went: memory may be ahead of the table after a rollback. */
    return rc == SQLITE_OK && n > 0 ? kv_tables_prune_point_put(kv->tables, kv->prune_point) : rc;
}

/* A bounded step towards the watermark, so that nobody waits for a long delete. */
static int prune_some(struct kv_store *kv, int rows)
{
    int n, rc = SQLITE_OK;
    if (kv->outcomes_due) {
        rc = kv_tables_prune_outcomes(kv->tables, hlc_to_ms(kv->watermark), rows, &n);
        kv->outcomes_due = rc != SQLITE_OK || n == rows;
    }
    if (rc == SQLITE_OK && kv->old_due)
        rc = prune_versions(kv, kv_tables_prune_old, rows, &kv->old_due);
    if (rc == SQLITE_OK && kv->deleted_due)
        rc = prune_versions(kv, kv_tables_prune_deleted, rows, &kv->deleted_due);
    return rc;
}

static int store_prune(void *arg, bool *more)
{
    struct kv_store *kv = arg;
    int rc = kv->failed == SQLITE_OK ? prune_some(kv, PRUNE_IDLE_ROWS) : kv->failed;
    *more = kv->outcomes_due || kv->old_due || kv->deleted_due;
    return rc;
}

/* Only notes it: store_flush knows which writes and which PREPARED have been overtaken. */
static int store_apply(void *arg, const struct record *record)
{
    struct kv_store *kv = arg;
    if (kv->failed == SQLITE_OK && of_role(record->kind))
        kv_overlay_apply(&kv->overlay, record);
    return kv->failed;
}

static uint64_t work_of(const struct kv_entry *entry)
{
    uint64_t work = 1;
    for (uint32_t i = 0; i < entry->n; i++)
        work += 1 + blob_bytes(entry->write[i]->value).len / WORK_BYTES;
    return work;
}

static int store_flush(void *arg, const struct store_step *step, bool *more)
{
    struct kv_store *kv = arg;
    struct kv_entry *first =
        kv->flushed == NULL ? TAILQ_FIRST(&kv->overlay.entries) : TAILQ_NEXT(kv->flushed, link);
    struct kv_entry *entry = first;
    uint32_t decided = 0, writes = 0;
    uint64_t rows = 0, work = 0;
    int rc = kv->failed;
    if (rc != SQLITE_OK)
        return rc;
    for (; entry != kv->overlay.cursor && (rows < step->rows || work < step->work); rows++) {
        bool prepared = entry->kind == RECORD_PREPARED;
        rc = prepared ? flush_prepared(kv, entry) : flush_decided(kv, entry);
        if (rc != SQLITE_OK)
            return rc; /* and all may have been rolled back */
        decided += !prepared;
        writes += entry->n;
        work += work_of(entry);
        kv->flushed = entry;
        entry = TAILQ_NEXT(entry, link);
    }
    *more = entry != kv->overlay.cursor;
    rc = flush_outcomes(kv, first, entry, decided);
    if (rc != SQLITE_OK)
        return rc;
    return prune_some(kv, PRUNE_ROWS + 2 * (int)(decided > writes ? decided : writes));
}

static void store_applied(void *arg, uint64_t seq)
{
    struct kv_store *kv = arg;
    (void)seq; /* rows and role records are counted by the overlay's cursor */
    kv->flushed = NULL;
    kv_overlay_settle(&kv->overlay);
}

struct store_role kv_store_role(struct kv_store *kv)
{
    return (struct store_role){
        .arg = kv,
        .create = store_create,
        .load = store_load,
        .replay = store_replay,
        .apply = store_apply,
        .flush = store_flush,
        .applied = store_applied,
        .prune = store_prune,
    };
}

/* False, with a verdict: this store cannot answer any more. */
static bool store_usable(struct kv_store *kv, struct sqlite3 *db, struct kv_say *say)
{
    if (db != kv->db) {
        fprintf(stderr, "assent: kv_store: asked through another connection than load()'s\n");
        abort();
    }
    if (kv->failed == SQLITE_OK)
        return true;
    kv_say(say, "reading from the database failed: %s", sqlite3_errstr(kv->failed));
    return false;
}

void kv_store_cancel(struct kv_store *kv, const struct txid *txid)
{
    struct kv_txn *txn = kv_pending_find(&kv->pending, txid);
    if (txn != NULL && !txn->prepared)
        kv_pending_drop(&kv->pending, txn);
}

void kv_store_check(struct kv_store *kv, struct sqlite3 *db, const struct txid *txid,
                    struct blob *encoded, struct kv_verdict *out)
{
    struct kv_checker c = {.view = store_view(kv), .pending = &kv->pending, .txid = *txid};
    struct ops ops = {0};
    *out = (struct kv_verdict){.status = ASSENT_STORAGE};
    c.prune_point = kv->prune_point;
    kv_store_cancel(kv, txid);
    if (store_usable(kv, db, &c.say))
        out->status = ops_decode(encoded, &ops, c.say.text, sizeof c.say.text);
    if (out->status == ASSENT_OK)
        out->status = kv_check(&c, &ops);
    if (out->status == ASSENT_OK) {
        out->results = kv_reads_encode(&c.reads);
        kv_pending_reserve(&kv->pending, txid, &ops);
    } else {
        out->detail = kv_said(&c.say);
    }
    kv_reads_free(&c.reads);
    ops_free(&ops);
}

/* Whether all that the reads may ask for is still kept. */
static assent_status read_kept(struct kv_store *kv, const struct read_point *point,
                               struct kv_say *say)
{
    hlc_ts at = point->since == 0 ? point->at : point->since;
    if (at >= kv->prune_point)
        return ASSENT_OK;
    kv_say(say,
           "a snapshot at %" PRIu64 " is not kept any more, only what was at %" PRIu64
           " and later; read at a later timestamp, or make the retention time longer",
           at, kv->prune_point);
    return ASSENT_PRUNED;
}

void kv_store_read(struct kv_store *kv, struct sqlite3 *db, const struct read_point *point,
                   struct blob *encoded, struct kv_verdict *out)
{
    struct kv_view view = store_view(kv);
    struct kv_reads reads = {0};
    struct kv_say say = {{0}};
    struct ops ops = {0};
    *out = (struct kv_verdict){.status = ASSENT_STORAGE};
    if (store_usable(kv, db, &say))
        out->status = ops_decode(encoded, &ops, say.text, sizeof say.text);
    if (out->status == ASSENT_OK)
        out->status = read_kept(kv, point, &say);
    view.at = point->at;
    for (uint32_t i = 0; i < ops.n && out->status == ASSENT_OK; i++) {
        const struct op *op = &ops.op[i];
        if (op->kind == OP_READ_KEY || op->kind == OP_READ_RANGE) {
            if (point->level != READ_EVENTUAL)
                kv_pending_assert_settled(&kv->pending, op, point->at);
            out->status = point->since == 0
                              ? kv_reads_run(&reads, &view, i, op, &say)
                              : kv_reads_changed(&reads, &view, i, op, point->since, &say);
        } else {
            out->status = ASSENT_MALFORMED;
            kv_say(&say, "operation %u: not a read", i + 1);
        }
    }
    if (out->status == ASSENT_OK)
        out->results = kv_reads_encode(&reads);
    else
        out->detail = kv_said(&say);
    kv_reads_free(&reads);
    ops_free(&ops);
}

void kv_store_each_prepared(struct kv_store *kv,
                            void (*each)(void *arg, const struct record *prepared), void *arg)
{
    struct kv_txn *txn = kv_pending_first(&kv->pending);
    for (; txn != NULL; txn = kv_pending_next(txn)) {
        if (!txn->prepared)
            continue;
        struct record record = {RECORD_PREPARED, txn->txid, txn->prepare_ts, txn->body};
        each(arg, &record);
    }
}

/* The body is owned by the caller. */
static struct record outcome_record(const struct kv_outcome *outcome)
{
    bool aborted = outcome->outcome.kind == OUTCOME_ABORTED;
    return (struct record){
        .kind = aborted ? RECORD_ABORTED : RECORD_COMMITTED,
        .txid = outcome->txid,
        .ts = outcome->ts,
        .body = aborted ? aborted_record_encode(outcome->outcome.reason) : NULL,
    };
}

struct outcome_walk {
    void (*each)(void *arg, const struct record *outcome);
    void *arg;
};

static void outcome_each(void *arg, const struct kv_outcome *outcome)
{
    struct outcome_walk *walk = arg;
    struct record record = outcome_record(outcome);
    walk->each(walk->arg, &record);
    blob_unref(record.body);
}

assent_status kv_store_each_outcome(struct kv_store *kv, struct sqlite3 *db, uint64_t since_ms,
                                    void (*each)(void *arg, const struct record *outcome),
                                    void *arg)
{
    struct outcome_walk walk = {each, arg};
    struct kv_say say;
    if (!store_usable(kv, db, &say) ||
        kv_tables_outcome_each(kv->tables, since_ms, outcome_each, &walk) != SQLITE_OK)
        return ASSENT_STORAGE;
    const struct kv_entry *entry;
    TAILQ_FOREACH (entry, &kv->overlay.entries, link) {
        struct kv_outcome outcome = outcome_of_entry(entry);
        if (entry->outcome_known && !entry->outcome_in_tables && txid_ms(&entry->txid) >= since_ms)
            outcome_each(&walk, &outcome);
    }
    return ASSENT_OK;
}

assent_status kv_store_outcome(struct kv_store *kv, struct sqlite3 *db, const struct txid *txid,
                               bool *found, struct record *out)
{
    struct kv_outcome outcome;
    struct kv_say say;
    *found = false;
    *out = (struct record){0};
    if (!store_usable(kv, db, &say))
        return ASSENT_STORAGE;
    const struct kv_entry *entry = kv_overlay_outcome(&kv->overlay, txid);
    int rc = SQLITE_ROW;
    if (entry != NULL)
        outcome = outcome_of_entry(entry);
    else
        rc = kv_tables_outcome_get(kv->tables, txid, &outcome);
    *found = rc == SQLITE_ROW;
    if (*found)
        *out = outcome_record(&outcome);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ASSENT_OK : ASSENT_STORAGE;
}

uint64_t kv_store_newest_ms(struct kv_store *kv, struct sqlite3 *db)
{
    struct kv_say say;
    uint64_t stored, unapplied = kv_overlay_outcome_newest(&kv->overlay);
    if (!store_usable(kv, db, &say) || kv_tables_outcome_newest(kv->tables, &stored) != SQLITE_OK)
        return UINT64_MAX;
    return stored > unapplied ? stored : unapplied;
}
