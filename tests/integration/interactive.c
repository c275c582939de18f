/* Interactive transactions against a real cluster: one test for each thing that isolation is for,
 * named after the anomaly that must not happen. test_interactive.sh builds and runs it.
 *
 *     interactive CLUSTER_FILE TEST      0: as it should be; 1, with a sentence: not
 *
 * The cluster is that of `assent init`: keys dc1/, dc2/ and dc3/, one participant each. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <assent/assent.h>
#include <assent/uv.h>

static assent *db;
static const char *cluster_file;

__attribute__((format(printf, 2, 3), noreturn)) static void die(int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("interactive.c:%d: ", line);
    vprintf(format, args);
    printf(" (%s)\n", assent_error());
    va_end(args);
    fflush(stdout);
    _Exit(1);
}

#define REQUIRE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, "not so: %s", #what);                                                    \
    } while (0)
#define EXPECT(status, call)                                                                       \
    do {                                                                                           \
        assent_status got = (call);                                                                \
        if (got != (status))                                                                       \
            die(__LINE__, "%s gave %s, not %s", #call, assent_status_name(got),                    \
                assent_status_name(status));                                                       \
    } while (0)
#define OK(call) EXPECT(ASSENT_OK, call)

/* ---- what the tests say ---- */

static void put(assent_txn *t, const char *key, const char *value)
{
    OK(assent_put(t, key, strlen(key), value, strlen(value)));
}

static void del(assent_txn *t, const char *key)
{
    OK(assent_del(t, key, strlen(key)));
}

/* The value that a transaction sees; NULL: none. The caller frees it. */
static char *get(assent_txn *t, const char *key)
{
    assent_list *list;
    char *value = NULL;
    assent_status status = assent_txn_get(t, key, strlen(key), &list);
    if (status != ASSENT_OK && status != ASSENT_NOT_FOUND)
        die(__LINE__, "reading %s gave %s", key, assent_status_name(status));
    const assent_entry *entry = assent_list_entry(list, 0);
    REQUIRE(entry->found == (status == ASSENT_OK));
    if (entry->found)
        value = strndup(entry->value, entry->value_len);
    assent_list_free(list);
    return value;
}

static bool sees(assent_txn *t, const char *key, const char *value)
{
    char *found = get(t, key);
    bool same = value == NULL ? found == NULL : found != NULL && strcmp(found, value) == 0;
    if (!same)
        printf("%s: expected %s, found %s\n", key, value == NULL ? "nothing" : value,
               found == NULL ? "nothing" : found);
    free(found);
    return same;
}

static bool locks_are_held(void)
{
    assent_node *node;
    size_t n;
    bool held = false;
    OK(assent_nodes(db, 0, &node, &n));
    for (size_t i = 0; i < n; i++)
        held |= strstr(node[i].text, "locks_held ") != NULL &&
                strstr(node[i].text, "locks_held 0\n") == NULL;
    assent_nodes_free(node);
    return held;
}

/* Commits, and forgets the transaction. First until what was committed before has been applied:
 * else this one might meet a lock of it and be refused for that, as it may. */
static assent_status commit(assent_txn *t)
{
    while (locks_are_held())
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assent_status status = assent_commit(t, NULL);
    assent_txn_free(t);
    return status;
}

/* One key set in a transaction of its own. */
static void set(const char *key, const char *value)
{
    assent_txn *t = assent_txn_new(db);
    if (value == NULL)
        del(t, key);
    else
        put(t, key, value);
    OK(commit(t));
}

static bool is_now(const char *key, const char *value)
{
    assent_txn *t = assent_txn_new(db);
    bool same = sees(t, key, value);
    OK(commit(t));
    return same;
}

/* How many keys of [key, end) a transaction sees, in one scan. */
static size_t count(assent_txn *t, const char *key, const char *end)
{
    assent_list *list;
    OK(assent_txn_scan(t, key, strlen(key), end, strlen(end), 0, false, &list));
    size_t n = assent_list_size(list);
    assent_list_free(list);
    return n;
}

/* ---- the tests ---- */

/* Two read the same and write what they computed from it: the second must not win. */
static void lost_update(void)
{
    set("dc1/counter", "1");
    assent_txn *a = assent_txn_new(db), *b = assent_txn_new(db);
    REQUIRE(sees(a, "dc1/counter", "1"));
    REQUIRE(sees(b, "dc1/counter", "1"));
    put(a, "dc1/counter", "2");
    put(b, "dc1/counter", "2");
    REQUIRE(sees(a, "dc1/counter", "2"));
    OK(commit(a));
    EXPECT(ASSENT_CHANGED, commit(b));
    REQUIRE(is_now("dc1/counter", "2"));
}

/* Reads at different times, of different participants, are of one instant. */
static void read_skew(void)
{
    set("dc1/skew", "old");
    set("dc2/skew", "old");
    assent_txn *reader = assent_txn_new(db);
    REQUIRE(sees(reader, "dc1/skew", "old"));
    assent_txn *writer = assent_txn_new(db);
    put(writer, "dc1/skew", "new");
    put(writer, "dc2/skew", "new");
    OK(commit(writer));
    REQUIRE(sees(reader, "dc2/skew", "old"));
    REQUIRE(sees(reader, "dc1/skew", "old"));
    put(reader, "dc3/skew", "from what is old");
    EXPECT(ASSENT_CHANGED, commit(reader));
    REQUIRE(is_now("dc3/skew", NULL));
}

/* Nobody sees what is not committed, or was rolled back. */
static void dirty_read(void)
{
    set("dc1/dirty", "clean");
    assent_txn *writer = assent_txn_new(db);
    OK(assent_savepoint(writer, "before"));
    put(writer, "dc1/dirty", "dirty");
    REQUIRE(sees(writer, "dc1/dirty", "dirty"));
    REQUIRE(is_now("dc1/dirty", "clean"));
    OK(assent_rollback_to(writer, "before"));
    REQUIRE(sees(writer, "dc1/dirty", "clean"));
    put(writer, "dc1/dirty", "again");
    OK(assent_rollback(writer));
    put(writer, "dc1/other", "1");
    OK(commit(writer));
    REQUIRE(is_now("dc1/dirty", "clean"));
}

/* Each reads what the other writes: one of them must not commit. */
static void write_skew(void)
{
    set("dc1/on-call", "yes");
    set("dc2/on-call", "yes");
    assent_txn *a = assent_txn_new(db), *b = assent_txn_new(db);
    REQUIRE(sees(a, "dc1/on-call", "yes"));
    REQUIRE(sees(a, "dc2/on-call", "yes"));
    REQUIRE(sees(b, "dc1/on-call", "yes"));
    REQUIRE(sees(b, "dc2/on-call", "yes"));
    put(a, "dc1/on-call", "no");
    put(b, "dc2/on-call", "no");
    OK(commit(a));
    EXPECT(ASSENT_CHANGED, commit(b));
    REQUIRE(is_now("dc1/on-call", "no"));
    REQUIRE(is_now("dc2/on-call", "yes"));
}

/* What is decided by the keys that a range does not hold. */
static void phantoms(void)
{
    set("dc1/room/10", "taken");
    assent_txn *a = assent_txn_new(db), *b = assent_txn_new(db);
    REQUIRE(count(a, "dc1/room/", "dc1/room0") == 1);
    REQUIRE(count(b, "dc1/room/", "dc1/room0") == 1);
    put(a, "dc1/room/11", "a");
    put(b, "dc1/room/12", "b");
    REQUIRE(count(b, "dc1/room/", "dc1/room0") == 2);
    OK(commit(a));
    EXPECT(ASSENT_CHANGED, commit(b));
    /* a key that came and went is a change as well; one behind the end is none */
    assent_txn *c = assent_txn_new(db), *d = assent_txn_new(db);
    REQUIRE(count(c, "dc1/room/", "dc1/room0") == 2);
    REQUIRE(count(d, "dc1/room/11", "dc1/room0") == 1);
    set("dc1/room/105", "passing");
    set("dc1/room/105", NULL);
    put(c, "dc1/rooms", "2");
    put(d, "dc1/rooms", "1");
    EXPECT(ASSENT_CHANGED, commit(c));
    OK(commit(d));
    /* nor is one that is absent, but was not when it was looked for */
    assent_txn *e = assent_txn_new(db);
    REQUIRE(sees(e, "dc1/room/99", NULL));
    set("dc1/room/99", "taken");
    put(e, "dc1/rooms", "0");
    EXPECT(ASSENT_CHANGED, commit(e));
}

/* A range that was cut is checked as far as it was seen, from either end. */
static void cut_ranges(void)
{
    assent_list *list;
    set("dc1/queue/1", "a");
    set("dc1/queue/2", "b");
    set("dc1/queue/3", "c");
    for (int descending = 0; descending < 2; descending++) {
        assent_txn *near = assent_txn_new(db), *far = assent_txn_new(db);
        assent_txn *both[] = {near, far};
        for (int i = 0; i < 2; i++) {
            OK(assent_txn_scan(both[i], "dc1/queue/", 10, "dc1/queue0", 10, 1, descending == 1,
                               &list));
            REQUIRE(assent_list_size(list) == 1 && assent_list_entry(list, 0)->truncated);
            REQUIRE(memcmp(assent_list_entry(list, 0)->key,
                           descending == 1 ? "dc1/queue/3" : "dc1/queue/1", 11) == 0);
            assent_list_free(list);
        }
        set("dc1/queue/2", "changed");
        put(far, "dc1/taken", "1");
        OK(commit(far));
        set(descending == 1 ? "dc1/queue/4" : "dc1/queue/0", "in front");
        set(descending == 1 ? "dc1/queue/4" : "dc1/queue/0", NULL);
        put(near, "dc1/taken", "2");
        EXPECT(ASSENT_CHANGED, commit(near));
    }
}

/* Two writers of different keys, whose order a reader between them has seen: no other reader may
 * see it the other way round, in whatever order it reads the keys, and whenever. */
static void long_fork(void)
{
    for (int round = 0; round < 20; round++) {
        set("dc1/fork", "0");
        set("dc2/fork", "0");
        assent_txn *before = assent_txn_new(db), *between = assent_txn_new(db);
        assent_txn *after = assent_txn_new(db);
        OK(assent_txn_strict(between));
        REQUIRE(sees(before, "dc1/fork", "0"));
        set("dc1/fork", "1");
        REQUIRE(sees(between, "dc1/fork", "1"));
        set("dc2/fork", "1");
        REQUIRE(sees(after, "dc2/fork", "1"));
        REQUIRE(sees(before, "dc2/fork", "0"));
        REQUIRE(sees(between, "dc2/fork", "0"));
        REQUIRE(sees(after, "dc1/fork", "1"));
        OK(commit(before));
        EXPECT(ASSENT_CHANGED, commit(between));
        OK(commit(after));
    }
}

static void savepoints(void)
{
    set("dc1/sp", "1");
    set("dc2/sp", "1");
    set("dc3/sp", "1");
    assent_txn *t = assent_txn_new(db);
    put(t, "dc1/sp", "2");
    OK(assent_savepoint(t, "one"));
    put(t, "dc1/sp", "3");
    put(t, "dc2/sp", "3");
    OK(assent_add(t, "dc2/sp", 6, 4, NULL));
    OK(assent_savepoint(t, "two"));
    del(t, "dc1/sp");
    REQUIRE(sees(t, "dc1/sp", NULL));
    REQUIRE(sees(t, "dc2/sp", "7"));
    OK(assent_rollback_to(t, "two"));
    REQUIRE(sees(t, "dc1/sp", "3"));
    OK(assent_rollback_to(t, "one"));
    REQUIRE(sees(t, "dc1/sp", "2"));
    REQUIRE(sees(t, "dc2/sp", "1"));
    EXPECT(ASSENT_NOT_FOUND, assent_rollback_to(t, "two"));
    OK(commit(t));
    REQUIRE(is_now("dc1/sp", "2"));
    REQUIRE(is_now("dc2/sp", "1"));
    /* what was seen before going back is still checked */
    t = assent_txn_new(db);
    OK(assent_savepoint(t, "start"));
    REQUIRE(sees(t, "dc3/sp", "1"));
    OK(assent_rollback_to(t, "start"));
    put(t, "dc1/sp", "decided by dc3/sp");
    set("dc3/sp", "2");
    EXPECT(ASSENT_CHANGED, commit(t));
    /* as new after a rollback: a fresh snapshot */
    t = assent_txn_new(db);
    REQUIRE(sees(t, "dc3/sp", "2"));
    set("dc3/sp", "3");
    OK(assent_rollback(t));
    REQUIRE(assent_txn_snapshot(t) == 0);
    REQUIRE(sees(t, "dc3/sp", "3"));
    put(t, "dc1/sp", "4");
    OK(commit(t));
}

/* A reader commits at its snapshot; a strict one must have seen the newest. */
static void strict_reads(void)
{
    assent_commit_info info;
    set("dc1/strict", "1");
    assent_txn *lax = assent_txn_new(db), *strict = assent_txn_new(db), *named = assent_txn_new(db);
    assent_txid id;
    OK(assent_txn_strict(strict));
    REQUIRE(sees(lax, "dc1/strict", "1"));
    REQUIRE(sees(strict, "dc1/strict", "1"));
    REQUIRE(sees(named, "dc1/strict", "1"));
    OK(assent_txn_id(named, &id));
    set("dc1/strict", "2");
    assent_ts snapshot = assent_txn_snapshot(lax);
    OK(assent_commit(lax, &info));
    REQUIRE(info.commit_ts == snapshot && info.coordinator == NULL);
    REQUIRE(memcmp(&info.txid, &(assent_txid){{0}}, sizeof info.txid) == 0);
    EXPECT(ASSENT_SEALED, assent_commit(lax, NULL));
    assent_txn_free(lax);
    EXPECT(ASSENT_CHANGED, commit(strict));
    EXPECT(ASSENT_CHANGED, commit(named));
    strict = assent_txn_new(db);
    OK(assent_txn_strict(strict));
    REQUIRE(sees(strict, "dc1/strict", "2"));
    OK(assent_commit(strict, &info));
    REQUIRE(info.coordinator != NULL && info.commit_ts > assent_txn_snapshot(strict));
    assent_txn_free(strict);
}

/* Run while no coordinator is there: what needs a commit cannot be done, what only read can. */
static void only_reading_sends_nothing(void)
{
    assent_txn *t = assent_txn_new(db);
    REQUIRE(sees(t, "dc1/strict", "2"));
    REQUIRE(count(t, "dc2/", "dc20") > 0);
    OK(commit(t));
    t = assent_txn_new(db);
    REQUIRE(sees(t, "dc1/strict", "2"));
    OK(assent_txn_strict(t));
    EXPECT(ASSENT_NOT_SENT, assent_commit_within(t, 300, NULL));
    assent_txn_free(t);
}

/* The past, as of a timestamp of one's own; it can be read, not be written upon. */
static void past_snapshots(void)
{
    set("dc1/past", "1");
    set("dc2/past", "1");
    assent_ts then = assent_now(db);
    set("dc1/past", "2");
    set("dc2/past", NULL);
    assent_txn *t = assent_txn_new(db);
    OK(assent_txn_read_at(t, then));
    EXPECT(ASSENT_INVALID, assent_txn_read_at(t, then));
    REQUIRE(sees(t, "dc1/past", "1"));
    REQUIRE(sees(t, "dc2/past", "1"));
    REQUIRE(assent_txn_snapshot(t) == then);
    put(t, "dc3/past", "1");
    EXPECT(ASSENT_CHANGED, commit(t));
    t = assent_txn_new(db);
    EXPECT(ASSENT_INVALID, assent_txn_read_at(t, 0));
    OK(assent_txn_read_at(t, assent_now(db) + (UINT64_C(3600000) << 16)));
    assent_list *list;
    EXPECT(ASSENT_CLOCK_AHEAD, assent_txn_get(t, "dc1/past", 8, &list));
    assent_txn_free(t);
}

/* The next two are with a retention time of two seconds. */

/* "dc1/gone" was written after the reader's snapshot. */
static void wait_until_pruned(assent_txn *reader)
{
    assent_list *list;
    assent_status status = ASSENT_OK;
    for (int i = 0; i < 600 && status != ASSENT_PRUNED; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        status = assent_txn_get(reader, "dc1/gone", 8, &list);
        assent_list_free(list);
    }
    REQUIRE(status == ASSENT_PRUNED);
}

static void expired_snapshot(void)
{
    set("dc1/expired", "1");
    set("dc1/gone", "1");
    assent_txn *reader = assent_txn_new(db), *writer = assent_txn_new(db);
    REQUIRE(sees(reader, "dc1/expired", "1"));
    REQUIRE(sees(writer, "dc1/expired", "1"));
    put(writer, "dc1/expired", "2");
    set("dc1/gone", "2");
    wait_until_pruned(reader);
    REQUIRE(strstr(assent_error(), "retention") != NULL);
    EXPECT(ASSENT_PRUNED, assent_commit(writer, NULL));
    REQUIRE(strstr(assent_error(), "build it again") != NULL);
    assent_txn_free(writer);
    assent_txn_free(reader);
    REQUIRE(is_now("dc1/expired", "1")); /* and nothing was held */
}

/* Until what is a snapshot now is no longer kept. */
static void outlive_snapshots(void)
{
    assent_txn *reader = assent_txn_new(db);
    REQUIRE(sees(reader, "dc1/slow", "1"));
    set("dc1/gone", "2");
    wait_until_pruned(reader);
    assent_txn_free(reader);
}

static assent_status look(assent_txn *t, const char *key)
{
    assent_list *list;
    assent_status status = assent_txn_get(t, key, strlen(key), &list);
    assent_list_free(list);
    return status;
}

struct slow_build {
    assent_ts at; /* 0: the first read chooses the snapshot */
    int attempts;
};

/* The first attempt is too slow for its second read, the second for its commit. */
static assent_status build_slowly(assent_txn *t, void *arg)
{
    struct slow_build *b = arg;
    if (b->at != 0)
        OK(assent_txn_read_at(t, b->at));
    assent_status status = look(t, "dc1/slow");
    b->attempts++;
    if (status == ASSENT_OK && b->attempts == 1)
        outlive_snapshots();
    if (status == ASSENT_OK)
        status = look(t, "dc1/gone");
    if (status == ASSENT_OK && b->attempts == 2)
        outlive_snapshots();
    if (status == ASSENT_OK)
        put(t, "dc1/slow", "done");
    return status;
}

static void run_retries_pruned_snapshots(void)
{
    struct slow_build slow = {0}, past = {.at = assent_now(db)};
    set("dc1/slow", "1");
    set("dc1/gone", "1");
    OK(assent_run(db, build_slowly, &slow, 180000, NULL));
    REQUIRE(slow.attempts == 3);
    REQUIRE(is_now("dc1/slow", "done"));
    EXPECT(ASSENT_PRUNED, assent_run(db, build_slowly, &past, 180000, NULL));
    REQUIRE(past.attempts == 1); /* another one would read the same past */
}

/* ---- many at once ---- */

#define THREADS    4
#define INCREMENTS 40

static int attempts;

static int number_in(const assent_list *list)
{
    const assent_entry *entry = assent_list_entry(list, 0);
    char text[24] = "";
    REQUIRE(entry->value_len < sizeof text);
    memcpy(text, entry->value, entry->value_len);
    return atoi(text);
}

/* Two counters, one of them read as a range, both written from what was read. */
static assent_status increment(assent_txn *t, void *arg)
{
    assent_list *list;
    char text[24];
    (void)arg;
    __atomic_add_fetch(&attempts, 1, __ATOMIC_RELAXED);
    assent_status status = assent_txn_get(t, "dc1/inc", 7, &list);
    if (status != ASSENT_OK)
        return status;
    int n = number_in(list);
    assent_list_free(list);
    status = assent_txn_scan(t, "dc2/inc", 7, "dc2/inc0", 8, 0, false, &list);
    if (status != ASSENT_OK)
        return status;
    /* one snapshot: never of different commits */
    REQUIRE(number_in(list) == n);
    assent_list_free(list);
    snprintf(text, sizeof text, "%d", n + 1);
    put(t, "dc1/inc", text);
    put(t, "dc2/inc", text);
    return ASSENT_OK;
}

static void *increments(void *arg)
{
    for (int i = 0; i < INCREMENTS; i++)
        OK(assent_run(db, increment, arg, 60000, NULL));
    return NULL;
}

static void run_retries_changed_reads(void)
{
    pthread_t thread[THREADS];
    char text[24];
    set("dc1/inc", "0");
    set("dc2/inc", "0");
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&thread[i], NULL, increments, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    snprintf(text, sizeof text, "%d", THREADS * INCREMENTS);
    REQUIRE(is_now("dc1/inc", text));
    REQUIRE(is_now("dc2/inc", text));
    printf("%d increments, %d attempts\n", THREADS * INCREMENTS, attempts);
    REQUIRE(attempts > THREADS * INCREMENTS); /* or it has tested nothing */
}

static bool hot_ends;

/* Writes a key all the time, with a handle of its own. */
static void *keep_hot(void *arg)
{
    assent *other;
    (void)arg;
    OK(assent_open(&other, &(assent_options){.cluster_file = cluster_file, .client = "app"}));
    while (!__atomic_load_n(&hot_ends, __ATOMIC_RELAXED)) {
        assent_txn *t = assent_txn_new(other);
        put(t, "dc2/hot", "hot");
        assent_commit(t, NULL); /* what it is written with does not matter */
        assent_txn_free(t);
        nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
    }
    assent_close(other);
    return NULL;
}

static assent_status beside_the_hot_key(assent_txn *t, void *arg)
{
    (void)arg;
    free(get(t, "dc1/cold"));
    free(get(t, "dc2/hot"));
    put(t, "dc1/cold", "written");
    return ASSENT_OK;
}

/* With the clock of dc2's participant ahead: all that is written there is later than a snapshot by
 * any other clock. */
static void clocks_apart(void)
{
    pthread_t hot;
    REQUIRE(pthread_create(&hot, NULL, keep_hot, NULL) == 0);
    for (int i = 0; i < 5; i++) {
        /* until what this handle has heard is past by the right clocks, too */
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        OK(assent_run(db, beside_the_hot_key, NULL, 5000, NULL));
    }
    __atomic_store_n(&hot_ends, true, __ATOMIC_RELAXED);
    pthread_join(hot, NULL);
}

/* ---- with callbacks ---- */

struct with_callbacks {
    uv_loop_t loop;
    assent *db;
    assent_txn *t;
    bool inside;   /* of a call that must not call back */
    int under_way; /* reads */
    int step;
};

static void on_closed(void *arg)
{
    struct with_callbacks *w = arg;
    w->step++;
}

static void on_read_only(assent_txn *t, assent_status status, const assent_commit_info *info,
                         const char *why, void *arg)
{
    struct with_callbacks *w = arg;
    REQUIRE(!w->inside && w->step == 4 && status == ASSENT_OK && *why == '\0');
    REQUIRE(info->commit_ts == assent_txn_snapshot(t) && info->coordinator == NULL);
    w->step++;
    assent_txn_free(t);
    assent_close_uv(w->db, on_closed, w);
}

static void on_count(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct with_callbacks *w = arg;
    REQUIRE(w->step == 3 && status == ASSENT_OK && *why == '\0');
    REQUIRE(assent_list_size(list) == 2);
    REQUIRE(memcmp(assent_list_entry(list, 0)->key, "dc1/uv/2", 8) == 0);
    assent_list_free(list);
    if (--w->under_way > 0)
        return;
    w->step++;
    w->inside = true;
    OK(assent_commit_uv(w->t, 0, on_read_only, w));
    w->inside = false;
}

/* Two at once, at a snapshot of its own. */
static void read_only(struct with_callbacks *w)
{
    w->t = assent_txn_new(w->db);
    OK(assent_txn_read_at(w->t, assent_now(w->db)));
    for (w->under_way = 0; w->under_way < 2; w->under_way++)
        OK(assent_txn_scan_uv(w->t, "dc1/uv/", 7, "dc1/uv0", 7, 0, true, on_count, w));
    EXPECT(ASSENT_INVALID, assent_commit_uv(w->t, 0, on_read_only, w));
}

static void on_written(assent_txn *t, assent_status status, const assent_commit_info *info,
                       const char *why, void *arg)
{
    struct with_callbacks *w = arg;
    REQUIRE(w->step == 2 && status == ASSENT_OK && *why == '\0' && info->coordinator != NULL);
    assent_txn_free(t);
    w->step++;
    read_only(w);
}

static void on_own(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct with_callbacks *w = arg;
    REQUIRE(!w->inside && w->step == 1 && status == ASSENT_OK && *why == '\0');
    REQUIRE(memcmp(assent_list_entry(list, 0)->value, "mine", 4) == 0);
    assent_list_free(list);
    w->step++;
    OK(assent_commit_uv(w->t, 0, on_written, w));
}

static void on_absent(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct with_callbacks *w = arg;
    REQUIRE(w->step == 0 && status == ASSENT_NOT_FOUND && *why != '\0');
    REQUIRE(assent_list_size(list) == 1 && !assent_list_entry(list, 0)->found);
    assent_list_free(list);
    put(w->t, "dc1/uv/2", "mine");
    w->step++;
    w->inside = true;
    OK(assent_txn_get_uv(w->t, "dc1/uv/2", 8, on_own, w)); /* without a question, but later */
    w->inside = false;
}

static void callbacks(void)
{
    struct with_callbacks w = {0};
    assent_list *list;
    set("dc1/uv/1", "1");
    REQUIRE(uv_loop_init(&w.loop) == 0);
    OK(assent_open_uv(&w.db, &w.loop,
                      &(assent_options){.cluster_file = cluster_file, .client = "app"}));
    w.t = assent_txn_new(w.db);
    EXPECT(ASSENT_INVALID, assent_txn_get(w.t, "dc1/uv/2", 8, &list));
    EXPECT(ASSENT_INVALID, assent_txn_get_uv(w.t, "dc1/uv/2", 8, NULL, &w));
    EXPECT(ASSENT_INVALID, assent_txn_get_uv(w.t, "", 0, on_absent, &w));
    OK(assent_txn_get_uv(w.t, "dc1/uv/2", 8, on_absent, &w));
    EXPECT(ASSENT_INVALID, assent_txn_get_uv(w.t, "dc1/uv/1", 8, on_absent, &w));
    uv_run(&w.loop, UV_RUN_DEFAULT);
    uv_loop_close(&w.loop);
    REQUIRE(w.step == 6);
    REQUIRE(is_now("dc1/uv/2", "mine"));
}

static const struct test {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"lost_update", lost_update},
    {"read_skew", read_skew},
    {"dirty_read", dirty_read},
    {"write_skew", write_skew},
    {"phantoms", phantoms},
    {"cut_ranges", cut_ranges},
    {"long_fork", long_fork},
    {"savepoints", savepoints},
    {"strict_reads", strict_reads},
    {"only_reading_sends_nothing", only_reading_sends_nothing},
    {"past_snapshots", past_snapshots},
    {"expired_snapshot", expired_snapshot},
    {"run_retries_pruned_snapshots", run_retries_pruned_snapshots},
    {"callbacks", callbacks},
    {"clocks_apart", clocks_apart},
    {"run_retries_changed_reads", run_retries_changed_reads},
};

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    cluster_file = argv[1];
    if (assent_open(&db, &(assent_options){.cluster_file = argv[1], .client = "app"}) != ASSENT_OK)
        die(__LINE__, "cannot open %s", argv[1]);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (strcmp(tests[i].name, argv[2]) != 0)
            continue;
        tests[i].run();
        assent_close(db);
        return 0;
    }
    printf("there is no test %s\n", argv[2]);
    return 64;
}
