/* Made-up results of chaos runs, for the tests of what is told of them. */
#ifndef TESTS_LIB_RESULTS_H
#define TESTS_LIB_RESULTS_H

#include "chaos/result.h"

#define RESULT_BEGIN_US   UINT64_C(1000000)
#define RESULT_FAULTS_MAX 64

/* A result and what it points at; not to be moved. */
struct made_result {
    struct scenario scenario;
    struct fault fault[RESULT_FAULTS_MAX];
    struct result result;
};

/* Three datacenters a, b, c with 80 ms between a and b, 140 ms between a and c, 60 ms between b and
 * c; three coordinators, one participant each; no samples, faults or judgements. */
void result_made(struct made_result *m);
void result_made_free(struct made_result *m);

/* Times of these are milliseconds from the run's beginning. `in`: names of datacenters, as "ab". */
struct sample *result_sample(struct sample *out, enum load_kind load, const char *client,
                             const char *in, uint64_t begin_ms, uint64_t end_ms);
void result_commit(struct made_result *m, enum load_kind load, const char *client, const char *in,
                   uint64_t begin_ms, uint64_t end_ms);
void result_attempt(struct made_result *m, assent_status status, const char *client, const char *in,
                    uint64_t begin_ms, uint64_t end_ms);
/* end_ms 0: never. */
struct fault *result_fault(struct made_result *m, enum fault_kind kind, const char *in,
                           uint64_t begin_ms, uint64_t end_ms);
void result_look(struct made_result *m, uint64_t at_ms, int answering, int in_doubt,
                 const char *oldest_in, uint32_t oldest_ms);
void result_judge(struct made_result *m, const char *name, enum verdict verdict,
                  enum anomaly anomaly, const char *text);

/* Two minutes like a real run, always the same: thousands of attempts, ten faults, a verdict. */
void result_made_long(struct made_result *m, bool failed);

#endif
