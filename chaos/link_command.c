#include "chaos/link_command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 6
#define ALL_LINKS (-1)

enum argument { NO_ARGUMENT, TIME, BYTES_OR_NONE, OFFSET_OR_RANDOM, HOW_TO_HEAL };
enum ways_allowed { NO_WAY, ANY_WAY, ONE_WAY };

static const struct verb {
    const char *name;
    enum link_change_kind kind;
    enum ways_allowed ways;
    enum argument argument;
    const char *usage, *help;
} verbs[] = {
    {"delay", LINK_DELAY, ANY_WAY, TIME, "delay LINK [up|down] TIME", "one-way delay"},
    {"extra", LINK_EXTRA, ANY_WAY, TIME, "extra LINK [up|down] TIME",
     "a latency spike on top of it; 0 ends it"},
    {"jitter", LINK_JITTER, ANY_WAY, TIME, "jitter LINK [up|down] TIME",
     "up to so much later, never out of order"},
    {"bandwidth", LINK_BANDWIDTH, ANY_WAY, BYTES_OR_NONE, "bandwidth LINK [up|down] BYTES|none",
     "bytes a second of all connections"},
    {"cut", LINK_CUT, ANY_WAY, NO_ARGUMENT, "cut LINK [up|down]",
     "black hole: keep bytes back, tell nobody"},
    {"heal", LINK_HEAL, ANY_WAY, HOW_TO_HEAL, "heal LINK [up|down] [resume|reset]",
     "let kept bytes arrive, or reset connections"},
    {"refuse", LINK_REFUSE, NO_WAY, NO_ARGUMENT, "refuse LINK", "refuse new connections"},
    {"accept", LINK_ACCEPT, NO_WAY, NO_ARGUMENT, "accept LINK", "accept them again"},
    {"reset", LINK_RESET, ANY_WAY, NO_ARGUMENT, "reset LINK [up|down]",
     "RST to both ends, or only to the one there"},
    {"half-open", LINK_HALF_OPEN, ONE_WAY, NO_ARGUMENT, "half-open LINK up|down",
     "close the end there, do not tell the other"},
    {"slow-close", LINK_SLOW_CLOSE, ANY_WAY, TIME, "slow-close LINK [up|down] TIME",
     "ends of stream arrive so much later"},
    {"corrupt", LINK_CORRUPT, ANY_WAY, OFFSET_OR_RANDOM, "corrupt LINK [up|down] [OFFSET]",
     "change one byte, OFFSET bytes from now"},
    {"limit", LINK_LIMIT, ANY_WAY, BYTES_OR_NONE, "limit LINK [up|down] BYTES|none",
     "close a connection after so many more bytes"},
    {"calm", LINK_CALM, NO_WAY, HOW_TO_HEAL, "calm LINK [resume|reset]",
     "end all faults: as when it was opened"},
};

#define VERBS (sizeof verbs / sizeof verbs[0])

__attribute__((format(printf, 3, 4))) static bool refuse(char *why, size_t why_size,
                                                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
    return false;
}

/* ---- numbers ---- */

/* A decimal number; *unit: what follows it. */
static bool number_parse(const char *text, uint64_t max, uint64_t *value, const char **unit)
{
    *value = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        *value = *value * 10 + (uint64_t)(*text - '0');
        if (*value > max)
            return false;
    }
    *unit = text;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool quantity_parse(const char *text, const struct unit *units, uint64_t max,
                           uint64_t *value)
{
    const char *unit;
    if (!number_parse(text, max, value, &unit))
        return false;
    for (; units->name != NULL; units++) {
        if (strcmp(unit, units->name) != 0)
            continue;
        if (*value > max / units->factor)
            return false;
        *value *= units->factor;
        return true;
    }
    return *value == 0 && *unit == '\0';
}

bool link_time_parse(const char *text, uint64_t *us)
{
    static const struct unit units[] = {{"us", 1},       {"ms", 1000},       {"s", 1000000},
                                        {"m", 60000000}, {"h", 3600000000u}, {NULL, 0}};
    return quantity_parse(text, units, LINK_TIME_US_MAX, us);
}

bool link_bytes_parse(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}, {NULL, 0}};
    return quantity_parse(text, units, LINK_BYTES_MAX, bytes);
}

/* ---- parsing ---- */

/* Cuts the line into words; how many, or WORDS_MAX + 1. */
static int split(char *line, char *word[WORDS_MAX])
{
    int n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " \t\r\n", &rest); w != NULL;
         w = strtok_r(NULL, " \t\r\n", &rest)) {
        if (n == WORDS_MAX)
            return WORDS_MAX + 1;
        word[n++] = w;
    }
    return n;
}

static bool link_parse(const char *text, int links, int *link, char *why, size_t why_size)
{
    uint64_t number;
    const char *rest;
    *link = ALL_LINKS;
    if (strcmp(text, "all") == 0)
        return true;
    if (!number_parse(text, (uint64_t)links, &number, &rest) || *rest != '\0' || number == 0)
        return refuse(why, why_size, "no link '%s': say %s%d or all", text,
                      links > 1 ? "1 to " : "", links);
    *link = (int)number - 1;
    return true;
}

static bool value_parse(const struct verb *v, const char *text, uint64_t *value, char *why,
                        size_t why_size)
{
    switch (v->argument) {
    case TIME:
        return (text != NULL && link_time_parse(text, value)) ||
               refuse(why, why_size,
                      "%s: '%s' is not a time: say, for example, 80ms (us, ms, s, m or h; at most "
                      "24h)",
                      v->usage, text == NULL ? "" : text);
    case BYTES_OR_NONE:
        *value = LINK_NONE;
        return (text != NULL && (strcmp(text, "none") == 0 || link_bytes_parse(text, value))) ||
               refuse(why, why_size,
                      "%s: '%s' is not a number of bytes: say, for example, 64k (k, M or G; at "
                      "most 1000G) or none",
                      v->usage, text == NULL ? "" : text);
    case OFFSET_OR_RANDOM:
        *value = LINK_RANDOM;
        return text == NULL || link_bytes_parse(text, value) ||
               refuse(why, why_size,
                      "%s: '%s' is not a number of bytes: leave it out for any of the next %u",
                      v->usage, text, LINK_CORRUPT_WITHIN);
    case HOW_TO_HEAL:
        *value = text != NULL && strcmp(text, "reset") == 0 ? LINK_RESET_ALL : LINK_RESUME;
        return text == NULL || *value == LINK_RESET_ALL || strcmp(text, "resume") == 0 ||
               refuse(why, why_size, "%s: '%s' is neither resume nor reset", v->usage, text);
    case NO_ARGUMENT:
        break;
    }
    *value = 0;
    return text == NULL || refuse(why, why_size, "%s: '%s' is too much", v->usage, text);
}

static bool change_parse(const struct verb *v, char **word, int n, int links,
                         struct link_command *out, char *why, size_t why_size)
{
    int next = 1;
    const char *argument = NULL;
    out->verb = LINK_VERB_CHANGE;
    out->change = (struct link_change){.kind = v->kind, .ways = LINK_BOTH};
    if (next >= n)
        return refuse(why, why_size, "%s: which link?", v->usage);
    if (!link_parse(word[next++], links, &out->link, why, why_size))
        return false;
    if (v->ways != NO_WAY && next < n &&
        (strcmp(word[next], "up") == 0 || strcmp(word[next], "down") == 0))
        out->change.ways = strcmp(word[next++], "up") == 0 ? LINK_UP : LINK_DOWN;
    if (v->ways == ONE_WAY && out->change.ways == LINK_BOTH)
        return refuse(why, why_size, "%s: say up (close the target's end) or down (the dialler's)",
                      v->usage);
    if (next < n)
        argument = word[next++];
    if (!value_parse(v, argument, &out->change.value, why, why_size))
        return false;
    if (v->kind == LINK_BANDWIDTH && out->change.value == 0)
        return refuse(why, why_size, "%s: nothing would ever pass: say cut, or none for no bound",
                      v->usage);
    return next == n || refuse(why, why_size, "%s: '%s' is too much", v->usage, word[next]);
}

bool link_command_parse(const char *line, int links, struct link_command *out, char *why,
                        size_t why_size)
{
    char copy[LINK_COMMAND_BYTES_MAX + 1], *word[WORDS_MAX];
    *out = (struct link_command){.verb = LINK_VERB_NOTHING, .link = ALL_LINKS};
    if (strlen(line) > LINK_COMMAND_BYTES_MAX)
        return refuse(why, why_size, "a line of more than %d bytes: help lists the commands",
                      LINK_COMMAND_BYTES_MAX);
    memcpy(copy, line, strlen(line) + 1);
    copy[strcspn(copy, "#")] = '\0';
    int n = split(copy, word);
    if (n == 0)
        return true;
    if (n > WORDS_MAX)
        return refuse(why, why_size, "too many words: help lists the commands");
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(word[0], verbs[i].name) == 0)
            return change_parse(&verbs[i], word, n, links, out, why, why_size);
    if (strcmp(word[0], "show") == 0) {
        out->verb = LINK_VERB_SHOW;
        if (n == 2)
            return link_parse(word[1], links, &out->link, why, why_size);
    } else if (strcmp(word[0], "wait") == 0) {
        out->verb = LINK_VERB_WAIT;
        return (n == 2 && link_time_parse(word[1], &out->wait_us)) ||
               refuse(why, why_size, "wait TIME: say, for example, wait 500ms (at most 24h)");
    } else if (strcmp(word[0], "help") == 0) {
        out->verb = LINK_VERB_HELP;
    } else if (strcmp(word[0], "quit") == 0) {
        out->verb = LINK_VERB_QUIT;
    } else {
        return refuse(why, why_size, "unknown command '%s': help lists the commands", word[0]);
    }
    return n == 1 || refuse(why, why_size, "%s: '%s' is too much", word[0], word[n - 1]);
}

/* ---- running ---- */

__attribute__((format(printf, 2, 3))) static void print(struct writer *out, const char *format, ...)
{
    char text[256]; /* every piece is a few words and numbers */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    writer_raw(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static void print_time(struct writer *out, const char *name, uint64_t us)
{
    if (us != 0 && us % 1000 == 0)
        print(out, "  %s %" PRIu64 "ms", name, us / 1000);
    else if (us != 0)
        print(out, "  %s %" PRIu64 "us", name, us);
}

static void print_bytes(struct writer *out, const char *name, uint64_t bytes)
{
    if (bytes != LINK_NONE)
        print(out, "  %s %" PRIu64, name, bytes);
}

static void print_way(struct writer *out, const char *name, const struct link_way_state *s)
{
    print(out, "   %-4s  bytes %" PRIu64 "  held %" PRIu64, name, s->bytes, s->held);
    if (s->corrupted != 0)
        print(out, "  corrupted %" PRIu64, s->corrupted);
    if (s->cut)
        print(out, "  CUT");
    print_time(out, "delay", s->delay_us);
    print_time(out, "extra", s->extra_us);
    print_time(out, "jitter", s->jitter_us);
    print_bytes(out, "bandwidth", s->bandwidth);
    print_time(out, "slow-close", s->slow_close_us);
    print_bytes(out, "limit", s->limit);
    print_bytes(out, "corrupt-in", s->corrupt_in);
    print(out, "\n");
}

struct work {
    struct links *links;
    const struct link_command *command;
    struct writer *answer;
    bool good;
};

static void show(struct work *w, int i)
{
    struct link_state s;
    link_state(links_at(w->links, i), &s);
    print(w->answer, "%d  port %u  connections %" PRIu64 "  open %" PRIu64 "%s\n", i + 1, s.port,
          s.connections, s.open, s.refusing ? "  REFUSING" : "");
    print_way(w->answer, "up", &s.up);
    print_way(w->answer, "down", &s.down);
}

static void on_links_thread(void *arg)
{
    struct work *w = arg;
    const struct link_command *c = w->command;
    for (int i = 0; i < links_count(w->links); i++) {
        if (c->link != ALL_LINKS && c->link != i)
            continue;
        if (c->verb == LINK_VERB_SHOW)
            show(w, i);
        else if (!link_change(links_at(w->links, i), &c->change))
            w->good = false;
    }
}

static void print_help(struct writer *out)
{
    for (size_t i = 0; i < VERBS; i++)
        print(out, "%-36s %s\n", verbs[i].usage, verbs[i].help);
    print(out, "%-36s %s\n", "show [LINK]", "settings, faults and counts");
    print(out, "%-36s %s\n", "wait TIME", "read the next command that much later");
    print(out, "%-36s %s\n", "help", "this list");
    print(out, "%-36s %s\n", "quit", "end; so does the end of the input");
    print(out, "LINK is a number or all; up is to the target, down to the dialler, neither means "
               "both.\n");
}

bool link_command_run(struct links *s, const struct link_command *command, struct writer *answer,
                      char *why, size_t why_size)
{
    struct work w = {s, command, answer, true};
    if (command->verb == LINK_VERB_HELP)
        print_help(answer);
    else if (command->verb == LINK_VERB_CHANGE || command->verb == LINK_VERB_SHOW)
        links_call(s, on_links_thread, &w);
    return w.good || refuse(why, why_size,
                            "could not listen again: is the machine out of file "
                            "descriptors? (ulimit -n)");
}
