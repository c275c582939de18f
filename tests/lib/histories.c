#include "tests/lib/histories.h"

#include <stdlib.h>
#include <string.h>

#include "common/prng.h"

#define STEPS_MAX  8u
#define VALUES_MAX 64u

/* ---- scripts ---- */

struct written {
    uint32_t op;
    uint32_t n;
    struct micro micro[STEPS_MAX];
    int64_t values[STEPS_MAX][VALUES_MAX];
    bool strong;
};

struct script {
    struct history *h;
    const char *at;
    int64_t now;
    struct written client[SCRIPT_CLIENTS];
};

static void nonsense(const struct script *s)
{
    fprintf(stderr, "histories_script: cannot read: %s\n", s->at);
    abort();
}

static void skip_blanks(struct script *s)
{
    while (*s->at == ' ')
        s->at++;
}

static bool take(struct script *s, const char *text)
{
    if (strncmp(s->at, text, strlen(text)) != 0)
        return false;
    s->at += strlen(text);
    return true;
}

static int64_t take_number(struct script *s)
{
    char *end;
    if (take(s, "nil"))
        return HISTORY_NIL;
    int64_t v = strtoll(s->at, &end, 10);
    if (end == s->at)
        nonsense(s);
    s->at = end;
    return v;
}

static void take_values(struct script *s, struct micro *m, int64_t *values)
{
    m->values = values;
    m->known = !take(s, "?");
    if (!m->known)
        return;
    if (!take(s, "[")) {
        values[m->n++] = take_number(s);
        return;
    }
    for (skip_blanks(s); !take(s, "]"); skip_blanks(s)) {
        if (m->n == VALUES_MAX)
            nonsense(s);
        values[m->n++] = take_number(s);
    }
}

static bool take_step(struct script *s, struct written *w)
{
    static const char letters[] = "rawc+t";
    static const enum micro_kind kinds[] = {MICRO_READ, MICRO_APPEND, MICRO_WRITE,
                                            MICRO_CAS,  MICRO_ADD,    MICRO_TRANSFER};
    const char *letter = *s->at != 0 ? strchr(letters, *s->at) : NULL;
    if (letter == NULL)
        return false;
    if (w->n == STEPS_MAX)
        nonsense(s);
    struct micro *m = &w->micro[w->n];
    *m = (struct micro){.kind = kinds[letter - letters]};
    s->at++;
    if (*s->at != '=')
        m->key = take_number(s);
    if (take(s, ","))
        m->other = take_number(s);
    if (!take(s, "="))
        nonsense(s);
    if (m->kind == MICRO_READ)
        take_values(s, m, w->values[w->n]);
    else
        m->value = take_number(s);
    w->n++;
    skip_blanks(s);
    return true;
}

static void begin(struct script *s, uint32_t client)
{
    struct written *w = &s->client[client];
    w->n = 0;
    skip_blanks(s);
    w->strong = take(s, "s ");
    while (take_step(s, w))
        continue;
    w->op = history_invoke(s->h, client, client, w->strong ? LEVEL_STRONG : LEVEL_TRANSACTION,
                           ++s->now, w->micro, w->n);
}

static void finish(struct script *s, uint32_t client)
{
    struct written *w = &s->client[client];
    skip_blanks(s);
    if (take(s, "fail")) {
        history_fail(s->h, w->op, ++s->now);
    } else if (take(s, "info")) {
        history_info(s->h, w->op, ++s->now);
    } else if (take(s, "ok")) {
        for (uint32_t i = 0; i < w->n; i++)
            if (w->micro[i].kind == MICRO_READ && w->micro[i].known)
                history_read(s->h, w->op, i, w->values[i], w->micro[i].n);
        hlc_ts ts = take(s, "@") ? (hlc_ts)take_number(s) : 0;
        history_ok(s->h, w->op, ++s->now, ts);
    } else {
        nonsense(s);
    }
}

static void learn(struct script *s, uint32_t client)
{
    skip_blanks(s);
    if (take(s, "fail")) {
        history_aborted(s->h, s->client[client].op, ++s->now);
        return;
    }
    if (!take(s, "ok"))
        nonsense(s);
    hlc_ts ts = take(s, "@") ? (hlc_ts)take_number(s) : 0;
    history_committed(s->h, s->client[client].op, ++s->now, ts);
}

struct history *histories_script(enum history_kind workload, const char *script)
{
    struct script *s = xcalloc(1, sizeof *s);
    s->h = history_new(workload, SCRIPT_CLIENTS);
    s->at = script;
    while (*s->at != 0) {
        if (*s->at == ' ' || *s->at == ';' || *s->at == '\n') {
            s->at++;
            continue;
        }
        uint32_t client = (uint32_t)take_number(s) % SCRIPT_CLIENTS;
        if (take(s, ">")) {
            begin(s, client);
        } else if (take(s, "<")) {
            finish(s, client);
        } else if (take(s, "!")) {
            learn(s, client);
        } else if (take(s, ":")) {
            begin(s, client);
            finish(s, client);
        } else {
            nonsense(s);
        }
    }
    struct history *h = s->h;
    free(s);
    return h;
}

/* ---- random histories ---- */

#define KEY_LIFE 500u /* operations until the lists in use are new ones */

/* What the store holds under one key; a set is the list of key 0. */
struct cell {
    int64_t *list; /* of a register: all values that it had */
    uint32_t n, cap;
    int64_t value;
};

enum stage { STAGE_IDLE, STAGE_BEGUN, STAGE_APPLIED, STAGE_REFUSED };

struct running {
    enum stage stage;
    uint32_t op, n;
    struct micro micro[STEPS_MAX];
    int64_t *found[STEPS_MAX]; /* of reads */
    uint32_t found_n[STEPS_MAX];
    hlc_ts ts;
};

struct store {
    struct random_history *r;
    struct history *h;
    struct prng prng;
    struct cell *cell;
    uint32_t cells;
    struct running *client;
    struct running *ghost; /* operations of unknown outcome that may still take effect */
    uint32_t ghosts;
    int64_t now, next_value;
    hlc_ts ts;
};

static bool chance(struct store *s, uint64_t percent)
{
    return prng_below(&s->prng, 100) < percent;
}

static int64_t tick(struct store *s)
{
    s->now += 1 + (int64_t)prng_below(&s->prng, 1000);
    return s->now;
}

static void push(struct cell *c, int64_t value)
{
    if (c->n == c->cap) {
        c->cap = c->cap == 0 ? 16 : 2 * c->cap;
        c->list = xrealloc(c->list, c->cap * sizeof *c->list);
    }
    c->list[c->n++] = value;
}

static void find(struct store *s, struct running *run, uint32_t i)
{
    const struct cell *c = &s->cell[run->micro[i].key];
    bool all = s->r->workload == WORKLOAD_BANK;
    bool list = s->r->workload == WORKLOAD_LIST || s->r->workload == WORKLOAD_SET;
    uint32_t n = all ? s->r->keys : list ? c->n : 1;
    run->found_n[i] = n;
    run->found[i] = xcalloc((size_t)n + 1, sizeof(int64_t));
    for (uint32_t k = 0; k < n; k++)
        run->found[i][k] = all ? s->cell[k].value : list ? c->list[k] : c->value;
}

/* Takes effect, or is refused as a whole. */
static void apply(struct store *s, struct running *run)
{
    const struct micro *m = &run->micro[0];
    struct cell *c = &s->cell[m->key];
    bool refused = !s->r->certain && chance(s, 5);
    refused |= m->kind == MICRO_CAS && c->value != m->other;
    refused |= m->kind == MICRO_TRANSFER && c->value < m->value;
    run->stage = refused ? STAGE_REFUSED : STAGE_APPLIED;
    for (uint32_t i = 0; i < run->n && !refused; i++) {
        m = &run->micro[i];
        c = &s->cell[m->key];
        if (m->kind == MICRO_READ)
            find(s, run, i);
        else if (m->kind == MICRO_APPEND ||
                 (m->kind == MICRO_ADD && s->r->workload == WORKLOAD_SET))
            push(c, m->value);
        else if (m->kind == MICRO_ADD)
            c->value += m->value;
        else if (m->kind == MICRO_TRANSFER)
            c->value -= m->value;
        else
            push(c, c->value = m->value);
        if (m->kind == MICRO_TRANSFER)
            s->cell[m->other].value += m->value;
    }
    run->ts = ++s->ts;
}

static uint32_t random_key(struct store *s)
{
    uint32_t key = (uint32_t)prng_below(&s->prng, s->r->keys);
    bool moves = s->r->workload == WORKLOAD_LIST || s->r->workload == WORKLOAD_REGISTER;
    return moves ? key + s->h->n / KEY_LIFE * s->r->keys : key;
}

static struct micro random_step(struct store *s)
{
    struct micro m = {.kind = MICRO_READ, .key = random_key(s)};
    if (s->r->workload == WORKLOAD_SET || (s->r->workload == WORKLOAD_BANK && chance(s, 20)))
        m.key = 0;
    if (chance(s, s->r->workload == WORKLOAD_SET ? 10 : 45))
        return m;
    m.value = ++s->next_value;
    switch (s->r->workload) {
    case WORKLOAD_LIST:
        m.kind = MICRO_APPEND;
        break;
    case WORKLOAD_REGISTER:
        m.kind = chance(s, 40) ? MICRO_CAS : MICRO_WRITE;
        m.other = s->cell[m.key].value;
        break;
    case WORKLOAD_BANK:
        m.kind = MICRO_TRANSFER;
        m.other = (m.key + 1 + (int64_t)prng_below(&s->prng, s->r->keys - 1)) % s->r->keys;
        m.value = 1 + (int64_t)prng_below(&s->prng, 30);
        break;
    case WORKLOAD_SET:
        m.kind = MICRO_ADD;
        break;
    case WORKLOAD_COUNTER:
        m.kind = MICRO_ADD;
        m.value = 1 + (int64_t)prng_below(&s->prng, 50) - (chance(s, 30) ? 60 : 0);
        break;
    }
    return m;
}

static void start(struct store *s, uint32_t client)
{
    struct running *run = &s->client[client];
    memset(run, 0, sizeof *run);
    run->n = s->r->workload == WORKLOAD_LIST ? 1 + (uint32_t)prng_below(&s->prng, 4) : 1;
    for (uint32_t i = 0; i < run->n; i++)
        run->micro[i] = random_step(s);
    run->op =
        history_invoke(s->h, client, client % 3, LEVEL_TRANSACTION, tick(s), run->micro, run->n);
    run->stage = STAGE_BEGUN;
}

/* Makes a list wrong in one of six ways; it has room for one more. */
static const char *spoil_list(struct store *s, int64_t *v, uint32_t *n)
{
    uint64_t way = *n < 2 ? 5 : prng_below(&s->prng, 6);
    if (way == 2 && s->r->workload == WORKLOAD_SET)
        way = 5; /* it has no order */
    uint32_t at = *n < 2 ? 0 : (uint32_t)prng_below(&s->prng, *n - 1);
    int64_t keep = *n < 2 ? 0 : v[at];
    switch (way) {
    case 0:
        (*n)--;
        return "the last element dropped";
    case 1:
        memmove(&v[at], &v[at + 1], (*n - at - 1) * sizeof *v);
        (*n)--;
        return "an element dropped";
    case 2:
        v[at] = v[at + 1];
        v[at + 1] = keep;
        return "two elements swapped";
    case 3:
        v[(*n)++] = keep;
        return "an element doubled";
    case 4:
        *n = at;
        return "an old version";
    default:
        v[(*n)++] = -1;
        return "an element that nobody wrote";
    }
}

/* A register's value from another time, or a wrong number. */
static const char *spoil_value(struct store *s, const struct micro *m, int64_t *v, uint32_t n)
{
    uint32_t at = (uint32_t)prng_below(&s->prng, n);
    if (s->r->workload == WORKLOAD_REGISTER) {
        const struct cell *c = &s->cell[m->key];
        int64_t old = v[at];
        for (uint32_t i = 0; i < 10 && v[at] == old && c->n > 0; i++)
            v[at] = c->list[prng_below(&s->prng, c->n)];
        v[at] = v[at] == old ? -1 : v[at];
        return v[at] < 0 ? "a value that nobody wrote" : "a value from another time";
    }
    int64_t by = 1 + (int64_t)prng_below(&s->prng, 40);
    v[at] -= by;
    if (n > 1 && chance(s, 50)) {
        v[(at + 1) % n] += by;
        return "money in another account";
    }
    return "a smaller number";
}

static void record_reads(struct store *s, struct running *run, bool last)
{
    for (uint32_t i = 0; i < run->n; i++) {
        if (run->micro[i].kind != MICRO_READ)
            continue;
        bool lists = s->r->workload == WORKLOAD_LIST || s->r->workload == WORKLOAD_SET;
        if (!last && ++s->r->reads == s->r->corrupt)
            s->r->mistaken = lists ? spoil_list(s, run->found[i], &run->found_n[i])
                                   : spoil_value(s, &run->micro[i], run->found[i], run->found_n[i]);
        history_read(s->h, run->op, i, run->found[i], run->found_n[i]);
    }
}

static void drop_found(struct running *run)
{
    for (uint32_t i = 0; i < run->n; i++) {
        free(run->found[i]);
        run->found[i] = NULL;
    }
}

static void complete(struct store *s, struct running *run, bool last)
{
    if (run->stage == STAGE_REFUSED) {
        history_fail(s->h, run->op, tick(s));
    } else if (!last && !s->r->certain && chance(s, 3)) {
        history_info(s->h, run->op, tick(s));
        if (chance(s, 50))
            history_committed(s->h, run->op, tick(s), run->ts);
    } else {
        record_reads(s, run, last);
        history_ok(s->h, run->op, tick(s), run->ts);
    }
    drop_found(run);
    run->stage = STAGE_IDLE;
}

/* The client gives up before its operation took effect, which may happen later, or not. */
static void give_up(struct store *s, struct running *run)
{
    history_info(s->h, run->op, tick(s));
    if (chance(s, 60))
        s->ghost[s->ghosts++] = *run;
    run->stage = STAGE_IDLE;
}

static void haunt(struct store *s, uint32_t i)
{
    struct running run = s->ghost[i];
    s->ghost[i] = s->ghost[--s->ghosts];
    apply(s, &run);
    if (chance(s, 30) && run.stage == STAGE_APPLIED)
        history_committed(s->h, run.op, tick(s), run.ts);
    else if (chance(s, 30) && run.stage == STAGE_REFUSED)
        history_aborted(s->h, run.op, tick(s));
    drop_found(&run);
}

static void step(struct store *s)
{
    uint32_t client = (uint32_t)prng_below(&s->prng, s->r->clients);
    struct running *run = &s->client[client];
    if (s->ghosts > 0 && chance(s, 5))
        haunt(s, (uint32_t)prng_below(&s->prng, s->ghosts));
    if (run->stage == STAGE_IDLE && s->h->n < s->r->operations)
        start(s, client);
    else if (run->stage == STAGE_BEGUN && !s->r->certain && chance(s, 2))
        give_up(s, run);
    else if (run->stage == STAGE_BEGUN)
        apply(s, run);
    else if (run->stage != STAGE_IDLE)
        complete(s, run, false);
}

static bool busy(const struct store *s)
{
    for (uint32_t i = 0; i < s->r->clients; i++)
        if (s->client[i].stage != STAGE_IDLE)
            return true;
    return s->h->n < s->r->operations;
}

static void read_everything(struct store *s)
{
    bool one = s->r->workload == WORKLOAD_BANK || s->r->workload == WORKLOAD_SET;
    for (uint32_t key = 0; key < (one ? 1 : s->cells); key++) {
        struct running run = {.n = 1, .micro = {{.kind = MICRO_READ, .key = key}}};
        run.op = history_invoke(s->h, 0, 0, LEVEL_TRANSACTION, tick(s), run.micro, 1);
        find(s, &run, 0);
        run.stage = STAGE_APPLIED;
        run.ts = ++s->ts;
        complete(s, &run, true);
    }
}

struct history *histories_random(struct random_history *r)
{
    struct store s = {.r = r, .h = history_new(r->workload, r->clients)};
    prng_seed(&s.prng, r->seed);
    r->reads = 0;
    r->mistaken = NULL;
    s.cells = r->keys * (r->operations / KEY_LIFE + 1);
    s.cell = xcalloc(s.cells, sizeof *s.cell);
    for (uint32_t i = 0; i < s.cells; i++)
        s.cell[i].value = r->workload == WORKLOAD_REGISTER ? HISTORY_NIL
                          : r->workload == WORKLOAD_BANK   ? RANDOM_BALANCE
                                                           : 0;
    s.client = xcalloc(r->clients, sizeof *s.client);
    s.ghost = xcalloc((size_t)r->operations + 1, sizeof *s.ghost);
    while (busy(&s))
        step(&s);
    read_everything(&s);
    history_end(s.h, tick(&s));
    for (uint32_t i = 0; i < s.cells; i++)
        free(s.cell[i].list);
    free(s.cell);
    free(s.client);
    free(s.ghost);
    return s.h;
}
