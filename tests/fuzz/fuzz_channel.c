/* libFuzzer target: random bytes into an accepting and a connecting channel, at every point of
 * their life. The first byte chooses where the bytes enter, the second into which pieces they are
 * cut:
 *
 *   0, 1  bare, from the first byte on, into an acceptor and a connector
 *   2     as the hello of an initiator whose handshake is in order
 *   3     as the greeting of such a responder
 *   4, 5  as the plain of records into an open acceptor and an open connector
 *   6, 7  bare, into an open acceptor and an open connector
 *   8..11 laid (XOR) over the four flights of a handshake, where they may change nothing but the
 *         outcome: with any bit changed before it, no end opens
 *
 * Random numbers come from a fixed seed, so that an input does the same in every run.
 *
 *     clang -fsanitize=fuzzer,address ... tests/fuzz/fuzz_channel.c  */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/prng.h"
#include "wire/channel.h"

#define MODES    12
#define FLIGHTS  4
#define PREFACE  22
#define DATA_MIN 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct prng prng;

static const char *fixed_name(void)
{
    return "fixed";
}

static uint32_t fixed_random(void)
{
    return (uint32_t)prng_u64(&prng);
}

static void fixed_buf(void *const buf, const size_t size)
{
    uint8_t *at = buf;
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)prng_u64(&prng);
}

static struct randombytes_implementation fixed = {
    .implementation_name = fixed_name, .random = fixed_random, .buf = fixed_buf};

static const uint8_t cluster[CLUSTER_ID_BYTES] = {1, 2, 3};
static const struct hello node = {.role = ROLE_COORDINATOR, .node = 1, .name = "a0"};
static const struct hello client = {.role = ROLE_CLIENT, .name = "shop"};

struct ends {
    struct noise_keypair connecting_key, accepting_key;
    struct channel *connecting, *accepting;
};

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_channel: %s\n", what);
        abort();
    }
}

static void ends_new(struct ends *e)
{
    noise_keypair_new(&e->connecting_key);
    noise_keypair_new(&e->accepting_key);
    e->connecting = channel_connect(cluster, &client, &e->connecting_key, e->accepting_key.public);
    e->accepting = channel_accept(cluster, &node, &e->accepting_key);
}

/* What an owner does: feeds, admits, takes every frame, touches all that it may read. */
static void feed(struct channel *c, struct bytes data, uint8_t cut)
{
    struct bytes body;
    size_t step = cut == 0 ? data.len : cut;
    for (size_t at = 0; at < data.len; at += step) {
        size_t len = data.len - at < step ? data.len - at : step;
        uint8_t *piece = xmalloc(len); /* of exact size, for the address sanitizer */
        memcpy(piece, data.data + at, len);
        channel_receive(c, bytes_of(piece, len));
        free(piece);
        if (channel_state(c) == CHANNEL_CHECK) {
            require(strlen(channel_peer(c)->name) <= NAME_BYTES_MAX, "a name without an end");
            channel_admit(c, len % 2 == 0 ? NULL : "refused");
        }
        while (channel_next_frame(c, &body)) {
            require(body.len > 0 && body.len <= FRAME_BYTES_MAX, "a frame out of bounds");
            require(bytes_hash(body) != 1, "");
        }
    }
    require((channel_state(c) == CHANNEL_FAILED) == (channel_why(c)[0] != '\0'),
            "failed without a reason, or a reason without failure");
}

static void carry(struct channel *from, struct channel *to)
{
    feed(to, writer_view(channel_out(from)), 0);
    channel_out(from)->len = 0;
}

static void ends_open(struct ends *e)
{
    for (int i = 0; i < 2; i++) {
        carry(e->connecting, e->accepting);
        carry(e->accepting, e->connecting);
    }
}

/* The plain is sent in records by the other end, so that its seals are good. */
static void into_open(struct ends *e, bool accepting, bool sealed, struct bytes data, uint8_t cut)
{
    struct channel *to = accepting ? e->accepting : e->connecting;
    struct channel *from = accepting ? e->connecting : e->accepting;
    ends_open(e);
    if (channel_state(to) != CHANNEL_OPEN || channel_state(from) != CHANNEL_OPEN)
        return; /* the acceptor refused */
    if (sealed) {
        channel_send(from, data);
        data = writer_view(channel_out(from));
    }
    feed(to, data, cut);
}

static void message(struct noise_handshake *hs, struct bytes payload, struct writer *out)
{
    struct writer m = {0};
    require(noise_write(hs, payload, &m), "a message by hand");
    writer_u8(out, (uint8_t)(m.len >> 8));
    writer_u8(out, (uint8_t)m.len);
    writer_raw(out, m.data, m.len);
    writer_free(&m);
}

static void as_hello(struct ends *e, struct bytes hello, uint8_t cut)
{
    struct noise_handshake hs;
    struct writer out = {0}, payload = {0};
    uint8_t preface[PREFACE] = {'A', 'S', 'N', 'T', CHANNEL_VERSION, ROLE_CLIENT};
    memcpy(preface + 6, cluster, sizeof cluster);
    noise_start(&hs, true, &e->connecting_key, e->accepting_key.public,
                bytes_of(preface, sizeof preface));
    writer_raw(&out, preface, sizeof preface);
    message(&hs, bytes_of(NULL, 0), &out);
    feed(e->accepting, writer_view(&out), 0);
    struct bytes answer = writer_view(channel_out(e->accepting));
    require(noise_read(&hs, bytes_of(answer.data + 3, answer.len - 3), &payload), "message 2");
    out.len = 0;
    message(&hs, hello, &out);
    feed(e->accepting, writer_view(&out), cut);
    noise_wipe(&hs);
    writer_free(&out);
    writer_free(&payload);
}

static void as_greeting(struct ends *e, struct bytes greeting, uint8_t cut)
{
    struct noise_handshake hs;
    struct noise_cipher send, receive;
    struct writer out = {0}, payload = {0};
    struct bytes sent = writer_view(channel_out(e->connecting));
    noise_start(&hs, false, &e->accepting_key, NULL, bytes_of(sent.data, PREFACE));
    sent = bytes_of(sent.data + PREFACE + 2, sent.len - PREFACE - 2);
    require(noise_read(&hs, sent, &payload), "message 1");
    channel_out(e->connecting)->len = 0;
    writer_u8(&out, 1);
    message(&hs, bytes_of(NULL, 0), &out);
    feed(e->connecting, writer_view(&out), 0);
    sent = writer_view(channel_out(e->connecting));
    require(noise_read(&hs, bytes_of(sent.data + 2, sent.len - 2), &payload), "message 3");
    noise_split(&hs, &send, &receive);
    out.len = 0;
    writer_u8(&out, (uint8_t)((greeting.len + NOISE_TAG_BYTES) >> 8));
    writer_u8(&out, (uint8_t)(greeting.len + NOISE_TAG_BYTES));
    noise_seal(&send, bytes_of(NULL, 0), greeting, &out);
    feed(e->connecting, writer_view(&out), cut);
    writer_free(&out);
    writer_free(&payload);
}

static void over_flight(struct ends *e, int chosen, struct bytes data, uint8_t cut)
{
    bool changed = false;
    for (int flight = 0; flight < FLIGHTS; flight++) {
        struct channel *from = flight % 2 == 0 ? e->connecting : e->accepting;
        struct channel *to = flight % 2 == 0 ? e->accepting : e->connecting;
        struct writer *out = channel_out(from);
        for (size_t i = 0; flight == chosen && i < out->len && i < data.len; i++) {
            out->data[i] ^= data.data[i];
            changed = changed || data.data[i] != 0;
        }
        feed(to, writer_view(out), flight == chosen ? cut : 0);
        out->len = 0;
        require(!changed || channel_state(to) != CHANNEL_OPEN, "a changed handshake opened");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct ends e;
    if (size < DATA_MIN)
        return 0;
    if (!started) {
        require(randombytes_set_implementation(&fixed) == 0 && sodium_init() >= 0, "libsodium");
        started = true;
    }
    prng_seed(&prng, 1);
    ends_new(&e);
    int mode = data[0] % MODES;
    uint8_t cut = data[1];
    struct bytes rest = bytes_of(data + DATA_MIN, size - DATA_MIN);
    if (mode < 2)
        feed(mode == 0 ? e.accepting : e.connecting, rest, cut);
    else if (mode < 4 && rest.len <= RECORD_BYTES_MAX - 128)
        (mode == 2 ? as_hello : as_greeting)(&e, rest, cut);
    else if (mode >= 4 && mode < 8)
        into_open(&e, mode % 2 == 0, mode < 6, rest, cut);
    else if (mode >= 8)
        over_flight(&e, mode - 8, rest, cut);
    channel_free(e.connecting);
    channel_free(e.accepting);
    return 0;
}
