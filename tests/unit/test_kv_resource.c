/* participant/kv_resource: what a claim is refused for, in which words, and what it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "participant/kv_resource.h"
#include "wire/ops_codec.h"
#include "wire/text.h"

#define SELF           1
#define OTHER          2
#define PLACEMENT_HASH 0x1122334455667788u

/* ---- a policy: client "all" may everything, "reader" reads, "writer" writes ---- */

static bool may(const char *client, bool write)
{
    return strcmp(client, "all") == 0 || strcmp(client, write ? "writer" : "reader") == 0;
}

static bool fake_granted(void *arg, const char *client, struct bytes key, bool write)
{
    (void)arg;
    (void)key;
    return may(client, write);
}

static bool fake_granted_range(void *arg, const char *client, struct bytes key, struct bytes end)
{
    (void)arg;
    (void)key;
    (void)end;
    return may(client, false);
}

/* "nowhere..." is not placed, "other..." at the other node, "both..." at both, the rest here. */
static int fake_replicas(void *arg, struct bytes key, node_id *out)
{
    (void)arg;
    if (bytes_has_prefix(key, bytes_of_text("nowhere")))
        return 0;
    out[0] = bytes_has_prefix(key, bytes_of_text("other")) ? OTHER : SELF;
    out[1] = OTHER;
    return bytes_has_prefix(key, bytes_of_text("both")) ? 2 : 1;
}

static int fake_replicas_range(void *arg, struct bytes key, struct bytes end, node_id *out)
{
    node_id last[REPLICAS_MAX];
    int n = fake_replicas(arg, key, out);
    return fake_replicas(arg, end, last) == n && last[0] == out[0] ? n : 0;
}

/* ---- claims ---- */

struct rig {
    struct kv_resource *kv;
    struct resource resource;
    struct msg_prepare prepare;
    struct refusal refusal;
};

static void rig_open(struct rig *r)
{
    struct kv_policy policy = {.self = SELF,
                               .placement_hash = PLACEMENT_HASH,
                               .granted = fake_granted,
                               .granted_range = fake_granted_range,
                               .replicas = fake_replicas,
                               .replicas_range = fake_replicas_range};
    *r = (struct rig){.kv = kv_resource_new(&policy)};
    r->resource = kv_resource_ops(r->kv);
    r->prepare.participants = (struct participants){.n = 2, .id = {SELF, OTHER}};
    r->prepare.placement_hash = PLACEMENT_HASH;
    r->prepare.ts = hlc_from_ms(1000);
    strcpy(r->prepare.client.text, "all");
}

static void rig_close(struct rig *r)
{
    assert_int_equal(kv_resource_locks_held(r->kv), 0);
    assert_int_equal(kv_resource_locks_waiting(r->kv), 0);
    kv_resource_free(r->kv);
}

static enum claim_state claim_blob(struct rig *r, uint64_t priority_ms, struct blob *ops,
                                   void *owner, struct claim **out)
{
    struct tx_head head = {.txid = txid_make(priority_ms, 0, 1)};
    r->prepare.priority_ms = priority_ms;
    r->prepare.ops = ops;
    r->refusal = (struct refusal){ASSENT_OK, NULL};
    return r->resource.claim(r->resource.arg, &head, &r->prepare, owner, out, &r->refusal);
}

static enum claim_state claim(struct rig *r, uint64_t priority_ms, const struct op *op, uint32_t n,
                              void *owner, struct claim **out)
{
    struct blob *ops = ops_encode(op, n);
    enum claim_state state = claim_blob(r, priority_ms, ops, owner, out);
    blob_unref(ops);
    return state;
}

static enum claim_state claim_read(struct rig *r, uint64_t clock_ms, const struct op *op,
                                   uint32_t n, void *owner, struct claim **out)
{
    struct client_name client;
    struct msg_read m = {.ts = hlc_from_ms(clock_ms), .ops = ops_encode(op, n)};
    memcpy(&client, &r->prepare.client, sizeof client);
    r->refusal = (struct refusal){ASSENT_OK, NULL};
    enum claim_state state =
        r->resource.claim_read(r->resource.arg, &client, &m, owner, out, &r->refusal);
    blob_unref(m.ops);
    return state;
}

static void release(struct rig *r, struct claim *c)
{
    r->resource.release(r->resource.arg, c);
}

static void *granted(struct rig *r)
{
    return r->resource.granted(r->resource.arg);
}

/* That the last claim was refused so, in a sentence for people with these words in it. */
static void assert_refusal(struct rig *r, assent_status status, const char *const words[])
{
    char text[DETAIL_BYTES_MAX + 1];
    assert_int_equal(r->refusal.status, status);
    assert_non_null(r->refusal.detail);
    struct bytes said = blob_bytes(r->refusal.detail);
    assert_in_range(said.len, 1, DETAIL_BYTES_MAX);
    assert_true(text_printable(said, false));
    snprintf(text, sizeof text, "%.*s", (int)said.len, (const char *)said.data);
    for (; *words != NULL; words++)
        if (strstr(text, *words) == NULL)
            fail_msg("no '%s' in: %s", *words, text);
    blob_unref(r->refusal.detail);
    r->refusal.detail = NULL;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(struct rig *r, struct op op, assent_status status,
                           const char *const words[])
{
    struct claim *c;
    assert_int_equal(claim(r, 100, &op, 1, r, &c), CLAIM_REFUSED);
    assert_null(c);
    assert_refusal(r, status, words);
}

static void assert_held(struct rig *r, struct op op)
{
    struct claim *c;
    assert_int_equal(claim(r, 100, &op, 1, r, &c), CLAIM_HELD);
    release(r, c);
}

static struct op key_op(enum op_kind kind, const char *key)
{
    return (struct op){.kind = kind, .key = bytes_of_text(key), .value = bytes_of_text("v")};
}

static struct op range_op(enum op_kind kind, const char *key, const char *end)
{
    return (struct op){.kind = kind, .key = bytes_of_text(key), .end = bytes_of_text(end)};
}

/* ---- what is refused ---- */

static void operations_that_cannot_be_read_are_refused_as_the_codec_says(void **state)
{
    (void)state;
    struct rig r;
    struct claim *c;
    rig_open(&r);
    struct blob *noise = blob_new(bytes_of_text("noise"));
    struct blob *large = xcalloc(1, sizeof *large + OPS_BYTES_MAX + 1);
    large->refs = 1;
    large->len = OPS_BYTES_MAX + 1;
    assert_int_equal(claim_blob(&r, 100, noise, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_MALFORMED, WORDS("operation"));
    assert_int_equal(claim_blob(&r, 100, NULL, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_MALFORMED, WORDS("operation"));
    assert_int_equal(claim_blob(&r, 100, large, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_TOO_LARGE, WORDS("longer"));
    assert_null(r.resource.restore(r.resource.arg, &(struct txid){{0}}, 1, noise, &r));
    blob_unref(large);
    blob_unref(noise);
    rig_close(&r);
}

static void another_placement_is_refused_and_both_hashes_named(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    r.prepare.placement_hash = 0xabcdef;
    assert_refused(&r, key_op(OP_PUT, "k"), ASSENT_WRONG_PLACEMENT,
                   WORDS("0000000000abcdef", "1122334455667788", "cluster file"));
    rig_close(&r);
}

static void a_client_needs_the_right_to_read_what_it_reads_or_checks(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    strcpy(r.prepare.client.text, "writer");
    assert_refused(&r, key_op(OP_READ_KEY, "k"), ASSENT_DENIED,
                   WORDS("'k'", "writer", "read", "grant"));
    assert_refused(&r, key_op(OP_CHECK_EXISTS, "k"), ASSENT_DENIED, WORDS("'k'", "read"));
    assert_refused(&r, range_op(OP_READ_RANGE, "k", "l"), ASSENT_DENIED,
                   WORDS("range 'k' to 'l'", "read"));
    assert_refused(&r, range_op(OP_CHECK_RANGE, "k", ""), ASSENT_DENIED,
                   WORDS("range 'k' to the end"));
    assert_held(&r, key_op(OP_PUT, "k"));
    assert_held(&r, key_op(OP_ADD, "k"));
    struct op returning = key_op(OP_ADD, "k");
    returning.returns_value = true;
    assert_refused(&r, returning, ASSENT_DENIED, WORDS("'k'", "read"));
    rig_close(&r);
}

static void a_client_needs_the_right_to_write_what_it_writes(void **state)
{
    static const enum op_kind writes[] = {OP_PUT, OP_DELETE, OP_ADD};
    (void)state;
    struct rig r;
    rig_open(&r);
    strcpy(r.prepare.client.text, "reader");
    for (int i = 0; i < 3; i++)
        assert_refused(&r, key_op(writes[i], "k"), ASSENT_DENIED,
                       WORDS("'k'", "reader", "write", "grant"));
    assert_held(&r, key_op(OP_READ_KEY, "k"));
    assert_held(&r, range_op(OP_CHECK_RANGE, "k", "l"));
    rig_close(&r);
}

static void what_is_placed_elsewhere_is_refused(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    assert_refused(&r, key_op(OP_READ_KEY, "other1"), ASSENT_WRONG_PLACEMENT,
                   WORDS("'other1'", "node 2"));
    assert_refused(&r, key_op(OP_PUT, "other1"), ASSENT_WRONG_PLACEMENT, WORDS("'other1'"));
    assert_refused(&r, key_op(OP_PUT, "nowhere1"), ASSENT_WRONG_PLACEMENT,
                   WORDS("'nowhere1'", "cluster file"));
    assert_refused(&r, range_op(OP_READ_RANGE, "k", "other"), ASSENT_WRONG_PLACEMENT,
                   WORDS("range 'k' to 'other'", "placed alike"));
    assert_refused(&r, range_op(OP_CHECK_RANGE, "other1", "other2"), ASSENT_WRONG_PLACEMENT,
                   WORDS("range 'other1' to 'other2'", "node 2"));
    rig_close(&r);
}

static void a_write_must_go_to_all_replicas_a_read_need_not(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    assert_held(&r, key_op(OP_PUT, "both1"));
    r.prepare.participants = (struct participants){.n = 1, .id = {SELF}};
    assert_refused(&r, key_op(OP_PUT, "both1"), ASSENT_WRONG_PLACEMENT,
                   WORDS("'both1'", "node 2", "replicas"));
    assert_refused(&r, key_op(OP_ADD, "both1"), ASSENT_WRONG_PLACEMENT, WORDS("'both1'"));
    assert_held(&r, key_op(OP_READ_KEY, "both1"));
    assert_held(&r, key_op(OP_CHECK_EXISTS, "both1"));
    rig_close(&r);
}

static void one_bad_operation_among_many_refuses_all(void **state)
{
    (void)state;
    struct rig r;
    struct claim *c;
    rig_open(&r);
    struct op ops[] = {key_op(OP_PUT, "a"), key_op(OP_PUT, "b"), key_op(OP_PUT, "nowhere")};
    assert_int_equal(claim(&r, 100, ops, 3, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_WRONG_PLACEMENT, WORDS("'nowhere'"));
    rig_close(&r);
}

static void a_key_in_a_refusal_is_escaped_and_cut(void **state)
{
    (void)state;
    struct rig r;
    char key[KEY_BYTES_MAX], shown[64];
    rig_open(&r);
    strcpy(r.prepare.client.text, "nobody");
    memset(key, 'x', sizeof key);
    memcpy(key, "\x1b[31m\n", 6);
    struct op op = {.kind = OP_READ_RANGE, .key = bytes_of(key, sizeof key)};
    snprintf(shown, sizeof shown, "'\\x1b[31m\\x0axxx");
    assert_refused(&r, op, ASSENT_DENIED, WORDS(shown, "x'...", "to the end"));
    rig_close(&r);
}

static void a_younger_transaction_is_refused_with_the_key_in_conflict(void **state)
{
    (void)state;
    struct rig r;
    struct claim *c;
    rig_open(&r);
    struct op ops[] = {key_op(OP_PUT, "a"), key_op(OP_PUT, "b")};
    assert_int_equal(claim(&r, 50, ops, 2, &r, &c), CLAIM_HELD);
    assert_refused(&r, key_op(OP_READ_KEY, "b"), ASSENT_CONFLICT, WORDS("'b'", "priority"));
    assert_refused(&r, range_op(OP_READ_RANGE, "aa", "z"), ASSENT_CONFLICT, WORDS("'b'"));
    release(&r, c);
    rig_close(&r);
}

/* ---- what is granted ---- */

static void an_older_transaction_is_granted_when_the_younger_is_done(void **state)
{
    (void)state;
    struct rig r;
    struct claim *young, *old;
    int young_owner, old_owner;
    rig_open(&r);
    struct op op = key_op(OP_PUT, "k");
    assert_int_equal(claim(&r, 50, &op, 1, &young_owner, &young), CLAIM_HELD);
    assert_int_equal(claim(&r, 40, &op, 1, &old_owner, &old), CLAIM_WAITING);
    assert_int_equal(kv_resource_locks_held(r.kv), 1);
    assert_int_equal(kv_resource_locks_waiting(r.kv), 1);
    assert_null(granted(&r));
    release(&r, young);
    assert_ptr_equal(granted(&r), &old_owner);
    assert_null(granted(&r));
    assert_int_equal(kv_resource_locks_held(r.kv), 1);
    release(&r, old);
    rig_close(&r);
}

static void adds_of_many_transactions_hold_one_key_together(void **state)
{
    (void)state;
    struct rig r;
    struct claim *one, *two;
    rig_open(&r);
    struct op op = key_op(OP_ADD, "counter");
    assert_int_equal(claim(&r, 50, &op, 1, &r, &one), CLAIM_HELD);
    assert_int_equal(claim(&r, 60, &op, 1, &r, &two), CLAIM_HELD);
    struct op checked[] = {op, key_op(OP_CHECK_EXISTS, "counter")};
    struct claim *c;
    assert_int_equal(claim(&r, 70, checked, 2, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_CONFLICT, WORDS("'counter'"));
    release(&r, one);
    release(&r, two);
    rig_close(&r);
}

static void the_claim_outlives_the_message_that_it_came_with(void **state)
{
    (void)state;
    struct rig r;
    struct claim *holder, *waiter;
    char *key = xstrdup("key of the message");
    rig_open(&r);
    struct op op = key_op(OP_PUT, key);
    assert_int_equal(claim(&r, 50, &op, 1, &r, &holder), CLAIM_HELD);
    assert_int_equal(claim(&r, 40, &op, 1, &waiter, &waiter), CLAIM_WAITING);
    free(key);
    release(&r, holder);
    assert_ptr_equal(granted(&r), &waiter);
    assert_refused(&r, key_op(OP_READ_KEY, "key of the message"), ASSENT_CONFLICT,
                   WORDS("'key of"));
    release(&r, waiter);
    rig_close(&r);
}

/* ---- reads ---- */

static void a_read_may_only_read(void **state)
{
    static const enum op_kind others[] = {OP_CHECK_EXISTS, OP_PUT, OP_DELETE, OP_ADD};
    (void)state;
    struct rig r;
    struct claim *c;
    rig_open(&r);
    for (int i = 0; i < 4; i++) {
        struct op ops[] = {key_op(OP_READ_KEY, "a"), key_op(others[i], "k")};
        assert_int_equal(claim_read(&r, 1000, ops, 2, &r, &c), CLAIM_REFUSED);
        assert_refusal(&r, ASSENT_MALFORMED, WORDS("'k'", "read"));
    }
    struct op check = range_op(OP_CHECK_RANGE, "k", "l");
    assert_int_equal(claim_read(&r, 1000, &check, 1, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_MALFORMED, WORDS("range 'k' to 'l'"));
    struct op reads[] = {key_op(OP_READ_KEY, "both1"), range_op(OP_READ_RANGE, "k", "l")};
    assert_int_equal(claim_read(&r, 1000, reads, 2, &r, &c), CLAIM_HELD);
    release(&r, c);
    rig_close(&r);
}

static void a_read_is_asked_for_its_grant_and_placement_too(void **state)
{
    (void)state;
    struct rig r;
    struct claim *c;
    rig_open(&r);
    struct op other = key_op(OP_READ_KEY, "other1"), own = key_op(OP_READ_KEY, "k");
    assert_int_equal(claim_read(&r, 1000, &other, 1, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_WRONG_PLACEMENT, WORDS("'other1'"));
    strcpy(r.prepare.client.text, "writer");
    assert_int_equal(claim_read(&r, 1000, &own, 1, &r, &c), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_DENIED, WORDS("'k'", "writer"));
    rig_close(&r);
}

static void a_read_waits_for_a_writer_and_keeps_later_ones_out(void **state)
{
    (void)state;
    struct rig r;
    struct claim *writer, *reader;
    int reader_owner;
    rig_open(&r);
    struct op put = key_op(OP_PUT, "k"), read = key_op(OP_READ_KEY, "k");
    assert_int_equal(claim(&r, 900, &put, 1, &r, &writer), CLAIM_HELD);
    assert_int_equal(claim_read(&r, 1000, &read, 1, &reader_owner, &reader), CLAIM_WAITING);
    struct claim *late;
    assert_int_equal(claim(&r, 1001, &put, 1, &r, &late), CLAIM_REFUSED);
    assert_refusal(&r, ASSENT_CONFLICT, WORDS("'k'"));
    release(&r, writer);
    assert_ptr_equal(granted(&r), &reader_owner);
    release(&r, reader);
    rig_close(&r);
}

/* Its clock says 0, but it came after a transaction with 1000: a writer of 990 is the older. */
static void a_read_is_not_older_than_its_arrival(void **state)
{
    (void)state;
    struct rig r;
    struct claim *holder, *reader, *writer;
    int reader_owner;
    rig_open(&r);
    struct op held = key_op(OP_PUT, "k"), free_key = key_op(OP_PUT, "j");
    struct op reads[] = {key_op(OP_READ_KEY, "j"), key_op(OP_READ_KEY, "k")};
    assert_int_equal(claim(&r, 900, &held, 1, &r, &holder), CLAIM_HELD);
    assert_int_equal(claim_read(&r, 0, reads, 2, &reader_owner, &reader), CLAIM_WAITING);
    assert_int_equal(claim(&r, 990, &free_key, 1, &r, &writer), CLAIM_HELD);
    release(&r, writer);
    assert_null(granted(&r));
    release(&r, holder);
    assert_ptr_equal(granted(&r), &reader_owner);
    release(&r, reader);
    rig_close(&r);
}

/* ---- restart ---- */

static void a_restored_transaction_holds_its_locks_unasked(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    struct txid txid = txid_make(50, 0, 7);
    struct op ops[] = {key_op(OP_PUT, "other1"), key_op(OP_READ_KEY, "k")};
    struct blob *encoded = ops_encode(ops, 2);
    struct claim *c = r.resource.restore(r.resource.arg, &txid, 50, encoded, &r);
    blob_unref(encoded);
    assert_non_null(c);
    assert_int_equal(kv_resource_locks_held(r.kv), 1);
    assert_refused(&r, key_op(OP_PUT, "k"), ASSENT_CONFLICT, WORDS("'k'"));
    assert_held(&r, key_op(OP_READ_KEY, "k"));
    release(&r, c);
    assert_held(&r, key_op(OP_PUT, "k"));
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_that_cannot_be_read_are_refused_as_the_codec_says),
        cmocka_unit_test(another_placement_is_refused_and_both_hashes_named),
        cmocka_unit_test(a_client_needs_the_right_to_read_what_it_reads_or_checks),
        cmocka_unit_test(a_client_needs_the_right_to_write_what_it_writes),
        cmocka_unit_test(what_is_placed_elsewhere_is_refused),
        cmocka_unit_test(a_write_must_go_to_all_replicas_a_read_need_not),
        cmocka_unit_test(one_bad_operation_among_many_refuses_all),
        cmocka_unit_test(a_key_in_a_refusal_is_escaped_and_cut),
        cmocka_unit_test(a_younger_transaction_is_refused_with_the_key_in_conflict),
        cmocka_unit_test(an_older_transaction_is_granted_when_the_younger_is_done),
        cmocka_unit_test(adds_of_many_transactions_hold_one_key_together),
        cmocka_unit_test(the_claim_outlives_the_message_that_it_came_with),
        cmocka_unit_test(a_read_may_only_read),
        cmocka_unit_test(a_read_is_asked_for_its_grant_and_placement_too),
        cmocka_unit_test(a_read_waits_for_a_writer_and_keeps_later_ones_out),
        cmocka_unit_test(a_read_is_not_older_than_its_arrival),
        cmocka_unit_test(a_restored_transaction_holds_its_locks_unasked),
    };
    return cmocka_run_group_tests_name("kv_resource", tests, NULL, NULL);
}
