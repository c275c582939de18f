/* Writing MessagePack values into a writer, never more than a limit. */
#ifndef WIRE_PACK_H
#define WIRE_PACK_H

#include "common/bytes.h"

struct pack {
    struct writer *out;
    size_t room;  /* out->len may come up to here before pack_grow is asked */
    size_t end;   /* out->len may not pass it */
    bool refused; /* something was over a limit: what was written is of no use */
};

/* Appends to `out` at most `max` bytes. */
void pack_start(struct pack *p, struct writer *out, size_t max);

void pack_array(struct pack *p, uint32_t n);
void pack_nil(struct pack *p);
void pack_bool(struct pack *p, bool v);
void pack_uint(struct pack *p, uint64_t v);
void pack_int(struct pack *p, int64_t v);
void pack_bin(struct pack *p, struct bytes b);
/* nil for NULL; over `max` bytes refuses. */
void pack_blob(struct pack *p, const struct blob *blob, size_t max);
/* A string of at most `max` bytes: the text as wire/text cleans it. */
void pack_text(struct pack *p, struct bytes text, size_t max, bool lines);

#endif
