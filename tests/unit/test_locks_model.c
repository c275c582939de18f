/* participant/locks at random: one table against a model that applies the rules of locks.h to a
 * plain list, and several tables together, where a deadlock would show. A failing seed is in the
 * message; LOCKS_SEED=<n> runs only that one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/prng.h"
#include "participant/locks.h"

#define LIVE_MAX  40
#define WANTS_MAX 5
#define KEYS_MAX  12
#define SEEDS     60
#define STEPS     600

/* Key i is two bytes; ranges begin and end at keys, or have no end. */
static const char key_text[KEYS_MAX + 1][3] = {"aa", "ab", "ac", "ad", "ae", "af", "ag",
                                               "ah", "ai", "aj", "ak", "al", "am"};

/* What a seed makes of the traffic. */
struct traffic {
    unsigned keys, wants, ranges_of_10, readers_of_10, exclusive_of_10, escrow_of_10;
};

/* A request as both sides see it: `lock` is the table's, the rest the model's. */
struct actor {
    struct lock_request lock;
    struct lock_want want[WANTS_MAX];
    enum lock_state state;
    uint64_t arrival;
};

static struct traffic traffic_random(struct prng *p)
{
    struct traffic t = {.keys = 2 + (unsigned)prng_below(p, KEYS_MAX - 1),
                        .wants = 1 + (unsigned)prng_below(p, WANTS_MAX),
                        .ranges_of_10 = (unsigned)prng_below(p, 5),
                        .readers_of_10 = (unsigned)prng_below(p, 5),
                        .exclusive_of_10 = (unsigned)prng_below(p, 8),
                        .escrow_of_10 = (unsigned)prng_below(p, 8)};
    return t;
}

static enum lock_mode mode_random(struct prng *p, const struct traffic *t)
{
    if (prng_below(p, 10) < t->exclusive_of_10)
        return LOCK_EXCLUSIVE;
    return prng_below(p, 10) < t->escrow_of_10 ? LOCK_ESCROW : LOCK_SHARED;
}

/* Wants of different keys, and at most one range, which may contain some of them. */
static void wants_random(struct prng *p, const struct traffic *t, struct actor *a)
{
    bool taken[KEYS_MAX] = {false};
    uint64_t tries = 1 + prng_below(p, t->wants);
    a->lock.want = a->want;
    a->lock.n = 0;
    for (uint64_t i = 0; i < tries && a->lock.n < WANTS_MAX - 1; i++) {
        uint64_t key = prng_below(p, t->keys);
        if (taken[key])
            continue;
        taken[key] = true;
        a->want[a->lock.n++] =
            (struct lock_want){.mode = a->lock.reader ? LOCK_SHARED : mode_random(p, t),
                               .key = bytes_of(key_text[key], 2)};
    }
    if (prng_below(p, 10) < t->ranges_of_10) {
        uint64_t from = prng_below(p, t->keys), to = from + 1 + prng_below(p, t->keys - from);
        a->want[a->lock.n++] =
            (struct lock_want){.range = true,
                               .key = bytes_of(key_text[from], 2),
                               .end = bytes_of(key_text[to], prng_below(p, 4) == 0 ? 0 : 2)};
    }
}

/* ---- the model ---- */

static bool model_covers(const struct lock_want *range, const struct lock_want *key)
{
    return bytes_compare(key->key, range->key) >= 0 &&
           (range->end.len == 0 || bytes_compare(key->key, range->end) < 0);
}

static bool model_wants_conflict(const struct lock_want *a, const struct lock_want *b)
{
    if (a->mode == b->mode && a->mode != LOCK_EXCLUSIVE)
        return false;
    if (a->range)
        return model_covers(a, b);
    if (b->range)
        return model_covers(b, a);
    return bytes_equal(a->key, b->key);
}

static bool model_conflict(const struct actor *a, const struct actor *b)
{
    for (uint32_t i = 0; i < a->lock.n; i++)
        for (uint32_t j = 0; j < b->lock.n; j++)
            if (model_wants_conflict(&a->want[i], &b->want[j]))
                return true;
    return false;
}

static bool model_older(const struct actor *a, const struct actor *b)
{
    if (a->lock.priority_ms != b->lock.priority_ms)
        return a->lock.priority_ms < b->lock.priority_ms;
    return txid_compare(&a->lock.txid, &b->lock.txid) < 0;
}

/* The scene: who is there, and in what state by the model. */
struct scene {
    struct prng prng;
    struct traffic traffic;
    uint64_t seed;
    struct locks *locks;
    struct actor *actor[LIVE_MAX];
    unsigned n;
    uint64_t arrivals;
    uint64_t requests, refused, waited;
};

static bool model_must_wait(const struct scene *s, const struct actor *a)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct actor *b = s->actor[i];
        if (b == a || !model_conflict(a, b))
            continue;
        if (b->state == LOCKS_HELD)
            return true;
        if (b->state == LOCKS_WAITING && !b->lock.reader && b->arrival < a->arrival)
            return true;
    }
    return false;
}

static bool model_must_refuse(const struct scene *s, const struct actor *a)
{
    for (unsigned i = 0; i < s->n && !a->lock.reader; i++) {
        const struct actor *b = s->actor[i];
        bool reading = b->lock.reader && b->state == LOCKS_HELD;
        if (b != a && !reading && model_older(b, a) && model_conflict(a, b))
            return true;
    }
    return false;
}

/* The first in order of arrival that must not wait any longer, or NULL. */
static struct actor *model_next(const struct scene *s)
{
    struct actor *next = NULL;
    for (unsigned i = 0; i < s->n; i++) {
        struct actor *a = s->actor[i];
        if (a->state == LOCKS_WAITING && !model_must_wait(s, a) &&
            (next == NULL || a->arrival < next->arrival))
            next = a;
    }
    return next;
}

/* ---- the comparison ---- */

static void scene_check(const struct scene *s)
{
    uint32_t held = 0, waiting = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct actor *a = s->actor[i];
        if (a->lock.state != a->state)
            fail_msg("seed %llu: state %d, expected %d", (unsigned long long)s->seed, a->lock.state,
                     a->state);
        held += a->state == LOCKS_HELD;
        waiting += a->state == LOCKS_WAITING;
        for (unsigned j = 0; j < i; j++)
            if (a->lock.state == LOCKS_HELD && s->actor[j]->lock.state == LOCKS_HELD &&
                model_conflict(a, s->actor[j]))
                fail_msg("seed %llu: two hold what conflicts", (unsigned long long)s->seed);
    }
    assert_int_equal(locks_held(s->locks), held);
    assert_int_equal(locks_waiting(s->locks), waiting);
}

static void scene_ask(struct scene *s)
{
    struct actor *a = xcalloc(1, sizeof *a);
    a->lock.owner = a;
    a->lock.reader = prng_below(&s->prng, 10) < s->traffic.readers_of_10;
    a->lock.priority_ms = prng_below(&s->prng, 100);
    a->arrival = ++s->arrivals;
    if (!a->lock.reader)
        a->lock.txid = txid_make(1, 0, a->arrival);
    wants_random(&s->prng, &s->traffic, a);
    a->state = model_must_refuse(s, a) ? LOCKS_NONE
               : model_must_wait(s, a) ? LOCKS_WAITING
                                       : LOCKS_HELD;
    s->requests++;
    s->refused += a->state == LOCKS_NONE;
    s->waited += a->state == LOCKS_WAITING;
    enum lock_state got = locks_request(s->locks, &a->lock);
    if (got != a->state)
        fail_msg("seed %llu: request %llu got %d, expected %d", (unsigned long long)s->seed,
                 (unsigned long long)a->arrival, got, a->state);
    if (got != LOCKS_NONE) {
        s->actor[s->n++] = a;
        return;
    }
    assert_non_null(a->lock.conflict);
    blob_unref(a->lock.conflict);
    free(a);
}

static void scene_leave(struct scene *s, unsigned i)
{
    struct actor *a = s->actor[i];
    s->actor[i] = s->actor[--s->n];
    locks_release(s->locks, &a->lock);
    free(a);
}

static void scene_grant(struct scene *s)
{
    struct lock_request *r;
    struct actor *expected;
    while ((r = locks_granted(s->locks)) != NULL) {
        expected = model_next(s);
        if (r->owner != expected)
            fail_msg("seed %llu: granted out of order or too early", (unsigned long long)s->seed);
        expected->state = LOCKS_HELD;
    }
    if (model_next(s) != NULL)
        fail_msg("seed %llu: one that must not wait was not granted", (unsigned long long)s->seed);
}

/* Releases in a random order; whoever waits must come to its turn. */
static void scene_end(struct scene *s)
{
    while (s->n > 0) {
        unsigned i = (unsigned)prng_below(&s->prng, s->n), tried = 0;
        for (; s->actor[i]->state != LOCKS_HELD; i = (i + 1) % s->n)
            if (tried++ == s->n)
                fail_msg("seed %llu: all wait, nobody holds", (unsigned long long)s->seed);
        scene_leave(s, i);
        scene_grant(s);
        scene_check(s);
    }
    assert_int_equal(locks_held(s->locks) + locks_waiting(s->locks), 0);
    locks_free(s->locks);
}

static bool seed_wanted(uint64_t seed)
{
    const char *only = getenv("LOCKS_SEED");
    return only == NULL || strtoull(only, NULL, 10) == seed;
}

static void one_table_does_what_the_rules_say(void **state)
{
    uint64_t requests = 0, refused = 0, waited = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene s = {.seed = seed, .locks = locks_new()};
        if (!seed_wanted(seed)) {
            locks_free(s.locks);
            continue;
        }
        prng_seed(&s.prng, seed);
        s.traffic = traffic_random(&s.prng);
        unsigned live = 4 + (unsigned)prng_below(&s.prng, LIVE_MAX - 3);
        for (int step = 0; step < STEPS; step++) {
            if (s.n < live && prng_below(&s.prng, 3) > 0)
                scene_ask(&s);
            else if (s.n > 0)
                scene_leave(&s, (unsigned)prng_below(&s.prng, s.n));
            /* not always: others may ask or leave while some are due */
            if (prng_below(&s.prng, 4) > 0)
                scene_grant(&s);
            scene_check(&s);
        }
        scene_grant(&s);
        scene_end(&s);
        requests += s.requests;
        refused += s.refused;
        waited += s.waited;
    }
    if (getenv("LOCKS_SEED") != NULL)
        return;
    assert_true(requests > 10000);
    assert_true(refused > requests / 10);
    assert_true(waited > requests / 10);
}

/* ---- several tables ---- */

#define SITES 3
#define TXNS  14

/* A transaction with a part at every site, or a reader at one. A part is sent, gets its answer, and
 * is released when all parts hold or one was refused. */
enum part_state { PART_NONE, PART_SENT, PART_WAITING, PART_HELD };

struct txn {
    struct actor part[SITES];
    enum part_state part_state[SITES];
    bool parked; /* refused: tries again when all others are done */
    bool refused;
    bool done;
};

struct sites {
    struct prng prng;
    struct traffic traffic;
    uint64_t seed;
    struct locks *locks[SITES];
    struct txn txn[TXNS];
    uint64_t txids;
};

static void txn_start(struct sites *s, struct txn *t)
{
    struct txid txid = txid_make(1, 0, ++s->txids);
    t->parked = t->refused = false;
    for (int i = 0; i < SITES; i++) {
        struct actor *a = &t->part[i];
        if (a->lock.n == 0)
            continue;
        a->lock.txid = a->lock.reader ? (struct txid){{0}} : txid;
        t->part_state[i] = PART_SENT;
    }
}

static void txn_random(struct sites *s, struct txn *t)
{
    bool reader = prng_below(&s->prng, 10) < s->traffic.readers_of_10;
    uint64_t only = prng_below(&s->prng, SITES), priority = prng_below(&s->prng, 100);
    *t = (struct txn){0};
    for (unsigned i = 0; i < SITES; i++) {
        if (reader && i != only)
            continue;
        struct actor *a = &t->part[i];
        *a = (struct actor){0};
        a->lock = (struct lock_request){.reader = reader, .priority_ms = priority, .owner = t};
        wants_random(&s->prng, &s->traffic, a);
    }
    txn_start(s, t);
}

/* What can happen to a part now. */
static bool part_can_step(const struct txn *t, int i)
{
    if (t->part_state[i] == PART_SENT)
        return true;
    if (t->part_state[i] == PART_WAITING)
        return t->refused;
    if (t->part_state[i] != PART_HELD)
        return false;
    for (int j = 0; j < SITES; j++)
        if (!t->refused && (t->part_state[j] == PART_SENT || t->part_state[j] == PART_WAITING))
            return false;
    return true;
}

static void part_released(struct txn *t, int i)
{
    bool left = false;
    t->part_state[i] = PART_NONE;
    for (int j = 0; j < SITES; j++)
        left |= t->part_state[j] != PART_NONE;
    t->parked = !left && t->refused;
    t->done = !left && !t->refused;
}

static void part_step(struct sites *s, struct txn *t, int i)
{
    struct lock_request *r;
    struct actor *a = &t->part[i];
    if (t->part_state[i] == PART_SENT && t->refused) {
        part_released(t, i);
        return;
    }
    if (t->part_state[i] == PART_SENT) {
        enum lock_state got = locks_request(s->locks[i], &a->lock);
        t->part_state[i] = got == LOCKS_HELD ? PART_HELD : PART_WAITING;
        if (got != LOCKS_NONE)
            return;
        blob_unref(a->lock.conflict);
        a->lock.conflict = NULL;
        t->refused = true;
        part_released(t, i);
        return;
    }
    locks_release(s->locks[i], &a->lock);
    part_released(t, i);
    while ((r = locks_granted(s->locks[i])) != NULL)
        ((struct txn *)r->owner)->part_state[i] = PART_HELD;
}

/* One random step of those that are possible; false if there is none. */
static bool sites_step(struct sites *s)
{
    uint64_t offset = prng_below(&s->prng, TXNS * SITES);
    for (uint64_t k = 0; k < TXNS * SITES; k++) {
        uint64_t at = (offset + k) % (TXNS * SITES);
        struct txn *t = &s->txn[at / SITES];
        if (!part_can_step(t, (int)(at % SITES)))
            continue;
        part_step(s, t, (int)(at % SITES));
        return true;
    }
    return false;
}

/* Runs until every transaction has committed; those refused begin again, with their priority, when
 * nothing else can happen. */
static unsigned sites_run(struct sites *s)
{
    unsigned rounds = 0;
    for (;; rounds++) {
        bool again = false;
        while (sites_step(s))
            continue;
        for (int i = 0; i < TXNS; i++) {
            struct txn *t = &s->txn[i];
            if (!t->done && !t->parked)
                fail_msg("seed %llu: deadlock, transaction %d waits for ever",
                         (unsigned long long)s->seed, i);
            again |= t->parked;
        }
        if (!again)
            return rounds;
        for (int i = 0; i < TXNS; i++)
            if (s->txn[i].parked)
                txn_start(s, &s->txn[i]);
    }
}

static void transactions_over_several_tables_never_deadlock(void **state)
{
    unsigned rounds = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct sites *s = xcalloc(1, sizeof *s);
        s->seed = seed;
        prng_seed(&s->prng, seed);
        s->traffic = traffic_random(&s->prng);
        for (int i = 0; i < SITES; i++)
            s->locks[i] = locks_new();
        for (int i = 0; i < TXNS; i++)
            txn_random(s, &s->txn[i]);
        if (seed_wanted(seed))
            rounds += sites_run(s);
        for (int i = 0; i < SITES && seed_wanted(seed); i++)
            assert_int_equal(locks_held(s->locks[i]) + locks_waiting(s->locks[i]), 0);
        for (int i = 0; i < SITES; i++)
            locks_free(s->locks[i]);
        free(s);
    }
    assert_true(rounds > 0 || getenv("LOCKS_SEED") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_table_does_what_the_rules_say),
        cmocka_unit_test(transactions_over_several_tables_never_deadlock),
    };
    return cmocka_run_group_tests_name("locks, model", tests, NULL, NULL);
}
