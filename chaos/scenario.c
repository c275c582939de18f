#include "chaos/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/scenario_check.h"
#include "runtime/cluster.h"
#include "runtime/file.h"
#include "wire/text.h"

#define FILE_BYTES_MAX (1u << 20)
#define CALM_MS        10000
#define SETTLE_MS      60000
#define COORDINATORS   3
#define PARTICIPANTS   1
#define KEYS           16
#define THINK_MS       50

static const char *const load_texts[LOAD_KINDS] = {
#define LOAD_TEXT(name, text) [LOAD_##name] = text,
    LOAD_MAP(LOAD_TEXT)
#undef LOAD_TEXT
};

const char *load_text(enum load_kind kind)
{
    return load_texts[kind];
}

/* A scenario that is being read. */
struct reading {
    const struct scenario_document *doc;
    struct scenario *s;
    struct complaint *c;
};

/* ---- words ---- */

/* Decimal digits alone. */
static bool number_of(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    size_t len = strlen(text);
    if (len == 0 || strspn(text, "0123456789") != len || (len > 1 && *text == '0'))
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

static bool read_number(struct reading *r, enum scenario_key key, int index, const char *name,
                        const char *text, int *out)
{
    uint64_t v;
    if (text == NULL)
        return true;
    if (!number_of(text, INT32_MAX, &v))
        return complain(r->c, key, index, "%s \"%.40s\" is not a whole number", name, text);
    *out = (int)v;
    return true;
}

static bool read_time(struct reading *r, enum scenario_key key, int index, const char *name,
                      const char *text, uint32_t *out)
{
    if (text == NULL || duration_parse(text, out))
        return true;
    return complain(r->c, key, index,
                    "%s \"%.40s\" is not a time: write a whole number and its unit, as in 500ms, "
                    "10s, 5m or 1h",
                    name, text);
}

/* Of datacenters by their names; all of them where nothing is given. */
static bool read_mask(struct reading *r, int index, const char *name,
                      const struct cluster_strings *names, uint32_t *out)
{
    const struct scenario *s = r->s;
    *out = names->n == 0 ? (UINT32_C(1) << s->datacenters) - 1 : 0;
    for (unsigned i = 0; i < names->n; i++) {
        int dc = 0;
        while (dc < s->datacenters && strcmp(names->text[i], s->datacenter[dc]) != 0)
            dc++;
        if (dc == s->datacenters)
            return complain(r->c, KEY_LOADS, index,
                            "%s: \"%.40s\" is not a datacenter of this scenario", name,
                            names->text[i]);
        *out |= UINT32_C(1) << dc;
    }
    return true;
}

/* ---- sections ---- */

/* "mix" of "/a/mix.yaml". */
static void name_of_file(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t len = strcspn(name, ".");
    snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), name);
}

static bool copy_name(struct reading *r, enum scenario_key key, int index, const char *text,
                      char *out, size_t size)
{
    if (strlen(text) >= size)
        return complain(r->c, key, index, "\"%.60s\" is too long: at most %zu characters", text,
                        size - 1);
    snprintf(out, size, "%s", text);
    return true;
}

static bool read_top(struct reading *r)
{
    const struct scenario_document *d = r->doc;
    struct scenario *s = r->s;
    if (d->seed != NULL && !number_of(d->seed, UINT64_MAX, &s->seed))
        return complain(r->c, KEY_SEED, -1, "seed \"%.40s\" is not a whole number", d->seed);
    s->calm_ms = CALM_MS;
    s->settle_ms = SETTLE_MS;
    s->retention_ms = RETENTION_MS_DEFAULT;
    s->in_doubt_ms = IN_DOUBT_TIMEOUT_MS;
    s->txid_skew_ms = TXID_SKEW_MS_DEFAULT;
    s->coordinators = COORDINATORS;
    s->participants = PARTICIPANTS;
    uint32_t jitter_ms = 0;
    bool good =
        (d->name == NULL || copy_name(r, KEY_NAME, -1, d->name, s->name, sizeof s->name)) &&
        read_time(r, KEY_CALM, -1, "calm", d->calm, &s->calm_ms) &&
        read_time(r, KEY_DURATION, -1, "duration", d->duration, &s->duration_ms) &&
        read_time(r, KEY_SETTLE, -1, "settle", d->settle, &s->settle_ms) &&
        read_time(r, KEY_JITTER, -1, "jitter", d->jitter, &jitter_ms) &&
        read_number(r, KEY_COORDINATORS, -1, "coordinators", d->coordinators, &s->coordinators) &&
        read_number(r, KEY_PARTICIPANTS, -1, "participants", d->participants, &s->participants) &&
        read_time(r, KEY_TIMES, -1, "retention", d->times.retention, &s->retention_ms) &&
        read_time(r, KEY_TIMES, -1, "in-doubt-timeout", d->times.in_doubt_timeout,
                  &s->in_doubt_ms) &&
        read_time(r, KEY_TIMES, -1, "txid-skew", d->times.txid_skew, &s->txid_skew_ms);
    s->jitter_us = jitter_ms > UINT32_MAX / 1000 ? UINT32_MAX : jitter_ms * 1000;
    return good;
}

static bool read_datacenters(struct reading *r)
{
    const struct cluster_strings *names = &r->doc->datacenters;
    for (unsigned i = 0; i < names->n; i++)
        if (!copy_name(r, KEY_DATACENTERS, (int)i, names->text[i], r->s->datacenter[i],
                       sizeof r->s->datacenter[i]))
            return false;
    r->s->datacenters = (int)names->n;
    return true;
}

/* One row of the matrix: numbers with spaces or commas between them. */
static bool read_rtt_row(struct reading *r, int row)
{
    static const char between[] = " \t,";
    int n = r->s->datacenters, count = 0;
    const char *text = r->doc->rtt.text[row];
    for (const char *at = text + strspn(text, between); *at != '\0'; at += strspn(at, between)) {
        char word[16];
        uint64_t ms;
        size_t len = strcspn(at, between);
        snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), at);
        if (!number_of(word, UINT32_MAX, &ms))
            return complain(r->c, KEY_RTT, row, "\"%.60s\": \"%s\" is not a number of milliseconds",
                            text, word);
        if (count < n)
            r->s->rtt_ms[row * n + count] = (uint32_t)ms;
        count++;
        at += len;
    }
    if (count != n)
        return complain(r->c, KEY_RTT, row,
                        "\"%.60s\": %d numbers: with %d datacenters every row of rtt has %d", text,
                        count, n, n);
    return true;
}

static bool read_rtt(struct reading *r)
{
    const struct cluster_strings *rows = &r->doc->rtt;
    if (rows->n == 0)
        return true;
    if (r->doc->rtt_file != NULL)
        return complain(r->c, KEY_RTT_FILE, -1, "there are rtt and rtt-file: remove one of them");
    if ((int)rows->n != r->s->datacenters)
        return complain(r->c, KEY_RTT, -1, "rtt has %u rows: with %d datacenters it has %d",
                        rows->n, r->s->datacenters, r->s->datacenters);
    for (int row = 0; row < r->s->datacenters; row++)
        if (!read_rtt_row(r, row))
            return false;
    return true;
}

static bool read_load(struct reading *r, int i)
{
    const struct scenario_document_load *from = &r->doc->load[i];
    struct scenario_load *l = &r->s->load[i];
    int kind = 0;
    while (kind < LOAD_KINDS && strcmp(from->kind, load_texts[kind]) != 0)
        kind++;
    if (kind == LOAD_KINDS)
        return complain(r->c, KEY_LOADS, i,
                        "there is no load \"%.40s\": docs/chaos.md lists them all", from->kind);
    *l = (struct scenario_load){.kind = (enum load_kind)kind,
                                .keys = KEYS,
                                .think_ms = THINK_MS,
                                .timeout_ms = TXN_TIMEOUT_MS_DEFAULT};
    l->dies = from->dies != NULL && strcmp(from->dies, "true") == 0;
    if (from->dies != NULL && !l->dies && strcmp(from->dies, "false") != 0)
        return complain(r->c, KEY_LOADS, i, "dies \"%.40s\" is neither true nor false", from->dies);
    return read_number(r, KEY_LOADS, i, "clients", from->clients, &l->clients) &&
           read_number(r, KEY_LOADS, i, "keys", from->keys, &l->keys) &&
           read_time(r, KEY_LOADS, i, "think", from->think, &l->think_ms) &&
           read_time(r, KEY_LOADS, i, "timeout", from->timeout, &l->timeout_ms) &&
           read_mask(r, i, "in", &from->in, &l->in) &&
           read_mask(r, i, "from", &from->from, &l->from);
}

static bool read_kind(struct reading *r, enum scenario_key key, int index, const char *text,
                      enum fault_kind *out)
{
    if (fault_parse(text, out))
        return true;
    return complain(r->c, key, index, "there is no fault \"%.40s\": docs/chaos.md lists them all",
                    text);
}

static bool read_fault(struct reading *r, int i)
{
    const struct scenario_document_fault *from = &r->doc->fault[i];
    struct scenario_fault *f = &r->s->fault[i];
    if (!read_kind(r, KEY_FAULTS, i, from->kind, &f->kind) ||
        !read_time(r, KEY_FAULTS, i, "at", from->at, &f->at_ms) ||
        !read_time(r, KEY_FAULTS, i, "for", from->duration, &f->for_ms))
        return false;
    return (from->target == NULL ||
            copy_name(r, KEY_FAULTS, i, from->target, f->target, sizeof f->target)) &&
           (from->step == NULL || copy_name(r, KEY_FAULTS, i, from->step, f->step, sizeof f->step));
}

static bool read_mix(struct reading *r)
{
    const struct scenario_document_mix *from = &r->doc->mix;
    struct scenario *s = r->s;
    enum fault_kind kind;
    if (from->every == NULL)
        return true; /* there is none */
    for (unsigned i = 0; i < from->kinds.n; i++) {
        const char *text = from->kinds.text[i];
        if (strcmp(text, "all") == 0)
            s->mix |= scenario_mixable(s->datacenters);
        else if (!read_kind(r, KEY_MIX, -1, text, &kind))
            return false;
        else
            s->mix |= UINT32_C(1) << kind;
    }
    if (s->mix == 0)
        return complain(r->c, KEY_MIX, -1, "it has no kinds: name faults, or [all]");
    return read_time(r, KEY_MIX, -1, "every", from->every, &s->every_ms) &&
           read_time(r, KEY_MIX, -1, "for", from->duration, &s->for_ms);
}

static bool read_all(struct reading *r)
{
    if (!read_top(r) || !read_datacenters(r) || !scenario_nodes_sound(r->s, r->c) || !read_rtt(r))
        return false;
    for (unsigned i = 0; i < r->doc->loads; i++) {
        if (!read_load(r, (int)i))
            return false;
        r->s->loads++;
    }
    for (unsigned i = 0; i < r->doc->faults; i++) {
        if (!read_fault(r, (int)i))
            return false;
        r->s->faults++;
    }
    return read_mix(r);
}

/* ---- the whole ---- */

/* The file with the matrix: that of the command line, or the scenario's, from beside it. */
static bool load_matrix(struct reading *r, const char *path, const char *rtt_file, char *why,
                        unsigned why_size, bool *said)
{
    char beside[8300];
    const char *own = r->doc->rtt_file, *slash = strrchr(path, '/');
    struct scenario *s = r->s;
    *said = false;
    if (rtt_file == NULL && own == NULL)
        return r->doc->rtt.n > 0 || s->datacenters == 1 ||
               complain(r->c, KEY_DATACENTERS, -1,
                        "there is no rtt: write a row of milliseconds for every datacenter, or "
                        "name a matrix as rtt-file");
    if (rtt_file == NULL && own[0] != '/' && slash != NULL) {
        snprintf(beside, sizeof beside, "%.*s/%.4000s", (int)(slash - path), path, own);
        rtt_file = beside;
    } else if (rtt_file == NULL) {
        rtt_file = own;
    }
    *said = true;
    return rtt_load(rtt_file, s->datacenters, s->datacenter, s->rtt_ms, why, why_size);
}

/* Messages quote the file: nothing in them may disturb a terminal. */
static void clean(char *why, unsigned why_size)
{
    struct writer w = {0};
    text_clean(bytes_of_text(why), why_size - 1, false, &w);
    memcpy(why, w.data, w.len);
    why[w.len] = '\0';
    writer_free(&w);
}

static bool load_text_of(struct scenario *out, const struct writer *text, const char *path,
                         const char *rtt_file, char *why, unsigned why_size)
{
    struct complaint c = {.key = KEY_NAME, .index = -1};
    struct document *d =
        document_load(&scenario_form, (const char *)text->data, text->len, path, why, why_size);
    if (d == NULL)
        return false;
    struct reading r = {.doc = document_root(d), .s = out, .c = &c};
    bool said = false, good = read_all(&r) &&
                              load_matrix(&r, path, rtt_file, why, why_size, &said) &&
                              scenario_sound(out, &c);
    unsigned line = document_line(d, (int)c.key, c.index);
    if (!good && c.what[0] != '\0')
        snprintf(why, why_size, "%s:%u: %s", path, line == 0 ? 1 : line, c.what);
    document_free(d);
    return good;
}

bool scenario_load(struct scenario *out, const char *path, const char *rtt_file, char *why,
                   unsigned why_size)
{
    struct writer text = {0};
    *out = (struct scenario){0};
    name_of_file(path, out->name, sizeof out->name);
    bool good = file_read(path, FILE_BYTES_MAX, "the scenario", &text, why, why_size) &&
                load_text_of(out, &text, path, rtt_file, why, why_size);
    writer_free(&text);
    if (!good)
        clean(why, why_size);
    return good;
}

bool scenario_check(const struct scenario *s, char *why, unsigned why_size)
{
    struct complaint c;
    if (scenario_sound(s, &c))
        return true;
    snprintf(why, why_size, "scenario %s: %s", s->name, c.what);
    clean(why, why_size);
    return false;
}
