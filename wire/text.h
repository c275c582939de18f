/* Sentences for people that travel between nodes and end up in terminals and logs: UTF-8 without
 * control characters. */
#ifndef WIRE_TEXT_H
#define WIRE_TEXT_H

#include "common/bytes.h"

/* Well-formed UTF-8 (RFC 3629) without control characters; `lines` lets line feeds through. */
bool text_printable(struct bytes text, bool lines);

/* Appends at most `max` bytes of `text`, cut between characters, with a '?' for every byte that
 * text_printable() would not take. */
void text_clean(struct bytes text, size_t max, bool lines, struct writer *out);

#endif
