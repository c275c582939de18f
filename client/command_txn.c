/* `assent txn`: one mini-transaction out of words or a file, and all that is known about its
 * commit. */
#include "client/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_ops.h"
#include "common/limits.h"

enum { OPTION_FILE = 'f', OPTION_ONCE = 256 };

struct txn_call {
    const char *file;
    bool once;
    struct command_ops ops;
};

static const struct argp_option options[] = {
    {"file", OPTION_FILE, "FILE", 0, "Operations from a file, one a line; - is standard input", 0},
    {"once", OPTION_ONCE, NULL, 0, "Do not try again after a conflict or a lost connection", 0},
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct txn_call *own = call->own;
    if (key == OPTION_FILE)
        own->file = arg;
    else
        own->once = true;
    return 0;
}

static assent_status build(assent_txn *t, void *arg)
{
    const struct txn_call *own = arg;
    assent_status status = ASSENT_OK;
    for (size_t i = 0; status == ASSENT_OK && i < own->ops.n; i++)
        status = command_op_add(t, &own->ops.op[i]);
    return status;
}

/* ---- showing ---- */

static void print_times(const assent_commit_info *info)
{
    char a[COMMAND_TIME_TEXT], b[COMMAND_TIME_TEXT], c[COMMAND_TIME_TEXT];
    if (info->coordinator != NULL)
        printf("coordinator  %s\n", info->coordinator);
    printf("total        %s", command_us_text(info->total_us, a));
    if (info->parts > 0)
        printf(" (of that, at the leader %s; last vote to decision %s)",
               command_us_text(info->leader_us, b), command_us_text(info->quorum_us, c));
    printf("\n");
    if (info->parts > 0)
        printf("\n");
    command_print_parts(info);
}

static void print_table(assent_status status, const assent_commit_info *info, const assent_txn *t)
{
    static const assent_txid none;
    char text[COMMAND_TIME_TEXT], txid[ASSENT_TXID_TEXT];
    if (status == ASSENT_OK)
        printf("status       committed\n");
    else
        printf("status       %s (%s)\n",
               assent_maybe_committed(status) ? "unknown: maybe committed" : "aborted",
               assent_status_name(status));
    if (memcmp(&info->txid, &none, sizeof none) != 0)
        printf("txid         %s\n", assent_txid_text(&info->txid, txid));
    if (status == ASSENT_OK)
        printf("timestamp    %llu (%s)\n", (unsigned long long)info->commit_ts,
               command_time_text(info->commit_ts, text));
    print_times(info);
    for (size_t i = 0; status == ASSENT_OK && i < assent_txn_entries(t); i++) {
        assent_entry entry;
        if (i == 0)
            printf("\n");
        if (assent_txn_entry(t, i, &entry) == ASSENT_OK)
            command_print_entry(&entry);
    }
}

static void print_json(assent_status status, const assent_commit_info *info, const assent_txn *t)
{
    json_t *json = command_json_commit(status, info), *entries = json_array();
    for (size_t i = 0; status == ASSENT_OK && i < assent_txn_entries(t); i++) {
        assent_entry entry;
        if (assent_txn_entry(t, i, &entry) != ASSENT_OK)
            continue;
        json_t *shown = command_json_entry(&entry);
        if (entry.truncated)
            json_object_set_new(shown, "truncated", json_true());
        json_array_append_new(entries, shown);
    }
    json_object_set_new(json, "entries", entries);
    command_json_print(json);
}

/* ---- the subcommand ---- */

static int read_file(const char *path, struct writer *text)
{
    char chunk[65536];
    size_t n;
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "r");
    if (file == NULL)
        return command_fail(EX_NOINPUT, "txn: %s: %s: name a file that can be read", path,
                            strerror(errno));
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0 && text->len <= 4 * TXN_BYTES_MAX)
        writer_raw(text, chunk, n);
    int failed = ferror(file) ? errno : 0;
    if (!standard)
        fclose(file);
    if (failed != 0)
        return command_fail(EX_NOINPUT, "txn: %s: %s: it could not be read", path,
                            strerror(failed));
    if (text->len > 4 * TXN_BYTES_MAX)
        return command_fail(EX_USAGE, "txn: %s: too large for one transaction: split it", path);
    return 0;
}

static int parse_ops(const struct command_call *call, struct txn_call *own)
{
    char why[512];
    struct writer text = {0};
    int rc = own->file == NULL ? 0 : read_file(own->file, &text);
    if (rc == 0 && own->file != NULL &&
        !command_ops_text(&own->ops, writer_view(&text), why, sizeof why))
        rc = command_fail(EX_USAGE, "txn: %s: %s", own->file, why);
    if (rc == 0 && !command_ops_words(&own->ops, call->word, call->words, why, sizeof why))
        rc = command_fail(EX_USAGE, "txn: %s", why);
    if (rc == 0 && own->ops.n == 0)
        rc = command_fail(EX_USAGE, "txn: no operations: see 'assent help txn'");
    writer_free(&text);
    return rc;
}

static int commit(const struct command_call *call, struct txn_call *own)
{
    assent *db;
    assent_txn *t;
    assent_commit_info info;
    int rc = command_open(call, &db);
    if (rc != 0)
        return rc;
    assent_status status = command_commit(call, db, build, own, own->once, &t, &info);
    if (status != ASSENT_OK)
        rc = command_fail_status(call, status, assent_error());
    (call->output == OUTPUT_JSON ? print_json : print_table)(status, &info, t);
    if (status == ASSENT_OK && assent_txn_read_status(t) != ASSENT_OK)
        fprintf(stderr, "assent: %s\n", assent_error());
    assent_txn_free(t);
    assent_close(db);
    return rc;
}

static int run(struct command_call *call)
{
    struct txn_call *own = call->own;
    int rc = parse_ops(call, own);
    if (rc == 0)
        rc = commit(call, own);
    command_ops_free(&own->ops);
    return rc;
}

const struct command command_txn = {
    .name = "txn",
    .words = "[OPERATION [, OPERATION]...]",
    .words_max = -1,
    .summary = "Commits checks, reads and writes at once, or nothing of it",
    .detail = "Operations, with `,` or `;` between them or one a line of the file:\n"
              "\n"
              "  exists KEY, absent KEY, value KEY VALUE, atleast KEY N\n"
              "      abort unless this holds\n"
              "  get KEY, range FROM TO [LIMIT]\n"
              "      reads as of the commit; an empty TO means no end\n"
              "      checks and reads see what was there before the writes, in any order\n"
              "  put KEY VALUE, del KEY\n"
              "  add KEY N ['>=LOWER'] ['<=UPPER'] [return]\n"
              "      aborts rather than pass a bound; quote it, or write min=LOWER, max=UPPER\n"
              "\n"
              "In a file (or in one quoted argument) words may be quoted, with \\xNN for any byte, "
              "and `#` "
              "starts a comment.\n"
              "\n"
              "  assent txn add acct/alice -30 min=0 , add acct/bob 30",
    .connects = true,
    .options = options,
    .option = option,
    .own_size = sizeof(struct txn_call),
    .run = run,
};
