/* The daemons' own log lines (not the durable log, that is log_store): to stderr, for people when
 * it is a terminal (or ASSENT_LOG=text), one JSON object a line otherwise (or ASSENT_LOG=json).
 *
 *     LOG(LOGGER_INFO, "daemon.signal", "stopping on a signal", LOG_NUMBER("signal", signum));
 *     LOG(LOGGER_WARN, "peer.refused", why, LOG_TEXT("address", address));
 *     LOG(LOGGER_INFO, "daemon.stopped", "stopped cleanly");
 *
 * The event is a constant name, "part.what", for programs to look for; the message is a sentence
 * for people; what else varies are fields with constant names, any number of them. From any thread;
 * a line is never mixed with another. Secrets, and the users' keys and values, do not belong in a
 * log. */
#ifndef RUNTIME_LOG_H
#define RUNTIME_LOG_H

#include "common/txid.h"

/* DEBUG: for finding faults. INFO: what an operator wants to have read the next day. WARN:
 * something is wrong, and Assent goes on. ERROR: it does not, or someone must act. */
enum logger_level { LOGGER_DEBUG, LOGGER_INFO, LOGGER_WARN, LOGGER_ERROR };

enum logger_kind { LOGGER_TEXT = 1, LOGGER_NUMBER, LOGGER_FLAG, LOGGER_TXID };

struct logger_field {
    const char *name; /* NULL ends a list */
    enum logger_kind kind;
    union {
        const char *text; /* need not be UTF-8; NULL is written as null */
        int64_t number;
        bool flag;
        struct txid txid;
    };
};

/* Fields. A number is any integer below 2^63. */
#define LOG_TEXT(n, v) ((struct logger_field){.name = (n), .kind = LOGGER_TEXT, .text = (v)})
#define LOG_NUMBER(n, v)                                                                           \
    ((struct logger_field){.name = (n), .kind = LOGGER_NUMBER, .number = (int64_t)(v)})
#define LOG_FLAG(n, v) ((struct logger_field){.name = (n), .kind = LOGGER_FLAG, .flag = (v)})
#define LOG_TXID(n, v) ((struct logger_field){.name = (n), .kind = LOGGER_TXID, .txid = *(v)})
#define LOG_END        ((struct logger_field){.name = NULL})

#define LOG(level, event, message, ...)                                                            \
    logger_write(level, event, message,                                                            \
                 (const struct logger_field[]){__VA_ARGS__ __VA_OPT__(, ) LOG_END})

/* Once, before the second thread: the name that every line carries as "node" (NULL: none), and the
 * lowest level that is written. Takes the form from the environment. Lines before it have no node,
 * INFO, and the form as above. */
void logger_open(const char *node, enum logger_level level);
/* `field` ends with LOG_END. */
void logger_write(enum logger_level level, const char *event, const char *message,
                  const struct logger_field *field);

#endif
