/* client/txn: which participants an operation goes to, sealing, limits, and what is encoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/txn.h"
#include "wire/ops_codec.h"

#define KEY(digit) "00000000000000000000000000000000000000000000000000000000000000" digit

/* Datacenters a, b, c with participants 11, 12, 13; two more in a. */
static const char cluster_text_nodes[] =
    "cluster: {id: 000102030405060708090a0b0c0d0e0f, name: t, epoch: 1}\n"
    "datacenters: [a, b, c]\n"
    "nodes:\n"
    "  - {id: 1, name: ca, role: coordinator, datacenter: a, address: \"127.0.0.1:1\", "
    "keys: [" KEY("01") "]}\n"
                        "  - {id: 11, name: pa, role: participant, datacenter: a, address: "
                        "\"127.0.0.1:2\", keys: [" KEY("11") "]}\n"
                                                             "  - {id: 12, name: pb, role: "
                                                             "participant, datacenter: b, "
                                                             "address: \"127.0.0.1:3\", "
                                                             "keys: [" KEY("12") "]}\n";

static struct cluster *cluster;

/* The whole file: 40 more participants, one per key prefix "n<id>/", and the replicated prefixes.
 */
static int open_cluster(void **state)
{
    (void)state;
    struct writer w = {0};
    char line[512], why[512];
    writer_raw(&w, cluster_text_nodes, strlen(cluster_text_nodes));
    for (int id = 13; id < 60; id++) {
        int n = snprintf(line, sizeof line,
                         "  - {id: %d, name: p%d, role: participant, datacenter: c, address: "
                         "\"127.0.0.1:%d\", keys: [" KEY("%02x") "]}\n",
                         id, id, 100 + id, id + 0x40);
        writer_raw(&w, line, (size_t)n);
    }
    static const char rest[] = "clients:\n"
                               "  - {name: app, admin: true, keys: [" KEY(
                                   "fe") "]}\n"
                                         "placement:\n"
                                         "  - {prefix: \"a/\", participants: [pa]}\n"
                                         "  - {prefix: \"b/\", participants: [pb]}\n"
                                         "  - {prefix: \"ab/\", participants: [pa, pb]}\n"
                                         "  - {prefix: \"bc/\", participants: [pb, p13]}\n"
                                         "  - {prefix: \"cd/\", participants: [p13, p14]}\n";
    writer_raw(&w, rest, sizeof rest - 1);
    for (int id = 20; id < 60; id++) {
        int n =
            snprintf(line, sizeof line, "  - {prefix: \"n%d/\", participants: [p%d]}\n", id, id);
        writer_raw(&w, line, (size_t)n);
    }
    cluster = cluster_parse((const char *)w.data, w.len, "t.yaml", why, sizeof why);
    writer_free(&w);
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

static int datacenter(const char *name)
{
    for (int i = 0; i < cluster->datacenters; i++) {
        if (strcmp(cluster->datacenter[i], name) == 0)
            return i;
    }
    return -1;
}

static assent_txn *new_in(const char *dc)
{
    return txn_new(NULL, cluster, datacenter(dc));
}

static void seal(assent_txn *t)
{
    assert_int_equal(txn_seal(t, 1000, 7), ASSENT_OK);
}

#define K(text) (text), (sizeof(text) - 1)

/* The operations of one participant, as it will decode them. */
static struct ops share_of(const assent_txn *t, node_id node)
{
    struct ops ops;
    char why[128];
    int i = participants_index(&t->participants, node);
    assert_true(i >= 0);
    assert_int_equal(ops_decode(t->encoded[i], &ops, why, sizeof why), ASSENT_OK);
    return ops;
}

static void assert_participants(const assent_txn *t, int n, ...)
{
    va_list ids;
    va_start(ids, n);
    assert_int_equal(t->participants.n, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(t->participants.id[i], va_arg(ids, int));
    va_end(ids);
    assert_true(participants_valid(&t->participants));
}

static void a_write_goes_to_every_replica(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_put(t, K("ab/x"), K("v")), ASSENT_OK);
    seal(t);
    assert_participants(t, 2, 11, 12);
    for (node_id node = 11; node <= 12; node++) {
        struct ops ops = share_of(t, node);
        assert_int_equal(ops.n, 1);
        assert_int_equal(ops.op[0].kind, OP_PUT);
        assert_true(bytes_equal(ops.op[0].key, bytes_of_text("ab/x")));
        assert_true(bytes_equal(ops.op[0].value, bytes_of_text("v")));
        ops_free(&ops);
    }
    assent_txn_free(t);
}

static void a_read_goes_to_the_replica_in_the_own_datacenter(void **state)
{
    (void)state;
    const char *dc[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        assent_txn *t = new_in(dc[i]);
        assert_int_equal(assent_read(t, K("ab/x")), ASSENT_OK);
        seal(t);
        assert_participants(t, 1, 11 + i);
        assent_txn_free(t);
    }
}

static void a_read_without_a_replica_nearby_goes_to_the_first(void **state)
{
    (void)state;
    assent_txn *t = new_in("c");
    assert_int_equal(assent_read(t, K("ab/x")), ASSENT_OK);
    seal(t);
    assert_participants(t, 1, 11);
    assent_txn_free(t);
}

static void a_check_prefers_a_replica_that_takes_part_to_the_own_datacenter(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_put(t, K("b/x"), K("v")), ASSENT_OK);
    assert_int_equal(assent_check_exists(t, K("ab/x")), ASSENT_OK);
    seal(t);
    assert_participants(t, 1, 12);
    assent_txn_free(t);
}

static void the_order_of_calls_does_not_cost_a_participant(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_read(t, K("ab/x")), ASSENT_OK);
    assert_int_equal(assent_put(t, K("b/x"), K("v")), ASSENT_OK);
    assert_int_equal(assent_check_absent(t, K("ab/y")), ASSENT_OK);
    seal(t);
    assert_participants(t, 1, 12);
    struct ops ops = share_of(t, 12);
    assert_int_equal(ops.n, 3);
    assert_int_equal(ops.op[0].kind, OP_READ_KEY);
    assert_int_equal(ops.op[1].kind, OP_PUT);
    assert_int_equal(ops.op[2].kind, OP_CHECK_ABSENT);
    ops_free(&ops);
    assert_int_equal(txid_route(&t->txid), 12);
    assent_txn_free(t);
}

static void a_participant_that_only_one_key_needs_is_kept(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_read(t, K("a/x")), ASSENT_OK);
    assert_int_equal(assent_read(t, K("ab/x")), ASSENT_OK);
    assert_int_equal(assent_put(t, K("b/x"), K("v")), ASSENT_OK);
    seal(t);
    assert_participants(t, 2, 11, 12);
    assent_txn_free(t);
}

static void reads_share_a_replica_where_they_can(void **state)
{
    (void)state;
    assent_txn *t = new_in("b");
    assert_int_equal(assent_read(t, K("cd/x")), ASSENT_OK); /* 13, the first of the placement */
    assert_int_equal(assent_read(t, K("bc/x")), ASSENT_OK); /* 13 takes part already */
    seal(t);
    assert_participants(t, 1, 13);
    assent_txn_free(t);
    t = new_in("b");
    assert_int_equal(assent_read(t, K("bc/x")), ASSENT_OK); /* 12, near */
    assert_int_equal(assent_read(t, K("ab/x")), ASSENT_OK); /* 12 takes part already */
    seal(t);
    assert_participants(t, 1, 12);
    assent_txn_free(t);
}

static void an_id_carries_the_route_of_a_single_participant_only(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_put(t, K("a/x"), K("v")), ASSENT_OK);
    seal(t);
    assert_int_equal(txid_route(&t->txid), 11);
    assert_int_equal(txid_ms(&t->txid), 1000);
    assert_int_equal(t->priority_ms, 1000);
    assent_txn_free(t);
    t = new_in("a");
    t->priority_ms = 900; /* a retry */
    assert_int_equal(assent_put(t, K("a/x"), K("v")), ASSENT_OK);
    assert_int_equal(assent_put(t, K("b/x"), K("v")), ASSENT_OK);
    seal(t);
    assert_int_equal(txid_route(&t->txid), 0);
    assert_int_equal(t->priority_ms, 900);
    assert_true(txid_valid(&t->txid));
    assent_txn_free(t);
}

static void a_sealed_transaction_takes_nothing_more_and_keeps_its_id(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    assert_int_equal(txn_seal(t, 1000, 7), ASSENT_INVALID);
    assert_false(t->sealed);
    assert_int_equal(assent_del(t, K("a/x")), ASSENT_OK);
    assent_txid id, again;
    assert_int_equal(assent_txn_id(t, &id), ASSENT_OK);
    assert_int_equal(assent_put(t, K("a/y"), K("v")), ASSENT_SEALED);
    assert_int_equal(assent_txn_id(t, &again), ASSENT_OK);
    assert_memory_equal(id.bytes, again.bytes, sizeof id.bytes);
    struct ops ops = share_of(t, 11);
    assert_int_equal(ops.n, 1);
    ops_free(&ops);
    assent_txn_free(t);
}

static void ids_of_the_same_millisecond_differ(void **state)
{
    (void)state;
    assent_txid id[2];
    for (int i = 0; i < 2; i++) {
        assent_txn *t = new_in("a");
        assert_int_equal(assent_del(t, K("a/x")), ASSENT_OK);
        assert_int_equal(assent_txn_id(t, &id[i]), ASSENT_OK);
        assent_txn_free(t);
    }
    assert_memory_not_equal(id[0].bytes, id[1].bytes, sizeof id[0].bytes);
}

static void what_is_refused_is_not_added(void **state)
{
    (void)state;
    static const char big_key[KEY_BYTES_MAX + 1] = "a/";
    char *big = xcalloc(1, VALUE_BYTES_MAX + 1);
    assent_txn *t = new_in("a");
    assert_int_equal(assent_put(t, K("nowhere"), K("v")), ASSENT_WRONG_PLACEMENT);
    assert_non_null(strstr(assent_error(), "nowhere"));
    assert_int_equal(assent_put(t, "", 0, K("v")), ASSENT_INVALID);
    assert_int_equal(assent_put(t, NULL, 3, K("v")), ASSENT_INVALID);
    assert_int_equal(assent_put(t, K("a/x"), NULL, 3), ASSENT_INVALID);
    assert_int_equal(assent_put(t, big_key, sizeof big_key, K("v")), ASSENT_TOO_LARGE);
    assert_int_equal(assent_put(t, K("a/x"), big, VALUE_BYTES_MAX + 1), ASSENT_TOO_LARGE);
    assert_int_equal(assent_read_range(t, K("a/x"), K("a/x"), 0), ASSENT_INVALID);
    assert_int_equal(assent_read_range(t, K("a/x"), K("ab/x"), 0), ASSENT_WRONG_PLACEMENT);
    assert_int_equal(assent_read_range(t, K("a/x"), NULL, 0, 0), ASSENT_WRONG_PLACEMENT);
    assert_int_equal(assent_check_version(t, K("a/x"), NULL), ASSENT_INVALID);
    assert_int_equal(
        assent_add(t, K("a/x"), 1,
                   &(assent_bounds){.has_lower = true, .has_upper = true, .lower = 2, .upper = 1}),
        ASSENT_INVALID);
    assert_int_equal(assent_put(NULL, K("a/x"), K("v")), ASSENT_INVALID);
    assert_int_equal(t->n, 0);
    assert_int_equal(t->parts, 0);
    assert_int_equal(txn_seal(t, 1000, 7), ASSENT_INVALID);
    /* the greatest that fit */
    assert_int_equal(assent_put(t, big_key, KEY_BYTES_MAX, big, VALUE_BYTES_MAX), ASSENT_OK);
    seal(t);
    assent_txn_free(t);
    free(big);
}

static void a_participant_has_at_most_so_many_operations(void **state)
{
    (void)state;
    assent_txn *t = new_in("a");
    for (uint32_t i = 0; i < OPS_MAX; i++)
        assert_int_equal(assent_put(t, K("a/x"), K("v")), ASSENT_OK);
    assert_int_equal(assent_put(t, K("a/x"), K("v")), ASSENT_TOO_LARGE);
    assert_int_equal(assent_put(t, K("ab/x"), K("v")), ASSENT_TOO_LARGE);
    assert_int_equal(t->parts, 1); /* not added to the other replica alone */
    /* a read of a replicated key goes where there is room */
    assert_int_equal(assent_read(t, K("ab/x")), ASSENT_OK);
    seal(t);
    assert_participants(t, 2, 11, 12);
    struct ops ops = share_of(t, 11);
    assert_int_equal(ops.n, OPS_MAX);
    ops_free(&ops);
    assent_txn_free(t);
}

static void sizes_are_bounded_per_participant_and_in_all(void **state)
{
    (void)state;
    char *big = xcalloc(1, VALUE_BYTES_MAX), key[16];
    assent_txn *t = new_in("a");
    for (int i = 0; i < 3; i++)
        assert_int_equal(assent_put(t, K("a/x"), big, VALUE_BYTES_MAX), ASSENT_OK);
    assert_int_equal(assent_put(t, K("a/x"), big, VALUE_BYTES_MAX), ASSENT_TOO_LARGE);
    int fit = 3;
    for (int id = 20; id < 40; id++) {
        snprintf(key, sizeof key, "n%d/x", id);
        assent_status status = assent_put(t, key, strlen(key), big, VALUE_BYTES_MAX);
        if (status != ASSENT_OK) {
            assert_int_equal(status, ASSENT_TOO_LARGE);
            break;
        }
        fit++;
    }
    assert_int_equal(fit, TXN_BYTES_MAX / VALUE_BYTES_MAX - 1);
    seal(t);
    size_t all = 0;
    for (int i = 0; i < t->participants.n; i++)
        all += t->encoded[i]->len;
    assert_true(all <= TXN_BYTES_MAX && all <= t->size);
    assent_txn_free(t);
    free(big);
}

static void at_most_so_many_participants_take_part(void **state)
{
    (void)state;
    char key[16];
    assent_txn *t = new_in("a");
    for (int id = 20; id < 20 + PARTICIPANTS_MAX; id++) {
        snprintf(key, sizeof key, "n%d/x", id);
        assert_int_equal(assent_put(t, key, strlen(key), K("v")), ASSENT_OK);
    }
    assert_int_equal(assent_put(t, K("a/x"), K("v")), ASSENT_TOO_LARGE);
    assert_int_equal(assent_read(t, K("a/x")), ASSENT_TOO_LARGE);
    assert_int_equal(assent_read(t, K("n20/x")), ASSENT_OK);
    seal(t);
    assert_int_equal(t->participants.n, PARTICIPANTS_MAX);
    assent_txn_free(t);
}

static void every_kind_of_operation_arrives_as_it_was_asked_for(void **state)
{
    (void)state;
    assent_version version = {.ts = UINT64_MAX, .applies = UINT32_MAX};
    memset(version.txid.bytes, 0xab, sizeof version.txid.bytes);
    assent_bounds bounds = {true, true, INT64_MIN, INT64_MAX, true};
    assent_txn *t = new_in("a");
    assert_int_equal(assent_check_exists(t, K("a/0")), ASSENT_OK);
    assert_int_equal(assent_check_absent(t, K("a/1")), ASSENT_OK);
    assert_int_equal(assent_check_value(t, K("a/2"), K("two")), ASSENT_OK);
    assert_int_equal(assent_check_at_least(t, K("a/3"), INT64_MIN), ASSENT_OK);
    assert_int_equal(assent_check_version(t, K("a/4"), &version), ASSENT_OK);
    assert_int_equal(assent_check_range(t, K("a/5"), K("a/6"), UINT64_MAX), ASSENT_OK);
    assert_int_equal(assent_read_range(t, K("a/6"), K("a/7"), UINT32_MAX), ASSENT_OK);
    assert_int_equal(assent_add(t, K("a/7"), -5, &bounds), ASSENT_OK);
    assert_int_equal(assent_add(t, K("a/8"), 5, NULL), ASSENT_OK);
    seal(t);
    struct ops ops = share_of(t, 11);
    assert_int_equal(ops.n, 9);
    static const enum op_kind kinds[] = {OP_CHECK_EXISTS,   OP_CHECK_ABSENT,  OP_CHECK_VALUE,
                                         OP_CHECK_AT_LEAST, OP_CHECK_VERSION, OP_CHECK_RANGE,
                                         OP_READ_RANGE,     OP_ADD,           OP_ADD};
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(ops.op[i].kind, kinds[i]);
        assert_int_equal(ops.op[i].key.data[2], '0' + i);
    }
    assert_true(bytes_equal(ops.op[2].value, bytes_of_text("two")));
    assert_int_equal(ops.op[3].number, INT64_MIN);
    assert_int_equal(ops.op[4].version.ts, UINT64_MAX);
    assert_int_equal(ops.op[4].version.applies, UINT32_MAX);
    assert_memory_equal(ops.op[4].version.txid.b, version.txid.bytes, TXID_BYTES);
    assert_int_equal(ops.op[5].version.ts, UINT64_MAX);
    assert_true(bytes_equal(ops.op[5].end, bytes_of_text("a/6")));
    assert_int_equal(ops.op[6].limit, UINT32_MAX);
    assert_int_equal(ops.op[7].number, -5);
    assert_true(ops.op[7].has_lower && ops.op[7].has_upper && ops.op[7].returns_value);
    assert_true(ops.op[7].lower == INT64_MIN && ops.op[7].upper == INT64_MAX);
    assert_false(ops.op[8].has_lower || ops.op[8].has_upper || ops.op[8].returns_value);
    ops_free(&ops);
    assert_true(t->encoded[0]->len <= t->size);
    assent_txn_free(t);
}

static void one_replica_of_an_add_gives_its_value_back(void **state)
{
    (void)state;
    assent_txn *t = new_in("b");
    assert_int_equal(assent_add(t, K("ab/x"), 1, &(assent_bounds){.returns_value = true}),
                     ASSENT_OK);
    seal(t);
    struct ops far = share_of(t, 11), near = share_of(t, 12);
    assert_false(far.op[0].returns_value);
    assert_true(near.op[0].returns_value);
    ops_free(&far);
    ops_free(&near);
    assent_txn_free(t);
}

static struct blob *one_result(const char *key, const char *value)
{
    struct result result = {.found = true,
                            .key = bytes_of_text(key),
                            .value = bytes_of_text(value),
                            .version = {.ts = 5, .applies = 2}};
    return results_encode(&result, 1);
}

static void entries_come_participant_by_participant(void **state)
{
    (void)state;
    struct blob *results[PARTICIPANTS_MAX] = {one_result("k1", "v1"), NULL, one_result("k3", "v3")};
    assent_entry entry;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_txn_entries(t), 0);
    txn_take_results(t, results);
    assert_null(results[0]);
    assert_int_equal(assent_txn_entries(t), 2);
    assert_int_equal(assent_txn_entry(t, 1, &entry), ASSENT_OK);
    assert_memory_equal(entry.key, "k3", 2);
    assert_memory_equal(entry.value, "v3", 2);
    assert_int_equal(entry.version.ts, 5);
    assert_int_equal(entry.version.applies, 2);
    assert_int_equal(assent_txn_entry(t, 2, &entry), ASSENT_NOT_FOUND);
    assent_txn_free(t);
}

static void damaged_results_are_reported_and_not_shown_as_none(void **state)
{
    (void)state;
    struct blob *results[PARTICIPANTS_MAX] = {blob_new(bytes_of_text("\xc1"))};
    assent_entry entry;
    assent_txn *t = new_in("a");
    txn_take_results(t, results);
    assert_int_equal(assent_txn_entry(t, 0, &entry), ASSENT_MALFORMED);
    assent_txn_free(t);
}

static void lost_results_are_reported_and_not_shown_as_none(void **state)
{
    (void)state;
    struct blob *none[PARTICIPANTS_MAX] = {0};
    assent_entry entry;
    assent_txn *t = new_in("a");
    assert_int_equal(assent_put(t, "a/x", 3, "1", 1), ASSENT_OK);
    assert_int_equal(txn_seal(t, 1000, 1), ASSENT_OK);
    txn_take_results(t, none);
    assert_int_equal(assent_txn_read_status(t), ASSENT_OK);
    assent_txn_free(t);
    t = new_in("a");
    assert_int_equal(assent_read(t, "a/y", 3), ASSENT_OK);
    assert_int_equal(txn_seal(t, 1000, 1), ASSENT_OK);
    txn_take_results(t, none);
    assert_int_equal(assent_txn_read_status(t), ASSENT_UNKNOWN);
    assert_int_equal(assent_txn_entry(t, 0, &entry), ASSENT_UNKNOWN);
    assent_txn_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_results_are_reported_and_not_shown_as_none),
        cmocka_unit_test(a_write_goes_to_every_replica),
        cmocka_unit_test(a_read_goes_to_the_replica_in_the_own_datacenter),
        cmocka_unit_test(a_read_without_a_replica_nearby_goes_to_the_first),
        cmocka_unit_test(a_check_prefers_a_replica_that_takes_part_to_the_own_datacenter),
        cmocka_unit_test(the_order_of_calls_does_not_cost_a_participant),
        cmocka_unit_test(a_participant_that_only_one_key_needs_is_kept),
        cmocka_unit_test(reads_share_a_replica_where_they_can),
        cmocka_unit_test(an_id_carries_the_route_of_a_single_participant_only),
        cmocka_unit_test(a_sealed_transaction_takes_nothing_more_and_keeps_its_id),
        cmocka_unit_test(ids_of_the_same_millisecond_differ),
        cmocka_unit_test(what_is_refused_is_not_added),
        cmocka_unit_test(a_participant_has_at_most_so_many_operations),
        cmocka_unit_test(sizes_are_bounded_per_participant_and_in_all),
        cmocka_unit_test(at_most_so_many_participants_take_part),
        cmocka_unit_test(every_kind_of_operation_arrives_as_it_was_asked_for),
        cmocka_unit_test(one_replica_of_an_add_gives_its_value_back),
        cmocka_unit_test(entries_come_participant_by_participant),
        cmocka_unit_test(damaged_results_are_reported_and_not_shown_as_none),
    };
    return cmocka_run_group_tests_name("txn", tests, open_cluster, close_cluster);
}
