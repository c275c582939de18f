/* When and where to dial one peer: looks up its addresses, tries them in turn, and after the last
 * one waits for a randomised, growing while. It knows no sockets: the owner makes each attempt. */
#ifndef RUNTIME_DIALER_H
#define RUNTIME_DIALER_H

#include <stdbool.h>
#include <uv.h>

#include "common/prng.h"

#define DIALER_BACK_OFF_MS_MIN 50u
#define DIALER_BACK_OFF_MS_MAX 1000u

enum dialer_state { DIALER_IDLE, DIALER_WAITING, DIALER_LOOKING_UP, DIALER_TRYING, DIALER_UP };

struct dialer {
    uv_loop_t *loop;
    struct prng *prng; /* borrowed */
    void *owner;
    const char *host; /* borrowed */
    uint16_t port;
    /* Make an attempt now, then call dialer_up or dialer_failed, at once or later. */
    void (*attempt)(struct dialer *d, const struct sockaddr *address);
    void (*lookup_failed)(struct dialer *d, const char *why);
    void (*closed)(struct dialer *d);

    enum dialer_state state;
    uint32_t failures;
    uint64_t up_since_ms;
    bool looking_up; /* `lookup` belongs to the loop */
    bool closing;
    bool timer_closed;
    struct addrinfo *found, *next;
    uv_timer_t timer;
    uv_getaddrinfo_t lookup;
};

/* Set the first part, zero the rest. */
void dialer_init(struct dialer *d);
/* Dials now, unless it is dialling already or up. */
void dialer_start(struct dialer *d);
/* The attempt reached the peer. */
void dialer_up(struct dialer *d);
/* The attempt failed. `elsewhere`: another address of the same host may do better. */
void dialer_failed(struct dialer *d, bool elsewhere);
/* The connection is lost: dials again after a while. */
void dialer_again(struct dialer *d);
/* Forgets the attempt, if any; the owner drops it. */
void dialer_stop(struct dialer *d);
/* Ends in closed(), on a later loop turn. */
void dialer_close(struct dialer *d);

/* The address without any lookup; false if the host is a name. */
bool dialer_numeric(const char *host, uint16_t port, struct sockaddr_storage *out);

#endif
