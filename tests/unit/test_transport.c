/* runtime/transport: connections between transports of one process, over loopback. */
#include "transport_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>

#include "common/prng.h"

#define CONNECTED(p, node) (transport_peer((p)->t, node) != NULL)

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!contains(text, part))                                                                 \
            fail_msg("\"%s\" is not in \"%s\"", part, text);                                       \
    } while (0)

/* a0 dials b0; both up. */
static void pair_up(struct fixture *f, struct party **a, struct party **b)
{
    *b = node_listening(f, NODE_B, 1);
    *a = node_start(f, NODE_A, 1);
    transport_dial((*a)->t, NODE_B);
    WAIT_FOR(f, (*a)->ups == 1 && (*b)->ups == 1);
}

/* ---- messages ---- */

static void messages_arrive_both_ways_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    assert_int_equal(b->peer.node, NODE_A);
    assert_int_equal(b->peer.role, ROLE_COORDINATOR);
    assert_string_equal(b->peer.name.text, "a0");
    b->echo = true;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(send_number(a, addr_node(NODE_B), i), ASSENT_OK);
        if (i % 100 == 0)
            uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    WAIT_FOR(f, a->messages == 1000);
    assert_int_equal(b->messages, 1000);
    assert_false(a->disorder || b->disorder);
}

static void large_messages_arrive_whole_among_small_ones(void **state)
{
    struct fixture *f = *state;
    struct party *a, *p;
    p = node_listening(f, NODE_P, 1);
    a = node_start(f, NODE_A, 1);
    transport_dial(a->t, NODE_P);
    WAIT_FOR(f, a->ups == 1 && p->ups == 1);
    struct tx_head head = head_of(EPOCH, SET_HASH);
    struct msg *m = msg_new(MSG_PREPARE, &head);
    m->prepare.participants = (struct participants){1, {NODE_P}};
    uint8_t *ops = xcalloc(1, OPS_BYTES_MAX);
    m->prepare.ops = blob_new(bytes_of(ops, OPS_BYTES_MAX));
    free(ops);
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(transport_send(a->t, addr_node(NODE_P), m), ASSENT_OK);
        assert_int_equal(send_number(a, addr_node(NODE_P), i), ASSENT_OK);
    }
    msg_unref(m);
    WAIT_FOR(f, p->messages == 24);
    assert_false(p->disorder);
}

static void what_is_sent_in_one_turn_leaves_in_one_write(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    WAIT_FOR(f, a->t != NULL && transport_peer(a->t, NODE_B)->rtt_us > 0); /* the pings are over */
    uint64_t before = stats_of(a).writes, sent = stats_of(a).messages_out;
    for (uint32_t i = 0; i < 1000; i++)
        send_number(a, addr_node(NODE_B), i);
    assert_int_equal(stats_of(a).writes, before);
    WAIT_FOR(f, b->messages == 1000);
    /* one, and one more if a ping fell into these turns */
    assert_in_range(stats_of(a).writes - before, 1, 2);
    assert_true(stats_of(a).messages_out - sent >= 1000);
}

static void sends_to_who_is_not_connected_are_unreachable(void **state)
{
    struct fixture *f = *state;
    struct party *a = node_start(f, NODE_A, 1);
    assert_int_equal(send_number(a, addr_node(NODE_B), 0), ASSENT_UNREACHABLE);
    assert_int_equal(send_number(a, addr_node(NODES_MAX + 1), 0), ASSENT_UNREACHABLE);
    assert_int_equal(send_number(a, (struct addr){0, 12345}, 0), ASSENT_UNREACHABLE);
    assert_null(transport_peer(a->t, 0));
}

static void a_message_of_another_epoch_is_dropped_and_the_connection_stays(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    struct tx_head wrong[] = {head_of(EPOCH + 1, SET_HASH), head_of(EPOCH, SET_HASH + 1)};
    FILE *lines = tmpfile();
    int saved = dup(STDERR_FILENO);
    dup2(fileno(lines), STDERR_FILENO);
    for (int i = 0; i < 100; i++) {
        struct msg *m = msg_new(MSG_OUTCOME, &wrong[i % 2]);
        assert_int_equal(transport_send(a->t, addr_node(NODE_B), m), ASSENT_OK);
        msg_unref(m);
    }
    send_number(a, addr_node(NODE_B), 0);
    WAIT_FOR(f, b->messages == 1);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_false(b->disorder);
    assert_int_equal(b->downs, 0);
    char log[16384];
    rewind(lines);
    log[fread(log, 1, sizeof log - 1, lines)] = '\0';
    fclose(lines);
    assert_contains(log, "epoch 3 and coordinator set 0123456789abcdef");
    assert_contains(log, "epoch 4 and set 0123456789abcdef");
    assert_contains(log, "epoch 3 and set 0123456789abcdf0");
    int count = 0;
    for (const char *at = log; (at = strstr(at, "dropped")) != NULL; at++)
        count++;
    assert_in_range(count, 1, 10);
}

static void a_message_that_the_peers_role_may_not_send_closes_the_connection(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *alice = client_prepare(f, ALICE);
    party_start(alice);
    transport_dial(alice->t, NODE_B);
    WAIT_FOR(f, alice->ups == 1 && b->ups == 1);
    struct tx_head head = head_of(EPOCH, SET_HASH);
    struct msg *m = msg_new(MSG_PROMISE_ASK, &head);
    transport_send(alice->t, addr_node(NODE_B), m);
    msg_unref(m);
    WAIT_FOR(f, b->downs == 1);
    assert_string_equal(b->why, "a client may not send PROMISE_ASK to a coordinator");
    assert_int_equal(b->messages, 0);
    WAIT_FOR(f, alice->downs == 1);
}

static void a_malformed_message_closes_only_its_connection(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    struct raw *raw = raw_connect(client_prepare(f, ALICE), NODE_B);
    WAIT_FOR(f, raw->open && b->ups == 2);
    const uint8_t map32[] = {0, 0, 0, 6, 0x91, 0xdf, 0xff, 0xff, 0xff, 0xff};
    writer_raw(&raw->conn.plain, map32, sizeof map32);
    struct msg *m = msg_new(MSG_PING, NULL);
    raw_send(raw, m);
    msg_unref(m);
    WAIT_FOR(f, b->downs == 1);
    assert_contains(b->why, "malformed message: ");
    WAIT_FOR(f, raw->failed);
    assert_true(CONNECTED(b, NODE_A) && CONNECTED(a, NODE_B));
    send_number(a, addr_node(NODE_B), 0);
    WAIT_FOR(f, b->messages == 1);
}

/* ---- garbage before and inside the channel ---- */

/* From 127.0.0.<last>. */
static int plain_connect_from(unsigned last, uint16_t port)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    from.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffu) | last);
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int plain_connect(uint16_t port)
{
    return plain_connect_from(1, port);
}

/* Whether the other end is gone; drops what it said. */
static bool plain_ended(int fd)
{
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof buf);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void garbage_on_a_socket_closes_only_that_socket(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    static const char http[] = "GET /metrics HTTP/1.1\r\nHost: b0\r\n\r\n";
    struct prng prng;
    prng_seed(&prng, 11);
    for (int i = 0; i < 20; i++) {
        int fd = plain_connect(f->node[NODE_B - 1].port);
        char noise[5000];
        for (size_t j = 0; j < sizeof noise; j++)
            noise[j] = (char)prng_u64(&prng);
        if (i >= 10) /* after a good beginning */
            memcpy(noise, "ASNT\1\1", 6);
        if (i >= 15)
            memcpy(noise + 6, f->cluster.id, CLUSTER_ID_BYTES);
        if (i == 0)
            assert_true(write(fd, http, sizeof http - 1) > 0);
        else
            assert_true(write(fd, noise, sizeof noise) > 0);
        WAIT_FOR(f, plain_ended(fd));
        close(fd);
    }
    assert_int_equal(a->downs, 0);
    assert_int_equal(b->downs, 0);
    send_number(a, addr_node(NODE_B), 0);
    WAIT_FOR(f, b->messages == 1);
}

static void damaged_bytes_close_the_connection_and_it_comes_back(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_start(f, NODE_A, 1);
    struct relay *relay = relay_before(f, NODE_B);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->ups == 1 && b->ups == 1);
    relay->damage = true;
    for (uint32_t i = 0; i < 100; i++)
        send_number(a, addr_node(NODE_B), i);
    WAIT_FOR(f, a->ups == 2 && b->ups == 2);
    assert_string_equal(a->events, "+-+");
    assert_string_equal(b->events, "+-+");
    assert_false(b->disorder);
}

static void an_idle_socket_is_closed_when_the_handshake_takes_too_long(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    b->config.bounds.handshake_timeout_ms = 50;
    party_start(b);
    party_listen(b);
    int fd = plain_connect(f->node[NODE_B - 1].port);
    WAIT_FOR(f, plain_ended(fd));
    close(fd);
}

/* ---- who may come in ---- */

/* Starts `a`, which dials `b`, which refuses it with these words; a hears them. */
static void assert_refused(struct fixture *f, struct party *a, struct party *b, const char *words)
{
    uint64_t before = stats_of(b).refused;
    int ups = b->ups;
    party_start(a);
    transport_dial(a->t, b->config.self.node);
    WAIT_FOR(f, a->unreachables >= 1);
    if (!contains(a->unreached, words))
        fail_msg("\"%s\" is not in \"%s\"", words, a->unreached);
    assert_int_equal(a->ups, 0);
    assert_int_equal(b->ups, ups);
    assert_true(stats_of(b).refused > before);
    party_close(a, 0);
}

static void an_unknown_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_prepare(f, NODE_A, 1);
    a->config.keys = f->stranger;
    assert_refused(f, a, b, "is not one that this node's cluster file gives to coordinator 'a0'");
}

static void another_epoch_is_refused_naming_both(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_prepare(f, NODE_A, 1);
    a->config.self.epoch = EPOCH - 1;
    assert_refused(f, a, b,
                   "epoch differs: this node has 3, the peer has 2; start both with the same "
                   "cluster file");
}

static void another_coordinator_set_is_refused_naming_both(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_prepare(f, NODE_A, 1);
    a->config.self.set_hash = 1;
    assert_refused(f, a, b,
                   "coordinator set differs: this node has 0123456789abcdef, the peer has "
                   "0000000000000001");
}

static void another_cluster_is_refused_naming_both(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_prepare(f, NODE_A, 1);
    struct cluster other = f->cluster;
    other.id[0] = 0xee;
    a->config.cluster = &other;
    party_start(a);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->unreachables >= 1);
    assert_contains(a->unreached, "eec1c1c1c1c1c1c1c1c1c1c1c1c1c1c1");
    assert_contains(a->unreached, "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1");
    assert_int_equal(b->ups, 0);
    party_close(a, 0);
}

static void a_client_that_the_cluster_file_does_not_have_is_refused(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *eve = client_prepare(f, ALICE);
    memcpy(eve->config.self.name, "eve", 4);
    assert_refused(f, eve, b, "client 'eve' is not in this node's cluster file");
    struct party *bob = client_prepare(f, BOB);
    bob->config.keys = f->client_keys[ALICE];
    assert_refused(f, bob, b, "gives to client 'bob'");
}

static void a_dialler_refuses_whoever_is_not_the_one_it_dialled(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1), *a = node_start(f, NODE_A, 1);
    b->config.self.node = NODE_P; /* says that it is p1, with the key of b0 */
    b->config.self.role = ROLE_PARTICIPANT;
    memcpy(b->config.self.name, "p1", 3);
    party_start(b);
    party_listen(b);
    f->node[NODE_B - 1].port = f->node[NODE_P - 1].port;
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->unreachables >= 1);
    assert_contains(a->unreached, "'p1' (id 3) answered where 'b0' (id 2) was expected");
    assert_int_equal(a->ups, 0);
}

static void a_dialler_refuses_a_lower_incarnation(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    party_start(b);
    party_listen(b);
    struct party *a = node_start(f, NODE_A, 1);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->ups == 1);
    party_close(b, 0);
    b->config.self.incarnation = 0; /* lower than the 1 that a0 has seen */
    party_start(b);
    party_listen(b);
    WAIT_FOR(f, contains(a->unreached, "incarnation of 'b0' went back"));
    assert_contains(a->unreached, "this node has seen 1, the peer has 0");
}

static void either_key_of_a_rotation_will_do(void **state)
{
    struct fixture *f = *state;
    struct noise_keypair old = f->stranger;
    struct cluster_node *node = &f->node[NODE_B - 1];
    memcpy(node->key[1], node->key[0], NOISE_KEY_BYTES);
    memcpy(node->key[0], old.public, NOISE_KEY_BYTES);
    node->keys = 2;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_start(f, NODE_A, 1);
    transport_dial(a->t, NODE_B); /* expects the old key first */
    WAIT_FOR(f, a->ups == 1 && b->ups == 1);
    party_close(b, 0);
    b->config.keys = old;
    party_start(b);
    party_listen(b);
    WAIT_FOR(f, a->ups == 2);
}

/* ---- coming back ---- */

static void a_peer_that_comes_back_with_a_higher_incarnation_is_dialled_again(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    party_close(b, 0);
    WAIT_FOR(f, a->downs == 1 && a->unreachables > 0);
    assert_contains(a->why, "127.0.0.1");
    assert_contains(a->unreached, "connection refused");
    b->config.self.incarnation = 2;
    party_start(b);
    party_listen(b);
    WAIT_FOR(f, a->ups == 2 && b->ups == 2);
    assert_int_equal(a->peer.incarnation, 2);
    assert_string_equal(a->events, "+-+");
}

static void a_lower_incarnation_is_refused(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_start(f, NODE_A, 7);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, b->ups == 1);
    party_close(a, 0);
    WAIT_FOR(f, b->downs == 1);
    a->config.self.incarnation = 6;
    a->ups = 0;
    assert_refused(f, a, b, "incarnation of 'a0' went back: this node has seen 7, the peer has 6");
}

static void a_newer_connection_of_a_node_replaces_the_older(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    struct party *again = node_prepare(f, NODE_A, 2);
    a->hang_up_on_down = true; /* or the two would replace each other for ever */
    party_start(again);
    transport_dial(again->t, NODE_B);
    WAIT_FOR(f, again->ups == 1 && b->ups == 2 && a->downs == 1);
    assert_string_equal(b->events, "+-+");
    assert_contains(b->why, "replaced by a newer connection");
    assert_int_equal(transport_peer(b->t, NODE_A)->incarnation, 2);
    assert_int_equal(stats_of(b).connections, 1);
    send_number(b, addr_node(NODE_A), 0);
    WAIT_FOR(f, again->messages == 1);
    assert_int_equal(a->messages, 0);
}

static void nodes_that_dial_each_other_end_up_with_one_connection(void **state)
{
    struct fixture *f = *state;
    struct party *a = node_listening(f, NODE_A, 1), *b = node_listening(f, NODE_B, 1);
    transport_dial(a->t, NODE_B);
    transport_dial(b->t, NODE_A);
    WAIT_FOR(f, a->ups > 0 && b->ups > 0);
    /* Settled once messages pass both ways and nothing changes any more. */
    uint64_t until = uv_hrtime() + PATIENCE_MS * UINT64_C(1000000);
    for (int quiet = 0; quiet < 20;) {
        int before = a->ups + b->ups;
        run_for(f, 20);
        quiet = before == a->ups + b->ups && CONNECTED(a, NODE_B) && CONNECTED(b, NODE_A)
                    ? quiet + 1
                    : 0;
        assert_true(a->ups < 50 && uv_hrtime() < until);
    }
    assert_int_equal(stats_of(a).connections, 1);
    assert_int_equal(stats_of(b).connections, 1);
    a->messages = b->messages = 0;
    assert_int_equal(send_number(a, addr_node(NODE_B), 0), ASSENT_OK);
    assert_int_equal(send_number(b, addr_node(NODE_A), 0), ASSENT_OK);
    WAIT_FOR(f, a->messages == 1 && b->messages == 1);
}

static void hanging_up_stops_dialling_and_dialling_again_resumes(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    send_number(a, addr_node(NODE_B), 0); /* still leaves */
    transport_hang_up(a->t, NODE_B);
    assert_int_equal(a->downs, 1);
    assert_int_equal(send_number(a, addr_node(NODE_B), 1), ASSENT_UNREACHABLE);
    WAIT_FOR(f, b->downs == 1);
    assert_int_equal(b->messages, 1);
    run_for(f, 200);
    assert_int_equal(a->ups, 1);
    assert_int_equal(a->unreachables, 0);
    transport_dial(a->t, NODE_B);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->ups == 2 && b->ups == 2);
}

static void a_host_name_is_looked_up(void **state)
{
    struct fixture *f = *state;
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        print_message("this machine does not know localhost: it has no /etc/hosts\n");
        skip();
    }
    freeaddrinfo(found);
    snprintf(f->node[NODE_B - 1].host, sizeof f->node[NODE_B - 1].host, "localhost");
    struct party *a, *b;
    pair_up(f, &a, &b);
    assert_int_equal(a->ups, 1);
}

static void an_address_in_use_is_reported(void **state)
{
    struct fixture *f = *state;
    node_listening(f, NODE_B, 1);
    struct party *a = node_start(f, NODE_A, 1);
    char why[256];
    f->node[NODE_A - 1].port = f->node[NODE_B - 1].port;
    assert_int_equal(transport_listen(a->t, NULL, 0, NULL, why, sizeof why), -1);
    assert_contains(why, "address already in use");
    assert_contains(why, "127.0.0.1");
    f->node[NODE_A - 1].port = 0;
    party_listen(a); /* another one works */
}

/* ---- bounds ---- */

static void a_full_send_queue_refuses_and_what_it_took_arrives_in_order(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_prepare(f, NODE_A, 1);
    struct relay *relay = relay_before(f, NODE_B);
    a->config.bounds.send_queue_bytes = 256 * 1024;
    party_start(a);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->ups == 1 && b->ups == 1);
    relay_pause(relay, true);
    uint32_t sent = 0;
    int refusals = 0;
    /* Sockets' buffers first, then ours. */
    while (refusals < 3) {
        assert_true(sent < 2000000);
        assent_status status = send_number(a, addr_node(NODE_B), sent);
        if (status == ASSENT_OK) {
            sent++;
        } else {
            assert_int_equal(status, ASSENT_OVERLOADED);
            uint64_t out = stats_of(a).bytes_out;
            run_for(f, 20);
            refusals = out == stats_of(a).bytes_out ? refusals + 1 : 0;
        }
    }
    assert_true(CONNECTED(a, NODE_B));
    relay_pause(relay, false);
    WAIT_FOR(f, b->messages == (int)sent);
    assert_false(b->disorder);
    assert_int_equal(send_number(a, addr_node(NODE_B), sent), ASSENT_OK);
    WAIT_FOR(f, b->messages == (int)sent + 1);
}

static void a_message_over_the_free_room_is_refused_whole(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_prepare(f, NODE_A, 1);
    a->config.bounds.send_queue_bytes = 4096;
    party_start(a);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->ups == 1 && b->ups == 1);
    uint32_t sent = 0;
    while (send_number(a, addr_node(NODE_B), sent) == ASSENT_OK)
        sent++;
    assert_in_range(sent, 10, 4096 / 16);
    WAIT_FOR(f, b->messages == (int)sent);
    assert_int_equal(send_number(a, addr_node(NODE_B), sent), ASSENT_OK);
    WAIT_FOR(f, b->messages == (int)sent + 1);
    assert_false(b->disorder);
}

static void a_message_larger_than_the_whole_queue_is_refused(void **state)
{
    struct fixture *f = *state;
    struct party *a = node_prepare(f, NODE_A, 1), *p = node_listening(f, NODE_P, 1);
    a->config.bounds.send_queue_bytes = 4096;
    party_start(a);
    transport_dial(a->t, NODE_P);
    WAIT_FOR(f, a->ups == 1 && p->ups == 1);
    struct tx_head head = head_of(EPOCH, SET_HASH);
    struct msg *m = msg_new(MSG_PREPARE, &head);
    uint8_t ops[4096] = {0};
    m->prepare.participants = (struct participants){1, {NODE_P}};
    m->prepare.ops = blob_new(bytes_of(ops, sizeof ops));
    assert_int_equal(transport_send(a->t, addr_node(NODE_P), m), ASSENT_OVERLOADED);
    msg_unref(m);
    assert_int_equal(send_number(a, addr_node(NODE_P), 0), ASSENT_OK);
    WAIT_FOR(f, p->messages == 1);
    assert_false(p->disorder);
}

static void a_silent_peer_is_closed(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    b->config.bounds.ping_interval_ms = 10;
    b->config.bounds.peer_silent_ms = 100;
    party_start(b);
    party_listen(b);
    struct raw *raw = raw_connect(client_prepare(f, ALICE), NODE_B);
    WAIT_FOR(f, raw->open && raw->frames >= 3);
    WAIT_FOR(f, b->downs == 1);
    assert_contains(b->why, "was silent for 100 ms");
    WAIT_FOR(f, raw->failed);
}

/* As when a bit of a record's length was flipped on its way. */
static void a_peer_whose_record_does_not_end_is_closed(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    char longest[] = {'\xff', '\xff'}, byte = 0;
    b->config.bounds.ping_interval_ms = 10;
    b->config.bounds.peer_silent_ms = 100;
    party_start(b);
    party_listen(b);
    struct raw *raw = raw_connect(client_prepare(f, ALICE), NODE_B);
    WAIT_FOR(f, raw->open && b->ups == 1);
    uv_buf_t buf = uv_buf_init(longest, sizeof longest);
    uv_try_write((uv_stream_t *)&raw->conn.tcp, &buf, 1);
    uint64_t until = uv_hrtime() + PATIENCE_MS * UINT64_C(1000000);
    for (buf = uv_buf_init(&byte, 1); b->downs == 0 && uv_hrtime() < until;) {
        uv_try_write((uv_stream_t *)&raw->conn.tcp, &buf, 1);
        run_for(f, 5);
    }
    assert_int_equal(b->downs, 1);
    assert_contains(b->why, "was silent for 100 ms");
}

static void a_peer_that_does_not_read_is_closed(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1), *a = node_start(f, NODE_A, 1);
    b->config.bounds.ping_interval_ms = 10;
    b->config.bounds.peer_silent_ms = 300;
    party_start(b);
    party_listen(b);
    struct raw *raw = raw_connect(a, NODE_B);
    WAIT_FOR(f, raw->open && b->ups == 1);
    uv_read_stop((uv_stream_t *)&raw->conn.tcp);
    struct msg *hello = msg_new(MSG_PING, NULL);
    uint64_t until = uv_hrtime() + PATIENCE_MS * UINT64_C(1000000);
    while (b->downs == 0 && uv_hrtime() < until) {
        for (uint32_t i = 0; i < 1000; i++)
            send_number(b, addr_node(NODE_A), i);
        raw_send(raw, hello); /* it speaks all the time */
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    msg_unref(hello);
    assert_int_equal(b->downs, 1);
    assert_contains(b->why, "waiting bytes for 300 ms");
}

static void connections_over_the_bounds_are_closed_at_once(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    b->config.bounds.handshakes = 3;
    b->config.bounds.connections = 5;
    party_start(b);
    party_listen(b);
    int fd[5];
    for (int i = 0; i < 5; i++)
        fd[i] = plain_connect(f->node[NODE_B - 1].port);
    WAIT_FOR(f, stats_of(b).refused == 2);
    WAIT_FOR(f, plain_ended(fd[0]) && plain_ended(fd[1]));
    for (int i = 0; i < 5; i++) {
        assert_true(i < 2 || !plain_ended(fd[i]));
        close(fd[i]);
    }
    /* Their places are free again: as many clients as there are connections, not one more. */
    struct party *client[6];
    for (int i = 0; i < 6; i++) {
        client[i] = client_prepare(f, ALICE);
        party_start(client[i]);
        transport_dial(client[i]->t, NODE_B);
        WAIT_FOR(f, client[i]->ups + client[i]->unreachables > 0 && (i == 5 || b->ups == i + 1));
    }
    assert_int_equal(stats_of(b).connections, 5);
    assert_int_equal(client[5]->ups, 0);
    party_close(client[0], 0);
    WAIT_FOR(f, client[5]->ups == 1);
}

static void strangers_who_idle_do_not_keep_out_a_client(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    enum { SLOTS = 4 };
    b->config.bounds.handshakes = SLOTS;
    b->config.bounds.handshake_timeout_ms = PATIENCE_MS;
    party_start(b);
    party_listen(b);
    int fd[SLOTS];
    for (int i = 0; i < SLOTS; i++)
        fd[i] = plain_connect(f->node[NODE_B - 1].port);
    struct party *client = client_prepare(f, ALICE);
    party_start(client);
    transport_dial(client->t, NODE_B);
    WAIT_FOR(f, client->ups == 1 && b->ups == 1);
    assert_int_equal(stats_of(b).refused, 1);
    assert_int_equal(client->unreachables, 0);
    for (int i = 0; i < SLOTS; i++) {
        assert_true(plain_ended(fd[i]) == (i == 0));
        close(fd[i]);
    }
}

static void a_crowd_from_one_address_crowds_out_only_itself(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_prepare(f, NODE_B, 1);
    enum { SLOTS = 4, CROWD = 20 };
    b->config.bounds.handshakes = SLOTS;
    b->config.bounds.handshake_timeout_ms = PATIENCE_MS;
    party_start(b);
    party_listen(b);
    int slow = plain_connect_from(1, f->node[NODE_B - 1].port), crowd[CROWD];
    for (int i = 0; i < CROWD; i++)
        crowd[i] = plain_connect_from(2, f->node[NODE_B - 1].port);
    WAIT_FOR(f, stats_of(b).refused == 1 + CROWD - SLOTS);
    WAIT_FOR(f, plain_ended(crowd[CROWD - SLOTS]));
    assert_false(plain_ended(slow));
    assert_false(plain_ended(crowd[CROWD - 1]));
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    close(slow);
}

static void two_hundred_clients_are_answered(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1);
    enum { N = 200 };
    struct party *client[N];
    b->echo = true;
    for (int i = 0; i < N; i++) {
        client[i] = client_prepare(f, i % CLIENTS);
        party_start(client[i]);
        transport_dial(client[i]->t, NODE_B);
    }
    int answered = 0;
    WAIT_FOR(f, b->ups == N);
    assert_int_equal(stats_of(b).connections, N);
    for (int i = 0; i < N; i++)
        WAIT_FOR(f, client[i]->ups == 1);
    b->echo = false;
    for (int i = 0; i < N; i++)
        assert_int_equal(send_number(client[i], addr_node(NODE_B), (uint32_t)i), ASSENT_OK);
    WAIT_FOR(f, b->messages == N);
    for (int i = 0; i < N; i++)
        answered += client[i]->downs == 0;
    assert_int_equal(answered, N);
}

static void a_client_is_answered_on_its_own_connection(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1);
    struct party *one = client_prepare(f, ALICE), *two = client_prepare(f, ALICE);
    party_start(one);
    transport_dial(one->t, NODE_B);
    WAIT_FOR(f, b->ups == 1);
    struct addr first = b->last;
    party_start(two);
    transport_dial(two->t, NODE_B);
    WAIT_FOR(f, b->ups == 2 && one->ups == 1 && two->ups == 1);
    assert_true(first.conn != b->last.conn);
    struct tx_head head = head_of(EPOCH, SET_HASH);
    struct msg *m = msg_new(MSG_RESULT, &head);
    assert_int_equal(transport_send(b->t, first, m), ASSENT_OK);
    assert_int_equal(transport_send(b->t, first, m), ASSENT_OK);
    assert_int_equal(transport_send(b->t, b->last, m), ASSENT_OK);
    WAIT_FOR(f, one->messages == 2 && two->messages == 1);
    party_close(one, 0);
    WAIT_FOR(f, b->downs == 1);
    assert_int_equal(transport_send(b->t, first, m), ASSENT_UNREACHABLE);
    msg_unref(m);
}

/* ---- pings ---- */

static void pings_measure_round_trip_and_clock(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    WAIT_FOR(f,
             transport_peer(a->t, NODE_B)->rtt_us > 0 && transport_peer(b->t, NODE_A)->rtt_us > 0);
    const struct peer *peer = transport_peer(a->t, NODE_B);
    assert_in_range(peer->clock_ahead_ms + 2 + peer->rtt_us / 1000, 0, 4 + peer->rtt_us / 500);
}

static void a_clock_that_is_ahead_shows_and_invented_pongs_do_not(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1);
    struct msg *pong = msg_new(MSG_PONG, NULL);
    struct raw *raw = raw_connect(node_prepare(f, NODE_A, 1), NODE_B);
    WAIT_FOR(f, raw->open && raw->frames == 1);
    uv_timeval64_t now;
    uv_gettimeofday(&now);
    pong->ping.wall_ms = (uint64_t)now.tv_sec * 1000 + 3600000;
    pong->ping.token = raw->ping_token + 1;
    raw_send(raw, pong);
    pong->ping.token = 0;
    raw_send(raw, pong);
    struct msg *m = numbered(0);
    raw_send(raw, m);
    WAIT_FOR(f, b->messages == 1);
    assert_int_equal(b->peer.rtt_us, 0);
    pong->ping.token = raw->ping_token;
    raw_send(raw, pong);
    m->outcome.wait_ms = 1;
    raw_send(raw, m);
    WAIT_FOR(f, b->messages == 2);
    assert_true(b->peer.rtt_us > 0);
    assert_in_range(b->peer.clock_ahead_ms, 3600000 - 60000, 3600000 + 60000);
    msg_unref(m);
    msg_unref(pong);
}

/* ---- closing ---- */

static void closing_drains_what_was_sent(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    for (uint32_t i = 0; i < 50000; i++)
        assert_int_equal(send_number(a, addr_node(NODE_B), i), ASSENT_OK);
    party_close(a, PATIENCE_MS);
    WAIT_FOR(f, b->downs == 1);
    assert_int_equal(b->messages, 50000);
    assert_false(b->disorder);
    assert_int_equal(a->downs, 0);
}

static void closing_gives_up_on_a_peer_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    struct party *b = node_listening(f, NODE_B, 1), *a = node_start(f, NODE_A, 1);
    struct relay *relay = relay_before(f, NODE_B);
    transport_dial(a->t, NODE_B);
    WAIT_FOR(f, a->ups == 1 && b->ups == 1);
    relay_pause(relay, true);
    while (send_number(a, addr_node(NODE_B), 0) == ASSENT_OK)
        ;
    run_for(f, 10);
    party_close(a, 50);
}

static void closing_while_dialling_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "192.0.2.1", "::1",
                                        "name.invalid"};
    uint16_t dead;
    struct party *b = node_listening(f, NODE_B, 1);
    dead = f->node[NODE_B - 1].port;
    party_close(b, 0);
    f->node[NODE_B - 1].port = dead;
    for (size_t i = 0; i < 3 * sizeof hosts / sizeof hosts[0]; i++) {
        snprintf(f->node[NODE_B - 1].host, sizeof f->node[NODE_B - 1].host, "%s", hosts[i / 3]);
        struct party *a = node_start(f, NODE_A, 1);
        transport_dial(a->t, NODE_B);
        transport_dial(a->t, NODE_P);
        if (i % 3 == 1)
            uv_run(&f->loop, UV_RUN_NOWAIT);
        if (i % 3 == 2)
            run_for(f, 70);
        party_close(a, i % 2 == 0 ? 0 : 20);
        assert_int_equal(a->ups, 0);
    }
}

static void closing_from_inside_a_handler_is_fine(void **state)
{
    struct fixture *f = *state;
    struct party *a, *b;
    pair_up(f, &a, &b);
    b->close_on_message = true;
    for (uint32_t i = 0; i < 100; i++)
        send_number(a, addr_node(NODE_B), i);
    WAIT_FOR(f, b->closed && a->downs == 1);
    assert_int_equal(b->messages, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(messages_arrive_both_ways_and_in_order),
        TRANSPORT_TEST(large_messages_arrive_whole_among_small_ones),
        TRANSPORT_TEST(what_is_sent_in_one_turn_leaves_in_one_write),
        TRANSPORT_TEST(sends_to_who_is_not_connected_are_unreachable),
        TRANSPORT_TEST(a_message_of_another_epoch_is_dropped_and_the_connection_stays),
        TRANSPORT_TEST(a_message_that_the_peers_role_may_not_send_closes_the_connection),
        TRANSPORT_TEST(a_malformed_message_closes_only_its_connection),
        TRANSPORT_TEST(garbage_on_a_socket_closes_only_that_socket),
        TRANSPORT_TEST(damaged_bytes_close_the_connection_and_it_comes_back),
        TRANSPORT_TEST(an_idle_socket_is_closed_when_the_handshake_takes_too_long),
        TRANSPORT_TEST(an_unknown_key_is_refused),
        TRANSPORT_TEST(another_epoch_is_refused_naming_both),
        TRANSPORT_TEST(another_coordinator_set_is_refused_naming_both),
        TRANSPORT_TEST(another_cluster_is_refused_naming_both),
        TRANSPORT_TEST(a_client_that_the_cluster_file_does_not_have_is_refused),
        TRANSPORT_TEST(a_dialler_refuses_whoever_is_not_the_one_it_dialled),
        TRANSPORT_TEST(a_dialler_refuses_a_lower_incarnation),
        TRANSPORT_TEST(either_key_of_a_rotation_will_do),
        TRANSPORT_TEST(a_peer_that_comes_back_with_a_higher_incarnation_is_dialled_again),
        TRANSPORT_TEST(a_lower_incarnation_is_refused),
        TRANSPORT_TEST(a_newer_connection_of_a_node_replaces_the_older),
        TRANSPORT_TEST(nodes_that_dial_each_other_end_up_with_one_connection),
        TRANSPORT_TEST(hanging_up_stops_dialling_and_dialling_again_resumes),
        TRANSPORT_TEST(a_host_name_is_looked_up),
        TRANSPORT_TEST(an_address_in_use_is_reported),
        TRANSPORT_TEST(a_full_send_queue_refuses_and_what_it_took_arrives_in_order),
        TRANSPORT_TEST(a_message_over_the_free_room_is_refused_whole),
        TRANSPORT_TEST(a_message_larger_than_the_whole_queue_is_refused),
        TRANSPORT_TEST(a_silent_peer_is_closed),
        TRANSPORT_TEST(a_peer_whose_record_does_not_end_is_closed),
        TRANSPORT_TEST(a_peer_that_does_not_read_is_closed),
        TRANSPORT_TEST(connections_over_the_bounds_are_closed_at_once),
        TRANSPORT_TEST(strangers_who_idle_do_not_keep_out_a_client),
        TRANSPORT_TEST(a_crowd_from_one_address_crowds_out_only_itself),
        TRANSPORT_TEST(two_hundred_clients_are_answered),
        TRANSPORT_TEST(a_client_is_answered_on_its_own_connection),
        TRANSPORT_TEST(pings_measure_round_trip_and_clock),
        TRANSPORT_TEST(a_clock_that_is_ahead_shows_and_invented_pongs_do_not),
        TRANSPORT_TEST(closing_drains_what_was_sent),
        TRANSPORT_TEST(closing_gives_up_on_a_peer_that_does_not_read),
        TRANSPORT_TEST(closing_while_dialling_leaves_nothing_behind),
        TRANSPORT_TEST(closing_from_inside_a_handler_is_fine),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
