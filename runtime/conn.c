/* A connection from the first packet to the last (runtime/conn.h).
 *
 * Happy path
 *   dialled:  conn_connect, on_connected: preface and handshake leave through channel_out; on_read,
 *             conn_progress: CHANNEL_OPEN, verdict(), open(), then frames
 *   accepted: conn_accept; on_read, conn_progress: CHANNEL_CHECK, verdict(), CHANNEL_OPEN, open(),
 *             then frames
 * Failures: every one ends in conn_fail or conn_channel_failed, which close and tell the owner.
 *
 * Invariants
 *   1. The owner's callbacks may close any connection, also the one that calls them. So memory and
 *      channel live until gone(), and the state is looked at again after every callback.
 *   2. At most one write is in progress, so the order of bytes is the order of sealing.
 *   3. failed() is called with the state already CLOSED or LINGERING: nothing is reported twice. */
#include "runtime/conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/codec.h"

/* What one read takes at most. */
#define CONN_INPUT_BYTES 65536u
/* What is sealed for one write, unless a single frame is larger: small enough that the peer can
 * start to open it while the rest is being sealed. */
#define CONN_WRITE_BYTES (256u * 1024u)
/* An emptied buffer of more than this is given back. */
#define CONN_KEEP_BYTES (1024u * 1024u)
/* How long the reason of a refusal may take to leave. */
#define CONN_REFUSAL_LINGER_MS 1000u
/* in one tick: more than pings, and less than any link that is worth having carries */
#define CONN_SPEAKS_BYTES 1024u

static void conn_flush(struct conn *c);

void conn_group_init(struct conn_group *g)
{
    TAILQ_INIT(&g->dirty);
    g->input = xmalloc(CONN_INPUT_BYTES);
}

void conn_group_flush(struct conn_group *g)
{
    struct conn *c;
    while ((c = TAILQ_FIRST(&g->dirty)) != NULL) {
        TAILQ_REMOVE(&g->dirty, c, dirty_link);
        c->dirty = false;
        conn_flush(c);
    }
}

void conn_group_free(struct conn_group *g)
{
    free(g->input);
    g->input = NULL;
}

void conn_address_text(const struct sockaddr *address, char out[CONN_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        uv_ip4_name(&in, host, sizeof host);
        snprintf(out, CONN_ADDRESS_BYTES, "%s:%u", host, (unsigned)ntohs(in.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        uv_ip6_name(&in, host, sizeof host);
        snprintf(out, CONN_ADDRESS_BYTES, "[%s]:%u", host, (unsigned)ntohs(in.sin6_port));
    } else {
        snprintf(out, CONN_ADDRESS_BYTES, "?");
    }
}

uint64_t conn_network(const struct sockaddr *address)
{
    uint64_t network = 0;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (address->sa_family == AF_INET) {
        memcpy(&in, address, sizeof in);
        return in.sin_addr.s_addr;
    }
    if (address->sa_family != AF_INET6)
        return 0;
    memcpy(&in6, address, sizeof in6);
    const uint8_t *bytes = in6.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        memcpy(&network, bytes + 12, 4);
    else
        memcpy(&network, bytes, 8);
    return network;
}

/* ---- the end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->handles > 0)
        return;
    channel_free(c->channel);
    writer_free(&c->plain);
    writer_free(&c->sending);
    c->group->gone(c);
}

void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    if (c->dirty) {
        TAILQ_REMOVE(&c->group->dirty, c, dirty_link);
        c->dirty = false;
    }
    uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

__attribute__((format(printf, 2, 3))) static void conn_fail(struct conn *c, const char *format, ...)
{
    bool report = c->state < CONN_LINGERING;
    if (c->state == CONN_CLOSED)
        return;
    char why[CONN_WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    conn_close(c);
    if (report)
        c->group->failed(c, why);
}

static void on_linger_end(uv_timer_t *timer)
{
    conn_close(timer->data);
}

void conn_finish(struct conn *c, uint32_t linger_ms)
{
    if (c->state == CONN_CLOSED)
        return;
    if (!c->connected) {
        conn_close(c);
        return;
    }
    if (c->state != CONN_LINGERING || linger_ms < uv_timer_get_due_in(&c->timer))
        uv_timer_start(&c->timer, on_linger_end, linger_ms, 0);
    c->state = CONN_LINGERING;
    conn_flush(c);
}

/* The channel gave up. A responder's reason for a refusal is still in channel_out. */
static void conn_channel_failed(struct conn *c)
{
    char why[CONN_WHY_BYTES];
    snprintf(why, sizeof why, "%s", channel_why(c->channel));
    if (channel_out(c->channel)->len > 0)
        conn_finish(c, CONN_REFUSAL_LINGER_MS);
    else
        conn_close(c);
    c->group->failed(c, why);
}

/* ---- sending ---- */

size_t conn_unsent(const struct conn *c)
{
    return c->plain.len - c->sealed + channel_out(c->channel)->len + c->tcp.write_queue_size;
}

assent_status conn_send(struct conn *c, const struct msg *m)
{
    if (c->state != CONN_OPEN)
        return ASSENT_UNREACHABLE;
    size_t before = c->plain.len, max = c->group->queue_bytes_max;
    if (conn_unsent(c) >= max)
        return ASSENT_OVERLOADED;
    if (!codec_encode(m, &c->plain))
        return ASSENT_TOO_LARGE;
    if (conn_unsent(c) > max) {
        c->plain.len = before;
        return ASSENT_OVERLOADED;
    }
    if (!c->dirty) {
        TAILQ_INSERT_TAIL(&c->group->dirty, c, dirty_link);
        c->dirty = true;
    }
    return ASSENT_OK;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    if (status != 0)
        conn_close(req->data);
}

/* Seals the next whole frames, about CONN_WRITE_BYTES of them. */
static void conn_seal(struct conn *c)
{
    struct writer *plain = &c->plain;
    size_t end = c->sealed;
    while (end < plain->len && end - c->sealed < CONN_WRITE_BYTES)
        end += FRAME_HEADER_BYTES + frame_length(plain->data + end);
    channel_send(c->channel, bytes_of(plain->data + c->sealed, end - c->sealed));
    c->sealed = end;
    if (c->sealed == plain->len) {
        c->sealed = plain->len = 0;
        if (plain->cap > CONN_KEEP_BYTES)
            writer_free(plain);
    } else if (c->sealed > CONN_KEEP_BYTES && c->sealed > plain->len / 2) {
        /* Under back-pressure the queue may never be empty: drop what was sealed. */
        memmove(plain->data, plain->data + c->sealed, plain->len - c->sealed);
        plain->len -= c->sealed;
        c->sealed = 0;
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    c->writing = false;
    c->stalled_ticks = 0;
    if (c->sending.cap > CONN_KEEP_BYTES)
        writer_free(&c->sending);
    if (status != 0)
        conn_fail(c, "writing to %s: %s", c->address, uv_strerror(status));
    else
        conn_flush(c);
}

/* Writes what is in `out` and empties it: at once if the socket takes it, else it moves to
 * `sending`. */
static void conn_write(struct conn *c, struct writer *out)
{
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;
    uv_buf_t buf = uv_buf_init((char *)out->data, (unsigned)out->len);
    c->group->writes++;
    c->group->bytes_out += out->len;
    int n = uv_try_write(stream, &buf, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n >= 0 && (size_t)n < out->len) {
        struct writer spare = c->sending;
        spare.len = 0;
        c->sending = *out;
        *out = spare;
        buf = uv_buf_init((char *)c->sending.data + n, (unsigned)(c->sending.len - (size_t)n));
        n = uv_write(&c->write, stream, &buf, 1, on_written);
        c->writing = n == 0;
    } else {
        out->len = 0;
    }
    if (out->cap > CONN_KEEP_BYTES)
        writer_free(out);
    if (n < 0)
        conn_fail(c, "writing to %s: %s", c->address, uv_strerror(n));
}

static void conn_flush(struct conn *c)
{
    if (!c->connected)
        return;
    struct writer *out = channel_out(c->channel);
    while (!c->writing && c->state != CONN_CLOSED) {
        if (out->len == 0 && c->plain.len > c->sealed && channel_state(c->channel) == CHANNEL_OPEN)
            conn_seal(c);
        if (out->len == 0)
            break;
        conn_write(c, out);
    }
    if (c->state == CONN_LINGERING && !c->writing && !c->shut) {
        c->shut = true;
        int err = uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown);
        if (err != 0)
            conn_close(c);
    }
}

/* ---- receiving ---- */

/* Whether the peer has said something since the last tick: ended a record, or sent a good part of
 * one. A few bytes that end none are no sign of life: when a record's length was damaged on its
 * way, all that follows, pings too, would for a long time pass for the rest of that record. */
static bool conn_heard(struct conn *c)
{
    uint64_t records = channel_records(c->channel);
    bool heard = records != c->records || c->received >= CONN_SPEAKS_BYTES;
    c->records = records;
    c->received = 0;
    return heard;
}

/* Every tick: a peer that neither speaks nor reads is lost. Ticks are counted rather than time:
 * when this process itself stood still, the bytes that came meanwhile are read before the next
 * tick. */
static void on_tick(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    struct conn_group *g = c->group;
    size_t unwritten = c->tcp.write_queue_size;
    c->stalled_ticks = unwritten > 0 && unwritten == c->unwritten ? c->stalled_ticks + 1 : 0;
    c->unwritten = unwritten;
    c->silent_ticks = conn_heard(c) ? 1 : c->silent_ticks + 1;
    uint32_t limit = g->silent_ms / g->tick_ms;
    if (c->silent_ticks > limit)
        conn_fail(c, "%s was silent for %u ms", c->address, g->silent_ms);
    else if (c->stalled_ticks > limit)
        conn_fail(c, "%s took nothing of %zu waiting bytes for %u ms", c->address, unwritten,
                  g->silent_ms);
    else
        g->tick(c);
}

static void on_handshake_timeout(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    if (c->state == CONN_CONNECTING)
        conn_fail(c, "connecting to %s: no answer within %u ms", c->address,
                  c->group->handshake_ms);
    else
        conn_fail(c, "the handshake with %s did not end within %u ms", c->address,
                  c->group->handshake_ms);
}

/* The channel has just opened: a dialled peer is judged now, an accepted one was before. */
static void conn_opened(struct conn *c)
{
    struct conn_group *g = c->group;
    const char *refusal = c->accepted ? NULL : g->verdict(c);
    if (refusal != NULL) {
        conn_fail(c, "%s", refusal);
        return;
    }
    c->state = CONN_OPEN;
    uv_timer_start(&c->timer, on_tick, g->tick_ms, g->tick_ms);
    g->open(c);
}

/* Takes up what channel_receive has understood. */
static void conn_progress(struct conn *c)
{
    struct channel *channel = c->channel;
    if (channel_state(channel) == CHANNEL_CHECK)
        channel_admit(channel, c->group->verdict(c));
    if (c->state == CONN_HANDSHAKE && channel_state(channel) != CHANNEL_FAILED)
        conn_flush(c);
    if (c->state == CONN_HANDSHAKE && channel_state(channel) == CHANNEL_OPEN)
        conn_opened(c);
    struct bytes body;
    while (c->state == CONN_OPEN && channel_next_frame(channel, &body))
        c->group->frame(c, body);
    if (c->state < CONN_LINGERING && channel_state(channel) == CHANNEL_FAILED)
        conn_channel_failed(c);
}

static void on_input_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct conn *c = handle->data;
    *buf = uv_buf_init((char *)c->group->input, CONN_INPUT_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n == UV_EOF) {
        conn_fail(c, "%s closed the connection", c->address);
    } else if (n < 0) {
        conn_fail(c, "reading from %s: %s", c->address, uv_strerror((int)n));
    } else if (n > 0) {
        c->group->bytes_in += (uint64_t)n;
        c->received += (size_t)n;
        if (c->state == CONN_LINGERING)
            return;
        channel_receive(c->channel, bytes_of(buf->base, (size_t)n));
        conn_progress(c);
    }
}

/* ---- the beginning ---- */

static int conn_init(struct conn *c, struct conn_group *g, bool accepted, struct channel *channel)
{
    c->group = g;
    c->accepted = accepted;
    c->channel = channel;
    c->tcp.data = c->timer.data = c;
    c->connect.data = c->write.data = c->shutdown.data = c;
    c->handles = 2;
    int err = uv_tcp_init(g->loop, &c->tcp);
    uv_timer_init(g->loop, &c->timer);
    uv_timer_start(&c->timer, on_handshake_timeout, g->handshake_ms, 0);
    return err;
}

static void conn_start(struct conn *c)
{
    c->state = CONN_HANDSHAKE;
    c->connected = true;
    int err = uv_tcp_nodelay(&c->tcp, 1);
    if (err == 0)
        err = uv_read_start((uv_stream_t *)&c->tcp, on_input_wanted, on_read);
    if (err != 0)
        conn_fail(c, "talking to %s: %s", c->address, uv_strerror(err));
    else if (channel_state(c->channel) == CHANNEL_FAILED)
        conn_channel_failed(c); /* the peer's listed key is none */
    else
        conn_flush(c);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *c = req->data;
    if (c->state != CONN_CONNECTING)
        return;
    if (status != 0)
        conn_fail(c, "connecting to %s: %s", c->address, uv_strerror(status));
    else
        conn_start(c);
}

void conn_connect(struct conn *c, struct conn_group *g, const struct sockaddr *address,
                  struct channel *channel)
{
    conn_address_text(address, c->address);
    int err = conn_init(c, g, false, channel);
    if (err == 0)
        err = uv_tcp_connect(&c->connect, &c->tcp, address, on_connected);
    if (err != 0)
        conn_fail(c, "connecting to %s: %s", c->address, uv_strerror(err));
}

void conn_accept(struct conn *c, struct conn_group *g, uv_stream_t *listener,
                 struct channel *channel)
{
    struct sockaddr_storage from = {0};
    int len = sizeof from;
    int err = conn_init(c, g, true, channel);
    if (err == 0)
        err = uv_accept(listener, (uv_stream_t *)&c->tcp);
    if (err == 0)
        err = uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&from, &len);
    conn_address_text((struct sockaddr *)&from, c->address);
    c->network = conn_network((struct sockaddr *)&from);
    if (err != 0)
        conn_fail(c, "accepting a connection: %s", uv_strerror(err));
    else
        conn_start(c);
}
