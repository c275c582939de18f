/* What the read levels, escrow and old versions cost, as ratios of one run (docs/performance.md):
 *
 *     bench-levels [--seconds S] [--keys N] [--versions V] [1] [2] [3]
 *
 *   1  strong reads of a replicated key in a datacenter that has a replica, beside commits to both
 *      datacenters, 100 ms apart
 *   2  clients that add to one key of both datacenters, beside clients that lock it to do so
 *   3  reads and prepares at a participant with many keys of many versions, beside one with few
 *
 * Makes its clusters in a directory of its own under $TMPDIR (or /tmp), and removes it. The exit
 * status is 1 if a ratio is missed. Nothing absolute is judged. */
#include <argp.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "bench/closed_loop.h"
#include "chaos/site.h"
#include "common/limits.h"

#define RTT_MS        100
#define READY_US      30000000
#define READ_CLIENTS  64
#define HOT_CLIENTS   256
#define STORE_CLIENTS 8
#define FEW_KEYS      10000
#define LOAD_CLIENTS  8
#define ROUNDS        5
#define SETTLE_US     1500000 /* what was committed gets into the tables */

struct args {
    double seconds;
    uint64_t keys;
    uint32_t versions;
    unsigned parts; /* bit n: part n */
};

struct bench {
    struct args args;
    char dir[512];
    int missed;
};

/* ---- clusters ---- */

struct place {
    struct scenario scenario;
    struct site *site;
    bool linked; /* clients reach the nodes through links */
};

static bool place_open(struct place *p, const char *parent, const char *name, int datacenters,
                       int participants)
{
    struct scenario *s = &p->scenario;
    char dir[600];
    *s = (struct scenario){.datacenters = datacenters,
                           .coordinators = 1,
                           .participants = participants,
                           .retention_ms = RETENTION_MS_DEFAULT,
                           .in_doubt_ms = IN_DOUBT_TIMEOUT_MS,
                           .txid_skew_ms = TXID_SKEW_MS_DEFAULT};
    for (int i = 0; i < datacenters; i++)
        snprintf(s->datacenter[i], sizeof s->datacenter[i], "dc%d", i + 1);
    for (int i = 0; i < datacenters * datacenters; i++)
        s->rtt_ms[i] = i % (datacenters + 1) == 0 ? 0 : RTT_MS;
    snprintf(dir, sizeof dir, "%s/%s", parent, name);
    p->linked = datacenters > 1;
    p->site = site_open(s, dir);
    return p->site != NULL && site_wait_ready(p->site, READY_US);
}

static void place_close(struct place *p)
{
    if (p->site != NULL)
        site_stop(p->site);
    site_free(p->site);
    p->site = NULL;
}

/* A client in the first datacenter. */
static assent *place_client(void *arg, uv_loop_t *loop)
{
    const struct place *p = arg;
    return p->linked ? site_client_uv(p->site, 0, loop) : site_observer_uv(p->site, loop);
}

/* ---- saying ---- */

static double rate(const struct loop_result *r)
{
    return (double)r->done / r->seconds;
}

static double p50_ms(const struct loop_result *r)
{
    return histogram_percentile(&r->latency, 50) / 1000.0;
}

static void row(const char *what, int clients, const struct loop_result *r)
{
    printf("   %-52s %4d clients %9.0f/s  p50 %8.2f ms%s\n", what, clients, rate(r), p50_ms(r),
           r->failed > 0 ? "  (some were refused)" : "");
}

static void judge(struct bench *b, const char *what, double ratio, bool at_least, double bound)
{
    bool held = at_least ? ratio >= bound : ratio <= bound;
    printf("   %-6s %-62s %8.2f  (at %s %g)\n", held ? "held" : "MISSED", what, ratio,
           at_least ? "least" : "most", bound);
    b->missed += !held;
}

/* ---- 1 and 2: two datacenters ---- */

static struct loop_load load_of(const struct bench *b, enum loop_operation operation, int clients,
                                const char *progress)
{
    struct loop_load load = {.operation = operation,
                             .clients = clients,
                             .warm_s = 2,
                             .seconds = b->args.seconds,
                             .prefixes = 1,
                             .keys = {FEW_KEYS},
                             .rounds = 1,
                             .progress = progress};
    snprintf(load.prefix[0], sizeof load.prefix[0], "all/");
    return load;
}

static bool run_at(struct place *p, const struct loop_load *load, struct loop_result *out)
{
    return loop_run(load, place_client, p, out);
}

static bool strong_reads(struct bench *b, struct place *p)
{
    static struct loop_result filled, reads, commits;
    struct loop_load fill = load_of(b, LOOP_LOAD, LOAD_CLIENTS, "1: loading keys");
    struct loop_load read = load_of(b, LOOP_READ, READ_CLIENTS, "1: strong reads");
    struct loop_load commit = load_of(b, LOOP_PUT, READ_CLIENTS, "1: commits");
    printf("\n1. Strong reads of keys that both datacenters have, beside commits to both\n");
    if (!run_at(p, &fill, &filled) || !run_at(p, &read, &reads) || !run_at(p, &commit, &commits))
        return false;
    row("strong read, replica in the own datacenter", READ_CLIENTS, &reads);
    row("commit of one put at both datacenters", READ_CLIENTS, &commits);
    judge(b, "a read's p50 over the round trip between datacenters", p50_ms(&reads) / RTT_MS, false,
          0.5);
    judge(b, "reads per second over commits per second", rate(&reads) / rate(&commits), true, 20);
    return true;
}

static bool hot_counter(struct bench *b, struct place *p)
{
    static struct loop_result adds, locked;
    struct loop_load add = load_of(b, LOOP_ADD, HOT_CLIENTS, "2: adds");
    struct loop_load lock = load_of(b, LOOP_ADD_LOCKED, HOT_CLIENTS, "2: locked adds");
    snprintf(add.prefix[0], sizeof add.prefix[0], "all/hot/");
    snprintf(lock.prefix[0], sizeof lock.prefix[0], "all/hot/");
    lock.seconds *= 2; /* there are few */
    printf("\n2. One key of both datacenters that many add to\n");
    if (!run_at(p, &add, &adds) || !run_at(p, &lock, &locked))
        return false;
    row("add", HOT_CLIENTS, &adds);
    row("add that gives the value back, and so locks", HOT_CLIENTS, &locked);
    judge(b, "adds per second over locked adds per second", rate(&adds) / rate(&locked), true, 100);
    return true;
}

static bool two_datacenters(struct bench *b)
{
    struct place p = {0};
    bool good = place_open(&p, b->dir, "two", 2, 1);
    if (good && (b->args.parts & 1 << 1))
        good = strong_reads(b, &p);
    if (good && (b->args.parts & 1 << 2))
        good = hot_counter(b, &p);
    place_close(&p);
    return good;
}

/* ---- 3: many versions ---- */

/* One client finds how long an operation takes, several what processor time. */
enum measure { READ_ALONE, PUT_ALONE, READ_TOGETHER, PUT_TOGETHER, MEASURES };

static const struct {
    const char *text;
    enum loop_operation operation;
    int clients;
} measures[MEASURES] = {
    [READ_ALONE] = {"read", LOOP_READ, 1},
    [PUT_ALONE] = {"commit of two puts", LOOP_PUT, 1},
    [READ_TOGETHER] = {"read", LOOP_READ, STORE_CLIENTS},
    [PUT_TOGETHER] = {"commit of two puts", LOOP_PUT, STORE_CLIENTS},
};

/* Two participants in one datacenter, of which the first has the keys in question. */
struct held {
    struct place place;
    uint64_t keys;
    struct loop_result result[MEASURES][ROUNDS];
    double p50_us[MEASURES][ROUNDS];
    double cpu_us[MEASURES][ROUNDS]; /* of the participant, for each operation */
};

/* Of the participant that has the keys, in microseconds. */
static double held_cpu_us(const struct held *h)
{
    const struct cluster *c = h->place.site->cluster;
    int i = 0;
    clockid_t clock;
    struct timespec t;
    while (c->node[i].role != ROLE_PARTICIPANT)
        i++;
    if (clock_getcpuclockid(h->place.site->process[i].pid, &clock) != 0 ||
        clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void prefix_of(const struct held *h, int nth, char out[LOOP_PREFIX_BYTES])
{
    const struct cluster *c = h->place.site->cluster;
    for (int i = 0; i < c->nodes; i++)
        if (c->node[i].role == ROLE_PARTICIPANT && nth-- == 0)
            snprintf(out, LOOP_PREFIX_BYTES, "p/%s/", c->node[i].name);
}

static bool held_open(struct bench *b, struct held *h, const char *name, uint32_t versions)
{
    static struct loop_result result;
    char text[64];
    if (!place_open(&h->place, b->dir, name, 1, 2))
        return false;
    snprintf(text, sizeof text, "3: loading %llu keys, %u times", (unsigned long long)h->keys,
             versions);
    struct loop_load load = load_of(b, LOOP_LOAD, LOAD_CLIENTS, text);
    prefix_of(h, 0, load.prefix[0]);
    load.keys[0] = h->keys;
    load.rounds = versions;
    return run_at(&h->place, &load, &result);
}

static bool held_measure(struct bench *b, struct held *h, int round, enum measure m)
{
    struct loop_result *out = &h->result[m][round];
    char text[80];
    snprintf(text, sizeof text, "3: round %d of %d, %llu keys: %s", round + 1, ROUNDS,
             (unsigned long long)h->keys, measures[m].text);
    struct loop_load load = load_of(b, measures[m].operation, measures[m].clients, text);
    prefix_of(h, 0, load.prefix[0]);
    prefix_of(h, 1, load.prefix[1]);
    load.keys[0] = h->keys;
    load.keys[1] = FEW_KEYS;
    load.prefixes = load.operation == LOOP_PUT ? 2 : 1;
    load.warm_s = 0;
    load.seconds = b->args.seconds / 4;
    chaos_sleep_us(SETTLE_US);
    double before = held_cpu_us(h);
    if (!run_at(&h->place, &load, out))
        return false;
    h->cpu_us[m][round] = (held_cpu_us(h) - before) / (double)(out->done + out->failed);
    h->p50_us[m][round] = histogram_percentile(&out->latency, 50);
    return true;
}

/* Whatever else the machine does only adds: the best round is what an operation takes. */
static double best(const double of[ROUNDS])
{
    double least = of[0];
    for (int i = 1; i < ROUNDS; i++)
        least = of[i] < least ? of[i] : least;
    return least;
}

static void row_of_rounds(const struct held *h, enum measure m)
{
    static struct loop_result all;
    char text[80];
    memset(&all, 0, sizeof all);
    for (int i = 0; i < ROUNDS; i++) {
        const struct loop_result *r = &h->result[m][i];
        all.done += r->done;
        all.failed += r->failed;
        all.seconds += r->seconds;
        all.latency.n += r->latency.n;
        for (uint32_t j = 0; j < HISTOGRAM_BUCKETS; j++)
            all.latency.bucket[j] += r->latency.bucket[j];
        if (r->latency.max > all.latency.max)
            all.latency.max = r->latency.max;
    }
    snprintf(text, sizeof text, "%s, %llu keys", measures[m].text, (unsigned long long)h->keys);
    row(text, measures[m].clients, &all);
}

static void show_versions(struct bench *b, const struct held *few, const struct held *many)
{
    for (int m = 0; m < MEASURES; m++) {
        row_of_rounds(few, m);
        row_of_rounds(many, m);
    }
    for (int m = 0; m < MEASURES; m++)
        printf(
            "   processor time of the participant, %s, %d clients: %.1f and %.1f us, ratio %.2f\n",
            measures[m].text, measures[m].clients, best(few->cpu_us[m]), best(many->cpu_us[m]),
            best(many->cpu_us[m]) / best(few->cpu_us[m]));
    judge(b, "p50 of a read, many keys over few, the best rounds",
          best(many->p50_us[READ_ALONE]) / best(few->p50_us[READ_ALONE]), false, 1.3);
    judge(b, "p50 of a commit, many keys over few, the best rounds",
          best(many->p50_us[PUT_ALONE]) / best(few->p50_us[PUT_ALONE]), false, 1.3);
}

static bool many_versions(struct bench *b)
{
    static struct held few = {.keys = FEW_KEYS}, many;
    many.keys = b->args.keys;
    printf("\n3. %llu keys of %u versions each beside %d keys of one version\n",
           (unsigned long long)many.keys, b->args.versions, FEW_KEYS);
    bool good = held_open(b, &few, "few", 1) && held_open(b, &many, "many", b->args.versions);
    for (int i = 0; i < ROUNDS * MEASURES && good; i++) {
        struct held *first = (i + i / MEASURES) % 2 == 0 ? &few : &many;
        struct held *second = first == &few ? &many : &few;
        good = held_measure(b, first, i / MEASURES, i % MEASURES) &&
               held_measure(b, second, i / MEASURES, i % MEASURES);
    }
    place_close(&few.place);
    place_close(&many.place);
    if (good)
        show_versions(b, &few, &many);
    return good;
}

/* ---- the program ---- */

enum { OPTION_SECONDS = 256, OPTION_KEYS, OPTION_VERSIONS };

static const struct argp_option options[] = {
    {"seconds", OPTION_SECONDS, "S", 0, "How long to measure each load (default: 10)", 0},
    {"keys", OPTION_KEYS, "N", 0, "The many keys (default: 1000000)", 0},
    {"versions", OPTION_VERSIONS, "V", 0, "Of each of them (default: 10)", 0},
    {0},
};

static long number(struct argp_state *state, const char *text, long least, long most)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end != '\0' || n < least || n > most)
        argp_error(state, "'%s' is not a number from %ld to %ld", text, least, most);
    return n;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct args *a = state->input;
    switch (key) {
    case OPTION_SECONDS:
        a->seconds = (double)number(state, text, 1, 3600);
        return 0;
    case OPTION_KEYS:
        a->keys = (uint64_t)number(state, text, 1000, 1000000000);
        return 0;
    case OPTION_VERSIONS:
        a->versions = (uint32_t)number(state, text, 1, 1000);
        return 0;
    case ARGP_KEY_ARG:
        a->parts |= 1u << number(state, text, 1, 3);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    (void)about;
    (void)kind;
    (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "[PART...]",
        "Ratios of read levels, escrow and old versions; exit status 1 if one is missed.\vPART: 1 "
        "strong reads, 2 a hot counter, 3 many versions (default: all). Minutes, and 1.5 GB of "
        "disk "
        "under $TMPDIR or /tmp for part 3.",
        NULL,
        NULL,
        NULL};
    struct bench b = {.args = {.seconds = 10, .keys = 1000000, .versions = 10}};
    setvbuf(stdout, NULL, _IOLBF, 0);
    argp_parse(&argp, argc, argv, 0, NULL, &b.args);
    if (b.args.parts == 0)
        b.args.parts = 1 << 1 | 1 << 2 | 1 << 3;
    const char *tmp = getenv("TMPDIR");
    snprintf(b.dir, sizeof b.dir, "%.400s/assent-levels.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(b.dir) == NULL) {
        fprintf(stderr, "levels: %s: %s\n", b.dir, strerror(errno));
        return EX_CANTCREAT;
    }
    printf("Datacenters are %d ms apart, one coordinator, in the clients' datacenter.\n", RTT_MS);
    bool good = true;
    if (b.args.parts & (1 << 1 | 1 << 2))
        good = two_datacenters(&b);
    if (good && (b.args.parts & 1 << 3))
        good = many_versions(&b);
    nftw(b.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (good)
        printf("\n%d missed\n", b.missed);
    return good ? b.missed > 0 : EX_UNAVAILABLE;
}
