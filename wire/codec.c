/* A frame is [type, head, fields...]: the head's fields where msg_has_head(), then those of the
 * message in the order of its struct in common/msg.h. Each message has one function that packs it
 * and one that unpacks it, side by side; BODIES joins them to the types.
 *
 * Decoding. 1. Every field is read from where it lies, checked and copied into a new message; the
 * first fault sticks. 2. A fault, or a value left over, drops the message whole. */
#include "wire/codec.h"

#include <stdio.h>

#include "wire/pack.h"
#include "wire/parts.h"
#include "wire/unpack.h"

/* More than the fields of any message. */
#define FIELDS_MAX 64u

/* Opens the array of a message with so many fields after the head. */
static void message_pack(struct pack *p, const struct msg *m, uint32_t fields)
{
    bool has_head = msg_has_head(m->type);
    pack_array(p, 1 + (has_head ? HEAD_FIELDS : 0) + fields);
    pack_uint(p, m->type);
    if (has_head)
        head_pack(p, &m->head);
}

static uint32_t u32_unpack(struct unpack *u, const char *field)
{
    return (uint32_t)unpack_uint(u, UINT32_MAX, field);
}

static uint64_t u64_unpack(struct unpack *u, const char *field)
{
    return unpack_uint(u, UINT64_MAX, field);
}

/* One phase is for a transaction of one participant: several could each decide for themselves. */
static bool one_phase_unpack(struct unpack *u, const struct participants *participants)
{
    bool one_phase = unpack_bool(u, "one_phase");
    if (one_phase && participants->n != 1)
        unpack_fail(u, ASSENT_MALFORMED, "one_phase", "with several participants");
    return one_phase;
}

/* DESIGN 8: a place for a client's signature, not in use yet. */
static void reserved_unpack(struct unpack *u)
{
    if (!unpack_nil(u))
        unpack_fail(u, ASSENT_MALFORMED, "reserved", "missing or not nil");
}

static void commit_pack(struct pack *p, const struct msg *m)
{
    const struct msg_commit *c = &m->commit;
    size_t total = 0;
    message_pack(p, m, 7);
    pack_uint(p, c->priority_ms);
    pack_uint(p, c->timeout_ms);
    pack_uint(p, c->ts);
    pack_uint(p, c->placement_hash);
    participants_pack(p, &c->participants);
    pack_array(p, c->participants.n);
    for (uint32_t i = 0; i < c->participants.n; i++) {
        total += blob_bytes(c->ops[i]).len;
        pack_blob(p, c->ops[i], OPS_BYTES_MAX);
    }
    p->refused |= total > TXN_BYTES_MAX;
    pack_nil(p);
}

static void commit_unpack(struct unpack *u, struct msg *m)
{
    struct msg_commit *c = &m->commit;
    size_t total = 0;
    c->priority_ms = u64_unpack(u, "priority_ms");
    c->timeout_ms = u32_unpack(u, "timeout_ms");
    c->ts = u64_unpack(u, "ts");
    c->placement_hash = u64_unpack(u, "placement_hash");
    c->participants = participants_unpack(u, 1);
    struct unpack ops = unpack_array(u, c->participants.n, c->participants.n, "ops");
    for (uint32_t i = 0; ops.left > 0 && unpack_good(u); i++) {
        c->ops[i] = unpack_blob(&ops, 1, OPS_BYTES_MAX, "ops");
        total += blob_bytes(c->ops[i]).len;
        if (total > TXN_BYTES_MAX)
            unpack_fail(u, ASSENT_TOO_LARGE, "ops", "too long together");
    }
    reserved_unpack(u);
}

static void prepare_pack(struct pack *p, const struct msg *m)
{
    const struct msg_prepare *c = &m->prepare;
    message_pack(p, m, 10);
    participants_pack(p, &c->participants);
    pack_uint(p, c->priority_ms);
    client_pack(p, &c->client);
    pack_uint(p, c->ts);
    pack_uint(p, c->time_left_ms);
    pack_uint(p, c->placement_hash);
    pack_uint(p, c->pin);
    pack_bool(p, c->one_phase);
    pack_blob(p, c->ops, OPS_BYTES_MAX);
    pack_nil(p);
}

static void prepare_unpack(struct unpack *u, struct msg *m)
{
    struct msg_prepare *c = &m->prepare;
    c->participants = participants_unpack(u, 1);
    c->priority_ms = u64_unpack(u, "priority_ms");
    client_unpack(u, &c->client);
    c->ts = u64_unpack(u, "ts");
    c->time_left_ms = u32_unpack(u, "time_left_ms");
    c->placement_hash = u64_unpack(u, "placement_hash");
    c->pin = u32_unpack(u, "pin");
    c->one_phase = one_phase_unpack(u, &c->participants);
    c->ops = unpack_blob(u, 1, OPS_BYTES_MAX, "ops");
    reserved_unpack(u);
}

static void vote_message_pack(struct pack *p, const struct msg *m)
{
    const struct msg_vote *c = &m->vote;
    message_pack(p, m, 7);
    participants_pack(p, &c->participants);
    vote_pack(p, &c->vote);
    pack_bool(p, c->one_phase);
    text_pack(p, c->detail, DETAIL_BYTES_MAX, false);
    pack_blob(p, c->results, RESULTS_BYTES_MAX);
    pack_uint(p, c->lock_wait_us);
    pack_uint(p, c->sync_us);
}

static void vote_message_unpack(struct unpack *u, struct msg *m)
{
    struct msg_vote *c = &m->vote;
    c->participants = participants_unpack(u, 1);
    c->vote = vote_unpack(u, false);
    c->one_phase = one_phase_unpack(u, &c->participants);
    c->detail = text_unpack(u, DETAIL_BYTES_MAX, false, "detail");
    c->results = unpack_blob_or_nil(u, RESULTS_BYTES_MAX, "results");
    c->lock_wait_us = u32_unpack(u, "lock_wait_us");
    c->sync_us = u32_unpack(u, "sync_us");
}

static void accepted_pack(struct pack *p, const struct msg *m)
{
    const struct msg_accepted *c = &m->accepted;
    message_pack(p, m, BALLOT_FIELDS + 3);
    ballot_pack(p, c->ballot);
    pack_bool(p, c->whole_abort);
    participants_pack(p, &c->participants);
    votes_pack(p, c->participants.n, c->votes);
}

/* Without participants every vote of none would be prepared: only a whole abort may have none. */
static void accepted_unpack(struct unpack *u, struct msg *m)
{
    struct msg_accepted *c = &m->accepted;
    c->ballot = ballot_unpack(u);
    c->whole_abort = unpack_bool(u, "whole_abort");
    c->participants = participants_unpack(u, c->whole_abort ? 0 : 1);
    votes_unpack(u, c->participants.n, true, c->votes);
}

static void rejected_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 2 * BALLOT_FIELDS);
    ballot_pack(p, m->rejected.ballot);
    ballot_pack(p, m->rejected.promised);
}

static void rejected_unpack(struct unpack *u, struct msg *m)
{
    m->rejected.ballot = ballot_unpack(u);
    m->rejected.promised = ballot_unpack(u);
}

static void decide_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, OUTCOME_FIELDS + 1);
    outcome_pack(p, &m->decide.outcome);
    participants_pack(p, &m->decide.participants);
}

/* A coordinator may have learnt an outcome without its participants: from FORGET, or a whole abort.
 */
static void decide_unpack(struct unpack *u, struct msg *m)
{
    m->decide.outcome = decision_unpack(u);
    m->decide.participants = participants_unpack(u, 0);
}

static void decided_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    pack_uint(p, m->decided.outcome);
}

static void decided_unpack(struct unpack *u, struct msg *m)
{
    m->decided.outcome = outcome_kind_unpack(u, false);
}

static void inquire_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    participants_pack(p, &m->inquire.participants);
}

static void inquire_unpack(struct unpack *u, struct msg *m)
{
    m->inquire.participants = participants_unpack(u, 1);
}

static void promise_ask_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, BALLOT_FIELDS);
    ballot_pack(p, m->promise_ask.ballot);
}

static void promise_ask_unpack(struct unpack *u, struct msg *m)
{
    m->promise_ask.ballot = ballot_unpack(u);
}

static void promise_pack(struct pack *p, const struct msg *m)
{
    const struct msg_promise *c = &m->promise;
    message_pack(p, m, 2 * BALLOT_FIELDS + OUTCOME_FIELDS + 4);
    ballot_pack(p, c->ballot);
    outcome_pack(p, &c->outcome);
    pack_bool(p, c->forgotten);
    pack_bool(p, c->whole_abort);
    ballot_pack(p, c->whole_ballot);
    participants_pack(p, &c->participants);
    pack_array(p, c->participants.n);
    for (uint32_t i = 0; i < c->participants.n; i++) {
        pack_array(p, BALLOT_FIELDS + 1);
        ballot_pack(p, c->accepted[i].ballot);
        vote_pack(p, &c->accepted[i].vote);
    }
}

static void promise_unpack(struct unpack *u, struct msg *m)
{
    struct msg_promise *c = &m->promise;
    c->ballot = ballot_unpack(u);
    c->outcome = outcome_unpack(u, true);
    c->forgotten = unpack_bool(u, "forgotten");
    c->whole_abort = unpack_bool(u, "whole_abort");
    c->whole_ballot = ballot_unpack(u);
    c->participants = participants_unpack(u, 0);
    struct unpack list = unpack_array(u, c->participants.n, c->participants.n, "accepted");
    for (uint32_t i = 0; list.left > 0 && unpack_good(u); i++) {
        struct unpack one = unpack_array(&list, BALLOT_FIELDS + 1, BALLOT_FIELDS + 1, "accepted");
        c->accepted[i].ballot = ballot_unpack(&one);
        c->accepted[i].vote = vote_unpack(&one, true);
    }
    if (c->forgotten &&
        (c->outcome.kind != OUTCOME_NONE || c->whole_abort || c->participants.n > 0))
        unpack_fail(u, ASSENT_MALFORMED, "forgotten", "with something that is known");
}

static void propose_pack(struct pack *p, const struct msg *m)
{
    const struct msg_propose *c = &m->propose;
    message_pack(p, m, BALLOT_FIELDS + 3);
    ballot_pack(p, c->ballot);
    pack_bool(p, c->whole_abort);
    participants_pack(p, &c->participants);
    votes_pack(p, c->participants.n, c->votes);
}

static void propose_unpack(struct unpack *u, struct msg *m)
{
    struct msg_propose *c = &m->propose;
    c->ballot = ballot_unpack(u);
    c->whole_abort = unpack_bool(u, "whole_abort");
    c->participants = participants_unpack(u, c->whole_abort ? 0 : 1);
    votes_unpack(u, c->participants.n, c->whole_abort, c->votes);
}

static void outcome_message_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    pack_uint(p, m->outcome.wait_ms);
}

static void outcome_message_unpack(struct unpack *u, struct msg *m)
{
    m->outcome.wait_ms = u32_unpack(u, "wait_ms");
}

static void result_pack(struct pack *p, const struct msg *m)
{
    const struct msg_result *c = &m->result;
    message_pack(p, m, 9);
    pack_uint(p, c->status);
    pack_uint(p, c->commit_ts);
    pack_uint(p, c->culprit);
    text_pack(p, c->detail, DETAIL_BYTES_MAX, false);
    pack_uint(p, c->total_us);
    pack_uint(p, c->quorum_us);
    participants_pack(p, &c->participants);
    pack_array(p, c->participants.n);
    for (uint32_t i = 0; i < c->participants.n; i++) {
        pack_array(p, 3);
        pack_uint(p, c->breakdown[i].network_us);
        pack_uint(p, c->breakdown[i].lock_wait_us);
        pack_uint(p, c->breakdown[i].sync_us);
    }
    pack_array(p, c->participants.n);
    for (uint32_t i = 0; i < c->participants.n; i++)
        pack_blob(p, c->results[i], RESULTS_BYTES_MAX);
}

static void result_unpack(struct unpack *u, struct msg *m)
{
    struct msg_result *c = &m->result;
    c->status = status_unpack(u, "status");
    c->commit_ts = u64_unpack(u, "commit_ts");
    c->culprit = node_unpack(u, "culprit");
    c->detail = text_unpack(u, DETAIL_BYTES_MAX, false, "detail");
    c->total_us = u32_unpack(u, "total_us");
    c->quorum_us = u32_unpack(u, "quorum_us");
    c->participants = participants_unpack(u, 0);
    uint32_t n = c->participants.n;
    struct unpack times = unpack_array(u, n, n, "breakdown");
    for (uint32_t i = 0; times.left > 0 && unpack_good(u); i++) {
        struct unpack one = unpack_array(&times, 3, 3, "breakdown");
        c->breakdown[i].network_us = u32_unpack(&one, "network_us");
        c->breakdown[i].lock_wait_us = u32_unpack(&one, "lock_wait_us");
        c->breakdown[i].sync_us = u32_unpack(&one, "sync_us");
    }
    struct unpack results = unpack_array(u, n, n, "results");
    for (uint32_t i = 0; results.left > 0 && unpack_good(u); i++)
        c->results[i] = unpack_blob_or_nil(&results, RESULTS_BYTES_MAX, "results");
}

static void forget_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    p->refused |= m->forget.n > FORGET_MAX;
    pack_array(p, m->forget.n);
    for (uint32_t i = 0; i < m->forget.n; i++) {
        pack_array(p, 1 + OUTCOME_FIELDS);
        txid_pack(p, &m->forget.entry[i].txid);
        outcome_pack(p, &m->forget.entry[i].outcome);
    }
}

static void forget_unpack(struct unpack *u, struct msg *m)
{
    struct unpack list = unpack_array(u, 0, FORGET_MAX, "entries");
    m->forget.entry = xcalloc(list.left, sizeof *m->forget.entry);
    while (list.left > 0 && unpack_good(u)) {
        struct unpack one = unpack_array(&list, 1 + OUTCOME_FIELDS, 1 + OUTCOME_FIELDS, "entry");
        struct forget_entry *entry = &m->forget.entry[m->forget.n++];
        entry->txid = txid_unpack(&one);
        entry->outcome = outcome_unpack(&one, false);
    }
}

static void settle_ask_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    txids_pack(p, m->settle_ask.n, m->settle_ask.txid);
}

static void settle_ask_unpack(struct unpack *u, struct msg *m)
{
    m->settle_ask.txid = txids_unpack(u, &m->settle_ask.n);
}

static void settled_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 2);
    pack_uint(p, m->settled.floor);
    txids_pack(p, m->settled.n, m->settled.txid);
}

static void settled_unpack(struct unpack *u, struct msg *m)
{
    m->settled.floor = u64_unpack(u, "floor");
    m->settled.txid = txids_unpack(u, &m->settled.n);
}

static void expired_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    pack_uint(p, m->expired.floor);
}

static void expired_unpack(struct unpack *u, struct msg *m)
{
    m->expired.floor = u64_unpack(u, "floor");
}

static void read_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 7);
    pack_uint(p, m->read.request);
    pack_uint(p, m->read.timeout_ms);
    pack_uint(p, m->read.ts);
    pack_uint(p, m->read.level);
    pack_uint(p, m->read.at);
    pack_uint(p, m->read.stale_ms);
    pack_blob(p, m->read.ops, OPS_BYTES_MAX);
}

static void read_unpack(struct unpack *u, struct msg *m)
{
    m->read.request = u64_unpack(u, "request");
    m->read.timeout_ms = u32_unpack(u, "timeout_ms");
    m->read.ts = u64_unpack(u, "ts");
    m->read.level = (enum read_level)unpack_uint(u, READ_EVENTUAL, "level");
    m->read.at = u64_unpack(u, "at");
    m->read.stale_ms = u32_unpack(u, "stale_ms");
    m->read.ops = unpack_blob(u, 1, OPS_BYTES_MAX, "ops");
}

static void read_result_pack(struct pack *p, const struct msg *m)
{
    const struct msg_read_result *c = &m->read_result;
    message_pack(p, m, 6);
    pack_uint(p, c->request);
    pack_uint(p, c->status);
    pack_uint(p, c->ts);
    pack_uint(p, c->stale_us);
    text_pack(p, c->detail, DETAIL_BYTES_MAX, false);
    pack_blob(p, c->results, RESULTS_BYTES_MAX);
}

static void read_result_unpack(struct unpack *u, struct msg *m)
{
    struct msg_read_result *c = &m->read_result;
    c->request = u64_unpack(u, "request");
    c->status = status_unpack(u, "status");
    c->ts = u64_unpack(u, "ts");
    c->stale_us = u32_unpack(u, "stale_us");
    c->detail = text_unpack(u, DETAIL_BYTES_MAX, false, "detail");
    c->results = unpack_blob_or_nil(u, RESULTS_BYTES_MAX, "results");
}

static void status_message_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 1);
    pack_uint(p, m->status.request);
}

static void status_message_unpack(struct unpack *u, struct msg *m)
{
    m->status.request = u64_unpack(u, "request");
}

static void status_result_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 2);
    pack_uint(p, m->status_result.request);
    text_pack(p, m->status_result.text, STATUS_TEXT_BYTES_MAX, true);
}

static void status_result_unpack(struct unpack *u, struct msg *m)
{
    m->status_result.request = u64_unpack(u, "request");
    m->status_result.text = text_unpack(u, STATUS_TEXT_BYTES_MAX, true, "text");
}

static void ping_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 2);
    pack_uint(p, m->ping.token);
    pack_uint(p, m->ping.wall_ms);
}

static void ping_unpack(struct unpack *u, struct msg *m)
{
    m->ping.token = u64_unpack(u, "token");
    m->ping.wall_ms = u64_unpack(u, "wall_ms");
}

static void cursor_pack(struct pack *p, struct watch_cursor cursor)
{
    pack_uint(p, cursor.incarnation);
    pack_uint(p, cursor.sequence);
}

static struct watch_cursor cursor_unpack(struct unpack *u)
{
    struct watch_cursor cursor;
    cursor.incarnation = u32_unpack(u, "incarnation");
    cursor.sequence = u64_unpack(u, "sequence");
    return cursor;
}

static void watch_pack(struct pack *p, const struct msg *m)
{
    message_pack(p, m, 7);
    pack_uint(p, m->watch.request);
    pack_uint(p, m->watch.timeout_ms);
    pack_uint(p, m->watch.ts);
    pack_uint(p, m->watch.since);
    cursor_pack(p, m->watch.cursor);
    pack_blob(p, m->watch.ops, OPS_BYTES_MAX);
}

static void watch_unpack(struct unpack *u, struct msg *m)
{
    m->watch.request = u64_unpack(u, "request");
    m->watch.timeout_ms = u32_unpack(u, "timeout_ms");
    m->watch.ts = u64_unpack(u, "ts");
    m->watch.since = u64_unpack(u, "since");
    m->watch.cursor = cursor_unpack(u);
    m->watch.ops = unpack_blob(u, 1, OPS_BYTES_MAX, "ops");
}

static void watch_result_pack(struct pack *p, const struct msg *m)
{
    const struct msg_watch_result *c = &m->watch_result;
    message_pack(p, m, 8);
    pack_uint(p, c->request);
    pack_uint(p, c->status);
    pack_uint(p, c->since);
    pack_uint(p, c->ts);
    cursor_pack(p, c->cursor);
    text_pack(p, c->detail, DETAIL_BYTES_MAX, false);
    pack_blob(p, c->results, RESULTS_BYTES_MAX);
}

static void watch_result_unpack(struct unpack *u, struct msg *m)
{
    struct msg_watch_result *c = &m->watch_result;
    c->request = u64_unpack(u, "request");
    c->status = status_unpack(u, "status");
    c->since = u64_unpack(u, "since");
    c->ts = u64_unpack(u, "ts");
    c->cursor = cursor_unpack(u);
    c->detail = text_unpack(u, DETAIL_BYTES_MAX, false, "detail");
    c->results = unpack_blob_or_nil(u, RESULTS_BYTES_MAX, "results");
}

/* X(TYPE, functions) */
#define BODIES(X)                                                                                  \
    X(COMMIT, commit)                                                                              \
    X(PREPARE, prepare)                                                                            \
    X(VOTE, vote_message)                                                                          \
    X(ACCEPTED, accepted)                                                                          \
    X(REJECTED, rejected)                                                                          \
    X(DECIDE, decide)                                                                              \
    X(DECIDED, decided)                                                                            \
    X(INQUIRE, inquire)                                                                            \
    X(PROMISE_ASK, promise_ask)                                                                    \
    X(PROMISE, promise)                                                                            \
    X(PROPOSE, propose)                                                                            \
    X(OUTCOME, outcome_message)                                                                    \
    X(RESULT, result)                                                                              \
    X(FORGET, forget)                                                                              \
    X(SETTLE_ASK, settle_ask)                                                                      \
    X(SETTLED, settled)                                                                            \
    X(EXPIRED, expired)                                                                            \
    X(READ, read)                                                                                  \
    X(READ_RESULT, read_result)                                                                    \
    X(STATUS, status_message)                                                                      \
    X(STATUS_RESULT, status_result)                                                                \
    X(PING, ping)                                                                                  \
    X(PONG, ping)                                                                                  \
    X(WATCH, watch)                                                                                \
    X(WATCH_RESULT, watch_result)

static void body_pack(struct pack *p, const struct msg *m)
{
    switch (m->type) {
#define PACK_CASE(type, functions)                                                                 \
    case MSG_##type:                                                                               \
        functions##_pack(p, m);                                                                    \
        break;
        BODIES(PACK_CASE)
#undef PACK_CASE
    }
}

static void body_unpack(struct unpack *u, struct msg *m)
{
    switch (m->type) {
#define UNPACK_CASE(type, functions)                                                               \
    case MSG_##type:                                                                               \
        functions##_unpack(u, m);                                                                  \
        break;
        BODIES(UNPACK_CASE)
#undef UNPACK_CASE
    }
}

bool codec_encode(const struct msg *m, struct writer *out)
{
    size_t start = out->len;
    struct pack p;
    writer_u32(out, 0);
    pack_start(&p, out, FRAME_BYTES_MAX);
    body_pack(&p, m);
    size_t length = out->len - start - FRAME_HEADER_BYTES;
    if (p.refused) {
        out->len = start;
        return false;
    }
    for (size_t i = 0; i < FRAME_HEADER_BYTES; i++)
        out->data[start + i] = (uint8_t)(length >> (24 - 8 * i));
    return true;
}

static struct msg *message_unpack(struct unpack *u, char *why, size_t why_size)
{
    const struct unpack_fault *fault = &u->tree->fault;
    uint64_t type = unpack_uint(u, UINT32_MAX, "type");
    if (unpack_good(u) && !msg_type_known(type))
        unpack_fail(u, ASSENT_MALFORMED, "type", "unknown");
    if (!unpack_good(u)) {
        snprintf(why, why_size, "message %s: %s", fault->field, fault->problem);
        return NULL;
    }
    struct msg *m = msg_new((enum msg_type)type, NULL);
    if (msg_has_head(m->type))
        m->head = head_unpack(u);
    body_unpack(u, m);
    unpack_close(u, "fields");
    if (unpack_good(u))
        return m;
    snprintf(why, why_size, "%s, %s: %s", msg_name(m->type), fault->field, fault->problem);
    msg_unref(m);
    return NULL;
}

struct msg *codec_decode(struct bytes body, char *why, size_t why_size)
{
    if (body.len > FRAME_BYTES_MAX) {
        snprintf(why, why_size, "frame: longer than %u bytes", FRAME_BYTES_MAX);
        return NULL;
    }
    struct unpack_tree tree;
    struct unpack fields = unpack_open(&tree, body, FIELDS_MAX);
    return message_unpack(&fields, why, why_size);
}

uint32_t frame_length(const uint8_t header[FRAME_HEADER_BYTES])
{
    uint32_t length = 0;
    for (size_t i = 0; i < FRAME_HEADER_BYTES; i++)
        length = length << 8 | header[i];
    return length > FRAME_BYTES_MAX ? 0 : length;
}
