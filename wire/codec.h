/* Messages to frames and back (docs/wire-format.md). A frame is a u32 big-endian length and one
 * MessagePack array [type, ...] of that many bytes. */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "common/msg.h"

#define FRAME_HEADER_BYTES 4u

/* Appends the whole frame of `m`. False, and nothing appended, when it is over FRAME_BYTES_MAX or a
 * part of it over its own limit. Texts for people are cleaned on the way (wire/text.h). */
bool codec_encode(const struct msg *m, struct writer *out);

/* Decodes the body of one frame (without the length). NULL when malformed, with the reason in `why`
 * (at least 128 bytes). The new message copies what it keeps. */
struct msg *codec_decode(struct bytes body, char *why, size_t why_size);

/* Body length from a frame header, or 0 if it is over FRAME_BYTES_MAX or zero. */
uint32_t frame_length(const uint8_t header[FRAME_HEADER_BYTES]);

#endif
