/* A set of links (link.h) with a thread that runs them; and `assent-chaos links`, which serves one
 * to people who test their own programs, with the commands of link_command.h. */
#ifndef CHAOS_LINKS_H
#define CHAOS_LINKS_H

#include "chaos/link.h"

struct links;

struct links *links_new(void);
/* Opens a link and gives its index, from 0 in order; -1 with `why` (512 bytes). Before
 * links_start() only. */
int links_add(struct links *s, const struct link_options *options, char *why, size_t why_size);
/* From now on the links work. The thread takes no signals. */
void links_start(struct links *s);
/* Closes all connections and links and ends the thread. NULL is fine. */
void links_free(struct links *s);

/* Any thread but that of the links: */
int links_count(const struct links *s);
/* Calls fn(arg) on the thread of the links, where links_at() may be used, and returns after it. */
void links_call(struct links *s, void (*fn)(void *arg), void *arg);
/* NULL if the index is out of range. For a function that links_call() calls, only. */
struct link *links_at(struct links *s, int index);

/* `assent-chaos links`: argv[0] is "links". The process's exit status. */
int links_main(int argc, char **argv);

#endif
