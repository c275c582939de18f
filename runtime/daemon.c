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
#include <unistd.h>
#include <uv.h>

#include "runtime/crashpoint.h"
#include "runtime/daemon_args.h"
#include "runtime/driver.h"
#include "runtime/keys.h"
#include "runtime/storage.h"
#include "runtime/test_clock.h"
#include "runtime/transport.h"
#include "wire/random.h"

#define STOP_WAIT_MS  5000u
#define STOP_DRAIN_MS 500u
#define WHY_BYTES     512u

struct daemon {
    const struct node_role *role;
    struct daemon_args args;
    struct cluster *cluster;
    const struct cluster_node *self;
    struct driver driver;
    struct node_start start;
    uv_loop_t loop;
    struct transport *transport;
    struct storage *storage;
    uv_async_t stored;
    uv_timer_t deadline, second, stopping, crash;
    uv_signal_t sigterm, sigint;
    uint64_t stop_at_us;
    bool closing;
    uint64_t started_us;
    uint64_t armed_us; /* when `deadline` fires; UINT64_MAX: it does not run */
};

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

/* ---- the host of the driver and of the storage ---- */

static uint64_t host_now_us(void *arg)
{
    (void)arg;
    return now_us();
}

static uint64_t host_wall_ms(void *arg)
{
    (void)arg;
    return test_clock_wall_ms();
}

static void on_deadline(uv_timer_t *timer);

/* A deadline that has moved away is looked at when the timer fires: most are never reached. */
static void arm_deadline(void *arg)
{
    struct daemon *d = arg;
    uint64_t at = d->role->deadline(d->role->arg);
    if (d->closing || at >= d->armed_us)
        return;
    uint64_t now = now_us();
    d->armed_us = at;
    uv_timer_start(&d->deadline, on_deadline, at > now ? (at - now + 999) / 1000 : 0, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct event e = {.kind = EVENT_TICK};
    d->armed_us = UINT64_MAX;
    if (d->role->deadline(d->role->arg) <= now_us())
        driver_step(&d->driver, &e);
    else
        arm_deadline(d);
}

static void on_crash(uv_timer_t *timer)
{
    (void)timer;
    crashpoint_die();
}

static void send_message(void *arg, struct addr to, struct msg *m)
{
    struct daemon *d = arg;
    crashpoint("before-send", msg_name(m->type));
    assent_status status = transport_send(d->transport, to, m);
    if (status == ASSENT_OVERLOADED || status == ASSENT_TOO_LARGE)
        LOG(LOGGER_WARN, "daemon.not_sent", assent_status_text(status),
            LOG_TEXT("message", msg_name(m->type)), LOG_NUMBER("node", to.node));
    if (crashpoint_reached("after-send", msg_name(m->type)))
        uv_timer_start(&d->crash, on_crash, 1, 0); /* the loop turn's messages leave at its end */
}

static void submit(void *arg, struct storage_job *job)
{
    storage_submit(((struct daemon *)arg)->storage, job);
}

static void halt(void *arg, const char *why)
{
    (void)arg;
    LOG(LOGGER_ERROR, "daemon.broken_invariant", why,
        LOG_TEXT("action", "stopped; keep the data directories and report this"));
    _exit(EX_SOFTWARE);
}

/* ---- transport ---- */

static void on_up(void *arg, const struct peer *peer)
{
    struct event e = {.kind = EVENT_PEER_UP,
                      .peer = {.node = peer->node, .incarnation = peer->incarnation}};
    if (peer->node == 0)
        return;
    driver_step(&((struct daemon *)arg)->driver, &e);
}

static void on_down(void *arg, const struct peer *peer, const char *why)
{
    struct event e = {.kind = EVENT_PEER_DOWN, .peer = {.node = peer->node}};
    (void)why; /* the transport has logged it */
    if (peer->node == 0) {
        e.kind = EVENT_CLIENT_DOWN;
        e.from = (struct addr){0, peer->conn};
    }
    driver_step(&((struct daemon *)arg)->driver, &e);
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
                 d->start.incarnation, (unsigned long long)((now_us() - d->started_us) / 1000),
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
        driver_step(&d->driver, &e);
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
        driver_step(&d->driver, &e);
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
    d->driver.closing = true;
    uv_timer_stop(&d->deadline);
    uv_timer_stop(&d->second);
    uv_timer_stop(&d->stopping);
    LOG(LOGGER_INFO, "daemon.stopping",
        idle ? "drained" : "stopping with transactions under way; recovery decides them",
        LOG_NUMBER("incarnation", d->start.incarnation));
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

static void storage_broken(void *arg, const char *why)
{
    (void)arg;
    fprintf(
        stderr,
        "assent: storage failed, stopping at once: %s; mend the disk and start it again: the start "
        "checks the files and recovers from the log\n",
        why);
    fflush(stderr);
    _exit(EX_IOERR);
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

assent_status daemon_create_store(const struct node_role *role, const struct cluster *cluster,
                                  const struct cluster_node *node, const char *dir, char *why,
                                  size_t why_size)
{
    struct store_identity id = driver_identity(cluster, node, node->key[0]);
    struct store_role store = role->store_role(role->arg);
    return log_store_create(&disk_posix, dir, &id, &store, LOG_STORE_TAIL_BYTES, why, why_size);
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
    struct store_stats stats;
    uint32_t in_doubt = 0;
    d->start = (struct node_start){.cluster = d->cluster, .self = d->self, .seed = random_bits()};
    assent_status status = driver_open(d->role, &disk_posix, d->args.data_dir, keys->public,
                                       d->args.check_config, &d->start, &in_doubt, why, sizeof why);
    if (status != ASSENT_OK)
        return fail(d, store_exit_status(d, status), d->args.data_dir, why);
    log_store_stats(d->start.store, &stats);
    LOG(LOGGER_INFO, "daemon.recovered", "read the log",
        LOG_NUMBER("incarnation", d->start.incarnation), LOG_NUMBER("rows", stats.seq),
        LOG_NUMBER("restored", stats.restored), LOG_NUMBER("replayed", stats.replayed),
        LOG_NUMBER("in_doubt", in_doubt));
    return 0;
}

static void init_handles(struct daemon *d)
{
    uv_async_init(&d->loop, &d->stored, on_stored);
    uv_timer_init(&d->loop, &d->deadline);
    d->armed_us = UINT64_MAX;
    uv_timer_init(&d->loop, &d->second);
    uv_timer_init(&d->loop, &d->stopping);
    uv_timer_init(&d->loop, &d->crash);
    uv_signal_init(&d->loop, &d->sigterm);
    uv_signal_init(&d->loop, &d->sigint);
    d->stored.data = d->deadline.data = d->second.data = d->stopping.data = d;
    d->sigterm.data = d->sigint.data = d;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of the write that meets it */
    uv_signal_start(&d->sigterm, on_signal, SIGTERM);
    uv_signal_start(&d->sigint, on_signal, SIGINT);
    uv_timer_start(&d->second, on_second, 1000, 1000);
}

static int open_network(struct daemon *d, const struct noise_keypair *keys)
{
    struct transport_config config = {
        .cluster = d->cluster, .keys = *keys, .wall_ms = test_clock_wall_ms};
    struct transport_handlers handlers = {d, on_up, on_down, on_message, NULL};
    char why[WHY_BYTES];
    const char *host = d->args.listen_host[0] != '\0' ? d->args.listen_host : NULL;
    uint16_t bound = 0;
    config.self = (struct hello){.role = d->role->role,
                                 .node = d->self->id,
                                 .incarnation = d->start.incarnation,
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
    const struct storage_host host = {d, on_wake, host_now_us, storage_broken, 0};
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
    d->storage = storage_new(d->start.store, &host);
    storage_start(d->storage);
    driver_start(&d->driver);
    dial_peers(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    return 0;
}

int daemon_main(const struct node_role *role, int argc, char **argv)
{
    struct daemon d = {.role = role, .started_us = now_us()};
    d.driver.role = role;
    d.driver.host = (struct driver_host){.arg = &d,
                                         .now_us = host_now_us,
                                         .wall_ms = host_wall_ms,
                                         .send = send_message,
                                         .submit = submit,
                                         .stepped = arm_deadline,
                                         .halt = halt};
    struct noise_keypair keys;
    daemon_args_parse(&d.args, role->program, role->summary, argc, argv);
    logger_open(d.args.node, d.args.level);
    const char *mistake = crashpoint_open();
    if (mistake == NULL)
        mistake = test_clock_open();
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
        log_store_close(d.start.store);
    role->close(role->arg);
    cluster_free(d.cluster);
    if (rc == 0 && !d.args.check_config)
        LOG(LOGGER_INFO, "daemon.stopped", "stopped cleanly", LOG_NUMBER("status", 0));
    return rc;
}
