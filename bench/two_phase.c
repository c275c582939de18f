/* The latencies are to the durable decision, from where on the outcome cannot change, and to the
 * last server's word that it has committed.
 *
 * Two clients that wait for each other at different servers are a deadlock that neither server
 * sees: the drivers set a limit to waiting for locks. */
#include "bench/two_phase.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "bench/decision_log.h"
#include "common/bytes.h"
#include "common/histogram.h"
#include "common/prng.h"

#define LEGS_MOST    16
#define CLIENTS_MOST 10000
#define EVENTS       256

enum phase {
    WARMING,  /* one transaction by each client, unmeasured */
    RUNNING,  /* measured */
    DRAINING, /* what is in flight ends, unmeasured */
};

struct two_phase_client {
    struct load *load;
    struct decision decision;
    char *legs;    /* `load->servers` of the driver's */
    int voting;    /* legs that have not voted yet */
    int finishing; /* legs that have not finished the transaction before */
    bool in_doubt; /* all prepared, the decision on its way into the log */
    bool committing;
    uint64_t began_us, serial;
    uint64_t finishing_began_us; /* when what is finishing began */
};

struct counts {
    uint64_t transactions; /* committed */
    uint64_t messages;     /* of the aborted, too; requests and answers */
    uint64_t client_cpu_us;
};

struct load {
    const struct two_phase_driver *driver;
    int64_t clients, seconds, accounts;
    bool overlap;
    const char *log_path;
    const char *server[LEGS_MOST];
    int servers;

    enum phase phase;
    struct two_phase_client *client;
    int64_t warm;
    struct decision_log *log;
    int epoll;
    struct prng prng;
    uint64_t began_us, end_us;
    double measured_s;
    struct counts counts, before; /* all, and those of the warm-up */
    uint64_t not_committed;
    struct histogram decided, committed;
};

static const char *program;

void two_phase_fail(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", program);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Of this process, user and system. */
static uint64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Between two transactions of all clients: says so, and waits for a line, or the end of the input.
 */
static void mark(const char *word)
{
    int c;
    puts(word);
    fflush(stdout);
    do
        c = getchar();
    while (c != '\n' && c != EOF);
}

/* ---- the transaction ---- */

static struct leg *client_leg(const struct two_phase_client *c, int i)
{
    return (struct leg *)(void *)(c->legs + (size_t)i * c->load->driver->leg_size);
}

/* The request, and the answer that it will get. */
static void client_send(const struct two_phase_client *c)
{
    struct load *load = c->load;
    for (int i = 0; i < load->servers; i++) {
        load->counts.messages += 2;
        load->driver->send(client_leg(c, i));
    }
}

static void client_begin(struct two_phase_client *c)
{
    struct load *load = c->load;
    snprintf(c->decision.gid, sizeof c->decision.gid, "bench-%d-%td-%" PRIu64, (int)getpid(),
             c - load->client, c->serial++);
    c->voting = load->servers;
    c->began_us = now_us();
    for (int i = 0; i < load->servers; i++) {
        struct leg *leg = client_leg(c, i);
        leg->prepared = false;
        load->driver->begin(leg, c->decision.gid,
                            prng_below(&load->prng, (uint64_t)load->accounts) + 1);
    }
}

static void client_next(struct two_phase_client *c)
{
    struct load *load = c->load;
    if (load->phase == RUNNING) {
        client_begin(c);
        client_send(c);
    }
    if (load->phase != WARMING || ++load->warm < load->clients)
        return;
    mark("began");
    load->phase = RUNNING;
    load->began_us = now_us();
    load->before = load->counts;
    load->before.client_cpu_us = cpu_us();
    load->end_us = load->began_us + (uint64_t)load->seconds * 1000000;
    for (int64_t i = 0; i < load->clients; i++) {
        client_begin(&load->client[i]);
        client_send(&load->client[i]);
    }
}

static void client_finish(struct two_phase_client *c, bool commit)
{
    struct load *load = c->load;
    c->finishing = load->servers;
    c->committing = commit;
    c->finishing_began_us = c->began_us;
    for (int i = 0; i < load->servers; i++)
        load->driver->finish(client_leg(c, i), c->decision.gid, commit);
    if (load->overlap && load->phase == RUNNING)
        client_begin(c);
    client_send(c);
}

static void client_voted(struct two_phase_client *c)
{
    bool commit = true;
    for (int i = 0; i < c->load->servers; i++)
        commit = commit && client_leg(c, i)->prepared;
    if (commit) {
        c->in_doubt = true;
        decision_log_append(c->load->log, &c->decision);
        return;
    }
    c->load->not_committed += c->load->phase == RUNNING;
    client_finish(c, false);
}

static void client_decided(struct two_phase_client *c)
{
    struct load *load = c->load;
    c->in_doubt = false;
    load->counts.transactions++;
    if (load->phase == RUNNING)
        histogram_add(&load->decided, (uint32_t)(now_us() - c->began_us));
    client_finish(c, true);
}

static void client_finished(struct two_phase_client *c)
{
    struct load *load = c->load;
    if (load->phase == RUNNING && c->committing)
        histogram_add(&load->committed, (uint32_t)(now_us() - c->finishing_began_us));
    if (c->voting == 0 && !c->in_doubt)
        client_next(c);
}

static bool client_busy(const struct two_phase_client *c)
{
    return c->voting > 0 || c->in_doubt || c->finishing > 0;
}

/* ---- what the driver tells ---- */

void two_phase_voted(struct leg *leg, bool prepared)
{
    leg->prepared = prepared;
    if (--leg->client->voting == 0)
        client_voted(leg->client);
}

void two_phase_finished(struct leg *leg)
{
    if (--leg->client->finishing == 0)
        client_finished(leg->client);
}

static void leg_watch(struct leg *leg, int operation)
{
    struct load *load = leg->client->load;
    struct epoll_event event = {.events = leg->wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = leg};
    if (epoll_ctl(load->epoll, operation, load->driver->socket(leg), &event) != 0)
        two_phase_fail("epoll_ctl: %s", strerror(errno));
}

void two_phase_watch(struct leg *leg, bool wants_write)
{
    if (leg->wants_write == wants_write)
        return;
    leg->wants_write = wants_write;
    leg_watch(leg, EPOLL_CTL_MOD);
}

void two_phase_refused(const char *why)
{
    static bool said;
    if (!said)
        fprintf(stderr, "%s: refused: %s\n", program, why);
    said = true;
}

/* ---- the run ---- */

static void log_ready(struct load *load)
{
    struct decisions durable;
    decision_log_take(load->log, &durable);
    while (!STAILQ_EMPTY(&durable)) {
        struct decision *decision = STAILQ_FIRST(&durable);
        STAILQ_REMOVE_HEAD(&durable, link);
        client_decided(
            (struct two_phase_client *)(void *)((char *)decision -
                                                offsetof(struct two_phase_client, decision)));
    }
}

static void client_open(struct load *load, struct two_phase_client *c)
{
    c->load = load;
    c->legs = xcalloc((size_t)load->servers, load->driver->leg_size);
    for (int i = 0; i < load->servers; i++) {
        struct leg *leg = client_leg(c, i);
        leg->client = c;
        load->driver->open(leg, load->server[i]);
        leg_watch(leg, EPOLL_CTL_ADD);
    }
}

static void load_open(struct load *load)
{
    load->log = decision_log_create(load->log_path);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (load->epoll < 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, decision_log_fd(load->log), &event) != 0)
        two_phase_fail("epoll: %s", strerror(errno));
    prng_seed(&load->prng, now_us());
    load->client = xcalloc((size_t)load->clients, sizeof *load->client);
    for (int64_t i = 0; i < load->clients; i++)
        client_open(load, &load->client[i]);
}

/* How long to wait for events, in milliseconds; ends the measuring when its time has come. */
static int load_clock(struct load *load)
{
    uint64_t now = now_us();
    if (load->phase != RUNNING)
        return -1;
    if (now < load->end_us)
        return (int)((load->end_us - now) / 1000) + 1;
    load->phase = DRAINING;
    load->measured_s = (double)(now - load->began_us) / 1e6;
    return -1;
}

static bool load_ended(const struct load *load)
{
    if (load->phase != DRAINING)
        return false;
    for (int64_t i = 0; i < load->clients; i++)
        if (client_busy(&load->client[i]))
            return false;
    return true;
}

static void load_run(struct load *load)
{
    struct epoll_event event[EVENTS];
    for (int64_t i = 0; i < load->clients; i++) {
        client_begin(&load->client[i]);
        client_send(&load->client[i]);
    }
    for (;;) {
        int timeout_ms = load_clock(load);
        if (load_ended(load))
            return;
        int n = epoll_wait(load->epoll, event, EVENTS, timeout_ms);
        if (n < 0 && errno != EINTR)
            two_phase_fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            if (event[i].data.ptr == NULL)
                log_ready(load);
            else /* an error is found by reading */
                load->driver->ready(event[i].data.ptr, (event[i].events & ~(uint32_t)EPOLLOUT) != 0,
                                    (event[i].events & EPOLLOUT) != 0);
        }
    }
}

static void load_close(struct load *load)
{
    for (int64_t i = 0; i < load->clients; i++) {
        for (int j = 0; j < load->servers; j++)
            load->driver->close(client_leg(&load->client[i], j));
        free(load->client[i].legs);
    }
    decision_log_close(load->log);
    close(load->epoll);
    free(load->client);
}

static void show_latency(const char *name, const struct histogram *h)
{
    printf(", \"%s\": {\"mean\": %.1f, \"p50\": %" PRIu32 ", \"p95\": %" PRIu32
           ", \"p99\": %" PRIu32 ", \"max\": %" PRIu32 "}",
           name, histogram_mean(h), histogram_percentile(h, 50), histogram_percentile(h, 95),
           histogram_percentile(h, 99), h->max);
}

/* The members of `assent bench -o json` where they mean the same. Transactions, messages and
 * processor time are those between the marks; the log's syncs, of all transactions. */
static void load_show(const struct load *load)
{
    const struct counts *all = &load->counts, *before = &load->before;
    uint64_t committed = load->decided.n;
    printf("{\"clients\": %" PRId64 ", \"seconds\": %.3f, \"accounts\": %" PRId64
           ", \"committed\": %" PRIu64 ", \"committed_per_s\": %.1f, \"not_committed\": %" PRIu64,
           load->clients, load->measured_s, load->accounts, committed,
           (double)committed / load->measured_s, load->not_committed);
    show_latency("latency_us", &load->committed);
    show_latency("decided_us", &load->decided);
    printf(", \"transactions\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"client_cpu_us\": %" PRIu64
           ", \"all_transactions\": %" PRIu64 ", \"log_syncs\": %" PRIu64 "}\n",
           all->transactions - before->transactions, all->messages - before->messages,
           all->client_cpu_us - before->client_cpu_us, all->transactions,
           decision_log_syncs(load->log));
}

/* ---- arguments ---- */

static const struct argp_option options[] = {
    {"clients", 'c', "N", 0, "Transactions in flight (default: 16)", 0},
    {"seconds", 's', "N", 0, "How long to measure (default: 10)", 0},
    {"accounts", 'a', "N", 0, "Rows at each server, with ids from 1 (default: 10000)", 0},
    {"log", 'l', "FILE", 0, "The decision log; must not exist (default: decisions.log)", 0},
    {"overlap", 'o', NULL, 0, "Send the next transaction with the commit", 0},
    {0},
};

static int64_t number(struct argp_state *state, const char *text, int64_t most)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > most)
        argp_error(state, "'%s' must be a number from 1 to %" PRId64, text, most);
    return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct load *load = state->input;
    switch (key) {
    case 'c':
        load->clients = number(state, arg, CLIENTS_MOST);
        return 0;
    case 's':
        load->seconds = number(state, arg, 86400);
        return 0;
    case 'a':
        load->accounts = number(state, arg, INT32_MAX);
        return 0;
    case 'l':
        load->log_path = arg;
        return 0;
    case 'o':
        load->overlap = true;
        return 0;
    case ARGP_KEY_ARG:
        if (load->servers == LEGS_MOST)
            argp_error(state, "more than %d servers", LEGS_MOST);
        load->server[load->servers++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (load->servers == 0)
            argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int two_phase_main(const struct two_phase_driver *driver, int argc, char **argv)
{
    const struct argp argp = {options, parse, driver->arguments, driver->about, NULL, NULL, NULL};
    struct load *load = xcalloc(1, sizeof *load);
    program = driver->program;
    load->driver = driver;
    load->clients = 16;
    load->seconds = 10;
    load->accounts = 10000;
    load->log_path = "decisions.log";
    argp_err_exit_status = EX_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, load);
    load_open(load);
    load_run(load);
    load->counts.client_cpu_us = cpu_us();
    mark("ended");
    load_show(load);
    load_close(load);
    free(load);
    return 0;
}
