/* Session tokens, and their text: what a session has seen, for another process to go on from.
 *
 *     as1-<cluster id, 32 hex digits>-<timestamp, 16 hex digits>-<check, 8 hex digits> */
#ifndef CLIENT_TOKEN_H
#define CLIENT_TOKEN_H

#include <stdatomic.h>

#include <assent/assent.h>

#include "common/hlc.h"
#include "runtime/cluster.h"

struct assent_session {
    assent *db;
    _Atomic hlc_ts ts;
};

/* Writes the text into out[ASSENT_TOKEN_TEXT]; returns out. */
const char *token_text(const struct cluster *cluster, hlc_ts ts, char *out);
/* ASSENT_INVALID, ASSENT_CLOCK_AHEAD: of no use here, with the sentence for assent_error(). */
assent_status token_parse(const struct cluster *cluster, const char *text, uint64_t wall_ms,
                          hlc_ts *out);
/* Makes *ts at least `seen`. Any thread. */
void token_raise(_Atomic hlc_ts *ts, hlc_ts seen);

#endif
