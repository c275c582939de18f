/* The parts that messages share (docs/wire-format.md, "Parts"). Every *_unpack checks the part's
 * own rules; a part that says "fields" is spliced into the array of its message, the others are one
 * value. */
#ifndef WIRE_PARTS_H
#define WIRE_PARTS_H

#include "common/msg.h"
#include "wire/pack.h"
#include "wire/unpack.h"

#define HEAD_FIELDS    5u
#define BALLOT_FIELDS  3u
#define OUTCOME_FIELDS 3u

void txid_pack(struct pack *p, const struct txid *id);
struct txid txid_unpack(struct unpack *u);

/* fields */
void head_pack(struct pack *p, const struct tx_head *head);
struct tx_head head_unpack(struct unpack *u);

/* fields */
void ballot_pack(struct pack *p, struct ballot ballot);
struct ballot ballot_unpack(struct unpack *u);

node_id node_unpack(struct unpack *u, const char *field);
assent_status status_unpack(struct unpack *u, const char *field);

void participants_pack(struct pack *p, const struct participants *participants);
/* At least `min` of them; participants_valid() unless there are none. */
struct participants participants_unpack(struct unpack *u, uint32_t min);

/* A vote or outcome that aborts needs a reason that says so: never OK, nor one of the statuses that
 * mean "not known". fields */
void outcome_pack(struct pack *p, const struct outcome *outcome);
struct outcome outcome_unpack(struct unpack *u, bool may_be_none);
/* Of DECIDE: not none; EXPIRED may be the reason, too (common/msg.h). */
struct outcome decision_unpack(struct unpack *u);
enum outcome_kind outcome_kind_unpack(struct unpack *u, bool may_be_none);

void vote_pack(struct pack *p, const struct vote *vote);
struct vote vote_unpack(struct unpack *u, bool may_be_none);

/* One vote for each of `n` participants. */
void votes_pack(struct pack *p, uint16_t n, const struct vote *votes);
void votes_unpack(struct unpack *u, uint16_t n, bool may_be_none, struct vote *votes);

/* At most FORGET_MAX; the caller frees what was unpacked. */
void txids_pack(struct pack *p, uint16_t n, const struct txid *txid);
struct txid *txids_unpack(struct unpack *u, uint16_t *n);

/* A sentence or lines for people; nil for NULL. wire/text.h says what may be in it: packing cleans,
 * unpacking refuses. */
void text_pack(struct pack *p, const struct blob *text, size_t max, bool lines);
struct blob *text_unpack(struct unpack *u, size_t max, bool lines, const char *field);

void client_pack(struct pack *p, const struct client_name *client);
void client_unpack(struct unpack *u, struct client_name *client);

#endif
