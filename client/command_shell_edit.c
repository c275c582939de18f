/* The terminal of `assent shell`, with libedit. Its signal handling is not used: it would send
 * signals on to the whole process group. Characters are waited for here (read_character), where
 * Ctrl-C, Ctrl-Z and a new size of the window are dealt with. */
#include "client/command_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include <histedit.h>

#define HISTORY_LINES 1000

struct shell_edit {
    EditLine *el;
    History *history;
    const char *prompt;
    bool interrupted;
    int file; /* of the history; -1: none */
    char *line;
    struct termios terminal; /* as it was found */
    struct sigaction resize_before, stop_before;
};

static volatile sig_atomic_t resized, stopped;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        stopped = 1;
}

static struct shell_edit *edit_of(EditLine *el)
{
    void *data = NULL;
    el_get(el, EL_CLIENTDATA, &data);
    return data;
}

static char *prompt_of(EditLine *el)
{
    return (char *)(uintptr_t)edit_of(el)->prompt;
}

/* ---- characters ---- */

/* Ctrl-Z: stops as any other program, with the terminal as it was before, and goes on. */
static void stop(EditLine *el)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL}, own;
    struct termios editing;
    tcgetattr(STDIN_FILENO, &editing);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &edit_of(el)->terminal);
    sigaction(SIGTSTP, &by_default, &own);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &own, NULL);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &editing);
    el_set(el, EL_REFRESH);
}

static int read_character(EditLine *el, wchar_t *out)
{
    mbstate_t state = {0};
    for (;;) {
        char c;
        if (!shell_wait_readable(STDIN_FILENO)) {
            edit_of(el)->interrupted = true;
            errno = EINTR;
            return -1;
        }
        if (resized != 0)
            el_resize(el);
        if (stopped != 0)
            stop(el);
        bool signalled = resized != 0 || stopped != 0;
        resized = stopped = 0;
        if (signalled)
            continue;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        size_t used = mbrtowc(out, &c, 1, &state);
        if (used == 0)
            *out = L'\0';
        if (used == (size_t)-1)
            state = (mbstate_t){0}; /* no character here: left out */
        else if (used != (size_t)-2)
            return 1;
    }
}

/* ---- completion ---- */

static size_t common(const char *const *word, int n)
{
    size_t len = strlen(word[0]);
    for (int i = 1; i < n; i++)
        while (strncmp(word[0], word[i], len) != 0)
            len--;
    return len;
}

static unsigned char complete(EditLine *el, int character)
{
    const char *word[SHELL_COMPLETIONS_MAX];
    char text[64];
    size_t typed;
    const LineInfo *line = el_line(el);
    (void)character;
    int n =
        shell_complete(bytes_of(line->buffer, (size_t)(line->cursor - line->buffer)), word, &typed);
    if (n == 0)
        return CC_REFRESH_BEEP;
    size_t len = common(word, n);
    if (len > typed || n == 1) {
        snprintf(text, sizeof text, "%.*s%s", (int)(len - typed), word[0] + typed,
                 n == 1 ? " " : "");
        return el_insertstr(el, text) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
    }
    printf("\n");
    for (int i = 0; i < n; i++)
        printf("%s%s", word[i], i + 1 < n ? "  " : "\n");
    fflush(stdout);
    return CC_REDISPLAY;
}

/* ---- history ---- */

/* $XDG_STATE_HOME/assent/shell_history or ~/.local/state/assent/shell_history, its folders made. */
static bool history_path(char *out, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len = state != NULL && *state == '/' ? snprintf(out, size, "%s/assent/shell_history", state)
              : home != NULL && *home == '/'
                  ? snprintf(out, size, "%s/.local/state/assent/shell_history", home)
                  : -1;
    if (len < 0 || (size_t)len >= size)
        return false;
    for (char *slash = strchr(out + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(out, 0700);
        *slash = '/';
    }
    return true;
}

static void enter(struct shell_edit *e, const char *line)
{
    HistEvent event;
    if (*line != '\0')
        history(e->history, &event, H_ENTER, line);
}

/* Lets the file have the last lines only, if it has more than twice as many as are kept. */
static void history_trim(struct shell_edit *e, int lines)
{
    HistEvent event;
    if (lines <= 2 * HISTORY_LINES || ftruncate(e->file, 0) != 0)
        return;
    for (int got = history(e->history, &event, H_LAST); got == 0;
         got = history(e->history, &event, H_PREV))
        dprintf(e->file, "%s\n", event.str);
}

/* All of it may fail: the shell works without a file. */
static void history_load(struct shell_edit *e)
{
    char path[4096];
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int lines = 0, copy;
    if (!history_path(path, sizeof path))
        return;
    e->file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    copy = e->file < 0 ? -1 : dup(e->file);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (file == NULL)
        return;
    while ((len = getline(&line, &cap, file)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        enter(e, line);
        lines++;
    }
    free(line);
    fclose(file);
    history_trim(e, lines);
}

/* A line that is as the one before is not kept twice. */
static void history_add(struct shell_edit *e, const char *line)
{
    HistEvent event;
    if (*line == '\0' || (history(e->history, &event, H_FIRST) == 0 && event.str != NULL &&
                          strcmp(event.str, line) == 0))
        return;
    enter(e, line);
    if (e->file >= 0 && dprintf(e->file, "%s\n", line) < 0) {
        close(e->file);
        e->file = -1;
    }
}

/* ---- the terminal ---- */

struct shell_edit *shell_edit_open(void)
{
    struct shell_edit *e = xcalloc(1, sizeof *e);
    struct sigaction action = {.sa_handler = on_signal};
    HistEvent event;
    e->file = -1;
    tcgetattr(STDIN_FILENO, &e->terminal);
    e->history = history_init();
    e->el = el_init("assent", stdin, stdout, stderr);
    if (e->history == NULL || e->el == NULL)
        abort();
    history(e->history, &event, H_SETSIZE, HISTORY_LINES);
    history_load(e);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_SIGNAL, 0);
    el_set(e->el, EL_GETCFN, read_character);
    el_set(e->el, EL_HIST, history, e->history);
    /* el_set would copy the names and never free them */
    el_wset(e->el, EL_ADDFN, L"complete", L"Completes a word", complete);
    el_set(e->el, EL_BIND, "^I", "complete", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(e->el, NULL);
    sigaction(SIGWINCH, &action, &e->resize_before);
    sigaction(SIGTSTP, &action, &e->stop_before);
    return e;
}

void shell_edit_close(struct shell_edit *e)
{
    HistEvent event;
    sigaction(SIGWINCH, &e->resize_before, NULL);
    sigaction(SIGTSTP, &e->stop_before, NULL);
    el_end(e->el);
    /* not history_end(), a name that the harness has, too */
    history(e->history, &event, H_END);
    if (e->file >= 0)
        close(e->file);
    free(e->line);
    free(e);
}

const char *shell_edit_line(struct shell_edit *e, const char *prompt)
{
    int len = 0;
    e->prompt = prompt;
    for (;;) {
        e->interrupted = false;
        const char *line = el_gets(e->el, &len);
        if (line == NULL && e->interrupted) {
            printf("^C\n");
            fflush(stdout);
            continue;
        }
        if (line == NULL || len <= 0) {
            printf("\n");
            return NULL;
        }
        free(e->line);
        e->line = xstrdup(line);
        e->line[strcspn(e->line, "\n")] = '\0';
        history_add(e, e->line);
        return e->line;
    }
}
