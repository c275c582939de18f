/* The clocks of the machine; any thread. */
#ifndef CLIENT_CLOCK_H
#define CLIENT_CLOCK_H

#include <stdint.h>

/* Monotonic, in microseconds. */
uint64_t clock_now_us(void);
/* Unix time, in milliseconds. */
uint64_t clock_wall_ms(void);

#endif
