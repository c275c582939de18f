#include "tests/lib/msg_difference.h"

#include <string.h>

/* Leaves the function with the field's name when `same` does not hold. */
#define EXPECT(same, field)                                                                        \
    do {                                                                                           \
        if (!(same))                                                                               \
            return #field;                                                                         \
    } while (0)
#define SAME(field)            EXPECT(a->field == b->field, field)
#define SAME_BLOB(field)       EXPECT(blob_same(a->field, b->field), field)
#define SAME_WITH(same, field) EXPECT(same(&a->field, &b->field), field)

static bool blob_same(const struct blob *a, const struct blob *b)
{
    return (a == NULL) == (b == NULL) && bytes_equal(blob_bytes(a), blob_bytes(b));
}

static bool vote_same(const struct vote *a, const struct vote *b)
{
    return a->kind == b->kind && a->prepare_ts == b->prepare_ts && a->reason == b->reason;
}

static bool outcome_same(const struct outcome *a, const struct outcome *b)
{
    return a->kind == b->kind && a->commit_ts == b->commit_ts && a->reason == b->reason;
}

static bool ballot_same(const struct ballot *a, const struct ballot *b)
{
    return ballot_equal(*a, *b);
}

static bool txids_same(const struct txid *a, const struct txid *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

static const char *head_difference(const struct tx_head *a, const struct tx_head *b)
{
    SAME_WITH(txid_equal, txid);
    SAME(home.node);
    SAME(home.incarnation);
    SAME(epoch);
    SAME(set_hash);
    return NULL;
}

static const char *commit_difference(const struct msg_commit *a, const struct msg_commit *b)
{
    SAME(priority_ms);
    SAME(timeout_ms);
    SAME(ts);
    SAME(placement_hash);
    SAME_WITH(participants_equal, participants);
    for (int i = 0; i < a->participants.n; i++)
        SAME_BLOB(ops[i]);
    return NULL;
}

static const char *prepare_difference(const struct msg_prepare *a, const struct msg_prepare *b)
{
    SAME_WITH(participants_equal, participants);
    SAME(priority_ms);
    EXPECT(strcmp(a->client.text, b->client.text) == 0, client);
    SAME(ts);
    SAME(time_left_ms);
    SAME(placement_hash);
    SAME(pin);
    SAME(one_phase);
    SAME_BLOB(ops);
    return NULL;
}

static const char *vote_message_difference(const struct msg_vote *a, const struct msg_vote *b)
{
    SAME_WITH(participants_equal, participants);
    SAME_WITH(vote_same, vote);
    SAME(one_phase);
    SAME_BLOB(detail);
    SAME_BLOB(results);
    SAME(lock_wait_us);
    SAME(sync_us);
    return NULL;
}

static const char *accepted_difference(const struct msg_accepted *a, const struct msg_accepted *b)
{
    SAME_WITH(ballot_same, ballot);
    SAME(whole_abort);
    SAME_WITH(participants_equal, participants);
    for (int i = 0; i < a->participants.n; i++)
        SAME_WITH(vote_same, votes[i]);
    return NULL;
}

static const char *promise_difference(const struct msg_promise *a, const struct msg_promise *b)
{
    SAME_WITH(ballot_same, ballot);
    SAME_WITH(outcome_same, outcome);
    SAME(forgotten);
    SAME(whole_abort);
    SAME_WITH(ballot_same, whole_ballot);
    SAME_WITH(participants_equal, participants);
    for (int i = 0; i < a->participants.n; i++) {
        SAME_WITH(ballot_same, accepted[i].ballot);
        SAME_WITH(vote_same, accepted[i].vote);
    }
    return NULL;
}

static const char *propose_difference(const struct msg_propose *a, const struct msg_propose *b)
{
    SAME_WITH(ballot_same, ballot);
    SAME(whole_abort);
    SAME_WITH(participants_equal, participants);
    for (int i = 0; i < a->participants.n; i++)
        SAME_WITH(vote_same, votes[i]);
    return NULL;
}

static const char *result_difference(const struct msg_result *a, const struct msg_result *b)
{
    SAME(status);
    SAME(commit_ts);
    SAME(culprit);
    SAME_BLOB(detail);
    SAME(total_us);
    SAME(quorum_us);
    SAME_WITH(participants_equal, participants);
    for (int i = 0; i < a->participants.n; i++) {
        SAME(breakdown[i].network_us);
        SAME(breakdown[i].lock_wait_us);
        SAME(breakdown[i].sync_us);
        SAME_BLOB(results[i]);
    }
    return NULL;
}

static const char *forget_difference(const struct msg_forget *a, const struct msg_forget *b)
{
    SAME(n);
    for (int i = 0; i < a->n; i++) {
        SAME_WITH(txid_equal, entry[i].txid);
        SAME_WITH(outcome_same, entry[i].outcome);
    }
    return NULL;
}

/* Messages that are about no transaction. */
static const char *headless_difference(const struct msg *a, const struct msg *b)
{
    switch (a->type) {
    case MSG_FORGET:
        return forget_difference(&a->forget, &b->forget);
    case MSG_SETTLE_ASK:
        SAME(settle_ask.n);
        EXPECT(txids_same(a->settle_ask.txid, b->settle_ask.txid, a->settle_ask.n),
               settle_ask.txid);
        break;
    case MSG_SETTLED:
        SAME(settled.floor);
        SAME(settled.n);
        EXPECT(txids_same(a->settled.txid, b->settled.txid, a->settled.n), settled.txid);
        break;
    case MSG_READ:
        SAME(read.request);
        SAME(read.timeout_ms);
        SAME(read.ts);
        SAME(read.level);
        SAME(read.at);
        SAME(read.stale_ms);
        SAME_BLOB(read.ops);
        break;
    case MSG_READ_RESULT:
        SAME(read_result.request);
        SAME(read_result.status);
        SAME(read_result.ts);
        SAME(read_result.stale_us);
        SAME_BLOB(read_result.detail);
        SAME_BLOB(read_result.results);
        break;
    case MSG_WATCH:
        SAME(watch.request);
        SAME(watch.timeout_ms);
        SAME(watch.ts);
        SAME(watch.since);
        SAME(watch.cursor.incarnation);
        SAME(watch.cursor.sequence);
        SAME_BLOB(watch.ops);
        break;
    case MSG_WATCH_RESULT:
        SAME(watch_result.request);
        SAME(watch_result.status);
        SAME(watch_result.since);
        SAME(watch_result.ts);
        SAME(watch_result.cursor.incarnation);
        SAME(watch_result.cursor.sequence);
        SAME_BLOB(watch_result.detail);
        SAME_BLOB(watch_result.results);
        break;
    case MSG_STATUS:
        SAME(status.request);
        break;
    case MSG_STATUS_RESULT:
        SAME(status_result.request);
        SAME_BLOB(status_result.text);
        break;
    case MSG_PING:
    case MSG_PONG:
        SAME(ping.token);
        SAME(ping.wall_ms);
        break;
    default:
        return "type";
    }
    return NULL;
}

const char *msg_difference(const struct msg *a, const struct msg *b)
{
    SAME(type);
    const char *head = head_difference(&a->head, &b->head);
    if (head != NULL)
        return head;
    switch (a->type) {
    case MSG_COMMIT:
        return commit_difference(&a->commit, &b->commit);
    case MSG_PREPARE:
        return prepare_difference(&a->prepare, &b->prepare);
    case MSG_VOTE:
        return vote_message_difference(&a->vote, &b->vote);
    case MSG_ACCEPTED:
        return accepted_difference(&a->accepted, &b->accepted);
    case MSG_REJECTED:
        SAME_WITH(ballot_same, rejected.ballot);
        SAME_WITH(ballot_same, rejected.promised);
        break;
    case MSG_DECIDE:
        SAME_WITH(outcome_same, decide.outcome);
        SAME_WITH(participants_equal, decide.participants);
        break;
    case MSG_DECIDED:
        SAME(decided.outcome);
        break;
    case MSG_INQUIRE:
        SAME_WITH(participants_equal, inquire.participants);
        break;
    case MSG_PROMISE_ASK:
        SAME_WITH(ballot_same, promise_ask.ballot);
        break;
    case MSG_PROMISE:
        return promise_difference(&a->promise, &b->promise);
    case MSG_PROPOSE:
        return propose_difference(&a->propose, &b->propose);
    case MSG_OUTCOME:
        SAME(outcome.wait_ms);
        break;
    case MSG_RESULT:
        return result_difference(&a->result, &b->result);
    case MSG_EXPIRED:
        SAME(expired.floor);
        break;
    default:
        return headless_difference(a, b);
    }
    return NULL;
}
