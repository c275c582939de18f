/* The command line of a daemon. */
#ifndef RUNTIME_DAEMON_ARGS_H
#define RUNTIME_DAEMON_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/log.h"

struct daemon_args {
    const char *cluster_file;
    const char *node;
    const char *data_dir;
    char listen_host[256]; /* instead of the cluster file's; empty if not given */
    uint16_t listen_port;
    bool check_config;
    enum logger_level level;
};

/* Fills *args; --help, --version and mistakes end the process (0, 0, 64). */
void daemon_args_parse(struct daemon_args *args, const char *program, const char *summary, int argc,
                       char **argv);

#endif
