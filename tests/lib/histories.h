/* Histories for the tests of chaos/history.h and of the checkers: written down as a script, or made
 * at random by clients of a store that is right. */
#ifndef TESTS_LIB_HISTORIES_H
#define TESTS_LIB_HISTORIES_H

#include "chaos/history.h"

#define SCRIPT_CLIENTS 16

/* One event a line, lines apart by ';' or a newline, times 1, 2, 3...:
 *
 *     0> a1=5 r2=[1 2]     client 0 begins an operation; what its reads will find stands here
 *     0< ok@7              ... and it ends: ok (with or without a commit timestamp), fail, info
 *     0: r1=[5] ok         both at once
 *     0! ok@7              what became known of its last operation, which had ended as info
 *
 * Steps: aKEY=V append, rKEY=[V ..] or rKEY=V read, wKEY=V write, cKEY,OLD=NEW compare-and-set,
 * +KEY=V add (a set's key is 0), tFROM,TO=V transfer. A value may be nil; "r1=?" is a read whose
 * result is not known. "s" before the first step: a strong read. Aborts on nonsense. */
struct history *histories_script(enum history_kind workload, const char *script);

struct random_history {
    enum history_kind workload;
    uint64_t seed;
    uint32_t operations, clients, keys;
    bool certain;         /* nothing fails, nothing stays unknown */
    uint32_t corrupt;     /* which read that returned gets a wrong result, from 1; 0: none */
    uint32_t reads;       /* out: how many returned, not counting those at the end */
    const char *mistaken; /* out: what was done to the wrong one */
};

#define RANDOM_BALANCE 100 /* of each account to begin with; `keys` accounts */

/* Random operations under a random schedule: each takes effect at one moment between its beginning
 * and its end, those of unknown outcome later or never. Ends with a read of everything. */
struct history *histories_random(struct random_history *r);

#endif
