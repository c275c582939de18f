/* What run.c needs of the blocking calls. */
#ifndef CLIENT_BLOCKING_H
#define CLIENT_BLOCKING_H

#include "client/handle.h"

/* Counts the thread in, so that assent_close waits for it. Fails, with its sentence, on a handle
 * that is NULL, closing or on the program's own loop. */
assent_status blocking_enter(assent *db);
/* The last touch of the handle by this call. */
void blocking_leave(assent *db);
/* False, early, when the handle closes. */
bool blocking_sleep(assent *db, uint64_t us);

#endif
