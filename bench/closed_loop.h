/* A closed loop: clients that each do one operation after the other, on one libuv loop, for a
 * given time. */
#ifndef BENCH_CLOSED_LOOP_H
#define BENCH_CLOSED_LOOP_H

#include <assent/uv.h>

#include "common/histogram.h"

enum loop_operation {
    LOOP_READ,       /* a strong read of a random key */
    LOOP_PUT,        /* a commit that overwrites a random key under each prefix */
    LOOP_ADD,        /* a commit that adds 1 to the one key */
    LOOP_ADD_LOCKED, /* the same with the new value given back, which locks the key */
    LOOP_LOAD        /* commits that put all keys under the first prefix, one after the other */
};

#define LOOP_PREFIXES_MAX 2
#define LOOP_PREFIX_BYTES 80

struct loop_load {
    enum loop_operation operation;
    int clients;
    double warm_s, seconds; /* not of LOOP_LOAD, which ends by itself */
    char prefix[LOOP_PREFIXES_MAX][LOOP_PREFIX_BYTES];
    int prefixes;
    uint64_t keys[LOOP_PREFIXES_MAX]; /* under each */
    uint32_t rounds;                  /* LOOP_LOAD: how often */
    const char *progress;             /* what is shown on stderr meanwhile */
};

struct loop_result {
    uint64_t done, failed;
    double seconds;
    struct histogram latency; /* us, of what was done */
};

/* Opens a handle on the loop by `open`, runs the load and closes it. False, after a sentence on
 * stderr, if nothing could be done. */
bool loop_run(const struct loop_load *load, assent *(*open)(void *arg, uv_loop_t *loop), void *arg,
              struct loop_result *out);

#endif
