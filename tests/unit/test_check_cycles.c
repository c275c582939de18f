/* chaos/check_cycles: each anomaly of lists planted in the smallest history that has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#include "chaos/check_cycles.h"
#include "common/prng.h"
#include "tests/lib/planted.h"

#define HELD      VERDICT_HELD, ANOMALY_NONE
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a
#define UNJUDGED  VERDICT_UNJUDGED, ANOMALY_NONE

static void good_histories_pass(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"serial", "0: a1=1 ok; 1: r1=[1] a1=2 ok; 2: r1=[1 2] ok", HELD, "3 transactions"},
        {"an empty list", "0: r1=[] ok", HELD, NULL},
        {"own appends", "0: r1=[] a1=1 r1=[1] a1=2 r1=[1 2] ok; 1: r1=[1 2] ok", HELD, NULL},
        {"concurrent, either order", "0> a1=1; 1> r1=[]; 0< ok; 1< ok; 2: r1=[1] ok", HELD, NULL},
        {"concurrent, seen before its end", "0> a1=1; 1: r1=[1] ok; 0< ok", HELD, NULL},
        {"unknown and seen", "0: a1=1 info; 1: r1=[1] ok", HELD, NULL},
        {"unknown and not seen", "0: a1=1 info; 1: r1=[] ok", HELD, NULL},
        {"unknown and seen late", "0: a1=1 info; 1: r1=[] ok; 1: r1=[1] ok", HELD, NULL},
        {"still open and seen", "0> a1=1 a2=1; 1: r1=[1] r2=[1] ok", HELD, NULL},
        {"failed and not seen", "0: a1=1 fail; 1: r1=[] ok", HELD, NULL},
        {"a read whose result is not known", "0: a1=1 ok; 1: r1=? a1=2 ok; 0: r1=[1 2] ok", HELD,
         NULL},
        {"write skew that is none",
         "0> r1=[] a2=1; 1> r1=[] r2=[1] a1=1; 0< ok; 1< ok;"
         "2: r1=[1] r2=[1] ok",
         HELD, NULL},
        {"an append nobody asked for", "0: r1=[] ok; 0: a1=1 ok", HELD, "1 committed append"},
        {"a strong read", "0: a1=1 ok; 1: s r1=[1] ok", HELD, NULL},
    };
    planted_judge(WORKLOAD_LIST, check_cycles, rows, sizeof rows / sizeof rows[0]);
}

static void what_the_lists_alone_show_is_found_by_name(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"own append not seen", "0: a1=1 r1=[] ok", FAILED(INTERNAL), "T0 (process 0"},
        {"own append not last", "1: a1=2 ok; 0: a1=1 r1=[1 2] ok", FAILED(INTERNAL), "key 1"},
        {"two reads differ", "1: a1=2 ok; 0: r1=[] r1=[2] ok", FAILED(INTERNAL), "step 2"},
        {"own append seen too early", "0: r1=[1] a1=1 ok", FAILED(INTERNAL), NULL},
        {"own append and more", "1: a1=2 ok; 0: r1=[] a1=1 r1=[2 1] ok", FAILED(INTERNAL), NULL},
        {"twice", "0: a1=1 ok; 0: r1=[1 1] ok", FAILED(DUPLICATE_ELEMENTS), "1 is in it twice"},
        {"twice in a shorter read",
         "0: a1=1 ok; 0: a1=2 ok; 0: a1=3 ok; 0: r1=[1 1] ok;"
         "0: r1=[1 2 3] ok",
         FAILED(DUPLICATE_ELEMENTS), NULL},
        {"nobody's", "0: a1=1 ok; 0: r1=[1 9] ok", FAILED(UNKNOWN_VALUE), "9"},
        {"nobody's in a shorter read", "0: a1=1 ok; 0: a1=2 ok; 0: r1=[9] ok; 0: r1=[1 2] ok",
         FAILED(UNKNOWN_VALUE), "nobody appended 9"},
        {"another key's", "0: a2=1 ok; 0: r1=[1] ok", FAILED(UNKNOWN_VALUE), NULL},
        {"two orders", "0: a1=1 ok; 1: a1=2 ok; 0: r1=[1 2] ok; 0: r1=[2] ok",
         FAILED(INCOMPATIBLE_ORDER), "[2]"},
        {"two orders of one length",
         "0> a1=1; 1> a1=2; 2: r1=[1 2] ok; 3: r1=[2 1] ok; 0< ok;"
         "1< ok",
         FAILED(INCOMPATIBLE_ORDER), NULL},
        {"steps turned round", "0: a1=1 a1=2 ok; 1: r1=[2 1] ok", FAILED(INCOMPATIBLE_ORDER), NULL},
        {"aborted", "0: a1=1 fail; 1: r1=[1] ok", FAILED(G1A), "T0 (process 0"},
        {"aborted, later learned", "0: a1=1 info; 1: r1=[1] ok; 0! fail", FAILED(G1A), NULL},
        {"on top of an aborted", "0: a1=1 fail; 1: a1=2 ok; 1: r1=[1 2] ok", FAILED(DIRTY_UPDATE),
         "appended 2 behind it"},
        {"between two steps", "0> a1=1 a1=2; 1: r1=[1] ok; 0< ok; 1: r1=[1 2] ok", FAILED(G1B),
         "ends with 1"},
        {"half of one transaction's appends", "0: a1=1 a1=2 ok; 1: r1=[2] ok", FAILED(LOST_APPEND),
         NULL},
        {"lost", "0: a1=1 ok; 1: r1=[] ok", FAILED(LOST_APPEND), "append of 1 to key 1"},
        {"lost behind others", "0: a1=1 ok; 0: a1=2 ok; 1: r1=[1] ok", FAILED(LOST_APPEND), NULL},
        {"unknown, seen elsewhere, then lost", "0: a1=1 a2=1 info; 1: r1=[1] ok; 1: r2=[] ok",
         FAILED(LOST_APPEND), "key 2"},
        {"unknown, seen below another, lost elsewhere",
         "0: a1=1 a2=1 info; 1: a1=2 ok; 2: r1=[1 2] ok; 2: r2=[] ok", FAILED(LOST_APPEND),
         "key 2"},
        {"learned to have committed, lost", "0: a1=1 info; 0! ok; 1: r1=[] ok", FAILED(LOST_APPEND),
         NULL},
        {"lost update", "0> r1=[] a1=1; 1> r1=[] a1=2; 0< ok; 1< ok; 2: r1=[1 2] ok",
         FAILED(LOST_UPDATE), "both read key 1 as []"},
        {"lost update beside own appends",
         "0> a1=1 r1=[1] a1=3; 1> r1=[] a1=2; 0< ok; 1< ok; 2: r1=[1 3 2] ok", FAILED(LOST_UPDATE),
         NULL},
        {"appended twice by the workload", "0: a1=1 ok; 1: a1=1 ok", UNJUDGED, "twice"},
        {"nothing was read", "0: a1=1 ok", UNJUDGED, NULL},
    };
    planted_judge(WORKLOAD_LIST, check_cycles, rows, sizeof rows / sizeof rows[0]);
}

/* In the first of these every operation is concurrent with the others, so time orders nothing. */
static void cycles_are_found_by_name(void **state)
{
    (void)state;
    static const struct planted rows[] = {
        {"two writers in two orders",
         "0> a1=1 a2=1; 1> a1=2 a2=2; 2> r1=[1 2] r2=[2 1]; 0< ok; 1< ok; 2< ok", FAILED(G0),
         "[ww]"},
        {"three writers around",
         "0> a1=1 a3=1; 1> a1=2 a2=2; 2> a2=3 a3=3; 3> r1=[1 2]; 4> r2=[2 3]; 5> r3=[3 1];"
         "0< ok; 1< ok; 2< ok; 3< ok; 4< ok; 5< ok",
         FAILED(G0), "[ww]"},
        {"each read the other's", "0> a1=1 r2=[2]; 1> a2=2 r1=[1]; 0< ok; 1< ok", FAILED(G1C),
         "[wr]"},
        {"each read the other's, one unknown",
         "0> a1=1 r2=[2]; 1> a2=2 r1=[1]; 0< ok; 1< info; 2: r2=[2] ok", HELD, NULL},
        {"wr and ww", "0> a1=1 a2=1; 1> r1=[1] a2=2; 2> r2=[2 1]; 0< ok; 1< ok; 2< ok", FAILED(G1C),
         NULL},
        {"an append that the reads lack comes behind theirs",
         "0> a1=1 r2=[1]; 1> a1=2 a2=1; 2> r1=[1]; 0< ok; 1< ok; 2< ok", FAILED(G1C), "[ww]"},
        {"half of a transaction", "0> a1=1 a2=1; 1> r1=[1] r2=[]; 0< ok; 1< ok; 2: r2=[1] ok",
         FAILED(G_SINGLE), "[rw]"},
        {"half of a transaction, the other never seen",
         "0> a1=1 a2=1; 1> r1=[1] r2=[]; 0< ok; 1< ok", FAILED(G_SINGLE), "without 1"},
        {"half of an unknown one", "0: a1=1 a2=1 info; 1> r1=[1] r2=[]; 1< ok; 2: r2=[1] ok",
         FAILED(G_SINGLE), NULL},
        {"read skew across two", "0> r1=[] r2=[1]; 1> a1=1; 2> r1=[1] a2=1; 0< ok; 1< ok; 2< ok",
         FAILED(G_SINGLE), NULL},
        {"one way back of several, met first",
         "0> r1=[] r3=[1] r7=[]; 1> a1=1 a5=1; 2> a2=1 a6=1; 3> r5=[1] r6=[1] a3=1; 4> r2=[] a7=1;"
         "0< ok; 1< ok; 2< ok; 3< ok; 4< ok",
         FAILED(G_SINGLE), NULL},
        {"one way back of several, met last",
         "0> r2=[] a7=1; 1> r5=[1] r6=[1] a3=1; 2> a2=1 a6=1; 3> a1=1 a5=1; 4> r1=[] r3=[1] r7=[];"
         "0< ok; 1< ok; 2< ok; 3< ok; 4< ok",
         FAILED(G_SINGLE), NULL},
        {"one way back of several, the others between",
         "0> r1=[] r3=[1] r7=[]; 1> a2=1 a6=1; 2> a1=1 a5=1; 3> r5=[1] r6=[1] a3=1; 4> r2=[] a7=1;"
         "0< ok; 1< ok; 2< ok; 3< ok; 4< ok",
         FAILED(G_SINGLE), NULL},
        {"write skew", "0> r1=[] a2=1; 1> r2=[] a1=1; 0< ok; 1< ok; 2: r1=[1] r2=[1] ok",
         FAILED(G2_ITEM), "[rw]"},
        {"write skew never seen", "0> r1=[] a2=1; 1> r2=[] a1=1; 0< ok; 1< ok", FAILED(G2_ITEM),
         NULL},
        {"long fork",
         "0> a1=1; 1> a2=1; 2> r1=[1] r2=[]; 3> r1=[] r2=[1]; 0< ok; 1< ok; 2< ok; 3< ok",
         FAILED(G2_ITEM), NULL},
        {"write skew of three", "0> r1=[] a2=1; 1> r2=[] a3=1; 2> r3=[] a1=1; 0< ok; 1< ok; 2< ok",
         FAILED(G2_ITEM), NULL},
        {"two writes of one process turned round", "1> r1=[2 1]; 0: a1=1 ok; 0: a1=2 ok; 1< ok",
         FAILED(G0_PROCESS), "[process]"},
        {"two reads of one process turned round", "1> a1=1; 0: r1=[1] ok; 0: r1=[] ok; 1< ok",
         FAILED(G_SINGLE_PROCESS), NULL},
        {"read of what the process writes later", "1> a2=1 r1=[1]; 0: r2=[1] ok; 0: a1=1 ok; 1< ok",
         FAILED(G1C_PROCESS), NULL},
        {"store buffers: each process misses the other's write",
         "0> a1=1; 1> a2=1; 0< ok; 0> r2=[]; 1< ok; 1> r1=[]; 0< ok; 1< ok; 2: r1=[1] r2=[1] ok",
         FAILED(G2_ITEM_PROCESS), "in their process"},
        {"two processes see two writes in two orders",
         "2> a1=1; 3> a2=1; 0> r1=[1]; 1> r2=[1]; 0< ok; 1< ok; 0> r2=[]; 1> r1=[]; 0< ok; 1< ok;"
         "2< ok; 3< ok",
         FAILED(G2_ITEM_PROCESS), NULL},
        {"writes turned round in time", "0: a1=1 ok; 1: a1=2 ok; 2: r1=[2 1] ok",
         FAILED(G0_REALTIME), "ended before"},
        {"a write of unknown outcome before one that had ended",
         "0: a1=1 ok; 1: a1=2 info; 2: r1=[2 1] ok", FAILED(G0_REALTIME), NULL},
        {"a stale read after others came and went",
         "1> r2=[]; 0: a1=1 ok; 2> r2=[]; 1< ok; 3: r1=[] ok; 2< ok; 4: r1=[1] ok",
         FAILED(G_SINGLE_REALTIME), NULL},
        {"a read from the future", "0: r1=[1] ok; 1: a1=1 ok", FAILED(G1C_REALTIME), NULL},
        {"a stale read", "0: a1=1 ok; 1: r1=[] ok; 2: r1=[1] ok", FAILED(G_SINGLE_REALTIME),
         "[realtime]"},
        {"an old version after a newer one was read", "0> a1=1; 1: r1=[1] ok; 2: r1=[] ok; 0< ok",
         FAILED(G_SINGLE_REALTIME), NULL},
    };
    planted_judge(WORKLOAD_LIST, check_cycles, rows, sizeof rows / sizeof rows[0]);
}

static void random_serializable_histories_pass(void **state)
{
    (void)state;
    planted_none(WORKLOAD_LIST, check_cycles, 20, 3000, false);
    planted_none(WORKLOAD_LIST, check_cycles, 5, 3000, true);
}

static void a_wrong_read_among_thousands_is_found(void **state)
{
    (void)state;
    planted_reads(WORKLOAD_LIST, check_cycles, 200, 2000, false, 190);
}

/* ---- a store with snapshot isolation: the first to commit a key wins, reads are of the snapshot
 */

#define STORE_KEYS    8
#define STORE_CLIENTS 12
#define STORE_STEPS   3

struct snapshot_client {
    uint32_t op, seen[STORE_KEYS];
    bool running;
    struct micro step[STORE_STEPS];
};

struct snapshot_store {
    struct history *h;
    struct prng prng;
    uint32_t n[STORE_KEYS];
    int64_t list[STORE_KEYS][4096];
    int64_t now;
    struct snapshot_client client[STORE_CLIENTS];
};

static void snapshot_begin(struct snapshot_store *s, uint32_t client)
{
    struct snapshot_client *c = &s->client[client];
    uint64_t first = prng_below(&s->prng, STORE_KEYS);
    for (uint32_t i = 0; i < STORE_STEPS; i++)
        c->step[i] =
            (struct micro){.kind = prng_below(&s->prng, 3) == 0 ? MICRO_APPEND : MICRO_READ,
                           .key = (int64_t)((first + i) % STORE_KEYS),
                           .value = (int64_t)s->h->n * STORE_STEPS + i};
    c->op = history_invoke(s->h, client, 0, LEVEL_TRANSACTION, ++s->now, c->step, STORE_STEPS);
    memcpy(c->seen, s->n, sizeof c->seen);
    c->running = true;
}

static void snapshot_commit(struct snapshot_store *s, uint32_t client)
{
    struct snapshot_client *c = &s->client[client];
    bool wins = true;
    c->running = false;
    for (uint32_t i = 0; i < STORE_STEPS; i++)
        wins &= c->step[i].kind == MICRO_READ || c->seen[c->step[i].key] == s->n[c->step[i].key];
    for (uint32_t i = 0; i < STORE_STEPS && wins; i++) {
        int64_t key = c->step[i].key;
        if (c->step[i].kind == MICRO_READ)
            history_read(s->h, c->op, i, s->list[key], c->seen[key]);
        else
            s->list[key][s->n[key]++] = c->step[i].value;
    }
    if (wins)
        history_ok(s->h, c->op, ++s->now, 0);
    else
        history_fail(s->h, c->op, ++s->now);
}

static void snapshot_isolation_shows_write_skew_and_nothing_worse(void **state)
{
    (void)state;
    static struct finding f;
    static struct snapshot_store s;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        memset(&s, 0, sizeof s);
        prng_seed(&s.prng, seed);
        s.h = history_new(WORKLOAD_LIST, STORE_CLIENTS);
        while (s.h->n < 4000) {
            uint32_t client = (uint32_t)prng_below(&s.prng, STORE_CLIENTS);
            if (s.client[client].running)
                snapshot_commit(&s, client);
            else
                snapshot_begin(&s, client);
        }
        assert_int_equal(check_cycles(s.h, &f), VERDICT_FAILED);
        assert_string_equal(anomaly_name(f.anomaly), "G2-item");
        history_free(s.h);
    }
}

static void twenty_thousand_transactions_are_checked_quickly(void **state)
{
    (void)state;
    static struct finding f;
    struct random_history r = {
        .workload = WORKLOAD_LIST, .seed = 7, .operations = 20000, .clients = 16, .keys = 8};
    struct history *h = histories_random(&r);
    clock_t start = clock();
    assert_int_equal(check_cycles(h, &f), VERDICT_HELD);
    print_message("  %s: %.0f ms\n", f.text,
                  (double)(clock() - start) * 1000.0 / (double)CLOCKS_PER_SEC);
    history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_histories_pass),
        cmocka_unit_test(what_the_lists_alone_show_is_found_by_name),
        cmocka_unit_test(cycles_are_found_by_name),
        cmocka_unit_test(random_serializable_histories_pass),
        cmocka_unit_test(a_wrong_read_among_thousands_is_found),
        cmocka_unit_test(snapshot_isolation_shows_write_skew_and_nothing_worse),
        cmocka_unit_test(twenty_thousand_transactions_are_checked_quickly),
    };
    return cmocka_run_group_tests_name("check_cycles", tests, NULL, NULL);
}
