/* libassent against a fake cluster: coordinators and participants on the real transport, in a
 * thread of their own, which answer as each test tells them to.
 *
 *   datacenters a, b, c; coordinators ca (1), cb (2), cc (3); participants pa (11, in a), pb (12,
 * in b) placement: "a/" at pa; "r/" at pa and pb. The client is in a. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <assent/uv.h>

#include "client/clock.h"
#include "runtime/keys.h"
#include "runtime/log.h"
#include "runtime/transport.h"
#include "wire/ops_codec.h"

#define FAKES   5
#define COMMITS 4096
#define K(text) (text), (sizeof(text) - 1)

struct fakes;

struct fake {
    struct fakes *all;
    const char *name;
    node_id id;
    enum role role;
    const char *datacenter;
    uint16_t port;
    uint32_t incarnation;
    struct transport *transport; /* NULL: not running */
};

/* What a test can look at: the COMMITs that arrived, in order. */
struct seen_commit {
    struct txid txid;
    node_id at;
    struct home home;
    uint64_t priority_ms;
    uint32_t timeout_ms;
};

typedef void (*fake_answer)(struct fake *at, const struct peer *peer, struct msg *m);

struct fakes {
    uv_loop_t loop;
    uv_async_t wake;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t changed;
    void (*todo)(struct fakes *f, void *arg); /* run on the fakes' thread */
    void *todo_arg;
    int closing; /* transports that are not closed yet */
    bool ending;

    char folder[64];
    char cluster_file[128];
    struct noise_keypair keys[FAKES];
    struct cluster *cluster; /* as the nodes know it */
    struct fake fake[FAKES];

    /* on the fakes' thread, or under the mutex */
    fake_answer answer;
    int commits, outcomes, reads;
    struct seen_commit commit[COMMITS];
    node_id outcome_at;
    struct home outcome_home;
    struct txid outcome_txid;
    assent_status outcome_status; /* what questions are answered */
};

static struct fakes *fakes;

/* ---- the fakes' thread ---- */

static void up(void *arg, const struct peer *peer)
{
    (void)arg;
    (void)peer;
}

static void down(void *arg, const struct peer *peer, const char *why)
{
    (void)arg;
    (void)peer;
    (void)why;
}

static void message(void *arg, const struct peer *peer, struct msg *m)
{
    struct fake *at = arg;
    struct fakes *f = at->all;
    uv_mutex_lock(&f->mutex);
    if (m->type == MSG_COMMIT && f->commits < COMMITS)
        f->commit[f->commits++] = (struct seen_commit){m->head.txid, at->id, m->head.home,
                                                       m->commit.priority_ms, m->commit.timeout_ms};
    if (m->type == MSG_OUTCOME) {
        f->outcomes++;
        f->outcome_at = at->id;
        f->outcome_home = m->head.home;
        f->outcome_txid = m->head.txid;
    }
    if (m->type == MSG_READ)
        f->reads++;
    fake_answer answer = f->answer;
    uv_cond_broadcast(&f->changed);
    uv_mutex_unlock(&f->mutex);
    answer(at, peer, m);
}

static void reply(struct fake *at, const struct peer *peer, struct msg *m)
{
    transport_send(at->transport, (struct addr){0, peer->conn}, m);
    msg_unref(m);
}

static struct blob *one_result(struct bytes key, const char *value, bool found)
{
    struct result result = {.found = found,
                            .key = key,
                            .value = bytes_of_text(value),
                            .version = {.ts = 9, .applies = 1}};
    return results_encode(&result, 1);
}

static void answer_result(struct fake *at, const struct peer *peer, const struct msg *m,
                          assent_status status)
{
    struct msg *r = msg_new(MSG_RESULT, &m->head);
    r->result.status = status;
    r->result.commit_ts = status == ASSENT_OK ? hlc_from_ms(txid_ms(&m->head.txid)) : 0;
    if (m->type == MSG_COMMIT) {
        r->result.total_us = 500;
        r->result.quorum_us = 50;
        r->result.participants = m->commit.participants;
        for (int i = 0; i < m->commit.participants.n; i++) {
            r->result.breakdown[i] = (struct breakdown){10, 20, 30};
            r->result.results[i] = one_result(bytes_of_text("r/k"), "as of the commit", true);
        }
    }
    if (status == ASSENT_CONFLICT) {
        r->result.culprit = 11;
        r->result.detail = blob_new(bytes_of_text("key a/x is taken"));
    }
    reply(at, peer, r);
}

/* The value of a key is the name of the participant; keys with "absent" in them are not there. */
static void answer_read(struct fake *at, const struct peer *peer, const struct msg *m)
{
    struct ops ops;
    char why[128];
    struct msg *r = msg_new(MSG_READ_RESULT, NULL);
    r->read_result.request = m->read.request;
    r->read_result.status = ops_decode(m->read.ops, &ops, why, sizeof why);
    r->read_result.ts = hlc_from_ms(clock_wall_ms());
    struct bytes key = ops.op[0].key;
    bool found = memmem(key.data, key.len, "absent", 6) == NULL;
    r->read_result.results = one_result(key, found ? at->name : "", found);
    ops_free(&ops);
    reply(at, peer, r);
}

static void answer_all(struct fake *at, const struct peer *peer, struct msg *m)
{
    struct msg *r;
    switch (m->type) {
    case MSG_COMMIT:
        answer_result(at, peer, m, ASSENT_OK);
        break;
    case MSG_OUTCOME:
        answer_result(at, peer, m, at->all->outcome_status);
        break;
    case MSG_READ:
        answer_read(at, peer, m);
        break;
    case MSG_STATUS:
        r = msg_new(MSG_STATUS_RESULT, NULL);
        r->status_result.request = m->status.request;
        r->status_result.text = blob_new(bytes_of_text("led 3\n"));
        reply(at, peer, r);
        break;
    default:
        break;
    }
}

static void answer_nothing(struct fake *at, const struct peer *peer, struct msg *m)
{
    (void)at;
    (void)peer;
    (void)m;
}

static void fake_closed(void *arg)
{
    struct fake *fake = arg;
    uv_mutex_lock(&fake->all->mutex);
    fake->all->closing--;
    uv_cond_broadcast(&fake->all->changed);
    uv_mutex_unlock(&fake->all->mutex);
}

static void fake_stop(struct fake *fake)
{
    struct fakes *f = fake->all;
    if (fake->transport == NULL)
        return;
    uv_mutex_lock(&f->mutex);
    f->closing++;
    uv_mutex_unlock(&f->mutex);
    transport_close(fake->transport, 0, fake_closed, fake);
    fake->transport = NULL;
}

static void fake_start(struct fake *fake)
{
    struct fakes *f = fake->all;
    char why[256] = "";
    struct transport_config config = {
        .cluster = f->cluster,
        .keys = f->keys[fake - f->fake],
        .self = {.role = fake->role,
                 .node = fake->id,
                 .incarnation = ++fake->incarnation,
                 .epoch = f->cluster->epoch,
                 .set_hash = f->cluster->set_hash},
    };
    snprintf(config.self.name, sizeof config.self.name, "%s", fake->name);
    struct transport_handlers handlers = {.arg = fake, .up = up, .down = down, .message = message};
    fake->transport = transport_new(&f->loop, &config, &handlers);
    if (transport_listen(fake->transport, "127.0.0.1", fake->port, &fake->port, why, sizeof why) !=
        0) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
}

static void woken(uv_async_t *wake)
{
    struct fakes *f = wake->data;
    uv_mutex_lock(&f->mutex);
    void (*todo)(struct fakes *, void *) = f->todo;
    bool ending = f->ending && f->closing == 0;
    uv_mutex_unlock(&f->mutex);
    if (todo != NULL)
        todo(f, f->todo_arg);
    uv_mutex_lock(&f->mutex);
    if (f->todo == todo)
        f->todo = NULL;
    uv_cond_broadcast(&f->changed);
    uv_mutex_unlock(&f->mutex);
    if (ending)
        uv_close((uv_handle_t *)wake, NULL);
}

static void run_fakes(void *arg)
{
    struct fakes *f = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* as the daemons ignore it */
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

/* ---- what tests do with them ---- */

/* Runs todo on the fakes' thread and waits for it. */
static void on_fakes(void (*todo)(struct fakes *f, void *arg), void *arg)
{
    uv_mutex_lock(&fakes->mutex);
    fakes->todo = todo;
    fakes->todo_arg = arg;
    uv_async_send(&fakes->wake);
    while (fakes->todo != NULL)
        uv_cond_wait(&fakes->changed, &fakes->mutex);
    uv_mutex_unlock(&fakes->mutex);
}

static struct fake *fake_named(const char *name)
{
    for (int i = 0; i < FAKES; i++) {
        if (strcmp(fakes->fake[i].name, name) == 0)
            return &fakes->fake[i];
    }
    abort();
}

static void do_start(struct fakes *f, void *arg)
{
    (void)f;
    fake_start(fake_named(arg));
}

static void do_stop(struct fakes *f, void *arg)
{
    (void)f;
    fake_stop(fake_named(arg));
}

static void start_node(const char *name)
{
    char copy[8];
    snprintf(copy, sizeof copy, "%s", name);
    on_fakes(do_start, copy);
}

static void stop_node(const char *name)
{
    char copy[8];
    snprintf(copy, sizeof copy, "%s", name);
    on_fakes(do_stop, copy);
}

static void answer_with(fake_answer answer, assent_status outcome)
{
    uv_mutex_lock(&fakes->mutex);
    fakes->answer = answer;
    fakes->outcome_status = outcome;
    uv_mutex_unlock(&fakes->mutex);
}

static int counted(const int *counter)
{
    uv_mutex_lock(&fakes->mutex);
    int n = *counter;
    uv_mutex_unlock(&fakes->mutex);
    return n;
}

/* What the fakes have written so far may be read now. */
static void look(void)
{
    uv_mutex_lock(&fakes->mutex);
    uv_mutex_unlock(&fakes->mutex);
}

/* Waits, as long as it takes, until the counter has reached n. */
static void wait_for(const int *counter, int n)
{
    uv_mutex_lock(&fakes->mutex);
    while (*counter < n)
        uv_cond_wait(&fakes->changed, &fakes->mutex);
    uv_mutex_unlock(&fakes->mutex);
}

/* ---- the cluster's files ---- */

static void key_hex(const struct noise_keypair *pair, char out[2 * NOISE_KEY_BYTES + 1])
{
    bytes_hex(bytes_of(pair->public, NOISE_KEY_BYTES), out);
}

static void put(struct writer *w, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    writer_raw(w, line, (size_t)n);
}

/* The cluster file with these clients. */
static void write_text(struct writer *w, const char *clients)
{
    char hex[2 * NOISE_KEY_BYTES + 1];
    put(w, "cluster: {id: 000102030405060708090a0b0c0d0e0f, name: t, epoch: 1}\n"
           "datacenters: [a, b, c]\nnodes:\n");
    for (int i = 0; i < FAKES; i++) {
        const struct fake *fake = &fakes->fake[i];
        key_hex(&fakes->keys[i], hex);
        put(w,
            "  - {id: %u, name: %s, role: %s, datacenter: %s, address: \"127.0.0.1:%u\", "
            "keys: [\"%s\"]}\n",
            fake->id, fake->name, role_name(fake->role), fake->datacenter,
            fake->port == 0 ? (unsigned)i + 1 : fake->port, hex);
    }
    put(w, "clients:\n%s", clients);
    put(w, "placement:\n  - {prefix: \"a/\", participants: [pa]}\n"
           "  - {prefix: \"r/\", participants: [pa, pb]}\n");
}

static void write_file(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void file_path(char out[128], const char *name)
{
    snprintf(out, 128, "%s/%s", fakes->folder, name);
}

static void do_start_all(struct fakes *f, void *arg)
{
    (void)arg;
    for (int i = 0; i < FAKES; i++)
        fake_start(&f->fake[i]);
}

static void do_stop_all(struct fakes *f, void *arg)
{
    (void)arg;
    for (int i = 0; i < FAKES; i++)
        fake_stop(&f->fake[i]);
}

/* Keys and files: the nodes' own view, which knows only "app", and the file that the client opens,
 * with the ports that the nodes got and a client that the nodes do not know. */
static void make_files(void)
{
    static const char *const client_names[] = {"app", "stranger"};
    char path[128], why[512], clients[2][160], both[320];
    struct writer w = {0};
    for (int i = 0; i < 2; i++) {
        struct noise_keypair pair;
        char hex[2 * NOISE_KEY_BYTES + 1], name[32];
        snprintf(name, sizeof name, "%s.key", client_names[i]);
        file_path(path, name);
        noise_keypair_new(&pair);
        assert_int_equal(key_file_create(path, &pair, why, sizeof why), ASSENT_OK);
        key_hex(&pair, hex);
        snprintf(clients[i], sizeof clients[i], "  - {name: %s, admin: true, keys: [\"%s\"]}\n",
                 client_names[i], hex);
    }
    write_text(&w, clients[0]);
    fakes->cluster = cluster_parse((const char *)w.data, w.len, "t.yaml", why, sizeof why);
    if (fakes->cluster == NULL)
        fail_msg("%s", why);
    w.len = 0;
    on_fakes(do_start_all, NULL);
    snprintf(both, sizeof both, "%s%s", clients[0], clients[1]);
    write_text(&w, both);
    file_path(fakes->cluster_file, "cluster.yaml");
    write_file(fakes->cluster_file, writer_view(&w));
    writer_free(&w);
}

static int start_fakes(void **state)
{
    static const struct fake nodes[FAKES] = {
        {.name = "ca", .id = 1, .role = ROLE_COORDINATOR, .datacenter = "a"},
        {.name = "cb", .id = 2, .role = ROLE_COORDINATOR, .datacenter = "b"},
        {.name = "cc", .id = 3, .role = ROLE_COORDINATOR, .datacenter = "c"},
        {.name = "pa", .id = 11, .role = ROLE_PARTICIPANT, .datacenter = "a"},
        {.name = "pb", .id = 12, .role = ROLE_PARTICIPANT, .datacenter = "b"},
    };
    (void)state;
    const char *tmp = getenv("TMPDIR");
    fakes = xcalloc(1, sizeof *fakes);
    snprintf(fakes->folder, sizeof fakes->folder, "%.32s/assent-client-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(fakes->folder) == NULL)
        return -1;
    fakes->answer = answer_all;
    for (int i = 0; i < FAKES; i++) {
        fakes->fake[i] = nodes[i];
        fakes->fake[i].all = fakes;
        noise_keypair_new(&fakes->keys[i]);
    }
    uv_mutex_init(&fakes->mutex);
    uv_cond_init(&fakes->changed);
    uv_loop_init(&fakes->loop);
    uv_async_init(&fakes->loop, &fakes->wake, woken);
    fakes->wake.data = fakes;
    uv_thread_create(&fakes->thread, run_fakes, fakes);
    make_files();
    return 0;
}

static int stop_fakes(void **state)
{
    (void)state;
    on_fakes(do_stop_all, NULL);
    uv_mutex_lock(&fakes->mutex);
    while (fakes->closing > 0)
        uv_cond_wait(&fakes->changed, &fakes->mutex);
    fakes->ending = true;
    uv_async_send(&fakes->wake);
    uv_mutex_unlock(&fakes->mutex);
    uv_thread_join(&fakes->thread);
    int left = uv_loop_close(&fakes->loop);
    uv_cond_destroy(&fakes->changed);
    uv_mutex_destroy(&fakes->mutex);
    static const char *const files[] = {"app.key", "stranger.key", "cluster.yaml", "bad.yaml",
                                        "other.key"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        file_path(path, files[i]);
        unlink(path);
    }
    left |= rmdir(fakes->folder);
    cluster_free(fakes->cluster);
    free(fakes);
    return left;
}

/* ---- opening, and small transactions ---- */

static assent *open_as(const char *client, uint32_t timeout_ms)
{
    assent *db;
    assent_options options = {.cluster_file = fakes->cluster_file,
                              .client = client,
                              .datacenter = "a",
                              .timeout_ms = timeout_ms};
    if (assent_open(&db, &options) != ASSENT_OK)
        fail_msg("%s", assent_error());
    return db;
}

/* So long that only a lost answer can end it. */
static assent *open_app(void)
{
    return open_as("app", 60000);
}

static assent_txn *put_txn(assent *db)
{
    assent_txn *t = assent_txn_new(db);
    assert_int_equal(assent_put(t, K("a/x"), K("v")), ASSENT_OK);
    return t;
}

static void assert_status(assent_status status, assent_status expected)
{
    if (status != expected)
        fail_msg("%s instead of %s: %s", assent_status_name(status), assent_status_name(expected),
                 assent_error());
}

static assent_status commit_one(assent *db, uint32_t timeout_ms, assent_commit_info *info)
{
    assent_txn *t = put_txn(db);
    assent_status status = assent_commit_within(t, timeout_ms, info);
    assent_txn_free(t);
    return status;
}

/* Until the client is connected to the coordinator of its own datacenter. */
static void connect_near(assent *db)
{
    assent_commit_info info = {0};
    for (;;) {
        assert_status(commit_one(db, 0, &info), ASSENT_OK);
        if (strcmp(info.coordinator, "ca") == 0)
            break;
        uv_sleep(2);
    }
    uv_mutex_lock(&fakes->mutex);
    fakes->commits = 0;
    uv_mutex_unlock(&fakes->mutex);
}

/* ---- commits ---- */

static void a_commit_gives_its_times_and_its_reads(void **state)
{
    (void)state;
    assent *db = open_app();
    assent_txn *t = assent_txn_new(db);
    assent_txid id;
    assent_commit_info info;
    assent_entry entry;
    assert_status(assent_put(t, K("r/k"), K("v")), ASSENT_OK);
    assert_status(assent_read(t, K("r/k")), ASSENT_OK);
    assert_status(assent_txn_id(t, &id), ASSENT_OK);
    assert_status(assent_commit(t, &info), ASSENT_OK);
    assert_memory_equal(info.txid.bytes, id.bytes, sizeof id.bytes);
    assert_true(info.commit_ts > 0);
    assert_non_null(info.coordinator);
    assert_int_equal(info.leader_us, 500);
    assert_int_equal(info.quorum_us, 50);
    assert_true(info.total_us > 0);
    assert_int_equal(info.parts, 2);
    assert_string_equal(info.part[1].participant, "pb");
    assert_int_equal(info.part[1].sync_us, 30);
    assert_int_equal(assent_txn_entries(t), 2);
    assert_status(assent_txn_entry(t, 1, &entry), ASSENT_OK);
    assert_memory_equal(entry.value, "as of the commit", entry.value_len);
    assert_status(assent_commit(t, NULL), ASSENT_SEALED);
    assent_txn_free(t);
    assent_close(db);
}

static void a_commit_names_the_leaders_incarnation_as_its_home(void **state)
{
    (void)state;
    assent *db = open_app();
    connect_near(db);
    assert_status(commit_one(db, 0, NULL), ASSENT_OK);
    look();
    assert_int_equal(fakes->commit[0].at, 1);
    assert_int_equal(fakes->commit[0].home.node, 1);
    assert_int_equal(fakes->commit[0].home.incarnation, 1);
    assert_true(fakes->commit[0].timeout_ms < 60000);
    assent_close(db);
}

static void answer_conflict(struct fake *at, const struct peer *peer, struct msg *m)
{
    answer_result(at, peer, m, ASSENT_CONFLICT);
}

static void an_abort_is_explained(void **state)
{
    (void)state;
    assent *db = open_app();
    answer_with(answer_conflict, ASSENT_OK);
    assent_commit_info info;
    assert_status(commit_one(db, 0, &info), ASSENT_CONFLICT);
    assert_non_null(strstr(assent_error(), "pa"));
    assert_non_null(strstr(assent_error(), "key a/x is taken"));
    assert_int_equal(info.commit_ts, 0);
    assent_close(db);
}

static void an_empty_transaction_is_invalid(void **state)
{
    (void)state;
    assent *db = open_app();
    assent_txn *t = assent_txn_new(db);
    assent_txid id;
    assert_status(assent_commit(t, NULL), ASSENT_INVALID);
    assert_status(assent_txn_id(t, &id), ASSENT_INVALID);
    assent_txn_free(t);
    assert_status(assent_commit(NULL, NULL), ASSENT_INVALID);
    assent_close(db);
}

/* The leader dies with the COMMIT; the others answer what became of it. */
static void die_on_commit(struct fake *at, const struct peer *peer, struct msg *m)
{
    if (m->type == MSG_COMMIT)
        fake_stop(at);
    else
        answer_all(at, peer, m);
}

static void a_leader_killed_in_mid_commit_is_answered_for_by_another(void **state)
{
    (void)state;
    static const assent_status outcomes[] = {ASSENT_OK, ASSENT_RECOVERED};
    assent *db = open_app();
    for (int i = 0; i < 2; i++) {
        connect_near(db);
        answer_with(die_on_commit, outcomes[i]);
        assent_commit_info info;
        assert_status(commit_one(db, 0, &info), outcomes[i]);
        look();
        assert_int_equal(fakes->commits, 1);
        assert_int_not_equal(fakes->outcome_at, 1);
        assert_int_equal(fakes->outcome_home.node, 1);
        assert_int_equal(fakes->outcome_home.incarnation, i + 1);
        assert_memory_equal(fakes->outcome_txid.b, info.txid.bytes, TXID_BYTES);
        assert_int_equal(info.commit_ts != 0, outcomes[i] == ASSENT_OK);
        answer_with(answer_all, ASSENT_OK);
        start_node("ca");
    }
    assent_close(db);
}

static void die_on_everything(struct fake *at, const struct peer *peer, struct msg *m)
{
    (void)peer;
    (void)m;
    fake_stop(at);
}

static void without_any_answer_the_outcome_is_unknown_and_can_be_asked_later(void **state)
{
    (void)state;
    assent *db = open_app();
    connect_near(db);
    answer_with(die_on_everything, ASSENT_OK);
    assent_commit_info info;
    assent_ts ts = 0;
    assert_status(commit_one(db, 700, &info), ASSENT_UNKNOWN);
    assert_non_null(strstr(assent_error(), "may have committed"));
    assert_int_equal(counted(&fakes->commits), 1);
    on_fakes(do_stop_all, NULL);
    answer_with(answer_all, ASSENT_OK);
    on_fakes(do_start_all, NULL);
    assert_status(assent_outcome(db, &info.txid, 0, &ts), ASSENT_OK);
    assert_true(ts > 0);
    assent_close(db);
}

static void without_a_coordinator_nothing_is_sent(void **state)
{
    (void)state;
    on_fakes(do_stop_all, NULL);
    assent *db = open_app();
    assert_status(commit_one(db, 200, NULL), ASSENT_NOT_SENT);
    assert_non_null(strstr(assent_error(), "ca: "));
    assert_int_equal(counted(&fakes->commits), 0);
    assent_close(db);
}

static void start_later(void *arg)
{
    (void)arg;
    uv_sleep(100);
    start_node("cc");
}

static void a_commit_waits_for_a_coordinator(void **state)
{
    (void)state;
    on_fakes(do_stop_all, NULL);
    assent *db = open_app();
    uv_thread_t thread;
    assent_commit_info info;
    uv_thread_create(&thread, start_later, NULL);
    assert_status(commit_one(db, 0, &info), ASSENT_OK);
    assert_string_equal(info.coordinator, "cc");
    uv_thread_join(&thread);
    assent_close(db);
}

static void outcomes_are_told_apart(void **state)
{
    (void)state;
    static const assent_status all[] = {ASSENT_OK, ASSENT_EXPIRED, ASSENT_CONFLICT};
    assent *db = open_app();
    assent_txid id;
    assent_ts ts;
    char text[ASSENT_TXID_TEXT];
    assert_status(assent_txid_parse("01234567-89ab-7000-8000-0123456789ab", &id), ASSENT_OK);
    assert_string_equal(assent_txid_text(&id, text), "01234567-89ab-7000-8000-0123456789ab");
    assert_status(assent_txid_parse("01234567-89ab-4000-8000-0123456789ab", &id), ASSENT_INVALID);
    for (int i = 0; i < 3; i++) {
        answer_with(answer_all, all[i]);
        assert_status(assent_outcome(db, &id, 0, &ts), all[i]);
        look();
        assert_int_equal(fakes->outcome_home.node, 0);
    }
    answer_with(answer_all, ASSENT_PENDING);
    assert_status(assent_outcome(db, &id, 300, &ts), ASSENT_PENDING);
    memset(id.bytes, 0, sizeof id.bytes);
    assert_status(assent_outcome(db, &id, 0, &ts), ASSENT_INVALID);
    assent_close(db);
}

/* ---- assent_run ---- */

static void conflict_twice(struct fake *at, const struct peer *peer, struct msg *m)
{
    answer_result(at, peer, m, counted(&at->all->commits) <= 2 ? ASSENT_CONFLICT : ASSENT_OK);
}

static assent_status build_put(assent_txn *t, void *arg)
{
    ++*(int *)arg;
    return assent_put(t, K("a/x"), K("v"));
}

static void a_run_tries_again_under_a_new_id_with_its_priority_kept(void **state)
{
    (void)state;
    assent *db = open_app();
    int built = 0;
    assent_commit_info info;
    answer_with(conflict_twice, ASSENT_OK);
    uint64_t before_ms = clock_wall_ms();
    assert_status(assent_run(db, build_put, &built, 0, &info), ASSENT_OK);
    assert_int_equal(built, 3);
    look();
    assert_int_equal(fakes->commits, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(fakes->commit[i].priority_ms >= before_ms);
        assert_int_equal(fakes->commit[i].priority_ms, fakes->commit[0].priority_ms);
        for (int k = 0; k < i; k++)
            assert_false(txid_equal(&fakes->commit[i].txid, &fakes->commit[k].txid));
    }
    assert_memory_equal(info.txid.bytes, fakes->commit[2].txid.b, TXID_BYTES);
    assent_close(db);
}

static void a_run_ends_when_its_time_is_over(void **state)
{
    (void)state;
    assent *db = open_app();
    int built = 0;
    connect_near(db);
    answer_with(answer_conflict, ASSENT_OK);
    assert_status(assent_run(db, build_put, &built, 400, NULL), ASSENT_CONFLICT);
    assert_true(built > 1);
    assent_close(db);
}

static void a_run_that_may_have_committed_is_not_tried_again(void **state)
{
    (void)state;
    assent *db = open_app();
    int built = 0;
    connect_near(db);
    answer_with(die_on_everything, ASSENT_OK);
    assert_status(assent_run(db, build_put, &built, 700, NULL), ASSENT_UNKNOWN);
    assert_int_equal(built, 1);
    assert_int_equal(counted(&fakes->commits), 1);
    assent_close(db);
}

static assent_status build_rolls_back(assent_txn *t, void *arg)
{
    (void)t;
    ++*(int *)arg;
    return ASSENT_ROLLED_BACK;
}

static void the_status_of_build_ends_a_run(void **state)
{
    (void)state;
    assent *db = open_app();
    int built = 0;
    assert_status(assent_run(db, build_rolls_back, &built, 0, NULL), ASSENT_ROLLED_BACK);
    assert_int_equal(built, 1);
    look();
    assert_int_equal(fakes->commits, 0);
    assert_status(assent_run(db, NULL, NULL, 0, NULL), ASSENT_INVALID);
    assent_close(db);
}

/* ---- reads ---- */

static void assert_value(assent_list *list, const char *value)
{
    assert_int_equal(assent_list_size(list), 1);
    const assent_entry *entry = assent_list_entry(list, 0);
    assert_true(entry->found);
    assert_int_equal(entry->value_len, strlen(value));
    assert_memory_equal(entry->value, value, entry->value_len);
    assert_null(assent_list_entry(list, 1));
    assent_list_free(list);
}

static void reads_come_from_the_nearest_replica_or_the_one_named(void **state)
{
    (void)state;
    assent *db = open_app();
    assent_list *list;
    assert_status(assent_get(db, K("r/k"), &list), ASSENT_OK);
    assert_value(list, "pa");
    assert_status(assent_get_at(db, "pb", K("r/k"), &list), ASSENT_OK);
    assert_value(list, "pb");
    assert_status(assent_get_at(db, "b", K("r/k"), &list), ASSENT_OK);
    assert_value(list, "pb");
    assert_status(assent_scan(db, "pb", K("r/"), K("s"), 0, &list), ASSENT_WRONG_PLACEMENT);
    assert_status(assent_scan(db, "pb", K("r/"), K("r/z"), 0, &list), ASSENT_OK);
    assert_value(list, "pb");
    assert_status(assent_get(db, K("r/absent"), &list), ASSENT_NOT_FOUND);
    assert_null(list);
    assert_status(assent_get(db, K("nowhere"), &list), ASSENT_WRONG_PLACEMENT);
    assert_status(assent_get_at(db, "pb", K("a/x"), &list), ASSENT_WRONG_PLACEMENT);
    assert_status(assent_get_at(db, "ca", K("a/x"), &list), ASSENT_INVALID);
    assert_status(assent_get(db, "", 0, &list), ASSENT_INVALID);
    assent_close(db);
}

static void die_at_pa(struct fake *at, const struct peer *peer, struct msg *m)
{
    if (at->id == 11)
        fake_stop(at);
    else
        answer_all(at, peer, m);
}

static void a_read_survives_the_loss_of_its_replica(void **state)
{
    (void)state;
    assent *db = open_app();
    assent_list *list;
    answer_with(die_at_pa, ASSENT_OK);
    assert_status(assent_get(db, K("r/k"), &list), ASSENT_OK);
    assert_value(list, "pb");
    assert_status(assent_get(db, K("r/k"), &list), ASSENT_OK); /* pa is known to fail */
    assert_value(list, "pb");
    start_node("pa");
    answer_with(answer_all, ASSENT_OK);
    assert_status(assent_get(db, K("a/k"), &list), ASSENT_OK); /* only there */
    assert_value(list, "pa");
    assent_close(db);
}

static void a_read_that_nobody_answers_times_out(void **state)
{
    (void)state;
    assent *db = open_as("app", 300);
    assent_list *list;
    answer_with(answer_nothing, ASSENT_OK);
    assert_status(assent_get(db, K("r/k"), &list), ASSENT_READ_TIMED_OUT);
    assert_null(list);
    assent_close(db);
}

/* ---- looking at nodes ---- */

static void nodes_are_listed_with_what_they_say_or_why_not(void **state)
{
    (void)state;
    stop_node("pb");
    assent *db = open_app();
    assent_node *nodes;
    size_t n;
    assert_status(assent_nodes(db, 0, &nodes, &n), ASSENT_OK);
    assert_int_equal(n, FAKES);
    for (size_t i = 0; i < n; i++) {
        bool running = strcmp(nodes[i].name, "pb") != 0;
        assert_int_equal(nodes[i].reachable, running);
        assert_string_equal(nodes[i].text, running ? "led 3\n" : "");
        assert_int_equal(nodes[i].incarnation, running ? 1 : 0);
        assert_int_equal(nodes[i].why[0] == '\0', running);
    }
    assert_string_equal(nodes[0].role, "coordinator");
    assert_string_equal(nodes[4].datacenter, "b");
    assent_nodes_free(nodes);
    answer_with(answer_nothing, ASSENT_OK);
    assert_status(assent_nodes(db, 200, &nodes, &n), ASSENT_OK);
    assert_true(nodes[0].reachable);
    assert_non_null(strstr(nodes[0].why, "did not answer"));
    assent_nodes_free(nodes);
    assent_close(db);
}

/* ---- threads ---- */

#define THREADS 8
#define ROUNDS  25

struct worker {
    assent *db;
    int number;
    int failures;
};

static void work(void *arg)
{
    struct worker *w = arg;
    char key[32];
    for (int i = 0; i < ROUNDS; i++) {
        assent_list *list = NULL;
        assent_commit_info info;
        int n = snprintf(key, sizeof key, "r/%d-%d", w->number, i);
        assent_txn *t = assent_txn_new(w->db);
        w->failures += assent_put(t, key, (size_t)n, K("v")) != ASSENT_OK;
        w->failures += assent_commit(t, &info) != ASSENT_OK;
        w->failures += assent_get(w->db, key, (size_t)n, &list) != ASSENT_OK;
        w->failures += assent_list_size(list) != 1 ||
                       memcmp(assent_list_entry(list, 0)->key, key, (size_t)n) != 0;
        assent_list_free(list);
        w->failures += assent_outcome(w->db, &info.txid, 0, NULL) != ASSENT_OK;
        w->failures += assent_get(w->db, K("nowhere"), &list) != ASSENT_WRONG_PLACEMENT ||
                       strstr(assent_error(), "nowhere") == NULL;
        assent_txn_free(t);
    }
}

static void many_threads_share_a_handle(void **state)
{
    (void)state;
    assent *db = open_app();
    struct worker worker[THREADS];
    uv_thread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){.db = db, .number = i};
        uv_thread_create(&thread[i], work, &worker[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        uv_thread_join(&thread[i]);
        assert_int_equal(worker[i].failures, 0);
    }
    look();
    assert_int_equal(fakes->commits, THREADS * ROUNDS);
    assent_close(db);
}

struct caller {
    assent *db;
    assent_status (*call)(assent *db);
    assent_status status;
};

static void call_and_keep(void *arg)
{
    struct caller *c = arg;
    c->status = c->call(c->db);
}

static assent_status call_commit(assent *db)
{
    return commit_one(db, 0, NULL);
}

static assent_status call_get(assent *db)
{
    assent_list *list;
    return assent_get(db, K("r/k"), &list);
}

static assent_status call_outcome(assent *db)
{
    assent_txid id;
    assent_txid_parse("01234567-89ab-7000-8000-0123456789ab", &id);
    return assent_outcome(db, &id, 0, NULL);
}

static assent_status call_nodes(assent *db)
{
    assent_node *nodes;
    size_t n;
    return assent_nodes(db, 0, &nodes, &n);
}

static void closing_ends_the_calls_of_other_threads(void **state)
{
    (void)state;
    static const struct {
        assent_status (*call)(assent *db);
        assent_status status;
    } calls[] = {{call_commit, ASSENT_UNKNOWN},
                 {call_get, ASSENT_CLOSED},
                 {call_outcome, ASSENT_UNKNOWN},
                 {call_nodes, ASSENT_CLOSED}};
    assent *db = open_app();
    struct caller caller[4];
    uv_thread_t thread[4];
    connect_near(db);
    answer_with(answer_nothing, ASSENT_OK);
    for (int i = 0; i < 4; i++) {
        caller[i] = (struct caller){.db = db, .call = calls[i].call};
        uv_thread_create(&thread[i], call_and_keep, &caller[i]);
    }
    wait_for(&fakes->commits, 1);
    wait_for(&fakes->outcomes, 1);
    wait_for(&fakes->reads, 1);
    assent_close(db);
    for (int i = 0; i < 4; i++) {
        uv_thread_join(&thread[i]);
        assert_string_equal(assent_status_name(caller[i].status),
                            assent_status_name(calls[i].status));
    }
}

static assent_status call_run(assent *db)
{
    int built = 0;
    return assent_run(db, build_put, &built, 0, NULL);
}

static void closing_ends_a_run_between_attempts(void **state)
{
    (void)state;
    assent *db = open_app();
    struct caller caller = {.db = db, .call = call_run};
    uv_thread_t thread;
    answer_with(answer_conflict, ASSENT_OK);
    uv_thread_create(&thread, call_and_keep, &caller);
    wait_for(&fakes->commits, 12); /* so that it backs off for long */
    assent_close(db);
    uv_thread_join(&thread);
    assert_true(caller.status == ASSENT_CLOSED || caller.status == ASSENT_UNKNOWN);
}

static void a_handle_that_was_never_used_closes(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assent_close(open_app());
    assent_close(NULL);
}

/* Threads of this process that block every signal that can be blocked. */
static int deaf_threads(void)
{
    int n = 0;
    char path[300], line[128];
    unsigned long long blocked;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        while (fgets(line, sizeof line, file) != NULL) {
            unsigned long long usual = 1u << (SIGTERM - 1) | 1u << (SIGINT - 1) |
                                       1u << (SIGPIPE - 1) | 1u << (SIGCHLD - 1);
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
                n += (blocked & usual) == usual;
        }
        fclose(file);
    }
    closedir(tasks);
    return n;
}

static void the_handles_thread_takes_no_signals(void **state)
{
    (void)state;
    int before = deaf_threads();
    assent *db = open_app();
    connect_near(db);
    assert_int_equal(deaf_threads(), before + 1);
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
    assent_close(db);
}

/* ---- what opening refuses ---- */

static void assert_open_fails(const assent_options *options, assent_status expected,
                              const char *sentence)
{
    assent *db = (assent *)(uintptr_t)1;
    assert_status(assent_open(&db, options), expected);
    assert_null(db);
    if (strstr(assent_error(), sentence) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", assent_error(), sentence);
}

static void opening_says_what_is_wrong(void **state)
{
    (void)state;
    char bad[128], other[128], missing[128], why[256];
    struct noise_keypair pair;
    const char *file = fakes->cluster_file;
    file_path(bad, "bad.yaml");
    file_path(other, "other.key");
    file_path(missing, "missing.yaml");
    write_file(bad, bytes_of_text("cluster: [\n"));
    noise_keypair_new(&pair);
    assert_int_equal(key_file_create(other, &pair, why, sizeof why), ASSENT_OK);
    assert_open_fails(&(assent_options){0}, ASSENT_INVALID, "cluster file");
    assert_open_fails(&(assent_options){.cluster_file = missing}, ASSENT_CONFIG, "missing.yaml");
    assert_open_fails(&(assent_options){.cluster_file = bad}, ASSENT_CONFIG, "bad.yaml");
    assert_open_fails(&(assent_options){.cluster_file = file}, ASSENT_INVALID, "2 clients");
    assert_open_fails(&(assent_options){.cluster_file = file, .client = "nobody"}, ASSENT_CONFIG,
                      "nobody");
    assert_open_fails(
        &(assent_options){.cluster_file = file, .client = "app", .datacenter = "mars"},
        ASSENT_INVALID, "mars");
    assert_open_fails(&(assent_options){.cluster_file = file, .client = "app", .key_file = other},
                      ASSENT_KEY_FILE, "other.key");
    assert_open_fails(&(assent_options){.cluster_file = file, .client = "app", .key_file = bad},
                      ASSENT_KEY_FILE, "bad.yaml");
    assert_int_equal(chmod(other, 0644), 0);
    assert_open_fails(&(assent_options){.cluster_file = file, .client = "app", .key_file = other},
                      ASSENT_KEY_FILE, "other.key");
    assert_status(assent_open(NULL, NULL), ASSENT_INVALID);
}

static void a_client_that_the_nodes_do_not_know_is_told_so(void **state)
{
    (void)state;
    assent *db = open_as("stranger", 1500);
    assert_status(commit_one(db, 0, NULL), ASSENT_NOT_SENT);
    assert_non_null(strstr(assent_error(), "stranger"));
    assent_close(db);
}

/* ---- the program's own loop ---- */

struct on_loop {
    uv_loop_t loop;
    assent *db;
    bool returned; /* the call that started the callbacks has */
    int callbacks;
    bool closed;
    assent_status status;
};

static void loop_closed(void *arg)
{
    struct on_loop *l = arg;
    l->closed = true;
}

static void loop_open(struct on_loop *l)
{
    signal(SIGPIPE, SIG_IGN); /* the duty of a program that has a libuv loop of its own */
    memset(l, 0, sizeof *l);
    assert_int_equal(uv_loop_init(&l->loop), 0);
    assent_options options = {
        .cluster_file = fakes->cluster_file, .client = "app", .timeout_ms = 60000};
    assert_status(assent_open_uv(&l->db, &l->loop, &options), ASSENT_OK);
}

static void loop_end(struct on_loop *l)
{
    uv_run(&l->loop, UV_RUN_DEFAULT);
    assert_true(l->closed);
    assert_int_equal(uv_loop_close(&l->loop), 0);
}

static void outcome_came(const assent_txid *id, assent_status status, assent_ts ts, const char *why,
                         void *arg)
{
    struct on_loop *l = arg;
    (void)id;
    assert_status(status, ASSENT_OK);
    assert_true(ts > 0);
    assert_string_equal(why, "");
    assert_true(l->returned);
    l->callbacks++;
    assent_close_uv(l->db, loop_closed, l);
}

static void list_came(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct on_loop *l = arg;
    assent_txid id;
    (void)why;
    assert_status(status, ASSENT_OK);
    assert_value(list, "pa");
    assert_true(l->returned);
    if (++l->callbacks == 2) {
        l->returned = false;
        assert_status(assent_scan_uv(l->db, "pa", K("a/"), K("a/z"), 0, list_came, l), ASSENT_OK);
        l->returned = true;
    } else {
        assent_txid_parse("01234567-89ab-7000-8000-0123456789ab", &id);
        assert_status(assent_outcome_uv(l->db, &id, 0, outcome_came, l), ASSENT_OK);
    }
}

static void commit_came(assent_txn *t, assent_status status, const assent_commit_info *info,
                        const char *why, void *arg)
{
    struct on_loop *l = arg;
    assert_status(status, ASSENT_OK);
    assert_true(info->commit_ts > 0);
    assert_string_equal(why, "");
    assert_true(l->returned);
    assent_txn_free(t);
    l->callbacks++;
    assert_status(assent_get_uv(l->db, NULL, K("r/k"), list_came, l), ASSENT_OK);
}

static void calls_on_the_programs_own_loop_end_in_callbacks(void **state)
{
    (void)state;
    struct on_loop l;
    assent_list *list;
    loop_open(&l);
    assent_txn *t = put_txn(l.db);
    assert_status(assent_commit(t, NULL), ASSENT_INVALID);
    assert_status(assent_get(l.db, K("r/k"), &list), ASSENT_INVALID);
    assert_status(assent_commit_uv(t, 0, commit_came, &l), ASSENT_OK);
    assert_status(assent_commit_uv(t, 0, commit_came, &l), ASSENT_SEALED);
    assert_status(assent_get_uv(l.db, NULL, K("nowhere"), list_came, &l), ASSENT_WRONG_PLACEMENT);
    l.returned = true;
    loop_end(&l);
    assert_int_equal(l.callbacks, 4);
    assent *db = open_app();
    t = put_txn(db);
    assert_status(assent_commit_uv(t, 0, commit_came, &l), ASSENT_INVALID);
    assent_txn_free(t);
    assent_close(db);
}

static void commit_ended(assent_txn *t, assent_status status, const assent_commit_info *info,
                         const char *why, void *arg)
{
    struct on_loop *l = arg;
    (void)info;
    assert_true(l->returned);
    assert_false(l->closed);
    assert_true(why[0] != '\0');
    l->status = status;
    l->callbacks++;
    assert_status(assent_commit_uv(t, 0, commit_ended, l), ASSENT_CLOSED);
    assent_txn_free(t);
}

static void closing_the_handle_of_a_loop_ends_its_calls_first(void **state)
{
    (void)state;
    struct on_loop l;
    loop_open(&l);
    assert_status(assent_commit_uv(put_txn(l.db), 0, commit_ended, &l), ASSENT_OK);
    assent_close_uv(l.db, loop_closed, &l);
    assert_int_equal(l.callbacks, 0);
    assert_false(l.closed);
    l.returned = true;
    loop_end(&l);
    assert_int_equal(l.callbacks, 1);
    assert_int_equal(l.status, ASSENT_CLOSED); /* it was not connected yet */
}

/* Calls that are over at once, each from the callback of the one before. */
struct endless {
    struct on_loop on;
    uv_timer_t timer;
    assent_txn *txn;
    bool over;
};

static void own_value_came(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct endless *e = arg;
    (void)why;
    assent_list_free(list);
    assert_status(status, ASSENT_OK);
    assert_true(++e->on.callbacks < 20000000);
    if (!e->over) {
        assert_status(assent_txn_get_uv(e->txn, K("a/x"), own_value_came, e), ASSENT_OK);
        return;
    }
    assent_txn_free(e->txn);
    assent_close_uv(e->on.db, loop_closed, &e->on);
}

static void endless_over(uv_timer_t *timer)
{
    struct endless *e = timer->data;
    e->over = true;
    uv_close((uv_handle_t *)timer, NULL);
}

static void callbacks_that_start_calls_leave_the_loop_time_for_others(void **state)
{
    (void)state;
    struct endless e = {0};
    loop_open(&e.on);
    e.txn = put_txn(e.on.db);
    uv_timer_init(&e.on.loop, &e.timer);
    e.timer.data = &e;
    uv_timer_start(&e.timer, endless_over, 20, 0);
    assert_status(assent_txn_get_uv(e.txn, K("a/x"), own_value_came, &e), ASSENT_OK);
    loop_end(&e.on);
    assert_true(e.over);
}

int main(void)
{
#define WITH_FAKES(test) cmocka_unit_test_setup_teardown(test, start_fakes, stop_fakes)
    const struct CMUnitTest tests[] = {
        WITH_FAKES(a_commit_gives_its_times_and_its_reads),
        WITH_FAKES(a_commit_names_the_leaders_incarnation_as_its_home),
        WITH_FAKES(an_abort_is_explained),
        WITH_FAKES(an_empty_transaction_is_invalid),
        WITH_FAKES(a_leader_killed_in_mid_commit_is_answered_for_by_another),
        WITH_FAKES(without_any_answer_the_outcome_is_unknown_and_can_be_asked_later),
        WITH_FAKES(without_a_coordinator_nothing_is_sent),
        WITH_FAKES(a_commit_waits_for_a_coordinator),
        WITH_FAKES(outcomes_are_told_apart),
        WITH_FAKES(a_run_tries_again_under_a_new_id_with_its_priority_kept),
        WITH_FAKES(a_run_ends_when_its_time_is_over),
        WITH_FAKES(a_run_that_may_have_committed_is_not_tried_again),
        WITH_FAKES(the_status_of_build_ends_a_run),
        WITH_FAKES(reads_come_from_the_nearest_replica_or_the_one_named),
        WITH_FAKES(a_read_survives_the_loss_of_its_replica),
        WITH_FAKES(a_read_that_nobody_answers_times_out),
        WITH_FAKES(nodes_are_listed_with_what_they_say_or_why_not),
        WITH_FAKES(many_threads_share_a_handle),
        WITH_FAKES(closing_ends_the_calls_of_other_threads),
        WITH_FAKES(closing_ends_a_run_between_attempts),
        WITH_FAKES(a_handle_that_was_never_used_closes),
        WITH_FAKES(the_handles_thread_takes_no_signals),
        WITH_FAKES(opening_says_what_is_wrong),
        WITH_FAKES(a_client_that_the_nodes_do_not_know_is_told_so),
        WITH_FAKES(calls_on_the_programs_own_loop_end_in_callbacks),
        WITH_FAKES(closing_the_handle_of_a_loop_ends_its_calls_first),
        WITH_FAKES(callbacks_that_start_calls_leave_the_loop_time_for_others),
    };
    logger_open(NULL, LOGGER_ERROR); /* the nodes would report every killed connection */
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
