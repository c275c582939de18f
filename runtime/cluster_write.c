#include "runtime/cluster_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/file.h"

__attribute__((format(printf, 2, 3))) static void print(struct writer *out, const char *format, ...)
{
    char text[512]; /* every piece is a name, an address or a key, and a few words */
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    writer_raw(out, text, (size_t)len);
}

/* In single quotes, where YAML itself has no escapes; "" for no bytes, as it is easier to see. */
static void print_prefix(struct writer *out, struct bytes prefix)
{
    if (prefix.len == 0) {
        print(out, "\"\"");
        return;
    }
    print(out, "'");
    for (size_t i = 0; i < prefix.len; i++) {
        uint8_t byte = prefix.data[i];
        if (byte == '\\')
            print(out, "\\\\");
        else if (byte < 0x20 || byte > 0x7e || byte == '\'')
            print(out, "\\x%02x", byte);
        else
            print(out, "%c", byte);
    }
    print(out, "'");
}

/* In the largest unit that divides it. */
static void print_time(struct writer *out, const char *name, uint32_t ms)
{
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (ms % units[i].ms != 0)
        i++;
    print(out, "  %s: %u%s\n", name, ms / units[i].ms, units[i].name);
}

static void print_keys(struct writer *out, const uint8_t key[2][NOISE_KEY_BYTES], int keys)
{
    print(out, "    keys:\n");
    for (int i = 0; i < keys; i++) {
        char hex[2 * NOISE_KEY_BYTES + 1];
        bytes_hex(bytes_of(key[i], NOISE_KEY_BYTES), hex);
        print(out, "      - \"%s\"\n", hex);
    }
}

static void print_header(struct writer *out, const struct cluster *c)
{
    char id[2 * CLUSTER_ID_BYTES + 1];
    bytes_hex(bytes_of(c->id, CLUSTER_ID_BYTES), id);
    print(out, "# An Assent cluster: the same file for every node and client.\n"
               "# docs/operations.md explains every key. Nodes read it when they start.\n\n");
    print(out, "cluster:\n  id: \"%s\"\n  name: \"%s\"\n", id, c->name);
    print(out,
          "  # One more whenever the list of coordinators or one of their first keys changes.\n"
          "  epoch: %u\n\n",
          c->epoch);
    print(out, "times:\n");
    print_time(out, "in-doubt-timeout", c->in_doubt_timeout_ms);
    print_time(out, "retention", c->retention_ms);
    print_time(out, "clock-ahead", c->clock_ahead_ms);
    print_time(out, "txid-skew", c->txid_skew_ms);
    print(out, "\ndatacenters:\n");
    for (int i = 0; i < c->datacenters; i++)
        print(out, "  - \"%s\"\n", c->datacenter[i]);
}

static void print_nodes(struct writer *out, const struct cluster *c)
{
    print(out,
          "\n# Coordinators: an odd number, 2F+1 to survive the loss of any F of them.\nnodes:\n");
    for (int i = 0; i < c->nodes; i++) {
        const struct cluster_node *node = &c->node[i];
        bool v6 = strchr(node->host, ':') != NULL;
        print(out, "  - id: %u\n    name: \"%s\"\n    role: %s\n", node->id, node->name,
              role_name(node->role));
        print(out, "    datacenter: \"%s\"\n", c->datacenter[node->datacenter]);
        print(out, "    address: \"%s%s%s:%u\"\n", v6 ? "[" : "", node->host, v6 ? "]" : "",
              node->port);
        print_keys(out, node->key, node->keys);
    }
}

static void print_clients(struct writer *out, const struct cluster *c)
{
    print(out, "\n# admin: true may do everything; grants are by key prefix.\nclients:%s\n",
          c->clients == 0 ? " []" : "");
    for (int i = 0; i < c->clients; i++) {
        const struct cluster_client *client = &c->client[i];
        print(out, "  - name: \"%s\"\n", client->name);
        print_keys(out, client->key, client->keys);
        print(out, "    admin: %s\n", client->admin ? "true" : "false");
        if (client->grants > 0)
            print(out, "    grants:\n");
        for (int j = 0; j < client->grants; j++) {
            print(out, "      - prefix: ");
            print_prefix(out, client->grant[j].prefix);
            print(out, "\n        rights:\n");
            if ((client->grant[j].rights & GRANT_READ) != 0)
                print(out, "          - read\n");
            if ((client->grant[j].rights & GRANT_WRITE) != 0)
                print(out, "          - write\n");
        }
    }
}

static void print_placements(struct writer *out, const struct cluster *c)
{
    print(out,
          "\n# Which participants hold the keys that begin with a prefix; the longest wins. With\n"
          "# several, all of them hold all of these keys.\nplacement:\n");
    for (int i = 0; i < c->placements; i++) {
        const struct placement *p = &c->placement[i];
        print(out, "  - prefix: ");
        print_prefix(out, p->prefix);
        print(out, "\n    participants:\n");
        for (int j = 0; j < p->replicas; j++) {
            const struct cluster_node *node = NULL;
            for (int k = 0; k < c->nodes; k++)
                if (c->node[k].id == p->replica[j])
                    node = &c->node[k];
            if (node != NULL)
                print(out, "      - \"%s\"\n", node->name);
        }
    }
}

void cluster_text(const struct cluster *c, struct writer *out)
{
    print_header(out, c);
    print_nodes(out, c);
    print_clients(out, c);
    print_placements(out, c);
}

assent_status cluster_write(const struct cluster *c, const char *path, char *why, size_t why_size)
{
    struct writer text = {0};
    cluster_text(c, &text);
    assent_status status = ASSENT_OK;
    struct cluster *check = cluster_parse((const char *)text.data, text.len, path, why, why_size);
    if (check == NULL) {
        status = ASSENT_CONFIG;
    } else if (!file_create(path, 0644, writer_view(&text))) {
        status = errno == EEXIST ? ASSENT_CONFIG : ASSENT_SYSTEM;
        snprintf(why, why_size, "%s: %s: %s", path, strerror(errno),
                 errno == EEXIST ? "remove it first, or write to another path"
                                 : "no cluster file was written");
    }
    cluster_free(check);
    writer_free(&text);
    return status;
}
