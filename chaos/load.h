/* The clients of a chaos run: one thread each, blocking calls of libassent, every operation in the
 * history of its workload (history.h), every attempt in the samples. */
#ifndef CHAOS_LOAD_H
#define CHAOS_LOAD_H

#include "chaos/judgement.h"
#include "chaos/samples.h"
#include "chaos/site.h"

struct loads;

/* What a client was told of a transaction in the end. ANSWER_UNKNOWN: nobody could tell. */
enum answer { ANSWER_COMMITTED, ANSWER_ABORTED, ANSWER_UNKNOWN };
struct told {
    assent_txid txid;
    enum answer answer;
    uint64_t participants; /* mask of the site's nodes that took part, 1 << place */
};

/* Writes what the workloads begin with. NULL after saying why on stderr. */
struct loads *loads_open(struct site *site, struct samples *samples, uint64_t seed);
/* The clients begin; loads_stop lets each end what it is doing and joins them. */
void loads_start(struct loads *l);
void loads_stop(struct loads *l);
/* After the faults: asks for every outcome that is still unknown, and reads everything once more,
 * what is in lost datacenters aside. False with a line on stderr if something could not be read. */
bool loads_read_all(struct loads *l);
/* Every transaction's last answer; valid until loads_free. */
const struct told *loads_told(struct loads *l, size_t *n);
/* Whether a check of this name can judge a falsified run of the scenario; if not, `why` lists those
 * that can. */
bool loads_can_plant(const struct scenario *s, const char *name, char *why, size_t why_size);
/* Runs the checkers of each workload's history: appends to `out`. `planted` (NULL: none): the name
 * of a judgement before whose checker the history is falsified, which it must find. */
void loads_judge(struct loads *l, struct judgements *out, const char *planted);
/* Saves each history as <dir>/<workload>.edn. False with a line on stderr. */
bool loads_save(struct loads *l, const char *dir);
void loads_free(struct loads *l);

#endif
