#include "chaos/emulated.h"

#include <stdio.h>
#include <string.h>

#define READY_WAIT_US 20000000
#define LOOK_MS       2000
#define LOOK_AGAIN_MS 100

const char *const emulated_name[EMULATED_DATACENTERS] = {"virginia", "ireland", "tokyo"};

/* Regions that far apart have about these. */
static const uint32_t rtt_ms[EMULATED_DATACENTERS * EMULATED_DATACENTERS] = {0,   80,  140, 80, 0,
                                                                             220, 140, 220, 0};

uint32_t emulated_rtt_ms(int a, int b)
{
    return rtt_ms[a * EMULATED_DATACENTERS + b];
}

uint64_t emulated_now_ms(void)
{
    return chaos_now_us() / 1000;
}

void emulated_sleep_ms(unsigned ms)
{
    chaos_sleep_us((uint64_t)ms * 1000);
}

bool emulated_open(struct emulated *e, const char *dir, int coordinators)
{
    struct scenario *s = &e->scenario;
    *s = (struct scenario){.datacenters = EMULATED_DATACENTERS,
                           .coordinators = coordinators,
                           .participants = 1,
                           .retention_ms = RETENTION_MS_DEFAULT,
                           .in_doubt_ms = IN_DOUBT_TIMEOUT_MS,
                           .txid_skew_ms = TXID_SKEW_MS_DEFAULT};
    memcpy(s->rtt_ms, rtt_ms, sizeof rtt_ms);
    for (int i = 0; i < EMULATED_DATACENTERS; i++)
        snprintf(s->datacenter[i], sizeof s->datacenter[i], "%s", emulated_name[i]);
    e->site = site_open(s, dir);
    for (int i = 0; e->site != NULL && i < EMULATED_DATACENTERS; i++) {
        e->db[i] = site_client(e->site, i);
        if (e->db[i] == NULL)
            return false;
    }
    return e->site != NULL;
}

bool emulated_look(struct emulated *e, int dc, int expected, uint32_t timeout_ms, int *in_doubt)
{
    struct site_look seen;
    site_look(e->site, e->db[dc], timeout_ms, &seen);
    *in_doubt = seen.in_doubt;
    return seen.answering >= expected;
}

bool emulated_wait_ready(struct emulated *e)
{
    uint64_t end_us = chaos_now_us() + READY_WAIT_US;
    int in_doubt;
    if (!site_wait_ready(e->site, READY_WAIT_US))
        return false;
    for (int dc = 0; dc < EMULATED_DATACENTERS; dc++) {
        while (!emulated_look(e, dc, e->site->nodes, LOOK_MS, &in_doubt)) {
            if (chaos_now_us() > end_us)
                return false;
            emulated_sleep_ms(LOOK_AGAIN_MS);
        }
    }
    return true;
}

struct process *emulated_process(struct emulated *e, const char *name)
{
    int node = site_node(e->site, name);
    return node < 0 ? NULL : &e->site->process[node];
}

bool emulated_close(struct emulated *e)
{
    for (int i = 0; i < EMULATED_DATACENTERS; i++)
        assent_close(e->db[i]);
    bool clean = site_stop(e->site);
    site_free(e->site);
    return clean;
}
