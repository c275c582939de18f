/* wire/noise: the published vectors of tests/unit/noise_xk.vectors, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/noise.h"

#define VECTOR_FILE  "tests/unit/noise_xk.vectors"
#define LINE_MAX_LEN 1024
#define VALUE_MAX    (LINE_MAX_LEN / 2)
#define MESSAGES_MAX 8
#define HANDSHAKE    3

struct value {
    bool given;
    uint8_t data[VALUE_MAX];
    size_t len;
};

struct vector {
    char name[32];
    struct value prologue, s[2], e[2], public, hash; /* [0] initiator, [1] responder */
    size_t n;
    struct {
        int sender;
        struct value payload, sealed;
    } message[MESSAGES_MAX];
};

static struct bytes value_bytes(const struct value *v)
{
    return bytes_of(v->data, v->len);
}

static void value_read(struct value *v, const char *hex)
{
    v->given = true;
    v->len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    if (v->len > 0)
        assert_true(bytes_from_hex(hex, v->data, v->len));
}

static FILE *vectors_open(void)
{
    char path[512];
    const char *root = getenv("ASSENT_SOURCE_DIR");
    snprintf(path, sizeof path, "%s%s%s", root == NULL ? "" : root, root == NULL ? "" : "/",
             VECTOR_FILE);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s: run from the source directory, or set ASSENT_SOURCE_DIR", path);
    return file;
}

/* The next line that is not a comment; false at the end. */
static bool vectors_line(FILE *file, char name[32], char value[LINE_MAX_LEN])
{
    char line[LINE_MAX_LEN];
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        assert_int_equal(sscanf(line, "%31s %1023s", name, value), 2);
        return true;
    }
    return false;
}

static struct value *vector_field(struct vector *v, const char *name)
{
    const struct {
        const char *name;
        struct value *value;
    } fields[] = {
        {"prologue", &v->prologue},        {"handshake_hash", &v->hash},
        {"initiator_static", &v->s[0]},    {"responder_static", &v->s[1]},
        {"initiator_ephemeral", &v->e[0]}, {"responder_ephemeral", &v->e[1]},
        {"responder_public", &v->public},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].value;
    }
    return NULL;
}

static struct noise_keypair pair_of(const struct value *secret)
{
    struct noise_keypair pair;
    assert_int_equal(secret->len, NOISE_KEY_BYTES);
    assert_true(noise_keypair_from(&pair, secret->data));
    return pair;
}

static void assert_bytes(struct bytes got, struct bytes expected)
{
    assert_int_equal(got.len, expected.len);
    if (got.len > 0)
        assert_memory_equal(got.data, expected.data, got.len);
}

static void vector_start(const struct vector *v, struct noise_handshake hs[2])
{
    for (int i = 0; i < 2; i++) {
        struct noise_keypair s = pair_of(&v->s[i]), e = pair_of(&v->e[i]), peer = pair_of(&v->s[1]);
        if (v->public.given)
            assert_bytes(bytes_of(peer.public, sizeof peer.public), value_bytes(&v->public));
        noise_start(&hs[i], i == 0, &s, i == 0 ? peer.public : NULL, value_bytes(&v->prologue));
        noise_set_ephemeral(&hs[i], &e);
    }
}

/* Both ends write and read every message, and it is the published one. */
static void vector_run(const struct vector *v)
{
    struct noise_handshake hs[2];
    struct noise_cipher send[2], receive[2];
    struct writer sealed = {0}, payload = {0};
    assert_true(v->n > HANDSHAKE);
    vector_start(v, hs);
    for (size_t i = 0; i < v->n; i++) {
        struct bytes plain = value_bytes(&v->message[i].payload);
        int from = v->message[i].sender, to = 1 - from;
        sealed.len = payload.len = 0;
        if (i < HANDSHAKE) {
            assert_true(noise_write(&hs[from], plain, &sealed));
            assert_true(noise_read(&hs[to], writer_view(&sealed), &payload));
        } else {
            noise_seal(&send[from], bytes_of(NULL, 0), plain, &sealed);
            assert_true(
                noise_open(&receive[to], bytes_of(NULL, 0), writer_view(&sealed), &payload));
        }
        assert_bytes(writer_view(&sealed), value_bytes(&v->message[i].sealed));
        assert_bytes(writer_view(&payload), plain);
        for (int k = 0; i == HANDSHAKE - 1 && k < 2; k++) {
            assert_true(noise_finished(&hs[k]));
            if (v->hash.given)
                assert_bytes(bytes_of(hs[k].h, NOISE_HASH_BYTES), value_bytes(&v->hash));
            noise_split(&hs[k], &send[k], &receive[k]);
        }
    }
    writer_free(&sealed);
    writer_free(&payload);
}

static void every_published_vector_is_reproduced_by_both_ends(void **state)
{
    (void)state;
    struct vector v = {0};
    size_t vectors = 0, hashes = 0;
    char name[32], value[LINE_MAX_LEN];
    FILE *file = vectors_open();
    while (vectors_line(file, name, value)) {
        struct value *field = vector_field(&v, name);
        bool begins = strcmp(name, "vector") == 0, ends = strcmp(name, "rekey_from") == 0;
        bool initiator = strcmp(name, "initiator_sends") == 0;
        if ((begins || ends) && v.n > 0) {
            print_message("vector %s: %zu messages\n", v.name, v.n);
            vector_run(&v);
            vectors++;
            hashes += v.hash.given;
        }
        if (ends)
            break;
        if (begins) {
            v = (struct vector){0};
            snprintf(v.name, sizeof v.name, "%.31s", value);
        } else if (field != NULL) {
            value_read(field, value);
        } else if (initiator || strcmp(name, "responder_sends") == 0) {
            assert_true(v.n < MESSAGES_MAX);
            v.message[v.n].sender = initiator ? 0 : 1;
            value_read(&v.message[v.n++].payload, value);
        } else {
            assert_string_equal(name, "message");
            assert_true(v.n > 0);
            value_read(&v.message[v.n - 1].sealed, value);
        }
    }
    fclose(file);
    assert_int_equal(vectors, 7);
    assert_int_equal(hashes, 2);
}

/* The values of the lines of that name, in order. */
static size_t vectors_named(const char *wanted, struct value *out, size_t max)
{
    size_t n = 0;
    char name[32], value[LINE_MAX_LEN];
    FILE *file = vectors_open();
    while (n < max && vectors_line(file, name, value)) {
        if (strcmp(name, wanted) == 0)
            value_read(&out[n++], value);
    }
    fclose(file);
    return n;
}

static void rekey_changes_the_key_as_specified_and_leaves_the_nonce(void **state)
{
    (void)state;
    static struct value from, to[2];
    struct noise_cipher c = {.nonce = 77, .has_key = true};
    assert_int_equal(vectors_named("rekey_from", &from, 1), 1);
    assert_int_equal(vectors_named("rekey_to", to, 2), 2);
    memcpy(c.key, from.data, sizeof c.key);
    for (int i = 0; i < 2; i++) {
        noise_rekey(&c);
        assert_bytes(bytes_of(c.key, sizeof c.key), value_bytes(&to[i]));
    }
    assert_int_equal(c.nonce, 77);
}

static void the_nonce_is_four_zero_bytes_and_a_little_endian_counter(void **state)
{
    (void)state;
    static struct value key, ad, plain, sealed;
    struct writer out = {0};
    assert_int_equal(vectors_named("seal_key", &key, 1), 1);
    assert_int_equal(vectors_named("seal_ad", &ad, 1), 1);
    assert_int_equal(vectors_named("seal_plain", &plain, 1), 1);
    assert_int_equal(vectors_named("seal_message", &sealed, 1), 1);
    struct noise_cipher c = {.nonce = 0x0102030405060708u, .has_key = true};
    memcpy(c.key, key.data, sizeof c.key);
    noise_seal(&c, value_bytes(&ad), value_bytes(&plain), &out);
    assert_bytes(writer_view(&out), value_bytes(&sealed));
    assert_int_equal(c.nonce, 0x0102030405060709u);
    writer_free(&out);
}

/* A handshake between fresh keys; runs it up to but not including message `until`. */
struct ends {
    struct noise_keypair s[2];
    struct noise_handshake hs[2];
    struct writer message, payload;
};

static void ends_start(struct ends *ends, const uint8_t *pinned)
{
    *ends = (struct ends){0};
    for (int i = 0; i < 2; i++)
        noise_keypair_new(&ends->s[i]);
    noise_start(&ends->hs[0], true, &ends->s[0], pinned ? pinned : ends->s[1].public,
                bytes_of_text("prologue"));
    noise_start(&ends->hs[1], false, &ends->s[1], NULL, bytes_of_text("prologue"));
}

/* Writes message i; `message` holds it. */
static void ends_write(struct ends *ends, int i)
{
    ends->message.len = 0;
    assert_true(noise_write(&ends->hs[i % 2], bytes_of_text("payload"), &ends->message));
}

static bool ends_read(struct ends *ends, int i, struct bytes message)
{
    ends->payload.len = 0;
    return noise_read(&ends->hs[1 - i % 2], message, &ends->payload);
}

static void ends_until(struct ends *ends, int until)
{
    ends_start(ends, NULL);
    for (int i = 0; i < until; i++) {
        ends_write(ends, i);
        assert_true(ends_read(ends, i, writer_view(&ends->message)));
        assert_bytes(writer_view(&ends->payload), bytes_of_text("payload"));
    }
}

static void ends_free(struct ends *ends)
{
    writer_free(&ends->message);
    writer_free(&ends->payload);
}

static void assert_wiped(const struct noise_handshake *hs)
{
    struct noise_handshake wiped = {.message = -1};
    assert_memory_equal(hs->s.secret, wiped.s.secret, NOISE_KEY_BYTES);
    assert_memory_equal(hs->e.secret, wiped.e.secret, NOISE_KEY_BYTES);
    assert_memory_equal(hs->ck, wiped.ck, NOISE_HASH_BYTES);
    assert_memory_equal(hs->cipher.key, wiped.cipher.key, NOISE_KEY_BYTES);
    assert_int_equal(hs->message, -1);
}

static void a_flipped_bit_anywhere_in_a_handshake_message_is_refused_and_wipes(void **state)
{
    (void)state;
    for (int i = 0; i < HANDSHAKE; i++) {
        struct ends ends;
        ends_until(&ends, i);
        ends_write(&ends, i);
        for (size_t at = 0; at < ends.message.len; at++) {
            struct noise_handshake saved = ends.hs[1 - i % 2];
            /* X25519 ignores the top bit of a public key, but the transcript does not */
            ends.message.data[at] ^= at % 32 == 31 ? 0x80 : 1;
            assert_false(ends_read(&ends, i, writer_view(&ends.message)));
            assert_int_equal(ends.payload.len, 0);
            assert_wiped(&ends.hs[1 - i % 2]);
            ends.message.data[at] ^= at % 32 == 31 ? 0x80 : 1;
            ends.hs[1 - i % 2] = saved;
        }
        assert_true(ends_read(&ends, i, writer_view(&ends.message)));
        ends_free(&ends);
    }
}

static void a_handshake_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < HANDSHAKE; i++) {
        struct ends ends;
        ends_until(&ends, i);
        ends_write(&ends, i);
        for (size_t len = 0; len < ends.message.len; len++) {
            struct noise_handshake saved = ends.hs[1 - i % 2];
            assert_false(ends_read(&ends, i, bytes_of(ends.message.data, len)));
            ends.hs[1 - i % 2] = saved;
        }
        ends_free(&ends);
    }
}

static void another_server_key_or_prologue_is_refused_with_message_1(void **state)
{
    (void)state;
    struct ends ends;
    struct noise_keypair other;
    noise_keypair_new(&other);
    ends_start(&ends, other.public);
    ends_write(&ends, 0);
    assert_false(ends_read(&ends, 0, writer_view(&ends.message)));
    ends_free(&ends);

    ends_start(&ends, NULL);
    noise_start(&ends.hs[1], false, &ends.s[1], NULL, bytes_of_text("prologuE"));
    ends_write(&ends, 0);
    assert_false(ends_read(&ends, 0, writer_view(&ends.message)));
    ends_free(&ends);
}

static void keys_of_low_order_are_refused(void **state)
{
    (void)state;
    struct ends ends;
    const uint8_t zero[NOISE_KEY_BYTES] = {0};
    ends_start(&ends, zero);
    assert_false(noise_write(&ends.hs[0], bytes_of(NULL, 0), &ends.message));
    assert_int_equal(ends.message.len, 0);
    assert_wiped(&ends.hs[0]);
    uint8_t message[NOISE_KEY_BYTES + NOISE_TAG_BYTES] = {1};
    assert_false(ends_read(&ends, 0, bytes_of(message, sizeof message)));
    assert_wiped(&ends.hs[1]);
    ends_free(&ends);
}

static void the_responder_learns_the_initiators_key_and_splitting_wipes(void **state)
{
    (void)state;
    struct ends ends;
    struct noise_cipher send[2], receive[2];
    ends_until(&ends, HANDSHAKE);
    assert_memory_equal(ends.hs[1].rs, ends.s[0].public, NOISE_KEY_BYTES);
    for (int i = 0; i < 2; i++) {
        noise_split(&ends.hs[i], &send[i], &receive[i]);
        assert_wiped(&ends.hs[i]);
    }
    assert_memory_equal(send[0].key, receive[1].key, NOISE_KEY_BYTES);
    assert_memory_equal(send[1].key, receive[0].key, NOISE_KEY_BYTES);
    assert_memory_not_equal(send[0].key, send[1].key, NOISE_KEY_BYTES);
    ends_free(&ends);
}

static void a_sealed_message_opens_once_in_order_and_with_its_associated_data(void **state)
{
    (void)state;
    struct noise_cipher send = {.has_key = true}, receive;
    struct writer sealed = {0}, opened = {0};
    memset(send.key, 7, sizeof send.key);
    receive = send;
    noise_seal(&send, bytes_of_text("ad"), bytes_of_text("text"), &sealed);
    struct bytes message = writer_view(&sealed);
    assert_false(noise_open(&receive, bytes_of_text("aD"), message, &opened));
    assert_false(noise_open(&receive, bytes_of_text("ad"), bytes_of(message.data, 15), &opened));
    for (size_t i = 0; i < message.len; i++) {
        sealed.data[i] ^= 0x10;
        assert_false(noise_open(&receive, bytes_of_text("ad"), message, &opened));
        sealed.data[i] ^= 0x10;
    }
    assert_int_equal(opened.len, 0);
    assert_int_equal(receive.nonce, 0);
    assert_true(noise_open(&receive, bytes_of_text("ad"), message, &opened));
    assert_bytes(writer_view(&opened), bytes_of_text("text"));
    assert_false(noise_open(&receive, bytes_of_text("ad"), message, &opened));
    writer_free(&sealed);
    writer_free(&opened);
}

static void a_key_pair_comes_from_its_secret_but_not_from_zeros(void **state)
{
    (void)state;
    struct noise_keypair made, again, zero;
    noise_keypair_new(&made);
    assert_true(noise_keypair_from(&again, made.secret));
    assert_memory_equal(&made, &again, sizeof made);
    assert_false(noise_keypair_from(&zero, (const uint8_t[NOISE_KEY_BYTES]){0}));
    struct noise_keypair other;
    noise_keypair_new(&other);
    assert_memory_not_equal(made.secret, other.secret, NOISE_KEY_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_vector_is_reproduced_by_both_ends),
        cmocka_unit_test(rekey_changes_the_key_as_specified_and_leaves_the_nonce),
        cmocka_unit_test(the_nonce_is_four_zero_bytes_and_a_little_endian_counter),
        cmocka_unit_test(a_flipped_bit_anywhere_in_a_handshake_message_is_refused_and_wipes),
        cmocka_unit_test(a_handshake_message_cut_anywhere_is_refused),
        cmocka_unit_test(another_server_key_or_prologue_is_refused_with_message_1),
        cmocka_unit_test(keys_of_low_order_are_refused),
        cmocka_unit_test(the_responder_learns_the_initiators_key_and_splitting_wipes),
        cmocka_unit_test(a_sealed_message_opens_once_in_order_and_with_its_associated_data),
        cmocka_unit_test(a_key_pair_comes_from_its_secret_but_not_from_zeros),
    };
    return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
