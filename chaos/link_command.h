/* The commands of `assent-chaos links`, one a line: "cut 1", "delay all up 80ms". */
#ifndef CHAOS_LINK_COMMAND_H
#define CHAOS_LINK_COMMAND_H

#include "chaos/links.h"
#include "common/bytes.h"

/* A command's longest line. */
#define LINK_COMMAND_BYTES_MAX 256

enum link_verb {
    LINK_VERB_NOTHING,
    LINK_VERB_CHANGE,
    LINK_VERB_SHOW,
    LINK_VERB_HELP,
    LINK_VERB_WAIT,
    LINK_VERB_QUIT
};

struct link_command {
    enum link_verb verb; /* NOTHING: an empty line or a comment */
    int link;            /* of CHANGE and SHOW: index, or -1: all */
    struct link_change change;
    uint64_t wait_us;
};

/* `links`: how many there are. False with what is wrong and what would be right in `why` (512
 * bytes). */
bool link_command_parse(const char *line, int links, struct link_command *out, char *why,
                        size_t why_size);
/* Does a CHANGE, SHOW or HELP and appends the answer to a SHOW or HELP, in lines. False with `why`.
 */
bool link_command_run(struct links *s, const struct link_command *command, struct writer *answer,
                      char *why, size_t why_size);
/* "80ms", "1500us", "2s", "5m", "1h", "0": strictly; at most LINK_TIME_US_MAX. */
bool link_time_parse(const char *text, uint64_t *us);
/* "65536", "64k", "10M", "1G" (of 1000): strictly; at most LINK_BYTES_MAX. */
bool link_bytes_parse(const char *text, uint64_t *bytes);

#endif
