/* The `assent` command: a table of subcommands (command.c), each a few lines of options and a run()
 * in client/command_<part>.c, over libassent.
 *
 * What a run() returns is the exit status, of which `assent help` has the list (command.c). What
 * went wrong is one line on stderr: what, where, what to do; results go to stdout. */
#ifndef CLIENT_COMMAND_H
#define CLIENT_COMMAND_H

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <sysexits.h>

#include <assent/assent.h>

#include "common/bytes.h"

enum { EXIT_ABORTED = 1, EXIT_MAYBE = 2, EXIT_BEHIND = 3 };

enum command_output { OUTPUT_TABLE, OUTPUT_JSON };

struct command_call;

struct command {
    const char *name;
    const char *words; /* for the usage line: "KEY VALUE" */
    int words_min;
    int words_max;                     /* -1: any number */
    const char *summary;               /* one line */
    const char *detail;                /* below the options in its help; may be NULL */
    bool connects;                     /* takes the options that say which cluster, and as whom */
    const struct argp_option *options; /* its own; NULL: none */
    /* Takes one of its own options: 0, or an exit status after saying what is wrong. */
    int (*option)(struct command_call *call, int key, char *arg);
    size_t own_size; /* zeroed bytes for what its options say */
    int (*run)(struct command_call *call);
};

/* One run of the command, as its arguments say. */
struct command_call {
    const struct command *command;
    const char *cluster_file; /* NULL: the default */
    const char *client;
    const char *key_file;
    const char *datacenter;
    uint32_t timeout_ms; /* 0: the library's */
    enum command_output output;
    int words;
    char **word;
    void *own;
    int rc; /* of parsing */
};

extern const struct command command_init, command_up, command_status, command_get, command_put,
    command_del, command_add, command_scan, command_txn, command_outcome, command_load,
    command_bench, command_watch, command_shell;

/* ---- common (command_common.c) ---- */

/* "assent: <sentence>" on one line of stderr; returns code. Another beginning may be set: a
 * script's line, say. */
extern const char *command_fail_prefix;
__attribute__((format(printf, 2, 3))) int command_fail(int code, const char *format, ...);
/* The same, of a failed library call, with the exit status that belongs to it. `why` may be empty.
 */
int command_fail_status(const struct command_call *call, assent_status status, const char *why);
int command_exit_of(assent_status status);
/* The cluster file to use, or NULL after saying that there is none. */
const char *command_cluster_file(const struct command_call *call);
/* 0, or an exit status after saying why. */
int command_options(const struct command_call *call, assent_options *out);
int command_open(const struct command_call *call, assent **out);
/* For numbers that options and words hold: 0, or EX_USAGE after naming `what`. */
int command_number(const char *what, const char *text, int64_t least, int64_t most, int64_t *out);

/* Like assent_run(), and keeps the last attempt's transaction, with what it read: *t, for the
 * caller to free. `once`: never tries again. */
assent_status command_commit(const struct command_call *call, assent *db, assent_build build,
                             void *arg, bool once, assent_txn **t, assent_commit_info *info);

/* ---- showing (command_show.c) ---- */

/* Whatever is not printable ASCII or UTF-8 as \xNN, so that it stays on its line. */
void command_print_bytes(FILE *out, struct bytes b);
/* A string; {"hex": "..."} for bytes that are not UTF-8. */
json_t *command_json_bytes(struct bytes b);
/* One line on stdout; takes the reference. */
void command_json_print(json_t *json);
#define COMMAND_TIME_TEXT 48
/* "2026-01-31T23:59:59.999Z" into out[COMMAND_TIME_TEXT]; returns out. */
const char *command_time_text(assent_ts ts, char *out);
/* A time for people, "1.23 ms", into out[COMMAND_TIME_TEXT]; returns out. */
const char *command_us_text(double us, char *out);
/* A line "KEY = VALUE" or "KEY is absent" on stdout. */
void command_print_entry(const assent_entry *entry);
/* The participants of a commit and where their time went, a line each; nothing if it is unknown. */
void command_print_parts(const assent_commit_info *info);
const char *command_level_name(assent_level level);
bool command_level_named(struct bytes name, assent_level *out);
/* What a commit gave, for -o json: status, txid, timestamp, who took how long. */
json_t *command_json_commit(assent_status status, const assent_commit_info *info);
json_t *command_json_entry(const assent_entry *entry);
/* The number of a line "name number" of a node's text; false if there is none. */
bool command_node_number(const char *text, const char *name, uint64_t *out);

#endif
