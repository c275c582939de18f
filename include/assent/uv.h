/* libassent on the caller's own libuv loop: the calls of assent/assent.h with callbacks.
 *
 * Everything here belongs to the loop's thread. Callbacks come on a later loop turn, never from
 * inside the call that started them, exactly once each. Transactions are built with the calls of
 * assent/assent.h on a handle from assent_open_uv; its blocking calls (assent_commit, assent_get,
 * ...) give ASSENT_INVALID. */
#ifndef ASSENT_UV_H
#define ASSENT_UV_H

#include <uv.h>

#include <assent/assent.h>

#ifdef __cplusplus
extern "C" {
#endif

ASSENT_API assent_status assent_open_uv(assent **out, uv_loop_t *loop,
                                        const assent_options *options);
/* closed() comes after every other callback; the handle is freed then. */
ASSENT_API void assent_close_uv(assent *db, void (*closed)(void *arg), void *arg);

/* info lives until the callback returns; `why` is the sentence of a failure, or "". */
typedef void (*assent_commit_cb)(assent_txn *t, assent_status status,
                                 const assent_commit_info *info, const char *why, void *arg);
/* The transaction must live until the callback, which may free it. */
ASSENT_API assent_status assent_commit_uv(assent_txn *t, uint32_t timeout_ms, assent_commit_cb cb,
                                          void *arg);

typedef void (*assent_outcome_cb)(const assent_txid *id, assent_status status, assent_ts ts,
                                  const char *why, void *arg);
ASSENT_API assent_status assent_outcome_uv(assent *db, const assent_txid *id, uint32_t timeout_ms,
                                           assent_outcome_cb cb, void *arg);

/* The callback owns the list, which may be NULL. */
typedef void (*assent_list_cb)(assent_status status, assent_list *list, const char *why, void *arg);
ASSENT_API assent_status assent_get_uv(assent *db, const char *where, const void *key,
                                       size_t key_len, assent_list_cb cb, void *arg);
ASSENT_API assent_status assent_scan_uv(assent *db, const char *where, const void *key,
                                        size_t key_len, const void *end, size_t end_len,
                                        uint32_t limit, assent_list_cb cb, void *arg);

/* The options' session must live until the callback. */
ASSENT_API assent_status assent_get_with_uv(assent *db, const void *key, size_t key_len,
                                            const assent_read_options *options, assent_list_cb cb,
                                            void *arg);
ASSENT_API assent_status assent_scan_with_uv(assent *db, const void *key, size_t key_len,
                                             const void *end, size_t end_len,
                                             const assent_read_options *options, assent_list_cb cb,
                                             void *arg);

/* assent_txn_get and assent_txn_scan. The transaction must live until the callback and may be added
 * to meanwhile, but not be committed, rolled back as a whole or asked for its id: ASSENT_INVALID.
 * Until the first of them was answered there can be no other one, unless assent_txn_read_at has
 * fixed the snapshot; then any number may be under way. */
ASSENT_API assent_status assent_txn_get_uv(assent_txn *t, const void *key, size_t key_len,
                                           assent_list_cb cb, void *arg);
ASSENT_API assent_status assent_txn_scan_uv(assent_txn *t, const void *key, size_t key_len,
                                            const void *end, size_t end_len, uint32_t limit,
                                            bool descending, assent_list_cb cb, void *arg);
/* One wait of a watch, which must live until the callback and may be closed there; another one may
 * be started there. */
ASSENT_API assent_status assent_watch_next_uv(assent_watch *w, uint32_t timeout_ms,
                                              assent_list_cb cb, void *arg);

#ifdef __cplusplus
}
#endif
#endif
