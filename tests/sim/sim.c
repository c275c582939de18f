#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void sim_init(struct sim *s, uint64_t seed, FILE *out)
{
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->out = out;
    s->hash = UINT64_C(14695981039346656037);
    s->recent = xcalloc(SIM_RECENT, sizeof *s->recent);
    timers_init(&s->timers);
    prng_seed(&s->prng, seed);
}

void sim_free(struct sim *s)
{
    free(s->recent);
    s->recent = NULL;
}

void sim_at(struct sim *s, struct sim_timer *t, uint64_t at_us)
{
    timer_set(&s->timers, &t->timer, at_us > s->now_us ? at_us : s->now_us);
}

void sim_clear(struct sim *s, struct sim_timer *t)
{
    timer_clear(&s->timers, &t->timer);
}

bool sim_step(struct sim *s, uint64_t until_us)
{
    uint64_t next = timers_next(&s->timers);
    if (s->failed)
        return false;
    if (next > until_us) {
        s->now_us = until_us;
        return false;
    }
    s->now_us = next > s->now_us ? next : s->now_us;
    struct sim_timer *t = (struct sim_timer *)timers_pop(&s->timers, s->now_us);
    s->events++;
    t->fire(t->arg);
    return !s->failed;
}

uint64_t sim_below(struct sim *s, uint64_t bound)
{
    return prng_below(&s->prng, bound);
}

bool sim_one_in(struct sim *s, uint64_t n)
{
    return prng_below(&s->prng, n) == 0;
}

uint64_t sim_between(struct sim *s, uint64_t low, uint64_t high)
{
    return low + prng_below(&s->prng, high - low + 1);
}

void sim_say(struct sim *s, const char *format, ...)
{
    char *line = s->recent[s->lines % SIM_RECENT];
    va_list args;
    int n = snprintf(line, SIM_LINE_BYTES, "%10.6f ", (double)s->now_us / 1e6);
    va_start(args, format);
    vsnprintf(line + n, SIM_LINE_BYTES - (size_t)n, format, args);
    va_end(args);
    for (const char *c = line; *c != '\0'; c++)
        s->hash = (s->hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
    s->lines++;
    if (s->out != NULL)
        fprintf(s->out, "%s\n", line);
}

void sim_point(struct sim *s, int process)
{
    s->points++;
    s->last_point = process;
}

const char *sim_fault_name(enum sim_fault fault)
{
    static const char *const names[] = {
#define SIM_FAULT_NAME(name) #name,
        SIM_FAULT_MAP(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
    };
    return names[fault];
}

void sim_fault(struct sim *s, enum sim_fault fault)
{
    s->faults[fault]++;
}

void sim_fail(struct sim *s, const char *check, const char *format, ...)
{
    va_list args;
    if (s->failed)
        return;
    s->failed = true;
    snprintf(s->check, sizeof s->check, "%s", check);
    va_start(args, format);
    vsnprintf(s->failure, sizeof s->failure, format, args);
    va_end(args);
    sim_say(s, "FAILED %s: %.200s", s->check, s->failure);
}

void sim_show_recent(const struct sim *s, FILE *out, unsigned lines)
{
    uint64_t n = s->lines < SIM_RECENT ? s->lines : SIM_RECENT;
    if (n > lines)
        n = lines;
    for (uint64_t i = s->lines - n; i < s->lines; i++)
        fprintf(out, "%s\n", s->recent[i % SIM_RECENT]);
}

struct sim_name sim_txid(const struct txid *txid)
{
    struct sim_name name;
    bytes_hex(bytes_of(txid->b + TXID_BYTES - 4, 4), name.text);
    return name;
}
