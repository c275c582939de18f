#include "chaos/emulated.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READY_WAIT_MS 20000
#define LOOK_MS       2000
#define PORT_FIRST    20000
#define PORT_LAST     32000
#define PORT_TRIES    1000

const char *const emulated_name[EMULATED_DATACENTERS] = {"virginia", "ireland", "tokyo"};

/* Regions that far apart have about these. */
static const uint32_t rtt_ms[EMULATED_DATACENTERS * EMULATED_DATACENTERS] = {0,   80,  140, 80, 0,
                                                                             220, 140, 220, 0};

uint32_t emulated_rtt_ms(int a, int b)
{
    return rtt_ms[a * EMULATED_DATACENTERS + b];
}

uint64_t emulated_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void emulated_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static bool port_is_free(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

/* The first of n free ports in a row, below the range that outgoing connections take theirs from.
 */
static int free_ports(int n)
{
    int base = PORT_FIRST + (int)(getpid() % (PORT_LAST - PORT_FIRST - n));
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        int good = 0;
        while (good < n && port_is_free(base + good))
            good++;
        if (good == n)
            break;
        base += good + 1;
        if (base + n > PORT_LAST)
            base = PORT_FIRST;
    }
    return base;
}

static bool make_cluster(struct emulated *d, const char *dir, int coordinators)
{
    char assent_path[4096], why[512], path[4200];
    if (!process_sibling("assent", assent_path, sizeof assent_path)) {
        fprintf(stderr, "demo: the assent command is not beside this program; run make\n");
        return false;
    }
    char port[16], count[16], dir_copy[4096];
    snprintf(port, sizeof port, "%d", free_ports(EMULATED_NODES));
    snprintf(count, sizeof count, "%d", coordinators);
    snprintf(dir_copy, sizeof dir_copy, "%s", dir);
    char *argv[] = {assent_path,
                    (char[]){"init"},
                    dir_copy,
                    (char[]){"--datacenters"},
                    (char[]){"virginia,ireland,tokyo"},
                    (char[]){"--coordinators"},
                    count,
                    (char[]){"--base-port"},
                    port,
                    NULL};
    if (process_run(argv) != 0)
        return false;
    snprintf(path, sizeof path, "%s/cluster.yaml", dir);
    d->cluster = cluster_load(path, why, sizeof why);
    if (d->cluster != NULL)
        d->wan = wan_open(d->cluster, dir, rtt_ms, why, sizeof why);
    if (d->wan == NULL)
        fprintf(stderr, "demo: %s: %s\n", path, why);
    return d->wan != NULL;
}

static bool start_nodes(struct emulated *d, const char *dir)
{
    for (int i = 0; i < d->cluster->nodes && i < EMULATED_NODES; i++) {
        const struct cluster_node *node = &d->cluster->node[i];
        struct process *p = &d->process[d->processes++];
        snprintf(p->name, sizeof p->name, "%s", node->name);
        p->role = node->role;
        snprintf(p->cluster_file, sizeof p->cluster_file, "%.3000s/cluster.%s.yaml", dir,
                 node->name);
        snprintf(p->data_dir, sizeof p->data_dir, "%.3000s/%s", dir, node->name);
        if (!process_start(p))
            return false;
    }
    return true;
}

static bool open_clients(struct emulated *d)
{
    for (int i = 0; i < EMULATED_DATACENTERS; i++) {
        char file[4200], key[4200];
        snprintf(file, sizeof file, "%s/cluster.%s.yaml", d->dir, emulated_name[i]);
        snprintf(key, sizeof key, "%s/app.key", d->dir);
        assent_options options = {.cluster_file = file,
                                  .client = "app",
                                  .key_file = key,
                                  .datacenter = emulated_name[i],
                                  .timeout_ms = 15000};
        if (assent_open(&d->db[i], &options) != ASSENT_OK) {
            fprintf(stderr, "demo: %s\n", assent_error());
            return false;
        }
    }
    return true;
}

/* A number from a node's own status text, or -1. */
static long long status_value(const assent_node *node, const char *name)
{
    const char *at = node->text;
    size_t n = strlen(name);
    while (at != NULL && *at != '\0') {
        if (strncmp(at, name, n) == 0 && at[n] == ' ')
            return atoll(at + n + 1);
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return -1;
}

bool emulated_look(struct emulated *d, int dc, int expected, uint32_t timeout_ms,
                   long long *in_doubt)
{
    assent_node *nodes;
    size_t n;
    int reachable = 0;
    *in_doubt = 0;
    if (assent_nodes(d->db[dc], timeout_ms, &nodes, &n) != ASSENT_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        long long value = status_value(&nodes[i], "in_doubt");
        reachable += nodes[i].reachable;
        if (value > 0)
            *in_doubt += value;
    }
    assent_nodes_free(nodes);
    return reachable >= expected;
}

bool emulated_wait_ready(struct emulated *d)
{
    uint64_t end = emulated_now_ms() + READY_WAIT_MS;
    long long in_doubt;
    for (int dc = 0; dc < EMULATED_DATACENTERS; dc++) {
        while (!emulated_look(d, dc, d->processes, LOOK_MS, &in_doubt)) {
            if (emulated_now_ms() > end)
                return false;
            emulated_sleep_ms(100);
        }
    }
    return true;
}

bool emulated_open(struct emulated *d, const char *dir, int coordinators)
{
    snprintf(d->dir, sizeof d->dir, "%s", dir);
    return make_cluster(d, dir, coordinators) && start_nodes(d, dir) && open_clients(d);
}

struct process *emulated_process(struct emulated *d, const char *name)
{
    for (int i = 0; i < d->processes; i++)
        if (strcmp(d->process[i].name, name) == 0)
            return &d->process[i];
    return NULL;
}

bool emulated_close(struct emulated *d)
{
    for (int i = 0; i < EMULATED_DATACENTERS; i++)
        assent_close(d->db[i]);
    bool clean = process_stop_all(d->process, d->processes);
    wan_close(d->wan);
    cluster_free(d->cluster);
    return clean;
}
