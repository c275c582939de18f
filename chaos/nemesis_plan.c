#include "chaos/nemesis_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/prng.h"

#define TARGET_TRIES  20
#define STEP_TIMES    8    /* a step is where a node dies at the first to the eighth time */
#define LONGER_MS     1000 /* than a timeout, to be past it for certain */
#define NODE_APART_MS 3000 /* between the faults of one node, for its restart */

/* Steps that are worth dying at. Those of recoveries come by only now and then. */
static const char *const coordinator_steps[] = {
    "before-store:ACCEPT",    "after-store:ACCEPT", "before-store:FINISHED",
    "before-send:PREPARE",    "after-send:PREPARE", "before-send:DECIDE",
    "after-send:DECIDE",      "before-send:RESULT", "after-send:RESULT",
    "before-send:ACCEPTED",   "before-send:FORGET", "before-store:PROMISE",
    "before-send:PROMISE_ASK"};
static const char *const participant_steps[] = {
    "before-store:PREPARED",  "after-store:PREPARED",  "before-send:VOTE",    "after-send:VOTE",
    "before-store:COMMITTED", "after-store:COMMITTED", "before-send:DECIDED", "after-send:DECIDED",
    "before-store:ABORTED",   "before-store:APPLIED"};

static uint32_t longer(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

uint32_t plan_least_ms(const struct scenario *s, enum fault_kind kind)
{
    uint32_t timeout_ms = longer(PEER_SILENT_MS, s->in_doubt_ms);
    switch (kind) {
    case FAULT_LONG_DOWN:
        return s->retention_ms + LONGER_MS;
    case FAULT_PAUSE:
        for (int i = 0; i < s->loads; i++)
            timeout_ms = longer(timeout_ms, s->load[i].timeout_ms);
        return timeout_ms + LONGER_MS;
    default:
        return 0;
    }
}

void plan_free(struct plan *p)
{
    free(p->fault);
    *p = (struct plan){0};
}

static struct planned *add(struct plan *p)
{
    if ((p->n & (p->n - 1)) == 0) /* full at 0, 1, 2, 4, ... */
        p->fault = xrealloc(p->fault, (p->n == 0 ? 1 : 2 * (size_t)p->n) * sizeof *p->fault);
    struct planned *f = &p->fault[p->n++];
    *f = (struct planned){.node = PLAN_NOWHERE, .datacenter = PLAN_NOWHERE};
    return f;
}

/* ---- where ---- */

static bool overlap(const struct planned *a, const struct planned *b)
{
    return a->at_ms < b->at_ms + b->for_ms + NODE_APART_MS &&
           b->at_ms < a->at_ms + a->for_ms + NODE_APART_MS;
}

/* Whether another fault is planned for the node at that time, and would hide this one. */
static bool is_busy(const struct plan *p, const struct planned *f, int node)
{
    for (int i = 0; i < p->n; i++)
        if (&p->fault[i] != f && p->fault[i].node == node && overlap(&p->fault[i], f))
            return true;
    return false;
}

static void choose_node(const struct plan *p, const struct cluster *c, struct planned *f,
                        struct prng *prng)
{
    for (int tries = 0; tries < TARGET_TRIES || f->node == PLAN_NOWHERE; tries++) {
        int node = (int)prng_below(prng, (uint64_t)c->nodes);
        if (fault_of_coordinators(f->kind) && c->node[node].role != ROLE_COORDINATOR)
            continue;
        f->node = node;
        if (!is_busy(p, f, node))
            return;
    }
}

static void choose_target(const struct plan *p, const struct cluster *c, struct planned *f,
                          struct prng *prng)
{
    switch (fault_target(f->kind)) {
    case TARGET_NODE:
        choose_node(p, c, f, prng);
        break;
    case TARGET_DATACENTER:
    case TARGET_LINKS:
        f->datacenter = (int)prng_below(prng, (uint64_t)c->datacenters);
        break;
    case TARGET_ALL:
        break;
    }
}

static void find_target(const struct cluster *c, const char *name, struct planned *f)
{
    for (int i = 0; i < c->nodes; i++)
        if (strcmp(c->node[i].name, name) == 0)
            f->node = i;
    for (int i = 0; i < c->datacenters; i++)
        if (strcmp(c->datacenter[i], name) == 0)
            f->datacenter = i;
    if (f->node == PLAN_NOWHERE && f->datacenter == PLAN_NOWHERE) {
        fprintf(stderr, "nemesis: the cluster has no node and no datacenter \"%s\"\n", name);
        abort(); /* the scenario was checked */
    }
}

/* ---- how ---- */

static void choose_step(const struct cluster *c, struct planned *f, struct prng *prng)
{
    bool coordinator = c->node[f->node].role == ROLE_COORDINATOR;
    const char *const *steps = coordinator ? coordinator_steps : participant_steps;
    size_t n = coordinator ? sizeof coordinator_steps / sizeof coordinator_steps[0]
                           : sizeof participant_steps / sizeof participant_steps[0];
    const char *step = steps[prng_below(prng, n)];
    snprintf(f->step, sizeof f->step, "%s:%d", step, 1 + (int)prng_below(prng, STEP_TIMES));
}

/* What the scenario leaves to chance. */
static void complete(const struct plan *p, const struct scenario *s, const struct cluster *c,
                     struct planned *f, struct prng *prng)
{
    f->for_ms = longer(f->for_ms, plan_least_ms(s, f->kind));
    f->strength = (uint32_t)prng_below(prng, PLAN_STRENGTHS);
    f->seed = prng_u64(prng);
    if (f->node == PLAN_NOWHERE && f->datacenter == PLAN_NOWHERE)
        choose_target(p, c, f, prng);
    if (f->kind == FAULT_STEP && f->step[0] == '\0' && f->node != PLAN_NOWHERE)
        choose_step(c, f, prng);
}

/* ---- when ---- */

static void plan_scripted(struct plan *p, const struct scenario *s, const struct cluster *c,
                          struct prng *prng)
{
    for (int i = 0; i < s->faults; i++) {
        const struct scenario_fault *from = &s->fault[i];
        struct planned *f = add(p);
        f->kind = from->kind;
        f->at_ms = from->at_ms;
        f->for_ms = from->for_ms;
        memcpy(f->step, from->step, sizeof f->step);
        if (from->target[0] != '\0')
            find_target(c, from->target, f);
        complete(p, s, c, f, prng);
    }
}

/* Each kind of the mix once, in a random order in which those that last long come early enough. */
static int first_round(const struct scenario *s, uint32_t window_ms, struct prng *prng,
                       enum fault_kind *order)
{
    int n = 0, at = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        if ((s->mix >> kind & 1) != 0)
            order[n++] = (enum fault_kind)kind;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)prng_below(prng, (uint64_t)i + 1);
        enum fault_kind kind = order[i];
        order[i] = order[j];
        order[j] = kind;
    }
    for (int i = 0; i < n; i++) {
        enum fault_kind kind = order[i];
        uint64_t least_ms = plan_least_ms(s, kind);
        if (least_ms == 0 || ((uint64_t)i + 1) * s->every_ms + least_ms <= window_ms)
            continue;
        while (at < i && plan_least_ms(s, order[at]) > 0)
            at++;
        order[i] = order[at];
        order[at] = kind;
    }
    return n;
}

/* One in every stretch of every_ms, somewhere in its first half. */
static void plan_mix(struct plan *p, const struct scenario *s, const struct cluster *c,
                     struct prng *prng)
{
    enum fault_kind order[FAULT_KINDS];
    uint32_t taken_ms = s->calm_ms + PLAN_RECOVERY_MS;
    uint32_t window_ms = s->duration_ms > taken_ms ? s->duration_ms - taken_ms : 0;
    int n = first_round(s, window_ms, prng, order);
    for (int i = 0; n > 0; i++) {
        uint64_t at_ms =
            (uint64_t)i * s->every_ms + prng_below(prng, (uint64_t)s->every_ms / 2 + 1);
        enum fault_kind kind = i < n ? order[i] : order[prng_below(prng, (uint64_t)n)];
        uint64_t for_ms = s->for_ms / 2 + prng_below(prng, (uint64_t)s->for_ms + 1);
        if (at_ms >= window_ms)
            return;
        if (i >= n && at_ms + longer((uint32_t)for_ms, plan_least_ms(s, kind)) > window_ms)
            continue; /* it would not last as long as it must */
        struct planned *f = add(p);
        f->kind = kind;
        f->at_ms = (uint32_t)at_ms;
        f->for_ms = (uint32_t)for_ms;
        complete(p, s, c, f, prng);
    }
}

static int order_at(const void *a, const void *b)
{
    const struct planned *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->seed < y->seed ? -1 : x->seed > y->seed;
}

struct plan plan_make(const struct scenario *s, const struct cluster *c, uint64_t seed)
{
    struct plan p = {0};
    struct prng prng;
    prng_seed(&prng, seed);
    plan_scripted(&p, s, c, &prng);
    plan_mix(&p, s, c, &prng);
    if (p.n > 0)
        qsort(p.fault, (size_t)p.n, sizeof *p.fault, order_at);
    return p;
}
