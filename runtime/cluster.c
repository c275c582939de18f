/* The cluster file in memory: reading it from disk, and every question about it. */
#include "runtime/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/cluster_schema.h"
#include "runtime/file.h"

struct cluster *cluster_load(const char *path, char *why, size_t why_size)
{
    struct writer text = {0};
    struct cluster *c = NULL;
    if (file_read(path, CLUSTER_FILE_BYTES_MAX, "the cluster file", &text, why, why_size))
        c = cluster_parse((const char *)text.data, text.len, path, why, why_size);
    writer_free(&text);
    return c;
}

void cluster_free(struct cluster *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < c->clients; i++)
        free(c->client[i].grant);
    free(c->datacenter);
    free(c->node);
    free(c->client);
    free(c->placement);
    document_free(c->document);
    free(c);
}

/* ---- entries ---- */

static int node_find(const void *id, const void *node)
{
    return *(const node_id *)id - ((const struct cluster_node *)node)->id;
}

const struct cluster_node *cluster_node(const struct cluster *c, node_id id)
{
    return bsearch(&id, c->node, (size_t)c->nodes, sizeof *c->node, node_find);
}

const struct cluster_node *cluster_node_named(const struct cluster *c, const char *name)
{
    for (int i = 0; i < c->nodes; i++)
        if (strcmp(c->node[i].name, name) == 0)
            return &c->node[i];
    return NULL;
}

static int client_find(const void *name, const void *client)
{
    return strcmp(name, ((const struct cluster_client *)client)->name);
}

const struct cluster_client *cluster_client_named(const struct cluster *c, const char *name)
{
    if (c->clients == 0)
        return NULL; /* nor is there an array */
    return bsearch(name, c->client, (size_t)c->clients, sizeof *c->client, client_find);
}

/* ---- placement ---- */

/* Index of the first placement whose prefix is after the key. */
static int placement_after(const struct cluster *c, struct bytes key)
{
    int low = 0, high = c->placements;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (bytes_compare(c->placement[middle].prefix, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Every prefix of the key that is in the table is also one of the last prefix p that is not after
 * the key, as p is between the two: so p or one of its parents. */
const struct placement *cluster_place(const struct cluster *c, struct bytes key)
{
    int i = placement_after(c, key) - 1;
    if (i < 0)
        return NULL;
    struct bytes last = c->placement[i].prefix;
    size_t shared = 0;
    while (shared < last.len && shared < key.len && last.data[shared] == key.data[shared])
        shared++;
    while (i >= 0 && c->placement[i].prefix.len > shared)
        i = c->placement[i].parent;
    return i < 0 ? NULL : &c->placement[i];
}

/* Bytes of the prefix that count for where its keys end: the first key after them all is these with
 * the last one raised by one. 0: no key is after them. */
static size_t prefix_last(struct bytes prefix)
{
    size_t n = prefix.len;
    while (n > 0 && prefix.data[n - 1] == 0xff)
        n--;
    return n;
}

/* Whether keys that begin with the prefix are all that a range beginning in it has before `end`. */
static bool prefix_reaches(struct bytes prefix, struct bytes end)
{
    size_t n = prefix_last(prefix);
    if (n == 0 || end.len == 0)
        return n == 0;
    struct bytes head = bytes_of(prefix.data, n - 1);
    if (end.len < n || !bytes_has_prefix(end, head))
        return bytes_compare(end, head) <= 0;
    int last = end.data[n - 1], after = prefix.data[n - 1] + 1;
    return last < after || (last == after && end.len == n);
}

const struct placement *cluster_place_range(const struct cluster *c, struct bytes key,
                                            struct bytes end)
{
    const struct placement *p = cluster_place(c, key);
    if (p == NULL || (end.len > 0 && bytes_compare(end, key) <= 0))
        return p;
    if (!prefix_reaches(p->prefix, end))
        return NULL;
    /* A prefix that is not after key and covers a later key of the range covers key too, so it is
     * no longer than p's: only a prefix inside the range can be of another placement. */
    int next = placement_after(c, key);
    bool inside =
        next < c->placements && (end.len == 0 || bytes_compare(c->placement[next].prefix, end) < 0);
    return inside ? NULL : p;
}

/* ---- grants ---- */

/* The grant of the right with the shortest prefix that covers the key, or NULL. */
static const struct grant *grant_widest(const struct cluster_client *client, struct bytes key,
                                        enum grant_right right)
{
    const struct grant *widest = NULL;
    for (int i = 0; i < client->grants; i++) {
        const struct grant *grant = &client->grant[i];
        if ((grant->rights & (int)right) != 0 && bytes_has_prefix(key, grant->prefix) &&
            (widest == NULL || grant->prefix.len < widest->prefix.len))
            widest = grant;
    }
    return widest;
}

bool cluster_granted(const struct cluster *c, const char *client, struct bytes key,
                     enum grant_right right)
{
    const struct cluster_client *found = cluster_client_named(c, client);
    return found != NULL && (found->admin || grant_widest(found, key, right) != NULL);
}

bool cluster_granted_range(const struct cluster *c, const char *client, struct bytes key,
                           struct bytes end)
{
    const struct cluster_client *found = cluster_client_named(c, client);
    if (found == NULL || found->admin)
        return found != NULL;
    uint8_t after[KEY_BYTES_MAX];
    for (;;) {
        const struct grant *grant = grant_widest(found, key, GRANT_READ);
        if (grant == NULL || prefix_reaches(grant->prefix, end))
            return grant != NULL;
        /* Every turn begins after the keys of the grant before: no grant is taken twice. */
        size_t n = prefix_last(grant->prefix);
        memcpy(after, grant->prefix.data, n);
        after[n - 1]++;
        key = bytes_of(after, n);
    }
}
