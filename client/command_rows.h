/* Rows of a file to load, one at a time: CSV (RFC 4180, the first row names the columns) or JSON
 * lines. The value of a row is a compact JSON object, of a CSV row with its columns as members. */
#ifndef CLIENT_COMMAND_ROWS_H
#define CLIENT_COMMAND_ROWS_H

#include <stdio.h>

#include "common/bytes.h"

enum rows_format { ROWS_CSV, ROWS_JSONL };

struct row {
    uint64_t number; /* from 1; the row of column names does not count */
    uint64_t line;   /* on which it begins */
    struct blob *key;
    struct blob *value;
};

struct rows;

/* Borrows all. key_column NULL: the first column, or the member "key". value_column NULL: the value
 * is the whole row, else what is in that column or member. */
struct rows *rows_open(FILE *file, enum rows_format format, const char *prefix,
                       const char *key_column, const char *value_column);
void rows_close(struct rows *r);

enum rows_result { ROWS_ROW, ROWS_END, ROWS_ERROR };
/* The next row, whose key and value are the caller's. On ROWS_ERROR, which is final, row has number
 * and line and `why` (at least 256 bytes) the sentence. */
enum rows_result rows_next(struct rows *r, struct row *row, char *why, size_t why_size);
/* Bytes of the file read so far. */
uint64_t rows_bytes(const struct rows *r);

#endif
