/* `assent up`: runs the nodes of a local cluster as children and shows their logs, a line at a time
 * with the node's name in front.
 *
 * If one of them runs already nothing is started.
 *
 *     spawn all --every node says that it listens--> "ready" --SIGINT, SIGTERM--> SIGTERM to all
 *         \-- a node ends: say so, go on                             all ended, or SIGKILL after 10
 * s --> 0
 *
 * The children are in sessions of their own, so that Ctrl-C reaches them once, through this
 * process. */
#include "client/command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/cluster.h"
#include "runtime/store_file.h"

#define STOP_WAIT_MS   10000u
#define LINE_BYTES_MAX 16384u
#define READY_EVENT    "daemon.listening" /* in the daemon's log */
#define PATH_BYTES     4096

enum { OPTION_ONLY = 256 };

struct up_call;

struct up_node {
    struct up_call *up;
    const struct cluster_node *node;
    int colour;
    bool running, ready;
    uv_process_t process;
    uv_pipe_t output;
    char chunk[LINE_BYTES_MAX];
    struct writer line; /* the beginning of the next line */
};

struct up_call {
    int only;
    const char **only_name;

    const char *dir;
    struct cluster *cluster;
    uv_loop_t loop;
    uv_signal_t sigint, sigterm, sighup;
    uv_timer_t patience;
    int nodes, running, width;
    struct up_node *node;
    bool coloured, stopping, said_ready;
};

static const struct argp_option options[] = {
    {"only", OPTION_ONLY, "NODE", 0, "Start this node only; may be given several times", 0},
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct up_call *up = call->own;
    (void)key;
    up->only_name = xrealloc(up->only_name, (size_t)(up->only + 1) * sizeof *up->only_name);
    up->only_name[up->only++] = arg;
    return 0;
}

/* ---- showing ---- */

static void print_line(const struct up_call *up, const char *name, int colour, struct bytes line)
{
    if (up->coloured)
        printf("\033[%dm%-*s |\033[0m ", colour, up->width, name);
    else
        printf("%-*s | ", up->width, name);
    fwrite(line.data, 1, line.len, stdout);
    putchar('\n');
    fflush(stdout);
}

__attribute__((format(printf, 2, 3))) static void say(const struct up_call *up, const char *format,
                                                      ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_line(up, "up", 1, bytes_of_text(text));
}

static void say_when_ready(struct up_call *up)
{
    int ready = 0;
    for (int i = 0; i < up->nodes; i++)
        ready += up->node[i].ready;
    if (up->said_ready || ready < up->nodes)
        return;
    up->said_ready = true;
    say(up, "ready: %d node%s listening; Ctrl-C stops %s", ready, ready == 1 ? " is" : "s are",
        ready == 1 ? "it" : "them");
}

/* A log line for a terminal names the node after the time, as does the column in front. */
static struct bytes without_name(const struct up_node *n, struct bytes line, char *out)
{
    char name[NAME_BYTES_MAX + 3];
    int len = snprintf(name, sizeof name, "Z %s ", n->node->name);
    const uint8_t *at = memmem(line.data, line.len < 32 ? line.len : 32, name, (size_t)len);
    if (at == NULL)
        return line;
    size_t before = (size_t)(at - line.data) + 2, after = before + (size_t)len - 2;
    memcpy(out, line.data, before);
    memcpy(out + before, line.data + after, line.len - after);
    return bytes_of(out, line.len - (size_t)len + 2);
}

static void take_line(struct up_node *n)
{
    char shown[LINE_BYTES_MAX];
    struct bytes line = writer_view(&n->line);
    if (!n->ready && line.len > 0 &&
        memmem(line.data, line.len, READY_EVENT, strlen(READY_EVENT)) != NULL)
        n->ready = true;
    print_line(n->up, n->node->name, n->colour, without_name(n, line, shown));
    n->line.len = 0;
    say_when_ready(n->up);
}

static void on_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct up_node *n = stream->data;
    for (ssize_t i = 0; i < size; i++) {
        char c = buf->base[i];
        if (c != '\n')
            writer_u8(&n->line, (uint8_t)c);
        if (c == '\n' || n->line.len == LINE_BYTES_MAX)
            take_line(n);
    }
    if (size < 0) {
        if (n->line.len > 0)
            take_line(n);
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct up_node *n = handle->data;
    (void)suggested;
    *buf = uv_buf_init(n->chunk, sizeof n->chunk);
}

/* ---- the life of a node ---- */

static void close_common(struct up_call *up)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&up->sigint, (uv_handle_t *)&up->sigterm,
                              (uv_handle_t *)&up->sighup, (uv_handle_t *)&up->patience};
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], NULL);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signum)
{
    struct up_node *n = process->data;
    struct up_call *up = n->up;
    n->running = false;
    up->running--;
    uv_close((uv_handle_t *)process, NULL);
    if (signum != 0)
        say(up, "%s was ended by signal %d (%s)", n->node->name, signum, strsignal(signum));
    else if (!up->stopping || status != 0)
        say(up, "%s ended with status %d", n->node->name, (int)status);
    if (up->running == 0)
        close_common(up);
}

/* The program beside this one, or else by name in PATH. */
static void program_of(enum role role, char out[PATH_BYTES])
{
    const char *name = role == ROLE_COORDINATOR ? "assent-coordinator" : "assent-participant";
    char self[PATH_BYTES - 64];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) {
        *slash = '\0';
        snprintf(out, PATH_BYTES, "%s/%s", self, name);
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, PATH_BYTES, "%s", name);
}

/* The pipe that both outputs of the node go to; *child is the node's end. */
static int open_output(struct up_node *n, uv_file *child)
{
    uv_file ends[2];
    int failed = uv_pipe(ends, UV_NONBLOCK_PIPE, 0);
    if (failed != 0)
        return failed;
    uv_pipe_init(&n->up->loop, &n->output, 0);
    n->output.data = n;
    failed = uv_pipe_open(&n->output, ends[0]);
    if (failed == 0)
        failed = uv_read_start((uv_stream_t *)&n->output, on_space, on_output);
    if (failed != 0) {
        uv_close((uv_handle_t *)&n->output, NULL);
        close(ends[1]);
        return failed;
    }
    *child = ends[1];
    return 0;
}

static void data_of(const struct up_node *n, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", n->up->dir, n->node->name);
}

/* 0, or the error of the system. */
static int start(struct up_node *n)
{
    struct up_call *up = n->up;
    char program[PATH_BYTES], file[PATH_BYTES], data[PATH_BYTES];
    char name[NAME_BYTES_MAX + 1], cluster[] = "--cluster", node[] = "--node", dir[] = "--data";
    uv_file output;
    program_of(n->node->role, program);
    memcpy(name, n->node->name, sizeof name);
    data_of(n, data);
    snprintf(file, sizeof file, "%s/cluster.%s.yaml", up->dir,
             up->cluster->datacenter[n->node->datacenter]);
    if (access(file, F_OK) != 0)
        snprintf(file, sizeof file, "%s/cluster.yaml", up->dir);
    int failed = open_output(n, &output);
    if (failed != 0)
        return failed;
    char *args[] = {program, cluster, file, node, name, dir, data, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = output},
        {.flags = UV_INHERIT_FD, .data.fd = output},
    };
    uv_process_options_t how = {.exit_cb = on_exit_of,
                                .file = program,
                                .args = args,
                                .flags = UV_PROCESS_DETACHED,
                                .stdio_count = 3,
                                .stdio = stdio};
    n->process.data = n;
    failed = uv_spawn(&up->loop, &n->process, &how);
    close(output);
    if (failed != 0) {
        uv_close((uv_handle_t *)&n->process, NULL);
        return failed;
    }
    n->running = true;
    up->running++;
    return 0;
}

/* ---- stopping ---- */

static void kill_all(struct up_call *up, int signum)
{
    for (int i = 0; i < up->nodes; i++)
        if (up->node[i].running)
            uv_process_kill(&up->node[i].process, signum);
}

static void on_patience(uv_timer_t *timer)
{
    struct up_call *up = timer->data;
    for (int i = 0; i < up->nodes; i++)
        if (up->node[i].running)
            say(up, "%s does not stop: killed", up->node[i].node->name);
    kill_all(up, SIGKILL);
}

static void stop(struct up_call *up)
{
    up->stopping = true;
    kill_all(up, SIGTERM);
    uv_timer_start(&up->patience, on_patience, STOP_WAIT_MS, 0);
    if (up->running == 0)
        close_common(up);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct up_call *up = handle->data;
    (void)signum;
    if (up->stopping) {
        kill_all(up, SIGKILL);
        return;
    }
    say(up, "stopping");
    stop(up);
}

/* ---- the subcommand ---- */

static int choose_nodes(struct up_call *up)
{
    for (int i = 0; i < up->only; i++)
        if (cluster_node_named(up->cluster, up->only_name[i]) == NULL)
            return command_fail(EX_USAGE, "--only: %s has no node '%.40s': name one that it lists",
                                up->dir, up->only_name[i]);
    up->node = xcalloc((size_t)up->cluster->nodes, sizeof *up->node);
    for (int i = 0; i < up->cluster->nodes; i++) {
        const struct cluster_node *node = &up->cluster->node[i];
        bool wanted = up->only == 0;
        for (int j = 0; j < up->only; j++)
            wanted |= strcmp(up->only_name[j], node->name) == 0;
        if (!wanted)
            continue;
        /* red, and white for people's own text, are left out */
        up->node[up->nodes] =
            (struct up_node){.up = up, .node = node, .colour = 32 + up->nodes % 5};
        up->nodes++;
        int len = (int)strlen(node->name);
        up->width = len > up->width ? len : up->width;
    }
    return 0;
}

/* 0, or EX_USAGE after saying which of the nodes run already. */
static int check_idle(const struct up_call *up)
{
    char data[PATH_BYTES];
    struct writer names = {0};
    int rc = 0, served = 0;
    for (int i = 0; i < up->nodes; i++) {
        const char *name = up->node[i].node->name;
        data_of(&up->node[i], data);
        if (!store_file_served(&disk_posix, data))
            continue;
        if (served++ > 0)
            writer_raw(&names, ", ", 2);
        writer_raw(&names, name, strlen(name));
    }
    if (served > 0 && served == up->cluster->nodes)
        rc = command_fail(EX_USAGE,
                          "up: %s: the cluster is already running: stop it first, with Ctrl-C "
                          "where 'assent up' runs it",
                          up->dir);
    else if (served > 0)
        rc = command_fail(EX_USAGE,
                          "up: %s: already running: %.*s: stop what runs first, with Ctrl-C where "
                          "'assent up' runs it, or start the others with --only",
                          up->dir, (int)names.len, (const char *)names.data);
    writer_free(&names);
    return rc;
}

static void init_handles(struct up_call *up)
{
    uv_loop_init(&up->loop);
    uv_signal_init(&up->loop, &up->sigint);
    uv_signal_init(&up->loop, &up->sigterm);
    uv_signal_init(&up->loop, &up->sighup);
    uv_timer_init(&up->loop, &up->patience);
    up->sigint.data = up->sigterm.data = up->sighup.data = up->patience.data = up;
    uv_signal_start(&up->sigint, on_signal, SIGINT);
    uv_signal_start(&up->sigterm, on_signal, SIGTERM);
    uv_signal_start(&up->sighup, on_signal, SIGHUP);
}

static int run_nodes(struct up_call *up)
{
    int rc = 0;
    init_handles(up);
    for (int i = 0; rc == 0 && i < up->nodes; i++) {
        int failed = start(&up->node[i]);
        if (failed != 0)
            rc = command_fail(EX_OSERR,
                              "up: %s: %s: is the daemon's program beside this one, or in PATH?",
                              up->node[i].node->name, uv_strerror(failed));
    }
    if (rc != 0)
        stop(up);
    uv_run(&up->loop, UV_RUN_DEFAULT);
    uv_loop_close(&up->loop);
    if (rc == 0 && !up->stopping)
        rc = command_fail(EX_UNAVAILABLE, "up: %s: all nodes have ended: their last lines say why",
                          up->dir);
    return rc;
}

static int run(struct command_call *call)
{
    struct up_call *up = call->own;
    char file[PATH_BYTES], why[512];
    up->dir = call->word[0];
    up->width = 2;
    up->coloured = isatty(STDOUT_FILENO) != 0;
    if (strlen(up->dir) > PATH_BYTES / 2)
        return command_fail(EX_USAGE, "up: the directory's name is too long: give a shorter one");
    snprintf(file, sizeof file, "%s/cluster.yaml", up->dir);
    up->cluster = cluster_load(file, why, sizeof why);
    int rc = up->cluster == NULL ? command_fail(EX_CONFIG, "up: %s", why) : choose_nodes(up);
    /* logs as people read them: here they come out of a pipe */
    setenv("ASSENT_LOG", "text", 0);
    if (rc == 0)
        rc = check_idle(up);
    if (rc == 0)
        rc = run_nodes(up);
    for (int i = 0; i < up->nodes; i++)
        writer_free(&up->node[i].line);
    free(up->node);
    free(up->only_name);
    cluster_free(up->cluster);
    return rc;
}

const struct command command_up = {
    .name = "up",
    .words = "DIR",
    .words_min = 1,
    .words_max = 1,
    .summary = "Runs the nodes of a local cluster until Ctrl-C",
    .detail =
        "DIR is what 'assent init' made. A node that ends is reported, the others go on; --only "
        "starts it again. If a node runs already nothing is started. A node uses "
        "DIR/cluster.<its datacenter>.yaml instead of DIR/cluster.yaml if that is there.",
    .options = options,
    .option = option,
    .own_size = sizeof(struct up_call),
    .run = run,
};
