/* wire/codec: every message survives the trip, nothing malformed decodes, nothing crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/msg_difference.h"
#include "tests/lib/random_msg.h"
#include "wire/codec.h"

#define WHY_BYTES 128

static void assert_same(const struct msg *a, const struct msg *b)
{
    const char *field = msg_difference(a, b);
    if (field != NULL)
        fail_msg("%s: %s differs", msg_name(a->type), field);
}

static struct bytes body_of(const struct writer *frame)
{
    assert_int_equal(frame_length(frame->data), frame->len - FRAME_HEADER_BYTES);
    return bytes_of(frame->data + FRAME_HEADER_BYTES, frame->len - FRAME_HEADER_BYTES);
}

/* From its own allocation, so that a sanitizer sees every read past the end. */
static struct msg *decode_exactly(struct bytes body, char *why)
{
    uint8_t *copy = xmalloc(body.len);
    if (body.len > 0)
        memcpy(copy, body.data, body.len);
    strcpy(why, "");
    struct msg *m = codec_decode(bytes_of(copy, body.len), why, WHY_BYTES);
    free(copy);
    return m;
}

/* Encodes, drops the message, and expects the decoder to refuse the frame for this reason. */
static void assert_refused(struct msg *m, const char *reason)
{
    char why[WHY_BYTES];
    struct writer w = {0};
    assert_true(codec_encode(m, &w));
    assert_null(decode_exactly(body_of(&w), why));
    assert_string_equal(why, reason);
    writer_free(&w);
    msg_unref(m);
}

static void assert_bytes_refused(const char *data, size_t len, const char *reason)
{
    char why[WHY_BYTES];
    assert_null(decode_exactly(bytes_of(data, len), why));
    assert_string_equal(why, reason);
}

static void every_message_survives_the_trip(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 1);
    for (int i = 0; i < RANDOM_TYPES * 200; i++) {
        struct msg *m = random_msg(&p, random_types[i % RANDOM_TYPES]);
        struct writer w = {0};
        char why[WHY_BYTES];
        assert_true(codec_encode(m, &w));
        struct msg *back = decode_exactly(body_of(&w), why);
        assert_string_equal(why, "");
        assert_int_equal(back->refs, 1);
        assert_same(m, back);
        msg_unref(back);
        msg_unref(m);
        writer_free(&w);
    }
}

static void the_longest_lists_survive_the_trip(void **state)
{
    (void)state;
    struct writer w = {0};
    char why[WHY_BYTES];
    struct msg *m = msg_new(MSG_FORGET, NULL);
    m->forget.n = FORGET_MAX;
    m->forget.entry = xcalloc(FORGET_MAX, sizeof *m->forget.entry);
    for (uint16_t i = 0; i < FORGET_MAX; i++)
        m->forget.entry[i] = (struct forget_entry){txid_make(i, i & 1023, i),
                                                   {OUTCOME_ABORTED, UINT64_MAX, ASSENT_CONFLICT}};
    assert_true(codec_encode(m, &w));
    struct msg *back = decode_exactly(body_of(&w), why);
    assert_non_null(back);
    assert_same(m, back);
    msg_unref(back);
    msg_unref(m);
    m = msg_new(MSG_SETTLED, NULL);
    m->settled.n = FORGET_MAX;
    m->settled.txid = xcalloc(FORGET_MAX + 1, sizeof *m->settled.txid);
    for (uint16_t i = 0; i < FORGET_MAX; i++)
        m->settled.txid[i] = txid_make(i, 0, i);
    w.len = 0;
    assert_true(codec_encode(m, &w));
    back = decode_exactly(body_of(&w), why);
    assert_non_null(back);
    assert_same(m, back);
    msg_unref(back);
    m->settled.n++;
    assert_false(codec_encode(m, &w));
    msg_unref(m);
    writer_free(&w);
}

static void frames_follow_each_other_in_one_writer(void **state)
{
    (void)state;
    struct prng p;
    struct writer w = {0};
    char why[WHY_BYTES];
    prng_seed(&p, 2);
    struct msg *a = random_msg(&p, MSG_VOTE), *b = random_msg(&p, MSG_PING);
    assert_true(codec_encode(a, &w));
    size_t first = w.len;
    assert_true(codec_encode(b, &w));
    uint32_t length = frame_length(w.data + first);
    assert_int_equal(first + FRAME_HEADER_BYTES + length, w.len);
    struct msg *back = decode_exactly(bytes_of(w.data + first + FRAME_HEADER_BYTES, length), why);
    assert_same(b, back);
    msg_unref(back);
    msg_unref(a);
    msg_unref(b);
    writer_free(&w);
}

static void a_body_cut_short_or_with_bytes_after_it_never_decodes(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 3);
    for (int i = 0; i < RANDOM_TYPES * 3; i++) {
        struct msg *m = random_msg(&p, random_types[i % RANDOM_TYPES]);
        struct writer w = {0};
        char why[WHY_BYTES], follow[WHY_BYTES];
        snprintf(follow, sizeof follow, "%s, fields: bytes follow the end", msg_name(m->type));
        assert_true(codec_encode(m, &w));
        struct bytes body = body_of(&w);
        size_t step = body.len > 4000 ? 97 : 1;
        for (size_t len = 0; len < body.len; len += step) {
            assert_null(decode_exactly(bytes_of(body.data, len), why));
            assert_true(strlen(why) > 0);
        }
        writer_u8(&w, 0xc0);
        assert_null(decode_exactly(bytes_of(w.data + FRAME_HEADER_BYTES, body.len + 1), why));
        assert_string_equal(why, follow);
        writer_free(&w);
        msg_unref(m);
    }
}

/* What decodes in spite of a flipped byte must encode and decode to the same again. */
static void flipped_bytes_never_crash_and_what_decodes_is_whole(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 4);
    for (int i = 0; i < RANDOM_TYPES * 6; i++) {
        struct msg *m = random_msg(&p, random_types[i % RANDOM_TYPES]);
        struct writer w = {0};
        assert_true(codec_encode(m, &w));
        struct bytes body = body_of(&w);
        for (size_t at = 0; at < body.len && at < 600; at++) {
            struct writer again = {0};
            char why[WHY_BYTES];
            uint8_t *byte = w.data + FRAME_HEADER_BYTES + at, was = *byte;
            *byte = (uint8_t)prng_u64(&p);
            struct msg *back = decode_exactly(body, why);
            *byte = was;
            if (back == NULL)
                continue;
            assert_true(codec_encode(back, &again));
            struct msg *twice = decode_exactly(body_of(&again), why);
            assert_string_equal(why, "");
            assert_same(back, twice);
            msg_unref(twice);
            msg_unref(back);
            writer_free(&again);
        }
        writer_free(&w);
        msg_unref(m);
    }
}

static void headers_that_promise_more_than_there_is_are_refused(void **state)
{
    (void)state;
    assert_bytes_refused("", 0, "message bytes: the bytes end too early");
    assert_bytes_refused("\xdf\xff\xff\xff\xff", 5,
                         "message bytes: a kind of value that is not used here");
    assert_bytes_refused("\xdd\xff\xff\xff\xff", 5,
                         "message bytes: an array counts more values than there are bytes left");
    assert_bytes_refused("\xdc\x00", 2, "message bytes: the bytes end too early");
    assert_bytes_refused("\x92\x12", 2,
                         "message bytes: an array counts more values than there are bytes left");
    /* a SETTLE_ASK is [15, [txids]], a READ_RESULT ends with detail and results, STATUS_RESULT
     * with a text */
    assert_bytes_refused(
        "\x92\x0f\xdd\x00\x00\x00\x01", 7,
        "SETTLE_ASK, txids: an array counts more values than there are bytes left");
    assert_bytes_refused("\x97\x13\x01\x00\x01\x00\xc0\xc6\xff\xff\xff\xff", 12,
                         "READ_RESULT, results: the bytes end too early");
    assert_bytes_refused("\x93\x15\x01\xda\x00\x02x", 7,
                         "STATUS_RESULT, text: the bytes end too early");
    assert_bytes_refused("\x93\x15\x01\xdb\x00\x00", 6,
                         "STATUS_RESULT, text: the bytes end too early");
    static const char unused[] = "\xc1\x80\x81\xde\xca\xcb\xc7\xc8\xc9\xd4\xd8";
    for (size_t i = 0; i < sizeof unused - 1; i++) {
        char body[20] = {(char)0x91, unused[i]};
        assert_bytes_refused(body, sizeof body,
                             "message type: a kind of value that is not used here");
    }
}

static void arrays_are_only_where_a_field_is_one(void **state)
{
    (void)state;
    uint8_t *body = xmalloc(100000);
    char why[WHY_BYTES];
    memset(body, 0x91, 100000);
    assert_null(decode_exactly(bytes_of(body, 100000), why));
    assert_string_equal(why, "message type: not an unsigned integer");
    memcpy(body, "\x92\x0f", 2);
    assert_null(decode_exactly(bytes_of(body, 100000), why));
    assert_string_equal(why, "SETTLE_ASK, txid: not bytes");
    memset(body, 0, 100000);
    memcpy(body, "\xdc\x01\x00", 3);
    assert_null(decode_exactly(bytes_of(body, 3 + 256), why));
    assert_string_equal(why, "message bytes: too many values");
    free(body);
}

/* msgpack-c's parser knows forms that Assent reads and never writes. */
static void integers_and_lengths_are_read_in_any_form(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } pings[] = {
        {"\x93\x16\x07\x05", 4},
        {"\x93\xcc\x16\xcd\x00\x07\xce\x00\x00\x00\x05", 11},
        {"\xdc\x00\x03\xd0\x16\xd1\x00\x07\xd2\x00\x00\x00\x05", 13},
        {"\xdd\x00\x00\x00\x03\x16\xd3\x00\x00\x00\x00\x00\x00\x00\x07"
         "\xcf\x00\x00\x00\x00\x00\x00\x00\x05",
         24},
    };
    for (size_t i = 0; i < sizeof pings / sizeof pings[0]; i++) {
        char why[WHY_BYTES];
        struct msg *m = decode_exactly(bytes_of(pings[i].bytes, pings[i].len), why);
        assert_string_equal(why, "");
        assert_int_equal(m->type, MSG_PING);
        assert_int_equal(m->ping.token, 7);
        assert_int_equal(m->ping.wall_ms, 5);
        msg_unref(m);
    }
    static const char *const texts[] = {"\x93\x15\x01\xa1x", "\x93\x15\x01\xd9\x01x"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char why[WHY_BYTES];
        struct msg *m = decode_exactly(bytes_of_text(texts[i]), why);
        assert_string_equal(why, "");
        assert_true(bytes_equal(blob_bytes(m->status_result.text), bytes_of_text("x")));
        msg_unref(m);
    }
}

static void unknown_types_and_wrong_field_counts_are_refused(void **state)
{
    (void)state;
    assert_bytes_refused("\x05", 1, "message bytes: not an array");
    assert_bytes_refused("\x90", 1, "message type: missing");
    assert_bytes_refused("\x91\x00", 2, "message type: unknown");
    assert_bytes_refused("\x91\x1a", 2, "message type: unknown");
    assert_bytes_refused("\x91\xff", 2, "message type: not an unsigned integer");
    assert_bytes_refused("\x91\xcd\x01\x16", 4, "message type: unknown");
    assert_bytes_refused("\x92\x16\x01", 3, "PING, wall_ms: missing");
    assert_bytes_refused("\x94\x16\x01\x02\x03", 5, "PING, fields: too many values");
    assert_bytes_refused("\x93\x16\x01\xa1x", 5, "PING, wall_ms: not an unsigned integer");
    assert_bytes_refused("\x91\x01", 2, "COMMIT, txid: missing");
}

static void ids_and_kinds_out_of_range_are_refused(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 5);
    struct msg *m = random_msg(&p, MSG_DECIDED);
    m->head.txid.b[6] = 0x40;
    assert_refused(m, "DECIDED, txid: not a UUID of version 7");
    m = random_msg(&p, MSG_DECIDED);
    m->head.home.node = NODES_MAX + 1;
    assert_refused(m, "DECIDED, home.node: out of range");
    m = random_msg(&p, MSG_DECIDED);
    m->decided.outcome = OUTCOME_NONE;
    assert_refused(m, "DECIDED, outcome: neither committed nor aborted");
    m = random_msg(&p, MSG_DECIDED);
    m->decided.outcome = (enum outcome_kind)3;
    assert_refused(m, "DECIDED, outcome: out of range");
    m = random_msg(&p, MSG_PROMISE_ASK);
    m->promise_ask.ballot.node = NODES_MAX + 1;
    assert_refused(m, "PROMISE_ASK, ballot.node: out of range");
    m = random_msg(&p, MSG_VOTE);
    m->vote.vote.kind = VOTE_NONE;
    assert_refused(m, "VOTE, vote: neither prepared nor aborted");
    m = random_msg(&p, MSG_VOTE);
    m->vote.vote.kind = (enum vote_kind)3;
    assert_refused(m, "VOTE, vote: out of range");
    m = random_msg(&p, MSG_RESULT);
    m->result.status = (assent_status)29;
    assert_refused(m, "RESULT, status: not a known status");
    m = random_msg(&p, MSG_RESULT);
    m->result.culprit = NODES_MAX + 1;
    assert_refused(m, "RESULT, culprit: out of range");
}

/* RESULT's status says "committed" with OK: no abort may carry it, nor a status of "not known".
 * Only DECIDE has EXPIRED, for who is in doubt about what is forgotten. */
static void an_abort_needs_a_reason_that_is_one(void **state)
{
    (void)state;
    static const assent_status not_reasons[] = {ASSENT_OK, ASSENT_PENDING, ASSENT_EXPIRED,
                                                ASSENT_UNKNOWN};
    struct prng p;
    prng_seed(&p, 6);
    for (size_t i = 0; i < 4; i++) {
        struct msg *vote = random_msg(&p, MSG_VOTE), *decide = random_msg(&p, MSG_DECIDE);
        struct msg *promise = msg_new(MSG_PROMISE, &decide->head);
        struct outcome wrong = {OUTCOME_ABORTED, 0, not_reasons[i]};
        vote->vote.vote = (struct vote){VOTE_ABORTED, 0, not_reasons[i]};
        assert_refused(vote, "VOTE, reason: not a reason for an abort");
        promise->promise.outcome = wrong;
        assert_refused(promise, "PROMISE, reason: not a reason for an abort");
        decide->decide.outcome = wrong;
        if (not_reasons[i] == ASSENT_EXPIRED)
            msg_unref(decide);
        else
            assert_refused(decide, "DECIDE, reason: not a reason for an abort");
    }
}

static void who_has_forgotten_promises_nothing(void **state)
{
    (void)state;
    struct tx_head head = {txid_make(1, 0, 1), {1, 1}, 1, 1};
    for (int i = 0; i < 3; i++) {
        struct msg *m = msg_new(MSG_PROMISE, &head);
        m->promise.forgotten = true;
        m->promise.whole_abort = i == 0;
        if (i == 1)
            m->promise.outcome = (struct outcome){OUTCOME_COMMITTED, 1, ASSENT_OK};
        if (i == 2)
            m->promise.participants = (struct participants){1, {7}};
        assert_refused(m, "PROMISE, forgotten: with something that is known");
    }
}

/* The sender of DECIDE may not know them. */
static void participants_must_be_valid_and_there(void **state)
{
    (void)state;
    static const enum msg_type need[] = {MSG_COMMIT, MSG_PREPARE, MSG_VOTE, MSG_INQUIRE,
                                         MSG_DECIDE};
    struct prng p;
    prng_seed(&p, 7);
    for (size_t i = 0; i < sizeof need / sizeof need[0]; i++) {
        struct participants wrong[] = {{0}, {2, {3, 3}}, {2, {4, 3}}, {1, {0}}};
        for (size_t j = need[i] == MSG_DECIDE ? 1 : 0; j < 4; j++) {
            struct msg *m = random_msg(&p, need[i]);
            struct participants *at = need[i] == MSG_COMMIT    ? &m->commit.participants
                                      : need[i] == MSG_PREPARE ? &m->prepare.participants
                                      : need[i] == MSG_VOTE    ? &m->vote.participants
                                      : need[i] == MSG_INQUIRE ? &m->inquire.participants
                                                               : &m->decide.participants;
            char why[WHY_BYTES];
            snprintf(why, sizeof why, "%s, participants: %s", msg_name(need[i]),
                     j == 0 ? "too few values" : "not ascending node ids");
            *at = wrong[j];
            assert_refused(m, why);
        }
    }
}

static void only_a_whole_abort_is_proposed_or_accepted_without_participants(void **state)
{
    (void)state;
    struct tx_head head = {txid_make(1, 0, 1), {1, 1}, 1, 1};
    struct msg *m = msg_new(MSG_PROPOSE, &head);
    assert_refused(m, "PROPOSE, participants: too few values");
    assert_refused(msg_new(MSG_ACCEPTED, &head), "ACCEPTED, participants: too few values");
    m = msg_new(MSG_PROPOSE, &head);
    m->propose.participants = (struct participants){1, {1}};
    assert_refused(m, "PROPOSE, vote: neither prepared nor aborted");
}

static void one_phase_is_for_one_participant(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 8);
    struct msg *m = random_msg(&p, MSG_PREPARE);
    m->prepare.participants = (struct participants){2, {1, 2}};
    m->prepare.one_phase = true;
    assert_refused(m, "PREPARE, one_phase: with several participants");
    m = random_msg(&p, MSG_VOTE);
    m->vote.participants = (struct participants){2, {1, 2}};
    m->vote.one_phase = true;
    assert_refused(m, "VOTE, one_phase: with several participants");
}

static struct blob *blob_of_size(size_t size)
{
    uint8_t *data = xcalloc(1, size);
    struct blob *blob = blob_new(bytes_of(data, size));
    free(data);
    return blob;
}

/* A COMMIT with operations of `size` bytes for each of n participants. */
static struct msg *commit_of_size(uint16_t n, size_t size)
{
    struct tx_head head = {txid_make(1, 0, 1), {1, 1}, 1, 1};
    struct msg *m = msg_new(MSG_COMMIT, &head);
    m->commit.participants.n = n;
    for (uint16_t i = 0; i < n; i++) {
        m->commit.participants.id[i] = (node_id)(i + 1);
        m->commit.ops[i] = blob_of_size(size);
    }
    return m;
}

static void what_is_too_large_is_not_encoded(void **state)
{
    (void)state;
    struct writer w = {0};
    char why[WHY_BYTES];
    writer_u8(&w, 7);
    struct msg *most = commit_of_size(3, OPS_BYTES_MAX),
               *wide = commit_of_size(1, OPS_BYTES_MAX + 1);
    struct msg *more = commit_of_size(4, TXN_BYTES_MAX / 4 + 1);
    assert_false(codec_encode(wide, &w));
    assert_false(codec_encode(more, &w));
    assert_int_equal(w.len, 1);
    assert_true(codec_encode(most, &w));
    struct msg *back = decode_exactly(
        bytes_of(w.data + 1 + FRAME_HEADER_BYTES, w.len - 1 - FRAME_HEADER_BYTES), why);
    assert_non_null(back);
    msg_unref(back);
    msg_unref(most);
    msg_unref(wide);
    msg_unref(more);

    struct tx_head head = {txid_make(1, 0, 1), {1, 1}, 1, 1};
    struct msg *result = msg_new(MSG_RESULT, &head);
    result->result.participants.n = 9;
    for (uint16_t i = 0; i < 9; i++) {
        result->result.participants.id[i] = (node_id)(i + 1);
        result->result.results[i] = blob_of_size(RESULTS_BYTES_MAX);
    }
    w.len = 0;
    assert_false(codec_encode(result, &w));
    assert_int_equal(w.len, 0);
    msg_unref(result);
    writer_free(&w);
}

/* Takes the frame of a valid message, replaces the bin32 of zeros of its large blob by a longer
 * one. */
static void assert_too_long(struct msg *m, size_t size, size_t longer, const char *reason)
{
    struct writer w = {0}, body = {0};
    char why[WHY_BYTES];
    assert_true(codec_encode(m, &w));
    struct bytes b = body_of(&w);
    const uint8_t header[] = {0xc6, (uint8_t)(size >> 24), (uint8_t)(size >> 16),
                              (uint8_t)(size >> 8), (uint8_t)size};
    const uint8_t *at = memmem(b.data, b.len, header, sizeof header);
    assert_non_null(at);
    size_t before = (size_t)(at - b.data), all = size + longer;
    writer_raw(&body, b.data, before);
    writer_u8(&body, 0xc6);
    for (int shift = 24; shift >= 0; shift -= 8)
        writer_u8(&body, (uint8_t)(all >> shift));
    for (size_t i = 0; i < longer; i++)
        writer_u8(&body, 0);
    writer_raw(&body, at + sizeof header, b.len - before - sizeof header);
    assert_null(decode_exactly(writer_view(&body), why));
    assert_string_equal(why, reason);
    writer_free(&body);
    writer_free(&w);
    msg_unref(m);
}

static void what_is_too_large_is_not_decoded(void **state)
{
    (void)state;
    struct tx_head head = {txid_make(1, 0, 1), {1, 1}, 1, 1};
    assert_too_long(commit_of_size(1, OPS_BYTES_MAX), OPS_BYTES_MAX, 1, "COMMIT, ops: too long");
    assert_too_long(commit_of_size(4, TXN_BYTES_MAX / 4), TXN_BYTES_MAX / 4, 1,
                    "COMMIT, ops: too long together");
    struct msg *m = msg_new(MSG_VOTE, &head);
    m->vote.participants = (struct participants){1, {1}};
    m->vote.vote.kind = VOTE_PREPARED;
    m->vote.results = blob_of_size(RESULTS_BYTES_MAX);
    assert_too_long(m, RESULTS_BYTES_MAX, 1, "VOTE, results: too long");
    struct writer w = {0};
    char why[WHY_BYTES];
    writer_raw(&w, "\x92\x0f\xdc\x04\x01", 5); /* SETTLE_ASK of FORGET_MAX + 1 */
    for (uint32_t i = 0; i <= FORGET_MAX; i++) {
        writer_raw(&w, "\xc4\x10", 2);
        writer_raw(&w, head.txid.b, TXID_BYTES);
    }
    assert_null(decode_exactly(writer_view(&w), why));
    assert_string_equal(why, "SETTLE_ASK, txids: too many values");
    writer_free(&w);
    struct blob *frame = blob_of_size(FRAME_BYTES_MAX + 1);
    assert_null(codec_decode(blob_bytes(frame), why, sizeof why));
    assert_string_equal(why, "frame: longer than 16777216 bytes");
    blob_unref(frame);
    const uint8_t zero[4] = {0}, most[4] = {1, 0, 0, 0}, over[4] = {1, 0, 0, 1};
    assert_int_equal(frame_length(zero), 0);
    assert_int_equal(frame_length(most), FRAME_BYTES_MAX);
    assert_int_equal(frame_length(over), 0);
}

static void operations_must_be_there(void **state)
{
    (void)state;
    struct msg *m = msg_new(MSG_READ, NULL);
    assert_refused(m, "READ, ops: not bytes");
    m = msg_new(MSG_READ, NULL);
    m->read.ops = blob_new(bytes_of(NULL, 0));
    assert_refused(m, "READ, ops: empty");
}

/* The detail that arrives when this one is sent; must be freed. */
static struct blob *detail_sent(struct bytes detail)
{
    char why[WHY_BYTES];
    struct writer w = {0};
    struct msg *m = msg_new(MSG_READ_RESULT, NULL);
    m->read_result.detail = blob_new(detail);
    assert_true(codec_encode(m, &w));
    msg_unref(m);
    m = decode_exactly(body_of(&w), why);
    assert_string_equal(why, "");
    struct blob *back = blob_ref(m->read_result.detail);
    msg_unref(m);
    writer_free(&w);
    return back;
}

static void details_are_cleaned_when_sent(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *arrives;
    } cases[] = {
        {"plain", "plain"},
        {"k\xc3\xa9y \xe2\x82\xac \xf0\x9f\x94\x91", "k\xc3\xa9y \xe2\x82\xac \xf0\x9f\x94\x91"},
        {"a\x1b[31mb\x7f\n", "a?[31mb??"},
        {"\xc0\xaf \xc2\x85 \xed\xa0\x80", "?? ?? ???"}, /* overlong, C1 control, surrogate */
        {"\xf4\x90\x80\x80 \xff \xe2\x82", "???? ? ??"}, /* over U+10FFFF, no start, cut */
        {"\xc3(", "?("},
        {"\xe0\x80\x80 \xf0\x80\x80\x80 \x80", "??? ???? ?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct blob *back = detail_sent(bytes_of_text(cases[i].sent));
        assert_true(bytes_equal(blob_bytes(back), bytes_of_text(cases[i].arrives)));
        blob_unref(back);
    }
    char text[DETAIL_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    memcpy(text + DETAIL_BYTES_MAX - 1, "\xc3\xa9", 2); /* lies across the limit */
    struct blob *back = detail_sent(bytes_of(text, sizeof text));
    assert_int_equal(back->len, DETAIL_BYTES_MAX - 1);
    blob_unref(back);
}

static void details_that_are_not_clean_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"\x1b", "\x80", "\n", "\xc2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char body[] = "\x97\x13\x01\x00\x01\x00\xa1?\xc0"; /* READ_RESULT, detail "?" */
        body[7] = texts[i][0];
        assert_bytes_refused(body, sizeof body - 1, "READ_RESULT, detail: not printable UTF-8");
    }
    char why[WHY_BYTES];
    struct msg *m = decode_exactly(bytes_of("\x97\x13\x01\x00\x01\x00\xa1?\xc0", 9), why);
    assert_non_null(m);
    msg_unref(m);
    struct writer w = {0};
    writer_raw(&w, "\x97\x13\x01\x00\x01\x00\xda\x02\x01", 9);
    for (uint32_t i = 0; i <= DETAIL_BYTES_MAX; i++)
        writer_u8(&w, 'x');
    writer_u8(&w, 0xc0);
    assert_null(decode_exactly(writer_view(&w), why));
    assert_string_equal(why, "READ_RESULT, detail: too long");
    writer_free(&w);
}

/* A frame as other implementations must write it: docs/wire-format.md shows the same bytes. */
static void the_bytes_of_a_promise_ask_are_these(void **state)
{
    (void)state;
    struct tx_head head = {
        txid_make(0x0123456789abu, 0, UINT64_MAX), {5, 2}, 1, 0x1122334455667788};
    struct msg *m = msg_new(MSG_PROMISE_ASK, &head);
    struct writer w = {0};
    char hex[128];
    m->promise_ask.ballot = (struct ballot){3, 6, 300};
    assert_true(codec_encode(m, &w));
    bytes_hex(writer_view(&w), hex);
    assert_string_equal(hex, "00000025"
                             "9909"
                             "c4100123456789ab7000bfffffffffffffff"
                             "050201cf1122334455667788"
                             "0306cd012c");
    writer_free(&w);
    msg_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_the_trip),
        cmocka_unit_test(the_longest_lists_survive_the_trip),
        cmocka_unit_test(frames_follow_each_other_in_one_writer),
        cmocka_unit_test(a_body_cut_short_or_with_bytes_after_it_never_decodes),
        cmocka_unit_test(flipped_bytes_never_crash_and_what_decodes_is_whole),
        cmocka_unit_test(headers_that_promise_more_than_there_is_are_refused),
        cmocka_unit_test(arrays_are_only_where_a_field_is_one),
        cmocka_unit_test(integers_and_lengths_are_read_in_any_form),
        cmocka_unit_test(unknown_types_and_wrong_field_counts_are_refused),
        cmocka_unit_test(ids_and_kinds_out_of_range_are_refused),
        cmocka_unit_test(an_abort_needs_a_reason_that_is_one),
        cmocka_unit_test(who_has_forgotten_promises_nothing),
        cmocka_unit_test(participants_must_be_valid_and_there),
        cmocka_unit_test(only_a_whole_abort_is_proposed_or_accepted_without_participants),
        cmocka_unit_test(one_phase_is_for_one_participant),
        cmocka_unit_test(what_is_too_large_is_not_encoded),
        cmocka_unit_test(what_is_too_large_is_not_decoded),
        cmocka_unit_test(operations_must_be_there),
        cmocka_unit_test(details_are_cleaned_when_sent),
        cmocka_unit_test(details_that_are_not_clean_are_refused),
        cmocka_unit_test(the_bytes_of_a_promise_ask_are_these),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
