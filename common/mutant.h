/* Planted bugs, by which the simulator is tested (tests/sim/mutants): each must make it fail.
 *
 * MUTANT(NAME) stands where the bug is, and is the constant 0 unless the build has
 * -DASSENT_MUTANTS: programs have no trace of it. */
#ifndef COMMON_MUTANT_H
#define COMMON_MUTANT_H

/* X(NAME, what is broken) */
/* clang-format off */
#define MUTANT_MAP(X)                                                                              \
    X(NONE, "nothing")                                                                             \
    X(CANARY, "in one of eight seeds, the client of a leader is told that a commit is aborted")    \
    /* the leader */                                                                               \
    X(F_ACCEPTANCES, "F acceptances of each vote are enough to commit")                            \
    X(LAST_VOTE_NOT_AWAITED, "the leader commits without the last participant's vote")             \
    X(OWN_ACCEPT_AT_ONCE, "the leader counts its own acceptance before it is durable")             \
    X(COMMIT_TS_OF_LEADER, "commit_ts is the leader's clock, not the greatest prepare_ts")         \
    X(LEADER_TIMES_OUT, "the leader aborts by itself at the deadline")                             \
    X(PIN_ANEW, "PREPARE is sent again with the participant's new incarnation as its pin")         \
    X(LEADS_AS_OLD_HOME, "a restarted home leads what was sent to its earlier incarnation")        \
    /* the acceptor */                                                                             \
    X(ACCEPTS_AFTER_PROMISE, "a vote at ballot 0 is accepted after a promise")                     \
    X(ACCEPTS_BELOW_PROMISE, "a proposal below the promised ballot is accepted")                   \
    X(PROMISE_FORGOTTEN, "the record of a promise does not have the ballot")                       \
    X(PROMISE_BEFORE_DURABLE, "PROMISE leaves before its record is durable")                       \
    X(ACCEPTED_BEFORE_DURABLE, "ACCEPTED leaves before its record is durable")                     \
    X(PROMISE_HIDES_VOTES, "PROMISE does not report the accepted votes")                           \
    X(RESTORED_WITHOUT_VOTES, "a restarted acceptor has forgotten the votes that it accepted")     \
    X(RESTORED_WITHOUT_PROMISE, "a restarted acceptor has forgotten what it promised")             \
    /* recovery */                                                                                 \
    X(F_PROMISES, "a recoverer proposes after F promises")                                         \
    X(F_ACCEPTED, "a recoverer decides after F acceptances")                                       \
    X(BALLOT_REUSED, "a recoverer tries again with the ballot that it had")                        \
    X(BALLOT_WITHOUT_INCARNATION, "ballots of two starts of a coordinator are the same")           \
    X(FIRST_VOTE_REPORTED_WINS, "a recoverer takes the vote it hears first, whatever its ballot")  \
    X(WHOLE_ABORT_IGNORED, "a recoverer overlooks that the abort of the whole was accepted")       \
    X(ROLLS_BACK_VOTED, "a recoverer aborts although all votes are durable")                       \
    X(NO_RECORD_IS_ABORT, "a coordinator that is asked, and has no record, says aborted")          \
    X(NOT_LEADING_IS_ABORT, "a home that does not lead is taken to mean aborted")                  \
    X(COMMIT_TS_OF_RECOVERER, "a recovered commit is at the recoverer's clock")                    \
    /* outcomes and forgetting */                                                                  \
    X(FORGETS_UNSETTLED, "the decider forgets when the first participant has settled")             \
    X(FORGETS_WHEN_TOLD, "an acceptor forgets as soon as it is told the outcome")                  \
    X(DECIDES_ONCE, "DECIDE is not repeated")                                                      \
    X(PENDING_IS_ABORT, "a client whose question must wait for too long is told aborted")          \
    X(DISK_NOT_ASKED, "a coordinator does not look for old outcomes on its disk")                  \
    X(FORGOTTEN_IS_ABORT, "who asks about what is below W is told aborted, not EXPIRED")           \
    X(TAKES_PART_BELOW_W, "a coordinator decides anew what it and others may have forgotten")      \
    X(SETTLED_WHILE_PREPARED, "a participant in doubt says that it has settled")                   \
    /* the participant */                                                                          \
    X(VOTES_BEFORE_DURABLE, "VOTE prepared leaves before its record is durable")                   \
    X(PIN_SKIPPED, "a participant prepares what began before it restarted")                        \
    X(PREPARES_AFTER_ABORT, "a participant prepares what it has voted to abort")                   \
    X(SOLE_ABORT_NOT_REMEMBERED, "the only participant answers aborted, and may apply it later")   \
    X(SOLE_ABORT_NOT_DURABLE, "the only participant answers aborted before that is durable")       \
    X(DECIDED_BEFORE_DURABLE, "DECIDED leaves before the decision is durable")                     \
    X(IN_DOUBT_TIMES_OUT, "a participant in doubt aborts by itself")                               \
    X(ASKS_HOME_ONLY, "a participant in doubt asks nobody but the home")                           \
    X(ASKS_ONCE, "a participant in doubt asks once")                                               \
    X(RESTARTED_ASKS_HOME_ONLY, "a restarted participant waits for the home to come back")         \
    X(LOSES_PREPARED, "a restarted participant has forgotten what it prepared, and says DECIDED")  \
    X(OUTCOME_NOT_LOOKED_UP, "a participant does not look for old outcomes on its disk")           \
    /* clocks */                                                                                   \
    X(TS_BEFORE_LOCKS, "prepare_ts is taken before the locks are held")                            \
    X(COMMIT_TS_NOT_HEARD, "a participant's clock does not follow the commit_ts that it is told")  \
    X(CLIENT_CLOCK_NOT_HEARD, "what a client writes may be before what it has read")               \
    X(OWN_CLOCK_MOVES_W, "W follows the node's own clock, whatever the others' show")              \
    X(OWN_CLOCK_BELIEVED, "a wrong clock gets into timestamps")                                    \
    /* locks and data */                                                                           \
    X(RELEASES_AT_VOTE, "locks are given up at the vote")                                          \
    X(READ_LOCKS_END_AT_VOTE, "shared locks are given up at the vote")                             \
    X(RELEASES_BEFORE_APPLIED, "locks are given up before the decision is applied")                \
    X(RESTORES_NO_LOCKS, "a restarted participant does not take its locks again")                  \
    X(READS_DO_NOT_LOCK, "a write does not wait for those who have read the key")                  \
    X(RANGES_DO_NOT_LOCK, "a write does not wait for those who have read a range with the key")    \
    X(RANGE_SEES_FIRST_KEY, "a range waits for writers of its first locked key only")              \
    X(ESCROW_IGNORES_PENDING, "an add is admitted without regard to pending ones")                 \
    X(STRONG_READ_HURRIES, "a strong read does not wait for prepared writers")                     \
    X(OVERLAY_NOT_READ, "reads do not see what is not in the tables yet")                          \
    X(SNAPSHOT_HURRIES, "a snapshot does not wait for prepared writers below its timestamp")       \
    X(SNAPSHOT_NOT_HEARD, "what prepares after a snapshot may commit below its timestamp")         \
    X(CEILING_IGNORES_READS, "after a restart, timestamps may be below those that were read at")   \
    X(SESSION_IGNORES_TOKEN, "a session reads whatever needs no waiting")                          \
    X(BOUNDED_ANSWERS_ANY, "a bounded read is answered, however old it is")                        \
    X(AGE_UNDERSTATED, "a read says that it lacks nothing, however old it is")                     \
    X(LATE_ADD_NOT_SEEN, "an add is missing in a snapshot if later ones came first")             \
    X(CHANGES_NOT_IN_OVERLAY, "changes in a range are overlooked until they are in the tables")  \
    X(WATCH_POSITION_HURRIES, "the position of a watch passes what is prepared and not decided")   \
    X(WATCH_OVER_RESTART, "a watch goes on over a restart although changes may be missing")        \
    X(WATCH_LEAVES_OUT_LATE, "a watch is not told of a commit with an older timestamp than others")\
    X(HALF_APPLIED, "a half of a transaction's writes gets into the tables")                       \
    X(PREPARED_NOT_IN_TABLES, "the log is trimmed of a prepared record that is nowhere else")      \
    X(PREPARED_STAYS_IN_TABLES, "a decided transaction is prepared again after a restart")         \
    X(REPLICA_MISSES_WRITE, "a write does not go to the last replica of its key")                  \
    /* storage */                                                                                  \
    X(POSITION_NOT_MOVED, "the log is replayed over tables that have it already")                  \
    X(TAIL_NOT_WRITTEN, "a commit waits for nothing durable")                                      \
    X(WAL_NOT_SYNCED, "the tail forgets what is not synced elsewhere")                             \
    X(TAIL_FORGETS, "the tail forgets rows that were not applied yet")                             \
    X(TAIL_NOT_RESTORED, "rows that only the tail has are not put back")                           \
    X(WRITE_ERROR_IGNORED, "a failed write of the tail counts as a success")                       \
    X(DISK_FULL_IS_OK, "jobs that a full disk has refused are reported as done")                   \
    X(TAIL_SUM_NOT_CHECKED, "a torn or damaged entry of the tail is believed")                     \
    X(DAMAGE_IS_IGNORED, "a start that finds its log damaged goes on with what is left of it")     \
    X(PAGE_SUM_NOT_CHECKED, "a damaged page of the database is believed")                          \
    X(INCARNATION_NOT_DURABLE, "every start has the same incarnation")                             \
    /* the client */                                                                               \
    X(WATCH_CURSOR_ANYWHERE, "a watch uses the cursor of one participant at another")              \
    X(CLIENT_UNKNOWN_IS_ABORT, "a client without an answer believes that it was aborted")          \
    X(CLIENT_COMMITS_TWICE, "a client that has lost the home sends COMMIT to another one")         \
    X(SEEN_NOT_CHECKED, "what a transaction has read may have changed when it commits")            \
    X(SEEN_IN_PART, "of a range that a transaction has read only the first key is checked")        \
    X(LOOKS_ANYWHERE, "the reads of a transaction are of different snapshots")
/* clang-format on */

#ifdef ASSENT_MUTANTS
enum mutant {
#define MUTANT_ENUM(name, what) MUTANT_##name,
    MUTANT_MAP(MUTANT_ENUM)
#undef MUTANT_ENUM
        MUTANTS
};

extern enum mutant mutant_active;
#define MUTANT(name) (mutant_active == MUTANT_##name)
#else
#define MUTANT(name) 0
#endif

#endif
