/* Operations of `assent txn` as people write them, on the command line or in a file:
 *
 *     exists KEY          absent KEY              value KEY VALUE       atleast KEY N
 *     get KEY             range FROM TO [LIMIT]   (an empty TO: no end)
 *     put KEY VALUE       del KEY
 *     add KEY N [>=LOWER] [<=UPPER] [return]      (min=LOWER and max=UPPER say the same)
 *
 * In text (client/command_words.h) operations end at the end of a line too. */
#ifndef CLIENT_COMMAND_OPS_H
#define CLIENT_COMMAND_OPS_H

#include <assent/assent.h>

#include "client/command_words.h"

enum command_op_kind {
    COMMAND_EXISTS,
    COMMAND_ABSENT,
    COMMAND_VALUE,
    COMMAND_AT_LEAST,
    COMMAND_GET,
    COMMAND_RANGE,
    COMMAND_PUT,
    COMMAND_DEL,
    COMMAND_ADD,
};

struct command_op {
    enum command_op_kind kind;
    struct blob *key;
    struct blob *value; /* of value and put; of range: where it ends */
    int64_t number;     /* of atleast and add */
    uint32_t limit;     /* of range */
    assent_bounds bounds;
};

struct command_ops {
    size_t n;
    struct command_op *op;
};

/* The operation that the words say, at least one of them. False with what and what to do in `why`
 * (at least 256 bytes). */
bool command_op_read(const struct command_words *w, struct command_op *out, char *why,
                     size_t why_size);
void command_op_free(struct command_op *op);
assent_status command_op_add(assent_txn *t, const struct command_op *op);

/* Append the operations of words, separated by `,` or `;`, or of a text. A word with spaces where
 * an operation begins is read as text. False with what, where and what to do in `why` (at least 512
 * bytes). */
bool command_ops_words(struct command_ops *ops, char *const *word, int words, char *why,
                       size_t why_size);
bool command_ops_text(struct command_ops *ops, struct bytes text, char *why, size_t why_size);
void command_ops_free(struct command_ops *ops);

#endif
