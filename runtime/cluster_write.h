/* Writes cluster files: `assent init` and the demo fill a struct cluster and write it. */
#ifndef RUNTIME_CLUSTER_WRITE_H
#define RUNTIME_CLUSTER_WRITE_H

#include <assent/status.h>

#include "runtime/cluster.h"

/* Appends the text of a cluster file. Reads every field but the hashes, `coordinator`, `parent` and
 * `document`; nothing needs to be sorted. Checks nothing: cluster_parse() of the text does. */
void cluster_text(const struct cluster *c, struct writer *out);

/* Creates the file, mode 0644, and syncs it and its directory; refuses to overwrite, and to write
 * what cluster_parse() refuses (ASSENT_CONFIG); ASSENT_SYSTEM if the system does. `why` has at
 * least 512 bytes. */
assent_status cluster_write(const struct cluster *c, const char *path, char *why, size_t why_size);

#endif
