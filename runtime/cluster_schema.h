/* The cluster file as text: YAML into structs of strings. Nothing here knows what the strings mean;
 * cluster_build.c does. Private to the cluster files. */
#ifndef RUNTIME_CLUSTER_SCHEMA_H
#define RUNTIME_CLUSTER_SCHEMA_H

#include <stddef.h>

/* The keys at the top of the file. */
enum cluster_section {
    SECTION_CLUSTER,
    SECTION_TIMES,
    SECTION_DATACENTERS,
    SECTION_NODES,
    SECTION_CLIENTS,
    SECTION_PLACEMENT,
    SECTIONS,
};

struct cluster_strings {
    char **text;
    unsigned n;
};

/* Everything is a string, numbers and booleans too: libcyaml takes "5ms" for the number 5, "010"
 * for 8 and "nope" for true. */
struct cluster_document_node {
    char *id, *name, *role, *datacenter, *address;
    struct cluster_strings keys;
};

struct cluster_document_grant {
    char *prefix;
    struct cluster_strings rights;
};

struct cluster_document_client {
    char *name;
    char *admin; /* NULL: not given */
    struct cluster_strings keys;
    struct cluster_document_grant *grant;
    unsigned grants;
};

struct cluster_document_placement {
    char *prefix;
    struct cluster_strings participants;
};

struct cluster_document_identity {
    char *id, *name, *epoch;
};

struct cluster_document_times {
    char *in_doubt_timeout, *retention, *clock_ahead, *txid_skew; /* NULL: not given */
};

struct cluster_document {
    struct cluster_document_identity cluster;
    struct cluster_document_times times;
    struct cluster_strings datacenters;
    struct cluster_document_node *node;
    unsigned nodes;
    struct cluster_document_client *client;
    unsigned clients;
    struct cluster_document_placement *placement;
    unsigned placements;
};

struct cluster_schema;

/* NULL on any error, with "path:line: what is wrong: what to do" in `why`. */
struct cluster_schema *cluster_schema_load(const char *text, size_t len, const char *path,
                                           char *why, size_t why_size);
/* NULL is fine. */
void cluster_schema_free(struct cluster_schema *s);
/* The strings may be changed in place, never made longer. */
struct cluster_document *cluster_schema_document(struct cluster_schema *s);
/* The line on which entry `index` of a section stands, or the section itself for -1; 0: unknown. */
unsigned cluster_schema_line(const struct cluster_schema *s, enum cluster_section section,
                             int index);

#endif
