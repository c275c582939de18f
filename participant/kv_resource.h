/* The lock half of the key-value resource: operations to locks, grants and placement (resource.h).
 */
#ifndef PARTICIPANT_KV_RESOURCE_H
#define PARTICIPANT_KV_RESOURCE_H

#include "participant/resource.h"

struct kv_resource;

/* Answers about the cluster file that the resource must ask; keeps it free of the runtime. */
struct kv_policy {
    void *arg;
    node_id self;
    uint64_t placement_hash;
    /* Whether `client` may read (write = false) or write the key; for a range, all of [key, end).
     */
    bool (*granted)(void *arg, const char *client, struct bytes key, bool write);
    bool (*granted_range)(void *arg, const char *client, struct bytes key, struct bytes end);
    /* The participants that hold the key: count, and ids in out[REPLICAS_MAX]; 0: none. For a
     * range: 0 as well when its keys are not all placed alike. */
    int (*replicas)(void *arg, struct bytes key, node_id *out);
    int (*replicas_range)(void *arg, struct bytes key, struct bytes end, node_id *out);
};

struct kv_resource *kv_resource_new(const struct kv_policy *policy);
void kv_resource_free(struct kv_resource *r);
/* Borrows r. */
struct resource kv_resource_ops(struct kv_resource *r);
uint32_t kv_resource_locks_held(const struct kv_resource *r);
uint32_t kv_resource_locks_waiting(const struct kv_resource *r);

#endif
