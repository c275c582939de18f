/* A set that only grows. An element is a key; two of three are at two places, so that their commits
 * cross, the others at one. */
#include "chaos/load_work.h"

#include <stdlib.h>

#include "chaos/check_set.h"

#define ELEMENTS_MAX  40000 /* what one read can find */
#define READ_ONE_IN   8
#define READ_SELDOMER 200 /* for each so many elements */

static bool at_two_places(const struct load *l, int64_t value)
{
    return l->places > 1 && value % 3 != 0;
}

static assent_status add(struct load_client *c)
{
    struct load *l = c->load;
    const struct micro m = {.kind = MICRO_ADD, .value = load_value(l)};
    assent_txn *t = assent_txn_new(c->db);
    struct load_key key = load_key_at(l, (int)(m.value % l->places), "set", m.value);
    load_put_number(t, &key, 1);
    if (at_two_places(l, m.value)) {
        key = load_key_at(l, (int)((m.value + 1) % l->places), "set", m.value);
        load_put_number(t, &key, 1);
    }
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

/* An element that is at one of its two places only is given as its negative, which nobody added. */
static void note_set(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    struct load *l = c->load;
    uint32_t n = 0, values = (uint32_t)atomic_load(&l->next_value);
    uint8_t *times = xcalloc((size_t)values + 1, 1);
    bool whole = true;
    (void)arg;
    for (size_t i = 0; i < assent_txn_entries(t); i++) {
        assent_entry e;
        load_must(assent_txn_entry(t, i, &e));
        int64_t value = load_entry_number(&e);
        whole = whole && !e.truncated;
        if (e.found && value < values)
            times[value]++;
        else if (e.found)
            c->numbers[n++] = value;
    }
    for (uint32_t i = 0; i < values && n < LOAD_NUMBERS_MAX; i++)
        if (times[i] > 0)
            c->numbers[n++] = times[i] == (at_two_places(l, i) ? 2 : 1) ? (int64_t)i : -(int64_t)i;
    free(times);
    if (whole)
        load_found(c, op, 0, c->numbers, n);
}

static assent_status read_set(struct load_client *c)
{
    const struct micro m = {.kind = MICRO_READ};
    assent_txn *t = assent_txn_new(c->db);
    for (int i = 0; i < c->load->places; i++) {
        struct load_key from, end;
        load_range_at(c->load, i, "set", &from, &end);
        load_must(assent_read_range(t, from.text, from.len, end.text, end.len, 0));
    }
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, note_set, NULL);
}

static assent_status set_step(struct load_client *c)
{
    uint64_t elements = (uint64_t)atomic_load(&c->load->next_value);
    if (load_one_in(c, READ_ONE_IN + elements / READ_SELDOMER))
        return read_set(c);
    return elements < ELEMENTS_MAX ? add(c) : ASSENT_OK;
}

static uint32_t set_finals(const struct load *l)
{
    (void)l;
    return 1;
}

static assent_status set_final(struct load_client *c, uint32_t i)
{
    (void)i;
    return load_lives(c->load) ? read_set(c) : ASSENT_OK;
}

static enum verdict check_complete(const struct load *l, struct finding *out)
{
    return check_set(l->history, out);
}

static const struct load_check set_checks[] = {
    {"complete", "no acknowledged element is lost, no aborted one is seen", check_complete,
     PLANT_READ},
    {"timestamps", "commit timestamps explain every element", load_check_timestamps,
     PLANT_TIMESTAMP},
    {0},
};

const struct load_work load_set = {.history = WORKLOAD_SET,
                                   .step = set_step,
                                   .finals = set_finals,
                                   .final = set_final,
                                   .checks = set_checks};
