/* The participant's table of transactions, its dispatch, timers, clock and memory. Invariants:
 *
 *   P1  a participant votes once for a txid until it is decided (I3): what it voted is in the
 * prepared record or remembered as an abort, and a PREPARE pinned to another incarnation is refused
 *   P2  claims are held from before the vote until the decision is durable (I6), after a restart
 * too P3  timestamps are issued only below the ceiling that was emitted before them P4  a txid with
 * a time at or above memory_floor_ms that is not in memory has no outcome on the disk; below it the
 * disk is asked before anything is answered */
#include "participant/branch.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_US            1000000u
#define MEMORY_WINDOW_MS     120000u /* finished ones younger than this stay in memory */
#define MEMORY_WINDOW_MIN_MS 3000u   /* the same when there are too many */
#define EVICT_MAX            20000   /* looked at in one second */
#define EVICT_EACH           2       /* looked at with every event: more than one brings */
#define MEMORY_MAX           50000u  /* in memory, before finished ones are dropped early */
#define CEILING_TICKS        1024u

static const struct sm_state branch_states[] = {
    [BRANCH_NEW] = {"NEW", SM_TO(BRANCH_LOCKING) | SM_TO(BRANCH_PREPARING) |
                               SM_TO(BRANCH_PREPARED) | SM_TO(BRANCH_COMMITTED) |
                               SM_TO(BRANCH_ABORTED)},
    [BRANCH_LOCKING] = {"LOCKING", SM_TO(BRANCH_PREPARING) | SM_TO(BRANCH_ABORTED)},
    [BRANCH_PREPARING] = {"PREPARING",
                          SM_TO(BRANCH_PREPARED) | SM_TO(BRANCH_ABORTED) | SM_TO(BRANCH_COMMITTED)},
    [BRANCH_PREPARED] = {"PREPARED", SM_TO(BRANCH_COMMITTING) | SM_TO(BRANCH_ABORTING)},
    [BRANCH_COMMITTING] = {"COMMITTING", SM_TO(BRANCH_COMMITTED)},
    [BRANCH_ABORTING] = {"ABORTING", SM_TO(BRANCH_ABORTED)},
    [BRANCH_COMMITTED] = {"COMMITTED", 0},
    [BRANCH_ABORTED] = {"ABORTED", 0},
};
static const struct sm_table branch_table = {"participant transaction", 8, branch_states};

static bool is_active(int state)
{
    return state >= BRANCH_LOCKING && state <= BRANCH_ABORTING;
}

void branch_move(struct participant *p, struct branch *b, enum branch_state to)
{
    bool before = is_active(b->state);
    sm_move(&branch_table, &b->state, to);
    p->active += is_active(to);
    p->active -= before;
    if (to == BRANCH_COMMITTED || to == BRANCH_ABORTED) {
        timer_clear(&p->timers, &b->timer);
        b->finished_us = p->now_us;
        TAILQ_INSERT_TAIL(&p->finished, b, finished_link);
        p->stats.committed += to == BRANCH_COMMITTED;
        p->stats.aborted += to == BRANCH_ABORTED;
        blob_unref(b->results);
        b->results = NULL;
    }
}

struct branch *branch_find(struct participant *p, const struct txid *txid)
{
    struct branch *b;
    uint32_t hash = txid_hash(&p->branches_key, txid);
    HASH_FIND_BYHASHVALUE(hh, p->branches, txid, sizeof *txid, hash, b);
    return b;
}

struct branch *branch_add(struct participant *p, const struct tx_head *head)
{
    struct branch *b = xcalloc(1, sizeof *b);
    b->owner = OWNER_BRANCH;
    b->head = *head;
    b->timer.kind = TIMER_BRANCH;
    b->timer.owner = b;
    TAILQ_INIT(&b->readers);
    uint32_t hash = txid_hash(&p->branches_key, &head->txid);
    HASH_ADD_BYHASHVALUE(hh, p->branches, head.txid, sizeof b->head.txid, hash, b);
    p->stats.in_memory++;
    return b;
}

static void branch_remove(struct participant *p, struct branch *b)
{
    timer_clear(&p->timers, &b->timer);
    if (b->state == BRANCH_COMMITTED || b->state == BRANCH_ABORTED)
        TAILQ_REMOVE(&p->finished, b, finished_link);
    if (b->unsettled)
        TAILQ_REMOVE(&p->unsettled, b, unsettled_link);
    HASH_DELETE(hh, p->branches, b);
    p->stats.in_memory--;
    if (b->claim != NULL)
        p->resource->release(p->resource->arg, b->claim);
    msg_unref(b->prepare);
    blob_unref(b->detail);
    blob_unref(b->results);
    free(b);
}

bool below_floor(const struct participant *p, const struct txid *txid)
{
    return txid_ms(txid) < hlc_to_ms(p->floor);
}

/* A restart begins at the ceiling, so it is as careful with the wall clock as timestamps are. */
void cover_ts(struct participant *p, hlc_ts ts)
{
    if (ts < p->ceiling_emitted)
        return;
    uint64_t from_ms = p->wall_ms < hlc_to_ms(ts) ? p->wall_ms : hlc_to_ms(ts);
    hlc_ts by_wall = hlc_from_ms(from_ms + CLOCK_CEILING_STEP_MS);
    p->ceiling_emitted = by_wall > ts + CEILING_TICKS ? by_wall : ts + CEILING_TICKS;
    p->ceilings++;
    effect_persist(p->effects, RECORD_CEILING, NULL, p->ceiling_emitted, NULL);
}

hlc_ts issue_ts(struct participant *p)
{
    hlc_ts ts = hlc_next(&p->clock, p->stamp_ms);
    cover_ts(p, ts);
    return ts;
}

void participant_send(struct participant *p, node_id to, struct msg *m)
{
    effect_send(p->effects, addr_node(to), m);
}

uint64_t participant_jitter(struct participant *p, uint64_t us)
{
    return us + prng_below(&p->prng, us / 4 + 1);
}

void release_claim(struct participant *p, struct claim **claim)
{
    if (*claim == NULL)
        return;
    p->resource->release(p->resource->arg, *claim);
    *claim = NULL;
    enum owner_kind *owner;
    while ((owner = p->resource->granted(p->resource->arg)) != NULL) {
        if (*owner == OWNER_BRANCH)
            prepare_locked(p, (struct branch *)(void *)owner);
        else
            read_locked(p, (struct read *)(void *)owner);
    }
}

void branch_locked(struct participant *p, struct branch *b)
{
    const struct branch *first = TAILQ_FIRST(&p->unsettled);
    b->fresh_us = first == NULL ? b->locked_us : first->locked_us;
    b->unsettled = true;
    TAILQ_INSERT_TAIL(&p->unsettled, b, unsettled_link);
}

void branch_settled(struct participant *p, struct branch *b)
{
    if (b->unsettled)
        TAILQ_REMOVE(&p->unsettled, b, unsettled_link);
    b->unsettled = false;
    release_claim(p, &b->claim);
    read_writer_gone(p, b);
}

struct participant *participant_new(const struct participant_config *config,
                                    const struct resource *resource)
{
    struct participant *p = xcalloc(1, sizeof *p);
    p->config = *config;
    p->f = (config->coordinators - 1) / 2;
    p->resource_copy = *resource;
    p->resource = &p->resource_copy;
    prng_seed(&p->prng, config->seed);
    p->branches_key = txid_hash_key(~config->seed);
    p->clocks.n = config->coordinators;
    timers_init(&p->timers);
    TAILQ_INIT(&p->finished);
    TAILQ_INIT(&p->unsettled);
    TAILQ_INIT(&p->reads);
    TAILQ_INIT(&p->watches);
    p->changes = changes_new(config->changes_max == 0 ? CHANGES_MAX : config->changes_max,
                             CHANGES_BYTES_MAX);
    p->second.kind = TIMER_SECOND;
    return p;
}

void participant_free(struct participant *p)
{
    struct branch *b, *next;
    struct read *r;
    struct watch *w;
    if (p == NULL)
        return;
    while ((w = TAILQ_FIRST(&p->watches)) != NULL)
        watch_drop(p, w);
    while ((r = TAILQ_FIRST(&p->reads)) != NULL)
        read_drop(p, r);
    HASH_ITER (hh, p->branches, b, next)
        branch_remove(p, b);
    stash_free(&p->stash);
    changes_free(p->changes);
    free(p);
}

bool participant_restore(struct participant *p, const struct record *prepared)
{
    struct prepared_record r;
    if (MUTANT(LOSES_PREPARED))
        return true;
    if (prepared->kind != RECORD_PREPARED ||
        !prepared_record_decode(blob_bytes(prepared->body), &r))
        return false;
    struct branch *b = branch_add(p, &r.head);
    struct blob *ops = blob_new(r.ops);
    b->participants = r.participants;
    b->prepare_ts = prepared->ts;
    b->results = r.results.len > 0 ? blob_new(r.results) : NULL;
    b->claim = p->resource->restore(p->resource->arg, &r.head.txid, r.priority_ms, ops, b);
    blob_unref(ops);
    if (b->claim == NULL)
        return false;
    hlc_merge(&p->clock, prepared->ts);
    branch_locked(p, b);
    branch_move(p, b, BRANCH_PREPARED);
    return true;
}

void participant_restored(struct participant *p, hlc_ts ceiling, hlc_ts floor,
                          uint64_t newest_txid_ms)
{
    hlc_merge(&p->clock, ceiling);
    p->ceiling_emitted = p->ceiling_durable = ceiling;
    p->floor = p->floor_emitted = floor;
    p->memory_floor_ms = newest_txid_ms + 1;
    if (!MUTANT(WATCH_OVER_RESTART))
        changes_missed(p->changes, p->clock.last);
}

static void set_time(struct participant *p, uint64_t now_us, uint64_t wall_ms)
{
    p->now_us = now_us;
    clocks_own(&p->clocks, now_us, wall_ms);
    bool believed = clocks_believed(&p->clocks, p->config.clock_ahead_ms / 2, &p->wall_ms);
    p->stamp_ms = believed ? p->wall_ms : 0;
}

static void advance_floor(struct participant *p)
{
    if (p->floor != p->floor_emitted)
        return; /* one at a time, so that what is stored is the one emitted */
    hlc_ts to = clocks_watermark(&p->clocks, p->config.retention_ms, p->floor_emitted);
    if (to == 0)
        return;
    p->floor_emitted = to;
    effect_persist(p->effects, RECORD_WATERMARK, NULL, to, NULL);
}

void participant_start(struct participant *p, uint64_t now_us, uint64_t wall_ms,
                       struct effects *effects)
{
    struct branch *b, *next;
    set_time(p, now_us, wall_ms);
    p->effects = effects;
    HASH_ITER (hh, p->branches, b, next) {
        b->prepared_us = now_us;
        if (!MUTANT(RESTARTED_ASKS_HOME_ONLY))
            timer_set(&p->timers, &b->timer,
                      now_us +
                          participant_jitter(p, p->config.in_doubt_timeout_ms * UINT64_C(1000)));
    }
    advance_floor(p);
    timer_set(&p->timers, &p->second, now_us + SECOND_US);
    p->effects = NULL;
}

void participant_stop(struct participant *p)
{
    p->stopping = true;
}

/* Drops finished transactions from memory, once their txids are old. An abort that only memory
 * knows is written down first: a late PREPARE with this incarnation's pin must still be refused. */
static void evict(struct participant *p, int most)
{
    uint64_t window_ms = p->stats.in_memory > MEMORY_MAX ? MEMORY_WINDOW_MIN_MS : MEMORY_WINDOW_MS;
    for (int i = 0; i < most && !TAILQ_EMPTY(&p->finished); i++) {
        struct branch *b = TAILQ_FIRST(&p->finished);
        uint64_t ms = txid_ms(&b->head.txid);
        if (p->now_us - b->finished_us < window_ms * 1000)
            return;
        if (ms + window_ms > p->wall_ms) { /* from a clock that is ahead: later */
            b->finished_us = p->now_us;
            TAILQ_REMOVE(&p->finished, b, finished_link);
            TAILQ_INSERT_TAIL(&p->finished, b, finished_link);
            continue;
        }
        if (b->state == BRANCH_ABORTED && !b->outcome_durable)
            effect_persist(p->effects, RECORD_ABORTED, &b->head.txid, 0,
                           aborted_record_encode(b->outcome.reason));
        if (ms + 1 > p->memory_floor_ms)
            p->memory_floor_ms = ms + 1;
        branch_remove(p, b);
    }
}

/* Keeps a message about a transaction that only the disk may know; false if it need not wait. */
static bool must_look_up(struct participant *p, const struct event *e)
{
    const struct txid *txid = &e->msg->head.txid;
    if (txid_ms(txid) >= p->memory_floor_ms || MUTANT(OUTCOME_NOT_LOOKED_UP))
        return false;
    if (stash_keep(&p->stash, e))
        effect_lookup(p->effects, txid);
    return true;
}

static void branch_message(struct participant *p, const struct event *e, struct branch *b)
{
    switch (e->msg->type) {
    case MSG_PREPARE:
        prepare_message(p, e, b);
        break;
    case MSG_DECIDE:
        decide_message(p, e, b);
        break;
    case MSG_OUTCOME:
        outcome_message(p, e, b);
        break;
    default:
        break;
    }
}

static void again(void *arg, const struct event *e)
{
    struct participant *p = arg;
    branch_message(p, e, branch_find(p, &e->msg->head.txid));
}

static void on_loaded(struct participant *p, const struct event *e)
{
    const struct txid txid = e->loaded.txid;
    const struct tx_head *head = stash_head(p->stash, &txid);
    const struct record *r = e->loaded.record;
    if (r != NULL && head != NULL) { /* with messages kept for it, it is not in memory */
        struct branch *b = branch_add(p, head);
        b->outcome_durable = true;
        if (r->kind == RECORD_COMMITTED)
            b->outcome = (struct outcome){OUTCOME_COMMITTED, r->ts, ASSENT_OK};
        else
            b->outcome =
                (struct outcome){OUTCOME_ABORTED, 0, aborted_record_decode(blob_bytes(r->body))};
        branch_move(p, b, r->kind == RECORD_COMMITTED ? BRANCH_COMMITTED : BRANCH_ABORTED);
    }
    stash_replay(&p->stash, &txid, e, again, p);
}

static void on_message(struct participant *p, const struct event *e)
{
    if (e->msg->type == MSG_READ) {
        read_message(p, e);
    } else if (e->msg->type == MSG_WATCH) {
        watch_message(p, e);
    } else if (e->msg->type == MSG_SETTLE_ASK) {
        settle_ask(p, e);
    } else {
        struct branch *b = branch_find(p, &e->msg->head.txid);
        if (MUTANT(PREPARES_AFTER_ABORT) && b != NULL && b->state == BRANCH_ABORTED) {
            branch_remove(p, b);
            b = NULL;
        }
        if (b == NULL && must_look_up(p, e))
            return;
        branch_message(p, e, b);
    }
}

static void on_stored(struct participant *p, const struct event_stored *s)
{
    if (s->kind == RECORD_WATERMARK)
        p->floor = p->floor_emitted;
    if (s->kind == RECORD_CEILING && --p->ceilings == 0) {
        p->ceiling_durable = p->ceiling_emitted;
        read_ceiling_durable(p);
        watch_ceiling_durable(p);
    }
    struct branch *b = branch_find(p, &s->txid);
    if (b == NULL)
        return;
    if (s->kind == RECORD_PREPARED || s->kind == RECORD_APPLIED)
        prepare_stored(p, b, s);
    else
        decide_stored(p, b, s);
}

static void on_peer_up(struct participant *p, const struct event_peer *peer)
{
    struct branch *b, *next;
    p->up[peer->node] = peer->incarnation;
    HASH_ITER (hh, p->branches, b, next) {
        if (b->state == BRANCH_PREPARED)
            prepare_coordinator_up(p, b, peer->node, peer->incarnation);
    }
}

static void on_peer_clock(struct participant *p, const struct event_peer *peer)
{
    p->rtt_us[peer->node] = peer->rtt_us;
    for (int i = 0; i < p->config.coordinators; i++)
        if (p->config.coordinator[i] == peer->node)
            clocks_heard(&p->clocks, i, peer->clock_ahead_ms);
}

static void on_timer(struct participant *p, struct timer *timer)
{
    switch ((enum core_timer)timer->kind) {
    case TIMER_SECOND:
        advance_floor(p);
        evict(p, EVICT_MAX);
        timer_set(&p->timers, &p->second, p->now_us + SECOND_US);
        break;
    case TIMER_BRANCH:
        prepare_timer(p, timer->owner);
        break;
    case TIMER_READ:
        read_timer(p, timer->owner);
        break;
    case TIMER_WATCH:
        watch_timer(p, timer->owner);
        break;
    }
}

void participant_step(struct participant *p, const struct event *e, struct effects *effects)
{
    set_time(p, e->now_us, e->wall_ms);
    p->effects = effects;
    switch (e->kind) {
    case EVENT_MESSAGE:
        on_message(p, e);
        break;
    case EVENT_STORED:
        on_stored(p, &e->stored);
        break;
    case EVENT_LOADED:
        on_loaded(p, e);
        break;
    case EVENT_READ_DONE:
        read_done(p, &e->read_done);
        break;
    case EVENT_PEER_UP:
        on_peer_up(p, &e->peer);
        break;
    case EVENT_PEER_DOWN:
        p->up[e->peer.node] = 0;
        break;
    case EVENT_PEER_CLOCK:
        on_peer_clock(p, &e->peer);
        break;
    case EVENT_CLIENT_DOWN:
        watch_client_down(p, e->from.conn);
        break;
    case EVENT_TICK:
        break;
    }
    struct timer *timer;
    while ((timer = timers_pop(&p->timers, p->now_us)) != NULL)
        on_timer(p, timer);
    evict(p, EVICT_EACH);
    p->effects = NULL;
}

uint64_t participant_deadline(const struct participant *p)
{
    return timers_next(&p->timers);
}

void participant_stats(const struct participant *p, uint64_t now_us, struct participant_stats *out)
{
    struct branch *b, *next;
    *out = p->stats;
    out->floor = p->floor;
    out->reads_waiting = p->reads_n;
    out->watches = p->watches_n;
    out->changes = changes_kept(p->changes);
    HASH_ITER (hh, p->branches, b, next) {
        out->locking += b->state == BRANCH_LOCKING;
        out->preparing += b->state == BRANCH_PREPARING;
        out->in_doubt += b->state == BRANCH_PREPARED;
        out->deciding += b->state == BRANCH_COMMITTING || b->state == BRANCH_ABORTING;
        if (b->state == BRANCH_PREPARED && now_us - b->prepared_us > out->in_doubt_oldest_us)
            out->in_doubt_oldest_us = now_us - b->prepared_us;
    }
}

void participant_each(const struct participant *p,
                      void (*each)(void *arg, const struct participant_view *view), void *arg)
{
    struct branch *b, *next;
    HASH_ITER (hh, p->branches, b, next) {
        struct participant_view view = {b->head, sm_name(&branch_table, b->state), b->prepare_ts,
                                        b->outcome};
        each(arg, &view);
    }
}
