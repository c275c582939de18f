/* `assent shell`, its parts:
 *
 *     command_shell.c          the subcommand, reading lines, errors and the exit status
 *     command_shell_line.c     from text to a command
 *     command_shell_run.c      the commands
 *     command_shell_explain.c  where the time went
 *     command_shell_call.c     calls that wait for the cluster, and Ctrl-C
 *     command_shell_edit.c     the terminal: editing, history, completion */
#ifndef CLIENT_COMMAND_SHELL_H
#define CLIENT_COMMAND_SHELL_H

#include <signal.h>

#include "client/command.h"
#include "client/command_shell_line.h"
#include "common/limits.h"
#include "runtime/cluster.h"

struct shell_calls;
struct shell_edit;

enum shell_last { SHELL_LAST_NONE, SHELL_LAST_COMMIT, SHELL_LAST_READ };

struct shell {
    struct command_call *call;
    assent *db;
    struct cluster *cluster;
    const char *datacenter; /* where it runs, for the prompt */
    bool terminal;
    bool interactive; /* prompts, and errors do not end it */
    bool keep_going;
    unsigned long line_number;
    int rc; /* of the first error */
    bool quits;

    assent_session *session;     /* all reads and commits of the shell */
    assent_read_options reading; /* outside transactions */
    assent_txn *txn;             /* NULL: no transaction */
    struct shell_calls *calls;

    enum shell_last last; /* what explain is about */
    assent_status last_status;
    assent_commit_info last_commit;
    assent_read_info last_read;
};

/* ---- command_shell.c ---- */

/* "<sentence>" on stderr, with the line of a script before it; returns code. */
__attribute__((format(printf, 3, 4))) int shell_fail(struct shell *s, int code, const char *format,
                                                     ...);

/* ---- command_shell_run.c ---- */

/* 0, or the exit status of what went wrong and has been told. */
int shell_run(struct shell *s, const struct shell_line *line);

/* ---- command_shell_explain.c ---- */

void shell_explain_commit(assent_status status, const assent_commit_info *info);
void shell_explain_read(const assent_read_info *info);

/* ---- command_shell_call.c ---- */

enum { SHELL_EXIT_INTERRUPTED = 130 };

enum shell_call_kind { SHELL_CALL_GET, SHELL_CALL_SCAN, SHELL_CALL_COMMIT, SHELL_CALL_OUTCOME };

/* One call of the library, made by a thread of its own. It owns what it holds: Ctrl-C leaves it to
 * itself. */
struct shell_call {
    enum shell_call_kind kind;
    const struct command_call *call;
    assent *db;
    assent_txn *txn; /* of a read in a transaction and of a commit; may be NULL */
    struct blob *key, *end;
    assent_read_options options;
    struct command_op op; /* of a commit without txn: all of the transaction */
    assent_txid txid;     /* of an outcome that is asked for */
    /* what it gave */
    assent_status status;
    char why[1024];
    assent_list *list;
    assent_commit_info info;
    assent_ts ts;
};

struct shell_calls *shell_calls_open(void);
/* Ends calls that nobody waited for, when the handle is closed, and tells what became of them. */
void shell_calls_close(struct shell_calls *calls);
/* Makes the call and waits for it. NULL, and it is no longer the caller's: it was interrupted;
 * *txid is that of its commit, zero if it cannot have committed anything. */
struct shell_call *shell_call(struct shell_calls *calls, struct shell_call *call,
                              assent_txid *txid);
struct shell_call *shell_call_new(const struct shell *s, enum shell_call_kind kind);
void shell_call_free(struct shell_call *call);
/* Tells, on stdout, of commits that ended after nobody waited for them any more. */
void shell_calls_tell(struct shell_calls *calls);

/* Ctrl-C is blocked but in these two. Waits until the file can be read or another signal came;
 * false if Ctrl-C came. */
bool shell_wait_readable(int fd);
/* Whether Ctrl-C came when nobody waited; it is forgotten then. */
bool shell_interrupted(void);

/* ---- command_shell_edit.c ---- */

struct shell_edit *shell_edit_open(void);
void shell_edit_close(struct shell_edit *e);
/* The next line without its end, until the next call; NULL at the end of input. */
const char *shell_edit_line(struct shell_edit *e, const char *prompt);

#endif
