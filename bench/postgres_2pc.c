/* Two-phase commit over two PostgreSQL servers as a careful application would drive it: closed-loop
 * load from one thread, each client with one connection to each server.
 *
 *     begin: BEGIN, UPDATE of a random row, PREPARE TRANSACTION --> both servers, one flush each
 *       both prepared --> the decision into the log --durable--> COMMIT PREPARED --> both
 *       one refused   --> ROLLBACK PREPARED or ROLLBACK         --> both
 *     both servers finished --> the next transaction
 *
 * Latency runs from begin to the durable decision: from then on the outcome cannot change. With
 * --overlap the next transaction is sent right behind COMMIT PREPARED, without waiting for it.
 *
 * A commit is presumed aborted unless the log has it, so aborts are not logged. Two clients that
 * wait for each other at different servers are a deadlock that neither server sees: lock_timeout
 * ends it. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "bench/decision_log.h"
#include "common/histogram.h"
#include "common/bytes.h"
#include "common/prng.h"

#define LEGS          2
#define CLIENTS_MOST  10000
#define VALUE_MOST    4096
#define EVENTS        256
#define STATEMENT_MAX (GID_BYTES + 32)

enum phase {
    WARMING,  /* one transaction by each client, unmeasured */
    RUNNING,  /* measured */
    DRAINING, /* what is in flight ends, unmeasured */
};

struct client;

/* One client's connection to one server. Its pipeline holds at most the end of one transaction and,
 * behind that, the beginning of the next; each ends in a sync. */
struct leg {
    struct client *client;
    PGconn *conn;
    int syncs_due;
    const char *ending; /* the command with which the first of them ends a transaction, or NULL */
    bool prepared;      /* the vote, once `client->voting` has counted it */
    bool wants_write;
};

struct client {
    struct load *load;
    struct decision decision;
    struct leg leg[LEGS];
    int voting;    /* legs that have not voted yet */
    int finishing; /* legs that have not finished the transaction before */
    bool in_doubt; /* both prepared, the decision on its way into the log */
    uint64_t began_us, serial;
};

struct load {
    int64_t clients, seconds, keys, value_size;
    bool overlap;
    const char *log_path;
    const char *server[LEGS];

    enum phase phase;
    struct client *client;
    int64_t warm;
    struct decision_log *log;
    int epoll;
    struct prng prng;
    char value[VALUE_MOST + 1];
    uint64_t began_us, end_us;
    double measured_s;
    uint64_t transactions; /* committed, warm-up and draining too */
    uint64_t not_committed;
    bool said_refused;
    struct histogram committed;
};

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list args;
    fputs("postgres_2pc: ", stderr);
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

/* ---- what a leg sends ---- */

static void leg_watch(struct leg *leg, int operation)
{
    struct epoll_event event = {.events = leg->wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = leg};
    if (epoll_ctl(leg->client->load->epoll, operation, PQsocket(leg->conn), &event) != 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void leg_check(const struct leg *leg, bool good)
{
    if (!good)
        fail("cannot send: %s", PQerrorMessage(leg->conn));
}

static void leg_flush(struct leg *leg)
{
    int left = PQflush(leg->conn);
    leg_check(leg, left >= 0);
    if ((left != 0) != leg->wants_write) {
        leg->wants_write = left != 0;
        leg_watch(leg, EPOLL_CTL_MOD);
    }
}

static void leg_sync(struct leg *leg)
{
    leg_check(leg, PQpipelineSync(leg->conn) == 1);
    leg->syncs_due++;
    leg_flush(leg);
}

/* PREPARE TRANSACTION and its like take no parameters. */
static void leg_send(struct leg *leg, const char *verb)
{
    char statement[STATEMENT_MAX];
    snprintf(statement, sizeof statement, "%s '%s'", verb, leg->client->decision.gid);
    leg_check(leg, PQsendQueryParams(leg->conn, statement, 0, NULL, NULL, NULL, NULL, 0) == 1);
}

static void leg_begin(struct leg *leg)
{
    struct load *load = leg->client->load;
    char key[24];
    const char *parameters[] = {key, load->value};
    snprintf(key, sizeof key, "%" PRIu64, prng_below(&load->prng, (uint64_t)load->keys) + 1);
    leg->prepared = false;
    leg_check(leg, PQsendQueryPrepared(leg->conn, "begin", 0, NULL, NULL, NULL, 0) == 1);
    leg_check(leg, PQsendQueryPrepared(leg->conn, "update", 2, parameters, NULL, NULL, 0) == 1);
    leg_send(leg, "PREPARE TRANSACTION");
    leg_sync(leg);
}

static void leg_finish(struct leg *leg, bool commit)
{
    leg->ending = commit ? "COMMIT PREPARED" : leg->prepared ? "ROLLBACK PREPARED" : "ROLLBACK";
    if (commit || leg->prepared)
        leg_send(leg, leg->ending);
    else /* after an error inside the block; outside of one it does nothing */
        leg_check(leg,
                  PQsendQueryParams(leg->conn, leg->ending, 0, NULL, NULL, NULL, NULL, 0) == 1);
    leg_sync(leg);
}

/* ---- the transaction ---- */

static void client_begin(struct client *c)
{
    snprintf(c->decision.gid, sizeof c->decision.gid, "bench-%d-%td-%" PRIu64, (int)getpid(),
             c - c->load->client, c->serial++);
    c->voting = LEGS;
    c->began_us = now_us();
    for (int i = 0; i < LEGS; i++)
        leg_begin(&c->leg[i]);
}

static void client_next(struct client *c)
{
    struct load *load = c->load;
    if (load->phase == RUNNING)
        client_begin(c);
    if (load->phase != WARMING || ++load->warm < load->clients)
        return;
    load->phase = RUNNING;
    load->began_us = now_us();
    load->end_us = load->began_us + (uint64_t)load->seconds * 1000000;
    for (int64_t i = 0; i < load->clients; i++)
        client_begin(&load->client[i]);
}

static void client_finish(struct client *c, bool commit)
{
    c->finishing = LEGS;
    for (int i = 0; i < LEGS; i++)
        leg_finish(&c->leg[i], commit);
    if (c->load->overlap && c->load->phase == RUNNING)
        client_begin(c);
}

static void client_voted(struct client *c)
{
    bool commit = true;
    for (int i = 0; i < LEGS; i++)
        commit = commit && c->leg[i].prepared;
    if (commit) {
        c->in_doubt = true;
        decision_log_append(c->load->log, &c->decision);
        return;
    }
    c->load->not_committed += c->load->phase == RUNNING;
    client_finish(c, false);
}

static void client_decided(struct client *c)
{
    struct load *load = c->load;
    c->in_doubt = false;
    load->transactions++;
    if (load->phase == RUNNING)
        histogram_add(&load->committed, (uint32_t)(now_us() - c->began_us));
    client_finish(c, true);
}

static bool client_busy(const struct client *c)
{
    return c->voting > 0 || c->in_doubt || c->finishing > 0;
}

/* ---- what a leg hears ---- */

static void leg_synced(struct leg *leg)
{
    struct client *c = leg->client;
    leg->syncs_due--;
    if (leg->ending != NULL) {
        leg->ending = NULL;
        if (--c->finishing == 0 && c->voting == 0 && !c->in_doubt)
            client_next(c);
    } else if (--c->voting == 0) {
        client_voted(c);
    }
}

/* Says why the first time; all are counted. */
static void leg_refused(const struct leg *leg, const PGresult *result)
{
    struct load *load = leg->client->load;
    if (!load->said_refused)
        fprintf(stderr, "postgres_2pc: refused: %s", PQresultErrorMessage(result));
    load->said_refused = true;
}

static void leg_result(struct leg *leg, PGresult *result)
{
    const char *tag = PQcmdStatus(result);
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        /* In a failed transaction PREPARE succeeds too, with the tag ROLLBACK. */
        if (leg->ending != NULL && strcmp(tag, leg->ending) != 0)
            fail("%s was answered with %s", leg->ending, tag);
        if (strcmp(tag, "PREPARE TRANSACTION") == 0)
            leg->prepared = true;
        else if (strncmp(tag, "UPDATE", 6) == 0 && strcmp(tag, "UPDATE 1") != 0)
            fail("%s: the table must have one row for each of the keys", tag);
        break;
    case PGRES_PIPELINE_SYNC:
        leg_synced(leg);
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default: /* before the vote it is a refusal: PREPARE TRANSACTION does not run */
        if (leg->ending != NULL)
            fail("%s: %s", leg->ending, PQresultErrorMessage(result));
        leg_refused(leg, result);
        break;
    }
    PQclear(result);
}

static void leg_ready(struct leg *leg, uint32_t events)
{
    if (events & EPOLLOUT)
        leg_flush(leg);
    if (PQconsumeInput(leg->conn) != 1)
        fail("connection lost: %s", PQerrorMessage(leg->conn));
    /* Between two results of a pipeline libpq gives one NULL; after the last sync there is nothing
     * to ask for. */
    while (leg->syncs_due > 0 && !PQisBusy(leg->conn)) {
        PGresult *result = PQgetResult(leg->conn);
        if (result != NULL)
            leg_result(leg, result);
    }
}

static void log_ready(struct load *load)
{
    struct decisions durable;
    decision_log_take(load->log, &durable);
    while (!STAILQ_EMPTY(&durable)) {
        struct decision *decision = STAILQ_FIRST(&durable);
        STAILQ_REMOVE_HEAD(&durable, link);
        client_decided(
            (struct client *)(void *)((char *)decision - offsetof(struct client, decision)));
    }
}

/* ---- the run ---- */

static void no_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static void setup(const struct leg *leg, PGresult *result)
{
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail("cannot set up a connection: %s", PQerrorMessage(leg->conn));
    PQclear(result);
}

static void leg_open(struct leg *leg, const char *server)
{
    leg->conn = PQconnectdb(server);
    if (PQstatus(leg->conn) != CONNECTION_OK)
        fail("cannot connect: %s", PQerrorMessage(leg->conn));
    PQsetNoticeReceiver(leg->conn, no_notice, NULL);
    setup(leg, PQexec(leg->conn, "SET lock_timeout = '1s'"));
    setup(leg, PQprepare(leg->conn, "begin", "BEGIN", 0, NULL));
    setup(leg,
          PQprepare(leg->conn, "update", "UPDATE item SET value = $2 WHERE key = $1", 0, NULL));
    if (PQsetnonblocking(leg->conn, 1) != 0 || PQenterPipelineMode(leg->conn) != 1)
        fail("cannot set up a connection: %s", PQerrorMessage(leg->conn));
    leg_watch(leg, EPOLL_CTL_ADD);
}

static void load_open(struct load *load)
{
    load->log = decision_log_create(load->log_path);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (load->epoll < 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, decision_log_fd(load->log), &event) != 0)
        fail("epoll: %s", strerror(errno));
    prng_seed(&load->prng, now_us());
    memset(load->value, 'x', (size_t)load->value_size);
    load->client = xcalloc((size_t)load->clients, sizeof *load->client);
    for (int64_t i = 0; i < load->clients; i++) {
        load->client[i].load = load;
        for (int j = 0; j < LEGS; j++) {
            load->client[i].leg[j].client = &load->client[i];
            leg_open(&load->client[i].leg[j], load->server[j]);
        }
    }
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
    for (int64_t i = 0; i < load->clients; i++)
        client_begin(&load->client[i]);
    for (;;) {
        int timeout_ms = load_clock(load);
        if (load_ended(load))
            return;
        int n = epoll_wait(load->epoll, event, EVENTS, timeout_ms);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            if (event[i].data.ptr == NULL)
                log_ready(load);
            else
                leg_ready(event[i].data.ptr, event[i].events);
        }
    }
}

static void load_close(struct load *load)
{
    for (int64_t i = 0; i < load->clients; i++)
        for (int j = 0; j < LEGS; j++)
            PQfinish(load->client[i].leg[j].conn);
    decision_log_close(load->log);
    close(load->epoll);
    free(load->client);
}

/* The members of `assent bench -o json` where they mean the same. */
static void load_show(const struct load *load)
{
    const struct histogram *h = &load->committed;
    printf("{\"clients\": %" PRId64 ", \"seconds\": %.3f, \"keys\": %" PRId64
           ", \"value_size\": %" PRId64 ", \"committed\": %" PRIu64 ", \"committed_per_s\": %.1f"
           ", \"not_committed\": %" PRIu64 ", \"latency_us\": {\"mean\": %.1f, \"p50\": %" PRIu32
           ", \"p95\": %" PRIu32 ", \"p99\": %" PRIu32 ", \"max\": %" PRIu32
           "}, \"transactions\": %" PRIu64 ", \"log_syncs\": %" PRIu64 "}\n",
           load->clients, load->measured_s, load->keys, load->value_size, h->n,
           (double)h->n / load->measured_s, load->not_committed, histogram_mean(h),
           histogram_percentile(h, 50), histogram_percentile(h, 95), histogram_percentile(h, 99),
           h->max, load->transactions, decision_log_syncs(load->log));
}

/* ---- arguments ---- */

static const struct argp_option options[] = {
    {"clients", 'c', "N", 0, "Transactions in flight (default: 16)", 0},
    {"seconds", 's', "N", 0, "How long to measure (default: 10)", 0},
    {"keys", 'k', "N", 0, "Rows at each server, with keys from 1 (default: 10000)", 0},
    {"value-size", 'v', "BYTES", 0, "(default: 16)", 0},
    {"log", 'l', "FILE", 0, "The decision log; must not exist (default: decisions.log)", 0},
    {"overlap", 'o', NULL, 0, "Send the next transaction right behind COMMIT PREPARED", 0},
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
    case 'k':
        load->keys = number(state, arg, INT32_MAX);
        return 0;
    case 'v':
        load->value_size = number(state, arg, VALUE_MOST);
        return 0;
    case 'l':
        load->log_path = arg;
        return 0;
    case 'o':
        load->overlap = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num >= LEGS)
            argp_usage(state);
        load->server[state->arg_num] = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < LEGS)
            argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "CONNINFO CONNINFO",
        "Two-phase commit over two PostgreSQL servers, each with a table item (key int primary "
        "key, value text), driven by this program with a durable decision log.",
        NULL,
        NULL,
        NULL};
    struct load *load = xcalloc(1, sizeof *load);
    load->clients = 16;
    load->seconds = 10;
    load->keys = 10000;
    load->value_size = 16;
    load->log_path = "decisions.log";
    argp_err_exit_status = EX_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, load);
    load_open(load);
    load_run(load);
    load_show(load);
    load_close(load);
    free(load);
    return 0;
}
