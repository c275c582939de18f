/* A client's thread, and the thread that ends clients in mid-commit.
 *
 *     alive? -> ask for an outcome that is unknown -> one operation -> think or back off -> ...
 *
 * A client that dies has a handle of its own, which another thread closes during a commit: to the
 * cluster it has vanished. It comes back after a while with a new one, and asks what became of the
 * transaction elsewhere. */
#include "chaos/load_work.h"

#include <stdlib.h>
#include <string.h>

#include "client/handle.h"

#define ASK_MS           1000
#define ASK_AGAIN_US     250000
#define ASK_AGAIN_US_MAX 2000000
#define ASK_ONLY_US      5000000 /* after so long a client does nothing else until it knows */
#define BACK_OFF_US      5000
#define BACK_OFF_DOUBLES 7 /* to 640 ms */
#define TRIES_MAX        12
#define DEAD_US_MAX      1000000
#define KILL_EVERY_US    1000000 /* some client or other */
#define KILL_PATIENCE_US 300000
#define KILL_LOOK_US     500

static bool stopping(const struct load_client *c)
{
    return atomic_load(&c->load->all->stop);
}

void load_client_open(struct load_client *c, struct load *l, int index)
{
    struct loads *all = l->all;
    int datacenters = all->site->scenario->datacenters, nth = 0;
    uint64_t seed = all->seed + (uint64_t)(l->number * SCENARIO_CLIENTS_MAX + index) * 2;
    *c = (struct load_client){.load = l, .index = index};
    int stand = index % __builtin_popcount(l->config->from);
    for (int dc = 0; dc < datacenters; dc++)
        if ((l->config->from >> dc & 1) != 0 && nth++ == stand)
            c->home = dc;
    c->datacenter = c->home;
    prng_seed(&c->prng, seed);
    prng_seed(&c->back_off, seed + 1);
    c->numbers = xcalloc(LOAD_NUMBERS_MAX, sizeof *c->numbers);
    if (pthread_mutex_init(&c->life, NULL) != 0)
        abort();
    c->db = l->config->dies ? NULL : all->db[c->home];
}

void load_client_free(struct load_client *c)
{
    load_session_end(c);
    if (c->owns_db)
        assent_close(c->db);
    pthread_mutex_destroy(&c->life);
    free(c->numbers);
    free(c->unknown);
}

void load_back_off(struct load_client *c)
{
    uint64_t us = BACK_OFF_US << (c->tries < BACK_OFF_DOUBLES ? c->tries : BACK_OFF_DOUBLES);
    chaos_sleep_us(us / 2 + prng_below(&c->back_off, us));
}

static void think(struct load_client *c)
{
    uint64_t us = (uint64_t)c->load->config->think_ms * 1000;
    if (us > 0)
        chaos_sleep_us(us / 2 + load_below(c, us));
}

/* ---- outcomes ---- */

static void learn(struct load_client *c, const struct load_unknown *u, assent_status status,
                  assent_ts ts)
{
    struct loads *all = c->load->all;
    bool committed = status == ASSENT_OK;
    pthread_mutex_lock(&c->load->lock);
    int64_t now_ns = (int64_t)chaos_now_us() * 1000;
    if (committed)
        history_committed(c->load->history, u->op, now_ns, ts);
    else
        history_aborted(c->load->history, u->op, now_ns);
    pthread_mutex_unlock(&c->load->lock);
    pthread_mutex_lock(&all->lock);
    all->told[u->told].answer = committed ? ANSWER_COMMITTED : ANSWER_ABORTED;
    pthread_mutex_unlock(&all->lock);
}

/* The handle to ask through: the client's own datacenter's, another's after a death, one of a
 * datacenter that is left when the first answers did not come. */
static assent *to_ask(struct load_client *c, const struct load_unknown *u)
{
    struct loads *all = c->load->all;
    int datacenters = all->site->scenario->datacenters;
    int first = c->home + (c->load->config->dies ? 1 : 0) + (int)u->tries / 2;
    for (int i = 0; i < datacenters; i++)
        if (!load_is_lost(c->load, (first + i) % datacenters))
            return all->db[(first + i) % datacenters];
    return all->db[c->home];
}

/* Whether nothing is left to ask: it is known, or will never be. */
static bool ask(struct load_client *c, struct load_unknown *u)
{
    assent_ts ts = 0;
    assent_status status = assent_outcome(to_ask(c, u), &u->txid, ASK_MS, &ts);
    if (status == ASSENT_EXPIRED)
        return true;
    if (status == ASSENT_OK || !assent_maybe_committed(status)) {
        learn(c, u, status, ts);
        return true;
    }
    uint64_t wait_us = (uint64_t)ASK_AGAIN_US << (u->tries < 3 ? u->tries : 3);
    u->tries++;
    u->next_us = chaos_now_us() + (wait_us < ASK_AGAIN_US_MAX ? wait_us : ASK_AGAIN_US_MAX);
    return false;
}

void load_ask(struct load_client *c, bool all)
{
    uint64_t deadline_us = c->load->all->deadline_us;
    for (size_t i = 0; i < c->unknown_n;) {
        struct load_unknown *u = &c->unknown[i];
        if (!all && chaos_now_us() < u->next_us) {
            i++;
            continue;
        }
        bool ended = ask(c, u);
        while (all && !ended && chaos_now_us() < deadline_us) {
            chaos_sleep_us(ASK_AGAIN_US);
            ended = ask(c, u);
        }
        if (ended)
            *u = c->unknown[--c->unknown_n];
        else
            i++;
        if (!all)
            return; /* one at a time: the client has other things to do */
    }
}

/* Outcomes are not kept for ever. */
static bool has_waited_long(const struct load_client *c)
{
    for (size_t i = 0; i < c->unknown_n; i++)
        if (chaos_now_us() - c->unknown[i].since_us > ASK_ONLY_US)
            return true;
    return false;
}

/* ---- life and death ---- */

/* False: it is dead for now. */
static bool come_alive(struct load_client *c)
{
    if (!c->load->config->dies)
        return true;
    pthread_mutex_lock(&c->life);
    bool alive = c->db != NULL;
    pthread_mutex_unlock(&c->life);
    if (alive)
        return true;
    assent *db = site_client(c->load->all->site, c->home);
    pthread_mutex_lock(&c->life);
    c->db = db;
    c->owns_db = db != NULL;
    pthread_mutex_unlock(&c->life);
    return db != NULL;
}

static bool is_dead(struct load_client *c)
{
    pthread_mutex_lock(&c->life);
    bool dead = c->db == NULL;
    pthread_mutex_unlock(&c->life);
    return dead;
}

/* Whether a thread is inside a call of the handle; only then assent_close() cannot be too early for
 * one that is about to enter. */
static bool is_inside(assent *db)
{
    uv_mutex_lock(&db->mutex);
    bool inside = db->callers > 0;
    uv_mutex_unlock(&db->mutex);
    return inside;
}

static bool kill_client(struct load_client *c)
{
    pthread_mutex_lock(&c->life);
    bool kills = c->committing && c->db != NULL && is_inside(c->db);
    if (kills) {
        assent_close(c->db);
        c->db = NULL;
        c->owns_db = false;
    }
    pthread_mutex_unlock(&c->life);
    return kills;
}

static struct load_client *choose_victim(struct loads *all, struct prng *prng)
{
    int mortal = 0, chosen;
    for (int i = 0; i < all->n; i++)
        mortal += all->load[i].config->dies ? all->load[i].clients : 0;
    chosen = (int)prng_below(prng, (uint64_t)mortal);
    for (int i = 0; i < all->n; i++) {
        if (!all->load[i].config->dies)
            continue;
        if (chosen < all->load[i].clients)
            return &all->load[i].client[chosen];
        chosen -= all->load[i].clients;
    }
    return NULL;
}

void *load_killer_main(void *arg)
{
    struct loads *all = arg;
    struct prng prng;
    prng_seed(&prng, all->seed ^ UINT64_C(0x6465617468));
    while (!atomic_load(&all->stop)) {
        chaos_sleep_us(KILL_EVERY_US / 2 + prng_below(&prng, KILL_EVERY_US));
        struct load_client *victim = choose_victim(all, &prng);
        uint64_t end_us = chaos_now_us() + prng_below(&prng, KILL_PATIENCE_US);
        while (victim != NULL && !kill_client(victim) && chaos_now_us() < end_us)
            chaos_sleep_us(KILL_LOOK_US + prng_below(&prng, 20 * KILL_LOOK_US));
    }
    return NULL;
}

/* ---- the thread ---- */

void *load_client_main(void *arg)
{
    struct load_client *c = arg;
    while (!stopping(c)) {
        if (!come_alive(c)) {
            chaos_sleep_us(DEAD_US_MAX);
            continue;
        }
        load_ask(c, false);
        if (has_waited_long(c)) {
            chaos_sleep_us(BACK_OFF_US);
            continue;
        }
        load_session_begin(c);
        struct prng before = c->prng;
        assent_status status = c->load->work->step(c);
        if (is_dead(c))
            chaos_sleep_us(prng_below(&c->back_off, DEAD_US_MAX));
        if (assent_retryable(status) && c->tries < TRIES_MAX) {
            c->prng = before; /* the same once more */
            c->tries++;
            load_back_off(c);
            continue;
        }
        if (status != ASSENT_OK && status != ASSENT_CHECK_FAILED)
            load_back_off(c);
        c->tries = 0;
        c->priority_ms = 0;
        think(c);
    }
    return NULL;
}
