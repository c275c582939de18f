#include "tests/sim/steps.h"

#include <stdlib.h>

#define TIMES_MAX 12u

struct await {
    struct steps *steps;
    bool active;
    enum step_kind kind;
    int what;            /* a message type, or a record kind */
    enum vote_kind vote; /* of VOTE */
    uint32_t times;
    int purpose;
    struct machine *machine, *other;
    struct sim_timer over; /* the event of the step */
};

struct steps {
    struct sim *sim;
    struct machine *machine;
    int machines;
    struct machine_watch watch;
    void (*reached)(void *arg, int purpose, struct machine *m, struct machine *other);
    void *arg;
    struct await await[STEPS_MAX];
    unsigned next;
};

static struct machine *machine_at(const struct steps *s, struct addr at)
{
    for (int i = 0; i < s->machines && at.node != 0; i++)
        if (s->machine[i].self->id == at.node)
            return &s->machine[i];
    return NULL;
}

static void on_over(void *arg)
{
    struct await *a = arg;
    a->steps->reached(a->steps->arg, a->purpose, a->machine, a->other);
}

static void taken(struct await *a, struct machine *m, struct machine *other)
{
    if (--a->times > 0)
        return;
    a->active = false;
    a->machine = m;
    a->other = other;
    sim_at(a->steps->sim, &a->over, a->steps->sim->now_us);
}

/* ---- between the machines and their watch ---- */

static void on_started(void *arg, struct machine *m)
{
    const struct steps *s = arg;
    if (s->watch.started != NULL)
        s->watch.started(s->watch.arg, m);
}

static void on_sent(void *arg, struct machine *m, struct addr to, const struct msg *msg)
{
    struct steps *s = arg;
    s->watch.sent(s->watch.arg, m, to, msg);
    for (int i = 0; i < STEPS_MAX; i++) {
        struct await *a = &s->await[i];
        bool is = a->active && a->kind == STEP_MESSAGE && a->what == (int)msg->type;
        if (is && (msg->type != MSG_VOTE || msg->vote.vote.kind == a->vote))
            taken(a, m, machine_at(s, to));
    }
}

static void on_durable(void *arg, struct machine *m, const struct record *record)
{
    struct steps *s = arg;
    s->watch.durable(s->watch.arg, m, record);
    for (int i = 0; i < STEPS_MAX; i++) {
        struct await *a = &s->await[i];
        if (a->active && a->kind == STEP_RECORD && a->what == (int)record->kind)
            taken(a, m, NULL);
    }
}

static void on_replayed(void *arg, struct machine *m, const struct record *record)
{
    const struct steps *s = arg;
    s->watch.replayed(s->watch.arg, m, record);
}

/* ---- waiting ---- */

struct steps *steps_new(struct sim *sim, struct machine *machine, int machines,
                        void (*reached)(void *arg, int purpose, struct machine *m,
                                        struct machine *other),
                        void *arg)
{
    struct steps *s = xcalloc(1, sizeof *s);
    s->sim = sim;
    s->machine = machine;
    s->machines = machines;
    s->watch = machine[0].watch; /* the same for all */
    s->reached = reached;
    s->arg = arg;
    for (int i = 0; i < machines; i++)
        machine[i].watch = (struct machine_watch){s, on_started, on_sent, on_durable, on_replayed};
    for (int i = 0; i < STEPS_MAX; i++)
        s->await[i] = (struct await){.steps = s, .over = {.fire = on_over, .arg = &s->await[i]}};
    return s;
}

void steps_clear(struct steps *s)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        s->await[i].active = false;
        sim_clear(s->sim, &s->await[i].over);
    }
}

void steps_free(struct steps *s)
{
    for (int i = 0; i < s->machines; i++)
        s->machine[i].watch = s->watch;
    steps_clear(s);
    free(s);
}

void steps_await(struct steps *s, enum step_kind kind, int purpose)
{
    static const struct {
        enum msg_type type;
        enum vote_kind vote;
    } messages[] = {
        {MSG_PREPARE, VOTE_NONE},
        {MSG_VOTE, VOTE_PREPARED},
        {MSG_VOTE, VOTE_ABORTED},
        {MSG_ACCEPTED, VOTE_NONE},
        {MSG_DECIDE, VOTE_NONE},
        {MSG_DECIDED, VOTE_NONE},
        {MSG_INQUIRE, VOTE_NONE},
        {MSG_PROMISE, VOTE_NONE},
        {MSG_PROPOSE, VOTE_NONE},
        {MSG_RESULT, VOTE_NONE},
        {MSG_FORGET, VOTE_NONE},
        {MSG_SETTLED, VOTE_NONE},
        /* more often: only memory knows of it */
        {MSG_VOTE, VOTE_ABORTED},
        {MSG_VOTE, VOTE_ABORTED},
        {MSG_VOTE, VOTE_ABORTED},
    };
    static const enum record_kind records[] = {RECORD_ACCEPT,    RECORD_PROMISE, RECORD_FINISHED,
                                               RECORD_PREPARED,  RECORD_ABORTED, RECORD_APPLIED,
                                               RECORD_COMMITTED, RECORD_CEILING, RECORD_WATERMARK};
    struct await *a = &s->await[s->next++ % STEPS_MAX];
    sim_clear(s->sim, &a->over);
    a->active = true;
    a->kind = kind;
    a->purpose = purpose;
    a->times = sim_one_in(s->sim, 2) ? 1 : (uint32_t)sim_between(s->sim, 2, TIMES_MAX);
    if (kind == STEP_MESSAGE) {
        size_t which = sim_below(s->sim, sizeof messages / sizeof messages[0]);
        a->what = (int)messages[which].type;
        a->vote = messages[which].vote;
    } else {
        a->what = (int)records[sim_below(s->sim, sizeof records / sizeof records[0])];
    }
}
