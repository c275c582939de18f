/* Blocking sockets at both ends of links that run on their own thread. For the tests of
 * chaos/link and chaos/wan. Time is only ever checked as "not before": waits end when what they
 * wait for has happened, or fail after PATIENCE_MS. */
#ifndef TESTS_UNIT_LINK_FIXTURE_H
#define TESTS_UNIT_LINK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "chaos/links.h"
#include "common/bytes.h"

/* Only a test that fails waits so long. */
#define PATIENCE_MS 60000
/* How long a test looks at a socket at which nothing must happen. */
#define QUIET_MS 60

static inline uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static inline struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket that listens on a free port. */
static inline int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* -1 with errno if it was refused. */
static inline int try_dial(uint16_t port)
{
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static inline int dial(uint16_t port)
{
    int fd = try_dial(port);
    if (fd < 0)
        fail_msg("dialling port %u: %s", port, strerror(errno));
    return fd;
}

static inline bool readable_within(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

static inline void wait_readable(int fd)
{
    if (!readable_within(fd, PATIENCE_MS))
        fail_msg("nothing came within %d s", PATIENCE_MS / 1000);
}

static inline int accept_one(int listener)
{
    wait_readable(listener);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void hear_bytes(int fd, uint8_t *out, size_t n)
{
    for (size_t got = 0; got < n;) {
        wait_readable(fd);
        ssize_t some = recv(fd, out + got, n - got, 0);
        if (some <= 0)
            fail_msg("%zu of %zu bytes, then %s", got, n, some == 0 ? "the end" : strerror(errno));
        got += (size_t)some;
    }
}

static inline void hear(int fd, const char *text)
{
    uint8_t got[256];
    size_t n = strlen(text);
    assert_true(n <= sizeof got);
    hear_bytes(fd, got, n);
    assert_memory_equal(got, text, n);
}

static inline void hear_end(int fd)
{
    char c;
    wait_readable(fd);
    ssize_t n = recv(fd, &c, 1, 0);
    if (n != 0)
        fail_msg("expected the end of the stream, got %s", n > 0 ? "a byte" : strerror(errno));
}

static inline void hear_reset(int fd)
{
    char c;
    wait_readable(fd);
    ssize_t n = recv(fd, &c, 1, 0);
    if (n >= 0 || errno != ECONNRESET)
        fail_msg("expected a reset, got %s",
                 n > 0 ? "a byte" : (n == 0 ? "the end of the stream" : strerror(errno)));
}

static inline void hear_nothing(int fd)
{
    if (readable_within(fd, QUIET_MS))
        fail_msg("something came where nothing must");
}

static inline void close_with_reset(int fd)
{
    struct linger now = {1, 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

#endif
