/* YAML into structs, in two passes over the same text; and the shape of the cluster file.
 *
 * The first reads libyaml's events: it remembers the line of every entry, for the messages of the
 * checks that come later, and refuses what libcyaml would silently misread: a scalar with a zero
 * byte (cut there), a value that was left out (taken for ""), a second document (ignored). As "" is
 * the prefix of every key, each of these could turn a small grant into one for everything.
 *
 * The second is libcyaml with the form's schema: unknown, missing and repeated keys and wrong
 * shapes are errors; its log messages become ours. */
#include "runtime/cluster_schema.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>
#include <yaml.h>

#include "common/bytes.h"
#include "common/limits.h"

/* clang-format off */
#define TEXT(key, flags, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, CYAML_UNLIMITED)
#define TEXTS(key, type, member, most) \
    ENTRIES(key, 0, type, member.text, member.n, &text_value, most)
#define ENTRIES(key, flags, type, member, count, value, most) \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | (flags), type, member, count, value, 0,   \
                               most)

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t identity_fields[] = {
    TEXT("id", 0, struct cluster_document_identity, id),
    TEXT("name", 0, struct cluster_document_identity, name),
    TEXT("epoch", 0, struct cluster_document_identity, epoch),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t times_fields[] = {
    TEXT("in-doubt-timeout", CYAML_FLAG_OPTIONAL, struct cluster_document_times, in_doubt_timeout),
    TEXT("retention", CYAML_FLAG_OPTIONAL, struct cluster_document_times, retention),
    TEXT("clock-ahead", CYAML_FLAG_OPTIONAL, struct cluster_document_times, clock_ahead),
    TEXT("txid-skew", CYAML_FLAG_OPTIONAL, struct cluster_document_times, txid_skew),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t node_fields[] = {
    TEXT("id", 0, struct cluster_document_node, id),
    TEXT("name", 0, struct cluster_document_node, name),
    TEXT("role", 0, struct cluster_document_node, role),
    TEXT("datacenter", 0, struct cluster_document_node, datacenter),
    TEXT("address", 0, struct cluster_document_node, address),
    TEXTS("keys", struct cluster_document_node, keys, 2),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t node_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cluster_document_node, node_fields),
};

static const cyaml_schema_field_t grant_fields[] = {
    TEXT("prefix", 0, struct cluster_document_grant, prefix),
    TEXTS("rights", struct cluster_document_grant, rights, 2),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t grant_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cluster_document_grant, grant_fields),
};

static const cyaml_schema_field_t client_fields[] = {
    TEXT("name", 0, struct cluster_document_client, name),
    TEXT("admin", CYAML_FLAG_OPTIONAL, struct cluster_document_client, admin),
    TEXTS("keys", struct cluster_document_client, keys, 2),
    ENTRIES("grants", CYAML_FLAG_OPTIONAL, struct cluster_document_client, grant, grants,
            &grant_value, GRANTS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t client_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cluster_document_client, client_fields),
};

static const cyaml_schema_field_t placement_fields[] = {
    TEXT("prefix", 0, struct cluster_document_placement, prefix),
    TEXTS("participants", struct cluster_document_placement, participants, REPLICAS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t placement_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct cluster_document_placement, placement_fields),
};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_MAPPING("cluster", 0, struct cluster_document, cluster, identity_fields),
    CYAML_FIELD_MAPPING("times", CYAML_FLAG_OPTIONAL, struct cluster_document, times, times_fields),
    TEXTS("datacenters", struct cluster_document, datacenters, DATACENTERS_MAX),
    ENTRIES("nodes", 0, struct cluster_document, node, nodes, &node_value, NODES_MAX),
    ENTRIES("clients", 0, struct cluster_document, client, clients, &client_value, CLIENTS_MAX),
    ENTRIES("placement", 0, struct cluster_document, placement, placements, &placement_value,
            PLACEMENTS_MAX),
    CYAML_FIELD_END,
};
/* clang-format on */

static const cyaml_schema_value_t file_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct cluster_document, file_fields),
};

static const char *const cluster_sections[SECTIONS] = {"cluster", "times",   "datacenters",
                                                       "nodes",   "clients", "placement"};

static const struct document_form cluster_form = {.sections = SECTIONS,
                                                  .section = cluster_sections,
                                                  .schema = &file_value,
                                                  .what = "a cluster file",
                                                  .manual = "docs/operations.md"};

struct lines {
    unsigned *line;
    unsigned n;
};

struct document {
    const struct document_form *form;
    void *root;
    struct lines keys;                       /* of every key, in the order of the text */
    unsigned section[DOCUMENT_SECTIONS_MAX]; /* of the section's key; 0: not there */
    struct lines entries[DOCUMENT_SECTIONS_MAX];
};

/* ---- first pass ---- */

#define DEPTH_MAX 8

struct level {
    bool mapping;
    bool value; /* of a mapping: next is a value, not a key */
};

struct scan {
    struct document *d;
    int depth; /* open mappings and sequences */
    struct level level[DEPTH_MAX + 1];
    int documents; /* begun */
    int section;   /* at depth 1 or more; -1: none that we know */
    const char *path;
    char *why;
    size_t why_size;
};

static bool scan_refuse(struct scan *scan, const yaml_mark_t *at, const char *what)
{
    snprintf(scan->why, scan->why_size, "%s:%zu: %s", scan->path, at->line + 1, what);
    return false;
}

static int scan_section(const struct document_form *form, const char *key)
{
    for (int i = 0; i < form->sections; i++)
        if (strcmp(key, form->section[i]) == 0)
            return i;
    return -1;
}

static void lines_add(struct lines *lines, unsigned line)
{
    if ((lines->n & (lines->n + 1)) == 0) /* full at 0, 1, 3, 7, ... */
        lines->line = xrealloc(lines->line, (2 * lines->n + 1) * sizeof *lines->line);
    lines->line[lines->n++] = line;
}

static void scan_key(struct scan *scan, const yaml_event_t *event, unsigned line)
{
    lines_add(&scan->d->keys, line);
    if (scan->depth > 1)
        return;
    scan->section = event->type == YAML_SCALAR_EVENT
                        ? scan_section(scan->d->form, (char *)event->data.scalar.value)
                        : -1;
    if (scan->section >= 0)
        scan->d->section[scan->section] = line;
}

/* After a key comes its value, and after that the next key. */
static void scan_node_end(struct scan *scan)
{
    struct level *level = &scan->level[scan->depth];
    level->value = level->mapping && !level->value;
}

/* A scalar, or the beginning of a mapping or sequence. */
static bool scan_node(struct scan *scan, const yaml_event_t *event)
{
    unsigned line = (unsigned)event->start_mark.line + 1;
    const struct level *level = &scan->level[scan->depth];
    if (level->mapping && !level->value)
        scan_key(scan, event, line);
    if (scan->depth == 2 && scan->section >= 0 && !level->mapping)
        lines_add(&scan->d->entries[scan->section], line);
    if (event->type == YAML_SCALAR_EVENT) {
        scan_node_end(scan);
        return true;
    }
    if (++scan->depth > DEPTH_MAX)
        return scan_refuse(scan, &event->start_mark, "lists within lists, too deep");
    scan->level[scan->depth] = (struct level){.mapping = event->type == YAML_MAPPING_START_EVENT};
    return true;
}

static bool scan_scalar(struct scan *scan, const yaml_event_t *event)
{
    const char *text = (char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return scan_refuse(scan, &event->start_mark,
                           "a zero byte in a text: in a prefix write '\\x00' in single quotes");
    if (*text == '\0' && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return scan_refuse(scan, &event->start_mark,
                           "a value is missing: write it, or \"\" for the prefix of every key");
    return scan_node(scan, event);
}

static bool scan_event(struct scan *scan, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++scan->documents > 1) {
            char what[128];
            snprintf(what, sizeof what, "a second document begins: %s is one document",
                     scan->d->form->what);
            return scan_refuse(scan, &event->start_mark, what);
        }
        return true;
    case YAML_ALIAS_EVENT:
        return scan_refuse(scan, &event->start_mark, "an alias (*name): write the value out");
    case YAML_SCALAR_EVENT:
        return scan_scalar(scan, event);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return scan_node(scan, event);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        scan->depth--;
        scan_node_end(scan);
        return true;
    default:
        return true;
    }
}

static bool scan_text(struct scan *scan, const char *text, size_t len)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        snprintf(scan->why, scan->why_size, "%s: out of memory", scan->path);
        return false;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    bool good = true;
    for (bool end = false; good && !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            snprintf(scan->why, scan->why_size, "%s:%zu: not YAML: %s", scan->path,
                     parser.problem_mark.line + 1,
                     parser.problem != NULL ? parser.problem : "out of memory");
            good = false;
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        good = scan_event(scan, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return good;
}

/* ---- second pass ---- */

/* What libcyaml said: its first error, and the innermost place of its backtrace. That is the key
 * before an unknown or repeated one; so the keys that it reports (at INFO, as "[key]") are counted
 * as well. */
struct complaint {
    char what[256];
    unsigned line;
    unsigned keys; /* read so far */
};

static void complaint_log(cyaml_log_t level, void *arg, const char *format, va_list args)
{
    static const char intro[] = "Load: ";
    struct complaint *complaint = arg;
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    size_t len = strlen(text);
    while (len > 0 && strchr(".\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    const char *what = strncmp(text, intro, sizeof intro - 1) == 0 ? text + sizeof intro - 1 : text;
    const char *line = strstr(what, "(line: ");
    if (level < CYAML_LOG_WARNING) {
        complaint->keys += *what == '[';
    } else if (strncmp(what, "  in ", 5) == 0) {
        if (complaint->line == 0 && line != NULL)
            complaint->line = (unsigned)strtoul(line + strlen("(line: "), NULL, 10);
    } else if (complaint->what[0] == '\0' && strncmp(what, "Backtrace", 9) != 0) {
        snprintf(complaint->what, sizeof complaint->what, "%s", what);
    }
}

static const cyaml_config_t quiet = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS};

/* What to do, before and after the name of the manual. */
static const char *const *complaint_advice(cyaml_err_t error)
{
    static const char *const key[] = {"correct or remove the key; ", " lists them all"};
    static const char *const missing[] = {"add it; ", " shows a whole file"};
    static const char *const many[] = {"remove entries: ", " lists the limits"};
    static const char *const other[] = {"", " shows the form of every entry"};
    switch (error) {
    case CYAML_ERR_INVALID_KEY:
        return key;
    case CYAML_ERR_MAPPING_FIELD_MISSING:
        return missing;
    case CYAML_ERR_SEQUENCE_ENTRIES_MAX:
        return many;
    default:
        return other;
    }
}

static bool schema_load(struct document *d, const char *text, size_t len, const char *path,
                        char *why, size_t why_size)
{
    struct complaint complaint = {.line = 0};
    cyaml_config_t config = quiet;
    config.log_fn = complaint_log;
    config.log_ctx = &complaint;
    config.log_level = CYAML_LOG_INFO;
    cyaml_data_t *data = NULL;
    cyaml_err_t error =
        cyaml_load_data((const uint8_t *)text, len, &config, d->form->schema, &data, NULL);
    d->root = data;
    if (error == CYAML_OK && data != NULL)
        return true;
    if (complaint.keys > 0 && complaint.keys <= d->keys.n &&
        complaint.line < d->keys.line[complaint.keys - 1])
        complaint.line = d->keys.line[complaint.keys - 1];
    if (error == CYAML_OK)
        snprintf(why, why_size, "%s: the file is empty: %s shows a whole one", path,
                 d->form->manual);
    else
        snprintf(why, why_size, "%s:%u: %s: %s%s%s", path, complaint.line == 0 ? 1 : complaint.line,
                 complaint.what[0] != '\0' ? complaint.what : cyaml_strerror(error),
                 complaint_advice(error)[0], d->form->manual, complaint_advice(error)[1]);
    return false;
}

struct document *document_load(const struct document_form *form, const char *text, size_t len,
                               const char *path, char *why, size_t why_size)
{
    struct document *d = xcalloc(1, sizeof *d);
    struct scan scan = {.d = d, .section = -1, .path = path, .why = why, .why_size = why_size};
    d->form = form;
    if (len == 0)
        text = ""; /* an empty file's bytes may be nowhere, which libyaml does not take */
    if (scan_text(&scan, text, len) && schema_load(d, text, len, path, why, why_size))
        return d;
    document_free(d);
    return NULL;
}

void document_free(struct document *d)
{
    if (d == NULL)
        return;
    cyaml_free(&quiet, d->form->schema, d->root, 0);
    for (int i = 0; i < d->form->sections; i++)
        free(d->entries[i].line);
    free(d->keys.line);
    free(d);
}

void *document_root(const struct document *d)
{
    return d->root;
}

unsigned document_line(const struct document *d, int section, int index)
{
    const struct lines *entries = &d->entries[section];
    return index >= 0 && (unsigned)index < entries->n ? entries->line[index] : d->section[section];
}

/* ---- cluster files ---- */

struct document *cluster_schema_load(const char *text, size_t len, const char *path, char *why,
                                     size_t why_size)
{
    return document_load(&cluster_form, text, len, path, why, why_size);
}
