#include "client/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/interactive.h"
#include "client/list.h"
#include "runtime/keys.h"
#include "wire/ops_codec.h"
#include "wire/random.h"

const char *assent_library_version(void)
{
    return ASSENT_VERSION;
}

const char *assent_txid_text(const assent_txid *id, char *out)
{
    struct txid txid;
    memcpy(txid.b, id->bytes, TXID_BYTES);
    return txid_text(&txid, out);
}

assent_status assent_txid_parse(const char *text, assent_txid *out)
{
    struct txid txid;
    if (text == NULL || out == NULL || !txid_parse(text, &txid))
        return error_set(ASSENT_INVALID, "\"%.40s\" is not a transaction id: a UUID of version 7",
                         text == NULL ? "" : text);
    memcpy(out->bytes, txid.b, TXID_BYTES);
    return ASSENT_OK;
}

/* ---- opening ---- */

static assent_status find_client(assent *db, const assent_options *options,
                                 const struct cluster_client **out)
{
    const struct cluster *cluster = db->cluster;
    if (options->client == NULL && cluster->clients != 1)
        return error_set(ASSENT_INVALID, "%s lists %d clients: say which one this program is",
                         options->cluster_file, cluster->clients);
    *out = options->client == NULL ? &cluster->client[0]
                                   : cluster_client_named(cluster, options->client);
    if (*out == NULL)
        return error_set(ASSENT_CONFIG, "%s lists no client \"%.32s\": add it there, with its key",
                         options->cluster_file, options->client);
    memcpy(db->client, (*out)->name, sizeof db->client);
    return ASSENT_OK;
}

static assent_status find_datacenter(assent *db, const assent_options *options)
{
    for (int i = 0; i < db->cluster->datacenters; i++) {
        if (options->datacenter == NULL ||
            strcmp(db->cluster->datacenter[i], options->datacenter) == 0) {
            db->datacenter = i;
            return ASSENT_OK;
        }
    }
    return error_set(ASSENT_INVALID, "%s lists no datacenter \"%.32s\"", options->cluster_file,
                     options->datacenter == NULL ? "" : options->datacenter);
}

/* "<client>.key" beside the cluster file. */
static char *default_key_file(const char *cluster_file, const char *client)
{
    const char *slash = strrchr(cluster_file, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - cluster_file);
    size_t size = folder + strlen(client) + sizeof ".key";
    char *path = xmalloc(size);
    snprintf(path, size, "%.*s%s.key", (int)folder, cluster_file, client);
    return path;
}

static assent_status load_keys(const assent_options *options, const struct cluster_client *client,
                               struct noise_keypair *keys)
{
    char why[512];
    bool known = false;
    char *path = options->key_file != NULL ? xstrdup(options->key_file)
                                           : default_key_file(options->cluster_file, client->name);
    assent_status status = key_file_load(path, keys, why, sizeof why);
    for (int i = 0; status == ASSENT_OK && i < client->keys; i++)
        known |= memcmp(client->key[i], keys->public, NOISE_KEY_BYTES) == 0;
    if (status != ASSENT_OK)
        error_set(status, "%s", why);
    else if (!known)
        status =
            error_set(ASSENT_KEY_FILE,
                      "%s is not a key of the client %s in %s: put its public key there, or name "
                      "the right key file",
                      path, client->name, options->cluster_file);
    free(path);
    return status;
}

assent_status handle_open(assent **out, const assent_options *options, struct noise_keypair *keys)
{
    char why[1024];
    const struct cluster_client *client;
    if (out == NULL || options == NULL || options->cluster_file == NULL)
        return error_set(ASSENT_INVALID, "no cluster file: the options must name one");
    *out = NULL;
    assent *db = xcalloc(1, sizeof *db);
    db->timeout_ms = options->timeout_ms == 0 ? TXN_TIMEOUT_MS_DEFAULT : options->timeout_ms;
    db->cluster = cluster_load(options->cluster_file, why, sizeof why);
    assent_status status = ASSENT_OK;
    if (db->cluster == NULL)
        status = error_set(ASSENT_CONFIG, "%s", why);
    if (status == ASSENT_OK)
        status = find_client(db, options, &client);
    if (status == ASSENT_OK)
        status = find_datacenter(db, options);
    if (status == ASSENT_OK)
        status = load_keys(options, client, keys);
    if (status == ASSENT_OK) {
        *out = db;
    } else {
        keypair_wipe(keys);
        handle_free(db);
    }
    return status;
}

void handle_free(assent *db)
{
    cluster_free(db->cluster);
    free(db);
}

/* ---- transactions ---- */

assent_txn *assent_txn_new(assent *db)
{
    return db == NULL ? NULL : txn_new(db, db->cluster, db->datacenter);
}

uint64_t handle_deadline_us(const assent *db, uint32_t timeout_ms)
{
    uint64_t ms = timeout_ms == 0 ? db->timeout_ms : timeout_ms;
    return clock_now_us() + ms * 1000;
}

assent_status handle_commit(assent_txn *t, uint32_t timeout_ms, struct session_config *config)
{
    if (t->sent)
        return error_set(ASSENT_SEALED, "the transaction was committed before: start another one");
    if (t->looking > 0)
        return error_set(ASSENT_INVALID, "a read of the transaction is under way: wait for it");
    assent_status status = txn_seal(t, clock_wall_ms(), random_bits());
    if (status != ASSENT_OK)
        return status;
    t->sent = true;
    *config = (struct session_config){
        .head = {.txid = t->txid},
        .deadline_us = handle_deadline_us(t->db, timeout_ms),
        .priority_ms = t->priority_ms,
        .participants = &t->participants,
        .ops = t->encoded,
    };
    return ASSENT_OK;
}

static const char *name_of(const assent *db, node_id node)
{
    const struct cluster_node *n = cluster_node(db->cluster, node);
    return n == NULL ? NULL : n->name;
}

void handle_committed(assent_txn *t, struct session_call *c, uint64_t began_us,
                      assent_commit_info *info)
{
    struct session *s = &c->session;
    if (info != NULL) {
        node_id home = s->config.head.home.node;
        *info = (assent_commit_info){
            .commit_ts = s->commit_ts,
            .coordinator = name_of(t->db, home),
            .total_us = (uint32_t)(clock_now_us() - began_us),
            .leader_us = s->total_us,
            .quorum_us = s->quorum_us,
            .parts = s->participants.n,
        };
        memcpy(info->txid.bytes, t->txid.b, TXID_BYTES);
        for (int i = 0; i < s->participants.n; i++) {
            info->part[i] = (assent_part){
                .participant = name_of(t->db, s->participants.id[i]),
                .network_us = s->breakdown[i].network_us,
                .lock_wait_us = s->breakdown[i].lock_wait_us,
                .sync_us = s->breakdown[i].sync_us,
            };
        }
    }
    interactive_explain(t, &c->call);
    t->culprit = s->culprit;
    token_raise(&t->db->heard, s->commit_ts);
    if (s->status == ASSENT_OK)
        txn_take_results(t, s->results);
    session_free(s);
}

assent_status handle_outcome(const assent *db, const assent_txid *id, uint32_t timeout_ms,
                             struct session_config *config)
{
    *config = (struct session_config){
        .question = true,
        .deadline_us = handle_deadline_us(db, timeout_ms),
    };
    if (id != NULL)
        memcpy(config->head.txid.b, id->bytes, TXID_BYTES);
    if (id == NULL || !txid_valid(&config->head.txid))
        return error_set(ASSENT_INVALID, "not a transaction id: a UUID of version 7");
    return ASSENT_OK;
}

/* ---- reads ---- */

/* All, the participant of that name, or those of the datacenter. */
assent_status handle_replicas(const assent *db, const char *where, const struct placement *p,
                              struct read_config *config)
{
    const struct cluster_node *named =
        where == NULL ? NULL : cluster_node_named(db->cluster, where);
    bool known = where == NULL || (named != NULL && named->role == ROLE_PARTICIPANT);
    for (int i = 0; i < db->cluster->datacenters && !known; i++)
        known = strcmp(db->cluster->datacenter[i], where) == 0;
    if (!known)
        return error_set(ASSENT_INVALID,
                         "\"%.32s\" is neither a participant nor a datacenter of the cluster file",
                         where);
    for (int i = 0; i < p->replicas; i++) {
        const struct cluster_node *node = cluster_node(db->cluster, p->replica[i]);
        if (node != NULL &&
            (where == NULL || node == named ||
             (named == NULL && strcmp(db->cluster->datacenter[node->datacenter], where) == 0)))
            config->replica[config->replicas++] = node->id;
    }
    if (config->replicas == 0)
        return error_set(ASSENT_WRONG_PLACEMENT, "%.32s holds none of these keys", where);
    return ASSENT_OK;
}

const assent_read_options *handle_options(const assent_read_options *options)
{
    static const assent_read_options strong = {.level = ASSENT_STRONG};
    return options == NULL ? &strong : options;
}

struct op handle_range_op(const void *key, size_t key_len, const void *end, size_t end_len,
                          const assent_read_options *options)
{
    const assent_read_options *o = handle_options(options);
    return (struct op){
        .kind = OP_READ_RANGE,
        .key = bytes_of(key, key_len),
        .end = bytes_of(end, end_len),
        .limit = o->limit,
        .descending = o->descending,
    };
}

/* The level, in the words of READ. */
static assent_status choose_level(const assent_read_options *options, struct read_config *config)
{
    static const enum read_level levels[] = {[ASSENT_STRONG] = READ_STRONG,
                                             [ASSENT_SNAPSHOT] = READ_SNAPSHOT,
                                             [ASSENT_SESSION] = READ_SESSION,
                                             [ASSENT_BOUNDED] = READ_BOUNDED,
                                             [ASSENT_EVENTUAL] = READ_EVENTUAL};
    if ((unsigned)options->level >= sizeof levels / sizeof levels[0])
        return error_set(ASSENT_INVALID, "%d is no level of a read", (int)options->level);
    config->level = levels[options->level];
    if (config->level == READ_SNAPSHOT) {
        config->at = options->snapshot;
        if (config->at == 0)
            return error_set(ASSENT_INVALID, "a read at the level of a snapshot needs its "
                                             "timestamp: assent_now() gives one");
    }
    if (config->level == READ_BOUNDED)
        config->stale_ms = options->stale_ms;
    if (config->level == READ_SESSION && options->session == NULL)
        return error_set(ASSENT_INVALID, "a read at the level of a session needs the session");
    if (config->level == READ_SESSION)
        config->at = atomic_load(&options->session->ts);
    if (config->at > INT64_MAX)
        return error_set(ASSENT_INVALID, "%llu is no timestamp", (unsigned long long)config->at);
    return ASSENT_OK;
}

assent_status handle_read(const assent *db, const assent_read_options *options, const struct op *op,
                          struct read_config *config)
{
    const struct placement *placement;
    *config = (struct read_config){.deadline_us = handle_deadline_us(db, options->timeout_ms)};
    assent_status status = choose_level(options, config);
    if (status == ASSENT_OK)
        status = txn_check_range(db->cluster, op->key, op_is_range(op->kind) ? &op->end : NULL,
                                 &placement);
    if (status == ASSENT_OK)
        status = handle_replicas(db, options->where, placement, config);
    if (status == ASSENT_OK)
        config->ops = ops_encode(op, 1);
    return status;
}

static void describe(const assent *db, const struct read *r, assent_list *list)
{
    bool snapshot = r->config.level == READ_SNAPSHOT || r->watch.on;
    assent_read_info info = {.ts = r->ts, .participant = name_of(db, r->answered)};
    info.age_known = !snapshot && r->stale_us != STALE_UNKNOWN;
    info.age_us = info.age_known ? r->stale_us : 0;
    list_describe(list, &info);
}

assent_status handle_read_done(assent *db, struct read_call *c, const struct handle_reading *how,
                               assent_list **out)
{
    assent_status status = c->call.status;
    *out = NULL;
    if (status == ASSENT_OK) {
        status = list_new(c->read.results, out);
        if (status != ASSENT_OK)
            snprintf(c->call.why, sizeof c->call.why, "the answer could not be decoded: %s",
                     assent_status_text(status));
    }
    if (status == ASSENT_OK) {
        describe(db, &c->read, *out);
        token_raise(&db->heard, c->read.ts);
        if (how->session != NULL)
            token_raise(&how->session->ts, c->read.ts);
    }
    if (status == ASSENT_OK && how->one_key &&
        (assent_list_size(*out) == 0 || !assent_list_entry(*out, 0)->found)) {
        const assent_entry *entry = assent_list_entry(*out, 0);
        char key[KEY_TEXT_MAX] = "";
        status = ASSENT_NOT_FOUND;
        snprintf(c->call.why, sizeof c->call.why, "%s: %s", assent_status_text(status),
                 entry == NULL ? "" : key_text(bytes_of(entry->key, entry->key_len), key));
        if (!how->keep) {
            assent_list_free(*out);
            *out = NULL;
        }
    }
    read_free(&c->read);
    return status;
}
