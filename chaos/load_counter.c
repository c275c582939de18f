/* Adds to a few hot keys; with one copy in every datacenter, where they may be, so that every add
 * crosses. */
#include "chaos/load_work.h"

#include "chaos/check_counter.h"

static struct load_key counter_key(const struct load *l, int64_t number)
{
    if (l->everywhere)
        return load_key_everywhere(l, "counter", number);
    return load_key_at(l, (int)number, "counter", number);
}

static void note_value(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    assent_entry e;
    (void)arg;
    load_must(assent_txn_entry(t, 0, &e));
    int64_t value = load_entry_value(&e, 0);
    load_found(c, op, 0, &value, 1);
}

static assent_status read_counter(struct load_client *c, int64_t number)
{
    const struct micro m = {.kind = MICRO_READ, .key = number};
    struct load_key key = counter_key(c->load, number);
    assent_txn *t = assent_txn_new(c->db);
    load_must(assent_read(t, key.text, key.len));
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, note_value, NULL);
}

static assent_status read_strongly(struct load_client *c, int64_t number, int datacenter)
{
    struct load_key key = counter_key(c->load, number);
    int64_t value;
    uint32_t op;
    return load_strong_number(c, c->load->everywhere ? datacenter : -1, &key, number, 0, &value,
                              &op);
}

static assent_status add(struct load_client *c, int64_t number)
{
    int64_t delta = 1 + (int64_t)load_below(c, 5);
    const struct micro m = {
        .kind = MICRO_ADD, .key = number, .value = load_one_in(c, 4) ? -delta : delta};
    struct load_key key = counter_key(c->load, number);
    assent_txn *t = assent_txn_new(c->db);
    load_must(assent_add(t, key.text, key.len, m.value, NULL));
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

static assent_status counter_step(struct load_client *c)
{
    int datacenters = c->load->all->site->scenario->datacenters;
    int64_t number = (int64_t)load_below(c, (uint64_t)c->load->keys);
    uint64_t what = load_below(c, 100);
    if (what < 70)
        return add(c, number);
    if (what < 85)
        return read_counter(c, number);
    return read_strongly(c, number, (int)load_below(c, (uint64_t)datacenters));
}

static uint32_t counter_finals(const struct load *l)
{
    return (uint32_t)l->keys;
}

static assent_status counter_final(struct load_client *c, uint32_t i)
{
    const struct load *l = c->load;
    if (l->everywhere ? !load_everywhere_lives(l) : !load_place_lives(l, (int)i))
        return ASSENT_OK;
    return load_turn(c, i) ? read_counter(c, i) : read_strongly(c, i, c->datacenter);
}

static enum verdict check_sum(const struct load *l, struct finding *out)
{
    return check_counter(l->history, out);
}

static const struct load_check counter_checks[] = {
    {"sum", "a counter is the sum of its adds, in every datacenter", check_sum, PLANT_READ},
    {"timestamps", "commit timestamps explain every sum", load_check_timestamps, PLANT_TIMESTAMP},
    {0},
};

const struct load_work load_counter = {.history = WORKLOAD_COUNTER,
                                       .step = counter_step,
                                       .finals = counter_finals,
                                       .final = counter_final,
                                       .checks = counter_checks};
