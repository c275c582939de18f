/* `assent put`, `del`, `add`, `get` and `outcome`: one key, one line. */
#include "client/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/command_level.h"
#include "client/list.h"

enum { OPTION_AT = 256, OPTION_MIN, OPTION_MAX, OPTION_RETURN };

/* ---- writes ---- */

struct write_call {
    struct bytes key;
    struct bytes value;
    int64_t delta;
    assent_bounds bounds;
};

static void show_commit(const struct command_call *call, assent_status status,
                        const assent_commit_info *info, const assent_entry *entry)
{
    char text[COMMAND_TIME_TEXT], txid[ASSENT_TXID_TEXT];
    if (call->output == OUTPUT_JSON) {
        json_t *json = command_json_commit(status, info);
        if (entry != NULL)
            json_object_set_new(json, "entry", command_json_entry(entry));
        command_json_print(json);
    } else if (entry != NULL) {
        command_print_bytes(stdout, bytes_of(entry->value, entry->value_len));
        putchar('\n');
    } else if (status == ASSENT_OK) {
        printf("committed %s at %s\n", assent_txid_text(&info->txid, txid),
               command_time_text(info->commit_ts, text));
    } else if (assent_maybe_committed(status)) {
        printf("unknown %s: ask 'assent outcome'\n", assent_txid_text(&info->txid, txid));
    }
}

static int commit(const struct command_call *call, assent_build build)
{
    assent *db;
    assent_txn *t;
    assent_commit_info info;
    assent_entry entry;
    int rc = command_open(call, &db);
    if (rc != 0)
        return rc;
    assent_status status = command_commit(call, db, build, call->own, false, &t, &info);
    if (status != ASSENT_OK)
        rc = command_fail_status(call, status, assent_error());
    bool has_entry = status == ASSENT_OK && assent_txn_entries(t) > 0 &&
                     assent_txn_entry(t, 0, &entry) == ASSENT_OK;
    show_commit(call, status, &info, has_entry ? &entry : NULL);
    assent_txn_free(t);
    assent_close(db);
    return rc;
}

static assent_status build_put(assent_txn *t, void *arg)
{
    const struct write_call *w = arg;
    return assent_put(t, w->key.data, w->key.len, w->value.data, w->value.len);
}

static assent_status build_del(assent_txn *t, void *arg)
{
    const struct write_call *w = arg;
    return assent_del(t, w->key.data, w->key.len);
}

static assent_status build_add(assent_txn *t, void *arg)
{
    const struct write_call *w = arg;
    return assent_add(t, w->key.data, w->key.len, w->delta, &w->bounds);
}

static int run_put(struct command_call *call)
{
    struct write_call *w = call->own;
    w->key = bytes_of_text(call->word[0]);
    w->value = bytes_of_text(call->word[1]);
    return commit(call, build_put);
}

static int run_del(struct command_call *call)
{
    struct write_call *w = call->own;
    w->key = bytes_of_text(call->word[0]);
    return commit(call, build_del);
}

static int run_add(struct command_call *call)
{
    struct write_call *w = call->own;
    w->key = bytes_of_text(call->word[0]);
    int rc = command_number("add: DELTA", call->word[1], INT64_MIN, INT64_MAX, &w->delta);
    return rc != 0 ? rc : commit(call, build_add);
}

static const struct argp_option add_options[] = {
    {"min", OPTION_MIN, "N", 0, "Abort rather than go below N", 0},
    {"max", OPTION_MAX, "N", 0, "Abort rather than go above N", 0},
    {"return", OPTION_RETURN, NULL, 0,
     "Print the result; no other transaction can add to the key meanwhile", 0},
    {0},
};

static int add_option(struct command_call *call, int key, char *arg)
{
    struct write_call *w = call->own;
    switch (key) {
    case OPTION_MIN:
        w->bounds.has_lower = true;
        return command_number("--min", arg, INT64_MIN, INT64_MAX, &w->bounds.lower);
    case OPTION_MAX:
        w->bounds.has_upper = true;
        return command_number("--max", arg, INT64_MIN, INT64_MAX, &w->bounds.upper);
    default:
        w->bounds.returns_value = true;
        return 0;
    }
}

/* ---- get ---- */

struct get_call {
    struct command_level level;
};

static const struct argp_option get_options[] = {
    {"at", OPTION_AT, "NODE|DC", 0, "Read at this participant, or in this datacenter", 0},
    COMMAND_LEVEL_OPTIONS,
    {0},
};

static int get_option(struct command_call *call, int key, char *arg)
{
    struct get_call *own = call->own;
    if (key != OPTION_AT)
        return command_level_option(&own->level, key, arg);
    own->level.options.where = arg;
    return 0;
}

static void show_value(const struct command_call *call, const assent_entry *entry)
{
    const struct get_call *own = call->own;
    if (call->output == OUTPUT_JSON) {
        json_t *json = command_json_entry(entry);
        command_level_show(call, &own->level, json);
        command_json_print(json);
        return;
    }
    command_level_show(call, &own->level, NULL);
    if (!entry->found)
        return;
    if (isatty(STDOUT_FILENO)) {
        command_print_bytes(stdout, bytes_of(entry->value, entry->value_len));
        putchar('\n');
    } else {
        fwrite(entry->value, 1, entry->value_len, stdout);
        putchar('\n');
    }
}

static int run_get(struct command_call *call)
{
    struct get_call *own = call->own;
    const char *key = call->word[0];
    char shown[KEY_TEXT_MAX];
    assent *db;
    assent_list *list = NULL;
    int rc = command_open(call, &db);
    if (rc != 0)
        return rc;
    rc = command_level_open(call, &own->level, db);
    if (rc != 0) {
        assent_close(db);
        return rc;
    }
    assent_status status = assent_get_with(db, key, strlen(key), &own->level.options, &list);
    if (status == ASSENT_OK || status == ASSENT_NOT_FOUND) {
        own->level.info = *assent_list_info(list);
        show_value(call, assent_list_entry(list, 0));
    }
    if (status == ASSENT_NOT_FOUND)
        rc =
            command_fail(EXIT_ABORTED, "get: %s: no such key", key_text(bytes_of_text(key), shown));
    else if (status != ASSENT_OK)
        rc = command_fail_status(call, status, assent_error());
    assent_list_free(list);
    command_level_close(&own->level);
    assent_close(db);
    return rc;
}

/* ---- outcome ---- */

static void show_outcome(const struct command_call *call, assent_status status, assent_ts ts)
{
    char text[COMMAND_TIME_TEXT];
    const char *word = status == ASSENT_OK        ? "committed"
                       : status == ASSENT_PENDING ? "pending"
                       : status == ASSENT_EXPIRED ? "expired"
                       : status == ASSENT_UNKNOWN ? "unknown"
                                                  : "aborted";
    if (call->output == OUTPUT_JSON) {
        json_t *json = json_pack("{s:s, s:s}", "txid", call->word[0], "status", word);
        if (status == ASSENT_OK) {
            json_object_set_new(json, "timestamp", json_integer((json_int_t)ts));
            json_object_set_new(json, "time", json_string(command_time_text(ts, text)));
        } else {
            json_object_set_new(json, "reason", json_string(assent_status_name(status)));
        }
        command_json_print(json);
    } else if (status == ASSENT_OK) {
        printf("committed at %s (%llu)\n", command_time_text(ts, text), (unsigned long long)ts);
    } else {
        printf("%s: %s: %s\n", word, assent_status_name(status), assent_status_text(status));
    }
}

static int run_outcome(struct command_call *call)
{
    assent *db;
    assent_txid id;
    assent_ts ts = 0;
    if (assent_txid_parse(call->word[0], &id) != ASSENT_OK)
        return command_fail(EX_USAGE, "outcome: %s", assent_error());
    int rc = command_open(call, &db);
    if (rc != 0)
        return rc;
    assent_status status = assent_outcome(db, &id, call->timeout_ms, &ts);
    bool failed = status == ASSENT_INVALID || status == ASSENT_CLOSED || status == ASSENT_NOT_SENT;
    if (failed || status == ASSENT_UNKNOWN)
        rc = command_fail_status(call, status, assent_error());
    else
        rc = status == ASSENT_OK              ? EXIT_SUCCESS
             : assent_maybe_committed(status) ? EXIT_MAYBE
                                              : EXIT_ABORTED;
    if (!failed)
        show_outcome(call, status, ts);
    assent_close(db);
    return rc;
}

/* ---- the table's rows ---- */

const struct command command_put = {
    .name = "put",
    .words = "KEY VALUE",
    .words_min = 2,
    .words_max = 2,
    .summary = "Writes a value",
    .detail =
        "Tried again after conflicts, until the timeout. A write to a replicated key goes to all "
        "of its replicas, or to none.",
    .connects = true,
    .own_size = sizeof(struct write_call),
    .run = run_put,
};

const struct command command_del = {
    .name = "del",
    .words = "KEY",
    .words_min = 1,
    .words_max = 1,
    .summary = "Deletes a key",
    .connects = true,
    .own_size = sizeof(struct write_call),
    .run = run_del,
};

const struct command command_add = {
    .name = "add",
    .words = "KEY DELTA",
    .words_min = 2,
    .words_max = 2,
    .summary = "Adds to an integer; an absent key counts as 0",
    .connects = true,
    .options = add_options,
    .option = add_option,
    .own_size = sizeof(struct write_call),
    .run = run_add,
};

const struct command command_get = {
    .name = "get",
    .words = "KEY",
    .words_min = 1,
    .words_max = 1,
    .summary = "Prints the value of a key",
    .connects = true,
    .options = get_options,
    .option = get_option,
    .own_size = sizeof(struct get_call),
    .run = run_get,
};

const struct command command_outcome = {
    .name = "outcome",
    .words = "TXID",
    .words_min = 1,
    .words_max = 1,
    .summary = "Says what became of a transaction",
    .detail =
        "A question about a transaction that no coordinator knows decides it: aborted, for good. "
        "Past the retention time the answer is expired (status 2), as it is no longer kept.",
    .connects = true,
    .run = run_outcome,
};
