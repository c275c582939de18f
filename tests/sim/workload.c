/* One worker is one client process that does one operation after the other:
 *
 *     think -> (look at the lists first) -> commit or read -> (ask, while unknown) -> think
 *
 * Appends look at the lists outside of the transaction, and check the values that they found;
 * interactive ones look inside of it, and what they saw is checked as the library does it.
 *
 * A transaction that ends with a retryable status is tried again now and then, under a new id and
 * with its priority kept, as assent_run() does it. */
#include "tests/sim/workload.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/check_bank.h"
#include "chaos/check_counter.h"
#include "chaos/check_cycles.h"
#include "chaos/check_levels.h"
#include "chaos/check_reads_fresh.h"
#include "chaos/check_register.h"
#include "chaos/check_set.h"
#include "chaos/check_timestamps.h"
#include "client/list.h"
#include "client/look.h"
#include "chaos/check_watches.h"
#include "wire/ops_codec.h"

#define MICROS_MAX       8
#define LIST_TEXT_MAX    16384
#define TRIES_MAX        4
#define FINAL_TRIES_MAX  400
#define ASK_TIMEOUT_US   20000000u
#define NUMBERS_MAX      4096
#define FINAL_TIMEOUT_US 10000000u
#define FINAL_REPLICAS   5 /* there are no more participants */

struct worker {
    struct workload *all;
    int index;
    struct client client;
    struct sim_timer timer;
    bool busy; /* an operation is under way, or is asked about */
    enum work work;
    assent_txn *txn;
    int tries;
    uint64_t priority_ms;
    uint32_t op; /* number in its history; HISTORY_NEVER: not invoked */
    int n;
    struct micro micro[MICROS_MAX];
    char *list[MICROS_MAX]; /* text of what was found; NULL: no such key */
    bool ranges;            /* lists are read as ranges of all that a placement has */
    int step;               /* of the look at the lists */
    struct look look;       /* of WORK_INTERACTIVE; t NULL: none is under way */
    bool looked[MICROS_MAX];
    int final;     /* of workload_read_all: which read comes next */
    int replica;   /* of that: at which replica, from 1 on */
    bool ok;       /* the last operation was */
    uint32_t weak; /* number of its read below strong; HISTORY_NEVER: none */
    hlc_ts at;     /* of WORK_SNAPSHOT_ACCOUNTS */
    int64_t balance[WORKLOAD_KEYS_MAX];
    hlc_ts token;     /* of its session, which outlives the process */
    hlc_ts written;   /* the token as it was last written down, for other sessions; 0: never */
    uint32_t writing; /* the number of that */
    /* what it watches and how far it is, which outlive the process, too; since 0: nothing yet */
    struct read_watch watch;
    int64_t watched; /* a list, or -1 - prefix */
};

struct workload {
    struct sim *sim;
    const struct cluster *cluster;
    struct workload_config config;
    struct oracle *oracle;
    struct worker worker[WORKLOAD_CLIENTS_MAX];
    struct history *history[WORKLOAD_COUNTER + 1];
    struct watch_log watches;
    int64_t next_value;
    bool funded;
    bool stopping;
    bool reading_all;
    int final_tries;
    int asking_again; /* questions of workload_ask_again that are under way */
    struct workload_stats stats;
};

static const enum history_kind history_of[WORKS] = {
    [WORK_TRANSFER] = WORKLOAD_BANK,
    [WORK_READ_ACCOUNTS] = WORKLOAD_BANK,
    [WORK_APPEND] = WORKLOAD_LIST,
    [WORK_READ_LISTS] = WORKLOAD_LIST,
    [WORK_READ_LIST_STRONGLY] = WORKLOAD_LIST,
    [WORK_REGISTER_WRITE] = WORKLOAD_REGISTER,
    [WORK_REGISTER_READ] = WORKLOAD_REGISTER,
    [WORK_REGISTER_CAS] = WORKLOAD_REGISTER,
    [WORK_SET_ADD] = WORKLOAD_SET,
    [WORK_SET_READ] = WORKLOAD_SET,
    [WORK_INTERACTIVE] = WORKLOAD_LIST,
    [WORK_COUNTER_ADD] = WORKLOAD_COUNTER,
    [WORK_COUNTER_READ] = WORKLOAD_COUNTER,
};

static void think(struct worker *w);

/* ---- keys and values ---- */

struct key {
    char text[64];
    size_t len;
};

static struct key key_of(const struct workload *all, const char *kind, int64_t number)
{
    struct key key;
    int prefix = (int)(number % all->config.prefixes);
    key.len = (size_t)snprintf(key.text, sizeof key.text, "%s%s%03lld", all->config.prefix[prefix],
                               kind, (long long)number);
    return key;
}

/* The set is one range of one placement. */
static struct key set_key(const struct workload *all, int64_t number)
{
    struct key key;
    key.len = (size_t)snprintf(key.text, sizeof key.text, "%sset/%08lld", all->config.prefix[0],
                               (long long)number);
    return key;
}

/* All lists of a placement are in [from, end). */
static void list_range(const struct workload *all, int prefix, struct key *from, struct key *end)
{
    from->len =
        (size_t)snprintf(from->text, sizeof from->text, "%slist/", all->config.prefix[prefix]);
    end->len = (size_t)snprintf(end->text, sizeof end->text, "%slist0", all->config.prefix[prefix]);
}

static int64_t now_ns(const struct worker *w)
{
    return (int64_t)w->all->sim->now_us * 1000;
}

static struct history *history(const struct worker *w)
{
    return w->all->history[history_of[w->work]];
}

/* Numbers in a text, separated by blanks. */
static uint32_t numbers_of(const char *text, size_t len, int64_t *out)
{
    uint32_t n = 0;
    size_t at = 0;
    while (at < len && n < NUMBERS_MAX) {
        bool negative = text[at] == '-';
        int64_t value = 0;
        for (at += negative; at < len && text[at] != ' '; at++)
            value = value * 10 + (text[at] - '0');
        out[n++] = negative ? -value : value;
        at++;
    }
    return n;
}

/* ---- ends of operations ---- */

static void worker_clear(struct worker *w)
{
    assent_list *none;
    if (w->look.t != NULL)
        look_close(&w->look, ASSENT_CLOSED, &none);
    assent_txn_free(w->txn);
    w->txn = NULL;
    for (int i = 0; i < MICROS_MAX; i++) {
        free(w->list[i]);
        w->list[i] = NULL;
        w->looked[i] = false;
    }
    w->op = HISTORY_NEVER;
    w->busy = false;
}

static void finish(struct worker *w)
{
    worker_clear(w);
    think(w);
}

/* A session for each worker. */
static void session_saw(struct worker *w, hlc_ts ts)
{
    w->token = ts > w->token ? ts : w->token;
}

static void on_asked(struct call *call)
{
    struct worker *w = call->arg;
    assent_status status = call->session.status;
    sim_say(w->all->sim, "%s learns of %s: %s", w->client.end.name,
            sim_txid(&call->session.config.head.txid).text, assent_status_name(status));
    session_saw(w, call->session.commit_ts);
    if (status == ASSENT_OK)
        history_committed(history(w), w->op, now_ns(w), call->session.commit_ts);
    else if (!assent_maybe_committed(status))
        history_aborted(history(w), w->op, now_ns(w));
    finish(w);
}

/* The numbers that a read of the committed transaction found. */
static void note_entry(struct worker *w, uint32_t index, const assent_entry *e)
{
    static int64_t numbers[NUMBERS_MAX];
    uint32_t n = e->found ? numbers_of(e->value, e->value_len, numbers) : 0;
    if (w->work == WORK_REGISTER_READ && n == 0)
        numbers[n++] = HISTORY_NIL;
    if (w->work == WORK_COUNTER_READ && n == 0)
        numbers[n++] = 0;
    history_read(history(w), w->op, index, numbers, n);
}

static void note_accounts(struct worker *w)
{
    int64_t balance[WORKLOAD_KEYS_MAX];
    int accounts = w->all->config.accounts;
    for (int i = 0; i < accounts; i++) {
        struct key key = key_of(w->all, "account/", i);
        balance[i] = HISTORY_NIL;
        for (size_t e = 0; e < assent_txn_entries(w->txn); e++) {
            assent_entry entry;
            assent_txn_entry(w->txn, e, &entry);
            if (entry.found && entry.key_len == key.len &&
                memcmp(entry.key, key.text, key.len) == 0)
                numbers_of(entry.value, entry.value_len, &balance[i]);
        }
    }
    history_read(history(w), w->op, 0, balance, (uint32_t)accounts);
}

static void note_set(struct worker *w)
{
    static int64_t found[NUMBERS_MAX];
    uint32_t n = 0;
    for (size_t e = 0; e < assent_txn_entries(w->txn); e++) {
        assent_entry entry;
        assent_txn_entry(w->txn, e, &entry);
        if (entry.truncated || n == NUMBERS_MAX)
            return; /* not the whole set: no result */
        if (entry.found)
            n += numbers_of((const char *)entry.key + entry.key_len - 8, 8, &found[n]);
    }
    history_read(history(w), w->op, 0, found, n);
}

static void note_lists(struct worker *w)
{
    for (int i = 0; i < w->n; i++) {
        struct key key = key_of(w->all, "list/", w->micro[i].key);
        bool seen = !w->ranges; /* who is not in a range is not there at all */
        if (w->micro[i].kind != MICRO_READ || w->list[i] != NULL)
            continue;
        for (size_t e = 0; e < assent_txn_entries(w->txn); e++) {
            assent_entry entry;
            assent_txn_entry(w->txn, e, &entry);
            seen |= entry.truncated;
            if (entry.key_len != key.len || memcmp(entry.key, key.text, key.len) != 0)
                continue;
            note_entry(w, (uint32_t)i, &entry);
            seen = true;
        }
        if (!seen)
            history_read(history(w), w->op, (uint32_t)i, NULL, 0);
    }
}

static void note_results(struct worker *w)
{
    assent_entry entry;
    switch (w->work) {
    case WORK_READ_ACCOUNTS:
        note_accounts(w);
        break;
    case WORK_SET_READ:
        note_set(w);
        break;
    case WORK_READ_LISTS:
        note_lists(w);
        break;
    case WORK_REGISTER_READ:
    case WORK_COUNTER_READ:
        if (assent_txn_entries(w->txn) == 1) {
            assent_txn_entry(w->txn, 0, &entry);
            note_entry(w, 0, &entry);
        }
        break;
    default:
        break;
    }
}

static void attempt(struct worker *w);

static void on_commit(struct call *call)
{
    struct worker *w = call->arg;
    struct workload *all = w->all;
    assent_status status = call->session.status;
    sim_say(all->sim, "%s ends %s: %s", w->client.end.name, sim_txid(&w->txn->txid).text,
            assent_status_name(status));
    if (w->op == HISTORY_NEVER) { /* the funding */
        /* A check that fails: an attempt without an answer had committed. */
        all->funded = all->funded || status == ASSENT_OK || status == ASSENT_CHECK_FAILED;
        finish(w);
        return;
    }
    history_txid(history(w), w->op, &w->txn->txid);
    if (status == ASSENT_OK) {
        txn_take_results(w->txn, call->session.results);
        if (assent_txn_read_status(w->txn) == ASSENT_OK)
            note_results(w);
        session_saw(w, call->session.commit_ts);
        history_ok(history(w), w->op, now_ns(w), call->session.commit_ts);
        all->stats.ok++;
        w->ok = true;
        finish(w);
    } else if (assent_maybe_committed(status)) {
        history_info(history(w), w->op, now_ns(w));
        all->stats.unknown++;
        client_ask(&w->client, &w->txn->txid, ASK_TIMEOUT_US, on_asked, w);
    } else if (assent_retryable(status) && ++w->tries < TRIES_MAX &&
               (w->work == WORK_TRANSFER || w->work == WORK_READ_ACCOUNTS ||
                w->work == WORK_COUNTER_ADD || w->work == WORK_SET_ADD)) {
        w->priority_ms = w->txn->priority_ms;
        assent_txn_free(w->txn);
        w->txn = NULL;
        attempt(w);
    } else {
        history_fail(history(w), w->op, now_ns(w));
        all->stats.failed++;
        finish(w);
    }
}

/* ---- operations ---- */

static void put_number(assent_txn *t, const struct key *key, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)value);
    assent_put(t, key->text, key->len, text, (size_t)len);
}

static void build_append(struct worker *w, int i)
{
    const struct micro *m = &w->micro[i];
    struct key key = key_of(w->all, "list/", m->key);
    char text[LIST_TEXT_MAX];
    if (m->kind == MICRO_READ) {
        if (w->list[i] == NULL)
            assent_check_absent(w->txn, key.text, key.len);
        else
            assent_check_value(w->txn, key.text, key.len, w->list[i], strlen(w->list[i]));
        return;
    }
    const char *old = w->list[i - 1];
    int len = snprintf(text, sizeof text, "%s%s%lld", old == NULL ? "" : old,
                       old == NULL ? "" : " ", (long long)m->value);
    assent_put(w->txn, key.text, key.len, text, (size_t)len);
}

static void build_cas(struct worker *w, const struct key *key)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)w->micro[0].other);
    if (w->micro[0].other == HISTORY_NIL)
        assent_check_absent(w->txn, key->text, key->len);
    else
        assent_check_value(w->txn, key->text, key->len, text, (size_t)len);
    put_number(w->txn, key, w->micro[0].value);
}

static void build_reads(struct worker *w)
{
    uint32_t taken = 0;
    for (int i = 0; i < w->n; i++) {
        struct key key = key_of(w->all, "list/", w->micro[i].key), end;
        int prefix = (int)(w->micro[i].key % w->all->config.prefixes);
        if (!w->ranges) {
            assent_read(w->txn, key.text, key.len);
        } else if ((taken & 1u << prefix) == 0) {
            list_range(w->all, prefix, &key, &end);
            assent_read_range(w->txn, key.text, key.len, end.text, end.len, 0);
        }
        taken |= 1u << prefix;
    }
}

static void build(struct worker *w)
{
    const struct micro *m = &w->micro[0];
    const assent_bounds not_negative = {.has_lower = true, .lower = 0};
    struct key key, end;
    switch (w->work) {
    case WORK_TRANSFER:
        key = key_of(w->all, "account/", m->key);
        assent_add(w->txn, key.text, key.len, -m->value, &not_negative);
        key = key_of(w->all, "account/", m->other);
        assent_add(w->txn, key.text, key.len, m->value, NULL);
        break;
    case WORK_READ_ACCOUNTS:
        for (int i = 0; i < w->all->config.accounts; i++) {
            key = key_of(w->all, "account/", i);
            assent_read(w->txn, key.text, key.len);
        }
        break;
    case WORK_APPEND:
        for (int i = 0; i < w->n; i++)
            build_append(w, i);
        break;
    case WORK_READ_LISTS:
        build_reads(w);
        break;
    case WORK_REGISTER_WRITE:
        key = key_of(w->all, "register/", m->key);
        put_number(w->txn, &key, m->value);
        break;
    case WORK_REGISTER_CAS:
        key = key_of(w->all, "register/", m->key);
        build_cas(w, &key);
        break;
    case WORK_REGISTER_READ:
        key = key_of(w->all, "register/", m->key);
        assent_read(w->txn, key.text, key.len);
        break;
    case WORK_SET_ADD:
        key = set_key(w->all, m->value);
        put_number(w->txn, &key, 1);
        break;
    case WORK_SET_READ:
        key = set_key(w->all, 0);
        end = set_key(w->all, 99999999);
        assent_read_range(w->txn, key.text, key.len, end.text, end.len, 0);
        break;
    case WORK_COUNTER_ADD:
        key = key_of(w->all, "counter/", m->key);
        assent_add(w->txn, key.text, key.len, m->value, NULL);
        break;
    case WORK_COUNTER_READ:
        key = key_of(w->all, "counter/", m->key);
        assent_read(w->txn, key.text, key.len);
        break;
    case WORK_READ_LIST_STRONGLY:
    case WORK_READ_AT_LEVEL:
    case WORK_SNAPSHOT_ACCOUNTS:
    case WORK_INTERACTIVE:
    case WORK_WATCH:
    case WORKS:
        break;
    }
}

static uint64_t timeout_us(const struct worker *w)
{
    return w->all->reading_all ? FINAL_TIMEOUT_US : w->all->config.timeout_us;
}

static void attempt(struct worker *w)
{
    w->txn = txn_new(NULL, w->all->cluster, w->client.end.datacenter);
    w->txn->priority_ms = w->priority_ms;
    build(w);
    client_commit(&w->client, w->txn, timeout_us(w), on_commit, w);
}

static void invoke(struct worker *w)
{
    enum level level = w->work == WORK_READ_LIST_STRONGLY ? LEVEL_STRONG : LEVEL_TRANSACTION;
    w->op = history_invoke(history(w), (uint32_t)w->index, (uint32_t)w->client.end.datacenter,
                           level, now_ns(w), w->micro, (uint32_t)w->n);
    history_session(history(w), w->op, (uint32_t)w->index);
    for (int i = 0; i < w->n; i++) {
        static int64_t numbers[NUMBERS_MAX];
        if ((w->work != WORK_APPEND && w->work != WORK_INTERACTIVE) ||
            w->micro[i].kind != MICRO_READ)
            continue;
        uint32_t n = w->list[i] == NULL ? 0 : numbers_of(w->list[i], strlen(w->list[i]), numbers);
        history_read(history(w), w->op, (uint32_t)i, numbers, n);
    }
}

/* ---- reading one key of one placement, strongly ---- */

static struct blob *read_ops(const struct key *key)
{
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key->text, key->len)};
    return ops_encode(&op, 1);
}

/* The text of the value, or NULL. */
static char *value_of(struct blob *blob)
{
    struct results results;
    char *text = NULL;
    if (blob == NULL || results_decode(blob, &results) != ASSENT_OK)
        return NULL;
    if (results.n == 1 && results.result[0].found) {
        struct bytes v = results.result[0].value;
        text = xmalloc(v.len + 1);
        memcpy(text, v.data, v.len);
        text[v.len] = '\0';
    }
    results_free(&results);
    return text;
}

static void read_list(struct worker *w, int i, void (*done)(struct call *call))
{
    struct key key = key_of(w->all, "list/", w->micro[i].key);
    client_read(&w->client, cluster_place(w->all->cluster, bytes_of(key.text, key.len)),
                read_ops(&key), &(struct client_reading){.level = READ_STRONG},
                w->all->config.timeout_us, done, w);
}

static void on_strong_read(struct call *call)
{
    struct worker *w = call->arg;
    if (call->read.status != ASSENT_OK) {
        history_fail(history(w), w->op, now_ns(w));
        finish(w);
        return;
    }
    static int64_t numbers[NUMBERS_MAX];
    char *text = value_of(call->read.results);
    uint32_t n = text == NULL ? 0 : numbers_of(text, strlen(text), numbers);
    free(text);
    session_saw(w, call->read.ts);
    history_read(history(w), w->op, 0, numbers, n);
    history_ok(history(w), w->op, now_ns(w), 0);
    finish(w);
}

/* ---- reading at other levels ---- */

static struct history *lists(const struct worker *w)
{
    return w->all->history[WORKLOAD_LIST];
}

static void on_level_read(struct call *call)
{
    struct worker *w = call->arg;
    static int64_t numbers[NUMBERS_MAX];
    uint32_t weak = w->weak;
    w->weak = HISTORY_NEVER;
    if (call->read.status == ASSENT_OK) {
        char *text = value_of(call->read.results);
        uint32_t n = text == NULL ? 0 : numbers_of(text, strlen(text), numbers);
        free(text);
        bool aged =
            call->read.stale_us != STALE_UNKNOWN && lists(w)->weak[weak].level != READ_SNAPSHOT;
        history_weak_found(lists(w), weak, 0, numbers, n);
        history_weak_ok(lists(w), weak, now_ns(w), call->read.ts,
                        aged ? (int64_t)call->read.stale_us * 1000 : HISTORY_AGE_UNKNOWN);
        session_saw(w, call->read.ts);
        w->ok = true;
    } else {
        history_weak_fail(lists(w), weak, now_ns(w));
    }
    finish(w);
}

static hlc_ts some_snapshot(struct worker *w)
{
    hlc_ts now = client_now(&w->client);
    if (sim_one_in(w->all->sim, 3)) /* clocks differ, and so this is asked for */
        return now + hlc_from_ms(sim_below(w->all->sim, sim_one_in(w->all->sim, 2) ? 4000 : 500));
    uint64_t most_ms = sim_one_in(w->all->sim, 6) ? 2 * w->all->cluster->retention_ms : 2000;
    uint64_t back_ms = sim_one_in(w->all->sim, 3) ? 0 : sim_below(w->all->sim, most_ms);
    return now - hlc_from_ms(back_ms);
}

/* Now and then the token is written down, or the session goes on from another one's. */
static void move_token(struct worker *w)
{
    struct workload *all = w->all;
    const struct worker *from = &all->worker[sim_below(all->sim, (uint64_t)all->config.clients)];
    if (sim_one_in(all->sim, 4)) {
        w->written = w->token;
        w->writing = history_export(lists(w), (uint32_t)w->index, (uint32_t)w->index, now_ns(w));
    } else if (from != w && from->written != 0 && sim_one_in(all->sim, 3)) {
        session_saw(w, from->written);
        hlc_merge(&w->client.clock, from->written);
        history_import(lists(w), (uint32_t)w->index, (uint32_t)w->index, from->writing, now_ns(w));
    }
}

static void read_at_level(struct worker *w)
{
    struct weak_how how = {.session = (uint32_t)w->index,
                           .bound_ns = HISTORY_AGE_UNKNOWN,
                           .after_all = w->all->reading_all};
    struct client_reading reading = {0};
    struct key key = key_of(w->all, "list/", w->micro[0].key);
    static const enum read_level levels[] = {READ_SESSION, READ_SNAPSHOT, READ_BOUNDED,
                                             READ_EVENTUAL};
    if (w->all->reading_all)
        reading.replica = w->replica;
    else
        move_token(w);
    reading.level = how.level = levels[w->all->reading_all ? 3 : sim_below(w->all->sim, 4)];
    if (how.level == READ_SNAPSHOT)
        reading.at = how.asked = some_snapshot(w);
    if (how.level == READ_SESSION)
        reading.at = how.asked = w->token;
    if (how.level == READ_BOUNDED) {
        reading.stale_ms = (uint32_t)sim_below(w->all->sim, sim_one_in(w->all->sim, 2) ? 5 : 500);
        how.bound_ns = (int64_t)reading.stale_ms * 1000000;
    }
    w->weak = history_weak_invoke(lists(w), (uint32_t)w->index, (uint32_t)w->client.end.datacenter,
                                  &how, now_ns(w), w->micro, 1);
    client_read(&w->client, cluster_place(w->all->cluster, bytes_of(key.text, key.len)),
                read_ops(&key), &reading, timeout_us(w), on_level_read, w);
}

/* ---- watching ---- */

static uint64_t watched_lists(const struct worker *w)
{
    uint64_t lists = 0;
    for (int i = 0; i < w->all->config.lists; i++)
        if (i == w->watched || i % w->all->config.prefixes == -1 - w->watched)
            lists |= UINT64_C(1) << i;
    return lists;
}

static void note_watch(struct worker *w, enum watch_seen_kind kind, hlc_ts ts)
{
    watch_log_add(&w->all->watches, &(struct watch_seen){.kind = kind,
                                                         .watcher = (uint32_t)w->index,
                                                         .ts = ts,
                                                         .at_ns = now_ns(w),
                                                         .keys = watched_lists(w)});
}

static void note_changes(struct worker *w, struct blob *blob)
{
    static int64_t numbers[NUMBERS_MAX];
    struct results results;
    if (blob == NULL)
        return;
    if (results_decode(blob, &results) != ASSENT_OK) {
        sim_fail(w->all->sim, "watch", "an answer cannot be decoded");
        return;
    }
    for (uint32_t i = 0; i < results.n; i++) {
        const struct result *r = &results.result[i];
        struct watch_seen seen = {.kind = WATCH_SEEN_LIST, .watcher = (uint32_t)w->index};
        for (seen.key = 0; seen.key < w->all->config.lists; seen.key++) {
            struct key key = key_of(w->all, "list/", seen.key);
            if (bytes_equal(r->key, bytes_of(key.text, key.len)))
                break;
        }
        seen.n = numbers_of((const char *)r->value.data, r->value.len, numbers);
        seen.values = numbers;
        watch_log_add(&w->all->watches, &seen);
    }
    results_free(&results);
}

static void on_watched(struct call *call)
{
    struct worker *w = call->arg;
    const struct read *r = &call->read;
    bool first = w->watch.since == 0;
    w->ok = r->status == ASSENT_OK || r->watch.since != w->watch.since;
    w->watch = r->watch;
    if (r->status == ASSENT_BEHIND || r->status == ASSENT_CLOCK_AHEAD) {
        sim_say(w->all->sim, "%s begins to watch anew", w->client.end.name);
        w->all->stats.behind += r->status == ASSENT_BEHIND;
        w->watch.since = 0;
        w->ok = true;
    } else {
        if (first && r->watch.since != 0)
            note_watch(w, WATCH_SEEN_BEGIN, r->watch.since);
        note_changes(w, r->results);
        if (r->watch.since != 0)
            note_watch(w, WATCH_SEEN_UPTO, r->watch.since);
        w->all->stats.told += r->results != NULL;
    }
    finish(w);
}

static void watch(struct worker *w)
{
    struct workload *all = w->all;
    struct key key, end;
    struct op op = {.kind = OP_READ_KEY};
    if (w->watch.since == 0 || sim_one_in(all->sim, 20)) {
        w->watched = (int64_t)sim_below(all->sim, (uint64_t)all->config.lists);
        if (sim_one_in(all->sim, 2))
            w->watched = -1 - w->watched % all->config.prefixes;
        w->watch = (struct read_watch){.on = true};
        if (sim_one_in(all->sim, 2)) {
            w->watch.since = client_now(&w->client) - hlc_from_ms(sim_below(all->sim, 500));
            note_watch(w, WATCH_SEEN_FROM, w->watch.since);
        }
    }
    if (w->watched >= 0) {
        key = key_of(all, "list/", w->watched);
    } else {
        list_range(all, (int)(-1 - w->watched), &key, &end);
        op.kind = OP_READ_RANGE;
        op.end = bytes_of(end.text, end.len);
    }
    op.key = bytes_of(key.text, key.len);
    uint64_t most_us = sim_one_in(all->sim, 3) ? timeout_us(w) : 200000;
    /* often at whatever replica, with a cursor of another one */
    struct client_reading reading = {
        .watch = w->watch,
        .replica = sim_one_in(all->sim, 2) ? 1 + (int)sim_below(all->sim, REPLICAS_MAX) : 0};
    client_read(&w->client, cluster_place(all->cluster, op.key), ops_encode(&op, 1), &reading,
                1000 + sim_below(all->sim, most_us), on_watched, w);
}

static void snapshot_account(struct worker *w);

static void on_account(struct call *call)
{
    struct worker *w = call->arg;
    struct history *bank = w->all->history[WORKLOAD_BANK];
    uint32_t weak = w->weak, accounts = (uint32_t)w->all->config.accounts;
    char *text = call->read.status == ASSENT_OK ? value_of(call->read.results) : NULL;
    if (text == NULL) { /* not answered, or from before the funding */
        w->weak = HISTORY_NEVER;
        history_weak_fail(bank, weak, now_ns(w));
        finish(w);
        return;
    }
    numbers_of(text, strlen(text), &w->balance[w->step]);
    free(text);
    if (++w->step < w->all->config.accounts) {
        snapshot_account(w);
        return;
    }
    w->weak = HISTORY_NEVER;
    history_weak_found(bank, weak, 0, w->balance, accounts);
    history_weak_ok(bank, weak, now_ns(w), w->at, HISTORY_AGE_UNKNOWN);
    w->ok = true;
    finish(w);
}

/* One after the other, all at the same timestamp. */
static void snapshot_account(struct worker *w)
{
    struct key key = key_of(w->all, "account/", w->step);
    struct client_reading how = {.level = READ_SNAPSHOT, .at = w->at};
    client_read(&w->client, cluster_place(w->all->cluster, bytes_of(key.text, key.len)),
                read_ops(&key), &how, timeout_us(w), on_account, w);
}

static void snapshot_accounts(struct worker *w)
{
    const struct weak_how how = {.level = READ_SNAPSHOT,
                                 .session = HISTORY_NO_SESSION,
                                 .asked = w->at = some_snapshot(w),
                                 .bound_ns = HISTORY_AGE_UNKNOWN};
    w->weak = history_weak_invoke(w->all->history[WORKLOAD_BANK], (uint32_t)w->index,
                                  (uint32_t)w->client.end.datacenter, &how, now_ns(w), w->micro, 1);
    snapshot_account(w);
}

/* Before an append: what the lists hold now. The commit checks that it is still so. */
static void on_looked(struct call *call)
{
    struct worker *w = call->arg;
    if (call->read.status != ASSENT_OK) {
        finish(w);
        return;
    }
    w->list[w->step] = value_of(call->read.results);
    if (w->list[w->step] != NULL && strlen(w->list[w->step]) > LIST_TEXT_MAX - 64) {
        finish(w);
        return;
    }
    do
        w->step++;
    while (w->step < w->n && w->micro[w->step].kind != MICRO_READ);
    if (w->step < w->n) {
        read_list(w, w->step, on_looked);
        return;
    }
    invoke(w);
    attempt(w);
}

/* ---- looking inside of a transaction ---- */

/* What it saw is a cut at its snapshot; nothing else is promised of it, and its session is not
 * told.
 */
static void note_snapshot(struct worker *w)
{
    static int64_t numbers[NUMBERS_MAX];
    hlc_ts at = assent_txn_snapshot(w->txn);
    const struct weak_how how = {.level = READ_SNAPSHOT,
                                 .session = HISTORY_NO_SESSION,
                                 .asked = at,
                                 .bound_ns = HISTORY_AGE_UNKNOWN};
    uint32_t weak =
        history_weak_invoke(lists(w), (uint32_t)w->index, (uint32_t)w->client.end.datacenter, &how,
                            now_ns(w), w->micro, (uint32_t)w->n);
    for (int i = 0; i < w->n; i++) {
        const char *text = w->list[i] == NULL ? "" : w->list[i];
        history_weak_found(lists(w), weak, (uint32_t)i, numbers,
                           numbers_of(text, strlen(text), numbers));
    }
    history_weak_ok(lists(w), weak, now_ns(w), at, HISTORY_AGE_UNKNOWN);
}

static void interactive_end(struct worker *w)
{
    if (w->micro[w->n - 1].kind == MICRO_READ && sim_one_in(w->all->sim, 3))
        assent_txn_strict(w->txn);
    if (look_only(w->txn)) {
        note_snapshot(w);
        w->all->stats.ok++;
        w->ok = true;
        finish(w);
        return;
    }
    invoke(w);
    client_commit(&w->client, w->txn, timeout_us(w), on_commit, w);
}

/* A list that the transaction saw; once it has appended to it, that must be what it sees. */
static void note_look(struct worker *w, int i, const assent_entry *e)
{
    char text[LIST_TEXT_MAX];
    bool found = e != NULL && e->found;
    if (w->looked[i]) {
        const char *old = w->list[i] == NULL ? "" : w->list[i];
        bool appended = i + 1 < w->n && w->micro[i + 1].kind == MICRO_APPEND;
        int len = appended ? snprintf(text, sizeof text, "%s%s%lld", old, *old == '\0' ? "" : " ",
                                      (long long)w->micro[i + 1].value)
                           : snprintf(text, sizeof text, "%s", old);
        if (len != (int)(found ? e->value_len : 0) ||
            (found && memcmp(e->value, text, e->value_len) != 0))
            sim_fail(w->all->sim, "own writes",
                     "%s sees \"%.*s\" where it has seen or written \"%s\"", w->client.end.name,
                     found ? (int)e->value_len : 0, found ? (const char *)e->value : "", text);
        return;
    }
    w->looked[i] = true;
    if (found) {
        w->list[i] = xmalloc(e->value_len + 1);
        memcpy(w->list[i], e->value, e->value_len);
        w->list[i][e->value_len] = '\0';
    }
    if (i + 1 < w->n && w->micro[i + 1].kind == MICRO_APPEND)
        build_append(w, i + 1);
}

static const assent_entry *entry_of_key(const assent_list *list, const struct key *key)
{
    for (size_t i = 0; i < assent_list_size(list); i++) {
        const assent_entry *e = assent_list_entry(list, i);
        if (e->key_len == key->len && memcmp(e->key, key->text, key->len) == 0)
            return e;
    }
    return NULL;
}

/* All lists of a range that was read, or the one that was. */
static bool note_looks(struct worker *w, const assent_list *list, bool range)
{
    for (int i = 0; i < w->n; i++) {
        struct key key = key_of(w->all, "list/", w->micro[i].key);
        bool same = w->micro[i].key % w->all->config.prefixes ==
                    w->micro[w->step].key % w->all->config.prefixes;
        if (w->micro[i].kind != MICRO_READ || (range ? !same : i != w->step))
            continue;
        const assent_entry *e = entry_of_key(list, &key);
        if (e != NULL && e->found && e->value_len > LIST_TEXT_MAX - 64)
            return false;
        note_look(w, i, e);
    }
    return true;
}

static void look_at_list(struct worker *w);

static void look_next(struct worker *w, assent_status status)
{
    assent_list *list;
    bool range = w->look.op.kind == OP_READ_RANGE;
    status = look_close(&w->look, status, &list);
    bool good = (status == ASSENT_OK || status == ASSENT_NOT_FOUND) && note_looks(w, list, range);
    assent_list_free(list);
    if (!good) {
        finish(w);
        return;
    }
    /* some again, after its own writes */
    if (sim_one_in(w->all->sim, 8)) {
        look_at_list(w);
        return;
    }
    do
        w->step++;
    while (w->step < w->n && (w->micro[w->step].kind != MICRO_READ || w->looked[w->step]));
    if (w->step < w->n)
        look_at_list(w);
    else
        interactive_end(w);
}

static void look_ask_for(struct worker *w);

static void on_look(struct call *call)
{
    struct worker *w = call->arg;
    assent_list *list = NULL;
    assent_status status = call->read.status;
    if (status == ASSENT_OK)
        status = list_new(call->read.results, &list);
    if (status == ASSENT_OK)
        list_describe(list, &(assent_read_info){.ts = call->read.ts});
    status = look_answer(&w->look, status, list, assent_status_text(status));
    if (status == ASSENT_OK && w->look.asks)
        look_ask_for(w);
    else
        look_next(w, status);
}

static void look_ask_for(struct worker *w)
{
    const struct look *l = &w->look;
    bool first = l->options.level == ASSENT_SESSION;
    struct client_reading how = {.level = first ? READ_SESSION : READ_SNAPSHOT,
                                 .at = first ? l->session.ts : l->options.snapshot};
    client_read(&w->client, cluster_place(w->all->cluster, l->op.key), ops_encode(&l->op, 1), &how,
                timeout_us(w), on_look, w);
}

static void look_at_list(struct worker *w)
{
    struct key key = key_of(w->all, "list/", w->micro[w->step].key), end;
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key.text, key.len)};
    if (sim_one_in(w->all->sim, 3)) {
        list_range(w->all, (int)(w->micro[w->step].key % w->all->config.prefixes), &key, &end);
        op = (struct op){.kind = OP_READ_RANGE,
                         .key = bytes_of(key.text, key.len),
                         .end = bytes_of(end.text, end.len),
                         .descending = sim_one_in(w->all->sim, 2)};
    }
    assent_status status = look_open(&w->look, w->txn, &op, client_now(&w->client));
    if (status != ASSENT_OK)
        sim_fail(w->all->sim, "interactive", "a read is refused: %s", assent_error());
    else if (w->look.asks)
        look_ask_for(w);
    else
        look_next(w, ASSENT_OK);
}

static void begin_interactive(struct worker *w)
{
    w->txn = txn_new(NULL, w->all->cluster, w->client.end.datacenter);
    look_at_list(w);
}

/* ---- choosing ---- */

static int64_t some(struct worker *w, int keys)
{
    /* Some keys are hot. */
    uint64_t bound = sim_one_in(w->all->sim, 2) ? (uint64_t)(keys + 2) / 3 : (uint64_t)keys;
    return (int64_t)sim_below(w->all->sim, bound);
}

static void choose_lists(struct worker *w)
{
    int lists = w->all->config.lists;
    int want = 1 + (int)sim_below(w->all->sim, lists < 3 ? (uint64_t)lists : 3);
    uint32_t taken = 0;
    w->n = 0;
    while (want-- > 0) {
        int64_t key = some(w, lists);
        if ((taken & 1u << key) != 0)
            continue;
        taken |= 1u << key;
        w->micro[w->n++] = (struct micro){.kind = MICRO_READ, .key = key};
        bool appends = w->work == WORK_APPEND && (w->n == 1 || sim_one_in(w->all->sim, 2));
        if (appends || (w->work == WORK_INTERACTIVE && sim_one_in(w->all->sim, 2)))
            w->micro[w->n++] =
                (struct micro){.kind = MICRO_APPEND, .key = key, .value = w->all->next_value++};
    }
}

static bool only_watches(const struct worker *w)
{
    return w->index >= w->all->config.clients - w->all->config.watchers;
}

static void choose_work(struct worker *w)
{
    const uint32_t *weight = w->all->config.weight;
    uint64_t total = 0;
    w->work = WORK_WATCH;
    if (only_watches(w))
        return;
    for (int i = 0; i < WORKS; i++)
        total += weight[i];
    uint64_t pick = sim_below(w->all->sim, total);
    w->work = 0;
    while (pick >= weight[w->work])
        pick -= weight[w->work++];
}

static void choose(struct worker *w)
{
    struct workload *all = w->all;
    struct micro m = {.kind = MICRO_READ};
    w->n = 1;
    switch (w->work) {
    case WORK_TRANSFER:
        m.kind = MICRO_TRANSFER;
        m.key = some(w, all->config.accounts);
        m.other = (m.key + 1 + (int64_t)sim_below(all->sim, (uint64_t)all->config.accounts - 1)) %
                  all->config.accounts;
        m.value = 1 + (int64_t)sim_below(all->sim, 40);
        break;
    case WORK_REGISTER_WRITE:
    case WORK_REGISTER_CAS:
        m.kind = w->work == WORK_REGISTER_CAS ? MICRO_CAS : MICRO_WRITE;
        m.key = some(w, all->config.registers);
        m.value = (int64_t)sim_below(all->sim, 5);
        m.other = sim_one_in(all->sim, 6) ? HISTORY_NIL : (int64_t)sim_below(all->sim, 5);
        break;
    case WORK_REGISTER_READ:
        m.key = some(w, all->config.registers);
        break;
    case WORK_SET_ADD:
        m.kind = MICRO_ADD;
        m.value = all->next_value++;
        break;
    case WORK_COUNTER_ADD:
        m.kind = MICRO_ADD;
        m.key = some(w, all->config.counters);
        m.value = 1 + (int64_t)sim_below(all->sim, 3);
        break;
    case WORK_COUNTER_READ:
        m.key = some(w, all->config.counters);
        break;
    case WORK_READ_LIST_STRONGLY:
    case WORK_READ_AT_LEVEL:
        m.key = some(w, all->config.lists);
        break;
    case WORK_APPEND:
    case WORK_READ_LISTS:
    case WORK_INTERACTIVE:
        choose_lists(w);
        return;
    case WORK_READ_ACCOUNTS:
    case WORK_SNAPSHOT_ACCOUNTS:
    case WORK_SET_READ:
    case WORK_WATCH:
    case WORKS:
        break;
    }
    w->micro[0] = m;
}

static void begin(struct worker *w)
{
    w->busy = true;
    w->ok = false;
    w->tries = 0;
    w->priority_ms = 0;
    w->step = 0;
    w->ranges = w->work == WORK_READ_LISTS && sim_one_in(w->all->sim, 3);
    if (w->work == WORK_APPEND) {
        read_list(w, 0, on_looked);
        return;
    }
    if (w->work == WORK_READ_AT_LEVEL) {
        read_at_level(w);
        return;
    }
    if (w->work == WORK_INTERACTIVE) {
        begin_interactive(w);
        return;
    }
    if (w->work == WORK_WATCH) {
        watch(w);
        return;
    }
    if (w->work == WORK_SNAPSHOT_ACCOUNTS) {
        snapshot_accounts(w);
        return;
    }
    invoke(w);
    if (w->work == WORK_READ_LIST_STRONGLY)
        read_list(w, 0, on_strong_read);
    else
        attempt(w);
}

static void fund(struct worker *w)
{
    w->busy = true;
    w->work = WORK_TRANSFER;
    w->txn = txn_new(NULL, w->all->cluster, w->client.end.datacenter);
    for (int i = 0; i < w->all->config.accounts; i++) {
        struct key key = key_of(w->all, "account/", i);
        assent_check_absent(w->txn, key.text, key.len);
        put_number(w->txn, &key, WORKLOAD_MONEY);
    }
    client_commit(&w->client, w->txn, timeout_us(w), on_commit, w);
}

/* The final reads, one kind and key after the other, each until it succeeds. */
static bool choose_final(struct worker *w)
{
    const struct workload_config *c = &w->all->config;
    int step = w->final;
    struct micro m = {.kind = MICRO_READ};
    w->n = 1;
    if (step < c->lists) {
        w->work = WORK_READ_LISTS;
        m.key = step;
    } else if ((step -= c->lists) < c->registers) {
        w->work = WORK_REGISTER_READ;
        m.key = step;
    } else if ((step -= c->registers) < c->counters) {
        w->work = WORK_COUNTER_READ;
        m.key = step;
    } else if ((step -= c->counters) == 0) {
        w->work = WORK_READ_ACCOUNTS;
    } else if (step == 1) {
        w->work = WORK_SET_READ;
    } else if ((step -= 2) < c->lists * FINAL_REPLICAS) {
        w->work = WORK_READ_AT_LEVEL;
        m.key = step % c->lists;
        w->replica = 1 + step / c->lists;
    } else if (step == c->lists * FINAL_REPLICAS) {
        w->work = WORK_WATCH;
    } else {
        return false;
    }
    w->micro[0] = m;
    return true;
}

static void on_think(void *arg)
{
    struct worker *w = arg;
    struct workload *all = w->all;
    if (all->stopping) /* what is read at the end, nobody may change any more */
        return;
    if (!w->client.alive) {
        client_start(&w->client);
        hlc_merge(&w->client.clock, w->token); /* as a program does that takes a session over */
        think(w);
        return;
    }
    if (!all->funded) {
        if (w->index == 0)
            fund(w);
        else
            think(w);
        return;
    }
    choose_work(w);
    choose(w);
    begin(w);
}

static void on_final(void *arg);

static void think(struct worker *w)
{
    if (w->all->reading_all) {
        w->timer.fire = on_final;
        sim_at(w->all->sim, &w->timer, w->all->sim->now_us + (w->ok ? 1000 : 300000));
        return;
    }
    uint64_t think_us = only_watches(w) ? 0 : w->all->config.think_us;
    uint64_t us = 100 + sim_below(w->all->sim, 2 * think_us + 1);
    if (!w->all->funded)
        us += 10000;
    w->timer.fire = on_think;
    sim_at(w->all->sim, &w->timer, w->all->sim->now_us + us);
}

static void on_final(void *arg)
{
    struct worker *w = arg;
    w->final += w->ok;
    w->ok = false;
    if (w->all->funded && !choose_final(w)) {
        w->all->reading_all = false;
        return;
    }
    if (++w->all->final_tries > FINAL_TRIES_MAX) {
        sim_fail(w->all->sim, "I9", "the final reads do not succeed, although nothing fails");
        return;
    }
    if (w->all->funded)
        begin(w);
    else
        fund(w);
}

/* ---- set-up ---- */

struct workload *workload_new(struct sim *sim, struct net *net, const struct cluster *cluster,
                              const struct workload_config *config, struct oracle *oracle)
{
    struct workload *all = xcalloc(1, sizeof *all);
    all->sim = sim;
    all->cluster = cluster;
    all->config = *config;
    all->oracle = oracle;
    all->next_value = 1;
    for (enum history_kind i = WORKLOAD_LIST; i <= WORKLOAD_COUNTER; i++)
        all->history[i] = history_new(i, (uint32_t)config->clients);
    for (int i = 0; i < config->clients; i++) {
        struct worker *w = &all->worker[i];
        w->all = all;
        w->index = i;
        w->op = w->weak = HISTORY_NEVER;
        w->timer = (struct sim_timer){.fire = on_think, .arg = w};
        client_init(&w->client, sim, net, cluster, &cluster->client[i], i % cluster->datacenters);
        w->client.watch = oracle_client_watch(oracle);
        w->client.repeat_one_in = config->repeat_one_in;
    }
    return all;
}

void workload_free(struct workload *all)
{
    for (int i = 0; i < all->config.clients; i++) {
        client_free(&all->worker[i].client);
        worker_clear(&all->worker[i]);
        sim_clear(all->sim, &all->worker[i].timer);
    }
    for (enum history_kind i = WORKLOAD_LIST; i <= WORKLOAD_COUNTER; i++)
        history_free(all->history[i]);
    watch_log_free(&all->watches);
    free(all);
}

void workload_start(struct workload *all)
{
    for (int i = 0; i < all->config.clients; i++) {
        client_start(&all->worker[i].client);
        think(&all->worker[i]);
    }
}

void workload_stop(struct workload *all)
{
    all->stopping = true;
}

bool workload_idle(const struct workload *all)
{
    for (int i = 0; i < all->config.clients; i++)
        if (all->worker[i].busy)
            return false;
    return !all->reading_all && all->asking_again == 0;
}

void workload_kill_client(struct workload *all, int client, uint64_t back_after_us)
{
    struct worker *w = &all->worker[client];
    if (!w->client.alive)
        return;
    sim_fault(all->sim, SIM_CLIENT_DIED);
    sim_say(all->sim, "%s dies", w->client.end.name);
    struct history *h = w->op == HISTORY_NEVER ? NULL : history(w);
    if (h != NULL && h->op[w->op].result == RESULT_OPEN) {
        if (w->txn != NULL)
            history_txid(h, w->op, &w->txn->txid);
        history_info(h, w->op, now_ns(w));
    }
    if (w->weak != HISTORY_NEVER)
        history_weak_fail(w->work == WORK_SNAPSHOT_ACCOUNTS ? all->history[WORKLOAD_BANK]
                                                            : lists(w),
                          w->weak, now_ns(w));
    w->weak = HISTORY_NEVER;
    client_die(&w->client);
    w->watch.node = 0;
    w->watch.cursor = (struct watch_cursor){0};
    worker_clear(w);
    w->timer.fire = on_think;
    sim_at(all->sim, &w->timer, all->sim->now_us + back_after_us);
}

void workload_read_all(struct workload *all)
{
    struct worker *w = &all->worker[0];
    all->reading_all = true;
    if (!w->client.alive)
        client_start(&w->client);
    w->ok = false;
    think(w);
}

/* The answer has gone to the oracle already. */
static void on_asked_again(struct call *call)
{
    struct workload *all = call->arg;
    all->asking_again--;
}

void workload_ask_again(struct workload *all, int questions)
{
    for (; questions > 0; questions--) {
        const struct history *h = all->history[sim_below(all->sim, WORKLOAD_COUNTER + 1)];
        struct worker *w = &all->worker[sim_below(all->sim, (uint64_t)all->config.clients)];
        const struct operation *op = h->n == 0 ? NULL : &h->op[sim_below(all->sim, h->n)];
        if (op == NULL || txid_ms(&op->txid) == 0)
            continue;
        if (!w->client.alive)
            client_start(&w->client);
        all->asking_again++;
        client_ask(&w->client, &op->txid, ASK_TIMEOUT_US, on_asked_again, all);
    }
}

void workload_stats(const struct workload *all, struct workload_stats *out)
{
    *out = all->stats;
}

/* ---- judging ---- */

static void judge(struct workload *all, enum verdict verdict, const struct finding *f)
{
    if (verdict == VERDICT_FAILED)
        sim_fail(all->sim, anomaly_name(f->anomaly), "%s", f->text);
    else if (verdict == VERDICT_UNJUDGED)
        sim_say(all->sim, "not judged: %.200s", f->text);
}

/* Operations without an answer: the oracle knows what became of most. */
static void resolve(struct workload *all, struct history *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *op = &h->op[i];
        if (op->result != RESULT_INFO)
            continue;
        struct outcome outcome = oracle_outcome(all->oracle, &op->txid);
        if (outcome.kind == OUTCOME_COMMITTED)
            history_committed(h, i, (int64_t)all->sim->now_us * 1000, outcome.commit_ts);
        else if (outcome.kind == OUTCOME_ABORTED)
            history_aborted(h, i, (int64_t)all->sim->now_us * 1000);
    }
}

void workload_check(struct workload *all)
{
    struct finding *f = xcalloc(1, sizeof *f);
    for (enum history_kind i = WORKLOAD_LIST; i <= WORKLOAD_COUNTER; i++) {
        history_end(all->history[i], (int64_t)all->sim->now_us * 1000);
        resolve(all, all->history[i]);
    }
    int64_t initial[WORKLOAD_KEYS_MAX];
    for (int i = 0; i < all->config.accounts; i++)
        initial[i] = WORKLOAD_MONEY;
    const struct bank_terms bank = {
        .accounts = (uint32_t)all->config.accounts, .initial = initial, .bounded = true};
    judge(all, check_cycles(all->history[WORKLOAD_LIST], f), f);
    for (enum history_kind i = WORKLOAD_LIST; i <= WORKLOAD_COUNTER; i++)
        judge(all, check_timestamps(all->history[i], f), f);
    judge(all, check_reads_fresh(all->history[WORKLOAD_LIST], f), f);
    judge(all, check_levels(all->history[WORKLOAD_LIST], LEVELS_ALL, f), f);
    judge(all,
          check_level_accounts(all->history[WORKLOAD_BANK], (uint32_t)all->config.accounts, initial,
                               f),
          f);
    judge(all, check_watches(all->history[WORKLOAD_LIST], &all->watches, f), f);
    judge(all, check_register(all->history[WORKLOAD_REGISTER], f), f);
    judge(all, check_bank(all->history[WORKLOAD_BANK], &bank, f), f);
    judge(all, check_set(all->history[WORKLOAD_SET], f), f);
    judge(all, check_counter(all->history[WORKLOAD_COUNTER], f), f);
    free(f);
}
