/* `assent watch`: a line for every change of a key, or of the keys with a prefix. */
#include "client/command.h"

#include <inttypes.h>

#include "client/command_range.h"

enum { OPTION_AT = 256, OPTION_PREFIX, OPTION_SINCE, OPTION_COUNT, OPTION_POSITIONS };

/* How long one wait is when nothing else says so; with --positions, how often one is printed. */
#define WAIT_MS      10000u
#define POSITIONS_MS 1000u

struct watch_call {
    const char *at, *prefix;
    int64_t since, count; /* 0: none */
    int64_t shown;
    bool positions;
};

static const struct argp_option options[] = {
    {"prefix", OPTION_PREFIX, "PREFIX", 0, "All keys that begin with it, in place of one key", 0},
    {"since", OPTION_SINCE, "TIMESTAMP", 0, "What was committed after it (default: from now on)",
     0},
    {"count", OPTION_COUNT, "N", 0, "End after so many changes", 0},
    {"positions", OPTION_POSITIONS, NULL, 0,
     "Also print how far it is: all up to that timestamp was shown, for --since", 0},
    {"at", OPTION_AT, "NODE|DC", 0, "Watch at this participant, or in this datacenter", 0},
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct watch_call *own = call->own;
    switch (key) {
    case OPTION_AT:
        own->at = arg;
        return 0;
    case OPTION_PREFIX:
        own->prefix = arg;
        return 0;
    case OPTION_SINCE:
        return command_number("--since", arg, 0, INT64_MAX, &own->since);
    case OPTION_COUNT:
        return command_number("--count", arg, 1, INT64_MAX, &own->count);
    default:
        own->positions = true;
        return 0;
    }
}

static void show(const struct command_call *call, const assent_entry *entry)
{
    if (call->output == OUTPUT_JSON) {
        json_t *json = command_json_entry(entry);
        json_object_set_new(json, "found", json_boolean(entry->found));
        command_json_print(json);
        return;
    }
    fputs(entry->found ? "put\t" : "del\t", stdout);
    command_print_bytes(stdout, bytes_of(entry->key, entry->key_len));
    if (entry->found) {
        putchar('\t');
        command_print_bytes(stdout, bytes_of(entry->value, entry->value_len));
    }
    putchar('\n');
}

static void show_position(const struct command_call *call, assent_ts ts)
{
    if (call->output == OUTPUT_JSON)
        command_json_print(json_pack("{s:I}", "position", (json_int_t)ts));
    else
        printf("position\t%" PRIu64 "\n", ts);
}

static assent_status watch(const struct command_call *call, struct watch_call *own, assent_watch *w)
{
    uint32_t wait_ms = own->positions ? POSITIONS_MS : WAIT_MS;
    while (own->count == 0 || own->shown < own->count) {
        assent_list *list;
        assent_ts before = assent_watch_position(w);
        assent_status status =
            assent_watch_next(w, call->timeout_ms == 0 ? wait_ms : call->timeout_ms, &list);
        if (status == ASSENT_READ_TIMED_OUT && call->timeout_ms == 0)
            status = ASSENT_OK;
        if (status == ASSENT_READ_TIMED_OUT && assent_watch_position(w) != before)
            return ASSENT_NOT_FOUND;
        if (status != ASSENT_OK)
            return status;
        for (size_t i = 0; i < assent_list_size(list); i++)
            show(call, assent_list_entry(list, i));
        own->shown += (int64_t)assent_list_size(list);
        assent_list_free(list);
        if (own->positions && assent_watch_position(w) != 0)
            show_position(call, assent_watch_position(w));
        if (fflush(stdout) != 0)
            break; /* nobody reads; the command says so at its end */
    }
    return ASSENT_OK;
}

static int run(struct command_call *call)
{
    struct watch_call *own = call->own;
    struct bytes key = bytes_of_text(own->prefix != NULL ? own->prefix : "");
    struct writer end = {0};
    assent *db;
    assent_watch *w;
    if ((call->words == 1) == (own->prefix != NULL))
        return command_fail(EX_USAGE, "watch: give a key or --prefix PREFIX, and not both");
    if (own->prefix != NULL && *own->prefix == '\0')
        return command_fail(EX_USAGE, "watch: --prefix: an empty one: a watch is of keys with one "
                                      "placement: give one for each, such as dc1/");
    if (own->prefix == NULL)
        key = bytes_of_text(call->word[0]);
    else
        command_range_after(key, &end);
    int rc = command_open(call, &db);
    if (rc != 0) {
        writer_free(&end);
        return rc;
    }
    assent_status status = assent_watch_open(db, key.data, key.len, end.data, end.len,
                                             (assent_ts)own->since, own->at, &w);
    writer_free(&end);
    if (status == ASSENT_OK) {
        status = watch(call, own, w);
        assent_watch_close(w);
    }
    if (status != ASSENT_OK)
        rc = status == ASSENT_NOT_FOUND
                 ? command_fail(EXIT_ABORTED, "watch: nothing changed in time")
                 : command_fail_status(call, status, assent_error());
    assent_close(db);
    return rc;
}

const struct command command_watch = {
    .name = "watch",
    .words = "[KEY]",
    .words_max = 1,
    .summary = "Waits for changes of a key or a prefix, and shows them",
    .detail =
        "One line a change: \"put\", tab, key, tab, value, or \"del\", tab, key, with \\xNN for "
        "what cannot be shown. A key that changed several times since the last line may be shown "
        "once, with its newest value; a change may be shown twice. With --timeout it ends when "
        "nothing changed for so long, with exit status 1. Exit status 3, \"behind\", says that it "
        "missed changes: scan with --level snapshot, which tells its timestamp, then go on with "
        "that as --since. The keys must have one placement.",
    .connects = true,
    .options = options,
    .option = option,
    .own_size = sizeof(struct watch_call),
    .run = run,
};
