#include "common/record.h"

const char *record_name(enum record_kind kind)
{
    switch (kind) {
#define NAME_CASE(name, number)                                                                    \
    case RECORD_##name:                                                                            \
        return #name;
        RECORD_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

bool record_kind_known(uint64_t number)
{
    switch (number) {
#define KNOWN_CASE(name, number) case (number):
        RECORD_MAP(KNOWN_CASE)
#undef KNOWN_CASE
        return true;
    default:
        return false;
    }
}
