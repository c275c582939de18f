/* Words of commands and operations in text: they end at the end of a line, at `;` or at a `,`
 * between spaces; `#` starts a comment; "..." and \xNN, \n, \r, \t, \\, \", \', "\ " write any
 * byte, '...' takes all bytes as they are. */
#ifndef CLIENT_COMMAND_WORDS_H
#define CLIENT_COMMAND_WORDS_H

#include "common/bytes.h"

/* the longest command or operation, its name included, and one too many */
#define COMMAND_WORDS_MAX 7

struct command_words {
    int n;
    struct blob *word[COMMAND_WORDS_MAX];
};

/* Takes the reference; words over the bound are too many for any command and are dropped. */
void command_words_add(struct command_words *w, struct blob *word);
void command_words_clear(struct command_words *w);
/* Takes a word, which is appended, a space, a comment or an end off a text that is not empty; *ends
 * is whether it was an end. False with what and what to do in `why` (at least 128 bytes). */
bool command_words_token(struct command_words *w, struct bytes *rest, bool *ends, char *why,
                         size_t why_size);
/* How many bytes of a word go into an error sentence. */
int command_words_shown(const struct blob *word);
/* A whole number of 64 bits, and nothing else. */
bool command_words_integer(struct bytes b, int64_t *out);

#endif
