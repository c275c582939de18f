#include "tests/lib/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/prng.h"

static const uint32_t rtt_us[3][3] = {{0, 80000, 140000}, {80000, 0, 60000}, {140000, 60000, 0}};

void result_made(struct made_result *m)
{
    memset(m, 0, sizeof *m);
    struct scenario *s = &m->scenario;
    struct result *r = &m->result;
    snprintf(s->name, sizeof s->name, "made-up");
    s->seed = 7;
    s->calm_ms = 10000;
    s->duration_ms = 40000;
    s->datacenters = s->coordinators = 3;
    s->participants = 1;
    s->in_doubt_ms = 1000;
    s->loads = 2;
    s->load[0] =
        (struct scenario_load){.kind = LOAD_BANK, .clients = 6, .keys = 30, .in = 7, .from = 7};
    s->load[1] =
        (struct scenario_load){.kind = LOAD_LOCAL, .clients = 3, .keys = 30, .in = 7, .from = 7};
    for (int a = 0; a < 3; a++) {
        snprintf(s->datacenter[a], sizeof s->datacenter[a], "%c", 'a' + a);
        for (int b = 0; b < 3; b++) {
            r->bare_rtt_us[a][b] = rtt_us[a][b];
            s->rtt_ms[a * 3 + b] = rtt_us[a][b] / 1000;
        }
    }
    r->scenario = s;
    r->fault = m->fault;
    r->samples = samples_new();
    r->begin_us = RESULT_BEGIN_US;
    r->faults_us = RESULT_BEGIN_US + 10000000;
    r->heal_us = RESULT_BEGIN_US + 35000000;
    r->settled_us = RESULT_BEGIN_US + 41000000;
    r->end_us = RESULT_BEGIN_US + 42000000;
    snprintf(r->command, sizeof r->command, "assent-chaos run made-up.yaml --seed 7");
}

void result_made_free(struct made_result *m)
{
    samples_free(m->result.samples);
}

static uint64_t of_ms(uint64_t ms)
{
    return RESULT_BEGIN_US + ms * 1000;
}

static uint32_t mask_of(const char *in)
{
    uint32_t mask = 0;
    for (; *in != '\0'; in++)
        mask |= 1u << (*in - 'a');
    return mask;
}

struct sample *result_sample(struct sample *out, enum load_kind load, const char *client,
                             const char *in, uint64_t begin_ms, uint64_t end_ms)
{
    *out = (struct sample){
        .begin_us = of_ms(begin_ms),
        .end_us = of_ms(end_ms),
        .load = load,
        .datacenter = client[0] - 'a',
        .participants_in = mask_of(in),
        .status = ASSENT_OK,
        .leader_in = -1,
    };
    return out;
}

void result_commit(struct made_result *m, enum load_kind load, const char *client, const char *in,
                   uint64_t begin_ms, uint64_t end_ms)
{
    struct sample s;
    samples_add(m->result.samples, result_sample(&s, load, client, in, begin_ms, end_ms));
}

void result_attempt(struct made_result *m, assent_status status, const char *client, const char *in,
                    uint64_t begin_ms, uint64_t end_ms)
{
    struct sample s;
    result_sample(&s, LOAD_BANK, client, in, begin_ms, end_ms)->status = status;
    samples_add(m->result.samples, &s);
}

struct fault *result_fault(struct made_result *m, enum fault_kind kind, const char *in,
                           uint64_t begin_ms, uint64_t end_ms)
{
    if (m->result.faults == RESULT_FAULTS_MAX)
        abort();
    struct fault *f = &m->fault[m->result.faults++];
    f->kind = kind;
    f->begin_us = of_ms(begin_ms);
    f->end_us = end_ms == 0 ? FAULT_NEVER : of_ms(end_ms);
    f->datacenters = mask_of(in);
    snprintf(f->text, sizeof f->text, "%s in %s", fault_text(kind), in);
    return f;
}

void result_look(struct made_result *m, uint64_t at_ms, int answering, int in_doubt,
                 const char *oldest_in, uint32_t oldest_ms)
{
    struct doubt d = {.at_us = of_ms(at_ms), .in_doubt = in_doubt, .answering = answering};
    d.oldest_ms[oldest_in[0] - 'a'] = oldest_ms;
    samples_add_doubt(m->result.samples, &d);
}

void result_judge(struct made_result *m, const char *name, enum verdict verdict,
                  enum anomaly anomaly, const char *text)
{
    struct judgement *j = judgements_add(&m->result.judgements, name, name);
    j->verdict = verdict;
    if (anomaly != ANOMALY_NONE)
        snprintf(j->anomaly, sizeof j->anomaly, "%s", anomaly_name(anomaly));
    snprintf(j->text, sizeof j->text, "%s", text);
}

/* ---- a long one ---- */

#define LONG_MS  120000
#define EVERY_MS 12 /* an attempt begins */

static const struct {
    enum fault_kind kind;
    const char *in, *text;
    uint64_t begin_ms, end_ms;
} long_faults[] = {
    {FAULT_KILL, "b", "kill -9 of coordinator-2 (ireland)", 20000, 21500},
    {FAULT_PAUSE, "a", "pause coordinator-1 (virginia)", 29000, 36000},
    {FAULT_ISOLATE, "c", "isolate tokyo", 45000, 55000},
    {FAULT_RESET, "abc", "reset every connection of ireland", 62000, 62000},
    {FAULT_SPIKE, "abc", "links eight times slower", 66000, 72000},
    {FAULT_STEP, "b", "participant-2 kills itself at vote.durable (ireland)", 75000, 76400},
    {FAULT_CLOCK_OFFSET, "a", "clock of participant-1 4.0 s ahead (virginia)", 78000, 86000},
    {FAULT_DISK_FULL, "c", "files of participant-3 cannot grow (tokyo)", 88000, 92000},
    {FAULT_ALL_KILLED, "abc", "kill -9 of all nodes at once", 97000, 98200},
    {FAULT_KILL, "a", "kill -9 of participant-1 (virginia)", 104000, 105600},
};

#define LONG_FAULTS ((int)(sizeof long_faults / sizeof long_faults[0]))

/* How long a fault keeps an attempt that begins then. */
static uint64_t kept_ms(const struct sample *s, struct prng *prng, assent_status *status)
{
    uint64_t at_us = s->begin_us, longest_ms = 0;
    for (int i = 0; i < LONG_FAULTS; i++) {
        uint64_t from_us = of_ms(long_faults[i].begin_ms), to_us = of_ms(long_faults[i].end_ms);
        if (at_us < from_us || at_us >= to_us ||
            (s->participants_in & mask_of(long_faults[i].in)) == 0)
            continue;
        uint64_t rest_ms = (to_us - at_us) / 1000 + 200 + prng_below(prng, 400);
        if (long_faults[i].kind == FAULT_SPIKE)
            rest_ms = 500 + prng_below(prng, 400);
        else if (long_faults[i].kind == FAULT_CLOCK_OFFSET)
            rest_ms = prng_below(prng, 30);
        else if (prng_below(prng, 3) > 0)
            *status = prng_below(prng, 8) == 0 ? ASSENT_UNKNOWN : ASSENT_UNREACHABLE;
        longest_ms = rest_ms > longest_ms ? rest_ms : longest_ms;
    }
    return longest_ms;
}

static void breakdown(struct sample *s, struct prng *prng)
{
    static const char *const name[] = {"participant-1", "participant-2", "participant-3"};
    uint64_t took_us = s->end_us - s->begin_us;
    s->has_info = true;
    s->leader_in = s->datacenter;
    s->leader_us = (uint32_t)(took_us - 400 - prng_below(prng, 300));
    s->quorum_us = (uint32_t)(300 + prng_below(prng, 400));
    for (int dc = 0; dc < 3; dc++) {
        if ((s->participants_in & (1u << dc)) == 0)
            continue;
        uint32_t network_us = rtt_us[s->datacenter][dc] + 300;
        uint32_t rest_us = s->leader_us > network_us ? s->leader_us - network_us : 0;
        s->part[s->parts++] = (assent_part){name[dc], network_us, rest_us, 250};
    }
}

static void long_attempt(struct made_result *m, uint64_t begin_ms, struct prng *prng)
{
    static const char *const one[] = {"a", "b", "c"}, *const two[] = {"ab", "bc", "ac"};
    static const enum load_kind loads[] = {LOAD_BANK, LOAD_LIST, LOAD_BANK, LOAD_LOCAL};
    enum load_kind load = loads[prng_below(prng, 4)];
    const char *client = one[prng_below(prng, 3)];
    const char *in = load == LOAD_LOCAL ? client : two[prng_below(prng, 3)];
    struct sample s;
    assent_status status = prng_below(prng, 40) == 0 ? ASSENT_CONFLICT : ASSENT_OK;
    result_sample(&s, load, client, in, begin_ms, begin_ms);
    uint32_t farthest_us = 0;
    for (int dc = 0; dc < 3; dc++)
        if ((s.participants_in & (1u << dc)) != 0 && rtt_us[s.datacenter][dc] > farthest_us)
            farthest_us = rtt_us[s.datacenter][dc];
    s.end_us += farthest_us + 1200 + prng_below(prng, 900) + kept_ms(&s, prng, &status) * 1000;
    if (prng_below(prng, 30) == 0)
        s.end_us += prng_below(prng, 60000);
    s.status = status;
    for (int i = 0; i < 16; i++)
        s.txid.bytes[i] = (uint8_t)prng_below(prng, 256);
    s.txid.bytes[6] = 0x70 | (s.txid.bytes[6] & 0x0f);
    s.txid.bytes[8] = 0x80 | (s.txid.bytes[8] & 0x3f);
    if (status == ASSENT_OK)
        breakdown(&s, prng);
    samples_add(m->result.samples, &s);
}

static void long_look(struct made_result *m, uint64_t at_ms, struct prng *prng)
{
    struct doubt d = {.at_us = of_ms(at_ms), .answering = 6};
    d.in_doubt = (int)prng_below(prng, 4);
    d.oldest_ms[0] = d.in_doubt == 0 ? 0 : (uint32_t)prng_below(prng, 140);
    for (int i = 0; i < LONG_FAULTS; i++) {
        uint64_t from_ms = long_faults[i].begin_ms, to_ms = long_faults[i].end_ms;
        if (at_ms < from_ms || at_ms >= to_ms + 300 || long_faults[i].kind == FAULT_CLOCK_OFFSET)
            continue;
        uint64_t age_ms = at_ms - from_ms;
        d.in_doubt += (int)(age_ms < 1200 ? age_ms / 100 : 12 - (age_ms % 1000) / 250);
        d.oldest_ms[1] = (uint32_t)age_ms + 40;
        d.answering -= long_faults[i].kind == FAULT_KILL;
    }
    samples_add_doubt(m->result.samples, &d);
}

static void long_judgements(struct made_result *m, bool failed)
{
    static const struct {
        const char *name, *check, *text, *history;
    } held[] = {
        {"atomicity", "no transaction has two outcomes", "8,211 transactions at 6 nodes", ""},
        {"in-doubt", "nobody stays in doubt", "the longest was in doubt for 10.2 s, cut off", ""},
        {"bank-money", "bank: money is neither made nor lost", "3,204 transfers, 610 reads of all",
         "bank.edn"},
        {"register", "register: linearizable", "2,112 operations on 12 keys", "register.edn"},
        {"routes", "routes: never a route without its service", "803 routes", "routes.edn"},
        {"stopped", "every node stops cleanly, with nothing left to do", "6 nodes", ""},
    };
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        struct judgement *j = judgements_add(&m->result.judgements, held[i].name, held[i].check);
        j->verdict = VERDICT_HELD;
        snprintf(j->text, sizeof j->text, "%s", held[i].text);
        snprintf(j->history, sizeof j->history, "%s", held[i].history);
    }
    struct judgement *j =
        judgements_add(&m->result.judgements, "list-serializable", "list: strictly serializable");
    snprintf(j->history, sizeof j->history, "list.edn");
    j->verdict = failed ? VERDICT_FAILED : VERDICT_HELD;
    snprintf(j->text, sizeof j->text, "4,018 transactions on 24 lists, 9,840 dependencies");
    if (!failed)
        return;
    snprintf(j->anomaly, sizeof j->anomaly, "%s", anomaly_name(ANOMALY_G_SINGLE));
    snprintf(j->text, sizeof j->text,
             "T17 (process 3, datacenter 1, 0190a8d2-7c11-7000-8000-0000000000aa) read [1 2] of "
             "list 5 and T21 had appended 3 to it, but T17 also read what T21 wrote to list 6\n"
             "T17 -rw-> T21 -wr-> T17 </script><b>not markup</b> \xff");
    j = judgements_add(&m->result.judgements, "set", "set: no element lost");
    j->verdict = VERDICT_UNJUDGED;
    snprintf(j->text, sizeof j->text, "the last read did not succeed");
}

void result_made_long(struct made_result *m, bool failed)
{
    static const char *const name[] = {"virginia", "ireland", "tokyo"};
    struct prng prng;
    prng_seed(&prng, 11);
    result_made(m);
    m->scenario.duration_ms = LONG_MS;
    m->scenario.calm_ms = 20000;
    snprintf(m->scenario.name, sizeof m->scenario.name, "mix");
    for (int dc = 0; dc < 3; dc++)
        snprintf(m->scenario.datacenter[dc], sizeof m->scenario.datacenter[dc], "%s", name[dc]);
    for (int i = 0; i < LONG_FAULTS; i++) {
        struct fault *f = result_fault(m, long_faults[i].kind, long_faults[i].in,
                                       long_faults[i].begin_ms, long_faults[i].end_ms);
        snprintf(f->text, sizeof f->text, "%s", long_faults[i].text);
    }
    for (uint64_t at_ms = 0; at_ms < LONG_MS; at_ms += EVERY_MS)
        long_attempt(m, at_ms, &prng);
    for (uint64_t at_ms = 0; at_ms < LONG_MS + 4000; at_ms += 250)
        long_look(m, at_ms, &prng);
    m->result.faults_us = of_ms(20000);
    m->result.heal_us = of_ms(LONG_MS - 5000);
    m->result.settled_us = of_ms(LONG_MS + 1500);
    m->result.end_us = of_ms(LONG_MS + 4000);
    snprintf(m->result.command, sizeof m->result.command,
             "assent-chaos run chaos/scenarios/mix.yaml --seed 11 --duration 120s");
    long_judgements(m, failed);
    result_measure(&m->result);
}
