/* Lists that are read at every level, by sessions whose tokens go from client to client and so from
 * datacenter to datacenter, as text. Appends and transactions are those of load_list.c.
 *
 * A client has one session at a time, which ends with its handle. The history says which session
 * every operation is in, and when a token was written down and taken over. */
#include "chaos/load_work.h"

#include <stdlib.h>
#include <string.h>

#include "client/token.h"

#define READ_MS_MAX      2000
#define SNAPSHOT_BACK_MS 2000
#define SNAPSHOT_AHEAD   200 /* ms: such a read waits until that time has come */
#define STALE_MS_MAX     500
#define SCAN_LISTS       64

_Static_assert((int)ASSENT_SNAPSHOT == (int)READ_SNAPSHOT &&
                   (int)ASSENT_EVENTUAL == (int)READ_EVENTUAL,
               "levels have the same numbers in the library's interface");

static int64_t now_ns(void)
{
    return (int64_t)chaos_now_us() * 1000;
}

/* ---- sessions ---- */

void load_session_begin(struct load_client *c)
{
    struct load *l = c->load;
    if (!l->work->sessions || c->session != NULL)
        return;
    c->session = assent_session_new(c->db);
    pthread_mutex_lock(&l->lock);
    c->session_number = l->sessions++;
    pthread_mutex_unlock(&l->lock);
}

void load_session_end(struct load_client *c)
{
    assent_session_free(c->session);
    c->session = NULL;
}

static void write_token(struct load_client *c)
{
    struct load *l = c->load;
    char text[ASSENT_TOKEN_TEXT];
    assent_session_token(c->session, text);
    pthread_mutex_lock(&l->lock);
    struct load_token *own = &l->token[c->index];
    memcpy(own->text, text, sizeof text);
    own->number = history_export(l->history, (uint32_t)c->index, c->session_number, now_ns());
    pthread_mutex_unlock(&l->lock);
}

/* A token may be refused for its time, if this host's clock is behind; for nothing else. */
static void take_token(struct load_client *c)
{
    struct load *l = c->load;
    uint64_t from = load_below(c, (uint64_t)l->clients);
    pthread_mutex_lock(&l->lock);
    struct load_token token = l->token[from];
    pthread_mutex_unlock(&l->lock);
    if (token.text[0] == '\0')
        return;
    assent_status status = assent_session_import(c->session, token.text);
    if (status == ASSENT_CLOCK_AHEAD)
        return;
    load_must(status);
    pthread_mutex_lock(&l->lock);
    history_import(l->history, (uint32_t)c->index, c->session_number, token.number, now_ns());
    pthread_mutex_unlock(&l->lock);
}

void load_session_move(struct load_client *c)
{
    if (load_one_in(c, 2))
        write_token(c);
    else
        take_token(c);
}

/* ---- reads below strong ---- */

static assent_ts some_snapshot(struct load_client *c)
{
    assent_ts now = assent_now(c->db);
    if (load_one_in(c, 12))
        return now + hlc_from_ms(load_below(c, SNAPSHOT_AHEAD));
    return load_one_in(c, 2) ? now : now - hlc_from_ms(load_below(c, SNAPSHOT_BACK_MS));
}

struct load_reading load_reading_of(struct load_client *c, enum read_level level, int at)
{
    const struct load *l = c->load;
    struct load_reading r = {
        .how = {.level = level, .session = HISTORY_NO_SESSION, .bound_ns = HISTORY_AGE_UNKNOWN},
        .options = {.level = (assent_level)level,
                    .where = at < 0 ? NULL : l->all->site->scenario->datacenter[at],
                    .timeout_ms =
                        l->config->timeout_ms < READ_MS_MAX ? l->config->timeout_ms : READ_MS_MAX}};
    if (level == READ_SNAPSHOT)
        r.options.snapshot = r.how.asked = some_snapshot(c);
    if (level == READ_BOUNDED) {
        r.options.stale_ms = 1 + (uint32_t)load_below(c, load_one_in(c, 2) ? 20 : STALE_MS_MAX);
        r.how.bound_ns = (int64_t)r.options.stale_ms * 1000000;
    }
    if (c->session != NULL && (level == READ_SESSION || load_one_in(c, 2))) {
        r.options.session = c->session;
        r.how.session = c->session_number;
    }
    if (level == READ_SESSION)
        r.how.asked = atomic_load(&c->session->ts);
    return r;
}

uint32_t load_weak_invoke(struct load_client *c, const struct load_reading *r,
                          const struct micro *micro, uint32_t n)
{
    struct load *l = c->load;
    pthread_mutex_lock(&l->lock);
    uint32_t weak = history_weak_invoke(l->history, (uint32_t)c->index, (uint32_t)c->datacenter,
                                        &r->how, now_ns(), micro, n);
    pthread_mutex_unlock(&l->lock);
    return weak;
}

void load_weak_found(struct load_client *c, uint32_t weak, uint32_t index, const int64_t *values,
                     uint32_t n)
{
    pthread_mutex_lock(&c->load->lock);
    history_weak_found(c->load->history, weak, index, values, n);
    pthread_mutex_unlock(&c->load->lock);
}

void load_weak_end(struct load_client *c, uint32_t weak, const assent_list *list)
{
    struct load *l = c->load;
    pthread_mutex_lock(&l->lock);
    if (list == NULL) {
        history_weak_fail(l->history, weak, now_ns());
    } else {
        const assent_read_info *info = assent_list_info(list);
        history_weak_ok(l->history, weak, now_ns(), info->ts,
                        info->age_known ? (int64_t)info->age_us * 1000 : HISTORY_AGE_UNKNOWN);
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- lists ---- */

/* What a read of this level may end with, in a cluster where things happen. */
static assent_status allowed(assent_status status)
{
    switch (status) {
    case ASSENT_TOO_STALE:
    case ASSENT_PRUNED:
    case ASSENT_CLOCK_AHEAD:
        return ASSENT_OK;
    default:
        return status;
    }
}

static assent_status read_one(struct load_client *c, int64_t number, const struct load_reading *r)
{
    const struct micro m = {.kind = MICRO_READ, .key = number};
    struct load_key key = load_slot_key(c->load, "list", number);
    assent_list *list = NULL;
    uint32_t weak = load_weak_invoke(c, r, &m, 1);
    assent_status status = assent_get_with(c->db, key.text, key.len, &r->options, &list);
    if (status == ASSENT_OK) {
        const assent_entry *e = assent_list_entry(list, 0);
        load_weak_found(c, weak, 0, c->numbers, load_numbers_in(c, e->value, e->value_len));
    } else if (status == ASSENT_NOT_FOUND) {
        load_weak_found(c, weak, 0, c->numbers, 0);
        status = ASSENT_OK;
    }
    load_weak_end(c, weak, status == ASSENT_OK ? list : NULL);
    assent_list_free(list);
    return status;
}

static const assent_entry *entry_of(const assent_list *list, int64_t number)
{
    for (size_t i = 0; i < assent_list_size(list); i++)
        if (load_entry_number(assent_list_entry(list, i)) == number)
            return assent_list_entry(list, i);
    return NULL;
}

static bool whole(const assent_list *list)
{
    size_t n = assent_list_size(list);
    return n == 0 || !assent_list_entry(list, n - 1)->truncated;
}

/* All lists of one participant, by one read; those that are in use are in the history. */
static assent_status scan_lists(struct load_client *c, int place, const struct load_reading *r)
{
    struct load *l = c->load;
    struct micro m[SCAN_LISTS];
    struct load_key from, end;
    assent_list *list = NULL;
    uint32_t n = 0;
    for (int slot = 0; slot < l->keys && n < SCAN_LISTS; slot++)
        if (slot % l->places == place && !load_slot_everywhere(l, slot))
            m[n++] = (struct micro){.kind = MICRO_READ, .key = load_number(l, slot)};
    if (n == 0)
        return ASSENT_OK;
    load_range_at(l, place, "list", &from, &end);
    uint32_t weak = load_weak_invoke(c, r, m, n);
    assent_status status =
        assent_scan_with(c->db, from.text, from.len, end.text, end.len, &r->options, &list);
    for (uint32_t i = 0; i < n && status == ASSENT_OK; i++) {
        const assent_entry *e = entry_of(list, m[i].key);
        if (e != NULL)
            load_weak_found(c, weak, i, c->numbers, load_numbers_in(c, e->value, e->value_len));
        else if (whole(list))
            load_weak_found(c, weak, i, c->numbers, 0);
    }
    load_weak_end(c, weak, status == ASSENT_OK ? list : NULL);
    assent_list_free(list);
    return status;
}

static assent_status levels_step(struct load_client *c)
{
    static const enum read_level levels[] = {READ_SESSION, READ_SESSION, READ_SNAPSHOT,
                                             READ_BOUNDED, READ_EVENTUAL};
    struct load *l = c->load;
    if (load_one_in(c, 6))
        load_session_move(c);
    if (load_below(c, 100) < 45)
        return load_list.step(c);
    enum read_level level = levels[load_below(c, sizeof levels / sizeof levels[0])];
    int64_t number = load_number(l, (int)load_below(c, (uint64_t)l->keys));
    bool scans = load_one_in(c, 5), anywhere = load_slot_everywhere(l, number) && !scans;
    int at = -1;
    if (anywhere && load_one_in(c, 2))
        at = (int)load_below(c, (uint64_t)l->all->site->scenario->datacenters);
    struct load_reading r = load_reading_of(c, level, at);
    r.options.descending = scans && load_one_in(c, 2);
    if (scans)
        return allowed(scan_lists(c, (int)(number % l->keys) % l->places, &r));
    return allowed(read_one(c, number, &r));
}

/* ---- the end ---- */

static uint32_t levels_finals(const struct load *l)
{
    return load_list.finals(l);
}

static assent_status levels_final(struct load_client *c, uint32_t i)
{
    return load_list.final(c, i);
}

/* Every replica for itself. */
static assent_status levels_after(struct load_client *c, uint32_t i)
{
    const struct load *l = c->load;
    bool newest;
    int64_t number = load_number_nth(l, i, &newest);
    bool everywhere = load_slot_everywhere(l, number);
    if (everywhere ? false : !load_turn(c, i) || !load_place_lives(l, (int)(number % l->keys)))
        return ASSENT_OK;
    struct load_reading r = load_reading_of(c, READ_EVENTUAL, everywhere ? c->datacenter : -1);
    r.how.after_all = true;
    return read_one(c, number, &r);
}

#define LEVEL_CHECK_FUNCTION(name, text, says)                                                     \
    static enum verdict check_##name(const struct load *l, struct finding *out)                    \
    {                                                                                              \
        return check_levels(l->history, 1u << LEVELS_##name, out);                                 \
    }
LEVEL_CHECK_MAP(LEVEL_CHECK_FUNCTION)
#undef LEVEL_CHECK_FUNCTION

static enum verdict check_serializable(const struct load *l, struct finding *out)
{
    return load_list.checks[0].check(l, out);
}

static const struct load_check levels_checks[] = {
    {"serializable", "transactions are strictly serializable", check_serializable, PLANT_READ},
    {"timestamps", "commit timestamps grow in commit order", load_check_timestamps,
     PLANT_TIMESTAMP},
    {"fresh", "no strong read is stale, in any datacenter", load_check_fresh, PLANT_READ},
#define LEVEL_CHECK_ROW(name, text, says)                                                          \
    {text, says, check_##name, (enum plant_kind)(PLANT_LEVEL + LEVELS_##name)},
    LEVEL_CHECK_MAP(LEVEL_CHECK_ROW)
#undef LEVEL_CHECK_ROW
        {0},
};

const struct load_work load_levels = {.history = WORKLOAD_LIST,
                                      .step = levels_step,
                                      .finals = levels_finals,
                                      .final = levels_final,
                                      .afters = load_numbers,
                                      .after = levels_after,
                                      .sessions = true,
                                      .checks = levels_checks};
