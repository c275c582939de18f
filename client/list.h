/* What reads gave, as the program sees it. */
#ifndef CLIENT_LIST_H
#define CLIENT_LIST_H

#include <assent/assent.h>

#include "common/ops.h"

const assent_read_info *list_info(const assent_list *list);
void list_describe(assent_list *list, const assent_read_info *info);

/* The entry's bytes stay in the blob that the result was decoded from. */
assent_entry entry_of(const struct result *result);
/* Decodes a participant's answer into a list of the caller's. ASSENT_MALFORMED or ASSENT_TOO_LARGE,
 * and no list, when it is damaged. NULL results give an empty list. */
assent_status list_new(struct blob *results, assent_list **out);

/* A list of copies. */
assent_list *list_empty(void);
void list_append(assent_list *list, const assent_entry *entry);
/* The last entry was the last that fitted the limit. */
void list_truncate(assent_list *list);

/* A key for error sentences: printable bytes as they are, others as \xNN, cut with "..." where it
 * does not fit. Returns out. */
#define KEY_TEXT_MAX 80
const char *key_text(struct bytes key, char out[KEY_TEXT_MAX]);

#endif
