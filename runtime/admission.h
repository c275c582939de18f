/* Whether a peer that proved its key is who the cluster file says, and has the same cluster file;
 * and who must go when too many have not proved anything yet. */
#ifndef RUNTIME_ADMISSION_H
#define RUNTIME_ADMISSION_H

#include "runtime/cluster.h"

/* False, with the reason and what to do in `why`. Both ends check: the peer is a node of the file,
 * by id, name, role and one of its keys, or a client by name and key; never this node itself; and
 * epoch and coordinator set are equal. `key` is the peer's, as it proved it. */
bool admission_check(const struct cluster *cluster, const struct hello *self,
                     const struct hello *peer, const uint8_t key[NOISE_KEY_BYTES], char *why,
                     size_t why_size);

/* Which of n > 0 connections that have not authenticated yet, oldest first, gives way to a newer
 * one: the oldest of the network (conn_network) that has the most. So one network can only crowd
 * out itself, and whoever idles makes room for whoever comes after. */
int admission_victim(const uint64_t *network, int n);

#endif
