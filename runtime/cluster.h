/* The cluster file (YAML, docs/operations.md): the same for every node and client. */
#ifndef RUNTIME_CLUSTER_H
#define RUNTIME_CLUSTER_H

#include "common/protocol.h"
#include "wire/channel.h"

struct cluster_node {
    node_id id;
    char name[NAME_BYTES_MAX + 1];
    enum role role;
    int datacenter; /* index */
    char host[256];
    uint16_t port;
    uint8_t key[2][NOISE_KEY_BYTES]; /* one or, during a rotation, two valid public keys */
    int keys;
};

enum grant_right { GRANT_READ = 1, GRANT_WRITE = 2 };

struct grant {
    struct bytes prefix;
    int rights; /* mask of grant_right */
};

struct cluster_client {
    char name[NAME_BYTES_MAX + 1];
    uint8_t key[2][NOISE_KEY_BYTES];
    int keys;
    bool admin;
    int grants;
    struct grant *grant;
};

/* A key prefix and the participants that hold it; longest prefix wins. */
struct placement {
    struct bytes prefix;
    int replicas;
    node_id replica[REPLICAS_MAX]; /* ascending */
    int parent; /* index of the longest other prefix that this one begins with, or -1 */
};

struct cluster {
    uint8_t id[CLUSTER_ID_BYTES];
    char name[NAME_BYTES_MAX + 1];
    uint32_t epoch;
    uint64_t set_hash;       /* of cluster id, epoch, and its coordinators' ids and first keys */
    uint64_t placement_hash; /* of all placements: prefixes and participants' ids */
    int datacenters;
    char (*datacenter)[NAME_BYTES_MAX + 1];
    int nodes;
    struct cluster_node *node; /* ascending by id */
    int coordinators;
    node_id coordinator[COORDINATORS_MAX]; /* ascending */
    int clients;
    struct cluster_client *client; /* ascending by name */
    int placements;
    struct placement *placement; /* ascending by prefix */
    uint32_t in_doubt_timeout_ms;
    uint32_t retention_ms;
    uint32_t clock_ahead_ms;
    uint32_t txid_skew_ms;
    struct document *document; /* the parsed file that the prefixes above point into */
};

/* Reads and checks the whole file. NULL on any error, with what, where (line or entry) and what to
 * do in `why` (at least 512 bytes). Unknown keys, wrong types, duplicates, missing parts, even
 * numbers of coordinators, unknown participants in placements, limits that do not fit: errors. */
struct cluster *cluster_load(const char *path, char *why, size_t why_size);
struct cluster *cluster_parse(const char *text, size_t len, const char *path, char *why,
                              size_t why_size);
void cluster_free(struct cluster *c);

const struct cluster_node *cluster_node(const struct cluster *c, node_id id);
const struct cluster_node *cluster_node_named(const struct cluster *c, const char *name);
const struct cluster_client *cluster_client_named(const struct cluster *c, const char *name);
/* The placement of a key, or NULL: no prefix covers it. */
const struct placement *cluster_place(const struct cluster *c, struct bytes key);
/* The placement of every key of [key, end), or NULL if they have not all the same one. An empty end
 * means "no end"; where end is not after key, the range is empty and this is the placement of key.
 * Two placements are never the same, even with the same participants. */
const struct placement *cluster_place_range(const struct cluster *c, struct bytes key,
                                            struct bytes end);
/* Whether the client may do `right` with the key; admin may everything. */
bool cluster_granted(const struct cluster *c, const char *client, struct bytes key,
                     enum grant_right right);
/* Whether it may read all of [key, end), several grants side by side included. An empty end means
 * "no end"; an empty range takes the right to key. */
bool cluster_granted_range(const struct cluster *c, const char *client, struct bytes key,
                           struct bytes end);
/* "500ms", "10s", "5m", "1h": strictly; false for anything else or over 32 bits of ms. */
bool duration_parse(const char *text, uint32_t *ms);

#endif
