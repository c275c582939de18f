/* One line of text a decision, "commit GID". The file is filled with zeros ahead of its end: a sync
 * over blocks that are already there need not sync the file's size and extents as well. */
#include "bench/decision_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/bytes.h"

#define AHEAD_BYTES (16u * 1024u * 1024u)

struct decision_log {
    const char *path;
    int fd, wake;
    off_t end, filled;   /* the log thread's, as are the lines */
    struct writer lines; /* of one batch */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct decisions waiting, durable; /* under the mutex, as is what follows */
    uint64_t syncs;
    bool closing;
};

static _Noreturn void fail(const struct decision_log *log, const char *what)
{
    fprintf(stderr, "decision log: %s: cannot %s: %s\n", log->path, what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void write_at(const struct decision_log *log, const uint8_t *data, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(log->fd, data, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail(log, "write");
        data += n;
        len -= (size_t)n;
        at += n;
    }
}

static void sync_file(const struct decision_log *log)
{
    if (fdatasync(log->fd) != 0)
        fail(log, "sync");
}

static void fill_ahead(struct decision_log *log)
{
    uint8_t *zeros = xcalloc(1, AHEAD_BYTES);
    write_at(log, zeros, AHEAD_BYTES, log->filled);
    free(zeros);
    sync_file(log);
    log->filled += AHEAD_BYTES;
}

static void write_batch(struct decision_log *log, const struct decisions *batch)
{
    const struct decision *decision;
    log->lines.len = 0;
    STAILQ_FOREACH (decision, batch, link) {
        writer_raw(&log->lines, "commit ", 7);
        writer_raw(&log->lines, decision->gid, strlen(decision->gid));
        writer_u8(&log->lines, '\n');
    }
    while (log->end + (off_t)log->lines.len > log->filled)
        fill_ahead(log);
    write_at(log, log->lines.data, log->lines.len, log->end);
    log->end += (off_t)log->lines.len;
    sync_file(log);
}

static void *log_main(void *arg)
{
    struct decision_log *log = arg;
    pthread_mutex_lock(&log->mutex);
    for (;;) {
        struct decisions batch = STAILQ_HEAD_INITIALIZER(batch);
        while (STAILQ_EMPTY(&log->waiting) && !log->closing)
            pthread_cond_wait(&log->work, &log->mutex);
        if (STAILQ_EMPTY(&log->waiting))
            break;
        STAILQ_CONCAT(&batch, &log->waiting);
        pthread_mutex_unlock(&log->mutex);
        write_batch(log, &batch);
        pthread_mutex_lock(&log->mutex);
        log->syncs++;
        STAILQ_CONCAT(&log->durable, &batch);
        if (eventfd_write(log->wake, 1) != 0)
            fail(log, "wake the loop");
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}

struct decision_log *decision_log_create(const char *path)
{
    struct decision_log *log = xcalloc(1, sizeof *log);
    log->path = path;
    STAILQ_INIT(&log->waiting);
    STAILQ_INIT(&log->durable);
    log->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (log->fd < 0)
        fail(log, "create it");
    log->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log->wake < 0)
        fail(log, "make an eventfd");
    fill_ahead(log);
    pthread_mutex_init(&log->mutex, NULL);
    pthread_cond_init(&log->work, NULL);
    errno = pthread_create(&log->thread, NULL, log_main, log);
    if (errno != 0)
        fail(log, "start its thread");
    return log;
}

int decision_log_fd(const struct decision_log *log)
{
    return log->wake;
}

void decision_log_append(struct decision_log *log, struct decision *decision)
{
    pthread_mutex_lock(&log->mutex);
    STAILQ_INSERT_TAIL(&log->waiting, decision, link);
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->mutex);
}

void decision_log_take(struct decision_log *log, struct decisions *out)
{
    eventfd_t count;
    (void)!eventfd_read(log->wake, &count); /* fails when nothing was due: then out is empty */
    STAILQ_INIT(out);
    pthread_mutex_lock(&log->mutex);
    STAILQ_CONCAT(out, &log->durable);
    pthread_mutex_unlock(&log->mutex);
}

uint64_t decision_log_syncs(struct decision_log *log)
{
    pthread_mutex_lock(&log->mutex);
    uint64_t syncs = log->syncs;
    pthread_mutex_unlock(&log->mutex);
    return syncs;
}

void decision_log_close(struct decision_log *log)
{
    pthread_mutex_lock(&log->mutex);
    log->closing = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->mutex);
    pthread_join(log->thread, NULL);
    pthread_mutex_destroy(&log->mutex);
    pthread_cond_destroy(&log->work);
    writer_free(&log->lines);
    close(log->fd);
    close(log->wake);
    free(log);
}
