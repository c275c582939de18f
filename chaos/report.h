/* A run's result (result.h) for people and programs. */
#ifndef CHAOS_REPORT_H
#define CHAOS_REPORT_H

#include <stdio.h>

#include "chaos/result.h"

/* The table at the end of a run: verdict of each check, commits by phase beside their floors, time
 * to unblock by fault; for a failure the transactions and the command that replays it. */
void report_print(const struct result *r, FILE *out);
/* Each false with a line on stderr. The page is one file that needs no network. */
bool report_write_json(const struct result *r, const char *path);
bool report_write_html(const struct result *r, const char *path);

#endif
