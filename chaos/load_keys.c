/* Where the keys of a load are.
 *
 *     p/<participant>/<load>/<kind>/<number>     on one participant
 *     all/<load>/<kind>/<number>                 on one of every datacenter */
#include "chaos/load_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EVERYWHERE_ONE_IN 4 /* slots */

static struct load_key made(const char *prefix, const char *name, const char *end, int load,
                            const char *kind, const char *rest)
{
    struct load_key key;
    key.len = (size_t)snprintf(key.text, sizeof key.text, "%s%s%s%d/%s%s", prefix, name, end, load,
                               kind, rest);
    if (key.len >= sizeof key.text)
        abort();
    return key;
}

static const char *place_name(const struct load *l, int place)
{
    return l->all->site->process[l->place[place % l->places]].name;
}

struct load_key load_key_at(const struct load *l, int place, const char *kind, int64_t number)
{
    char rest[24];
    snprintf(rest, sizeof rest, "/%06" PRId64, number);
    return made("p/", place_name(l, place), "/", l->number, kind, rest);
}

struct load_key load_key_everywhere(const struct load *l, const char *kind, int64_t number)
{
    char rest[24];
    snprintf(rest, sizeof rest, "/%06" PRId64, number);
    return made("all/", "", "", l->number, kind, rest);
}

void load_range_at(const struct load *l, int place, const char *kind, struct load_key *from,
                   struct load_key *end)
{
    *from = made("p/", place_name(l, place), "/", l->number, kind, "/");
    *end = made("p/", place_name(l, place), "/", l->number, kind, "0"); /* behind '/' */
}

int64_t load_entry_number(const assent_entry *e)
{
    const char *key = e->key;
    size_t at = e->key_len;
    int64_t number = 0;
    while (at > 0 && key[at - 1] >= '0' && key[at - 1] <= '9')
        at--;
    for (; at < e->key_len; at++)
        number = number * 10 + (key[at] - '0');
    return number;
}

/* ---- generations ---- */

int64_t load_number(const struct load *l, int slot)
{
    return (int64_t)atomic_load(&l->generation[slot]) * l->keys + slot;
}

void load_next_generation(struct load *l, int64_t number)
{
    uint32_t generation = (uint32_t)(number / l->keys);
    atomic_compare_exchange_strong(&l->generation[number % l->keys], &generation, generation + 1);
}

bool load_slot_everywhere(const struct load *l, int64_t number)
{
    return l->everywhere && number % l->keys % EVERYWHERE_ONE_IN == EVERYWHERE_ONE_IN - 1;
}

struct load_key load_slot_key(const struct load *l, const char *kind, int64_t number)
{
    if (load_slot_everywhere(l, number))
        return load_key_everywhere(l, kind, number);
    return load_key_at(l, (int)(number % l->keys), kind, number);
}

uint32_t load_numbers(const struct load *l)
{
    uint32_t n = 0;
    for (int i = 0; i < l->keys; i++)
        n += atomic_load(&l->generation[i]) + 1;
    return n;
}

int64_t load_number_nth(const struct load *l, uint32_t i, bool *newest)
{
    for (int slot = 0; slot < l->keys; slot++) {
        uint32_t generation = atomic_load(&l->generation[slot]);
        *newest = i == generation;
        if (i <= generation)
            return (int64_t)i * l->keys + slot;
        i -= generation + 1;
    }
    abort();
}

/* ---- what is left ---- */

bool load_is_lost(const struct load *l, int datacenter)
{
    return (atomic_load(&l->all->site->lost) >> datacenter & 1) != 0;
}

bool load_place_lives(const struct load *l, int place)
{
    int node = l->place[place % l->places];
    return !load_is_lost(l, l->all->site->cluster->node[node].datacenter);
}

bool load_everywhere_lives(const struct load *l)
{
    return atomic_load(&l->all->site->lost) == 0;
}

bool load_lives(const struct load *l)
{
    for (int i = 0; i < l->places; i++)
        if (!load_place_lives(l, i))
            return false;
    return true;
}

bool load_turn(const struct load_client *c, uint32_t i)
{
    int datacenters = c->load->all->site->scenario->datacenters, living = 0, before = 0;
    for (int dc = 0; dc < datacenters; dc++) {
        if (load_is_lost(c->load, dc))
            continue;
        before += dc < c->datacenter;
        living++;
    }
    return living > 0 && (int)(i % (uint32_t)living) == before;
}
