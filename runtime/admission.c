/* See runtime/admission.h. Who the peer is comes first: a stranger learns nothing of this node but
 * that its key is unknown. An epoch that differs is named all the same, since that is the usual
 * cause. */
#include "runtime/admission.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SAME_FILE "start both with the same cluster file"

struct refusal {
    char *why;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct refusal *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, r->size, format, args);
    va_end(args);
    return false;
}

static bool key_listed(const uint8_t (*listed)[NOISE_KEY_BYTES], int n, const uint8_t *key)
{
    for (int i = 0; i < n; i++)
        if (memcmp(listed[i], key, NOISE_KEY_BYTES) == 0)
            return true;
    return false;
}

static bool key_check(const struct hello *self, const struct hello *peer,
                      const uint8_t (*listed)[NOISE_KEY_BYTES], int n, const uint8_t *key,
                      struct refusal *r)
{
    if (key_listed(listed, n, key))
        return true;
    char hex[2 * NOISE_KEY_BYTES + 1], epochs[96] = "";
    bytes_hex(bytes_of(key, NOISE_KEY_BYTES), hex);
    if (self->epoch != peer->epoch)
        snprintf(epochs, sizeof epochs, " (this node has epoch %" PRIu32 ", the peer %" PRIu32 ")",
                 self->epoch, peer->epoch);
    return refuse(r,
                  "the key %.16s... is not one that this node's cluster file gives to %s '%s'%s; "
                  "check the peer's key file, and " SAME_FILE,
                  hex, role_name(peer->role), peer->name, epochs);
}

static bool node_check(const struct cluster *cluster, const struct hello *self,
                       const struct hello *peer, const uint8_t *key, struct refusal *r)
{
    const struct cluster_node *node = cluster_node(cluster, peer->node);
    if (node == NULL)
        return refuse(r, "%s '%s' with id %u is not in this node's cluster file; " SAME_FILE,
                      role_name(peer->role), peer->name, peer->node);
    if (strcmp(node->name, peer->name) != 0)
        return refuse(r,
                      "name of node %u differs: this node has '%s', the peer has '%s'; " SAME_FILE,
                      peer->node, node->name, peer->name);
    if (node->role != peer->role)
        return refuse(r, "role of '%s' differs: this node has %s, the peer has %s; " SAME_FILE,
                      peer->name, role_name(node->role), role_name(peer->role));
    if (!key_check(self, peer, (const uint8_t(*)[NOISE_KEY_BYTES])node->key, node->keys, key, r))
        return false;
    if (self->role != ROLE_CLIENT && peer->node == self->node)
        return refuse(r, "'%s' is this node itself: two copies of it run, or its address is wrong",
                      peer->name);
    return true;
}

static bool client_check(const struct cluster *cluster, const struct hello *self,
                         const struct hello *peer, const uint8_t *key, struct refusal *r)
{
    const struct cluster_client *client = cluster_client_named(cluster, peer->name);
    if (client == NULL)
        return refuse(
            r, "client '%s' is not in this node's cluster file; add it there, and " SAME_FILE,
            peer->name);
    if (peer->node != 0)
        return refuse(r, "client '%s' claims node id %u; a client has none", peer->name,
                      peer->node);
    return key_check(self, peer, (const uint8_t(*)[NOISE_KEY_BYTES])client->key, client->keys, key,
                     r);
}

bool admission_check(const struct cluster *cluster, const struct hello *self,
                     const struct hello *peer, const uint8_t key[NOISE_KEY_BYTES], char *why,
                     size_t why_size)
{
    struct refusal r = {why, why_size};
    bool known = peer->role == ROLE_CLIENT ? client_check(cluster, self, peer, key, &r)
                                           : node_check(cluster, self, peer, key, &r);
    if (!known)
        return false;
    if (peer->epoch != self->epoch)
        return refuse(
            &r, "epoch differs: this node has %" PRIu32 ", the peer has %" PRIu32 "; " SAME_FILE,
            self->epoch, peer->epoch);
    if (peer->set_hash != self->set_hash)
        return refuse(&r,
                      "coordinator set differs: this node has %016" PRIx64
                      ", the peer has %016" PRIx64 "; " SAME_FILE,
                      self->set_hash, peer->set_hash);
    return true;
}

int admission_victim(const uint64_t *network, int n)
{
    int victim = 0, most = 0;
    for (int i = 0; i < n; i++) {
        int same = 0;
        for (int k = i; k < n; k++) /* from the oldest of a network on: all of it */
            same += network[k] == network[i];
        if (same > most) {
            most = same;
            victim = i;
        }
    }
    return victim;
}
