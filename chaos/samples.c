/* Samples arrive from every client's thread, so one mutex guards all. Names of participants belong
 * to the client handle that measured them, which is closed before the report is written: they are
 * copied here, each once. */
#include "chaos/samples.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

struct samples {
    pthread_mutex_t lock;
    size_t n, cap, left_out;
    struct sample *sample;
    size_t doubts, doubts_cap;
    struct doubt *doubt;
    int names;
    char *name[NODES_MAX];
    uint64_t commits, aborts, unknown; /* since the last samples_progress() */
};

struct samples *samples_new(void)
{
    struct samples *s = xcalloc(1, sizeof *s);
    if (pthread_mutex_init(&s->lock, NULL) != 0)
        abort();
    return s;
}

void samples_free(struct samples *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < s->names; i++)
        free(s->name[i]);
    pthread_mutex_destroy(&s->lock);
    free(s->sample);
    free(s->doubt);
    free(s);
}

/* The array with room for more than *cap elements, at most max. */
static void *grown(void *array, size_t *cap, size_t max, size_t size)
{
    *cap = *cap == 0 ? 1024 : *cap * 2;
    if (*cap > max)
        *cap = max;
    return xrealloc(array, *cap * size);
}

static const char *name_kept(struct samples *s, const char *name)
{
    for (int i = 0; i < s->names; i++)
        if (strcmp(s->name[i], name) == 0)
            return s->name[i];
    if (s->names == NODES_MAX) {
        fprintf(stderr, "chaos: samples: more than %d names of participants\n", NODES_MAX);
        abort();
    }
    return s->name[s->names++] = xstrdup(name);
}

static void keep(struct samples *s, const struct sample *sample)
{
    if (s->n == s->cap)
        s->sample = grown(s->sample, &s->cap, SAMPLES_MAX, sizeof *s->sample);
    struct sample *kept = &s->sample[s->n++];
    *kept = *sample;
    for (int i = 0; i < kept->parts; i++)
        kept->part[i].participant = name_kept(s, sample->part[i].participant);
}

void samples_add(struct samples *s, const struct sample *sample)
{
    if (sample->parts < 0 || sample->parts > SAMPLE_PARTS_MAX) {
        fprintf(stderr, "chaos: samples: a sample of %d parts\n", sample->parts);
        abort();
    }
    pthread_mutex_lock(&s->lock);
    if (sample->status == ASSENT_OK)
        s->commits++;
    else if (assent_maybe_committed(sample->status))
        s->unknown++;
    else
        s->aborts++;
    if (s->n < SAMPLES_MAX)
        keep(s, sample);
    else if (s->left_out++ == 0)
        fprintf(stderr,
                "chaos: more than %u attempts to commit: the others are not measured; shorten the "
                "run or give it fewer clients\n",
                SAMPLES_MAX);
    pthread_mutex_unlock(&s->lock);
}

void samples_add_doubt(struct samples *s, const struct doubt *doubt)
{
    pthread_mutex_lock(&s->lock);
    if (s->doubts < DOUBTS_MAX) {
        if (s->doubts == s->doubts_cap)
            s->doubt = grown(s->doubt, &s->doubts_cap, DOUBTS_MAX, sizeof *s->doubt);
        s->doubt[s->doubts++] = *doubt;
    }
    pthread_mutex_unlock(&s->lock);
}

void samples_progress(struct samples *s, uint64_t *commits, uint64_t *aborts, uint64_t *unknown,
                      int *in_doubt)
{
    pthread_mutex_lock(&s->lock);
    *commits = s->commits;
    *aborts = s->aborts;
    *unknown = s->unknown;
    *in_doubt = s->doubts == 0 ? 0 : s->doubt[s->doubts - 1].in_doubt;
    s->commits = s->aborts = s->unknown = 0;
    pthread_mutex_unlock(&s->lock);
}

static int by_end(const void *a, const void *b)
{
    uint64_t x = ((const struct sample *)a)->end_us, y = ((const struct sample *)b)->end_us;
    return (x > y) - (x < y);
}

static int by_at(const void *a, const void *b)
{
    uint64_t x = ((const struct doubt *)a)->at_us, y = ((const struct doubt *)b)->at_us;
    return (x > y) - (x < y);
}

const struct sample *samples_all(struct samples *s, size_t *n)
{
    *n = s->n;
    if (s->n > 1)
        qsort(s->sample, s->n, sizeof *s->sample, by_end);
    return s->sample;
}

const struct doubt *samples_doubts(struct samples *s, size_t *n)
{
    *n = s->doubts;
    if (s->doubts > 1)
        qsort(s->doubt, s->doubts, sizeof *s->doubt, by_at);
    return s->doubt;
}

size_t samples_left_out(const struct samples *s)
{
    return s->left_out;
}
