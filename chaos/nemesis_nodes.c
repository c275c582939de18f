/* Faults of nodes: killed, stopped, at a step, without room on the disk, with a wrong clock.
 * Several may concern a node at once; it runs again when the last that keeps it down has ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "chaos/nemesis_run.h"

#define STORM_MS_MIN     20 /* a start takes about 50 ms: some are killed in it, some after it */
#define STORM_MS_MAX     400
#define STEP_LOOK_MS     20
#define JUMP_MS_MIN      200
#define JUMP_MS_MAX      1500
#define CLOCK_MS_MAX     8000 /* more than clocks may be ahead of each other by default */
#define REVIVALS_MAX     3
#define FILE_BYTES_LEAST 4096u

static uint64_t in_ms(uint64_t ms)
{
    return chaos_now_us() + ms * 1000;
}

bool nemesis_hits(const struct nemesis *n, const struct active *a, int node)
{
    if (a->p.node != PLAN_NOWHERE)
        return a->p.node == node;
    return a->p.datacenter == PLAN_NOWHERE ||
           a->p.datacenter == n->site->cluster->node[node].datacenter;
}

static bool is_lost(const struct nemesis *n, int node)
{
    return (n->site->lost >> n->site->cluster->node[node].datacenter & 1) != 0;
}

void node_hold(struct nemesis *n, int node)
{
    n->down[node]++;
    process_kill(&n->site->process[node]);
}

void node_release(struct nemesis *n, int node)
{
    if (--n->down[node] == 0 && !is_lost(n, node))
        process_start(&n->site->process[node]);
}

/* ---- watching ---- */

static void say_end(const struct process *p, bool again)
{
    bool exited = WIFEXITED(p->status);
    fprintf(stderr, "\nassent-chaos: %s ended by itself with %s %d%s: see %s/log\n", p->name,
            exited ? "status" : "signal", exited ? WEXITSTATUS(p->status) : WTERMSIG(p->status),
            again ? ", and is started again" : " once more, and stays down", p->data_dir);
}

void nodes_watch(struct nemesis *n)
{
    for (int i = 0; i < n->site->nodes; i++) {
        struct process *p = &n->site->process[i];
        if (n->down[i] > 0 || n->may_die[i] > 0 || is_lost(n, i) || process_alive(p))
            continue;
        bool again = n->revivals[i]++ < REVIVALS_MAX;
        n->site->ended_badly = true;
        say_end(p, again);
        if (again)
            process_start(p);
        else
            n->down[i]++;
    }
}

void nodes_heal(struct nemesis *n)
{
    for (int i = 0; i < n->site->nodes; i++)
        if (!is_lost(n, i) && !process_alive(&n->site->process[i]))
            process_start(&n->site->process[i]);
}

/* ---- killed ---- */

static void kill_begin(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++)
        if (nemesis_hits(n, a, i))
            node_hold(n, i);
    nemesis_say(n, a, ": down for %.1f s", (double)a->p.for_ms / 1000);
}

static void kill_end(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++)
        if (nemesis_hits(n, a, i))
            node_release(n, i);
}

static void storm_begin(struct nemesis *n, struct active *a)
{
    kill_begin(n, a);
    nemesis_say(n, a, ", but for starts that are killed");
    a->next_us = in_ms(STORM_MS_MIN);
}

/* In turn started, unless another fault keeps it down, and killed. */
static void storm_tick(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++) {
        struct process *p = &n->site->process[i];
        if (!nemesis_hits(n, a, i))
            continue;
        if (process_alive(p))
            process_kill(p);
        else if (n->down[i] == 1 && !is_lost(n, i))
            process_start(p);
    }
    a->next_us = in_ms(STORM_MS_MIN + prng_below(&a->prng, STORM_MS_MAX - STORM_MS_MIN));
}

static void storm_end(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++)
        if (nemesis_hits(n, a, i))
            process_kill(&n->site->process[i]);
    kill_end(n, a);
}

static void lost_begin(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++)
        if (nemesis_hits(n, a, i))
            node_hold(n, i);
    n->site->lost |= UINT32_C(1) << a->p.datacenter;
    a->end_us = FAULT_NEVER;
}

/* ---- at a step ---- */

static void step_begin(struct nemesis *n, struct active *a)
{
    struct process *p = &n->site->process[a->p.node];
    nemesis_say(n, a, " at %s", a->p.step);
    n->may_die[a->p.node]++;
    a->next_us = in_ms(STEP_LOOK_MS);
    if (n->down[a->p.node] > 0) /* by another fault: its release starts it without the step */
        return;
    process_kill(p);
    memcpy(p->crash_at, a->p.step, sizeof p->crash_at);
    process_start(p);
    p->crash_at[0] = '\0';
    a->victim = a->p.node;
}

static void step_tick(struct nemesis *n, struct active *a)
{
    a->over = a->victim == PLAN_NOWHERE || n->down[a->p.node] > 0 ||
              !process_alive(&n->site->process[a->p.node]);
    a->next_us = in_ms(STEP_LOOK_MS);
}

static void step_end(struct nemesis *n, struct active *a)
{
    struct process *p = &n->site->process[a->p.node];
    n->may_die[a->p.node]--;
    if (a->victim == PLAN_NOWHERE || n->down[a->p.node] > 0) {
        nemesis_say(n, a, ": down already");
        return;
    }
    bool reached = !process_alive(p);
    nemesis_say(n, a, reached ? ": reached" : ": not reached, killed");
    process_kill(p);
    process_start(p);
}

/* ---- stopped ---- */

static void pause_begin(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++) {
        struct process *p = &n->site->process[i];
        if (!nemesis_hits(n, a, i))
            continue;
        n->paused[i]++;
        if (process_alive(p))
            kill(p->pid, SIGSTOP);
    }
    nemesis_say(n, a, " for %.1f s", (double)a->p.for_ms / 1000);
}

static void pause_end(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++) {
        struct process *p = &n->site->process[i];
        if (nemesis_hits(n, a, i) && --n->paused[i] == 0 && process_alive(p))
            kill(p->pid, SIGCONT);
    }
}

/* ---- without room ---- */

/* Files may be written up to some place within the write-ahead log: what comes there next, as it
 * grows or begins anew, fails. */
static rlim_t room_of(const struct process *p, uint32_t strength)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/node.db-wal", p->data_dir);
    if (stat(path, &st) != 0 || st.st_size < (off_t)FILE_BYTES_LEAST)
        return FILE_BYTES_LEAST;
    return FILE_BYTES_LEAST + (rlim_t)st.st_size * strength / PLAN_STRENGTHS;
}

static void full_begin(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++) {
        struct process *p = &n->site->process[i];
        if (!nemesis_hits(n, a, i))
            continue;
        n->may_die[i]++;
        struct rlimit limit = {room_of(p, a->p.strength), RLIM_INFINITY};
        if (!process_alive(p))
            nemesis_say(n, a, ": %s is down already", p->name);
        else if (prlimit(p->pid, RLIMIT_FSIZE, &limit, NULL) != 0)
            nemesis_say(n, a, ": %s: %s", p->name, strerror(errno));
        else
            nemesis_say(n, a, ": no file over %llu bytes", (unsigned long long)limit.rlim_cur);
    }
}

/* A node that cannot go on without room stops; its operator makes room and starts it again. */
static void full_end(struct nemesis *n, struct active *a)
{
    for (int i = 0; i < n->site->nodes; i++) {
        struct process *p = &n->site->process[i];
        struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
        if (!nemesis_hits(n, a, i))
            continue;
        n->may_die[i]--;
        if (process_alive(p)) {
            prlimit(p->pid, RLIMIT_FSIZE, &none, NULL);
        } else if (n->down[i] == 0 && !is_lost(n, i)) {
            nemesis_say(n, a, "; %s stopped (%s %d), started again", p->name,
                        WIFEXITED(p->status) ? "status" : "signal",
                        WIFEXITED(p->status) ? WEXITSTATUS(p->status) : WTERMSIG(p->status));
            process_start(p);
        }
    }
}

/* ---- with a wrong clock ---- */

static void set_clocks(struct nemesis *n, const struct active *a, int64_t ahead_ms)
{
    for (int i = 0; i < n->site->nodes; i++)
        if (nemesis_hits(n, a, i))
            site_set_clock(n->site, i, ahead_ms * 1000);
}

static int64_t wrong_by_ms(uint64_t random)
{
    return (int64_t)(random % (2 * CLOCK_MS_MAX + 1)) - CLOCK_MS_MAX;
}

static void offset_begin(struct nemesis *n, struct active *a)
{
    int64_t ahead_ms = wrong_by_ms(prng_u64(&a->prng));
    set_clocks(n, a, ahead_ms);
    nemesis_say(n, a, ": %lld ms %s", (long long)(ahead_ms < 0 ? -ahead_ms : ahead_ms),
                ahead_ms < 0 ? "behind" : "ahead");
}

static void jumps_tick(struct nemesis *n, struct active *a)
{
    set_clocks(n, a, wrong_by_ms(prng_u64(&a->prng)));
    a->next_us = in_ms(JUMP_MS_MIN + prng_below(&a->prng, JUMP_MS_MAX - JUMP_MS_MIN));
}

static void jumps_begin(struct nemesis *n, struct active *a)
{
    jumps_tick(n, a);
    nemesis_say(n, a, ": by up to %d ms, again and again", CLOCK_MS_MAX);
}

static void clock_end(struct nemesis *n, struct active *a)
{
    set_clocks(n, a, 0);
}

const struct deed node_deeds[FAULT_KINDS] = {
    [FAULT_KILL] = {kill_begin, NULL, kill_end},
    [FAULT_ALL_KILLED] = {kill_begin, NULL, kill_end},
    [FAULT_STORM] = {storm_begin, storm_tick, storm_end},
    [FAULT_PAUSE] = {pause_begin, NULL, pause_end},
    [FAULT_STEP] = {step_begin, step_tick, step_end},
    [FAULT_LONG_DOWN] = {kill_begin, NULL, kill_end},
    [FAULT_DISK_FULL] = {full_begin, NULL, full_end},
    [FAULT_CLOCK_OFFSET] = {offset_begin, NULL, clock_end},
    [FAULT_CLOCK_JUMPS] = {jumps_begin, jumps_tick, clock_end},
    [FAULT_LOST] = {lost_begin, NULL, NULL},
};
