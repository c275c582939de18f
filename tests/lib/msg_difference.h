/* Compares messages field by field: what a trip over the wire must not change. */
#ifndef TESTS_MSG_DIFFERENCE_H
#define TESTS_MSG_DIFFERENCE_H

#include "common/msg.h"

/* The name of a field in which two messages differ, or NULL. */
const char *msg_difference(const struct msg *a, const struct msg *b);

#endif
