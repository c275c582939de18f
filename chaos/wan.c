#include "chaos/wan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "chaos/links.h"
#include "runtime/cluster_write.h"

#define NO_LINK         (-1)
#define CLIENT_PREFIX   "client:"
#define FILES_PER_LINK  2u    /* its listener, and the socket that holds its port */
#define FILES_OF_OTHERS 1024u /* connections of links, and whatever else the program opens */

struct wan_end {
    char name[sizeof CLIENT_PREFIX + NAME_BYTES_MAX];
    int datacenter;
};

struct wan {
    struct links *links;
    int nodes, ends;
    struct wan_end *end;
    int *link; /* [from * ends + to]: index of the link in `links`, or NO_LINK */
};

/* ---- opening ---- */

static void name_ends(struct wan *w, const struct cluster *cluster)
{
    for (int i = 0; i < cluster->nodes; i++) {
        snprintf(w->end[i].name, sizeof w->end[i].name, "%s", cluster->node[i].name);
        w->end[i].datacenter = cluster->node[i].datacenter;
    }
    for (int i = 0; i < cluster->datacenters; i++) {
        struct wan_end *e = &w->end[cluster->nodes + i];
        snprintf(e->name, sizeof e->name, CLIENT_PREFIX "%s", cluster->datacenter[i]);
        e->datacenter = i;
    }
}

/* The cluster file as one end sees it. */
static bool write_view(struct wan *w, const struct cluster *cluster, int from, const char *dir,
                       const uint32_t *rtt_ms, char *why, size_t why_size)
{
    struct cluster view = *cluster;
    char path[4096];
    bool good = true;
    const char *name = w->end[from].name;
    view.node = xcalloc((size_t)cluster->nodes, sizeof *view.node);
    memcpy(view.node, cluster->node, (size_t)cluster->nodes * sizeof *view.node);
    for (int to = 0; to < w->nodes && good; to++) {
        struct cluster_node *node = &view.node[to];
        int pair = from * w->ends + to,
            distance = w->end[from].datacenter * cluster->datacenters + w->end[to].datacenter;
        struct link_options options = {.host = node->host,
                                       .port = node->port,
                                       .delay_us = rtt_ms[distance] * UINT64_C(500),
                                       .seed = (uint64_t)pair};
        if (to == from)
            continue;
        w->link[pair] = links_add(w->links, &options, why, why_size);
        good = w->link[pair] != NO_LINK;
        if (good) {
            snprintf(node->host, sizeof node->host, "127.0.0.1");
            node->port = link_port(links_at(w->links, w->link[pair]));
        }
    }
    if (from >= w->nodes)
        name += strlen(CLIENT_PREFIX);
    snprintf(path, sizeof path, "%s/cluster.%s.yaml", dir, name);
    good = good && cluster_write(&view, path, why, why_size) == ASSENT_OK;
    free(view.node);
    return good;
}

/* As many links as nodes squared need more descriptors than a login shell's programs may have. */
static void raise_file_limit(int links)
{
    struct rlimit files;
    rlim_t needed = (rlim_t)links * FILES_PER_LINK + FILES_OF_OTHERS;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed)
        return;
    files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

struct wan *wan_open(const struct cluster *cluster, const char *dir, const uint32_t *rtt_ms,
                     char *why, size_t why_size)
{
    struct wan *w = xcalloc(1, sizeof *w);
    w->nodes = cluster->nodes;
    w->ends = cluster->nodes + cluster->datacenters;
    w->end = xcalloc((size_t)w->ends, sizeof *w->end);
    w->link = xcalloc((size_t)(w->ends * w->ends), sizeof *w->link);
    for (int i = 0; i < w->ends * w->ends; i++)
        w->link[i] = NO_LINK;
    name_ends(w, cluster);
    raise_file_limit(w->ends * w->nodes);
    w->links = links_new();
    for (int i = 0; i < w->ends; i++) {
        if (!write_view(w, cluster, i, dir, rtt_ms, why, why_size)) {
            wan_close(w);
            return NULL;
        }
    }
    links_start(w->links);
    return w;
}

void wan_close(struct wan *w)
{
    if (w == NULL)
        return;
    links_free(w->links);
    free(w->end);
    free(w->link);
    free(w);
}

/* ---- ends ---- */

int wan_ends(const struct wan *w)
{
    return w->ends;
}

int wan_end(const struct wan *w, const char *name)
{
    for (int i = 0; i < w->ends; i++)
        if (strcmp(w->end[i].name, name) == 0)
            return i;
    return -1;
}

static void check_end(const struct wan *w, int end)
{
    if (end >= 0 && end < w->ends)
        return;
    fprintf(stderr, "wan: no end %d: there are %d\n", end, w->ends);
    abort();
}

const char *wan_end_name(const struct wan *w, int end)
{
    check_end(w, end);
    return w->end[end].name;
}

int wan_end_datacenter(const struct wan *w, int end)
{
    check_end(w, end);
    return w->end[end].datacenter;
}

bool wan_link(const struct wan *w, int from, int to)
{
    check_end(w, from);
    check_end(w, to);
    return w->link[from * w->ends + to] != NO_LINK;
}

/* ---- changes ---- */

/* One visit to the thread of the links: `each` is called there for each ordered pair of ends that
 * the two (or WAN_ANY) stand for. */
struct visit {
    struct wan *wan;
    int a, b;
    void (*each)(struct visit *v, int a, int b);
    const void *arg;
    bool good;
    struct link_state *state;
};

static struct link *link_of(const struct wan *w, int from, int to)
{
    return links_at(w->links, w->link[from * w->ends + to]);
}

static void visit_all(void *arg)
{
    struct visit *v = arg;
    for (int a = 0; a < v->wan->ends; a++)
        for (int b = 0; b < v->wan->ends; b++)
            if ((v->a == WAN_ANY || v->a == a) && (v->b == WAN_ANY || v->b == b))
                v->each(v, a, b);
}

static void visit(struct visit *v)
{
    if (v->a != WAN_ANY)
        check_end(v->wan, v->a);
    if (v->b != WAN_ANY)
        check_end(v->wan, v->b);
    links_call(v->wan->links, visit_all, v);
}

/* Wherever bytes go that one end sends to the other: up its own link, down the other's. */
static void change_flow(const struct wan *w, int sender, int receiver,
                        const struct link_change *change)
{
    struct link *there = link_of(w, sender, receiver), *back = link_of(w, receiver, sender);
    struct link_change up = *change, down = *change;
    up.ways = LINK_UP;
    down.ways = LINK_DOWN;
    if (there != NULL)
        link_change(there, &up);
    if (back != NULL)
        link_change(back, &down);
}

static void flow_each(struct visit *v, int sender, int receiver)
{
    change_flow(v->wan, sender, receiver, v->arg);
}

void wan_flow(struct wan *w, int sender, int receiver, enum link_change_kind kind, uint64_t value)
{
    struct link_change change = {.kind = kind, .value = value};
    visit(&(struct visit){.wan = w, .a = sender, .b = receiver, .each = flow_each, .arg = &change});
}

void wan_cut(struct wan *w, int sender, int receiver)
{
    wan_flow(w, sender, receiver, LINK_CUT, 0);
}

void wan_heal(struct wan *w, int sender, int receiver, uint64_t heal)
{
    wan_flow(w, sender, receiver, LINK_HEAL, heal);
}

struct partition {
    const bool *cut;
    uint64_t heal;
};

static void partition_each(struct visit *v, int sender, int receiver)
{
    const struct partition *p = v->arg;
    bool cut = p->cut != NULL && p->cut[sender * v->wan->ends + receiver];
    struct link_change change = {.kind = cut ? LINK_CUT : LINK_HEAL, .value = cut ? 0 : p->heal};
    change_flow(v->wan, sender, receiver, &change);
}

void wan_partition(struct wan *w, const bool *cut, uint64_t heal)
{
    struct partition p = {cut, heal};
    visit(&(struct visit){.wan = w, .a = WAN_ANY, .b = WAN_ANY, .each = partition_each, .arg = &p});
}

struct isolation {
    int datacenter;
    struct link_change change;
};

static void isolate_each(struct visit *v, int sender, int receiver)
{
    const struct isolation *i = v->arg;
    bool from = v->wan->end[sender].datacenter == i->datacenter,
         to = v->wan->end[receiver].datacenter == i->datacenter;
    if (from != to)
        change_flow(v->wan, sender, receiver, &i->change);
}

void wan_isolate(struct wan *w, int datacenter, bool cut)
{
    struct isolation i = {datacenter,
                          {.kind = cut ? LINK_CUT : LINK_HEAL, .value = cut ? 0 : LINK_RESET_ALL}};
    visit(&(struct visit){.wan = w, .a = WAN_ANY, .b = WAN_ANY, .each = isolate_each, .arg = &i});
}

static void change_each(struct visit *v, int from, int to)
{
    struct link *l = link_of(v->wan, from, to);
    if (l != NULL && !link_change(l, v->arg))
        v->good = false;
}

bool wan_change(struct wan *w, int from, int to, const struct link_change *change)
{
    struct visit v = {.wan = w, .a = from, .b = to, .each = change_each, .arg = change};
    v.good = true;
    visit(&v);
    return v.good;
}

/* ---- looking ---- */

static void state_each(struct visit *v, int from, int to)
{
    struct link *l = link_of(v->wan, from, to);
    v->good = l != NULL;
    if (v->good)
        link_state(l, v->state);
}

bool wan_link_state(struct wan *w, int from, int to, struct link_state *out)
{
    struct visit v = {.wan = w, .a = from, .b = to, .each = state_each, .state = out};
    check_end(w, from);
    check_end(w, to);
    visit(&v);
    return v.good;
}

bool wan_is_cut(struct wan *w, int sender, int receiver)
{
    struct link_state s;
    if (wan_link_state(w, sender, receiver, &s) && s.up.cut)
        return true;
    return wan_link_state(w, receiver, sender, &s) && s.down.cut;
}
