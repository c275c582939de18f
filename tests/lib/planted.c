#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/planted.h"

#define CLIENTS 8
#define KEYS    6

static const char *const verdict_text[] = {"held", "failed", "unjudged"};

void planted_judge(enum history_kind workload, planted_check check, const struct planted *rows,
                   size_t n)
{
    static struct finding f;
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        struct history *h = histories_script(workload, rows[i].script);
        enum verdict v = check(h, &f);
        bool right = v == rows[i].verdict && f.verdict == v && f.anomaly == rows[i].anomaly &&
                     (rows[i].says == NULL || strstr(f.text, rows[i].says) != NULL) &&
                     (v != VERDICT_FAILED || f.ops > 0);
        if (!right)
            print_error("%s: %s %s: %s\n", rows[i].what, verdict_text[v], anomaly_name(f.anomaly),
                        f.text);
        wrong += !right;
        history_free(h);
    }
    assert_int_equal(wrong, 0);
}

static struct history *random_one(struct random_history *r, enum history_kind workload,
                                  uint64_t seed, uint32_t operations, bool certain)
{
    r->workload = workload;
    r->seed = seed;
    r->operations = operations;
    r->clients = CLIENTS;
    r->keys = KEYS;
    r->certain = certain;
    return histories_random(r);
}

void planted_none(enum history_kind workload, planted_check check, uint32_t histories,
                  uint32_t operations, bool certain)
{
    static struct finding f;
    for (uint32_t i = 1; i <= histories; i++) {
        struct random_history r = {0};
        struct history *h = random_one(&r, workload, i, operations, certain);
        if (check(h, &f) != VERDICT_HELD)
            print_error("seed %u: %s\n", i, f.text);
        assert_int_equal(f.verdict, VERDICT_HELD);
        history_free(h);
    }
}

void planted_reads(enum history_kind workload, planted_check check, uint32_t histories,
                   uint32_t operations, bool certain, uint32_t floor)
{
    static struct finding f;
    uint32_t found = 0;
    for (uint32_t i = 1; i <= histories; i++) {
        struct random_history r = {0};
        history_free(random_one(&r, workload, i, operations, certain));
        r.corrupt = 1 + i * 7919 % r.reads;
        struct history *h = random_one(&r, workload, i, operations, certain);
        assert_non_null(r.mistaken);
        enum verdict v = check(h, &f);
        found += v == VERDICT_FAILED;
        if (v != VERDICT_FAILED)
            print_message("%s seed %u (%s)", found + 1 == i ? "  not found:" : ",", i, r.mistaken);
        history_free(h);
    }
    print_message("%s  %u of %u wrong reads found\n", found < histories ? "\n" : "", found,
                  histories);
    assert_true(found >= floor);
}
