/* wire/channel: two channels back to back, and each end against a peer made by hand from
 * wire/noise, which pins the bytes of docs/wire-format.md and can misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/prng.h"
#include "wire/channel.h"
#include "wire/codec.h"

#define PREFACE_BYTES   22
#define MESSAGE_1_BYTES (2 + 48)
#define ANSWER_BYTES    1
#define PLAIN_MAX       (RECORD_BYTES_MAX - NOISE_TAG_BYTES)

static const uint8_t cluster_id[CLUSTER_ID_BYTES] = {0xc1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t other_cluster_id[CLUSTER_ID_BYTES] = {0xd2, 2, 3, 4, 5, 6, 7, 8};

static const struct hello coordinator = {
    .role = ROLE_COORDINATOR,
    .node = 7,
    .incarnation = 0x01020304,
    .epoch = 5,
    .set_hash = 0x1122334455667788u,
    .name = "a0",
};
static const struct hello client = {
    .role = ROLE_CLIENT, .incarnation = 9, .epoch = 5, .set_hash = 3, .name = "shop \xc3\xa9"};

struct pair {
    struct noise_keypair connecting_key, accepting_key;
    struct channel *connecting, *accepting;
};

static void keys_new(struct pair *p)
{
    *p = (struct pair){0};
    noise_keypair_new(&p->connecting_key);
    noise_keypair_new(&p->accepting_key);
}

static struct channel *connect_to(const struct pair *p, const uint8_t *cluster)
{
    return channel_connect(cluster, &client, &p->connecting_key, p->accepting_key.public);
}

static void pair_new(struct pair *p)
{
    keys_new(p);
    p->connecting = connect_to(p, cluster_id);
    p->accepting = channel_accept(cluster_id, &coordinator, &p->accepting_key);
}

static void pair_free(struct pair *p)
{
    channel_free(p->connecting);
    channel_free(p->accepting);
}

/* Moves what `from` wants to send, whole, or in random pieces with a generator. */
static void carry(struct channel *from, struct channel *to, struct prng *prng)
{
    struct writer bytes = *channel_out(from);
    *channel_out(from) = (struct writer){0};
    for (size_t at = 0; at < bytes.len;) {
        size_t left = bytes.len - at, len = left;
        if (prng != NULL) {
            len = (size_t)1 << prng_below(prng, 18);
            len = 1 + (size_t)prng_below(prng, len < left ? len : left);
        }
        /* a copy of exact size lets the address sanitizer see a read past its end */
        uint8_t *piece = xmalloc(len);
        memcpy(piece, bytes.data + at, len);
        channel_receive(to, bytes_of(piece, len));
        free(piece);
        at += len;
    }
    writer_free(&bytes);
}

/* Until nothing is left to carry; admits, or refuses with a sentence. */
static void settle(struct pair *p, const char *refusal, struct prng *prng)
{
    while (channel_out(p->connecting)->len + channel_out(p->accepting)->len > 0) {
        carry(p->connecting, p->accepting, prng);
        if (channel_state(p->accepting) == CHANNEL_CHECK)
            channel_admit(p->accepting, refusal);
        carry(p->accepting, p->connecting, prng);
    }
}

static void pair_open(struct pair *p)
{
    pair_new(p);
    settle(p, NULL, NULL);
    assert_int_equal(channel_state(p->connecting), CHANNEL_OPEN);
    assert_int_equal(channel_state(p->accepting), CHANNEL_OPEN);
}

static void assert_failed(const struct channel *c, const char *part)
{
    assert_int_equal(channel_state(c), CHANNEL_FAILED);
    if (strstr(channel_why(c), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, channel_why(c));
}

static void assert_hello(const struct hello *got, const struct hello *expected)
{
    assert_int_equal(got->role, expected->role);
    assert_int_equal(got->node, expected->node);
    assert_int_equal(got->incarnation, expected->incarnation);
    assert_int_equal(got->epoch, expected->epoch);
    assert_int_equal(got->set_hash, expected->set_hash);
    assert_string_equal(got->name, expected->name);
}

/* A frame of `len` bytes, whose content follows from `seed`. */
static void frame_put(struct writer *out, size_t len, uint64_t seed)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        writer_u8(out, (uint8_t)(len >> shift));
    writer_reserve(out, len);
    for (size_t i = 0; i < len; i++)
        out->data[out->len + i] = (uint8_t)(seed * 31 + i + (i >> 8));
    out->len += len;
}

static void frame_expect(struct channel *c, size_t len, uint64_t seed)
{
    struct bytes body;
    assert_true(channel_next_frame(c, &body));
    assert_int_equal(body.len, len);
    for (size_t i = 0; i < len; i++) {
        if (body.data[i] != (uint8_t)(seed * 31 + i + (i >> 8)))
            fail_msg("frame %llu differs at byte %zu", (unsigned long long)seed, i);
    }
}

static void send_frame(struct channel *c, size_t len, uint64_t seed)
{
    struct writer frame = {0};
    frame_put(&frame, len, seed);
    channel_send(c, writer_view(&frame));
    writer_free(&frame);
}

/* ---- a peer made by hand ---- */

struct hand {
    struct noise_keypair key;
    struct noise_handshake hs;
    struct noise_cipher send, receive;
    uint8_t preface[PREFACE_BYTES];
    struct writer out;
};

static void hand_free(struct hand *h)
{
    writer_free(&h->out);
}

static void hand_message(struct hand *h, struct bytes payload)
{
    struct writer message = {0};
    assert_true(noise_write(&h->hs, payload, &message));
    writer_u8(&h->out, (uint8_t)(message.len >> 8));
    writer_u8(&h->out, (uint8_t)message.len);
    writer_raw(&h->out, message.data, message.len);
    writer_free(&message);
}

static void hand_record(struct hand *h, struct bytes plain)
{
    size_t len = plain.len + NOISE_TAG_BYTES;
    writer_u8(&h->out, (uint8_t)(len >> 8));
    writer_u8(&h->out, (uint8_t)len);
    noise_seal(&h->send, bytes_of(NULL, 0), plain, &h->out);
}

static void hand_deliver(struct hand *h, struct channel *to)
{
    channel_receive(to, writer_view(&h->out));
    h->out.len = 0;
}

/* Takes the next unit of u16 length out of what the channel sends, from *at on. */
static struct bytes hand_unit(struct channel *from, size_t *at)
{
    struct bytes all = writer_view(channel_out(from));
    assert_true(all.len >= *at + 2);
    size_t len = (size_t)all.data[*at] << 8 | all.data[*at + 1];
    struct bytes unit = bytes_of(all.data + *at + 2, len);
    assert_true(all.len >= *at + 2 + len);
    *at += 2 + len;
    return unit;
}

static void preface_make(uint8_t preface[PREFACE_BYTES], uint8_t version, uint8_t role)
{
    memcpy(preface, "ASNT", 4);
    preface[4] = version;
    preface[5] = role;
    memcpy(preface + 6, cluster_id, CLUSTER_ID_BYTES);
}

/* Preface and message 1 into out. */
static void hand_connect(struct hand *h, const struct pair *p, uint8_t version, uint8_t role)
{
    *h = (struct hand){.key = p->connecting_key};
    preface_make(h->preface, version, role);
    noise_start(&h->hs, true, &h->key, p->accepting_key.public,
                bytes_of(h->preface, PREFACE_BYTES));
    writer_raw(&h->out, h->preface, PREFACE_BYTES);
    hand_message(h, bytes_of(NULL, 0));
}

/* Sends what out holds, reads the answer and message 2, puts message 3 into out. */
static void hand_message_3(struct hand *h, struct channel *accepting, struct bytes hello)
{
    struct writer payload = {0};
    size_t at = ANSWER_BYTES;
    hand_deliver(h, accepting);
    assert_int_equal(channel_out(accepting)->data[0], 1);
    assert_true(noise_read(&h->hs, hand_unit(accepting, &at), &payload));
    assert_int_equal(at, channel_out(accepting)->len);
    assert_int_equal(payload.len, 0);
    channel_out(accepting)->len = 0;
    hand_message(h, hello);
    noise_split(&h->hs, &h->send, &h->receive);
    writer_free(&payload);
}

/* The record at *at of what the channel sends. */
static void hand_open(struct hand *h, struct channel *from, size_t *at, struct writer *plain)
{
    assert_true(noise_open(&h->receive, bytes_of(NULL, 0), hand_unit(from, at), plain));
}

/* The client's hello, as docs/wire-format.md has it. */
static const uint8_t client_hello[] = {
    4,                                      /* role */
    0, 0,                                   /* node */
    9, 0,   0,   0,                         /* incarnation */
    5, 0,   0,   0,                         /* epoch */
    3, 0,   0,   0,   0,   0,   0,    0,    /* set hash */
    7, 's', 'h', 'o', 'p', ' ', 0xc3, 0xa9, /* name */
};
static const uint8_t coordinator_greeting[] = {
    1,                                              /* admitted */
    1,                                              /* role */
    7,    0,                                        /* node */
    4,    3,    2,    1,                            /* incarnation */
    5,    0,    0,    0,                            /* epoch */
    0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* set hash */
    2,    'a',  '0',                                /* name */
};

/* An accepting channel, admitted, and its peer made by hand. */
static struct channel *hand_open_initiator(struct hand *h, struct pair *p)
{
    struct writer plain = {0};
    size_t at = 0;
    keys_new(p);
    struct channel *c = channel_accept(cluster_id, &coordinator, &p->accepting_key);
    hand_connect(h, p, CHANNEL_VERSION, ROLE_CLIENT);
    hand_message_3(h, c, bytes_of(client_hello, sizeof client_hello));
    hand_deliver(h, c);
    assert_int_equal(channel_state(c), CHANNEL_CHECK);
    assert_hello(channel_peer(c), &client);
    assert_memory_equal(channel_peer_key(c), h->key.public, NOISE_KEY_BYTES);
    channel_admit(c, NULL);
    assert_int_equal(channel_state(c), CHANNEL_OPEN);
    hand_open(h, c, &at, &plain);
    assert_int_equal(plain.len, sizeof coordinator_greeting);
    assert_memory_equal(plain.data, coordinator_greeting, plain.len);
    assert_int_equal(at, channel_out(c)->len);
    channel_out(c)->len = 0;
    writer_free(&plain);
    return c;
}

/* A connecting channel and a responder made by hand, up to message 3; the greeting is the caller's.
 */
static struct channel *hand_accept(struct hand *h, struct pair *p)
{
    struct writer payload = {0};
    keys_new(p);
    *h = (struct hand){.key = p->accepting_key};
    struct channel *c = connect_to(p, cluster_id);
    size_t at = PREFACE_BYTES;
    preface_make(h->preface, CHANNEL_VERSION, ROLE_CLIENT);
    assert_memory_equal(channel_out(c)->data, h->preface, PREFACE_BYTES);
    noise_start(&h->hs, false, &h->key, NULL, bytes_of(h->preface, PREFACE_BYTES));
    assert_true(noise_read(&h->hs, hand_unit(c, &at), &payload));
    assert_int_equal(at, channel_out(c)->len);
    assert_int_equal(payload.len, 0);
    channel_out(c)->len = at = 0;
    writer_u8(&h->out, 1);
    hand_message(h, bytes_of(NULL, 0));
    hand_deliver(h, c);
    assert_true(noise_read(&h->hs, hand_unit(c, &at), &payload));
    assert_int_equal(payload.len, sizeof client_hello);
    assert_memory_equal(payload.data, client_hello, payload.len);
    channel_out(c)->len = 0;
    noise_split(&h->hs, &h->send, &h->receive);
    writer_free(&payload);
    return c;
}

/* ---- opening ---- */

static void both_ends_open_and_know_each_other(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 1);
    for (int i = 0; i < 20; i++) {
        struct pair p;
        pair_new(&p);
        settle(&p, NULL, &prng);
        assert_int_equal(channel_state(p.connecting), CHANNEL_OPEN);
        assert_int_equal(channel_state(p.accepting), CHANNEL_OPEN);
        assert_hello(channel_peer(p.connecting), &coordinator);
        assert_hello(channel_peer(p.accepting), &client);
        assert_memory_equal(channel_peer_key(p.accepting), p.connecting_key.public, 32);
        assert_memory_equal(channel_peer_key(p.connecting), p.accepting_key.public, 32);
        pair_free(&p);
    }
}

static void nothing_opens_before_the_responder_admits(void **state)
{
    (void)state;
    struct pair p;
    pair_new(&p);
    carry(p.connecting, p.accepting, NULL);
    carry(p.accepting, p.connecting, NULL);
    assert_int_equal(channel_state(p.connecting), CHANNEL_HANDSHAKE);
    carry(p.connecting, p.accepting, NULL);
    assert_int_equal(channel_state(p.accepting), CHANNEL_CHECK);
    assert_int_equal(channel_out(p.accepting)->len, 0);
    assert_int_equal(channel_state(p.connecting), CHANNEL_HANDSHAKE);
    pair_free(&p);
}

static void a_peer_made_by_hand_finds_the_documented_bytes(void **state)
{
    (void)state;
    struct hand h;
    struct pair p;
    struct channel *c = hand_open_initiator(&h, &p);
    channel_free(c);
    hand_free(&h);
    c = hand_accept(&h, &p);
    hand_record(&h, bytes_of(coordinator_greeting, sizeof coordinator_greeting));
    hand_deliver(&h, c);
    assert_int_equal(channel_state(c), CHANNEL_OPEN);
    assert_hello(channel_peer(c), &coordinator);
    channel_free(c);
    hand_free(&h);
}

static void a_refused_initiator_reads_the_sentence(void **state)
{
    (void)state;
    struct pair p;
    struct prng prng;
    prng_seed(&prng, 2);
    pair_new(&p);
    settle(&p, "key 0102 is not in the cluster file: add it under clients", &prng);
    assert_failed(p.accepting, "key 0102 is not in the cluster file: add it under clients");
    assert_failed(p.connecting,
                  "the peer refused: key 0102 is not in the cluster file: add it under clients");
    struct bytes body;
    assert_false(channel_next_frame(p.accepting, &body));
    pair_free(&p);
}

static void another_server_key_fails_at_both_ends(void **state)
{
    (void)state;
    struct pair p;
    pair_new(&p);
    struct noise_keypair other;
    noise_keypair_new(&other);
    channel_free(p.connecting);
    p.connecting = channel_connect(cluster_id, &client, &p.connecting_key, other.public);
    settle(&p, NULL, NULL);
    assert_failed(p.accepting, "expects another public key than ours");
    assert_failed(p.connecting, "does not hold the key that the cluster file names for it");
    pair_free(&p);
}

static void a_pinned_key_that_is_none_fails_at_once(void **state)
{
    (void)state;
    struct pair p;
    keys_new(&p);
    const uint8_t zero[NOISE_KEY_BYTES] = {0};
    p.connecting = channel_connect(cluster_id, &client, &p.connecting_key, zero);
    assert_failed(p.connecting, "public key is no valid key");
    assert_int_equal(channel_out(p.connecting)->len, 0);
    pair_free(&p);
}

static void another_cluster_id_is_named_at_both_ends(void **state)
{
    (void)state;
    struct pair p;
    struct prng prng;
    prng_seed(&prng, 3);
    pair_new(&p);
    channel_free(p.connecting);
    p.connecting = connect_to(&p, other_cluster_id);
    settle(&p, NULL, &prng);
    assert_failed(p.accepting, "the peer belongs to another cluster: "
                               "expected c1020304050607080000000000000000, "
                               "got d2020304050607080000000000000000");
    assert_failed(p.connecting, "the peer belongs to another cluster: "
                                "expected d2020304050607080000000000000000, "
                                "got c1020304050607080000000000000000");
    pair_free(&p);
}

static void another_version_is_named_at_both_ends(void **state)
{
    (void)state;
    struct pair p;
    struct hand h;
    keys_new(&p);
    p.accepting = channel_accept(cluster_id, &coordinator, &p.accepting_key);
    hand_connect(&h, &p, 9, ROLE_CLIENT);
    hand_deliver(&h, p.accepting);
    assert_failed(p.accepting, "the peer speaks version 9 of the wire format, we speak version 1");
    assert_int_equal(channel_out(p.accepting)->len, 2);
    assert_memory_equal(channel_out(p.accepting)->data, "\x03\x01", 2);
    p.connecting = connect_to(&p, cluster_id);
    channel_receive(p.connecting, bytes_of("\x03", 1));
    assert_int_equal(channel_state(p.connecting), CHANNEL_HANDSHAKE);
    channel_receive(p.connecting, bytes_of("\x08", 1));
    assert_failed(p.connecting, "the peer speaks version 8 of the wire format, we speak version 1");
    pair_free(&p);
    hand_free(&h);
}

static void strangers_are_told_apart_from_peers(void **state)
{
    (void)state;
    struct pair p;
    struct hand h;
    pair_new(&p);
    channel_receive(p.accepting, bytes_of_text("GET / HTTP/1.1\r\n"));
    assert_failed(p.accepting, "does not speak Assent's protocol: its first bytes are 47455420");
    channel_receive(p.connecting, bytes_of_text("SSH-2.0"));
    assert_failed(p.connecting, "does not speak Assent's protocol: it answers 0x53");
    pair_free(&p);
    keys_new(&p);
    p.accepting = channel_accept(cluster_id, &coordinator, &p.accepting_key);
    hand_connect(&h, &p, CHANNEL_VERSION, 3);
    hand_deliver(&h, p.accepting);
    assert_failed(p.accepting, "role 3");
    pair_free(&p);
    hand_free(&h);
    const char *answers[] = {"\x02", "\x05", "\x06"};
    const char *whys[] = {"did not take our first bytes", "does not know the role 4",
                          "does not hold the key"};
    for (int i = 0; i < 3; i++) {
        p.connecting = connect_to(&p, cluster_id);
        channel_receive(p.connecting, bytes_of(answers[i], 1));
        assert_failed(p.connecting, whys[i]);
        channel_free(p.connecting);
    }
}

/* Who sends a handshake flight, and when: the fault is put in flight `flight`. */
struct fault {
    int flight; /* 0: preface and message 1, 1: answer and message 2, 2: message 3, 3: greeting */
    size_t at;
    uint8_t flip;
    bool cut; /* the flight ends before `at` */
};

/* Runs a handshake with one fault. Returns the length of the faulty flight. */
static size_t faulty_handshake(struct pair *p, const struct fault *fault)
{
    size_t len = 0;
    pair_new(p);
    for (int flight = 0; flight < 4; flight++) {
        struct channel *from = flight % 2 == 0 ? p->connecting : p->accepting;
        struct channel *to = flight % 2 == 0 ? p->accepting : p->connecting;
        if (channel_state(p->accepting) == CHANNEL_CHECK)
            channel_admit(p->accepting, NULL);
        struct writer *out = channel_out(from);
        if (flight == fault->flight) {
            len = out->len;
            assert_true(fault->at <= len);
            if (fault->cut)
                out->len = fault->at;
            else
                out->data[fault->at] ^= fault->flip;
        }
        carry(from, to, NULL);
    }
    return len;
}

static void a_byte_flipped_anywhere_in_the_handshake_opens_nothing(void **state)
{
    (void)state;
    for (int flight = 0; flight < 4; flight++) {
        size_t len = 1;
        for (size_t at = 0; at < len; at++) {
            const struct fault fault = {flight, at, at % 3 == 0 ? 0x80 : 1, false};
            struct pair p;
            len = faulty_handshake(&p, &fault);
            assert_int_not_equal(channel_state(p.connecting), CHANNEL_OPEN);
            assert_int_not_equal(channel_state(p.connecting), CHANNEL_CHECK);
            if (flight < 3) {
                assert_int_not_equal(channel_state(p.accepting), CHANNEL_OPEN);
                assert_int_not_equal(channel_state(p.accepting), CHANNEL_CHECK);
            }
            pair_free(&p);
        }
        assert_true(len > 30);
    }
}

static void a_handshake_cut_anywhere_waits_and_opens_nothing(void **state)
{
    (void)state;
    for (int flight = 0; flight < 4; flight++) {
        size_t len = 1;
        for (size_t at = 0; at < len; at++) {
            const struct fault fault = {flight, at, 0, true};
            struct pair p;
            len = faulty_handshake(&p, &fault);
            assert_int_equal(channel_state(p.connecting), CHANNEL_HANDSHAKE);
            assert_int_equal(channel_state(p.accepting),
                             flight == 3 ? CHANNEL_OPEN : CHANNEL_HANDSHAKE);
            pair_free(&p);
        }
    }
}

static void handshake_messages_of_other_lengths_fail_at_their_length(void **state)
{
    (void)state;
    const uint8_t lengths[][2] = {{0, 0}, {0, 47}, {0, 49}, {0xff, 0xff}};
    struct pair p;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        pair_new(&p);
        channel_receive(p.accepting, bytes_of(channel_out(p.connecting)->data, PREFACE_BYTES));
        channel_receive(p.accepting, bytes_of(lengths[i], 1));
        assert_int_equal(channel_state(p.accepting), CHANNEL_HANDSHAKE);
        channel_receive(p.accepting, bytes_of(lengths[i] + 1, 1));
        assert_failed(p.accepting, "length that is out of bounds");
        channel_receive(p.connecting, bytes_of("\x01", 1));
        channel_receive(p.connecting, bytes_of(lengths[i], 2));
        assert_failed(p.connecting, "length that is out of bounds");
        pair_free(&p);
    }
}

/* ---- hellos ---- */

static void malformed_hellos_are_refused(void **state)
{
    (void)state;
    const struct {
        size_t at;
        uint8_t value;
        size_t len;
        const char *why;
    } faults[] = {
        {0, 4, sizeof client_hello, NULL},
        {0, 3, sizeof client_hello, "malformed"}, /* no such role */
        {0, 1, sizeof client_hello, "malformed"}, /* a coordinator without a node id */
        {1, 1, sizeof client_hello, "malformed"}, /* a client with one */
        {2, 4, sizeof client_hello, "malformed"}, /* node 1024 */
        {19, 8, sizeof client_hello, "malformed"},
        {19, 33, sizeof client_hello, "malformed"},
        {19, 6, sizeof client_hello, "malformed"}, /* a byte is left over */
        {24, '\n', sizeof client_hello, "malformed"},
        {26, 'x', sizeof client_hello, "malformed"}, /* half a character */
        {0, 4, sizeof client_hello - 1, "malformed"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct hand h;
        struct pair p;
        uint8_t hello[sizeof client_hello];
        memcpy(hello, client_hello, sizeof hello);
        hello[faults[i].at] = faults[i].value;
        keys_new(&p);
        p.accepting = channel_accept(cluster_id, &coordinator, &p.accepting_key);
        hand_connect(&h, &p, CHANNEL_VERSION, ROLE_CLIENT);
        hand_message_3(&h, p.accepting, bytes_of(hello, faults[i].len));
        hand_deliver(&h, p.accepting);
        if (faults[i].why == NULL)
            assert_int_equal(channel_state(p.accepting), CHANNEL_CHECK);
        else
            assert_failed(p.accepting, faults[i].why);
        pair_free(&p);
        hand_free(&h);
    }
}

static void a_hello_whose_role_is_not_the_prefaces_is_refused(void **state)
{
    (void)state;
    struct hand h;
    struct pair p;
    keys_new(&p);
    p.accepting = channel_accept(cluster_id, &coordinator, &p.accepting_key);
    hand_connect(&h, &p, CHANNEL_VERSION, ROLE_COORDINATOR);
    hand_message_3(&h, p.accepting, bytes_of(client_hello, sizeof client_hello));
    hand_deliver(&h, p.accepting);
    assert_failed(p.accepting, "different roles");
    pair_free(&p);
    hand_free(&h);
}

static void malformed_greetings_are_refused_and_refusals_cleaned(void **state)
{
    (void)state;
    uint8_t cut[sizeof coordinator_greeting], high[sizeof coordinator_greeting];
    memcpy(cut, coordinator_greeting, sizeof cut);
    memcpy(high, coordinator_greeting, sizeof high);
    high[2] = (NODES_MAX + 1) & 0xff;
    high[3] = (NODES_MAX + 1) >> 8;
    const struct {
        struct bytes greeting;
        const char *why;
    } cases[] = {
        {bytes_of(cut, sizeof cut - 1), "hello is malformed"},
        {bytes_of(high, sizeof high), "hello is malformed"},
        {bytes_of("\x02", 1), "hello is malformed"},
        {bytes_of("\0no\x1b[2Jway", 10), "the peer refused: no?[2Jway"},
        {bytes_of("\0", 1), "the peer refused without a reason"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hand h;
        struct pair p;
        struct channel *c = hand_accept(&h, &p);
        hand_record(&h, cases[i].greeting);
        hand_deliver(&h, c);
        assert_failed(c, cases[i].why);
        channel_free(c);
        hand_free(&h);
    }
}

static void what_comes_before_admission_is_kept_up_to_a_bound(void **state)
{
    (void)state;
    for (size_t records = 1; records <= 2; records++) {
        struct hand h;
        struct pair p;
        struct writer frame = {0};
        keys_new(&p);
        p.accepting = channel_accept(cluster_id, &coordinator, &p.accepting_key);
        hand_connect(&h, &p, CHANNEL_VERSION, ROLE_CLIENT);
        hand_message_3(&h, p.accepting, bytes_of(client_hello, sizeof client_hello));
        frame_put(&frame, 2500, 4);
        for (size_t i = 0; i < records; i++)
            hand_record(&h, writer_view(&frame));
        hand_deliver(&h, p.accepting);
        if (records == 1) {
            assert_int_equal(channel_state(p.accepting), CHANNEL_CHECK);
            channel_admit(p.accepting, NULL);
            assert_int_equal(channel_state(p.accepting), CHANNEL_OPEN);
            frame_expect(p.accepting, 2500, 4);
        } else {
            assert_failed(p.accepting, "before it was admitted");
        }
        writer_free(&frame);
        pair_free(&p);
        hand_free(&h);
    }
}

/* ---- frames and records ---- */

static void frames_of_all_sizes_arrive_through_random_pieces(void **state)
{
    (void)state;
    const size_t sizes[] = {1,     2,     3,     4,      100,    65513,  65514,   65515,
                            65516, 65519, 65520, 131030, 131034, 200000, 1u << 20};
    const size_t n = sizeof sizes / sizeof sizes[0];
    struct prng prng;
    struct pair p;
    prng_seed(&prng, 5);
    pair_open(&p);
    for (uint64_t round = 0; round < 30; round++) {
        struct channel *from = round % 2 == 0 ? p.connecting : p.accepting;
        struct channel *to = round % 2 == 0 ? p.accepting : p.connecting;
        struct writer frames = {0};
        size_t sent[8], count = 1 + (size_t)prng_below(&prng, 8);
        for (size_t i = 0; i < count; i++) {
            sent[i] = sizes[prng_below(&prng, n)];
            frame_put(&frames, sent[i], round * 8 + i);
        }
        channel_send(from, writer_view(&frames));
        writer_free(&frames);
        carry(from, to, &prng);
        for (size_t i = 0; i < count; i++)
            frame_expect(to, sent[i], round * 8 + i);
        struct bytes body;
        assert_false(channel_next_frame(to, &body));
        assert_int_equal(channel_state(to), CHANNEL_OPEN);
    }
    pair_free(&p);
}

static void frames_taken_between_pieces_come_in_order(void **state)
{
    (void)state;
    struct prng prng;
    struct pair p;
    prng_seed(&prng, 6);
    pair_open(&p);
    size_t sent[200];
    struct writer frames = {0};
    for (size_t i = 0; i < 200; i++) {
        sent[i] = 1 + (size_t)prng_below(&prng, i % 10 == 0 ? 300000 : 300);
        frame_put(&frames, sent[i], i);
    }
    channel_send(p.connecting, writer_view(&frames));
    struct bytes all = writer_view(channel_out(p.connecting)), body;
    size_t taken = 0;
    for (size_t at = 0; at < all.len;) {
        size_t len = 1 + (size_t)prng_below(&prng, 65536);
        len = len < all.len - at ? len : all.len - at;
        channel_receive(p.accepting, bytes_of(all.data + at, len));
        at += len;
        while (channel_next_frame(p.accepting, &body)) {
            assert_true(taken < 200);
            assert_int_equal(body.len, sent[taken]);
            assert_int_equal(body.data[0], (uint8_t)(taken * 31));
            taken++;
        }
    }
    assert_int_equal(taken, 200);
    writer_free(&frames);
    pair_free(&p);
}

/* The space of frames that were taken is used again, even if the stream never runs empty. Without
 * that the frames' addresses would go up for ever, but for the few times that the buffer moves. */
static void a_stream_that_never_drains_does_not_grow_for_ever(void **state)
{
    (void)state;
    struct pair p;
    struct bytes body;
    size_t returns = 0;
    uintptr_t last = 0;
    pair_open(&p);
    for (uint64_t i = 0; i < 1000; i++) {
        struct writer frames = {0};
        frame_put(&frames, 1000, i);
        /* first the rest of the frame before, then the first half of this one */
        size_t half = 502;
        if (i > 0)
            channel_send(p.connecting, bytes_of(frames.data + half, frames.len - half));
        channel_send(p.connecting, bytes_of(frames.data, half));
        writer_free(&frames);
        carry(p.connecting, p.accepting, NULL);
        while (channel_next_frame(p.accepting, &body)) {
            returns += (uintptr_t)body.data <= last;
            last = (uintptr_t)body.data;
        }
    }
    assert_true(returns > 300);
    pair_free(&p);
}

static void the_largest_frame_passes_and_one_byte_more_fails(void **state)
{
    (void)state;
    struct pair p;
    struct bytes body;
    pair_open(&p);
    send_frame(p.connecting, FRAME_BYTES_MAX, 1);
    carry(p.connecting, p.accepting, NULL);
    frame_expect(p.accepting, FRAME_BYTES_MAX, 1);
    channel_send(p.connecting, bytes_of("\x01\x00\x00\x01", 4));
    carry(p.connecting, p.accepting, NULL);
    assert_false(channel_next_frame(p.accepting, &body));
    assert_failed(p.accepting, "empty or larger than 16777216 bytes");
    pair_free(&p);
}

static void an_empty_frame_fails(void **state)
{
    (void)state;
    struct pair p;
    struct bytes body;
    pair_open(&p);
    send_frame(p.accepting, 3, 1);
    channel_send(p.accepting, bytes_of("\0\0\0\0", 4));
    carry(p.accepting, p.connecting, NULL);
    frame_expect(p.connecting, 3, 1);
    assert_false(channel_next_frame(p.connecting, &body));
    assert_failed(p.connecting, "empty or larger");
    channel_send(p.connecting, bytes_of("abc", 3));
    assert_int_equal(channel_out(p.connecting)->len, 0);
    channel_receive(p.connecting, bytes_of("abc", 3));
    assert_failed(p.connecting, "empty or larger");
    pair_free(&p);
}

static void a_large_plain_is_cut_into_full_records(void **state)
{
    (void)state;
    struct hand h;
    struct pair p;
    struct channel *c = hand_open_initiator(&h, &p);
    struct writer plain = {0}, frame = {0};
    frame_put(&frame, 3 * PLAIN_MAX, 2);
    channel_send(c, writer_view(&frame));
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        size_t before = plain.len;
        hand_open(&h, c, &at, &plain);
        assert_int_equal(plain.len - before, i < 3 ? PLAIN_MAX : FRAME_HEADER_BYTES);
    }
    assert_int_equal(at, channel_out(c)->len);
    assert_true(bytes_equal(writer_view(&plain), writer_view(&frame)));
    writer_free(&plain);
    writer_free(&frame);
    channel_free(c);
    hand_free(&h);
}

static void a_stream_cut_anywhere_gives_only_whole_frames(void **state)
{
    (void)state;
    struct pair p;
    struct bytes body;
    pair_open(&p);
    send_frame(p.connecting, 40, 1);
    struct bytes all = writer_view(channel_out(p.connecting));
    for (size_t at = 0; at < all.len; at++) {
        assert_false(channel_next_frame(p.accepting, &body));
        assert_int_equal(channel_state(p.accepting), CHANNEL_OPEN);
        channel_receive(p.accepting, bytes_of(all.data + at, 1));
    }
    frame_expect(p.accepting, 40, 1);
    pair_free(&p);
}

/* Two frames in two records; returns where the second begins. */
static size_t two_records(struct channel *from)
{
    send_frame(from, 20, 1);
    size_t second = channel_out(from)->len;
    send_frame(from, 20, 2);
    return second;
}

static void replayed_dropped_and_reordered_records_fail(void **state)
{
    (void)state;
    const int orders[][2] = {{0, 0}, {1, 1}, {1, 0}};
    for (int i = 0; i < 3; i++) {
        struct pair p;
        pair_open(&p);
        size_t second = two_records(p.connecting);
        const uint8_t *data = channel_out(p.connecting)->data;
        struct bytes records[] = {bytes_of(data, second), bytes_of(data + second, second)};
        channel_receive(p.accepting, records[orders[i][0]]);
        channel_receive(p.accepting, records[orders[i][1]]);
        assert_failed(p.accepting, "forged or damaged");
        pair_free(&p);
    }
}

static void a_byte_flipped_anywhere_in_a_record_gives_no_frame(void **state)
{
    (void)state;
    size_t len = 1;
    for (size_t at = 0; at < len; at++) {
        struct pair p;
        struct bytes body;
        pair_open(&p);
        two_records(p.connecting);
        len = channel_out(p.connecting)->len / 2;
        channel_out(p.connecting)->data[at] ^= 0x40;
        carry(p.connecting, p.accepting, NULL);
        assert_false(channel_next_frame(p.accepting, &body));
        /* a flip that makes the first length larger waits for more, and then fails */
        if (at >= 2)
            assert_failed(p.accepting, "record 0 of this connection is forged or damaged");
        pair_free(&p);
    }
}

static void records_without_content_fail(void **state)
{
    (void)state;
    struct hand h;
    struct pair p;
    struct channel *c = hand_open_initiator(&h, &p);
    hand_record(&h, bytes_of(NULL, 0));
    hand_deliver(&h, c);
    assert_failed(c, "length that is out of bounds");
    channel_free(c);
    hand_free(&h);
}

/* ---- rekey ---- */

/* Both directions cross the rekey twice against a peer that does it by hand. */
static void each_direction_rekeys_after_the_agreed_number_of_records(void **state)
{
    (void)state;
    struct hand h;
    struct pair p;
    struct channel *c = hand_open_initiator(&h, &p);
    struct writer plain = {0}, frame = {0};
    frame_put(&frame, 1, 0);
    assert_int_equal(h.receive.nonce, 1); /* the greeting was a record, too */
    uint8_t first_key[NOISE_KEY_BYTES];
    memcpy(first_key, h.send.key, sizeof first_key);
    while (h.send.nonce < 2 * CHANNEL_REKEY_RECORDS + 10) {
        hand_record(&h, writer_view(&frame));
        if (h.send.nonce == CHANNEL_REKEY_RECORDS || h.send.nonce == 2 * CHANNEL_REKEY_RECORDS)
            noise_rekey(&h.send);
        hand_deliver(&h, c);
        frame_expect(c, 1, 0);

        channel_send(c, writer_view(&frame));
        size_t at = 0;
        plain.len = 0;
        hand_open(&h, c, &at, &plain);
        channel_out(c)->len = 0;
        if (h.receive.nonce == CHANNEL_REKEY_RECORDS ||
            h.receive.nonce == 2 * CHANNEL_REKEY_RECORDS)
            noise_rekey(&h.receive);
    }
    assert_memory_not_equal(first_key, h.send.key, sizeof first_key);
    writer_free(&plain);
    writer_free(&frame);
    channel_free(c);
    hand_free(&h);
}

static void a_peer_that_does_not_rekey_fails(void **state)
{
    (void)state;
    struct hand h;
    struct pair p;
    struct channel *c = hand_open_initiator(&h, &p);
    struct writer frame = {0};
    frame_put(&frame, 1, 0);
    for (uint32_t i = 0; i < CHANNEL_REKEY_RECORDS; i++) {
        hand_record(&h, writer_view(&frame));
        hand_deliver(&h, c);
        frame_expect(c, 1, 0);
    }
    hand_record(&h, writer_view(&frame));
    hand_deliver(&h, c);
    assert_failed(c, "record 65536 of this connection is forged or damaged");
    writer_free(&frame);
    channel_free(c);
    hand_free(&h);
}

static void two_channels_rekey_in_step_in_random_pieces(void **state)
{
    (void)state;
    struct prng prng;
    struct pair p;
    prng_seed(&prng, 8);
    pair_open(&p);
    for (uint64_t sent = 0; sent < CHANNEL_REKEY_RECORDS + 1000; sent += 1000) {
        for (uint64_t i = 0; i < 1000; i++) {
            send_frame(p.connecting, 1 + i % 7, i);
            send_frame(p.accepting, 1 + i % 5, i);
        }
        carry(p.connecting, p.accepting, &prng);
        carry(p.accepting, p.connecting, &prng);
        for (uint64_t i = 0; i < 1000; i++) {
            frame_expect(p.accepting, 1 + i % 7, i);
            frame_expect(p.connecting, 1 + i % 5, i);
        }
    }
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_open_and_know_each_other),
        cmocka_unit_test(nothing_opens_before_the_responder_admits),
        cmocka_unit_test(a_peer_made_by_hand_finds_the_documented_bytes),
        cmocka_unit_test(a_refused_initiator_reads_the_sentence),
        cmocka_unit_test(another_server_key_fails_at_both_ends),
        cmocka_unit_test(a_pinned_key_that_is_none_fails_at_once),
        cmocka_unit_test(another_cluster_id_is_named_at_both_ends),
        cmocka_unit_test(another_version_is_named_at_both_ends),
        cmocka_unit_test(strangers_are_told_apart_from_peers),
        cmocka_unit_test(a_byte_flipped_anywhere_in_the_handshake_opens_nothing),
        cmocka_unit_test(a_handshake_cut_anywhere_waits_and_opens_nothing),
        cmocka_unit_test(handshake_messages_of_other_lengths_fail_at_their_length),
        cmocka_unit_test(malformed_hellos_are_refused),
        cmocka_unit_test(a_hello_whose_role_is_not_the_prefaces_is_refused),
        cmocka_unit_test(malformed_greetings_are_refused_and_refusals_cleaned),
        cmocka_unit_test(what_comes_before_admission_is_kept_up_to_a_bound),
        cmocka_unit_test(frames_of_all_sizes_arrive_through_random_pieces),
        cmocka_unit_test(frames_taken_between_pieces_come_in_order),
        cmocka_unit_test(a_stream_that_never_drains_does_not_grow_for_ever),
        cmocka_unit_test(the_largest_frame_passes_and_one_byte_more_fails),
        cmocka_unit_test(an_empty_frame_fails),
        cmocka_unit_test(a_large_plain_is_cut_into_full_records),
        cmocka_unit_test(a_stream_cut_anywhere_gives_only_whole_frames),
        cmocka_unit_test(replayed_dropped_and_reordered_records_fail),
        cmocka_unit_test(a_byte_flipped_anywhere_in_a_record_gives_no_frame),
        cmocka_unit_test(records_without_content_fail),
        cmocka_unit_test(each_direction_rekeys_after_the_agreed_number_of_records),
        cmocka_unit_test(a_peer_that_does_not_rekey_fails),
        cmocka_unit_test(two_channels_rekey_in_step_in_random_pieces),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
