/* runtime/admission: who may connect, and what a refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/admission.h"

static struct cluster_node nodes[] = {
    {.id = 1, .name = "a0", .role = ROLE_COORDINATOR, .key = {{1}}, .keys = 1},
    {.id = 2, .name = "p1", .role = ROLE_PARTICIPANT, .key = {{2}, {22}}, .keys = 2},
};
static struct cluster_client clients[] = {{.name = "alice", .key = {{9}}, .keys = 1}};
static const struct cluster cluster = {
    .epoch = 3, .set_hash = 10, .nodes = 2, .node = nodes, .clients = 1, .client = clients};
static const struct hello a0 = {ROLE_COORDINATOR, 1, 1, 3, 10, "a0"};
static const struct hello p1 = {ROLE_PARTICIPANT, 2, 1, 3, 10, "p1"};
static const struct hello alice = {ROLE_CLIENT, 0, 0, 3, 10, "alice"};

static char why[512];

/* The key is 32 bytes that begin with `key`. */
static bool admitted(const struct hello *self, struct hello peer, uint8_t key)
{
    uint8_t whole[NOISE_KEY_BYTES] = {key};
    why[0] = '\0';
    return admission_check(&cluster, self, &peer, whole, why, sizeof why);
}

static void refused(const struct hello *self, struct hello peer, uint8_t key, const char *words)
{
    assert_false(admitted(self, peer, key));
    if (strstr(why, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, why);
}

static void nodes_and_clients_of_the_file_are_admitted(void **state)
{
    (void)state;
    assert_true(admitted(&a0, p1, 2));
    assert_true(admitted(&a0, p1, 22));
    assert_true(admitted(&p1, a0, 1));
    assert_true(admitted(&a0, alice, 9));
    assert_true(admitted(&alice, a0, 1));
}

static void whoever_is_not_in_the_file_as_it_says_is_refused(void **state)
{
    (void)state;
    struct hello peer = p1;
    peer.node = 7;
    refused(&a0, peer, 2, "participant 'p1' with id 7 is not in this node's cluster file");
    peer = p1;
    memcpy(peer.name, "p2", 3);
    refused(&a0, peer, 2, "name of node 2 differs: this node has 'p1', the peer has 'p2'");
    peer = p1;
    peer.role = ROLE_COORDINATOR;
    refused(&a0, peer, 2,
            "role of 'p1' differs: this node has participant, the peer has coordinator");
    peer = alice;
    memcpy(peer.name, "eve", 4);
    refused(&a0, peer, 9, "client 'eve' is not in this node's cluster file");
    peer = alice;
    peer.node = 2;
    refused(&a0, peer, 9, "client 'alice' claims node id 2");
}

static void another_key_is_refused_even_if_it_belongs_to_someone_else(void **state)
{
    (void)state;
    refused(&a0, p1, 1, "the key 0100000000000000... is not one");
    refused(&a0, alice, 2, "gives to client 'alice'");
    refused(&a0, p1, 0, "is not one");
    struct hello peer = p1;
    peer.epoch = 4;
    refused(&a0, peer, 5, "(this node has epoch 3, the peer 4)");
}

static void a_node_refuses_itself(void **state)
{
    (void)state;
    refused(&a0, a0, 1, "'a0' is this node itself");
}

static void epoch_and_set_must_be_equal_and_are_both_named(void **state)
{
    (void)state;
    struct hello peer = p1;
    peer.epoch = 2;
    refused(&a0, peer, 2,
            "epoch differs: this node has 3, the peer has 2; start both with the same cluster "
            "file");
    peer = alice;
    peer.set_hash = 11;
    refused(&a0, peer, 9,
            "coordinator set differs: this node has 000000000000000a, the peer has "
            "000000000000000b");
    refused(&peer, a0, 1, "coordinator set differs");
}

static void the_oldest_of_the_network_that_has_the_most_gives_way(void **state)
{
    (void)state;
    const uint64_t different[] = {7, 5, 9}, crowd[] = {1, 2, 3, 2, 1, 2}, even[] = {4, 8, 8, 4};
    assert_int_equal(admission_victim(different, 1), 0);
    assert_int_equal(admission_victim(different, 3), 0);
    assert_int_equal(admission_victim(crowd, 6), 1);
    assert_int_equal(admission_victim(crowd, 3), 0);
    assert_int_equal(admission_victim(even, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_and_clients_of_the_file_are_admitted),
        cmocka_unit_test(whoever_is_not_in_the_file_as_it_says_is_refused),
        cmocka_unit_test(another_key_is_refused_even_if_it_belongs_to_someone_else),
        cmocka_unit_test(a_node_refuses_itself),
        cmocka_unit_test(epoch_and_set_must_be_equal_and_are_both_named),
        cmocka_unit_test(the_oldest_of_the_network_that_has_the_most_gives_way),
    };
    return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
