/* Transactions that append to lists and read them. A list is a text of numbers; to append is to
 * read it strongly, and to commit the longer one on the condition that nothing has changed. */
#include "chaos/load_work.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/check_cycles.h"

#define LISTS_MAX      3   /* in one transaction */
#define ELEMENTS_MAX   120 /* then the slot gets a new list */
#define LIST_BYTES_MAX 4096
#define FINAL_LISTS    40 /* read by one transaction at the end */

struct lists {
    uint32_t n;
    struct micro micro[FINAL_LISTS];
    char *text[FINAL_LISTS]; /* of a read: what was there */
};

static uint32_t found_in(struct load_client *c, const char *text)
{
    return text == NULL ? 0 : load_numbers_in(c, text, strlen(text));
}

/* ---- appending ---- */

static void choose_lists(struct load_client *c, struct lists *x, bool append)
{
    uint64_t keys = (uint64_t)c->load->keys;
    uint64_t want = 1 + load_below(c, keys < LISTS_MAX ? keys : LISTS_MAX);
    uint64_t first = load_below(c, keys);
    x->n = 0;
    for (uint64_t i = 0; i < want; i++) {
        int64_t key = load_number(c->load, (int)((first + i) % keys));
        x->micro[x->n++] = (struct micro){.kind = MICRO_READ, .key = key};
        if (append && (i == 0 || load_one_in(c, 2)))
            x->micro[x->n++] = (struct micro){.kind = MICRO_APPEND, .key = key};
    }
}

static assent_status look_at_lists(struct load_client *c, struct lists *x)
{
    assent_status status = ASSENT_OK;
    for (uint32_t i = 0; i < x->n && status == ASSENT_OK; i++) {
        if (x->micro[i].kind != MICRO_READ)
            continue;
        struct load_key key = load_slot_key(c->load, "list", x->micro[i].key);
        status = load_strong(c, -1, &key, &x->text[i]);
        if (found_in(c, x->text[i]) >= ELEMENTS_MAX)
            load_next_generation(c->load, x->micro[i].key);
    }
    return status;
}

static void build_append(struct load_client *c, assent_txn *t, struct lists *x, uint32_t i)
{
    struct micro *m = &x->micro[i];
    struct load_key key = load_slot_key(c->load, "list", m->key);
    char text[LIST_BYTES_MAX];
    if (m->kind == MICRO_READ) {
        load_must(x->text[i] == NULL
                      ? assent_check_absent(t, key.text, key.len)
                      : assent_check_value(t, key.text, key.len, x->text[i], strlen(x->text[i])));
        return;
    }
    const char *old = x->text[i - 1];
    m->value = load_value(c->load);
    int len = snprintf(text, sizeof text, "%s%s%" PRId64, old == NULL ? "" : old,
                       old == NULL ? "" : " ", m->value);
    if (len >= (int)sizeof text) /* slots get a new list long before */
        abort();
    load_must(assent_put(t, key.text, key.len, text, (size_t)len));
}

static assent_status append(struct load_client *c)
{
    struct lists x = {0};
    choose_lists(c, &x, true);
    assent_status status = look_at_lists(c, &x);
    if (status == ASSENT_OK) {
        assent_txn *t = assent_txn_new(c->db);
        for (uint32_t i = 0; i < x.n; i++)
            build_append(c, t, &x, i);
        uint32_t op = load_invoke(c, LEVEL_TRANSACTION, x.micro, x.n);
        for (uint32_t i = 0; i < x.n; i++)
            if (x.micro[i].kind == MICRO_READ)
                load_found(c, op, i, c->numbers, found_in(c, x.text[i]));
        status = load_commit(c, t, op, NULL, NULL);
    }
    for (uint32_t i = 0; i < x.n; i++)
        free(x.text[i]);
    return status;
}

/* ---- reading ---- */

static void note_lists(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg)
{
    const struct lists *x = arg;
    for (uint32_t i = 0; i < x->n; i++) {
        struct load_key key = load_slot_key(c->load, "list", x->micro[i].key);
        for (size_t k = 0; k < assent_txn_entries(t); k++) {
            assent_entry e;
            load_must(assent_txn_entry(t, k, &e));
            if (e.key_len != key.len || memcmp(e.key, key.text, key.len) != 0)
                continue;
            load_found(c, op, i, c->numbers,
                       e.found ? load_numbers_in(c, e.value, e.value_len) : 0);
        }
    }
}

static assent_status read_lists(struct load_client *c, const struct lists *x)
{
    assent_txn *t = assent_txn_new(c->db);
    for (uint32_t i = 0; i < x->n; i++) {
        struct load_key key = load_slot_key(c->load, "list", x->micro[i].key);
        load_must(assent_read(t, key.text, key.len));
    }
    uint32_t op = load_invoke(c, LEVEL_TRANSACTION, x->micro, x->n);
    return load_commit(c, t, op, note_lists, x);
}

static assent_status read_strongly(struct load_client *c, int64_t number)
{
    const struct micro m = {.kind = MICRO_READ, .key = number};
    struct load_key key = load_slot_key(c->load, "list", number);
    int datacenters = c->load->all->site->scenario->datacenters, at = -1;
    char *text;
    if (load_slot_everywhere(c->load, number))
        at = (int)load_below(c, (uint64_t)datacenters);
    uint32_t op = load_invoke(c, LEVEL_STRONG, &m, 1);
    assent_status status = load_strong(c, at, &key, &text);
    if (status == ASSENT_OK)
        load_found(c, op, 0, c->numbers, found_in(c, text));
    load_end_strong(c, op, status == ASSENT_OK);
    free(text);
    return status;
}

static assent_status list_step(struct load_client *c)
{
    struct lists x = {0};
    uint64_t what = load_below(c, 100);
    if (what < 50)
        return append(c);
    if (what < 75)
        return read_strongly(c, load_number(c->load, (int)load_below(c, (uint64_t)c->load->keys)));
    choose_lists(c, &x, false);
    return read_lists(c, &x);
}

/* ---- the end ---- */

static bool can_read(const struct load *l, int64_t number)
{
    if (load_slot_everywhere(l, number))
        return load_everywhere_lives(l);
    return load_place_lives(l, (int)(number % l->keys));
}

static uint32_t list_finals(const struct load *l)
{
    return (load_numbers(l) + FINAL_LISTS - 1) / FINAL_LISTS;
}

/* Lists that are in use from every datacenter, others from one. */
static assent_status list_final(struct load_client *c, uint32_t i)
{
    const struct load *l = c->load;
    struct lists x = {0};
    uint32_t end =
        (i + 1) * FINAL_LISTS < load_numbers(l) ? (i + 1) * FINAL_LISTS : load_numbers(l);
    for (uint32_t k = i * FINAL_LISTS; k < end; k++) {
        bool newest;
        int64_t number = load_number_nth(l, k, &newest);
        if (can_read(l, number) && (newest || load_turn(c, k)))
            x.micro[x.n++] = (struct micro){.kind = MICRO_READ, .key = number};
    }
    return x.n == 0 ? ASSENT_OK : read_lists(c, &x);
}

static enum verdict check_serializable(const struct load *l, struct finding *out)
{
    return check_cycles(l->history, out);
}

static const struct load_check list_checks[] = {
    {"serializable", "transactions are strictly serializable", check_serializable, PLANT_READ},
    {"timestamps", "commit timestamps grow in commit order", load_check_timestamps,
     PLANT_TIMESTAMP},
    {"fresh", "no read is stale, in any datacenter", load_check_fresh, PLANT_READ},
    {0},
};

const struct load_work load_list = {.history = WORKLOAD_LIST,
                                    .step = list_step,
                                    .finals = list_finals,
                                    .final = list_final,
                                    .checks = list_checks};
