/* Storage: a turn runs as soon as something is ripe and the disk is not busy; what it finished is
 * handed back when the sync would be over. A crash in between leaves a batch that is durable and
 * was never acknowledged. */
#include "tests/sim/machine.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/node.h"
#include "participant/node.h"

#define SECOND_US     1000000u
#define STOP_CHECK_US 20000u
#define STOP_WAIT_US  5000000u

bool machine_is_coordinator(const struct machine *m)
{
    return m->self->role == ROLE_COORDINATOR;
}

/* ---- clocks ---- */

static uint64_t monotonic_us(const struct machine *m, uint64_t at_us)
{
    uint64_t passed = at_us - m->base_at_us;
    return m->base_us + passed + (uint64_t)((int64_t)passed / 1000000 * m->rate_ppm) +
           (uint64_t)((int64_t)(passed % 1000000) * m->rate_ppm / 1000000);
}

/* When the machine's monotonic clock shows this. */
static uint64_t real_us(const struct machine *m, uint64_t monotonic)
{
    if (monotonic <= m->base_us)
        return m->base_at_us;
    uint64_t passed = monotonic - m->base_us;
    /* Rounded up: the clock must have got there. */
    return m->base_at_us + passed * 1000000 / (uint64_t)(1000000 + m->rate_ppm) + 1;
}

void machine_set_rate(struct machine *m, int32_t ppm)
{
    m->base_us = monotonic_us(m, m->sim->now_us);
    m->base_at_us = m->sim->now_us;
    m->rate_ppm = ppm;
}

void machine_right_clock(struct machine *m)
{
    machine_set_rate(m, 0);
    m->wall_offset_ms = (int64_t)(m->sim->now_us / 1000) - (int64_t)(m->base_us / 1000);
}

uint64_t machine_wall_ms(const struct machine *m)
{
    return MACHINE_WALL_START_MS + (uint64_t)m->wall_offset_ms +
           monotonic_us(m, m->sim->now_us) / 1000;
}

/* ---- the host of the driver and of the storage ---- */

static uint64_t host_now_us(void *arg)
{
    const struct machine *m = arg;
    return monotonic_us(m, m->sim->now_us);
}

static uint64_t host_wall_ms(void *arg)
{
    return machine_wall_ms(arg);
}

static void host_send(void *arg, struct addr to, struct msg *msg)
{
    struct machine *m = arg;
    if (m->dying)
        return;
    if (m->watch.sent != NULL)
        m->watch.sent(m->watch.arg, m, to, msg);
    net_send(&m->end, to, msg);
}

static void arm_turn(struct machine *m)
{
    if (m->storage_busy)
        return;
    uint64_t due = storage_due_us(m->storage);
    if (due != UINT64_MAX)
        sim_at(m->sim, &m->turn, due == 0 ? m->sim->now_us : real_us(m, due));
}

static void host_submit(void *arg, struct storage_job *job)
{
    struct machine *m = arg;
    storage_submit(m->storage, job);
    arm_turn(m);
}

static void host_stepped(void *arg)
{
    struct machine *m = arg;
    uint64_t at = m->role.deadline(m->role.arg);
    if (at == UINT64_MAX || m->driver.closing)
        sim_clear(m->sim, &m->deadline);
    else
        sim_at(m->sim, &m->deadline, real_us(m, at));
}

static void host_halt(void *arg, const char *why)
{
    struct machine *m = arg;
    sim_fail(m->sim, "halt", "%s stopped on a broken invariant: %s", m->self->name, why);
}

static void host_durable(void *arg, const struct record *record)
{
    struct machine *m = arg;
    sim_say(m->sim, "%s * %s %s", m->self->name, record_name(record->kind),
            sim_txid(&record->txid).text);
    if (m->watch.durable != NULL)
        m->watch.durable(m->watch.arg, m, record);
    sim_point(m->sim, m->end.index);
}

static void host_wake(void *arg)
{
    struct machine *m = arg;
    m->storage_finished = true;
    if (!m->storage_busy) /* refused at once */
        sim_at(m->sim, &m->poll, m->sim->now_us);
}

static void host_broken(void *arg, const char *why)
{
    struct machine *m = arg;
    sim_say(m->sim, "%s storage: %.150s", m->self->name, why);
    machine_crash(m, DISKS_LOSE_PROCESS);
}

/* ---- timers ---- */

/* A paused machine does what is due when it goes on, a dying one nothing. */
static bool postponed(struct machine *m, struct sim_timer *t)
{
    if (m->dying)
        return true;
    if (m->sim->now_us >= m->paused_until_us)
        return false;
    sim_at(m->sim, t, m->paused_until_us);
    return true;
}

static void on_deadline(void *arg)
{
    struct machine *m = arg;
    struct event e = {.kind = EVENT_TICK};
    if (!postponed(m, &m->deadline))
        driver_step(&m->driver, &e);
}

static void on_turn(void *arg)
{
    struct machine *m = arg;
    if (postponed(m, &m->turn))
        return;
    enum storage_turn turn = storage_turn(m->storage);
    bool dead = disks_dead(m->disks, m->dir);
    if (dead)
        sim_fault(m->sim, SIM_POWER_LOST_IN_A_WRITE);
    if (dead || turn == STORAGE_BROKEN) {
        sim_say(m->sim, "%s %s", m->self->name,
                dead ? "loses power in a write" : "stops on an I/O error");
        machine_crash(m, dead ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
        return;
    }
    m->storage_busy = true;
    uint64_t us = sim_between(m->sim, m->sync_us / 2, m->sync_us * 3 / 2);
    sim_at(m->sim, &m->poll, m->sim->now_us + us);
}

static void on_poll(void *arg)
{
    struct machine *m = arg;
    if (postponed(m, &m->poll))
        return;
    m->storage_busy = false;
    m->storage_finished = false;
    storage_poll(m->storage);
    arm_turn(m);
}

/* Tells the core how far the others' clocks are, and how near. */
static void on_second(void *arg)
{
    struct machine *m = arg;
    if (postponed(m, &m->second))
        return;
    for (int i = 0; i < m->cluster->coordinators; i++) {
        const struct net_peer *peer = net_peer(&m->end, m->cluster->coordinator[i]);
        if (peer == NULL)
            continue;
        const struct machine *other = net_end_of(m->end.net, peer->node)->arg;
        struct event e = {.kind = EVENT_PEER_CLOCK,
                          .peer = {peer->node, peer->incarnation,
                                   (int64_t)machine_wall_ms(other) - (int64_t)machine_wall_ms(m),
                                   peer->rtt_us}};
        driver_step(&m->driver, &e);
    }
    sim_at(m->sim, &m->second, m->sim->now_us + SECOND_US);
}

/* ---- network ---- */

static void on_up(void *arg, const struct net_peer *peer)
{
    struct machine *m = arg;
    struct event e = {.kind = EVENT_PEER_UP,
                      .peer = {.node = peer->node, .incarnation = peer->incarnation}};
    if (peer->node != 0 && !m->dying)
        driver_step(&m->driver, &e);
}

static void on_down(void *arg, const struct net_peer *peer)
{
    struct machine *m = arg;
    struct event e = {.kind = EVENT_PEER_DOWN, .peer = {.node = peer->node}};
    if (m->dying)
        return;
    if (peer->node == 0) {
        e.kind = EVENT_CLIENT_DOWN;
        e.from = (struct addr){0, peer->conn};
    }
    driver_step(&m->driver, &e);
}

static void on_message(void *arg, const struct net_peer *peer, struct msg *msg)
{
    struct machine *m = arg;
    struct event e = {.kind = EVENT_MESSAGE,
                      .from = {peer->node, peer->conn},
                      .client = peer->node == 0 ? peer->client : NULL,
                      .msg = msg};
    if (!m->dying)
        driver_step(&m->driver, &e);
}

static void dial_peers(struct machine *m)
{
    for (int i = 0; i < m->cluster->nodes && machine_is_coordinator(m); i++) {
        const struct cluster_node *node = &m->cluster->node[i];
        if (node->role == ROLE_PARTICIPANT || node->id > m->self->id)
            net_dial(&m->end, node->id);
    }
}

/* ---- an ear at the replay of the log ---- */

/* The role knows nothing of machines: this one is being opened. */
static struct machine *opening;

static int ear_create(void *arg, struct sqlite3 *db)
{
    struct machine *m = arg;
    return m->store_role.create(m->store_role.arg, db);
}

static int ear_load(void *arg, struct sqlite3 *db)
{
    struct machine *m = arg;
    return m->store_role.load(m->store_role.arg, db);
}

static int ear_replay(void *arg, const struct record *record)
{
    struct machine *m = arg;
    if (m->watch.replayed != NULL)
        m->watch.replayed(m->watch.arg, m, record);
    return m->store_role.replay(m->store_role.arg, record);
}

static int ear_apply(void *arg, const struct record *record)
{
    struct machine *m = arg;
    return m->store_role.apply(m->store_role.arg, record);
}

static int ear_flush(void *arg, const struct store_step *step, bool *more)
{
    struct machine *m = arg;
    return m->store_role.flush(m->store_role.arg, step, more);
}

static void ear_applied(void *arg, uint64_t seq)
{
    struct machine *m = arg;
    m->store_role.applied(m->store_role.arg, seq);
}

static int ear_prune(void *arg, bool *more)
{
    struct machine *m = arg;
    return m->store_role.prune(m->store_role.arg, more);
}

static struct store_role ear(void *arg)
{
    (void)arg;
    return (struct store_role){opening,     ear_create,
                               ear_load,    ear_replay,
                               ear_apply,   opening->store_role.flush == NULL ? NULL : ear_flush,
                               ear_applied, opening->store_role.prune == NULL ? NULL : ear_prune};
}

/* ---- life and death ---- */

static void node_new(struct machine *m)
{
    if (machine_is_coordinator(m)) {
        m->coordinator = coordinator_node_new();
        m->role = coordinator_node_role(m->coordinator);
    } else {
        m->participant = participant_node_new();
        m->role = participant_node_role(m->participant);
    }
    m->store_role = m->role.store_role(m->role.arg);
    m->role.store_role = ear;
    opening = m;
}

static void node_free(struct machine *m)
{
    m->role.close(m->role.arg);
    coordinator_node_free(m->coordinator);
    participant_node_free(m->participant);
    m->coordinator = NULL;
    m->participant = NULL;
}

static void clear_timers(struct machine *m)
{
    struct sim_timer *const timers[] = {&m->deadline, &m->turn,     &m->poll,
                                        &m->second,   &m->stopping, &m->death};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        sim_clear(m->sim, timers[i]);
}

/* Everything that the process had in memory; its store is closed already, or abandoned. */
static void process_gone(struct machine *m)
{
    clear_timers(m);
    node_free(m);
    m->storage = NULL;
    m->start.store = NULL;
    m->storage_busy = false;
    m->storage_finished = false;
    m->dying = false;
    m->paused_until_us = 0;
    m->state = MACHINE_DOWN;
}

static void on_death(void *arg)
{
    struct machine *m = arg;
    sim_say(m->sim, "%s is gone", m->self->name);
    if (m->state == MACHINE_RUNNING || m->state == MACHINE_STOPPING) {
        net_stop(&m->end, m->loss == DISKS_LOSE_POWER);
        disks_crash(m->disks, m->dir, m->loss);
        storage_drop(m->storage, driver_drop);
        log_store_abandon(m->start.store);
        process_gone(m);
    }
}

void machine_crash(struct machine *m, enum disks_loss loss)
{
    if (m->state != MACHINE_RUNNING && m->state != MACHINE_STOPPING) {
        if (loss == DISKS_LOSE_POWER)
            disks_crash(m->disks, m->dir, loss);
        return;
    }
    m->loss = m->dying && m->loss == DISKS_LOSE_POWER ? m->loss : loss;
    m->dying = true;
    m->driver.closing = true;
    sim_at(m->sim, &m->death, m->sim->now_us);
}

static void begin(struct machine *m)
{
    const struct storage_host host = {m, host_wake, host_now_us, host_broken, m->apply_step};
    m->state = MACHINE_RUNNING;
    m->starts++;
    m->storage = storage_new(m->start.store, &host);
    m->driver = (struct driver){.role = &m->role,
                                .host = {.arg = m,
                                         .now_us = host_now_us,
                                         .wall_ms = host_wall_ms,
                                         .send = host_send,
                                         .submit = host_submit,
                                         .durable = host_durable,
                                         .stepped = host_stepped,
                                         .halt = host_halt}};
    net_start(&m->end, m->start.incarnation);
    if (m->watch.started != NULL)
        m->watch.started(m->watch.arg, m);
    sim_at(m->sim, &m->second, m->sim->now_us + SECOND_US);
    driver_start(&m->driver);
    arm_turn(m);
    dial_peers(m);
}

/* A start that did not get to its end. */
static void start_failed(struct machine *m, assent_status status)
{
    bool dead = disks_dead(m->disks, m->dir);
    disks_crash(m->disks, m->dir, dead ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
    log_store_abandon(m->start.store);
    process_gone(m);
    if (dead) {
        sim_fault(m->sim, SIM_POWER_LOST_IN_A_WRITE);
        sim_say(m->sim, "%s loses power while it starts", m->self->name);
        return;
    }
    sim_say(m->sim, "%s does not start: %s %.150s", m->self->name, assent_status_text(status),
            m->why);
    if (status != ASSENT_STORAGE || !m->disk_trouble)
        m->state = MACHINE_REFUSED;
    if (m->state == MACHINE_REFUSED && !m->damaged)
        sim_fail(m->sim, "refused", "%s does not start: %s", m->self->name, m->why);
}

void machine_start(struct machine *m)
{
    uint32_t in_doubt = 0;
    if (m->state != MACHINE_DOWN)
        return;
    node_new(m);
    m->why[0] = '\0';
    m->start = (struct node_start){.cluster = m->cluster, .self = m->self};
    assent_status status = driver_open(&m->role, disks_disk(m->disks), m->dir, m->self->key[0],
                                       false, &m->start, &in_doubt, m->why, sizeof m->why);
    if (status != ASSENT_OK) {
        start_failed(m, status);
        return;
    }
    sim_say(m->sim, "%s starts, incarnation %u, %u in doubt", m->self->name, m->start.incarnation,
            in_doubt);
    begin(m);
}

/* Stopping as the daemon does it: what is under way first, then all jobs, then the store. */
static void on_stop_check(void *arg)
{
    struct machine *m = arg;
    if (postponed(m, &m->stopping))
        return;
    bool idle = m->role.idle(m->role.arg) && storage_queued(m->storage) == 0;
    if (!idle && m->sim->now_us < m->stop_at_us) {
        sim_at(m->sim, &m->stopping, m->sim->now_us + STOP_CHECK_US);
        return;
    }
    if (m->storage_busy || storage_disk_full(m->storage)) {
        machine_crash(m, DISKS_LOSE_PROCESS);
        return;
    }
    m->driver.closing = true;
    net_stop(&m->end, false);
    storage_stop(m->storage);
    sim_say(m->sim, "%s has stopped", m->self->name);
    bool broken = m->dying; /* an I/O error at the end: the store is still open */
    disks_crash(m->disks, m->dir,
                disks_dead(m->disks, m->dir) ? DISKS_LOSE_POWER : DISKS_LOSE_PROCESS);
    if (broken)
        log_store_abandon(m->start.store);
    process_gone(m);
}

void machine_stop(struct machine *m)
{
    if (m->state != MACHINE_RUNNING || m->dying)
        return;
    sim_say(m->sim, "%s is told to stop", m->self->name);
    m->state = MACHINE_STOPPING;
    m->role.stop(m->role.arg);
    m->stop_at_us = m->sim->now_us + STOP_WAIT_US;
    sim_at(m->sim, &m->stopping, m->sim->now_us);
}

void machine_pause(struct machine *m, uint64_t until_us)
{
    m->paused_until_us = until_us;
}

/* ---- set-up ---- */

void machine_init(struct machine *m, struct sim *sim, struct disks *disks, struct net *net,
                  const struct cluster *cluster, const struct cluster_node *self)
{
    memset(m, 0, sizeof *m);
    m->sim = sim;
    m->disks = disks;
    m->cluster = cluster;
    m->self = self;
    m->sync_us = 100;
    snprintf(m->dir, sizeof m->dir, "/%s", self->name);
    m->deadline = (struct sim_timer){.fire = on_deadline, .arg = m};
    m->turn = (struct sim_timer){.fire = on_turn, .arg = m};
    m->poll = (struct sim_timer){.fire = on_poll, .arg = m};
    m->second = (struct sim_timer){.fire = on_second, .arg = m};
    m->stopping = (struct sim_timer){.fire = on_stop_check, .arg = m};
    m->death = (struct sim_timer){.fire = on_death, .arg = m};
    m->end.node = self->id;
    m->end.role = self->role;
    m->end.datacenter = self->datacenter;
    memcpy(m->end.name, self->name, sizeof m->end.name);
    m->end.handlers = (struct net_handlers){on_up, on_down, on_message, NULL};
    m->end.arg = m;
    net_add(net, &m->end);
    node_new(m);
    char why[512];
    struct store_identity id = driver_identity(cluster, self, self->key[0]);
    struct store_role store = m->role.store_role(m->role.arg);
    if (log_store_create(disks_disk(disks), m->dir, &id, &store, DISKS_TAIL_BYTES, why,
                         sizeof why) != ASSENT_OK)
        sim_fail(sim, "create", "%s", why);
    node_free(m);
}

void machine_free(struct machine *m)
{
    if (m->state == MACHINE_RUNNING || m->state == MACHINE_STOPPING) {
        m->loss = DISKS_LOSE_PROCESS;
        on_death(m);
    }
}

/* ---- what it says of itself ---- */

uint64_t machine_status(const struct machine *m, const char *name)
{
    struct writer text = {0};
    uint64_t value = UINT64_MAX;
    if (m->state != MACHINE_RUNNING)
        return value;
    m->role.status(m->role.arg, monotonic_us(m, m->sim->now_us), &text);
    writer_u8(&text, 0);
    size_t len = strlen(name);
    for (const char *line = (const char *)text.data; line != NULL && *line != '\0';) {
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            value = strtoull(line + len, NULL, 10);
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    writer_free(&text);
    return value;
}

bool machine_storage_idle(const struct machine *m)
{
    return m->storage == NULL || (storage_queued(m->storage) == 0 && !m->storage_finished);
}
