/* `assent init`: a local cluster in a directory: the cluster file, and for each node its key and
 * its database, made together and once.
 *
 * The plan is checked as a cluster file, with stand-ins for the keys, before anything is made; what
 * was made is removed again if a later step fails, and nothing else is. */
#include "client/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/node.h"
#include "participant/node.h"
#include "runtime/cluster_write.h"
#include "runtime/daemon.h"
#include "runtime/keys.h"
#include "wire/random.h"

enum {
    OPTION_DATACENTERS = 256,
    OPTION_COORDINATORS,
    OPTION_PARTICIPANTS,
    OPTION_BASE_PORT,
    OPTION_NAME,
};

#define CLIENT_NAME "app"

struct init_call {
    const char *datacenters;
    const char *name;
    int64_t coordinators; /* 0: the default */
    int64_t participants_per_dc;
    int64_t base_port;

    const char *dir;
    struct cluster plan; /* filled by hand: nothing of it is cluster_free()'s */
    bool made_dir;
    int made_nodes; /* so many node directories, in the order of the plan */
    bool made_client_key, made_cluster_file;
};

static const struct argp_option options[] = {
    {"datacenters", OPTION_DATACENTERS, "N|NAME,NAME", 0, "How many, or their names (default: 3)",
     0},
    {"coordinators", OPTION_COORDINATORS, "N", 0,
     "1, or an odd number to survive the loss of any (N-1)/2 of them (default: one per datacenter "
     "if "
     "that is odd, else 1)",
     0},
    {"participants-per-dc", OPTION_PARTICIPANTS, "N", 0, "(default: 1)", 0},
    {"base-port", OPTION_BASE_PORT, "PORT", 0, "The nodes' ports start here (default: 7100)", 0},
    {"name", OPTION_NAME, "NAME", 0, "Of the cluster (default: local)", 0},
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct init_call *own = call->own;
    switch (key) {
    case OPTION_DATACENTERS:
        own->datacenters = arg;
        return 0;
    case OPTION_COORDINATORS:
        return command_number("--coordinators", arg, 1, COORDINATORS_MAX, &own->coordinators);
    case OPTION_PARTICIPANTS:
        return command_number("--participants-per-dc", arg, 1, NODES_MAX,
                              &own->participants_per_dc);
    case OPTION_BASE_PORT:
        return command_number("--base-port", arg, 1, 65535, &own->base_port);
    default:
        own->name = arg;
        return 0;
    }
}

/* ---- the plan ---- */

/* Cut at the bound: the check of the plan then refuses a name that is too long. */
#define NAME_COPY(to, ...) ((void)!snprintf((to), sizeof(to), __VA_ARGS__))

static int plan_datacenters(struct init_call *own)
{
    const char *text = own->datacenters == NULL ? "3" : own->datacenters;
    int64_t n = 0;
    own->plan.datacenter = xcalloc(DATACENTERS_MAX, sizeof *own->plan.datacenter);
    if (strspn(text, "-0123456789") == strlen(text)) {
        int rc = command_number("--datacenters", text, 1, DATACENTERS_MAX, &n);
        for (int64_t i = 0; i < n; i++)
            NAME_COPY(own->plan.datacenter[i], "dc%d", (int)i + 1);
        own->plan.datacenters = (int)n;
        return rc;
    }
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        if (len == 0 || len + 3 > NAME_BYTES_MAX || n == DATACENTERS_MAX)
            return command_fail(
                EX_USAGE,
                "--datacenters: '%.80s' does not do: give a number, or up to %d names "
                "of 1 to %d characters with commas between them",
                text, DATACENTERS_MAX, NAME_BYTES_MAX - 3);
        NAME_COPY(own->plan.datacenter[n++], "%.*s", (int)len, at);
        at += len;
        if (*at == '\0')
            break;
    }
    own->plan.datacenters = (int)n;
    return 0;
}

/* "dc1-c"; "dc1-c2" where a datacenter has several of the kind. */
static void plan_node(struct init_call *own, enum role role, int dc, int number, bool several)
{
    struct cluster *plan = &own->plan;
    struct cluster_node *node = &plan->node[plan->nodes];
    char digits[16] = "";
    if (several)
        snprintf(digits, sizeof digits, "%d", number);
    NAME_COPY(node->name, "%s-%c%s", plan->datacenter[dc], role == ROLE_COORDINATOR ? 'c' : 'p',
              digits);
    NAME_COPY(node->host, "127.0.0.1");
    node->id = (node_id)(plan->nodes + 1);
    node->role = role;
    node->datacenter = dc;
    node->port = (uint16_t)(own->base_port + plan->nodes);
    node->keys = 1;
    memset(node->key[0], plan->nodes + 1, NOISE_KEY_BYTES); /* a stand-in */
    memcpy(node->key[0], &plan->nodes, sizeof plan->nodes);
    plan->nodes++;
}

static int plan_nodes(struct init_call *own)
{
    int dcs = own->plan.datacenters, coordinators = (int)own->coordinators;
    int per_dc = (int)own->participants_per_dc;
    if (coordinators == 0)
        coordinators = dcs % 2 == 0 ? 1 : dcs < COORDINATORS_MAX ? dcs : COORDINATORS_MAX;
    if (coordinators % 2 == 0)
        return command_fail(EX_USAGE, "--coordinators: %d is even: give 1, or an odd number",
                            coordinators);
    if (coordinators + dcs * per_dc > NODES_MAX)
        return command_fail(EX_USAGE, "init: %d nodes are too many: a cluster has at most %d",
                            coordinators + dcs * per_dc, NODES_MAX);
    if (own->base_port + coordinators + dcs * per_dc > 65536)
        return command_fail(EX_USAGE, "--base-port: %d nodes from port %d pass 65535: start lower",
                            coordinators + dcs * per_dc, (int)own->base_port);
    own->plan.node = xcalloc((size_t)(coordinators + dcs * per_dc), sizeof *own->plan.node);
    for (int i = 0; i < coordinators; i++)
        plan_node(own, ROLE_COORDINATOR, i % dcs, i / dcs + 1, i % dcs + dcs < coordinators);
    own->plan.coordinators = coordinators;
    for (int dc = 0; dc < dcs; dc++)
        for (int i = 0; i < per_dc; i++)
            plan_node(own, ROLE_PARTICIPANT, dc, i + 1, per_dc > 1);
    return 0;
}

/* Takes over nothing; the prefix is copied. */
static struct placement *plan_placement(struct init_call *own, const char *prefix)
{
    struct placement *p = &own->plan.placement[own->plan.placements++];
    p->prefix = bytes_of_text(xstrdup(prefix));
    return p;
}

/* "" at the first participants of all datacenters; "dc1/" at dc1's first, "dc1/2/" at its second.
 */
static void plan_placements(struct init_call *own)
{
    struct cluster *plan = &own->plan;
    int participants = plan->nodes - plan->coordinators, per_dc = (int)own->participants_per_dc;
    char prefix[NAME_BYTES_MAX + 16];
    plan->placement = xcalloc((size_t)participants + 1, sizeof *plan->placement);
    struct placement *all = plan_placement(own, "");
    for (int i = 0; i < participants; i++) {
        const struct cluster_node *node = &plan->node[plan->coordinators + i];
        int number = i % per_dc + 1;
        if (number == 1 && all->replicas < REPLICAS_MAX)
            all->replica[all->replicas++] = node->id;
        if (number == 1)
            snprintf(prefix, sizeof prefix, "%s/", plan->datacenter[node->datacenter]);
        else
            snprintf(prefix, sizeof prefix, "%s/%d/", plan->datacenter[node->datacenter], number);
        struct placement *own_keys = plan_placement(own, prefix);
        own_keys->replica[own_keys->replicas++] = node->id;
    }
}

static int plan(struct init_call *own)
{
    struct cluster *p = &own->plan;
    int rc = plan_datacenters(own);
    if (rc == 0)
        rc = plan_nodes(own);
    if (rc != 0)
        return rc;
    plan_placements(own);
    uint64_t id[2] = {random_bits(), random_bits()};
    _Static_assert(sizeof id == sizeof p->id, "a cluster id is 128 random bits");
    memcpy(p->id, id, sizeof id);
    NAME_COPY(p->name, "%s", own->name == NULL ? "local" : own->name);
    if (own->name != NULL && strlen(own->name) > NAME_BYTES_MAX)
        return command_fail(EX_USAGE, "--name: at most %d characters", NAME_BYTES_MAX);
    p->epoch = 1;
    p->in_doubt_timeout_ms = IN_DOUBT_TIMEOUT_MS;
    p->retention_ms = RETENTION_MS_DEFAULT;
    p->clock_ahead_ms = CLOCK_AHEAD_MS_DEFAULT;
    p->txid_skew_ms = TXID_SKEW_MS_DEFAULT;
    p->client = xcalloc(1, sizeof *p->client);
    p->clients = 1;
    p->client->keys = 1;
    p->client->admin = true;
    memset(p->client->key[0], 0xaa, NOISE_KEY_BYTES); /* a stand-in */
    NAME_COPY(p->client->name, CLIENT_NAME);
    char why[512];
    struct writer text = {0};
    cluster_text(p, &text);
    struct cluster *check =
        cluster_parse((const char *)text.data, text.len, "the plan", why, sizeof why);
    writer_free(&text);
    if (check == NULL)
        return command_fail(EX_USAGE, "init: %s", why);
    cluster_free(check);
    return 0;
}

static void plan_free(struct init_call *own)
{
    for (int i = 0; i < own->plan.placements; i++)
        free((void *)(uintptr_t)own->plan.placement[i].prefix.data);
    free(own->plan.datacenter);
    free(own->plan.node);
    free(own->plan.client);
    free(own->plan.placement);
}

/* ---- making it ---- */

struct path {
    char text[4096];
};

/* Of a file of the cluster, or, with a node, of the node's directory. */
static struct path path_of(const struct init_call *own, const struct cluster_node *node,
                           const char *file)
{
    struct path p;
    int n = snprintf(p.text, sizeof p.text, "%s/%s%s%s", own->dir, node == NULL ? "" : node->name,
                     node == NULL || *file == '\0' ? "" : "/", file);
    if (n < 0 || (size_t)n >= sizeof p.text)
        p.text[0] = '\0'; /* which nothing can be made at; run() has checked the length */
    return p;
}

/* 0 if the directory can be filled: it is not there, and is made, or it is empty. */
static int make_dir(struct init_call *own)
{
    if (mkdir(own->dir, 0755) == 0) {
        own->made_dir = true;
        return 0;
    }
    if (errno != EEXIST)
        return command_fail(EX_CANTCREAT, "init: %s: %s: name a directory that can be made",
                            own->dir, strerror(errno));
    DIR *dir = opendir(own->dir);
    if (dir == NULL)
        return command_fail(EX_CANTCREAT, "init: %s: %s: name a directory that can be made",
                            own->dir, strerror(errno));
    const struct dirent *entry;
    bool empty = true;
    while ((entry = readdir(dir)) != NULL)
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return empty
               ? 0
               : command_fail(EX_CANTCREAT,
                              "init: %s: there is something in it: name another directory, so that "
                              "nothing is lost",
                              own->dir);
}

static int make_key(const struct path *path, uint8_t *public_key)
{
    struct noise_keypair pair;
    char why[512];
    assent_status status = key_file_create(path->text, &pair, why, sizeof why);
    if (status == ASSENT_OK)
        memcpy(public_key, pair.public, NOISE_KEY_BYTES);
    keypair_wipe(&pair);
    return status == ASSENT_OK ? 0 : command_fail(EX_CANTCREAT, "init: %s", why);
}

static int make_keys(struct init_call *own)
{
    for (int i = 0; i < own->plan.nodes; i++) {
        struct cluster_node *node = &own->plan.node[i];
        struct path dir = path_of(own, node, ""), key = path_of(own, node, NODE_KEY_FILE);
        if (mkdir(dir.text, 0700) != 0)
            return command_fail(EX_CANTCREAT, "init: %s: %s: the node's directory was not made",
                                dir.text, strerror(errno));
        own->made_nodes++;
        int rc = make_key(&key, node->key[0]);
        if (rc != 0)
            return rc;
    }
    struct path key = path_of(own, NULL, CLIENT_NAME ".key");
    int rc = make_key(&key, own->plan.client->key[0]);
    own->made_client_key = rc == 0;
    return rc;
}

static int make_store(const struct init_call *own, const struct cluster *cluster,
                      const struct cluster_node *node, const struct node_role *role)
{
    char why[512];
    struct path dir = path_of(own, node, "");
    return daemon_create_store(role, cluster, node, dir.text, why, sizeof why) == ASSENT_OK
               ? 0
               : command_fail(EX_CANTCREAT, "init: %s: %s", dir.text, why);
}

/* From the file as every node will read it. */
static int make_stores(const struct init_call *own)
{
    char why[512];
    struct path file = path_of(own, NULL, "cluster.yaml");
    struct cluster *cluster = cluster_load(file.text, why, sizeof why);
    if (cluster == NULL)
        return command_fail(EX_CONFIG, "init: %s", why);
    struct coordinator_node *c = coordinator_node_new();
    struct participant_node *p = participant_node_new();
    struct node_role coordinator = coordinator_node_role(c);
    struct node_role participant = participant_node_role(p);
    int rc = 0;
    for (int i = 0; rc == 0 && i < cluster->nodes; i++)
        rc = make_store(own, cluster, &cluster->node[i],
                        cluster->node[i].role == ROLE_COORDINATOR ? &coordinator : &participant);
    coordinator_node_free(c);
    participant_node_free(p);
    cluster_free(cluster);
    return rc;
}

static int make(struct init_call *own)
{
    char why[512];
    struct path file = path_of(own, NULL, "cluster.yaml");
    int rc = make_dir(own);
    if (rc == 0)
        rc = make_keys(own);
    if (rc != 0)
        return rc;
    if (cluster_write(&own->plan, file.text, why, sizeof why) != ASSENT_OK)
        return command_fail(EX_CANTCREAT, "init: %s", why);
    own->made_cluster_file = true;
    return make_stores(own);
}

/* Removes what was made, and only that: a node's directory holds files only. */
static void unmake(const struct init_call *own)
{
    for (int i = 0; i < own->made_nodes; i++) {
        struct path path = path_of(own, &own->plan.node[i], "");
        const struct dirent *entry;
        DIR *dir = opendir(path.text);
        while (dir != NULL && (entry = readdir(dir)) != NULL)
            unlinkat(dirfd(dir), entry->d_name, 0);
        if (dir != NULL)
            closedir(dir);
        rmdir(path.text);
    }
    struct path key = path_of(own, NULL, CLIENT_NAME ".key");
    struct path file = path_of(own, NULL, "cluster.yaml");
    if (own->made_client_key)
        unlink(key.text);
    if (own->made_cluster_file)
        unlink(file.text);
    if (own->made_dir)
        rmdir(own->dir);
}

/* ---- the subcommand ---- */

static void print_next(const struct command_call *call, const struct init_call *own)
{
    const struct cluster *p = &own->plan;
    int f = (p->coordinators - 1) / 2, participants = p->nodes - p->coordinators;
    if (call->output == OUTPUT_JSON) {
        struct path file = path_of(own, NULL, "cluster.yaml");
        command_json_print(json_pack("{s:s, s:i, s:i, s:i}", "cluster_file", file.text,
                                     "datacenters", p->datacenters, "coordinators", p->coordinators,
                                     "participants", participants));
        return;
    }
    printf("%s: %d datacenter%s, %d coordinator%s, %d participant%s", own->dir, p->datacenters,
           p->datacenters == 1 ? "" : "s", p->coordinators, p->coordinators == 1 ? "" : "s",
           participants, participants == 1 ? "" : "s");
    if (f == 0)
        printf("; transactions wait for the coordinator when it is down\n");
    else
        printf("; survives the loss of any %d of the coordinators\n", f);
    printf("\nNext:\n  assent up %s                  # starts it; Ctrl-C stops it\n"
           "  export ASSENT_CLUSTER=%s/cluster.yaml\n"
           "  assent put hello world       # in another terminal\n"
           "  assent get hello\n",
           own->dir, own->dir);
    printf("\nKeys that begin with \"%s/\" live in %s only (and so for each datacenter); all "
           "others in "
           "every datacenter.\n",
           p->datacenter[0], p->datacenter[0]);
}

static int run(struct command_call *call)
{
    struct init_call *own = call->own;
    own->dir = call->word[0];
    if (own->participants_per_dc == 0)
        own->participants_per_dc = 1;
    if (own->base_port == 0)
        own->base_port = 7100;
    if (*own->dir == '\0' || strlen(own->dir) > sizeof(struct path) / 2)
        return command_fail(EX_USAGE, "init: '%.40s' is no directory name: give a shorter one",
                            own->dir);
    int rc = plan(own);
    if (rc == 0) {
        rc = make(own);
        if (rc == 0)
            print_next(call, own);
        else
            unmake(own);
    }
    plan_free(own);
    return rc;
}

const struct command command_init = {
    .name = "init",
    .words = "DIR",
    .words_min = 1,
    .words_max = 1,
    .summary = "Makes a local cluster in a new directory",
    .detail =
        "DIR gets the cluster file, a directory for every node with its key and its database, and "
        "the key of a client 'app' that may do everything.",
    .options = options,
    .option = option,
    .own_size = sizeof(struct init_call),
    .run = run,
};
