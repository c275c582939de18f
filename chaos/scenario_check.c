#include "chaos/scenario_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chaos/nemesis_plan.h"
#include "chaos/site.h"
#include "common/msg.h"
#include "common/record.h"

#define DATACENTER_BYTES_MAX (NAME_BYTES_MAX - 8) /* a node's name is this and "-p12" */
#define DURATION_MS_MAX      (24u * 3600000u)
#define RTT_MS_MAX           5000u
#define JITTER_US_MAX        1000000u
#define KEYS_MAX             10000
#define TIMEOUT_MS_MIN       100u
#define FAULT_MS_MIN         100u

bool complain(struct complaint *c, enum scenario_key key, int index, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->what, sizeof c->what, format, args);
    va_end(args);
    c->key = key;
    c->index = index;
    return false;
}

static uint32_t all_datacenters(const struct scenario *s)
{
    return (UINT32_C(1) << s->datacenters) - 1;
}

/* ---- the cluster ---- */

static bool name_fits(const char *name, size_t most)
{
    size_t len = strlen(name);
    return len > 0 && len <= most && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == len;
}

static bool check_names(const struct scenario *s, struct complaint *c)
{
    if (!name_fits(s->name, NAME_BYTES_MAX))
        return complain(c, KEY_NAME, -1,
                        "name \"%s\" does not do: use 1 to %d of a-z, 0-9, \"_\", \".\" and "
                        "\"-\", beginning with a letter",
                        s->name, NAME_BYTES_MAX);
    if (s->datacenters < 1 || s->datacenters > SCENARIO_DATACENTERS_MAX)
        return complain(c, KEY_DATACENTERS, -1, "there are %d datacenters: name 1 to %d",
                        s->datacenters, SCENARIO_DATACENTERS_MAX);
    for (int i = 0; i < s->datacenters; i++) {
        if (!name_fits(s->datacenter[i], DATACENTER_BYTES_MAX))
            return complain(c, KEY_DATACENTERS, i,
                            "datacenter \"%s\": this name does not do: use 1 to %d of a-z, 0-9, "
                            "\"_\", \".\" and \"-\", beginning with a letter",
                            s->datacenter[i], DATACENTER_BYTES_MAX);
        for (int j = 0; j < i; j++)
            if (strcmp(s->datacenter[i], s->datacenter[j]) == 0)
                return complain(c, KEY_DATACENTERS, i,
                                "datacenter \"%s\" is there twice: give each its own name",
                                s->datacenter[i]);
    }
    return true;
}

bool scenario_nodes_sound(const struct scenario *s, struct complaint *c)
{
    if (!check_names(s, c))
        return false;
    if (s->coordinators != 1 && s->coordinators != 3 && s->coordinators != 5)
        return complain(c, KEY_COORDINATORS, -1,
                        "%d coordinators: there may be 1 (two-phase commit), 3 or 5",
                        s->coordinators);
    if (s->participants < 1)
        return complain(c, KEY_PARTICIPANTS, -1,
                        "%d participants in each datacenter: there must be at least 1",
                        s->participants);
    if (s->participants > SITE_NODES_MAX ||
        s->coordinators + s->datacenters * s->participants > SITE_NODES_MAX)
        return complain(c, KEY_PARTICIPANTS, -1,
                        "%d coordinators and %d participants in each of %d datacenters: a run has "
                        "at most %d nodes",
                        s->coordinators, s->participants, s->datacenters, SITE_NODES_MAX);
    return true;
}

static bool check_links(const struct scenario *s, struct complaint *c)
{
    for (int i = 0; i < s->datacenters * s->datacenters; i++)
        if (s->rtt_ms[i] > RTT_MS_MAX)
            return complain(c, KEY_RTT, -1, "a round trip of %u ms from %s to %s: at most %u",
                            s->rtt_ms[i], s->datacenter[i / s->datacenters],
                            s->datacenter[i % s->datacenters], RTT_MS_MAX);
    if (s->jitter_us > JITTER_US_MAX)
        return complain(c, KEY_JITTER, -1, "a jitter of %u ms: at most %u", s->jitter_us / 1000,
                        JITTER_US_MAX / 1000);
    return true;
}

static bool check_times(const struct scenario *s, struct complaint *c)
{
    if (s->in_doubt_ms == 0 || s->txid_skew_ms == 0 || s->retention_ms == 0)
        return complain(c, KEY_TIMES, -1, "a time is 0: each must be more");
    if (s->in_doubt_ms > DURATION_MS_MAX || s->retention_ms > DURATION_MS_MAX)
        return complain(c, KEY_TIMES, -1, "a time of more than 24h");
    if (s->retention_ms / 4 < s->txid_skew_ms)
        return complain(c, KEY_TIMES, -1,
                        "retention (%u ms) is less than four times txid-skew (%u ms): raise the "
                        "one or lower the other",
                        s->retention_ms, s->txid_skew_ms);
    if (s->duration_ms == 0 || s->duration_ms > DURATION_MS_MAX)
        return complain(c, KEY_DURATION, -1, "the duration must be more than 0, and at most 24h");
    if (s->calm_ms >= s->duration_ms)
        return complain(c, KEY_CALM, -1,
                        "the calm beginning (%u ms) is as long as the run (%u ms): shorten it, or "
                        "lengthen the duration",
                        s->calm_ms, s->duration_ms);
    if (s->settle_ms == 0 || s->settle_ms > DURATION_MS_MAX)
        return complain(c, KEY_SETTLE, -1, "settle must be more than 0, and at most 24h");
    return true;
}

/* ---- loads ---- */

static int count_bits(uint32_t mask)
{
    return __builtin_popcount(mask);
}

/* Transfers need two accounts: somewhere, or in each datacenter. */
static int least_keys(const struct scenario_load *l)
{
    return l->kind == LOAD_BANK ? 2 : l->kind == LOAD_LOCAL ? 2 * count_bits(l->in) : 1;
}

static bool check_load(const struct scenario *s, int i, struct complaint *c)
{
    const struct scenario_load *l = &s->load[i];
    const char *kind = load_text(l->kind);
    if (l->clients < 1 || l->clients > SCENARIO_CLIENTS_MAX)
        return complain(c, KEY_LOADS, i, "%s: %d clients: give it 1 to %d", kind, l->clients,
                        SCENARIO_CLIENTS_MAX);
    if (l->in == 0 || l->from == 0 || ((l->in | l->from) & ~all_datacenters(s)) != 0)
        return complain(c, KEY_LOADS, i,
                        "%s: name at least one datacenter where its keys are (in), and where its "
                        "clients are (from)",
                        kind);
    if (l->keys < least_keys(l) || l->keys > KEYS_MAX)
        return complain(c, KEY_LOADS, i, "%s: %d keys: give it %d to %d", kind, l->keys,
                        least_keys(l), KEYS_MAX);
    if (l->timeout_ms < TIMEOUT_MS_MIN || l->timeout_ms > TXN_TIMEOUT_MS_MAX)
        return complain(c, KEY_LOADS, i, "%s: a timeout of %u ms: it must be %u to %u", kind,
                        l->timeout_ms, TIMEOUT_MS_MIN, TXN_TIMEOUT_MS_MAX);
    return true;
}

static bool check_loads(const struct scenario *s, struct complaint *c)
{
    int clients = 0;
    if (s->loads < 1 || s->loads > SCENARIO_LOADS_MAX)
        return complain(c, KEY_LOADS, -1, "there are %d loads: a run without load shows nothing",
                        s->loads);
    for (int i = 0; i < s->loads; i++) {
        if (!check_load(s, i, c))
            return false;
        clients += s->load[i].clients;
    }
    if (clients > SCENARIO_CLIENTS_MAX)
        return complain(c, KEY_LOADS, -1, "%d clients in all: at most %d", clients,
                        SCENARIO_CLIENTS_MAX);
    return true;
}

/* ---- faults ---- */

/* As `assent init` names them: "<datacenter>-c", "-p", with a number where there are several. */
static bool find_node(const struct scenario *s, const char *name, enum role *role)
{
    char made[NAME_BYTES_MAX + 32];
    for (int dc = 0; dc < s->datacenters; dc++) {
        for (int i = 0; i < s->coordinators + s->participants; i++) {
            bool coordinator = i < s->coordinators;
            int number = coordinator ? i / s->datacenters + 1 : i - s->coordinators + 1;
            bool several =
                coordinator ? dc + s->datacenters < s->coordinators : s->participants > 1;
            if (coordinator && i % s->datacenters != dc)
                continue;
            int len =
                snprintf(made, sizeof made, "%s-%c", s->datacenter[dc], coordinator ? 'c' : 'p');
            if (several)
                snprintf(made + len, sizeof made - (size_t)len, "%d", number);
            *role = coordinator ? ROLE_COORDINATOR : ROLE_PARTICIPANT;
            if (strcmp(made, name) == 0)
                return true;
        }
    }
    return false;
}

static bool is_datacenter(const struct scenario *s, const char *name)
{
    for (int i = 0; i < s->datacenters; i++)
        if (strcmp(s->datacenter[i], name) == 0)
            return true;
    return false;
}

static bool check_target(const struct scenario *s, int i, struct complaint *c)
{
    const struct scenario_fault *f = &s->fault[i];
    const char *kind = fault_text(f->kind), *target = f->target;
    enum fault_target wants = fault_target(f->kind);
    enum role role;
    if (target[0] == '\0')
        return true;
    if (wants == TARGET_ALL)
        return complain(c, KEY_FAULTS, i, "%s: it concerns all nodes: leave the target out", kind);
    if (is_datacenter(s, target))
        return f->kind != FAULT_STEP || complain(c, KEY_FAULTS, i, "%s: name one node", kind);
    if (!find_node(s, target, &role))
        return complain(c, KEY_FAULTS, i,
                        "%s: target \"%s\" is no datacenter and no node; nodes are \"%s-c\", "
                        "\"%s-p\" and so on, with a number where a datacenter has several",
                        kind, target, s->datacenter[0], s->datacenter[0]);
    if (wants == TARGET_DATACENTER)
        return complain(c, KEY_FAULTS, i, "%s: target \"%s\": name a datacenter", kind, target);
    if (fault_of_coordinators(f->kind) && role != ROLE_COORDINATOR)
        return complain(c, KEY_FAULTS, i, "%s: target \"%s\": name a coordinator", kind, target);
    return true;
}

static bool names_have(const char *const *names, const char *name, size_t len)
{
    for (; *names != NULL; names++)
        if (strlen(*names) == len && strncmp(*names, name, len) == 0)
            return true;
    return false;
}

/* <step>:<NAME>[:<n>], where the step is there (runtime/crashpoint.h). */
static bool step_exists(const char *step)
{
#define STEP_RECORD(name, number)            #name,
#define STEP_MESSAGE(name, number, from, to) #name,
    static const char *const records[] = {RECORD_MAP(STEP_RECORD) NULL};
    static const char *const messages[] = {MSG_MAP(STEP_MESSAGE) NULL};
#undef STEP_MESSAGE
#undef STEP_RECORD
    static const struct {
        const char *place;
        const char *const *names;
    } steps[] = {{"before-store:", records},
                 {"after-store:", records},
                 {"before-send:", messages},
                 {"after-send:", messages}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        size_t n = strlen(steps[i].place), len = 0;
        if (strncmp(step, steps[i].place, n) != 0)
            continue;
        len = strcspn(step + n, ":");
        const char *count = step + n + len;
        return names_have(steps[i].names, step + n, len) &&
               (*count == '\0' || (count[1] >= '1' && count[1] <= '9' &&
                                   strspn(count + 1, "0123456789") == strlen(count + 1)));
    }
    return false;
}

/* How many datacenters a fault needs to mean anything. */
static int least_datacenters(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_RING:
        return 3;
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
    case FAULT_LOST:
        return 2;
    default:
        return 1;
    }
}

uint32_t scenario_mixable(int datacenters)
{
    uint32_t mask = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        if (kind != FAULT_LOST && datacenters >= least_datacenters((enum fault_kind)kind))
            mask |= UINT32_C(1) << kind;
    return mask;
}

/* In which faults may happen; 0: there is no time for any. */
static uint32_t window_of(const struct scenario *s)
{
    uint32_t taken_ms = s->calm_ms + PLAN_RECOVERY_MS;
    return s->duration_ms > taken_ms ? s->duration_ms - taken_ms : 0;
}

static bool check_fault(const struct scenario *s, int i, struct complaint *c)
{
    const struct scenario_fault *f = &s->fault[i];
    const char *kind = fault_text(f->kind);
    uint64_t least_ms = plan_least_ms(s, f->kind);
    uint64_t lasts_ms = least_ms > f->for_ms ? least_ms : f->for_ms;
    if (s->datacenters < least_datacenters(f->kind))
        return complain(c, KEY_FAULTS, i, "%s: it needs %d datacenters", kind,
                        least_datacenters(f->kind));
    if (f->kind == FAULT_LOST && f->for_ms != 0)
        return complain(c, KEY_FAULTS, i, "%s: it does not end: leave \"for\" out", kind);
    if (f->kind != FAULT_LOST && f->for_ms < FAULT_MS_MIN)
        return complain(c, KEY_FAULTS, i, "%s: say how long it lasts, as in for: 5s", kind);
    if (f->step[0] != '\0' && f->kind != FAULT_STEP)
        return complain(c, KEY_FAULTS, i, "%s: only the kind \"step\" has a step", kind);
    if (f->step[0] != '\0' && f->target[0] == '\0')
        return complain(c, KEY_FAULTS, i, "%s: a step belongs to a node: name it as the target",
                        kind);
    if (f->step[0] != '\0' && !step_exists(f->step))
        return complain(c, KEY_FAULTS, i,
                        "%s: there is no step \"%s\": write before-store or after-store and a "
                        "record, or before-send or after-send and a message, as in "
                        "after-store:PREPARED:3",
                        kind, f->step);
    if (f->at_ms + lasts_ms > window_of(s))
        return complain(c, KEY_FAULTS, i,
                        "%s: at %u ms, for %llu ms: after the calm beginning, and with %u ms left "
                        "for the recovery, there are %u ms",
                        kind, f->at_ms, (unsigned long long)lasts_ms, PLAN_RECOVERY_MS,
                        window_of(s));
    return check_target(s, i, c);
}

static bool check_mix(const struct scenario *s, struct complaint *c)
{
    uint64_t kinds = (uint64_t)count_bits(s->mix), needed_ms = 0;
    uint32_t strange = s->mix & ~scenario_mixable(s->datacenters);
    if (s->mix == 0)
        return true;
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        if ((strange >> kind & 1) != 0)
            return complain(c, KEY_MIX, -1, "\"%s\" %s", fault_text((enum fault_kind)kind),
                            kind == FAULT_LOST
                                ? "never ends: it is for \"faults\" only"
                                : "needs more datacenters than there are: leave it out");
        uint64_t least_ms = plan_least_ms(s, (enum fault_kind)kind);
        if ((s->mix >> kind & 1) != 0 && least_ms > 0 &&
            least_ms + 2 * (uint64_t)s->every_ms > needed_ms)
            needed_ms = least_ms + 2 * (uint64_t)s->every_ms;
    }
    if (s->every_ms < FAULT_MS_MIN || s->for_ms < FAULT_MS_MIN || s->every_ms > DURATION_MS_MAX ||
        s->for_ms > DURATION_MS_MAX)
        return complain(c, KEY_MIX, -1,
                        "\"every\" and \"for\" must be at least %u ms, and at most 24h",
                        FAULT_MS_MIN);
    if (kinds * s->every_ms > needed_ms)
        needed_ms = kinds * s->every_ms;
    if (needed_ms > window_of(s))
        return complain(c, KEY_MIX, -1,
                        "%d kinds of faults, one every %u ms, need %llu ms for each to happen; "
                        "after the calm beginning, and with %u ms left for the recovery, there are "
                        "%u: lengthen the duration, or have them more often",
                        (int)kinds, s->every_ms, (unsigned long long)needed_ms, PLAN_RECOVERY_MS,
                        window_of(s));
    return true;
}

bool scenario_sound(const struct scenario *s, struct complaint *c)
{
    if (!scenario_nodes_sound(s, c) || !check_links(s, c) || !check_times(s, c) ||
        !check_loads(s, c))
        return false;
    for (int i = 0; i < s->faults; i++)
        if (!check_fault(s, i, c))
            return false;
    return check_mix(s, c);
}
