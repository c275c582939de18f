/* Calls that wait for the cluster. Each runs in a thread of its own, while the shell waits for it
 * or for Ctrl-C. On Ctrl-C the shell goes on at once and the call is left to itself, with all that
 * it holds: a commit must end before anyone can say what became of it, and it is told of before the
 * next prompt. SIGINT is blocked everywhere but in ppoll, so that none is missed. */
#include "client/command_shell.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bsd/sys/queue.h>

#include "client/look.h"

struct left {
    struct shell_call call; /* first: the caller's pointer is to it */
    pthread_t thread;
    int done; /* an eventfd */
    pthread_mutex_t mutex;
    bool abandoned;   /* no further attempt may begin */
    assent_txid sent; /* of the attempt that is under way, zero before */
    TAILQ_ENTRY(left) link;
};

struct shell_calls {
    TAILQ_HEAD(, left) left; /* that nobody waits for */
    struct sigaction before;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static const assent_txid no_txid;

static bool is_set(const assent_txid *id)
{
    return memcmp(id, &no_txid, sizeof no_txid) != 0;
}

struct shell_calls *shell_calls_open(void)
{
    struct shell_calls *calls = xcalloc(1, sizeof *calls);
    struct sigaction action = {.sa_handler = on_interrupt};
    sigset_t set;
    TAILQ_INIT(&calls->left);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGINT, &action, &calls->before);
    return calls;
}

/* Lets a SIGINT that is waiting be delivered, if poll says nothing else first. */
static void wait_for(struct pollfd *poll, nfds_t n, const struct timespec *at_most)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    sigdelset(&mask, SIGINT);
    ppoll(poll, n, at_most, &mask);
}

bool shell_interrupted(void)
{
    wait_for(NULL, 0, &(struct timespec){0, 0});
    bool was = interrupted != 0;
    interrupted = 0;
    return was;
}

bool shell_wait_readable(int fd)
{
    wait_for(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, NULL);
    if (interrupted == 0)
        return true;
    interrupted = 0;
    errno = EINTR;
    return false;
}

/* ---- in the call's thread ---- */

static assent_status build(assent_txn *t, void *arg)
{
    struct left *l = arg;
    assent_txid id;
    assent_status status = command_op_add(t, &l->call.op);
    if (status == ASSENT_OK)
        status = assent_txn_id(t, &id);
    if (status != ASSENT_OK)
        return status;
    pthread_mutex_lock(&l->mutex);
    if (l->abandoned)
        status = ASSENT_ROLLED_BACK;
    else
        l->sent = id;
    pthread_mutex_unlock(&l->mutex);
    return status;
}

static assent_status run_call(struct left *l)
{
    struct shell_call *c = &l->call;
    struct bytes key = blob_bytes(c->key), end = blob_bytes(c->end);
    switch (c->kind) {
    case SHELL_CALL_GET:
        return c->txn != NULL ? assent_txn_get(c->txn, key.data, key.len, &c->list)
                              : assent_get_with(c->db, key.data, key.len, &c->options, &c->list);
    case SHELL_CALL_SCAN:
        return c->txn != NULL ? assent_txn_scan(c->txn, key.data, key.len, end.data, end.len,
                                                c->options.limit, c->options.descending, &c->list)
                              : assent_scan_with(c->db, key.data, key.len, end.data, end.len,
                                                 &c->options, &c->list);
    case SHELL_CALL_COMMIT:
        return c->txn != NULL ? assent_commit(c->txn, &c->info)
                              : command_commit(c->call, c->db, build, l, false, &c->txn, &c->info);
    case SHELL_CALL_OUTCOME:
        return assent_outcome(c->db, &c->txid, c->call->timeout_ms, &c->ts);
    }
    return ASSENT_INVALID;
}

static void *thread_main(void *arg)
{
    struct left *l = arg;
    uint64_t one = 1;
    l->call.status = run_call(l);
    snprintf(l->call.why, sizeof l->call.why, "%s",
             l->call.status == ASSENT_OK ? "" : assent_error());
    if (write(l->done, &one, sizeof one) != sizeof one)
        abort();
    return NULL;
}

/* ---- in the shell's ---- */

struct shell_call *shell_call_new(const struct shell *s, enum shell_call_kind kind)
{
    struct left *l = xcalloc(1, sizeof *l);
    l->call.kind = kind;
    l->call.call = s->call;
    l->call.db = s->db;
    l->done = -1;
    pthread_mutex_init(&l->mutex, NULL);
    return &l->call;
}

void shell_call_free(struct shell_call *call)
{
    struct left *l = (struct left *)call;
    if (call == NULL)
        return;
    blob_unref(call->key);
    blob_unref(call->end);
    command_op_free(&call->op);
    assent_list_free(call->list);
    assent_txn_free(call->txn);
    pthread_mutex_destroy(&l->mutex);
    if (l->done >= 0)
        close(l->done);
    free(l);
}

static bool is_done(const struct left *l)
{
    struct pollfd poll_done = {.fd = l->done, .events = POLLIN};
    return poll(&poll_done, 1, 0) == 1;
}

struct shell_call *shell_call(struct shell_calls *calls, struct shell_call *call, assent_txid *txid)
{
    struct left *l = (struct left *)call;
    *txid = no_txid;
    /* a transaction that only read has no id, and asking for one would change what it checks */
    if (call->kind == SHELL_CALL_COMMIT && call->txn != NULL && !look_only(call->txn))
        assent_txn_id(call->txn, &l->sent);
    l->done = eventfd(0, EFD_CLOEXEC);
    if (l->done < 0 || pthread_create(&l->thread, NULL, thread_main, l) != 0) {
        call->status = ASSENT_SYSTEM;
        snprintf(call->why, sizeof call->why, "no thread could be started: %s", strerror(errno));
        return call;
    }
    while (!is_done(l)) {
        if (shell_wait_readable(l->done))
            continue;
        pthread_mutex_lock(&l->mutex);
        l->abandoned = true;
        *txid = l->sent;
        pthread_mutex_unlock(&l->mutex);
        TAILQ_INSERT_TAIL(&calls->left, l, link);
        return NULL;
    }
    pthread_join(l->thread, NULL);
    return call;
}

static void tell(struct shell_calls *calls, struct left *l)
{
    char text[ASSENT_TXID_TEXT];
    pthread_join(l->thread, NULL);
    TAILQ_REMOVE(&calls->left, l, link);
    if (is_set(&l->sent)) {
        assent_txid_text(&l->sent, text);
        if (l->call.status == ASSENT_OK)
            printf("%s has committed\n", text);
        else if (assent_maybe_committed(l->call.status))
            printf("%s: not known yet: ask with outcome %s\n", text, text);
        else
            printf("%s has not committed: %s\n", text, assent_status_name(l->call.status));
    }
    shell_call_free(&l->call);
}

void shell_calls_tell(struct shell_calls *calls)
{
    struct left *l = TAILQ_FIRST(&calls->left);
    while (l != NULL) {
        struct left *next = TAILQ_NEXT(l, link);
        if (is_done(l))
            tell(calls, l);
        l = next;
    }
}

void shell_calls_close(struct shell_calls *calls)
{
    struct left *l;
    while ((l = TAILQ_FIRST(&calls->left)) != NULL)
        tell(calls, l);
    sigaction(SIGINT, &calls->before, NULL);
    free(calls);
}
