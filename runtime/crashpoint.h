/* Where a test may make a daemon die: kill -9 of itself at a named protocol step. Off unless the
 * environment variable ASSENT_CRASH_AT is "<step>:<name>:<n>":
 *
 *   step  before-store, after-store (a record's name), before-send, after-send (a message's name)
 *   n     at the n-th time, 1 = the first; default 1 */
#ifndef RUNTIME_CRASHPOINT_H
#define RUNTIME_CRASHPOINT_H

/* Once, at start. Returns a sentence about a malformed value, or NULL. */
const char *crashpoint_open(void);
/* Dies here if it is time. One thread. */
void crashpoint(const char *step, const char *name);

#endif
