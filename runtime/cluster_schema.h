/* YAML files as text: into structs of strings, by a schema of libcyaml. And the cluster file's:
 * nothing here knows what its strings mean; cluster_build.c does. */
#ifndef RUNTIME_CLUSTER_SCHEMA_H
#define RUNTIME_CLUSTER_SCHEMA_H

#include <stddef.h>

/* ---- any YAML file ---- */

#define DOCUMENT_SECTIONS_MAX 24

struct document_form {
    int sections; /* keys at the top of the file; at most DOCUMENT_SECTIONS_MAX */
    const char *const *section;
    const void *schema; /* a cyaml_schema_value_t: a pointer to a mapping */
    const char *what;   /* "a cluster file" */
    const char *manual; /* "docs/operations.md", where messages send the reader */
};

struct document;

/* NULL on any error, with "path:line: what is wrong: what to do" in `why`. */
struct document *document_load(const struct document_form *form, const char *text, size_t len,
                               const char *path, char *why, size_t why_size);
/* NULL is fine. */
void document_free(struct document *d);
/* What the schema describes. */
void *document_root(const struct document *d);
/* The line on which entry `index` of a section stands, or the section itself for -1; 0: unknown. */
unsigned document_line(const struct document *d, int section, int index);

/* ---- the cluster file ---- */

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

/* NULL on any error, with "path:line: what is wrong: what to do" in `why`. Its root is a struct
 * cluster_document, whose strings may be changed in place, never made longer. */
struct document *cluster_schema_load(const char *text, size_t len, const char *path, char *why,
                                     size_t why_size);

#endif
