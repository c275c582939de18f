#include "chaos/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_WAIT_MS 10000
#define STOP_POLL_MS 20

extern char **environ;

bool process_sibling(const char *program, char *out, size_t out_size)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    int length = snprintf(out, out_size, "%s/%s", self, program);
    return length > 0 && (size_t)length < out_size && access(out, X_OK) == 0;
}

int process_run(char *const argv[])
{
    pid_t pid;
    int status = 0;
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool process_start(struct process *p)
{
    char program[4096], log[4200];
    const char *name = p->role == ROLE_COORDINATOR ? "assent-coordinator" : "assent-participant";
    char *argv[] = {program, (char[]){"--cluster"}, p->cluster_file, (char[]){"--node"},
                    p->name, (char[]){"--data"},    p->data_dir,     NULL};
    posix_spawn_file_actions_t actions;
    if (!process_sibling(name, program, sizeof program)) {
        fprintf(stderr, "assent-chaos: %s is not beside this program; run make\n", name);
        return false;
    }
    snprintf(log, sizeof log, "%s/log", p->data_dir);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int rc = posix_spawn(&p->pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        fprintf(stderr, "assent-chaos: %s: %s\n", program, strerror(rc));
        p->pid = 0;
    }
    return rc == 0;
}

bool process_alive(struct process *p)
{
    if (p->pid != 0 && waitpid(p->pid, NULL, WNOHANG) == p->pid)
        p->pid = 0;
    return p->pid != 0;
}

void process_kill(struct process *p)
{
    if (!process_alive(p))
        return;
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
}

bool process_stop_all(struct process *p, int n)
{
    bool good = true;
    for (int i = 0; i < n; i++)
        if (process_alive(&p[i]))
            kill(p[i].pid, SIGTERM);
    for (int i = 0; i < n; i++) {
        int status = 0, waited = 0;
        if (p[i].pid == 0)
            continue;
        while (waitpid(p[i].pid, &status, WNOHANG) == 0 && waited < STOP_WAIT_MS) {
            nanosleep(&(struct timespec){0, STOP_POLL_MS * 1000000}, NULL);
            waited += STOP_POLL_MS;
        }
        if (waited >= STOP_WAIT_MS) {
            process_kill(&p[i]);
            good = false;
        } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            good = false;
        }
        p[i].pid = 0;
    }
    return good;
}
