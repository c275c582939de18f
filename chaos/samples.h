/* What a chaos run measures: every commit attempt of every client, and how much is in doubt over
 * time. */
#ifndef CHAOS_SAMPLES_H
#define CHAOS_SAMPLES_H

#include <assent/assent.h>

#include "chaos/fault.h"
#include "chaos/scenario.h"

/* About 550 MB of samples, and 18 hours of looks. What comes after is left out. */
#define SAMPLES_MAX (1u << 21)
#define DOUBTS_MAX  (1u << 18)

#define SAMPLE_PARTS_MAX 8

/* One attempt to commit. */
struct sample {
    uint64_t begin_us, end_us; /* of chaos_now_us() */
    enum load_kind load;
    int datacenter;           /* the client's */
    uint32_t participants_in; /* mask of the datacenters whose participants took part */
    assent_status status;
    assent_txid txid;
    bool has_info; /* what follows is from the commit's breakdown */
    int leader_in; /* datacenter of the leader, or -1 */
    uint32_t leader_us, quorum_us;
    int parts;
    assent_part part[SAMPLE_PARTS_MAX]; /* the first ones; names are copied by samples_add() */
};

struct doubt {
    uint64_t at_us;
    int in_doubt, answering;
    int down;                                     /* nodes that are killed, for a while */
    uint32_t oldest_ms[SCENARIO_DATACENTERS_MAX]; /* in doubt for the longest, by datacenter */
};

struct samples;

struct samples *samples_new(void);
void samples_free(struct samples *s);
/* Any thread. Says so once on stderr when there are too many. */
void samples_add(struct samples *s, const struct sample *sample);
void samples_add_doubt(struct samples *s, const struct doubt *doubt);
/* Since the last call of it: for the line of live progress. Any thread. */
void samples_progress(struct samples *s, uint64_t *commits, uint64_t *aborts, uint64_t *unknown,
                      int *in_doubt);
/* When no thread adds any more: all, in the order of end_us; of at_us. */
const struct sample *samples_all(struct samples *s, size_t *n);
const struct doubt *samples_doubts(struct samples *s, size_t *n);
/* How many attempts came after the bound. */
size_t samples_left_out(const struct samples *s);

#endif
