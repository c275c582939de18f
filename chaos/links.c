#include "chaos/links.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/bytes.h"

struct links {
    uv_loop_t loop;
    uv_async_t wake;
    pthread_t thread;
    bool started;
    int n, cap;
    struct link **link;
    pthread_mutex_t callers; /* held through a whole call: one at a time */
    pthread_mutex_t mutex;   /* of what is below */
    pthread_cond_t called;
    void (*fn)(void *arg); /* NULL: nothing to do */
    void *arg;
    bool stop;
};

static void links_close(struct links *s)
{
    for (int i = 0; i < s->n; i++)
        link_close(s->link[i]);
    s->n = 0;
    uv_close((uv_handle_t *)&s->wake, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct links *s = wake->data;
    pthread_mutex_lock(&s->mutex);
    if (s->fn != NULL) {
        s->fn(s->arg);
        s->fn = NULL;
        pthread_cond_broadcast(&s->called);
    }
    bool stop = s->stop;
    pthread_mutex_unlock(&s->mutex);
    if (stop)
        links_close(s);
}

struct links *links_new(void)
{
    struct links *s = xcalloc(1, sizeof *s);
    if (uv_loop_init(&s->loop) != 0 || uv_async_init(&s->loop, &s->wake, on_wake) != 0)
        abort(); /* out of memory or descriptors before anything began */
    s->wake.data = s;
    pthread_mutex_init(&s->callers, NULL);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->called, NULL);
    return s;
}

int links_add(struct links *s, const struct link_options *options, char *why, size_t why_size)
{
    struct link *l = link_open(&s->loop, options, why, why_size);
    if (l == NULL)
        return -1;
    if (s->n == s->cap) {
        s->cap = 2 * s->cap + 8;
        s->link = xrealloc(s->link, (size_t)s->cap * sizeof(struct link *));
    }
    s->link[s->n] = l;
    return s->n++;
}

static void *links_thread(void *arg)
{
    uv_run(&((struct links *)arg)->loop, UV_RUN_DEFAULT);
    return NULL;
}

void links_start(struct links *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (pthread_create(&s->thread, NULL, links_thread, s) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->started = true;
}

void links_free(struct links *s)
{
    if (s == NULL)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->mutex);
        s->stop = true;
        pthread_mutex_unlock(&s->mutex);
        uv_async_send(&s->wake);
        pthread_join(s->thread, NULL);
    } else {
        links_close(s);
        uv_run(&s->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&s->loop);
    pthread_cond_destroy(&s->called);
    pthread_mutex_destroy(&s->mutex);
    pthread_mutex_destroy(&s->callers);
    free(s->link);
    free(s);
}

int links_count(const struct links *s)
{
    return s->n;
}

void links_call(struct links *s, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&s->callers);
    pthread_mutex_lock(&s->mutex);
    s->fn = fn;
    s->arg = arg;
    uv_async_send(&s->wake);
    while (s->fn != NULL)
        pthread_cond_wait(&s->called, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    pthread_mutex_unlock(&s->callers);
}

struct link *links_at(struct links *s, int index)
{
    return index < 0 || index >= s->n ? NULL : s->link[index];
}
