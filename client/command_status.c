/* `assent status`: every node of the cluster file, what it says of itself or why it is not
 * reachable. */
#include "client/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Long enough for handshakes across the world; `status` is asked when something is wrong. */
#define STATUS_TIMEOUT_MS 3000u

/* The number as text, or "-" for a node that has none of the kind. */
static const char *cell(const assent_node *node, const char *name, char out[24])
{
    uint64_t n;
    if (node->reachable && command_node_number(node->text, name, &n))
        snprintf(out, 24, "%" PRIu64, n);
    else
        snprintf(out, 24, "-");
    return out;
}

static void print_table(const assent_node *nodes, size_t n)
{
    size_t name_width = 4, dc_width = 10;
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(nodes[i].name), dc = strlen(nodes[i].datacenter);
        name_width = name > name_width ? name : name_width;
        dc_width = dc > dc_width ? dc : dc_width;
    }
    printf("%-*s  %-*s  %-11s  %11s  %8s  %8s  %7s  %10s\n", (int)name_width, "node", (int)dc_width,
           "datacenter", "role", "incarnation", "rtt", "in doubt", "leading", "recovering");
    for (size_t i = 0; i < n; i++) {
        const assent_node *node = &nodes[i];
        char doubt[24], leading[24], recovering[24], incarnation[24], rtt[COMMAND_TIME_TEXT];
        printf("%-*s  %-*s  %-11s  ", (int)name_width, node->name, (int)dc_width, node->datacenter,
               node->role);
        if (!node->reachable) {
            printf("not reachable: %s\n", node->why);
            continue;
        }
        snprintf(incarnation, sizeof incarnation, "%u", node->incarnation);
        printf("%11s  %8s  %8s  %7s  %10s\n", incarnation,
               node->rtt_us == 0 ? "-" : command_us_text(node->rtt_us, rtt),
               cell(node, "in_doubt", doubt), cell(node, "leading", leading),
               cell(node, "recovering", recovering));
    }
}

/* The lines of a node's text: numbers as numbers, the rest as text. */
static json_t *json_counters(const char *text)
{
    json_t *json = json_object();
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n"), name_len = strcspn(line, " \n");
        char name[64], *end;
        if (name_len < len && name_len < sizeof name) {
            const char *value = line + name_len + 1;
            size_t value_len = len - name_len - 1;
            snprintf(name, sizeof name, "%.*s", (int)name_len, line);
            long long n = strtoll(value, &end, 10);
            json_object_set_new(json, name,
                                end == value + value_len && value_len > 0
                                    ? json_integer(n)
                                    : json_stringn(value, value_len));
        }
        line += len + (line[len] == '\n');
    }
    return json;
}

static void print_json(const assent_node *nodes, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const assent_node *node = &nodes[i];
        json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "name", node->name, "role", node->role,
                                 "datacenter", node->datacenter, "reachable", node->reachable);
        if (node->reachable) {
            json_object_set_new(json, "incarnation", json_integer(node->incarnation));
            json_object_set_new(json, "rtt_us", json_integer(node->rtt_us));
            json_object_set_new(json, "counters", json_counters(node->text));
        } else {
            json_object_set_new(json, "why", json_string(node->why));
        }
        json_array_append_new(array, json);
    }
    command_json_print(json_pack("{s:o}", "nodes", array));
}

static int run(struct command_call *call)
{
    assent *db;
    assent_node *nodes;
    size_t n, reachable = 0;
    int rc = command_open(call, &db);
    if (rc != 0)
        return rc;
    uint32_t timeout_ms = call->timeout_ms == 0 ? STATUS_TIMEOUT_MS : call->timeout_ms;
    assent_status status = assent_nodes(db, timeout_ms, &nodes, &n);
    if (status != ASSENT_OK) {
        rc = command_fail_status(call, status, assent_error());
    } else {
        (call->output == OUTPUT_JSON ? print_json : print_table)(nodes, n);
        for (size_t i = 0; i < n; i++)
            reachable += nodes[i].reachable;
        if (reachable == 0)
            rc = command_fail(
                EX_UNAVAILABLE,
                "status: no node of %s is reachable: start them, or look at their logs",
                command_cluster_file(call));
        assent_nodes_free(nodes);
    }
    assent_close(db);
    return rc;
}

const struct command command_status = {
    .name = "status",
    .words = "",
    .summary = "Shows every node: reachable, in doubt, leading, recovering",
    .detail =
        "Ends with status 69 if no node is reachable. -o json shows all that the nodes count.",
    .connects = true,
    .run = run,
};
