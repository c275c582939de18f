/* The demonstration behind `make demo`. */
#ifndef CHAOS_DEMO_H
#define CHAOS_DEMO_H

#include <stdbool.h>

/* Makes a cluster in `dir`, which must not exist, and shows it. The process's exit status. keep:
 * afterwards leaves it up until a signal. */
int demo_main(const char *dir, bool keep);

#endif
