/* `assent shell`: commands one after another, from a terminal or a script on standard input. */
#include "client/command_shell.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_KEEP_GOING = 'k', OPTION_INTERACTIVE = 'i' };

/* a line: a value of which every byte is written \xNN, and its key */
#define LINE_BYTES_MAX (4 * (VALUE_BYTES_MAX + KEY_BYTES_MAX) + 4096u)

struct shell_options {
    bool keep_going;
    bool interactive;
};

static const struct argp_option options[] = {
    {"keep-going", OPTION_KEEP_GOING, NULL, 0, "A script goes on after an error", 0},
    {"interactive", OPTION_INTERACTIVE, NULL, 0,
     "Prompts even if standard input is no terminal, and goes on after errors", 0},
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct shell_options *own = call->own;
    (void)arg;
    if (key == OPTION_KEEP_GOING)
        own->keep_going = true;
    else
        own->interactive = true;
    return 0;
}

int shell_fail(struct shell *s, int code, const char *format, ...)
{
    char text[4096], where[64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(where, sizeof where, "assent: line %lu: ", s->line_number);
    command_fail_prefix = s->interactive ? "" : where;
    command_fail(code, "%s", text);
    command_fail_prefix = "assent: ";
    return code;
}

/* ---- lines that do not come from a terminal ---- */

struct script {
    struct writer text;
    size_t taken; /* of text: lines that were given away */
    bool ended;
    char *line;
};

enum script_result { SCRIPT_LINE, SCRIPT_END, SCRIPT_INTERRUPTED, SCRIPT_BAD };

/* Reads on until there is a line, its end left out; `line` is valid until the next call. */
static enum script_result script_line(struct script *p, struct bytes *line, const char **why)
{
    for (;;) {
        struct bytes rest = bytes_of(p->text.data + p->taken, p->text.len - p->taken);
        const uint8_t *end = rest.len == 0 ? NULL : memchr(rest.data, '\n', rest.len);
        if (end != NULL || (p->ended && rest.len > 0)) {
            size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
            *line = bytes_of(rest.data, len);
            p->taken += len + (end != NULL);
            return SCRIPT_LINE;
        }
        if (p->ended)
            return SCRIPT_END;
        *why = "the line is too long for any command: split it";
        if (rest.len > LINE_BYTES_MAX)
            return SCRIPT_BAD;
        if (rest.len > 0)
            memmove(p->text.data, rest.data, rest.len);
        p->text.len = rest.len;
        p->taken = 0;
        writer_reserve(&p->text, 65536);
        if (!shell_wait_readable(STDIN_FILENO))
            return SCRIPT_INTERRUPTED;
        ssize_t n = read(STDIN_FILENO, p->text.data + p->text.len, 65536);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            *why = strerror(errno);
            return SCRIPT_BAD;
        }
        p->ended = n == 0;
        p->text.len += n > 0 ? (size_t)n : 0;
    }
}

/* ---- one line ---- */

static void failed(struct shell *s, int rc)
{
    if (s->rc == 0 && !s->interactive)
        s->rc = rc;
    if (!s->interactive && (!s->keep_going || rc == SHELL_EXIT_INTERRUPTED))
        s->quits = true;
}

/* Runs its commands up to the first that fails. */
static void run_line(struct shell *s, struct bytes text)
{
    char why[512];
    int rc = 0;
    while (rc == 0 && !s->quits) {
        struct shell_line line;
        enum shell_read got = shell_line_read(&text, &line, why, sizeof why);
        if (got == SHELL_NOTHING)
            return;
        if (got == SHELL_BAD) {
            rc = shell_fail(s, EX_USAGE, "%s", why);
            break;
        }
        rc = shell_run(s, &line);
        shell_line_free(&line);
    }
    if (rc != 0)
        failed(s, rc);
}

static void prompt_text(const struct shell *s, char *out, size_t size)
{
    snprintf(out, size, "%s%s> ", s->datacenter, s->txn != NULL ? "*" : "");
}

/* ---- the loops ---- */

static void run_terminal(struct shell *s)
{
    struct shell_edit *edit = shell_edit_open();
    while (!s->quits) {
        char prompt[NAME_BYTES_MAX + 8];
        shell_calls_tell(s->calls);
        prompt_text(s, prompt, sizeof prompt);
        fflush(stdout);
        const char *line = shell_edit_line(edit, prompt);
        if (line == NULL)
            break;
        run_line(s, bytes_of_text(line));
    }
    shell_edit_close(edit);
}

static void run_script(struct shell *s)
{
    struct script p = {0};
    while (!s->quits) {
        char prompt[NAME_BYTES_MAX + 8];
        const char *why = "";
        struct bytes line = {0};
        if (s->interactive) {
            shell_calls_tell(s->calls);
            prompt_text(s, prompt, sizeof prompt);
            fputs(prompt, stdout);
        }
        fflush(stdout);
        enum script_result got = script_line(&p, &line, &why);
        if (got == SCRIPT_END) {
            printf("%s", s->interactive ? "\n" : "");
            break;
        }
        s->line_number++;
        if (got == SCRIPT_LINE)
            run_line(s, line);
        else if (got == SCRIPT_BAD)
            failed(s, shell_fail(s, EX_NOINPUT, "%s", why));
        else if (!s->interactive)
            failed(s, shell_fail(s, SHELL_EXIT_INTERRUPTED, "interrupted"));
        if (got == SCRIPT_BAD)
            break;
        if (!s->interactive && !s->quits && shell_interrupted())
            failed(s, shell_fail(s, SHELL_EXIT_INTERRUPTED, "interrupted"));
    }
    writer_free(&p.text);
}

/* The transaction that the input ended in. */
static void end_txn(struct shell *s)
{
    if (s->txn == NULL)
        return;
    assent_txn_free(s->txn);
    s->txn = NULL;
    if (s->interactive)
        printf("rolled back\n");
    else if (s->rc == 0)
        s->rc = shell_fail(s, EX_USAGE,
                           "the script ends inside a transaction, which is rolled back: end it "
                           "with commit or rollback");
}

/* ---- the subcommand ---- */

static int open_cluster(struct shell *s)
{
    char why[512];
    int rc = command_open(s->call, &s->db);
    if (rc != 0)
        return rc;
    s->cluster = cluster_load(command_cluster_file(s->call), why, sizeof why);
    if (s->cluster == NULL) {
        assent_close(s->db);
        return command_fail(EX_CONFIG, "shell: %s", why);
    }
    s->datacenter = s->call->datacenter != NULL ? s->call->datacenter : s->cluster->datacenter[0];
    s->session = assent_session_new(s->db);
    s->reading.session = s->session;
    return 0;
}

static int run(struct command_call *call)
{
    const struct shell_options *own = call->own;
    bool terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
    struct shell s = {
        .call = call,
        .terminal = terminal,
        .interactive = terminal || own->interactive,
        .keep_going = own->keep_going,
    };
    int rc = open_cluster(&s);
    if (rc != 0)
        return rc;
    setlocale(LC_CTYPE, "");
    s.calls = shell_calls_open();
    (terminal ? run_terminal : run_script)(&s);
    end_txn(&s);
    /* ends the calls that nobody waits for; they may still use the session until then */
    assent_close(s.db);
    shell_calls_close(s.calls);
    assent_session_free(s.session);
    cluster_free(s.cluster);
    return s.rc;
}

const struct command command_shell = {
    .name = "shell",
    .words = "",
    .summary = "Runs commands one after another: transactions, reads at any level",
    .detail =
        "Type help there for its commands. On a terminal the arrow keys bring back earlier lines, "
        "which are kept in $XDG_STATE_HOME/assent/shell_history (~/.local/state), the tab key "
        "completes, Ctrl-C clears the line or ends the wait for an answer, exit, quit or Ctrl-D "
        "leaves.\n"
        "\n"
        "From a script the first error, told with its line, ends it, and its kind is the exit "
        "status; with --keep-going that of the first error is the exit status at the end.\n"
        "\n"
        "  printf 'begin; get hello; put hello again; commit' | assent shell",
    .connects = true,
    .options = options,
    .option = option,
    .own_size = sizeof(struct shell_options),
    .run = run,
};
