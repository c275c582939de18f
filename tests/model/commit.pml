/* The commit protocol of docs/protocol.md for one transaction with two participants, for spin.
 *
 * How messages are modelled. A message that was sent stays in a set for ever, and whoever may receive it may do so
 * at any later step, again, or never: that is loss, delay, reordering and duplication in one. Three kinds of answers
 * are not kept but counted in the step that sends them, because their only receiver keeps a set of who answered and
 * acts on it in a later step of its own: ACCEPTED at the leader, PROMISE (which may instead be lost: what it says
 * would change the choice) and ACCEPTED at the recoverer. Making a record durable and sending what waits for it is one
 * step; a crash in between is the same as the message being lost. Mutants that break this have a step of their own.
 *
 * What is asserted (docs/protocol.md, "Invariants"), and where
 *
 *   I1  agreement: `decided` holds every outcome that a coordinator, a participant or a client ever had; never two
 *       (decide; the participant's assertion when DECIDE comes)
 *   I2  committed only if both voted prepared (decide)
 *   I3  a participant never casts both votes before the transaction is decided (vote)
 *   I4  at a decision to commit, F+1 acceptors hold each participant's prepared vote on their disks (decide)
 *   I8  a coordinator finishes a record with votes only when both participants have settled (finish; FORGET only)
 *   I9  when faults stop, with at most F coordinators lost, the last state has nobody in doubt and no leader that
 *       still waits (healer; LIVE only)
 *   D   DECIDE committed reaches only a participant with the prepared record, or a settled one (participant)
 *
 * Where the rules of the page are
 *
 *   first sight, home and its incarnation     coordinator: "COMMIT"
 *   PREPARE with pins, sent again             pin[]; participant: "PREPARE"
 *   votes, durable first                      participant: "PREPARE", vote
 *   acceptor, ballot 0                        coordinator: "VOTE"; the leader's one record: "VOTE at the leader"
 *   acceptor, other ballots                   HEARS: PROMISE_ASK, PROPOSE
 *   committed, aborted by the leader          coordinator: "the leader decides"
 *   a higher ballot ends leading              HEARS; coordinator: "REJECTED at the leader"
 *   ballots (round, node, incarnation)        BALLOT, START
 *   the proposal; the whole transaction       promised, propose
 *   decided by recovery                       coordinator: "F+1 ACCEPTED"
 *   restart with F = 0                        coordinator: "restart with F = 0"
 *   INQUIRE, OUTCOME, the leader's deadline   START: any of them may come at any time
 *   DECIDE, DECIDED                           participant: "DECIDE"; coordinator: "told"
 *   watermark, FINISHED, FORGET, SETTLE_ASK   coordinator: under FORGET
 *
 * README.md says what is left out, lists the flags, and shows how to read a counterexample. */

#ifndef N
#define N 1 /* coordinators: 1 or 3; number 0 is the home */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* of ballots; LIVE adds one */
#endif
#ifndef RECOVER
#define RECOVER 7 /* mask of the coordinators that recover */
#endif
#ifndef CRASH
#define CRASH 7 /* mask of the coordinators that may crash, once each */
#endif
#ifndef CRASHP
#define CRASHP 3 /* mask of the participants that may crash, once each */
#endif
/* To narrow a search: recoveries begin only after the decider has finished; or those of c1 only after the others'
 * watermarks have passed the transaction, and theirs only before. */
#if defined(ASKED_LATE)
#define RECOVER_IF(c) forget
#elif defined(HOME_LATE)
#define RECOVER_IF(c) (c == 0 -> below == 6 : below == 0)
#else
#define RECOVER_IF(c) true
#endif
#ifndef REACH
#define REACH 0 /* this point must not be reached: for the runs that show that it is */
#endif

#define F (N / 2)
#define EACH(c) (1 << (c))
#if N == 1
#define COUNT(mask) (mask)
#else
#define COUNT(mask) (((mask) & 1) + (((mask) >> 1) & 1) + (((mask) >> 2) & 1))
#endif

/* ---- ballots: 0 is the participants', the others are numbered in the order of (round, node, incarnation) ---- */
#ifdef LIVE
#define TOP (ROUNDS + 1) /* the last round is kept for when faults have stopped */
#else
#define TOP ROUNDS
#endif
#define INCS 2
#define BALLOTS (TOP * N * INCS)
#ifdef BALLOT_REUSED
#define BALLOT(round, c) (((round - 1) * N + c) * INCS + 1)
#else
#define BALLOT(round, c) (((round - 1) * N + c) * INCS + 1 + inc[c])
#endif
#define ROUND(b) ((b + N * INCS - 1) / (N * INCS))
#define OWNER(b) (((b - 1) / INCS) % N)

/* ---- votes and outcomes ---- */
#define NONE 0
#define PREPARED 1
#define ABORTED 2
#define COMMITTED 1 /* of `decided`, a bit mask with ABORTED */

/* ---- a coordinator's state for the transaction: the states of coordinator/txn.h that matter here ---- */
#define KNOWN 0 /* and WAITING, ASKING, BACKOFF: an acceptor that may begin to recover */
#define COLLECTING 1
#define PROMISING 2
#define PROPOSING 3
#define HAS 3 /* HAS + outcome: decided, or told */
#define DECIDED(c) (state[c] > HAS)

/* the home's client */
bit led;           /* COMMIT was led: PREPARE is under way to both */
byte decided;      /* every outcome that anybody holds or was told; DECIDE of it is under way to everyone */

/* participants; a bit means "was sent" */
byte branch[2];    /* see participant */
byte boot[2];      /* incarnation */
byte pin[2];       /* incarnation when PREPARE was first sent */
byte voted[2];     /* VOTE messages: bits PREPARED, ABORTED */

/* acceptors: durable */
byte promised[N];  /* highest ballot promised */
byte vote[2 * N];  /* accepted vote of each participant */
byte at[N];        /* the ballot of votes accepted by proposal; 0: they are the participants' own */
byte whole[N];     /* the ballot at which "the whole transaction aborted" was accepted */
#define VOTE(a, p) vote[2 * (a) + p]

/* coordinators: memory */
byte state[N];
byte inc[N];       /* incarnation: durable */
byte ballot[N];    /* of the newest recovery of this incarnation */
byte answered[N];  /* mask: PROMISE while PROMISING, ACCEPTED while PROPOSING */
byte best[2 * N];  /* the votes of the promises, and their ballots */
byte best_at[2 * N];
byte best_whole[N];
byte accepted0[2]; /* at the leader: who accepted each prepared vote at ballot 0 */

/* messages of the recoverers */
int asked;                 /* PROMISE_ASK: a bit per ballot */
byte proposal[BALLOTS + 1]; /* PROPOSE: 0 or 1 + votes prepared (a bit each), WHOLE */
#define WHOLE 5
#ifdef BALLOT_REUSED
byte earlier[BALLOTS + 1]; /* what an earlier incarnation proposed at the same ballot; still under way */
#define ABOVE(c, b) (b >= promised[c])
#else
#define ABOVE(c, b) (b > promised[c])
#endif

#ifdef LIVE
bit healed;        /* faults have stopped */
byte lost;         /* 1 + a coordinator that is gone for good; 0: none */
#define ALIVE(c) (lost != c + 1)
#define FAULTS (!healed)
#else
#define ALIVE(c) true
#define FAULTS true
#endif

#ifdef FORGET
/* Forgetting. The watermark and the floors pass the transaction at any time, each node's when it likes. */
byte below;    /* mask of coordinators: the durable watermark has passed it */
byte under;    /* mask of participants: the durable floor has */
byte settled;  /* mask of participants: DECIDED is under way */
byte finished; /* mask of coordinators: FINISHED is durable; the record is gone, the outcome stays */
bit forget;    /* FORGET is under way to all coordinators */
bit inquired;  /* INQUIRE is under way to all coordinators */
bit presumed;  /* "abort if you are in doubt" is under way to the participants */
byte blank[N]; /* at a recoverer: who answered that it has forgotten */
#define HAS_VOTES(c) (VOTE(c, 0) != NONE || VOTE(c, 1) != NONE)
#define NO_RECORD(c) (promised[c] == 0 && !HAS_VOTES(c) && !(finished & EACH(c)))
#define FORGOTTEN(c) ((below & EACH(c)) && NO_RECORD(c) && !DECIDED(c))
#define TELL
#else
#define FORGOTTEN(c) false
#endif
/* What an acceptor that may have forgotten does not take part in any more. */
#ifdef FORGOTTEN_PROMISES
#define SERVES(c) true
#else
#define SERVES(c) (!FORGOTTEN(c))
#endif
#ifdef VOTE_BELOW_WATERMARK
#define TAKES_VOTES(c) true
#else
#define TAKES_VOTES(c) (!FORGOTTEN(c))
#endif

byte i, p_, x; /* scratch of one step, 0 between steps */

/* printf is for trails only: it costs the search nothing. Names as in the scenarios: c1 is the home. */
#define NAME(c) ((c) + 1)
#define SAY(outcome) ((outcome) == COMMITTED -> 'C' : 'A')

inline reached(point) {
    assert(REACH != point)
}

/* A coordinator decides: I1, I2, I4. */
inline decide(c, outcome) {
    printf("c%d DECIDES %c\n", NAME(c), SAY(outcome));
    decided = decided | outcome;
    state[c] = HAS + outcome;
    answered[c] = 0;
    assert(decided != (COMMITTED | ABORTED));
    if
    :: outcome == COMMITTED ->
        assert((voted[0] & PREPARED) && (voted[1] & PREPARED));
#ifndef FORGET /* a later recovery may come to the same after some have forgotten */
        for (p_ : 0 .. 1) {
            x = 0;
            for (i : 0 .. (N - 1)) {
                if
                :: VOTE(i, p_) == PREPARED -> x++
                :: else
                fi
            }
            assert(x >= F + 1)
        }
#else
        skip
#endif
    :: else
    fi;
    i = 0;
    p_ = 0;
    x = 0
}

/* ---------------------------------------------- participants ---------------------------------------------- */

#define NOTHING 0
#define IN_DOUBT 1   /* PREPARED is durable */
#define REFUSED 2    /* aborted, and only memory knows */
#define APPLIED 3    /* COMMITTED is durable */
#define UNDONE 4     /* ABORTED is durable */
#define HASTY 5      /* a mutant: has voted before the record is durable */

#ifdef FORGET
#define SETTLES(p) settled = settled | EACH(p)
#define UNTOLD(p) (branch[p] == REFUSED && !(settled & EACH(p)))
#else
#define SETTLES(p) skip
#define UNTOLD(p) false
#endif

/* I3: never both votes before the outcome; never prepared after aborted at all. */
inline cast(p, v) {
    printf("p%d votes %c\n", NAME(p), (v == PREPARED -> 'P' : 'A'));
#ifndef NO_I3 /* for mutants: what comes of it */
    assert(!(voted[p] & PREPARED) || v == PREPARED || decided);
    assert(!(voted[p] & ABORTED) || v == ABORTED);
#endif
    voted[p] = voted[p] | v
}

#ifdef PIN_SKIPPED
#define PINNED(p) true
#else
#define PINNED(p) (pin[p] == boot[p])
#endif
#ifdef FORGET
#define ABOVE_FLOOR(p) (!(under & EACH(p))) /* below it PREPARE is answered EXPIRED, which is no vote */
#else
#define ABOVE_FLOOR(p) true
#endif

/* DECIDE is under way to everyone from the moment it is decided. When faults have stopped it counts only if somebody
 * who is up knows the outcome. */
#ifdef LIVE
#define IS_TOLD(outcome) ((decided & (outcome)) && (!healed || KNOWS(outcome)))
#if N == 1
#define KNOWS(outcome) (state[0] == HAS + outcome)
#else
#define KNOWS(outcome) ((ALIVE(0) && state[0] == HAS + outcome) || (ALIVE(1) && state[1] == HAS + outcome) || \
                        (ALIVE(2) && state[2] == HAS + outcome))
#endif
#else
#define IS_TOLD(outcome) (decided & (outcome))
#endif

proctype participant(byte p) {
end:
    do
    /* PREPARE: first, and again (duplicates, reconnection; the pin stays) */
    :: d_step { led && branch[p] == NOTHING && PINNED(p) && ABOVE_FLOOR(p) ->
#ifdef VOTE_FIRST
        branch[p] = HASTY;
#else
        branch[p] = IN_DOUBT;
#endif
        cast(p, PREPARED) }
    :: d_step { led && branch[p] == NOTHING && ABOVE_FLOOR(p) -> /* it cannot, or the pin is not its incarnation */
        if
        :: !PINNED(p) -> reached(9)
        :: else
        fi;
        branch[p] = REFUSED;
        cast(p, ABORTED) }
    :: d_step { led && (branch[p] == REFUSED || branch[p] == UNDONE) && !(voted[p] & ABORTED) ->
        cast(p, ABORTED) }
#ifdef VOTE_FIRST
    :: d_step { branch[p] == HASTY -> branch[p] = IN_DOUBT }
#endif
#ifdef ABORT_FORGOTTEN
    :: d_step { branch[p] == REFUSED -> branch[p] = NOTHING }
#endif

    /* DECIDE */
    :: d_step { IS_TOLD(COMMITTED) && branch[p] != APPLIED ->
        assert(branch[p] == IN_DOUBT); /* D, I1 */
        if
        :: boot[p] > 0 -> reached(11)
        :: else
        fi;
        SETTLES(p);
        printf("p%d COMMITTED\n", NAME(p));
        branch[p] = APPLIED }
    :: d_step { IS_TOLD(ABORTED) && (branch[p] == NOTHING || branch[p] == IN_DOUBT || UNTOLD(p)) ->
        SETTLES(p);
        printf("p%d ABORTED\n", NAME(p));
        branch[p] = (branch[p] == IN_DOUBT || branch[p] == UNDONE -> UNDONE : REFUSED) }
    :: d_step { IS_TOLD(ABORTED) && branch[p] == APPLIED -> assert(branch[p] != APPLIED) } /* I1 */

#ifdef FORGET
    :: d_step { !(under & EACH(p)) ->
        printf("p%d: the floor has passed it\n", NAME(p));
        under = under | EACH(p) }
#ifndef FRESH
    /* INQUIRE to each coordinator, which may arrive at any later time */
    :: d_step { branch[p] == IN_DOUBT && !inquired ->
        printf("p%d sends INQUIRE\n", NAME(p));
        inquired = 1 }
#endif
    /* F+1 coordinators have forgotten it */
    :: d_step { presumed && branch[p] == IN_DOUBT ->
        reached(18);
        printf("p%d is in doubt and is told that it is forgotten: ABORTED\n", NAME(p));
        branch[p] = UNDONE;
        SETTLES(p);
        decided = decided | ABORTED;
        assert(decided == ABORTED) }
#endif

    /* crash and restart: what only memory knew is gone */
    :: d_step { FAULTS && (CRASHP & EACH(p)) && boot[p] == 0 && branch[p] != NOTHING ->
        printf("p%d crashes and restarts\n", NAME(p));
        boot[p] = 1;
        branch[p] = (branch[p] == REFUSED || branch[p] == HASTY -> NOTHING : branch[p]) }
    od
}

/* ---------------------------------------------- coordinators ---------------------------------------------- */

#ifdef F_PROMISES
#define PROMISES_NEEDED (F == 0 -> 1 : F)
#else
#define PROMISES_NEEDED (F + 1)
#endif
#ifdef F_ACCEPTED
#define ACCEPTED_NEEDED F
#else
#define ACCEPTED_NEEDED (F + 1)
#endif
#ifdef BALLOT0_AFTER_PROMISE
#define OPEN0(a) (at[a] == 0 && whole[a] == 0)
#else
#define OPEN0(a) (promised[a] == 0)
#endif
#define CAN_ACCEPT0(a) (OPEN0(a) && TAKES_VOTES(a))

inline clear(c) {
    answered[c] = 0;
#ifdef FORGET
    blank[c] = 0;
#endif
    best[2 * c] = 0;
    best[2 * c + 1] = 0;
    best_at[2 * c] = 0;
    best_at[2 * c + 1] = 0;
    best_whole[c] = 0
}

/* The proposal: each instance's vote of the highest ballot, aborted where there is none or the whole transaction was
 * aborted at a higher one. No vote at all: the whole transaction aborted. */
inline propose(c) {
    x = 0;
    for (p_ : 0 .. 1) {
        if
#ifdef WHOLE_IGNORED
        :: best[2 * c + p_] == PREPARED -> x = x | EACH(p_)
#else
        :: best[2 * c + p_] == PREPARED && best_whole[c] <= best_at[2 * c + p_] -> x = x | EACH(p_)
#endif
        :: else
        fi
    }
#ifdef ANY_PREPARED
    if
    :: x != 0 -> x = 3
    :: else
    fi;
#endif
    if
    :: best[2 * c] == NONE && best[2 * c + 1] == NONE -> x = WHOLE - 1
    :: else
    fi;
    if
    :: best_at[2 * c] > 0 && x == 3 -> reached(6)
    :: else
    fi;
    if
    :: best_whole[c] > 0 -> reached(7)
    :: else
    fi;
#ifdef BALLOT_REUSED
    earlier[ballot[c]] = proposal[ballot[c]];
#endif
    proposal[ballot[c]] = x + 1;
    printf("c%d PROPOSE b%d %d (1 + prepared votes, 5: the whole aborted)\n", NAME(c), ballot[c], x + 1);
    clear(c);
    state[c] = PROPOSING;
    x = 0
}

/* The PROMISE of acceptor a reaches recoverer c. */
inline promise(r, a) {
    printf("   and c%d hears of it\n", NAME(r));
    for (p_ : 0 .. 1) {
        if
#ifdef NOT_HIGHEST
        :: VOTE(a, p_) != NONE && best[2 * r + p_] == NONE ->
#else
        :: VOTE(a, p_) != NONE && (best[2 * r + p_] == NONE || at[a] > best_at[2 * r + p_]) ->
#endif
            best[2 * r + p_] = VOTE(a, p_);
            best_at[2 * r + p_] = at[a]
        :: else
        fi
    }
    best_whole[r] = (whole[a] > best_whole[r] -> whole[a] : best_whole[r]);
    answered[r] = answered[r] | EACH(a);
    if
    :: COUNT(answered[r]) == PROMISES_NEEDED -> propose(r)
    :: else
    fi;
    p_ = 0
}

inline stop_leading(c) {
    if
    :: state[c] == COLLECTING ->
        state[c] = KNOWN;
        accepted0[0] = 0;
        accepted0[1] = 0
    :: else
    fi
}

/* An acceptor makes a promise durable. */
inline promise_durable(a, b) {
    printf("c%d PROMISE b%d, votes %d %d at b%d\n", NAME(a), b, VOTE(a, 0), VOTE(a, 1), at[a]);
    promised[a] = b;
    stop_leading(a)
}

/* An acceptor makes a proposal durable; the recoverer counts it. */
inline accept(a, b, value) {
    printf("c%d accepts b%d: %d\n", NAME(a), b, value);
    promised[a] = b;
    stop_leading(a);
    if
    :: value == WHOLE -> whole[a] = b
    :: else ->
        VOTE(a, 0) = (((value - 1) & 1) -> PREPARED : ABORTED);
        VOTE(a, 1) = (((value - 1) & 2) -> PREPARED : ABORTED);
        at[a] = b
    fi;
    if
    :: state[OWNER(b)] == PROPOSING && ballot[OWNER(b)] == b ->
        answered[OWNER(b)] = answered[OWNER(b)] | EACH(a)
    :: else
    fi
}

#define WAITS_FOR(b) (state[OWNER(b)] == PROMISING && ballot[OWNER(b)] == b)
/* What a coordinator says to itself dies with it. */
#define REACHES(c, b) (ALIVE(c) && (OWNER(b) != c || ballot[c] == b))
/* What acceptor c does with the messages of ballot b: promises, with the PROMISE lost or not; tells the outcome if it
 * knows it; accepts. A repeated PROMISE says nothing new, so it is left out. */
#define HEARS(b) \
    :: d_step { REACHES(c, b) && (asked & (1 << b)) && ABOVE(c, b) && !DECIDED(c) && SERVES(c) && WAITS_FOR(b) -> \
        promise_durable(c, b); promise(OWNER(b), c) } \
    :: d_step { REACHES(c, b) && (asked & (1 << b)) && ABOVE(c, b) && !DECIDED(c) && SERVES(c) && \
                (FAULTS || !WAITS_FOR(b)) -> \
        promise_durable(c, b) } \
    :: d_step { REACHES(c, b) && (asked & (1 << b)) && DECIDED(c) && WAITS_FOR(b) -> \
        printf("c%d hears the outcome from c%d\n", NAME(OWNER(b)), NAME(c)); \
        clear(OWNER(b)); \
        state[OWNER(b)] = state[c]; \
        reached(14) } \
    :: d_step { REACHES(c, b) && proposal[b] != 0 && b >= promised[c] && at[c] != b && whole[c] != b && \
                !DECIDED(c) && SERVES(c) -> \
        accept(c, b, proposal[b]) } \
    EARLIER(b) \
    BLANK(b)
#ifdef BALLOT_REUSED
#define EARLIER(b) \
    :: d_step { REACHES(c, b) && earlier[b] != 0 && b >= promised[c] && at[c] != b && whole[c] != b -> \
        accept(c, b, earlier[b]) }
#else
#define EARLIER(b)
#endif
#if defined(FORGET) && !defined(FORGOTTEN_PROMISES)
/* No record, below the watermark: says just this, for good. F+1 that say so can accept nothing any more, so nothing but
 * what was forgotten can have been decided: a commit only if both participants had settled. So a client is told EXPIRED,
 * and a participant that is still in doubt when it hears of it aborts. */
#define BLANK(b) \
    :: d_step { REACHES(c, b) && (asked & (1 << b)) && FORGOTTEN(c) && WAITS_FOR(b) && !(blank[OWNER(b)] & EACH(c)) -> \
        printf("c%d has forgotten it, and says so to c%d\n", NAME(c), NAME(OWNER(b))); \
        stop_leading(c); \
        blank[OWNER(b)] = blank[OWNER(b)] | EACH(c); \
        if \
        :: COUNT(blank[OWNER(b)]) == F + 1 -> \
            presumed = 1; \
            state[OWNER(b)] = KNOWN; \
            clear(OWNER(b)); \
            reached(17) \
        :: else \
        fi }
#else
#define BLANK(b)
#endif

/* A recovery with a ballot of this round. Above all rounds seen; REJECTED may have told of others. */
#define START(round) \
    :: d_step { MAY_RECOVER(c, round) && ROUND(promised[c]) < round && ROUND(ballot[c]) < round -> \
        if \
        :: state[c] == COLLECTING -> reached(8) \
        :: else \
        fi; \
        stop_leading(c); \
        clear(c); \
        state[c] = PROMISING; \
        ballot[c] = BALLOT(round, c); \
        printf("c%d recovers with b%d\n", NAME(c), ballot[c]); \
        asked = asked | (1 << ballot[c]) }

/* Asked by a participant in doubt or by a client, or the leader's deadline. */
#ifdef LIVE
#if N == 1
#define ASKED_LAST(c) true
#else
#define ASKED_LAST(c) (c == (lost == 1 -> 1 : 0)) /* the home, or the next that is up */
#endif
#ifdef NOBODY_ASKS
#define ANY_REASON (state[0] == COLLECTING)
#else
#define ANY_REASON (branch[0] == IN_DOUBT || branch[1] == IN_DOUBT || state[0] == COLLECTING)
#endif
#define MAY_RECOVER(c, round) (ALIVE(c) && !DECIDED(c) && \
    (round == TOP -> healed && ASKED_LAST(c) && ANY_REASON : !healed && (RECOVER & EACH(c))))
#else
#ifdef FORGET
/* OUTCOME where it is not known to be forgotten, the leader's deadline, INQUIRE; a recovery that goes on. */
#ifdef FRESH
#define INQUIRED (branch[0] == IN_DOUBT || branch[1] == IN_DOUBT)
#else
#define INQUIRED inquired
#endif
#define MAY_RECOVER(c, round) (!DECIDED(c) && (RECOVER & EACH(c)) && RECOVER_IF(c) && \
    (!FORGOTTEN(c) || state[c] == COLLECTING || INQUIRED || ballot[c] != 0))
#else
#define MAY_RECOVER(c, round) (!DECIDED(c) && (RECOVER & EACH(c)) && RECOVER_IF(c))
#endif
#endif

#ifdef FORGET
#ifdef FINISH_EARLY
#define CAN_FINISH(c) true
#else
#define CAN_FINISH(c) (settled == 3 || (decided == ABORTED && !HAS_VOTES(c) && !(c == 0 && led)))
#endif
#define HARMLESS(p) ((under & EACH(p)) && branch[p] != IN_DOUBT)

inline drop(c) {
    printf("c%d drops its record\n", NAME(c));
    promised[c] = 0;
    VOTE(c, 0) = NONE;
    VOTE(c, 1) = NONE;
    at[c] = 0;
    whole[c] = 0;
    finished = finished & ~EACH(c)
}

/* I8. An outcome without a record is kept in memory only. */
inline finish(c) {
    assert(decided != COMMITTED || settled == 3 || !HAS_VOTES(c));
    if
    :: NO_RECORD(c)
    :: else ->
        drop(c);
        printf("c%d FINISHED\n", NAME(c));
        finished = finished | EACH(c)
    fi
}
#endif

proctype coordinator(byte c) {
end:
    do
    /* COMMIT, on first sight, at the home in the incarnation that it names */
#ifdef LED_AGAIN
    :: d_step { c == 0 && FAULTS && (!led || inc[0] == 1) && state[0] == KNOWN && promised[0] == 0 && ballot[0] == 0 ->
#else
    :: d_step { c == 0 && FAULTS && !led && inc[0] == 0 && state[0] == KNOWN && promised[0] == 0 && ballot[0] == 0 &&
                !FORGOTTEN(0) ->
#endif
        printf("c1 leads: PREPARE with pins %d %d\n", boot[0], boot[1]);
        led = 1;
        pin[0] = boot[0];
        pin[1] = boot[1];
        state[0] = COLLECTING }

    /* VOTE prepared at an acceptor that is not collecting; the leader hears ACCEPTED */
    :: d_step { ALIVE(c) && state[c] != COLLECTING && !DECIDED(c) && CAN_ACCEPT0(c) && VOTE(c, 0) == NONE &&
                (voted[0] & PREPARED) ->
        printf("c%d accepts p1 prepared\n", NAME(c));
        VOTE(c, 0) = PREPARED;
        if
        :: state[0] == COLLECTING -> accepted0[0] = accepted0[0] | EACH(c)
        :: else
        fi }
    :: d_step { ALIVE(c) && state[c] != COLLECTING && !DECIDED(c) && CAN_ACCEPT0(c) && VOTE(c, 1) == NONE &&
                (voted[1] & PREPARED) ->
        printf("c%d accepts p2 prepared\n", NAME(c));
        VOTE(c, 1) = PREPARED;
        if
        :: state[0] == COLLECTING -> accepted0[1] = accepted0[1] | EACH(c)
        :: else
        fi }
    /* VOTE aborted goes to the home only, which keeps it if it is not leading any more */
    :: d_step { c == 0 && ALIVE(c) && state[0] != COLLECTING && !DECIDED(0) && CAN_ACCEPT0(0) && VOTE(0, 0) == NONE &&
                (voted[0] & ABORTED) -> VOTE(0, 0) = ABORTED }
    :: d_step { c == 0 && ALIVE(c) && state[0] != COLLECTING && !DECIDED(0) && CAN_ACCEPT0(0) && VOTE(0, 1) == NONE &&
                (voted[1] & ABORTED) -> VOTE(0, 1) = ABORTED }
    /* VOTE at the leader: its own acceptor writes one record when both are there */
    :: d_step { c == 0 && state[0] == COLLECTING && CAN_ACCEPT0(0) && VOTE(0, 0) == NONE && VOTE(0, 1) == NONE &&
                (voted[0] & PREPARED) && (voted[1] & PREPARED) ->
        printf("c1 accepts both votes prepared\n");
        VOTE(0, 0) = PREPARED;
        VOTE(0, 1) = PREPARED;
        accepted0[0] = accepted0[0] | 1;
        accepted0[1] = accepted0[1] | 1 }
    /* the leader decides: F+1 at ballot 0 for each, or an aborted vote */
    :: d_step { c == 0 && ALIVE(c) && state[0] == COLLECTING && COUNT(accepted0[0]) >= ACCEPTED_NEEDED &&
                COUNT(accepted0[1]) >= ACCEPTED_NEEDED && (voted[0] & PREPARED) && (voted[1] & PREPARED) ->
        stop_leading(0);
        reached(1);
        decide(0, COMMITTED) }
    :: d_step { c == 0 && ALIVE(c) && state[0] == COLLECTING && ((voted[0] | voted[1]) & ABORTED) ->
        stop_leading(0);
        reached(2);
        decide(0, ABORTED) }
#ifdef TIMEOUT_ABORTS
    :: d_step { c == 0 && state[0] == COLLECTING -> stop_leading(0); decide(0, ABORTED) }
#endif
#if N > 1
    /* REJECTED at the leader: a vote came to an acceptor that had promised */
    :: d_step { c == 0 && state[0] == COLLECTING && (promised[1] || promised[2]) && (voted[0] || voted[1]) ->
        stop_leading(0);
        reached(12) }
#endif

    /* recovery */
    START(1)
#if TOP > 1
    START(2)
#endif
#if TOP > 2
    START(3)
#endif
    HEARS(1)
    HEARS(2)
#if BALLOTS > 2
    HEARS(3)
    HEARS(4)
#endif
#if BALLOTS > 4
    HEARS(5)
    HEARS(6)
#endif
#if BALLOTS > 6
    HEARS(7)
    HEARS(8)
    HEARS(9)
    HEARS(10)
    HEARS(11)
    HEARS(12)
#endif
#if BALLOTS > 12
    HEARS(13)
    HEARS(14)
    HEARS(15)
    HEARS(16)
    HEARS(17)
    HEARS(18)
#endif
    /* F+1 ACCEPTED: decided */
    :: d_step { ALIVE(c) && state[c] == PROPOSING && COUNT(answered[c]) >= ACCEPTED_NEEDED ->
        if
        :: proposal[ballot[c]] == 4 -> reached(3); decide(c, COMMITTED)
        :: proposal[ballot[c]] == WHOLE -> reached(5); decide(c, ABORTED)
        :: else -> reached(4); decide(c, ABORTED)
        fi }

#ifdef UNKNOWN_IS_ABORTED
    /* OUTCOME at an acceptor without a record */
    :: d_step { state[c] == KNOWN && promised[c] == 0 && VOTE(c, 0) == NONE && VOTE(c, 1) == NONE ->
        decide(c, ABORTED) }
#endif

    /* told: DECIDE at a coordinator */
#ifdef TELL
    :: d_step { ALIVE(c) && !DECIDED(c) && decided != 0 ->
        stop_leading(c);
        clear(c);
        printf("c%d is told\n", NAME(c));
        state[c] = HAS + decided }
#endif

#ifdef FORGET
    :: d_step { !(below & EACH(c)) ->
        printf("c%d: the watermark has passed it\n", NAME(c));
        below = below | EACH(c) }
    /* FINISHED: all have answered DECIDED, as the decider hears; or nobody is known who could be in doubt */
    :: d_step { DECIDED(c) && !forget && CAN_FINISH(c) ->
        forget = 1;
        finish(c) }
    /* FORGET */
    :: d_step { forget && !NO_RECORD(c) && !(finished & EACH(c)) ->
        state[c] = HAS + decided;
        finish(c) }
    /* SETTLE_ASK, SETTLED: an old record that nobody finished */
    :: d_step { (below & EACH(c)) && HAS_VOTES(c) && !(finished & EACH(c)) && (state[c] == KNOWN || DECIDED(c)) &&
                HARMLESS(0) && HARMLESS(1) ->
        reached(16);
        if
        :: DECIDED(c) -> finish(c)
        :: else -> drop(c)
        fi }
    /* a bare promise below the watermark */
    :: d_step { (below & EACH(c)) && !HAS_VOTES(c) && promised[c] && (state[c] == KNOWN || DECIDED(c)) -> drop(c) }
    /* the outcome goes, too */
    :: d_step { (below & EACH(c)) && (finished & EACH(c)) ->
        reached(15);
        drop(c);
        state[c] = KNOWN }
#ifdef EVICT
    /* an outcome that only memory knows leaves it */
    :: d_step { DECIDED(c) && NO_RECORD(c) -> state[c] = KNOWN }
#endif
#endif

    /* crash and restart */
    :: d_step { FAULTS && (CRASH & EACH(c)) && inc[c] == 0 && (led || state[c] || promised[c]) ->
        printf("c%d crashes and restarts\n", NAME(c));
        inc[c] = 1;
        stop_leading(c);
        clear(c);
#ifdef FORGET
        state[c] = ((finished & EACH(c)) -> state[c] : KNOWN);
#else
        state[c] = KNOWN;
#endif
        ballot[c] = 0;
#ifdef PROMISE_VOLATILE
        promised[c] = (whole[c] > at[c] -> whole[c] : at[c]);
#endif
#ifdef ABORT_VOLATILE
        if
        :: whole[c] || VOTE(c, 0) == ABORTED || VOTE(c, 1) == ABORTED ->
            promised[c] = 0;
            at[c] = 0;
            whole[c] = 0;
            VOTE(c, 0) = NONE;
            VOTE(c, 1) = NONE
        :: else
        fi;
#endif
#if N == 1
        /* restart with F = 0: what its records decide is decided at once */
        if
        :: VOTE(0, 0) == PREPARED && VOTE(0, 1) == PREPARED && whole[0] == 0 -> reached(10); decide(0, COMMITTED)
        :: else
        fi
#endif
        }
    od
}

#ifdef LIVE
/* Faults stop at any point: from then on at most F coordinators are gone, nothing crashes, no answer is lost. */
proctype healer() {
    if
    :: d_step { healed = 1; lost = 0 }
#if N > 1
    :: d_step { healed = 1; lost = 1; state[0] = KNOWN; clear(0) }
    :: d_step { healed = 1; lost = 2; state[1] = KNOWN; clear(1) }
    :: d_step { healed = 1; lost = 3; state[2] = KNOWN; clear(2) }
#endif
    fi;
    timeout;
    reached(13);
    assert(branch[0] != IN_DOUBT && branch[1] != IN_DOUBT);
    assert(!ALIVE(0) || state[0] != COLLECTING)
}
#endif

init {
    atomic {
        run participant(0);
        run participant(1);
        run coordinator(0);
#if N > 1
        run coordinator(1);
        run coordinator(2);
#endif
#ifdef LIVE
        run healer();
#endif
    }
}
