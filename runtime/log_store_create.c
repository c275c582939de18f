/* log_store_create: how a data directory comes to be. The tail is made first and written last:
 * until then it is blank, which is how a half-made directory shows. */
#include "runtime/log_store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "runtime/store_file.h"
#include "runtime/store_meta.h"
#include "runtime/store_pages.h"
#include "runtime/store_tail.h"

static assent_status create_tables(struct sqlite3 *db, const struct store_paths *paths,
                                   const struct store_identity *id, const struct store_role *role,
                                   char *why, size_t why_size)
{
    static const char log_sql[] = "CREATE TABLE log ("
                                  " seq INTEGER PRIMARY KEY,"
                                  " kind INTEGER NOT NULL,"
                                  " txid BLOB NOT NULL,"
                                  " ts INTEGER NOT NULL,"
                                  " body BLOB,"
                                  " chain BLOB NOT NULL) STRICT";
    char format[96];
    snprintf(format, sizeof format, "PRAGMA application_id=%d; PRAGMA user_version=%d",
             STORE_APPLICATION_ID, STORE_FORMAT);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, format, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, log_sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = store_meta_create(db, id);
    if (rc == SQLITE_OK)
        rc = role->create(role->arg, db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc == SQLITE_OK)
        return ASSENT_OK;
    return store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s (%s)",
                             paths->db, sqlite3_errstr(rc), sqlite3_errmsg(db));
}

static assent_status create_database(const struct disk *disk, const struct store_paths *paths,
                                     const struct store_identity *id, const struct store_role *role,
                                     char *why, size_t why_size)
{
    sqlite3 *db = NULL;
    assent_status status = store_file_connect(disk, paths, &db, why, why_size);
    int rc = status == ASSENT_OK ? store_pages_reserve(db) : SQLITE_OK;
    if (rc != SQLITE_OK)
        status = store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s",
                                   paths->db, sqlite3_errstr(rc));
    if (status == ASSENT_OK)
        status = store_file_settings(paths, db, why, why_size);
    if (status == ASSENT_OK)
        status = create_tables(db, paths, id, role, why, why_size);
    /* All is in the database file now: let SQLite remove its empty write-ahead log. */
    if (status == ASSENT_OK)
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite3_close_v2(db);
    return status;
}

assent_status log_store_create(const struct disk *disk, const char *dir,
                               const struct store_identity *id, const struct store_role *role,
                               uint32_t tail_bytes, char *why, size_t why_size)
{
    struct store_paths paths;
    assent_status status = store_file_paths(&paths, dir, why, why_size);
    if (status == ASSENT_OK)
        status = store_file_reserve(disk, &paths, why, why_size);
    if (status != ASSENT_OK)
        return status;
    struct store_tail tail;
    int error = store_tail_create(&tail, disk, paths.tail, tail_bytes / 2);
    if (error == 0)
        status = create_database(disk, &paths, id, role, why, why_size);
    if (error == 0 && status == ASSENT_OK) {
        const struct store_position start = {.chain = store_meta_genesis(id)};
        error = disk->sync(disk->arg, paths.db);
        if (error == 0)
            error = disk->sync(disk->arg, paths.dir);
        tail.salt = start.chain;
        if (error == 0)
            error = store_tail_write(&tail, &start, &start);
    }
    store_tail_close(&tail);
    if (error != 0)
        status = store_file_refuse(ASSENT_STORAGE, why, why_size, "%s cannot be created: %s",
                                   paths.tail, strerror(error));
    if (status != ASSENT_OK)
        store_file_remove(disk, &paths);
    return status;
}
