/* The routes of a traffic manager: which address serves an endpoint of a service of a tenant, in
 * every datacenter at once.
 *
 *     cc -o routes routes.c $(pkg-config --cflags --libs assent)
 *     ./routes cluster.yaml app publish acme shop /cart 10.0.0.7:443
 *     ./routes cluster.yaml app retire acme shop /cart
 *     ./routes cluster.yaml app serve tokyo 2
 *
 * Writing. `publish` and `retire` are interactive transactions: they read what is there, decide,
 * and write tenant, service and endpoint together, everywhere. A router never finds an endpoint
 * without its service, nor a service without its tenant: the last endpoint takes them along, and
 * since a range that was read is checked with the keys that it does not hold, nobody can add an
 * endpoint to a service that is going away.
 *
 * Reading. `serve` keeps the table of one datacenter in memory: a bounded read of the replica
 * there, never older than a minute, which costs no round trip to another datacenter; from then on a
 * watch tells it what changed. Cut off, it goes on with what it has until that is a minute old. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <assent/assent.h>

#define PREFIX     "route/"
#define PREFIX_END "route0" /* the first key behind all that begin with the prefix */
#define STALE_MS   60000
#define KEY_MAX    400
#define ROUTES_MAX 4096

/* ---- writing ---- */

struct change {
    const char *tenant, *service, *endpoint;
    const char *address; /* NULL: retire */
};

struct names {
    char tenant[KEY_MAX], service[KEY_MAX], endpoint[KEY_MAX];
};

/* "route/acme", "route/acme/shop", "route/acme/shop/cart" */
static struct names names_of(const struct change *c)
{
    struct names n;
    const char *endpoint = c->endpoint[0] == '/' ? c->endpoint + 1 : c->endpoint;
    snprintf(n.tenant, sizeof n.tenant, PREFIX "%s", c->tenant);
    snprintf(n.service, sizeof n.service, PREFIX "%s/%s", c->tenant, c->service);
    snprintf(n.endpoint, sizeof n.endpoint, PREFIX "%s/%s/%s", c->tenant, c->service, endpoint);
    return n;
}

static assent_status put(assent_txn *t, const char *key, const char *value)
{
    return assent_put(t, key, strlen(key), value, strlen(value));
}

/* Writes it if it is not there. */
static assent_status ensure(assent_txn *t, const char *key, const char *value)
{
    assent_list *found;
    assent_status status = assent_txn_get(t, key, strlen(key), &found);
    assent_list_free(found);
    return status == ASSENT_NOT_FOUND ? put(t, key, value) : status;
}

/* Called again, with a fresh transaction, for every attempt. */
static assent_status publish(assent_txn *t, void *arg)
{
    const struct change *c = arg;
    struct names n = names_of(c);
    assent_status status = ensure(t, n.tenant, "active");
    if (status == ASSENT_OK)
        status = ensure(t, n.service, "active");
    return status == ASSENT_OK ? put(t, n.endpoint, c->address) : status;
}

/* Deletes `key` if nothing is below it, "key/...". */
static assent_status delete_childless(assent_txn *t, const char *key)
{
    char from[KEY_MAX + 1], end[KEY_MAX + 1];
    assent_list *below;
    int from_len = snprintf(from, sizeof from, "%s/", key);
    int end_len = snprintf(end, sizeof end, "%s0", key); /* '0' follows '/' */
    assent_status status =
        assent_txn_scan(t, from, (size_t)from_len, end, (size_t)end_len, 1, false, &below);
    size_t n = assent_list_size(below);
    assent_list_free(below);
    return status == ASSENT_OK && n == 0 ? assent_del(t, key, strlen(key)) : status;
}

static assent_status retire(assent_txn *t, void *arg)
{
    const struct change *c = arg;
    struct names n = names_of(c);
    assent_list *found;
    assent_status status = assent_txn_get(t, n.endpoint, strlen(n.endpoint), &found);
    assent_list_free(found);
    if (status == ASSENT_OK)
        status = assent_del(t, n.endpoint, strlen(n.endpoint));
    if (status == ASSENT_OK)
        status = delete_childless(t, n.service);
    return status == ASSENT_OK ? delete_childless(t, n.tenant) : status;
}

static int change_once(assent *db, struct change *c)
{
    char id[ASSENT_TXID_TEXT];
    assent_commit_info info;
    assent_status status = assent_run(db, c->address != NULL ? publish : retire, c, 0, &info);
    if (assent_maybe_committed(status)) {
        printf("not known yet: ask for the outcome of %s\n", assent_txid_text(&info.txid, id));
        return 2;
    }
    if (status != ASSENT_OK)
        printf("nothing was changed: %s\n", assent_error());
    else
        printf("%s %s %s %s in all datacenters\n", c->address != NULL ? "published" : "retired",
               c->tenant, c->service, c->endpoint);
    return status == ASSENT_OK ? 0 : 1;
}

/* ---- reading ---- */

struct route {
    char key[KEY_MAX];
    char value[KEY_MAX];
};

/* What a router answers from. */
struct table {
    struct route route[ROUTES_MAX];
    size_t n;
    assent_ts ts;    /* it is as of there */
    time_t fresh_at; /* when that was known to be so */
};

static void table_set(struct table *table, const assent_entry *e)
{
    struct route route;
    size_t i = 0;
    snprintf(route.key, sizeof route.key, "%.*s", (int)e->key_len, (const char *)e->key);
    snprintf(route.value, sizeof route.value, "%.*s", (int)e->value_len, (const char *)e->value);
    while (i < table->n && strcmp(table->route[i].key, route.key) != 0)
        i++;
    if (!e->found && i < table->n)
        table->route[i] = table->route[--table->n];
    else if (e->found && i < ROUTES_MAX)
        table->route[i] = route;
    if (e->found && i == table->n && i < ROUTES_MAX)
        table->n++;
}

static void print_change(const assent_entry *e)
{
    if (e->found)
        printf("+ %.*s %.*s\n", (int)e->key_len, (const char *)e->key, (int)e->value_len,
               (const char *)e->value);
    else
        printf("- %.*s\n", (int)e->key_len, (const char *)e->key);
    fflush(stdout);
}

/* Reads the whole table at the datacenter's replica: the first page is as fresh as the bound asks,
 * the others are of the same instant. */
static assent_status load(assent *db, const char *datacenter, struct table *table)
{
    assent_read_options options = {
        .level = ASSENT_BOUNDED, .stale_ms = STALE_MS, .where = datacenter};
    char from[KEY_MAX + 1] = PREFIX;
    size_t from_len = strlen(PREFIX);
    bool more = true;
    table->n = 0;
    while (more) {
        assent_list *page;
        assent_status status =
            assent_scan_with(db, from, from_len, PREFIX_END, strlen(PREFIX_END), &options, &page);
        if (status != ASSENT_OK)
            return status;
        size_t n = assent_list_size(page);
        for (size_t i = 0; i < n; i++)
            table_set(table, assent_list_entry(page, i));
        const assent_entry *last = n > 0 ? assent_list_entry(page, n - 1) : NULL;
        more = last != NULL && last->truncated && last->key_len < sizeof from;
        if (more) { /* the next page begins with the key and a zero byte */
            memcpy(from, last->key, last->key_len);
            from[last->key_len] = '\0';
            from_len = last->key_len + 1;
        }
        options.level = ASSENT_SNAPSHOT;
        options.snapshot = table->ts = assent_list_info(page)->ts;
        assent_list_free(page);
    }
    table->fresh_at = time(NULL);
    return ASSENT_OK;
}

/* Follows the changes until `changes` of them were seen, or the watch ends. */
static assent_status follow(assent *db, const char *datacenter, struct table *table, long *changes)
{
    assent_watch *watch;
    assent_status status = assent_watch_open(db, PREFIX, strlen(PREFIX), PREFIX_END,
                                             strlen(PREFIX_END), table->ts, datacenter, &watch);
    while (status == ASSENT_OK && *changes > 0) {
        assent_list *changed;
        status = assent_watch_next(watch, 0, &changed);
        for (size_t i = 0; status == ASSENT_OK && i < assent_list_size(changed); i++) {
            table_set(table, assent_list_entry(changed, i));
            print_change(assent_list_entry(changed, i));
            (*changes)--;
        }
        assent_list_free(changed);
        if (status == ASSENT_READ_TIMED_OUT && assent_watch_position(watch) > table->ts)
            status = ASSENT_OK; /* nothing changed */
        if (status == ASSENT_OK) {
            table->ts = assent_watch_position(watch);
            table->fresh_at = time(NULL);
        }
    }
    assent_watch_close(watch);
    return status;
}

static int serve(assent *db, const char *datacenter, long changes)
{
    static struct table table;
    assent_status status = load(db, datacenter, &table);
    if (status != ASSENT_OK) {
        printf("no table: %s\n", assent_error());
        return 1;
    }
    printf("%zu keys in %s\n", table.n, datacenter);
    for (size_t i = 0; i < table.n; i++)
        printf("  %s %s\n", table.route[i].key, table.route[i].value);
    fflush(stdout);
    while (changes > 0) {
        status = follow(db, datacenter, &table, &changes);
        if (status == ASSENT_BEHIND)
            status = load(db, datacenter, &table);
        bool old = difftime(time(NULL), table.fresh_at) * 1000 > STALE_MS;
        if (status != ASSENT_OK && (old || !assent_retryable(status))) {
            printf("no longer served%s: %s\n", old ? ", over a minute old" : "", assent_error());
            return 1;
        }
    }
    return 0;
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s CLUSTER-FILE CLIENT publish TENANT SERVICE ENDPOINT ADDRESS\n"
            "       %s CLUSTER-FILE CLIENT retire TENANT SERVICE ENDPOINT\n"
            "       %s CLUSTER-FILE CLIENT serve DATACENTER CHANGES\n",
            program, program, program);
    return 2;
}

/* The parts of a key: "acme/shop" would be a service of acme. An endpoint may have slashes. */
static bool name_ok(const char *name, bool slashes)
{
    return name[0] != '\0' && strlen(name) < 100 && (slashes || strchr(name, '/') == NULL);
}

int main(int argc, char **argv)
{
    bool publishes = argc == 8 && strcmp(argv[3], "publish") == 0;
    bool retires = argc == 7 && strcmp(argv[3], "retire") == 0;
    bool serves = argc == 6 && strcmp(argv[3], "serve") == 0;
    char *end = NULL;
    long changes = serves ? strtol(argv[5], &end, 10) : 0;
    if (serves && (*end != '\0' || changes < 0))
        return usage(argv[0]);
    if (!publishes && !retires && !serves)
        return usage(argv[0]);
    for (int i = 4; i < argc; i++)
        if (!name_ok(argv[i], i > 5))
            return usage(argv[0]);
    assent *db;
    assent_options options = {.cluster_file = argv[1], .client = argv[2]};
    if (serves)
        options.datacenter = argv[4];
    if (assent_open(&db, &options) != ASSENT_OK) {
        fprintf(stderr, "%s\n", assent_error());
        return 2;
    }
    int failed;
    if (serves) {
        failed = serve(db, argv[4], changes);
    } else {
        struct change change = {argv[4], argv[5], argv[6], publishes ? argv[7] : NULL};
        failed = change_once(db, &change);
    }
    assent_close(db);
    return failed;
}
