#include "tests/lib/random_msg.h"

#include <stdlib.h>
#include <string.h>

const enum msg_type random_types[RANDOM_TYPES] = {
#define TYPE_ITEM(name, number, from, to) MSG_##name,
    MSG_MAP(TYPE_ITEM)
#undef TYPE_ITEM
};

/* Of any width: 0, all ones and every power of two are likely. */
static uint64_t number(struct prng *p)
{
    return prng_u64(p) >> prng_below(p, 64);
}

static uint32_t number32(struct prng *p)
{
    return prng_below(p, 8) == 0 ? UINT32_MAX : (uint32_t)number(p);
}

static bool coin(struct prng *p)
{
    return prng_below(p, 2) == 0;
}

static node_id node(struct prng *p)
{
    return (node_id)prng_below(p, NODES_MAX + 1);
}

static struct txid txid(struct prng *p)
{
    return txid_make(prng_u64(p) >> 16, node(p), prng_u64(p));
}

static struct blob *blob(struct prng *p)
{
    uint8_t data[300];
    size_t len = 1 + prng_below(p, coin(p) ? 20 : sizeof data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)prng_u64(p);
    return blob_new(bytes_of(data, len));
}

static struct blob *blob_or_null(struct prng *p)
{
    return coin(p) ? NULL : blob(p);
}

static struct blob *text_or_null(struct prng *p)
{
    static const char *const texts[] = {"", "key acct/alice: have 10, want 30", "Schlüssel",
                                        "\xe9\x8d\xb5 \xf0\x9f\x94\x91"};
    uint64_t i = prng_below(p, 5);
    return i == 4 ? NULL : blob_new(bytes_of_text(texts[i]));
}

static assent_status status(struct prng *p)
{
    static const assent_status all[] = {
#define STATUS_ITEM(name, value, retry, maybe, text) ASSENT_##name,
        ASSENT_STATUS_MAP(STATUS_ITEM)
#undef STATUS_ITEM
    };
    return all[prng_below(p, sizeof all / sizeof all[0])];
}

static assent_status reason(struct prng *p)
{
    assent_status s;
    do
        s = status(p);
    while (s == ASSENT_OK || assent_maybe_committed(s));
    return s;
}

static struct participants participants(struct prng *p, uint32_t min)
{
    struct participants all = {0};
    uint64_t n = min + prng_below(p, coin(p) ? 4 : PARTICIPANTS_MAX + 1 - min);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t last = i == 0 ? 0 : all.id[i - 1];
        all.id[all.n++] = (node_id)(last + 1 + prng_below(p, NODES_MAX / PARTICIPANTS_MAX));
    }
    return all;
}

static struct ballot ballot(struct prng *p)
{
    return (struct ballot){number32(p), node(p), number32(p)};
}

static struct vote vote(struct prng *p, bool may_be_none)
{
    struct vote v = {coin(p) ? VOTE_PREPARED : VOTE_ABORTED, number(p), reason(p)};
    if (may_be_none && prng_below(p, 3) == 0)
        v.kind = VOTE_NONE;
    return v;
}

static struct outcome outcome(struct prng *p, bool may_be_none)
{
    struct outcome o = {coin(p) ? OUTCOME_COMMITTED : OUTCOME_ABORTED, number(p), reason(p)};
    if (may_be_none && coin(p))
        o.kind = OUTCOME_NONE;
    return o;
}

static void fill_commit(struct prng *p, struct msg_commit *c)
{
    c->priority_ms = number(p);
    c->timeout_ms = number32(p);
    c->ts = number(p);
    c->placement_hash = number(p);
    c->participants = participants(p, 1);
    for (int i = 0; i < c->participants.n; i++)
        c->ops[i] = blob(p);
}

static void fill_prepare(struct prng *p, struct msg_prepare *c)
{
    c->participants = participants(p, 1);
    c->priority_ms = number(p);
    memset(c->client.text, 'a', prng_below(p, NAME_BYTES_MAX + 1));
    c->ts = number(p);
    c->time_left_ms = number32(p);
    c->placement_hash = number(p);
    c->pin = number32(p);
    c->one_phase = c->participants.n == 1 && coin(p);
    c->ops = blob(p);
}

static void fill_vote(struct prng *p, struct msg_vote *c)
{
    c->participants = participants(p, 1);
    c->vote = vote(p, false);
    c->one_phase = c->participants.n == 1 && coin(p);
    c->detail = text_or_null(p);
    c->results = blob_or_null(p);
    c->lock_wait_us = number32(p);
    c->sync_us = number32(p);
}

static void fill_promise(struct prng *p, struct msg_promise *c)
{
    c->ballot = ballot(p);
    c->forgotten = coin(p);
    if (c->forgotten) {
        c->whole_ballot = ballot(p);
        return;
    }
    c->outcome = outcome(p, true);
    c->whole_abort = coin(p);
    c->whole_ballot = ballot(p);
    c->participants = participants(p, 0);
    for (int i = 0; i < c->participants.n; i++)
        c->accepted[i] = (struct accepted){ballot(p), vote(p, true)};
}

static void fill_accepted(struct prng *p, struct msg_accepted *c)
{
    c->ballot = ballot(p);
    c->whole_abort = coin(p);
    c->participants = participants(p, c->whole_abort ? 0 : 1);
    for (int i = 0; i < c->participants.n; i++)
        c->votes[i] = vote(p, true);
}

static void fill_propose(struct prng *p, struct msg_propose *c)
{
    c->ballot = ballot(p);
    c->whole_abort = coin(p);
    c->participants = participants(p, c->whole_abort ? 0 : 1);
    for (int i = 0; i < c->participants.n; i++)
        c->votes[i] = vote(p, c->whole_abort);
}

static void fill_result(struct prng *p, struct msg_result *c)
{
    c->status = status(p);
    c->commit_ts = number(p);
    c->culprit = node(p);
    c->detail = text_or_null(p);
    c->total_us = number32(p);
    c->quorum_us = number32(p);
    c->participants = participants(p, 0);
    for (int i = 0; i < c->participants.n; i++) {
        c->breakdown[i] = (struct breakdown){number32(p), number32(p), number32(p)};
        c->results[i] = blob_or_null(p);
    }
}

static void fill_forget(struct prng *p, struct msg_forget *c)
{
    c->n = (uint16_t)prng_below(p, prng_below(p, 16) == 0 ? FORGET_MAX + 1 : 4);
    c->entry = xcalloc(c->n, sizeof *c->entry);
    for (int i = 0; i < c->n; i++)
        c->entry[i] = (struct forget_entry){txid(p), outcome(p, false)};
}

static struct txid *fill_txids(struct prng *p, uint16_t *n)
{
    *n = (uint16_t)prng_below(p, prng_below(p, 16) == 0 ? FORGET_MAX + 1 : 4);
    struct txid *id = xcalloc(*n, sizeof *id);
    for (int i = 0; i < *n; i++)
        id[i] = txid(p);
    return id;
}

static void fill_reads(struct prng *p, struct msg *m)
{
    switch (m->type) {
    case MSG_READ:
        m->read = (struct msg_read){
            number(p), number32(p), number(p), (enum read_level)prng_below(p, READ_EVENTUAL + 1),
            number(p), number32(p), blob(p)};
        break;
    case MSG_READ_RESULT:
        m->read_result = (struct msg_read_result){number(p),   status(p),       number(p),
                                                  number32(p), text_or_null(p), blob_or_null(p)};
        break;
    case MSG_STATUS:
        m->status.request = number(p);
        break;
    case MSG_STATUS_RESULT:
        m->status_result.request = number(p);
        m->status_result.text = coin(p) ? NULL : blob_new(bytes_of_text("led 3\nin_doubt 0\n"));
        break;
    case MSG_WATCH:
        m->watch = (struct msg_watch){
            number(p), number32(p), number(p), number(p), {number32(p), number(p)}, blob(p)};
        break;
    case MSG_WATCH_RESULT:
        m->watch_result = (struct msg_watch_result){
            number(p),       status(p),      number(p), number(p), {number32(p), number(p)},
            text_or_null(p), blob_or_null(p)};
        break;
    default: /* PING, PONG */
        m->ping = (struct msg_ping){number(p), number(p)};
        break;
    }
}

static void fill_rest(struct prng *p, struct msg *m)
{
    switch (m->type) {
    case MSG_REJECTED:
        m->rejected = (struct msg_rejected){ballot(p), ballot(p)};
        break;
    case MSG_DECIDE:
        m->decide = (struct msg_decide){outcome(p, false), participants(p, 0)};
        if (m->decide.outcome.kind == OUTCOME_ABORTED && coin(p))
            m->decide.outcome.reason = ASSENT_EXPIRED;
        break;
    case MSG_DECIDED:
        m->decided.outcome = coin(p) ? OUTCOME_COMMITTED : OUTCOME_ABORTED;
        break;
    case MSG_INQUIRE:
        m->inquire.participants = participants(p, 1);
        break;
    case MSG_PROMISE_ASK:
        m->promise_ask.ballot = ballot(p);
        break;
    case MSG_OUTCOME:
        m->outcome.wait_ms = number32(p);
        break;
    case MSG_SETTLE_ASK:
        m->settle_ask.txid = fill_txids(p, &m->settle_ask.n);
        break;
    case MSG_SETTLED:
        m->settled.floor = number(p);
        m->settled.txid = fill_txids(p, &m->settled.n);
        break;
    case MSG_EXPIRED:
        m->expired.floor = number(p);
        break;
    default:
        fill_reads(p, m);
        break;
    }
}

struct msg *random_msg(struct prng *p, enum msg_type type)
{
    struct tx_head head = {txid(p), {node(p), number32(p)}, number32(p), number(p)};
    struct msg *m = msg_new(type, msg_has_head(type) ? &head : NULL);
    switch (type) {
    case MSG_COMMIT:
        fill_commit(p, &m->commit);
        break;
    case MSG_PREPARE:
        fill_prepare(p, &m->prepare);
        break;
    case MSG_VOTE:
        fill_vote(p, &m->vote);
        break;
    case MSG_ACCEPTED:
        fill_accepted(p, &m->accepted);
        break;
    case MSG_PROMISE:
        fill_promise(p, &m->promise);
        break;
    case MSG_PROPOSE:
        fill_propose(p, &m->propose);
        break;
    case MSG_RESULT:
        fill_result(p, &m->result);
        break;
    case MSG_FORGET:
        fill_forget(p, &m->forget);
        break;
    default:
        fill_rest(p, m);
        break;
    }
    return m;
}

/* At least `min` and fewer than `end` random bytes, put at `to`. */
static struct bytes some_bytes(struct prng *p, uint8_t *to, size_t min, size_t end)
{
    size_t len = min + prng_below(p, end - min);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)prng_u64(p);
    return bytes_of(to, len);
}

static struct version version(struct prng *p)
{
    return coin(p) ? (struct version){0} : (struct version){number(p), txid(p), number32(p)};
}

static int64_t signed_number(struct prng *p)
{
    return (int64_t)(coin(p) ? number(p) : ~number(p));
}

static void fill_add(struct prng *p, struct op *op)
{
    int64_t a = signed_number(p), b = signed_number(p);
    op->number = signed_number(p);
    op->has_lower = coin(p);
    op->has_upper = coin(p);
    op->lower = op->has_lower ? (a < b ? a : b) : 0;
    op->upper = op->has_upper ? (a < b ? b : a) : 0;
    op->returns_value = coin(p);
}

struct op random_op(struct prng *p, uint8_t arena[RANDOM_ARENA_BYTES])
{
    static const enum op_kind kinds[] = {
#define KIND_ITEM(name, value) OP_##name,
        OP_MAP(KIND_ITEM)
#undef KIND_ITEM
    };
    struct op op = {.kind = kinds[prng_below(p, sizeof kinds / sizeof kinds[0])]};
    op.key = some_bytes(p, arena, 1, 64);
    if (op_is_range(op.kind) && coin(p)) {
        memcpy(arena + 64, op.key.data, op.key.len);
        some_bytes(p, arena + 64 + op.key.len, 1, 2);
        op.end = bytes_of(arena + 64, op.key.len + 1);
    }
    if (op.kind == OP_PUT || op.kind == OP_CHECK_VALUE)
        op.value = some_bytes(p, arena + 128, 0, 64);
    if (op.kind == OP_CHECK_AT_LEAST)
        op.number = signed_number(p);
    if (op.kind == OP_ADD)
        fill_add(p, &op);
    if (op.kind == OP_CHECK_VERSION)
        op.version = version(p);
    if (op.kind == OP_CHECK_RANGE)
        op.version.ts = number(p);
    if (op.kind == OP_READ_RANGE) {
        op.limit = number32(p);
        op.descending = coin(p);
    }
    return op;
}

struct result random_result(struct prng *p, uint8_t arena[RANDOM_ARENA_BYTES])
{
    struct result result = {(uint32_t)prng_below(p, OPS_MAX), coin(p), coin(p), {0}, {0}, {0}};
    result.key = some_bytes(p, arena, 1, 64);
    result.value = some_bytes(p, arena + 128, 0, 64);
    result.version = version(p);
    return result;
}
