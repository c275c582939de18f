#include "common/mutant.h"

#ifdef ASSENT_MUTANTS
enum mutant mutant_active = MUTANT_NONE;
#endif
