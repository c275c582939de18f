/* What the workloads of a chaos run share: the state of one load and of its clients, and the steps
 * that every operation is made of. Each kind of load is a file load_*.c with a struct load_work.
 *
 * A client is one thread that does one operation after the other. An operation is one attempt: one
 * that failed is in the history as failed, and is tried again as another one.
 *
 * Locks, outermost first: load_client.life, load.lock, loads.lock. */
#ifndef CHAOS_LOAD_WORK_H
#define CHAOS_LOAD_WORK_H

#include <pthread.h>
#include <stdatomic.h>

#include "chaos/check_parts.h"
#include "chaos/check_levels.h"
#include "chaos/load.h"
#include "chaos/plant.h"
#include "common/prng.h"

#define LOAD_KEY_BYTES 160
/* Numbers in one value, elements of one set, accounts: all that one read can find. */
#define LOAD_NUMBERS_MAX 65536u

struct load;
struct load_client;

struct load_check {
    const char *name; /* behind the load's: "bank" + "-money" */
    const char *says; /* "bank: money is neither made nor lost" */
    enum verdict (*check)(const struct load *l, struct finding *out);
    enum plant_kind plant; /* what falsifies a history so that the checker must find it */
};

struct load_work {
    enum history_kind history;
    /* Fits the load's number of keys to what transactions can carry; NULL: any number fits. */
    int (*keys_most)(const struct load *l);
    /* Adds what the workload begins with, from thing *next on, to the transaction, as much as fits
     * one, and moves *next; false: nothing is left to add. NULL: it begins with nothing. */
    bool (*begin)(const struct load *l, assent_txn *t, uint32_t *next);
    /* One operation, or a few that belong together; the status of the last one. */
    assent_status (*step)(struct load_client *c);
    /* The reads at the end: how many, and one of them, in the client's datacenter. It may have
     * nothing to do there: then it is ASSENT_OK. */
    uint32_t (*finals)(const struct load *l);
    assent_status (*final)(struct load_client *c, uint32_t i);
    /* The same once more when nothing is under way at any node; NULL: none. */
    uint32_t (*afters)(const struct load *l);
    assent_status (*after)(struct load_client *c, uint32_t i);
    bool sessions;                   /* its clients have them */
    const struct load_check *checks; /* ends with a name of NULL */
};

extern const struct load_work load_bank, load_list, load_register, load_set, load_routes,
    load_counter, load_large, load_levels, load_local;

/* A session's token, for any client to go on from. */
struct load_token {
    char text[ASSENT_TOKEN_TEXT]; /* "": none yet */
    uint32_t number;              /* in the history */
};

struct load {
    const struct load_work *work;
    const struct scenario_load *config;
    struct loads *all;
    int number;    /* place in the scenario, and part of its keys */
    char name[32]; /* "bank", "bank-2" */
    int keys;
    int places; /* participants of the datacenters in config->in; datacenters take turns */
    int place[SITE_NODES_MAX];
    bool everywhere; /* keys may be under "all/", in every datacenter at once */
    int clients;
    struct load_client *client;
    _Atomic int64_t next_value;
    _Atomic uint32_t *generation; /* by slot: load_number() */
    _Atomic uint32_t next_final;
    _Atomic bool unread; /* a read at the end was given up */
    assent_ts begun_ts;  /* what it begins with was there by then */

    pthread_mutex_t lock;
    struct history *history;   /* under the lock */
    struct parts_look *looks;  /* under the lock */
    size_t looks_n, looks_cap; /* under the lock */
    uint32_t sessions;         /* under the lock: so many have been begun */
    struct load_token *token;  /* under the lock, by client */
};

/* An outcome that the client does not know. */
struct load_unknown {
    assent_txid txid;
    uint32_t op;
    size_t told;
    uint64_t since_us, next_us; /* when to ask again */
    uint32_t tries;
};

struct load_client {
    struct load *load;
    int index;
    int home;       /* datacenter where it stands */
    int datacenter; /* where its operation is made: its home, but for the reads at the end */
    struct prng prng, back_off;
    pthread_t thread;
    uint64_t priority_ms; /* of the first attempt of what is tried again; 0: it was not yet */
    uint32_t tries;
    bool result_lost; /* its last commit was good, but what it read was lost on the way */
    size_t unknown_n, unknown_cap;
    struct load_unknown *unknown;
    int64_t *numbers;        /* LOAD_NUMBERS_MAX: for what a read finds */
    assent_session *session; /* NULL: none; it ends with the handle */
    uint32_t session_number; /* in the history */

    pthread_mutex_t life;
    assent *db;   /* NULL: dead. This and the next two change under `life` */
    bool owns_db; /* not that of its datacenter */
    bool committing;
};

struct loads {
    struct site *site;
    struct samples *samples;
    uint64_t seed;
    int n;
    struct load *load;
    assent *db[SCENARIO_DATACENTERS_MAX]; /* a handle for all clients of a datacenter */
    _Atomic bool stop;
    bool started;
    bool has_killer;
    pthread_t killer;
    uint64_t deadline_us; /* of the reads at the end */

    pthread_mutex_t lock;
    struct told *told; /* under the lock */
    size_t told_n, told_cap;
};

/* ---- keys ---- */

struct load_key {
    char text[LOAD_KEY_BYTES];
    size_t len;
};

/* Key `number` of its kind at a place (modulo the places), or in all datacenters. */
struct load_key load_key_at(const struct load *l, int place, const char *kind, int64_t number);
struct load_key load_key_everywhere(const struct load *l, const char *kind, int64_t number);
/* All keys of the kind at a place: [*from, *end). */
void load_range_at(const struct load *l, int place, const char *kind, struct load_key *from,
                   struct load_key *end);
/* The number that ends the key of an entry. */
int64_t load_entry_number(const assent_entry *e);

/* Some keys of lists and registers are used for a while and then left for new ones: a slot's key is
 * its number in its present generation. Every fourth slot is in all datacenters, where keys may be.
 */
int64_t load_number(const struct load *l, int slot);
void load_next_generation(struct load *l, int64_t number);
struct load_key load_slot_key(const struct load *l, const char *kind, int64_t number);
bool load_slot_everywhere(const struct load *l, int64_t number);
uint32_t load_numbers(const struct load *l); /* of all generations */
/* The i-th of them; `newest`: it is of the present generation. */
int64_t load_number_nth(const struct load *l, uint32_t i, bool *newest);

/* ---- what datacenters are left ---- */

bool load_is_lost(const struct load *l, int datacenter);
/* Whether the keys at the place, or those everywhere, can still be read. */
bool load_place_lives(const struct load *l, int place);
bool load_everywhere_lives(const struct load *l);
/* Whether all its keys can. */
bool load_lives(const struct load *l);
/* Whether it is this client's datacenter that does what only one has to. */
bool load_turn(const struct load_client *c, uint32_t i);

/* ---- operations ---- */

uint64_t load_below(struct load_client *c, uint64_t bound);
bool load_one_in(struct load_client *c, uint64_t n);
/* The next value of a load: 1, 2, 3... */
int64_t load_value(struct load *l);

/* Aborts the program with assent_error(): an operation of the workloads is never refused. */
void load_must(assent_status status);
void load_put_number(assent_txn *t, const struct load_key *key, int64_t value);
/* A check that the key holds the number, or, if it is nil, that it is absent. */
void load_check_number(assent_txn *t, const struct load_key *key, int64_t value);

uint32_t load_invoke(struct load_client *c, enum level level, const struct micro *micro,
                     uint32_t n);
/* What a read found, before the operation's end. */
void load_found(struct load_client *c, uint32_t op, uint32_t index, const int64_t *values,
                uint32_t n);

/* Takes the results of a committed transaction: calls load_found(). */
typedef void (*load_note)(struct load_client *c, const assent_txn *t, uint32_t op, const void *arg);
/* Commits, measures, ends the operation in the history, remembers an unknown outcome, frees t. */
assent_status load_commit(struct load_client *c, assent_txn *t, uint32_t op, load_note note,
                          const void *arg);
/* A strong read, at the nearest replica or in the datacenter `at` (-1: nearest): ASSENT_OK with the
 * value as text for free() (NULL: no such key), else why not. Ends nothing in the history. */
assent_status load_strong(struct load_client *c, int at, const struct load_key *key, char **text);
/* The same as an operation: a read of register `number` or counter, `nil` if the key is absent. */
assent_status load_strong_number(struct load_client *c, int at, const struct load_key *key,
                                 int64_t number, int64_t nil, int64_t *value, uint32_t *op);
/* Ends a strong read, after load_found(). */
void load_end_strong(struct load_client *c, uint32_t op, bool good);

/* ---- sessions and reads below strong (load_levels.c) ---- */

/* Begins one if the workload has them and the client has none. */
void load_session_begin(struct load_client *c);
void load_session_end(struct load_client *c);
/* Now and then: its token is written down for others, or it goes on from another one's. */
void load_session_move(struct load_client *c);

/* How the next read is asked for. */
struct load_reading {
    struct weak_how how;
    assent_read_options options;
};
/* At this level, at the nearest replica or in the datacenter `at` (-1: nearest). */
struct load_reading load_reading_of(struct load_client *c, enum read_level level, int at);
/* The read as the history has it: its beginning, what was found, its end: `list` NULL if it failed.
 */
uint32_t load_weak_invoke(struct load_client *c, const struct load_reading *r,
                          const struct micro *micro, uint32_t n);
void load_weak_found(struct load_client *c, uint32_t weak, uint32_t index, const int64_t *values,
                     uint32_t n);
void load_weak_end(struct load_client *c, uint32_t weak, const assent_list *list);

/* Remembers what two reads found of two parts of a group. */
void load_look(struct load *l, const struct parts_look *look);

/* Numbers in a text, separated by blanks, into the client's; how many. */
uint32_t load_numbers_in(struct load_client *c, const void *text, size_t len);
/* The number that an entry's value begins with; `nil` if it was not found. */
int64_t load_entry_value(const assent_entry *e, int64_t nil);

/* ---- clients (load_client.c) ---- */

void load_client_open(struct load_client *c, struct load *l, int index);
void load_client_free(struct load_client *c);
/* The threads: operations until loads.stop; deaths of those of loads that die. */
void *load_client_main(void *client);
void *load_killer_main(void *loads);
/* Asks for the outcomes that are due. With `all`: for each that is unknown, until the deadline. */
void load_ask(struct load_client *c, bool all);
/* Waits for longer after each failure, at random. */
void load_back_off(struct load_client *c);

/* "bank", and "bank-2" for a second one (load.c). */
void load_name(const struct scenario *s, int number, char out[32]);
const struct load_work *load_work_of(enum load_kind kind);

/* ---- judging (load_judge.c) ---- */

enum verdict load_check_timestamps(const struct load *l, struct finding *out);
enum verdict load_check_fresh(const struct load *l, struct finding *out);
enum verdict load_check_register(const struct load *l, struct finding *out);

#endif
