/* Which planted bug (common/mutant.h) a simulator that was built with -DASSENT_MUTANTS has. */
#ifndef TESTS_SIM_MUTANT_CHOICE_H
#define TESTS_SIM_MUTANT_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

/* False: there is none of that name, or this build has none at all. */
bool mutant_choose(const char *name);
/* One a line: name, and what is broken. */
void mutant_list(void);
/* Before each seed: the canary sings in one of eight. */
void mutant_begin_seed(uint64_t seed);

#endif
