/* wire/ops_codec: operations and results survive the trip, and nothing malformed does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/random_msg.h"
#include "wire/ops_codec.h"

#define WHY_BYTES 160
#define SAMPLE    24

static void assert_bytes_same(struct bytes a, struct bytes b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.data, b.data, a.len);
}

static void assert_version_same(const struct version *a, const struct version *b)
{
    assert_int_equal(a->ts, b->ts);
    assert_true(txid_equal(&a->txid, &b->txid));
    assert_int_equal(a->applies, b->applies);
}

static void assert_op_same(const struct op *a, const struct op *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_bytes_same(a->key, b->key);
    assert_bytes_same(a->end, b->end);
    assert_bytes_same(a->value, b->value);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->lower, b->lower);
    assert_int_equal(a->upper, b->upper);
    assert_int_equal(a->has_lower, b->has_lower);
    assert_int_equal(a->has_upper, b->has_upper);
    assert_int_equal(a->returns_value, b->returns_value);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->descending, b->descending);
    assert_version_same(&a->version, &b->version);
}

static assent_status decode(struct bytes b, struct ops *ops, char *why)
{
    struct blob *source = blob_new(b);
    strcpy(why, "");
    assent_status status = ops_decode(source, ops, why, WHY_BYTES);
    blob_unref(source);
    return status;
}

/* Encodes one operation and says what the decoder makes of it. */
static assent_status verdict(const struct op *op, char *why)
{
    struct ops ops;
    struct blob *source = ops_encode(op, 1);
    assert_non_null(source);
    assent_status status = decode(blob_bytes(source), &ops, why);
    assert_int_equal(status == ASSENT_OK, ops.n == 1);
    ops_free(&ops);
    blob_unref(source);
    return status;
}

static void every_kind_of_operation_survives_the_trip(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 1);
    for (int round = 0; round < 300; round++) {
        uint8_t arena[SAMPLE][RANDOM_ARENA_BYTES];
        struct op op[SAMPLE];
        uint32_t n = (uint32_t)prng_below(&p, SAMPLE + 1);
        for (uint32_t i = 0; i < n; i++)
            op[i] = random_op(&p, arena[i]);
        struct blob *source = ops_encode(op, n);
        struct ops back;
        char why[WHY_BYTES] = "";
        assert_int_equal(ops_decode(source, &back, why, sizeof why), ASSENT_OK);
        assert_int_equal(back.n, n);
        assert_int_equal(source->refs, 2);
        for (uint32_t i = 0; i < n; i++)
            assert_op_same(&op[i], &back.op[i]);
        ops_free(&back);
        assert_int_equal(source->refs, 1);
        blob_unref(source);
    }
}

static void results_survive_the_trip(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 2);
    for (int round = 0; round < 300; round++) {
        uint8_t arena[SAMPLE][RANDOM_ARENA_BYTES];
        struct result result[SAMPLE];
        uint32_t n = (uint32_t)prng_below(&p, SAMPLE + 1);
        for (uint32_t i = 0; i < n; i++)
            result[i] = random_result(&p, arena[i]);
        struct blob *source = results_encode(result, n);
        struct results back;
        assert_int_equal(results_decode(source, &back), ASSENT_OK);
        assert_int_equal(back.n, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(result[i].op, back.result[i].op);
            assert_int_equal(result[i].found, back.result[i].found);
            assert_int_equal(result[i].truncated, back.result[i].truncated);
            assert_bytes_same(result[i].key, back.result[i].key);
            assert_bytes_same(result[i].value, back.result[i].value);
            assert_version_same(&result[i].version, &back.result[i].version);
        }
        results_free(&back);
        blob_unref(source);
    }
}

static void the_smallest_result_decodes_however_many_there_are(void **state)
{
    (void)state;
    struct result result[500] = {0};
    struct results back;
    for (int i = 0; i < 500; i++)
        result[i].key = bytes_of_text("k");
    struct blob *source = results_encode(result, 500);
    assert_int_equal(results_decode(source, &back), ASSENT_OK);
    assert_int_equal(back.n, 500);
    results_free(&back);
    blob_unref(source);
}

static void operations_cut_short_or_with_bytes_after_them_are_malformed(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 3);
    for (int round = 0; round < 40; round++) {
        uint8_t arena[2][RANDOM_ARENA_BYTES];
        struct op op[2] = {random_op(&p, arena[0]), random_op(&p, arena[1])};
        struct blob *source = ops_encode(op, 2);
        struct writer w = {0};
        struct ops back;
        char why[WHY_BYTES];
        for (size_t len = 0; len < source->len; len++)
            assert_int_equal(decode(bytes_of(source->data, len), &back, why), ASSENT_MALFORMED);
        writer_raw(&w, source->data, source->len);
        writer_u8(&w, 0);
        assert_int_equal(decode(writer_view(&w), &back, why), ASSENT_MALFORMED);
        assert_null(back.op);
        assert_null(back.source);
        writer_free(&w);
        blob_unref(source);
    }
}

static void flipped_bytes_never_crash(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 4);
    for (int round = 0; round < 40; round++) {
        uint8_t arena[2][RANDOM_ARENA_BYTES], results_arena[RANDOM_ARENA_BYTES];
        struct op op[2] = {random_op(&p, arena[0]), random_op(&p, arena[1])};
        struct result result = random_result(&p, results_arena);
        struct blob *blob[2] = {ops_encode(op, 2), results_encode(&result, 1)};
        for (size_t i = 0; i < blob[0]->len + blob[1]->len; i++) {
            bool second = i >= blob[0]->len;
            uint8_t *at = second ? &blob[1]->data[i - blob[0]->len] : &blob[0]->data[i];
            uint8_t was = *at;
            char why[WHY_BYTES];
            struct ops ops;
            struct results results;
            *at = (uint8_t)prng_u64(&p);
            ops_decode(blob[second], &ops, why, sizeof why);
            results_decode(blob[second], &results);
            ops_free(&ops);
            results_free(&results);
            *at = was;
        }
        blob_unref(blob[0]);
        blob_unref(blob[1]);
    }
}

static void keys_values_and_bounds_are_held_to_their_limits(void **state)
{
    (void)state;
    char why[WHY_BYTES];
    uint8_t *big = xcalloc(1, VALUE_BYTES_MAX + 1);
    struct bytes key = bytes_of_text("k");
    struct op op = {.kind = OP_PUT, .key = bytes_of(big, KEY_BYTES_MAX)};
    op.value = bytes_of(big, VALUE_BYTES_MAX);
    assert_int_equal(verdict(&op, why), ASSENT_OK);
    op.value.len++;
    assert_int_equal(verdict(&op, why), ASSENT_TOO_LARGE);
    assert_string_equal(why, "operation 1, value: too long");
    op = (struct op){.kind = OP_DELETE, .key = bytes_of(big, KEY_BYTES_MAX + 1)};
    assert_int_equal(verdict(&op, why), ASSENT_TOO_LARGE);
    op.key = bytes_of(NULL, 0);
    assert_int_equal(verdict(&op, why), ASSENT_MALFORMED);
    assert_string_equal(why, "operation 1, key: empty");
    op = (struct op){.kind = OP_READ_RANGE, .key = key, .end = key};
    assert_int_equal(verdict(&op, why), ASSENT_MALFORMED);
    op.end = bytes_of_text("ka");
    assert_int_equal(verdict(&op, why), ASSENT_OK);
    op.end = bytes_of(big, KEY_BYTES_MAX + 1);
    assert_int_equal(verdict(&op, why), ASSENT_TOO_LARGE);
    op = (struct op){.kind = OP_ADD, .key = key, .has_lower = true, .lower = 1, .has_upper = true};
    assert_int_equal(verdict(&op, why), ASSENT_MALFORMED);
    op.upper = 1;
    assert_int_equal(verdict(&op, why), ASSENT_OK);
    op.has_upper = false;
    op.upper = 0;
    assert_int_equal(verdict(&op, why), ASSENT_OK);
    free(big);
}

static void results_are_held_to_their_limits(void **state)
{
    (void)state;
    uint8_t *big = xcalloc(1, VALUE_BYTES_MAX + 1);
    struct result result[2] = {{.key = bytes_of(NULL, 0)}};
    struct results back;
    struct blob *blob = results_encode(result, 1);
    assert_int_equal(results_decode(blob, &back), ASSENT_MALFORMED);
    blob_unref(blob);
    result[0].key = bytes_of_text("k");
    result[0].op = OPS_MAX;
    blob = results_encode(result, 1);
    assert_int_equal(results_decode(blob, &back), ASSENT_MALFORMED);
    blob_unref(blob);
    result[0].op = 0;
    result[0].value = bytes_of(big, VALUE_BYTES_MAX + 1);
    blob = results_encode(result, 1);
    assert_int_equal(results_decode(blob, &back), ASSENT_TOO_LARGE);
    blob_unref(blob);
    result[0].value.len = VALUE_BYTES_MAX;
    result[1] = result[0];
    assert_null(results_encode(result, 2));
    free(big);
}

static void too_many_operations_or_bytes_are_refused_by_both_sides(void **state)
{
    (void)state;
    struct op *op = xcalloc(OPS_MAX + 1, sizeof *op);
    uint8_t *big = xcalloc(1, VALUE_BYTES_MAX);
    struct ops back;
    char why[WHY_BYTES];
    for (uint32_t i = 0; i <= OPS_MAX; i++)
        op[i] = (struct op){.kind = OP_CHECK_VERSION,
                            .key = bytes_of_text("k"),
                            .version = {1, txid_make(1, 0, 1), 1}};
    struct blob *most = ops_encode(op, OPS_MAX);
    assert_int_equal(decode(blob_bytes(most), &back, why), ASSENT_OK);
    ops_free(&back);
    assert_null(ops_encode(op, OPS_MAX + 1));
    for (uint32_t i = 0; i < 4; i++)
        op[i] = (struct op){
            .kind = OP_PUT, .key = bytes_of_text("k"), .value = bytes_of(big, VALUE_BYTES_MAX)};
    assert_null(ops_encode(op, 4));

    struct writer w = {0};
    writer_raw(&w, "\xdc\x10\x01", 3); /* an array of OPS_MAX + 1 */
    for (uint32_t i = 0; i <= OPS_MAX; i++)
        writer_raw(&w, "\x92\x01\xc4\x01k", 5);
    assert_int_equal(decode(writer_view(&w), &back, why), ASSENT_TOO_LARGE);
    writer_free(&w);
    blob_unref(most);
    free(big);
    free(op);
}

/* Each value in it is within its own limit. */
static void blobs_over_their_limit_are_refused_whole(void **state)
{
    (void)state;
    struct writer ops = {0}, results = {0};
    struct ops back;
    struct results results_back;
    char why[WHY_BYTES];
    uint8_t *big = xcalloc(1, VALUE_BYTES_MAX);
    writer_u8(&ops, 0x94);
    writer_u8(&results, 0x92);
    for (int i = 0; i < 4; i++) {
        writer_raw(&ops, "\x93\x14\xc4\x01k\xc6\x00\x10\x00\x00", 10);
        writer_raw(&ops, big, VALUE_BYTES_MAX);
    }
    for (int i = 0; i < 2; i++) {
        writer_raw(&results, "\x96\x01\xc3\xc2\xc4\x01k\xc6\x00\x10\x00\x00", 12);
        writer_raw(&results, big, VALUE_BYTES_MAX);
        writer_u8(&results, 0xc0);
    }
    assert_int_equal(decode(writer_view(&ops), &back, why), ASSENT_TOO_LARGE);
    struct blob *blob = blob_new(writer_view(&results));
    assert_int_equal(results_decode(blob, &results_back), ASSENT_TOO_LARGE);
    blob_unref(blob);
    writer_free(&ops);
    writer_free(&results);
    free(big);
}

static void wrong_shapes_of_operations_are_malformed(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "",                                                          /* nothing */
        "\x01",                                                      /* not an array */
        "\x91\x01",                                                  /* not an array of arrays */
        "\x91\x91\x01",                                              /* no key */
        "\x91\x93\x01\xc4\x01k\x01",                                 /* a field too many */
        "\x91\x92\x14\xc4\x01k",                                     /* PUT without value */
        "\x91\x92\x09\xc4\x01k",                                     /* no such kind */
        "\x91\x92\xff\xc4\x01k",                                     /* a negative kind */
        "\x91\x92\x01\xa1k",                                         /* a text for a key */
        "\x91\x93\x05\xc4\x01k\xcf\xff\xff\xff\xff\xff\xff\xff\xff", /* over 63 bits */
        "\x91\x96\x16\xc4\x01k\x01\xc0\xc0\x01",                     /* returns_value no boolean */
        "\x91\x93\x04\xc4\x01k\x93\x01\xc4\x01x\x01",                /* txid of one byte */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct ops back;
        char why[WHY_BYTES];
        assert_int_equal(decode(bytes_of_text(shapes[i]), &back, why), ASSENT_MALFORMED);
        assert_true(strlen(why) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_operation_survives_the_trip),
        cmocka_unit_test(results_survive_the_trip),
        cmocka_unit_test(the_smallest_result_decodes_however_many_there_are),
        cmocka_unit_test(operations_cut_short_or_with_bytes_after_them_are_malformed),
        cmocka_unit_test(flipped_bytes_never_crash),
        cmocka_unit_test(keys_values_and_bounds_are_held_to_their_limits),
        cmocka_unit_test(results_are_held_to_their_limits),
        cmocka_unit_test(too_many_operations_or_bytes_are_refused_by_both_sides),
        cmocka_unit_test(blobs_over_their_limit_are_refused_whole),
        cmocka_unit_test(wrong_shapes_of_operations_are_malformed),
    };
    return cmocka_run_group_tests_name("ops_codec", tests, NULL, NULL);
}
