/* Reading MessagePack values from outside. Reads are checked one by one, and the first fault
 * sticks: every read after it gives zero, so that a caller reads all fields and asks once, at the
 * end. */
#ifndef WIRE_UNPACK_H
#define WIRE_UNPACK_H

#include <assent/status.h>

#include "common/bytes.h"

struct unpack_fault {
    assent_status status; /* ASSENT_OK, ASSENT_MALFORMED or ASSENT_TOO_LARGE */
    const char *field;
    const char *problem;
};

/* What all arrays of one tree share. */
struct unpack_tree {
    struct bytes rest; /* not read yet */
    struct unpack_fault fault;
};

/* The values of one array that are left to read. Values come in the order of the bytes: an array
 * is read to its end before the one around it goes on. */
struct unpack {
    struct unpack_tree *tree;
    uint32_t left;
};

/* Opens bytes that must be one array of at most `max` values, and returns its reader. What is read
 * points into the bytes. */
struct unpack unpack_open(struct unpack_tree *tree, struct bytes b, uint32_t max);
/* Nothing may be left of the array that unpack_open returned, and nothing may follow it. */
void unpack_close(struct unpack *u, const char *field);

/* `field` and `problem` are constant. The first fault of a tree is kept. */
void unpack_fail(struct unpack *u, assent_status status, const char *field, const char *problem);
bool unpack_good(const struct unpack *u);

uint64_t unpack_uint(struct unpack *u, uint64_t max, const char *field);
int64_t unpack_int(struct unpack *u, const char *field);
bool unpack_bool(struct unpack *u, const char *field);
/* Whether the next value is nil; takes it then. */
bool unpack_nil(struct unpack *u);
struct bytes unpack_bin(struct unpack *u, size_t min, size_t max, const char *field);
/* A copy; never NULL without a fault. */
struct blob *unpack_blob(struct unpack *u, size_t min, size_t max, const char *field);
/* The same, but NULL for nil. */
struct blob *unpack_blob_or_nil(struct unpack *u, size_t max, const char *field);
struct bytes unpack_text(struct unpack *u, size_t max, bool lines, const char *field);
/* An array of min..max values; with a fault it has none left. */
struct unpack unpack_array(struct unpack *u, uint32_t min, uint32_t max, const char *field);
/* Nothing may be left of an array. */
void unpack_end(struct unpack *u, const char *field);

#endif
