/* A wrong clock for a test. Off unless the environment variable ASSENT_TEST_CLOCK names a file of 8
 * bytes: a signed number of microseconds, in the machine's byte order, which is added to every
 * reading of the wall clock that matters to the protocol. The file is mapped, so that whoever
 * writes to it moves the clock of the running daemon. Times in log lines stay true. */
#ifndef RUNTIME_TEST_CLOCK_H
#define RUNTIME_TEST_CLOCK_H

#include <stdint.h>

/* Once, at start. Returns a sentence about an unusable file, or NULL. */
const char *test_clock_open(void);
/* Unix milliseconds. Any thread. */
uint64_t test_clock_wall_ms(void);

#endif
