/* client/look, overlay, savepoint: reads inside of a transaction with its own writes on top, what
 * is checked of them, and going back. The participants are a table in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/handle.h"
#include "client/interactive.h"
#include "client/list.h"
#include "client/look.h"
#include "common/prng.h"
#include "wire/ops_codec.h"

#define KEY(digit) "00000000000000000000000000000000000000000000000000000000000000" digit
#define NODE(id, name, role, dc)                                                                   \
    "  - {id: " #id ", name: " name ", role: " role ", datacenter: " dc                            \
    ", address: \"127.0.0.1:" #id "\", keys: [" KEY(#id) "]}\n"
static const char cluster_text[] =
    "cluster: {id: 000102030405060708090a0b0c0d0e0f, name: t, epoch: 1}\n"
    "datacenters: [a, b]\n"
    "nodes:\n" NODE(10, "ca", "coordinator", "a") NODE(11, "pa", "participant", "a")
        NODE(12, "pb", "participant", "b") "clients:\n"
                                           "  - {name: app, admin: true, keys: [" KEY(
                                               "fe") "]}\n"
                                                     "placement:\n"
                                                     "  - {prefix: \"a/\", participants: [pa]}\n"
                                                     "  - {prefix: \"b/\", participants: [pb]}\n"
                                                     "  - {prefix: \"ab/\", participants: "
                                                     "[pa, pb]}\n";

static struct cluster *cluster;

static int open_cluster(void **state)
{
    (void)state;
    char why[512];
    cluster = cluster_parse(cluster_text, sizeof cluster_text - 1, "t.yaml", why, sizeof why);
    if (cluster == NULL)
        fprintf(stderr, "%s\n", why);
    return cluster == NULL;
}

static int close_cluster(void **state)
{
    (void)state;
    cluster_free(cluster);
    return 0;
}

/* ---- the participants ---- */

#define SNAPSHOT  4711
#define CELLS_MAX 32

/* Ascending by key; NULL value: no such key. */
struct cell {
    char key[16];
    const char *value;
};

static struct cell cells[CELLS_MAX];
static uint32_t cells_n;
static uint32_t answer_max; /* rows that fit one answer; 0: all */
static uint32_t asked;      /* questions so far */
static uint32_t asked_limit;

static void have(const char *key, const char *value)
{
    snprintf(cells[cells_n].key, sizeof cells[0].key, "%s", key);
    cells[cells_n++].value = value;
}

static int clear_cells(void **state)
{
    (void)state;
    cells_n = answer_max = asked = 0;
    return 0;
}

static bool op_covers(const struct op *op, const char *key)
{
    struct bytes k = bytes_of_text(key);
    if (op->kind == OP_READ_KEY)
        return bytes_equal(k, op->key);
    return bytes_compare(k, op->key) >= 0 && (op->end.len == 0 || bytes_compare(k, op->end) < 0);
}

static struct result result_of(const struct cell *cell)
{
    return (struct result){
        .found = cell->value != NULL,
        .key = bytes_of_text(cell->key),
        .value = cell->value == NULL ? (struct bytes){0} : bytes_of_text(cell->value),
        .version = {.ts = cell->value == NULL ? 0 : 7},
    };
}

/* What a participant answers. */
static assent_status answer(const struct op *op, assent_list **out)
{
    struct result result[CELLS_MAX + 1];
    uint32_t n = 0;
    asked++;
    asked_limit = op->limit;
    for (uint32_t i = 0; i < cells_n; i++) {
        const struct cell *cell = &cells[op->descending ? cells_n - 1 - i : i];
        if (!op_covers(op, cell->key) || (op->kind == OP_READ_RANGE && cell->value == NULL))
            continue;
        if (n > 0 && ((op->limit > 0 && n == op->limit) || (answer_max > 0 && n == answer_max))) {
            result[n - 1].truncated = true;
            break;
        }
        result[n++] = result_of(cell);
    }
    if (op->kind == OP_READ_KEY && n == 0)
        result[n++] = (struct result){.key = op->key};
    struct blob *blob = results_encode(result, n);
    assert_int_equal(list_new(blob, out), ASSENT_OK);
    blob_unref(blob);
    list_describe(*out, &(assent_read_info){.ts = SNAPSHOT});
    return op->kind == OP_READ_KEY && !result[0].found ? ASSENT_NOT_FOUND : ASSENT_OK;
}

static assent_status look(assent_txn *t, const struct op *op, assent_list **out)
{
    struct look l;
    *out = NULL;
    assent_status status = look_open(&l, t, op, 1000);
    if (status != ASSENT_OK)
        return status;
    while (status == ASSENT_OK && l.asks) {
        assent_list *list;
        assert_int_equal(l.options.level, t->snapshot == 0 ? ASSENT_SESSION : ASSENT_SNAPSHOT);
        assert_int_equal(l.options.snapshot, t->snapshot);
        status = answer(&l.op, &list);
        status = look_answer(&l, status, list, "");
    }
    status = look_close(&l, status, out);
    assert_int_equal(t->looking, 0);
    return status;
}

static assent_status look_key(assent_txn *t, const char *key, assent_list **out)
{
    return look(t, &(struct op){.kind = OP_READ_KEY, .key = bytes_of_text(key)}, out);
}

static struct op range_op(const char *key, const char *end, uint32_t limit, bool descending)
{
    return (struct op){.kind = OP_READ_RANGE,
                       .key = bytes_of_text(key),
                       .end = bytes_of_text(end),
                       .limit = limit,
                       .descending = descending};
}

/* ---- what tests say ---- */

static assent_txn *begin(void)
{
    return txn_new(NULL, cluster, 0);
}

static void put(assent_txn *t, const char *key, const char *value)
{
    assert_int_equal(assent_put(t, key, strlen(key), value, strlen(value)), ASSENT_OK);
}

static void del(assent_txn *t, const char *key)
{
    assert_int_equal(assent_del(t, key, strlen(key)), ASSENT_OK);
}

static void add(assent_txn *t, const char *key, int64_t delta)
{
    assert_int_equal(assent_add(t, key, strlen(key), delta, NULL), ASSENT_OK);
}

/* "a/x=1 a/y=2...": the entries, "..." where it was truncated, or the status. */
static const char *list_text(assent_status status, assent_list *list, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    if (status != ASSENT_OK && status != ASSENT_NOT_FOUND)
        snprintf(out, size, "%s", assent_status_name(status));
    for (size_t i = 0; i < assent_list_size(list); i++) {
        const assent_entry *e = assent_list_entry(list, i);
        assert_true(i + 1 == assent_list_size(list) || !e->truncated);
        at += (size_t)snprintf(out + at, size - at, "%s%.*s%s%.*s%s", i == 0 ? "" : " ",
                               (int)e->key_len, (const char *)e->key, e->found ? "=" : "-",
                               (int)e->value_len, e->found ? (const char *)e->value : "",
                               e->truncated ? "..." : "");
        assert_true(at < size);
    }
    assent_list_free(list);
    return out;
}

static const char *key_seen(assent_txn *t, const char *key)
{
    static char text[256];
    assent_list *list;
    assent_status status = look_key(t, key, &list);
    return list_text(status, list, text, sizeof text);
}

static const char *range_seen(assent_txn *t, struct op op)
{
    static char text[2048];
    assent_list *list;
    assent_status status = look(t, &op, &list);
    return list_text(status, list, text, sizeof text);
}

/* "[a/x,a/y) ...": what the commit will check to be unchanged. */
static const char *checks_of(const assent_txn *t)
{
    static char text[2048];
    char key[KEY_TEXT_MAX], end[KEY_TEXT_MAX];
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < t->n; i++) {
        const struct op *op = &t->op[i].op;
        if (!t->op[i].seen)
            continue;
        assert_int_equal(op->kind, OP_CHECK_RANGE);
        assert_int_equal(op->version.ts, t->snapshot);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s[%s,%s)", at == 0 ? "" : " ",
                               key_text(op->key, key), key_text(op->end, end));
    }
    return text;
}

/* ---- reading ---- */

static void a_key_is_read_once_checked_once_and_at_one_snapshot(void **state)
{
    (void)state;
    have("a/x", "1");
    assent_txn *t = begin();
    assert_int_equal(assent_txn_snapshot(t), 0);
    assert_string_equal(key_seen(t, "a/x"), "a/x=1");
    assert_int_equal(assent_txn_snapshot(t), SNAPSHOT);
    assert_string_equal(key_seen(t, "a/x"), "a/x=1");
    assert_string_equal(key_seen(t, "a/none"), "a/none-");
    assert_string_equal(checks_of(t), "[a/x,a/x\\x00) [a/none,a/none\\x00)");
    assent_txn_free(t);
}

static void a_key_that_it_wrote_is_not_asked_for(void **state)
{
    (void)state;
    assent_txn *t = begin();
    put(t, "a/p", "mine");
    put(t, "a/empty", "");
    del(t, "a/d");
    del(t, "a/n");
    add(t, "a/n", -5);
    assert_string_equal(key_seen(t, "a/p"), "a/p=mine");
    assert_string_equal(key_seen(t, "a/empty"), "a/empty=");
    assert_string_equal(key_seen(t, "a/d"), "a/d-");
    assert_string_equal(key_seen(t, "a/n"), "a/n=-5");
    assert_int_equal(asked, 0);
    assert_string_equal(checks_of(t), "");
    assert_int_equal(assent_txn_snapshot(t), 0);
    assent_txn_free(t);
}

static void adds_count_on_top_of_the_snapshot(void **state)
{
    (void)state;
    have("a/n", "40");
    have("a/text", "forty");
    assent_txn *t = begin();
    add(t, "a/n", 3);
    add(t, "a/n", -1);
    add(t, "a/new", 7);
    assert_string_equal(key_seen(t, "a/n"), "a/n=42");
    assert_string_equal(key_seen(t, "a/new"), "a/new=7");
    add(t, "a/text", 1);
    assert_string_equal(key_seen(t, "a/text"), "NOT_INTEGER");
    assert_non_null(strstr(assent_error(), "a/text"));
    /* that it is no integer was seen, too */
    assert_string_equal(checks_of(t), "[a/n,a/n\\x00) [a/new,a/new\\x00) [a/text,a/text\\x00)");
    put(t, "a/text", "5");
    add(t, "a/text", 1);
    assert_string_equal(key_seen(t, "a/text"), "a/text=6");
    put(t, "a/text", "x");
    add(t, "a/text", 1);
    assert_string_equal(key_seen(t, "a/text"), "NOT_INTEGER");
    assent_txn_free(t);
}

static void sums_past_64_bits_are_refused_on_the_way_too(void **state)
{
    (void)state;
    have("a/high", "9223372036854775807");
    have("a/low", "-9223372036854775808");
    assent_txn *t = begin();
    add(t, "a/high", 1);
    add(t, "a/high", -1);
    assert_string_equal(key_seen(t, "a/high"), "OVERFLOW");
    add(t, "a/low", INT64_MAX);
    add(t, "a/low", INT64_MAX);
    assert_string_equal(key_seen(t, "a/low"), "a/low=9223372036854775806");
    add(t, "a/low", 1);
    assert_string_equal(key_seen(t, "a/low"), "a/low=9223372036854775807");
    add(t, "a/low", 1);
    assert_string_equal(key_seen(t, "a/low"), "OVERFLOW");
    assent_txn_free(t);
}

static void the_longest_key_has_one_after_it(void **state)
{
    (void)state;
    uint8_t key[KEY_BYTES_MAX], after[KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    struct bytes next = look_after(bytes_of(key, KEY_BYTES_MAX - 1), after);
    assert_int_equal(next.len, KEY_BYTES_MAX);
    assert_int_equal(next.data[KEY_BYTES_MAX - 1], 0);
    next = look_after(bytes_of(key, KEY_BYTES_MAX), after);
    assert_int_equal(next.len, KEY_BYTES_MAX);
    assert_int_equal(next.data[KEY_BYTES_MAX - 1], 'l');
    memset(key + 2, 0xff, sizeof key - 2);
    next = look_after(bytes_of(key, KEY_BYTES_MAX), after);
    assert_true(bytes_equal(next, bytes_of_text("kl")));
    memset(key, 0xff, sizeof key);
    assert_int_equal(look_after(bytes_of(key, KEY_BYTES_MAX), after).len, 0);
    /* and can be read and checked where it is the last of its placement */
    assent_txn *t = begin();
    assent_list *list;
    memcpy(key, "a/", 2);
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(key, KEY_BYTES_MAX)};
    assert_int_equal(look(t, &op, &list), ASSENT_NOT_FOUND);
    assent_list_free(list);
    assert_true(bytes_equal(t->op[0].op.end, bytes_of_text("a0")));
    assent_txn_free(t);
}

/* ---- ranges ---- */

static void have_letters(void)
{
    static const char *const keys[] = {"a/b", "a/c", "a/d", "a/e", "a/f", "a/g"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        have(keys[i], "0");
}

static void a_range_has_its_own_writes_in_it(void **state)
{
    (void)state;
    have_letters();
    assent_txn *t = begin();
    put(t, "a/a", "mine");
    del(t, "a/c");
    add(t, "a/d", 9);
    put(t, "a/dd", "mine");
    put(t, "a/z", "outside");
    add(t, "a/h", 1);
    assert_string_equal(range_seen(t, range_op("a/", "a/i", 0, false)),
                        "a/a=mine a/b=0 a/d=9 a/dd=mine a/e=0 a/f=0 a/g=0 a/h=1");
    assert_string_equal(range_seen(t, range_op("a/", "a/i", 0, true)),
                        "a/h=1 a/g=0 a/f=0 a/e=0 a/dd=mine a/d=9 a/b=0 a/a=mine");
    assert_string_equal(checks_of(t), "[a/,a/i)");
    assent_txn_free(t);
}

static void a_cut_range_is_checked_as_far_as_it_was_seen(void **state)
{
    (void)state;
    have_letters();
    assent_txn *t = begin();
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 2, false)), "a/b=0 a/c=0...");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 2, true)), "a/g=0 a/f=0...");
    assert_string_equal(checks_of(t), "[a/,a/c\\x00) [a/f,a/z)");
    assert_string_equal(range_seen(t, range_op("a/", "a/c", 2, false)), "a/b=0");
    assert_string_equal(range_seen(t, range_op("a/e", "a/g", 2, true)), "a/f=0 a/e=0");
    assert_string_equal(checks_of(t), "[a/,a/c\\x00) [a/f,a/z) [a/e,a/g)");
    assent_txn_free(t);
}

static void own_deletes_do_not_make_an_answer_short(void **state)
{
    (void)state;
    have_letters();
    assent_txn *t = begin();
    del(t, "a/b");
    del(t, "a/d");
    del(t, "a/g");
    del(t, "a/zz");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 2, false)), "a/c=0 a/e=0...");
    assert_int_equal(asked_limit, 5);
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 3, false)), "a/c=0 a/e=0 a/f=0");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 2, true)), "a/f=0 a/e=0...");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", UINT32_MAX, true)),
                        "a/f=0 a/e=0 a/c=0");
    assert_int_equal(asked_limit, UINT32_MAX);
    assent_txn_free(t);
}

static void an_answer_of_deleted_rows_only_is_read_on_from(void **state)
{
    (void)state;
    have_letters();
    answer_max = 2;
    for (int descending = 0; descending < 2; descending++) {
        assent_txn *t = begin();
        for (char c = 'b'; c <= 'f'; c++)
            del(t, (char[]){'a', '/', c, '\0'});
        asked = 0;
        assert_string_equal(range_seen(t, range_op("a/", "a/z", 0, descending == 1)),
                            descending == 1 ? "a/g=0..." : "a/g=0");
        assert_int_equal(asked, descending == 1 ? 1 : 3);
        assert_string_equal(checks_of(t), descending == 1 ? "[a/g,a/z)" : "[a/,a/z)");
        del(t, "a/g");
        assert_string_equal(range_seen(t, range_op("a/", "a/z", 0, descending == 1)), "");
        assent_txn_free(t);
    }
}

static void an_own_write_behind_what_is_known_is_not_shown(void **state)
{
    (void)state;
    have_letters();
    answer_max = 2;
    assent_txn *t = begin();
    put(t, "a/bb", "mine");
    put(t, "a/f", "mine");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 0, false)), "a/b=0 a/bb=mine a/c=0...");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 0, true)), "a/g=0 a/f=mine...");
    assent_txn_free(t);
}

static void a_range_with_a_sum_that_is_none_says_so(void **state)
{
    (void)state;
    have("a/b", "0");
    have("a/c", "text");
    have("a/d", "0");
    assent_txn *t = begin();
    add(t, "a/c", 1);
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 1, false)), "a/b=0...");
    assert_string_equal(range_seen(t, range_op("a/", "a/z", 0, false)), "NOT_INTEGER");
    assert_string_equal(checks_of(t), "[a/,a/b\\x00) [a/,a/c\\x00)");
    assent_txn_free(t);
}

/* ---- what is refused ---- */

static void bad_reads_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    static const char big[KEY_BYTES_MAX + 1] = "a/";
    assent_txn *t = begin();
    assent_list *list;
    assert_string_equal(range_seen(t, range_op("a/y", "a/x", 0, false)), "INVALID");
    assert_string_equal(range_seen(t, range_op("a/x", "a/x", 0, false)), "INVALID");
    assert_string_equal(range_seen(t, range_op("a/x", "b/x", 0, false)), "WRONG_PLACEMENT");
    assert_string_equal(range_seen(t, range_op("a/x", "", 0, false)), "WRONG_PLACEMENT");
    assert_string_equal(range_seen(t, range_op("", "a/x", 0, false)), "INVALID");
    assert_string_equal(key_seen(t, "nowhere"), "WRONG_PLACEMENT");
    assert_string_equal(key_seen(t, ""), "INVALID");
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of(big, sizeof big)};
    assert_int_equal(look(t, &op, &list), ASSENT_TOO_LARGE);
    assert_int_equal(look_key(NULL, "a/x", &list), ASSENT_INVALID);
    assert_int_equal(asked, 0);
    assert_int_equal(t->n, 0);
    assert_int_equal(assent_txn_get(NULL, "a/x", 3, &list), ASSENT_INVALID);
    assert_int_equal(assent_txn_get(t, "a/x", 3, NULL), ASSENT_INVALID);
    assert_int_equal(assent_txn_strict(NULL), ASSENT_INVALID);
    assert_int_equal(assent_txn_snapshot(NULL), 0);
    assent_txn_free(t);
}

static void a_sealed_transaction_reads_nothing_more(void **state)
{
    (void)state;
    assent_txid id;
    assent_txn *t = begin();
    put(t, "a/x", "1");
    assert_int_equal(assent_txn_id(t, &id), ASSENT_OK);
    assert_string_equal(key_seen(t, "a/x"), "SEALED");
    assert_int_equal(assent_txn_read_at(t, 1), ASSENT_SEALED);
    assert_int_equal(assent_txn_strict(t), ASSENT_SEALED);
    assert_int_equal(assent_savepoint(t, "s"), ASSENT_SEALED);
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_SEALED);
    assent_txn_free(t);
}

static void a_read_that_cannot_be_checked_any_more_is_not_given(void **state)
{
    (void)state;
    have("a/x", "1");
    assent_txn *t = begin();
    for (uint32_t i = 0; i < OPS_MAX; i++)
        put(t, "a/w", "v");
    assert_string_equal(key_seen(t, "a/x"), "TOO_LARGE");
    assert_string_equal(checks_of(t), "");
    assert_string_equal(key_seen(t, "a/w"), "a/w=v"); /* needs no check */
    assent_txn_free(t);
}

static void a_snapshot_is_fixed_once(void **state)
{
    (void)state;
    assent_txn *t = begin();
    assert_int_equal(assent_txn_read_at(t, 0), ASSENT_INVALID);
    assert_int_equal(assent_txn_read_at(t, UINT64_MAX), ASSENT_INVALID);
    assert_int_equal(assent_txn_read_at(NULL, 5), ASSENT_INVALID);
    assert_int_equal(assent_txn_read_at(t, SNAPSHOT), ASSENT_OK);
    assert_int_equal(assent_txn_read_at(t, SNAPSHOT), ASSENT_INVALID);
    assert_string_equal(key_seen(t, "a/x"), "a/x-");
    assert_int_equal(assent_txn_snapshot(t), SNAPSHOT);
    assent_txn_free(t);
}

/* As calls with callbacks do it. */
static void reads_under_way_hold_up_the_end_of_the_transaction(void **state)
{
    (void)state;
    struct look first, second;
    assent_list *list;
    assent_txid id;
    struct session_config config;
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of_text("a/x")};
    assent_txn *t = begin();
    assert_int_equal(look_open(&first, t, &op, 1000), ASSENT_OK);
    assert_int_equal(look_open(&second, t, &op, 1000), ASSENT_INVALID);
    assert_int_equal(assent_txn_read_at(t, 5), ASSENT_INVALID);
    assert_int_equal(assent_txn_id(t, &id), ASSENT_INVALID);
    assert_int_equal(assent_rollback(t), ASSENT_INVALID);
    assert_int_equal(handle_commit(t, 0, &config), ASSENT_INVALID);
    assert_false(look_only(t));
    /* a failed one does not fix the snapshot */
    assert_int_equal(look_answer(&first, ASSENT_READ_TIMED_OUT, NULL, "why"),
                     ASSENT_READ_TIMED_OUT);
    assert_int_equal(look_close(&first, ASSENT_READ_TIMED_OUT, &list), ASSENT_READ_TIMED_OUT);
    assert_null(list);
    assert_string_equal(assent_error(), "why");
    assert_int_equal(assent_txn_snapshot(t), 0);
    assert_int_equal(assent_txn_read_at(t, SNAPSHOT), ASSENT_OK);
    assert_int_equal(look_open(&first, t, &op, 1000), ASSENT_OK);
    assert_int_equal(look_open(&second, t, &op, 1000), ASSENT_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(answer(&op, &list), ASSENT_NOT_FOUND);
        assert_int_equal(look_answer(i == 0 ? &second : &first, ASSENT_NOT_FOUND, list, ""),
                         ASSENT_OK);
        assert_int_equal(look_close(i == 0 ? &second : &first, ASSENT_OK, &list), ASSENT_NOT_FOUND);
        assent_list_free(list);
    }
    assert_string_equal(checks_of(t), "[a/x,a/x\\x00)");
    assent_txn_free(t);
}

static void an_expired_snapshot_says_what_to_do(void **state)
{
    (void)state;
    struct look l;
    assent_list *list;
    struct op op = {.kind = OP_READ_KEY, .key = bytes_of_text("a/x")};
    assent_txn *t = begin();
    assert_int_equal(look_open(&l, t, &op, 1000), ASSENT_OK);
    assert_int_equal(look_answer(&l, ASSENT_PRUNED, NULL, "at pa: older"), ASSENT_PRUNED);
    assert_int_equal(look_close(&l, ASSENT_PRUNED, &list), ASSENT_PRUNED);
    assert_non_null(strstr(assent_error(), "build it again"));
    assert_non_null(strstr(assent_error(), "at pa: older"));
    assent_txn_free(t);
}

/* ---- committing ---- */

static void only_one_that_just_read_commits_without_being_sent(void **state)
{
    (void)state;
    assent_commit_info info;
    assent_txid id;
    assent_txn *t = begin();
    assert_false(look_only(t)); /* empty, as ever */
    key_seen(t, "a/x");
    assert_true(look_only(t));
    assert_int_equal(assent_savepoint(t, "s"), ASSENT_OK);
    put(t, "a/y", "1");
    assert_false(look_only(t));
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_OK);
    assert_true(look_only(t));
    assert_int_equal(assent_check_exists(t, "a/y", 3), ASSENT_OK);
    assert_false(look_only(t));
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_OK);
    interactive_commit(t, 0, &info);
    assert_int_equal(info.commit_ts, SNAPSHOT);
    assert_memory_equal(&info.txid, &(assent_txid){{0}}, sizeof info.txid);
    assert_int_equal(assent_txn_id(t, &id), ASSENT_SEALED);
    assert_int_equal(assent_rollback(t), ASSENT_SEALED);
    assert_string_equal(key_seen(t, "a/x"), "SEALED");
    assent_txn_free(t);

    t = begin();
    key_seen(t, "a/x");
    assert_int_equal(assent_txn_strict(t), ASSENT_OK);
    assert_false(look_only(t));
    assent_txn_free(t);
    t = begin();
    key_seen(t, "a/x");
    assert_int_equal(assent_txn_id(t, &id), ASSENT_OK);
    assert_false(look_only(t));
    assent_txn_free(t);
}

/* ---- savepoints ---- */

static void going_back_drops_writes_and_keeps_what_was_seen(void **state)
{
    (void)state;
    have("a/x", "1");
    have("ab/x", "1");
    assent_txn *t = begin();
    put(t, "a/x", "2");
    assert_int_equal(assent_savepoint(t, "one"), ASSENT_OK);
    put(t, "a/x", "3");
    put(t, "b/x", "3");
    key_seen(t, "ab/x");
    assert_int_equal(assent_savepoint(t, "two"), ASSENT_OK);
    put(t, "ab/x", "4");
    assert_int_equal(t->parts, 2);
    assert_int_equal(assent_rollback_to(t, "two"), ASSENT_OK);
    assert_string_equal(key_seen(t, "ab/x"), "ab/x=1");
    assert_string_equal(key_seen(t, "b/x"), "b/x=3");
    assert_int_equal(assent_rollback_to(t, "one"), ASSENT_OK);
    assert_int_equal(assent_rollback_to(t, "two"), ASSENT_NOT_FOUND);
    assert_string_equal(key_seen(t, "a/x"), "a/x=2");
    assert_string_equal(key_seen(t, "b/x"), "b/x-");
    assert_string_equal(checks_of(t), "[ab/x,ab/x\\x00) [b/x,b/x\\x00)");
    assert_int_equal(assent_rollback_to(t, "one"), ASSENT_OK); /* it is still there */
    /* what is sent is what is left */
    size_t size = 0;
    for (int i = 0; i < t->parts; i++)
        size += t->part[i].size;
    assert_int_equal(t->size, size);
    assert_int_equal(txn_seal(t, 1000, 7), ASSENT_OK);
    uint32_t ops_n = 0;
    for (int i = 0; i < t->participants.n; i++) {
        struct ops ops;
        char why[128];
        assert_int_equal(ops_decode(t->encoded[i], &ops, why, sizeof why), ASSENT_OK);
        ops_n += ops.n;
        ops_free(&ops);
    }
    assert_int_equal(ops_n, 3);
    assent_txn_free(t);
}

static void a_participant_that_nothing_is_left_for_does_not_take_part(void **state)
{
    (void)state;
    assent_txn *t = begin();
    assert_int_equal(assent_savepoint(t, "start"), ASSENT_OK);
    put(t, "b/x", "1");
    assert_int_equal(assent_rollback_to(t, "start"), ASSENT_OK);
    assert_int_equal(t->parts, 0);
    assert_int_equal(t->size, 0);
    put(t, "a/x", "1");
    assert_int_equal(txn_seal(t, 1000, 7), ASSENT_OK);
    assert_int_equal(t->participants.n, 1);
    assert_int_equal(t->participants.id[0], 11);
    assent_txn_free(t);
}

static void a_name_means_the_place_where_it_was_last_used(void **state)
{
    (void)state;
    assent_txn *t = begin();
    assert_int_equal(assent_savepoint(t, "s"), ASSENT_OK);
    put(t, "a/x", "1");
    assert_int_equal(assent_savepoint(t, "other"), ASSENT_OK);
    put(t, "a/x", "2");
    assert_int_equal(assent_savepoint(t, "s"), ASSENT_OK);
    put(t, "a/x", "3");
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_OK);
    assert_string_equal(key_seen(t, "a/x"), "a/x=2");
    assert_int_equal(assent_rollback_to(t, "other"), ASSENT_OK);
    assert_string_equal(key_seen(t, "a/x"), "a/x=1");
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_NOT_FOUND);
    assent_txn_free(t);
}

static void bad_savepoints_are_refused(void **state)
{
    (void)state;
    char name[SAVEPOINT_NAME_BYTES_MAX + 2];
    assent_txn *t = begin();
    memset(name, 'n', sizeof name);
    name[SAVEPOINT_NAME_BYTES_MAX + 1] = '\0';
    assert_int_equal(assent_savepoint(t, name), ASSENT_INVALID);
    assert_int_equal(assent_savepoint(t, ""), ASSENT_INVALID);
    assert_int_equal(assent_savepoint(t, NULL), ASSENT_INVALID);
    assert_int_equal(assent_savepoint(NULL, "s"), ASSENT_INVALID);
    assert_int_equal(assent_rollback_to(t, name), ASSENT_INVALID);
    assert_int_equal(assent_rollback_to(t, NULL), ASSENT_INVALID);
    assert_int_equal(assent_rollback_to(NULL, "s"), ASSENT_INVALID);
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_NOT_FOUND);
    assert_int_equal(assent_rollback(NULL), ASSENT_INVALID);
    name[SAVEPOINT_NAME_BYTES_MAX] = '\0';
    assert_int_equal(assent_savepoint(t, name), ASSENT_OK);
    for (uint32_t i = 1; i < SAVEPOINTS_MAX; i++) {
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(assent_savepoint(t, name), ASSENT_OK);
    }
    assert_int_equal(assent_savepoint(t, "one more"), ASSENT_TOO_LARGE);
    assert_int_equal(assent_savepoint(t, "s7"), ASSENT_OK);
    assert_int_equal(assent_rollback_to(t, "s6"), ASSENT_OK);
    assert_int_equal(assent_savepoint(t, "one more"), ASSENT_OK);
    assent_txn_free(t);
}

static void rolled_back_it_is_as_new_and_as_old(void **state)
{
    (void)state;
    assent_txid id, again;
    have("a/x", "1");
    assent_txn *t = begin();
    key_seen(t, "a/x");
    put(t, "b/x", "1");
    assert_int_equal(assent_txn_strict(t), ASSENT_OK);
    assert_int_equal(assent_savepoint(t, "s"), ASSENT_OK);
    assert_int_equal(assent_txn_id(t, &id), ASSENT_OK);
    uint64_t priority = t->priority_ms;
    assert_int_equal(assent_rollback(t), ASSENT_OK);
    assert_int_equal(assent_txn_snapshot(t), 0);
    assert_int_equal(assent_rollback_to(t, "s"), ASSENT_NOT_FOUND);
    assert_int_equal(assent_txn_id(t, &again), ASSENT_INVALID); /* it is empty */
    key_seen(t, "a/x");
    assert_true(look_only(t));
    put(t, "a/x", "1");
    assert_int_equal(assent_txn_id(t, &again), ASSENT_OK);
    assert_memory_not_equal(id.bytes, again.bytes, sizeof id.bytes);
    assert_int_equal(t->priority_ms, priority);
    assert_int_equal(t->participants.n, 1);
    assent_txn_free(t);
}

/* ---- against a model ---- */

#define MODEL_KEYS 8
#define SAVEPOINTS 4
#define TEXT_MAX   4096

/* What a key is: `bad` after an add to what is no integer. */
struct model_key {
    bool found;
    bool bad;
    char value[24];
};

struct model {
    struct model_key key[MODEL_KEYS];
};

struct script {
    struct prng prng;
    struct model now;
    /* the names that are set, in the order in which they were */
    uint32_t saved;
    uint32_t saved_name[SAVEPOINTS];
    struct model saved_model[SAVEPOINTS];
    assent_txn *t;
    char seen[TEXT_MAX]; /* all answers */
    size_t seen_len;
};

static const char *model_name(uint64_t i)
{
    static char name[2][8];
    static int turn;
    turn = !turn;
    snprintf(name[turn], sizeof name[turn], "a/%d", (int)i);
    return name[turn];
}

static void model_number(const struct model_key *key, long long delta, struct model_key *out)
{
    char *end;
    long long number = key->found ? strtoll(key->value, &end, 10) : 0;
    out->bad = key->bad || (key->found && (*key->value == '\0' || *end != '\0'));
    out->found = true;
    snprintf(out->value, sizeof out->value, "%lld", number + delta);
}

static const char *model_range(const struct script *s, uint64_t from, uint64_t to, uint32_t limit,
                               bool descending, char *out, size_t size)
{
    size_t at = 0;
    uint32_t n = 0;
    out[0] = '\0';
    for (uint64_t k = from; k < to; k++) {
        uint64_t i = descending ? from + to - 1 - k : k;
        const struct model_key *key = &s->now.key[i];
        if (!key->found)
            continue;
        if (limit > 0 && n == limit) {
            snprintf(out + at, size - at, "...");
            break;
        }
        if (key->bad) {
            snprintf(out, size, "NOT_INTEGER");
            break;
        }
        at += (size_t)snprintf(out + at, size - at, "%s%s=%s", n++ == 0 ? "" : " ", model_name(i),
                               key->value);
    }
    return out;
}

/* Whether there is more behind the limit is not part of what was seen. */
static void script_note(struct script *s, const char *text)
{
    size_t len = strlen(text);
    if (len >= 3 && strcmp(text + len - 3, "...") == 0)
        len -= 3;
    s->seen_len += (size_t)snprintf(s->seen + s->seen_len, sizeof s->seen - s->seen_len, "%.*s\n",
                                    (int)len, text);
    assert_true(s->seen_len < sizeof s->seen);
}

static void script_read(struct script *s, bool judge)
{
    char expected[1024];
    uint64_t from = prng_below(&s->prng, MODEL_KEYS);
    uint64_t to = from + 1 + prng_below(&s->prng, MODEL_KEYS - from);
    uint32_t limit = (uint32_t)prng_below(&s->prng, 4);
    bool descending = prng_below(&s->prng, 2) == 0, one = prng_below(&s->prng, 3) == 0;
    const struct model_key *key = &s->now.key[from];
    const char *seen;
    if (one) {
        seen = key_seen(s->t, model_name(from));
        snprintf(expected, sizeof expected, key->bad ? "NOT_INTEGER" : "%s%s%s", model_name(from),
                 key->found ? "=" : "-", key->found ? key->value : "");
    } else {
        seen = range_seen(s->t, range_op(model_name(from), model_name(to), limit, descending));
        model_range(s, from, to, limit, descending, expected, sizeof expected);
    }
    if (judge)
        assert_string_equal(seen, expected);
    script_note(s, seen);
}

static void script_savepoint(struct script *s, bool back)
{
    uint32_t name = (uint32_t)prng_below(&s->prng, SAVEPOINTS), i = 0;
    while (i < s->saved && s->saved_name[i] != name)
        i++;
    if (back) {
        assert_int_equal(assent_rollback_to(s->t, model_name(name)),
                         i < s->saved ? ASSENT_OK : ASSENT_NOT_FOUND);
        if (i == s->saved)
            return;
        s->now = s->saved_model[i];
        s->saved = i + 1;
        return;
    }
    assert_int_equal(assent_savepoint(s->t, model_name(name)), ASSENT_OK);
    if (i < s->saved) {
        for (s->saved--; i < s->saved; i++) {
            s->saved_name[i] = s->saved_name[i + 1];
            s->saved_model[i] = s->saved_model[i + 1];
        }
    }
    s->saved_name[s->saved] = name;
    s->saved_model[s->saved++] = s->now;
}

static void script_step(struct script *s, bool judge)
{
    uint64_t what = prng_below(&s->prng, 12), i = prng_below(&s->prng, MODEL_KEYS);
    int64_t number = (int64_t)prng_below(&s->prng, 19) - 9;
    struct model_key *key = &s->now.key[i];
    if (what < 2) {
        *key = (struct model_key){.found = true};
        snprintf(key->value, sizeof key->value, what == 0 ? "%lldx" : "%lld", (long long)number);
        put(s->t, model_name(i), key->value);
    } else if (what < 4) {
        *key = (struct model_key){0};
        del(s->t, model_name(i));
    } else if (what < 6) {
        model_number(key, number, key);
        add(s->t, model_name(i), number);
    } else if (what < 8) {
        script_savepoint(s, what == 7);
    } else {
        script_read(s, judge);
    }
}

/* Runs the steps of a seed over the cells. */
static void script_run(struct script *s, uint64_t seed, bool judge)
{
    *s = (struct script){.t = begin()};
    prng_seed(&s->prng, seed);
    for (uint32_t i = 0; i < cells_n; i++) {
        s->now.key[i].found = cells[i].value != NULL;
        snprintf(s->now.key[i].value, sizeof s->now.key[i].value, "%s",
                 cells[i].value == NULL ? "" : cells[i].value);
    }
    for (int i = 0; i < 25; i++)
        script_step(s, judge);
}

static void draw_cells(uint64_t seed)
{
    static const char *const values[] = {NULL, NULL, "5", "-70", "text", ""};
    struct prng prng;
    prng_seed(&prng, seed ^ 0x5eed);
    cells_n = 0;
    for (uint64_t i = 0; i < MODEL_KEYS; i++)
        have(model_name(i), values[prng_below(&prng, 6)]);
}

static bool is_checked(const assent_txn *t, const char *key)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->op[i].seen && op_covers(&t->op[i].op, key))
            return true;
    }
    return false;
}

static void any_order_of_writes_reads_and_savepoints_is_as_a_plain_table_has_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct script s;
        draw_cells(seed);
        script_run(&s, seed, true);
        assent_txn_free(s.t);
    }
}

/* So a commit whose checks hold would have read the same. */
static void what_is_not_checked_has_no_part_in_what_was_seen(void **state)
{
    (void)state;
    uint32_t unchecked = 0;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        struct script s, other;
        draw_cells(seed);
        script_run(&s, seed, true);
        for (uint32_t i = 0; i < MODEL_KEYS; i++) {
            const char *was = cells[i].value;
            if (is_checked(s.t, cells[i].key))
                continue;
            unchecked++;
            cells[i].value = was == NULL ? "123" : NULL;
            script_run(&other, seed, true);
            if (strcmp(s.seen, other.seen) != 0)
                fail_msg("seed %d: %s is not checked, but changes what is seen", (int)seed,
                         cells[i].key);
            cells[i].value = was;
            assent_txn_free(other.t);
        }
        assent_txn_free(s.t);
    }
    assert_in_range(unchecked, 1000, 8000);
}

/* Page by page, whatever fits an answer: the whole is what one unlimited read gives. */
static void pages_put_together_are_the_range(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct script s;
        char all[1024], pages[1024] = "", end[16] = "a/9", key[16] = "a/";
        bool descending = seed % 2 == 0, more = true;
        draw_cells(seed);
        script_run(&s, seed, true);
        snprintf(all, sizeof all, "%s", range_seen(s.t, range_op(key, end, 0, descending)));
        answer_max = (uint32_t)(seed % 3);
        for (int page = 0; more && strcmp(all, "NOT_INTEGER") != 0; page++) {
            assent_list *list;
            struct op op = range_op(key, end, (uint32_t)(seed % 5), descending);
            if (!descending && page > 0)
                op.key.len++; /* and a zero byte */
            assert_int_equal(look(s.t, &op, &list), ASSENT_OK);
            size_t n = assent_list_size(list);
            more = n > 0 && assent_list_entry(list, n - 1)->truncated;
            if (more)
                snprintf(descending ? end : key, sizeof end, "%.*s",
                         (int)assent_list_entry(list, n - 1)->key_len,
                         (const char *)assent_list_entry(list, n - 1)->key);
            char text[1024];
            list_text(ASSENT_OK, list, text, sizeof text);
            size_t len = strlen(text) - (more ? 3 : 0), at = strlen(pages);
            snprintf(pages + at, sizeof pages - at, "%s%.*s", at == 0 || len == 0 ? "" : " ",
                     (int)len, text);
        }
        if (!more)
            assert_string_equal(pages, all);
        answer_max = 0;
        assent_txn_free(s.t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_key_is_read_once_checked_once_and_at_one_snapshot, clear_cells),
        cmocka_unit_test_setup(a_key_that_it_wrote_is_not_asked_for, clear_cells),
        cmocka_unit_test_setup(adds_count_on_top_of_the_snapshot, clear_cells),
        cmocka_unit_test_setup(sums_past_64_bits_are_refused_on_the_way_too, clear_cells),
        cmocka_unit_test_setup(the_longest_key_has_one_after_it, clear_cells),
        cmocka_unit_test_setup(a_range_has_its_own_writes_in_it, clear_cells),
        cmocka_unit_test_setup(a_cut_range_is_checked_as_far_as_it_was_seen, clear_cells),
        cmocka_unit_test_setup(own_deletes_do_not_make_an_answer_short, clear_cells),
        cmocka_unit_test_setup(an_answer_of_deleted_rows_only_is_read_on_from, clear_cells),
        cmocka_unit_test_setup(an_own_write_behind_what_is_known_is_not_shown, clear_cells),
        cmocka_unit_test_setup(a_range_with_a_sum_that_is_none_says_so, clear_cells),
        cmocka_unit_test_setup(bad_reads_are_refused_and_leave_nothing, clear_cells),
        cmocka_unit_test_setup(a_sealed_transaction_reads_nothing_more, clear_cells),
        cmocka_unit_test_setup(a_read_that_cannot_be_checked_any_more_is_not_given, clear_cells),
        cmocka_unit_test_setup(a_snapshot_is_fixed_once, clear_cells),
        cmocka_unit_test_setup(reads_under_way_hold_up_the_end_of_the_transaction, clear_cells),
        cmocka_unit_test_setup(an_expired_snapshot_says_what_to_do, clear_cells),
        cmocka_unit_test_setup(only_one_that_just_read_commits_without_being_sent, clear_cells),
        cmocka_unit_test_setup(going_back_drops_writes_and_keeps_what_was_seen, clear_cells),
        cmocka_unit_test_setup(a_participant_that_nothing_is_left_for_does_not_take_part,
                               clear_cells),
        cmocka_unit_test_setup(a_name_means_the_place_where_it_was_last_used, clear_cells),
        cmocka_unit_test_setup(bad_savepoints_are_refused, clear_cells),
        cmocka_unit_test_setup(rolled_back_it_is_as_new_and_as_old, clear_cells),
        cmocka_unit_test_setup(any_order_of_writes_reads_and_savepoints_is_as_a_plain_table_has_it,
                               clear_cells),
        cmocka_unit_test_setup(what_is_not_checked_has_no_part_in_what_was_seen, clear_cells),
        cmocka_unit_test_setup(pages_put_together_are_the_range, clear_cells),
    };
    return cmocka_run_group_tests_name("interactive", tests, open_cluster, close_cluster);
}
