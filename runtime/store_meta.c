#include "runtime/store_meta.h"

#include <sqlite3.h>
#include <string.h>

#include "runtime/store_file.h"

struct meta_row {
    struct store_identity id;
    struct store_position applied;
};

static void identity_write(struct writer *w, const struct store_identity *id)
{
    writer_raw(w, id->cluster, sizeof id->cluster);
    writer_u8(w, (uint8_t)id->role);
    writer_u16(w, id->node);
    writer_raw(w, id->public_key, sizeof id->public_key);
    writer_bytes(w, bytes_of_text(id->name));
}

static struct hash writer_hash(struct writer *w)
{
    struct bytes all = writer_view(w);
    struct hash hash = hash_of(&all, 1);
    writer_free(w);
    return hash;
}

struct hash store_meta_genesis(const struct store_identity *id)
{
    static const char label[] = "assent log";
    struct writer w = {0};
    writer_raw(&w, label, sizeof label);
    writer_u32(&w, STORE_FORMAT);
    identity_write(&w, id);
    return writer_hash(&w);
}

static struct hash meta_checksum(const struct store_identity *id, const struct store_position *p)
{
    static const char label[] = "assent meta";
    struct writer w = {0};
    writer_raw(&w, label, sizeof label);
    writer_u32(&w, STORE_FORMAT);
    identity_write(&w, id);
    writer_u64(&w, p->seq);
    writer_raw(&w, p->chain.b, HASH_BYTES);
    writer_u32(&w, p->node.incarnation);
    writer_u64(&w, p->node.ceiling);
    writer_u64(&w, p->node.watermark);
    writer_u64(&w, p->node.newest);
    return writer_hash(&w);
}

int store_meta_prepare(struct sqlite3 *db, struct sqlite3_stmt **update)
{
    static const char sql[] = "UPDATE meta SET applied_seq=?1, applied_chain=?2, incarnation=?3,"
                              " ceiling=?4, watermark=?5, newest=?6, checksum=?7";
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, update, NULL);
}

int store_meta_update(struct sqlite3_stmt *update, const struct store_identity *id,
                      const struct store_position *p)
{
    struct hash checksum = meta_checksum(id, p);
    sqlite3_bind_int64(update, 1, (sqlite3_int64)p->seq);
    sqlite3_bind_blob(update, 2, p->chain.b, HASH_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(update, 3, p->node.incarnation);
    sqlite3_bind_int64(update, 4, (sqlite3_int64)p->node.ceiling);
    sqlite3_bind_int64(update, 5, (sqlite3_int64)p->node.watermark);
    sqlite3_bind_int64(update, 6, (sqlite3_int64)p->node.newest);
    sqlite3_bind_blob(update, 7, checksum.b, HASH_BYTES, SQLITE_STATIC);
    sqlite3_step(update);
    int rc = sqlite3_reset(update);
    sqlite3_clear_bindings(update);
    return rc;
}

static int meta_insert(struct sqlite3 *db, const struct store_identity *id)
{
    static const char sql[] =
        "INSERT INTO meta VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, 0, x'', 0, 0, 0, 0, x'')";
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int(stmt, 1, STORE_FORMAT);
    sqlite3_bind_blob(stmt, 2, id->cluster, sizeof id->cluster, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, role_name(id->role), -1, SQLITE_STATIC);
    sqlite3_bind_int(stmt, 4, id->node);
    sqlite3_bind_text(stmt, 5, id->name, -1, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 6, id->public_key, sizeof id->public_key, SQLITE_STATIC);
    sqlite3_step(stmt);
    return sqlite3_finalize(stmt);
}

int store_meta_create(struct sqlite3 *db, const struct store_identity *id)
{
    static const char sql[] = "CREATE TABLE meta ("
                              " one INTEGER PRIMARY KEY CHECK (one = 1),"
                              " format INTEGER NOT NULL,"
                              " cluster BLOB NOT NULL,"
                              " role TEXT NOT NULL,"
                              " node INTEGER NOT NULL,"
                              " name TEXT NOT NULL,"
                              " public_key BLOB NOT NULL,"
                              " applied_seq INTEGER NOT NULL,"
                              " applied_chain BLOB NOT NULL,"
                              " incarnation INTEGER NOT NULL,"
                              " ceiling INTEGER NOT NULL,"
                              " watermark INTEGER NOT NULL,"
                              " newest INTEGER NOT NULL,"
                              " checksum BLOB NOT NULL) STRICT";
    const struct store_position start = {.chain = store_meta_genesis(id)};
    sqlite3_stmt *update = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = meta_insert(db, id);
    if (rc == SQLITE_OK)
        rc = store_meta_prepare(db, &update);
    if (rc == SQLITE_OK)
        rc = store_meta_update(update, id, &start);
    sqlite3_finalize(update);
    return rc;
}

/* False if the column is not exactly `len` bytes. */
static bool column_raw(sqlite3_stmt *stmt, int column, void *out, int len)
{
    const void *at = sqlite3_column_blob(stmt, column);
    if (at == NULL || sqlite3_column_bytes(stmt, column) != len)
        return false;
    memcpy(out, at, (size_t)len);
    return true;
}

/* False if the row does not have the form and checksum of a meta row. */
static bool meta_decode(sqlite3_stmt *stmt, struct meta_row *row)
{
    struct hash checksum, expected;
    memset(row, 0, sizeof *row);
    const char *role = (const char *)sqlite3_column_text(stmt, 1);
    sqlite3_int64 node = sqlite3_column_int64(stmt, 2);
    if (role == NULL || node < 1 || node > NODES_MAX ||
        sqlite3_column_bytes(stmt, 3) > NAME_BYTES_MAX)
        return false;
    if (strcmp(role, role_name(ROLE_COORDINATOR)) == 0)
        row->id.role = ROLE_COORDINATOR;
    else if (strcmp(role, role_name(ROLE_PARTICIPANT)) == 0)
        row->id.role = ROLE_PARTICIPANT;
    row->id.node = (node_id)node;
    if (!column_raw(stmt, 0, row->id.cluster, sizeof row->id.cluster) ||
        !column_raw(stmt, 3, row->id.name, sqlite3_column_bytes(stmt, 3)) ||
        !column_raw(stmt, 4, row->id.public_key, sizeof row->id.public_key) ||
        !column_raw(stmt, 6, row->applied.chain.b, HASH_BYTES) ||
        !column_raw(stmt, 11, checksum.b, HASH_BYTES))
        return false;
    row->applied.seq = (uint64_t)sqlite3_column_int64(stmt, 5);
    row->applied.node.incarnation = (uint32_t)sqlite3_column_int64(stmt, 7);
    row->applied.node.ceiling = (uint64_t)sqlite3_column_int64(stmt, 8);
    row->applied.node.watermark = (uint64_t)sqlite3_column_int64(stmt, 9);
    row->applied.node.newest = (uint64_t)sqlite3_column_int64(stmt, 10);
    expected = meta_checksum(&row->id, &row->applied);
    return memcmp(expected.b, checksum.b, HASH_BYTES) == 0;
}

static assent_status identity_check(const struct store_identity *found,
                                    const struct store_identity *wanted, const char *where,
                                    char *why, size_t why_size)
{
    static const char advice[] = "start it with its own configuration, or choose another data "
                                 "directory";
    if (memcmp(found->cluster, wanted->cluster, sizeof found->cluster) != 0) {
        char a[33], b[33];
        bytes_hex(bytes_of(found->cluster, sizeof found->cluster), a);
        bytes_hex(bytes_of(wanted->cluster, sizeof wanted->cluster), b);
        return store_file_refuse(
            ASSENT_FOREIGN, why, why_size,
            "data directory %s belongs to node %s of cluster %s, not to cluster "
            "%s: %s",
            where, found->name, a, b, advice);
    }
    if (strcmp(found->name, wanted->name) != 0 || found->node != wanted->node)
        return store_file_refuse(ASSENT_FOREIGN, why, why_size,
                                 "data directory %s belongs to node %s (id %u), not to %s (id %u): "
                                 "%s",
                                 where, found->name, (unsigned)found->node, wanted->name,
                                 (unsigned)wanted->node, advice);
    if (found->role != wanted->role)
        return store_file_refuse(ASSENT_FOREIGN, why, why_size,
                                 "data directory %s belongs to a %s, not to a %s: %s", where,
                                 role_name(found->role), role_name(wanted->role), advice);
    if (memcmp(found->public_key, wanted->public_key, sizeof found->public_key) != 0)
        return store_file_refuse(
            ASSENT_FOREIGN, why, why_size,
            "data directory %s was made with another key than that of node %s: "
            "use the key file that init made together with it",
            where, wanted->name);
    return ASSENT_OK;
}

/* Whether a failed read is the file's fault or the system's. */
static assent_status read_status(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_ERROR: /* no such table or column */
    case SQLITE_DONE:  /* no row */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ASSENT_CORRUPT;
    default:
        return ASSENT_STORAGE;
    }
}

static assent_status format_check(struct sqlite3 *db, const char *where, char *why, size_t why_size)
{
    sqlite3_stmt *stmt = NULL;
    int format = -1, rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);
    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        format = sqlite3_column_int(stmt, 0);
    rc = sqlite3_finalize(stmt);
    if (format < 0)
        return store_file_refuse(read_status(rc), why, why_size,
                                 "the database in %s cannot be read: %s", where,
                                 sqlite3_errmsg(db));
    return store_file_format(where, (uint32_t)format, why, why_size);
}

assent_status store_meta_load(struct sqlite3 *db, const char *where,
                              const struct store_identity *id, struct store_position *applied,
                              char *why, size_t why_size)
{
    static const char sql[] = "SELECT cluster, role, node, name, public_key, applied_seq,"
                              " applied_chain, incarnation, ceiling, watermark, newest, checksum"
                              " FROM meta";
    struct meta_row row;
    assent_status status = format_check(db, where, why, why_size);
    if (status != ASSENT_OK)
        return status;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    bool good = rc == SQLITE_ROW && meta_decode(stmt, &row);
    if (rc == SQLITE_ROW && !good)
        status =
            store_file_refuse(ASSENT_CORRUPT, why, why_size,
                              "the meta row of the database in %s is damaged (its checksum does "
                              "not fit): replace this node by a new one under a new key",
                              where);
    else if (!good && read_status(rc) != ASSENT_CORRUPT)
        status = store_file_refuse(ASSENT_STORAGE, why, why_size,
                                   "the meta row of the database in %s cannot be read: %s", where,
                                   sqlite3_errmsg(db));
    else if (!good)
        status =
            store_file_refuse(ASSENT_CORRUPT, why, why_size,
                              "the database in %s has no complete meta row (%s): init was "
                              "interrupted or the file is damaged; if this node has never been "
                              "started, remove the directory and run init again, otherwise "
                              "replace the node by a new one under a new key",
                              where, rc == SQLITE_DONE ? "no row" : sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    if (status != ASSENT_OK)
        return status;
    *applied = row.applied;
    return identity_check(&row.id, id, where, why, why_size);
}
