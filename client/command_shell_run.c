/* The commands of `assent shell`. A command that fails leaves the transaction as it was, but for a
 * commit, which ends it, and for Ctrl-C during a call that uses it. */
#include "client/command_shell.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_walk.h"
#include "client/list.h"
#include "client/txn.h"

/* A failed call of the library, and what to do next. */
static int fail_status(struct shell *s, const char *what, assent_status status, const char *why)
{
    return shell_fail(s, command_exit_of(status), "%s: %s: %s", what, assent_status_name(status),
                      *why != '\0' ? why : assent_status_text(status));
}

/* For calls that need a transaction, or must have none. */
static int need_txn(struct shell *s, const char *what)
{
    if (s->txn != NULL)
        return 0;
    return shell_fail(s, EX_USAGE, "%s: no transaction: type begin first", what);
}

static int need_no_txn(struct shell *s, const char *what, const char *why)
{
    if (s->txn == NULL)
        return 0;
    return shell_fail(s, EX_USAGE, "%s: %s: type commit or rollback first", what, why);
}

static void drop_txn(struct shell *s)
{
    assent_txn_free(s->txn);
    s->txn = NULL;
}

/* ---- calls ---- */

static int interrupted(struct shell *s, const char *what, const assent_txid *txid, bool had_txn)
{
    static const assent_txid none;
    char text[ASSENT_TXID_TEXT];
    if (s->terminal)
        printf("\n"); /* after the ^C that it shows */
    if (memcmp(txid, &none, sizeof none) != 0)
        return shell_fail(s, SHELL_EXIT_INTERRUPTED,
                          "%s: interrupted: %s may commit all the same: ask with outcome %s", what,
                          assent_txid_text(txid, text), text);
    return shell_fail(s, SHELL_EXIT_INTERRUPTED, "%s: interrupted%s", what,
                      had_txn ? ": the transaction is rolled back" : ": nothing was written");
}

/* Makes the call; NULL after telling that it was interrupted. Takes the transaction along, and puts
 * it back. */
static struct shell_call *make_call(struct shell *s, struct shell_call *call, bool in_txn,
                                    const char *what, int *rc)
{
    assent_txid txid;
    call->txn = in_txn ? s->txn : NULL;
    if (in_txn)
        s->txn = NULL;
    call = shell_call(s->calls, call, &txid);
    if (call == NULL) {
        *rc = interrupted(s, what, &txid, in_txn);
    } else if (in_txn) {
        s->txn = call->txn;
        call->txn = NULL;
    }
    return call;
}

static void saw_read(struct shell *s, const assent_list *list)
{
    const assent_read_info *info = list == NULL ? NULL : assent_list_info(list);
    if (info == NULL || info->participant == NULL)
        return;
    s->last = SHELL_LAST_READ;
    s->last_read = *info;
}

/* ---- reading ---- */

static int run_get(struct shell *s, const struct shell_line *line)
{
    int rc = 0;
    bool in_txn = s->txn != NULL;
    struct shell_call *call = shell_call_new(s, SHELL_CALL_GET);
    call->key = blob_ref(line->op.key);
    call->options = s->reading;
    call = make_call(s, call, in_txn, "get", &rc);
    if (call == NULL)
        return rc;
    if (call->status == ASSENT_OK || call->status == ASSENT_NOT_FOUND) {
        command_print_entry(assent_list_entry(call->list, 0));
        if (!in_txn)
            saw_read(s, call->list);
    } else {
        rc = fail_status(s, "get", call->status, call->why);
    }
    shell_call_free(call);
    return rc;
}

struct scan {
    struct shell *s;
    bool in_txn;
    bool descending;
    int rc;
};

static assent_status scan_read(void *arg, struct bytes key, struct bytes end, uint32_t limit,
                               assent_list **out)
{
    struct scan *scan = arg;
    struct shell_call *call = shell_call_new(scan->s, SHELL_CALL_SCAN);
    call->key = blob_new(key);
    call->end = blob_new(end);
    call->options = scan->s->reading;
    call->options.limit = limit;
    call->options.descending = scan->descending;
    call = make_call(scan->s, call, scan->in_txn, "scan", &scan->rc);
    if (call == NULL)
        return ASSENT_ROLLED_BACK;
    assent_status status = call->status;
    if (status == ASSENT_OK) {
        *out = call->list;
        call->list = NULL;
        if (!scan->in_txn)
            saw_read(scan->s, *out);
    } else {
        scan->rc = fail_status(scan->s, "scan", status, call->why);
    }
    shell_call_free(call);
    return status;
}

static void scan_show(void *arg, const assent_entry *entry)
{
    (void)arg;
    assent_entry shown = *entry;
    shown.truncated = false; /* the scan itself goes on */
    command_print_entry(&shown);
}

static int run_scan(struct shell *s, const struct shell_line *line)
{
    struct scan scan = {.s = s, .in_txn = s->txn != NULL, .descending = line->scan.down};
    struct command_walk walk = {
        .cluster = s->cluster,
        .read = scan_read,
        .show = scan_show,
        .arg = &scan,
        .limit = line->scan.limit,
        .descending = line->scan.down,
    };
    if (!command_walk_range(&walk, blob_bytes(line->scan.prefix), blob_bytes(line->scan.from),
                            blob_bytes(line->scan.to)))
        scan.rc =
            shell_fail(s, EX_USAGE, "scan: the range is empty: to= does not come after from=");
    else if (command_walk(&walk) == ASSENT_OK && walk.found == 0)
        printf("no keys\n");
    command_walk_free(&walk);
    return scan.rc;
}

/* ---- writing and committing ---- */

static void show_entries(const assent_txn *t)
{
    assent_entry entry;
    for (size_t i = 0; i < assent_txn_entries(t); i++)
        if (assent_txn_entry(t, i, &entry) == ASSENT_OK)
            command_print_entry(&entry);
    if (assent_txn_read_status(t) != ASSENT_OK)
        printf("what it read was lost on the way: read again\n");
}

static int fail_commit(struct shell *s, const struct shell_call *call)
{
    char text[ASSENT_TXID_TEXT];
    const char *why = *call->why != '\0' ? call->why : assent_status_text(call->status);
    int rc = command_exit_of(call->status);
    assent_txid_text(&call->info.txid, text);
    if (strncmp(why, text, strlen(text)) == 0 && strncmp(why + strlen(text), ": ", 2) == 0)
        why += strlen(text) + 2; /* explain shows it */
    if (assent_maybe_committed(call->status))
        return shell_fail(s, rc, "maybe committed: %s: %s: ask with outcome %s",
                          assent_status_name(call->status), why, text);
    return shell_fail(s, rc, "not committed: %s: %s%s", assent_status_name(call->status), why,
                      assent_retryable(call->status) ? "; done again it may succeed" : "");
}

/* Commits what the call holds: a transaction, or one operation. */
static int commit(struct shell *s, struct shell_call *call, bool in_txn)
{
    int rc = 0;
    call = make_call(s, call, in_txn, "commit", &rc);
    if (call == NULL)
        return rc;
    s->last = SHELL_LAST_COMMIT;
    s->last_status = call->status;
    s->last_commit = call->info;
    if (call->status == ASSENT_OK) {
        assent_session_saw(s->session, call->info.commit_ts);
        printf("committed\n");
        show_entries(in_txn ? s->txn : call->txn);
    } else {
        rc = fail_commit(s, call);
    }
    if (in_txn)
        drop_txn(s);
    shell_call_free(call);
    return rc;
}

static int run_op(struct shell *s, const struct shell_line *line)
{
    if (s->txn == NULL) {
        struct shell_call *call = shell_call_new(s, SHELL_CALL_COMMIT);
        call->op = line->op;
        if (call->op.key != NULL)
            blob_ref(call->op.key);
        if (call->op.value != NULL)
            blob_ref(call->op.value);
        return commit(s, call, false);
    }
    assent_status status = command_op_add(s->txn, &line->op);
    return status == ASSENT_OK ? 0 : fail_status(s, line->command->name, status, assent_error());
}

static int run_commit(struct shell *s)
{
    int rc = need_txn(s, "commit");
    if (rc != 0)
        return rc;
    if (s->txn->n == 0) {
        drop_txn(s);
        printf("nothing to commit\n");
        return 0;
    }
    return commit(s, shell_call_new(s, SHELL_CALL_COMMIT), true);
}

static int run_begin(struct shell *s, const struct shell_line *line)
{
    int rc = need_no_txn(s, "begin", "a transaction has begun already");
    assent_status status = ASSENT_OK;
    if (rc != 0)
        return rc;
    s->txn = assent_txn_new(s->db);
    if (line->has_ts)
        status = assent_txn_read_at(s->txn, line->ts);
    if (status == ASSENT_OK && line->strict)
        status = assent_txn_strict(s->txn);
    if (status == ASSENT_OK)
        return 0;
    rc = fail_status(s, "begin", status, assent_error());
    drop_txn(s);
    return rc;
}

static int run_rollback(struct shell *s, const struct shell_line *line)
{
    int rc = need_txn(s, "rollback");
    if (rc != 0)
        return rc;
    if (line->name == NULL) {
        drop_txn(s);
        printf("rolled back\n");
        return 0;
    }
    assent_status status = assent_rollback_to(s->txn, line->name);
    return status == ASSENT_OK ? 0 : fail_status(s, "rollback", status, assent_error());
}

static int run_savepoint(struct shell *s, const struct shell_line *line)
{
    int rc = need_txn(s, "savepoint");
    if (rc != 0)
        return rc;
    assent_status status = assent_savepoint(s->txn, line->name);
    return status == ASSENT_OK ? 0 : fail_status(s, "savepoint", status, assent_error());
}

/* ---- levels and sessions ---- */

static int run_level(struct shell *s, const struct shell_line *line)
{
    if (!line->has_level) {
        printf("%s", command_level_name(s->reading.level));
        if (s->reading.level == ASSENT_SNAPSHOT)
            printf(" %" PRIu64, s->reading.snapshot);
        else if (s->reading.level == ASSENT_BOUNDED)
            printf(" %" PRIu32, s->reading.stale_ms);
        printf("\n");
        return 0;
    }
    int rc = need_no_txn(s, "level", "a transaction reads at its snapshot");
    if (rc != 0)
        return rc;
    s->reading.level = line->level;
    s->reading.snapshot = line->has_ts                     ? line->ts
                          : line->level == ASSENT_SNAPSHOT ? assent_now(s->db)
                                                           : 0;
    s->reading.stale_ms = line->stale_ms;
    return 0;
}

static int run_session(struct shell *s, const struct shell_line *line)
{
    char token[ASSENT_TOKEN_TEXT];
    if (line->name == NULL) {
        printf("%s\n", assent_session_token(s->session, token));
        return 0;
    }
    assent_status status = assent_session_import(s->session, line->name);
    return status == ASSENT_OK ? 0 : fail_status(s, "session", status, assent_error());
}

/* ---- looking ---- */

static int run_explain(struct shell *s)
{
    switch (s->last) {
    case SHELL_LAST_COMMIT:
        shell_explain_commit(s->last_status, &s->last_commit);
        return 0;
    case SHELL_LAST_READ:
        shell_explain_read(&s->last_read);
        return 0;
    case SHELL_LAST_NONE:
        break;
    }
    return shell_fail(s, EX_USAGE,
                      "explain: there was no commit yet, and no read outside a "
                      "transaction: make one first");
}

static int run_outcome(struct shell *s, const struct shell_line *line)
{
    int rc = 0;
    assent_txid id;
    assent_status status = assent_txid_parse(line->name, &id);
    if (status != ASSENT_OK)
        return fail_status(s, "outcome", status, assent_error());
    struct shell_call *call = shell_call_new(s, SHELL_CALL_OUTCOME);
    call->txid = id;
    call = make_call(s, call, false, "outcome", &rc);
    if (call == NULL)
        return rc;
    status = call->status;
    if (status == ASSENT_OK)
        printf("committed\n");
    else if (status == ASSENT_INVALID || status == ASSENT_NOT_SENT || status == ASSENT_UNKNOWN)
        rc = fail_status(s, "outcome", status, call->why);
    else
        printf("%s: %s: %s\n",
               status == ASSENT_PENDING   ? "pending"
               : status == ASSENT_EXPIRED ? "expired"
                                          : "aborted",
               assent_status_name(status), assent_status_text(status));
    shell_call_free(call);
    return rc;
}

static int run_help(const struct shell_line *line)
{
    const struct shell_command *c = line->topic;
    if (c != NULL) {
        printf("%s%s%s\n%s.\n", c->name, *c->words == '\0' ? "" : " ", c->words, c->summary);
        if (c->detail != NULL)
            printf("%s\n", c->detail);
        return 0;
    }
    for (c = shell_commands; c->name != NULL; c++)
        printf("  %-9s  %s\n", c->name, c->summary);
    printf(
        "Words may be quoted: \"a b\", \\x00 for any byte, 'as it is'. Several commands on a line "
        "have ; between them,\n# begins a comment. Outside of begin and commit each write is a "
        "transaction of its own.\n");
    return 0;
}

int shell_run(struct shell *s, const struct shell_line *line)
{
    switch (line->command->kind) {
    case SHELL_GET:
        return run_get(s, line);
    case SHELL_SCAN:
        return run_scan(s, line);
    case SHELL_OP:
        return run_op(s, line);
    case SHELL_BEGIN:
        return run_begin(s, line);
    case SHELL_COMMIT:
        return run_commit(s);
    case SHELL_ROLLBACK:
        return run_rollback(s, line);
    case SHELL_SAVEPOINT:
        return run_savepoint(s, line);
    case SHELL_LEVEL:
        return run_level(s, line);
    case SHELL_SESSION:
        return run_session(s, line);
    case SHELL_EXPLAIN:
        return run_explain(s);
    case SHELL_OUTCOME:
        return run_outcome(s, line);
    case SHELL_HELP:
        return run_help(line);
    case SHELL_QUIT:
        s->quits = true;
        return 0;
    }
    return 0;
}
