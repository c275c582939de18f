/* A round tries every replica once, in the order of read_next(). A replica that was asked and is
 * slow may still answer after the next one was asked. */
#include "client/read.h"

#include <string.h>

#include "common/sm.h"

#define DIAL_PATIENCE_US   500000u
#define ANSWER_PATIENCE_US 250000u

static const struct sm_state read_states[] = {
    [READ_WAITING] = {"waiting", SM_TO(READ_WAITING) | SM_TO(READ_ASKED) | SM_TO(READ_DONE)},
    [READ_ASKED] = {"asked", SM_TO(READ_WAITING) | SM_TO(READ_ASKED) | SM_TO(READ_DONE)},
    [READ_DONE] = {"done", 0},
};
static const struct sm_table read_table = {"read", 3, read_states};

static void read_move(struct read *r, enum read_state to)
{
    int state = (int)r->state;
    sm_move(&read_table, &state, (int)to);
    r->state = to;
}

void read_init(struct read *r, const struct read_config *config)
{
    memset(r, 0, sizeof *r);
    r->config = *config;
    r->current = -1;
    r->wake_us = UINT64_MAX;
    prng_seed(&r->prng, config->seed);
}

void read_free(struct read *r)
{
    blob_unref(r->results);
    r->results = NULL;
}

uint64_t read_deadline(const struct read *r)
{
    if (r->state == READ_DONE)
        return UINT64_MAX;
    return r->wake_us < r->config.deadline_us ? r->wake_us : r->config.deadline_us;
}

static void read_finish(struct read *r, assent_status status)
{
    read_move(r, READ_DONE);
    r->status = status;
    r->wake_us = UINT64_MAX;
}

/* At the end of the time or of the tries: the reason that stays, else that no answer came. */
static void read_give_up(struct read *r)
{
    bool stays = r->refusal == ASSENT_TOO_STALE ||
                 (r->refusal != ASSENT_OK && !assent_retryable(r->refusal));
    read_finish(r, stays ? r->refusal : ASSENT_READ_TIMED_OUT);
}

static int replica_index(const struct read *r, node_id node)
{
    for (int i = 0; i < r->config.replicas; i++) {
        if (r->config.replica[i] == node)
            return i;
    }
    return -1;
}

/* The replica to try next, or -1: not failing before failing, then the nearer one. */
static int read_next(const struct read *r, const struct roster *roster)
{
    int best = -1;
    for (int i = 0; i < r->config.replicas; i++) {
        if ((r->tried >> i & 1) != 0)
            continue;
        if (best < 0) {
            best = i;
            continue;
        }
        node_id a = r->config.replica[i], b = r->config.replica[best];
        bool a_fails = roster->node[a].failing, b_fails = roster->node[b].failing;
        if (a_fails != b_fails ? b_fails : roster_nearer(roster, a, b))
            best = i;
    }
    return best;
}

static void read_ask(struct read *r, const struct session_event *e, int i, struct read_effects *out)
{
    node_id node = r->config.replica[i];
    r->current = i;
    r->tried |= UINT32_C(1) << i;
    uint32_t untried = (uint32_t)(r->config.replicas - __builtin_popcount(r->tried));
    r->wake_us = UINT64_MAX;
    if (untried > 0) {
        uint64_t share = (r->config.deadline_us - e->now_us) / (untried + 1);
        r->wake_us = e->now_us + (share > ANSWER_PATIENCE_US ? share : ANSWER_PATIENCE_US);
    }
    out->to = node;
    out->msg = msg_new(MSG_READ, NULL);
    out->msg->read.request = r->config.request;
    out->msg->read.timeout_ms =
        session_time_for_node(e->now_us, r->config.deadline_us, e->roster->node[node].rtt_us);
    out->msg->read.ts = e->ts;
    out->msg->read.level = r->config.level;
    out->msg->read.at = r->config.at;
    out->msg->read.stale_ms = r->config.stale_ms;
    out->msg->read.ops = blob_ref(r->config.ops);
    read_move(r, READ_ASKED);
}

/* Tries the next replica; when all were tried, starts another round after a back-off. */
static void read_advance(struct read *r, const struct session_event *e, struct read_effects *out)
{
    int i = read_next(r, e->roster);
    if (i < 0) {
        if (r->refused == r->tried) {
            read_give_up(r);
            return;
        }
        r->tried = r->refused = 0;
        r->current = -1;
        r->wake_us = e->now_us + backoff_us(&r->prng, r->round++);
        read_move(r, READ_WAITING);
        return;
    }
    if (roster_is_up(e->roster, r->config.replica[i], ROLE_PARTICIPANT)) {
        read_ask(r, e, i, out);
        return;
    }
    r->current = i;
    r->tried |= UINT32_C(1) << i;
    r->wake_us = e->now_us + DIAL_PATIENCE_US;
    out->dial = r->config.replica[i];
    read_move(r, READ_WAITING);
}

/* Whether every replica would say the same. */
static bool refusal_is_definite(assent_status status)
{
    switch (status) {
    case ASSENT_DENIED:
    case ASSENT_WRONG_PLACEMENT:
    case ASSENT_TOO_LARGE:
    case ASSENT_MALFORMED:
    case ASSENT_CLOCK_AHEAD:
        return true;
    default:
        return false;
    }
}

static void read_result(struct read *r, const struct session_event *e, struct read_effects *out)
{
    const struct msg_read_result *m = &e->result->read_result;
    int i = replica_index(r, e->node);
    if (i < 0)
        return;
    r->answered = e->node;
    detail_text(m->detail, r->detail);
    if (m->status == ASSENT_OK) {
        r->ts = m->ts;
        r->stale_us = m->stale_us;
        r->results = m->results == NULL ? NULL : blob_ref(m->results);
        read_finish(r, ASSENT_OK);
        return;
    }
    r->refusal = m->status;
    if (refusal_is_definite(m->status)) {
        read_finish(r, m->status);
        return;
    }
    if (!assent_retryable(m->status))
        r->refused |= UINT32_C(1) << i & r->tried;
    if (i == r->current)
        read_advance(r, e, out);
}

static void read_up(struct read *r, const struct session_event *e, struct read_effects *out)
{
    int i = replica_index(r, e->node);
    if (i >= 0 && r->state == READ_WAITING && roster_is_up(e->roster, e->node, ROLE_PARTICIPANT) &&
        (r->refused >> i & 1) == 0)
        read_ask(r, e, i, out);
}

static void read_unsent(struct read *r, const struct session_event *e, struct read_effects *out)
{
    if (e->status == ASSENT_TOO_LARGE) {
        read_finish(r, e->status);
        return;
    }
    r->refusal = e->status;
    if (r->current >= 0 && r->config.replica[r->current] == e->node)
        read_advance(r, e, out);
}

static void read_tick(struct read *r, const struct session_event *e, struct read_effects *out)
{
    if (e->now_us >= r->config.deadline_us)
        read_give_up(r);
    else if (e->now_us >= r->wake_us)
        read_advance(r, e, out);
}

void read_step(struct read *r, const struct session_event *e, struct read_effects *out)
{
    *out = (struct read_effects){0};
    if (r->state == READ_DONE)
        return;
    switch (e->kind) {
    case SESSION_EVENT_BEGIN:
        if (e->now_us >= r->config.deadline_us)
            read_give_up(r);
        else
            read_advance(r, e, out);
        break;
    case SESSION_EVENT_UP:
        read_up(r, e, out);
        break;
    case SESSION_EVENT_DOWN:
        if (r->current >= 0 && r->config.replica[r->current] == e->node)
            read_advance(r, e, out);
        break;
    case SESSION_EVENT_RESULT:
        read_result(r, e, out);
        break;
    case SESSION_EVENT_UNSENT:
        read_unsent(r, e, out);
        break;
    case SESSION_EVENT_TICK:
        read_tick(r, e, out);
        break;
    case SESSION_EVENT_CLOSE:
        read_finish(r, ASSENT_CLOSED);
        break;
    }
}
