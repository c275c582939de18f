/* More watches than a participant takes of one connection: the others are refused with OVERLOADED,
 * none of the first is disturbed. test_watch.sh builds and runs it.
 *
 *     watches CLUSTER_FILE KEY N     prints "T timed out, O overloaded, C changed" of N watches */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <assent/assent.h>
#include <assent/uv.h>

#define TIMEOUT_MS 4000

struct tally {
    assent *db;
    int left, timed_out, overloaded, changed;
};

static void on_change(assent_status status, assent_list *list, const char *why, void *arg)
{
    struct tally *tally = arg;
    assent_list_free(list);
    tally->timed_out += status == ASSENT_READ_TIMED_OUT;
    tally->overloaded += status == ASSENT_OVERLOADED;
    tally->changed += status == ASSENT_OK;
    if (status != ASSENT_READ_TIMED_OUT && status != ASSENT_OVERLOADED && status != ASSENT_OK)
        printf("%s: %s\n", assent_status_name(status), why);
    if (--tally->left == 0)
        assent_close_uv(tally->db, NULL, NULL);
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    uv_loop_t loop;
    if (argc != 4)
        return 2;
    int n = atoi(argv[3]);
    assent_options options = {.cluster_file = argv[1], .client = "app"};
    assent_watch **watch = calloc((size_t)n, sizeof *watch);
    uv_loop_init(&loop);
    if (assent_open_uv(&tally.db, &loop, &options) != ASSENT_OK) {
        printf("%s\n", assent_error());
        return 2;
    }
    tally.left = n;
    for (int i = 0; i < n; i++)
        if (assent_watch_open(tally.db, argv[2], strlen(argv[2]), NULL, 0, 0, NULL, &watch[i]) !=
                ASSENT_OK ||
            assent_watch_next_uv(watch[i], TIMEOUT_MS, on_change, &tally) != ASSENT_OK) {
            printf("%s\n", assent_error());
            return 2;
        }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    for (int i = 0; i < n; i++)
        assent_watch_close(watch[i]);
    free(watch);
    printf("%d timed out, %d overloaded, %d changed\n", tally.timed_out, tally.overloaded,
           tally.changed);
    return 0;
}
