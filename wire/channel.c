/* The secure channel (docs/wire-format.md, "Channel").
 *
 *   initiator                                   responder
 *   preface, message 1      ---------------->   STAGE_OPENING, STAGE_PREFACE, STAGE_MESSAGE_1
 *   STAGE_ANSWER, STAGE_MESSAGE_2   <--------   answer, message 2
 *   message 3, with hello   ---------------->   STAGE_MESSAGE_3, then CHANNEL_CHECK
 *   STAGE_GREETING          <----------------   channel_admit: greeting, with hello or refusal
 *   STAGE_RECORDS           <--------------->   STAGE_RECORDS
 *
 * Received bytes are taken in units: a fixed number of bytes, or u16 length and as many bytes. A
 * unit that came whole is used where it lies; only a piece of one is kept, in `piece`. What a
 * record holds is opened straight into `stream`, where channel_next_frame cuts frames out of it.
 *
 * Invariants
 *   1. The first failure sticks: state CHANNEL_FAILED, its sentence in `why`, keys wiped. What is
 * in `out` stays, since it may be what tells the peer why.
 *   2. Before CHANNEL_OPEN a peer makes us keep at most EARLY_BYTES_MAX bytes.
 *   3. Both directions count records by the nonce of their cipher, which a rekey does not reset. */
#include "wire/channel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "wire/codec.h"
#include "wire/text.h"

static const uint8_t magic[4] = {'A', 'S', 'N', 'T'};

/* magic, version: the part of the preface that no version changes */
#define OPENING_BYTES (sizeof magic + 1)
#define PREFACE_BYTES (OPENING_BYTES + 1 + CLUSTER_ID_BYTES)

#define LENGTH_BYTES    2u
#define MESSAGE_1_BYTES (NOISE_KEY_BYTES + NOISE_TAG_BYTES)
#define MESSAGE_2_BYTES (NOISE_KEY_BYTES + NOISE_TAG_BYTES)
/* role, node, incarnation, epoch, set hash, length of the name; then the name */
#define HELLO_BYTES_MIN    (1u + 2u + 4u + 4u + 8u + 1u)
#define HELLO_BYTES_MAX    (HELLO_BYTES_MIN + NAME_BYTES_MAX)
#define MESSAGE_3_BYTES    (NOISE_KEY_BYTES + NOISE_TAG_BYTES + NOISE_TAG_BYTES)
#define GREETING_BYTES_MAX (1u + DETAIL_BYTES_MAX + NOISE_TAG_BYTES)
#define PLAIN_BYTES_MAX    (RECORD_BYTES_MAX - NOISE_TAG_BYTES)
/* what a responder keeps for a peer that sends on before it was admitted, which none needs to do */
#define EARLY_BYTES_MAX 4096u
/* a drained stream buffer larger than this is given back: one large frame should not cost its
 * memory for the rest of the connection */
#define STREAM_BYTES_KEPT (256u * 1024u)

_Static_assert(HELLO_BYTES_MAX <= DETAIL_BYTES_MAX, "a greeting holds a hello or a sentence");
_Static_assert(LENGTH_BYTES + MESSAGE_3_BYTES + HELLO_BYTES_MAX <= EARLY_BYTES_MAX, "invariant 2");
_Static_assert(LENGTH_BYTES + GREETING_BYTES_MAX <= EARLY_BYTES_MAX, "invariant 2");

/* The responder's first byte. ANSWER_OTHER_VERSION is followed by its version, and
 * ANSWER_OTHER_CLUSTER by its cluster id, so that both ends can name both. */
enum answer {
    ANSWER_GO = 1,
    ANSWER_NOT_ASSENT = 2,
    ANSWER_OTHER_VERSION = 3,
    ANSWER_OTHER_CLUSTER = 4,
    ANSWER_NO_ROLE = 5,
    ANSWER_OTHER_KEY = 6,
};

/* The first byte of the responder's first record. */
enum greeting { GREETING_REFUSED = 0, GREETING_ADMITTED = 1 };

enum stage {
    STAGE_OPENING,
    STAGE_PREFACE,
    STAGE_MESSAGE_1,
    STAGE_MESSAGE_3,
    STAGE_ANSWER,
    STAGE_MESSAGE_2,
    STAGE_GREETING,
    STAGE_RECORDS,
};

struct channel {
    enum channel_state state;
    enum stage stage;
    uint8_t cluster[CLUSTER_ID_BYTES];
    struct hello self, peer;
    uint8_t peer_key[NOISE_KEY_BYTES];
    struct noise_keypair s; /* of a responder, until message 1 */
    uint8_t preface[PREFACE_BYTES];
    struct noise_handshake handshake;
    struct noise_cipher send, receive;
    struct writer piece;
    struct writer stream;
    size_t stream_at; /* what comes before was handed out as frames */
    struct writer out;
    char why[DETAIL_BYTES_MAX + 64];
};

static void channel_require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "assent: channel: %s\n", what);
        abort();
    }
}

static void channel_wipe(struct channel *c)
{
    noise_wipe(&c->handshake);
    sodium_memzero(&c->s, sizeof c->s);
    sodium_memzero(&c->send, sizeof c->send);
    sodium_memzero(&c->receive, sizeof c->receive);
    writer_free(&c->piece);
    writer_free(&c->stream);
    c->stream_at = 0;
}

__attribute__((format(printf, 2, 3))) static void channel_fail(struct channel *c,
                                                               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->why, sizeof c->why, format, arguments);
    va_end(arguments);
    c->state = CHANNEL_FAILED;
    channel_wipe(c);
}

static void fail_other_cluster(struct channel *c, const uint8_t *theirs)
{
    char expected[2 * CLUSTER_ID_BYTES + 1], got[2 * CLUSTER_ID_BYTES + 1];
    bytes_hex(bytes_of(c->cluster, CLUSTER_ID_BYTES), expected);
    bytes_hex(bytes_of(theirs, CLUSTER_ID_BYTES), got);
    channel_fail(c, "the peer belongs to another cluster: expected %s, got %s", expected, got);
}

static void fail_other_version(struct channel *c, uint8_t theirs)
{
    channel_fail(c,
                 "the peer speaks version %u of the wire format, we speak version %u: upgrade the "
                 "older of the two",
                 theirs, CHANNEL_VERSION);
}

static void put_length(struct writer *out, size_t len)
{
    writer_u8(out, (uint8_t)(len >> 8));
    writer_u8(out, (uint8_t)len);
}

/* ---- hello ---- */

static void hello_encode(const struct hello *hello, struct writer *out)
{
    size_t len = strnlen(hello->name, NAME_BYTES_MAX);
    writer_u8(out, (uint8_t)hello->role);
    writer_u16(out, hello->node);
    writer_u32(out, hello->incarnation);
    writer_u32(out, hello->epoch);
    writer_u64(out, hello->set_hash);
    writer_u8(out, (uint8_t)len);
    writer_raw(out, hello->name, len);
}

static bool role_known(unsigned role)
{
    return role == ROLE_COORDINATOR || role == ROLE_PARTICIPANT || role == ROLE_CLIENT;
}

static bool hello_decode(struct bytes encoded, struct hello *out)
{
    struct reader r = reader_of(encoded);
    struct hello hello = {.role = reader_u8(&r),
                          .node = reader_u16(&r),
                          .incarnation = reader_u32(&r),
                          .epoch = reader_u32(&r),
                          .set_hash = reader_u64(&r)};
    size_t len = reader_u8(&r);
    if (len > NAME_BYTES_MAX)
        return false;
    reader_raw(&r, hello.name, len);
    if (!reader_done(&r) || !role_known(hello.role) || hello.node > NODES_MAX)
        return false;
    if ((hello.node == 0) != (hello.role == ROLE_CLIENT))
        return false;
    if (!text_printable(bytes_of(hello.name, len), false))
        return false;
    *out = hello;
    return true;
}

/* ---- sending ---- */

static void seal_record(struct channel *c, struct bytes plain)
{
    put_length(&c->out, plain.len + NOISE_TAG_BYTES);
    noise_seal(&c->send, bytes_of(NULL, 0), plain, &c->out);
    if (c->send.nonce % CHANNEL_REKEY_RECORDS == 0)
        noise_rekey(&c->send);
}

static bool open_record(struct channel *c, struct bytes sealed, struct writer *out)
{
    if (!noise_open(&c->receive, bytes_of(NULL, 0), sealed, out)) {
        channel_fail(c,
                     "record %llu of this connection is forged or damaged: something between "
                     "the two nodes changes, repeats or drops bytes",
                     (unsigned long long)c->receive.nonce);
        return false;
    }
    if (c->receive.nonce % CHANNEL_REKEY_RECORDS == 0)
        noise_rekey(&c->receive);
    return true;
}

/* The next handshake message, with its length. */
static bool send_message(struct channel *c, struct bytes payload)
{
    struct writer message = {0};
    bool good = noise_write(&c->handshake, payload, &message);
    if (good) {
        put_length(&c->out, message.len);
        writer_raw(&c->out, message.data, message.len);
    }
    writer_free(&message);
    return good;
}

static struct channel *channel_new(const uint8_t cluster[CLUSTER_ID_BYTES],
                                   const struct hello *self, enum stage stage)
{
    struct channel *c = xcalloc(1, sizeof *c);
    memcpy(c->cluster, cluster, CLUSTER_ID_BYTES);
    c->self = *self;
    c->stage = stage;
    return c;
}

struct channel *channel_connect(const uint8_t cluster[CLUSTER_ID_BYTES], const struct hello *self,
                                const struct noise_keypair *s, const uint8_t rs[NOISE_KEY_BYTES])
{
    struct channel *c = channel_new(cluster, self, STAGE_ANSWER);
    uint8_t *at = c->preface;
    memcpy(at, magic, sizeof magic);
    at[sizeof magic] = CHANNEL_VERSION;
    at[OPENING_BYTES] = (uint8_t)self->role;
    memcpy(at + OPENING_BYTES + 1, cluster, CLUSTER_ID_BYTES);
    memcpy(c->peer_key, rs, NOISE_KEY_BYTES);
    noise_start(&c->handshake, true, s, rs, bytes_of(c->preface, PREFACE_BYTES));
    writer_raw(&c->out, c->preface, PREFACE_BYTES);
    if (!send_message(c, bytes_of(NULL, 0))) {
        c->out.len = 0;
        channel_fail(c, "the peer's public key is no valid key: correct it in the cluster file");
    }
    return c;
}

struct channel *channel_accept(const uint8_t cluster[CLUSTER_ID_BYTES], const struct hello *self,
                               const struct noise_keypair *s)
{
    struct channel *c = channel_new(cluster, self, STAGE_OPENING);
    c->s = *s;
    return c;
}

void channel_free(struct channel *c)
{
    if (c == NULL)
        return;
    channel_wipe(c);
    writer_free(&c->out);
    free(c);
}

/* ---- the responder's half of the handshake ---- */

static void refuse(struct channel *c, enum answer answer)
{
    writer_u8(&c->out, (uint8_t)answer);
}

static void take_opening(struct channel *c, struct bytes unit)
{
    memcpy(c->preface, unit.data, OPENING_BYTES);
    if (memcmp(unit.data, magic, sizeof magic) != 0) {
        char got[2 * sizeof magic + 1];
        bytes_hex(bytes_of(unit.data, sizeof magic), got);
        refuse(c, ANSWER_NOT_ASSENT);
        channel_fail(c, "the peer does not speak Assent's protocol: its first bytes are %s", got);
        return;
    }
    uint8_t version = unit.data[sizeof magic];
    if (version != CHANNEL_VERSION) {
        refuse(c, ANSWER_OTHER_VERSION);
        writer_u8(&c->out, CHANNEL_VERSION);
        fail_other_version(c, version);
        return;
    }
    c->stage = STAGE_PREFACE;
}

static void take_preface(struct channel *c, struct bytes unit)
{
    memcpy(c->preface + OPENING_BYTES, unit.data, unit.len);
    if (memcmp(unit.data + 1, c->cluster, CLUSTER_ID_BYTES) != 0) {
        refuse(c, ANSWER_OTHER_CLUSTER);
        writer_raw(&c->out, c->cluster, CLUSTER_ID_BYTES);
        fail_other_cluster(c, unit.data + 1);
        return;
    }
    if (!role_known(unit.data[0])) {
        refuse(c, ANSWER_NO_ROLE);
        channel_fail(c, "the peer claims the role %u, which there is not", unit.data[0]);
        return;
    }
    c->stage = STAGE_MESSAGE_1;
}

static void take_message_1(struct channel *c, struct bytes message)
{
    struct writer payload = {0};
    noise_start(&c->handshake, false, &c->s, NULL, bytes_of(c->preface, PREFACE_BYTES));
    sodium_memzero(&c->s, sizeof c->s);
    bool good = noise_read(&c->handshake, message, &payload);
    writer_free(&payload);
    if (!good) {
        refuse(c, ANSWER_OTHER_KEY);
        channel_fail(c, "the peer expects another public key than ours, or its first message was "
                        "damaged: compare this node's key with the peer's cluster file");
        return;
    }
    writer_u8(&c->out, ANSWER_GO);
    if (!send_message(c, bytes_of(NULL, 0))) {
        channel_fail(c, "the peer sent an ephemeral key that is no valid key");
        return;
    }
    c->stage = STAGE_MESSAGE_3;
}

/* Both directions are ready; the handshake leaves the peer's key behind. */
static void channel_split(struct channel *c)
{
    memcpy(c->peer_key, c->handshake.rs, NOISE_KEY_BYTES);
    noise_split(&c->handshake, &c->send, &c->receive);
}

static void take_message_3(struct channel *c, struct bytes message)
{
    struct writer payload = {0};
    bool good = noise_read(&c->handshake, message, &payload);
    if (!good)
        channel_fail(c, "the peer did not prove its key: message 3 of the handshake is forged "
                        "or damaged");
    else if (!hello_decode(writer_view(&payload), &c->peer))
        channel_fail(c, "the peer's hello is malformed");
    else if (c->peer.role != c->preface[OPENING_BYTES])
        channel_fail(c, "the peer's hello and preface name different roles");
    else {
        channel_split(c);
        c->stage = STAGE_RECORDS;
        c->state = CHANNEL_CHECK;
    }
    writer_free(&payload);
}

void channel_admit(struct channel *c, const char *refusal)
{
    channel_require(c->state == CHANNEL_CHECK, "channel_admit outside CHANNEL_CHECK");
    struct writer greeting = {0}, early = c->piece;
    writer_u8(&greeting, refusal == NULL ? GREETING_ADMITTED : GREETING_REFUSED);
    if (refusal == NULL)
        hello_encode(&c->self, &greeting);
    else
        text_clean(bytes_of_text(refusal), DETAIL_BYTES_MAX, false, &greeting);
    seal_record(c, writer_view(&greeting));
    writer_free(&greeting);
    c->piece = (struct writer){0};
    if (refusal == NULL) {
        c->state = CHANNEL_OPEN;
        channel_receive(c, writer_view(&early));
    } else {
        channel_fail(c, "%s", refusal);
    }
    writer_free(&early);
}

/* ---- the initiator's half ---- */

static void take_answer(struct channel *c, struct bytes unit)
{
    switch (unit.data[0]) {
    case ANSWER_GO:
        c->stage = STAGE_MESSAGE_2;
        return;
    case ANSWER_NOT_ASSENT:
        channel_fail(c, "the peer did not take our first bytes for Assent's protocol");
        return;
    case ANSWER_OTHER_VERSION:
        fail_other_version(c, unit.data[1]);
        return;
    case ANSWER_OTHER_CLUSTER:
        fail_other_cluster(c, unit.data + 1);
        return;
    case ANSWER_NO_ROLE:
        channel_fail(c, "the peer does not know the role %u", c->self.role);
        return;
    case ANSWER_OTHER_KEY:
        channel_fail(c, "the peer does not hold the key that the cluster file names for it: "
                        "correct the key, or the address, in the cluster file");
        return;
    default:
        channel_fail(c,
                     "the peer does not speak Assent's protocol: it answers 0x%02x; check address "
                     "and port",
                     unit.data[0]);
    }
}

static void take_message_2(struct channel *c, struct bytes message)
{
    struct writer payload = {0}, hello = {0};
    bool good = noise_read(&c->handshake, message, &payload);
    writer_free(&payload);
    if (!good) {
        channel_fail(c, "the peer did not prove its key: message 2 of the handshake is forged or "
                        "damaged");
        return;
    }
    hello_encode(&c->self, &hello);
    good = send_message(c, writer_view(&hello));
    writer_free(&hello);
    if (!good) {
        channel_fail(c, "the peer sent an ephemeral key that is no valid key");
        return;
    }
    channel_split(c);
    c->stage = STAGE_GREETING;
}

static void fail_refused(struct channel *c, struct bytes sentence)
{
    struct writer text = {0};
    text_clean(sentence, DETAIL_BYTES_MAX, false, &text);
    if (text.len > 0)
        channel_fail(c, "the peer refused: %.*s", (int)text.len, (const char *)text.data);
    else
        channel_fail(c, "the peer refused without a reason");
    writer_free(&text);
}

static void read_greeting(struct channel *c, struct bytes greeting)
{
    struct reader r = reader_of(greeting);
    uint8_t verdict = reader_u8(&r);
    if (verdict == GREETING_REFUSED) {
        fail_refused(c, r.rest);
    } else if (verdict != GREETING_ADMITTED || !hello_decode(r.rest, &c->peer)) {
        channel_fail(c, "the peer's hello is malformed");
    } else {
        c->stage = STAGE_RECORDS;
        c->state = CHANNEL_OPEN;
    }
}

static void take_greeting(struct channel *c, struct bytes sealed)
{
    struct writer greeting = {0};
    if (open_record(c, sealed, &greeting))
        read_greeting(c, writer_view(&greeting));
    writer_free(&greeting);
}

/* ---- receiving ---- */

/* Whole size of a unit of u16 length and as many bytes, min..max of them; LENGTH_BYTES until the
 * length is there; 0 when it is out of bounds. */
static size_t sized_unit(struct bytes have, size_t min, size_t max)
{
    if (have.len < LENGTH_BYTES)
        return LENGTH_BYTES;
    size_t len = (size_t)have.data[0] << 8 | have.data[1];
    return len < min || len > max ? 0 : LENGTH_BYTES + len;
}

static size_t answer_bytes(uint8_t answer)
{
    switch (answer) {
    case ANSWER_OTHER_VERSION:
        return 1 + 1;
    case ANSWER_OTHER_CLUSTER:
        return 1 + CLUSTER_ID_BYTES;
    default:
        return 1;
    }
}

/* How long the unit is that begins with these bytes, at least one; more may be asked for when more
 * is there. 0: out of bounds. */
static size_t unit_bytes(const struct channel *c, struct bytes have)
{
    switch (c->stage) {
    case STAGE_OPENING:
        return OPENING_BYTES;
    case STAGE_PREFACE:
        return PREFACE_BYTES - OPENING_BYTES;
    case STAGE_MESSAGE_1:
        return sized_unit(have, MESSAGE_1_BYTES, MESSAGE_1_BYTES);
    case STAGE_MESSAGE_3:
        return sized_unit(have, MESSAGE_3_BYTES + HELLO_BYTES_MIN,
                          MESSAGE_3_BYTES + HELLO_BYTES_MAX);
    case STAGE_ANSWER:
        return answer_bytes(have.data[0]);
    case STAGE_MESSAGE_2:
        return sized_unit(have, MESSAGE_2_BYTES, MESSAGE_2_BYTES);
    case STAGE_GREETING:
        return sized_unit(have, NOISE_TAG_BYTES + 1, GREETING_BYTES_MAX);
    case STAGE_RECORDS:
        break;
    }
    return sized_unit(have, NOISE_TAG_BYTES + 1, RECORD_BYTES_MAX);
}

static struct bytes unit_body(struct bytes unit)
{
    return bytes_of(unit.data + LENGTH_BYTES, unit.len - LENGTH_BYTES);
}

static void take_unit(struct channel *c, struct bytes unit)
{
    switch (c->stage) {
    case STAGE_OPENING:
        take_opening(c, unit);
        break;
    case STAGE_PREFACE:
        take_preface(c, unit);
        break;
    case STAGE_MESSAGE_1:
        take_message_1(c, unit_body(unit));
        break;
    case STAGE_MESSAGE_3:
        take_message_3(c, unit_body(unit));
        break;
    case STAGE_ANSWER:
        take_answer(c, unit);
        break;
    case STAGE_MESSAGE_2:
        take_message_2(c, unit_body(unit));
        break;
    case STAGE_GREETING:
        take_greeting(c, unit_body(unit));
        break;
    case STAGE_RECORDS:
        open_record(c, unit_body(unit), &c->stream);
        break;
    }
}

/* Gives back what was handed out, and moves what is left to the front once it is the smaller part,
 * so that no byte is moved more than once on average. */
static void stream_compact(struct channel *c)
{
    size_t left = c->stream.len - c->stream_at;
    if (left == 0 && c->stream.cap > STREAM_BYTES_KEPT) {
        writer_free(&c->stream);
    } else if (left > c->stream_at) {
        return;
    } else if (left > 0) {
        memcpy(c->stream.data, c->stream.data + c->stream_at, left);
    }
    c->stream.len = left;
    c->stream_at = 0;
}

/* Bytes that came before channel_admit; see EARLY_BYTES_MAX. */
static void keep_early(struct channel *c, struct bytes data)
{
    if (data.len > EARLY_BYTES_MAX - c->piece.len)
        channel_fail(c, "the peer sends before it was admitted");
    else
        writer_raw(&c->piece, data.data, data.len);
}

static void fail_length(struct channel *c)
{
    channel_fail(c, "the peer sent a length that is out of bounds");
}

/* Adds to `piece` what its unit lacks, and takes the unit when it is whole. Returns the bytes used.
 */
static size_t complete_piece(struct channel *c, struct bytes data, size_t unit)
{
    size_t lacking = unit - c->piece.len;
    size_t used = data.len < lacking ? data.len : lacking;
    writer_raw(&c->piece, data.data, used);
    unit = unit_bytes(c, writer_view(&c->piece)); /* its length may have become known just now */
    if (unit == 0) {
        fail_length(c);
    } else if (c->piece.len == unit) {
        take_unit(c, writer_view(&c->piece));
        c->piece.len = 0;
    }
    return used;
}

void channel_receive(struct channel *c, struct bytes data)
{
    stream_compact(c);
    while (data.len > 0 && c->state != CHANNEL_FAILED) {
        if (c->state == CHANNEL_CHECK) {
            keep_early(c, data);
            return;
        }
        bool begun = c->piece.len > 0;
        size_t unit = unit_bytes(c, begun ? writer_view(&c->piece) : data);
        size_t used = unit;
        if (unit == 0)
            fail_length(c);
        else if (begun || data.len < unit)
            used = complete_piece(c, data, unit);
        else
            take_unit(c, bytes_of(data.data, unit));
        data = bytes_of(data.data + used, data.len - used);
    }
}

void channel_send(struct channel *c, struct bytes plain)
{
    if (c->state == CHANNEL_FAILED)
        return; /* the owner has not noticed yet, and nothing can leave any more */
    channel_require(c->state == CHANNEL_OPEN, "channel_send before CHANNEL_OPEN");
    size_t records = plain.len / PLAIN_BYTES_MAX + 1;
    writer_reserve(&c->out, plain.len + records * (LENGTH_BYTES + NOISE_TAG_BYTES));
    while (plain.len > 0) {
        size_t len = plain.len < PLAIN_BYTES_MAX ? plain.len : PLAIN_BYTES_MAX;
        seal_record(c, bytes_of(plain.data, len));
        plain = bytes_of(plain.data + len, plain.len - len);
    }
}

bool channel_next_frame(struct channel *c, struct bytes *body)
{
    size_t left = c->stream.len - c->stream_at;
    if (c->state != CHANNEL_OPEN || left < FRAME_HEADER_BYTES)
        return false;
    const uint8_t *at = c->stream.data + c->stream_at;
    uint32_t len = frame_length(at);
    if (len == 0) {
        channel_fail(c, "the peer sent a frame that is empty or larger than %u bytes",
                     FRAME_BYTES_MAX);
        return false;
    }
    if (left - FRAME_HEADER_BYTES < len)
        return false;
    *body = bytes_of(at + FRAME_HEADER_BYTES, len);
    c->stream_at += FRAME_HEADER_BYTES + len;
    return true;
}

/* ---- what the owner sees ---- */

uint64_t channel_records(const struct channel *c)
{
    return c->receive.nonce;
}

enum channel_state channel_state(const struct channel *c)
{
    return c->state;
}

const char *channel_why(const struct channel *c)
{
    return c->why;
}

const struct hello *channel_peer(const struct channel *c)
{
    return &c->peer;
}

const uint8_t *channel_peer_key(const struct channel *c)
{
    return c->peer_key;
}

struct writer *channel_out(struct channel *c)
{
    return &c->out;
}
