/* Reads outside transactions (docs/protocol.md, "Reads").
 *
 *   strong            waits in the lock table for the writers of its keys, then reads the newest
 *   snapshot(s)       the clock merges s, so that whoever prepares from now on does so above s;
 * what is left are the writers of these keys with prepare_ts <= s, and they only get fewer. When
 * there are none any more it reads what was committed up to s session, bounded  as snapshot, at the
 * latest s that needs no waiting: just below the oldest writer of these keys, or else the clock
 *   eventual          reads the newest at once
 *
 * Invariants
 *   1. A read at s is answered only when a clock ceiling at or above s is durable, so that after a
 *      restart, too, nobody prepares at or below s.
 *   2. A read waits for one writer at a time, and is in that one's list until its claim is given
 * up.
 *
 * How old: all that any client may have been told about before a transaction was locked here, and
 * before those were locked that were under way then, is below that transaction's prepare_ts or does
 * not touch what it writes: a commit with a greater timestamp was under way here, or came later.
 * So a read just below a writer lacks nothing that was committed before its `fresh_us`. No clock
 * but the monotonic one has a part in this. */
#include "participant/branch.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_TIMEOUT_MS_MAX 60000u

static void answer(struct participant *p, const struct read *r, assent_status status,
                   struct blob *detail, struct blob *results)
{
    struct msg *m = msg_new(MSG_READ_RESULT, NULL);
    bool newest = r->point.at == READ_NEWEST;
    m->read_result.request = r->request;
    m->read_result.status = status;
    m->read_result.ts = newest ? hlc_now(&p->clock, p->stamp_ms) : r->point.at;
    m->read_result.stale_us = r->stale_us;
    m->read_result.detail = detail;
    m->read_result.results = results;
    effect_send(p->effects, r->from, m);
}

void read_drop(struct participant *p, struct read *r)
{
    timer_clear(&p->timers, &r->timer);
    TAILQ_REMOVE(&p->reads, r, link);
    p->reads_n--;
    if (r->writer != NULL)
        TAILQ_REMOVE(&r->writer->readers, r, writer_link);
    struct claim *claim = r->claim;
    blob_unref(r->ops);
    free(r);
    if (claim != NULL && p->effects != NULL)
        release_claim(p, &claim);
    else if (claim != NULL)
        p->resource->release(p->resource->arg, claim);
}

static void refuse(struct participant *p, struct read *r, assent_status status, struct blob *detail)
{
    answer(p, r, status, detail, NULL);
    read_drop(p, r);
}

void read_locked(struct participant *p, struct read *r)
{
    r->reading = true;
    timer_clear(&p->timers, &r->timer);
    effect_read(p->effects, r->token, &r->point, blob_ref(r->ops));
}

/* ---- writers of what is read ---- */

struct looking {
    hlc_ts at;
    struct branch *oldest;  /* of all */
    struct branch *waiting; /* the youngest at or below `at`: likely the last to be decided */
};

static void look_at_writer(void *arg, void *owner)
{
    struct looking *look = arg;
    struct branch *b = owner;
    if (b->owner != OWNER_BRANCH)
        return;
    if (look->oldest == NULL || b->prepare_ts < look->oldest->prepare_ts)
        look->oldest = b;
    if (b->prepare_ts <= look->at &&
        (look->waiting == NULL || b->prepare_ts > look->waiting->prepare_ts))
        look->waiting = b;
}

static struct looking look_around(struct participant *p, const struct read *r)
{
    struct looking look = {.at = r->point.at};
    p->resource->writers(p->resource->arg, r->claim, look_at_writer, &look);
    return look;
}

/* Reads, or waits for a writer or the ceiling. */
static void read_go(struct participant *p, struct read *r)
{
    struct branch *writer = look_around(p, r).waiting;
    if (writer != NULL && !MUTANT(SNAPSHOT_HURRIES)) {
        r->writer = writer;
        TAILQ_INSERT_TAIL(&writer->readers, r, writer_link);
    } else if (r->point.at <= p->ceiling_durable || MUTANT(CEILING_IGNORES_READS)) {
        read_locked(p, r);
    }
}

void read_writer_gone(struct participant *p, struct branch *b)
{
    struct read *r;
    while ((r = TAILQ_FIRST(&b->readers)) != NULL) {
        TAILQ_REMOVE(&b->readers, r, writer_link);
        r->writer = NULL;
        read_go(p, r);
    }
}

void read_ceiling_durable(struct participant *p)
{
    struct read *r;
    TAILQ_FOREACH (r, &p->reads, link)
        if (r->point.at != READ_NEWEST && r->writer == NULL && !r->reading)
            read_go(p, r);
}

/* How old a read is that lacks this writer and what was prepared after it; NULL: nothing. */
static uint32_t stale_us(const struct participant *p, const struct branch *writer)
{
    if (writer == NULL || MUTANT(AGE_UNDERSTATED))
        return 0;
    if (writer->fresh_us == 0) /* from before a restart */
        return STALE_UNKNOWN;
    uint64_t age_us = p->now_us - writer->fresh_us;
    return age_us < STALE_UNKNOWN ? (uint32_t)age_us : STALE_UNKNOWN;
}

/* The timestamp of a read that is not strong. False: it is refused, and gone. */
static bool choose_point(struct participant *p, struct read *r, const struct msg_read *m)
{
    char why[DETAIL_BYTES_MAX];
    if (m->level == READ_SNAPSHOT) {
        r->point.at = m->at;
        return true;
    }
    const struct branch *oldest = look_around(p, r).oldest;
    hlc_ts free_ts = oldest == NULL ? hlc_now(&p->clock, p->stamp_ms) : oldest->prepare_ts - 1;
    r->stale_us = stale_us(p, oldest);
    if (m->level == READ_EVENTUAL)
        return true;
    r->point.at = free_ts;
    if (m->level == READ_SESSION && m->at > free_ts && !MUTANT(SESSION_IGNORES_TOKEN)) {
        r->point.at = m->at;
        r->stale_us = STALE_UNKNOWN;
    }
    if (m->level != READ_BOUNDED || r->stale_us <= UINT64_C(1000) * m->stale_ms ||
        MUTANT(BOUNDED_ANSWERS_ANY))
        return true;
    snprintf(
        why, sizeof why,
        "these keys are behind here by more than the %u ms that the read allows: a transaction "
        "that writes them is not decided yet",
        m->stale_ms);
    refuse(p, r, ASSENT_TOO_STALE, blob_new(bytes_of_text(why)));
    return false;
}

static void read_at(struct participant *p, struct read *r, const struct msg_read *m)
{
    if (!choose_point(p, r, m))
        return;
    if (m->level == READ_EVENTUAL) {
        read_locked(p, r);
        return;
    }
    if (!MUTANT(SNAPSHOT_NOT_HEARD))
        hlc_merge(&p->clock, r->point.at);
    if (!MUTANT(CEILING_IGNORES_READS))
        cover_ts(p, r->point.at);
    read_go(p, r);
}

/* ---- arrival and end ---- */

/* Why it cannot even ask for its keys, or ASSENT_OK. */
static assent_status refuse_early(const struct participant *p, const struct event *e, char *why,
                                  size_t why_size)
{
    const struct msg_read *m = &e->msg->read;
    hlc_ts latest = m->at > m->ts ? m->at : m->ts;
    if (p->reads_n > READS_WAITING_MAX) {
        snprintf(why, why_size, "%u reads are waiting at this participant", READS_WAITING_MAX);
        return ASSENT_OVERLOADED;
    }
    if (hlc_to_ms(latest) > p->wall_ms + p->config.clock_ahead_ms) {
        snprintf(why, why_size, "%s client %s is %llu ms ahead of this participant's clock: %s",
                 m->at > m->ts ? "the timestamp asked for by" : "the clock of", e->client->text,
                 (unsigned long long)(hlc_to_ms(latest) - p->wall_ms),
                 m->at > m->ts ? "ask for an earlier one" : "check both clocks");
        return ASSENT_CLOCK_AHEAD;
    }
    return ASSENT_OK;
}

static struct read *read_new(struct participant *p, const struct event *e)
{
    const struct msg_read *m = &e->msg->read;
    struct read *r = xcalloc(1, sizeof *r);
    r->owner = OWNER_READ;
    r->token = ++p->read_token;
    r->from = e->from;
    r->request = m->request;
    r->point = (struct read_point){.level = m->level, .at = READ_NEWEST};
    r->ops = blob_ref(m->ops);
    r->timer.kind = TIMER_READ;
    r->timer.owner = r;
    TAILQ_INSERT_TAIL(&p->reads, r, link);
    p->reads_n++;
    return r;
}

void read_message(struct participant *p, const struct event *e)
{
    const struct msg_read *m = &e->msg->read;
    char why[DETAIL_BYTES_MAX];
    struct refusal refusal = {ASSENT_OK, NULL};
    struct read *r = read_new(p, e);
    assent_status early = refuse_early(p, e, why, sizeof why);
    if (early != ASSENT_OK) {
        refuse(p, r, early, blob_new(bytes_of_text(why)));
        return;
    }
    if (!MUTANT(CLIENT_CLOCK_NOT_HEARD))
        hlc_merge(&p->clock, m->ts);
    enum claim_state got =
        p->resource->claim_read(p->resource->arg, e->client, m, r, &r->claim, &refusal);
    if (got == CLAIM_REFUSED) {
        refuse(p, r, refusal.status, refusal.detail);
        return;
    }
    uint64_t wait = m->timeout_ms < READ_TIMEOUT_MS_MAX ? m->timeout_ms : READ_TIMEOUT_MS_MAX;
    timer_set(&p->timers, &r->timer, p->now_us + wait * 1000);
    if (m->level != READ_STRONG)
        read_at(p, r, m);
    else if (got == CLAIM_HELD || MUTANT(STRONG_READ_HURRIES))
        read_locked(p, r);
}

void read_done(struct participant *p, const struct event_read_done *d)
{
    struct read *r;
    TAILQ_FOREACH (r, &p->reads, link) {
        if (r->token != d->token)
            continue;
        p->stats.reads++;
        answer(p, r, d->status, blob_ref(d->detail), blob_ref(d->results));
        read_drop(p, r);
        return;
    }
    watch_read_done(p, d);
}

void read_timer(struct participant *p, struct read *r)
{
    refuse(p, r, ASSENT_READ_TIMED_OUT,
           blob_new(bytes_of_text("waited for a transaction that is not decided yet")));
}
