/* All or nothing, from the nodes' own databases after they have stopped: no transaction has two
 * outcomes among all nodes' records and all clients' answers, nobody is in doubt, nothing decided
 * is missing at a participant that voted for it, no coordinator has a record that is not decided.
 */
#ifndef CHAOS_ATOMICITY_H
#define CHAOS_ATOMICITY_H

#include "chaos/judgement.h"
#include "chaos/load.h"
#include "chaos/site.h"

/* Appends its judgements to `out`: "atomicity", "nothing-in-doubt", and, unless a datacenter was
 * lost, "nothing-open". Nodes of lost datacenters are left out but for what they had told: their
 * databases are gone. `planted` as of loads_judge(): of "atomicity" alone, one answer is falsified.
 */
void atomicity_judge(const struct site *site, const struct told *told, size_t n,
                     const char *planted, struct judgements *out);
/* The same over data directories alone: for tests. roles: of each. */
void atomicity_judge_dirs(const char *const *dir, const enum role *role, int dirs,
                          const struct told *told, size_t n, const char *planted,
                          struct judgements *out);

#endif
