/* `assent-chaos demo`: three datacenters on this machine, real round trips between them, and what
 * Assent promises shown on real data. Ends by itself; exit status 0 only if everything held. */
#include "chaos/demo.h"

#include <assent/assent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chaos/process.h"
#include "chaos/wan.h"
#include "common/prng.h"

#define DATACENTERS      3
#define NODES            6
#define ACCOUNTS         8 /* per datacenter */
#define MONEY            1000
#define LOAD_THREADS     8
#define LOAD_ROWS        10 /* per transaction */
#define TRANSFER_THREADS 4  /* per datacenter */
#define TRANSFER_SECONDS 12
#define KILL_AFTER_MS    6000
#define READY_WAIT_MS    20000
#define LOOK_MS          2000
#define CUT_LOOK_MS      500 /* more than the round trip from ireland to tokyo */
#define CUT_AFTER_MS     2000
#define CUT_BOUND_MS     5000
#define SETTLE_WAIT_MS   15000
#define LATENCIES_MAX    65536
#define FILE_BYTES_MAX   (1024 * 1024)

static const char *const dc_names[DATACENTERS] = {"virginia", "ireland", "tokyo"};
/* Round trips in ms between regions that far apart. */
static const uint32_t rtt_ms[DATACENTERS * DATACENTERS] = {0, 80, 140, 80, 0, 220, 140, 220, 0};

struct demo {
    char dir[4096];
    struct cluster *cluster;
    struct wan *wan;
    struct process process[NODES];
    int processes;
    assent *db[DATACENTERS];
    int checks, failed;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static __attribute__((format(printf, 3, 4))) void check(struct demo *d, bool held,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("  %s ", held ? "held  " : "FAILED");
    vprintf(format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
    d->checks++;
    d->failed += !held;
}

static void section(const char *title)
{
    printf("\n%s\n", title);
    fflush(stdout);
}

/* ---- start ---- */

static bool make_cluster(struct demo *d)
{
    char assent_path[4096], why[512], path[4200];
    if (!process_sibling("assent", assent_path, sizeof assent_path)) {
        fprintf(stderr, "demo: the assent command is not beside this program; run make\n");
        return false;
    }
    char port[16];
    snprintf(port, sizeof port, "%d", 20000 + (int)(getpid() % 20000));
    char *argv[] = {assent_path,
                    (char[]){"init"},
                    d->dir,
                    (char[]){"--datacenters"},
                    (char[]){"virginia,ireland,tokyo"},
                    (char[]){"--base-port"},
                    port,
                    NULL};
    if (process_run(argv) != 0)
        return false;
    snprintf(path, sizeof path, "%s/cluster.yaml", d->dir);
    d->cluster = cluster_load(path, why, sizeof why);
    if (d->cluster != NULL)
        d->wan = wan_open(d->cluster, d->dir, rtt_ms, why, sizeof why);
    if (d->wan == NULL)
        fprintf(stderr, "demo: %s: %s\n", path, why);
    return d->wan != NULL;
}

static bool start_nodes(struct demo *d, const char *dir)
{
    for (int i = 0; i < d->cluster->nodes && i < NODES; i++) {
        const struct cluster_node *node = &d->cluster->node[i];
        struct process *p = &d->process[d->processes++];
        snprintf(p->name, sizeof p->name, "%s", node->name);
        p->role = node->role;
        snprintf(p->cluster_file, sizeof p->cluster_file, "%.3000s/cluster.%s.yaml", dir,
                 d->cluster->datacenter[node->datacenter]);
        snprintf(p->data_dir, sizeof p->data_dir, "%.3000s/%s", dir, node->name);
        if (!process_start(p))
            return false;
    }
    return true;
}

static bool open_clients(struct demo *d)
{
    for (int i = 0; i < DATACENTERS; i++) {
        char file[4200], key[4200];
        snprintf(file, sizeof file, "%s/cluster.%s.yaml", d->dir, dc_names[i]);
        snprintf(key, sizeof key, "%s/app.key", d->dir);
        assent_options options = {.cluster_file = file,
                                  .client = "app",
                                  .key_file = key,
                                  .datacenter = dc_names[i],
                                  .timeout_ms = 15000};
        if (assent_open(&d->db[i], &options) != ASSENT_OK) {
            fprintf(stderr, "demo: %s\n", assent_error());
            return false;
        }
    }
    return true;
}

/* A number from a node's own status text, or -1. */
static long long status_value(const assent_node *node, const char *name)
{
    const char *at = node->text;
    size_t n = strlen(name);
    while (at != NULL && *at != '\0') {
        if (strncmp(at, name, n) == 0 && at[n] == ' ')
            return atoll(at + n + 1);
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return -1;
}

/* Whether as many nodes as expected are reachable from the datacenter, and how many transactions
 * are in doubt. */
static bool look(struct demo *d, int dc, int expected, uint32_t timeout_ms, long long *in_doubt)
{
    assent_node *nodes;
    size_t n;
    int reachable = 0;
    *in_doubt = 0;
    if (assent_nodes(d->db[dc], timeout_ms, &nodes, &n) != ASSENT_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        long long value = status_value(&nodes[i], "in_doubt");
        reachable += nodes[i].reachable;
        if (value > 0)
            *in_doubt += value;
    }
    assent_nodes_free(nodes);
    return reachable >= expected;
}

static bool wait_ready(struct demo *d)
{
    uint64_t end = now_ms() + READY_WAIT_MS;
    long long in_doubt;
    for (int dc = 0; dc < DATACENTERS; dc++) {
        while (!look(d, dc, NODES, LOOK_MS, &in_doubt)) {
            if (now_ms() > end)
                return false;
            sleep_ms(100);
        }
    }
    return true;
}

/* ---- a file in three datacenters ---- */

struct load {
    struct demo *demo;
    const char *data;
    size_t *line; /* offsets; lines + 1 of them */
    int lines;
    atomic_int next, failed, transactions;
};

static assent_status put_lines(assent_txn *t, void *arg)
{
    struct load *l = ((void **)arg)[0];
    int first = *(int *)((void **)arg)[1];
    for (int i = first; i < first + LOAD_ROWS && i < l->lines; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "services/%06d", i);
        assent_status s =
            assent_put(t, key, (size_t)n, l->data + l->line[i], l->line[i + 1] - l->line[i]);
        if (s != ASSENT_OK)
            return s;
    }
    return ASSENT_OK;
}

static void *load_main(void *arg)
{
    struct load *l = arg;
    int first;
    while ((first = atomic_fetch_add(&l->next, LOAD_ROWS)) < l->lines) {
        void *both[] = {l, &first};
        if (assent_run(l->demo->db[0], put_lines, both, 0, NULL) != ASSENT_OK) {
            if (atomic_fetch_add(&l->failed, 1) == 0)
                fprintf(stderr, "demo: load: %s\n", assent_error());
        }
        atomic_fetch_add(&l->transactions, 1);
    }
    return NULL;
}

/* The keys of the prefix, as one datacenter's replica has them, one after the other. */
static size_t read_back(assent *db, const char *dc, char *out)
{
    char from[32] = "services/";
    size_t from_len = strlen(from), size = 0;
    bool more = true;
    while (more) {
        assent_list *list;
        if (assent_scan(db, dc, from, from_len, "services0", 9, 0, &list) != ASSENT_OK) {
            fprintf(stderr, "demo: scan in %s: %s\n", dc, assent_error());
            return 0;
        }
        size_t n = assent_list_size(list);
        more = false;
        for (size_t i = 0; i < n; i++) {
            const assent_entry *e = assent_list_entry(list, i);
            if (size + e->value_len <= FILE_BYTES_MAX)
                memcpy(out + size, e->value, e->value_len);
            size += e->value_len;
            more = e->truncated;
            if (more) { /* go on behind the last key */
                from_len = e->key_len + 1;
                memcpy(from, e->key, e->key_len);
                from[e->key_len] = '\0';
            }
        }
        assent_list_free(list);
    }
    return size;
}

static const char *data_file(void)
{
    static const char *const files[] = {"/etc/services", "/usr/share/zoneinfo/zone1970.tab",
                                        "/usr/share/zoneinfo/zone.tab"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], R_OK) == 0)
            return files[i];
    return NULL;
}

static void show_load(struct demo *d)
{
    const char *path = data_file();
    static char data[FILE_BYTES_MAX], back[FILE_BYTES_MAX];
    pthread_t thread[LOAD_THREADS];
    struct load l = {.demo = d, .data = data};
    section("1. A real file, replicated in all three datacenters");
    FILE *f = path == NULL ? NULL : fopen(path, "r");
    if (f == NULL) {
        check(d, false, "no data file: install netbase or tzdata");
        return;
    }
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    l.line = xcalloc(size + 2, sizeof *l.line);
    for (size_t i = 0; i < size; i++)
        if (i == 0 || data[i - 1] == '\n')
            l.line[l.lines++] = i;
    l.line[l.lines] = size;
    uint64_t start = now_ms();
    for (int i = 0; i < LOAD_THREADS; i++)
        pthread_create(&thread[i], NULL, load_main, &l);
    for (int i = 0; i < LOAD_THREADS; i++)
        pthread_join(thread[i], NULL);
    printf("  %s: %d lines, %zu bytes, %d transactions over %d participants each, in %.1f s\n",
           path, l.lines, size, l.transactions, DATACENTERS, (double)(now_ms() - start) / 1000);
    check(d, l.failed == 0, "every transaction committed");
    for (int dc = 0; dc < DATACENTERS; dc++) {
        size_t n = read_back(d->db[dc], dc_names[dc], back);
        check(d, n == size && memcmp(data, back, size) == 0,
              "%s reads back the same %zu bytes from its own replica", dc_names[dc], size);
    }
    free(l.line);
}

/* ---- money ---- */

/* Before the coordinator is killed, and after it. */
enum phase { PHASE_CALM, PHASE_DEAD, PHASES };

struct teller {
    struct demo *demo;
    int dc;
    uint64_t seed;
    atomic_bool *stop;
    atomic_int *phase;
    atomic_int *under_way; /* commits in progress in this datacenter */
    pthread_t thread;
    int committed, aborted, unknown;
    /* by phase and by the farthest datacenter that took part */
    int latencies[PHASES][DATACENTERS];
    uint32_t *latency_us[PHASES][DATACENTERS];
};

struct transfer {
    char from[48], to[48];
    int64_t amount;
};

static assent_status build_transfer(assent_txn *t, void *arg)
{
    const struct transfer *x = arg;
    assent_bounds at_least_zero = {.has_lower = true, .lower = 0};
    assent_status s = assent_add(t, x->from, strlen(x->from), -x->amount, &at_least_zero);
    return s != ASSENT_OK ? s : assent_add(t, x->to, strlen(x->to), x->amount, NULL);
}

static void account_key(char out[48], int dc, int account)
{
    snprintf(out, 48, "%s/account/%d", dc_names[dc], account);
}

static int farthest(int from, int a, int b)
{
    return rtt_ms[from * DATACENTERS + a] > rtt_ms[from * DATACENTERS + b] ? a : b;
}

static void *teller_main(void *arg)
{
    struct teller *t = arg;
    struct prng prng;
    prng_seed(&prng, t->seed);
    while (!atomic_load(t->stop)) {
        int from = (int)prng_below(&prng, DATACENTERS);
        int to = (from + 1 + (int)prng_below(&prng, DATACENTERS - 1)) % DATACENTERS;
        struct transfer x = {.amount = 1 + (int64_t)prng_below(&prng, 50)};
        assent_commit_info info = {0};
        account_key(x.from, from, (int)prng_below(&prng, ACCOUNTS));
        account_key(x.to, to, (int)prng_below(&prng, ACCOUNTS));
        int phase = atomic_load(t->phase);
        atomic_fetch_add(t->under_way, 1);
        assent_status s = assent_run(t->demo->db[t->dc], build_transfer, &x, 0, &info);
        atomic_fetch_sub(t->under_way, 1);
        int far = farthest(t->dc, from, to);
        /* what was under way when the coordinator died belongs to neither phase */
        bool whole = phase == atomic_load(t->phase);
        if (s == ASSENT_OK && whole && t->latencies[phase][far] < LATENCIES_MAX)
            t->latency_us[phase][far][t->latencies[phase][far]++] = info.total_us;
        t->committed += s == ASSENT_OK;
        t->unknown += assent_maybe_committed(s);
        t->aborted += s != ASSENT_OK && !assent_maybe_committed(s);
    }
    return NULL;
}

static assent_status build_accounts(assent_txn *t, void *arg)
{
    (void)arg;
    for (int dc = 0; dc < DATACENTERS; dc++) {
        for (int i = 0; i < ACCOUNTS; i++) {
            char key[48];
            account_key(key, dc, i);
            assent_status s = assent_put(t, key, strlen(key), "1000", 4);
            if (s != ASSENT_OK)
                return s;
        }
    }
    return ASSENT_OK;
}

static assent_status build_audit(assent_txn *t, void *arg)
{
    (void)arg;
    for (int dc = 0; dc < DATACENTERS; dc++) {
        for (int i = 0; i < ACCOUNTS; i++) {
            char key[48];
            account_key(key, dc, i);
            assent_status s = assent_read(t, key, strlen(key));
            if (s != ASSENT_OK)
                return s;
        }
    }
    return ASSENT_OK;
}

/* The sum of all accounts, read by one transaction through this datacenter; -1 if it cannot be
 * read. */
static long long audit(struct demo *d, int dc)
{
    assent_txn *t = assent_txn_new(d->db[dc]);
    long long sum = 0;
    assent_status s = build_audit(t, NULL);
    for (int tries = 0; s == ASSENT_OK && tries < 10; tries++) {
        s = assent_commit(t, NULL);
        if (!assent_retryable(s))
            break;
        assent_txn_free(t);
        t = assent_txn_new(d->db[dc]);
        s = build_audit(t, NULL);
        sleep_ms(200);
    }
    if (s != ASSENT_OK)
        fprintf(stderr, "demo: audit from %s: %s\n", dc_names[dc], assent_error());
    for (size_t i = 0; s == ASSENT_OK && i < assent_txn_entries(t); i++) {
        assent_entry e;
        char text[32] = "";
        if (assent_txn_entry(t, i, &e) == ASSENT_OK && e.value_len < sizeof text)
            memcpy(text, e.value, e.value_len);
        sum += atoll(text);
    }
    assent_txn_free(t);
    return s == ASSENT_OK ? sum : -1;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The commits of a phase that were led from one datacenter and reached to another, sorted; how
 * many. */
static size_t collect(const struct teller *teller, int n, int phase, int from, int to,
                      uint32_t *all)
{
    size_t count = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; teller[i].dc == from && k < teller[i].latencies[phase][to]; k++)
            if (count < LATENCIES_MAX)
                all[count++] = teller[i].latency_us[phase][to][k];
    qsort(all, count, sizeof all[0], compare_u32);
    return count;
}

/* Commit latency beside the round trip that it had to pay. */
static void show_latency(const struct teller *teller, int n)
{
    static uint32_t calm[LATENCIES_MAX], dead[LATENCIES_MAX];
    printf("\n  led from    farthest    round trip  commits  p50, all up  over it       p95"
           "   p50, %s-c dead\n",
           dc_names[0]);
    for (int from = 0; from < DATACENTERS; from++) {
        for (int to = 0; to < DATACENTERS; to++) {
            size_t count = collect(teller, n, PHASE_CALM, from, to, calm);
            size_t after = collect(teller, n, PHASE_DEAD, from, to, dead);
            if (count == 0 || from == to)
                continue;
            double p50 = calm[count / 2] / 1000.0, p95 = calm[count * 95 / 100] / 1000.0;
            uint32_t rtt = rtt_ms[from * DATACENTERS + to];
            printf("  %-10s  %-10s  %7u ms  %7zu  %8.1f ms   %.2f x  %5.1f ms  %8.1f ms\n",
                   dc_names[from], dc_names[to], rtt, count, p50, p50 / rtt, p95,
                   after == 0 ? 0.0 : dead[after / 2] / 1000.0);
        }
    }
    printf(
        "  (with %s-c dead, F + 1 = 2 acceptors are only the other two: that distance is paid)\n",
        dc_names[0]);
}

static void kill_leader(struct demo *d, atomic_int *under_way)
{
    struct process *leader = NULL;
    char name[64];
    snprintf(name, sizeof name, "%s-c", dc_names[0]);
    for (int i = 0; i < d->processes; i++)
        if (strcmp(d->process[i].name, name) == 0)
            leader = &d->process[i];
    if (leader == NULL) {
        check(d, false, "no node %s", name);
        return;
    }
    while (atomic_load(under_way) < 2)
        sleep_ms(1);
    int caught = atomic_load(under_way);
    process_kill(leader);
    printf("  kill -9 %s with %d commits under way in %s\n", name, caught, dc_names[0]);
}

static void wait_settled(struct demo *d)
{
    uint64_t start = now_ms();
    long long in_doubt = 1;
    bool seen = false;
    while (now_ms() - start < SETTLE_WAIT_MS) {
        seen = look(d, 1, NODES - 1, LOOK_MS, &in_doubt);
        if (seen && in_doubt == 0)
            break;
        sleep_ms(50);
    }
    check(d, seen && in_doubt == 0,
          "nobody is in doubt any more, %.1f s after the last transfer; %s-c is still dead",
          (double)(now_ms() - start) / 1000, dc_names[0]);
}

static void restart_leader(struct demo *d)
{
    long long in_doubt;
    for (int i = 0; i < d->processes; i++)
        if (!process_alive(&d->process[i]))
            process_start(&d->process[i]);
    check(d, wait_ready(d) && look(d, 0, NODES, LOOK_MS, &in_doubt) && in_doubt == 0,
          "%s-c restarted, and all six nodes are connected again", dc_names[0]);
}

static void start_tellers(struct demo *d, struct teller *teller, int n, atomic_bool *stop,
                          atomic_int *phase, atomic_int *under_way)
{
    for (int i = 0; i < n; i++) {
        teller[i].demo = d;
        teller[i].dc = i / TRANSFER_THREADS;
        teller[i].seed = (uint64_t)i + 1;
        teller[i].stop = stop;
        teller[i].phase = phase;
        teller[i].under_way = &under_way[teller[i].dc];
        for (int k = 0; k < PHASES * DATACENTERS; k++)
            teller[i].latency_us[k / DATACENTERS][k % DATACENTERS] =
                xcalloc(LATENCIES_MAX, sizeof(uint32_t));
        pthread_create(&teller[i].thread, NULL, teller_main, &teller[i]);
    }
}

static void join_tellers(struct teller *teller, int n, int *committed, int *aborted, int *unknown)
{
    for (int i = 0; i < n; i++) {
        pthread_join(teller[i].thread, NULL);
        *committed += teller[i].committed;
        *aborted += teller[i].aborted;
        *unknown += teller[i].unknown;
    }
}

static void free_tellers(struct teller *teller, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < PHASES * DATACENTERS; k++)
            free(teller[i].latency_us[k / DATACENTERS][k % DATACENTERS]);
}

static void check_money(struct demo *d)
{
    const long long total = (long long)DATACENTERS * ACCOUNTS * MONEY;
    for (int dc = 0; dc < DATACENTERS; dc++) {
        long long sum = audit(d, dc);
        check(d, sum == total, "the accounts add up to %lld, as seen from %s", sum, dc_names[dc]);
    }
}

static void show_money(struct demo *d)
{
    static struct teller teller[DATACENTERS * TRANSFER_THREADS];
    int n = DATACENTERS * TRANSFER_THREADS, committed = 0, aborted = 0, unknown = 0;
    atomic_bool stop = false;
    atomic_int under_way[DATACENTERS] = {0}, phase = PHASE_CALM;
    section("2. Money between datacenters, while the leading coordinator is killed");
    assent_status s = assent_run(d->db[0], build_accounts, NULL, 0, NULL);
    check(d, s == ASSENT_OK, "%d accounts of %d opened in one transaction%s%s",
          DATACENTERS * ACCOUNTS, MONEY, s == ASSENT_OK ? "" : ": ",
          s == ASSENT_OK ? "" : assent_error());
    start_tellers(d, teller, n, &stop, &phase, under_way);
    sleep_ms(KILL_AFTER_MS);
    atomic_store(&phase, PHASE_DEAD);
    kill_leader(d, &under_way[0]);
    sleep_ms(TRANSFER_SECONDS * 1000 - KILL_AFTER_MS);
    atomic_store(&stop, true);
    join_tellers(teller, n, &committed, &aborted, &unknown);
    printf("  %d transfers committed, %d aborted, %d with unknown outcome\n", committed, aborted,
           unknown);
    check(d, committed > 0 && unknown == 0, "every transfer's outcome is known");
    wait_settled(d);
    check_money(d);
    restart_leader(d);
    show_latency(teller, n);
    free_tellers(teller, n);
}

/* The leaders' datacenter loses all its links while they commit: the others decide without it. */
static void show_cut(struct demo *d)
{
    static struct teller teller[TRANSFER_THREADS];
    int committed = 0, aborted = 0, unknown = 0;
    atomic_bool stop = false;
    atomic_int under_way[DATACENTERS] = {0}, phase = PHASE_CALM;
    long long in_doubt = 1;
    section("3. The leaders' datacenter cut off in mid-commit");
    start_tellers(d, teller, TRANSFER_THREADS, &stop, &phase, under_way);
    sleep_ms(CUT_AFTER_MS);
    wan_isolate(d->wan, 0, true);
    uint64_t cut = now_ms();
    atomic_store(&stop, true);
    printf("  all links of %s are cut, with %d commits under way\n", dc_names[0],
           atomic_load(&under_way[0]));
    while (in_doubt != 0 && now_ms() - cut < SETTLE_WAIT_MS)
        if (!look(d, 1, NODES - 2, CUT_LOOK_MS, &in_doubt))
            in_doubt = 1;
    uint64_t decided = now_ms() - cut;
    check(d, in_doubt == 0 && decided < CUT_BOUND_MS,
          "%s and %s decided without it: nobody there in doubt after %.1f s", dc_names[1],
          dc_names[2], (double)decided / 1000);
    wan_isolate(d->wan, 0, false);
    join_tellers(teller, TRANSFER_THREADS, &committed, &aborted, &unknown);
    printf("  links healed; %d transfers committed, %d aborted, %d with unknown outcome\n",
           committed, aborted, unknown);
    check(d, unknown == 0, "every transfer's outcome is known");
    check(d, wait_ready(d), "all six nodes are connected again");
    check_money(d);
    free_tellers(teller, TRANSFER_THREADS);
}

/* ---- */

static void keep_up(const struct demo *d)
{
    sigset_t wait;
    int signum;
    printf("\nThe cluster stays up until Ctrl-C. In another terminal, for example:\n\n");
    for (int i = 0; i < DATACENTERS; i++)
        printf("  build/release/assent -c %s/cluster.%s.yaml --key %s/app.key --dc %s status\n",
               d->dir, dc_names[i], d->dir, dc_names[i]);
    printf("  build/release/assent -c %s/cluster.ireland.yaml --key %s/app.key --dc ireland \\\n"
           "      txn put greeting hello , add tokyo/visits 1\n",
           d->dir, d->dir);
    fflush(stdout);
    sigemptyset(&wait);
    sigaddset(&wait, SIGINT);
    sigaddset(&wait, SIGTERM);
    sigwait(&wait, &signum);
}

int demo_main(const char *dir, bool keep)
{
    static struct demo d;
    sigset_t block;
    uint64_t start = now_ms();
    snprintf(d.dir, sizeof d.dir, "%s", dir);
    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGTERM);
    if (keep)
        pthread_sigmask(SIG_BLOCK, &block, NULL);
    section("0. Three datacenters: virginia, ireland, tokyo (80, 140 and 220 ms apart)");
    bool up = make_cluster(&d) && start_nodes(&d, dir) && open_clients(&d);
    check(&d, up && wait_ready(&d), "three coordinators and three participants are connected");
    if (d.failed == 0)
        show_load(&d);
    if (d.failed == 0)
        show_money(&d);
    if (d.failed == 0)
        show_cut(&d);
    if (keep && d.failed == 0)
        keep_up(&d);
    for (int i = 0; i < DATACENTERS; i++)
        assent_close(d.db[i]);
    check(&d, process_stop_all(d.process, d.processes), "all nodes stopped cleanly");
    wan_close(d.wan);
    cluster_free(d.cluster);
    printf("\n%s: %d of %d held, in %.0f s. Logs and databases are in %s\n",
           d.failed == 0 ? "All held" : "FAILED", d.checks - d.failed, d.checks,
           (double)(now_ms() - start) / 1000, dir);
    return d.failed == 0 ? 0 : 1;
}
