#include "wire/parts.h"

#include <string.h>

void txid_pack(struct pack *p, const struct txid *id)
{
    pack_bin(p, bytes_of(id->b, TXID_BYTES));
}

struct txid txid_unpack(struct unpack *u)
{
    struct txid id = {0};
    struct bytes b = unpack_bin(u, TXID_BYTES, TXID_BYTES, "txid");
    if (!unpack_good(u))
        return id;
    memcpy(id.b, b.data, TXID_BYTES);
    if (!txid_valid(&id))
        unpack_fail(u, ASSENT_MALFORMED, "txid", "not a UUID of version 7");
    return id;
}

void head_pack(struct pack *p, const struct tx_head *head)
{
    txid_pack(p, &head->txid);
    pack_uint(p, head->home.node);
    pack_uint(p, head->home.incarnation);
    pack_uint(p, head->epoch);
    pack_uint(p, head->set_hash);
}

struct tx_head head_unpack(struct unpack *u)
{
    struct tx_head head = {0};
    head.txid = txid_unpack(u);
    head.home.node = node_unpack(u, "home.node");
    head.home.incarnation = (uint32_t)unpack_uint(u, UINT32_MAX, "home.incarnation");
    head.epoch = (uint32_t)unpack_uint(u, UINT32_MAX, "epoch");
    head.set_hash = unpack_uint(u, UINT64_MAX, "set_hash");
    return head;
}

void ballot_pack(struct pack *p, struct ballot ballot)
{
    pack_uint(p, ballot.round);
    pack_uint(p, ballot.node);
    pack_uint(p, ballot.incarnation);
}

struct ballot ballot_unpack(struct unpack *u)
{
    struct ballot ballot = {0};
    ballot.round = (uint32_t)unpack_uint(u, UINT32_MAX, "ballot.round");
    ballot.node = node_unpack(u, "ballot.node");
    ballot.incarnation = (uint32_t)unpack_uint(u, UINT32_MAX, "ballot.incarnation");
    return ballot;
}

node_id node_unpack(struct unpack *u, const char *field)
{
    return (node_id)unpack_uint(u, NODES_MAX, field);
}

static bool status_known(uint64_t number)
{
    switch (number) {
#define KNOWN_CASE(name, value, retry, maybe, text) case (value):
        ASSENT_STATUS_MAP(KNOWN_CASE)
#undef KNOWN_CASE
        return true;
    default:
        return false;
    }
}

assent_status status_unpack(struct unpack *u, const char *field)
{
    uint64_t number = unpack_uint(u, UINT32_MAX, field);
    if (status_known(number))
        return (assent_status)number;
    unpack_fail(u, ASSENT_MALFORMED, field, "not a known status");
    return ASSENT_OK;
}

void participants_pack(struct pack *p, const struct participants *participants)
{
    pack_array(p, participants->n);
    for (uint32_t i = 0; i < participants->n; i++)
        pack_uint(p, participants->id[i]);
}

struct participants participants_unpack(struct unpack *u, uint32_t min)
{
    struct participants participants = {0};
    struct unpack list = unpack_array(u, min, PARTICIPANTS_MAX, "participants");
    while (list.left > 0 && unpack_good(u))
        participants.id[participants.n++] = node_unpack(&list, "participants");
    if (participants.n > 0 && !participants_valid(&participants))
        unpack_fail(u, ASSENT_MALFORMED, "participants", "not ascending node ids");
    return participants;
}

static assent_status reason_unpack(struct unpack *u, bool aborted, bool may_be_expired)
{
    assent_status reason = status_unpack(u, "reason");
    bool unknown = assent_maybe_committed(reason) && !(may_be_expired && reason == ASSENT_EXPIRED);
    if (aborted && (reason == ASSENT_OK || unknown))
        unpack_fail(u, ASSENT_MALFORMED, "reason", "not a reason for an abort");
    return reason;
}

void outcome_pack(struct pack *p, const struct outcome *outcome)
{
    pack_uint(p, outcome->kind);
    pack_uint(p, outcome->commit_ts);
    pack_uint(p, outcome->reason);
}

enum outcome_kind outcome_kind_unpack(struct unpack *u, bool may_be_none)
{
    enum outcome_kind kind = (enum outcome_kind)unpack_uint(u, OUTCOME_ABORTED, "outcome");
    if (kind == OUTCOME_NONE && !may_be_none)
        unpack_fail(u, ASSENT_MALFORMED, "outcome", "neither committed nor aborted");
    return kind;
}

static struct outcome any_outcome_unpack(struct unpack *u, bool may_be_none, bool may_be_expired)
{
    struct outcome outcome = {0};
    outcome.kind = outcome_kind_unpack(u, may_be_none);
    outcome.commit_ts = unpack_uint(u, UINT64_MAX, "commit_ts");
    outcome.reason = reason_unpack(u, outcome.kind == OUTCOME_ABORTED, may_be_expired);
    return outcome;
}

struct outcome outcome_unpack(struct unpack *u, bool may_be_none)
{
    return any_outcome_unpack(u, may_be_none, false);
}

struct outcome decision_unpack(struct unpack *u)
{
    return any_outcome_unpack(u, false, true);
}

void vote_pack(struct pack *p, const struct vote *vote)
{
    pack_array(p, 3);
    pack_uint(p, vote->kind);
    pack_uint(p, vote->prepare_ts);
    pack_uint(p, vote->reason);
}

struct vote vote_unpack(struct unpack *u, bool may_be_none)
{
    struct vote vote = {0};
    struct unpack fields = unpack_array(u, 3, 3, "vote");
    vote.kind = (enum vote_kind)unpack_uint(&fields, VOTE_ABORTED, "vote");
    if (vote.kind == VOTE_NONE && !may_be_none)
        unpack_fail(u, ASSENT_MALFORMED, "vote", "neither prepared nor aborted");
    vote.prepare_ts = unpack_uint(&fields, UINT64_MAX, "prepare_ts");
    vote.reason = reason_unpack(&fields, vote.kind == VOTE_ABORTED, false);
    return vote;
}

void votes_pack(struct pack *p, uint16_t n, const struct vote *votes)
{
    pack_array(p, n);
    for (uint32_t i = 0; i < n; i++)
        vote_pack(p, &votes[i]);
}

void votes_unpack(struct unpack *u, uint16_t n, bool may_be_none, struct vote *votes)
{
    struct unpack list = unpack_array(u, n, n, "votes");
    for (uint32_t i = 0; list.left > 0 && unpack_good(u); i++)
        votes[i] = vote_unpack(&list, may_be_none);
}

void txids_pack(struct pack *p, uint16_t n, const struct txid *txid)
{
    p->refused |= n > FORGET_MAX;
    pack_array(p, n);
    for (uint32_t i = 0; i < n; i++)
        txid_pack(p, &txid[i]);
}

struct txid *txids_unpack(struct unpack *u, uint16_t *n)
{
    struct unpack list = unpack_array(u, 0, FORGET_MAX, "txids");
    struct txid *txid = xcalloc(list.left, sizeof *txid);
    while (list.left > 0 && unpack_good(u))
        txid[(*n)++] = txid_unpack(&list);
    return txid;
}

void text_pack(struct pack *p, const struct blob *text, size_t max, bool lines)
{
    if (text == NULL)
        pack_nil(p);
    else
        pack_text(p, blob_bytes(text), max, lines);
}

struct blob *text_unpack(struct unpack *u, size_t max, bool lines, const char *field)
{
    if (unpack_nil(u))
        return NULL;
    struct bytes text = unpack_text(u, max, lines, field);
    return unpack_good(u) ? blob_new(text) : NULL;
}

void client_pack(struct pack *p, const struct client_name *client)
{
    struct bytes name = bytes_of(client->text, strnlen(client->text, NAME_BYTES_MAX));
    pack_text(p, name, NAME_BYTES_MAX, false);
}

void client_unpack(struct unpack *u, struct client_name *client)
{
    struct bytes name = unpack_text(u, NAME_BYTES_MAX, false, "client");
    if (name.len > 0)
        memcpy(client->text, name.data, name.len);
}
