/* What the clients of a run did: every operation with its beginning, its end and what came back.
 * The simulator (virtual time) and the chaos harness (real processes) record it, the checkers
 * (chaos/check_*.h) judge it, and history_write_edn saves it for other people's checkers.
 *
 * One history holds the operations of one workload. The order of the calls is the real-time order:
 * operation A precedes B if A's completion was recorded before B's invocation. Callers with
 * several threads therefore hold one lock around "read the clock, call history_*".
 *
 * Memory: about 200 bytes an operation, 48 a micro-operation, 8 an element of a list. A read of a
 * list that extends or repeats what was read of its key before shares the elements, so that a
 * correct store's lists cost memory linear in the appends, however often they are read. Reads of
 * sets and of accounts are kept whole. */
#ifndef CHAOS_HISTORY_H
#define CHAOS_HISTORY_H

#include <stdio.h>

#include "common/bytes.h"
#include "common/hlc.h"
#include "common/read_level.h"
#include "common/txid.h"

#define HISTORY_OPERATIONS_MAX (1u << 28)
#define HISTORY_CLIENTS_MAX    (1u << 16)
#define HISTORY_NEVER          UINT32_MAX
/* The value of a register or an account that does not exist. */
#define HISTORY_NIL         INT64_MIN
#define HISTORY_NO_SESSION  UINT32_MAX
#define HISTORY_AGE_UNKNOWN INT64_MAX

/* What the micro-operations of a history mean. An operation of WORKLOAD_LIST has any number of
 * them, of the others exactly one. */
enum history_kind {
    WORKLOAD_LIST,     /* READ: the elements of list `key`; APPEND: `value`, unique for its key */
    WORKLOAD_REGISTER, /* READ: one value or NIL; WRITE: `value`; CAS: `other` becomes `value` */
    WORKLOAD_BANK,     /* READ: the balances of all accounts 0..n-1; TRANSFER: `value` from account
                          `key` to account `other` */
    WORKLOAD_SET,      /* READ: the elements of the only set; ADD: `value`, unique */
    WORKLOAD_COUNTER,  /* READ: one value of counter `key`, 0 if absent; ADD: `value` */
};

enum micro_kind { MICRO_READ, MICRO_APPEND, MICRO_WRITE, MICRO_CAS, MICRO_ADD, MICRO_TRANSFER };

/* One step of a transaction; the steps take effect in their order. */
struct micro {
    enum micro_kind kind;
    bool known; /* READ: its result was recorded */
    uint32_t n; /* READ: number of values in the result */
    int64_t key;
    int64_t value;
    int64_t other;
    const int64_t *values; /* READ: owned by the history */
};

/* How it was asked for. */
enum level {
    LEVEL_TRANSACTION, /* committed by the commit protocol */
    LEVEL_STRONG, /* a linearizable read; of several keys only where one participant holds all */
    LEVEL_WEAK,   /* of struct weak_read */
};

enum op_result {
    RESULT_OPEN, /* not completed; checkers treat it as INFO */
    RESULT_OK,   /* applied, at commit_ts */
    RESULT_FAIL, /* certainly not applied, now and ever */
    RESULT_INFO, /* unknown: applied at some time after its invocation, or never */
};

struct operation {
    uint32_t process;
    uint32_t client;
    uint32_t datacenter;
    enum level level;
    enum op_result result;
    bool logged_info;    /* was recorded as INFO, whatever became known later */
    int64_t start_ns;    /* of one monotonic clock */
    int64_t end_ns;      /* of the completion; while open 0 */
    uint32_t invoked_at; /* places in the order of events */
    uint32_t logged_at;  /* of the completion as recorded; HISTORY_NEVER while open */
    uint32_t ended_at;   /* when OK or FAIL was known; HISTORY_NEVER while OPEN or INFO */
    struct txid txid;    /* zero if not recorded */
    hlc_ts commit_ts;    /* 0: unknown, or a strong read; of a weak one the answer's timestamp */
    uint32_t session;    /* that saw it, or HISTORY_NO_SESSION */
    uint32_t n;
    struct micro *micro;
};

/* A read at a level below `strong`. It is kept apart from the operations, because the strict order
 * has no place for it: check_levels.h judges it. */
struct weak_read {
    struct operation op;
    enum read_level level;
    hlc_ts asked;     /* SNAPSHOT: at which timestamp; SESSION: the least one */
    int64_t stale_ns; /* as old as it may be: BOUNDED by what was asked for, any level by what the
                         answer says of itself; or HISTORY_AGE_UNKNOWN */
    bool after_all;   /* nothing was under way anywhere when it began */
};

/* A session's token, written down or taken over. Its number is its place among all of them. */
struct token_move {
    bool import;
    uint32_t token; /* of an import: the export */
    uint32_t session;
    uint32_t process;
    int64_t at_ns;
    uint32_t invoked_at; /* it is over with the next event */
};

struct history_list;
struct history_block;

struct history {
    enum history_kind workload;
    uint32_t n;
    struct operation *op;
    uint32_t weak_n;
    struct weak_read *weak;
    uint32_t moves;
    struct token_move *move;
    uint32_t events; /* invocations and completions recorded */
    uint32_t clients;

    /* owned by history.c */
    uint32_t cap, weak_cap, moves_cap;
    uint32_t *process;        /* by client: its present process id */
    uint32_t *under_way;      /* by client: its open operation, or HISTORY_NEVER */
    uint32_t *weak_under_way; /* by client: its open weak read, or HISTORY_NEVER */
    int64_t now_ns;           /* of the last event */
    struct history_list *lists;
    struct history_block *blocks;
};

/* Clients 0..clients-1 each do one operation at a time. */
struct history *history_new(enum history_kind workload, uint32_t clients);
void history_free(struct history *h);

/* Records the beginning of an operation, before anything of it is sent; copies `micro`; gives its
 * number. A client whose last operation ended as INFO goes on under a new process id. */
uint32_t history_invoke(struct history *h, uint32_t client, uint32_t datacenter, enum level level,
                        int64_t now_ns, const struct micro *micro, uint32_t n);
/* The transaction that carries the operation; of several attempts the last. */
void history_txid(struct history *h, uint32_t op, const struct txid *txid);
/* What micro-operation `index`, a read, found; before the operation's history_ok. Copies. */
void history_read(struct history *h, uint32_t op, uint32_t index, const int64_t *values,
                  uint32_t n);

/* The session that is told of the operation, or that makes the read. */
void history_session(struct history *h, uint32_t op, uint32_t session);

/* Exactly one of these three ends an operation. OK with a read whose result is not known is
 * allowed: its writes count as applied, and outside checkers get it as INFO. */
void history_ok(struct history *h, uint32_t op, int64_t now_ns, hlc_ts commit_ts);
void history_fail(struct history *h, uint32_t op, int64_t now_ns);
void history_info(struct history *h, uint32_t op, int64_t now_ns);

/* What became known of an operation that had ended as INFO: the checkers use it, the saved history
 * keeps the INFO. */
void history_committed(struct history *h, uint32_t op, int64_t now_ns, hlc_ts commit_ts);
void history_aborted(struct history *h, uint32_t op, int64_t now_ns);

/* ---- reads below strong, and the tokens of sessions ---- */

struct weak_how {
    enum read_level level;
    uint32_t session;
    hlc_ts asked;
    int64_t bound_ns; /* BOUNDED; of others HISTORY_AGE_UNKNOWN */
    bool after_all;
};
/* As history_invoke; gives the number of the read among the weak ones. `micro` are reads. */
uint32_t history_weak_invoke(struct history *h, uint32_t client, uint32_t datacenter,
                             const struct weak_how *how, int64_t now_ns, const struct micro *micro,
                             uint32_t n);
void history_weak_found(struct history *h, uint32_t weak, uint32_t index, const int64_t *values,
                        uint32_t n);
/* `age_ns`: how old it says that it is at most, or HISTORY_AGE_UNKNOWN. */
void history_weak_ok(struct history *h, uint32_t weak, int64_t now_ns, hlc_ts ts, int64_t age_ns);
void history_weak_fail(struct history *h, uint32_t weak, int64_t now_ns);

/* Between two operations of the client: the session's token is written down; gives its number. */
uint32_t history_export(struct history *h, uint32_t client, uint32_t session, int64_t now_ns);
/* From now on the session has seen what the token's had when it was written down. */
void history_import(struct history *h, uint32_t client, uint32_t session, uint32_t token,
                    int64_t now_ns);

/* Ends everything that is still open as INFO. */
void history_end(struct history *h, int64_t now_ns);

/* An invocation or, with `end`, the moment when OK or FAIL was known. */
struct history_event {
    uint32_t op;
    bool end;
};
/* All of them in order, *n many; free() it. */
struct history_event *history_events(const struct history *h, uint32_t *n);

/* Jepsen's format: one EDN map a line. False after an error of the stream. Reads below strong have
 * :level, and, like transactions of sessions and the moves of tokens, :session; who checks the
 * strict order leaves out the lines with :level. */
bool history_write_edn(const struct history *h, FILE *out);

#endif
