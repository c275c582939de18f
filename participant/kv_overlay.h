/* What is durable in the log and not yet in the tables: the records in log order, and the newest
 * value of every key that they write. In memory, pure.
 *
 *   durable ---push---> [e1 e2 e3 | e4 e5]        e1..e3 were handed out by kv_overlay_apply
 *                                  ^ cursor
 *   kv_overlay_settle   their SQLite transaction is over: e1..e3 go
 *   kv_overlay_rewind   it was rolled back: the cursor goes back to e1
 *
 * Every record keeps its own values, not only the newest of a key: after a crash the tables must
 * hold exactly what the applied part of the log gives, or a replayed add would count twice. The
 * writes of a key are chained in log order, so that its older versions can be read, too. */
#ifndef PARTICIPANT_KV_OVERLAY_H
#define PARTICIPANT_KV_OVERLAY_H

#include <bsd/sys/queue.h>

#include "common/ops.h"
#include "common/record.h"
#include "common/tree.h"
#include "common/number.h"

/* A key's state; borrowed bytes. Never written: not live and version.ts 0. */
struct kv_cell {
    struct bytes key;
    struct bytes value;
    bool live; /* false: deleted, or never written */
    struct version version;
};

/* What the key is once this record and all before it in the log have their effect. An add may come
 * later in the log than others of the key with a greater timestamp; then it is `late`: the key's
 * version stays theirs, and the add belongs into versions before it. */
struct kv_write {
    RB_ENTRY(kv_write) link;
    bool newest;            /* in the tree of newest values */
    struct kv_write *older; /* of the same key, in log order; NULL: look in the tables */
    struct kv_write *newer;
    const struct kv_entry *entry;
    struct blob *value; /* NULL: deleted */
    struct version version;
    bool late;
    bool in_tables; /* since the open apply, with all before it of the key */
    uint32_t adds;  /* if late: how many adds, and their sum */
    wide net;
    size_t key_len;
    uint8_t key[];
};

struct kv_entry {
    TAILQ_ENTRY(kv_entry) link;
    RB_ENTRY(kv_entry) outcome_link;
    bool outcome_known;     /* in the tree of outcomes */
    bool taken;             /* handed out by kv_overlay_apply */
    bool outcome_in_tables; /* since the open apply */
    struct blob *body;      /* while it is handed out, of PREPARED */
    bool never_in_doubt;    /* of a decision: its PREPARED was applied together with it */
    enum record_kind kind;
    struct txid txid;
    hlc_ts ts;
    assent_status reason; /* of ABORTED */
    uint32_t n;
    struct kv_write **write;
};

RB_HEAD(kv_write_tree, kv_write);
RB_HEAD(kv_outcome_tree, kv_entry);

struct kv_overlay {
    TAILQ_HEAD(, kv_entry) entries;
    struct kv_entry *cursor; /* the first that no apply has been given; NULL: all were */
    struct kv_write_tree newest;
    struct kv_outcome_tree outcomes;
    char number[WIDE_TEXT_BYTES]; /* a view's: the value that it last added up */
};

/* What adds at (ts, txid) make of a version: the greater of both, whichever of concurrent adds came
 * first, so that replicas agree; and as many applies more. */
static inline void kv_version_add(struct version *version, hlc_ts ts, const struct txid *txid,
                                  uint32_t adds)
{
    if (ts > version->ts || (ts == version->ts && txid_compare(txid, &version->txid) > 0)) {
        version->ts = ts;
        version->txid = *txid;
    }
    version->applies += adds;
}

void kv_overlay_init(struct kv_overlay *o);
void kv_overlay_free(struct kv_overlay *o);

struct kv_entry *kv_entry_new(const struct record *record);
/* A write of `key` without value; goes with the entry. */
struct kv_write *kv_entry_write(struct kv_entry *entry, struct bytes key);
void kv_entry_free(struct kv_entry *entry);

/* The next record of the log; takes the entry. */
void kv_overlay_push(struct kv_overlay *o, struct kv_entry *entry);
/* The entry of the record that is applied now. Stops the process if the log and memory disagree. */
struct kv_entry *kv_overlay_apply(struct kv_overlay *o, const struct record *record);
void kv_overlay_settle(struct kv_overlay *o);
void kv_overlay_rewind(struct kv_overlay *o);

/* NULL: the key is not here; look in the tables. */
const struct kv_write *kv_overlay_find(const struct kv_overlay *o, struct bytes key);
/* The newest write of the first key not below `key`, and of the key after it; NULL: none. */
const struct kv_write *kv_overlay_from(const struct kv_overlay *o, struct bytes key);
const struct kv_write *kv_overlay_next(const struct kv_write *write);
/* Of the last key below `key`, or of all if that is empty, and of the key before it. */
const struct kv_write *kv_overlay_before(const struct kv_overlay *o, struct bytes key);
const struct kv_write *kv_overlay_previous(const struct kv_write *write);
struct kv_cell kv_write_cell(const struct kv_write *write);
/* The COMMITTED, ABORTED or APPLIED entry of a transaction, or NULL. */
struct kv_entry *kv_overlay_outcome(const struct kv_overlay *o, const struct txid *txid);
/* The time of the newest txid among them; 0: there is none. */
uint64_t kv_overlay_outcome_newest(const struct kv_overlay *o);

#endif
