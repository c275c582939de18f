/* Sessions, and what the answer to a read says about itself. */
#include <stdlib.h>

#include "client/clock.h"
#include "client/handle.h"
#include "client/list.h"

assent_session *assent_session_new(assent *db)
{
    assent_session *s = xcalloc(1, sizeof *s);
    s->db = db;
    return s;
}

void assent_session_free(assent_session *s)
{
    free(s);
}

void assent_session_saw(assent_session *s, assent_ts ts)
{
    token_raise(&s->ts, ts);
    token_raise(&s->db->heard, ts);
}

const char *assent_session_token(const assent_session *s, char *out)
{
    return token_text(s->db->cluster, atomic_load(&s->ts), out);
}

assent_status assent_session_import(assent_session *s, const char *text)
{
    hlc_ts ts;
    assent_status status = token_parse(s->db->cluster, text, clock_wall_ms(), &ts);
    if (status == ASSENT_OK)
        assent_session_saw(s, ts);
    return status;
}

assent_ts assent_now(const assent *db)
{
    struct hlc clock = {atomic_load(&db->heard)};
    return hlc_now(&clock, clock_wall_ms());
}

const assent_read_info *assent_list_info(const assent_list *list)
{
    return list_info(list);
}
