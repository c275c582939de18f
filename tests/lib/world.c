/* The world of scenario tests. One command at a time; every message, record and answer is traced.
 */
#include "tests/lib/world.h"

#include <bsd/sys/queue.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core.h"
#include "coordinator/record.h"
#include "participant/core.h"
#include "participant/record.h"

#define COORDINATORS  3
#define PARTICIPANTS  3
#define NODES         (COORDINATORS + PARTICIPANTS)
#define TXNS          8
#define CLIENT_CONN   1
#define WALL_START_MS 1700000000000u
#define SETTLE_STEPS  10000
#define EPOCH         1
#define SET_HASH      42

/* c1..c3 are nodes 1..3, p1..p3 are nodes 11..13; index 0..2 and 3..5 below. */

struct packet {
    TAILQ_ENTRY(packet) link;
    int from, to; /* indices; -1: the client */
    struct msg *msg;
};

struct stored_job {
    TAILQ_ENTRY(stored_job) link;
    struct effect *effect;
};

struct disk_row {
    TAILQ_ENTRY(disk_row) link;
    struct record record;
};

struct fake_claim {
    TAILQ_ENTRY(fake_claim) link;
    void *owner;
    char key[32];
    bool held;
    bool only_looks; /* a read's that is not strong: it neither holds nor waits */
};

struct node {
    int index;
    node_id id;
    bool up;
    uint32_t incarnation;
    int64_t clock_ms; /* how far its wall clock is ahead */
    bool stalled;     /* its disk stores nothing by itself */
    struct coordinator *coordinator;
    struct participant *participant;
    TAILQ_HEAD(, fake_claim) claims;
    TAILQ_HEAD(, stored_job) jobs;
    TAILQ_HEAD(, disk_row) disk;
};

struct world {
    struct writer *trace;
    int coordinators, participants;
    uint64_t now_us;
    struct node node[NODES];
    bool cut[NODES];
    TAILQ_HEAD(, packet) packets;
    TAILQ_HEAD(, packet) held;
    struct packet last; /* the last delivered, for `again` */
    struct tx_head txn[TXNS];
    bool txn_set[TXNS];
    uint32_t retention_ms;
    int64_t client_clock_ms;
    struct hlc client_clock;
    hlc_ts watch_ts; /* the position of the last answer to a watch */
    struct watch_cursor watch_cursor;
};

static uint64_t wall_ms(const struct world *w, int64_t ahead_ms)
{
    return WALL_START_MS + w->now_us / 1000 + (uint64_t)ahead_ms;
}

static __attribute__((format(printf, 2, 3))) void say(struct world *w, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    writer_raw(w->trace, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static const char *node_name(int index, char out[4])
{
    if (index < 0)
        snprintf(out, 4, "cl");
    else
        snprintf(out, 4, "%c%c", index < COORDINATORS ? 'c' : 'p',
                 '1' + (index < COORDINATORS ? index : index - COORDINATORS));
    return out;
}

static int node_index(const char *name)
{
    int n = name[0] != '\0' ? name[1] - '1' : -1;
    if (name[0] == 'c' && n >= 0 && n < COORDINATORS)
        return n;
    return name[0] == 'p' && n >= 0 && n < PARTICIPANTS ? COORDINATORS + n : -1;
}

static node_id id_of(int index)
{
    return (node_id)(index < COORDINATORS ? index + 1 : 11 + index - COORDINATORS);
}

static int index_of(node_id id)
{
    return id == 0 ? -1 : id < 11 ? id - 1 : id - 11 + COORDINATORS;
}

static bool exists(const struct world *w, int index)
{
    return index < COORDINATORS ? index < w->coordinators : index - COORDINATORS < w->participants;
}

static int txn_index(const struct world *w, const struct txid *txid)
{
    for (int i = 0; i < TXNS; i++)
        if (w->txn_set[i] && txid_equal(&w->txn[i].txid, txid))
            return i + 1;
    return 0;
}

/* ---- a resource of named keys: operations are "<key>" or "<key>!" (refused by its check) ---- */

static enum claim_state fake_take(struct node *n, const char *key, void *owner, bool may_wait,
                                  struct claim **out)
{
    struct fake_claim *c, *new = xcalloc(1, sizeof *new);
    snprintf(new->key, sizeof new->key, "%s", key);
    new->key[strcspn(new->key, "!")] = '\0';
    new->owner = owner;
    new->held = true;
    TAILQ_FOREACH (c, &n->claims, link)
        if (!c->only_looks && strcmp(c->key, new->key) == 0)
            new->held = false;
    if (!new->held && !may_wait) {
        free(new);
        return CLAIM_REFUSED;
    }
    TAILQ_INSERT_TAIL(&n->claims, new, link);
    *out = (struct claim *)(void *)new;
    return new->held ? CLAIM_HELD : CLAIM_WAITING;
}

static void ops_key(struct blob *ops, char out[32])
{
    snprintf(out, 32, "%.*s", (int)ops->len, (const char *)ops->data);
}

static enum claim_state fake_claim(void *arg, const struct tx_head *head,
                                   const struct msg_prepare *m, void *owner, struct claim **out,
                                   struct refusal *refusal)
{
    char key[32];
    (void)head;
    ops_key(m->ops, key);
    /* "older" transactions wait; the script says who is older by a leading '+' */
    enum claim_state got = fake_take(arg, key[0] == '+' ? key + 1 : key, owner, key[0] == '+', out);
    if (got == CLAIM_REFUSED)
        *refusal = (struct refusal){ASSENT_CONFLICT, NULL};
    return got;
}

static enum claim_state fake_claim_read(void *arg, const struct client_name *client,
                                        const struct msg_read *m, void *owner, struct claim **out,
                                        struct refusal *refusal)
{
    char key[32];
    (void)client;
    (void)refusal;
    ops_key(m->ops, key);
    if (m->level == READ_STRONG)
        return fake_take(arg, key, owner, true, out);
    struct node *n = arg;
    struct fake_claim *new = xcalloc(1, sizeof *new);
    snprintf(new->key, sizeof new->key, "%s", key);
    new->owner = owner;
    new->only_looks = true;
    TAILQ_INSERT_TAIL(&n->claims, new, link);
    *out = (struct claim *)(void *)new;
    return CLAIM_HELD;
}

/* A watch of "x*" is one of all keys with that prefix. */
static bool fake_covers(void *arg, const struct claim *read, struct bytes key)
{
    const char *own = ((const struct fake_claim *)(const void *)read)->key;
    size_t prefix = strcspn(own, "*");
    (void)arg;
    return own[prefix] == '*' ? bytes_has_prefix(key, bytes_of(own, prefix))
                              : bytes_equal(key, bytes_of_text(own));
}

static void fake_writers(void *arg, const struct claim *read,
                         void (*each)(void *each_arg, void *owner), void *each_arg)
{
    struct node *n = arg;
    const struct fake_claim *own = (const struct fake_claim *)(const void *)read;
    const struct fake_claim *c;
    TAILQ_FOREACH (c, &n->claims, link)
        if (c->held && c != own && !c->only_looks && fake_covers(arg, read, bytes_of_text(c->key)))
            each(each_arg, c->owner);
}

static void fake_written(void *arg, const struct claim *claim,
                         void (*each)(void *each_arg, struct bytes key), void *each_arg)
{
    (void)arg;
    each(each_arg, bytes_of_text(((const struct fake_claim *)(const void *)claim)->key));
}

/* "x y": these are also the results. */
static struct blob *fake_reads_of(void *arg, const struct bytes *key, uint32_t n)
{
    struct writer w = {0};
    (void)arg;
    for (uint32_t i = 0; i < n; i++) {
        writer_raw(&w, " ", i > 0);
        writer_raw(&w, key[i].data, key[i].len);
    }
    struct blob *ops = blob_new(writer_view(&w));
    writer_free(&w);
    return ops;
}

static struct claim *fake_restore(void *arg, const struct txid *txid, uint64_t priority,
                                  struct blob *ops, void *owner)
{
    struct claim *claim = NULL;
    char key[32];
    (void)txid;
    (void)priority;
    ops_key(ops, key);
    return fake_take(arg, key[0] == '+' ? key + 1 : key, owner, false, &claim) == CLAIM_HELD ? claim
                                                                                             : NULL;
}

static void fake_decided(void *arg, struct claim *claim)
{
    (void)arg;
    (void)claim;
}

static void fake_release(void *arg, struct claim *claim)
{
    struct node *n = arg;
    struct fake_claim *c = (struct fake_claim *)(void *)claim;
    TAILQ_REMOVE(&n->claims, c, link);
    free(c);
}

static void *fake_granted(void *arg)
{
    struct node *n = arg;
    struct fake_claim *c, *before;
    TAILQ_FOREACH (c, &n->claims, link) {
        bool free_key = !c->held && !c->only_looks;
        for (before = TAILQ_FIRST(&n->claims); before != c; before = TAILQ_NEXT(before, link))
            if (!before->only_looks && strcmp(before->key, c->key) == 0)
                free_key = false;
        if (free_key) {
            c->held = true;
            return c->owner;
        }
    }
    return NULL;
}

/* ---- the trace of messages and records ---- */

static const char *vote_text(const struct vote *v, char out[48])
{
    if (v->kind == VOTE_PREPARED)
        snprintf(out, 48, "prepared");
    else if (v->kind == VOTE_ABORTED)
        snprintf(out, 48, "aborted(%s)", assent_status_name(v->reason));
    else
        snprintf(out, 48, "-");
    return out;
}

static void outcome_say(struct world *w, const struct outcome *o)
{
    if (o->kind == OUTCOME_COMMITTED)
        say(w, " committed");
    else if (o->kind == OUTCOME_ABORTED)
        say(w, " aborted(%s)", assent_status_name(o->reason));
}

static void ballot_say(struct world *w, struct ballot b)
{
    char name[4];
    if (b.round == 0)
        say(w, " b0");
    else
        say(w, " b%u.%s", b.round, node_name(index_of(b.node), name));
}

static void votes_say(struct world *w, const struct participants *p, const struct vote *votes)
{
    char name[4], text[48];
    for (int i = 0; i < p->n; i++)
        if (votes[i].kind != VOTE_NONE)
            say(w, " %s=%s", node_name(index_of(p->id[i]), name), vote_text(&votes[i], text));
}

static void msg_say(struct world *w, const struct msg *m)
{
    char text[48], name[4];
    say(w, "%s", msg_name(m->type));
    if (msg_has_head(m->type))
        say(w, " t%d", txn_index(w, &m->head.txid));
    switch (m->type) {
    case MSG_PREPARE:
        say(w, " pin=%u%s", m->prepare.pin, m->prepare.one_phase ? " one-phase" : "");
        break;
    case MSG_VOTE:
        say(w, " %s%s", vote_text(&m->vote.vote, text), m->vote.one_phase ? " one-phase" : "");
        break;
    case MSG_ACCEPTED:
        ballot_say(w, m->accepted.ballot);
        if (m->accepted.whole_abort)
            say(w, " whole-abort");
        votes_say(w, &m->accepted.participants, m->accepted.votes);
        break;
    case MSG_REJECTED:
        ballot_say(w, m->rejected.ballot);
        say(w, " promised");
        ballot_say(w, m->rejected.promised);
        break;
    case MSG_DECIDE:
        outcome_say(w, &m->decide.outcome);
        break;
    case MSG_PROMISE_ASK:
        ballot_say(w, m->promise_ask.ballot);
        break;
    case MSG_PROMISE:
        ballot_say(w, m->promise.ballot);
        outcome_say(w, &m->promise.outcome);
        if (m->promise.forgotten)
            say(w, " forgotten");
        if (m->promise.whole_abort)
            say(w, " whole-abort");
        for (int i = 0; i < m->promise.participants.n; i++) {
            if (m->promise.accepted[i].vote.kind == VOTE_NONE)
                continue;
            say(w, " %s=%s", node_name(index_of(m->promise.participants.id[i]), name),
                vote_text(&m->promise.accepted[i].vote, text));
            ballot_say(w, m->promise.accepted[i].ballot);
        }
        break;
    case MSG_PROPOSE:
        ballot_say(w, m->propose.ballot);
        if (m->propose.whole_abort)
            say(w, " whole-abort");
        votes_say(w, &m->propose.participants, m->propose.votes);
        break;
    case MSG_RESULT:
        say(w, " %s", assent_status_name(m->result.status));
        break;
    case MSG_READ_RESULT:
        say(w, " %s", assent_status_name(m->read_result.status));
        if (m->read_result.stale_us == STALE_UNKNOWN)
            say(w, " may be old");
        else if (m->read_result.stale_us > 0)
            say(w, " at most %u ms old", (m->read_result.stale_us + 999) / 1000);
        break;
    case MSG_WATCH_RESULT:
        say(w, " %s", assent_status_name(m->watch_result.status));
        if (m->watch_result.results != NULL)
            say(w, " %.*s", (int)m->watch_result.results->len,
                (const char *)m->watch_result.results->data);
        break;
    case MSG_SETTLED:
        say(w, " %u", m->settled.n);
        break;
    default:
        break;
    }
    say(w, "\n");
}

static void record_say(struct world *w, const struct record *r)
{
    struct acceptor_record a;
    struct outcome outcome;
    say(w, "%s", record_name(r->kind));
    if (r->kind >= RECORD_ACCEPT)
        say(w, " t%d", txn_index(w, &r->txid));
    if ((r->kind == RECORD_ACCEPT || r->kind == RECORD_PROMISE) &&
        acceptor_record_decode(blob_bytes(r->body), &a)) {
        char name[4], text[48];
        if (a.promised.round > 0)
            ballot_say(w, a.promised);
        if (a.whole_abort)
            say(w, " whole-abort");
        for (int i = 0; i < a.participants.n; i++)
            if (a.accepted[i].vote.kind != VOTE_NONE)
                say(w, " %s=%s", node_name(index_of(a.participants.id[i]), name),
                    vote_text(&a.accepted[i].vote, text));
    }
    if (r->kind == RECORD_FINISHED && finished_record_decode(r, &outcome))
        outcome_say(w, &outcome);
    if (r->kind == RECORD_ABORTED)
        say(w, " (%s)", assent_status_name(aborted_record_decode(blob_bytes(r->body))));
    say(w, "\n");
}

/* ---- driving the cores ---- */

static void send(struct world *w, int from, struct addr to, struct msg *m)
{
    struct packet *p = xcalloc(1, sizeof *p);
    p->from = from;
    p->to = index_of(to.node);
    p->msg = msg_ref(m);
    TAILQ_INSERT_TAIL(&w->packets, p, link);
}

static void packet_free(struct packet *p)
{
    msg_unref(p->msg);
    free(p);
}

static void run_effects(struct world *w, struct node *n, struct effects *effects)
{
    struct effect *e;
    char name[4];
    while ((e = TAILQ_FIRST(effects)) != NULL) {
        TAILQ_REMOVE(effects, e, link);
        if (e->kind == EFFECT_SEND) {
            send(w, n->index, e->to, e->msg);
            effect_free(e);
        } else if (e->kind == EFFECT_HALT) {
            say(w, "  %s HALT %s\n", node_name(n->index, name), strchr(e->why, ':'));
            n->up = false;
            effect_free(e);
        } else {
            struct stored_job *job = xcalloc(1, sizeof *job);
            job->effect = e;
            TAILQ_INSERT_TAIL(&n->jobs, job, link);
        }
    }
}

static void step(struct world *w, struct node *n, struct event *e)
{
    struct effects effects;
    effects_init(&effects);
    e->now_us = w->now_us;
    e->wall_ms = wall_ms(w, n->clock_ms);
    if (n->coordinator != NULL)
        coordinator_step(n->coordinator, e, &effects);
    else
        participant_step(n->participant, e, &effects);
    run_effects(w, n, &effects);
}

static void disk_append(struct node *n, struct record *record)
{
    struct disk_row *row = xcalloc(1, sizeof *row);
    row->record = *record;
    record->body = NULL;
    TAILQ_INSERT_TAIL(&n->disk, row, link);
}

static bool finished_on_disk(const struct node *n, const struct txid *txid)
{
    const struct disk_row *row;
    TAILQ_FOREACH (row, &n->disk, link)
        if (row->record.kind == RECORD_FINISHED && txid_equal(&row->record.txid, txid))
            return true;
    return false;
}

/* What is finished goes when a coordinator's watermark passes it, as in its store. */
static void disk_prune(struct node *n, uint64_t watermark_ms)
{
    struct disk_row *row, *next;
    for (int finished = 0; finished < 2; finished++) {
        TAILQ_FOREACH_SAFE (row, &n->disk, link, next) {
            const struct record *r = &row->record;
            if (r->kind < RECORD_ACCEPT || txid_ms(&r->txid) >= watermark_ms ||
                (r->kind == RECORD_FINISHED) != finished || !finished_on_disk(n, &r->txid))
                continue;
            TAILQ_REMOVE(&n->disk, row, link);
            blob_unref(row->record.body);
            free(row);
        }
    }
}

static const struct record *disk_find(const struct node *n, const struct txid *txid)
{
    const struct disk_row *row;
    const struct record *found = NULL;
    TAILQ_FOREACH (row, &n->disk, link)
        if (txid_equal(&row->record.txid, txid) &&
            (row->record.kind == RECORD_FINISHED || row->record.kind == RECORD_COMMITTED ||
             row->record.kind == RECORD_ABORTED || row->record.kind == RECORD_APPLIED))
            found = &row->record;
    return found;
}

/* Completes the oldest storage job of a node; false if there is none. */
static bool store_one(struct world *w, struct node *n)
{
    struct stored_job *job = TAILQ_FIRST(&n->jobs);
    struct event e = {.kind = EVENT_STORED};
    struct effect *effect, *then;
    char name[4];
    if (job == NULL || !n->up)
        return false;
    TAILQ_REMOVE(&n->jobs, job, link);
    effect = job->effect;
    free(job);
    if (effect->kind == EFFECT_LOOKUP) {
        const struct record *found = disk_find(n, &effect->record.txid);
        struct record committed;
        if (found != NULL && found->kind == RECORD_APPLIED) { /* as the key-value store says it */
            committed = (struct record){RECORD_COMMITTED, found->txid, found->ts, NULL};
            found = &committed;
        }
        e.kind = EVENT_LOADED;
        e.loaded = (struct event_loaded){effect->record.txid, found};
        step(w, n, &e);
        effect_free(effect);
        return true;
    }
    if (effect->kind == EFFECT_READ) {
        e.kind = EVENT_READ_DONE;
        e.read_done.token = effect->token;
        e.read_done.results = effect->ops;
        if (effect->point.since != 0) /* these tables know only what is */
            e.read_done = (struct event_read_done){.token = effect->token, .status = ASSENT_PRUNED};
    } else {
        e.stored = (struct event_stored){
            .kind = effect->record.kind, .txid = effect->record.txid, .ballot = effect->ballot};
        if (effect->kind == EFFECT_PREPARE && effect->ops->data[effect->ops->len - 1] == '!')
            e.stored.status = ASSENT_CHECK_FAILED;
        if (e.stored.status == ASSENT_OK) {
            if (effect->record.kind >= RECORD_ACCEPT) {
                say(w, "  %s * ", node_name(n->index, name));
                record_say(w, &effect->record);
            }
            disk_append(n, &effect->record);
            if (effect->record.kind == RECORD_WATERMARK && n->coordinator != NULL)
                disk_prune(n, hlc_to_ms(effect->record.ts));
        }
    }
    TAILQ_FOREACH (then, &effect->then, link)
        send(w, n->index, then->to, then->msg);
    step(w, n, &e);
    effect_free(effect);
    return true;
}

static void deliver(struct world *w, struct packet *p)
{
    static const struct client_name client = {"app"};
    struct event e = {.kind = EVENT_MESSAGE, .msg = p->msg};
    char from[4], to[4];
    bool arrives = p->to < 0 || (w->node[p->to].up && !w->cut[p->to]);
    if (p->from >= 0 && (w->cut[p->from] || !w->node[p->from].up))
        arrives = false;
    say(w, "  %s -> %s %s", node_name(p->from, from), node_name(p->to, to),
        arrives ? "" : "(lost) ");
    msg_say(w, p->msg);
    if (p->to < 0 && p->msg->type == MSG_RESULT)
        hlc_merge(&w->client_clock, p->msg->result.commit_ts);
    if (p->to < 0 && p->msg->type == MSG_READ_RESULT)
        hlc_merge(&w->client_clock, p->msg->read_result.ts);
    if (p->to < 0 && p->msg->type == MSG_WATCH_RESULT) {
        hlc_merge(&w->client_clock, p->msg->watch_result.ts);
        if (p->msg->watch_result.status == ASSENT_OK) {
            w->watch_ts = p->msg->watch_result.ts;
            w->watch_cursor = p->msg->watch_result.cursor;
        }
    }
    if (!arrives || p->to < 0)
        return;
    e.from = p->from < 0 ? (struct addr){0, CLIENT_CONN} : addr_node(id_of(p->from));
    e.client = p->from < 0 ? &client : NULL;
    step(w, &w->node[p->to], &e);
}

static void remember_last(struct world *w, const struct packet *p)
{
    msg_unref(w->last.msg);
    w->last = *p;
    msg_ref(w->last.msg);
}

/* Everything that can happen without time passing. */
static void settle(struct world *w)
{
    for (int steps = 0; steps < SETTLE_STEPS; steps++) {
        struct packet *p = TAILQ_FIRST(&w->packets);
        bool moved = false;
        for (int i = 0; i < NODES && !moved; i++)
            moved = !w->node[i].stalled && store_one(w, &w->node[i]);
        if (!moved && p == NULL)
            return;
        if (moved)
            continue;
        TAILQ_REMOVE(&w->packets, p, link);
        remember_last(w, p);
        deliver(w, p);
        packet_free(p);
    }
    say(w, "  never settles\n");
}

/* ---- nodes ---- */

static void peers_event(struct world *w, int of, enum event_kind kind)
{
    for (int i = 0; i < NODES; i++) {
        if (i == of || !exists(w, i) || !w->node[i].up || w->cut[i])
            continue;
        if (of >= COORDINATORS && i >= COORDINATORS)
            continue;
        struct event there = {.kind = kind, .peer = {.node = id_of(of)}};
        there.peer.incarnation = w->node[of].incarnation;
        step(w, &w->node[i], &there);
        if (!w->node[of].up)
            continue;
        struct event here = {.kind = kind, .peer = {.node = id_of(i)}};
        here.peer.incarnation = w->node[i].incarnation;
        step(w, &w->node[of], &here);
    }
}

static void participant_boot(struct world *w, struct node *n)
{
    struct resource resource = {.arg = n,
                                .claim = fake_claim,
                                .claim_read = fake_claim_read,
                                .writers = fake_writers,
                                .written = fake_written,
                                .covers = fake_covers,
                                .reads_of = fake_reads_of,
                                .restore = fake_restore,
                                .decided = fake_decided,
                                .release = fake_release,
                                .granted = fake_granted};
    struct participant_config config = {.self = n->id,
                                        .incarnation = n->incarnation,
                                        .coordinators = w->coordinators,
                                        .in_doubt_timeout_ms = 1000,
                                        .retention_ms = w->retention_ms,
                                        .clock_ahead_ms = 5000,
                                        .seed = n->id};
    hlc_ts ceiling = 0, floor = 0;
    uint64_t newest = 0;
    struct disk_row *row;
    for (int i = 0; i < w->coordinators; i++)
        config.coordinator[i] = id_of(i);
    if (n->index - COORDINATORS < w->coordinators)
        config.near_coordinator = id_of(n->index - COORDINATORS);
    n->participant = participant_new(&config, &resource);
    TAILQ_FOREACH (row, &n->disk, link) {
        const struct record *r = &row->record;
        if (r->kind == RECORD_CEILING)
            ceiling = r->ts;
        if (r->kind == RECORD_WATERMARK)
            floor = r->ts;
        if (r->kind >= RECORD_PREPARED && txid_ms(&r->txid) > newest)
            newest = txid_ms(&r->txid);
        if (r->kind == RECORD_PREPARED && disk_find(n, &r->txid) == NULL)
            participant_restore(n->participant, r);
    }
    participant_restored(n->participant, ceiling, floor, newest);
}

static void coordinator_boot(struct world *w, struct node *n)
{
    node_id participant[PARTICIPANTS];
    struct coordinator_config config = {.self = n->id,
                                        .incarnation = n->incarnation,
                                        .epoch = EPOCH,
                                        .set_hash = SET_HASH,
                                        .coordinators = w->coordinators,
                                        .participants = w->participants,
                                        .participant = participant,
                                        .retention_ms = w->retention_ms,
                                        .txid_skew_ms = w->retention_ms / 4,
                                        .clock_ahead_ms = 5000,
                                        .seed = n->id};
    struct disk_row *row;
    for (int i = 0; i < w->coordinators; i++)
        config.coordinator[i] = id_of(i);
    for (int i = 0; i < w->participants; i++)
        participant[i] = id_of(COORDINATORS + i);
    n->coordinator = coordinator_new(&config);
    TAILQ_FOREACH (row, &n->disk, link) {
        if (txid_ms(&row->record.txid) > 0)
            coordinator_restored_until(n->coordinator, txid_ms(&row->record.txid));
        coordinator_restore(n->coordinator, &row->record);
    }
}

static void node_boot(struct world *w, struct node *n)
{
    struct effects effects;
    effects_init(&effects);
    n->up = true;
    n->stalled = false;
    n->incarnation++;
    uint64_t wall = wall_ms(w, n->clock_ms);
    if (n->index < COORDINATORS) {
        coordinator_boot(w, n);
        coordinator_start(n->coordinator, w->now_us, wall, &effects);
    } else {
        participant_boot(w, n);
        participant_start(n->participant, w->now_us, wall, &effects);
    }
    run_effects(w, n, &effects);
    peers_event(w, n->index, EVENT_PEER_UP);
}

static void jobs_free(struct node *n)
{
    struct stored_job *job;
    while ((job = TAILQ_FIRST(&n->jobs)) != NULL) {
        TAILQ_REMOVE(&n->jobs, job, link);
        effect_free(job->effect);
        free(job);
    }
}

static void node_crash(struct world *w, struct node *n)
{
    n->up = false;
    jobs_free(n);
    coordinator_free(n->coordinator);
    participant_free(n->participant);
    n->coordinator = NULL;
    n->participant = NULL;
    peers_event(w, n->index, EVENT_PEER_DOWN);
}

struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof *w);
    TAILQ_INIT(&w->packets);
    TAILQ_INIT(&w->held);
    w->retention_ms = 3600000;
    for (int i = 0; i < NODES; i++) {
        w->node[i].index = i;
        w->node[i].id = id_of(i);
        TAILQ_INIT(&w->node[i].claims);
        TAILQ_INIT(&w->node[i].jobs);
        TAILQ_INIT(&w->node[i].disk);
    }
    return w;
}

void world_free(struct world *w)
{
    struct packet *p;
    struct disk_row *row;
    for (int i = 0; i < NODES; i++) {
        struct node *n = &w->node[i];
        jobs_free(n);
        coordinator_free(n->coordinator);
        participant_free(n->participant);
        while ((row = TAILQ_FIRST(&n->disk)) != NULL) {
            TAILQ_REMOVE(&n->disk, row, link);
            blob_unref(row->record.body);
            free(row);
        }
    }
    TAILQ_CONCAT(&w->packets, &w->held, link);
    while ((p = TAILQ_FIRST(&w->packets)) != NULL) {
        TAILQ_REMOVE(&w->packets, p, link);
        packet_free(p);
    }
    msg_unref(w->last.msg);
    free(w);
}

/* ---- commands ---- */

#define WORDS 8

static void command_cluster(struct world *w, char *word[WORDS])
{
    w->coordinators = atoi(word[1]);
    w->participants = atoi(word[2]);
    for (int i = 0; i < NODES; i++)
        if (exists(w, i))
            node_boot(w, &w->node[i]);
    settle(w);
    w->trace->len = 0;
}

static struct tx_head *head_of(struct world *w, const char *name, int home, uint16_t route)
{
    int i = atoi(name + 1) - 1;
    if (i < 0 || i >= TXNS)
        abort();
    if (!w->txn_set[i]) {
        w->txn_set[i] = true;
        w->txn[i] = (struct tx_head){
            .txid = txid_make(wall_ms(w, w->client_clock_ms), route, (uint64_t)i + 1),
            .home = {id_of(home), w->node[home].incarnation},
            .epoch = EPOCH,
            .set_hash = SET_HASH};
    }
    return &w->txn[i];
}

/* commit t1 c1 p1=key p2=key: the client sends COMMIT; nothing is delivered yet. */
static void command_commit(struct world *w, char *word[WORDS])
{
    int home = node_index(word[2]), n = 0;
    struct participants participants = {0};
    struct blob *ops[PARTICIPANTS];
    for (int k = 3; k < WORDS && word[k] != NULL; k++) {
        participants.id[n] = id_of(node_index(word[k]));
        ops[n++] = blob_new(bytes_of_text(word[k] + 3));
    }
    participants.n = (uint16_t)n;
    struct tx_head *head = head_of(w, word[1], home, n == 1 ? participants.id[0] : 0);
    struct msg *m = msg_new(MSG_COMMIT, head);
    m->commit.priority_ms = txid_ms(&head->txid);
    m->commit.timeout_ms = 5000;
    m->commit.ts = hlc_now(&w->client_clock, wall_ms(w, w->client_clock_ms));
    m->commit.participants = participants;
    for (int i = 0; i < n; i++)
        m->commit.ops[i] = ops[i];
    struct packet *p = xcalloc(1, sizeof *p);
    *p = (struct packet){.from = -1, .to = home, .msg = m};
    TAILQ_INSERT_TAIL(&w->packets, p, link);
}

/* read p1 key: a strong read of the client. snapshot p1 key MS, session p1 key MS: at, or not
 * before, so many ms after the client's clock. bounded p1 key MS, eventual p1 key. */
static void command_read(struct world *w, char *word[WORDS])
{
    static const char *const levels[] = {"read", "snapshot", "session", "bounded", "eventual"};
    struct packet *p = xcalloc(1, sizeof *p);
    struct msg *m = msg_new(MSG_READ, NULL);
    m->read.ts = hlc_now(&w->client_clock, wall_ms(w, w->client_clock_ms));
    m->read.timeout_ms = 5000;
    for (unsigned i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(word[0], levels[i]) == 0)
            m->read.level = (enum read_level)i;
    int64_t ms = word[3] == NULL ? 0 : strtoll(word[3], NULL, 10);
    if (m->read.level == READ_BOUNDED)
        m->read.stale_ms = (uint32_t)ms;
    else if (m->read.level == READ_SNAPSHOT || m->read.level == READ_SESSION)
        m->read.at = hlc_from_ms((uint64_t)((int64_t)hlc_to_ms(m->read.ts) + ms));
    m->read.ops = blob_new(bytes_of_text(word[2]));
    *p = (struct packet){.from = -1, .to = node_index(word[1]), .msg = m};
    TAILQ_INSERT_TAIL(&w->packets, p, link);
}

/* watch p1 key now: from now on; ... since: after the position of the last answer; ... next: the
 * same, with its cursor. */
static void command_watch(struct world *w, char *word[WORDS])
{
    struct packet *p = xcalloc(1, sizeof *p);
    struct msg *m = msg_new(MSG_WATCH, NULL);
    m->watch.ts = hlc_now(&w->client_clock, wall_ms(w, w->client_clock_ms));
    m->watch.timeout_ms = 5000;
    if (strcmp(word[3], "now") != 0)
        m->watch.since = w->watch_ts;
    if (strcmp(word[3], "next") == 0)
        m->watch.cursor = w->watch_cursor;
    m->watch.ops = blob_new(bytes_of_text(word[2]));
    *p = (struct packet){.from = -1, .to = node_index(word[1]), .msg = m};
    TAILQ_INSERT_TAIL(&w->packets, p, link);
}

/* clock p1 MS, clock cl MS: the wall clock is so far ahead, or behind, from now on. */
static void command_clock(struct world *w, char *word[WORDS])
{
    int i = node_index(word[1]);
    *(i < 0 ? &w->client_clock_ms : &w->node[i].clock_ms) = strtoll(word[2], NULL, 10);
}

/* future t1 c1 MS: the transaction's id is of a time to come. */
static void command_future(struct world *w, char *word[WORDS])
{
    struct tx_head *head = head_of(w, word[1], node_index(word[2]), 0);
    uint64_t ahead_ms = strtoull(word[3], NULL, 10);
    head->txid = txid_make(wall_ms(w, (int64_t)ahead_ms), 0, 99);
}

/* outcome t1 c2: the client asks. */
static void command_outcome(struct world *w, char *word[WORDS])
{
    int at = node_index(word[2]);
    struct packet *p = xcalloc(1, sizeof *p);
    struct msg *m = msg_new(MSG_OUTCOME, head_of(w, word[1], at, 0));
    m->outcome.wait_ms = 10000;
    *p = (struct packet){.from = -1, .to = at, .msg = m};
    TAILQ_INSERT_TAIL(&w->packets, p, link);
}

/* deliver, drop, hold or copy FROM TO: the oldest packet on that link. What is held, or a copy,
 * comes back with release. */
static void command_packet(struct world *w, char *word[WORDS])
{
    char what = word[0][0];
    int from = strcmp(word[1], "cl") == 0 ? -1 : node_index(word[1]);
    int to = strcmp(word[2], "cl") == 0 ? -1 : node_index(word[2]);
    struct packet *p;
    char a[4], b[4];
    TAILQ_FOREACH (p, &w->packets, link) {
        if (p->from != from || p->to != to)
            continue;
        if (what == 'c') {
            struct packet *copy = xcalloc(1, sizeof *copy);
            *copy = (struct packet){.from = from, .to = to, .msg = msg_ref(p->msg)};
            TAILQ_INSERT_TAIL(&w->held, copy, link);
            return;
        }
        TAILQ_REMOVE(&w->packets, p, link);
        if (what == 'h') {
            TAILQ_INSERT_TAIL(&w->held, p, link);
            return;
        }
        if (strcmp(word[0], "deliver") == 0) {
            remember_last(w, p);
            deliver(w, p);
        } else {
            say(w, "  %s -> %s (dropped) ", node_name(from, a), node_name(to, b));
            msg_say(w, p->msg);
        }
        packet_free(p);
        return;
    }
    say(w, "  no such message\n");
}

static uint64_t next_deadline(const struct world *w)
{
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < NODES; i++) {
        const struct node *n = &w->node[i];
        uint64_t at = !n->up                   ? UINT64_MAX
                      : n->coordinator != NULL ? coordinator_deadline(n->coordinator)
                                               : participant_deadline(n->participant);
        next = at < next ? at : next;
    }
    return next;
}

/* wait MS: time passes, and everything that it brings happens. */
static void command_wait(struct world *w, char *word[WORDS])
{
    uint64_t end = w->now_us + strtoull(word[1], NULL, 10) * 1000;
    settle(w);
    for (;;) {
        uint64_t next = next_deadline(w);
        if (next > end)
            break;
        w->now_us = next;
        for (int i = 0; i < NODES; i++) {
            struct event tick = {.kind = EVENT_TICK};
            if (w->node[i].up)
                step(w, &w->node[i], &tick);
        }
        settle(w);
    }
    w->now_us = end;
}

/* clocks: every node learns how far the coordinators' clocks are ahead of its own. */
static void command_clocks(struct world *w)
{
    for (int i = 0; i < NODES; i++) {
        for (int c = 0; c < w->coordinators; c++) {
            struct event e = {.kind = EVENT_PEER_CLOCK, .peer = {.node = id_of(c)}};
            e.peer.clock_ahead_ms = w->node[c].clock_ms - w->node[i].clock_ms;
            if (i != c && w->node[i].up)
                step(w, &w->node[i], &e);
        }
    }
}

struct state_line {
    struct world *w;
    const char *name;
};

static void coordinator_state(void *arg, const struct coordinator_view *view)
{
    struct state_line *s = arg;
    say(s->w, "  %s t%d %s", s->name, txn_index(s->w, &view->head.txid), view->state);
    outcome_say(s->w, &view->outcome);
    say(s->w, "\n");
}

static void participant_state(void *arg, const struct participant_view *view)
{
    struct state_line *s = arg;
    say(s->w, "  %s t%d %s", s->name, txn_index(s->w, &view->head.txid), view->state);
    outcome_say(s->w, &view->outcome);
    say(s->w, "\n");
}

static void command_states(struct world *w)
{
    for (int i = 0; i < NODES; i++) {
        struct node *n = &w->node[i];
        char name[4];
        struct state_line line = {w, node_name(i, name)};
        struct fake_claim *c;
        if (n->coordinator != NULL)
            coordinator_each(n->coordinator, coordinator_state, &line);
        if (n->participant != NULL)
            participant_each(n->participant, participant_state, &line);
        TAILQ_FOREACH (c, &n->claims, link)
            say(w, "  %s lock %s%s\n", name, c->key, c->held ? "" : " (waiting)");
    }
}

static void command_node(struct world *w, const char *what, int i)
{
    struct node *n = &w->node[i];
    if (strcmp(what, "crash") == 0) {
        node_crash(w, n);
    } else if (strcmp(what, "restart") == 0) {
        node_boot(w, n);
    } else if (strcmp(what, "store") == 0) {
        if (!store_one(w, n))
            say(w, "  nothing to store\n");
    } else if (strcmp(what, "stall") == 0) {
        n->stalled = true;
    } else if (strcmp(what, "cut") == 0) {
        peers_event(w, i, EVENT_PEER_DOWN);
        w->cut[i] = true;
    } else {
        w->cut[i] = false;
        peers_event(w, i, EVENT_PEER_UP);
    }
}

void world_command(struct world *w, const char *line, struct writer *trace)
{
    char copy[256], *save = NULL, *word[WORDS + 1] = {0};
    static const char *const node_commands[] = {"crash", "restart", "store",
                                                "stall", "cut",     "heal"};
    w->trace = trace;
    snprintf(copy, sizeof copy, "%s", line);
    for (int i = 0; i < WORDS; i++)
        if ((word[i] = strtok_r(i == 0 ? copy : NULL, " ", &save)) == NULL)
            break;
    if (word[0] == NULL)
        return;
    for (size_t i = 0; i < sizeof node_commands / sizeof node_commands[0]; i++) {
        if (strcmp(word[0], node_commands[i]) == 0 && word[1] != NULL) {
            command_node(w, word[0], node_index(word[1]));
            return;
        }
    }
    static const char *const packet_commands[] = {"deliver", "drop", "hold", "copy"};
    for (size_t i = 0; i < sizeof packet_commands / sizeof packet_commands[0]; i++) {
        if (strcmp(word[0], packet_commands[i]) == 0) {
            command_packet(w, word);
            return;
        }
    }
    if (strcmp(word[0], "cluster") == 0)
        command_cluster(w, word);
    else if (strcmp(word[0], "commit") == 0)
        command_commit(w, word);
    else if (strcmp(word[0], "future") == 0)
        command_future(w, word);
    else if (strcmp(word[0], "outcome") == 0)
        command_outcome(w, word);
    else if (strcmp(word[0], "read") == 0 || strcmp(word[0], "snapshot") == 0 ||
             strcmp(word[0], "session") == 0 || strcmp(word[0], "bounded") == 0 ||
             strcmp(word[0], "eventual") == 0)
        command_read(w, word);
    else if (strcmp(word[0], "watch") == 0)
        command_watch(w, word);
    else if (strcmp(word[0], "clock") == 0)
        command_clock(w, word);
    else if (strcmp(word[0], "again") == 0)
        deliver(w, &w->last);
    else if (strcmp(word[0], "release") == 0)
        TAILQ_CONCAT(&w->packets, &w->held, link);
    else if (strcmp(word[0], "clocks") == 0)
        command_clocks(w);
    else if (strcmp(word[0], "run") == 0)
        settle(w);
    else if (strcmp(word[0], "wait") == 0)
        command_wait(w, word);
    else if (strcmp(word[0], "retention") == 0)
        w->retention_ms = (uint32_t)strtoul(word[1], NULL, 10);
    else if (strcmp(word[0], "states") == 0)
        command_states(w);
    else
        say(w, "  unknown command\n");
}
