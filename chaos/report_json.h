/* A run's result as JSON, for report.json and for the page. Names ending in _us: moments of the run
 * are microseconds from its beginning, all others durations; null where there is none. */
#ifndef CHAOS_REPORT_JSON_H
#define CHAOS_REPORT_JSON_H

#include <jansson.h>

#include "chaos/phases.h"

json_t *report_json(const struct result *r);

/* ---- for other reports ---- */

/* A string; bytes that are not UTF-8 become '?'. */
json_t *report_json_text(const char *text);
/* null for FAULT_NEVER. */
json_t *report_json_us(uint64_t us);
/* null without a commit. */
json_t *report_json_latency(const struct latency *l);
/* "held", "failed", "unjudged" */
const char *report_verdict(enum verdict v);
/* Writes and takes over `json`; false with a line on stderr. */
bool report_json_write(json_t *json, const char *path);

#endif
