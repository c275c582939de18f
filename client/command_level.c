#include "client/command_level.h"

#include <inttypes.h>
#include <string.h>

static int level_parse(struct command_level *l, const char *arg)
{
    size_t len = strcspn(arg, "=");
    const char *number = arg[len] == '=' ? arg + len + 1 : NULL;
    assent_level level = ASSENT_STRONG;
    bool named = command_level_named(bytes_of(arg, len), &level);
    bool takes = level == ASSENT_SNAPSHOT || level == ASSENT_BOUNDED;
    int64_t value = 0;
    if (named && (takes == (number != NULL) || (level == ASSENT_SNAPSHOT && number == NULL))) {
        bool bounded = level == ASSENT_BOUNDED;
        l->options.level = level;
        int rc = number == NULL ? 0
                                : command_number("--level", number, bounded ? 0 : 1,
                                                 bounded ? UINT32_MAX : INT64_MAX, &value);
        l->options.snapshot = (assent_ts)value;
        l->options.stale_ms = bounded ? (uint32_t)value : 0;
        return rc;
    }
    return command_fail(EX_USAGE,
                        "--level: %s is none of strong, snapshot[=TIMESTAMP], session, bounded=MS, "
                        "eventual",
                        arg);
}

int command_level_option(struct command_level *l, int key, const char *arg)
{
    l->given = true;
    if (key == OPTION_LEVEL) {
        l->named = true;
        return level_parse(l, arg);
    }
    l->token = arg;
    return 0;
}

int command_level_open(const struct command_call *call, struct command_level *l, assent *db)
{
    if (!l->given)
        return 0;
    if (!l->named)
        l->options.level = ASSENT_SESSION;
    l->options.session = assent_session_new(db);
    assent_status status =
        l->token == NULL ? ASSENT_OK : assent_session_import(l->options.session, l->token);
    if (status == ASSENT_OK) {
        if (l->options.level == ASSENT_SNAPSHOT && l->options.snapshot == 0)
            l->options.snapshot = assent_now(db);
        return 0;
    }
    command_level_close(l);
    return command_fail_status(call, status, assent_error());
}

void command_level_close(struct command_level *l)
{
    assent_session_free(l->options.session);
    l->options.session = NULL;
}

void command_level_show(const struct command_call *call, const struct command_level *l,
                        json_t *json)
{
    char token[ASSENT_TOKEN_TEXT], time[COMMAND_TIME_TEXT], age[COMMAND_TIME_TEXT];
    const assent_read_info *info = &l->info;
    if (!l->given || info->participant == NULL)
        return;
    assent_session_token(l->options.session, token);
    if (call->output == OUTPUT_JSON) {
        json_t *read = json_pack("{s:s, s:I, s:s, s:s}", "participant", info->participant,
                                 "timestamp", (json_int_t)info->ts, "time",
                                 command_time_text(info->ts, time), "token", token);
        if (info->age_known)
            json_object_set_new(read, "age_us", json_integer(info->age_us));
        json_object_set_new(json, "read", read);
        return;
    }
    fprintf(stderr, "assent: from %s, as of %s (%" PRIu64 ")%s%s, token %s\n", info->participant,
            command_time_text(info->ts, time), info->ts, info->age_known ? ", age at most " : "",
            info->age_known ? command_us_text(info->age_us, age) : "", token);
}
