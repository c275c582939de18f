#include "runtime/test_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t none;
static const _Atomic int64_t *ahead_us = &none;

const char *test_clock_open(void)
{
    static char why[512];
    const char *path = getenv("ASSENT_TEST_CLOCK");
    struct stat st;
    why[0] = '\0';
    if (path == NULL)
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(why, sizeof why, "ASSENT_TEST_CLOCK: %.300s: %s: name a file of 8 bytes", path,
                 strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof *ahead_us) {
        snprintf(why, sizeof why,
                 "ASSENT_TEST_CLOCK: %.300s: not a file of 8 bytes: write a signed number of "
                 "microseconds into it, in this machine's byte order",
                 path);
    } else {
        void *map = mmap(NULL, sizeof *ahead_us, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            snprintf(why, sizeof why, "ASSENT_TEST_CLOCK: %.300s: %s", path, strerror(errno));
        else
            ahead_us = map;
    }
    if (fd >= 0)
        close(fd);
    return why[0] == '\0' ? NULL : why;
}

uint64_t test_clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000, ahead = atomic_load(ahead_us);
    if (__builtin_add_overflow(us, ahead, &us) || us < 0)
        us = ahead < 0 ? 0 : INT64_MAX;
    return (uint64_t)us / 1000;
}
