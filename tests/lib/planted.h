/* What the tests of all checkers do: histories that must pass, planted anomalies that must be found
 * by name, random histories with and without one wrong read. */
#ifndef TESTS_LIB_PLANTED_H
#define TESTS_LIB_PLANTED_H

#include "chaos/check_finding.h"
#include "tests/lib/histories.h"

typedef enum verdict (*planted_check)(const struct history *h, struct finding *out);

struct planted {
    const char *what;
    const char *script;
    enum verdict verdict;
    enum anomaly anomaly;
    const char *says; /* part of the finding's text; NULL: anything */
};

/* Fails the test, naming each row that is not judged as it says. */
void planted_judge(enum history_kind workload, planted_check check, const struct planted *rows,
                   size_t n);
/* `histories` random ones, seeds 1.., must all pass. */
void planted_none(enum history_kind workload, planted_check check, uint32_t histories,
                  uint32_t operations, bool certain);
/* Of `histories` random ones with one wrong read each, how many do not pass; fails the test below
 * the floor, and prints what was not found. */
void planted_reads(enum history_kind workload, planted_check check, uint32_t histories,
                   uint32_t operations, bool certain, uint32_t floor);

#endif
