#include "chaos/wan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/link.h"
#include "runtime/cluster_write.h"

struct wan_link {
    struct link *link;
    int from, to; /* datacenters */
};

struct wan {
    uv_loop_t loop;
    uv_async_t wake;
    pthread_t thread;
    pthread_mutex_t mutex;
    bool stop; /* under the mutex, like cut */
    bool cut[DATACENTERS_MAX];
    int n;
    struct wan_link *link;
};

static void on_wake(uv_async_t *async)
{
    struct wan *w = async->data;
    pthread_mutex_lock(&w->mutex);
    for (int i = 0; i < w->n; i++)
        link_cut(w->link[i].link, w->cut[w->link[i].from] || w->cut[w->link[i].to]);
    if (w->stop) {
        for (int i = 0; i < w->n; i++)
            link_close(w->link[i].link);
        uv_close((uv_handle_t *)async, NULL);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void *wan_main(void *arg)
{
    struct wan *w = arg;
    uv_run(&w->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* The cluster file as the datacenter sees it. */
static bool write_view(struct wan *w, const struct cluster *cluster, int from, const char *dir,
                       const uint32_t *rtt_ms, char *why, size_t why_size)
{
    struct cluster view = *cluster;
    char path[4096];
    view.node = xcalloc((size_t)cluster->nodes, sizeof *view.node);
    memcpy(view.node, cluster->node, (size_t)cluster->nodes * sizeof *view.node);
    for (int i = 0; i < cluster->nodes; i++) {
        struct cluster_node *node = &view.node[i];
        int error = 0;
        if (node->datacenter == from)
            continue;
        uint64_t one_way_us =
            rtt_ms[from * cluster->datacenters + node->datacenter] * UINT64_C(500);
        struct link *link = link_open(&w->loop, node->host, node->port, one_way_us, &error);
        if (link == NULL) {
            snprintf(why, why_size, "a link to %s: %s", node->name, uv_strerror(error));
            free(view.node);
            return false;
        }
        w->link[w->n++] = (struct wan_link){link, from, node->datacenter};
        snprintf(node->host, sizeof node->host, "127.0.0.1");
        node->port = link_port(link);
    }
    snprintf(path, sizeof path, "%s/cluster.%s.yaml", dir, cluster->datacenter[from]);
    bool good = cluster_write(&view, path, why, why_size) == ASSENT_OK;
    free(view.node);
    return good;
}

struct wan *wan_open(const struct cluster *cluster, const char *dir, const uint32_t *rtt_ms,
                     char *why, size_t why_size)
{
    struct wan *w = xcalloc(1, sizeof *w);
    w->link = xcalloc((size_t)(cluster->datacenters * cluster->nodes), sizeof *w->link);
    pthread_mutex_init(&w->mutex, NULL);
    uv_loop_init(&w->loop);
    uv_async_init(&w->loop, &w->wake, on_wake);
    w->wake.data = w;
    bool good = true;
    for (int i = 0; i < cluster->datacenters && good; i++)
        good = write_view(w, cluster, i, dir, rtt_ms, why, why_size);
    if (pthread_create(&w->thread, NULL, wan_main, w) != 0)
        abort();
    if (good)
        return w;
    wan_close(w);
    return NULL;
}

void wan_isolate(struct wan *w, int datacenter, bool cut)
{
    pthread_mutex_lock(&w->mutex);
    w->cut[datacenter] = cut;
    pthread_mutex_unlock(&w->mutex);
    uv_async_send(&w->wake);
}

void wan_close(struct wan *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_mutex_unlock(&w->mutex);
    uv_async_send(&w->wake);
    pthread_join(w->thread, NULL);
    uv_loop_close(&w->loop);
    pthread_mutex_destroy(&w->mutex);
    free(w->link);
    free(w);
}
