/* Operations and read results, to and from MessagePack (docs/wire-format.md, "Operations"). */
#ifndef WIRE_OPS_CODEC_H
#define WIRE_OPS_CODEC_H

#include "common/ops.h"
#include "common/protocol.h"

/* Encodes; the caller owns the one reference of the blob. NULL only when over OPS_MAX or
 * OPS_BYTES_MAX. */
struct blob *ops_encode(const struct op *op, uint32_t n);

/* Decodes and checks every bound (counts, key and value lengths, kinds, bounds lower <= upper, a
 * range's end after its start). On ASSENT_OK `out` holds a reference to `source`; free it with
 * ops_free. Otherwise ASSENT_MALFORMED or ASSENT_TOO_LARGE, `why` (at least 128 bytes) says which
 * operation and what, and `out` is empty. */
assent_status ops_decode(struct blob *source, struct ops *out, char *why, size_t why_size);
void ops_free(struct ops *ops);

/* The same for results: NULL only when over RESULTS_BYTES_MAX. */
struct blob *results_encode(const struct result *result, uint32_t n);
/* ASSENT_OK, ASSENT_MALFORMED or ASSENT_TOO_LARGE; ownership as ops_decode. */
assent_status results_decode(struct blob *source, struct results *out);
void results_free(struct results *results);

#endif
