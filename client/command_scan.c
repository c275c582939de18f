/* `assent scan`: keys in order, over as many placements and answers as it takes. */
#include "client/command.h"

#include "client/command_level.h"
#include "client/command_walk.h"
#include "runtime/cluster.h"

enum { OPTION_AT = 256, OPTION_FROM, OPTION_TO, OPTION_LIMIT };

struct scan_call {
    const char *at, *from, *to;
    struct command_level level;
    int64_t limit;   /* 0: none */
    bool held;       /* some part of the range is where --at says */
    json_t *entries; /* of -o json */
    bool json;
    assent *db;
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

static void show(void *arg, const assent_entry *entry)
{
    struct scan_call *own = arg;
    if (own->json) {
        json_array_append_new(own->entries, command_json_entry(entry));
        return;
    }
    command_print_bytes(stdout, bytes_of(entry->key, entry->key_len));
    putchar('\t');
    command_print_bytes(stdout, bytes_of(entry->value, entry->value_len));
    putchar('\n');
}

static assent_status read_some(void *arg, struct bytes key, struct bytes end, uint32_t limit,
                               assent_list **out)
{
    struct scan_call *own = arg;
    own->level.options.where = own->at;
    own->level.options.limit = limit;
    assent_status status =
        assent_scan_with(own->db, key.data, key.len, end.data, end.len, &own->level.options, out);
    if (status == ASSENT_WRONG_PLACEMENT && own->at != NULL)
        return ASSENT_OK; /* held elsewhere only */
    if (status != ASSENT_OK)
        return status;
    own->held = true;
    own->level.info = *assent_list_info(*out);
    return ASSENT_OK;
}

static struct bytes text_of(const char *word)
{
    return bytes_of_text(word == NULL ? "" : word);
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
    own->json = call->output == OUTPUT_JSON;
    own->db = db;
    struct command_walk walk = {
        .cluster = cluster, .read = read_some, .show = show, .arg = own, .limit = own->limit};
    bool forward = command_walk_range(&walk, text_of(call->words > 0 ? call->word[0] : NULL),
                                      text_of(own->from), text_of(own->to));
    assent_status status = forward ? command_walk(&walk) : ASSENT_INVALID;
    if (!forward)
        rc = command_fail(EX_USAGE, "scan: the range is empty: --to does not come after --from");
    else if (status != ASSENT_OK)
        rc = command_fail_status(call, status, assent_error());
    else if (own->at != NULL && !own->held)
        rc = command_fail(EXIT_ABORTED, "scan: %s holds none of these keys: leave out --at",
                          own->at);
    else
        rc = walk.found > 0 ? EXIT_SUCCESS : EXIT_ABORTED;
    if (call->output == OUTPUT_JSON && status == ASSENT_OK) {
        json_t *json = json_pack("{s:O, s:b}", "entries", own->entries, "at_limit", walk.more);
        command_level_show(call, &own->level, json);
        command_json_print(json);
    } else if (status == ASSENT_OK) {
        command_level_show(call, &own->level, NULL);
    }
    command_level_close(&own->level);
    command_walk_free(&walk);
    json_decref(own->entries);
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
