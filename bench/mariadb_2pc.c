/* Two-phase commit over MariaDB servers: XA START, UPDATE, XA END and XA PREPARE as one message of
 * several statements, then XA COMMIT or XA ROLLBACK.
 *
 * The statements are answered one by one, each when it has run, so results are read without
 * waiting: by the coroutines of libmariadb's non-blocking calls. After a refusal the server skips
 * the statements behind it in the message. */
#include <mysql.h>
#include <stdarg.h>
#include <stdio.h>

#include "bench/decision_log.h"
#include "bench/two_phase.h"

#define STATEMENTS_MOST 6 /* of one message: XA COMMIT and all of the next beginning */
#define MESSAGE_MAX     (STATEMENTS_MOST * (GID_BYTES + 64))

enum statement {
    STEP,    /* must succeed, and tells the load nothing */
    UPDATE,  /* may be refused: a vote */
    PREPARE, /* a vote */
    FINISH,
};

struct maria_leg {
    struct leg leg;
    MYSQL *conn;
    char message[MESSAGE_MAX];
    size_t len;
    enum statement statement[STATEMENTS_MOST]; /* of the message */
    int statements, answered;
    bool reading; /* a non-blocking call is under way */
};

__attribute__((format(printf, 3, 4))) static void add(struct maria_leg *m, enum statement which,
                                                      const char *format, ...)
{
    va_list args;
    if (m->statements > 0)
        m->message[m->len++] = ';';
    va_start(args, format);
    m->len += (size_t)vsnprintf(m->message + m->len, sizeof m->message - m->len, format, args);
    va_end(args);
    m->statement[m->statements++] = which;
}

static void maria_begin(struct leg *leg, const char *gid, uint64_t account)
{
    struct maria_leg *m = (struct maria_leg *)leg;
    add(m, STEP, "XA START '%s'", gid);
    add(m, UPDATE, "UPDATE account SET balance=balance+1 WHERE id=%llu",
        (unsigned long long)account);
    add(m, STEP, "XA END '%s'", gid);
    add(m, PREPARE, "XA PREPARE '%s'", gid);
}

/* A refused UPDATE leaves the branch open. */
static void maria_finish(struct leg *leg, const char *gid, bool commit)
{
    struct maria_leg *m = (struct maria_leg *)leg;
    if (!leg->prepared)
        add(m, STEP, "XA END '%s'", gid);
    add(m, FINISH, "XA %s '%s'", commit ? "COMMIT" : "ROLLBACK", gid);
}

/* The message is far smaller than a socket's buffer, and the server has read all before it: this
 * does not wait. */
static void maria_send(struct leg *leg)
{
    struct maria_leg *m = (struct maria_leg *)leg;
    if (mysql_send_query(m->conn, m->message, (unsigned long)m->len) != 0)
        two_phase_fail("cannot send: %s", mysql_error(m->conn));
    m->answered = 0;
}

/* ---- answers ---- */

/* The next answer, or false if it is not in yet. */
static bool maria_answer(struct maria_leg *m, bool *good)
{
    my_bool refused = 0;
    int rc = 0, wait;
    if (m->answered == 0 && m->reading)
        wait = mysql_read_query_result_cont(&refused, m->conn, MYSQL_WAIT_READ);
    else if (m->answered == 0)
        wait = mysql_read_query_result_start(&refused, m->conn);
    else if (m->reading)
        wait = mysql_next_result_cont(&rc, m->conn, MYSQL_WAIT_READ);
    else
        wait = mysql_next_result_start(&rc, m->conn);
    m->reading = wait != 0;
    *good = refused == 0 && rc == 0;
    return wait == 0;
}

static void maria_check(const struct maria_leg *m, enum statement which, bool good)
{
    if (!good && which == UPDATE)
        two_phase_refused(mysql_error(m->conn));
    else if (!good)
        two_phase_fail("statement %d of \"%.*s\": %s", m->answered, (int)m->len, m->message,
                       mysql_error(m->conn));
    else if (which == UPDATE && mysql_affected_rows(m->conn) != 1)
        two_phase_fail("the table must have one row for each of the accounts");
}

/* What is told last of a message may make the load send the next one: so the message is over
 * before. */
static void maria_ready(struct leg *leg, bool readable, bool writable)
{
    struct maria_leg *m = (struct maria_leg *)leg;
    (void)readable;
    (void)writable;
    if (m->statements == 0)
        two_phase_fail("a server closed a connection");
    for (bool good, over = false; !over && maria_answer(m, &good);) {
        enum statement which = m->statement[m->answered++];
        maria_check(m, which, good);
        over = !good || m->answered == m->statements;
        if (over) {
            m->statements = 0;
            m->len = 0;
        }
        if (which == FINISH)
            two_phase_finished(leg);
        else if (!good || which == PREPARE)
            two_phase_voted(leg, good);
    }
}

/* ---- connections ---- */

static void maria_open(struct leg *leg, const char *server)
{
    struct maria_leg *m = (struct maria_leg *)leg;
    m->conn = mysql_init(NULL);
    if (m->conn == NULL || mysql_options(m->conn, MYSQL_OPT_NONBLOCK, NULL) != 0)
        two_phase_fail("no memory for a connection");
    if (mysql_real_connect(m->conn, NULL, "root", NULL, "bench", 0, server,
                           CLIENT_MULTI_STATEMENTS) == NULL)
        two_phase_fail("cannot connect: %s", mysql_error(m->conn));
    if (mysql_query(m->conn, "SET innodb_lock_wait_timeout = 1") != 0)
        two_phase_fail("cannot set up a connection: %s", mysql_error(m->conn));
}

static int maria_socket(const struct leg *leg)
{
    return (int)mysql_get_socket(((const struct maria_leg *)leg)->conn);
}

static void maria_close(struct leg *leg)
{
    mysql_close(((struct maria_leg *)leg)->conn);
}

int main(int argc, char **argv)
{
    static const struct two_phase_driver driver = {
        .program = "mariadb_2pc",
        .arguments = "SOCKET...",
        .about = "Two-phase commit over MariaDB servers, each with a table account (id int primary "
                 "key, balance bigint) in the database bench, driven by this program with a "
                 "durable decision log.",
        .leg_size = sizeof(struct maria_leg),
        .open = maria_open,
        .socket = maria_socket,
        .finish = maria_finish,
        .begin = maria_begin,
        .send = maria_send,
        .ready = maria_ready,
        .close = maria_close,
    };
    return two_phase_main(&driver, argc, argv);
}
