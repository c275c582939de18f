/* Where a test may make a daemon die: kill -9 of itself at a named protocol step. Off unless the
 * environment variable ASSENT_CRASH_AT is "<step>:<name>:<n>":
 *
 *   step  before-store, after-store (a record's name), before-send, after-send (a message's name)
 *   n     at the n-th time, 1 = the first; default 1 */
#ifndef RUNTIME_CRASHPOINT_H
#define RUNTIME_CRASHPOINT_H

#include <stdbool.h>

/* Once, at start. Returns a sentence about a malformed value, or NULL. */
const char *crashpoint_open(void);
/* Whether it is time to die at this step: true once. One thread. */
bool crashpoint_reached(const char *step, const char *name);
/* Dies here if it is time. */
void crashpoint(const char *step, const char *name);
_Noreturn void crashpoint_die(void);

#endif
