/* coordinator/node and participant/node: what a start makes of the database, on simulated disks. A
 * read that fails must not hide what is there, nor be taken for damage; damaged records and those
 * of another coordinator set are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/node.h"
#include "coordinator/record.h"
#include "participant/node.h"
#include "participant/record.h"
#include "runtime/driver.h"
#include "tests/sim/disks.h"
#include "wire/ops_codec.h"

#define MACHINE     "/m1"
#define COORDINATOR 1
#define PARTICIPANT 11
#define NOW_MS      UINT64_C(1700000000000)

static struct {
    struct disks *disks;
    struct cluster cluster;
    struct cluster_node node[2];
    const struct cluster_node *self;
    struct coordinator_node *coordinator;
    struct participant_node *participant;
    struct node_role role;
    struct node_start start;
    char why[512];
} r;

static const uint8_t key[NOISE_KEY_BYTES];

/* ---- one node on its disk ---- */

static void role_new(void)
{
    if (r.self->role == ROLE_COORDINATOR) {
        r.coordinator = coordinator_node_new();
        r.role = coordinator_node_role(r.coordinator);
    } else {
        r.participant = participant_node_new();
        r.role = participant_node_role(r.participant);
    }
}

static void role_free(void)
{
    coordinator_node_free(r.coordinator);
    participant_node_free(r.participant);
    r.coordinator = NULL;
    r.participant = NULL;
}

static assent_status create_store(void)
{
    role_new();
    struct store_identity id = driver_identity(&r.cluster, r.self, key);
    struct store_role store = r.role.store_role(r.role.arg);
    assent_status status = log_store_create(disks_disk(r.disks), MACHINE, &id, &store,
                                            DISKS_TAIL_BYTES, r.why, sizeof r.why);
    role_free();
    return status;
}

static void begin(enum role role)
{
    static uint64_t seed;
    memset(&r, 0, sizeof r);
    r.disks = disks_new(++seed);
    r.node[0] = (struct cluster_node){.id = COORDINATOR, .name = "c", .role = ROLE_COORDINATOR};
    r.node[1] = (struct cluster_node){.id = PARTICIPANT, .name = "p", .role = ROLE_PARTICIPANT};
    r.cluster = (struct cluster){.name = "test",
                                 .epoch = 1,
                                 .set_hash = 9,
                                 .datacenters = 1,
                                 .nodes = 2,
                                 .node = r.node,
                                 .coordinators = 1,
                                 .coordinator = {COORDINATOR},
                                 .in_doubt_timeout_ms = 1000,
                                 .retention_ms = 3600000,
                                 .clock_ahead_ms = 5000,
                                 .txid_skew_ms = 300000};
    r.self = &r.node[role == ROLE_COORDINATOR ? 0 : 1];
}

static void create(enum role role)
{
    begin(role);
    assert_int_equal(create_store(), ASSENT_OK);
}

static assent_status start(void)
{
    uint32_t in_doubt = 0;
    role_new();
    r.start = (struct node_start){.cluster = &r.cluster, .self = r.self};
    return driver_open(&r.role, disks_disk(r.disks), MACHINE, key, false, &r.start, &in_doubt,
                       r.why, sizeof r.why);
}

static void kill_process(void)
{
    disks_crash(r.disks, MACHINE, DISKS_LOSE_PROCESS);
    log_store_abandon(r.start.store);
    r.start.store = NULL;
    r.role.close(r.role.arg);
    role_free();
}

static void destroy(void)
{
    kill_process();
    disks_free(r.disks);
}

/* Takes over the record's body. */
static void append(struct record record)
{
    assert_int_equal(log_store_begin(r.start.store), ASSENT_OK);
    assert_int_equal(log_store_append(r.start.store, &record), ASSENT_OK);
    assert_int_equal(log_store_commit(r.start.store), ASSENT_OK);
    r.role.durable(r.role.arg, &record);
    blob_unref(record.body);
}

/* All that was appended is in the tables, and nothing is left in the log. */
static void stop(void)
{
    log_store_close(r.start.store);
    r.start.store = NULL;
    r.role.close(r.role.arg);
    role_free();
}

/* ---- transactions ---- */

static struct txid finished_id(void)
{
    return txid_make(NOW_MS, r.self->role == ROLE_PARTICIPANT ? PARTICIPANT : 0, 1);
}

static struct txid open_id(void)
{
    return txid_make(NOW_MS - 1000, 0, 2);
}

/* A record of a transaction that is not decided. */
static struct record open_record(uint32_t epoch, uint64_t set_hash, const struct participants *p)
{
    struct tx_head head = {open_id(), {COORDINATOR, 1}, epoch, set_hash};
    struct record record = {.txid = open_id()};
    if (r.self->role == ROLE_COORDINATOR) {
        struct accepted accepted[PARTICIPANTS_MAX] = {{.vote = {VOTE_PREPARED, 1, ASSENT_OK}}};
        struct ballot zero = {0};
        record.kind = RECORD_ACCEPT;
        record.body = acceptor_record_encode(&head, zero, false, zero, p, accepted);
    } else {
        /* no operations: an array of none (MessagePack) */
        struct prepared_record prepared = {
            .head = head, .participants = *p, .ops = bytes_of("\x90", 1)};
        record.kind = RECORD_PREPARED;
        record.ts = 1;
        record.body = prepared_record_encode(&prepared);
    }
    return record;
}

static struct record finished_record(void)
{
    struct record record = {.txid = finished_id()};
    if (r.self->role == ROLE_COORDINATOR) {
        struct outcome outcome = {OUTCOME_COMMITTED, 5, ASSENT_OK};
        record.kind = RECORD_FINISHED;
        record.ts = outcome.commit_ts;
        record.body = finished_record_encode(&outcome);
    } else {
        record.kind = RECORD_ABORTED;
        record.body = aborted_record_encode(ASSENT_CONFLICT);
    }
    return record;
}

static const struct participants two = {.n = 2, .id = {PARTICIPANT, PARTICIPANT + 1}};

/* Asked about the finished transaction, a node that has just started knows it or asks its disk. */
static void assert_outcome_is_not_hidden(void)
{
    struct effects effects;
    effects_init(&effects);
    r.role.start(r.role.arg, 1, NOW_MS, &effects);
    effects_free(&effects);
    effects_init(&effects);
    struct tx_head head = {finished_id(), {COORDINATOR, 1}, 1, 9};
    struct event e = {.kind = EVENT_MESSAGE,
                      .now_us = 1,
                      .wall_ms = NOW_MS,
                      .from = addr_node(r.self->role == ROLE_PARTICIPANT ? COORDINATOR : 0),
                      .msg = msg_new(MSG_OUTCOME, &head)};
    r.role.step(r.role.arg, &e, &effects);
    msg_unref(e.msg);
    const struct effect *effect = TAILQ_FIRST(&effects);
    assert_non_null(effect);
    if (effect->kind != EFFECT_LOOKUP) {
        assert_int_equal(effect->kind, EFFECT_SEND);
        assert_int_equal(effect->msg->type, MSG_RESULT);
        assert_int_equal(effect->msg->result.status,
                         r.self->role == ROLE_COORDINATOR ? ASSENT_OK : ASSENT_CONFLICT);
    }
    effects_free(&effects);
}

/* ---- tests ---- */

static void append_some(enum role role)
{
    create(role);
    assert_int_equal(start(), ASSENT_OK);
    append(open_record(1, 9, &two));
    append(finished_record());
}

/* Starts again and again, each time with the fault one operation later, until it is not met. */
static void fail_each(enum disks_fault fault)
{
    uint32_t n = 0, failed = 0;
    bool fired = true;
    while (fired) {
        disks_arm(r.disks, MACHINE, fault, ++n);
        assent_status status = start();
        fired = disks_fired(r.disks, MACHINE);
        disks_disarm(r.disks, MACHINE);
        failed += status != ASSENT_OK;
        if (status == ASSENT_OK)
            assert_outcome_is_not_hidden();
        else
            assert_int_equal(status, ASSENT_STORAGE);
        kill_process();
        assert_int_equal(start(), ASSENT_OK);
        kill_process();
    }
    assert_true(failed > 1);
}

static void a_read_that_fails_at_a_start_hides_no_outcome_and_is_no_damage(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        append_some(i == 0 ? ROLE_COORDINATOR : ROLE_PARTICIPANT);
        stop();
        fail_each(DISKS_FAULT_READ_ERROR);
        disks_free(r.disks);
    }
}

static void a_write_that_fails_at_a_start_refuses_that_start_alone(void **state)
{
    (void)state;
    append_some(ROLE_COORDINATOR);
    kill_process(); /* rows are to be put back from the tail */
    fail_each(DISKS_FAULT_WRITE_ERROR);
    fail_each(DISKS_FAULT_SYNC_ERROR);
    disks_free(r.disks);
}

static void a_creation_that_says_no_error_survives_the_loss_of_power(void **state)
{
    static const enum disks_fault faults[] = {DISKS_FAULT_READ_ERROR, DISKS_FAULT_WRITE_ERROR,
                                              DISKS_FAULT_SYNC_ERROR};
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool fired = true;
        uint32_t n = 0;
        while (fired) {
            begin(ROLE_PARTICIPANT);
            disks_arm(r.disks, MACHINE, faults[i], ++n);
            assent_status status = create_store();
            fired = disks_fired(r.disks, MACHINE);
            assert_int_equal(r.why[0] == '\0', status == ASSENT_OK);
            disks_disarm(r.disks, MACHINE);
            disks_crash(r.disks, MACHINE, DISKS_LOSE_POWER);
            if (status == ASSENT_OK) { /* whatever failed did not matter */
                assert_int_equal(start(), ASSENT_OK);
                kill_process();
            } else {
                assert_int_equal(status, ASSENT_STORAGE);
            }
            disks_free(r.disks);
        }
        assert_true(i == 0 || n > 1);
    }
}

static void open_again(enum role role, struct record (*record)(void), bool applied,
                       assent_status want, const char *why)
{
    create(role);
    assert_int_equal(start(), ASSENT_OK);
    append(record());
    if (applied)
        stop();
    else
        kill_process();
    assert_int_equal(start(), want);
    assert_non_null(strstr(r.why, why));
    destroy();
}

static struct record of_epoch_2(void)
{
    return open_record(2, 9, &two);
}

static struct record of_another_set(void)
{
    return open_record(1, 8, &two);
}

static void records_of_another_coordinator_set_are_refused(void **state)
{
    (void)state;
    open_again(ROLE_COORDINATOR, of_epoch_2, true, ASSENT_CONFIG,
               "1 transactions are not decided, some of epoch 2");
    open_again(ROLE_COORDINATOR, of_epoch_2, false, ASSENT_CONFIG, "some of epoch 2");
    open_again(ROLE_PARTICIPANT, of_epoch_2, true, ASSENT_CONFIG,
               "1 transactions are in doubt, some of epoch 2");
    open_again(ROLE_COORDINATOR, of_another_set, true, ASSENT_CONFIG, "another coordinator set");
    open_again(ROLE_PARTICIPANT, of_another_set, true, ASSENT_CONFIG, "another coordinator set");
}

static struct record of_no_participants(void)
{
    static const struct participants unsorted = {.n = 2, .id = {PARTICIPANT + 1, PARTICIPANT}};
    return open_record(1, 9, &unsorted);
}

static void a_damaged_record_is_refused(void **state)
{
    (void)state;
    open_again(ROLE_COORDINATOR, of_no_participants, true, ASSENT_CORRUPT,
               "a record in the log is damaged");
    open_again(ROLE_COORDINATOR, of_no_participants, false, ASSENT_CORRUPT,
               "a record in the log is damaged");
}

static void a_key_without_a_placement_is_refused(void **state)
{
    static struct cluster_client client = {.name = "app", .admin = true};
    static const struct client_name name = {"app"};
    struct effects effects;
    (void)state;
    create(ROLE_PARTICIPANT);
    r.cluster.client = &client;
    r.cluster.clients = 1;
    assert_int_equal(start(), ASSENT_OK);
    struct op op = {.kind = OP_PUT, .key = bytes_of_text("k"), .value = bytes_of_text("v")};
    struct tx_head head = {open_id(), {COORDINATOR, 1}, 1, 9};
    struct event e = {.kind = EVENT_MESSAGE,
                      .now_us = 1,
                      .wall_ms = NOW_MS,
                      .from = addr_node(COORDINATOR),
                      .msg = msg_new(MSG_PREPARE, &head)};
    e.msg->prepare.participants = two;
    e.msg->prepare.pin = r.start.incarnation;
    e.msg->prepare.client = name;
    e.msg->prepare.ops = ops_encode(&op, 1);
    effects_init(&effects);
    r.role.start(r.role.arg, 1, NOW_MS, &effects);
    effects_free(&effects);
    effects_init(&effects);
    r.role.step(r.role.arg, &e, &effects);
    msg_unref(e.msg);
    const struct effect *effect = TAILQ_FIRST(&effects);
    assert_non_null(effect);
    assert_int_equal(effect->msg->type, MSG_VOTE);
    assert_int_equal(effect->msg->vote.vote.reason, ASSENT_WRONG_PLACEMENT);
    effects_free(&effects);
    destroy();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_fails_at_a_start_hides_no_outcome_and_is_no_damage),
        cmocka_unit_test(a_write_that_fails_at_a_start_refuses_that_start_alone),
        cmocka_unit_test(a_creation_that_says_no_error_survives_the_loss_of_power),
        cmocka_unit_test(records_of_another_coordinator_set_are_refused),
        cmocka_unit_test(a_damaged_record_is_refused),
        cmocka_unit_test(a_key_without_a_placement_is_refused),
    };
    return cmocka_run_group_tests_name("opening a node", tests, NULL, NULL);
}
