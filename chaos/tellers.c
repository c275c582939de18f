#include "chaos/tellers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"

#define ACCOUNTS      8 /* per datacenter */
#define MONEY         1000
#define LATENCIES_MAX 8192

_Static_assert(EMULATED_DATACENTERS *ACCOUNTS *MONEY == TELLERS_TOTAL, "what the audit expects");

struct teller {
    struct tellers *all;
    int dc;
    uint64_t seed;
    pthread_t thread;
    int committed, aborted, unknown;
    /* by phase and by the farthest datacenter that took part */
    int latencies[PHASES][EMULATED_DATACENTERS];
    uint32_t *latency_us[PHASES][EMULATED_DATACENTERS];
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
    snprintf(out, 48, "%s/account/%d", emulated_name[dc], account);
}

static int farthest(int from, int a, int b)
{
    return emulated_rtt_ms(from, a) > emulated_rtt_ms(from, b) ? a : b;
}

static void *teller_main(void *arg)
{
    struct teller *t = arg;
    struct prng prng;
    prng_seed(&prng, t->seed);
    while (!atomic_load(&t->all->stop)) {
        int from = (int)prng_below(&prng, EMULATED_DATACENTERS);
        int to =
            (from + 1 + (int)prng_below(&prng, EMULATED_DATACENTERS - 1)) % EMULATED_DATACENTERS;
        struct transfer x = {.amount = 1 + (int64_t)prng_below(&prng, 50)};
        assent_commit_info info = {0};
        account_key(x.from, from, (int)prng_below(&prng, ACCOUNTS));
        account_key(x.to, to, (int)prng_below(&prng, ACCOUNTS));
        int phase = atomic_load(&t->all->phase);
        atomic_fetch_add(&t->all->under_way[t->dc], 1);
        assent_status s = assent_run(t->all->cluster->db[t->dc], build_transfer, &x, 0, &info);
        atomic_fetch_sub(&t->all->under_way[t->dc], 1);
        int far = farthest(t->dc, from, to);
        /* what was under way when the coordinator died belongs to neither phase */
        bool whole = phase == atomic_load(&t->all->phase);
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
    for (int dc = 0; dc < EMULATED_DATACENTERS; dc++) {
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
    for (int dc = 0; dc < EMULATED_DATACENTERS; dc++) {
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
long long tellers_audit(struct emulated *d, int dc)
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
        emulated_sleep_ms(200);
    }
    if (s != ASSENT_OK)
        fprintf(stderr, "demo: audit from %s: %s\n", emulated_name[dc], assent_error());
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

void tellers_show_latency(const struct tellers *t, bool with_dead_phase)
{
    static uint32_t calm[LATENCIES_MAX], dead[LATENCIES_MAX];
    printf("\n  led from    farthest    round trip  commits  p50, all up  over it       p95%s\n",
           with_dead_phase ? "   p50, virginia-c dead" : "");
    for (int from = 0; from < EMULATED_DATACENTERS; from++) {
        for (int to = 0; to < EMULATED_DATACENTERS; to++) {
            size_t count = collect(t->teller, t->n, PHASE_CALM, from, to, calm);
            size_t after = collect(t->teller, t->n, PHASE_DEAD, from, to, dead);
            if (count == 0 || from == to)
                continue;
            double p50 = calm[count / 2] / 1000.0, p95 = calm[count * 95 / 100] / 1000.0;
            uint32_t rtt = emulated_rtt_ms(from, to);
            printf("  %-10s  %-10s  %7u ms  %7zu  %8.1f ms   %.2f x  %5.1f ms", emulated_name[from],
                   emulated_name[to], rtt, count, p50, p50 / rtt, p95);
            if (with_dead_phase && after > 0)
                printf("  %8.1f ms", dead[after / 2] / 1000.0);
            printf("\n");
        }
    }
}

void tellers_start(struct tellers *t, struct emulated *cluster, int datacenters)
{
    t->cluster = cluster;
    t->n = datacenters * TELLERS_PER_DATACENTER;
    t->teller = xcalloc((size_t)t->n, sizeof *t->teller);
    for (int i = 0; i < t->n; i++) {
        struct teller *teller = &t->teller[i];
        teller->all = t;
        teller->dc = i / TELLERS_PER_DATACENTER;
        teller->seed = (uint64_t)i + 1;
        for (int k = 0; k < PHASES * EMULATED_DATACENTERS; k++)
            teller->latency_us[k / EMULATED_DATACENTERS][k % EMULATED_DATACENTERS] =
                xcalloc(LATENCIES_MAX, sizeof(uint32_t));
        if (pthread_create(&teller->thread, NULL, teller_main, teller) != 0)
            abort();
    }
}

void tellers_join(struct tellers *t)
{
    atomic_store(&t->stop, true);
    for (int i = 0; i < t->n; i++) {
        pthread_join(t->teller[i].thread, NULL);
        t->committed += t->teller[i].committed;
        t->aborted += t->teller[i].aborted;
        t->unknown += t->teller[i].unknown;
    }
}

void tellers_free(struct tellers *t)
{
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < PHASES * EMULATED_DATACENTERS; k++)
            free(t->teller[i].latency_us[k / EMULATED_DATACENTERS][k % EMULATED_DATACENTERS]);
    free(t->teller);
}

assent_status tellers_open_accounts(struct emulated *cluster)
{
    return assent_run(cluster->db[0], build_accounts, NULL, 0, NULL);
}
