#include "runtime/store_checkpoint.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "common/bytes.h"

struct store_checkpoint {
    struct sqlite3 *db;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under the mutex */
    bool copying;
    bool stopping;
    int rc; /* of the last copy */
    int system;
};

/* With the mutex held, which it gives back meanwhile. It lets everybody read and write. */
static void copy(struct store_checkpoint *c)
{
    pthread_mutex_unlock(&c->mutex);
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    int system = sqlite3_system_errno(c->db);
    pthread_mutex_lock(&c->mutex);
    c->rc = rc;
    c->system = system;
    c->copying = false;
    pthread_cond_broadcast(&c->changed);
}

static void *checkpoint_main(void *arg)
{
    struct store_checkpoint *c = arg;
    pthread_mutex_lock(&c->mutex);
    while (!c->stopping) {
        if (c->copying)
            copy(c);
        else
            pthread_cond_wait(&c->changed, &c->mutex);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static bool start_thread(struct store_checkpoint *c)
{
    sigset_t all, before;
    /* Signals are the loop thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&c->thread, NULL, checkpoint_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

struct store_checkpoint *store_checkpoint_start(const struct disk *disk,
                                                const struct store_paths *paths)
{
    struct store_checkpoint *c = xcalloc(1, sizeof *c);
    char why[512];
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->changed, NULL);
    /* The settings also make SQLite look into the file, before which it has no write-ahead log. */
    if (store_file_connect(disk, paths, &c->db, why, sizeof why) == ASSENT_OK &&
        store_file_settings(paths, c->db, why, sizeof why) == ASSENT_OK && start_thread(c))
        return c;
    sqlite3_close_v2(c->db);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    free(c);
    return NULL;
}

void store_checkpoint_copy(struct store_checkpoint *c)
{
    pthread_mutex_lock(&c->mutex);
    c->copying = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

bool store_checkpoint_copying(struct store_checkpoint *c)
{
    pthread_mutex_lock(&c->mutex);
    bool copying = c->copying;
    pthread_mutex_unlock(&c->mutex);
    return copying;
}

int store_checkpoint_wait(struct store_checkpoint *c, int *system)
{
    pthread_mutex_lock(&c->mutex);
    while (c->copying)
        pthread_cond_wait(&c->changed, &c->mutex);
    int rc = c->rc;
    *system = c->system;
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

void store_checkpoint_stop(struct store_checkpoint *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->mutex);
    while (c->copying)
        pthread_cond_wait(&c->changed, &c->mutex);
    c->stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    sqlite3_close_v2(c->db);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
