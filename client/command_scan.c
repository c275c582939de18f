/* `assent scan`: keys in order, over as many placements and answers as it takes. */
#include "client/command.h"

#include <stdlib.h>
#include <string.h>

#include "client/command_level.h"
#include "client/command_range.h"
#include "runtime/cluster.h"

enum { OPTION_AT = 256, OPTION_FROM, OPTION_TO, OPTION_LIMIT };

struct scan_call {
    const char *at, *from, *to;
    struct command_level level;
    int64_t limit;        /* 0: none */
    int64_t found;        /* so far */
    bool more;            /* stopped at the limit */
    bool held;            /* some part of the range is where --at says */
    json_t *entries;      /* of -o json */
    struct writer at_key; /* where the rest of the range begins */
    struct writer end;    /* where it ends; empty: nowhere */
};

static const struct argp_option options[] = {
    {"from", OPTION_FROM, "KEY", 0, "The first key (default: the first with the prefix)", 0},
    {"to", OPTION_TO, "KEY", 0, "The key to stop before", 0},
    {"limit", OPTION_LIMIT, "N", 0, "At most so many keys", 0},
    {"at", OPTION_AT, "NODE|DC", 0, "Read at this participant, or in this datacenter", 0},
    COMMAND_LEVEL_OPTIONS,
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct scan_call *own = call->own;
    switch (key) {
    case OPTION_AT:
        own->at = arg;
        return 0;
    case OPTION_FROM:
        own->from = arg;
        return 0;
    case OPTION_TO:
        own->to = arg;
        return 0;
    case OPTION_LEVEL:
    case OPTION_TOKEN:
        return command_level_option(&own->level, key, arg);
    default:
        return command_number("--limit", arg, 1, INT64_MAX, &own->limit);
    }
}

static void show(const struct command_call *call, struct scan_call *own, const assent_entry *entry)
{
    own->found++;
    if (call->output == OUTPUT_JSON) {
        json_array_append_new(own->entries, command_json_entry(entry));
        return;
    }
    command_print_bytes(stdout, bytes_of(entry->key, entry->key_len));
    putchar('\t');
    command_print_bytes(stdout, bytes_of(entry->value, entry->value_len));
    putchar('\n');
}

/* Shows one answer and moves the key past it; *whole is whether the range is done. */
static void take(const struct command_call *call, struct scan_call *own, const assent_list *list,
                 bool *whole)
{
    size_t n = assent_list_size(list);
    *whole = true;
    for (size_t i = 0; i < n; i++) {
        const assent_entry *entry = assent_list_entry(list, i);
        show(call, own, entry);
        if (i + 1 < n || !entry->truncated)
            continue;
        *whole = false;
        own->at_key.len = 0;
        writer_raw(&own->at_key, entry->key, entry->key_len);
        writer_u8(&own->at_key, 0);
    }
}

/* The part of the range that has one placement, from at_key to `end`. */
static assent_status scan_placement(const struct command_call *call, struct scan_call *own,
                                    assent *db, struct bytes end)
{
    bool whole = false;
    while (!whole && !own->more) {
        assent_list *list;
        int64_t left = own->limit - own->found;
        uint32_t limit = own->limit == 0 || left > UINT32_MAX ? 0 : (uint32_t)left;
        own->level.options.where = own->at;
        own->level.options.limit = limit;
        assent_status status = assent_scan_with(db, own->at_key.data, own->at_key.len, end.data,
                                                end.len, &own->level.options, &list);
        if (status == ASSENT_WRONG_PLACEMENT && own->at != NULL)
            return ASSENT_OK; /* held elsewhere only */
        if (status != ASSENT_OK)
            return status;
        own->held = true;
        own->level.info = *assent_list_info(list);
        take(call, own, list, &whole);
        assent_list_free(list);
        own->more = own->limit != 0 && own->found >= own->limit;
    }
    return ASSENT_OK;
}

static assent_status scan_all(const struct command_call *call, struct scan_call *own, assent *db,
                              const struct cluster *cluster)
{
    struct writer border = {0};
    assent_status status = ASSENT_OK;
    bool last = false;
    while (status == ASSENT_OK && !own->more && !last &&
           command_range_has(writer_view(&own->at_key), writer_view(&own->end))) {
        command_range_placed(cluster, writer_view(&own->at_key), writer_view(&own->end), &border);
        if (cluster_place(cluster, writer_view(&own->at_key)) != NULL)
            status = scan_placement(call, own, db, writer_view(&border));
        last = border.len == 0;
        own->at_key.len = 0;
        writer_raw(&own->at_key, border.data, border.len);
    }
    writer_free(&border);
    return status;
}

/* From the prefix and the options to at_key and end. */
static void choose_range(const struct command_call *call, struct scan_call *own)
{
    struct bytes prefix = bytes_of_text(call->words > 0 ? call->word[0] : "");
    struct bytes from = bytes_of_text(own->from == NULL ? "" : own->from);
    struct bytes to = bytes_of_text(own->to == NULL ? "" : own->to);
    if (bytes_compare(from, prefix) < 0)
        from = prefix;
    command_range_after(prefix, &own->end);
    if (to.len > 0 && command_range_has(to, writer_view(&own->end))) {
        own->end.len = 0;
        writer_raw(&own->end, to.data, to.len);
    }
    writer_raw(&own->at_key, from.data, from.len);
    if (from.len == 0)
        writer_u8(&own->at_key, 0); /* the least key */
}

static int run(struct command_call *call)
{
    struct scan_call *own = call->own;
    char why[512];
    assent *db;
    int rc = command_open(call, &db);
    if (rc != 0)
        return rc;
    struct cluster *cluster = cluster_load(command_cluster_file(call), why, sizeof why);
    if (cluster == NULL) {
        assent_close(db);
        return command_fail(EX_CONFIG, "scan: %s", why);
    }
    rc = command_level_open(call, &own->level, db);
    if (rc != 0) {
        cluster_free(cluster);
        assent_close(db);
        return rc;
    }
    own->entries = json_array();
    choose_range(call, own);
    assent_status status = scan_all(call, own, db, cluster);
    if (status != ASSENT_OK)
        rc = command_fail_status(call, status, assent_error());
    else if (own->at != NULL && !own->held)
        rc = command_fail(EXIT_ABORTED, "scan: %s holds none of these keys: leave out --at",
                          own->at);
    else
        rc = own->found > 0 ? EXIT_SUCCESS : EXIT_ABORTED;
    if (call->output == OUTPUT_JSON && status == ASSENT_OK) {
        json_t *json = json_pack("{s:O, s:b}", "entries", own->entries, "at_limit", own->more);
        command_level_show(call, &own->level, json);
        command_json_print(json);
    } else if (status == ASSENT_OK) {
        command_level_show(call, &own->level, NULL);
    }
    command_level_close(&own->level);
    json_decref(own->entries);
    writer_free(&own->at_key);
    writer_free(&own->end);
    cluster_free(cluster);
    assent_close(db);
    return rc;
}

const struct command command_scan = {
    .name = "scan",
    .words = "[PREFIX]",
    .words_max = 1,
    .summary = "Lists keys and values in order",
    .detail =
        "One line a key: key, tab, value, with \\xNN for what cannot be shown. Each answer of a "
        "participant is read atomically; a long scan is several of them.",
    .connects = true,
    .options = options,
    .option = option,
    .own_size = sizeof(struct scan_call),
    .run = run,
};
