/* The lock table. Keys and ranges that somebody holds or waits for are places; at each place stand
 * the requests, apart by what they do there (enum stand).
 *
 *   arrival --- nobody in the way ------------------------------> HELD ---> release
 *      |                                                           ^          |
 *      |--- an older one in the way ---> refused                   |          v
 *      |                                                   granted |   who stood in that
 *      \--- else ---> WAITING in one queue --> due to look again ---/   queue is due
 *
 * Invariants
 *   1. No two requests that hold their locks conflict.
 *   2. A waiting request is due, to look again in locks_granted, or stands in the queue behind
 *      what is in its way: those that hold a place alike, until the last of them leaves, or one
 *      transaction that waits itself, until that is released. Till then it need not look.
 *   3. What is in a waiting transaction's way was there when it came, and is younger unless it is a
 *      reader that holds its locks, or decided.
 *
 * A request costs its own keys times a logarithm; a range its keys that are locked, and a write of
 * a key the different ranges that are locked below it. */
#include "participant/locks.h"

#include <bsd/sys/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mutant.h"
#include "common/tree.h"

/* How a request stands at a place: the mode, with readers apart. */
enum stand {
    STAND_SHARED = LOCK_SHARED,
    STAND_EXCLUSIVE = LOCK_EXCLUSIVE,
    STAND_ESCROW = LOCK_ESCROW,
    STAND_READER,
    STANDS,
};

static const bool conflicts[STANDS][STANDS] = {
    [STAND_SHARED] = {[STAND_EXCLUSIVE] = true, [STAND_ESCROW] = true},
    [STAND_EXCLUSIVE] = {true, true, true, true},
    [STAND_ESCROW] = {[STAND_SHARED] = true, [STAND_EXCLUSIVE] = true, [STAND_READER] = true},
    [STAND_READER] = {[STAND_EXCLUSIVE] = true, [STAND_ESCROW] = true},
};

/* One want of a request, at its place. */
struct spot {
    RB_ENTRY(spot) age_link;
    TAILQ_ENTRY(spot) order_link;
    struct place *place;
    struct ticket *ticket;
    enum stand stand;
    bool decided; /* holds, but is no longer in by_age: anybody may wait for it */
};

RB_HEAD(spot_tree, spot);
TAILQ_HEAD(spot_list, spot);
TAILQ_HEAD(ticket_list, ticket);

/* Those who stand alike at one place: by age (holders that are not decided), in order of arrival.
 */
struct crowd {
    struct spot_tree by_age;
    struct spot_list in_order;
    struct ticket_list behind; /* of holders: who waits until all have left */
};

/* A key, or a range [key, end). Lives as long as somebody stands at it. */
struct place {
    RB_ENTRY(place) link;
    bool range;
    struct bytes key;
    struct bytes end;
    uint32_t n;
    struct crowd held[STANDS];
    struct crowd waiting[STANDS];
    uint8_t data[];
};

RB_HEAD(place_tree, place);
RB_HEAD(ticket_tree, ticket);

/* The table's side of a request. */
struct ticket {
    struct lock_request *request;
    uint64_t arrival;
    struct ticket_list *queue; /* where it waits; NULL: due, or not waiting */
    TAILQ_ENTRY(ticket) queue_link;
    RB_ENTRY(ticket) due_link;
    struct ticket_list behind; /* who waits until this is released */
    struct spot spot[];
};

struct locks {
    struct place_tree keys;
    struct place_tree ranges;
    struct ticket_tree due;
    uint64_t arrivals;
    uint32_t held;
    uint32_t waiting;
};

static int request_age(const struct lock_request *a, const struct lock_request *b)
{
    if (a->priority_ms != b->priority_ms)
        return a->priority_ms < b->priority_ms ? -1 : 1;
    return txid_compare(&a->txid, &b->txid);
}

static int ticket_compare(const struct ticket *a, const struct ticket *b)
{
    return (a->arrival > b->arrival) - (a->arrival < b->arrival);
}

static int spot_compare(const struct spot *a, const struct spot *b)
{
    int age = request_age(a->ticket->request, b->ticket->request);
    return age != 0 ? age : ticket_compare(a->ticket, b->ticket);
}

/* An empty end is after every key. */
static int end_compare(struct bytes a, struct bytes b)
{
    if (a.len == 0 || b.len == 0)
        return (a.len == 0) - (b.len == 0);
    return bytes_compare(a, b);
}

static int place_compare(const struct place *a, const struct place *b)
{
    int key = bytes_compare(a->key, b->key);
    return key != 0 || !a->range ? key : end_compare(a->end, b->end);
}

RB_STATIC(spot_tree, spot, age_link, spot_compare)
RB_STATIC(ticket_tree, ticket, due_link, ticket_compare)
RB_STATIC(place_tree, place, link, place_compare)

static _Noreturn void broken(const char *what, struct bytes key)
{
    char hex[2 * 32 + 1];
    bytes_hex(bytes_of(key.data, key.len < 32 ? key.len : 32), hex);
    fprintf(stderr, "assent: broken invariant: locks: %s, key %s (hex, first 32 bytes)\n", what,
            hex);
    abort();
}

/* ---- places ---- */

static struct place_tree *tree_of(struct locks *l, bool range)
{
    return range ? &l->ranges : &l->keys;
}

static struct place *place_find(struct locks *l, const struct lock_want *want)
{
    struct place probe = {.range = want->range, .key = want->key, .end = want->end};
    return RB_FIND(place_tree, tree_of(l, want->range), &probe);
}

static struct bytes place_copy(uint8_t *to, struct bytes from)
{
    if (from.len > 0)
        memcpy(to, from.data, from.len);
    return bytes_of(to, from.len);
}

static void crowd_init(struct crowd *crowd)
{
    RB_INIT(&crowd->by_age);
    TAILQ_INIT(&crowd->in_order);
    TAILQ_INIT(&crowd->behind);
}

static struct place *place_open(struct locks *l, const struct lock_want *want)
{
    struct place *place = place_find(l, want);
    if (place != NULL)
        return place;
    size_t end_len = want->range ? want->end.len : 0;
    place = xcalloc(1, sizeof *place + want->key.len + end_len);
    place->range = want->range;
    place->key = place_copy(place->data, want->key);
    place->end = place_copy(place->data + want->key.len, bytes_of(want->end.data, end_len));
    for (int i = 0; i < STANDS; i++) {
        crowd_init(&place->held[i]);
        crowd_init(&place->waiting[i]);
    }
    RB_INSERT(place_tree, tree_of(l, want->range), place);
    return place;
}

static void place_close(struct locks *l, struct place *place)
{
    if (place->n > 0)
        return;
    RB_REMOVE(place_tree, tree_of(l, place->range), place);
    free(place);
}

/* ---- queues ---- */

static void queue_enter(struct ticket_list *queue, struct ticket *t)
{
    t->queue = queue;
    TAILQ_INSERT_TAIL(queue, t, queue_link);
}

static void queue_leave(struct ticket *t)
{
    TAILQ_REMOVE(t->queue, t, queue_link);
    t->queue = NULL;
}

/* What they waited for is gone. */
static void queue_due(struct locks *l, struct ticket_list *queue)
{
    struct ticket *t;
    while ((t = TAILQ_FIRST(queue)) != NULL) {
        queue_leave(t);
        RB_INSERT(ticket_tree, &l->due, t);
    }
}

/* ---- spots ---- */

static struct crowd *crowd_of(const struct spot *spot)
{
    bool held = spot->ticket->request->state == LOCKS_HELD;
    return held ? &spot->place->held[spot->stand] : &spot->place->waiting[spot->stand];
}

static void spot_enter(struct spot *spot)
{
    struct crowd *crowd = crowd_of(spot);
    if (RB_INSERT(spot_tree, &crowd->by_age, spot) != NULL)
        broken("a request wants a place twice", spot->place->key);
    TAILQ_INSERT_TAIL(&crowd->in_order, spot, order_link);
    spot->place->n++;
}

static void spot_leave(struct locks *l, struct spot *spot)
{
    struct crowd *crowd = crowd_of(spot);
    if (!spot->decided)
        RB_REMOVE(spot_tree, &crowd->by_age, spot);
    TAILQ_REMOVE(&crowd->in_order, spot, order_link);
    spot->place->n--;
    if (TAILQ_EMPTY(&crowd->in_order))
        queue_due(l, &crowd->behind);
}

static enum stand stand_of(const struct lock_request *r, const struct lock_want *want)
{
    return r->reader ? STAND_READER : (enum stand)want->mode;
}

/* ---- what is in a request's way ---- */

/* A search for it: rule 1 counts on arrival only (invariant 3). */
struct look {
    const struct ticket *ticket;
    bool arriving;
    bool refused;
    struct ticket_list *queue; /* one to wait in, or NULL */
    struct bytes key;          /* where either was found */
};

static bool crowd_has_older(struct crowd *crowd, const struct lock_request *r)
{
    const struct spot *oldest = RB_MIN(spot_tree, &crowd->by_age);
    return oldest != NULL && request_age(oldest->ticket->request, r) < 0;
}

/* The first waiter alone tells whether any came before. */
static void look_at_crowd(struct look *look, struct place *place, enum stand other)
{
    struct crowd *held = &place->held[other], *waiting = &place->waiting[other];
    const struct spot *waiter = TAILQ_FIRST(&waiting->in_order);
    const struct lock_request *r = look->ticket->request;
    if (look->arriving && !r->reader)
        look->refused =
            crowd_has_older(waiting, r) || (other != STAND_READER && crowd_has_older(held, r));
    if (!TAILQ_EMPTY(&held->in_order))
        look->queue = &held->behind;
    else if (waiter != NULL && other != STAND_READER &&
             waiter->ticket->arrival < look->ticket->arrival)
        look->queue = &waiter->ticket->behind;
}

/* False when nothing further can change the answer. */
static bool look_at_place(struct look *look, struct place *place, enum stand stand,
                          struct bytes key)
{
    bool till_refused = look->arriving && !look->ticket->request->reader;
    for (int other = 0; other < STANDS; other++) {
        struct ticket_list *queue = look->queue;
        if (!conflicts[stand][other] || (MUTANT(READS_DO_NOT_LOCK) && other == STAND_SHARED))
            continue;
        if (MUTANT(READ_LOCKS_END_AT_VOTE) && other == STAND_SHARED &&
            RB_EMPTY(&place->held[other].by_age))
            continue;
        look_at_crowd(look, place, (enum stand)other);
        if (look->refused || look->queue != queue)
            look->key = key;
        if (look->refused || (look->queue != NULL && !till_refused))
            return false;
    }
    return true;
}

static bool look_at_range(struct look *look, struct locks *l, const struct lock_want *want,
                          enum stand stand)
{
    struct place probe = {.key = want->key};
    struct place *place = RB_NFIND(place_tree, &l->keys, &probe);
    for (; place != NULL; place = RB_NEXT(place_tree, &l->keys, place)) {
        if (want->end.len > 0 && bytes_compare(place->key, want->end) >= 0)
            break;
        if (!look_at_place(look, place, stand, place->key))
            return false;
        if (MUTANT(RANGE_SEES_FIRST_KEY))
            break;
    }
    return true;
}

static bool look_at_key(struct look *look, struct locks *l, const struct lock_want *want,
                        enum stand stand)
{
    struct place *place = place_find(l, want);
    if (place != NULL && !look_at_place(look, place, stand, want->key))
        return false;
    if (want->mode == LOCK_SHARED || MUTANT(RANGES_DO_NOT_LOCK)) /* as all ranges are */
        return true;
    RB_FOREACH (place, place_tree, &l->ranges) {
        if (bytes_compare(place->key, want->key) > 0)
            break;
        if (place->end.len > 0 && bytes_compare(want->key, place->end) >= 0)
            continue;
        if (!look_at_place(look, place, stand, want->key))
            return false;
    }
    return true;
}

static struct look look_around(struct locks *l, const struct ticket *t, bool arriving)
{
    const struct lock_request *r = t->request;
    struct look look = {.ticket = t, .arriving = arriving};
    for (uint32_t i = 0; i < r->n; i++) {
        const struct lock_want *want = &r->want[i];
        enum stand stand = stand_of(r, want);
        if (!(want->range ? look_at_range : look_at_key)(&look, l, want, stand))
            break;
    }
    return look;
}

/* ---- requests ---- */

static struct ticket *ticket_new(struct locks *l, struct lock_request *r)
{
    struct ticket *t = xcalloc(1, sizeof *t + r->n * sizeof t->spot[0]);
    t->request = r;
    t->arrival = ++l->arrivals;
    TAILQ_INIT(&t->behind);
    return t;
}

/* Puts a new request at all its places, in the state given. */
static void ticket_enter(struct locks *l, struct ticket *t, enum lock_state state)
{
    struct lock_request *r = t->request;
    r->table = t;
    r->state = state;
    for (uint32_t i = 0; i < r->n; i++) {
        struct spot *spot = &t->spot[i];
        spot->ticket = t;
        spot->place = place_open(l, &r->want[i]);
        spot->stand = stand_of(r, &r->want[i]);
        spot_enter(spot);
    }
    *(state == LOCKS_HELD ? &l->held : &l->waiting) += 1;
}

struct locks *locks_new(void)
{
    return xcalloc(1, sizeof(struct locks));
}

void locks_free(struct locks *l)
{
    if (l == NULL)
        return;
    if (l->held + l->waiting > 0)
        broken("freed while requests hold or wait", bytes_of(NULL, 0));
    free(l);
}

enum lock_state locks_request(struct locks *l, struct lock_request *r)
{
    struct ticket *t = ticket_new(l, r);
    struct look look = look_around(l, t, true);
    if (look.refused) {
        blob_unref(r->conflict);
        r->conflict = blob_new(look.key);
        free(t);
        return LOCKS_NONE;
    }
    ticket_enter(l, t, look.queue == NULL ? LOCKS_HELD : LOCKS_WAITING);
    if (look.queue != NULL)
        queue_enter(look.queue, t);
    return r->state;
}

void locks_restore(struct locks *l, struct lock_request *r)
{
    struct ticket *t = ticket_new(l, r);
    struct look look = look_around(l, t, false);
    if (look.queue != NULL)
        broken("prepared transactions conflict", look.key);
    ticket_enter(l, t, LOCKS_HELD);
}

static void place_writers(const struct place *place,
                          void (*each)(void *arg, const struct lock_request *writer), void *arg)
{
    const struct spot *spot;
    for (int stand = 0; stand < STANDS; stand++)
        if (conflicts[STAND_READER][stand])
            TAILQ_FOREACH (spot, &place->held[stand].in_order, order_link)
                each(arg, spot->ticket->request);
}

void locks_writers(struct locks *l, const struct lock_want *want, uint32_t n,
                   void (*each)(void *arg, const struct lock_request *writer), void *arg)
{
    for (uint32_t i = 0; i < n; i++) {
        struct place probe = {.key = want[i].key};
        struct place *place = RB_NFIND(place_tree, &l->keys, &probe);
        for (; place != NULL; place = RB_NEXT(place_tree, &l->keys, place)) {
            bool inside = want[i].range
                              ? want[i].end.len == 0 || bytes_compare(place->key, want[i].end) < 0
                              : bytes_equal(place->key, want[i].key);
            if (!inside)
                break;
            place_writers(place, each, arg);
        }
    }
}

void locks_decided(struct lock_request *r)
{
    struct ticket *t = r->table;
    for (uint32_t i = 0; r->state == LOCKS_HELD && i < r->n; i++) {
        struct spot *spot = &t->spot[i];
        if (!spot->decided)
            RB_REMOVE(spot_tree, &crowd_of(spot)->by_age, spot);
        spot->decided = true;
    }
}

void locks_release(struct locks *l, struct lock_request *r)
{
    struct ticket *t = r->table;
    if (r->state == LOCKS_NONE)
        return;
    if (t->queue != NULL)
        queue_leave(t);
    else if (r->state == LOCKS_WAITING)
        RB_REMOVE(ticket_tree, &l->due, t);
    queue_due(l, &t->behind);
    for (uint32_t i = 0; i < r->n; i++) {
        spot_leave(l, &t->spot[i]);
        place_close(l, t->spot[i].place);
    }
    *(r->state == LOCKS_HELD ? &l->held : &l->waiting) -= 1;
    r->state = LOCKS_NONE;
    r->table = NULL;
    free(t);
}

static void grant(struct locks *l, struct ticket *t)
{
    for (uint32_t i = 0; i < t->request->n; i++)
        spot_leave(l, &t->spot[i]);
    t->request->state = LOCKS_HELD;
    for (uint32_t i = 0; i < t->request->n; i++)
        spot_enter(&t->spot[i]);
    l->waiting--;
    l->held++;
}

/* In order of arrival, so that none stands in the queue of one that is due itself. */
struct lock_request *locks_granted(struct locks *l)
{
    struct ticket *t;
    while ((t = RB_MIN(ticket_tree, &l->due)) != NULL) {
        RB_REMOVE(ticket_tree, &l->due, t);
        struct look look = look_around(l, t, false);
        if (look.queue == NULL) {
            grant(l, t);
            return t->request;
        }
        queue_enter(look.queue, t);
    }
    return NULL;
}

uint32_t locks_held(const struct locks *l)
{
    return l->held;
}

uint32_t locks_waiting(const struct locks *l)
{
    return l->waiting;
}

/* ---- operations to wants ---- */

static struct lock_want want_of_op(const struct op *op)
{
    struct lock_want want = {.mode = LOCK_SHARED, .key = op->key};
    if (op_is_range(op->kind)) {
        want.range = true;
        want.end = op->end;
    } else if (op->kind == OP_ADD && !op->returns_value) {
        want.mode = LOCK_ESCROW;
    } else if (op_is_write(op->kind)) {
        want.mode = LOCK_EXCLUSIVE;
    }
    return want;
}

/* Keys first, then ranges. */
static int want_compare(const void *a, const void *b)
{
    const struct lock_want *x = a, *y = b;
    if (x->range != y->range)
        return x->range ? 1 : -1;
    return bytes_compare(x->key, y->key);
}

/* Merges a want into the one before it in order; false if they are apart. */
static bool want_merge(struct lock_want *into, const struct lock_want *want)
{
    if (into->range != want->range)
        return false;
    if (into->range) {
        if (into->end.len > 0 && bytes_compare(want->key, into->end) > 0)
            return false;
        if (end_compare(want->end, into->end) > 0)
            into->end = want->end;
        return true;
    }
    if (!bytes_equal(into->key, want->key))
        return false;
    if (into->mode != want->mode)
        into->mode = LOCK_EXCLUSIVE;
    return true;
}

uint32_t locks_of_ops(const struct ops *ops, struct lock_want *want)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ops->n; i++)
        want[i] = want_of_op(&ops->op[i]);
    qsort(want, ops->n, sizeof *want, want_compare);
    for (uint32_t i = 0; i < ops->n; i++)
        if (n == 0 || !want_merge(&want[n - 1], &want[i]))
            want[n++] = want[i];
    return n;
}
