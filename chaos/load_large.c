/* Transactions of many keys and long values: all keys are written at once, each with the number of
 * the write and a filling; who reads them by a transaction must find one number in all. */
#include "chaos/load_work.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

#define VALUE_MAX          65536u
#define PLACE_BYTES        (3 * RESULTS_BYTES_MAX / 4) /* of one read at one participant */
#define WHOLE_BYTES        (3 * TXN_BYTES_MAX / 4)
#define KEYS_PER_PLACE_MAX 1500
#define KEYS_MAX           10000
#define SMALL_BYTES        100u
#define NUMBER_BYTES       24u

static int large_keys_most(const struct load *l)
{
    int most = KEYS_PER_PLACE_MAX * l->places;
    return most < KEYS_MAX ? most : KEYS_MAX;
}

static uint32_t longest_value(const struct load *l)
{
    uint32_t per_place = (uint32_t)((l->keys + l->places - 1) / l->places);
    uint32_t place_room = PLACE_BYTES / per_place, whole_room = WHOLE_BYTES / (uint32_t)l->keys;
    uint32_t room = (place_room < whole_room ? place_room : whole_room) - LOAD_KEY_BYTES;
    return room < VALUE_MAX ? room : VALUE_MAX;
}

static assent_status write_all(struct load_client *c)
{
    struct load *l = c->load;
    const struct micro m = {.kind = MICRO_WRITE, .value = load_value(l)};
    uint32_t longest = load_one_in(c, 4) ? longest_value(l) : SMALL_BYTES;
    char *value = xmalloc(longest + NUMBER_BYTES);
    memset(value, 'x', longest);
    int start = snprintf(value, NUMBER_BYTES, "%" PRId64, m.value);
    value[start] = ' ';
    assent_txn *t = assent_txn_new(c->db);
    for (int i = 0; i < l->keys; i++) {
        struct load_key key = load_key_at(l, i, "large", i);
        size_t len = NUMBER_BYTES + load_below(c, longest - NUMBER_BYTES);
        load_must(assent_put(t, key.text, key.len, value, len));
    }
    free(value);
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

/* Keeps a look at the first key and at the first one that differs, or at the last. */
static void note_all(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    struct load *l = c->load;
    struct parts_look look = {{op, op}, {0, 0}, {HISTORY_NIL, HISTORY_NIL}};
    int64_t *version = c->numbers;
    (void)arg;
    for (int i = 0; i < l->keys; i++)
        version[i] = HISTORY_NIL;
    for (size_t i = 0; i < assent_txn_entries(t); i++) {
        assent_entry e;
        load_must(assent_txn_entry(t, i, &e));
        int64_t key = load_entry_number(&e);
        if (key < l->keys)
            version[key] = load_entry_value(&e, HISTORY_NIL);
    }
    look.seen[0] = look.seen[1] = version[0];
    for (int i = 0; i < l->keys && look.seen[1] == look.seen[0]; i++) {
        look.part[1] = i;
        look.seen[1] = version[i];
    }
    load_found(c, op, 0, version, 1);
    load_look(l, &look);
}

static assent_status read_all(struct load_client *c)
{
    struct load *l = c->load;
    const struct micro m = {.kind = MICRO_READ};
    assent_txn *t = assent_txn_new(c->db);
    for (int i = 0; i < l->keys; i++) {
        struct load_key key = load_key_at(l, i, "large", i);
        load_must(assent_read(t, key.text, key.len));
    }
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, note_all, NULL);
}

static assent_status large_step(struct load_client *c)
{
    return load_one_in(c, 3) ? read_all(c) : write_all(c);
}

static uint32_t large_finals(const struct load *l)
{
    (void)l;
    return 1;
}

static assent_status large_final(struct load_client *c, uint32_t i)
{
    (void)i;
    return load_lives(c->load) ? read_all(c) : ASSENT_OK;
}

static enum verdict check_whole(const struct load *l, struct finding *out)
{
    return check_parts(l->history, l->looks, l->looks_n, NULL, out);
}

static const struct load_check large_checks[] = {
    {"whole", "all keys of a large transaction or none", check_whole, PLANT_LOOK},
    {"linearizable", "large transactions take effect at one moment", load_check_register,
     PLANT_READ},
    {"timestamps", "commit timestamps explain every read", load_check_timestamps, PLANT_TIMESTAMP},
    {"fresh", "no read is stale", load_check_fresh, PLANT_READ},
    {0},
};

const struct load_work load_large = {.history = WORKLOAD_REGISTER,
                                     .keys_most = large_keys_most,
                                     .step = large_step,
                                     .finals = large_finals,
                                     .final = large_final,
                                     .checks = large_checks};
