/* Two-phase commit as a careful application would drive it over servers that know only their own
 * part: closed-loop load from one thread, each client with one connection (a leg) to each server.
 *
 *     begin: a transfer's update of a random account, prepare --> all servers at once, one message
 *       all prepared --> the decision into the log --durable--> commit   --> all
 *       one refused  -->                                        rollback --> all
 *     all servers finished --> the next transaction
 *
 * With --overlap the next transaction goes out in the same message as the commit, without waiting
 * for it. A commit is presumed aborted unless the log has it, so aborts are not logged.
 *
 * How a server is spoken to is the driver's; the load calls the driver, and the driver tells the
 * load by two_phase_voted and two_phase_finished. */
#ifndef BENCH_TWO_PHASE_H
#define BENCH_TWO_PHASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct two_phase_client;

/* The first member of a driver's own leg. */
struct leg {
    struct two_phase_client *client;
    bool prepared; /* the vote, once it is in */
    bool wants_write;
};

struct two_phase_driver {
    const char *program, *arguments, *about; /* for errors and --help */
    size_t leg_size;                         /* of its own legs */
    /* Connects; stops the process if it cannot. `two_phase_fail` does, with a sentence. */
    void (*open)(struct leg *leg, const char *server);
    int (*socket)(const struct leg *leg);
    /* The next message gets the end of one transaction, the beginning of another, or both in this
     * order; `send` sends it. It is called when the answer to the one before is in. */
    void (*finish)(struct leg *leg, const char *gid, bool commit);
    void (*begin)(struct leg *leg, const char *gid, uint64_t account);
    void (*send)(struct leg *leg);
    void (*ready)(struct leg *leg, bool readable, bool writable);
    void (*close)(struct leg *leg);
};

/* One of each for each begin and finish, in their order. */
void two_phase_voted(struct leg *leg, bool prepared);
void two_phase_finished(struct leg *leg);

/* Whether the leg's socket is watched for room to write, too. */
void two_phase_watch(struct leg *leg, bool wants_write);
/* Says on stderr why a server refused a transaction, the first time; all are counted. */
void two_phase_refused(const char *why);
__attribute__((format(printf, 1, 2))) _Noreturn void two_phase_fail(const char *format, ...);

/* Runs the program: arguments, load, one line of JSON. Before the measuring and after it, with all
 * connections open and nothing under way, it says "began" and "ended" and waits for a line, so that
 * what the servers have used can be read. */
int two_phase_main(const struct two_phase_driver *driver, int argc, char **argv);

#endif
