/* `assent load`: a file of rows into keys, a transaction for every few rows, several in flight.
 *
 *     pump: read rows --> batch --commit--> done, pump again
 *                           ^ |
 *                           | +-- retryable: wait, commit again under a new id (as assent_run does)
 *                           +---+
 *                             +-- anything else, or a bad row: read no more; what is in flight ends
 */
#include "client/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <assent/uv.h>

#include "client/clock.h"
#include "client/command_rows.h"
#include "client/retry.h"
#include "client/txn.h"
#include "wire/random.h"

#define PER_TXN_DEFAULT 100
#define CLIENTS_DEFAULT 8
#define CLIENTS_MOST    1000
/* a transaction ends early over this: replicated keys travel once for every replica */
#define BATCH_BYTES (256u * 1024u)
#define PROGRESS_MS 200u
#define BAR_WIDTH   30

enum {
    OPTION_PREFIX = 256,
    OPTION_FORMAT,
    OPTION_PER_TXN,
    OPTION_CLIENTS,
    OPTION_KEY,
    OPTION_VALUE
};

struct load_call {
    const char *prefix, *format, *key, *value;
    int64_t per_txn, clients;

    const struct command_call *call;
    const char *path;
    uint64_t size; /* of the file; 0: not known */
    struct rows *rows;
    uv_loop_t loop;
    uv_timer_t progress;
    assent *db;
    bool shows_progress;
    bool read_all;
    int rc; /* of the first failure */
    bool closing;
    uint64_t in_flight, loaded, transactions, retries, began_us;
};

struct batch {
    struct load_call *load;
    struct retry retry;
    uint64_t priority_ms;
    uv_timer_t timer;
    size_t n, bytes;
    struct row row[];
};

static const struct argp_option options[] = {
    {"prefix", OPTION_PREFIX, "P", 0, "Put this before every key", 0},
    {"format", OPTION_FORMAT, "csv|jsonl", 0,
     "(default: by the file's name: .jsonl, .ndjson or .json, else csv)", 0},
    {"key", OPTION_KEY, "COLUMN", 0,
     "Where the key is (default: the first column; of JSON lines, the member 'key')", 0},
    {"value", OPTION_VALUE, "COLUMN", 0, "The value (default: the whole row, as a JSON object)", 0},
    {"per-txn", OPTION_PER_TXN, "K", 0, "Rows in one transaction (default: 100)", 0},
    {"clients", OPTION_CLIENTS, "N", 0, "Transactions in flight (default: 8)", 0},
    {0},
};

static int option(struct command_call *call, int key, char *arg)
{
    struct load_call *load = call->own;
    switch (key) {
    case OPTION_PREFIX:
        load->prefix = arg;
        return 0;
    case OPTION_FORMAT:
        load->format = arg;
        if (strcmp(arg, "csv") == 0 || strcmp(arg, "jsonl") == 0)
            return 0;
        return command_fail(EX_USAGE, "--format: '%.80s' is not a format: csv or jsonl", arg);
    case OPTION_KEY:
        load->key = arg;
        return 0;
    case OPTION_VALUE:
        load->value = arg;
        return 0;
    case OPTION_PER_TXN:
        return command_number("--per-txn", arg, 1, OPS_MAX, &load->per_txn);
    default:
        return command_number("--clients", arg, 1, CLIENTS_MOST, &load->clients);
    }
}

/* ---- batches ---- */

static void batch_closed(uv_handle_t *timer)
{
    struct batch *b = timer->data;
    for (size_t i = 0; i < b->n; i++) {
        blob_unref(b->row[i].key);
        blob_unref(b->row[i].value);
    }
    free(b);
}

static void pump(struct load_call *load);

static void batch_end(struct batch *b)
{
    struct load_call *load = b->load;
    load->in_flight--;
    uv_close((uv_handle_t *)&b->timer, batch_closed);
    pump(load);
}

static void clear_progress(const struct load_call *load)
{
    if (load->shows_progress)
        fputs("\r\033[K", stderr);
}

/* Notes the first failure and says every one. */
static void fail(struct load_call *load, int rc, const char *sentence)
{
    clear_progress(load);
    command_fail(rc, "load: %s: %s", load->path, sentence);
    if (load->rc == 0)
        load->rc = rc;
}

static void fail_batch(const struct batch *b, assent_status status, const char *why,
                       const assent_txid *txid)
{
    char text[4096], id[ASSENT_TXID_TEXT];
    const struct row *first = &b->row[0], *last = &b->row[b->n - 1];
    bool maybe = assent_maybe_committed(status);
    snprintf(text, sizeof text, "rows %llu to %llu (lines %llu to %llu) %s: %s: %s%s%s",
             (unsigned long long)first->number, (unsigned long long)last->number,
             (unsigned long long)first->line, (unsigned long long)last->line,
             maybe ? "are perhaps loaded" : "are not loaded", assent_status_name(status),
             *why != '\0' ? why : assent_status_text(status),
             maybe && txid != NULL ? ": ask 'assent outcome' about " : "",
             maybe && txid != NULL ? assent_txid_text(txid, id) : "");
    fail(b->load, command_exit_of(status), text);
}

static void batch_start(struct batch *b);

static void on_retry(uv_timer_t *timer)
{
    batch_start(timer->data);
}

static void on_commit(assent_txn *t, assent_status status, const assent_commit_info *info,
                      const char *why, void *arg)
{
    struct batch *b = arg;
    struct load_call *load = b->load;
    uint64_t wait_us;
    assent_txn_free(t);
    if (status == ASSENT_OK) {
        load->loaded += b->n;
        load->transactions++;
        batch_end(b);
    } else if (retry_next(&b->retry, status, clock_now_us(), &wait_us)) {
        load->retries++;
        uv_timer_start(&b->timer, on_retry, wait_us / 1000 + 1, 0);
    } else {
        fail_batch(b, status, why, info == NULL ? NULL : &info->txid);
        batch_end(b);
    }
}

/* One attempt, after which the batch waits for its callback, or is over. */
static void batch_start(struct batch *b)
{
    uint64_t now_us = clock_now_us();
    uint64_t left_us = now_us < b->retry.deadline_us ? b->retry.deadline_us - now_us : 1;
    assent_status status = ASSENT_OK;
    assent_txn *t = assent_txn_new(b->load->db);
    t->priority_ms = b->priority_ms;
    for (size_t i = 0; status == ASSENT_OK && i < b->n; i++)
        status = assent_put(t, b->row[i].key->data, b->row[i].key->len, b->row[i].value->data,
                            b->row[i].value->len);
    if (status == ASSENT_OK)
        status = assent_commit_uv(t, (uint32_t)((left_us + 999) / 1000), on_commit, b);
    if (status == ASSENT_OK)
        return;
    assent_txn_free(t);
    fail_batch(b, status, assent_error(), NULL);
    batch_end(b);
}

/* The next rows; NULL at the end, or after a bad row, whose transaction is not begun. */
static struct batch *read_batch(struct load_call *load)
{
    struct batch *b = xcalloc(1, sizeof *b + (size_t)load->per_txn * sizeof b->row[0]);
    char why[512], text[700];
    struct row row;
    enum rows_result got = ROWS_ROW;
    while (b->n < (size_t)load->per_txn && b->bytes < BATCH_BYTES) {
        got = rows_next(load->rows, &row, why, sizeof why);
        if (got != ROWS_ROW)
            break;
        b->bytes += row.key->len + row.value->len;
        b->row[b->n++] = row;
    }
    load->read_all |= got != ROWS_ROW;
    if (got == ROWS_ERROR) {
        snprintf(text, sizeof text, "row %llu, line %llu: %s: rows from %llu on are not loaded",
                 (unsigned long long)row.number, (unsigned long long)row.line, why,
                 (unsigned long long)(b->n > 0 ? b->row[0].number : row.number));
        fail(load, EX_DATAERR, text);
    }
    if (got == ROWS_ERROR || b->n == 0) {
        b->timer.data = b;
        batch_closed((uv_handle_t *)&b->timer);
        return NULL;
    }
    return b;
}

static void closed(void *arg)
{
    struct load_call *load = arg;
    if (!uv_is_closing((uv_handle_t *)&load->progress))
        uv_close((uv_handle_t *)&load->progress, NULL);
}

static void pump(struct load_call *load)
{
    while (load->rc == 0 && !load->read_all && load->in_flight < (uint64_t)load->clients) {
        struct batch *b = read_batch(load);
        if (b == NULL)
            break;
        b->load = load;
        b->priority_ms = clock_wall_ms();
        uint64_t ms = load->call->timeout_ms;
        b->retry.deadline_us =
            clock_now_us() + (ms == 0 ? TXN_TIMEOUT_MS_DEFAULT : ms) * UINT64_C(1000);
        prng_seed(&b->retry.prng, random_bits());
        uv_timer_init(&load->loop, &b->timer);
        b->timer.data = b;
        load->in_flight++;
        batch_start(b);
    }
    if (load->in_flight == 0 && !load->closing && (load->rc != 0 || load->read_all)) {
        load->closing = true;
        assent_close_uv(load->db, closed, load);
    }
}

/* ---- showing ---- */

static void on_progress(uv_timer_t *timer)
{
    const struct load_call *load = timer->data;
    double seconds = (double)(clock_now_us() - load->began_us) / 1e6;
    double done = load->size == 0 ? 0 : (double)rows_bytes(load->rows) / (double)load->size;
    int filled = (int)(done * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    if (load->size > 0)
        fprintf(stderr, "\r[%s] %3.0f %%", bar, done * 100);
    fprintf(stderr, "%s  %llu rows, %.0f/s \033[K", load->size > 0 ? "" : "\r",
            (unsigned long long)load->loaded, seconds > 0 ? (double)load->loaded / seconds : 0);
}

static void summary(const struct load_call *load)
{
    double seconds = (double)(clock_now_us() - load->began_us) / 1e6;
    clear_progress(load);
    if (load->call->output == OUTPUT_JSON)
        command_json_print(json_pack("{s:I, s:I, s:I, s:f}", "rows", (json_int_t)load->loaded,
                                     "transactions", (json_int_t)load->transactions, "retries",
                                     (json_int_t)load->retries, "seconds", seconds));
    else
        printf("loaded %llu rows in %llu transactions, %llu retries, %.2f s (%.0f rows/s)\n",
               (unsigned long long)load->loaded, (unsigned long long)load->transactions,
               (unsigned long long)load->retries, seconds,
               seconds > 0 ? (double)load->loaded / seconds : 0);
}

/* ---- the subcommand ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum rows_format format_of(const struct load_call *load)
{
    if (load->format != NULL)
        return strcmp(load->format, "csv") == 0 ? ROWS_CSV : ROWS_JSONL;
    return ends_with(load->path, ".jsonl") || ends_with(load->path, ".ndjson") ||
                   ends_with(load->path, ".json")
               ? ROWS_JSONL
               : ROWS_CSV;
}

static int load_file(struct load_call *load, FILE *file)
{
    assent_options options_of_db;
    int rc = command_options(load->call, &options_of_db);
    if (rc != 0)
        return rc;
    uv_loop_init(&load->loop);
    assent_status status = assent_open_uv(&load->db, &load->loop, &options_of_db);
    if (status != ASSENT_OK) {
        uv_loop_close(&load->loop);
        return command_fail_status(load->call, status, assent_error());
    }
    load->rows = rows_open(file, format_of(load), load->prefix, load->key, load->value);
    load->began_us = clock_now_us();
    uv_timer_init(&load->loop, &load->progress);
    load->progress.data = load;
    if (load->shows_progress)
        uv_timer_start(&load->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    pump(load);
    uv_run(&load->loop, UV_RUN_DEFAULT);
    uv_loop_close(&load->loop);
    summary(load);
    rows_close(load->rows);
    return load->rc;
}

static int run(struct command_call *call)
{
    struct load_call *load = call->own;
    struct stat about;
    load->call = call;
    load->path = call->word[0];
    load->prefix = load->prefix == NULL ? "" : load->prefix;
    load->per_txn = load->per_txn == 0 ? PER_TXN_DEFAULT : load->per_txn;
    load->clients = load->clients == 0 ? CLIENTS_DEFAULT : load->clients;
    load->shows_progress = isatty(STDERR_FILENO) != 0;
    bool standard = strcmp(load->path, "-") == 0;
    FILE *file = standard ? stdin : fopen(load->path, "r");
    if (file == NULL)
        return command_fail(EX_NOINPUT, "load: %s: %s: name a file that can be read", load->path,
                            strerror(errno));
    if (fstat(fileno(file), &about) == 0 && S_ISREG(about.st_mode))
        load->size = (uint64_t)about.st_size;
    int rc = load_file(load, file);
    if (!standard)
        fclose(file);
    return rc;
}

const struct command command_load = {
    .name = "load",
    .words = "FILE",
    .words_min = 1,
    .words_max = 1,
    .summary = "Loads rows of CSV or JSON lines, several in one transaction",
    .detail =
        "FILE may be - for standard input. A transaction is loaded whole or not at all; after a "
        "failure no further rows are read, and what was not loaded is named by row and line.",
    .connects = true,
    .options = options,
    .option = option,
    .own_size = sizeof(struct load_call),
    .run = run,
};
