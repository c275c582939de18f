/* runtime/store_pending: rows by number, from either end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/store_pending.h"

static void add(struct store_pending *p, uint64_t seq)
{
    struct blob *body = seq % 3 == 0 ? NULL : blob_new(bytes_of(&seq, sizeof seq));
    struct store_row row = {.seq = seq, .ts = 10 * seq, .has_body = body != NULL};
    store_pending_add(p, &row, body);
    blob_unref(body);
}

static void assert_holds(const struct store_pending *p, uint64_t first, uint64_t last)
{
    assert_int_equal(p->n, last + 1 - first);
    for (uint64_t seq = first; seq <= last; seq++) {
        const struct store_pending_row *r = store_pending_row(p, seq);
        assert_int_equal(r->row.seq, seq);
        assert_int_equal(r->row.ts, 10 * seq);
        assert_int_equal(r->row.body.len, seq % 3 == 0 ? 0 : sizeof seq);
        assert_true(r->row.body.len == 0 || memcmp(r->row.body.data, &seq, sizeof seq) == 0);
        assert_true((r->body == NULL) == (seq % 3 == 0));
    }
}

static void rows_leave_at_the_front_and_are_undone_at_the_end(void **state)
{
    struct store_pending p = {0};
    (void)state;
    for (uint64_t seq = 8; seq <= 20; seq++)
        add(&p, seq);
    store_pending_drop_to(&p, 7);
    assert_holds(&p, 8, 20);
    store_pending_drop_to(&p, 11);
    store_pending_undo(&p, 15);
    assert_holds(&p, 12, 15);
    add(&p, 16);
    assert_holds(&p, 12, 16);
    store_pending_undo(&p, 0);
    assert_int_equal(p.n, 0);
    add(&p, 900); /* any number may be the first */
    assert_holds(&p, 900, 900);
    store_pending_drop_to(&p, UINT64_MAX);
    assert_int_equal(p.n, 0);
    store_pending_free(&p);
}

static void the_ring_grows_and_goes_round(void **state)
{
    struct store_pending p = {0};
    uint64_t first = 1, last = 0;
    (void)state;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 40; i++)
            add(&p, ++last);
        first += 31;
        store_pending_drop_to(&p, first - 1);
        assert_holds(&p, first, last);
    }
    assert_true(p.cap >= 450 && p.cap <= 1024);
    store_pending_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_leave_at_the_front_and_are_undone_at_the_end),
        cmocka_unit_test(the_ring_grows_and_goes_round),
    };
    return cmocka_run_group_tests_name("store_pending", tests, NULL, NULL);
}
