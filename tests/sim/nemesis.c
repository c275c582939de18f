/* Every harm is undone by a timer of its own, or by nemesis_stop. A machine that is down is started
 * again by the watch, which looks at all of them now and then. */
#include "tests/sim/nemesis.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/steps.h"

#define WATCH_US     50000u
#define HARMS_MAX    64
#define MACHINES_MAX 24
#define LONG_US      UINT64_C(20000000)

/* What is done to those who take a step. */
enum purpose { PURPOSE_KILL, PURPOSE_CUT_OFF };

/* What is done to the files of a process that is not there. */
enum damage { DAMAGE_NONE, DAMAGE_BIT, DAMAGE_OLD_COPY, DAMAGE_WAL_LOST };

struct harm {
    struct sim_timer timer;
    struct nemesis *nemesis;
    bool active;
    void (*undo)(struct harm *h);
    struct machine *machine;
    uint8_t cut[NET_ENDS_MAX][NET_ENDS_MAX]; /* links that this harm has cut */
    int from, to;
    int left; /* of a storm */
};

struct nemesis {
    struct sim *sim;
    struct net *net;
    struct disks *disks;
    const struct sim_config *config;
    struct machine *machine;
    int machines;
    struct workload *workload;
    struct sim_timer next;
    struct sim_timer watch;
    struct harm harm[HARMS_MAX];
    uint64_t start_at_us[MACHINES_MAX];
    enum damage damage[MACHINES_MAX]; /* done before the next start */
    struct disks_copy *before_damage[MACHINES_MAX];
    struct disks_copy *old[MACHINES_MAX]; /* of some earlier start */
    struct steps *steps;
    uint64_t keep_down;
    bool stopped;
};

static struct harm *harm_new(struct nemesis *n, uint64_t for_us, void (*undo)(struct harm *h))
{
    for (int i = 0; i < HARMS_MAX; i++) {
        struct harm *h = &n->harm[i];
        if (h->active)
            continue;
        memset(h->cut, 0, sizeof h->cut);
        h->active = true;
        h->undo = undo;
        sim_at(n->sim, &h->timer, n->sim->now_us + for_us);
        return h;
    }
    return NULL;
}

static void on_undo(void *arg)
{
    struct harm *h = arg;
    h->active = false;
    h->undo(h);
}

static struct machine *some_machine(struct nemesis *n)
{
    return &n->machine[sim_below(n->sim, (uint64_t)n->machines)];
}

static uint64_t a_while(struct nemesis *n)
{
    return sim_one_in(n->sim, 4) ? sim_between(n->sim, 1000000, 12000000)
                                 : sim_between(n->sim, 1000, 1000000);
}

/* ---- processes ---- */

static void start_later(struct nemesis *n, const struct machine *m, uint64_t us)
{
    n->start_at_us[m - n->machine] = n->sim->now_us + us;
}

/* Of what the machine has sent last, some is lost with it. */
static void lose_messages(struct nemesis *n, struct machine *m)
{
    while (net_reset(n->net, &m->end))
        continue;
}

static void crash(struct nemesis *n, struct machine *m, enum disks_loss loss)
{
    sim_say(n->sim, "%s %s", m->self->name, loss == DISKS_LOSE_POWER ? "loses power" : "is killed");
    sim_fault(n->sim, loss == DISKS_LOSE_POWER ? SIM_POWER_LOST : SIM_PROCESS_KILLED);
    if (sim_one_in(n->sim, 2))
        lose_messages(n, m);
    machine_crash(m, loss);
    start_later(n, m, a_while(n));
}

/* Whoever has taken a step dies before it can take another one. */
static void kill_at_step(struct nemesis *n, struct machine *m)
{
    sim_fault(n->sim, SIM_KILLED_AT_A_STEP);
    if (!sim_one_in(n->sim, 4))
        lose_messages(n, m);
    crash(n, m, sim_one_in(n->sim, 2) ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
    if (sim_one_in(n->sim, 2))
        start_later(n, m, sim_below(n->sim, 20000));
}

static void all_lose_power(struct nemesis *n)
{
    sim_fault(n->sim, SIM_ALL_POWER_LOST);
    uint64_t back = a_while(n);
    for (int i = 0; i < n->machines; i++) {
        machine_crash(&n->machine[i], DISKS_LOSE_POWER);
        start_later(n, &n->machine[i], back + sim_below(n->sim, 100000));
    }
}

static void undo_storm(struct harm *h)
{
    struct nemesis *n = h->nemesis;
    if (sim_one_in(n->sim, 2))
        lose_messages(n, h->machine);
    machine_crash(h->machine, sim_one_in(n->sim, 2) ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
    start_later(n, h->machine, sim_below(n->sim, 50000));
    if (--h->left > 0 && !n->stopped) {
        h->active = true;
        sim_at(n->sim, &h->timer, n->sim->now_us + sim_between(n->sim, 1000, 400000));
    }
}

static void storm(struct nemesis *n)
{
    struct harm *h = harm_new(n, 0, undo_storm);
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_RESTART_STORM);
    h->machine = some_machine(n);
    h->left = (int)sim_between(n->sim, 3, 8);
}

static void undo_pause(struct harm *h)
{
    machine_pause(h->machine, 0);
    net_pause(&h->machine->end, false);
}

static void pause_machine(struct nemesis *n)
{
    struct machine *m = some_machine(n);
    uint64_t us = a_while(n);
    struct harm *h = m->end.paused ? NULL : harm_new(n, us, undo_pause);
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_PAUSED);
    sim_say(n->sim, "%s pauses", m->self->name);
    h->machine = m;
    machine_pause(m, n->sim->now_us + us);
    net_pause(&m->end, true);
}

/* Participants as they come, and at most F coordinators, or the only one: against more wrong clocks
 * nothing but time helps. */
static struct machine *some_clock(struct nemesis *n)
{
    int f = (n->config->coordinators - 1) / 2;
    struct machine *m;
    do
        m = some_machine(n);
    while (machine_is_coordinator(m) && m - n->machine >= (f > 0 ? f : 1));
    return m;
}

static void clock_rate(struct nemesis *n)
{
    struct machine *m = some_clock(n);
    int32_t ppm = (int32_t)sim_between(n->sim, 1, 100000);
    bool slow = sim_one_in(n->sim, 2);
    sim_fault(n->sim, slow ? SIM_CLOCK_SLOW : SIM_CLOCK_FAST);
    machine_set_rate(m, slow ? -ppm : ppm);
}

static void clock_jump(struct nemesis *n)
{
    struct machine *m = some_clock(n);
    int64_t ms = (int64_t)sim_between(n->sim, 1, sim_one_in(n->sim, 4) ? 600000 : 6000);
    bool back = sim_one_in(n->sim, 2);
    sim_fault(n->sim, back ? SIM_CLOCK_JUMPED_BACK : SIM_CLOCK_JUMPED_AHEAD);
    m->wall_offset_ms += back ? -ms : ms;
    sim_say(n->sim, "%s's clock is off by %lld ms", m->self->name, (long long)m->wall_offset_ms);
}

/* ---- links ---- */

static void undo_cut(struct harm *h)
{
    struct net *net = h->nemesis->net;
    for (int a = 0; a < net->ends; a++)
        for (int b = 0; b < net->ends; b++)
            if (h->cut[a][b] != 0)
                net_cut(net, a, b, false);
}

static void cut(struct harm *h, int from, int to)
{
    if (h->cut[from][to] != 0 || from == to)
        return;
    h->cut[from][to] = 1;
    net_cut(h->nemesis->net, from, to, true);
}

static void cut_link(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_cut);
    if (h == NULL)
        return;
    int a = (int)sim_below(n->sim, (uint64_t)n->net->ends);
    int b = (int)sim_below(n->sim, (uint64_t)n->net->ends);
    bool both = sim_one_in(n->sim, 2);
    sim_fault(n->sim, both ? SIM_LINK_CUT : SIM_LINK_CUT_ONE_WAY);
    sim_say(n->sim, "cut %s %s %s", n->net->end[a]->name, both ? "and" : "to",
            n->net->end[b]->name);
    cut(h, a, b);
    if (both)
        cut(h, b, a);
}

/* Cuts between the ends of which `in` is true and the others. */
static void cut_groups(struct harm *h, const bool *in)
{
    struct net *net = h->nemesis->net;
    for (int a = 0; a < net->ends; a++)
        for (int b = 0; b < net->ends; b++)
            if (in[a] != in[b])
                cut(h, a, b);
}

static void isolate(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_cut);
    int dc = (int)sim_below(n->sim, (uint64_t)n->config->datacenters);
    bool in[NET_ENDS_MAX];
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_DATACENTER_ISOLATED);
    sim_say(n->sim, "datacenter %d is isolated", dc + 1);
    for (int i = 0; i < n->net->ends; i++)
        in[i] = n->net->end[i]->datacenter == dc;
    cut_groups(h, in);
}

static void split(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_cut);
    bool in[NET_ENDS_MAX];
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_SPLIT);
    sim_say(n->sim, "the network splits");
    for (int i = 0; i < n->net->ends; i++)
        in[i] = sim_one_in(n->sim, 2);
    cut_groups(h, in);
}

/* Every end sees only its neighbours in a circle: majorities that overlap and differ. */
static void ring(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_cut);
    int ends = n->net->ends, reach = 1 + ends / 4;
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_RING);
    sim_say(n->sim, "the network is a ring");
    for (int a = 0; a < ends; a++)
        for (int b = 0; b < ends; b++) {
            int distance = abs(a - b);
            distance = distance > ends - distance ? ends - distance : distance;
            if (distance > reach)
                cut(h, a, b);
        }
}

/* Long enough for a watermark to pass what was under way, if it is close behind. */
static uint64_t a_long_while(struct nemesis *n)
{
    uint64_t retention_us = n->config->retention_ms * UINT64_C(1000);
    if (retention_us > LONG_US / 2 || sim_one_in(n->sim, 2))
        return a_while(n);
    return sim_between(n->sim, retention_us, 3 * retention_us / 2 + LONG_US / 4);
}

/* One participant, and F coordinators with it, lose all links to the other coordinators; the other
 * participants see everybody. `busy` is among the others, if it is a coordinator. */
static void cut_off(struct nemesis *n, const struct machine *participant,
                    const struct machine *busy)
{
    struct harm *h = harm_new(n, a_long_while(n), undo_cut);
    int coordinators = n->config->coordinators, f = (coordinators - 1) / 2;
    bool with[MACHINES_MAX] = {false};
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_CUT_OFF_AT_A_STEP);
    sim_say(n->sim, "%s is cut off", participant->self->name);
    for (int k = 0; k < f; k++) {
        int i = (int)sim_below(n->sim, (uint64_t)coordinators);
        with[i] = &n->machine[i] != busy;
    }
    for (int i = 0; i < coordinators; i++)
        for (int k = 0; k < n->machines && !with[i]; k++) {
            if (&n->machine[k] != participant && !with[k])
                continue;
            cut(h, n->machine[i].end.index, n->machine[k].end.index);
            cut(h, n->machine[k].end.index, n->machine[i].end.index);
        }
}

static void on_step(void *arg, int purpose, struct machine *m, struct machine *other)
{
    struct nemesis *n = arg;
    if (purpose == PURPOSE_KILL) {
        kill_at_step(n, m);
        return;
    }
    const struct machine *participant = other != NULL && machine_is_coordinator(m) ? other : m;
    while (machine_is_coordinator(participant))
        participant = some_machine(n);
    cut_off(n, participant, participant == m ? other : m);
}

/* All links of one end, one by one, and then open again in another order. */
static void clog_links(struct nemesis *n)
{
    int e = (int)sim_below(n->sim, (uint64_t)n->net->ends);
    sim_fault(n->sim, SIM_CLOGGED);
    sim_say(n->sim, "the links of %s clog", n->net->end[e]->name);
    for (int i = 0; i < n->net->ends; i++) {
        if (i == e || !sim_one_in(n->sim, 2))
            continue;
        struct harm *h = harm_new(n, a_while(n), undo_cut);
        if (h == NULL)
            return;
        cut(h, sim_one_in(n->sim, 2) ? e : i, sim_one_in(n->sim, 2) ? i : e);
    }
}

static void undo_slow(struct harm *h)
{
    net_slow(h->nemesis->net, h->from, h->to, 0);
}

static void slow_link(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_slow);
    if (h == NULL)
        return;
    sim_fault(n->sim, SIM_LINK_SLOW);
    h->from = (int)sim_below(n->sim, (uint64_t)n->net->ends);
    h->to = (int)sim_below(n->sim, (uint64_t)n->net->ends);
    net_slow(n->net, h->from, h->to, (uint8_t)sim_between(n->sim, 1, 5));
}

/* ---- disks ---- */

static void disk_error(struct nemesis *n)
{
    static const enum disks_fault faults[] = {DISKS_FAULT_WRITE_ERROR, DISKS_FAULT_SYNC_ERROR,
                                              DISKS_FAULT_READ_ERROR};
    static const enum sim_fault names[] = {SIM_DISK_WRITE_ERROR, SIM_DISK_SYNC_ERROR,
                                           SIM_DISK_READ_ERROR};
    struct machine *m = some_machine(n);
    uint64_t which = sim_below(n->sim, 3);
    sim_fault(n->sim, names[which]);
    sim_say(n->sim, "%s's disk will fail", m->self->name);
    m->disk_trouble = true;
    disks_arm(n->disks, m->dir, faults[which], (uint32_t)sim_between(n->sim, 1, 60));
}

static void undo_full(struct harm *h)
{
    disks_set_room(h->nemesis->disks, h->machine->dir, UINT64_MAX);
}

static void disk_full(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_full);
    if (h == NULL)
        return;
    h->machine = some_machine(n);
    sim_fault(n->sim, SIM_DISK_FULL);
    sim_say(n->sim, "%s's disk is full", h->machine->self->name);
    h->machine->disk_trouble = true;
    disks_set_room(n->disks, h->machine->dir,
                   disks_used(n->disks, h->machine->dir) + sim_below(n->sim, 65536));
}

static void undo_slow_disk(struct harm *h)
{
    h->machine->sync_us = h->nemesis->config->sync_us;
}

static void slow_disk(struct nemesis *n)
{
    struct harm *h = harm_new(n, a_while(n), undo_slow_disk);
    if (h == NULL)
        return;
    h->machine = some_machine(n);
    sim_fault(n->sim, SIM_DISK_SLOW);
    h->machine->sync_us = (uint32_t)sim_between(n->sim, 20000, 300000);
}

/* The node must serve what it acknowledged, or refuse to start. If it refuses, the operator puts
 * the disk back as it was, and the run goes on. */
static void damage(struct nemesis *n)
{
    static const enum damage kinds[] = {DAMAGE_BIT, DAMAGE_BIT, DAMAGE_OLD_COPY, DAMAGE_WAL_LOST};
    struct machine *m = some_machine(n);
    if (m->state != MACHINE_RUNNING)
        return;
    n->damage[m - n->machine] = kinds[sim_below(n->sim, 4)];
    if (sim_one_in(n->sim, 2))
        machine_stop(m); /* everything is in the database, nothing in its log */
    else
        crash(n, m, DISKS_LOSE_PROCESS);
}

static bool flip_bit(struct nemesis *n, struct machine *m)
{
    char what[128] = "";
    if (!disks_flip(n->disks, m->dir, what))
        return false;
    sim_fault(n->sim, SIM_BIT_FLIPPED);
    sim_say(n->sim, "%s: bit flipped: %.120s", m->self->name, what);
    m->damaged = true;
    return true;
}

/* The database is of an earlier time than its tail. */
static bool put_old_copy(struct nemesis *n, struct machine *m)
{
    char tail[64];
    struct disks_copy *old = n->old[m - n->machine];
    if (old == NULL)
        return false;
    snprintf(tail, sizeof tail, "%s/node.db.tail", m->dir);
    disks_load_but(n->disks, m->dir, old, tail);
    sim_fault(n->sim, SIM_OLD_COPY_PUT_BACK);
    sim_say(n->sim, "%s: an old copy of its database is put back", m->self->name);
    m->damaged = true;
    return true;
}

/* The tail has all that the database lacks without it, unless a full disk was in the way. */
static bool lose_wal(struct nemesis *n, struct machine *m)
{
    char wal[64];
    snprintf(wal, sizeof wal, "%s/node.db-wal", m->dir);
    disks_lose(n->disks, wal);
    sim_fault(n->sim, SIM_WRITE_AHEAD_LOG_LOST);
    sim_say(n->sim, "%s: its write-ahead log is lost", m->self->name);
    m->damaged = m->disk_trouble;
    return true;
}

static void drop_copy(struct disks_copy **copy)
{
    disks_copy_free(*copy);
    *copy = NULL;
}

static void before_start(struct nemesis *n, struct machine *m)
{
    static bool (*const damages[])(struct nemesis * n, struct machine * m) = {
        [DAMAGE_BIT] = flip_bit,
        [DAMAGE_OLD_COPY] = put_old_copy,
        [DAMAGE_WAL_LOST] = lose_wal,
    };
    int i = (int)(m - n->machine);
    enum damage kind = n->damage[i];
    n->damage[i] = DAMAGE_NONE;
    if (kind != DAMAGE_NONE) {
        n->before_damage[i] = disks_save(n->disks, m->dir);
        if (!damages[kind](n, m))
            drop_copy(&n->before_damage[i]);
    } else if (n->config->does[NEMESIS_DAMAGE] && sim_one_in(n->sim, 3)) {
        drop_copy(&n->old[i]);
        n->old[i] = disks_save(n->disks, m->dir);
    }
}

static void put_back(struct nemesis *n, struct machine *m)
{
    int i = (int)(m - n->machine);
    if (n->before_damage[i] == NULL)
        return;
    sim_say(n->sim, "%s's disk is put back", m->self->name);
    disks_load(n->disks, m->dir, n->before_damage[i]);
    drop_copy(&n->before_damage[i]);
    m->damaged = false;
    m->state = MACHINE_DOWN;
}

/* It has looked at all of its files: what it did not find harms nobody any more. */
static void after_start(struct nemesis *n, struct machine *m)
{
    if (m->state != MACHINE_RUNNING)
        return;
    drop_copy(&n->before_damage[m - n->machine]);
    m->damaged = false;
}

/* ---- the watch ---- */

static void on_watch(void *arg)
{
    struct nemesis *n = arg;
    for (int i = 0; i < n->machines; i++) {
        struct machine *m = &n->machine[i];
        if ((n->keep_down >> i & 1) != 0)
            continue;
        if (m->state == MACHINE_REFUSED)
            put_back(n, m);
        if (m->state == MACHINE_DOWN && n->start_at_us[i] <= n->sim->now_us) {
            before_start(n, m);
            machine_start(m);
            after_start(n, m);
            if (n->start_at_us[i] == 0 || m->state == MACHINE_DOWN)
                start_later(n, m, sim_below(n->sim, 500000));
        }
    }
    sim_at(n->sim, &n->watch, n->sim->now_us + WATCH_US);
}

/* ---- one harm after the other ---- */

static void kill_one(struct nemesis *n)
{
    crash(n, some_machine(n), DISKS_LOSE_PROCESS);
}

static void power_off_one(struct nemesis *n)
{
    crash(n, some_machine(n), DISKS_LOSE_POWER);
}

static void power_off_in_a_write(struct nemesis *n)
{
    disks_arm(n->disks, some_machine(n)->dir, DISKS_FAULT_POWER,
              (uint32_t)sim_between(n->sim, 1, 40));
}

static void power_off_in_a_commit(struct nemesis *n)
{
    disks_arm(n->disks, some_machine(n)->dir, DISKS_FAULT_POWER_IN_A_COMMIT,
              (uint32_t)sim_between(n->sim, 1, 4));
}

static void stop_one(struct nemesis *n)
{
    sim_fault(n->sim, SIM_STOPPED_CLEANLY);
    machine_stop(some_machine(n));
}

static void reset_one(struct nemesis *n)
{
    net_reset(n->net, NULL);
}

static void replace_one(struct nemesis *n)
{
    net_replace(n->net, n->net->end[sim_below(n->sim, (uint64_t)n->net->ends)]);
}

static void kill_client(struct nemesis *n)
{
    int client = (int)sim_below(n->sim, (uint64_t)n->config->workload.clients);
    workload_kill_client(n->workload, client, a_while(n));
}

static void await_kill(struct nemesis *n)
{
    steps_await(n->steps, STEP_MESSAGE, PURPOSE_KILL);
    if (sim_one_in(n->sim, 2))
        steps_await(n->steps, STEP_RECORD, PURPOSE_KILL);
}

static void await_cut_off(struct nemesis *n)
{
    steps_await(n->steps, STEP_MESSAGE, PURPOSE_CUT_OFF);
}

static void (*const harms[NEMESIS_KINDS])(struct nemesis *n) = {
    [NEMESIS_KILL] = kill_one,
    [NEMESIS_POWER] = power_off_one,
    [NEMESIS_POWER_IN_A_WRITE] = power_off_in_a_write,
    [NEMESIS_ALL_POWER] = all_lose_power,
    [NEMESIS_RESTART_STORM] = storm,
    [NEMESIS_STOP] = stop_one,
    [NEMESIS_PAUSE] = pause_machine,
    [NEMESIS_CLOCK_RATE] = clock_rate,
    [NEMESIS_CLOCK_JUMP] = clock_jump,
    [NEMESIS_RESET] = reset_one,
    [NEMESIS_REPLACE] = replace_one,
    [NEMESIS_CUT] = cut_link,
    [NEMESIS_ISOLATE] = isolate,
    [NEMESIS_SPLIT] = split,
    [NEMESIS_RING] = ring,
    [NEMESIS_CLOG] = clog_links,
    [NEMESIS_SLOW_LINK] = slow_link,
    [NEMESIS_DISK_ERROR] = disk_error,
    [NEMESIS_DISK_FULL] = disk_full,
    [NEMESIS_DISK_SLOW] = slow_disk,
    [NEMESIS_DAMAGE] = damage,
    [NEMESIS_KILL_CLIENT] = kill_client,
    [NEMESIS_KILL_AT_STEP] = await_kill,
    [NEMESIS_CUT_OFF_AT_STEP] = await_cut_off,
    [NEMESIS_POWER_IN_A_COMMIT] = power_off_in_a_commit,
};

static void on_next(void *arg)
{
    struct nemesis *n = arg;
    enum nemesis_kind kind;
    do
        kind = (enum nemesis_kind)sim_below(n->sim, NEMESIS_KINDS);
    while (!n->config->does[kind]);
    harms[kind](n);
    sim_at(n->sim, &n->next, n->sim->now_us + sim_below(n->sim, 2 * n->config->fault_every_us));
}

struct nemesis *nemesis_new(struct sim *sim, struct net *net, struct disks *disks,
                            const struct sim_config *config, struct machine *machine, int machines,
                            struct workload *workload)
{
    struct nemesis *n = xcalloc(1, sizeof *n);
    n->sim = sim;
    n->net = net;
    n->disks = disks;
    n->config = config;
    n->machine = machine;
    n->machines = machines;
    n->workload = workload;
    n->next = (struct sim_timer){.fire = on_next, .arg = n};
    n->watch = (struct sim_timer){.fire = on_watch, .arg = n};
    n->steps = steps_new(sim, machine, machines, on_step, n);
    for (int i = 0; i < HARMS_MAX; i++) {
        n->harm[i].nemesis = n;
        n->harm[i].timer = (struct sim_timer){.fire = on_undo, .arg = &n->harm[i]};
    }
    return n;
}

static void stop_timers(struct nemesis *n)
{
    sim_clear(n->sim, &n->next);
    steps_clear(n->steps);
    for (int i = 0; i < HARMS_MAX; i++)
        sim_clear(n->sim, &n->harm[i].timer);
}

void nemesis_free(struct nemesis *n)
{
    stop_timers(n);
    sim_clear(n->sim, &n->watch);
    for (int i = 0; i < n->machines; i++) {
        disks_copy_free(n->before_damage[i]);
        disks_copy_free(n->old[i]);
    }
    steps_free(n->steps);
    free(n);
}

void nemesis_start(struct nemesis *n)
{
    sim_at(n->sim, &n->watch, n->sim->now_us);
    if (n->config->fault_every_us > 0)
        sim_at(n->sim, &n->next, n->sim->now_us + 500000);
}

void nemesis_stop(struct nemesis *n, uint64_t down)
{
    stop_timers(n);
    n->stopped = true;
    n->keep_down = down;
    for (int i = 0; i < HARMS_MAX; i++)
        if (n->harm[i].active) {
            n->harm[i].active = false;
            n->harm[i].undo(&n->harm[i]);
        }
    for (int i = 0; i < n->machines; i++) {
        struct machine *m = &n->machine[i];
        disks_disarm(n->disks, m->dir);
        disks_set_room(n->disks, m->dir, UINT64_MAX);
        machine_right_clock(m);
        n->start_at_us[i] = n->sim->now_us + sim_below(n->sim, 200000);
        if ((down >> i & 1) != 0)
            machine_crash(m, DISKS_LOSE_POWER);
    }
}

void nemesis_restart_all(struct nemesis *n)
{
    for (int i = 0; i < n->machines; i++)
        machine_crash(&n->machine[i], DISKS_LOSE_PROCESS);
}

void nemesis_release(struct nemesis *n)
{
    n->keep_down = 0;
}
