/* A connection through a link is two sockets and two flows. A flow reads from one socket into a
 * queue of chunks, each with the time at which it may leave, and writes them to the other socket
 * when that time has come. End of stream travels through the queue like data. */
#include "chaos/link.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define CHUNK_BYTES    65536u
#define FLOW_QUEUE_MAX (8u * 1024u * 1024u) /* reading pauses above it */
#define BACKLOG        128

struct chunk {
    TAILQ_ENTRY(chunk) link;
    uint64_t due_us;
    size_t len; /* 0: end of stream */
    uv_write_t write;
    struct flow *flow;
    uint8_t data[];
};

struct flow {
    struct pair *pair;
    uv_tcp_t *from, *to;
    bool paused;
    size_t queued;
    uint64_t last_due_us;
    uv_timer_t timer;
    TAILQ_HEAD(, chunk) chunks;
};

struct pair {
    TAILQ_ENTRY(pair) link;
    struct link *owner;
    uv_tcp_t near, far;
    uv_connect_t connect;
    struct flow out, back;
    int open_handles;
    bool closing, connected;
};

struct link {
    uv_loop_t *loop;
    uv_tcp_t listener;
    struct sockaddr_in target;
    uint16_t port;
    uint64_t one_way_us;
    bool cut, closing, listener_closed;
    TAILQ_HEAD(, pair) pairs;
    struct link_stats stats;
};

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

static void link_free_if_done(struct link *l)
{
    if (l->closing && l->listener_closed && TAILQ_EMPTY(&l->pairs))
        free(l);
}

static void flow_free(struct flow *f)
{
    struct chunk *c;
    while ((c = TAILQ_FIRST(&f->chunks)) != NULL) {
        TAILQ_REMOVE(&f->chunks, c, link);
        free(c);
    }
}

static void on_pair_handle_closed(uv_handle_t *handle)
{
    struct pair *p = handle->data;
    if (--p->open_handles > 0)
        return;
    struct link *l = p->owner;
    TAILQ_REMOVE(&l->pairs, p, link);
    flow_free(&p->out);
    flow_free(&p->back);
    free(p);
    link_free_if_done(l);
}

static void pair_close(struct pair *p)
{
    if (p->closing)
        return;
    p->closing = true;
    uv_handle_t *handles[] = {(uv_handle_t *)&p->near, (uv_handle_t *)&p->far,
                              (uv_handle_t *)&p->out.timer, (uv_handle_t *)&p->back.timer};
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        handles[i]->data = p;
        uv_close(handles[i], on_pair_handle_closed);
    }
}

static void flow_pump(struct flow *f);

static void on_timer(uv_timer_t *timer)
{
    flow_pump(timer->data);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    struct chunk *c = xmalloc(sizeof *c + CHUNK_BYTES);
    *buf = uv_buf_init((char *)c->data, CHUNK_BYTES);
}

static struct chunk *chunk_of(const uv_buf_t *buf)
{
    return (struct chunk *)(void *)(buf->base - offsetof(struct chunk, data));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct flow *f = stream->data;
    struct chunk *c = buf->base == NULL ? NULL : chunk_of(buf);
    struct link *l = f->pair->owner;
    if (n == 0 || (n < 0 && n != UV_EOF)) {
        free(c);
        if (n < 0)
            pair_close(f->pair);
        return;
    }
    if (c == NULL)
        c = xmalloc(sizeof *c);
    c->len = n == UV_EOF ? 0 : (size_t)n;
    c = xrealloc(c, sizeof *c + c->len);
    c->flow = f;
    c->due_us = now_us() + l->one_way_us;
    if (c->due_us < f->last_due_us)
        c->due_us = f->last_due_us; /* a shorter delay does not overtake */
    f->last_due_us = c->due_us;
    f->queued += c->len;
    l->stats.bytes += c->len;
    TAILQ_INSERT_TAIL(&f->chunks, c, link);
    if (f->queued > FLOW_QUEUE_MAX) {
        uv_read_stop(stream);
        f->paused = true;
    }
    flow_pump(f);
}

static void on_written(uv_write_t *write, int status)
{
    struct chunk *c = write->data;
    struct flow *f = c->flow;
    f->queued -= c->len;
    free(c);
    if (status != 0) {
        pair_close(f->pair);
        return;
    }
    if (f->paused && f->queued < FLOW_QUEUE_MAX / 2 && !f->pair->closing) {
        f->paused = false;
        uv_read_start((uv_stream_t *)f->from, on_alloc, on_read);
    }
}

static void flow_pump(struct flow *f)
{
    struct pair *p = f->pair;
    struct chunk *c;
    uint64_t now = now_us();
    if (p->closing || p->owner->cut || !p->connected)
        return;
    while ((c = TAILQ_FIRST(&f->chunks)) != NULL && c->due_us <= now) {
        TAILQ_REMOVE(&f->chunks, c, link);
        if (c->len == 0) {
            free(c);
            pair_close(p);
            return;
        }
        uv_buf_t buf = uv_buf_init((char *)c->data, (unsigned)c->len);
        c->write.data = c;
        if (uv_write(&c->write, (uv_stream_t *)f->to, &buf, 1, on_written) != 0) {
            free(c);
            pair_close(p);
            return;
        }
    }
    if (c != NULL) /* round up: never early */
        uv_timer_start(&f->timer, on_timer, (c->due_us - now + 999) / 1000, 0);
}

static void flow_open(struct flow *f, struct pair *p, uv_tcp_t *from, uv_tcp_t *to)
{
    *f = (struct flow){.pair = p, .from = from, .to = to};
    TAILQ_INIT(&f->chunks);
    uv_timer_init(p->owner->loop, &f->timer);
    f->timer.data = f;
    p->open_handles++;
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct pair *p = connect->data;
    if (p->closing)
        return;
    if (status != 0) {
        pair_close(p);
        return;
    }
    p->connected = true;
    uv_read_start((uv_stream_t *)&p->near, on_alloc, on_read);
    uv_read_start((uv_stream_t *)&p->far, on_alloc, on_read);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct link *l = listener->data;
    if (status != 0 || l->closing)
        return;
    struct pair *p = xcalloc(1, sizeof *p);
    p->owner = l;
    uv_tcp_init(l->loop, &p->near);
    uv_tcp_init(l->loop, &p->far);
    p->open_handles = 2;
    flow_open(&p->out, p, &p->near, &p->far);
    flow_open(&p->back, p, &p->far, &p->near);
    p->near.data = &p->out;
    p->far.data = &p->back;
    p->connect.data = p;
    TAILQ_INSERT_TAIL(&l->pairs, p, link);
    l->stats.connections++;
    if (uv_accept(listener, (uv_stream_t *)&p->near) != 0) {
        pair_close(p);
        return;
    }
    uv_tcp_nodelay(&p->near, 1);
    uv_tcp_nodelay(&p->far, 1);
    if (l->cut)
        return; /* accepted by the black hole */
    if (uv_tcp_connect(&p->connect, &p->far, (const struct sockaddr *)&l->target, on_connected) !=
        0)
        pair_close(p);
}

struct link *link_open(uv_loop_t *loop, const char *host, uint16_t port, uint64_t one_way_us,
                       int *error)
{
    struct link *l = xcalloc(1, sizeof *l);
    struct sockaddr_in any, bound;
    int len = sizeof bound;
    l->loop = loop;
    l->one_way_us = one_way_us;
    TAILQ_INIT(&l->pairs);
    uv_tcp_init(loop, &l->listener);
    l->listener.data = l;
    int rc = uv_ip4_addr(host, port, &l->target);
    if (rc == 0)
        rc = uv_ip4_addr("127.0.0.1", 0, &any);
    if (rc == 0)
        rc = uv_tcp_bind(&l->listener, (const struct sockaddr *)&any, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->listener, BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->listener, (struct sockaddr *)&bound, &len);
    if (rc != 0) {
        *error = rc;
        link_close(l);
        return NULL;
    }
    l->port = ntohs(bound.sin_port);
    return l;
}

uint16_t link_port(const struct link *l)
{
    return l->port;
}

void link_delay(struct link *l, uint64_t one_way_us)
{
    l->one_way_us = one_way_us;
}

void link_cut(struct link *l, int cut)
{
    struct pair *p, *next;
    if (l->cut == (cut != 0))
        return;
    l->cut = cut != 0;
    if (l->cut)
        return;
    TAILQ_FOREACH_SAFE (p, &l->pairs, link, next)
        pair_close(p);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;
    l->listener_closed = true;
    link_free_if_done(l);
}

void link_close(struct link *l)
{
    struct pair *p, *next;
    if (l->closing)
        return;
    l->closing = true;
    TAILQ_FOREACH_SAFE (p, &l->pairs, link, next)
        pair_close(p);
    uv_close((uv_handle_t *)&l->listener, on_listener_closed);
}

void link_stats(const struct link *l, struct link_stats *out)
{
    *out = l->stats;
}
