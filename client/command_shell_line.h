/* What one can type into `assent shell`: the table of its commands, from text to one of them, and
 * how a line that is not finished may go on. No cluster, no terminal. */
#ifndef CLIENT_COMMAND_SHELL_LINE_H
#define CLIENT_COMMAND_SHELL_LINE_H

#include "client/command_ops.h"

enum shell_kind {
    SHELL_GET,
    SHELL_SCAN,
    SHELL_OP, /* a write or a check */
    SHELL_BEGIN,
    SHELL_COMMIT,
    SHELL_ROLLBACK,
    SHELL_SAVEPOINT,
    SHELL_LEVEL,
    SHELL_SESSION,
    SHELL_EXPLAIN,
    SHELL_OUTCOME,
    SHELL_HELP,
    SHELL_QUIT,
};

struct shell_command {
    const char *name;
    enum shell_kind kind;
    int words_min, words_max; /* after the name */
    const char *words;        /* for the usage line */
    const char *summary;
    const char *detail; /* may be NULL */
};

/* One command as it was typed. Only what its kind names is set. */
struct shell_line {
    const struct shell_command *command;
    struct command_op op; /* of an op; the key alone of get */
    struct {
        struct blob *prefix, *from, *to; /* NULL: not given */
        uint32_t limit;                  /* 0: none */
        bool down;
    } scan;
    bool strict;  /* of begin */
    bool has_ts;  /* of begin and level snapshot */
    assent_ts ts; /* with it */
    char *name;   /* a savepoint, of rollback NULL: all; a session token, NULL: show; a txid */
    const struct shell_command *topic; /* of help; NULL: all */
    bool has_level;                    /* of level */
    assent_level level;
    uint32_t stale_ms;
};

enum shell_read { SHELL_READ, SHELL_NOTHING, SHELL_BAD };
/* Takes the next command off the text. SHELL_NOTHING: only spaces and comments were left.
 * SHELL_BAD: what is wrong and what to type instead is in `why` (at least 512 bytes). */
enum shell_read shell_line_read(struct bytes *rest, struct shell_line *out, char *why,
                                size_t why_size);
void shell_line_free(struct shell_line *line);

/* The commands in the order in which help shows them, ended by one without a name. */
extern const struct shell_command shell_commands[];

#define SHELL_COMPLETIONS_MAX 32
/* The words that may stand where the text ends, of which `typed` bytes are there; their number. */
int shell_complete(struct bytes text, const char *out[SHELL_COMPLETIONS_MAX], size_t *typed);

#endif
