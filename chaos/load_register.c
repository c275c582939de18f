/* Reads, writes and compare-and-set of single keys. Every value is written once, so a read tells
 * which write it saw. */
#include "chaos/load_work.h"

#include "chaos/check_register.h"

#define VALUES_PER_KEY 150 /* about; then the slot gets a new key */

static int64_t some_number(struct load_client *c)
{
    struct load *l = c->load;
    int64_t number = load_number(l, (int)load_below(c, (uint64_t)l->keys));
    if (load_one_in(c, VALUES_PER_KEY))
        load_next_generation(l, number);
    return number;
}

static void note_value(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    assent_entry e;
    (void)arg;
    load_must(assent_txn_entry(t, 0, &e));
    int64_t value = load_entry_value(&e, HISTORY_NIL);
    load_found(c, op, 0, &value, 1);
}

static assent_status read_number(struct load_client *c, int64_t number)
{
    const struct micro m = {.kind = MICRO_READ, .key = number};
    struct load_key key = load_slot_key(c->load, "register", number);
    assent_txn *t = assent_txn_new(c->db);
    load_must(assent_read(t, key.text, key.len));
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, note_value, NULL);
}

static assent_status write_number(struct load_client *c, int64_t number)
{
    const struct micro m = {.kind = MICRO_WRITE, .key = number, .value = load_value(c->load)};
    struct load_key key = load_slot_key(c->load, "register", number);
    assent_txn *t = assent_txn_new(c->db);
    load_put_number(t, &key, m.value);
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

static assent_status read_strongly(struct load_client *c, int64_t number, int64_t *value)
{
    struct load_key key = load_slot_key(c->load, "register", number);
    int datacenters = c->load->all->site->scenario->datacenters, at = -1;
    uint32_t op;
    if (load_slot_everywhere(c->load, number))
        at = (int)load_below(c, (uint64_t)datacenters);
    return load_strong_number(c, at, &key, number, HISTORY_NIL, value, &op);
}

static assent_status compare_and_set(struct load_client *c, int64_t number)
{
    struct micro m = {.kind = MICRO_CAS, .key = number};
    struct load_key key = load_slot_key(c->load, "register", number);
    assent_status status = read_strongly(c, number, &m.other);
    if (status != ASSENT_OK)
        return status;
    m.value = load_value(c->load);
    assent_txn *t = assent_txn_new(c->db);
    load_check_number(t, &key, m.other);
    load_put_number(t, &key, m.value);
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

static assent_status register_step(struct load_client *c)
{
    int64_t number = some_number(c), value;
    uint64_t what = load_below(c, 100);
    if (what < 25)
        return read_strongly(c, number, &value);
    if (what < 40)
        return read_number(c, number);
    if (what < 65)
        return write_number(c, number);
    return compare_and_set(c, number);
}

static uint32_t register_finals(const struct load *l)
{
    return load_numbers(l);
}

static assent_status register_final(struct load_client *c, uint32_t i)
{
    const struct load *l = c->load;
    bool newest, everywhere, own = load_turn(c, i);
    int64_t number = load_number_nth(l, i, &newest), value;
    struct load_key key = load_slot_key(l, "register", number);
    uint32_t op;
    everywhere = load_slot_everywhere(l, number);
    if (everywhere ? !load_everywhere_lives(l) : !load_place_lives(l, (int)(number % l->keys)))
        return ASSENT_OK;
    if (own)
        return read_number(c, number);
    if (!newest)
        return ASSENT_OK;
    return load_strong_number(c, everywhere ? c->datacenter : -1, &key, number, HISTORY_NIL, &value,
                              &op);
}

enum verdict load_check_register(const struct load *l, struct finding *out)
{
    return check_register(l->history, out);
}

static const struct load_check register_checks[] = {
    {"linearizable", "registers are linearizable", load_check_register, PLANT_READ},
    {"timestamps", "commit timestamps explain every value", load_check_timestamps, PLANT_TIMESTAMP},
    {"fresh", "no read is stale, in any datacenter", load_check_fresh, PLANT_READ},
    {0},
};

const struct load_work load_register = {.history = WORKLOAD_REGISTER,
                                        .step = register_step,
                                        .finals = register_finals,
                                        .final = register_final,
                                        .checks = register_checks};
