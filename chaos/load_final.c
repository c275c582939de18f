/* What the clients do when the faults are over: they ask for every outcome that they do not know,
 * and then read everything once more from every datacenter. Outcomes come first, so that nothing
 * can change behind a read. When nothing is under way at any node any more, every replica is read
 * for what it has by itself. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/load_work.h"

#define BOUND_US      UINT64_C(60000000) /* of each of the parts */
#define LOOK_MS       2000
#define LOOK_AGAIN_US 100000

static void *ask_main(void *arg)
{
    load_ask(arg, true);
    return NULL;
}

/* Reads until it succeeds. */
static bool read_final(struct load_client *c, uint32_t i,
                       assent_status (*read)(struct load_client *c, uint32_t i))
{
    for (c->tries = 0;; c->tries++) {
        c->priority_ms = 0;
        c->result_lost = false;
        if (read(c, i) == ASSENT_OK && !c->result_lost)
            return true;
        if (chaos_now_us() >= c->load->all->deadline_us)
            return false;
        load_back_off(c);
        load_ask(c, true);
    }
}

/* The clients of a load share its reads; each is made through the handle of its datacenter. */
static void read_shared(struct load_client *c, uint32_t reads,
                        assent_status (*read)(struct load_client *c, uint32_t i))
{
    struct load *l = c->load;
    uint32_t datacenters = (uint32_t)l->all->site->scenario->datacenters;
    uint32_t n = reads * datacenters, i;
    while ((i = atomic_fetch_add(&l->next_final, 1)) < n) {
        c->datacenter = (int)(i % datacenters);
        c->db = l->all->db[c->datacenter];
        if (!load_is_lost(l, c->datacenter) && !read_final(c, i / datacenters, read))
            atomic_store(&l->unread, true);
    }
}

static void *read_main(void *arg)
{
    struct load_client *c = arg;
    read_shared(c, c->load->work->finals(c->load), c->load->work->final);
    return NULL;
}

static void *read_after_main(void *arg)
{
    struct load_client *c = arg;
    if (c->load->work->afters != NULL)
        read_shared(c, c->load->work->afters(c->load), c->load->work->after);
    return NULL;
}

static void run_clients(struct loads *all, void *(*main)(void *))
{
    all->deadline_us = chaos_now_us() + BOUND_US;
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->load[i].clients; k++)
            if (pthread_create(&all->load[i].client[k].thread, NULL, main,
                               &all->load[i].client[k]) != 0)
                abort();
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->load[i].clients; k++)
            pthread_join(all->load[i].client[k].thread, NULL);
}

static void close_own_handle(struct load_client *c)
{
    load_session_end(c);
    if (c->owns_db)
        assent_close(c->db);
    c->owns_db = false;
    c->db = NULL;
}

/* ---- quiet ---- */

static bool says_more_than_none(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at += len)
        if ((at == text || at[-1] == '\n') && at[len] == ' ')
            return strtoll(at + len, NULL, 10) > 0;
    return false;
}

/* Whether a node has work under way. Records that are kept because a lost node has not settled stay
 * for ever. */
static bool is_busy(const struct loads *all, const assent_node *node)
{
    static const char *const open[] = {"in_doubt", "locking",    "preparing", "deciding",
                                       "leading",  "recovering", "undecided", "unsettled"};
    size_t n = sizeof open / sizeof open[0] - (atomic_load(&all->site->lost) != 0 ? 2 : 0);
    for (size_t i = 0; i < n; i++)
        if (says_more_than_none(node->text, open[i]))
            return true;
    return false;
}

static bool is_quiet(const struct loads *all, assent *observer)
{
    assent_node *nodes;
    size_t n;
    bool quiet = true;
    if (assent_nodes(observer, LOOK_MS, &nodes, &n) != ASSENT_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        int node = site_node(all->site, nodes[i].name);
        bool lost = node >= 0 && load_is_lost(all->load, all->site->cluster->node[node].datacenter);
        if (!lost && (!nodes[i].reachable || is_busy(all, &nodes[i])))
            quiet = false;
    }
    assent_nodes_free(nodes);
    return quiet;
}

/* The last reads are commits, too: what they left behind is settled before the nodes are stopped
 * and their databases read. */
static bool wait_quiet(const struct loads *all)
{
    uint64_t end_us = chaos_now_us() + BOUND_US;
    assent *observer = site_observer(all->site);
    bool quiet = false;
    while (observer != NULL && !(quiet = is_quiet(all, observer)) && chaos_now_us() < end_us)
        chaos_sleep_us(LOOK_AGAIN_US);
    assent_close(observer);
    return quiet;
}

/* Whether all outcomes were learned, and everything was read. */
static bool say_what_is_unread(const struct load *l)
{
    size_t unknown = 0;
    for (int k = 0; k < l->clients; k++)
        unknown += l->client[k].unknown_n;
    if (unknown > 0)
        fprintf(stderr, "chaos: %s: %zu outcomes could not be learned in %d s\n", l->name, unknown,
                (int)(BOUND_US / 1000000));
    if (atomic_load(&l->unread))
        fprintf(stderr, "chaos: %s: not everything could be read in %d s: %s\n", l->name,
                (int)(BOUND_US / 1000000), "see the logs of the nodes");
    return unknown == 0 && !atomic_load(&l->unread);
}

bool loads_read_all(struct loads *all)
{
    bool good = true;
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->load[i].clients; k++)
            close_own_handle(&all->load[i].client[k]);
    run_clients(all, ask_main);
    run_clients(all, read_main);
    if (wait_quiet(all)) {
        for (int i = 0; i < all->n; i++)
            atomic_store(&all->load[i].next_final, 0);
        run_clients(all, read_after_main);
    } else {
        fprintf(stderr, "chaos: transactions are still under way %d s after the last read\n",
                (int)(BOUND_US / 1000000));
        good = false;
    }
    for (int i = 0; i < all->n; i++)
        good = say_what_is_unread(&all->load[i]) && good;
    return good;
}
