#include "chaos/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/load_work.h"

#define BEGIN_MS 10000
#define BEGIN_US UINT64_C(60000000)
#define AGAIN_US 50000

static const struct load_work *const works[LOAD_KINDS] = {
    [LOAD_BANK] = &load_bank,   [LOAD_LIST] = &load_list,     [LOAD_REGISTER] = &load_register,
    [LOAD_SET] = &load_set,     [LOAD_ROUTES] = &load_routes, [LOAD_COUNTER] = &load_counter,
    [LOAD_LARGE] = &load_large, [LOAD_LEVELS] = &load_levels, [LOAD_LOCAL] = &load_local,
};

const struct load_work *load_work_of(enum load_kind kind)
{
    return works[kind];
}

/* ---- opening ---- */

/* The i-th participants of its datacenters, one datacenter after the other; then the next ones. */
static void find_places(struct load *l)
{
    const struct site *s = l->all->site;
    for (int i = 0; i < s->scenario->participants; i++) {
        for (int dc = 0; dc < s->scenario->datacenters; dc++) {
            int nth = 0;
            for (int node = 0; node < s->cluster->nodes; node++) {
                const struct cluster_node *n = &s->cluster->node[node];
                if (n->role == ROLE_PARTICIPANT && n->datacenter == dc && nth++ == i &&
                    (l->config->in >> dc & 1) != 0)
                    l->place[l->places++] = node;
            }
        }
    }
}

void load_name(const struct scenario *s, int number, char out[32])
{
    enum load_kind kind = s->load[number].kind;
    int nth = 1;
    for (int i = 0; i < number; i++)
        nth += s->load[i].kind == kind;
    if (nth == 1)
        snprintf(out, 32, "%s", load_text(kind));
    else
        snprintf(out, 32, "%s-%d", load_text(kind), nth);
}

static void open_load(struct loads *all, int number)
{
    const struct scenario *s = all->site->scenario;
    struct load *l = &all->load[number];
    l->all = all;
    l->number = number;
    l->config = &s->load[number];
    l->work = works[l->config->kind];
    l->everywhere = l->config->in == (UINT32_C(1) << s->datacenters) - 1;
    l->next_value = 1;
    l->clients = l->config->clients;
    find_places(l);
    load_name(s, number, l->name);
    int most = l->work->keys_most == NULL ? l->config->keys : l->work->keys_most(l);
    l->keys = l->config->keys < most ? l->config->keys : most;
    l->generation = xcalloc((size_t)l->keys, sizeof *l->generation);
    l->history = history_new(l->work->history, (uint32_t)l->clients);
    if (pthread_mutex_init(&l->lock, NULL) != 0)
        abort();
    l->token = xcalloc((size_t)l->clients, sizeof *l->token);
    l->client = xcalloc((size_t)l->clients, sizeof *l->client);
    for (int i = 0; i < l->clients; i++)
        load_client_open(&l->client[i], l, i);
}

/* Commits until it succeeds. A check that fails: an attempt without an answer had. */
static bool begin_with(const struct load *l, uint32_t first, uint32_t *next, assent_ts *ts)
{
    assent *db = l->all->db[l->client[0].home];
    assent_commit_info info;
    uint64_t end_us = chaos_now_us() + BEGIN_US;
    assent_status status;
    do {
        assent_txn *t = assent_txn_new(db);
        *next = first;
        bool any = l->work->begin(l, t, next);
        status = any ? assent_commit_within(t, BEGIN_MS, &info) : ASSENT_OK;
        assent_txn_free(t);
        if (!any || status == ASSENT_OK || status == ASSENT_CHECK_FAILED) {
            *ts = status == ASSENT_OK && any ? info.commit_ts : assent_now(db);
            return true;
        }
        chaos_sleep_us(AGAIN_US);
    } while (chaos_now_us() < end_us);
    fprintf(stderr, "chaos: %s: what it begins with cannot be written: %s\n", l->name,
            assent_error());
    return false;
}

static bool begin(struct load *l)
{
    uint32_t first = 0, next = 0;
    assent_ts ts;
    if (l->work->begin == NULL)
        return true;
    do {
        first = next;
        if (!begin_with(l, first, &next, &ts))
            return false;
        l->begun_ts = ts > l->begun_ts ? ts : l->begun_ts;
    } while (next != first);
    return true;
}

struct loads *loads_open(struct site *site, struct samples *samples, uint64_t seed)
{
    struct loads *all = xcalloc(1, sizeof *all);
    bool good = true;
    all->site = site;
    all->samples = samples;
    all->seed = seed;
    if (pthread_mutex_init(&all->lock, NULL) != 0)
        abort();
    for (int dc = 0; dc < site->scenario->datacenters && good; dc++)
        good = (all->db[dc] = site_client(site, dc)) != NULL;
    all->n = good ? site->scenario->loads : 0;
    all->load = xcalloc((size_t)site->scenario->loads, sizeof *all->load);
    for (int i = 0; i < all->n; i++)
        open_load(all, i);
    for (int i = 0; i < all->n && good; i++)
        good = begin(&all->load[i]);
    if (good)
        return all;
    loads_free(all);
    return NULL;
}

void loads_free(struct loads *all)
{
    if (all == NULL)
        return;
    loads_stop(all);
    for (int i = 0; i < all->n; i++) {
        struct load *l = &all->load[i];
        for (int k = 0; k < l->clients; k++)
            load_client_free(&l->client[k]);
        free(l->client);
        history_free(l->history);
        pthread_mutex_destroy(&l->lock);
        free(l->generation);
        free(l->looks);
        free(l->token);
    }
    for (int dc = 0; dc < SCENARIO_DATACENTERS_MAX; dc++)
        assent_close(all->db[dc]);
    pthread_mutex_destroy(&all->lock);
    free(all->load);
    free(all->told);
    free(all);
}

/* ---- running ---- */

static void start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
    int failed = pthread_create(thread, NULL, main, arg);
    if (failed == 0)
        return;
    fprintf(stderr, "chaos: cannot start the thread of a client: %s\n", strerror(failed));
    abort();
}

void loads_start(struct loads *all)
{
    for (int i = 0; i < all->n; i++) {
        struct load *l = &all->load[i];
        all->has_killer = all->has_killer || l->config->dies;
        for (int k = 0; k < l->clients; k++)
            start_thread(&l->client[k].thread, load_client_main, &l->client[k]);
    }
    if (all->has_killer)
        start_thread(&all->killer, load_killer_main, all);
    all->started = true;
}

void loads_stop(struct loads *all)
{
    if (!all->started)
        return;
    atomic_store(&all->stop, true);
    if (all->has_killer)
        pthread_join(all->killer, NULL);
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->load[i].clients; k++)
            pthread_join(all->load[i].client[k].thread, NULL);
    all->started = false;
}

/* ---- afterwards ---- */

const struct told *loads_told(struct loads *all, size_t *n)
{
    *n = all->told_n;
    return all->told;
}

bool loads_save(struct loads *all, const char *dir)
{
    bool good = true;
    for (int i = 0; i < all->n; i++) {
        char path[4300];
        snprintf(path, sizeof path, "%s/%s.edn", dir, all->load[i].name);
        FILE *out = fopen(path, "w");
        bool written = out != NULL && history_write_edn(all->load[i].history, out);
        written = out != NULL && fclose(out) == 0 && written;
        if (!written)
            fprintf(stderr, "chaos: %s: %s\n", path, strerror(errno));
        good = good && written;
    }
    return good;
}
