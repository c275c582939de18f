/* Node processes of a local cluster: started, killed, stopped, each with its log in a file. None
 * outlives this process, however that ends. */
#ifndef CHAOS_PROCESS_H
#define CHAOS_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "runtime/cluster.h"

struct process {
    char name[NAME_BYTES_MAX + 1];
    enum role role;
    char cluster_file[4096];
    char data_dir[4096];
    char clock_file[4096]; /* ASSENT_TEST_CLOCK of the next start; "": none */
    char crash_at[64];     /* ASSENT_CRASH_AT of the next start; "": none */
    pid_t pid;             /* 0: not running */
    atomic_bool running;   /* as pid says, for any thread */
    int status;            /* as waitpid() gives it, of its last end */
};

/* Path of a program that lies beside this one; false if it is not there. */
bool process_sibling(const char *program, char *out, size_t out_size);
/* Runs a program to its end, what it prints aside; its exit status, or -1. */
int process_run(char *const argv[]);
/* Starts the node; its log is appended to <data_dir>/log. False with a line on stderr. */
bool process_start(struct process *p);
/* kill -9, and waits for its end. Fine if it is not running. */
void process_kill(struct process *p);
/* SIGTERM to all, waits up to 10 s for each; false, with a line on stderr, if one had to be killed
 * or ended badly. */
bool process_stop_all(struct process *p, int n);
/* Whether it still runs. */
bool process_alive(struct process *p);

#endif
