#include "client/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/error.h"
#include "common/bytes.h"

#define TOKEN_PREFIX "as1-"
#define CLUSTER_HEX  (2 * CLUSTER_ID_BYTES)
#define TS_HEX       16
#define CHECK_HEX    8
#define TS_AT        (sizeof TOKEN_PREFIX - 1 + CLUSTER_HEX + 1)
#define CHECK_AT     (TS_AT + TS_HEX + 1)
#define TOKEN_LEN    (CHECK_AT + CHECK_HEX)

_Static_assert(TOKEN_LEN < ASSENT_TOKEN_TEXT, "a token and its zero fit");

/* FNV-1a: finds slips of the pen, not forgery. A forged token costs its bearer a wait. */
static uint32_t check_of(const char *text, size_t len)
{
    uint32_t check = 2166136261u;
    for (size_t i = 0; i < len; i++)
        check = (check ^ (uint8_t)text[i]) * 16777619u;
    return check;
}

const char *token_text(const struct cluster *cluster, hlc_ts ts, char *out)
{
    char id[CLUSTER_HEX + 1];
    bytes_hex(bytes_of(cluster->id, CLUSTER_ID_BYTES), id);
    int len = snprintf(out, ASSENT_TOKEN_TEXT, TOKEN_PREFIX "%s-%016" PRIx64, id, ts);
    snprintf(out + len, ASSENT_TOKEN_TEXT - (size_t)len, "-%08" PRIx32, check_of(out, (size_t)len));
    return out;
}

/* The hex digits of a number, most significant first. */
static bool hex_number(const char *text, size_t digits, uint64_t *out)
{
    uint8_t raw[TS_HEX / 2];
    char copy[TS_HEX + 1];
    memcpy(copy, text, digits);
    copy[digits] = '\0';
    *out = 0;
    if (!bytes_from_hex(copy, raw, digits / 2))
        return false;
    for (size_t i = 0; i < digits / 2; i++)
        *out = *out << 8 | raw[i];
    return true;
}

assent_status token_parse(const struct cluster *cluster, const char *text, uint64_t wall_ms,
                          hlc_ts *out)
{
    char own[CLUSTER_HEX + 1];
    uint64_t ts = 0, check = 0;
    if (text == NULL || strlen(text) != TOKEN_LEN ||
        memcmp(text, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1) != 0 || text[TS_AT - 1] != '-' ||
        text[CHECK_AT - 1] != '-' || !hex_number(text + TS_AT, TS_HEX, &ts) ||
        !hex_number(text + CHECK_AT, CHECK_HEX, &check) || ts > INT64_MAX)
        return error_set(ASSENT_INVALID,
                         "not a session token: it begins with \"" TOKEN_PREFIX
                         "\" and has %zu characters",
                         TOKEN_LEN);
    if (check != check_of(text, CHECK_AT - 1))
        return error_set(ASSENT_INVALID,
                         "the session token was changed on its way: its check does not fit");
    bytes_hex(bytes_of(cluster->id, CLUSTER_ID_BYTES), own);
    if (memcmp(text + sizeof TOKEN_PREFIX - 1, own, CLUSTER_HEX) != 0)
        return error_set(ASSENT_INVALID, "the session token is of cluster %.32s, this is %s",
                         text + sizeof TOKEN_PREFIX - 1, own);
    if (hlc_to_ms(ts) > wall_ms + cluster->clock_ahead_ms)
        return error_set(ASSENT_CLOCK_AHEAD,
                         "the session token is from %" PRIu64
                         " ms in the future; look after the clocks of this host and of the one it "
                         "comes from",
                         hlc_to_ms(ts) - wall_ms);
    *out = ts;
    return ASSENT_OK;
}

void token_raise(_Atomic hlc_ts *ts, hlc_ts seen)
{
    hlc_ts now = atomic_load(ts);
    while (now < seen && !atomic_compare_exchange_weak(ts, &now, seen))
        continue;
}
