/* The steps of one operation. What the history says is true: it begins before anything is sent, its
 * id is known before the commit leaves, and an outcome that is not known is recorded as that. */
#include "chaos/load_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/txn.h"

#define ASK_FIRST_US 100000 /* after the commit that ended without an answer */

static int64_t now_ns(void)
{
    return (int64_t)chaos_now_us() * 1000;
}

uint64_t load_below(struct load_client *c, uint64_t bound)
{
    return prng_below(&c->prng, bound);
}

bool load_one_in(struct load_client *c, uint64_t n)
{
    return prng_below(&c->prng, n) == 0;
}

int64_t load_value(struct load *l)
{
    return atomic_fetch_add(&l->next_value, 1);
}

void load_must(assent_status status)
{
    if (status == ASSENT_OK)
        return;
    fprintf(stderr, "chaos: a workload built an operation that is refused: %s\n", assent_error());
    abort();
}

static int number_text(char out[24], int64_t value)
{
    return snprintf(out, 24, "%" PRId64, value);
}

void load_put_number(assent_txn *t, const struct load_key *key, int64_t value)
{
    char text[24];
    int len = number_text(text, value);
    load_must(assent_put(t, key->text, key->len, text, (size_t)len));
}

void load_check_number(assent_txn *t, const struct load_key *key, int64_t value)
{
    char text[24];
    int len = number_text(text, value);
    load_must(value == HISTORY_NIL ? assent_check_absent(t, key->text, key->len)
                                   : assent_check_value(t, key->text, key->len, text, (size_t)len));
}

uint32_t load_numbers_in(struct load_client *c, const void *bytes, size_t len)
{
    const char *text = bytes;
    uint32_t n = 0;
    size_t at = 0;
    while (at < len && n < LOAD_NUMBERS_MAX) {
        bool negative = text[at] == '-';
        int64_t value = 0;
        for (at += negative; at < len && text[at] != ' '; at++)
            value = value * 10 + (text[at] - '0');
        c->numbers[n++] = negative ? -value : value;
        at++;
    }
    return n;
}

int64_t load_entry_value(const assent_entry *e, int64_t nil)
{
    char text[24] = "";
    if (!e->found)
        return nil;
    memcpy(text, e->value, e->value_len < sizeof text ? e->value_len : sizeof text - 1);
    return strtoll(text, NULL, 10);
}

/* ---- the history ---- */

uint32_t load_invoke(struct load_client *c, enum level level, const struct micro *micro, uint32_t n)
{
    struct load *l = c->load;
    pthread_mutex_lock(&l->lock);
    uint32_t op = history_invoke(l->history, (uint32_t)c->index, (uint32_t)c->datacenter, level,
                                 now_ns(), micro, n);
    if (c->session != NULL)
        history_session(l->history, op, c->session_number);
    pthread_mutex_unlock(&l->lock);
    return op;
}

void load_found(struct load_client *c, uint32_t op, uint32_t index, const int64_t *values,
                uint32_t n)
{
    pthread_mutex_lock(&c->load->lock);
    history_read(c->load->history, op, index, values, n);
    pthread_mutex_unlock(&c->load->lock);
}

void load_look(struct load *l, const struct parts_look *look)
{
    pthread_mutex_lock(&l->lock);
    if (l->looks_n == l->looks_cap) {
        l->looks_cap = l->looks_cap == 0 ? 256 : 2 * l->looks_cap;
        l->looks = xrealloc(l->looks, l->looks_cap * sizeof *l->looks);
    }
    l->looks[l->looks_n++] = *look;
    pthread_mutex_unlock(&l->lock);
}

/* ---- committing ---- */

static size_t tell(struct loads *all, const struct told *told)
{
    pthread_mutex_lock(&all->lock);
    if (all->told_n == all->told_cap) {
        all->told_cap = all->told_cap == 0 ? 1024 : 2 * all->told_cap;
        all->told = xrealloc(all->told, all->told_cap * sizeof *all->told);
    }
    size_t at = all->told_n++;
    all->told[at] = *told;
    pthread_mutex_unlock(&all->lock);
    return at;
}

static int node_index(const struct site *s, node_id id)
{
    for (int i = 0; i < s->cluster->nodes; i++)
        if (s->cluster->node[i].id == id)
            return i;
    abort();
}

/* Who takes part in a sealed transaction: nodes, and their datacenters. */
static uint64_t nodes_of(const struct site *s, const assent_txn *t, uint32_t *datacenters)
{
    uint64_t nodes = 0;
    *datacenters = 0;
    for (int i = 0; i < t->participants.n; i++) {
        int node = node_index(s, t->participants.id[i]);
        nodes |= UINT64_C(1) << node;
        *datacenters |= UINT32_C(1) << s->cluster->node[node].datacenter;
    }
    return nodes;
}

/* Names in the breakdown are the handle's, which is gone if the client died. */
static void take_breakdown(struct sample *s, const struct site *site,
                           const assent_commit_info *info)
{
    int leader = info->coordinator == NULL ? -1 : site_node(site, info->coordinator);
    s->has_info = leader >= 0;
    if (!s->has_info)
        return;
    s->leader_in = site->cluster->node[leader].datacenter;
    s->leader_us = info->leader_us;
    s->quorum_us = info->quorum_us;
    s->parts = info->parts < SAMPLE_PARTS_MAX ? info->parts : SAMPLE_PARTS_MAX;
    memcpy(s->part, info->part, (size_t)s->parts * sizeof *s->part);
}

static void remember_unknown(struct load_client *c, const assent_txid *id, uint32_t op, size_t told)
{
    if (c->unknown_n == c->unknown_cap) {
        c->unknown_cap = c->unknown_cap == 0 ? 8 : 2 * c->unknown_cap;
        c->unknown = xrealloc(c->unknown, c->unknown_cap * sizeof *c->unknown);
    }
    uint64_t at_us = chaos_now_us();
    c->unknown[c->unknown_n++] = (struct load_unknown){
        .txid = *id, .op = op, .told = told, .since_us = at_us, .next_us = at_us + ASK_FIRST_US};
}

static void end_operation(struct load_client *c, uint32_t op, assent_status status, assent_ts ts)
{
    struct load *l = c->load;
    pthread_mutex_lock(&l->lock);
    if (status == ASSENT_OK)
        history_ok(l->history, op, now_ns(), ts);
    else if (assent_maybe_committed(status))
        history_info(l->history, op, now_ns());
    else
        history_fail(l->history, op, now_ns());
    pthread_mutex_unlock(&l->lock);
}

/* The commit alone, measured. While it lasts the client may die. */
static assent_status commit_measured(struct load_client *c, assent_txn *t, struct sample *s,
                                     assent_ts *ts)
{
    struct loads *all = c->load->all;
    assent_commit_info info;
    pthread_mutex_lock(&c->life);
    c->committing = true;
    pthread_mutex_unlock(&c->life);
    s->begin_us = chaos_now_us();
    s->status = assent_commit_within(t, c->load->config->timeout_ms, &info);
    s->end_us = chaos_now_us();
    pthread_mutex_lock(&c->life);
    c->committing = false;
    if (c->db != NULL)
        take_breakdown(s, all->site, &info);
    if (c->db == NULL)
        load_session_end(c);
    else if (c->session != NULL && s->status == ASSENT_OK)
        assent_session_saw(c->session, info.commit_ts);
    pthread_mutex_unlock(&c->life);
    samples_add(all->samples, s);
    *ts = info.commit_ts;
    return s->status;
}

assent_status load_commit(struct load_client *c, assent_txn *t, uint32_t op, load_note note,
                          const void *arg)
{
    struct load *l = c->load;
    struct sample s = {.load = l->config->kind, .datacenter = c->datacenter, .leader_in = -1};
    struct txid txid;
    assent_ts ts;
    t->priority_ms = c->priority_ms;
    load_must(assent_txn_id(t, &s.txid));
    memcpy(txid.b, s.txid.bytes, TXID_BYTES);
    if (c->priority_ms == 0)
        c->priority_ms = txid_ms(&txid);
    uint64_t nodes = nodes_of(l->all->site, t, &s.participants_in);
    pthread_mutex_lock(&l->lock);
    history_txid(l->history, op, &txid);
    pthread_mutex_unlock(&l->lock);
    assent_status status = commit_measured(c, t, &s, &ts);
    c->result_lost = status == ASSENT_OK && assent_txn_read_status(t) != ASSENT_OK;
    if (status == ASSENT_OK && !c->result_lost && note != NULL)
        note(c, t, op, arg);
    end_operation(c, op, status, ts);
    bool unknown = assent_maybe_committed(status);
    size_t told = tell(l->all, &(struct told){s.txid,
                                              status == ASSENT_OK ? ANSWER_COMMITTED
                                              : unknown           ? ANSWER_UNKNOWN
                                                                  : ANSWER_ABORTED,
                                              nodes});
    if (unknown)
        remember_unknown(c, &s.txid, op, told);
    assent_txn_free(t);
    return status;
}

/* ---- strong reads ---- */

assent_status load_strong(struct load_client *c, int at, const struct load_key *key, char **text)
{
    assent_list *list = NULL;
    const char *where = at < 0 ? NULL : c->load->all->site->scenario->datacenter[at];
    const assent_read_options options = {
        .level = ASSENT_STRONG, .session = c->session, .where = where};
    assent_status status = assent_get_with(c->db, key->text, key->len, &options, &list);
    *text = NULL;
    if (status == ASSENT_OK) {
        const assent_entry *e = assent_list_entry(list, 0);
        *text = xmalloc(e->value_len + 1);
        memcpy(*text, e->value, e->value_len);
        (*text)[e->value_len] = '\0';
    }
    assent_list_free(list);
    return status == ASSENT_NOT_FOUND ? ASSENT_OK : status;
}

void load_end_strong(struct load_client *c, uint32_t op, bool good)
{
    struct load *l = c->load;
    pthread_mutex_lock(&l->lock);
    if (good)
        history_ok(l->history, op, now_ns(), 0);
    else
        history_fail(l->history, op, now_ns());
    pthread_mutex_unlock(&l->lock);
}

assent_status load_strong_number(struct load_client *c, int at, const struct load_key *key,
                                 int64_t number, int64_t nil, int64_t *value, uint32_t *op)
{
    char *text;
    struct micro m = {.kind = MICRO_READ, .key = number};
    *op = load_invoke(c, LEVEL_STRONG, &m, 1);
    assent_status status = load_strong(c, at, key, &text);
    *value = text == NULL ? nil : strtoll(text, NULL, 10);
    if (status == ASSENT_OK)
        load_found(c, *op, 0, value, 1);
    load_end_strong(c, *op, status == ASSENT_OK);
    free(text);
    return status;
}
