#include "common/stash.h"

#include <stdlib.h>
#include <uthash.h>

#define KEPT_MAX 64u /* per transaction */

struct kept {
    TAILQ_ENTRY(kept) link;
    struct addr from;
    struct client_name client;
    struct msg *msg;
};

struct stash {
    UT_hash_handle hh;
    struct txid txid;
    uint32_t n;
    TAILQ_HEAD(, kept) kept;
};

static struct stash *find(struct stash *s, const struct txid *txid)
{
    struct stash *one;
    HASH_FIND(hh, s, txid, sizeof *txid, one);
    return one;
}

bool stash_keep(struct stash **s, const struct event *e)
{
    const struct txid *txid = &e->msg->head.txid;
    struct stash *one = find(*s, txid);
    bool first = one == NULL;
    if (first) {
        one = xcalloc(1, sizeof *one);
        one->txid = *txid;
        TAILQ_INIT(&one->kept);
        HASH_ADD(hh, *s, txid, sizeof one->txid, one);
    }
    if (one->n++ < KEPT_MAX) {
        struct kept *k = xcalloc(1, sizeof *k);
        k->from = e->from;
        k->msg = msg_ref(e->msg);
        if (e->client != NULL)
            k->client = *e->client;
        TAILQ_INSERT_TAIL(&one->kept, k, link);
    }
    return first;
}

const struct tx_head *stash_head(struct stash *s, const struct txid *txid)
{
    struct stash *one = find(s, txid);
    return one == NULL ? NULL : &TAILQ_FIRST(&one->kept)->msg->head;
}

static struct kept *pop(struct stash *one)
{
    struct kept *k = TAILQ_FIRST(&one->kept);
    if (k != NULL)
        TAILQ_REMOVE(&one->kept, k, link);
    return k;
}

void stash_replay(struct stash **s, const struct txid *txid, const struct event *e,
                  void (*again)(void *arg, const struct event *e), void *arg)
{
    struct stash *one = find(*s, txid);
    struct kept *k;
    if (one == NULL)
        return;
    HASH_DELETE(hh, *s, one);
    while ((k = pop(one)) != NULL) {
        struct event event = *e;
        event.kind = EVENT_MESSAGE;
        event.from = k->from;
        event.client = &k->client;
        event.msg = k->msg;
        again(arg, &event);
        msg_unref(k->msg);
        free(k);
    }
    free(one);
}

void stash_free(struct stash **s)
{
    struct stash *one, *next;
    struct kept *k;
    HASH_ITER (hh, *s, one, next) {
        HASH_DELETE(hh, *s, one);
        while ((k = pop(one)) != NULL) {
            msg_unref(k->msg);
            free(k);
        }
        free(one);
    }
}
