/* Durable records: the rows of a node's log (docs/disk-format.md). A row is a kind, the txid that
 * it is about (zero for the node's own), a timestamp for people's queries, and a body in the little
 * layout of common/bytes.h, written and read by the core that owns the kind. */
#ifndef COMMON_RECORD_H
#define COMMON_RECORD_H

#include "common/protocol.h"

/* X(NAME, number). Numbers are part of the disk format and never change. */
#define RECORD_MAP(X)                                                                              \
    /* both roles */                                                                               \
    X(INCARNATION, 1) /* a start of the node; ts = the clock ceiling that it starts from */        \
    X(CEILING, 2)     /* no timestamp above ts is issued or read at before the next one */         \
    X(WATERMARK, 3)   /* txids whose time is below ts may have been forgotten (4.5) */             \
    /* coordinator: acceptor and outcomes */                                                       \
    X(ACCEPT, 10)   /* votes accepted at a ballot */                                               \
    X(PROMISE, 11)  /* no lower ballot from now on */                                              \
    X(FINISHED, 12) /* every participant has settled; ts = commit_ts */                            \
    /* participant */                                                                              \
    X(PREPARED, 20)  /* the prepared record; ts = prepare_ts */                                    \
    X(COMMITTED, 21) /* applies a prepared record; ts = commit_ts */                               \
    X(ABORTED, 22)   /* drops a prepared record, or remembers an abort without one */              \
    X(APPLIED, 23)   /* one participant, one phase: operations applied; ts = commit_ts */

enum record_kind {
#define RECORD_ENUM(name, number) RECORD_##name = (number),
    RECORD_MAP(RECORD_ENUM)
#undef RECORD_ENUM
};

const char *record_name(enum record_kind kind);
bool record_kind_known(uint64_t number);

/* Parts that the bodies of both roles share. Reading sets reader.bad for what does not fit. */
void tx_head_write(struct writer *w, const struct tx_head *head);
void tx_head_read(struct reader *r, struct tx_head *head);
void participants_write(struct writer *w, const struct participants *p);
void participants_read(struct reader *r, struct participants *p);
void ballot_write(struct writer *w, struct ballot b);
struct ballot ballot_read(struct reader *r);

struct record {
    enum record_kind kind;
    struct txid txid;
    hlc_ts ts;
    struct blob *body; /* may be NULL */
};

#endif
