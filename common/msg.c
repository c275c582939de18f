#include "common/msg.h"

#include <stdlib.h>

static size_t msg_size(enum msg_type type)
{
    switch (type) {
#define PART(name, field)                                                                          \
    case MSG_##name:                                                                               \
        return offsetof(struct msg, field) + sizeof(((struct msg *)NULL)->field)
        PART(COMMIT, commit);
        PART(PREPARE, prepare);
        PART(VOTE, vote);
        PART(ACCEPTED, accepted);
        PART(REJECTED, rejected);
        PART(DECIDE, decide);
        PART(DECIDED, decided);
        PART(INQUIRE, inquire);
        PART(PROMISE_ASK, promise_ask);
        PART(PROMISE, promise);
        PART(PROPOSE, propose);
        PART(OUTCOME, outcome);
        PART(RESULT, result);
        PART(FORGET, forget);
        PART(SETTLE_ASK, settle_ask);
        PART(SETTLED, settled);
        PART(EXPIRED, expired);
        PART(READ, read);
        PART(READ_RESULT, read_result);
        PART(STATUS, status);
        PART(STATUS_RESULT, status_result);
        PART(PING, ping);
        PART(PONG, ping);
        PART(WATCH, watch);
        PART(WATCH_RESULT, watch_result);
#undef PART
    }
    return sizeof(struct msg);
}

struct msg *msg_new(enum msg_type type, const struct tx_head *head)
{
    struct msg *m = xcalloc(1, msg_size(type));
    m->refs = 1;
    m->type = type;
    if (head != NULL)
        m->head = *head;
    return m;
}

struct msg *msg_ref(struct msg *m)
{
    m->refs++;
    return m;
}

static void unref_all(struct blob **blob, size_t n)
{
    for (size_t i = 0; i < n; i++)
        blob_unref(blob[i]);
}

static void msg_free(struct msg *m)
{
    switch (m->type) {
    case MSG_COMMIT:
        unref_all(m->commit.ops, PARTICIPANTS_MAX);
        break;
    case MSG_PREPARE:
        blob_unref(m->prepare.ops);
        break;
    case MSG_VOTE:
        blob_unref(m->vote.detail);
        blob_unref(m->vote.results);
        break;
    case MSG_RESULT:
        blob_unref(m->result.detail);
        unref_all(m->result.results, PARTICIPANTS_MAX);
        break;
    case MSG_FORGET:
        free(m->forget.entry);
        break;
    case MSG_SETTLE_ASK:
        free(m->settle_ask.txid);
        break;
    case MSG_SETTLED:
        free(m->settled.txid);
        break;
    case MSG_READ:
        blob_unref(m->read.ops);
        break;
    case MSG_READ_RESULT:
        blob_unref(m->read_result.detail);
        blob_unref(m->read_result.results);
        break;
    case MSG_WATCH:
        blob_unref(m->watch.ops);
        break;
    case MSG_WATCH_RESULT:
        blob_unref(m->watch_result.detail);
        blob_unref(m->watch_result.results);
        break;
    case MSG_STATUS_RESULT:
        blob_unref(m->status_result.text);
        break;
    default:
        break;
    }
    free(m);
}

void msg_unref(struct msg *m)
{
    if (m != NULL && --m->refs == 0)
        msg_free(m);
}

const char *msg_name(enum msg_type type)
{
    switch (type) {
#define NAME_CASE(name, number, from, to)                                                          \
    case MSG_##name:                                                                               \
        return #name;
        MSG_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

bool msg_type_known(uint64_t number)
{
    switch (number) {
#define KNOWN_CASE(name, number, from, to) case (number):
        MSG_MAP(KNOWN_CASE)
#undef KNOWN_CASE
        return true;
    default:
        return false;
    }
}

bool msg_allowed(enum msg_type type, enum role from, enum role to)
{
    switch (type) {
#define ALLOWED_CASE(name, number, from_roles, to_roles)                                           \
    case MSG_##name:                                                                               \
        return ((from) & (from_roles)) != 0 && ((to) & (to_roles)) != 0;
        MSG_MAP(ALLOWED_CASE)
#undef ALLOWED_CASE
    }
    return false;
}

bool msg_has_head(enum msg_type type)
{
    switch (type) {
    case MSG_FORGET:
    case MSG_SETTLE_ASK:
    case MSG_SETTLED:
    case MSG_READ:
    case MSG_READ_RESULT:
    case MSG_STATUS:
    case MSG_STATUS_RESULT:
    case MSG_PING:
    case MSG_PONG:
    case MSG_WATCH:
    case MSG_WATCH_RESULT:
        return false;
    default:
        return true;
    }
}
