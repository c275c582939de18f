/* See runtime/dialer.h.
 *
 *   IDLE -> LOOKING_UP (names only) -> TRYING -> UP        dialer_start, on_found, dialer_up
 *   LOOKING_UP or TRYING -> WAITING -> LOOKING_UP ...      dialer_wait, on_wait_over
 *   UP -> WAITING                                          dialer_again
 *   any -> IDLE                                            dialer_stop
 *
 * A lookup runs on libuv's thread pool and cannot always be cancelled, so it may end in any state:
 * it counts only in LOOKING_UP. */
#include "runtime/dialer.h"

#include <stdio.h>
#include <string.h>

static void dialer_look_up(struct dialer *d);

static void dialer_forget_addresses(struct dialer *d)
{
    if (d->found != NULL)
        uv_freeaddrinfo(d->found);
    d->found = d->next = NULL;
}

static void on_wait_over(uv_timer_t *timer)
{
    dialer_look_up(timer->data);
}

/* Anything between the shortest wait and twice the last, so that two nodes that lost each other, or
 * a hundred that lost the same one, do not dial in step. */
static void dialer_wait(struct dialer *d)
{
    uint32_t doublings = d->failures < 5 ? d->failures : 5;
    uint64_t longest = (uint64_t)(2 * DIALER_BACK_OFF_MS_MIN) << doublings;
    if (longest > DIALER_BACK_OFF_MS_MAX)
        longest = DIALER_BACK_OFF_MS_MAX;
    d->failures++;
    d->state = DIALER_WAITING;
    dialer_forget_addresses(d);
    uint64_t spread = longest - DIALER_BACK_OFF_MS_MIN + 1;
    uv_timer_start(&d->timer, on_wait_over, DIALER_BACK_OFF_MS_MIN + prng_below(d->prng, spread),
                   0);
}

bool dialer_numeric(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    return uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0;
}

static void dialer_lookup_failed(struct dialer *d, int err)
{
    char why[512];
    snprintf(why, sizeof why, "looking up %.255s: %s", d->host, uv_strerror(err));
    dialer_wait(d);
    d->lookup_failed(d, why);
}

static void dialer_lookup_ended(struct dialer *d)
{
    if (d->closing && d->timer_closed && !d->looking_up)
        d->closed(d);
}

static void on_found(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct dialer *d = req->data;
    d->looking_up = false;
    if (d->closing || d->state != DIALER_LOOKING_UP) {
        uv_freeaddrinfo(found);
        dialer_lookup_ended(d);
        return;
    }
    if (status != 0) {
        dialer_lookup_failed(d, status);
        return;
    }
    d->found = d->next = found;
    d->state = DIALER_TRYING;
    d->attempt(d, d->next->ai_addr);
}

static void dialer_look_up(struct dialer *d)
{
    struct sockaddr_storage address;
    if (dialer_numeric(d->host, d->port, &address)) {
        d->state = DIALER_TRYING;
        d->attempt(d, (struct sockaddr *)&address);
        return;
    }
    d->state = DIALER_LOOKING_UP;
    if (d->looking_up)
        return; /* an earlier one, stopped meanwhile, will do */
    char port[8];
    snprintf(port, sizeof port, "%u", d->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int err = uv_getaddrinfo(d->loop, &d->lookup, on_found, d->host, port, &hints);
    d->looking_up = err == 0;
    if (err != 0)
        dialer_lookup_failed(d, err);
}

void dialer_init(struct dialer *d)
{
    d->lookup.data = d->timer.data = d;
    uv_timer_init(d->loop, &d->timer);
}

void dialer_start(struct dialer *d)
{
    if (d->state == DIALER_IDLE && !d->closing)
        dialer_look_up(d);
}

void dialer_up(struct dialer *d)
{
    dialer_forget_addresses(d);
    d->state = DIALER_UP;
    d->up_since_ms = uv_now(d->loop);
}

void dialer_failed(struct dialer *d, bool elsewhere)
{
    if (d->state != DIALER_TRYING)
        return;
    if (elsewhere && d->next != NULL && d->next->ai_next != NULL) {
        d->next = d->next->ai_next;
        d->attempt(d, d->next->ai_addr);
    } else {
        dialer_wait(d);
    }
}

void dialer_again(struct dialer *d)
{
    if ((d->state != DIALER_UP && d->state != DIALER_IDLE) || d->closing)
        return;
    /* A peer that accepts and drops at once gets no fresh start. */
    if (d->state == DIALER_UP && uv_now(d->loop) - d->up_since_ms >= DIALER_BACK_OFF_MS_MAX)
        d->failures = 0;
    dialer_wait(d);
}

void dialer_stop(struct dialer *d)
{
    uv_timer_stop(&d->timer);
    dialer_forget_addresses(d);
    d->state = DIALER_IDLE;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct dialer *d = handle->data;
    d->timer_closed = true;
    dialer_lookup_ended(d);
}

void dialer_close(struct dialer *d)
{
    dialer_stop(d);
    d->closing = true;
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
    if (d->looking_up)
        uv_cancel((uv_req_t *)&d->lookup);
}
