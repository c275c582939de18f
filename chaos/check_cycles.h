/* Strict serializability of a history of lists, after Adya's dependency graphs and the way in which
 * Elle (Kingsbury and Alvaro, VLDB 2020) infers them: lists tell the order of their versions, so
 * every dependency between transactions can be read off the history, and an anomaly is a cycle.
 *
 *   ww  b appended the next element behind a's     wr  b read a version that a made
 *   rw  a read a version and b made the next       process, realtime  a ended before b began
 *
 * Operations that may or may not have happened take part once something that ended saw them.
 * Finds, in this order: what the lists alone show (internal, duplicate-elements, unknown-value,
 * incompatible-order, dirty-update, G1a, G1b), lost-append, lost-update, then cycles, those that
 * need no order of time first. */
#ifndef CHAOS_CHECK_CYCLES_H
#define CHAOS_CHECK_CYCLES_H

#include "chaos/check_finding.h"

enum verdict check_cycles(const struct history *h, struct finding *out);

#endif
