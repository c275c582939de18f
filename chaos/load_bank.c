/* Transfers between accounts, all of which are read by one transaction. `bank`: between any two, in
 * whichever datacenters; `local`: between two of one datacenter, on different participants if it
 * has several, so that no commit has to wait for a long link: the floor of what a commit costs. */
#include "chaos/load_work.h"

#include <stdlib.h>

#include "chaos/check_bank.h"

#define MONEY             100
#define AMOUNT_MAX        40
#define BEGIN_ACCOUNTS    500 /* in one transaction */
#define KEYS_ONE_BY_ONE   500 /* more accounts are always read as ranges */
#define READ_ONE_IN       8
#define LOCAL_READ_ONE_IN 40 /* they cross datacenters */
#define SNAPSHOT_ONE_IN   10

static bool bank_begin(const struct load *l, assent_txn *t, uint32_t *next)
{
    uint32_t end = *next + BEGIN_ACCOUNTS;
    bool any = *next < (uint32_t)l->keys;
    for (; *next < (uint32_t)l->keys && *next < end; ++*next) {
        struct load_key key = load_key_at(l, (int)*next, "account", *next);
        load_check_number(t, &key, HISTORY_NIL);
        load_put_number(t, &key, MONEY);
    }
    return any;
}

static void clear_balances(struct load_client *c)
{
    for (int i = 0; i < c->load->keys; i++)
        c->numbers[i] = HISTORY_NIL;
}

static void note_balance(struct load_client *c, const assent_entry *e)
{
    int64_t account = load_entry_number(e);
    if (e->found && account < c->load->keys)
        c->numbers[account] = load_entry_value(e, HISTORY_NIL);
}

static void note_accounts(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    (void)arg;
    clear_balances(c);
    for (size_t i = 0; i < assent_txn_entries(t); i++) {
        assent_entry e;
        load_must(assent_txn_entry(t, i, &e));
        note_balance(c, &e);
    }
    load_found(c, op, 0, c->numbers, (uint32_t)c->load->keys);
}

/* Every participant's accounts by a read of its own, all at one timestamp. */
static assent_status snapshot_accounts(struct load_client *c)
{
    struct load *l = c->load;
    const struct micro m = {.kind = MICRO_READ};
    struct load_reading r = load_reading_of(c, READ_SNAPSHOT, -1);
    assent_status status = ASSENT_OK;
    assent_list *list = NULL;
    if (r.options.snapshot < l->begun_ts)
        r.options.snapshot = r.how.asked = l->begun_ts;
    uint32_t weak = load_weak_invoke(c, &r, &m, 1);
    clear_balances(c);
    for (int i = 0; i < l->places && status == ASSENT_OK; i++) {
        struct load_key key, end;
        assent_list_free(list);
        load_range_at(l, i, "account", &key, &end);
        status = assent_scan_with(c->db, key.text, key.len, end.text, end.len, &r.options, &list);
        for (size_t k = 0; status == ASSENT_OK && k < assent_list_size(list); k++)
            note_balance(c, assent_list_entry(list, k));
    }
    if (status == ASSENT_OK)
        load_weak_found(c, weak, 0, c->numbers, (uint32_t)l->keys);
    load_weak_end(c, weak, status == ASSENT_OK ? list : NULL);
    assent_list_free(list);
    return status;
}

static assent_status read_accounts(struct load_client *c)
{
    struct load *l = c->load;
    const struct micro m = {.kind = MICRO_READ};
    struct load_key key, end;
    assent_txn *t = assent_txn_new(c->db);
    if (l->keys > KEYS_ONE_BY_ONE || load_one_in(c, 2)) {
        for (int i = 0; i < l->places; i++) {
            load_range_at(l, i, "account", &key, &end);
            load_must(assent_read_range(t, key.text, key.len, end.text, end.len, 0));
        }
    } else {
        for (int i = 0; i < l->keys; i++) {
            key = load_key_at(l, i, "account", i);
            load_must(assent_read(t, key.text, key.len));
        }
    }
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, note_accounts, NULL);
}

static assent_status transfer(struct load_client *c, int64_t from, int64_t to)
{
    struct load *l = c->load;
    const assent_bounds not_negative = {.has_lower = true, .lower = 0};
    const struct micro m = {.kind = MICRO_TRANSFER,
                            .key = from,
                            .other = to,
                            .value = 1 + (int64_t)load_below(c, AMOUNT_MAX)};
    assent_txn *t = assent_txn_new(c->db);
    struct load_key key = load_key_at(l, (int)from, "account", from);
    load_must(assent_add(t, key.text, key.len, -m.value, &not_negative));
    key = load_key_at(l, (int)to, "account", to);
    load_must(assent_add(t, key.text, key.len, m.value, NULL));
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, &m, 1);
    return load_commit(c, t, op, NULL, NULL);
}

static assent_status bank_step(struct load_client *c)
{
    uint64_t keys = (uint64_t)c->load->keys;
    if (load_one_in(c, READ_ONE_IN))
        return read_accounts(c);
    if (load_one_in(c, SNAPSHOT_ONE_IN))
        return snapshot_accounts(c);
    uint64_t from = load_below(c, keys);
    return transfer(c, (int64_t)from, (int64_t)((from + 1 + load_below(c, keys - 1)) % keys));
}

/* Accounts of one datacenter are `datacenters` apart, neighbours among them on different
 * participants. */
static assent_status local_step(struct load_client *c)
{
    const struct load *l = c->load;
    uint32_t in = l->config->in;
    uint64_t datacenters = (uint64_t)__builtin_popcount(in);
    bool own = (in >> c->home & 1) != 0;
    if (load_one_in(c, LOCAL_READ_ONE_IN))
        return read_accounts(c);
    uint64_t datacenter =
        own ? (uint64_t)__builtin_popcount(in & ((1u << c->home) - 1)) : load_below(c, datacenters);
    uint64_t accounts = ((uint64_t)l->keys - datacenter + datacenters - 1) / datacenters;
    uint64_t from = load_below(c, accounts), to = (from + 1) % accounts;
    return transfer(c, (int64_t)(datacenter + from * datacenters),
                    (int64_t)(datacenter + to * datacenters));
}

static uint32_t bank_finals(const struct load *l)
{
    (void)l;
    return 1;
}

static assent_status bank_final(struct load_client *c, uint32_t i)
{
    (void)i;
    return load_lives(c->load) ? read_accounts(c) : ASSENT_OK;
}

static int64_t *initial_of(const struct load *l)
{
    int64_t *initial = xcalloc((size_t)l->keys, sizeof *initial);
    for (int i = 0; i < l->keys; i++)
        initial[i] = MONEY;
    return initial;
}

static enum verdict check_snapshots(const struct load *l, struct finding *out)
{
    int64_t *initial = initial_of(l);
    enum verdict v = check_level_accounts(l->history, (uint32_t)l->keys, initial, out);
    free(initial);
    return v;
}

static enum verdict check_money(const struct load *l, struct finding *out)
{
    int64_t *initial = initial_of(l);
    const struct bank_terms terms = {
        .accounts = (uint32_t)l->keys, .initial = initial, .bounded = true};
    enum verdict v = check_bank(l->history, &terms, out);
    free(initial);
    return v;
}

/* Clients of `local` read no snapshots, so theirs are those behind the first. */
static const struct load_check bank_checks[] = {
    {"snapshot", "accounts read at one timestamp are a consistent cut", check_snapshots,
     PLANT_ACCOUNTS},
    {"money", "money is neither made nor lost", check_money, PLANT_READ},
    {"timestamps", "commit timestamps explain every balance", load_check_timestamps,
     PLANT_TIMESTAMP},
    {0},
};

const struct load_work load_bank = {.history = WORKLOAD_BANK,
                                    .begin = bank_begin,
                                    .step = bank_step,
                                    .finals = bank_finals,
                                    .final = bank_final,
                                    .checks = bank_checks};

const struct load_work load_local = {.history = WORKLOAD_BANK,
                                     .begin = bank_begin,
                                     .step = local_step,
                                     .finals = bank_finals,
                                     .final = bank_final,
                                     .checks = bank_checks + 1};
