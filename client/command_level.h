/* The options of `get` and `scan` that say at which level to read, and what they show of it. */
#ifndef CLIENT_COMMAND_LEVEL_H
#define CLIENT_COMMAND_LEVEL_H

#include "client/command.h"

enum { OPTION_LEVEL = 512, OPTION_TOKEN };

#define COMMAND_LEVEL_OPTIONS                                                                      \
    {"level",                                                                                      \
     OPTION_LEVEL,                                                                                 \
     "LEVEL",                                                                                      \
     0,                                                                                            \
     "strong (default), snapshot (now) or snapshot=TIMESTAMP, session, bounded=MS or eventual",    \
     0},                                                                                           \
    {                                                                                              \
        "token", OPTION_TOKEN, "TOKEN", 0,                                                         \
            "The session to go on with; without --level also read at --level session", 0           \
    }

struct command_level {
    bool given; /* one of the options */
    bool named; /* the level was */
    const char *token;
    assent_read_options options;
    assent_read_info info; /* of the last answer */
};

/* One of these options: 0, or EX_USAGE after saying what is wrong. */
int command_level_option(struct command_level *l, int key, const char *arg);
/* Before the first read; command_level_close comes after the last. */
int command_level_open(const struct command_call *call, struct command_level *l, assent *db);
void command_level_close(struct command_level *l);
/* If a level was asked for: who answered, as of when, how old, and the token, on stderr or, for
 * -o json, into the object. */
void command_level_show(const struct command_call *call, const struct command_level *l,
                        json_t *json);

#endif
