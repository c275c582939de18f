/* `assent-chaos demo`: three datacenters on this machine, real round trips between them, and what
 * Assent promises shown on real data. Ends by itself; exit status 0 only if everything held. */
#include "chaos/demo.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chaos/emulated.h"
#include "chaos/tellers.h"

#define LOAD_THREADS   8
#define LOAD_ROWS      10 /* per transaction */
#define TRANSFER_MS    12000
#define KILL_AFTER_MS  6000
#define SETTLE_WAIT_MS 15000
#define LOOK_MS        2000
#define CUT_LOOK_MS    500 /* more than the round trip from ireland to tokyo */
#define CUT_AFTER_MS   2000
#define CUT_BOUND_MS   5000
#define LATENCY_MS     10000
#define FILE_BYTES_MAX (1024 * 1024)

struct demo {
    struct emulated cluster;
    int checks, failed;
};

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
        if (assent_run(l->demo->cluster.db[0], put_lines, both, 0, NULL) != ASSENT_OK) {
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
    uint64_t start = emulated_now_ms();
    for (int i = 0; i < LOAD_THREADS; i++)
        pthread_create(&thread[i], NULL, load_main, &l);
    for (int i = 0; i < LOAD_THREADS; i++)
        pthread_join(thread[i], NULL);
    printf("  %s: %d lines, %zu bytes, %d transactions over %d participants each, in %.1f s\n",
           path, l.lines, size, l.transactions, EMULATED_DATACENTERS,
           (double)(emulated_now_ms() - start) / 1000);
    check(d, l.failed == 0, "every transaction committed");
    for (int dc = 0; dc < EMULATED_DATACENTERS; dc++) {
        size_t n = read_back(d->cluster.db[dc], emulated_name[dc], back);
        check(d, n == size && memcmp(data, back, size) == 0,
              "%s reads back the same %zu bytes from its own replica", emulated_name[dc], size);
    }
    free(l.line);
}

/* ---- money ---- */

static void kill_leader(struct demo *d, struct tellers *t)
{
    struct process *leader = emulated_process(&d->cluster, "virginia-c");
    if (leader == NULL) {
        check(d, false, "no node virginia-c");
        return;
    }
    while (atomic_load(&t->under_way[0]) < 2)
        emulated_sleep_ms(1);
    int caught = atomic_load(&t->under_way[0]);
    process_kill(leader);
    printf("  kill -9 virginia-c with %d commits under way in virginia\n", caught);
}

static void wait_settled(struct demo *d)
{
    uint64_t start = emulated_now_ms();
    int in_doubt = 1;
    bool seen = false;
    while (emulated_now_ms() - start < SETTLE_WAIT_MS) {
        seen = emulated_look(&d->cluster, 1, d->cluster.site->nodes - 1, LOOK_MS, &in_doubt);
        if (seen && in_doubt == 0)
            break;
        emulated_sleep_ms(50);
    }
    check(d, seen && in_doubt == 0,
          "nobody is in doubt any more, %.1f s after the last transfer; virginia-c is still dead",
          (double)(emulated_now_ms() - start) / 1000);
}

static void restart_leader(struct demo *d)
{
    struct process *leader = emulated_process(&d->cluster, "virginia-c");
    int in_doubt;
    bool up = leader != NULL && process_start(leader) && emulated_wait_ready(&d->cluster) &&
              emulated_look(&d->cluster, 0, d->cluster.site->nodes, LOOK_MS, &in_doubt);
    check(d, up && in_doubt == 0,
          "virginia-c restarted, and all six nodes are connected again, nothing in doubt");
}

static void check_money(struct demo *d)
{
    for (int dc = 0; dc < EMULATED_DATACENTERS; dc++) {
        long long sum = tellers_audit(&d->cluster, dc);
        check(d, sum == TELLERS_TOTAL, "the accounts add up to %lld, as seen from %s", sum,
              emulated_name[dc]);
    }
}

static void say_transfers(const struct tellers *t)
{
    printf("  %d transfers committed, %d aborted, %d with unknown outcome\n", t->committed,
           t->aborted, t->unknown);
}

static void show_accounts(struct demo *d)
{
    assent_status s = tellers_open_accounts(&d->cluster);
    check(d, s == ASSENT_OK, "24 accounts of 1000 opened in one transaction%s%s",
          s == ASSENT_OK ? "" : ": ", s == ASSENT_OK ? "" : assent_error());
}

static void show_kill(struct demo *d)
{
    struct tellers t = {0};
    section("2. Money between datacenters, while the leading coordinator is killed");
    show_accounts(d);
    tellers_start(&t, &d->cluster, EMULATED_DATACENTERS);
    emulated_sleep_ms(KILL_AFTER_MS);
    atomic_store(&t.phase, PHASE_DEAD);
    kill_leader(d, &t);
    emulated_sleep_ms(TRANSFER_MS - KILL_AFTER_MS);
    tellers_join(&t);
    say_transfers(&t);
    check(d, t.committed > 0 && t.unknown == 0, "every transfer's outcome is known");
    wait_settled(d);
    check_money(d);
    restart_leader(d);
    tellers_show_latency(&t, true);
    printf("  (with virginia-c dead, F + 1 = 2 acceptors are only the other two: that distance is "
           "paid)\n");
    tellers_free(&t);
}

/* The leaders' datacenter loses all its links while they commit: the others decide without it. */
static void show_cut(struct demo *d)
{
    struct tellers t = {0};
    int in_doubt = 1;
    section("3. The leaders' datacenter cut off in mid-commit");
    tellers_start(&t, &d->cluster, 1);
    emulated_sleep_ms(CUT_AFTER_MS);
    wan_isolate(d->cluster.site->wan, 0, true);
    uint64_t cut = emulated_now_ms();
    atomic_store(&t.stop, true);
    printf("  all links of virginia are cut, with %d commits under way\n",
           atomic_load(&t.under_way[0]));
    while (in_doubt != 0 && emulated_now_ms() - cut < SETTLE_WAIT_MS)
        if (!emulated_look(&d->cluster, 1, d->cluster.site->nodes - 2, CUT_LOOK_MS, &in_doubt))
            in_doubt = 1;
    uint64_t decided = emulated_now_ms() - cut;
    check(d, in_doubt == 0 && decided < CUT_BOUND_MS,
          "ireland and tokyo decided without it: nobody there in doubt after %.1f s",
          (double)decided / 1000);
    wan_isolate(d->cluster.site->wan, 0, false);
    tellers_join(&t);
    printf("  links healed;");
    say_transfers(&t);
    check(d, t.unknown == 0, "every transfer's outcome is known");
    check(d, emulated_wait_ready(&d->cluster), "all six nodes are connected again");
    check_money(d);
    tellers_free(&t);
}

/* ---- */

static void keep_up(const char *dir)
{
    sigset_t wait;
    int signum;
    printf("\nThe cluster stays up until Ctrl-C. In another terminal, for example:\n\n");
    for (int i = 0; i < EMULATED_DATACENTERS; i++)
        printf("  build/release/assent status -c %s/cluster.%s.yaml --key %s/app.key --dc %s\n",
               dir, emulated_name[i], dir, emulated_name[i]);
    printf(
        "  build/release/assent txn -c %s/cluster.ireland.yaml --key %s/app.key --dc ireland \\\n"
        "      put greeting hello , add tokyo/visits 1\n",
        dir, dir);
    fflush(stdout);
    sigemptyset(&wait);
    sigaddset(&wait, SIGINT);
    sigaddset(&wait, SIGTERM);
    sigwait(&wait, &signum);
}

static int finish(struct demo *d, uint64_t start, const char *dir)
{
    check(d, emulated_close(&d->cluster), "all nodes stopped cleanly");
    printf("\n%s: %d of %d held, in %.0f s. Logs and databases are in %s\n",
           d->failed == 0 ? "All held" : "FAILED", d->checks - d->failed, d->checks,
           (double)(emulated_now_ms() - start) / 1000, dir);
    return d->failed == 0 ? 0 : 1;
}

int demo_main(const char *dir, bool keep)
{
    static struct demo d;
    sigset_t block;
    uint64_t start = emulated_now_ms();
    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGTERM);
    if (keep)
        pthread_sigmask(SIG_BLOCK, &block, NULL);
    section("0. Three datacenters: virginia, ireland, tokyo (80, 140 and 220 ms apart)");
    bool up = emulated_open(&d.cluster, dir, 3);
    check(&d, up && emulated_wait_ready(&d.cluster),
          "three coordinators and three participants are connected");
    if (d.failed == 0)
        show_load(&d);
    if (d.failed == 0)
        show_kill(&d);
    if (d.failed == 0)
        show_cut(&d);
    if (keep && d.failed == 0)
        keep_up(dir);
    return finish(&d, start, dir);
}

int latency_main(const char *dir, int coordinators)
{
    static struct demo d;
    struct tellers t = {0};
    uint64_t start = emulated_now_ms();
    bool up = emulated_open(&d.cluster, dir, coordinators);
    check(&d, up && emulated_wait_ready(&d.cluster), "%d coordinator%s and three participants",
          coordinators, coordinators == 1 ? ", in virginia," : "s");
    if (d.failed > 0)
        return finish(&d, start, dir);
    show_accounts(&d);
    tellers_start(&t, &d.cluster, coordinators == 1 ? 1 : EMULATED_DATACENTERS);
    emulated_sleep_ms(LATENCY_MS);
    tellers_join(&t);
    say_transfers(&t);
    check(&d, t.committed > 0 && t.unknown == 0, "every transfer's outcome is known");
    tellers_show_latency(&t, false);
    tellers_free(&t);
    return finish(&d, start, dir);
}
