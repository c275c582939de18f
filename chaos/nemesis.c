/* When faults begin and end. One thread goes through the plan: it sleeps until the next beginning,
 * tick or end, at most WATCH_US, and looks after nodes that ended by themselves. What a fault does
 * is in nemesis_nodes.c and nemesis_links.c. */
#include "chaos/nemesis.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chaos/nemesis_run.h"
#include "common/bytes.h"

#define WATCH_US 100000

/* ---- the log ---- */

void nemesis_say(struct nemesis *n, const struct active *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&n->mutex);
    struct fault *f = &n->log[a->entry];
    size_t len = strlen(f->text);
    vsnprintf(f->text + len, sizeof f->text - len, format, args);
    pthread_mutex_unlock(&n->mutex);
    va_end(args);
}

/* Whether it hits the only coordinator, without which nobody commits anything. */
static bool hits_the_leader(const struct cluster *c, const struct planned *p)
{
    const struct cluster_node *leader = cluster_node(c, c->coordinator[0]);
    if (c->coordinators > 1)
        return false;
    return p->node != PLAN_NOWHERE ? c->node[p->node].id == leader->id
                                   : p->datacenter == leader->datacenter;
}

static uint32_t datacenters_of(const struct nemesis *n, const struct planned *p)
{
    const struct cluster *c = n->site->cluster;
    if (hits_the_leader(c, p))
        return (UINT32_C(1) << c->datacenters) - 1;
    if (p->node != PLAN_NOWHERE)
        return UINT32_C(1) << c->node[p->node].datacenter;
    if (p->datacenter != PLAN_NOWHERE)
        return UINT32_C(1) << p->datacenter;
    return (UINT32_C(1) << c->datacenters) - 1;
}

static const char *place_of(const struct nemesis *n, const struct planned *p)
{
    const struct cluster *c = n->site->cluster;
    if (p->node != PLAN_NOWHERE)
        return c->node[p->node].name;
    return p->datacenter != PLAN_NOWHERE ? c->datacenter[p->datacenter] : NULL;
}

static void log_begin(struct nemesis *n, struct active *a)
{
    const char *place = place_of(n, &a->p);
    struct fault f = {.kind = a->p.kind,
                      .begin_us = a->begin_us,
                      .end_us = FAULT_NEVER,
                      .datacenters = datacenters_of(n, &a->p),
                      .next_commit_us = FAULT_NEVER,
                      .no_doubt_us = FAULT_NEVER};
    snprintf(f.text, sizeof f.text, "%s%s%s", fault_text(f.kind), place == NULL ? "" : " ",
             place == NULL ? "" : place);
    pthread_mutex_lock(&n->mutex);
    n->log = xrealloc(n->log, ((size_t)n->logged + 1) * sizeof *n->log);
    a->entry = n->logged++;
    n->log[a->entry] = f;
    pthread_mutex_unlock(&n->mutex);
}

static void log_end(struct nemesis *n, const struct active *a)
{
    pthread_mutex_lock(&n->mutex);
    n->log[a->entry].end_us = chaos_now_us();
    pthread_mutex_unlock(&n->mutex);
}

int nemesis_active(struct nemesis *n, char *out, unsigned size)
{
    int active = 0;
    size_t len = 0;
    if (size > 0)
        out[0] = '\0';
    pthread_mutex_lock(&n->mutex);
    for (int i = 0; i < n->logged; i++) {
        if (n->log[i].end_us != FAULT_NEVER)
            continue;
        if (len < size)
            len += (size_t)snprintf(out + len, size - len, "%s%s", active == 0 ? "" : "\n",
                                    n->log[i].text);
        active++;
    }
    pthread_mutex_unlock(&n->mutex);
    return active;
}

struct fault *nemesis_faults(struct nemesis *n, int *count)
{
    *count = n->logged;
    return n->log;
}

/* ---- beginnings and ends ---- */

static void fault_begin(struct nemesis *n, const struct planned *p)
{
    struct active *a = xcalloc(1, sizeof *a);
    a->p = *p;
    a->begin_us = chaos_now_us();
    a->end_us = a->begin_us + (uint64_t)p->for_ms * 1000;
    a->next_us = FAULT_NEVER;
    a->victim = PLAN_NOWHERE;
    prng_seed(&a->prng, p->seed);
    n->active = xrealloc(n->active, ((size_t)n->actives + 1) * sizeof(struct active *));
    n->active[n->actives++] = a;
    log_begin(n, a);
    if (node_deeds[p->kind].begin != NULL)
        node_deeds[p->kind].begin(n, a);
    if (link_deeds[p->kind].begin != NULL)
        link_deeds[p->kind].begin(n, a);
}

static void fault_tick(struct nemesis *n, struct active *a)
{
    a->next_us = FAULT_NEVER;
    if (node_deeds[a->p.kind].tick != NULL)
        node_deeds[a->p.kind].tick(n, a);
    if (link_deeds[a->p.kind].tick != NULL)
        link_deeds[a->p.kind].tick(n, a);
}

/* Leaves a hole among the active ones. */
static void fault_end(struct nemesis *n, int index)
{
    struct active *a = n->active[index];
    if (node_deeds[a->p.kind].end != NULL)
        node_deeds[a->p.kind].end(n, a);
    if (link_deeds[a->p.kind].end != NULL)
        link_deeds[a->p.kind].end(n, a);
    log_end(n, a);
    n->active[index] = n->active[--n->actives];
    free(a->cut);
    free(a);
}

/* Does what is due, and says when to come again. */
static uint64_t advance(struct nemesis *n, uint64_t began_us)
{
    uint64_t next_us = chaos_now_us() + WATCH_US;
    for (int i = 0; i < n->actives; i++) {
        struct active *a = n->active[i];
        uint64_t now_us = chaos_now_us();
        if (a->end_us > now_us && a->next_us <= now_us)
            fault_tick(n, a);
        if (a->end_us <= now_us || a->over)
            fault_end(n, i--);
    }
    while (n->next < n->plan.n) {
        const struct planned *p = &n->plan.fault[n->next];
        uint64_t at_us = began_us + (uint64_t)p->at_ms * 1000;
        if (at_us > chaos_now_us()) {
            next_us = at_us < next_us ? at_us : next_us;
            break;
        }
        fault_begin(n, p);
        n->next++;
    }
    nodes_watch(n);
    for (int i = 0; i < n->actives; i++) {
        const struct active *a = n->active[i];
        next_us = a->end_us < next_us ? a->end_us : next_us;
        next_us = a->next_us < next_us ? a->next_us : next_us;
    }
    return next_us;
}

/* Until then, or until it is told to stop. */
static bool wait_until(struct nemesis *n, uint64_t until_us)
{
    struct timespec until = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    pthread_mutex_lock(&n->mutex);
    while (!n->stop && pthread_cond_timedwait(&n->changed, &n->mutex, &until) != ETIMEDOUT)
        ;
    bool stop = n->stop;
    pthread_mutex_unlock(&n->mutex);
    return !stop;
}

/* All but the losses, the last one first, as they may build on each other. */
static void end_all(struct nemesis *n)
{
    for (int i = n->actives - 1; i >= 0; i--)
        if (n->active[i]->p.kind != FAULT_LOST)
            fault_end(n, i);
}

static void *nemesis_main(void *arg)
{
    struct nemesis *n = arg;
    uint64_t began_us = chaos_now_us();
    while (wait_until(n, advance(n, began_us)))
        ;
    end_all(n);
    nodes_heal(n);
    links_heal(n);
    return NULL;
}

struct nemesis *nemesis_start(struct site *site, uint64_t seed)
{
    struct nemesis *n = xcalloc(1, sizeof *n);
    pthread_condattr_t monotonic;
    n->site = site;
    n->plan = plan_make(site->scenario, site->cluster, seed);
    pthread_mutex_init(&n->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&n->thread, NULL, nemesis_main, n) != 0)
        abort(); /* out of memory or threads before anything began */
    return n;
}

void nemesis_stop(struct nemesis *n)
{
    pthread_mutex_lock(&n->mutex);
    n->stop = true;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->mutex);
    pthread_join(n->thread, NULL);
}

void nemesis_free(struct nemesis *n)
{
    if (n == NULL)
        return;
    for (int i = 0; i < n->actives; i++) {
        free(n->active[i]->cut);
        free(n->active[i]);
    }
    free(n->active);
    free(n->log);
    plan_free(&n->plan);
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->mutex);
    free(n);
}
