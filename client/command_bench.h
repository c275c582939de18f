/* What `assent bench` is asked for and what it measures; command_bench.c makes the load,
 * command_bench_show.c adds up and shows. */
#ifndef CLIENT_COMMAND_BENCH_H
#define CLIENT_COMMAND_BENCH_H

#include "client/command.h"
#include "common/histogram.h"
#include "common/limits.h"

struct bench_config {
    int64_t clients, participants, among, seconds, keys, value_size, read_percent;
    double zipf;
    bool adds;
};

#define BENCH_STATUSES 64

struct bench_part {
    const char *name;
    struct bytes prefix;
    uint64_t n, network_us, lock_wait_us, sync_us; /* sums over committed transactions */
};

struct bench_result {
    double seconds;
    struct histogram committed;
    uint64_t status[BENCH_STATUSES]; /* transactions by how they ended */
    uint64_t leader_us, quorum_us;
    int parts;
    struct bench_part part[PARTICIPANTS_MAX];
    bool has_syncs;
    uint64_t syncs; /* of all nodes, for what was committed from the warm-up on */
    uint64_t committed_all;
};

void bench_count(struct bench_result *r, assent_status status, const assent_commit_info *info);
void bench_show(const struct bench_config *config, const struct bench_result *r,
                enum command_output output);

#endif
