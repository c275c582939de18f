#include "chaos/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define BLOCK_BYTES ((size_t)256 * 1024)

/* Memory that lives as long as the history. */
struct history_block {
    struct history_block *next;
    size_t used, size;
    _Alignas(16) uint8_t data[];
};

/* The longest read of a key so far. Shorter reads point to its beginning; a longer one is written
 * behind it in place, or moves to a larger array and leaves the old one to those who point there.
 */
struct history_list {
    UT_hash_handle hh;
    int64_t key;
    int64_t *values;
    uint32_t n, cap;
};

static void broken(const char *what)
{
    fprintf(stderr, "history: %s\n", what);
    abort();
}

static void *allocate(struct history *h, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct history_block *b = h->blocks;
    if (b == NULL || b->size - b->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        b = xmalloc(sizeof *b + room);
        b->next = h->blocks;
        b->used = 0;
        b->size = room;
        h->blocks = b;
    }
    void *at = b->data + b->used;
    b->used += size;
    return at;
}

struct history *history_new(enum history_kind workload, uint32_t clients)
{
    if (clients == 0 || clients > HISTORY_CLIENTS_MAX)
        broken("clients must be 1..HISTORY_CLIENTS_MAX");
    struct history *h = xcalloc(1, sizeof *h);
    h->workload = workload;
    h->clients = clients;
    h->process = xcalloc(clients, sizeof *h->process);
    h->under_way = xcalloc(clients, sizeof *h->under_way);
    h->weak_under_way = xcalloc(clients, sizeof *h->weak_under_way);
    h->now_ns = INT64_MIN;
    for (uint32_t i = 0; i < clients; i++) {
        h->process[i] = i;
        h->under_way[i] = h->weak_under_way[i] = HISTORY_NEVER;
    }
    return h;
}

void history_free(struct history *h)
{
    if (h == NULL)
        return;
    struct history_list *list, *next_list;
    HASH_ITER (hh, h->lists, list, next_list) {
        HASH_DEL(h->lists, list);
        free(list);
    }
    while (h->blocks != NULL) {
        struct history_block *b = h->blocks;
        h->blocks = b->next;
        free(b);
    }
    free(h->process);
    free(h->under_way);
    free(h->weak_under_way);
    free(h->op);
    free(h->weak);
    free(h->move);
    free(h);
}

static uint32_t next_event(struct history *h, int64_t now_ns)
{
    if (now_ns < h->now_ns)
        broken("the clock went back from one call to the next");
    h->now_ns = now_ns;
    return h->events++;
}

/* Whether operations of the workload may contain this step. */
static bool fits(enum history_kind workload, enum micro_kind kind)
{
    switch (kind) {
    case MICRO_READ:
        return true;
    case MICRO_APPEND:
        return workload == WORKLOAD_LIST;
    case MICRO_WRITE:
    case MICRO_CAS:
        return workload == WORKLOAD_REGISTER;
    case MICRO_ADD:
        return workload == WORKLOAD_SET || workload == WORKLOAD_COUNTER;
    case MICRO_TRANSFER:
        return workload == WORKLOAD_BANK;
    }
    return false;
}

/* A new operation of a client that has none under way. */
static struct operation operation_new(struct history *h, uint32_t client, uint32_t datacenter,
                                      enum level level, int64_t now_ns, const struct micro *micro,
                                      uint32_t n)
{
    if (client >= h->clients || h->under_way[client] != HISTORY_NEVER ||
        h->weak_under_way[client] != HISTORY_NEVER)
        broken("a client began an operation before its last one ended");
    if (n == 0 || (h->workload != WORKLOAD_LIST && n != 1))
        broken("a wrong number of steps in one operation");
    for (uint32_t i = 0; i < n; i++)
        if (!fits(h->workload, micro[i].kind) ||
            (level == LEVEL_WEAK && micro[i].kind != MICRO_READ))
            broken("a step that is not of this workload");
    struct operation op = {.process = h->process[client],
                           .client = client,
                           .datacenter = datacenter,
                           .level = level,
                           .start_ns = now_ns,
                           .invoked_at = next_event(h, now_ns),
                           .logged_at = HISTORY_NEVER,
                           .ended_at = HISTORY_NEVER,
                           .session = HISTORY_NO_SESSION,
                           .n = n,
                           .micro = allocate(h, n * sizeof *micro)};
    for (uint32_t i = 0; i < n; i++) {
        op.micro[i] = micro[i];
        op.micro[i].known = false;
        op.micro[i].n = 0;
        op.micro[i].values = NULL;
    }
    return op;
}

uint32_t history_invoke(struct history *h, uint32_t client, uint32_t datacenter, enum level level,
                        int64_t now_ns, const struct micro *micro, uint32_t n)
{
    if (h->n == HISTORY_OPERATIONS_MAX)
        broken("too many operations");
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 64 : 2 * h->cap;
        h->op = xrealloc(h->op, h->cap * sizeof *h->op);
    }
    h->op[h->n] = operation_new(h, client, datacenter, level, now_ns, micro, n);
    h->under_way[client] = h->n;
    return h->n++;
}

static struct operation *open_operation(struct history *h, uint32_t op)
{
    if (op >= h->n || h->op[op].result != RESULT_OPEN)
        broken("a call for an operation that is not open");
    return &h->op[op];
}

void history_txid(struct history *h, uint32_t op, const struct txid *txid)
{
    open_operation(h, op)->txid = *txid;
}

void history_session(struct history *h, uint32_t op, uint32_t session)
{
    open_operation(h, op)->session = session;
}

static const int64_t *share(struct history *h, int64_t key, const int64_t *values, uint32_t n)
{
    struct history_list *list;
    HASH_FIND(hh, h->lists, &key, sizeof key, list);
    if (list == NULL) {
        list = xcalloc(1, sizeof *list);
        list->key = key;
        HASH_ADD(hh, h->lists, key, sizeof list->key, list);
    }
    uint32_t same = n < list->n ? n : list->n;
    if (same > 0 && memcmp(values, list->values, same * sizeof *values) != 0) {
        int64_t *alone = allocate(h, n * sizeof *alone);
        memcpy(alone, values, n * sizeof *alone);
        return alone;
    }
    if (n > list->cap) {
        list->cap = n < 4 ? 8 : 2 * n;
        int64_t *larger = allocate(h, list->cap * sizeof *larger);
        if (list->n > 0)
            memcpy(larger, list->values, list->n * sizeof *larger);
        list->values = larger;
    }
    if (n > list->n) {
        memcpy(list->values + list->n, values + list->n, (n - list->n) * sizeof *values);
        list->n = n;
    }
    return list->values;
}

static void found(struct history *h, struct operation *o, uint32_t index, const int64_t *values,
                  uint32_t n)
{
    if (index >= o->n || o->micro[index].kind != MICRO_READ)
        broken("a result for a step that is not a read");
    bool one_value = h->workload == WORKLOAD_REGISTER || h->workload == WORKLOAD_COUNTER;
    if (one_value && n != 1)
        broken("a read of one key has one value");
    struct micro *m = &o->micro[index];
    m->known = true;
    m->n = n;
    if (n == 0)
        return;
    if (h->workload == WORKLOAD_LIST) {
        m->values = share(h, m->key, values, n);
        return;
    }
    int64_t *copy = allocate(h, n * sizeof *copy);
    memcpy(copy, values, n * sizeof *copy);
    m->values = copy;
}

void history_read(struct history *h, uint32_t op, uint32_t index, const int64_t *values, uint32_t n)
{
    found(h, open_operation(h, op), index, values, n);
}

static bool all_known(const struct operation *o)
{
    for (uint32_t i = 0; i < o->n; i++)
        if (o->micro[i].kind == MICRO_READ && !o->micro[i].known)
            return false;
    return true;
}

static void end_operation(struct history *h, struct operation *o, int64_t now_ns,
                          enum op_result result)
{
    o->result = result;
    o->end_ns = now_ns;
    o->logged_at = next_event(h, now_ns);
    o->ended_at = result == RESULT_INFO ? HISTORY_NEVER : o->logged_at;
    o->logged_info = result == RESULT_INFO || (result == RESULT_OK && !all_known(o));
    h->under_way[o->client] = h->weak_under_way[o->client] = HISTORY_NEVER;
    if (o->logged_info)
        h->process[o->client] += h->clients;
}

static void end(struct history *h, uint32_t op, int64_t now_ns, enum op_result result)
{
    end_operation(h, open_operation(h, op), now_ns, result);
}

void history_ok(struct history *h, uint32_t op, int64_t now_ns, hlc_ts commit_ts)
{
    end(h, op, now_ns, RESULT_OK);
    h->op[op].commit_ts = commit_ts;
}

void history_fail(struct history *h, uint32_t op, int64_t now_ns)
{
    end(h, op, now_ns, RESULT_FAIL);
}

void history_info(struct history *h, uint32_t op, int64_t now_ns)
{
    end(h, op, now_ns, RESULT_INFO);
}

static void resolve(struct history *h, uint32_t op, int64_t now_ns, enum op_result result)
{
    if (op >= h->n || h->op[op].result != RESULT_INFO)
        broken("an outcome for an operation that did not end as unknown");
    h->op[op].result = result;
    h->op[op].ended_at = next_event(h, now_ns);
}

void history_committed(struct history *h, uint32_t op, int64_t now_ns, hlc_ts commit_ts)
{
    resolve(h, op, now_ns, RESULT_OK);
    h->op[op].commit_ts = commit_ts;
}

void history_aborted(struct history *h, uint32_t op, int64_t now_ns)
{
    resolve(h, op, now_ns, RESULT_FAIL);
}

/* ---- reads below strong ---- */

static struct weak_read *open_weak(struct history *h, uint32_t weak)
{
    if (weak >= h->weak_n || h->weak[weak].op.result != RESULT_OPEN)
        broken("a call for a read that is not open");
    return &h->weak[weak];
}

uint32_t history_weak_invoke(struct history *h, uint32_t client, uint32_t datacenter,
                             const struct weak_how *how, int64_t now_ns, const struct micro *micro,
                             uint32_t n)
{
    if (h->weak_n == HISTORY_OPERATIONS_MAX)
        broken("too many reads");
    if (h->weak_n == h->weak_cap) {
        h->weak_cap = h->weak_cap == 0 ? 64 : 2 * h->weak_cap;
        h->weak = xrealloc(h->weak, h->weak_cap * sizeof *h->weak);
    }
    struct weak_read *w = &h->weak[h->weak_n];
    *w =
        (struct weak_read){.op = operation_new(h, client, datacenter, LEVEL_WEAK, now_ns, micro, n),
                           .level = how->level,
                           .asked = how->asked,
                           .stale_ns = how->bound_ns,
                           .after_all = how->after_all};
    w->op.session = how->session;
    h->weak_under_way[client] = h->weak_n;
    return h->weak_n++;
}

void history_weak_found(struct history *h, uint32_t weak, uint32_t index, const int64_t *values,
                        uint32_t n)
{
    found(h, &open_weak(h, weak)->op, index, values, n);
}

void history_weak_ok(struct history *h, uint32_t weak, int64_t now_ns, hlc_ts ts, int64_t age_ns)
{
    struct weak_read *w = open_weak(h, weak);
    end_operation(h, &w->op, now_ns, RESULT_OK);
    w->op.commit_ts = ts;
    if (age_ns < w->stale_ns)
        w->stale_ns = age_ns;
}

void history_weak_fail(struct history *h, uint32_t weak, int64_t now_ns)
{
    end_operation(h, &open_weak(h, weak)->op, now_ns, RESULT_FAIL);
}

static struct token_move *move_new(struct history *h, uint32_t client, uint32_t session,
                                   int64_t now_ns)
{
    if (client >= h->clients || h->under_way[client] != HISTORY_NEVER ||
        h->weak_under_way[client] != HISTORY_NEVER)
        broken("a token was moved in the middle of an operation");
    if (h->moves == h->moves_cap) {
        h->moves_cap = h->moves_cap == 0 ? 64 : 2 * h->moves_cap;
        h->move = xrealloc(h->move, h->moves_cap * sizeof *h->move);
    }
    struct token_move *m = &h->move[h->moves++];
    *m = (struct token_move){.token = h->moves - 1,
                             .session = session,
                             .process = h->process[client],
                             .at_ns = now_ns,
                             .invoked_at = next_event(h, now_ns)};
    next_event(h, now_ns);
    return m;
}

uint32_t history_export(struct history *h, uint32_t client, uint32_t session, int64_t now_ns)
{
    return move_new(h, client, session, now_ns)->token;
}

void history_import(struct history *h, uint32_t client, uint32_t session, uint32_t token,
                    int64_t now_ns)
{
    if (token >= h->moves || h->move[token].import)
        broken("a token that nobody wrote down");
    struct token_move *m = move_new(h, client, session, now_ns);
    m->import = true;
    m->token = token;
}

void history_end(struct history *h, int64_t now_ns)
{
    for (uint32_t i = 0; i < h->clients; i++) {
        if (h->under_way[i] != HISTORY_NEVER)
            history_info(h, h->under_way[i], now_ns);
        if (h->weak_under_way[i] != HISTORY_NEVER)
            end_operation(h, &h->weak[h->weak_under_way[i]].op, now_ns, RESULT_INFO);
    }
}

struct history_event *history_events(const struct history *h, uint32_t *n)
{
    struct history_event *all = xcalloc((size_t)h->events + 1, sizeof *all);
    for (uint32_t i = 0; i < h->events; i++)
        all[i].op = HISTORY_NEVER;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct operation *o = &h->op[i];
        all[o->invoked_at] = (struct history_event){i, false};
        if (o->ended_at != HISTORY_NEVER)
            all[o->ended_at] = (struct history_event){i, true};
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->events; i++)
        if (all[i].op != HISTORY_NEVER)
            all[kept++] = all[i];
    *n = kept;
    return all;
}

static void write_number(FILE *out, int64_t v)
{
    if (v == HISTORY_NIL)
        fputs("nil", out);
    else
        fprintf(out, "%" PRId64, v);
}

static void write_list(FILE *out, const struct micro *m, const char *open, const char *close)
{
    fputs(open, out);
    for (uint32_t i = 0; i < m->n; i++) {
        if (i > 0)
            fputc(' ', out);
        write_number(out, m->values[i]);
    }
    fputs(close, out);
}

static int compare_values(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A set literal may not name an element twice: readers of EDN refuse it. */
static void write_set(FILE *out, const struct micro *m)
{
    int64_t *sorted = xcalloc((size_t)m->n + 1, sizeof *sorted);
    if (m->n > 0)
        memcpy(sorted, m->values, m->n * sizeof *sorted);
    qsort(sorted, m->n, sizeof *sorted, compare_values);
    struct micro unique = {.values = sorted};
    for (uint32_t i = 0; i < m->n; i++)
        if (i == 0 || sorted[i] != sorted[unique.n - 1])
            sorted[unique.n++] = sorted[i];
    write_list(out, &unique, "#{", "}");
    free(sorted);
}

static void write_balances(FILE *out, const struct micro *m)
{
    fputc('{', out);
    for (uint32_t i = 0; i < m->n; i++) {
        fprintf(out, "%s%" PRIu32 " ", i > 0 ? ", " : "", i);
        write_number(out, m->values[i]);
    }
    fputc('}', out);
}

static void write_transaction(FILE *out, const struct operation *o, bool results)
{
    fputc('[', out);
    for (uint32_t i = 0; i < o->n; i++) {
        const struct micro *m = &o->micro[i];
        if (i > 0)
            fputc(' ', out);
        if (m->kind == MICRO_APPEND) {
            fprintf(out, "[:append %" PRId64 " %" PRId64 "]", m->key, m->value);
            continue;
        }
        fprintf(out, "[:r %" PRId64 " ", m->key);
        if (results)
            write_list(out, m, "[", "]");
        else
            fputs("nil", out);
        fputc(']', out);
    }
    fputc(']', out);
}

static void write_pair(FILE *out, int64_t first, int64_t second)
{
    fputc('[', out);
    write_number(out, first);
    fputc(' ', out);
    write_number(out, second);
    fputc(']', out);
}

static void write_read(FILE *out, enum history_kind workload, const struct micro *m, bool results)
{
    bool keyed = workload == WORKLOAD_REGISTER || workload == WORKLOAD_COUNTER;
    if (keyed)
        write_pair(out, m->key, results ? m->values[0] : HISTORY_NIL);
    else if (!results)
        fputs("nil", out);
    else if (workload == WORKLOAD_BANK)
        write_balances(out, m);
    else
        write_set(out, m);
}

static void write_value(FILE *out, enum history_kind workload, const struct operation *o,
                        bool results)
{
    const struct micro *m = &o->micro[0];
    if (workload == WORKLOAD_LIST) {
        write_transaction(out, o, results);
        return;
    }
    switch (m->kind) {
    case MICRO_READ:
        write_read(out, workload, m, results);
        break;
    case MICRO_CAS:
        fprintf(out, "[%" PRId64 " ", m->key);
        write_pair(out, m->other, m->value);
        fputc(']', out);
        break;
    case MICRO_TRANSFER:
        fprintf(out, "{:from %" PRId64 " :to %" PRId64 " :amount %" PRId64 "}", m->key, m->other,
                m->value);
        break;
    case MICRO_ADD:
        if (workload == WORKLOAD_SET)
            write_number(out, m->value);
        else
            write_pair(out, m->key, m->value);
        break;
    case MICRO_APPEND:
    case MICRO_WRITE:
        write_pair(out, m->key, m->value);
        break;
    }
}

static const char *type_text(const struct operation *o, bool is_end)
{
    if (!is_end)
        return "invoke";
    if (o->logged_info)
        return "info";
    return o->result == RESULT_OK ? "ok" : "fail";
}

/* One event of the saved history: of an operation, of a weak read or of a token. */
struct line {
    const struct operation *op;
    const struct weak_read *weak;
    const struct token_move *move;
    bool end;
};

static struct line *lines_in_order(const struct history *h)
{
    struct line *all = xcalloc((size_t)h->events + 1, sizeof *all);
    for (uint32_t i = 0; i < h->n + h->weak_n; i++) {
        const struct weak_read *weak = i < h->n ? NULL : &h->weak[i - h->n];
        const struct operation *o = weak == NULL ? &h->op[i] : &weak->op;
        all[o->invoked_at] = (struct line){o, weak, NULL, false};
        if (o->logged_at != HISTORY_NEVER)
            all[o->logged_at] = (struct line){o, weak, NULL, true};
    }
    for (uint32_t i = 0; i < h->moves; i++)
        for (uint32_t k = 0; k < 2; k++)
            all[h->move[i].invoked_at + k] = (struct line){.move = &h->move[i], .end = k == 1};
    return all;
}

static const char *f_text(const struct history *h, const struct line *l)
{
    static const char *const text[] = {
        [MICRO_READ] = "read", [MICRO_APPEND] = "append", [MICRO_WRITE] = "write",
        [MICRO_CAS] = "cas",   [MICRO_ADD] = "add",       [MICRO_TRANSFER] = "transfer"};
    if (l->move != NULL)
        return l->move->import ? "import" : "export";
    if (l->weak == NULL && h->workload == WORKLOAD_LIST)
        return "txn";
    return text[l->op->micro[0].kind];
}

static void write_level(FILE *out, const struct line *l)
{
    static const char *const level[] = {[READ_STRONG] = "strong",
                                        [READ_SNAPSHOT] = "snapshot",
                                        [READ_SESSION] = "session",
                                        [READ_BOUNDED] = "bounded",
                                        [READ_EVENTUAL] = "eventual"};
    uint32_t session = l->move != NULL ? l->move->session : l->op->session;
    if (l->move != NULL)
        fputs(" :level :token", out);
    if (l->weak != NULL)
        fprintf(out, " :level :%s", level[l->weak->level]);
    if (l->weak != NULL && l->weak->asked != 0)
        fprintf(out, " :asked %" PRIu64, l->weak->asked);
    if (l->weak != NULL && l->end && l->op->result == RESULT_OK) {
        fprintf(out, " :ts %" PRIu64, l->op->commit_ts);
        if (l->weak->stale_ns != HISTORY_AGE_UNKNOWN)
            fprintf(out, " :stale %" PRId64, l->weak->stale_ns);
    }
    if (session != HISTORY_NO_SESSION)
        fprintf(out, " :session %" PRIu32, session);
}

static void write_line(FILE *out, const struct history *h, uint32_t index, const struct line *l)
{
    const struct operation *o = l->op;
    bool move = l->move != NULL;
    const char *type = !move ? type_text(o, l->end) : l->end ? "ok" : "invoke";
    fprintf(out, "{:index %" PRIu32 " :time %" PRId64 " :process %" PRIu32 " :type :%s :f :%s",
            index,
            move     ? l->move->at_ns
            : l->end ? o->end_ns
                     : o->start_ns,
            move ? l->move->process : o->process, type, f_text(h, l));
    fputs(" :value ", out);
    if (move)
        fprintf(out, "%" PRIu32, l->move->token);
    else
        write_value(out, h->workload, o, l->end && o->result == RESULT_OK && !o->logged_info);
    write_level(out, l);
    fputs("}\n", out);
}

bool history_write_edn(const struct history *h, FILE *out)
{
    struct line *line = lines_in_order(h);
    uint32_t written = 0;
    for (uint32_t i = 0; i < h->events; i++)
        if (line[i].op != NULL || line[i].move != NULL)
            write_line(out, h, written++, &line[i]);
    free(line);
    return fflush(out) == 0 && !ferror(out);
}
