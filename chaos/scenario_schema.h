/* The scenario file as text: YAML into structs of strings. Nothing here knows what the strings
 * mean; scenario.c does. Private to it. */
#ifndef CHAOS_SCENARIO_SCHEMA_H
#define CHAOS_SCENARIO_SCHEMA_H

#include "runtime/cluster_schema.h"

/* X(NAME, key): the keys at the top of the file. */
#define SCENARIO_KEY_MAP(X)                                                                        \
    X(NAME, "name")                                                                                \
    X(SEED, "seed")                                                                                \
    X(CALM, "calm")                                                                                \
    X(DURATION, "duration")                                                                        \
    X(SETTLE, "settle")                                                                            \
    X(DATACENTERS, "datacenters")                                                                  \
    X(RTT, "rtt")                                                                                  \
    X(RTT_FILE, "rtt-file")                                                                        \
    X(JITTER, "jitter")                                                                            \
    X(COORDINATORS, "coordinators")                                                                \
    X(PARTICIPANTS, "participants")                                                                \
    X(TIMES, "times")                                                                              \
    X(LOADS, "loads")                                                                              \
    X(FAULTS, "faults")                                                                            \
    X(MIX, "mix")

enum scenario_key {
#define SCENARIO_KEY_ENUM(name, key) KEY_##name,
    SCENARIO_KEY_MAP(SCENARIO_KEY_ENUM)
#undef SCENARIO_KEY_ENUM
        SCENARIO_KEYS
};

/* Everything is a string, as in the cluster file. NULL, or none: not given. */
struct scenario_document_times {
    char *retention, *in_doubt_timeout, *txid_skew;
};

struct scenario_document_load {
    char *kind, *clients, *keys, *think, *timeout, *dies;
    struct cluster_strings in, from;
};

struct scenario_document_fault {
    char *kind, *at, *duration, *target, *step;
};

struct scenario_document_mix {
    struct cluster_strings kinds;
    char *every, *duration;
};

struct scenario_document {
    char *name, *seed, *calm, *duration, *settle, *rtt_file, *jitter, *coordinators, *participants;
    struct cluster_strings datacenters, rtt;
    struct scenario_document_times times;
    struct scenario_document_load *load;
    unsigned loads;
    struct scenario_document_fault *fault;
    unsigned faults;
    struct scenario_document_mix mix;
};

extern const struct document_form scenario_form;

#endif
