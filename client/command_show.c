/* Results for people and for programs. */
#include "client/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/hlc.h"
#include "wire/text.h"

/* The bytes of the UTF-8 character at the start of b; 0: there is none that can be shown. */
static size_t character(struct bytes b)
{
    for (size_t n = 1; n <= 4 && n <= b.len; n++)
        if (text_printable(bytes_of(b.data, n), false))
            return n;
    return 0;
}

void command_print_bytes(FILE *out, struct bytes b)
{
    for (size_t i = 0; i < b.len;) {
        size_t n = character(bytes_of(b.data + i, b.len - i));
        if (n == 0) {
            fprintf(out, "\\x%02x", b.data[i++]);
        } else if (b.data[i] == '\\') {
            fputs("\\\\", out);
            i++;
        } else {
            fwrite(b.data + i, 1, n, out);
            i += n;
        }
    }
}

json_t *command_json_bytes(struct bytes b)
{
    json_t *text = b.len == 0 ? json_string("") : json_stringn((const char *)b.data, b.len);
    if (text != NULL)
        return text;
    char *hex = xmalloc(2 * b.len + 1);
    bytes_hex(b, hex);
    json_t *object = json_pack("{s:s}", "hex", hex);
    free(hex);
    return object;
}

void command_json_print(json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
}

const char *command_time_text(assent_ts ts, char *out)
{
    uint64_t ms = hlc_to_ms(ts);
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc = {0};
    char date[32] = "?";
    if (gmtime_r(&seconds, &utc) != NULL)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, COMMAND_TIME_TEXT, "%s.%03uZ", date, (unsigned)(ms % 1000));
    return out;
}

const char *command_us_text(double us, char *out)
{
    if (us < 1000)
        snprintf(out, COMMAND_TIME_TEXT, "%.0f us", us);
    else if (us < 1000000)
        snprintf(out, COMMAND_TIME_TEXT, "%.*f ms",
                 us < 10000    ? 2
                 : us < 100000 ? 1
                               : 0,
                 us / 1000);
    else
        snprintf(out, COMMAND_TIME_TEXT, "%.2f s", us / 1000000);
    return out;
}

void command_print_entry(const assent_entry *entry)
{
    command_print_bytes(stdout, bytes_of(entry->key, entry->key_len));
    if (entry->found) {
        fputs(" = ", stdout);
        command_print_bytes(stdout, bytes_of(entry->value, entry->value_len));
    } else {
        fputs(" is absent", stdout);
    }
    puts(entry->truncated ? "   (the range goes on)" : "");
}

void command_print_parts(const assent_commit_info *info)
{
    char a[COMMAND_TIME_TEXT], b[COMMAND_TIME_TEXT], c[COMMAND_TIME_TEXT];
    if (info->parts > 0)
        printf("%-16s %10s %10s %10s\n", "participant", "network", "lock wait", "sync");
    for (int i = 0; i < info->parts; i++)
        printf("%-16s %10s %10s %10s\n", info->part[i].participant,
               command_us_text(info->part[i].network_us, a),
               command_us_text(info->part[i].lock_wait_us, b),
               command_us_text(info->part[i].sync_us, c));
}

static const char *const level_names[] = {
    [ASSENT_STRONG] = "strong",   [ASSENT_SNAPSHOT] = "snapshot", [ASSENT_SESSION] = "session",
    [ASSENT_BOUNDED] = "bounded", [ASSENT_EVENTUAL] = "eventual",
};

const char *command_level_name(assent_level level)
{
    return level_names[level];
}

bool command_level_named(struct bytes name, assent_level *out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (bytes_equal(name, bytes_of_text(level_names[i]))) {
            *out = (assent_level)i;
            return true;
        }
    return false;
}

static json_t *json_part(const assent_part *part)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "participant", part->participant, "network_us",
                     (json_int_t)part->network_us, "lock_wait_us", (json_int_t)part->lock_wait_us,
                     "sync_us", (json_int_t)part->sync_us);
}

json_t *command_json_commit(assent_status status, const assent_commit_info *info)
{
    static const assent_txid none;
    json_t *json = json_object(), *parts = json_array();
    char text[COMMAND_TIME_TEXT], txid[ASSENT_TXID_TEXT];
    const char *word = status == ASSENT_OK              ? "committed"
                       : assent_maybe_committed(status) ? "unknown"
                                                        : "aborted";
    json_object_set_new(json, "status", json_string(word));
    if (status != ASSENT_OK)
        json_object_set_new(json, "reason", json_string(assent_status_name(status)));
    if (memcmp(&info->txid, &none, sizeof none) != 0)
        json_object_set_new(json, "txid", json_string(assent_txid_text(&info->txid, txid)));
    if (status == ASSENT_OK) {
        json_object_set_new(json, "timestamp", json_integer((json_int_t)info->commit_ts));
        json_object_set_new(json, "time", json_string(command_time_text(info->commit_ts, text)));
    }
    if (info->coordinator != NULL)
        json_object_set_new(json, "coordinator", json_string(info->coordinator));
    json_object_set_new(json, "total_us", json_integer(info->total_us));
    if (info->parts > 0) {
        json_object_set_new(json, "leader_us", json_integer(info->leader_us));
        json_object_set_new(json, "quorum_us", json_integer(info->quorum_us));
    }
    for (int i = 0; i < info->parts; i++)
        json_array_append_new(parts, json_part(&info->part[i]));
    json_object_set_new(json, "participants", parts);
    return json;
}

json_t *command_json_entry(const assent_entry *entry)
{
    json_t *json = json_object();
    json_object_set_new(json, "key", command_json_bytes(bytes_of(entry->key, entry->key_len)));
    json_object_set_new(json, "found", json_boolean(entry->found));
    if (entry->found) {
        json_object_set_new(json, "value",
                            command_json_bytes(bytes_of(entry->value, entry->value_len)));
        json_object_set_new(json, "version", json_integer((json_int_t)entry->version.ts));
    }
    return json;
}

bool command_node_number(const char *text, const char *name, uint64_t *out)
{
    size_t len = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, name, len) == 0 && line[len] == ' ') {
            char *end;
            *out = strtoull(line + len + 1, &end, 10);
            return end != line + len + 1;
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return false;
}
