/* The one-phase commit of docs/protocol.md ("One participant"), for spin: one participant, its home and another
 * coordinator that is asked for the outcome. Messages are sets, as in commit.pml: lost, delayed, reordered, repeated.
 *
 * What is asserted
 *
 *   I1  `told` holds every outcome that the participant applied, or that a client was told by whomever; never two (tell)
 *   I3  the participant never says both (same place: what it says is an outcome)
 *
 * Where the rules are
 *
 *   COMMIT on first sight, pin                coordinator: "COMMIT"; again, or elsewhere, it is a question: OUTCOME
 *   PREPARE: checked, applied, decided        participant: "PREPARE"; the vote is the outcome
 *   whoever is asked asks the participant     coordinator: "OUTCOME"; the leader too, at the deadline
 *   never seen: aborted, durable, answered    participant: "OUTCOME"
 *   below the floor                           participant: EXPIRED, which says nothing */

#define NONE 0
#define COMMITTED 1
#define ABORTED 2

#define NOTHING 0
#define REFUSED 1 /* aborted, and only memory knows */
#define APPLIED 2 /* durable */
#define UNDONE 3  /* aborted, durable */

#ifndef REACH
#define REACH 0 /* this point must not be reached: for the runs that show that it is */
#endif
#ifndef BOOTS
#define BOOTS 2 /* restarts of the participant */
#endif

byte branch;
byte boot;    /* incarnation of the participant */
bit under;    /* the floor has passed the transaction */
bit dropped;  /* and its record is gone */
byte pinned;  /* PREPARE messages, a bit per pin */
byte said;    /* what the participant has said, in VOTE and RESULT: bits; under way to both coordinators */
byte told;    /* what the participant has applied, or a client was told: bits */
bit asked;    /* OUTCOME is under way to the participant */
bit inc;      /* incarnation of the home */
bit seen;     /* the home has seen COMMIT, in incarnation 0 */

/* printf is for trails only. */
#define SAY(outcome) ((outcome) == COMMITTED -> 'C' : 'A')

inline reached(point) {
    assert(REACH != point)
}

inline tell(outcome) {
    told = told | outcome;
    assert(told != (COMMITTED | ABORTED)) /* I1 */
}

#ifdef PIN_SKIPPED
#define MAY_PREPARE (pinned != 0)
#else
#define MAY_PREPARE (pinned & (1 << boot))
#endif

proctype participant() {
end:
    do
    /* PREPARE */
    :: d_step { MAY_PREPARE && branch == NOTHING && !dropped && !under ->
        printf("p1 APPLIED\n");
        branch = APPLIED;
        said = said | COMMITTED;
        reached(1);
        tell(COMMITTED) }
    :: d_step { pinned && branch == NOTHING && !dropped && !under ->
        printf("p1 votes aborted\n");
        branch = REFUSED;
        said = said | ABORTED }
    /* OUTCOME */
    :: d_step { asked && branch == NOTHING && !dropped && !under ->
        printf("p1 is asked: ABORTED, durable\n");
#ifdef SOLE_ABORT_VOLATILE
        branch = REFUSED;
#else
        branch = UNDONE;
#endif
        reached(2);
        said = said | ABORTED }
    :: d_step { asked && branch == REFUSED ->
        printf("p1 is asked: its abort becomes durable\n");
#ifndef SOLE_ABORT_VOLATILE
        branch = UNDONE;
#endif
        said = said | ABORTED }
#ifdef EXPIRED_IS_ABORTED
    :: d_step { asked && dropped -> said = said | ABORTED }
#endif
    /* time */
    :: d_step { !under -> printf("p1: the floor has passed it\n"); under = 1 }
    :: d_step { under && branch != NOTHING ->
        printf("p1 drops its record\n");
        reached(5);
        branch = NOTHING;
        dropped = 1 }
#ifdef ABORT_FORGOTTEN
    :: d_step { branch == REFUSED -> branch = NOTHING }
#endif
    :: d_step { boot < BOOTS ->
        printf("p1 crashes and restarts\n");
        boot++;
        branch = (branch == REFUSED -> NOTHING : branch) }
    od
}

proctype coordinators() {
end:
    do
    /* COMMIT, on first sight; the home does not know of restarts that come later */
    :: d_step { !seen && inc == 0 ->
        printf("c1 leads: PREPARE with pin %d\n", boot);
        seen = 1;
        pinned = pinned | (1 << boot) }
#ifdef LED_AGAIN
    :: d_step { seen && !(pinned & (1 << boot)) -> pinned = pinned | (1 << boot) }
#endif
    /* OUTCOME at either, COMMIT again, the leader's deadline */
    :: d_step { !asked -> printf("p1 is sent OUTCOME\n"); asked = 1 }
    /* what the participant said reaches a client; the home's leader takes the vote for the outcome */
    :: d_step { (said & COMMITTED) && !(told & COMMITTED) -> tell(COMMITTED) }
    :: d_step { (said & ABORTED) && !(told & ABORTED) ->
        printf("a client is told A\n");
        reached(3);
        tell(ABORTED) }
    :: d_step { inc == 0 -> printf("c1 crashes and restarts\n"); inc = 1 }
#ifdef TIMEOUT_ABORTS
    :: d_step { seen && inc == 0 -> tell(ABORTED) }
#endif
#ifdef NO_ROUTE
    /* without the route: asked of the acceptors, who know nothing of it */
    :: d_step { !(told & ABORTED) -> printf("c2 finds no vote: A\n"); tell(ABORTED) }
#endif
    od
}

init {
    atomic {
        run participant();
        run coordinators()
    }
}
