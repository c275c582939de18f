/* A child asks the kernel to be killed when the thread that made it ends (PR_SET_PDEATHSIG): the
 * thread, not the process. So all children are made by one thread, which lives as long as the
 * process. */
#include "chaos/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/bytes.h"

#define STOP_WAIT_MS 10000
#define STOP_POLL_MS 20
#define EXEC_FAILED  127

extern char **environ;

/* ---- making children ---- */

struct spawn {
    char *const *argv;
    char *const *env;
    const char *log; /* NULL: what it writes to stdout is dropped, its stderr is ours */
    pid_t pid;
    int error; /* 0, or an errno */
    bool done;
};

static struct {
    pthread_once_t once;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct spawn *wanted;
} spawner = {PTHREAD_ONCE_INIT, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};

/* In the child, until it is another program: only what may be called after fork() in a process of
 * several threads. Writes an errno to `told` if it fails. */
_Noreturn static void become(const struct spawn *s, pid_t parent, int null, int out, int told)
{
    sigset_t none;
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(EXEC_FAILED);
    /* a session of its own: Ctrl-C is for the harness, which then stops its nodes */
    setsid();
    if (dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        (s->log == NULL || dup2(out, STDERR_FILENO) >= 0) &&
        close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
        sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        execve(s->argv[0], s->argv, s->env);
    int error = errno;
    if (write(told, &error, sizeof error) < 0)
        _exit(EXEC_FAILED);
    _exit(EXEC_FAILED);
}

static void make_child(struct spawn *s)
{
    int told[2], error = 0;
    pid_t parent = getpid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = s->log == NULL ? null : open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (null < 0 || out < 0 || pipe2(told, O_CLOEXEC) != 0) {
        s->error = errno;
    } else {
        s->pid = fork();
        if (s->pid == 0)
            become(s, parent, null, out, told[1]);
        s->error = s->pid < 0 ? errno : 0;
        close(told[1]);
        if (s->error == 0 && read(told[0], &error, sizeof error) == (ssize_t)sizeof error) {
            s->error = error;
            waitpid(s->pid, NULL, 0);
        }
        close(told[0]);
    }
    if (out >= 0 && out != null)
        close(out);
    if (null >= 0)
        close(null);
}

static void *spawner_main(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&spawner.mutex);
    for (;;) {
        while (spawner.wanted == NULL || spawner.wanted->done)
            pthread_cond_wait(&spawner.changed, &spawner.mutex);
        make_child(spawner.wanted);
        spawner.wanted->done = true;
        pthread_cond_broadcast(&spawner.changed);
    }
    return NULL;
}

static void spawner_start(void)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (pthread_create(&thread, NULL, spawner_main, NULL) != 0)
        abort();
    pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* 0 with the child's pid, or an errno. */
static int spawn(char *const argv[], char *const env[], const char *log, pid_t *pid)
{
    struct spawn s = {.argv = argv, .env = env, .log = log};
    pthread_once(&spawner.once, spawner_start);
    pthread_mutex_lock(&spawner.mutex);
    while (spawner.wanted != NULL)
        pthread_cond_wait(&spawner.changed, &spawner.mutex);
    spawner.wanted = &s;
    pthread_cond_broadcast(&spawner.changed);
    while (!s.done)
        pthread_cond_wait(&spawner.changed, &spawner.mutex);
    spawner.wanted = NULL;
    pthread_cond_broadcast(&spawner.changed);
    pthread_mutex_unlock(&spawner.mutex);
    *pid = s.error == 0 ? s.pid : 0;
    return s.error;
}

/* ---- programs ---- */

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
    if (spawn(argv, environ, NULL, &pid) != 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- nodes ---- */

/* Ours, with the two variables that make a node misbehave set as this node's are. */
static char **node_environment(const struct process *p, char own[2][4200])
{
    static const char *const names[2] = {"ASSENT_CRASH_AT=", "ASSENT_TEST_CLOCK="};
    const char *values[2] = {p->crash_at, p->clock_file};
    size_t n = 0, kept = 0;
    while (environ[n] != NULL)
        n++;
    char **env = xcalloc(n + 3, sizeof *env);
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], names[0], strlen(names[0])) != 0 &&
            strncmp(environ[i], names[1], strlen(names[1])) != 0)
            env[kept++] = environ[i];
    for (int i = 0; i < 2; i++) {
        if (*values[i] == '\0')
            continue;
        snprintf(own[i], sizeof own[i], "%s%s", names[i], values[i]);
        env[kept++] = own[i];
    }
    return env;
}

bool process_start(struct process *p)
{
    char program[4096], log[4200], own[2][4200];
    const char *name = p->role == ROLE_COORDINATOR ? "assent-coordinator" : "assent-participant";
    char *argv[] = {program, (char[]){"--cluster"}, p->cluster_file, (char[]){"--node"},
                    p->name, (char[]){"--data"},    p->data_dir,     NULL};
    if (!process_sibling(name, program, sizeof program)) {
        fprintf(stderr, "assent-chaos: %s is not beside this program; run make\n", name);
        return false;
    }
    snprintf(log, sizeof log, "%s/log", p->data_dir);
    char **env = node_environment(p, own);
    int error = spawn(argv, env, log, &p->pid);
    free(env);
    if (error != 0)
        fprintf(stderr, "assent-chaos: %s: %s\n", program, strerror(error));
    p->running = error == 0;
    return error == 0;
}

bool process_alive(struct process *p)
{
    if (p->pid != 0 && waitpid(p->pid, &p->status, WNOHANG) == p->pid)
        p->pid = 0;
    p->running = p->pid != 0;
    return p->pid != 0;
}

void process_kill(struct process *p)
{
    if (!process_alive(p))
        return;
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
    p->running = false;
}

/* Waits for one that was told to stop. */
static bool stopped(struct process *p)
{
    for (int waited = 0; process_alive(p); waited += STOP_POLL_MS) {
        if (waited >= STOP_WAIT_MS) {
            process_kill(p);
            fprintf(stderr,
                    "assent-chaos: %s did not stop within %d s, and was killed: see %s/log\n",
                    p->name, STOP_WAIT_MS / 1000, p->data_dir);
            return false;
        }
        nanosleep(&(struct timespec){0, STOP_POLL_MS * 1000000}, NULL);
    }
    if (WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0)
        return true;
    fprintf(stderr, "assent-chaos: %s ended with %s %d: see %s/log\n", p->name,
            WIFEXITED(p->status) ? "status" : "signal",
            WIFEXITED(p->status) ? WEXITSTATUS(p->status) : WTERMSIG(p->status), p->data_dir);
    return false;
}

bool process_stop_all(struct process *p, int n)
{
    bool good = true;
    bool *told = xcalloc((size_t)n, sizeof *told);
    for (int i = 0; i < n; i++) {
        told[i] = process_alive(&p[i]);
        if (told[i]) {
            kill(p[i].pid, SIGTERM);
            kill(p[i].pid, SIGCONT);
        }
    }
    for (int i = 0; i < n; i++)
        if (told[i] && !stopped(&p[i]))
            good = false;
    free(told);
    return good;
}
