/* `assent bench`: closed-loop load: every client commits a transaction at K participants, and then
 * the next one.
 *
 *     WARMING: until every client has committed one, tried again until it does: all is connected
 *     RUNNING: what ends in the given time is measured
 *     DRAINING: what is in flight ends, unmeasured */
#include "client/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <assent/uv.h>

#include "client/clock.h"
#include "client/command_bench.h"
#include "client/command_zipf.h"
#include "common/prng.h"
#include "runtime/cluster.h"
#include "wire/random.h"

#define ZIPF_MOST     5.0
#define WARM_TIMEOUTS 3 /* so many times a transaction's time for the warm-up */
/* Clients begin one after the other over this time: begun at once over a long round trip, they
 * would stay together, and each of them would wait for all the others. */
#define SPREAD_MS     500
#define RETRY_MS      50u
#define KEY_DIRECTORY "bench/"

enum {
    OPTION_CLIENTS = 256,
    OPTION_PARTICIPANTS,
    OPTION_AMONG,
    OPTION_SECONDS,
    OPTION_KEYS,
    OPTION_ZIPF,
    OPTION_VALUE_SIZE,
    OPTION_READ,
    OPTION_ADD,
};

enum bench_phase { BENCH_WARMING, BENCH_RUNNING, BENCH_DRAINING };

struct bench_client {
    struct bench_call *bench;
    uv_timer_t timer; /* before it begins, or tries again */
    bool warm;
};

struct bench_call {
    const struct command_call *call;
    struct bench_config config;
    struct cluster *cluster;
    assent *nodes; /* a second handle, to ask the nodes what they count */
    assent *db;
    uv_loop_t loop;
    uv_timer_t end;
    struct prng prng;
    struct zipf zipf;
    int order[PARTICIPANTS_MAX]; /* of result.part, shuffled: the first K are the next ones */
    uint8_t *value;
    struct bench_client *client;
    int64_t busy, cold; /* clients with a transaction or a retry under way; without a commit yet */
    enum bench_phase phase;
    uint64_t warm_deadline_us, began_us;
    bool closing;
    int rc;
    struct bench_result result;
};

static const struct argp_option options[] = {
    {"clients", OPTION_CLIENTS, "N", 0, "Transactions in flight (default: 16)", 0},
    {"participants", OPTION_PARTICIPANTS, "K", 0,
     "Participants of each transaction, own datacenter first, then one in each (default: 2, or all "
     "there are)",
     0},
    {"among", OPTION_AMONG, "N", 0,
     "Choose the K at random among so many participants (default: all transactions have the same)",
     0},
    {"seconds", OPTION_SECONDS, "N", 0, "How long to measure (default: 10)", 0},
    {"keys", OPTION_KEYS, "N", 0, "Keys at each participant (default: 10000)", 0},
    {"zipf", OPTION_ZIPF, "THETA", 0,
     "Prefer some keys: the chance of the Nth is proportional to 1/N^THETA (default: 0, all alike)",
     0},
    {"value-size", OPTION_VALUE_SIZE, "BYTES", 0, "(default: 100)", 0},
    {"read", OPTION_READ, "PERCENT", 0, "So many of the transactions only read (default: 0)", 0},
    {"add", OPTION_ADD, NULL, 0, "Add 1 to integers instead of putting values", 0},
    {0},
};

static int zipf_option(const char *arg, double *out)
{
    char *end;
    double theta = strtod(arg, &end);
    if (strspn(arg, "0123456789.") != strlen(arg) || end == arg || *end != '\0' ||
        theta > ZIPF_MOST)
        return command_fail(EX_USAGE, "--zipf: '%.80s' is not a number from 0 to %g", arg,
                            ZIPF_MOST);
    *out = theta;
    return 0;
}

static int option(struct command_call *call, int key, char *arg)
{
    struct bench_config *c = &((struct bench_call *)call->own)->config;
    switch (key) {
    case OPTION_CLIENTS:
        return command_number("--clients", arg, 1, LED_MAX, &c->clients);
    case OPTION_PARTICIPANTS:
        return command_number("--participants", arg, 1, PARTICIPANTS_MAX, &c->participants);
    case OPTION_AMONG:
        return command_number("--among", arg, 1, PARTICIPANTS_MAX, &c->among);
    case OPTION_SECONDS:
        return command_number("--seconds", arg, 1, 86400, &c->seconds);
    case OPTION_KEYS:
        return command_number("--keys", arg, 1, INT32_MAX, &c->keys);
    case OPTION_ZIPF:
        return zipf_option(arg, &c->zipf);
    case OPTION_VALUE_SIZE:
        return command_number("--value-size", arg, 1, VALUE_BYTES_MAX, &c->value_size);
    case OPTION_READ:
        return command_number("--read", arg, 0, 100, &c->read_percent);
    default:
        c->adds = true;
        return 0;
    }
}

/* ---- where the keys are ---- */

/* A prefix whose keys are at this participant only, or NULL. */
static const struct placement *own_placement(const struct cluster *cluster, node_id node)
{
    for (int i = 0; i < cluster->placements; i++)
        if (cluster->placement[i].replicas == 1 && cluster->placement[i].replica[0] == node)
            return &cluster->placement[i];
    return NULL;
}

/* The `round`th participant of the datacenter that has keys of its own, or NULL. */
static const struct cluster_node *nth_of_dc(const struct cluster *cluster, int dc, int round)
{
    for (int i = 0; i < cluster->nodes; i++) {
        const struct cluster_node *node = &cluster->node[i];
        if (node->role == ROLE_PARTICIPANT && node->datacenter == dc &&
            own_placement(cluster, node->id) != NULL && round-- == 0)
            return node;
    }
    return NULL;
}

static int choose_participants(struct bench_call *b)
{
    const struct cluster *cluster = b->cluster;
    struct bench_config *c = &b->config;
    bool asked = c->participants != 0 || c->among != 0;
    int first = 0;
    c->participants = c->participants != 0 ? c->participants : 2;
    int64_t wanted = c->among != 0 ? c->among : c->participants;
    for (int i = 0; i < cluster->datacenters; i++)
        if (b->call->datacenter != NULL && strcmp(cluster->datacenter[i], b->call->datacenter) == 0)
            first = i;
    bool more = true;
    for (int round = 0; more && b->result.parts < wanted; round++) {
        more = false;
        for (int i = 0; i < cluster->datacenters && b->result.parts < wanted; i++) {
            const struct cluster_node *node =
                nth_of_dc(cluster, (first + i) % cluster->datacenters, round);
            const struct placement *own = node == NULL ? NULL : own_placement(cluster, node->id);
            if (own == NULL)
                continue;
            more = true;
            b->result.part[b->result.parts++] =
                (struct bench_part){.name = node->name, .prefix = own->prefix};
        }
    }
    if (b->result.parts == 0 || (asked && b->result.parts < wanted))
        return command_fail(EX_USAGE,
                            "%s: %d have a prefix of their own in the cluster file, not "
                            "%d: ask for fewer, or place more",
                            c->among != 0 ? "--among" : "--participants", b->result.parts,
                            (int)wanted);
    if (asked && c->participants > wanted)
        return command_fail(EX_USAGE, "--among: %d are fewer than the %d of one transaction",
                            (int)wanted, (int)c->participants);
    c->among = b->result.parts;
    c->participants = c->participants < c->among ? c->participants : c->among;
    for (int i = 0; i < b->result.parts; i++)
        b->order[i] = i;
    return 0;
}

/* ---- what the nodes count ---- */

static bool count_syncs(const struct bench_call *b, uint64_t *out)
{
    assent_node *nodes;
    size_t n;
    bool any = false;
    *out = 0;
    if (assent_nodes(b->nodes, 2000, &nodes, &n) != ASSENT_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t syncs;
        if (nodes[i].reachable && command_node_number(nodes[i].text, "syncs", &syncs)) {
            *out += syncs;
            any = true;
        }
    }
    assent_nodes_free(nodes);
    return any;
}

/* ---- the load ---- */

static void client_next(struct bench_client *c);

/* The first K of `order` are any K of them, where there are more. */
static void shuffle(struct bench_call *b)
{
    int k = (int)b->config.participants, n = b->result.parts;
    for (int i = 0; k < n && i < k; i++) {
        int j = i + (int)prng_below(&b->prng, (uint64_t)(n - i)), at = b->order[i];
        b->order[i] = b->order[j];
        b->order[j] = at;
    }
}

static assent_status build(struct bench_call *b, assent_txn *t)
{
    assent_status status = ASSENT_OK;
    bool reads = prng_below(&b->prng, 100) < (uint64_t)b->config.read_percent;
    shuffle(b);
    for (int i = 0; status == ASSENT_OK && i < b->config.participants; i++) {
        char key[KEY_BYTES_MAX + 64];
        struct bytes prefix = b->result.part[b->order[i]].prefix;
        memcpy(key, prefix.data, prefix.len);
        int digits = snprintf(key + prefix.len, 64, KEY_DIRECTORY "%s%08" PRIu64,
                              b->config.adds ? "n" : "v", zipf_next(&b->zipf, &b->prng));
        size_t len = prefix.len + (size_t)digits;
        if (reads)
            status = assent_read(t, key, len);
        else if (b->config.adds)
            status = assent_add(t, key, len, 1, NULL);
        else
            status = assent_put(t, key, len, b->value, (size_t)b->config.value_size);
    }
    return status;
}

static void end_closed(void *arg)
{
    struct bench_call *b = arg;
    uv_close((uv_handle_t *)&b->end, NULL);
    for (int64_t i = 0; i < b->config.clients; i++)
        uv_close((uv_handle_t *)&b->client[i].timer, NULL);
}

/* Once nothing is in flight. */
static void close_when_idle(struct bench_call *b)
{
    if (b->busy > 0 || b->closing)
        return;
    b->closing = true;
    assent_close_uv(b->db, end_closed, b);
}

static void stop(struct bench_call *b, int rc)
{
    if (b->rc == 0)
        b->rc = rc;
    b->phase = BENCH_DRAINING;
    for (int64_t i = 0; i < b->config.clients; i++)
        if (uv_is_active((uv_handle_t *)&b->client[i].timer)) {
            uv_timer_stop(&b->client[i].timer);
            b->busy--;
        }
    close_when_idle(b);
}

static void on_end(uv_timer_t *timer)
{
    struct bench_call *b = timer->data;
    b->result.seconds = (double)(clock_now_us() - b->began_us) / 1e6;
    stop(b, 0);
}

static void start_measuring(struct bench_call *b)
{
    b->phase = BENCH_RUNNING;
    b->began_us = clock_now_us();
    uv_update_time(&b->loop);
    uv_timer_start(&b->end, on_end, (uint64_t)b->config.seconds * 1000, 0);
}

static void on_later(uv_timer_t *timer)
{
    struct bench_client *c = timer->data;
    c->bench->busy--;
    client_next(c);
}

static void client_later(struct bench_client *c, uint64_t ms)
{
    c->bench->busy++;
    uv_timer_start(&c->timer, on_later, ms, 0);
}

static void warmed(struct bench_client *c, assent_status status, const char *why)
{
    struct bench_call *b = c->bench;
    if (status != ASSENT_OK && (assent_retryable(status) || assent_maybe_committed(status)) &&
        (c->warm || clock_now_us() < b->warm_deadline_us)) {
        client_later(c, RETRY_MS);
        return;
    }
    if (status != ASSENT_OK) {
        stop(b, command_fail_status(b->call, status, why));
        return;
    }
    b->cold -= !c->warm;
    c->warm = true;
    if (b->cold == 0)
        start_measuring(b);
    client_next(c);
}

static void on_commit(assent_txn *t, assent_status status, const assent_commit_info *info,
                      const char *why, void *arg)
{
    struct bench_client *c = arg;
    struct bench_call *b = c->bench;
    b->busy--;
    b->result.committed_all += status == ASSENT_OK;
    assent_txn_free(t);
    switch (b->phase) {
    case BENCH_WARMING:
        warmed(c, status, why);
        return;
    case BENCH_RUNNING:
        bench_count(&b->result, status, info);
        if (status == ASSENT_OVERLOADED)
            client_later(c, RETRY_MS);
        else
            client_next(c);
        return;
    case BENCH_DRAINING:
        close_when_idle(b);
        return;
    }
}

static void client_next(struct bench_client *c)
{
    struct bench_call *b = c->bench;
    assent_txn *t = assent_txn_new(b->db);
    assent_status status = build(b, t);
    if (status == ASSENT_OK)
        status = assent_commit_uv(t, 0, on_commit, c);
    b->busy += status == ASSENT_OK;
    if (status == ASSENT_OK)
        return;
    assent_txn_free(t);
    stop(b, command_fail_status(b->call, status, assent_error()));
}

/* ---- the subcommand ---- */

static int run_load(struct bench_call *b, const assent_options *how)
{
    uv_loop_init(&b->loop);
    assent_status status = assent_open_uv(&b->db, &b->loop, how);
    if (status != ASSENT_OK) {
        uv_loop_close(&b->loop);
        return command_fail_status(b->call, status, assent_error());
    }
    uint64_t ms = b->call->timeout_ms == 0 ? TXN_TIMEOUT_MS_DEFAULT : b->call->timeout_ms;
    b->warm_deadline_us = clock_now_us() + ms * 1000 * WARM_TIMEOUTS;
    b->client = xcalloc((size_t)b->config.clients, sizeof *b->client);
    b->value = xmalloc((size_t)b->config.value_size);
    memset(b->value, 'x', (size_t)b->config.value_size);
    prng_seed(&b->prng, random_bits());
    zipf_init(&b->zipf, (uint64_t)b->config.keys, b->config.zipf);
    b->cold = b->config.clients;
    uv_timer_init(&b->loop, &b->end);
    b->end.data = b;
    for (int64_t i = 0; i < b->config.clients; i++) {
        b->client[i].bench = b;
        uv_timer_init(&b->loop, &b->client[i].timer);
        b->client[i].timer.data = &b->client[i];
        client_later(&b->client[i], (uint64_t)(i * SPREAD_MS / b->config.clients));
    }
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
    free(b->client);
    free(b->value);
    return b->rc;
}

static void defaults(struct bench_config *c)
{
    c->clients = c->clients == 0 ? 16 : c->clients;
    c->seconds = c->seconds == 0 ? 10 : c->seconds;
    c->keys = c->keys == 0 ? 10000 : c->keys;
    c->value_size = c->value_size == 0 ? 100 : c->value_size;
}

static int run_opened(struct bench_call *b, const assent_options *how)
{
    uint64_t before = 0, after;
    int rc = choose_participants(b);
    if (rc == 0)
        rc = command_open(b->call, &b->nodes);
    if (rc != 0)
        return rc;
    bool counted = count_syncs(b, &before);
    rc = run_load(b, how);
    if (rc == 0) {
        b->result.has_syncs = counted && count_syncs(b, &after) && after >= before;
        b->result.syncs = b->result.has_syncs ? after - before : 0;
        bench_show(&b->config, &b->result, b->call->output);
        if (b->result.committed.n == 0)
            rc =
                command_fail(EXIT_ABORTED, "bench: nothing committed: 'assent status' may say why");
    }
    assent_close(b->nodes);
    return rc;
}

static int run(struct command_call *call)
{
    struct bench_call *b = call->own;
    assent_options how;
    char why[512];
    b->call = call;
    defaults(&b->config);
    int rc = command_options(call, &how);
    if (rc != 0)
        return rc;
    b->cluster = cluster_load(how.cluster_file, why, sizeof why);
    if (b->cluster == NULL)
        return command_fail(EX_CONFIG, "bench: %s", why);
    rc = run_opened(b, &how);
    cluster_free(b->cluster);
    return rc;
}

const struct command command_bench = {
    .name = "bench",
    .words = "",
    .summary = "Measures commits: throughput, latency, where the time goes",
    .detail =
        "Each client commits one transaction after the other, with one random key at each of K "
        "participants (keys under the prefixes that only these hold, PREFIX" KEY_DIRECTORY
        "...). Latencies are of committed transactions.",
    .connects = true,
    .options = options,
    .option = option,
    .own_size = sizeof(struct bench_call),
    .run = run,
};
