/* chaos/atomicity: databases as the nodes' own storage writes them, which agree, or do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include "chaos/atomicity.h"
#include "coordinator/record.h"
#include "coordinator/store.h"
#include "participant/kv_store.h"
#include "participant/record.h"
#include "wire/ops_codec.h"

#define NODES      3 /* a coordinator and two participants */
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

enum { C, P1, P2 };

struct books {
    char root[256];
    char path[NODES][300];
    const char *dir[NODES];
    enum role role[NODES];
    struct judgements out;
};

static const char *const names[NODES] = {"c", "p1", "p2"};

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char inner[800];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%.400s/%.255s", path, entry->d_name);
        remove_tree(inner);
    }
    if (dir != NULL)
        closedir(dir);
    remove(path);
}

static int setup(void **state)
{
    struct books *b = xcalloc(1, sizeof *b);
    const char *tmp = getenv("TMPDIR");
    char root[sizeof b->root];
    snprintf(root, sizeof root, "%.200s/assent-atomicity-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(root) == NULL)
        return -1;
    memcpy(b->root, root, sizeof root);
    for (int i = 0; i < NODES; i++) {
        snprintf(b->path[i], sizeof b->path[i], "%.250s/%s", root, names[i]);
        b->dir[i] = b->path[i];
        b->role[i] = i == C ? ROLE_COORDINATOR : ROLE_PARTICIPANT;
    }
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct books *b = *state;
    remove_tree(b->root);
    free(b);
    return 0;
}

/* ---- records ---- */

static struct txid txid_at(uint64_t ms)
{
    return txid_make(ms, 0, ms);
}

static struct record prepared(uint64_t ms)
{
    struct op op = {.kind = OP_PUT, .key = bytes_of("k", 1), .value = bytes_of("v", 1)};
    struct blob *ops = ops_encode(&op, 1);
    struct prepared_record p = {
        .head = {.txid = txid_at(ms), .home = {1, 1}, .epoch = 1},
        .participants = {.n = 2, .id = {2, 3}},
        .client = {"tester"},
        .ops = blob_bytes(ops),
    };
    struct record r = {RECORD_PREPARED, txid_at(ms), hlc_from_ms(ms), prepared_record_encode(&p)};
    blob_unref(ops);
    return r;
}

static struct record committed(uint64_t ms)
{
    return (struct record){RECORD_COMMITTED, txid_at(ms), hlc_from_ms(ms + 1), NULL};
}

static struct record aborted(uint64_t ms)
{
    return (struct record){RECORD_ABORTED, txid_at(ms), 0, aborted_record_encode(ASSENT_TIMED_OUT)};
}

static struct record accepted(uint64_t ms)
{
    const struct participants two = {.n = 2, .id = {2, 3}};
    const struct accepted votes[2] = {{.vote = {.kind = VOTE_PREPARED, .prepare_ts = 1}},
                                      {.vote = {.kind = VOTE_PREPARED, .prepare_ts = 1}}};
    const struct tx_head head = {.txid = txid_at(ms), .home = {1, 1}, .epoch = 1};
    return (struct record){
        RECORD_ACCEPT, txid_at(ms), 0,
        acceptor_record_encode(&head, (struct ballot){0}, false, (struct ballot){0}, &two, votes)};
}

static struct record finished(uint64_t ms, enum outcome_kind kind)
{
    bool committed = kind == OUTCOME_COMMITTED;
    const struct outcome outcome = {kind, committed ? hlc_from_ms(ms + 1) : 0,
                                    committed ? ASSENT_OK : ASSENT_TIMED_OUT};
    return (struct record){RECORD_FINISHED, txid_at(ms), outcome.commit_ts,
                           finished_record_encode(&outcome)};
}

static struct record watermark(uint64_t ms)
{
    return (struct record){RECORD_WATERMARK, {{0}}, hlc_from_ms(ms), NULL};
}

/* Makes the node's database, with these records, and closes it as a clean stop does. Takes over the
 * bodies. */
static void keep(struct books *b, int node, struct record *record, size_t n)
{
    struct store_identity id = {.role = b->role[node], .node = (node_id)(node + 1)};
    struct coordinator_store *coordinator = coordinator_store_new();
    struct kv_store *kv = kv_store_new();
    struct store_role role = node == C ? coordinator_store_role(coordinator) : kv_store_role(kv);
    struct log_store *store = NULL;
    char why[512];
    snprintf(id.name, sizeof id.name, "%s", names[node]);
    assert_int_equal(log_store_create(&disk_posix, b->path[node], &id, &role, LOG_STORE_TAIL_BYTES,
                                      why, sizeof why),
                     ASSENT_OK);
    assert_int_equal(
        log_store_open(&store, &disk_posix, b->path[node], &id, &role, why, sizeof why), ASSENT_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(log_store_begin(store), ASSENT_OK);
        assert_int_equal(log_store_append(store, &record[i]), ASSENT_OK);
        assert_int_equal(log_store_commit(store), ASSENT_OK);
        if (node == C)
            coordinator_store_durable(coordinator, &record[i]);
        else
            kv_store_durable(kv, &record[i]);
        blob_unref(record[i].body);
    }
    log_store_close(store);
    kv_store_free(kv);
    coordinator_store_free(coordinator);
}

#define KEEP(b, node, ...)                                                                         \
    do {                                                                                           \
        struct record list[] = {__VA_ARGS__};                                                      \
        keep(b, node, list, sizeof list / sizeof list[0]);                                         \
    } while (0)

/* ---- judging ---- */

static struct told told(uint64_t ms, enum answer answer)
{
    struct told t = {.answer = answer, .participants = 1 << P1 | 1 << P2};
    struct txid txid = txid_at(ms);
    memcpy(t.txid.bytes, txid.b, TXID_BYTES);
    return t;
}

static void judge(struct books *b, const struct told *answers, size_t n, const char *planted)
{
    b->out.n = 0;
    atomicity_judge_dirs(b->dir, b->role, NODES, answers, n, planted, &b->out);
}

static const struct judgement *named(const struct books *b, const char *name)
{
    for (int i = 0; i < b->out.n; i++)
        if (strcmp(b->out.judgement[i].name, name) == 0)
            return &b->out.judgement[i];
    return NULL;
}

static void expect(const struct books *b, const char *name, enum verdict verdict, const char *says)
{
    const struct judgement *j = named(b, name);
    if (j == NULL)
        fail_msg("no judgement is called %s", name);
    else if (j->verdict != verdict || strstr(j->text, says) == NULL)
        fail_msg("%s: verdict %d: %s", name, j->verdict, j->text);
}

/* "txid: where what, where what" */
static void expect_disagreement(const struct books *b, uint64_t ms, const char *says)
{
    char id[TXID_TEXT_BYTES];
    struct txid txid = txid_at(ms);
    expect(b, "atomicity", VERDICT_FAILED, txid_text(&txid, id));
    expect(b, "atomicity", VERDICT_FAILED, says);
}

static void keep_agreeing(struct books *b)
{
    KEEP(b, C, accepted(5), finished(5, OUTCOME_COMMITTED), accepted(6),
         finished(6, OUTCOME_ABORTED));
    KEEP(b, P1, prepared(5), committed(5), prepared(6), aborted(6));
    KEEP(b, P2, prepared(5), committed(5), aborted(6));
}

static void what_agrees_is_held(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_COMMITTED), told(6, ANSWER_ABORTED),
                                   told(7, ANSWER_UNKNOWN), told(8, ANSWER_ABORTED)};
    keep_agreeing(b);
    judge(b, answers, 4, NULL);
    assert_int_equal(b->out.n, 3);
    expect(b, "atomicity", VERDICT_HELD, "3 transactions, of which 2 are known in more than one");
    expect(b, "nothing-in-doubt", VERDICT_HELD, "0 transactions in doubt at 2 nodes");
    expect(b, "nothing-open", VERDICT_HELD, "0 transactions not settled at 1 nodes");
}

static void a_wrong_answer_to_a_client_is_found(void **state)
{
    struct books *b = *state;
    struct told wrong = told(5, ANSWER_ABORTED);
    keep_agreeing(b);
    judge(b, &wrong, 1, NULL);
    expect_disagreement(b, 5,
                        "its client was told aborted, c committed, p1 committed, p2 committed");
    wrong = told(6, ANSWER_COMMITTED);
    judge(b, &wrong, 1, NULL);
    expect_disagreement(b, 6, "its client was told committed, c aborted, p1 aborted, p2 aborted");
}

static void a_planted_answer_is_found(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_COMMITTED), told(6, ANSWER_ABORTED),
                                   told(9, ANSWER_ABORTED)};
    keep_agreeing(b);
    judge(b, answers, 3, "bank-money");
    expect(b, "atomicity", VERDICT_HELD, "");
    judge(b, answers, 3, "atomicity");
    expect_disagreement(b, 6, "its client was told committed");
}

static void two_outcomes_at_nodes_are_found(void **state)
{
    struct books *b = *state;
    KEEP(b, C, finished(5, OUTCOME_COMMITTED));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, prepared(5), aborted(5));
    judge(b, NULL, 0, NULL);
    expect_disagreement(b, 5, "c committed, p1 committed, p2 aborted");
}

static void a_coordinator_that_differs_is_found(void **state)
{
    struct books *b = *state;
    KEEP(b, C, finished(5, OUTCOME_ABORTED));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, prepared(5), committed(5));
    judge(b, NULL, 0, NULL);
    expect_disagreement(b, 5, "c aborted, p1 committed, p2 committed");
}

static void a_commit_that_a_participant_lacks_is_found(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_COMMITTED)};
    KEEP(b, C, finished(5, OUTCOME_COMMITTED));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, prepared(4), aborted(4));
    judge(b, answers, 1, NULL);
    expect_disagreement(b, 5, "p2 took part, has no record of it");
}

static void a_commit_that_nobody_told_the_client_is_looked_for_too(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_UNKNOWN)};
    KEEP(b, C, finished(5, OUTCOME_COMMITTED));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, prepared(4), aborted(4));
    judge(b, answers, 1, NULL);
    expect_disagreement(b, 5, "p2 took part, has no record of it");
}

static void what_is_forgotten_is_not_missed(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_COMMITTED)};
    KEEP(b, C, finished(5, OUTCOME_COMMITTED));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, watermark(6));
    judge(b, answers, 1, NULL);
    expect(b, "atomicity", VERDICT_HELD, "");
}

static void who_is_in_doubt_is_found(void **state)
{
    struct books *b = *state;
    char id[TXID_TEXT_BYTES], says[80];
    struct txid txid = txid_at(7);
    KEEP(b, C, finished(5, OUTCOME_COMMITTED));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, prepared(5), committed(5), prepared(7));
    judge(b, NULL, 0, NULL);
    snprintf(says, sizeof says, "1 transactions in doubt at 2 nodes: %s at p2",
             txid_text(&txid, id));
    expect(b, "nothing-in-doubt", VERDICT_FAILED, says);
    expect(b, "atomicity", VERDICT_HELD, "");
}

static void an_open_record_is_found(void **state)
{
    struct books *b = *state;
    KEEP(b, C, accepted(5), finished(5, OUTCOME_COMMITTED), accepted(7));
    KEEP(b, P1, prepared(5), committed(5));
    KEEP(b, P2, prepared(5), committed(5));
    judge(b, NULL, 0, NULL);
    expect(b, "nothing-open", VERDICT_FAILED, "1 transactions not settled at 1 nodes: ");
}

static void nodes_that_are_gone_are_left_out(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_COMMITTED)};
    KEEP(b, C, accepted(5));
    KEEP(b, P1, prepared(5), committed(5));
    b->dir[P2] = NULL;
    judge(b, answers, 1, NULL);
    expect(b, "atomicity", VERDICT_HELD, "");
    expect(b, "nothing-in-doubt", VERDICT_HELD, "at 1 nodes");
    assert_null(named(b, "nothing-open")); /* the record waits for the one that is gone */
}

static void what_cannot_be_read_is_not_judged(void **state)
{
    struct books *b = *state;
    char path[400];
    KEEP(b, C, finished(5, OUTCOME_COMMITTED));
    KEEP(b, P1, prepared(5), committed(5));
    judge(b, NULL, 0, NULL); /* there is no P2 */
    expect(b, "atomicity", VERDICT_UNJUDGED, "/p2/node.db cannot be opened");
    expect(b, "nothing-in-doubt", VERDICT_UNJUDGED, "cannot be opened");
    KEEP(b, P2, prepared(5), committed(5));
    judge(b, NULL, 0, NULL);
    expect(b, "atomicity", VERDICT_HELD, "");
    snprintf(path, sizeof path, "%s/node.db", b->path[P2]);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("something else", file);
    fclose(file);
    judge(b, NULL, 0, NULL);
    expect(b, "atomicity", VERDICT_UNJUDGED, "/p2/node.db cannot be read");
}

static void nothing_at_all_is_not_judged(void **state)
{
    struct books *b = *state;
    const struct told answers[] = {told(5, ANSWER_COMMITTED)};
    for (int i = 0; i < NODES; i++)
        KEEP(b, i, watermark(9));
    judge(b, answers, 1, NULL);
    expect(b, "atomicity", VERDICT_UNJUDGED, "0 records at nodes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_agrees_is_held),
        TEST(a_wrong_answer_to_a_client_is_found),
        TEST(a_planted_answer_is_found),
        TEST(two_outcomes_at_nodes_are_found),
        TEST(a_coordinator_that_differs_is_found),
        TEST(a_commit_that_a_participant_lacks_is_found),
        TEST(a_commit_that_nobody_told_the_client_is_looked_for_too),
        TEST(what_is_forgotten_is_not_missed),
        TEST(who_is_in_doubt_is_found),
        TEST(an_open_record_is_found),
        TEST(nodes_that_are_gone_are_left_out),
        TEST(what_cannot_be_read_is_not_judged),
        TEST(nothing_at_all_is_not_judged),
    };
    return cmocka_run_group_tests_name("atomicity", tests, NULL, NULL);
}
