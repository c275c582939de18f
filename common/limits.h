/* Every bound of Assent, each with who uses it. Nothing outside this file sets a limit on outside
 * bytes, counts or memory. */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

/* names of nodes, datacenters and clients in the cluster file, without the terminating zero */
#define NAME_BYTES_MAX 32

/* coordinators of one cluster: 2F+1 with F <= 4 */
#define COORDINATORS_MAX 9
/* nodes of one cluster, coordinators and participants together; node ids are 1..NODES_MAX */
#define NODES_MAX       1023
#define DATACENTERS_MAX 64
#define CLIENTS_MAX     1024
#define PLACEMENTS_MAX  4096
#define GRANTS_MAX      64
#define REPLICAS_MAX    16
/* the cluster file's text; 4096 prefixes of any sensible length fit */
#define CLUSTER_FILE_BYTES_MAX (16u * 1024u * 1024u)
/* one text in a line of a daemon's log; the rest of it is left out */
#define LOG_TEXT_BYTES_MAX 1024u

/* participants of one transaction: bit masks over them are 64 bits wide */
#define PARTICIPANTS_MAX 32

/* the embedded resource */
#define KEY_BYTES_MAX   4096u
#define VALUE_BYTES_MAX (1024u * 1024u)
/* operations of one participant in one transaction */
#define OPS_MAX 4096u
/* encoded operations of one participant in one transaction */
#define OPS_BYTES_MAX (4u * 1024u * 1024u)
/* encoded operations of one transaction, all participants together; carried whole in COMMIT */
#define TXN_BYTES_MAX (12u * 1024u * 1024u)
/* encoded read results of one participant: a scan is cut to fit and says so */
#define RESULTS_BYTES_MAX (2u * 1024u * 1024u)
/* savepoints of one transaction, and the bytes of their names */
#define SAVEPOINTS_MAX           256u
#define SAVEPOINT_NAME_BYTES_MAX 64u
/* the sentence in a vote or answer that says which key failed and what was found */
#define DETAIL_BYTES_MAX 512u
/* the text in STATUS_RESULT */
#define STATUS_TEXT_BYTES_MAX 65536u

/* one frame: the largest message is COMMIT, or RESULT with the results of a few large scans */
#define FRAME_BYTES_MAX (16u * 1024u * 1024u)
/* txids in one FORGET, SETTLE_ASK or SETTLED */
#define FORGET_MAX 1024u

/* one Noise transport record, tag included (Noise specification, section 3) */
#define RECORD_BYTES_MAX 65535u

/* work in flight: over these, OVERLOADED */
#define LED_MAX              20000u  /* transactions that one coordinator leads */
#define ACCEPTED_MAX         200000u /* in memory of one coordinator, finished ones too */
#define PREPARING_MAX        50000u /* at one participant: locking to decided and not applied yet */
#define READS_WAITING_MAX    10000u /* strong reads waiting at one participant */
#define WATCHES_MAX          4096u  /* parked at one participant */
#define WATCHES_OF_CONN_MAX  256u   /* of these, of one connection */
#define OUTCOME_WAITERS_MAX  16u    /* clients waiting for the outcome of one transaction */
#define CONNECTIONS_MAX      2048u  /* sockets that one node accepts */
#define HANDSHAKES_MAX       256u   /* of these, not authenticated yet */
#define SEND_QUEUE_BYTES_MAX (64u * 1024u * 1024u) /* unsent bytes per connection */
#define STORAGE_QUEUE_MAX    65536u                /* jobs waiting for the storage thread */
#define STORAGE_BATCH_MAX    4096u                 /* jobs in one group commit */

/* the latest changes that a participant keeps in memory for watches; older ones are dropped */
#define CHANGES_MAX       65536u
#define CHANGES_BYTES_MAX (8u * 1024u * 1024u) /* of their keys, CHANGE_BYTES more for each */
#define CHANGE_BYTES      64u
/* keys in one answer to a watch; a poll of a client, in milliseconds */
#define WATCH_KEYS_MAX 256u
#define WATCH_ROWS_MAX 10000u /* read to find these, if the changes are not in memory any more */
#define WATCH_POLL_MS  10000u

/* times, in milliseconds */
#define TXN_TIMEOUT_MS_DEFAULT 10000u
#define TXN_TIMEOUT_MS_MAX     60000u
#define IN_DOUBT_TIMEOUT_MS    1000u /* default age at which a participant in doubt asks */
#define RETENTION_MS_DEFAULT   3600000u
#define CLOCK_AHEAD_MS_DEFAULT 5000u
#define TXID_SKEW_MS_DEFAULT   300000u
#define PRIORITY_AGE_MS_MAX    60000u /* how much older than its txid a priority may claim to be */
#define CLOCK_CEILING_STEP_MS                                                                      \
    1000u /* well below CLOCK_AHEAD_MS_DEFAULT: a restart begins there                             \
           */
#define HANDSHAKE_TIMEOUT_MS 5000u
#define STORAGE_LAZY_US      500u /* how long a batch of only lazy jobs waits for others */
#define PING_INTERVAL_MS     1000u
#define PEER_SILENT_MS       5000u /* a connection that was silent for so long is closed */

_Static_assert(PARTICIPANTS_MAX <= 64, "participants of a transaction fit a 64-bit mask");
_Static_assert(NODES_MAX < 4096, "a node id fits the 12 routing bits of a txid");
_Static_assert(OPS_BYTES_MAX <= TXN_BYTES_MAX, "one participant's operations fit a transaction");
_Static_assert(TXN_BYTES_MAX + 65536u <= FRAME_BYTES_MAX, "COMMIT fits a frame");
_Static_assert(KEY_BYTES_MAX + VALUE_BYTES_MAX + 1024u <= OPS_BYTES_MAX, "one put fits");
_Static_assert(OPS_BYTES_MAX + OPS_MAX * CHANGE_BYTES <= CHANGES_BYTES_MAX,
               "the changes of one transaction are kept together");
_Static_assert(WATCH_KEYS_MAX <= OPS_MAX, "the keys of one answer are one list of reads");
_Static_assert(FRAME_BYTES_MAX < SEND_QUEUE_BYTES_MAX, "one frame fits a send queue");
_Static_assert(RETENTION_MS_DEFAULT >= 4 * TXID_SKEW_MS_DEFAULT, "DESIGN 4.5");

#endif
