/* From the strings of a cluster file to a struct cluster, checking everything on the way.
 *
 * Each part reads one section; the first thing that is wrong ends it, with "path:line: entry: what
 * is wrong: what to do". What must be unique across the file goes through unique(), which knows who
 * came first. */
#include "runtime/cluster.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "runtime/cluster_schema.h"
#include "wire/hash.h"
#include "wire/text.h"

/* What entries may not share. Datacenters and nodes share their names: a read takes either. */
enum unique_kind {
    UNIQUE_NODE_ID,
    UNIQUE_PLACE_NAME,
    UNIQUE_CLIENT_NAME,
    UNIQUE_ADDRESS,
    UNIQUE_KEY,
    UNIQUE_PREFIX,
};

struct unique {
    UT_hash_handle hh;
    char owner[NAME_BYTES_MAX + 16]; /* "node ams-c" */
    size_t len;
    uint8_t key[];
};

struct build {
    struct cluster *c;
    struct document *schema;
    struct cluster_document *doc;
    struct unique *unique;
    const char *path;
    char *why;
    size_t why_size;
    /* the entry that is being read */
    enum cluster_section section;
    int index;       /* -1: the section itself */
    char entry[128]; /* "node \"ams-c\"" */
};

static void entry_begin(struct build *b, enum cluster_section section, int index, const char *what,
                        const char *name)
{
    b->section = section;
    b->index = index;
    if (name == NULL)
        snprintf(b->entry, sizeof b->entry, "%s", what);
    else
        snprintf(b->entry, sizeof b->entry, "%s \"%.80s\"", what, name);
}

__attribute__((format(printf, 2, 3))) static bool refuse(struct build *b, const char *format, ...)
{
    char what[384];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    unsigned line = document_line(b->schema, b->section, b->index);
    snprintf(b->why, b->why_size, "%s:%u: %s: %s", b->path, line, b->entry, what);
    return false;
}

/* ---- words ---- */

/* Decimal, no sign, no leading zeros; the rest of the text is left in *rest. */
static bool number_read(const char *text, uint64_t max, uint64_t *out, const char **rest)
{
    uint64_t v = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        v = v * 10 + (uint64_t)(*at - '0');
        if (v > max)
            return false;
    }
    *out = v;
    *rest = at;
    return at != text && (*text != '0' || at == text + 1);
}

static bool number_parse(const char *text, uint64_t max, uint64_t *out)
{
    const char *rest;
    return number_read(text, max, out, &rest) && *rest == '\0';
}

bool duration_parse(const char *text, uint32_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t v;
    const char *unit;
    if (!number_read(text, UINT32_MAX, &v, &unit))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0 && v * units[i].ms <= UINT32_MAX) {
            *ms = (uint32_t)(v * units[i].ms);
            return true;
        }
    return false;
}

/* [a-z0-9][a-z0-9_.-]*, at most NAME_BYTES_MAX bytes. */
static bool name_valid(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strlen(name);
    return len > 0 && len <= NAME_BYTES_MAX && strspn(name, rest) == len &&
           strchr(first, *name) != NULL;
}

static bool name_read(struct build *b, const char *name, char out[NAME_BYTES_MAX + 1])
{
    if (!name_valid(name))
        return refuse(b,
                      "this name does not do: use 1 to %d of a-z, 0-9, \"_\", \".\" and \"-\", "
                      "beginning with a letter or digit",
                      NAME_BYTES_MAX);
    memcpy(out, name, strlen(name) + 1);
    return true;
}

/* False, and refused, if another entry has the same: `what` says the same of what. */
static bool unique(struct build *b, enum unique_kind kind, struct bytes key, const char *what,
                   const char *owner_kind, const char *owner)
{
    struct unique *u = xcalloc(1, sizeof *u + 1 + key.len), *before = NULL;
    u->len = 1 + key.len;
    u->key[0] = (uint8_t)kind;
    memcpy(u->key + 1, key.data, key.len);
    snprintf(u->owner, sizeof u->owner, "%s %s", owner_kind, owner);
    HASH_FIND(hh, b->unique, u->key, u->len, before);
    if (before != NULL) {
        free(u);
        return refuse(b, "its %s is that of %s already: give each its own", what, before->owner);
    }
    HASH_ADD_KEYPTR(hh, b->unique, u->key, u->len, u);
    return true;
}

static void unique_free(struct build *b)
{
    struct unique *u, *next;
    HASH_ITER (hh, b->unique, u, next) {
        HASH_DEL(b->unique, u);
        free(u);
    }
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = memchr(digits, tolower((unsigned char)c), 16);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Turns the escapes of a prefix into bytes, in place. */
static bool prefix_read(struct build *b, char *text, struct bytes *prefix)
{
    uint8_t *out = (uint8_t *)text;
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            return refuse(b, "its prefix has a byte that is not printable ASCII: write every such "
                             "byte as \\xNN, in single quotes: '\\x00\\xff'");
        if (*at != '\\') {
            *out++ = (uint8_t)*at;
        } else if (at[1] == '\\') {
            *out++ = (uint8_t)*at++;
        } else if (at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
            *out++ = (uint8_t)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
            at += 3;
        } else {
            return refuse(b, "its prefix has a \"\\\" that begins neither \\xNN nor \\\\");
        }
    }
    *prefix = bytes_of(text, (size_t)(out - (uint8_t *)text));
    if (prefix->len > KEY_BYTES_MAX)
        return refuse(b, "its prefix has %zu bytes: no key is longer than %u", prefix->len,
                      KEY_BYTES_MAX);
    return true;
}

/* One or two public keys that nobody else has. */
static bool keys_read(struct build *b, const struct cluster_strings *texts, const char *owner_kind,
                      const char *owner, uint8_t key[2][NOISE_KEY_BYTES], int *keys)
{
    static const uint8_t zero[NOISE_KEY_BYTES];
    if (texts->n == 0)
        return refuse(b, "it has no key: write its public key, as \"assent init\" printed it");
    for (unsigned i = 0; i < texts->n; i++) {
        if (!bytes_from_hex(texts->text[i], key[i], NOISE_KEY_BYTES) ||
            memcmp(key[i], zero, sizeof zero) == 0)
            return refuse(b, "key %u is not a public key: write its %d hex digits", i + 1,
                          2 * NOISE_KEY_BYTES);
        if (!unique(b, UNIQUE_KEY, bytes_of(key[i], NOISE_KEY_BYTES), "key", owner_kind, owner))
            return false;
    }
    *keys = (int)texts->n;
    return true;
}

/* ---- addresses ---- */

/* A name of the DNS, or an IPv4 address; lower-cased. */
static bool host_name_read(char *host)
{
    size_t len = strlen(host);
    for (char *at = host; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    if (len == 0 || len > 253 || strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != len)
        return false;
    for (const char *label = host;;) {
        size_t label_len = strcspn(label, ".");
        if (label_len == 0 || label_len > 63 || *label == '-' || label[label_len - 1] == '-')
            return false;
        if (label[label_len] == '\0') { /* a last label of digits alone: meant as an IPv4 address */
            uint8_t address[4];
            return strspn(label, "0123456789") != label_len ||
                   inet_pton(AF_INET, host, address) == 1;
        }
        label += label_len + 1;
    }
}

/* host:port or [v6]:port. */
static bool address_read(struct build *b, char *text, struct cluster_node *node)
{
    static const char form[] = "is not an address: write \"host:port\", or \"[v6 address]:port\", "
                               "with a port of 1 to 65535";
    char *colon = strrchr(text, ':'), shown[64];
    snprintf(shown, sizeof shown, "%s", text);
    uint64_t port = 0;
    if (colon == NULL || !number_parse(colon + 1, UINT16_MAX, &port) || port == 0)
        return refuse(b, "\"%s\" %s", shown, form);
    *colon = '\0';
    node->port = (uint16_t)port;
    size_t len = strlen(text);
    if (text[0] == '[' && text[len - 1] == ']') {
        struct in6_addr address;
        text[len - 1] = '\0';
        if (inet_pton(AF_INET6, text + 1, &address) != 1)
            return refuse(b, "\"%s\" %s", shown, form);
        inet_ntop(AF_INET6, &address, node->host, sizeof node->host);
    } else {
        if (!host_name_read(text))
            return refuse(b, "\"%s\" %s", shown, form);
        snprintf(node->host, sizeof node->host, "%s", text);
    }
    char whole[sizeof node->host + 8];
    snprintf(whole, sizeof whole, "%s %u", node->host, node->port);
    return unique(b, UNIQUE_ADDRESS, bytes_of_text(whole), "address", "node", node->name);
}

/* ---- sections ---- */

static bool build_identity(struct build *b)
{
    static const uint8_t zero[CLUSTER_ID_BYTES];
    const struct cluster_document_identity *identity = &b->doc->cluster;
    struct cluster *c = b->c;
    entry_begin(b, SECTION_CLUSTER, -1, "cluster", identity->name);
    uint64_t epoch;
    if (!name_read(b, identity->name, c->name))
        return false;
    if (!bytes_from_hex(identity->id, c->id, CLUSTER_ID_BYTES) ||
        memcmp(c->id, zero, sizeof zero) == 0)
        return refuse(b, "its id is not %d hex digits: take the one that \"assent init\" made",
                      2 * CLUSTER_ID_BYTES);
    if (!number_parse(identity->epoch, UINT32_MAX, &epoch) || epoch == 0)
        return refuse(b, "its epoch \"%.20s\" is not a number from 1 to %u", identity->epoch,
                      UINT32_MAX);
    c->epoch = (uint32_t)epoch;
    return true;
}

static bool build_time(struct build *b, const char *name, const char *text, uint32_t *ms)
{
    if (text == NULL)
        return true;
    if (!duration_parse(text, ms) || *ms == 0)
        return refuse(b,
                      "%s \"%.20s\" is not a time: write a whole number and its unit, as in 500ms, "
                      "10s, 5m or 1h, more than 0 and less than 49 days",
                      name, text);
    return true;
}

static bool build_times(struct build *b)
{
    const struct cluster_document_times *times = &b->doc->times;
    struct cluster *c = b->c;
    entry_begin(b, SECTION_TIMES, -1, "times", NULL);
    c->in_doubt_timeout_ms = IN_DOUBT_TIMEOUT_MS;
    c->retention_ms = RETENTION_MS_DEFAULT;
    c->clock_ahead_ms = CLOCK_AHEAD_MS_DEFAULT;
    c->txid_skew_ms = TXID_SKEW_MS_DEFAULT;
    if (!build_time(b, "in-doubt-timeout", times->in_doubt_timeout, &c->in_doubt_timeout_ms) ||
        !build_time(b, "retention", times->retention, &c->retention_ms) ||
        !build_time(b, "clock-ahead", times->clock_ahead, &c->clock_ahead_ms) ||
        !build_time(b, "txid-skew", times->txid_skew, &c->txid_skew_ms))
        return false;
    if (c->retention_ms / 4 < c->txid_skew_ms)
        return refuse(b,
                      "retention (%ums) is less than four times txid-skew (%ums): raise the one or "
                      "lower the other",
                      c->retention_ms, c->txid_skew_ms);
    return true;
}

static bool build_datacenters(struct build *b)
{
    const struct cluster_strings *names = &b->doc->datacenters;
    struct cluster *c = b->c;
    if (names->n == 0) {
        entry_begin(b, SECTION_DATACENTERS, -1, "datacenters", NULL);
        return refuse(b, "there is none: name at least one");
    }
    c->datacenter = xcalloc(names->n, sizeof *c->datacenter);
    for (unsigned i = 0; i < names->n; i++) {
        char *name = c->datacenter[i];
        entry_begin(b, SECTION_DATACENTERS, (int)i, "datacenter", names->text[i]);
        if (!name_read(b, names->text[i], name) ||
            !unique(b, UNIQUE_PLACE_NAME, bytes_of_text(name), "name", "datacenter", name))
            return false;
        c->datacenters++;
    }
    return true;
}

static bool build_node(struct build *b, const struct cluster_document_node *from,
                       struct cluster_node *node)
{
    uint64_t id;
    if (!name_read(b, from->name, node->name) ||
        !unique(b, UNIQUE_PLACE_NAME, bytes_of_text(node->name), "name", "node", node->name))
        return false;
    if (!number_parse(from->id, NODES_MAX, &id) || id == 0)
        return refuse(b, "its id \"%.20s\" is not a number from 1 to %d", from->id, NODES_MAX);
    node->id = (node_id)id;
    if (!unique(b, UNIQUE_NODE_ID, bytes_of(&node->id, sizeof node->id), "id", "node", node->name))
        return false;
    if (strcmp(from->role, role_name(ROLE_COORDINATOR)) == 0)
        node->role = ROLE_COORDINATOR;
    else if (strcmp(from->role, role_name(ROLE_PARTICIPANT)) == 0)
        node->role = ROLE_PARTICIPANT;
    else
        return refuse(b, "its role \"%.40s\" is neither \"coordinator\" nor \"participant\"",
                      from->role);
    node->datacenter = -1;
    for (int i = 0; i < b->c->datacenters; i++)
        if (strcmp(from->datacenter, b->c->datacenter[i]) == 0)
            node->datacenter = i;
    if (node->datacenter < 0)
        return refuse(b, "its datacenter \"%.40s\" is not in the list of datacenters: add it there",
                      from->datacenter);
    return address_read(b, from->address, node) &&
           keys_read(b, &from->keys, "node", node->name, node->key, &node->keys);
}

static int node_order(const void *a, const void *b)
{
    return ((const struct cluster_node *)a)->id - ((const struct cluster_node *)b)->id;
}

static bool build_coordinators(struct build *b)
{
    struct cluster *c = b->c;
    int coordinators = 0;
    entry_begin(b, SECTION_NODES, -1, "nodes", NULL);
    for (int i = 0; i < c->nodes; i++)
        if (c->node[i].role == ROLE_COORDINATOR && coordinators++ < COORDINATORS_MAX)
            c->coordinator[c->coordinators++] = c->node[i].id;
    if (coordinators > COORDINATORS_MAX)
        return refuse(b, "%d coordinators are over the limit of %d", coordinators,
                      COORDINATORS_MAX);
    if (coordinators % 2 == 0)
        return refuse(b, "%d coordinators: list an odd number, 2F+1 to survive the loss of any F",
                      coordinators);
    if (coordinators == c->nodes)
        return refuse(b, "there is no participant: list at least one");
    return true;
}

static bool build_nodes(struct build *b)
{
    struct cluster *c = b->c;
    c->node = xcalloc(b->doc->nodes, sizeof *c->node);
    for (unsigned i = 0; i < b->doc->nodes; i++) {
        const struct cluster_document_node *from = &b->doc->node[i];
        entry_begin(b, SECTION_NODES, (int)i, "node", from->name);
        if (!build_node(b, from, &c->node[c->nodes++]))
            return false;
    }
    qsort(c->node, (size_t)c->nodes, sizeof *c->node, node_order);
    return build_coordinators(b);
}

static bool build_grant(struct build *b, const struct cluster_document_grant *from,
                        struct cluster_client *client)
{
    struct grant *grant = &client->grant[client->grants];
    char shown[64];
    snprintf(shown, sizeof shown, "%s", from->prefix);
    if (!prefix_read(b, from->prefix, &grant->prefix))
        return false;
    for (int i = 0; i < client->grants; i++)
        if (bytes_equal(client->grant[i].prefix, grant->prefix))
            return refuse(b, "it has two grants of prefix \"%s\": join their rights in one", shown);
    for (unsigned i = 0; i < from->rights.n; i++) {
        const char *text = from->rights.text[i];
        int right = strcmp(text, "read") == 0    ? GRANT_READ
                    : strcmp(text, "write") == 0 ? GRANT_WRITE
                                                 : 0;
        if (right == 0 || (grant->rights & right) != 0)
            return refuse(
                b, "right \"%.40s\" of prefix \"%s\": write \"read\", \"write\" or both, once",
                text, shown);
        grant->rights |= right;
    }
    if (grant->rights == 0)
        return refuse(b, "its grant of prefix \"%s\" has no rights: write [read], [write] or both",
                      shown);
    client->grants++;
    return true;
}

static bool build_client(struct build *b, const struct cluster_document_client *from,
                         struct cluster_client *client)
{
    if (!name_read(b, from->name, client->name) ||
        !unique(b, UNIQUE_CLIENT_NAME, bytes_of_text(client->name), "name", "client",
                client->name) ||
        !keys_read(b, &from->keys, "client", client->name, client->key, &client->keys))
        return false;
    client->admin = from->admin != NULL && strcmp(from->admin, "true") == 0;
    if (from->admin != NULL && !client->admin && strcmp(from->admin, "false") != 0)
        return refuse(b, "admin \"%.40s\" is neither true nor false", from->admin);
    client->grant = xcalloc(from->grants, sizeof *client->grant);
    for (unsigned i = 0; i < from->grants; i++)
        if (!build_grant(b, &from->grant[i], client))
            return false;
    return true;
}

static int client_order(const void *a, const void *b)
{
    return strcmp(((const struct cluster_client *)a)->name,
                  ((const struct cluster_client *)b)->name);
}

static bool build_clients(struct build *b)
{
    struct cluster *c = b->c;
    c->client = xcalloc(b->doc->clients, sizeof *c->client);
    for (unsigned i = 0; i < b->doc->clients; i++) {
        entry_begin(b, SECTION_CLIENTS, (int)i, "client", b->doc->client[i].name);
        if (!build_client(b, &b->doc->client[i], &c->client[c->clients++]))
            return false;
    }
    qsort(c->client, (size_t)c->clients, sizeof *c->client, client_order);
    return true;
}

/* ---- placement ---- */

static int id_order(const void *a, const void *b)
{
    return *(const node_id *)a - *(const node_id *)b;
}

static bool build_placement(struct build *b, const struct cluster_document_placement *from,
                            struct placement *p)
{
    if (!prefix_read(b, from->prefix, &p->prefix) ||
        !unique(b, UNIQUE_PREFIX, p->prefix, "prefix", "another", "placement"))
        return false;
    if (from->participants.n == 0)
        return refuse(b, "it has no participants: name at least one");
    for (unsigned i = 0; i < from->participants.n; i++) {
        const char *name = from->participants.text[i];
        const struct cluster_node *node = cluster_node_named(b->c, name);
        if (node == NULL || node->role != ROLE_PARTICIPANT)
            return refuse(b, "\"%.40s\" is not %s: name participants of the list of nodes", name,
                          node == NULL ? "a node" : "a participant");
        for (int j = 0; j < p->replicas; j++)
            if (p->replica[j] == node->id)
                return refuse(b, "it names participant \"%s\" twice", name);
        p->replica[p->replicas++] = node->id;
    }
    qsort(p->replica, (size_t)p->replicas, sizeof *p->replica, id_order);
    return true;
}

static int placement_order(const void *a, const void *b)
{
    return bytes_compare(((const struct placement *)a)->prefix,
                         ((const struct placement *)b)->prefix);
}

/* In order of prefixes, whatever a prefix begins with comes before it: its parent is the one
 * before, or that one's parent, and so on. */
static void placement_parents(struct cluster *c)
{
    for (int i = 0; i < c->placements; i++) {
        int parent = i - 1;
        while (parent >= 0 &&
               !bytes_has_prefix(c->placement[i].prefix, c->placement[parent].prefix))
            parent = c->placement[parent].parent;
        c->placement[i].parent = parent;
    }
}

static bool build_placements(struct build *b)
{
    struct cluster *c = b->c;
    unsigned n = b->doc->placements;
    entry_begin(b, SECTION_PLACEMENT, -1, "placement", NULL);
    if (n == 0)
        return refuse(b, "it is empty: say where keys live, with prefix \"\" for all of them");
    c->placement = xcalloc(n, sizeof *c->placement);
    for (unsigned i = 0; i < n; i++) {
        struct cluster_document_placement *from = &b->doc->placement[i];
        entry_begin(b, SECTION_PLACEMENT, (int)i, "placement of prefix", from->prefix);
        if (!build_placement(b, from, &c->placement[c->placements]))
            return false;
        c->placements++;
    }
    qsort(c->placement, n, sizeof *c->placement, placement_order);
    placement_parents(c);
    return true;
}

/* ---- hashes ---- */

static uint64_t writer_hash(struct writer *w)
{
    struct bytes all = writer_view(w);
    struct hash hash = hash_of(&all, 1);
    writer_free(w);
    return hash_u64(&hash);
}

static void build_hashes(struct cluster *c)
{
    struct writer set = {0}, placement = {0};
    writer_raw(&set, c->id, sizeof c->id);
    writer_u32(&set, c->epoch);
    for (int i = 0; i < c->coordinators; i++) {
        writer_u16(&set, c->coordinator[i]);
        writer_raw(&set, cluster_node(c, c->coordinator[i])->key[0], NOISE_KEY_BYTES);
    }
    c->set_hash = writer_hash(&set);
    for (int i = 0; i < c->placements; i++) {
        const struct placement *p = &c->placement[i];
        writer_bytes(&placement, p->prefix);
        writer_u16(&placement, (uint16_t)p->replicas);
        for (int j = 0; j < p->replicas; j++)
            writer_u16(&placement, p->replica[j]);
    }
    c->placement_hash = writer_hash(&placement);
}

/* Messages quote the file: nothing in them may disturb a terminal. */
static void why_clean(char *why, size_t why_size)
{
    struct writer w = {0};
    text_clean(bytes_of_text(why), why_size - 1, false, &w);
    memcpy(why, w.data, w.len);
    why[w.len] = '\0';
    writer_free(&w);
}

struct cluster *cluster_parse(const char *text, size_t len, const char *path, char *why,
                              size_t why_size)
{
    struct build b = {.path = path, .why = why, .why_size = why_size};
    b.schema = cluster_schema_load(text, len, path, why, why_size);
    if (b.schema == NULL) {
        why_clean(why, why_size);
        return NULL;
    }
    b.doc = document_root(b.schema);
    b.c = xcalloc(1, sizeof *b.c);
    b.c->document = b.schema;
    bool good = build_identity(&b) && build_times(&b) && build_datacenters(&b) && build_nodes(&b) &&
                build_clients(&b) && build_placements(&b);
    unique_free(&b);
    if (!good) {
        cluster_free(b.c);
        why_clean(why, why_size);
        return NULL;
    }
    build_hashes(b.c);
    return b.c;
}
