/* Strong reads: they wait for the prepared writers of their keys, then read (DESIGN 6). */
#include "participant/branch.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_TIMEOUT_MS_MAX 60000u

static void answer(struct participant *p, struct addr to, uint64_t request, assent_status status,
                   struct blob *detail, struct blob *results)
{
    struct msg *m = msg_new(MSG_READ_RESULT, NULL);
    m->read_result.request = request;
    m->read_result.status = status;
    m->read_result.ts = hlc_now(&p->clock, p->stamp_ms);
    m->read_result.detail = detail;
    m->read_result.results = results;
    effect_send(p->effects, to, m);
}

void strong_read_free(struct participant *p, struct read *r)
{
    timer_clear(&p->timers, &r->timer);
    TAILQ_REMOVE(&p->reads, r, link);
    p->reads_n--;
    struct claim *claim = r->claim;
    blob_unref(r->ops);
    free(r);
    if (claim != NULL && p->effects != NULL)
        release_claim(p, &claim);
    else if (claim != NULL)
        p->resource->release(p->resource->arg, claim);
}

void strong_read_locked(struct participant *p, struct read *r)
{
    r->reading = true;
    timer_clear(&p->timers, &r->timer);
    effect_read(p->effects, r->token, &(struct read_point){READ_STRONG, READ_NEWEST},
                blob_ref(r->ops));
}

void strong_read_message(struct participant *p, const struct event *e)
{
    const struct msg_read *m = &e->msg->read;
    char why[DETAIL_BYTES_MAX];
    if (p->reads_n >= READS_WAITING_MAX) {
        snprintf(why, sizeof why, "%u reads are waiting at this participant", p->reads_n);
        answer(p, e->from, m->request, ASSENT_OVERLOADED, blob_new(bytes_of_text(why)), NULL);
        return;
    }
    if (hlc_to_ms(m->ts) > p->wall_ms + p->config.clock_ahead_ms) {
        snprintf(why, sizeof why, "the clock of client %s is %llu ms ahead of this participant's",
                 e->client->text, (unsigned long long)(hlc_to_ms(m->ts) - p->wall_ms));
        answer(p, e->from, m->request, ASSENT_CLOCK_AHEAD, blob_new(bytes_of_text(why)), NULL);
        return;
    }
    hlc_merge(&p->clock, m->ts);
    struct read *r = xcalloc(1, sizeof *r);
    r->owner = OWNER_READ;
    r->token = ++p->read_token;
    r->from = e->from;
    r->request = m->request;
    r->ops = blob_ref(m->ops);
    r->timer.kind = TIMER_READ;
    r->timer.owner = r;
    TAILQ_INSERT_TAIL(&p->reads, r, link);
    p->reads_n++;
    struct refusal refusal = {ASSENT_OK, NULL};
    enum claim_state got =
        p->resource->claim_read(p->resource->arg, e->client, m, r, &r->claim, &refusal);
    if (got == CLAIM_REFUSED) {
        answer(p, e->from, m->request, refusal.status, refusal.detail, NULL);
        strong_read_free(p, r);
    } else if (got == CLAIM_HELD || MUTANT(STRONG_READ_HURRIES)) {
        strong_read_locked(p, r);
    } else {
        uint64_t wait = m->timeout_ms < READ_TIMEOUT_MS_MAX ? m->timeout_ms : READ_TIMEOUT_MS_MAX;
        timer_set(&p->timers, &r->timer, p->now_us + wait * 1000);
    }
}

void strong_read_done(struct participant *p, const struct event_read_done *d)
{
    struct read *r;
    TAILQ_FOREACH (r, &p->reads, link) {
        if (r->token != d->token)
            continue;
        p->stats.reads++;
        answer(p, r->from, r->request, d->status, blob_ref(d->detail), blob_ref(d->results));
        strong_read_free(p, r);
        return;
    }
}

void strong_read_timer(struct participant *p, struct read *r)
{
    answer(p, r->from, r->request, ASSENT_READ_TIMED_OUT,
           blob_new(bytes_of_text("waited for a transaction that is not decided yet")), NULL);
    strong_read_free(p, r);
}
