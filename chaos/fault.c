#include "chaos/fault.h"

#include <string.h>

static const struct {
    const char *text, *meaning;
} faults[FAULT_KINDS] = {
#define FAULT_ROW(name, text, meaning) [FAULT_##name] = {text, meaning},
    FAULT_MAP(FAULT_ROW)
#undef FAULT_ROW
};

const char *fault_text(enum fault_kind kind)
{
    return faults[kind].text;
}

const char *fault_meaning(enum fault_kind kind)
{
    return faults[kind].meaning;
}

bool fault_parse(const char *text, enum fault_kind *out)
{
    for (int i = 0; i < FAULT_KINDS; i++) {
        if (strcmp(text, faults[i].text) == 0) {
            *out = (enum fault_kind)i;
            return true;
        }
    }
    return false;
}

enum fault_target fault_target(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_ALL_KILLED:
    case FAULT_SPLIT:
    case FAULT_RING:
        return TARGET_ALL;
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
    case FAULT_LOST:
        return TARGET_DATACENTER;
    case FAULT_SPIKE:
    case FAULT_JITTER:
    case FAULT_SLOW:
    case FAULT_RESET:
    case FAULT_REFUSE:
    case FAULT_HALF_OPEN:
    case FAULT_CORRUPT:
    case FAULT_SLOW_CLOSE:
    case FAULT_CUT_SHORT:
        return TARGET_LINKS;
    default:
        return TARGET_NODE;
    }
}

bool fault_of_coordinators(enum fault_kind kind)
{
    return kind == FAULT_NO_PARTICIPANTS;
}
