/* chaos/check_levels: each level with a planted violation, and with what it allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chaos/check_levels.h"

/* Appends to list 0, and to others by number: begun at 10, 20, ... ns, ended 5 later, by the client
 * whose number is its session's too. */
struct scene {
    struct history *h;
    int64_t now_ns;
    struct finding f;
};

static const int64_t numbers[] = {1, 2, 3, 4, 5};

static void append_to(struct scene *s, uint32_t client, int64_t key, int64_t value, hlc_ts ts)
{
    struct micro m = {.kind = MICRO_APPEND, .key = key, .value = value};
    s->now_ns = s->now_ns < 10 * value ? 10 * value : s->now_ns + 5;
    uint32_t op = history_invoke(s->h, client, 0, LEVEL_TRANSACTION, s->now_ns, &m, 1);
    history_session(s->h, op, client);
    history_ok(s->h, op, s->now_ns += 5, ts);
}

static void append_by(struct scene *s, uint32_t client, int64_t value, hlc_ts ts)
{
    append_to(s, client, 0, value, ts);
}

/* 1, 2, 3 ... by client 0, committed at 100, 200, ... */
static struct scene scene_of(int appends)
{
    struct scene s = {.h = history_new(WORKLOAD_LIST, 4)};
    for (int i = 1; i <= appends; i++)
        append_by(&s, 0, i, (hlc_ts)i * 100);
    return s;
}

struct asked {
    enum read_level level;
    uint32_t client;
    hlc_ts ts, asked;
    int64_t start_ns, bound_ns, age_ns; /* 0: at once; none */
    bool after_all, without_session;
    uint32_t datacenter;
    int64_t key;
};

static void read_at(struct scene *s, const struct asked *r, uint32_t n, const int64_t *values)
{
    const struct micro m = {.kind = MICRO_READ, .key = r->key};
    const struct weak_how how = {.level = r->level,
                                 .session = r->without_session ? HISTORY_NO_SESSION : r->client,
                                 .asked = r->asked,
                                 .bound_ns = r->bound_ns > 0 ? r->bound_ns : HISTORY_AGE_UNKNOWN,
                                 .after_all = r->after_all};
    s->now_ns = r->start_ns > s->now_ns ? r->start_ns : s->now_ns + 1;
    uint32_t weak = history_weak_invoke(s->h, r->client, r->datacenter, &how, s->now_ns, &m, 1);
    history_weak_found(s->h, weak, 0, values, n);
    history_weak_ok(s->h, weak, ++s->now_ns, r->ts,
                    r->age_ns > 0 ? r->age_ns : HISTORY_AGE_UNKNOWN);
}

static void hand_over(struct scene *s, uint32_t from, uint32_t to)
{
    uint32_t token = history_export(s->h, from, from, ++s->now_ns);
    history_import(s->h, to, to, token, ++s->now_ns);
}

/* All checks together say so, and of the single ones exactly `own` does, unless it is
 * LEVEL_CHECKS: then whichever. */
static void judged(struct scene *s, enum verdict verdict, enum anomaly anomaly,
                   enum level_check own)
{
    assert_int_equal(check_levels(s->h, LEVELS_ALL, &s->f), verdict);
    if (verdict == VERDICT_FAILED)
        assert_string_equal(anomaly_name(s->f.anomaly), anomaly_name(anomaly));
    for (int c = 0; c < LEVEL_CHECKS; c++) {
        enum verdict one = check_levels(s->h, 1u << c, &s->f);
        if (verdict == VERDICT_HELD)
            assert_int_not_equal(one, VERDICT_FAILED);
        else if (own == (enum level_check)c)
            assert_int_equal(one, VERDICT_FAILED);
        else if (own != LEVEL_CHECKS && c < LEVELS_SNAPSHOT) /* what sessions lack is no cut, too */
            assert_int_not_equal(one, VERDICT_FAILED);
    }
    history_free(s->h);
}

#define HELD      VERDICT_HELD, ANOMALY_NONE, LEVEL_CHECKS
#define FAILED(a) VERDICT_FAILED, ANOMALY_##a

/* One read, of the first n of three appends. */
static void one(struct asked how, uint32_t n, enum verdict verdict, enum anomaly anomaly,
                enum level_check own)
{
    struct scene s = scene_of(3);
    read_at(&s, &how, n, numbers);
    judged(&s, verdict, anomaly, own);
}

/* ---- snapshots ---- */

static void a_snapshot_is_what_was_committed_up_to_it(void **state)
{
    (void)state;
    struct asked at_200 = {.level = READ_SNAPSHOT, .client = 1, .ts = 200, .asked = 200};
    one(at_200, 2, HELD);
    one(at_200, 1, FAILED(TORN), LEVELS_SNAPSHOT);
    one(at_200, 3, FAILED(TORN), LEVELS_SNAPSHOT);
    at_200.asked = 150;
    one(at_200, 2, FAILED(TORN), LEVELS_SNAPSHOT);
    struct asked bounded = {.level = READ_BOUNDED, .client = 1, .ts = 299};
    one(bounded, 2, HELD);
    one(bounded, 3, FAILED(TORN), LEVELS_SNAPSHOT);
}

static void snapshots_of_two_lists_at_one_timestamp_fit_together(void **state)
{
    (void)state;
    for (int torn = 0; torn < 2; torn++) {
        struct scene s = scene_of(1);
        append_to(&s, 0, 1, 2, 100); /* by the same transaction, as it were, at another place */
        struct asked r = {.level = READ_SNAPSHOT, .client = 1, .ts = 100, .asked = 100};
        read_at(&s, &r, 1, numbers);
        r.key = 1;
        read_at(&s, &r, torn == 0 ? 1 : 0, numbers + 1);
        /* Two appends of one session at one timestamp are none of these checks' business. */
        assert_int_equal(check_levels(s.h, 1u << LEVELS_SNAPSHOT, &s.f),
                         torn == 0 ? VERDICT_HELD : VERDICT_FAILED);
        history_free(s.h);
    }
}

static void transfer_of(struct history *h, int64_t now_ns, int64_t amount, int how)
{
    const struct micro m = {.kind = MICRO_TRANSFER, .key = 0, .other = 1, .value = amount};
    uint32_t op = history_invoke(h, 0, 0, LEVEL_TRANSACTION, now_ns, &m, 1);
    if (how < 0)
        history_info(h, op, now_ns);
    else
        history_ok(h, op, now_ns, (hlc_ts)how);
}

/* Transfers of 5 at 100 and of 3 at 200, then a snapshot at 150. */
static void accounts(int64_t first, int64_t second, uint32_t n, bool unknown, enum verdict verdict,
                     enum anomaly anomaly, enum level_check own)
{
    static const int64_t initial[] = {50, 50};
    static struct finding f;
    const int64_t found[] = {first, second};
    const struct micro m = {.kind = MICRO_READ};
    const struct weak_how how = {.level = READ_SNAPSHOT, .asked = 150};
    struct history *h = history_new(WORKLOAD_BANK, 1);
    (void)own;
    transfer_of(h, 1, 3, 200);
    transfer_of(h, 2, 5, 100);
    if (unknown)
        transfer_of(h, 3, 7, -1);
    uint32_t weak = history_weak_invoke(h, 0, 0, &how, 4, &m, 1);
    history_weak_found(h, weak, 0, found, n);
    history_weak_ok(h, weak, 5, 150, HISTORY_AGE_UNKNOWN);
    assert_int_equal(check_level_accounts(h, 2, initial, &f), verdict);
    assert_string_equal(anomaly_name(f.anomaly), anomaly_name(anomaly));
    history_free(h);
}

static void accounts_at_one_timestamp_have_the_total(void **state)
{
    (void)state;
    accounts(45, 55, 2, false, HELD);
    accounts(45, 58, 2, false, FAILED(WRONG_TOTAL), LEVEL_CHECKS); /* half of the second */
    accounts(42, 58, 2, false, FAILED(WRONG_BALANCE), LEVEL_CHECKS);
    accounts(50, 50, 2, false, FAILED(WRONG_BALANCE), LEVEL_CHECKS);
    accounts(38, 62, 2, true, HELD);
    accounts(38, 61, 2, true, FAILED(WRONG_TOTAL), LEVEL_CHECKS);
    accounts(100, 0, 1, false, FAILED(MISSING_ACCOUNT), LEVEL_CHECKS);
    struct history *h = history_new(WORKLOAD_BANK, 1);
    static struct finding f;
    assert_int_equal(check_level_accounts(h, 2, (int64_t[]){1, 1}, &f), VERDICT_UNJUDGED);
    history_free(h);
}

/* ---- sessions ---- */

static void a_session_reads_its_writes(void **state)
{
    (void)state;
    struct asked own = {.level = READ_SESSION, .ts = 250};
    one(own, 2, FAILED(READ_YOUR_WRITES), LEVELS_READ_YOUR_WRITES);
    own.client = 1;
    one(own, 2, HELD);
    own.client = 0;
    own.level = READ_BOUNDED;
    one(own, 2, HELD);
    own.level = READ_SESSION;
    own.client = 1;
    own.asked = 260;
    one(own, 2, FAILED(TORN), LEVELS_SNAPSHOT);
}

static void a_session_need_not_read_what_it_was_not_told_of(void **state)
{
    (void)state;
    const struct micro m = {.kind = MICRO_APPEND, .value = 1};
    struct scene s = scene_of(0);
    uint32_t op = history_invoke(s.h, 0, 0, LEVEL_TRANSACTION, 1, &m, 1);
    history_session(s.h, op, 0);
    history_info(s.h, op, 2);
    history_committed(s.h, op, 3, 100);
    s.now_ns = 3;
    read_at(&s, &(struct asked){.level = READ_SESSION, .ts = 90}, 0, numbers);
    judged(&s, HELD);
}

static void a_session_reads_what_it_has_read(void **state)
{
    (void)state;
    static const enum read_level before[] = {READ_SESSION, READ_EVENTUAL, READ_BOUNDED};
    for (int i = 0; i < 3; i++)
        for (uint32_t again_by = 1; again_by < 3; again_by++) {
            struct scene s = scene_of(2);
            struct asked r = {.level = before[i], .client = 1, .ts = 200};
            read_at(&s, &r, 2, numbers);
            r = (struct asked){.level = READ_SESSION, .client = again_by, .ts = 150};
            read_at(&s, &r, 1, numbers);
            if (again_by == 1)
                judged(&s, FAILED(MONOTONIC_READS), LEVELS_MONOTONIC_READS);
            else
                judged(&s, HELD);
        }
    struct scene s = scene_of(2);
    struct asked r = {.level = READ_SESSION, .client = 1, .ts = 200, .without_session = true};
    read_at(&s, &r, 2, numbers);
    r = (struct asked){.level = READ_SESSION, .client = 1, .ts = 150};
    read_at(&s, &r, 1, numbers);
    judged(&s, HELD);
}

static void a_session_reads_what_its_transactions_have_read(void **state)
{
    (void)state;
    const struct micro m = {.kind = MICRO_READ};
    struct scene s = scene_of(1);
    uint32_t op = history_invoke(s.h, 2, 0, LEVEL_TRANSACTION, 20, &m, 1);
    history_session(s.h, op, 2);
    history_read(s.h, op, 0, numbers, 1);
    history_ok(s.h, op, 21, 110);
    s.now_ns = 21;
    read_at(&s, &(struct asked){.level = READ_SESSION, .client = 2, .ts = 50}, 0, numbers);
    judged(&s, FAILED(MONOTONIC_READS), LEVELS_MONOTONIC_READS);
}

static void a_sessions_writes_are_in_its_order(void **state)
{
    (void)state;
    struct scene s = scene_of(1);
    append_by(&s, 1, 2, 50);
    judged(&s, HELD);
    s = scene_of(1);
    append_by(&s, 0, 2, 50);
    judged(&s, FAILED(MONOTONIC_WRITES), LEVELS_MONOTONIC_WRITES);
}

static void a_sessions_writes_are_later_than_its_reads(void **state)
{
    (void)state;
    for (uint32_t writer = 1; writer < 3; writer++) {
        struct scene s = scene_of(1);
        read_at(&s, &(struct asked){.level = READ_SESSION, .client = 1, .ts = 100}, 1, numbers);
        append_by(&s, writer, 2, 90);
        if (writer == 1)
            judged(&s, FAILED(WRITES_FOLLOW_READS), LEVELS_WRITES_FOLLOW_READS);
        else /* 2 is below 100 all the same */
            judged(&s, FAILED(TORN), LEVELS_SNAPSHOT);
    }
}

/* ---- tokens ---- */

static void who_takes_a_token_over_reads_what_was_written(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct scene s = scene_of(2);
        if (over == 1)
            hand_over(&s, 0, 1);
        read_at(&s, &(struct asked){.level = READ_SESSION, .client = 1, .ts = 150}, 1, numbers);
        if (over == 1)
            judged(&s, FAILED(CAUSALITY), LEVELS_CAUSALITY);
        else
            judged(&s, HELD);
    }
}

static void who_takes_a_token_over_reads_what_was_read_before_it_was_written_down(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct scene s = scene_of(2);
        uint32_t token = early == 1 ? history_export(s.h, 1, 1, ++s.now_ns) : 0;
        read_at(&s, &(struct asked){.level = READ_SESSION, .client = 1, .ts = 200}, 2, numbers);
        if (early == 0)
            token = history_export(s.h, 1, 1, ++s.now_ns);
        history_import(s.h, 2, 2, token, ++s.now_ns);
        read_at(&s, &(struct asked){.level = READ_SESSION, .client = 2, .ts = 150}, 1, numbers);
        if (early == 0)
            judged(&s, FAILED(CAUSALITY), LEVELS_CAUSALITY);
        else
            judged(&s, HELD);
    }
}

static void what_a_token_brings_goes_from_hand_to_hand(void **state)
{
    (void)state;
    struct scene s = scene_of(1);
    hand_over(&s, 0, 1);
    hand_over(&s, 1, 2);
    read_at(&s, &(struct asked){.level = READ_SESSION, .client = 2, .ts = 50}, 0, numbers);
    judged(&s, FAILED(CAUSALITY), LEVELS_CAUSALITY);
}

static void who_takes_a_token_over_writes_behind_it(void **state)
{
    (void)state;
    struct scene s = scene_of(1);
    hand_over(&s, 0, 1);
    append_by(&s, 1, 2, 150);
    judged(&s, HELD);
    s = scene_of(1);
    hand_over(&s, 0, 1);
    append_by(&s, 1, 2, 50);
    judged(&s, FAILED(CAUSALITY), LEVELS_CAUSALITY);
}

/* ---- staleness and convergence ---- */

static void a_bounded_read_lacks_nothing_older_than_its_bound(void **state)
{
    (void)state;
    struct asked r = {
        .level = READ_BOUNDED, .client = 1, .start_ns = 100, .ts = 250, .bound_ns = 65};
    one(r, 2, HELD); /* 3 was acknowledged at 35 */
    r.bound_ns = 64;
    one(r, 2, FAILED(STALE_READ), LEVELS_BOUNDED);
    r.bound_ns = 70;
    r.age_ns = 65;
    one(r, 2, HELD);
    r.age_ns = 64; /* it says so itself */
    one(r, 2, FAILED(STALE_READ), LEVELS_BOUNDED);
    r.level = READ_EVENTUAL;
    r.bound_ns = 0;
    one(r, 2, FAILED(STALE_READ), LEVELS_BOUNDED);
}

static void an_eventual_read_is_a_prefix_and_in_the_end_the_whole(void **state)
{
    (void)state;
    static const int64_t holes[] = {1, 3}, nobodys[] = {1, 9}, turned[] = {2, 1};
    struct asked r = {.level = READ_EVENTUAL, .client = 1};
    for (uint32_t n = 0; n <= 3; n++)
        one(r, n, HELD);
    struct scene s = scene_of(3);
    read_at(&s, &r, 2, holes);
    judged(&s, FAILED(TORN), LEVELS_SNAPSHOT);
    s = scene_of(3);
    read_at(&s, &r, 2, turned);
    judged(&s, FAILED(INCOMPATIBLE_ORDER), LEVELS_COMMITTED);
    s = scene_of(3);
    read_at(&s, &r, 2, nobodys);
    judged(&s, FAILED(UNKNOWN_VALUE), LEVELS_COMMITTED);
    r.after_all = true;
    one(r, 3, HELD);
    one(r, 2, FAILED(NOT_CONVERGED), LEVELS_EVENTUAL);
}

static void in_the_end_all_replicas_agree(void **state)
{
    (void)state;
    const struct micro m = {.kind = MICRO_APPEND, .value = 2};
    for (int differ = 0; differ < 2; differ++) {
        struct scene s = scene_of(1);
        uint32_t op = history_invoke(s.h, 0, 0, LEVEL_TRANSACTION, 20, &m, 1);
        history_info(s.h, op, 21); /* nobody ever knows: it may be there, but not at one alone */
        s.now_ns = 21;
        struct asked r = {.level = READ_EVENTUAL, .client = 1, .after_all = true};
        read_at(&s, &r, 2, numbers);
        r.datacenter = 1;
        read_at(&s, &r, differ == 1 ? 1 : 2, numbers);
        if (differ == 1)
            assert_int_equal(check_levels(s.h, 1u << LEVELS_EVENTUAL, &s.f), VERDICT_FAILED);
        else
            assert_int_equal(check_levels(s.h, LEVELS_ALL, &s.f), VERDICT_HELD);
        history_free(s.h);
    }
}

static void what_aborted_or_had_not_begun_is_not_read(void **state)
{
    (void)state;
    const struct micro m = {.kind = MICRO_APPEND, .value = 1};
    struct asked r = {.level = READ_EVENTUAL, .client = 1};
    struct scene s = scene_of(0);
    read_at(&s, &r, 1, numbers);
    append_by(&s, 0, 1, 100);
    judged(&s, FAILED(EARLY_READ), LEVELS_COMMITTED);
    for (int unknown = 0; unknown < 2; unknown++) {
        s = scene_of(0);
        uint32_t op = history_invoke(s.h, 0, 0, LEVEL_TRANSACTION, 1, &m, 1);
        if (unknown == 0)
            history_fail(s.h, op, 2);
        else
            history_info(s.h, op, 2);
        s.now_ns = 2;
        read_at(&s, &r, 1, numbers);
        if (unknown == 0)
            judged(&s, FAILED(G1A), LEVELS_COMMITTED);
        else
            judged(&s, HELD);
    }
}

static void what_nothing_is_there_for_is_not_judged(void **state)
{
    (void)state;
    struct scene s = scene_of(2);
    assert_int_equal(check_levels(s.h, LEVELS_ALL, &s.f), VERDICT_HELD);
    for (int c = 0; c < LEVEL_CHECKS; c++)
        assert_int_equal(check_levels(s.h, 1u << c, &s.f),
                         c == LEVELS_MONOTONIC_WRITES ? VERDICT_HELD : VERDICT_UNJUDGED);
    history_free(s.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_what_was_committed_up_to_it),
        cmocka_unit_test(snapshots_of_two_lists_at_one_timestamp_fit_together),
        cmocka_unit_test(accounts_at_one_timestamp_have_the_total),
        cmocka_unit_test(a_session_reads_its_writes),
        cmocka_unit_test(a_session_need_not_read_what_it_was_not_told_of),
        cmocka_unit_test(a_session_reads_what_it_has_read),
        cmocka_unit_test(a_session_reads_what_its_transactions_have_read),
        cmocka_unit_test(a_sessions_writes_are_in_its_order),
        cmocka_unit_test(a_sessions_writes_are_later_than_its_reads),
        cmocka_unit_test(who_takes_a_token_over_reads_what_was_written),
        cmocka_unit_test(who_takes_a_token_over_reads_what_was_read_before_it_was_written_down),
        cmocka_unit_test(what_a_token_brings_goes_from_hand_to_hand),
        cmocka_unit_test(who_takes_a_token_over_writes_behind_it),
        cmocka_unit_test(a_bounded_read_lacks_nothing_older_than_its_bound),
        cmocka_unit_test(an_eventual_read_is_a_prefix_and_in_the_end_the_whole),
        cmocka_unit_test(in_the_end_all_replicas_agree),
        cmocka_unit_test(what_aborted_or_had_not_begun_is_not_read),
        cmocka_unit_test(what_nothing_is_there_for_is_not_judged),
    };
    return cmocka_run_group_tests_name("check_levels", tests, NULL, NULL);
}
