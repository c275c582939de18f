#include "tests/sim/mutant_choice.h"

#include <stdio.h>
#include <string.h>

#include "common/mutant.h"
#include "common/prng.h"

#ifdef ASSENT_MUTANTS

#define CANARY_ONE_IN 8u

static const struct {
    const char *name, *what;
} mutants[MUTANTS] = {
#define MUTANT_TEXT(name, what) {#name, what},
    MUTANT_MAP(MUTANT_TEXT)
#undef MUTANT_TEXT
};

static bool canary;

bool mutant_choose(const char *name)
{
    for (int i = 0; i < MUTANTS; i++)
        if (strcmp(name, mutants[i].name) == 0) {
            mutant_active = (enum mutant)i;
            canary = i == MUTANT_CANARY;
            return true;
        }
    return false;
}

void mutant_list(void)
{
    for (int i = MUTANT_NONE + 1; i < MUTANTS; i++)
        printf("%-28s %s\n", mutants[i].name, mutants[i].what);
}

void mutant_begin_seed(uint64_t seed)
{
    struct prng prng;
    if (!canary)
        return;
    prng_seed(&prng, seed);
    mutant_active = prng_below(&prng, CANARY_ONE_IN) == 0 ? MUTANT_CANARY : MUTANT_NONE;
}

#else

bool mutant_choose(const char *name)
{
    (void)name;
    return false;
}

void mutant_list(void)
{
}

void mutant_begin_seed(uint64_t seed)
{
    (void)seed;
}

#endif
