/* common/: bytes, txids, clocks, timers, ballots, the status list and the message table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/effects.h"
#include "common/prng.h"
#include "common/stash.h"
#include "common/timers.h"

static void reader_stays_bad_after_reading_past_the_end(void **state)
{
    (void)state;
    struct writer w = {0};
    writer_u16(&w, 513);
    writer_bytes(&w, bytes_of_text("abc"));
    struct reader r = reader_of(writer_view(&w));
    assert_int_equal(reader_u16(&r), 513);
    assert_true(bytes_equal(reader_bytes(&r, 3), bytes_of_text("abc")));
    assert_true(reader_done(&r));
    assert_int_equal(reader_u8(&r), 0);
    assert_false(reader_done(&r));
    r = reader_of(writer_view(&w));
    reader_u16(&r);
    assert_int_equal(reader_bytes(&r, 2).len, 0);
    assert_true(r.bad);
    writer_free(&w);
}

static void bytes_are_ordered_with_prefixes_first(void **state)
{
    (void)state;
    assert_true(bytes_compare(bytes_of_text("a"), bytes_of_text("ab")) < 0);
    assert_true(bytes_compare(bytes_of_text("b"), bytes_of_text("ab")) > 0);
    assert_true(bytes_compare(bytes_of("\xff", 1), bytes_of_text("a")) > 0);
    assert_true(bytes_has_prefix(bytes_of_text("ab"), bytes_of_text("")));
    assert_false(bytes_has_prefix(bytes_of_text("a"), bytes_of_text("ab")));
}

static void txid_keeps_time_and_route_and_parses_back(void **state)
{
    (void)state;
    struct txid id = txid_make(0x0123456789abu, 1023, UINT64_MAX), back;
    char text[TXID_TEXT_BYTES];
    assert_int_equal(txid_ms(&id), 0x0123456789abu);
    assert_int_equal(txid_route(&id), 1023);
    assert_string_equal(txid_text(&id, text), "01234567-89ab-73ff-bfff-ffffffffffff");
    assert_true(txid_parse(text, &back));
    assert_true(txid_equal(&id, &back));
    text[14] = '4';
    assert_false(txid_parse(text, &back));
    assert_false(txid_parse("01234567-89ab-73ff-bfff-fffffffffff", &back));
    assert_false(txid_parse("0123456789ab-73ff-bfff--ffffffffffff", &back));
}

/* The most ids of one bucket among 1024, of 4096 ids that differ only in 12 bits from `shift` on.
 */
static int fullest_bucket(uint64_t seed, int shift)
{
    struct txid_hash_key key = txid_hash_key(seed);
    int n[1024] = {0}, most = 0;
    for (uint64_t i = 0; i < 4096; i++) {
        struct txid id = txid_make(shift < 64 ? 1 : 1 + (i << (shift - 64)), 0, i << shift % 64);
        int now = ++n[txid_hash(&key, &id) % 1024];
        most = now > most ? now : most;
    }
    return most;
}

static void txids_that_are_alike_spread_over_a_hash_table(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++)
        for (int shift = 0; shift <= 96; shift = shift == 50 ? 64 : shift + 1)
            assert_in_range(fullest_bucket(seed, shift), 4, 64);
}

static void whose_txids_meet_in_a_bucket_depends_on_the_key(void **state)
{
    struct txid_hash_key a = txid_hash_key(1), b = txid_hash_key(2);
    struct txid first = txid_make(1, 0, 0);
    int meet_a = 0, meet_b = 0;
    (void)state;
    for (uint64_t i = 1; i < 1024 * 1024; i++) {
        struct txid id = txid_make(1, 0, i);
        if (txid_hash(&a, &id) % 1024 != txid_hash(&a, &first) % 1024)
            continue;
        meet_a++;
        meet_b += txid_hash(&b, &id) % 1024 == txid_hash(&b, &first) % 1024;
    }
    assert_in_range(meet_a, 256, 4096);
    assert_in_range(meet_b, 0, 64);
}

static void hlc_never_issues_a_timestamp_twice_nor_goes_back(void **state)
{
    (void)state;
    struct hlc clock = {0};
    hlc_ts first = hlc_next(&clock, 1000), second = hlc_next(&clock, 1000);
    assert_true(second > first);
    hlc_merge(&clock, hlc_from_ms(5000));
    assert_true(hlc_next(&clock, 1000) > hlc_from_ms(5000));
    assert_int_equal(hlc_to_ms(hlc_next(&clock, 9000)), 9000);
}

static void timers_fire_in_order_of_time_then_of_setting(void **state)
{
    (void)state;
    struct timers t;
    struct timer a = {0}, b = {0}, c = {0};
    timers_init(&t);
    assert_true(timers_next(&t) == TIMERS_NEVER);
    timer_set(&t, &a, 20);
    timer_set(&t, &b, 10);
    timer_set(&t, &c, 20);
    timer_set(&t, &b, 30);
    assert_int_equal(timers_next(&t), 20);
    assert_null(timers_pop(&t, 19));
    assert_ptr_equal(timers_pop(&t, 20), &a);
    assert_ptr_equal(timers_pop(&t, 20), &c);
    timer_clear(&t, &b);
    assert_null(timers_pop(&t, 100));
}

static void ballots_are_ordered_by_round_node_incarnation(void **state)
{
    (void)state;
    struct ballot zero = {0, 0, 0}, a = {1, 1, 2}, b = {1, 2, 1}, c = {2, 1, 1};
    assert_true(ballot_compare(zero, a) < 0 && ballot_compare(a, b) < 0);
    assert_true(ballot_compare(b, c) < 0 && ballot_equal(a, a));
}

static void participants_must_ascend_without_duplicates(void **state)
{
    (void)state;
    struct participants good = {3, {1, 5, 9}}, twice = {2, {4, 4}}, none = {0}, zero = {1, {0}};
    assert_true(participants_valid(&good));
    assert_false(participants_valid(&twice));
    assert_false(participants_valid(&none));
    assert_false(participants_valid(&zero));
    assert_int_equal(participants_index(&good, 9), 2);
    assert_int_equal(participants_index(&good, 2), -1);
    assert_int_equal(participants_all(&good), 7);
}

static void a_retryable_status_is_never_maybe_committed(void **state)
{
    (void)state;
#define CHECK_STATUS(name, number, retry, maybe, text)                                             \
    assert_false(assent_retryable(ASSENT_##name) && assent_maybe_committed(ASSENT_##name));        \
    assert_string_equal(assent_status_name(ASSENT_##name), #name);                                 \
    assert_string_equal(assent_status_text(ASSENT_##name), text);
    ASSENT_STATUS_MAP(CHECK_STATUS)
    assert_true(assent_maybe_committed(ASSENT_UNKNOWN));
    assert_true(assent_retryable(ASSENT_CONFLICT));
}

static void decisions_and_ballots_come_from_coordinators_only(void **state)
{
    (void)state;
    const enum msg_type only[] = {MSG_DECIDE, MSG_PREPARE, MSG_PROMISE_ASK, MSG_PROPOSE};
    for (size_t i = 0; i < sizeof only / sizeof only[0]; i++) {
        assert_false(msg_allowed(only[i], ROLE_CLIENT, ROLE_PARTICIPANT));
        assert_false(msg_allowed(only[i], ROLE_PARTICIPANT, ROLE_COORDINATOR));
        assert_false(msg_allowed(only[i], ROLE_CLIENT, ROLE_COORDINATOR));
    }
    assert_true(msg_allowed(MSG_COMMIT, ROLE_CLIENT, ROLE_COORDINATOR));
    assert_false(msg_allowed(MSG_COMMIT, ROLE_CLIENT, ROLE_PARTICIPANT));
}

static void freeing_effects_frees_the_messages_that_wait(void **state)
{
    (void)state;
    struct effects effects;
    effects_init(&effects);
    struct msg *m = msg_new(MSG_DECIDED, NULL);
    struct effect *persist =
        effect_persist(&effects, RECORD_ABORTED, NULL, 0, blob_new(bytes_of_text("x")));
    effect_then_send(persist, addr_node(1), msg_ref(m));
    effect_send(&effects, addr_node(2), msg_ref(m));
    assert_int_equal(m->refs, 3);
    effects_free(&effects);
    assert_int_equal(m->refs, 1);
    msg_unref(m);
}

static void prng_is_the_same_for_the_same_seed_and_stays_below_its_bound(void **state)
{
    (void)state;
    struct prng a, b;
    prng_seed(&a, 7);
    prng_seed(&b, 7);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = prng_below(&a, 10);
        assert_true(x < 10);
        assert_int_equal(x, prng_below(&b, 10));
    }
    assert_int_equal(prng_below(&a, 0), 0);
}

static void count_again(void *arg, const struct event *e)
{
    uint64_t *order = arg;
    assert_int_equal(e->kind, EVENT_MESSAGE);
    *order = *order * 10 + e->from.conn;
}

static void a_stash_gives_back_each_txids_messages_in_order_and_once(void **state)
{
    (void)state;
    struct stash *s = NULL;
    struct tx_head a = {.txid = txid_make(1, 0, 1)}, b = {.txid = txid_make(1, 0, 2)};
    struct msg *ma = msg_new(MSG_DECIDE, &a), *mb = msg_new(MSG_DECIDE, &b);
    struct event e = {.kind = EVENT_MESSAGE, .msg = ma};
    uint64_t order = 0;
    e.from.conn = 1;
    assert_true(stash_keep(&s, &e));
    e.from.conn = 2;
    assert_false(stash_keep(&s, &e));
    e.msg = mb;
    e.from.conn = 3;
    assert_true(stash_keep(&s, &e));
    assert_true(txid_equal(&stash_head(s, &a.txid)->txid, &a.txid));
    e.kind = EVENT_LOADED;
    stash_replay(&s, &a.txid, &e, count_again, &order);
    stash_replay(&s, &a.txid, &e, count_again, &order);
    assert_int_equal(order, 12);
    assert_null(stash_head(s, &a.txid));
    stash_free(&s);
    assert_int_equal(ma->refs + mb->refs, 2);
    msg_unref(ma);
    msg_unref(mb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_stays_bad_after_reading_past_the_end),
        cmocka_unit_test(bytes_are_ordered_with_prefixes_first),
        cmocka_unit_test(txid_keeps_time_and_route_and_parses_back),
        cmocka_unit_test(txids_that_are_alike_spread_over_a_hash_table),
        cmocka_unit_test(whose_txids_meet_in_a_bucket_depends_on_the_key),
        cmocka_unit_test(hlc_never_issues_a_timestamp_twice_nor_goes_back),
        cmocka_unit_test(timers_fire_in_order_of_time_then_of_setting),
        cmocka_unit_test(ballots_are_ordered_by_round_node_incarnation),
        cmocka_unit_test(participants_must_ascend_without_duplicates),
        cmocka_unit_test(a_retryable_status_is_never_maybe_committed),
        cmocka_unit_test(decisions_and_ballots_come_from_coordinators_only),
        cmocka_unit_test(freeing_effects_frees_the_messages_that_wait),
        cmocka_unit_test(a_stash_gives_back_each_txids_messages_in_order_and_once),
        cmocka_unit_test(prng_is_the_same_for_the_same_seed_and_stays_below_its_bound),
    };
    return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}
