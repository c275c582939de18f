/* Collects what the reads of one list of operations give, within RESULTS_BYTES_MAX. */
#ifndef PARTICIPANT_KV_READS_H
#define PARTICIPANT_KV_READS_H

#include "participant/kv_say.h"
#include "participant/kv_view.h"

struct kv_reads {
    bool asked; /* there was a read, whether it found anything or not */
    uint32_t n;
    uint32_t cap;
    struct result *result;
    size_t bytes; /* at most what they take encoded */
};

/* Zeroed is empty. */
void kv_reads_free(struct kv_reads *reads);

/* READ_KEY or READ_RANGE, operation number `at`. ASSENT_OK; ASSENT_TOO_LARGE when the reads before
 * it have left no room; ASSENT_STORAGE. */
assent_status kv_reads_run(struct kv_reads *reads, const struct kv_view *view, uint32_t at,
                           const struct op *op, struct kv_say *say);
/* Of what a READ_KEY or READ_RANGE asks for, the keys that were written or deleted after `since`;
 * it counts as a read only if there is one. ASSENT_OK; ASSENT_TOO_LARGE: there are more than
 * WATCH_KEYS_MAX, or than there is room for, or among too many; ASSENT_STORAGE. */
assent_status kv_reads_changed(struct kv_reads *reads, const struct kv_view *view, uint32_t at,
                               const struct op *op, hlc_ts since, struct kv_say *say);
/* A result that was not read: of an add that gives its value back. Copies. False: no room. */
bool kv_reads_put(struct kv_reads *reads, uint32_t at, const struct kv_cell *cell);
/* NULL when there was no read. */
struct blob *kv_reads_encode(const struct kv_reads *reads);

#endif
