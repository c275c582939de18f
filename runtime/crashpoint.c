#include "runtime/crashpoint.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char point[96];
static long countdown;

const char *crashpoint_open(void)
{
    const char *value = getenv("ASSENT_CRASH_AT");
    char step[32], name[32];
    if (value == NULL)
        return NULL;
    countdown = 1;
    if (sscanf(value, "%31[a-z-]:%31[A-Z_]:%ld", step, name, &countdown) < 2 || countdown < 1)
        return "ASSENT_CRASH_AT must be <step>:<NAME>[:<n>], as after-store:PREPARED:1";
    snprintf(point, sizeof point, "%s:%s", step, name);
    return NULL;
}

bool crashpoint_reached(const char *step, const char *name)
{
    size_t n = strlen(step);
    if (point[0] == '\0' || strncmp(point, step, n) != 0 || point[n] != ':' ||
        strcmp(point + n + 1, name) != 0)
        return false;
    return --countdown == 0;
}

_Noreturn void crashpoint_die(void)
{
    raise(SIGKILL);
    abort();
}

void crashpoint(const char *step, const char *name)
{
    if (crashpoint_reached(step, name))
        crashpoint_die();
}
