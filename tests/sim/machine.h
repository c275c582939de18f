/* A node of a simulated cluster: the real core, tables, log and storage turns of one process, on a
 * simulated disk, network and clock. */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

#include "runtime/driver.h"
#include "tests/sim/disks.h"
#include "tests/sim/net.h"

struct machine;

/* What the checks see. All may be NULL. None may stop a machine. */
struct machine_watch {
    void *arg;
    void (*started)(void *arg, struct machine *m);
    void (*sent)(void *arg, struct machine *m, struct addr to, const struct msg *msg);
    void (*durable)(void *arg, struct machine *m, const struct record *record);
    /* A record that a start found in the log: durable() may have told of it already, or not, if the
     * process died when it had become durable. */
    void (*replayed)(void *arg, struct machine *m, const struct record *record);
};

enum machine_state { MACHINE_DOWN, MACHINE_RUNNING, MACHINE_STOPPING, MACHINE_REFUSED };

struct machine {
    struct sim *sim;
    struct disks *disks;
    const struct cluster *cluster;
    const struct cluster_node *self;
    struct machine_watch watch;
    struct net_end end;
    char dir[NAME_BYTES_MAX + 2];

    enum machine_state state;
    char why[512];     /* MACHINE_REFUSED: what the start said */
    bool damaged;      /* its disk, since the last start: the next may refuse */
    bool disk_trouble; /* a read error was armed: a start may fail */
    bool dying;        /* gone at the end of this event */
    enum disks_loss loss;
    uint64_t paused_until_us;
    uint64_t stop_at_us; /* MACHINE_STOPPING: not later */

    /* its clocks: wall = start + rate * time + offset, monotonic = rate * time */
    int64_t wall_offset_ms;
    int32_t rate_ppm;
    uint64_t base_us, base_at_us; /* monotonic at the last change of rate */

    uint32_t sync_us;      /* about how long a sync takes */
    uint32_t apply_step;   /* as in struct storage_host */
    bool storage_busy;     /* a batch is on its way to the disk */
    bool storage_finished; /* and its jobs wait for the poll */

    struct coordinator_node *coordinator;
    struct participant_node *participant;
    struct node_role role;
    struct store_role store_role; /* the role's own; the machine listens at replay() */
    struct driver driver;
    struct node_start start;
    struct storage *storage;
    struct sim_timer deadline, turn, poll, second, stopping, death;
    uint64_t starts;
};

#define MACHINE_WALL_START_MS UINT64_C(1800000000000)

/* Adds it to the network and creates its database. The machine is down. */
void machine_init(struct machine *m, struct sim *sim, struct disks *disks, struct net *net,
                  const struct cluster *cluster, const struct cluster_node *self);
void machine_free(struct machine *m);

/* As a start of the daemon: MACHINE_RUNNING, or MACHINE_REFUSED with the reason; or down again, if
 * an armed fault of the disk came in between. Nothing if it is not down. */
void machine_start(struct machine *m);
/* Gone at the end of the current event. */
void machine_crash(struct machine *m, enum disks_loss loss);
/* As SIGTERM. */
void machine_stop(struct machine *m);
void machine_pause(struct machine *m, uint64_t until_us);
void machine_set_rate(struct machine *m, int32_t ppm);
/* The wall clock shows the time again, and runs as it should. */
void machine_right_clock(struct machine *m);
uint64_t machine_wall_ms(const struct machine *m);

bool machine_is_coordinator(const struct machine *m);
/* A line "name value" of the node's own account; UINT64_MAX if it is down or has no such line. */
uint64_t machine_status(const struct machine *m, const char *name);
/* Whether jobs are queued or under way. */
bool machine_storage_idle(const struct machine *m);

#endif
