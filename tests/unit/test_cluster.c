/* The cluster file: reading, refusing, writing, and the questions asked of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/prng.h"
#include "runtime/cluster.h"
#include "runtime/cluster_write.h"

#define KEY(digit) "00000000000000000000000000000000000000000000000000000000000000" digit

static const char good[] =
    "# a comment\n"
    "cluster: {id: 000102030405060708090a0b0c0d0e0f, name: demo, epoch: 3}\n"
    "times: {in-doubt-timeout: 500ms, retention: 2h}\n"
    "datacenters: [ams, fra, lhr]\n"
    "nodes:\n"
    "  - {id: 20, name: ams-p, role: participant, datacenter: ams,\n"
    "     address: \"127.0.0.1:7201\", keys: [" KEY("21") ", " KEY(
        "29") "]}\n"
              "  - {id: 1, name: ams-c, role: coordinator, datacenter: ams,\n"
              "     address: \"127.0.0.1:7101\", keys: [" KEY(
                  "11") "]}\n"
                        "  - {id: 2, name: fra-c, role: coordinator, datacenter: fra,\n"
                        "     address: \"fra.example.com:7101\", keys: [" KEY(
                            "12") "]}\n"
                                  "  - {id: 3, name: lhr-c, role: coordinator, datacenter: lhr,\n"
                                  "     address: \"[0:0::1]:7101\", keys: [" KEY(
                                      "13") "]}\n"
                                            "  - {id: 21, name: fra-p, role: participant, "
                                            "datacenter: fra,\n"
                                            "     address: \"127.0.0.1:7202\", keys: [" KEY(
                                                "22") "]}\n"
                                                      "clients:\n"
                                                      "  - {name: root, keys: [" KEY(
                                                          "41") "], admin: true}\n"
                                                                "  - name: app\n"
                                                                "    keys: [" KEY(
                                                                    "42") "]\n"
                                                                          "    grants:\n"
                                                                          "      - {prefix: "
                                                                          "\"acct/\", rights: "
                                                                          "[read, write]}\n"
                                                                          "      - {prefix: "
                                                                          "'acct\\x2F1\\\\', "
                                                                          "rights: [read]}\n"
                                                                          "      - {prefix: acct0, "
                                                                          "rights: [read]}\n"
                                                                          "      - {prefix: "
                                                                          "'raw\\x00\\xff', "
                                                                          "rights: [write]}\n"
                                                                          "placement:\n"
                                                                          "  - {prefix: "
                                                                          "\"shared/\", "
                                                                          "participants: [fra-p, "
                                                                          "ams-p]}\n"
                                                                          "  - {prefix: \"\", "
                                                                          "participants: [ams-p]}\n"
                                                                          "  - {prefix: "
                                                                          "\"shared/x\", "
                                                                          "participants: "
                                                                          "[fra-p]}\n";

static struct cluster *parse(const char *text, char why[512])
{
    why[0] = '\0';
    return cluster_parse(text, strlen(text), "c.yaml", why, 512);
}

/* Parses what must be right. */
static struct cluster *load(const char *text)
{
    char why[512];
    struct cluster *c = parse(text, why);
    if (c == NULL)
        fail_msg("%s", why);
    return c;
}

/* The good file with the first `from` replaced; free it. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    if (at == NULL)
        fail_msg("the good file has no \"%s\"", from);
    char *text = xmalloc(sizeof good + strlen(to));
    sprintf(text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    return text;
}

static struct cluster *load_changed(const char *from, const char *to)
{
    char *text = changed(from, to);
    struct cluster *c = load(text);
    free(text);
    return c;
}

static struct bytes b(const char *text)
{
    return bytes_of_text(text);
}

static void a_full_file_is_read_whole(void **state)
{
    (void)state;
    struct cluster *c = load(good);
    assert_string_equal(c->name, "demo");
    assert_int_equal(c->epoch, 3);
    assert_int_equal(c->id[15], 15);
    assert_int_equal(c->in_doubt_timeout_ms, 500);
    assert_int_equal(c->retention_ms, 7200000);
    assert_int_equal(c->clock_ahead_ms, CLOCK_AHEAD_MS_DEFAULT);
    assert_int_equal(c->txid_skew_ms, TXID_SKEW_MS_DEFAULT);
    assert_int_equal(c->datacenters, 3);
    assert_string_equal(c->datacenter[2], "lhr");

    static const node_id ids[] = {1, 2, 3, 20, 21};
    assert_int_equal(c->nodes, 5);
    for (int i = 0; i < c->nodes; i++)
        assert_int_equal(c->node[i].id, ids[i]);
    assert_int_equal(c->coordinators, 3);
    assert_int_equal(c->coordinator[2], 3);
    const struct cluster_node *p = cluster_node_named(c, "ams-p");
    assert_ptr_equal(p, cluster_node(c, 20));
    assert_int_equal(p->role, ROLE_PARTICIPANT);
    assert_int_equal(p->datacenter, 0);
    assert_string_equal(p->host, "127.0.0.1");
    assert_int_equal(p->port, 7201);
    assert_int_equal(p->keys, 2);
    assert_int_equal(p->key[1][31], 0x29);
    assert_string_equal(cluster_node(c, 3)->host, "::1");
    assert_null(cluster_node(c, 4));
    assert_null(cluster_node_named(c, "ams"));

    const struct cluster_client *app = cluster_client_named(c, "app");
    assert_false(app->admin);
    assert_int_equal(app->keys, 1);
    assert_int_equal(app->grants, 4);
    assert_int_equal(app->grant[0].rights, GRANT_READ | GRANT_WRITE);
    assert_true(bytes_equal(app->grant[1].prefix, b("acct/1\\")));
    assert_true(bytes_equal(app->grant[3].prefix, bytes_of("raw\0\xff", 5)));
    assert_true(cluster_client_named(c, "root")->admin);
    assert_null(cluster_client_named(c, "nobody"));

    assert_int_equal(c->placements, 3);
    assert_true(bytes_equal(c->placement[0].prefix, b("")));
    assert_true(bytes_equal(c->placement[2].prefix, b("shared/x")));
    assert_int_equal(c->placement[1].replica[0], 20);
    assert_int_equal(c->placement[1].replica[1], 21);
    cluster_free(c);
    cluster_free(NULL);
}

static void the_smallest_file_will_do(void **state)
{
    (void)state;
    struct cluster *c = load("cluster: {id: 000102030405060708090a0b0c0d0e0f, name: x, epoch: 1}\n"
                             "datacenters: [a]\n"
                             "nodes:\n"
                             "- {id: 1, name: c, role: coordinator, datacenter: a,\n"
                             "   address: 'h:1', keys: [" KEY(
                                 "01") "]}\n"
                                       "- {id: 2, name: p, role: participant, datacenter: a,\n"
                                       "   address: 'h:2', keys: [" KEY(
                                           "02") "]}\n"
                                                 "clients: []\n"
                                                 "placement: [{prefix: 'a', participants: [p]}]\n");
    assert_int_equal(c->clients, 0);
    assert_int_equal(c->retention_ms, RETENTION_MS_DEFAULT);
    assert_int_equal(c->in_doubt_timeout_ms, IN_DOUBT_TIMEOUT_MS);
    assert_null(cluster_client_named(c, "app"));
    assert_null(cluster_place(c, b("")));
    assert_null(cluster_place(c, b("b")));
    assert_non_null(cluster_place(c, b("a")));
    cluster_free(c);
}

static void durations_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ms;
    } right[] = {{"0ms", 0},
                 {"500ms", 500},
                 {"10s", 10000},
                 {"5m", 300000},
                 {"1h", 3600000},
                 {"4294967295ms", UINT32_MAX},
                 {"1193h", 1193 * 3600000u}};
    static const char *const wrong[] = {"",
                                        "5",
                                        "ms",
                                        "5 s",
                                        " 5s",
                                        "5s ",
                                        "+5s",
                                        "-5s",
                                        "5.5s",
                                        "05s",
                                        "5S",
                                        "5sec",
                                        "0x5s",
                                        "5ss",
                                        "5d",
                                        "4294967296ms",
                                        "4294968s",
                                        "1194h",
                                        "18446744073709551617ms"};
    uint32_t ms = 7;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_true(duration_parse(right[i].text, &ms));
        assert_int_equal(ms, right[i].ms);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (duration_parse(wrong[i], &ms))
            fail_msg("\"%s\" was taken for %u ms", wrong[i], ms);
}

/* Each: what of the good file is replaced, by what, and what the message must say. */
static const struct {
    const char *from, *to, *says;
} bad[] = {
    /* YAML and shape */
    {"nodes:", "nodes: [", "c.yaml:6: not YAML: "},
    {"epoch: 3}", "epoch: 3}\ncolour: red", "c.yaml:3: Unexpected key: colour: correct or remove"},
    {"epoch: 3", "epoch: 3, epoch: 4", "c.yaml:2: Mapping field already seen: epoch"},
    {", epoch: 3", "", "c.yaml:2: Missing required mapping field: epoch: add it"},
    {"placement:", "clients:", "c.yaml:25: Mapping field already seen: clients"},
    {"[ams, fra, lhr]", "ams", "c.yaml:4: Expecting SEQUENCE"},
    {"name: demo", "name: [demo]", "c.yaml:2: Expecting STRING"},
    {"name: demo", "name: ", "c.yaml:2: a value is missing"},
    {"name: demo", "name: \"de\\0mo\"", "c.yaml:2: a zero byte in a text"},
    {"epoch: 3}", "epoch: 3}\n---", "c.yaml:3: a second document begins"},
    {"[ams, fra, lhr]", "[&a ams, fra, *a]", "c.yaml:4: an alias"},
    {"[ams, fra, lhr]", "[[[[[[[[[ams]]]]]]]]]", "c.yaml:4: lists within lists, too deep"},
    /* cluster and times */
    {"000102030405060708090a0b0c0d0e0f", "0001",
     "c.yaml:2: cluster \"demo\": its id is not 32 hex"},
    {"000102030405060708090a0b0c0d0e0f", "00000000000000000000000000000000",
     "its id is not 32 hex"},
    {"name: demo", "name: Demo", "c.yaml:2: cluster \"Demo\": this name does not do"},
    {"epoch: 3", "epoch: 0", "its epoch \"0\" is not a number"},
    {"epoch: 3", "epoch: 03", "its epoch \"03\" is not a number"},
    {"epoch: 3", "epoch: 3rd", "its epoch \"3rd\" is not a number"},
    {"epoch: 3", "epoch: 4294967296", "is not a number from 1 to 4294967295"},
    {"500ms", "500", "c.yaml:3: times: in-doubt-timeout \"500\" is not a time"},
    {"500ms", "0s", "in-doubt-timeout \"0s\" is not a time"},
    {"2h", "19m", "retention (1140000ms) is less than four times txid-skew (300000ms)"},
    {"2h", "2h, clock-ahead: 5", "clock-ahead \"5\" is not a time"},
    {"2h", "2h, txid-skew: 31m", "less than four times txid-skew (1860000ms)"},
    {"500ms", "500ms, heartbeat: 1s", "c.yaml:3: Unexpected key: heartbeat"},
    /* datacenters */
    {"[ams, fra, lhr]", "[]", "c.yaml:4: datacenters: there is none"},
    {"fra, lhr]", "lhr, lhr]", "datacenter \"lhr\": its name is that of datacenter lhr already"},
    {"fra, lhr]", "fra, lhr, \"b\\ta\"]", "datacenter \"b?a\": this name does not do"},
    /* nodes */
    {"name: ams-p", "name: -p", "c.yaml:6: node \"-p\": this name does not do"},
    {"name: ams-p", "name: a23456789012345678901234567890123",
     "this name does not do: use 1 to 32"},
    {"name: fra-p", "name: ams-p",
     "c.yaml:14: node \"ams-p\": its name is that of node ams-p already"},
    {"name: fra-p", "name: lhr", "node \"lhr\": its name is that of datacenter lhr already"},
    {"id: 21", "id: 20", "c.yaml:14: node \"fra-p\": its id is that of node ams-p already"},
    {"id: 21", "id: 0", "node \"fra-p\": its id \"0\" is not a number from 1 to 1023"},
    {"id: 21", "id: 1024", "its id \"1024\" is not a number from 1 to 1023"},
    {"role: participant", "role: witness", "its role \"witness\" is neither"},
    {"datacenter: fra", "datacenter: cdg",
     "node \"fra-c\": its datacenter \"cdg\" is not in the list"},
    {"127.0.0.1:7202", "127.0.0.1:7201",
     "node \"fra-p\": its address is that of node ams-p already"},
    {"127.0.0.1:7202", "[::1]:7101", "node \"fra-p\": its address is that of node lhr-c already"},
    {"127.0.0.1:7202", "FRA.example.com:7101", "its address is that of node fra-c already"},
    {"127.0.0.1:7202", "127.0.0.1", "\"127.0.0.1\" is not an address"},
    {"127.0.0.1:7202", "127.0.0.1:0", "is not an address"},
    {"127.0.0.1:7202", "127.0.0.1:65536", "is not an address"},
    {"127.0.0.1:7202", "127.0.0.1:07202", "is not an address"},
    {"127.0.0.1:7202", "127.0.0.256:7202", "is not an address"},
    {"127.0.0.1:7202", "::1:7202", "is not an address: write \"host:port\", or \"[v6"},
    {"127.0.0.1:7202", "[fe80::1%eth0]:7202", "is not an address"},
    {"127.0.0.1:7202", "[]:7202", "is not an address"},
    {"127.0.0.1:7202", ":7202", "is not an address"},
    {"127.0.0.1:7202", "a..b:7202", "is not an address"},
    {"127.0.0.1:7202", "bad_host:7202", "is not an address"},
    {KEY("22"), "", "node \"fra-p\": it has no key"},
    {KEY("22"), "abcd", "node \"fra-p\": key 1 is not a public key: write its 64 hex digits"},
    {KEY("22"), KEY("00"), "key 1 is not a public key"},
    {KEY("22"), KEY("12"), "node \"fra-p\": its key is that of node fra-c already"},
    {KEY("29"), KEY("21"), "node \"ams-p\": its key is that of node ams-p already"},
    {"role: participant", "role: coordinator",
     "c.yaml:5: nodes: 4 coordinators: list an odd number"},
    /* clients */
    {"name: app", "name: root",
     "c.yaml:18: client \"root\": its name is that of client root already"},
    {"name: app", "name: a/b", "client \"a/b\": this name does not do"},
    {"    keys: [" KEY("42") "]\n", "", "c.yaml:23: Missing required mapping field: keys"},
    {KEY("42"), KEY("11"), "client \"app\": its key is that of node ams-c already"},
    {"admin: true", "admin: maybe", "c.yaml:17: client \"root\": admin \"maybe\" is neither"},
    {"admin: true", "admin: True", "admin \"True\" is neither true nor false"},
    {"rights: [read, write]", "rights: []", "its grant of prefix \"acct/\" has no rights"},
    {"rights: [read, write]", "rights: [read, read]", "right \"read\" of prefix \"acct/\""},
    {"rights: [read, write]", "rights: [own]", "client \"app\": right \"own\" of prefix \"acct/\""},
    {"prefix: acct0", "prefix: acct/", "it has two grants of prefix \"acct/\""},
    {"prefix: acct0", "prefix: 'acct\\x2f'", "it has two grants of prefix \"acct\\x2f\""},
    {"prefix: acct0", "prefix: 'a\\n'", "a \"\\\" that begins neither"},
    {"prefix: acct0", "prefix: 'a\\x4'", "a \"\\\" that begins neither"},
    {"prefix: acct0", "prefix: \"a\\xff\"", "not printable ASCII: write every such byte as \\xNN"},
    {"prefix: acct0", "prefix: \"\\x00\"", "c.yaml:23: a zero byte in a text"},
    {"prefix: acct0", "prefix: ", "c.yaml:23: a value is missing"},
    /* placement */
    {"participants: [ams-p]", "participants: []",
     "c.yaml:27: placement of prefix \"\": it has no part"},
    {"participants: [ams-p]", "participants: [cdg-p]", "\"cdg-p\" is not a node"},
    {"participants: [ams-p]", "participants: [ams-c]", "\"ams-c\" is not a participant"},
    {"[fra-p, ams-p]", "[fra-p, fra-p]", "it names participant \"fra-p\" twice"},
    {"prefix: \"shared/x\"", "prefix: 'shared\\x2f'",
     "c.yaml:28: placement of prefix \"shared\\x2f\": its prefix is that of another placement "
     "already"},
};

static void bad_files_are_refused_with_what_where_and_what_to_do(void **state)
{
    (void)state;
    int missed = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char why[512], *text = changed(bad[i].from, bad[i].to);
        struct cluster *c = parse(text, why);
        if (c != NULL || strstr(why, bad[i].says) == NULL || strncmp(why, "c.yaml:", 7) != 0) {
            print_error("%s -> %s: %s\n", bad[i].from, bad[i].to, c != NULL ? "was taken" : why);
            missed++;
        }
        cluster_free(c);
        free(text);
    }
    assert_int_equal(missed, 0);
}

static void refuses(const char *text, const char *says)
{
    char why[512];
    assert_null(parse(text, why));
    if (strstr(why, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, says);
}

static void empty_and_torn_files_are_refused(void **state)
{
    (void)state;
    refuses("", "the file is empty");
    refuses("# only a comment\n", "the file is empty");
    refuses("- a\n", "Expecting MAPPING");
    refuses("\xff\xfe\x01", "not YAML");
    char why[512];
    for (size_t len = 0; len < sizeof good - 1; len++) {
        /* Whole lines of the last section may be missing: that is a file of its own. */
        struct cluster *c = cluster_parse(good, len, "c.yaml", why, sizeof why);
        if (c != NULL)
            assert_true(c->placements < 3 || len >= sizeof good - 2);
        cluster_free(c);
    }
}

/* The good file, which has three, with so many more coordinators; free it. */
static char *with_coordinators(int more)
{
    struct writer w = {0};
    writer_raw(&w, "nodes:\n", 7);
    for (int i = 0; i < more; i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "  - {id: %d, name: c%d, role: coordinator, datacenter: ams, address: 'c%d:1', "
                 "keys: [" KEY("%02x") "]}\n",
                 100 + i, i, i, 0x80 + i);
        writer_raw(&w, line, strlen(line));
    }
    writer_u8(&w, 0);
    char *text = changed("nodes:\n", (char *)w.data);
    writer_free(&w);
    return text;
}

static void up_to_nine_coordinators_are_taken_if_odd(void **state)
{
    (void)state;
    static const char *const says[] = {NULL,
                                       "4 coordinators: list an odd number",
                                       NULL,
                                       "6 coord",
                                       NULL,
                                       "8 coordinators: list an odd number",
                                       NULL,
                                       "10 coordinators are over the limit of 9",
                                       "11 coordinators are over the limit of 9"};
    for (int more = 0; more < 9; more++) {
        char *text = with_coordinators(more);
        if (says[more] != NULL) {
            refuses(text, says[more]);
        } else {
            struct cluster *c = load(text);
            assert_int_equal(c->coordinators, 3 + more);
            cluster_free(c);
        }
        free(text);
    }
}

static void counts_over_the_limits_are_refused(void **state)
{
    (void)state;
    char list[32 + 7 * (REPLICAS_MAX + 1)] = "participants: [ams-p";
    for (int i = 0; i < REPLICAS_MAX; i++)
        strcat(list, ", ams-p");
    strcat(list, "]");
    char *text = changed("participants: [ams-p]", list);
    refuses(text, "c.yaml:27: Excessive entries (16 max) in sequence: remove");
    free(text);
    text = changed(KEY("22"), KEY("22") ", " KEY("23") ", " KEY("24"));
    refuses(text, "c.yaml:15: Excessive entries (2 max)");
    free(text);

    char prefix[KEY_BYTES_MAX + 2] = "";
    memset(prefix, 'k', KEY_BYTES_MAX);
    text = changed("shared/x", prefix);
    struct cluster *c = load(text);
    assert_int_equal(c->placement[1].prefix.len, KEY_BYTES_MAX);
    cluster_free(c);
    free(text);
    prefix[KEY_BYTES_MAX] = 'k';
    text = changed("shared/x", prefix);
    refuses(text, "its prefix has 4097 bytes: no key is longer than 4096");
    free(text);
}

/* ---- hashes ---- */

static void set_hash_follows_the_coordinators_and_placement_hash_the_placements(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool set, placement;
    } changes[] = {
        {"127.0.0.1:7101", "10.0.0.1:9", false, false},
        {"[0:0::1]:7101", "lhr.example.com:9", false, false},
        {"name: fra-c", "name: fra-k", false, false},
        {"2h", "3h", false, false},
        {KEY("22"), KEY("23"), false, false},
        {KEY("11"), KEY("11") ", " KEY("19"), false, false},
        {"name: app", "name: ape", false, false},
        {"[fra-p, ams-p]", "[ams-p, fra-p]", false, false},
        {"090a0b", "090a0c", true, false},
        {"epoch: 3", "epoch: 4", true, false},
        {KEY("11"), KEY("19") ", " KEY("11"), true, false},
        {"id: 3,", "id: 4,", true, false},
        {"shared/x", "shared/y", false, true},
        {"[fra-p, ams-p]", "[ams-p]", false, true},
        {"participants: [ams-p]", "participants: [fra-p]", false, true},
        {"id: 21", "id: 22", false, true},
    };
    struct cluster *before = load(good);
    assert_true(before->set_hash != before->placement_hash);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct cluster *after = load_changed(changes[i].from, changes[i].to);
        if ((before->set_hash != after->set_hash) != changes[i].set ||
            (before->placement_hash != after->placement_hash) != changes[i].placement)
            fail_msg("%s -> %s", changes[i].from, changes[i].to);
        cluster_free(after);
    }
    cluster_free(before);
}

/* ---- placement ---- */

static const struct placement *scan_place(const struct cluster *c, struct bytes key)
{
    const struct placement *best = NULL;
    for (int i = 0; i < c->placements; i++)
        if (bytes_has_prefix(key, c->placement[i].prefix) &&
            (best == NULL || best->prefix.len < c->placement[i].prefix.len))
            best = &c->placement[i];
    return best;
}

static void a_key_lives_where_its_longest_prefix_says(void **state)
{
    (void)state;
    struct cluster *c = load(good);
    static const struct {
        const char *key;
        const char *prefix;
    } keys[] = {{"", ""},
                {"a", ""},
                {"shared", ""},
                {"shared/", "shared/"},
                {"shared0", ""},
                {"shared/w", "shared/"},
                {"shared/x", "shared/x"},
                {"shared/xy", "shared/x"},
                {"shared/y", "shared/"},
                {"\xff", ""}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_true(bytes_equal(cluster_place(c, b(keys[i].key))->prefix, b(keys[i].prefix)));
    cluster_free(c);
}

/* The good file with another placement: prefixes over a small alphabet with the least and the
 * greatest byte, so that they nest and adjoin. */
static struct cluster *random_table(struct prng *prng, int n)
{
    static const char *const letters[] = {"\\x00", "a", "\\xff"};
    struct writer text = {0};
    bool used[40] = {false};
    const char *tail = strstr(good, "placement:\n");
    writer_raw(&text, good, (size_t)(tail - good));
    writer_raw(&text, "placement:\n", 11);
    for (int i = 0; i < n; i++) {
        char prefix[16] = "", line[96];
        size_t number = 0; /* 0 for "", then 1..3, 4..12 and 13..39 */
        for (uint64_t len = prng_below(prng, 4); len > 0; len--) {
            size_t letter = (size_t)prng_below(prng, 3);
            number = number * 3 + letter + 1;
            strcat(prefix, letters[letter]);
        }
        snprintf(line, sizeof line, "  - {prefix: '%s', participants: [ams-p]}\n", prefix);
        if (!used[number])
            writer_raw(&text, line, strlen(line));
        used[number] = true;
    }
    writer_u8(&text, 0);
    struct cluster *c = load((char *)text.data);
    writer_free(&text);
    return c;
}

static struct bytes random_key(struct prng *prng, uint8_t out[4])
{
    static const uint8_t letters[] = {0, 'a', 'b', 0xff};
    size_t len = (size_t)prng_below(prng, 5);
    for (size_t i = 0; i < len; i++)
        out[i] = letters[prng_below(prng, 4)];
    return bytes_of(out, len);
}

/* The definition: all keys of at most five letters are asked one by one. Prefixes have at most
 * three and ends four, and between any two of those a key that tells them apart is among them. */
static const struct placement *scan_range(const struct cluster *c, struct bytes key,
                                          struct bytes end, bool *same)
{
    static const uint8_t letters[] = {0, 'a', 'b', 0xff};
    const struct placement *p = scan_place(c, key);
    *same = true;
    for (size_t len = 0; len <= 5; len++)
        for (int n = 0; n < 1 << (2 * len); n++) {
            uint8_t text[5];
            for (size_t i = 0; i < len; i++)
                text[i] = letters[n >> (2 * i) & 3];
            struct bytes k = bytes_of(text, len);
            if (bytes_compare(k, key) >= 0 && (end.len == 0 || bytes_compare(k, end) < 0) &&
                scan_place(c, k) != p)
                *same = false;
        }
    return p;
}

static void random_keys_and_ranges_are_placed_as_defined(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 7);
    int whole = 0, split = 0;
    for (int round = 0; round < 40; round++) {
        struct cluster *c = random_table(&prng, 1 + (int)prng_below(&prng, 6));
        for (int i = 0; i < 20; i++) {
            uint8_t a[4], z[4];
            struct bytes key = random_key(&prng, a), end = random_key(&prng, z);
            bool same;
            const struct placement *p = scan_range(c, key, end, &same);
            assert_ptr_equal(cluster_place(c, key), p);
            assert_ptr_equal(cluster_place_range(c, key, end), same ? p : NULL);
            whole += same && p != NULL && (end.len == 0 || bytes_compare(key, end) < 0);
            split += !same;
        }
        cluster_free(c);
    }
    assert_true(whole > 50 && split > 50);
}

static void a_range_must_lie_in_one_placement(void **state)
{
    (void)state;
    struct cluster *c = load(good); /* "", "shared/", "shared/x" */
    static const struct {
        const char *key, *end, *prefix; /* prefix NULL: refused */
    } ranges[] = {
        {"a", "b", ""},
        {"a", "shared/", ""},
        {"a", "shared/\x01", NULL},
        {"a", "", NULL},
        {"shared0", "", ""}, /* nothing else after it */
        {"shared/", "shared/x", "shared/"},
        {"shared/", "shared/x\x01", NULL},
        {"shared/", "shared0", NULL},
        {"shared/x", "shared/y", "shared/x"},
        {"shared/x", "shared/ya", NULL},
        {"shared/x", "", NULL},
        {"shared/y", "shared0", "shared/"},
        {"shared/y", "shared00", NULL},
        {"shared/y", "", NULL},
        {"shared/x", "shared/x", "shared/x"}, /* empty */
        {"shared/x", "a", "shared/x"},        /* empty */
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const struct placement *p = cluster_place_range(c, b(ranges[i].key), b(ranges[i].end));
        if ((p == NULL) != (ranges[i].prefix == NULL) ||
            (p != NULL && !bytes_equal(p->prefix, b(ranges[i].prefix))))
            fail_msg("range %s .. %s", ranges[i].key, ranges[i].end);
    }
    cluster_free(c);
}

static void
as_many_placements_as_are_allowed_are_searched_right_and_one_more_is_refused(void **state)
{
    (void)state;
    struct writer text = {0};
    const char *tail = strstr(good, "placement:\n");
    writer_raw(&text, good, (size_t)(tail - good));
    writer_raw(&text, "placement:\n", 11);
    char line[128];
    for (int i = 0; i < PLACEMENTS_MAX; i++) {
        snprintf(line, sizeof line, "  - {prefix: 'tenant%04d/', participants: [%s]}\n",
                 i * 7 % PLACEMENTS_MAX, i % 2 == 0 ? "ams-p" : "fra-p");
        writer_raw(&text, line, strlen(line));
    }
    char why[512];
    struct cluster *c = cluster_parse((char *)text.data, text.len, "c.yaml", why, sizeof why);
    assert_non_null(c);
    assert_int_equal(c->placements, PLACEMENTS_MAX);
    for (int i = 0; i < PLACEMENTS_MAX; i++) {
        snprintf(line, sizeof line, "tenant%04d/key", i);
        assert_true(bytes_equal(cluster_place(c, b(line))->prefix, bytes_of(line, 11)));
    }
    assert_null(cluster_place(c, b("tenant9999/")));
    cluster_free(c);
    snprintf(line, sizeof line, "  - {prefix: 'x', participants: [ams-p]}\n");
    writer_raw(&text, line, strlen(line));
    writer_u8(&text, 0);
    refuses((char *)text.data, "c.yaml:4122: Excessive entries (4096 max)");
    writer_free(&text);
}

/* ---- grants ---- */

static void a_client_may_do_what_one_of_its_grants_covers(void **state)
{
    (void)state;
    struct cluster *c = load(good);
    assert_true(cluster_granted(c, "app", b("acct/1"), GRANT_READ));
    assert_true(cluster_granted(c, "app", b("acct/1"), GRANT_WRITE));
    assert_true(cluster_granted(c, "app", b("acct/"), GRANT_WRITE));
    assert_true(cluster_granted(c, "app", b("acct0"), GRANT_READ));
    assert_false(cluster_granted(c, "app", b("acct0"), GRANT_WRITE));
    assert_false(cluster_granted(c, "app", b("acct"), GRANT_READ));
    assert_false(cluster_granted(c, "app", b(""), GRANT_READ));
    assert_false(cluster_granted(c, "app", b("raw"), GRANT_WRITE));
    assert_true(cluster_granted(c, "app", bytes_of("raw\0\xff", 5), GRANT_WRITE));
    assert_false(cluster_granted(c, "app", bytes_of("raw\0\xff", 5), GRANT_READ));
    assert_true(cluster_granted(c, "root", b(""), GRANT_WRITE));
    assert_false(cluster_granted(c, "nobody", b("acct/1"), GRANT_READ));
    assert_false(cluster_granted(c, "", b("acct/1"), GRANT_READ));
    cluster_free(c);
}

static void a_range_is_granted_when_grants_side_by_side_cover_all_of_it(void **state)
{
    (void)state;
    struct cluster *c = load(good); /* read: acct/, acct/1\, acct0 */
    assert_true(cluster_granted_range(c, "app", b("acct/"), b("acct0")));
    assert_true(cluster_granted_range(c, "app", b("acct/1\\"), b("acct/9")));
    assert_true(cluster_granted_range(c, "app", b("acct/5"), b("acct1")));
    assert_false(cluster_granted_range(c, "app", b("acct/5"), b("acct1\x01")));
    assert_false(cluster_granted_range(c, "app", b("acct"), b("acct/5")));
    assert_false(cluster_granted_range(c, "app", b("acct/"), b("")));
    assert_false(cluster_granted_range(c, "app", bytes_of("raw\0\xff", 5), b("rax")));
    assert_true(cluster_granted_range(c, "app", b("acct/"), b("acct/")));
    assert_false(cluster_granted_range(c, "app", b("zoo"), b("a")));
    assert_true(cluster_granted_range(c, "root", b(""), b("")));
    assert_false(cluster_granted_range(c, "nobody", b("acct/"), b("acct0")));
    cluster_free(c);

    c = load_changed("prefix: acct0", "prefix: '\\xff'");
    assert_true(cluster_granted_range(c, "app", bytes_of("\xff", 1), b("")));
    assert_false(cluster_granted_range(c, "app", bytes_of("\xfe", 1), b("")));
    cluster_free(c);
    c = load_changed("prefix: acct0", "prefix: \"\"");
    assert_true(cluster_granted_range(c, "app", b(""), b("")));
    cluster_free(c);
}

/* ---- writing ---- */

static void assert_same(const struct cluster *x, const struct cluster *y)
{
    assert_memory_equal(x->id, y->id, sizeof x->id);
    assert_string_equal(x->name, y->name);
    assert_int_equal(x->epoch, y->epoch);
    assert_true(x->set_hash == y->set_hash && x->placement_hash == y->placement_hash);
    assert_int_equal(x->in_doubt_timeout_ms, y->in_doubt_timeout_ms);
    assert_int_equal(x->retention_ms, y->retention_ms);
    assert_int_equal(x->clock_ahead_ms, y->clock_ahead_ms);
    assert_int_equal(x->txid_skew_ms, y->txid_skew_ms);
    assert_int_equal(x->datacenters, y->datacenters);
    for (int i = 0; i < x->datacenters; i++)
        assert_string_equal(x->datacenter[i], y->datacenter[i]);
    assert_int_equal(x->nodes, y->nodes);
    for (int i = 0; i < x->nodes; i++) {
        const struct cluster_node *n = &x->node[i], *m = &y->node[i];
        assert_int_equal(n->id, m->id);
        assert_string_equal(n->name, m->name);
        assert_int_equal(n->role, m->role);
        assert_int_equal(n->datacenter, m->datacenter);
        assert_string_equal(n->host, m->host);
        assert_int_equal(n->port, m->port);
        assert_int_equal(n->keys, m->keys);
        assert_memory_equal(n->key, m->key, sizeof n->key);
    }
    assert_int_equal(x->clients, y->clients);
    for (int i = 0; i < x->clients; i++) {
        const struct cluster_client *n = &x->client[i], *m = &y->client[i];
        assert_string_equal(n->name, m->name);
        assert_int_equal(n->admin, m->admin);
        assert_int_equal(n->keys, m->keys);
        assert_memory_equal(n->key, m->key, sizeof n->key);
        assert_int_equal(n->grants, m->grants);
        for (int j = 0; j < n->grants; j++) {
            assert_true(bytes_equal(n->grant[j].prefix, m->grant[j].prefix));
            assert_int_equal(n->grant[j].rights, m->grant[j].rights);
        }
    }
    assert_int_equal(x->placements, y->placements);
    for (int i = 0; i < x->placements; i++) {
        assert_true(bytes_equal(x->placement[i].prefix, y->placement[i].prefix));
        assert_int_equal(x->placement[i].replicas, y->placement[i].replicas);
        assert_memory_equal(x->placement[i].replica, y->placement[i].replica,
                            sizeof x->placement[i].replica);
        assert_int_equal(x->placement[i].parent, y->placement[i].parent);
    }
}

struct folder {
    char path[128];
    char file[160];
};

static int folder_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct folder *folder = xcalloc(1, sizeof *folder);
    snprintf(folder->path, sizeof folder->path, "%s/assent-cluster-XXXXXX", tmp ? tmp : "/tmp");
    if (mkdtemp(folder->path) == NULL)
        return -1;
    snprintf(folder->file, sizeof folder->file, "%s/cluster.yaml", folder->path);
    *state = folder;
    return 0;
}

static int folder_remove(void **state)
{
    struct folder *folder = *state;
    unlink(folder->file);
    int result = rmdir(folder->path);
    free(folder);
    return result;
}

static void a_written_file_loads_as_what_was_written(void **state)
{
    struct folder *folder = *state;
    char why[512], every[4 * 256 + 1]; /* a prefix of every byte */
    for (int i = 0; i < 256; i++)
        snprintf(every + 4 * i, 5, "\\x%02x", (unsigned)i);
    struct cluster *c = load_changed("\"shared/x\"", every);
    assert_int_equal(c->placement[1].prefix.len, 256);
    c->in_doubt_timeout_ms = 61500;
    strcpy(c->datacenter[1], "0x10"); /* a number, were it not quoted */
    if (cluster_write(c, folder->file, why, sizeof why) != ASSENT_OK)
        fail_msg("%s", why);
    struct stat st;
    assert_int_equal(stat(folder->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    struct cluster *back = cluster_load(folder->file, why, sizeof why);
    if (back == NULL)
        fail_msg("%s", why);
    assert_same(c, back);
    cluster_free(back);

    assert_int_equal(cluster_write(c, folder->file, why, sizeof why), ASSENT_CONFIG);
    assert_non_null(strstr(why, "File exists: remove it first"));
    cluster_free(c);
}

static void what_could_not_be_loaded_is_not_written(void **state)
{
    struct folder *folder = *state;
    char why[512];
    struct cluster *c = load(good);
    c->epoch = 0;
    assert_int_equal(cluster_write(c, folder->file, why, sizeof why), ASSENT_CONFIG);
    assert_non_null(strstr(why, "its epoch \"0\""));
    assert_int_equal(access(folder->file, F_OK), -1);
    c->epoch = 1;
    assert_int_equal(cluster_write(c, "/nonexistent/cluster.yaml", why, sizeof why), ASSENT_SYSTEM);
    assert_non_null(strstr(why, "/nonexistent/cluster.yaml: No such file or directory"));
    cluster_free(c);
}

static void the_same_cluster_through_other_addresses_has_the_same_hashes(void **state)
{
    struct folder *folder = *state;
    char why[512];
    struct cluster *c = load(good);
    for (int i = 0; i < c->nodes; i++) {
        strcpy(c->node[i].host, i % 2 == 0 ? "fd00::7" : "10.9.9.9");
        c->node[i].port = (uint16_t)(9000 + i);
    }
    assert_int_equal(cluster_write(c, folder->file, why, sizeof why), ASSENT_OK);
    struct cluster *back = cluster_load(folder->file, why, sizeof why);
    assert_same(c, back);
    cluster_free(back);
    cluster_free(c);
}

static void a_path_that_is_no_file_is_refused(void **state)
{
    struct folder *folder = *state;
    char why[512];
    assert_null(cluster_load(folder->file, why, sizeof why));
    assert_non_null(strstr(why, "/cluster.yaml: No such file or directory: give the path"));
    assert_null(cluster_load(folder->path, why, sizeof why));
    assert_non_null(strstr(why, "is a directory"));
    FILE *f = fopen(folder->file, "w");
    assert_int_equal(fflush(f), 0);
    assert_null(cluster_load(folder->file, why, sizeof why));
    assert_non_null(strstr(why, "the file is empty"));
    assert_int_equal(ftruncate(fileno(f), CLUSTER_FILE_BYTES_MAX + 1), 0);
    fclose(f);
    assert_null(cluster_load(folder->file, why, sizeof why));
    assert_non_null(strstr(why, "over 16 MiB"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_file_is_read_whole),
        cmocka_unit_test(the_smallest_file_will_do),
        cmocka_unit_test(durations_are_read_strictly),
        cmocka_unit_test(bad_files_are_refused_with_what_where_and_what_to_do),
        cmocka_unit_test(empty_and_torn_files_are_refused),
        cmocka_unit_test(up_to_nine_coordinators_are_taken_if_odd),
        cmocka_unit_test(counts_over_the_limits_are_refused),
        cmocka_unit_test(set_hash_follows_the_coordinators_and_placement_hash_the_placements),
        cmocka_unit_test(a_key_lives_where_its_longest_prefix_says),
        cmocka_unit_test(random_keys_and_ranges_are_placed_as_defined),
        cmocka_unit_test(a_range_must_lie_in_one_placement),
        cmocka_unit_test(
            as_many_placements_as_are_allowed_are_searched_right_and_one_more_is_refused),
        cmocka_unit_test(a_client_may_do_what_one_of_its_grants_covers),
        cmocka_unit_test(a_range_is_granted_when_grants_side_by_side_cover_all_of_it),
        cmocka_unit_test_setup_teardown(a_written_file_loads_as_what_was_written, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(what_could_not_be_loaded_is_not_written, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(
            the_same_cluster_through_other_addresses_has_the_same_hashes, folder_make,
            folder_remove),
        cmocka_unit_test_setup_teardown(a_path_that_is_no_file_is_refused, folder_make,
                                        folder_remove),
    };
    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
