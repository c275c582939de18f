/* participant/locks: who gets what, who waits, who is refused. The rules together, at random, are
 * in test_locks_model.c. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "participant/locks.h"

#define WANTS_MAX 4

/* A request; older = smaller. */
struct actor {
    struct lock_request request;
    struct lock_want want[WANTS_MAX];
    char text[64];
};

/* Wants as text: "Xa Eb Sc-e Sf-": a mode, then a key, or a range with or without its end. */
static void actor_set(struct actor *a, uint64_t age, const char *wants)
{
    char *save = NULL, *word;
    *a = (struct actor){.request = {.priority_ms = age, .want = a->want, .owner = a}};
    a->request.txid.b[TXID_BYTES - 1] = (uint8_t)age;
    snprintf(a->text, sizeof a->text, "%s", wants);
    for (word = strtok_r(a->text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        struct lock_want *want = &a->want[a->request.n++];
        want->mode = word[0] == 'X' ? LOCK_EXCLUSIVE : word[0] == 'E' ? LOCK_ESCROW : LOCK_SHARED;
        char *dash = strchr(word, '-');
        want->range = dash != NULL;
        if (dash != NULL) {
            *dash = '\0';
            want->end = bytes_of_text(dash + 1);
        }
        want->key = bytes_of_text(word + 1);
    }
}

static enum lock_state ask(struct locks *l, struct actor *a, uint64_t age, const char *wants)
{
    actor_set(a, age, wants);
    return locks_request(l, &a->request);
}

static enum lock_state ask_reader(struct locks *l, struct actor *a, uint64_t age, const char *wants)
{
    actor_set(a, age, wants);
    a->request.reader = true;
    return locks_request(l, &a->request);
}

static void leave(struct locks *l, struct actor *a)
{
    locks_release(l, &a->request);
    assert_int_equal(a->request.state, LOCKS_NONE);
    blob_unref(a->request.conflict);
    a->request.conflict = NULL;
}

static struct actor *granted(struct locks *l)
{
    struct lock_request *r = locks_granted(l);
    if (r == NULL)
        return NULL;
    assert_int_equal(r->state, LOCKS_HELD);
    return r->owner;
}

static void assert_refused_at(struct locks *l, uint64_t age, const char *wants, const char *key)
{
    struct actor a;
    assert_int_equal(ask(l, &a, age, wants), LOCKS_NONE);
    assert_true(bytes_equal(blob_bytes(a.request.conflict), bytes_of_text(key)));
    leave(l, &a);
}

static void assert_granted_at_once(struct locks *l, uint64_t age, const char *wants)
{
    struct actor a;
    assert_int_equal(ask(l, &a, age, wants), LOCKS_HELD);
    leave(l, &a);
}

static void assert_nothing_left(struct locks *l)
{
    assert_null(locks_granted(l));
    assert_int_equal(locks_held(l), 0);
    assert_int_equal(locks_waiting(l), 0);
    locks_free(l);
}

/* ---- modes ---- */

static void modes_are_compatible_as_the_table_says(void **state)
{
    static const char *const held[] = {"Sk", "Xk", "Ek"};
    static const bool yes[3][3] = {
        {true, false, false}, {false, false, false}, {false, false, true}};
    (void)state;
    struct locks *l = locks_new();
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            struct actor a, older;
            assert_int_equal(ask(l, &a, 5, held[i]), LOCKS_HELD);
            assert_int_equal(ask(l, &older, 4, held[j]), yes[i][j] ? LOCKS_HELD : LOCKS_WAITING);
            leave(l, &older);
            if (yes[i][j])
                assert_granted_at_once(l, 6, held[j]);
            else
                assert_refused_at(l, 6, held[j], "k");
            leave(l, &a);
        }
    }
    assert_nothing_left(l);
}

static void a_reader_is_compatible_with_what_shares(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor reader, other;
    assert_int_equal(ask_reader(l, &reader, 5, "Sk"), LOCKS_HELD);
    assert_int_equal(ask_reader(l, &other, 6, "Sk"), LOCKS_HELD);
    assert_granted_at_once(l, 7, "Sk");
    assert_granted_at_once(l, 7, "Xother");
    leave(l, &other);
    leave(l, &reader);
    assert_nothing_left(l);
}

static void a_hot_key_has_any_number_of_escrow_holders(void **state)
{
    enum { HOLDERS = 500 };
    (void)state;
    struct locks *l = locks_new();
    struct actor *holder = xcalloc(HOLDERS, sizeof *holder), writer;
    for (unsigned i = 0; i < HOLDERS; i++)
        assert_int_equal(ask(l, &holder[i], 10 + i, "Ek"), LOCKS_HELD);
    assert_refused_at(l, 11, "Xk", "k");
    assert_int_equal(ask(l, &writer, 9, "Xk"), LOCKS_WAITING);
    assert_refused_at(l, 1000, "Ek", "k");
    for (unsigned i = 0; i < HOLDERS; i++) {
        assert_null(granted(l));
        leave(l, &holder[(i * 7) % HOLDERS]);
    }
    assert_ptr_equal(granted(l), &writer);
    leave(l, &writer);
    assert_nothing_left(l);
    free(holder);
}

/* ---- wait-die ---- */

static void an_older_transaction_waits_for_a_younger(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor young, old;
    assert_int_equal(ask(l, &young, 20, "Xk"), LOCKS_HELD);
    assert_int_equal(ask(l, &old, 10, "Xk"), LOCKS_WAITING);
    assert_int_equal(locks_held(l), 1);
    assert_int_equal(locks_waiting(l), 1);
    assert_null(granted(l));
    leave(l, &young);
    assert_ptr_equal(granted(l), &old);
    leave(l, &old);
    assert_nothing_left(l);
}

static void a_younger_transaction_is_refused_and_told_the_key(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor old;
    assert_int_equal(ask(l, &old, 10, "Xb Sc"), LOCKS_HELD);
    assert_refused_at(l, 20, "Xa Sb", "b");
    assert_refused_at(l, 20, "Sb Xd", "b");
    assert_refused_at(l, 20, "Sa-z", "b");
    assert_granted_at_once(l, 20, "Xa Sc");
    leave(l, &old);
    assert_nothing_left(l);
}

static void a_younger_transaction_waits_for_one_that_is_decided(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor old, young;
    assert_int_equal(ask(l, &old, 1, "Xa Xb"), LOCKS_HELD);
    assert_refused_at(l, 2, "Xa", "a");
    locks_decided(&old.request);
    locks_decided(&old.request); /* twice changes nothing */
    assert_int_equal(ask(l, &young, 2, "Xa"), LOCKS_WAITING);
    assert_refused_at(l, 3, "Xa", "a"); /* for the one that waits, not for the decided one */
    leave(l, &old);
    assert_ptr_equal(granted(l), &young);
    leave(l, &young);
    locks_free(l);
}

static void of_one_priority_the_smaller_txid_is_the_older(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor middle, older, younger;
    actor_set(&middle, 20, "Xk");
    actor_set(&older, 10, "Xk");
    actor_set(&younger, 30, "Xk");
    middle.request.priority_ms = older.request.priority_ms = younger.request.priority_ms = 1;
    assert_int_equal(locks_request(l, &middle.request), LOCKS_HELD);
    assert_int_equal(locks_request(l, &younger.request), LOCKS_NONE);
    assert_int_equal(locks_request(l, &older.request), LOCKS_WAITING);
    leave(l, &younger);
    leave(l, &older);
    leave(l, &middle);
    assert_nothing_left(l);
}

static void one_older_among_the_holders_is_enough_to_be_refused(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor old, young;
    assert_int_equal(ask(l, &young, 30, "Sk"), LOCKS_HELD);
    assert_int_equal(ask(l, &old, 10, "Sk"), LOCKS_HELD);
    assert_refused_at(l, 20, "Xk", "k");
    leave(l, &old);
    leave(l, &young);
    assert_nothing_left(l);
}

static void a_request_that_waits_holds_nothing(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, waiter, overtaker;
    assert_int_equal(ask(l, &holder, 30, "Xb"), LOCKS_HELD);
    assert_int_equal(ask(l, &waiter, 20, "Xa Xb Xc"), LOCKS_WAITING);
    assert_int_equal(locks_held(l), 1);
    /* it has its place at a and c all the same */
    assert_refused_at(l, 25, "Sa", "a");
    assert_int_equal(ask(l, &overtaker, 10, "Sc"), LOCKS_WAITING);
    leave(l, &waiter);
    assert_ptr_equal(granted(l), &overtaker);
    assert_null(granted(l));
    leave(l, &overtaker);
    assert_granted_at_once(l, 25, "Xa Xc");
    leave(l, &holder);
    assert_nothing_left(l);
}

static void a_younger_one_is_refused_for_an_older_waiter_though_the_holder_would_share(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, writer;
    assert_int_equal(ask(l, &holder, 30, "Sk"), LOCKS_HELD);
    assert_int_equal(ask(l, &writer, 10, "Xk"), LOCKS_WAITING);
    assert_refused_at(l, 20, "Sk", "k");
    leave(l, &holder);
    assert_ptr_equal(granted(l), &writer);
    leave(l, &writer);
    assert_nothing_left(l);
}

/* Letting the oldest in first would make the middle one, which may hold locks elsewhere, wait for
 * it here. */
static void an_older_one_waits_behind_a_younger_that_came_before(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, middle, oldest;
    assert_int_equal(ask(l, &holder, 30, "Xk"), LOCKS_HELD);
    assert_int_equal(ask(l, &middle, 20, "Xk Xj"), LOCKS_WAITING);
    assert_int_equal(ask(l, &oldest, 10, "Xj"), LOCKS_WAITING);
    leave(l, &holder);
    assert_ptr_equal(granted(l), &middle);
    assert_null(granted(l));
    leave(l, &middle);
    assert_ptr_equal(granted(l), &oldest);
    leave(l, &oldest);
    assert_nothing_left(l);
}

static void waiters_are_granted_in_order_of_arrival_and_together_where_they_share(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, first, second, third, fourth;
    assert_int_equal(ask(l, &holder, 50, "Xk"), LOCKS_HELD);
    assert_int_equal(ask(l, &first, 40, "Sk"), LOCKS_WAITING);
    assert_int_equal(ask(l, &second, 45, "Sk"), LOCKS_WAITING);
    assert_int_equal(ask(l, &third, 20, "Xk"), LOCKS_WAITING);
    assert_int_equal(ask(l, &fourth, 10, "Sk"), LOCKS_WAITING);
    leave(l, &holder);
    assert_ptr_equal(granted(l), &first);
    assert_ptr_equal(granted(l), &second);
    assert_null(granted(l));
    leave(l, &first);
    assert_null(granted(l));
    leave(l, &second);
    assert_ptr_equal(granted(l), &third);
    assert_null(granted(l));
    leave(l, &third);
    assert_ptr_equal(granted(l), &fourth);
    leave(l, &fourth);
    assert_nothing_left(l);
}

static void those_behind_a_waiter_that_gives_up_go_on(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, waiter, behind;
    assert_int_equal(ask(l, &holder, 30, "Sk"), LOCKS_HELD);
    assert_int_equal(ask(l, &waiter, 20, "Xk"), LOCKS_WAITING);
    assert_int_equal(ask(l, &behind, 10, "Sk"), LOCKS_WAITING);
    leave(l, &waiter);
    assert_ptr_equal(granted(l), &behind);
    leave(l, &behind);
    leave(l, &holder);
    assert_nothing_left(l);
}

static void a_waiter_may_give_up_when_its_turn_has_come(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, waiter, behind;
    assert_int_equal(ask(l, &holder, 30, "Xk"), LOCKS_HELD);
    assert_int_equal(ask(l, &waiter, 20, "Xk"), LOCKS_WAITING);
    assert_int_equal(ask(l, &behind, 10, "Xk"), LOCKS_WAITING);
    leave(l, &holder);
    leave(l, &waiter);
    assert_ptr_equal(granted(l), &behind);
    leave(l, &behind);
    assert_nothing_left(l);
}

/* ---- readers ---- */

static void a_reader_waits_whatever_its_age(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, old, young;
    assert_int_equal(ask(l, &holder, 20, "Xk"), LOCKS_HELD);
    assert_int_equal(ask_reader(l, &young, 30, "Sk"), LOCKS_WAITING);
    assert_int_equal(ask_reader(l, &old, 10, "Sa-z"), LOCKS_WAITING);
    leave(l, &holder);
    assert_ptr_equal(granted(l), &young);
    assert_ptr_equal(granted(l), &old);
    leave(l, &young);
    leave(l, &old);
    assert_nothing_left(l);
}

static void a_waiting_reader_keeps_younger_writers_out(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, reader;
    assert_int_equal(ask(l, &holder, 10, "Ek"), LOCKS_HELD);
    assert_int_equal(ask_reader(l, &reader, 20, "Sk Sj"), LOCKS_WAITING);
    assert_refused_at(l, 30, "Ek", "k");
    assert_refused_at(l, 30, "Xj", "j");
    assert_granted_at_once(l, 30, "Sj");
    leave(l, &holder);
    assert_ptr_equal(granted(l), &reader);
    leave(l, &reader);
    assert_nothing_left(l);
}

static void a_waiting_reader_lets_older_writers_by(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor holder, reader, writer;
    assert_int_equal(ask(l, &holder, 20, "Ek"), LOCKS_HELD);
    assert_int_equal(ask_reader(l, &reader, 30, "Sk Sj"), LOCKS_WAITING);
    assert_int_equal(ask(l, &writer, 10, "Xj"), LOCKS_HELD);
    leave(l, &holder);
    assert_null(granted(l));
    leave(l, &writer);
    assert_ptr_equal(granted(l), &reader);
    leave(l, &reader);
    assert_nothing_left(l);
}

static void even_a_younger_writer_waits_for_a_reader_that_reads(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor reader, ranger, young, late;
    assert_int_equal(ask_reader(l, &reader, 10, "Sk"), LOCKS_HELD);
    assert_int_equal(ask_reader(l, &ranger, 10, "Sa-z"), LOCKS_HELD);
    assert_int_equal(ask(l, &young, 20, "Xk"), LOCKS_WAITING);
    assert_int_equal(ask_reader(l, &late, 5, "Sk"), LOCKS_WAITING);
    leave(l, &reader);
    assert_null(granted(l));
    leave(l, &ranger);
    assert_ptr_equal(granted(l), &young);
    assert_null(granted(l));
    leave(l, &young);
    assert_ptr_equal(granted(l), &late);
    leave(l, &late);
    assert_nothing_left(l);
}

/* ---- ranges ---- */

static void a_range_holds_its_first_key_and_what_is_before_its_end(void **state)
{
    static const struct {
        const char *range, *key;
        bool inside;
    } cases[] = {
        {"Sb-d", "Xb", true},    {"Sb-d", "Xbb", true},  {"Sb-d", "Xczz", true},
        {"Sb-d", "Xd", false},   {"Sb-d", "Xdd", false}, {"Sb-d", "Xa", false},
        {"Sb-d", "Xaz", false},  {"Sb-", "X\xff", true}, {"Sb-", "Xa", false},
        {"Sb-d", "Ec", true},    {"Sb-d", "Sc", false},  {"Sb-ba", "Xb", true},
        {"Sb-ba", "Xba", false},
    };
    (void)state;
    struct locks *l = locks_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct actor holder, waiter;
        enum lock_state expected = cases[i].inside ? LOCKS_WAITING : LOCKS_HELD;
        assert_int_equal(ask(l, &holder, 20, cases[i].range), LOCKS_HELD);
        assert_int_equal(ask(l, &waiter, 10, cases[i].key), expected);
        leave(l, &waiter);
        if (cases[i].inside)
            assert_refused_at(l, 30, cases[i].key, cases[i].key + 1);
        leave(l, &holder);
        assert_int_equal(ask(l, &holder, 20, cases[i].key), LOCKS_HELD);
        assert_int_equal(ask(l, &waiter, 10, cases[i].range), expected);
        leave(l, &waiter);
        if (cases[i].inside)
            assert_refused_at(l, 30, cases[i].range, cases[i].key + 1);
        leave(l, &holder);
    }
    assert_nothing_left(l);
}

static void ranges_are_shared_and_a_writer_waits_for_all_that_hold_its_key(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor one, two, three, writer;
    assert_int_equal(ask(l, &one, 20, "Sa-m"), LOCKS_HELD);
    assert_int_equal(ask(l, &two, 30, "Sa-m"), LOCKS_HELD);
    assert_int_equal(ask(l, &three, 25, "Sc-"), LOCKS_HELD);
    assert_int_equal(ask(l, &writer, 10, "Xk"), LOCKS_WAITING);
    assert_refused_at(l, 40, "Sj-l", "k");
    assert_granted_at_once(l, 40, "Sl-z");
    leave(l, &one);
    assert_null(granted(l));
    leave(l, &three);
    assert_null(granted(l));
    leave(l, &two);
    assert_ptr_equal(granted(l), &writer);
    leave(l, &writer);
    assert_nothing_left(l);
}

static void a_waiting_range_keeps_younger_writers_of_its_keys_out(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor writer, ranger;
    assert_int_equal(ask(l, &writer, 20, "Xk"), LOCKS_HELD);
    assert_int_equal(ask(l, &ranger, 10, "Sa-z"), LOCKS_WAITING);
    assert_refused_at(l, 30, "Eb", "b");
    assert_granted_at_once(l, 30, "Xz");
    leave(l, &writer);
    assert_ptr_equal(granted(l), &ranger);
    leave(l, &ranger);
    assert_nothing_left(l);
}

static void a_write_inside_its_own_range_is_no_conflict(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor both, waiter;
    assert_int_equal(ask(l, &both, 20, "Xk El Sa-z"), LOCKS_HELD);
    assert_int_equal(ask(l, &waiter, 10, "Xk Em Sb-y"), LOCKS_WAITING);
    leave(l, &both);
    assert_ptr_equal(granted(l), &waiter);
    leave(l, &waiter);
    assert_nothing_left(l);
}

/* ---- restart ---- */

static void restored_locks_are_held(void **state)
{
    (void)state;
    struct locks *l = locks_new();
    struct actor restored;
    actor_set(&restored, 10, "Xk Sp-q");
    locks_restore(l, &restored.request);
    assert_int_equal(restored.request.state, LOCKS_HELD);
    assert_refused_at(l, 20, "Sk", "k");
    assert_refused_at(l, 20, "Xpp", "pp");
    leave(l, &restored);
    assert_nothing_left(l);
}

static void restoring_locks_in_conflict_stops_the_process(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct locks *l = locks_new();
        struct actor one, two;
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        signal(SIGABRT, SIG_DFL);
        actor_set(&one, 10, "Xk");
        actor_set(&two, 5, "Sa-z");
        locks_restore(l, &one.request);
        locks_restore(l, &two.request);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- operations ---- */

static struct op key_op(enum op_kind kind, const char *key)
{
    return (struct op){.kind = kind, .key = bytes_of_text(key)};
}

static struct op range_op(enum op_kind kind, const char *key, const char *end)
{
    return (struct op){.kind = kind, .key = bytes_of_text(key), .end = bytes_of_text(end)};
}

/* The wants of operations, as text like actor_set's. */
static const char *wants_of(struct op *op, uint32_t n, char out[128])
{
    struct ops ops = {.n = n, .op = op};
    struct lock_want *want = xcalloc(n, sizeof *want);
    uint32_t wants = locks_of_ops(&ops, want);
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < wants; i++)
        at += (size_t)snprintf(out + at, 128 - at, "%s%c%.*s%s%.*s", i > 0 ? " " : "",
                               "SXE"[want[i].mode], (int)want[i].key.len,
                               (const char *)want[i].key.data, want[i].range ? "-" : "",
                               (int)want[i].end.len, (const char *)want[i].end.data);
    free(want);
    return out;
}

static void operations_want_the_lock_of_their_kind(void **state)
{
    (void)state;
    char text[128];
    struct op ops[] = {key_op(OP_CHECK_EXISTS, "a"),
                       key_op(OP_CHECK_ABSENT, "b"),
                       key_op(OP_CHECK_VALUE, "c"),
                       key_op(OP_CHECK_VERSION, "d"),
                       key_op(OP_CHECK_AT_LEAST, "e"),
                       key_op(OP_READ_KEY, "f"),
                       key_op(OP_PUT, "g"),
                       key_op(OP_DELETE, "h"),
                       key_op(OP_ADD, "i"),
                       key_op(OP_ADD, "j"),
                       range_op(OP_READ_RANGE, "k", "l"),
                       range_op(OP_CHECK_RANGE, "m", "")};
    ops[9].returns_value = true;
    assert_string_equal(wants_of(ops, 12, text), "Sa Sb Sc Sd Se Sf Xg Xh Ei Xj Sk-l Sm-");
    assert_string_equal(wants_of(ops, 0, text), "");
}

static void operations_on_one_key_want_one_lock_the_strongest(void **state)
{
    (void)state;
    char text[128];
    struct op twice[] = {key_op(OP_ADD, "b"), key_op(OP_READ_KEY, "a"), key_op(OP_ADD, "b"),
                         key_op(OP_CHECK_EXISTS, "a")};
    struct op checked_add[] = {key_op(OP_ADD, "k"), key_op(OP_CHECK_AT_LEAST, "k")};
    struct op read_write[] = {key_op(OP_READ_KEY, "k"), key_op(OP_PUT, "k"), key_op(OP_ADD, "k")};
    struct op adds[] = {key_op(OP_ADD, "k"), key_op(OP_ADD, "k")};
    adds[1].returns_value = true;
    assert_string_equal(wants_of(twice, 4, text), "Sa Eb");
    assert_string_equal(wants_of(checked_add, 2, text), "Xk");
    assert_string_equal(wants_of(read_write, 3, text), "Xk");
    assert_string_equal(wants_of(adds, 2, text), "Xk");
}

static void ranges_that_overlap_or_touch_are_one(void **state)
{
    (void)state;
    char text[128];
    struct op ops[] = {range_op(OP_READ_RANGE, "m", "p"), range_op(OP_CHECK_RANGE, "a", "c"),
                       range_op(OP_READ_RANGE, "b", "d"), range_op(OP_READ_RANGE, "d", "e"),
                       range_op(OP_READ_RANGE, "ee", "f")};
    struct op endless[] = {range_op(OP_READ_RANGE, "m", "p"), range_op(OP_READ_RANGE, "b", ""),
                           range_op(OP_READ_RANGE, "z", "")};
    assert_string_equal(wants_of(ops, 5, text), "Sa-e See-f Sm-p");
    assert_string_equal(wants_of(endless, 3, text), "Sb-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_are_compatible_as_the_table_says),
        cmocka_unit_test(a_reader_is_compatible_with_what_shares),
        cmocka_unit_test(a_hot_key_has_any_number_of_escrow_holders),
        cmocka_unit_test(an_older_transaction_waits_for_a_younger),
        cmocka_unit_test(a_younger_transaction_is_refused_and_told_the_key),
        cmocka_unit_test(a_younger_transaction_waits_for_one_that_is_decided),
        cmocka_unit_test(of_one_priority_the_smaller_txid_is_the_older),
        cmocka_unit_test(one_older_among_the_holders_is_enough_to_be_refused),
        cmocka_unit_test(a_request_that_waits_holds_nothing),
        cmocka_unit_test(
            a_younger_one_is_refused_for_an_older_waiter_though_the_holder_would_share),
        cmocka_unit_test(an_older_one_waits_behind_a_younger_that_came_before),
        cmocka_unit_test(waiters_are_granted_in_order_of_arrival_and_together_where_they_share),
        cmocka_unit_test(those_behind_a_waiter_that_gives_up_go_on),
        cmocka_unit_test(a_waiter_may_give_up_when_its_turn_has_come),
        cmocka_unit_test(a_reader_waits_whatever_its_age),
        cmocka_unit_test(a_waiting_reader_keeps_younger_writers_out),
        cmocka_unit_test(a_waiting_reader_lets_older_writers_by),
        cmocka_unit_test(even_a_younger_writer_waits_for_a_reader_that_reads),
        cmocka_unit_test(a_range_holds_its_first_key_and_what_is_before_its_end),
        cmocka_unit_test(ranges_are_shared_and_a_writer_waits_for_all_that_hold_its_key),
        cmocka_unit_test(a_waiting_range_keeps_younger_writers_of_its_keys_out),
        cmocka_unit_test(a_write_inside_its_own_range_is_no_conflict),
        cmocka_unit_test(restored_locks_are_held),
        cmocka_unit_test(restoring_locks_in_conflict_stops_the_process),
        cmocka_unit_test(operations_want_the_lock_of_their_kind),
        cmocka_unit_test(operations_on_one_key_want_one_lock_the_strongest),
        cmocka_unit_test(ranges_that_overlap_or_touch_are_one),
    };
    return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
