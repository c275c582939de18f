/* Two-phase commit over PostgreSQL servers: BEGIN, UPDATE and PREPARE TRANSACTION in one pipeline,
 * then COMMIT PREPARED, ROLLBACK PREPARED or ROLLBACK. */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "bench/decision_log.h"
#include "bench/two_phase.h"

#define STATEMENT_MAX (GID_BYTES + 32)

/* The pipeline holds at most the end of one transaction and, behind that, the beginning of the
 * next; each ends in a sync. */
struct pg_leg {
    struct leg leg;
    PGconn *conn;
    int syncs_due;
    const char *ending; /* the command with which the first of them ends a transaction, or NULL */
    bool prepared;
};

static void check(const struct pg_leg *pg, bool good)
{
    if (!good)
        two_phase_fail("cannot send: %s", PQerrorMessage(pg->conn));
}

/* PREPARE TRANSACTION and its like take no parameters. */
static void pg_command(struct pg_leg *pg, const char *verb, const char *gid)
{
    char statement[STATEMENT_MAX];
    snprintf(statement, sizeof statement, "%s '%s'", verb, gid);
    check(pg, PQsendQueryParams(pg->conn, statement, 0, NULL, NULL, NULL, NULL, 0) == 1);
}

static void pg_sync(struct pg_leg *pg)
{
    check(pg, PQpipelineSync(pg->conn) == 1);
    pg->syncs_due++;
}

static void pg_begin(struct leg *leg, const char *gid, uint64_t account)
{
    struct pg_leg *pg = (struct pg_leg *)leg;
    char id[24];
    const char *parameters[] = {id};
    snprintf(id, sizeof id, "%llu", (unsigned long long)account);
    check(pg, PQsendQueryPrepared(pg->conn, "begin", 0, NULL, NULL, NULL, 0) == 1);
    check(pg, PQsendQueryPrepared(pg->conn, "update", 1, parameters, NULL, NULL, 0) == 1);
    pg_command(pg, "PREPARE TRANSACTION", gid);
    pg_sync(pg);
}

static void pg_finish(struct leg *leg, const char *gid, bool commit)
{
    struct pg_leg *pg = (struct pg_leg *)leg;
    pg->ending = commit ? "COMMIT PREPARED" : leg->prepared ? "ROLLBACK PREPARED" : "ROLLBACK";
    if (commit || leg->prepared)
        pg_command(pg, pg->ending, gid);
    else /* after an error inside the block; outside of one it does nothing */
        check(pg, PQsendQueryParams(pg->conn, pg->ending, 0, NULL, NULL, NULL, NULL, 0) == 1);
    pg_sync(pg);
}

static void pg_send(struct leg *leg)
{
    struct pg_leg *pg = (struct pg_leg *)leg;
    int left = PQflush(pg->conn);
    check(pg, left >= 0);
    two_phase_watch(leg, left != 0);
}

static void pg_synced(struct pg_leg *pg)
{
    pg->syncs_due--;
    if (pg->ending != NULL) {
        pg->ending = NULL;
        two_phase_finished(&pg->leg);
    } else {
        bool prepared = pg->prepared;
        pg->prepared = false;
        two_phase_voted(&pg->leg, prepared);
    }
}

static void pg_done(struct pg_leg *pg, const char *tag)
{
    /* In a failed transaction PREPARE succeeds too, with the tag ROLLBACK. */
    if (pg->ending != NULL && strcmp(tag, pg->ending) != 0)
        two_phase_fail("%s was answered with %s", pg->ending, tag);
    if (strcmp(tag, "PREPARE TRANSACTION") == 0)
        pg->prepared = true;
    else if (strncmp(tag, "UPDATE", 6) == 0 && strcmp(tag, "UPDATE 1") != 0)
        two_phase_fail("%s: the table must have one row for each of the accounts", tag);
}

static void pg_result(struct pg_leg *pg, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        pg_done(pg, PQcmdStatus(result));
        break;
    case PGRES_PIPELINE_SYNC:
        pg_synced(pg);
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default: /* before the vote it is a refusal: PREPARE TRANSACTION does not run */
        if (pg->ending != NULL)
            two_phase_fail("%s: %s", pg->ending, PQresultErrorMessage(result));
        two_phase_refused(PQresultErrorMessage(result));
        break;
    }
}

static void pg_ready(struct leg *leg, bool readable, bool writable)
{
    struct pg_leg *pg = (struct pg_leg *)leg;
    if (writable)
        pg_send(leg);
    if (readable && PQconsumeInput(pg->conn) != 1)
        two_phase_fail("connection lost: %s", PQerrorMessage(pg->conn));
    /* Between two results of a pipeline libpq gives one NULL; after the last sync there is nothing
     * to ask for. */
    while (pg->syncs_due > 0 && !PQisBusy(pg->conn)) {
        PGresult *result = PQgetResult(pg->conn);
        if (result != NULL)
            pg_result(pg, result);
        PQclear(result);
    }
}

/* ---- connections ---- */

static void no_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static void setup(const struct pg_leg *pg, PGresult *result)
{
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        two_phase_fail("cannot set up a connection: %s", PQerrorMessage(pg->conn));
    PQclear(result);
}

static void pg_open(struct leg *leg, const char *server)
{
    struct pg_leg *pg = (struct pg_leg *)leg;
    pg->conn = PQconnectdb(server);
    if (PQstatus(pg->conn) != CONNECTION_OK)
        two_phase_fail("cannot connect: %s", PQerrorMessage(pg->conn));
    PQsetNoticeReceiver(pg->conn, no_notice, NULL);
    setup(pg, PQexec(pg->conn, "SET lock_timeout = '1s'"));
    setup(pg, PQprepare(pg->conn, "begin", "BEGIN", 0, NULL));
    setup(pg, PQprepare(pg->conn, "update",
                        "UPDATE account SET balance = balance + 1 WHERE id = $1", 0, NULL));
    if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1)
        two_phase_fail("cannot set up a connection: %s", PQerrorMessage(pg->conn));
}

static int pg_socket(const struct leg *leg)
{
    return PQsocket(((const struct pg_leg *)leg)->conn);
}

static void pg_close(struct leg *leg)
{
    PQfinish(((struct pg_leg *)leg)->conn);
}

int main(int argc, char **argv)
{
    static const struct two_phase_driver driver = {
        .program = "postgres_2pc",
        .arguments = "CONNINFO...",
        .about = "Two-phase commit over PostgreSQL servers, each with a table account (id int "
                 "primary key, balance bigint), driven by this program with a durable decision "
                 "log.",
        .leg_size = sizeof(struct pg_leg),
        .open = pg_open,
        .socket = pg_socket,
        .finish = pg_finish,
        .begin = pg_begin,
        .send = pg_send,
        .ready = pg_ready,
        .close = pg_close,
    };
    return two_phase_main(&driver, argc, argv);
}
