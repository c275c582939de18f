/* What the clients of a simulated cluster do: transfers between accounts, lists that grow,
 * registers, a set, counters; each with its history and its checkers. */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include "tests/sim/oracle.h"

#define WORKLOAD_CLIENTS_MAX 12
#define WORKLOAD_KEYS_MAX    16

enum work {
    WORK_TRANSFER,
    WORK_READ_ACCOUNTS,
    WORK_APPEND,
    WORK_READ_LISTS,
    WORK_READ_LIST_STRONGLY,
    WORK_REGISTER_WRITE,
    WORK_REGISTER_READ,
    WORK_REGISTER_CAS,
    WORK_SET_ADD,
    WORK_SET_READ,
    WORK_COUNTER_ADD,
    WORK_COUNTER_READ,
    WORK_READ_AT_LEVEL,     /* a list, at a level below strong */
    WORK_SNAPSHOT_ACCOUNTS, /* all accounts at one timestamp, wherever they are */
    WORK_INTERACTIVE,       /* lists read one after the other, then appended to or not */
    WORK_WATCH,             /* one list, or all of a placement: waits until one changes */
    WORKS
};

struct workload_config {
    int clients;
    int watchers; /* the last ones of the clients: they do nothing else */

    int accounts, lists, registers, counters; /* keys of each kind, spread over the placements */
    uint32_t weight[WORKS];
    uint64_t think_us;
    uint64_t timeout_us;
    uint32_t repeat_one_in; /* COMMITs that are sent once more; 0: none */
    int prefixes;           /* placements; key i of any kind is in placement i % prefixes */
    char prefix[WORKLOAD_KEYS_MAX][NAME_BYTES_MAX + 2];
};

#define WORKLOAD_MONEY 100 /* of each account, at first */

struct workload;

struct workload *workload_new(struct sim *sim, struct net *net, const struct cluster *cluster,
                              const struct workload_config *config, struct oracle *oracle);
void workload_free(struct workload *w);

/* Begins: the first client funds the accounts, then all go on. */
void workload_start(struct workload *w);
/* No new operations; those under way end. */
void workload_stop(struct workload *w);
bool workload_idle(const struct workload *w);
/* A client process dies and comes back after a while. */
void workload_kill_client(struct workload *w, int client, uint64_t back_after_us);
/* All keys are read once more, through the first client; then workload_idle again. */
void workload_read_all(struct workload *w);
/* Asks for the outcomes of so many of the transactions, chosen by chance; then workload_idle again.
 * The oracle hears the answers. */
void workload_ask_again(struct workload *w, int questions);
/* Judges the histories, with what the oracle knows of operations without an answer. */
void workload_check(struct workload *w);

struct workload_stats {
    uint64_t ok, failed, unknown;
    uint64_t told, behind; /* answers to watches */
};
void workload_stats(const struct workload *w, struct workload_stats *out);

#endif
