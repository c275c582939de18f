/* The demonstrations behind `make demo`. */
#ifndef CHAOS_DEMO_H
#define CHAOS_DEMO_H

#include <stdbool.h>

/* Makes a cluster in `dir`, which must not exist, and shows it. The process's exit status. keep:
 * afterwards leaves it up until a signal. */
int demo_main(const char *dir, bool keep);
/* Only the commit latencies, without faults, with one or three coordinators. */
int latency_main(const char *dir, int coordinators);

#endif
