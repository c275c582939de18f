#include "chaos/scenario_schema.h"

#include <cyaml/cyaml.h>

#include "chaos/scenario.h"

/* clang-format off */
#define TEXT(key, flags, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, CYAML_UNLIMITED)
#define ENTRIES(key, flags, type, member, count, value, most) \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | (flags), type, member, count, value, 0,   \
                               most)
#define TEXTS(key, flags, type, member, most) \
    ENTRIES(key, flags, type, member.text, member.n, &text_value, most)
#define OPTIONAL CYAML_FLAG_OPTIONAL

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t times_fields[] = {
    TEXT("retention", OPTIONAL, struct scenario_document_times, retention),
    TEXT("in-doubt-timeout", OPTIONAL, struct scenario_document_times, in_doubt_timeout),
    TEXT("txid-skew", OPTIONAL, struct scenario_document_times, txid_skew),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t load_fields[] = {
    TEXT("kind", 0, struct scenario_document_load, kind),
    TEXT("clients", 0, struct scenario_document_load, clients),
    TEXT("keys", OPTIONAL, struct scenario_document_load, keys),
    TEXT("think", OPTIONAL, struct scenario_document_load, think),
    TEXT("timeout", OPTIONAL, struct scenario_document_load, timeout),
    TEXTS("in", OPTIONAL, struct scenario_document_load, in, SCENARIO_DATACENTERS_MAX),
    TEXTS("from", OPTIONAL, struct scenario_document_load, from, SCENARIO_DATACENTERS_MAX),
    TEXT("dies", OPTIONAL, struct scenario_document_load, dies),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t load_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct scenario_document_load, load_fields),
};

static const cyaml_schema_field_t fault_fields[] = {
    TEXT("kind", 0, struct scenario_document_fault, kind),
    TEXT("at", 0, struct scenario_document_fault, at),
    TEXT("for", OPTIONAL, struct scenario_document_fault, duration),
    TEXT("target", OPTIONAL, struct scenario_document_fault, target),
    TEXT("step", OPTIONAL, struct scenario_document_fault, step),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t fault_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct scenario_document_fault, fault_fields),
};

static const cyaml_schema_field_t mix_fields[] = {
    TEXTS("kinds", 0, struct scenario_document_mix, kinds, FAULT_KINDS),
    TEXT("every", 0, struct scenario_document_mix, every),
    TEXT("for", 0, struct scenario_document_mix, duration),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t file_fields[] = {
    TEXT("name", OPTIONAL, struct scenario_document, name),
    TEXT("seed", OPTIONAL, struct scenario_document, seed),
    TEXT("calm", OPTIONAL, struct scenario_document, calm),
    TEXT("duration", 0, struct scenario_document, duration),
    TEXT("settle", OPTIONAL, struct scenario_document, settle),
    TEXTS("datacenters", 0, struct scenario_document, datacenters, SCENARIO_DATACENTERS_MAX),
    TEXTS("rtt", OPTIONAL, struct scenario_document, rtt, CYAML_UNLIMITED),
    TEXT("rtt-file", OPTIONAL, struct scenario_document, rtt_file),
    TEXT("jitter", OPTIONAL, struct scenario_document, jitter),
    TEXT("coordinators", OPTIONAL, struct scenario_document, coordinators),
    TEXT("participants", OPTIONAL, struct scenario_document, participants),
    CYAML_FIELD_MAPPING("times", OPTIONAL, struct scenario_document, times, times_fields),
    ENTRIES("loads", 0, struct scenario_document, load, loads, &load_value, SCENARIO_LOADS_MAX),
    ENTRIES("faults", OPTIONAL, struct scenario_document, fault, faults, &fault_value,
            SCENARIO_FAULTS_MAX),
    CYAML_FIELD_MAPPING("mix", OPTIONAL, struct scenario_document, mix, mix_fields),
    CYAML_FIELD_END,
};
/* clang-format on */

static const cyaml_schema_value_t file_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct scenario_document, file_fields),
};

static const char *const sections[SCENARIO_KEYS] = {
#define SCENARIO_KEY_TEXT(name, key) key,
    SCENARIO_KEY_MAP(SCENARIO_KEY_TEXT)
#undef SCENARIO_KEY_TEXT
};

_Static_assert(SCENARIO_KEYS <= DOCUMENT_SECTIONS_MAX, "every key's line is kept");

const struct document_form scenario_form = {.sections = SCENARIO_KEYS,
                                            .section = sections,
                                            .schema = &file_value,
                                            .what = "a scenario",
                                            .manual = "docs/chaos.md"};
