/* participant/watch, driven event by event over a resource whose keys are letters: a transaction
 * writes the letters of its operations, a watch covers those of its own. Locks are never in
 * conflict, as with adds. The last test holds random courses against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/prng.h"
#include "participant/core.h"

#define BASE_MS UINT64_C(1700000000000)
#define SELF    11
#define HOME    1
#define CONN    5

struct claim {
    TAILQ_ENTRY(claim) link;
    void *owner;
    bool writes;
    struct txid txid; /* if it does */
    char keys[27];
};

static struct {
    struct participant *p;
    struct effects effects;
    uint64_t now_us;
    uint32_t incarnation;
    uint32_t changes_max;
    TAILQ_HEAD(, claim) claims;
    bool denies;
    size_t room; /* keys that one answer has room for */
    /* the disk */
    hlc_ts ceiling;
    hlc_ts written[26]; /* when each key was last */
    bool forgets;       /* what was written when */
    bool stalls;        /* nothing becomes durable */
    uint64_t reads;
} r;

/* ---- the resource ---- */

static struct claim *claim_new(struct blob *ops, void *owner, bool writes)
{
    struct claim *c = xcalloc(1, sizeof *c);
    c->owner = owner;
    c->writes = writes;
    memcpy(c->keys, ops->data, ops->len);
    TAILQ_INSERT_TAIL(&r.claims, c, link);
    return c;
}

static enum claim_state claim(void *arg, const struct tx_head *head, const struct msg_prepare *m,
                              void *owner, struct claim **out, struct refusal *refusal)
{
    (void)arg;
    (void)refusal;
    *out = claim_new(m->ops, owner, true);
    (*out)->txid = head->txid;
    return CLAIM_HELD;
}

static enum claim_state claim_read(void *arg, const struct client_name *client,
                                   const struct msg_read *m, void *owner, struct claim **out,
                                   struct refusal *refusal)
{
    (void)arg;
    (void)client;
    *refusal = (struct refusal){ASSENT_DENIED, NULL};
    *out = r.denies ? NULL : claim_new(m->ops, owner, false);
    return r.denies ? CLAIM_REFUSED : CLAIM_HELD;
}

static void writers(void *arg, const struct claim *read, void (*each)(void *each_arg, void *owner),
                    void *each_arg)
{
    const struct claim *c;
    (void)arg;
    TAILQ_FOREACH (c, &r.claims, link)
        if (c->writes && strpbrk(c->keys, read->keys) != NULL)
            each(each_arg, c->owner);
}

static void written(void *arg, const struct claim *c,
                    void (*each)(void *each_arg, struct bytes key), void *each_arg)
{
    (void)arg;
    for (const char *key = c->keys; *key != '\0'; key++)
        each(each_arg, bytes_of(key, 1));
}

static bool covers(void *arg, const struct claim *read, struct bytes key)
{
    (void)arg;
    return strchr(read->keys, key.data[0]) != NULL;
}

static struct blob *reads_of(void *arg, const struct bytes *key, uint32_t n)
{
    char keys[27] = "";
    (void)arg;
    for (uint32_t i = 0; i < n; i++)
        keys[i] = (char)key[i].data[0];
    return blob_new(bytes_of(keys, n));
}

static struct claim *restore(void *arg, const struct txid *txid, uint64_t priority_ms,
                             struct blob *ops, void *owner)
{
    (void)arg;
    (void)txid;
    (void)priority_ms;
    return claim_new(ops, owner, true);
}

static void decided(void *arg, struct claim *c)
{
    (void)arg;
    (void)c;
}

static void release(void *arg, struct claim *c)
{
    (void)arg;
    TAILQ_REMOVE(&r.claims, c, link);
    free(c);
}

static void *granted(void *arg)
{
    (void)arg;
    return NULL;
}

/* ---- the participant ---- */

static void step(struct event *e)
{
    e->now_us = r.now_us;
    e->wall_ms = BASE_MS + r.now_us / 1000;
    participant_step(r.p, e, &r.effects);
}

static void create(void)
{
    static const struct resource resource = {.claim = claim,
                                             .claim_read = claim_read,
                                             .writers = writers,
                                             .written = written,
                                             .covers = covers,
                                             .reads_of = reads_of,
                                             .restore = restore,
                                             .decided = decided,
                                             .release = release,
                                             .granted = granted};
    struct participant_config config = {.self = SELF,
                                        .incarnation = ++r.incarnation,
                                        .coordinators = 3,
                                        .coordinator = {HOME, 2, 3},
                                        .in_doubt_timeout_ms = 1000000,
                                        .retention_ms = 3600000,
                                        .clock_ahead_ms = 5000,
                                        .changes_max = r.changes_max,
                                        .seed = 1};
    r.p = participant_new(&config, &resource);
}

static void start(void)
{
    participant_restored(r.p, r.ceiling, 0, 0);
    participant_start(r.p, r.now_us, BASE_MS + r.now_us / 1000, &r.effects);
    for (node_id i = HOME; i <= 3; i++) {
        struct event e = {.kind = EVENT_PEER_UP, .peer = {.node = i, .incarnation = 1}};
        step(&e);
        e.kind = EVENT_PEER_CLOCK;
        step(&e);
    }
}

static void begin(void)
{
    memset(&r, 0, sizeof r);
    effects_init(&r.effects);
    TAILQ_INIT(&r.claims);
    r.now_us = 1000000;
    r.room = 26;
    create();
    start();
}

static int teardown(void **state)
{
    (void)state;
    participant_free(r.p);
    r.p = NULL;
    effects_free(&r.effects);
    return 0;
}

static void client_sends(uint64_t conn, struct msg *m)
{
    static const struct client_name client = {"app"};
    struct event e = {.kind = EVENT_MESSAGE, .from = {.conn = conn}, .client = &client, .msg = m};
    step(&e);
    msg_unref(m);
}

static void home_sends(struct msg *m)
{
    struct event e = {.kind = EVENT_MESSAGE, .from = addr_node(HOME), .msg = m};
    step(&e);
    msg_unref(m);
}

/* Those of the keys that were written after `since`. */
static struct blob *written_since(struct bytes keys, hlc_ts since)
{
    char out[27];
    size_t n = 0;
    for (size_t i = 0; i < keys.len; i++)
        if (r.written[keys.data[i] - 'a'] > since)
            out[n++] = (char)keys.data[i];
    return n == 0 ? NULL : blob_new(bytes_of(out, n));
}

static void read_now(const struct effect *effect)
{
    struct event e = {.kind = EVENT_READ_DONE, .read_done = {.token = effect->token}};
    hlc_ts since = effect->point.since;
    struct blob *results =
        since == 0 ? blob_ref(effect->ops) : written_since(blob_bytes(effect->ops), since);
    r.reads++;
    if (since != 0 && r.forgets)
        e.read_done.status = ASSENT_PRUNED;
    else if (results != NULL && results->len > r.room)
        e.read_done.status = ASSENT_TOO_LARGE;
    else
        e.read_done.results = results;
    step(&e);
    blob_unref(results);
}

static void note_written(const struct record *record)
{
    const struct claim *c;
    if (record->kind != RECORD_COMMITTED && record->kind != RECORD_APPLIED)
        return;
    TAILQ_FOREACH (c, &r.claims, link)
        for (const char *key = c->keys; txid_equal(&c->txid, &record->txid) && *key != '\0'; key++)
            if (r.written[*key - 'a'] < record->ts)
                r.written[*key - 'a'] = record->ts;
}

/* Storage does all that it was asked to, and `each` sees what is sent to clients. */
static void settle(void (*each)(const struct msg *m, uint64_t conn))
{
    struct effects later;
    struct effect *effect;
    effects_init(&later);
    while ((effect = TAILQ_FIRST(&r.effects)) != NULL) {
        TAILQ_REMOVE(&r.effects, effect, link);
        bool stores = effect->kind == EFFECT_PERSIST || effect->kind == EFFECT_PREPARE;
        if (stores && r.stalls) {
            TAILQ_INSERT_TAIL(&later, effect, link);
            continue;
        }
        if (stores && effect->record.kind == RECORD_CEILING)
            r.ceiling = effect->record.ts;
        if (stores) {
            note_written(&effect->record);
            struct event e = {.kind = EVENT_STORED,
                              .stored = {.kind = effect->record.kind, .txid = effect->record.txid}};
            step(&e);
        } else if (effect->kind == EFFECT_READ) {
            read_now(effect);
        } else if (effect->kind == EFFECT_SEND && effect->to.node == 0 && each != NULL) {
            each(effect->msg, effect->to.conn);
        }
        effect_free(effect);
    }
    TAILQ_CONCAT(&r.effects, &later, link);
}

static void wait_ms(uint64_t ms)
{
    struct event e = {.kind = EVENT_TICK};
    r.now_us += ms * 1000;
    step(&e);
}

/* ---- transactions ---- */

static struct tx_head head_of(uint64_t number, bool sole)
{
    return (struct tx_head){.txid = txid_make(BASE_MS + r.now_us / 1000, sole ? SELF : 0, number),
                            .home = {HOME, 1},
                            .epoch = 1};
}

static void prepare(const struct tx_head *head, const char *keys)
{
    struct msg *m = msg_new(MSG_PREPARE, head);
    bool sole = txid_route(&head->txid) != 0;
    m->prepare.participants = sole ? (struct participants){.n = 1, .id = {SELF}}
                                   : (struct participants){.n = 2, .id = {SELF, 12}};
    m->prepare.one_phase = sole;
    m->prepare.ts = hlc_from_ms(BASE_MS + r.now_us / 1000);
    m->prepare.time_left_ms = 8000;
    m->prepare.pin = r.incarnation;
    m->prepare.ops = blob_new(bytes_of_text(keys));
    home_sends(m);
}

static void decide(const struct tx_head *head, hlc_ts commit_ts)
{
    struct msg *m = msg_new(MSG_DECIDE, head);
    m->decide.participants = (struct participants){.n = 2, .id = {SELF, 12}};
    m->decide.outcome = commit_ts == 0 ? (struct outcome){OUTCOME_ABORTED, 0, ASSENT_TIMED_OUT}
                                       : (struct outcome){OUTCOME_COMMITTED, commit_ts, ASSENT_OK};
    home_sends(m);
}

struct found {
    const struct tx_head *head;
    hlc_ts prepare_ts;
    hlc_ts commit_ts;
};

static void find(void *arg, const struct participant_view *view)
{
    struct found *f = arg;
    if (!txid_equal(&view->head.txid, &f->head->txid))
        return;
    f->prepare_ts = view->prepare_ts;
    f->commit_ts = view->outcome.commit_ts;
}

static struct found found(const struct tx_head *head)
{
    struct found f = {.head = head};
    participant_each(r.p, find, &f);
    return f;
}

static hlc_ts commit(uint64_t number, const char *keys)
{
    struct tx_head head = head_of(number, true);
    prepare(&head, keys);
    settle(NULL);
    return found(&head).commit_ts;
}

/* ---- one client ---- */

static struct msg *last; /* the last answer; ours */

static void keep(const struct msg *m, uint64_t conn)
{
    (void)conn;
    if (m->type != MSG_WATCH_RESULT)
        return;
    msg_unref(last);
    last = msg_new(MSG_WATCH_RESULT, NULL);
    last->watch_result = m->watch_result;
    blob_ref(m->watch_result.results);
    blob_ref(m->watch_result.detail);
}

static void send_watch(uint64_t conn, const char *keys, hlc_ts since, struct watch_cursor cursor)
{
    struct msg *m = msg_new(MSG_WATCH, NULL);
    m->watch.request = 9;
    m->watch.timeout_ms = 1000;
    m->watch.since = since;
    m->watch.ts = hlc_from_ms(BASE_MS);
    m->watch.cursor = cursor;
    m->watch.ops = blob_new(bytes_of_text(keys));
    client_sends(conn, m);
}

static const struct msg_watch_result none;

static const struct msg_watch_result *told(void)
{
    return last == NULL ? &none : &last->watch_result;
}

/* The answer of the participant; `none` while it waits. */
static const struct msg_watch_result *ask(const char *keys, hlc_ts since,
                                          struct watch_cursor cursor)
{
    msg_unref(last);
    last = NULL;
    send_watch(CONN, keys, since, cursor);
    settle(keep);
    return told();
}

static const struct watch_cursor nowhere;

static void assert_answer(const struct msg_watch_result *m, assent_status status, const char *keys)
{
    assert_ptr_not_equal(m, &none);
    assert_int_equal(m->request, 9);
    assert_string_equal(assent_status_name(m->status), assent_status_name(status));
    if (keys == NULL)
        assert_null(m->results);
    else
        assert_true(bytes_equal(blob_bytes(m->results), bytes_of_text(keys)));
}

static void a_watch_from_now_on_is_told_where_that_is(void **state)
{
    (void)state;
    begin();
    hlc_ts before = commit(1, "a");
    const struct msg_watch_result *m = ask("ab", 0, nowhere);
    assert_answer(m, ASSENT_OK, NULL);
    assert_true(m->ts >= before);
    assert_ptr_equal(ask("ab", m->ts, m->cursor), &none);
    commit(2, "c");
    settle(keep);
    assert_null(last);
}

static void a_watch_from_now_on_is_told_of_what_is_above_its_position(void **state)
{
    (void)state;
    begin();
    struct tx_head head = head_of(1, false);
    prepare(&head, "a");
    settle(NULL);
    hlc_ts prepared = found(&head).prepare_ts;
    commit(2, "b");
    const struct msg_watch_result *m = ask("ab", 0, nowhere);
    assert_answer(m, ASSENT_OK, NULL);
    assert_int_equal(m->ts, prepared - 1);
    assert_int_equal(m->cursor.incarnation, 0);
    assert_answer(ask("ab", m->ts, m->cursor), ASSENT_OK, "b");
}

/* As after a restart beside a transaction in doubt. */
static void a_watch_from_now_on_is_not_behind_at_once(void **state)
{
    (void)state;
    begin();
    participant_free(r.p);
    r.changes_max = 1;
    create();
    start();
    struct tx_head head = head_of(1, false);
    prepare(&head, "a");
    settle(NULL);
    commit(2, "b");
    commit(3, "b");
    const struct msg_watch_result *m = ask("ab", 0, nowhere);
    assert_answer(m, ASSENT_OK, NULL);
    assert_int_equal(m->cursor.incarnation, r.incarnation);
    assert_ptr_equal(ask("ab", m->ts, m->cursor), &none);
    decide(&head, found(&head).prepare_ts);
    settle(keep);
    assert_answer(told(), ASSENT_OK, "a");
}

static void a_parked_watch_is_told_of_all_keys_of_one_commit_in_order(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    assert_ptr_equal(ask("abc", since, nowhere), &none);
    struct tx_head head = head_of(2, true);
    prepare(&head, "cxba");
    settle(keep);
    assert_answer(told(), ASSENT_OK, "abc");
    assert_true(told()->ts >= found(&head).commit_ts);
}

static void nothing_changed_is_an_answer_at_its_time_with_a_new_position(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    assert_ptr_equal(ask("a", since, nowhere), &none);
    wait_ms(999);
    settle(keep);
    assert_null(last);
    wait_ms(1);
    settle(keep);
    assert_answer(told(), ASSENT_OK, NULL);
    assert_true(told()->ts > since);
}

static void the_position_stays_below_what_is_prepared(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    struct tx_head head = head_of(2, false);
    prepare(&head, "a");
    settle(NULL);
    hlc_ts prepared = found(&head).prepare_ts;
    hlc_ts other = commit(3, "b");
    assert_true(other > prepared);
    const struct msg_watch_result *m = ask("ab", since, nowhere);
    assert_answer(m, ASSENT_OK, "b");
    assert_int_equal(m->ts, prepared - 1);
    struct watch_cursor cursor = m->cursor;
    assert_ptr_equal(ask("ab", prepared - 1, cursor), &none);
    decide(&head, prepared);
    settle(keep);
    assert_answer(told(), ASSENT_OK, "a");
    assert_true(told()->ts >= other);
    /* without the cursor both are told */
    assert_answer(ask("ab", prepared - 1, nowhere), ASSENT_OK, "ab");
}

static void an_abort_is_not_told(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    assert_ptr_equal(ask("a", since, nowhere), &none);
    struct tx_head head = head_of(2, false);
    prepare(&head, "a");
    settle(keep);
    decide(&head, 0);
    settle(keep);
    assert_null(last);
}

static void restart(void)
{
    participant_free(r.p);
    create();
    start();
}

static void after_a_restart_a_watch_is_told_what_the_tables_know(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    commit(2, "b");
    struct tx_head head = head_of(3, false);
    const struct msg_watch_result *m;
    restart();
    prepare(&head, "a");
    settle(NULL);
    m = ask("abc", since, nowhere);
    assert_answer(m, ASSENT_OK, "b");
    assert_true(m->ts > since && m->ts < found(&head).prepare_ts);
    assert_int_equal(m->cursor.incarnation, r.incarnation);
    assert_ptr_equal(ask("abc", m->ts, m->cursor), &none);
    decide(&head, found(&head).prepare_ts);
    settle(keep);
    assert_answer(told(), ASSENT_OK, "a");
}

static void after_a_restart_a_watch_of_what_did_not_change_waits(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    commit(2, "b");
    restart();
    assert_ptr_equal(ask("ac", since, nowhere), &none);
    wait_ms(500);
    commit(3, "b");
    assert_null(last);
    struct tx_head head = head_of(4, true);
    prepare(&head, "c");
    settle(keep);
    assert_answer(told(), ASSENT_OK, "c");
}

static void a_watch_that_catches_up_ends_at_its_time_too(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    restart();
    assert_ptr_equal(ask("a", since, nowhere), &none);
    wait_ms(999);
    settle(keep);
    assert_null(last);
    wait_ms(1);
    settle(keep);
    assert_answer(told(), ASSENT_OK, NULL);
    assert_true(told()->ts > since);
}

/* Applied after the question to the tables and before their answer. */
static void what_changes_while_a_watch_catches_up_is_told(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    restart();
    r.now_us += 5000000; /* beyond the clock ceiling, which is stored after the commit */
    send_watch(CONN, "ac", since, nowhere);
    struct tx_head head = head_of(2, true);
    prepare(&head, "c");
    settle(keep);
    assert_answer(told(), ASSENT_OK, "c");
    assert_true(told()->ts < found(&head).commit_ts);
}

static void who_begins_before_what_is_kept_is_behind(void **state)
{
    (void)state;
    begin();
    r.changes_max = 2;
    r.forgets = true;
    restart();
    hlc_ts first = commit(1, "a"), second = commit(2, "b");
    commit(3, "a");
    assert_answer(ask("ab", first, nowhere), ASSENT_OK, "ab");
    commit(4, "b");
    assert_answer(ask("ab", first, nowhere), ASSENT_BEHIND, NULL);
    assert_non_null(told()->detail);
    assert_true(told()->ts >= second);
    assert_answer(ask("ab", second, nowhere), ASSENT_OK, "ab");
    /* a cursor says more than the timestamp */
    assert_answer(ask("ab", first, (struct watch_cursor){r.incarnation, 2}), ASSENT_OK, "ab");
    assert_answer(ask("ab", first, (struct watch_cursor){r.incarnation, 1}), ASSENT_BEHIND, NULL);
    /* one from another start, or from nowhere, says nothing */
    assert_answer(ask("ab", first, (struct watch_cursor){r.incarnation + 1, 2}), ASSENT_BEHIND,
                  NULL);
    assert_answer(ask("ab", first, (struct watch_cursor){r.incarnation, 99}), ASSENT_BEHIND, NULL);
}

static void what_does_not_fit_is_cut_and_the_position_stays(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    commit(2, "b");
    commit(3, "a");
    commit(4, "c");
    r.room = 2;
    const struct msg_watch_result *m = ask("abc", since, nowhere);
    assert_answer(m, ASSENT_OK, "b");
    assert_int_equal(m->ts, since);
    m = ask("abc", since, m->cursor);
    assert_answer(m, ASSENT_OK, "ac");
    assert_true(m->ts > since);
}

static void an_answer_waits_until_its_position_is_durable(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "a");
    r.now_us += 5000000; /* beyond the clock ceiling */
    r.stalls = true;
    assert_ptr_equal(ask("a", since - 1, nowhere), &none);
    assert_int_equal(r.reads, 0);
    r.stalls = false;
    settle(keep);
    assert_answer(told(), ASSENT_OK, "a");
    assert_true(told()->ts <= r.ceiling);
}

static void too_many_watches_are_refused(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    for (uint32_t i = 0; i < WATCHES_OF_CONN_MAX; i++)
        assert_ptr_equal(ask("a", since, nowhere), &none);
    assert_answer(ask("a", since, nowhere), ASSENT_OVERLOADED, NULL);
    for (uint64_t conn = 100; conn < 100 + WATCHES_MAX / WATCHES_OF_CONN_MAX - 1; conn++)
        for (uint32_t i = 0; i < WATCHES_OF_CONN_MAX; i++)
            send_watch(conn, "a", since, nowhere);
    settle(keep);
    struct participant_stats stats;
    participant_stats(r.p, r.now_us, &stats);
    assert_int_equal(stats.watches, WATCHES_MAX);
    msg_unref(last);
    last = NULL;
    send_watch(999, "a", since, nowhere);
    settle(keep);
    assert_answer(told(), ASSENT_OVERLOADED, NULL);
    /* those of a connection end with it */
    struct event e = {.kind = EVENT_CLIENT_DOWN, .from = {.conn = CONN}};
    step(&e);
    assert_ptr_equal(ask("a", since, nowhere), &none);
    participant_stats(r.p, r.now_us, &stats);
    assert_int_equal(stats.watches, WATCHES_MAX - WATCHES_OF_CONN_MAX + 1);
}

static void refusals_say_why(void **state)
{
    (void)state;
    begin();
    hlc_ts since = commit(1, "x");
    r.denies = true;
    assert_answer(ask("a", since, nowhere), ASSENT_DENIED, NULL);
    r.denies = false;
    assert_answer(ask("a", since + hlc_from_ms(6000), nowhere), ASSENT_CLOCK_AHEAD, NULL);
    assert_ptr_equal(ask("a", since + hlc_from_ms(4000), nowhere), &none);
    participant_stop(r.p);
    assert_answer(ask("a", since, nowhere), ASSENT_STOPPING, NULL);
}

/* ---- a model ---- */

#define TXNS     400
#define WATCHERS 6

struct txn {
    struct tx_head head;
    char keys[5];
    enum { T_NONE, T_PREPARED, T_COMMITTED, T_ABORTED } state;
    hlc_ts prepare_ts, commit_ts;
};

struct watcher {
    char keys[5];
    bool waits;
    hlc_ts from, at; /* the stream began at; is told to be at */
    struct watch_cursor cursor;
    uint32_t told[TXNS]; /* a bit for each of its keys that was */
};

static struct {
    struct prng p;
    int txns;
    struct txn txn[TXNS];
    struct watcher watcher[WATCHERS];
    uint64_t answers, behind, cut;
} model;

static bool touches(const char *a, const char *b)
{
    return strpbrk(a, b) != NULL;
}

static uint32_t bits(struct bytes keys)
{
    uint32_t out = 0;
    for (size_t i = 0; i < keys.len; i++)
        out |= UINT32_C(1) << (keys.data[i] - 'a');
    return out;
}

/* Values are read now: all that is applied of a told key is told. */
static void model_told(struct watcher *w, struct bytes keys)
{
    for (int i = 0; i < model.txns; i++)
        if (model.txn[i].state == T_COMMITTED)
            w->told[i] |= bits(keys);
}

static void model_check(const struct watcher *w, hlc_ts position)
{
    for (int i = 0; i < model.txns; i++) {
        const struct txn *t = &model.txn[i];
        if (!touches(t->keys, w->keys))
            continue;
        if (t->state == T_PREPARED)
            assert_true(t->prepare_ts > position);
        if (t->state == T_COMMITTED && t->commit_ts > w->from && t->commit_ts <= position)
            assert_int_equal(
                bits(bytes_of_text(t->keys)) & bits(bytes_of_text(w->keys)) & ~w->told[i], 0);
    }
}

static void model_see(void)
{
    for (int i = 0; i < model.txns; i++) {
        struct txn *t = &model.txn[i];
        if (t->state != T_PREPARED)
            continue;
        struct found f = found(&t->head);
        t->prepare_ts = f.prepare_ts;
        t->commit_ts = f.commit_ts;
        if (f.commit_ts != 0)
            t->state = T_COMMITTED;
    }
}

static void model_answer(const struct msg *m, uint64_t conn)
{
    if (m->type != MSG_WATCH_RESULT)
        return;
    struct watcher *w = &model.watcher[conn];
    const struct msg_watch_result *a = &m->watch_result;
    w->waits = false;
    model.answers++;
    model_see();
    if (a->status == ASSENT_BEHIND) {
        model.behind++;
        memset(w, 0, sizeof *w);
        return;
    }
    assert_int_equal(a->status, ASSENT_OK);
    assert_true(a->ts >= w->at);
    assert_true(a->ts <= r.ceiling);
    if (w->from == 0) {
        w->from = a->ts;
        for (int i = 0; i < model.txns; i++)
            w->told[i] = model.txn[i].state == T_COMMITTED ? UINT32_MAX : 0;
    }
    if (a->results != NULL) {
        model.cut += a->ts == w->at;
        model_told(w, blob_bytes(a->results));
    }
    w->at = a->ts;
    w->cursor = a->cursor;
    model_check(w, a->ts);
}

static void some_keys(char out[5])
{
    size_t n = 1 + prng_below(&model.p, 3);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)('a' + prng_below(&model.p, 6));
    out[n] = '\0';
}

static void model_watch(struct watcher *w)
{
    if (w->waits)
        return;
    if (w->keys[0] == '\0')
        some_keys(w->keys);
    w->waits = true;
    bool anew = prng_below(&model.p, 3) == 0; /* as at another replica */
    send_watch((uint64_t)(w - model.watcher), w->keys, w->at, anew ? nowhere : w->cursor);
}

static void model_begin(void)
{
    struct txn *t = &model.txn[model.txns];
    if (model.txns == TXNS)
        return;
    t->head = head_of((uint64_t)model.txns + 1, prng_below(&model.p, 2) == 0);
    some_keys(t->keys);
    t->state = T_PREPARED;
    model.txns++;
    prepare(&t->head, t->keys);
}

static void model_decide(void)
{
    if (model.txns == 0)
        return;
    struct txn *t = &model.txn[prng_below(&model.p, (uint64_t)model.txns)];
    if (t->state != T_PREPARED || t->prepare_ts == 0 || txid_route(&t->head.txid) != 0)
        return;
    bool aborts = prng_below(&model.p, 5) == 0;
    decide(&t->head, aborts ? 0 : t->prepare_ts + prng_below(&model.p, 3));
    t->state = aborts ? T_ABORTED : t->state;
}

static void a_random_course_misses_nothing(void **state)
{
    (void)state;
    uint64_t answers = 0, behind = 0, cut = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        begin();
        participant_free(r.p);
        memset(&model, 0, sizeof model);
        prng_seed(&model.p, seed);
        r.changes_max = 1 + (uint32_t)prng_below(&model.p, 40);
        r.room = 1 + prng_below(&model.p, 4);
        create();
        start();
        for (int i = 0; i < 2000; i++) {
            switch (prng_below(&model.p, 6)) {
            case 0:
                model_begin();
                break;
            case 1:
                model_decide();
                break;
            case 2:
                r.now_us += prng_below(&model.p, 20) == 0 ? 400000 : 300;
                wait_ms(0);
                break;
            case 3:
                settle(model_answer);
                model_see();
                break;
            default:
                model_watch(&model.watcher[prng_below(&model.p, WATCHERS)]);
                break;
            }
        }
        settle(model_answer);
        answers += model.answers;
        behind += model.behind;
        cut += model.cut;
        teardown(NULL);
    }
    assert_true(answers > 1000);
    assert_true(behind > 10);
    assert_true(cut > 10);
}

static int end(void **state)
{
    msg_unref(last);
    last = NULL;
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_watch_from_now_on_is_told_where_that_is, end),
        cmocka_unit_test_teardown(a_watch_from_now_on_is_told_of_what_is_above_its_position, end),
        cmocka_unit_test_teardown(a_watch_from_now_on_is_not_behind_at_once, end),
        cmocka_unit_test_teardown(a_parked_watch_is_told_of_all_keys_of_one_commit_in_order, end),
        cmocka_unit_test_teardown(nothing_changed_is_an_answer_at_its_time_with_a_new_position,
                                  end),
        cmocka_unit_test_teardown(the_position_stays_below_what_is_prepared, end),
        cmocka_unit_test_teardown(an_abort_is_not_told, end),
        cmocka_unit_test_teardown(after_a_restart_a_watch_is_told_what_the_tables_know, end),
        cmocka_unit_test_teardown(after_a_restart_a_watch_of_what_did_not_change_waits, end),
        cmocka_unit_test_teardown(a_watch_that_catches_up_ends_at_its_time_too, end),
        cmocka_unit_test_teardown(what_changes_while_a_watch_catches_up_is_told, end),
        cmocka_unit_test_teardown(who_begins_before_what_is_kept_is_behind, end),
        cmocka_unit_test_teardown(what_does_not_fit_is_cut_and_the_position_stays, end),
        cmocka_unit_test_teardown(an_answer_waits_until_its_position_is_durable, end),
        cmocka_unit_test_teardown(too_many_watches_are_refused, end),
        cmocka_unit_test_teardown(refusals_say_why, end),
        cmocka_unit_test(a_random_course_misses_nothing),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
