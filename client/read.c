/* A round tries every replica once, in the order of read_next(). A replica that was asked and is
 * slow may still answer after the next one was asked. */
#include "client/read.h"

#include <string.h>

#include "common/mutant.h"
#include "common/sm.h"

#define DIAL_PATIENCE_US   500000u
#define ANSWER_PATIENCE_US 250000u
#define WATCH_END_US       20000u /* with so little time left a watch does not ask again */

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
    r->watch = config->watch;
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
                 (r->watch.on && r->refusal == ASSENT_OVERLOADED) ||
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

static struct msg *read_question(const struct read *r, const struct session_event *e,
                                 uint32_t timeout_ms)
{
    struct msg *m = msg_new(MSG_READ, NULL);
    m->read.request = r->config.request;
    m->read.timeout_ms = timeout_ms;
    m->read.ts = e->ts;
    m->read.level = r->config.level;
    m->read.at = r->config.at;
    m->read.stale_ms = r->config.stale_ms;
    m->read.ops = blob_ref(r->config.ops);
    return m;
}

static struct msg *watch_question(const struct read *r, const struct session_event *e, node_id node,
                                  uint32_t timeout_ms)
{
    struct msg *m = msg_new(MSG_WATCH, NULL);
    m->watch.request = r->config.request;
    m->watch.timeout_ms = timeout_ms;
    m->watch.ts = e->ts;
    m->watch.since = r->watch.since;
    if (node == r->watch.node || MUTANT(WATCH_CURSOR_ANYWHERE))
        m->watch.cursor = r->watch.cursor;
    m->watch.ops = blob_ref(r->config.ops);
    return m;
}

static void read_ask(struct read *r, const struct session_event *e, int i, struct read_effects *out)
{
    node_id node = r->config.replica[i];
    r->current = i;
    r->tried |= UINT32_C(1) << i;
    uint32_t rtt_us = e->roster->node[node].rtt_us;
    uint32_t time_ms = session_time_for_node(e->now_us, r->config.deadline_us, rtt_us);
    uint32_t untried = (uint32_t)(r->config.replicas - __builtin_popcount(r->tried));
    out->to = node;
    r->wake_us = UINT64_MAX;
    if (r->watch.on) { /* it is silent until something changes, or its time */
        time_ms = time_ms < WATCH_POLL_MS ? time_ms : WATCH_POLL_MS;
        r->heard = false;
        r->wake_us = e->now_us + time_ms * UINT64_C(1000) + rtt_us + ANSWER_PATIENCE_US;
        out->msg = watch_question(r, e, node, time_ms);
    } else {
        uint64_t share = (r->config.deadline_us - e->now_us) / (untried + 1);
        if (untried > 0)
            r->wake_us = e->now_us + (share > ANSWER_PATIENCE_US ? share : ANSWER_PATIENCE_US);
        out->msg = read_question(r, e, time_ms);
    }
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

/* Nothing changed: waits on, at the same replica, unless the time is as good as over. */
static void watch_again(struct read *r, const struct session_event *e, int i,
                        struct read_effects *out)
{
    r->heard = true;
    r->refusal = ASSENT_OK;
    r->detail[0] = '\0';
    r->tried = r->refused = 0;
    if (e->now_us + WATCH_END_US >= r->config.deadline_us)
        read_give_up(r);
    else
        read_ask(r, e, i, out);
}

/* Also of an earlier question, or of a replica that was given up: what it tells counts. But where
 * to begin is asked once. */
static void watch_result(struct read *r, const struct session_event *e, int i,
                         struct read_effects *out)
{
    const struct msg_watch_result *m = &e->result->watch_result;
    bool begins = m->since == 0;
    if (begins ? r->watch.since != 0 : m->results == NULL && r->current != i)
        return;
    hlc_ts since = m->ts > r->watch.since ? m->ts : r->watch.since;
    r->watch = (struct read_watch){true, since, e->node, m->cursor};
    r->ts = since;
    if (m->results == NULL) {
        watch_again(r, e, i, out);
        return;
    }
    r->stale_us = STALE_UNKNOWN;
    r->results = blob_ref(m->results);
    read_finish(r, ASSENT_OK);
}

static void read_refused(struct read *r, const struct session_event *e, int i, assent_status status,
                         struct read_effects *out)
{
    r->refusal = status;
    if (refusal_is_definite(status)) {
        read_finish(r, status);
        return;
    }
    if (!assent_retryable(status))
        r->refused |= UINT32_C(1) << i & r->tried;
    if (i == r->current)
        read_advance(r, e, out);
}

static void read_result(struct read *r, const struct session_event *e, struct read_effects *out)
{
    const struct msg *m = e->result;
    int i = replica_index(r, e->node);
    bool watch = m->type == MSG_WATCH_RESULT;
    assent_status status = watch ? m->watch_result.status : m->read_result.status;
    if (i < 0 || watch != r->watch.on)
        return;
    r->answered = e->node;
    detail_text(watch ? m->watch_result.detail : m->read_result.detail, r->detail);
    if (status != ASSENT_OK) {
        if (watch && m->watch_result.ts > r->ts)
            r->ts = m->watch_result.ts;
        read_refused(r, e, i, status, out);
    } else if (watch) {
        watch_result(r, e, i, out);
    } else {
        r->ts = m->read_result.ts;
        r->stale_us = m->read_result.stale_us;
        r->results = m->read_result.results == NULL ? NULL : blob_ref(m->read_result.results);
        read_finish(r, ASSENT_OK);
    }
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

static void read_begin(struct read *r, const struct session_event *e, struct read_effects *out)
{
    int i = r->watch.on ? replica_index(r, r->watch.node) : -1;
    if (e->now_us >= r->config.deadline_us)
        read_give_up(r);
    else if (i >= 0 && roster_is_up(e->roster, r->watch.node, ROLE_PARTICIPANT))
        read_ask(r, e, i, out);
    else
        read_advance(r, e, out);
}

void read_step(struct read *r, const struct session_event *e, struct read_effects *out)
{
    *out = (struct read_effects){0};
    if (r->state == READ_DONE)
        return;
    switch (e->kind) {
    case SESSION_EVENT_BEGIN:
        read_begin(r, e, out);
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
