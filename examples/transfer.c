/* Moves money between two accounts, which may lie in different datacenters: both change or neither,
 * and no balance falls below zero, whatever crashes meanwhile.
 *
 *     cc -o transfer transfer.c $(pkg-config --cflags --libs assent)
 *     ./transfer cluster.yaml app acct/alice acct/bob 30 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <assent/assent.h>

struct transfer {
    const char *from;
    const char *to;
    int64_t amount;
};

/* Called again, with a fresh transaction, for every attempt. */
static assent_status build(assent_txn *t, void *arg)
{
    const struct transfer *transfer = arg;
    const assent_bounds not_below_zero = {.has_lower = true, .lower = 0};
    assent_status status =
        assent_add(t, transfer->from, strlen(transfer->from), -transfer->amount, &not_below_zero);
    if (status == ASSENT_OK)
        status = assent_add(t, transfer->to, strlen(transfer->to), transfer->amount, NULL);
    return status;
}

static void print_balance(assent *db, const char *account)
{
    assent_list *list;
    assent_status status = assent_get(db, account, strlen(account), &list);
    if (status == ASSENT_OK) {
        const assent_entry *entry = assent_list_entry(list, 0);
        printf("%s: %.*s\n", account, (int)entry->value_len, (const char *)entry->value);
        assent_list_free(list);
    } else {
        printf("%s: %s\n", account, assent_error());
    }
}

/* Asks until it is known, or three times. */
static assent_status ask_again(assent *db, const assent_txid *id)
{
    assent_status status = ASSENT_UNKNOWN;
    for (int i = 0; i < 3 && (status == ASSENT_UNKNOWN || status == ASSENT_PENDING); i++)
        status = assent_outcome(db, id, 0, NULL);
    return status;
}

static int transfer_once(assent *db, struct transfer *transfer)
{
    char id[ASSENT_TXID_TEXT];
    assent_commit_info info;
    assent_status status = assent_run(db, build, transfer, 0, &info);
    if (assent_maybe_committed(status)) {
        printf("the answer was lost; asking what became of %s\n", assent_txid_text(&info.txid, id));
        status = ask_again(db, &info.txid);
    }
    if (status == ASSENT_OK)
        printf("moved %" PRId64 " from %s to %s\n", transfer->amount, transfer->from, transfer->to);
    else if (assent_maybe_committed(status))
        printf("not known yet, do not repeat it: ask for the outcome of %s\n",
               assent_txid_text(&info.txid, id));
    else
        printf("nothing was moved: %s\n", assent_error());
    return status == ASSENT_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    char *end;
    if (argc != 6) {
        fprintf(stderr, "usage: %s CLUSTER-FILE CLIENT FROM TO AMOUNT\n", argv[0]);
        return 2;
    }
    errno = 0;
    struct transfer transfer = {argv[3], argv[4], strtoll(argv[5], &end, 10)};
    if (errno != 0 || *end != '\0' || transfer.amount <= 0) {
        fprintf(stderr, "%s: the amount must be a positive integer\n", argv[5]);
        return 2;
    }
    assent *db;
    assent_options options = {.cluster_file = argv[1], .client = argv[2]};
    if (assent_open(&db, &options) != ASSENT_OK) {
        fprintf(stderr, "%s\n", assent_error());
        return 2;
    }
    int failed = transfer_once(db, &transfer);
    print_balance(db, transfer.from);
    print_balance(db, transfer.to);
    assent_close(db);
    return failed;
}
