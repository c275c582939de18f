/* A flow carries the bytes of one way. It reads from the socket of one end into a queue, and three
 * things move through it in order: data, the end of the stream, and the death of the socket (a
 * reset, or an error that stands for one). A chunk waits until its way is open and has bandwidth
 * for it, is then in flight until its delay is over, and is then delivered to the other end.
 *
 * 1. Nothing is delivered while the way is cut, the end of a stream least of all.
 * 2. The target is dialled only while no way is cut: a connection request and its answer would be
 *    lost too. Until then the dialler can go away without a trace.
 * 3. A flow that `sinks` still reads, so that nobody is told by a full buffer, and drops it.
 * 4. An end is closed when its own stream has ended and nothing more will be delivered to it, or
 *    when it is reset. The pair is freed when both ends are closed. */
#include "chaos/link_pair.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bytes.h"

#define CHUNK_BYTES 65536u
/* Bytes of a flow above which reading pauses, so that the sender feels it. */
#define QUEUE_BYTES_MAX    (8u * 1024u * 1024u)
#define QUEUE_BYTES_SLOW   65536u /* at least, with a bandwidth */
#define QUEUE_PER_SECOND   4u     /* and at least a quarter of a second's worth */
#define PIECES_PER_SECOND  50u    /* into which a bandwidth cuts the stream */
#define BANDWIDTH_BURST_US 20000u /* a timer that was late is made up for, up to this */
#define SECOND_US          1000000u

/* In this order in a flow, the last two at most once each. */
enum chunk_kind { CHUNK_DATA, CHUNK_END, CHUNK_DEATH };

struct chunk {
    TAILQ_ENTRY(chunk) link;
    enum chunk_kind kind;
    uint64_t due_us;
    size_t offset, len; /* of what is left in data */
    uv_write_t write;
    struct flow *flow;
    uint8_t data[];
};

TAILQ_HEAD(chunks, chunk);

struct end {
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    bool closing;
};

struct flow {
    struct link_pair *pair;
    int way;
    struct end *from, *to;
    struct chunks waiting, in_flight;
    size_t queued; /* bytes in both queues and in writes under way */
    uint64_t last_due_us, limit;
    enum chunk_kind last; /* that was queued */
    uv_timer_t timer;
    bool paused;  /* not reading: the queue is full */
    bool sinks;   /* what is read is dropped */
    bool over;    /* `from` has ended its stream, or is gone */
    bool settled; /* `to` was told the end, or never will be */
};

struct link_pair {
    TAILQ_ENTRY(link_pair) link;
    struct link *owner;
    struct end near, far;
    uv_connect_t connect;
    struct flow flow[WAYS];
    int handles;
    bool dialled, connected, closing;
    bool half_open;
    bool hang_up; /* an end that was told is closed, whether it has ended its own stream or not */
};

static void flow_pump(struct flow *f);
static void flow_read(struct flow *f);

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

static struct link_way *flow_way(const struct flow *f)
{
    return &f->pair->owner->way[f->way];
}

/* The flow to the end that this one comes from. */
static struct flow *flow_back(const struct flow *f)
{
    return &f->pair->flow[1 - f->way];
}

/* ---- closing ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct link_pair *p = handle->data;
    if (--p->handles > 0)
        return;
    struct link *l = p->owner;
    TAILQ_REMOVE(&l->pairs, p, link);
    l->open--;
    free(p);
    link_release(l);
}

static void flow_drop_chunk(struct flow *f, struct chunk *c)
{
    f->queued -= c->len;
    free(c);
}

static void flow_resume(struct flow *f)
{
    f->paused = false;
    flow_read(f);
}

static void flow_drop(struct flow *f)
{
    struct chunk *c;
    while ((c = TAILQ_FIRST(&f->in_flight)) != NULL) {
        TAILQ_REMOVE(&f->in_flight, c, link);
        flow_drop_chunk(f, c);
    }
    while ((c = TAILQ_FIRST(&f->waiting)) != NULL) {
        TAILQ_REMOVE(&f->waiting, c, link);
        flow_drop_chunk(f, c);
    }
    if (f->paused)
        flow_resume(f);
}

static void flow_close(struct flow *f)
{
    flow_drop(f);
    f->timer.data = f->pair;
    uv_close((uv_handle_t *)&f->timer, on_handle_closed);
}

static void end_close(struct link_pair *p, struct end *e)
{
    if (e->closing)
        return;
    e->closing = true;
    e->tcp.data = p;
    uv_close((uv_handle_t *)&e->tcp, on_handle_closed);
    if (!p->near.closing || !p->far.closing || p->closing)
        return;
    p->closing = true;
    flow_close(&p->flow[WAY_UP]);
    flow_close(&p->flow[WAY_DOWN]);
}

static void end_reset(struct link_pair *p, struct end *e)
{
    uv_os_fd_t fd;
    struct linger now = {1, 0};
    if (!e->closing && uv_fileno((uv_handle_t *)&e->tcp, &fd) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    end_close(p, e);
}

/* Rule 4, for the end that a flow leads to. */
static void flow_settle(struct flow *f)
{
    f->settled = true;
    if (flow_back(f)->over || f->pair->hang_up)
        end_close(f->pair, f->to);
}

/* ---- into the queue ---- */

static void flow_push(struct flow *f, struct chunk *c)
{
    c->flow = f;
    f->queued += c->len;
    TAILQ_INSERT_TAIL(&f->waiting, c, link);
}

/* Nothing follows it in this flow. */
static void flow_push_end(struct flow *f, enum chunk_kind kind)
{
    if (f->last >= kind)
        return;
    struct chunk *c = xcalloc(1, sizeof *c);
    c->kind = kind;
    f->last = kind;
    f->sinks = true;
    flow_push(f, c);
}

static bool flow_is_full(const struct flow *f)
{
    uint64_t rate = flow_way(f)->state.bandwidth, max = QUEUE_BYTES_MAX;
    if (rate / QUEUE_PER_SECOND < max)
        max = rate / QUEUE_PER_SECOND;
    if (max < QUEUE_BYTES_SLOW)
        max = QUEUE_BYTES_SLOW;
    return f->queued > max;
}

static void flow_corrupt(struct flow *f, struct chunk *c)
{
    struct link_way_state *way = &flow_way(f)->state;
    if (way->corrupt_in == LINK_NONE)
        return;
    if (way->corrupt_in >= c->len) {
        way->corrupt_in -= c->len;
        return;
    }
    c->data[way->corrupt_in] ^= (uint8_t)(1 + prng_below(&f->pair->owner->prng, 255));
    way->corrupt_in = LINK_NONE;
    way->corrupted++;
}

/* After the last byte of a limit both ends are told, each behind what is under way to it. */
static void flow_reach_limit(struct flow *f)
{
    struct link_pair *p = f->pair;
    if (p->half_open)
        return;
    p->hang_up = true;
    for (int way = 0; way < WAYS; way++) {
        flow_push_end(&p->flow[way], CHUNK_END);
        if (p->flow[way].settled)
            end_close(p, p->flow[way].to);
    }
}

static void flow_take_in(struct flow *f, struct chunk *c)
{
    flow_way(f)->state.bytes += c->len;
    if (c->len > f->limit)
        c->len = (size_t)f->limit;
    if (f->limit != LINK_NONE)
        f->limit -= c->len;
    flow_corrupt(f, c);
    flow_push(f, c);
    if (f->limit == 0)
        flow_reach_limit(f);
}

/* The socket that f reads from is gone: it takes nothing more, and the other end is told in time.
 */
static void flow_source_died(struct flow *f)
{
    struct link_pair *p = f->pair;
    struct flow *back = flow_back(f);
    f->over = true;
    flow_drop(back);
    back->sinks = true;
    back->settled = true;
    if (p->dialled)
        flow_push_end(f, CHUNK_DEATH);
    else
        end_close(p, &p->far); /* rule 2 */
    end_close(p, f->from);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    struct chunk *c = xmalloc(sizeof *c + CHUNK_BYTES);
    *c = (struct chunk){.kind = CHUNK_DATA};
    *buf = uv_buf_init((char *)c->data, CHUNK_BYTES);
}

static void flow_source_ended(struct flow *f)
{
    struct link_pair *p = f->pair;
    if (!p->dialled) {
        flow_source_died(f);
        return;
    }
    f->over = true;
    flow_push_end(f, CHUNK_END);
    if (flow_back(f)->settled)
        end_close(p, f->from);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct flow *f = stream->data;
    struct chunk *c = buf->base == NULL ? NULL : (void *)(buf->base - offsetof(struct chunk, data));
    if (n > 0 && !f->sinks) {
        c = xrealloc(c, sizeof *c + (size_t)n);
        c->len = (size_t)n;
        flow_take_in(f, c);
        if (flow_is_full(f)) {
            uv_read_stop(stream);
            f->paused = true;
        }
    } else {
        free(c);
    }
    if (n == UV_EOF)
        flow_source_ended(f);
    else if (n < 0)
        flow_source_died(f);
    if (n != 0 && !f->pair->closing)
        link_pair_pump(f->pair);
}

static void flow_read(struct flow *f)
{
    if (!f->from->closing && !f->over &&
        uv_read_start((uv_stream_t *)&f->from->tcp, on_alloc, on_read) != 0)
        flow_source_died(f);
}

/* ---- out of the queue ---- */

static void on_written(uv_write_t *write, int status)
{
    struct chunk *c = write->data;
    struct flow *f = c->flow;
    flow_drop_chunk(f, c);
    if (status != 0 && !f->to->closing) {
        flow_source_died(flow_back(f));
        link_pair_pump(f->pair);
    } else if (f->paused && !flow_is_full(f)) {
        flow_resume(f);
    }
}

static void on_shut_down(uv_shutdown_t *shutdown, int status)
{
    struct flow *f = shutdown->data;
    if (f->to->closing)
        return;
    if (status == 0)
        flow_settle(f);
    else
        end_close(f->pair, f->to);
}

static void flow_deliver_data(struct flow *f, struct chunk *c)
{
    uv_buf_t buf = uv_buf_init((char *)c->data + c->offset, (unsigned)c->len);
    c->write.data = c;
    if (f->to->closing || uv_write(&c->write, (uv_stream_t *)&f->to->tcp, &buf, 1, on_written) != 0)
        flow_drop_chunk(f, c);
}

static void flow_deliver_end(struct flow *f, enum chunk_kind kind)
{
    if (f->to->closing)
        return;
    f->to->shutdown.data = f;
    if (kind == CHUNK_DEATH)
        end_reset(f->pair, f->to);
    else if (uv_shutdown(&f->to->shutdown, (uv_stream_t *)&f->to->tcp, on_shut_down) != 0)
        end_close(f->pair, f->to);
}

/* The first bytes of a queue's first chunk, at most max of them. */
static struct chunk *flow_take(struct chunks *from, size_t max)
{
    struct chunk *c = TAILQ_FIRST(from);
    if (c->len <= max) {
        TAILQ_REMOVE(from, c, link);
        return c;
    }
    struct chunk *piece = xcalloc(1, sizeof *piece + max);
    piece->flow = c->flow;
    piece->len = max;
    memcpy(piece->data, c->data + c->offset, max);
    c->offset += max;
    c->len -= max;
    return piece;
}

/* Starts what the bandwidth allows on its way; when the next may start, or 0: nothing waits. */
static uint64_t flow_depart(struct flow *f, uint64_t now)
{
    struct link_way *way = flow_way(f);
    const struct link_way_state *s = &way->state;
    struct chunk *c;
    while ((c = TAILQ_FIRST(&f->waiting)) != NULL) {
        uint64_t due = now;
        if (c->kind == CHUNK_DATA && s->bandwidth != LINK_NONE) {
            uint64_t piece = s->bandwidth / PIECES_PER_SECOND + 1;
            if (way->free_us > now)
                return way->free_us;
            c = flow_take(&f->waiting, piece > CHUNK_BYTES ? CHUNK_BYTES : (size_t)piece);
            if (way->free_us + BANDWIDTH_BURST_US < now)
                way->free_us = now - BANDWIDTH_BURST_US;
            way->free_us += c->len * SECOND_US / s->bandwidth;
            due = way->free_us > now ? way->free_us : now;
        } else {
            TAILQ_REMOVE(&f->waiting, c, link);
        }
        due += s->delay_us + s->extra_us + prng_below(&f->pair->owner->prng, s->jitter_us + 1);
        if (c->kind != CHUNK_DATA)
            due += s->slow_close_us;
        c->due_us = due > f->last_due_us ? due : f->last_due_us;
        f->last_due_us = c->due_us;
        TAILQ_INSERT_TAIL(&f->in_flight, c, link);
    }
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    flow_pump(timer->data);
}

static void flow_pump(struct flow *f)
{
    struct link_pair *p = f->pair;
    struct chunk *c;
    uint64_t now = now_us(), wake;
    /* that the target could not be reached is told although nothing is connected */
    if (p->closing || flow_way(f)->state.cut || (!p->connected && f->way == WAY_UP))
        return;
    wake = flow_depart(f, now);
    while ((c = TAILQ_FIRST(&f->in_flight)) != NULL && c->due_us <= now) {
        TAILQ_REMOVE(&f->in_flight, c, link);
        if (c->kind == CHUNK_DATA) {
            flow_deliver_data(f, c);
            continue;
        }
        flow_deliver_end(f, c->kind);
        free(c);
        if (p->closing)
            return;
    }
    if (c != NULL && (wake == 0 || c->due_us < wake))
        wake = c->due_us;
    if (wake != 0) /* round up: never early */
        uv_timer_start(&f->timer, on_timer, (wake - now + 999) / 1000, 0);
}

/* ---- the pair ---- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct link_pair *p = connect->data;
    if (p->far.closing)
        return;
    p->connected = status == 0;
    if (status != 0)
        flow_source_died(&p->flow[WAY_DOWN]);
    else
        flow_read(&p->flow[WAY_DOWN]);
    link_pair_pump(p);
}

static void pair_dial(struct link_pair *p)
{
    struct link *l = p->owner;
    if (p->dialled || p->far.closing || l->way[WAY_UP].state.cut || l->way[WAY_DOWN].state.cut)
        return;
    p->dialled = true;
    p->connect.data = p;
    if (uv_tcp_connect(&p->connect, &p->far.tcp, (const struct sockaddr *)&l->target,
                       on_connected) != 0)
        flow_source_died(&p->flow[WAY_DOWN]);
}

static void flow_open(struct link_pair *p, int way, struct end *from, struct end *to)
{
    struct flow *f = &p->flow[way];
    *f = (struct flow){.pair = p, .way = way, .from = from, .to = to};
    f->limit = flow_way(f)->state.limit;
    TAILQ_INIT(&f->waiting);
    TAILQ_INIT(&f->in_flight);
    uv_timer_init(p->owner->loop, &f->timer);
    uv_tcp_init(p->owner->loop, &from->tcp);
    f->timer.data = f;
    from->tcp.data = f;
    p->handles += 2;
}

void link_pair_accept(struct link *l, uv_stream_t *listener)
{
    struct link_pair *p = xcalloc(1, sizeof *p);
    p->owner = l;
    flow_open(p, WAY_UP, &p->near, &p->far);
    flow_open(p, WAY_DOWN, &p->far, &p->near);
    TAILQ_INSERT_TAIL(&l->pairs, p, link);
    l->connections++;
    l->open++;
    if (uv_accept(listener, (uv_stream_t *)&p->near.tcp) != 0) {
        link_pair_reset(p);
        return;
    }
    uv_tcp_nodelay(&p->near.tcp, 1);
    uv_tcp_nodelay(&p->far.tcp, 1);
    flow_read(&p->flow[WAY_UP]);
    link_pair_pump(p);
}

void link_pair_reset(struct link_pair *p)
{
    end_reset(p, &p->near);
    end_reset(p, &p->far);
}

void link_pair_half_open(struct link_pair *p, int way, bool reset)
{
    struct flow *told = &p->flow[way], *untold = flow_back(told);
    told->sinks = untold->sinks = true;
    told->last = untold->last = CHUNK_DEATH;
    p->half_open = true;
    untold->settled = true;
    flow_drop(told);
    flow_drop(untold);
    if (told->over) /* the end that is not told has closed its side already: nobody is left there */
        end_close(p, told->from);
    flow_deliver_end(told, reset ? CHUNK_DEATH : CHUNK_END);
}

void link_pair_pump(struct link_pair *p)
{
    pair_dial(p);
    flow_pump(&p->flow[WAY_UP]);
    flow_pump(&p->flow[WAY_DOWN]);
}

void link_pair_limit(struct link_pair *p, int way, uint64_t bytes)
{
    struct flow *f = &p->flow[way];
    f->limit = bytes;
    if (bytes == 0)
        flow_reach_limit(f);
}

uint64_t link_pair_held(const struct link_pair *p, int way)
{
    return p->flow[way].queued;
}

struct link_pair *link_pair_next(const struct link_pair *p)
{
    return TAILQ_NEXT(p, link);
}
