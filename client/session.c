/* START: session_commit() sends COMMIT to the nearest connected coordinator, which becomes the
 * home, or waits for one. SENT: session_result() or the loss of the home. ASKING: session_ask()
 * puts the question to one connected coordinator after the other, nearest first, a back-off between
 * them.
 *
 * The leader gets less time than the session has, so that its own "aborted, timed out" arrives; a
 * home that is silent beyond that is not waited for: another coordinator is asked. Statuses of a
 * RESULT that are no outcome are never believed as one. */
#include "client/session.h"

#include <string.h>

#include "common/mutant.h"
#include "common/sm.h"

/* How long an asked coordinator may take to say PENDING, and how long beyond that it may be silent.
 */
#define ASK_WAIT_MS_MAX 1000u
#define ASK_PATIENCE_US 250000u
#define BACKOFF_MS_MIN  20u
#define BACKOFF_MS_MAX  500u
#define UNSENT_RETRY_US 20000u
/* How long a commit waits for the own datacenter's coordinator while a farther one is connected
 * already: a wide-area round trip more would cost about as much. */
#define NEAR_WAIT_US  200000u
#define MARGIN_US_MAX 1000000u

static const struct sm_state session_states[] = {
    [SESSION_START] = {"start", SM_TO(SESSION_SENT) | SM_TO(SESSION_ASKING) | SM_TO(SESSION_DONE)},
    [SESSION_SENT] = {"sent", SM_TO(SESSION_START) | SM_TO(SESSION_ASKING) | SM_TO(SESSION_DONE)},
    [SESSION_ASKING] = {"asking", SM_TO(SESSION_DONE)},
    [SESSION_DONE] = {"done", 0},
};
static const struct sm_table session_table = {"session", 4, session_states};

static void session_move(struct session *s, enum session_state to)
{
    int state = (int)s->state;
    sm_move(&session_table, &state, (int)to);
    s->state = to;
}

void session_init(struct session *s, const struct session_config *config)
{
    memset(s, 0, sizeof *s);
    s->config = *config;
    s->wake_us = UINT64_MAX;
    prng_seed(&s->prng, config->seed);
}

void session_free(struct session *s)
{
    for (int i = 0; i < PARTICIPANTS_MAX; i++) {
        blob_unref(s->results[i]);
        s->results[i] = NULL;
    }
}

uint64_t session_deadline(const struct session *s)
{
    if (s->state == SESSION_DONE)
        return UINT64_MAX;
    return s->wake_us < s->config.deadline_us ? s->wake_us : s->config.deadline_us;
}

uint32_t session_time_for_node(uint64_t now_us, uint64_t deadline_us, uint32_t rtt_us)
{
    uint64_t left = deadline_us > now_us ? deadline_us - now_us : 0;
    uint64_t margin = left / 8 < MARGIN_US_MAX ? left / 8 : MARGIN_US_MAX;
    margin += rtt_us < left / 4 ? rtt_us : left / 4;
    uint64_t ms = (left - margin) / 1000;
    if (ms > TXN_TIMEOUT_MS_MAX)
        ms = TXN_TIMEOUT_MS_MAX;
    return ms == 0 ? 1 : (uint32_t)ms;
}

uint64_t backoff_us(struct prng *prng, uint32_t attempt)
{
    uint32_t top = attempt < 4 ? 2 * BACKOFF_MS_MIN << attempt : BACKOFF_MS_MAX;
    uint64_t spread = (uint64_t)(top - BACKOFF_MS_MIN) * 1000;
    return BACKOFF_MS_MIN * UINT64_C(1000) + prng_below(prng, spread + 1);
}

void detail_text(const struct blob *detail, char out[DETAIL_BYTES_MAX + 1])
{
    struct bytes b = blob_bytes(detail);
    size_t len = b.len < DETAIL_BYTES_MAX ? b.len : DETAIL_BYTES_MAX;
    for (size_t i = 0; i < len; i++)
        out[i] = b.data[i] < 0x20 || b.data[i] == 0x7f ? '?' : (char)b.data[i];
    out[len] = '\0';
}

static void session_finish(struct session *s, assent_status status)
{
    session_move(s, SESSION_DONE);
    s->status = status;
    s->asked = 0;
    s->wake_us = UINT64_MAX;
}

/* The number of a transaction's abort reasons; everything else in a RESULT is no outcome. */
static bool status_is_abort(assent_status status)
{
    return status >= ASSENT_CONFLICT && status <= ASSENT_CHANGED;
}

/* The nearest connected coordinator, or 0. `asked` leaves out those of the round: bit n is the n-th
 * coordinator of the roster, by id. */
static node_id nearest_coordinator(const struct roster *r, node_id avoid, uint64_t asked,
                                   int *number)
{
    node_id best = 0;
    int n = -1;
    for (node_id id = 1; id <= r->highest && n < COORDINATORS_MAX - 1; id++) {
        if (r->node[id].role != ROLE_COORDINATOR)
            continue;
        n++;
        if (!r->node[id].up || id == avoid || (asked >> n & 1) != 0)
            continue;
        if (best == 0 || roster_nearer(r, id, best)) {
            best = id;
            *number = n;
        }
    }
    return best;
}

static struct msg *commit_message(const struct session *s, const struct session_event *e,
                                  uint32_t timeout_ms)
{
    const struct participants *participants = s->config.participants;
    struct msg *m = msg_new(MSG_COMMIT, &s->config.head);
    m->commit.priority_ms = s->config.priority_ms;
    m->commit.timeout_ms = timeout_ms;
    m->commit.ts = e->ts;
    m->commit.placement_hash = s->config.placement_hash;
    m->commit.participants = *participants;
    for (int i = 0; i < participants->n; i++)
        m->commit.ops[i] = blob_ref(s->config.ops[i]);
    return m;
}

/* Whether a coordinator of the own datacenter is being dialled for the first time. */
static bool near_may_come(const struct roster *r, node_id avoid)
{
    bool may = false;
    for (node_id id = 1; id <= r->highest; id++) {
        const struct roster_node *node = &r->node[id];
        if (node->role != ROLE_COORDINATOR || !node->near || id == avoid)
            continue;
        if (node->up)
            return false;
        may |= !node->failing;
    }
    return may;
}

/* START: the nearest connected coordinator becomes the home. */
static void session_commit(struct session *s, const struct session_event *e,
                           struct session_effects *out)
{
    int number = 0;
    node_id home = nearest_coordinator(e->roster, s->avoid, 0, &number);
    s->wake_us = UINT64_MAX;
    if (home == 0) {
        if (s->avoid != 0)
            s->wake_us = e->now_us + UNSENT_RETRY_US;
        return;
    }
    if (s->near_until_us == 0)
        s->near_until_us = e->now_us + NEAR_WAIT_US;
    if (e->now_us < s->near_until_us && near_may_come(e->roster, s->avoid)) {
        s->wake_us = s->near_until_us;
        return;
    }
    const struct roster_node *node = &e->roster->node[home];
    uint32_t timeout_ms = session_time_for_node(e->now_us, s->config.deadline_us, node->rtt_us);
    s->config.head.home = (struct home){home, node->incarnation};
    s->may_have_left = true;
    s->asked_round = UINT64_C(1) << number;
    /* half of what is left after the leader's time is for its answer, half for asking another */
    uint64_t leader_end_us = e->now_us + timeout_ms * UINT64_C(1000);
    if (leader_end_us < s->config.deadline_us)
        s->wake_us = leader_end_us + (s->config.deadline_us - leader_end_us) / 2;
    out->to = home;
    out->msg = commit_message(s, e, timeout_ms);
    session_move(s, SESSION_SENT);
}

/* ASKING: puts the question to the nearest connected coordinator that this round has not asked yet.
 */
static void session_ask(struct session *s, const struct session_event *e,
                        struct session_effects *out)
{
    int number = 0;
    node_id to = nearest_coordinator(e->roster, 0, s->asked_round, &number);
    if (to == 0) {
        s->asked_round = 0;
        to = nearest_coordinator(e->roster, 0, 0, &number);
    }
    s->asked = to;
    s->wake_us = UINT64_MAX;
    if (to == 0)
        return;
    s->asked_round |= UINT64_C(1) << number;
    uint32_t rtt_us = e->roster->node[to].rtt_us;
    uint32_t wait_ms = session_time_for_node(e->now_us, s->config.deadline_us, rtt_us);
    if (wait_ms > ASK_WAIT_MS_MAX)
        wait_ms = ASK_WAIT_MS_MAX;
    s->wake_us = e->now_us + wait_ms * UINT64_C(1000) + rtt_us + ASK_PATIENCE_US;
    out->to = to;
    out->msg = msg_new(MSG_OUTCOME, &s->config.head);
    out->msg->outcome.wait_ms = wait_ms;
}

/* The question that is out has no answer: the next one after a back-off. */
static void session_ask_later(struct session *s, uint64_t now_us)
{
    s->asked = 0;
    s->wake_us = now_us + backoff_us(&s->prng, s->attempt++);
}

static void session_take_result(struct session *s, node_id from, const struct msg_result *r)
{
    s->answered = from;
    s->commit_ts = r->status == ASSENT_OK ? r->commit_ts : 0;
    s->culprit = r->culprit;
    detail_text(r->detail, s->detail);
    s->total_us = r->total_us;
    s->quorum_us = r->quorum_us;
    s->participants = r->participants;
    for (int i = 0; i < r->participants.n; i++) {
        s->breakdown[i] = r->breakdown[i];
        /* blobs belong to one thread: only a commit takes them to its caller's */
        if (!s->config.question && r->results[i] != NULL)
            s->results[i] = blob_ref(r->results[i]);
    }
    session_finish(s, r->status);
}

static void session_result(struct session *s, const struct session_event *e)
{
    const struct msg_result *r = &e->result->result;
    if (s->state == SESSION_START)
        return;
    if (r->status == ASSENT_OK || r->status == ASSENT_EXPIRED || status_is_abort(r->status)) {
        session_take_result(s, e->node, r);
        return;
    }
    s->pending = r->status == ASSENT_PENDING;
    if (s->state == SESSION_SENT && e->node == s->config.head.home.node) {
        session_move(s, SESSION_ASKING);
        session_ask_later(s, e->now_us);
    } else if (s->state == SESSION_ASKING && e->node == s->asked) {
        session_ask_later(s, e->now_us);
    }
}

static void session_down(struct session *s, const struct session_event *e,
                         struct session_effects *out)
{
    if (MUTANT(CLIENT_COMMITS_TWICE) && s->state == SESSION_SENT &&
        e->node == s->config.head.home.node) {
        session_move(s, SESSION_START);
        session_commit(s, e, out);
    } else if (s->state == SESSION_SENT && e->node == s->config.head.home.node) {
        session_move(s, SESSION_ASKING);
        session_ask(s, e, out);
    } else if (s->state == SESSION_ASKING && e->node == s->asked) {
        session_ask_later(s, e->now_us);
    }
}

static void session_up(struct session *s, const struct session_event *e,
                       struct session_effects *out)
{
    if (!roster_is_up(e->roster, e->node, ROLE_COORDINATOR))
        return;
    if (s->state == SESSION_START)
        session_commit(s, e, out);
    else if (s->state == SESSION_ASKING && s->asked == 0 && s->wake_us == UINT64_MAX)
        session_ask(s, e, out);
}

/* Nothing of the message has left. */
static void session_unsent(struct session *s, const struct session_event *e)
{
    if (s->state == SESSION_SENT && e->node == s->config.head.home.node) {
        s->may_have_left = false;
        s->config.head.home = (struct home){0, 0};
        if (e->status != ASSENT_UNREACHABLE) {
            session_finish(s, e->status);
            return;
        }
        s->avoid = e->node;
        s->wake_us = e->now_us;
        session_move(s, SESSION_START);
    } else if (s->state == SESSION_ASKING && e->node == s->asked) {
        session_ask_later(s, e->now_us);
    }
}

static void session_tick(struct session *s, const struct session_event *e,
                         struct session_effects *out)
{
    if (e->now_us >= s->config.deadline_us) {
        if (s->may_have_left)
            session_finish(s, MUTANT(CLIENT_UNKNOWN_IS_ABORT) ? ASSENT_TIMED_OUT : ASSENT_UNKNOWN);
        else if (s->config.question)
            session_finish(s, s->pending ? ASSENT_PENDING : ASSENT_UNKNOWN);
        else
            session_finish(s, ASSENT_NOT_SENT);
        return;
    }
    if (e->now_us < s->wake_us)
        return;
    switch (s->state) {
    case SESSION_START:
        session_commit(s, e, out);
        s->avoid = 0;
        break;
    case SESSION_SENT:
        session_move(s, SESSION_ASKING);
        session_ask(s, e, out);
        break;
    case SESSION_ASKING:
        s->attempt += s->asked != 0;
        session_ask(s, e, out);
        break;
    case SESSION_DONE:
        break;
    }
}

static void session_begin(struct session *s, const struct session_event *e,
                          struct session_effects *out)
{
    if (e->now_us >= s->config.deadline_us) {
        session_tick(s, e, out);
    } else if (s->config.question) {
        session_move(s, SESSION_ASKING);
        session_ask(s, e, out);
    } else {
        session_commit(s, e, out);
    }
}

void session_step(struct session *s, const struct session_event *e, struct session_effects *out)
{
    *out = (struct session_effects){0};
    if (s->state == SESSION_DONE)
        return;
    switch (e->kind) {
    case SESSION_EVENT_BEGIN:
        session_begin(s, e, out);
        break;
    case SESSION_EVENT_UP:
        session_up(s, e, out);
        break;
    case SESSION_EVENT_DOWN:
        session_down(s, e, out);
        break;
    case SESSION_EVENT_RESULT:
        session_result(s, e);
        break;
    case SESSION_EVENT_UNSENT:
        session_unsent(s, e);
        break;
    case SESSION_EVENT_TICK:
        session_tick(s, e, out);
        break;
    case SESSION_EVENT_CLOSE:
        session_finish(s, s->may_have_left || s->config.question ? ASSENT_UNKNOWN : ASSENT_CLOSED);
        break;
    }
}
