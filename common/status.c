/* The texts and predicates of ASSENT_STATUS_MAP. */
#include <assent/status.h>

const char *assent_status_text(assent_status status)
{
    switch (status) {
#define STATUS_CASE(name, number, retry, maybe, text)                                              \
    case ASSENT_##name:                                                                            \
        return text;
        ASSENT_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

const char *assent_status_name(assent_status status)
{
    switch (status) {
#define STATUS_CASE(name, number, retry, maybe, text)                                              \
    case ASSENT_##name:                                                                            \
        return #name;
        ASSENT_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    }
    return "?";
}

bool assent_retryable(assent_status status)
{
    switch (status) {
#define STATUS_CASE(name, number, retry, maybe, text)                                              \
    case ASSENT_##name:                                                                            \
        return (retry) != 0;
        ASSENT_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    }
    return false;
}

bool assent_maybe_committed(assent_status status)
{
    switch (status) {
#define STATUS_CASE(name, number, retry, maybe, text)                                              \
    case ASSENT_##name:                                                                            \
        return (maybe) != 0;
        ASSENT_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    }
    return false;
}
