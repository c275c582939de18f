#include "bench/closed_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/clock.h"
#include "common/bytes.h"
#include "common/limits.h"
#include "common/prng.h"

#define PUTS_OF_ONE 250 /* of a transaction that loads */
#define TIMEOUT_MS  TXN_TIMEOUT_MS_MAX
#define PROGRESS_MS 250
#define RETRY_MS    50

enum phase { PHASE_WARM, PHASE_MEASURED, PHASE_OVER };

struct client {
    struct run *run;
    uv_timer_t timer; /* of what failed and is tried again */
    uint64_t began_us;
    uint64_t load_at; /* LOOP_LOAD: from which key of all rounds on */
};

struct run {
    const struct loop_load *load;
    struct loop_result *out;
    uv_loop_t loop;
    uv_timer_t timer, progress;
    assent *db;
    struct prng prng;
    enum phase phase;
    uint64_t phase_us;
    uint64_t loaded_to, loaded; /* LOOP_LOAD: keys of all rounds given out, committed */
    char why[200];              /* of the last failure */
    struct client *client;
};

static uint64_t load_all(const struct run *r)
{
    return r->load->keys[0] * r->load->rounds;
}

static size_t key_text(char *text, size_t size, const char *prefix, uint64_t number)
{
    return (size_t)snprintf(text, size, "%skey%010llu", prefix, (unsigned long long)number);
}

/* ---- one operation ---- */

static void client_next(struct client *c);

static void finish(struct run *r);

static void on_retry(uv_timer_t *timer)
{
    client_next(timer->data);
}

static void operation_done(struct client *c, assent_status status, const char *why)
{
    struct run *r = c->run;
    uint64_t now_us = clock_now_us();
    if (r->phase == PHASE_MEASURED) {
        r->out->done += status == ASSENT_OK;
        r->out->failed += status != ASSENT_OK;
        if (status == ASSENT_OK)
            histogram_add(&r->out->latency, (uint32_t)(now_us - c->began_us));
    }
    if (status != ASSENT_OK && r->phase != PHASE_OVER)
        snprintf(r->why, sizeof r->why, "%s: %.150s", assent_status_name(status), why);
    if (r->phase == PHASE_OVER) {
        if (r->load->operation == LOOP_LOAD)
            finish(r);
        return;
    }
    if (status != ASSENT_OK) {
        uv_timer_start(&c->timer, on_retry, RETRY_MS, 0);
        return;
    }
    client_next(c);
}

static void on_commit(assent_txn *t, assent_status status, const assent_commit_info *info,
                      const char *why, void *arg)
{
    struct client *c = arg;
    struct run *r = c->run;
    (void)info;
    assent_txn_free(t);
    if (r->load->operation == LOOP_LOAD && status == ASSENT_OK) {
        r->loaded += PUTS_OF_ONE;
        c->load_at = UINT64_MAX;
        if (r->loaded >= load_all(r))
            r->phase = PHASE_OVER;
    }
    operation_done(c, status, why);
}

static void on_list(assent_status status, assent_list *list, const char *why, void *arg)
{
    assent_list_free(list);
    operation_done(arg, status, why);
}

static assent_status build_puts(struct run *r, assent_txn *t)
{
    static const char value[] = "a value of 32 bytes ............";
    assent_status status = ASSENT_OK;
    char key[KEY_BYTES_MAX];
    for (int i = 0; i < r->load->prefixes && status == ASSENT_OK; i++) {
        size_t len =
            key_text(key, sizeof key, r->load->prefix[i], prng_below(&r->prng, r->load->keys[i]));
        status = assent_put(t, key, len, value, sizeof value - 1);
    }
    return status;
}

static assent_status build_load(struct client *c, assent_txn *t)
{
    struct run *r = c->run;
    assent_status status = ASSENT_OK;
    char key[KEY_BYTES_MAX], value[48];
    if (c->load_at == UINT64_MAX) {
        c->load_at = r->loaded_to;
        r->loaded_to += PUTS_OF_ONE;
    }
    for (uint64_t i = c->load_at; i < c->load_at + PUTS_OF_ONE && status == ASSENT_OK; i++) {
        size_t len = key_text(key, sizeof key, r->load->prefix[0], i % r->load->keys[0]);
        int n = snprintf(value, sizeof value, "version %04llu of 32 bytes ........",
                         (unsigned long long)(i / r->load->keys[0]));
        status = assent_put(t, key, len, value, (size_t)(n < 32 ? n : 32));
    }
    return status;
}

static assent_status build_add(struct run *r, assent_txn *t)
{
    assent_bounds locked = {.returns_value = true};
    char key[KEY_BYTES_MAX];
    size_t len = key_text(key, sizeof key, r->load->prefix[0], 0);
    return assent_add(t, key, len, 1, r->load->operation == LOOP_ADD ? NULL : &locked);
}

static assent_status start_commit(struct client *c)
{
    struct run *r = c->run;
    assent_txn *t = assent_txn_new(r->db);
    assent_status status = r->load->operation == LOOP_PUT    ? build_puts(r, t)
                           : r->load->operation == LOOP_LOAD ? build_load(c, t)
                                                             : build_add(r, t);
    if (status == ASSENT_OK)
        status = assent_commit_uv(t, TIMEOUT_MS, on_commit, c);
    if (status != ASSENT_OK)
        assent_txn_free(t);
    return status;
}

static assent_status start_read(struct client *c)
{
    struct run *r = c->run;
    char key[KEY_BYTES_MAX];
    size_t len =
        key_text(key, sizeof key, r->load->prefix[0], prng_below(&r->prng, r->load->keys[0]));
    return assent_get_uv(r->db, NULL, key, len, on_list, c);
}

static void client_next(struct client *c)
{
    struct run *r = c->run;
    if (r->load->operation == LOOP_LOAD && c->load_at == UINT64_MAX && r->loaded_to >= load_all(r))
        return;
    c->began_us = clock_now_us();
    bool reads = r->load->operation == LOOP_READ;
    assent_status status = reads ? start_read(c) : start_commit(c);
    if (status == ASSENT_OK)
        return;
    fprintf(stderr, "\nlevels: %s\n", assent_error());
    abort();
}

/* ---- the whole ---- */

static void on_closed(void *arg)
{
    struct run *r = arg;
    uv_close((uv_handle_t *)&r->timer, NULL);
    uv_close((uv_handle_t *)&r->progress, NULL);
    for (int i = 0; i < r->load->clients; i++)
        uv_close((uv_handle_t *)&r->client[i].timer, NULL);
}

/* What is in flight ends with the handle. */
static void finish(struct run *r)
{
    if (r->db == NULL)
        return;
    r->phase = PHASE_OVER;
    r->out->seconds = (double)(clock_now_us() - r->phase_us) / 1e6;
    for (int i = 0; i < r->load->clients; i++)
        uv_timer_stop(&r->client[i].timer);
    assent_close_uv(r->db, on_closed, r);
    r->db = NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct run *r = timer->data;
    if (r->phase == PHASE_MEASURED) {
        finish(r);
        return;
    }
    r->phase = PHASE_MEASURED;
    r->phase_us = clock_now_us();
    uv_timer_start(timer, on_timer, (uint64_t)(r->load->seconds * 1000), 0);
}

static void on_progress(uv_timer_t *timer)
{
    const struct run *r = timer->data;
    if (r->phase == PHASE_OVER)
        return;
    if (r->load->operation == LOOP_LOAD)
        fprintf(stderr, "\r  %s: %.0f %%\033[K", r->load->progress,
                100.0 * (double)r->loaded / (double)load_all(r));
    else
        fprintf(stderr, "\r  %s: %s, %llu\033[K", r->load->progress,
                r->phase == PHASE_WARM ? "warming up" : "measuring",
                (unsigned long long)r->out->done);
}

static void run_start(struct run *r)
{
    const struct loop_load *load = r->load;
    r->client = xcalloc((size_t)load->clients, sizeof *r->client);
    prng_seed(&r->prng, clock_now_us());
    uv_timer_init(&r->loop, &r->timer);
    uv_timer_init(&r->loop, &r->progress);
    r->timer.data = r->progress.data = r;
    if (isatty(STDERR_FILENO) != 0)
        uv_timer_start(&r->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    else
        fprintf(stderr, "  %s ...\n", load->progress);
    r->phase_us = clock_now_us();
    if (load->operation != LOOP_LOAD)
        uv_timer_start(&r->timer, on_timer, (uint64_t)(load->warm_s * 1000), 0);
    for (int i = 0; i < load->clients; i++) {
        struct client *c = &r->client[i];
        *c = (struct client){.run = r, .load_at = UINT64_MAX};
        uv_timer_init(&r->loop, &c->timer);
        c->timer.data = c;
        client_next(c);
    }
}

bool loop_run(const struct loop_load *load, assent *(*open)(void *arg, uv_loop_t *loop), void *arg,
              struct loop_result *out)
{
    struct run r = {.load = load, .out = out};
    memset(out, 0, sizeof *out);
    uv_loop_init(&r.loop);
    r.db = open(arg, &r.loop);
    if (r.db != NULL) {
        run_start(&r);
        uv_run(&r.loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&r.loop);
    free(r.client);
    if (isatty(STDERR_FILENO) != 0)
        fputs("\r\033[K", stderr);
    bool good = load->operation == LOOP_LOAD ? r.loaded > 0 : out->done > 0;
    if (!good)
        fprintf(stderr, "levels: %s: nothing was done: %s\n", load->progress, r.why);
    return good;
}
