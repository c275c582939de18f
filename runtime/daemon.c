/* The loop of a node: messages and finished storage jobs become events; the core's effects become
 * sends and storage jobs. The loop thread never touches the disk.
 *
 *   transport --message--> step() --effects--> send now
 *   storage   --done-----> step()          \-> job: run, sync, then send what waited for it
 *
 * Stopping: SIGTERM or SIGINT refuses new work, waits for what is under way (at most STOP_WAIT_MS),
 * sends what is queued, finishes all storage jobs and exits 0. A second signal exits at once. */
#include "runtime/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/crashpoint.h"
#include "runtime/daemon_args.h"
#include "runtime/keys.h"
#include "runtime/storage.h"
#include "runtime/transport.h"

#define STOP_WAIT_MS  5000u
#define STOP_DRAIN_MS 500u
#define WHY_BYTES     512u

struct daemon {
    const struct daemon_role *role;
    struct daemon_args args;
    struct cluster *cluster;
    const struct cluster_node *self;
    struct log_store *store;
    uint32_t incarnation;
    uv_loop_t loop;
    struct transport *transport;
    struct storage *storage;
    uv_async_t stored;
    uv_timer_t deadline, second, stopping, crash;
    uv_signal_t sigterm, sigint;
    uint64_t stop_at_us;
    bool closing;
    uint64_t started_us;
};

enum work_kind { WORK_RECORD, WORK_PREPARE, WORK_LOOKUP, WORK_READ };

/* One storage job for one effect. */
struct work {
    struct storage_job job;
    struct daemon *daemon;
    enum work_kind kind;
    struct record record;
    struct ballot ballot;
    struct blob *ops;
    uint64_t token;
    struct daemon_verdict verdict;
    bool found;
    TAILQ_HEAD(, effect) then;
};

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void run_effects(struct daemon *d, struct effects *effects);

static void arm_deadline(struct daemon *d);

static void daemon_step(struct daemon *d, struct event *e)
{
    struct effects effects;
    effects_init(&effects);
    e->now_us = now_us();
    e->wall_ms = wall_ms();
    d->role->step(d->role->arg, e, &effects);
    run_effects(d, &effects);
    arm_deadline(d);
}

static void on_deadline(uv_timer_t *timer)
{
    struct event e = {.kind = EVENT_TICK};
    daemon_step(timer->data, &e);
}

static void arm_deadline(struct daemon *d)
{
    uint64_t at = d->role->deadline(d->role->arg), now = now_us();
    if (d->closing || at == UINT64_MAX)
        return;
    uv_timer_start(&d->deadline, on_deadline, at > now ? (at - now + 999) / 1000 : 0, 0);
}

/* ---- effects ---- */

static void on_crash(uv_timer_t *timer)
{
    (void)timer;
    crashpoint_die();
}

static void send_message(struct daemon *d, struct addr to, struct msg *m)
{
    crashpoint("before-send", msg_name(m->type));
    assent_status status = transport_send(d->transport, to, m);
    if (status == ASSENT_OVERLOADED || status == ASSENT_TOO_LARGE)
        LOG(LOGGER_WARN, "daemon.not_sent", assent_status_text(status),
            LOG_TEXT("message", msg_name(m->type)), LOG_NUMBER("node", to.node));
    if (crashpoint_reached("after-send", msg_name(m->type)))
        uv_timer_start(&d->crash, on_crash, 1, 0); /* the loop turn's messages leave at its end */
}

/* The record keeps the txid that was asked for, whatever was found. */
static assent_status work_lookup(struct work *w, struct sqlite3 *db)
{
    const struct daemon_role *role = w->daemon->role;
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
    const struct daemon_role *role = w->daemon->role;
    struct sqlite3 *db = log_store_db(store);
    blob_unref(w->verdict.detail);
    blob_unref(w->verdict.results);
    w->verdict = (struct daemon_verdict){0};
    switch (w->kind) {
    case WORK_LOOKUP:
        return work_lookup(w, db);
    case WORK_READ:
        role->read(role->arg, db, w->ops, &w->verdict);
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
    if (w->kind == WORK_RECORD || w->kind == WORK_PREPARE)
        w->daemon->role->durable(w->daemon->role->arg, &w->record);
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

static void work_done(struct storage_job *job);

static struct work *work_new(struct daemon *d, enum work_kind kind)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->daemon = d;
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
    struct daemon *d = w->daemon;
    struct event e = {0};
    struct effect *send;
    if (d->closing) { /* durable, and whoever waits for it will ask again */
        work_free(w);
        return;
    }
    if (w->kind == WORK_RECORD || w->kind == WORK_PREPARE)
        crashpoint("after-store", record_name(w->record.kind));
    TAILQ_FOREACH (send, &w->then, link)
        send_message(d, send->to, send->msg);
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
    daemon_step(d, &e);
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

static void submit(struct daemon *d, struct effect *effect)
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
    effect->record.body = NULL;
    effect->ops = NULL;
    TAILQ_CONCAT(&w->then, &effect->then, link);
    w->job.lazy = is_lazy(w);
    if (w->kind == WORK_RECORD || w->kind == WORK_PREPARE)
        crashpoint("before-store", record_name(w->record.kind));
    storage_submit(d->storage, &w->job);
}

static void run_effects(struct daemon *d, struct effects *effects)
{
    struct effect *effect;
    while ((effect = TAILQ_FIRST(effects)) != NULL) {
        TAILQ_REMOVE(effects, effect, link);
        switch (effect->kind) {
        case EFFECT_SEND:
            send_message(d, effect->to, effect->msg);
            break;
        case EFFECT_HALT:
            LOG(LOGGER_ERROR, "daemon.broken_invariant", effect->why,
                LOG_TEXT("action", "stopped; keep the data directories and report this"));
            _exit(EX_SOFTWARE);
        default:
            submit(d, effect);
            break;
        }
        effect_free(effect);
    }
}

/* ---- transport ---- */

static void on_up(void *arg, const struct peer *peer)
{
    struct event e = {.kind = EVENT_PEER_UP,
                      .peer = {.node = peer->node, .incarnation = peer->incarnation}};
    if (peer->node == 0)
        return;
    daemon_step(arg, &e);
}

static void on_down(void *arg, const struct peer *peer, const char *why)
{
    struct event e = {.kind = EVENT_PEER_DOWN, .peer = {.node = peer->node}};
    (void)why; /* the transport has logged it */
    if (peer->node == 0) {
        e.kind = EVENT_CLIENT_DOWN;
        e.from = (struct addr){0, peer->conn};
    }
    daemon_step(arg, &e);
}

static void answer_status(struct daemon *d, const struct peer *peer, const struct msg *ask)
{
    struct msg *m = msg_new(MSG_STATUS_RESULT, NULL);
    struct writer text = {0};
    struct store_stats stats;
    struct transport_stats net;
    struct rusage usage;
    char line[512];
    storage_stats(d->storage, &stats);
    transport_stats(d->transport, &net);
    getrusage(RUSAGE_SELF, &usage);
    int n =
        snprintf(line, sizeof line,
                 "incarnation %u\nuptime_ms %llu\nstored_rows %llu\nstored_batches %llu\n"
                 "syncs %llu\nreplayed_rows %llu\nmessages_in %llu\nmessages_out %llu\n"
                 "writes %llu\nconnections %llu\nrefused %llu\nmemory_kib_max %ld\n"
                 "disk_full %d\n",
                 d->incarnation, (unsigned long long)((now_us() - d->started_us) / 1000),
                 (unsigned long long)stats.rows, (unsigned long long)stats.batches,
                 (unsigned long long)stats.syncs, (unsigned long long)stats.replayed,
                 (unsigned long long)net.messages_in, (unsigned long long)net.messages_out,
                 (unsigned long long)net.writes, (unsigned long long)net.connections,
                 (unsigned long long)net.refused, usage.ru_maxrss, storage_disk_full(d->storage));
    writer_raw(&text, line, (size_t)n);
    d->role->status(d->role->arg, now_us(), &text);
    m->status_result.request = ask->status.request;
    m->status_result.text = blob_new(writer_view(&text));
    writer_free(&text);
    transport_send(d->transport, (struct addr){peer->node, peer->conn}, m);
    msg_unref(m);
}

static void on_message(void *arg, const struct peer *peer, struct msg *m)
{
    struct daemon *d = arg;
    struct event e = {.kind = EVENT_MESSAGE,
                      .from = {peer->node, peer->conn},
                      .client = peer->node == 0 ? &peer->name : NULL,
                      .msg = m};
    if (m->type == MSG_STATUS)
        answer_status(d, peer, m);
    else
        daemon_step(d, &e);
}

/* Tells the core how far the others' clocks are and how near they are. */
static void on_second(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    for (int i = 0; i < d->cluster->coordinators; i++) {
        const struct peer *peer = transport_peer(d->transport, d->cluster->coordinator[i]);
        if (peer == NULL || peer->rtt_us == 0)
            continue;
        struct event e = {
            .kind = EVENT_PEER_CLOCK,
            .peer = {peer->node, peer->incarnation, peer->clock_ahead_ms, peer->rtt_us}};
        daemon_step(d, &e);
    }
}

static void dial_peers(struct daemon *d)
{
    if (d->role->role != ROLE_COORDINATOR)
        return;
    for (int i = 0; i < d->cluster->nodes; i++) {
        const struct cluster_node *node = &d->cluster->node[i];
        if (node->role == ROLE_PARTICIPANT || node->id > d->self->id)
            transport_dial(d->transport, node->id);
    }
}

/* ---- start and stop ---- */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_transport_closed(void *arg)
{
    struct daemon *d = arg;
    d->transport = NULL;
    uv_walk(&d->loop, close_handle, NULL);
}

static void on_stop_check(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    bool idle = d->role->idle(d->role->arg) && storage_queued(d->storage) == 0;
    if (d->closing || (!idle && now_us() < d->stop_at_us))
        return;
    d->closing = true;
    uv_timer_stop(&d->deadline);
    uv_timer_stop(&d->second);
    uv_timer_stop(&d->stopping);
    LOG(LOGGER_INFO, "daemon.stopping",
        idle ? "drained" : "stopping with transactions under way; recovery decides them",
        LOG_NUMBER("incarnation", d->incarnation));
    transport_close(d->transport, STOP_DRAIN_MS, on_transport_closed, d);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    if (d->stop_at_us != 0)
        _exit(128 + signum);
    LOG(LOGGER_INFO, "daemon.signal", "stopping on a signal", LOG_NUMBER("signal", signum));
    d->stop_at_us = now_us() + STOP_WAIT_MS * UINT64_C(1000);
    d->role->stop(d->role->arg);
    uv_timer_start(&d->stopping, on_stop_check, 0, 20);
}

static void on_wake(void *arg)
{
    uv_async_send(&((struct daemon *)arg)->stored);
}

static void on_stored(uv_async_t *async)
{
    struct daemon *d = async->data;
    if (d->transport != NULL && !d->closing)
        storage_poll(d->storage);
}

static int fail(const struct daemon *d, int code, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", d->role->program, what, why);
    return code;
}

static struct store_identity identity_of(const struct cluster *cluster,
                                         const struct cluster_node *node, const uint8_t *public_key)
{
    struct store_identity id = {.role = node->role, .node = node->id};
    memcpy(id.cluster, cluster->id, sizeof id.cluster);
    memcpy(id.name, node->name, sizeof id.name);
    memcpy(id.public_key, public_key, sizeof id.public_key);
    return id;
}

assent_status daemon_create_store(const struct daemon_role *role, const struct cluster *cluster,
                                  const struct cluster_node *node, const char *dir, char *why,
                                  size_t why_size)
{
    struct store_identity id = identity_of(cluster, node, node->key[0]);
    struct store_role store = role->store_role(role->arg);
    return log_store_create(&disk_posix, dir, &id, &store, why, why_size);
}

/* Cluster file, node, key. 0, or an exit status after saying why. */
static int open_config(struct daemon *d, struct noise_keypair *keys)
{
    char why[WHY_BYTES], path[4096];
    d->cluster = cluster_load(d->args.cluster_file, why, sizeof why);
    if (d->cluster == NULL)
        return fail(d, EX_CONFIG, "cluster file", why);
    d->self = cluster_node_named(d->cluster, d->args.node);
    if (d->self == NULL || d->self->role != d->role->role) {
        snprintf(why, sizeof why, "no %s named '%s'; name one with --node",
                 role_name(d->role->role), d->args.node);
        return fail(d, EX_CONFIG, d->args.cluster_file, why);
    }
    snprintf(path, sizeof path, "%s/" NODE_KEY_FILE, d->args.data_dir);
    if (key_file_load(path, keys, why, sizeof why) != ASSENT_OK)
        return fail(d, EX_CONFIG, "key file", why);
    bool listed = false;
    for (int i = 0; i < d->self->keys; i++)
        listed |= memcmp(d->self->key[i], keys->public, NOISE_KEY_BYTES) == 0;
    if (!listed)
        return fail(d, EX_CONFIG, path,
                    "this key is not one of the node's keys in the cluster file; use the data "
                    "directory that belongs to the node, or list its public key");
    return 0;
}

/* The next incarnation, durable before anything can be connected. */
static int begin_incarnation(struct daemon *d, const struct store_node *node)
{
    struct writer w = {0};
    struct record record = {.kind = RECORD_INCARNATION, .ts = node->ceiling};
    d->incarnation = node->incarnation + 1;
    writer_u32(&w, d->incarnation);
    record.body = blob_new(writer_view(&w));
    writer_free(&w);
    bool good = log_store_begin(d->store) == ASSENT_OK &&
                log_store_append(d->store, &record) == ASSENT_OK &&
                log_store_commit(d->store) == ASSENT_OK;
    blob_unref(record.body);
    return good ? 0 : fail(d, EX_IOERR, d->args.data_dir, log_store_error(d->store));
}

/* Whether starting again may help: a lost database does not come back by itself. */
static int store_exit_status(const struct daemon *d, assent_status status)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/node.db", d->args.data_dir);
    if (status != ASSENT_STORAGE || (access(path, F_OK) != 0 && errno == ENOENT))
        return EX_CONFIG;
    return EX_IOERR;
}

/* The database and the core. 0, or an exit status after saying why. */
static int open_node(struct daemon *d, const struct noise_keypair *keys)
{
    char why[WHY_BYTES];
    struct store_identity id = identity_of(d->cluster, d->self, keys->public);
    struct store_role store_role = d->role->store_role(d->role->arg);
    assent_status status =
        log_store_open(&d->store, &disk_posix, d->args.data_dir, &id, &store_role, why, sizeof why);
    if (status != ASSENT_OK)
        return fail(d, store_exit_status(d, status), d->args.data_dir, why);
    struct daemon_start start = {.cluster = d->cluster, .self = d->self, .store = d->store};
    struct store_stats stats;
    uint32_t in_doubt = 0;
    int rc;
    log_store_node(d->store, &start.recovered);
    if (!d->args.check_config && (rc = begin_incarnation(d, &start.recovered)) != 0)
        return rc;
    start.incarnation = d->incarnation;
    start.seed = (uint64_t)d->self->id << 32 | d->incarnation;
    if (!d->role->open(d->role->arg, &start, &in_doubt, why, sizeof why))
        return fail(d, EX_CONFIG, d->args.data_dir, why);
    log_store_stats(d->store, &stats);
    LOG(LOGGER_INFO, "daemon.recovered", "read the log", LOG_NUMBER("incarnation", d->incarnation),
        LOG_NUMBER("rows", stats.seq), LOG_NUMBER("replayed", stats.replayed),
        LOG_NUMBER("in_doubt", in_doubt));
    return 0;
}

static void init_handles(struct daemon *d)
{
    uv_async_init(&d->loop, &d->stored, on_stored);
    uv_timer_init(&d->loop, &d->deadline);
    uv_timer_init(&d->loop, &d->second);
    uv_timer_init(&d->loop, &d->stopping);
    uv_timer_init(&d->loop, &d->crash);
    uv_signal_init(&d->loop, &d->sigterm);
    uv_signal_init(&d->loop, &d->sigint);
    d->stored.data = d->deadline.data = d->second.data = d->stopping.data = d;
    d->sigterm.data = d->sigint.data = d;
    signal(SIGPIPE, SIG_IGN);
    uv_signal_start(&d->sigterm, on_signal, SIGTERM);
    uv_signal_start(&d->sigint, on_signal, SIGINT);
    uv_timer_start(&d->second, on_second, 1000, 1000);
}

static int open_network(struct daemon *d, const struct noise_keypair *keys)
{
    struct transport_config config = {.cluster = d->cluster, .keys = *keys};
    struct transport_handlers handlers = {d, on_up, on_down, on_message, NULL};
    char why[WHY_BYTES];
    const char *host = d->args.listen_host[0] != '\0' ? d->args.listen_host : NULL;
    uint16_t bound = 0;
    config.self = (struct hello){.role = d->role->role,
                                 .node = d->self->id,
                                 .incarnation = d->incarnation,
                                 .epoch = d->cluster->epoch,
                                 .set_hash = d->cluster->set_hash};
    memcpy(config.self.name, d->self->name, sizeof config.self.name);
    d->transport = transport_new(&d->loop, &config, &handlers);
    if (transport_listen(d->transport, host, d->args.listen_port, &bound, why, sizeof why) != 0)
        return fail(d, EX_UNAVAILABLE, "listen", why);
    LOG(LOGGER_INFO, "daemon.listening", "ready for connections", LOG_NUMBER("port", bound),
        LOG_NUMBER("coordinators", d->cluster->coordinators));
    return 0;
}

static int run(struct daemon *d, const struct noise_keypair *keys)
{
    struct effects effects;
    uv_loop_init(&d->loop);
    init_handles(d);
    int rc = open_network(d, keys);
    if (rc != 0) {
        d->closing = true;
        if (d->transport != NULL)
            transport_close(d->transport, 0, on_transport_closed, d);
        else
            on_transport_closed(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        uv_loop_close(&d->loop);
        return rc;
    }
    d->storage = storage_start(d->store, on_wake, d);
    effects_init(&effects);
    d->role->start(d->role->arg, now_us(), wall_ms(), &effects);
    run_effects(d, &effects);
    arm_deadline(d);
    dial_peers(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    return 0;
}

int daemon_main(const struct daemon_role *role, int argc, char **argv)
{
    struct daemon d = {.role = role, .started_us = now_us()};
    struct noise_keypair keys;
    daemon_args_parse(&d.args, role->program, role->summary, argc, argv);
    logger_open(d.args.node, d.args.level);
    const char *mistake = crashpoint_open();
    if (mistake != NULL)
        return fail(&d, EX_USAGE, "environment", mistake);
    int rc = open_config(&d, &keys);
    if (rc == 0)
        rc = open_node(&d, &keys);
    if (rc == 0 && d.args.check_config)
        printf("%s: %s, cluster %s, epoch %u: everything needed to start is there\n", role->program,
               d.self->name, d.cluster->name, d.cluster->epoch);
    else if (rc == 0)
        rc = run(&d, &keys);
    keypair_wipe(&keys);
    if (d.storage != NULL)
        storage_stop(d.storage);
    else
        log_store_close(d.store);
    role->close(role->arg);
    cluster_free(d.cluster);
    if (rc == 0 && !d.args.check_config)
        LOG(LOGGER_INFO, "daemon.stopped", "stopped cleanly", LOG_NUMBER("status", 0));
    return rc;
}
