/* A link: its listener, its settings, and changes to them. What happens to a connection is in
 * link_pair.c. */
#include "chaos/link.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/link_pair.h"
#include "common/bytes.h"

#define BACKLOG 512

/* ---- listening ---- */

static void on_connection(uv_stream_t *listener, int status)
{
    struct link *l = listener->data;
    if (status == 0 && !l->closing)
        link_pair_accept(l, listener);
}

void link_release(struct link *l)
{
    if (l->closing && l->handles == 0 && TAILQ_EMPTY(&l->pairs))
        free(l);
}

static void on_holder_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;
    l->handles--;
    link_release(l);
}

static void on_listener_closed(uv_handle_t *handle)
{
    on_holder_closed(handle);
    free(handle);
}

/* The kernel refuses what it had not given to us yet, and whatever comes. */
static void link_refuse(struct link *l)
{
    if (l->listener != NULL)
        uv_close((uv_handle_t *)l->listener, on_listener_closed);
    l->listener = NULL;
}

/* 0 or a uv error. */
static int link_listen(struct link *l)
{
    if (l->listener != NULL || l->closing)
        return 0;
    l->listener = xcalloc(1, sizeof *l->listener);
    uv_tcp_init(l->loop, l->listener);
    l->listener->data = l;
    l->handles++;
    int rc = uv_tcp_bind(l->listener, (const struct sockaddr *)&l->address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)l->listener, BACKLOG, on_connection);
    if (rc != 0)
        link_refuse(l);
    return rc;
}

/* Binds the port for as long as the link lives: a socket that never listens neither gets
 * connections nor keeps the listener from binding beside it. */
static int link_hold(struct link *l)
{
    int len = sizeof l->address;
    uv_tcp_init(l->loop, &l->holder);
    l->holder.data = l;
    l->handles++;
    int rc = uv_tcp_bind(&l->holder, (const struct sockaddr *)&l->address, 0);
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->holder, (struct sockaddr *)&l->address, &len);
    return rc;
}

static bool resolve(const char *host, uint16_t port, struct sockaddr_storage *out, char *why,
                    size_t why_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *best;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0) {
        snprintf(why, why_size, "%s: %s: give a host that this machine can look up, or its address",
                 host, gai_strerror(rc));
        return false;
    }
    for (best = found; best->ai_family != AF_INET && best->ai_next != NULL; best = best->ai_next)
        ;
    if (best->ai_family != AF_INET)
        best = found;
    memcpy(out, best->ai_addr, best->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static void link_settle_options(struct link *l)
{
    const struct link_options *o = &l->options;
    for (int i = 0; i < WAYS; i++) {
        struct link_way_state *s = &l->way[i].state;
        s->delay_us = o->delay_us;
        s->extra_us = 0;
        s->jitter_us = o->jitter_us;
        s->bandwidth = o->bandwidth == 0 ? LINK_NONE : o->bandwidth;
        s->slow_close_us = o->slow_close_us;
        s->limit = LINK_NONE;
        s->corrupt_in = LINK_NONE;
        l->way[i].free_us = 0;
    }
}

struct link *link_open(uv_loop_t *loop, const struct link_options *options, char *why,
                       size_t why_size)
{
    struct link *l = xcalloc(1, sizeof *l);
    const char *listen_host = options->listen_host == NULL ? "127.0.0.1" : options->listen_host;
    l->loop = loop;
    l->options = *options;
    l->options.listen_host = l->options.host = NULL;
    TAILQ_INIT(&l->pairs);
    prng_seed(&l->prng, options->seed);
    link_settle_options(l);
    if (!resolve(listen_host, options->listen_port, &l->address, why, why_size) ||
        !resolve(options->host, options->port, &l->target, why, why_size)) {
        free(l);
        return NULL;
    }
    int rc = link_hold(l);
    if (rc == 0)
        rc = link_listen(l);
    if (rc != 0) {
        const char *todo = rc == UV_EADDRINUSE ? "choose another port, or 0 for a free one"
                           : rc == UV_EMFILE   ? "raise the limit of open files (ulimit -n)"
                                               : "choose another address";
        snprintf(why, why_size, "cannot listen at %s:%u: %s: %s", listen_host, options->listen_port,
                 uv_strerror(rc), todo);
        link_close(l);
        return NULL;
    }
    return l;
}

uint16_t link_port(const struct link *l)
{
    const struct sockaddr_storage *a = &l->address;
    return ntohs(a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)a)->sin6_port
                                          : ((const struct sockaddr_in *)a)->sin_port);
}

void link_close(struct link *l)
{
    struct link_pair *p, *next;
    if (l->closing)
        return;
    l->closing = true;
    for (p = TAILQ_FIRST(&l->pairs); p != NULL; p = next) {
        next = link_pair_next(p);
        link_pair_reset(p);
    }
    link_refuse(l);
    uv_close((uv_handle_t *)&l->holder, on_holder_closed);
}

/* ---- changes ---- */

static void link_reset(struct link *l)
{
    for (struct link_pair *p = TAILQ_FIRST(&l->pairs); p != NULL; p = link_pair_next(p))
        link_pair_reset(p);
}

static void link_heal(struct link *l, unsigned ways, uint64_t how)
{
    bool healed = false;
    for (int i = 0; i < WAYS; i++) {
        if ((ways & 1u << i) == 0 || !l->way[i].state.cut)
            continue;
        l->way[i].state.cut = false;
        healed = true;
    }
    if (healed && how == LINK_RESET_ALL)
        link_reset(l);
}

static bool change_is_time(enum link_change_kind kind)
{
    return kind == LINK_DELAY || kind == LINK_EXTRA || kind == LINK_JITTER ||
           kind == LINK_SLOW_CLOSE;
}

static uint64_t bounded(const struct link_change *change)
{
    uint64_t max = change_is_time(change->kind) ? LINK_TIME_US_MAX : LINK_BYTES_MAX;
    if (change->value == LINK_NONE && !change_is_time(change->kind))
        return change->value;
    return change->value < max ? change->value : max;
}

static void way_change(struct link *l, int i, enum link_change_kind kind, uint64_t value)
{
    struct link_way_state *s = &l->way[i].state;
    struct link_pair *p;
    switch (kind) {
    case LINK_DELAY:
        s->delay_us = value;
        break;
    case LINK_EXTRA:
        s->extra_us = value;
        break;
    case LINK_JITTER:
        s->jitter_us = value;
        break;
    case LINK_BANDWIDTH:
        s->bandwidth = value == 0 ? LINK_NONE : value;
        l->way[i].free_us = 0;
        break;
    case LINK_CUT:
        s->cut = true;
        break;
    case LINK_SLOW_CLOSE:
        s->slow_close_us = value;
        break;
    case LINK_CORRUPT:
        s->corrupt_in = value == LINK_RANDOM ? prng_below(&l->prng, LINK_CORRUPT_WITHIN) : value;
        break;
    case LINK_LIMIT:
        s->limit = value;
        for (p = TAILQ_FIRST(&l->pairs); p != NULL; p = link_pair_next(p))
            link_pair_limit(p, i, value);
        break;
    case LINK_RESET:
    case LINK_HALF_OPEN:
        for (p = TAILQ_FIRST(&l->pairs); p != NULL; p = link_pair_next(p))
            link_pair_half_open(p, i, kind == LINK_RESET);
        break;
    default:
        fprintf(stderr, "link: a change of kind %d is not one of a way\n", (int)kind);
        abort();
    }
}

bool link_change(struct link *l, const struct link_change *change)
{
    bool good = true;
    switch (change->kind) {
    case LINK_HEAL:
        link_heal(l, change->ways, change->value);
        break;
    case LINK_REFUSE:
        link_refuse(l);
        break;
    case LINK_ACCEPT:
        good = link_listen(l) == 0;
        break;
    case LINK_CALM:
        link_settle_options(l);
        for (struct link_pair *p = TAILQ_FIRST(&l->pairs); p != NULL; p = link_pair_next(p))
            for (int i = 0; i < WAYS; i++)
                link_pair_limit(p, i, LINK_NONE);
        link_heal(l, LINK_BOTH, change->value);
        good = link_listen(l) == 0;
        break;
    default:
        if (change->kind == LINK_RESET && change->ways == LINK_BOTH)
            link_reset(l);
        else
            for (int i = 0; i < WAYS; i++)
                if ((change->ways & 1u << i) != 0)
                    way_change(l, i, change->kind, bounded(change));
    }
    for (struct link_pair *p = TAILQ_FIRST(&l->pairs); p != NULL; p = link_pair_next(p))
        link_pair_pump(p);
    return good;
}

void link_state(const struct link *l, struct link_state *out)
{
    *out = (struct link_state){.port = link_port(l),
                               .refusing = l->listener == NULL,
                               .connections = l->connections,
                               .open = l->open,
                               .up = l->way[WAY_UP].state,
                               .down = l->way[WAY_DOWN].state};
    for (const struct link_pair *p = TAILQ_FIRST(&l->pairs); p != NULL; p = link_pair_next(p)) {
        out->up.held += link_pair_held(p, WAY_UP);
        out->down.held += link_pair_held(p, WAY_DOWN);
    }
}
