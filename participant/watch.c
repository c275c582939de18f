/* Watches: reads that wait for a change (docs/protocol.md, "Watches").
 *
 *            nothing yet                  a change, its time            position durable
 *   WATCH ----------------> PARKED ------------------> CEILING ------------------> READING ->
 * answer
 *      \--------- something changed, or since 0 ---------^   \---- nothing changed ----> answer
 *
 * Of a client nothing is kept after the answer: the next request brings what the last answer said,
 * a position and a cursor. With a cursor of this start of this participant, the changes behind it
 * are told; else all that are kept and were committed after `since`. Where some of these may not be
 * kept any more, after a restart for one, the watch catches up: the way is the one to an answer,
 * but what is read are all of its keys that the tables have as written after `since`. With none it
 * is parked. If the tables do not know either, or these are too many, the answer is BEHIND.
 *
 * Invariants
 *   1. A parked watch has no untold change among those that are kept.
 *   2. The position of an answer is resolved: all commits at or below it that touch these keys have
 *      been applied, and are told by this answer or were before; nobody prepares there any more,
 *      after a restart neither (its clock ceiling is durable, as that of a read).
 *   3. An answer that is cut leaves the position where it was; its cursor is behind what it tells.
 *
 * Values are read when the answer is made, so a key that changes again is told with what it holds
 * then. What is told above the position may be told again, by another replica: at least once. */
#include "participant/branch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_TIMEOUT_MS_MAX 60000u

static struct msg *result(struct participant *p, const struct watch *w, assent_status status)
{
    struct msg *m = msg_new(MSG_WATCH_RESULT, NULL);
    m->watch_result.request = w->request;
    m->watch_result.status = status;
    m->watch_result.since = w->since;
    m->watch_result.ts = hlc_now(&p->clock, p->stamp_ms);
    return m;
}

void watch_drop(struct participant *p, struct watch *w)
{
    timer_clear(&p->timers, &w->timer);
    TAILQ_REMOVE(&p->watches, w, link);
    p->watches_n--;
    if (w->claim != NULL)
        p->resource->release(p->resource->arg, w->claim);
    blob_unref(w->asked);
    blob_unref(w->ops);
    free(w);
}

static void refuse(struct participant *p, struct watch *w, assent_status status,
                   struct blob *detail)
{
    struct msg *m = result(p, w, status);
    m->watch_result.detail = detail;
    effect_send(p->effects, w->from, m);
    watch_drop(p, w);
}

static void refuse_behind(struct participant *p, struct watch *w)
{
    refuse(p, w, ASSENT_BEHIND,
           blob_new(bytes_of_text("changes after that timestamp are not kept any more, or too "
                                  "many to look for")));
}

static void answer(struct participant *p, struct watch *w, struct blob *results)
{
    struct msg *m = result(p, w, ASSENT_OK);
    m->watch_result.ts = w->position;
    /* who begins at a position can do without, and is then told of all that is above it; below what
     * is not kept it needs one, to be told at least of what comes from now on */
    if (w->since != 0 || w->position < changes_dropped_ts(p->changes))
        m->watch_result.cursor = (struct watch_cursor){p->config.incarnation, w->sequence};
    m->watch_result.results = results;
    effect_send(p->effects, w->from, m);
    watch_drop(p, w);
}

/* ---- what has changed ---- */

/* Keys in order, none twice. */
struct changed {
    uint32_t n;
    struct bytes key[WATCH_KEYS_MAX];
    uint64_t upto; /* all changes of this watch up to this number are in it */
};

/* False: no room. */
static bool changed_put(struct changed *c, uint32_t max, struct bytes key)
{
    uint32_t low = 0, high = c->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bytes_compare(c->key[middle], key);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (c->n == max)
        return false;
    memmove(&c->key[low + 1], &c->key[low], (c->n - low) * sizeof c->key[0]);
    c->key[low] = key;
    c->n++;
    return true;
}

static bool is_told(struct participant *p, const struct watch *w, const struct change *change)
{
    return change->ts > w->since && p->resource->covers(p->resource->arg, w->claim, change->key);
}

static void look(struct participant *p, const struct watch *w, struct changed *out)
{
    uint64_t last = changes_last(p->changes);
    out->n = 0;
    out->upto = w->after;
    hlc_ts newest = 0; /* what WATCH_LEAVES_OUT_LATE goes by */
    for (uint64_t n = w->after + 1; n <= last; n++) {
        struct change change = changes_at(p->changes, n);
        bool late = change.ts < newest;
        newest = late ? newest : change.ts;
        if (late && MUTANT(WATCH_LEAVES_OUT_LATE))
            continue;
        if (is_told(p, w, &change) && !changed_put(out, w->keys_max, change.key))
            return;
        out->upto = n;
    }
}

/* ---- the answer ---- */

static void look_at_writer(void *arg, void *owner)
{
    const struct branch *b = owner;
    hlc_ts *below = arg;
    if (b->owner == OWNER_BRANCH && b->prepare_ts <= *below && !MUTANT(WATCH_POSITION_HURRIES))
        *below = b->prepare_ts - 1;
}

/* Whoever prepares from now on does so above. */
static hlc_ts resolve(struct participant *p, const struct watch *w)
{
    hlc_ts ts = hlc_now(&p->clock, p->stamp_ms);
    p->resource->writers(p->resource->arg, w->claim, look_at_writer, &ts);
    hlc_merge(&p->clock, ts);
    cover_ts(p, ts);
    return ts;
}

static void answer_when_durable(struct participant *p, struct watch *w)
{
    if (w->resolved > p->ceiling_durable) {
        w->state = WATCH_CEILING;
    } else if (w->ops == NULL) {
        answer(p, w, NULL);
    } else {
        struct read_point point = {
            .level = READ_EVENTUAL, .at = READ_NEWEST, .since = w->catches_up ? w->since : 0};
        w->state = WATCH_READING;
        effect_read(p->effects, w->token, &point, blob_ref(w->ops));
    }
}

/* Of what these operations read, which has all changes up to the number. Takes the reference. */
static void answer_by(struct participant *p, struct watch *w, struct blob *ops, uint64_t upto)
{
    bool whole = upto == changes_last(p->changes);
    timer_clear(&p->timers, &w->timer);
    blob_unref(w->ops);
    w->ops = ops;
    w->sequence = upto;
    w->resolved = resolve(p, w);
    w->position = whole && w->resolved > w->since ? w->resolved : w->since;
    answer_when_durable(p, w);
}

static void answer_with(struct participant *p, struct watch *w, const struct changed *changed)
{
    struct blob *ops =
        changed->n == 0 ? NULL : p->resource->reads_of(p->resource->arg, changed->key, changed->n);
    w->catches_up = false;
    w->keys = changed->n;
    answer_by(p, w, ops, changed->upto);
}

/* What is applied after this is read as well, or told from memory after it. */
static void catch_up(struct participant *p, struct watch *w)
{
    w->catches_up = true;
    answer_by(p, w, blob_ref(w->asked), changes_last(p->changes));
}

/* For what comes after the change `after`, all of which is kept. */
static void park(struct participant *p, struct watch *w)
{
    struct changed changed;
    look(p, w, &changed);
    if (changed.n > 0) {
        answer_with(p, w, &changed);
        return;
    }
    w->state = WATCH_PARKED;
    w->after = changed.upto;
    timer_set(&p->timers, &w->timer, w->until_us);
}

void watch_ceiling_durable(struct participant *p)
{
    struct watch *w, *next;
    TAILQ_FOREACH_SAFE (w, &p->watches, link, next)
        if (w->state == WATCH_CEILING)
            answer_when_durable(p, w);
}

/* Nothing had changed up to the change `sequence`. */
static void caught_up(struct participant *p, struct watch *w)
{
    w->after = w->sequence;
    if (w->after < changes_dropped(p->changes))
        catch_up(p, w);
    else
        park(p, w);
}

void watch_read_done(struct participant *p, const struct event_read_done *d)
{
    struct watch *w;
    struct changed changed;
    TAILQ_FOREACH (w, &p->watches, link)
        if (w->token == d->token)
            break;
    if (w == NULL)
        return;
    if (w->catches_up && d->status == ASSENT_OK && d->results == NULL) {
        caught_up(p, w);
    } else if (w->catches_up && (d->status == ASSENT_PRUNED || d->status == ASSENT_TOO_LARGE)) {
        refuse_behind(p, w);
    } else if (d->status == ASSENT_OK) {
        answer(p, w, blob_ref(d->results));
    } else if (d->status == ASSENT_TOO_LARGE && w->after < changes_dropped(p->changes)) {
        refuse_behind(p, w);
    } else if (d->status == ASSENT_TOO_LARGE && w->keys > 1) {
        w->keys_max = w->keys / 2; /* one key always fits */
        look(p, w, &changed);
        answer_with(p, w, &changed);
    } else {
        refuse(p, w, d->status, blob_ref(d->detail));
    }
}

/* ---- changes ---- */

struct applied {
    struct participant *p;
    hlc_ts ts;
};

static void keep_change(void *arg, struct bytes key)
{
    const struct applied *applied = arg;
    changes_add(applied->p->changes, applied->ts, key);
}

void watch_applied(struct participant *p, const struct branch *b)
{
    struct applied applied = {p, b->outcome.commit_ts};
    if (b->claim != NULL)
        p->resource->written(p->resource->arg, b->claim, keep_change, &applied);
}

void watch_wake(struct participant *p)
{
    struct watch *w, *next;
    struct changed changed;
    TAILQ_FOREACH_SAFE (w, &p->watches, link, next) {
        if (w->state != WATCH_PARKED)
            continue;
        if (w->after < changes_dropped(p->changes)) {
            catch_up(p, w);
            continue;
        }
        look(p, w, &changed);
        if (changed.n == 0)
            w->after = changed.upto;
        else
            answer_with(p, w, &changed);
    }
}

/* ---- arrival and end ---- */

static uint32_t watches_of(const struct participant *p, uint64_t conn)
{
    const struct watch *w;
    uint32_t n = 0;
    TAILQ_FOREACH (w, &p->watches, link)
        n += w->from.conn == conn;
    return n;
}

static assent_status refuse_early(const struct participant *p, const struct event *e, char *why,
                                  size_t why_size)
{
    const struct msg_watch *m = &e->msg->watch;
    hlc_ts latest = m->since > m->ts ? m->since : m->ts;
    if (p->stopping) {
        snprintf(why, why_size, "this participant is shutting down");
        return ASSENT_STOPPING;
    }
    if (p->watches_n > WATCHES_MAX) {
        snprintf(why, why_size, "%u watches are waiting at this participant", WATCHES_MAX);
        return ASSENT_OVERLOADED;
    }
    if (watches_of(p, e->from.conn) > WATCHES_OF_CONN_MAX) {
        snprintf(why, why_size,
                 "%u watches of this connection are waiting at this participant: watch ranges "
                 "instead of keys, or from another handle",
                 WATCHES_OF_CONN_MAX);
        return ASSENT_OVERLOADED;
    }
    if (hlc_to_ms(latest) > p->wall_ms + p->config.clock_ahead_ms) {
        snprintf(why, why_size, "%s client %s is %llu ms ahead of this participant's clock: %s",
                 m->since > m->ts ? "the timestamp to watch from of" : "the clock of",
                 e->client->text, (unsigned long long)(hlc_to_ms(latest) - p->wall_ms),
                 m->since > m->ts ? "watch from an earlier one" : "check both clocks");
        return ASSENT_CLOCK_AHEAD;
    }
    return ASSENT_OK;
}

static struct watch *watch_new(struct participant *p, const struct event *e)
{
    const struct msg_watch *m = &e->msg->watch;
    struct watch *w = xcalloc(1, sizeof *w);
    w->owner = OWNER_WATCH;
    w->token = ++p->read_token;
    w->from = e->from;
    w->request = m->request;
    w->asked = blob_ref(m->ops);
    w->since = m->since;
    w->keys_max = WATCH_KEYS_MAX;
    w->timer.kind = TIMER_WATCH;
    w->timer.owner = w;
    TAILQ_INSERT_TAIL(&p->watches, w, link);
    p->watches_n++;
    return w;
}

/* After which change it begins. False: what it asks for may not be kept. */
static bool begin(const struct participant *p, struct watch *w, const struct watch_cursor *cursor)
{
    const struct changes *c = p->changes;
    w->after = changes_dropped(c);
    if (cursor->incarnation == p->config.incarnation && cursor->sequence >= w->after &&
        cursor->sequence <= changes_last(c))
        w->after = cursor->sequence;
    else if (w->since < changes_dropped_ts(c))
        return false;
    return true;
}

static enum claim_state ask(struct participant *p, const struct event *e, struct watch *w,
                            struct refusal *refusal)
{
    struct msg_read read = {
        .ts = e->msg->watch.ts, .level = READ_EVENTUAL, .ops = e->msg->watch.ops};
    return p->resource->claim_read(p->resource->arg, e->client, &read, w, &w->claim, refusal);
}

void watch_message(struct participant *p, const struct event *e)
{
    const struct msg_watch *m = &e->msg->watch;
    char why[DETAIL_BYTES_MAX];
    struct refusal refusal = {ASSENT_OK, NULL};
    struct watch *w = watch_new(p, e);
    struct changed changed;
    assent_status early = refuse_early(p, e, why, sizeof why);
    if (early != ASSENT_OK) {
        refuse(p, w, early, blob_new(bytes_of_text(why)));
        return;
    }
    hlc_merge(&p->clock, m->ts);
    if (ask(p, e, w, &refusal) == CLAIM_REFUSED) {
        refuse(p, w, refusal.status, refusal.detail);
        return;
    }
    if (m->since == 0) {
        changed.n = 0;
        changed.upto = changes_last(p->changes);
        answer_with(p, w, &changed);
        return;
    }
    uint64_t wait = m->timeout_ms < WATCH_TIMEOUT_MS_MAX ? m->timeout_ms : WATCH_TIMEOUT_MS_MAX;
    w->until_us = p->now_us + wait * 1000;
    if (begin(p, w, &m->cursor))
        park(p, w);
    else
        catch_up(p, w);
}

void watch_timer(struct participant *p, struct watch *w)
{
    struct changed nothing;
    nothing.n = 0;
    nothing.upto = changes_last(p->changes);
    answer_with(p, w, &nothing);
}

void watch_client_down(struct participant *p, uint64_t conn)
{
    struct watch *w, *next;
    TAILQ_FOREACH_SAFE (w, &p->watches, link, next)
        if (w->from.conn == conn)
            watch_drop(p, w);
}
