#include "runtime/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"
#include "runtime/crashpoint.h"

enum work_kind { WORK_RECORD, WORK_PREPARE, WORK_LOOKUP, WORK_READ };

/* One storage job for one effect. */
struct work {
    struct storage_job job;
    struct driver *driver;
    enum work_kind kind;
    struct record record;
    struct ballot ballot;
    struct blob *ops;
    uint64_t token;
    struct read_point point;
    struct node_verdict verdict;
    bool found;
    TAILQ_HEAD(, effect) then;
};

/* ---- the core ---- */

static void run_effects(struct driver *d, struct effects *effects);

void driver_step(struct driver *d, struct event *e)
{
    struct effects effects;
    effects_init(&effects);
    e->now_us = d->host.now_us(d->host.arg);
    e->wall_ms = d->host.wall_ms(d->host.arg);
    d->role->step(d->role->arg, e, &effects);
    run_effects(d, &effects);
    d->host.stepped(d->host.arg);
}

void driver_start(struct driver *d)
{
    struct effects effects;
    effects_init(&effects);
    d->role->start(d->role->arg, d->host.now_us(d->host.arg), d->host.wall_ms(d->host.arg),
                   &effects);
    run_effects(d, &effects);
    d->host.stepped(d->host.arg);
}

/* ---- jobs ---- */

/* The record keeps the txid that was asked for, whatever was found. */
static assent_status work_lookup(struct work *w, struct sqlite3 *db)
{
    const struct node_role *role = w->driver->role;
    const struct txid txid = w->record.txid;
    blob_unref(w->record.body);
    w->record = (struct record){0};
    w->found = false;
    assent_status status = role->lookup(role->arg, db, &txid, &w->found, &w->record);
    w->record.txid = txid;
    return status;
}

static assent_status work_run(struct storage_job *job, struct log_store *store)
{
    struct work *w = (struct work *)job;
    const struct node_role *role = w->driver->role;
    struct sqlite3 *db = log_store_db(store);
    blob_unref(w->verdict.detail);
    blob_unref(w->verdict.results);
    w->verdict = (struct node_verdict){0};
    switch (w->kind) {
    case WORK_LOOKUP:
        return work_lookup(w, db);
    case WORK_READ:
        role->read(role->arg, db, &w->point, w->ops, &w->verdict);
        return ASSENT_OK;
    case WORK_PREPARE:
        role->check(role->arg, db, &w->record, w->ops, &w->verdict);
        if (w->verdict.status != ASSENT_OK)
            return w->verdict.status;
        break;
    case WORK_RECORD:
        break;
    }
    return log_store_append(store, &w->record);
}

static void work_commit(struct storage_job *job, struct log_store *store)
{
    struct work *w = (struct work *)job;
    (void)store;
    const struct driver *d = w->driver;
    if (w->kind != WORK_RECORD && w->kind != WORK_PREPARE)
        return;
    d->role->durable(d->role->arg, &w->record);
    if (d->host.durable != NULL)
        d->host.durable(d->host.arg, &w->record);
}

static void work_free(struct work *w)
{
    struct effect *send;
    while ((send = TAILQ_FIRST(&w->then)) != NULL) {
        TAILQ_REMOVE(&w->then, send, link);
        effect_free(send);
    }
    blob_unref(w->record.body);
    blob_unref(w->ops);
    blob_unref(w->verdict.detail);
    blob_unref(w->verdict.results);
    free(w);
}

void driver_drop(struct storage_job *job)
{
    work_free((struct work *)job);
}

static void work_done(struct storage_job *job);

static struct work *work_new(struct driver *d, enum work_kind kind)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->driver = d;
    w->kind = kind;
    TAILQ_INIT(&w->then);
    w->job.run = work_run;
    w->job.commit = work_commit;
    w->job.done = work_done;
    w->job.refusable = kind == WORK_PREPARE || kind == WORK_READ;
    w->job.reads_only = kind == WORK_LOOKUP || kind == WORK_READ;
    return w;
}

static void work_done(struct storage_job *job)
{
    struct work *w = (struct work *)job;
    struct driver *d = w->driver;
    struct event e = {0};
    struct effect *send;
    if (d->closing) { /* durable, and whoever waits for it will ask again */
        work_free(w);
        return;
    }
    if (w->kind == WORK_RECORD || w->kind == WORK_PREPARE)
        crashpoint("after-store", record_name(w->record.kind));
    TAILQ_FOREACH (send, &w->then, link)
        d->host.send(d->host.arg, send->to, send->msg);
    switch (w->kind) {
    case WORK_LOOKUP:
        e.kind = EVENT_LOADED;
        e.loaded = (struct event_loaded){w->record.txid, w->found ? &w->record : NULL};
        break;
    case WORK_READ:
        e.kind = EVENT_READ_DONE;
        e.read_done = (struct event_read_done){
            w->token, job->status != ASSENT_OK ? job->status : w->verdict.status, w->verdict.detail,
            w->verdict.results};
        break;
    case WORK_RECORD:
    case WORK_PREPARE:
        e.kind = EVENT_STORED;
        e.stored = (struct event_stored){.kind = w->record.kind,
                                         .txid = w->record.txid,
                                         .ballot = w->ballot,
                                         .status = job->status,
                                         .detail = w->verdict.detail,
                                         .results = w->verdict.results};
        break;
    }
    driver_step(d, &e);
    work_free(w);
}

/* Records that a decision is carried out or done with: the next transaction's may share their sync.
 */
static bool is_lazy(const struct work *w)
{
    enum record_kind kind = w->record.kind;
    return w->kind == WORK_RECORD && (kind == RECORD_COMMITTED || kind == RECORD_ABORTED ||
                                      kind == RECORD_FINISHED || kind == RECORD_WATERMARK);
}

static void submit(struct driver *d, struct effect *effect)
{
    static const enum work_kind kinds[] = {[EFFECT_PERSIST] = WORK_RECORD,
                                           [EFFECT_PREPARE] = WORK_PREPARE,
                                           [EFFECT_LOOKUP] = WORK_LOOKUP,
                                           [EFFECT_READ] = WORK_READ};
    struct work *w = work_new(d, kinds[effect->kind]);
    w->record = effect->record;
    w->ballot = effect->ballot;
    w->ops = effect->ops;
    w->token = effect->token;
    w->point = effect->point;
    effect->record.body = NULL;
    effect->ops = NULL;
    TAILQ_CONCAT(&w->then, &effect->then, link);
    w->job.lazy = is_lazy(w);
    if (w->kind == WORK_RECORD || w->kind == WORK_PREPARE)
        crashpoint("before-store", record_name(w->record.kind));
    d->host.submit(d->host.arg, &w->job);
}

static void run_effects(struct driver *d, struct effects *effects)
{
    struct effect *effect;
    while ((effect = TAILQ_FIRST(effects)) != NULL) {
        TAILQ_REMOVE(effects, effect, link);
        switch (effect->kind) {
        case EFFECT_SEND:
            d->host.send(d->host.arg, effect->to, effect->msg);
            break;
        case EFFECT_HALT:
            d->host.halt(d->host.arg, effect->why);
            break;
        default:
            submit(d, effect);
            break;
        }
        effect_free(effect);
    }
}

/* ---- open ---- */

struct store_identity driver_identity(const struct cluster *cluster,
                                      const struct cluster_node *node,
                                      const uint8_t public_key[NOISE_KEY_BYTES])
{
    struct store_identity id = {.role = node->role, .node = node->id};
    memcpy(id.cluster, cluster->id, sizeof id.cluster);
    memcpy(id.name, node->name, sizeof id.name);
    memcpy(id.public_key, public_key, sizeof id.public_key);
    return id;
}

/* The next incarnation, durable before anything can be connected. */
static assent_status begin_incarnation(struct node_start *start, char *why, size_t why_size)
{
    struct writer w = {0};
    struct record record = {.kind = RECORD_INCARNATION, .ts = start->recovered.ceiling};
    start->incarnation = start->recovered.incarnation + 1;
    writer_u32(&w, start->incarnation);
    record.body = blob_new(writer_view(&w));
    writer_free(&w);
    assent_status status = log_store_begin(start->store);
    if (status == ASSENT_OK && !MUTANT(INCARNATION_NOT_DURABLE))
        status = log_store_append(start->store, &record);
    if (status == ASSENT_OK)
        status = log_store_commit(start->store);
    blob_unref(record.body);
    if (status != ASSENT_OK)
        snprintf(why, why_size, "%.400s%s", log_store_error(start->store),
                 status == ASSENT_DISK_FULL ? "; free space on its disk and start again" : "");
    return status == ASSENT_OK ? ASSENT_OK : ASSENT_STORAGE;
}

assent_status driver_open(const struct node_role *role, const struct disk *disk, const char *dir,
                          const uint8_t public_key[NOISE_KEY_BYTES], bool only_look,
                          struct node_start *start, uint32_t *in_doubt, char *why, size_t why_size)
{
    struct store_identity id = driver_identity(start->cluster, start->self, public_key);
    struct store_role store_role = role->store_role(role->arg);
    assent_status status =
        log_store_open(&start->store, disk, dir, &id, &store_role, why, why_size);
    if (status != ASSENT_OK)
        return status;
    log_store_node(start->store, &start->recovered);
    if (!only_look)
        status = begin_incarnation(start, why, why_size);
    start->seed ^= (uint64_t)start->self->id << 32 | start->incarnation;
    if (status == ASSENT_OK)
        status = role->open(role->arg, start, in_doubt, why, why_size);
    return status;
}
