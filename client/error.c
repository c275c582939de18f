#include "client/error.h"

#include <stdarg.h>
#include <stdio.h>

#include <assent/assent.h>

static _Thread_local char error_text[ERROR_TEXT_MAX];

assent_status error_set(assent_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error_text, sizeof error_text, format, args);
    va_end(args);
    return status;
}

const char *assent_error(void)
{
    return error_text;
}
