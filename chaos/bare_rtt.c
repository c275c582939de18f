/* What a round trip costs before any program does anything: an echo behind a link of the same
 * delay. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "chaos/links.h"
#include "chaos/site.h"
#include "common/bytes.h"

#define TRIES      7
#define PATIENCE_S 10 /* for one round trip: more than any that a scenario may have */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Accepts one connection and sends back what comes, until its end. */
static void *echo(void *arg)
{
    char byte;
    int one = 1, fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
        ;
    close(fd);
    return NULL;
}

/* A socket that listens on a free port, or -1. */
static int echo_listen(uint16_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The median of a few round trips of one byte through the port; 0 if there was none. */
static uint32_t measure(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    uint32_t us[TRIES];
    size_t n = 0;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool good = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    /* the first one opens the way behind the link, too, and does not count */
    for (int i = 0; good && i <= TRIES; i++) {
        char byte = 'x';
        uint64_t begin_us = chaos_now_us();
        good = write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1;
        if (good && i > 0)
            us[n++] = (uint32_t)(chaos_now_us() - begin_us);
    }
    close(fd);
    qsort(us, n, sizeof us[0], compare_u32);
    return n == 0 ? 0 : us[n / 2];
}

uint32_t site_bare_rtt_us(const struct site *s, int from, int to)
{
    const struct scenario *c = s->scenario;
    struct link_options options = {.host = "127.0.0.1",
                                   .delay_us =
                                       c->rtt_ms[from * c->datacenters + to] * UINT64_C(500),
                                   .jitter_us = c->jitter_us};
    char why[512];
    uint32_t us = 0;
    int fd = echo_listen(&options.port);
    pthread_t thread;
    if (fd < 0 || pthread_create(&thread, NULL, echo, &fd) != 0) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    struct links *links = links_new();
    if (links_add(links, &options, why, sizeof why) >= 0) {
        uint16_t port = link_port(links_at(links, 0));
        links_start(links);
        us = measure(port);
    }
    links_free(links);
    shutdown(fd, SHUT_RDWR); /* ends an accept() that nobody came to */
    pthread_join(thread, NULL);
    close(fd);
    return us;
}
