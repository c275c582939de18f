/* Operations are kept once, in call order; each participant's share is a list of their indices.
 *
 *   add_op      checks an operation and its placement, and adds it whole or not at all
 *   txn_merge   at the seal: a participant that only checks and reads is left out when others that
 * take part hold its keys too, so the order of calls does not cost a participant txn_seal    the id
 * and the encoded operations */
#include "client/txn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/error.h"
#include "client/list.h"
#include "common/mutant.h"
#include "wire/ops_codec.h"
#include "wire/random.h"

/* An encoded operation without its key, end and value: three lengths of 5 bytes, three integers and
 * a timestamp of 9, a txid of 18, a count of 5, and kinds, flags and array headers. */
#define OP_OVERHEAD 96u

assent_txn *txn_new(struct assent *db, const struct cluster *cluster, int datacenter)
{
    assent_txn *t = xcalloc(1, sizeof *t);
    t->db = db;
    t->cluster = cluster;
    t->datacenter = datacenter;
    return t;
}

void assent_txn_free(assent_txn *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < t->n; i++)
        free(t->op[i].data);
    free(t->op);
    for (int i = 0; i < t->parts; i++)
        free(t->part[i].op);
    for (int i = 0; i < PARTICIPANTS_MAX; i++) {
        blob_unref(t->encoded[i]);
        assent_list_free(t->results[i]);
    }
    free(t->savepoint);
    free(t);
}

/* ---- placing ---- */

/* The index of its part, or -1: it does not take part. */
static int part_index(const assent_txn *t, node_id node)
{
    for (int i = 0; i < t->parts; i++) {
        if (t->part[i].node == node)
            return i;
    }
    return -1;
}

static bool part_has_room(const struct txn_part *part, size_t size)
{
    return part->n < OPS_MAX && part->size + size <= OPS_BYTES_MAX;
}

static bool node_is_near(const assent_txn *t, node_id node)
{
    const struct cluster_node *n = cluster_node(t->cluster, node);
    return n != NULL && n->datacenter == t->datacenter;
}

static bool placement_holds(const struct placement *p, node_id node)
{
    for (int i = 0; i < p->replicas; i++) {
        if (p->replica[i] == node)
            return true;
    }
    return false;
}

/* The replica for a check or a read of `size` bytes. */
static node_id replica_for_read(assent_txn *t, const struct placement *p, size_t size)
{
    node_id best = p->replica[0];
    int best_rank = -1;
    for (int i = 0; i < p->replicas; i++) {
        int part = part_index(t, p->replica[i]);
        if (part >= 0 && !part_has_room(&t->part[part], size))
            continue;
        int rank = (part >= 0 ? 2 : 0) + (node_is_near(t, p->replica[i]) ? 1 : 0);
        if (rank > best_rank) {
            best_rank = rank;
            best = p->replica[i];
        }
    }
    return best;
}

/* Whether an operation of `size` bytes fits at all the nodes. */
static assent_status nodes_have_room(assent_txn *t, const node_id *node, int nodes, size_t size)
{
    int added = 0;
    for (int i = 0; i < nodes; i++) {
        int part = part_index(t, node[i]);
        added += part < 0;
        if (part < 0 || part_has_room(&t->part[part], size))
            continue;
        return error_set(ASSENT_TOO_LARGE,
                         "the operations for one participant would pass %u, or %u bytes: split the "
                         "transaction",
                         OPS_MAX, OPS_BYTES_MAX);
    }
    if (t->parts + added > PARTICIPANTS_MAX)
        return error_set(ASSENT_TOO_LARGE,
                         "the transaction would have more than %d participants: split it",
                         PARTICIPANTS_MAX);
    if (t->size + size * (size_t)nodes > TXN_BYTES_MAX)
        return error_set(ASSENT_TOO_LARGE, "the transaction would pass %u bytes: split it",
                         TXN_BYTES_MAX);
    return ASSENT_OK;
}

static void part_add(struct txn_part *part, uint32_t index, const struct txn_op *op)
{
    if (part->n == part->cap) {
        part->cap = part->cap == 0 ? 4 : 2 * part->cap;
        part->op = xrealloc(part->op, part->cap * sizeof *part->op);
    }
    part->op[part->n++] = index;
    part->size += op->size;
    part->writes |= op_is_write(op->op.kind);
}

/* ---- adding ---- */

assent_status txn_check_range(const struct cluster *cluster, struct bytes key,
                              const struct bytes *end, const struct placement **placement)
{
    char text[KEY_TEXT_MAX];
    if (key.len == 0 || key.data == NULL)
        return error_set(ASSENT_INVALID, "an empty key: a key has 1 to %u bytes", KEY_BYTES_MAX);
    if (key.len > KEY_BYTES_MAX || (end != NULL && end->len > KEY_BYTES_MAX))
        return error_set(ASSENT_TOO_LARGE, "a key of %zu bytes, %s: at most %u fit",
                         end != NULL && end->len > key.len ? end->len : key.len,
                         key_text(key, text), KEY_BYTES_MAX);
    if (end != NULL && end->len > 0 && (end->data == NULL || bytes_compare(key, *end) >= 0))
        return error_set(ASSENT_INVALID,
                         "the range from %s is empty: its end is not after its start",
                         key_text(key, text));
    *placement =
        end == NULL ? cluster_place(cluster, key) : cluster_place_range(cluster, key, *end);
    if (*placement != NULL)
        return ASSENT_OK;
    if (end == NULL)
        return error_set(ASSENT_WRONG_PLACEMENT,
                         "no placement of the cluster file covers the key %s", key_text(key, text));
    return error_set(
        ASSENT_WRONG_PLACEMENT,
        "the range from %s is not covered by one placement of the cluster file: split it "
        "where the placement changes",
        key_text(key, text));
}

static struct bytes copy_to(uint8_t **at, struct bytes from)
{
    struct bytes copy = {*at, from.len};
    if (from.len > 0)
        memcpy(*at, from.data, from.len);
    *at += from.len;
    return copy;
}

static void txn_keep(assent_txn *t, const struct op *op, size_t size,
                     const struct placement *placement, bool seen)
{
    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? 8 : 2 * t->cap;
        t->op = xrealloc(t->op, t->cap * sizeof *t->op);
    }
    struct txn_op *kept = &t->op[t->n++];
    *kept = (struct txn_op){.op = *op, .size = size, .placement = placement, .seen = seen};
    uint8_t *at = kept->data = xmalloc(op->key.len + op->end.len + op->value.len);
    kept->op.key = copy_to(&at, op->key);
    kept->op.end = copy_to(&at, op->end);
    kept->op.value = copy_to(&at, op->value);
}

assent_status txn_check_open(const assent_txn *t)
{
    if (t == NULL)
        return error_set(ASSENT_INVALID, "no transaction: the argument is NULL");
    if (t->sealed)
        return error_set(ASSENT_SEALED, "the transaction's id was read or it was committed: start "
                                        "another one");
    return ASSENT_OK;
}

static assent_status add_op(assent_txn *t, const struct op *op, bool seen)
{
    const struct placement *placement;
    assent_status status = txn_check_open(t);
    if (status != ASSENT_OK)
        return status;
    status =
        txn_check_range(t->cluster, op->key, op_is_range(op->kind) ? &op->end : NULL, &placement);
    if (status != ASSENT_OK)
        return status;
    if (op->value.len > VALUE_BYTES_MAX)
        return error_set(ASSENT_TOO_LARGE, "a value of %zu bytes: at most %u fit", op->value.len,
                         VALUE_BYTES_MAX);
    if (op->value.len > 0 && op->value.data == NULL)
        return error_set(ASSENT_INVALID, "the value is NULL but its length is not 0");

    size_t size = OP_OVERHEAD + op->key.len + op->end.len + op->value.len;
    node_id one = 0;
    const node_id *node = placement->replica;
    int nodes = placement->replicas - (MUTANT(REPLICA_MISSES_WRITE) && placement->replicas > 1);
    if (!op_is_write(op->kind)) {
        one = replica_for_read(t, placement, size);
        node = &one;
        nodes = 1;
    }
    status = nodes_have_room(t, node, nodes, size);
    if (status != ASSENT_OK)
        return status;
    txn_keep(t, op, size, placement, seen);
    t->size += size * (size_t)nodes;
    for (int i = 0; i < nodes; i++) {
        int part = part_index(t, node[i]);
        if (part < 0) {
            part = t->parts++;
            t->part[part] = (struct txn_part){.node = node[i]};
        }
        part_add(&t->part[part], t->n - 1, &t->op[t->n - 1]);
    }
    return ASSENT_OK;
}

static assent_status txn_add(assent_txn *t, const struct op *op)
{
    return add_op(t, op, false);
}

assent_status txn_see(assent_txn *t, struct bytes key, struct bytes end)
{
    struct op op = {.kind = OP_CHECK_RANGE, .key = key, .end = end, .version = {.ts = t->snapshot}};
    return add_op(t, &op, true);
}

static assent_status add_key_op(assent_txn *t, enum op_kind kind, const void *key, size_t key_len)
{
    return txn_add(t, &(struct op){.kind = kind, .key = bytes_of(key, key_len)});
}

assent_status assent_check_exists(assent_txn *t, const void *key, size_t key_len)
{
    return add_key_op(t, OP_CHECK_EXISTS, key, key_len);
}

assent_status assent_check_absent(assent_txn *t, const void *key, size_t key_len)
{
    return add_key_op(t, OP_CHECK_ABSENT, key, key_len);
}

assent_status assent_check_value(assent_txn *t, const void *key, size_t key_len, const void *value,
                                 size_t value_len)
{
    return txn_add(t, &(struct op){.kind = OP_CHECK_VALUE,
                                   .key = bytes_of(key, key_len),
                                   .value = bytes_of(value, value_len)});
}

assent_status assent_check_at_least(assent_txn *t, const void *key, size_t key_len, int64_t least)
{
    return txn_add(
        t, &(struct op){.kind = OP_CHECK_AT_LEAST, .key = bytes_of(key, key_len), .number = least});
}

assent_status assent_check_version(assent_txn *t, const void *key, size_t key_len,
                                   const assent_version *version)
{
    struct op op = {.kind = OP_CHECK_VERSION, .key = bytes_of(key, key_len)};
    if (version == NULL)
        return error_set(ASSENT_INVALID, "no version: the argument is NULL");
    op.version.ts = version->ts;
    op.version.applies = version->applies;
    memcpy(op.version.txid.b, version->txid.bytes, TXID_BYTES);
    return txn_add(t, &op);
}

assent_status assent_check_range(assent_txn *t, const void *key, size_t key_len, const void *end,
                                 size_t end_len, assent_ts since)
{
    return txn_add(t, &(struct op){.kind = OP_CHECK_RANGE,
                                   .key = bytes_of(key, key_len),
                                   .end = bytes_of(end, end_len),
                                   .version = {.ts = since}});
}

assent_status assent_read(assent_txn *t, const void *key, size_t key_len)
{
    return add_key_op(t, OP_READ_KEY, key, key_len);
}

assent_status assent_read_range(assent_txn *t, const void *key, size_t key_len, const void *end,
                                size_t end_len, uint32_t limit)
{
    return txn_add(t, &(struct op){.kind = OP_READ_RANGE,
                                   .key = bytes_of(key, key_len),
                                   .end = bytes_of(end, end_len),
                                   .limit = limit});
}

assent_status assent_put(assent_txn *t, const void *key, size_t key_len, const void *value,
                         size_t value_len)
{
    return txn_add(t, &(struct op){.kind = OP_PUT,
                                   .key = bytes_of(key, key_len),
                                   .value = bytes_of(value, value_len)});
}

assent_status assent_del(assent_txn *t, const void *key, size_t key_len)
{
    return add_key_op(t, OP_DELETE, key, key_len);
}

assent_status assent_add(assent_txn *t, const void *key, size_t key_len, int64_t delta,
                         const assent_bounds *bounds)
{
    struct op op = {.kind = OP_ADD, .key = bytes_of(key, key_len), .number = delta};
    if (bounds != NULL) {
        op.has_lower = bounds->has_lower;
        op.has_upper = bounds->has_upper;
        op.lower = bounds->lower;
        op.upper = bounds->upper;
        op.returns_value = bounds->returns_value;
    }
    if (op.has_lower && op.has_upper && op.lower > op.upper)
        return error_set(ASSENT_INVALID, "the lower bound %lld is above the upper bound %lld",
                         (long long)op.lower, (long long)op.upper);
    return txn_add(t, &op);
}

/* ---- sealing ---- */

/* Another participant of the transaction that holds the operation's keys and has room, or NULL. */
static struct txn_part *part_instead(assent_txn *t, const struct txn_part *part, uint32_t index)
{
    const struct txn_op *op = &t->op[index];
    for (int i = 0; i < t->parts; i++) {
        struct txn_part *other = &t->part[i];
        if (other != part && placement_holds(op->placement, other->node) &&
            part_has_room(other, op->size))
            return other;
    }
    return NULL;
}

static int compare_indices(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Leaves participant number i out if the others can take over all of its checks and reads. */
static bool part_leave_out(assent_txn *t, int i)
{
    struct txn_part *part = &t->part[i];
    uint32_t kept = 0;
    if (part->writes)
        return false;
    for (uint32_t k = 0; k < part->n; k++) {
        if (part_instead(t, part, part->op[k]) == NULL)
            return false;
    }
    for (uint32_t k = 0; k < part->n; k++) {
        struct txn_part *other = part_instead(t, part, part->op[k]);
        if (other == NULL) { /* the ones before have filled it up */
            part->op[kept++] = part->op[k];
            continue;
        }
        part->size -= t->op[part->op[k]].size;
        part_add(other, part->op[k], &t->op[part->op[k]]);
    }
    part->n = kept;
    if (kept > 0)
        return false;
    free(part->op);
    *part = t->part[--t->parts];
    return true;
}

static void txn_merge(assent_txn *t)
{
    for (int i = 0; i < t->parts;) {
        if (!part_leave_out(t, i))
            i++;
    }
}

static int compare_parts(const void *a, const void *b)
{
    const struct txn_part *x = a, *y = b;
    return (x->node > y->node) - (x->node < y->node);
}

/* The replica whose result an add gives back: one entry per call, however many replicas write. */
static node_id replica_for_value(const assent_txn *t, const struct placement *p)
{
    for (int i = 0; i < p->replicas; i++) {
        if (node_is_near(t, p->replica[i]))
            return p->replica[i];
    }
    return p->replica[0];
}

static struct blob *part_encode(const assent_txn *t, struct txn_part *part)
{
    struct op *op = xcalloc(part->n, sizeof *op);
    for (uint32_t k = 0; k < part->n; k++) {
        const struct txn_op *kept = &t->op[part->op[k]];
        op[k] = kept->op;
        if (op[k].returns_value)
            op[k].returns_value = replica_for_value(t, kept->placement) == part->node;
        part->reads |=
            op[k].kind == OP_READ_KEY || op[k].kind == OP_READ_RANGE || op[k].returns_value;
    }
    struct blob *blob = ops_encode(op, part->n);
    free(op);
    return blob;
}

assent_status txn_seal(assent_txn *t, uint64_t wall_ms, uint64_t random)
{
    if (t->sealed)
        return ASSENT_OK;
    if (t->n == 0)
        return error_set(ASSENT_INVALID, "the transaction is empty: add an operation first");
    txn_merge(t);
    qsort(t->part, (size_t)t->parts, sizeof t->part[0], compare_parts);
    for (int i = 0; i < t->parts; i++) {
        struct txn_part *part = &t->part[i];
        qsort(part->op, part->n, sizeof part->op[0], compare_indices);
        t->participants.id[i] = part->node;
        t->encoded[i] = part_encode(t, part);
        if (t->encoded[i] == NULL) {
            /* the sizes that were checked are upper bounds */
            fprintf(stderr, "assent: txn_seal: %u operations, %zu bytes: do not encode\n", part->n,
                    part->size);
            abort();
        }
    }
    t->participants.n = (uint16_t)t->parts;
    t->txid = txid_make(wall_ms, t->parts == 1 ? t->part[0].node : 0, random);
    if (t->priority_ms == 0)
        t->priority_ms = wall_ms;
    t->sealed = true;
    return ASSENT_OK;
}

assent_status assent_txn_id(assent_txn *t, assent_txid *out)
{
    if (t == NULL || out == NULL)
        return error_set(ASSENT_INVALID, "no transaction or no place for its id: NULL");
    if (t->looking > 0)
        return error_set(ASSENT_INVALID, "a read of the transaction is under way: wait for it");
    if (t->sent && txid_equal(&t->txid, &(struct txid){0}))
        return error_set(ASSENT_SEALED, "the transaction only read, and was committed without an "
                                        "id: ask for it before, or make it strict");
    assent_status status = txn_seal(t, clock_wall_ms(), random_bits());
    if (status == ASSENT_OK)
        memcpy(out->bytes, t->txid.b, TXID_BYTES);
    return status;
}

/* ---- results ---- */

void txn_take_results(assent_txn *t, struct blob *results[PARTICIPANTS_MAX])
{
    for (int i = 0; i < PARTICIPANTS_MAX; i++) {
        assent_status status =
            results[i] == NULL ? ASSENT_OK : list_new(results[i], &t->results[i]);
        if (status != ASSENT_OK)
            t->results_status = status;
        else if (results[i] == NULL && i < t->parts && t->part[i].reads)
            t->results_status = ASSENT_UNKNOWN;
        blob_unref(results[i]);
        results[i] = NULL;
    }
}

size_t assent_txn_entries(const assent_txn *t)
{
    size_t n = 0;
    for (int i = 0; t != NULL && i < PARTICIPANTS_MAX; i++)
        n += assent_list_size(t->results[i]);
    return n;
}

assent_status assent_txn_read_status(const assent_txn *t)
{
    if (t == NULL)
        return error_set(ASSENT_INVALID, "no transaction: NULL");
    switch (t->results_status) {
    case ASSENT_OK:
        return ASSENT_OK;
    case ASSENT_UNKNOWN:
        return error_set(ASSENT_UNKNOWN, "committed, but what its reads found was lost on the way: "
                                         "read again");
    default:
        return error_set(t->results_status, "a participant's read results could not be decoded");
    }
}

assent_status assent_txn_entry(const assent_txn *t, size_t index, assent_entry *out)
{
    if (t == NULL || out == NULL)
        return error_set(ASSENT_INVALID, "no transaction or no place for the entry: NULL");
    if (assent_txn_read_status(t) != ASSENT_OK)
        return t->results_status;
    for (int i = 0; i < PARTICIPANTS_MAX; i++) {
        if (index < assent_list_size(t->results[i])) {
            *out = *assent_list_entry(t->results[i], index);
            return ASSENT_OK;
        }
        index -= assent_list_size(t->results[i]);
    }
    return error_set(ASSENT_NOT_FOUND, "the transaction's reads gave %zu entries only",
                     assent_txn_entries(t));
}
