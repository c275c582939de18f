/* What the nodes' databases say is read through the views that are there for people
 * (docs/disk-format.md): outcomes_all of both roles, in_doubt of participants, undecided of
 * coordinators. All outcomes, those that clients were told among them, are sorted by transaction,
 * and each transaction's are compared. */
#include "chaos/atomicity.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT       (-1) /* in the place of a directory: what a client was told */
#define DIRS_MAX     SITE_NODES_MAX
#define OPEN_MAX     20 /* transactions that a failure names */
#define PATH_BYTES   4400
#define OUTCOMES_SQL "SELECT txid, outcome FROM outcomes_all WHERE outcome <> 'forgotten'"

struct fact {
    struct txid txid;
    int where; /* place of the directory, or CLIENT */
    bool committed;
};

struct books {
    const char *const *dir; /* NULL: not there any more */
    const enum role *role;
    int dirs;
    uint64_t forgotten_ms[DIRS_MAX]; /* transactions before may have been forgotten there */
    size_t n, cap;
    struct fact *fact;
    const struct told **told; /* by transaction */
    size_t told_n;
    char why[512]; /* a database that could not be read; "": all could */
};

static const char *dir_name(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return slash == NULL ? dir : slash + 1;
}

static void add_fact(struct books *b, const struct txid *txid, int where, bool committed)
{
    if (b->n == b->cap) {
        b->cap = b->cap == 0 ? 1024 : 2 * b->cap;
        b->fact = xrealloc(b->fact, b->cap * sizeof *b->fact);
    }
    b->fact[b->n++] = (struct fact){*txid, where, committed};
}

static struct txid txid_of(const struct told *told)
{
    struct txid txid;
    memcpy(txid.b, told->txid.bytes, TXID_BYTES);
    return txid;
}

/* ---- reading ---- */

/* With or without dashes. */
static bool parse_txid(const char *text, struct txid *out)
{
    char hex[2 * TXID_BYTES + 1];
    size_t n = 0;
    for (; text != NULL && *text != '\0'; text++) {
        if (*text == '-')
            continue;
        if (n == 2 * TXID_BYTES)
            return false;
        hex[n++] = *text;
    }
    hex[n] = '\0';
    return bytes_from_hex(hex, out->b, TXID_BYTES);
}

static sqlite3 *open_books(struct books *b, int dir)
{
    char path[PATH_BYTES];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%.4000s/node.db", b->dir[dir]);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK)
        return db;
    snprintf(b->why, sizeof b->why, "%.300s cannot be opened: %.100s", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    return NULL;
}

/* Hands every row's first two columns, the second NULL if there is none, to `each`. */
static bool read_rows(struct books *b, int dir, sqlite3 *db, const char *sql,
                      bool (*each)(struct books *b, int dir, const char *first, const char *second))
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    bool good = rc == SQLITE_OK;
    while (good && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        good = each(b, dir, (const char *)sqlite3_column_text(stmt, 0),
                    (const char *)sqlite3_column_text(stmt, 1));
    good = good && rc == SQLITE_DONE;
    if (!good)
        snprintf(b->why, sizeof b->why, "%.300s/node.db cannot be read: %.100s", b->dir[dir],
                 rc == SQLITE_ROW ? "a row is not as expected" : sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    return good;
}

static bool take_outcome(struct books *b, int dir, const char *txid, const char *outcome)
{
    struct txid id;
    bool committed = outcome != NULL && strcmp(outcome, "committed") == 0;
    bool aborted = outcome != NULL && strcmp(outcome, "aborted") == 0;
    if (!parse_txid(txid, &id) || (!committed && !aborted))
        return false;
    add_fact(b, &id, dir, committed);
    return true;
}

static bool take_watermark(struct books *b, int dir, const char *ts, const char *none)
{
    (void)none;
    b->forgotten_ms[dir] = hlc_to_ms(strtoull(ts == NULL ? "0" : ts, NULL, 10));
    return true;
}

static void read_outcomes(struct books *b)
{
    for (int i = 0; i < b->dirs && b->why[0] == '\0'; i++) {
        if (b->dir[i] == NULL)
            continue;
        sqlite3 *db = open_books(b, i);
        if (db == NULL)
            return;
        if (read_rows(b, i, db, OUTCOMES_SQL, take_outcome))
            read_rows(b, i, db, "SELECT watermark FROM meta", take_watermark);
        sqlite3_close(db);
    }
}

static int compare_facts(const void *a, const void *b)
{
    const struct fact *x = a, *y = b;
    int order = txid_compare(&x->txid, &y->txid);
    return order != 0 ? order : (x->where > y->where) - (x->where < y->where);
}

static int compare_told(const void *a, const void *b)
{
    const struct told *const *x = a, *const *y = b;
    return memcmp((*x)->txid.bytes, (*y)->txid.bytes, TXID_BYTES);
}

static void take_told(struct books *b, const struct told *told, size_t n)
{
    b->told = xcalloc(n + 1, sizeof(struct told *));
    b->told_n = n;
    for (size_t i = 0; i < n; i++) {
        struct txid txid = txid_of(&told[i]);
        b->told[i] = &told[i];
        if (told[i].answer != ANSWER_UNKNOWN)
            add_fact(b, &txid, CLIENT, told[i].answer == ANSWER_COMMITTED);
    }
    if (n > 1)
        qsort(b->told, n, sizeof(struct told *), compare_told);
    if (b->n > 1)
        qsort(b->fact, b->n, sizeof *b->fact, compare_facts);
}

/* Turns what the client of the last transaction that a node knows, too, was told. */
static void plant(struct books *b)
{
    for (size_t i = b->n; i-- > 1;) {
        struct fact *answer = &b->fact[i - 1];
        if (answer->where != CLIENT || !txid_equal(&answer->txid, &b->fact[i].txid))
            continue;
        answer->committed = !answer->committed;
        return;
    }
}

/* ---- one outcome ---- */

static void say_facts(const struct books *b, size_t first, size_t end, struct judgement *j)
{
    char id[TXID_TEXT_BYTES];
    size_t len =
        (size_t)snprintf(j->text, sizeof j->text, "%s: ", txid_text(&b->fact[first].txid, id));
    for (size_t i = first; i < end && len < sizeof j->text; i++) {
        const struct fact *f = &b->fact[i];
        len += (size_t)snprintf(
            j->text + len, sizeof j->text - len, "%s%s %s", i > first ? ", " : "",
            f->where == CLIENT ? "its client was told" : dir_name(b->dir[f->where]),
            f->committed ? "committed" : "aborted");
    }
}

static const struct told *told_of(const struct books *b, const struct txid *txid)
{
    struct told key = {0};
    const struct told *at = &key;
    memcpy(key.txid.bytes, txid->b, TXID_BYTES);
    const struct told **found =
        bsearch(&at, b->told, b->told_n, sizeof(struct told *), compare_told);
    return found == NULL ? NULL : *found;
}

static bool committed_at(const struct books *b, size_t first, size_t end, int where)
{
    for (size_t i = first; i < end; i++)
        if (b->fact[i].where == where && b->fact[i].committed)
            return true;
    return false;
}

/* A participant of a committed transaction that has no record of it and has not forgotten it, or
 * -1. */
static int missing_at(const struct books *b, size_t first, size_t end)
{
    const struct told *told = told_of(b, &b->fact[first].txid);
    for (int i = 0; told != NULL && i < b->dirs; i++)
        if ((told->participants >> i & 1) != 0 && b->dir[i] != NULL &&
            b->role[i] == ROLE_PARTICIPANT && txid_ms(&b->fact[first].txid) >= b->forgotten_ms[i] &&
            !committed_at(b, first, end, i))
            return i;
    return -1;
}

/* The facts of one transaction. */
static bool agree(const struct books *b, size_t first, size_t end, struct judgement *j)
{
    bool committed = false, aborted = false;
    for (size_t i = first; i < end; i++) {
        committed = committed || b->fact[i].committed;
        aborted = aborted || !b->fact[i].committed;
    }
    int missing = committed && !aborted ? missing_at(b, first, end) : -1;
    if (!(committed && aborted) && missing < 0)
        return true;
    say_facts(b, first, end, j);
    size_t len = strlen(j->text);
    if (missing >= 0)
        snprintf(j->text + len, sizeof j->text - len,
                 "; %s took part, has no record of it and cannot have forgotten it yet",
                 dir_name(b->dir[missing]));
    return false;
}

static void judge_outcomes(const struct books *b, struct judgement *j)
{
    size_t transactions = 0, compared = 0, at_nodes = 0;
    j->verdict = VERDICT_HELD;
    for (size_t first = 0, end; first < b->n; first = end) {
        for (end = first + 1; end < b->n && txid_equal(&b->fact[first].txid, &b->fact[end].txid);)
            end++;
        transactions++;
        compared += end - first > 1;
        at_nodes += end - first - (b->fact[first].where == CLIENT);
        if (!agree(b, first, end, j)) {
            j->verdict = VERDICT_FAILED;
            return;
        }
    }
    if (at_nodes == 0)
        j->verdict = VERDICT_UNJUDGED;
    snprintf(
        j->text, sizeof j->text,
        "%zu transactions, of which %zu are known in more than one place; %zu records at nodes "
        "(older ones were forgotten as they must be), answers to clients of %zu",
        transactions, compared, at_nodes, b->told_n);
}

/* ---- nothing open ---- */

static bool take_open(struct books *b, int dir, const char *txid, const char *none)
{
    struct txid id;
    (void)none;
    if (!parse_txid(txid, &id))
        return false;
    add_fact(b, &id, dir, false);
    return true;
}

/* No node of the role has a row in its view. */
static void judge_open(struct books *b, enum role role, const char *sql, const char *says,
                       struct judgement *j)
{
    int judged = 0;
    b->n = 0;
    for (int i = 0; i < b->dirs && b->why[0] == '\0'; i++) {
        if (b->dir[i] == NULL || b->role[i] != role)
            continue;
        sqlite3 *db = open_books(b, i);
        judged += db != NULL && read_rows(b, i, db, sql, take_open);
        sqlite3_close(db);
    }
    size_t len = (size_t)snprintf(j->text, sizeof j->text, "%zu transactions %s at %d nodes", b->n,
                                  says, judged);
    for (size_t i = 0; i < b->n && i < OPEN_MAX && len < sizeof j->text; i++) {
        char id[TXID_TEXT_BYTES];
        len +=
            (size_t)snprintf(j->text + len, sizeof j->text - len, "%s%s at %s", i > 0 ? ", " : ": ",
                             txid_text(&b->fact[i].txid, id), dir_name(b->dir[b->fact[i].where]));
    }
    j->verdict = b->n > 0 ? VERDICT_FAILED : VERDICT_HELD;
    if (b->why[0] == '\0' && judged > 0)
        return;
    j->verdict = VERDICT_UNJUDGED;
    snprintf(j->text, sizeof j->text, "%s", b->why[0] == '\0' ? "there is no such node" : b->why);
}

/* `dir` with NULL for those that are gone. */
static void judge_books(const char *const *dir, const enum role *role, int dirs,
                        const struct told *told, size_t n, const char *planted,
                        struct judgements *out)
{
    struct books b = {.dir = dir, .role = role, .dirs = dirs};
    bool all_there = true;
    for (int i = 0; i < dirs; i++)
        all_there = all_there && dir[i] != NULL;
    read_outcomes(&b);
    take_told(&b, told, n);
    if (planted != NULL && strcmp(planted, "atomicity") == 0)
        plant(&b);
    struct judgement *j = judgements_add(
        out, "atomicity", "one outcome of every transaction, at nodes and for clients");
    if (b.why[0] == '\0')
        judge_outcomes(&b, j);
    else
        snprintf(j->text, sizeof j->text, "%s", b.why);
    judge_open(
        &b, ROLE_PARTICIPANT, "SELECT txid FROM in_doubt", "in doubt",
        judgements_add(out, "nothing-in-doubt", "no participant is in doubt, or keeps a lock"));
    /* Coordinators keep what a lost node has not settled. */
    if (all_there)
        judge_open(&b, ROLE_COORDINATOR, "SELECT txid FROM undecided", "not settled",
                   judgements_add(out, "nothing-open", "no coordinator has an open record"));
    free(b.fact);
    free(b.told);
}

void atomicity_judge_dirs(const char *const *dir, const enum role *role, int dirs,
                          const struct told *told, size_t n, const char *planted,
                          struct judgements *out)
{
    if (dirs > DIRS_MAX)
        abort();
    judge_books(dir, role, dirs, told, n, planted, out);
}

void atomicity_judge(const struct site *site, const struct told *told, size_t n,
                     const char *planted, struct judgements *out)
{
    const char *dir[DIRS_MAX];
    enum role role[DIRS_MAX];
    for (int i = 0; i < site->nodes; i++) {
        bool lost = (atomic_load(&site->lost) >> site->cluster->node[i].datacenter & 1) != 0;
        dir[i] = lost ? NULL : site->process[i].data_dir;
        role[i] = site->process[i].role;
    }
    atomicity_judge_dirs(dir, role, site->nodes, told, n, planted, out);
}
