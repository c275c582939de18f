/* Replicated routes: a tenant, its service and the endpoint that leads there, written, changed and
 * removed together in one transaction, each in every datacenter where keys may be. Whoever finds an
 * endpoint must find the service and the tenant behind it.
 *
 * In the history the three are one register, whose value is the version that all of them carry;
 * every change names the version that it replaces. So a strong read of any of the three, in any
 * datacenter, is a read of that register. */
#include "chaos/load_work.h"

#include <stdlib.h>
#include <string.h>

enum part { PART_ENDPOINT, PART_SERVICE, PART_TENANT, PARTS };

/* In the order in which a router follows them. */
static const char *const part_name[PARTS] = {"endpoint", "service", "tenant"};

static struct load_key part_key(const struct load *l, int part, int64_t number)
{
    if (l->everywhere)
        return load_key_everywhere(l, part_name[part], number);
    return load_key_at(l, (int)number + part, part_name[part], number);
}

static bool can_read(const struct load *l, int64_t number)
{
    if (l->everywhere)
        return load_everywhere_lives(l);
    for (int part = 0; part < PARTS; part++)
        if (!load_place_lives(l, (int)number + part))
            return false;
    return true;
}

/* ---- writing ---- */

static assent_status change(struct load_client *c, int64_t number)
{
    struct load *l = c->load;
    struct micro m = {.kind = MICRO_CAS, .key = number};
    struct load_key key = part_key(l, PART_TENANT, number);
    uint32_t op;
    assent_status status = load_strong_number(c, -1, &key, number, HISTORY_NIL, &m.other, &op);
    if (status != ASSENT_OK)
        return status;
    m.value = m.other != HISTORY_NIL && load_one_in(c, 3) ? HISTORY_NIL : load_value(l);
    assent_txn *t = assent_txn_new(c->db);
    for (int part = 0; part < PARTS; part++) {
        key = part_key(l, part, number);
        load_check_number(t, &key, m.other);
        if (m.value == HISTORY_NIL)
            load_must(assent_del(t, key.text, key.len));
        else
            load_put_number(t, &key, m.value);
    }
    op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

/* ---- reading ---- */

static void note_parts(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    const int64_t *number = arg;
    int64_t seen[PARTS] = {HISTORY_NIL, HISTORY_NIL, HISTORY_NIL};
    for (size_t i = 0; i < assent_txn_entries(t); i++) {
        assent_entry e;
        load_must(assent_txn_entry(t, i, &e));
        for (int part = 0; part < PARTS; part++) {
            struct load_key key = part_key(c->load, part, *number);
            if (e.key_len == key.len && memcmp(e.key, key.text, key.len) == 0)
                seen[part] = load_entry_value(&e, HISTORY_NIL);
        }
    }
    load_found(c, op, 0, seen, 1);
    for (int part = 1; part < PARTS; part++)
        load_look(c->load,
                  &(struct parts_look){{op, op}, {part - 1, part}, {seen[part - 1], seen[part]}});
}

static assent_status read_by_transaction(struct load_client *c, int64_t number)
{
    const struct micro m = {.kind = MICRO_READ, .key = number};
    assent_txn *t = assent_txn_new(c->db);
    for (int part = 0; part < PARTS; part++) {
        struct load_key key = part_key(c->load, part, number);
        load_must(assent_read(t, key.text, key.len));
    }
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, note_parts, &number);
}

/* One after the other, in the reader's datacenter, as a router would. */
static assent_status follow(struct load_client *c, int64_t number)
{
    int at = c->load->everywhere ? c->datacenter : -1;
    struct parts_look look = {0};
    for (int part = 0; part < PARTS; part++) {
        struct load_key key = part_key(c->load, part, number);
        int64_t seen;
        uint32_t op;
        assent_status status = load_strong_number(c, at, &key, number, HISTORY_NIL, &seen, &op);
        if (status != ASSENT_OK)
            return status;
        look.op[0] = look.op[1];
        look.part[0] = look.part[1];
        look.seen[0] = look.seen[1];
        look.op[1] = op;
        look.part[1] = part;
        look.seen[1] = seen;
        if (part > 0)
            load_look(c->load, &look);
    }
    return ASSENT_OK;
}

static assent_status routes_step(struct load_client *c)
{
    int64_t number = (int64_t)load_below(c, (uint64_t)c->load->keys);
    uint64_t what = load_below(c, 100);
    if (what < 40)
        return change(c, number);
    return what < 60 ? read_by_transaction(c, number) : follow(c, number);
}

static uint32_t routes_finals(const struct load *l)
{
    return (uint32_t)l->keys;
}

static assent_status routes_final(struct load_client *c, uint32_t i)
{
    if (!can_read(c->load, i))
        return ASSENT_OK;
    return load_turn(c, i) ? read_by_transaction(c, i) : follow(c, i);
}

static enum verdict check_whole(const struct load *l, struct finding *out)
{
    return check_parts(l->history, l->looks, l->looks_n, part_name, out);
}

static const struct load_check routes_checks[] = {
    {"whole", "never a route without its service", check_whole, PLANT_LOOK},
    {"linearizable", "routes are linearizable, in every datacenter", load_check_register,
     PLANT_READ},
    {"timestamps", "commit timestamps explain every version", load_check_timestamps,
     PLANT_TIMESTAMP},
    {"fresh", "no read is stale, in any datacenter", load_check_fresh, PLANT_READ},
    {0},
};

const struct load_work load_routes = {.history = WORKLOAD_REGISTER,
                                      .step = routes_step,
                                      .finals = routes_finals,
                                      .final = routes_final,
                                      .checks = routes_checks};
