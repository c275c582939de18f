/* What is durable is known from the records, as the storage reports them; what was told, from the
 * messages. The checks carry the invariant's number, or "durable" for the order of
 * docs/protocol.md, "What must be durable before what" (I5). */
#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "coordinator/record.h"
#include "participant/record.h"

#define IDS_MAX      24  /* node ids of a simulated cluster are small */
#define BALLOTS_MAX  256 /* accepted (participant, ballot, vote) of one transaction */
#define ATTEMPTS_MAX 128 /* ballots that recoverers of one transaction have used */
#define WHOLE        0   /* in place of a participant: all of them */

/* What one participant has durably, and has said. */
struct branch_seen {
    bool prepared;
    hlc_ts prepare_ts;
    enum outcome_kind settled; /* COMMITTED, APPLIED or ABORTED is durable */
    bool voted_prepared, voted_aborted;
};

/* What one acceptor has durably. */
struct acceptor_seen {
    bool any;
    struct acceptor_record record; /* the newest */
    bool finished;
    bool forgot; /* and has said so: takes part in nothing any more */
};

/* Which acceptors durably accepted this vote of a participant at a ballot. */
struct quorum_seen {
    node_id participant;
    struct ballot ballot;
    enum vote_kind vote;
    uint32_t acceptors;
};

/* When a ballot was used, to ask for promises and to propose. */
struct attempt_seen {
    struct ballot ballot;
    bool proposing;
    uint64_t at_us;
};

struct seen {
    UT_hash_handle hh;
    struct txid txid;
    struct participants participants; /* n = 0: not known yet */
    struct outcome outcome;
    char told_by[NAME_BYTES_MAX + 16];
    struct branch_seen branch[IDS_MAX];
    struct acceptor_seen *acceptor[IDS_MAX]; /* NULL: nothing yet */
    int quorums;
    struct quorum_seen quorum[BALLOTS_MAX];
    int attempts;
    struct attempt_seen attempt[ATTEMPTS_MAX];
};

struct oracle {
    struct sim *sim;
    int f;
    struct seen *seen;
    bool replaying;            /* the record may be known already, or older than what is */
    hlc_ts begins_at[IDS_MAX]; /* where a node's clock would begin if it started now, at least */
    struct oracle_stats stats;
};

struct oracle *oracle_new(struct sim *sim, int coordinators)
{
    struct oracle *o = xcalloc(1, sizeof *o);
    o->sim = sim;
    o->f = (coordinators - 1) / 2;
    return o;
}

void oracle_free(struct oracle *o)
{
    struct seen *t, *next;
    HASH_ITER (hh, o->seen, t, next) {
        HASH_DEL(o->seen, t);
        for (int i = 0; i < IDS_MAX; i++)
            free(t->acceptor[i]);
        free(t);
    }
    free(o);
}

static struct seen *find(const struct oracle *o, const struct txid *txid)
{
    struct seen *t;
    HASH_FIND(hh, o->seen, txid, sizeof *txid, t);
    return t;
}

static struct seen *see(struct oracle *o, const struct txid *txid)
{
    struct seen *t = find(o, txid);
    if (t != NULL)
        return t;
    t = xcalloc(1, sizeof *t);
    t->txid = *txid;
    o->stats.transactions++;
    HASH_ADD(hh, o->seen, txid, sizeof t->txid, t);
    return t;
}

static struct acceptor_seen *acceptor_of(struct seen *t, const struct machine *m)
{
    struct acceptor_seen **a = &t->acceptor[m->self->id];
    if (*a == NULL)
        *a = xcalloc(1, sizeof **a);
    return *a;
}

static void learn_participants(struct oracle *o, struct seen *t, const struct participants *p)
{
    if (p->n == 0)
        return;
    if (t->participants.n == 0)
        t->participants = *p;
    else if (!participants_equal(&t->participants, p))
        sim_fail(o->sim, "participants", "%s has two lists of participants",
                 sim_txid(&t->txid).text);
}

/* ---- outcomes: I1, I2, I4, timestamps ---- */

static bool has_quorum(const struct oracle *o, const struct seen *t, node_id participant,
                       enum vote_kind vote)
{
    for (int i = 0; i < t->quorums; i++)
        if (t->quorum[i].participant == participant && t->quorum[i].vote == vote &&
            __builtin_popcount(t->quorum[i].acceptors) > o->f)
            return true;
    return false;
}

/* Whether or not anybody has learnt it: what F+1 acceptors have accepted in one ballot is chosen.
 */
static bool commit_is_chosen(const struct oracle *o, const struct seen *t)
{
    bool chosen = t->participants.n > 0 && txid_route(&t->txid) == 0;
    for (int i = 0; i < t->participants.n; i++)
        chosen = chosen && has_quorum(o, t, t->participants.id[i], VOTE_PREPARED);
    return chosen;
}

static bool is_committed(const struct oracle *o, const struct seen *t)
{
    return t->outcome.kind == OUTCOME_COMMITTED || commit_is_chosen(o, t);
}

static void check_chosen(struct oracle *o, const struct seen *t)
{
    bool whole = has_quorum(o, t, WHOLE, VOTE_ABORTED);
    if (t->outcome.kind == OUTCOME_ABORTED && commit_is_chosen(o, t))
        sim_fail(o->sim, "I1", "%s: aborted by %s, and its commit is chosen",
                 sim_txid(&t->txid).text, t->told_by);
    for (int i = 0; i < t->participants.n; i++) {
        node_id p = t->participants.id[i];
        if ((whole || has_quorum(o, t, p, VOTE_ABORTED)) && has_quorum(o, t, p, VOTE_PREPARED))
            sim_fail(o->sim, "chosen", "%s: both votes of participant %u are chosen",
                     sim_txid(&t->txid).text, (unsigned)p);
    }
}

static void check_committed(struct oracle *o, const struct seen *t, hlc_ts commit_ts)
{
    const struct sim_name name = sim_txid(&t->txid);
    const char *id = name.text;
    hlc_ts greatest = 0;
    bool one_phase = txid_route(&t->txid) != 0;
    if (t->participants.n == 0)
        sim_fail(o->sim, "I2", "%s is committed, and nobody named its participants", id);
    for (int i = 0; i < t->participants.n; i++) {
        node_id p = t->participants.id[i];
        const struct branch_seen *b = &t->branch[p];
        if (!b->prepared && b->settled != OUTCOME_COMMITTED)
            sim_fail(o->sim, "I2", "%s is committed, and participant %u is not durably prepared",
                     id, (unsigned)p);
        if (b->prepare_ts > greatest)
            greatest = b->prepare_ts;
        if (!one_phase && !has_quorum(o, t, p, VOTE_PREPARED))
            sim_fail(o->sim, "I4",
                     "%s is committed, and the vote of participant %u is not durable at F+1 "
                     "acceptors in one ballot",
                     id, (unsigned)p);
    }
    if (commit_ts != greatest)
        sim_fail(o->sim, "commit_ts", "%s: commit_ts %llx, greatest prepare_ts %llx", id,
                 (unsigned long long)commit_ts, (unsigned long long)greatest);
}

static void tell(struct oracle *o, struct seen *t, struct outcome outcome, const char *by)
{
    static const char *const names[] = {"none", "committed", "aborted"};
    if (outcome.kind == OUTCOME_NONE)
        return;
    if (t->outcome.kind == OUTCOME_NONE) {
        t->outcome = outcome;
        snprintf(t->told_by, sizeof t->told_by, "%s", by);
        o->stats.committed += outcome.kind == OUTCOME_COMMITTED;
        o->stats.aborted += outcome.kind == OUTCOME_ABORTED;
        o->stats.one_phase += txid_route(&t->txid) != 0;
        if (outcome.kind == OUTCOME_COMMITTED)
            check_committed(o, t, outcome.commit_ts);
        else
            check_chosen(o, t);
        return;
    }
    if (t->outcome.kind != outcome.kind)
        sim_fail(o->sim, "I1", "%s: %s by %s, %s by %s", sim_txid(&t->txid).text,
                 names[t->outcome.kind], t->told_by, names[outcome.kind], by);
    if (outcome.kind == OUTCOME_COMMITTED && outcome.commit_ts != t->outcome.commit_ts)
        sim_fail(o->sim, "I1", "%s: two commit timestamps, by %s and %s", sim_txid(&t->txid).text,
                 t->told_by, by);
}

/* ---- records ---- */

static void note_quorum(struct oracle *o, struct seen *t, node_id acceptor, node_id participant,
                        struct ballot ballot, enum vote_kind vote)
{
    int i = 0;
    while (i < t->quorums &&
           (t->quorum[i].participant != participant || t->quorum[i].vote != vote ||
            !ballot_equal(t->quorum[i].ballot, ballot)))
        i++;
    if (i == BALLOTS_MAX) {
        sim_fail(o->sim, "oracle", "%s: more ballots than the oracle can hold",
                 sim_txid(&t->txid).text);
        return;
    }
    if (i == t->quorums)
        t->quorum[t->quorums++] = (struct quorum_seen){participant, ballot, vote, 0};
    uint32_t before = t->quorum[i].acceptors;
    t->quorum[i].acceptors |= 1u << acceptor;
    if (t->quorum[i].acceptors != before)
        check_chosen(o, t);
}

static void durable_acceptance(struct oracle *o, struct seen *t, const struct machine *m,
                               const struct record *record)
{
    struct acceptor_seen *a = acceptor_of(t, m);
    struct acceptor_record now;
    if (!acceptor_record_decode(blob_bytes(record->body), &now)) {
        sim_fail(o->sim, "record", "%s wrote an acceptor's record that cannot be read",
                 m->self->name);
        return;
    }
    if (!o->replaying && a->any && ballot_compare(now.promised, a->record.promised) < 0)
        sim_fail(o->sim, "promise", "%s takes back a promise for %s", m->self->name,
                 sim_txid(&t->txid).text);
    if (!o->replaying && a->finished)
        sim_fail(o->sim, "I8", "%s accepts for %s, which it had finished", m->self->name,
                 sim_txid(&t->txid).text);
    if (!o->replaying && a->forgot)
        sim_fail(o->sim, "forgotten", "%s has said that it has forgotten %s, and takes part again",
                 m->self->name, sim_txid(&t->txid).text);
    learn_participants(o, t, &now.participants);
    for (int i = 0; i < now.participants.n; i++) {
        const struct accepted *held = &now.accepted[i];
        bool had = a->record.participants.n > 0 && a->record.accepted[i].vote.kind != VOTE_NONE;
        if (held->vote.kind == VOTE_NONE)
            continue;
        if (!o->replaying && a->any && !had && ballot_compare(held->ballot, a->record.promised) < 0)
            sim_fail(o->sim, "promise", "%s accepts a vote for %s below its promise", m->self->name,
                     sim_txid(&t->txid).text);
        note_quorum(o, t, m->self->id, now.participants.id[i], held->ballot, held->vote.kind);
    }
    if (now.whole_abort)
        note_quorum(o, t, m->self->id, WHOLE, now.whole_ballot, VOTE_ABORTED);
    a->any = true;
    a->record = now;
}

static void durable_finished(struct oracle *o, struct seen *t, const struct machine *m,
                             const struct record *record)
{
    struct outcome outcome;
    struct acceptor_seen *a = acceptor_of(t, m);
    a->finished = true;
    if (!finished_record_decode(record, &outcome))
        return;
    tell(o, t, outcome, m->self->name);
    /* A bare promise may go without the outcome: who drops it takes part in nothing any more. */
    bool votes = a->record.participants.n > 0;
    bool committed = outcome.kind == OUTCOME_COMMITTED || (votes && is_committed(o, t));
    for (int i = 0; i < t->participants.n && committed; i++)
        if (t->branch[t->participants.id[i]].settled != OUTCOME_COMMITTED)
            sim_fail(o->sim, "I8", "%s forgets %s, and participant %u has not settled",
                     m->self->name, sim_txid(&t->txid).text, (unsigned)t->participants.id[i]);
}

static void durable_prepared(struct oracle *o, struct seen *t, const struct machine *m,
                             const struct record *record)
{
    struct branch_seen *b = &t->branch[m->self->id];
    struct prepared_record body;
    if (o->replaying && b->prepared)
        return;
    if (b->prepared || b->settled != OUTCOME_NONE)
        sim_fail(o->sim, "I3", "%s prepares %s again", m->self->name, sim_txid(&t->txid).text);
    if (prepared_record_decode(blob_bytes(record->body), &body))
        learn_participants(o, t, &body.participants);
    b->prepared = true;
    b->prepare_ts = record->ts;
}

static void durable_settled(struct oracle *o, struct seen *t, const struct machine *m,
                            const struct record *record)
{
    struct branch_seen *b = &t->branch[m->self->id];
    struct prepared_record body;
    struct outcome outcome = {.kind = OUTCOME_COMMITTED, .commit_ts = record->ts};
    const struct sim_name name = sim_txid(&t->txid);
    const char *id = name.text;
    if (o->replaying && b->settled != OUTCOME_NONE)
        return;
    if (b->settled == OUTCOME_COMMITTED)
        sim_fail(o->sim, "once", "%s has %s, and now %s", m->self->name, id,
                 record_name(record->kind));
    if (record->kind == RECORD_ABORTED) {
        outcome = (struct outcome){.kind = OUTCOME_ABORTED};
    } else if (record->kind == RECORD_COMMITTED && !b->prepared) {
        sim_fail(o->sim, "I2", "%s commits %s without having prepared it", m->self->name, id);
    } else if (record->kind == RECORD_APPLIED) {
        if (prepared_record_decode(blob_bytes(record->body), &body))
            learn_participants(o, t, &body.participants);
        b->prepare_ts = record->ts;
    }
    if (outcome.kind == OUTCOME_COMMITTED && b->settled == OUTCOME_ABORTED)
        sim_fail(o->sim, "I1", "%s commits %s, which it had aborted", m->self->name, id);
    b->settled = outcome.kind;
    tell(o, t, outcome, m->self->name);
}

static void note_ts(struct oracle *o, const struct machine *m, hlc_ts ts)
{
    hlc_ts *begins_at = &o->begins_at[m->self->id];
    *begins_at = ts > *begins_at ? ts : *begins_at;
}

/* What became durable just before the last death is known only now. */
static void on_started(void *arg, struct machine *m)
{
    note_ts(arg, m, m->start.recovered.ceiling);
    note_ts(arg, m, m->start.recovered.newest);
}

static void on_durable(void *arg, struct machine *m, const struct record *record)
{
    struct oracle *o = arg;
    if (record->kind != RECORD_WATERMARK)
        note_ts(o, m, record->ts);
    if (record->kind < RECORD_ACCEPT)
        return;
    struct seen *t = see(o, &record->txid);
    switch (record->kind) {
    case RECORD_ACCEPT:
    case RECORD_PROMISE:
        durable_acceptance(o, t, m, record);
        break;
    case RECORD_FINISHED:
        durable_finished(o, t, m, record);
        break;
    case RECORD_PREPARED:
        durable_prepared(o, t, m, record);
        break;
    default:
        durable_settled(o, t, m, record);
        break;
    }
}

static void on_replayed(void *arg, struct machine *m, const struct record *record)
{
    struct oracle *o = arg;
    o->replaying = true;
    on_durable(arg, m, record);
    o->replaying = false;
}

/* ---- messages ---- */

static void sent_vote(struct oracle *o, struct seen *t, const struct machine *m,
                      const struct msg *msg)
{
    struct branch_seen *b = &t->branch[m->self->id];
    const struct msg_vote *vote = &msg->vote;
    const struct sim_name name = sim_txid(&t->txid);
    const char *id = name.text;
    learn_participants(o, t, &vote->participants);
    if (vote->one_phase) {
        bool applied = vote->vote.kind == VOTE_PREPARED;
        if (applied && b->settled != OUTCOME_COMMITTED)
            sim_fail(o->sim, "durable", "%s says that it applied %s, and has no record of it",
                     m->self->name, id);
        tell(o, t,
             applied ? (struct outcome){OUTCOME_COMMITTED, vote->vote.prepare_ts, 0}
                     : (struct outcome){.kind = OUTCOME_ABORTED},
             m->self->name);
        return;
    }
    if (vote->vote.kind == VOTE_PREPARED) {
        if (!b->prepared)
            sim_fail(o->sim, "durable", "%s votes for %s before it is durably prepared",
                     m->self->name, id);
        b->voted_prepared = true;
    } else {
        b->voted_aborted = true;
    }
    if (b->voted_prepared && b->voted_aborted && t->outcome.kind == OUTCOME_NONE)
        sim_fail(o->sim, "I3", "%s casts both votes for %s", m->self->name, id);
}

static void sent_accepted(struct oracle *o, struct seen *t, const struct machine *m,
                          const struct msg *msg)
{
    const struct msg_accepted *said = &msg->accepted;
    const struct acceptor_seen *a = acceptor_of(t, m);
    bool held = a->any;
    if (said->whole_abort)
        held = held && a->record.whole_abort &&
               ballot_compare(a->record.whole_ballot, said->ballot) >= 0;
    for (int i = 0; i < said->participants.n && !said->whole_abort; i++) {
        if (said->votes[i].kind == VOTE_NONE)
            continue;
        int at = held ? participants_index(&a->record.participants, said->participants.id[i]) : -1;
        held = at >= 0 && ballot_compare(a->record.accepted[at].ballot, said->ballot) >= 0 &&
               (!ballot_equal(a->record.accepted[at].ballot, said->ballot) ||
                a->record.accepted[at].vote.kind == said->votes[i].kind);
        if (!held)
            break;
    }
    if (!held)
        sim_fail(o->sim, "durable", "%s says ACCEPTED for %s, and has not accepted it durably",
                 m->self->name, sim_txid(&t->txid).text);
}

/* All messages of one use leave at the same time. */
static void sent_ballot(struct oracle *o, struct seen *t, const struct machine *m,
                        struct ballot ballot, bool proposing)
{
    for (int i = 0; i < t->attempts; i++) {
        const struct attempt_seen *a = &t->attempt[i];
        if (!ballot_equal(a->ballot, ballot) || a->proposing != proposing)
            continue;
        if (a->at_us != o->sim->now_us)
            sim_fail(o->sim, "ballot", "%s uses a ballot for %s twice", m->self->name,
                     sim_txid(&t->txid).text);
        return;
    }
    if (t->attempts < ATTEMPTS_MAX)
        t->attempt[t->attempts++] = (struct attempt_seen){ballot, proposing, o->sim->now_us};
}

static void sent_promise(struct oracle *o, struct seen *t, const struct machine *m,
                         const struct msg *msg)
{
    struct acceptor_seen *a = acceptor_of(t, m);
    if (msg->promise.forgotten) {
        if (a->any && !a->finished)
            sim_fail(o->sim, "forgotten", "%s says that it has forgotten %s, and has a record",
                     m->self->name, sim_txid(&t->txid).text);
        a->forgot = true;
        return;
    }
    if (msg->promise.outcome.kind != OUTCOME_NONE)
        tell(o, t, msg->promise.outcome, m->self->name);
    else if (!a->any || ballot_compare(a->record.promised, msg->promise.ballot) < 0)
        sim_fail(o->sim, "durable", "%s promises for %s, and has not done so durably",
                 m->self->name, sim_txid(&t->txid).text);
}

static void sent_decided(struct oracle *o, const struct seen *t, const struct machine *m,
                         const struct msg *msg)
{
    const struct branch_seen *b = &t->branch[m->self->id];
    bool committed = msg->decided.outcome == OUTCOME_COMMITTED;
    if (b->settled == OUTCOME_NONE && (b->prepared || committed))
        sim_fail(o->sim, "durable", "%s says DECIDED for %s, and the decision is not durable",
                 m->self->name, sim_txid(&t->txid).text);
}

static bool is_abort(assent_status status)
{
    return status >= ASSENT_CONFLICT && status <= ASSENT_CHANGED;
}

/* A participant's, about a transaction that it decides alone. */
static void sent_result(struct oracle *o, const struct seen *t, const struct machine *m,
                        const struct msg *msg)
{
    if (!machine_is_coordinator(m) && is_abort(msg->result.status) &&
        t->branch[m->self->id].settled != OUTCOME_ABORTED)
        sim_fail(o->sim, "durable", "%s answers aborted for %s, and has no record of it",
                 m->self->name, sim_txid(&t->txid).text);
}

static void result(struct oracle *o, const struct msg *msg, const char *by)
{
    assent_status status = msg->result.status;
    if (status == ASSENT_OK)
        tell(o, see(o, &msg->head.txid),
             (struct outcome){OUTCOME_COMMITTED, msg->result.commit_ts, 0}, by);
    else if (is_abort(status))
        tell(o, see(o, &msg->head.txid), (struct outcome){.kind = OUTCOME_ABORTED}, by);
}

static void on_sent(void *arg, struct machine *m, struct addr to, const struct msg *msg)
{
    struct oracle *o = arg;
    (void)to;
    if (!msg_has_head(msg->type))
        return;
    struct seen *t = see(o, &msg->head.txid);
    switch (msg->type) {
    case MSG_PREPARE:
        learn_participants(o, t, &msg->prepare.participants);
        break;
    case MSG_VOTE:
        sent_vote(o, t, m, msg);
        break;
    case MSG_ACCEPTED:
        sent_accepted(o, t, m, msg);
        break;
    case MSG_PROMISE:
        sent_promise(o, t, m, msg);
        break;
    case MSG_PROMISE_ASK:
        sent_ballot(o, t, m, msg->promise_ask.ballot, false);
        break;
    case MSG_PROPOSE:
        sent_ballot(o, t, m, msg->propose.ballot, true);
        o->stats.recovered++;
        break;
    case MSG_DECIDE:
        if (!outcome_expired(&msg->decide.outcome))
            tell(o, t, msg->decide.outcome, m->self->name);
        break;
    case MSG_DECIDED:
        sent_decided(o, t, m, msg);
        break;
    case MSG_RESULT:
        sent_result(o, t, m, msg);
        result(o, msg, m->self->name);
        break;
    default:
        break;
    }
}

struct machine_watch oracle_machine_watch(struct oracle *o)
{
    return (struct machine_watch){o, on_started, on_sent, on_durable, on_replayed};
}

static void on_result(void *arg, struct client *c, node_id from, const struct msg *msg)
{
    (void)from;
    result(arg, msg, c->end.name);
}

/* Nobody may prepare any more at or below a timestamp that was read at. */
static void on_read_result(void *arg, struct client *c, node_id from, enum read_level level,
                           const struct msg *msg)
{
    const struct oracle *o = arg;
    bool newest = level == READ_STRONG || level == READ_EVENTUAL;
    if (newest || msg->read_result.status != ASSENT_OK || msg->read_result.ts <= o->begins_at[from])
        return;
    sim_fail(o->sim, "durable",
             "%s has read at %llx from participant %u, whose clock would begin below that",
             c->end.name, (unsigned long long)msg->read_result.ts, (unsigned)from);
}

struct client_watch oracle_client_watch(struct oracle *o)
{
    return (struct client_watch){o, on_result, on_read_result};
}

/* ---- at the end ---- */

void oracle_check_settled(struct oracle *o)
{
    for (struct seen *t = o->seen; t != NULL; t = t->hh.next)
        for (node_id id = 1; id < IDS_MAX; id++)
            if (t->branch[id].prepared && t->branch[id].settled == OUTCOME_NONE)
                sim_fail(o->sim, "I9", "%s is still prepared at participant %u",
                         sim_txid(&t->txid).text, (unsigned)id);
}

struct outcome oracle_outcome(const struct oracle *o, const struct txid *txid)
{
    const struct seen *t = find(o, txid);
    return t == NULL ? (struct outcome){0} : t->outcome;
}

void oracle_stats(const struct oracle *o, struct oracle_stats *out)
{
    *out = o->stats;
}
