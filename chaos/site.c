#include "chaos/site.h"

#include <assent/uv.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/prng.h"
#include "runtime/cluster_write.h"
#include "runtime/file.h"

#define PORT_FIRST    20000 /* below the range that outgoing connections take theirs from */
#define PORT_LAST     32000
#define PORT_TRIES    1000
#define LOOK_MS       2000
#define CLIENT_MS     15000 /* of calls without a time of their own */
#define LOOK_AGAIN_US 50000
#define PREFIX_BYTES  (NAME_BYTES_MAX + 8)

uint64_t chaos_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void chaos_sleep_us(uint64_t us)
{
    nanosleep(&(struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000}, NULL);
}

/* ---- making the cluster ---- */

/* Bound to the port, or -1. */
static int port_take(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool ports_are_free(int base, int n)
{
    for (int i = 0; i < n; i++) {
        int fd = port_take(base + i);
        if (fd < 0)
            return false;
        close(fd);
    }
    return true;
}

/* The first of n free ports in a row. Nobody holds them before the nodes listen, and runs may be
 * started at once: so the port behind them is held, as *guard. Of two rows that overlap one has the
 * other's guard in it, and that was taken before the row was looked at. */
static int free_ports(int n, int *guard)
{
    struct prng prng;
    int base = PORT_FIRST;
    prng_seed(&prng, (uint64_t)getpid() << 32 ^ chaos_now_us());
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        base = PORT_FIRST + (int)prng_below(&prng, (uint64_t)(PORT_LAST - PORT_FIRST - n));
        *guard = port_take(base + n);
        if (*guard >= 0 && ports_are_free(base, n))
            break;
        if (*guard >= 0)
            close(*guard);
        *guard = -1;
    }
    return base;
}

/* Keys, databases and a first cluster file, by the command that users have for it. */
static bool init_cluster(struct site *s)
{
    const struct scenario *c = s->scenario;
    char program[4096], names[SCENARIO_DATACENTERS_MAX * (NAME_BYTES_MAX + 1) + 1] = "";
    char coordinators[16], participants[16], port[16], dir[4096];
    int nodes = c->coordinators + c->datacenters * c->participants;
    size_t len = 0;
    if (!process_sibling("assent", program, sizeof program)) {
        fprintf(stderr, "assent-chaos: assent is not beside this program; run make\n");
        return false;
    }
    for (int i = 0; i < c->datacenters; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i == 0 ? "" : ",",
                                c->datacenter[i]);
    snprintf(coordinators, sizeof coordinators, "%d", c->coordinators);
    snprintf(participants, sizeof participants, "%d", c->participants);
    snprintf(port, sizeof port, "%d", free_ports(nodes, &s->port_guard));
    snprintf(dir, sizeof dir, "%s", s->dir);
    char *argv[] = {
        program,      (char[]){"init"},           dir,          (char[]){"--datacenters"},
        names,        (char[]){"--coordinators"}, coordinators, (char[]){"--participants-per-dc"},
        participants, (char[]){"--base-port"},    port,         NULL};
    return process_run(argv) == 0;
}

/* "all/" on the first participant of every datacenter, "p/<name>/" on each. `text` keeps the
 * prefixes. */
static void add_placements(struct cluster *c, char (*text)[PREFIX_BYTES])
{
    struct placement *all = &c->placement[c->placements++];
    uint64_t seen = 0;
    *all = (struct placement){.prefix = bytes_of_text("all/")};
    for (int i = 0; i < c->nodes; i++) {
        const struct cluster_node *node = &c->node[i];
        if (node->role != ROLE_PARTICIPANT)
            continue;
        if ((seen >> node->datacenter & 1) == 0)
            all->replica[all->replicas++] = node->id;
        seen |= UINT64_C(1) << node->datacenter;
        snprintf(text[i], sizeof text[i], "p/%s/", node->name);
        c->placement[c->placements++] = (struct placement){
            .prefix = bytes_of_text(text[i]), .replicas = 1, .replica = {node->id}};
    }
}

/* Writes the cluster file anew, with the scenario's times and placements, and loads it. */
static bool settle_cluster(struct site *s)
{
    char path[4200], why[512], text[SITE_NODES_MAX][PREFIX_BYTES];
    snprintf(path, sizeof path, "%s/cluster.yaml", s->dir);
    struct cluster *made = cluster_load(path, why, sizeof why);
    if (made != NULL) {
        struct cluster c = *made;
        c.in_doubt_timeout_ms = s->scenario->in_doubt_ms;
        c.retention_ms = s->scenario->retention_ms;
        c.txid_skew_ms = s->scenario->txid_skew_ms;
        c.placement = xcalloc((size_t)(c.placements + c.nodes + 1), sizeof *c.placement);
        memcpy(c.placement, made->placement, (size_t)c.placements * sizeof *c.placement);
        add_placements(&c, text);
        unlink(path);
        if (cluster_write(&c, path, why, sizeof why) == ASSENT_OK)
            s->cluster = cluster_load(path, why, sizeof why);
        free(c.placement);
        cluster_free(made);
    }
    if (s->cluster == NULL)
        fprintf(stderr, "assent-chaos: %s\n", why);
    return s->cluster != NULL;
}

static bool open_links(struct site *s)
{
    char why[512];
    s->wan = wan_open(s->cluster, s->dir, s->scenario->rtt_ms, why, sizeof why);
    if (s->wan == NULL) {
        fprintf(stderr, "assent-chaos: %s: %s\n", s->dir, why);
        return false;
    }
    struct link_change jitter = {LINK_JITTER, LINK_BOTH, s->scenario->jitter_us};
    wan_change(s->wan, WAN_ANY, WAN_ANY, &jitter);
    return true;
}

/* ---- nodes ---- */

static bool open_clock(struct site *s, int node)
{
    static const uint8_t true_time[sizeof(int64_t)];
    struct process *p = &s->process[node];
    char path[4200];
    snprintf(path, sizeof path, "%s/%s.clock", s->dir, p->name);
    snprintf(p->clock_file, sizeof p->clock_file, "%.4000s", path);
    if (file_create(p->clock_file, 0644, bytes_of(true_time, sizeof true_time))) {
        int fd = open(p->clock_file, O_RDWR | O_CLOEXEC);
        void *map = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd >= 0)
            close(fd);
        if (map != MAP_FAILED) {
            s->clock[node] = map;
            return true;
        }
    }
    fprintf(stderr, "assent-chaos: %s: %s\n", p->clock_file, strerror(errno));
    return false;
}

static bool start_nodes(struct site *s)
{
    for (int i = 0; i < s->cluster->nodes; i++) {
        const struct cluster_node *node = &s->cluster->node[i];
        struct process *p = &s->process[s->nodes++];
        snprintf(p->name, sizeof p->name, "%s", node->name);
        p->role = node->role;
        snprintf(p->cluster_file, sizeof p->cluster_file, "%.3000s/cluster.%s.yaml", s->dir,
                 node->name);
        snprintf(p->data_dir, sizeof p->data_dir, "%.3000s/%s", s->dir, node->name);
        if (!open_clock(s, i) || !process_start(p))
            return false;
    }
    return true;
}

struct site *site_open(const struct scenario *scenario, const char *dir)
{
    struct site *s = xcalloc(1, sizeof *s);
    s->scenario = scenario;
    s->port_guard = -1;
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    if (init_cluster(s) && settle_cluster(s) && open_links(s) && start_nodes(s))
        return s;
    site_stop(s);
    site_free(s);
    return NULL;
}

int site_node(const struct site *s, const char *name)
{
    for (int i = 0; i < s->nodes; i++)
        if (strcmp(s->process[i].name, name) == 0)
            return i;
    return -1;
}

void site_set_clock(struct site *s, int node, int64_t ahead_us)
{
    atomic_store(s->clock[node], ahead_us);
}

bool site_stop(struct site *s)
{
    if (s == NULL)
        return true;
    bool clean = process_stop_all(s->process, s->nodes) && !s->ended_badly;
    wan_close(s->wan);
    s->wan = NULL;
    return clean;
}

void site_free(struct site *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < s->nodes; i++)
        if (s->clock[i] != NULL)
            munmap((void *)(uintptr_t)s->clock[i], sizeof(int64_t));
    cluster_free(s->cluster);
    if (s->port_guard >= 0)
        close(s->port_guard);
    free(s);
}

/* ---- clients and looking ---- */

static assent *open_client(const struct site *s, const char *view, const char *datacenter,
                           uv_loop_t *loop)
{
    char file[4300], key[4300];
    assent *db = NULL;
    snprintf(file, sizeof file, "%s/cluster%s%s.yaml", s->dir, *view == '\0' ? "" : ".", view);
    snprintf(key, sizeof key, "%s/app.key", s->dir);
    assent_options options = {.cluster_file = file,
                              .client = "app",
                              .key_file = key,
                              .datacenter = datacenter,
                              .timeout_ms = CLIENT_MS};
    if ((loop == NULL ? assent_open(&db, &options) : assent_open_uv(&db, loop, &options)) ==
        ASSENT_OK)
        return db;
    fprintf(stderr, "assent-chaos: %s\n", assent_error());
    return NULL;
}

assent *site_client(const struct site *s, int datacenter)
{
    const char *name = s->scenario->datacenter[datacenter];
    return open_client(s, name, name, NULL);
}

assent *site_client_uv(const struct site *s, int datacenter, uv_loop_t *loop)
{
    const char *name = s->scenario->datacenter[datacenter];
    return open_client(s, name, name, loop);
}

assent *site_observer(const struct site *s)
{
    return open_client(s, "", NULL, NULL);
}

assent *site_observer_uv(const struct site *s, uv_loop_t *loop)
{
    return open_client(s, "", NULL, loop);
}

/* A number from a node's own status text, or -1. */
static long long status_value(const assent_node *node, const char *name)
{
    const char *at = node->text;
    size_t n = strlen(name);
    while (at != NULL && *at != '\0') {
        if (strncmp(at, name, n) == 0 && at[n] == ' ')
            return strtoll(at + n + 1, NULL, 10);
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return -1;
}

static bool node_is_lost(const struct site *s, int node)
{
    return (s->lost >> s->cluster->node[node].datacenter & 1) != 0;
}

void site_look(const struct site *s, assent *observer, uint32_t timeout_ms, struct site_look *out)
{
    assent_node *nodes;
    size_t n;
    *out = (struct site_look){0};
    if (assent_nodes(observer, timeout_ms, &nodes, &n) != ASSENT_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        long long in_doubt = status_value(&nodes[i], "in_doubt"),
                  oldest = status_value(&nodes[i], "in_doubt_oldest_ms");
        int node = site_node(s, nodes[i].name);
        out->answering += nodes[i].reachable;
        out->down +=
            node >= 0 && !nodes[i].reachable && !s->process[node].running && !node_is_lost(s, node);
        if (node < 0 || in_doubt <= 0)
            continue;
        uint32_t *oldest_ms = &out->oldest_ms[s->cluster->node[node].datacenter];
        out->in_doubt += (int)in_doubt;
        if (oldest > *oldest_ms)
            *oldest_ms = oldest < UINT32_MAX ? (uint32_t)oldest : UINT32_MAX;
    }
    assent_nodes_free(nodes);
}

/* How many others a node is connected to when all is well, and the observer. */
static int connections_of(const struct site *s, int node)
{
    int n = 1;
    for (int i = 0; i < s->nodes; i++)
        if (i != node && !node_is_lost(s, i) &&
            (s->process[i].role == ROLE_COORDINATOR || s->process[node].role == ROLE_COORDINATOR))
            n++;
    return n;
}

static bool all_ready(const struct site *s, assent *observer)
{
    assent_node *nodes;
    size_t n;
    bool good = true;
    if (assent_nodes(observer, LOOK_MS, &nodes, &n) != ASSENT_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        int node = site_node(s, nodes[i].name);
        if (node < 0 || node_is_lost(s, node))
            continue;
        if (!nodes[i].reachable ||
            status_value(&nodes[i], "connections") < connections_of(s, node) ||
            status_value(&nodes[i], "disk_full") > 0)
            good = false;
    }
    assent_nodes_free(nodes);
    return good;
}

/* A node that has ended will not become ready. */
static bool all_run(struct site *s)
{
    for (int i = 0; i < s->nodes; i++) {
        if (node_is_lost(s, i) || process_alive(&s->process[i]))
            continue;
        fprintf(stderr, "assent-chaos: %s has ended: see %s/log\n", s->process[i].name,
                s->process[i].data_dir);
        return false;
    }
    return true;
}

bool site_wait_ready(struct site *s, uint64_t bound_us)
{
    uint64_t end_us = chaos_now_us() + bound_us;
    assent *observer = site_observer(s);
    bool good = false;
    while (observer != NULL && !(good = all_ready(s, observer)) && all_run(s) &&
           chaos_now_us() < end_us)
        chaos_sleep_us(LOOK_AGAIN_US);
    assent_close(observer);
    return good;
}
