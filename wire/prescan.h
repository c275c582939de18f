/* One walk over MessagePack bytes from outside, before msgpack-c may allocate for them: its
 * unpacker believes the count in a container's header, and five bytes can ask it for 34 GB. */
#ifndef WIRE_PRESCAN_H
#define WIRE_PRESCAN_H

#include "common/bytes.h"

/* True when `b` is exactly one whole value: every length and count is at most the bytes that are
 * left, at most FRAME_DEPTH_MAX arrays lie in each other, there are at most values_max values in
 * all, and none of a kind that Assent does not use (maps, floats, extensions). Otherwise a constant
 * sentence in *why. */
bool prescan(struct bytes b, uint32_t values_max, const char **why);

#endif
