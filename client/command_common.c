/* What the subcommands share: errors and exit statuses, numbers, opening the cluster. */
#include "client/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/retry.h"
#include "client/txn.h"
#include "wire/random.h"

const char *command_fail_prefix = "assent: ";

int command_fail(int code, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
    fflush(stdout);
    fprintf(stderr, "%s%s\n", command_fail_prefix, text);
    return code;
}

int command_exit_of(assent_status status)
{
    if (assent_maybe_committed(status))
        return EXIT_MAYBE;
    switch (status) {
    case ASSENT_OK:
        return EXIT_SUCCESS;
    case ASSENT_BEHIND:
        return EXIT_BEHIND;
    case ASSENT_INVALID:
    case ASSENT_SEALED:
        return EX_USAGE;
    case ASSENT_UNREACHABLE:
    case ASSENT_NOT_SENT:
    case ASSENT_READ_TIMED_OUT:
    case ASSENT_REFUSED:
    case ASSENT_CLOSED:
        return EX_UNAVAILABLE;
    case ASSENT_SYSTEM:
    case ASSENT_NO_MEMORY:
        return EX_OSERR;
    case ASSENT_CONFIG:
    case ASSENT_KEY_FILE:
    case ASSENT_MISMATCH:
        return EX_CONFIG;
    default:
        return EXIT_ABORTED;
    }
}

int command_fail_status(const struct command_call *call, assent_status status, const char *why)
{
    return command_fail(command_exit_of(status), "%s: %s: %s", call->command->name,
                        assent_status_name(status),
                        why != NULL && *why != '\0' ? why : assent_status_text(status));
}

const char *command_cluster_file(const struct command_call *call)
{
    const char *environment = getenv("ASSENT_CLUSTER");
    if (call->cluster_file != NULL)
        return call->cluster_file;
    if (environment != NULL && *environment != '\0')
        return environment;
    if (access("cluster.yaml", F_OK) == 0)
        return "cluster.yaml";
    command_fail(
        EX_CONFIG,
        "%s: no cluster file: no --cluster, no ASSENT_CLUSTER, no ./cluster.yaml: name one, "
        "or make a cluster with 'assent init'",
        call->command->name);
    return NULL;
}

int command_options(const struct command_call *call, assent_options *out)
{
    *out = (assent_options){
        .cluster_file = command_cluster_file(call),
        .client = call->client,
        .key_file = call->key_file,
        .datacenter = call->datacenter,
        .timeout_ms = call->timeout_ms,
    };
    return out->cluster_file == NULL ? EX_CONFIG : 0;
}

int command_open(const struct command_call *call, assent **out)
{
    assent_options options;
    int rc = command_options(call, &options);
    if (rc != 0)
        return rc;
    assent_status status = assent_open(out, &options);
    return status == ASSENT_OK ? 0 : command_fail_status(call, status, assent_error());
}

int command_number(const char *what, const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*text != '\0' && strspn(text, "-0123456789") == strlen(text) && *end == '\0' &&
        errno == 0 && n >= least && n <= most) {
        *out = n;
        return 0;
    }
    return command_fail(EX_USAGE, "%s: '%.80s' does not do: give a whole number from %lld to %lld",
                        what, text, (long long)least, (long long)most);
}

static void sleep_us(uint64_t us)
{
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

assent_status command_commit(const struct command_call *call, assent *db, assent_build build,
                             void *arg, bool once, assent_txn **t, assent_commit_info *info)
{
    uint64_t ms = call->timeout_ms == 0 ? TXN_TIMEOUT_MS_DEFAULT : call->timeout_ms;
    uint64_t priority_ms = clock_wall_ms(), began_us = clock_now_us(), wait_us;
    struct retry retry = {.deadline_us = began_us + ms * 1000};
    assent_status status;
    prng_seed(&retry.prng, random_bits());
    for (;;) {
        uint64_t now_us = clock_now_us();
        uint64_t left_us = now_us < retry.deadline_us ? retry.deadline_us - now_us : 1;
        *info = (assent_commit_info){0};
        *t = assent_txn_new(db);
        (*t)->priority_ms = priority_ms;
        status = build(*t, arg);
        bool built = status == ASSENT_OK;
        if (built)
            status = assent_commit_within(*t, (uint32_t)((left_us + 999) / 1000), info);
        if (!built || once || !retry_next(&retry, status, clock_now_us(), &wait_us))
            break;
        sleep_us(wait_us);
        assent_txn_free(*t);
    }
    info->total_us = (uint32_t)(clock_now_us() - began_us);
    return status;
}
