/* Every claim asks in the same order: can the operations be read, may the client do this, are the
 * keys placed here and their replicas taken along, are the locks free. The last question is the
 * only one whose answer changes by itself. */
#include "participant/kv_resource.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mutant.h"
#include "participant/kv_say.h"
#include "participant/locks.h"
#include "wire/ops_codec.h"

struct claim {
    struct lock_request request;
    struct blob *ops; /* the wants point into it */
    void *owner;
    struct lock_want want[];
};

struct kv_resource {
    struct kv_policy policy;
    struct locks *locks;
    uint64_t newest_ms; /* of the clocks of those who came; the age of a reader */
};

/* One claim's way through the questions. */
struct asking {
    struct kv_resource *resource;
    const char *client;
    const struct participants *participants; /* NULL: a read */
    struct kv_say say;
};

/* "key 'a'" or "range 'a' to 'b'" */
struct subject {
    char text[2 * KV_QUOTED_BYTES + 16];
};

static const char *subject_of(const struct op *op, struct subject *out)
{
    char key[KV_QUOTED_BYTES], end[KV_QUOTED_BYTES] = "the end";
    kv_quote(op->key, key);
    if (op->end.len > 0)
        kv_quote(op->end, end);
    if (op_is_range(op->kind))
        snprintf(out->text, sizeof out->text, "range %s to %s", key, end);
    else
        snprintf(out->text, sizeof out->text, "key %s", key);
    return out->text;
}

static assent_status ask_right(struct asking *a, const struct op *op, bool write)
{
    const struct kv_policy *policy = &a->resource->policy;
    struct subject s;
    bool granted = op_is_range(op->kind)
                       ? policy->granted_range(policy->arg, a->client, op->key, op->end)
                       : policy->granted(policy->arg, a->client, op->key, write);
    if (granted)
        return ASSENT_OK;
    kv_say(&a->say,
           "%s: client %s may not %s it; give it a grant for that prefix in the cluster file",
           subject_of(op, &s), a->client, write ? "write" : "read");
    return ASSENT_DENIED;
}

/* An add that returns its value reads it too. */
static assent_status ask_grant(struct asking *a, const struct op *op)
{
    bool write = op_is_write(op->kind);
    assent_status status = ASSENT_OK;
    if (!write || (op->kind == OP_ADD && op->returns_value))
        status = ask_right(a, op, false);
    return status == ASSENT_OK && write ? ask_right(a, op, true) : status;
}

static assent_status ask_replicas(struct asking *a, const struct op *op)
{
    const struct kv_policy *policy = &a->resource->policy;
    bool range = op_is_range(op->kind), here = false;
    node_id replica[REPLICAS_MAX];
    struct subject s;
    int n = range ? policy->replicas_range(policy->arg, op->key, op->end, replica)
                  : policy->replicas(policy->arg, op->key, replica);
    for (int i = 0; i < n; i++)
        here |= replica[i] == policy->self;
    if (n == 0) {
        kv_say(&a->say,
               range ? "%s: its keys are not all placed alike; ask for each part by itself"
                     : "%s: no prefix of the cluster file's placement covers it; add one",
               subject_of(op, &s));
        return ASSENT_WRONG_PLACEMENT;
    }
    if (!here) {
        kv_say(&a->say, "%s: not placed at this node but at node %u; send it there",
               subject_of(op, &s), (unsigned)replica[0]);
        return ASSENT_WRONG_PLACEMENT;
    }
    for (int i = 0; op_is_write(op->kind) && i < n; i++) {
        if (participants_index(a->participants, replica[i]) >= 0 || MUTANT(REPLICA_MISSES_WRITE))
            continue;
        kv_say(&a->say,
               "%s: replicated at node %u, which is not in the transaction; write all replicas",
               subject_of(op, &s), (unsigned)replica[i]);
        return ASSENT_WRONG_PLACEMENT;
    }
    return ASSENT_OK;
}

static assent_status ask_ops(struct asking *a, const struct ops *ops)
{
    assent_status status = ASSENT_OK;
    struct subject s;
    for (uint32_t i = 0; i < ops->n && status == ASSENT_OK; i++) {
        const struct op *op = &ops->op[i];
        if (a->participants == NULL && op->kind != OP_READ_KEY && op->kind != OP_READ_RANGE) {
            kv_say(&a->say, "%s: a read may only read; checks and writes need a transaction",
                   subject_of(op, &s));
            return ASSENT_MALFORMED;
        }
        status = ask_grant(a, op);
        if (status == ASSENT_OK)
            status = ask_replicas(a, op);
    }
    return status;
}

/* ---- claims ---- */

static struct claim *claim_new(const struct ops *ops, void *owner)
{
    struct claim *claim = xcalloc(1, sizeof *claim + ops->n * sizeof claim->want[0]);
    claim->owner = owner;
    claim->ops = blob_ref(ops->source);
    claim->request.owner = claim;
    claim->request.want = claim->want;
    claim->request.n = locks_of_ops(ops, claim->want);
    return claim;
}

static void claim_free(struct claim *claim)
{
    blob_unref(claim->request.conflict);
    blob_unref(claim->ops);
    free(claim);
}

static enum claim_state refuse(struct refusal *refusal, assent_status status,
                               const struct kv_say *say)
{
    *refusal = (struct refusal){status, kv_said(say)};
    return CLAIM_REFUSED;
}

/* The questions before the locks; the claim, or NULL with a refusal. */
static struct claim *claim_ask(struct asking *a, struct blob *source, void *owner,
                               struct refusal *refusal)
{
    struct claim *claim = NULL;
    struct ops ops;
    char why[DETAIL_BYTES_MAX / 2];
    assent_status status = ops_decode(source, &ops, why, sizeof why);
    if (status == ASSENT_OK)
        status = ask_ops(a, &ops);
    else
        kv_say(&a->say, "the operations cannot be taken: %s", why);
    if (status == ASSENT_OK)
        claim = claim_new(&ops, owner);
    else
        refuse(refusal, status, &a->say);
    ops_free(&ops);
    return claim;
}

static enum claim_state claim_locks(struct kv_resource *r, struct claim *claim, struct claim **out,
                                    struct refusal *refusal)
{
    enum lock_state state = locks_request(r->locks, &claim->request);
    if (state == LOCKS_NONE) {
        char key[KV_QUOTED_BYTES];
        struct kv_say say;
        kv_say(&say,
               "key %s: an older transaction holds it or waits for it; try again under a new id"
               " and the same priority",
               kv_quote(blob_bytes(claim->request.conflict), key));
        claim_free(claim);
        return refuse(refusal, ASSENT_CONFLICT, &say);
    }
    *out = claim;
    return state == LOCKS_HELD ? CLAIM_HELD : CLAIM_WAITING;
}

static void see_clock(struct kv_resource *r, hlc_ts ts)
{
    if (hlc_to_ms(ts) > r->newest_ms)
        r->newest_ms = hlc_to_ms(ts);
}

static enum claim_state kv_claim(void *arg, const struct tx_head *head, const struct msg_prepare *m,
                                 void *owner, struct claim **out, struct refusal *refusal)
{
    struct kv_resource *r = arg;
    struct asking a = {r, m->client.text, &m->participants, {""}};
    *out = NULL;
    if (m->placement_hash != r->policy.placement_hash) {
        kv_say(&a.say,
               "the client's cluster file has placement %016" PRIx64 ", this node's has %016" PRIx64
               "; give both the same file",
               m->placement_hash, r->policy.placement_hash);
        return refuse(refusal, ASSENT_WRONG_PLACEMENT, &a.say);
    }
    struct claim *claim = claim_ask(&a, m->ops, owner, refusal);
    if (claim == NULL)
        return CLAIM_REFUSED;
    see_clock(r, m->ts);
    claim->request.priority_ms = m->priority_ms;
    claim->request.txid = head->txid;
    return claim_locks(r, claim, out, refusal);
}

/* A reader is as old as its arrival, on the latest clock heard of: with the client's own it could
 * claim any age, and hold up writers. */
static enum claim_state kv_claim_read(void *arg, const struct client_name *client,
                                      const struct msg_read *m, void *owner, struct claim **out,
                                      struct refusal *refusal)
{
    struct kv_resource *r = arg;
    struct asking a = {r, client->text, NULL, {""}};
    *out = NULL;
    struct claim *claim = claim_ask(&a, m->ops, owner, refusal);
    if (claim == NULL)
        return CLAIM_REFUSED;
    if (m->level != READ_STRONG) {
        *out = claim;
        return CLAIM_HELD;
    }
    see_clock(r, m->ts);
    claim->request.reader = true;
    claim->request.priority_ms = r->newest_ms;
    return claim_locks(r, claim, out, refusal);
}

struct writers {
    void (*each)(void *arg, void *owner);
    void *arg;
};

static void each_writer(void *arg, const struct lock_request *writer)
{
    const struct writers *writers = arg;
    writers->each(writers->arg, ((const struct claim *)writer->owner)->owner);
}

static void kv_claim_writers(void *arg, const struct claim *read,
                             void (*each)(void *each_arg, void *owner), void *each_arg)
{
    struct kv_resource *r = arg;
    struct writers writers = {each, each_arg};
    locks_writers(r->locks, read->request.want, read->request.n, each_writer, &writers);
}

static void kv_written(void *arg, const struct claim *claim,
                       void (*each)(void *each_arg, struct bytes key), void *each_arg)
{
    (void)arg;
    for (uint32_t i = 0; i < claim->request.n; i++)
        if (claim->request.want[i].mode != LOCK_SHARED)
            each(each_arg, claim->request.want[i].key);
}

static bool kv_covers(void *arg, const struct claim *read, struct bytes key)
{
    (void)arg;
    for (uint32_t i = 0; i < read->request.n; i++) {
        const struct lock_want *want = &read->request.want[i];
        if (!want->range && bytes_equal(want->key, key))
            return true;
        if (want->range && bytes_compare(key, want->key) >= 0 &&
            (want->end.len == 0 || bytes_compare(key, want->end) < 0))
            return true;
    }
    return false;
}

static struct blob *kv_reads_of(void *arg, const struct bytes *key, uint32_t n)
{
    (void)arg;
    struct op *op = xcalloc(n, sizeof *op);
    for (uint32_t i = 0; i < n; i++)
        op[i] = (struct op){.kind = OP_READ_KEY, .key = key[i]};
    struct blob *ops = ops_encode(op, n);
    free(op);
    return ops;
}

static struct claim *kv_restore(void *arg, const struct txid *txid, uint64_t priority_ms,
                                struct blob *source, void *owner)
{
    struct kv_resource *r = arg;
    struct ops ops;
    char why[DETAIL_BYTES_MAX];
    if (ops_decode(source, &ops, why, sizeof why) != ASSENT_OK)
        return NULL;
    struct claim *claim = claim_new(&ops, owner);
    ops_free(&ops);
    claim->request.priority_ms = priority_ms;
    claim->request.txid = *txid;
    if (MUTANT(RESTORES_NO_LOCKS))
        claim->request.n = 0;
    locks_restore(r->locks, &claim->request);
    return claim;
}

static void kv_decided(void *arg, struct claim *claim)
{
    (void)arg;
    if (MUTANT(RELEASES_AT_VOTE) && claim == NULL)
        return;
    locks_decided(&claim->request);
}

static void kv_release(void *arg, struct claim *claim)
{
    struct kv_resource *r = arg;
    locks_release(r->locks, &claim->request);
    claim_free(claim);
}

static void *kv_granted(void *arg)
{
    struct kv_resource *r = arg;
    struct lock_request *request = locks_granted(r->locks);
    if (request == NULL)
        return NULL;
    const struct claim *claim = request->owner;
    return claim->owner;
}

struct kv_resource *kv_resource_new(const struct kv_policy *policy)
{
    struct kv_resource *r = xcalloc(1, sizeof *r);
    r->policy = *policy;
    r->locks = locks_new();
    return r;
}

void kv_resource_free(struct kv_resource *r)
{
    if (r == NULL)
        return;
    locks_free(r->locks);
    free(r);
}

struct resource kv_resource_ops(struct kv_resource *r)
{
    return (struct resource){.arg = r,
                             .claim = kv_claim,
                             .claim_read = kv_claim_read,
                             .writers = kv_claim_writers,
                             .written = kv_written,
                             .covers = kv_covers,
                             .reads_of = kv_reads_of,
                             .restore = kv_restore,
                             .decided = kv_decided,
                             .release = kv_release,
                             .granted = kv_granted};
}

uint32_t kv_resource_locks_held(const struct kv_resource *r)
{
    return locks_held(r->locks);
}

uint32_t kv_resource_locks_waiting(const struct kv_resource *r)
{
    return locks_waiting(r->locks);
}
