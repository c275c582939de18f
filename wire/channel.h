/* A secure channel over a byte stream: preface, Noise handshake, sealed records, frames. Pure: the
 * owner feeds received bytes and sends what it finds in `out` (docs/wire-format.md, "Channel").
 *
 *   preface     in clear, from the initiator: magic "ASNT", wire version, role, cluster id
 *   answer      in clear, from the responder after message 1: one byte, "go" or a refusal code,
 * with its version or cluster id after the codes that are about those (unauthenticated: it only
 * helps to explain; an initiator that is refused closes) handshake   three Noise messages, each u16
 * big-endian length + bytes. The prologue is the preface. Message 3 carries the initiator's hello;
 * the responder's first record carries its own hello, or the reason why it refuses the initiator
 *   records     u16 big-endian length + sealed bytes, at most RECORD_BYTES_MAX; a stream of frames
 * is cut into records; REKEY in each direction after every CHANNEL_REKEY_RECORDS records
 *
 * Hello: role, node id, incarnation, epoch, set hash, name: encoded by the channel. */
#ifndef WIRE_CHANNEL_H
#define WIRE_CHANNEL_H

#include "common/protocol.h"
#include "wire/noise.h"

#define CHANNEL_VERSION       1
#define CHANNEL_REKEY_RECORDS 65536u
#define CLUSTER_ID_BYTES      16

struct hello {
    enum role role;
    node_id node; /* 0 for clients */
    uint32_t incarnation;
    uint32_t epoch;
    uint64_t set_hash;
    char name[NAME_BYTES_MAX + 1];
};

enum channel_state {
    CHANNEL_HANDSHAKE, /* not usable yet */
    CHANNEL_CHECK,     /* responder: the peer's hello and key are known; call channel_admit */
    CHANNEL_OPEN,
    CHANNEL_FAILED, /* channel_why() says why; send what is in channel_out(), then close */
};

struct channel;

/* Initiator: rs is the key pinned for the peer. Never NULL, but CHANNEL_FAILED at once if rs is no
 * valid key; else the first bytes to send are in out. `s` is copied, and wiped when it was used. */
struct channel *channel_connect(const uint8_t cluster[CLUSTER_ID_BYTES], const struct hello *self,
                                const struct noise_keypair *s, const uint8_t rs[NOISE_KEY_BYTES]);
/* Responder. */
struct channel *channel_accept(const uint8_t cluster[CLUSTER_ID_BYTES], const struct hello *self,
                               const struct noise_keypair *s);
void channel_free(struct channel *c);

enum channel_state channel_state(const struct channel *c);
/* A sentence about CHANNEL_FAILED. */
const char *channel_why(const struct channel *c);

/* Feeds bytes from the socket. In CHANNEL_CHECK they are kept, up to a few KiB, and taken up by
 * channel_admit. Take the frames (channel_next_frame) after each call: nothing else bounds them. */
void channel_receive(struct channel *c, struct bytes data);

/* How many records have come from the peer, whole and genuine. */
uint64_t channel_records(const struct channel *c);
/* The peer, as it authenticated itself: from CHANNEL_CHECK (responder) or CHANNEL_OPEN on. */
const struct hello *channel_peer(const struct channel *c);
const uint8_t *channel_peer_key(const struct channel *c);
/* Responder's verdict on channel_peer(): NULL admits; a sentence refuses, is sent, and the state is
 * CHANNEL_FAILED after it. */
void channel_admit(struct channel *c, const char *refusal);

/* Seals everything in `plain` (one or many whole frames) into records in out. Only when OPEN; does
 * nothing when FAILED. */
void channel_send(struct channel *c, struct bytes plain);
/* Bytes that must go to the socket, in order; the owner takes them and calls writer_free or resets
 * out->len to 0. */
struct writer *channel_out(struct channel *c);
/* The next whole frame's body that has been received, borrowed until the next call on this channel.
 * False when there is none. A frame that is empty or over FRAME_BYTES_MAX makes the channel fail.
 */
bool channel_next_frame(struct channel *c, struct bytes *body);

#endif
