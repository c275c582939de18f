/* The sentence of a thread's last failed call: what, where, and what to do. */
#ifndef CLIENT_ERROR_H
#define CLIENT_ERROR_H

#include <stddef.h>

#include <assent/status.h>

#define ERROR_TEXT_MAX 2048

/* Keeps the sentence for assent_error() of this thread; returns status. */
__attribute__((format(printf, 2, 3))) assent_status error_set(assent_status status,
                                                              const char *format, ...);

#endif
