/* Copies SQLite's write-ahead log into the database file, on a thread and a connection of its own,
 * at the storage thread's word. Meanwhile that goes on with batches, and reads; it does not write
 * to the database. To empty the write-ahead log is left to it: where another connection does so,
 * SQLite forgets the pages that the storage thread's has in memory, and a batch that has read
 * already can no longer write. */
#ifndef RUNTIME_STORE_CHECKPOINT_H
#define RUNTIME_STORE_CHECKPOINT_H

#include "runtime/store_file.h"

struct store_checkpoint;

/* NULL: the connection or the thread could not be made; then the storage thread must copy itself.
 */
struct store_checkpoint *store_checkpoint_start(const struct disk *disk,
                                                const struct store_paths *paths);
/* Begins to copy what the write-ahead log has now. Not while it is copying. */
void store_checkpoint_copy(struct store_checkpoint *c);
bool store_checkpoint_copying(struct store_checkpoint *c);
/* Waits until it is not copying. SQLITE_OK: the file has, durably, all that no reader stood in the
 * way of. Otherwise a SQLite result code, and *system is the errno behind it. */
int store_checkpoint_wait(struct store_checkpoint *c, int *system);
/* Waits, and ends the thread. NULL is fine. */
void store_checkpoint_stop(struct store_checkpoint *c);

#endif
